"""How long a step and a run may work, and how often a step may break down."""

from __future__ import annotations

from datetime import timedelta

import pytest

from listmanagement.domain import limits
from listmanagement.domain.limits import Limits

AN_HOUR = Limits(step=timedelta(hours=1), run=timedelta(hours=4))


@pytest.mark.parametrize(
    ("worked", "on_step", "words"),
    [
        (3600.0, 3600.0, None),
        (3601.0, 3601.0, "this step has worked for more than 60 minutes (LIST_STEP_LIMIT_MINUTES)"),
        (14_400.0, 1.0, None),
        (14_401.0, 1.0, "this run has worked for more than 240 minutes (LIST_RUN_LIMIT_MINUTES)"),
    ],
)
def test_a_limit_is_passed_by_more_than_it(worked: float, on_step: float, words: str | None) -> None:
    assert limits.passed(AN_HOUR, worked=worked, on_step=on_step) == words


def test_a_step_breaks_down_twelve_times_before_a_person_has_to_look() -> None:
    assert limits.broke_down(11) is None
    assert limits.broke_down(12) == "this step broke down 12 times in a row: the errors say how"
