"""One policy in one world, day by day, and the figures that tell what it cost whom."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import fmean, median

from listmanagement.domain.bounces import BounceClass, Outcome
from listmanagement.simulation.evenkeel import Evenkeel, Group, Reviewer
from listmanagement.simulation.mail import Post, Report, Told
from listmanagement.simulation.policies import OTHERS, Once, Policy
from listmanagement.simulation.world import Person, Truth

WINDOW = 30.0
"""Days: the bounce rate of the first so many is compared with that of the next."""

EVENKEEL = "evenkeel"
FALLIBLE = "evenkeel-reviewer-80"
OURS = (EVENKEEL, FALLIBLE)
"""Our policy, with reviewers who are always right and with such as err: no rivals of each other."""


@dataclass(frozen=True)
class Figures:
    """What one policy did in one world. Counts, shares from 0 to 1, days."""

    living_suppressed: int
    living_suppressed_in_outage: int
    """Of these, whose own mailbox had never failed: only its server, its provider or our standing had."""
    mails_lost_suppressed: int
    """To the living, because we did not send."""
    mails_lost_blocked: int
    """To the living, because Mailjet itself did not try."""
    attempts_to_dead: int
    blocked_sends: int
    dead_left: int
    """Still mailed at the end."""
    hard_rate_mean: float
    hard_rate_worst: float
    """Of any campaign but those of the first cycle."""
    days_to_suppression: float | None
    """Median, from death, or the first send, to suppression; None where none of the dead was suppressed."""
    review_items_a_run: float
    bad_share_first: float
    """(Bounced + blocked) ÷ processed, in the first 30 days."""
    bad_share_after: float
    """The same in the 30 days after."""
    bad_share_all: float


@dataclass
class _Tally:
    processed: list[tuple[float, int, int]] = field(default_factory=list)
    hard_rates: list[tuple[int, float]] = field(default_factory=list)
    lost_suppressed: int = 0
    lost_blocked: int = 0
    attempts_to_dead: int = 0
    blocked: int = 0
    living: set[int] = field(default_factory=set)
    in_outage: set[int] = field(default_factory=set)
    waited: list[float] = field(default_factory=list)


def names() -> list[str]:
    """Every policy the command knows, ours first."""
    return [*OURS, *OTHERS]


def play(truth: Truth, name: str) -> Figures:
    """Live through the truth's years under a policy. Raises KeyError for a policy nobody knows."""
    return _Play(truth, _policy(truth, name)).figures()


def _policy(truth: Truth, name: str) -> Policy:
    if name == EVENKEEL:
        return Evenkeel(truth.assumptions, reviewer=_careful(truth))
    if name == FALLIBLE:
        return Evenkeel(truth.assumptions, reviewer=_fallible(truth))
    return Once(OTHERS[name]())


# --- Reviewers ------------------------------------------------------------------------------------------


def _careful(truth: Truth) -> Reviewer:
    """Can find out only whether a domain is closed; else takes what is proposed."""
    closes = {person.domain: person.closes for person in truth.people}

    def decide(groups: Sequence[Group], now: float) -> list[bool]:
        return [
            group.bounce is not BounceClass.DOMAIN_GONE or all(closes[d] <= now for d in group.domains)
            for group in groups
        ]

    return decide


def _fallible(truth: Truth) -> Reviewer:
    """Right in four of five cases, whatever the case: whether most of the group can still be reached."""
    people = {person.contact_id: person for person in truth.people}
    dice = Random(f"reviewer {truth.seed}")  # noqa: S311  (a synthetic world)

    def decide(groups: Sequence[Group], now: float) -> list[bool]:
        answers = []
        for group in groups:
            dead = sum(people[each].is_dead(now) for each in group.contacts)
            right = 2 * dead > len(group.contacts)
            answers.append(right if dice.random() < 0.8 else not right)
        return answers

    return decide


# --- Day by day -----------------------------------------------------------------------------------------


