"""Decides a decision from the command line."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from listmanagement import tasks
from listmanagement.models import Decision
from listmanagement.workflows.by_people import review
from listmanagement.workflows.by_people.refusals import NotAllowed


class Command(BaseCommand):
    """Approve or reject, as a named reviewer."""

    help = "Approve or reject a decision as a reviewer. A rejection needs --note."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """ID, the verb, and who."""
        parser.add_argument("decision_id", type=int, metavar="ID")
        parser.add_argument("verb", choices=["approve", "reject"])
        parser.add_argument("--by", required=True, metavar="USER", help="the reviewer's user name")
        parser.add_argument("--note", default="", help="why; required to reject")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Decide, then nudge a worker to go on."""
        by = User.objects.filter(username=options["by"]).first()
        if by is None:
            raise CommandError(f"there is no user {options['by']!r}: name a reviewer")
        try:
            decision = self._decide(options, by=by)
        except NotAllowed as refusal:
            raise CommandError(str(refusal)) from refusal
        tasks.nudge(decision.run_id)
        told = {
            "decision": decision.pk,
            "status": decision.status,
            "by": by.get_username(),
            "run": decision.run_id,
        }
        self.stdout.write(
            json.dumps(told)
            if options["json"]
            else f"Decision {decision.pk} is {decision.status} by {by}. "
            f"A worker goes on with run {decision.run_id}; without one: manage.py sweep"
        )

    def _decide(self, options: dict[str, Any], *, by: User) -> Decision:
        if options["verb"] == "approve":
            return review.approve(options["decision_id"], by=by, now=timezone.now(), note=options["note"])
        return review.reject(options["decision_id"], by=by, now=timezone.now(), why=options["note"])
