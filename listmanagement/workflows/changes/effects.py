"""What a batch is seen to have done, and how each of its operations ends.

The lists are read back, once for all batches whose jobs have ended, and only what they show is applied here:
by the same few statements however many contacts it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from django.db import connection
from django.db.models import Exists, F, OuterRef, QuerySet, TextField, Value
from django.db.models.functions import Coalesce, Concat

from integrations.mailjet import Action
from listmanagement.domain.holds import HoldEnd
from listmanagement.models import (
    BatchKind,
    Change,
    Contact,
    ContactList,
    ContactListMembership,
    ContactSuppressionHistory,
    Decision,
    DecisionItem,
    Hold,
    ItemStatus,
    ListOperation,
    OperationBatch,
    OperationStatus,
    SuppressionKind,
)
from listmanagement.workflows import addresses, mirror
from listmanagement.workflows.changes import inverse, lifts, moves, seeing
from listmanagement.workflows.changes.seeing import Sight
from listmanagement.workflows.running.steps import Hand

AT_ONCE = 1000
"""Operations applied in one transaction: others wait for the run's row meanwhile."""

Changes = Mapping[ContactList, Action]
Keys = Sequence[int]
"""Operations of one batch, in their order."""


@dataclass(frozen=True)
class Asked:
    """One contact of a batch, as it is looked for."""

    operation: int
    contact: int
    """Who was meant."""
    now: int
    """Who has the address now: the same, or the contact that was made anew at Mailjet meanwhile."""
    stays_on: Mapping[int, bool] = field(default_factory=dict)
    """Lists, by our id, that they are still on since they said no, and whether unsubscribed there."""


# --- How an operation ends undone ------------------------------------------------------------------------


def drop(batch: OperationBatch, operations: Collection[int], *, why: str) -> None:
    """Leave these operations out, and say why. The first word on an item stands."""
    batch.operations.filter(pk__in=operations).update(status=OperationStatus.DROPPED, why=why)
    if batch.kind != BatchKind.CARRY_OPT_OUT:  # the move's own batch says what that means for it
        _proposed(operations).update(status=ItemStatus.DROPPED, why=why)


def fail(batch: OperationBatch, operations: Collection[int], *, why: str) -> None:
    """Give these operations up, and say why. The first word on an item stands."""
    batch.operations.filter(pk__in=operations).update(status=OperationStatus.FAILED, why=why)
    _proposed(operations).update(status=ItemStatus.FAILED, why=why)


def _proposed(operations: Collection[int]) -> QuerySet[DecisionItem]:
    return DecisionItem.objects.filter(operations__in=operations, status=ItemStatus.PROPOSED)


# --- Seen --------------------------------------------------------------------------------------------


def see(hand: Hand, batches: Sequence[OperationBatch]) -> None:
    """Read the touched lists back, once for all these batches, and apply here what they show.

    What they do not show stays intended. Raises MailjetError.
    """
    changes = {batch: _changes(batch) for batch in batches}
    asked = {batch: _asked(batch) for batch in batches}
    touched = [each for each in _all_lists(changes.values()) if _is_touched(each, changes)]
    _notice_opt_outs(hand, batches)
    contacts = {each.contact for group in asked.values() for each in group}
    sight = seeing.look(contacts, on=touched, mailjet=hand.outside.mailjet, now=hand.now)
    for batch in batches:
        if batch.kind == BatchKind.SUPPRESS:
            asked[batch] = _said_no_since(asked[batch], changes[batch], sight)
        shown = [each for each in asked[batch] if _is_shown(each, changes[batch], sight)]
        _apply_all(hand, batch, shown, changes=changes[batch])
        missing = [each for each in asked[batch] if not _is_shown(each, changes[batch], sight)]
        _recognise(hand, batch, missing, changes=changes[batch], sight=sight)


def _notice_opt_outs(hand: Hand, batches: Iterable[OperationBatch]) -> None:
    """Whoever opted out on the master list while a job put them on a list is noted now; consent follows (P2).

    Nobody reads that list again for a while; those who are unsubscribed there are a page or two.
    """
    if any(batch.kind in (BatchKind.PLACE, BatchKind.RESTORE) for batch in batches):
        seeing.notice_opt_outs(ContactList.objects.master(), mailjet=hand.outside.mailjet, now=hand.now)


def _changes(batch: OperationBatch) -> Changes:
    return {change.list: Action(change.action) for change in batch.changes.select_related("list")}


def _asked(batch: OperationBatch) -> list[Asked]:
    rows = batch.operations.filter(status=OperationStatus.INTENDED).order_by("position")
    return [Asked(key, contact, contact) for key, contact in rows.values_list("pk", "contact")]


def _all_lists(changes: Iterable[Changes]) -> Iterable[ContactList]:
    return dict.fromkeys(contact_list for each in changes for contact_list in each)


