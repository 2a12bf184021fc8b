"""Everything the Mailjet stand-in answers to a GET."""

import json
import sqlite3
from collections.abc import Mapping
from functools import partial
from typing import Any

from integrations.sandbox import listing
from integrations.sandbox.clock import from_wire, start_of_day, to_seconds, to_wire
from integrations.sandbox.jobs import JobType, as_status
from integrations.sandbox.listing import Condition, Listing, after, before, equals, flag, where
from integrations.sandbox.mailjet_call import Call, contact_id, row_id
from integrations.sandbox.message_states import STATES
from integrations.sandbox.protocol import Reply, as_json, bad_request, envelope, not_found

MESSAGE_STATUS_NUMBERS: Mapping[int, str] = {
    1: "queued",
    2: "sent",
    3: "opened",
    4: "clicked",
    5: "bounce",
    6: "spam",
    7: "unsub",
    8: "blocked",
    9: "softbounced",
    10: "hardbounced",
    11: "deferred",
}
"""The numbers of the MessageStatus filter; 0, processed, filters nothing."""

PERIOD_DAYS: Mapping[str, int] = {"day": 1, "week": 7, "month": 31, "year": 366}


def _found(row: Mapping[str, Any] | None) -> Reply:
    if row is None:
        raise not_found()
    return envelope([row])


# Lists


def list_row(row: sqlite3.Row) -> dict[str, Any]:
    """A list as Mailjet shows it. SubscriberCount counts unsubscribed and excluded ones too, and may lag."""
    return {
        "Address": row["address"],
        "CreatedAt": to_wire(row["created_at"]),
        "ID": row["id"],
        "IsDeleted": bool(row["is_deleted"]),
        "Name": row["name"],
        "SubscriberCount": row["subscribers"],
    }


LISTS = Listing(
    source="lists",
    columns=(
        "lists.*, (SELECT count(*) FROM memberships WHERE list_id = lists.id) - ("
        "SELECT coalesce(sum((before = 'absent') - (after = 'absent')), 0) FROM changes"
        " WHERE list_id = lists.id AND at > counted_until()) AS subscribers"
    ),
    key="id",
    row=list_row,
    filters={
        "address": equals("address", str),
        "name": equals("name", str),
        "isdeleted": equals("is_deleted", flag),
        "excludeid": where("id <> ?"),
    },
    sortable={"name": "name", "createdat": "created_at"},
)


def lists(call: Call) -> Reply:
    """``GET /contactslist``: deleted ones too."""
    return listing.answer(call.db, LISTS, call.request.params)


def list_by_id(call: Call, key: str) -> Reply:
    """``GET /contactslist/{id}``: a deleted one is answered with IsDeleted."""
    return _found(listing.find(call.db, LISTS, row_id(key)))


# Contacts


def contact_row(row: sqlite3.Row) -> dict[str, Any]:
    """A contact as Mailjet shows it."""
    return {
        "CreatedAt": to_wire(row["created_at"]),
        "DeliveredCount": 0,
        "Email": row["email"],
        "ExclusionFromCampaignsUpdatedAt": to_wire(row["excluded_at"]),
        "ID": row["id"],
        "IsExcludedFromCampaigns": bool(row["excluded"]),
        "IsOptInPending": False,
        "IsSpamComplaining": bool(row["complained"]),
        "LastActivityAt": to_wire(row["last_activity_at"]),
        "LastUpdateAt": to_wire(row["last_update_at"]),
        "Name": row["name"],
        "UnsubscribedAt": to_wire(row["unsubscribed_at"]),
        "UnsubscribedBy": "",
    }


def _nobody_if_unsubscribed(text: str) -> Condition:
    """IsUnsubscribed=true finds nobody at Mailjet (mailjet-apiv3-php#54)."""
    return ("0", []) if flag(text) else ("1", [])


