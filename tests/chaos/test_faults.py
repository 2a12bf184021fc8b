"""Whatever goes away, in whichever step of a whole run: it ends as undisturbed, each effect once (P10).

The run goes on in this process, step by step. A fault begins just before a step does its work, or in the
middle of it, and is over when that try has ended; a step that waits for a review does none yet. Redis is
one of the test's own. So is PostgreSQL under `python -m tests.chaos.faults`; else it ends this
database's sessions: a restart as its clients see it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import Error, connection

from config import services
from config.celery import app
from integrations import slack
from integrations.gemini import Gemini
from listmanagement import asking, tasks
from listmanagement.asking import Limits
from listmanagement.models import (
    FINISHED,
    AgentCall,
    AnswerSource,
    Decision,
    ListMaintenanceLog,
    Notification,
    NotificationStatus,
    RunStatus,
    Step,
    Trigger,
)
from listmanagement.workflows import continuing, notify, runs
from listmanagement.workflows.by_people import review
from listmanagement.workflows.maintenance import post_campaign
from listmanagement.workflows.running.steps import Hand, Next, StepFunction
from tests import factories
from tests.workflows import scene as scenes
from tests.workflows.executing import anew, outcome
from tests.workflows.scene import Scene
from tests.workflows.sends import (
    FULL,
    UNKNOWN_USER,
    a_last_round,
    a_rotation,
    has_changed_lists,
    has_observed,
    people,
)

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = [step for step in Step if step in post_campaign.STEPS]
CHAOS = bool(os.environ.get("EVENKEEL_CHAOS"))
OWN = os.environ.get("EVENKEEL_CHAOS_SERVICES")
"""Where `make chaos` keeps a PostgreSQL and a Redis that nobody else uses."""

WRITES = {"path": "managemanycontacts$", "method": "POST"}
MODEL = {"path": "generateContent"}
ALLOWED = Limits(requests_per_minute=10_000, tokens_per_run=10_000_000, tokens_per_day=10_000_000)


# --- Faults ----------------------------------------------------------------------------------------------

During = Callable[["Play"], AbstractContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """What goes wrong while one step is tried, and what P10 promises of the run then."""

    name: str
    during: During
    promise: str
    midway: bool = False
    """It comes after the step's first statements, not before them."""

    def __str__(self) -> str:
        return self.name


@contextmanager
def at_the_standin(fault: Mapping[str, Any], play: Play) -> Iterator[None]:
    """Requests go wrong."""
    play.scene.control.fault(**fault)
    try:
        yield
    finally:
        play.scene.control.clear_faults()


@contextmanager
def no_answer_of_dns(play: Play) -> Iterator[None]:
    """The resolver says that it cannot say."""
    play.scene.control.dns_says("*", "servfail")
    try:
        yield
    finally:
        play.scene.control.dns_forgets()


@contextmanager
def redis_stopped(play: Play) -> Iterator[None]:
    """Nobody listens where the broker was."""
    services.stop(play.redis_at, services.REDIS)
    play.nudge()
    try:
        yield
        play.nudge()
    finally:
        play.start_redis()


@contextmanager
def redis_restarted(play: Play) -> Iterator[None]:
    """The broker comes back before anybody asks for it."""
    services.stop(play.redis_at, services.REDIS)
    play.start_redis()
    yield
    play.nudge()


@contextmanager
def redis_flushed(play: Play) -> Iterator[None]:
    """Every message is lost."""
    play.nudge()
    with redis.Redis.from_url(play.broker) as client:
        client.flushall()
    yield
    with redis.Redis.from_url(play.broker) as client:
        client.flushall()


@contextmanager
def postgresql_restarted(play: Play) -> Iterator[None]:
    """Every session ends, and with it whatever was being written."""
    if OWN is not None:
        services.stop(Path(OWN), services.POSTGRES)
        services.running(Path(OWN), services.POSTGRES)
    else:
        with connection.cursor() as cursor:
            cursor.execute(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity"
                " where pid <> pg_backend_pid() and datname = current_database()"
            )
            cursor.connection.close()
    yield


