"""What the page of a campaign shows: what it was taken for and by whom, its times, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import Model

from listmanagement.admin import before_send, show
from listmanagement.models import (
    COUNTERS,
    CampaignKind,
    CampaignRecipient,
    CampaignSchedule,
    Cycle,
    ListMaintenanceLog,
    Role,
)
from listmanagement.workflows.campaigns import labels

OFFERED = 6
"""How many of the latest cycles a person may choose from."""

WORDS = {
    CampaignKind.ROUND: "a round of a cycle",
    CampaignKind.REPEAT: "a repeat of what its list got before",
    CampaignKind.ONE_OFF: "a one-off, outside all cycles",
    CampaignKind.TEST: "a test",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """Something a person may choose."""

    value: str
    words: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class CampaignPage:
    """Everything the template shows. `why_not` says why this person cannot label it; None where they can."""

    campaign: CampaignSchedule
    chips: Sequence[show.Chip]
    label: str
    said: str
    doubt: str
    facts: Sequence[tuple[str, object]]
    counters: Sequence[tuple[str, str]]
    counted: str
    kinds: Sequence[Choice]
    cycles: Sequence[Choice]
    why_not: str | None
    before: before_send.BeforeSend | None
    elsewhere: Sequence[tuple[str, str]]


def label_of(campaign: CampaignSchedule) -> str:
    """What it was taken for, in words."""
    by = " (by a person)" if campaign.labelled_by_id is not None else ""
    return f"{_label(campaign)}{by}"


def _label(campaign: CampaignSchedule) -> str:
    cycle = "" if campaign.cycle is None else f" cycle {campaign.cycle.number}"
    match CampaignKind(campaign.kind):
        case CampaignKind.ROUND:
            return f"round {campaign.round} of{cycle}"
        case CampaignKind.PART | CampaignKind.REPEAT as kind:
            of = f" of campaign {campaign.of_id}" if campaign.of_id is not None else ""
            return f"{kind}{of}" + (f",{cycle}" if cycle else "")
        case kind:
            return show.words(kind)


def read(campaign: CampaignSchedule, *, by: User, now: datetime) -> CampaignPage:
    """The page of a campaign for this person."""
    return CampaignPage(
        campaign=campaign,
        chips=[show.chip(campaign.status), show.Chip(label_of(campaign), show.Tone.INFO)],
        label=_label(campaign),
        said=_said(campaign),
        doubt=campaign.cycle.doubt if campaign.cycle is not None else "",
        facts=[(name, value) for name, value in _facts(campaign) if value not in ("", None, show.NOTHING)],
        counters=_counters(campaign),
        counted=show.when(campaign.counted_at),
        kinds=[Choice(kind, WORDS[kind], campaign.kind == kind) for kind in labels.SAID],
        cycles=_cycles(campaign),
        why_not=_why_not(campaign, by=by),
        before=before_send.read(campaign, by=by, now=now),
        elsewhere=_elsewhere(campaign, by=by),
    )


def _said(campaign: CampaignSchedule) -> str:
    if campaign.labelled_by is None:
        return "The rules say so; what comes later may put it in another light."
    return (
        f"{campaign.labelled_by.get_username()} said so on {show.when(campaign.labelled_at)}: "
        f"“{campaign.labelled_why}” No rule changes that."
    )


def _facts(campaign: CampaignSchedule) -> Sequence[tuple[str, object]]:
    size = campaign.list_size
    return [
        ("List", campaign.list),
        ("Title at Mailjet", campaign.title),
        ("Scheduled for", show.when(campaign.scheduled_at)),
        ("Moved from", _moment(campaign.postponed_from)),
        ("Began", show.when(campaign.started_at)),
        ("Ended", show.when(campaign.ended_at)),
        ("Mailable members of the list then", "" if size is None else f"{size:,}"),
        ("Goes to", _to_some(campaign)),
        ("Draft", "" if campaign.draft_status is None else campaign.get_draft_status_display()),
        ("Mailjet's numbers", _ids(campaign)),
        ("Outcomes read", _moment(campaign.recipients_fetched_at)),
        ("Settled", _moment(campaign.settled_at)),
        ("Cause", campaign.cause),
    ]


def _moment(at: datetime | None) -> str:
    return "" if at is None else show.when(at)


def _to_some(campaign: CampaignSchedule) -> str:
    parts = []
    if campaign.segmentation_id is not None:
        parts.append(f"segment {campaign.segmentation_id} of the list")
    if campaign.ab_test_id is not None:
        parts.append(f"a version of A/B test {campaign.ab_test_id}")
    return ", ".join(parts)


def _ids(campaign: CampaignSchedule) -> str:
    ids = (("campaign", campaign.mailjet_campaign_id), ("draft", campaign.mailjet_draft_id))
    return ", ".join(f"{name} {value}" for name, value in ids if value is not None)


def _counters(campaign: CampaignSchedule) -> Sequence[tuple[str, str]]:
    if campaign.counted_at is None:
        return []
    return [(show.words(name), f"{getattr(campaign, name):,}") for name in COUNTERS]


def _cycles(campaign: CampaignSchedule) -> Sequence[Choice]:
    latest = list(Cycle.objects.order_by("-number")[:OFFERED])
    own = campaign.cycle
    if own is not None and own.pk not in {cycle.pk for cycle in latest}:
        latest.append(own)
    offered = [
        Choice(str(cycle.number), f"Cycle {cycle.number}: {cycle.name}".rstrip(": "), cycle == own)
        for cycle in latest
    ]
    return [*offered, Choice("", "A cycle of its own", own is None)]


def _why_not(campaign: CampaignSchedule, *, by: User) -> str | None:
    if campaign.list.role != Role.CAMPAIGN:
        return f"it goes to {campaign.list}, which is no campaign list: it is a one-off"
    return labels.why_not(by)


def _elsewhere(campaign: CampaignSchedule, *, by: User) -> Sequence[tuple[str, str]]:
    ways: list[tuple[str, type[Model], dict[str, object]]] = []
    ways.append(("Show its messages", CampaignRecipient, {"campaign__id__exact": campaign.pk}))
    ways.append(("Show its runs", ListMaintenanceLog, {"campaign__id__exact": campaign.pk}))
    if campaign.cycle_id is not None:
        ways.append(("Show its cycle", CampaignSchedule, {"cycle__id__exact": campaign.cycle_id}))
    return [
        (words, show.list_of(model, **filters))
        for words, model, filters in ways
        if by.has_perm(f"listmanagement.view_{model._meta.model_name}")
    ]
