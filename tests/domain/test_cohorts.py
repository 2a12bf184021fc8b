"""Rulings counted together, and the first real campaign judged from end to end."""

from collections import Counter, defaultdict
from datetime import timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listmanagement.domain.bounces import BounceClass, ContactRecord, Event, History, Outcome, classify
from listmanagement.domain.cohorts import NAMED_DOMAINS, bucket, cohorts
from listmanagement.domain.holds import DomainRecord, DomainTry, is_gone, outages
from listmanagement.domain.suppression import Region, Ruling, rule
from tests.domain.judging import NOW, ago


def token(domain):
    return sha256(domain.encode()).hexdigest()[:12]


def group(rulings, *, held=frozenset(), limit=40):
    return cohorts(rulings, held_domains=held, token=token, limit=limit)


def ruling(contact_id, domain="example.com", **facts):
    plain = {
        "bounce": BounceClass.RECIPIENT_GONE,
        "region": Region.MUST,
        "strikes": 1,
        "history": History.DELIVERED_BEFORE,
        "evidence_message_id": contact_id,
        "review": False,
        "why": "The server says the address does not exist.",
        "counted": (contact_id,),
    }
    return Ruling(contact_id=contact_id, domain=domain, **(plain | facts))


# Grouping ------------------------------------------------------------------------------------------


def test_contacts_alike_are_one_cohort_with_a_readable_key():
    [cohort] = group([ruling(2, "b.test"), ruling(1, "a.test")])

    assert cohort.key == "must/recipient_gone/1/delivered_before"
    assert cohort.contact_ids == (1, 2)
    assert (cohort.bounce, cohort.strikes_bucket) == (BounceClass.RECIPIENT_GONE, "1")
    assert (cohort.history, cohort.region) == (History.DELIVERED_BEFORE, Region.MUST)
    assert (cohort.domain, cohort.review, cohort.merged) == (None, False, False)
    assert cohort.why == "The server says the address does not exist."


@pytest.mark.parametrize(
    "difference",
    [
        {"bounce": BounceClass.INACTIVE},
        {"strikes": 2},
        {"history": History.LATELY_ALIVE},
        {"region": Region.MAY},
        {"review": True},
    ],
)
def test_whatever_tells_two_contacts_apart_tells_their_cohorts_apart(difference):
    first, second = group([ruling(1, "a.test"), ruling(2, "b.test", **difference)])

    assert first.key != second.key
    assert len(first.contact_ids) == len(second.contact_ids) == 1


def test_strikes_are_told_apart_up_to_three():
    assert [bucket(n) for n in (0, 1, 2, 3, 9)] == ["0", "1", "2", "3+", "3+"]


def test_a_domain_on_hold_is_named_however_small_by_token_in_the_key():
    [cohort] = group([ruling(1, region=Region.HOLD)], held=frozenset({"example.com"}))

    assert cohort.domain == "example.com"
    assert cohort.key == f"hold/recipient_gone/1/delivered_before/at:{token('example.com')}"


def test_the_ten_largest_domains_are_named_and_the_others_are_not():
    rulings = [ruling(100 * size + n, f"d{size:02}.test") for size in range(1, 14) for n in range(size)]

    named = {cohort.domain for cohort in group(rulings)} - {None}

    assert named == {f"d{size:02}.test" for size in range(4, 14)}
    assert len(named) == NAMED_DOMAINS


def test_a_single_failure_does_not_make_a_domain_large():
    assert [c.domain for c in group([ruling(1, "a.test"), ruling(2, "b.test"), ruling(3, "b.test")])] == [
        "b.test",
        None,
    ]


def test_held_domains_beyond_the_limit_become_other_held_domains():
    sizes = {f"d{n:02}.test": 1 if n < 50 else 5 for n in range(60)}
    rulings = [
        ruling(10 * int(domain[1:3]) + n, domain, region=Region.HOLD)
        for domain, size in sizes.items()
        for n in range(size)
    ]

    found = group([*rulings, ruling(9999, "other.test")], held=frozenset(sizes))

    [others] = [cohort for cohort in found if cohort.merged]
    assert len(found) == 40
    assert others.key == "hold/recipient_gone/other_held_domains"
    assert others.domain is None
    assert len(others.contact_ids) == 60 - 38
    assert others.why == "The server says the address does not exist."
    assert {c.domain for c in found if c.region is Region.HOLD} >= {f"d{n}.test" for n in range(50, 60)}


