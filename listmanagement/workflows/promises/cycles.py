"""P5: whoever was active when a cycle began, and stays mailable, gets exactly one message of it.

Judged when the messages of all its rounds are fetched. What people did (a round called off, a repeat, an
import to a second list, a contact taken off) is noted by name; anything else breaks the promise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from listmanagement.domain.bounces import BounceClass
from listmanagement.domain.cycle import LONGEST_CYCLE, RoundStatus
from listmanagement.models import (
    CampaignKind,
    CampaignRecipient,
    CampaignSchedule,
    Change,
    ContactList,
    ContactListMembership,
    ContactSuppressionHistory,
    Cycle,
    CycleEnd,
    DecisionKind,
    Role,
)
from listmanagement.models.lists import MembershipQuerySet
from listmanagement.workflows.promises.verdicts import (
    Name,
    Objection,
    Promise,
    Violation,
    named,
    notes,
    violations,
)

STILL_TO_COME = (RoundStatus.SCHEDULED, RoundStatus.SENDING)
AT_MOST_ONE = (
    "Leave the lists as they are: read both lists' history of the contact, and report it as a fault."
)
AT_LEAST_ONE = (
    "Read the contact's timeline; send them the message by hand if it matters. Do not move anybody."
)


@dataclass(frozen=True)
class _Cycle:
    """A cycle that has begun. `began_at` is its first send, `ended_at` the end of its last one so far."""

    row: Cycle
    campaigns: Sequence[CampaignSchedule]
    began_at: datetime
    ended_at: datetime

    @property
    def rounds(self) -> list[CampaignSchedule]:
        """Its rounds, called off or not; repeats apart."""
        return [campaign for campaign in self.campaigns if campaign.kind == CampaignKind.ROUND]

    @property
    def addressing(self) -> list[CampaignSchedule]:
        """Its rounds and the parts of them: whoever got one of these got the cycle's message."""
        return [each for each in self.campaigns if each.kind in (CampaignKind.ROUND, CampaignKind.PART)]

    def is_for_some(self, list_id: int) -> bool:
        """Whether people sent the list's round to some of it: segments, or versions of an A/B test."""
        here = [each for each in self.addressing if each.list_id == list_id]
        return any(each.segmentation_id is not None or each.ab_test_id is not None for each in here)

    @property
    def sent(self) -> dict[int, CampaignSchedule]:
        """Its round on each list that was sent, by list id."""
        return {each.list_id: each for each in self.rounds if each.status == RoundStatus.SENT}


@dataclass(frozen=True)
class _Found:
    """What is wrong with a cycle, and what people did."""

    broken: tuple[Violation, ...]
    noted: tuple[str, ...]


Rows = Sequence[ContactListMembership]


def check_once_per_cycle(*, now: datetime) -> Promise:
    """Hold every cycle whose messages are fetched against who was active when it began."""
    checked, broken, noted = 0, list[Violation](), list[str]()
    lists = dict(ContactList.objects.rotation().values_list("pk", "mailjet_id"))
    for cycle in _begun():
        if (why := _not_yet(cycle, lists=lists, now=now)) is not None:
            noted.append(f"cycle {cycle.row.number} is not judged yet: {why}")
            continue
        active = _active(cycle)
        checked += active.values("contact").distinct().count()
        for found in (_twice(cycle), _never(cycle, active)):
            broken += found.broken
            noted += found.noted
        noted += _called_off(cycle, lists=lists)
    return Promise(Name.ONCE_PER_CYCLE, checked=checked, broken=tuple(broken), noted=tuple(noted))


def _begun() -> Iterator[_Cycle]:
    for row in Cycle.objects.order_by("number").prefetch_related("campaigns"):
        campaigns = sorted(row.campaigns.all(), key=lambda each: each.pk)
        rounds = [each for each in campaigns if each.kind == CampaignKind.ROUND]
        starts = [each.started_at for each in rounds if each.started_at is not None]
        ends = [each.ended_at for each in rounds if each.ended_at is not None]
        if starts:
            yield _Cycle(row, campaigns, began_at=min(starts), ended_at=max([*starts, *ends]))


