"""Brings contacts and memberships in line with what was staged: set-based, and only where they differ.

An opt-out and a complaint are sticky: seen once, anywhere, they stay (P2). What the journal knows to be
newer is left as it is. A membership that a scan missed ends when the scan was whole, or when two in a row
missed it; but not while Mailjet counts as many more members than it showed as are missed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import Max

from listmanagement.domain import spelling
from listmanagement.models import ContactList, MirrorScan
from listmanagement.workflows import addresses

SAID_BY_MAILJET = "the contact at Mailjet"

Given = dict[str, Any]

_SOME = 10_000

_ONE_AT_A_TIME = 0x6D657267  # "merg": two merges of contacts would wait for each other's rows


@dataclass(frozen=True, kw_only=True)
class Refreshed:
    """What a refresh saw and changed."""

    seen: int = 0
    """Rows that Mailjet gave: contacts and memberships."""
    contacts: int = 0
    """Contacts made or changed here."""
    begun: int = 0
    ended: int = 0
    missing: int = 0
    """Memberships that a scan missed which was not whole: they end when the next one misses them too."""
    opt_outs: int = 0
    """Opt-outs noted for the first time."""
    requests: int = 0
    left_out: Sequence[str] = field(default=())
    """Lists that could not be read, and why."""

    @property
    def words(self) -> str:
        """What a person wants to know of it."""
        changed = {
            "contacts changed": self.contacts,
            "memberships begun": self.begun,
            "ended": self.ended,
            "missing for now": self.missing,
            "opt-outs noted": self.opt_outs,
        }
        told = [f"{number:,} {what}" for what, number in changed.items() if number]
        read = f"{self.seen:,} rows read in {self.requests:,} requests"
        return "; ".join([f"{read}: {', '.join(told) or 'nothing had changed'}", *self.left_out])

    def __add__(self, other: Refreshed) -> Refreshed:
        return Refreshed(
            seen=self.seen + other.seen,
            contacts=self.contacts + other.contacts,
            begun=self.begun + other.begun,
            ended=self.ended + other.ended,
            missing=self.missing + other.missing,
            opt_outs=self.opt_outs + other.opt_outs,
            requests=self.requests + other.requests,
            left_out=[*self.left_out, *other.left_out],
        )


def prepare(*scans: MirrorScan) -> None:
    """Tell PostgreSQL's planner of what was staged, and let it sort in memory. In a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("set local work_mem = '64MB'")
        for scan in scans:
            cursor.execute(f"analyze {scan.table}")


# --- Contacts ----------------------------------------------------------------------------------------

_DIFFERENT_CONTACTS = """
create temp table different_contact on commit drop as
select told.id, told.address, told.created_at, told.excluded, told.complained, told.erased,
       known.id is null as is_new
  from (select id, created_at, excluded, complained, erased,
               case when not erased and {is_usable} then email end as address
          from {staged}) told
  left join listmanagement_contact known on known.id = told.id
 where known.id is null
    or known.email is distinct from told.address
    or known.excluded <> told.excluded
    or told.complained and known.complained_at is null
    or told.created_at is not null and known.registered_at is distinct from told.created_at
    or told.erased and known.erased_at is null
"""

# What a list's own reading told since is newer.
_TOLD_SINCE = """
delete from different_contact
 using listmanagement_contactlistmembership here
  join listmanagement_contactlist list on list.id = here.list_id
 where here.contact_id = different_contact.id and here.until is null
   and list.contacts_read_at > %(started_at)s
"""

# Of several contacts with one address it is the newest's.
_LEAVE_TO_NEWEST = """
update different_contact set address = null
  from (select lower(address) as address, max(id) as id from different_contact
         where address is not null group by 1 having count(*) > 1) newest
 where lower(different_contact.address) = newest.address and different_contact.id <> newest.id
"""

