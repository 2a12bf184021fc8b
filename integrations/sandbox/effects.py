"""What Mailjet's four actions do to one contact on one list, and the log of it.

The semantics follow Mailjet's guide on managing contacts in bulk; unsubscription is per list, and a
removed membership takes its unsubscribed state with it.
"""

import re
import sqlite3
from enum import StrEnum

_ADDRESS = re.compile(
    r'^(?:[^\s@<>(),;:\\"\[\]]+|"[^"\r\n]+")@(?:[^\s@<>(),;:\\"\[\].]+\.)+[^\s@<>(),;:\\"\[\].]{2,}$'
)


class Action(StrEnum):
    """Mailjet's words for a change of one membership."""

    ADD_FORCE = "addforce"
    ADD_NO_FORCE = "addnoforce"
    REMOVE = "remove"
    UNSUB = "unsub"


class Standing(StrEnum):
    """How a contact stands on a list."""

    ABSENT = "absent"
    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"


def is_address(text: str) -> bool:
    """Whether Mailjet would take this as an e-mail address (a sieve, not RFC 5322)."""
    return len(text) <= 254 and _ADDRESS.match(text) is not None


def outcome(before: Standing, action: Action, *, unsub_adds_nonmember: bool) -> Standing:
    """How somebody stands after an action."""
    if action is Action.REMOVE:
        return Standing.ABSENT
    if action is Action.ADD_FORCE:
        return Standing.SUBSCRIBED
    if action is Action.ADD_NO_FORCE:
        return Standing.SUBSCRIBED if before is Standing.ABSENT else before
    if before is Standing.ABSENT and not unsub_adds_nonmember:
        return Standing.ABSENT
    return Standing.UNSUBSCRIBED


def standing(db: sqlite3.Connection, *, contact_id: int, list_id: int) -> Standing:
    """How a contact stands on a list now."""
    row = db.execute(
        "SELECT unsubscribed FROM memberships WHERE list_id = ? AND contact_id = ?", (list_id, contact_id)
    ).fetchone()
    if row is None:
        return Standing.ABSENT
    return Standing.UNSUBSCRIBED if row["unsubscribed"] else Standing.SUBSCRIBED


def apply(
    db: sqlite3.Connection,
    *,
    contact_id: int,
    list_id: int,
    action: Action,
    at: float,
    job_id: int | None,
    unsub_adds_nonmember: bool,
) -> Standing:
    """Carry out one action on one membership and log it where it changed something."""
    before = standing(db, contact_id=contact_id, list_id=list_id)
    after = outcome(before, action, unsub_adds_nonmember=unsub_adds_nonmember)
    if after is not before:
        _write(db, before=before, after=after, contact_id=contact_id, list_id=list_id, at=at)
        db.execute(
            "INSERT INTO changes (contact_id, list_id, action, before, after, job_id, at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (contact_id, list_id, action, before, after, job_id, at),
        )
    return after


def _write(
    db: sqlite3.Connection, *, before: Standing, after: Standing, contact_id: int, list_id: int, at: float
) -> None:
    where = (list_id, contact_id)
    if after is Standing.ABSENT:
        db.execute("DELETE FROM memberships WHERE list_id = ? AND contact_id = ?", where)
        return
    gone_at = at if after is Standing.UNSUBSCRIBED else None
    if before is Standing.ABSENT:
        db.execute(
            "INSERT INTO memberships (list_id, contact_id, unsubscribed, subscribed_at, unsubscribed_at)"
            " VALUES (?, ?, ?, ?, ?)",
            (*where, after is Standing.UNSUBSCRIBED, at, gone_at),
        )
    elif after is Standing.UNSUBSCRIBED:
        db.execute(
            "UPDATE memberships SET unsubscribed = 1, unsubscribed_at = ?"
            " WHERE list_id = ? AND contact_id = ?",
            (at, *where),
        )
    else:
        db.execute(
            "UPDATE memberships SET unsubscribed = 0, unsubscribed_at = NULL, subscribed_at = ?"
            " WHERE list_id = ? AND contact_id = ?",
            (at, *where),
        )


def find_contact(db: sqlite3.Connection, email: str) -> int | None:
    """The id behind an address, compared without regard to case."""
    row = db.execute("SELECT id FROM contacts WHERE email = ?", (email,)).fetchone()
    return None if row is None else int(row["id"])


def create_contact(
    db: sqlite3.Connection, *, email: str, name: str = "", excluded: bool = False, at: float
) -> int:
    """A new contact on no list; returns its id."""
    cursor = db.execute(
        "INSERT INTO contacts (email, name, created_at, excluded, excluded_at) VALUES (?, ?, ?, ?, ?)",
        (email, name, at, excluded, at if excluded else None),
    )
    return int(cursor.lastrowid or 0)


def update_contact(
    db: sqlite3.Connection, *, contact_id: int, name: str | None, excluded: bool | None, at: float
) -> bool:
    """Overwrite what is not None; whether that changed anything."""
    row = db.execute("SELECT name, excluded FROM contacts WHERE id = ?", (contact_id,)).fetchone()
    wanted_name = row["name"] if name is None else name
    wanted_excluded = bool(row["excluded"]) if excluded is None else excluded
    if (wanted_name, wanted_excluded) == (row["name"], bool(row["excluded"])):
        return False
    db.execute("UPDATE contacts SET name = ?, last_update_at = ? WHERE id = ?", (wanted_name, at, contact_id))
    if wanted_excluded != bool(row["excluded"]):
        db.execute(
            "UPDATE contacts SET excluded = ?, excluded_at = ? WHERE id = ?",
            (wanted_excluded, at, contact_id),
        )
    return True
