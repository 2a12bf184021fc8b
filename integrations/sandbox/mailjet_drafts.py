"""Campaign drafts at the Mailjet stand-in: made, filled, scheduled, sent and cancelled.

What a draft needs before it can be sent follows Mailjet's guide: an active sender, content, a subject and
subscribers who can be mailed. Where the guide is silent the stand-in refuses.
"""

import json
from collections.abc import Mapping
from typing import Any

from integrations.sandbox import bodies, effects, listing, sending
from integrations.sandbox.clock import from_wire, to_wire
from integrations.sandbox.mailjet_call import Call, is_live_list, row_id
from integrations.sandbox.mailjet_reads import CAMPAIGNS, DRAFT_STATUS_NAMES, DRAFTS
from integrations.sandbox.protocol import (
    Reply,
    bad_request,
    created,
    envelope,
    invalid_property,
    no_content,
    not_found,
    not_modified,
)
from integrations.sandbox.sending import DRAFT, PROGRAMMED

SENDER_DOMAIN = "sender.example.com"
"""The one domain whose addresses are active senders here."""

COLUMNS: Mapping[str, str] = {
    "Title": "title",
    "Subject": "subject",
    "Locale": "locale",
    "SenderEmail": "sender_email",
    "SenderName": "sender_name",
    "ContactsListID": "list_id",
    "SegmentationID": "segmentation_id",
    "AXTestingID": "ax_testing_id",
    "AXFraction": "ax_fraction",
}
_NUMBERS = ("ContactsListID", "SegmentationID", "AXTestingID", "AXFraction")
EXTRAS = ("Sender", "EditMode", "ReplyEmail", "TemplateID", "AXFractionName", "IsStarred")
FIXED = (
    "ID",
    "CreatedAt",
    "ModifiedAt",
    "DeliveredAt",
    "CampaignID",
    "Current",
    "Status",
    "Used",
    "Url",
    "IsTextPartIncluded",
)
_DELETED = -2


def _draft(call: Call, key: str) -> Mapping[str, Any]:
    row = listing.find(call.db, DRAFTS, row_id(key))
    if row is None:
        raise not_found()
    return row


def _editable(call: Call, key: str) -> Mapping[str, Any]:
    """A draft that has not been sent. Raises Refused (404, 400)."""
    row = _draft(call, key)
    if row["Status"] not in (DRAFT, PROGRAMMED):
        raise bad_request(
            f"The campaign has status {DRAFT_STATUS_NAMES[row['Status']]} and cannot be changed"
        )
    return row


