"""Harm that was once possible, each case by itself: nobody is mailed, dropped or forgotten by mistake."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from integrations.mailjet import START, ContactColumns, Job, JobId, Mailjet, Place, ScanPage
from listmanagement.domain.cycle import RoundStatus
from listmanagement.domain.holds import HoldEnd
from listmanagement.models import (
    BatchStatus,
    Bounce,
    CampaignSchedule,
    Contact,
    ContactSuppressionHistory,
    Decision,
    DecisionItem,
    DecisionStatus,
    Hold,
    HoldKind,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    ListOperation,
    Notification,
    NotificationKind,
    OperationStatus,
    ProtectionKind,
    RunStatus,
    Trigger,
)
from listmanagement.workflows import mirror, rotation, runs
from listmanagement.workflows.by_people import review
from listmanagement.workflows.changes import effects
from listmanagement.workflows.maintenance import post_campaign
from tests import factories
from tests.factories import NOON, Rotation
from tests.workflows import scene as scenes
from tests.workflows.executing import a_move, a_placement, a_run, a_suppression, ends
from tests.workflows.scene import Scene
from tests.workflows.sends import UNKNOWN_USER, a_last_round, a_rotation, days_ago, has_observed, sent

pytestmark = pytest.mark.django_db

DONE = (ItemStatus.EXECUTED, "")


def until_the_review(scene: Scene, campaign: CampaignSchedule) -> ListMaintenanceLog:
    """The campaign's run, as far as it goes without a person."""
    run = post_campaign.start(
        campaign.pk,
        trigger=Trigger.PERSON,
        by=None,
        configuration=scene.outside.configuration,
        now=scene.clock(),
    )
    return scene.go_on(run)


def approve(decision: Decision, scene: Scene) -> None:
    review.approve(decision.pk, by=factories.a_reviewer(), now=scene.clock())


def a_send_in_an_hour(scene: Scene, *, number: int) -> CampaignSchedule:
    """The list is frozen until it has ended."""
    return factories.a_campaign(
        list=scene.lists.campaign[number],
        status=RoundStatus.SCHEDULED,
        scheduled_at=scene.clock() + timedelta(hours=1),
    )


# --- Nothing that was approved is forgotten -----------------------------------------------------------


def a_run_half_clear(scene: Scene) -> tuple[ListMaintenanceLog, Decision, Sequence[Contact]]:
    """A run about to suppress two: the first is clear, a person decides on the second."""
    first = scene.lists.campaign[0]
    contacts = scenes.people(2, on=[scene.lists.master, first])
    run = a_run(scene)
    clear = factories.a_decision(run=run, status=DecisionStatus.CLEAR)
    waiting = factories.a_decision(run=run, deadline=NOON + timedelta(days=2))
    for decision, contact in zip((clear, waiting), contacts, strict=True):
        factories.an_item(group=factories.a_group(decision=decision), contact=contact, source_list=first)
    scene.publish()
    return run, waiting, contacts


def test_what_is_approved_while_the_clear_part_is_under_way_is_executed_too(scene: Scene) -> None:
    run, waiting, contacts = a_run_half_clear(scene)
    held_when_sent: list[bool] = []

    class Meanwhile(Mailjet):
        def job(self, job_id: JobId, *, list_id: int | None) -> Job:
            found = super().job(job_id, list_id=list_id)
            if Decision.objects.filter(pk=waiting.pk, status=DecisionStatus.OPEN).exists():
                approve(waiting, scene)
            return found

        def submit_changes(self, **request: Any) -> JobId:
            held_when_sent.append(ListMaintenanceLog.objects.get(pk=run.pk).holds_rotation)
            return super().submit_changes(**request)

    with scenes.connect_as(Meanwhile, scene.standin) as mailjet:
        scene.outside = scene.with_mailjet(mailjet)
        scene.go_on(run)

    assert set(scene.members(scene.lists.suppression)) == {contact.pk for contact in contacts}
    assert set(ends(run).values()) == {DONE}
    assert run.status == RunStatus.SUCCEEDED
    assert held_when_sent == [True, True]  # no other run changed the lists beside it


