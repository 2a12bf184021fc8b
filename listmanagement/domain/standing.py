"""How one message stands, from everything that was told of it: in whatever order, and however often.

Two sources tell. A page of messages says how each stood when the page was read; an event says what
happened, and when. What stands is what the true order makes of it: a failure gives way to one as grave or
graver, and to a delivery after it; a complaint gives way to nothing; nothing is ever open again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise

from listmanagement.domain.bounces import BounceClass, Outcome, classify

FAILED = (Outcome.BOUNCED, Outcome.COMPLAINED, Outcome.NOT_ATTEMPTED)
"""How a message ends that did not arrive, or should not have."""

_GRAVITY = (Outcome.NOT_ATTEMPTED, Outcome.BOUNCED, Outcome.COMPLAINED)
"""A complaint is graver than what was tried and failed, and that than what Mailjet did not try."""


@dataclass(frozen=True, slots=True)
class Observation:
    """How one message stood at a moment, as somebody told it.

    `as_of` is that moment: when an event happened, when a page was read. `at` is when it came about, known
    from events alone. `state` is Mailjet's StateID and, with `permanent` and `text` (the server's own
    words), of failures only.
    """

    outcome: Outcome
    as_of: datetime
    at: datetime | None = None
    state: int | None = None
    permanent: bool = False
    text: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Failure:
    """One way in which a message failed, told once or again. From when to when it is known to have stood."""

    outcome: Outcome
    state: int | None
    permanent: bool
    first: datetime
    last: datetime
    at: datetime | None = None
    """When it came about; None where no event said so."""
    text: str = field(default="", repr=False)
    text_at: datetime | None = None

    @property
    def attempted(self) -> bool:
        """Whether Mailjet spoke to the receiving server."""
        return self.outcome is not Outcome.NOT_ATTEMPTED

    @property
    def bounce_class(self) -> BounceClass:
        """Why, as far as the policy tells reasons apart."""
        if self.outcome is Outcome.COMPLAINED:
            return BounceClass.COMPLAINT
        return classify(self.state, permanent=self.permanent, server_text=self.text, attempted=self.attempted)

    @property
    def gravity(self) -> tuple[int, bool, bool]:
        """Of failures alike, one that says why counts more than one that does not."""
        return _GRAVITY.index(self.outcome), self.permanent, self.state is not None

    def is_as_grave_as(self, other: Failure) -> bool:
        """Whether this one, told later, counts instead."""
        return self.gravity >= other.gravity

    def is_alike(self, other: Failure | Observation) -> bool:
        """Whether both say the same of the message. A complaint is one, whatever else is said of it."""
        if self.outcome is Outcome.COMPLAINED:
            return other.outcome is Outcome.COMPLAINED
        return (self.outcome, self.state, self.permanent) == (other.outcome, other.state, other.permanent)

    def told_again(self, seen: Observation) -> Failure:
        """With what another telling adds."""
        heard_at = seen.at or seen.as_of
        newer = bool(seen.text) and (heard_at, seen.text) > (self.text_at or self.first, self.text)
        takes_text = bool(seen.text) and (newer or not self.text)
        return replace(
            self,
            state=max((state for state in (self.state, seen.state) if state is not None), default=None),
            permanent=self.permanent or seen.permanent,
            first=min(self.first, seen.as_of),
            last=max(self.last, seen.as_of),
            at=min((at for at in (self.at, seen.at) if at is not None), default=None),
            text=seen.text if takes_text else self.text,
            text_at=heard_at if takes_text else self.text_at,
        )


def failure(seen: Observation) -> Failure:
    """What an observation says failed, told for the first time."""
    return Failure(
        outcome=seen.outcome,
        state=seen.state,
        permanent=seen.permanent,
        first=seen.as_of,
        last=seen.as_of,
        at=seen.at,
        text=seen.text,
        text_at=(seen.at or seen.as_of) if seen.text else None,
    )


@dataclass(frozen=True, slots=True)
class Told:
    """Everything told of one message.

    `delivered_as_of` is the latest moment at which it was seen delivered, `deliveries` are those at which it
    was told of, `delivered_at` is when the receiving server took it (the latest time that an event says).
    """

    failures: tuple[Failure, ...] = ()
    delivered_as_of: datetime | None = None
    delivered_at: datetime | None = None
    deliveries: tuple[datetime, ...] = ()

    def and_(self, seen: Observation) -> Told:
        """With one more observation. An open message tells nothing that a final one does not."""
        if seen.outcome is Outcome.OPEN:
            return self
        if seen.outcome is Outcome.DELIVERED:
            return replace(
                self,
                delivered_as_of=_latest(self.delivered_as_of, seen.as_of),
                delivered_at=_latest(self.delivered_at, seen.at),
                deliveries=tuple(sorted({*self.deliveries, seen.as_of})),
            )
        alike = next((each for each in self.failures if each.is_alike(seen)), None)
        again = failure(seen) if alike is None else alike.told_again(seen)
        return self._with(again)

    def by(self, moment: datetime) -> Told:
        """What of it had been told by then. A failure that was told of before and since stood until then."""
        failed = (each for each in self.failures if each.first <= moment)
        delivered = tuple(each for each in self.deliveries if each <= moment)
        return replace(
            self,
            failures=tuple(replace(each, last=min(each.last, moment)) for each in failed),
            delivered_as_of=max(delivered, default=None),
            deliveries=delivered,
        )

    def confirmed(self, *, as_of: datetime) -> Told:
        """The same after a reading of all messages at that moment, which adds only what differs.

        What was told then or later speaks for itself; otherwise the reading found the message as it stands.
        """
        moments = [*(each.last for each in self.failures), self.delivered_as_of]
        if any(moment is not None and moment >= as_of for moment in moments):
            return self
        standing = stands(self)
        if standing.outcome is Outcome.DELIVERED:
            return replace(self, delivered_as_of=_latest(self.delivered_as_of, as_of))
        if standing.evidence is None:
            return self
        still = replace(standing.evidence, last=max(standing.evidence.last, as_of))
        return self._with(still)

    def _with(self, failed: Failure) -> Told:
        others = (each for each in self.failures if not failed.is_alike(each))
        return replace(self, failures=tuple(sorted((*others, failed), key=_told_order)))


def _told_order(failed: Failure) -> tuple[datetime, tuple[int, bool, bool], int]:
    return failed.last, failed.gravity, failed.state or 0


def _latest(*moments: datetime | None) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a message stands. `evidence` is what failed last, also where a delivery took it back."""

    outcome: Outcome
    evidence: Failure | None
    earlier: tuple[tuple[Failure, datetime], ...] = ()
    """What failed before and was replaced, oldest first, and until when it stood."""

    @property
    def bounce_class(self) -> BounceClass | None:
        """Why it failed; None where it did not."""
        return self.evidence.bounce_class if self.evidence and self.outcome in FAILED else None

    def is_as(self, seen: Observation) -> bool:
        """Whether an observation says nothing but this."""
        if seen.outcome is not self.outcome or seen.outcome not in FAILED:
            return seen.outcome is self.outcome
        return self.evidence is not None and self.evidence.is_alike(seen)


