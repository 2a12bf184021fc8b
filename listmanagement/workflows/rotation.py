"""The campaign lists as they stand: sizes, the cycle, who may move, and who changes lists now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.db import IntegrityError
from django.db.models import Count, Exists, F, Min, OuterRef, Q, QuerySet

from listmanagement.domain import balance, cycle
from listmanagement.models import (
    EXECUTABLE,
    BatchKind,
    CampaignKind,
    CampaignRecipient,
    CampaignSchedule,
    Contact,
    ContactList,
    ContactListMembership,
    Cycle,
    DecisionItem,
    DecisionStatus,
    ItemAction,
    ItemStatus,
    ListOperation,
)
from listmanagement.workflows.permission import a_round
from listmanagement.workflows.running.steps import Hand, Wait


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


def cycles_begun(*, at: datetime) -> list[Cycle]:
    """Cycles of which a round has begun, in the order of their first sends. (Numbers tell no order.)"""
    return [each for _, each in _begun(at=at)]


def _begun(*, at: datetime) -> list[tuple[datetime, Cycle]]:
    """The same, each with the time of its first send."""
    begun = Cycle.objects.filter(campaigns__kind=CampaignKind.ROUND, campaigns__started_at__lte=at)
    begun = begun.annotate(first_at=Min("campaigns__started_at")).order_by("first_at", "number")
    return [(each.first_at, each) for each in begun]


def moves_allowed(*, at: datetime) -> bool:
    """Between cycles: after the last round of one, before the first of the next, and no round in doubt.

    Nor while an earlier cycle, which the current one overlaps, still has a round to send.
    """
    return _is_between(cycles_begun(at=at), at=at)


def _is_between(begun: Sequence[Cycle], *, at: datetime) -> bool:
    current = begun[-1] if begun else None
    if _is_in_doubt(current, at=at) or _is_going_out(begun[:-1], at=at):
        return False
    rounds = CampaignSchedule.objects.filter(kind=CampaignKind.ROUND, cycle__isnull=False)
    here: list[cycle.Round] = []
    later: list[cycle.Round] = []
    for campaign in rounds.exclude(cycle__in=begun[:-1]):
        (here if current and campaign.cycle_id == current.pk else later).append(a_round(campaign))
    lists = list(ContactList.objects.rotation().values_list("pk", flat=True))
    return cycle.between_cycles(here, later, at=at, lists=lists)


def _is_in_doubt(current: Cycle | None, *, at: datetime) -> bool:
    """Whether a list's own round may still come, though another send stands for it."""
    if current is None or not current.doubt:
        return False
    return current.started_at is None or at < current.started_at + cycle.LONGEST_CYCLE


def _is_going_out(earlier: Sequence[Cycle], *, at: datetime) -> bool:
    """Whether one of these cycles has a round still to send, or in the middle of it."""
    lately = [each for each in earlier if each.started_at and each.started_at > at - cycle.LONGEST_CYCLE]
    unsent = CampaignSchedule.objects.filter(
        cycle__in=lately,
        kind=CampaignKind.ROUND,
        status__in=[cycle.RoundStatus.SCHEDULED, cycle.RoundStatus.SENDING],
    )
    return unsent.exists()


def facts(*, at: datetime, between_mails: timedelta) -> list[balance.ListFacts]:
    """What the solver needs of each list: its size and who may leave it, newest first."""
    found = sizes()
    return [
        balance.ListFacts(
            list_id=each.pk,
            size=found[each.pk],
            movable=_movable(each, at=at, between_mails=between_mails),
            unmailed=_unmailed(each),
        )
        for each in ContactList.objects.rotation()
    ]


def _unmailed(contact_list: ContactList) -> int:
    """Mailable members whom we placed there and nobody has mailed since."""
    mailed = CampaignRecipient.objects.filter(contact=OuterRef("contact"), sent_at__gte=OuterRef("since"))
    placed = ContactListMembership.objects.sized().filter(list=contact_list, began_with__kind=BatchKind.PLACE)
    return placed.exclude(Exists(mailed)).count()


