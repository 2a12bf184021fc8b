"""Slack's ``chat.postMessage``, ``chat.update`` and incoming webhook, with Block Kit's limits.

A failure of the Web API is a 200 with ``ok: false``, one of a webhook a 4xx with a word of plain text.
Errors and limits: docs.slack.dev, reference of the two methods and of Block Kit.
"""

import hmac
import json
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from integrations.sandbox import block_kit
from integrations.sandbox.protocol import Reply, Request, as_json, read_json

MAX_TEXT = 40_000
MAX_BLOCKS_BYTES = 13_200
"""All blocks of a message together, as JSON (slackapi/bolt-js#2509)."""
TEAM = "T00000001"
BOT = "B00000001"
_CHANNEL = re.compile(r"^[CDG][A-Z0-9]{2,}$")
_WEBHOOK = re.compile(r"^/slack/services/T\w*/B\w*/\w+$")


class Unpostable(Exception):
    """Slack does not take this; the message is Slack's word for it."""


@dataclass(frozen=True)
class Draft:
    """A message about to be kept; blocks None means that none were given."""

    text: str
    blocks: list[Any] | None
    thread_ts: str | None
    metadata: Any


def answer(request: Request, *, db: sqlite3.Connection, token: str, now: float) -> Reply:
    """What Slack would answer below ``/slack/``."""
    if _WEBHOOK.match(request.path):
        return _webhook(request, db=db, now=now)
    method = request.segments[-1] if request.segments[:2] == ("slack", "api") else ""
    try:
        return as_json({"ok": True, **_call(request, method, db=db, token=token, now=now)})
    except Unpostable as error:
        return refusal(str(error))


def refusal(error: str) -> Reply:
    """How the Web API says no."""
    return as_json({"ok": False, "error": error})


def messages(db: sqlite3.Connection) -> list[dict[str, Any]]:
    """Everything posted so far as it stands now, oldest first."""
    rows = db.execute("SELECT * FROM slack_messages ORDER BY id")
    return [
        {
            **dict(row),
            "blocks": json.loads(row["blocks"]),
            "metadata": json.loads(row["metadata"] or "null"),
        }
        for row in rows
    ]


# Web API


def _call(request: Request, method: str, *, db: sqlite3.Connection, token: str, now: float) -> dict[str, Any]:
    _check_token(request, token)
    if method not in ("chat.postMessage", "chat.update", "auth.test"):
        raise Unpostable("unknown_method")
    if method == "auth.test":
        return {"team_id": TEAM, "bot_id": BOT, "user_id": "U00000001"}
    body = _json_body(request)
    channel = _channel(body)
    if method == "chat.postMessage":
        return _posted(db, channel, _draft(body), now=now)
    return _updated(db, channel, body)


def _check_token(request: Request, token: str) -> None:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise Unpostable("not_authed")
    if not hmac.compare_digest(given.encode(), token.encode()):
        raise Unpostable("invalid_auth")


def _json_body(request: Request) -> Mapping[str, Any]:
    if not request.headers.get("content-type", "").lower().startswith("application/json"):
        raise Unpostable("invalid_post_type")
    try:
        body = read_json(request.body)
    except ValueError as error:
        raise Unpostable("invalid_json") from error
    if not isinstance(body, Mapping):
        raise Unpostable("json_not_object")
    return body


def _channel(body: Mapping[str, Any]) -> str:
    channel = body.get("channel")
    if not isinstance(channel, str) or not _CHANNEL.match(channel):
        raise Unpostable("channel_not_found")
    return channel


def _draft(body: Mapping[str, Any]) -> Draft:
    text, thread_ts = body.get("text") or "", body.get("thread_ts")
    if not isinstance(text, str) or not isinstance(thread_ts, str | None):
        raise Unpostable("invalid_arguments")
    if len(text) > MAX_TEXT:
        raise Unpostable("msg_too_long")
    blocks = body.get("blocks")
    _check_blocks(blocks)
    if not text and not blocks:
        raise Unpostable("no_text")
    return Draft(text, blocks, thread_ts, body.get("metadata"))


