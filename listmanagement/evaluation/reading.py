"""A scenario's file, read: what was told of a campaign, and what a prudent list manager would do about it.

The format is described beside the files, in `scenarios/README.md`.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agents.list_health import Cause, Grade
from agents.optimization import Verdict
from agents.rebalancing import Choice
from agents.reporting import HeldBecause, SenderProblem, Stage
from listmanagement.domain.bounces import Outcome

DEFAULT = Path(__file__).parent / "scenarios"
"""The scenarios that come with the code."""

MANY = "many domains"
"""Where each contact of a group has a domain of its own."""

_WHO = re.compile(r"(\d+) at (.+)")
_TOLD = re.compile(r"(delivered|hard \d+|soft \d+|blocked \d+|complained|open)( .*)?")
_MARKS = re.compile(r" (click|spent|in-hold|same-cycle|'[^']+')")
_OF = re.compile(r"(\d+) of (\d+)")


class UnreadableScenario(ValueError):
    """A scenario's file does not say what the format asks for; the message names the file and the place."""


@dataclass(frozen=True)
class Told:
    """What became of one message to one contact."""

    days: int
    """Before the judged message."""
    outcome: Outcome
    state: int | None = None
    """Mailjet's; None where it was delivered or is open."""
    permanent: bool = False
    text: str | None = None
    """The server's own words."""
    click: bool = False
    spent: bool = False
    in_hold: bool = False
    same_cycle: bool = False


@dataclass(frozen=True)
class Group:
    """Contacts of one fate, and what should become of them."""

    name: str
    contacts: int
    domain: str | None
    """None where each has a domain of its own, at which others are reached."""
    before: tuple[Told, ...]
    """Oldest first."""
    now: Told
    protected: bool
    held_days: int | None
    """On hold, by itself, since a failure so many days before the judged message."""
    label: Verdict
    why: str


@dataclass(frozen=True)
class Domain:
    """A recipient domain, in the judged campaign and in the 180 days before."""

    name: str
    delivered: int
    bounced_before: int
    tried_before: int
    well_known: bool
    held_days: int | None
    closed: bool


@dataclass(frozen=True)
class Outage:
    """A domain's outage in a list's last campaign, as told by a row of figures."""

    domain: str
    hard: int
    soft: int
    well_known: bool


@dataclass(frozen=True)
class Figures:
    """A list's last campaign where it is not the judged one."""

    size: int
    delivered: int
    hard: int
    soft: int
    blocked: int
    ours_hard: int
    ours_soft: int
    ours_blocked: int
    previous: float | None
    """Percent."""
    outages: tuple[Outage, ...]


@dataclass(frozen=True)
class MailingList:
    """A campaign list, and how healthy it is."""

    name: str
    figures: Figures | None
    """None for the list of the judged campaign."""
    grade: Grade
    cause: Cause
    why: str


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rebalancing(_Table):
    """The lists as they stand, and which form of the plan is right."""

    sizes: tuple[Annotated[int, Field(ge=0)], ...]
    fixed: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Members of each list who may not be moved; nobody where it is left out."""
    backlog: Annotated[int, Field(ge=0)]
    first_sends: str = "0 of 0"
    """Hard bounces among first messages that ended."""
    between_cycles: bool
    hours_to_next_send: float | None = None
    label: Choice
    why: Annotated[str, Field(min_length=1)]

    @property
    def first_sends_hard_and_final(self) -> tuple[int, int]:
        """Both as numbers. Raises `ValueError`."""
        return _of(self.first_sends)


class Report(_Table):
    """A run's figures, and what a manager must be told of it."""

    stage: Stage
    rules_judged: bool = False
    figures: str
    held: tuple[tuple[HeldBecause, int, int], ...] = ()
    """Why, how many items, how many contacts."""
    sender_problems: Mapping[SenderProblem, int] = {}
    went_without: tuple[str, ...] = ()
    sizes_before: tuple[int, ...]
    sizes_after: tuple[int, ...] | None = None
    """As before where it is left out."""
    label: tuple[str, ...]
    why: Annotated[str, Field(min_length=1)]


_Row = tuple[str, str, str, str, Verdict, Annotated[str, Field(min_length=1)]]


class _File(_Table):
    title: str
    about: str
    corrected: tuple[tuple[str, str, Annotated[str, Field(min_length=1)]], ...] = ()
    size: int = 0
    delivered: int = 0
    previous: float | None = None
    tried_domains: int = 100
    domains: tuple[tuple[str, int, str, str], ...] = ()
    groups: tuple[_Row, ...] = ()
    lists: tuple[tuple[str, str, str, Annotated[str, Field(min_length=1)]], ...] = ()
    rebalancing: Rebalancing | None = None
    report: Report | None = None


@dataclass(frozen=True)
class Scenario:
    """One situation with its labels."""

    path: Path
    name: str
    title: str
    about: str
    corrected: Mapping[str, str]
    """What was labelled otherwise at first, and how; the file says why it was changed."""
    size: int
    delivered: int
    previous: float | None
    """Hard-bounce rate of the list's campaign before, in percent."""
    tried_domains: int
    """Domains that the judged campaign went to, about."""
    domains: tuple[Domain, ...]
    groups: tuple[Group, ...]
    lists: tuple[MailingList, ...]
    rebalancing: Rebalancing | None
    report: Report | None

    @property
    def number(self) -> str:
        """What a labeller who may not see the title knows it by."""
        return "s" + self.name.split("-", 1)[0]


def read(folder: Path = DEFAULT) -> tuple[Scenario, ...]:
    """All scenarios of a folder, by name. Raises `UnreadableScenario`, also where there is none."""
    found = tuple(read_one(path) for path in sorted(folder.glob("[0-9]*.toml")))
    if not found:
        raise UnreadableScenario(f"{folder} holds no scenario: give a folder with files such as 01-name.toml")
    return found