# Who has it here, and whether Mailjet says so still.
_MOVED = """
create temp table moved_address on commit drop as
select old.id as old, told.id as new, still.id is not null and other.id is null as is_held
  from different_contact told
  join listmanagement_contact old on lower(old.email) = lower(told.address) and old.id <> told.id
  left join {staged} still on still.id = old.id
  left join different_contact other on other.id = old.id
"""
_LEAVE_TO_HOLDER = """
with left_there as (delete from moved_address where is_held and old > new returning new)
update different_contact set address = null from left_there where id = left_there.new
"""
# Who was retired before has the new heir, too.
_RETIRE = """
update listmanagement_contact contact
   set email = null, domain_in_ascii = null, heir_id = retired.new,
       retired_at = coalesce(contact.retired_at, %(now)s)
  from (select old as id, new from moved_address
         union all
        select before.id, new from moved_address join listmanagement_contact before on before.heir_id = old
       ) retired
 where contact.id = retired.id
"""
# An heir who has no address any more, or another one, is none.
_END_HEIRS = """
update listmanagement_contact before set heir_id = null
  from different_contact told join listmanagement_contact heir on heir.id = told.id
 where not told.is_new and before.heir_id = heir.id
   and heir.email is not null and lower(told.address) is distinct from lower(heir.email)
"""
_CHANGE_CONTACTS = """
update listmanagement_contact contact
   set email = told.address,
       registered_at = coalesce(told.created_at, contact.registered_at),
       excluded_since = case when told.excluded then coalesce(contact.excluded_since, %(now)s) end,
       complained_at = coalesce(contact.complained_at, case when told.complained then %(now)s end),
       complained_by = case when told.complained and contact.complained_at is null then %(said_by)s
                            else contact.complained_by end,
       retired_at = case when told.address is null then coalesce(contact.retired_at, %(now)s) end,
       heir_id = case when told.address is null then contact.heir_id end,
       erased_at = case when told.erased then coalesce(contact.erased_at, %(now)s) end
  from different_contact told
 where contact.id = told.id and not told.is_new
   and (contact.email is distinct from told.address
        or contact.excluded <> told.excluded
        or told.complained and contact.complained_at is null
        or told.created_at is not null and contact.registered_at is distinct from told.created_at
        or told.erased and contact.erased_at is null)
"""
_NEW_CONTACTS = """
insert into listmanagement_contact
       (id, email, registered_at, excluded_since, complained_at, complained_by, opted_out_by, retired_at,
        erased_at)
select id, address, created_at, case when excluded then %(now)s end, case when complained then %(now)s end,
       case when complained then %(said_by)s else '' end, '', case when address is null then %(now)s end,
       case when erased then %(now)s end
  from different_contact where is_new order by id
    on conflict do nothing
"""


# Letters beyond ASCII are few, and SQL cannot write them as DNS does.
_IN_OTHER_LETTERS = r"""
select contact.id, split_part(contact.email, '@', -1) from listmanagement_contact contact
  join different_contact told on told.id = contact.id
 where contact.email ~ '[^\x01-\x7F]' or contact.domain_in_ascii is not null
"""
_NAME_DOMAIN = "update listmanagement_contact set domain_in_ascii = %s where id = %s"


def _name_domains(cursor: CursorWrapper) -> None:
    """Give domains in other letters the name that DNS knows, and take it from whom it is no longer of."""
    cursor.execute(_IN_OTHER_LETTERS)
    names = [(spelling.in_ascii(domain or ""), pk) for pk, domain in cursor.fetchall()]
    if names:
        cursor.executemany(_NAME_DOMAIN, names)


