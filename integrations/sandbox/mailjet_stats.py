"""Bounces, counters and overviews at the Mailjet stand-in, with the windows and the lag they have there."""

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping
from typing import Any

from integrations.sandbox import listing
from integrations.sandbox.clock import from_wire, start_of_day, to_seconds, to_wire
from integrations.sandbox.listing import Condition, Listing, equals, flag, where
from integrations.sandbox.mailjet_call import Call, row_id
from integrations.sandbox.mailjet_reads import status_number, window_start
from integrations.sandbox.protocol import Reply, bad_request, envelope, invalid_property, not_found

# Bounces


def _bounce_row(row: sqlite3.Row) -> dict[str, Any]:
    """A bounce as Mailjet shows it: the ID is the message's, so one message may stand here twice."""
    state = {} if row["state_id"] is None else {"StateID": row["state_id"]}
    return {
        "BouncedAt": to_wire(row["bounced_at"]),
        "CampaignID": row["campaign_id"],
        "ContactID": row["contact_id"],
        "ID": row["message_id"],
        "IsBlocked": bool(row["blocked"]),
        "IsStatePermanent": bool(row["permanent"]),
        **state,
    }


_CAMPAIGN_START = "(SELECT send_start_at FROM campaigns WHERE campaigns.id = campaign_id)"

BOUNCES = Listing(
    source="bounces",
    columns="*",
    key="message_id",
    row=_bounce_row,
    filters={
        "campaignid": equals("campaign_id"),
        "contactslist": where("(SELECT list_id FROM campaigns WHERE campaigns.id = campaign_id) = ?"),
        "customcampaign": where(
            "(SELECT 'mj.nl=' || draft_id FROM campaigns WHERE campaigns.id = campaign_id) = ?", str
        ),
        "isdeleted": where("(SELECT is_deleted FROM campaigns WHERE campaigns.id = campaign_id) = ?", flag),
        "messagestatus": lambda text: _of_message(status_number(text)),
        "fromts": where(f"{_CAMPAIGN_START} > ?", from_wire),
        "tots": where(f"{_CAMPAIGN_START} <= ?", from_wire),
        "eventfromts": where("bounced_at > ?", from_wire),
        "eventtots": where("bounced_at <= ?", from_wire),
    },
    sortable={},
    sorts_by_id_descending=False,
)
_WINDOWS = frozenset({"fromts", "tots", "eventfromts", "eventtots"})


def _of_message(condition: Condition) -> Condition:
    text, values = condition
    return (f"message_id IN (SELECT id FROM messages WHERE {text})", values)  # noqa: S608 (fixed text)


def bounces(call: Call) -> Reply:
    """``GET /bouncestatistics``: without a window only those of campaigns that started today."""
    if _WINDOWS & set(call.request.params):
        return listing.answer(call.db, BOUNCES, call.request.params)
    window: Condition = (f"{_CAMPAIGN_START} >= ?", [window_start(call)])
    return listing.answer(call.db, BOUNCES, call.request.params, also=window)


def bounce(call: Call, key: str) -> Reply:
    """``GET /bouncestatistics/{message id}``: the latest of them."""
    row = call.db.execute(
        "SELECT * FROM bounces WHERE message_id = ? ORDER BY id DESC", (row_id(key),)
    ).fetchone()
    if row is None:
        raise not_found()
    return envelope([_bounce_row(row)])


# Counters

