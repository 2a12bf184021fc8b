"""Undoes a run, in this process, as far as it goes."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from listmanagement import outside
from listmanagement.domain import spelling
from listmanagement.management import advancing
from listmanagement.models import FINISHED, DecisionItem, ItemStatus, ListMaintenanceLog, RunStatus
from listmanagement.workflows import notify
from listmanagement.workflows.by_people import people
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.undoing import undo, undoable
from listmanagement.workflows.undoing.undo import NothingToUndo
from listmanagement.workflows.undoing.undoable import Part, Plan, Scope


class Command(BaseCommand):
    """Exit code 0: undone, or nothing left to undo, or it waits. 1: refused, or something failed."""

    help = (
        "Undo what a run did: suppressions are lifted and contacts put back on their lists, placements and "
        "moves taken back. Calling it again goes on with what was interrupted; twice does nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """ID, how much of it, who and why."""
        parser.add_argument("run_id", type=int, metavar="ID", help="the run to undo")
        parser.add_argument("--only", choices=[part.value for part in Part], help="this part of it alone")
        parser.add_argument("--domain", default="", help="the contacts of this recipient domain alone")
        parser.add_argument("--reason", default="", help="why; stays in the contacts' history")
        parser.add_argument(
            "--by", metavar="USER", help="the reviewer in whose name; else the command line's"
        )
        parser.add_argument(
            "--override",
            default="",
            metavar="WHY",
            help="undo although list management is off or paused; logged with name and reason",
        )
        parser.add_argument("--dry-run", action="store_true", help="say what it would do, and change nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON object on one line")

    def handle(self, *args: Any, **options: Any) -> None:
        """Start it, or go on with it, until it has ended or the wait is long."""
        scope = Scope(
            only=Part(options["only"]) if options["only"] else None,
            domain=spelling.known_as(options["domain"].strip()),
        )
        try:
            told = self._preview(options, scope) if options["dry_run"] else self._undo(options, scope)
        except NothingToUndo as nothing:
            told = {"undoes": options["run_id"], "run": None, **planned(nothing.plan), "report": str(nothing)}
        except NotAllowed as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(json.dumps(told) if options["json"] else told["report"])
        if told.get("status") == RunStatus.FAILED or told.get("failed"):
            raise SystemExit(1)

    def _preview(self, options: dict[str, Any], scope: Scope) -> dict[str, Any]:
        run = ListMaintenanceLog.objects.filter(pk=options["run_id"]).first()
        if run is None:
            raise NotAllowed(f"there is no run {options['run_id']}")
        plan = undo.preview(run, scope=scope, now=timezone.now())
        return {"undoes": run.pk, "run": None, **planned(plan), "report": undo.preview_words(plan)}

    def _undo(self, options: dict[str, Any], scope: Scope) -> dict[str, Any]:
        with outside.real() as connected:
            run = undo.start(
                options["run_id"],
                scope=scope,
                by=people.named(options["by"]),
                reason=options["reason"],
                override=options["override"],
                configuration=connected.configuration,
                now=timezone.now(),
            )
            run = advancing.until_it_waits(run, outside=connected, tell=self.stderr)
            notify.deliver_due(slack=connected.slack, now=timezone.now())
        return summary(run)


def planned(plan: Plan) -> dict[str, Any]:
    """What would be done, as other programs read it. Contacts are ids."""
    return {
        "contacts": len(plan.deeds),
        "in_hand_already": len(plan.under_way),
        "waiting_for_the_cycle": plan.waiting,
        "still_blocked": plan.still_blocked,
        "left_alone": undoable.counted(plan.left_alone),
        "left_alone_contacts": plan.left_alone,
    }


def summary(run: ListMaintenanceLog) -> dict[str, Any]:
    """The undo as other programs read it. Contacts are ids."""
    dropped = DecisionItem.objects.filter(decision__run=run, status=ItemStatus.DROPPED)
    left: dict[str, list[int]] = {}
    for why, contact in dropped.order_by("pk").values_list("why", "contact"):
        left.setdefault(why, []).append(contact)
    return {
        "undoes": run.undoes_id,
        "run": run.pk,
        "status": run.status,
        "waits_for": run.waits_for,
        **run.counts,
        "dropped_contacts": left,
        "mailjet_requests": run.requests,
        "report": run.report if run.status in FINISHED else _waits(run),
    }


def _waits(run: ListMaintenanceLog) -> str:
    until = f" until {run.next_at:%d %B %H:%M} UTC" if run.next_at is not None else ""
    return (
        f"Run {run.pk} waits{until} for {run.waits_for or 'another worker'}. A worker goes on with it, and "
        "so does calling this again."
    )
