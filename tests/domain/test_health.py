"""A list's grade, the cause behind it, and the loss nobody explains."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listmanagement.domain import health
from listmanagement.domain.health import Cause, Grade, Health, ImpossibleNumbers, ListNumbers

QUIET = ListNumbers(
    list_id=1,
    size=1000,
    delivered=1000,
    bounced=0,
    not_attempted=0,
    complained=0,
    open=0,
    at_held_domains=0,
    sender_side=0,
    temporary=0,
)


def list_with(**numbers: int) -> ListNumbers:
    return replace(QUIET, **numbers)


def test_the_first_real_campaign_was_critical_and_its_outage_is_seen_beside_the_decay() -> None:
    numbers = list_with(delivered=731, bounced=242, not_attempted=27, at_held_domains=120)

    verdict = health.assess(numbers)

    assert verdict == Health(1, Grade.CRITICAL, Cause.OUTAGE, 242 / 973)


@pytest.mark.parametrize(
    ("bounced", "grade"),
    [
        (0, Grade.GOOD),
        (19, Grade.GOOD),
        (20, Grade.WATCH),
        (49, Grade.WATCH),
        (50, Grade.POOR),
        (79, Grade.POOR),
        (80, Grade.CRITICAL),
        (1000, Grade.CRITICAL),
    ],
)
def test_the_grade_follows_the_lines_at_two_five_and_eight_percent(bounced: int, grade: Grade) -> None:
    assert health.grade(list_with(delivered=1000 - bounced, bounced=bounced)) is grade


def test_what_mailjet_did_not_attempt_and_what_is_open_is_in_no_rate() -> None:
    assert health.bounce_rate(list_with(delivered=90, bounced=10, not_attempted=500, open=300)) == 0.1


def test_a_list_nothing_is_known_about_is_watched_and_has_no_rate() -> None:
    unknown = list_with(delivered=0, not_attempted=30, open=5)

    assert health.assess(unknown) == Health(1, Grade.WATCH, Cause.NONE, None)


@pytest.mark.parametrize(
    ("delivered", "complained", "grade"),
    [(1000, 1, Grade.GOOD), (1000, 2, Grade.POOR), (10_000, 8, Grade.GOOD), (10_000, 9, Grade.POOR)],
)
def test_complaints_above_mailjets_line_make_a_list_poor_but_one_alone_does_not(
    delivered: int, complained: int, grade: Grade
) -> None:
    assert health.grade(list_with(delivered=delivered, complained=complained)) is grade


def test_complaints_do_not_hide_a_critical_list() -> None:
    assert health.grade(list_with(delivered=900, bounced=100, complained=9)) is Grade.CRITICAL


def test_a_healthy_list_has_no_cause_to_name() -> None:
    assert health.cause(list_with(delivered=981, bounced=19, at_held_domains=19)) is Cause.NONE


@pytest.mark.parametrize(
    ("numbers", "cause"),
    [
        ({}, Cause.DECAY),
        ({"at_held_domains": 29}, Cause.DECAY),
        ({"at_held_domains": 30}, Cause.OUTAGE),
        ({"sender_side": 30}, Cause.SENDER_SIDE),
        ({"temporary": 30}, Cause.PROVIDER_INCIDENT),
        ({"at_held_domains": 30, "temporary": 31}, Cause.PROVIDER_INCIDENT),
        ({"at_held_domains": 30, "sender_side": 30, "temporary": 30}, Cause.OUTAGE),
        ({"at_held_domains": 25, "sender_side": 25, "temporary": 25}, Cause.DECAY),
    ],
)
def test_the_largest_special_cause_of_a_third_is_named_else_it_is_decay(
    numbers: dict[str, int], cause: Cause
) -> None:
    assert health.cause(list_with(delivered=910, bounced=90, **numbers)) is cause


@given(delivered=st.integers(0, 5000), bounced=st.integers(0, 500))
def test_one_more_bounce_never_improves_a_grade(delivered: int, bounced: int) -> None:
    worse = [Grade.GOOD, Grade.WATCH, Grade.POOR, Grade.CRITICAL]
    if delivered + bounced == 0:
        return  # the first outcome turns "unknown" into a grade, better or worse

    before = health.grade(list_with(delivered=delivered, bounced=bounced))
    after = health.grade(list_with(delivered=delivered, bounced=bounced + 1))

    assert worse.index(after) >= worse.index(before)


# --- Unexplained loss ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "explained", "alarming"),
    [
        (890, 110, False),
        (840, 110, False),
        (839, 110, True),
        (950, 0, False),
        (949, 0, True),
        (1100, -50, False),
    ],
)
def test_a_fall_of_more_than_five_percent_beyond_the_journal_is_alarming(
    after: int, explained: int, alarming: bool
) -> None:
    assert health.is_loss_alarming(before=1000, after=after, explained=explained) is alarming


def test_members_who_joined_do_not_hide_others_who_vanished() -> None:
    assert health.unexplained_loss(before=1000, after=1000, explained=-60) == 60
    assert health.is_loss_alarming(before=1000, after=1000, explained=-60)


def test_an_empty_list_can_lose_nobody() -> None:
    assert not health.is_loss_alarming(before=0, after=0, explained=0)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"delivered": -1, "open": -2}, "List 1: delivered, open below zero"),
        ({"bounced": 5, "sender_side": 3, "temporary": 3}, "causes count 6 of 5 bounced"),
    ],
)
def test_numbers_that_contradict_each_other_are_refused(numbers: dict[str, Any], words: str) -> None:
    with pytest.raises(ImpossibleNumbers, match=words):
        list_with(**numbers)
