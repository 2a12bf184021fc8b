"""What a batch waits for before it is sent, and what comes up while it waits for the budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from integrations.mailjet import Action, Budget, MailjetPaused
from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import (
    BatchKind,
    BatchStatus,
    Contact,
    ContactList,
    ItemStatus,
    ListMaintenanceLog,
    Notification,
    NotificationKind,
    OperationBatch,
    RolloutState,
    RunStatus,
)
from listmanagement.workflows import permission, runs
from listmanagement.workflows.changes import journal
from listmanagement.workflows.running import lease as leases
from listmanagement.workflows.running.steps import Hand
from tests import factories
from tests.factories import NOON
from tests.workflows import scene as scenes
from tests.workflows.executing import a_move, a_placement, a_suppression, ends
from tests.workflows.scene import Scene

pytestmark = pytest.mark.django_db(transaction=True)


# --- While the budget has a request wait --------------------------------------------------------------


class Slow(Budget):
    """A budget that has the write request wait, and something happens meanwhile, once."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self.meanwhile: Callable[[], object] | None = meanwhile

    def acquire(self, *, background: bool) -> None:
        del background
        if self.meanwhile is None:
            return
        if OperationBatch.objects.filter(status=BatchStatus.SENDING).exists():
            self.meanwhile, happens = None, self.meanwhile
            happens()


def while_the_write_waits(
    scene: Scene, run: ListMaintenanceLog, happens: Callable[[], object]
) -> OperationBatch:
    """The run's first batch, after the budget had its request wait and something happened meanwhile."""
    with scenes.connect(scene.standin, budget=Slow(happens)) as mailjet:
        runs.advance(run.pk, outside=scene.with_mailjet(mailjet), clock=scene.clock)
    assert scene.standin.writes() == []
    return run.batches.get(position=1)


def test_a_pause_that_came_up_while_the_budget_had_it_wait_keeps_the_request_back(scene: Scene) -> None:
    run, gone = a_suppression(scene)

    def pauses() -> None:
        RolloutState.objects.update_or_create(
            pk=1,
            defaults={"paused_at": scene.clock(), "why": "wait", "changed_by": factories.a_reviewer()},
        )

    batch = while_the_write_waits(scene, run, pauses)

    assert (batch.status, batch.attempt) == (BatchStatus.INTENDED, 0)
    assert batch.error.startswith("paused by")
    RolloutState.objects.update(paused_at=None)
    scene.clock.passes(permission.ASKED_AGAIN_AFTER)
    scene.go_on(run)
    assert set(scene.members(scene.lists.suppression)) == {contact.pk for contact in gone}


def test_a_freeze_that_came_up_while_the_budget_had_it_wait_keeps_the_request_back(scene: Scene) -> None:
    run, _ = a_placement(scene)

    def is_scheduled() -> None:
        factories.a_campaign(
            list=scene.lists.campaign[0],
            status=RoundStatus.SCHEDULED,
            scheduled_at=scene.clock() + timedelta(hours=2),
        )

    batch = while_the_write_waits(scene, run, is_scheduled)

    assert (batch.status, batch.attempt) == (BatchStatus.INTENDED, 0)
    assert batch.error == "List 1 is frozen until its send has ended"


def test_a_worker_that_lost_its_lease_while_the_budget_had_it_wait_sends_nothing(scene: Scene) -> None:
    run, _ = a_suppression(scene)
    lease = leases.claim(run.pk)
    assert lease is not None
    journal.intend(Hand(run, lease, scene.outside, scene.clock), run.decisions.all())

    def is_paused_past_the_lease() -> None:
        lease._renewed -= leases.LASTS_SECONDS + 1

    with scenes.connect(scene.standin, budget=Slow(is_paused_past_the_lease)) as mailjet:
        hand = Hand(run, lease, replace(scene.outside, mailjet=mailjet), scene.clock)
        with pytest.raises(leases.LeaseLost):
            journal.drive(hand)

    assert scene.standin.writes() == []
    lease.give_back()
    scene.go_on(run)
    assert (len(scene.standin.writes()), run.status) == (1, RunStatus.SUCCEEDED)