_CONTACT_FILTERS: Mapping[str, listing.Filter] = {
    "campaign": where("contacts.id IN (SELECT contact_id FROM messages WHERE campaign_id = ?)"),
    "isexcludedfromcampaigns": equals("contacts.excluded", flag),
    "isunsubscribed": _nobody_if_unsubscribed,
    "lastactivityat": after("contacts.last_activity_at"),
}

CONTACTS = Listing(
    source="contacts",
    columns="contacts.*",
    key="contacts.id",
    row=contact_row,
    filters=_CONTACT_FILTERS,
    sortable={"email": "contacts.email", "createdat": "contacts.created_at"},
    sorts_by_id_descending=False,
    not_here=frozenset({"status"}),
    is_long=True,
)

CONTACTS_OF_A_LIST = Listing(
    **{
        **vars(CONTACTS),
        # CROSS keeps SQLite from starting with the contacts: a list's index has them in their order
        "source": "memberships CROSS JOIN contacts ON contacts.id = memberships.contact_id",
        "key": "memberships.contact_id",
        "filters": {"contactslist": equals("memberships.list_id"), **_CONTACT_FILTERS},
    }
)


def contacts(call: Call) -> Reply:
    """``GET /contact``."""
    of_a_list = "contactslist" in call.request.params
    return listing.answer(call.db, CONTACTS_OF_A_LIST if of_a_list else CONTACTS, call.request.params)


def contact(call: Call, key: str) -> Reply:
    """``GET /contact/{id or address}``."""
    return _found(listing.find(call.db, CONTACTS, contact_id(call, key)))


def lists_of_contact(call: Call, key: str) -> Reply:
    """``GET /contact/{id or address}/getcontactslists``."""
    of_contact: Condition = ("contact_id = ?", [contact_id(call, key)])
    return listing.answer(call.db, LISTS_OF_CONTACT, call.request.params, also=of_contact)


# Memberships


def membership_row(row: sqlite3.Row) -> dict[str, Any]:
    """A membership as Mailjet shows it: no address, and an ID of its own."""
    return {
        "ContactID": row["contact_id"],
        "ID": row["id"],
        "IsActive": bool(row["active"]),
        "IsUnsubscribed": bool(row["unsubscribed"]),
        "ListID": row["list_id"],
        "ListName": row["list_name"],
        "SubscribedAt": to_wire(row["subscribed_at"]),
        "UnsubscribedAt": to_wire(row["unsubscribed_at"]),
    }


def _list_of_contact_row(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "IsActive": bool(row["active"]),
        "IsUnsub": bool(row["unsubscribed"]),
        "ListID": row["list_id"],
        "SubscribedAt": to_wire(row["subscribed_at"]),
    }


def _only_live_lists(text: str) -> Condition:
    return ("lists.is_deleted = 0", []) if flag(text) else ("1", [])


MEMBERSHIPS = Listing(
    source="memberships JOIN lists ON lists.id = memberships.list_id",
    columns="memberships.*, lists.name AS list_name",
    key="memberships.id",
    row=membership_row,
    filters={
        "contactslist": equals("list_id"),
        "contact": equals("contact_id"),
        "contactemail": where("contact_id = (SELECT id FROM contacts WHERE email = ?)", str),
        "listname": equals("lists.name", str),
        "active": equals("active", flag),
        "unsub": equals("unsubscribed", flag),
        "isexcludedfromcampaigns": where(
            "(SELECT excluded FROM contacts WHERE contacts.id = contact_id) = ?", flag
        ),
        "ignoredeleted": _only_live_lists,
    },
    sortable={},
    sorts_by_id_descending=False,
    not_here=frozenset({"blocked", "opened", "lastactivityat", "status"}),
    is_long=True,
)

LISTS_OF_CONTACT = Listing(
    source="memberships",
    columns="*",
    key="id",
    row=_list_of_contact_row,
    filters={},
    sortable={},
)


def memberships(call: Call) -> Reply:
    """``GET /listrecipient``."""
    return listing.answer(call.db, MEMBERSHIPS, call.request.params)


