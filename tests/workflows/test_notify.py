"""The outbox: one message a key, in the run's thread, never lost, never twice, without anybody's address."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.urls import resolve

from integrations.slack import Slack, SlackBot, SlackHook
from listmanagement.models import (
    Contact,
    Decision,
    DecisionStatus,
    ItemAction,
    ListMaintenanceLog,
    Notification,
    NotificationKind,
    NotificationStatus,
    RunKind,
    RunStatus,
    Trigger,
)
from listmanagement.outside import Outside
from listmanagement.workflows import notify, runs
from listmanagement.workflows.by_people import review
from listmanagement.workflows.demo.world import World
from listmanagement.workflows.maintenance import judgement, post_campaign
from tests import factories
from tests.factories import NOON
from tests.workflows.scene import Clock, Scene, StandIn, together
from tests.workflows.sends import UNKNOWN_USER, a_last_round, a_rotation, has_observed, people

SITE = "https://lists.example"
CHANNEL = "C0SANDBOX"


@pytest.fixture
def slack(standin: StandIn) -> SlackBot:
    return SlackBot(
        token=standin.serving.slack_token, channel=CHANNEL, base_url=f"{standin.url}/slack/api/", timeout=2
    )


def an_open_decision(**columns: Any) -> Decision:
    decision = factories.a_decision(reasons=["Everything is reviewed."], **columns)
    factories.a_group(decision=decision, title="104 contacts: gone", contacts=104)
    return decision


def asked(decision: Decision) -> Notification:
    notify.decision_needed(decision, site_url=SITE, now=NOON)
    return Notification.objects.get(decision=decision)


def deliver(slack: Slack | None, *, minutes: float = 0) -> int:
    return notify.deliver_due(slack=slack, now=NOON + timedelta(minutes=minutes))


def words_of(message: dict[str, Any]) -> str:
    return json.dumps([message["text"], message["blocks"]], ensure_ascii=False)


# --- What is told ------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_decision_is_asked_for_once_with_its_numbers_and_a_link_to_its_page() -> None:
    decision = an_open_decision(title="Suppress 104 of List 1 after campaign 123")
    for _ in range(2):
        notify.decision_needed(decision, site_url=SITE, now=NOON)

    told = Notification.objects.get()

    assert (told.kind, told.status, told.next_at) == (
        NotificationKind.DECISION_NEEDED,
        NotificationStatus.PENDING,
        NOON,
    )
    words = json.dumps(told.blocks)
    assert told.text == "A decision is needed: Suppress 104 of List 1 after campaign 123."
    for word in ("104 contacts: gone", "0.80, judged by rules", "Everything is reviewed.", "UTC"):
        assert word in words
    url = f"{SITE}{decision.get_absolute_url()}"
    assert f"<{url}|Open the decision>" in words
    match = resolve(urlsplit(url).path)
    assert (match.url_name, match.kwargs) == (
        "listmanagement_decision_change",
        {"object_id": str(decision.pk)},
    )


@pytest.mark.django_db
def test_a_report_is_told_once_and_links_to_its_run() -> None:
    run = factories.a_run(report="104 suppressed\n\nOf 1,000 messages, 731 arrived.")
    for _ in range(2):
        notify.run_done(run, site_url=SITE, now=NOON)

    told = Notification.objects.get()
    assert told.text == "104 suppressed"
    assert "731 arrived" in json.dumps(told.blocks)
    assert f"<{SITE}{run.get_absolute_url()}|Open the run>" in json.dumps(told.blocks)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "about"),
    [
        (RunKind.POST_CAMPAIGN, "Maintenance after campaign"),
        (RunKind.LATE_EVIDENCE, "Maintenance after campaign"),
        (RunKind.PRE_CAMPAIGN, "Maintenance before campaign"),
    ],
)
def test_a_message_says_whether_a_run_came_before_its_campaign_or_after_it(kind: RunKind, about: str) -> None:
    run = factories.a_run(kind=kind, campaign=factories.a_campaign())

    notify.run_failed(run, why="Mailjet refused", left=["Not moved: 2 contacts."], site_url=SITE, now=NOON)

    assert Notification.objects.get().text == f"{about} {run.campaign_id} stopped: Mailjet refused"


@pytest.mark.django_db
def test_a_second_failure_of_a_run_that_went_on_is_told_too() -> None:
    run = factories.a_run()

    unknown = "MAILJET_MASTER_LIST_ID is 1, which Mailjet does not know"
    notify.run_failed(run, why=unknown, left=(), site_url=SITE, now=NOON)
    notify.run_failed(run, why="still unknown", left=(), site_url=SITE, now=NOON + timedelta(hours=1))

    assert [told.text.partition(": ")[2] for told in Notification.objects.order_by("pk")] == [
        "MAILJET_MASTER_LIST_ID is 1, which Mailjet does not know",
        "still unknown",
    ]


@pytest.mark.django_db
def test_a_companys_name_does_not_leave_the_house() -> None:
    decision = factories.a_decision()
    factories.a_group(
        decision=decision,
        action=ItemAction.HOLD,
        region="hold",
        title="120 contacts at firm.test look like an outage",
        domain="firm.test",
        contacts=120,
    )

    words = json.dumps(asked(decision).blocks)

    assert "120 contacts at one domain look like an outage" in words
    assert "firm.test" not in words


def test_no_message_of_the_demos_run_holds_an_address_a_name_or_a_domain(
    demo: World, outside: Outside, clock: Clock
) -> None:
    run = post_campaign.start(
        123, trigger=Trigger.SCHEDULE, by=None, configuration=outside.configuration, now=clock()
    )
    runs.advance(run.pk, outside=outside, clock=clock)

    told = Notification.objects.get()

    words = f"{told.text} {json.dumps(told.blocks, ensure_ascii=False)}".lower()
    domains = set(Contact.objects.exclude(domain=None).values_list("domain", flat=True))
    assert "look like an outage" in words
    assert {domain for domain in domains | judgement.WELL_KNOWN if domain in words} == set()
    assert "@" not in words
    assert {person.email for person in demo.people if person.email.lower() in words} == set()


# --- Sending -----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_what_is_due_is_sent_once(slack: SlackBot, standin: StandIn) -> None:
    told = asked(an_open_decision())

    assert (deliver(slack), deliver(slack, minutes=10)) == (1, 0)

    [posted] = standin.control.slack_messages()
    told.refresh_from_db()
    assert (told.status, told.sent_at, told.attempts, told.error) == (NotificationStatus.SENT, NOON, 1, "")
    assert (told.channel, told.ts) == (posted["channel"], posted["ts"])
    assert posted["text"] == told.text


@pytest.mark.django_db
def test_a_runs_messages_stand_in_one_thread_and_other_runs_in_theirs(
    slack: SlackBot, standin: StandIn
) -> None:
    first, other = factories.a_run(report="done"), factories.a_run(report="done")
    asked(an_open_decision(run=first))
    notify.run_done(first, site_url=SITE, now=NOON)
    notify.run_done(other, site_url=SITE, now=NOON)

    assert deliver(slack) == 3

    parent, answer, elsewhere = standin.control.slack_messages()
    assert (parent["thread_ts"], answer["thread_ts"], elsewhere["thread_ts"]) == (None, parent["ts"], None)
    first.refresh_from_db()
    assert (first.slack_thread, first.slack_channel) == (parent["ts"], parent["channel"])


@pytest.mark.django_db
def test_a_webhook_knows_no_thread_and_sends_all_the_same(standin: StandIn) -> None:
    run = factories.a_run(report="done")
    asked(an_open_decision(run=run))
    notify.run_done(run, site_url=SITE, now=NOON)

    assert deliver(SlackHook(url=f"{standin.url}/slack/services/T1/B1/secret")) == 2

    assert [posted["thread_ts"] for posted in standin.control.slack_messages()] == [None, None]
    run.refresh_from_db()
    assert run.slack_thread == ""


@pytest.mark.django_db
def test_without_slack_everything_waits() -> None:
    asked(an_open_decision())

    assert deliver(None, minutes=600) == 0

    assert Notification.objects.get().status == NotificationStatus.PENDING


@pytest.mark.django_db(transaction=True)
def test_two_who_deliver_at_once_send_each_message_once(slack: SlackBot, standin: StandIn) -> None:
    for _ in range(5):
        asked(an_open_decision())

    assert sum(together(3, lambda: deliver(slack))) == 5

    assert len(standin.control.slack_messages()) == 5


# --- Slack is away -----------------------------------------------------------------------------------


def nowhere() -> SlackBot:
    return SlackBot(token="xoxb-1", channel=CHANNEL, base_url="http://127.0.0.1:1/slack/api/")


@pytest.mark.django_db
def test_what_slack_could_not_be_reached_for_waits_longer_each_time_and_is_sent_when_it_is_back(
    slack: SlackBot, standin: StandIn
) -> None:
    told = asked(an_open_decision())
    pauses = []
    now = NOON
    for _ in range(12):  # more than two hours
        assert notify.deliver_due(slack=nowhere(), now=now) == 0
        told.refresh_from_db()
        pauses.append(told.next_at - now)
        now = told.next_at

    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (timedelta(seconds=20), notify.LONGEST_PAUSE)
    assert (told.status, told.attempts) == (NotificationStatus.PENDING, 12)
    assert "URLError" in told.error

    assert notify.deliver_due(slack=slack, now=now - timedelta(seconds=1)) == 0
    assert notify.deliver_due(slack=slack, now=now) == 1
    assert len(standin.control.slack_messages()) == 1


@pytest.mark.django_db
def test_slack_that_asks_for_patience_gets_it(slack: SlackBot, standin: StandIn) -> None:
    told = asked(an_open_decision())
    standin.control.fault(path="chat.postMessage", status=429, retry_after=300, times=1)

    deliver(slack)
    told.refresh_from_db()
    assert told.next_at == NOON + timedelta(seconds=301)

    assert (deliver(slack, minutes=5), deliver(slack, minutes=5.1)) == (0, 1)


@pytest.mark.django_db
def test_one_message_that_fails_keeps_no_other_back(slack: SlackBot, standin: StandIn) -> None:
    for _ in range(3):
        asked(an_open_decision())
    standin.control.fault(path="chat.postMessage", slack_error="msg_too_long", times=1)

    assert deliver(slack) == 2

    first, *others = Notification.objects.order_by("pk")
    assert {told.status for told in others} == {NotificationStatus.SENT}
    assert (first.status, first.error, first.attempts) == (
        NotificationStatus.FAILED,
        "chat.postMessage: msg_too_long",
        1,
    )
    assert deliver(slack, minutes=600) == 0


@pytest.mark.django_db
@pytest.mark.parametrize(
    "fault",
    [{"timeout_after_acceptance": 0}, {"status": 502}, {"slack_error": "internal_error"}],
    ids=["answer lost", "5xx", "internal error"],
)
def test_a_report_that_may_have_been_posted_is_not_posted_again(
    slack: SlackBot, standin: StandIn, fault: dict[str, Any]
) -> None:
    notify.run_done(factories.a_run(report="done"), site_url=SITE, now=NOON)
    standin.control.fault(path="chat.postMessage", times=1, **fault)

    assert (deliver(slack), deliver(slack, minutes=60)) == (0, 0)

    told = Notification.objects.get()
    assert told.status == NotificationStatus.FAILED
    assert told.error
    assert len(standin.control.slack_messages()) <= 1


@pytest.mark.django_db
def test_a_report_that_slack_had_no_time_for_is_posted_later_once(slack: SlackBot, standin: StandIn) -> None:
    notify.run_done(factories.a_run(report="done"), site_url=SITE, now=NOON)
    standin.control.fault(path="chat.postMessage", times=1, status=503)

    assert (deliver(slack), deliver(slack, minutes=60), deliver(slack, minutes=120)) == (0, 1, 0)

    assert len(standin.control.slack_messages()) == 1


@pytest.mark.django_db
def test_a_question_that_may_have_been_lost_is_asked_again(slack: SlackBot, standin: StandIn) -> None:
    asked(an_open_decision())
    standin.control.fault(path="chat.postMessage", status=503, times=1)

    assert (deliver(slack), deliver(slack, minutes=60)) == (0, 1)

    assert len(standin.control.slack_messages()) == 1


@pytest.mark.django_db
def test_whoever_died_while_sending_leaves_a_question_to_ask_again_and_a_report_untold(
    slack: SlackBot, standin: StandIn
) -> None:
    question = asked(an_open_decision())
    notify.run_done(factories.a_run(report="done"), site_url=SITE, now=NOON)
    Notification.objects.update(status=NotificationStatus.SENDING)
    report = Notification.objects.get(kind=NotificationKind.MAINTENANCE_DONE)

    assert deliver(slack, minutes=4.9) == 0
    assert deliver(slack, minutes=5) == 1

    question.refresh_from_db()
    report.refresh_from_db()
    assert (question.status, report.status) == (NotificationStatus.SENT, NotificationStatus.FAILED)
    assert "may have been posted" in report.error


@pytest.mark.django_db
def test_nobody_is_asked_for_what_was_decided_meanwhile(slack: SlackBot, standin: StandIn) -> None:
    decision = an_open_decision()
    told = asked(decision)
    deliver(nowhere())
    review.approve(decision.pk, by=factories.a_reviewer(), now=NOON)

    assert deliver(slack, minutes=60) == 0

    told.refresh_from_db()
    assert (told.status, told.error) == (NotificationStatus.FAILED, "decided before it could be sent")
    assert standin.control.slack_messages() == []


@pytest.mark.django_db
def test_a_message_nobody_could_be_told_for_long_is_given_up_with_its_reason() -> None:
    told = asked(an_open_decision())

    for days in (6.9, 7.1, 7.2):
        deliver(nowhere(), minutes=days * 24 * 60)

    told.refresh_from_db()
    assert (told.status, told.attempts) == (NotificationStatus.FAILED, 2)
    assert "URLError" in told.error


# --- A run from end to end ---------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_run_goes_on_while_slack_is_away_and_all_is_told_in_order_afterwards(
    scene: Scene, slack: SlackBot
) -> None:
    """P10."""
    [gone, *_], _, _ = a_rotation(scene)
    has_observed()
    people(1, on=scene.lists.campaign[1], domain="secret-firm.test")
    campaign = a_last_round(scene, failed={UNKNOWN_USER: [gone]})
    run = post_campaign.start(
        campaign.pk,
        trigger=Trigger.SCHEDULE,
        by=None,
        configuration=scene.outside.configuration,
        now=scene.clock(),
    )
    run = scene.go_on(run)
    notify.deliver_due(slack=nowhere(), now=scene.clock())
    waiting = run.decisions.get(status=DecisionStatus.OPEN)
    review.reject(waiting.pk, by=factories.a_reviewer(), now=scene.clock(), why="not now")
    run = scene.go_on(run)
    assert run.status == RunStatus.SUCCEEDED

    notify.deliver_due(slack=slack, now=scene.clock() + timedelta(hours=1))

    [posted] = scene.control.slack_messages()
    assert posted["text"] == ListMaintenanceLog.objects.get(pk=run.pk).report.splitlines()[0]
    assert "@" not in words_of(posted)
    assert ".test" not in words_of(posted)