def test_who_is_held_since_before_the_decision_is_suppressed_when_a_person_approves_it(scene: Scene) -> None:
    run, gone = a_suppression(scene)
    for contact in gone[:2]:
        factories.a_hold(kind=HoldKind.CONTACT, contact=contact, run=run, since=days_ago(30))
    Bounce.objects.filter(recipient__contact=gone[1]).update(attempted=False)

    scene.go_on(run)

    assert set(ends(run).values()) == {DONE}
    assert [Hold.objects.get(contact=contact).ended_how for contact in gone[:2]] == [
        HoldEnd.SECOND_HARD,
        HoldEnd.REFUSED_LONG,
    ]


@pytest.mark.parametrize("approved", [True, False])
def test_a_hold_ends_with_the_suppression_that_it_led_to_and_not_with_its_proposal(
    scene: Scene, approved: bool
) -> None:
    [[reader, *_], _, _] = a_rotation(scene, each=12)
    sent(scene.lists.campaign[0], at=days_ago(20), failed={UNKNOWN_USER: [reader]})
    past = factories.a_run(status=RunStatus.SUCCEEDED, campaign=CampaignSchedule.objects.last())
    hold = factories.a_hold(kind=HoldKind.CONTACT, contact=reader, since=days_ago(18), run=past)
    has_observed()
    run = until_the_review(scene, a_last_round(scene, failed={UNKNOWN_USER: [reader]}))
    hold.refresh_from_db()
    proposed = run.decisions.get(items__contact=reader)
    assert (hold.ended_at, proposed.items.get().action) == (None, ItemAction.SUPPRESS)

    if approved:
        approve(proposed, scene)
    else:
        review.reject(proposed.pk, by=factories.a_reviewer(), now=scene.clock(), why="they wrote to us")
    scene.go_on(run)

    hold.refresh_from_db()
    assert hold.ended_how == (HoldEnd.SECOND_HARD if approved else "")
    assert (reader.pk in scene.members(scene.lists.suppression)) is approved


# --- Nobody is suppressed who was reached, or whom people protect -------------------------------------


def test_a_delivery_of_a_later_campaign_that_nobody_has_read_yet_counts_when_an_earlier_one_is_judged(
    scene: Scene,
) -> None:
    [[gone, back, *_], _, _] = a_rotation(scene, each=12)
    first = scene.lists.campaign[0]
    judged = sent(first, at=days_ago(9), failed={UNKNOWN_USER: [gone, back]})
    later = factories.a_campaign(list=first)
    scene.publish_with(later, bounced=[gone])
    has_observed()

    run = until_the_review(scene, judged)

    items = DecisionItem.objects.filter(decision__run=run, action=ItemAction.SUPPRESS)
    assert [item.contact_id for item in items] == [gone.pk]


def test_a_delivery_since_the_approval_that_nobody_has_read_yet_spares_its_contact(scene: Scene) -> None:
    run, gone = a_suppression(scene)
    later = factories.a_campaign(
        list=scene.lists.campaign[0], started_at=NOON - timedelta(hours=5), ended_at=NOON - timedelta(hours=4)
    )
    scene.publish_with(later, bounced=[gone[0], gone[2]])

    scene.go_on(run)

    assert ends(run) == {
        gone[0].pk: DONE,
        gone[1].pk: (ItemStatus.DROPPED, "was delivered to meanwhile"),
        gone[2].pk: DONE,
    }
    assert gone[1].pk in scene.members(scene.lists.campaign[0])


@pytest.mark.parametrize(
    ("kind", "spared"), [(ProtectionKind.ADDRESS, [1]), (ProtectionKind.DOMAIN, [0, 1, 2])]
)
def test_who_is_protected_after_the_approval_is_spared(
    scene: Scene, kind: ProtectionKind, spared: Sequence[int]
) -> None:
    run, gone = a_suppression(scene)
    value = gone[1].email if kind is ProtectionKind.ADDRESS else "example.com"
    factories.a_protection(kind=kind, value=value, at=scene.clock())

    scene.go_on(run)

    protected = (ItemStatus.DROPPED, "protected meanwhile")
    assert ends(run) == {c.pk: protected if n in spared else DONE for n, c in enumerate(gone)}
    assert set(scene.members(scene.lists.campaign[0])) == {gone[n].pk for n in spared}


