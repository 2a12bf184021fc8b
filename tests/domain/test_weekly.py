"""When the week's check is due, and what it is compared with."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listmanagement.domain import weekly

MONDAY_TEN = datetime(2026, 3, 16, 10, tzinfo=UTC)
INSTANTS = st.datetimes(datetime(2024, 1, 1), datetime(2032, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("at", "due"),
    [
        (MONDAY_TEN, MONDAY_TEN),
        (MONDAY_TEN - timedelta(seconds=1), MONDAY_TEN - timedelta(days=7)),
        (MONDAY_TEN + timedelta(days=6, hours=23), MONDAY_TEN),
    ],
)
def test_monday_at_ten_is_due_from_then_until_the_next(at: datetime, due: datetime) -> None:
    assert weekly.last_due(at=at, day=1, hour=10) == due


@given(at=INSTANTS, hour=st.integers(0, 23))
def test_sunday_is_nought_and_seven(at: datetime, hour: int) -> None:
    due = weekly.last_due(at=at, day=0, hour=hour)

    assert due == weekly.last_due(at=at, day=7, hour=hour)
    assert due.isoweekday() == 7


@given(at=INSTANTS, day=st.integers(0, 7), hour=st.integers(0, 23))
def test_it_was_due_less_than_a_week_ago_on_its_day_at_its_hour(at: datetime, day: int, hour: int) -> None:
    due = weekly.last_due(at=at, day=day, hour=hour)

    assert timedelta(0) <= at - due < timedelta(days=7)
    assert (due.isoweekday() % 7, due.hour, due.minute) == (day % 7, hour, 0)


def test_it_is_compared_with_the_check_closest_to_a_week_before() -> None:
    ages = [1, 5, 6.5, 9, 14]
    checks = [(MONDAY_TEN - timedelta(days=age), n) for n, age in enumerate(ages)]

    assert weekly.a_week_before(checks, at=MONDAY_TEN) == 2


@pytest.mark.parametrize("age", [0, 3.9, 10.1, 21])
def test_what_is_nowhere_near_a_week_old_is_not_called_a_week_ago(age: float) -> None:
    assert weekly.a_week_before([(MONDAY_TEN - timedelta(days=age), 1)], at=MONDAY_TEN) is None
