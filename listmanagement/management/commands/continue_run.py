"""Has a run that ended early go on, in this process, as far as it goes without a person."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from listmanagement import outside
from listmanagement.management import advancing
from listmanagement.models import FINISHED, ListMaintenanceLog, RunStatus
from listmanagement.workflows import continuing, left, notify
from listmanagement.workflows.by_people import people
from listmanagement.workflows.by_people.refusals import NotAllowed


class Command(BaseCommand):
    """Exit code 0: everything is done, or it waits. 1: refused, or something is left still."""

    help = "Finish what a run left that ended partial or failed: exactly that, once. Twice does nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """ID and who."""
        parser.add_argument("run_id", type=int, metavar="ID")
        parser.add_argument(
            "--by", metavar="USER", help="the reviewer in whose name; else the command line's"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object on one line")

    def handle(self, *args: Any, **options: Any) -> None:
        """Let it go on until it has ended, a person is needed, or the wait is long."""
        try:
            with outside.real() as connected:
                run = continuing.go_on(
                    options["run_id"],
                    by=people.named(options["by"]),
                    configuration=connected.configuration,
                    now=timezone.now(),
                )
                run = advancing.until_it_waits(run, outside=connected, tell=self.stderr)
                notify.deliver_due(slack=connected.slack, now=timezone.now())
        except NotAllowed as refusal:
            raise CommandError(str(refusal)) from refusal
        told = summary(run)
        self.stdout.write(json.dumps(told) if options["json"] else _words(run, told["left"]))
        if run.status in FINISHED and run.status != RunStatus.SUCCEEDED:
            raise SystemExit(1)


def summary(run: ListMaintenanceLog) -> dict[str, Any]:
    """The run as other programs read it."""
    return {
        "run": run.pk,
        "status": run.status,
        "step": run.step,
        "waits_for": run.waits_for,
        "stopped": run.stopped,
        "left": left.sentences(left.of(run)) if run.status in FINISHED else [],
    }


def _words(run: ListMaintenanceLog, still: list[str]) -> str:
    if run.status not in FINISHED:
        return f"Run {run.pk} stands at {run.step} and waits for {run.waits_for or 'another worker'}."
    return "\n".join([f"Run {run.pk} {run.status}.", "", run.report, *(f"- {each}" for each in still)])
