"""Short words for outcomes, shared by the tests of judging. Days count back from NOW."""

from datetime import UTC, datetime, timedelta

from listmanagement.domain.bounces import BounceClass, ContactRecord, Event, Outcome

NOW = datetime(2026, 3, 30, 12, tzinfo=UTC)
JUDGED = 123
"""The campaign in question."""


def message(number, *, ago, outcome, bounce=None, campaign=None, cycle=-1, ends=0.0, click=None, **facts):
    """One message sent `ago` days before NOW; campaign and cycle are its own unless given."""
    sent_at = NOW - timedelta(days=ago)
    return Event(
        message_id=number,
        campaign_id=number if campaign is None else campaign,
        cycle_id=number if cycle == -1 else cycle,
        sent_at=sent_at,
        at=sent_at + timedelta(days=ends),
        outcome=outcome,
        bounce=bounce,
        human_click_at=None if click is None else NOW - timedelta(days=click),
        **facts,
    )


def delivered(number, *, ago, **facts):
    return message(number, ago=ago, outcome=Outcome.DELIVERED, **facts)


def hard(number, bounce=BounceClass.RECIPIENT_GONE, *, ago=1, **facts):
    return message(number, ago=ago, outcome=Outcome.BOUNCED, bounce=bounce, permanent=True, **facts)


def soft(number, bounce=BounceClass.TEMPORARY, *, ago=1, **facts):
    return message(number, ago=ago, outcome=Outcome.BOUNCED, bounce=bounce, **facts)


def blocked(number, bounce=BounceClass.NOT_ATTEMPTED, *, ago=1, **facts):
    return message(number, ago=ago, outcome=Outcome.NOT_ATTEMPTED, bounce=bounce, **facts)


def contact(*events, number=7, domain="example.com", **facts):
    return ContactRecord(number, domain, events, **facts)


def ago(days):
    return NOW - timedelta(days=days)
