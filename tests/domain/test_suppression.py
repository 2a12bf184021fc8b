"""The policy, row by row, and what must hold for every contact whatever its past."""

import random
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listmanagement.domain.bounces import BounceClass, History, Outcome, classify
from listmanagement.domain.suppression import (
    POLICY,
    RULES,
    SUPPRESSES,
    Region,
    Rule,
    SuppressionPolicy,
    failure_in,
    history,
    rule,
    strikes,
)
from tests.domain.judging import JUDGED, NOW, ago, blocked, contact, delivered, hard, message, soft

HERE = frozenset({"example.com"})
NOWHERE = frozenset()


def judge(record, *, campaign=JUDGED, held=NOWHERE, gone=NOWHERE, now=NOW, policy=POLICY):
    return rule(record, campaign_id=campaign, held_domains=held, gone_domains=gone, now=now, policy=policy)


def region(*events, held=NOWHERE, gone=NOWHERE, now=NOW, **facts):
    return judge(
        contact(*events, **facts), campaign=events[-1].campaign_id, held=held, gone=gone, now=now
    ).region


# Rows of the table ---------------------------------------------------------------------------------


def test_user_unknown_for_good_is_must_at_once_with_its_message_as_evidence():
    ruling = judge(contact(delivered(1, ago=27), hard(2, campaign=JUDGED)))

    assert ruling.region is Region.MUST
    assert (ruling.strikes, ruling.counted, ruling.evidence_message_id) == (1, (2,), 2)
    assert ruling.history is History.DELIVERED_BEFORE
    assert not ruling.review


def test_user_unknown_softly_is_open_after_three_cycles_and_not_before():
    gone = BounceClass.RECIPIENT_GONE_SOFT
    three = [soft(1, gone, ago=15), soft(2, gone, ago=8), soft(3, gone, ago=1)]

    assert region(*three) is Region.MAY
    assert region(*three[1:]) is Region.NEVER


def test_three_soft_failures_outside_cycles_are_not_three_cycles():
    gone = BounceClass.RECIPIENT_GONE_SOFT

    record = contact(*(soft(n, gone, ago=30 - 7 * n, cycle=None) for n in (1, 2, 3)))

    assert len(strikes(record, gone)) == 3
    assert judge(record, campaign=3).region is Region.NEVER


def test_a_recipient_turned_away_is_open_at_one():
    assert region(hard(1, BounceClass.RECIPIENT_REJECTED)) is Region.MAY


def test_an_inactive_mailbox_is_open_at_two_strikes():
    assert region(soft(1, BounceClass.INACTIVE, ago=8), soft(2, BounceClass.INACTIVE)) is Region.MAY
    assert region(hard(2, BounceClass.INACTIVE)) is Region.NEVER


def test_an_inactive_mailbox_is_open_when_refused_again_two_weeks_after_a_hard_failure():
    def twice_in_one_cycle(first, days):
        return region(
            first(1, BounceClass.INACTIVE, ago=days + 1, cycle=7),
            soft(2, BounceClass.INACTIVE, ago=1, cycle=7),
        )

    assert twice_in_one_cycle(hard, 14) is Region.MAY
    assert twice_in_one_cycle(hard, 13) is Region.NEVER
    assert twice_in_one_cycle(soft, 14) is Region.NEVER


def test_an_inactive_mailbox_preblocked_two_weeks_after_a_hard_failure_is_open():
    assert region(hard(1, BounceClass.INACTIVE, ago=15), blocked(2)) is Region.MAY
    assert region(hard(1, BounceClass.INACTIVE, ago=14), blocked(2)) is Region.NEVER


@pytest.mark.parametrize("fail", [soft, hard])
def test_a_full_mailbox_is_open_at_three_over_thirty_days(fail):
    def full(*days):
        return region(*(fail(n, BounceClass.MAILBOX_FULL, ago=d) for n, d in enumerate(days)))

    assert full(31, 15, 1) is Region.MAY
    assert full(30, 15, 1) is Region.NEVER
    assert full(40, 1) is Region.NEVER


