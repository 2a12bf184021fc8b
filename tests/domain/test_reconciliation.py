"""Which drift is what, which of several lists stays, and that a change is asked about once."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from listmanagement.domain.reconciliation import (
    MOST_ASKED,
    Deed,
    Drift,
    Facts,
    Fate,
    Finding,
    Left,
    Place,
    Removal,
    find,
    may_ask,
    which_leaves,
    which_stays,
)
from tests.factories import NOON

SUPPRESSION = 99
LISTS = (1, 2, 3)
DAY = timedelta(days=1)


def a_place(list_id: int, *, days: float = 0, membership_id: int | None = None) -> Place:
    """On this list since so many days after NOON."""
    return Place(
        membership_id=membership_id if membership_id is not None else 10 * list_id,
        list_id=list_id,
        position=list_id,
        since=NOON + days * DAY,
    )


def of(**facts: object) -> Finding | None:
    """What is found of a mailable contact who stands like this."""
    given = {"has_address": True, "said_no": False, "excluded": False, "suppressed": False, **facts}
    return find(Facts(contact_id=7, **given), suppression_list=SUPPRESSION)  # type: ignore[arg-type]


def the(drift: Drift, deed: Deed, **lists: int | None) -> Finding:
    """That finding."""
    return Finding(7, drift, deed, **lists)


# --- Which drift -------------------------------------------------------------------------------------


def test_a_contact_on_one_list_is_no_drift() -> None:
    assert of(places=(a_place(1),)) is None
    assert of() is None
    assert of(suppressed=True, listed=5) is None


def test_a_suppressed_contact_on_a_campaign_list_goes_back_onto_the_suppression_list() -> None:
    found = of(suppressed=True, listed=5, places=(a_place(2, membership_id=21),))

    assert found == the(Drift.RELISTED, Deed.PUT_BACK, target=SUPPRESSION, membership_id=21)


def test_whoever_left_the_suppression_list_is_told_from_whoever_never_was_there_under_this_id() -> None:
    assert of(suppressed=True, unlisted=5) == the(
        Drift.UNLISTED, Deed.PUT_BACK, target=SUPPRESSION, membership_id=5
    )
    assert of(suppressed=True) == the(Drift.RECREATED, Deed.PUT_BACK, target=SUPPRESSION)


def test_on_the_suppression_list_without_a_suppression_is_put_back_by_taking_off_that_list() -> None:
    assert of(listed=5, places=(a_place(1),)) == the(
        Drift.LISTED, Deed.TAKE_OFF, source=SUPPRESSION, membership_id=5
    )


def test_a_list_we_moved_them_out_of_is_left_again() -> None:
    removals = {1: Removal(at=NOON, is_move=True)}

    found = of(places=(a_place(2, days=0), a_place(1, days=3)), removals=removals)

    assert found == the(Drift.RETURNED, Deed.TAKE_OFF, source=1, membership_id=10)


def test_a_subscription_older_than_our_removal_means_that_the_removal_was_lost() -> None:
    """Mailjet's SubscribedAt restarts at each add: nobody subscribed them since."""
    removals = {1: Removal(at=NOON, is_move=True)}

    moved = of(places=(a_place(2, days=-20), a_place(1, days=-9)), removals=removals)
    suppressed = of(suppressed=True, listed=5, places=(a_place(1, days=-9),), removals=removals)

    assert moved is not None
    assert suppressed is not None
    assert (moved.drift, moved.source) == (Drift.LOST, 1)
    assert (suppressed.drift, suppressed.deed) == (Drift.LOST, Deed.PUT_BACK)


def test_a_removal_that_a_later_add_made_undone_is_not_lost() -> None:
    removals = {1: Removal(at=NOON, is_move=False)}

    found = of(places=(a_place(1, days=1), a_place(2, days=-3)), removals=removals)

    assert found is not None
    assert found.drift is Drift.DOUBLED


def test_two_lists_are_one_change_whichever_of_them_is_to_be_left() -> None:
    """The cycle turns, the answer stands: what was accepted is not asked again under another name."""
    places = (a_place(1, days=-9, membership_id=11), a_place(2, membership_id=22))

    before = of(places=places)
    after = of(places=places, received=frozenset({2}))

    assert before is not None
    assert after is not None
    assert (before.source, after.source) == (2, 1)
    assert before.membership_id == after.membership_id == 22


def test_whom_people_took_off_where_we_put_them_goes_back_there() -> None:
    left = Left(membership_id=31, list_id=3, since=NOON)

    assert of(left=left) == the(Drift.TAKEN_AWAY, Deed.PUT_BACK, target=3, membership_id=31)
    assert of(left=left, places=(a_place(2, days=1),)) == the(
        Drift.REHOMED, Deed.MOVE, source=2, target=3, membership_id=20
    )


