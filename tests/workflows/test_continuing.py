"""A run that works too long, or breaks down too often, ends; what it left is finished once, on request."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from integrations.mailjet import Budget, Mailjet, MailjetList
from listmanagement.domain.cycle import RoundStatus
from listmanagement.domain.limits import MOST_BREAKDOWNS, Limits
from listmanagement.models import (
    AuditEntry,
    BatchKind,
    BatchStatus,
    ItemStatus,
    ListMaintenanceLog,
    Notification,
    NotificationKind,
    RunKind,
    RunStatus,
    Step,
)
from listmanagement.workflows import continuing, left, runs
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.promises.journal import check_journal
from listmanagement.workflows.running import lease as leases
from listmanagement.workflows.running.steps import Hand
from tests import factories
from tests.workflows import scene as scenes
from tests.workflows.executing import a_move, a_placement, a_suppression, anew, ends, everything, outcome
from tests.workflows.scene import Scene

pytestmark = pytest.mark.django_db(transaction=True)

BULK = {"path": "managemanycontacts$", "method": "POST"}
NO_TIME = Limits(step=timedelta(0), run=timedelta(days=1))
NO_TIME_AT_ALL = Limits(step=timedelta(0), run=timedelta(0))


@pytest.fixture
def ana(db: None) -> User:
    return factories.a_reviewer()


def with_limits(scene: Scene, limits: Limits) -> Scene:
    configured = replace(scene.outside.configuration, limits=limits)
    return replace(scene, outside=replace(scene.outside, configuration=configured))


def continue_(scene: Scene, run: ListMaintenanceLog, *, by: User) -> ListMaintenanceLog:
    continuing.go_on(run.pk, by=by, configuration=scene.outside.configuration, now=scene.clock())
    run.refresh_from_db()
    return run


def ended(scene: Scene, run: ListMaintenanceLog) -> Mapping[str, Any]:
    """How it ended, but for the journal's own book-keeping: what was given up stays in its old batches."""
    found = dict(outcome(scene, run))
    del found["batches"], found["jobs"]
    return found


def assert_journal_is_whole(scene: Scene) -> None:
    assert check_journal(now=scene.clock()).broken == ()


# --- Too long ----------------------------------------------------------------------------------------


def test_a_step_past_its_time_ends_the_run_partial_and_says_what_is_left(scene: Scene) -> None:
    campaign = factories.a_campaign(list=scene.lists.campaign[0])
    scenes.people(3, on=[scene.lists.master, scene.lists.campaign[0]])
    scene.publish_with(campaign, bounced=[])
    factories.the_rollout()
    run = factories.a_run(campaign=campaign)

    with_limits(scene, NO_TIME).go_on(run)

    assert (run.status, run.step, run.state_before) == (RunStatus.PARTIAL, Step.CAPTURE_BEFORE, None)
    assert run.stopped == "this step has worked for more than 0 minutes (LIST_STEP_LIMIT_MINUTES)"
    words = "It stopped at the step capture before; this and what follows is left."
    assert left.sentences(left.of(run)) == [words]
    told = Notification.objects.get(kind=NotificationKind.MAINTENANCE_FAILED)
    assert words in str(told.blocks)
    assert run.get_absolute_url() in str(told.blocks)
    assert scene.standin.writes() == []


@pytest.mark.parametrize("step", [Step.SUPPRESS, Step.REBALANCE])
def test_what_a_run_without_time_left_is_done_once_when_a_reviewer_has_it_continue(
    scene: Scene, ana: User, step: Step
) -> None:
    run = everything(scene).run
    undisturbed = ended(scene, scene.go_on(run))
    scene = anew(scene)
    run = everything(scene).run
    scene.go_on_while(run, lambda: run.step != step)

    with_limits(scene, NO_TIME_AT_ALL).go_on(run)

    assert run.status == RunStatus.PARTIAL
    assert_journal_is_whole(scene)
    scene.go_on(continue_(scene, run, by=factories.a_reviewer()))
    assert (run.status, run.continued, run.stopped) == (RunStatus.SUCCEEDED, 1, "")
    assert ended(scene, run) == undisturbed
    assert_journal_is_whole(scene)


