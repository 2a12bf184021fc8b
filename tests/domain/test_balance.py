"""The solver, held against the worked example and against brute force."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import count, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listmanagement.domain import balance
from listmanagement.domain.balance import Choice, ImpossibleFacts, ListFacts, Move, Placement, Plan


def rotation(*sizes: int, movable: Sequence[int] | None = None) -> list[ListFacts]:
    """Lists 1, 2, ... whose members are numbered 1001, 1002, ... with the newest first."""
    may_leave = sizes if movable is None else movable
    return [
        ListFacts(position, size, tuple(position * 10_000 + size - age for age in range(leaving)))
        for position, size, leaving in zip(count(1), sizes, may_leave, strict=False)
    ]


def worked_example(**changes: object) -> Plan:
    return balance.plan(
        rotation(890, 942, 1177),
        range(1, 321),
        **{"first_send_rate": 0.0, "moves_allowed": True, **changes},  # type: ignore[arg-type]
    )


def sizes(plan: Plan) -> tuple[int, ...]:
    return tuple(plan.sizes_after.values())


def test_the_worked_example_comes_out_exactly() -> None:
    plan = worked_example()

    assert (len(plan.placements), plan.waiting, len(plan.moves)) == (300, 20, 52)
    assert plan.sizes_before == {1: 890, 2: 942, 3: 1177}
    assert plan.sizes_after == {1: 1092, 2: 1092, 3: 1125}
    assert f"{plan.deviation_after:.2f}" == "1.99"
    assert plan.notes == ("20 of 320 in the backlog wait: one run places at most 300 beside 3,009 members.",)


def test_in_the_middle_of_a_cycle_contacts_are_placed_but_none_moves() -> None:
    plan = worked_example(moves_allowed=False)

    assert (len(plan.placements), len(plan.moves)) == (300, 0)
    assert plan.sizes_after == {1: 1066, 2: 1066, 3: 1177}
    assert plan.notes[-1] == "The deviation stays at 6.71 %: contacts move only between two cycles, and once."


def test_nothing_moves_at_exactly_the_threshold() -> None:
    at_it, above = rotation(95, 100, 105), rotation(94, 100, 106)

    still = balance.plan(at_it, (), first_send_rate=0, moves_allowed=True)
    moved = balance.plan(above, (), first_send_rate=0, moves_allowed=True)

    assert still.moves == ()
    assert still.notes == ("The deviation stays at 5.00 %: contacts move only above 5 %.",)
    assert (sizes(moved), len(moved.moves)) == ((99, 100, 101), 5)


def test_exactly_two_percent_is_not_yet_balanced() -> None:
    plan = balance.plan(rotation(94, 106), (), first_send_rate=0, moves_allowed=True)

    assert sizes(plan) == (99, 101)


def test_the_oldest_registration_is_placed_first_and_into_the_smallest_list() -> None:
    plan = balance.plan(rotation(11, 10, 20), (7, 5, 9, 3), first_send_rate=0, moves_allowed=False)

    assert plan.placements == (Placement(7, 2), Placement(5, 1), Placement(9, 2), Placement(3, 1))


def test_the_newest_leave_and_join_the_other_list_in_their_old_order() -> None:
    lists = [ListFacts(1, 2, ()), ListFacts(2, 8, (208, 207, 206, 205, 204))]

    plan = balance.plan(lists, (), first_send_rate=0, moves_allowed=True)

    assert plan.moves == (Move(206, 2, 1), Move(207, 2, 1), Move(208, 2, 1))


def test_a_list_that_may_give_nobody_does_not_keep_the_others_moving_in_vain() -> None:
    plan = balance.plan(rotation(100, 60, 20, movable=(0, 60, 20)), (), first_send_rate=0, moves_allowed=True)

    assert plan.moves == ()
    assert plan.notes == (
        "The deviation stays at 66.67 %: too few members of the larger lists may be moved.",
    )


def test_nobody_is_placed_where_too_few_could_leave_again_to_even_the_lists_out() -> None:
    """Of list 2 nobody may leave, and list 3 takes three at most: 0.10 of them may bounce, 2 % of 16 not."""
    lists = rotation(48, 36, 16, movable=(48, 0, 16))

    plan = balance.plan(lists, range(1, 11), first_send_rate=0.10, moves_allowed=True)
    without_moves = balance.plan(lists, range(1, 11), first_send_rate=0.10, moves_allowed=False)

    assert sizes(without_moves) == (48, 43, 19)
    assert sizes(plan) == (37, 37, 36)
    assert (len(plan.placements), len(plan.moves)) == (10, 17)


def test_lists_that_divide_no_better_are_left_one_contact_apart() -> None:
    plan = balance.plan(rotation(1, 6), (), first_send_rate=0, moves_allowed=True)

    assert sizes(plan) == (3, 4)
    assert plan.notes == ("The deviation stays at 14.29 %: the lists differ by one contact at most.",)


def test_a_risky_backlog_fills_no_list_beyond_two_percent_expected_bounces() -> None:
    plan = balance.plan(rotation(100, 1000), range(1, 111), first_send_rate=0.10, moves_allowed=False)

    placed = [placement.list_id for placement in plan.placements]
    assert (placed.count(1), placed.count(2)) == (19, 91)  # 20 × 10 % would reach 2 % of 100


def test_several_runs_between_two_sends_place_no_more_than_one() -> None:
    lists, backlog = rotation(1000, 1000, 1000), range(100_001, 103_001)
    once = balance.plan(lists, backlog, first_send_rate=0.10, moves_allowed=False)
    placed = Counter(placement.list_id for placement in once.placements)
    after = [
        replace(each, size=each.size + placed[each.list_id], unmailed=placed[each.list_id]) for each in lists
    ]

    again = balance.plan(after, backlog[300:], first_send_rate=0.10, moves_allowed=False)

    assert len(once.placements) == 300
    assert again.placements == ()
    assert "as 300 placed before have not been mailed yet" in " ".join(again.notes)


def test_when_every_list_is_at_its_limit_the_rest_waits_and_the_plan_says_so() -> None:
    plan = balance.plan(rotation(100, 100), range(1, 11), first_send_rate=1.0, moves_allowed=False)

    assert (len(plan.placements), plan.waiting) == (2, 8)
    [note] = plan.notes
    assert note.startswith("8 of 10 in the backlog wait: more first sends could bounce too much")
    assert note.endswith("(list 1 takes 1, list 2 takes 1).")


@pytest.mark.parametrize(
    ("size", "rate", "limit"),
    [(890, 0.10, 177), (100, 0.10, 19), (50, 1 / 3, 2), (50, 0.0, 1000), (0, 0.0, 0), (0, 0.5, 0)],
)
def test_the_limit_of_a_list_stays_strictly_below_its_share(size: int, rate: float, limit: int) -> None:
    assert balance.placement_limit(size, first_send_rate=rate, most=1000) == limit


@pytest.mark.parametrize(
    ("hard", "final", "rate"), [(0, 0, 0.10), (0, 99, 0.10), (99, 99, 0.10), (3, 100, 0.03)]
)
def test_the_first_send_rate_is_a_tenth_until_a_hundred_are_final(hard: int, final: int, rate: float) -> None:
    assert balance.first_send_rate(hard, final) == rate


def test_more_hard_bounces_than_messages_are_refused() -> None:
    with pytest.raises(ImpossibleFacts, match="101 hard bounces among 100"):
        balance.first_send_rate(101, 100)


def test_without_lists_or_members_nothing_deviates_and_nothing_is_placed() -> None:
    nowhere = balance.plan([], (1, 2), first_send_rate=0, moves_allowed=True)
    empty = balance.plan(rotation(0, 0), (1, 2), first_send_rate=0, moves_allowed=True)

    assert (nowhere.placements, nowhere.moves, nowhere.waiting, nowhere.deviation_after) == ((), (), 2, 0.0)
    assert (empty.placements, empty.moves, empty.waiting, empty.deviation_after) == ((), (), 2, 0.0)


@pytest.mark.parametrize(
    ("lists", "backlog", "rate", "words"),
    [
        ([ListFacts(4, 1, ()), ListFacts(4, 1, ())], (), 0.0, r"Lists \[4\] stand in the rotation twice"),
        ([ListFacts(4, 1, (1, 2))], (), 0.0, "List 4 has 1 members of whom 2 may be moved"),
        ([ListFacts(4, 9, ())], (8, 8), 0.0, r"Contacts \[8\] stand in the backlog twice"),
        ([ListFacts(4, 9, ())], (8,), 10.0, "10.0 is not a share"),
    ],
)
def test_facts_that_contradict_themselves_are_refused(
    lists: list[ListFacts], backlog: tuple[int, ...], rate: float, words: str
) -> None:
    with pytest.raises(ImpossibleFacts, match=words):
        balance.plan(lists, backlog, first_send_rate=rate, moves_allowed=True)


def test_the_agent_chooses_between_all_of_it_the_backfill_and_nothing() -> None:
    plans = balance.choices(rotation(890, 942, 1177), range(1, 321), first_send_rate=0, moves_allowed=True)

    assert plans[Choice.NOW] == worked_example()
    assert plans[Choice.BACKFILL_ONLY] == worked_example(moves_allowed=False)
    assert (plans[Choice.DEFER].placements, plans[Choice.DEFER].moves) == ((), ())
    assert (plans[Choice.DEFER].waiting, sizes(plans[Choice.DEFER])) == (320, (890, 942, 1177))


def test_a_million_members_cost_no_more_than_those_who_are_placed_or_moved() -> None:
    stays = 250_000
    lists = [
        ListFacts(1, stays, ()),
        ListFacts(2, stays + 20_000, tuple(range(20_000))),
        ListFacts(3, 2 * stays, tuple(range(20_000, 20_000 + 2 * stays))),
    ]

    plan = balance.plan(lists, range(10**6, 10**6 + 1000), first_send_rate=0, moves_allowed=True)

    assert plan.deviation_after < 2
    assert {move.source_id for move in plan.moves} == {3}


# --- Against brute force -------------------------------------------------------------------------


def worth(after: Sequence[int], moves: int, target: int) -> tuple[Fraction, int]:
    """What brute force minimises: the deviation where it is not below the target, then the moves."""
    members = sum(after)
    off = max(Fraction(100 * abs(len(after) * size - members), members) for size in after)
    return (off if off >= target else Fraction(0), moves)


def placed_every_way(before: Sequence[int], placed: int, limits: Sequence[int]) -> Iterator[tuple[int, ...]]:
    for joined in product(*(range(limit + 1) for limit in limits)):
        if sum(joined) == placed:
            yield tuple(size + new for size, new in zip(before, joined, strict=True))


def moved_every_way(
    lists: Sequence[ListFacts], start: Sequence[int], *, target: int
) -> Iterator[tuple[Fraction, int]]:
    changes = [range(-len(facts.movable), sum(start) + 1) for facts in lists]
    for change in product(*changes[:-1]):
        rest = -sum(change)
        if rest in changes[-1]:
            after = [size + by for size, by in zip(start, (*change, rest), strict=True)]
            if min(after) >= 0:
                yield worth(after, sum(by for by in (*change, rest) if by > 0), target)


@st.composite
def small_rotations(draw: st.DrawFn) -> list[ListFacts]:
    held = draw(st.lists(st.integers(0, 8), min_size=2, max_size=3))
    movable = [draw(st.one_of(st.just(size), st.integers(0, size))) for size in held]
    return rotation(*held, movable=movable)


@given(
    lists=small_rotations().filter(lambda lists: any(facts.size for facts in lists)),
    backlog=st.integers(0, 4),
    rate=st.sampled_from([0.0, 0.02, 0.05]),
    target=st.sampled_from([2, 10, 25, 40]),
)
def test_brute_force_over_all_placings_and_all_moves_finds_no_better_plan(
    lists: list[ListFacts], backlog: int, rate: float, target: int
) -> None:
    plan = balance.plan(
        lists,
        range(1, backlog + 1),
        first_send_rate=rate,
        moves_allowed=True,
        threshold=0,
        target=target,
        placement_share=0.5,
        first_send_share=0.03,
    )

    held = [facts.size for facts in lists]
    most = min(backlog, sum(held) // 2)
    limits = [balance.placement_limit(size, first_send_rate=rate, share=0.03, most=most) for size in held]
    starts = placed_every_way(held, min(most, sum(limits)), limits)
    best = min(each for start in starts for each in moved_every_way(lists, start, target=target))
    assert worth(sizes(plan), len(plan.moves), target) == best
    assert len(plan.placements) == min(most, sum(limits)), "nobody waits for the sake of evenness"


@given(
    held=st.lists(st.integers(0, 9), min_size=2, max_size=3).filter(any),
    backlog=st.integers(0, 5),
    rate=st.sampled_from([0.0, 0.02, 0.05]),
)
def test_without_moves_no_other_placing_would_leave_the_lists_more_even(
    held: list[int], backlog: int, rate: float
) -> None:
    plan = balance.plan(
        rotation(*held),
        range(1, backlog + 1),
        first_send_rate=rate,
        moves_allowed=False,
        placement_share=0.5,
        first_send_share=0.03,
    )

    most = min(backlog, sum(held) // 2)
    limits = [balance.placement_limit(size, first_send_rate=rate, share=0.03, most=most) for size in held]
    starts = placed_every_way(held, len(plan.placements), limits)
    assert plan.deviation_after == min(balance.deviation(start) for start in starts)


@given(lists=small_rotations(), backlog=st.lists(st.integers(-99, -1), unique=True), allowed=st.booleans())
def test_everybody_is_somewhere_exactly_once_afterwards(
    lists: list[ListFacts], backlog: list[int], allowed: bool
) -> None:
    plan = balance.plan(lists, backlog, first_send_rate=0.0, moves_allowed=allowed, placement_share=1.0)

    touched = [p.contact_id for p in plan.placements] + [m.contact_id for m in plan.moves]
    assert len(touched) == len(set(touched))
    assert [placement.contact_id for placement in plan.placements] == backlog[: len(plan.placements)]
    assert len(plan.placements) + plan.waiting == len(backlog)
    assert sum(plan.sizes_after.values()) == sum(plan.sizes_before.values()) + len(plan.placements)
    assert plan.deviation_after == balance.deviation(sizes(plan))


@given(lists=small_rotations())
def test_each_list_gives_its_newest_and_keeps_their_order(lists: list[ListFacts]) -> None:
    plan = balance.plan(lists, (), first_send_rate=0.0, moves_allowed=True)

    for facts in lists:
        gave = [move.contact_id for move in plan.moves if move.source_id == facts.list_id]
        assert gave == list(reversed(facts.movable[: len(gave)]))
