"""Between decision and execution people opt out, vanish, are reached; and sends begin. Who must not be
changed any more drops out with words, and the rest goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from integrations.mailjet import Mailjet
from listmanagement.domain.bounces import Outcome
from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import (
    BatchKind,
    BatchStatus,
    CampaignSchedule,
    Contact,
    ContactListMembership,
    ContactSuppressionHistory,
    DecisionKind,
    DecisionStatus,
    HoldKind,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    ListOperation,
    OperationStatus,
    RunStatus,
)
from listmanagement.workflows import mirror, permission
from tests import factories
from tests.workflows import scene as scenes
from tests.workflows.executing import a_move, a_placement, a_suppression, ends
from tests.workflows.hearing import heard
from tests.workflows.scene import Scene

pytestmark = pytest.mark.django_db(transaction=True)

Meanwhile = Callable[[Scene, Contact], object]
BULK = {"path": "managemanycontacts$", "method": "POST"}


# --- What happens meanwhile --------------------------------------------------------------------------


def opts_out(scene: Scene, contact: Contact) -> None:
    scene.a_person("unsub", contact, scene.lists.campaign[0])


def opts_out_of_everything(scene: Scene, contact: Contact) -> None:
    scene.a_person("unsub", contact, scene.lists.master)


def is_excluded(scene: Scene, contact: Contact) -> None:
    scene.at_mailjet("UPDATE contacts SET excluded = 1 WHERE id = ?", contact.pk)


def complains(scene: Scene, contact: Contact) -> None:
    scene.at_mailjet("UPDATE contacts SET complained = 1 WHERE id = ?", contact.pk)


def is_to_be_mailed_again_soon(scene: Scene, contact: Contact) -> None:
    """Mailed three days ago by its own list; the list it would join is scheduled for in three days."""
    sends = CampaignSchedule.objects.order_by("list")
    mailed = sends.filter(list=scene.lists.campaign[0]).get()
    factories.a_recipient(campaign=mailed, contact=contact, sent_at=scene.clock() - timedelta(days=3))
    a_send(scene, number=1, after=timedelta(days=3))


def was_moved_lately(scene: Scene, contact: Contact) -> None:
    """By another run, before this cycle, and not two cycles ago."""
    run = factories.a_run(campaign=CampaignSchedule.objects.first(), status=RunStatus.SUCCEEDED)
    decision = factories.a_decision(run=run, kind=DecisionKind.REBALANCING, status=DecisionStatus.APPROVED)
    item = factories.an_item(
        group=factories.a_group(decision=decision, action=ItemAction.MOVE),
        contact=contact,
        status=ItemStatus.EXECUTED,
    )
    batch = factories.a_batch(run=run, kind=BatchKind.MOVE_IN, status=BatchStatus.APPLIED)
    moved_at = scene.clock() - timedelta(days=60)
    factories.an_operation(batch=batch, item=item, status=OperationStatus.APPLIED, applied_at=moved_at)


def vanishes(scene: Scene, contact: Contact) -> None:
    scene.at_mailjet("DELETE FROM memberships WHERE contact_id = ?", contact.pk)
    scene.at_mailjet("DELETE FROM contacts WHERE id = ?", contact.pk)


def comes_back_under_a_new_id(scene: Scene, contact: Contact) -> None:
    scene.at_mailjet(
        "INSERT INTO contacts (id, email, name, created_at)"
        " SELECT id + 9000000, 'new ' || email, name, created_at FROM contacts WHERE id = ?",
        contact.pk,
    )
    scene.at_mailjet(
        "UPDATE memberships SET contact_id = contact_id + 9000000 WHERE contact_id = ?", contact.pk
    )
    scene.at_mailjet("DELETE FROM contacts WHERE id = ?", contact.pk)
    scene.at_mailjet("UPDATE contacts SET email = substr(email, 5) WHERE id = ? + 9000000", contact.pk)


def is_delivered_to(scene: Scene, contact: Contact) -> None:
    factories.a_recipient(
        contact=contact, sent_at=scene.clock(), outcome_at=scene.clock(), outcome=Outcome.DELIVERED
    )


def is_held(scene: Scene, contact: Contact) -> None:
    run = ListMaintenanceLog.objects.get()
    factories.a_hold(kind=HoldKind.CONTACT, contact=contact, run=run, since=scene.clock())


def has_a_domain_that_is_held(scene: Scene, contact: Contact) -> None:
    address = f"c{contact.pk}@outage.example"
    Contact.objects.filter(pk=contact.pk).update(email=address)
    scene.at_mailjet("UPDATE contacts SET email = ? WHERE id = ?", address, contact.pk)
    run = ListMaintenanceLog.objects.get()
    factories.a_hold(host="outage.example", run=run, since=scene.clock())


def is_taken_off(scene: Scene, contact: Contact) -> None:
    scene.a_person("remove", contact, scene.lists.campaign[0])


def leaves_the_master_list(scene: Scene, contact: Contact) -> None:
    scene.a_person("remove", contact, scene.lists.master)


def joins_another_list(scene: Scene, contact: Contact) -> None:
    scene.a_person("addnoforce", contact, scene.lists.campaign[2])


def is_suppressed_by_hand(scene: Scene, contact: Contact) -> None:
    scene.a_person("addnoforce", contact, scene.lists.suppression)


def later(scene: Scene, run: ListMaintenanceLog, contacts: Sequence[Contact], meanwhile: Meanwhile) -> None:
    """The lists were read, it happens to the second contact, and the run goes on when they are read again."""
    meanwhile(scene, contacts[1])
    scene.clock.passes(timedelta(minutes=11))
    scene.go_on(run)


def assert_only_the_second_dropped(
    run: ListMaintenanceLog, contacts: Sequence[Contact], *, words: str
) -> None:
    found = ends(run)
    assert found[contacts[0].pk] == found[contacts[2].pk] == (ItemStatus.EXECUTED, "")
    status, why = found[contacts[1].pk]
    assert status == ItemStatus.DROPPED
    assert words in why
    assert run.status == RunStatus.SUCCEEDED


def touched(scene: Scene) -> set[int]:
    """Whom our jobs changed."""
    return {pk for pk, *_ in scene.standin.effects()}


# --- Before a suppression, a placement, a move --------------------------------------------------------


@pytest.mark.parametrize(
    ("meanwhile", "words"),
    [
        (opts_out, "opted out meanwhile"),
        (is_delivered_to, "was delivered to meanwhile"),
        (is_held, "held meanwhile"),
        (has_a_domain_that_is_held, "held meanwhile"),
        (is_taken_off, "no longer on"),
        (vanishes, "no longer on"),
        (comes_back_under_a_new_id, "the address moved to a new contact"),
    ],
)
def test_who_must_not_be_suppressed_any_more_drops_out(
    scene: Scene, meanwhile: Meanwhile, words: str
) -> None:
    run, gone = a_suppression(scene)

    later(scene, run, gone, meanwhile)

    assert_only_the_second_dropped(run, gone, words=words)
    assert touched(scene) == {gone[0].pk, gone[2].pk}
    assert ContactSuppressionHistory.objects.count() == 2


@pytest.mark.parametrize(
    ("meanwhile", "words"),
    [
        (opts_out_of_everything, "opted out"),
        (is_excluded, "excluded"),
        (complains, "complained"),
        (joins_another_list, "already on another list"),
        (is_suppressed_by_hand, "already on another list"),
        (leaves_the_master_list, "no longer on the master list"),
        (vanishes, "no longer on the master list"),
        (comes_back_under_a_new_id, "the address moved to a new contact"),
    ],
)
def test_who_must_not_be_placed_any_more_drops_out(scene: Scene, meanwhile: Meanwhile, words: str) -> None:
    run, placed = a_placement(scene)

    later(scene, run, placed, meanwhile)

    assert_only_the_second_dropped(run, placed, words=words)
    assert touched(scene) == {placed[0].pk, placed[2].pk}


@pytest.mark.parametrize(
    ("meanwhile", "words"),
    [
        (opts_out, "opted out"),
        (is_excluded, "excluded"),
        (complains, "complained"),
        (joins_another_list, "already on another list"),
        (is_held, "held meanwhile"),
        (is_to_be_mailed_again_soon, "would get two mails within 7 days"),
        (was_moved_lately, "moved less than two cycles ago"),
        (is_taken_off, "no longer on the list it would leave"),
        (vanishes, "no longer on the list it would leave"),
        (comes_back_under_a_new_id, "the address moved to a new contact"),
    ],
)
def test_who_must_not_be_moved_any_more_drops_out(scene: Scene, meanwhile: Meanwhile, words: str) -> None:
    run, moved = a_move(scene)

    later(scene, run, moved, meanwhile)

    assert_only_the_second_dropped(run, moved, words=words)
    assert touched(scene) == {moved[0].pk, moved[2].pk}


def test_where_everybody_drops_out_nothing_is_sent(scene: Scene) -> None:
    run, gone = a_suppression(scene)
    for contact in gone:
        opts_out(scene, contact)

    scene.go_on(run)

    assert scene.standin.writes() == []
    assert {status for status, _ in ends(run).values()} == {ItemStatus.DROPPED}
    assert run.batches.get().status == BatchStatus.FAILED
    assert run.status == RunStatus.SUCCEEDED


# --- Between the two halves of a move -----------------------------------------------------------------


def half_moved(scene: Scene) -> tuple[ListMaintenanceLog, Sequence[Contact]]:
    """The contacts have arrived, and not yet left: somebody switched everything off in between."""
    run, moved = a_move(scene)
    way_in = run.batches.filter(kind=BatchKind.MOVE_IN)
    scene.go_on_while(run, lambda: not way_in.filter(status=BatchStatus.SUBMITTED).exists())
    switched_on = scene.outside
    scene.outside = replace(switched_on, configuration=scenes.configuration(enabled=False))
    scene.go_on_while(run, lambda: not way_in.filter(status=BatchStatus.APPLIED).exists())
    scene.outside = switched_on
    assert len(scene.standin.writes()) == 1
    return run, moved


def test_an_opt_out_on_the_source_during_a_move_is_repeated_on_the_target_first(scene: Scene) -> None:
    run, moved = half_moved(scene)
    one, two, _ = scene.lists.campaign
    opts_out(scene, moved[1])

    scene.go_on(run)

    assert scene.members(one) == {}
    assert scene.members(two) == {moved[0].pk: False, moved[1].pk: True, moved[2].pk: False}
    log = [
        (row["list_id"], row["after"])
        for row in scene.control.changes()
        if row["contact_id"] == moved[1].pk and row["job_id"]
    ]
    assert log == [
        (two.mailjet_id, "subscribed"),
        (two.mailjet_id, "unsubscribed"),
        (one.mailjet_id, "absent"),
    ]
    assert Contact.objects.get(pk=moved[1].pk).opted_out_at is not None
    assert ContactListMembership.objects.current().get(contact=moved[1], list=two).unsubscribed
    assert {status for status, _ in ends(run).values()} == {ItemStatus.EXECUTED}
    carried = ListOperation.objects.get(kind=BatchKind.CARRY_OPT_OUT)
    assert (carried.contact_id, carried.status) == (moved[1].pk, OperationStatus.APPLIED)


def test_an_opt_out_that_the_master_list_knows_is_repeated_on_the_target_too(scene: Scene) -> None:
    run, moved = half_moved(scene)
    Contact.objects.filter(pk=moved[0].pk).update(opted_out_at=scene.clock(), opted_out_by="an event")

    scene.go_on(run)

    assert scene.members(scene.lists.campaign[1])[moved[0].pk] is True
    assert moved[0].pk not in scene.members(scene.lists.campaign[0])


def test_an_opt_out_on_the_target_during_a_move_needs_no_repeating(scene: Scene) -> None:
    run, moved = half_moved(scene)
    scene.a_person("unsub", moved[1], scene.lists.campaign[1])

    scene.go_on(run)

    assert scene.members(scene.lists.campaign[0]) == {}
    assert scene.members(scene.lists.campaign[1])[moved[1].pk] is True
    assert not run.batches.filter(kind=BatchKind.CARRY_OPT_OUT).exists()


def test_an_opt_out_that_mailjet_does_not_repeat_keeps_its_contact_on_the_source(scene: Scene) -> None:
    run, moved = half_moved(scene)
    opts_out(scene, moved[1])
    scene.control.fault(**BULK, job="lie", times=8)

    scene.go_on(run)

    assert scene.members(scene.lists.campaign[0]) == {moved[1].pk: True}
    status, why = ends(run)[moved[1].pk]
    assert (status, run.status) == (ItemStatus.FAILED, RunStatus.PARTIAL)
    assert "the job ended without effect, 8 times" in why


@pytest.mark.parametrize(
    ("meanwhile", "words"),
    [
        (vanishes, "no longer on List 2 at Mailjet, so stays on List 1"),
        (comes_back_under_a_new_id, "the address moved to a new contact"),
        (is_taken_off, "somebody else took the contact off List 1"),
    ],
)
def test_who_is_changed_by_others_during_a_move_is_left_as_they_are(
    scene: Scene, meanwhile: Meanwhile, words: str
) -> None:
    run, moved = half_moved(scene)

    later(scene, run, moved, meanwhile)

    status, why = ends(run)[moved[1].pk]
    assert status == ItemStatus.DROPPED
    assert words in why
    assert {ends(run)[moved[n].pk][0] for n in (0, 2)} == {ItemStatus.EXECUTED}


def test_nobody_is_created_at_mailjet_by_a_removal(scene: Scene) -> None:
    run, moved = half_moved(scene)
    vanishes(scene, moved[1])
    known = {row["id"] for row in scene.control.dump()["contacts"]}

    scene.go_on(run)

    assert {row["id"] for row in scene.control.dump()["contacts"]} == known


def test_a_contact_that_was_taken_off_the_target_stays_on_the_source(scene: Scene) -> None:
    run, moved = half_moved(scene)
    scene.a_person("remove", moved[1], scene.lists.campaign[1])

    scene.go_on(run)

    one, two, _ = scene.lists.campaign
    assert set(scene.members(one)) == {moved[1].pk}
    assert set(scene.members(two)) == {moved[0].pk, moved[2].pk}
    assert ends(run)[moved[1].pk][0] == ItemStatus.DROPPED


# --- Sends -------------------------------------------------------------------------------------------


def a_send(scene: Scene, *, number: int, after: timedelta) -> CampaignSchedule:
    """The first round of the next cycle, to one of the lists."""
    return factories.a_campaign(
        list=scene.lists.campaign[number],
        status=RoundStatus.SCHEDULED,
        scheduled_at=scene.clock() + after,
    )


def sending(send: CampaignSchedule, scene: Scene) -> None:
    CampaignSchedule.objects.filter(pk=send.pk).update(status=RoundStatus.SENDING, started_at=scene.clock())


def sent(send: CampaignSchedule, scene: Scene) -> None:
    CampaignSchedule.objects.filter(pk=send.pk).update(
        status=RoundStatus.SENT, ended_at=scene.clock(), mailjet_campaign_id=777
    )


@pytest.mark.parametrize("hours", [1.9, 2.2])
def test_a_batch_that_may_not_finish_before_the_freeze_waits_until_the_send_has_ended(
    scene: Scene, hours: float
) -> None:
    run, placed = a_placement(scene)
    send = a_send(scene, number=0, after=timedelta(hours=hours))

    for _ in range(3):
        scene.go_on_while(run, lambda: run.status != RunStatus.WAITING)
        scene.clock.passes(timedelta(hours=1))
    assert scene.standin.writes() == []
    assert run.waits_for == "List 1 is frozen until its send has ended"

    sending(send, scene)
    scene.clock.passes(timedelta(minutes=30))
    sent(send, scene)
    scene.go_on(run)

    assert set(scene.members(scene.lists.campaign[0])) == {contact.pk for contact in placed}
    assert run.status == RunStatus.SUCCEEDED


def test_a_batch_that_surely_finishes_before_the_freeze_starts(scene: Scene) -> None:
    run, placed = a_placement(scene)
    a_send(scene, number=0, after=timedelta(hours=2) + permission.A_BATCH_TAKES + timedelta(minutes=5))
    began = scene.clock()

    scene.go_on(run)

    assert len(scene.members(scene.lists.campaign[0])) == len(placed)
    assert scene.clock() - began < timedelta(minutes=5)


@pytest.mark.parametrize("number", [0, 1], ids=["source", "target"])
def test_a_move_does_not_start_when_one_of_its_lists_freezes_soon(scene: Scene, number: int) -> None:
    run, _ = a_move(scene)
    a_send(scene, number=number, after=timedelta(hours=2.1))

    scene.go_on_while(run, lambda: run.status != RunStatus.WAITING)

    assert scene.standin.writes() == []
    assert run.batches.filter(status=BatchStatus.INTENDED).count() == 2


def test_where_another_run_has_moved_since_the_plan_nobody_moves_any_more(scene: Scene) -> None:
    run, moved = a_move(scene)
    [other] = scenes.people(1, on=[scene.lists.campaign[2]])
    was_moved_lately(scene, other)
    ListOperation.objects.filter(contact=other).update(applied_at=scene.clock())

    scene.go_on(run)

    assert scene.standin.writes() == []
    assert {why for _, why in ends(run).values()} == {
        "another run has evened out the lists since this was planned"
    }
    assert len(scene.members(scene.lists.campaign[0])) == len(moved)


def test_a_cycle_that_begins_between_plan_and_move_drops_the_moves(scene: Scene) -> None:
    run, moved = a_move(scene)
    send = a_send(scene, number=2, after=timedelta(minutes=1))
    sending(send, scene)

    scene.go_on(run)

    assert scene.standin.writes() == []
    assert set(ends(run).values()) == {
        (ItemStatus.DROPPED, "a cycle is under way: contacts move only between cycles")
    }
    assert set(scene.members(scene.lists.campaign[0])) == {contact.pk for contact in moved}


def test_who_is_addressed_through_the_source_during_a_move_goes_back_to_it(scene: Scene) -> None:
    run, moved = half_moved(scene)
    one, two, _ = scene.lists.campaign
    send = a_send(scene, number=0, after=timedelta(seconds=5))
    opts_out(scene, moved[1])
    scene.clock.passes(timedelta(minutes=5))
    sending(send, scene)

    scene.go_on(run)

    assert scene.members(one) == {moved[0].pk: False, moved[1].pk: True, moved[2].pk: False}
    assert scene.members(two) == {}
    assert set(ends(run).values()) == {
        (ItemStatus.DROPPED, "a send began before the move was complete: stays on List 1")
    }
    ways = ListOperation.objects.filter(batch__run=run).values_list("kind", "status").distinct()
    assert set(ways) == {
        (BatchKind.MOVE_IN, OperationStatus.UNDONE),
        (BatchKind.MOVE_OUT, OperationStatus.APPLIED),
    }


def test_who_is_addressed_through_the_target_during_a_move_leaves_the_source(scene: Scene) -> None:
    run, moved = half_moved(scene)
    one, two, _ = scene.lists.campaign
    send = a_send(scene, number=1, after=timedelta(seconds=5))
    scene.clock.passes(timedelta(minutes=5))
    sending(send, scene)

    scene.go_on(run)

    assert scene.members(one) == {}
    assert set(scene.members(two)) == {contact.pk for contact in moved}
    assert {status for status, _ in ends(run).values()} == {ItemStatus.EXECUTED}


def test_an_opt_out_is_carried_to_a_list_that_is_frozen(scene: Scene) -> None:
    run, moved = half_moved(scene)
    one, two, _ = scene.lists.campaign
    a_send(scene, number=1, after=timedelta(hours=1))
    opts_out(scene, moved[1])
    began = scene.clock()

    scene.go_on(run)

    assert scene.members(one) == {}
    assert scene.members(two)[moved[1].pk] is True
    assert scene.clock() - began < timedelta(minutes=5)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("reading", [0, 2], ids=["small", "600,000 members"])
def test_an_opt_out_four_minutes_before_a_contact_leaves_a_list_is_not_forgotten(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, reading: int
) -> None:
    monkeypatch.setattr(Mailjet, "time_for", lambda self, requests: timedelta(minutes=reading))
    run, moved = half_moved(scene)
    one, two, _ = scene.lists.campaign
    scene.clock.passes(timedelta(seconds=1))
    # a batch before this one has both lists read, for itself and for this one:
    mirror.refresh_members([one, two], mailjet=scene.outside.mailjet, now=scene.clock())
    scene.clock.passes(timedelta(seconds=30))
    scene.a_person("unsub", moved[1], one)  # by the link of a message of the first list
    scene.clock.passes(timedelta(minutes=4))

    scene.go_on(run)

    assert moved[1].pk not in scene.members(one)
    assert scene.members(two)[moved[1].pk] is True  # unsubscribed


def test_who_opts_out_by_an_old_message_just_after_the_job_is_suppressed_and_keeps_their_word(
    scene: Scene,
) -> None:
    run, (contact, *_) = a_suppression(scene)
    one, sent = scene.lists.campaign[0], run.batches.filter(status=BatchStatus.SUBMITTED)
    scene.control.settings(job_seconds=5, unsub_adds_nonmember=True)
    scene.go_on_while(run, lambda: not sent.exists())
    scene.clock.passes(timedelta(seconds=6))
    assert contact.pk in scene.members(scene.lists.suppression)
    scene.a_person("unsub", contact, one)

    scene.go_on(run)

    assert ends(run)[contact.pk] == (ItemStatus.EXECUTED, "")
    assert scene.members(one)[contact.pk] is True  # unsubscribed there, as they said
    assert contact.pk in scene.members(scene.lists.suppression)
    assert ContactSuppressionHistory.objects.standing().filter(contact=contact).exists()
    mirror.refresh_members([one], mailjet=scene.outside.mailjet, now=scene.clock())
    assert not contact.memberships.active().filter(list=one).exists()


def test_who_is_subscribed_again_after_they_opted_out_is_suppressed_and_keeps_their_word_all_the_same(
    scene: Scene,
) -> None:
    """Our job is done; its contact opts out by an old message, which is read; somebody puts them back."""
    factories.the_rollout()
    run, (contact, *_) = a_suppression(scene)
    one, sent = scene.lists.campaign[0], run.batches.filter(status=BatchStatus.SUBMITTED)
    scene.control.settings(job_seconds=5, unsub_adds_nonmember=True)
    scene.go_on_while(run, lambda: not sent.exists())
    scene.clock.passes(timedelta(seconds=6))
    scene.a_person("unsub", contact, one)
    mirror.refresh_members([one], mailjet=scene.outside.mailjet, now=scene.clock())
    scene.a_person("addforce", contact, one)

    scene.go_on(run)

    assert ends(run)[contact.pk] == (ItemStatus.EXECUTED, "")
    assert contact.pk in scene.members(scene.lists.suppression)
    assert ContactSuppressionHistory.objects.standing().filter(contact=contact).exists()
    heard(scene)
    assert scene.members(one)[contact.pk] is True  # unsubscribed
    assert not contact.memberships.active().filter(list=one).exists()
    assert contact.pk in scene.members(scene.lists.suppression)