WAITS = "waits and resumes"
SENT_AGAIN = "what the lists do not show is sent again"
FAULTS = [
    Fault("Mailjet 429", partial(at_the_standin, {"path": "/REST/", "status": 429}), WAITS),
    Fault("Mailjet 500", partial(at_the_standin, {"path": "/REST/", "status": 500}), WAITS),
    Fault("Mailjet 502", partial(at_the_standin, {"path": "/REST/", "status": 502}), WAITS),
    Fault("Mailjet cuts connections", partial(at_the_standin, {"path": "/REST/", "drop": True}), WAITS),
    Fault(
        "Mailjet's answer lost after acceptance",
        partial(at_the_standin, {**WRITES, "timeout_after_acceptance": 0}),
        "the job is found and followed",
    ),
    Fault("a job lies", partial(at_the_standin, {**WRITES, "job": "lie"}), SENT_AGAIN),
    Fault("a job hangs", partial(at_the_standin, {**WRITES, "job": "hang"}), SENT_AGAIN),
    Fault("a job fails", partial(at_the_standin, {**WRITES, "job": "error"}), SENT_AGAIN),
    Fault(
        "a job fails partly",
        partial(at_the_standin, {**WRITES, "job": "partial"}),
        "partial; what is left is done when continued",
    ),
    Fault("Redis stopped", redis_stopped, "goes on"),
    Fault("Redis restarted", redis_restarted, "goes on"),
    Fault("Redis flushed", redis_flushed, "goes on"),
    Fault("PostgreSQL restarted", postgresql_restarted, "nothing executes, then resumes", midway=True),
    Fault("Gemini down", partial(at_the_standin, {**MODEL, "status": 503}), "rules judge"),
    Fault("Gemini slow", partial(at_the_standin, {**MODEL, "delay_seconds": 7.0}), "rules judge"),
    Fault("Gemini talks garbage", partial(at_the_standin, {**MODEL, "gemini": "not_json"}), "rules judge"),
    Fault("Slack down", partial(at_the_standin, {"path": "/slack/", "status": 503}), "told later, once"),
    Fault("DNS down", no_answer_of_dns, "goes on and says so"),
]
A_FEW = {("Gemini down", Step.JUDGE)}
POINTS = [(fault, step) for step in STEPS for fault in FAULTS if CHAOS or (fault.name, step) in A_FEW]


# --- A whole run, played ---------------------------------------------------------------------------------


@dataclass
class Play:
    """A run about to begin in a scene, with everything that it touches outside."""

    scene: Scene
    run: ListMaintenanceLog
    redis_at: Path
    broker: str
    told_before: int = 0
    """Messages in Slack when the run began."""
    struck: int = 0
    """How often the fault was there while the step was tried."""
    lost: int = 0
    """How often a sweep ended because the database was gone."""

    def start_redis(self) -> None:
        self.broker = services.running(self.redis_at, services.REDIS)["url"]
        app.conf.broker_write_url = self.broker

    def nudge(self) -> None:
        """As every door does: it may fail, and never its caller."""
        tasks.nudge(self.run.pk)

    def tell(self) -> None:
        """As the worker does after every sweep."""
        notify.deliver_due(slack=self.scene.outside.slack, now=self.scene.clock())

    def to_its_end(self) -> None:
        """Sweep as a worker does, let each wait pass, approve what is asked, continue what ended early."""
        for _ in range(300):
            self._sweep()
            self.run.refresh_from_db()
            if self.run.status in FINISHED and not self._continued():
                break
            self._decide()
            if self.run.next_at is not None:
                self.scene.clock.passes(self.run.next_at - self.scene.clock())
        self.scene.clock.passes(timedelta(minutes=30))
        self.tell()

    def _sweep(self) -> None:
        try:
            runs.sweep(outside=self.scene.outside, clock=self.scene.clock)
            self.tell()
        except Error:
            self.lost += 1
            connection.close()  # as the worker's timer does; its next sweep takes the run over
            ListMaintenanceLog.objects.exclude(lease_until=None).update(lease_until=factories.NOON)

    def _decide(self) -> None:
        for decision in Decision.objects.awaiting_review().filter(run=self.run):
            review.approve(decision.pk, by=factories.a_reviewer(), now=self.scene.clock())

    def _continued(self) -> bool:
        if self.run.status != RunStatus.PARTIAL:
            return False
        continuing.go_on(
            self.run.pk,
            by=factories.a_reviewer(),
            configuration=self.scene.outside.configuration,
            now=self.scene.clock(),
        )
        return True