def membership(call: Call, key: str) -> Reply:
    """``GET /listrecipient/{its own id}``."""
    return _found(listing.find(call.db, MEMBERSHIPS, row_id(key)))


# Jobs


def _job(call: Call, key: str, job_type: JobType) -> sqlite3.Row:
    query = "SELECT * FROM jobs WHERE id = ? AND job_type = ?"
    row: sqlite3.Row | None = call.db.execute(query, (row_id(key), job_type)).fetchone()
    if row is None:
        raise not_found()
    return row


def _job_status(call: Call, job: sqlite3.Row) -> Reply:
    error_file = f"{call.base_url}/v3/DATA/batchjob/{job['id']}/JSONError/application:json/LAST"
    times = {"JobStart": to_wire(job["started_at"]), "JobEnd": to_wire(job["ended_at"])}
    return envelope([{**as_status(job, error_file=error_file), **times}])


def job_status(call: Call, key: str, job_type: JobType, *, list_id: int) -> Reply:
    """The state of a job that is about one list. Raises Refused (404) where it is about another."""
    job = _job(call, key, job_type)
    if job["ref_id"] != list_id:
        raise not_found()
    return _job_status(call, job)


def one_list_job(call: Call, list_key: str, key: str) -> Reply:
    """``GET /contactslist/{id}/managemanycontacts/{job}``."""
    return job_status(call, key, JobType.ONE_LIST, list_id=row_id(list_key))


def many_lists_job(call: Call, key: str) -> Reply:
    """``GET /contact/managemanycontacts/{job}``."""
    return _job_status(call, _job(call, key, JobType.MANY_LISTS))


def error_file(call: Call, key: str) -> Reply:
    """``GET /v3/DATA/batchjob/{job}/JSONError/application:json/LAST``: the rows a job could not process."""
    row = call.db.execute("SELECT failures FROM jobs WHERE id = ?", (row_id(key),)).fetchone()
    failures = json.loads(row["failures"]) if row else []
    if not failures:
        raise not_found("Source object not found")
    return as_json(failures)


def batch_job_row(row: sqlite3.Row) -> dict[str, Any]:
    """A job as ``/batchjob`` shows it: times are unix seconds, 0 where there is none."""
    return {
        "AliveAt": to_seconds(row["ended_at"] or row["started_at"] or row["requested_at"]),
        "Count": row["total"],
        "Current": row["processed"],
        "Errcount": row["failure_count"],
        "ID": row["id"],
        "JobEnd": to_seconds(row["ended_at"]),
        "JobStart": to_seconds(row["started_at"]),
        "JobType": row["job_type"],
        "Method": row["method"],
        "RefId": row["ref_id"],
        "RequestAt": to_seconds(row["requested_at"]),
        "Status": row["status"],
    }


def _at_least(column: str) -> listing.Filter:
    return where(f"CAST({column} AS INTEGER) >= ?", from_wire)


def _at_most(column: str) -> listing.Filter:
    return where(f"CAST({column} AS INTEGER) <= ?", from_wire)


BATCH_JOBS = Listing(
    source="jobs",
    columns="*",
    key="id",
    row=batch_job_row,
    filters={
        "jobtype": where("job_type = ? COLLATE NOCASE", str),
        "method": where("method = ? COLLATE NOCASE", str),
        "status": where("status = ? COLLATE NOCASE", str),
        "refid": equals("ref_id"),
        "minrequestat": _at_least("requested_at"),
        "maxrequestat": _at_most("requested_at"),
        "minjobstart": _at_least("started_at"),
        "maxjobstart": _at_most("started_at"),
        "minjobend": _at_least("ended_at"),
        "maxjobend": _at_most("ended_at"),
    },
    sortable={"requestat": "requested_at", "jobstart": "started_at", "jobend": "ended_at"},
)


def batch_jobs(call: Call) -> Reply:
    """``GET /batchjob``: every bulk job of the account."""
    return listing.answer(call.db, BATCH_JOBS, call.request.params)


def batch_job(call: Call, key: str) -> Reply:
    """``GET /batchjob/{id}``."""
    return _found(listing.find(call.db, BATCH_JOBS, row_id(key)))


