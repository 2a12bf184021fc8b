"""Reconciles with Mailjet now, in this process, as far as it goes without a person."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from listmanagement import outside
from listmanagement.management import advancing
from listmanagement.models import FINISHED, Decision, DecisionKind, ListMaintenanceLog, Trigger
from listmanagement.workflows import notify, reconcile

DIFFERS, NOT_COMPARED = 1, 2


class Command(BaseCommand):
    """Exit code 0: all matches, or people decide. 1: promises broken, or counts differ. 2: not compared."""

    help = (
        "Hold the mirror, the promises and the counts against Mailjet, and ask about what people changed "
        "there. Exit code 0 when promises hold and counts match, 1 when not, 2 when that could not be told."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--json."""
        parser.add_argument("--json", action="store_true", help="print one JSON object on one line")

    def handle(self, *args: Any, **options: Any) -> None:
        """Advance until a person is needed, the wait is long, or the run has ended."""
        with outside.real() as connected:
            run = reconcile.start(
                trigger=Trigger.PERSON, by=None, configuration=connected.configuration, now=timezone.now()
            )
            run = advancing.until_it_waits(run, outside=connected, tell=self.stderr)
            notify.deliver_due(slack=connected.slack, now=timezone.now())
        if "drifts" not in run.counts:
            raise CommandError(_not_compared(run), returncode=NOT_COMPARED)
        self.stdout.write(json.dumps(summary(run)) if options["json"] else words(run))
        if reconcile.problems(run):
            raise SystemExit(DIFFERS)


def summary(run: ListMaintenanceLog) -> dict[str, Any]:
    """The run as other programs read it."""
    return {
        "run": run.pk,
        "status": run.status,
        "step": run.step,
        "decision": _open(run).values_list("pk", flat=True).first(),
        **run.counts,
        "mailjet_requests": run.requests,
        "errors": run.errors,
    }


def words(run: ListMaintenanceLog) -> str:
    """The run as a person reads it, and what to do next."""
    lines = [f"Run {run.pk} {run.status}.", "", run.report or reconcile.text(run)]
    for decision in _open(run):
        lines += [
            "",
            f"Decision {decision.pk}: {decision.title}",
            f"  manage.py decide {decision.pk} approve --by USER   puts it back",
            f"  manage.py decide {decision.pk} reject --by USER --note WHY   accepts it",
        ]
    if run.status not in FINISHED and not _open(run).exists():
        lines += ["", f"It waits for {run.waits_for or 'another worker'}."]
    return "\n".join(lines)


def _open(run: ListMaintenanceLog) -> Any:
    return Decision.objects.awaiting_review().filter(run=run, kind=DecisionKind.RECONCILIATION)


def _not_compared(run: ListMaintenanceLog) -> str:
    """Why there is nothing to show, and what to do."""
    if run.status in FINISHED:
        return f"run {run.pk} {run.status}: {run.report}"
    return (
        f"run {run.pk} has not compared yet, it waits for {run.waits_for or 'another worker'}. The worker "
        "goes on with it, and so does calling this again. Nothing was changed."
    )