def test_a_merged_cohort_tells_the_most_careful_history_and_that_strikes_differ():
    histories = [History.NEVER_DELIVERED, History.LATELY_ALIVE, History.DELIVERED_BEFORE]
    rulings = [ruling(n, strikes=n, history=h, why=f"Reason {n}.") for n, h in enumerate(histories, 1)]

    [cohort] = group(rulings, limit=1)

    assert (cohort.history, cohort.strikes_bucket, cohort.merged) == (History.LATELY_ALIVE, "mixed", True)
    assert cohort.key == "must/recipient_gone/others"
    assert "differ" in cohort.why


def test_merging_begins_with_the_smallest_and_stops_at_the_limit():
    rulings = [ruling(10 * size + n, strikes=size) for size in (1, 2, 3) for n in range(size)]

    merged, largest = sorted(group(rulings, limit=2), key=lambda cohort: not cohort.merged)

    assert len(merged.contact_ids) == 3
    assert (largest.strikes_bucket, largest.merged) == ("3+", False)


def test_classes_are_merged_last_and_where_nothing_is_to_decide_first():
    kept = [ruling(n, region=Region.NEVER, bounce=b) for n, b in enumerate(BounceClass)]
    open_ones = [ruling(100 + n, region=Region.MAY, bounce=b) for n, b in enumerate(BounceClass)]

    found = group([*kept, *open_ones], limit=20)

    assert [c.key for c in found if c.merged] == ["never/several_classes/others"]
    assert sum(c.region is Region.MAY for c in found) == len(BounceClass)


def test_regions_are_never_merged_even_if_the_limit_asks_for_it():
    with pytest.raises(ValueError, match="2 regions cannot be kept apart in 1"):
        group([ruling(1), ruling(2, region=Region.MAY)], limit=1)


def test_a_contact_ruled_on_twice_is_refused():
    with pytest.raises(ValueError, match=r"more than once: \[1\]"):
        group([ruling(1), ruling(1, "other.test")])


def test_a_token_that_does_not_tell_domains_apart_is_refused():
    rulings = [ruling(n, domain) for n, domain in enumerate(["a.test", "a.test", "b.test", "b.test"])]

    with pytest.raises(ValueError, match="share one token"):
        cohorts(rulings, held_domains=frozenset(), token=lambda domain: "same")


# What holds for all rulings ------------------------------------------------------------------------

DOMAINS = [f"d{n}.example" for n in range(60)]


@st.composite
def many_rulings(draw):
    count = draw(st.integers(0, 150))
    pick = draw(st.randoms(use_true_random=False))
    return [
        ruling(
            n,
            pick.choice(DOMAINS),
            bounce=pick.choice(list(BounceClass)),
            region=pick.choice(list(Region)),
            strikes=pick.randrange(6),
            history=pick.choice(list(History)),
            review=pick.random() < 0.5,
            why=f"Reason {pick.randrange(3)}.",
        )
        for n in range(count)
    ]


held_sets = st.frozensets(st.sampled_from(DOMAINS))


@given(rulings=many_rulings(), held=held_sets, limit=st.integers(10, 60))
def test_cohorts_are_a_partition_within_the_limit_that_mixes_no_region_and_no_review(rulings, held, limit):
    found = group(rulings, held=held, limit=limit)

    assert len(found) <= limit
    assert sorted(n for cohort in found for n in cohort.contact_ids) == [r.contact_id for r in rulings]
    for cohort in found:
        members = [rulings[n] for n in cohort.contact_ids]
        assert {(r.region, r.review) for r in members} == {(cohort.region, cohort.review)}
        if not cohort.merged:
            assert {(r.bounce, bucket(r.strikes), r.history) for r in members} == {
                (cohort.bounce, cohort.strikes_bucket, cohort.history)
            }


@given(rulings=many_rulings(), held=held_sets, order=st.randoms())
def test_cohorts_do_not_depend_on_the_order_of_rulings(rulings, held, order):
    shuffled = list(rulings)
    order.shuffle(shuffled)

    assert group(shuffled, held=held) == group(rulings, held=held)


