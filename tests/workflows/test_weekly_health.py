"""The weekly health check counts, judges and tells, once a week, and changes nothing at Mailjet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from pydantic import BaseModel

from agents import by_rules
from agents.asking import NoAnswer, Prompt
from listmanagement.domain.bounces import Outcome
from listmanagement.models import (
    AgentCall,
    Change,
    ContactList,
    ListHealth,
    ListHealthCheck,
    ListMaintenanceLog,
    Notification,
    NotificationKind,
    Recurring,
    RecurringJob,
    RunKind,
    RunStatus,
    Trigger,
)
from listmanagement.workflows import runs, timetable
from listmanagement.workflows.weekly import week, weekly_health
from tests import factories
from tests.factories import NOON
from tests.workflows.scene import Scene

DAY = timedelta(days=1)


def a_send(
    contact_list: ContactList, *, delivered: int, gone: int, at: datetime = NOON - 3 * DAY, refused: int = 0
) -> None:
    """A campaign whose messages are fetched: new members, so many delivered to, bounced hard, not tried."""
    campaign = factories.a_campaign(
        list=contact_list, started_at=at, ended_at=at + timedelta(hours=1), recipients_fetched_at=at + DAY
    )
    ends = [Outcome.DELIVERED] * delivered + [Outcome.BOUNCED] * gone + [Outcome.NOT_ATTEMPTED] * refused
    for contact, outcome in zip(factories.members(len(ends), list=contact_list), ends, strict=True):
        recipient = factories.a_recipient(campaign=campaign, contact=contact, outcome=outcome)
        if outcome is Outcome.BOUNCED:
            factories.a_bounce(recipient=recipient)


def a_check(scene: Scene, *, trigger: Trigger = Trigger.PERSON) -> ListMaintenanceLog:
    run = weekly_health.start(
        trigger=trigger, by=None, configuration=scene.outside.configuration, now=scene.clock()
    )
    return scene.go_on(run)


@pytest.fixture
def told(scene: Scene) -> Scene:
    """List 1 is dying, list 2 is well, nobody is on list 3."""
    one, two, _ = scene.lists.campaign
    a_send(one, delivered=8, gone=12, refused=2)
    a_send(two, delivered=30, gone=0)
    scene.publish()
    return scene


def test_each_list_gets_a_row_with_its_grade_and_its_figures(told: Scene) -> None:
    run = a_check(told)

    assert (run.status, run.kind) == (RunStatus.SUCCEEDED, RunKind.WEEKLY_HEALTH)
    one, two, three = ListHealth.objects.filter(check_of__run=run).order_by("list__position")
    assert [each.grade for each in (one, two, three)] == ["critical", "good", "good"]
    assert one.cause == "decay"
    recent = (one.recent_delivered, one.recent_bounced, one.recent_hard, one.recent_not_attempted)
    assert recent == (8, 12, 12, 2)
    assert (one.size, one.members, one.joined, one.left) == (22, 22, 0, 0)
    assert (three.size, three.members, three.recent_delivered) == (0, 0, 0)
    assert set(AgentCall.objects.filter(run=run).values_list("agent", flat=True)) == {
        "list_health",
        "rebalancing",
        "reporting",
    }


def test_people_get_one_report_with_names_and_rates_and_at_once_what_is_critical(told: Scene) -> None:
    run = a_check(told)

    report = Notification.objects.get(kind=NotificationKind.WEEKLY_REPORT)
    alert = Notification.objects.get(kind=NotificationKind.ALERT)
    assert "List 1" in report.text
    assert "list-1" not in run.report
    assert "- List 1: delivered 36.36 %, bounced 60 %, hard 60 %, blocked 9.09 %" in run.report
    assert "- List 3: nothing was sent" in run.report
    assert "Let maintenance suppress the dead addresses of List 1" in run.report
    assert "List 1" in alert.text
    assert f"/listhealthcheck/{ListHealthCheck.objects.get().pk}/" in str(report.blocks)


def test_nothing_is_asked_to_be_changed_at_mailjet_while_paused_or_off(told: Scene) -> None:
    factories.the_rollout(paused_at=NOON)
    off = replace(told.outside, configuration=replace(told.outside.configuration, enabled=False))
    told.outside = off

    run = a_check(told)

    assert run.status == RunStatus.SUCCEEDED
    assert told.standin.writes() == []
    assert not run.batches.exists()


def test_the_next_week_is_compared_with_this_one(told: Scene) -> None:
    one = told.lists.campaign[0]
    a_check(told)
    told.clock.passes(7 * DAY)
    factories.members(3, list=one)
    told.publish()

    run = a_check(told)

    [asked] = AgentCall.objects.filter(run=run, agent="reporting").values_list("asked", flat=True)
    first = asked["lists"][0]
    assert (first["size"], first["size_before"]) == (25, 22)
    assert (first["grade"], first["grade_before"]) == ("critical", "critical")
    assert "3 more and 0 fewer than a week ago" in run.report


def test_who_joined_left_opted_out_and_complained_is_counted_at_its_list(scene: Scene) -> None:
    one, two, _ = scene.lists.campaign
    lately = {"since": NOON - DAY, "began_by": Change.PERSON}
    factories.a_membership(list=one, **lately)
    factories.a_membership(list=one, **{**lately, "began_by": Change.FIRST_SIGHT})
    factories.a_membership(list=one, until=NOON - DAY)
    factories.a_membership(list=one, until=NOON - 8 * DAY)
    campaign = factories.a_campaign(list=two, started_at=NOON - 3 * DAY, ended_at=NOON - 3 * DAY)
    gone = factories.a_contact(opted_out_at=NOON - DAY, opted_out_by="an event")
    never_mailed = factories.a_contact(opted_out_at=NOON - DAY, opted_out_by="a list")
    factories.a_membership(list=one, contact=never_mailed, unsubscribed=True)
    factories.a_recipient(campaign=campaign, contact=gone)
    factories.a_recipient(campaign=campaign, outcome=Outcome.COMPLAINED)
    old = factories.a_campaign(list=two, started_at=NOON - 40 * DAY, ended_at=NOON - 40 * DAY)
    factories.a_recipient(campaign=old)

    counts = week.of_lists(at=NOON)

    first, second = counts[one.pk], counts[two.pk]
    assert (first.members, first.joined, first.left) == (3, 1, 1)
    assert first.recent == week.NOTHING
    assert (second.recent.delivered, second.recent.complained, second.recent.opted_out) == (1, 1, 1)


@pytest.mark.django_db(transaction=True)
def test_without_gemini_rules_judge_and_the_report_says_so(told: Scene) -> None:
    def away(prompt: Prompt, *, answer: type) -> None:
        raise NoAnswer("the model is away")

    told.outside = replace(told.outside, ask=away)

    run = a_check(told)

    assert run.status == RunStatus.SUCCEEDED
    assert "The check went on without Gemini." in run.report
    assert "A model judged" not in run.report


@pytest.mark.django_db(transaction=True)
def test_where_a_model_judged_the_report_says_what(told: Scene) -> None:
    def as_rules_would(prompt: Prompt, *, answer: type[BaseModel]) -> BaseModel:
        if prompt.agent == "reporting":
            raise NoAnswer("the model is away")
        prompt.receipt.model = "gemini-3.5-flash-lite"
        return answer.model_validate(by_rules.answer(prompt.facts).model_dump(mode="json"))

    told.outside = replace(told.outside, ask=as_rules_would)

    run = a_check(told)

    source = dict(AgentCall.objects.filter(run=run).values_list("agent", "source"))
    assert source["list_health"] == "model"
    assert "A model judged list health" in run.report


def test_while_mailjet_is_away_the_check_waits_and_then_goes_on(told: Scene) -> None:
    told.control.fault(path="contactslist", status=503, times=6)
    run = weekly_health.start(
        trigger=Trigger.PERSON, by=None, configuration=told.outside.configuration, now=told.clock()
    )

    run = runs.advance(run.pk, outside=told.outside, clock=told.clock)

    assert run.status == RunStatus.WAITING
    told.control.clear_faults()
    assert told.go_on(run).status == RunStatus.SUCCEEDED


# --- When it starts ----------------------------------------------------------------------------------

MONDAY = datetime.fromisoformat("2026-03-16T10:00:00+00:00")


def ask_at(scene: Scene, times: Sequence[datetime]) -> list[datetime]:
    """When, of these times, the timetable did the weekly check."""

    def done(at: datetime) -> bool:
        return timetable.do(Recurring.WEEKLY_HEALTH, outside=scene.outside, clock=lambda: at)

    return [at for at in times if done(at)]


def test_the_check_starts_on_monday_at_ten_and_once_a_week(scene: Scene) -> None:
    done = MONDAY - timedelta(days=6)
    RecurringJob.objects.create(
        job=Recurring.WEEKLY_HEALTH, tried_at=done, done_at=done, outcome="run 1", busy_until=None
    )
    minutes = [MONDAY + timedelta(minutes=n) for n in (-60, -1, 0, 1, 10, 3 * 24 * 60)]

    assert ask_at(scene, minutes) == [MONDAY]
    assert ListMaintenanceLog.objects.get().trigger == Trigger.SCHEDULE


def test_who_was_away_at_ten_catches_up_and_keeps_to_the_next_monday(scene: Scene) -> None:
    done = MONDAY - timedelta(days=6)
    RecurringJob.objects.create(job=Recurring.WEEKLY_HEALTH, tried_at=done, done_at=done, outcome="run 1")
    late, next_monday = MONDAY + timedelta(days=1, hours=5), MONDAY + timedelta(days=7)

    assert ask_at(scene, [late, late + DAY, next_monday]) == [late, next_monday]


def test_two_who_ask_in_one_week_start_one_run(scene: Scene) -> None:
    configuration = scene.outside.configuration
    for at in (MONDAY, MONDAY + DAY):
        run = weekly_health.start(trigger=Trigger.SCHEDULE, by=None, configuration=configuration, now=at)
        ListMaintenanceLog.objects.filter(pk=run.pk).update(status=RunStatus.SUCCEEDED, finished_at=at)

    assert ListMaintenanceLog.objects.count() == 1


@pytest.mark.django_db
def test_opt_outs_to_messages_of_long_ago_are_no_part_of_the_last_weeks_rate(scene: Scene) -> None:
    one = scene.lists.campaign[0]
    now = scene.clock()
    old = factories.a_campaign(
        list=one, started_at=now - timedelta(days=40), ended_at=now - timedelta(days=40)
    )
    new = factories.a_campaign(list=one, started_at=now - timedelta(days=3), ended_at=now - timedelta(days=3))
    for _ in range(3):
        gone = factories.a_contact(opted_out_at=now - timedelta(days=5), opted_out_by="list 1")
        factories.a_recipient(campaign=old, contact=gone)
    factories.a_recipient(campaign=new)
    found = week.of_lists(at=now)[one.pk].recent
    assert weekly_health.rates(found)["opted out"] <= 1.0
