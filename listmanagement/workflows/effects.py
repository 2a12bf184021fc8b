"""What a batch may still do, contact by contact, and what it is seen to have done.

Before a batch: presence and consent, read from Mailjet at most ten minutes ago; whoever was delivered
to, opted out, was held or is gone since drops out, and the row says so. After it: the lists are read
back, and only what they show is applied here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.db.models import Min, Q

from integrations.mailjet import Action, Member
from listmanagement.domain.bounces import Outcome
from listmanagement.domain.holds import HoldEnd
from listmanagement.models import (
    BatchKind,
    Change,
    Contact,
    ContactList,
    ContactListMembership,
    ContactSuppressionHistory,
    DecisionItem,
    Hold,
    ItemStatus,
    ListOperation,
    OperationBatch,
    OperationStatus,
    Protection,
    Role,
    SuppressionKind,
)
from listmanagement.workflows import consent_due, evidence, mirror, moves, rotation, whereabouts
from listmanagement.workflows.steps import Hand

AT_ONCE = 100  # operations applied in one transaction

Members = Mapping[int, Member]  # by contact id
Refusal = Callable[[Hand, ListOperation], str | None]


# --- Before ------------------------------------------------------------------------------------------


def check_each(hand: Hand, batch: OperationBatch) -> None:
    """Read what is stale, then drop every operation that must not be done any more, with the reason."""
    if batch.kind in _OF_CONSENT:
        _read_contacts(hand, batch)
    else:
        mirror.refresh_stale(_lists_to_read(batch), mailjet=hand.outside.mailjet, now=hand.now)
    if batch.kind == BatchKind.SUPPRESS:
        _read_later_outcomes(hand, batch)
    refusal = _REFUSALS[BatchKind(batch.kind)]
    operations = batch.operations.filter(status=OperationStatus.INTENDED)
    found = [
        (operation, refusal(hand, operation))
        for operation in operations.select_related(
            "contact", "batch", "item__decision", "item__evidence__recipient"
        )
    ]
    with hand.lease.writing():
        for operation, why in found:
            if why is not None:
                _drop(operation, why=why)


def _read_later_outcomes(hand: Hand, batch: OperationBatch) -> None:
    """Fetch what was sent since the evidence: a delivery that nobody has read yet counts, too."""
    evidence_at = batch.operations.aggregate(at=Min("item__evidence__at"))["at"]
    evidence.fetch_unseen(since=evidence_at, mailjet=hand.outside.mailjet, now=hand.now)


_OF_CONSENT = (BatchKind.UNSUBSCRIBE, BatchKind.COMPLAINT)
LOOKED_AT_FOR = timedelta(minutes=2)
"""How long what the consent run saw of its contacts counts as fresh."""


def _read_contacts(hand: Hand, batch: OperationBatch) -> None:
    """The consent run has just looked where its contacts are: again only where that was some time ago."""
    contacts = batch.operations.filter(status=OperationStatus.INTENDED).values_list("contact", flat=True)
    decided = DecisionItem.objects.filter(operations__batch=batch).aggregate(at=Min("decision__created_at"))
    if not batch.attempt and decided["at"] is not None and hand.now - decided["at"] < LOOKED_AT_FOR:
        return
    whereabouts.look(list(contacts), mailjet=hand.outside.mailjet, now=hand.now)


def _lists_to_read(batch: OperationBatch) -> Sequence[ContactList]:
    """Where presence and consent stand. New contacts come from the master list."""
    roles = [Role.CAMPAIGN, Role.SUPPRESSION]
    if batch.kind == BatchKind.PLACE:
        roles.append(Role.MASTER)
    return list(ContactList.objects.filter(role__in=roles))


def _why_not_suppress(hand: Hand, operation: ListOperation) -> str | None:
    contact, proof = operation.contact, operation.item.evidence
    assert proof is not None
    if contact.email is None:
        return "the address moved to a new contact at Mailjet: that one is judged by itself"
    if contact.suppressions.standing().exists():
        return "already suppressed"
    if contact.opted_out_at is not None:
        return "opted out meanwhile: taking them off the list would lose that at Mailjet"
    if proof.spent_at is not None:
        return "the suppression on this evidence was lifted meanwhile"
    later = contact.received.filter(outcome=Outcome.DELIVERED, outcome_at__gt=proof.at)
    if later.exists() or proof.recipient.outcome == Outcome.DELIVERED:
        return "was delivered to meanwhile"
    if operation.batch.attempt == 0 and not _is_on_a_campaign_list(contact):
        return "no longer on a campaign list at Mailjet"  # after a try of ours, that may be our own doing
    return _why_waits(contact, since=operation.item.decision.created_at)


def _why_waits(contact: Contact, *, since: datetime) -> str | None:
    """Whether people or fresh evidence asked since the decision that this contact be left alone."""
    holds = Hold.objects.standing().filter(since__gt=since)
    if holds.filter(Q(contact=contact) | Q(host=contact.domain)).exists():
        return "held meanwhile"
    named = Protection.objects.filter(at__gt=since, value__in=[contact.domain, (contact.email or "").lower()])
    return "protected meanwhile" if named.exists() else None


def _is_on_a_campaign_list(contact: Contact) -> bool:
    here = contact.memberships.current().filter(list__role=Role.CAMPAIGN, missing_since=None)
    return bool(here.exists())


def _why_not_place(hand: Hand, operation: ListOperation) -> str | None:
    contact = operation.contact
    if (why := _why_not_mailable(contact)) is not None:
        return why
    on_master = contact.memberships.current().filter(list__role=Role.MASTER, missing_since=None)
    if not on_master.exists():
        return "no longer on the master list at Mailjet"
    elsewhere = contact.memberships.current().filter(list__role__in=[Role.CAMPAIGN, Role.SUPPRESSION])
    return "already on another list" if elsewhere.exists() else None


def _why_not_move_in(hand: Hand, operation: ListOperation) -> str | None:
    contact, item = operation.contact, operation.item
    if not rotation.moves_allowed(at=hand.now):
        return "a cycle is under way: contacts move only between cycles"
    if (why := _why_not_mailable(contact)) is not None:
        return why
    if not _is_present(contact, item.source_list_id):
        return "no longer on the list it would leave"
    others = contact.memberships.current().filter(list__role__in=[Role.CAMPAIGN, Role.SUPPRESSION])
    if others.exclude(list_id=item.source_list_id).exists():
        return "already on another list"
    if rotation.to_be_suppressed().filter(contact=contact).exists():
        return "to be suppressed: whoever decides on that expects to find the contact where it is"
    holds = Hold.objects.standing().filter(Q(contact=contact) | Q(host=contact.domain))
    return "held meanwhile" if holds.exists() else None


def _why_not_move_out(hand: Hand, operation: ListOperation) -> str | None:
    """Off one list only who is seen on the other, and whose opt-out, if any, is repeated there."""
    contact, legs = operation.contact, moves.legs(operation.batch)
    arrived = ListOperation.objects.filter(
        item=operation.item, kind=BatchKind.MOVE_IN, status=OperationStatus.APPLIED
    )
    if not arrived.exists():
        return "did not arrive on the other list, so stays on this one"
    if contact.email is None:
        return "the address moved to a new contact at Mailjet: that one is where people put it"
    if not _is_present(contact, legs.stays.pk):
        return f"no longer on {legs.stays.name} at Mailjet, so stays on {legs.leaves.name}"
    if operation.batch.attempt == 0 and not _is_present(contact, legs.leaves.pk):
        return f"somebody else took the contact off {legs.leaves.name}"
    if contact.opted_out_at is not None and moves.is_subscribed(operation, legs.stays):
        return f"opted out, which could not be repeated on {legs.stays.name}: stays on {legs.leaves.name}"
    return None


def _why_not_carry_opt_out(hand: Hand, operation: ListOperation) -> str | None:
    if operation.contact.email is None:
        return "the address moved to a new contact at Mailjet"
    [contact_list] = ContactList.objects.filter(changes__batch=operation.batch)
    if not _is_present(operation.contact, contact_list.pk):
        return f"no longer on {contact_list.name} at Mailjet"
    return None


def _why_not_unsubscribe(hand: Hand, operation: ListOperation) -> str | None:
    """An `unsub` where somebody is no member might make one: it is sent for exactly the lists they are on."""
    del hand
    contact = operation.contact
    if contact.email is None:
        return "the address moved to a new contact at Mailjet: that one is looked at by itself"
    if contact.complained_at is not None:
        return "complained meanwhile: suppressed instead"
    for contact_list in ContactList.objects.filter(changes__batch=operation.batch_id):
        if not _is_present(contact, contact_list.pk):
            return f"no longer on {contact_list.name} at Mailjet: looked at where they are now"
    here = contact.memberships.active().filter(list__changes__batch=operation.batch_id)
    return None if here.exists() else "unsubscribed there already"


def _why_not_for_complaint(hand: Hand, operation: ListOperation) -> str | None:
    del hand
    if operation.contact.email is None:
        return "the address moved to a new contact at Mailjet: that one is looked at by itself"
    due = consent_due.complaints().filter(pk=operation.contact_id)
    return None if due.exists() else "off the campaign lists and suppressed already"


def _why_not_mailable(contact: Contact) -> str | None:
    if contact.email is None:
        return "the address moved to a new contact at Mailjet"
    if contact.opted_out_at is not None:
        return "opted out"
    if contact.complained_at is not None:
        return "complained"
    if contact.excluded:
        return "excluded from campaigns at Mailjet"
    return "suppressed" if contact.suppressions.standing().exists() else None


def _is_present(contact: Contact, list_id: int | None) -> bool:
    return contact.memberships.current().filter(list_id=list_id, missing_since=None).exists()


_REFUSALS: Mapping[BatchKind, Refusal] = {
    BatchKind.SUPPRESS: _why_not_suppress,
    BatchKind.PLACE: _why_not_place,
    BatchKind.MOVE_IN: _why_not_move_in,
    BatchKind.MOVE_OUT: _why_not_move_out,
    BatchKind.CARRY_OPT_OUT: _why_not_carry_opt_out,
    BatchKind.UNSUBSCRIBE: _why_not_unsubscribe,
    BatchKind.COMPLAINT: _why_not_for_complaint,
}


def _drop(operation: ListOperation, *, why: str) -> None:
    """Leave an operation out, and say why. The first word on its item stands."""
    _end(operation, OperationStatus.DROPPED, ItemStatus.DROPPED, why=why)


def fail(operation: ListOperation, *, why: str) -> None:
    """Give an operation up, and say why. The first word on its item stands."""
    _end(operation, OperationStatus.FAILED, ItemStatus.FAILED, why=why)


def _end(operation: ListOperation, status: OperationStatus, of_item: ItemStatus, *, why: str) -> None:
    operation.status, operation.why = status, why
    operation.save(update_fields=["status", "why"])
    proposed = DecisionItem.objects.filter(pk=operation.item_id, status=ItemStatus.PROPOSED)
    if operation.kind == BatchKind.CARRY_OPT_OUT and status is OperationStatus.DROPPED:
        return  # the move's own batch says what that means for it
    proposed.update(status=of_item, why=why)


# --- After -------------------------------------------------------------------------------------------


def verify(hand: Hand, batch: OperationBatch) -> None:
    """Read the touched lists back and apply here what they show. What they do not show stays intended."""
    operations = list(
        batch.operations.filter(status=OperationStatus.INTENDED)
        .select_related("contact", "item", "batch")
        .order_by("position")
    )
    changes = {change.list: Action(change.action) for change in batch.changes.select_related("list")}
    touched = {
        contact_list: action
        for contact_list, action in changes.items()
        if action is not Action.REMOVE or any(_leaves(operation, contact_list) for operation in operations)
    }
    seen = {contact_list: _members(hand, contact_list) for contact_list in touched}
    shown = [
        operation
        for operation in operations
        if all(_shows(seen[each], action, operation) for each, action in touched.items())
    ]
    for start in range(0, len(shown), AT_ONCE):
        with hand.lease.writing():  # not all at once: others wait for the run's row meanwhile
            _lock(changes)
            for operation in shown[start : start + AT_ONCE]:
                _apply(hand, operation, changes=changes)


def _lock(lists: Iterable[ContactList]) -> None:
    """No reading that began before is written down meanwhile: `mirror.refresh` locks its list, too."""
    keys = [contact_list.pk for contact_list in lists]
    list(ContactList.objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk"))


def _leaves(operation: ListOperation, contact_list: ContactList) -> bool:
    return operation.contact.memberships.current().filter(list=contact_list).exists()


def _members(hand: Hand, contact_list: ContactList) -> Members:
    pages = hand.outside.mailjet.members(contact_list.mailjet_id)
    return {member.contact_id: member for page in pages for member in page}


def _shows(members: Members, action: Action, operation: ListOperation) -> bool:
    member = members.get(operation.contact_id)
    match action:
        case Action.ADD:
            return member is not None
        case Action.REMOVE:
            return member is None
        case Action.UNSUBSCRIBE:
            return member is not None and member.unsubscribed


def _apply(hand: Hand, operation: ListOperation, *, changes: Mapping[ContactList, Action]) -> None:
    now = hand.now
    for contact_list, action in changes.items():
        if action is Action.REMOVE:
            _end_membership(operation, contact_list, now=now)
        elif action is Action.ADD:
            _begin_membership(operation, contact_list, now=now)
        else:
            current = operation.contact.memberships.current().filter(list=contact_list)
            current.update(unsubscribed=True, missing_since=None)
    operation.status, operation.applied_at = OperationStatus.APPLIED, now
    operation.save(update_fields=["status", "applied_at"])
    _CONCLUDE[BatchKind(operation.kind)](operation, now)


def _conclude_suppression(operation: ListOperation, now: datetime) -> None:
    _remember_suppression(operation, now=now)
    _end_hold(operation, now=now)
    _conclude_item(operation, now)


def _conclude_complaint(operation: ListOperation, now: datetime) -> None:
    """Remembered once: whoever was suppressed before, and put back on a list by somebody, stays so."""
    contact, item = operation.contact, operation.item
    if not contact.suppressions.standing().exists():
        ContactSuppressionHistory.objects.create(
            contact=contact,
            kind=SuppressionKind.CONSENT,
            at=now,
            reason=f"complained of spam; told by {contact.complained_by}",
            evidence=item.evidence,
            item=item,
            operation=operation,
            removed_from=item.source_list,
        )
    contact.holds.standing().update(ended_at=now, ended_how=HoldEnd.COMPLAINED)
    _conclude_item(operation, now)


def _end_hold(operation: ListOperation, *, now: datetime) -> None:
    """A contact's own hold has ended when the suppression that it led to is done, not when it is proposed."""
    proof = operation.item.evidence
    assert proof is not None
    how = HoldEnd.SECOND_HARD if proof.attempted else HoldEnd.REFUSED_LONG
    operation.contact.holds.standing().update(ended_at=now, ended_how=how)


