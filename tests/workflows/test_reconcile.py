"""What people change at Mailjet after us is found, asked about once, put back or accepted; never fought."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now

from integrations.mailjet import Action
from listmanagement.domain.cycle import RoundStatus
from listmanagement.domain.reconciliation import MOST_ASKED, Drift
from listmanagement.models import (
    BatchKind,
    BatchStatus,
    Bounce,
    CampaignKind,
    Change,
    Contact,
    ContactList,
    ContactListMembership,
    ContactSuppressionHistory,
    Decision,
    DecisionStatus,
    ItemStatus,
    ListMaintenanceLog,
    MirrorScan,
    Notification,
    NotificationKind,
    OperationStatus,
    RunKind,
    RunStage,
    RunStatus,
    ScanOf,
    Step,
    SuppressionKind,
    Trigger,
)
from listmanagement.workflows import mirror, promises, reconcile, runs
from listmanagement.workflows.by_people import review
from tests import factories
from tests.factories import NOON
from tests.workflows import scene as scenes
from tests.workflows.scene import Scene

pytestmark = pytest.mark.django_db(transaction=True)

LATELY = NOON - timedelta(days=2)
"""When operations of ours took effect, in these tests."""

EARLIER = LATELY - timedelta(days=1)


# --- What we did before ------------------------------------------------------------------------------


@pytest.fixture
def scene(scene: Scene) -> Scene:
    """The rollout is over, no cycle is under way, and each list was read before."""
    factories.the_rollout()
    a_run_of_ours(stage=RunStage.OBSERVE, finished_at=NOON - timedelta(days=29))
    ContactList.objects.update(read_at=LATELY, contacts_read_at=LATELY)
    return scene


def we(
    kind: BatchKind,
    contact: Contact,
    changes: Mapping[ContactList, Action],
    *,
    source: ContactList | None = None,
) -> None:
    """An operation of ours on a contact that took effect two days ago, in the journal and in the mirror."""
    run = a_run_of_ours(created_at=LATELY)
    decision = factories.a_decision(run=run, status=DecisionStatus.APPROVED)
    group = factories.a_group(decision=decision)
    item = factories.an_item(group=group, contact=contact, status=ItemStatus.EXECUTED, source_list=source)
    times = {"sending_at": LATELY, "settled_at": LATELY}
    batch = factories.a_batch(run=run, kind=kind, status=BatchStatus.APPLIED, **times)
    operation = factories.an_operation(
        batch=batch, item=item, status=OperationStatus.APPLIED, applied_at=LATELY
    )
    rows = ContactListMembership.objects.current().filter(contact=contact)
    for contact_list, action in changes.items():
        factories.a_change(batch=batch, list=contact_list, action=action)
        if action is Action.REMOVE:
            rows.filter(list=contact_list).update(
                until=LATELY, ended_by=Change.OPERATION, ended_with=operation
            )
        else:
            factories.a_membership(
                contact=contact,
                list=contact_list,
                since=LATELY,
                began_by=Change.OPERATION,
                began_with=operation,
            )
    if kind == BatchKind.SUPPRESS:
        factories.a_suppression(operation=operation, at=LATELY, removed_from=source)


def a_run_of_ours(**columns: Any) -> ListMaintenanceLog:
    """One that ended, after a send that belongs to no cycle."""
    campaign = factories.a_campaign(kind=CampaignKind.ONE_OFF, started_at=EARLIER, ended_at=EARLIER)
    return factories.a_run(campaign=campaign, status=RunStatus.SUCCEEDED, **columns)


def a_suppressed(scene: Scene, *, number: int = 1) -> Sequence[Contact]:
    """Contacts of the first list that we suppressed."""
    one = scene.lists.campaign[0]
    found = scenes.people(number, on=[scene.lists.master, one])
    for contact in found:
        changes = {one: Action.REMOVE, scene.lists.suppression: Action.ADD}
        we(BatchKind.SUPPRESS, contact, changes, source=one)
    return found


def a_placed(scene: Scene) -> Contact:
    """A contact of the backlog that we placed on the second list."""
    [contact] = scenes.people(1, on=[scene.lists.master])
    we(BatchKind.PLACE, contact, {scene.lists.campaign[1]: Action.ADD})
    return contact


def a_moved(scene: Scene) -> Contact:
    """A contact that we moved from the first list to the second."""
    one, two, _ = scene.lists.campaign
    [contact] = scenes.people(1, on=[scene.lists.master, one])
    we(BatchKind.MOVE_IN, contact, {two: Action.ADD})
    we(BatchKind.MOVE_OUT, contact, {one: Action.REMOVE})
    return contact


def others(scene: Scene) -> None:
    """People nothing happens to, so that lists have a size."""
    for contact_list in scene.lists.campaign:
        scenes.people(3, on=[scene.lists.master, contact_list])


# --- Runs --------------------------------------------------------------------------------------------


def a_run(scene: Scene, *, trigger: Trigger = Trigger.PERSON, by: User | None = None) -> ListMaintenanceLog:
    """A run, as far as it goes without a person."""
    run = reconcile.start(
        trigger=trigger, by=by, configuration=scene.outside.configuration, now=scene.clock()
    )
    return scene.go_on(run)


def the_decision(run: ListMaintenanceLog) -> Decision:
    """What it asks."""
    return run.decisions.get()


def asks(run: ListMaintenanceLog) -> dict[str, list[int]]:
    """Whom it asks about, by drift."""
    found: dict[str, list[int]] = {}
    for drift, contact_id in the_decision(run).items.values_list("group__key", "contact_id"):
        found.setdefault(drift, []).append(contact_id)
    return found


def approve(scene: Scene, run: ListMaintenanceLog) -> ListMaintenanceLog:
    review.approve(the_decision(run).pk, by=factories.a_reviewer(), now=scene.clock())
    return scene.go_on(run)


def reject(scene: Scene, run: ListMaintenanceLog, *, why: str = "they asked for it") -> ListMaintenanceLog:
    review.reject(the_decision(run).pk, by=factories.a_reviewer("ana"), now=scene.clock(), why=why)
    return scene.go_on(run)


def on(scene: Scene, contact: Contact) -> set[str]:
    """The lists that the contact is on at Mailjet, without the master list."""
    lists = [*scene.lists.campaign, scene.lists.suppression]
    return {each.name for each in lists if contact.pk in scene.members(each)}


def rests(scene: Scene) -> None:
    """A further comparison finds nothing, asks nothing and breaks no promise."""
    scene.clock.passes(timedelta(days=1))
    run = a_run(scene)
    assert run.status == RunStatus.SUCCEEDED
    assert not run.decisions.exists()
    assert not any(run.counts["drifts"].values())
    assert promises.broken(mailjet=scene.outside.mailjet, now=scene.clock()) == []


# --- Nothing to decide -------------------------------------------------------------------------------


def test_while_another_process_refreshes_the_mirror_the_comparison_waits(scene: Scene) -> None:
    scene.publish()
    held = MirrorScan.objects.create(
        of=ScanOf.EVERYTHING, started_at=scene.clock(), busy_until=Now() + timedelta(minutes=5)
    )
    run = reconcile.start(
        trigger=Trigger.PERSON, by=None, configuration=scene.outside.configuration, now=scene.clock()
    )

    run = runs.advance(run.pk, outside=scene.outside, clock=scene.clock)

    assert (run.status, run.errors) == (RunStatus.WAITING, [])
    assert run.waits_for.startswith("Another process refreshes everything")
    held.delete()
    assert scene.go_on(run).status == RunStatus.SUCCEEDED


def test_where_mailjet_shows_what_we_did_nobody_is_asked_or_told(scene: Scene) -> None:
    others(scene)
    a_placed(scene)
    a_moved(scene)
    scene.publish()

    run = a_run(scene)

    assert run.status == RunStatus.SUCCEEDED
    assert run.report == "Reconciliation: Mailjet shows what it should; nothing to decide."
    assert run.counts["counts_match"]
    assert run.counts["promises_broken"] == []
    assert scene.standin.writes() == []
    assert not Notification.objects.exists()


def test_the_demo_reconciles_clean(scene_of_demo: Scene) -> None:
    run = reconcile.start(
        trigger=Trigger.PERSON,
        by=None,
        configuration=scene_of_demo.outside.configuration,
        now=scene_of_demo.clock(),
    )

    scene_of_demo.go_on(run)

    run.refresh_from_db()
    assert (run.status, reconcile.problems(run)) == (RunStatus.SUCCEEDED, [])
    assert not any(run.counts["drifts"].values())
    assert not run.decisions.exists()


# --- Each drift, put back and accepted ---------------------------------------------------------------


def test_a_suppressed_contact_back_on_a_list_is_taken_off_again_or_lifted(scene: Scene) -> None:
    others(scene)
    back, let = a_suppressed(scene, number=2)
    scene.publish()
    for contact in (back, let):
        scene.a_person("addforce", contact, scene.lists.campaign[2])

    run = a_run(scene)

    assert asks(run) == {Drift.RELISTED: [back.pk, let.pk]}
    decision = the_decision(run)
    assert decision.what_if["deviation_before"] == decision.what_if["deviation_after"]

    review.take_out(decision.pk, contacts=[let.pk], by=factories.a_reviewer(), now=scene.clock())
    run = approve(scene, run)

    assert run.status == RunStatus.SUCCEEDED
    assert on(scene, back) == {"Suppressed"}
    assert on(scene, let) == {"List 3"}
    assert back.suppressions.standing().count() == 1
    lifted = let.suppressions.get()
    assert lifted.lifted_by == the_reviewed(run).reviewed_by
    assert lifted.lifted_at is not None
    assert Bounce.objects.get(recipient__contact=let).spent_at is not None
    assert Bounce.objects.get(recipient__contact=back).spent_at is None
    assert Contact.objects.mailable().filter(pk=let.pk).exists()
    rests(scene)


def the_reviewed(run: ListMaintenanceLog) -> Decision:
    return run.decisions.get(status__in=[DecisionStatus.APPROVED, DecisionStatus.REJECTED])


def test_a_suppressed_contact_off_the_suppression_list_is_put_on_it_again_or_lifted(scene: Scene) -> None:
    others(scene)
    [back] = a_suppressed(scene)
    scene.publish()
    scene.a_person("remove", back, scene.lists.suppression)

    run = a_run(scene)
    assert asks(run) == {Drift.UNLISTED: [back.pk]}
    approve(scene, run)
    assert on(scene, back) == {"Suppressed"}

    scene.clock.passes(timedelta(days=1))
    scene.a_person("remove", back, scene.lists.suppression)
    run = reject(scene, a_run(scene), why="their mailbox works again")

    assert on(scene, back) == set()
    [lifted] = back.suppressions.all()
    assert (lifted.lifted_why, str(lifted.lifted_by)) == ("their mailbox works again", "ana")
    assert run.counts["lifted"] == 1
    rests(scene)


def test_a_contact_made_anew_is_put_on_the_suppression_list_under_its_new_id(scene: Scene) -> None:
    others(scene)
    [old] = a_suppressed(scene)
    address = old.email
    scene.publish()
    scene.at_mailjet("DELETE FROM memberships WHERE contact_id = ?", old.pk)
    scene.at_mailjet("UPDATE contacts SET id = 900000001 WHERE id = ?", old.pk)
    scene.a_person("addforce", Contact(pk=900000001), scene.lists.master)

    run = a_run(scene)

    new = Contact.objects.get(email=address)
    assert new.pk == 900000001
    assert asks(run) == {Drift.RECREATED: [new.pk]}
    approve(scene, run)
    assert on(scene, new) == {"Suppressed"}
    rests(scene)


def test_a_contact_people_put_on_the_suppression_list_is_taken_off_it_or_recorded(scene: Scene) -> None:
    others(scene)
    one = scene.lists.campaign[0]
    off, kept, already_off = scenes.people(3, on=[scene.lists.master, one])
    scene.publish()
    for contact in (off, kept, already_off):
        scene.a_person("addforce", contact, scene.lists.suppression)
    scene.a_person("remove", already_off, one)

    run = a_run(scene)

    assert asks(run) == {Drift.LISTED: [off.pk, kept.pk, already_off.pk]}
    taken_out = [kept.pk, already_off.pk]
    review.take_out(the_decision(run).pk, contacts=taken_out, by=factories.a_reviewer(), now=scene.clock())
    run = approve(scene, run)

    assert on(scene, off) == {"List 1"}
    assert on(scene, kept) == on(scene, already_off) == {"Suppressed"}
    assert not off.suppressions.exists()
    for contact in (kept, already_off):
        [found] = contact.suppressions.standing()
        assert found.kind == SuppressionKind.IMPORTED
    assert run.counts["recorded"] == 2
    rests(scene)


def test_a_moved_contact_put_back_on_its_source_leaves_it_again(scene: Scene) -> None:
    others(scene)
    contact = a_moved(scene)
    scene.publish()
    scene.a_person("addforce", contact, scene.lists.campaign[0])

    run = a_run(scene)

    assert asks(run) == {Drift.RETURNED: [contact.pk]}
    approve(scene, run)
    assert on(scene, contact) == {"List 2"}
    rests(scene)


def test_of_two_lists_the_elder_stays(scene: Scene) -> None:
    others(scene)
    [contact] = scenes.people(1, on=[scene.lists.master, scene.lists.campaign[1]])
    scene.publish()
    scene.a_person("addforce", contact, scene.lists.campaign[0])

    run = a_run(scene)

    assert asks(run) == {Drift.DOUBLED: [contact.pk]}
    approve(scene, run)
    assert on(scene, contact) == {"List 2"}
    rests(scene)


def test_of_two_lists_the_one_that_addressed_them_this_cycle_stays(scene: Scene) -> None:
    others(scene)
    one, two, three = scene.lists.campaign
    [contact] = scenes.people(1, on=[scene.lists.master, one])
    cycle = factories.a_cycle()
    sent = factories.a_campaign(cycle=cycle, round=1, list=three, recipients_fetched_at=NOON)
    factories.a_recipient(campaign=sent, contact=contact)
    for n, each in enumerate((one, two), 2):
        factories.a_campaign(cycle=cycle, round=n, list=each, status=RoundStatus.SCHEDULED)
    scene.publish()
    scene.a_person("addforce", contact, three)

    run = a_run(scene)

    item = the_decision(run).items.get()
    assert (item.contact_id, item.source_list) == (contact.pk, one)
    approve(scene, run)
    assert on(scene, contact) == {"List 3"}


def test_whom_people_took_off_goes_back_to_the_old_place(scene: Scene) -> None:
    others(scene)
    contact = a_placed(scene)
    rank = contact.memberships.get(list=scene.lists.campaign[1]).rank
    scenes.people(2, on=[scene.lists.master, scene.lists.campaign[1]])
    scene.publish()
    scene.a_person("remove", contact, scene.lists.campaign[1])

    run = a_run(scene)

    assert asks(run) == {Drift.TAKEN_AWAY: [contact.pk]}
    decision = the_decision(run)
    sizes = {row["name"]: row["after"] - row["before"] for row in decision.what_if["lists"]}
    assert sizes == {"List 1": 0, "List 2": 1, "List 3": 0}
    approve(scene, run)
    assert on(scene, contact) == {"List 2"}
    membership = contact.memberships.current().get(list=scene.lists.campaign[1])
    assert (membership.rank, membership.began_by) == (rank, Change.OPERATION)
    rests(scene)


def test_an_old_place_that_somebody_has_now_is_not_taken_from_them(scene: Scene) -> None:
    two = scene.lists.campaign[1]
    contact = a_placed(scene)
    rank = contact.memberships.get(list=two).rank
    [other] = scenes.people(1, on=[scene.lists.master])
    scene.publish()
    scene.a_person("remove", contact, two)
    run = a_run(scene)
    factories.a_membership(contact=other, list=two, rank=rank)
    scene.a_person("addforce", other, two)

    approve(scene, run)

    assert contact.memberships.current().get(list=two).rank > rank
    assert other.memberships.current().get(list=two).rank == rank


def test_whom_people_moved_on_is_moved_back_between_cycles(scene: Scene) -> None:
    others(scene)
    contact = a_placed(scene)
    scene.publish()
    scene.a_person("remove", contact, scene.lists.campaign[1])
    scene.a_person("addforce", contact, scene.lists.campaign[2])

    run = a_run(scene)

    assert asks(run) == {Drift.REHOMED: [contact.pk]}
    approve(scene, run)
    assert on(scene, contact) == {"List 2"}
    rests(scene)


def test_a_removal_that_mailjet_lost_is_made_again(scene: Scene) -> None:
    others(scene)
    [contact] = a_suppressed(scene)
    scene.publish()
    one = scene.lists.campaign[0]
    scene.a_person("addforce", contact, one)
    scene.at_mailjet(
        "UPDATE memberships SET subscribed_at = ? WHERE contact_id = ? AND list_id = ?",
        (NOON - timedelta(days=300)).timestamp(),
        contact.pk,
        one.mailjet_id,
    )

    run = a_run(scene)

    assert asks(run) == {Drift.LOST: [contact.pk]}
    approve(scene, run)
    assert on(scene, contact) == {"Suppressed"}
    rests(scene)


def test_a_lifted_contact_leaves_the_suppression_list_through_the_journal(scene: Scene) -> None:
    """P4, P6: nobody stays in two places because a person accepted a change."""
    others(scene)
    [contact] = a_suppressed(scene)
    scene.publish()
    scene.a_person("addforce", contact, scene.lists.campaign[0])

    run = reject(scene, a_run(scene))

    assert on(scene, contact) == {"List 1"}
    follows = run.decisions.get(status=DecisionStatus.CLEAR)
    assert "ana accepted" in follows.rationale
    [operation] = follows.items.get().operations.all()
    assert (operation.kind, operation.status) == (BatchKind.TAKE_OFF, OperationStatus.APPLIED)
    rests(scene)


def test_each_is_taken_off_the_list_that_was_asked_about(scene: Scene) -> None:
    """Lists differ in one decision: nobody stays on two because of what the others are taken off."""
    others(scene)
    one, two, _ = scene.lists.campaign
    [first] = scenes.people(1, on=[scene.lists.master, two])
    [second] = scenes.people(1, on=[scene.lists.master, one])
    [third] = scenes.people(1, on=[scene.lists.master])
    scene.publish()
    scene.a_person("addforce", first, one)
    scene.a_person("addforce", second, two)
    scene.a_person("addforce", third, scene.lists.suppression)

    run = approve(scene, a_run(scene))

    assert [on(scene, each) for each in (first, second, third)] == [{"List 2"}, {"List 1"}, set()]
    assert run.counts["dropped"] == 0
    rests(scene)


@pytest.mark.parametrize("before", [lambda scene: a_suppressed(scene)[0], a_placed])
def test_whom_people_deleted_at_mailjet_is_not_made_anew(
    scene: Scene, before: Callable[[Scene], Contact]
) -> None:
    """They may have asked for it, and nobody is mailed who is on no list."""
    others(scene)
    contact = before(scene)
    scene.publish()
    scene.at_mailjet("DELETE FROM memberships WHERE contact_id = ?", contact.pk)
    scene.at_mailjet("DELETE FROM contacts WHERE id = ?", contact.pk)

    run = approve(scene, a_run(scene))

    assert contact.email is not None
    assert scene.outside.mailjet.contact(contact.email) is None
    item = the_decision(run).items.get()
    assert (item.status, "make them anew" in item.why) == (ItemStatus.DROPPED, True)


# --- Asked once --------------------------------------------------------------------------------------


def test_what_was_accepted_is_not_asked_again_and_a_new_change_is(scene: Scene) -> None:
    others(scene)
    contact = a_placed(scene)
    two = scene.lists.campaign[1]
    scene.publish()
    scene.a_person("remove", contact, two)
    run = reject(scene, a_run(scene))
    assert on(scene, contact) == set()

    for _ in range(2):
        scene.clock.passes(timedelta(days=1))
        again = a_run(scene)
        assert not again.decisions.exists()
        assert (again.counts["accepted"], again.counts["drifts"]["taken_away"]) == (1, 0)
    assert run.counts["drifts"]["taken_away"] == 1

    scene.clock.passes(timedelta(days=1))
    scene.a_person("addforce", contact, two)
    a_run(scene)
    scene.clock.passes(timedelta(days=1))
    scene.a_person("addforce", contact, scene.lists.campaign[0])
    assert list(asks(a_run(scene))) == [Drift.DOUBLED]


def test_while_a_decision_is_open_its_contacts_are_not_asked_about_again(scene: Scene) -> None:
    others(scene)
    contact = a_placed(scene)
    scene.publish()
    scene.a_person("remove", contact, scene.lists.campaign[1])
    first = a_run(scene)

    scene.clock.passes(timedelta(days=1))
    second = a_run(scene)

    assert first.status == RunStatus.WAITING_FOR_REVIEW
    assert second.status == RunStatus.SUCCEEDED
    assert (second.counts["waiting"], second.counts["asked"]) == (1, 0)
    assert second.counts["drifts"]["taken_away"] == 1


def test_what_nobody_decides_expires_comes_up_three_times_and_again_when_a_person_asks(
    scene: Scene,
) -> None:
    others(scene)
    contact = a_placed(scene)
    scene.publish()
    scene.a_person("remove", contact, scene.lists.campaign[1])

    for n in range(MOST_ASKED):
        run = a_run(scene, trigger=Trigger.SCHEDULE)
        assert run.counts["asked"] == 1, n
        scene.clock.passes(timedelta(days=8))
        runs.sweep(outside=scene.outside, clock=scene.clock)
        run.refresh_from_db()
        assert (run.status, the_decision(run).status) == (RunStatus.SUCCEEDED, DecisionStatus.EXPIRED)
    fourth = a_run(scene, trigger=Trigger.SCHEDULE)
    by_hand = a_run(scene, trigger=Trigger.PERSON)

    assert (fourth.counts["asked"], fourth.counts["given_up"]) == (0, 1)
    assert "manage.py reconcile asks again" in fourth.report
    assert asks(by_hand) == {Drift.TAKEN_AWAY: [contact.pk]}
    assert on(scene, contact) == set()


def test_whoever_started_the_run_does_not_decide_it(scene: Scene) -> None:
    contact = a_placed(scene)
    scene.publish()
    scene.a_person("remove", contact, scene.lists.campaign[1])
    ana, ben = factories.a_reviewer("ana"), factories.a_reviewer("ben")

    decision = the_decision(a_run(scene, by=ana))

    assert "another reviewer decides" in (review.why_not(decision, by=ana, now=scene.clock()) or "")
    assert review.why_not(decision, by=ben, now=scene.clock()) is None


# --- Consent -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", [0, 1])
def test_opted_out_on_one_list_is_opted_out_and_nobody_is_asked(scene: Scene, where: int) -> None:
    """P2: what contacts said heals alone; a reviewer could only do harm."""
    one, two, _ = scene.lists.campaign
    [contact] = scenes.people(1, on=[scene.lists.master, one])
    scene.publish()
    scene.a_person("addforce", contact, two)
    scene.a_person("unsub", contact, (one, two)[where])

    run = a_run(scene)

    assert not run.decisions.exists()
    assert run.counts["drifts"]["doubled"] == 0
    contact.refresh_from_db()
    assert contact.opted_out_at is not None


def test_who_opts_out_between_the_question_and_its_execution_is_not_put_back(scene: Scene) -> None:
    """P2, at the last moment: what stands at Mailjet is read before anybody is added."""
    contact = a_placed(scene)
    scene.publish()
    scene.a_person("remove", contact, scene.lists.campaign[1])
    run = a_run(scene)
    scene.a_person("unsub", contact, scene.lists.master)
    scene.clock.passes(timedelta(hours=1))
    mirror.refresh(scene.lists.master, mailjet=scene.outside.mailjet, now=scene.clock())

    run = approve(scene, run)

    item = the_decision(run).items.get()
    assert (item.status, item.why) == (ItemStatus.DROPPED, "opted out")
    assert on(scene, contact) == set()
    assert scene.standin.writes() == []


# --- Checked again at execution ----------------------------------------------------------------------


def test_what_people_changed_again_before_execution_is_left_alone(scene: Scene) -> None:
    others(scene)
    one, two, three = scene.lists.campaign
    placed, moved = a_placed(scene), a_moved(scene)
    [listed, suppressed] = a_suppressed(scene, number=2)
    scene.publish()
    scene.a_person("remove", placed, two)
    scene.a_person("addforce", moved, one)
    scene.a_person("remove", listed, scene.lists.suppression)
    scene.a_person("remove", suppressed, scene.lists.suppression)
    run = a_run(scene)

    scene.a_person("addforce", placed, three)
    scene.a_person("remove", moved, two)
    scene.a_person("addforce", listed, scene.lists.suppression)
    scene.clock.passes(timedelta(hours=1))
    for _ in range(2):
        mirror.refresh_all(mailjet=scene.outside.mailjet, now=scene.clock())
        scene.clock.passes(timedelta(minutes=1))
    run = approve(scene, run)

    found = {item.contact_id: (item.status, item.why) for item in the_decision(run).items.all()}
    assert found == {
        placed.pk: (ItemStatus.DROPPED, "on a list again already"),
        moved.pk: (ItemStatus.DROPPED, "on no other campaign list any more, so stays on List 1"),
        listed.pk: (ItemStatus.DROPPED, "put back by somebody else meanwhile"),
        suppressed.pk: (ItemStatus.EXECUTED, ""),
    }
    assert on(scene, placed) == {"List 3"}
    assert on(scene, moved) == {"List 1"}


def test_nobody_is_put_back_where_they_would_get_this_cycles_message_twice(scene: Scene) -> None:
    """P5: not asked about while it would, and not done where a cycle began meanwhile."""
    others(scene)
    one, two, _ = scene.lists.campaign
    contact = a_placed(scene)
    scene.publish()
    scene.a_person("remove", contact, two)
    run = a_run(scene)
    cycle = factories.a_cycle()
    times = {"started_at": NOON - timedelta(hours=3), "ended_at": NOON - timedelta(hours=2)}
    sent = factories.a_campaign(cycle=cycle, round=1, list=one, recipients_fetched_at=NOON, **times)
    factories.a_recipient(campaign=sent, contact=contact)

    run = approve(scene, run)

    item = the_decision(run).items.get()
    assert item.status == ItemStatus.DROPPED
    assert "had this cycle's message already" in item.why
    scene.clock.passes(timedelta(days=1))
    later = a_run(scene)
    assert not later.decisions.exists()
    assert sum(later.counts["later"].values()) == 1
    assert on(scene, contact) == set()


def test_a_frozen_list_is_not_asked_about_until_its_send_has_ended(scene: Scene) -> None:
    others(scene)
    two = scene.lists.campaign[1]
    contact = a_placed(scene)
    soon = factories.a_campaign(
        list=two, status=RoundStatus.SCHEDULED, scheduled_at=NOON + timedelta(hours=3)
    )
    scene.publish()
    scene.a_person("remove", contact, two)

    run = a_run(scene)

    assert not run.decisions.exists()
    assert run.counts["later"] == {"List 2 is frozen for its send, or soon will be": 1}

    soon.status = RoundStatus.CANCELLED
    soon.save()
    assert asks(a_run(scene)) == {Drift.TAKEN_AWAY: [contact.pk]}


def test_the_deadline_is_the_next_freeze_of_a_list_that_would_change(scene: Scene) -> None:
    two, three = scene.lists.campaign[1:]
    contact = a_placed(scene)
    sends_at = NOON + timedelta(days=2)
    factories.a_campaign(list=two, status=RoundStatus.SCHEDULED, scheduled_at=sends_at)
    factories.a_campaign(list=three, status=RoundStatus.SCHEDULED, scheduled_at=NOON + timedelta(days=1))
    scene.publish()
    scene.a_person("remove", contact, two)

    assert the_decision(a_run(scene)).deadline == sends_at - timedelta(hours=2)


# --- Off, paused, observing --------------------------------------------------------------------------


def test_while_off_it_compares_and_reports_and_asks_nothing_that_could_not_be_done(scene: Scene) -> None:
    """P9."""
    contact = a_placed(scene)
    scene.publish()
    scene.a_person("remove", contact, scene.lists.campaign[1])
    off = replace(scene.outside, configuration=scenes.configuration(enabled=False))

    run = a_run(replace(scene, outside=off))

    assert run.status == RunStatus.SUCCEEDED
    assert run.counts["drifts"]["taken_away"] == 1
    assert run.counts["asked"] == 0
    assert not run.decisions.exists()
    assert "not asked yet, LIST_MANAGEMENT_ENABLED is false" in run.report
    assert asks(a_run(scene)) == {Drift.TAKEN_AWAY: [contact.pk]}


def test_while_only_observing_nobody_is_asked_and_the_run_does_not_count_as_observed(scene: Scene) -> None:
    ListMaintenanceLog.objects.filter(stage=RunStage.OBSERVE).update(stage=RunStage.ACT)
    contact = a_placed(scene)
    scene.publish()
    scene.a_person("remove", contact, scene.lists.campaign[1])

    for _ in range(2):
        run = a_run(scene)
        assert (run.stage, run.status) == (RunStage.OBSERVE, RunStatus.SUCCEEDED)
        assert (run.counts["asked"], run.decisions.exists()) == (0, False)


def test_paused_between_approval_and_execution_nothing_is_sent_until_it_is_over(scene: Scene) -> None:
    """P9."""
    contact = a_placed(scene)
    scene.publish()
    scene.a_person("remove", contact, scene.lists.campaign[1])
    run = a_run(scene)
    state = factories.RolloutState.objects.get()
    state.paused_at, state.changed_by, state.why = scene.clock(), factories.a_user(), "a holiday"
    state.save()
    review.approve(the_decision(run).pk, by=factories.a_reviewer(), now=scene.clock())

    runs.sweep(outside=scene.outside, clock=scene.clock)

    run.refresh_from_db()
    assert (run.status, scene.standin.writes()) == (RunStatus.WAITING, [])
    assert "paused" in run.waits_for
    state.paused_at = None
    state.save()
    scene.go_on(run)
    assert on(scene, contact) == {"List 2"}


# --- Counts ------------------------------------------------------------------------------------------


def test_what_was_on_the_suppression_list_on_the_first_day_is_recorded_without_asking(scene: Scene) -> None:
    """P1: imported, without invented evidence."""
    [found] = scenes.people(1, on=[scene.lists.master, scene.lists.suppression])
    scene.publish()

    run = a_run(scene)

    assert not run.decisions.exists()
    assert (run.counts["recorded"], run.counts["promises_broken"]) == (1, [])
    suppression = ContactSuppressionHistory.objects.get()
    assert (suppression.contact, suppression.kind) == (found, SuppressionKind.IMPORTED)
    scene.clock.passes(timedelta(days=1))
    assert a_run(scene).counts["recorded"] == 0


def test_counts_that_differ_are_told_with_both_numbers(scene: Scene) -> None:
    others(scene)
    campaign = factories.a_campaign(list=scene.lists.campaign[0], settled_at=NOON)
    factories.a_recipient(campaign=campaign)
    scene.publish_with(campaign, bounced=[])

    run = a_run(scene)

    assert not run.counts["counts_match"]
    assert run.counts["campaigns"] == [
        {"campaign_id": campaign.pk, "differs": {"messages": [1, 3], "delivered": [1, 3]}}
    ]
    assert f"campaign {campaign.pk}: messages 1 here and 3 at Mailjet" in run.report
    [alert] = Notification.objects.filter(kind=NotificationKind.ALERT)
    assert "@" not in alert.text


def test_each_list_is_counted_here_and_at_mailjet(scene: Scene) -> None:
    others(scene)
    one = scene.lists.campaign[0]
    excluded = factories.a_contact(excluded_since=NOON)
    out = factories.a_contact(opted_out_at=NOON, opted_out_by="an event")
    factories.a_membership(contact=excluded, list=one)
    factories.a_membership(contact=out, list=one, unsubscribed=True)
    scene.publish()

    run = a_run(scene)

    [row] = [row for row in run.counts["lists"] if row["name"] == "List 1"]
    assert (row["members"], row["active"], row["size"], row["mailjet"]) == (5, 4, 3, 5)
    assert (row["list_id"], row["difference"]) == (one.mailjet_id, 0)


# --- Once --------------------------------------------------------------------------------------------


def test_the_schedule_makes_one_run_a_day_and_two_commands_at_once_one_between_them(scene: Scene) -> None:
    """P11."""
    given = {"by": None, "configuration": scene.outside.configuration}
    today = {reconcile.start(trigger=Trigger.SCHEDULE, now=NOON, **given).pk for _ in range(2)}
    joined = reconcile.start(trigger=Trigger.PERSON, now=NOON, **given)
    scene.publish()
    scene.go_on(joined)
    again = reconcile.start(trigger=Trigger.SCHEDULE, now=NOON + timedelta(hours=3), **given)
    by_hand = {reconcile.start(trigger=Trigger.PERSON, now=scene.clock(), **given).pk for _ in range(2)}

    assert today == {joined.pk} == {again.pk}
    assert len(by_hand) == 1
    assert by_hand != today
    assert ListMaintenanceLog.objects.filter(kind=RunKind.RECONCILIATION).count() == 2


def test_a_run_that_dies_between_its_steps_and_is_repeated_has_one_effect(scene: Scene) -> None:
    """P6: each step again after the instant it committed, before the run knew."""
    others(scene)
    back, let = a_suppressed(scene, number=2)
    contact = a_placed(scene)
    scene.publish()
    for each in (back, let):
        scene.a_person("addforce", each, scene.lists.campaign[2])
    scene.a_person("remove", contact, scene.lists.campaign[1])
    run = a_run(scene)
    decision = the_decision(run)
    review.take_out(decision.pk, contacts=[let.pk], by=factories.a_reviewer(), now=scene.clock())
    review.approve(decision.pk, by=factories.a_reviewer(), now=scene.clock())
    scene.go_on(run)
    done = (on(scene, back), on(scene, let), on(scene, contact))
    assert done == ({"Suppressed"}, {"List 3"}, {"List 2"})
    jobs, effects = scene.standin.jobs(), scene.standin.effects()

    for step in reconcile.STEPS:
        unfinished = {"status": RunStatus.RUNNING, "finished_at": None}
        ListMaintenanceLog.objects.filter(pk=run.pk).update(step=step, **unfinished)
        run.refresh_from_db()
        scene.go_on(run)

    assert run.status == RunStatus.SUCCEEDED
    assert (scene.standin.jobs(), scene.standin.effects()) == (jobs, effects)
    assert run.decisions.count() == 2
    assert let.suppressions.count() == back.suppressions.count() == 1
    assert (on(scene, back), on(scene, let), on(scene, contact)) == done


def test_a_list_that_mailjet_does_not_know_ends_the_run_and_names_the_setting(scene: Scene) -> None:
    scene.publish()
    scene.at_mailjet("UPDATE lists SET is_deleted = 1 WHERE id = ?", scene.lists.suppression.mailjet_id)

    run = a_run(scene)

    assert (run.status, run.step) == (RunStatus.FAILED, Step.READ_MAILJET)
    assert "MAILJET_SUPPRESSION_LIST_ID" in run.report
