"""A run goes on through outages, errors and switches, and only ever once at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from integrations.mailjet import ContactMembership, Mailjet, MailjetList
from listmanagement.models import (
    FINISHED,
    AuditEntry,
    BatchStatus,
    ContactListMembership,
    DecisionStatus,
    ListMaintenanceLog,
    Notification,
    NotificationKind,
    RolloutState,
    RunStatus,
    Step,
    Trigger,
)
from listmanagement.workflows import runs
from listmanagement.workflows.by_people import review
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.demo.world import JUDGED
from listmanagement.workflows.maintenance import post_campaign
from tests import factories
from tests.workflows import scene as scenes
from tests.workflows.executing import a_placement, a_suppression, everything, outcome
from tests.workflows.scene import Scene

pytestmark = pytest.mark.django_db(transaction=True)

BULK = {"path": "managemanycontacts$", "method": "POST"}


def a_fresh_run(scene: Scene) -> ListMaintenanceLog:
    """A run at its first step; its campaign's one message bounced at Mailjet."""
    one = scene.lists.campaign[0]
    contacts = scenes.people(4, on=[scene.lists.master, one])
    for other in scene.lists.campaign[1:]:
        scenes.people(4, on=[scene.lists.master, other])
    campaign = factories.a_campaign(list=one)
    scene.publish_with(campaign, bounced=contacts[:1])
    factories.the_rollout()
    return factories.a_run(campaign=campaign)


# --- Started once, done once -------------------------------------------------------------------------


def test_two_starts_at_once_make_one_run(scene: Scene) -> None:
    campaign = factories.a_campaign()
    now = scene.clock()

    started = scenes.together(
        6,
        lambda: post_campaign.start(
            campaign.pk, trigger=Trigger.SCHEDULE, by=None, configuration=scenes.configuration(), now=now
        ),
    )

    assert len({run.pk for run in started}) == 1
    assert ListMaintenanceLog.objects.count() == 1
    assert AuditEntry.objects.filter(action="started").count() == 1


def test_two_workers_at_once_have_one_effect(scene: Scene) -> None:
    run = everything(scene).run

    @contextmanager
    def a_worker() -> Iterator[Scene]:
        with scenes.connect(scene.standin) as mailjet:
            yield replace(scene, outside=scene.with_mailjet(mailjet))

    def work() -> None:
        with a_worker() as own:
            until = time.monotonic() + 60
            while time.monotonic() < until:
                found = runs.advance(run.pk, outside=own.outside, clock=own.clock)
                if found.status in FINISHED:
                    return
                own.clock.passes(timedelta(seconds=1))
                time.sleep(0.05)  # while another one has the lease

    scenes.together(3, work)

    run.refresh_from_db()
    assert run.status == RunStatus.SUCCEEDED
    assert len(scene.standin.writes()) == 4
    assert len(scene.standin.effects()) == 10
    assert set(run.batches.values_list("status", "attempt")) == {(BatchStatus.APPLIED, 1)}


def test_two_reviewers_at_once_have_one_effect(scene: Scene) -> None:
    run, _ = a_suppression(scene)
    decision = run.decisions.get()
    run.decisions.update(
        status=DecisionStatus.OPEN, reviewed_at=None, reviewed_by=None, deadline=scene.clock.in_days(1)
    )
    reviewers = [factories.a_reviewer() for _ in range(4)]

    def approve() -> str:
        try:
            review.approve(decision.pk, by=reviewers.pop(), now=scene.clock())
        except NotAllowed as refusal:
            return str(refusal)
        return "approved"

    answers = scenes.together(4, approve)

    assert answers.count("approved") == 1
    assert all("already" in answer for answer in answers if answer != "approved")
    scene.go_on(run)
    assert len(scene.standin.writes()) == 1


@pytest.mark.parametrize("status", FINISHED)
def test_a_finished_run_does_nothing(scene: Scene, status: RunStatus) -> None:
    run = factories.a_run(status=status)
    before = ListMaintenanceLog.objects.values().get(pk=run.pk)

    runs.advance(run.pk, outside=scene.outside, clock=scene.clock)
    runs.sweep(outside=scene.outside, clock=scene.clock)

    assert ListMaintenanceLog.objects.values().get(pk=run.pk) == before
    assert scene.control.requests()["by_service"] == {}


# --- Mailjet -----------------------------------------------------------------------------------------


def test_while_mailjet_is_away_a_run_waits_longer_and_longer_and_then_goes_on(scene: Scene) -> None:
    run = a_fresh_run(scene)
    scene.control.fault(path="/REST/", status=503)
    pauses = []
    for _ in range(9):
        runs.sweep(outside=scene.outside, clock=scene.clock)
        run.refresh_from_db()
        assert (run.status, run.step) == (RunStatus.WAITING, Step.CAPTURE_BEFORE)
        assert "503" in run.waits_for
        assert run.next_at is not None
        pauses.append(round((run.next_at - scene.clock()).total_seconds() / 10) * 10)
        scene.clock.passes(run.next_at - scene.clock())
    assert pauses == [10, 20, 40, 80, 160, 320, 640, 900, 900]

    scene.control.clear_faults()
    scene.go_on(run)

    assert run.status in FINISHED
    assert run.status != RunStatus.FAILED
    assert run.retries == 0
    assert len(run.errors) == 9


