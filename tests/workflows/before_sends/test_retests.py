"""Whom of held domains a send reaches: a stand-in really sends it, and everybody is back afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from integrations.sandbox.outcomes import Mailbox
from listmanagement.domain.cycle import RoundStatus
from listmanagement.domain.validation import Check, HeldTreatment
from listmanagement.models import (
    BatchKind,
    BatchStatus,
    CampaignKind,
    CampaignRecipient,
    CampaignSchedule,
    Contact,
    DecisionItem,
    DecisionKind,
    DecisionStatus,
    HeldChoice,
    HoldKind,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    Notification,
    OperationBatch,
    OperationStatus,
    RunKind,
    RunStatus,
)
from listmanagement.workflows import campaigns, evidence, runs
from listmanagement.workflows.before_sends import pre_campaign, retests, watching
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.promises.cycles import check_once_per_cycle
from tests import factories
from tests.workflows import marketing as people
from tests.workflows import sends
from tests.workflows.before_sends.blocked import planned
from tests.workflows.marketing import Marketing
from tests.workflows.scene import Scene, StandIn

pytestmark = pytest.mark.django_db

DOWN, GONE = "down.test", "gone.test"


@pytest.fixture
def held(scene: Scene) -> list[Contact]:
    """Ten readers, eight at a held domain, seven at another one; nobody is held elsewhere."""
    one, two, three = scene.lists.campaign
    sends.people(5, on=one)
    held = sends.people(8, on=one, domain=DOWN)
    sends.people(5, on=one)
    held += sends.people(7, on=one, domain=GONE)
    for other in (two, three):
        sends.people(20, on=other)
    factories.join(scene.lists.master, Contact.objects.order_by("pk"))
    run = factories.a_run(kind=RunKind.RECONCILIATION, status=RunStatus.SUCCEEDED)
    for domain in (DOWN, GONE):
        factories.a_hold(kind=HoldKind.DOMAIN, host=domain, run=run)
    began = sends.days_ago(60)
    factories.a_campaign(
        list=one, kind=CampaignKind.ONE_OFF, started_at=began, ended_at=began + timedelta(hours=1)
    )
    sends.has_observed()
    return held


@pytest.fixture
def marketing(standin: StandIn, scene: Scene, held: list[Contact]) -> Iterator[Marketing]:
    """Somebody at Mailjet's pages."""
    scene.publish()
    scene.control.settings(campaign_lookup_seconds=0)
    for contact in held:
        scene.control.set_mailbox(contact.pk, Mailbox.GOOD.value)
    with people.at_work(standin, scene.clock) as marketing:
        yield marketing


def choose(scene: Scene, campaign: CampaignSchedule, treatment: HeldTreatment) -> HeldChoice:
    return retests.choose(
        campaign.pk,
        treatment,
        by=factories.a_reviewer(),
        configuration=scene.outside.configuration,
        now=scene.clock(),
    )


def passes_to(scene: Scene, campaign: CampaignSchedule, *, hours_before: float) -> None:
    assert campaign.scheduled_at is not None
    scene.clock.passes(campaign.scheduled_at - timedelta(hours=hours_before) - scene.clock())


def watch(scene: Scene) -> None:
    watching.keep_watch(outside=scene.outside, clock=scene.clock)


def the_run() -> ListMaintenanceLog:
    return ListMaintenanceLog.objects.get(kind=RunKind.PRE_CAMPAIGN)


def sweep_until_it_awaits_the_send(scene: Scene) -> ListMaintenanceLog:
    run = the_run()
    scene.go_on_while(run, lambda: ListMaintenanceLog.objects.get(pk=run.pk).step == "take_off_held")
    run.refresh_from_db()
    return run


def ranks(scene: Scene) -> dict[int, int]:
    here = scene.lists.campaign[0].memberships.current()
    return dict(here.values_list("contact_id", "rank"))


def addressed(scene: Scene, campaign: CampaignSchedule) -> set[int]:
    """Who has a message of it, as Mailjet says."""
    campaign.refresh_from_db()
    evidence.fetch(campaign, mailjet=scene.outside.mailjet, now=scene.clock())
    return set(CampaignRecipient.objects.filter(campaign=campaign).values_list("contact_id", flat=True))


