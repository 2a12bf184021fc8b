"""The journal: every change once, whatever happens in between; and whoever must not be changed drops out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from integrations.mailjet import Job, JobId, Mailjet
from listmanagement.models import (
    BatchStatus,
    ContactSuppressionHistory,
    ListMaintenanceLog,
    OperationBatch,
    RunStatus,
    Step,
)
from listmanagement.workflows.changes import journal
from listmanagement.workflows.running import lease as leases
from tests.workflows import scene as scenes
from tests.workflows.executing import a_suppression, anew, everything, instants, outcome
from tests.workflows.scene import Scene

pytestmark = pytest.mark.django_db(transaction=True)


def test_undisturbed_every_change_is_made_once(scene: Scene) -> None:
    planned = everything(scene)
    one, two, three = scene.lists.campaign

    scene.go_on(planned.run)

    gone, placed, moved = (
        {contact.pk for contact in group} for group in (planned.gone, planned.placed, planned.moved)
    )
    assert planned.run.status == RunStatus.SUCCEEDED
    assert set(scene.members(scene.lists.suppression)) == gone
    assert not set(scene.members(one)) & gone
    assert set(scene.members(two)) > placed
    assert set(scene.members(one)) == moved
    assert not set(scene.members(three)) & moved
    assert len(scene.standin.effects()) == 4 + 2 + 4
    assert len(scene.standin.writes()) == 4
    assert {each.status for each in OperationBatch.objects.all()} == {BatchStatus.APPLIED}
    assert ContactSuppressionHistory.objects.filter(evidence__isnull=False, item__isnull=False).count() == 2


def test_a_job_is_looked_at_when_it_is_1_2_4_and_8_seconds_old(scene: Scene) -> None:
    run, _ = a_suppression(scene)
    scene.control.settings(job_seconds=7.0)
    seen: list[float] = []

    def look() -> bool:
        batch = run.batches.filter(status=BatchStatus.SUBMITTED, job_ended_at=None).first()
        if batch is not None and batch.next_at is not None and batch.sending_at is not None:
            seen.append((batch.next_at - batch.sending_at).total_seconds())
        return True

    scene.go_on_while(run, look)

    assert [round(age) for age in dict.fromkeys(seen)] == [1, 2, 4, 8]
    assert run.status == RunStatus.SUCCEEDED


# --- Killed at any instant ---------------------------------------------------------------------------


RUNS = "listmanagement_listmaintenancelog"


class Killed(BaseException):
    """The process is gone: nothing in it runs any more."""


@dataclass
class Death:
    """A worker that is killed at its n-th instant.

    An instant is before each of its transactions, in the middle of those that conclude operations, and
    before each bulk request and each poll. Between two of them nothing is changed, here or at Mailjet.
    """

    at: int
    instants: int = 0
    is_dead: bool = False

    def instant(self) -> None:
        self.instants += 1
        if self.instants == self.at:
            self.is_dead = True
            raise Killed

    def statement(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        """Around each statement of this thread. A dead process sends none."""
        if self.is_dead:
            raise Killed
        if ("FOR UPDATE" in sql and RUNS in sql) or sql.startswith('UPDATE "listmanagement_decisionitem"'):
            self.instant()
        return execute(sql, params, many, context)


class Mortal(Mailjet):
    """The client of a worker that will be killed."""

    death: Death

    def submit(self, **request: Any) -> JobId:
        self.death.instant()
        return super().submit(**request)

    def submit_changes(self, **request: Any) -> JobId:
        self.death.instant()
        return super().submit_changes(**request)

    def job(self, job_id: JobId, *, list_id: int | None) -> Job:
        self.death.instant()
        return super().job(job_id, list_id=list_id)


def killed_at(instant: int, run: ListMaintenanceLog, scene: Scene) -> bool:
    """A worker takes the run on until it is killed. False when it lived to the run's end."""
    death = Death(at=instant)
    with scenes.connect_as(Mortal, scene.standin) as mailjet, connection.execute_wrapper(death.statement):
        mailjet.death = death
        try:
            replace(scene, outside=scene.with_mailjet(mailjet)).go_on(run)
        except Killed:
            return True
    return False


def another_worker_goes_on(run: ListMaintenanceLog, scene: Scene) -> None:
    """The lease of the one before runs out."""
    ListMaintenanceLog.objects.filter(pk=run.pk).exclude(lease_until=None).update(
        lease_until=timezone.now() - timedelta(seconds=1)
    )
    scene.clock.passes(timedelta(seconds=leases.LASTS_SECONDS))
    scene.go_on(run)


@pytest.mark.parametrize("share", [1, 2])
def test_killed_at_any_instant_it_ends_as_undisturbed(scene: Scene, share: int) -> None:
    run = everything(scene, each=1).run
    undisturbed = outcome(scene, scene.go_on(run))

    for instant in instants(share, of=2):
        scene = anew(scene)
        run = everything(scene, each=1).run
        if not killed_at(instant, run, scene) or run.step == Step.CAPTURE_AFTER:
            break
        another_worker_goes_on(run, scene)
        assert outcome(scene, run) == undisturbed, f"killed at instant {instant}"
    assert instant > 35


@pytest.mark.parametrize("instant", [9, 17])
def test_killed_again_and_again_it_still_ends_as_undisturbed(scene: Scene, instant: int) -> None:
    run = everything(scene, each=1).run
    undisturbed = outcome(scene, scene.go_on(run))
    scene = anew(scene)
    run = everything(scene, each=1).run

    deaths = 0
    while killed_at(instant, run, scene):
        deaths += 1
        ListMaintenanceLog.objects.exclude(lease_until=None).update(
            lease_until=timezone.now() - timedelta(seconds=1)
        )
        scene.clock.passes(timedelta(seconds=leases.LASTS_SECONDS))

    assert deaths >= 3
    assert outcome(scene, run) == undisturbed


def several_batches(scene: Scene) -> ListMaintenanceLog:
    """A run about to suppress three, in a request each: their jobs follow one another."""
    run, _ = a_suppression(scene, contacts=3)
    return run


@pytest.mark.parametrize("share", [1, 2, 3])
def test_killed_at_any_instant_between_several_jobs_it_ends_as_undisturbed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, share: int
) -> None:
    monkeypatch.setattr(journal, "batch_size", lambda _: 1)
    run = several_batches(scene)
    undisturbed = outcome(scene, scene.go_on(run))
    assert (undisturbed["jobs"], len(undisturbed["batches"])) == (3, 3)

    for instant in instants(share, of=3):
        scene = anew(scene)
        run = several_batches(scene)
        if not killed_at(instant, run, scene) or run.step == Step.PLAN_REBALANCING:
            break
        another_worker_goes_on(run, scene)
        assert outcome(scene, run) == undisturbed, f"killed at instant {instant}"
    assert instant > 15
