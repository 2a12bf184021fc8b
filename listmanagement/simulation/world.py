"""The assumptions, from a file, and one synthetic truth drawn from them by a seed.

The truth does not depend on what anybody does about it: who dies when, which server fails when, and the
dice for each message are drawn before the first send. Times are days from the first send on, as numbers.
"""

from __future__ import annotations

import tomllib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from pathlib import Path
from random import Random
from typing import Annotated, Any, TypeVar, get_type_hints

YEAR = 365.25
DEFAULT = Path(__file__).parent / "worlds" / "default.toml"

Answers = tuple[tuple[int, bool, float], ...]
"""How a server answers: Mailjet's state, whether permanent, and how often, as a weight."""

Section = TypeVar("Section")


class BadWorld(ValueError):
    """The file of assumptions cannot be used; the message names the section and the field."""


@dataclass(frozen=True)
class Allowed:
    """The numbers that make sense of a field, and how to say which."""

    words: str
    lowest: float
    highest: float
    above: bool = False
    """The lowest itself makes none."""
    below: bool = False
    """Nor the highest."""
    whole: bool = False

    def check(self, value: Any, *, where: str) -> None:
        """Refuse what is no such number. Raises BadWorld."""
        is_number = isinstance(value, int if self.whole else int | float) and not isinstance(value, bool)
        if not is_number or not self.lowest <= value <= self.highest or self._is_left_out(value):
            raise BadWorld(f"{where} is {value!r}: it must be {self.words}")

    def _is_left_out(self, value: float) -> bool:
        return (self.above and value == self.lowest) or (self.below and value == self.highest)


_LONGEST = 36_525.0
"""Days: a hundred years."""
BLOCK = Allowed("days, from 0 to 36525", 0, _LONGEST)

Share = Annotated[float, Allowed("a share from 0 to 1, such as 0.03 for 3 %", 0, 1)]
Yearly = Annotated[float, Allowed("a share a year from 0 to below 1, such as 0.03 for 3 %", 0, 1, below=True)]
OftenAYear = Annotated[float, Allowed("so often a year, from 0 to 365", 0, 365)]
Days = Annotated[float, BLOCK]
Hours = Annotated[float, Allowed("hours, from 0 to 8766", 0, 8766)]
Lasts = Annotated[float, Allowed("days, above 0 and up to 36525", 0, _LONGEST, above=True)]
Contacts = Annotated[int, Allowed("a whole number from 1 to 1000000", 1, 1_000_000, whole=True)]
Domains = Annotated[int, Allowed("a whole number from 1 to 100000", 1, 100_000, whole=True)]
Lists = Annotated[int, Allowed("a whole number from 1 to 100", 1, 100, whole=True)]
Count = Annotated[int, Allowed("a whole number from 0 to 1000", 0, 1000, whole=True)]
Shape = Annotated[float, Allowed("a number from 0 to 5", 0, 5)]


@dataclass(frozen=True)
class People:
    """Who is on the lists. Rates are a year's, shares from 0 to 1."""

    contacts: Contacts
    at_providers: Share
    company_domains: Domains
    zipf: Shape
    dead_at_start: Share
    decay: Yearly
    closures: Yearly
    clicks: Share
    complaints: Share


@dataclass(frozen=True)
class Failures:
    """How messages fail, one by one."""

    false_hard: Share
    transient: Share
    full: Yearly
    full_for_good: Share
    full_median_days: Lasts
    full_as_hard: Share
    mislabelled: Share
    dead_says: Answers
    closed_says: Answers
    transient_says: Answers
    texts: Share


@dataclass(frozen=True)
class Outages:
    """How messages fail, many at once."""

    per_domain: OftenAYear
    median_days: Lasts
    sigma: Shape
    as_hard: Share
    hard_says: Answers
    soft_says: Answers
    provider_incidents: Count
    incident_share: Share
    sender_blocks: OftenAYear
    sender_block_share: Share
    sender_says: Answers


@dataclass(frozen=True)
class MailjetItself:
    """What Mailjet does by itself."""

    block_chance: Share
    block_days: Days
    foreign_dead: Share
    foreign_living: Yearly
    duplicates: Share
    late: Share
    soft_final_days: Days


@dataclass(frozen=True)
class Sending:
    """When what is sent, and when it is looked at."""

    lists: Lists
    rounds_days_apart: Days
    maintenance_hours: Hours
    settled_days: Days


@dataclass(frozen=True)
class Reviewing:
    """How much is asked of reviewers, and how fast they are."""

    answers_after_days: Days
    groups: Count


