"""Runs start by themselves when their time has come, once, and what came late gets a run of its own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from integrations.mailjet import MailjetUnavailable
from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import (
    CampaignKind,
    CampaignSchedule,
    Contact,
    ContactSuppressionHistory,
    Decision,
    DecisionStatus,
    ListMaintenanceLog,
    RolloutState,
    RunKind,
    RunStatus,
    Trigger,
)
from listmanagement.workflows.by_people import review
from listmanagement.workflows.maintenance import late_evidence, schedule
from tests import factories
from tests.factories import NOON
from tests.workflows import scene as scenes
from tests.workflows.scene import Scene
from tests.workflows.sends import (
    UNKNOWN_USER,
    a_last_round,
    a_rotation,
    has_changed_lists,
    has_observed,
)

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)


@pytest.fixture
def campaign(scene: Scene) -> CampaignSchedule:
    """The last send to list 1, which ended 30 hours ago; two of its members are unknown there."""
    members = a_rotation(scene)
    has_observed()
    has_changed_lists()
    return a_last_round(scene, failed={UNKNOWN_USER: members[0][:2]})


def start_due(scene: Scene) -> str:
    return schedule.start_due(scene.outside, scene.clock())


def runs_of(campaign: CampaignSchedule) -> Sequence[ListMaintenanceLog]:
    made = campaign.runs.filter(idempotency_key__contains=f":{campaign.pk}:")
    return list(made.order_by("pk"))


def maintained(scene: Scene, campaign: CampaignSchedule) -> ListMaintenanceLog:
    start_due(scene)
    [run] = runs_of(campaign)
    return decided(scene, run)


def decided(scene: Scene, run: ListMaintenanceLog) -> ListMaintenanceLog:
    """The run to its end; a reviewer approves whatever it asks."""
    for _ in range(3):
        run = scene.go_on(run)
        for decision in Decision.objects.awaiting_review().filter(run=run):
            review.approve(decision.pk, by=factories.a_reviewer(), now=scene.clock())
    assert run.status == RunStatus.SUCCEEDED
    return run


def bounces_late(scene: Scene, campaign: CampaignSchedule, *contacts: Contact) -> None:
    """Mailjet gave up on them after days, and says so from now on."""
    for contact in contacts:
        scene.at_mailjet(
            "update messages set status = 'bounce', state_id = 1, state_permanent = 1 "
            "where campaign_id = ? and contact_id = ?",
            campaign.mailjet_campaign_id,
            contact.pk,
        )


def reached(scene: Scene, n: int) -> Contact:
    """Somebody on list 1 for whom nothing has failed."""
    return Contact.objects.filter(memberships__list=scene.lists.campaign[0]).order_by("memberships__rank")[n]


# --- Maintenance -------------------------------------------------------------------------------------


def test_a_campaign_sent_long_enough_ago_gets_its_run_by_itself_once(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    said = start_due(scene)

    [run] = runs_of(campaign)
    assert (run.kind, run.trigger, run.triggered_by) == (RunKind.POST_CAMPAIGN, Trigger.SCHEDULE, None)
    assert f"run {run.pk} started (post_campaign of campaign {campaign.pk})" in said
    assert "started" not in start_due(scene)
    assert runs_of(campaign) == [run]


def test_what_was_sent_too_recently_or_was_a_test_is_left_for_later(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    CampaignSchedule.objects.filter(pk=campaign.pk).update(ended_at=NOON - timedelta(hours=23))
    start_due(scene)
    assert runs_of(campaign) == []

    scene.clock.passes(timedelta(hours=1))
    row = CampaignSchedule.objects.filter(pk=campaign.pk)
    row.update(kind=CampaignKind.TEST, cycle=None, round=None)
    start_due(scene)
    assert runs_of(campaign) == []

    row.update(kind=CampaignKind.ONE_OFF)
    start_due(scene)
    assert len(runs_of(campaign)) == 1


def test_only_the_latest_send_of_a_list_is_judged(scene: Scene, campaign: CampaignSchedule) -> None:
    before = CampaignSchedule.objects.filter(list=campaign.list).exclude(pk=campaign.pk).get()

    start_due(scene)

    assert (len(runs_of(campaign)), runs_of(before)) == (1, [])


def test_one_campaigns_trouble_keeps_no_others_run_and_is_logged_by_ids_alone(
    scene: Scene, campaign: CampaignSchedule, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    deleted = scene.lists.campaign[1]
    deleted.is_deleted, deleted.name = True, "Jane Doe, 030 12345"
    deleted.save()

    start_due(scene)

    [why] = [str(vars(record)["why"]) for record in caplog.records if record.msg == "not started"]
    assert f"list {deleted.mailjet_id}, which is deleted at Mailjet" in why
    assert "Jane" not in "".join(str(vars(record)) for record in caplog.records)

    assert len(runs_of(campaign)) == 1
    assert not ListMaintenanceLog.objects.filter(campaign__list=deleted, status=RunStatus.PENDING).exists()


def test_switched_off_nothing_starts(scene: Scene, campaign: CampaignSchedule) -> None:
    off = replace(scene.outside, configuration=scenes.configuration(enabled=False))

    assert schedule.start_due(off, scene.clock()) == "no run was due"
    assert runs_of(campaign) == []


# --- Late evidence -----------------------------------------------------------------------------------


def test_what_bounced_late_is_suppressed_by_a_run_of_its_own_at_day_five(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    first = maintained(scene, campaign)
    late = reached(scene, 5)
    bounces_late(scene, campaign, late)
    scene.clock.passes(3 * DAY)
    start_due(scene)
    assert runs_of(campaign) == [first], "its time has not come"

    scene.clock.passes(1 * DAY)
    start_due(scene)

    _, second = runs_of(campaign)
    assert (second.kind, second.stage) == (RunKind.LATE_EVIDENCE, first.stage)
    run = decided(scene, second)
    assert late.pk not in scene.members(scene.lists.campaign[0])
    assert run.counts["suppressed"] == 1
    assert ContactSuppressionHistory.objects.get(contact=late).item.decision.run == run
    assert not run.decisions.exclude(kind="suppression").exists()
    assert run.report
    start_due(scene)
    assert runs_of(campaign) == [first, run]


def test_nothing_new_at_day_five_needs_no_run(scene: Scene, campaign: CampaignSchedule) -> None:
    first = maintained(scene, campaign)
    scene.clock.passes(5 * DAY)

    start_due(scene)

    assert runs_of(campaign) == [first]


def test_what_came_late_is_judged_before_the_lists_next_freeze(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    first = maintained(scene, campaign)
    goes_out_at = scene.clock() + timedelta(hours=10)
    factories.a_campaign(
        list=campaign.list,
        status=RoundStatus.SCHEDULED,
        scheduled_at=goes_out_at,
        started_at=None,
        ended_at=None,
    )
    assert late_evidence.due_at(campaign, at=scene.clock()) == goes_out_at - timedelta(hours=5)
    bounces_late(scene, campaign, reached(scene, 5))
    scene.clock.passes(timedelta(hours=5))

    start_due(scene)

    assert [run.kind for run in runs_of(campaign)] == [first.kind, RunKind.LATE_EVIDENCE]


def test_who_was_rejected_is_not_asked_about_again_on_the_same_evidence(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    RolloutState.objects.update(manual_since=NOON, changed_by=factories.a_reviewer(), why="to look at all")
    start_due(scene)
    [run] = runs_of(campaign)
    scene.go_on(run)
    [decision] = Decision.objects.awaiting_review().filter(run=run)
    refused = set(decision.items.values_list("contact", flat=True))
    review.reject(decision.pk, by=factories.a_reviewer(), now=scene.clock(), why="they are our partners")
    decided(scene, run)
    late = reached(scene, 5)
    bounces_late(scene, campaign, late)
    scene.clock.passes(4 * DAY)
    start_due(scene)

    scene.go_on(runs_of(campaign)[-1])

    [asked] = Decision.objects.awaiting_review()
    assert set(asked.items.values_list("contact", flat=True)) == {late.pk}
    assert refused.isdisjoint({late.pk})
    assert decision.status != DecisionStatus.EXPIRED


def test_mailjet_away_is_said_and_everybody_else_has_had_their_turn(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    maintained(scene, campaign)
    bounces_late(scene, campaign, reached(scene, 5))
    scene.clock.passes(4 * DAY)
    scene.control.fault(path="message", method="GET", status=502, times=10)

    with pytest.raises(MailjetUnavailable):
        start_due(scene)

    scene.control.clear_faults()
    start_due(scene)
    assert runs_of(campaign)[-1].kind == RunKind.LATE_EVIDENCE
