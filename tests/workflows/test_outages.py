"""That Mailjet is away is told once, and that it is back where it was away for long."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection, transaction

from listmanagement.models import ContactList, MailjetOutage, Notification, NotificationKind
from listmanagement.outside import GuardedBudget
from listmanagement.workflows import outages, runs
from tests import factories
from tests.factories import NOON
from tests.workflows import scene as scenes
from tests.workflows.scene import Scene

pytestmark = pytest.mark.django_db(transaction=True)

LATER = NOON + timedelta(hours=1)


def a_budget() -> GuardedBudget:
    return GuardedBudget(per_minute=300, sleep=scenes.no_wait)


def mailjet_goes_away() -> None:
    for _ in range(5):
        a_budget().note_failure("GET contact/7: 503")


def minutes_pass(minutes: float) -> None:
    """The outage began so much earlier."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "update listmanagement_mailjetoutage set began_at = began_at - make_interval(secs => %s)",
            [60 * minutes],
        )


def told() -> list[str]:
    """The headers of what was told."""
    return [each.blocks[0]["text"]["text"] for each in Notification.objects.order_by("pk")]


def test_an_outage_begins_and_ends_with_the_breaker() -> None:
    mailjet_goes_away()
    a_budget().note_failure("GET contact/8: 503")

    outage = MailjetOutage.objects.get()
    assert (outage.why, outage.ended_at) == ("GET contact/7: 503", None)

    a_budget().note_success()
    a_budget().note_success()

    outage.refresh_from_db()
    assert outage.ended_at is not None
    assert outage.ended_at >= outage.began_at


def test_four_failures_are_no_outage() -> None:
    for _ in range(4):
        a_budget().note_failure("GET contact/7: 503")
    a_budget().note_success()

    assert not MailjetOutage.objects.exists()


def test_a_probe_that_fails_prolongs_the_same_outage() -> None:
    mailjet_goes_away()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("update listmanagement_mailjetbreaker set until = now() - interval '1 second'")
    a_budget().acquire(background=False)
    a_budget().note_failure("GET contact/7: 503")

    assert MailjetOutage.objects.get().ended_at is None


def test_too_many_requests_end_an_outage_as_any_answer_does() -> None:
    mailjet_goes_away()

    a_budget().note_rate_limited(asked=None)

    assert MailjetOutage.objects.get().ended_at is not None


def test_that_mailjet_is_away_is_told_once(scene: Scene) -> None:
    ContactList.objects.update(read_at=NOON - timedelta(minutes=20))
    mailjet_goes_away()

    for _ in range(3):
        runs.sweep(outside=scene.outside, clock=scene.clock)

    [alert] = Notification.objects.all()
    assert (alert.kind, alert.run) == (NotificationKind.ALERT, None)
    assert "GET contact/7: 503" in alert.text
    assert "as of 02 March 11:40 UTC" in alert.text


def test_two_sweeps_at_once_tell_it_once() -> None:
    mailjet_goes_away()

    scenes.together(4, lambda: outages.tell(now=LATER))

    assert told() == ["Mailjet does not answer"]


def test_its_end_is_told_where_it_lasted_more_than_a_minute() -> None:
    mailjet_goes_away()
    outages.tell(now=LATER)
    minutes_pass(26)
    a_budget().note_success()

    outages.tell(now=LATER)
    outages.tell(now=LATER)

    assert told() == ["Mailjet does not answer", "Mailjet answers again"]
    assert "after about 26 minutes" in Notification.objects.latest("pk").text


def test_the_end_of_a_short_one_is_not_worth_a_word() -> None:
    mailjet_goes_away()
    outages.tell(now=LATER)
    a_budget().note_success()

    outages.tell(now=LATER)

    assert told() == ["Mailjet does not answer"]
    assert MailjetOutage.objects.get().closed_at == LATER


def test_an_outage_that_no_sweep_saw_is_told_whole() -> None:
    mailjet_goes_away()
    minutes_pass(5)
    a_budget().note_success()

    outages.tell(now=LATER)

    assert told() == ["Mailjet does not answer", "Mailjet answers again"]


def test_each_outage_is_told() -> None:
    for _ in range(2):
        mailjet_goes_away()
        outages.tell(now=LATER)
        a_budget().note_success()

    assert told() == ["Mailjet does not answer"] * 2


def test_an_outage_that_a_former_release_left_open_ends_when_the_next_begins() -> None:
    left = factories.an_outage(ended_at=None, closed_at=None)

    mailjet_goes_away()

    left.refresh_from_db()
    assert left.ended_at is not None
    assert MailjetOutage.objects.filter(ended_at=None).count() == 1


def test_the_mirror_is_as_old_as_its_oldest_list() -> None:
    lists = factories.the_rotation()
    ContactList.objects.update(read_at=NOON)
    ContactList.objects.filter(pk=lists.master.pk).update(read_at=NOON - timedelta(hours=3))
    assert outages.as_of() == "02 March 09:00 UTC"

    ContactList.objects.filter(pk=lists.suppression.pk).update(read_at=None)
    assert outages.as_of() == "a time before they were first read"
