"""The tables of the stand-ins' world, in SQLite so that it survives a restart and a kill.

Times are unix seconds, flags 0 or 1. Ids that Mailjet never gives out twice are AUTOINCREMENT; the
seeds make a new world start with ids as large as Mailjet's, so that nobody gets by with 32 bits.
"""

import sqlite3
from collections.abc import Mapping

SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS contacts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    email TEXT NOT NULL UNIQUE COLLATE NOCASE,
    name TEXT NOT NULL DEFAULT '',
    created_at REAL NOT NULL,
    excluded INTEGER NOT NULL DEFAULT 0,
    excluded_at REAL,
    complained INTEGER NOT NULL DEFAULT 0,
    unsubscribed INTEGER NOT NULL DEFAULT 0,
    unsubscribed_at REAL,
    last_activity_at REAL,
    last_update_at REAL,
    mailbox TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS lists (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    address TEXT NOT NULL UNIQUE,
    created_at REAL NOT NULL,
    is_deleted INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS memberships (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    contact_id INTEGER NOT NULL REFERENCES contacts (id),
    list_id INTEGER NOT NULL REFERENCES lists (id),
    active INTEGER NOT NULL DEFAULT 1,
    unsubscribed INTEGER NOT NULL DEFAULT 0,
    subscribed_at REAL NOT NULL,
    unsubscribed_at REAL,
    UNIQUE (list_id, contact_id)
);
CREATE INDEX IF NOT EXISTS memberships_of_a_list ON memberships (list_id);
CREATE INDEX IF NOT EXISTS memberships_of_a_contact ON memberships (contact_id);
CREATE TABLE IF NOT EXISTS drafts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    title TEXT NOT NULL DEFAULT '',
    subject TEXT NOT NULL DEFAULT '',
    list_id INTEGER REFERENCES lists (id),
    status INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    modified_at REAL,
    scheduled_at REAL,
    delivered_at REAL,
    sender_email TEXT NOT NULL DEFAULT 'news@sender.example.com',
    sender_name TEXT NOT NULL DEFAULT 'News',
    locale TEXT NOT NULL DEFAULT 'en_US',
    html TEXT NOT NULL DEFAULT '',
    text TEXT NOT NULL DEFAULT '',
    segmentation_id INTEGER,
    ax_testing_id INTEGER,
    ax_fraction INTEGER,
    extras TEXT NOT NULL DEFAULT '{}',
    overdue INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS drafts_waiting ON drafts (scheduled_at) WHERE status = 1;
CREATE TABLE IF NOT EXISTS campaigns (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    draft_id INTEGER NOT NULL UNIQUE REFERENCES drafts (id),
    list_id INTEGER NOT NULL REFERENCES lists (id),
    subject TEXT NOT NULL,
    send_start_at REAL NOT NULL,
    send_end_at REAL,
    status INTEGER NOT NULL,
    is_deleted INTEGER NOT NULL DEFAULT 0,
    is_starred INTEGER NOT NULL DEFAULT 0,
    segmentation_id INTEGER,
    forgotten TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    campaign_id INTEGER NOT NULL REFERENCES campaigns (id),
    contact_id INTEGER NOT NULL REFERENCES contacts (id),
    status TEXT NOT NULL,
    state_id INTEGER,
    state_permanent INTEGER NOT NULL DEFAULT 0,
    arrived_at REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 1,
    comment TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS messages_of_a_campaign ON messages (campaign_id);
CREATE INDEX IF NOT EXISTS messages_to_a_contact ON messages (contact_id);
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id INTEGER NOT NULL REFERENCES messages (id),
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    at REAL NOT NULL,
    state_id INTEGER,
    permanent INTEGER NOT NULL DEFAULT 0,
    blocked INTEGER NOT NULL DEFAULT 0,
    comment TEXT NOT NULL DEFAULT '',
    done INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS events_to_come ON events (at) WHERE done = 0;
CREATE INDEX IF NOT EXISTS events_of_a_message ON events (message_id);
CREATE TABLE IF NOT EXISTS bounces (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id INTEGER NOT NULL REFERENCES messages (id),
    campaign_id INTEGER NOT NULL REFERENCES campaigns (id),
    contact_id INTEGER NOT NULL REFERENCES contacts (id),
    bounced_at REAL NOT NULL,
    state_id INTEGER,
    permanent INTEGER NOT NULL DEFAULT 0,
    blocked INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS bounces_of_a_campaign ON bounces (campaign_id);
CREATE INDEX IF NOT EXISTS bounces_of_a_message ON bounces (message_id);
CREATE TABLE IF NOT EXISTS preblocks (
    email TEXT PRIMARY KEY COLLATE NOCASE,
    state_id INTEGER NOT NULL,
    until REAL
);
CREATE TABLE IF NOT EXISTS callbacks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_type TEXT NOT NULL,
    is_backup INTEGER NOT NULL DEFAULT 0,
    status TEXT NOT NULL DEFAULT 'alive',
    url TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1,
    UNIQUE (event_type, is_backup)
);
CREATE TABLE IF NOT EXISTS hooks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    event_id INTEGER,
    body TEXT,
    at REAL NOT NULL,
    due_at REAL NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    first_failed_at REAL,
    state TEXT NOT NULL DEFAULT 'waiting'
);
CREATE INDEX IF NOT EXISTS hooks_waiting ON hooks (due_at) WHERE state = 'waiting';
CREATE TABLE IF NOT EXISTS metadata (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    datatype TEXT NOT NULL,
    namespace TEXT NOT NULL DEFAULT 'static'
);
CREATE TABLE IF NOT EXISTS properties (
    contact_id INTEGER NOT NULL REFERENCES contacts (id),
    name TEXT NOT NULL COLLATE NOCASE,
    value TEXT NOT NULL,
    PRIMARY KEY (contact_id, name)
);
CREATE TABLE IF NOT EXISTS segments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    expression TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS uploads (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    list_id INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_type TEXT NOT NULL,
    method TEXT NOT NULL,
    ref_id INTEGER NOT NULL,
    work TEXT NOT NULL,
    total INTEGER NOT NULL,
    fate TEXT NOT NULL,
    requested_at REAL NOT NULL,
    due_at REAL NOT NULL,
    status TEXT NOT NULL,
    processed INTEGER NOT NULL DEFAULT 0,
    started_at REAL,
    ended_at REAL,
    error TEXT NOT NULL DEFAULT '',
    failures TEXT NOT NULL DEFAULT '[]',
    failure_count INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS jobs_under_way ON jobs (due_at) WHERE ended_at IS NULL;
CREATE TABLE IF NOT EXISTS changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    contact_id INTEGER NOT NULL,
    list_id INTEGER NOT NULL,
    action TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    job_id INTEGER,
    at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS changes_of_a_list ON changes (list_id, at);
CREATE TABLE IF NOT EXISTS slack_messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ts TEXT NOT NULL UNIQUE,
    via TEXT NOT NULL,
    channel TEXT NOT NULL,
    thread_ts TEXT,
    text TEXT NOT NULL,
    blocks TEXT NOT NULL,
    metadata TEXT,
    posted_at REAL NOT NULL,
    edits INTEGER NOT NULL DEFAULT 0
);
COMMIT;
"""

FIRST_IDS = {
    "contacts": 6_000_000_000,
    "lists": 10_000,
    "memberships": 3_000_000_000,
    "drafts": 9_000,
    "campaigns": 5_200_000_000,
    "messages": 81_064_793_292_668_928,
    "events": 0,
    "bounces": 0,
    "callbacks": 700,
    "hooks": 0,
    "metadata": 300,
    "segments": 400,
    "uploads": 60,
    "jobs": 90_000,
}
"""The id before the first one of a new world. Message ids exceed 2^53, contact and campaign ids 2^32."""

EMPTIED_BY_A_LOAD = (
    "slack_messages",
    "changes",
    "jobs",
    "uploads",
    "segments",
    "properties",
    "metadata",
    "hooks",
    "callbacks",
    "preblocks",
    "bounces",
    "events",
    "messages",
    "campaigns",
    "drafts",
    "memberships",
    "lists",
    "contacts",
)

ADDED_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "contacts": ("mailbox TEXT NOT NULL DEFAULT ''",),
    "drafts": (
        "sender_email TEXT NOT NULL DEFAULT 'news@sender.example.com'",
        "sender_name TEXT NOT NULL DEFAULT 'News'",
        "locale TEXT NOT NULL DEFAULT 'en_US'",
        "html TEXT NOT NULL DEFAULT ''",
        "text TEXT NOT NULL DEFAULT ''",
        "segmentation_id INTEGER",
        "ax_testing_id INTEGER",
        "ax_fraction INTEGER",
        "extras TEXT NOT NULL DEFAULT '{}'",
        "overdue INTEGER NOT NULL DEFAULT 0",
    ),
    "campaigns": (
        "is_deleted INTEGER NOT NULL DEFAULT 0",
        "is_starred INTEGER NOT NULL DEFAULT 0",
        "segmentation_id INTEGER",
        "forgotten TEXT NOT NULL DEFAULT '{}'",
    ),
}
"""What the tables of a world kept since an earlier release may lack."""


def bring_up_to_date(db: sqlite3.Connection) -> None:
    """Create what is missing, columns of tables that are already there included."""
    for table, columns in ADDED_COLUMNS.items():
        known = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
        for column in columns:
            if known and column.partition(" ")[0] not in known:
                db.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    db.executescript(SCHEMA)