@pytest.mark.parametrize(("treatment", "reached"), [(HeldTreatment.FIVE, 10), (HeldTreatment.NONE, 0)])
def test_a_sample_of_each_held_domain_gets_it_the_rest_not_and_all_are_back_in_their_places(
    scene: Scene, held: list[Contact], campaign: CampaignSchedule, treatment: HeldTreatment, reached: int
) -> None:
    before, at_mailjet = ranks(scene), scene.members(scene.lists.campaign[0])
    five = {contact.pk for contact in (*held[:5], *held[8:13])} if reached else set()
    watch(scene)
    choose(scene, campaign, treatment)
    watch(scene)
    assert not ListMaintenanceLog.objects.filter(kind=RunKind.PRE_CAMPAIGN).exists()  # a hold may end yet
    passes_to(scene, campaign, hours_before=5.5)

    watch(scene)
    run = sweep_until_it_awaits_the_send(scene)
    off = {contact.pk for contact in held} - five
    assert set(scene.members(scene.lists.campaign[0])) == set(before) - off
    assert set(ranks(scene)) == set(before) - off
    passes_to(scene, campaign, hours_before=0)
    scene.clock.passes(timedelta(hours=3))
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    scene.go_on(run)

    campaign.refresh_from_db()
    assert campaign.status == RoundStatus.SENT
    assert addressed(scene, campaign) == set(before) - off
    assert run.status == RunStatus.SUCCEEDED
    assert scene.members(scene.lists.campaign[0]) == at_mailjet
    assert ranks(scene) == before
    assert run.counts == {"taken_off": len(off), "put_back": len(off), "dropped": 0, "failed": 0}
    assert f"{len(off)} of them are back" in run.report.replace(" contacts", "")


def test_nothing_is_taken_off_while_all_are_to_be_mailed_or_nobody_chose(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    choose(scene, campaign, HeldTreatment.NONE)
    choose(scene, campaign, HeldTreatment.ALL)  # the last word counts
    passes_to(scene, campaign, hours_before=5)

    watch(scene)

    assert not OperationBatch.objects.exists()
    looked = pre_campaign.validate(campaign.pk, outside=scene.outside, by=None, now=scene.clock())
    [found] = [each for each in looked.findings if each.check is Check.HELD]
    assert (found.number, "All are mailed" in found.words) == (15, True)


def test_whoever_says_no_meanwhile_is_not_put_back(
    scene: Scene, held: list[Contact], campaign: CampaignSchedule
) -> None:
    choose(scene, campaign, HeldTreatment.NONE)
    passes_to(scene, campaign, hours_before=5)
    watch(scene)
    run = sweep_until_it_awaits_the_send(scene)
    Contact.objects.filter(pk=held[0].pk).update(opted_out_at=scene.clock(), opted_out_by="an event")
    scene.clock.passes(timedelta(hours=8))
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())

    scene.go_on(run)

    assert held[0].pk not in scene.members(scene.lists.campaign[0])
    item = DecisionItem.objects.get(contact=held[0], action="put_back")
    assert (item.status, item.why) == (ItemStatus.DROPPED, "opted out")
    assert run.counts["put_back"] == 14


def skipped_by_a_send(scene: Scene, campaign: CampaignSchedule) -> ListMaintenanceLog:
    """Nobody of a held domain was mailed; the send has ended, and nobody is back yet."""
    choose(scene, campaign, HeldTreatment.NONE)
    passes_to(scene, campaign, hours_before=5)
    watch(scene)
    run = sweep_until_it_awaits_the_send(scene)
    scene.clock.passes(timedelta(hours=8))
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    return run


def test_whom_mailjet_refuses_to_put_back_is_put_back_by_a_later_try_and_told(
    scene: Scene, held: list[Contact], campaign: CampaignSchedule
) -> None:
    before, began = ranks(scene), scene.clock()
    run = skipped_by_a_send(scene, campaign)
    scene.control.fault(path="managemanycontacts$", method="POST", status=400, times=4)

    scene.go_on(run)

    assert (run.status, ranks(scene)) == (RunStatus.SUCCEEDED, before)
    assert run.counts == {"taken_off": 15, "put_back": 15, "dropped": 0, "failed": 0}
    told = Notification.objects.filter(text__contains="could not be put back in several tries")
    assert told.count() == 1
    assert scene.clock() - began < timedelta(days=2)


