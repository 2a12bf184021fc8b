"""A move between its two batches: the contacts are in, and not yet out.

Before they are taken off one list, two things are looked at afresh. Has a send begun that addressed them
through their source? Then they stay there and leave the target instead. Who has opted out, on either list,
is unsubscribed on the list they stay on first: a membership that is removed takes its memory with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Coalesce, NullIf

from integrations.mailjet import Action
from listmanagement.domain import cycle
from listmanagement.domain.telling import people
from listmanagement.models import (
    AnswerSource,
    BatchChange,
    BatchKind,
    ContactList,
    ContactListMembership,
    Decision,
    DecisionGroup,
    DecisionItem,
    DecisionKind,
    DecisionStatus,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    ListOperation,
    OperationBatch,
    OperationStatus,
)
from listmanagement.workflows import campaigns, mirror, permission, rotation
from listmanagement.workflows.campaigns import sends
from listmanagement.workflows.changes import batches, inverse, seeing, whereabouts
from listmanagement.workflows.permission import NotYet
from listmanagement.workflows.running.steps import Hand

LOOKED_AT_FOR = timedelta(minutes=2)
"""How long a reading of both lists lets contacts leave one of them; longer where the reading takes long."""

UNKNOWN_FOR = timedelta(minutes=1)
"""How long before our request a send may have begun that our last look at the sends did not show."""


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


def turn_if_addressed(hand: Hand, batch: OperationBatch) -> NotYet | None:
    """Have the contacts leave the target, where a send of the source has begun since they came in.

    So do those whom a send of the target has missed, since it began before they were there. Who that is, its
    messages tell: while it goes out, nobody leaves.
    """
    found = legs(batch)
    if batch.attempt or found.is_turned:
        return None
    arrival = way_in(batch)
    since = _since(arrival)
    if is_return(batch) and arrival.sending_at is not None:
        since = arrival.sending_at  # they go back for what began before
    later = [a_round for a_round in permission.rounds_of(found.leaves) if _starts(a_round) >= since]
    operations = batch.operations.filter(status=OperationStatus.INTENDED)
    if not cycle.between_cycles((), later, at=hand.now):
        _turn(hand, batch, operations, found)
        return None
    early = found.stays.campaigns.filter(
        started_at__gte=since, started_at__lte=arrival.settled_at or hand.now
    )
    if not early.exists():
        return None
    reached = sends.reached(early, mailjet=hand.outside.mailjet, now=hand.now)
    if isinstance(reached, NotYet):
        return reached
    _turn(hand, batch, operations.exclude(contact__in=reached.values("contact")), found)
    return None


def may_turn_back(hand: Hand, batch: OperationBatch) -> bool:
    """Whether who came in, and cannot be taken off the source, may go back: not once a send has addressed
    them through the target (P5)."""
    if batch.kind != BatchKind.MOVE_OUT:
        return False
    found = legs(batch)
    if found.is_turned:
        return False
    since = _since(way_in(batch))
    later = [a_round for a_round in permission.rounds_of(found.stays) if _starts(a_round) >= since]
    return cycle.between_cycles((), later, at=hand.now)


def turn_back(batch: OperationBatch, *, why: str) -> None:
    """Have who is on both lists leave the target again, by a batch of its own. Under the run's lease."""
    found = legs(batch)
    left = batch.operations.filter(status=OperationStatus.INTENDED)
    left = left.filter(item__operations__in=ListOperation.objects.arrived())
    if not left.exists():
        return
    back = batches.add(batch.run, BatchKind.MOVE_OUT, (), [(found.stays, Action.REMOVE)])
    words = f"could not be taken off {found.leaves.name} ({why}): stays there, off {found.stays.name} again"
    DecisionItem.objects.filter(operations__in=left).update(why=words)
    left.update(batch=back)


def _starts(a_round: cycle.Round) -> datetime:
    return a_round.starts_at or datetime.max.replace(tzinfo=UTC)


def _since(arrival: OperationBatch) -> datetime:
    """From when on a send may have addressed contacts on their way."""
    return (arrival.sending_at or arrival.run.created_at) - UNKNOWN_FOR


def way_in(batch: OperationBatch) -> OperationBatch:
    """The first batch of the move."""
    came_in = OperationBatch.objects.filter(
        kind=BatchKind.MOVE_IN, operations__item__operations__batch=batch
    ).distinct()
    return came_in.get()


