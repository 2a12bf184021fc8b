"""Mailjet's bulk jobs: accepted at once, done later, and not always as told.

A job's status follows the clock, and its effect on memberships falls due in one piece at its end.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from integrations.sandbox import effects, properties
from integrations.sandbox.effects import Action
from integrations.sandbox.settings import Settings


class Fate(StrEnum):
    """What a planted fault makes of a job."""

    NORMAL = "normal"
    ERROR = "error"
    """Ends with status Error and no effect."""
    HANG = "hang"
    """Stays in progress for ever."""
    LIE = "lie"
    """Ends Completed, without a failure and without any effect (mailjet-apiv3-java#167)."""
    PARTIAL = "partial"
    """Ends Completed; every second contact stands in the error file and is untouched."""
    ABORT = "abort"
    """Ends with status Abort after the first half of its contacts."""


class Status(StrEnum):
    """Mailjet's words for how far a job is."""

    ALLOCATED = "Allocated"
    UPLOAD = "Upload"
    PREPARE = "Prepare"
    IN_PROGRESS = "In Progress"
    COMPLETED = "Completed"
    ERROR = "Error"
    ABORT = "Abort"


class JobType(StrEnum):
    """The bulk calls, as ``/batchjob`` names them here (Mailjet's own words are not documented)."""

    ONE_LIST = "contactslist managemanycontacts"
    MANY_LISTS = "contact managemanycontacts"
    LIST = "contactslist importlist"
    CSV = "csv import"


class ImportMethod(StrEnum):
    """How one list goes into another. The duplicates carry who is unsubscribed."""

    ADD_FORCE = "addforce"
    ADD_NO_FORCE = "addnoforce"
    UNSUB = "unsub"
    DUPLICATE_OVERRIDE = "duplicate-override"
    DUPLICATE_NO_OVERRIDE = "duplicate-no-override"


_RUNNING = ((0.75, Status.IN_PROGRESS), (0.5, Status.PREPARE), (0.25, Status.UPLOAD))


@dataclass(frozen=True)
class ListAction:
    """What is to happen on one list."""

    list_id: int
    action: Action


@dataclass(frozen=True)
class Person:
    """One contact of a job as it was sent; None leaves what is stored."""

    email: str
    name: str | None = None
    excluded: bool | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)


def submit(
    db: sqlite3.Connection,
    *,
    job_type: JobType,
    method: str,
    ref_id: int,
    people: Sequence[Person],
    lists: Sequence[ListAction],
    fate: Fate,
    now: float,
    seconds: float,
    more: Mapping[str, Any] | None = None,
) -> int:
    """Queue a job; returns its id. Nothing else changes yet."""
    work = {"people": [asdict(person) for person in people], "lists": [asdict(each) for each in lists]}
    cursor = db.execute(
        "INSERT INTO jobs (job_type, method, ref_id, work, total, fate, requested_at, due_at, status)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            job_type,
            method,
            ref_id,
            json.dumps({**work, **(more or {})}),
            len(people),
            fate,
            now,
            now + seconds,
            Status.ALLOCATED,
        ),
    )
    return int(cursor.lastrowid or 0)


def finish(db: sqlite3.Connection, job_id: int, *, settings: Settings) -> None:
    """Carry a job out, or whatever its fate makes of that, at the time it was due."""
    _finish(db, db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone(), settings=settings)


def show_progress(db: sqlite3.Connection, *, now: float) -> None:
    """Let every job under way stand where the clock puts it."""
    columns = "id, requested_at, due_at, total"
    for job in db.execute(" ".join(["SELECT", columns, "FROM jobs WHERE ended_at IS NULL"])).fetchall():
        _show_progress(db, job, now=now)


def listed_actions(job: sqlite3.Row) -> list[dict[str, Any]]:
    """The lists and actions of a job, in Mailjet's form."""
    lists = json.loads(job["work"])["lists"]
    if job["job_type"] == JobType.LIST:
        return [{"ListID": job["ref_id"], "Action": job["method"]}]
    return [{"ListID": each["list_id"], "Action": each["action"]} for each in lists]


