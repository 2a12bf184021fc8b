"""A draft is unscheduled, and scheduled again: journaled first, in time, once, whatever fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from integrations.mailjet import DraftStatus, Mailjet
from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import (
    AuditEntry,
    CampaignSchedule,
    ContactSuppressionHistory,
    DraftChange,
    DraftOperation,
    DraftStatusHere,
    Notification,
    RolloutState,
)
from listmanagement.workflows import campaigns
from listmanagement.workflows.before_sends import pre_campaign, watching
from listmanagement.workflows.campaigns import unscheduling
from listmanagement.workflows.promises.working import check_off
from tests import factories
from tests.workflows import scene as scenes
from tests.workflows.before_sends.blocked import (
    SCHEDULE,
    anyway,
    draft_of,
    enforcing,
    passes_to,
    waits,
    watch,
    writes,
)
from tests.workflows.marketing import Marketing
from tests.workflows.scene import Scene

pytestmark = pytest.mark.django_db


def test_a_send_that_blocks_is_unscheduled_journaled_with_its_old_time_and_told(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    was = campaign.scheduled_at

    watch(scene)
    watch(scene)

    operation = DraftOperation.objects.get()
    campaign.refresh_from_db()
    assert (operation.change, operation.status, operation.sends_at, operation.attempt) == (
        DraftChange.UNSCHEDULE,
        DraftStatusHere.APPLIED,
        was,
        1,
    )
    assert draft_of(scene, campaign) is DraftStatus.DRAFT
    assert len(writes(scene)) == 1
    assert campaign.status == RoundStatus.FAILED
    assert campaign.cause.startswith("unscheduled by Evenkeel, from ")
    assert "1 contact: suppressed, and on List 1." in campaign.cause
    assert Notification.objects.filter(text__contains="unscheduled by Evenkeel").count() == 1
    assert AuditEntry.objects.filter(action="unscheduled", subject_id=campaign.pk).count() == 1


def test_a_blocked_send_stays_blocked_whatever_reading_campaigns_shows(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    watch(scene)
    CampaignSchedule.objects.filter(pk=campaign.pk).update(status=RoundStatus.SCHEDULED, cause="")

    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())  # it began before that was written down

    campaign.refresh_from_db()
    assert campaign.status == RoundStatus.FAILED
    assert "unscheduled by Evenkeel" in campaign.cause


def test_a_change_that_mailjet_did_not_take_in_time_is_given_up_and_told(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    passes_to(scene, campaign, minutes_before=20)
    waits(scene)
    passes_to(scene, campaign, minutes_before=14)

    watch(scene)

    assert DraftOperation.objects.get().status == DraftStatusHere.FAILED
    assert writes(scene) == []
    assert Notification.objects.filter(text__contains="unschedule it at Mailjet by hand").exists()


def test_paused_between_the_journal_and_the_request_nothing_is_sent(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    look = pre_campaign.validate(campaign.pk, outside=scene.outside, by=None, now=scene.clock()).look
    unscheduling.intend_unscheduling(look, now=scene.clock())
    factories.the_rollout(paused_at=scene.clock(), changed_by=factories.a_user(), why="a holiday")

    unscheduling.drive(outside=enforcing(scene), clock=scene.clock)

    assert DraftOperation.objects.get().status == DraftStatusHere.INTENDED
    assert writes(scene) == []


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503, "times": 1},
        {"timeout_after_acceptance": 0, "times": 1},
        {"drop": True, "times": 1},
    ],
    ids=["refused before", "answer lost after", "cut off before"],
)
def test_a_lost_answer_is_looked_up_and_the_effect_is_one(
    scene: Scene, campaign: CampaignSchedule, fault: dict[str, Any]
) -> None:
    scene.control.fault(path=SCHEDULE, method="DELETE", **fault)
    watch(scene)
    assert DraftOperation.objects.get().status in (DraftStatusHere.SENDING, DraftStatusHere.INTENDED)

    scene.clock.passes(timedelta(minutes=2))
    watch(scene)
    scene.clock.passes(timedelta(minutes=2))
    watch(scene)

    assert DraftOperation.objects.get().status == DraftStatusHere.APPLIED
    assert draft_of(scene, campaign) is DraftStatus.DRAFT


@pytest.mark.parametrize("reached", [True, False], ids=["after the request", "before it"])
def test_a_process_that_died_in_sending_is_gone_on_for(
    scene: Scene, marketing: Marketing, campaign: CampaignSchedule, reached: bool
) -> None:
    look = pre_campaign.validate(campaign.pk, outside=scene.outside, by=None, now=scene.clock()).look
    operation = unscheduling.intend_unscheduling(look, now=scene.clock())
    assert DraftOperation.objects.claim_for_sending(operation.pk, at=scene.clock())
    assert not DraftOperation.objects.claim_for_sending(operation.pk, at=scene.clock())
    if reached:
        marketing.call_off(operation.draft_id)
    before = len(writes(scene))
    scene.clock.passes(timedelta(seconds=20))

    for _ in range(2):
        unscheduling.drive(outside=enforcing(scene), clock=scene.clock)

    operation.refresh_from_db()
    assert operation.status == DraftStatusHere.APPLIED
    assert len(writes(scene)) - before == (0 if reached else 1)
    assert draft_of(scene, campaign) is DraftStatus.DRAFT


def test_a_process_that_was_paused_in_sending_unschedules_nothing_that_a_person_has_sent_on_meanwhile(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    look = pre_campaign.validate(campaign.pk, outside=scene.outside, by=None, now=scene.clock()).look
    unscheduling.intend_unscheduling(look, now=scene.clock())

    def go_on() -> None:
        for _ in range(2):
            scene.clock.passes(timedelta(seconds=20))
            unscheduling.drive(outside=enforcing(scene), clock=scene.clock)

    class Paused(Mailjet):
        """Sends its request when another process and a reviewer are done with the draft."""

        def unschedule(self, draft_id: int, *, before_send: Callable[[], None] | None = None) -> None:
            go_on()
            anyway(scene, campaign)
            go_on()
            super().unschedule(draft_id, before_send=before_send)

    with scenes.connect_as(Paused, scene.standin) as mailjet:
        unscheduling.drive(outside=replace(enforcing(scene), mailjet=mailjet), clock=scene.clock)

    campaign.refresh_from_db()
    assert (campaign.status, draft_of(scene, campaign)) == (RoundStatus.SCHEDULED, DraftStatus.PROGRAMMED)
    assert len(writes(scene)) == 2


def test_a_send_that_people_moved_or_called_off_meanwhile_is_left_to_them(
    scene: Scene, marketing: Marketing, campaign: CampaignSchedule
) -> None:
    look = pre_campaign.validate(campaign.pk, outside=scene.outside, by=None, now=scene.clock()).look
    operation = unscheduling.intend_unscheduling(look, now=scene.clock())
    marketing.postpone(operation.draft_id, to=scene.clock.in_days(3))

    unscheduling.drive(outside=enforcing(scene), clock=scene.clock)

    operation.refresh_from_db()
    assert operation.status == DraftStatusHere.FAILED
    assert "somebody moved it to" in operation.error
    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED


def test_a_send_that_went_out_is_not_called_unscheduled(scene: Scene, campaign: CampaignSchedule) -> None:
    passes_to(scene, campaign, minutes_before=16)
    scene.control.fault(path=SCHEDULE, method="DELETE", drop=True, times=1)
    watch(scene)
    assert DraftOperation.objects.get().status == DraftStatusHere.SENDING
    scene.clock.passes(timedelta(hours=1))  # the worker was away; the send went out
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    campaign.refresh_from_db()
    assert campaign.status in (RoundStatus.SENDING, RoundStatus.SENT)

    watch(scene)

    campaign.refresh_from_db()
    assert (campaign.status != RoundStatus.FAILED, DraftOperation.objects.get().status) == (
        True,
        DraftStatusHere.FAILED,
    )
    assert not Notification.objects.filter(text__contains="unscheduled by Evenkeel").exists()


def test_an_unscheduling_sent_while_paused_breaks_p9(scene: Scene, campaign: CampaignSchedule) -> None:
    watch(scene)
    assert campaign.draft_operations.get().status == "applied"
    factories.the_rollout(
        paused_at=scene.clock() - timedelta(hours=1), changed_by=factories.a_user(), why="x"
    )
    assert check_off().broken


def test_a_pause_that_kept_an_unscheduling_from_being_sent_does_not_break_p9(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    class SomebodyPauses(Mailjet):
        def scheduled_at(self, draft_id: int) -> datetime | None:
            found = super().scheduled_at(draft_id)
            if not RolloutState.objects.exists():
                factories.the_rollout(paused_at=scene.clock(), changed_by=factories.a_user(), why="stop")
            return found

    with scenes.connect_as(SomebodyPauses, scene.standin) as mailjet:
        outside = replace(enforcing(scene), mailjet=mailjet)
        watching.keep_watch(outside=outside, clock=scene.clock)

    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED
    assert DraftOperation.objects.get().attempt == 0  # nothing was sent
    assert not check_off().broken


def test_an_unscheduling_that_another_worker_is_asking_for_is_not_said_to_have_failed(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    waits(scene)
    as_one_worker_read_it = DraftOperation.objects.select_related("campaign", "campaign__list").get()
    as_the_other_did = DraftOperation.objects.select_related("campaign", "campaign__list").get()
    ContactSuppressionHistory.objects.all().delete()  # a person mends it, and looks, at this moment
    at = unscheduling._At(enforcing(scene), scene.clock)
    make = unscheduling._make

    def meanwhile(operation: DraftOperation, at: Any) -> None:
        original = scene.outside.mailjet.unschedule

        def asked(draft_id: int, *, before_send: Any) -> None:
            original(draft_id, before_send=before_send)
            pre_campaign.validate(campaign.pk, outside=scene.outside, by=None, now=scene.clock())
            unscheduling._advance(as_one_worker_read_it, at)

        mp.setattr(at.outside.mailjet, "unschedule", asked)
        make(operation, at)

    with pytest.MonkeyPatch.context() as mp:
        mp.setattr(unscheduling, "_make", meanwhile)
        unscheduling._advance(as_the_other_did, at)

    operation = DraftOperation.objects.get()
    assert draft_of(scene, campaign) is DraftStatus.DRAFT
    assert operation.status == DraftStatusHere.APPLIED, operation.error
