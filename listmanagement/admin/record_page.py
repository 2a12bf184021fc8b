"""What the page of the judgement's own record shows, computed whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from listmanagement.admin import show
from listmanagement.domain.record import Bin, Figures, Share
from listmanagement.workflows import record
from listmanagement.workflows.record import NO_MODEL, AgentRecord, Judge, ModelRecord

SIDE = 160.0
"""Width and height of a chart, in its own units."""


FIGURES = (
    ("Labels", "labels"),
    ("Right", "right"),
    ("With a confidence", "sure"),
    ("Mean confidence", "confidence"),
    ("Calibration error", "error"),
    ("Brier score", "brier"),
    ("False positives", "false_positives"),
    ("False negatives", "false_negatives"),
)
"""What the page shows of each judge, and the field of `Line` that has it."""


@dataclass(frozen=True, slots=True)
class Point:
    """A bin in the chart and in the table beside it."""

    x: str
    y: str
    low: str
    """Of its bounds in the chart, as `y`."""
    high: str
    stated: str
    right: str
    labels: str


@dataclass(frozen=True, slots=True)
class Line:
    """One judge of an agent."""

    name: str
    labels: str
    right: str
    sure: str
    """The labels that the three figures after it are of: what the policy settles has no confidence."""
    confidence: str
    error: str
    brier: str
    false_positives: str
    false_negatives: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class AgentView:
    """One agent."""

    name: str
    chips: Sequence[show.Chip]
    override: str
    sources: Sequence[tuple[str, str]]
    lines: Sequence[Line]
    figures: Sequence[tuple[str, Sequence[str]]]
    """Each figure's name, and its value for each of the lines."""
    curves: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    """Of each model that is calibrated: stated from, and what it is worth."""


def read() -> Sequence[AgentView]:
    """The record as it stands, of all judgements."""
    return [_agent(each) for each in record.read().agents]


def _agent(found: AgentRecord) -> AgentView:
    stood = found.judges[Judge.STOOD]
    lines = [_line(judge, figures) for judge, figures in found.judges.items() if figures.labels]
    return AgentView(
        name=show.words(found.agent).capitalize(),
        chips=[_calibrated(each) for each in found.models] or [show.Chip(NO_MODEL, show.Tone.WAITING)],
        override=share(found.override),
        sources=[(source.value, f"{number:,}") for source, number in sorted(stood.by_source.items())],
        lines=lines,
        figures=[(name, [getattr(line, figure) for line in lines]) for name, figure in FIGURES],
        curves=[
            (each.model, [(f"{start:.2f}", f"{worth:.2f}") for start, worth in each.curve.steps])
            for each in found.models
            if each.is_asked and each.curve is not None
        ],
    )


def _calibrated(found: ModelRecord) -> show.Chip:
    if not found.is_asked:
        return show.Chip(found.told)
    return show.Chip(found.told, show.Tone.WAITING if found.curve is None else show.Tone.GOOD)


def _line(judge: Judge, found: Figures) -> Line:
    return Line(
        name=judge.value,
        labels=labels(found),
        right=share(found.right),
        sure=f"{found.sure:,} of {found.labels:,}",
        confidence=_two(found.confidence),
        error=_two(found.calibration_error),
        brier=_two(found.brier),
        false_positives=share(found.false_positives),
        false_negatives=share(found.false_negatives),
        points=[_point(each) for each in found.reliability],
    )


def _point(found: Bin) -> Point:
    assert found.right.share is not None
    return Point(
        x=f"{found.confidence * SIDE:.1f}",
        y=_height(found.right.share),
        low=_height(found.right.low),
        high=_height(found.right.high),
        stated=f"{found.confidence:.2f}",
        right=share(found.right),
        labels=f"{found.right.labels:,}",
    )


def _height(share: float) -> str:
    """Charts count from above."""
    return f"{(1 - share) * SIDE:.1f}"


def labels(found: Figures) -> str:
    """Such as "110 in 7 judgements": how many there are, and how many of them are independent."""
    if found.judgements == found.labels:
        return f"{found.labels:,}"
    return f"{found.labels:,} in {show.counted(found.judgements, 'judgement')}"


def share(found: Share) -> str:
    """Such as "4 % (2 % to 9 %) of 120": the bounds hold it in 95 % of cases."""
    if found.share is None:
        return show.NOTHING
    bounds = f"{show.percent(found.low)} to {show.percent(found.high)}"
    return f"{show.percent(found.share)} ({bounds}) of {found.labels:,}"


def _two(number: float | None) -> str:
    return show.NOTHING if number is None else f"{number:.2f}"
