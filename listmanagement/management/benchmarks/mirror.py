"""The mirror against Mailjet's quota and against PostgreSQL's own speed.

A large account is recorded once and replayed without a network, so the times are ours alone. They are
compared with a bare COPY of the same rows, read from a file, into empty tables with the same keys and
indexes, in the same run.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.db import connection, transaction
from django.utils import timezone

from integrations.mailjet import Budget, Mailjet
from listmanagement.management.benchmarks import mailjet_pages as pages
from listmanagement.management.benchmarks import scratch
from listmanagement.management.benchmarks.clocks import Taken, timed
from listmanagement.management.benchmarks.mailjet_pages import Account, ListOrder, Replay
from listmanagement.management.benchmarks.report import Benchmark, Bound, Figures, postgresql
from listmanagement.models import Contact, ContactList, ContactListMembership, Role
from listmanagement.workflows import mirror

LISTS = {5001: "Master", 5002: "One", 5003: "Two", 5004: "Three", 5005: "Suppressed"}
ROLES = {5001: Role.MASTER, 5005: Role.SUPPRESSION}
BLOCK = 1 << 18


class NoLimit(Budget):
    """Requests cost nothing here: their number is what counts."""

    def acquire(self, *, background: bool) -> None:
        """Allow it."""


def add_arguments(parser: CommandParser) -> None:
    """--contacts."""
    parser.add_argument(
        "--contacts", type=int, default=1_000_000, help="contacts of the account; a multiple of 10"
    )


def run(options: Mapping[str, Any]) -> Figures:
    """Record an account, copy it bare, fill an empty mirror with it, and refresh that unchanged."""
    with tempfile.TemporaryDirectory() as directory, scratch.database():
        account = pages.account(options["contacts"], lists=LISTS)
        _make_lists(account)
        replay = Replay(account, Path(directory))
        with _client(replay) as mailjet:
            return _measured(account, mailjet, copies=Copies(account, Path(directory)))


def _make_lists(account: Account) -> None:
    campaign = 0
    for each in account.lists:
        role = ROLES.get(each.id, Role.CAMPAIGN)
        campaign += role is Role.CAMPAIGN
        position = campaign if role is Role.CAMPAIGN else None
        ContactList.objects.create(mailjet_id=each.id, name=each.name, role=role, position=position)


def _client(replay: Replay) -> Mailjet:
    return Mailjet(
        base_url="http://replay.invalid",
        api_key="key",
        api_secret="secret",  # noqa: S106  (nobody is asked)
        budget=NoLimit(),
        master_list_id=account_master(),
        background=True,
        transport=replay,
    )


def account_master() -> int:
    """The master list's id."""
    return next(list_id for list_id, role in ROLES.items() if role is Role.MASTER)


def _measured(account: Account, mailjet: Mailjet, *, copies: Copies) -> Figures:
    first, requests, _ = _refresh(mailjet)
    unchanged, again, written = _refresh(mailjet)
    peak = _peak_mebibytes()  # now: what COPY's client buffers is not ours
    bare = copies.taken(foreign_keys=True)
    without_keys = copies.taken(foreign_keys=False)
    rows = Contact.objects.count() + ContactListMembership.objects.count()
    fewest = 1 + account.contacts / 1000 + account.memberships / 1000
    figures = {
        "contacts": account.contacts,
        "memberships": account.memberships,
        "rows": rows,
        "requests": requests,
        "requests_unchanged": again,
        "fewest_requests": fewest,
        "load_average": os.getloadavg()[0],
        **first.figures("first_fill"),
        **unchanged.figures("unchanged"),
        **bare.figures("bare_copy"),
        **without_keys.figures("bare_copy_without_foreign_keys"),
        "first_fill_over_copy_without_foreign_keys": first.seconds / without_keys.seconds,
        "unchanged_over_copy_without_foreign_keys": unchanged.seconds / without_keys.seconds,
        **_of_processors(first, unchanged, bare),
        "rows_written_unchanged": written,
    }
    bounds = [
        Bound(figure="requests_over_fewest", value=requests / fewest, at_most=1.05),
        Bound(figure="first_fill_over_copy", value=first.seconds / bare.seconds, at_most=3),
        Bound(figure="unchanged_over_copy", value=unchanged.seconds / bare.seconds, at_most=1.5),
        Bound(figure="peak_memory_mebibytes", value=peak, below=300),
        Bound(figure="written_share_unchanged", value=written / rows, below=0.001),
    ]
    return Figures(figures=figures, bounds=bounds, postgresql=postgresql())