def _turn(hand: Hand, batch: OperationBatch, operations: QuerySet[ListOperation], found: Legs) -> None:
    """Have these operations of the batch leave the target instead: all of it, or in a batch of their own."""
    turned = list(operations.values_list("pk", flat=True))
    with hand.lease.writing() as run:
        others = batch.operations.filter(status=OperationStatus.INTENDED).exclude(pk__in=turned)
        if not others.exists():
            BatchChange.objects.filter(batch=batch).update(list=found.stays)
        elif turned:
            changes = [(found.stays, Action.REMOVE)]
            apart = batches.add(run, BatchKind.MOVE_OUT, [], changes, after=batch.after)
            ListOperation.objects.filter(pk__in=turned).update(batch=apart)


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

    Batches that leave the same lists share a reading for two minutes, or for as long as three such readings
    take. Opt-outs are never older than two minutes: what is taken off a list is forgotten.
    """
    mailjet = hand.outside.mailjet
    shared_for = max(LOOKED_AT_FOR, mirror.READINGS * mailjet.time_for(sum(map(seeing.pages, lists))))
    operations = batch.operations.filter(status=OperationStatus.INTENDED)
    contacts = list(operations.values_list("contact", flat=True))
    since = max(hand.now - shared_for, way_in(batch).settled_at or hand.now)
    stale = [each for each in lists if each.read_at is None or each.read_at < since]
    if len(contacts) < sum(map(seeing.pages, stale)):
        whereabouts.refresh(contacts, mailjet=mailjet, now=hand.now)
        return
    mirror.refresh_members(stale, mailjet=mailjet, now=hand.now)
    for each in lists:
        if each not in stale and each.read_at is not None and each.read_at < hand.now - LOOKED_AT_FOR:
            seeing.notice_opt_outs(each, mailjet=mailjet, now=hand.now)


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
    arrived = ListOperation.objects.arrived().filter(item=OuterRef("pk"))
    items = DecisionItem.objects.filter(
        operations__batch=batch,
        operations__status=OperationStatus.INTENDED,
        contact__opted_out_at__isnull=False,
        contact__email__isnull=False,
    )
    return list(items.filter(Exists(subscribed), Exists(arrived), ~Exists(carried)).order_by("position"))


# --- A send that began as they changed lists -------------------------------------------------------------

MEANWHILE = "a send began, unknown to us, while they changed lists"


def returns() -> Q:
    """Of items: those that take back a move of their own run."""
    return Q(undoes__decision__run=F("decision__run"))


def is_return(batch: OperationBatch) -> bool:
    """Whether the batch brings contacts back whom a send reached on the list that they were leaving."""
    return DecisionItem.objects.filter(returns(), operations__batch=batch).exists()


def bring_back(hand: Hand, batch: OperationBatch) -> NotYet | None:
    """Once its contacts have left: whom a send, unknown to us until then, reached on the list that they left
    goes back there; so does whom one of the list that they joined has missed.

    Else the other list's round would reach them again, or nothing would. None where nobody has to, or it is
    journaled.
    """
    if not batch.operations.filter(status=OperationStatus.APPLIED).exists():
        return None
    found = legs(batch)
    if found.is_turned or is_return(batch):
        return None
    campaigns.notice_begun(mailjet=hand.outside.mailjet, now=hand.now)
    back = _to_bring_back(hand, batch, found)
    if isinstance(back, NotYet):
        return back
    with hand.lease.writing() as run:
        _journal_return(run, list(back.order_by("position")), found, now=hand.now)
    return None


def _to_bring_back(hand: Hand, batch: OperationBatch, found: Legs) -> QuerySet[DecisionItem] | NotYet:
    """Who has left by the batch and has to go back, as the messages of the sends since they came in tell."""
    gone = DecisionItem.objects.filter(
        operations__batch=batch, operations__status=OperationStatus.APPLIED, undone_by=None
    )
    arrival, awaited = way_in(batch), rotation.awaited(at=hand.now)
    since = _since(arrival)
    late = found.leaves.campaigns.filter(started_at__gte=since)
    if found.stays.pk in awaited and late.exists():
        reached = sends.reached(late, mailjet=hand.outside.mailjet, now=hand.now)
        return reached if isinstance(reached, NotYet) else gone.filter(contact__in=reached.values("contact"))
    early = found.stays.campaigns.filter(started_at__gte=since, started_at__lte=arrival.settled_at)
    if found.leaves.pk in awaited and early.exists():
        reached = sends.reached(early, mailjet=hand.outside.mailjet, now=hand.now)
        return reached if isinstance(reached, NotYet) else gone.exclude(contact__in=reached.values("contact"))
    return gone.none()


def _journal_return(
    run: ListMaintenanceLog, items: Sequence[DecisionItem], found: Legs, *, now: datetime
) -> None:
    """Into one decision of the run's own, since nobody decided it, with the two batches of a move."""
    if not items:
        return
    decision, _ = Decision.objects.get_or_create(
        run=run,
        kind=DecisionKind.RETURN,
        defaults={
            "status": DecisionStatus.CLEAR,
            "title": "Back on the lists that they had left when a send began",
            "source": AnswerSource.RULES,
            "confidence": 1.0,
            "rationale": "Where they are now this cycle's message would reach them twice, or never.",
            "created_at": now,
        },
    )
    ways = decision.groups.count()
    group = DecisionGroup.objects.create(
        decision=decision,
        position=ways + 1,
        key=f"back:{found.stays.pk}:{found.leaves.pk}:{ways + 1}",
        action=ItemAction.MOVE,
        title=f"{people(len(items))} back on {found.leaves.name}: {MEANWHILE}",
        contacts=len(items),
        share=0.0,
        confidence=1.0,
    )
    back = [
        DecisionItem(
            contact_id=item.contact_id, source_list=found.stays, target_list=found.leaves, undoes=item
        )
        for item in items
    ]
    group.fill(back, after=decision.items.count())
    batches.add_move(run, back)


# --- The end ---------------------------------------------------------------------------------------------


def conclude(batch: OperationBatch, operations: Sequence[int], now: datetime) -> None:
    """These contacts have left one of their two lists: moved, or taken back. Under the run's lease."""
    del now
    found, items = legs(batch), DecisionItem.objects.filter(operations__in=operations)
    if not found.is_turned:
        items.update(status=ItemStatus.EXECUTED)
        inverse.note_undone(operations)
        returned = DecisionItem.objects.filter(undone_by__in=items, decision__run=batch.run_id)
        returned.update(status=ItemStatus.DROPPED, why=f"{MEANWHILE}: back on {found.stays.name}")
        return
    arrivals = ListOperation.objects.filter(kind=BatchKind.MOVE_IN, item__operations__in=operations)
    arrivals.update(status=OperationStatus.UNDONE)
    began = Value(f"a send began before the move was complete: stays on {found.stays.name}")
    items.update(status=ItemStatus.DROPPED, why=Coalesce(NullIf("why", Value("")), began))
