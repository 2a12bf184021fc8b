"""Which sends are unscheduled, and when: what blocks at that moment, and does not heal alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from integrations.mailjet import DraftStatus
from listmanagement.domain.validation import Check, Instant, Verdict
from listmanagement.models import (
    BatchKind,
    BatchStatus,
    CampaignSchedule,
    CampaignValidation,
    Contact,
    DecisionStatus,
    DraftOperation,
    DraftStatusHere,
    OperationBatch,
    RolloutState,
    RunKind,
    RunStatus,
)
from listmanagement.workflows import campaigns
from listmanagement.workflows.before_sends import pre_campaign, watching
from tests import factories
from tests.workflows import executing
from tests.workflows import marketing as people
from tests.workflows.before_sends.blocked import (
    SCHEDULE,
    draft_of,
    passes_to,
    watch,
    writes,
)
from tests.workflows.marketing import Marketing
from tests.workflows.scene import Scene, StandIn

pytestmark = pytest.mark.django_db


def test_nothing_is_unscheduled_unless_the_settings_say_so(scene: Scene, campaign: CampaignSchedule) -> None:
    watching.keep_watch(outside=scene.outside, clock=scene.clock)

    assert CampaignValidation.objects.get().verdict == Verdict.BLOCK
    assert writes(scene) == []
    assert not DraftOperation.objects.exists()


def test_in_the_last_quarter_of_an_hour_nothing_is_unscheduled(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    passes_to(scene, campaign, minutes_before=14.9)

    watch(scene)

    assert CampaignValidation.objects.get().instant == Instant.HALF_AN_HOUR_BEFORE
    assert writes(scene) == []


@pytest.mark.parametrize("values", [{"enabled": False}, {}], ids=["off", "paused"])
def test_off_is_off_for_drafts_too(scene: Scene, campaign: CampaignSchedule, values: dict[str, Any]) -> None:
    if not values:
        factories.the_rollout(paused_at=scene.clock(), changed_by=factories.a_user(), why="a holiday")

    watch(scene, **values)

    assert CampaignValidation.objects.get().verdict == Verdict.BLOCK  # reads and reports go on
    assert writes(scene) == []


def test_what_heals_alone_is_waited_for_and_then_goes_out(
    scene: Scene, marketing: Marketing, members: list[Contact], campaign: CampaignSchedule
) -> None:
    factories.ContactSuppressionHistory.objects.all().delete()
    said_no = {"opted_out_at": scene.clock(), "opted_out_by": "an event"}
    Contact.objects.filter(pk=members[1].pk).update(**said_no)
    watch(scene)
    assert CampaignValidation.objects.get().verdict == Verdict.BLOCK
    assert writes(scene) == []

    scene.a_person("unsub", members[1], scene.lists.campaign[0])  # as the consent run does
    scene.clock.passes(timedelta(minutes=11))
    watch(scene)
    watch(scene)

    latest = CampaignValidation.objects.latest("pk")
    assert latest.instant == Instant.BEFORE_UNSCHEDULING
    assert not latest.findings.filter(kind=Check.SAID_NO).exists()
    assert writes(scene) == []
    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED


def test_what_should_heal_alone_and_does_not_is_unscheduled_after_ten_minutes(
    scene: Scene, members: list[Contact], campaign: CampaignSchedule
) -> None:
    factories.ContactSuppressionHistory.objects.all().delete()
    said_no = {"opted_out_at": scene.clock(), "opted_out_by": "an event"}
    Contact.objects.filter(pk=members[1].pk).update(**said_no)
    passes_to(scene, campaign, minutes_before=30)
    watch(scene)
    assert writes(scene) == []
    scene.clock.passes(timedelta(minutes=10))

    watch(scene)

    assert draft_of(scene, campaign) is DraftStatus.DRAFT
    operation = DraftOperation.objects.get()
    assert operation.validation is not None
    assert operation.validation.instant == Instant.BEFORE_UNSCHEDULING


def test_who_looks_in_between_does_not_put_off_the_unscheduling(
    scene: Scene, members: list[Contact], campaign: CampaignSchedule
) -> None:
    factories.ContactSuppressionHistory.objects.all().delete()
    Contact.objects.filter(pk=members[1].pk).update(opted_out_at=scene.clock(), opted_out_by="an event")
    passes_to(scene, campaign, minutes_before=30)
    watch(scene)
    passes_to(scene, campaign, minutes_before=22)
    pre_campaign.validate(campaign.pk, outside=scene.outside, by=factories.a_viewer(), now=scene.clock())

    for minutes in (20, 18, 16, 15.1):
        passes_to(scene, campaign, minutes_before=minutes)
        watch(scene)

    assert draft_of(scene, campaign) is DraftStatus.DRAFT


def test_what_was_mended_before_mailjet_took_the_unscheduling_goes_out(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    scene.control.fault(path=SCHEDULE, method="GET", status=503, times=100)
    watch(scene)
    assert DraftOperation.objects.get().status == DraftStatusHere.INTENDED
    scene.control.clear_faults()
    factories.ContactSuppressionHistory.objects.all().delete()  # a person mends it, and looks again
    looked = pre_campaign.validate(campaign.pk, outside=scene.outside, by=None, now=scene.clock())
    assert looked.look.verdict != Verdict.BLOCK
    scene.clock.passes(timedelta(minutes=5))

    watch(scene)

    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED


def test_what_heals_alone_by_now_is_waited_for_though_an_unscheduling_was_journaled_for_something_else(
    scene: Scene, members: list[Contact], campaign: CampaignSchedule
) -> None:
    scene.control.fault(path=SCHEDULE, method="GET", status=503, times=100)
    watch(scene)
    scene.control.clear_faults()
    factories.ContactSuppressionHistory.objects.all().delete()  # mended, and somebody opts out meanwhile
    Contact.objects.filter(pk=members[1].pk).update(opted_out_at=scene.clock(), opted_out_by="an event")
    scene.clock.passes(timedelta(minutes=5))

    watch(scene)

    assert DraftOperation.objects.get().status == DraftStatusHere.FAILED
    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED


def test_what_was_mended_during_a_pause_goes_out(scene: Scene, campaign: CampaignSchedule) -> None:
    factories.the_rollout(paused_at=scene.clock(), changed_by=factories.a_user(), why="a holiday")
    watch(scene)
    assert CampaignValidation.objects.get().verdict == Verdict.BLOCK
    factories.ContactSuppressionHistory.objects.all().delete()  # mended meanwhile
    scene.clock.passes(timedelta(hours=10))
    RolloutState.objects.update(paused_at=None)

    watch(scene)

    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED


def test_a_viewers_look_changes_nothing(scene: Scene, marketing: Marketing) -> None:
    draft = marketing.plans(scene.lists.campaign[0], "Spring", days=6)
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    campaign = CampaignSchedule.objects.get(mailjet_draft_id=draft)
    pre_campaign.validate(campaign.pk, outside=scene.outside, by=factories.a_viewer(), now=scene.clock())

    watch(scene)

    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED


def test_a_move_of_our_own_in_hand_a_day_before_unschedules_nothing(scene: Scene, standin: StandIn) -> None:
    run = executing.everything(scene).run
    with people.at_work(standin, scene.clock) as somebody:
        draft = somebody.plans(scene.lists.campaign[0], "Spring", days=1)
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    leaving = OperationBatch.objects.filter(
        kind=BatchKind.MOVE_OUT, status__in=[BatchStatus.SENDING, BatchStatus.SUBMITTED]
    )
    scene.go_on_while(run, lambda: not leaving.exists())

    watch(scene)

    found = CampaignValidation.objects.get().findings
    assert [each.words for each in found.filter(severity="blocking")] == []
    assert draft_of(scene, CampaignSchedule.objects.get(mailjet_draft_id=draft)) is DraftStatus.PROGRAMMED


def test_a_suppression_of_ours_under_way_a_day_before_unschedules_nothing(
    scene: Scene, members: list[Contact], campaign: CampaignSchedule
) -> None:
    factories.ContactSuppressionHistory.objects.all().delete()
    run = factories.a_run(kind=RunKind.RECONCILIATION, status=RunStatus.WAITING)
    decision = factories.a_decision(run=run, status=DecisionStatus.APPROVED)
    item = factories.an_item(
        group=factories.a_group(decision=decision), contact=members[1], source_list=scene.lists.campaign[0]
    )
    batch = factories.a_batch(run=run, kind=BatchKind.SUPPRESS, status=BatchStatus.SUBMITTED)
    factories.a_change(batch=batch, list=scene.lists.campaign[0])
    factories.an_operation(batch=batch, item=item)
    # Mailjet's job has put them on the suppression list, and takes them off the campaign list next:
    scene.a_person("addnoforce", members[1], scene.lists.suppression)
    scene.clock.passes(timedelta(minutes=11))  # so that the look reads the lists

    watch(scene)

    found = CampaignValidation.objects.get().findings
    assert [each.words for each in found.filter(severity="blocking")] == []
    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED
