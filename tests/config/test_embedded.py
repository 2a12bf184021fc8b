"""Embedded services: shared by whoever needs them, stopped with the last, healed after any death."""

import os
import signal
import time
from pathlib import Path

import psycopg
import pytest
import redis
from environ import Env

from config import embedded, processes, services
from tests.config.running import user

SERVICES = ("postgres", "redis", "stand-ins", "undertaker")


def running(home: Path) -> list[str]:
    """The names of what runs in a home."""
    directory = home / "services"
    return [name for name in (*SERVICES, "worker") if processes.holder(directory, name) is not None]


def wait_until_nothing_runs(home: Path) -> None:
    deadline = time.monotonic() + 30
    while running(home):
        assert time.monotonic() < deadline, f"still running: {running(home)}"
        time.sleep(0.05)


def kill(home: Path, *names: str) -> None:
    for name in names:
        pid = processes.holder(home / "services", name)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while processes.holder(home / "services", name) == pid:  # the kernel takes its time on a busy machine
            assert time.monotonic() < deadline, f"{name} ({pid}) outlives its kill"
            time.sleep(0.01)


def connect(url: str | None) -> psycopg.Connection:
    assert url is not None
    configured = Env.db_url_config(url)
    return psycopg.connect(
        host=configured["OPTIONS"]["host"], user="postgres", dbname=configured["NAME"], autocommit=True
    )


@pytest.mark.processes
def test_two_users_share_the_services_and_the_last_to_end_stops_them(tmp_path: Path) -> None:
    with user(tmp_path) as first, user(tmp_path) as second:
        assert second.addresses == first.addresses
        first.end()
        assert running(tmp_path) == [*SERVICES]
        assert redis.Redis.from_url(str(second.addresses["REDIS_URL"])).ping()
    assert running(tmp_path) == []


@pytest.mark.processes
def test_when_the_last_user_is_killed_the_services_and_what_it_started_end_too(tmp_path: Path) -> None:
    with user(tmp_path, "worker") as only:
        assert running(tmp_path) == [*SERVICES, "worker"]
        only.kill()
        wait_until_nothing_runs(tmp_path)


@pytest.mark.processes
def test_after_everything_was_killed_the_next_start_heals_and_has_lost_no_row(tmp_path: Path) -> None:
    with user(tmp_path) as first:
        with connect(first.addresses["DATABASE_URL"]) as database:
            database.execute("create table kept as select 42 as answer")
        kill(tmp_path, "undertaker", "postgres", "redis", "stand-ins")
        first.kill()
    with user(tmp_path) as second, connect(second.addresses["DATABASE_URL"]) as database:
        assert database.execute("select answer from kept").fetchone() == (42,)
        assert running(tmp_path) == [*SERVICES]
    assert running(tmp_path) == []


@pytest.mark.processes
def test_services_that_outlived_their_users_are_taken_over(tmp_path: Path) -> None:
    with user(tmp_path) as first:
        kill(tmp_path, "undertaker")
        first.kill()
    assert running(tmp_path) == ["postgres", "redis", "stand-ins"]
    with user(tmp_path) as second:
        assert second.addresses == first.addresses
    assert running(tmp_path) == []


@pytest.mark.processes
def test_a_service_that_died_under_its_users_is_started_again_for_the_next(tmp_path: Path) -> None:
    with user(tmp_path) as first:
        kill(tmp_path, "redis")
        with user(tmp_path) as second:
            assert second.addresses["REDIS_URL"] != first.addresses["REDIS_URL"]
            assert redis.Redis.from_url(str(second.addresses["REDIS_URL"])).ping()


@pytest.mark.processes
def test_a_home_with_a_long_path_and_odd_characters_works_and_leaves_nothing_in_tmp(tmp_path: Path) -> None:
    home = tmp_path / ("a long, 'quoted' name " * 8).strip()
    with user(home) as only, connect(only.addresses["DATABASE_URL"]) as database:
        assert database.execute("select lower('ÄÉ')").fetchone() == ("äé",)
        [sockets] = [Path(found) for (found,) in database.execute("show unix_socket_directories")]
        assert sockets.parent == Path("/tmp")
    assert not sockets.exists()


@pytest.mark.processes
def test_two_homes_share_nothing(tmp_path: Path) -> None:
    with user(tmp_path / "one") as one, user(tmp_path / "two") as two:
        assert not set(one.addresses.values()) & set(two.addresses.values())
        own = str(one.addresses["REDIS_URL"])
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=int(own.rsplit(":", 1)[1].split("/")[0])).ping()


@pytest.mark.processes
def test_what_is_configured_is_left_alone(tmp_path: Path) -> None:
    ours = {"DATABASE_URL": "postgres://a@b.invalid/c", "MAILJET_API_KEY": "k", "MAILJET_API_SECRET": "s"}
    with user(tmp_path, **ours) as one:
        assert one.addresses["DATABASE_URL"] == ours["DATABASE_URL"]
        assert one.addresses["MAILJET_BASE_URL"] is None
        assert running(tmp_path) == ["redis", "undertaker"]


@pytest.mark.parametrize("debug", ["", "false", "yes"])
def test_nothing_is_provided_outside_development(
    debug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEBUG", debug)
    monkeypatch.setenv("EVENKEEL_HOME", str(tmp_path))
    monkeypatch.delenv("DATABASE_URL")

    embedded.provide()

    assert "DATABASE_URL" not in os.environ
    assert not any(tmp_path.iterdir())


def test_a_service_that_does_not_start_says_so_with_the_end_of_its_log(tmp_path: Path) -> None:
    failing = processes.start(tmp_path, "redis", ["sh", "-c", "echo no such option; exit 1"])

    with pytest.raises(services.EmbeddedServiceFailed, match=r"redis did not start(.|\n)*no such option"):
        services.wait(failing, lambda: False, directory=tmp_path, name="redis")
