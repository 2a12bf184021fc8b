"""Sending: a due draft becomes a campaign, every mailable member gets a message, and things happen to it.

Who is mailed is resolved at the moment of sending. What happens to each message is decided then, kept in
``events`` with its time, and takes effect when the clock gets there. All of it is set-based, so that a
million messages take seconds.
"""

import sqlite3

from integrations.sandbox import effects, outcomes
from integrations.sandbox.effects import Action
from integrations.sandbox.outcomes import FULL_RETRY, PLANS, Mailbox
from integrations.sandbox.settings import Settings

DRAFT, PROGRAMMED, SENT = 0, 1, 2
"""Mailjet's numbers for a draft's status; a campaign is 1 while it is sent and 2 afterwards."""
PREBLOCKED, SPAM_REPORTER = 14, 21
"""StateIDs of a message that Mailjet does not even try to deliver."""
SEGMENT_SHARE = 0.5
"""How much of a list a segment covers here; its expression is kept and not evaluated."""

MAILABLE = (
    "memberships JOIN contacts ON contacts.id = memberships.contact_id"
    " WHERE memberships.list_id = :list_id AND memberships.active AND NOT memberships.unsubscribed"
    " AND NOT contacts.excluded AND contacts.email NOT LIKE '%@domain.invalid'"
)
_TEMPORARY = """
CREATE TEMP TABLE IF NOT EXISTS fates (message_id INTEGER PRIMARY KEY, contact_id INTEGER, fate TEXT);
CREATE TEMP TABLE IF NOT EXISTS ripe (id INTEGER PRIMARY KEY);
CREATE TEMP TABLE IF NOT EXISTS steps (
    fate TEXT, number INTEGER, kind TEXT, status TEXT, after REAL, state_id INTEGER, permanent INTEGER,
    blocked INTEGER, comment TEXT, PRIMARY KEY (fate, number)
);
"""


def prepare(db: sqlite3.Connection) -> None:
    """Make what this module needs on a new connection."""
    db.executescript(_TEMPORARY)
    blocks = {f"blocked:{state}": (outcomes.Step("blocked", "blocked", 0, state),) for state in range(1, 22)}
    plans = {**{str(mailbox): plan for mailbox, plan in PLANS.items()}, **blocks}
    db.executemany(
        "INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                fate,
                number,
                step.kind,
                step.status,
                step.after,
                step.state_id,
                step.permanent,
                step.blocked,
                step.comment,
            )
            for fate, plan in plans.items()
            for number, step in enumerate(plan)
        ],
    )


def has_recipients(db: sqlite3.Connection, *, list_id: int | None) -> bool:
    """Whether anybody on a list that is not deleted can be mailed now."""
    if db.execute("SELECT 1 FROM lists WHERE id = ? AND NOT is_deleted", (list_id,)).fetchone() is None:
        return False
    query = " ".join(["SELECT 1 FROM", MAILABLE, "LIMIT 1"])
    return db.execute(query, {"list_id": list_id}).fetchone() is not None


def send(db: sqlite3.Connection, draft_id: int, *, at: float, settings: Settings) -> None:
    """Send a draft to whoever can be mailed now; it becomes a draft again where that is nobody."""
    draft = db.execute("SELECT * FROM drafts WHERE id = ?", (draft_id,)).fetchone()
    if not has_recipients(db, list_id=draft["list_id"]):
        db.execute("UPDATE drafts SET status = ?, scheduled_at = NULL WHERE id = ?", (DRAFT, draft_id))
        return
    campaign_id = _campaign(db, draft, at=at, settings=settings)
    db.execute("UPDATE drafts SET status = ?, delivered_at = ? WHERE id = ?", (SENT, at, draft_id))
    _write_messages(db, draft, campaign_id=campaign_id, at=at, settings=settings)
    _decide_fates(db, campaign_id=campaign_id, at=at, settings=settings)
    _plan_events(db, at=at, settings=settings)
    db.execute("DELETE FROM fates")


def _campaign(db: sqlite3.Connection, draft: sqlite3.Row, *, at: float, settings: Settings) -> int:
    cursor = db.execute(
        "INSERT INTO campaigns (draft_id, list_id, subject, send_start_at, status, segmentation_id)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (draft["id"], draft["list_id"], draft["subject"], at, PROGRAMMED, draft["segmentation_id"]),
    )
    return int(cursor.lastrowid or 0)


def _write_messages(
    db: sqlite3.Connection, draft: sqlite3.Row, *, campaign_id: int, at: float, settings: Settings
) -> None:
    """One message per recipient; a segment or the share of an A/B test picks some of them for good."""
    share = 1.0 if draft["segmentation_id"] is None else SEGMENT_SHARE
    share *= 1.0 if draft["ax_fraction"] is None else draft["ax_fraction"] / 100
    query = [
        "INSERT INTO messages (campaign_id, contact_id, status, arrived_at, attempts)",
        "SELECT :campaign_id, contacts.id, 'queued', :at, 0 FROM",
        MAILABLE,
        "AND ((contacts.id * 7919 + :salt * 104729) % 1000) < :thousandths ORDER BY contacts.id",
    ]
    salt = draft["segmentation_id"] or draft["ax_testing_id"] or 0
    values = {"campaign_id": campaign_id, "list_id": draft["list_id"], "at": at, "salt": salt}
    db.execute(" ".join(query), {**values, "thousandths": round(share * 1000)})