@pytest.mark.parametrize("fail", [soft, hard])
def test_a_domain_without_mail_is_no_evidence_until_the_domain_itself_is_gone(fail):
    many = [fail(n, BounceClass.DOMAIN_GONE, ago=70 - 10 * n) for n in range(6)]
    ruling = judge(contact(*many), campaign=5, gone=HERE)

    assert region(*many) is Region.NEVER
    assert (ruling.region, ruling.review) == (Region.MAY, True)


def test_whether_a_domain_is_closed_is_asked_at_one_where_a_campaign_reached_nobody_there_any_more():
    closed = hard(2, BounceClass.DOMAIN_GONE, campaign=JUDGED, silent_domain=True)

    ruling = judge(contact(delivered(1, ago=15), closed))

    assert (ruling.region, ruling.review) == (Region.MAY, True)
    assert region(closed) is Region.NEVER
    assert region(delivered(1, ago=15), closed, held=HERE) is Region.HOLD
    assert region(delivered(1, ago=15), replace(closed, silent_domain=False)) is Region.NEVER
    assert region(delivered(1, ago=15), closed, protected=True) is Region.HOLD


@pytest.mark.parametrize("bounce", [BounceClass.SENDER_SIDE, BounceClass.GREYLISTED])
def test_what_is_about_our_sending_or_greylisting_is_never_a_reason(bounce):
    many = [hard(n, bounce, ago=100 - 10 * n) for n in range(9)]

    assert region(*many) is Region.NEVER
    assert region(*many, held=HERE, gone=HERE) is Region.NEVER


def test_temporary_failures_are_open_at_three_cycles_and_four_weeks_without_a_delivery():
    three = [soft(1, ago=20), soft(2, ago=10), soft(3, ago=1)]

    assert region(delivered(9, ago=28), *three) is Region.MAY
    assert region(delivered(9, ago=27), *three) is Region.NEVER
    assert region(delivered(9, ago=27), *three, now=NOW + timedelta(days=1)) is Region.MAY
    assert region(*three) is Region.MAY
    assert region(delivered(9, ago=60), *three[1:]) is Region.NEVER


def test_a_second_copy_is_never_a_reason():
    assert region(blocked(1, BounceClass.DUPLICATE)) is Region.NEVER


def test_a_mistyped_domain_is_open_at_one_event_although_it_is_never_tried():
    ruling = judge(contact(blocked(1, BounceClass.MISTYPED, campaign=JUDGED)))

    assert (ruling.region, ruling.counted) == (Region.MAY, (1,))


def test_refused_for_the_account_is_must_at_one():
    assert region(delivered(1, ago=30), blocked(2, BounceClass.REFUSED)) is Region.MUST


@pytest.mark.parametrize(
    "complaint",
    [
        message(1, ago=1, outcome=Outcome.COMPLAINED, campaign=JUDGED),
        blocked(1, BounceClass.COMPLAINT, campaign=JUDGED),
    ],
)
def test_a_complaint_is_consent_whatever_else_is_true(complaint):
    record = contact(delivered(9, ago=0.5, click=0.4), complaint, protected=True, held_since=ago(20))

    assert judge(record, held=HERE, gone=HERE).region is Region.CONSENT


@pytest.mark.parametrize("bounce", [BounceClass.CONFLICTING, BounceClass.UNKNOWN])
def test_conflicting_and_unknown_failures_are_open_at_three_and_always_reviewed(bounce):
    ruling = judge(contact(*(hard(n, bounce, ago=22 - 7 * n) for n in (1, 2, 3))), campaign=3)

    assert (ruling.region, ruling.review) == (Region.MAY, True)
    assert region(hard(2, bounce, ago=8), hard(3, bounce)) is Region.NEVER


# Preblocked ----------------------------------------------------------------------------------------


def test_a_preblock_two_weeks_after_user_unknown_is_open_on_the_evidence_of_that_bounce():
    ruling = judge(contact(hard(1, ago=15), blocked(2, campaign=JUDGED)))

    assert ruling.region is Region.MAY
    assert (ruling.bounce, ruling.evidence_message_id, ruling.counted) == (
        BounceClass.RECIPIENT_GONE,
        1,
        (1,),
    )


