"""Many worlds, many policies: played in parallel, put together as quantiles, drawn as a frontier."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from math import log10
from multiprocessing import get_context
from statistics import quantiles
from xml.etree import ElementTree as ET

from listmanagement.simulation.compare import OURS, Figures, play
from listmanagement.simulation.world import Assumptions, draw

Spread = Mapping[str, float]
"""Of one figure over the seeds: its 10 %, 50 % and 90 % quantiles, and its mean."""


def compare(
    assumptions: Assumptions,
    *,
    policies: Sequence[str],
    seeds: int,
    weeks: int,
    cadence_days: float,
    workers: int | None = None,
) -> dict[str, list[Figures]]:
    """Each policy's figures in the worlds of the seeds 1 to `seeds`, in that order."""
    tasks = [(assumptions, seed, weeks, cadence_days, tuple(policies)) for seed in range(1, seeds + 1)]
    pool = ProcessPoolExecutor(workers or os.cpu_count(), mp_context=get_context("spawn"))
    with pool:
        played = list(pool.map(_play_all, tasks))
    return {name: [figures[name] for figures in played] for name in policies}


def _play_all(task: tuple[Assumptions, int, int, float, tuple[str, ...]]) -> dict[str, Figures]:
    assumptions, seed, weeks, cadence_days, policies = task
    truth = draw(assumptions, seed=seed, weeks=weeks, cadence_days=cadence_days)
    return {name: play(truth, name) for name in policies}


def spreads(played: Sequence[Figures]) -> dict[str, Spread | None]:
    """Every figure's spread over the seeds; None for one that no world had."""
    found: dict[str, Spread | None] = {}
    for name in (field.name for field in fields(Figures)):
        values = [value for figures in played if (value := asdict(figures)[name]) is not None]
        found[name] = _spread(values) if values else None
    return found


def _spread(values: Sequence[float]) -> Spread:
    tenths = quantiles(values, n=10, method="inclusive") if len(values) > 1 else [values[0]] * 9
    return {
        "p10": round(tenths[0], 6),
        "median": round(tenths[4], 6),
        "p90": round(tenths[8], 6),
        "mean": round(sum(values) / len(values), 6),
    }


def dominated_by(
    name: str, medians: Mapping[str, tuple[float, float]], *, ours: Collection[str] = ()
) -> list[str]:
    """Policies that are at least as good on both axes and better on one. Less is better on both.

    `ours` are one policy under several names: none of them is another's rival.
    """
    own = medians[name]
    return [
        other
        for other, (living, dead) in medians.items()
        if other != name
        and not {name, other} <= set(ours)
        and living <= own[0]
        and dead <= own[1]
        and (living, dead) != own
    ]


# --- What must be reached -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bound:
    """One thing that our policy must reach. Figures are medians over the seeds, or made of such."""

    what: str
    figure: float
    limit: float

    @property
    def is_met(self) -> bool:
        """Whether the figure is within the limit."""
        return self.figure <= self.limit


COMPARED = ("mailjet-alone", "hard-now-soft-three", "listmonk", "listmonk-hard-2")
"""The policies that the bounds are taken from."""


def bounds(played: Mapping[str, Mapping[str, Spread | None]], *, ours: str) -> list[Bound]:
    """What must be reached, and what was; nothing where a policy that it takes was not played."""
    if any(name not in played for name in (ours, *COMPARED)):
        return []

    def own(figure: str, of: str = ours) -> float:
        spread = played[of][figure]
        assert spread is not None  # only the days to suppression can be
        return spread["median"]

    return [
        Bound(
            "living suppressed because of an outage, as a share of hard-now-soft-three's",
            _over(
                own("living_suppressed_in_outage"), own("living_suppressed_in_outage", "hard-now-soft-three")
            ),
            0.05,
        ),
        Bound(
            "attempts to the dead, as a multiple of listmonk's",
            _over(own("attempts_to_dead"), own("attempts_to_dead", "listmonk")),
            1.2,
        ),
        Bound(
            "the worst campaign's hard-bounce rate, beside that of listmonk-hard-2",
            own("hard_rate_worst"),
            own("hard_rate_worst", "listmonk-hard-2"),
        ),
        Bound(
            "policies better on both axes, living suppressed and attempts to the dead",
            float(len(dominated_by(ours, axes(played), ours=OURS))),
            0.0,
        ),
        Bound(
            "(bounced + blocked) ÷ processed from day 30 to 60, as a share of Mailjet alone's",
            _over(own("bad_share_after"), own("bad_share_after", "mailjet-alone")),
            0.8,
        ),
    ]


