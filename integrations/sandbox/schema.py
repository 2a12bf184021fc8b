"""The tables of the stand-ins' world, in SQLite so that it survives a restart and a kill.

Times are unix seconds, flags 0 or 1. Ids that Mailjet never gives out twice are AUTOINCREMENT; the
seeds make a new world start with ids as large as Mailjet's, so that nobody gets by with 32 bits.
"""

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
    last_update_at REAL
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
    delivered_at REAL
);
CREATE TABLE IF NOT EXISTS campaigns (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    draft_id INTEGER NOT NULL UNIQUE REFERENCES drafts (id),
    list_id INTEGER NOT NULL REFERENCES lists (id),
    subject TEXT NOT NULL,
    send_start_at REAL NOT NULL,
    send_end_at REAL,
    status INTEGER NOT NULL
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
    "jobs": 90_000,
}
"""The id before the first one of a new world. Message ids exceed 2^53, contact and campaign ids 2^32."""

EMPTIED_BY_A_LOAD = (
    "slack_messages",
    "changes",
    "jobs",
    "messages",
    "campaigns",
    "drafts",
    "memberships",
    "lists",
    "contacts",
)
