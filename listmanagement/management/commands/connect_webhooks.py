"""`manage.py connect_webhooks`: has Mailjet tell events to this installation."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from integrations.mailjet import EventKind, MailjetError
from listmanagement import outside
from listmanagement.outside import Configuration
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.events import connecting
from listmanagement.workflows.events.connecting import Change, Plan
from listmanagement.workflows.events.urls import LOST, Door

DONE = {
    Change.CREATE: "set up",
    Change.UPDATE: "brought up to date",
    Change.REVIVE: "given up by Mailjet, told anew",
}
TO_DO = {
    Change.CREATE: "would be set up",
    Change.UPDATE: "would be brought up to date",
    Change.REVIVE: "was given up by Mailjet, would be told anew",
}


class Command(BaseCommand):
    """Sets up what is missing, mends what is ours, leaves what is not. Repeated, it does nothing."""

    help = (
        "Have Mailjet tell events to SITE_URL/webhooks/mailjet/. Never overwrites an event URL of somebody "
        "else: it says what is lost without it, and polling goes on."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--dry-run and --json."""
        parser.add_argument("--dry-run", action="store_true", help="change nothing, say what would be")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Plan, do it unless told not to, and print."""
        configuration, is_dry = outside.configuration(), options["dry_run"]
        try:
            plans = _connect(configuration, is_dry=is_dry)
        except NotAllowed as refusal:
            raise CommandError(f"{refusal}.") from refusal
        except MailjetError as error:
            raise CommandError(
                f"the event URLs were not all set up, Mailjet did not answer as needed: {error}. Run this "
                "again: what is done already stays as it is"
            ) from error
        shown = Door.of(configuration).shown
        if options["json"]:
            self.stdout.write(json.dumps(as_json(plans, address=shown, is_dry=is_dry)))
        else:
            self.stdout.write("\n".join(_lines(plans, address=shown, is_dry=is_dry)))


def _connect(configuration: Configuration, *, is_dry: bool) -> Sequence[Plan]:
    with outside.mailjet() as mailjet:
        plans = connecting.plan(mailjet=mailjet, configuration=configuration)
        if not is_dry:
            connecting.connect(plans, mailjet=mailjet, configuration=configuration, now=timezone.now())
    return plans


def as_json(plans: Sequence[Plan], *, address: str, is_dry: bool) -> dict[str, Any]:
    """What was done, or would be, as other programs read it. Never a password."""
    return {
        "address": address,
        "dry_run": is_dry,
        "events": {plan.kind.value: plan.change.value for plan in plans},
        "foreign": [
            {"event": plan.kind.value, "host": plan.host, "lost": LOST[plan.kind]} for plan in _foreign(plans)
        ],
    }


def _lines(plans: Sequence[Plan], *, address: str, is_dry: bool) -> Iterator[str]:
    yield f"Events for {address}"
    words = TO_DO if is_dry else DONE
    for plan in plans:
        if plan.change is Change.FOREIGN:
            yield f"  {plan.kind.value}: leads to {plan.host or 'somebody else'} and stays as it is"
        else:
            yield f"  {plan.kind.value}: {words.get(plan.change, 'stands')}"
    if foreign := _foreign(plans):
        yield "Without the kinds that lead elsewhere:"
        yield from (f"  {plan.kind.value}: {LOST[plan.kind]}" for plan in foreign)
        yield "Outcomes and opt-outs are read from Mailjet regularly all the same. To have these events, too,"
        yield "let whoever gets them pass them on, or delete their event URL at Mailjet and run this again."


def _foreign(plans: Sequence[Plan]) -> list[Plan]:
    order = list(EventKind)
    found = [plan for plan in plans if plan.change is Change.FOREIGN]
    return sorted(found, key=lambda plan: order.index(plan.kind))
