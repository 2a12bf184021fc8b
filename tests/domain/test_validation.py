"""What is found before a send, how grave it is, and when something is done about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listmanagement.domain import validation
from listmanagement.domain.validation import (
    Agent,
    BeforeDue,
    Check,
    Cleared,
    Facts,
    Finding,
    HeldHost,
    HeldTreatment,
    Instant,
    OtherSend,
    Outcomes,
    Severity,
    Verdict,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SENDS_AT = NOON + timedelta(hours=20)
WELL = Facts(
    sends_at=SENDS_AT,
    list_name="List 1",
    list_role="campaign",
    size=1000,
    expected_size=1000,
    members_here=1010,
    members_at_mailjet=1010,
    lists_read_at=NOON,
    campaigns_read_at=NOON,
    has_model=True,
    agents=(Agent("optimization", is_valid=True, by_rules=False),),
)


def found(at: datetime = NOON, **facts: Any) -> tuple[Finding, ...]:
    return validation.find(replace(WELL, **facts), at=at)


def one(at: datetime = NOON, **facts: Any) -> tuple[Check, Severity]:
    [only] = found(at=at, **facts)
    return only.check, only.severity


def test_a_send_with_nothing_against_it_passes() -> None:
    assert found() == ()
    assert validation.verdict(found()) is Verdict.PASS


@pytest.mark.parametrize(
    ("facts", "check", "severity"),
    [
        ({"list_role": "master"}, Check.WRONG_LIST, "blocking"),
        ({"list_role": "suppression"}, Check.WRONG_LIST, "blocking"),
        ({"is_deleted": True}, Check.LIST_DELETED, "blocking"),
        ({"size": 0, "expected_size": None}, Check.NOBODY, "blocking"),
        ({"size": 951}, Check.SIZE, None),
        ({"size": 949}, Check.SIZE, "warning"),
        ({"size": 1051}, Check.SIZE, "warning"),
        ({"size": 749}, Check.SIZE, "blocking"),
        ({"size": 1251}, Check.SIZE, "blocking"),
        ({"members_at_mailjet": 1011}, Check.SIZE, "warning"),
        ({"deviation": 5.0}, Check.BALANCE, None),
        ({"deviation": 5.1}, Check.BALANCE, "warning"),
        ({"is_repeat": True}, Check.SENT_BEFORE, "blocking"),
        ({"is_repeat": True, "said_by_person": True}, Check.SENT_BEFORE, "warning"),
        ({"overtakes": ["List 2"]}, Check.SENT_BEFORE, "blocking"),
        ({"earlier_rounds": [Outcomes(7, "List 2", 80, 1000)]}, Check.EARLIER_ROUND, None),
        ({"earlier_rounds": [Outcomes(7, "List 2", 81, 1000)]}, Check.EARLIER_ROUND, "blocking"),
        ({"earlier_rounds": [Outcomes(7, "List 2", 0, 0)]}, Check.EARLIER_ROUND, None),
        ({"last_send": Outcomes(6, "List 1", 51, 1000)}, Check.BOUNCE_RATE, "warning"),
        ({"suppressed": [4]}, Check.SUPPRESSED, "blocking"),
        ({"said_no": [4]}, Check.SAID_NO, "blocking"),
        ({"consent_under_way": [9]}, Check.SAID_NO, "blocking"),
        ({"several_lists": [4, 5]}, Check.SEVERAL_LISTS, "blocking"),
        ({"unverified": [9]}, Check.UNVERIFIED, "warning"),
        ({"deferred": 3}, Check.DEFERRED, "note"),
        ({"lists_read_at": NOON - timedelta(hours=2)}, Check.FRESHNESS, "warning"),
        ({"lists_read_at": NOON - timedelta(hours=25)}, Check.FRESHNESS, "blocking"),
        ({"lists_read_at": None}, Check.FRESHNESS, "blocking"),
        ({"campaigns_read_at": None}, Check.FRESHNESS, "warning"),
        ({"not_asked": "GET contact: 502"}, Check.NOT_ASKED, "warning"),
        ({"undecided": [4]}, Check.UNDECIDED, "warning"),
        ({"has_model": False}, Check.AGENTS, "note"),
        ({"agents": [Agent("reporting", is_valid=False, by_rules=False)]}, Check.AGENTS, "warning"),
        ({"agents": [Agent("reporting", is_valid=True, by_rules=True)]}, Check.AGENTS, "warning"),
        ({"spent": 0.89}, Check.AGENTS, None),
        ({"spent": 0.9}, Check.AGENTS, "warning"),
        ({"segment": 3}, Check.SEGMENT, "warning"),
        ({"segment": 3, "said_by_person": True}, Check.SEGMENT, "note"),
        ({"due_rounds": [BeforeDue("List 3", NOON)]}, Check.NOT_SCHEDULED, "warning"),
    ],
    ids=str,
)
def test_each_check_finds_what_it_is_for(facts: dict[str, Any], check: Check, severity: str | None) -> None:
    if severity is None:
        assert found(**facts) == ()
    else:
        assert one(**facts) == (check, Severity(severity))


@pytest.mark.parametrize("hours", [-5, 0, 5])
def test_two_lists_at_once_are_warned_of_whichever_goes_first(hours: int) -> None:
    other = OtherSend(8, "List 2", SENDS_AT + timedelta(hours=hours), is_same_list=False)

    assert one(others=[other]) == (Check.AT_ONCE, Severity.WARNING)
    assert found(others=[replace(other, at=SENDS_AT + timedelta(hours=6))]) == ()


def test_a_change_not_seen_to_be_done_blocks_from_the_freeze_on() -> None:
    begins = SENDS_AT - timedelta(hours=2)
    fresh = {"lists_read_at": begins, "campaigns_read_at": begins, "unverified": [9]}

    assert one(at=begins - timedelta(seconds=1), **fresh) == (Check.UNVERIFIED, Severity.WARNING)
    assert one(at=begins, **fresh) == (Check.UNVERIFIED, Severity.BLOCKING)


def test_the_gravest_is_told_first_and_one_is_enough_to_block() -> None:
    findings = found(deferred=3, deviation=9.0, suppressed=[4])

    assert [each.severity.value for each in findings] == ["blocking", "warning", "note"]
    assert validation.verdict(findings) is Verdict.BLOCK
    assert validation.verdict(findings[1:]) is Verdict.WARN
    assert validation.verdict(findings[2:]) is Verdict.PASS


def test_what_a_person_cleared_warns_only_until_it_is_about_more() -> None:
    known = {Check.SUPPRESSED: [Cleared(2, frozenset({4, 5}))]}

    assert validation.verdict(found(suppressed=[4], cleared=known)) is Verdict.WARN
    assert validation.verdict(found(suppressed=[4, 5], cleared=known)) is Verdict.WARN
    assert validation.verdict(found(suppressed=[4, 5, 6], cleared=known)) is Verdict.BLOCK
    assert validation.verdict(found(suppressed=[4], said_no=[5], cleared=known)) is Verdict.BLOCK


def test_what_a_person_cleared_of_some_contacts_or_batches_covers_no_others() -> None:
    one, batch = Cleared(1, frozenset({4})), Cleared(1)

    assert validation.verdict(found(said_no=[5], cleared={Check.SAID_NO: [one]})) is Verdict.BLOCK
    assert validation.verdict(found(said_no=[5], cleared={Check.SAID_NO: [batch]})) is Verdict.BLOCK
    assert validation.verdict(found(said_no=[4], cleared={Check.SAID_NO: [batch, one]})) is Verdict.WARN


def test_clearing_one_batch_does_not_clear_another() -> None:
    known = {Check.UNVERIFIED: [Cleared(1, subjects=frozenset({"batch 5"}))]}
    an_hour_before = WELL.sends_at - timedelta(hours=1)

    def verdict(*batches: int) -> Verdict:
        facts = replace(WELL, unverified=batches, lists_read_at=an_hour_before, cleared=known)
        return validation.verdict(validation.find(facts, at=an_hour_before))

    assert verdict(5) is Verdict.WARN
    assert verdict(9) is Verdict.BLOCK
    assert verdict(5, 9) is Verdict.BLOCK


def test_clearing_a_second_message_does_not_clear_a_new_cycle_that_overtakes() -> None:
    known = {Check.SENT_BEFORE: [Cleared(0, subjects=frozenset({"again"}))]}

    assert validation.verdict(found(is_repeat=True, cleared=known)) is Verdict.WARN
    assert validation.verdict(found(overtakes=["List 2"], cleared=known)) is Verdict.BLOCK


HELD = {"held": [HeldHost(1, (4, 5, 6)), HeldHost(2, (7,))], "choose_before": SENDS_AT - timedelta(hours=3)}


@pytest.mark.parametrize(
    ("treatment", "hours_before", "severity", "words"),
    [
        (None, 20, "warning", "Choose before"),
        (None, 2, "warning", "too late"),
        (HeldTreatment.ALL, 20, "note", "Nothing."),
        (HeldTreatment.FIVE, 20, "note", "Nothing."),
        (HeldTreatment.NONE, 2, "warning", "Unschedule the draft"),
    ],
)
def test_contacts_of_held_domains_are_counted_and_a_person_chooses(
    treatment: HeldTreatment | None, hours_before: int, severity: str, words: str
) -> None:
    at = SENDS_AT - timedelta(hours=hours_before)

    [only] = found(at=at, treatment=treatment, lists_read_at=at, campaigns_read_at=at, **HELD)

    assert (only.check, only.severity, only.number) == (Check.HELD, Severity(severity), 4)
    assert "4 contacts of 2 held domains" in only.words
    assert only.what_to_do.startswith(words) or words in only.what_to_do


def test_who_was_taken_off_for_the_send_is_told_and_nothing_is_to_do() -> None:
    [only] = found(skipped=12, **HELD)

    assert only.severity is Severity.NOTE
    assert "12 contacts of held domains were taken off" in only.words


# --- When ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "done", "due"),
    [
        (timedelta(hours=25), [], None),
        (timedelta(hours=24), [], Instant.DAY_BEFORE),
        (timedelta(hours=3), [Instant.DAY_BEFORE], None),
        (timedelta(hours=3), [], Instant.DAY_BEFORE),
        (timedelta(hours=2), [Instant.DAY_BEFORE], Instant.TWO_HOURS_BEFORE),
        (timedelta(hours=1), [], Instant.TWO_HOURS_BEFORE),
        (timedelta(minutes=30), [Instant.TWO_HOURS_BEFORE], Instant.HALF_AN_HOUR_BEFORE),
        (timedelta(minutes=1), [Instant.HALF_AN_HOUR_BEFORE], None),
        (timedelta(0), [], None),
    ],
)
def test_a_send_is_looked_at_once_at_each_of_its_instants(
    before: timedelta, done: list[Instant], due: Instant | None
) -> None:
    assert validation.due_instant(SENDS_AT, done=done, at=SENDS_AT - before) is due


@given(st.lists(st.integers(min_value=0, max_value=30 * 60), max_size=40))
def test_however_often_is_asked_each_instant_is_due_once_and_in_order(minutes: list[int]) -> None:
    done: list[Instant] = []
    for before in sorted(minutes, reverse=True):
        instant = validation.due_instant(SENDS_AT, done=done, at=SENDS_AT - timedelta(minutes=before))
        if instant is not None:
            done.append(instant)

    assert done == [each for each in validation.BEFORE if each in done]
    assert len(done) == len(set(done))
    for instant, before in validation.BEFORE.items():
        narrower = [each for each in validation.BEFORE.values() if each < before]
        here = [m for m in minutes if max(narrower, default=timedelta(0)) < timedelta(minutes=m) <= before]
        assert (instant in done) == bool(here)


def test_a_draft_is_left_alone_in_the_last_quarter_of_an_hour() -> None:
    quarter = timedelta(minutes=15)

    assert validation.may_unschedule(SENDS_AT, at=SENDS_AT - quarter)
    assert not validation.may_unschedule(SENDS_AT, at=SENDS_AT - quarter + timedelta(seconds=1))


def test_only_what_evenkeel_puts_right_itself_is_waited_for() -> None:
    assert validation.heals_alone([Check.SAID_NO, Check.UNVERIFIED])
    assert not validation.heals_alone([Check.SAID_NO, Check.SUPPRESSED])
    assert not validation.heals_alone([])


def seen(minutes: int, *contacts: int, check: Check = Check.SAID_NO) -> validation.Look:
    """A look so many minutes after noon that found these contacts."""
    about = frozenset((check.value, contact) for contact in contacts)
    return validation.Look(SENDS_AT, NOON + timedelta(minutes=minutes), frozenset({check}), about)


@pytest.mark.parametrize(
    ("looks", "minutes"),
    [
        ([seen(0, 4)], 10),
        ([seen(8, 4), seen(0, 4)], 10),
        ([seen(10, 5), seen(0, 4)], 20),
        ([seen(10, 4, 5), seen(5, 5, 6), seen(0, 6)], 15),
        ([seen(10, 4), seen(5, 5), seen(0, 4)], 20),
        ([seen(3, 4, check=Check.SUPPRESSED), seen(0, 4)], 3),
    ],
    ids=["one look", "looked again", "others", "any of them", "gone between", "nobody puts it right"],
)
def test_what_heals_alone_is_waited_for_from_the_first_look_that_found_it(
    looks: list[validation.Look], minutes: int
) -> None:
    assert validation.heals_until(looks) == NOON + timedelta(minutes=minutes)


def test_nothing_is_waited_for_beyond_the_last_moment_for_an_unscheduling() -> None:
    late = seen(20 * 60 - 22, 4)  # 22 minutes before the send

    assert validation.heals_until([late]) == SENDS_AT - timedelta(minutes=20)
