"""Takes a run to its end as a worker does: advances it, waits as long as it asks for, and goes on.

Where it waits for a review somebody approves an hour later. That hour passes on the stand-in's clock alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from listmanagement.management.benchmarks.account import Scene
from listmanagement.models import FINISHED, Decision, ListMaintenanceLog, RunStatus, Trigger
from listmanagement.workflows import notify, runs
from listmanagement.workflows.by_people import review
from listmanagement.workflows.maintenance import post_campaign

REVIEWED_AFTER = timedelta(hours=1)


@dataclass
class Driven:
    """How a run went. Seconds are by the clock on the wall."""

    run: ListMaintenanceLog
    active: float = 0.0
    """From its first instant to its last, without the reviews."""
    waited: float = 0.0
    """Of these: for Mailjet's jobs, while nobody works on the run."""
    cpu: float = 0.0
    """Seconds of this process's processors, the stand-ins' threads among them."""
    reviewed: timedelta = timedelta()
    """How long it waited for its reviews, on the stand-in's clock."""


def begin(scene: Scene) -> ListMaintenanceLog:
    """The run after the scene's campaign, as the schedule starts it."""
    return post_campaign.start(
        scene.campaign.pk,
        trigger=Trigger.SCHEDULE,
        by=None,
        configuration=scene.outside.configuration,
        now=scene.now(),
    )


def drive(run: ListMaintenanceLog, scene: Scene, *, sleep: Callable[[Scene, timedelta], None]) -> Driven:
    """Advance the run until it has ended. The outbox is emptied after each turn, as by a worker."""
    driven = Driven(run)
    while run.status not in FINISHED:
        began, cpu = time.perf_counter(), time.process_time()
        run = driven.run = runs.advance(run.pk, outside=scene.outside, clock=scene.now)
        notify.deliver_due(slack=scene.outside.slack, now=scene.now())
        if run.status == RunStatus.WAITING:
            _wait(run, scene, driven, sleep=sleep)
        driven.active += time.perf_counter() - began
        driven.cpu += time.process_time() - cpu
        if run.status == RunStatus.WAITING_FOR_REVIEW:
            _approve(run, scene)
            driven.reviewed += REVIEWED_AFTER
    return driven


def really(scene: Scene, pause: timedelta) -> None:
    """Wait as a worker does, who is nudged the moment that a wait is over."""
    del scene
    time.sleep(pause.total_seconds())


def on_its_clock(scene: Scene, pause: timedelta) -> None:
    """Let the stand-in's clock pass instead."""
    scene.passes(pause)


def _wait(
    run: ListMaintenanceLog,
    scene: Scene,
    driven: Driven,
    *,
    sleep: Callable[[Scene, timedelta], None],
) -> None:
    assert run.next_at is not None
    pause = max(run.next_at - scene.now(), timedelta())
    sleep(scene, pause)
    driven.waited += pause.total_seconds()


def _approve(run: ListMaintenanceLog, scene: Scene) -> None:
    scene.passes(REVIEWED_AFTER)
    for decision in Decision.objects.awaiting_review().filter(run=run):
        review.approve(decision.pk, by=scene.reviewer, now=scene.now())


def load() -> float:
    """How much runs on this machine, over the last minute, as its kernel counts it."""
    return os.getloadavg()[0]