def begin(scene: Scene) -> ListMaintenanceLog:
    """Two gone from list 1, a backlog, and lists that are uneven after a cycle's end.

    A full mailbox is alone at its domain: of such DNS is asked.
    """
    [alone] = people(1, on=scene.lists.campaign[0], domain="alone.test")
    factories.a_membership(list=scene.lists.master, contact=alone)
    members = a_rotation(scene, sizes=[49, 44, 56], backlog=4)
    has_observed()
    has_changed_lists()
    campaign = a_last_round(scene, failed={UNKNOWN_USER: members[0][:2], FULL: [alone]})
    return post_campaign.start(
        campaign.pk,
        trigger=Trigger.SCHEDULE,
        by=None,
        configuration=scene.outside.configuration,
        now=scene.clock(),
    )


@pytest.fixture
def connected(scene: Scene) -> Iterator[Scene]:
    """The scene with a model and with Slack, both at the stand-in."""
    serving = scene.standin.serving
    gemini = Gemini(
        api_key=serving.gemini_key,
        model=settings.GEMINI_MODEL,
        base_url=serving.gemini_url,
        api_version="v1",
        allowance=asking.SharedAllowance(ALLOWED),
        timeout=5.0,
        patience=6.0,
        sleep=scenes.no_sleep,
    )
    ask = asking.OnAnyThread(asking.GeminiAsk(gemini, temperatures=settings.GEMINI_TEMPERATURES))
    told = slack.connect(
        bot_token=settings.SLACK_BOT_TOKEN,
        channel=settings.SLACK_CHANNEL,
        base_url=f"{scene.standin.url}/slack/api/",
        webhook_url="",
    )
    yield replace(scene, outside=replace(scene.outside, ask=ask, slack=told))
    gemini.close()


@pytest.fixture
def redis_at(tmp_path: Path) -> Iterator[Path]:
    """Where a Redis of this test's own runs."""
    where = tmp_path / "redis"
    where.mkdir()
    yield where
    services.stop(where, services.REDIS)
    app.conf.broker_write_url = None


def strike(play: Play, fault: Fault, step: Step) -> Mapping[Any, Mapping[Step, StepFunction]]:
    """Our workflows, but for that the fault is there while this step is tried for the first time."""

    def disturbed(work: StepFunction) -> StepFunction:
        def work_once(hand: Hand) -> Next:
            if play.struck or Decision.objects.awaiting_review().filter(run=play.run).exists():
                return work(hand)
            play.struck += 1
            with ExitStack() as disturbance:
                begin_fault = partial(disturbance.enter_context, fault.during(play))
                if fault.midway:
                    disturbance.enter_context(connection.execute_wrapper(after(3, begin_fault)))
                else:
                    begin_fault()
                found = work(hand)
                play.tell()
                return found

        return work_once

    return {
        kind: {each: disturbed(work) if each == step else work for each, work in steps.items()}
        for kind, steps in runs.WORKFLOWS.items()
    }


