"""When Mailjet is asked at all: the circuit breaker, and the pause after it said "too many requests".

Pure: a state and what happened give the next state. All processes share one, kept by `outside`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class BreakerState(StrEnum):
    """closed → open → probing → closed, or open again."""

    CLOSED = "closed"
    """Requests pass."""
    OPEN = "open"
    """Mailjet failed too often: no request is made."""
    PROBING = "probing"
    """One request is on its way to find out whether Mailjet is back."""


@dataclass(frozen=True, kw_only=True)
class BreakerRules:
    """When the breaker opens, and for how long."""

    failures: int = 5
    """So many in a row, without an answer between them, open it …"""
    window: timedelta = timedelta(minutes=5)
    """… when they all lie within this time. Five time-outs of 30 s each, and their pauses, do."""
    pause: timedelta = timedelta(seconds=30)
    """How long it stays open before a probe; doubled with each probe that fails …"""
    longest_pause: timedelta = timedelta(minutes=5)
    """… up to this."""
    probe_lasts: timedelta = timedelta(minutes=2)
    """A probe that says nothing for so long was lost with its process. Longer than a request's time-outs."""
    longest_back_off: timedelta = timedelta(seconds=60)
    """The longest pause after "too many requests", whatever Mailjet asks for."""


@dataclass(frozen=True, kw_only=True)
class Breaker:
    """The state that all processes share."""

    state: BreakerState = BreakerState.CLOSED
    failed_at: tuple[datetime, ...] = ()
    """The latest failures without an answer since, oldest first."""
    why: str = ""
    """How the last of them failed."""
    since: datetime | None = None
    """When it opened; failed probes do not change it. None while closed."""
    until: datetime | None = None
    """Open: when a probe may go. Probing: when the probe counts as lost. None while closed."""
    failed_probes: int = 0
    backed_off: int = 0
    """How often in a row Mailjet said "too many requests"."""
    back_off_until: datetime | None = None


WELL = Breaker()
"""Nothing has gone wrong."""


def refused_until(breaker: Breaker, *, at: datetime) -> datetime | None:
    """When requests may pass again; None where one may now."""
    return breaker.until if breaker.until is not None and at < breaker.until else None


def back_off(breaker: Breaker, *, at: datetime) -> timedelta:
    """How long every request still has to wait because Mailjet said "too many"."""
    if breaker.back_off_until is None:
        return timedelta(0)
    return max(breaker.back_off_until - at, timedelta(0))


def admitted(breaker: Breaker, *, at: datetime, rules: BreakerRules) -> Breaker:
    """A request passes. It is the probe where the breaker is not closed; nobody else passes meanwhile."""
    if breaker.state is BreakerState.CLOSED:
        return breaker
    return replace(breaker, state=BreakerState.PROBING, until=at + rules.probe_lasts)


def answered(breaker: Breaker, *, at: datetime) -> Breaker:
    """Mailjet answered. Any answer closes the breaker, also one to a request from before it opened."""
    if back_off(breaker, at=at):
        return replace(WELL, backed_off=breaker.backed_off, back_off_until=breaker.back_off_until)
    return WELL


def failed(breaker: Breaker, *, at: datetime, why: str, rules: BreakerRules) -> Breaker:
    """Mailjet did not answer. While the breaker is open that is about a request from before: nothing new."""
    if breaker.state is BreakerState.OPEN:
        return breaker
    recent = [*(moment for moment in breaker.failed_at if moment > at - rules.window), at]
    noted = replace(breaker, failed_at=tuple(recent[-rules.failures :]), why=why)
    if breaker.state is BreakerState.PROBING:
        pause = min(rules.pause * 2 ** min(breaker.failed_probes + 1, 20), rules.longest_pause)
        failed_probes = breaker.failed_probes + 1
        return replace(noted, state=BreakerState.OPEN, until=at + pause, failed_probes=failed_probes)
    if len(noted.failed_at) < rules.failures:
        return noted
    return replace(noted, state=BreakerState.OPEN, since=at, until=at + rules.pause)


def rate_limited(
    breaker: Breaker, *, at: datetime, asked: float | None, jitter: float, rules: BreakerRules
) -> Breaker:
    """Mailjet said "too many": all wait `jitter` (1 to 2) seconds, doubled each time, or what it `asked`.

    Several requests refused together are one time.
    """
    told_again = back_off(breaker, at=at) > timedelta(0)
    times = breaker.backed_off if told_again else breaker.backed_off + 1
    seconds = max(jitter * 2 ** min(times - 1, 20), asked or 0.0)
    # The least of both before it becomes a time: no calendar holds whatever a server may ask for.
    until = at + timedelta(seconds=min(seconds, rules.longest_back_off.total_seconds()))
    if breaker.back_off_until is not None:
        until = max(until, breaker.back_off_until)
    return replace(WELL, backed_off=times, back_off_until=until)
