"""What goes wrong on demand: refusals, delays, cut connections, lost replies, and jobs that misbehave."""

import random
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
    status: int | None = None
    """Answer with this status and do nothing."""
    retry_after: int | None = None
    """With ``status``: seconds for a Retry-After header (Slack sends one, Mailjet does not)."""
    slack_error: str | None = None
    """Answer 200 ``{"ok": false, "error": ...}`` and do nothing."""
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

    def strikes(self, method: str, path: str) -> bool:
        """Whether this fault is about such a request."""
        return self.method in (None, method) and re.search(self.path, path, re.IGNORECASE) is not None


_EFFECTS = ("status", "slack_error", "delay_seconds", "drop", "timeout_after_acceptance", "job")
_FIELDS = ("path", "method", "retry_after", "times", "probability", *_EFFECTS)


def parse(given: Mapping[str, Any]) -> Fault:
    """A fault from its JSON. Raises BadFault."""
    if unknown := sorted(set(given) - set(_FIELDS)):
        raise BadFault(f"unknown fields {unknown}; known are {sorted(_FIELDS)}")
    values = {name: value for name, value in given.items() if value is not None}
    if values.get("timeout_after_acceptance") is True:
        values["timeout_after_acceptance"] = HELD_SECONDS
    try:
        re.compile(values["path"])
        if "job" in values:
            values["job"] = Fate(values["job"])
    except (KeyError, TypeError, ValueError, re.error) as error:
        raise BadFault(
            f"path must be a regular expression, job one of {[*map(str, Fate)]}: {error}"
        ) from error
    if sum(values.get(name, False) is not False for name in _EFFECTS) != 1:
        raise BadFault(f"exactly one of {_EFFECTS} is needed")
    return Fault(**values)


class Faults:
    """The faults planted now, each with what is left of it. Safe to use from several threads."""

    def __init__(self, *, seed: int) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)  # noqa: S311 (repeatable chance, no secret)
        self._planted: list[list[Any]] = []

    def plant(self, fault: Fault) -> None:
        """Add a fault after those already there."""
        with self._lock:
            self._planted.append([fault, fault.times])

    def clear(self) -> None:
        """Take all faults away."""
        with self._lock:
            self._planted.clear()

    def strike(self, method: str, path: str) -> Fault | None:
        """The fault that hits this request, if any; one of its times is used up."""
        with self._lock:
            for entry in self._planted:
                fault, left = entry
                if left != 0 and fault.strikes(method, path) and self._random.random() < fault.probability:
                    entry[1] = None if left is None else left - 1
                    return fault  # type: ignore[no-any-return]
        return None
