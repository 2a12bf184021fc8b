"""What no plan may do, and what the refusal says."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listmanagement.domain import balance, guards
from listmanagement.domain.balance import Move, Placement
from listmanagement.domain.guards import Code, ContactFacts, Finding, Proposed, Rotation, Suppression

MASTER, FIRST, SECOND, SUPPRESSED = 100, 1, 2, 900
ROTATION = Rotation(MASTER, frozenset({FIRST, SECOND}), between_cycles=True)
MEMBER = ContactFacts(7, frozenset({FIRST}))
NEWCOMER = ContactFacts(8, frozenset())

SUPPRESS = Proposed(suppressions=(Suppression(7, "must"),))
PLACE = Proposed(placements=(Placement(8, FIRST),))
MOVE = Proposed(moves=(Move(7, FIRST, SECOND),))


def findings(plan: Proposed, *people: ContactFacts, rotation: Rotation = ROTATION) -> tuple[Finding, ...]:
    known = {person.contact_id: person for person in (MEMBER, NEWCOMER, *people)}
    return guards.check_plan(plan, contacts=known, rotation=rotation)


def codes(plan: Proposed, *people: ContactFacts, rotation: Rotation = ROTATION) -> list[Code]:
    return [finding.code for finding in findings(plan, *people, rotation=rotation)]


@pytest.mark.parametrize("plan", [Proposed(), SUPPRESS, PLACE, MOVE])
def test_a_plan_that_does_nothing_forbidden_has_no_findings(plan: Proposed) -> None:
    assert findings(plan) == ()


def test_a_finding_says_how_many_and_why_and_names_ids() -> None:
    plan = Proposed(placements=(Placement(8, FIRST), Placement(9, SECOND)))
    people = [replace(NEWCOMER, opted_out=True), ContactFacts(9, frozenset(), complained=True)]

    assert findings(plan, *people) == (
        Finding(
            Code.ADDED_WITHOUT_CONSENT,
            "2 contacts: opted out, excluded or complained, and may not be added to any list.",
            (8, 9),
        ),
    )


@pytest.mark.parametrize("said", [{"opted_out": True}, {"excluded": True}, {"complained": True}])
def test_p2_nobody_who_said_no_is_placed_or_moved_but_they_may_be_suppressed(said: dict[str, bool]) -> None:
    member, newcomer = replace(MEMBER, **said), replace(NEWCOMER, **said)  # type: ignore[arg-type]

    assert codes(PLACE, newcomer) == [Code.ADDED_WITHOUT_CONSENT]
    assert codes(MOVE, member) == [Code.ADDED_WITHOUT_CONSENT]
    assert codes(SUPPRESS, member) == []


def test_p3_the_master_list_is_neither_target_nor_source() -> None:
    onto = Proposed(placements=(Placement(8, MASTER),))
    off = Proposed(moves=(Move(7, MASTER, FIRST),))

    assert codes(onto) == [Code.MASTER_LIST_TARGETED]
    assert Code.MASTER_LIST_TARGETED in codes(off)


def test_only_lists_of_the_rotation_are_added_to_or_taken_from() -> None:
    assert codes(Proposed(placements=(Placement(8, SUPPRESSED),))) == [Code.NOT_A_CAMPAIGN_LIST]
    assert codes(Proposed(moves=(Move(7, FIRST, 55),))) == [Code.NOT_A_CAMPAIGN_LIST]
    assert Code.NOT_A_CAMPAIGN_LIST in codes(Proposed(moves=(Move(7, 55, FIRST),)))


def test_p4_nobody_active_on_a_list_is_placed() -> None:
    assert codes(Proposed(placements=(Placement(7, SECOND),))) == [Code.ALREADY_ON_A_LIST]


def test_p4_nobody_on_the_suppression_list_joins_a_campaign_list() -> None:
    assert codes(PLACE, replace(NEWCOMER, suppressed=True)) == [Code.ADDED_THOUGH_SUPPRESSED]
    assert codes(MOVE, replace(MEMBER, suppressed=True)) == [Code.ADDED_THOUGH_SUPPRESSED]


@pytest.mark.parametrize(
    "plan",
    [
        replace(SUPPRESS, placements=(Placement(7, SECOND),)),
        replace(SUPPRESS, moves=MOVE.moves),
        Proposed(placements=(Placement(8, FIRST), Placement(8, SECOND))),
        Proposed(moves=(Move(7, FIRST, SECOND), Move(7, SECOND, FIRST))),
        Proposed(suppressions=SUPPRESS.suppressions * 2),
    ],
)
def test_p4_nobody_is_in_a_plan_twice(plan: Proposed) -> None:
    assert Code.PLANNED_TWICE in codes(plan)


def test_nobody_is_suppressed_or_moved_who_is_on_no_list() -> None:
    assert codes(SUPPRESS, replace(MEMBER, lists=frozenset())) == [Code.NOT_ON_A_LIST]
    assert codes(MOVE, replace(MEMBER, lists=frozenset())) == [Code.NOT_ON_A_LIST]


def test_a_move_takes_contacts_from_where_they_are_to_another_list() -> None:
    assert codes(MOVE, replace(MEMBER, lists=frozenset({SECOND}))) == [Code.NOT_ON_SOURCE]
    assert codes(Proposed(moves=(Move(7, FIRST, FIRST),))) == [Code.MOVED_TO_SAME_LIST]


def test_a_contact_on_two_lists_is_left_to_a_person() -> None:
    assert codes(MOVE, replace(MEMBER, lists=frozenset({FIRST, SECOND}))) == [Code.ON_TWO_LISTS]


def test_the_held_and_the_recently_moved_stay_where_they_are() -> None:
    assert codes(MOVE, replace(MEMBER, held=True)) == [Code.HELD_CONTACT_MOVED]
    assert codes(MOVE, replace(MEMBER, moved_recently=True)) == [Code.MOVED_AGAIN_TOO_SOON]


def test_p5_in_the_middle_of_a_cycle_nobody_moves_but_placements_and_suppressions_go_on() -> None:
    under_way = replace(ROTATION, between_cycles=False)

    assert codes(MOVE, rotation=under_way) == [Code.MOVED_IN_MID_CYCLE]
    assert codes(PLACE, rotation=under_way) == []
    assert codes(SUPPRESS, rotation=under_way) == []


@pytest.mark.parametrize(
    ("region", "allowed"), [("must", True), ("may", True), ("never", False), ("hold", False)]
)
def test_p7_nobody_is_suppressed_outside_the_region_the_policy_left_open(region: str, allowed: bool) -> None:
    plan = Proposed(suppressions=(Suppression(7, region),))

    assert codes(plan) == ([] if allowed else [Code.OUTSIDE_POLICY])


def test_consent_is_not_suppressed_by_judgement() -> None:
    assert codes(Proposed(suppressions=(Suppression(7, "consent"),))) == [Code.OUTSIDE_POLICY]


def test_the_protected_are_suppressed_only_by_a_person() -> None:
    assert codes(SUPPRESS, replace(MEMBER, protected=True)) == [Code.PROTECTED]
    assert codes(MOVE, replace(MEMBER, protected=True)) == []


@pytest.mark.parametrize("plan", [SUPPRESS, PLACE, MOVE])
def test_nothing_is_added_to_or_taken_from_a_frozen_list(plan: Proposed) -> None:
    assert codes(plan, rotation=replace(ROTATION, frozen=frozenset({FIRST}))) == [Code.LIST_FROZEN]


def test_a_contact_nobody_knows_any_more_is_a_finding_not_a_crash() -> None:
    plan = Proposed((Suppression(70, "must"),), (Placement(71, FIRST),), (Move(72, FIRST, SECOND),))

    [finding] = findings(plan)
    assert (finding.code, finding.contacts) == (Code.UNKNOWN_CONTACT, (70, 71, 72))


def test_one_contact_can_raise_several_objections_the_gravest_first() -> None:
    person = replace(MEMBER, opted_out=True, held=True, suppressed=True)

    assert codes(MOVE, person) == [
        Code.ADDED_WITHOUT_CONSENT,
        Code.ADDED_THOUGH_SUPPRESSED,
        Code.HELD_CONTACT_MOVED,
    ]


def test_each_kind_of_objection_has_its_guard() -> None:
    assert sorted(guard.code for guard in guards._GUARDS) == sorted(Code)


# --- Whatever is planned -------------------------------------------------------------------------

LISTS = [FIRST, SECOND, MASTER, SUPPRESSED]
someone, somewhere = st.integers(1, 2), st.sampled_from(LISTS)
steps = st.one_of(
    st.builds(Suppression, someone, st.sampled_from(["must", "may", "never"])),
    st.builds(Placement, someone, somewhere),
    st.builds(Move, someone, somewhere, somewhere),
)
flags = st.sampled_from(
    [{}, {"opted_out": True}, {"excluded": True}, {"complained": True}, {"suppressed": True}]
)
memberships = st.frozensets(st.sampled_from([FIRST, SECOND]))


def planned(steps: list[Suppression | Placement | Move]) -> Proposed:
    return Proposed(
        tuple(step for step in steps if isinstance(step, Suppression)),
        tuple(step for step in steps if isinstance(step, Placement)),
        tuple(step for step in steps if isinstance(step, Move)),
    )


def people(lists: list[frozenset[int]], states: list[dict[str, bool]]) -> dict[int, ContactFacts]:
    return {
        contact_id: ContactFacts(contact_id, on, **state)
        for contact_id, on, state in zip((1, 2), lists, states, strict=True)
    }


@settings(max_examples=400)
@given(
    plan=st.lists(steps, min_size=1, max_size=2).map(planned),
    contacts=st.builds(
        people, st.lists(memberships, min_size=2, max_size=2), st.lists(flags, min_size=2, max_size=2)
    ),
)
def test_a_plan_without_findings_keeps_consent_and_one_place(
    plan: Proposed, contacts: dict[int, ContactFacts]
) -> None:
    if guards.check_plan(plan, contacts=contacts, rotation=ROTATION):
        return
    lists = {contact_id: set(contact.lists) for contact_id, contact in contacts.items()}
    for suppression in plan.suppressions:
        lists[suppression.contact_id].clear()
    for placement in plan.placements:
        lists[placement.contact_id].add(placement.list_id)
    for move in plan.moves:
        lists[move.contact_id].remove(move.source_id)
        lists[move.contact_id].add(move.target_id)

    for contact_id, contact in contacts.items():
        joined = lists[contact_id] - contact.lists
        assert joined <= ROTATION.campaign_lists
        assert len(lists[contact_id]) <= max(1, len(contact.lists))
        assert not joined or (contact.consents and not contact.suppressed)


@given(sizes=st.lists(st.integers(1, 30), min_size=2, max_size=4), backlog=st.integers(0, 9))
def test_the_guards_have_nothing_against_what_the_solver_plans(sizes: list[int], backlog: int) -> None:
    rotation = replace(ROTATION, campaign_lists=frozenset(range(len(sizes))))
    members = {on * 100 + n: on for on, size in enumerate(sizes) for n in range(size)}
    waiting = range(1000, 1000 + backlog)
    facts = [
        balance.ListFacts(on, size, tuple(on * 100 + n for n in range(size))) for on, size in enumerate(sizes)
    ]

    plan = balance.plan(facts, waiting, first_send_rate=0.0, moves_allowed=True)

    contacts = {contact_id: ContactFacts(contact_id, frozenset({on})) for contact_id, on in members.items()}
    contacts |= {contact_id: ContactFacts(contact_id, frozenset()) for contact_id in waiting}
    proposed = Proposed(placements=plan.placements, moves=plan.moves)
    assert guards.check_plan(proposed, contacts=contacts, rotation=rotation) == ()