def _decide_fates(db: sqlite3.Connection, *, campaign_id: int, at: float, settings: Settings) -> None:
    """A block counts before the mailbox, the mailbox's set nature before the drawn one."""
    db.create_function(
        "drawn", 1, lambda contact_id: str(outcomes.draw(contact_id, campaign_id, settings=settings))
    )
    db.execute(
        "INSERT INTO fates SELECT messages.id, contacts.id, CASE"
        " WHEN preblocks.email IS NOT NULL THEN 'blocked:' || preblocks.state_id"
        " WHEN contacts.mailbox <> '' THEN contacts.mailbox ELSE drawn(contacts.id) END"
        " FROM messages JOIN contacts ON contacts.id = messages.contact_id"
        " LEFT JOIN preblocks ON preblocks.email = contacts.email"
        " AND (preblocks.until IS NULL OR preblocks.until > :at)"
        " WHERE messages.campaign_id = :campaign_id",
        {"campaign_id": campaign_id, "at": at},
    )


def _plan_events(db: sqlite3.Connection, *, at: float, settings: Settings) -> None:
    """The times: sends spread over the sending time, what readers do over half to one and a half times."""
    for number in range(max(map(len, PLANS.values()))):
        db.execute(
            "INSERT INTO events (message_id, kind, status, at, state_id, permanent, blocked, comment)"
            " SELECT message_id, kind, status, :at + :sending * ((contact_id * 31) % 1000) / 1000.0 + CASE"
            " WHEN after = :full_retry THEN :retry"
            " ELSE after * (500 + (contact_id * 7919) % 1001) / 1000.0 END,"
            " state_id, permanent, blocked, comment"
            " FROM fates JOIN steps ON steps.fate = fates.fate WHERE number = :number ORDER BY message_id",
            {
                "at": at,
                "sending": settings.send_seconds,
                "full_retry": FULL_RETRY,
                "retry": settings.soft_retry_seconds,
                "number": number,
            },
        )


def finish_sends(db: sqlite3.Connection, *, now: float, settings: Settings) -> None:
    """Give an end to the campaigns whose sending time is over."""
    db.execute(
        "UPDATE campaigns SET status = :sent, send_end_at = send_start_at + :seconds"
        " WHERE status = :sending AND send_start_at + :seconds <= :now",
        {"sent": SENT, "sending": PROGRAMMED, "seconds": settings.send_seconds, "now": now},
    )


def let_happen(db: sqlite3.Connection, *, until: float, settings: Settings) -> None:
    """Let every event up to a moment take effect: on its message, its contact, and those who listen."""
    ripe = db.execute("INSERT INTO ripe SELECT id FROM events WHERE done = 0 AND at <= ?", (until,))
    if not ripe.rowcount:
        return
    db.execute(_TELL_MESSAGES)
    db.execute(_KEEP_BOUNCES)
    _block_after_bounces(db, settings=settings)
    db.execute(_NOTE_ACTIVITY)
    for event in db.execute(_DEEDS).fetchall():
        _heed(db, event, settings=settings)
    _queue_hooks(db, settings=settings)
    db.execute("UPDATE events SET done = 1 WHERE id IN (SELECT id FROM ripe)")
    db.execute("DELETE FROM ripe")


_TELL_MESSAGES = """
UPDATE messages SET status = last.status, state_id = last.state_id, state_permanent = last.permanent,
    comment = last.comment, attempts = attempts + last.tries
FROM (
    SELECT message_id, status, state_id, permanent, comment, max(id),
        sum(kind IN ('sent', 'bounce', 'deferred')) AS tries
    FROM events WHERE id IN (SELECT id FROM ripe) GROUP BY message_id
) AS last WHERE messages.id = last.message_id
"""
_KEEP_BOUNCES = """
INSERT INTO bounces (message_id, campaign_id, contact_id, bounced_at, state_id, permanent, blocked)
SELECT messages.id, campaign_id, contact_id, at, events.state_id, events.permanent, events.blocked
FROM ripe JOIN events ON events.id = ripe.id JOIN messages ON messages.id = message_id
WHERE kind = 'bounce' ORDER BY events.id
"""
_NOTE_ACTIVITY = """
UPDATE contacts SET last_activity_at = deed.at FROM (
    SELECT contact_id, max(at) AS at FROM ripe JOIN events ON events.id = ripe.id
    JOIN messages ON messages.id = message_id WHERE kind IN ('open', 'click') GROUP BY contact_id
) AS deed WHERE contacts.id = deed.contact_id
"""
_DEEDS = """
SELECT kind, at, contact_id, campaigns.list_id FROM ripe JOIN events ON events.id = ripe.id
JOIN messages ON messages.id = message_id JOIN campaigns ON campaigns.id = campaign_id
WHERE kind IN ('unsub', 'spam') ORDER BY at, events.id
"""


