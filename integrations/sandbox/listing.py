"""How Mailjet lists a resource: filters, sorting, pages and counts, the same for all of them."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from integrations.sandbox.clock import from_wire
from integrations.sandbox.places import Database
from integrations.sandbox.protocol import Reply, as_json, bad_request, envelope

MAX_LIMIT = 1000
DEFAULT_LIMIT = 10

Condition = tuple[str, list[Any]]
Filter = Callable[[str], Condition]
"""Makes a condition of a parameter's text. Raises ValueError for text it cannot read."""
_TRUE, _FALSE = frozenset({"true", "1"}), frozenset({"false", "0"})


@dataclass(frozen=True)
class Listing:
    """A resource that can be listed. Parameters that are not in ``filters`` are ignored without a word."""

    source: str
    """What stands after FROM; fixed text, never a caller's."""
    columns: str
    key: str
    """The column behind ID."""
    row: Callable[[sqlite3.Row], Mapping[str, Any]]
    filters: Mapping[str, Filter]
    """By parameter name in lower case."""
    sortable: Mapping[str, str]
    """Field name in lower case to column, besides ID."""
    sorts_by_id_descending: bool = True
    not_here: frozenset[str] = frozenset()
    """Parameters that Mailjet filters by and the stand-in cannot: refused, where ignoring would mislead."""
    is_long: bool = False
    """Pages of it are found without walking to them. Its rows' ID is the key, a whole number."""


def whole(text: str) -> int:
    """A whole number of at most 64 bits. Raises ValueError."""
    number = int(text)
    if abs(number) >= 2**63:
        raise ValueError(f"{text} has more than 64 bits")
    return number


def flag(text: str) -> bool:
    """true, false, 1 or 0. Raises ValueError."""
    lowered = text.lower()
    if lowered not in _TRUE | _FALSE:
        raise ValueError(f'"{text}" is not a valid boolean value')
    return lowered in _TRUE


def where(condition: str, read: Callable[[str], Any] = whole) -> Filter:
    """A filter that puts the value it read in the condition's one place."""
    return lambda text: (condition, [read(text)])


def equals(column: str, read: Callable[[str], Any] = whole) -> Filter:
    """A filter on one column's value."""
    return where(f"{column} = ?", read)


def after(column: str) -> Filter:
    """Later than a moment, which itself is excluded."""
    return where(f"{column} > ?", from_wire)


def before(column: str) -> Filter:
    """No later than a moment."""
    return where(f"{column} <= ?", from_wire)


def answer(
    db: sqlite3.Connection, listing: Listing, params: Mapping[str, str], *, also: Condition | None = None
) -> Reply:
    """One page of a resource, or only its count, as the parameters ask. Raises Refused (400)."""
    condition, values = _conditions(listing, params, also)
    counts_only = _is_set(params, "countonly")
    overall = None
    if counts_only or _is_set(params, "countrecords"):
        overall = _count(db, listing, condition, values)
    if counts_only:
        return envelope_of_count(overall or 0)
    order, (limit, offset) = _order(listing, params.get("sort", "")), window(params)
    if listing.is_long and order in (listing.key, f"{listing.key} asc, {listing.key}"):
        rows = _page_of_long(db, listing, condition, values, limit=limit, offset=offset)
    else:
        rows = _page(db, listing, condition, [*values, limit, offset], order=order)
    return envelope(rows, total=overall)


def _page(
    db: sqlite3.Connection, listing: Listing, condition: str, values: Sequence[Any], *, order: str
) -> list[Mapping[str, Any]]:
    """The rows of a page; the last two values are its limit and offset."""
    parts = ("SELECT", listing.columns, "FROM", listing.source, condition, "ORDER BY", order)
    rows = db.execute(" ".join((*parts, "LIMIT ? OFFSET ?")), values)
    return [listing.row(row) for row in rows]