@pytest.mark.parametrize(
    "before",
    [
        hard(1, ago=14),
        hard(1, ago=60, domain_held=True),
        hard(1, ago=60, spent=True),
        hard(1, BounceClass.CONFLICTING, ago=60),
        hard(1, BounceClass.MAILBOX_FULL, ago=60),
        soft(1, BounceClass.RECIPIENT_GONE_SOFT, ago=60),
        soft(1, BounceClass.TEMPORARY, ago=60),
        hard(1, BounceClass.SENDER_SIDE, ago=60),
        message(1, ago=2, outcome=Outcome.OPEN),
    ],
)
def test_a_preblock_after_anything_else_that_was_tried_is_kept(before):
    assert region(before, blocked(2, ago=41), blocked(3, ago=21), blocked(4)) is Region.NEVER


def test_a_preblock_after_a_delivery_is_open_only_after_three_cycles_and_sixty_days():
    before = delivered(9, ago=100)

    assert region(before, blocked(1)) is Region.NEVER
    assert region(before, blocked(1, ago=61), blocked(2, ago=30), blocked(3)) is Region.MAY
    assert region(before, blocked(1, ago=60), blocked(2, ago=30), blocked(3)) is Region.NEVER
    assert region(before, blocked(1, ago=61), blocked(2)) is Region.NEVER
    assert region(delivered(9, ago=40), *[blocked(n, ago=n) for n in (61, 50, 30, 1)]) is Region.NEVER


def test_who_was_never_attempted_by_us_is_open_after_two_cycles():
    assert region(blocked(1)) is Region.NEVER
    assert region(blocked(1, ago=20), blocked(2)) is Region.MAY
    assert region(blocked(1, ago=20, cycle=5), blocked(2, cycle=5)) is Region.NEVER


def test_preblocks_spent_by_a_lift_do_not_count():
    spent = blocked(1, ago=61, spent=True)

    assert region(spent, blocked(2)) is Region.NEVER
    assert (
        region(delivered(9, ago=100), spent, blocked(2, ago=60), blocked(3, ago=30), blocked(4))
        is Region.NEVER
    )


def test_a_preblock_is_neither_strike_nor_delivery():
    record = contact(hard(1, BounceClass.UNKNOWN, ago=30), blocked(2, ago=20), blocked(3, ago=10))

    assert strikes(record, BounceClass.NOT_ATTEMPTED) == ()
    assert [e.message_id for e in strikes(record, BounceClass.UNKNOWN)] == [1]


def test_a_preblock_at_a_domain_that_is_gone_follows_what_failed_there():
    held_before = judge(contact(hard(1, ago=20, domain_held=True), blocked(2, campaign=JUDGED)), gone=HERE)

    assert (held_before.region, held_before.review) == (Region.MAY, True)
    assert (held_before.evidence_message_id, held_before.counted) == (1, (1,))
    assert region(soft(1, BounceClass.DOMAIN_GONE, ago=20), blocked(2), gone=HERE) is Region.MAY
    assert region(delivered(1, ago=20), blocked(2), gone=HERE) is Region.NEVER


# Strikes -------------------------------------------------------------------------------------------


def numbers(record, bounce=BounceClass.TEMPORARY):
    return [event.message_id for event in strikes(record, bounce)]


def test_a_cycle_gives_one_strike():
    assert numbers(contact(soft(1, ago=30, cycle=4), soft(2, ago=20, cycle=4), soft(3, ago=10, cycle=5))) == [
        1,
        3,
    ]


def test_seven_days_give_one_strike():
    assert numbers(contact(soft(1, ago=8), soft(2, ago=1.01), soft(3, ago=1))) == [1, 3]


def test_a_late_soft_failure_is_spaced_by_when_it_was_sent():
    assert numbers(contact(soft(1, ago=10, ends=3), soft(2, ago=3))) == [1, 2]


def test_a_message_gives_one_strike():
    assert numbers(contact(soft(1, ago=30, cycle=None), soft(1, ago=10, cycle=None))) == [1]


def test_a_delivery_takes_strikes_back():
    assert numbers(contact(soft(1, ago=30), delivered(2, ago=20), soft(3, ago=10))) == [3]
    assert numbers(contact(soft(1, ago=20), delivered(2, ago=20))) == []


def test_spent_evidence_and_failures_during_a_hold_are_no_strikes():
    assert numbers(contact(soft(1, ago=30, spent=True), soft(2, ago=20, domain_held=True), soft(3))) == [3]


