"""What an account knows about its contacts beyond their address: properties, their types, their values."""

import sqlite3
from collections.abc import Mapping
from typing import Any

from integrations.sandbox.clock import from_wire

DATATYPES = ("str", "int", "float", "bool", "datetime")


def types(db: sqlite3.Connection) -> dict[str, str]:
    """Datatype by name in lower case, as Mailjet gives the names back."""
    return {row["name"].lower(): row["datatype"] for row in db.execute("SELECT name, datatype FROM metadata")}


def problem(db: sqlite3.Connection, given: Mapping[str, Any]) -> str:
    """Why these values cannot be set, in Mailjet's words; empty where they can."""
    known = types(db)
    for name, value in given.items():
        if name.lower() not in known:
            return f'Invalid key name: "{name}"'
        if value is not None and not _fits(value, known[name.lower()]):
            return f'Invalid value for "{name}": a {known[name.lower()]} is expected'
    return ""


def _fits(value: Any, datatype: str) -> bool:
    """Whether a value, or the text of one, is of a type."""
    readers: Mapping[str, Any] = {"int": int, "float": float, "datetime": from_wire}
    if isinstance(value, dict | list):
        return False
    if datatype == "str":
        return True
    if datatype == "bool":
        return str(value).lower() in ("true", "false")
    try:
        readers[datatype](str(value))
    except ValueError:
        return False
    return True


def set_values(db: sqlite3.Connection, *, contact_id: int, given: Mapping[str, Any]) -> None:
    """Overwrite what is named; None takes the value away."""
    for name, value in given.items():
        if value is None:
            db.execute("DELETE FROM properties WHERE contact_id = ? AND name = ?", (contact_id, name))
        else:
            db.execute(
                "INSERT OR REPLACE INTO properties (contact_id, name, value) VALUES (?, ?, ?)",
                (contact_id, name.lower(), str(value)),
            )


def values(db: sqlite3.Connection, *, contact_id: int) -> list[dict[str, str]]:
    """A contact's values, names in lower case, in their order."""
    rows = db.execute("SELECT name, value FROM properties WHERE contact_id = ? ORDER BY name", (contact_id,))
    return [{"Name": row["name"], "Value": row["value"]} for row in rows]


def define(db: sqlite3.Connection, *, name: str, datatype: str, namespace: str = "static") -> int:
    """A new property; returns its id."""
    cursor = db.execute(
        "INSERT INTO metadata (name, datatype, namespace) VALUES (?, ?, ?)", (name, datatype, namespace)
    )
    return int(cursor.lastrowid or 0)
