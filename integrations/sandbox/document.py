"""The world as one JSON document: what ``PUT /_sandbox/state`` reads and ``GET /_sandbox/world`` writes.

The form is described in the package's docstring. Every field is checked on the way in; what is unknown
or missing is refused with its section and row, so that a typing error never becomes an empty world.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from integrations.sandbox.clock import from_wire, to_wire
from integrations.sandbox.outcomes import Mailbox

Cell = int | float | str | None
REQUIRED: Any = object()

MESSAGE_STATUSES = frozenset(
    {"unknown", "queued", "sent", "opened", "clicked", "bounce", "spam", "unsub", "blocked", "hardbounced"}
    | {"softbounced", "deferred"}
)


class BadDocument(ValueError):
    """The document is not a world: the message names section, row and field."""


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value


def _filled(value: Any) -> str:
    if not _text(value).strip():
        raise ValueError("must not be empty")
    return str(value)


def _flag(value: Any) -> int:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return int(value)


def _moment(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be a time, RFC 3339 or unix seconds")
    return float(value) if not isinstance(value, str) else from_wire(value)


def _json_object(value: Any) -> str:
    if not isinstance(value, str) or not isinstance(json.loads(value), dict):
        raise ValueError("must be a JSON object as text")
    return value


def _counts(value: Any) -> str:
    for status, number in json.loads(_json_object(value)).items():
        _status(status)
        _whole(number)
    return str(value)


def _mailbox(value: Any) -> str:
    try:
        return Mailbox(value)
    except ValueError as error:
        raise ValueError(f"must be one of {[str(each) for each in Mailbox]}") from error


def _status(value: Any) -> str:
    if value not in MESSAGE_STATUSES:
        raise ValueError(f"must be one of {', '.join(sorted(MESSAGE_STATUSES))}")
    return str(value)


@dataclass(frozen=True)
class Field:
    """One field of a row: its name (also the column's), how it is read, and what stands for a missing one."""

    name: str
    read: Callable[[Any], Cell]
    default: Any = REQUIRED

    @property
    def nullable(self) -> bool:
        """Whether ``null`` (or a missing field) is a value of its own."""
        return self.default is None

    def cell(self, row: Mapping[str, Any]) -> Cell:
        """The column's value. Raises ValueError where the row has none or a wrong one."""
        value = row.get(self.name, self.default)
        if value is REQUIRED:
            raise ValueError("is missing")
        if value is None and self.nullable:
            return None
        return self.read(value)


SECTIONS: dict[str, tuple[Field, ...]] = {
    "contacts": (
        Field("id", _whole),
        Field("email", _filled),
        Field("name", _text, ""),
        Field("created_at", _moment),
        Field("excluded", _flag, False),
        Field("excluded_at", _moment, None),
        Field("complained", _flag, False),
        Field("unsubscribed", _flag, False),
        Field("unsubscribed_at", _moment, None),
        Field("last_activity_at", _moment, None),
        Field("last_update_at", _moment, None),
        Field("mailbox", _mailbox, ""),
    ),
    "lists": (
        Field("id", _whole),
        Field("name", _filled),
        Field("address", _filled),
        Field("created_at", _moment, 0),
        Field("is_deleted", _flag, False),
    ),
    "memberships": (
        Field("id", _whole),
        Field("contact_id", _whole),
        Field("list_id", _whole),
        Field("active", _flag, True),
        Field("unsubscribed", _flag, False),
        Field("subscribed_at", _moment),
        Field("unsubscribed_at", _moment, None),
    ),
    "drafts": (
        Field("id", _whole),
        Field("title", _text, ""),
        Field("subject", _text, ""),
        Field("list_id", _whole, None),
        Field("status", _whole, 0),
        Field("created_at", _moment),
        Field("modified_at", _moment, None),
        Field("scheduled_at", _moment, None),
        Field("delivered_at", _moment, None),
        Field("sender_email", _filled, "news@sender.example.com"),
        Field("sender_name", _text, "News"),
        Field("locale", _filled, "en_US"),
        Field("html", _text, ""),
        Field("text", _text, ""),
        Field("segmentation_id", _whole, None),
        Field("ax_testing_id", _whole, None),
        Field("ax_fraction", _whole, None),
        Field("extras", _json_object, "{}"),
    ),
    "campaigns": (
        Field("id", _whole),
        Field("draft_id", _whole),
        Field("list_id", _whole),
        Field("subject", _text),
        Field("send_start_at", _moment),
        Field("send_end_at", _moment, None),
        Field("status", _whole, 2),
        Field("is_deleted", _flag, False),
        Field("is_starred", _flag, False),
        Field("segmentation_id", _whole, None),
        Field("forgotten", _counts, "{}"),
    ),
    "messages": (
        Field("id", _whole),
        Field("campaign_id", _whole),
        Field("contact_id", _whole),
        Field("status", _status),
        Field("state_id", _whole, None),
        Field("state_permanent", _flag, False),
        Field("arrived_at", _moment),
        Field("attempts", _whole, 1),
        Field("comment", _text, ""),
    ),
    "bounces": (
        Field("id", _whole),
        Field("message_id", _whole),
        Field("campaign_id", _whole),
        Field("contact_id", _whole),
        Field("bounced_at", _moment),
        Field("state_id", _whole, None),
        Field("permanent", _flag, False),
        Field("blocked", _flag, False),
    ),
    "preblocks": (
        Field("email", _filled),
        Field("state_id", _whole),
        Field("until", _moment, None),
    ),
}


def write(db: sqlite3.Connection, document: Mapping[str, Any]) -> None:
    """Insert every row of the document. Raises BadDocument; the caller's transaction undoes the rest."""
    if unknown := sorted(set(document) - set(SECTIONS)):
        raise BadDocument(f"unknown sections {unknown}; known are {sorted(SECTIONS)}")
    for section in SECTIONS:
        _insert(db, section, _completed(section, document))
    if "bounces" not in document:
        db.execute(_BOUNCES_OF_MESSAGES)
    _check_references(db)


_BOUNCES_OF_MESSAGES = """
INSERT INTO bounces (message_id, campaign_id, contact_id, bounced_at, state_id, permanent, blocked)
SELECT id, campaign_id, contact_id, arrived_at, state_id, state_permanent, state_permanent FROM messages
WHERE status IN ('hardbounced', 'softbounced', 'bounce') ORDER BY id
"""


def read(db: sqlite3.Connection) -> dict[str, list[dict[str, Any]]]:
    """The whole world as a document that :func:`write` accepts."""
    return {section: _rows(db, section, fields) for section, fields in SECTIONS.items()}


def list_address(list_id: int) -> str:
    """The nine characters Mailjet would generate for a list; here a function of its id."""
    return f"l{list_id:08x}"


def _completed(section: str, document: Mapping[str, Any]) -> Sequence[Any]:
    rows = document.get(section, ())
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        raise BadDocument(f"{section} must be an array of objects")
    if section == "lists":
        return [{"address": list_address(row["id"])} | row if _has_id(row) else row for row in rows]
    if section == "drafts":
        return [*rows, *_implied_drafts(rows, document.get("campaigns", ()))]
    return rows


def _has_id(row: Any) -> bool:
    return isinstance(row, Mapping) and isinstance(row.get("id"), int)


def _implied_drafts(drafts: Sequence[Any], campaigns: Sequence[Any]) -> list[dict[str, Any]]:
    """A sent campaign has a sent draft, also where the document does not spell it out."""
    known = {draft.get("id") for draft in drafts if isinstance(draft, Mapping)}
    return [
        {
            "id": campaign["draft_id"],
            "subject": campaign.get("subject", ""),
            "list_id": campaign.get("list_id"),
            "status": 2,
            "created_at": campaign.get("send_start_at"),
            "delivered_at": campaign.get("send_start_at"),
        }
        for campaign in campaigns
        if isinstance(campaign, Mapping) and "draft_id" in campaign and campaign["draft_id"] not in known
    ]


def _insert(db: sqlite3.Connection, section: str, rows: Sequence[Any]) -> None:
    fields = SECTIONS[section]
    names = ", ".join(field.name for field in fields)
    marks = ", ".join("?" for _ in fields)
    cells = [_cells(section, number, row) for number, row in enumerate(rows)]
    try:
        db.executemany(" ".join(["INSERT INTO", section, "(", names, ") VALUES (", marks, ")"]), cells)
    except (sqlite3.IntegrityError, OverflowError) as error:
        raise BadDocument(f"{section}: {error}") from error


def _cells(section: str, number: int, row: Any) -> list[Cell]:
    fields = SECTIONS[section]
    if not isinstance(row, Mapping):
        raise BadDocument(f"{section}[{number}] must be an object")
    if unknown := sorted(set(row) - {field.name for field in fields}):
        raise BadDocument(f"{section}[{number}] has unknown fields {unknown}")
    return [_cell(field, row, where=f"{section}[{number}].{field.name}") for field in fields]


def _cell(field: Field, row: Mapping[str, Any], *, where: str) -> Cell:
    try:
        return field.cell(row)
    except ValueError as error:
        raise BadDocument(f"{where} {error}") from error


def _check_references(db: sqlite3.Connection) -> None:
    broken = db.execute("PRAGMA foreign_key_check").fetchone()
    if broken:
        raise BadDocument(
            f"{broken[0]}: the row with id {broken[1]} names a row of {broken[2]} that is not there"
        )


def _rows(db: sqlite3.Connection, section: str, fields: tuple[Field, ...]) -> list[dict[str, Any]]:
    rows = db.execute(" ".join(["SELECT * FROM", section, "ORDER BY rowid"]))
    return [{field.name: _value(field, row[field.name]) for field in fields} for row in rows]


def _value(field: Field, cell: Cell) -> Any:
    if field.read is _flag:
        return bool(cell)
    if field.read is _moment and isinstance(cell, float):
        return to_wire(cell)
    return cell