def _of_processors(first: Taken, unchanged: Taken, bare: Taken) -> dict[str, float]:
    """The same ratios of processor time, where PostgreSQL's is known."""
    if not bare.postgresql_cpu_seconds:
        return {}
    return {
        "first_fill_over_copy_cpu": first.cpu_seconds / bare.cpu_seconds,
        "unchanged_over_copy_cpu": unchanged.cpu_seconds / bare.cpu_seconds,
    }


def _refresh(mailjet: Mailjet) -> tuple[Taken, int, int]:
    """The time, requests and rows written of one refresh of everything."""
    requests, written = mailjet.requests, _rows_written()
    with timed() as taken:
        mirror.refresh_all(mailjet=mailjet, now=timezone.now())
    return taken[0], mailjet.requests - requests, _rows_written() - written


def _rows_written() -> int:
    """Rows of contacts and memberships inserted, updated or deleted so far, as PostgreSQL counts them."""
    tables = [model._meta.db_table for model in (Contact, ContactListMembership)]
    with connection.cursor() as cursor:
        cursor.execute("select pg_stat_force_next_flush()")
        cursor.execute(
            "select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint from pg_stat_user_tables"
            " where relname = any(%s)",
            [tables],
        )
        return int(cursor.fetchone()[0])


def _peak_mebibytes() -> float:
    """The most memory this process ever held."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB here
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


# --- The bare COPY ------------------------------------------------------------------------------------------


class Copies:
    """The account's rows as COPY takes them, in files."""

    def __init__(self, account: Account, directory: Path) -> None:
        self._contacts, self._members = directory / "contacts.copy", directory / "members.copy"
        with self._contacts.open("w") as file:
            file.writelines(map(_contact, range(account.contacts)))
        lists = dict(ContactList.objects.values_list("mailjet_id", "pk"))
        with self._members.open("w") as file:
            for order in account.lists:
                rows = range(order.first, order.first + order.members)
                file.writelines(_member(n, order, list_pk=lists[order.id]) for n in rows)

    def taken(self, *, foreign_keys: bool) -> Taken:
        """How long PostgreSQL takes to copy them into empty tables like ours. Nothing stays of it."""
        with transaction.atomic(), connection.cursor() as cursor:
            _make_tables_alike(foreign_keys=foreign_keys)
            connection.check_constraints()
            with timed() as taken, transaction.atomic():
                _copy(f"copy bare_contact ({_CONTACT_COLUMNS}) from stdin", self._contacts)
                _copy(f"copy bare_membership ({_MEMBER_COLUMNS}) from stdin", self._members)
                cursor.execute("set constraints all immediate")  # as a commit would
            transaction.set_rollback(True)
        return taken[0]


_CONTACT_COLUMNS = "id, email, registered_at, excluded_since, opted_out_at, opted_out_by, complained_by"
_MEMBER_COLUMNS = "contact_id, list_id, since, began_by, ended_by, unsubscribed, rank"


def _contact(n: int) -> str:
    out = (pages.time(n), "list 5001") if pages.is_unsubscribed(n) else (r"\N", "")
    excluded = pages.time(n) if pages.is_excluded(n) else r"\N"
    return "\t".join([str(pages.FIRST_CONTACT + n), pages.email(n), pages.time(n), excluded, *out, "\n"])


def _member(n: int, order: ListOrder, *, list_pk: int) -> str:
    unsubscribed = "t" if pages.is_unsubscribed(n) else "f"
    rank = n - order.first + 1
    return f"{pages.FIRST_CONTACT + n}\t{list_pk}\t{pages.time(n)}\tfirst_sight\t\t{unsubscribed}\t{rank}\n"


def _make_tables_alike(*, foreign_keys: bool) -> None:
    alike = {"bare_contact": Contact, "bare_membership": ContactListMembership}
    with connection.cursor() as cursor:
        for name, model in alike.items():
            cursor.execute(f"create table {name} (like {model._meta.db_table} including all)")
        for constraint in _FOREIGN_KEYS if foreign_keys else ():
            cursor.execute(f"alter table bare_membership add foreign key {constraint} deferrable")


_FOREIGN_KEYS = (
    "(contact_id) references bare_contact (id)",
    "(list_id) references listmanagement_contactlist (id)",
    "(began_with_id) references listmanagement_listoperation (id)",
    "(ended_with_id) references listmanagement_listoperation (id)",
)


def _copy(statement: str, path: Path) -> None:
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for block in _blocks(path):
            copy.write(block)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


BENCHMARK = Benchmark(
    name="mirror",
    help="Fill an empty mirror and refresh it unchanged, beside a bare COPY of the same rows.",
    add_arguments=add_arguments,
    run=run,
)
