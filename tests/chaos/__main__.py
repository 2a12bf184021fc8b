"""`make chaos`: every point of the crash matrix, a table of them, and last one line of JSON.

`faults.py` plays the other matrix, of what may go away.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field

import pytest


@dataclass
class Matrix:
    """What became of each point, gathered from the tests' reports."""

    rows: list[tuple[str, str, int, int]] = field(default_factory=list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A point's row: recovered, or what happened instead."""
        if report.when != "call" or "test_matrix" not in report.nodeid:
            return
        told = dict(report.user_properties)
        point = str(told.get("point", report.nodeid.rpartition("[")[2].rstrip("]")))
        ended = "recovered" if report.passed else "differs" if "lost" in told else "not ended"
        self.rows.append((point, ended, int(str(told.get("lost", 0))), int(str(told.get("doubled", 0)))))


def main() -> int:
    """Play the matrix; the exit code is pytest's."""
    os.environ["EVENKEEL_CHAOS"] = "1"
    matrix = Matrix()
    code = pytest.main(
        ["-q", "-p", "no:randomly", "tests/chaos/test_matrix.py", *sys.argv[1:]], plugins=[matrix]
    )
    width = max((len(point) for point, *_ in matrix.rows), default=5)
    print(f"\n{'killed at':<{width}}  ended      lost  doubled")
    for point, ended, lost, doubled in matrix.rows:
        print(f"{point:<{width}}  {ended:<9}  {lost:>4}  {doubled:>7}")
    figures = {
        "points": len(matrix.rows),
        "recovered": sum(ended == "recovered" for _, ended, *_ in matrix.rows),
        "lost": sum(lost for *_, lost, _ in matrix.rows),
        "doubled": sum(doubled for *_, doubled in matrix.rows),
    }
    print(json.dumps(figures))
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
