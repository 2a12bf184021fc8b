"""What Mailjet tells through webhooks: stored as it comes (`receiving`), made evidence of later
(`processing`), watched for silence (`watching`), and forgotten after a while (`forgetting`).
"""

from listmanagement.workflows.events.processing import process
from listmanagement.workflows.events.receiving import LARGEST, store

__all__ = ["LARGEST", "process", "store"]
