"""What Mailjet tells through webhooks: stored as it comes (`receiving`), made evidence of later
(`processing`), and forgotten after a while (`forgetting`). `connecting` has Mailjet tell it, `watching`
sees that it does.
"""

from listmanagement.workflows.events.forgetting import forget
from listmanagement.workflows.events.processing import process
from listmanagement.workflows.events.receiving import LARGEST, store
from listmanagement.workflows.events.watching import watch

__all__ = ["LARGEST", "forget", "process", "store", "watch"]