def _is_touched(contact_list: ContactList, changes: Mapping[OperationBatch, Changes]) -> bool:
    """Whether a batch put somebody there, or took somebody off it who is still here as a member."""
    named = [batch for batch, each in changes.items() if contact_list in each]
    if any(changes[batch][contact_list] is not Action.REMOVE for batch in named):
        return True
    leaving = ListOperation.objects.filter(
        batch__in=named, contact=OuterRef("contact"), status=OperationStatus.INTENDED
    )
    return contact_list.memberships.current().filter(Exists(leaving)).exists()


def _said_no_since(asked: Sequence[Asked], changes: Changes, sight: Sight) -> list[Asked]:
    """A suppressed contact who opted out while it was done is on that list again, or still.

    Unsubscribed there they get nothing, which is what was asked for; to take them off would lose their word
    at Mailjet. Whom somebody has subscribed again the consent run unsubscribes.
    """
    left = [each.pk for each, action in changes.items() if action is Action.REMOVE and each.pk in sight]
    there = {each.now for each in asked if any(each.now in sight[pk] for pk in left)}
    opted_out = Contact.objects.filter(pk__in=there, opted_out_at__isnull=False)
    said_no = set(opted_out.values_list("pk", flat=True))
    found = []
    for each in asked:
        here = {pk: sight[pk][each.now] for pk in left if each.now in sight[pk]}
        stays_on = {pk: is_out for pk, is_out in here.items() if is_out or each.now in said_no}
        found.append(replace(each, stays_on=stays_on))
    return found


def _is_shown(asked: Asked, changes: Changes, sight: Sight) -> bool:
    """Whether every list that was read shows what was asked for."""
    return all(
        contact_list.pk in asked.stays_on or _shows(sight[contact_list.pk], action, asked.now)
        for contact_list, action in changes.items()
        if contact_list.pk in sight
    )


def _shows(members: Mapping[int, bool], action: Action, contact: int) -> bool:
    match action:
        case Action.ADD:
            return contact in members
        case Action.REMOVE:
            return contact not in members
        case Action.UNSUBSCRIBE:
            return members.get(contact, False)


# --- An address that belongs to another contact now ---------------------------------------------------


def _recognise(
    hand: Hand, batch: OperationBatch, missing: Sequence[Asked], *, changes: Changes, sight: Sight
) -> None:
    """Jobs go by address. Who was made anew at Mailjet meanwhile is found under another id, and noted.

    What holds for the address is applied in the name of the contact who was meant; also where a reading
    has noticed the new one before.
    """
    joined = next((each for each, action in changes.items() if action is not Action.REMOVE), None)
    if joined is None:
        return
    gone = {each.contact: each for each in missing if each.contact not in sight[joined.pk]}
    known = Contact.objects.filter(pk__in=gone).values_list("pk", Coalesce("email", "heir__email"))
    wanted = {key: address for key, address in known if address is not None}
    found = seeing.by_address(wanted, on=joined, mailjet=hand.outside.mailjet) if wanted else {}
    if not found:
        return
    with hand.lease.writing():
        mirror.keep_contacts({each.id: each for each in found.values()}, now=hand.now)
    heirs = [replace(gone[key], now=contact.id) for key, contact in found.items()]
    lists = [each for each in changes if each.pk in sight]
    theirs = seeing.look([each.now for each in heirs], on=lists, mailjet=hand.outside.mailjet, now=hand.now)
    _apply_all(hand, batch, [each for each in heirs if _is_shown(each, changes, theirs)], changes=changes)


# --- Applied -----------------------------------------------------------------------------------------


