"""Advances a run in a command's own process, as far as it goes without a person."""

from __future__ import annotations

import time
from typing import TextIO

from django.core.management.base import OutputWrapper
from django.utils import timezone

from listmanagement.models import ListMaintenanceLog, RunStatus
from listmanagement.outside import Outside
from listmanagement.workflows import runs

PATIENCE_SECONDS = 120  # a longer wait is shown, and left to the worker or to the next call


def until_it_waits(
    run: ListMaintenanceLog, *, outside: Outside, tell: TextIO | OutputWrapper
) -> ListMaintenanceLog:
    """Advance until a person is needed, the wait is long, or the run has ended. Short waits are told."""
    while True:
        run = runs.advance(run.pk, outside=outside, clock=timezone.now)
        if run.status != RunStatus.WAITING or run.next_at is None:
            return run
        seconds = (run.next_at - timezone.now()).total_seconds()
        if seconds > PATIENCE_SECONDS:
            return run
        tell.write(f"Run {run.pk} at {run.step} waits for {run.waits_for}, until {run.next_at:%H:%M:%S} UTC")
        time.sleep(max(seconds, 0.1))