def test_past_its_time_a_run_follows_what_mailjet_has_and_begins_nothing_more(
    scene: Scene, ana: User
) -> None:
    run = everything(scene).run
    undisturbed = ended(scene, scene.go_on(run))
    scene = anew(scene)
    run = everything(scene).run
    scene.control.settings(job_seconds=30.0)
    scene.go_on_while(run, lambda: not run.batches.filter(status=BatchStatus.SUBMITTED).exists())
    began = len(scene.standin.writes())

    with_limits(scene, NO_TIME_AT_ALL).go_on(run)

    assert len(scene.standin.writes()) == began
    assert run.batches.get(position=1).status == BatchStatus.APPLIED
    assert (run.status, run.holds_rotation) == (RunStatus.PARTIAL, False)
    scene.control.settings(job_seconds=0.0)
    scene.go_on(continue_(scene, run, by=factories.a_reviewer()))
    assert ended(scene, run) == undisturbed


def test_past_its_time_a_run_leaves_nobody_on_both_lists_of_a_move(scene: Scene) -> None:
    run, moved = a_move(scene)
    came_in = run.batches.filter(kind=BatchKind.MOVE_IN, status=BatchStatus.APPLIED)
    scene.control.fault(**BULK, delay_seconds=0, times=1)
    scene.control.fault(**BULK, status=429, times=1)
    scene.go_on_while(run, lambda: not came_in.exists())

    with_limits(scene, NO_TIME_AT_ALL).go_on(run)

    assert run.status == RunStatus.PARTIAL
    assert scene.members(scene.lists.campaign[0]) == {}
    assert len(scene.members(scene.lists.campaign[1])) == len(moved)
    assert {status for status, _ in ends(run).values()} == {ItemStatus.EXECUTED}


class Slow(Budget):
    """Has every request wait for a moment."""

    def acquire(self, *, background: bool) -> None:
        time.sleep(0.01)


def test_waiting_for_the_request_budget_is_no_work(scene: Scene) -> None:
    with scenes.connect(scene.standin, budget=Slow()) as mailjet:
        work = runs.Work(mailjet)
        for _ in range(5):
            mailjet.lists()

        assert mailjet.waited >= 0.05
        assert work.requests == 5


def test_what_several_threads_wait_for_at_once_is_waited_once(scene: Scene) -> None:
    together = threading.Barrier(4)

    class Meeting(Budget):
        """Has every request wait until four are there, and a moment more."""

        def acquire(self, *, background: bool) -> None:
            together.wait(timeout=10)
            time.sleep(0.05)

    with scenes.connect(scene.standin, budget=Meeting()) as mailjet:
        began = time.monotonic()
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda _: mailjet.lists(), range(4)))

        assert mailjet.requests == 4
        assert 0.05 <= mailjet.waited <= time.monotonic() - began


def test_a_run_that_waits_for_mailjet_for_days_is_not_stopped(scene: Scene) -> None:
    run, gone = a_suppression(scene)
    scene.control.fault(path="/REST/", status=503)
    for _ in range(3 * MOST_BREAKDOWNS):
        runs.sweep(outside=scene.outside, clock=scene.clock)
        scene.clock.passes(timedelta(hours=4))
    scene.control.clear_faults()

    scene.go_on(run)

    assert run.status == RunStatus.SUCCEEDED
    assert set(scene.members(scene.lists.suppression)) == {contact.pk for contact in gone}


# --- Too often in vain -------------------------------------------------------------------------------


class Broken(Exception):
    """A mistake of ours."""


class Breaking(Mailjet):
    def lists(self) -> list[MailjetList]:
        raise Broken


def test_a_step_that_breaks_down_again_and_again_ends_the_run_with_nothing_changed(
    scene: Scene, ana: User
) -> None:
    campaign = factories.a_campaign(list=scene.lists.campaign[0])
    scenes.people(3, on=[scene.lists.master, scene.lists.campaign[0]])
    scene.publish_with(campaign, bounced=[])
    factories.the_rollout()
    run = factories.a_run(campaign=campaign)
    with scenes.connect_as(Breaking, scene.standin) as mailjet:
        for _ in range(MOST_BREAKDOWNS):
            with pytest.raises(Broken):
                runs.sweep(outside=scene.with_mailjet(mailjet), clock=scene.clock)
            scene.clock.passes(timedelta(minutes=16))
        runs.sweep(outside=scene.with_mailjet(mailjet), clock=scene.clock)
    run.refresh_from_db()
    assert (run.status, run.stopped) == (
        RunStatus.FAILED,
        "this step broke down 12 times in a row: the errors say how",
    )

    scene.go_on(continue_(scene, run, by=ana))

    assert run.status == RunStatus.SUCCEEDED