def test_who_is_held_anew_while_off_the_list_is_put_back_to_wait_there(
    scene: Scene, held: list[Contact], campaign: CampaignSchedule
) -> None:
    before = ranks(scene)
    run = skipped_by_a_send(scene, campaign)
    scene.control.fault(path="listrecipient|getcontactslists", status=503)
    decided = OperationBatch.objects.filter(kind=BatchKind.PUT_BACK)
    scene.go_on_while(run, lambda: not decided.exists())
    scene.clock.passes(timedelta(minutes=5))
    factories.a_hold(kind=HoldKind.CONTACT, contact=held[0], since=scene.clock(), run=run)
    scene.control.clear_faults()

    scene.go_on(run)

    assert ranks(scene) == before


def test_what_could_not_be_done_before_the_freeze_is_not_done_after_it(
    scene: Scene, held: list[Contact], campaign: CampaignSchedule
) -> None:
    choose(scene, campaign, HeldTreatment.NONE)
    passes_to(scene, campaign, hours_before=2.5)
    watch(scene)
    run = the_run()
    scene.clock.passes(timedelta(minutes=40))  # no worker until the freeze

    runs.sweep(outside=scene.outside, clock=scene.clock)
    run.refresh_from_db()
    assert run.status == RunStatus.WAITING
    assert "is frozen" in run.waits_for
    scene.clock.passes(timedelta(hours=5))
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    scene.go_on(run)

    assert {contact.pk for contact in held} <= addressed(scene, campaign)
    assert not OperationBatch.objects.filter(kind=BatchKind.PUT_BACK).exists()
    whys = set(DecisionItem.objects.filter(decision__run=run).values_list("why", flat=True))
    assert whys == {f"campaign {campaign.pk} is sent, or called off: nobody is skipped any more"}


def test_a_send_that_is_called_off_brings_everybody_back(
    scene: Scene, marketing: Marketing, campaign: CampaignSchedule
) -> None:
    before = ranks(scene)
    choose(scene, campaign, HeldTreatment.NONE)
    passes_to(scene, campaign, hours_before=5)
    watch(scene)
    run = sweep_until_it_awaits_the_send(scene)
    assert campaign.mailjet_draft_id is not None
    marketing.call_off(campaign.mailjet_draft_id)
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())

    scene.go_on(run)

    assert ranks(scene) == before
    assert run.status == RunStatus.SUCCEEDED


def test_a_send_that_goes_to_another_list_now_brings_nobody_along(
    scene: Scene, marketing: Marketing, campaign: CampaignSchedule
) -> None:
    before, two = ranks(scene), scene.lists.campaign[1]
    there = scene.members(two)
    choose(scene, campaign, HeldTreatment.NONE)
    passes_to(scene, campaign, hours_before=5)
    watch(scene)
    run = sweep_until_it_awaits_the_send(scene)
    assert campaign.mailjet_draft_id is not None
    marketing.goes_to(campaign.mailjet_draft_id, two)
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())

    scene.go_on(run)

    assert (ranks(scene), scene.members(two)) == (before, there)
    assert run.status == RunStatus.SUCCEEDED
    assert run.report.startswith("15 contacts of held domains were off List 1 for campaign")


def test_for_p5_they_count_as_skipped_by_the_person_who_chose(
    scene: Scene, held: list[Contact], marketing: Marketing
) -> None:
    one, two, three = scene.lists.campaign
    marketing.sends(two, "Spring")
    scene.clock.passes(timedelta(hours=1))
    marketing.sends(three, "Spring")
    draft = marketing.plans(one, "Spring", days=20 / 24)
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    campaign = CampaignSchedule.objects.get(mailjet_draft_id=draft)
    choose(scene, campaign, HeldTreatment.FIVE)
    passes_to(scene, campaign, hours_before=5)
    watch(scene)
    run = sweep_until_it_awaits_the_send(scene)
    scene.clock.passes(timedelta(hours=8))
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    scene.go_on(run)
    for each in CampaignSchedule.objects.filter(status=RoundStatus.SENT, mailjet_campaign_id__isnull=False):
        addressed(scene, each)

    kept = check_once_per_cycle(now=scene.clock())

    assert kept.broken == ()
    assert any("5 contacts" in note and "no message" in note for note in kept.noted)


