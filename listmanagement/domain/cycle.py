"""When a list may change: the freeze around a send, and the time between two cycles.

Facts and the instant `at` come in; nothing here reads a clock. All times are aware datetimes.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

FREEZE_HOURS = 2
"""Hours before a list's next scheduled send from which only consent changes that list."""

LONGEST_CYCLE = timedelta(days=21)
"""After this a cycle counts as ended even if a round never came; somebody is alerted."""


class RoundStatus(StrEnum):
    """How far one send of a cycle has come."""

    SCHEDULED = "scheduled"  # Mailjet holds it; past its time it counts as sending until we know better
    SENDING = "sending"
    SENT = "sent"
    CANCELLED = "cancelled"  # by a person
    SKIPPED = "skipped"  # never sent: a repeat on another list began the next cycle
    FAILED = "failed"  # Mailjet gave it up; a person repeats or cancels it


_CALLED_OFF = frozenset({RoundStatus.CANCELLED, RoundStatus.SKIPPED})
_NOT_SENDING_ANY_MORE = _CALLED_OFF | {RoundStatus.FAILED}


class ImpossibleRound(ValueError):
    """A round whose status and times contradict each other; the message says what is missing."""


@dataclass(frozen=True)
class Round:
    """One send of a cycle. Raises ImpossibleRound where a time is missing that its status needs."""

    list_id: int
    status: RoundStatus
    starts_at: datetime | None
    """When it began to send, else when it is scheduled to."""
    ends_at: datetime | None
    """Mailjet's SendEndAt."""

    def __post_init__(self) -> None:
        called_off = self.status in _NOT_SENDING_ANY_MORE
        if self.starts_at is None and not called_off:
            raise ImpossibleRound(
                f"The {self.status} round of list {self.list_id} has no start; fetch it again."
            )
        if self.ends_at is None and self.status is RoundStatus.SENT:
            raise ImpossibleRound(f"The sent round of list {self.list_id} has no end; fetch it again.")


@dataclass(frozen=True)
class Freeze:
    """From `begins_at` on, and before `ends_at`, nothing but consent changes the list."""

    begins_at: datetime
    ends_at: datetime | None
    """None while Mailjet has not told the end."""

    def holds(self, *, at: datetime) -> bool:
        """Whether the list is frozen at that instant."""
        return self.begins_at <= at and (self.ends_at is None or at < self.ends_at)


def freeze_window(send: Round, *, hours_before: float = FREEZE_HOURS) -> Freeze | None:
    """The freeze one round brings; None for a round that sends no more."""
    if send.status in _NOT_SENDING_ANY_MORE or send.starts_at is None:
        return None
    return Freeze(send.starts_at - timedelta(hours=hours_before), send.ends_at)


def is_frozen(rounds_of_list: Iterable[Round], *, at: datetime, hours_before: float = FREEZE_HOURS) -> bool:
    """Whether one of the list's rounds freezes it now."""
    return any(freeze.holds(at=at) for freeze in _freezes(rounds_of_list, hours_before))


def frozen_until(
    rounds_of_list: Iterable[Round], *, at: datetime, hours_before: float = FREEZE_HOURS
) -> datetime | None:
    """When the present freeze ends. None where none holds, or its end is not known: ask `is_frozen` which."""
    ends = [freeze.ends_at for freeze in _freezes(rounds_of_list, hours_before) if freeze.holds(at=at)]
    known = [end for end in ends if end is not None]
    return max(known) if known and len(known) == len(ends) else None


def next_freeze(
    rounds: Iterable[Round], *, at: datetime, hours_before: float = FREEZE_HOURS
) -> datetime | None:
    """When the next freeze begins that does not hold yet; None where nothing is scheduled."""
    begins = [freeze.begins_at for freeze in _freezes(rounds, hours_before)]
    return min((begin for begin in begins if begin > at), default=None)


def can_finish_before_freeze(
    rounds_of_list: Sequence[Round], *, at: datetime, expected: timedelta, hours_before: float = FREEZE_HOURS
) -> bool:
    """Whether a batch begun now, and taking as long as expected, ends before the list freezes."""
    if is_frozen(rounds_of_list, at=at, hours_before=hours_before):
        return False
    freeze = next_freeze(rounds_of_list, at=at, hours_before=hours_before)
    return freeze is None or at + expected < freeze


def between_cycles(
    current: Sequence[Round], upcoming: Sequence[Round], *, at: datetime, lists: Collection[int] = ()
) -> bool:
    """Whether contacts may move: after the last round of a cycle, before the first of the next.

    `lists` are the campaign lists; give them where a list's round may not be scheduled yet, since
    the cycle is not over before each had its round.
    """
    return is_over(current, at=at, lists=lists) and not any(_has_begun(send, at=at) for send in upcoming)


def is_over(rounds: Sequence[Round], *, at: datetime, lists: Collection[int] = ()) -> bool:
    """Whether a cycle has ended: every list's round sent or called off, or 21 days since its first send.

    Without any round no cycle has begun, so none is under way.
    """
    return not rounds or _all_closed(rounds, at=at, lists=lists) or _took_too_long(rounds, at=at)


def stays_since(starts: Sequence[datetime], *, cycles: int = 2) -> datetime | None:
    """Whoever was moved at this instant or later stays where they are; None: whoever was ever moved.

    `starts` are the first sends of all cycles that have begun, in order. Whoever was moved may move again
    when so many whole cycles have been sent since.
    """
    return starts[-cycles] if len(starts) >= cycles else None


def last_mail_before(next_send: datetime, *, apart: timedelta) -> datetime:
    """Whoever was mailed later than this joins no list that is sent to then: its mail would come too soon."""
    return next_send - apart


def _freezes(rounds: Iterable[Round], hours_before: float) -> list[Freeze]:
    windows = (freeze_window(send, hours_before=hours_before) for send in rounds)
    return [window for window in windows if window is not None]


def _all_closed(rounds: Sequence[Round], *, at: datetime, lists: Collection[int]) -> bool:
    return all(_is_closed(send, at=at) for send in rounds) and {send.list_id for send in rounds} >= set(lists)


def _is_closed(send: Round, *, at: datetime) -> bool:
    if send.status is RoundStatus.SENT:
        return send.ends_at is not None and send.ends_at <= at
    return send.status in _CALLED_OFF


def _has_begun(send: Round, *, at: datetime) -> bool:
    """Whether somebody may have been addressed; a round called off with an end was stopped halfway."""
    if send.starts_at is None or (send.status in _CALLED_OFF and send.ends_at is None):
        return False
    return send.status is RoundStatus.SENDING or send.starts_at <= at


def _took_too_long(rounds: Sequence[Round], *, at: datetime) -> bool:
    begun = [send.starts_at for send in rounds if send.starts_at is not None and _has_begun(send, at=at)]
    return bool(begun) and at >= min(begun) + LONGEST_CYCLE
