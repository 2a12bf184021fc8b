"""`manage.py benchmark maintenance`, `weekly` and `scale`, in a small form, in one database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import DjangoDbBlocker

from listmanagement.management.benchmarks import maintenance, scale, scratch, weekly
from listmanagement.management.benchmarks.registry import BENCHMARKS

SMALL: dict[str, Any] = {"contacts": 360, "failures": 25, "runs": 1, "pace": 0.02}


pytestmark = pytest.mark.xdist_group("benchmark maintenance")  # their database is made once


@pytest.fixture(scope="module", autouse=True)
def emptied(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A database of their own, made once."""
    with django_db_blocker.unblock(), scratch.database():
        yield


def test_a_run_suppresses_places_and_moves_with_hardly_more_requests_than_the_fewest() -> None:
    measured = maintenance.measured(**SMALL, seed=1)

    [only] = measured.figures["each"]
    assert min(only[name] for name in ("suppressed", "placed", "moved")) > 0
    assert only["answered_by_the_model"] == 4
    assert only["requests"] == sum(only["requests_by_kind"].values())
    assert only["fewest_requests"] == sum(only["fewest_requests_by_term"].values())
    assert 0 < only["worked_seconds"] < only["active_seconds"]
    judged = {bound.figure: bound.is_held for bound in measured.bounds}
    assert judged.keys() == {"slowest_active_seconds", "requests_over_fewest"}
    assert judged["requests_over_fewest"]


def test_the_weekly_check_asks_three_agents_about_each_list() -> None:
    [only] = weekly.measured(**SMALL).figures["each"]

    assert (only["answered_by_the_model"], only["lists"]) == (3, 3)
    assert "bulk requests" not in only["requests_by_kind"]


def test_an_account_of_another_size_is_maintained_on_the_stand_ins_clock() -> None:
    only = scale.measured([720]).figures["720"]

    assert only["contacts"] == 720
    assert only["moved"] > 0
    assert only["minutes_on_mailjets_clock"] > only["minutes_of_quota"] > 0
    assert only["peak_memory_mebibytes"] > 0


def test_they_can_be_asked_for_by_name() -> None:
    assert {"maintenance", "weekly", "scale"} <= BENCHMARKS.keys()