def contacts(scan: MirrorScan, *, now: datetime) -> int:
    """Make and change the contacts that differ. Returns how many. In a transaction, `prepare`d.

    An address that moved to a new contact takes along what was said and decided under it; also where two
    contacts swap theirs, or it comes back in other capitals.
    """
    given: Given = {"now": now, "said_by": SAID_BY_MAILJET, "started_at": scan.started_at}
    names = {"staged": scan.table, "is_usable": addresses.IS_USABLE.format(email="email")}
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", [_ONE_AT_A_TIME])
        cursor.execute("drop table if exists pg_temp.different_contact, pg_temp.moved_address")
        cursor.execute(_DIFFERENT_CONTACTS.format(**names))
        if cursor.rowcount == 0:
            return 0
        if ContactList.objects.filter(contacts_read_at__gt=scan.started_at).exists():
            cursor.execute(_TOLD_SINCE, given)
        cursor.execute("analyze different_contact")
        cursor.execute(_LEAVE_TO_NEWEST)
        cursor.execute(_MOVED.format(**names))
        has_moved = bool(cursor.rowcount)
        if has_moved:
            cursor.execute(_LEAVE_TO_HOLDER)
            cursor.execute(_RETIRE, given)
        cursor.execute(_END_HEIRS)
        cursor.execute(_CHANGE_CONTACTS, given)
        changed = int(cursor.rowcount)
        cursor.execute(_NEW_CONTACTS, given)
        made = int(cursor.rowcount)
        _name_domains(cursor)
        if has_moved:
            cursor.execute("select old, new from moved_address")
            while moved := cursor.fetchmany(_SOME):
                addresses.carry_over(dict(moved), now=now)
    return changed + made


# --- Memberships -------------------------------------------------------------------------------------

# What an operation of ours did since the scan began, or is about to do, the journal knows better.
_TOUCHED = """
create temp table touched_contact on commit drop as
select distinct operation.contact_id as id
  from listmanagement_operationbatch batch
  join listmanagement_batchchange change on change.batch_id = batch.id and change.list_id = %(list)s
  join listmanagement_listoperation operation on operation.batch_id = batch.id
 where (batch.settled_at is null or batch.settled_at >= %(started_at)s)
   and (operation.applied_at >= %(started_at)s
        or operation.status = 'intended' and batch.status in ('sending', 'submitted'))
"""

# Who was taken off and put back while the scan ran is in it twice: the later membership counts.
_DIFFERENT_MEMBERS = """
create temp table different_member on commit drop as
select known.id as known, known.missing_since, told.contact_id as told, told.membership_id,
       told.unsubscribed, told.subscribed_at
  from (select distinct on (contact_id) *
          from {staged}
         where contact_id not in (select id from listmanagement_contact where erased_at is not null)
         order by contact_id, membership_id desc) told
  full join (select * from listmanagement_contactlistmembership
              where list_id = %(list)s and until is null) known on known.contact_id = told.contact_id
 where (known.id is null or told.contact_id is null or known.missing_since is not null
        or known.unsubscribed <> told.unsubscribed)
   and coalesce(told.contact_id, known.contact_id) not in (select id from touched_contact)
"""
_NOTE_OPT_OUTS = """
update listmanagement_contact contact set opted_out_at = %(now)s, opted_out_by = %(by)s
  from (select distinct contact_id from {staged} where unsubscribed) told
 where contact.id = told.contact_id and contact.opted_out_at is null
"""
_BEGIN = """
insert into listmanagement_contactlistmembership
       (contact_id, list_id, since, began_by, ended_by, unsubscribed, rank)
select told, %(list)s, coalesce(subscribed_at, %(now)s), %(began_by)s, '', unsubscribed,
       %(last_rank)s + row_number() over (order by coalesce(subscribed_at, %(now)s), membership_id)
  from different_member
 where known is null and exists (select from listmanagement_contact contact where contact.id = told)
"""
_SEE_AGAIN = """
update listmanagement_contactlistmembership here
   set unsubscribed = different.unsubscribed, missing_since = null
  from different_member different
 where here.id = different.known and different.told is not null
"""
# By a reading of the list, or by a look at the contact's own lists.
_LAST_SEEN = """greatest(here.since, %(read_before)s, (
           select looked_up_at from listmanagement_contact contact where contact.id = here.contact_id))"""
