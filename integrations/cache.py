"""What is worth remembering for a while, in Redis. Whoever asks lives as well without it, only slower.

Values are JSON. Nothing here raises because Redis is away: then nothing is known, nothing is kept, and Redis
is left alone for half a minute, so that nobody waits at each key. What comes out was written by anybody who
can write to that Redis: the caller checks it.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

log = logging.getLogger("evenkeel.cache")

Answer = TypeVar("Answer")

SECONDS = 0.5
"""For connecting and for each wait: what is remembered is worth no longer one."""

RESTS = 30.0
"""Seconds for which Redis is not asked after it has not answered."""

TALLIED_DAYS = 7

_TRIES = 2
_KEPT = timedelta(days=TALLIED_DAYS + 1)
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Tally:
    """How often what was asked for was there, on one day (UTC)."""

    day: date
    hits: int
    misses: int
    failures: int
    """Times that Redis did not answer; known here since it does again."""

    @property
    def rate(self) -> float | None:
        """The hits' share, 0 to 1; None where nothing was asked for."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else None


class Cache:
    """Values by key, in one Redis, under a prefix: what else is kept there is never touched.

    Nothing is remembered for longer than `seconds`. Threads share one. `timeout`, `rests` and what `clock`
    counts are seconds; `today` names the day to tally.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str,
        seconds: int,
        timeout: float = SECONDS,
        rests: float = RESTS,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(ConstantBackoff(0.05), _TRIES - 1),
            health_check_interval=30,
        )
        self._prefix, self._seconds = prefix, seconds
        self._rests, self._clock, self._today = rests, clock, today
        self._resting_until = 0.0
        self._failures = 0

    def get(self, *keys: str) -> dict[str, Any]:
        """What is known of these keys, tallied. What is not there, or makes no sense, is left out."""
        if not keys:
            return {}
        raw = self._ask(lambda: self._redis.mget([self._named(key) for key in keys]), instead=None)
        if raw is None:
            return {}
        found = dict(_read(zip(keys, raw, strict=True)))
        self._count(hits=len(found), misses=len(keys) - len(found))
        return found

    def set(self, values: Mapping[str, Any], *, seconds: int | None = None) -> None:
        """Remember these, for shorter than usual where `seconds` says so."""
        kept = min(self._seconds, seconds or self._seconds)
        if not values:
            return
        with self._redis.pipeline(transaction=False) as pipe:
            for key, value in values.items():
                pipe.set(self._named(key), json.dumps(value), ex=kept)
            self._ask(pipe.execute, instead=None)

    def delete(self, *patterns: str) -> int | None:
        """Forget the keys that look like one of these (`*` stands for anything). How many that were.

        None if Redis is away; here it is asked also while it is left alone: somebody wants them gone.
        """
        self._resting_until = 0.0
        return self._ask(lambda: sum(self._delete(each) for each in patterns), instead=None)

    def is_there(self) -> bool:
        """Whether Redis answers now."""
        return self._ask(lambda: bool(self._redis.ping()), instead=False)

    def tallies(self) -> Sequence[Tally] | None:
        """The last seven days, today first; None if Redis is away."""
        days = [self._today() - timedelta(days=n) for n in range(TALLIED_DAYS)]
        with self._redis.pipeline(transaction=False) as pipe:
            for day in days:
                pipe.hgetall(self._tally_of(day))
            rows: list[dict[bytes, bytes]] | None = self._ask(pipe.execute, instead=None)
        return None if rows is None else [_tally(*each) for each in zip(days, rows, strict=True)]

    # --- One question ----------------------------------------------------------------------------------

    def _ask(self, question: Callable[[], Any], *, instead: Answer) -> Any | Answer:
        """Redis's answer; `instead` where it has none, or lately had none."""
        if self._clock() < self._resting_until:
            return instead
        try:
            answer = question()
        except redis.RedisError as error:
            self._failures += 1
            self._resting_until = self._clock() + self._rests
            told = {"why": type(error).__name__, "seconds": self._rests}  # its words may hold the address
            log.warning("the cache does not answer (%(why)s): left alone for %(seconds)g s", told, extra=told)
            return instead
        return answer

    def _named(self, key: str) -> str:
        return f"{self._prefix}{key}"

    def _delete(self, pattern: str) -> int:
        found: list[bytes] = list(self._redis.scan_iter(match=self._named(pattern), count=_AT_ONCE))
        starts = range(0, len(found), _AT_ONCE)
        return sum(int(self._redis.unlink(*found[start : start + _AT_ONCE])) for start in starts)

    # --- The tally ---------------------------------------------------------------------------------------

    def _tally_of(self, day: date) -> str:
        return self._named(f"tally:{day:%Y-%m-%d}")

    def _count(self, **counted: int) -> None:
        failures, self._failures = self._failures, 0
        of_today = self._tally_of(self._today())
        with self._redis.pipeline(transaction=False) as pipe:
            for name, number in {**counted, "failures": failures}.items():
                if number:
                    pipe.hincrby(of_today, name, number)
            pipe.expire(of_today, _KEPT)
            self._ask(pipe.execute, instead=None)


def _read(entries: Iterator[tuple[str, bytes | None]]) -> Iterator[tuple[str, Any]]:
    for key, raw in entries:
        if raw is not None:
            try:
                yield key, json.loads(raw)
            except ValueError:  # somebody else's, or cut off: as good as not there
                log.warning("the cache holds no JSON under %s", key)


def _tally(day: date, row: Mapping[bytes, bytes]) -> Tally:
    told = {name.decode(): int(number) for name, number in row.items()}
    return Tally(day, *(told.get(name, 0) for name in ("hits", "misses", "failures")))
