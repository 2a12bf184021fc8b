"""Whole lists at once at the Mailjet stand-in: list into list, and CSV files."""

import csv
import io
import json
import sqlite3
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from integrations.sandbox import bodies, jobs, listing
from integrations.sandbox.clock import to_wire
from integrations.sandbox.effects import Action
from integrations.sandbox.jobs import ImportMethod, JobType, ListAction, Person, Status
from integrations.sandbox.listing import Listing
from integrations.sandbox.mailjet_call import Call, is_live_list, live_list_id, row_id
from integrations.sandbox.mailjet_reads import job_status
from integrations.sandbox.protocol import (
    Refused,
    Reply,
    as_json,
    bad_request,
    created,
    envelope,
    invalid_property,
    not_found,
    not_modified,
)

# List into list


def import_list(call: Call, key: str) -> Reply:
    """``POST /contactslist/{target}/importlist``: ``{"ListID": source, "Action": ...}``."""
    target = live_list_id(call, key)
    values = bodies.known(
        bodies.read_object(call.request.body), kind="TImportList", settable=("ListID", "Action")
    )
    source = bodies.number(values, "ListID")
    if source is None or source == target or not is_live_list(call, source):
        raise bad_request(f"List ID {source} is invalid or deleted")
    try:
        method = ImportMethod(str(values.get("Action")).lower())
    except ValueError as error:
        raise invalid_property("Action", f'"{values.get("Action")}" is not a valid action') from error
    return created({"JobID": _queued(call, JobType.LIST, method, ref_id=target, source=source)})


def _queued(call: Call, job_type: JobType, method: str, *, ref_id: int, **more: Any) -> int:
    return jobs.submit(
        call.db,
        job_type=job_type,
        method=method,
        ref_id=ref_id,
        people=more.pop("people", ()),
        lists=more.pop("lists", ()),
        more=more,
        fate=call.fate,
        now=call.now,
        seconds=call.settings.job_seconds,
    )


def import_list_job(call: Call, list_key: str, key: str) -> Reply:
    """``GET /contactslist/{target}/importlist/{job}``."""
    return job_status(call, key, JobType.LIST, list_id=row_id(list_key))


# CSV files


def upload(call: Call, key: str) -> Reply:
    """``POST /v3/DATA/contactslist/{id}/CSVData/text:plain``: JSON, typed as text where it refuses."""
    try:
        list_id = live_list_id(call, key)
    except Refused as refused:
        body = refused.reply.body
        raise Refused(Reply(HTTPStatus.NOT_FOUND, body, "text/plain", {}, "Object not found")) from refused
    try:
        text = call.request.body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise bad_request("The file is not UTF-8 text") from error
    if not text.strip():
        raise bad_request("The file is empty")
    cursor = call.db.execute("INSERT INTO uploads (list_id, body) VALUES (?, ?)", (list_id, text))
    return as_json({"ID": cursor.lastrowid})


def create_import(call: Call) -> Reply:
    """``POST /csvimport``."""
    values = bodies.known(
        bodies.read_object(call.request.body),
        kind="TCSVImport",
        settable=("ContactsListID", "DataID", "Method", "ErrTreshold", "ImportOptions"),
        fixed=("ID", "Status", "Count", "Current", "Errcount", "JobStart", "JobEnd", "RequestAt", "AliveAt"),
    )
    method, list_id = _method(bodies.text(values, "Method") or ""), bodies.number(values, "ContactsListID")
    people = _people(call, bodies.number(values, "DataID"), method)
    if method in _EXCLUSIONS:
        if list_id is not None:
            raise invalid_property("ContactsListID", f"not allowed with the method {method}")
        lists = []
    elif list_id is None or not is_live_list(call, list_id):
        raise invalid_property("ContactsListID", f"List ID {list_id} is invalid or deleted")
    else:
        lists = [ListAction(list_id, Action(method))]
    job_id = _queued(
        call,
        JobType.CSV,
        method,
        ref_id=list_id or 0,
        people=people,
        lists=lists,
        data_id=bodies.number(values, "DataID"),
        threshold=bodies.number(values, "ErrTreshold"),
    )
    return created(_found(call, str(job_id)))