# --- While Mailjet is not asked at all ----------------------------------------------------------------


class Broken(Budget):
    """The breaker is open: nobody asks Mailjet until then."""

    def __init__(self, scene: Scene) -> None:
        self.until = scene.clock() + timedelta(seconds=90)

    def acquire(self, *, background: bool) -> None:
        raise MailjetPaused("Mailjet is not asked before 12:01:30 UTC", until=self.until)


def test_a_run_waits_as_long_as_the_breaker_says_and_no_failure_is_counted(scene: Scene) -> None:
    run, gone = a_suppression(scene)
    broken = Broken(scene)
    with scenes.connect(scene.standin, budget=broken) as mailjet:
        for _ in range(runs.TOLD_AFTER + 1):
            runs.advance(run.pk, outside=scene.with_mailjet(mailjet), clock=scene.clock)
    run.refresh_from_db()

    assert (run.status, run.next_at, run.retries, run.errors) == (RunStatus.WAITING, broken.until, 0, [])
    assert run.waits_for == "Mailjet is not asked before 12:01:30 UTC"
    assert not Notification.objects.filter(kind=NotificationKind.ALERT).exists()
    assert run.batches.get().status == BatchStatus.INTENDED

    scene.clock.passes(timedelta(seconds=91))
    scene.go_on(run)
    assert {status for status, _ in ends(run).values()} == {ItemStatus.EXECUTED}
    assert set(scene.members(scene.lists.suppression)) == {contact.pk for contact in gone}


def test_a_pause_between_failures_does_not_make_them_fewer(scene: Scene) -> None:
    run, _ = a_suppression(scene)
    ListMaintenanceLog.objects.filter(pk=run.pk).update(retries=3)

    with scenes.connect(scene.standin, budget=Broken(scene)) as mailjet:
        runs.advance(run.pk, outside=scene.with_mailjet(mailjet), clock=scene.clock)

    run.refresh_from_db()
    assert run.retries == 3


# --- Which batch waits for which ----------------------------------------------------------------------


def a_batch_for(contact: Contact, contact_list: ContactList, **columns: object) -> OperationBatch:
    """A batch of a run of its own, with one contact, on one list."""
    item = factories.an_item(contact=contact)
    batch = factories.a_batch(run=item.decision.run, **columns)
    factories.an_operation(batch=batch, item=item)
    action = Action.UNSUBSCRIBE if batch.kind == BatchKind.UNSUBSCRIBE else Action.REMOVE
    factories.a_change(batch=batch, list=contact_list, action=action)
    return batch


@pytest.mark.parametrize(
    ("kind", "same_list", "same_contact", "waits"),
    [
        (BatchKind.PLACE, True, False, True),
        (BatchKind.PLACE, False, True, True),
        (BatchKind.PLACE, False, False, False),
        (BatchKind.UNSUBSCRIBE, True, False, False),
        (BatchKind.UNSUBSCRIBE, False, True, True),
        (BatchKind.COMPLAINT, True, False, False),
        (BatchKind.COMPLAINT, True, True, True),
        (BatchKind.CARRY_OPT_OUT, True, False, False),
    ],
)
def test_a_batch_waits_for_jobs_on_its_lists_and_consent_only_for_its_own_contacts(
    kind: BatchKind, same_list: bool, same_contact: bool, waits: bool
) -> None:
    one, two, _ = factories.the_rotation().campaign
    contact = factories.a_contact()
    a_batch_for(
        contact if same_contact else factories.a_contact(),
        one if same_list else two,
        kind=BatchKind.MOVE_IN,
        status=BatchStatus.SUBMITTED,
    )
    batch = a_batch_for(contact, one, kind=kind)

    assert journal._must_follow(batch) is waits


