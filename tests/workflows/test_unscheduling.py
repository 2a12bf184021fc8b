"""What must not go out is unscheduled at Mailjet: journaled first, in time, once. A reviewer sends it on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from integrations.mailjet import DraftStatus, Mailjet
from listmanagement.domain.cycle import RoundStatus
from listmanagement.domain.validation import Check, Instant, Verdict
from listmanagement.models import (
    AuditEntry,
    BatchKind,
    BatchStatus,
    CampaignClearance,
    CampaignKind,
    CampaignSchedule,
    CampaignValidation,
    Contact,
    DecisionStatus,
    DraftChange,
    DraftOperation,
    DraftStatusHere,
    Notification,
    OperationBatch,
    RolloutState,
    RunKind,
    RunStatus,
)
from listmanagement.outside import Outside
from listmanagement.workflows import campaigns
from listmanagement.workflows.before_sends import pre_campaign, send_facts, watching
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.campaigns import unscheduling
from listmanagement.workflows.promises.working import check_off
from tests import factories
from tests.workflows import executing
from tests.workflows import marketing as people
from tests.workflows import scene as scenes
from tests.workflows.marketing import Marketing
from tests.workflows.scene import Scene, StandIn

pytestmark = pytest.mark.django_db

SCHEDULE = r"/v3/REST/campaigndraft/\d+/schedule"


@pytest.fixture
def members(scene: Scene) -> list[Contact]:
    """Six members of the first list; the first of them is suppressed, which nobody but people put right."""
    found = list(scenes.people(6, on=[scene.lists.master, scene.lists.campaign[0]]))
    factories.an_imported_suppression(contact=found[0])
    return found


@pytest.fixture
def marketing(standin: StandIn, scene: Scene, members: list[Contact]) -> Iterator[Marketing]:
    """Somebody at Mailjet's pages."""
    scene.publish()
    scene.control.settings(campaign_lookup_seconds=0)
    with people.at_work(standin, scene.clock) as marketing:
        yield marketing


@pytest.fixture
def campaign(scene: Scene, marketing: Marketing) -> CampaignSchedule:
    """A send to the first list in 20 hours, which blocks."""
    draft = marketing.plans(scene.lists.campaign[0], "Spring", days=20 / 24)
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    return CampaignSchedule.objects.get(mailjet_draft_id=draft)


def enforcing(scene: Scene, **values: Any) -> Outside:
    configuration = replace(scene.outside.configuration, pre_campaign_enforce=True, **values)
    return replace(scene.outside, configuration=configuration)


def watch(scene: Scene, **values: Any) -> None:
    watching.keep_watch(outside=enforcing(scene, **values), clock=scene.clock)


def writes(scene: Scene) -> list[str]:
    """The paths of the write requests about schedules since people scheduled it."""
    return [path for path in scene.standin.writes() if path.endswith("/schedule")][1:]


def draft_of(scene: Scene, campaign: CampaignSchedule) -> DraftStatus:
    assert campaign.mailjet_draft_id is not None
    draft = scene.outside.mailjet.draft(campaign.mailjet_draft_id)
    assert draft is not None
    return draft.status


def passes_to(scene: Scene, campaign: CampaignSchedule, *, minutes_before: float) -> None:
    assert campaign.scheduled_at is not None
    scene.clock.passes(campaign.scheduled_at - timedelta(minutes=minutes_before) - scene.clock())


def test_nothing_is_unscheduled_unless_the_settings_say_so(scene: Scene, campaign: CampaignSchedule) -> None:
    watching.keep_watch(outside=scene.outside, clock=scene.clock)

    assert CampaignValidation.objects.get().verdict == Verdict.BLOCK
    assert writes(scene) == []
    assert not DraftOperation.objects.exists()


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


