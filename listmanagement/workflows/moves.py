"""A move between its two batches: the contacts are in, and not yet out.

Before they are taken off one list, two things are looked at afresh. Has a send begun that addressed them
through their source? Then they stay there and leave the target instead. Who has opted out, on either list,
is unsubscribed on the list they stay on first: a membership that is removed takes its memory with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Exists, Max, OuterRef

from integrations.mailjet import Action
from listmanagement.domain import cycle
from listmanagement.models import (
    BatchChange,
    BatchKind,
    ContactList,
    ContactListMembership,
    DecisionItem,
    ItemStatus,
    ListOperation,
    OperationBatch,
    OperationStatus,
)
from listmanagement.workflows import batches, inverse, mirror, permission, seeing, whereabouts
from listmanagement.workflows.permission import NotYet
from listmanagement.workflows.steps import Hand

LOOKED_AT_FOR = timedelta(minutes=2)
"""How long a reading of both lists lets contacts leave one of them."""


@dataclass(frozen=True)
class Legs:
    """Which list a move's second batch takes its contacts off, and which they stay on."""

    leaves: ContactList
    stays: ContactList
    is_turned: bool
    """They go back: a send of the source began before they had left it."""


def legs(batch: OperationBatch) -> Legs:
    """The two lists of a move's second batch, as its one change says."""
    leaves = batch.changes.select_related("list").get().list
    item = DecisionItem.objects.select_related("source_list", "target_list").filter(operations__batch=batch)[
        0
    ]
    assert item.source_list is not None
    assert item.target_list is not None
    if leaves == item.source_list:
        return Legs(leaves=leaves, stays=item.target_list, is_turned=False)
    return Legs(leaves=leaves, stays=item.source_list, is_turned=True)


def turn_if_addressed(hand: Hand, batch: OperationBatch) -> None:
    """Have the contacts leave the target, where a send of the source has begun since they came in."""
    found = legs(batch)
    if batch.attempt or found.is_turned:
        return
    since = _came_in_at(batch)
    later = [a_round for a_round in permission.rounds_of(found.leaves) if _starts(a_round) >= since]
    if not cycle.between_cycles((), later, at=hand.now):
        with hand.lease.writing():
            BatchChange.objects.filter(batch=batch).update(list=found.stays)


def _starts(a_round: cycle.Round) -> datetime:
    return a_round.starts_at or datetime.max.replace(tzinfo=UTC)


def _came_in_at(batch: OperationBatch) -> datetime:
    """When the first batch of the move was sent, or would have been."""
    came_in = OperationBatch.objects.filter(
        kind=BatchKind.MOVE_IN, operations__item__operations__batch=batch
    ).distinct()
    first = came_in.get()
    return first.sending_at or first.run.created_at


def not_ready(hand: Hand, batch: OperationBatch) -> NotYet | None:
    """Look at both lists afresh before anybody leaves one: None when everybody may."""
    found = legs(batch)
    _look_afresh(hand, batch, lists=[found.leaves, found.stays])
    if _carry_opt_outs(hand, batch, to=found.stays):
        return NotYet(hand.now, "opt-outs are repeated on the other list first")
    doubtful = ContactListMembership.objects.current().filter(
        list=found.stays,
        missing_since__isnull=False,
        contact__operations__batch=batch,
        contact__operations__status=OperationStatus.INTENDED,
    )
    if doubtful.exists():  # pages shift: one reading that misses somebody proves nothing
        return NotYet(hand.now + permission.ASKED_AGAIN_AFTER, f"{found.stays.name} is read once more")
    return None


def _look_afresh(hand: Hand, batch: OperationBatch, *, lists: Sequence[ContactList]) -> None:
    """Read where the contacts stand, after they came in: their own lists, or these two where that is less.

    Batches that leave the same lists share a reading for two minutes: what is taken off a list is forgotten.
    """
    operations = batch.operations.filter(status=OperationStatus.INTENDED)
    contacts = list(operations.values_list("contact", flat=True))
    came_in = OperationBatch.objects.filter(operations__item__operations__batch=batch, kind=BatchKind.MOVE_IN)
    arrived_at = came_in.aggregate(at=Max("settled_at"))["at"]
    since = max(hand.now - LOOKED_AT_FOR, arrived_at or hand.now)
    stale = [each for each in lists if each.read_at is None or each.read_at < since]
    if len(contacts) < sum(map(seeing.pages, stale)):
        whereabouts.refresh(contacts, mailjet=hand.outside.mailjet, now=hand.now)
        return
    for contact_list in stale:
        mirror.refresh_members(contact_list, mailjet=hand.outside.mailjet, now=hand.now)


# --- An opt-out meanwhile --------------------------------------------------------------------------------


def _carry_opt_outs(hand: Hand, batch: OperationBatch, *, to: ContactList) -> bool:
    """Have every opt-out repeated on the list that its contact stays on. Whether one has to be."""
    with hand.lease.writing() as run:
        late = _opted_out_late(batch, to=to)
        if late:
            carrying = batches.add(run, BatchKind.CARRY_OPT_OUT, late, [(to, Action.UNSUBSCRIBE)])
            OperationBatch.objects.filter(pk=batch.pk).update(after=carrying)
    return bool(late)


def _opted_out_late(batch: OperationBatch, *, to: ContactList) -> list[DecisionItem]:
    """Who has opted out and is still subscribed on the list they stay on, and was not carried before."""
    subscribed = ContactListMembership.objects.active().filter(
        contact=OuterRef("contact"), list=to, missing_since=None
    )
    carried = ListOperation.objects.filter(item=OuterRef("pk"), kind=BatchKind.CARRY_OPT_OUT)
    arrived = ListOperation.objects.filter(
        item=OuterRef("pk"), kind=BatchKind.MOVE_IN, status=OperationStatus.APPLIED
    )
    items = DecisionItem.objects.filter(
        operations__batch=batch,
        operations__status=OperationStatus.INTENDED,
        contact__opted_out_at__isnull=False,
        contact__email__isnull=False,
    )
    return list(items.filter(Exists(subscribed), Exists(arrived), ~Exists(carried)).order_by("position"))


# --- The end ---------------------------------------------------------------------------------------------


def conclude(batch: OperationBatch, operations: Sequence[int], now: datetime) -> None:
    """These contacts have left one of their two lists: moved, or taken back. Under the run's lease."""
    del now
    found, items = legs(batch), DecisionItem.objects.filter(operations__in=operations)
    if not found.is_turned:
        items.update(status=ItemStatus.EXECUTED)
        inverse.note_undone(operations)
        return
    way_in = ListOperation.objects.filter(kind=BatchKind.MOVE_IN, item__operations__in=operations)
    way_in.update(status=OperationStatus.UNDONE)
    why = f"a send of {found.stays.name} began before the move was complete: stays there"
    items.update(status=ItemStatus.DROPPED, why=why)
