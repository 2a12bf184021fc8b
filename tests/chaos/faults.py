"""`python -m tests.chaos.faults`: every fault in every step, a table of them, and last one line of JSON.

PostgreSQL and Redis are of its own, in a directory of its own: they are stopped and started meanwhile.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from config import services

WIDTH = 10
AS_PROMISED = ("went on", "resumed", "continued")


@dataclass
class Matrix:
    """How the run ended for each fault and step, gathered from the tests' reports."""

    cells: dict[str, dict[str, str]] = field(default_factory=dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A cell: what became of the run, or that the promise was broken."""
        told = dict(report.user_properties)
        if "fault" in told and (report.when == "call" or report.failed):
            ended = str(told.get("ended", "")) if report.passed else "BROKEN"
            self.cells.setdefault(str(told["fault"]), {})[str(told["step"])] = ended

    def lines(self) -> list[str]:
        """A row a fault, a column a step."""
        steps = list(dict.fromkeys(step for row in self.cells.values() for step in row))
        name = max((len(fault) for fault in self.cells), default=5)
        head = f"{'fault':<{name}}  " + "  ".join(f"{step[:WIDTH]:<{WIDTH}}" for step in steps)
        return [
            head,
            *(
                f"{fault:<{name}}  " + "  ".join(f"{row.get(step, ''):<{WIDTH}}" for step in steps)
                for fault, row in self.cells.items()
            ),
        ]

    def figures(self) -> dict[str, int]:
        """The same, counted."""
        ends = [ended for row in self.cells.values() for ended in row.values()]
        counted = {each.replace(" ", "_"): ends.count(each) for each in AS_PROMISED}
        as_promised = sum(counted.values())
        return {
            "faults": len(self.cells),
            "points": len(ends),
            "as_promised": as_promised,
            **counted,
            "broken": len(ends) - as_promised,
        }


def main() -> int:
    """Play the matrix; the exit code is pytest's."""
    os.environ.update({"EVENKEEL_CHAOS": "1", "DEBUG": "true"})
    matrix = Matrix()
    with tempfile.TemporaryDirectory(prefix="evenkeel-") as temporary:
        directory = Path(temporary)
        directory.chmod(0o755)  # as root, PostgreSQL runs as nobody
        try:
            code = _play(directory, matrix)
        finally:
            services.stop(directory, services.POSTGRES)
            services.stop(directory, services.REDIS)
    print("", *matrix.lines(), sep="\n")
    print(json.dumps(matrix.figures()))
    return code


def _play(directory: Path, matrix: Matrix) -> int:
    os.environ["DATABASE_URL"] = services.database_url(services.running(directory, services.POSTGRES))
    os.environ["REDIS_URL"] = services.running(directory, services.REDIS)["url"]
    os.environ["EVENKEEL_CHAOS_SERVICES"] = str(directory)
    options = ["-q", "-p", "no:randomly", "tests/chaos/test_faults.py", *sys.argv[1:]]
    return int(pytest.main(options, plugins=[matrix]))


if __name__ == "__main__":
    sys.exit(main())