def read_one(path: Path) -> Scenario:
    """One scenario. Raises `UnreadableScenario`."""
    try:
        file = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        return _scenario(path, file)
    except (tomllib.TOMLDecodeError, ValidationError, ValueError) as error:
        raise UnreadableScenario(f"{path.name}: {error}") from error


def _scenario(path: Path, file: _File) -> Scenario:
    domains = tuple(_domain(*row) for row in file.domains)
    groups = tuple(_group(*row) for row in file.groups)
    _check_differ(group.name for group in groups)
    _check_differ(domain.name for domain in domains)
    known = {domain.name for domain in domains}
    if unknown := {group.domain for group in groups if group.domain} - known:
        raise ValueError(f"no row under domains for {sorted(unknown)}")
    return Scenario(
        path=path,
        name=path.stem,
        title=file.title,
        about=file.about,
        corrected={what: label for what, label, _ in file.corrected},
        size=file.size,
        delivered=file.delivered,
        previous=file.previous,
        tried_domains=file.tried_domains,
        domains=domains,
        groups=groups,
        lists=tuple(_list(*row) for row in file.lists),
        rebalancing=file.rebalancing,
        report=file.report,
    )


def _check_differ(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"two rows are called {name}")
        seen.add(name)


# Rows ------------------------------------------------------------------------------------------------


def _domain(name: str, delivered: int, before: str, notes: str) -> Domain:
    bounced, tried = _of(before)
    words = _items(notes)
    return Domain(
        name=name,
        delivered=delivered,
        bounced_before=bounced,
        tried_before=tried,
        well_known="well-known" in words,
        held_days=_held(words),
        closed="closed" in words,
    )


def _group(name: str, who: str, before: str, now: str, label: Verdict, why: str) -> Group:
    found = _WHO.fullmatch(who)
    if found is None:
        raise ValueError(f"group {name}: {who!r} is not like '12 at acme.example'")
    marks = [item for item in _items(before) if item == "protected" or item.startswith("held ")]
    messages = [item for item in _items(before) if item not in marks]
    return Group(
        name=name,
        contacts=int(found[1]),
        domain=None if found[2] == MANY else found[2],
        before=tuple(sorted((_earlier(item) for item in messages), key=lambda told: -told.days)),
        now=_told(now, days=0),
        protected="protected" in marks,
        held_days=_held(marks),
        label=label,
        why=why,
    )


def _earlier(item: str) -> Told:
    days, _, told = item.partition(" ")
    return _told(told, days=int(days))


def _told(written: str, *, days: int) -> Told:
    found = _TOLD.fullmatch(written)
    marks = _MARKS.findall(found[2] or "") if found else []
    if found is None or sum(len(mark) + 1 for mark in marks) != len(found[2] or ""):
        raise ValueError(f"{written!r} is no outcome such as 'delivered click' or 'hard 1 spent'")
    kind, _, state = found[1].partition(" ")
    return Told(
        days=days,
        outcome=_OUTCOMES[kind],
        state=int(state) if state else None,
        permanent=kind == "hard",
        text=next((mark.strip("'") for mark in marks if mark.startswith("'")), None),
        click="click" in marks,
        spent="spent" in marks,
        in_hold="in-hold" in marks,
        same_cycle="same-cycle" in marks,
    )


_OUTCOMES = {
    "delivered": Outcome.DELIVERED,
    "hard": Outcome.BOUNCED,
    "soft": Outcome.BOUNCED,
    "blocked": Outcome.NOT_ATTEMPTED,
    "complained": Outcome.COMPLAINED,
    "open": Outcome.OPEN,
}


def _list(name: str, figures: str, label: str, why: str) -> MailingList:
    grade, _, cause = label.partition(" ")
    return MailingList(
        name=name,
        figures=_figures(figures) if figures else None,
        grade=Grade(grade),
        cause=Cause(cause),
        why=why,
    )


def _figures(written: str) -> Figures:
    words = [item.split() for item in _items(written)]
    numbers = {item[0]: item[1] for item in words if len(item) == 2}
    outages = tuple(_outage(item) for item in words if len(item) != 2)
    previous = numbers.pop("previous", None)
    known = {"size", "delivered", "hard", "soft", "blocked", "ours_hard", "ours_soft", "ours_blocked"}
    if unknown := set(numbers) - known:
        raise ValueError(f"{written!r}: unknown figures {sorted(unknown)}")
    counts = {name: int(numbers.get(name, "0")) for name in known}
    return Figures(**counts, previous=None if previous is None else float(previous), outages=outages)


def _outage(words: Sequence[str]) -> Outage:
    match words:
        case [("outage" | "incident") as kind, domain, hard, "hard", soft, "soft"]:
            return Outage(domain, hard=int(hard), soft=int(soft), well_known=kind == "incident")
    raise ValueError(f"{' '.join(words)!r} is not like 'outage acme.example 12 hard 3 soft'")


def _items(written: str) -> list[str]:
    return [item.strip() for item in _split(written) if item.strip()]


def _split(written: str) -> Iterator[str]:
    """At commas, those within quotes apart."""
    yield from re.findall(r"(?:'[^']*'|[^,'])+", written)


def _held(words: Iterable[str]) -> int | None:
    days = [int(word.removeprefix("held ")) for word in words if word.startswith("held ")]
    return days[0] if days else None


def _of(written: str) -> tuple[int, int]:
    found = _OF.fullmatch(written)
    if found is None:
        raise ValueError(f"{written!r} is not like '3 of 180'")
    return int(found[1]), int(found[2])
