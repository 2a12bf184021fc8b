"""`manage.py benchmark cache`: its hour, and how two hours are compared. Hours themselves take minutes."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from listmanagement.management.benchmarks import cache
from listmanagement.management.benchmarks.cache import Hour
from listmanagement.management.benchmarks.registry import BENCHMARKS


def test_an_hour_holds_what_it_says_in_order_and_people_change_lists_meanwhile() -> None:
    hour = cache._hour(overviews=200, validations=12)

    assert Counter(kind for _, kind in hour) == {
        "overviews": 200,
        "validations": 12,
        "refreshes": 2,
        "weekly_checks": 1,
        "opt_outs_at_mailjet": 12,
        "taken_off_at_mailjet": 6,
    }
    times = [at for at, _ in hour]
    assert times == sorted(times)
    assert timedelta(0) <= times[0]
    assert times[-1] < timedelta(hours=1)
    assert {kind for _, kind in hour} == cache.HAPPENS.keys()
    assert BENCHMARKS["cache"] is cache.BENCHMARK


def test_what_is_saved_is_a_share_of_what_the_other_hour_took_by_kind_and_in_all() -> None:
    without = Hour(10, 5, {}, Counter(overviews=100, refreshes=20), Counter(overviews=50, refreshes=10))
    product = Hour(10, 5, {}, Counter(overviews=10, refreshes=20), Counter(overviews=2, refreshes=10))

    assert product.saved(of=without) == {
        "queries": {"overviews": 0.9, "refreshes": 0.0, "all": 0.75},
        "requests": {"overviews": 0.96, "refreshes": 0.0, "all": 0.8},
    }
