"""Presence and consent before a batch: its lists are read, or its contacts where that takes fewer requests.

A list is read once a run while what is known of it is fresh (`mirror.fresh_for`), its memberships alone where
they are enough. A batch of few contacts on large lists asks for each contact's own lists instead.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from listmanagement.models import (
    BatchStatus,
    ContactList,
    ContactListMembership,
    ListOperation,
    OperationBatch,
    OperationStatus,
)
from listmanagement.workflows import mirror
from listmanagement.workflows.changes import seeing, whereabouts
from listmanagement.workflows.running.steps import Hand

KNOWN_FOR = timedelta(days=1)
"""How old addresses and exclusions may be where only presence and opt-outs decide."""


@dataclass(frozen=True)
class Needs:
    """What has to be fresh before a batch: who is on which list, and of some lists the contacts, too."""

    members: Sequence[ContactList] = ()
    contacts: Sequence[ContactList] = ()
    leaves: Sequence[ContactList] = ()
    """Whose opt-outs must not be older than ten minutes, however long a reading counts: who is taken off a
    list is forgotten there."""


def read(hand: Hand, batch: OperationBatch, *, needs: Needs) -> None:
    """Bring the mirror in line as far as this batch needs it. Raises MailjetError."""
    now, mailjet = hand.now, hand.outside.mailjet
    fresh = mirror.fresh_for(mailjet=mailjet)
    requests = _requests(needs.members, since=now - fresh, known_since=now - KNOWN_FOR)
    requests += _requests(needs.contacts, since=now - fresh, known_since=now - fresh)
    for each in needs.leaves:
        if each.read_at is not None and now - fresh <= each.read_at < now - mirror.FRESH_FOR:
            seeing.notice_opt_outs(each, mailjet=mailjet, now=now)
    if not requests:
        return
    if _to_come(batch) * (2 if needs.contacts else 1) < requests:
        _ask_each(hand, batch, needs=needs)
        return
    mirror.refresh_stale(needs.members, mailjet=mailjet, now=now, members=fresh, contacts=KNOWN_FOR)
    mirror.refresh_stale(needs.contacts, mailjet=mailjet, now=now, members=fresh, contacts=fresh)


def _requests(lists: Collection[ContactList], *, since: datetime, known_since: datetime) -> int:
    """How many requests bringing these lists up to date takes."""
    return sum(_readings(each, since=since, known_since=known_since) * seeing.pages(each) for each in lists)


def _readings(contact_list: ContactList, *, since: datetime, known_since: datetime) -> int:
    """How often it would be paged through: for nothing, for its members, or for their contacts, too."""
    if contact_list.contacts_read_at is None or contact_list.contacts_read_at < known_since:
        return 2
    return int(contact_list.read_at is None or contact_list.read_at < since)


def _to_come(batch: OperationBatch) -> int:
    """Contacts of the run that the same reading would serve: all that batches of this kind still wait for."""
    return ListOperation.objects.filter(
        batch__run=batch.run_id,
        batch__status=BatchStatus.INTENDED,
        kind=batch.kind,
        status=OperationStatus.INTENDED,
    ).count()


# --- Contact by contact ------------------------------------------------------------------------------


def _ask_each(hand: Hand, batch: OperationBatch, *, needs: Needs) -> None:
    """Ask for each contact's own lists, and for the contact itself where that decides, too.

    Who is on no list any more may be known to Mailjet by another id: they are asked for by address.
    """
    operations = batch.operations.filter(status=OperationStatus.INTENDED)
    contacts, mailjet = dict(operations.values_list("contact", "contact__email")), hand.outside.mailjet
    whereabouts.refresh(contacts, mailjet=mailjet, now=hand.now)
    current = ContactListMembership.objects.current().filter(contact__in=contacts)
    listed = set(current.values_list("contact", flat=True))
    gone = [address for key, address in contacts.items() if key not in listed and address is not None]
    found = [seeing.contact_at(address, mailjet=mailjet) for address in gone]
    found += [mailjet.contact(key) for key in contacts if needs.contacts and key in listed]
    with hand.lease.writing():
        mirror.keep_contacts({each.id: each for each in found if each is not None}, now=hand.now)
