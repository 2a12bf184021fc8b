"""What became of each message, from the pages that are fetched and the events that Mailjet tells.

Both become observations (`observing`), and those become rows in a fixed number of statements (`keeping`):
one piece of evidence, whatever the source, the order and the number of times it was told.
"""

from listmanagement.domain.standing import FAILED
from listmanagement.workflows.evidence.fetching import fetch, fetch_unseen
from listmanagement.workflows.evidence.keeping import keep
from listmanagement.workflows.evidence.late import fetch_late
from listmanagement.workflows.evidence.observing import OUTCOMES, Observed, of_message
from listmanagement.workflows.evidence.texts import fetch_texts, without_text

__all__ = [
    "FAILED",
    "OUTCOMES",
    "Observed",
    "fetch",
    "fetch_late",
    "fetch_texts",
    "fetch_unseen",
    "keep",
    "of_message",
    "without_text",
]
