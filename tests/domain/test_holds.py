"""What looks like an outage, what is gone, and how a hold ends."""

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from math import comb, exp, inf, isclose, log

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from listmanagement.domain.bounces import BounceClass
from listmanagement.domain.holds import (
    DomainRecord,
    DomainTry,
    HoldEnd,
    contact_hold_end,
    domain_hold_end,
    expected_rate,
    is_gone,
    log_binomial_tail,
    outages,
)
from listmanagement.domain.suppression import POLICY
from tests.domain.judging import NOW, ago, blocked, contact, delivered, hard, soft

TODAY = NOW.date()


def domain(name="example.com", *, failed, attempted, past_failed=0, past_attempted=0, **facts):
    return DomainRecord(name, failed, attempted, past_failed, past_attempted, **facts)


def held(*records, account_rate=0.01):
    return [outage.domain for outage in outages(records, account_rate=account_rate)]


def tried(contact_id, days_ago, *, reached=False, not_tried=False):
    return DomainTry(contact_id, TODAY - timedelta(days=days_ago), delivered=reached, blocked=not_tried)


# The binomial tail ---------------------------------------------------------------------------------


@given(n=st.integers(0, 40), k=st.integers(-1, 42), p=st.fractions(0, 1, max_denominator=200))
def test_the_tail_is_the_exact_sum(n, k, p):
    exact = sum((comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(max(k, 0), n + 1)), Fraction(0))

    found = log_binomial_tail(k, n, float(p))

    if exact == 0:
        assert found == -inf
    else:
        assert isclose(found, log(exact), rel_tol=1e-9, abs_tol=1e-9)


@given(
    n=st.integers(1, 1_000_000),
    p=st.floats(1e-6, 1 - 1e-6),
    share=st.floats(0, 1),
)
def test_the_tail_of_a_huge_domain_is_a_probability_that_falls_with_k(n, p, share):
    k = round(share * n)

    here, further = log_binomial_tail(k, n, p), log_binomial_tail(k + 1, n, p)

    assert further <= here <= 0
    assert (here == -inf) == (k > n)


def test_a_tail_too_small_for_a_float_still_has_its_logarithm():
    assert isclose(log_binomial_tail(1000, 1000, 0.01), 1000 * log(0.01), rel_tol=1e-12)
    assert exp(log_binomial_tail(1000, 1000, 0.01)) == 0.0


def test_the_tail_of_a_million_agrees_with_its_normal_approximation():
    # One standard deviation above the mean of a million fair coins: 15.9 %.
    assert isclose(exp(log_binomial_tail(500_500, 1_000_000, 0.5)), 0.15866, rel_tol=5e-3)


@pytest.mark.parametrize(("n", "p"), [(-1, 0.5), (3, -0.1), (3, 1.1)])
def test_no_tail_is_given_for_what_is_no_distribution(n, p):
    with pytest.raises(ValueError, match="no binomial distribution"):
        log_binomial_tail(1, n, p)


# Outages -------------------------------------------------------------------------------------------


def test_a_company_that_was_always_reached_and_now_fails_whole_is_an_outage():
    [outage] = outages([domain(failed=120, attempted=120, past_attempted=120)], account_rate=0.0)

    assert (outage.domain, outage.failed, outage.attempted) == ("example.com", 120, 120)
    assert outage.expected_rate == pytest.approx(0.2 / 140)
    assert outage.probability < 1e-300
    assert outage.why == (
        "120 of 120 contacts tried failed where its own past lets expect 0.1%, which chance does not explain."
    )


def test_four_failures_are_never_an_outage_and_five_can_be():
    assert held(domain(failed=4, attempted=4, past_attempted=1000)) == []
    assert held(domain(failed=5, attempted=5, past_attempted=1000)) == ["example.com"]


def test_a_domain_that_always_failed_so_much_has_no_outage():
    assert held(domain(failed=30, attempted=100, past_failed=300, past_attempted=1000)) == []
    assert held(domain(failed=30, attempted=100, past_failed=30, past_attempted=1000)) == ["example.com"]


def test_a_large_provider_with_its_usual_failures_has_no_outage():
    assert held(domain(failed=12, attempted=1000, past_failed=100, past_attempted=10_000)) == []


def test_a_domain_without_a_past_is_expected_to_fail_as_the_account_does_but_at_least_one_percent():
    new = domain(failed=5, attempted=50)

    assert expected_rate(new, account_rate=0.08) == pytest.approx(0.08)
    assert expected_rate(new, account_rate=0.0) == pytest.approx(0.01)


def test_the_more_domains_are_tried_the_less_chance_is_allowed():
    suspect = domain(failed=5, attempted=50)  # P(X ≥ 5; 50, 1 %) is 1.6e-4
    others = [domain(f"d{n}.example", failed=0, attempted=1) for n in range(9)]
    untried = [domain(f"u{n}.example", failed=0, attempted=0) for n in range(9)]

    assert held(suspect) == ["example.com"]
    assert held(suspect, *untried) == ["example.com"]
    assert held(suspect, *others) == []


