"""A weekly check beside those before it: what changed in a week, and how each figure went lately."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from django.db.models import QuerySet

from agents import reporting
from agents.reporting import Report
from agents.weekly_report import Outcomes
from listmanagement.models import AgentCall, ListHealth, ListHealthCheck, RunKind
from listmanagement.workflows.weekly import week, weekly_health

CHECKS = 12
"""Weekly checks that a trend shows: about a quarter of a year."""


class Unit(Enum):
    """How a figure is counted."""

    PEOPLE = "people"
    SHARE = "share"
    """0 to 1."""
    PERCENT = "percent"
    """0 to 100, and more."""


@dataclass(frozen=True)
class Figure:
    """What is looked at over time. `better` is 1 where more is better, -1 where less is, else 0."""

    name: str
    unit: Unit
    better: int


@dataclass(frozen=True)
class Trend:
    """A figure of this check, a week ago, and of the last checks, oldest first. None: nothing to count."""

    figure: Figure
    now: float | None
    before: float | None
    past: Sequence[float | None]
    """This check's is the last one."""

    @property
    def change(self) -> float | None:
        """Since a week ago; None where one of the two is not known."""
        return None if self.now is None or self.before is None else self.now - self.before


@dataclass(frozen=True)
class Compared:
    """A weekly check, with the one of a week before."""

    check: ListHealthCheck
    before: ListHealthCheck | None
    grades_before: Mapping[int, str]
    """By our list id."""
    whole: Sequence[Trend]
    lists: Mapping[int, Sequence[Trend]]
    """By our list id."""


def of(check: ListHealthCheck) -> Compared:
    """A weekly check compared. A fixed number of queries, however many lists and checks there are."""
    past = _up_to(check)
    earlier = weekly_health.before(at=check.at)
    before = _by_list(earlier) if earlier is not None else {}
    ours = _by_list(check)
    return Compared(
        check=check,
        before=earlier,
        grades_before={pk: row.grade for pk, row in before.items()},
        whole=[
            Trend(figure, value(check), value(earlier) if earlier else None, [value(each) for each in past])
            for figure, value in WHOLE
        ],
        lists={
            pk: [
                Trend(
                    figure,
                    value(row),
                    value(before[pk]) if pk in before else None,
                    [value(then[pk]) for each in past if pk in (then := _by_list(each))],
                )
                for figure, value in OF_A_LIST
            ]
            for pk, row in ours.items()
        },
    )


def latest() -> ListHealthCheck | None:
    """The weekly check that was made last; None before the first."""
    return _weekly().order_by("-at", "-pk").first()


def _weekly() -> QuerySet[ListHealthCheck]:
    return ListHealthCheck.objects.filter(run__kind=RunKind.WEEKLY_HEALTH)


def _up_to(check: ListHealthCheck) -> list[ListHealthCheck]:
    """The last weekly checks, this one the last of them."""
    earlier = _weekly().filter(at__lt=check.at).prefetch_related("lists").order_by("-at", "-pk")
    return [*reversed(earlier[: CHECKS - 1]), check]


def _by_list(check: ListHealthCheck) -> dict[int, ListHealth]:
    return {row.list_id: row for row in check.lists.all()}


# --- The report ------------------------------------------------------------------------------------------


def report(call: AgentCall, *, names: Mapping[str, str]) -> Report:
    """What the reporting agent wrote of the week, with its numbers, and the lists by their names."""
    told = reporting.render(Report.model_validate(call.answer), call.asked["numbers"])
    named = weekly_health.named
    return Report(
        headline=named(told.headline, names),
        summary=tuple(named(each, names) for each in told.summary),
        actions=tuple(named(each, names) for each in told.actions),
    )


# --- The figures -----------------------------------------------------------------------------------------


def _outcomes(row: ListHealth) -> Outcomes:
    names = Outcomes.model_fields
    return Outcomes(**{name: getattr(row, f"recent_{name}") or 0 for name in names})


def _rate(name: str) -> Callable[[ListHealth], float | None]:
    return lambda row: weekly_health.rates(_outcomes(row)).get(name)


def _rate_of_all(name: str) -> Callable[[ListHealthCheck], float | None]:
    def rate(check: ListHealthCheck) -> float | None:
        each = [_outcomes(row) for row in check.lists.all()]
        return weekly_health.rates(week.together(each) or week.NOTHING).get(name)

    return rate


def _sum(value: Callable[[ListHealth], int | None]) -> Callable[[ListHealthCheck], float | None]:
    return lambda check: sum(value(row) or 0 for row in check.lists.all())


def _share(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


_RATES = (
    (Figure("Delivered", Unit.SHARE, 1), "delivered"),
    (Figure("Bounced", Unit.SHARE, -1), "bounced"),
    (Figure("Bounced hard", Unit.SHARE, -1), "hard"),
    (Figure("Blocked: not tried by Mailjet", Unit.SHARE, -1), "blocked"),
    (Figure("Complained", Unit.SHARE, -1), "complained"),
    (Figure("Opted out", Unit.SHARE, -1), "opted out"),
)

OF_A_LIST: Sequence[tuple[Figure, Callable[[ListHealth], float | None]]] = (
    (Figure("Reachable people", Unit.PEOPLE, 1), lambda row: row.size),
    (Figure("Joined in the week", Unit.PEOPLE, 0), lambda row: row.joined),
    (Figure("Left in the week", Unit.PEOPLE, 0), lambda row: row.left),
    *((figure, _rate(name)) for figure, name in _RATES),
    (
        Figure("Reachable, but blocked at Mailjet", Unit.SHARE, -1),
        lambda row: _share(row.blocked, row.size),
    ),
    (
        Figure("Suppressed, of all who were on it", Unit.SHARE, -1),
        lambda row: _share(row.suppressed, (row.members or 0) + (row.suppressed or 0)),
    ),
)

WHOLE: Sequence[tuple[Figure, Callable[[ListHealthCheck], float | None]]] = (
    (Figure("Reachable people", Unit.PEOPLE, 1), _sum(lambda row: row.size)),
    (Figure("Joined in the week", Unit.PEOPLE, 0), _sum(lambda row: row.joined)),
    (Figure("Left in the week", Unit.PEOPLE, 0), _sum(lambda row: row.left)),
    *((figure, _rate_of_all(name)) for figure, name in _RATES),
    (
        Figure("Suppressed, of all registered", Unit.SHARE, -1),
        lambda check: _share(check.suppressed, check.registered),
    ),
    (Figure("Held", Unit.PEOPLE, 0), lambda check: check.held),
    (Figure("In the backlog", Unit.PEOPLE, 0), lambda check: check.backlog),
    (Figure("Largest distance from the mean size", Unit.PERCENT, -1), lambda check: check.deviation),
)