def test_strikes_count_for_their_own_class_only():
    record = contact(soft(1, ago=30), hard(2, BounceClass.UNKNOWN, ago=20), soft(3, ago=10))

    assert numbers(record) == [1, 3]
    assert numbers(record, BounceClass.UNKNOWN) == [2]


@pytest.mark.parametrize("when", [0.5, 1])
def test_a_delivery_since_outweighs_even_a_domain_that_is_gone_or_on_hold(when):
    record = contact(hard(1, BounceClass.DOMAIN_GONE, campaign=JUDGED), delivered(2, ago=when))

    assert judge(record, gone=HERE).region is Region.NEVER
    assert judge(record, held=HERE).region is Region.NEVER


# Domains on hold -----------------------------------------------------------------------------------


@pytest.mark.parametrize("bounce", [rule.bounce for rule in RULES if rule.strikes])
def test_what_bounced_at_a_domain_on_hold_waits(bounce):
    expected = Region.CONSENT if bounce is BounceClass.COMPLAINT else Region.HOLD

    assert region(hard(1, bounce), held=HERE) is expected


def test_a_hold_outranks_a_domain_that_also_looks_gone():
    assert region(hard(1, BounceClass.DOMAIN_GONE), held=HERE, gone=HERE) is Region.HOLD


def test_a_preblock_at_a_domain_on_hold_waits_if_what_was_tried_failed_or_it_would_be_open():
    assert region(hard(1, ago=5, domain_held=True), blocked(2), held=HERE) is Region.HOLD
    assert region(blocked(1, ago=20), blocked(2), held=HERE) is Region.HOLD
    assert region(delivered(1, ago=20), blocked(2), held=HERE) is Region.NEVER
    assert region(blocked(2, BounceClass.REFUSED), held=HERE) is Region.HOLD


def test_when_the_outage_is_over_what_failed_in_it_is_forgiven():
    assert region(hard(1, domain_held=True)) is Region.NEVER


def test_when_the_held_domain_turns_out_gone_its_contacts_are_suppressed_by_review():
    ruling = judge(contact(hard(1, domain_held=True, campaign=JUDGED)), gone=HERE)

    assert (ruling.region, ruling.review, ruling.counted) == (Region.MAY, True, (1,))


# Lately alive, protected, waiting ------------------------------------------------------------------


def test_a_hard_bounce_of_somebody_lately_alive_is_held_by_review():
    ruling = judge(contact(delivered(1, ago=90, click=90), hard(2, campaign=JUDGED)))

    assert (ruling.region, ruling.review, ruling.history) == (Region.HOLD, True, History.LATELY_ALIVE)


def test_a_click_more_than_ninety_days_before_the_bounce_no_longer_counts():
    assert region(delivered(1, ago=95, click=91.5), hard(2)) is Region.MUST


def test_a_click_after_the_bounce_counts_as_lately_alive():
    assert region(delivered(1, ago=20, click=0.2), hard(2, ago=3)) is Region.HOLD


def test_a_protected_contact_is_held_and_never_suppressed_without_a_look():
    assert region(hard(1), protected=True) is Region.HOLD
    softly = judge(
        contact(
            soft(1, BounceClass.INACTIVE, ago=20),
            soft(2, BounceClass.INACTIVE, campaign=JUDGED),
            protected=True,
        )
    )
    refused = judge(contact(blocked(1, BounceClass.REFUSED, campaign=JUDGED), protected=True))

    assert (softly.region, softly.review) == (Region.MAY, True)
    assert (refused.region, refused.review) == (Region.MUST, True)


def test_a_held_contact_judged_again_by_the_same_bounce_still_waits():
    record = contact(delivered(1, ago=30, click=30), hard(2, ago=3, campaign=JUDGED), held_since=ago(2))

    assert judge(record).region is Region.HOLD


def test_a_second_hard_bounce_in_a_later_cycle_ends_the_patience():
    ruling = judge(contact(hard(1, ago=20), hard(2, campaign=JUDGED), held_since=ago(19)))

    assert (ruling.region, ruling.counted) == (Region.MUST, (1, 2))


def test_the_bounce_that_opened_a_hold_is_not_its_own_second_even_after_an_older_one():
    record = contact(hard(1, ago=40), hard(2, ago=3, campaign=JUDGED), held_since=ago(2))

    assert judge(record).region is Region.HOLD


