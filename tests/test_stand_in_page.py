"""The page about the stand-in names only tests that there are, in each column for each point."""

import re

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "stand-in.md").read_text()
ROWS = [line.split("|")[1:-1] for line in PAGE.splitlines() if re.match(r"\| \d+ \|", line)]


def test_every_test_that_the_page_names_is_there() -> None:
    found = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    }

    assert set(re.findall(r"`(test_\w+)`", PAGE)) - found == set()


def test_each_of_the_fourteen_points_is_shown_alone_by_the_client_and_in_a_run() -> None:
    assert [int(row[0]) for row in ROWS] == list(range(1, 15))
    for number, _, *columns in ROWS:
        assert all(re.search(r"`test_\w+`", column) for column in columns), f"point {number} lacks a test"
