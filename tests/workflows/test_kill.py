"""Real worker processes, killed and paused in the middle of executing, and one without a broker."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis

from config.celery import app
from integrations.cache import Cache
from listmanagement import tasks
from listmanagement.models import (
    BatchStatus,
    ContactListMembership,
    ListChange,
    ListMaintenanceLog,
    ListOperation,
    OperationBatch,
    RunStatus,
)
from listmanagement.workflows.glance import list_cache
from listmanagement.workflows.glance.overview import Overview
from tests.own_redis import own_redis
from tests.workflows import scene as scenes
from tests.workflows.executing import a_suppression, everything, outcome
from tests.workflows.processes import (
    NO_BROKER,
    Start,
    in_the_present,
    real_time,
    start_worker,
    writes_under_way,
)
from tests.workflows.scene import Scene, StandIn

__all__ = ["real_time", "start_worker"]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.processes,
    pytest.mark.xdist_group("processes"),
]


@pytest.fixture
def broker() -> Iterator[str]:
    """A Redis database of this test's own, empty."""
    url = urlunsplit(urlsplit(os.environ["REDIS_URL"])._replace(path="/9"))
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()


def nudge(run: ListMaintenanceLog, *, broker: str) -> None:
    with app.connection(broker) as connected:
        tasks.advance.apply_async((run.pk,), connection=connected)


def has_ended(run: ListMaintenanceLog) -> bool:
    run.refresh_from_db()
    return run.status == RunStatus.SUCCEEDED


def test_a_worker_killed_while_mailjet_works_for_it_is_replaced_within_a_minute(
    scene: Scene, real_time: StandIn, start_worker: Start, broker: str
) -> None:
    run = everything(scene).run
    undisturbed = outcome(scene, scene.go_on(run))
    scene = in_the_present(scene, real_time)
    run = everything(scene).run
    real_time.control.settings(job_seconds=2.0)
    nudge(run, broker=broker)
    first = start_worker(broker)
    scenes.wait_until(lambda: real_time.jobs() == 1, seconds=30)

    first.kill()
    first.wait(timeout=10)

    batch = OperationBatch.objects.get(position=1)
    assert batch.status in (BatchStatus.SENDING, BatchStatus.SUBMITTED)
    start_worker(broker)
    scenes.wait_until(
        lambda: OperationBatch.objects.filter(pk=batch.pk, status=BatchStatus.APPLIED).exists(), seconds=60
    )
    scenes.wait_until(lambda: has_ended(run), seconds=60)
    assert outcome(scene, run) == undisturbed


def test_a_worker_paused_past_its_lease_changes_nothing_when_it_wakes(
    scene: Scene, real_time: StandIn, start_worker: Start, broker: str, tmp_path: Path
) -> None:
    run = everything(scene).run
    undisturbed = outcome(scene, scene.go_on(run))
    scene = in_the_present(scene, real_time)
    run = everything(scene).run
    real_time.control.fault(path="managemanycontacts$", method="POST", delay_seconds=1.0, times=1)
    nudge(run, broker=broker)
    worker = start_worker(broker)
    scenes.wait_until(lambda: writes_under_way(real_time) == 1, seconds=30)
    worker.send_signal(signal.SIGSTOP)
    scenes.wait_until(lambda: real_time.jobs() == 1, seconds=10)
    ListMaintenanceLog.objects.update(lease_until=scene.clock())

    with scenes.connect(real_time) as mailjet:
        replace(scene, outside=scene.with_mailjet(mailjet)).go_on(run)
    before = everything_written()
    worker.send_signal(signal.SIGCONT)

    scenes.wait_until(lambda: b"lease lost" in (tmp_path / "worker-0.log").read_bytes(), seconds=20)
    assert everything_written() == before
    assert outcome(scene, run) == undisturbed


def everything_written() -> list[object]:
    """All that a run writes, times and all."""
    written = (ListMaintenanceLog, OperationBatch, ListOperation, ContactListMembership)
    return [row for kind in written for row in kind._default_manager.order_by("pk").values()]


def test_redis_is_stopped_in_the_middle_of_a_run_and_the_run_completes(
    scene: Scene, real_time: StandIn, start_worker: Start, tmp_path: Path
) -> None:
    """Broker and cache are gone at once: the sweep goes on, and pages count for themselves."""
    scene = in_the_present(scene, real_time)
    run, gone = a_suppression(scene)
    real_time.control.settings(job_seconds=2.0)
    with own_redis(tmp_path) as broker:
        cache = Cache(broker.url, prefix="pages:", seconds=60, rests=0)
        nudge(run, broker=broker.url)
        start_worker(broker.url)
        scenes.wait_until(lambda: real_time.jobs() == 1, seconds=30)
        at_a_glance(cache, scene)

        broker.stop()

        scenes.wait_until(lambda: has_ended(run), seconds=60)
        shown = at_a_glance(cache, scene)
    assert set(scene.members(scene.lists.suppression)) == {contact.pk for contact in gone}
    assert shown.lists[scene.lists.suppression.pk].members == len(gone)


def at_a_glance(cache: Cache, scene: Scene) -> Overview:
    """What the lists' page shows at this moment."""
    return list_cache.of_lists(states=ListChange.objects.states(), cache=cache, now=scene.clock())


def test_without_a_broker_the_workers_own_sweep_goes_on(
    scene: Scene, real_time: StandIn, start_worker: Start
) -> None:
    scene = in_the_present(scene, real_time)
    run, gone = a_suppression(scene)

    start_worker(NO_BROKER)

    scenes.wait_until(lambda: has_ended(run), seconds=60)
    assert set(scene.members(scene.lists.suppression)) == {contact.pk for contact in gone}
    assert real_time.jobs() == 1