def test_the_hold_rests_on_the_hard_bounce_before_it_whatever_failed_in_between():
    between = hard(2, BounceClass.UNKNOWN, ago=10)
    record = contact(
        hard(1, ago=20), between, hard(3, BounceClass.INACTIVE, campaign=JUDGED), held_since=ago(19)
    )

    assert judge(record).counted == (1, 3)
    assert judge(record).region is Region.MUST


def test_a_protected_contact_is_looked_at_even_after_its_second_hard_bounce():
    ruling = judge(contact(hard(1, ago=20), hard(2, campaign=JUDGED), held_since=ago(19), protected=True))

    assert (ruling.region, ruling.review) == (Region.MUST, True)


def test_a_preblock_after_the_second_hard_bounce_waits_no_longer():
    events = hard(1, ago=60), hard(2, ago=30), blocked(3, campaign=JUDGED)
    ruling = judge(contact(*events, held_since=ago(59)))

    assert (ruling.region, ruling.review, ruling.evidence_message_id) == (Region.MAY, True, 2)


def test_a_second_hard_bounce_in_the_same_cycle_does_not():
    assert region(hard(1, ago=20, cycle=5), hard(2, cycle=5), held_since=ago(19)) is Region.HOLD


def test_a_second_hard_bounce_after_a_delivery_is_a_first_one():
    assert region(hard(1, ago=20), delivered(2, ago=10), hard(3), held_since=ago(19)) is Region.HOLD


def test_two_hard_bounces_neither_of_which_says_user_unknown_stay_a_choice():
    inactive = [hard(1, BounceClass.INACTIVE, ago=20), hard(2, BounceClass.INACTIVE, campaign=JUDGED)]
    ruling = judge(contact(*inactive, held_since=ago(19)))

    assert (ruling.region, ruling.review) == (Region.MAY, True)


def test_a_domain_failure_is_no_second_hard_bounce():
    assert region(hard(1, ago=20), hard(2, BounceClass.DOMAIN_GONE), held_since=ago(19)) is Region.NEVER
    assert region(hard(1, ago=20), hard(2, domain_held=True), held_since=ago(19)) is Region.NEVER


def test_a_second_hard_bounce_at_a_domain_on_hold_waits_with_its_domain():
    assert region(hard(1, ago=20), hard(2), held_since=ago(19), held=HERE) is Region.HOLD


def test_a_held_contact_refused_by_mailjet_for_two_cycles_and_sixty_days_is_open_by_review():
    events = hard(1, ago=70), blocked(2, ago=40), blocked(3, campaign=JUDGED)
    ruling = judge(contact(*events, held_since=ago(60)))

    assert (ruling.region, ruling.review, ruling.evidence_message_id) == (Region.MAY, True, 1)
    assert region(*events, held_since=ago(59)) is Region.HOLD
    assert region(events[0], events[2], held_since=ago(60)) is Region.HOLD


def test_a_soft_failure_of_a_held_contact_leaves_it_on_hold():
    inactive = BounceClass.INACTIVE

    assert region(soft(1, inactive, ago=20), soft(2, inactive), held_since=ago(19)) is Region.HOLD


# Which failure is judged ---------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [Outcome.DELIVERED, Outcome.OPEN])
def test_where_nothing_failed_there_is_no_ruling(outcome):
    record = contact(hard(1, ago=20), message(2, ago=1, outcome=outcome, campaign=JUDGED))

    assert judge(record) is None
    assert judge(contact(), campaign=JUDGED) is None


def test_of_several_failures_in_a_campaign_the_one_that_was_tried_counts():
    bounced, copy = soft(1, ago=2, campaign=JUDGED), blocked(2, BounceClass.DUPLICATE, campaign=JUDGED)
    complaint = message(3, ago=3, outcome=Outcome.COMPLAINED, campaign=JUDGED)

    assert failure_in(contact(bounced, copy), campaign_id=JUDGED) is bounced
    assert failure_in(contact(bounced, copy, complaint), campaign_id=JUDGED) is complaint


def test_what_failed_later_is_left_to_its_own_campaign():
    first, later = hard(1, ago=20, campaign=JUDGED), hard(2, campaign=124)
    record = contact(first, later, held_since=ago(19))

    assert judge(record).region is Region.HOLD
    assert judge(record, campaign=124).region is Region.MUST


