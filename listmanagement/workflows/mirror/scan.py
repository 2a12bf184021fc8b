"""Reads pages into staging, some a transaction, so that a scan can be gone on with after a crash."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from django.db import connection, transaction
from django.db.models.functions import Now

from integrations.mailjet import (
    ContactColumns,
    Mailjet,
    MailjetAnswerInvalid,
    MailjetContact,
    MailjetUnavailable,
    MemberColumns,
    Place,
    ScanPage,
)
from listmanagement.models import ContactList, MirrorScan, ScanOf

HELD_FOR = timedelta(minutes=5)
"""Longer than any page takes, with all its tries and waits for the budget."""

AT_ONCE = 10
"""Pages a transaction: what a crash costs at most."""

Columns = TypeVar("Columns", MemberColumns, ContactColumns)


class AnotherReads(Exception):
    """The scan was taken over: this process had not been heard of for five minutes."""


_MEMBER = "membership_id bigint, contact_id bigint, unsubscribed boolean, subscribed_at timestamptz"
_CONTACT = (
    "id bigint, created_at timestamptz, excluded boolean, complained boolean, erased boolean, email text"
)
_MAKE = {
    ScanOf.MEMBERS: _MEMBER,
    ScanOf.CONTACTS: _CONTACT,
    ScanOf.LOOKED_UP: _CONTACT,
}


def _no_more() -> None:
    """No sign of life beside the scan's own."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Who scans, when, and from which earlier scans they may go on."""

    mailjet: Mailjet
    now: datetime
    go_on_since: datetime
    """A scan that was begun since, and left, is gone on with."""
    beat: Callable[[], None] = _no_more
    """Called after each page."""


def members(contact_list: ContactList, *, reader: Reader) -> MirrorScan:
    """Read a list's memberships into staging."""
    scan = _claim(ScanOf.MEMBERS, contact_list, reader=reader)
    pages = reader.mailjet.scan_members(contact_list.mailjet_id, at=_place(scan))
    return _read(scan, pages, as_text=_member_lines, beat=reader.beat)


def contacts(contact_list: ContactList | None, *, reader: Reader) -> MirrorScan:
    """The same with a list's contacts, or without a list with all of the account."""
    scan = _claim(ScanOf.CONTACTS, contact_list, reader=reader)
    list_id = None if contact_list is None else contact_list.mailjet_id
    pages = reader.mailjet.scan_contacts(list_id, at=_place(scan))
    return _read(scan, pages, as_text=_contact_lines, beat=reader.beat)


def told(found: Sequence[MailjetContact], *, now: datetime) -> MirrorScan:
    """Contacts that were looked up one by one, staged as if they had been scanned."""
    scan = _begin(ScanOf.LOOKED_UP, None, now=now)
    columns = ContactColumns(
        id=[each.id for each in found],
        email=[each.email for each in found],
        created_at=["" if each.created_at is None else each.created_at.isoformat() for each in found],
        excluded=[each.excluded for each in found],
        complained=[each.complained for each in found],
        erased=[False for _ in found],
    )
    only = ScanPage(columns=columns, total=len(found), next=None)
    _stage(scan, [only], as_text=_contact_lines)
    return scan


