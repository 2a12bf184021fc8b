"""Measures what the project promises about speed and memory, and writes down every figure."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from listmanagement.management.benchmarks import report
from listmanagement.management.benchmarks.registry import BENCHMARKS

RESULTS = Path("docs") / "results"
IN_ITS_PLACE = ""  # --out without a file


class Command(BaseCommand):
    """Run one benchmark in a scratch database and report its figures and bounds."""

    help = "Measure one thing, by name, in a scratch database of its own."

    def add_arguments(self, parser: CommandParser) -> None:
        """NAME, and for each benchmark its own options, --json and --out."""
        names = parser.add_subparsers(dest="name", required=True, metavar="NAME")
        for name, each in BENCHMARKS.items():
            own = names.add_parser(name, help=each.help, description=each.help)
            own.add_argument("--json", action="store_true", help="print one JSON object")
            own.add_argument(
                "--out",
                nargs="?",
                const=IN_ITS_PLACE,
                metavar="FILE",
                help=f"write the JSON to a file, by itself to {RESULTS / name}.json",
            )
            each.add_arguments(own)

    def handle(self, *args: Any, **options: Any) -> None:
        """Measure, print, and write where asked."""
        name, at = options["name"], timezone.now()
        measured = BENCHMARKS[name].run(options)
        command = shlex.join(["manage.py", *self._given(options)])
        found = report.as_json(name, measured, command=command, at=at)
        if options["out"] is not None:
            self._write(found, options["out"])
        self.stdout.write(
            json.dumps(found, indent=2) if options["json"] else report.words(found, measured.bounds)
        )

    def _given(self, options: dict[str, Any]) -> list[str]:
        """The command line that measures the same again, defaults spelled out."""
        common = {*_DJANGOS_OWN, "name", "json", "out"}
        own = {name: value for name, value in options.items() if name not in common}
        return ["benchmark", options["name"], *(f"--{name}={value}" for name, value in sorted(own.items()))]

    def _write(self, found: dict[str, Any], out: str) -> None:
        path = (
            settings.BASE_DIR / RESULTS / f"{found['benchmark']}.json" if out == IN_ITS_PLACE else Path(out)
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=2) + "\n")
        self.stderr.write(f"written to {path}")


_DJANGOS_OWN = {
    "verbosity",
    "settings",
    "pythonpath",
    "traceback",
    "no_color",
    "force_color",
    "skip_checks",
    "stdout",
    "stderr",
}
