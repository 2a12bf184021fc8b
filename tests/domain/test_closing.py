"""A domain is closed by DNS when it said so twice, a week apart, with nothing to the contrary since."""

from datetime import timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from listmanagement.domain.closing import FRESH, Told, is_closed
from tests.domain.judging import NOW, ago


def told(*answers: tuple[float, bool | None]) -> list[Told]:
    """Answers, each so many days ago: closed, open, or nothing."""
    return [Told(ago(days), closed) for days, closed in answers]


def test_twice_a_week_apart_is_closed_and_a_moment_less_is_not() -> None:
    assert is_closed(told((7, True), (0, True)), at=NOW)
    assert not is_closed(told((6.99, True), (0, True)), at=NOW)


def test_once_is_never_enough_and_without_an_answer_nothing_is_closed() -> None:
    assert not is_closed(told((10, True)), at=NOW)
    assert not is_closed([], at=NOW)
    assert not is_closed(told((10, None), (0, None)), at=NOW)


def test_what_nobody_could_say_counts_neither_for_nor_against() -> None:
    assert is_closed(told((9, True), (5, None), (1, True), (0, None)), at=NOW)
    assert not is_closed(told((9, None), (0, True)), at=NOW)


def test_an_answer_that_mail_is_taken_begins_the_count_anew() -> None:
    assert not is_closed(told((20, True), (6, False), (1, True)), at=NOW)
    assert not is_closed(told((20, True), (10, True), (1, False)), at=NOW)
    assert is_closed(told((30, True), (20, False), (9, True), (1, True)), at=NOW)


def test_of_two_answers_at_one_instant_the_one_that_mail_is_taken_counts() -> None:
    answers = told((7, True), (7, False), (0, True))

    assert not is_closed(answers, at=NOW)
    assert not is_closed(list(reversed(answers)), at=NOW)


def test_a_delivery_in_between_takes_the_answers_before_it_back() -> None:
    answers = told((20, True), (10, True), (2, True))

    assert is_closed(answers, at=NOW, delivered_at=ago(15))
    assert not is_closed(answers, at=NOW, delivered_at=ago(8))
    assert not is_closed(answers, at=NOW, delivered_at=ago(1))


def test_an_old_answer_closes_nothing_any_more() -> None:
    assert is_closed(told((40, True), (30, True)), at=NOW)
    assert not is_closed(told((40, True), (30.1, True)), at=NOW)


def test_what_was_told_or_delivered_later_is_not_known_yet() -> None:
    answers = [*told((9, True), (1, True)), Told(NOW + timedelta(days=1), closed=False)]

    assert is_closed(answers, at=NOW, delivered_at=NOW + timedelta(days=1))


@example([(0.0, True), (7.0, True), (7.0, False)])
@given(st.lists(st.tuples(st.floats(0, 60), st.sampled_from([True, False, None]))))
def test_order_does_not_matter_and_two_such_answers_are_always_there(
    answers: list[tuple[float, bool | None]],
) -> None:
    facts = told(*answers)
    found = is_closed(facts, at=NOW)

    assert is_closed(list(reversed(facts)), at=NOW) == found
    if found:
        closed = [each.at for each in facts if each.closed]
        assert max(closed) - min(closed) >= timedelta(days=7)
        assert NOW - max(closed) <= FRESH
        assert not any(each.closed is False and each.at >= max(closed) for each in facts)