def test_what_is_proposed_in_a_freeze_is_judged_afresh_after_the_send(scene: Scene) -> None:
    [[gone, *_], _, _] = a_rotation(scene, each=12)
    has_observed()
    campaign = a_last_round(scene, failed={UNKNOWN_USER: [gone]})
    a_send_in_an_hour(scene, number=0)

    run = until_the_review(scene, campaign)
    scene.go_on_while(run, lambda: run.status == RunStatus.WAITING_FOR_REVIEW)
    scene.go_on(run)

    assert run.decisions.get(items__contact=gone).status == DecisionStatus.EXPIRED
    assert run.status == RunStatus.SUCCEEDED
    assert scene.standin.writes() == []


# --- Lists do not hold each other up ------------------------------------------------------------------


def test_a_run_that_waits_for_a_freeze_keeps_no_other_from_its_lists(scene: Scene) -> None:
    frozen, _ = a_placement(scene, contacts=1)
    other = a_run(scene)
    [placed] = scenes.people(1, on=[scene.lists.master])
    scenes.to_place(other, [placed], target=scene.lists.campaign[2])
    scene.publish()
    a_send_in_an_hour(scene, number=0)
    runs.advance(frozen.pk, outside=scene.outside, clock=scene.clock)

    scene.go_on(other)

    assert set(scene.members(scene.lists.campaign[2])) == {placed.pk}
    assert other.status == RunStatus.SUCCEEDED
    frozen.refresh_from_db()
    assert (frozen.status, frozen.holds_rotation) == (RunStatus.WAITING, False)
    assert frozen.waits_for == "List 1 is frozen until its send has ended"


def test_a_suppression_does_not_wait_for_the_freeze_of_a_list_that_its_contacts_are_not_on(
    scene: Scene,
) -> None:
    run, gone = a_suppression(scene)
    a_send_in_an_hour(scene, number=1)
    began = scene.clock()

    scene.go_on(run)

    assert set(scene.members(scene.lists.suppression)) == {contact.pk for contact in gone}
    assert scene.clock() - began < timedelta(minutes=5)


def test_a_suppression_waits_for_the_freeze_of_any_list_that_one_of_its_contacts_is_on(scene: Scene) -> None:
    run, gone = a_suppression(scene)
    factories.a_membership(contact=gone[2], list=scene.lists.campaign[1])
    scene.publish()
    a_send_in_an_hour(scene, number=1)

    runs.advance(run.pk, outside=scene.outside, clock=scene.clock)

    run.refresh_from_db()
    assert run.waits_for == "List 2 is frozen until its send has ended"
    assert scene.standin.writes() == []


def test_a_run_that_fails_again_and_again_tells_somebody_once(scene: Scene) -> None:
    run, _ = a_suppression(scene)
    scene.control.settings(job_seconds=600.0)
    scene.go_on_while(run, lambda: not run.batches.filter(status=BatchStatus.SUBMITTED).exists())
    scene.control.fault(path="managemanycontacts/", status=503)
    told = Notification.objects.filter(kind=NotificationKind.ALERT)

    counts = [_told_after_another_try(run, scene) for _ in range(8)]

    assert counts == [0] * (runs.TOLD_AFTER - 1) + [1] * (8 - runs.TOLD_AFTER + 1)
    assert f"Run {run.pk} has not come further at suppress for several tries" in told.get().text
    assert run.status == RunStatus.WAITING


def _told_after_another_try(run: ListMaintenanceLog, scene: Scene) -> int:
    run.refresh_from_db()
    assert run.next_at is not None
    scene.clock.passes(run.next_at - scene.clock())
    runs.sweep(outside=scene.outside, clock=scene.clock)
    run.refresh_from_db()
    return Notification.objects.filter(kind=NotificationKind.ALERT).count()


@pytest.mark.django_db(transaction=True)
def test_a_large_batch_is_written_down_in_parts_so_that_others_get_at_the_run_meanwhile(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effects, "AT_ONCE", 2)
    run, gone = a_suppression(scene, contacts=5)

    with CaptureQueriesContext(connection) as captured:
        scene.go_on(run)

    parts = [0]
    for sql in (query["sql"] for query in captured):
        if sql == "BEGIN":
            parts.append(0)
        elif sql.startswith(
            f'UPDATE "{ListOperation._meta.db_table}" SET "status" = \'{OperationStatus.APPLIED}\''
        ):
            parts[-1] += sql.count(",", sql.index(" IN (")) + 1
    assert [part for part in parts if part] == [2, 2, 1]
    assert set(scene.members(scene.lists.suppression)) == {contact.pk for contact in gone}


