"""Telling webhooks what happened, as Mailjet's Event API does it.

A body is one object (version 1) or everything of one second for one URL as an array (version 2). Any answer
but 200 is tried again every 30 seconds; after 24 hours of that the URL is dead and its backup takes over.
The clock is the stand-ins' own, and nothing is ever sent beyond this machine.
"""

import ipaddress
import json
import logging
import sqlite3
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import httpx

from integrations import tls
from integrations.sandbox.message_states import STATES
from integrations.sandbox.settings import Settings
from integrations.sandbox.world import World

log = logging.getLogger(__name__)

RETRY_SECONDS = 30.0
DEAD_AFTER_SECONDS = 86_400.0
PULSE_SECONDS = 0.2
"""How often the courier looks whether something is to be told."""
AT_ONCE = 5_000
"""Events read from the world in one go."""

READER = {"agent": "Mozilla/5.0", "geo": "FR", "ip": "192.0.2.7"}


@dataclass(frozen=True)
class Post:
    """One body for one URL."""

    callback_id: int
    url: str
    hooks: Sequence[int]
    body: str


class Courier:
    """Delivers what is due. One round at a time, whoever asks for it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lock = threading.Lock()

    def run(self, stopping: threading.Event) -> None:
        """Deliver by itself until told to stop, except while the settings hold webhooks back."""
        while not stopping.wait(PULSE_SECONDS):
            if self._world.has_callbacks() and not self._world.settings.webhooks_held:
                self.deliver(stopping)

    def deliver(self, stopping: threading.Event | None = None) -> dict[str, int]:
        """Try everything that is due once; returns how many events were told, failed and lost."""
        done: Counter[str] = Counter(told=0, failed=0, lost=0)
        with self._lock, httpx.Client(trust_env=False, verify=tls.trusted()) as http:
            while posts := self._due(done):
                for post in posts:
                    if stopping is not None and stopping.is_set():
                        return dict(done)
                    was_told = _was_told(http, post, timeout=self._world.settings.webhook_timeout_seconds)
                    self._record(post, was_told=was_told)
                    done["told" if was_told else "failed"] += len(post.hooks)
        return dict(done)

    def _due(self, done: Counter[str]) -> list[Post]:
        with self._world.transaction() as db:
            now, settings = self._world.clock.now(), self._world.settings
            done["lost"] += db.execute(_LOSE, {"now": now}).rowcount
            order = "(hooks.id * 7919) % 1009" if settings.webhook_shuffled else "hooks.at, hooks.id"
            query = [_DUE, "ORDER BY", order, "LIMIT", str(AT_ONCE)]
            return posts(db.execute(" ".join(query), {"now": now}).fetchall(), settings=settings)

    def _record(self, post: Post, *, was_told: bool) -> None:
        with self._world.transaction() as db:
            if was_told:
                db.executemany("UPDATE hooks SET state = 'told' WHERE id = ?", [(key,) for key in post.hooks])
            else:
                _note_failure(db, post, now=self._world.clock.now())


_CALLBACK = (
    "(SELECT id FROM callbacks WHERE event_type = hooks.kind AND status = 'alive' ORDER BY is_backup LIMIT 1)"
)
_LOSE = f"""
UPDATE hooks SET state = 'lost' WHERE state = 'waiting' AND due_at <= :now AND {_CALLBACK} IS NULL
"""  # noqa: S608 (fixed text)
_DUE = f"""
SELECT hooks.id, hooks.kind, hooks.at, hooks.body, callbacks.id AS callback_id, callbacks.url,
    callbacks.version, events.state_id, events.permanent, events.blocked, events.comment,
    messages.id AS message_id, messages.contact_id, messages.campaign_id, campaigns.draft_id,
    campaigns.list_id, contacts.email
