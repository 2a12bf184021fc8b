"""Reads what is wanted, then merges it: no network call inside a transaction, nothing half written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from math import ceil

from django.db import IntegrityError, connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from integrations.mailjet import Mailjet, MailjetAnswerInvalid, MailjetContact
from listmanagement.models import Contact, ContactList, ContactListMembership, MirrorScan, ScanOf
from listmanagement.workflows.mirror import merge, scan
from listmanagement.workflows.mirror.merge import Refreshed
from listmanagement.workflows.mirror.scan import Reader
from listmanagement.workflows.side_by_side import side_by_side

FRESH_FOR = timedelta(minutes=10)
"""How old presence and consent may be before a batch: read once a run and list while younger than this, or
than `fresh_for` where reading all of them takes long."""

READINGS = 3
"""A reading counts for as long as so many of its kind take: one to make it, the others to act on it. Else it
would be too old when it ends, and each batch of a large account would read everything again."""

_PAGE = 1000  # rows that a request reads

FEW = 20
"""Contacts that are looked up one by one, a request each. More are read with their list."""

_JUST_NOW = timedelta(minutes=1)  # a scan that failed so lately is gone on with where all should be fresh
_GO_ON_FOR = timedelta(hours=1)  # the same for what is refreshed every half hour
_MANY = 10_000  # rows after which PostgreSQL's planner is told


Wanted = tuple[ContactList, bool]
"""A list to be read, and whether with its contacts."""

KeepScan = Callable[[MirrorScan], MirrorScan]
"""Remembers a scan, to be given back when something fails."""


class RefreshUnderWay(Exception):
    """Another process reads everything at this moment. The words say since when."""


def fresh_for(*, mailjet: Mailjet) -> timedelta:
    """How old presence and consent may be before a batch: ten minutes, or what three readings of all lists
    and their contacts take under the budget. More than ten minutes from some 300,000 contacts on."""
    rows = ContactListMembership.objects.current().count() + Contact.objects.count()
    return max(FRESH_FOR, READINGS * mailjet.time_for(ceil(rows / _PAGE)))


# --- One list ----------------------------------------------------------------------------------------


def refresh(contact_list: ContactList, *, mailjet: Mailjet, now: datetime) -> Refreshed:
    """Read a list whole, members and their contacts, and bring the mirror in line.

    Raises MailjetError; nothing is half written.
    """
    reader = Reader(mailjet=mailjet, now=now, go_on_since=now - _JUST_NOW)
    return _refresh([(contact_list, True)], reader=reader)


def refresh_members(lists: Iterable[ContactList], *, mailjet: Mailjet, now: datetime) -> Refreshed:
    """Read lists' memberships alone: presence and consent, in half the requests. Raises as `refresh` does.

    What is known of contacts (address, exclusion, complaint) stays as it was. Who is not known here yet is
    looked up: a few one by one, many by reading the list's contacts after all.
    """
    reader = Reader(mailjet=mailjet, now=now, go_on_since=now - _JUST_NOW)
    return _refresh([(each, False) for each in lists], reader=reader)


def refresh_stale(
    lists: Iterable[ContactList],
    *,
    mailjet: Mailjet,
    now: datetime,
    members: timedelta | None = None,
    contacts: timedelta | None = None,
) -> Refreshed:
    """Read those lists whose last reading is older than `fresh_for`, or than `members`, side by side.

    `contacts` is how old what is known of their contacts may be, `fresh_for` as well where nothing is said:
    where it is older, they are read, too.
    """
    if members is None or contacts is None:
        usual = fresh_for(mailjet=mailjet)
        members, contacts = members or usual, contacts or usual
    reader = Reader(mailjet=mailjet, now=now, go_on_since=now - members)
    stale: list[Wanted] = []
    for each in lists:
        each.refresh_from_db(fields=["read_at", "contacts_read_at"])
        wants_contacts = _is_older(each.contacts_read_at, than=now - contacts)
        if wants_contacts or _is_older(each.read_at, than=now - members):
            stale.append((each, wants_contacts))
    return _refresh(stale, reader=reader)


def _is_older(read_at: datetime | None, *, than: datetime) -> bool:
    return read_at is None or read_at < than


def _refresh(wanted: Sequence[Wanted], *, reader: Reader) -> Refreshed:
    """Read lists side by side, then merge one after the other."""
    found, before = Refreshed(), reader.mailjet.requests
    with _scanning() as hold:
        scans = side_by_side(partial(_scan, hold=hold, reader=reader), wanted)
        for (contact_list, _), (members, contacts) in zip(wanted, scans, strict=True):
            found += _take(contact_list, members, contacts, hold=hold, reader=reader)
    return replace(found, requests=reader.mailjet.requests - before)


def _scan(wanted: Wanted, *, hold: KeepScan, reader: Reader) -> tuple[MirrorScan, MirrorScan | None]:
    contact_list, wants_contacts = wanted
    members = hold(scan.members(contact_list, reader=reader))
    return members, hold(scan.contacts(contact_list, reader=reader)) if wants_contacts else None


def _take(
    contact_list: ContactList,
    members: MirrorScan,
    contacts: MirrorScan | None,
    *,
    hold: KeepScan,
    reader: Reader,
) -> Refreshed:
    """Merge a list that was read. Where its contacts were not, those unknown here are asked for."""
    if contacts is None:
        unknown = merge.unknown(of=members, at_most=FEW)
        if unknown is None:
            contacts = hold(scan.contacts(contact_list, reader=reader))
        elif unknown:
            found_one_by_one = _look_up(unknown, mailjet=reader.mailjet)
            contacts = hold(scan.told(found_one_by_one, now=reader.now))
    return _merge(contact_list, members, contacts, reader=reader)


def keep_contacts(seen: Mapping[int, MailjetContact], *, now: datetime) -> None:
    """Note what Mailjet says of these contacts, new ones included. In the caller's transaction."""
    if seen:
        told = scan.told([seen[key] for key in sorted(seen)], now=now)
        merge.contacts(told, now=now)
        scan.drop(told)