def _movable(contact_list: ContactList, *, at: datetime, between_mails: timedelta) -> tuple[int, ...]:
    """Mailable members, newest by rank; without the held, the lately moved and the lately mailed."""
    members = ContactListMembership.objects.sized().filter(list=contact_list)
    members = members.exclude(contact__in=Contact.objects.held().values("pk"))
    members = members.exclude(contact__in=moved_lately(at=at))
    members = members.exclude(contact__in=to_be_suppressed())
    others = ContactList.objects.rotation().exclude(pk=contact_list.pk)
    lately = mailed_too_lately_for(others, at=at, between_mails=between_mails)
    members = members.exclude(contact__in=lately.values("contact"))
    return tuple(members.order_by("-rank").values_list("contact_id", flat=True))


def mailed_too_lately_for(
    lists: Iterable[ContactList], *, at: datetime, between_mails: timedelta
) -> QuerySet[CampaignRecipient]:
    """Messages so late that whoever got one must not join one of these lists before its next send."""
    sends = CampaignSchedule.objects.to_come(at=at)
    soonest = sends.filter(list__in=lists).aggregate(at=Min("scheduled_at"))["at"]
    if soonest is None:
        return CampaignRecipient.objects.none()
    return CampaignRecipient.objects.filter(sent_at__gt=cycle.last_mail_before(soonest, apart=between_mails))


def to_be_suppressed() -> QuerySet[DecisionItem, int]:
    """Contacts that a decision proposes to suppress and that is not done with: nobody moves them away."""
    pending = DecisionItem.objects.filter(
        action=ItemAction.SUPPRESS,
        status=ItemStatus.PROPOSED,
        decision__status__in=[DecisionStatus.DRAFT, DecisionStatus.OPEN, *EXECUTABLE],
    )
    return pending.values_list("contact", flat=True)


def moved_lately(*, at: datetime) -> QuerySet[ListOperation, int]:
    """Contacts that a move may not touch again yet: two cycles have to pass."""
    since = cycle.stays_since([first_at for first_at, _ in _begun(at=at)])
    moves = _moves()
    return (moves.filter(applied_at__gte=since) if since else moves).values_list("contact", flat=True)


def moved_in_this_cycle(*, at: datetime) -> QuerySet[ListOperation]:
    """Moves since the latest cycle began, so after its last round: a cycle is evened out after once."""
    moves = _moves()
    begun = _begun(at=at)
    return moves.filter(applied_at__gte=begun[-1][0]) if begun else moves


def _moves() -> QuerySet[ListOperation]:
    """All that were made; but not those that brought contacts back whom a send reached meanwhile."""
    moves = ListOperation.objects.arrived()
    return moves.exclude(item__undoes__decision__run=F("batch__run"))


def take_rotation(hand: Hand) -> Wait | None:
    """Become the one run that changes lists; or wait for the one that does."""
    try:
        with hand.lease.writing() as run:
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
    begun = cycles_begun(at=at)
    return begun[-1] if begun and not _is_between(begun, at=at) else None


def awaited(*, at: datetime) -> frozenset[int]:
    """Our ids of the lists whose round in the cycle under way is still to come."""
    current = cycle_under_way(at=at)
    if current is None:
        return frozenset()
    begun = Q(started_at__lte=at) | Q(status__in=[cycle.RoundStatus.CANCELLED, cycle.RoundStatus.SKIPPED])
    over = current.campaigns.filter(begun, kind=CampaignKind.ROUND).values_list("list_id", flat=True)
    return frozenset(ContactList.objects.rotation().values_list("pk", flat=True)) - frozenset(over)


def awaiting_its_message(contact_list: ContactList, *, at: datetime) -> QuerySet[ContactListMembership]:
    """Who was on the list when the cycle under way began, where its round is still to come (P5).

    So may have been whom a request of ours that was on its way by then put there: when Mailjet did it is only
    known to have been between the request and its reading back.
    """
    members = contact_list.memberships.active()
    if contact_list.pk not in awaited(at=at):
        return members.none()
    [*_, (began_at, _)] = _begun(at=at)
    return members.filter(Q(since__lte=began_at) | Q(began_with__batch__sending_at__lte=began_at))


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
