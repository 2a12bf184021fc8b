"""Holds our counts against Mailjet's: members of each list, and outcomes of campaigns that are settled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q

from integrations.mailjet import Counters, Mailjet
from listmanagement.domain.bounces import Outcome
from listmanagement.models import (
    CampaignRecipient,
    CampaignSchedule,
    ContactList,
    ContactListMembership,
    OperationBatch,
    Role,
)
from listmanagement.workflows import mirror

COUNTED_FOR = timedelta(days=35)
"""How long after its end a settled campaign is held against Mailjet's figures."""

MOST_CAMPAIGNS = 20


# --- Lists -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ListCount:
    """One list as the mirror has it and as Mailjet counts it. Erased contacts count on neither side."""

    list_id: int
    """Mailjet's."""
    name: str
    role: str
    members: int
    active: int
    """Members who are not unsubscribed there."""
    size: int | None
    """Mailable members; of campaign lists."""
    mailjet: int
    being_changed: bool
    """A batch of ours is under way there: nobody can tell whether the two differ."""

    @property
    def difference(self) -> int:
        """By how many members Mailjet has more."""
        return self.mailjet - self.members

    @property
    def matches(self) -> bool:
        """Whether the two agree, as far as can be told."""
        return self.being_changed or not self.difference


def of_lists(*, mailjet: Mailjet, now: datetime) -> list[ListCount]:
    """Every list's counts, after a reading. Raises MailjetError.

    Where they differ the list is read once more: people change lists meanwhile.
    """
    return [
        _settled(each, mailjet=mailjet, now=now) for each in ContactList.objects.order_by("position", "pk")
    ]


def _settled(contact_list: ContactList, *, mailjet: Mailjet, now: datetime) -> ListCount:
    counted = _count(contact_list, mailjet=mailjet)
    if counted.matches:
        return counted
    mirror.refresh(contact_list, mailjet=mailjet, now=now)
    return _count(contact_list, mailjet=mailjet)


def _count(contact_list: ContactList, *, mailjet: Mailjet) -> ListCount:
    shown = mailjet.member_count(contact_list.mailjet_id)
    rows = contact_list.memberships.current().filter(missing_since=None)
    counted = rows.aggregate(members=Count("pk"), active=Count("pk", filter=Q(unsubscribed=False)))
    if shown != counted["members"]:
        shown = _alive(contact_list, mailjet=mailjet)
    changing = OperationBatch.objects.under_way().filter(changes__list=contact_list)
    sized = ContactListMembership.objects.sized().filter(list=contact_list)
    return ListCount(
        list_id=contact_list.mailjet_id,
        name=contact_list.name,
        role=contact_list.role,
        members=counted["members"],
        active=counted["active"],
        size=sized.count() if contact_list.role == Role.CAMPAIGN else None,
        mailjet=shown,
        being_changed=changing.exists(),
    )


def _alive(contact_list: ContactList, *, mailjet: Mailjet) -> int:
    """Without what Mailjet leaves of erased contacts for 30 days: it counts there, and is nobody."""
    return sum(len(page) for page in mailjet.contacts(contact_list.mailjet_id))


# --- Campaigns ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CampaignCount:
    """A settled campaign whose stored outcomes are not what Mailjet counts: (ours, Mailjet's) by figure."""

    campaign_id: int
    differs: Mapping[str, tuple[int, int]]


def of_campaigns(*, mailjet: Mailjet, now: datetime) -> list[CampaignCount]:
    """The settled campaigns of the last weeks whose figures differ. Raises MailjetError."""
    lately = CampaignSchedule.objects.filter(
        settled_at__isnull=False, ended_at__gt=now - COUNTED_FOR, mailjet_campaign_id__isnull=False
    )
    campaigns = list(lately.order_by("-ended_at")[:MOST_CAMPAIGNS])
    return list(_differing(campaigns, mailjet=mailjet))


def _differing(campaigns: Sequence[CampaignSchedule], *, mailjet: Mailjet) -> Iterator[CampaignCount]:
    for campaign in campaigns:
        assert campaign.mailjet_campaign_id is not None
        counters = mailjet.counters(campaign.mailjet_campaign_id)
        if counters is None or not counters.processed:  # Mailjet has no figures of it any more
            continue
        ours, theirs = _stored(campaign), _shown(counters)
        if differs := {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]}:
            yield CampaignCount(campaign_id=campaign.pk, differs=differs)


def _stored(campaign: CampaignSchedule) -> dict[str, int]:
    arrived = Q(outcome__in=[Outcome.DELIVERED, Outcome.COMPLAINED])  # who complains was delivered to
    found: dict[str, int] = CampaignRecipient.objects.filter(campaign=campaign).aggregate(
        messages=Count("pk"),
        delivered=Count("pk", filter=arrived),
        bounced=Count("pk", filter=Q(outcome=Outcome.BOUNCED)),
        not_attempted=Count("pk", filter=Q(outcome=Outcome.NOT_ATTEMPTED)),
    )
    return found


def _shown(counters: Counters) -> dict[str, int]:
    return {
        "messages": counters.processed,
        "delivered": counters.delivered,
        "bounced": counters.hard_bounced + counters.soft_bounced,
        "not_attempted": counters.blocked,
    }