def _look_up(unknown: Collection[int], *, mailjet: Mailjet) -> list[MailjetContact]:
    found = [mailjet.contact(contact_id) for contact_id in unknown]
    return [contact for contact in found if contact is not None]


@contextmanager
def _scanning() -> Iterator[KeepScan]:
    """Scans that are given back when something fails: another try may go on with them."""
    held: list[MirrorScan] = []

    def hold(each: MirrorScan) -> MirrorScan:
        held.append(each)
        return each

    try:
        yield hold
    except MailjetAnswerInvalid:
        scan.drop(*held)
        raise
    except BaseException:
        scan.leave(*held)
        raise


def _merge(
    contact_list: ContactList, members: MirrorScan, contacts: MirrorScan | None, *, reader: Reader
) -> Refreshed:
    """Merge what was read, in one transaction; where what is here is newer than it, its opt-outs alone."""
    now, mailjet = reader.now, reader.mailjet
    _check_not_emptied(contact_list, members, mailjet=mailjet)
    gone = _confirm(contact_list, members, mailjet=mailjet)
    scans = [each for each in (contacts, members) if each is not None]
    with transaction.atomic():
        locked = ContactList.objects.select_for_update().get(pk=contact_list.pk)
        found = Refreshed()
        if locked.read_at is None or locked.read_at <= members.started_at:
            merge.prepare(*scans)
            if contacts is not None:
                found = Refreshed(seen=contacts.staged, contacts=merge.contacts(contacts, now=now))
            found += merge.members(locked, members, gone=gone, now=now)
            _note_read(locked, members, contacts)
        else:
            found = Refreshed(opt_outs=merge.opt_outs(locked, members, now=now))
        scan.drop(*scans)
    _tell_planner(found)
    return found


def _note_read(contact_list: ContactList, members: MirrorScan, contacts: MirrorScan | None) -> None:
    read = {"read_at": members.started_at}
    if contacts is not None and contacts.of == ScanOf.CONTACTS:
        read["contacts_read_at"] = contacts.started_at
    ContactList.objects.filter(pk=contact_list.pk).update(**read)


def _check_not_emptied(contact_list: ContactList, members: MirrorScan, *, mailjet: Mailjet) -> None:
    """An empty reading ends memberships only when Mailjet, asked once more, says that nobody is left."""
    if members.staged or not contact_list.memberships.current().exists():
        return
    known = mailjet.find_list(contact_list.mailjet_id)
    if known is None or known.is_deleted:
        how = "Mailjet does not know it" if known is None else "it is deleted at Mailjet"
        raise MailjetAnswerInvalid(
            f"listrecipient: list {contact_list.mailjet_id} reads as empty because {how}: restore it, or "
            "correct the settings. Nothing was changed here."
        )
    if left := mailjet.member_count(contact_list.mailjet_id):
        raise MailjetAnswerInvalid(
            f"listrecipient: list {contact_list.mailjet_id} reads as empty, though Mailjet counts {left} "
            "members. Nothing was changed here."
        )


def _confirm(contact_list: ContactList, members: MirrorScan, *, mailjet: Mailjet) -> list[int]:
    """Of a few that a scan missed which was not whole: who has left, as their own lists say."""
    with transaction.atomic():
        missed = merge.missed(contact_list, members, at_most=FEW)
    gone = []
    for contact_id in missed:
        theirs = mailjet.lists_of_contact(contact_id) or []
        here = [each for each in theirs if each.list_id == contact_list.mailjet_id]
        if here:
            scan.see(members, contact_id, unsubscribed=here[0].unsubscribed)
        else:
            gone.append(contact_id)
    return gone


