"""A scenario's file, read: what was told of a campaign, and what a prudent list manager would do about it.

The format is described beside the files, in `scenarios/README.md`.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from agents.list_health import Cause, Grade
from agents.optimization import Verdict
from agents.rebalancing import Choice
from agents.reporting import HeldBecause, SenderProblem, Stage
from listmanagement.domain.bounces import Outcome

R = TypeVar("R")

DEFAULT = Path(__file__).parent / "scenarios"
"""The scenarios that come with the code."""

MANY = "many domains"
"""Where each contact of a group has a domain of its own."""

MOST_MEMBERS, MOST_CONTACTS, MOST_DOMAINS = 200_000, 20_000, 100_000
"""Of a list, of all groups of a scenario, tried in a campaign: each contact judged costs time and memory."""

MOST_MESSAGES = 10_000_000
"""Tried at a domain before, or first ones that ended: only counted."""

LONGEST_AGO = 999
"""Days. An earlier message lies so far back at most."""

_STATES = frozenset({*range(1, 22), 99})
"""Mailjet's table, and the number that stands in none."""

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


Members = Annotated[int, Field(ge=0, le=MOST_MEMBERS)]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Contacts = Annotated[int, Field(ge=1, le=MOST_MEMBERS)]


class Rebalancing(_Table):
    """The lists as they stand, and which form of the plan is right."""

    sizes: Annotated[tuple[Members, ...], Field(min_length=2, max_length=10)]
    fixed: tuple[Members, ...] = ()
    """Members of each list who may not be moved; nobody where it is left out."""
    backlog: Members
    first_sends: str = "0 of 0"
    """Hard bounces among first messages that ended."""
    between_cycles: bool
    hours_to_next_send: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
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
    held: tuple[tuple[HeldBecause, Contacts, Contacts], ...] = ()
    """Why, how many items, how many contacts."""
    sender_problems: Mapping[SenderProblem, Members] = {}
    went_without: tuple[str, ...] = ()
    sizes_before: Annotated[tuple[Members, ...], Field(min_length=2, max_length=10)]
    sizes_after: tuple[Members, ...] | None = None
    """As before where it is left out."""
    label: tuple[str, ...]
    why: Annotated[str, Field(min_length=1)]


_Row = tuple[str, str, str, str, Verdict, Annotated[str, Field(min_length=1)]]


class _File(_Table):
    title: str
    about: str
    corrected: tuple[tuple[str, str, Annotated[str, Field(min_length=1)]], ...] = ()
    size: Members = 0
    delivered: Members = 0
    previous: Percent | None = None
    tried_domains: Annotated[int, Field(ge=0, le=MOST_DOMAINS)] = 100
    domains: tuple[tuple[str, Members, str, str], ...] = ()
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
    except OSError as error:
        raise UnreadableScenario(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UnreadableScenario(f"{path.name}: {faults(error)}") from error


def faults(error: ValueError) -> str:
    """What is wrong where, in a line; what stood there only where it is short."""
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(map(_fault, error.errors(include_url=False)))


def _fault(fault: ErrorDetails) -> str:
    where = ".".join(map(str, fault["loc"]))
    stood = f" is {fault['input']!r}" if isinstance(fault["input"], str | int | float) else ""
    said = f"{where}{stood}: " if where else ""
    return said + fault["msg"].removeprefix("Value error, ")


def _scenario(path: Path, file: _File) -> Scenario:
    domains = tuple(_row("domains", _domain, row) for row in file.domains)
    groups = tuple(_row("groups", _group, row) for row in file.groups)
    lists = tuple(_row("lists", _list, row) for row in file.lists)
    _check_differ(group.name for group in groups)
    _check_differ(domain.name for domain in domains)
    known = {domain.name for domain in domains}
    if unknown := {group.domain for group in groups if group.domain} - known:
        raise ValueError(f"no row under domains for {sorted(unknown)}")
    _check_differ(each.name for each in lists)
    _check_counts(file, groups, lists)
    _check_lists(file.rebalancing, file.report)
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
        lists=lists,
        rebalancing=file.rebalancing,
        report=file.report,
    )


def _check_differ(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"two rows are called {name}")
        seen.add(name)


def _check_counts(file: _File, groups: Sequence[Group], lists: Sequence[MailingList]) -> None:
    contacts = sum(group.contacts for group in groups)
    if contacts > MOST_CONTACTS:
        raise ValueError(f"groups have {contacts} contacts: together they may have {MOST_CONTACTS}")
    if groups and contacts > file.size:
        raise ValueError(f"size is {file.size}: the groups have {contacts} contacts, all of them on the list")
    if len([each for each in lists if each.figures is None]) > 1:
        raise ValueError("lists: only one is the list of the judged campaign, give the others' figures")


