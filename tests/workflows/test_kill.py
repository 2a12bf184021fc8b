"""Real worker processes, killed and paused in the middle of executing, and one without a broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import pytest
import redis
from django.db import connection

from config.celery import app
from listmanagement import tasks
from listmanagement.models import (
    BatchStatus,
    ContactListMembership,
    ListMaintenanceLog,
    ListOperation,
    OperationBatch,
    RunStatus,
)
from tests.conftest import ROOT
from tests.workflows import scene as scenes
from tests.workflows.executing import a_suppression, anew, everything, outcome
from tests.workflows.scene import Clock, Scene, StandIn

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.processes,
    pytest.mark.xdist_group("processes"),
]

NO_BROKER = "redis://127.0.0.1:1/0"


def database_url() -> str:
    """The tests' own database, as another process names it."""
    name = quote(str(connection.settings_dict["NAME"]))
    return urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}"))


@pytest.fixture
def broker() -> Iterator[str]:
    """A Redis database of this test's own, empty."""
    url = urlunsplit(urlsplit(os.environ["REDIS_URL"])._replace(path="/9"))
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()


@pytest.fixture
def real_time(tmp_path: Path) -> Iterator[StandIn]:
    """A stand-in that lives in the present, as the processes do."""
    with scenes.stand_in(tmp_path / "present") as standin:
        standin.serving.world.clock.offset = 0.0
        yield standin


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start_worker(real_time: StandIn, tmp_path: Path) -> Iterator[Start]:
    """Starts workers as the Procfile does. Each is gone when the test ends."""
    started: list[subprocess.Popen[bytes]] = []
    command = "-m celery -A config.celery worker --pool threads --concurrency 2 --loglevel warning"

    def start(broker: str) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "DATABASE_URL": database_url(),
            "REDIS_URL": broker,
            "MAILJET_BASE_URL": real_time.url,
            "SLACK_API_BASE_URL": f"{real_time.url}/slack/api/",
            "EVENKEEL_HOME": str(tmp_path / "home"),
        }
        with (tmp_path / f"worker-{len(started)}.log").open("wb") as log:
            started.append(
                subprocess.Popen(
                    [sys.executable, *command.split()], cwd=ROOT, env=environment, stdout=log, stderr=log
                )
            )
        return started[-1]

    yield start
    for worker in started:
        worker.kill()
        worker.wait(timeout=10)


def in_the_present(scene: Scene, standin: StandIn) -> Scene:
    """The scene anew, at the stand-in that the processes know."""
    return replace(anew(scene), standin=standin, clock=Clock(standin.serving))


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


def writes_under_way(standin: StandIn) -> int:
    """How many write requests have arrived at Mailjet and are not answered yet."""
    return sum(each["method"] != "GET" for each in standin.control.requests()["under_way"])


def everything_written() -> list[object]:
    """All that a run writes, times and all."""
    written = (ListMaintenanceLog, OperationBatch, ListOperation, ContactListMembership)
    return [row for kind in written for row in kind._default_manager.order_by("pk").values()]


def test_without_a_broker_the_workers_own_sweep_goes_on(
    scene: Scene, real_time: StandIn, start_worker: Start
) -> None:
    scene = in_the_present(scene, real_time)
    run, gone = a_suppression(scene)

    start_worker(NO_BROKER)

    scenes.wait_until(lambda: has_ended(run), seconds=60)
    assert set(scene.members(scene.lists.suppression)) == {contact.pk for contact in gone}
    assert real_time.jobs() == 1
