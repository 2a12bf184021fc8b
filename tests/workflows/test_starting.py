"""Starting a run: when it is refused and in which words, that there is one, and which stage it is of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import (
    AuditEntry,
    CampaignSchedule,
    ContactList,
    DecisionKind,
    DecisionStatus,
    ItemStatus,
    ListMaintenanceLog,
    Role,
    RolloutState,
    RunStage,
    RunStatus,
    Step,
    Trigger,
)
from listmanagement.workflows.by_people import review
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.maintenance import post_campaign
from tests import factories
from tests.factories import NOON
from tests.workflows import scene as scenes
from tests.workflows.scene import Scene, together
from tests.workflows.sends import (
    UNKNOWN_USER,
    a_last_round,
    a_rotation,
    has_changed_lists,
    has_observed,
    sent_at_mailjet,
)


def start(campaign_id: int, *, trigger: Trigger = Trigger.PERSON, **columns: Any) -> ListMaintenanceLog:
    settings = columns.pop("configuration", None) or scenes.configuration()
    now = columns.pop("now", NOON)
    return post_campaign.start(
        campaign_id, trigger=trigger, by=columns.pop("by", None), configuration=settings, now=now
    )


def campaign_in_the_rotation(**columns: Any) -> CampaignSchedule:
    return factories.a_campaign(list=factories.the_rotation().campaign[0], **columns)


# --- Refused -----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_campaign_that_does_not_exist_is_refused_and_the_latest_named() -> None:
    latest = campaign_in_the_rotation()

    with pytest.raises(NotAllowed, match=rf"^campaign 999 does not exist; .* sent last is {latest.pk}$"):
        start(999)


@pytest.mark.django_db
def test_without_any_campaign_the_refusal_names_none() -> None:
    with pytest.raises(NotAllowed, match=r"^campaign 999 does not exist$"):
        start(999)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "words"),
    [
        (RoundStatus.SCHEDULED, r"is scheduled, not sent, it is scheduled for 05 March 2026 12:00 UTC"),
        (RoundStatus.SENDING, r"is sending, not sent: maintain it after its send"),
        (RoundStatus.CANCELLED, r"is cancelled, not sent"),
        (RoundStatus.SKIPPED, r"is skipped, not sent"),
        (RoundStatus.FAILED, r"is failed, not sent"),
    ],
)
def test_a_campaign_that_was_not_sent_is_refused(status: RoundStatus, words: str) -> None:
    campaign = campaign_in_the_rotation(status=status)

    with pytest.raises(NotAllowed, match=words):
        start(campaign.pk)


@pytest.mark.django_db
def test_a_campaign_is_due_exactly_after_the_delay() -> None:
    campaign = campaign_in_the_rotation()
    assert campaign.ended_at is not None
    due_at = campaign.ended_at + timedelta(hours=24)

    with pytest.raises(NotAllowed, match=r"too recently: .* 24 h .* from 02 March 2026 06:00 UTC"):
        start(campaign.pk, now=due_at - timedelta(seconds=1))

    assert start(campaign.pk, now=due_at).campaign == campaign


@pytest.mark.django_db
def test_a_campaign_to_a_deleted_list_is_refused_with_what_to_do() -> None:
    campaign = campaign_in_the_rotation()
    campaign.list.is_deleted = True
    campaign.list.save()

    with pytest.raises(
        NotAllowed, match=f"went to list {campaign.list.mailjet_id}, which is deleted at Mailjet"
    ):
        start(campaign.pk)


@pytest.mark.django_db
def test_a_campaign_to_a_list_that_left_the_rotation_is_none_of_ours() -> None:
    campaign = campaign_in_the_rotation()
    ContactList.objects.suppression().delete()
    ContactList.objects.filter(pk=campaign.list_id).update(role=Role.SUPPRESSION, position=None)

    with pytest.raises(NotAllowed, match="no campaign list"):
        start(campaign.pk)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("switch", "words"),
    [
        (lambda: None, "LIST_MANAGEMENT_ENABLED"),
        (lambda: factories.the_rollout(paused_at=NOON), "paused by .*: a holiday"),
    ],
    ids=["off", "paused"],
)
def test_while_it_is_off_no_run_starts_and_the_switch_is_named(
    switch: Callable[[], object], words: str
) -> None:
    campaign = campaign_in_the_rotation()
    switch()
    enabled = RolloutState.objects.exists()

    with pytest.raises(NotAllowed, match=words):
        start(campaign.pk, configuration=scenes.configuration(enabled=enabled))

    assert not ListMaintenanceLog.objects.exists()
    assert not AuditEntry.objects.exists()


@pytest.mark.django_db
def test_while_it_is_off_the_run_there_is_still_answers() -> None:
    campaign = campaign_in_the_rotation()
    run = start(campaign.pk)
    factories.the_rollout(paused_at=NOON, observing_since=None)

    assert start(campaign.pk) == run


# --- One run -----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_start_writes_who_and_why_and_asks_mailjet_nothing(scene: Scene) -> None:
    campaign = factories.a_campaign(list=scene.lists.campaign[0])
    reviewer = factories.a_reviewer("robin")

    run = start(campaign.pk, by=reviewer)

    assert (run.status, run.step, run.stage) == (RunStatus.PENDING, Step.CAPTURE_BEFORE, RunStage.OBSERVE)
    assert (run.trigger, run.triggered_by, run.created_at) == (Trigger.PERSON, reviewer, NOON)
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.subject_id) == ("robin", "started", run.pk)
    assert scene.control.requests()["last"] == []


@pytest.mark.django_db
@pytest.mark.django_db
def test_an_old_campaign_is_refused_once_a_later_one_of_its_list_was_judged() -> None:
    """By itself, as if nothing had come after it, it would be judged wrongly."""
    lists = factories.the_rotation()
    month_ago, lately = NOON - timedelta(days=30), NOON - timedelta(days=3)
    old = factories.a_campaign(list=lists.campaign[0], started_at=month_ago, ended_at=month_ago)
    later = factories.a_campaign(list=lists.campaign[0], started_at=lately, ended_at=lately)
    elsewhere = factories.a_campaign(list=lists.campaign[1], started_at=month_ago, ended_at=month_ago)
    judged = start(later.pk)

    with pytest.raises(NotAllowed, match=f"campaign {old.pk} is too old: campaign {later.pk}"):
        start(old.pk)

    assert start(later.pk) == judged
    assert start(elsewhere.pk).campaign == elsewhere


def test_a_second_start_is_the_first_ones_run(scene: Scene) -> None:
    campaign = factories.a_campaign(list=scene.lists.campaign[0])

    assert start(campaign.pk) == start(campaign.pk, trigger=Trigger.SCHEDULE)

    assert AuditEntry.objects.count() == ListMaintenanceLog.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_starts_at_once_make_one_run() -> None:
    campaign = campaign_in_the_rotation()

    found = together(6, lambda: start(campaign.pk).pk)

    assert len(set(found)) == 1
    assert AuditEntry.objects.count() == ListMaintenanceLog.objects.count() == 1


# --- Stages ------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_what_is_observed_changes_nothing_and_one_new_run_acts_afterwards(scene: Scene) -> None:
    [gone, *_], _, _ = a_rotation(scene, backlog=5)
    campaign = a_last_round(scene, failed={UNKNOWN_USER: [gone]})
    factories.the_rollout(observing_since=NOON - timedelta(hours=1))

    observed = scene.go_on(start(campaign.pk))

    assert (observed.stage, observed.status) == (RunStage.OBSERVE, RunStatus.SUCCEEDED)
    assert {d.status for d in observed.decisions.all()} == {DecisionStatus.OBSERVED}
    assert {d.kind for d in observed.decisions.all()} == {"suppression", "rebalancing"}
    assert (scene.standin.writes(), observed.batches.count()) == ([], 0)
    assert "would be suppressed, nothing was changed" in observed.report
    assert observed.state_before == observed.state_after

    scene.clock.passes(timedelta(hours=24))
    acting = start(campaign.pk, now=scene.clock())
    assert acting.stage == RunStage.ACT
    assert start(campaign.pk, now=scene.clock()) == acting
    assert scene.go_on(acting).status == RunStatus.WAITING_FOR_REVIEW
    assert ListMaintenanceLog.objects.count() == 2


@pytest.mark.django_db
def test_the_run_that_acts_judges_fresh_evidence_not_what_was_observed(scene: Scene) -> None:
    [gone, back, *_], _, _ = a_rotation(scene)
    campaign = a_last_round(scene, failed={UNKNOWN_USER: [gone, back]})
    factories.the_rollout(observing_since=NOON - timedelta(hours=1))
    observed = scene.go_on(start(campaign.pk))
    assert observed.decisions.get().items.count() == 2
    world = scene.control.dump()
    for message in world["messages"]:
        if message["contact_id"] == back.pk:
            message |= {"status": "opened", "state_id": None, "state_permanent": False}
    scene.control.load(world)

    scene.clock.passes(timedelta(hours=24))
    acting = scene.go_on(start(campaign.pk, now=scene.clock()))

    assert [item.contact for item in acting.decisions.get().items.select_related("contact")] == [gone]
    assert observed.decisions.get().items.count() == 2


@pytest.mark.django_db
def test_an_observed_run_executes_nothing_though_observing_ends_under_way(scene: Scene) -> None:
    [gone, *_], _, _ = a_rotation(scene)
    campaign = a_last_round(scene, failed={UNKNOWN_USER: [gone]})
    run = start(campaign.pk)
    has_observed()
    has_changed_lists()

    run = scene.go_on(run)

    assert (run.stage, run.status) == (RunStage.OBSERVE, RunStatus.SUCCEEDED)
    assert run.decisions.get().status == DecisionStatus.OBSERVED
    assert scene.standin.writes() == []


@pytest.mark.django_db
def test_on_its_own_a_clear_plan_executes_without_a_review(scene: Scene) -> None:
    gone = a_rotation(scene)[0][:3]
    has_observed()
    has_changed_lists()
    campaign = a_last_round(scene, failed={UNKNOWN_USER: gone})

    run = scene.go_on(start(campaign.pk))

    assert run.status == RunStatus.SUCCEEDED
    decision = run.decisions.get()
    assert (decision.status, decision.reasons, decision.reviewed_by) == (DecisionStatus.CLEAR, [], None)
    assert set(scene.members(scene.lists.suppression)) == {contact.pk for contact in gone}
    assert not run.notifications.filter(kind="decision_needed").exists()


@pytest.mark.django_db
def test_on_its_own_a_mixed_plan_splits_and_each_part_says_what_it_is_about(scene: Scene) -> None:
    members = a_rotation(scene)[0]
    has_observed()
    has_changed_lists()
    factories.a_protection(value=members[3].domain)
    campaign = a_last_round(scene, failed={UNKNOWN_USER: members[:4]})

    run = scene.go_on(start(campaign.pk))

    assert run.status == RunStatus.WAITING_FOR_REVIEW
    clear = run.decisions.get(status=DecisionStatus.CLEAR)
    waiting = run.decisions.get(status=DecisionStatus.OPEN)
    assert clear.title == f"Suppress 3 after campaign {campaign.pk}: clear, so without a review"
    assert waiting.title == f"Hold 1 after campaign {campaign.pk}: what is not clear"
    assert {item.contact for item in clear.items.filter(status=ItemStatus.EXECUTED)} == set(members[:3])
    assert set(scene.members(scene.lists.suppression)) == {contact.pk for contact in members[:3]}
    assert [row["after"] for row in clear.what_if["lists"]] == [57, 60, 60]
    assert [row["after"] for row in waiting.what_if["lists"]] == [60, 60, 60]
    assert waiting.reasons == ["The policy wants a person to look at this group."]


@pytest.mark.django_db
def test_an_undecided_decision_expires_and_the_run_goes_on_and_says_so(scene: Scene) -> None:
    [gone, *_], _, _ = a_rotation(scene, sizes=[60, 60, 60], backlog=5)
    has_observed()
    campaign = a_last_round(scene, failed={UNKNOWN_USER: [gone]})
    run = scene.go_on(start(campaign.pk))
    decision = run.decisions.get()
    assert (run.status, run.step) == (RunStatus.WAITING_FOR_REVIEW, Step.SUPPRESS)

    scene.clock.passes(timedelta(days=8))
    run = scene.go_on(run)
    decision.refresh_from_db()
    assert (decision.status, run.step) == (DecisionStatus.EXPIRED, Step.REBALANCE)
    assert scene.standin.writes() == []
    with pytest.raises(NotAllowed, match="nobody decided in time, it expired"):
        review.approve(decision.pk, by=factories.a_reviewer(), now=scene.clock())

    scene.clock.passes(timedelta(days=8))
    run = scene.go_on(run)
    assert (run.status, scene.standin.writes()) == (RunStatus.SUCCEEDED, [])
    assert "1 was not decided in time and will be judged afresh." in run.report
    expired = run.decisions.get(kind=DecisionKind.REBALANCING)
    assert f"placements and moves of decision {expired.pk} were not decided in time" in run.report
    assert run.counts["backlog"] == 5


@pytest.mark.django_db
def test_a_rejected_rebalancing_is_told_with_the_backlog_as_it_is(scene: Scene) -> None:
    a_rotation(scene, backlog=5)
    has_observed()
    campaign = a_last_round(scene, failed={})
    run = scene.go_on(start(campaign.pk))

    decision = run.decisions.get()
    review.reject(decision.pk, by=factories.a_reviewer(), now=scene.clock(), why="not now")
    run = scene.go_on(run)

    assert (run.status, run.counts["backlog"], scene.standin.writes()) == (RunStatus.SUCCEEDED, 5, [])
    assert f"A reviewer declined the placements and moves of decision {decision.pk};" in run.report


@pytest.mark.django_db
def test_a_pause_under_way_loses_nothing(scene: Scene) -> None:
    """P9: nothing is written while paused, and what was found waits in the queue, executable afterwards."""
    gone = a_rotation(scene)[0][:3]
    has_observed()
    has_changed_lists()
    campaign = a_last_round(scene, failed={UNKNOWN_USER: gone})
    run = start(campaign.pk)
    pause = {"paused_at": NOON, "changed_by": factories.a_user(), "why": "a holiday"}
    RolloutState.objects.update(**pause)

    run = scene.go_on(run)
    decision = run.decisions.get()
    assert (run.status, decision.status) == (RunStatus.WAITING_FOR_REVIEW, DecisionStatus.OPEN)
    assert any("paused" in reason for reason in decision.reasons)

    review.approve(decision.pk, by=factories.a_reviewer(), now=scene.clock())
    scene.clock.passes(timedelta(minutes=5))
    with pytest.raises(AssertionError, match="waiting"):
        scene.go_on(run, tries=3)
    assert scene.standin.writes() == []

    RolloutState.objects.update(paused_at=None)
    assert scene.go_on(run).status == RunStatus.SUCCEEDED
    assert set(scene.members(scene.lists.suppression)) == {contact.pk for contact in gone}


# --- After a failure ---------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_person_goes_on_with_a_run_that_failed_and_a_schedule_does_not(scene: Scene) -> None:
    a_rotation(scene)
    has_observed()
    campaign = factories.a_campaign(list=scene.lists.campaign[0])
    scene.publish()  # without the campaign's messages
    run = scene.go_on(start(campaign.pk))
    assert (run.status, run.step) == (RunStatus.FAILED, Step.FETCH_OUTCOMES)
    assert "has no messages of campaign" in run.report

    assert start(campaign.pk, trigger=Trigger.SCHEDULE).status == RunStatus.FAILED
    reviewer = factories.a_reviewer("robin")
    again = start(campaign.pk, by=reviewer)

    assert (again.pk, again.status, again.step, again.report) == (
        run.pk,
        RunStatus.PENDING,
        Step.FETCH_OUTCOMES,
        "",
    )
    assert AuditEntry.objects.filter(action="continued", actor="robin", subject_id=run.pk).exists()


@pytest.mark.django_db
def test_going_on_after_a_failure_is_refused_while_it_is_off(scene: Scene) -> None:
    campaign = factories.a_campaign(list=scene.lists.campaign[0])
    run = start(campaign.pk)
    ListMaintenanceLog.objects.update(status=RunStatus.FAILED, finished_at=NOON)
    factories.the_rollout(observing_since=None, paused_at=NOON)

    with pytest.raises(NotAllowed, match="paused"):
        start(campaign.pk)

    run.refresh_from_db()
    assert run.status == RunStatus.FAILED


@pytest.mark.django_db
def test_a_run_that_ended_well_is_never_started_again(scene: Scene) -> None:
    a_rotation(scene)
    has_observed()
    campaign = sent_at_mailjet(scene, scene.lists.campaign[0], failed={})
    run = scene.go_on(start(campaign.pk))
    before = ListMaintenanceLog.objects.values().get(pk=run.pk)

    assert start(campaign.pk).status == RunStatus.SUCCEEDED

    assert ListMaintenanceLog.objects.values().get(pk=run.pk) == before
