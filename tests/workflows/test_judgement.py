"""From stored outcomes to cohorts and decisions: what is judged, held, ended, and what people read."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents import orchestrate
from agents.asking import Record
from listmanagement.domain.bounces import BounceClass, History
from listmanagement.domain.holds import HoldEnd
from listmanagement.domain.suppression import Region
from listmanagement.models import (
    Agent,
    CampaignRecipient,
    CampaignSchedule,
    Contact,
    ContactList,
    Decision,
    DecisionKind,
    DecisionStatus,
    Hold,
    HoldKind,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    ProtectionKind,
    Trigger,
)
from listmanagement.outside import Outside
from listmanagement.workflows import evidence, record, rotation, runs
from listmanagement.workflows.demo.people import Part
from listmanagement.workflows.demo.world import World
from listmanagement.workflows.maintenance import analysis, drafts, judgement, post_campaign
from listmanagement.workflows.maintenance.judgement import Findings
from tests import factories
from tests.factories import NOON, Rotation
from tests.workflows.scene import Clock
from tests.workflows.sends import (
    FULL,
    NO_HOST,
    POLICY,
    PREBLOCKED,
    UNKNOWN_USER,
    days_ago,
    people,
    sent,
)

SALT = "a salt of the tests"


@pytest.fixture
def lists(db: None) -> Rotation:
    return factories.the_rotation()


def judged(campaign: CampaignSchedule, *, now: datetime = NOON) -> Findings:
    return judgement.find(campaign, now=now, salt=SALT)


def region_of(findings: Findings, contact: Contact) -> Region | None:
    return {ruling.contact_id: ruling.region for ruling in findings.rulings}.get(contact.pk)


def drafted(campaign: CampaignSchedule, findings: Findings) -> Decision:
    """The draft that rules make of it."""
    run = factories.a_run(campaign=campaign)
    facts = analysis.cohort_facts(campaign, findings, salt=SALT)
    health = analysis.health_facts(campaign, findings, salt=SALT)
    answers = orchestrate.post_campaign(health, facts, ask=None, campaign_list=analysis.key_of(campaign.list))
    analysis.keep(run, answers, cohorts=facts, health=health, now=NOON)
    drafts.draft_suppression(run, campaign, findings, answers, facts=facts, now=NOON)
    return run.decisions.get()


# --- The demo's campaign -----------------------------------------------------------------------------


def ids_of(world: World, *parts: Part) -> set[int]:
    return {person.id for person in world.people if person.part in parts}


def test_the_demos_campaign_is_judged_exactly_and_with_few_queries(
    demo: World, outside: Outside, clock: Clock
) -> None:
    campaign = CampaignSchedule.objects.get(pk=123)
    evidence.fetch(campaign, mailjet=outside.mailjet, now=clock())

    with CaptureQueriesContext(connection) as asked:
        found = judged(campaign, now=clock())

    by_region: dict[Region, set[int]] = {region: set() for region in Region}
    for ruling in found.rulings:
        by_region[ruling.region].add(ruling.contact_id)
    assert by_region == {
        Region.MUST: ids_of(demo, Part.GONE),
        Region.MAY: ids_of(demo, Part.NO_HOST),
        Region.HOLD: ids_of(demo, Part.OUTAGE, Part.ALIVE),
        Region.NEVER: ids_of(demo, Part.HOST_LOST, Part.FULL, Part.POLICY, Part.PREBLOCKED),
        Region.CONSENT: set(),
    }
    assert Counter(len(found_in) for found_in in by_region.values()) == Counter([104, 6, 126, 33, 0])
    assert {r.contact_id for r in found.rulings if r.review} == ids_of(demo, Part.NO_HOST, Part.ALIVE)
    assert [outage.failed for outage in found.outages] == [120]
    assert found.ended == {}
    assert len(asked) <= 23


WORDS_OF_AN_ADDRESS = re.compile(r"[a-z0-9-]+\.(?:test|example|invalid)\b|@")


def test_nothing_that_an_agent_is_told_or_says_names_an_address_or_a_domain(
    demo: World, outside: Outside, clock: Clock
) -> None:
    """P8, over a whole run up to its first review."""
    run = start(outside, clock)

    run = runs.advance(run.pk, outside=outside, clock=clock)

    calls = run.agent_calls.all()
    told = json.dumps([[c.asked, c.answer, c.refused, c.model] for c in calls], ensure_ascii=False)
    domains = set(Contact.objects.exclude(domain=None).values_list("domain", flat=True))
    assert {c.agent for c in calls} >= {Agent.LIST_HEALTH, Agent.OPTIMIZATION}
    assert "domain-" in told
    assert {domain for domain in domains - judgement.WELL_KNOWN if domain in told} == set()
    assert WORDS_OF_AN_ADDRESS.findall(told.lower()) == []
    names = {person.name.split()[-1] for person in demo.people}
    assert {name for name in names if re.search(rf"\b{re.escape(name)}\b", told)} == set()


def start(outside: Outside, clock: Clock) -> ListMaintenanceLog:
    return post_campaign.start(
        123, trigger=Trigger.SCHEDULE, by=None, configuration=outside.configuration, now=clock()
    )


def test_what_waits_for_a_person_is_what_was_judged_and_costs_few_queries(
    demo: World, outside: Outside, clock: Clock
) -> None:
    campaign = CampaignSchedule.objects.get(pk=123)
    evidence.fetch(campaign, mailjet=outside.mailjet, now=clock())
    found = judged(campaign, now=clock())

    with CaptureQueriesContext(connection) as asked:
        decision = drafted(campaign, found)

    assert len(asked) <= 70
    groups = {(g.action, g.region, g.contacts, g.domain != "") for g in decision.groups.all()}
    assert groups == {
        (ItemAction.HOLD, Region.HOLD, 120, True),
        (ItemAction.SUPPRESS, Region.MUST, 104, False),
        (ItemAction.SUPPRESS, Region.MAY, 6, True),
        (ItemAction.HOLD, Region.HOLD, 6, False),
    }
    suppressed = set(decision.items.filter(action=ItemAction.SUPPRESS).values_list("contact_id", flat=True))
    held = set(decision.items.filter(action=ItemAction.HOLD).values_list("contact_id", flat=True))
    assert suppressed == ids_of(demo, Part.GONE, Part.NO_HOST)
    assert held == ids_of(demo, Part.OUTAGE, Part.ALIVE)
    positions = list(decision.items.order_by("position").values_list("position", flat=True))
    assert positions == list(range(1, 237))
    assert Hold.objects.filter(kind=HoldKind.DOMAIN).count() == 1
    assert set(Hold.objects.filter(kind=HoldKind.CONTACT).values_list("contact_id", flat=True)) == ids_of(
        demo, Part.ALIVE
    )


# --- Outages -----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_company_that_fails_as_a_whole_is_held_whatever_its_people_did_before(lists: Rotation) -> None:
    first = lists.campaign[0]
    old, fresh = people(8, on=first, domain="firm.test"), people(60, on=first)
    sent(first, at=days_ago(20), only=[*old[:6], *fresh], clicked=old[:2])
    campaign = sent(
        first, at=days_ago(1.3), failed={UNKNOWN_USER: old[:6], FULL: [old[6]], NO_HOST: [old[7]]}
    )

    found = judged(campaign)

    assert found.held_domains == {"firm.test"}
    assert {region_of(found, contact) for contact in old} == {Region.HOLD}


@pytest.mark.django_db
def test_two_messages_to_each_of_three_people_are_no_outage(lists: Rotation) -> None:
    first = lists.campaign[0]
    three, others = people(3, on=first, domain="firm.test"), people(60, on=first)
    sent(first, at=days_ago(20))
    campaign = sent(first, at=days_ago(1.3), only=[*three, *three, *others], failed={UNKNOWN_USER: three})
    assert campaign.recipients.count() == 66

    assert judged(campaign).outages == ()


@pytest.mark.django_db
def test_an_outage_in_a_send_that_crosses_midnight_is_one_days_and_closes_nothing(lists: Rotation) -> None:
    first = lists.campaign[0]
    firm = people(9, on=first, domain="firm.test")
    people(60, on=first)
    sent(first, at=days_ago(20))
    late = days_ago(1).replace(hour=23, minute=50)
    campaign = sent(first, at=late, failed={UNKNOWN_USER: firm})
    after_midnight = campaign.recipients.filter(contact__in=firm[4:])
    assert after_midnight.update(sent_at=late + timedelta(minutes=20)) == 5

    found = judged(campaign)

    assert [outage.domain for outage in found.outages] == ["firm.test"]
    assert {region_of(found, contact) for contact in firm} == {Region.HOLD}


@pytest.mark.django_db
def test_refusals_of_our_own_sending_are_no_outage(lists: Rotation) -> None:
    first = lists.campaign[0]
    firm = people(9, on=first, domain="firm.test")
    people(60, on=first)
    sent(first, at=days_ago(20))

    campaign = sent(first, at=days_ago(1.3), failed={POLICY: firm})

    found = judged(campaign)
    assert (found.outages, found.held_domains) == ((), frozenset())
    assert {region_of(found, contact) for contact in firm} == {Region.NEVER}


@pytest.mark.django_db
def test_a_domain_on_hold_since_an_earlier_campaign_holds_its_people_now(lists: Rotation) -> None:
    first, second = lists.campaign[:2]
    one = people(1, on=first, domain="firm.test")
    people(60, on=first)
    hold = factories.a_hold(host="firm.test", since=days_ago(9), run=factories.a_run(campaign=a_past(second)))

    found = judged(sent(first, at=days_ago(1.3), failed={UNKNOWN_USER: one}))

    assert region_of(found, one[0]) is Region.HOLD
    assert found.held_domains == {"firm.test"}
    assert not found.outages
    assert not found.ended
    assert Hold.objects.standing().get() == hold


def a_past(contact_list: Any) -> CampaignSchedule:
    return factories.a_campaign(list=contact_list, started_at=days_ago(10), ended_at=days_ago(9.9))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("reached", "ended", "region"),
    [(0, None, Region.HOLD), (1, None, Region.HOLD), (2, HoldEnd.OUTAGE_OVER, Region.NEVER)],
)
def test_a_domains_hold_ends_when_two_colleagues_are_reached_and_what_failed_in_it_is_no_evidence(
    lists: Rotation, reached: int, ended: HoldEnd | None, region: Region
) -> None:
    first = lists.campaign[0]
    colleagues = people(4, on=first, domain="firm.test")
    people(60, on=first)
    hold = factories.a_hold(
        host="firm.test", since=days_ago(9), run=factories.a_run(campaign=a_past(lists.campaign[1]))
    )
    failing = colleagues[reached:]

    found = judged(sent(first, at=days_ago(1.3), failed={UNKNOWN_USER: failing}))

    assert found.ended == ({hold.pk: ended} if ended else {})
    assert {region_of(found, contact) for contact in failing} == {region}


@pytest.mark.django_db
def test_one_hard_bounce_is_a_must_only_where_the_campaign_reached_a_colleague(lists: Rotation) -> None:
    first = lists.campaign[0]
    [reader, _] = people(2, on=first, domain="small-firm.test")
    [alone] = people(1, on=first)
    sent(first, at=days_ago(15))

    found = judged(sent(first, at=days_ago(1.3), failed={UNKNOWN_USER: [reader, alone]}))

    assert region_of(found, reader) is Region.MUST
    assert region_of(found, alone) is Region.NEVER


@pytest.mark.django_db
def test_whoever_was_erased_since_is_nobodys_colleague_while_somebody_is_judged(lists: Rotation) -> None:
    """Else the erasure of one contact anywhere would take the look at the server from every small company."""
    first = lists.campaign[0]
    [reader] = people(1, on=first, domain="small-firm.test")
    [stranger] = people(1, on=first, domain="elsewhere.test")
    sent(first, at=days_ago(15))
    campaign = sent(first, at=days_ago(1.3), failed={UNKNOWN_USER: [reader]})

    Contact.objects.filter(pk=stranger.pk).update(email=None, retired_at=NOON)

    assert region_of(judged(campaign), reader) is Region.NEVER


# --- Two rounds in one outage ------------------------------------------------------------------------


def a_company_on_two_lists(lists: Rotation) -> tuple[list[Contact], list[Contact]]:
    """Forty of one company on each of two lists, mailed 40 days ago."""
    both = [people(40, on=each, domain="firm.test") for each in lists.campaign[:2]]
    for each in lists.campaign[:2]:
        people(200, on=each)
        sent(each, at=days_ago(40))
    return both[0], both[1]


def a_day_after(campaign: CampaignSchedule) -> datetime:
    assert campaign.ended_at is not None
    return campaign.ended_at + timedelta(hours=24, minutes=5)


def judged_and_held(campaign: CampaignSchedule, *, now: datetime) -> Findings:
    found = judged(campaign, now=now)
    drafts._write_holds(factories.a_run(campaign=campaign), found, now=now)
    return found


@pytest.mark.django_db
def test_a_hold_explains_what_failed_from_the_send_on_that_showed_it(lists: Rotation) -> None:
    """A campaign is judged a day after it, and the next round may go out meanwhile."""
    ones, twos = a_company_on_two_lists(lists)
    first = sent(lists.campaign[0], at=days_ago(20), failed={UNKNOWN_USER: ones})
    second = sent(lists.campaign[1], at=days_ago(19.5), failed={UNKNOWN_USER: twos[:12]})
    judged_and_held(first, now=a_day_after(first))
    judged_and_held(second, now=a_day_after(second))
    people(5, on=lists.campaign[2], domain="firm.test")
    third = sent(lists.campaign[2], at=days_ago(10))
    over = judged_and_held(third, now=a_day_after(third))
    assert list(over.ended.values()) == [HoldEnd.OUTAGE_OVER]

    late = judged(second, now=days_ago(5))
    assert {region_of(late, each) for each in twos[:12]} == {Region.NEVER}

    refused = sent(lists.campaign[1], at=days_ago(1.3), failed={PREBLOCKED: twos[:12]})
    assert {region_of(judged(refused), each) for each in twos[:12]} == {Region.NEVER}


@pytest.mark.django_db
def test_what_an_ended_hold_explained_opens_no_hold_anew(lists: Rotation) -> None:
    ones, _ = a_company_on_two_lists(lists)
    first = sent(lists.campaign[0], at=days_ago(20), failed={UNKNOWN_USER: ones})
    judged_and_held(first, now=a_day_after(first))
    later = sent(lists.campaign[0], at=days_ago(15))
    judged_and_held(later, now=a_day_after(later))

    again = judged_and_held(first, now=days_ago(10))

    assert not again.held_domains
    assert not Hold.objects.standing().exists()
    assert {region_of(again, each) for each in ones} == {Region.NEVER}


@pytest.mark.django_db
def test_an_outage_that_was_held_hides_no_later_one(lists: Rotation) -> None:
    ones, _ = a_company_on_two_lists(lists)
    for each in (30, 25):
        sent(lists.campaign[0], at=days_ago(each))
    first = sent(lists.campaign[0], at=days_ago(20), failed={UNKNOWN_USER: ones})
    judged_and_held(first, now=a_day_after(first))
    later = sent(lists.campaign[0], at=days_ago(15))
    judged_and_held(later, now=a_day_after(later))

    second = sent(lists.campaign[0], at=days_ago(1.3), failed={UNKNOWN_USER: ones[:12]})

    assert judged(second).held_domains == {"firm.test"}


@pytest.mark.django_db
def test_a_hold_that_ended_is_written_down_with_how(lists: Rotation) -> None:
    first = lists.campaign[0]
    colleagues = people(3, on=first, domain="firm.test")
    people(60, on=first)
    hold = factories.a_hold(
        host="firm.test", since=days_ago(9), run=factories.a_run(campaign=a_past(lists.campaign[1]))
    )
    other = people(1, on=first)
    campaign = sent(first, at=days_ago(1.3), failed={UNKNOWN_USER: [*colleagues[2:], *other]})

    drafted(campaign, judged(campaign))

    hold.refresh_from_db()
    assert (hold.ended_at, hold.ended_how) == (NOON, HoldEnd.OUTAGE_OVER)


# --- Holds of contacts -------------------------------------------------------------------------------


def a_held_contact(lists: Rotation) -> tuple[Contact, Hold]:
    """Delivered to and clicked 40 days ago, hard bounced 20 days ago, held since."""
    first = lists.campaign[0]
    [reader] = people(1, on=first)
    people(60, on=first)
    sent(first, at=days_ago(40), clicked=[reader])
    campaign = sent(first, at=days_ago(20), failed={UNKNOWN_USER: [reader]})
    run = factories.a_run(campaign=campaign)
    hold = factories.a_hold(kind=HoldKind.CONTACT, contact=reader, since=days_ago(18), run=run)
    return reader, hold


@pytest.mark.django_db
def test_a_hard_bounce_after_a_human_click_is_held_as_a_contact_once(lists: Rotation) -> None:
    reader, hold = a_held_contact(lists)
    hold.delete()

    found = judged(CampaignSchedule.objects.order_by("started_at")[1], now=days_ago(18))

    ruling = next(r for r in found.rulings if r.contact_id == reader.pk)
    assert (ruling.region, ruling.review, ruling.history) == (Region.HOLD, True, History.LATELY_ALIVE)


@pytest.mark.django_db
def test_a_second_hard_bounce_of_a_held_contact_is_a_must(lists: Rotation) -> None:
    reader, hold = a_held_contact(lists)
    campaign = sent(lists.campaign[0], at=days_ago(1.3), failed={UNKNOWN_USER: [reader]})

    found = judged(campaign)

    assert region_of(found, reader) is Region.MUST
    assert found.ended == {hold.pk: HoldEnd.SECOND_HARD}


@pytest.mark.django_db
def test_a_delivery_before_the_hold_does_not_end_it(lists: Rotation) -> None:
    reader, _ = a_held_contact(lists)
    campaign = sent(lists.campaign[0], at=days_ago(1.3), failed={PREBLOCKED: [reader]})

    found = judged(campaign)

    assert found.ended == {}
    assert region_of(found, reader) is Region.HOLD


@pytest.mark.django_db
def test_a_delivery_after_the_hold_ends_it_also_where_another_campaign_is_judged(lists: Rotation) -> None:
    reader, hold = a_held_contact(lists)
    sent(lists.campaign[0], at=days_ago(6), only=[reader])
    campaign = sent(lists.campaign[1], at=days_ago(1.3), only=people(5, on=lists.campaign[1]))

    assert judged(campaign).ended == {hold.pk: HoldEnd.DELIVERED}


@pytest.mark.django_db
def test_a_held_contact_is_not_held_twice(lists: Rotation) -> None:
    reader, hold = a_held_contact(lists)
    campaign = sent(lists.campaign[0], at=days_ago(1.3), failed={PREBLOCKED: [reader]})

    drafted(campaign, judged(campaign))

    assert Hold.objects.get() == hold


# --- Protection --------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("kind", list(ProtectionKind))
def test_who_people_protect_is_held_and_only_a_person_decides(lists: Rotation, kind: ProtectionKind) -> None:
    first = lists.campaign[0]
    vip = factories.a_contact(email="The.Boss@Firm.test")
    factories.a_membership(list=first, contact=vip)
    people(60, on=first)
    value = "firm.test" if kind is ProtectionKind.DOMAIN else "the.boss@firm.test"
    factories.a_protection(kind=kind, value=value)
    campaign = sent(first, at=days_ago(1.3), failed={UNKNOWN_USER: [vip]})

    found = judged(campaign)

    [ruling] = found.rulings
    assert (ruling.region, ruling.review, ruling.history) == (Region.HOLD, True, History.PROTECTED)
    assert (
        drafted(campaign, found).groups.get().title == "1 contact waits for another sign: protected by people"
    )


# --- Who is not judged any more ----------------------------------------------------------------------


@pytest.mark.django_db
def test_who_is_suppressed_or_has_lost_the_address_is_not_proposed_again(lists: Rotation) -> None:
    first = lists.campaign[0]
    suppressed, retired, gone = people(3, on=first)
    people(60, on=first)
    campaign = sent(first, at=days_ago(1.3), failed={UNKNOWN_USER: [suppressed, retired, gone]})
    factories.an_imported_suppression(contact=suppressed)
    Contact.objects.filter(pk=retired.pk).update(email=None, retired_at=NOON)

    assert [ruling.contact_id for ruling in judged(campaign).rulings] == [gone.pk]


@pytest.mark.django_db
def test_a_campaign_that_reached_everybody_leaves_nothing_to_judge(lists: Rotation) -> None:
    people(5, on=lists.campaign[0])

    found = judged(sent(lists.campaign[0], at=days_ago(1.3)))

    assert not (found.rulings)
    assert not (found.cohorts)
    assert not (found.outages)
    assert not found.ended


# --- What people read --------------------------------------------------------------------------------


def read_of(decision: Decision) -> list[tuple[str, int]]:
    return [(group.title, group.contacts) for group in decision.groups.all()]


@pytest.mark.django_db
def test_one_domain_that_fails_as_a_whole_is_one_item_for_people(lists: Rotation) -> None:
    first = lists.campaign[0]
    firm, others = people(9, on=first, domain="firm.test"), people(80, on=first)
    sent(first, at=days_ago(20), only=[*firm[:6], *others], clicked=firm[:1])
    campaign = sent(first, at=days_ago(1.3), failed={UNKNOWN_USER: firm[:7], FULL: firm[7:]})

    decision = drafted(campaign, judged(campaign))

    assert read_of(decision) == [("9 contacts at firm.test look like an outage", 9)]


@pytest.mark.django_db
def test_an_outage_is_seen_at_a_domain_that_addresses_write_in_several_ways(lists: Rotation) -> None:
    first = lists.campaign[0]
    spelt = [people(4, on=first, domain=name) for name in ("firm.test", "firm.test.", "FIRM.test")]
    people(80, on=first)
    sent(first, at=days_ago(20))
    campaign = sent(
        first, at=days_ago(1.3), failed={UNKNOWN_USER: [who for each in spelt for who in each[:3]]}
    )

    assert read_of(drafted(campaign, judged(campaign))) == [
        ("9 contacts at firm.test look like an outage", 9)
    ]


@pytest.mark.django_db
def test_readers_held_one_by_one_are_not_called_an_outage_of_their_provider(lists: Rotation) -> None:
    first = lists.campaign[0]
    readers = people(3, on=first, domain="post.example")
    people(80, on=first)
    sent(first, at=days_ago(20), clicked=readers)
    campaign = sent(first, at=days_ago(1.3), failed={UNKNOWN_USER: readers})

    decision = drafted(campaign, judged(campaign))

    assert read_of(decision) == [("3 contacts wait for another sign: a person clicked not long before", 3)]
    assert [group.domain for group in decision.groups.all()] == [""]


@pytest.mark.django_db
def test_more_than_eight_kinds_are_read_as_eight_and_no_domain_stands_for_others(lists: Rotation) -> None:
    first = lists.campaign[0]
    firms = [people(5 + n, on=first, domain=f"firm-{n}.test") for n in range(10)]
    others = people(300, on=first)
    [gone, _] = people(2, on=first, domain="a-firm-that-is-reached.test")
    sent(first, at=days_ago(20))
    failing = [contact for firm in firms for contact in firm]
    campaign = sent(first, at=days_ago(1.3), failed={UNKNOWN_USER: [*failing, gone], FULL: others[1:3]})

    decision = drafted(campaign, judged(campaign))

    groups = list(decision.groups.all())
    assert len(groups) == drafts.MOST_GROUPS
    assert sum(group.contacts for group in groups) == len(failing) + 1 == decision.items.count()
    for group in groups:
        where = {item.contact.domain for item in group.items.select_related("contact")}
        assert group.items.count() == group.contacts
        if group.domain:
            assert where == {group.domain}
        if group.action == ItemAction.HOLD:
            assert "look like an outage" in group.title
            assert (f"at {group.domain}" if len(where) == 1 else f"at {len(where)} domains") in group.title
            assert {domain for domain in where if domain and domain in group.rationale} <= {group.domain}


@pytest.mark.django_db
def test_a_merged_group_says_that_its_reasons_differ(lists: Rotation) -> None:
    first = lists.campaign[0]
    firms = [people(1, on=first, domain=f"firm-{n}.test") for n in range(9)]
    protected = [contact for [contact] in firms]
    others = people(30, on=first)
    for n in range(9):
        factories.a_protection(value=f"firm-{n}.test")
    sent(first, at=days_ago(20), clicked=others[:1], only=[*others])
    failed = {UNKNOWN_USER: [*protected, others[0]]}
    campaign = sent(first, at=days_ago(1.3), failed=failed)

    titles = dict(read_of(drafted(campaign, judged(campaign))))

    assert titles == {
        "9 contacts wait for another sign: protected by people": 9,
        "1 contact waits for another sign: a person clicked not long before": 1,
    }


# --- The record of the rules -------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_record_counts_what_reviewers_decided_by_class_and_nothing_else(lists: Rotation) -> None:
    def decided(status: DecisionStatus, *statuses: ItemStatus) -> None:
        decision = factories.a_decision(status=status, kind=DecisionKind.SUPPRESSION)
        group = factories.a_group(decision=decision)
        for each in statuses:
            factories.an_item(group=group, status=each)

    for _ in range(2):
        decided(DecisionStatus.APPROVED, ItemStatus.EXECUTED, ItemStatus.EXECUTED)
    decided(DecisionStatus.APPROVED, ItemStatus.DROPPED)
    decided(DecisionStatus.REJECTED, ItemStatus.PROPOSED, ItemStatus.PROPOSED)
    decided(DecisionStatus.EXPIRED, ItemStatus.PROPOSED)
    decided(DecisionStatus.OBSERVED, ItemStatus.PROPOSED)
    decided(DecisionStatus.CLEAR, ItemStatus.EXECUTED)

    with CaptureQueriesContext(connection) as asked:
        found = record.by_class()

    assert len(asked) == 1
    assert found == {BounceClass.RECIPIENT_GONE: Record(upheld=2, labels=3)}
    assert CampaignRecipient.objects.count() == 10


@pytest.mark.django_db
def test_who_waits_for_one_more_send_by_an_agents_choice_is_not_moved_before_it(lists: Rotation) -> None:
    """Full three times, but a person clicked not long before: open, and the agent says to wait."""
    first = lists.campaign[0]
    [reader] = people(1, on=first)
    people(60, on=first)
    sent(first, at=days_ago(70), clicked=[reader])
    for each in (50, 30, 2):
        campaign = sent(first, at=days_ago(each), failed={FULL: [reader]})
    decision = drafted(campaign, judged(campaign))
    assert [group.action for group in decision.groups.all()] == [ItemAction.HOLD]
    assert not Hold.objects.exists()
    decision.items.update(status=ItemStatus.EXECUTED)
    a_moment = timedelta(0)

    movable = rotation._movable(first, at=NOON, between_mails=a_moment)
    assert reader.pk not in movable
    assert len(movable) == 60

    later = NOON + timedelta(days=14)
    sent(first, at=later)
    assert reader.pk in rotation._movable(first, at=later + timedelta(days=1), between_mails=a_moment)


@pytest.mark.django_db
def test_two_lists_of_one_name_have_a_cap_each(lists: Rotation) -> None:
    ContactList.objects.filter(pk__in=[each.pk for each in lists.campaign[:2]]).update(name="Newsletter")
    first = ContactList.objects.get(pk=lists.campaign[0].pk)
    sizes = [{"id": each.pk, "size": 100} for each in lists.campaign]
    run = factories.a_run(campaign=factories.a_campaign(list=first), state_before={"lists": sizes})
    group = factories.a_group(decision=factories.a_decision(run=run), action=ItemAction.SUPPRESS)
    for _ in range(11):
        factories.an_item(group=group, source_list=first)

    caps = drafts._caps(run, group.decision)

    assert sorted(part.contacts for part in caps.suppressed.values()) == [0, 0, 11]
