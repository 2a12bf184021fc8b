"""What pages show of a send that is still to go out: the last look at it, and what a reviewer may say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.utils.safestring import SafeString

from listmanagement import outside
from listmanagement.admin import show
from listmanagement.domain.cycle import RoundStatus
from listmanagement.domain.validation import Check, HeldTreatment, Instant, Severity, Verdict
from listmanagement.models import (
    CampaignClearance,
    CampaignSchedule,
    CampaignValidation,
    Contact,
    DraftOperation,
    HeldChoice,
    ValidationFinding,
)
from listmanagement.workflows.before_sends import pre_campaign, retests

TONES = {
    Verdict.PASS: show.Tone.GOOD,
    Verdict.WARN: show.Tone.WAITING,
    Verdict.BLOCK: show.Tone.BAD,
    Severity.NOTE: show.Tone.CALM,
    Severity.WARNING: show.Tone.WAITING,
    Severity.BLOCKING: show.Tone.BAD,
}
INSTANTS = {
    Instant.DAY_BEFORE: "24 hours before",
    Instant.TWO_HOURS_BEFORE: "2 hours before",
    Instant.HALF_AN_HOUR_BEFORE: "30 minutes before",
    Instant.BEFORE_UNSCHEDULING: "before it was unscheduled",
    Instant.ASKED: "when somebody asked",
}
TREATMENTS = {
    HeldTreatment.ALL: "Mail all of them",
    HeldTreatment.FIVE: "Mail five of each domain (the re-test)",
    HeldTreatment.NONE: "Mail none of them this time",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A finding, as a page shows it."""

    chip: show.Chip
    words: str
    what_to_do: str
    contacts: Sequence[SafeString | str]
    more: int


@dataclass(frozen=True, slots=True)
class Treatment:
    """A choice about held domains."""

    value: str
    words: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class BeforeSend:
    """Everything the campaign's page shows of what was found before it is sent.

    `why_not_anyway` and `why_not_choose` say why this person cannot; None where they can.
    """

    look: int | None
    verdict: show.Chip | None
    looked: str
    findings: Sequence[Found]
    blocks: bool
    clearances: Sequence[str]
    drafts: Sequence[str]
    may_look: bool
    why_not_anyway: str | None
    treatments: Sequence[Treatment]
    chosen: str
    why_not_choose: str | None


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A send to come, as the list of campaigns shows it."""

    link: SafeString
    to: str
    at: str
    left: str
    verdict: show.Chip
    words: str


def read(campaign: CampaignSchedule, *, by: User, now: datetime) -> BeforeSend | None:
    """What is known before this send; None where it was sent, or called off, without a look at it."""
    look = pre_campaign.latest(campaign) or campaign.validations.order_by("-pk").first()
    is_to_come = campaign.status == RoundStatus.SCHEDULED or (
        campaign.status == RoundStatus.FAILED and campaign.started_at is None
    )
    if look is None and not is_to_come:
        return None
    is_cleared = look is not None and CampaignClearance.objects.filter(validation=look).exists()
    findings = list(look.findings.all()) if look is not None else []
    reaches_held = any(each.kind == Check.HELD for each in findings)
    choice = HeldChoice.objects.filter(campaign=campaign).select_related("by").first()
    return BeforeSend(
        look=look.pk if look is not None else None,
        verdict=verdict_of(look) if look is not None else None,
        looked=_looked(look, chosen_at=choice.at if choice is not None else None),
        findings=[_found(each, is_cleared=is_cleared) for each in findings],
        blocks=look is not None and look.verdict == Verdict.BLOCK and not is_cleared,
        clearances=_clearances(campaign),
        drafts=_drafts(campaign),
        may_look=is_to_come and campaign.scheduled_at is not None and campaign.scheduled_at > now,
        why_not_anyway=pre_campaign.why_not_anyway(campaign, by=by, now=now),
        treatments=_treatments(choice) if reaches_held or choice is not None else [],
        chosen=_chosen(choice),
        why_not_choose=retests.why_not(campaign, by=by, configuration=outside.configuration(), now=now),
    )


def upcoming(*, now: datetime) -> Sequence[Upcoming]:
    """Sends to come, each with what was found last."""
    return [_upcoming(each, now=now) for each in pre_campaign.upcoming(now=now)]


def _upcoming(campaign: CampaignSchedule, *, now: datetime) -> Upcoming:
    assert campaign.scheduled_at is not None
    look = pre_campaign.latest(campaign)
    gravest = look.findings.exclude(severity=Severity.NOTE).first() if look is not None else None
    return Upcoming(
        link=show.link(campaign, f"Campaign {campaign.pk}"),
        to=campaign.list.name,
        at=show.when(campaign.scheduled_at),
        left=show.left(campaign.scheduled_at, now=now),
        verdict=verdict_of(look) if look is not None else show.Chip("not looked at yet"),
        words=gravest.words if gravest is not None else "",
    )


def verdict_of(look: CampaignValidation) -> show.Chip:
    """A verdict as a chip."""
    verdict = Verdict(look.verdict)
    return show.Chip(verdict.value, TONES[verdict])


def _looked(look: CampaignValidation | None, *, chosen_at: datetime | None) -> str:
    if look is None:
        return "Not looked at yet: that happens by itself 24 hours, 2 hours and 30 minutes before it is sent."
    who = f" ({look.asked_by.get_username()})" if look.asked_by is not None else ""
    looked = (
        f"Looked at {show.when(look.at)}, {INSTANTS[Instant(look.instant)]}{who}; due "
        f"{show.when(look.sends_at)}, {show.counted(look.size, 'mailable contact')}."
    )
    is_before_the_choice = chosen_at is not None and look.at < chosen_at
    return f"{looked} That was before the choice about held domains." if is_before_the_choice else looked


def _found(finding: ValidationFinding, *, is_cleared: bool) -> Found:
    """`is_cleared`: a person cleared what blocked at this look."""
    severity = Severity(finding.severity)
    chip = show.Chip(severity.value, TONES[severity])
    if finding.cleared or (is_cleared and severity is Severity.BLOCKING):
        chip = show.Chip("cleared by a person", show.Tone.INFO)
    shown = finding.contacts[: pre_campaign.SHOWN]
    return Found(
        chip=chip,
        words=finding.words,
        what_to_do=finding.what_to_do,
        contacts=[show.link_to(Contact, pk, pk) for pk in shown],
        more=max(finding.number - len(shown), 0) if shown else 0,
    )


def _clearances(campaign: CampaignSchedule) -> Sequence[str]:
    return [
        f"{each.by.get_username()} said to send it anyway on {show.when(each.at)}: “{each.why}”"
        for each in campaign.clearances.select_related("by").order_by("pk")
    ]


def _drafts(campaign: CampaignSchedule) -> Sequence[str]:
    return [_of_draft(each) for each in campaign.draft_operations.order_by("pk")]


def _of_draft(operation: DraftOperation) -> str:
    at = show.when(operation.settled_at or operation.created_at)
    why = f": {operation.error}" if operation.error else ""
    return f"{at}: {operation.change} (due {show.when(operation.sends_at)}), {operation.status}{why}"


def _treatments(choice: HeldChoice | None) -> Sequence[Treatment]:
    chosen = choice.treatment if choice is not None else ""
    return [Treatment(each.value, words, each.value == chosen) for each, words in TREATMENTS.items()]


def _chosen(choice: HeldChoice | None) -> str:
    if choice is None:
        return "Nobody has chosen: all of them are mailed."
    words = TREATMENTS[HeldTreatment(choice.treatment)]
    return f"{choice.by.get_username()} chose on {show.when(choice.at)}: {words.lower()}."
