"""Replays the same synthetic years under our policy and others'."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from listmanagement.simulation import summary, world
from listmanagement.simulation.compare import EVENKEEL, OURS, names
from listmanagement.simulation.summary import Spread

SHOWN = (
    ("living_suppressed", "living suppr.", "{:.0f}"),
    ("living_suppressed_in_outage", "of an outage", "{:.0f}"),
    ("mails_lost_suppressed", "mails lost", "{:.0f}"),
    ("mails_lost_blocked", "lost to blocks", "{:.0f}"),
    ("attempts_to_dead", "tries to dead", "{:.0f}"),
    ("blocked_sends", "not tried", "{:.0f}"),
    ("dead_left", "dead left", "{:.0f}"),
    ("hard_rate_worst", "worst hard rate", "{:.2%}"),
    ("days_to_suppression", "days to suppr.", "{:.0f}"),
    ("review_items_a_run", "asked a run", "{:.2f}"),
    ("bad_share_after", "bad after 30 d", "{:.2%}"),
)
"""Figure, heading, form. A heading's words stand one below the other: none is longer than a cell."""

_CADENCE = 14.0
_WIDE = 100
_CELL = 6


class Command(BaseCommand):
    """Compare policies in a world of stated assumptions."""

    help = (
        "Replay the same synthetic years under Evenkeel's policy (the code that runs in production) and "
        "others'. Touches no list, no database and no network."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options."""
        parser.add_argument(
            "--world", type=Path, default=world.DEFAULT, metavar="FILE", help="a file of assumptions (TOML)"
        )
        parser.add_argument("--policies", nargs="+", metavar="POLICY", help=f"of: {', '.join(names())}")
        parser.add_argument("--seeds", type=int, default=20, metavar="N", help="how many worlds (20)")
        parser.add_argument("--weeks", type=int, default=156, metavar="N", help="how long (156)")
        parser.add_argument(
            "--cadence-days",
            type=float,
            metavar="DAYS",
            help="from cycle to cycle (14, or all of a shorter time)",
        )
        parser.add_argument(
            "--block-days", type=float, metavar="DAYS", help="how long Mailjet blocks after a hard bounce"
        )
        parser.add_argument("--workers", type=int, metavar="N", help="processes (one a core)")
        parser.add_argument(
            "--chart", type=Path, metavar="FILE", help="write the frontier there, as SVG (FILE.svg)"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")

    def handle(self, *args: Any, **options: Any) -> None:
        """Play, and tell."""
        policies = _policies(options["policies"])
        told = _told(options, policies=policies)
        if options["chart"] is not None:
            _draw(told, options["chart"])
        if options["json"]:
            self.stdout.write(json.dumps(told, indent=1))
        else:
            self.stdout.write(_table(told))


def _policies(asked: list[str] | None) -> list[str]:
    if unknown := sorted(set(asked or ()) - set(names())):
        raise CommandError(f"There is no policy {unknown[0]}; there are {', '.join(names())}.")
    return list(dict.fromkeys(asked)) if asked else names()


def _told(options: dict[str, Any], *, policies: list[str]) -> dict[str, Any]:
    for name in ("seeds", "weeks"):
        if options[name] < 1:
            raise CommandError(f"--{name} is {options[name]}: it must be 1 or more.")
    cadence = _cadence(options["cadence_days"], days=options["weeks"] * 7)
    _check_chart(options["chart"])
    if options["workers"] is not None and options["workers"] < 1:
        raise CommandError(f"--workers is {options['workers']}: it must be 1 or more.")
    assumptions = _assumptions(options["world"], block_days=options["block_days"])
    played = summary.compare(
        assumptions,
        policies=policies,
        seeds=options["seeds"],
        weeks=options["weeks"],
        cadence_days=cadence,
        workers=options["workers"],
    )
    spreads = {name: summary.spreads(played[name]) for name in policies}
    return {
        "command": f"manage.py {' '.join(sys.argv[1:])}",
        "cores": os.cpu_count(),
        "world": options["world"].name,
        "block_days": assumptions.mailjet.block_days,
        "seeds": options["seeds"],
        "weeks": options["weeks"],
        "cadence_days": cadence,
        "bounds": {
            name: [{**asdict(bound), "met": bound.is_met} for bound in summary.bounds(spreads, ours=name)]
            for name in OURS
            if name in policies
        },
        "better_on_both_axes": {
            name: summary.dominated_by(name, summary.axes(spreads), ours=OURS) for name in policies
        },
        "policies": spreads,
    }


def _cadence(asked: float | None, *, days: int) -> float:
    cadence = min(_CADENCE, days) if asked is None else asked
    if not 1 <= cadence <= days:
        raise CommandError(f"--cadence-days is {cadence:g}: it must be from 1 to the {days} days in all.")
    return cadence


def _check_chart(path: Path | None) -> None:
    if path is None:
        return
    if path.suffix.lower() != ".svg":
        raise CommandError(f"--chart: {path.name} is no SVG by its name: give one that ends in .svg.")
    if not path.parent.is_dir():
        raise CommandError(f"--chart: there is no directory {path.parent}.")


def _draw(told: dict[str, Any], path: Path) -> None:
    try:
        path.write_text(_chart(told), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"--chart: {path} cannot be written ({error.strerror}).") from None


def _assumptions(path: Path, *, block_days: float | None) -> world.Assumptions:
    try:
        found = world.read(path)
    except OSError as error:
        raise CommandError(f"--world: {path} cannot be read ({error.strerror}).") from None
    except world.BadWorld as error:
        raise CommandError(str(error)) from None
    if block_days is None:
        return found
    try:
        world.BLOCK.check(block_days, where="--block-days")
    except world.BadWorld as error:
        raise CommandError(f"{error}.") from None
    return replace(found, mailjet=replace(found.mailjet, block_days=block_days))


def _chart(told: dict[str, Any]) -> str:
    title = (
        f"{told['weeks']} weeks, a cycle every {told['cadence_days']:g} days, {told['seeds']} worlds, "
        f"Mailjet's block {told['block_days']:g} days (medians)"
    )
    return summary.chart(summary.axes(told["policies"]), title=title, ours=OURS)


def _table(told: dict[str, Any]) -> str:
    width = max(len(name) for name in told["policies"])
    lines = list(_heading(width))
    for name, figures in told["policies"].items():
        cells = [_cell(figures[key], form) for key, _, form in SHOWN]
        lines.append(f"{name:<{width}}" + "".join(f" {cell:>{_CELL}}" for cell in cells))
    worlds = "One world" if told["seeds"] == 1 else f"Medians of {told['seeds']} worlds"
    lines.append(f"{worlds}; with --json the quantiles.")
    for name, others in told["better_on_both_axes"].items():
        if name in OURS and others:
            lines.append(f"On both axes {name} is no better than {', '.join(others)}.")
    lines += [_bound(bound) for bound in told["bounds"].get(EVENKEEL, ())]
    return "\n".join(part for line in lines for part in _wrapped(line))


def _heading(width: int) -> Iterator[str]:
    words = [title.split() for _, title, _ in SHOWN]
    high = max(map(len, words))
    for at in range(high):
        # at the bottom, beside the figures
        shown = [title[at - high] if at - high >= -len(title) else "" for title in words]
        yield " " * width + "".join(f" {word:>{_CELL}}" for word in shown)


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(line, _WIDE, subsequent_indent="  ") if len(line) > _WIDE else [line]


def _bound(bound: dict[str, Any]) -> str:
    word = "reached" if bound["met"] else "NOT REACHED"
    return f"{word}: {bound['what']}: {bound['figure']:.3f}, at most {bound['limit']:.3f}"


def _cell(spread: Spread | None, form: str) -> str:
    return "–" if spread is None else form.format(spread["median"])