# The policy as a value -----------------------------------------------------------------------------


def test_a_threshold_of_the_policy_changes_the_ruling():
    stricter = replace(POLICY, lately_alive=timedelta(days=10))
    record = contact(delivered(1, ago=30, click=30), hard(2, campaign=JUDGED))

    assert judge(record).region is Region.HOLD
    assert judge(record, policy=stricter).region is Region.MUST


def test_a_policy_that_forgets_a_class_or_rules_twice_is_refused():
    with pytest.raises(ValueError, match="exactly one rule"):
        SuppressionPolicy(rules=RULES[1:])
    with pytest.raises(ValueError, match="exactly one rule"):
        SuppressionPolicy(rules=(*RULES, RULES[0]))


@pytest.mark.parametrize(
    "bounce",
    [BounceClass.SENDER_SIDE, BounceClass.GREYLISTED, BounceClass.NOT_ATTEMPTED, BounceClass.DUPLICATE],
)
def test_a_policy_that_blames_contacts_for_what_is_not_theirs_is_refused(bounce):
    blaming = tuple(r for r in RULES if r.bounce is not bounce)

    with pytest.raises(ValueError, match=f"must not let {bounce} strike"):
        SuppressionPolicy(rules=(*blaming, Rule(bounce, "theirs", Region.MAY, strikes=1)))


# Where a campaign reached nobody at a domain ---------------------------------------------------------


@pytest.mark.parametrize("bounce", [BounceClass.RECIPIENT_GONE, BounceClass.RECIPIENT_REJECTED])
def test_one_hard_failure_is_not_enough_where_the_campaign_reached_nobody_at_the_domain(bounce):
    alone = hard(2, bounce, campaign=JUDGED, silent_domain=True)

    ruling = judge(contact(delivered(1, ago=15), alone))

    assert ruling.region is Region.NEVER
    assert "so it may be the server" in ruling.why
    assert region(delivered(1, ago=15), replace(alone, silent_domain=False)) in SUPPRESSES


def test_who_was_never_delivered_to_is_gone_at_one_whoever_else_was_reached():
    assert region(hard(1, silent_domain=True)) is Region.MUST


def test_the_next_hard_failure_decides_and_must_be_of_another_cycle():
    def twice(first, cycle):
        return region(
            delivered(1, ago=60), hard(2, ago=first, cycle=5, silent_domain=True),
            hard(3, ago=1, cycle=cycle, silent_domain=True),
        )  # fmt: skip

    assert twice(15, 6) is Region.MUST
    assert twice(15, 5) is Region.NEVER
    assert twice(7, 6) is Region.NEVER


def test_what_failed_in_an_outage_that_was_found_is_no_first_of_two():
    in_outage = hard(2, ago=15, silent_domain=True, domain_held=True)

    assert region(delivered(1, ago=30), in_outage, hard(3, silent_domain=True)) is Region.NEVER


def test_a_preblock_after_it_waits_a_hundred_and_twenty_days_for_a_person():
    def refused_for(days):
        first = hard(2, ago=days + 1, silent_domain=True)
        return judge(contact(delivered(1, ago=200), first, blocked(3, ago=1, campaign=JUDGED)))

    assert refused_for(119).region is Region.NEVER
    assert (refused_for(120).region, refused_for(120).review) == (Region.MAY, True)
    assert refused_for(120).evidence_message_id == 2


def test_who_was_lately_alive_is_held_there_as_everywhere():
    assert region(delivered(1, ago=15, click=14), hard(2, silent_domain=True)) is Region.HOLD


# What holds for every contact ----------------------------------------------------------------------

TRIED = st.sampled_from([soft, hard])
CLASSES = st.sampled_from(list(BounceClass))
SEVERITY = (Region.NEVER, Region.HOLD, Region.MAY, Region.MUST)


@st.composite
def events(draw, number, *, classes=CLASSES):
    """Any message of the past 200 days, over few cycles so that they meet."""
    facts = {"ago": draw(st.integers(1, 200)), "cycle": draw(st.none() | st.integers(1, 6))}
    kind = draw(st.sampled_from([delivered, soft, hard, hard, blocked, "complained", "open"]))
    if kind is delivered:
        return delivered(number, **facts, click=draw(st.none() | st.integers(0, 200)))
    if kind in ("complained", "open"):
        outcome = Outcome.COMPLAINED if kind == "complained" else Outcome.OPEN
        return message(number, **facts, outcome=outcome)
    facts |= {"spent": draw(st.booleans()), "domain_held": draw(st.booleans())}
    if kind is hard:
        facts["silent_domain"] = draw(st.booleans())
    return kind(number, draw(classes), **facts)


