"""What is remembered in Redis, and that nobody notices more than slowness when it is away."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import date

import pytest

from integrations.cache import Cache, Tally
from tests.own_redis import OwnRedis, own_redis

TODAY = date(2026, 3, 2)


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    with own_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(server: OwnRedis, clock: Clock) -> Cache:
    """On an empty Redis."""
    with server.client() as client:
        client.flushall()
    return a_cache(server.url, clock)


def a_cache(url: str, clock: Clock, *, prefix: str = "ours:") -> Cache:
    return Cache(url, prefix=prefix, seconds=3600, clock=clock, today=lambda: TODAY)


@pytest.fixture
def stopped(cache: Cache, server: OwnRedis) -> Iterator[OwnRedis]:
    """Redis goes away in the middle; it is back for the next test."""
    cache.set({"a": 1})
    server.stop()
    yield server
    server.stop()
    server.start()


def test_what_was_set_is_found_until_it_is_deleted(cache: Cache) -> None:
    cache.set({"list:1": {"size": 3, "names": ["é", None]}, "list:2": 0})

    assert cache.get("list:1", "list:2", "list:3") == {
        "list:1": {"size": 3, "names": ["é", None]},
        "list:2": 0,
    }
    assert cache.delete("list:1") == 1
    assert cache.get("list:1", "list:2") == {"list:2": 0}


def test_everything_ends_and_nothing_lasts_longer_than_was_said(cache: Cache, server: OwnRedis) -> None:
    cache.set({"usual": 1})
    cache.set({"shorter": 1}, seconds=60)
    cache.set({"longer": 1}, seconds=7200)

    with server.client() as client:
        left = [client.ttl(f"ours:{name}") for name in ("usual", "shorter", "longer")]
    assert [0 < each <= most for each, most in zip(left, (3600, 60, 3600), strict=True)] == [True] * 3


def test_a_pattern_deletes_what_looks_like_it_under_our_prefix_alone(
    cache: Cache, server: OwnRedis, clock: Clock
) -> None:
    theirs = a_cache(server.url, clock, prefix="theirs:")
    with server.client() as client:
        client.lpush("celery", "a nudge")
    theirs.set({"list:1": 1})
    cache.set({f"list:{n}": n for n in range(1200)} | {"other": 1})

    assert cache.delete("list:*") == 1200
    assert cache.get("other") == {"other": 1}
    assert theirs.get("list:1") == {"list:1": 1}
    with server.client() as client:
        assert client.llen("celery") == 1


def test_what_is_no_json_is_as_good_as_not_there(cache: Cache, server: OwnRedis) -> None:
    with server.client() as client:
        client.set("ours:a", b"\xff\xfe no json")
        client.set("ours:b", b'{"cut": ')

    assert cache.get("a", "b") == {}


def test_hits_and_misses_are_tallied_by_day(cache: Cache) -> None:
    cache.set({"a": 1})
    cache.get("a", "b")
    cache.get("a")
    cache.get("a")

    today, *before = cache.tallies() or ()

    assert today == Tally(TODAY, hits=3, misses=1, failures=0)
    assert today.rate == 0.75
    assert [each.rate for each in before] == [None] * 6


def test_a_redis_that_is_away_knows_nothing_and_keeps_nothing(cache: Cache, stopped: OwnRedis) -> None:
    cache.set({"b": 1})

    assert cache.get("a", "b") == {}
    assert cache.delete("*") is None
    assert cache.tallies() is None
    assert not cache.is_there()


def test_it_is_left_alone_for_half_a_minute_and_told_once(
    cache: Cache, stopped: OwnRedis, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            assert cache.get("a") == {}
        stopped.start()
        clock.now = 29.9
        assert cache.get("a") == {}
        assert not cache.is_there()

    clock.now = 30.1
    assert cache.is_there()
    assert [record.name for record in caplog.records] == ["evenkeel.cache"]
    assert str(stopped.port) not in caplog.text


def test_after_a_restart_it_remembers_again_and_tells_how_often_it_was_away(
    cache: Cache, stopped: OwnRedis, clock: Clock
) -> None:
    cache.get("a")
    stopped.start()
    clock.now = 31

    assert cache.get("a") == {}, "it came back empty"
    cache.set({"a": 2})
    assert cache.get("a") == {"a": 2}
    [today, *_] = cache.tallies() or ()
    assert today == Tally(TODAY, hits=1, misses=1, failures=1)


def test_a_connection_that_broke_is_made_anew_without_a_word(
    cache: Cache, server: OwnRedis, caplog: pytest.LogCaptureFixture
) -> None:
    cache.set({"a": 1})
    with server.client() as client:
        client.client_kill_filter(_type="normal", skipme=True)

    assert cache.get("a") == {"a": 1}
    assert caplog.records == []


def test_a_redis_that_hangs_is_asked_a_few_times_and_then_left_alone(clock: Clock) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        cache = Cache(url, prefix="ours:", seconds=60, timeout=0.05, clock=clock, today=lambda: TODAY)
        for _ in range(20):
            assert cache.get("a") == {}

        silent.settimeout(0.2)
        connections = 0
        while True:
            try:
                silent.accept()[0].close()
            except TimeoutError:
                break
            connections += 1
    assert connections <= 4, "two tries of the command, each with two of the connection"


def test_a_clearing_asks_also_while_it_is_left_alone(cache: Cache, stopped: OwnRedis, clock: Clock) -> None:
    cache.get("a")
    stopped.start()

    assert cache.delete("*") == 0
