"""Brings contacts and memberships in line with what Mailjet says.

`scan` reads pages into staging, `merge` brings the rows here in line with them by set-based SQL, `refreshing`
says what is read when. An opt-out is sticky (P2); only differences are written; a row that a scan missed is
not gone for that alone; and what the journal knows to be newer stays.
"""

from listmanagement.workflows.mirror.merge import Refreshed, next_rank
from listmanagement.workflows.mirror.refreshing import (
    FEW,
    FRESH_FOR,
    READINGS,
    RefreshUnderWay,
    fresh_for,
    keep_contacts,
    refresh,
    refresh_all,
    refresh_members,
    refresh_stale,
)

__all__ = [
    "FEW",
    "FRESH_FOR",
    "READINGS",
    "RefreshUnderWay",
    "Refreshed",
    "fresh_for",
    "keep_contacts",
    "next_rank",
    "refresh",
    "refresh_all",
    "refresh_members",
    "refresh_stale",
]
