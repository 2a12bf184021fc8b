"""Brings contacts and memberships in line with what Mailjet says.

An opt-out is sticky: seen once, anywhere, it stays (P2). A row missing from one reading is not gone:
pages shift while others change the list. It is marked, and ends when a second reading misses it too.
Only differences are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Max, Q
from django.db.models.functions import Lower

from integrations.mailjet import Mailjet, MailjetContact, Member
from listmanagement.models import Change, Contact, ContactList, ContactListMembership

FRESH_FOR = timedelta(minutes=10)


@dataclass(frozen=True)
class Reading:
    """A list as Mailjet gave it: its members by contact id, and their contacts."""

    members: Mapping[int, Member]
    contacts: Mapping[int, MailjetContact]


def refresh(contact_list: ContactList, *, mailjet: Mailjet, now: datetime) -> None:
    """Read a list whole and bring the mirror in line. Raises MailjetError; nothing is half written."""
    members = {m.contact_id: m for page in mailjet.members(contact_list.mailjet_id) for m in page}
    contacts = {c.id: c for page in mailjet.contacts(contact_list.mailjet_id) for c in page}
    reading = Reading(members={key: m for key, m in members.items() if key in contacts}, contacts=contacts)
    with transaction.atomic():
        _keep_contacts(reading.contacts, now=now)
        _keep_memberships(contact_list, reading, now=now)
        ContactList.objects.filter(pk=contact_list.pk).update(read_at=now)


def refresh_stale(lists: Iterable[ContactList], *, mailjet: Mailjet, now: datetime) -> None:
    """Read those lists whose last reading is older than ten minutes."""
    for contact_list in lists:
        contact_list.refresh_from_db(fields=["read_at"])
        if contact_list.read_at is None or contact_list.read_at < now - FRESH_FOR:
            refresh(contact_list, mailjet=mailjet, now=now)


def _keep_contacts(seen: Mapping[int, MailjetContact], *, now: datetime) -> None:
    known = Contact.objects.in_bulk(list(seen))
    fresh = [contact for key, contact in seen.items() if key not in known]
    changed = [_changed(known[key], contact, now=now) for key, contact in seen.items() if key in known]
    moved = [*fresh, *(seen[c.pk] for c in changed if c)]
    retire_addresses({contact.email.lower(): contact.id for contact in moved}, now=now)
    Contact.objects.bulk_create([_contact(contact, now=now) for contact in fresh], batch_size=1000)
    Contact.objects.bulk_update(
        [contact for contact in changed if contact],
        ["email", "excluded", "complained_at", "retired_at"],
        batch_size=1000,
    )


def retire_addresses(owners: Mapping[str, int], *, now: datetime) -> None:
    """Take each address (lower case) from any other contact that had it: it moved to a new id at Mailjet."""
    others = Contact.objects.annotate(key=Lower("email")).filter(key__in=list(owners))
    moved = [pk for pk, key in others.values_list("pk", "key") if owners[key] != pk]
    Contact.objects.filter(pk__in=moved).update(email=None, retired_at=now)


def _contact(seen: MailjetContact, *, now: datetime) -> Contact:
    return Contact(
        pk=seen.id,
        email=seen.email,
        registered_at=seen.created_at,
        excluded=seen.excluded,
        complained_at=now if seen.complained else None,
    )


def _changed(known: Contact, seen: MailjetContact, *, now: datetime) -> Contact | None:
    """The contact with what is new about it, or None. A complaint is never taken back."""
    complained_at = known.complained_at or (now if seen.complained else None)
    before = (known.email, known.excluded, known.complained_at, known.retired_at)
    known.email, known.excluded, known.complained_at, known.retired_at = (
        seen.email,
        seen.excluded,
        complained_at,
        None,
    )
    return known if before != (seen.email, seen.excluded, complained_at, None) else None


def _keep_memberships(contact_list: ContactList, reading: Reading, *, now: datetime) -> None:
    current = {m.contact_id: m for m in ContactListMembership.objects.current().filter(list=contact_list)}
    _begin_unknown(contact_list, reading, known=set(current), now=now)
    _note_opt_outs(contact_list, reading.members, now=now)
    missing = [m.pk for key, m in current.items() if key not in reading.members]
    rows = ContactListMembership.objects.filter(pk__in=missing)
    rows.filter(missing_since__lt=now).update(until=now, ended_by=Change.PERSON)
    rows.filter(until=None, missing_since=None).update(missing_since=now)
    back = [m.pk for key, m in current.items() if m.missing_since and key in reading.members]
    ContactListMembership.objects.filter(pk__in=back).update(missing_since=None)
    for unsubscribed in (True, False):
        ids = [
            m.pk
            for key, m in current.items()
            if key in reading.members
            and reading.members[key].unsubscribed is unsubscribed
            and m.unsubscribed is not unsubscribed
        ]
        ContactListMembership.objects.filter(pk__in=ids).update(unsubscribed=unsubscribed)


def _begin_unknown(contact_list: ContactList, reading: Reading, *, known: set[int], now: datetime) -> None:
    """Members seen for the first time join the tail in SubscribedAt's order."""
    fresh = sorted(
        (m for key, m in reading.members.items() if key not in known),
        key=lambda m: (m.subscribed_at or now, m.membership_id),
    )
    first = next_rank(contact_list)
    ContactListMembership.objects.bulk_create(
        [
            ContactListMembership(
                contact_id=m.contact_id,
                list=contact_list,
                since=m.subscribed_at or now,
                began_by=Change.FIRST_SIGHT if contact_list.read_at is None else Change.PERSON,
                unsubscribed=m.unsubscribed,
                rank=first + n,
            )
            for n, m in enumerate(fresh)
        ],
        batch_size=1000,
    )


def next_rank(contact_list: ContactList) -> int:
    """The rank after the list's last, ended memberships included: no rank is given twice."""
    last = contact_list.memberships.aggregate(last=Max("rank"))["last"]
    return (last or 0) + 1


def _note_opt_outs(contact_list: ContactList, members: Mapping[int, Member], *, now: datetime) -> None:
    ids = [key for key, member in members.items() if member.unsubscribed]
    Contact.objects.filter(Q(pk__in=ids), opted_out_at=None).update(
        opted_out_at=now, opted_out_by=f"list {contact_list.mailjet_id}"
    )
