"""When the week's health check is due, and which earlier one it is compared with."""

from collections.abc import Iterable
from datetime import datetime, timedelta

A_WEEK = timedelta(days=7)
CLOSEST, FARTHEST = timedelta(days=4), timedelta(days=10)
"""What counts as a week ago: a check may be late, or a person may have asked for one between two."""


def last_due(*, at: datetime, day: int, hour: int) -> datetime:
    """The latest instant, not after `at` (UTC), at which a weekly check was due.

    `day` counts as cron does: 1 is Monday, 0 and 7 are Sunday.
    """
    days_since = (at.isoweekday() - day) % 7
    due = at.replace(hour=hour, minute=0, second=0, microsecond=0) - timedelta(days=days_since)
    return due if due <= at else due - A_WEEK


def a_week_before(checks: Iterable[tuple[datetime, int]], *, at: datetime) -> int | None:
    """Of checks, each its time and id, the one closest to a week before `at`; None where none is near it."""
    ages = [(at - checked_at, check) for checked_at, check in checks]
    near = [(abs(age - A_WEEK), check) for age, check in ages if CLOSEST <= age <= FARTHEST]
    return min(near)[1] if near else None