def _show_progress(db: sqlite3.Connection, job: sqlite3.Row, *, now: float) -> None:
    planned = max(job["due_at"] - job["requested_at"], 1e-6)
    done = min((now - job["requested_at"]) / planned, 0.99)
    status = next((status for share, status in _RUNNING if done >= share), Status.ALLOCATED)
    started_at = None if status is Status.ALLOCATED else job["requested_at"]
    processed = int(job["total"] * done) if status is Status.IN_PROGRESS else 0
    db.execute(
        "UPDATE jobs SET status = ?, processed = ?, started_at = ? WHERE id = ?",
        (status, processed, started_at, job["id"]),
    )


_ENDS = {Fate.ERROR: Status.ERROR, Fate.ABORT: Status.ABORT}
_ERROR = "An error occurred while processing the job"


def _finish(db: sqlite3.Connection, job: sqlite3.Row, *, settings: Settings) -> None:
    fate = Fate(job["fate"])
    done, failures = _carry_out(db, job, fate=fate, settings=settings)
    db.execute(
        "UPDATE jobs SET status = ?, processed = ?, total = max(total, ?), started_at = requested_at,"
        " ended_at = due_at, error = ?, failures = ?, failure_count = ? WHERE id = ?",
        (
            _ENDS.get(fate, Status.COMPLETED),
            done,
            done,
            _ERROR if fate is Fate.ERROR else "",
            json.dumps(failures),
            len(failures),
            job["id"],
        ),
    )


