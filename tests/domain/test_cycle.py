"""When a list is frozen, and when contacts may move."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listmanagement.domain import cycle
from listmanagement.domain.cycle import Freeze, ImpossibleRound, Round, RoundStatus

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
ONE = NOON + timedelta(hours=1)
A_SECOND = timedelta(seconds=1)


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def days(number: float) -> timedelta:
    return timedelta(days=number)


def scheduled(list_id: int = 1, *, starts: datetime = NOON) -> Round:
    return Round(list_id, RoundStatus.SCHEDULED, starts, None)


def sent(list_id: int = 1, *, starts: datetime = NOON, ends: datetime = ONE) -> Round:
    return Round(list_id, RoundStatus.SENT, starts, ends)


CALLED_OFF = [RoundStatus.CANCELLED, RoundStatus.SKIPPED]
NO_LONGER_SENDING = [*CALLED_OFF, RoundStatus.FAILED]


@pytest.mark.parametrize(
    ("at", "frozen"),
    [
        (NOON - hours(2) - A_SECOND, False),
        (NOON - hours(2), True),
        (NOON + hours(1) - A_SECOND, True),
        (NOON + hours(1), False),
    ],
)
def test_a_list_is_frozen_from_two_hours_before_its_send_until_the_send_ended(
    at: datetime, frozen: bool
) -> None:
    assert cycle.is_frozen([sent()], at=at) is frozen


def test_how_early_the_freeze_begins_is_a_setting() -> None:
    assert cycle.freeze_window(sent(), hours_before=6) == Freeze(NOON - hours(6), NOON + hours(1))
    assert cycle.is_frozen([sent()], at=NOON - hours(5), hours_before=6)


@pytest.mark.parametrize("status", [RoundStatus.SCHEDULED, RoundStatus.SENDING])
def test_a_send_whose_end_nobody_told_us_keeps_its_list_frozen(status: RoundStatus) -> None:
    rounds = [Round(1, status, NOON, None)]

    assert cycle.is_frozen(rounds, at=NOON + days(3))
    assert cycle.frozen_until(rounds, at=NOON + days(3)) is None


@pytest.mark.parametrize("status", NO_LONGER_SENDING)
def test_a_round_that_sends_no_more_freezes_nothing(status: RoundStatus) -> None:
    rounds = [Round(1, status, NOON, None)]

    assert not cycle.is_frozen(rounds, at=NOON)
    assert cycle.next_freeze(rounds, at=NOON - days(1)) is None


def test_of_two_freezes_at_once_the_later_end_counts_and_an_unknown_end_stays_unknown() -> None:
    two = [sent(), sent(ends=NOON + hours(3))]

    assert cycle.frozen_until(two, at=NOON) == NOON + hours(3)
    assert cycle.frozen_until([*two, scheduled()], at=NOON) is None
    assert cycle.frozen_until(two, at=NOON + days(1)) is None


def test_the_next_freeze_is_the_earliest_that_does_not_hold_yet() -> None:
    rounds = [sent(), scheduled(starts=NOON + days(12)), scheduled(starts=NOON + days(10))]

    assert cycle.next_freeze(rounds, at=NOON) == NOON + days(10) - hours(2)
    assert cycle.next_freeze(rounds, at=NOON + days(13)) is None


@pytest.mark.parametrize(
    ("takes", "fits"), [(hours(2) - A_SECOND, True), (hours(2), False), (hours(2) + A_SECOND, False)]
)
def test_a_batch_starts_only_if_it_ends_before_the_freeze(takes: timedelta, fits: bool) -> None:
    assert cycle.can_finish_before_freeze([scheduled()], at=NOON - hours(4), expected=takes) is fits


def test_no_batch_starts_in_a_freeze_however_short() -> None:
    assert not cycle.can_finish_before_freeze([scheduled()], at=NOON, expected=timedelta(0))


def test_where_nothing_is_scheduled_any_batch_fits() -> None:
    assert cycle.can_finish_before_freeze([], at=NOON, expected=days(30))


@given(
    minutes=st.lists(st.integers(-6000, 6000), max_size=4),
    takes=st.integers(0, 6000),
    after=st.integers(0, 6000),
)
def test_a_batch_that_fits_touches_no_frozen_minute(minutes: list[int], takes: int, after: int) -> None:
    rounds = [
        sent(starts=NOON + timedelta(minutes=at), ends=NOON + timedelta(minutes=at + 30)) for at in minutes
    ]

    if cycle.can_finish_before_freeze(rounds, at=NOON, expected=timedelta(minutes=takes)):
        assert not cycle.is_frozen(rounds, at=NOON + timedelta(minutes=min(after, takes)))


# --- Between cycles ------------------------------------------------------------------------------

ENDED = [sent(1, starts=NOON - days(6), ends=NOON - days(5)), sent(2, starts=NOON - days(2), ends=NOON)]
NEXT = [scheduled(1, starts=NOON + days(10)), scheduled(2, starts=NOON + days(12))]


def test_contacts_may_move_after_the_last_round_and_before_the_next_first() -> None:
    assert not cycle.between_cycles(ENDED, NEXT, at=NOON - A_SECOND)
    assert cycle.between_cycles(ENDED, NEXT, at=NOON)
    assert cycle.between_cycles(ENDED, NEXT, at=NOON + days(10) - A_SECOND)
    assert not cycle.between_cycles(ENDED, NEXT, at=NOON + days(10))


def test_before_the_first_cycle_ever_contacts_may_move() -> None:
    assert cycle.between_cycles([], NEXT, at=NOON)


@pytest.mark.parametrize("status", [RoundStatus.SCHEDULED, RoundStatus.SENDING, RoundStatus.FAILED])
def test_a_round_still_to_come_under_way_or_failed_keeps_its_cycle_open(status: RoundStatus) -> None:
    assert not cycle.between_cycles([*ENDED, Round(3, status, NOON + days(1), None)], NEXT, at=NOON)


@pytest.mark.parametrize("status", CALLED_OFF)
def test_a_round_called_off_does_not_keep_its_cycle_open(status: RoundStatus) -> None:
    assert cycle.between_cycles([*ENDED, Round(3, status, None, None)], NEXT, at=NOON)


def test_a_list_whose_round_nobody_scheduled_yet_keeps_the_cycle_open() -> None:
    assert cycle.between_cycles(ENDED, [], at=NOON, lists=[1, 2])
    assert not cycle.between_cycles(ENDED, [], at=NOON, lists=[1, 2, 3])


def test_a_next_round_sending_early_or_stopped_halfway_has_begun() -> None:
    early = Round(1, RoundStatus.SENDING, NOON + days(10), None)
    stopped = Round(1, RoundStatus.CANCELLED, NOON + days(1), NOON + days(1) + hours(1))
    never_began = Round(1, RoundStatus.CANCELLED, NOON + days(1), None)

    assert not cycle.between_cycles(ENDED, [early], at=NOON)
    assert not cycle.between_cycles(ENDED, [stopped], at=NOON + days(2))
    assert cycle.between_cycles(ENDED, [never_began], at=NOON + days(2))


def test_a_cycle_ends_after_21_days() -> None:
    stuck = [sent(1), Round(2, RoundStatus.FAILED, NOON + days(2), None)]

    assert not cycle.is_over(stuck, at=NOON + days(21) - A_SECOND)
    assert cycle.is_over(stuck, at=NOON + days(21))


# --- Who may move --------------------------------------------------------------------------------


STARTS = [NOON + days(10 * n) for n in range(7)]


def test_who_was_moved_stays_for_two_whole_cycles() -> None:
    moved_in_the_fifth, moved_in_the_sixth = STARTS[4] + days(9), STARTS[5]

    since = cycle.stays_since(STARTS)

    assert since is not None
    assert moved_in_the_fifth < since <= moved_in_the_sixth


def test_how_long_the_moved_stay_is_a_setting() -> None:
    assert cycle.stays_since(STARTS, cycles=3) == STARTS[4]


def test_before_two_cycles_have_begun_whoever_was_moved_stays() -> None:
    assert cycle.stays_since(STARTS[:1]) is None


def test_two_mails_lie_so_far_apart_as_is_set() -> None:
    assert cycle.last_mail_before(NOON, apart=days(7)) == NOON - days(7)


# --- What cannot be ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "starts_at", "words"),
    [
        (RoundStatus.SCHEDULED, None, "scheduled round of list 1 has no start"),
        (RoundStatus.SENDING, None, "sending round of list 1 has no start"),
        (RoundStatus.SENT, NOON, "sent round of list 1 has no end"),
    ],
)
def test_a_round_without_the_times_its_status_needs_is_refused(
    status: RoundStatus, starts_at: datetime | None, words: str
) -> None:
    with pytest.raises(ImpossibleRound, match=words):
        Round(1, status, starts_at, None)
