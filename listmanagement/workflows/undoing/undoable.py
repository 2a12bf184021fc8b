"""What of a run a person can take back: whom, to where, who is left alone and why, who has to wait.

The same look serves the page that asks "are you sure?" and the undo itself. It reads the mirror; whoever
turns out to be somewhere else drops out by the check before each batch.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from django.db.models import Case, Exists, OuterRef, Q, QuerySet, TextField, Value, When

from listmanagement.domain.bounces import Outcome
from listmanagement.models import (
    EXECUTABLE,
    BatchKind,
    Bounce,
    CampaignRecipient,
    Contact,
    ContactList,
    ContactListMembership,
    ContactSuppressionHistory,
    DecisionItem,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    ListOperation,
    OperationStatus,
    Role,
)
from listmanagement.workflows import rotation
from listmanagement.workflows.changes import checking
from listmanagement.workflows.changes.checking import Objection


class Part(StrEnum):
    """A part of what a run did."""

    SUPPRESSION = "suppression"
    REBALANCING = "rebalancing"


@dataclass(frozen=True)
class Scope:
    """How much of a run is meant: all of it, or a part, or the contacts of one recipient domain."""

    only: Part | None = None
    domain: str = ""

    @property
    def words(self) -> str:
        """As a sentence goes on after "run 12": ", its suppressions only, at one domain"."""
        parts = {Part.SUPPRESSION: ", its suppressions only", Part.REBALANCING: ", its rebalancing only"}
        part = parts[self.only] if self.only is not None else ""
        return part + (", at one domain" if self.domain else "")


@dataclass(frozen=True)
class Deed:
    """What is done to one contact, and which item it takes back (None for an imported suppression)."""

    contact: int
    action: ItemAction
    source: int | None = None
    target: int | None = None
    undoes: int | None = None


@dataclass
class Plan:
    """What taking back means now."""

    deeds: list[Deed] = field(default_factory=list)
    """In the order in which they are done: the newest of the run first."""
    left_alone: dict[str, list[int]] = field(default_factory=dict)
    """Contacts by the reason why nothing is done to them."""
    under_way: list[int] = field(default_factory=list)
    """Items that another undo has in hand."""
    waiting: int = 0
    """Of the deeds, those that wait for the end of the cycle under way."""
    still_blocked: int = 0
    """Of those put back, how many are probably still blocked by Mailjet."""

    def counted(self, action: ItemAction) -> int:
        """How many contacts this is done to."""
        return sum(deed.action is action for deed in self.deeds)


# --- Of a run ----------------------------------------------------------------------------------------

FORWARD = (BatchKind.SUPPRESS, BatchKind.PLACE, BatchKind.MOVE_IN)
"""The operations that an undo turns around. A move's way out goes with its way in."""

_PARTS: Mapping[Part, Sequence[BatchKind]] = {
    Part.SUPPRESSION: (BatchKind.SUPPRESS,),
    Part.REBALANCING: (BatchKind.PLACE, BatchKind.MOVE_IN),
}


def of_run(run: ListMaintenanceLog, *, scope: Scope, at: datetime) -> Plan:
    """What undoing this run, or a part of it, does now."""
    plan = Plan()
    rows = _standing(run, scope)
    in_hand = DecisionItem.objects.filter(undoes=OuterRef("item"), status=ItemStatus.PROPOSED)
    plan.under_way = list(rows.filter(Exists(in_hand)).values_list("item", flat=True))
    free = rows.filter(~Exists(in_hand))
    for found in (_moves(free), _placements(free), _suppressions(free)):
        _take_in(plan, found)
    plan.waiting = len(must_wait(plan.deeds, at=at))
    plan.still_blocked = probably_blocked(
        [deed.contact for deed in plan.deeds if deed.action is ItemAction.RESTORE]
    ).count()
    return plan


def _standing(run: ListMaintenanceLog, scope: Scope) -> QuerySet[ListOperation]:
    """The run's operations that were applied and not undone, newest first."""
    kinds = FORWARD if scope.only is None else _PARTS[scope.only]
    rows = ListOperation.objects.filter(batch__run=run, kind__in=kinds, status=OperationStatus.APPLIED)
    rows = rows.exclude(item__undoes__decision__run=run)  # brought back already
    if scope.domain:
        rows = rows.filter(contact__domain=scope.domain.lower())
    return rows.order_by("-batch__position", "-position")


