"""Where the pages of a long list begin, remembered for as long as nothing changes.

Mailjet's pages are offsets, and SQLite walks to an offset row by row: reading a list of a million page by
page would walk for minutes. Who asks for page after page starts where the page before ended instead. Any
change in the world, be it only a membership, makes all of it forgotten: an answer is never older than that.
"""

import sqlite3
from bisect import bisect_right, insort
from collections.abc import Callable, Sequence
from typing import Any

Query = tuple[str, tuple[Any, ...]]
"""What is listed: the query up to its order, and the values in it."""

MOST_PLACES = 100_000


class Places:
    """The rows at some offsets of some lists, and how long those lists are."""

    def __init__(self) -> None:
        self._changes = -1
        self._known = 0
        self._at: dict[Query, list[tuple[int, int]]] = {}
        self._counts: dict[Query, int] = {}

    def forget(self) -> None:
        """Everything may be different now."""
        self._known = 0
        self._at.clear()
        self._counts.clear()

    def stand_at(self, changes: int) -> None:
        """Forget where rows were changed since: `changes` are the rows changed so far."""
        if changes != self._changes or self._known > MOST_PLACES:
            self.forget()
            self._changes = changes

    def before(self, query: Query, offset: int) -> tuple[int, int] | None:
        """The offset and the key of a row known at or before an offset; None where there is none."""
        known = self._at.get(query, [])
        place = bisect_right(known, (offset, 2**63))
        return known[place - 1] if place else None

    def note(self, query: Query, *, offset: int, keys: Sequence[int]) -> None:
        """A page that began at an offset had these keys."""
        known = self._at.setdefault(query, [])
        for place in {(offset, keys[0]), (offset + len(keys) - 1, keys[-1])} if keys else ():
            if self.before(query, place[0]) != place:
                insort(known, place)
                self._known += 1

    def count(self, query: Query, how: Callable[[], int]) -> int:
        """How many rows there are, counted where nobody has yet."""
        if query not in self._counts:
            self._counts[query] = how()
            self._known += 1
        return self._counts[query]


class Database(sqlite3.Connection):
    """A connection that remembers where pages begin."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._places = Places()

    @property
    def places(self) -> Places:
        """What is remembered and still true."""
        self._places.stand_at(self.total_changes)
        return self._places

    def forget_places(self) -> None:
        """Rows are different, and nobody counted the change: a rollback, or another file's content."""
        self._places.forget()
