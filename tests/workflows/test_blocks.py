"""Since when Mailjet itself refuses somebody: from the first refusal on, until something is delivered."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from listmanagement.domain.bounces import Outcome
from listmanagement.domain.standing import Observation
from listmanagement.models import CampaignSchedule, Contact
from listmanagement.workflows.evidence import Observed, keep
from tests import factories
from tests.factories import NOON
from tests.workflows.sends import days_ago

PREBLOCKED, OUR_CONTENT, DUPLICATE = 14, 8, 15

pytestmark = pytest.mark.django_db


def campaign(days: float) -> CampaignSchedule:
    return factories.a_campaign(started_at=days_ago(days), ended_at=days_ago(days - 0.1))


def told(
    of: CampaignSchedule, contact: Contact, outcome: Outcome, *, state: int | None = None, n: int = 0
) -> Observed:
    assert of.started_at is not None
    return Observed(
        message_id=of.pk * 1000 + contact.pk * 10 + n,
        campaign_id=of.pk,
        contact_id=contact.pk,
        email=contact.email or "",
        seen=Observation(outcome=outcome, as_of=NOON, state=state, permanent=False),
        sent_at=of.started_at,
    )


def blocked_since(contact: Contact) -> datetime | None:
    contact.refresh_from_db()
    return contact.blocked_since


def test_a_refusal_marks_a_contact_and_a_later_one_changes_nothing() -> None:
    contact, first, second = factories.a_contact(), campaign(20), campaign(10)

    keep([told(second, contact, Outcome.NOT_ATTEMPTED, state=PREBLOCKED)], now=NOON)
    assert blocked_since(contact) == days_ago(10)
    keep([told(first, contact, Outcome.NOT_ATTEMPTED, state=PREBLOCKED)], now=NOON)

    assert blocked_since(contact) == days_ago(20), "whatever the order in which it is told"


def test_a_later_delivery_clears_it_and_an_earlier_one_does_not() -> None:
    contact, other = factories.a_contact(), factories.a_contact()
    first, second, third = campaign(30), campaign(20), campaign(10)
    for each in (contact, other):
        keep([told(second, each, Outcome.NOT_ATTEMPTED, state=PREBLOCKED)], now=NOON)

    keep([told(third, contact, Outcome.DELIVERED), told(first, other, Outcome.DELIVERED)], now=NOON)

    assert blocked_since(contact) is None
    assert blocked_since(other) == days_ago(20)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.NOT_ATTEMPTED, OUR_CONTENT),
        (Outcome.NOT_ATTEMPTED, DUPLICATE),
        (Outcome.BOUNCED, 1),
        (Outcome.OPEN, None),
        (Outcome.DELIVERED, None),
    ],
)
def test_what_is_no_refusal_of_the_address_marks_nobody(outcome: Outcome, state: int | None) -> None:
    contact = factories.a_contact()

    keep([told(campaign(10), contact, outcome, state=state)], now=NOON)

    assert blocked_since(contact) is None


def test_after_a_delivery_a_new_refusal_counts_from_itself() -> None:
    contact = factories.a_contact()
    keep([told(campaign(30), contact, Outcome.NOT_ATTEMPTED, state=PREBLOCKED)], now=NOON)
    keep([told(campaign(20), contact, Outcome.DELIVERED)], now=NOON)

    keep([told(campaign(10), contact, Outcome.NOT_ATTEMPTED, state=PREBLOCKED)], now=NOON)

    assert blocked_since(contact) == days_ago(10)


def test_hundreds_are_marked_by_as_many_statements_as_one() -> None:
    def statements(number: int) -> int:
        a_send = campaign(10)
        page = [
            told(a_send, factories.a_contact(), Outcome.NOT_ATTEMPTED, state=PREBLOCKED)
            for _ in range(number)
        ]
        with CaptureQueriesContext(connection) as asked:
            keep(page, now=NOON)
        return len(asked)

    assert statements(1) == statements(200)
    assert Contact.objects.filter(blocked_since=days_ago(10)).count() == 201