Found = tuple[list[Deed], Mapping[str, Sequence[int]]]


def _take_in(plan: Plan, found: Found) -> None:
    deeds, left_alone = found
    plan.deeds += deeds
    for why, contacts in left_alone.items():
        plan.left_alone.setdefault(why, []).extend(contacts)


Row = TypeVar("Row", ListOperation, ContactSuppressionHistory)


def _sorted(
    rows: QuerySet[Row], objections: Iterable[Objection]
) -> tuple[QuerySet[Row], dict[str, list[int]]]:
    """The rows that nothing speaks against, and the contacts of the others by the first reason."""
    asked = [When(each.about, then=Value(each.words)) for each in objections]
    judged = rows.annotate(objection=Case(*asked, default=None, output_field=TextField()))
    left_alone: dict[str, list[int]] = defaultdict(list)
    for words, contact in judged.exclude(objection=None).values_list("objection", "contact"):
        left_alone[words].append(contact)
    return judged.filter(objection=None), left_alone


def _suppressions(rows: QuerySet[ListOperation]) -> Found:
    this = ContactSuppressionHistory.objects.standing().filter(operation=OuterRef("pk"))
    standing, left_alone = _sorted(
        rows.filter(kind=BatchKind.SUPPRESS),
        [
            Objection("the suppression was lifted already", ~Q(Exists(this))),
            *_against_lifting(),
        ],
    )
    places = _places_before(standing)
    return [
        Deed(contact, ItemAction.RESTORE, target=places.get(key), undoes=item)
        for key, contact, item in standing.values_list("pk", "contact", "item")
    ], left_alone


def _places_before(operations: QuerySet[ListOperation]) -> Mapping[int, int]:
    """The campaign list that each operation took its contact off: of several the one it is on longest (P4).

    None of a list that is deleted at Mailjet: whoever was on it goes to the backlog.
    """
    ended = ContactListMembership.objects.filter(
        ended_with__in=operations.values("pk"), list__role=Role.CAMPAIGN, list__is_deleted=False
    )
    rows = ended.order_by("since", "list__position").values_list("ended_with", "list")
    found: dict[int, int] = {}
    for operation, contact_list in rows:
        found.setdefault(operation, contact_list)
    return found


def _placements(rows: QuerySet[ListOperation]) -> Found:
    standing, left_alone = _sorted(
        rows.filter(kind=BatchKind.PLACE),
        [
            *checking.against_releasing(),
            Objection(
                "no longer on the list they were placed on, or on another too",
                checking.not_only_on("item__target_list"),
            ),
        ],
    )
    return [
        Deed(contact, ItemAction.RELEASE, source=target, undoes=item)
        for contact, item, target in standing.values_list("contact", "item", "item__target_list")
    ], left_alone


def _moves(rows: QuerySet[ListOperation]) -> Found:
    """Whole moves go back; of one that never got to its end, the list that was joined is left again."""
    moves = rows.filter(kind=BatchKind.MOVE_IN)
    whole, left_alone = _sorted(
        moves.filter(item__status=ItemStatus.EXECUTED),
        [
            *checking.against_moving_back(),
            Objection(
                "no longer on the list they were moved to, or on another too",
                checking.not_only_on("item__target_list"),
            ),
        ],
    )
    half = moves.exclude(item__status__in=[ItemStatus.EXECUTED, ItemStatus.PROPOSED])
    legs = ("contact", "item", "item__source_list", "item__target_list")
    return [
        *(
            Deed(contact, ItemAction.MOVE, source=came_to, target=came_from, undoes=item)
            for contact, item, came_from, came_to in whole.values_list(*legs)
        ),
        *(
            Deed(contact, ItemAction.TAKE_OFF, source=came_to, undoes=item)
            for contact, item, _, came_to in half.values_list(*legs)
        ),
    ], left_alone


def nothing_done(run: ListMaintenanceLog) -> bool:
    """Whether the run changed nobody, so that there was never anything to undo."""
    done = [OperationStatus.APPLIED, OperationStatus.UNDONE]
    return not ListOperation.objects.filter(batch__run=run, kind__in=FORWARD, status__in=done).exists()


# --- Single suppressions -----------------------------------------------------------------------------


