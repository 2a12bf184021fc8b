"""What may not start now: everything off, a freeze, a cycle that has begun."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from integrations.mailjet import Action
from listmanagement.domain import cycle
from listmanagement.models import (
    CONSENT,
    BatchKind,
    CampaignSchedule,
    ContactList,
    ListMaintenanceLog,
    OperationBatch,
    RolloutState,
)
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.running.steps import Hand

ASKED_AGAIN_AFTER = timedelta(seconds=60)
A_BATCH_TAKES = timedelta(minutes=15)  # asked of Mailjet, followed and read back, on a slow day


@dataclass(frozen=True)
class NotYet:
    """Why something may not start now, in words, and when to ask again."""

    until: datetime
    why: str


def check_enabled(*, enabled: bool) -> None:
    """Raise NotAllowed, naming the switch, when list management is off or paused (P9)."""
    if (why := why_off(enabled=enabled)) is not None:
        raise NotAllowed(why)


def why_off(*, enabled: bool) -> str | None:
    """The switch that keeps everything from changing, in words; None when nothing does."""
    if not enabled:
        return "LIST_MANAGEMENT_ENABLED is false: nothing is changed until it is true again"
    state = RolloutState.objects.filter(paused_at__isnull=False).select_related("changed_by").first()
    if state is not None:
        return f"paused by {state.changed_by} since {state.paused_at:%d %B %H:%M} UTC: {state.why}"
    return None


def not_yet(hand: Hand, batch: OperationBatch) -> NotYet | None:
    """Why the batch may not start now, and when to ask again; None where it may. Consent knows no freeze.

    An undo for which a person stated an override goes on while everything is off (P9), though not through a
    pause that somebody ordered after that.
    """
    off = why_off(enabled=hand.outside.configuration.enabled)
    if off is not None and not _is_overridden(hand.run):
        return NotYet(hand.now + ASKED_AGAIN_AFTER, off)
    return _freeze(batch, at=hand.now)


def _is_overridden(run: ListMaintenanceLog) -> bool:
    return bool(run.override) and not RolloutState.objects.filter(paused_at__gt=run.overridden_at).exists()


def freezes_soon(hand: Hand, batch: OperationBatch) -> bool:
    """Whether what the batch did has to be seen now, to be seen before one of its lists is frozen."""
    return _freeze(batch, at=hand.now) is not None


def _freeze(batch: OperationBatch, *, at: datetime) -> NotYet | None:
    """The freeze of a list that the batch touches and might not be done before, the last to end."""
    if batch.kind in CONSENT:
        return None
    frozen = _frozen(touched(batch), at=at)
    return max(frozen.values(), key=lambda each: each.until, default=None)


def touched(batch: OperationBatch) -> QuerySet[ContactList]:
    """The lists that the batch changes, or somebody of it stands on."""
    lists = ContactList.objects.filter(changes__batch=batch)
    if batch.kind in (BatchKind.SUPPRESS, BatchKind.COMPLAINT, BatchKind.PUT_BACK):
        # off every campaign list, by name, is a change of those they are on; onto a list is one in any case
        here = Q(memberships__contact__operations__batch=batch, memberships__until=None)
        lists = lists.filter(here | Q(changes__batch=batch, changes__action=Action.ADD))
    if batch.kind == BatchKind.MOVE_IN:  # the whole move must fit, its way out included
        lists = lists | ContactList.objects.filter(changes__batch__after=batch)
    return lists.distinct()


def frozen_lists(*, at: datetime) -> set[int]:
    """Our ids of the lists that a batch might not be done with before they are frozen, or that are."""
    return set(_frozen(ContactList.objects.rotation(), at=at))


def _frozen(lists: QuerySet[ContactList], *, at: datetime) -> dict[int, NotYet]:
    """When to ask again about the lists that are frozen, or soon would be, by our id."""
    rounds: dict[ContactList, list[cycle.Round]] = defaultdict(list)
    sends = CampaignSchedule.objects.filter(list__in=lists).exclude(ended_at__lte=at)
    for campaign in sends.select_related("list"):
        rounds[campaign.list].append(a_round(campaign))
    return {
        each.pk: NotYet(
            cycle.frozen_until(theirs, at=at) or at + ASKED_AGAIN_AFTER,
            f"{each.name} is frozen until its send has ended",
        )
        for each, theirs in rounds.items()
        if not cycle.can_finish_before_freeze(theirs, at=at, expected=A_BATCH_TAKES)
    }


def rounds_of(contact_list: ContactList) -> list[cycle.Round]:
    """A list's sends, past and to come, as the freeze sees them."""
    return [a_round(campaign) for campaign in contact_list.campaigns.all()]


def a_round(campaign: CampaignSchedule) -> cycle.Round:
    """A campaign as the pure rules know it."""
    return cycle.Round(
        list_id=campaign.list_id,
        status=cycle.RoundStatus(campaign.status),
        starts_at=campaign.started_at or campaign.scheduled_at,
        ends_at=campaign.ended_at,
    )