def _carry_out(
    db: sqlite3.Connection, job: sqlite3.Row, *, fate: Fate, settings: Settings
) -> tuple[int, list[dict[str, str]]]:
    """Do the work; returns how many contacts it claims to have done, and the rows of the error file."""
    work = json.loads(job["work"])
    if fate is Fate.ERROR:
        return 0, []
    if fate is Fate.LIE:
        return job["total"], []
    if job["job_type"] == JobType.LIST:
        return _import_list(db, job, source=work["source"], fate=fate)
    people = work["people"][: job["total"] // 2] if fate is Fate.ABORT else work["people"]
    lists = [ListAction(each["list_id"], Action(each["action"])) for each in work["lists"]]
    if job["job_type"] == JobType.CSV:
        _define_columns(db, people)
    failures = []
    for number, fields in enumerate(people):
        person = Person(**fields)
        problem = _problem(db, person, number=number, fate=fate)
        if problem:
            failures.append({"Email": person.email, "Error": problem})
        else:
            _process(db, person, lists, job=job, settings=settings)
    return len(people) - len(failures), failures


def _define_columns(db: sqlite3.Connection, people: Sequence[Mapping[str, Any]]) -> None:
    """A column of a CSV file that the account does not know becomes a property."""
    known = set(properties.types(db))
    for name in {name for person in people for name in person["properties"]}:
        if name.lower() not in known:
            properties.define(db, name=name, datatype="str")
            known.add(name.lower())


_WANTED = """
CREATE TEMP TABLE IF NOT EXISTS wanted (contact_id INTEGER PRIMARY KEY, before TEXT, after TEXT)
"""
_STANDINGS = {
    ImportMethod.ADD_FORCE: "'subscribed'",
    ImportMethod.ADD_NO_FORCE: "CASE WHEN old.id IS NULL THEN 'subscribed' ELSE {old} END",
    ImportMethod.UNSUB: "'unsubscribed'",
    ImportMethod.DUPLICATE_OVERRIDE: "{new}",
    ImportMethod.DUPLICATE_NO_OVERRIDE: "CASE WHEN old.id IS NULL THEN {new} ELSE {old} END",
}
_OLD = (
    "CASE WHEN old.id IS NULL THEN 'absent' WHEN old.unsubscribed THEN 'unsubscribed' ELSE 'subscribed' END"
)
_NEW = "CASE WHEN new.unsubscribed THEN 'unsubscribed' ELSE 'subscribed' END"


def _import_list(
    db: sqlite3.Connection, job: sqlite3.Row, *, source: int, fate: Fate
) -> tuple[int, list[dict[str, str]]]:
    """Bring the members that a list has now onto another; returns how many they are, and who is not."""
    after = _STANDINGS[ImportMethod(job["method"])].format(old=_OLD, new=_NEW)
    values = {"source": source, "target": job["ref_id"], "at": job["due_at"]}
    values |= {"job": job["id"], "method": job["method"]}
    db.execute(_WANTED)
    db.execute("DELETE FROM wanted")
    query = [
        "INSERT INTO wanted SELECT new.contact_id,",
        _OLD,
        ",",
        after,
        "FROM memberships AS new LEFT JOIN memberships AS old",
        "ON old.list_id = :target AND old.contact_id = new.contact_id WHERE new.list_id = :source",
    ]
    db.execute(" ".join(query), values)
    failures = _left_out(db, fate)
    db.execute(
        "INSERT INTO changes (contact_id, list_id, action, before, after, job_id, at)"
        " SELECT contact_id, :target, :method, before, after, :job, :at FROM wanted WHERE before <> after"
        " ORDER BY contact_id",
        values,
    )
    db.execute(
        "INSERT INTO memberships (list_id, contact_id, unsubscribed, subscribed_at, unsubscribed_at)"
        " SELECT :target, contact_id, after = 'unsubscribed', :at,"
        " CASE WHEN after = 'unsubscribed' THEN :at END FROM wanted WHERE before <> after ORDER BY contact_id"
        " ON CONFLICT (list_id, contact_id) DO UPDATE SET unsubscribed = excluded.unsubscribed,"
        " unsubscribed_at = excluded.unsubscribed_at, subscribed_at = CASE WHEN excluded.unsubscribed"
        " THEN memberships.subscribed_at ELSE excluded.subscribed_at END",
        values,
    )
    done = db.execute("SELECT count(*) FROM wanted").fetchone()[0]
    return int(done), failures


def _left_out(db: sqlite3.Connection, fate: Fate) -> list[dict[str, str]]:
    """Take out of ``wanted`` whom the job's fate spares; returns the rows of the error file."""
    if fate is Fate.ABORT:
        first = "SELECT contact_id FROM wanted ORDER BY contact_id LIMIT (SELECT count(*) / 2 FROM wanted)"
        db.execute(" ".join(["DELETE FROM wanted WHERE contact_id NOT IN (", first, ")"]))
    if fate is not Fate.PARTIAL:
        return []
    spared = db.execute(
        "SELECT email FROM wanted JOIN contacts ON contacts.id = contact_id WHERE contact_id % 2"
    ).fetchall()
    db.execute("DELETE FROM wanted WHERE contact_id % 2")
    return [{"Email": row["email"], "Error": "Internal error"} for row in spared]


def _problem(db: sqlite3.Connection, person: Person, *, number: int, fate: Fate) -> str:
    if person.properties and (problem := properties.problem(db, person.properties)):
        return problem
    if not effects.is_address(person.email):
        return f'Invalid email address "{person.email}"'
    return "Internal error" if fate is Fate.PARTIAL and number % 2 else ""


def _process(
    db: sqlite3.Connection,
    person: Person,
    lists: Sequence[ListAction],
    *,
    job: sqlite3.Row,
    settings: Settings,
) -> None:
    contact_id = _contact(db, person, lists, at=job["due_at"], settings=settings)
    if contact_id is None:
        return
    properties.set_values(db, contact_id=contact_id, given=person.properties)
    for each in lists:
        effects.apply(
            db,
            contact_id=contact_id,
            list_id=each.list_id,
            action=each.action,
            at=job["due_at"],
            job_id=job["id"],
            unsub_adds_nonmember=settings.unsub_adds_nonmember,
        )


def _contact(
    db: sqlite3.Connection, person: Person, lists: Sequence[ListAction], *, at: float, settings: Settings
) -> int | None:
    """The contact's id, created where it is unknown and the actions (or the switch) ask for it."""
    contact_id = effects.find_contact(db, person.email)
    if contact_id is not None:
        effects.update_contact(db, contact_id=contact_id, name=person.name, excluded=person.excluded, at=at)
        return contact_id
    only_takes_away = bool(lists) and all(each.action in (Action.REMOVE, Action.UNSUB) for each in lists)
    if only_takes_away and not settings.unknown_address_creates:
        return None
    return effects.create_contact(
        db, email=person.email, name=person.name or "", excluded=bool(person.excluded), at=at
    )


def as_status(job: sqlite3.Row, *, error_file: str) -> Mapping[str, Any]:
    """The fields both job polls share, except times."""
    return {
        "ContactsLists": listed_actions(job),
        "Count": job["processed"],
        "Error": job["error"],
        "ErrorFile": error_file if job["failure_count"] else "",
        "Status": job["status"],
    }