_END = """
update listmanagement_contactlistmembership here
   set until = greatest(here.since, %(now)s), ended_by = 'person',
       last_seen_at = case when here.missing_since is null then {last_seen} else here.last_seen_at end
  from different_member different
 where here.id = different.known and different.told is null
   and (%(is_whole)s or here.contact_id = any(%(gone)s)
        or different.missing_since < %(started_at)s
           and (select count(*) from different_member where told is null) > %(withheld)s)
"""
_MISS = """
update listmanagement_contactlistmembership here
   set missing_since = %(started_at)s, last_seen_at = {last_seen}
  from different_member different
 where here.id = different.known and different.told is null
   and here.until is null and here.missing_since is null
"""


def members(
    contact_list: ContactList, scan: MirrorScan, *, gone: Collection[int] = (), now: datetime
) -> Refreshed:
    """Begin, change, end or mark the memberships that differ. In a transaction, `prepare`d, the list locked.

    `gone` are contacts whose own lists confirm that they have left.
    """
    differ, noted = _find_different(contact_list, scan), opt_outs(contact_list, scan, now=now)
    if not differ:
        return Refreshed(opt_outs=noted, seen=scan.staged)
    given: Given = {
        "list": contact_list.pk,
        "now": now,
        "began_by": "first_sight" if contact_list.read_at is None else "person",
        "last_rank": next_rank(contact_list) - 1,
        "started_at": scan.started_at,
        "read_before": contact_list.read_at,
        "is_whole": scan.is_whole,
        "withheld": scan.withheld,
        "gone": list(gone),
    }
    counts = {}
    with connection.cursor() as cursor:
        for name, statement in {"begun": _BEGIN, "seen": _SEE_AGAIN, "ended": _END, "missing": _MISS}.items():
            cursor.execute(statement.format(last_seen=_LAST_SEEN), given)
            counts[name] = cursor.rowcount
    return Refreshed(**{**counts, "opt_outs": noted, "seen": scan.staged})


def opt_outs(contact_list: ContactList, scan: MirrorScan, *, now: datetime) -> int:
    """Note who is unsubscribed on the list, and nothing else. Returns how many that was news of."""
    with connection.cursor() as cursor:
        cursor.execute(
            _NOTE_OPT_OUTS.format(staged=scan.table),
            {"now": now, "by": f"list {contact_list.mailjet_id}"},
        )
        return int(cursor.rowcount)


def missed(contact_list: ContactList, scan: MirrorScan, *, at_most: int) -> list[int]:
    """Contacts who would only be marked as missing, for a start; none where there are more than `at_most`."""
    if scan.is_whole:
        return []
    with connection.cursor() as cursor:
        _find_different(contact_list, scan)
        cursor.execute(
            "select here.contact_id from different_member"
            " join listmanagement_contactlistmembership here on here.id = known"
            " where told is null and different_member.missing_since is null order by 1 limit %s",
            [at_most + 1],
        )
        found = [contact_id for (contact_id,) in cursor.fetchall()]
    return found if len(found) <= at_most else []


def _find_different(contact_list: ContactList, scan: MirrorScan) -> int:
    """Into a table of their own: the memberships that differ. Returns how many."""
    given: Given = {"list": contact_list.pk, "started_at": scan.started_at}
    with connection.cursor() as cursor:
        cursor.execute("drop table if exists pg_temp.touched_contact, pg_temp.different_member")
        cursor.execute(_TOUCHED, given)
        cursor.execute(_DIFFERENT_MEMBERS.format(staged=scan.table), given)
        if differ := int(cursor.rowcount):
            cursor.execute("analyze different_member")
    return differ


def next_rank(contact_list: ContactList) -> int:
    """The rank after the list's last, ended memberships included: no rank is given twice."""
    last = contact_list.memberships.aggregate(last=Max("rank"))["last"]
    return (last or 0) + 1


def unknown(*, of: MirrorScan, at_most: int) -> list[int] | None:
    """Members whose contact is not known here; None where there are more than `at_most`."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"select distinct contact_id from {of.table} told where not exists"  # noqa: S608  (our own name)
            " (select from listmanagement_contact contact where contact.id = told.contact_id)"
            " order by 1 limit %s",
            [at_most + 1],
        )
        found = [contact_id for (contact_id,) in cursor.fetchall()]
    return found if len(found) <= at_most else None