def after(statements: int, begin_fault: Callable[[], object]) -> Callable[..., Any]:
    """Have it begin when the step has asked the database so often."""
    left = [statements]

    def count(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            begin_fault()
        return execute(sql, params, many, context)

    return count


# --- The matrix ------------------------------------------------------------------------------------------


def ended(scene: Scene, run: ListMaintenanceLog, *, continued: bool) -> Mapping[str, Any]:
    """The end at Mailjet and here, by however many requests. Whoever is continued with has a later rank."""
    found = dict(outcome(scene, run))
    del found["jobs"], found["batches"]
    if continued:
        found["here"] = [row[:-1] for row in found["here"]]
    return found


_undisturbed: dict[str, Any] = {}


def undisturbed(scene: Scene, redis_at: Path) -> Mapping[str, Any]:
    """How the run ends when nothing goes wrong. Found out once a process."""
    if not _undisturbed:
        play = Play(scene, begin(scene), redis_at, "")
        play.start_redis()
        play.to_its_end()
        assert play.run.status == RunStatus.SUCCEEDED
        for continued in (False, True):
            _undisturbed[str(continued)] = ended(scene, play.run, continued=continued)
        assert len(_undisturbed["False"]["effects"]) > 10
    return _undisturbed


@pytest.mark.parametrize(("fault", "step"), POINTS, ids=str)
def test_a_run_keeps_its_promise_whatever_goes_away(
    fault: Fault,
    step: Step,
    connected: Scene,
    redis_at: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    expected = undisturbed(connected, redis_at)
    scene = anew(connected)
    play = Play(scene, begin(scene), redis_at, "", told_before=len(scene.control.slack_messages()))
    play.start_redis()
    monkeypatch.setattr(runs, "WORKFLOWS", strike(play, fault, step))
    record_property("fault", fault.name)
    record_property("step", step.value)

    play.to_its_end()

    run = play.run
    record_property("ended", how(play))
    assert play.struck == 1
    assert run.status == RunStatus.SUCCEEDED
    if run.continued and step == Step.SUPPRESS:
        assert_done_late(scene, run, expected["True"])
    else:
        assert ended(scene, run, continued=bool(run.continued)) == expected[str(bool(run.continued))]
    assert_told_once(play)
    assert_promised(fault, step, run)


def assert_done_late(scene: Scene, run: ListMaintenanceLog, expected: Mapping[str, Any]) -> None:
    """Whom it left was suppressed after the lists were evened out, which took them into account."""
    found = ended(scene, run, continued=True)
    assert found["suppressed"] == expected["suppressed"]
    assert max(Counter(found["effects"]).values()) == 1
    sizes = [len(scene.members(campaign_list)) for campaign_list in scene.lists.campaign]
    assert max(sizes) - min(sizes) <= 2


def assert_told_once(play: Play) -> None:
    """Every message is in Slack, none twice; but for questions answered before they could be sent."""
    sent = Notification.objects.filter(status=NotificationStatus.SENT)
    others = Notification.objects.exclude(status=NotificationStatus.SENT)
    assert set(others.values_list("error", flat=True)) <= {"decided before it could be sent"}
    assert len(play.scene.control.slack_messages()) - play.told_before == sent.count()


AGENTS_OF = {
    Step.JUDGE: {"list_health", "optimization"},
    Step.PLAN_REBALANCING: {"rebalancing"},
    Step.REPORT: {"reporting"},
}


def assert_promised(fault: Fault, step: Step, run: ListMaintenanceLog) -> None:
    """What it did without is said."""
    by_rules = set(
        AgentCall.objects.filter(run=run, source=AnswerSource.RULES).values_list("agent", flat=True)
    )
    assert by_rules == (AGENTS_OF.get(step, set()) if fault.name.startswith("Gemini") else set())
    without_dns = fault.name == "DNS down" and step == Step.JUDGE
    assert ("DNS" in run.report) == without_dns
    is_partial = fault.name == "a job fails partly" and step in (Step.SUPPRESS, Step.REBALANCE)
    assert bool(run.continued) == is_partial


def how(play: Play) -> str:
    """What became of the run, for the table."""
    if play.run.continued:
        return "continued"
    return "resumed" if play.run.errors or play.lost else "went on"