def test_a_step_in_which_worker_after_worker_dies_ends_the_run(scene: Scene) -> None:
    run = factories.a_run()
    for _ in range(MOST_BREAKDOWNS + 1):
        assert leases.claim(run.pk) is not None
        ListMaintenanceLog.objects.filter(pk=run.pk).update(lease_until=scene.clock() - timedelta(days=400))

    runs.sweep(outside=scene.outside, clock=scene.clock)

    run.refresh_from_db()
    assert run.status == RunStatus.FAILED
    assert "in a row" in run.stopped
    assert scene.control.requests()["by_service"] == {}


def test_a_refusal_that_stays_ends_the_run_and_meanwhile_other_runs_may_change_lists(
    scene: Scene, ana: User
) -> None:
    run, gone = a_suppression(scene)
    scene.control.fault(path="listrecipient|getcontactslists", status=400)
    runs.sweep(outside=scene.outside, clock=scene.clock)
    run.refresh_from_db()
    assert (run.status, run.holds_rotation) == (RunStatus.WAITING, False)

    scene.go_on(run)

    assert run.status == RunStatus.PARTIAL
    assert scene.standin.effects() == []
    assert left.sentences(left.of(run))[1:] == [f"Not suppressed: {len(gone)} contacts."]
    assert_journal_is_whole(scene)
    scene.control.clear_faults()
    scene.go_on(continue_(scene, run, by=ana))
    assert run.status == RunStatus.SUCCEEDED
    assert set(scene.members(scene.lists.suppression)) == {contact.pk for contact in gone}


@pytest.mark.parametrize("kind", [RunKind.CONSENT, RunKind.PRE_CAMPAIGN])
def test_what_people_said_and_who_comes_back_after_a_send_know_no_end_but_the_last(
    scene: Scene, kind: RunKind
) -> None:
    run = factories.a_run(kind=kind, worked=10.0**9, worked_on_step=10.0**9, breakdowns=100)
    lease = leases.claim(run.pk)
    assert lease is not None

    hand = Hand(run=run, lease=lease, outside=scene.outside, clock=scene.clock)
    assert runs._why_over(run, hand) is None


# --- What failed is tried again ----------------------------------------------------------------------


FAILING = {"job": "error"}


def test_what_failed_is_done_when_a_reviewer_has_the_run_continue(scene: Scene, ana: User) -> None:
    run = everything(scene).run
    undisturbed = ended(scene, scene.go_on(run))
    scene = anew(scene)
    run = everything(scene).run
    scene.control.fault(**BULK, **FAILING)
    scene.go_on(run, tries=300)
    assert run.status == RunStatus.PARTIAL
    assert left.sentences(left.of(run)) == [
        "Not suppressed: 2 contacts.",
        "Not placed: 2 contacts.",
        "Not moved: 2 contacts.",
    ]
    assert "Not moved: 2 contacts." in run.report
    scene.control.clear_faults()

    scene.go_on(continue_(scene, run, by=factories.a_reviewer()))

    assert ended(scene, run) == undisturbed
    assert not left.of(run)
    assert "Continued by a person: suppressed 2, placed 2, moved 2 in all; nothing is left." in run.report
    assert Notification.objects.filter(kind=NotificationKind.MAINTENANCE_DONE, run=run).count() == 2
    assert_journal_is_whole(scene)


def test_a_move_that_was_left_on_both_lists_is_ended_when_the_run_continues(scene: Scene, ana: User) -> None:
    run, moved = a_move(scene, contacts=2)
    scene.control.fault(**BULK, delay_seconds=0, times=1)
    scene.control.fault(**BULK, **FAILING)
    scene.go_on(run, tries=300)
    assert left.of(run).astray == 2
    scene.control.clear_faults()

    scene.go_on(continue_(scene, run, by=ana))

    assert run.status == RunStatus.SUCCEEDED
    assert scene.members(scene.lists.campaign[0]) == {}
    assert set(scene.members(scene.lists.campaign[1])) == {contact.pk for contact in moved}
    assert {status for status, _ in ends(run).values()} == {ItemStatus.EXECUTED}