FROM hooks JOIN callbacks ON callbacks.id = {_CALLBACK}
LEFT JOIN events ON events.id = hooks.event_id LEFT JOIN messages ON messages.id = events.message_id
LEFT JOIN campaigns ON campaigns.id = messages.campaign_id
LEFT JOIN contacts ON contacts.id = messages.contact_id
WHERE hooks.state = 'waiting' AND hooks.due_at <= :now
"""  # noqa: S608 (fixed text)


def posts(rows: Sequence[sqlite3.Row], *, settings: Settings) -> list[Post]:
    """The bodies to send for these hooks, in their order."""

    def address(row: sqlite3.Row) -> tuple[str, int, int]:
        is_alone = row["version"] == 1
        return row["url"], row["version"], row["id"] if is_alone else int(row["at"])

    made = []
    for (_, version, _), together in groupby(rows, address):
        group = list(together)
        for start in range(0, len(group), settings.webhook_group):
            part = group[start : start + settings.webhook_group]
            events = [json.loads(row["body"]) if row["body"] else as_event(row) for row in part]
            body = json.dumps(events if version == 2 else events[0], ensure_ascii=False)
            made.append(Post(part[0]["callback_id"], part[0]["url"], [row["id"] for row in part], body))
    return made


def as_event(row: sqlite3.Row) -> dict[str, Any]:
    """An event in Mailjet's form."""
    return {
        "event": row["kind"],
        "time": int(row["at"]),
        "MessageID": row["message_id"],
        "Message_GUID": f"00000000-0000-4000-8000-{row['message_id'] % 16**12:012x}",
        "email": row["email"],
        "mj_campaign_id": row["campaign_id"],
        "mj_contact_id": row["contact_id"],
        "customcampaign": f"mj.nl={row['draft_id']}",
        "CustomID": "",
        "Payload": "",
        **_details(row),
    }


def _details(row: sqlite3.Row) -> Mapping[str, Any]:
    kind, state = row["kind"], STATES.get(row["state_id"])
    error = {} if state is None else {"error_related_to": state.related_to, "error": state.name}
    if kind == "bounce":
        said = {"comment": row["comment"]} if row["comment"] else {}
        return {"blocked": bool(row["blocked"]), "hard_bounce": bool(row["permanent"]), **error, **said}
    return {
        "sent": {"mj_message_id": str(row["message_id"]), "smtp_reply": "250 2.0.0 OK"},
        "open": READER,
        "click": {**READER, "url": "https://www.example.com/"},
        "blocked": error,
        "spam": {"source": "JMRPP"},
        "unsub": {**READER, "mj_list_id": row["list_id"]},
    }[kind]


def test_event(kind: str, *, at: float) -> str:
    """The body that Mailjet's console sends to try a URL: nearly everything in it is empty."""
    empty = {
        "email": "",
        "mj_list_id": "",
        "blocked": "",
        "hard_bounce": "",
        "error_related_to": "",
        "error": "",
    }
    ids = {"MessageID": 0, "mj_campaign_id": 0, "mj_contact_id": 0, "customcampaign": ""}
    return json.dumps({"event": kind, "time": int(at), **ids, **empty, "CustomID": "", "Payload": ""})


def _was_told(http: httpx.Client, post: Post, *, timeout: float) -> bool:
    """Whether the receiver said 200. What cannot be reached, or is not on this machine, did not."""
    if not _is_here(httpx.URL(post.url).host):
        log.warning("the sandbox tells webhooks on this machine only; callback %s is not", post.callback_id)
        return False
    try:
        headers = {"Content-Type": "application/json"}
        return http.post(post.url, content=post.body, headers=headers, timeout=timeout).status_code == 200
    except httpx.TransportError:
        return False


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _note_failure(db: sqlite3.Connection, post: Post, *, now: float) -> None:
    db.executemany(
        "UPDATE hooks SET tries = tries + 1, first_failed_at = coalesce(first_failed_at, ?), due_at = ?"
        " WHERE id = ?",
        [(now, now + RETRY_SECONDS, key) for key in post.hooks],
    )
    first = min(
        db.execute("SELECT first_failed_at FROM hooks WHERE id = ?", (key,)).fetchone()[0]
        for key in post.hooks
    )
    if now - first >= DEAD_AFTER_SECONDS:
        db.execute("UPDATE callbacks SET status = 'dead' WHERE id = ?", (post.callback_id,))
