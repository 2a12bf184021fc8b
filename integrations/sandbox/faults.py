"""What goes wrong on demand: refusals, delays, cut connections, lost replies, and jobs that misbehave."""

import random
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from integrations.sandbox.gemini import Mishap
from integrations.sandbox.jobs import Fate

HELD_SECONDS = 60.0
"""How long an accepted request is left without an answer where the fault does not say."""


class BadFault(ValueError):
    """The fault asked for does not make sense; the message says why."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong with the requests it matches. The first match in the list counts."""

    path: str
    """A regular expression, searched for in the path (without the query), without regard to case."""
    method: str | None = None
    query: str | None = None
    """A regular expression searched for in the query, unquoted: one page of a list, say."""
    status: int | None = None
    """Answer with this status and do nothing."""
    retry_after: int | None = None
    """With ``status``: seconds for a Retry-After header (Slack sends one, Mailjet does not), or for Gemini's
    RetryInfo; without it a 429 of Gemini's is about the day's quota."""
    slack_error: str | None = None
    """Answer 200 ``{"ok": false, "error": ...}`` and do nothing."""
    gemini: Mishap | None = None
    """What goes wrong with Gemini's answer to this question."""
    delay_seconds: float | None = None
    """Wait, then serve as usual."""
    drop: bool = False
    """Cut the connection before the request counts as received."""
    timeout_after_acceptance: float | None = None
    """Do all of it, then stay silent for so many seconds and cut the connection; 0 cuts at once."""
    job: Fate | None = None
    """What becomes of the job this request submits."""
    times: int | None = None
    """How many more requests it strikes; None means all."""
    probability: float = 1.0

    def strikes(self, method: str, path: str, query: str) -> bool:
        """Whether this fault is about such a request."""
        is_asked = self.query is None or re.search(self.query, query, re.IGNORECASE) is not None
        is_there = re.search(self.path, path, re.IGNORECASE) is not None
        return self.method in (None, method) and is_there and is_asked


def parse(given: Mapping[str, Any]) -> Fault:
    """A fault from its JSON. Raises BadFault."""
    if unknown := sorted(set(given) - set(_READERS)):
        raise BadFault(f"unknown fields {unknown}; known are {sorted(_READERS)}")
    asked = {name: value for name, value in given.items() if value is not None}
    if "path" not in asked or sum(name in asked for name in _EFFECTS) != 1:
        raise BadFault(f"a fault needs a path and exactly one of {', '.join(_EFFECTS)}")
    return Fault(**{name: _read(name, value) for name, value in asked.items()})


def _read(name: str, value: Any) -> Any:
    try:
        return _READERS[name](value)
    except (TypeError, ValueError, re.error) as error:
        raise BadFault(f"{name} cannot be {value!r}: {error}") from error


def _pattern(value: Any) -> str:
    return str(re.compile(value).pattern)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a string is expected")
    return value


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("a non-negative whole number is expected")
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError("a non-negative number is expected")
    return float(value)


def _held_seconds(value: Any) -> float:
    return HELD_SECONDS if value is True else _seconds(value)


def _share(value: Any) -> float:
    if _seconds(value) > 1:
        raise ValueError("a number from 0 to 1 is expected")
    return float(value)


def _yes(value: Any) -> bool:
    if value is not True:
        raise ValueError("only true makes sense")
    return True


def _status(value: Any) -> int:
    return HTTPStatus(_count(value)).value


_EFFECTS: Mapping[str, Callable[[Any], Any]] = {
    "status": _status,
    "slack_error": _text,
    "gemini": Mishap,
    "delay_seconds": _seconds,
    "drop": _yes,
    "timeout_after_acceptance": _held_seconds,
    "job": Fate,
}
_READERS: Mapping[str, Callable[[Any], Any]] = {
    "path": _pattern,
    "method": _text,
    "query": _pattern,
    "retry_after": _count,
    "times": _count,
    "probability": _share,
    **_EFFECTS,
}


@dataclass
class _Planted:
    """A fault and how many requests it still strikes; None means all."""

    fault: Fault
    left: int | None


class Faults:
    """The faults planted now, each with what is left of it. Safe to use from several threads."""

    def __init__(self, *, seed: int) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)  # noqa: S311 (repeatable chance, no secret)
        self._planted: list[_Planted] = []

    def plant(self, fault: Fault) -> None:
        """Add a fault after those already there."""
        with self._lock:
            self._planted.append(_Planted(fault, fault.times))

    def clear(self) -> None:
        """Take all faults away."""
        with self._lock:
            self._planted.clear()

    def strike(self, method: str, path: str, query: str) -> Fault | None:
        """The fault that hits this request, if any; one of its times is used up."""
        with self._lock:
            for planted in self._planted:
                if planted.left != 0 and self._hits(planted.fault, method, path, query):
                    planted.left = None if planted.left is None else planted.left - 1
                    return planted.fault
        return None

    def _hits(self, fault: Fault, method: str, path: str, query: str) -> bool:
        return fault.strikes(method, path, query) and self._random.random() < fault.probability