def of_contacts(contacts: QuerySet[Contact]) -> Plan:
    """What lifting the standing suppressions of these contacts does now: each goes back to where it was.

    A contact who is not suppressed is left alone, and said so.
    """
    plan = Plan()
    standing = ContactSuppressionHistory.objects.standing().filter(contact__in=contacts.values("pk"))
    known = set(standing.values_list("contact", flat=True))
    if strangers := sorted(set(contacts.values_list("pk", flat=True)) - known):
        plan.left_alone["not suppressed"] = strangers
    in_hand = DecisionItem.objects.filter(
        contact=OuterRef("contact"),
        action=ItemAction.RESTORE,
        status=ItemStatus.PROPOSED,
        decision__status__in=EXECUTABLE,  # what people are only asked about is in nobody's hand
    )
    plan.under_way = list(standing.filter(Exists(in_hand)).values_list("contact", flat=True))
    free, left_alone = _sorted(standing.filter(~Exists(in_hand)), _against_lifting())
    plan.left_alone |= left_alone
    free = free.order_by("-at", "-pk")
    operations = ListOperation.objects.filter(pk__in=free.filter(operation__isnull=False).values("operation"))
    places = _places_before(operations)
    plan.deeds = [
        Deed(contact, ItemAction.RESTORE, target=places.get(operation or 0), undoes=item)
        for contact, item, operation in free.values_list("contact", "item", "operation")
    ]
    plan.still_blocked = probably_blocked([deed.contact for deed in plan.deeds]).count()
    return plan


def _against_lifting() -> Iterable[Objection]:
    yield from checking.against_lifting()
    yield Objection(
        "on a campaign list already: reconciliation asks what becomes of that", checking.on_a_campaign_list()
    )


# --- Who has to wait ---------------------------------------------------------------------------------


def must_wait(deeds: Sequence[Deed], *, at: datetime) -> set[int]:
    """Contacts whose deed would break P5 before the cycle under way has ended.

    A move always would, as far as anybody knows. Whoever had the cycle's message joins no list that is
    still to get it; whoever was on a list when the cycle began stays until it had its message.
    """
    if rotation.moves_allowed(at=at):
        return set()
    awaited = rotation.awaited(at=at)
    addressed = rotation.addressed(
        [deed.contact for deed in deeds if deed.action is ItemAction.RESTORE and deed.target in awaited],
        at=at,
    )
    kept = _kept_by_the_cycle({deed.source for deed in deeds if deed.action is ItemAction.RELEASE}, at=at)
    return {
        deed.contact
        for deed in deeds
        if deed.action is ItemAction.MOVE
        or (deed.action is ItemAction.RESTORE and deed.contact in addressed)
        or (deed.action is ItemAction.RELEASE and deed.contact in kept)
    }


def _kept_by_the_cycle(lists: Collection[int | None], *, at: datetime) -> set[int]:
    named = ContactList.objects.filter(pk__in=[pk for pk in lists if pk is not None])
    return {
        contact
        for each in named
        for contact in rotation.awaiting_its_message(each, at=at).values_list("contact", flat=True)
    }


def deeds_left(items: QuerySet[DecisionItem]) -> list[Deed]:
    """Items of an undo as what they do."""
    legs = ("contact", "action", "source_list", "target_list", "undoes")
    return [
        Deed(contact, ItemAction(action), source=source, target=target, undoes=undoes)
        for contact, action, source, target, undoes in items.values_list(*legs)
    ]


# --- Deliverability ----------------------------------------------------------------------------------


def probably_blocked(contacts: Collection[int] | QuerySet[DecisionItem, int]) -> QuerySet[Contact]:
    """Those whom Mailjet probably still refuses by itself: lifting a suppression does not change that.

    Mailjet blocks an address after a hard bounce, until its support lifts it: those it has refused since, and
    those who bounced hard and were not delivered to later.
    """
    delivered = CampaignRecipient.objects.filter(
        contact=OuterRef("recipient__contact"), outcome=Outcome.DELIVERED, outcome_at__gt=OuterRef("at")
    )
    hard = Bounce.objects.filter(recipient__contact=OuterRef("pk"), permanent=True).filter(~Exists(delivered))
    return Contact.objects.filter(pk__in=contacts, email__isnull=False).filter(
        Q(blocked_since__isnull=False) | Q(Exists(hard))
    )


def counted(left_alone: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """How many contacts each reason is about, the most frequent first."""
    return dict(Counter({why: len(contacts) for why, contacts in left_alone.items()}).most_common())