def test_a_domain_that_is_already_gone_is_not_held_anew():
    silent = tuple(tried(n, days) for n in range(6) for days in (26, 1))

    assert held(domain(failed=6, attempted=6, recent=silent)) == []
    assert held(domain(failed=6, attempted=6, closed_by_dns=True)) == []
    assert held(domain(failed=6, attempted=6, recent=silent[:2])) == ["example.com"]


def test_outages_come_largest_first_in_whatever_order_they_are_found():
    records = [
        domain(name, failed=n, attempted=n) for name, n in (("b.test", 9), ("a.test", 9), ("c.test", 30))
    ]

    assert held(*records) == held(*reversed(records)) == ["c.test", "a.test", "b.test"]


@given(
    attempted=st.integers(5, 3000),
    share=st.floats(0, 1),
    past_attempted=st.integers(0, 5000),
    past_share=st.floats(0, 1),
    account_rate=st.floats(0, 1),
    domains=st.integers(0, 300),
)
def test_one_more_failure_never_ends_an_outage(
    attempted, share, past_attempted, past_share, account_rate, domains
):
    failed = round(share * (attempted - 1))
    record = domain(
        failed=failed,
        attempted=attempted,
        past_failed=round(past_share * past_attempted),
        past_attempted=past_attempted,
    )
    others = [domain(f"d{n}.example", failed=0, attempted=1) for n in range(domains)]

    before = held(record, *others, account_rate=account_rate)
    after = held(replace(record, failed=failed + 1), *others, account_rate=account_rate)

    assert set(before) <= set(after)


@pytest.mark.parametrize("facts", [{"failed": 3, "attempted": 2}, {"failed": -1, "attempted": 2}])
def test_more_failed_than_attempted_is_refused(facts):
    with pytest.raises(ValueError, match="count it again"):
        domain(**facts)
    with pytest.raises(ValueError, match="count it again"):
        domain(failed=0, attempted=0, past_failed=facts["failed"], past_attempted=facts["attempted"])


@pytest.mark.parametrize("rate", [-0.1, 1.5])
def test_an_account_rate_that_is_no_fraction_is_refused(rate):
    with pytest.raises(ValueError, match="between 0 and 1"):
        outages([], account_rate=rate)


# Gone ----------------------------------------------------------------------------------------------


def gone(*tries):
    return is_gone(tries, closed_by_dns=False)


def test_three_contacts_tried_on_two_days_without_a_delivery_make_a_domain_gone():
    assert gone(tried(1, 26), tried(2, 26), tried(3, 1))


def test_two_contacts_or_one_day_or_blocked_ones_do_not():
    assert not gone(tried(1, 26), tried(2, 26), tried(1, 1), tried(2, 1))
    assert not gone(tried(1, 1), tried(2, 1), tried(3, 1), tried(4, 1))
    assert not gone(tried(1, 26), tried(2, 26), tried(3, 1, not_tried=True))
    assert not gone()


def test_a_delivery_makes_what_came_before_it_and_on_its_day_mean_nothing():
    silent = [tried(1, 26), tried(2, 26), tried(3, 10)]

    assert not gone(*silent, tried(4, 10, reached=True))
    assert not gone(*silent, tried(4, 1, reached=True, not_tried=True))
    assert not gone(*(tried(n, 10) for n in (1, 2, 3)), tried(4, 10, reached=True), tried(1, 1))
    assert gone(*silent, tried(4, 27, reached=True))


def test_a_domain_closed_by_dns_is_gone_without_a_try():
    assert is_gone((), closed_by_dns=True)


tries = st.lists(
    st.builds(
        DomainTry,
        contact_id=st.integers(1, 5),
        day=st.dates(TODAY - timedelta(days=9), TODAY),
        delivered=st.booleans(),
        blocked=st.booleans(),
    ),
    max_size=12,
)


@given(tries=tries, days=st.integers(0, 9), order=st.randoms())
def test_one_more_delivery_never_makes_a_domain_gone_nor_does_order(tries, days, order):
    shuffled = list(tries)
    order.shuffle(shuffled)

    assert gone(*shuffled) == gone(*tries)
    assert gone(*tries, tried(9, days, reached=True)) <= gone(*tries)
    assert not gone(*tries, tried(9, 0, reached=True))


# Domain holds --------------------------------------------------------------------------------------


def ends(*tries, since=20, closed=False):
    return domain_hold_end(tries, held_since=ago(since), now=NOW, closed_by_dns=closed)


def test_two_colleagues_delivered_to_end_the_outage():
    assert ends(tried(1, 5, reached=True), tried(2, 5, reached=True), tried(3, 5)) is HoldEnd.OUTAGE_OVER


