"""How a message stands is made of everything told of it: not of the order, nor of how often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from listmanagement.domain.bounces import BounceClass, Outcome
from listmanagement.domain.standing import (
    Click,
    Observation,
    Standing,
    Told,
    first_human_click,
    stands,
)

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NINE + timedelta(minutes=minutes)


def event(outcome: Outcome, minutes: float, state: int | None = None, **more: object) -> Observation:
    """What happened, and when."""
    return Observation(outcome, as_of=at(minutes), at=at(minutes), state=state, **more)  # type: ignore[arg-type]


def page(outcome: Outcome, minutes: float, state: int | None = None, **more: object) -> Observation:
    """How it stood when it was read."""
    return Observation(outcome, as_of=at(minutes), state=state, **more)  # type: ignore[arg-type]


def told(*seen: Observation) -> Standing:
    everything = Told()
    for each in seen:
        everything = everything.and_(each)
    return stands(everything)


observations = st.builds(
    Observation,
    outcome=st.sampled_from(Outcome),
    as_of=st.integers(0, 5).map(at),
    at=st.none() | st.integers(0, 5).map(at),
    state=st.sampled_from([None, 1, 3, 10]),
    permanent=st.booleans(),
    text=st.sampled_from(["", "550 5.1.1 no such user", "452 4.2.2 mailbox full"]),
)


@given(st.data(), st.lists(observations, max_size=7))
def test_the_order_and_the_number_of_tellings_change_nothing(
    data: st.DataObject, seen: list[Observation]
) -> None:
    again = data.draw(st.lists(st.sampled_from(seen), max_size=5)) if seen else []
    shuffled = data.draw(st.permutations([*seen, *again]))

    assert told(*shuffled) == told(*seen)


@given(st.lists(observations, min_size=1, max_size=7))
def test_a_complaint_gives_way_to_nothing_and_nothing_is_open_again(seen: list[Observation]) -> None:
    standing = told(*seen)
    outcomes = {each.outcome for each in seen}

    assert (standing.outcome is Outcome.COMPLAINED) == (Outcome.COMPLAINED in outcomes)
    assert (standing.outcome is Outcome.OPEN) == (outcomes == {Outcome.OPEN})


@given(st.lists(observations, min_size=1, max_size=7))
def test_a_failure_stands_unless_a_delivery_came_after_it(seen: list[Observation]) -> None:
    delivered = [each.as_of for each in seen if each.outcome is Outcome.DELIVERED]
    failed = [each.as_of for each in seen if each.outcome in (Outcome.BOUNCED, Outcome.NOT_ATTEMPTED)]
    complained = any(each.outcome is Outcome.COMPLAINED for each in seen)

    if delivered and not complained:
        later = any(moment >= max(delivered) for moment in failed)
        assert (told(*seen).outcome is Outcome.DELIVERED) == (not later)


def test_both_sources_make_one_piece_of_evidence() -> None:
    by_event = event(Outcome.BOUNCED, 0, 1, permanent=True, text="550 5.1.1 no such user")
    standing = told(page(Outcome.BOUNCED, 180, 1, permanent=True), by_event)

    assert standing.evidence is not None
    assert (standing.evidence.at, standing.earlier) == (NINE, ())
    assert standing.bounce_class is BounceClass.RECIPIENT_GONE


def test_a_source_that_gives_no_reason_replaces_none() -> None:
    standing = told(event(Outcome.BOUNCED, 0, 1, permanent=True), page(Outcome.BOUNCED, 9, permanent=True))

    assert (standing.bounce_class, standing.earlier) == (BounceClass.RECIPIENT_GONE, ())


def test_a_failure_told_again_without_its_reason_still_stood_then() -> None:
    bounced, again = event(Outcome.BOUNCED, 0, 1), page(Outcome.BOUNCED, 60)
    standing = told(bounced, event(Outcome.DELIVERED, 60), again)

    assert (standing.outcome, standing.earlier) == (Outcome.BOUNCED, ())
    assert standing.bounce_class is BounceClass.RECIPIENT_GONE_SOFT


def test_a_delivery_that_is_told_late_takes_back_only_what_came_before_it() -> None:
    full = event(Outcome.BOUNCED, 5, 3)
    standing = told(event(Outcome.BOUNCED, 1, 1, permanent=True), full, event(Outcome.DELIVERED, 3))

    assert standing.bounce_class is BounceClass.MAILBOX_FULL
    assert [(failed.state, until) for failed, until in standing.earlier] == [(1, at(5))]


def test_a_reading_confirms_what_stands() -> None:
    delivered = Told().and_(event(Outcome.DELIVERED, 0)).confirmed(as_of=at(60))
    bounced = Told().and_(event(Outcome.BOUNCED, 0, 3)).confirmed(as_of=at(60))

    assert stands(delivered.and_(event(Outcome.BOUNCED, 30, 3))).outcome is Outcome.DELIVERED
    assert stands(delivered.and_(event(Outcome.BOUNCED, 90, 3))).outcome is Outcome.BOUNCED
    assert stands(bounced.and_(event(Outcome.DELIVERED, 30))).outcome is Outcome.BOUNCED
    assert stands(bounced.and_(event(Outcome.DELIVERED, 90))).outcome is Outcome.DELIVERED
    assert Told().confirmed(as_of=at(60)) == Told()


def test_a_text_belongs_to_the_failure_it_was_said_about() -> None:
    first = event(Outcome.BOUNCED, 0, 10, text="451 4.3.0 try again later")
    standing = told(first, event(Outcome.BOUNCED, 60, 1, permanent=True))

    assert standing.bounce_class is BounceClass.RECIPIENT_GONE, "not conflicting with another failure's text"
    assert standing.evidence is not None
    assert standing.evidence.text == ""


# --- Signs of life -----------------------------------------------------------------------------------


def clicks(*seconds_and_urls: tuple[float, str]) -> list[Click]:
    return [Click(NINE + timedelta(seconds=seconds), url) for seconds, url in seconds_and_urls]


def first(*seconds_and_urls: tuple[float, str]) -> float | None:
    found = first_human_click(clicks(*seconds_and_urls), delivered_at=NINE)
    return None if found is None else (found - NINE).total_seconds()


def test_a_click_within_a_minute_of_the_delivery_is_a_scanners() -> None:
    assert first((59, "a")) is None
    assert first((60, "a")) == 60
    assert first((5, "a"), (3600, "a")) == 3600


def test_different_links_within_ten_seconds_are_followed_by_a_scanner() -> None:
    assert first((300, "a"), (310, "b")) is None
    assert first((300, "a"), (311, "b")) == 300
    assert first((300, "a"), (302, "a")) == 300, "the same link twice is an impatient person"
    assert first((300, "a"), (301, "b"), (7200, "b")) == 7200