def _check_lists(plan: Rebalancing | None, report: Report | None) -> None:
    if plan is not None and plan.fixed:
        pairs = zip(plan.sizes, plan.fixed, strict=False)
        if len(plan.fixed) != len(plan.sizes) or any(fixed > size for size, fixed in pairs):
            raise ValueError("rebalancing.fixed: one number a list, none of them larger than its size")
    if plan is not None:
        hard, final = plan.first_sends_hard_and_final
        _check_part(hard, final, of=f"rebalancing.first_sends is {plan.first_sends!r}")
    if report is not None and report.sizes_after and len(report.sizes_after) != len(report.sizes_before):
        raise ValueError("report.sizes_after: one number a list, as in sizes_before")


def _check_part(part: int, whole: int, *, of: str) -> None:
    if part > whole:
        raise ValueError(f"{of}: {part} is more than {whole}")


# Rows ------------------------------------------------------------------------------------------------


def _row(table: str, read: Callable[..., R], row: Sequence[object]) -> R:
    """One row, read; what is wrong with it by its table and name."""
    try:
        return read(*row)
    except ValueError as error:
        raise ValueError(f"{table}, {row[0]}: {error}") from error


def _whole(written: str, *, of: str, lowest: int = 0, highest: int = MOST_MEMBERS) -> int:
    """A number from a row. Raises `ValueError`."""
    if not re.fullmatch(r"[0-9]{1,9}", written) or not lowest <= int(written) <= highest:
        raise ValueError(f"{of} is {written!r}: it must be a whole number from {lowest} to {highest}")
    return int(written)


def _domain(name: str, delivered: int, before: str, notes: str) -> Domain:
    bounced, tried = _of(before)
    _check_part(bounced, tried, of=f"{before!r}")
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
        raise ValueError(f"{who!r} is not like '12 at acme.example'")
    marks = [item for item in _items(before) if item == "protected" or item.startswith("held ")]
    messages = [item for item in _items(before) if item not in marks]
    return Group(
        name=name,
        contacts=_whole(found[1], of="contacts", lowest=1, highest=MOST_CONTACTS),
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
    return _told(told, days=_whole(days, of=f"days in {item!r}", lowest=1, highest=LONGEST_AGO))


def _told(written: str, *, days: int) -> Told:
    found = _TOLD.fullmatch(written)
    marks = _MARKS.findall(found[2] or "") if found else []
    if found is None or sum(len(mark) + 1 for mark in marks) != len(found[2] or ""):
        raise ValueError(f"{written!r} is no outcome such as 'delivered click' or 'hard 1 spent'")
    kind, _, state = found[1].partition(" ")
    if state and int(state) not in _STATES:
        raise ValueError(f"{written!r}: Mailjet's states are 1 to 21, and 99 for one in no table")
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
    if grade not in list(Grade) or cause not in list(Cause):
        raise ValueError(
            f"{label!r} is no label such as 'watch outage': a grade ({', '.join(Grade)}) and a cause "
            f"({', '.join(Cause)})"
        )
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
    counts = {name: _whole(numbers.get(name, "0"), of=name) for name in known}
    ended = sum(counts[name] for name in ("delivered", "hard", "soft", "blocked"))
    if ended > counts["size"]:
        raise ValueError(f"size is {counts['size']}: it must be at least the {ended} messages that ended")
    return Figures(**counts, previous=_percent(previous), outages=outages)


def _percent(written: str | None) -> float | None:
    if written is None:
        return None
    if not re.fullmatch(r"[0-9]{1,3}(?:\.[0-9]+)?", written) or float(written) > 100:
        raise ValueError(f"previous is {written!r}: it must be percent, from 0 to 100")
    return float(written)


def _outage(words: Sequence[str]) -> Outage:
    match words:
        case [("outage" | "incident") as kind, domain, hard, "hard", soft, "soft"]:
            return Outage(
                domain,
                hard=_whole(hard, of="hard"),
                soft=_whole(soft, of="soft"),
                well_known=kind == "incident",
            )
    raise ValueError(f"{' '.join(words)!r} is not like 'outage acme.example 12 hard 3 soft'")


def _items(written: str) -> list[str]:
    return [item.strip() for item in _split(written) if item.strip()]


def _split(written: str) -> Iterator[str]:
    """At commas, those within quotes apart."""
    yield from re.findall(r"(?:'[^']*'|[^,'])+", written)


def _held(words: Iterable[str]) -> int | None:
    days = [
        _whole(word.removeprefix("held "), of=f"days in {word!r}", highest=LONGEST_AGO)
        for word in words
        if word.startswith("held ")
    ]
    return days[0] if days else None


def _of(written: str) -> tuple[int, int]:
    found = _OF.fullmatch(written)
    if found is None:
        raise ValueError(f"{written!r} is not like '3 of 180'")
    part, whole = (_whole(each, of=repr(written), highest=MOST_MESSAGES) for each in found.groups())
    return part, whole
