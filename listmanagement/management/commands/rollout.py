"""Shows how far the rollout is, and switches it."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from listmanagement.workflows import rollout
from listmanagement.workflows.by_people import people
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.rollout import Change, Said, Standing

STATUS = "status"


class Command(BaseCommand):
    """Exit code 0: shown, or switched. 1: refused."""

    help = "Show how far the rollout is, start observing, pause and resume, or have everything reviewed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The verb, who and why."""
        verbs = [STATUS, *(change.name.lower() for change in Change)]
        parser.add_argument("verb", nargs="?", default=STATUS, choices=verbs)
        parser.add_argument("--reason", default="", metavar="WHY", help="why; required to switch anything")
        parser.add_argument(
            "--by", metavar="USER", help="the reviewer in whose name; else the command line's"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object on one line")

    def handle(self, *args: Any, **options: Any) -> None:
        """Switch, where a verb says so; then show."""
        if options["verb"] != STATUS:
            try:
                rollout.change(
                    Change[options["verb"].upper()],
                    by=people.named(options["by"]),
                    why=options["reason"],
                    now=timezone.now(),
                )
            except NotAllowed as refusal:
                raise CommandError(str(refusal)) from refusal
        standing = rollout.standing(
            rollout.current(), enabled=settings.LIST_MANAGEMENT_ENABLED, now=timezone.now()
        )
        if options["json"]:
            self.stdout.write(json.dumps(asdict(standing), cls=DjangoJSONEncoder))
        else:
            self.stdout.write(words(standing))


def words(standing: Standing) -> str:
    """The rollout as a person reads it."""
    lines = [f"Stage: {standing.stage.replace('_', ' ')}."]
    lines += [f"Off: {standing.off}."] if standing.off else []
    lines.append(f"Executed alone now: {standing.alone}")
    lines += [f"- {reason}" for reason in standing.reasons]
    switches = (
        ("Observing", standing.observing),
        ("Manual mode", standing.manual),
        ("Paused", standing.paused),
    )
    lines += [f"{name} {_since(said)}" for name, said in switches if said is not None]
    lines.append(f"Runs that changed anything: {standing.changing_runs} of {standing.changing_runs_needed}.")
    return "\n".join(lines)


def _since(said: Said) -> str:
    who = f" by {said.by}" if said.by else ""
    why = f": {said.why}" if said.why else ""
    return f"since {said.since:%d %B %Y %H:%M} UTC{who}{why}"
