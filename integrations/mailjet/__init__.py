"""Mailjet's REST API v3, as far as Evenkeel needs it: reads, and two bulk writes.

What a caller has to know:

* Reads are repeated a few times by the client. Writes never are: whether a write whose answer was lost
  took effect is found out by looking it up (`recent_jobs`), not by sending it again.
* Every try passes the budget first. The budget is the caller's, so that all processes share one.
* Bulk writes are queued by Mailjet. A job that completed may still have done nothing: read back.
* Pages are streamed, and overlap: whatever is there during a whole scan is seen (see `paging`). What a scan
  missed was away at some moment of it, and may be back.
* Addresses leave this module as values only, never in an error's words or a log line.
"""

from integrations.mailjet.answers import (
    Action,
    CampaignType,
    ContactMembership,
    Counters,
    Draft,
    DraftStatus,
    EventUrl,
    EventUrlStatus,
    Job,
    JobError,
    JobId,
    JobStatus,
    JobSummary,
    ListChange,
    MailjetCampaign,
    MailjetContact,
    MailjetList,
    Member,
    Message,
    MessageEvent,
    MessageStatus,
)
from integrations.mailjet.client import (
    BATCH,
    MOST_ADDRESSES,
    MOST_BYTES,
    Mailjet,
    batch_size,
    bytes_of,
)
from integrations.mailjet.columns import ContactColumns, MemberColumns
from integrations.mailjet.connection import PAGE, Budget, ScanPage
from integrations.mailjet.errors import (
    MailjetAnswerInvalid,
    MailjetError,
    MailjetPaused,
    MailjetRejected,
    MailjetUnauthorized,
    MailjetUnavailable,
    MailjetUncertain,
    MasterListProtected,
)
from integrations.mailjet.events import Event, EventKind, EventOfTheConsole, EventUnusable, read_event
from integrations.mailjet.paging import START, Place

__all__ = [
    "BATCH",
    "MOST_ADDRESSES",
    "MOST_BYTES",
    "PAGE",
    "START",
    "Action",
    "Budget",
    "CampaignType",
    "ContactColumns",
    "ContactMembership",
    "Counters",
    "Draft",
    "DraftStatus",
    "Event",
    "EventKind",
    "EventOfTheConsole",
    "EventUnusable",
    "EventUrl",
    "EventUrlStatus",
    "Job",
    "JobError",
    "JobId",
    "JobStatus",
    "JobSummary",
    "ListChange",
    "Mailjet",
    "MailjetAnswerInvalid",
    "MailjetCampaign",
    "MailjetContact",
    "MailjetError",
    "MailjetList",
    "MailjetPaused",
    "MailjetRejected",
    "MailjetUnauthorized",
    "MailjetUnavailable",
    "MailjetUncertain",
    "MasterListProtected",
    "Member",
    "MemberColumns",
    "Message",
    "MessageEvent",
    "MessageStatus",
    "Place",
    "ScanPage",
    "batch_size",
    "bytes_of",
    "read_event",
]
