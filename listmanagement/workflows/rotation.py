"""The campaign lists as they stand: sizes, the cycle, who may move, and who changes lists now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Count, Min, OuterRef, Q, QuerySet, Subquery

from listmanagement.domain import balance, cycle
from listmanagement.models import (
    EXECUTABLE,
    BatchKind,
    CampaignKind,
    CampaignRecipient,
    CampaignSchedule,
    ContactList,
    ContactListMembership,
    Cycle,
    DecisionItem,
    DecisionStatus,
    Hold,
    ItemAction,
    ItemStatus,
    ListOperation,
    OperationStatus,
)
from listmanagement.workflows.permission import a_round
from listmanagement.workflows.steps import Hand, Wait

BETWEEN_MAILS = timedelta(days=7)  # to one person


def sizes() -> dict[int, int]:
    """Mailable members of each campaign list, in rotation order, by our list id."""
    counted = ContactListMembership.objects.sized().values("list_id").annotate(n=Count("pk"))
    found: Mapping[int, int] = {row["list_id"]: row["n"] for row in counted}
    return {each.pk: found.get(each.pk, 0) for each in ContactList.objects.rotation()}


def state() -> dict[str, object]:
    """Sizes and deviation, as the log keeps them before and after a run."""
    found = sizes()
    lists = [
        {
            "id": each.pk,
            "name": each.name,
            "size": found[each.pk],
            "members": each.memberships.current().count(),
        }
        for each in ContactList.objects.rotation()
    ]
    suppressed = ContactListMembership.objects.current().filter(list=ContactList.objects.suppression())
    return {
        "lists": lists,
        "deviation": round(balance.deviation(list(found.values())), 2),
        "suppressed": suppressed.count(),
    }


def current_cycle(*, at: datetime) -> Cycle | None:
    """The cycle that began last."""
    begun = Cycle.objects.filter(campaigns__started_at__lte=at, campaigns__kind=CampaignKind.ROUND)
    return begun.order_by("-number").first()


def moves_allowed(*, at: datetime) -> bool:
    """Between cycles: after the last round of one, before the first of the next."""
    current = current_cycle(at=at)
    rounds = CampaignSchedule.objects.filter(kind=CampaignKind.ROUND, cycle__isnull=False)
    here = [a_round(campaign) for campaign in rounds.filter(cycle=current)] if current else []
    later = rounds.filter(cycle__number__gt=current.number) if current else rounds
    lists = list(ContactList.objects.rotation().values_list("pk", flat=True))
    return cycle.between_cycles(here, [a_round(c) for c in later], at=at, lists=lists)


def facts(*, at: datetime) -> list[balance.ListFacts]:
    """What the solver needs of each list: its size and who may leave it, newest first."""
    found = sizes()
    return [
        balance.ListFacts(list_id=each.pk, size=found[each.pk], movable=_movable(each, at=at))
        for each in ContactList.objects.rotation()
    ]


def _movable(contact_list: ContactList, *, at: datetime) -> tuple[int, ...]:
    """Mailable members, newest by rank; without the held, the lately moved and the lately mailed."""
    members = ContactListMembership.objects.sized().filter(list=contact_list)
    holds = Hold.objects.standing()
    members = members.exclude(contact__in=holds.filter(contact__isnull=False).values("contact"))
    members = members.exclude(contact__domain__in=holds.exclude(host="").values("host"))
    members = members.exclude(contact__in=moved_lately(at=at))
    members = members.exclude(contact__in=to_be_suppressed())
    if (soonest := _next_send_elsewhere(contact_list, at=at)) is not None:
        lately = CampaignRecipient.objects.filter(sent_at__gt=soonest - BETWEEN_MAILS)
        members = members.exclude(contact__in=lately.values("contact"))
    return tuple(members.order_by("-rank").values_list("contact_id", flat=True))


def to_be_suppressed() -> QuerySet[DecisionItem, int]:
    """Contacts that a decision proposes to suppress and that is not done with: nobody moves them away."""
    pending = DecisionItem.objects.filter(
        action=ItemAction.SUPPRESS,
        status=ItemStatus.PROPOSED,
        decision__status__in=[DecisionStatus.DRAFT, DecisionStatus.OPEN, *EXECUTABLE],
    )
    return pending.values_list("contact", flat=True)


def moved_lately(*, at: datetime) -> set[int]:
    """Contacts that a move may not touch again yet: two cycles have to pass."""
    current = current_cycle(at=at)
    begun = Cycle.objects.filter(
        campaigns__kind=CampaignKind.ROUND, campaigns__started_at__lte=OuterRef("applied_at")
    )
    moves = ListOperation.objects.filter(kind=BatchKind.MOVE_IN, status=OperationStatus.APPLIED).annotate(
        cycle=Subquery(begun.order_by("-number").values("number")[:1])
    )
    return {
        contact
        for contact, number in moves.values_list("contact_id", "cycle")
        if cycle.moved_recently(number or 0, current.number if current else 0)
    }


def _next_send_elsewhere(contact_list: ContactList, *, at: datetime) -> datetime | None:
    """When somebody who leaves this list could be mailed again at the earliest."""
    sends = CampaignSchedule.objects.filter(status=cycle.RoundStatus.SCHEDULED, scheduled_at__gt=at)
    soonest: datetime | None = sends.exclude(list=contact_list).aggregate(at=Min("scheduled_at"))["at"]
    return soonest


def take_rotation(hand: Hand) -> Wait | None:
    """Become the one run that changes lists; or wait for the one that does."""
    try:
        with transaction.atomic(), hand.lease.writing() as run:
            if not run.holds_rotation:  # hand.run is older: the step may have given it back since
                run.holds_rotation = True
                run.save(update_fields=["holds_rotation"])
    except IntegrityError:
        return Wait(until=hand.now + timedelta(seconds=10), for_="another run that changes the lists")
    return None


def give_rotation_back(hand: Hand) -> None:
    """Let the next run change lists."""
    with hand.lease.writing() as run:
        run.holds_rotation = False
        run.save(update_fields=["holds_rotation"])


# --- The cycle under way -------------------------------------------------------------------------------


def cycle_under_way(*, at: datetime) -> Cycle | None:
    """The cycle that has begun and has a round still to come; None between two cycles."""
    return None if moves_allowed(at=at) else current_cycle(at=at)


def awaited(*, at: datetime) -> frozenset[int]:
    """Our ids of the lists whose round in the cycle under way is still to come."""
    current = cycle_under_way(at=at)
    if current is None:
        return frozenset()
    begun = Q(started_at__lte=at) | Q(status__in=[cycle.RoundStatus.CANCELLED, cycle.RoundStatus.SKIPPED])
    over = current.campaigns.filter(begun, kind=CampaignKind.ROUND).values_list("list_id", flat=True)
    return frozenset(ContactList.objects.rotation().values_list("pk", flat=True)) - frozenset(over)


def addressed(contacts: Collection[int], *, at: datetime) -> Mapping[int, frozenset[int]]:
    """Through which lists, by our ids, the cycle under way has addressed these contacts; of whom it has.

    Messages tell. Of a round whose messages nobody has fetched yet, whoever was on its list when it began.
    """
    current = cycle_under_way(at=at)
    found: dict[int, set[int]] = defaultdict(set)
    if current is None:
        return {}
    rounds = current.campaigns.filter(kind=CampaignKind.ROUND, started_at__lte=at)
    told = CampaignRecipient.objects.filter(campaign__in=rounds, contact__in=contacts)
    for contact_id, list_id in told.values_list("contact_id", "campaign__list_id"):
        found[contact_id].add(list_id)
    for a_send in rounds.filter(recipients_fetched_at=None):
        there = ContactListMembership.objects.filter(contact__in=contacts, list=a_send.list_id)
        there = there.filter(Q(until=None) | Q(until__gt=a_send.started_at), since__lte=a_send.started_at)
        for contact_id in there.values_list("contact_id", flat=True):
            found[contact_id].add(a_send.list_id)
    return {contact_id: frozenset(lists) for contact_id, lists in found.items()}
