"""What may not start now: everything off, a freeze, a cycle that has begun."""

from __future__ import annotations

from datetime import datetime, timedelta

from listmanagement.domain import cycle
from listmanagement.models import BatchKind, CampaignSchedule, ContactList, OperationBatch, RolloutState
from listmanagement.workflows.refusals import NotAllowed
from listmanagement.workflows.steps import Hand

ASKED_AGAIN_AFTER = timedelta(seconds=60)
A_BATCH_TAKES = timedelta(minutes=15)  # asked of Mailjet, followed and read back, on a slow day


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


def not_before(hand: Hand, batch: OperationBatch) -> datetime | None:
    """When to ask again, where the batch may not start now; None where it may."""
    if why_off(enabled=hand.outside.configuration.enabled) is not None:
        return hand.now + ASKED_AGAIN_AFTER
    lists = ContactList.objects.filter(changes__batch=batch)
    if batch.kind == BatchKind.MOVE_IN:  # the whole move must fit, its way out included
        lists = lists | ContactList.objects.filter(changes__batch__after=batch)
    frozen = [end for end in (_frozen_until(each, at=hand.now) for each in lists.distinct()) if end]
    return max(frozen, default=None)


def _frozen_until(contact_list: ContactList, *, at: datetime) -> datetime | None:
    """When to ask again about a list that is frozen, or soon would be."""
    rounds = rounds_of(contact_list)
    if cycle.can_finish_before_freeze(rounds, at=at, expected=A_BATCH_TAKES):
        return None
    return cycle.frozen_until(rounds, at=at) or at + ASKED_AGAIN_AFTER


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
