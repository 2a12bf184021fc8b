"""Events are kept for 90 days after they were processed; what they said stays."""

from __future__ import annotations

from datetime import timedelta

import pytest

from listmanagement.models import EventStatus, WebhookEvent
from listmanagement.workflows import events
from tests import factories
from tests.factories import NOON

OLD, YOUNG = NOON - timedelta(days=90, seconds=1), NOON - timedelta(days=90)


@pytest.mark.django_db
def test_what_was_processed_or_waited_for_90_days_is_forgotten_and_nothing_else() -> None:
    kept = [
        factories.a_webhook_event(status=EventStatus.NEW, received_at=OLD),
        factories.a_webhook_event(status=EventStatus.WAITING, received_at=YOUNG),
        factories.a_webhook_event(status=EventStatus.DONE, received_at=OLD, processed_at=YOUNG),
    ]
    for status in (EventStatus.DONE, EventStatus.REVIEW):
        factories.a_webhook_event(status=status, processed_at=OLD)
    factories.a_webhook_event(status=EventStatus.WAITING, received_at=OLD)

    assert events.forget(now=NOON) == 3
    assert list(WebhookEvent.objects.order_by("pk")) == kept
    assert events.forget(now=NOON) == 0
