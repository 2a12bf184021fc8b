"""Real worker processes of a test, and a stand-in that lives in the present as they do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import pytest
from django.db import connection

from tests.conftest import ROOT
from tests.workflows import scene as scenes
from tests.workflows.executing import anew
from tests.workflows.scene import Clock, Scene, StandIn

NO_BROKER = "redis://127.0.0.1:1/0"
WORKER = "-m celery -A config.celery worker --pool threads --concurrency 2 --loglevel warning"


def database_url() -> str:
    """The tests' own database, as another process names it."""
    name = quote(str(connection.settings_dict["NAME"]))
    return urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}"))


@pytest.fixture
def real_time(tmp_path: Path) -> Iterator[StandIn]:
    """A stand-in that lives in the present, as the processes do."""
    with scenes.stand_in(tmp_path / "present") as standin:
        standin.serving.world.clock.offset = 0.0
        yield standin


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start_worker(real_time: StandIn, tmp_path: Path) -> Iterator[Start]:
    """Starts workers, as the Procfile does where no other is named. Each is gone when the test ends."""
    started: list[subprocess.Popen[bytes]] = []

    def start(broker: str, *, command: str = WORKER, **variables: str) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "DATABASE_URL": database_url(),
            "REDIS_URL": broker,
            "MAILJET_BASE_URL": real_time.url,
            "SLACK_API_BASE_URL": f"{real_time.url}/slack/api/",
            "EVENKEEL_HOME": str(tmp_path / "home"),
            **variables,
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


def writes_under_way(standin: StandIn) -> int:
    """How many write requests have arrived at Mailjet and are not answered yet."""
    return sum(each["method"] != "GET" for each in standin.control.requests()["under_way"])