def _check_blocks(blocks: Any) -> None:
    if blocks is None:
        return
    if not isinstance(blocks, list):
        raise Unpostable("invalid_blocks_format")
    if block_kit.problem(blocks) is not None:
        raise Unpostable("invalid_blocks")
    if len(json.dumps(blocks)) > MAX_BLOCKS_BYTES:
        raise Unpostable("msg_blocks_too_long")


def _posted(db: sqlite3.Connection, channel: str, draft: Draft, *, now: float) -> dict[str, Any]:
    if draft.thread_ts is not None:
        _check_thread(db, channel, draft.thread_ts)
    ts = keep(db, channel=channel, draft=draft, via="api", now=now)
    return {
        "channel": channel,
        "ts": ts,
        "message": _message(ts, draft.text, draft.blocks or [], draft.thread_ts),
    }


def _check_thread(db: sqlite3.Connection, channel: str, thread_ts: str) -> None:
    """A reply names the parent, never another reply."""
    parent = db.execute(
        "SELECT 1 FROM slack_messages WHERE channel = ? AND ts = ? AND thread_ts IS NULL",
        (channel, thread_ts),
    ).fetchone()
    if parent is None:
        raise Unpostable("thread_not_found")


def _updated(db: sqlite3.Connection, channel: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Omitted blocks keep the old ones (python-slack-sdk#523); ``[]`` removes them."""
    row = db.execute(
        "SELECT * FROM slack_messages WHERE channel = ? AND ts = ?", (channel, body.get("ts"))
    ).fetchone()
    if row is None:
        raise Unpostable("message_not_found")
    draft = _draft({"text": row["text"], **body})
    blocks = json.loads(row["blocks"]) if draft.blocks is None else draft.blocks
    db.execute(
        "UPDATE slack_messages SET text = ?, blocks = ?, edits = edits + 1 WHERE id = ?",
        (draft.text, json.dumps(blocks), row["id"]),
    )
    message = _message(row["ts"], draft.text, blocks, row["thread_ts"])
    return {"channel": channel, "ts": row["ts"], "text": draft.text, "message": message}


def _message(ts: str, text: str, blocks: list[Any], thread_ts: str | None) -> dict[str, Any]:
    message = {"type": "message", "bot_id": BOT, "team": TEAM, "ts": ts, "text": text, "blocks": blocks}
    return message if thread_ts is None else {**message, "thread_ts": thread_ts}


def keep(db: sqlite3.Connection, *, channel: str, draft: Draft, via: str, now: float) -> str:
    """Store a message; returns its ts, a string that no other message has."""
    number = db.execute("SELECT coalesce(max(id), 0) + 1 FROM slack_messages").fetchone()[0]
    ts = f"{int(now)}.{number:06d}"
    db.execute(
        "INSERT INTO slack_messages (id, ts, via, channel, thread_ts, text, blocks, metadata, posted_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            number,
            ts,
            via,
            channel,
            draft.thread_ts,
            draft.text,
            json.dumps(draft.blocks or []),
            None if draft.metadata is None else json.dumps(draft.metadata),
            now,
        ),
    )
    return ts


# Incoming webhook


def _webhook(request: Request, *, db: sqlite3.Connection, now: float) -> Reply:
    """The lesser way: plain text out, and no ts to come back to."""
    try:
        body = read_json(request.body)
    except ValueError:
        return _word("invalid_payload", status=HTTPStatus.BAD_REQUEST)
    if not isinstance(body, Mapping):
        return _word("invalid_payload", status=HTTPStatus.BAD_REQUEST)
    try:
        keep(db, channel=request.path, draft=_draft(body), via="webhook", now=now)
    except Unpostable as error:
        return _word(str(error), status=HTTPStatus.BAD_REQUEST)
    return _word("ok", status=HTTPStatus.OK)


def _word(word: str, *, status: int) -> Reply:
    return Reply(status, word.encode(), HTML_TEXT)


HTML_TEXT = "text/html"
"""What Slack's webhooks call their plain text."""
