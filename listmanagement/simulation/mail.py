"""What becomes of each message, and what Mailjet then blocks by itself, whichever policy runs."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from listmanagement.domain.bounces import Outcome
from listmanagement.simulation.world import Answers, Person, Truth

USER_UNKNOWN, MAILBOX_FULL, PREBLOCKED, SPAM_REPORTER = 1, 3, 14, 21
GREYLISTED = 13
_ABOUT_US = (7, 8, 9)
_HARD_STATES, _SOFT_STATES = (1, 2, 4, 5, 6), (3, 10, 11, 12)

_TEXTS = {
    1: "550 5.1.1 user unknown",
    6: "550 5.1.1 recipient address rejected",
    7: "554 5.7.1 sender blocked",
    8: "554 5.7.1 content refused",
    9: "421 4.7.0 try again later",
}
"""What servers say in these words, more or less; of other states nothing is known."""

_ABOUT_US_TEXT = "550 5.7.1 service unavailable; client host blocked using a blocklist"


class Report(NamedTuple):
    """One message's end as Mailjet tells it, and when we hear of it. Times are days."""

    message_id: int
    contact_id: int
    domain: str
    cycle: int
    campaign: int
    sent_at: float
    at: float
    heard_at: float
    outcome: Outcome
    state: int | None = None
    permanent: bool = False
    text: str | None = None
    clicked_at: float | None = None
    complained: bool = False


class Told(NamedTuple):
    """A report, and beside it the truth, which only the figures read."""

    report: Report
    person: Person
    was_dead: bool
    in_trouble: bool
    """Not the mailbox failed but its server, its provider or our own standing."""


@dataclass(frozen=True, slots=True)
class _Ending:
    """How one message ends. `after` are the days until that is final."""

    outcome: Outcome
    state: int | None = None
    permanent: bool = False
    after: float = 0.0
    in_trouble: bool = False
    clicked: bool = False
    complained: bool = False


_DELIVERED = _Ending(Outcome.DELIVERED)