_DELIVERED = ("sent", "opened", "clicked", "spam", "unsub")
_COUNTED: Mapping[str, tuple[str, ...]] = {
    "MessageSentCount": _DELIVERED,
    "MessageOpenedCount": ("opened", "clicked", "unsub"),
    "MessageClickedCount": ("clicked",),
    "MessageSpamCount": ("spam",),
    "MessageUnsubscribedCount": ("unsub",),
    "MessageBlockedCount": ("blocked",),
    "MessageHardBouncedCount": ("hardbounced", "bounce"),
    "MessageSoftBouncedCount": ("softbounced",),
    "MessageDeferredCount": ("deferred",),
    "MessageQueuedCount": ("queued",),
    "MessageWorkFlowExitedCount": (),
}
_EVENTS: Mapping[str, str] = {
    "EventClickedCount": "click",
    "EventOpenedCount": "open",
    "EventSpamCount": "spam",
    "EventUnsubscribedCount": "unsub",
    "EventWorkflowExitedCount": "",
}
_SOURCES: Mapping[str, str] = {
    "apikey": "SELECT id FROM campaigns WHERE :source IS NULL",
    "campaign": "SELECT id FROM campaigns WHERE id = :source",
    "list": "SELECT id FROM campaigns WHERE list_id = :source",
    "sender": "SELECT id FROM campaigns WHERE :source = 1",
}
_STATUSES_NOW = (
    "SELECT status, count(*) FROM messages WHERE campaign_id IN ({}) AND arrived_at <= :at GROUP BY 1"
)
_STATUSES_THEN = """
SELECT coalesce(
    (SELECT events.status FROM events WHERE message_id = messages.id AND at <= :at ORDER BY at DESC, id DESC),
    CASE WHEN EXISTS (SELECT 1 FROM events WHERE message_id = messages.id) THEN 'queued' ELSE status END
), count(*) FROM messages WHERE campaign_id IN ({}) AND arrived_at <= :at GROUP BY 1
"""
_EVENT_COUNTS = """
SELECT kind, count(*) FROM events JOIN messages ON messages.id = message_id
WHERE campaign_id IN ({}) AND at <= :at AND done = 1 GROUP BY 1
"""


def counters(call: Call) -> Reply:
    """``GET /statcounters``: one row with Lifetime, else one per day or hour that has messages."""
    source, timing, resolution = (
        _word(call, name, known)
        for name, known in (
            ("CounterSource", _SOURCES),
            ("CounterTiming", ("message", "event")),
            ("CounterResolution", ("highest", "hour", "day", "lifetime")),
        )
    )
    params = call.request.params
    if source == "list" and (timing, resolution) != ("message", "lifetime"):
        raise bad_request("The List source is available with Message timing and Lifetime resolution only")
    if resolution == "lifetime" and {"fromts", "tots"} & set(params):
        raise bad_request("FromTS and ToTS cannot be used with Lifetime resolution")
    source_id = _source_id(call, source)
    campaigns = _campaigns_by_slice(call, source, source_id, resolution=resolution)
    rows = [
        _counter_row(call, ids, source_id=source_id, timeslice=slice_)
        for slice_, ids in campaigns.items()
        if ids or resolution == "lifetime"
    ]
    limit, offset = listing.window(params)
    return envelope(rows[offset : offset + limit])


def _word(call: Call, name: str, known: Any) -> str:
    given = call.request.params.get(name.lower(), "").lower()
    if given not in known:
        raise invalid_property(name, f'"{given}" is not valid')
    return given


def _source_id(call: Call, source: str) -> int | None:
    given = call.request.params.get("sourceid", "")
    if source == "apikey":
        return None
    if not given.isascii() or not given.isdigit():
        raise invalid_property("SourceID", "a value is required")
    return row_id(given)


