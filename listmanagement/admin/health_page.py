"""What a health check's page shows, computed whole: grades, and each week figures with their trends."""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import User
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agents import prose
from agents.reporting import Report
from listmanagement.admin import opinions, show
from listmanagement.admin.opinions import Pair
from listmanagement.models import Agent, AgentCall, ContactList, ListHealth, ListHealthCheck, RunKind
from listmanagement.workflows.maintenance import analysis
from listmanagement.workflows.record import marks
from listmanagement.workflows.weekly import trends
from listmanagement.workflows.weekly.trends import Compared, Trend, Unit

GRADES = {
    "good": show.Tone.GOOD,
    "watch": show.Tone.WAITING,
    "poor": show.Tone.BAD,
    "critical": show.Tone.BAD,
}
WORST_FIRST = ("critical", "poor", "watch", "good")
WIDTH, HEIGHT = 96.0, 24.0
"""Of a trend, in its own units."""


@dataclass(frozen=True, slots=True)
class Spark:
    """A trend as a line. Its figures are in its name, for whoever does not see it."""

    points: str
    last: tuple[str, str]
    told: str


@dataclass(frozen=True, slots=True)
class Line:
    """One figure."""

    name: str
    now: str
    change: SafeString | str
    spark: Spark | None


@dataclass(frozen=True, slots=True)
class Action:
    """What somebody should do, and how urgent that is."""

    urgency: show.Chip
    words: str


@dataclass(frozen=True, slots=True)
class Assessment:
    """What was said of one list, and what a reviewer said of that."""

    pk: int
    name: str
    grade: show.Chip
    was: str
    """Its grade a week before, where it was another."""
    cause: str
    rationale: str
    facts: Sequence[tuple[str, str]]
    lines: Sequence[Line]
    opinion: Pair | None
    mark: show.Chip | None
    marked: str


@dataclass(frozen=True, slots=True)
class Week:
    """What only a weekly check has."""

    lines: Sequence[Line]
    since: str
    """Of which check the changes are told; empty where there was none."""
    checks: int
    """That its trends show."""
    report: Report | None
    actions: Sequence[Action]


@dataclass(frozen=True, slots=True)
class HealthPage:
    """Everything the template needs."""

    check: ListHealthCheck
    title: str
    facts: Sequence[tuple[str, object]]
    critical: str
    """The lists in a critical state; empty where none is."""
    week: Week | None
    weekly: SafeString | str
    """Where the latest weekly check is, on the page of another; empty where there is none."""
    assessments: Sequence[Assessment]
    why_not: str | None


def due() -> str:
    """When the weekly check is due, as people say it."""
    day = calendar.day_name[(settings.WEEKLY_HEALTH_CHECK_DAY - 1) % 7]
    return f"{day} at {settings.WEEKLY_HEALTH_CHECK_HOUR:02d}:00 UTC"


def read(check: ListHealthCheck, *, by: User) -> HealthPage:
    """The page of a health check for this person."""
    is_weekly = check.run.kind == RunKind.WEEKLY_HEALTH
    compared = trends.of(check) if is_weekly else None
    rows = sorted(check.lists.all(), key=_place)
    latest = None if is_weekly else trends.latest()
    return HealthPage(
        check=check,
        title=f"The lists in the week to {_day(check.at)}" if is_weekly else "How the lists were",
        facts=_facts(check),
        critical=_listed([str(row.list) for row in rows if row.grade == "critical"]),
        week=_week(compared, rows) if compared is not None else None,
        weekly=show.link(latest, f"the weekly check of {_day(latest.at)}") if latest else "",
        assessments=[_assessment(row, compared) for row in rows],
        why_not=marks.why_not(by),
    )


def _day(at: datetime) -> str:
    return f"{at:%d %b %Y}".lstrip("0")


def _place(row: ListHealth) -> tuple[int, int]:
    """The worst first, else in the rotation's order."""
    return WORST_FIRST.index(row.grade), row.list.position or 0


def _listed(names: Sequence[str]) -> str:
    *others, last = names or [""]
    return f"{', '.join(others)} and {last}" if others else last


def _facts(check: ListHealthCheck) -> list[tuple[str, object]]:
    calls = check.run.agent_calls.all()
    return [
        *((f"{show.words(call.agent).capitalize()} by", _judge(call)) for call in calls),
        ("Confidence in the grades", f"{check.call.confidence:.2f}"),
        ("Run", show.link(check.run)),
        ("At", show.when(check.at)),
        ("Largest distance from the mean size", f"{check.deviation:.2f} %"),
    ]


def _judge(call: AgentCall) -> str:
    return show.judge(call.source, model=call.model, has_key=bool(settings.GEMINI_API_KEY))


# --- Each list -------------------------------------------------------------------------------------------


