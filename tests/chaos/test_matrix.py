"""Killed at any instant of a whole run, it is finished by the next worker's sweep as if nothing had been.

Nine steps, from reading the campaign to the report, with suppressions, placements and moves between them.
What asks for a person is approved by one, whenever it is there.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from listmanagement.models import (
    Decision,
    ListMaintenanceLog,
    RunStatus,
    Step,
    Trigger,
)
from listmanagement.workflows.by_people import review
from listmanagement.workflows.maintenance import post_campaign
from tests import factories
from tests.workflows import scene as scenes
from tests.workflows.executing import outcome
from tests.workflows.processes import NO_BROKER, in_the_present, real_time, start_worker, writes_under_way
from tests.workflows.scene import Scene, StandIn
from tests.workflows.sends import (
    UNKNOWN_USER,
    a_last_round,
    a_rotation,
    has_changed_lists,
    has_observed,
)

__all__ = ["real_time", "start_worker"]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.processes,
    pytest.mark.xdist_group("processes"),
]

STEPS = [step for step in Step if step in post_campaign.STEPS]
WRITES = range(1, 7)
"""The run's requests that change lists: a suppression, placements, moves in and moves out."""


@dataclass(frozen=True)
class Point:
    """An instant at which the process dies: of a step, or of the run's n-th request that changes lists."""

    what: str
    when: str

    def __str__(self) -> str:
        return f"{self.what} {self.when}"


def every_point() -> list[Point]:
    """Before, in the middle and after each step; before each write, while Mailjet has it, and after."""
    steps = [Point(f"step {step.value}", when) for step in STEPS for when in ("before", "during", "after")]
    during = ("before", "while it arrives", "between request and reply", "after")
    return [*steps, *(Point(f"write {n}", when) for n in WRITES for when in during)]


A_FEW = ("write 1 between request and reply",)
POINTS = [each for each in every_point() if os.environ.get("EVENKEEL_CHAOS") or str(each) in A_FEW]


# --- A whole run -----------------------------------------------------------------------------------------


def a_whole_run(scene: Scene) -> ListMaintenanceLog:
    """About to begin: two gone from list 1, a backlog, and lists that are uneven after a cycle's end."""
    members = a_rotation(scene, sizes=[50, 44, 56], backlog=4)
    has_observed()
    has_changed_lists()
    campaign = a_last_round(scene, failed={UNKNOWN_USER: members[0][:2]})
    return post_campaign.start(
        campaign.pk,
        trigger=Trigger.SCHEDULE,
        by=None,
        configuration=scene.outside.configuration,
        now=timezone.now(),
    )


def approve_all(run: ListMaintenanceLog) -> None:
    """A reviewer says yes to whatever the run asks."""
    for decision in Decision.objects.awaiting_review().filter(run=run):
        review.approve(decision.pk, by=factories.a_reviewer(), now=timezone.now())


def has_ended(run: ListMaintenanceLog) -> bool:
    approve_all(run)
    run.refresh_from_db()
    return run.status == RunStatus.SUCCEEDED


# --- Processes -------------------------------------------------------------------------------------------

Start = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def start(start_worker: Callable[..., subprocess.Popen[bytes]]) -> Start:
    """Starts a worker that dies at a point. Without a broker: its own sweep does all of it."""
    return lambda dies_at: start_worker(NO_BROKER, command="-m tests.chaos.worker", EVENKEEL_DIES_AT=dies_at)


def dies(worker: subprocess.Popen[bytes], run: ListMaintenanceLog, *, seconds: float = 120) -> None:
    """It dies by itself; whatever the run asks meanwhile is approved."""

    def is_dead() -> bool:
        approve_all(run)
        return worker.poll() is not None

    scenes.wait_until(is_dead, seconds=seconds)
    assert worker.returncode == -signal.SIGKILL


def kill_at(point: Point, run: ListMaintenanceLog, *, start: Start, standin: StandIn) -> None:
    """A worker begins the run and dies at this point of it."""
    path = {"path": "managemanycontacts$", "method": "POST"}
    match point.when:
        case "while it arrives" | "between request and reply":
            number = int(point.what.removeprefix("write "))
            arrives = point.when == "while it arrives"
            jobs = number - 1 if arrives else number
            if number > 1:
                standin.control.fault(**path, delay_seconds=0.0, times=number - 1)
            standin.control.fault(
                **path, **{"delay_seconds" if arrives else "timeout_after_acceptance": 30.0}, times=1
            )
            worker = start("never")
            scenes.wait_until(lambda: _is_there(standin, jobs=jobs, run=run), seconds=300)
            worker.kill()
            worker.wait(timeout=10)
            standin.control.clear_faults()
        case _:
            dies(start(str(point)), run)


def _is_there(standin: StandIn, *, jobs: int, run: ListMaintenanceLog) -> bool:
    approve_all(run)
    return standin.jobs() == jobs and writes_under_way(standin) == 1


# --- The matrix ------------------------------------------------------------------------------------------

_undisturbed: dict[str, Mapping[str, Any]] = {}


def undisturbed(scene: Scene, standin: StandIn, start: Start) -> Mapping[str, Any]:
    """How the run ends when nobody dies. Found out once a process."""
    if "run" not in _undisturbed:
        scene = in_the_present(scene, standin)
        run = a_whole_run(scene)
        worker = start("never")
        scenes.wait_until(lambda: has_ended(run), seconds=180)
        worker.kill()
        worker.wait(timeout=10)
        _undisturbed["run"] = outcome(scene, run)
        assert len(_undisturbed["run"]["effects"]) > 0
        assert _undisturbed["run"]["jobs"] == len(WRITES)
    return _undisturbed["run"]


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_the_next_workers_sweep_ends_it_as_undisturbed(
    point: Point,
    scene: Scene,
    real_time: StandIn,
    start: Start,
    record_property: Callable[[str, object], None],
) -> None:
    expected = undisturbed(scene, real_time, start)
    scene = in_the_present(scene, real_time)
    run = a_whole_run(scene)
    kill_at(point, run, start=start, standin=real_time)
    ListMaintenanceLog.objects.filter(pk=run.pk).exclude(lease_until=None).update(
        lease_until=timezone.now() - timedelta(seconds=1)  # else each point would wait for its 20 seconds
    )

    start("never")
    scenes.wait_until(lambda: has_ended(run) and not writes_under_way(real_time), seconds=300)

    found = outcome(scene, run)
    effects, wanted = Counter(found["effects"]), Counter(expected["effects"])
    record_property("point", str(point))
    record_property("lost", (wanted - effects).total())
    record_property("doubled", (effects - wanted).total())
    if point.when == "while it arrives":
        # What reaches Mailjet later than `journal.SURE_AFTER` is not there when it is looked up, and is sent
        # again. Then it arrives, a job more, and does nothing: the effects say so.
        assert found["jobs"] - expected["jobs"] in (0, 1)
        found = {**found, "jobs": expected["jobs"]}
    assert found == expected
