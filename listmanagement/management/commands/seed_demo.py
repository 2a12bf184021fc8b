"""`manage.py seed_demo`: a fresh demo in the database and in the stand-in."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from integrations.sandbox.control import Control, ControlRefused
from listmanagement import outside
from listmanagement.domain.cycle import RoundStatus
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.demo import seeding
from listmanagement.workflows.demo.people import Part
from listmanagement.workflows.demo.world import CAMPAIGN_LISTS, JUDGED, Scenario, World, build


class Command(BaseCommand):
    help = "Write the demo's world to the database and to the stand-in for Mailjet."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seed", type=int, default=1, help="another number, other people")
        parser.add_argument("--now", type=_moment, help="the present of the demo, with its zone (now)")
        parser.add_argument(
            "--scenario", choices=[each.value for each in Scenario], default=Scenario.BETWEEN_CYCLES.value
        )
        parser.add_argument(
            "--reset", action="store_true", help="also where the database holds something else: it is deleted"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        world = build(
            seed=options["seed"],
            now=options["now"] or timezone.now(),
            scenario=Scenario(options["scenario"]),
        )
        try:
            with Control(settings.MAILJET_BASE_URL) as control:
                seeding.seed(
                    world, configuration=outside.configuration(), control=control, reset=options["reset"]
                )
        except NotAllowed as refusal:
            raise CommandError(str(refusal)) from refusal
        except (ControlRefused, httpx.TransportError) as error:
            raise CommandError(
                f"the stand-in at MAILJET_BASE_URL did not take the demo ({error}): start it with "
                "`python -m integrations.sandbox --port PORT --state DIR` and seed again"
            ) from error
        self.stdout.write("\n".join(_summary(world)))


def _moment(text: str) -> datetime:
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None or timezone.is_naive(moment):
        raise ArgumentTypeError(f"{text!r} is not a time with its zone, such as 2026-05-04T09:00:00Z")
    return moment


def _summary(world: World) -> Iterator[str]:
    backlog = sum(person.part is Part.BACKLOG for person in world.people)
    suppressed = sum(person.part is Part.SUPPRESSED for person in world.people)
    yield f"Demo {world.scenario}, seed {world.seed}, as of {world.now:%d %B %Y %H:%M} UTC"
    yield f"  {len(world.people):,} contacts, {backlog} of them backlog, {suppressed} suppressed"
    yield from (f"  campaign list {number}: {world.size(number):5,} mailable" for number in CAMPAIGN_LISTS)
    for status in (RoundStatus.SENT, RoundStatus.SCHEDULED):
        ids = ", ".join(str(send.id) for send in world.sends if send.status is status)
        yield f"  campaigns {status}: {ids}"
    yield f"Next: manage.py run_maintenance {JUDGED}"