def see(scan: MirrorScan, contact_id: int, *, unsubscribed: bool) -> None:
    """Add a member whom the scan missed, though the contact's own lists show the membership."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"insert into {scan.table} (membership_id, contact_id, unsubscribed) values (0, %s, %s)",  # noqa: S608
            [contact_id, unsubscribed],
        )


def leave(*scans: MirrorScan) -> None:
    """Give scans up, for another try to go on with."""
    for scan in scans:
        MirrorScan.objects.filter(pk=scan.pk, token=scan.token).update(busy_until=Now())


def drop(*scans: MirrorScan) -> None:
    """Forget scans and what they read."""
    if scans:
        with transaction.atomic(savepoint=False), connection.cursor() as cursor:
            MirrorScan.objects.filter(pk__in=[scan.pk for scan in scans]).delete()
            cursor.execute(f"drop table if exists {', '.join(scan.table for scan in scans)}")


def forget_old(*, before: datetime) -> None:
    """Drop what was left behind so long ago that nobody goes on with it."""
    left = MirrorScan.objects.filter(started_at__lt=before, busy_until__lte=Now())
    drop(*left)


# --- Where it goes on --------------------------------------------------------------------------------


def _claim(of: ScanOf, contact_list: ContactList | None, *, reader: Reader) -> MirrorScan:
    """A scan to go on with, if one was left since, else a new one."""
    left = MirrorScan.objects.filter(of=of, list=contact_list, busy_until__lte=Now())
    for scan in left.order_by("-started_at"):
        if scan.started_at >= reader.go_on_since and _is_all_there(scan) and take_over(scan):
            return scan
        drop(scan)
    return _begin(of, contact_list, now=reader.now)


def _is_all_there(scan: MirrorScan) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("select to_regclass(%s)", [scan.table])
        if cursor.fetchone() == (None,):
            return False
        cursor.execute(f"select count(*) from {scan.table}")  # noqa: S608  (our own name)
        return bool(cursor.fetchone() == (scan.staged,))


def take_over(scan: MirrorScan) -> bool:
    """One winner of those who would go on with it."""
    token = uuid.uuid4()
    won = MirrorScan.objects.filter(pk=scan.pk, token=scan.token, busy_until__lte=Now()).update(
        token=token, busy_until=Now() + HELD_FOR
    )
    scan.token = token
    return bool(won)


def _begin(of: ScanOf, contact_list: ContactList | None, *, now: datetime) -> MirrorScan:
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        scan = MirrorScan.objects.create(
            of=of, list=contact_list, started_at=now, busy_until=Now() + HELD_FOR
        )
        cursor.execute(f"drop table if exists {scan.table}; create unlogged table {scan.table} ({_MAKE[of]})")
    return scan


def _place(scan: MirrorScan) -> Place:
    return Place(offset=scan.offset, highest=scan.highest)


# --- Pages -------------------------------------------------------------------------------------------


def _read(
    scan: MirrorScan,
    pages: Iterator[ScanPage[Columns]],
    *,
    as_text: Callable[[Columns], str],
    beat: Callable[[], None],
) -> MirrorScan:
    """Stage the pages that are left. What fails is left to be gone on with, but not what makes no sense."""
    try:
        if not scan.is_read:
            for some in _some_at_a_time(pages):
                _stage(scan, some, as_text=as_text)
                beat()
    except MailjetAnswerInvalid:
        drop(scan)
        raise
    except BaseException:
        leave(scan)
        raise
    return scan


def _some_at_a_time(pages: Iterator[ScanPage[Columns]]) -> Iterator[Sequence[ScanPage[Columns]]]:
    """A few pages for each transaction; when Mailjet is away, first those that it had given."""
    some: list[ScanPage[Columns]] = []
    try:
        for page in pages:
            some.append(page)
            if len(some) == AT_ONCE:
                yield some
                some = []
    except MailjetUnavailable:
        if some:
            yield some
        raise
    if some:
        yield some


def _stage(
    scan: MirrorScan, pages: Sequence[ScanPage[Columns]], *, as_text: Callable[[Columns], str]
) -> None:
    """Keep these pages, and where the next one begins, or neither."""
    for page in pages:
        scan.total = page.total if scan.total is None else scan.total
        scan.is_stable = scan.is_stable and page.total == scan.total
        scan.staged += len(page.columns)
        scan.is_read = page.next is None
        if page.next is not None:
            scan.offset, scan.highest = page.next.offset, page.next.highest
    with transaction.atomic():
        _write_down(scan)
        with connection.cursor() as cursor, cursor.copy(f"copy {scan.table} from stdin") as copy:
            for page in pages:
                copy.write(as_text(page.columns))


_COLUMNS = ("total", "is_stable", "staged", "is_read", "offset", "highest")


def _write_down(scan: MirrorScan) -> None:
    held = MirrorScan.objects.filter(pk=scan.pk, token=scan.token)
    columns = {name: getattr(scan, name) for name in _COLUMNS}
    if not held.update(**columns, busy_until=Now() + HELD_FOR):
        raise AnotherReads(f"{scan} is read by another process now: nothing was changed by this one")


# --- Rows as COPY takes them -------------------------------------------------------------------------

_SPECIAL = re.compile(r"[\\\t\n\r\x00]")
_NULL = r"\N"


def _member_lines(columns: MemberColumns) -> str:
    times = [time or _NULL for time in columns.subscribed_at]
    rows = zip(columns.membership_id, columns.contact_id, columns.unsubscribed, times, strict=True)
    return "".join(map("%d\t%d\t%s\t%s\n".__mod__, rows))


def _contact_lines(columns: ContactColumns) -> str:
    times = [time or _NULL for time in columns.created_at]
    flags = columns.excluded, columns.complained, columns.erased
    rows = zip(columns.id, times, *flags, _escaped(columns.email), strict=True)
    return "".join(map("%d\t%s\t%s\t%s\t%s\t%s\n".__mod__, rows))


def _escaped(emails: Sequence[str]) -> Sequence[str]:
    if _SPECIAL.search("".join(emails)) is None:
        return emails
    return ["" if "\0" in email else _SPECIAL.sub(_escape, email) for email in emails]


def _escape(special: re.Match[str]) -> str:
    return {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"}[special[0]]
