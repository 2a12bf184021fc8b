"""Time as the stand-ins see it: the machine's clock, moved forward on demand.

Inside the stand-ins a moment is a number of unix seconds; Mailjet's wire form is RFC 3339 in UTC
with whole seconds, and an empty string where there is no time.
"""

import time
from datetime import UTC, datetime


def to_wire(moment: float | None) -> str:
    """RFC 3339 with whole seconds and ``Z``; ``""`` for a missing time, as Mailjet writes it."""
    if moment is None:
        return ""
    return datetime.fromtimestamp(int(moment), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_seconds(moment: float | None) -> int:
    """Whole unix seconds; 0 for a missing time, as in ``/batchjob``."""
    return 0 if moment is None else int(moment)


def from_wire(text: str) -> float:
    """Unix seconds from a number in a string or from RFC 3339 (a missing zone means UTC).

    Raises ValueError for anything else.
    """
    if text.strip().lstrip("-").replace(".", "", 1).isdigit():
        return float(text)
    parsed = datetime.fromisoformat(text)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def start_of_day(now: float) -> float:
    """Midnight UTC of the day ``now`` falls in."""
    return now - now % 86_400


class Clock:
    """The machine's clock plus an offset in seconds that only grows."""

    def __init__(self, *, offset: float) -> None:
        self.offset = offset

    def now(self) -> float:
        """Unix seconds."""
        return time.time() + self.offset

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; for windows, unaffected by corrections of the machine's clock."""
        return time.monotonic() + self.offset