def _values(call: Call) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the body sets, by column, and the properties that are only kept. Raises Refused."""
    given = bodies.known(
        bodies.read_object(call.request.body),
        kind="TCampaignDraft",
        settable=(*COLUMNS, *EXTRAS),
        fixed=FIXED,
    )
    values = {
        COLUMNS[name]: bodies.number(given, name) if name in _NUMBERS else bodies.text(given, name)
        for name in given
        if name in COLUMNS
    }
    _check_values(call, values)
    return values, {name: given[name] for name in EXTRAS if name in given}


def _check_values(call: Call, values: Mapping[str, Any]) -> None:
    for name in ("subject", "locale", "sender_email", "title", "sender_name"):
        if name in values and values[name] is None:
            raise invalid_property(name, "a string is expected")
    if values.get("list_id") is not None and not is_live_list(call, values["list_id"]):
        raise bad_request(f"List ID {values['list_id']} is invalid or deleted")
    if "sender_email" in values and not effects.is_address(values["sender_email"]):
        raise invalid_property("SenderEmail", f'Invalid email address: "{values["sender_email"]}"')
    if values.get("ax_fraction") is not None and not 1 <= values["ax_fraction"] <= 100:
        raise invalid_property("AXFraction", "a percentage is expected")
    segment = values.get("segmentation_id")
    if segment is not None:
        known = call.db.execute("SELECT 1 FROM segments WHERE id = ?", (segment,)).fetchone()
        if known is None:
            raise invalid_property("SegmentationID", f"{segment} does not exist")


def create(call: Call) -> Reply:
    """``POST /campaigndraft``."""
    values, extras = _values(call)
    for name in ("Locale", "Subject", "SenderEmail", "ContactsListID"):
        if not values.get(COLUMNS[name]):
            raise bad_request(f"MJ03 A non-empty value is required for {name}")
    row = {**values, "extras": json.dumps(extras), "created_at": call.now, "modified_at": call.now}
    names, marks = ", ".join(row), ", ".join("?" for _ in row)
    cursor = call.db.execute(
        " ".join(["INSERT INTO drafts (", names, ") VALUES (", marks, ")"]), [*row.values()]
    )
    return created(_draft(call, str(cursor.lastrowid)))


def update(call: Call, key: str) -> Reply:
    """``PUT /campaigndraft/{id}``: unnamed properties keep their value."""
    before = _editable(call, key)
    values, extras = _values(call)
    kept = json.loads(_stored(call, key)["extras"])
    row = {**values, "extras": json.dumps({**kept, **extras})}
    _set(call, key, row)
    if _draft(call, key) == before:
        return not_modified()
    _set(call, key, {"modified_at": call.now})
    return envelope([_draft(call, key)])


def _stored(call: Call, key: str) -> Any:
    return call.db.execute("SELECT * FROM drafts WHERE id = ?", (row_id(key),)).fetchone()


def _set(call: Call, key: str, row: Mapping[str, Any]) -> None:
    assignments = ", ".join(f"{name} = ?" for name in row)
    call.db.execute(
        " ".join(["UPDATE drafts SET", assignments, "WHERE id = ?"]), [*row.values(), row_id(key)]
    )


def delete(call: Call, key: str) -> Reply:
    """``DELETE /campaigndraft/{id}``: it stays, with status Deleted, and is not sent."""
    _editable(call, key)
    _set(call, key, {"status": _DELETED, "scheduled_at": None})
    return no_content()


# Content


def content(call: Call, key: str) -> Reply:
    """``GET /campaigndraft/{id}/detailcontent``."""
    _draft(call, key)
    stored = _stored(call, key)
    row = {"Headers": {}, "Html-part": stored["html"], "MJMLContent": {}, "Text-part": stored["text"]}
    return envelope([row])


def write_content(call: Call, key: str) -> Reply:
    """``POST /campaigndraft/{id}/detailcontent``."""
    _editable(call, key)
    values = bodies.known(
        bodies.read_object(call.request.body),
        kind="TCampaignDraftDetailContent",
        settable=("Html-part", "Text-part", "Headers", "MJMLContent"),
    )
    parts = {"html": bodies.text(values, "Html-part"), "text": bodies.text(values, "Text-part")}
    _set(
        call,
        key,
        {name: part for name, part in parts.items() if part is not None} | {"modified_at": call.now},
    )
    stored = _stored(call, key)
    return created(
        {"Headers": {}, "Html-part": stored["html"], "MJMLContent": {}, "Text-part": stored["text"]}
    )


# Sending


def _check_sendable(call: Call, key: str) -> None:
    """400 with the reason where Mailjet would not send it."""
    _editable(call, key)
    stored = _stored(call, key)
    problems = {
        "The sender is not active": not stored["sender_email"].lower().endswith(f"@{SENDER_DOMAIN}"),
        "The campaign has no content": not (stored["html"] or stored["text"]),
        "The campaign has no subject": not stored["subject"],
        "The contacts list has no active subscribers": not sending.has_recipients(
            call.db, list_id=stored["list_id"]
        ),
    }
    for problem, is_there in problems.items():
        if is_there:
            raise bad_request(problem)


def _schedule_row(call: Call, key: str) -> dict[str, Any]:
    stored = _stored(call, key)
    return {"Date": to_wire(stored["scheduled_at"]), "Status": DRAFT_STATUS_NAMES[stored["status"]]}


def schedule(call: Call, key: str) -> Reply:
    """``GET /campaigndraft/{id}/schedule``: 404 where nothing is scheduled."""
    if _draft(call, key)["Status"] != PROGRAMMED:
        raise not_found()
    return envelope([_schedule_row(call, key)])


def _program(call: Call, key: str) -> None:
    values = bodies.known(
        bodies.read_object(call.request.body), kind="TCampaignDraftSchedule", settable=("Date",)
    )
    _check_sendable(call, key)
    at = _date(call, bodies.text(values, "Date") or "")
    _set(call, key, {"status": PROGRAMMED, "scheduled_at": at, "overdue": False})


def _date(call: Call, given: str) -> float:
    if given.upper() == "NOW":
        return int(call.now)  # Mailjet's times have whole seconds
    try:
        moment = from_wire(given)
    except ValueError as error:
        raise invalid_property("Date", f'"{given}" is not a valid date') from error
    if moment < call.now - 1:
        raise invalid_property("Date", "the date is in the past")
    return moment


def make_schedule(call: Call, key: str) -> Reply:
    """``POST /campaigndraft/{id}/schedule``: ``{"Date": "2026-05-04T09:00:00Z"}`` or ``"NOW"``."""
    _program(call, key)
    return created(_schedule_row(call, key))


def change_schedule(call: Call, key: str) -> Reply:
    """``PUT /campaigndraft/{id}/schedule``: 404 where nothing is scheduled."""
    if _draft(call, key)["Status"] != PROGRAMMED:
        raise not_found()
    before = _schedule_row(call, key)
    _program(call, key)
    after = _schedule_row(call, key)
    return not_modified() if after == before else envelope([after])


def cancel_schedule(call: Call, key: str) -> Reply:
    """``DELETE /campaigndraft/{id}/schedule``: it is a draft again."""
    if _draft(call, key)["Status"] != PROGRAMMED:
        raise not_found()
    _set(call, key, {"status": DRAFT, "scheduled_at": None})
    return no_content()


def send_now(call: Call, key: str) -> Reply:
    """``POST /campaigndraft/{id}/send``: due at once; its campaign is found some seconds later."""
    _check_sendable(call, key)
    _set(call, key, {"status": PROGRAMMED, "scheduled_at": int(call.now), "overdue": False})
    return created({"Status": DRAFT_STATUS_NAMES[PROGRAMMED]})


def send_test(call: Call, key: str) -> Reply:
    """``POST /campaigndraft/{id}/test``: checked like Mailjet does; nobody gets anything here."""
    _editable(call, key)
    values = bodies.known(
        bodies.read_object(call.request.body), kind="TCampaignDraftTest", settable=("Recipients",)
    )
    for each in bodies.array(values, "Recipients"):
        bodies.address(bodies.known(each, kind="TRecipient", settable=("Email", "Name")))
    if not bodies.array(values, "Recipients"):
        raise invalid_property("Recipients", "at least one recipient is expected")
    return created({"Status": DRAFT_STATUS_NAMES[_draft(call, key)["Status"]]})


def senders(_call: Call) -> Reply:
    """``GET /sender``: one domain is active."""
    return envelope(
        [
            {
                "CreatedAt": "2020-01-01T00:00:00Z",
                "DNSID": 1,
                "Email": f"*@{SENDER_DOMAIN}",
                "EmailType": "bulk",
                "Filename": "",
                "ID": 1,
                "IsDefaultSender": True,
                "Name": "",
                "Status": "Active",
            }
        ]
    )


# Campaigns


def update_campaign(call: Call, key: str) -> Reply:
    """``PUT /campaign/{id}``: IsDeleted and IsStarred only."""
    before = listing.find(call.db, CAMPAIGNS, row_id(key))
    if before is None:
        raise not_found()
    fixed = tuple(name for name in before if name not in ("IsDeleted", "IsStarred"))
    values = bodies.known(
        bodies.read_object(call.request.body),
        kind="TCampaign",
        settable=("IsDeleted", "IsStarred"),
        fixed=fixed,
    )
    wanted = {name: bodies.boolean(values, name) for name in ("IsDeleted", "IsStarred")}
    call.db.execute(
        "UPDATE campaigns SET is_deleted = coalesce(?, is_deleted), is_starred = coalesce(?, is_starred)"
        " WHERE id = ?",
        (*wanted.values(), before["ID"]),
    )
    after = listing.find(call.db, CAMPAIGNS, row_id(key))
    if after is None or after == before:
        return not_modified()
    return envelope([after])