def _conclude_item(operation: ListOperation, now: datetime) -> None:
    operation.item.status = ItemStatus.EXECUTED
    operation.item.save(update_fields=["status"])


def _go_on(operation: ListOperation, now: datetime) -> None:
    """A move is concluded when the contact has left one of its lists."""


_CONCLUDE: Mapping[BatchKind, Callable[[ListOperation, datetime], None]] = {
    BatchKind.SUPPRESS: _conclude_suppression,
    BatchKind.PLACE: _conclude_item,
    BatchKind.MOVE_IN: _go_on,
    BatchKind.CARRY_OPT_OUT: _go_on,
    BatchKind.MOVE_OUT: moves.conclude,
    BatchKind.UNSUBSCRIBE: _conclude_item,
    BatchKind.COMPLAINT: _conclude_complaint,
}


def _end_membership(operation: ListOperation, contact_list: ContactList, *, now: datetime) -> None:
    """End it as ours, also where readings since the request have ended it as somebody else's."""
    rows = ContactListMembership.objects.filter(contact=operation.contact, list=contact_list)
    ours = {"ended_by": Change.OPERATION, "ended_with": operation, "missing_since": None}
    rows.filter(until__gte=operation.batch.sending_at, ended_by=Change.PERSON).update(**ours)
    rows.current().update(until=now, **ours)


def _begin_membership(operation: ListOperation, contact_list: ContactList, *, now: datetime) -> None:
    """A new membership at the list's tail. One that a reading noticed before us is recognised as ours."""
    current = ContactListMembership.objects.current().filter(contact=operation.contact, list=contact_list)
    if current.update(began_by=Change.OPERATION, began_with=operation, missing_since=None):
        return
    ContactListMembership.objects.create(
        contact=operation.contact,
        list=contact_list,
        since=now,
        began_by=Change.OPERATION,
        began_with=operation,
        rank=mirror.next_rank(contact_list),
    )


def _remember_suppression(operation: ListOperation, *, now: datetime) -> None:
    item = operation.item
    ContactSuppressionHistory.objects.create(
        contact=operation.contact,
        kind=SuppressionKind.OURS,
        at=now,
        reason=item.group.title,
        evidence=item.evidence,
        item=item,
        operation=operation,
        removed_from=item.source_list,
    )