def _assessment(row: ListHealth, compared: Compared | None) -> Assessment:
    said = opinions.of_verdict(row.verdict) if row.verdict is not None and row.verdict.stated else None
    was = compared.grades_before.get(row.list_id, row.grade) if compared is not None else row.grade
    return Assessment(
        pk=row.pk,
        name=str(row.list),
        grade=show.Chip(row.grade, GRADES[row.grade]),
        was=was if was != row.grade else "",
        cause="" if row.cause == "none" else show.words(row.cause),
        rationale=row.rationale,
        facts=[
            ("Size", f"{row.size:,}"),
            ("Delivered", f"{row.delivered:,}"),
            ("Bounced", f"{row.bounced:,}"),
            ("Not attempted", f"{row.not_attempted:,}"),
            ("Confidence", f"{row.verdict.confidence:.2f}" if row.verdict is not None else show.NOTHING),
        ],
        lines=[_line(each) for each in compared.lists[row.list_id]] if compared is not None else [],
        opinion=said,
        mark=_mark(row),
        marked=_marked(row),
    )


def _mark(row: ListHealth) -> show.Chip | None:
    if row.is_right is None:
        return None
    return show.Chip("right", show.Tone.GOOD) if row.is_right else show.Chip("wrong", show.Tone.BAD)


def _marked(row: ListHealth) -> str:
    if row.is_right is None:
        return ""
    why = f": {row.marked_why}" if row.marked_why else ""
    return f"Marked by {row.marked_by} on {show.when(row.marked_at)}{why}"


# --- The week --------------------------------------------------------------------------------------------


def _week(compared: Compared, rows: Sequence[ListHealth]) -> Week:
    report = _report(compared.check, [row.list for row in rows])
    before = compared.before
    return Week(
        lines=[_line(each) for each in compared.whole],
        since=_day(before.at) if before is not None else "",
        checks=len(compared.whole[0].past),
        report=report,
        actions=[_action(words, rows) for words in report.actions] if report is not None else [],
    )


def _report(check: ListHealthCheck, lists: Sequence[ContactList]) -> Report | None:
    for call in check.run.agent_calls.all():
        if call.agent == Agent.REPORTING:
            return trends.report(call, names={analysis.key_of(each): each.name for each in lists})
    return None


def _action(words: str, rows: Sequence[ListHealth]) -> Action:
    """As urgent as the worst list that it names."""
    grades = [row.grade for row in rows if str(row.list) in words]
    if "critical" in grades:
        return Action(show.Chip("now", show.Tone.BAD), words)
    if "poor" in grades:
        return Action(show.Chip("before the next send", show.Tone.WAITING), words)
    return Action(show.Chip("this week", show.Tone.INFO), words)


# --- Figures ---------------------------------------------------------------------------------------------


def _line(trend: Trend) -> Line:
    return Line(
        name=trend.figure.name,
        now=_value(trend.now, trend.figure.unit),
        change=_change(trend),
        spark=_spark(trend),
    )


def _value(value: float | None, unit: Unit) -> str:
    if value is None:
        return show.NOTHING
    match unit:
        case Unit.PEOPLE:
            return f"{value:,.0f}"
        case Unit.SHARE:
            return _unbroken(prose.percent(value))
        case Unit.PERCENT:
            return _unbroken(prose.percent(value / 100))


def _unbroken(words: str) -> str:
    """A figure keeps its unit on its line."""
    return words.replace(" ", "\N{NO-BREAK SPACE}")


def _change(trend: Trend) -> SafeString | str:
    """Signed, and in words whether that is better: colour alone says nothing."""
    if trend.change is None:
        return show.NOTHING
    words = _signed(trend.change, trend.figure.unit)
    if words == "same" or not trend.figure.better:
        return words
    is_better = (trend.change > 0) == (trend.figure.better > 0)
    tone, said = (show.Tone.GOOD, "better") if is_better else (show.Tone.BAD, "worse")
    return format_html(
        '<span class="ek-change ek-tone-{}">{}<span class="visually-hidden">, {}</span></span>',
        tone.value,
        words,
        said,
    )


def _signed(change: float, unit: Unit) -> str:
    if unit is Unit.PEOPLE:
        return f"{change:+,.0f}".replace("-", "−") if change else "same"
    points = round(change * (100 if unit is Unit.SHARE else 1), 2)
    return f"{points:+.2f} points".replace("-", "−") if points else "same"


def _spark(trend: Trend) -> Spark | None:
    """The last checks' values, evenly apart; None where fewer than two are known."""
    known = [(n, value) for n, value in enumerate(trend.past) if value is not None]
    if len(known) < 2:
        return None
    low, high = min(value for _, value in known), max(value for _, value in known)
    apart = WIDTH / (len(trend.past) - 1)
    places = [(f"{n * apart:.1f}", _height(value, low=low, high=high)) for n, value in known]
    values = ", ".join(_value(value, trend.figure.unit) for _, value in known)
    return Spark(
        points=" ".join(f"{x},{y}" for x, y in places),
        last=places[-1],
        told=f"{trend.figure.name}, the last {len(known)} checks: {values}",
    )


def _height(value: float, *, low: float, high: float) -> str:
    """From above, as charts count; a line that never changed is in the middle."""
    share = (value - low) / (high - low) if high > low else 0.5
    return f"{(1 - share) * HEIGHT:.1f}"
