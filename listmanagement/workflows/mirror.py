"""Brings contacts and memberships in line with what Mailjet says.

An opt-out is sticky: seen once, anywhere, it stays (P2). A row missing from one reading is not gone:
pages shift while others change the list. It is marked, and ends when a second reading misses it too.
Only differences are written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import Max

from integrations.mailjet import Mailjet, MailjetContact, Member
from listmanagement.models import Change, Contact, ContactList, ContactListMembership, ListOperation
from listmanagement.workflows import addresses

FRESH_FOR = timedelta(minutes=10)
"""How old presence and consent may be before a batch: read once a run and list while younger than this."""

FEW = 20
"""Contacts that are looked up one by one, a request each. More are read with their list."""


@dataclass(frozen=True)
class Reading:
    """A list as Mailjet gave it: its members by contact id, and their contacts.

    `opted_out` are all who are unsubscribed there, also those whose contact the reading missed.
    """

    members: Mapping[int, Member]
    contacts: Mapping[int, MailjetContact]
    opted_out: Collection[int]


def refresh(contact_list: ContactList, *, mailjet: Mailjet, now: datetime) -> None:
    """Read a list whole, members and their contacts, and bring the mirror in line.

    Raises MailjetError; nothing is half written. A reading during which an operation of ours took effect on
    the list may be older than that: it is made again.
    """
    _refresh(
        contact_list, read=partial(_read, mailjet=mailjet), columns=["read_at", "contacts_read_at"], now=now
    )


def refresh_members(contact_list: ContactList, *, mailjet: Mailjet, now: datetime) -> None:
    """Read a list's memberships alone: presence and consent, in half the requests. Raises as `refresh` does.

    What is known of contacts (address, exclusion, complaint) stays as it was; who is not known here yet is
    looked up.
    """
    _refresh(contact_list, read=partial(_read_members, mailjet=mailjet), columns=["read_at"], now=now)


def refresh_all(*, mailjet: Mailjet, now: datetime) -> None:
    """Read every list, members and contacts. Raises as `refresh` does."""
    for contact_list in ContactList.objects.order_by("position", "pk"):
        refresh(contact_list, mailjet=mailjet, now=now)


def refresh_stale(
    lists: Iterable[ContactList], *, mailjet: Mailjet, now: datetime, contacts: timedelta = FRESH_FOR
) -> None:
    """Read those lists whose last reading is older than ten minutes.

    `contacts` is how old what is known of their contacts may be: where it is older, they are read, too.
    """
    for contact_list in lists:
        contact_list.refresh_from_db(fields=["read_at", "contacts_read_at"])
        if _is_older(contact_list.contacts_read_at, than=now - contacts):
            refresh(contact_list, mailjet=mailjet, now=now)
        elif _is_older(contact_list.read_at, than=now - FRESH_FOR):
            refresh_members(contact_list, mailjet=mailjet, now=now)


def _is_older(read_at: datetime | None, *, than: datetime) -> bool:
    return read_at is None or read_at < than


def _refresh(
    contact_list: ContactList,
    *,
    read: Callable[[ContactList], Reading],
    columns: Sequence[str],
    now: datetime,
) -> None:
    while True:
        before = _effects_on(contact_list)
        reading = read(contact_list)
        with transaction.atomic():
            ContactList.objects.select_for_update().get(pk=contact_list.pk)
            if _effects_on(contact_list) == before:
                keep_contacts(reading.contacts, now=now)
                _keep_memberships(contact_list, reading, now=now)
                ContactList.objects.filter(pk=contact_list.pk).update(**dict.fromkeys(columns, now))
                return


def _read(contact_list: ContactList, *, mailjet: Mailjet) -> Reading:
    members = _members(contact_list, mailjet=mailjet)
    contacts = {c.id: c for page in mailjet.contacts(contact_list.mailjet_id) for c in page}
    return _reading(members, contacts, known=contacts.keys())


def _read_members(contact_list: ContactList, *, mailjet: Mailjet) -> Reading:
    members = _members(contact_list, mailjet=mailjet)
    known = set(Contact.objects.filter(pk__in=list(members)).values_list("pk", flat=True))
    unknown = members.keys() - known
    contacts = _look_up(contact_list, unknown, mailjet=mailjet)
    return _reading(members, contacts, known=known | contacts.keys())


def _look_up(
    contact_list: ContactList, unknown: Collection[int], *, mailjet: Mailjet
) -> dict[int, MailjetContact]:
    """Contacts that are not known here yet: a few one by one, many by the list."""
    if len(unknown) <= FEW:
        found = [mailjet.contact(key) for key in sorted(unknown)]
        return {contact.id: contact for contact in found if contact is not None}
    pages = mailjet.contacts(contact_list.mailjet_id)
    return {contact.id: contact for page in pages for contact in page if contact.id in unknown}


def _members(contact_list: ContactList, *, mailjet: Mailjet) -> dict[int, Member]:
    pages = mailjet.members(contact_list.mailjet_id)
    return {member.contact_id: member for page in pages for member in page}


def _reading(
    members: Mapping[int, Member], contacts: Mapping[int, MailjetContact], *, known: Collection[int]
) -> Reading:
    return Reading(
        members={key: m for key, m in members.items() if key in known},
        contacts=contacts,
        opted_out=[key for key, member in members.items() if member.unsubscribed],
    )


def _effects_on(contact_list: ContactList) -> int:
    """How many operations of ours have taken effect on the list so far."""
    return ListOperation.objects.filter(batch__changes__list=contact_list, applied_at__isnull=False).count()


def keep_contacts(seen: Mapping[int, MailjetContact], *, now: datetime) -> None:
    """Note what Mailjet says of these contacts, new ones included. In the caller's transaction."""
    known = Contact.objects.in_bulk(list(seen))
    owners = addresses.owners({key: contact.email for key, contact in seen.items()})
    emails = {pk: seen[pk].email for pk in owners.values()}
    fresh = [_contact(seen[key], email=emails.get(key), now=now) for key in seen if key not in known]
    changed = [
        contact for key, contact in known.items() if _change(contact, seen[key], emails.get(key), now=now)
    ]
    wanting = {contact.pk for contact in (*fresh, *changed)}
    moved = addresses.retire({key: pk for key, pk in owners.items() if pk in wanting}, now=now)
    Contact.objects.bulk_create(fresh, batch_size=1000)
    Contact.objects.bulk_update(
        changed,
        ["email", "registered_at", "excluded", "complained_at", "complained_by", "retired_at"],
        batch_size=1000,
    )
    addresses.carry_over(moved, now=now)