# Campaigns and drafts


def campaign_row(row: sqlite3.Row) -> dict[str, Any]:
    """A sent campaign as Mailjet shows it."""
    return {
        "CampaignType": 2,
        "ClickTracked": 1,
        "CreatedAt": to_wire(row["send_start_at"]),
        "CustomValue": f"mj.nl={row['draft_id']}",
        "FirstMessageID": row["first_message_id"],
        "FromEmail": row["sender_email"],
        "FromID": 1,
        "FromName": row["sender_name"],
        "HasHtmlCount": 1,
        "HasTxtCount": 1,
        "ID": row["id"],
        "IsDeleted": bool(row["is_deleted"]),
        "IsStarred": bool(row["is_starred"]),
        "ListID": row["list_id"],
        "NewsLetterID": row["draft_id"],
        "OpenTracked": 1,
        "SendEndAt": to_wire(row["send_end_at"]),
        "SendStartAt": to_wire(row["send_start_at"]),
        "SpamassScore": 0,
        "Status": row["status"],
        "Subject": row["subject"],
        "UnsubscribeTrackedCount": 1,
        "WorkflowID": 0,
        **({} if row["segmentation_id"] is None else {"SegmentationID": row["segmentation_id"]}),
    }


CAMPAIGNS = Listing(
    source="campaigns JOIN drafts ON drafts.id = campaigns.draft_id",
    columns=(
        "campaigns.*, drafts.sender_email, drafts.sender_name,"
        " coalesce((SELECT min(id) FROM messages WHERE campaign_id = campaigns.id), 0) AS first_message_id"
    ),
    key="campaigns.id",
    row=campaign_row,
    filters={
        "campaignid": equals("campaigns.id"),
        "contactslistid": equals("campaigns.list_id"),
        "isdeleted": equals("campaigns.is_deleted", flag),
        "isstarred": equals("campaigns.is_starred", flag),
        "customcampaign": where("'mj.nl=' || draft_id = ?", str),
        "fromts": after("send_start_at"),
        "tots": before("send_start_at"),
    },
    sortable={"sendstartat": "send_start_at"},
    not_here=frozenset({"isnewslettertool", "fromtype"}),
)


def campaigns(call: Call) -> Reply:
    """``GET /campaign``: without a time window only those that started today (airbyte#24744)."""
    params = call.request.params
    if "fromts" in params or "tots" in params:
        return listing.answer(call.db, CAMPAIGNS, params)
    window: Condition = ("send_start_at >= ?", [window_start(call)])
    return listing.answer(call.db, CAMPAIGNS, params, also=window)


def window_start(call: Call) -> float:
    """Where the time window begins that Period names, or that is taken without any. Raises Refused."""
    period = call.request.params.get("period", "").lower()
    if not period:
        return start_of_day(call.now)
    if period not in PERIOD_DAYS:
        raise bad_request(f'Invalid value for filter "period": "{period}"')
    return call.now - PERIOD_DAYS[period] * 86_400


def campaign(call: Call, key: str) -> Reply:
    """``GET /campaign/{id}`` or ``/campaign/mj.nl={draft id}``; the latter may lag."""
    name, _, draft_id = key.partition("=")
    if name.lower() != "mj.nl":
        return _found(listing.find(call.db, CAMPAIGNS, row_id(key)))
    visible_until = call.now - call.settings.campaign_lookup_seconds
    row = call.db.execute(
        "SELECT id FROM campaigns WHERE draft_id = ? AND send_start_at <= ?",
        (row_id(draft_id), visible_until),
    ).fetchone()
    if row is None:
        raise not_found()
    return _found(listing.find(call.db, CAMPAIGNS, row["id"]))


DRAFT_STATUS_NAMES: Mapping[int, str] = {
    -3: "AXCancelled",
    -2: "Deleted",
    -1: "Archived",
    0: "Draft",
    1: "Programmed",
    2: "Sent",
    3: "AXTested",
    4: "AXSelected",
}


