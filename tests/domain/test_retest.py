"""Whom of held domains a send skips."""

from hypothesis import given
from hypothesis import strategies as st

from listmanagement.domain.retest import SAMPLE, Held, taken_off
from listmanagement.domain.validation import HeldTreatment

HELD = st.builds(
    Held,
    contact_id=st.integers(1, 10**6),
    host=st.sampled_from(["down.test", "gone.test", "slow.test"]),
    rank=st.integers(1, 10**6),
    is_blocked=st.booleans(),
)
MEMBERS = st.lists(HELD, unique_by=(lambda each: each.contact_id, lambda each: each.rank), max_size=40)


@given(MEMBERS)
def test_all_are_mailed_none_is_mailed_or_five_of_each_domain(members: list[Held]) -> None:
    everybody = {each.contact_id for each in members}
    five = set(taken_off(members, treatment=HeldTreatment.FIVE))

    assert taken_off(members, treatment=HeldTreatment.ALL) == ()
    assert set(taken_off(members, treatment=HeldTreatment.NONE)) == everybody
    for host in {each.host for each in members}:
        there = {each.contact_id for each in members if each.host == host}
        assert len(there - five) == min(len(there), SAMPLE)


@given(MEMBERS)
def test_mailed_are_those_whose_answer_tells_most_and_then_the_longest_on_the_list(
    members: list[Held],
) -> None:
    off = set(taken_off(members, treatment=HeldTreatment.FIVE))
    for mailed in (each for each in members if each.contact_id not in off):
        for skipped in (each for each in members if each.contact_id in off and each.host == mailed.host):
            assert (mailed.is_blocked, mailed.rank) < (skipped.is_blocked, skipped.rank)


@given(MEMBERS, st.randoms())
def test_the_order_in_which_members_are_told_does_not_matter(members: list[Held], dice: object) -> None:
    shuffled = sorted(members, key=lambda each: hash((each.contact_id, str(dice))))

    chosen = taken_off(members, treatment=HeldTreatment.FIVE)

    assert taken_off(shuffled, treatment=HeldTreatment.FIVE) == chosen
    ranks = {each.contact_id: each.rank for each in members}
    assert [ranks[each] for each in chosen] == sorted(ranks[each] for each in chosen)