def test_in_the_last_quarter_of_an_hour_nothing_is_unscheduled(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    passes_to(scene, campaign, minutes_before=14.9)

    watch(scene)

    assert CampaignValidation.objects.get().instant == Instant.HALF_AN_HOUR_BEFORE
    assert writes(scene) == []


def test_a_change_that_mailjet_did_not_take_in_time_is_given_up_and_told(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    passes_to(scene, campaign, minutes_before=20)
    scene.control.fault(path=SCHEDULE, method="GET", status=503, times=100)
    watch(scene)
    assert DraftOperation.objects.get().status == DraftStatusHere.INTENDED
    scene.control.clear_faults()
    passes_to(scene, campaign, minutes_before=14)

    watch(scene)

    assert DraftOperation.objects.get().status == DraftStatusHere.FAILED
    assert writes(scene) == []
    assert Notification.objects.filter(text__contains="unschedule it at Mailjet by hand").exists()


@pytest.mark.parametrize("values", [{"enabled": False}, {}], ids=["off", "paused"])
def test_off_is_off_for_drafts_too(scene: Scene, campaign: CampaignSchedule, values: dict[str, Any]) -> None:
    if not values:
        factories.the_rollout(paused_at=scene.clock(), changed_by=factories.a_user(), why="a holiday")

    watch(scene, **values)

    assert CampaignValidation.objects.get().verdict == Verdict.BLOCK  # reads and reports go on
    assert writes(scene) == []


def test_paused_between_the_journal_and_the_request_nothing_is_sent(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    look = pre_campaign.validate(campaign.pk, outside=scene.outside, by=None, now=scene.clock()).look
    unscheduling.intend_unscheduling(look, now=scene.clock())
    factories.the_rollout(paused_at=scene.clock(), changed_by=factories.a_user(), why="a holiday")

    unscheduling.drive(outside=enforcing(scene), clock=scene.clock)

    assert DraftOperation.objects.get().status == DraftStatusHere.INTENDED
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


# --- Faults ----------------------------------------------------------------------------------------------


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


# --- Send anyway -----------------------------------------------------------------------------------------


def anyway(
    scene: Scene,
    campaign: CampaignSchedule,
    *,
    look: CampaignValidation | None = None,
    by: Any = None,
    why: str = "they wait for it",
) -> str:
    look = look or CampaignValidation.objects.order_by("pk").last()
    return pre_campaign.send_anyway(
        campaign.pk,
        look_id=look.pk if look is not None else 0,
        by=by or factories.a_reviewer(),
        why=why,
        configuration=enforcing(scene).configuration,
        now=scene.clock(),
    )


def test_a_reviewer_sends_it_anyway_and_it_is_scheduled_again_for_its_old_time_and_sent(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    watch(scene)
    ana = factories.a_reviewer("ana")

    said = anyway(scene, campaign, by=ana)
    watch(scene)
    watch(scene)

    campaign.refresh_from_db()
    assert "is scheduled again for" in said
    assert (campaign.status, campaign.cause) == (RoundStatus.SCHEDULED, "")
    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED
    clearance = CampaignClearance.objects.get()
    assert (clearance.by, clearance.why) == (ana, "they wait for it")
    entry = AuditEntry.objects.get(action="send anyway")
    assert (entry.actor, entry.details["why"]) == ("ana", "they wait for it")
    assert len(writes(scene)) == 2

    passes_to(scene, campaign, minutes_before=120)
    watch(scene)
    scene.clock.passes(timedelta(hours=3))
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    campaign.refresh_from_db()
    assert campaign.status == RoundStatus.SENT
    assert DraftOperation.objects.count() == 2


@pytest.mark.parametrize("healed", [False, True], ids=["one more", "another one"])
def test_what_was_not_known_then_blocks_anew(
    scene: Scene, members: list[Contact], campaign: CampaignSchedule, healed: bool
) -> None:
    watch(scene)
    anyway(scene, campaign)
    watch(scene)
    if healed:
        factories.ContactSuppressionHistory.objects.all().delete()
    factories.an_imported_suppression(contact=members[1])
    passes_to(scene, campaign, minutes_before=120)

    watch(scene)

    assert CampaignValidation.objects.latest("pk").verdict == Verdict.BLOCK
    assert draft_of(scene, campaign) is DraftStatus.DRAFT


def test_a_block_that_was_cleared_before_it_is_enforced_never_is(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    watching.keep_watch(outside=scene.outside, clock=scene.clock)

    assert "goes out as scheduled" in anyway(scene, campaign)
    watch(scene)

    assert writes(scene) == []
    assert not DraftOperation.objects.exists()


def test_a_time_that_has_passed_is_cleared_and_not_scheduled(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    watch(scene)
    scene.clock.passes(timedelta(days=1))

    assert "its time has passed" in anyway(scene, campaign)
    watch(scene)

    assert len(writes(scene)) == 1


def test_who_may_not_and_what_has_no_reason_is_refused_and_twice_is_once(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    with pytest.raises(NotAllowed, match="nothing blocks"):
        anyway(scene, campaign)
    watch(scene)
    with pytest.raises(NotAllowed, match="may look, but not decide"):
        anyway(scene, campaign, by=factories.a_viewer())
    with pytest.raises(NotAllowed, match="needs a reason"):
        anyway(scene, campaign, why=" ")

    anyway(scene, campaign)

    with pytest.raises(NotAllowed, match="said so already"):
        anyway(scene, campaign)
    assert CampaignClearance.objects.count() == 1


def test_while_off_nobody_schedules_anything(scene: Scene, campaign: CampaignSchedule) -> None:
    watch(scene)
    off = replace(scene.outside.configuration, enabled=False)

    with pytest.raises(NotAllowed, match="LIST_MANAGEMENT_ENABLED"):
        pre_campaign.send_anyway(
            campaign.pk,
            look_id=CampaignValidation.objects.get().pk,
            by=factories.a_reviewer(),
            why="now",
            configuration=off,
            now=scene.clock(),
        )
    assert not CampaignClearance.objects.exists()


def test_what_was_cleared_is_named_so(scene: Scene, campaign: CampaignSchedule) -> None:
    watch(scene)
    anyway(scene, campaign)
    watch(scene)

    looked = pre_campaign.validate(campaign.pk, outside=scene.outside, by=None, now=scene.clock())

    assert looked.look.verdict == Verdict.WARN
    assert [each.check for each in looked.findings if each.is_cleared] == [Check.SUPPRESSED]


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


def test_a_send_that_was_scheduled_again_and_went_out_is_not_said_to_need_scheduling(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    watch(scene)
    passes_to(scene, campaign, minutes_before=10)
    anyway(scene, campaign)
    scene.control.fault(path=SCHEDULE, method="POST", timeout_after_acceptance=0, times=1)
    watch(scene)
    assert DraftOperation.objects.latest("pk").status == DraftStatusHere.SENDING
    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED
    scene.clock.passes(timedelta(hours=1))  # the worker was away; the send went out

    watch(scene)
    watch(scene)

    assert draft_of(scene, campaign) is DraftStatus.SENT
    assert not Notification.objects.filter(text__contains="schedule it at Mailjet for another").exists()


def test_a_send_that_a_person_calls_off_after_all_is_called_off_by_that_person(
    scene: Scene, marketing: Marketing, campaign: CampaignSchedule
) -> None:
    watch(scene)
    anyway(scene, campaign)
    watch(scene)
    campaign.refresh_from_db()
    assert campaign.status == RoundStatus.SCHEDULED
    assert campaign.mailjet_draft_id is not None
    scene.clock.passes(timedelta(minutes=30))
    marketing.call_off(campaign.mailjet_draft_id)

    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())

    campaign.refresh_from_db()
    assert (campaign.status, campaign.cause) == (
        RoundStatus.CANCELLED,
        "its schedule was taken away at Mailjet",
    )


def test_anyway_clears_what_the_reviewer_saw(
    scene: Scene, members: list[Contact], campaign: CampaignSchedule
) -> None:
    page = pre_campaign.validate(campaign.pk, outside=scene.outside, by=None, now=scene.clock())
    for each in members[1:4]:
        factories.an_imported_suppression(contact=each)
    pre_campaign.validate(campaign.pk, outside=scene.outside, by=None, now=scene.clock())  # meanwhile

    with pytest.raises(NotAllowed, match="was looked at again"):
        anyway(scene, campaign, look=page.look)
    looked = pre_campaign.validate(campaign.pk, outside=scene.outside, by=None, now=scene.clock())
    assert looked.look.verdict == Verdict.BLOCK


def test_what_was_cleared_of_one_list_blocks_on_another(
    scene: Scene, marketing: Marketing, members: list[Contact], campaign: CampaignSchedule
) -> None:
    watch(scene)
    anyway(scene, campaign)
    factories.a_membership(contact=members[0], list=scene.lists.campaign[1])
    CampaignSchedule.objects.filter(pk=campaign.pk).update(
        list=scene.lists.campaign[1], status=RoundStatus.SCHEDULED
    )
    campaign.refresh_from_db()

    assert pre_campaign.latest(campaign) is None
    configuration = scene.outside.configuration
    facts = send_facts.read(
        campaign,
        configuration=configuration,
        has_model=False,
        members_at_mailjet=None,
        not_asked="",
        now=scene.clock(),
    )
    assert (list(facts.suppressed), facts.cleared) == ([members[0].pk], {})


def test_clearing_one_earlier_round_does_not_clear_a_later_one(
    scene: Scene, members: list[Contact], campaign: CampaignSchedule
) -> None:
    factories.ContactSuppressionHistory.objects.all().delete()
    cycle = factories.a_cycle(started_at=scene.clock() - timedelta(days=3))

    def bounced(to: Any, days: float, *, hard: int, of: int) -> None:
        began = scene.clock() - timedelta(days=days)
        sent = factories.a_campaign(
            list=to, cycle=cycle, started_at=began, ended_at=began + timedelta(hours=1)
        )
        for n in range(of):
            to_one = factories.a_recipient(campaign=sent, **({"outcome": "bounced"} if n < hard else {}))
            if n < hard:
                factories.a_bounce(recipient=to_one)

    bounced(scene.lists.campaign[1], 3, hard=2, of=20)
    CampaignSchedule.objects.filter(pk=campaign.pk).update(cycle=cycle, kind=CampaignKind.ROUND, round=3)
    pre_campaign.validate(campaign.pk, outside=scene.outside, by=None, now=scene.clock())
    anyway(scene, campaign)
    bounced(scene.lists.campaign[2], 0.5, hard=2, of=10)

    looked = pre_campaign.validate(campaign.pk, outside=scene.outside, by=None, now=scene.clock())

    rounds = [(e.words[:40], e.is_cleared) for e in looked.findings if e.check is Check.EARLIER_ROUND]
    assert sorted(cleared for _, cleared in rounds) == [False, True], rounds
    assert looked.look.verdict == Verdict.BLOCK


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


def test_an_unscheduling_sent_while_paused_breaks_p9(scene: Scene, campaign: CampaignSchedule) -> None:
    watch(scene)
    assert campaign.draft_operations.get().status == "applied"
    factories.the_rollout(
        paused_at=scene.clock() - timedelta(hours=1), changed_by=factories.a_user(), why="x"
    )
    assert check_off().broken