def draft_row(row: sqlite3.Row) -> dict[str, Any]:
    """A draft as Mailjet shows it; a reference that is not set (CampaignID before it is sent) is omitted."""
    references = {
        "CampaignID": row["campaign_id"],
        "SegmentationID": row["segmentation_id"],
        "AXTestingID": row["ax_testing_id"],
        "AXFraction": row["ax_fraction"],
    }
    return {
        "ContactsListID": row["list_id"] or 0,
        "CreatedAt": to_wire(row["created_at"]),
        "Current": 0,
        "DeliveredAt": to_wire(row["delivered_at"]),
        "EditMode": "tool2",
        "ID": row["id"],
        "IsStarred": False,
        "IsTextPartIncluded": bool(row["text"]),
        "Locale": row["locale"],
        "ModifiedAt": to_wire(row["modified_at"]),
        "ReplyEmail": "",
        "Sender": "1",
        "SenderEmail": row["sender_email"],
        "SenderName": row["sender_name"],
        "Status": row["status"],
        "Subject": row["subject"],
        "TemplateID": 0,
        "Title": row["title"],
        "Url": "",
        "Used": row["campaign_id"] is not None,
        **json.loads(row["extras"]),
        **{name: value for name, value in references.items() if value is not None},
    }


DRAFTS = Listing(
    source="drafts LEFT JOIN campaigns ON campaigns.draft_id = drafts.id",
    columns="drafts.*, campaigns.id AS campaign_id",
    key="drafts.id",
    row=draft_row,
    filters={"status": equals("drafts.status"), "contactslist": equals("drafts.list_id")},
    sortable={"createdat": "drafts.created_at", "modifiedat": "drafts.modified_at"},
)


def drafts(call: Call) -> Reply:
    """``GET /campaigndraft``."""
    return listing.answer(call.db, DRAFTS, call.request.params)


def draft(call: Call, key: str) -> Reply:
    """``GET /campaigndraft/{id}``."""
    return _found(listing.find(call.db, DRAFTS, row_id(key)))


def draft_status(call: Call, key: str) -> Reply:
    """``GET /campaigndraft/{id}/status``."""
    row = listing.find(call.db, DRAFTS, row_id(key))
    if row is None:
        raise not_found()
    return envelope([{"Status": DRAFT_STATUS_NAMES[row["Status"]]}])


# Messages


def message_row(row: sqlite3.Row, *, shows: frozenset[str] = frozenset()) -> dict[str, Any]:
    """A message as Mailjet shows it: address and subject only on demand, StateID only where there is one."""
    state = {} if row["state_id"] is None else {"StateID": row["state_id"]}
    return {
        "ArrivedAt": to_wire(row["arrived_at"]),
        "AttemptCount": row["attempts"],
        "CampaignID": row["campaign_id"],
        "ContactAlt": row["email"] if "showcontactalt" in shows else "",
        "ContactID": row["contact_id"],
        "CustomID": "",
        "Delay": 0,
        "DestinationID": 1,
        "FilterTime": 0,
        "ID": row["id"],
        "IsClickTracked": True,
        "IsHTMLPartIncluded": True,
        "IsOpenTracked": True,
        "IsTextPartIncluded": True,
        "IsUnsubTracked": True,
        "MessageSize": 20_000,
        "SenderID": 1,
        "SpamassassinScore": 0,
        "SpamassRules": "",
        "StatePermanent": bool(row["state_permanent"]),
        "Status": row["status"],
        "Subject": row["subject"] if "showsubject" in shows else "",
        "UUID": f"00000000-0000-4000-8000-{row['id'] % 16**12:012x}",
        **state,
    }


def status_number(text: str) -> Condition:
    """The condition behind a MessageStatus number. Raises ValueError for no such number."""
    number = int(text)
    if number == 0:
        return ("1", [])
    if number not in MESSAGE_STATUS_NUMBERS:
        raise ValueError(text)
    return ("status = ?", [MESSAGE_STATUS_NUMBERS[number]])