def axes(played: Mapping[str, Mapping[str, Spread | None]]) -> dict[str, tuple[float, float]]:
    """The medians of living suppressed and of attempts to the dead, by policy."""
    found = {}
    for name, figures in played.items():
        living, dead = figures["living_suppressed"], figures["attempts_to_dead"]
        assert living is not None  # counts are known of every world
        assert dead is not None
        found[name] = living["median"], dead["median"]
    return found


def _over(own: float, other: float) -> float:
    """A share of what may be nothing; nothing of nothing is none."""
    if other == 0:
        return 0.0 if own == 0 else float("inf")
    return own / other


# --- The frontier ---------------------------------------------------------------------------------------

_WIDTH, _HEIGHT, _MARGIN = 860, 560, 70


def chart(medians: Mapping[str, tuple[float, float]], *, title: str, ours: Sequence[str]) -> str:
    """An SVG: attempts to the dead across, the living suppressed upwards, both on logarithmic axes."""
    top_x = max(dead for _, dead in medians.values()) + 1
    top_y = max(living for living, _ in medians.values()) + 1
    low_x = min(dead for _, dead in medians.values()) + 1

    def x(dead: float) -> float:
        share = (log10(dead + 1) - log10(low_x)) / max(log10(top_x) - log10(low_x), 1e-9)
        return _MARGIN + share * (_WIDTH - 2.6 * _MARGIN)

    def y(living: float) -> float:
        return _HEIGHT - _MARGIN - log10(living + 1) / max(log10(top_y), 1e-9) * (_HEIGHT - 2 * _MARGIN)

    svg = ET.Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img")
    ET.SubElement(svg, "title").text = title
    ET.SubElement(svg, "rect", width=str(_WIDTH), height=str(_HEIGHT), fill="#ffffff")
    _text(svg, _MARGIN, 30, title, size=16)
    _text(svg, _MARGIN, _HEIGHT - 22, "attempts to the dead (fewer is better) →", size=12)
    _text(svg, _MARGIN, 50, "↑ living suppressed (fewer is better)", size=12)
    for mark in (0, 1, 3, 10, 30, 100, 300, 1000):
        if mark <= top_y:
            _line(svg, y(mark))
            _text(svg, _MARGIN - 8, y(mark) + 4, str(mark), size=11, anchor="end")
    for name, (living, dead) in sorted(medians.items()):
        colour = "#b3261e" if name in ours else "#33475b"
        ET.SubElement(
            svg,
            "circle",
            cx=f"{x(dead):.1f}",
            cy=f"{y(living):.1f}",
            r="6" if name in ours else "4",
            fill=colour,
        )
        _text(svg, x(dead) + 9, y(living) + 4, f"{name} ({dead:,.0f}; {living:,.0f})", size=11, colour=colour)
    return ET.tostring(svg, encoding="unicode") + "\n"


def _line(svg: ET.Element, at: float) -> None:
    ET.SubElement(
        svg, "line", x1=str(_MARGIN), x2=str(_WIDTH - 20), y1=f"{at:.1f}", y2=f"{at:.1f}", stroke="#dde3ea"
    )


def _text(
    svg: ET.Element,
    x: float,
    y: float,
    words: str,
    *,
    size: int,
    anchor: str = "start",
    colour: str = "#33475b",
) -> None:
    found = ET.SubElement(svg, "text", x=f"{x:.1f}", y=f"{y:.1f}", fill=colour)
    found.set("font-size", str(size))
    found.set("font-family", "system-ui, sans-serif")
    found.set("text-anchor", anchor)
    found.text = words