def test_the_only_one_tried_and_delivered_to_ends_the_outage():
    assert ends(tried(1, 5, reached=True), tried(2, 5, not_tried=True)) is HoldEnd.OUTAGE_OVER
    assert ends(tried(1, 5, reached=True), tried(2, 5)) is None


def test_what_happened_before_the_hold_or_on_its_first_day_does_not_end_it():
    assert ends(tried(1, 20, reached=True), tried(2, 21, reached=True)) is None


def test_a_domain_closed_by_dns_ends_the_hold_unless_colleagues_are_reached():
    assert ends(closed=True) is HoldEnd.CLOSED
    assert ends(tried(1, 5, reached=True), tried(2, 4, reached=True), closed=True) is HoldEnd.OUTAGE_OVER


def test_three_tried_on_two_days_since_without_a_delivery_end_the_hold():
    assert ends(tried(1, 5), tried(2, 5), tried(3, 4)) is HoldEnd.NONE_DELIVERED
    assert ends(tried(1, 21), tried(2, 5), tried(3, 4)) is None


def test_after_four_months_without_an_answer_a_person_decides():
    assert ends(since=120) is HoldEnd.STALE
    assert ends(since=119.9) is None
    assert ends(tried(1, 5), since=120) is HoldEnd.STALE


@given(tries=tries, since=st.integers(0, 130), closed=st.booleans(), order=st.randoms())
def test_how_a_domain_hold_ends_depends_on_no_order_and_is_an_end_of_domains(tries, since, closed, order):
    shuffled = list(tries)
    order.shuffle(shuffled)

    end = ends(*tries, since=since, closed=closed)

    assert end == ends(*shuffled, since=since, closed=closed)
    assert end in {None, HoldEnd.OUTAGE_OVER, HoldEnd.CLOSED, HoldEnd.NONE_DELIVERED, HoldEnd.STALE}
    assert end is not None or (since < POLICY.domain_hold_stale.days and not closed)


@given(tries=tries, since=st.integers(0, 119))
def test_blocked_contacts_neither_end_nor_prolong_a_hold(tries, since):
    silent = [replace(t, delivered=False, blocked=True) for t in tries]
    assume(silent)

    assert ends(*silent, since=since) is None


# Contact holds -------------------------------------------------------------------------------------


def contact_end(*events, since=19, held=frozenset(), gone=frozenset(), **facts):
    record = contact(*events, held_since=ago(since), **facts)
    return contact_hold_end(record, held_domains=held, gone_domains=gone, now=NOW)


def test_a_delivery_ends_a_contact_hold():
    assert contact_end(hard(1, ago=20), delivered(2, ago=1)) is HoldEnd.DELIVERED
    assert contact_end(hard(1, ago=20), delivered(2, ago=19.5), since=19) is HoldEnd.DELIVERED
    assert contact_end(delivered(2, ago=21), hard(1, ago=20)) is None


def test_a_second_hard_bounce_in_a_later_cycle_ends_a_contact_hold():
    assert contact_end(hard(1, ago=20), hard(2, ago=1)) is HoldEnd.SECOND_HARD
    assert contact_end(hard(1, ago=20, cycle=5), hard(2, ago=1, cycle=5)) is None
    assert contact_end(hard(1, ago=20), soft(2, ago=1)) is None
    assert contact_end(hard(1, ago=20), hard(2, BounceClass.SENDER_SIDE, ago=1)) is None


def test_a_second_hard_bounce_still_ends_it_when_a_preblock_followed():
    assert contact_end(hard(1, ago=60), hard(2, ago=30), blocked(3, ago=1), since=59) is HoldEnd.SECOND_HARD


def test_a_domain_on_hold_keeps_a_contact_hold_open():
    assert contact_end(hard(1, ago=20), hard(2, ago=1), held=frozenset({"example.com"})) is None


def test_two_cycles_and_sixty_days_of_refusals_end_a_contact_hold():
    refusals = blocked(2, ago=40), blocked(3, ago=1)

    assert contact_end(hard(1, ago=61), *refusals, since=60) is HoldEnd.REFUSED_LONG
    assert contact_end(hard(1, ago=60), *refusals, since=59) is None
    assert contact_end(hard(1, ago=61), refusals[0], since=60) is None


def test_a_mistyped_or_refused_address_is_not_how_a_contact_hold_ends():
    for bounce in (BounceClass.MISTYPED, BounceClass.REFUSED, BounceClass.COMPLAINT):
        assert contact_end(hard(1, ago=20), blocked(2, bounce, ago=1)) is None


def test_a_contact_that_is_not_on_hold_has_no_hold_to_end():
    with pytest.raises(ValueError, match="contact 7 is not on hold"):
        contact_hold_end(contact(hard(1)), held_domains=frozenset(), gone_domains=frozenset(), now=NOW)