MESSAGES = Listing(
    source="messages",
    # no joins: SQLite would make them for every row that an offset skips
    columns=(
        "messages.*, (SELECT email FROM contacts WHERE id = contact_id) AS email,"
        " (SELECT subject FROM campaigns WHERE id = campaign_id) AS subject"
    ),
    key="id",
    row=message_row,
    filters={
        "campaign": equals("campaign_id"),
        "campaignid": equals("campaign_id"),
        "contact": equals("contact_id"),
        "contactalt": where("contact_id = (SELECT id FROM contacts WHERE email = ?)", str),
        "messagestatus": status_number,
        "messagestate": equals("state_id"),
        "fromts": after("arrived_at"),
        "tots": before("arrived_at"),
    },
    sortable={"arrivedat": "arrived_at"},
    not_here=frozenset({"customid", "bouncereason"}),
    is_long=True,
)


def _shown_messages(call: Call) -> Listing:
    params = call.request.params
    wanted = frozenset(
        name for name in ("showcontactalt", "showsubject") if params.get(name, "").lower() in ("true", "1")
    )
    return Listing(**{**vars(MESSAGES), "row": partial(message_row, shows=wanted)})


def messages(call: Call) -> Reply:
    """``GET /message``: ``Status=`` is ignored, as at Mailjet; ``MessageStatus=`` takes a number."""
    return listing.answer(call.db, _shown_messages(call), call.request.params)


def message(call: Call, key: str) -> Reply:
    """``GET /message/{id}``."""
    return _found(listing.find(call.db, _shown_messages(call), row_id(key)))


def message_history(call: Call, key: str) -> Reply:
    """``GET /messagehistory/{message id}``: an unknown id has an empty history."""
    known = call.db.execute(_HISTORY, (row_id(key),)).fetchall()
    if known:
        return envelope([_event(row) for row in known])
    row = call.db.execute("SELECT * FROM messages WHERE id = ?", (row_id(key),)).fetchone()
    return envelope([] if row is None else _implied_events(row))


_HISTORY = "SELECT * FROM events WHERE message_id = ? AND done = 1 ORDER BY at, id"


def _event(row: sqlite3.Row) -> dict[str, Any]:
    state = STATES.get(row["state_id"])
    return {
        "Comment": row["comment"],
        "EventAt": int(row["at"]),
        "EventType": row["kind"],
        "State": "" if state is None else state.name,
        "Useragent": "",
        "UseragentID": 0,
    }


def _implied_events(message: sqlite3.Row) -> list[dict[str, Any]]:
    """What must have happened to a message of a loaded world, all at the time it arrived."""
    state = STATES.get(message["state_id"])
    last = {
        "Comment": message["comment"],
        "EventAt": int(message["arrived_at"]),
        "EventType": _EVENT_TYPES.get(message["status"], message["status"]),
        "State": "" if state is None else state.name,
        "Useragent": "",
        "UseragentID": 0,
    }
    earlier = _EVENTS_BEFORE.get(message["status"], ())
    return [*({**last, "Comment": "", "EventType": each, "State": ""} for each in earlier), last]


_EVENT_TYPES = {"hardbounced": "bounce", "softbounced": "bounce"}
_EVENTS_BEFORE = {"opened": ("sent",), "clicked": ("sent", "opened"), "spam": ("sent",), "unsub": ("sent",)}


# Message states


def _state_row(key: int) -> dict[str, Any]:
    return {"ID": key, "RelatedTo": STATES[key].related_to, "State": STATES[key].name}


def message_states(call: Call) -> Reply:
    """``GET /messagestate``."""
    limit, offset = listing.window(call.request.params)
    return envelope([_state_row(key) for key in sorted(STATES)][offset : offset + limit])


def message_state(_call: Call, key: str) -> Reply:
    """``GET /messagestate/{id}``."""
    if row_id(key) not in STATES:
        raise not_found()
    return envelope([_state_row(row_id(key))])