def test_who_came_back_by_themselves_or_may_not_be_mailed_is_not_put_back() -> None:
    left = Left(membership_id=31, list_id=3, since=NOON)

    assert of(left=left, places=(a_place(3, days=1),)) is None
    assert of(left=left, places=(a_place(2, days=-1),)) is None
    assert of(left=left, excluded=True) is None


def places() -> st.SearchStrategy[tuple[Place, ...]]:
    """On up to three different lists, since whenever."""
    return st.lists(
        st.builds(a_place, st.sampled_from(LISTS), days=st.integers(-3, 3)),
        max_size=3,
        unique_by=lambda place: place.list_id,
    ).map(tuple)


def removals() -> st.SearchStrategy[dict[int, Removal]]:
    at = st.integers(-3, 3).map(lambda days: NOON + days * DAY)
    return st.dictionaries(st.sampled_from(LISTS), st.builds(Removal, at=at, is_move=st.booleans()))


def facts() -> st.SearchStrategy[Facts]:
    """Any contact at all."""
    return st.builds(
        Facts,
        contact_id=st.just(7),
        has_address=st.booleans(),
        said_no=st.booleans(),
        excluded=st.booleans(),
        suppressed=st.booleans(),
        places=places(),
        listed=st.none() | st.just(5),
        unlisted=st.none() | st.just(6),
        left=st.none()
        | st.builds(Left, membership_id=st.just(31), list_id=st.sampled_from(LISTS), since=st.just(NOON)),
        removals=removals(),
        received=st.frozensets(st.sampled_from(LISTS)),
    )


@given(facts())
def test_who_said_no_is_never_for_people_to_decide_on_and_nobody_excluded_is_put_on_a_list(
    facts: Facts,
) -> None:
    found = find(facts, suppression_list=SUPPRESSION)

    if found is None:
        return
    assert facts.has_address
    assert not facts.said_no
    if found.target in LISTS:
        assert not facts.excluded
        assert not facts.suppressed


@given(facts())
def test_putting_back_leaves_nobody_without_the_list_they_are_mailed_through(facts: Facts) -> None:
    """P4, and its other half: off a list goes only who stays on another."""
    found = find(facts, suppression_list=SUPPRESSION)

    if found is not None and found.deed is Deed.TAKE_OFF and found.source != SUPPRESSION:
        here = {place.list_id for place in facts.places}
        assert found.source in here
        assert here - {found.source}


@given(facts())
def test_what_is_found_is_gone_once_it_is_put_back(facts: Facts) -> None:
    """Nothing is put back for ever: the drift found next, if any, is another one."""
    found = find(facts, suppression_list=SUPPRESSION)
    for _ in range(len(LISTS) + 2):
        if found is None:
            return
        facts = done(facts, found)
        found = find(facts, suppression_list=SUPPRESSION)
    assert found is None


def done(facts: Facts, finding: Finding) -> Facts:
    """The contact afterwards."""
    changed = {name: getattr(facts, name) for name in facts.__slots__}
    kept = [place for place in facts.places if place.list_id != finding.source]
    if finding.target == SUPPRESSION:
        kept, changed["listed"] = [], 8
    elif finding.target is not None:
        kept, changed["left"] = [*kept, a_place(finding.target, days=9)], None
    if finding.source == SUPPRESSION:
        changed |= {"listed": None, "unlisted": 5}
    return Facts(**{**changed, "places": tuple(kept)})


# --- Which list stays --------------------------------------------------------------------------------


several = places().filter(lambda found: len(found) > 1)


@given(several, st.frozensets(st.sampled_from(LISTS)))
def test_the_list_that_addressed_them_this_cycle_stays_else_the_elder(
    places: tuple[Place, ...], received: frozenset[int]
) -> None:
    stays = which_stays(places, received)

    through = [place for place in places if place.list_id in received]
    if len(through) == 1:
        assert stays == through[0]
    rivals = through or places
    assert stays in rivals
    assert all(stays.since <= other.since for other in rivals)


@given(several, st.frozensets(st.sampled_from(LISTS)))
def test_the_choice_does_not_depend_on_the_order_it_is_read_in_and_never_leaves_what_stays(
    places: tuple[Place, ...], received: frozenset[int]
) -> None:
    assert which_stays(places, received) == which_stays(places[::-1], received)
    assert which_leaves(places, received) != which_stays(places, received)


# --- Asking once -------------------------------------------------------------------------------------


def test_a_change_is_asked_about_once_while_asked_and_never_once_accepted() -> None:
    for settled in (Fate.WAITING, Fate.ACCEPTED):
        assert not may_ask([Fate.UNDECIDED, settled], afresh=False)
        assert not may_ask([settled], afresh=True)


def test_what_nobody_decides_comes_up_three_times_and_then_only_when_a_person_asks() -> None:
    asked = 0
    while may_ask([Fate.UNDECIDED] * asked, afresh=False):
        asked += 1

    assert asked == MOST_ASKED == 3
    assert may_ask([Fate.UNDECIDED] * asked, afresh=True)