def test_who_may_not_choose_and_what_is_too_late_is_refused(scene: Scene, campaign: CampaignSchedule) -> None:
    configuration, now = scene.outside.configuration, scene.clock()
    with pytest.raises(NotAllowed, match="may look, but not decide"):
        retests.choose(
            campaign.pk,
            HeldTreatment.NONE,
            by=factories.a_viewer(),
            configuration=configuration,
            now=now,
        )
    with pytest.raises(NotAllowed, match="LIST_MANAGEMENT_ENABLED"):
        retests.choose(
            campaign.pk,
            HeldTreatment.NONE,
            by=factories.a_reviewer(),
            configuration=replace(configuration, enabled=False),
            now=now,
        )
    choose(scene, campaign, HeldTreatment.FIVE)
    passes_to(scene, campaign, hours_before=5)
    watch(scene)
    with pytest.raises(NotAllowed, match="carries it out already"):
        choose(scene, campaign, HeldTreatment.ALL)
    passes_to(scene, campaign, hours_before=2.2)
    with pytest.raises(NotAllowed, match="too late"):
        choose(scene, campaign, HeldTreatment.ALL)


def test_whom_a_postponed_send_skips_another_send_in_between_reaches(
    scene: Scene, standin: StandIn, held: list[Contact]
) -> None:
    scene.publish()
    scene.control.settings(campaign_lookup_seconds=0)
    with people.at_work(standin, scene.clock) as somebody:
        draft = somebody.plans(scene.lists.campaign[0], "Spring", days=20 / 24)
        between = somebody.plans(scene.lists.campaign[0], "Summer", days=3)
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    campaign = CampaignSchedule.objects.get(mailjet_draft_id=draft)
    choose(scene, campaign, HeldTreatment.NONE)  # for this send alone
    passes_to(scene, campaign, hours_before=5)
    watch(scene)
    sweep_until_it_awaits_the_send(scene)
    with people.at_work(standin, scene.clock) as somebody:
        somebody.postpone(draft, to=scene.clock.in_days(10))
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    for _ in range(30):
        scene.clock.passes(timedelta(hours=2))
        campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
        runs.sweep(outside=scene.outside, clock=scene.clock)
    other = CampaignSchedule.objects.get(mailjet_draft_id=between)

    assert {contact.pk for contact in held} <= addressed(scene, other)


def off_for_a_send(scene: Scene, standin: StandIn) -> CampaignSchedule:
    """Nobody of a held domain is to get a send, as a reviewer chose, and the run has taken them all off."""
    campaign = planned(scene, standin, to=scene.lists.campaign[0])
    choose(scene, campaign, HeldTreatment.NONE)
    passes_to(scene, campaign, hours_before=5)
    watching.keep_watch(outside=scene.outside, clock=scene.clock)
    sweep_until_it_awaits_the_send(scene)
    return campaign


def people_move(scene: Scene, standin: StandIn, campaign: CampaignSchedule, *, to: datetime) -> None:
    """Somebody gives the send another time at Mailjet's pages, and campaigns are read."""
    assert campaign.mailjet_draft_id is not None
    with people.at_work(standin, scene.clock) as somebody:
        somebody.postpone(campaign.mailjet_draft_id, to=to)
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    campaign.refresh_from_db()


def test_after_a_send_was_moved_by_hours_the_reviewers_new_choice_to_mail_all_is_what_happens(
    scene: Scene,
    standin: StandIn,
    held: list[Contact],
) -> None:
    moved = off_for_a_send(scene, standin)
    people_move(scene, standin, moved, to=scene.clock() + timedelta(hours=8))
    assert choose(scene, moved, HeldTreatment.ALL).treatment == HeldTreatment.ALL  # not refused

    for _ in range(16):
        scene.clock.passes(timedelta(hours=1))
        campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
        watching.keep_watch(outside=scene.outside, clock=scene.clock)
        runs.sweep(outside=scene.outside, clock=scene.clock)

    assert {contact.pk for contact in held} <= addressed(scene, moved)


def test_a_run_whose_send_was_postponed_does_not_say_that_it_went_out(
    scene: Scene,
    standin: StandIn,
    held: list[Contact],
) -> None:
    del held
    campaign = off_for_a_send(scene, standin)
    people_move(scene, standin, campaign, to=scene.clock.in_days(10))

    run = scene.go_on(the_run())

    assert run.status == RunStatus.SUCCEEDED
    assert "went out" not in run.report, run.report


