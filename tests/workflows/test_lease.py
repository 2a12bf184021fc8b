"""One worker advances a run at a time, and whoever lost the run changes nothing any more."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from integrations.mailjet import JobId, Mailjet, MailjetList
from listmanagement.models import (
    FINISHED,
    BatchStatus,
    ListMaintenanceLog,
    OperationBatch,
    RunStatus,
    Step,
)
from listmanagement.workflows import runs
from listmanagement.workflows.changes import journal
from listmanagement.workflows.running import lease as leases
from listmanagement.workflows.running.lease import Lease, LeaseLost
from listmanagement.workflows.running.steps import Hand
from tests import factories
from tests.workflows import scene as scenes
from tests.workflows.scene import Scene

pytestmark = pytest.mark.django_db(transaction=True)

SOON = 0.02  # seconds


@pytest.fixture
def run() -> ListMaintenanceLog:
    return factories.a_run()


def expire(run: ListMaintenanceLog) -> None:
    """Its worker has been gone for longer than a lease lasts."""
    ListMaintenanceLog.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def steal(run_id: int) -> uuid.UUID:
    """Another worker has it now."""
    token = uuid.uuid4()
    ListMaintenanceLog.objects.filter(pk=run_id).update(
        lease_owner="another:1", lease_token=token, lease_until=timezone.now() + timedelta(minutes=1)
    )
    return token


# --- Claiming ----------------------------------------------------------------------------------------


def test_of_workers_that_claim_at_once_one_wins(run: ListMaintenanceLog) -> None:
    claimed = scenes.together(8, lambda: leases.claim(run.pk))

    [winner] = [lease for lease in claimed if lease is not None]
    run.refresh_from_db()
    assert run.lease_token == winner.token
    assert run.lease_owner


def test_of_workers_that_take_over_at_once_one_wins(run: ListMaintenanceLog) -> None:
    leases.claim(run.pk)
    expire(run)

    claimed = scenes.together(8, lambda: leases.claim(run.pk))

    assert len([lease for lease in claimed if lease is not None]) == 1


def test_a_live_lease_is_not_taken_and_an_expired_one_is(run: ListMaintenanceLog) -> None:
    first = leases.claim(run.pk)
    assert first is not None
    assert leases.claim(run.pk) is None

    expire(run)

    second = leases.claim(run.pk)
    assert second is not None
    assert second.token != first.token


@pytest.mark.parametrize("status", FINISHED)
def test_nobody_claims_a_finished_run(status: RunStatus) -> None:
    assert leases.claim(factories.a_run(status=status).pk) is None


def test_a_lease_given_back_is_free_at_once(run: ListMaintenanceLog) -> None:
    first = leases.claim(run.pk)
    assert first is not None

    first.give_back()

    run.refresh_from_db()
    assert (run.lease_owner, run.lease_token, run.lease_until) == ("", None, None)
    assert leases.claim(run.pk) is not None


# --- Losing ------------------------------------------------------------------------------------------


def test_whoever_lost_the_lease_writes_nothing(run: ListMaintenanceLog) -> None:
    lease = leases.claim(run.pk)
    assert lease is not None
    steal(run.pk)

    with pytest.raises(LeaseLost, match=f"run {run.pk} was taken over"), lease.writing():
        pytest.fail("it may not come this far")
    assert not lease.renew()


def test_what_was_being_written_when_a_step_failed_is_not_kept(run: ListMaintenanceLog) -> None:
    lease = leases.claim(run.pk)
    assert lease is not None

    def write_half() -> None:
        with lease.writing() as held:
            held.report = "half"
            held.save()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()

    run.refresh_from_db()
    assert run.report == ""


def test_nobody_takes_the_lease_over_while_its_worker_writes(run: ListMaintenanceLog) -> None:
    lease = leases.claim(run.pk)
    assert lease is not None
    expire(run)

    with lease.writing() as held:
        claiming = scenes.in_the_background(lambda: leases.claim(run.pk))
        time.sleep(0.1)
        assert not claiming.done()
        held.report = "written in time"
        held.save()

    assert claiming.result(timeout=10) is not None
    run.refresh_from_db()
    assert run.report == "written in time"


def test_whoever_lost_the_lease_does_not_end_the_other_ones(run: ListMaintenanceLog) -> None:
    lease = leases.claim(run.pk)
    assert lease is not None
    token = steal(run.pk)

    lease.give_back()

    run.refresh_from_db()
    assert run.lease_token == token


# --- Keeping -----------------------------------------------------------------------------------------


def lease_until(run: ListMaintenanceLog) -> Any:
    return ListMaintenanceLog.objects.values_list("lease_until", flat=True).get(pk=run.pk)


def test_a_lease_is_renewed_while_its_worker_works_and_given_back_at_the_end(
    run: ListMaintenanceLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEWED_EVERY_SECONDS", SOON)
    lease = leases.claim(run.pk)
    assert lease is not None
    before = lease_until(run)

    with leases.kept(lease):
        scenes.wait_until(lambda: bool(lease_until(run) > before))

    assert lease_until(run) is None


def test_a_renewal_that_the_database_refused_is_tried_again(
    run: ListMaintenanceLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEWED_EVERY_SECONDS", SOON)
    lease = leases.claim(run.pk)
    assert lease is not None
    with leases.kept(lease):
        first = lease_until(run)
        scenes.wait_until(lambda: bool(lease_until(run) > first))
        with connection.cursor() as cursor:
            cursor.execute(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity"
                " where pid <> pg_backend_pid() and datname = current_database()"
            )
            assert cursor.fetchone()[0] >= 1
        then = lease_until(run)

        scenes.wait_until(lambda: bool(lease_until(run) > then))


def test_a_worker_whose_lease_was_taken_stops_renewing_and_may_not_send(
    run: ListMaintenanceLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEWED_EVERY_SECONDS", SOON)
    lease = leases.claim(run.pk)
    assert lease is not None
    lease.check_fresh()
    token = steal(run.pk)

    def may_not_send() -> bool:
        try:
            lease.check_fresh()
        except LeaseLost:
            return True
        return False

    with leases.kept(lease):
        scenes.wait_until(may_not_send)

    run.refresh_from_db()
    assert run.lease_token == token


# --- Under way ---------------------------------------------------------------------------------------


class StolenAtTheFirstRead(Mailjet):
    """While this worker waits for Mailjet, another one takes its run."""

    run_id: int

    def lists(self) -> list[MailjetList]:
        steal(self.run_id)
        return super().lists()


class StolenAtThePost(Mailjet):
    """While this worker's write is on its way, another one takes its run."""

    run_id: int

    def submit_changes(self, **request: Any) -> JobId:
        job = super().submit_changes(**request)
        steal(self.run_id)
        return job