@st.composite
def records(draw):
    """A contact whose last message is of the judged campaign; the rest is any past or later."""
    count = draw(st.integers(0, 6))
    past = [draw(events(number)) for number in range(1, count + 1)]
    judged = replace(draw(events(JUDGED)), campaign_id=JUDGED)
    held_since = draw(st.none() | st.integers(1, 120).map(ago))
    return contact(*past, judged, protected=draw(st.booleans()), held_since=held_since)


domains = st.sampled_from([NOWHERE, HERE])


@given(record=records(), held=domains, gone=domains)
def test_a_delivery_after_the_failure_leaves_neither_must_nor_may(record, held, gone):
    after = delivered(999, ago=0)

    ruling = judge(replace(record, events=(*record.events, after)), held=held, gone=gone)

    assert ruling is None or ruling.region not in SUPPRESSES


@given(record=records(), gone=domains)
def test_a_domain_on_hold_is_never_suppressed(record, gone):
    ruling = judge(record, held=HERE, gone=gone)

    assert ruling is None or ruling.region not in SUPPRESSES


@given(record=records(), held=domains, gone=domains, order=st.randoms())
def test_the_order_of_what_is_known_changes_nothing(record, held, gone, order: random.Random):
    shuffled = list(record.events)
    order.shuffle(shuffled)

    again = judge(replace(record, events=tuple(shuffled)), held=held, gone=gone)

    assert again == judge(record, held=held, gone=gone)


@given(record=records(), held=domains, gone=domains)
def test_spent_evidence_never_counts(record, held, gone):
    known = {e.message_id: e for e in record.events}

    ruling = judge(record, held=held, gone=gone)

    if ruling is not None:
        assert not any(known[number].spent for number in ruling.counted)
        if ruling.region in {*SUPPRESSES, Region.CONSENT}:
            assert not known[ruling.evidence_message_id].spent


@given(record=records(), held=domains, gone=domains)
def test_every_suppression_names_evidence_that_the_policy_accepts(record, held, gone):
    ruling = judge(record, held=held, gone=gone)

    if ruling is None or ruling.region not in SUPPRESSES:
        return
    evidence = next(e for e in record.events if e.message_id == ruling.evidence_message_id)
    row = POLICY.row(ruling.bounce)
    assert evidence.failed_as is ruling.bounce
    assert row.strikes or (ruling.bounce, ruling.region) == (BounceClass.NOT_ATTEMPTED, Region.MAY)
    assert ruling.strikes == len(ruling.counted)
    assert ruling.counted or ruling.bounce is BounceClass.NOT_ATTEMPTED


@given(record=records(), held=domains, gone=domains)
def test_must_is_only_what_the_policy_calls_so(record, held, gone):
    ruling = judge(record, held=held, gone=gone)

    if ruling is not None and ruling.region is Region.MUST:
        second_of_two = record.held_since is not None and ruling.strikes == 2
        assert ruling.bounce in (BounceClass.RECIPIENT_GONE, BounceClass.REFUSED) or second_of_two
        assert ruling.bounce is not BounceClass.CONFLICTING


@given(record=records())
def test_what_says_nothing_about_the_recipient_never_strikes(record):
    for bounce in (
        BounceClass.SENDER_SIDE,
        BounceClass.GREYLISTED,
        BounceClass.NOT_ATTEMPTED,
        BounceClass.DUPLICATE,
    ):
        assert strikes(record, bounce) == ()


@given(record=records(), bounce=CLASSES)
def test_strikes_are_apart_unspent_and_after_the_last_delivery(record, bounce):
    counted = strikes(record, bounce)

    cycles = [e.cycle_id for e in counted if e.cycle_id is not None]
    last_delivery = max((e.at for e in record.events if e.is_delivery), default=None)
    assert len(cycles) == len(set(cycles))
    assert all(b.sent_at - a.sent_at >= timedelta(days=7) for a, b in pairwise(counted))
    assert all(not e.spent and (last_delivery is None or e.at > last_delivery) for e in counted)


