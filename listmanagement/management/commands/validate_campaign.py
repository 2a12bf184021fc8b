"""Looks at a send before it goes out, says what was found, and lets a reviewer send it anyway."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from listmanagement import outside
from listmanagement.domain.validation import HeldTreatment, Verdict
from listmanagement.outside import Outside
from listmanagement.workflows.before_sends import pre_campaign, retests
from listmanagement.workflows.before_sends.pre_campaign import Looked
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.campaigns import unscheduling

BLOCKS, REFUSED = 1, 2


class Command(BaseCommand):
    """Exit code 0: pass or warn. 1: block. 2: it was not looked at, or what was asked for is not allowed."""

    help = (
        "Look at a scheduled campaign as it is looked at before its send: who would get it, what stands "
        "against it, and what to do. Exit code 0 when it may go out, 1 when it should not, 2 when that could "
        "not be told."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """ID, --json; and what a reviewer says: --held, --send-anyway of a --look."""
        parser.add_argument("campaign_id", type=int, metavar="ID")
        parser.add_argument("--json", action="store_true", help="print one JSON object on one line")
        parser.add_argument(
            "--held",
            choices=[each.value for each in HeldTreatment],
            help="whom of held domains it reaches: all, five of each, or none",
        )
        parser.add_argument("--send-anyway", action="store_true", help="clear what blocks it at --look")
        parser.add_argument(
            "--look", type=int, metavar="LOOK", help="the look that was read, as an earlier call shows it"
        )
        parser.add_argument("--by", metavar="USER", help="the reviewer's user name")
        parser.add_argument("--reason", default="", help="why; required with --send-anyway")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what a reviewer says, look, print, and tell by the exit code."""
        campaign_id = options["campaign_id"]
        try:
            with outside.real() as connected:
                said = self._say(campaign_id, options, connected)
                looked = pre_campaign.validate(
                    campaign_id, outside=connected, by=_user(options["by"]), now=timezone.now()
                )
        except NotAllowed as refusal:
            raise CommandError(str(refusal), returncode=REFUSED) from refusal
        self.stdout.write(
            json.dumps(as_json(looked, said=said))
            if options["json"]
            else "\n".join(_lines(looked, said=said))
        )
        if looked.look.verdict == Verdict.BLOCK:
            raise SystemExit(BLOCKS)

    def _say(self, campaign_id: int, options: dict[str, Any], connected: Outside) -> str:
        """Carry out what the reviewer says, all or nothing; in words what was done. Raises NotAllowed."""
        if not options["send_anyway"] and (options["look"] is not None or options["reason"]):
            raise NotAllowed("--look and --reason are said with --send-anyway")
        if not options["held"] and not options["send_anyway"]:
            return ""
        by = _user(options["by"])
        if by is None:
            raise NotAllowed("name the reviewer: --by USER")
        said, now, configuration = [], timezone.now(), connected.configuration
        with transaction.atomic():
            if options["held"]:
                treatment = HeldTreatment(options["held"])
                retests.choose(campaign_id, treatment, by=by, configuration=configuration, now=now)
                said.append(f"Chosen: {retests.WORDS[treatment]}.")
            if options["send_anyway"]:
                why, look_id = options["reason"], options["look"]
                if look_id is None:
                    raise NotAllowed("name the look that was read: --look LOOK, as a call without it shows")
                said.append(
                    pre_campaign.send_anyway(
                        campaign_id, look_id=look_id, by=by, why=why, configuration=configuration, now=now
                    )
                )
        if options["send_anyway"]:
            unscheduling.drive(outside=connected, clock=timezone.now)
        return " ".join(said)


def _user(name: str | None) -> User | None:
    """Who it is. Raises NotAllowed where there is nobody of that name."""
    if name is None:
        return None
    found = User.objects.filter(username=name).first()
    if found is None:
        raise NotAllowed(f"there is no user {name!r}: name a reviewer")
    return found


def as_json(looked: Looked, *, said: str) -> dict[str, Any]:
    """The look as other programs read it. Contacts are ids."""
    look = looked.look
    return {
        "campaign": look.campaign_id,
        "verdict": look.verdict,
        "sends_at": look.sends_at.isoformat(),
        "looked_at": look.at.isoformat(),
        "look": look.pk,
        "size": look.size,
        "done": said,
        "findings": [
            {
                "check": each.check.value,
                "severity": each.severity.value,
                "words": each.words,
                "what_to_do": each.what_to_do,
                "number": each.number,
                "contacts": list(each.contacts[: pre_campaign.SHOWN]),
                "cleared": each.is_cleared,
            }
            for each in looked.findings
        ],
    }


def _lines(looked: Looked, *, said: str) -> Iterator[str]:
    look = looked.look
    if said:
        yield said
    yield (
        f"Campaign {look.campaign_id} to {look.campaign.list}, {look.size:,} contacts, due "
        f"{look.sends_at:%d %B %Y %H:%M} UTC: {look.verdict} (look {look.pk})"
    )
    for each in looked.findings:
        cleared = " (cleared by a reviewer)" if each.is_cleared else ""
        yield f"  {each.severity}{cleared}: {each.words}"
        yield f"    {each.what_to_do}"
    if look.verdict == Verdict.BLOCK:
        yield (
            f"To send it all the same: manage.py validate_campaign {look.campaign_id} --send-anyway "
            f"--look {look.pk} --by USER --reason WHY"
        )