# --- Everybody is where they are said to be -----------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "moves"),
    [
        (DecisionStatus.DRAFT, False),
        (DecisionStatus.OPEN, False),
        (DecisionStatus.APPROVED, False),
        (DecisionStatus.CLEAR, False),
        (DecisionStatus.REJECTED, True),
        (DecisionStatus.EXPIRED, True),
        (DecisionStatus.OBSERVED, True),
    ],
)
def test_whom_a_decision_may_still_suppress_nobody_plans_to_move(status: DecisionStatus, moves: bool) -> None:
    lists: Rotation = factories.the_rotation()
    one, other = factories.members(2, list=lists.campaign[0])
    group = factories.a_group(decision=factories.a_decision(status=status))
    factories.an_item(group=group, contact=one, source_list=lists.campaign[0])

    movable = rotation.facts(at=NOON, between_mails=timedelta(days=7))[0].movable

    assert (one.pk in movable, other.pk in movable) == (moves, True)


def test_whom_a_decision_proposes_to_suppress_after_the_move_was_planned_is_not_moved(scene: Scene) -> None:
    run, moved = a_move(scene)
    another = factories.a_run(campaign=run.campaign, status=RunStatus.WAITING_FOR_REVIEW)
    proposed = factories.a_decision(run=another)
    group = factories.a_group(decision=proposed)
    factories.an_item(group=group, contact=moved[1], source_list=scene.lists.campaign[0])

    scene.go_on(run)

    status, why = ends(run)[moved[1].pk]
    assert (status, "to be suppressed" in why) == (ItemStatus.DROPPED, True)
    assert set(scene.members(scene.lists.campaign[0])) == {moved[1].pk}
    assert set(scene.members(scene.lists.campaign[1])) == {moved[0].pk, moved[2].pk}


def test_whom_people_put_on_the_suppression_list_takes_no_place_in_the_backlog() -> None:
    lists = factories.the_rotation()
    barred, waiting = (factories.a_membership(list=lists.master).contact for _ in range(2))
    factories.a_membership(list=lists.suppression, contact=barred)

    assert list(Contact.objects.backlog()) == [waiting]


def test_who_once_stood_on_the_suppression_list_is_in_the_backlog_again() -> None:
    lists = factories.the_rotation()
    waiting = factories.a_membership(list=lists.master).contact
    factories.a_membership(list=lists.suppression, contact=waiting, until=NOON)

    assert list(Contact.objects.backlog()) == [waiting]


def test_a_reading_that_began_before_a_suppression_does_not_bring_anybody_back(scene: Scene) -> None:
    run, gone = a_suppression(scene)
    first = scene.lists.campaign[0]

    class Slow(Mailjet):
        def scan_contacts(
            self, list_id: int | None, *, at: Place = START
        ) -> Iterator[ScanPage[ContactColumns]]:
            pages = list(super().scan_contacts(list_id, at=at))
            if ListMaintenanceLog.objects.get(pk=run.pk).status == RunStatus.RUNNING:
                scene.go_on(run)
            return iter(pages)

    with scenes.connect_as(Slow, scene.standin) as slow:
        mirror.refresh(first, mailjet=slow, now=scene.clock())

    assert set(ends(run).values()) == {DONE}
    assert not first.memberships.current().exists()
    assert first.memberships.count() == len(gone)


def test_who_is_on_two_lists_is_taken_off_both_in_the_name_of_the_campaigns_list(scene: Scene) -> None:
    [[*_, gone], _, _] = a_rotation(scene, sizes=[16, 12, 12])
    first, _, third = scene.lists.campaign
    factories.a_membership(contact=gone, list=third)  # there before others who came to the first
    has_observed()
    run = until_the_review(scene, a_last_round(scene, failed={UNKNOWN_USER: [gone]}))
    proposed = run.decisions.get(items__contact=gone)
    assert proposed.items.get().source_list == first

    approve(proposed, scene)
    scene.go_on(run)

    assert ContactSuppressionHistory.objects.get(contact=gone).removed_from == first
    assert gone.pk not in {*scene.members(first), *scene.members(third)}
