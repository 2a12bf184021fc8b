"""What every answer of the Mailjet stand-in is made from, and how it finds the rows an address names."""

import sqlite3
from dataclasses import dataclass

from integrations.sandbox import effects
from integrations.sandbox.bodies import MAX_DIGITS, MAX_ID
from integrations.sandbox.jobs import Fate
from integrations.sandbox.protocol import Request, bad_request, not_found
from integrations.sandbox.settings import Settings


@dataclass(frozen=True)
class Call:
    """One request inside the transaction that answers it."""

    request: Request
    db: sqlite3.Connection
    now: float
    settings: Settings
    fate: Fate
    """What becomes of a job this request submits."""
    base_url: str


def row_id(text: str) -> int:
    """An id from the path. Raises Refused (404): no row has an id that is not a number."""
    if not text.isascii() or not text.isdigit() or len(text) > MAX_DIGITS or int(text) > MAX_ID:
        raise not_found()
    return int(text)


def contact_id(call: Call, text: str) -> int:
    """The contact a path names by id or by address. Raises Refused (404, 400 for a malformed address)."""
    if text.isascii() and text.isdigit():
        found = call.db.execute("SELECT id FROM contacts WHERE id = ?", (row_id(text),)).fetchone()
        if found is None:
            raise not_found()
        return int(found["id"])
    if not effects.is_address(text):
        raise bad_request(f'Invalid email address "{text}"')
    known = effects.find_contact(call.db, text)
    if known is None:
        raise not_found()
    return known


def is_live_list(call: Call, list_id: int) -> bool:
    """Whether the list exists and is not deleted."""
    row = call.db.execute("SELECT is_deleted FROM lists WHERE id = ?", (list_id,)).fetchone()
    return row is not None and not row["is_deleted"]


def live_list_id(call: Call, text: str) -> int:
    """A list of the path that can be changed. Raises Refused: 404 where unknown, 400 where deleted."""
    list_id = row_id(text)
    if call.db.execute("SELECT 1 FROM lists WHERE id = ?", (list_id,)).fetchone() is None:
        raise not_found()
    if not is_live_list(call, list_id):
        raise bad_request(f"List ID {list_id} is invalid or deleted")
    return list_id
