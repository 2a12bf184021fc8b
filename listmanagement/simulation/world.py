"""The assumptions, from a file, and one synthetic truth drawn from them by a seed.

The truth does not depend on what anybody does about it: who dies when, which server fails when, and the
dice for each message are drawn before the first send. Times are days from the first send on, as numbers.
"""

from __future__ import annotations

import tomllib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from math import log
from pathlib import Path
from random import Random
from typing import Any, TypeVar

YEAR = 365.25
DEFAULT = Path(__file__).parent / "worlds" / "default.toml"

Answers = tuple[tuple[int, bool, float], ...]
"""How a server answers: Mailjet's state, whether permanent, and how often, as a weight."""

Section = TypeVar("Section")


class BadWorld(ValueError):
    """The file of assumptions cannot be used; the message names the section and the field."""


@dataclass(frozen=True)
class People:
    """Who is on the lists. Rates are a year's, shares from 0 to 1."""

    contacts: int
    at_providers: float
    company_domains: int
    zipf: float
    dead_at_start: float
    decay: float
    closures: float
    clicks: float
    complaints: float


@dataclass(frozen=True)
class Failures:
    """How messages fail, one by one."""

    false_hard: float
    transient: float
    full: float
    full_for_good: float
    full_median_days: float
    full_as_hard: float
    mislabelled: float
    dead_says: Answers
    closed_says: Answers
    transient_says: Answers
    texts: float


@dataclass(frozen=True)
class Outages:
    """How messages fail, many at once."""

    per_domain: float
    median_days: float
    sigma: float
    as_hard: float
    hard_says: Answers
    soft_says: Answers
    provider_incidents: int
    incident_share: float
    sender_blocks: float
    sender_block_share: float
    sender_says: Answers


@dataclass(frozen=True)
class MailjetItself:
    """What Mailjet does by itself."""

    block_chance: float
    block_days: float
    foreign_dead: float
    foreign_living: float
    duplicates: float
    late: float
    soft_final_days: float


@dataclass(frozen=True)
class Sending:
    """When what is sent, and when it is looked at."""

    lists: int
    rounds_days_apart: float
    maintenance_hours: float
    settled_days: float


@dataclass(frozen=True)
class Reviewing:
    """How much is asked of reviewers, and how fast they are."""

    answers_after_days: float
    groups: int


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
        return tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise BadWorld(f"{path}: {error}") from None


def _section(
    kind: type[Section], name: str, given: dict[str, Any], default: dict[str, Any], path: Path
) -> Section:
    values = default[name] | given.get(name, {})
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # each is a dataclass
    if unknown := sorted(values.keys() - known):
        raise BadWorld(f"{path}: [{name}] knows no {unknown[0]}; it knows {', '.join(sorted(known))}")
    return kind(
        **{
            key: _checked(value, of=default[name][key], where=f"{path}: [{name}] {key}")
            for key, value in values.items()
        }
    )


def _checked(value: Any, *, of: Any, where: str) -> Any:
    if isinstance(of, list):
        return _answers(value, where=where)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise BadWorld(f"{where} is {value!r}: it must be a number from 0 on")
    if isinstance(of, int) and not isinstance(value, int):
        raise BadWorld(f"{where} is {value!r}: it must be a whole number")
    return value


def _answers(value: Any, *, where: str) -> Answers:
    try:
        found = tuple((int(state), bool(permanent), float(weight)) for state, permanent, weight in value)
    except (TypeError, ValueError):
        raise BadWorld(f"{where}: it must be a list of [state, permanent, weight]") from None
    if not found or sum(weight for *_, weight in found) <= 0:
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
    return dice.expovariate(-log(1 - yearly) / YEAR) if yearly > 0 else NEVER


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