_EXCLUSIONS = {"excludemarketing": True, "includemarketing": False}


def _method(given: str) -> str:
    known = [*map(str, Action), *_EXCLUSIONS]
    if given.lower() not in known:
        raise invalid_property("Method", f'"{given}" is not one of {", ".join(known)}')
    return given.lower()


def _people(call: Call, data_id: int | None, method: str) -> Sequence[Person]:
    """The rows of an upload; the first column is the address, the others are properties."""
    row = call.db.execute("SELECT body FROM uploads WHERE id = ?", (data_id,)).fetchone()
    if row is None:
        raise invalid_property("DataID", f"{data_id} does not exist")
    header, *lines = [line for line in csv.reader(io.StringIO(row["body"])) if line] or [[]]
    if not header or header[0].strip().lower() != "email":
        raise bad_request("The first column of the file must be email")
    names = [name.strip() for name in header[1:]]
    return [
        Person(
            email=line[0].strip(),
            excluded=_EXCLUSIONS.get(method),
            properties={name: value for name, value in zip(names, line[1:], strict=False) if value},
        )
        for line in lines
    ]


def _import_row(row: sqlite3.Row) -> dict[str, Any]:
    work = json.loads(row["work"])
    return {
        "AliveAt": to_wire(row["ended_at"] or row["started_at"] or row["requested_at"]),
        "ContactsListID": row["ref_id"],
        "Count": row["total"],
        "Current": row["processed"],
        "DataID": work["data_id"],
        "Errcount": row["failure_count"],
        "ErrTreshold": work["threshold"] or 0,
        "ID": row["id"],
        "ImportOptions": "",
        "JobEnd": to_wire(row["ended_at"]),
        "JobStart": to_wire(row["started_at"]),
        "Method": row["method"],
        "RequestAt": to_wire(row["requested_at"]),
        "Status": row["status"],
    }


IMPORTS = Listing(
    source="jobs",
    columns="*",
    key="id",
    row=_import_row,
    filters={},
    sortable={},
)


def imports(call: Call) -> Reply:
    """``GET /csvimport``."""
    return listing.answer(call.db, IMPORTS, call.request.params, also=("job_type = ?", [JobType.CSV]))


def import_(call: Call, key: str) -> Reply:
    """``GET /csvimport/{id}``."""
    return envelope([_found(call, key)])


def _found(call: Call, key: str) -> dict[str, Any]:
    row = call.db.execute(
        "SELECT * FROM jobs WHERE id = ? AND job_type = ?", (row_id(key), JobType.CSV)
    ).fetchone()
    if row is None:
        raise not_found()
    return _import_row(row)


def cancel_import(call: Call, key: str) -> Reply:
    """``PUT /csvimport/{id}``: ``{"Status": "Abort"}``, as long as it is under way."""
    before = _found(call, key)
    values = bodies.known(bodies.read_object(call.request.body), kind="TCSVImport", settable=("Status",))
    if (bodies.text(values, "Status") or "").lower() != "abort":
        raise invalid_property("Status", "only Abort can be set")
    if before["JobEnd"]:
        return not_modified()
    call.db.execute(
        "UPDATE jobs SET status = ?, ended_at = ? WHERE id = ?", (Status.ABORT, call.now, before["ID"])
    )
    return envelope([_found(call, key)])


def error_csv(call: Call, key: str) -> Reply:
    """``GET /v3/DATA/BatchJob/{id}/CSVError/text:csv``: the bad rows, with what is wrong added."""
    row = call.db.execute("SELECT failures FROM jobs WHERE id = ?", (row_id(key),)).fetchone()
    failures = json.loads(row["failures"]) if row else []
    if not failures:
        raise not_found("Source object not found")
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["email", "###message###field"])
    writer.writerows([each["Email"], f"{each['Error']}###email"] for each in failures)
    return Reply(HTTPStatus.OK, file.getvalue().encode(), "text/csv")
