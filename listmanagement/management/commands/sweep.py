"""Sweeps once by hand: processes what webhooks were told, advances whatever is due."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from listmanagement import tasks


class Command(BaseCommand):
    """Make evidence of events, take over expired leases, go on after waits and reviews, send what waits."""

    help = "Process events and advance every run that is due, once. The worker does this every 10 seconds."

    def handle(self, *args: Any, **options: Any) -> None:
        """Sweep and say what was done."""
        if told := tasks.listen_once():
            self.stdout.write(f"processed events: {told}")
        swept = sorted({*tasks.hear_all_once(), *tasks.sweep_once()})
        self.stdout.write(f"advanced runs: {', '.join(map(str, swept))}" if swept else "nothing was due")