def _not_yet(cycle: _Cycle, *, lists: Mapping[int, int], now: datetime) -> str | None:
    """Why a cycle cannot be judged yet; None where it can. After 21 days what was not sent never will be."""
    for campaign in cycle.addressing:
        if campaign.status == RoundStatus.SENT and not _is_fetched(campaign):
            return f"the messages of campaign {campaign.pk} are not fetched"
    if now >= cycle.began_at + LONGEST_CYCLE or cycle.row.ended_at is not None:
        return None
    for campaign in cycle.rounds:
        if campaign.status in STILL_TO_COME:
            return f"campaign {campaign.pk} is {campaign.status}"
    later = Cycle.objects.exclude(pk=cycle.row.pk).filter(campaigns__started_at__gt=cycle.ended_at)
    without = [lists[pk] for pk in lists if pk not in {each.list_id for each in cycle.rounds}]
    if without and not later.exists():
        return f"lists without a round so far: {', '.join(map(str, without))}"
    return None


def _is_fetched(campaign: CampaignSchedule) -> bool:
    """Whether its messages were fetched after its end, so all of them."""
    fetched_at, ended_at = campaign.recipients_fetched_at, campaign.ended_at
    return fetched_at is not None and ended_at is not None and fetched_at >= ended_at


def _called_off(cycle: _Cycle, *, lists: Mapping[int, int]) -> Iterator[str]:
    """What people did to the cycle itself."""
    number = cycle.row.number
    for campaign in cycle.campaigns:
        to = f"list {lists.get(campaign.list_id, campaign.list_id)}"
        if campaign.kind == CampaignKind.PART:
            continue
        if campaign.kind != CampaignKind.ROUND:
            yield f"cycle {number}: campaign {campaign.pk} to {to} was a {_words(campaign.kind)}, not a round"
        elif campaign.status != RoundStatus.SENT:
            half = ", after it had begun" if campaign.started_at is not None else ""
            yield f"cycle {number}: campaign {campaign.pk}, the round of {to}, is {campaign.status}{half}"
        elif cycle.is_for_some(campaign.list_id):
            yield f"cycle {number}: campaign {campaign.pk}, the round of {to}, went to some of it only"
    skipped = [lists[pk] for pk in lists if pk not in {each.list_id for each in cycle.rounds}]
    if skipped and cycle.row.ended_how:
        before = "the next one began" if cycle.row.ended_how == CycleEnd.CUT_SHORT else "21 days had passed"
        yield f"cycle {number}: lists without a round before {before}: {', '.join(map(str, skipped))}"
    copies = CampaignRecipient.objects.filter(
        campaign__in=[each.pk for each in cycle.addressing], bounce_class=BounceClass.DUPLICATE
    )
    if people := set(copies.values_list("contact_id", flat=True)):
        yield f"cycle {number}: Mailjet left out a second copy to {named(people)}"


def _words(member: str) -> str:
    return member.replace("_", " ")


def _addressed(cycle: _Cycle) -> QuerySet[CampaignRecipient]:
    """Messages of its rounds, whatever became of them; without second copies that Mailjet left out."""
    messages = CampaignRecipient.objects.filter(campaign__in=[each.pk for each in cycle.addressing])
    return messages.exclude(bounce_class=BounceClass.DUPLICATE)


def _verdict(cycle: _Cycle, found: Mapping[int, bool], *, got: str, what_to_do: str) -> _Found:
    """Contacts by id, and whether people explain it."""
    number = cycle.row.number
    ours = [key for key, by_people in found.items() if not by_people]
    theirs = [key for key, by_people in found.items() if by_people]
    objection = Objection(f"got {got} of cycle {number}", what_to_do)
    return _Found(
        broken=violations((key, objection) for key in ours),
        noted=tuple(f"cycle {number}: {note}" for note in notes((theirs, f"got {got}, by what people did"))),
    )


# --- More than one -----------------------------------------------------------------------------------


def _twice(cycle: _Cycle) -> _Found:
    """Whoever got more than one, newly placed or not."""
    counted = _addressed(cycle).values("contact").annotate(n=Count("pk")).filter(n__gt=1)
    contacts = set(counted.values_list("contact", flat=True))
    received: dict[int, list[CampaignSchedule]] = defaultdict(list)
    for row in _addressed(cycle).filter(contact__in=contacts).select_related("campaign"):
        received[row.contact_id].append(row.campaign)
    rows = _by_contact(ContactListMembership.objects.filter(contact__in=contacts))
    found = {key: _brought_by_people(received[key], rows.get(key, ())) for key in contacts}
    return _verdict(cycle, found, got="more than one message", what_to_do=AT_MOST_ONE)