def test_failures_count_in_a_row(scene: Scene) -> None:
    run, _ = a_suppression(scene)
    scene.control.settings(job_seconds=600.0)
    scene.go_on_while(run, lambda: not run.batches.filter(status=BatchStatus.SUBMITTED).exists())

    for _ in range(3):
        scene.control.fault(path="managemanycontacts/", status=503)
        sweep_when_due(run, scene)
        assert run.next_at is not None
        assert run.retries == 1
        assert run.next_at - scene.clock() < timedelta(seconds=11)
        scene.control.clear_faults()
        sweep_when_due(run, scene)
        assert (run.retries, run.step) == (0, Step.SUPPRESS)


def sweep_when_due(run: ListMaintenanceLog, scene: Scene) -> None:
    """Let its wait pass, and sweep once."""
    run.refresh_from_db()
    assert run.next_at is not None
    scene.clock.passes(run.next_at - scene.clock())
    runs.sweep(outside=scene.outside, clock=scene.clock)
    run.refresh_from_db()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"path": "contactslist$", "status": 403}, "GET contactslist: 403"),
        ({"path": "/listrecipient", "status": 400}, "GET listrecipient: 400"),
        ({"path": "/message$", "status": 403}, "GET message: 403"),
    ],
)
def test_a_refusal_before_any_change_fails_the_run_and_says_why(
    scene: Scene, fault: dict[str, Any], words: str
) -> None:
    run = a_fresh_run(scene)
    before = list(ContactListMembership.objects.order_by("pk").values())
    scene.control.fault(**fault)

    scene.go_on(run)

    assert run.status == RunStatus.FAILED
    assert words in run.errors[-1]["what"]
    assert words in run.report
    told = Notification.objects.get()
    assert told.kind == NotificationKind.MAINTENANCE_FAILED
    assert words in told.text
    assert scene.standin.writes() == []
    assert list(ContactListMembership.objects.order_by("pk").values()) == before
    assert not run.batches.exists()


def test_a_refusal_amid_the_changes_loses_nothing_that_was_approved(scene: Scene) -> None:
    run = everything(scene).run
    scene.go_on_while(run, lambda: not run.batches.filter(status=BatchStatus.SUBMITTED).exists())
    scene.control.fault(path="/REST/", status=403)
    for _ in range(3):
        runs.sweep(outside=scene.outside, clock=scene.clock)
        run.refresh_from_db()
        assert (run.status, run.next_at is not None) == (RunStatus.WAITING, True)
        scene.clock.passes(timedelta(minutes=2))
    scene.control.clear_faults()

    scene.go_on(run)

    assert run.status == RunStatus.SUCCEEDED
    assert len(scene.standin.effects()) == 10


def test_keys_that_are_wrong_for_a_while_lose_nothing_that_was_approved(scene: Scene) -> None:
    run, gone = a_suppression(scene)
    scene.control.fault(**BULK, status=401, times=2)

    scene.go_on(run)

    assert run.status == RunStatus.SUCCEEDED
    assert set(scene.members(scene.lists.suppression)) == {contact.pk for contact in gone}
    assert run.batches.get().attempt == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE lists SET is_deleted = 1 WHERE id = 10503498", "MAILJET_CAMPAIGN_LIST_2_ID is 10503498"),
        ("UPDATE lists SET is_deleted = 1 WHERE id = 5776", "MAILJET_MASTER_LIST_ID is 5776"),
    ],
)
def test_a_list_that_mailjet_deleted_ends_the_run_naming_the_variable(
    scene: Scene, change: str, words: str
) -> None:
    run = a_fresh_run(scene)
    scene.at_mailjet(change)

    scene.go_on(run)

    assert run.status == RunStatus.FAILED
    assert words in run.report
    assert "restore it. Nothing was changed" in run.report


# --- What nobody expected ----------------------------------------------------------------------------


class Broken(Exception):
    """A mistake of ours; its words name somebody."""