@dataclass(frozen=True)
class Assumptions:
    """One file of assumptions."""

    people: People
    failures: Failures
    outages: Outages
    mailjet: MailjetItself
    sending: Sending
    reviewer: Reviewing


def read(path: Path = DEFAULT) -> Assumptions:
    """The assumptions of a file; what it leaves out is the default world's. Raises BadWorld, OSError."""
    given, default = _parsed(path), _parsed(DEFAULT)
    if unknown := sorted(given.keys() - default.keys()):
        raise BadWorld(f"{path}: there is no section [{unknown[0]}]; there are {', '.join(default)}")
    return Assumptions(
        people=_section(People, "people", given, default, path),
        failures=_section(Failures, "failures", given, default, path),
        outages=_section(Outages, "outages", given, default, path),
        mailjet=_section(MailjetItself, "mailjet", given, default, path),
        sending=_section(Sending, "sending", given, default, path),
        reviewer=_section(Reviewing, "reviewer", given, default, path),
    )


def _parsed(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadWorld(f"{path}: {error}") from None
    for name, section in found.items():
        if not isinstance(section, dict):
            raise BadWorld(f"{path}: {name} is {section!r}: it must be a section, [{name}]")
    return found


def _section(
    kind: type[Section], name: str, given: dict[str, Any], default: dict[str, Any], path: Path
) -> Section:
    values = default[name] | given.get(name, {})
    known = get_type_hints(kind, include_extras=True)
    if unknown := sorted(values.keys() - known.keys()):
        raise BadWorld(f"{path}: [{name}] knows no {unknown[0]}; it knows {', '.join(sorted(known))}")
    return kind(
        **{
            key: _checked(value, of=known[key], where=f"{path}: [{name}] {key}")
            for key, value in values.items()
        }
    )


def _checked(value: Any, *, of: Any, where: str) -> Any:
    if of == Answers:
        return _answers(value, where=where)
    [allowed] = of.__metadata__
    allowed.check(value, where=where)
    return value


_STATE = Allowed("a state of Mailjet's, from 0 to 99", 0, 99, whole=True)
_WEIGHT = Allowed("a weight from 0 to 1000000", 0, 1_000_000)


def _answers(value: Any, *, where: str) -> Answers:
    try:
        found = tuple((state, permanent, weight) for state, permanent, weight in value)
    except (TypeError, ValueError):
        raise BadWorld(f"{where}: it must be a list of [state, permanent, weight]") from None
    for state, permanent, weight in found:
        _STATE.check(state, where=f"{where}: a state")
        _WEIGHT.check(weight, where=f"{where}: a weight")
        if not isinstance(permanent, bool):
            raise BadWorld(f"{where}: permanent is {permanent!r}: it must be true or false")
    if sum(weight for *_, weight in found) <= 0:
        raise BadWorld(f"{where}: it needs at least one answer with a weight")
    return found


# --- The truth ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Span:
    """From a day on, until before another."""

    begins: float
    ends: float
    hard: bool = False

    def holds(self, at: float) -> bool:
        """Whether it covers that instant."""
        return self.begins <= at < self.ends


@dataclass(frozen=True, slots=True)
class Person:
    """One contact's truth. `dies` is when nobody can be reached there any more, never where it is endless."""

    contact_id: int
    domain: str
    list: int
    dies: float
    closes: float
    full: Span | None
    foreign_block: Span | None
    dice: array[float]
    """One number from 0 to 1 for each cycle's message: the same whatever anybody does about it."""

    def is_dead(self, at: float) -> bool:
        """Whether nobody reads there now, nor will again."""
        return at >= self.dies or at >= self.closes


@dataclass(frozen=True)
class Truth:
    """One drawn world: the people, each domain's outages, and what happens to providers on which send."""

    assumptions: Assumptions
    people: tuple[Person, ...]
    outages: dict[str, tuple[Span, ...]]
    incidents: frozenset[tuple[int, str]]
    """Cycle and provider: on that day its servers err."""
    refused: frozenset[tuple[int, str]]
    """Cycle and provider: on that day it refuses us."""
    cycles: int
    cadence_days: float
    seed: int

    @cached_property
    def lists(self) -> tuple[tuple[Person, ...], ...]:
        """The people of each list."""
        return tuple(
            tuple(person for person in self.people if person.list == rotation)
            for rotation in range(self.assumptions.sending.lists)
        )

    @cached_property
    def worked_out(self) -> dict[tuple[int, int], Any]:
        """Room for what follows from the truth alone, by contact and cycle: see `mail`."""
        return {}

    def sent_at(self, cycle: int, rotation: int) -> float:
        """When a round is sent, in days."""
        return cycle * self.cadence_days + rotation * self.assumptions.sending.rounds_days_apart

    def outage_at(self, domain: str, at: float) -> Span | None:
        """The domain's outage at that instant, if there is one."""
        return next((span for span in self.outages.get(domain, ()) if span.holds(at)), None)


PROVIDERS = ("provider-one.test", "provider-two.test")
NEVER = float("inf")


def draw(assumptions: Assumptions, *, seed: int, weeks: int, cadence_days: float) -> Truth:
    """The truth of one seed: for the same seed always the same, whatever policy is tried on it."""
    dice = Random(f"truth {seed}")  # noqa: S311  (a synthetic world)
    days = weeks * 7
    cycles = max(int(days // cadence_days), 1)
    domains = _domains(assumptions.people)
    closes = {domain: _first(dice, assumptions.people.closures) for domain in domains[len(PROVIDERS) :]}
    people = tuple(_people(assumptions, domains=domains, closes=closes, dice=dice, cycles=cycles))
    blocks = round(assumptions.outages.sender_blocks * days / YEAR)
    return Truth(
        assumptions=assumptions,
        people=people,
        outages={
            domain: _outages(assumptions.outages, days=days, dice=dice)
            for domain in domains[len(PROVIDERS) :]
        },
        incidents=_incidents(assumptions.outages.provider_incidents, cycles=cycles, dice=dice),
        refused=_incidents(blocks, cycles=cycles, dice=dice),
        cycles=cycles,
        cadence_days=cadence_days,
        seed=seed,
    )


def _domains(people: People) -> list[str]:
    return [*PROVIDERS, *(f"company-{n:03d}.test" for n in range(1, people.company_domains + 1))]


def _first(dice: Random, yearly: float) -> float:
    """When something that happens to this share a year happens first: exponential, so memoryless."""
    rate = -log(1 - yearly) / YEAR
    return dice.expovariate(rate) if rate > 0 else NEVER


def _people(
    assumptions: Assumptions, *, domains: Sequence[str], closes: dict[str, float], dice: Random, cycles: int
) -> list[Person]:
    people = assumptions.people
    companies = domains[len(PROVIDERS) :]
    weights = [1 / rank**people.zipf for rank in range(1, len(companies) + 1)]
    found = []
    for contact_id in range(1, people.contacts + 1):
        at_provider = dice.random() < people.at_providers
        domain = dice.choice(PROVIDERS) if at_provider else dice.choices(companies, weights)[0]
        own = array("d", (dice.random() for _ in range(cycles)))
        found.append(_person(assumptions, contact_id, domain=domain, closes=closes, dice=dice, own=own))
    return found


def _person(
    assumptions: Assumptions,
    contact_id: int,
    *,
    domain: str,
    closes: dict[str, float],
    dice: Random,
    own: array[float],
) -> Person:
    people, failures, mailjet = assumptions.people, assumptions.failures, assumptions.mailjet
    dies = -1.0 if dice.random() < people.dead_at_start else _first(dice, people.decay)
    full = _full(failures, dice)
    if full is not None and full.ends == NEVER:
        dies = min(dies, full.begins)
    foreign = None
    if dice.random() < mailjet.foreign_dead:
        foreign = Span(dies, NEVER)
    elif (since := _first(dice, mailjet.foreign_living)) < NEVER:
        foreign = Span(since, since + mailjet.block_days)
    return Person(
        contact_id=contact_id,
        domain=domain,
        list=dice.randrange(assumptions.sending.lists),
        dies=dies,
        closes=closes.get(domain, NEVER),
        full=full,
        foreign_block=foreign,
        dice=own,
    )


def _full(failures: Failures, dice: Random) -> Span | None:
    begins = _first(dice, failures.full)
    if begins == NEVER:
        return None
    for_good = dice.random() < failures.full_for_good
    lasts = NEVER if for_good else dice.lognormvariate(log(failures.full_median_days), 0.8)
    return Span(begins, begins + lasts)


def _outages(outages: Outages, *, days: float, dice: Random) -> tuple[Span, ...]:
    found, at = [], 0.0
    while outages.per_domain > 0 and (at := at + dice.expovariate(outages.per_domain / YEAR)) < days:
        lasts = dice.lognormvariate(log(outages.median_days), outages.sigma)
        found.append(Span(at, at + lasts, hard=dice.random() < outages.as_hard))
        at += lasts
    return tuple(found)


def _incidents(count: int, *, cycles: int, dice: Random) -> frozenset[tuple[int, str]]:
    """So many send days on which one provider has, or makes, trouble. Never the first send."""
    return frozenset(
        (dice.randrange(min(1, cycles - 1), cycles), dice.choice(PROVIDERS)) for _ in range(count)
    )
