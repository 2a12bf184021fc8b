"""When Mailjet is not asked: after five failures in a row, and after "too many requests"."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listmanagement.domain.breaker import (
    WELL,
    Breaker,
    BreakerRules,
    BreakerState,
    admitted,
    answered,
    back_off,
    failed,
    rate_limited,
    refused_until,
)

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
RULES = BreakerRules()
SECOND = timedelta(seconds=1)


def fails(breaker: Breaker, *, times: int, at: datetime = NOON, every: timedelta = SECOND) -> Breaker:
    for n in range(times):
        breaker = failed(breaker, at=at + n * every, why="GET contact: 503", rules=RULES)
    return breaker


def opened(*, at: datetime = NOON) -> Breaker:
    return fails(WELL, times=5, at=at - 4 * SECOND)


def limited(breaker: Breaker, *, at: datetime = NOON, asked: float | None = None) -> Breaker:
    return rate_limited(breaker, at=at, asked=asked, jitter=1.5, rules=RULES)


def test_four_failures_in_a_row_stop_nothing_and_are_remembered() -> None:
    breaker = fails(WELL, times=4)

    assert breaker.state is BreakerState.CLOSED
    assert refused_until(breaker, at=NOON) is None
    assert len(breaker.failed_at) == 4
    assert breaker.why == "GET contact: 503"


def test_the_fifth_opens_it_for_half_a_minute() -> None:
    breaker = opened()

    assert breaker.state is BreakerState.OPEN
    assert (breaker.since, breaker.until) == (NOON, NOON + 30 * SECOND)
    assert refused_until(breaker, at=NOON) == NOON + 30 * SECOND


def test_an_answer_between_them_starts_the_count_afresh() -> None:
    breaker = fails(answered(fails(WELL, times=4), at=NOON), times=4, at=NOON + 10 * SECOND)

    assert breaker.state is BreakerState.CLOSED


def test_failures_far_apart_are_not_in_a_row() -> None:
    slow = fails(WELL, times=20, every=timedelta(seconds=76))
    quick = fails(WELL, times=5, every=timedelta(seconds=74))

    assert (slow.state, quick.state) == (BreakerState.CLOSED, BreakerState.OPEN)


def test_after_the_pause_one_request_finds_out_and_the_others_are_still_refused() -> None:
    later = NOON + 30 * SECOND
    assert refused_until(opened(), at=later) is None

    probing = admitted(opened(), at=later, rules=RULES)

    assert probing.state is BreakerState.PROBING
    assert refused_until(probing, at=later) == later + RULES.probe_lasts
    assert probing.since == NOON


def test_an_answer_to_the_probe_closes_it() -> None:
    probing = admitted(opened(), at=NOON + 30 * SECOND, rules=RULES)

    assert answered(probing, at=NOON + 31 * SECOND) == WELL


def test_each_probe_that_fails_doubles_the_pause_up_to_five_minutes() -> None:
    breaker, at, pauses = opened(), NOON, list[float]()
    for _ in range(6):
        assert breaker.until is not None
        pauses.append((breaker.until - at).total_seconds())
        at = breaker.until
        breaker = failed(admitted(breaker, at=at, rules=RULES), at=at, why="HTTP 502", rules=RULES)

    assert pauses == [30, 60, 120, 240, 300, 300]
    assert breaker.since == NOON
    assert breaker.why == "HTTP 502"


def test_a_probe_that_was_lost_with_its_process_gives_way_to_another() -> None:
    probing = admitted(opened(), at=NOON + 30 * SECOND, rules=RULES)

    assert refused_until(probing, at=NOON + 30 * SECOND + RULES.probe_lasts) is None


def test_a_failure_of_a_request_from_before_it_opened_is_nothing_new() -> None:
    assert fails(opened(), times=3, at=NOON + SECOND) == opened()


def test_too_many_requests_make_all_wait_longer_each_time_up_to_a_minute() -> None:
    breaker, at, waits = WELL, NOON, list[float]()
    for _ in range(8):
        breaker = limited(breaker, at=at)
        waits.append(back_off(breaker, at=at).total_seconds())
        at += back_off(breaker, at=at)

    assert waits == [1.5, 3, 6, 12, 24, 48, 60, 60]


def test_requests_that_were_refused_together_count_once() -> None:
    together = limited(limited(limited(WELL), at=NOON + SECOND / 10), at=NOON + SECOND / 5)

    assert together.backed_off == 1
    assert back_off(together, at=NOON) == SECOND * 1.7


@pytest.mark.parametrize(("asked", "waits"), [(7, 7), (600, 60), (0, 1.5), (1e14, 60), (math.inf, 60)])
def test_what_mailjet_asks_for_is_kept_up_to_a_minute(asked: float, waits: float) -> None:
    assert back_off(limited(WELL, asked=asked), at=NOON).total_seconds() == waits


def test_an_answer_after_the_pause_ends_the_growing_and_one_during_it_does_not() -> None:
    breaker = limited(WELL)

    assert answered(breaker, at=NOON + SECOND) == breaker
    assert answered(breaker, at=NOON + 2 * SECOND) == WELL


def test_too_many_requests_are_an_answer() -> None:
    assert limited(opened()).state is BreakerState.CLOSED


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["asks", "answered", "failed", "limited"]), st.floats(min_value=0, max_value=200)
    ),
    max_size=60,
)


@given(events=EVENTS)
def test_whatever_happens_it_never_stays_shut_for_longer_than_its_rules_say(
    events: list[tuple[str, float]],
) -> None:
    breaker, at = WELL, NOON
    for what, seconds in events:
        at += timedelta(seconds=seconds)
        if what == "asks" and refused_until(breaker, at=at) is None:
            breaker = admitted(breaker, at=at, rules=RULES)
        elif what == "answered":
            breaker = answered(breaker, at=at)
        elif what == "failed":
            breaker = failed(breaker, at=at, why="HTTP 502", rules=RULES)
        elif what == "limited":
            breaker = limited(breaker, at=at)

        assert (breaker.until or at) - at <= RULES.longest_pause
        assert back_off(breaker, at=at) <= RULES.longest_back_off
        assert (breaker.state is BreakerState.CLOSED) == (breaker.until is None) == (breaker.since is None)
        assert bool(breaker.failed_at) == bool(breaker.why)
        assert len(breaker.failed_at) <= RULES.failures
        assert (breaker.backed_off > 0) == (breaker.back_off_until is not None)


def test_the_rules_can_be_others() -> None:
    strict = replace(RULES, failures=1)

    assert failed(WELL, at=NOON, why="HTTP 502", rules=strict).state is BreakerState.OPEN
