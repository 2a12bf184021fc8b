"""What a benchmark counts: requests, statements, rows written; and a quota that nobody waits for."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from math import ceil, log2
from typing import Any

import httpx
from django.db import connection

from integrations.mailjet import Budget
from integrations.sandbox import Serving

PER_MINUTE = 300
"""Requests that Mailjet answers in any minute."""


class Quota(Budget):
    """At most so many requests in any minute of the stand-in's clock; a wait moves that clock."""

    def __init__(self, serving: Serving) -> None:
        self._world = serving.world
        self._made: deque[float] = deque(maxlen=PER_MINUTE)

    def acquire(self, *, background: bool) -> None:
        """Let the clock go on until one more is allowed, and count it."""
        del background
        if len(self._made) == PER_MINUTE:
            self._world.advance(max(self._made[0] + 60.5 - self._world.clock.now(), 0.0))
        self._made.append(self._world.clock.now())


def _nothing() -> None:
    """Happens before most requests."""


class Counted(httpx.HTTPTransport):
    """Counts what is asked for. `before` happens before each request, `before_write` where it writes."""

    def __init__(
        self,
        sent: Counter[str],
        *,
        before: Callable[[], None] = _nothing,
        before_write: Callable[[], None] = _nothing,
    ) -> None:
        super().__init__()
        self._sent, self._before, self._before_write = sent, before, before_write

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Ask, and count it by what it is."""
        self._sent[_what(request)] += 1
        self._before()
        if request.method != "GET":
            self._before_write()
        return super().handle_request(request)


def _what(request: httpx.Request) -> str:
    if request.method != "GET":
        return "bulk requests"
    resource = request.url.path.split("/REST/")[-1]
    if "managemanycontacts" in resource:
        return "job statuses"
    return _READS.get(resource.split("/")[0], "others") if resource.count("/") < 2 else "others"


_READS = {
    "listrecipient": "pages of memberships",
    "contact": "pages of contacts",
    "message": "pages of messages",
    "messagehistory": "texts of servers",
    "contactslist": "lists",
    "campaign": "campaigns and drafts",
    "campaigndraft": "campaigns and drafts",
    "statcounters": "campaigns and drafts",
}


class Queries:
    """Counts statements."""

    number = 0

    def __call__(self, execute: Callable[..., Any], *statement: Any) -> Any:
        """One more."""
        self.number += 1
        return execute(*statement)


def looks(seconds: float) -> int:
    """How often a job that takes so long is looked at, when it is 1, 2, 4, 8 … seconds old."""
    return ceil(log2(max(seconds, 1.0))) + 1


def rows_written() -> int:
    """Rows inserted, updated and deleted so far in this database, as PostgreSQL counts them."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_stat_force_next_flush()")
        cursor.execute(
            "select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint from pg_stat_user_tables"
        )
        return int(cursor.fetchone()[0])