def a_failed_suppression(scene: Scene) -> ListMaintenanceLog:
    run, _ = a_suppression(scene)
    scene.control.fault(**BULK, status=400)
    scene.go_on(run)
    scene.control.clear_faults()
    return run


def test_to_continue_twice_does_nothing_more(scene: Scene, ana: User) -> None:
    run = a_failed_suppression(scene)

    continue_(scene, run, by=ana)
    continue_(scene, run, by=ana)

    assert run.continued == 1
    assert AuditEntry.objects.filter(action="continued").count() == 1
    scene.go_on(run)
    with pytest.raises(NotAllowed, match=f"run {run.pk} has left nothing to be done"):
        continue_(scene, run, by=ana)
    assert len(scene.standin.effects()) == 6


def test_two_who_continue_at_once_have_one_effect(scene: Scene, ana: User) -> None:
    run = a_failed_suppression(scene)
    configuration, now = scene.outside.configuration, scene.clock()

    scenes.together(4, lambda: continuing.go_on(run.pk, by=ana, configuration=configuration, now=now))

    run.refresh_from_db()
    assert run.continued == 1
    assert run.batches.filter(status=BatchStatus.INTENDED).count() == 1
    entry = AuditEntry.objects.get(action="continued")
    assert (entry.actor, entry.details) == (ana.get_username(), {"left": ["Not suppressed: 3 contacts."]})


def test_it_is_for_reviewers_of_runs_that_left_something_while_nothing_is_off(
    scene: Scene, ana: User
) -> None:
    run = a_failed_suppression(scene)
    with pytest.raises(NotAllowed, match="ask an administrator for the role Reviewers"):
        continue_(scene, run, by=factories.a_user())
    factories.the_rollout(paused_at=scene.clock())
    with pytest.raises(NotAllowed, match="paused by"):
        continue_(scene, run, by=ana)
    with pytest.raises(NotAllowed, match="there is no run 99"):
        continuing.go_on(99, by=ana, configuration=scene.outside.configuration, now=scene.clock())
    undo = factories.a_run(kind=RunKind.UNDO, undoes=run, status=RunStatus.PARTIAL)
    with pytest.raises(NotAllowed, match="undo the run again"):
        continue_(scene, undo, by=ana)

    assert run.continued == 0


def test_what_came_up_since_is_looked_at_before_what_failed_is_tried_again(scene: Scene, ana: User) -> None:
    run, placed = a_placement(scene)
    scene.control.fault(**BULK, status=400)
    scene.go_on(run)
    scene.control.clear_faults()
    scene.a_person("unsub", placed[0], scene.lists.master)
    scene.clock.passes(timedelta(days=1))

    scene.go_on(continue_(scene, run, by=ana))

    found = ends(run)
    assert found[placed[0].pk] == (ItemStatus.DROPPED, "opted out")
    assert set(scene.members(scene.lists.campaign[0])) == {contact.pk for contact in placed[1:]}


def test_a_freeze_keeps_what_is_left_waiting(scene: Scene, ana: User) -> None:
    run = a_failed_suppression(scene)
    began = len(scene.standin.writes())
    factories.a_campaign(
        list=scene.lists.campaign[0],
        status=RoundStatus.SCHEDULED,
        scheduled_at=scene.clock() + timedelta(hours=1),
    )

    continue_(scene, run, by=ana)
    runs.sweep(outside=scene.outside, clock=scene.clock)

    run.refresh_from_db()
    assert "is frozen until its send has ended" in run.waits_for
    assert len(scene.standin.writes()) == began


def test_a_run_that_judged_nothing_is_not_continued_when_a_later_send_was_judged(
    scene: Scene, ana: User
) -> None:
    one = scene.lists.campaign[0]
    earlier = factories.a_campaign(list=one, started_at=scene.clock.in_days(-9))
    run = factories.a_run(campaign=earlier, status=RunStatus.PARTIAL, stopped="its time")
    later = factories.a_run(
        campaign=factories.a_campaign(list=one, started_at=scene.clock.in_days(-2)),
        status=RunStatus.SUCCEEDED,
    )

    with pytest.raises(NotAllowed, match=f"was judged already \\(run {later.pk}\\)"):
        continue_(scene, run, by=ana)