def test_a_step_under_way_stops_when_its_lease_is_lost(scene: Scene) -> None:
    scenes.people(2, on=[scene.lists.master, scene.lists.campaign[0]])
    scene.publish()
    run = factories.a_run()
    with scenes.connect_as(StolenAtTheFirstRead, scene.standin) as mailjet:
        mailjet.run_id = run.pk
        runs.advance(run.pk, outside=scene.with_mailjet(mailjet), clock=scene.clock)

    run.refresh_from_db()
    assert (run.status, run.step, run.state_before) == (RunStatus.RUNNING, Step.CAPTURE_BEFORE, None)
    assert (run.seconds, run.requests, run.errors) == ({}, 0, [])
    assert run.lease_owner == "another:1"


def test_the_answer_of_a_write_is_left_to_who_took_the_run_over(scene: Scene) -> None:
    run, gone = a_suppression(scene)
    with scenes.connect_as(StolenAtThePost, scene.standin) as mailjet:
        mailjet.run_id = run.pk
        runs.advance(run.pk, outside=scene.with_mailjet(mailjet), clock=scene.clock)
    batch = run.batches.get()
    assert (batch.status, batch.job_id) == (BatchStatus.SENDING, None)
    expire(run)

    scene.go_on(run)

    assert run.status == RunStatus.SUCCEEDED
    assert len(scene.standin.writes()) == 1
    assert set(scene.members(scene.lists.suppression)) == set(gone)


def test_a_worker_that_was_paused_past_its_lease_sends_nothing(scene: Scene) -> None:
    run, _ = a_suppression(scene)
    lease = leases.claim(run.pk)
    assert lease is not None
    journal.intend(a_hand(scene, run, lease), run.decisions.all())
    long_ago = Lease(run_id=run.pk, token=lease.token, _renewed=time.monotonic() - leases.LASTS_SECONDS - 1)

    with pytest.raises(LeaseLost, match="while this worker was paused"):
        journal.drive(a_hand(scene, run, long_ago))

    assert scene.standin.writes() == []
    lease.give_back()
    scene.go_on(run)
    assert len(scene.standin.writes()) == 1
    assert OperationBatch.objects.get().status == BatchStatus.APPLIED


def a_suppression(scene: Scene) -> tuple[ListMaintenanceLog, list[int]]:
    """A run that is about to suppress two of the three members of each list."""
    for contact_list in scene.lists.campaign:
        scenes.people(1, on=[scene.lists.master, contact_list])
    gone = scenes.people(2, on=[scene.lists.master, scene.lists.campaign[0]])
    run = scenes.a_run_to_execute()
    scenes.to_suppress(run, gone, source=scene.lists.campaign[0])
    scene.publish()
    return run, [contact.pk for contact in gone]


def a_hand(scene: Scene, run: ListMaintenanceLog, lease: Lease) -> Hand:
    return Hand(run=run, lease=lease, outside=scene.outside, clock=scene.clock)