class Post:
    """Sends the campaigns of one world and keeps Mailjet's own blocks: one for each policy that is tried."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._failures = truth.assumptions.failures
        self._outages = truth.assumptions.outages
        self._mailjet = truth.assumptions.mailjet
        self._blocked_until: dict[int, float] = {}
        self._complained: set[int] = set()

    def send(self, cycle: int, rotation: int, *, without: Container[int]) -> list[Told]:
        """One round: a message to everybody on that list but these, in the list's order."""
        at = self._truth.sent_at(cycle, rotation)
        campaign = cycle * self._truth.assumptions.sending.lists + rotation
        told = [
            self._refused(person, cycle=cycle, campaign=campaign, at=at)
            if self.is_blocked(person, at=at)
            else self._tried(person, cycle=cycle, campaign=campaign, at=at)
            for person in self._truth.lists[rotation]
            if person.contact_id not in without
        ]
        for each in told:
            self._remember(each)
        return told

    def is_blocked(self, person: Person, *, at: float) -> bool:
        """Whether Mailjet itself refuses to try."""
        if person.contact_id in self._complained or self._blocked_until.get(person.contact_id, -1.0) > at:
            return True
        return person.foreign_block is not None and person.foreign_block.holds(at)

    def _refused(self, person: Person, *, cycle: int, campaign: int, at: float) -> Told:
        state = SPAM_REPORTER if person.contact_id in self._complained else PREBLOCKED
        ending = _Ending(Outcome.NOT_ATTEMPTED, state, permanent=True)
        return self._told(person, ending, cycle=cycle, campaign=campaign, at=at)

    def _tried(self, person: Person, *, cycle: int, campaign: int, at: float) -> Told:
        """A message that is tried ends the same whatever policy runs: worked out once for all of them."""
        known: dict[tuple[int, int], Told] = self._truth.worked_out
        told = known.get((person.contact_id, cycle))
        if told is None:
            ending = self._ending(person, cycle=cycle, at=at)
            told = self._told(person, ending, cycle=cycle, campaign=campaign, at=at)
            known[person.contact_id, cycle] = told
        return told

    def _told(self, person: Person, ending: _Ending, *, cycle: int, campaign: int, at: float) -> Told:
        report = Report(
            message_id=campaign * 1_000_000 + person.contact_id,
            contact_id=person.contact_id,
            domain=person.domain,
            cycle=cycle,
            campaign=campaign,
            sent_at=at,
            at=at + ending.after,
            heard_at=at + ending.after + self._late(person, cycle),
            outcome=ending.outcome,
            state=ending.state,
            permanent=ending.permanent,
            text=self._text(person, cycle, ending) if ending.outcome is Outcome.BOUNCED else None,
            clicked_at=at + 0.2 if ending.clicked else None,
            complained=ending.complained,
        )
        return Told(report, person, person.is_dead(at), ending.in_trouble)

    def _remember(self, told: Told) -> None:
        """After a hard bounce Mailjet mostly blocks the address, after a complaint for ever."""
        report = told.report
        if report.complained:
            self._complained.add(report.contact_id)
        failed_hard = report.outcome is Outcome.BOUNCED and report.permanent and report.state not in _ABOUT_US
        if failed_hard and told.person.dice[report.cycle] * 15485863 % 1 < self._mailjet.block_chance:
            self._blocked_until[report.contact_id] = report.at + self._mailjet.block_days

    def told_again_at(self, told: Told) -> float | None:
        """When Mailjet tells the same a second time, in days; None where it tells it once."""
        again = told.person.dice[told.report.cycle] * 6151 % 1 < self._mailjet.duplicates
        return told.report.heard_at + 0.5 if again else None

    def _late(self, person: Person, cycle: int) -> float:
        dice = person.dice[cycle] * 7919 % 1
        return 1 + 3 * (dice / self._mailjet.late) if dice < self._mailjet.late else 0.0

    def _text(self, person: Person, cycle: int, ending: _Ending) -> str | None:
        if person.dice[cycle] * 104729 % 1 >= self._failures.texts or ending.state is None:
            return None
        if (
            ending.state == USER_UNKNOWN
            and ending.in_trouble
            and (cycle, person.domain) in self._truth.refused
        ):
            return _ABOUT_US_TEXT
        return _TEXTS.get(ending.state)

    # How one message ends

    def _ending(self, person: Person, *, cycle: int, at: float) -> _Ending:
        luck = person.dice[cycle]
        if person.is_dead(at):
            says = self._failures.closed_says if at >= person.closes else self._failures.dead_says
            return self._failed(says, person, cycle)
        if (trouble := self._trouble(person, cycle=cycle, at=at, luck=luck)) is not None:
            return trouble
        if person.full is not None and person.full.holds(at):
            return self._full(person, cycle)
        return self._living(person, cycle, luck)

    def _living(self, person: Person, cycle: int, luck: float) -> _Ending:
        """Nothing is wrong there: the message arrives, but for the odd accident."""
        failures, people = self._failures, self._truth.assumptions.people
        if luck < failures.false_hard:
            return _Ending(Outcome.BOUNCED, USER_UNKNOWN, permanent=True, after=0.01)
        if luck < failures.false_hard + failures.transient:
            return self._failed(failures.transient_says, person, cycle)
        if luck >= 1 - people.complaints:
            return _Ending(Outcome.DELIVERED, complained=True)
        if luck >= 1 - people.complaints - people.clicks:
            return _Ending(Outcome.DELIVERED, clicked=True)
        return _DELIVERED

    def _full(self, person: Person, cycle: int) -> _Ending:
        hard = self._dice(person, cycle).random() < self._failures.full_as_hard
        return self._final(MAILBOX_FULL, permanent=hard)

    def _trouble(self, person: Person, *, cycle: int, at: float, luck: float) -> _Ending | None:
        """The server is down, the provider errs, or refuses us: nothing that the mailbox could help."""
        where = (cycle, person.domain)
        if where in self._truth.incidents and luck < self._outages.incident_share:
            return _Ending(Outcome.BOUNCED, USER_UNKNOWN, permanent=True, after=0.01, in_trouble=True)
        if where in self._truth.refused and luck < self._outages.sender_block_share:
            return self._failed(self._outages.sender_says, person, cycle, in_trouble=True)
        outage = self._truth.outage_at(person.domain, at)
        if outage is None:
            return None
        if outage.hard:
            return self._failed(self._outages.hard_says, person, cycle, in_trouble=True)
        if outage.ends <= at + self._mailjet.soft_final_days:
            return _DELIVERED  # Mailjet went on trying until the server was back
        return self._failed(self._outages.soft_says, person, cycle, in_trouble=True)

    def _failed(self, says: Answers, person: Person, cycle: int, *, in_trouble: bool = False) -> _Ending:
        dice = self._dice(person, cycle)
        state, permanent, _ = dice.choices(says, [weight for *_, weight in says])[0]
        if dice.random() < self._failures.mislabelled and state not in _ABOUT_US:
            state = dice.choice(_HARD_STATES if permanent else _SOFT_STATES)
        return self._final(state, permanent=permanent, in_trouble=in_trouble)

    def _final(self, state: int, *, permanent: bool, in_trouble: bool = False) -> _Ending:
        after = 0.01 if permanent else self._mailjet.soft_final_days
        return _Ending(Outcome.BOUNCED, state, permanent, after, in_trouble)

    def _dice(self, person: Person, cycle: int) -> Random:
        return Random(f"{self._truth.seed} {person.contact_id} {cycle}")  # noqa: S311  (a synthetic world)
