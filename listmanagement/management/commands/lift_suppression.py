"""Lifts single suppressions, in this process, as far as it goes."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from listmanagement import outside
from listmanagement.management import advancing
from listmanagement.management.commands.undo_run import planned, summary
from listmanagement.models import RunStatus
from listmanagement.workflows import notify
from listmanagement.workflows.by_people import people
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.undoing import undo
from listmanagement.workflows.undoing.undo import NothingToUndo


class Command(BaseCommand):
    """Exit code 0: lifted, or nobody to lift, or it waits. 1: refused, or something failed."""

    help = (
        "Lift the suppressions of contacts: each goes back to the list it was taken off, or to the backlog. "
        "Whoever opted out or complained stays as they are."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Who, by whom and why."""
        parser.add_argument("contact_ids", type=int, nargs="+", metavar="CONTACT_ID")
        parser.add_argument("--reason", required=True, metavar="WHY", help="stays in the contacts' history")
        parser.add_argument(
            "--by", metavar="USER", help="the reviewer in whose name; else the command line's"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object on one line")

    def handle(self, *args: Any, **options: Any) -> None:
        """Start it, and go on until it has ended or the wait is long."""
        try:
            told = self._lift(options)
        except NothingToUndo as nothing:
            told = {"run": None, **planned(nothing.plan), "report": str(nothing)}
        except NotAllowed as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(json.dumps(told) if options["json"] else told["report"])
        if told.get("status") == RunStatus.FAILED or told.get("failed"):
            raise SystemExit(1)

    def _lift(self, options: dict[str, Any]) -> dict[str, Any]:
        with outside.real() as connected:
            run = undo.lift(
                options["contact_ids"],
                by=people.named(options["by"]),
                reason=options["reason"],
                configuration=connected.configuration,
                now=timezone.now(),
            )
            run = advancing.until_it_waits(run, outside=connected, tell=self.stderr)
            notify.deliver_due(slack=connected.slack, now=timezone.now())
        return summary(run)
