"""Event callback URLs at the Mailjet stand-in: one per kind of event, and one more as its backup."""

import sqlite3
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from integrations.sandbox import bodies, listing
from integrations.sandbox.listing import Listing, equals, flag
from integrations.sandbox.mailjet_call import Call, row_id
from integrations.sandbox.protocol import (
    Reply,
    bad_request,
    created,
    duplicate,
    envelope,
    invalid_property,
    no_content,
    not_found,
    not_modified,
)

EVENT_TYPES = ("open", "click", "bounce", "spam", "blocked", "unsub", "sent")
_SETTABLE = ("EventType", "IsBackup", "Status", "Url", "Version")


def _row(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "APIKeyID": 1,
        "EventType": row["event_type"],
        "ID": row["id"],
        "IsBackup": bool(row["is_backup"]),
        "Status": row["status"],
        "Url": row["url"],
        "Version": row["version"],
    }


CALLBACKS = Listing(
    source="callbacks",
    columns="*",
    key="id",
    row=_row,
    filters={
        "eventtype": equals("event_type", str),
        "isbackup": equals("is_backup", flag),
        "status": equals("status", str),
        "version": equals("version"),
    },
    sortable={},
)


def callbacks(call: Call) -> Reply:
    """``GET /eventcallbackurl``."""
    return listing.answer(call.db, CALLBACKS, call.request.params)


def callback(call: Call, key: str) -> Reply:
    """``GET /eventcallbackurl/{id}``."""
    return envelope([_found(call, key)])


def _found(call: Call, key: str) -> Mapping[str, Any]:
    row = listing.find(call.db, CALLBACKS, row_id(key))
    if row is None:
        raise not_found()
    return row


def _values(call: Call) -> dict[str, Any]:
    """What the body sets, by column. Raises Refused."""
    given = bodies.known(
        bodies.read_object(call.request.body),
        kind="TEventCallbackUrl",
        settable=_SETTABLE,
        fixed=("ID", "APIKeyID"),
    )
    values = {
        "event_type": bodies.text(given, "EventType"),
        "is_backup": bodies.boolean(given, "IsBackup"),
        "status": bodies.text(given, "Status"),
        "url": bodies.text(given, "Url"),
        "version": bodies.number(given, "Version"),
    }
    _check(values)
    return {name: value for name, value in values.items() if value is not None}


def _check(values: Mapping[str, Any]) -> None:
    if values["event_type"] not in (None, *EVENT_TYPES):
        raise invalid_property("EventType", f"one of {', '.join(EVENT_TYPES)} is expected")
    if values["status"] not in (None, "alive", "dead"):
        raise invalid_property("Status", "alive or dead is expected")
    if values["version"] not in (None, 1, 2):
        raise invalid_property("Version", "1 or 2 is expected")
    if values["url"] is not None and not _is_url(values["url"]):
        raise invalid_property("Url", "an http or https address is expected")


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def create(call: Call) -> Reply:
    """``POST /eventcallbackurl``: a second one for the same kind is refused with MJ18."""
    values = _values(call)
    for name, column in (("EventType", "event_type"), ("Url", "url")):
        if not values.get(column):
            raise bad_request(f"MJ03 A non-empty value is required for {name}")
    _refuse_taken(call, values["event_type"], bool(values.get("is_backup")), except_id=0)
    names, marks = ", ".join(values), ", ".join("?" for _ in values)
    cursor = call.db.execute(
        " ".join(["INSERT INTO callbacks (", names, ") VALUES (", marks, ")"]), [*values.values()]
    )
    return created(_found(call, str(cursor.lastrowid)))


def _refuse_taken(call: Call, event_type: str, is_backup: bool, *, except_id: int) -> None:
    taken = call.db.execute(
        "SELECT 1 FROM callbacks WHERE event_type = ? AND is_backup = ? AND id <> ?",
        (event_type, is_backup, except_id),
    ).fetchone()
    if taken:
        value = f"{event_type}|{str(is_backup).lower()}"
        raise duplicate("EventCallbackUrl", name="EventType|Backup", value=value)


def update(call: Call, key: str) -> Reply:
    """``PUT /eventcallbackurl/{id}``: a new URL brings a dead one back to life."""
    before = _found(call, key)
    values = _values(call)
    if "url" in values and values["url"] != before["Url"]:
        values.setdefault("status", "alive")
    kind, is_backup = (
        values.get("event_type", before["EventType"]),
        values.get("is_backup", before["IsBackup"]),
    )
    _refuse_taken(call, kind, is_backup, except_id=before["ID"])
    for name, value in values.items():
        call.db.execute(" ".join(["UPDATE callbacks SET", name, "= ? WHERE id = ?"]), (value, before["ID"]))
    after = _found(call, key)
    return not_modified() if after == before else envelope([after])


def delete(call: Call, key: str) -> Reply:
    """``DELETE /eventcallbackurl/{id}``: what was still to be told to it is lost."""
    call.db.execute("DELETE FROM callbacks WHERE id = ?", (_found(call, key)["ID"],))
    return no_content()
