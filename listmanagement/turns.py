"""How many requests may be made in a minute, over all processes: counted in PostgreSQL, one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

WINDOW_SECONDS = 62
"""The other side counts arrivals in a minute; two seconds cover what a request spends on its way."""


@contextmanager
def alone(lock: int) -> Iterator[CursorWrapper]:
    """One process at a time, for a moment: a transaction of its own. `lock` is one number for all of them."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", [lock])
        yield cursor


def seconds_until_one(
    cursor: CursorWrapper, table: str, *, allowed: int, kinds: Sequence[bool] | None = None
) -> float:
    """How long until the window holds fewer of the table's requests than allowed; 0 where it does now.

    With `kinds`, of these alone: background, or not.
    """
    of_kind = "" if kinds is None else "and background = any(%(kinds)s)"
    cursor.execute(
        f"""
        select count(*), %(window)s - extract(epoch from clock_timestamp() - min(at))
          from (select at from {table}
                 where at > clock_timestamp() - make_interval(secs => %(window)s) {of_kind}
                 order by at desc limit %(allowed)s) as latest
        """,  # noqa: S608  (our own tables)
        {"window": WINDOW_SECONDS, "kinds": list(kinds or ()), "allowed": allowed},
    )
    counted, wait = cursor.fetchone()
    return max(float(wait), 0.01) if counted >= allowed else 0.0
