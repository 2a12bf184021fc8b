"""One piece of evidence, whatever the source, the order, and the number of times it was told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from listmanagement.domain.bounces import Outcome
from listmanagement.domain.standing import Observation
from listmanagement.models import Bounce, CampaignRecipient, CampaignSchedule, Contact
from listmanagement.workflows import evidence
from listmanagement.workflows.evidence import Observed
from tests import factories
from tests.factories import NOON

ROLLED_BACK = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
"""Each example takes back what it wrote, so that the fixture serves all."""

SENT = (Outcome.DELIVERED, None, False)
DEFERRED = (Outcome.OPEN, None, False)
FULL = (Outcome.BOUNCED, 3, False)
SYSTEM = (Outcome.BOUNCED, 10, False)
GONE = (Outcome.BOUNCED, 1, True)
BLOCKED = (Outcome.NOT_ATTEMPTED, 14, False)
SPAM = (Outcome.COMPLAINED, 21, False)

Fact = tuple[Outcome, int | None, bool]
LIVES: Sequence[Sequence[Fact]] = [
    [SENT],
    [GONE],
    [BLOCKED],
    [DEFERRED, SENT],
    [DEFERRED, FULL],
    [FULL, GONE],
    [FULL, SYSTEM],
    [FULL, SENT],
    [GONE, SENT],
    [SENT, GONE],
    [SENT, SPAM],
    [FULL, SENT, GONE],
    [GONE, SENT, FULL],
    [SENT, FULL, SENT, SPAM],
]
"""What can happen to a message, in the order in which it happens, an hour apart."""


@dataclass(frozen=True)
class Telling:
    """A batch of events, or a page that shows every message as it stands after so many hours."""

    events: tuple[tuple[int, int], ...] = ()
    read_after: int | None = None


@st.composite
def tellings(draw: st.DrawFn) -> tuple[list[Sequence[Fact]], list[Telling], list[Telling]]:
    """Messages' lives; everything told once in order; and the same in any order, some of it repeatedly."""
    lives = draw(st.lists(st.sampled_from(LIVES), min_size=1, max_size=4))
    happened = [(hour, n) for n, life in enumerate(lives) for hour in range(len(life))]
    readings = draw(st.sets(st.integers(0, 5), max_size=3))
    once: list[Telling] = []
    for hour in range(6):
        once += [Telling(events=((n, at),)) for at, n in happened if at == hour]
        once += [Telling(read_after=hour)] if hour in readings else []
    again = draw(st.lists(st.sampled_from(once), max_size=6))
    shuffled = draw(st.permutations([*once, *again]))
    return lives, once, _put_together(draw, shuffled)


def _put_together(draw: st.DrawFn, shuffled: Sequence[Telling]) -> list[Telling]:
    """Some neighbouring events come in one batch."""
    together: list[Telling] = []
    for each in shuffled:
        joins = each.events and together and together[-1].events and draw(st.booleans())
        if joins:
            together[-1] = Telling(events=together[-1].events + each.events)
        else:
            together.append(each)
    return together


def tell(campaign: CampaignSchedule, lives: Sequence[Sequence[Fact]], telling: Telling) -> None:
    if telling.read_after is None:
        evidence.keep([_event(campaign, lives, n, hour) for n, hour in telling.events], now=NOON)
        return
    read_at = _hour(campaign, telling.read_after) + timedelta(minutes=30)
    evidence.keep([_row(campaign, life, n, read_at) for n, life in enumerate(lives)], now=read_at)
    CampaignSchedule.objects.filter(pk=campaign.pk, recipients_fetched_at=None).update(
        recipients_fetched_at=read_at
    )
    CampaignSchedule.objects.filter(pk=campaign.pk, recipients_fetched_at__lt=read_at).update(
        recipients_fetched_at=read_at
    )


def _hour(campaign: CampaignSchedule, hour: int) -> datetime:
    assert campaign.started_at is not None
    return campaign.started_at + timedelta(hours=hour)


def _event(campaign: CampaignSchedule, lives: Sequence[Sequence[Fact]], n: int, hour: int) -> Observed:
    (outcome, state, permanent), at = lives[n][hour], _hour(campaign, hour)
    text = f"said at {hour}" if outcome is Outcome.BOUNCED else ""
    seen = Observation(outcome, as_of=at, at=at, state=state, permanent=permanent, text=text)
    return Observed(2**60 + n, campaign.pk, 100 + n, f"c{n}@example.com", seen)