def _campaigns_by_slice(
    call: Call, source: str, source_id: int | None, *, resolution: str
) -> dict[str, list[int]]:
    """The campaigns counted, by the time slice their send began in; one slice for a whole lifetime."""
    ids = f"id IN ({_SOURCES[source]})"
    rows = call.db.execute(
        f"SELECT id, send_start_at FROM campaigns WHERE {ids} ORDER BY send_start_at",  # noqa: S608 (fixed text)
        {"source": source_id},
    ).fetchall()
    if resolution == "lifetime":
        return {"": [row["id"] for row in rows]}
    first, last = _given_window(call)
    width = {"hour": 3_600, "day": 86_400, "highest": 3_600}[resolution]
    slices: dict[str, list[int]] = {}
    for row in rows:
        if first < row["send_start_at"] <= last:
            slices.setdefault(to_wire(row["send_start_at"] // width * width), []).append(row["id"])
    return slices


def _given_window(call: Call) -> tuple[float, float]:
    params = call.request.params
    try:
        first = from_wire(params["fromts"]) if "fromts" in params else start_of_day(call.now) - 1e-6
        last = from_wire(params["tots"]) if "tots" in params else call.now
    except ValueError as error:
        raise bad_request("Invalid value for FromTS or ToTS") from error
    return first, last


def statuses(call: Call, campaigns: list[int]) -> Counter[str]:
    """Messages by status, as old as the settings let figures be."""
    lag = call.settings.stat_lag_seconds
    text = _STATUSES_THEN if lag else _STATUSES_NOW
    return _counted(call, text, campaigns) + _forgotten(call, campaigns)


def _forgotten(call: Call, campaigns: list[int]) -> Counter[str]:
    """The messages that are kept no more."""
    marks = ", ".join(str(int(each)) for each in campaigns)
    rows = call.db.execute(f"SELECT forgotten FROM campaigns WHERE id IN ({marks})")  # noqa: S608 (numbers)
    return sum((Counter(json.loads(row["forgotten"])) for row in rows), Counter[str]())


def _counted(call: Call, text: str, campaigns: list[int]) -> Counter[str]:
    marks = ", ".join(str(int(each)) for each in campaigns)
    rows = call.db.execute(text.format(marks), {"at": call.now - call.settings.stat_lag_seconds})
    return Counter({row[0]: row[1] for row in rows})


def _counter_row(
    call: Call, campaigns: list[int], *, source_id: int | None, timeslice: str
) -> dict[str, Any]:
    by_status = statuses(call, campaigns)
    by_event = _counted(call, _EVENT_COUNTS, campaigns)
    return {
        "APIKeyID": 1,
        "EventClickDelay": 0,
        "EventOpenDelay": 0,
        **{name: by_event[kind] for name, kind in _EVENTS.items()},
        **{name: sum(by_status[each] for each in among) for name, among in _COUNTED.items()},
        "SourceID": source_id or 0,
        "Timeslice": timeslice,
        "Total": by_status.total(),
    }


# Overview

_OVERVIEW = Listing(
    source="drafts LEFT JOIN campaigns ON campaigns.draft_id = drafts.id",
    columns="drafts.*, campaigns.id AS campaign_id, campaigns.send_start_at, campaigns.is_starred",
    key="drafts.id",
    row=dict,
    filters={
        "isdeleted": where("(drafts.status = -2) = ?", flag),
        "drafts": where("(campaigns.id IS NULL) = ?", flag),
        "programmed": where("(drafts.status = 1) = ?", flag),
        "sent": where("(campaigns.id IS NOT NULL) = ?", flag),
        "subject": equals("drafts.subject", str),
    },
    sortable={},
)


def overview(call: Call) -> Reply:
    """``GET /campaignoverview``: drafts and campaigns in one list, times in unix seconds."""
    page = Listing(**{**vars(_OVERVIEW), "row": lambda row: _overview_row(call, row)})
    return listing.answer(call.db, page, call.request.params)


def _overview_row(call: Call, row: sqlite3.Row) -> dict[str, Any]:
    campaign_id = row["campaign_id"]
    by_status = statuses(call, [] if campaign_id is None else [campaign_id])
    return {
        "ClickedCount": by_status["clicked"],
        "DeliveredCount": sum(by_status[each] for each in _DELIVERED),
        "EditMode": "tool2",
        "EditType": "full",
        "ID": row["id"] if campaign_id is None else campaign_id,
        "IDType": "NL" if campaign_id is None else "Campaign",
        "OpenedCount": sum(by_status[each] for each in ("opened", "clicked", "unsub")),
        "ProcessedCount": by_status.total(),
        "SendTimeStart": to_seconds(row["send_start_at"] or row["scheduled_at"]),
        "Starred": bool(row["is_starred"]),
        "Status": row["status"],
        "Subject": row["subject"],
        "Title": row["title"],
    }