@given(rulings=many_rulings(), held=held_sets)
def test_keys_and_reasons_show_no_domain_and_no_address_and_keys_differ(rulings, held):
    found = group(rulings, held=held)

    assert len({cohort.key for cohort in found}) == len(found)
    for cohort in found:
        assert "example" not in cohort.key + cohort.why
        assert "@" not in cohort.key + cohort.why


@given(rulings=many_rulings(), held=held_sets)
def test_a_domain_is_named_only_when_held_or_among_the_ten_largest(rulings, held):
    named = {c.domain for c in group(rulings, held=held) if c.domain is not None}

    failures = Counter(r.domain for r in rulings if r.domain not in held)
    assert len(named - held) <= NAMED_DOMAINS
    for domain in named - held:
        assert sum(count > failures[domain] for count in failures.values()) < NAMED_DOMAINS


# The first real campaign ---------------------------------------------------------------------------

BEFORE, NOW_SENT = 118, 123
SENT_AT = {BEFORE: ago(27), NOW_SENT: ago(1.25)}


def outcome(campaign, contact_id, state=None, *, ended=Outcome.DELIVERED, permanent=False, clicked=False):
    sent_at = SENT_AT[campaign]
    failed = ended in (Outcome.BOUNCED, Outcome.NOT_ATTEMPTED)
    tried = ended is not Outcome.NOT_ATTEMPTED
    return Event(
        message_id=campaign * 10_000 + contact_id,
        campaign_id=campaign,
        cycle_id=campaign,
        sent_at=sent_at,
        at=sent_at + timedelta(minutes=5),
        outcome=ended,
        bounce=classify(state, permanent=permanent, attempted=tried) if failed else None,
        permanent=permanent,
        human_click_at=sent_at + timedelta(hours=2) if clicked else None,
    )


HARD = {"ended": Outcome.BOUNCED, "permanent": True}
SOFT = {"ended": Outcome.BOUNCED}
BLOCKED = {"ended": Outcome.NOT_ATTEMPTED}

# Each: how many, at which domain the n-th, what became of 118, what became of 123.
WENT = {
    "delivered": (731, lambda n: f"d{n % 40}.example", {}, {}),
    "company": (120, lambda n: "company.example", {}, {"state": 1, **HARD}),
    "left": (104, lambda n: f"d{n // 4}.example", {}, {"state": 1, **HARD}),
    "no mail host": (6, lambda n: "closed.example", {"state": 5, **SOFT}, {"state": 5, **HARD}),
    "no host now": (4, lambda n: "unplugged.example", {}, {"state": 5, **HARD}),
    "clicked": (6, lambda n: f"alive{n}.example", {"clicked": True}, {"state": 1, **HARD}),
    "quota": (2, lambda n: "d39.example", {}, {"state": 3, **SOFT}),
    "policy": (15, lambda n: "d1.example", {}, {"state": 9, **BLOCKED}),
    "preblocked": (12, lambda n: f"d{n}.example", {}, {"state": 14, **BLOCKED}),
}


@pytest.fixture(scope="module")
def campaign():
    """All contacts of the campaign, by what became of them."""
    contact_ids = iter(range(1, 1001))
    return {
        name: [
            ContactRecord(
                contact_id := next(contact_ids),
                domain_of(n),
                (outcome(BEFORE, contact_id, **first), outcome(NOW_SENT, contact_id, **second)),
            )
            for n in range(count)
        ]
        for name, (count, domain_of, first, second) in WENT.items()
    }


def domain_records(records):
    """What a workflow would count for each domain: blocked is never attempted."""
    by_domain = defaultdict(list)
    for record in records:
        by_domain[record.domain] += [(record.contact_id, event) for event in record.events]

    def count(events, campaign_id, *outcomes):
        return sum(e.campaign_id == campaign_id and e.outcome in outcomes for _, e in events)

    return [
        DomainRecord(
            domain,
            failed=count(events, NOW_SENT, Outcome.BOUNCED),
            attempted=count(events, NOW_SENT, Outcome.BOUNCED, Outcome.DELIVERED),
            past_failed=count(events, BEFORE, Outcome.BOUNCED),
            past_attempted=count(events, BEFORE, Outcome.BOUNCED, Outcome.DELIVERED),
            recent=tuple(
                DomainTry(n, e.sent_at.date(), e.is_delivery, blocked=not e.was_tried) for n, e in events
            ),
        )
        for domain, events in by_domain.items()
    ]