def _tell_planner(found: Refreshed) -> None:
    """After many changes: on what it knew before, the next refresh could take for ever."""
    if found.contacts + found.begun + found.ended < _MANY:
        return
    with connection.cursor() as cursor:
        for model in (Contact, ContactListMembership):
            cursor.execute(f"analyze {model._meta.db_table}")


# --- Everything --------------------------------------------------------------------------------------


def refresh_all(*, mailjet: Mailjet, now: datetime) -> Refreshed:
    """Read all contacts of the account, and every list's memberships: 1 + contacts/1000 + memberships/1000.

    What an earlier call left, when it failed or its process died, is gone on with for an hour. Lists that
    Mailjet does not know, or has deleted, stay as they are and are named. Raises RefreshUnderWay while
    another process does the same, and MailjetError: of a list that makes no sense when the others are read.
    """
    before = mailjet.requests
    with _everything(now=now) as (since, beat):
        lists, left_out = _alive(mailjet)
        found = Refreshed(left_out=left_out)
        reader = Reader(mailjet=mailjet, now=now, go_on_since=now - _GO_ON_FOR, beat=beat)
        if any(_is_older(each.contacts_read_at, than=since) for each in lists):
            found += _refresh_contacts(lists, reader=reader)
        found += _refresh_each([each for each in lists if _is_older(each.read_at, than=since)], reader=reader)
    return replace(found, requests=mailjet.requests - before)


def _refresh_contacts(lists: Sequence[ContactList], *, reader: Reader) -> Refreshed:
    with _scanning() as hold:
        told = hold(scan.contacts(None, reader=reader))
        with transaction.atomic():
            merge.prepare(told)
            found = Refreshed(seen=told.staged, contacts=merge.contacts(told, now=reader.now))
            older = Q(contacts_read_at=None) | Q(contacts_read_at__lt=told.started_at)
            known = ContactList.objects.filter(older, pk__in=[each.pk for each in lists])
            known.update(contacts_read_at=told.started_at)
            scan.drop(told)
    _tell_planner(found)
    return found


def _refresh_each(lists: Sequence[ContactList], *, reader: Reader) -> Refreshed:
    """One that cannot be read keeps the others, and what people said on them, from nothing."""
    found = Refreshed()
    refused: MailjetAnswerInvalid | None = None
    for each in lists:
        try:
            found += _refresh([(each, False)], reader=reader)
        except MailjetAnswerInvalid as invalid:
            refused = refused or invalid
    if refused is not None:
        raise refused
    return found


def _alive(mailjet: Mailjet) -> tuple[list[ContactList], list[str]]:
    """The lists that can be read, in a request, and why the others cannot. Notes which are deleted."""
    known = {each.id: each for each in mailjet.lists()}
    alive, left_out = [], []
    for each in ContactList.objects.order_by("position", "pk"):
        there = known.get(each.mailjet_id)
        if there is None:
            left_out.append(f"list {each.mailjet_id}: Mailjet does not know it")
            continue
        ContactList.objects.filter(pk=each.pk).exclude(is_deleted=there.is_deleted).update(
            is_deleted=there.is_deleted
        )
        if there.is_deleted:
            left_out.append(f"list {each.mailjet_id}: deleted at Mailjet")
        else:
            alive.append(each)
    return alive, left_out


@contextmanager
def _everything(*, now: datetime) -> Iterator[tuple[datetime, Callable[[], None]]]:
    """One process at a time. From when on a reading counts, and a sign of life to give at each page."""
    whole = _claim_everything(now=now)
    held = MirrorScan.objects.filter(pk=whole.pk, token=whole.token)
    try:
        yield whole.started_at, partial(_stay, held)
    except BaseException:
        held.update(busy_until=Now())
        raise
    held.update(busy_until=Now(), finished_at=now)


def _stay(held: QuerySet[MirrorScan]) -> None:
    if not held.update(busy_until=Now() + scan.HELD_FOR):
        raise scan.AnotherReads("Everything is refreshed by another process now.")


def _claim_everything(*, now: datetime) -> MirrorScan:
    scan.forget_old(before=now - _GO_ON_FOR)
    left = MirrorScan.objects.filter(of=ScanOf.EVERYTHING, finished_at=None).first()
    if left is None:
        try:
            with transaction.atomic():
                return MirrorScan.objects.create(
                    of=ScanOf.EVERYTHING, started_at=now, busy_until=Now() + scan.HELD_FOR
                )
        except IntegrityError:
            raise RefreshUnderWay("Another process has just begun to refresh everything.") from None
    if not scan.take_over(left):
        raise RefreshUnderWay(
            f"Another process refreshes everything since {left.started_at:%H:%M:%S} UTC: it goes on, this "
            "one does nothing."
        )
    return left
