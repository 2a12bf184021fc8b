"""What DNS says of recipient domains: asked when it matters, kept with its time, and judged from rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client

from integrations.dns import Route
from listmanagement.domain import guards
from listmanagement.domain.bounces import Outcome
from listmanagement.domain.cycle import RoundStatus
from listmanagement.domain.holds import HoldEnd
from listmanagement.domain.suppression import Region
from listmanagement.models import (
    Bounce,
    CampaignSchedule,
    Contact,
    DecisionKind,
    DecisionStatus,
    DomainLookup,
    Hold,
    HoldKind,
    ItemAction,
    ListMaintenanceLog,
    Trigger,
)
from listmanagement.outside import Outside
from listmanagement.workflows import domains, runs, timetable
from listmanagement.workflows.domains import OFF
from listmanagement.workflows.maintenance import guarding, outage_over, post_campaign
from listmanagement.workflows.maintenance.judgement import Findings
from tests import factories
from tests.factories import NOON, Rotation
from tests.workflows.scene import Clock, Scene, StandIn
from tests.workflows.sends import (
    FULL,
    NO_HOST,
    PREBLOCKED,
    UNKNOWN_USER,
    a_last_round,
    a_rotation,
    days_ago,
    has_observed,
    people,
    sent,
)
from tests.workflows.test_judgement import drafted, judged, region_of


@pytest.fixture
def lists(db: None) -> Rotation:
    return factories.the_rotation()


def told(domain: str, route: Route, *days: float) -> None:
    for each in days:
        factories.a_lookup(domain=domain, route=route, at=days_ago(each))


# --- What is asked -----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_asked_are_domains_where_nobody_was_reached_that_are_gone_or_held(lists: Rotation) -> None:
    first = lists.campaign[0]
    silent, held = people(2, on=first, domain="silent.test"), people(2, on=first, domain="held.test")
    gone, mixed = people(2, on=first, domain="gone.test"), people(2, on=first, domain="mixed.test")
    people(2, on=first, domain="fine.test")
    factories.a_hold(host="held.test", since=days_ago(9))
    failed = {UNKNOWN_USER: [*silent, held[0], mixed[0]], NO_HOST: [gone[0]]}

    campaign = sent(first, at=days_ago(1), failed=failed)

    assert domains.that_matter(campaign) == ["silent.test", "gone.test", "held.test"]


@pytest.mark.django_db
def test_an_answer_is_kept_with_its_time_and_not_asked_for_again_the_same_day(
    standin: StandIn, outside: Outside
) -> None:
    standin.control.dns_says("gone.test", "null_mx")
    standin.control.dns_says("shared.test", "hosts", (20, "b.hoster.test"), (10, "a.hoster.test"))

    first = domains.look_up(["gone.test", "shared.test"], dns=outside.dns, now=NOON)
    again = domains.look_up(["gone.test", "shared.test"], dns=outside.dns, now=NOON + timedelta(hours=19))

    assert (first.asked, first.unanswered, first.left, first.without) == (2, 0, 0, "")
    assert again.asked == 0
    assert list(
        DomainLookup.objects.order_by("domain").values_list("domain", "at", "route", "mail_host")
    ) == [
        ("gone.test", NOON, Route.NULL_MX, ""),
        ("shared.test", NOON, Route.HOSTS, "a.hoster.test"),
    ]
    assert {name for name, _ in standin.control.dns_asked()} == {"gone.test", "shared.test"}


@pytest.mark.django_db
def test_what_was_not_answered_is_kept_with_why_and_asked_for_again(
    standin: StandIn, outside: Outside
) -> None:
    standin.control.dns_says("*", "servfail")
    looked = domains.look_up(["broken.test"], dns=outside.dns, now=NOON)
    standin.control.dns_says("*", "no_domain")

    again = domains.look_up(["broken.test"], dns=outside.dns, now=NOON + timedelta(hours=1))

    assert "SERVFAIL" in looked.without
    assert again.asked == 1
    assert list(DomainLookup.objects.order_by("at").values_list("route", flat=True)) == [
        "unknown",
        "no_domain",
    ]


@pytest.mark.django_db
def test_where_nobody_answers_not_everything_is_asked(standin: StandIn, outside: Outside) -> None:
    standin.control.dns_says("*", "refused")

    looked = domains.look_up([f"firm-{n}.test" for n in range(60)], dns=outside.dns, now=NOON)

    assert (looked.asked, looked.unanswered, looked.left) == (24, 24, 36)


@pytest.mark.django_db
def test_no_more_is_asked_at_a_time_than_was_said(standin: StandIn, outside: Outside) -> None:
    looked = domains.look_up([f"firm-{n}.test" for n in range(9)], dns=outside.dns, now=NOON, most=5)

    assert (looked.asked, looked.left) == (5, 4)
    assert "at most 5" in looked.without


@pytest.mark.django_db
def test_a_week_later_the_held_and_the_closed_where_somebody_is_mailed_are_asked_about_again(
    standin: StandIn, outside: Outside, lists: Rotation
) -> None:
    for name in ("closed", "young", "open"):
        people(1, on=lists.campaign[0], domain=f"{name}.test")
    told("closed.test", Route.NO_DOMAIN, 7)
    told("young.test", Route.NO_DOMAIN, 6)
    told("open.test", Route.HOSTS, 8)
    told("left.test", Route.NO_DOMAIN, 8)
    factories.a_hold(host="held.test", since=days_ago(9))
    told("held.test", Route.HOSTS, 9)

    assert timetable.JOBS[timetable.Recurring.ASK_DNS].do(outside, NOON) == "2 domains asked about"

    assert {name for name, _ in standin.control.dns_asked()} == {"closed.test", "held.test"}


# --- What follows ------------------------------------------------------------------------------------


def a_gone_company(lists: Rotation) -> tuple[CampaignSchedule, Contact]:
    """One of two at a company, whose domain bounced as gone at their first message; the other was reached."""
    first = lists.campaign[0]
    one, other = people(2, on=first, domain="firm.test")
    sent(first, at=days_ago(60), only=[other, *people(30, on=first)])
    return sent(first, at=days_ago(1.3), only=[one, *people(5, on=first)], failed={NO_HOST: [one]}), one


@pytest.mark.django_db
def test_two_answers_a_week_apart_let_a_reviewer_suppress_whoever_bounced_as_gone(lists: Rotation) -> None:
    campaign, one = a_gone_company(lists)
    told("firm.test", Route.NO_DOMAIN, 8, 1)

    found = judged(campaign)

    [ruling] = [each for each in found.rulings if each.contact_id == one.pk]
    assert (ruling.region, ruling.review) == (Region.MAY, True)
    assert "DNS said that the domain takes no mail" in ruling.why


@pytest.mark.django_db
@pytest.mark.parametrize("answers", [[], [1], [5, 1]])
def test_fewer_answers_or_closer_ones_suppress_nobody(lists: Rotation, answers: list[float]) -> None:
    campaign, one = a_gone_company(lists)
    told("firm.test", Route.NO_DOMAIN, *answers)

    assert region_of(judged(campaign), one) is Region.NEVER


@pytest.mark.django_db
def test_somebody_there_who_was_reached_in_between_speaks_against_dns(lists: Rotation) -> None:
    campaign, one = a_gone_company(lists)
    told("firm.test", Route.NO_DOMAIN, 8, 1)
    factories.a_recipient(
        campaign=campaign,
        contact=Contact.objects.filter(domain="firm.test").exclude(pk=one.pk).get(),
        outcome_at=days_ago(0.5),
    )

    assert region_of(judged(campaign), one) is Region.NEVER


@pytest.mark.django_db
def test_a_hold_ends_closed_by_dns_and_its_people_are_for_review_even_where_mailjet_refuses_them(
    lists: Rotation,
) -> None:
    first = lists.campaign[0]
    held = people(6, on=first, domain="firm.test")
    people(30, on=first)
    before = sent(first, at=days_ago(20), failed={UNKNOWN_USER: held})
    hold = factories.a_hold(host="firm.test", since=days_ago(18), run=factories.a_run(campaign=before))
    told("firm.test", Route.NULL_MX, 18, 9)

    found = judged(sent(first, at=days_ago(1.3), failed={PREBLOCKED: held}))

    assert found.ended == {hold.pk: HoldEnd.CLOSED}
    assert {region_of(found, contact) for contact in held} == {Region.MAY}
    assert all(ruling.review for ruling in found.rulings)


# --- Mail hosts --------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_small_companies_whose_common_mail_host_fails_are_held_with_it_until_two_are_reached(
    lists: Rotation,
) -> None:
    first = lists.campaign[0]
    small = [people(1, on=first, domain=f"small-{n}.test")[0] for n in range(8)]
    others = people(60, on=first)
    sent(first, at=days_ago(30))
    for contact in small:
        factories.a_lookup(domain=contact.domain, mail_host="mx.hoster.test", at=days_ago(1))
    for domain in {contact.domain for contact in others}:
        factories.a_lookup(domain=domain, at=days_ago(1))
    campaign = sent(first, at=days_ago(9), failed={UNKNOWN_USER: small})

    opened = judged(campaign, now=days_ago(0.9))
    drafted(campaign, opened)

    assert {region_of(opened, contact) for contact in small} == {Region.HOLD}
    whole = Hold.objects.get(kind=HoldKind.MAIL_HOST)
    assert whole.host == "mx.hoster.test"
    assert set(whole.parts.values_list("host", flat=True)) == {contact.domain for contact in small}

    Hold.objects.update(since=days_ago(8))
    reached = sent(first, at=days_ago(1.3), only=[*small[:2], *others], failed={})
    assert reached.recipients.filter(outcome=Outcome.DELIVERED).count() == 62

    assert set(judged(reached).ended.values()) == {HoldEnd.OUTAGE_OVER}
    assert len(judged(reached).ended) == 9


# --- Holds that last too long ------------------------------------------------------------------------


def a_stale_hold(lists: Rotation) -> tuple[list[Contact], Hold]:
    first = lists.campaign[0]
    held = people(6, on=first, domain="firm.test")
    people(30, on=first)
    before = sent(first, at=days_ago(130), failed={UNKNOWN_USER: held})
    return held, factories.a_hold(host="firm.test", since=days_ago(121), run=factories.a_run(campaign=before))


def again_refused(lists: Rotation, held: list[Contact], *, days: float) -> Findings:
    campaign = sent(lists.campaign[0], at=days_ago(days), failed={PREBLOCKED: held})
    return judged(campaign)


@pytest.mark.django_db
def test_after_120_days_without_a_sign_a_person_is_asked_and_the_hold_lasts_until_then(
    lists: Rotation,
) -> None:
    held, hold = a_stale_hold(lists)

    found = again_refused(lists, held, days=1.3)

    assert {region_of(found, contact) for contact in held} == {Region.MAY}
    assert all(ruling.review for ruling in found.rulings)
    assert "on hold for long" in found.rulings[0].why
    assert found.ended == {}
    decision = drafted(CampaignSchedule.objects.latest("started_at"), found)
    assert decision.groups.get().domain == "firm.test"
    hold.refresh_from_db()
    assert hold.ended_at is None


@pytest.mark.django_db
def test_before_120_days_the_hold_stays(lists: Rotation) -> None:
    held, hold = a_stale_hold(lists)
    Hold.objects.filter(pk=hold.pk).update(since=days_ago(119))

    found = again_refused(lists, held, days=1.3)

    assert {region_of(found, contact) for contact in held} == {Region.HOLD}


@pytest.mark.django_db
@pytest.mark.parametrize("status", [DecisionStatus.APPROVED, DecisionStatus.REJECTED, DecisionStatus.EXPIRED])
def test_the_person_is_asked_once_and_again_only_where_nobody_decided(
    lists: Rotation, status: DecisionStatus
) -> None:
    held, hold = a_stale_hold(lists)
    decision = factories.a_decision(status=status, kind=DecisionKind.SUPPRESSION, created_at=days_ago(0.5))
    group = factories.a_group(decision=decision, action=ItemAction.SUPPRESS, region=Region.MAY)
    evidence = Bounce.objects.get(recipient__contact=held[0])
    factories.an_item(group=group, contact=held[0], evidence=evidence)

    found = again_refused(lists, held, days=0.4)

    decided = status is not DecisionStatus.EXPIRED
    assert found.ended == ({hold.pk: HoldEnd.STALE} if decided else {})
    assert {region_of(found, c) for c in held} == ({Region.NEVER} if decided else {Region.MAY})


# --- A whole run -------------------------------------------------------------------------------------


def test_a_run_asks_only_names_of_domains_that_matter_and_says_nothing_where_it_has_all(
    scene: Scene, clock: Clock, outside: Outside, standin: StandIn
) -> None:
    run = a_run_over_a_gone_domain(scene, outside, clock)

    assert {name for name, _ in standin.control.dns_asked()} == {"firm.test"}
    assert DomainLookup.objects.get().domain == "firm.test"
    assert run.counts["dns"] == {"asked": 1, "unanswered": 0, "left": 0, "why": ""}


@pytest.mark.parametrize("says", ["off", "silent", "garbled"])
def test_without_dns_the_run_completes_and_says_what_it_did_without(
    scene: Scene, clock: Clock, outside: Outside, standin: StandIn, says: str
) -> None:
    if says == "off":
        outside = replace(outside, dns=None)
    else:
        standin.control.dns_says("*", says)

    run = a_run_over_a_gone_domain(scene, outside, clock)

    assert run.status == "succeeded", run.errors
    assert "DNS told nothing of 1 domain" in run.report
    assert "firm" not in run.report
    if says == "off":
        assert OFF in run.report
        assert standin.control.dns_asked() == []


def a_run_over_a_gone_domain(scene: Scene, outside: Outside, clock: Clock) -> ListMaintenanceLog:
    a_rotation(scene, each=40)
    gone = people(1, on=scene.lists.campaign[0], domain="firm.test")
    factories.a_membership(list=scene.lists.master, contact=gone[0])
    has_observed()
    campaign = a_last_round(scene, failed={NO_HOST: gone})
    run = post_campaign.start(
        campaign.pk,
        trigger=Trigger.SCHEDULE,
        by=None,
        configuration=outside.configuration,
        now=clock(),
    )
    return runs.advance(run.pk, outside=outside, clock=clock)


# --- An outage is over -------------------------------------------------------------------------------


@pytest.mark.django_db
def test_after_an_outage_its_page_lists_whom_mailjet_probably_refuses_still_and_nobody_else(
    lists: Rotation, client: Client
) -> None:
    first = lists.campaign[0]
    reached, refused, opted_out = people(3, on=first, domain="firm.test")
    [soft] = people(1, on=first, domain="firm.test")
    others = people(20, on=first)
    failed = {UNKNOWN_USER: [reached, refused, opted_out, others[0]], FULL: [soft]}
    campaign = sent(first, at=days_ago(20), failed=failed)
    sent(first, at=days_ago(10), only=[reached])
    Contact.objects.filter(pk=opted_out.pk).update(opted_out_at=NOON, opted_out_by="a list")
    hold = factories.a_hold(
        host="firm.test",
        since=days_ago(19),
        run=factories.a_run(campaign=campaign),
        ended_at=days_ago(9),
        ended_how=HoldEnd.OUTAGE_OVER,
    )

    assert outage_over.to_be_offered([hold.pk]) == [(hold, 1)]
    client.force_login(factories.a_viewer())
    file = client.get(f"{hold.get_absolute_url().removesuffix('change/')}refused.csv")
    page = client.get(hold.get_absolute_url()).content.decode()

    assert file.content.decode().splitlines() == ["contact,address", f"{refused.pk},{refused.email}"]
    assert f"{refused.email}" in page
    assert "Please lift the blocks" in page
    assert f"{reached.email}" not in page
    client.force_login(factories.a_user())
    assert client.get(f"{hold.get_absolute_url().removesuffix('change/')}refused.csv").status_code == 403


@pytest.mark.django_db
def test_a_plan_for_a_list_that_freezes_soon_is_found_out_and_for_another_is_not(lists: Rotation) -> None:
    first, second, _ = lists.campaign
    frozen, free = people(1, on=first)[0], people(1, on=second)[0]
    soon = NOON + timedelta(hours=1)
    factories.a_campaign(list=first, status=RoundStatus.SCHEDULED, scheduled_at=soon)
    plan = guards.Proposed(
        suppressions=(guards.Suppression(frozen.pk, Region.MUST), guards.Suppression(free.pk, Region.MUST))
    )

    found = [each for each in guarding.findings(plan, at=NOON) if each.code is guards.Code.LIST_FROZEN]

    assert [each.contacts for each in found] == [(frozen.pk,)]