def _row(campaign: CampaignSchedule, life: Sequence[Fact], n: int, read_at: datetime) -> Observed:
    hours = int((read_at - _hour(campaign, 0)) / timedelta(hours=1))
    outcome, state, permanent = life[min(hours, len(life) - 1)]
    return Observed(
        2**60 + n,
        campaign.pk,
        100 + n,
        f"c{n}@example.com",
        Observation(outcome, as_of=read_at, state=state, permanent=permanent),
        sent_at=_hour(campaign, 0) - timedelta(minutes=1),
        repeats=True,
    )


def kept() -> list[dict[str, Any]]:
    """All that pages and judgement see of it."""
    rows = CampaignRecipient.objects.order_by("message_id").values(
        "message_id",
        "contact_id",
        "outcome",
        "bounce_class",
        "sent_at",
        "outcome_at",
        "delivered_at",
        "bounce__state",
        "bounce__permanent",
        "bounce__attempted",
        "bounce__at",
        "bounce__server_text",
        "bounce__earlier",
        "contact__email",
        "contact__complained_by",
    )
    return list(rows)


@pytest.fixture
def campaign(db: None) -> CampaignSchedule:
    return factories.a_campaign(list=factories.the_rotation().campaign[0])


@ROLLED_BACK
@given(told=tellings())
def test_any_order_and_repetition_keeps_what_once_in_order_keeps(
    campaign: CampaignSchedule, told: tuple[list[Sequence[Fact]], list[Telling], list[Telling]]
) -> None:
    lives, once, anyhow = told
    found = []
    for order in (once, anyhow):
        with transaction.atomic():
            for telling in order:
                tell(campaign, lives, telling)
            found.append(kept())
            transaction.set_rollback(True)

    assert found[1] == found[0]
    assert len(found[0]) == len(lives)


@ROLLED_BACK
@given(life=st.sampled_from(LIVES))
def test_pages_alone_and_events_alone_end_in_the_same_evidence(
    campaign: CampaignSchedule, life: Sequence[Fact]
) -> None:
    events = [Telling(events=((0, hour),)) for hour in range(len(life))]
    pages = [Telling(read_after=hour) for hour in range(len(life))]
    found = []
    for source in (events, pages):
        with transaction.atomic():
            for telling in source:
                tell(campaign, [life], telling)
            found.append([_verdict(row) for row in kept()])
            transaction.set_rollback(True)

    assert found[0] == found[1]


def _verdict(row: dict[str, Any]) -> dict[str, Any]:
    """Without what only events say: when, and the server's own words."""
    only_events = {"sent_at", "outcome_at", "delivered_at", "bounce__at", "bounce__server_text"}
    replaced = [(each["state"], each["permanent"]) for each in row["bounce__earlier"] or ()]
    return {**{key: row[key] for key in row.keys() - only_events}, "bounce__earlier": replaced}


def test_evidence_from_before_it_kept_what_was_told_goes_on_as_it_stood(campaign: CampaignSchedule) -> None:
    recipient = factories.a_recipient(campaign=campaign, outcome=Outcome.BOUNCED, message_id=2**60)
    before = factories.a_bounce(
        recipient=recipient,
        server_text="550 5.1.1 no such user",
        earlier=[{"state": 3, "permanent": False, "until": NOON.isoformat()}],
    )
    lesser, graver = (
        Observed(
            2**60,
            campaign.pk,
            recipient.contact_id,
            "",
            Observation(outcome, as_of=NOON + timedelta(hours=1), state=state),
        )
        for outcome, state in ((Outcome.BOUNCED, 10), (Outcome.COMPLAINED, 21))
    )

    evidence.keep([lesser], now=NOON)
    after = Bounce.objects.get()
    same = ("state", "permanent", "attempted", "at", "server_text", "earlier")
    assert [getattr(after, name) for name in same] == [getattr(before, name) for name in same]
    assert CampaignRecipient.objects.get().bounce_class == recipient.bounce_class

    evidence.keep([graver], now=NOON)
    assert CampaignRecipient.objects.get().outcome == Outcome.COMPLAINED
    assert [each["state"] for each in Bounce.objects.get().earlier] == [3, 1]


def test_a_batch_costs_the_same_few_statements_whatever_it_holds(campaign: CampaignSchedule) -> None:
    def statements(first: int, last: int) -> int:
        lives = {n: LIVES[n % len(LIVES)] for n in range(first, last)}
        batch = [
            _event(campaign, [*[()] * first, *lives.values()], n, hour)
            for n, life in lives.items()
            for hour in range(len(life))
        ]
        with CaptureQueriesContext(connection) as asked:
            evidence.keep(batch, now=NOON)
        return len(asked)

    assert statements(0, 14) == statements(14, 414) <= 20
    assert CampaignRecipient.objects.count() == Contact.objects.count() == 414
