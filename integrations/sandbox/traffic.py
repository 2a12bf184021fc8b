"""What came in: Mailjet's rate limit, and counts for tests and reports. Lives as long as the process."""

import re
import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

WINDOW_SECONDS = 60.0
KEPT_REQUESTS = 200
_ACTION = re.compile(rb'"(?:action|method)"\s*:\s*"([^"]*)"', re.IGNORECASE)


class RateLimit:
    """At most so many requests in any 60 seconds, exactly; refused ones do not count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._admitted: deque[float] = deque()

    def admits(self, *, now: float, rate: int) -> bool:
        """Whether one more fits; if so, it is counted."""
        with self._lock:
            while self._admitted and self._admitted[0] <= now - WINDOW_SECONDS:
                self._admitted.popleft()
            if len(self._admitted) >= rate:
                return False
            self._admitted.append(now)
            return True


class Traffic:
    """Requests so far, by service and by status, the last ones one by one, and those under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_service: Counter[str] = Counter()
        self._by_status: Counter[str] = Counter()
        self._actions: Counter[str] = Counter()
        self._last: deque[dict[str, Any]] = deque(maxlen=KEPT_REQUESTS)
        self._under_way: dict[int, dict[str, Any]] = {}
        self._arrivals = count(1)

    @contextmanager
    def under_way(self, *, service: str, method: str, path: str, at: float) -> Iterator[None]:
        """A request has arrived, and waits for its answer until the block ends."""
        key = next(self._arrivals)
        with self._lock:
            self._under_way[key] = {"service": service, "method": method, "path": path, "at": at}
        try:
            yield
        finally:
            with self._lock:
                del self._under_way[key]

    def note(self, *, service: str, method: str, path: str, status: int, at: float) -> None:
        """Remember one request; status 0 is a connection that was cut."""
        with self._lock:
            self._by_service[service] += 1
            self._by_status[f"{service} {status}"] += 1
            self._last.append(
                {"service": service, "method": method, "path": path, "status": status, "at": at}
            )

    def asked(self, body: bytes) -> None:
        """Remember what a write asks to be done to memberships, whatever becomes of it."""
        with self._lock:
            self._actions.update(word.decode(errors="replace").lower() for word in _ACTION.findall(body))

    def report(self) -> dict[str, Any]:
        """Counts, the last requests and those that have arrived and are not answered yet, oldest first."""
        with self._lock:
            return {
                "by_service": dict(self._by_service),
                "by_status": dict(self._by_status),
                "actions": dict(self._actions),
                "last": list(self._last),
                "under_way": list(self._under_way.values()),
            }
