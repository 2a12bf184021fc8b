"""Campaigns as Mailjet has them.

`reading` keeps what is scheduled and what was sent, `labels` what each send was, `sends` whom it reached;
`unscheduling` is the journal of drafts that must not go out.
"""

from listmanagement.workflows.campaigns.reading import Synced, notice_begun, sync

__all__ = ["Synced", "notice_begun", "sync"]