def lock(lists: Iterable[ContactList]) -> None:
    """No reading that began before is written down meanwhile: `mirror.refresh` locks its list, too."""
    keys = [contact_list.pk for contact_list in lists]
    list(ContactList.objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk"))


def _apply_all(hand: Hand, batch: OperationBatch, shown: Sequence[Asked], *, changes: Changes) -> None:
    for start in range(0, len(shown), AT_ONCE):
        with hand.lease.writing():
            lock(changes)
            _apply(batch, shown[start : start + AT_ONCE], changes=changes, now=hand.now)


def _apply(batch: OperationBatch, shown: Sequence[Asked], *, changes: Changes, now: datetime) -> None:
    keys = [each.operation for each in shown]
    for contact_list, action in changes.items():
        _ACT[action](batch, contact_list, shown, now)
    ListOperation.objects.filter(pk__in=keys).update(status=OperationStatus.APPLIED, applied_at=now)
    _CONCLUDE[BatchKind(batch.kind)](batch, keys, now)
    addresses.carry_over({each.contact: each.now for each in _heirs(shown)}, now=now)


_END = """
update listmanagement_contactlistmembership as membership
   set until = coalesce(until, greatest(since, %(now)s)), ended_by = 'operation', ended_with_id = operation,
       missing_since = null
  from unnest(%(contacts)s::bigint[], %(operations)s::bigint[]) as shown (contact, operation)
 where list_id = %(list)s and contact_id = contact
   and (until is null or ended_by = 'person' and until >= %(since)s)
"""
_BEGAN = """
update listmanagement_contactlistmembership as membership
   set began_by = 'operation', began_with_id = operation, missing_since = null
  from unnest(%(contacts)s::bigint[], %(operations)s::bigint[]) as shown (contact, operation)
 where list_id = %(list)s and contact_id = contact and until is null
returning contact_id
"""


def _end_memberships(
    batch: OperationBatch, contact_list: ContactList, shown: Sequence[Asked], now: datetime
) -> None:
    """End them as ours, also those that readings since the request have ended as somebody else's."""
    for is_out in (True, False):
        stay = [each.now for each in shown if each.stays_on.get(contact_list.pk) is is_out]
        staying = contact_list.memberships.current().filter(contact__in=stay)
        staying.update(unsubscribed=is_out, missing_since=None)
    shown = [each for each in shown if contact_list.pk not in each.stays_on]
    everybody = [*((each.contact, each) for each in shown), *((each.now, each) for each in _heirs(shown))]
    with connection.cursor() as cursor:
        cursor.execute(
            _END,
            {
                "list": contact_list.pk,
                "contacts": [contact for contact, _ in everybody],
                "operations": [each.operation for _, each in everybody],
                "since": batch.sending_at,
                "now": now,
            },
        )


def _begin_memberships(
    batch: OperationBatch, contact_list: ContactList, shown: Sequence[Asked], now: datetime
) -> None:
    """New memberships at the list's tail, in order. One that a reading noticed before us is known as ours."""
    del batch
    contacts, operations = [each.now for each in shown], [each.operation for each in shown]
    with connection.cursor() as cursor:
        cursor.execute(_BEGAN, {"list": contact_list.pk, "contacts": contacts, "operations": operations})
        noticed = {contact for (contact,) in cursor.fetchall()}
    first = mirror.next_rank(contact_list)
    ContactListMembership.objects.bulk_create(
        ContactListMembership(
            contact_id=each.now,
            list=contact_list,
            since=now,
            began_by=Change.OPERATION,
            began_with_id=each.operation,
            rank=first + n,
        )
        for n, each in enumerate(each for each in shown if each.now not in noticed)
    )


def _mark_unsubscribed(
    batch: OperationBatch, contact_list: ContactList, shown: Sequence[Asked], now: datetime
) -> None:
    del batch, now
    current = ContactListMembership.objects.current().filter(list=contact_list)
    current.filter(contact__in=[each.now for each in shown]).update(unsubscribed=True, missing_since=None)


_ACT: Mapping[Action, Callable[[OperationBatch, ContactList, Sequence[Asked], datetime], None]] = {
    Action.REMOVE: _end_memberships,
    Action.ADD: _begin_memberships,
    Action.UNSUBSCRIBE: _mark_unsubscribed,
}


def _heirs(shown: Iterable[Asked]) -> list[Asked]:
    """Those whose address belongs to another contact now."""
    return [each for each in shown if each.now != each.contact]


# --- Concluded ---------------------------------------------------------------------------------------


def _conclude_suppression(batch: OperationBatch, keys: Keys, now: datetime) -> None:
    operations = ListOperation.objects.filter(pk__in=keys)
    _remember(operations, kind=SuppressionKind.OURS, reason=F("item__group__title"), now=now)
    _end_holds(keys, now=now)
    _conclude_items(batch, keys, now)


def _conclude_complaints(batch: OperationBatch, keys: Keys, now: datetime) -> None:
    """Remembered once: whoever was suppressed before, and put back on a list by somebody, stays so."""
    operations = ListOperation.objects.filter(pk__in=keys)
    standing = ContactSuppressionHistory.objects.standing().filter(contact=OuterRef("contact"))
    said_by = "contact__complained_by"
    told = Concat(Value("complained of spam; told by "), said_by, output_field=TextField())
    _remember(operations.exclude(Exists(standing)), kind=SuppressionKind.CONSENT, reason=told, now=now)
    holds = Hold.objects.standing().filter(contact__in=operations.values("contact"))
    holds.update(ended_at=now, ended_how=HoldEnd.COMPLAINED)
    _conclude_items(batch, keys, now)


def _remember(
    operations: QuerySet[ListOperation], *, kind: SuppressionKind, reason: F | Concat, now: datetime
) -> None:
    """Write into the history whom these operations suppressed, in their order, and why."""
    rows = operations.annotate(reason=reason).order_by("position")
    ContactSuppressionHistory.objects.bulk_create(
        ContactSuppressionHistory(
            contact_id=contact,
            kind=kind,
            at=now,
            reason=words,
            evidence_id=evidence,
            item_id=item,
            operation_id=key,
            removed_from_id=source,
        )
        for key, contact, item, words, evidence, source in rows.values_list(
            "pk", "contact", "item", "reason", "item__evidence", "item__source_list"
        )
    )


def _end_holds(keys: Keys, *, now: datetime) -> None:
    """A contact's own hold has ended when the suppression that it led to is done, not when it is proposed."""
    for attempted, how in ((True, HoldEnd.SECOND_HARD), (False, HoldEnd.REFUSED_LONG)):
        contacts = ListOperation.objects.filter(pk__in=keys, item__evidence__attempted=attempted)
        standing = Hold.objects.standing().filter(contact__in=contacts.values("contact"))
        standing.update(ended_at=now, ended_how=how)


def _conclude_items(batch: OperationBatch, keys: Keys, now: datetime) -> None:
    del batch, now
    DecisionItem.objects.filter(operations__in=keys).update(status=ItemStatus.EXECUTED)
    inverse.note_undone(keys)


_OLD_PLACES = """
with old as (
  select distinct on (rank) rank, contact_id
    from (select distinct on (contact_id) contact_id, rank
            from listmanagement_contactlistmembership
           where list_id = %(list)s and until is not null
             and contact_id in (select contact_id from listmanagement_listoperation where id = any(%(keys)s))
           order by contact_id, until desc, id desc) as last
   order by rank, contact_id
)
update listmanagement_contactlistmembership as membership
   set rank = old.rank
  from old
 where membership.list_id = %(list)s and membership.contact_id = old.contact_id
   and membership.until is null and membership.began_with_id = any(%(keys)s)
   and not exists (select 1 from listmanagement_contactlistmembership as taken
                    where taken.list_id = %(list)s and taken.until is null and taken.rank = old.rank)
"""


def _conclude_putting_back(batch: OperationBatch, keys: Keys, now: datetime) -> None:
    """Whoever is put back has the old place in the list's order again, where nobody else has it now."""
    _give_old_places(batch, keys)
    _conclude_items(batch, keys, now)


def _give_old_places(batch: OperationBatch, keys: Keys) -> None:
    for joined in batch.changes.filter(action=Action.ADD):
        with connection.cursor() as cursor:
            cursor.execute(_OLD_PLACES, {"list": joined.list_id, "keys": list(keys)})


def _conclude_restoring(batch: OperationBatch, keys: Keys, now: datetime) -> None:
    """Their suppressions are lifted, by whoever asked for it, when they are seen to be off the list."""
    decision = (
        Decision.objects.select_related("reviewed_by").filter(items__operations__in=keys).distinct().get()
    )
    assert decision.reviewed_by is not None
    meant = set(ListOperation.objects.filter(pk__in=keys).values_list("contact", flat=True))
    arrived = ContactListMembership.objects.filter(began_with__in=keys).values_list("contact", flat=True)
    why = decision.note or f"approved in decision {decision.pk}"
    lift = partial(lifts.lift, by=decision.reviewed_by, why=why, now=now)
    lift(meant, decided_since=decision.created_at)
    heirs = {*arrived} - meant  # made anew at Mailjet since: they took the suppression over with the address
    lift(heirs, decided_since=now)
    _conclude_putting_back(batch, keys, now)


def _conclude_arrival(batch: OperationBatch, keys: Keys, now: datetime) -> None:
    """A move is concluded when the contact has left one of its lists. Who moves back has the old place."""
    del now
    undoing = ListOperation.objects.filter(pk__in=keys, item__undoes__isnull=False)
    _give_old_places(batch, list(undoing.values_list("pk", flat=True)))


def _go_on(batch: OperationBatch, keys: Keys, now: datetime) -> None:
    """An opt-out that is repeated says nothing about the move."""


_CONCLUDE: Mapping[BatchKind, Callable[[OperationBatch, Keys, datetime], None]] = {
    BatchKind.SUPPRESS: _conclude_suppression,
    BatchKind.PLACE: _conclude_items,
    BatchKind.MOVE_IN: _conclude_arrival,
    BatchKind.CARRY_OPT_OUT: _go_on,
    BatchKind.MOVE_OUT: moves.conclude,
    BatchKind.UNSUBSCRIBE: _conclude_items,
    BatchKind.COMPLAINT: _conclude_complaints,
    BatchKind.TAKE_OFF: _conclude_items,
    BatchKind.PUT_BACK: _conclude_putting_back,
    BatchKind.RESTORE: _conclude_restoring,
    BatchKind.RELEASE: _conclude_items,
}