def _brought_by_people(campaigns: Sequence[CampaignSchedule], rows: Rows) -> bool:
    """Whether people explain two messages: a round half sent or in parts, or a second list where they put
    them."""
    if any(each.status != RoundStatus.SENT or each.kind == CampaignKind.PART for each in campaigns):
        return True
    through = [row for campaign in campaigns for row in rows if _covers(row, campaign)]
    lists = {campaign.list_id for campaign in campaigns}
    if len(lists) < len(campaigns) or {row.list_id for row in through} != lists:
        return False
    return max(through, key=lambda row: row.since).began_by != Change.OPERATION


def _covers(row: ContactListMembership, campaign: CampaignSchedule) -> bool:
    """Whether the campaign's list had this member while it was sent."""
    if row.list_id != campaign.list_id or campaign.started_at is None or campaign.ended_at is None:
        return False
    return row.since <= campaign.ended_at and (row.until is None or row.until >= campaign.started_at)


# --- None --------------------------------------------------------------------------------------------


def _active(cycle: _Cycle) -> MembershipQuerySet:
    """Memberships of campaign lists that stood, subscribed, when the cycle began."""
    stood = Q(until=None) | Q(until__gt=cycle.began_at)
    return ContactListMembership.objects.filter(
        stood, list__role=Role.CAMPAIGN, since__lte=cycle.began_at, unsubscribed=False
    )


def _never(cycle: _Cycle, active: MembershipQuerySet) -> _Found:
    """Whoever was active, stayed mailable to the end, and got none.

    When somebody opted out, complained or was excluded is known only to the day we saw it: whoever did,
    ever, is not missed here. Our own suppressions have their time: when they were asked of Mailjet.
    """
    by_then = Q(at__lte=cycle.ended_at) | Q(operation__batch__sending_at__lte=cycle.ended_at)
    suppressed = ContactSuppressionHistory.objects.filter(
        by_then, Q(lifted_at=None) | Q(lifted_at__gt=cycle.began_at), contact=OuterRef("contact")
    )
    missed = active.filter(
        ~Exists(_addressed(cycle).filter(contact=OuterRef("contact"))),
        ~Exists(suppressed),
        contact__opted_out_at=None,
        contact__complained_at=None,
        contact__excluded=False,
        contact__retired_at=None,
    )
    found = {
        key: all(_kept_by_people(row, cycle) for row in _stayed(rows, cycle))
        for key, rows in _by_contact(missed).items()
    }
    return _verdict(cycle, found, got="no message", what_to_do=AT_LEAST_ONE)


def _stayed(rows: Rows, cycle: _Cycle) -> Rows:
    """Of a move that was half done when the cycle began: the list that they stayed on, whose round counts."""
    stayed = [row for row in rows if not _was_taken_off(row, cycle)]
    return stayed or rows


def _was_taken_off(row: ContactListMembership, cycle: _Cycle) -> bool:
    return row.ended_by == Change.OPERATION and row.until is not None and row.until <= cycle.ended_at


def _kept_by_people(row: ContactListMembership, cycle: _Cycle) -> bool:
    """Whether people explain that their list's round missed them: called off, sent to some, or taken off.

    Whom a reviewer let a send of this cycle skip, since their domain is on hold, was taken off by that
    person's choice.
    """
    if row.ended_with is not None and row.ended_with.item.decision.kind == DecisionKind.HELD:
        skipped_by = row.ended_with.batch.run.campaign_id
        if any(each.pk == skipped_by for each in cycle.campaigns):
            return True
    if _was_taken_off(row, cycle):
        return False
    sent = cycle.sent.get(row.list_id)
    if sent is None or row.missing_since is not None or cycle.is_for_some(row.list_id):
        return True
    return row.until is not None and row.ended_by == Change.PERSON and _may_have_left(row, sent)


def _may_have_left(row: ContactListMembership, sent: CampaignSchedule) -> bool:
    """Whether whom people took off may have been off by then: it was between two readings of the list."""
    seen_at, ended_at = row.last_seen_at, sent.ended_at
    return not _covers(row, sent) or (seen_at is not None and ended_at is not None and seen_at <= ended_at)


def _by_contact(rows: MembershipQuerySet) -> Mapping[int, Rows]:
    found: dict[int, list[ContactListMembership]] = defaultdict(list)
    for row in rows.filter(list__role=Role.CAMPAIGN):
        found[row.contact_id].append(row)
    return found