@pytest.fixture(scope="module")
def judged(campaign):
    """The rulings by contact, and the domains on hold and gone."""
    records = [record for group in campaign.values() for record in group]
    domains = domain_records(records)
    held = frozenset(outage.domain for outage in outages(domains, account_rate=6 / 1000))
    gone = frozenset(d.domain for d in domains if is_gone(d.recent, closed_by_dns=False))
    rulings = [
        rule(record, campaign_id=NOW_SENT, held_domains=held, gone_domains=gone, now=NOW)
        for record in records
    ]
    return {r.contact_id: r for r in rulings if r is not None}, held, gone


def test_the_first_real_campaign_has_the_figures_of_its_plan(campaign):
    ended = Counter(r.events[-1].outcome for records in campaign.values() for r in records)
    hard = sum(r.events[-1].is_hard for records in campaign.values() for r in records)

    assert ended == {Outcome.DELIVERED: 731, Outcome.BOUNCED: 242, Outcome.NOT_ATTEMPTED: 27}
    assert hard == 240


def test_the_first_real_campaign_finds_one_outage_and_one_domain_gone(judged):
    _, held, gone = judged

    assert held == {"company.example"}
    assert gone == {"closed.example"}


@pytest.mark.parametrize(
    ("name", "expected", "bounce", "strikes", "past"),
    [
        ("company", (Region.HOLD, False), BounceClass.RECIPIENT_GONE, 1, History.DELIVERED_BEFORE),
        ("left", (Region.MUST, False), BounceClass.RECIPIENT_GONE, 1, History.DELIVERED_BEFORE),
        ("no mail host", (Region.MAY, True), BounceClass.DOMAIN_GONE, 2, History.NEVER_DELIVERED),
        ("no host now", (Region.NEVER, False), BounceClass.DOMAIN_GONE, 1, History.DELIVERED_BEFORE),
        ("clicked", (Region.HOLD, True), BounceClass.RECIPIENT_GONE, 1, History.LATELY_ALIVE),
        ("quota", (Region.NEVER, False), BounceClass.MAILBOX_FULL, 1, History.DELIVERED_BEFORE),
        ("policy", (Region.NEVER, False), BounceClass.SENDER_SIDE, 0, History.DELIVERED_BEFORE),
        ("preblocked", (Region.NEVER, False), BounceClass.NOT_ATTEMPTED, 0, History.DELIVERED_BEFORE),
    ],
)
def test_the_first_real_campaign_is_judged_as_people_would(
    campaign, judged, name, expected, bounce, strikes, past
):
    rulings = [judged[0][record.contact_id] for record in campaign[name]]

    assert {(r.region, r.review) for r in rulings} == {expected}
    assert {(r.bounce, r.strikes, r.history) for r in rulings} == {(bounce, strikes, past)}
    assert all(r.evidence_message_id == NOW_SENT * 10_000 + r.contact_id for r in rulings)


def test_the_first_real_campaign_suppresses_at_most_110_and_holds_126(campaign, judged):
    rulings = judged[0]

    assert Counter(r.region for r in rulings.values()) == {
        Region.MUST: 104,
        Region.MAY: 6,
        Region.HOLD: 126,
        Region.NEVER: 33,
    }
    assert not any(record.contact_id in rulings for record in campaign["delivered"])


def test_the_first_real_campaign_fits_into_a_few_cohorts(judged):
    rulings, held, _ = judged

    found = group(list(rulings.values()), held=held)

    largest_hold = max((c for c in found if c.region is Region.HOLD), key=lambda c: len(c.contact_ids))
    assert (largest_hold.domain, len(largest_hold.contact_ids)) == ("company.example", 120)
    assert sum(len(c.contact_ids) for c in found) == 269
    assert len(found) <= 40
    assert not any(c.merged for c in found)
    [gone] = [c for c in found if c.region is Region.MAY]
    assert (gone.domain, gone.strikes_bucket, len(gone.contact_ids)) == ("closed.example", "2", 6)