def test_a_round_that_people_called_off_is_explained_for_whom_a_later_cycles_send_skips(
    scene: Scene,
) -> None:
    one, two, three = scene.lists.campaign
    now = scene.clock()
    first = factories.a_cycle(started_at=now - timedelta(days=30), ended_at=now - timedelta(days=25))
    began = now - timedelta(days=30)
    fetched = {"recipients_fetched_at": now - timedelta(days=20)}
    for n, to in enumerate((two, three), 1):
        sent = factories.a_campaign(
            list=to, cycle=first, round=n, started_at=began, ended_at=began + timedelta(hours=1), **fetched
        )
        factories.a_recipient(campaign=sent, contact=factories.a_membership(list=to).contact)
    factories.a_campaign(
        list=one, cycle=first, round=3, status=RoundStatus.CANCELLED, cause="its schedule was taken away"
    )
    contact = factories.a_membership(list=one, since=now - timedelta(days=60)).contact
    assert not check_once_per_cycle(now=now).broken  # people called the round off

    later = factories.a_campaign(list=one, status=RoundStatus.SCHEDULED, cycle=factories.a_cycle())
    run = factories.a_run(kind=RunKind.PRE_CAMPAIGN, campaign=later)
    decision = factories.a_decision(run=run, kind=DecisionKind.HELD, status=DecisionStatus.APPROVED)
    group = factories.a_group(decision=decision, action=ItemAction.TAKE_OFF)
    item = factories.an_item(group=group, contact=contact, source_list=one)
    batch = factories.a_batch(run=run, kind=BatchKind.TAKE_OFF, status=BatchStatus.APPLIED)
    done = factories.an_operation(batch=batch, item=item, status=OperationStatus.APPLIED)
    contact.memberships.filter(list=one).update(until=now, ended_by="operation", ended_with=done)

    assert not check_once_per_cycle(now=now).broken


def _moved_by_an_hour(scene: Scene, standin: StandIn) -> CampaignSchedule:
    """All of held domains are off for a send that people then moved by an hour."""
    moved = off_for_a_send(scene, standin)
    assert moved.scheduled_at is not None
    people_move(scene, standin, moved, to=moved.scheduled_at + timedelta(hours=1))
    return moved


def _as_it_goes(scene: Scene, campaign: CampaignSchedule, *, minutes: int) -> None:
    for _ in range(0, minutes, 5):
        scene.clock.passes(timedelta(minutes=5))
        watching.keep_watch(outside=scene.outside, clock=scene.clock)
        runs.sweep(outside=scene.outside, clock=scene.clock)
    passes_to(scene, campaign, hours_before=0)
    scene.clock.passes(timedelta(hours=3))
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())


@pytest.mark.parametrize(("treatment", "reached"), [(HeldTreatment.FIVE, 10), (HeldTreatment.ALL, 15)])
def test_a_choice_made_anew_after_a_send_was_moved_is_carried_out(
    scene: Scene, standin: StandIn, held: list[Contact], treatment: HeldTreatment, reached: int
) -> None:
    moved = _moved_by_an_hour(scene, standin)
    passes_to(scene, moved, hours_before=3.2)
    runs.sweep(outside=scene.outside, clock=scene.clock)  # asks again in 20 minutes, but for the choice

    choose(scene, moved, treatment)

    _as_it_goes(scene, moved, minutes=60)
    assert len({contact.pk for contact in held} & addressed(scene, moved)) == reached


def test_a_choice_that_there_is_no_time_to_carry_out_anew_is_refused_and_the_old_one_stands(
    scene: Scene, standin: StandIn, held: list[Contact]
) -> None:
    moved = _moved_by_an_hour(scene, standin)
    passes_to(scene, moved, hours_before=145 / 60)

    for treatment in HeldTreatment:
        with pytest.raises(NotAllowed, match="no time is left"):
            choose(scene, moved, treatment)

    _as_it_goes(scene, moved, minutes=30)
    assert not {contact.pk for contact in held} & addressed(scene, moved)


def test_the_same_choice_again_changes_nothing(scene: Scene, standin: StandIn, held: list[Contact]) -> None:
    moved = _moved_by_an_hour(scene, standin)
    passes_to(scene, moved, hours_before=3.2)

    assert choose(scene, moved, HeldTreatment.NONE).run == the_run()

    _as_it_goes(scene, moved, minutes=60)
    assert not {contact.pk for contact in held} & addressed(scene, moved)
    assert ListMaintenanceLog.objects.filter(kind=RunKind.PRE_CAMPAIGN).count() == 1
