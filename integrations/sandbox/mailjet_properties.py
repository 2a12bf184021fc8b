"""Contact properties and segments at the Mailjet stand-in: contactmetadata, contactdata, contactfilter."""

import sqlite3
from collections.abc import Mapping
from typing import Any

from integrations.sandbox import bodies, listing, properties
from integrations.sandbox.listing import Listing, equals
from integrations.sandbox.mailjet_call import Call, contact_id, row_id
from integrations.sandbox.protocol import (
    Reply,
    bad_request,
    created,
    duplicate,
    envelope,
    invalid_property,
    no_content,
    not_found,
)

# Definitions


def _metadata_row(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "Datatype": row["datatype"],
        "ID": row["id"],
        "Name": row["name"].lower(),
        "NameSpace": row["namespace"],
    }


METADATA = Listing(
    source="metadata",
    columns="*",
    key="id",
    row=_metadata_row,
    filters={"datatype": equals("datatype", str), "namespace": equals("namespace", str)},
    sortable={"name": "name"},
)


def metadata(call: Call) -> Reply:
    """``GET /contactmetadata``."""
    return listing.answer(call.db, METADATA, call.request.params)


def metadata_by_id(call: Call, key: str) -> Reply:
    """``GET /contactmetadata/{id}``."""
    return envelope([_found(call, METADATA, key)])


def define(call: Call) -> Reply:
    """``POST /contactmetadata``."""
    values = bodies.known(
        bodies.read_object(call.request.body),
        kind="TContactMetadata",
        settable=("Name", "Datatype", "NameSpace"),
        fixed=("ID",),
    )
    name, datatype = bodies.text(values, "Name"), bodies.text(values, "Datatype")
    namespace = bodies.text(values, "NameSpace") or "static"
    if not name:
        raise bad_request("MJ03 A non-empty value is required for Name")
    if datatype not in properties.DATATYPES:
        raise invalid_property("Datatype", f"one of {', '.join(properties.DATATYPES)} is expected")
    if namespace not in ("static", "historic"):
        raise invalid_property("NameSpace", "static or historic is expected")
    if name.lower() in properties.types(call.db):
        raise duplicate("ContactMetadata", name="Name", value=name)
    key = properties.define(call.db, name=name, datatype=datatype, namespace=namespace)
    return created(_found(call, METADATA, str(key)))


def forget(call: Call, key: str) -> Reply:
    """``DELETE /contactmetadata/{id}``: the values go too."""
    row = _found(call, METADATA, key)
    call.db.execute("DELETE FROM properties WHERE name = ?", (row["Name"],))
    call.db.execute("DELETE FROM metadata WHERE id = ?", (row["ID"],))
    return no_content()


def _found(call: Call, what: Listing, key: str) -> Mapping[str, Any]:
    row = listing.find(call.db, what, row_id(key))
    if row is None:
        raise not_found()
    return row


# Values


def _data_row(call: Call, key: int) -> dict[str, Any]:
    return {"ContactID": key, "Data": properties.values(call.db, contact_id=key), "ID": key}


def data(call: Call, key: str) -> Reply:
    """``GET /contactdata/{id or address}``."""
    return envelope([_data_row(call, contact_id(call, key))])


def set_data(call: Call, key: str) -> Reply:
    """``PUT /contactdata/{id or address}``: ``{"Data": [{"Name": ..., "Value": ...}]}``."""
    found = contact_id(call, key)
    body = bodies.known(
        bodies.read_object(call.request.body),
        kind="TContactData",
        settable=("Data",),
        fixed=("ID", "ContactID"),
    )
    given = {}
    for each in bodies.array(body, "Data"):
        pair = bodies.known(each, kind="TContactDataItem", settable=("Name", "Value"), path="Data")
        given[bodies.text(pair, "Name") or ""] = pair.get("Value")
    if problem := properties.problem(call.db, given):
        raise bad_request(problem)
    properties.set_values(call.db, contact_id=found, given=given)
    return envelope([_data_row(call, found)])


# Segments


def _segment_row(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "Description": row["description"],
        "Expression": row["expression"],
        "ID": row["id"],
        "Name": row["name"],
        "Status": "used",
    }


SEGMENTS = Listing(
    source="segments", columns="*", key="id", row=_segment_row, filters={}, sortable={"name": "name"}
)


def segments(call: Call) -> Reply:
    """``GET /contactfilter``."""
    return listing.answer(call.db, SEGMENTS, call.request.params)


def segment(call: Call, key: str) -> Reply:
    """``GET /contactfilter/{id}``."""
    return envelope([_found(call, SEGMENTS, key)])


def create_segment(call: Call) -> Reply:
    """``POST /contactfilter``: the expression is kept; here any segment is the same half of a list."""
    values = bodies.known(
        bodies.read_object(call.request.body),
        kind="TContactFilter",
        settable=("Name", "Expression", "Description"),
        fixed=("ID", "Status"),
    )
    name, expression = bodies.text(values, "Name"), bodies.text(values, "Expression")
    if not name or not expression:
        raise bad_request("MJ03 A non-empty value is required for Name and Expression")
    if call.db.execute("SELECT 1 FROM segments WHERE name = ?", (name,)).fetchone():
        raise duplicate("ContactFilter", name="Name", value=name)
    cursor = call.db.execute(
        "INSERT INTO segments (name, expression, description) VALUES (?, ?, ?)",
        (name, expression, bodies.text(values, "Description") or ""),
    )
    return created(_found(call, SEGMENTS, str(cursor.lastrowid)))