def test_an_unexpected_error_is_noted_without_its_words_and_raised_and_the_run_goes_on_later(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    run = a_fresh_run(scene)

    class Breaking(Mailjet):
        def lists(self) -> list[MailjetList]:
            raise Broken("no such person: somebody@example.com")

    with (
        scenes.connect_as(Breaking, scene.standin) as mailjet,
        caplog.at_level(logging.INFO),
        pytest.raises(Broken),
    ):
        runs.sweep(outside=scene.with_mailjet(mailjet), clock=scene.clock)

    run.refresh_from_db()
    assert (run.status, run.waits_for, run.retries) == (RunStatus.WAITING, "an unexpected error", 1)
    assert [error["what"] for error in run.errors] == ["Broken"]
    assert run.lease_token is None
    assert "somebody@" not in caplog.text
    assert runs.sweep(outside=scene.outside, clock=scene.clock) == []

    scene.clock.passes(timedelta(seconds=11))
    assert scene.go_on(run).status in FINISHED
    assert run.retries == 0


def test_an_error_of_one_run_keeps_no_other_from_its_turn(scene: Scene) -> None:
    first, _ = a_suppression(scene)
    ListMaintenanceLog.objects.filter(pk=first.pk).update(counts={})  # its report will not find its numbers
    second = factories.a_run(campaign=factories.a_campaign(list=scene.lists.campaign[1]))

    with pytest.raises(KeyError):
        scene.go_on(first)

    second.refresh_from_db()
    first.refresh_from_db()
    assert first.errors[-1]["what"] == "KeyError"
    assert second.status in FINISHED


# --- Off is off --------------------------------------------------------------------------------------


def pause(scene: Scene) -> None:
    factories.the_rollout(paused_at=scene.clock())


def switch_off(scene: Scene) -> None:
    scene.outside = replace(scene.outside, configuration=scenes.configuration(enabled=False))


OFF = pytest.mark.parametrize(
    ("off", "words"), [(pause, "paused by user-"), (switch_off, "LIST_MANAGEMENT_ENABLED is false")]
)


@OFF
def test_while_off_no_write_starts_and_the_run_says_why_it_waits(scene: Scene, off: Any, words: str) -> None:
    run, _ = a_suppression(scene)
    off(scene)

    for _ in range(4):
        runs.sweep(outside=scene.outside, clock=scene.clock)
        scene.clock.passes(timedelta(minutes=2))

    run.refresh_from_db()
    assert scene.standin.writes() == []
    assert run.status == RunStatus.WAITING
    assert run.waits_for.startswith(words)


@OFF
def test_when_switched_off_jobs_at_mailjet_are_followed_and_no_further_one_starts(
    scene: Scene, off: Any, words: str
) -> None:
    run = everything(scene).run
    scene.go_on_while(run, lambda: not run.batches.filter(status=BatchStatus.SUBMITTED).exists())
    off(scene)

    for _ in range(6):
        runs.sweep(outside=scene.outside, clock=scene.clock)
        scene.clock.passes(timedelta(minutes=2))

    assert len(scene.standin.writes()) == 1
    assert run.batches.get(position=1).status == BatchStatus.APPLIED
    assert len(scene.standin.effects()) == 4
    run.refresh_from_db()
    assert run.status == RunStatus.WAITING
    assert run.waits_for.startswith(words)


def test_switched_on_again_it_ends_as_if_it_had_never_been_off(scene: Scene) -> None:
    run = everything(scene).run
    switched_on = scene.outside
    switch_off(scene)
    for _ in range(3):
        runs.sweep(outside=scene.outside, clock=scene.clock)
        scene.clock.passes(timedelta(minutes=2))
    scene.outside = switched_on

    end = outcome(scene, scene.go_on(run))

    assert end["run"] == (RunStatus.SUCCEEDED, 2, 2, 2)
    assert end["jobs"] == 4


class PausedWhileReading(Mailjet):
    """While this worker reads where the contacts stand, somebody presses pause."""

    scene: Scene

    def lists_of_contact(self, contact_id: int) -> list[ContactMembership] | None:
        if not RolloutState.objects.exists():
            pause(self.scene)
        return super().lists_of_contact(contact_id)


def test_paused_while_it_is_read_where_contacts_stand_nothing_is_sent(scene: Scene) -> None:
    run, _ = a_placement(scene)

    with scenes.connect_as(PausedWhileReading, scene.standin) as mailjet:
        mailjet.scene = scene
        runs.advance(run.pk, outside=scene.with_mailjet(mailjet), clock=scene.clock)

    assert RolloutState.objects.get().paused_at is not None
    assert scene.standin.writes() == []
    assert run.batches.get().status == BatchStatus.INTENDED


# --- The whole of it ---------------------------------------------------------------------------------


def test_the_demo_comes_to_the_same_figures_with_faults_at_every_turn(scene_of_demo: Scene) -> None:
    scene = scene_of_demo
    for fault in ({"status": 502}, {"timeout_after_acceptance": 0}, {"job": "lie"}, {"job": "error"}):
        scene.control.fault(**BULK, **fault, times=1)
    scene.control.fault(path="/REST/", method="GET", status=502, probability=0.05)
    run = post_campaign.start(
        JUDGED,
        trigger=Trigger.SCHEDULE,
        by=None,
        configuration=scene.outside.configuration,
        now=scene.clock(),
    )
    reviewer = factories.a_reviewer()

    while run.status not in FINISHED:
        scene.go_on(run, tries=200)
        for decision in run.decisions.filter(status=DecisionStatus.OPEN):
            review.approve(decision.pk, by=reviewer, now=scene.clock())

    counted = {name: run.counts[name] for name in ("suppressed", "held", "placed", "moved")}
    assert counted == {"suppressed": 110, "held": 126, "placed": 300, "moved": 52}
    assert run.status == RunStatus.SUCCEEDED
    assert run.state_after is not None
    assert run.state_after["deviation"] == 1.99
    changes = [(row["contact_id"], row["list_id"]) for row in scene.control.changes()]
    assert len(changes) == len(set(changes)) == 2 * 110 + 300 + 2 * 52