def stands(told: Told) -> Standing:
    """What the true order makes of everything told of a message."""
    stood = list(_stood(told))
    evidence = stood[-1] if stood else None
    earlier = tuple((before, max(after.first, before.first)) for before, after in pairwise(stood))
    if evidence is not None and not _is_taken_back(evidence, by=told.delivered_as_of):
        return Standing(evidence.outcome, evidence, earlier)
    outcome = Outcome.OPEN if told.delivered_as_of is None else Outcome.DELIVERED
    return Standing(outcome, evidence, earlier)


def _stood(told: Told) -> Iterator[Failure]:
    """The failures that stood one after the other."""
    current: Failure | None = None
    for each in sorted(_distinct(told.failures), key=_told_order):
        afresh = current is None or (
            _is_taken_back(current, by=told.delivered_as_of)
            and not _is_taken_back(each, by=told.delivered_as_of)
        )
        if afresh or (current is not None and each.is_as_grave_as(current)):
            current = each
            yield each


def _is_taken_back(failed: Failure, *, by: datetime | None) -> bool:
    """Whether a delivery at that moment came after it. Of one second, the failure is the later."""
    return failed.outcome is not Outcome.COMPLAINED and by is not None and failed.last < by


def _distinct(failures: Sequence[Failure]) -> list[Failure]:
    """Without those that give no reason where one alike gives one: one source said less of the same.

    Until when it stood is told by both: the last reason given still stood when nothing but the failure was.
    """
    distinct: dict[tuple[Outcome, bool, int | None], Failure] = {}
    for each in sorted(failures, key=lambda failed: (failed.state is None, _told_order(failed))):
        same = [failed for failed in distinct.values() if _says_less(each, than=failed)]
        told = replace(same[-1], last=max(same[-1].last, each.last)) if same else each
        distinct[told.outcome, told.permanent, told.state] = told
    return list(distinct.values())


def _says_less(failed: Failure, *, than: Failure) -> bool:
    alike = (failed.outcome, failed.permanent) == (than.outcome, than.permanent)
    return alike and failed.state is None and than.state is not None


# --- Reading again ---------------------------------------------------------------------------------------

READ_EVERY = timedelta(days=1)
FINAL_AFTER = timedelta(days=5)
"""Mailjet retries what was deferred for about three days; late bounces and complaints come after that."""


def read_again_at(*, ended_at: datetime, read_at: datetime | None) -> datetime:
    """When a campaign's messages are to be read next: daily after its end, the last time after five days."""
    last = ended_at if read_at is None else max(read_at, ended_at)
    return min(last + READ_EVERY, ended_at + FINAL_AFTER)


def is_final(*, ended_at: datetime, read_at: datetime | None) -> bool:
    """Whether that last reading was made: what came about since is not waited for."""
    return read_at is not None and read_at >= ended_at + FINAL_AFTER


# --- Signs of life ---------------------------------------------------------------------------------------

TOO_SOON = timedelta(seconds=60)
"""A scanner follows links as it takes a message in; a person does not within a minute of its delivery."""
AT_ONCE = timedelta(seconds=10)
"""Who follows different links within so short a time reads none of them."""


@dataclass(frozen=True, slots=True)
class Click:
    """A link of a message was followed."""

    at: datetime
    url: str = field(repr=False)


def first_human_click(clicks: Sequence[Click], *, delivered_at: datetime) -> datetime | None:
    """The first click that a person made; None where scanners may have made them all.

    Which links a message holds is not stored, so "every link within 10 s" is read as: two different ones.
    """
    human = (click.at for click in clicks if _is_human(click, clicks, delivered_at=delivered_at))
    return min(human, default=None)


def _is_human(click: Click, clicks: Sequence[Click], *, delivered_at: datetime) -> bool:
    others = (each for each in clicks if each.url != click.url)
    return click.at - delivered_at >= TOO_SOON and not any(
        abs(each.at - click.at) <= AT_ONCE for each in others
    )
