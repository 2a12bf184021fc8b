"""What recurs is done when it is due, by one of those who ask, and again soon after it failed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from django.db import connections

from integrations.mailjet import MailjetUnavailable
from listmanagement.models import ContactListMembership, Recurring, RecurringJob
from listmanagement.outside import Outside
from listmanagement.workflows import timetable
from listmanagement.workflows.timetable import Entry
from tests import factories
from tests.factories import NOON
from tests.workflows.scene import Scene

JOB = Recurring.REFRESH_CACHE
HALF_AN_HOUR = timedelta(minutes=30)


class Doing:
    """A job that notes its calls and does what the test says."""

    def __init__(self) -> None:
        self.at: list[datetime] = []
        self.fails_with: Exception | None = None

    def __call__(self, outside: Outside, now: datetime) -> str:
        self.at.append(now)
        if self.fails_with is not None:
            raise self.fails_with
        return "done"


@pytest.fixture
def doing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Doing]:
    """The timetable holds one job, every half an hour: ours."""
    job = Doing()
    monkeypatch.setattr(timetable, "JOBS", {JOB: Entry(HALF_AN_HOUR, job)})
    return job


def do(outside: Outside, *, at: datetime) -> bool:
    return timetable.do(JOB, outside=outside, clock=lambda: at)


@pytest.mark.django_db
def test_what_never_ran_is_due_and_then_not_for_its_time(doing: Doing, outside: Outside) -> None:
    assert timetable.due(now=NOON) == [JOB]

    assert do(outside, at=NOON)

    assert timetable.due(now=NOON + timedelta(minutes=29)) == []
    assert not do(outside, at=NOON + timedelta(minutes=29))
    assert timetable.due(now=NOON + HALF_AN_HOUR) == [JOB]
    assert do(outside, at=NOON + HALF_AN_HOUR)
    assert doing.at == [NOON, NOON + HALF_AN_HOUR]


@pytest.mark.django_db
def test_what_failed_is_tried_again_after_five_minutes_and_says_why(doing: Doing, outside: Outside) -> None:
    doing.fails_with = MailjetUnavailable("GET contact: 502")
    assert not do(outside, at=NOON)
    assert RecurringJob.objects.get().error == "GET contact: 502"
    assert timetable.due(now=NOON + timedelta(minutes=4)) == []

    doing.fails_with = None
    assert do(outside, at=NOON + timedelta(minutes=5))

    row = RecurringJob.objects.get()
    assert (row.error, row.outcome, row.busy_until) == ("", "done", None)


@pytest.mark.django_db
def test_an_unexpected_error_is_seen_and_keeps_nobody_from_trying_again(
    doing: Doing, outside: Outside
) -> None:
    doing.fails_with = ZeroDivisionError("secret@example.com")

    with pytest.raises(ZeroDivisionError):
        do(outside, at=NOON)

    assert RecurringJob.objects.get().error == "an unexpected error: ZeroDivisionError"
    assert timetable.due(now=NOON + timedelta(minutes=5)) == [JOB]


@pytest.mark.django_db
def test_what_somebody_died_over_is_taken_up_after_an_hour(doing: Doing, outside: Outside) -> None:
    RecurringJob.objects.create(job=JOB, tried_at=NOON, busy_until=NOON + timedelta(hours=1))

    assert not do(outside, at=NOON + timedelta(minutes=59))
    assert do(outside, at=NOON + timedelta(hours=1))


@pytest.mark.django_db(transaction=True)
def test_of_many_who_ask_at_once_one_does_it(doing: Doing, outside: Outside) -> None:
    def ask(n: int) -> bool:
        try:
            return do(outside, at=NOON)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(ask, range(8))) == [False] * 7 + [True]

    assert doing.at == [NOON]


@pytest.mark.django_db
def test_the_mirror_is_refreshed_also_while_list_management_is_off(scene: Scene) -> None:
    contact = factories.a_membership(list=scene.lists.campaign[0]).contact
    scene.publish()
    ContactListMembership.objects.all().delete()
    off = replace(scene.outside, configuration=replace(scene.outside.configuration, enabled=False))

    assert timetable.do(JOB, outside=off, clock=scene.clock)

    assert ContactListMembership.objects.get().contact_id == contact.pk