def a_batch_beside(others: Sequence[OperationBatch], *, kind: BatchKind) -> OperationBatch:
    """A further batch of the run and on the list of these, with a contact of its own."""
    item = factories.an_item(group=others[0].run.decisions.get().groups.get())
    batch = factories.a_batch(run=others[0].run, kind=kind)
    factories.an_operation(batch=batch, item=item)
    factories.a_change(batch=batch, list=others[0].changes.get().list, action=Action.REMOVE)
    return batch


@pytest.mark.parametrize(
    ("earlier", "kind", "columns", "waits"),
    [
        (BatchKind.PLACE, BatchKind.MOVE_IN, {"status": BatchStatus.SUBMITTED}, False),
        (BatchKind.MOVE_OUT, BatchKind.MOVE_OUT, {"status": BatchStatus.SUBMITTED}, False),
        (BatchKind.MOVE_OUT, BatchKind.MOVE_OUT, {"status": BatchStatus.SENDING, "job_id": None}, True),
        (BatchKind.SUPPRESS, BatchKind.SUPPRESS, {"status": BatchStatus.SUBMITTED}, True),
        (BatchKind.SUPPRESS, BatchKind.PLACE, {"status": BatchStatus.SUBMITTED}, True),
    ],
)
def test_placements_and_moves_of_a_run_wait_for_no_job_of_theirs_that_mailjet_has_named(
    earlier: BatchKind, kind: BatchKind, columns: dict[str, object], waits: bool
) -> None:
    one, _, _ = factories.the_rotation().campaign
    first = a_batch_for(factories.a_contact(), one, kind=earlier, **columns)

    assert journal._must_follow(a_batch_beside([first], kind=kind)) is waits


def test_at_most_three_jobs_of_a_run_are_on_a_list_at_once() -> None:
    one, _, _ = factories.the_rotation().campaign
    under_way = [a_batch_for(factories.a_contact(), one, kind=BatchKind.PLACE, status=BatchStatus.SUBMITTED)]
    for _ in range(2):
        batch = a_batch_beside(under_way, kind=BatchKind.PLACE)
        assert journal._must_follow(batch) is False
        OperationBatch.objects.filter(pk=batch.pk).update(
            status=BatchStatus.SUBMITTED, job_id=batch.pk, attempt=1, sending_at=NOON
        )
        under_way.append(batch)

    assert journal._must_follow(a_batch_beside(under_way, kind=BatchKind.MOVE_IN)) is True


@pytest.mark.parametrize(
    ("kind", "waits"),
    [
        (BatchKind.UNSUBSCRIBE, False),
        (BatchKind.COMPLAINT, False),
        (BatchKind.CARRY_OPT_OUT, False),
        (BatchKind.PLACE, True),
    ],
)
def test_consent_knows_no_freeze(scene: Scene, kind: BatchKind, waits: bool) -> None:
    first = scene.lists.campaign[0]
    batch = a_batch_for(factories.a_contact(), first, kind=kind)
    factories.a_campaign(
        list=first, status=RoundStatus.SCHEDULED, scheduled_at=scene.clock() + timedelta(hours=1)
    )
    lease = leases.claim(batch.run_id)
    assert lease is not None
    hand = Hand(batch.run, lease, scene.outside, scene.clock)

    assert (permission.not_yet(hand, batch) is not None) is waits


def test_a_move_waits_until_what_is_under_way_for_one_of_its_contacts_has_ended(scene: Scene) -> None:
    run, moved = a_move(scene)
    earlier = a_batch_for(moved[0], scene.lists.suppression, status=BatchStatus.SENDING)
    ListMaintenanceLog.objects.filter(pk=earlier.run_id).update(status=RunStatus.WAITING_FOR_REVIEW)

    runs.advance(run.pk, outside=scene.outside, clock=scene.clock)

    assert scene.standin.writes() == []
