"""Which sends are unscheduled, and when: what blocks at that moment, and does not heal alone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from integrations.mailjet import DraftStatus, Mailjet
from listmanagement.domain.validation import Check, Instant, Verdict
from listmanagement.models import (
    BatchKind,
    BatchStatus,
    CampaignSchedule,
    CampaignValidation,
    Contact,
    ContactSuppressionHistory,
    DecisionStatus,
    DraftOperation,
    DraftStatusHere,
    Notification,
    OperationBatch,
    Recurring,
    RolloutState,
    RunKind,
    RunStatus,
)
from listmanagement.workflows import campaigns, mirror, timetable
from listmanagement.workflows.before_sends import pre_campaign, watching
from listmanagement.workflows.campaigns import unscheduling
from tests import factories
from tests.workflows import executing
from tests.workflows import marketing as people
from tests.workflows import scene as scenes
from tests.workflows.before_sends.blocked import (
    draft_of,
    enforcing,
    look,
    opts_out,
    passes_to,
    planned,
    waits,
    watch,
    writes,
)
from tests.workflows.executing import a_suppression
from tests.workflows.marketing import Marketing
from tests.workflows.scene import Scene, StandIn
from tests.workflows.test_journal_consent import half_moved

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
    opts_out(scene, members[1])
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
    opts_out(scene, members[1])
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
    opts_out(scene, members[1])
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
    waits(scene)
    factories.ContactSuppressionHistory.objects.all().delete()  # a person mends it, and looks again
    looked = pre_campaign.validate(campaign.pk, outside=scene.outside, by=None, now=scene.clock())
    assert looked.look.verdict != Verdict.BLOCK
    scene.clock.passes(timedelta(minutes=5))

    watch(scene)

    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED


def test_what_heals_alone_by_now_is_waited_for_though_an_unscheduling_was_journaled_for_something_else(
    scene: Scene, members: list[Contact], campaign: CampaignSchedule
) -> None:
    waits(scene)
    factories.ContactSuppressionHistory.objects.all().delete()  # mended, and somebody opts out meanwhile
    opts_out(scene, members[1])
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


def test_what_a_person_mended_at_mailjet_minutes_before_is_seen_by_the_look_just_before_an_unscheduling(
    scene: Scene, members: list[Contact], campaign: CampaignSchedule
) -> None:
    factories.the_rollout(paused_at=scene.clock(), changed_by=factories.a_user(), why="a holiday")
    scene.clock.passes(timedelta(minutes=11))  # so that the first look reads the lists
    watch(scene)
    assert CampaignValidation.objects.get().verdict == Verdict.BLOCK
    scene.clock.passes(timedelta(minutes=3))
    scene.a_person("remove", members[0], scene.lists.campaign[0])  # as the finding says: at Mailjet
    scene.clock.passes(timedelta(minutes=3))
    RolloutState.objects.update(paused_at=None)

    watch(scene)

    assert CampaignValidation.objects.latest("pk").instant == Instant.BEFORE_UNSCHEDULING
    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED


def test_in_a_large_account_what_was_unsubscribed_at_mailjet_in_the_ten_minutes_goes_out(
    scene: Scene, members: list[Contact], campaign: CampaignSchedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    # some million contacts: three readings of everything take half an hour
    monkeypatch.setattr(Mailjet, "time_for", lambda self, requests: timedelta(minutes=10))
    ContactSuppressionHistory.objects.all().delete()
    opts_out(scene, members[1])
    scene.clock.passes(timedelta(minutes=31))
    watch(scene)
    assert CampaignValidation.objects.get().verdict == Verdict.BLOCK
    scene.a_person("unsub", members[1], scene.lists.campaign[0])  # they themselves, by a link
    scene.clock.passes(timedelta(minutes=11))

    watch(scene)

    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED


def test_a_viewers_look_in_between_does_not_have_unscheduled_what_heals_by_itself_by_now(
    scene: Scene, members: list[Contact], campaign: CampaignSchedule
) -> None:
    waits(scene)
    ContactSuppressionHistory.objects.all().delete()  # mended, and somebody opts out meanwhile
    opts_out(scene, members[1])
    scene.clock.passes(timedelta(minutes=5))
    seen = look(scene, campaign, by=factories.a_viewer())
    assert [each.kind for each in seen.findings.filter(severity="blocking")] == [Check.SAID_NO]

    watch(scene)

    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED


def test_nobody_is_told_that_a_block_is_mended_while_the_send_still_blocks(
    scene: Scene, members: list[Contact], campaign: CampaignSchedule
) -> None:
    waits(scene)
    ContactSuppressionHistory.objects.all().delete()
    opts_out(scene, members[1])
    scene.clock.passes(timedelta(minutes=5))

    watch(scene)

    assert CampaignValidation.objects.latest("pk").verdict == Verdict.BLOCK
    assert not Notification.objects.filter(text__contains="is mended").exists()


def test_what_does_not_heal_is_unscheduled_in_time_by_the_timetable_as_the_beat_asks_for_it(
    scene: Scene, marketing: Marketing, members: list[Contact]
) -> None:
    ContactSuppressionHistory.objects.all().delete()
    opts_out(scene, members[1])
    draft = marketing.plans(scene.lists.campaign[0], "Spring", days=26.6 / 24 / 60)
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    campaign = CampaignSchedule.objects.get(mailjet_draft_id=draft)
    done: list[datetime] = []

    for minute in range(17):  # the beat asks each minute
        passes_to(scene, campaign, minutes_before=26.5 - minute)
        if Recurring.VALIDATE in timetable.due(now=scene.clock()):
            assert timetable.do(Recurring.VALIDATE, outside=enforcing(scene), clock=scene.clock)
            done.append(scene.clock())

    assert campaign.scheduled_at is not None
    before = [round((campaign.scheduled_at - each).total_seconds() / 60, 1) for each in done]
    told = Notification.objects.filter(text__contains="unschedule it at Mailjet by hand").exists()
    assert draft_of(scene, campaign) is DraftStatus.DRAFT or told, f"looked at minutes before: {before}"


def test_a_suppressed_contact_blocks_though_evenkeel_takes_them_off_another_list_at_that_moment(
    scene: Scene, members: list[Contact], campaign: CampaignSchedule
) -> None:
    two = scene.lists.campaign[1]
    suppressed = members[0]
    scene.a_person("addnoforce", suppressed, two)
    factories.a_membership(contact=suppressed, list=two)
    run = factories.a_run(kind=RunKind.RECONCILIATION, status=RunStatus.WAITING)
    decision = factories.a_decision(run=run, status=DecisionStatus.APPROVED)
    group = factories.a_group(decision=decision)
    item = factories.an_item(group=group, contact=suppressed, source_list=two)
    batch = factories.a_batch(run=run, kind=BatchKind.TAKE_OFF, status=BatchStatus.SUBMITTED)
    factories.a_change(batch=batch, list=two)
    factories.an_operation(batch=batch, item=item)
    passes_to(scene, campaign, minutes_before=30)

    watch(scene)

    kinds = list(CampaignValidation.objects.latest("pk").findings.values_list("kind", flat=True))
    assert Check.SUPPRESSED in kinds, kinds
    assert draft_of(scene, campaign) is DraftStatus.DRAFT


def test_nothing_that_is_journaled_is_unscheduled_once_the_settings_do_not_want_it_any_more(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    waits(scene)
    scene.clock.passes(timedelta(minutes=5))

    watch(scene, pre_campaign_enforce=False)

    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED


def test_a_reviewers_word_about_one_send_does_not_have_another_unscheduled_by_an_old_look(
    scene: Scene, marketing: Marketing, campaign: CampaignSchedule
) -> None:
    waits(scene)
    state = factories.the_rollout(paused_at=scene.clock(), changed_by=factories.a_user(), why="a holiday")
    ContactSuppressionHistory.objects.all().delete()  # mended during the pause
    scene.clock.passes(timedelta(hours=5))
    watch(scene)
    state.paused_at = None
    state.save()

    # `validate_campaign OTHER --send-anyway` ends with this, for all drafts, before the timetable comes by:
    unscheduling.drive(outside=enforcing(scene), clock=scene.clock)
    watch(scene)

    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED


def test_a_send_that_was_postponed_since_its_unscheduling_was_journaled_is_left_to_people(
    scene: Scene, marketing: Marketing, campaign: CampaignSchedule
) -> None:
    operation = waits(scene)
    marketing.postpone(operation.draft_id, to=scene.clock() + timedelta(hours=22))
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    scene.clock.passes(timedelta(minutes=6))

    watch(scene)

    operation.refresh_from_db()
    assert operation.status == DraftStatusHere.FAILED
    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED
    watch(scene)  # it is looked at as the send that it is now
    assert draft_of(scene, campaign) is DraftStatus.DRAFT


def told(words: str) -> bool:
    return Notification.objects.filter(text__contains=words).exists()


def test_a_send_that_was_moved_and_looked_at_while_its_unscheduling_waited_is_not_left_to_go_out(
    scene: Scene, marketing: Marketing, campaign: CampaignSchedule
) -> None:
    operation = waits(scene)
    factories.the_rollout(paused_at=scene.clock(), changed_by=factories.a_user(), why="a holiday")
    marketing.postpone(operation.draft_id, to=scene.clock() + timedelta(hours=1))
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    campaign.refresh_from_db()
    passes_to(scene, campaign, minutes_before=30)
    watch(scene)  # looked at as the send that it is now: it blocks
    passes_to(scene, campaign, minutes_before=24)
    RolloutState.objects.update(paused_at=None)

    for minutes in range(24, 10, -1):
        passes_to(scene, campaign, minutes_before=minutes)
        watch(scene)

    assert draft_of(scene, campaign) is DraftStatus.DRAFT or told("by hand"), list(
        DraftOperation.objects.values_list("status", "error", "sends_at")
    )


def test_what_people_mended_on_the_other_list_is_seen_also_of_more_than_twenty(
    scene: Scene, standin: StandIn
) -> None:
    one, two = scene.lists.campaign[:2]
    both = scenes.people(25, on=[scene.lists.master, one, two])
    scenes.people(50, on=[scene.lists.master, one])
    campaign = planned(scene, standin, to=one)
    factories.the_rollout(paused_at=scene.clock(), changed_by=factories.a_user(), why="a holiday")
    scene.clock.passes(timedelta(minutes=11))  # so that the first look reads the lists
    watch(scene)
    found = CampaignValidation.objects.get().findings.filter(severity="blocking")
    assert list(found.values_list("kind", flat=True)) == [Check.SEVERAL_LISTS]
    scene.clock.passes(timedelta(minutes=3))
    for each in both:
        scene.a_person("remove", each, two)  # as the finding says: off one of the lists, at Mailjet
    scene.clock.passes(timedelta(minutes=3))
    RolloutState.objects.update(paused_at=None)

    watch(scene)

    assert CampaignValidation.objects.latest("pk").instant == Instant.BEFORE_UNSCHEDULING
    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED


def test_a_send_that_blocks_is_unscheduled_though_each_look_at_it_takes_six_minutes(
    scene: Scene, campaign: CampaignSchedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = pre_campaign._ask_for_blocked

    def slowly(*args: Any, **kwargs: Any) -> None:
        ask(*args, **kwargs)
        scene.clock.passes(timedelta(minutes=6))

    monkeypatch.setattr(pre_campaign, "_ask_for_blocked", slowly)
    for _ in range(5):
        watch(scene)
        scene.clock.passes(timedelta(minutes=1))

    assert draft_of(scene, campaign) is DraftStatus.DRAFT, list(
        DraftOperation.objects.values_list("status", "error")
    )


def test_who_opted_out_just_after_their_suppression_blocks_no_send(scene: Scene, standin: StandIn) -> None:
    scenes.people(6, on=[scene.lists.master, scene.lists.campaign[0]])
    run, [contact] = a_suppression(scene, contacts=1)
    one, sent = scene.lists.campaign[0], run.batches.filter(status=BatchStatus.SUBMITTED)
    scene.control.settings(job_seconds=5, unsub_adds_nonmember=True, campaign_lookup_seconds=0)
    for each in (*scene.lists.campaign, scene.lists.suppression):  # as the half-hourly reading does
        mirror.refresh(each, mailjet=scene.outside.mailjet, now=scene.clock())
    scene.go_on_while(run, lambda: not sent.exists())
    scene.clock.passes(timedelta(seconds=6))
    scene.a_person("unsub", contact, one)
    scene.control.fault(path="/listrecipient", method="GET", status=503, times=100)  # later steps read lists
    scene.go_on_while(run, lambda: not run.batches.filter(status=BatchStatus.APPLIED).exists())
    scene.control.clear_faults()
    assert ContactSuppressionHistory.objects.standing().filter(contact=contact).exists()
    assert scene.members(one)[contact.pk] is True
    with people.at_work(standin, scene.clock) as somebody:
        draft = somebody.plans(one, "Summer", days=20 / 24)
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    campaign = CampaignSchedule.objects.get(mailjet_draft_id=draft)

    watch(scene)

    found = CampaignValidation.objects.filter(campaign=campaign).latest("pk").findings
    assert [each.words for each in found.filter(severity="blocking")] == []
    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED


def test_an_opt_out_that_is_repeated_in_the_middle_of_a_move_unschedules_nothing(
    scene: Scene, standin: StandIn
) -> None:
    run, moved = half_moved(scene)
    scene.a_person("unsub", moved[1], scene.lists.campaign[0])
    scene.control.settings(campaign_lookup_seconds=0)
    with people.at_work(standin, scene.clock) as somebody:
        draft = somebody.plans(scene.lists.campaign[1], "Spring", days=20 / 24)
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    carrying = OperationBatch.objects.filter(
        kind=BatchKind.CARRY_OPT_OUT, status__in=[BatchStatus.SENDING, BatchStatus.SUBMITTED]
    )
    scene.go_on_while(run, lambda: not carrying.exists())

    watch(scene)

    found = CampaignValidation.objects.latest("pk").findings.filter(severity="blocking")
    assert {each.kind for each in found} <= {Check.SAID_NO}  # which heals alone
    assert draft_of(scene, CampaignSchedule.objects.get(mailjet_draft_id=draft)) is DraftStatus.PROGRAMMED


def test_a_send_whose_unscheduling_was_given_up_while_the_setting_was_off_is_unscheduled_once_it_is_on(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    passes_to(scene, campaign, minutes_before=29)
    waits(scene)
    scene.clock.passes(timedelta(minutes=1))
    watch(scene, pre_campaign_enforce=False)  # a worker that was not started anew yet

    for minutes in range(27, 10, -1):
        passes_to(scene, campaign, minutes_before=minutes)
        watch(scene)

    assert draft_of(scene, campaign) is DraftStatus.DRAFT or told("by hand")


def test_the_setting_may_be_on_again_in_the_very_minute_in_which_an_unscheduling_was_given_up(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    """What was found a moment ago belongs to the unscheduling that was given up: it is looked at anew."""
    passes_to(scene, campaign, minutes_before=29)
    given_up = waits(scene)
    watch(scene, pre_campaign_enforce=False)

    watch(scene)

    assert draft_of(scene, campaign) is DraftStatus.DRAFT
    assert set(DraftOperation.objects.values_list("status", flat=True)) == {
        DraftStatusHere.FAILED,
        DraftStatusHere.APPLIED,
    }
    assert DraftOperation.objects.exclude(pk=given_up.pk).get().validation_id != given_up.validation_id
