"""A list's grade from its numbers, the cause behind its failures, and whether its size fell unexplained.

Rates are bounced ÷ (delivered + bounced), as fractions. What Mailjet did not attempt, and what is
still open, is in neither. Comparisons are made on whole numbers; floats are only for showing.
"""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

WATCH_RATE = Fraction(2, 100)
"""From here a list is watched. Our own line: also what a backlog may add to a list in hard bounces."""

HARD_LINE = Fraction(5, 100)
"""From here a list is poor. Our own line, which the next campaign is expected to stay below."""

CRITICAL_RATE = Fraction(8, 100)
"""From here a list is critical. Mailjet's sending policy accepts at most 8 % bounces (mailjet.com)."""

COMPLAINT_LINE = Fraction(8, 10_000)
"""Above it a list is poor: complaints ÷ delivered. Mailjet's sending policy accepts at most 0.08 %."""

MAIN_SHARE = Fraction(1, 3)
"""The share of all bounces from which something other than decay is named as their cause."""

UNEXPLAINED_LOSS = 0.05
"""The fall in size beyond what the journal explains, above which somebody is alerted."""


class Grade(StrEnum):
    """How healthy a list is."""

    GOOD = "good"  # below 2 %
    WATCH = "watch"  # from 2 %, or nothing is known
    POOR = "poor"  # from 5 %, or two complaints and more than 0.08 %
    CRITICAL = "critical"  # from 8 %


class Cause(StrEnum):
    """What is mainly behind a list's failures."""

    NONE = "none"  # fewer than 2 % bounced, or nothing is known
    DECAY = "decay"  # addresses that went out of use one by one; what nothing else explains
    OUTAGE = "outage"  # domains on hold: their servers fail, not their people
    SENDER_SIDE = "sender_side"  # refusals of our sending: policy, reputation, authentication
    PROVIDER_INCIDENT = "provider_incident"  # temporary failures, greylisting included


class ImpossibleNumbers(ValueError):
    """Numbers of a list that contradict each other; the message says which."""


@dataclass(frozen=True)
class ListNumbers:
    """One list's outcomes over the campaigns judged. `bounced` counts what the last three do.

    Raises ImpossibleNumbers where a count is negative, or the causes count more than bounced.
    """

    list_id: int
    size: int
    """Mailable members."""
    delivered: int
    bounced: int
    """Final bounces, hard and soft."""
    not_attempted: int
    complained: int
    open: int
    """Messages whose outcome is not final."""
    at_held_domains: int
    """Of the bounced, those at domains or mail hosts on hold."""
    sender_side: int
    """Of the other bounced, those whose class is sender side."""
    temporary: int
    """Of the other bounced, those whose class is temporary or greylisted."""

    def __post_init__(self) -> None:
        numbers = vars(self)
        negative = [name for name, number in numbers.items() if name != "list_id" and number < 0]
        if negative:
            raise ImpossibleNumbers(f"List {self.list_id}: {', '.join(negative)} below zero; count again.")
        explained = self.at_held_domains + self.sender_side + self.temporary
        if explained > self.bounced:
            raise ImpossibleNumbers(
                f"List {self.list_id}: causes count {explained} of {self.bounced} bounced; "
                "count each bounce under one cause."
            )


@dataclass(frozen=True)
class Health:
    """What is said about one list."""

    list_id: int
    grade: Grade
    cause: Cause
    bounce_rate: float | None
    """None where nothing was delivered or bounced."""


def assess(numbers: ListNumbers) -> Health:
    """Grade and cause of one list."""
    return Health(numbers.list_id, grade(numbers), cause(numbers), bounce_rate(numbers))


def bounce_rate(numbers: ListNumbers) -> float | None:
    """Bounced ÷ (delivered + bounced); None where nothing was either, which is not the same as 0."""
    rate = _rate(numbers)
    return None if rate is None else float(rate)


def grade(numbers: ListNumbers) -> Grade:
    """The worst that its bounces or its complaints make of a list."""
    rate = _rate(numbers)
    if rate is None:
        return Grade.WATCH
    if rate >= CRITICAL_RATE:
        return Grade.CRITICAL
    if rate >= HARD_LINE or _complains(numbers):
        return Grade.POOR
    return Grade.WATCH if rate >= WATCH_RATE else Grade.GOOD


def cause(numbers: ListNumbers) -> Cause:
    """The largest of the special causes that explains a third of the bounces; else decay.

    A third, not half: what is special passes or can be repaired, and should be seen beside the
    decay that every list has. Of equal ones the outage counts, then the sender's side.
    """
    rate = _rate(numbers)
    if rate is None or rate < WATCH_RATE:
        return Cause.NONE
    special = {
        Cause.OUTAGE: numbers.at_held_domains,
        Cause.SENDER_SIDE: numbers.sender_side,
        Cause.PROVIDER_INCIDENT: numbers.temporary,
    }
    main = max(special, key=special.__getitem__)
    return main if special[main] >= MAIN_SHARE * numbers.bounced else Cause.DECAY


def unexplained_loss(*, before: int, after: int, explained: int) -> int:
    """Mailable members a list lost beyond those that operations, opt-outs and complaints account for.

    `explained` is the loss by the journal: who left less who joined; negative where more joined.
    """
    return max(0, before - explained - after)


def is_loss_alarming(*, before: int, after: int, explained: int, above: float = UNEXPLAINED_LOSS) -> bool:
    """Whether the unexplained loss is more than that share of the size before."""
    lost = unexplained_loss(before=before, after=after, explained=explained)
    return lost > Fraction(str(above)) * before


def _rate(numbers: ListNumbers) -> Fraction | None:
    final = numbers.delivered + numbers.bounced
    return Fraction(numbers.bounced, final) if final else None


def _complains(numbers: ListNumbers) -> bool:
    """One complaint is a person, not a rate: on a list of a thousand it would always cross the line."""
    return numbers.complained > 1 and numbers.complained > COMPLAINT_LINE * numbers.delivered