def _block_after_bounces(db: sqlite3.Connection, *, settings: Settings) -> None:
    lasting = None if settings.preblock_for_ever else settings.preblock_seconds
    db.execute(
        "INSERT INTO preblocks (email, state_id, until)"
        " SELECT email, :state, at + :lasting FROM ripe JOIN events ON events.id = ripe.id"
        " JOIN messages ON messages.id = message_id JOIN contacts ON contacts.id = contact_id"
        " WHERE kind = 'bounce' AND permanent"
        " ON CONFLICT (email) DO UPDATE SET state_id = excluded.state_id, until = excluded.until"
        " WHERE preblocks.until IS NOT NULL",
        {"state": PREBLOCKED, "lasting": lasting},
    )


def _heed(db: sqlite3.Connection, event: sqlite3.Row, *, settings: Settings) -> None:
    """Do what a reader asked for."""
    if event["kind"] == "spam":
        db.execute("UPDATE contacts SET complained = 1 WHERE id = ?", (event["contact_id"],))
        block(db, contact_id=event["contact_id"], state_id=SPAM_REPORTER, until=None)
        return
    effects.apply(
        db,
        contact_id=event["contact_id"],
        list_id=event["list_id"],
        action=Action.UNSUB,
        at=event["at"],
        job_id=None,
        unsub_adds_nonmember=settings.late_unsub_recreates,
    )


def _queue_hooks(db: sqlite3.Connection, *, settings: Settings) -> None:
    """One hook per event somebody listens to, and a second one for the share to be told twice."""
    query = (
        "INSERT INTO hooks (kind, event_id, at, due_at) SELECT kind, events.id, at, at + :lag"
        " FROM ripe JOIN events ON events.id = ripe.id"
        " WHERE kind IN (SELECT event_type FROM callbacks) AND (events.id * 7919) % 1000 < :thousandths"
        " ORDER BY at, events.id"
    )
    lag = settings.webhook_lag_seconds
    db.execute(query, {"lag": lag, "thousandths": 1000})
    db.execute(query, {"lag": lag, "thousandths": round(settings.webhook_duplicate_share * 1000)})


def block(db: sqlite3.Connection, *, contact_id: int, state_id: int, until: float | None) -> None:
    """Mailjet refuses the contact's address from now on; ``until`` None means for ever."""
    db.execute(
        "INSERT OR REPLACE INTO preblocks (email, state_id, until)"
        " SELECT email, ?, ? FROM contacts WHERE id = ?",
        (state_id, until, contact_id),
    )


def lift(db: sqlite3.Connection, *, contact_id: int) -> bool:
    """What Mailjet's support does when asked: the address may be mailed again. False: it was not blocked."""
    lifted = db.execute(
        "DELETE FROM preblocks WHERE email = (SELECT email FROM contacts WHERE id = ?)", (contact_id,)
    )
    return bool(lifted.rowcount)


def leave_overdue(db: sqlite3.Connection, *, now: float) -> None:
    """What a world just loaded had scheduled for a time that is over is not sent: it tells of the past."""
    db.execute("UPDATE drafts SET overdue = 1 WHERE status = ? AND scheduled_at <= ?", (PROGRAMMED, now))


def remember_blocks(db: sqlite3.Connection, *, now: float, settings: Settings) -> None:
    """The blocks that follow from the messages of a world just loaded."""
    db.execute(
        "INSERT OR REPLACE INTO preblocks (email, state_id, until)"
        " SELECT email, :state, max(bounced_at) + :lasting FROM bounces"
        " JOIN contacts ON contacts.id = contact_id WHERE permanent GROUP BY contact_id"
        " HAVING :lasting IS NULL OR max(bounced_at) + :lasting > :now",
        {
            "state": PREBLOCKED,
            "lasting": None if settings.preblock_for_ever else settings.preblock_seconds,
            "now": now,
        },
    )
    db.execute(
        "INSERT OR REPLACE INTO preblocks (email, state_id, until) SELECT email, ?, NULL FROM contacts"
        " WHERE complained OR id IN (SELECT contact_id FROM messages WHERE status = 'spam')",
        (SPAM_REPORTER,),
    )


def happen(db: sqlite3.Connection, *, message_id: int, mailbox: Mailbox, at: float) -> int:
    """Let a message, already sent, fare now as at such a mailbox, all at once; returns how many events."""
    written = db.execute(
        "INSERT INTO events (message_id, kind, status, at, state_id, permanent, blocked, comment)"
        " SELECT ?, kind, status, ?, state_id, permanent, blocked, comment FROM steps"
        " WHERE fate = ? AND kind <> 'sent' ORDER BY number",
        (message_id, at, mailbox),
    )
    return written.rowcount
