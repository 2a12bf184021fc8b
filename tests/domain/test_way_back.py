"""Who is offered a way back: full mailboxes, after a while, few at a time, and nobody twice against a no."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listmanagement.domain.bounces import BounceClass
from listmanagement.domain.way_back import Suppressed, may_be_offered, offered

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
FULL = Suppressed(
    contact_id=1,
    suppressed_at=NOW - timedelta(days=90),
    by_us=True,
    failures=frozenset({BounceClass.MAILBOX_FULL}),
    permanent=False,
    said_no=False,
    refused=False,
    rejected=False,
    back_to=7,
)


def test_a_mailbox_that_was_full_three_months_ago_may_have_room_again() -> None:
    assert may_be_offered(FULL, now=NOW)


@pytest.mark.parametrize(
    ("days", "may"), [(59.99, False), (60, True), (180, True), (180.01, False), (-1, False)]
)
def test_it_is_asked_from_the_sixtieth_to_the_180th_day(days: float, may: bool) -> None:
    assert may_be_offered(replace(FULL, suppressed_at=NOW - timedelta(days=days)), now=NOW) is may


def _in_words(against: dict[str, object]) -> str:
    """The same in every process: sets have no order of their own."""
    [(what, value)] = against.items()
    return (
        f"{what} {' '.join(sorted(map(str, value)))}" if isinstance(value, frozenset) else f"{what} {value}"
    )


@pytest.mark.parametrize(
    "against",
    [
        {"by_us": False},
        {"permanent": True},
        {"said_no": True},
        {"refused": True},
        {"rejected": True},
        {"back_to": None},
        {"failures": frozenset()},
        *({"failures": frozenset({each})} for each in BounceClass if each != BounceClass.MAILBOX_FULL),
        *(
            {"failures": frozenset({BounceClass.MAILBOX_FULL, each})}
            for each in BounceClass
            if each != BounceClass.MAILBOX_FULL
        ),
    ],
    ids=_in_words,
)
def test_any_one_thing_against_it_is_enough(against: dict[str, object]) -> None:
    assert not may_be_offered(replace(FULL, **against), now=NOW)  # type: ignore[arg-type]


people = st.lists(
    st.builds(
        lambda n, days, back_to, said_no: replace(
            FULL, contact_id=n, suppressed_at=NOW - timedelta(days=days), back_to=back_to, said_no=said_no
        ),
        st.integers(1, 500),
        st.integers(50, 190),
        st.sampled_from([None, 7, 8, 9]),
        st.booleans(),
    ),
    unique_by=lambda each: each.contact_id,
)
sizes = st.fixed_dictionaries({7: st.integers(0, 1500), 8: st.integers(0, 1500)})


@given(people, sizes)
def test_at_most_a_hundredth_of_a_list_comes_back_to_it_the_longest_suppressed_first(
    contacts: list[Suppressed], sizes: dict[int, int]
) -> None:
    found = offered(contacts, sizes=sizes, now=NOW)

    assert set(found) <= set(sizes)
    for back_to, chosen in found.items():
        assert 0 < len(chosen) * 100 <= sizes[back_to]
        assert all(each.back_to == back_to and may_be_offered(each, now=NOW) for each in chosen)
        left = [each for each in contacts if each.back_to == back_to and each not in chosen]
        waiting = [each for each in left if may_be_offered(each, now=NOW)]
        if waiting:
            assert len(chosen) == sizes[back_to] // 100
            assert max(c.suppressed_at for c in chosen) <= min(each.suppressed_at for each in waiting)


@given(people, sizes)
def test_who_is_offered_does_not_depend_on_the_order_in_which_they_are_named(
    contacts: list[Suppressed], sizes: dict[int, int]
) -> None:
    assert offered(contacts, sizes=sizes, now=NOW) == offered(reversed(contacts), sizes=sizes, now=NOW)


def test_of_a_list_with_fewer_than_a_hundred_members_nobody_is_offered() -> None:
    assert offered([FULL], sizes={7: 99}, now=NOW) == {}
    assert offered([FULL], sizes={7: 100}, now=NOW) == {7: [FULL]}