_SAID_BY_MAILJET = "the contact at Mailjet"


def _contact(seen: MailjetContact, *, email: str | None, now: datetime) -> Contact:
    return Contact(
        pk=seen.id,
        email=email,
        registered_at=seen.created_at,
        excluded=seen.excluded,
        complained_at=now if seen.complained else None,
        complained_by=_SAID_BY_MAILJET if seen.complained else "",
        retired_at=None if email else now,
    )


def _change(known: Contact, seen: MailjetContact, email: str | None, *, now: datetime) -> bool:
    """Note what is new about a contact; whether anything is. A complaint is never taken back."""
    noted = {
        "email": email,
        "registered_at": seen.created_at or known.registered_at,
        "excluded": seen.excluded,
        "complained_at": known.complained_at or (now if seen.complained else None),
        "complained_by": known.complained_by or (_SAID_BY_MAILJET if seen.complained else ""),
        "retired_at": None if email else known.retired_at or now,
    }
    differ = {name: value for name, value in noted.items() if getattr(known, name) != value}
    for name, value in differ.items():
        setattr(known, name, value)
    return bool(differ)


def _keep_memberships(contact_list: ContactList, reading: Reading, *, now: datetime) -> None:
    current = {m.contact_id: m for m in ContactListMembership.objects.current().filter(list=contact_list)}
    _begin_unknown(contact_list, reading, known=set(current), now=now)
    _note_opt_outs(contact_list, reading.opted_out, now=now)
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


def _note_opt_outs(contact_list: ContactList, opted_out: Collection[int], *, now: datetime) -> None:
    Contact.objects.filter(pk__in=opted_out, opted_out_at=None).update(
        opted_out_at=now, opted_out_by=f"list {contact_list.mailjet_id}"
    )
