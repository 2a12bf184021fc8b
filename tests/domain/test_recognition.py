"""Cycles are found from sends: a planted history, small ones that each show a rule, and what always holds."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listmanagement.domain import recognition
from listmanagement.domain.cycle import LONGEST_CYCLE, RoundStatus
from listmanagement.domain.recognition import (
    CampaignKind,
    CycleEnd,
    ImpossibleLabel,
    Label,
    Recognition,
    Send,
    is_named_test,
    recognise,
    words_of,
)
from tests.planted import ENDS, MASTER, PLANTED, How, Planted

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LISTS = (1, 2, 3)
AN_HOUR = timedelta(hours=1)


def day(number: float) -> datetime:
    return NOON + timedelta(days=number)


def send(key: int, list_id: int, at: float, subject: str = "", **fields: Any) -> Send:
    """A send that took an hour."""
    status = fields.pop("status", RoundStatus.SENT)
    begun = status in (RoundStatus.SENT, RoundStatus.SENDING)
    given = {
        "has_begun": begun,
        "ended_at": day(at) + AN_HOUR if status is RoundStatus.SENT else None,
        **fields,
    }
    return Send(key=key, list_id=list_id, status=status, at=day(at), subject=subject, **given)


_STATUSES = {"+": RoundStatus.SCHEDULED, "-": RoundStatus.CANCELLED, "!": RoundStatus.FAILED}


def told(text: str) -> list[Send]:
    """ "A1 B2 A3": message A to list 1 on day 0, B to list 2 two days later, A to list 3 after two more.

    `@9` sets the day. Before a send: `+` scheduled, `-` called off, `!` failed; after it `s1` a segment.
    """
    sends, at = [], -2.0
    for key, word in enumerate(text.split(), 1):
        what, _, when = word.partition("@")
        at = float(when) if when else at + 2
        status = _STATUSES.get(what[0], RoundStatus.SENT)
        named, _, segment = what.lstrip("+-!").partition("s")
        subject = f"Message {named[0] * 3}"
        sends.append(
            send(key, int(named[1:]), at, subject, status=status, segment=int(segment) if segment else None)
        )
    return sends


def short(recognised: Recognition) -> str:
    """Every label in turn: "2.1" is round 1 of cycle 2, "repeat:4" a repeat of send 4, "one_off"."""
    return " ".join(
        f"{label.cycle + 1}.{label.round}"
        if label.cycle is not None and label.round is not None
        else label.kind.value + (f":{label.of}" if label.of is not None else "")
        for _, label in sorted(recognised.labels.items())
    )


def words(recognised: Recognition, number: int) -> str:
    """A label as the planted ones are written."""
    label = recognised.labels[number]
    kind = label.kind.value.replace("_", "-")
    if label.of is not None:
        return f"{kind} of {label.of}" + ("" if label.cycle is None else f", cycle {label.cycle + 1}")
    return kind if label.cycle is None else f"{kind} {label.round} of cycle {label.cycle + 1}"


def ends(recognised: Recognition) -> list[str]:
    return [cycle.ended_how.value if cycle.ended_how else "under way" for cycle in recognised.cycles]


# --- A planted history -------------------------------------------------------------------------------


def planted(row: Planted) -> Send:
    called_off = row.how is How.CALLED_OFF
    return send(
        row.number,
        row.list,
        row.day,
        row.subject,
        title=row.title,
        segment=row.segment,
        ab_test=row.ab_test,
        status=RoundStatus.CANCELLED if called_off else RoundStatus.SENT,
    )


def test_twenty_planted_campaigns_are_recognised() -> None:
    found = recognise(map(planted, PLANTED), lists=LISTS, at=day(40) + AN_HOUR)

    assert {row.number: words(found, row.number) for row in PLANTED} == {
        row.number: row.label.removesuffix(", cancelled") for row in PLANTED
    }
    assert [end.replace("_", " ") for end in ends(found)] == list(ENDS)
    assert MASTER not in LISTS


# --- One rule each -----------------------------------------------------------------------------------

HISTORIES = {
    "one message to every list once": ("A1 A2 A3", "1.1 1.2 1.3", "complete"),
    "the first send begins a cycle": ("A1", "1.1", "under way"),
    "the next cycle begins when every list was sent": (
        "A1 A2 A3 B2 B1",
        "1.1 1.2 1.3 2.1 2.2",
        "complete, under way",
    ),
    "the same message to the same list is a repeat": (
        "A1 A2 A1 A3 A2",
        "1.1 1.2 repeat:1 1.3 repeat:2",
        "complete",
    ),
    "a repeat after the cycle is one, too": ("A1 A2 A3 A1", "1.1 1.2 1.3 repeat:1", "complete"),
    "the same subject for every list again is the next issue": (
        "A1 A2 A3 A1 A2 A3",
        "1.1 1.2 1.3 2.1 2.2 2.3",
        "complete, complete",
    ),
    "an issue a week under one subject": (
        "A1@0 A2@1 A3@2 A1@7 A2@8 A3@9 A1@14 A2@15 A3@16 A1@21 A2@22 A3@23",
        "1.1 1.2 1.3 2.1 2.2 2.3 3.1 3.2 3.3 4.1 4.2 4.3",
        "complete, complete, complete, complete",
    ),
    "after 21 days the same message is another": (
        "A1@0 A2@1 A3@2 A1@22",
        "1.1 1.2 1.3 2.1",
        "complete, under way",
    ),
    "a new message to two lists cuts the rest short": (
        "A1 A2 B1 B3",
        "1.1 1.2 2.1 2.2",
        "cut_short, under way",
    ),
    "a new message to a list that had its round begins the next cycle": (
        "A1 A2 B1",
        "1.1 1.2 2.1",
        "cut_short, under way",
    ),
    "unless the rest is still sent": ("A1 A2 B1 +A3@9", "1.1 1.2 one_off 1.3", "under way"),
    "or was": ("A1 A2 B1 A3", "1.1 1.2 one_off 1.3", "complete"),
    "cycles may overlap by a day": (
        "A1@0 A2@2 B1@4 A3@5 B2@6",
        "1.1 1.2 2.1 1.3 2.2",
        "complete, under way",
    ),
    "also when no more than one send of the next is known": (
        "A1@0 A2@2 B1@4 A3@5",
        "1.1 1.2 2.1 1.3",
        "complete, under way",
    ),
    "one list, between cycles": ("A1 A2 A3 X2 B1 B2", "1.1 1.2 1.3 one_off 2.1 2.2", "complete, under way"),
    "one list, and the next cycle is scheduled": (
        "A1 A2 A3 X2 +B1@20 +B2@22",
        "1.1 1.2 1.3 one_off 2.1 2.2",
        "complete, under way",
    ),
    "one list twice, between cycles": (
        "A1 A2 A3 X2 X2 B1 B2",
        "1.1 1.2 1.3 one_off repeat:4 2.1 2.2",
        "complete, under way",
    ),
    "every subject another": ("A1 B2 C3 D1 E2 F3", "1.1 1.2 1.3 2.1 2.2 2.3", "complete, complete"),
    "one subject another: the list's own round may still come": (
        "A1 A2 C3",
        "1.1 1.2 1.3",
        "under way",
    ),
    "until the next cycle begins": ("A1 A2 C3 D1 D2", "1.1 1.2 1.3 2.1 2.2", "complete, under way"),
    "and when it comes the other was a one-off": ("A1 A2 C3 A3", "1.1 1.2 one_off 1.3", "complete"),
    "the first subject another": ("C3 A1 A2", "1.1 1.2 1.3", "under way"),
    "what came between two rounds does not join the next cycle": (
        "A1 A2 X2 A3 B1 B3",
        "1.1 1.2 one_off 1.3 2.1 2.2",
        "complete, under way",
    ),
    "those with subjects of their own stay together when the next begins": (
        "A1 A2 A3 B2 C1 D3 D1",
        "1.1 1.2 1.3 2.1 2.2 3.1 3.2",
        "complete, cut_short, under way",
    ),
    "two cycles at once, each list's own": (
        "A1@0 B2@1 A2@2 B3@3 A3@3.2 B1@5",
        "1.1 2.1 1.2 2.2 1.3 2.3",
        "complete, complete",
    ),
    "a cancelled round": ("A1 -A2 A3", "1.1 1.2 1.3", "complete"),
    "a cancelled round under another subject": ("A1 B2 -C3", "1.1 1.2 1.3", "complete"),
    "a cancelled round that another took the place of": ("A1 -A2 A2 A3", "1.1 1.2 1.2 1.3", "complete"),
    "a repeat that was called off": ("A1 A2 -A1 A3", "1.1 1.2 repeat:1 1.3", "complete"),
    "a plan that was given up": ("A1 A2 A3 -B1 -B2", "1.1 1.2 1.3 one_off one_off", "complete"),
    "a failed round keeps the cycle open": ("A1 !A2 A3", "1.1 1.2 1.3", "under way"),
    "a failed round that was sent again": ("A1 !A2 A3 A2", "1.1 repeat:4 1.2 1.3", "complete"),
    "a plan": ("+A1 +A2 +A3", "1.1 1.2 1.3", "under way"),
    "a segment of one list alone": ("A1 A2 A3 X2s7", "1.1 1.2 1.3 one_off", "complete"),
    "a segment of one list, in mid-cycle": ("A1 A2 X3s7", "1.1 1.2 one_off", "under way"),
    "rounds to segments": ("A1s7 A2s7 A3s7", "1.1 1.2 1.3", "complete"),
    "two segments of a list": ("A1s7 A1s8 A2 A3", "1.1 part:1 1.2 1.3", "complete"),
    "one segment twice": ("A1s7 A1s7 A2 A3", "1.1 repeat:1 1.2 1.3", "complete"),
    "the list, then a segment of it": ("A1 A1s7 A2 A3", "1.1 repeat:1 1.2 1.3", "complete"),
    "a segment, then the whole list": ("A1s7 A1 A2 A3", "1.1 repeat:1 1.2 1.3", "complete"),
    "what goes to no campaign list": ("A1 A2 A9 A3", "1.1 1.2 one_off 1.3", "complete"),
}


@pytest.mark.parametrize(("history", "labels", "ended"), HISTORIES.values(), ids=HISTORIES)
def test_each_rule(history: str, labels: str, ended: str) -> None:
    sends = told(history)
    after_the_last = max((s.at for s in sends if s.has_begun), default=day(-1)) + 2 * AN_HOUR

    found = recognise(sends, lists=LISTS, at=after_the_last)

    assert short(found) == labels
    assert ", ".join(ends(found)) == ended


# --- Beginning and end -------------------------------------------------------------------------------


def test_a_cycle_begins_with_its_first_send_and_ends_with_the_end_of_its_last() -> None:
    [cycle] = recognise(told("A1 A2 A3"), lists=LISTS, at=day(5)).cycles

    assert (cycle.began_at, cycle.ended_at, cycle.ended_how) == (NOON, day(4) + AN_HOUR, CycleEnd.COMPLETE)
    assert cycle.rounds == (1, 2, 3)


def test_while_the_last_round_is_being_sent_the_cycle_goes_on() -> None:
    sends = [*told("A1 A2"), send(3, 3, 4, "Message AAA", status=RoundStatus.SENDING)]

    [cycle] = recognise(sends, lists=LISTS, at=day(4) + AN_HOUR).cycles

    assert cycle.ended_at is None


def test_a_planned_cycle_has_not_begun_but_for_what_is_past_its_time() -> None:
    planned = told("+A1 +A2 +A3")

    [before] = recognise(planned, lists=LISTS, at=day(-1)).cycles
    [after] = recognise(planned, lists=LISTS, at=day(1)).cycles

    assert before.began_at is None
    assert after.began_at == NOON


def test_after_21_days_a_cycle_is_overdue_and_a_late_round_is_not_waited_for() -> None:
    sends = told("A1 A2 +A3@20")

    [before] = recognise(sends, lists=LISTS, at=day(21) - AN_HOUR).cycles
    [after] = recognise(sends, lists=LISTS, at=day(21)).cycles

    assert before.ended_at is None
    assert (after.ended_at, after.ended_how) == (day(21), CycleEnd.OVERDUE)


def test_a_cycle_that_was_cut_short_ended_when_the_next_began() -> None:
    first, _ = recognise(told("A1 A2 B1 B2"), lists=LISTS, at=day(7)).cycles

    assert (first.ended_at, first.ended_how) == (day(4), CycleEnd.CUT_SHORT)


def test_a_cycle_is_not_cut_short_while_a_round_of_it_is_scheduled() -> None:
    first, _ = recognise(told("A1 A2 B1@3.5 B2@4 +A3@4.5"), lists=LISTS, at=day(4.2)).cycles

    assert first.ended_at is None


def test_a_round_that_joined_by_order_counts_after_21_days() -> None:
    [cycle] = recognise(told("A1 A2 C3"), lists=LISTS, at=day(21)).cycles

    assert (cycle.ended_at, cycle.ended_how) == (day(4) + AN_HOUR, CycleEnd.COMPLETE)


def test_the_round_in_doubt_is_named_until_its_cycle_has_ended() -> None:
    open_, closed = (recognise(told("A1 A2 C3"), lists=LISTS, at=day(n)).cycles[0] for n in (5, 21))

    assert (open_.in_doubt, closed.in_doubt) == ((3,), ())


def test_two_lists_make_a_cycle_as_well() -> None:
    found = recognise(told("A1 A2 B2 B1"), lists=(1, 2), at=day(8))

    assert short(found) == "1.1 1.2 2.1 2.2"
    assert ends(found) == ["complete", "complete"]


# --- Names and tests ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A new year", "A NEW  YEAR!"),
        ("January, list 1", "January – List 3"),
        ("January (round 1 of 3)", "January (round 3 of 3)"),
        ("Copy of January", "January"),
        ("Ｊanuary", "January"),
        ("Summer, version a", "Summer, version B"),
        ("Frühling, Teil 1", "Frühling, Teil 2"),
    ],
)
def test_names_that_mean_the_same(one: str, other: str) -> None:
    assert words_of(one) == words_of(other)


@pytest.mark.parametrize(
    ("one", "other"), [("Issue 12", "Issue 13"), ("March 2026", "March 2027"), ("January", "June")]
)
def test_names_that_do_not(one: str, other: str) -> None:
    assert words_of(one) != words_of(other)


def test_a_name_of_nothing_but_places_says_nothing() -> None:
    assert words_of("List 1") == ""


@pytest.mark.parametrize(
    ("subject", "title"),
    [
        ("[TEST] Spring", ""),
        ("Test: Spring", ""),
        ("Test", ""),
        ("test 2", ""),
        ("Spring (test)", ""),
        ("Spring", "Test spring"),
        ("Spring", "Spring test"),
        ("Spring", "Spring TEST 3"),
    ],
)
def test_what_is_named_a_test(subject: str, title: str) -> None:
    assert is_named_test(subject=subject, title=title)


@pytest.mark.parametrize(
    ("subject", "title"),
    [
        ("Test your knowledge", ""),
        ("The test of time", "The test of time"),
        ("Spring", "Spring, A/B test"),
        ("Spring", "Spring split test"),
        ("Greatest hits", "Greatest"),
        ("Latest", "Our latest"),
        ("", ""),
    ],
)
def test_what_is_not(subject: str, title: str) -> None:
    assert not is_named_test(subject=subject, title=title)


@pytest.mark.parametrize(
    ("recipients", "list_size", "kind"),
    [
        (10, 200, CampaignKind.TEST),
        (11, 1000, CampaignKind.ROUND),
        (10, 199, CampaignKind.ROUND),
        (0, 1000, CampaignKind.ROUND),
        (None, 1000, CampaignKind.ROUND),
        (3, None, CampaignKind.ROUND),
    ],
)
def test_a_handful_of_a_big_list_is_a_test(
    recipients: int | None, list_size: int | None, kind: CampaignKind
) -> None:
    found = recognise(
        [send(1, 1, 0, "Spring", recipients=recipients, list_size=list_size)], lists=LISTS, at=day(1)
    )

    assert found.labels[1].kind is kind


def test_versions_of_an_ab_test_are_parts_of_one_round_whatever_their_subjects_and_size() -> None:
    few = {"ab_test": 5, "recipients": 4, "list_size": 1000}
    sends = [send(1, 1, 0, "One", **few), send(2, 1, 0, "Two", **few), send(3, 1, 1, "Two", ab_test=5)]

    found = recognise([*sends, send(4, 2, 2, "Two")], lists=LISTS, at=day(3))

    assert short(found) == "1.1 part:1 part:1 1.2"


# --- What people say ---------------------------------------------------------------------------------


def said(sends: Iterable[Send], labels: Mapping[int, dict[str, Any]]) -> list[Send]:
    return [replace(each, **labels.get(each.key, {})) for each in sends]


@pytest.mark.parametrize("kind", [CampaignKind.ONE_OFF, CampaignKind.TEST, CampaignKind.REPEAT])
def test_what_a_person_set_aside_plays_no_part(kind: CampaignKind) -> None:
    found = recognise(said(told("A1 A2 A3"), {2: {"by_person": kind}}), lists=LISTS, at=day(9))

    assert found.labels[2] == Label(kind)
    assert found.cycles[0].rounds == (1, 3)


def test_a_test_by_name_is_a_round_when_a_person_says_so() -> None:
    sends = [*told("A1 A2"), send(3, 3, 4, "Test", by_person=CampaignKind.ROUND, goes_with=1)]

    found = recognise(sends, lists=LISTS, at=day(5))

    assert short(found) == "1.1 1.2 1.3"
    assert ends(found) == ["complete"]  # not in doubt: a person said so


def test_a_round_goes_with_what_a_person_named_also_after_21_days() -> None:
    late = {"by_person": CampaignKind.ROUND, "goes_with": 1}

    found = recognise(said(told("A1 A2 X3@30"), {3: late}), lists=LISTS, at=day(31))

    assert short(found) == "1.1 1.2 1.3"


def test_a_round_of_its_own_cycle_begins_one_though_its_name_was_there_before() -> None:
    own = {"by_person": CampaignKind.ROUND}

    found = recognise(said(told("A1 A2 A1 A3"), {3: own}), lists=LISTS, at=day(7))

    assert short(found) == "1.1 1.2 2.1 2.2"


def test_of_two_that_people_claim_for_one_list_the_first_is_the_round() -> None:
    claim = {"by_person": CampaignKind.ROUND, "goes_with": 1}

    found = recognise(said(told("A1 X2 Y2"), {2: claim, 3: claim}), lists=LISTS, at=day(7))

    assert short(found) == "1.1 1.2 repeat:2"


def test_what_a_person_calls_a_round_goes_before_what_the_rules_found() -> None:
    claim = {"by_person": CampaignKind.ROUND, "goes_with": 1}

    found = recognise(said(told("A1 A2 X2 A3"), {3: claim}), lists=LISTS, at=day(7))

    assert short(found) == "1.1 repeat:3 1.2 1.3"


def test_only_a_persons_round_goes_with_another_send() -> None:
    with pytest.raises(ImpossibleLabel, match="Send 1 goes with another"):
        send(1, 1, 0, goes_with=2)


# --- Which cycle is which ----------------------------------------------------------------------------


def kept(sends: Sequence[Send], so_far: Mapping[int, int], **given: Any) -> list[int | None]:
    return recognition.keep(recognise(sends, lists=LISTS, at=day(90)).cycles, so_far=so_far, **given)


def test_a_cycle_goes_on_as_the_one_that_most_of_its_rounds_had() -> None:
    sends = told("A1 A2 A3 B1 B2 B3")

    assert kept(sends, {1: 7, 2: 7, 3: 8, 4: 8, 5: 8}) == [7, 8]
    assert kept(sends, {}) == [None, None]
    assert kept(sends, {3: 8, 4: 8}) == [8, None]


def test_what_a_person_said_counts_before_the_many() -> None:
    assert kept(told("A1 A2 A3"), {1: 7, 2: 7, 3: 8}, firm={3}) == [8]


# --- What always holds -------------------------------------------------------------------------------

_NAMES = st.sampled_from(["", "Spring", "Seeds", "Summer", "Test: it"])
_KINDS = st.sampled_from([None, None, None, None, *CampaignKind])
_STATUS = st.sampled_from([*[RoundStatus.SENT] * 6, *RoundStatus])
_FEW = st.sampled_from([None, None, None, 7, 8])


@st.composite
def histories(draw: st.DrawFn, *, most: int = 14) -> list[Send]:
    """Anything at all, within three months; where a person called it a round, it may go with any other."""
    sends = []
    for key in range(1, draw(st.integers(1, most)) + 1):
        status, kind = draw(_STATUS), draw(_KINDS)
        goes_with = draw(st.integers(1, most)) if kind is CampaignKind.ROUND and draw(st.booleans()) else None
        sends.append(
            send(
                key,
                draw(st.integers(1, 4)),
                draw(st.integers(0, 180)) / 2,
                draw(_NAMES),
                status=status,
                has_begun=status in (RoundStatus.SENT, RoundStatus.SENDING) or draw(st.booleans()),
                segment=draw(_FEW),
                ab_test=draw(_FEW),
                recipients=draw(st.sampled_from([None, 5, 900])),
                list_size=1000,
                by_person=kind,
                goes_with=goes_with,
            )
        )
    return sends


NOWS = st.integers(-5, 120).map(day)


@given(sends=histories(), now=NOWS, seed=st.randoms(use_true_random=False))
def test_the_order_in_which_sends_come_to_be_known_does_not_matter(
    sends: list[Send], now: datetime, seed: Any
) -> None:
    shuffled = list(sends)
    seed.shuffle(shuffled)

    assert recognise(shuffled, lists=LISTS, at=now) == recognise(sends, lists=LISTS, at=now)


@given(sends=histories(), now=NOWS)
def test_every_send_has_one_label_and_a_list_one_round_a_cycle(sends: list[Send], now: datetime) -> None:
    found = recognise(sends, lists=LISTS, at=now)

    assert set(found.labels) == {each.key for each in sends}
    standing = [each for each in sends if each.status is not RoundStatus.CANCELLED]
    rounds = [
        (found.labels[each.key].cycle, each.list_id)
        for each in standing
        if found.labels[each.key].kind is CampaignKind.ROUND
    ]
    assert len(set(rounds)) == len(rounds)
    for label in found.labels.values():
        is_round = label.kind is CampaignKind.ROUND
        assert is_round == (label.round is not None)
        assert not is_round or label.cycle is not None
        assert (label.of is not None) <= (label.kind in (CampaignKind.PART, CampaignKind.REPEAT))
        assert label.of is None or found.labels[label.of].kind in (CampaignKind.ROUND, CampaignKind.ONE_OFF)


@given(sends=histories(), now=NOWS)
def test_cycles_come_in_order_and_end_after_they_began(sends: list[Send], now: datetime) -> None:
    found = recognise(sends, lists=LISTS, at=now)

    for number, cycle in enumerate(found.cycles):
        assert cycle.rounds
        assert {found.labels[key].cycle for key in cycle.rounds} == {number}
        assert (cycle.ended_at is None) == (cycle.ended_how is None)
        if cycle.ended_at is not None:
            assert cycle.began_at is not None
            assert cycle.began_at <= cycle.ended_at
        if cycle.began_at is not None and now >= cycle.began_at + LONGEST_CYCLE:
            assert cycle.ended_at is not None


@given(sends=histories(), later=histories(most=6), now=NOWS)
def test_a_persons_label_stands_whatever_comes_later(
    sends: list[Send], later: list[Send], now: datetime
) -> None:
    added = [replace(each, key=each.key + 100, by_person=None, goes_with=None) for each in later]

    found = recognise([*sends, *added], lists=LISTS, at=now)

    contested = {
        each.key
        for each in sends
        if each.by_person is CampaignKind.ROUND
        and each.status is not RoundStatus.CANCELLED
        and any(
            other.list_id == each.list_id and other.key != each.key and other.by_person is CampaignKind.ROUND
            for other in sends
        )
    }
    for each in sends:
        if each.by_person is not None and each.key not in contested:
            assert found.labels[each.key].kind is each.by_person


@given(sends=histories(), now=NOWS)
def test_looking_again_changes_no_cycle(sends: list[Send], now: datetime) -> None:
    found = recognise(sends, lists=LISTS, at=now).cycles
    so_far = {key: 100 + n for n, cycle in enumerate(found) for key in cycle.rounds}

    assert recognition.keep(found, so_far=so_far) == [100 + n for n in range(len(found))]


def test_twice_the_years_take_at_most_four_times_the_work() -> None:
    """Counted in calls of functions, which no busy machine changes: five years are about a million."""
    two_and_a_half, five = (work_of(weeks=weeks) for weeks in (130, 260))

    assert five < 4.2 * two_and_a_half
    assert five < 1_500_000


def work_of(*, weeks: int) -> int:
    sends = [
        send(12 * week + n, n, 7 * week + n, f"Issue {week // 2}") for week in range(weeks) for n in LISTS
    ]
    calls = count()
    sys.setprofile(lambda _frame, event, _argument: next(calls) if event == "call" else None)
    try:
        found = recognise(sends, lists=LISTS, at=day(7 * weeks))
    finally:
        sys.setprofile(None)
    assert len(found.cycles) == weeks
    return next(calls)
