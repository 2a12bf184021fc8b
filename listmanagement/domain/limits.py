"""When a run has worked so long, or so often in vain, that a person should look before it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

MOST_BREAKDOWNS = 12
"""Tries of a step in a row that no waiting mends: with their pauses about an hour and a half."""


@dataclass(frozen=True)
class Limits:
    """How long a step, and a whole run, may work. Waiting for people, Mailjet or a freeze is no work."""

    step: timedelta
    run: timedelta


def passed(limits: Limits, *, worked: float, on_step: float) -> str | None:
    """Which limit so many seconds of work have passed, in words; None where neither."""
    if on_step > limits.step.total_seconds():
        return f"this step has worked for more than {_minutes(limits.step)} (LIST_STEP_LIMIT_MINUTES)"
    if worked > limits.run.total_seconds():
        return f"this run has worked for more than {_minutes(limits.run)} (LIST_RUN_LIMIT_MINUTES)"
    return None


def broke_down(times: int) -> str | None:
    """That it is no use trying again, in words; None while it may be."""
    if times < MOST_BREAKDOWNS:
        return None
    return f"this step broke down {times} times in a row: the errors say how"


def _minutes(time: timedelta) -> str:
    return f"{time / timedelta(minutes=1):,g} minutes"
