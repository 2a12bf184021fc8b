"""The judge of the games sees each wrong, and blames nobody for what could not be known."""

import pytest

from tests.workflows.ledger import ABSENT, SUBSCRIBED, UNSUBSCRIBED, Change, Ledger, Lists

LISTS = Lists(master=1, campaign=(2, 3), suppression=9)
ANNA = 7


def a_ledger(
    *, on: dict[int, bool], excluded: float | None = None, complained: float | None = None
) -> Ledger:
    """One contact's: the lists, and whether unsubscribed there."""
    ledger = Ledger.opened(LISTS, {each: {ANNA: out} for each, out in on.items()})
    ledger.excluded = {} if excluded is None else {ANNA: excluded}
    ledger.complained = {} if complained is None else {ANNA: complained}
    return ledger


def change(list_id: int, before: str, after: str, *, at: float, ours: bool = True) -> Change:
    return Change(ANNA, list_id, before, after, at=at, asked_at=at if ours else None)


@pytest.mark.parametrize(
    ("ledger", "done", "words"),
    [
        (a_ledger(on={}), change(1, ABSENT, SUBSCRIBED, at=0), "P3"),
        (a_ledger(on={1: False}), change(1, SUBSCRIBED, ABSENT, at=0), "P3"),
        (a_ledger(on={2: True}), change(2, UNSUBSCRIBED, SUBSCRIBED, at=0), "subscribed somebody again"),
        (a_ledger(on={2: True}), change(3, ABSENT, SUBSCRIBED, at=0), "opted out"),
        (a_ledger(on={1: True}), change(3, ABSENT, SUBSCRIBED, at=0), "where new contacts come from"),
        (a_ledger(on={1: False}, excluded=0), change(2, ABSENT, SUBSCRIBED, at=601), "excluded"),
        (a_ledger(on={1: False}, complained=0), change(2, ABSENT, SUBSCRIBED, at=601), "complained"),
        (a_ledger(on={9: False}), change(2, ABSENT, SUBSCRIBED, at=0), "suppressed (P4)"),
        (a_ledger(on={2: True}), change(2, UNSUBSCRIBED, ABSENT, at=0), "last trace"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_wrong_is_seen_where_it_is_ours_and_nowhere_else(
    ledger: Ledger, done: Change, words: str
) -> None:
    theirs = Ledger(LISTS, dict(ledger.standings), ledger.excluded, ledger.complained)

    ledger.enter([done])
    theirs.enter([change(done.list, done.before, done.after, at=done.at, ours=False)])

    assert any(words in each for each in ledger.broken)
    assert theirs.broken == []


def test_what_changed_less_than_ten_minutes_before_is_nobodys_fault() -> None:
    ledger = a_ledger(on={1: False, 2: False})

    ledger.enter(
        [change(2, SUBSCRIBED, UNSUBSCRIBED, at=0, ours=False), change(3, ABSENT, SUBSCRIBED, at=599)]
    )

    assert ledger.broken == []


def test_an_opt_out_that_another_list_still_shows_may_leave_one() -> None:
    ledger = a_ledger(on={2: True, 3: True})

    ledger.enter([change(2, UNSUBSCRIBED, ABSENT, at=0)])

    assert ledger.broken == []


def test_two_places_that_we_left_somebody_in_are_seen_at_rest_and_a_persons_are_not() -> None:
    ours, theirs = a_ledger(on={2: False}), a_ledger(on={2: False})

    ours.enter([change(3, ABSENT, SUBSCRIBED, at=0)])
    theirs.enter([change(3, ABSENT, SUBSCRIBED, at=0, ours=False)])

    assert ["P4" in each for each in ours.at_rest()] == [True]
    assert theirs.at_rest() == []


def test_somebody_suppressed_by_us_who_stays_on_a_campaign_list_is_seen_at_rest() -> None:
    ledger = a_ledger(on={2: False})

    ledger.enter([change(9, ABSENT, SUBSCRIBED, at=0)])

    assert any("P4" in each for each in ledger.at_rest())


def test_who_said_no_and_is_mailed_all_the_same_is_seen_at_rest() -> None:
    assert any("opted out and is mailed" in each for each in a_ledger(on={2: True, 3: False}).at_rest())
    assert any("complained and is on" in each for each in a_ledger(on={3: False}, complained=0).at_rest())
    assert a_ledger(on={2: True, 9: False}).at_rest() == []
