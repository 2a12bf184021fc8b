"""Forgets events 90 days after they were processed, or came in for a campaign that never became known."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from listmanagement.models import WebhookEvent

KEPT = timedelta(days=90)


@transaction.atomic
def forget(*, now: datetime) -> int:
    """Delete what is older. Returns how many events that were; what they said stays as evidence."""
    old, _ = WebhookEvent.objects.processed_before(now - KEPT).delete()
    waited, _ = WebhookEvent.objects.waiting().filter(received_at__lt=now - KEPT).delete()
    return old + waited