class _Play:
    def __init__(self, truth: Truth, policy: Policy) -> None:
        self._truth = truth
        self._policy = policy
        self._post = Post(truth)
        self._people = {person.contact_id: person for person in truth.people}
        self._on_the_way: list[tuple[float, int, Report]] = []
        self._complained: set[int] = set()
        self._known: set[int] = set()
        self._failed_by_itself: set[int] = set()
        self._failed_in_trouble: set[int] = set()
        self._tally = _Tally()

    def figures(self) -> Figures:
        sends = dict(self._calendar())
        last = int(max(sends)) + 15
        for day in range(last + 1):
            self._hear(until=day)
            self._policy.wake(float(day))
            self._note_suppressions(day)
            for cycle, rotation in sends.get(day, ()):
                self._send(cycle, rotation)
        return self._figures(float(last))

    def _calendar(self) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        by_day: dict[int, list[tuple[int, int]]] = {}
        for cycle in range(self._truth.cycles):
            for rotation in range(self._truth.assumptions.sending.lists):
                day = int(self._truth.sent_at(cycle, rotation))
                by_day.setdefault(day, []).append((cycle, rotation))
        yield from by_day.items()

    def _hear(self, *, until: float) -> None:
        """Everything that Mailjet has told by then, the late among it, in the order of its arrival."""
        while self._on_the_way and self._on_the_way[0][0] <= until:
            _, _, report = heapq.heappop(self._on_the_way)
            if report.complained:
                self._complained.add(report.contact_id)
            self._policy.hear(report)

    def _send(self, cycle: int, rotation: int) -> None:
        at = self._truth.sent_at(cycle, rotation)
        left_out = self._policy.suppressed | self._complained
        told = self._post.send(cycle, rotation, without=left_out)
        for each in told:
            for heard_at in (each.report.heard_at, self._post.told_again_at(each)):
                if heard_at is not None:
                    heapq.heappush(self._on_the_way, (heard_at, each.report.message_id, each.report))
            if each.report.outcome is Outcome.BOUNCED and not each.was_dead:
                (self._failed_in_trouble if each.in_trouble else self._failed_by_itself).add(
                    each.person.contact_id
                )
        self._count(told, at=at, cycle=cycle)
        for person in self._truth.lists[rotation]:
            if person.contact_id in self._policy.suppressed and not person.is_dead(at):
                self._tally.lost_suppressed += person.contact_id not in self._complained

    def _count(self, told: Sequence[Told], *, at: float, cycle: int) -> None:
        tally, blocked, bounced, hard, tried = self._tally, 0, 0, 0, 0
        for each in told:
            if each.report.outcome is Outcome.NOT_ATTEMPTED:
                blocked += 1
                tally.lost_blocked += not each.was_dead and each.person.contact_id not in self._complained
                continue
            tried += 1
            tally.attempts_to_dead += each.was_dead
            bounced += each.report.outcome is Outcome.BOUNCED
            hard += each.report.outcome is Outcome.BOUNCED and each.report.permanent
        tally.blocked += blocked
        tally.processed.append((at, len(told), bounced + blocked))
        if tried:
            tally.hard_rates.append((cycle, hard / tried))

    def _note_suppressions(self, day: float) -> None:
        for contact_id in self._policy.suppressed - self._known:
            person = self._people[contact_id]
            if person.is_dead(day):
                self._tally.waited.append(day - max(_died(person), 0.0))
            elif contact_id not in self._complained:
                self._tally.living.add(contact_id)
                if contact_id in self._failed_in_trouble and contact_id not in self._failed_by_itself:
                    self._tally.in_outage.add(contact_id)
        self._known |= self._policy.suppressed

    def _figures(self, at: float) -> Figures:
        tally = self._tally
        rates = [rate for _, rate in tally.hard_rates]
        later = [rate for cycle, rate in tally.hard_rates if cycle > 0] or rates
        mailed = [p for p in self._truth.people if p.contact_id not in self._policy.suppressed]
        runs = self._policy.runs
        return Figures(
            living_suppressed=len(tally.living),
            living_suppressed_in_outage=len(tally.in_outage),
            mails_lost_suppressed=tally.lost_suppressed,
            mails_lost_blocked=tally.lost_blocked,
            attempts_to_dead=tally.attempts_to_dead,
            blocked_sends=tally.blocked,
            dead_left=sum(p.is_dead(at) and p.contact_id not in self._complained for p in mailed),
            hard_rate_mean=fmean(rates),
            hard_rate_worst=max(later),
            days_to_suppression=median(tally.waited) if tally.waited else None,
            review_items_a_run=self._policy.asked / runs if runs else 0.0,
            bad_share_first=self._share(0.0, WINDOW),
            bad_share_after=self._share(WINDOW, 2 * WINDOW),
            bad_share_all=self._share(0.0, at),
        )

    def _share(self, since: float, until: float) -> float:
        within = [(sent, bad) for at, sent, bad in self._tally.processed if since <= at < until]
        sent = sum(sent for sent, _ in within)
        return sum(bad for _, bad in within) / sent if sent else 0.0


def _died(person: Person) -> float:
    return min(person.dies, person.closes)
