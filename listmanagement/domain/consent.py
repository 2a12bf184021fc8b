"""What contacts said of themselves: when a try that failed is made again, and when people should look."""

from datetime import timedelta

FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=6)

TOLD_AFTER = 3
"""Failed tries in a row; then somebody should look."""

LATE_AFTER = timedelta(minutes=5)
"""An opt-out or a complaint that is not applied by then is told."""

BROKEN_AFTER = timedelta(minutes=15)
"""One that is not applied by then, while nothing keeps it, breaks the promise "within minutes" (P2)."""


def pause_after(failures: int) -> timedelta:
    """How long to wait after so many failed tries in a row: a minute, doubled each time, up to six hours."""
    if failures < 1:
        return timedelta(0)
    doubled: timedelta = FIRST_PAUSE * 2 ** min(failures - 1, 16)
    return min(doubled, LONGEST_PAUSE)