def _page_of_long(
    db: sqlite3.Connection, listing: Listing, condition: str, values: list[Any], *, limit: int, offset: int
) -> list[Mapping[str, Any]]:
    """A page in the order of its keys, from the nearest row known before it."""
    query = (f"{listing.source} {condition}", tuple(values))
    known = db.places.before(query, offset) if isinstance(db, Database) else None
    if known is None:
        rows = _page(db, listing, condition, [*values, limit, offset], order=listing.key)
    else:
        at, key = known
        further = f"{condition} {'AND' if condition else 'WHERE'} {listing.key} >= ?"
        rows = _page(db, listing, further, [*values, key, limit, offset - at], order=listing.key)
    if isinstance(db, Database):
        db.places.note(query, offset=offset, keys=[row["ID"] for row in rows])
    return rows


def find(db: sqlite3.Connection, listing: Listing, key: int) -> Mapping[str, Any] | None:
    """One row by its id."""
    query = ["SELECT", listing.columns, "FROM", listing.source, "WHERE", listing.key, "= ?"]
    row = db.execute(" ".join(query), [key]).fetchone()
    return None if row is None else listing.row(row)


def envelope_of_count(overall: int) -> Reply:
    """The answer to countOnly: no rows, both numbers overall."""
    return as_json({"Count": overall, "Data": [], "Total": overall})


def _conditions(listing: Listing, params: Mapping[str, str], also: Condition | None) -> Condition:
    parts: list[str] = []
    values: list[Any] = []
    for name, text in params.items():
        if name in listing.not_here:
            raise bad_request(f'The stand-in cannot filter by "{name}", though Mailjet does')
        if name in listing.filters:
            condition, given = _read_filter(listing.filters[name], name, text)
            parts.append(condition)
            values.extend(given)
    if also is not None:
        parts.append(also[0])
        values.extend(also[1])
    return ("WHERE " + " AND ".join(parts) if parts else ""), values


def _read_filter(filter_: Filter, name: str, text: str) -> Condition:
    try:
        return filter_(text)
    except ValueError as error:
        raise bad_request(f'Invalid value for filter "{name}": "{text}"') from error


def _is_set(params: Mapping[str, str], name: str) -> bool:
    return params.get(name, "0").lower() in _TRUE


def _count(db: sqlite3.Connection, listing: Listing, condition: str, values: list[Any]) -> int:
    def counted() -> int:
        row = db.execute(" ".join(["SELECT count(*) FROM", listing.source, condition]), values).fetchone()
        return int(row[0])

    if listing.is_long and isinstance(db, Database):
        return db.places.count((f"{listing.source} {condition}", tuple(values)), counted)
    return counted()


def window(params: Mapping[str, str]) -> tuple[int, int]:
    """Limit and offset as they take effect: Limit 0 means the maximum and ignores the offset."""
    limit = _non_negative(params, "limit", DEFAULT_LIMIT)
    offset = _non_negative(params, "offset", 0)
    return (MAX_LIMIT, 0) if limit == 0 else (min(limit, MAX_LIMIT), offset)


def _non_negative(params: Mapping[str, str], name: str, unset: int) -> int:
    text = params.get(name, str(unset))
    try:
        number = whole(text)
    except ValueError as error:
        raise bad_request(f'Invalid value for "{name}": "{text}"') from error
    if number < 0:
        raise bad_request(f'Invalid value for "{name}": "{text}"')
    return number


def _order(listing: Listing, sort: str) -> str:
    """The ORDER BY of a Sort parameter; ID breaks ties so that pages do not overlap."""
    if not sort:
        return listing.key
    field, _, direction = sort.lower().partition(" ")
    column = listing.key if field == "id" else listing.sortable.get(field)
    is_refused = field == "id" and direction == "desc" and not listing.sorts_by_id_descending
    if column is None or direction not in ("", "asc", "desc") or is_refused:
        raise bad_request(f"Invalid sort specification: Cannot sort on field {sort.lower()}")
    return f"{column} {direction}, {listing.key}"
