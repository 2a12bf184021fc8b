"""What a benchmark is and what it reports, with everything a reader needs to judge the figures."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser
from django.db import connection

_POSTGRESQL_SETTINGS = ("fsync", "synchronous_commit", "shared_buffers", "work_mem", "max_wal_size")


@dataclass(frozen=True, kw_only=True)
class Bound:
    """What a figure has to keep. Exactly one of `at_most`, `below` and `at_least` is given."""

    figure: str
    value: float
    at_most: float | None = None
    below: float | None = None
    at_least: float | None = None

    @property
    def is_held(self) -> bool:
        """Whether the figure keeps it."""
        if self.at_most is not None:
            return self.value <= self.at_most
        if self.below is not None:
            return self.value < self.below
        assert self.at_least is not None
        return self.value >= self.at_least

    def __str__(self) -> str:
        limits = {"at most": self.at_most, "below": self.below, "at least": self.at_least}
        [(words, limit)] = [(words, limit) for words, limit in limits.items() if limit is not None]
        verdict = "held" if self.is_held else "MISSED"
        return f"{self.figure}: {self.value:g}, {words} {limit:g}: {verdict}"

    def as_json(self) -> dict[str, Any]:
        """The bound as other programs read it."""
        limits = {"at_most": self.at_most, "below": self.below, "at_least": self.at_least}
        given = {name: limit for name, limit in limits.items() if limit is not None}
        return {"figure": self.figure, "value": self.value, **given, "held": self.is_held}


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured. `postgresql` says on what server, where one was used: see `postgresql()`."""

    figures: Mapping[str, Any]
    bounds: Sequence[Bound] = ()
    postgresql: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Something to measure by name."""

    name: str
    help: str
    add_arguments: Callable[[CommandParser], None]
    run: Callable[[Mapping[str, Any]], Figures]


def postgresql() -> dict[str, str]:
    """The version and the settings of the server in use that figures depend on."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select name, current_setting(name) from pg_settings where name = any(%s)",
            [[*_POSTGRESQL_SETTINGS, "server_version"]],
        )
        return dict(cursor.fetchall())


def as_json(name: str, measured: Figures, *, command: str, at: datetime) -> dict[str, Any]:
    """The report as it is printed and kept."""
    return {
        "benchmark": name,
        "command": command,
        "at": at.isoformat(timespec="seconds"),
        "cores": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "postgresql": dict(measured.postgresql),
        "figures": dict(measured.figures),
        "bounds": [bound.as_json() for bound in measured.bounds],
    }


def words(report: Mapping[str, Any], bounds: Sequence[Bound]) -> str:
    """The report as a person reads it."""
    lines = [f"{report['benchmark']} on {report['cores']} cores, Python {report['python']}"]
    lines += [f"  {name}: {_shown(value)}" for name, value in report["figures"].items()]
    return "\n".join([*lines, *(f"  {bound}" for bound in bounds)])


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