@given(record=records(), held=domains, gone=domains, days=st.integers(201, 400))
def test_a_longer_history_of_deliveries_never_raises_the_region(record, held, gone, days):
    older = delivered(999, ago=days)

    before = judge(record, held=held, gone=gone)
    after = judge(replace(record, events=(older, *record.events)), held=held, gone=gone)

    assert not_raised(before, after) or may_have_closed(after)


@given(record=records(), held=domains, gone=domains, days=st.integers(1, 200))
def test_a_delivery_at_any_time_never_raises_the_region_of_what_was_tried(record, held, gone, days):
    failure = failure_in(record, campaign_id=JUDGED)
    if failure is None or not failure.was_tried:
        return

    before = judge(record, held=held, gone=gone)
    after = judge(replace(record, events=(delivered(999, ago=days), *record.events)), held=held, gone=gone)

    assert not_raised(before, after) or may_have_closed(after)


def may_have_closed(ruling):
    """The one thing that a delivery makes more likely: that a domain which took mail takes none any more.

    A person is asked; who is shielded waits instead.
    """
    asked = ruling.region in (Region.MAY, Region.HOLD) and ruling.review
    return ruling.bounce is BounceClass.DOMAIN_GONE and asked


@given(record=records(), held=domains, gone=domains)
def test_reaching_nobody_else_there_raises_nothing_but_the_question_whether_the_domain_is_closed(
    record, held, gone
):
    reached = replace(record, events=tuple(replace(e, silent_domain=False) for e in record.events))

    ruling = judge(record, held=held, gone=gone)

    if ruling is not None and not may_have_closed(ruling):
        assert not_raised(judge(reached, held=held, gone=gone), ruling)


def not_raised(before, after):
    if before is None or before.region is Region.CONSENT:
        return (before and before.region) == (after and after.region)
    return SEVERITY.index(after.region) <= SEVERITY.index(before.region)


@given(record=records(), held=domains, gone=domains)
def test_being_protected_never_raises_the_region_nor_waives_review(record, held, gone):
    plain = judge(replace(record, protected=False), held=held, gone=gone)
    shielded = judge(replace(record, protected=True), held=held, gone=gone)

    assert not_raised(plain, shielded)
    if shielded is not None and shielded.region in SUPPRESSES:
        assert shielded.review


@given(record=records(), held=domains, gone=domains)
def test_why_is_one_sentence_without_address_or_domain(record, held, gone):
    ruling = judge(record, held=held, gone=gone)

    if ruling is not None:
        assert "@" not in ruling.why
        assert record.domain not in ruling.why
        assert ruling.why.endswith(".")
        assert ruling.why.count(".") == 1
        assert ruling.why[0].isupper()


@pytest.mark.parametrize("state", [None, *range(1, 22), 22, 0, -1])
@pytest.mark.parametrize("permanent", [True, False])
@pytest.mark.parametrize("attempted", [True, False])
def test_every_state_of_mailjet_has_a_ruling(state, permanent, attempted):
    outcome = Outcome.BOUNCED if attempted else Outcome.NOT_ATTEMPTED
    bounce = classify(state, permanent=permanent, attempted=attempted)
    failed = message(1, ago=1, outcome=outcome, bounce=bounce, permanent=permanent, campaign=JUDGED)

    for past in ([], [delivered(2, ago=30)], [hard(2, ago=30)]):
        ruling = judge(contact(*past, failed))
        assert ruling.region in Region
        if bounce is BounceClass.COMPLAINT:
            assert ruling.region is Region.CONSENT
        if not attempted and bounce is not BounceClass.REFUSED:
            assert ruling.region is not Region.MUST


def test_history_prefers_the_most_careful_reading():
    failed = hard(1)

    assert history(contact(failed), failed) is History.NEVER_DELIVERED
    assert history(contact(delivered(2, ago=9), failed), failed) is History.DELIVERED_BEFORE
    assert history(contact(delivered(2, ago=9, click=9), failed), failed) is History.LATELY_ALIVE
    assert history(contact(delivered(2, ago=9, click=9), failed, protected=True), failed) is History.PROTECTED
