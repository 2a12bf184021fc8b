"""A campaign is read again daily after its end, and a last time five days after it."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.mailjet import MailjetRejected, MailjetUnavailable
from integrations.sandbox.outcomes import Mailbox
from listmanagement.domain.bounces import BounceClass, Outcome
from listmanagement.domain.cycle import RoundStatus
from listmanagement.domain.standing import is_final, read_again_at
from listmanagement.models import CampaignRecipient, CampaignSchedule, Recurring, RecurringJob, Trigger
from listmanagement.workflows import evidence, timetable
from listmanagement.workflows.maintenance import post_campaign
from tests import factories
from tests.factories import NOON
from tests.workflows import mailing
from tests.workflows.scene import Scene
from tests.workflows.sends import a_last_round, a_rotation

DAY = timedelta(days=1)


@given(hours=st.lists(st.integers(0, 24 * 8), max_size=12))
def test_who_asks_at_any_time_reads_daily_and_for_the_last_time_at_five_days(hours: list[int]) -> None:
    read_at, readings = None, []
    for now in (NOON + timedelta(hours=hour) for hour in sorted(hours)):
        due = read_again_at(ended_at=NOON, read_at=read_at) <= now
        if due and not is_final(ended_at=NOON, read_at=read_at):
            read_at = now
            readings.append(now - NOON)

    assert all(later - earlier >= DAY or later >= 5 * DAY for earlier, later in pairwise(readings))
    assert sum(reading >= 5 * DAY for reading in readings) <= 1
    assert bool(readings) == any(hour >= 24 for hour in hours)


def test_outcomes_that_come_within_five_days_are_found_and_then_final(scene: Scene) -> None:
    natures = (Mailbox.FULL, Mailbox.GREYLISTING, Mailbox.COMPLAINING, Mailbox.FADING, Mailbox.GOOD)
    mailing.readers(scene, *natures)
    campaign = mailing.a_send(scene)
    mailjet = scene.outside.mailjet
    said, ends = [], []
    for _ in range(7):
        scene.clock.passes(DAY + timedelta(minutes=1))
        said.append(evidence.fetch_late(mailjet=mailjet, now=scene.clock()))
        ends.append(dict(CampaignRecipient.objects.values_list("contact_id", "outcome")))

    assert said == [
        *["1 campaigns read, 0 settled"] * 4,
        "1 campaigns read, 1 settled",
        *["0 campaigns read, 0 settled"] * 2,
    ]
    full, *others = list(ends[0].values())
    assert full == Outcome.OPEN, "Mailjet still tries"
    assert others == [Outcome.DELIVERED, Outcome.COMPLAINED, Outcome.BOUNCED, Outcome.DELIVERED]
    row = CampaignRecipient.objects.earliest("contact_id")
    assert (row.outcome, row.bounce_class) == (Outcome.BOUNCED, BounceClass.MAILBOX_FULL)
    campaign.refresh_from_db()
    assert campaign.settled_at == campaign.recipients_fetched_at


@pytest.mark.parametrize("status", [RoundStatus.SCHEDULED, RoundStatus.SENDING, RoundStatus.CANCELLED])
def test_what_is_not_sent_is_not_read(scene: Scene, status: RoundStatus) -> None:
    factories.a_campaign(status=status)

    assert evidence.fetch_late(mailjet=scene.outside.mailjet, now=NOON + 9 * DAY) == (
        "0 campaigns read, 0 settled"
    )


def test_what_was_read_after_five_days_by_a_run_is_settled_without_another_reading(scene: Scene) -> None:
    factories.a_campaign(recipients_fetched_at=NOON + 5 * DAY)
    asked = scene.outside.mailjet.requests

    said = evidence.fetch_late(mailjet=scene.outside.mailjet, now=NOON + 6 * DAY)

    assert (said, scene.outside.mailjet.requests) == ("0 campaigns read, 1 settled", asked)


def test_a_campaign_that_mailjet_refuses_keeps_no_other_from_being_read(scene: Scene) -> None:
    refused, other = factories.a_campaign(), factories.a_campaign()
    scene.publish()
    scene.control.fault(path="message$", query=f"Campaign={refused.mailjet_campaign_id}(&|$)", status=400)

    with pytest.raises(MailjetRejected):
        evidence.fetch_late(mailjet=scene.outside.mailjet, now=NOON)

    read = CampaignSchedule.objects.filter(recipients_fetched_at=NOON)
    assert list(read) == [other]


def test_while_mailjet_is_away_nothing_is_settled(scene: Scene) -> None:
    factories.a_campaign()
    scene.control.fault(path="message$", status=503)

    with pytest.raises(MailjetUnavailable):
        evidence.fetch_late(mailjet=scene.outside.mailjet, now=NOON + 9 * DAY)

    assert not CampaignSchedule.objects.exclude(settled_at=None).exists()


def test_the_timetable_has_it_done(scene: Scene) -> None:
    factories.a_campaign()
    scene.publish()

    assert Recurring.LATE_OUTCOMES in timetable.due(now=NOON)
    assert timetable.do(Recurring.LATE_OUTCOMES, outside=scene.outside, clock=scene.clock)

    assert RecurringJob.objects.get(job=Recurring.LATE_OUTCOMES).outcome == "1 campaigns read, 0 settled"


# --- Runs that need what was sent before -------------------------------------------------------------


@pytest.mark.parametrize(
    ("read", "outcome", "reads_again"),
    [
        (None, Outcome.DELIVERED, True),
        (timedelta(hours=-31), Outcome.DELIVERED, True),
        (timedelta(hours=-2), Outcome.OPEN, False),
        (timedelta(hours=-25), Outcome.DELIVERED, False),
        (timedelta(hours=-25), Outcome.OPEN, True),
    ],
)
def test_a_campaign_is_unseen_until_it_was_read_after_its_end_and_while_messages_are_open(
    scene: Scene, read: timedelta | None, outcome: Outcome, reads_again: bool
) -> None:
    campaign = factories.a_campaign(recipients_fetched_at=None if read is None else NOON + read)
    factories.a_recipient(campaign=campaign, outcome=outcome)
    scene.publish()

    evidence.fetch_unseen(since=NOON - 9 * DAY, mailjet=scene.outside.mailjet, now=NOON)

    campaign.refresh_from_db()
    assert (campaign.recipients_fetched_at == NOON) == reads_again


@pytest.mark.django_db
def test_a_run_reads_what_nobody_has_read_yet_of_the_weeks_before(scene: Scene) -> None:
    """A delivery there says that a domain can be reached: else a run judged without it."""
    a_rotation(scene, sizes=[5, 6, 9], backlog=0)
    campaign = a_last_round(scene, failed={})
    earlier = CampaignSchedule.objects.filter(cycle=campaign.cycle).exclude(pk=campaign.pk)
    earlier.update(recipients_fetched_at=None)
    configuration, now = scene.outside.configuration, scene.clock()

    scene.go_on(
        post_campaign.start(
            campaign.pk, trigger=Trigger.SCHEDULE, by=None, configuration=configuration, now=now
        )
    )

    assert not CampaignSchedule.objects.filter(cycle=campaign.cycle, recipients_fetched_at=None).exists()
