"""Many at once: as few requests as can be, one job at a time, one reading back for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from integrations.mailjet import MOST_BYTES, bytes_of
from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import (
    BatchKind,
    BatchStatus,
    Contact,
    DecisionItem,
    DecisionKind,
    DecisionStatus,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    RunKind,
    RunStatus,
)
from listmanagement.workflows.changes import execution, journal, seeing
from listmanagement.workflows.running import lease as leases
from listmanagement.workflows.running.steps import Done, Hand, Wait
from tests import factories
from tests.workflows import scene as scenes
from tests.workflows.executing import a_run, a_suppression, anew, ends, everything
from tests.workflows.scene import Scene

pytestmark = pytest.mark.django_db(transaction=True)

BULK = {"path": "managemanycontacts$", "method": "POST"}


# --- What goes into one request -----------------------------------------------------------------------


def items(lengths: Sequence[int]) -> Iterator[DecisionItem]:
    """Items in order, each with an address so long."""
    for n, length in enumerate(lengths):
        yield DecisionItem(pk=n, contact=Contact(pk=n, email="x" * (length - 13) + "@example.test"))


@given(lengths=st.lists(st.integers(20, 400), max_size=60), most=st.integers(1, 20))
def test_requests_hold_everybody_once_in_order_and_never_too_many(lengths: list[int], most: int) -> None:
    groups = list(journal._requests(items(lengths), most=most))

    assert [item.pk for group in groups for item in group] == list(range(len(lengths)))
    assert all(1 <= len(group) <= most for group in groups)
    assert len(groups) == -(-len(lengths) // most)


def test_long_addresses_make_smaller_requests() -> None:
    groups = list(journal._requests(items([254] * 9000), most=5000))

    sizes = [bytes_of([item.contact.email or "" for item in group]) for group in groups]
    assert max(sizes) <= MOST_BYTES
    assert len(groups) == -(-9000 // (MOST_BYTES // 265)) == 3


def to_suppress(scene: Scene, run: ListMaintenanceLog, *, each: int) -> Sequence[Sequence[Contact]]:
    """The run has one decision, to suppress so many members of every campaign list."""
    decision = factories.a_decision(run=run, status=DecisionStatus.CLEAR)
    found = []
    for contact_list in scene.lists.campaign:
        gone = scenes.people(each, on=[scene.lists.master, contact_list])
        group = factories.a_group(decision=decision, contacts=each)
        for contact in gone:
            factories.an_item(group=group, contact=contact, source_list=contact_list)
        found.append(gone)
    scene.publish()
    return found


def carry_out(scene: Scene, run: ListMaintenanceLog, kind: DecisionKind = DecisionKind.SUPPRESSION) -> None:
    """This step of the run alone, to its end."""
    lease = leases.claim(run.pk)
    assert lease is not None
    for _ in range(60):
        hand = Hand(ListMaintenanceLog.objects.get(pk=run.pk), lease, scene.outside, scene.clock)
        outcome = execution.carry_out(hand, kind)
        if isinstance(outcome, Done):
            lease.give_back()
            return
        assert isinstance(outcome, Wait)
        scene.clock.passes(outcome.until - scene.clock())
    raise AssertionError("the journal comes to no end")


def in_batches_of(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "batch_size", lambda _: size)


def test_members_of_all_lists_are_suppressed_in_one_request(scene: Scene) -> None:
    run = a_run(scene)
    gone = to_suppress(scene, run, each=2)

    carry_out(scene, run)

    assert len(scene.standin.writes()) == 1
    assert set(scene.members(scene.lists.suppression)) == {contact.pk for group in gone for contact in group}


def test_a_list_that_is_frozen_holds_nobody_up_who_is_on_another(scene: Scene) -> None:
    run = a_run(scene)
    first, second, third = to_suppress(scene, run, each=2)
    factories.a_campaign(
        list=scene.lists.campaign[1],
        status=RoundStatus.SCHEDULED,
        scheduled_at=scene.clock() + timedelta(hours=1),
    )

    scene.go_on_while(run, lambda: not run.batches.filter(status=BatchStatus.APPLIED).exists())

    assert set(scene.members(scene.lists.suppression)) == {contact.pk for contact in (*first, *third)}
    assert set(scene.members(scene.lists.campaign[1])) == {contact.pk for contact in second}


# --- Jobs one after the other, read back once ---------------------------------------------------------


def reads_of_lists(scene: Scene) -> int:
    """Pages of memberships that were asked for since the first write."""
    asked = scene.control.requests()["last"]
    first = next(n for n, each in enumerate(asked) if each["method"] == "POST")
    return sum(each["path"].endswith("/listrecipient") for each in asked[first:])


def test_jobs_follow_one_another_and_the_lists_are_read_back_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_batches_of(2, monkeypatch)
    run, gone = a_suppression(scene, contacts=9)
    scene.control.settings(job_seconds=5.0)

    carry_out(scene, run)

    with scene.standin.serving.world.transaction() as db:
        jobs = db.execute("SELECT requested_at, ended_at FROM jobs ORDER BY id").fetchall()
    assert len(jobs) == 5
    assert all(begun >= ended for (_, ended), (begun, _) in pairwise(jobs))
    assert reads_of_lists(scene) == 2  # the list they left, and the one they joined
    assert set(scene.members(scene.lists.suppression)) == {contact.pk for contact in gone}
    assert {batch.status for batch in run.batches.all()} == {BatchStatus.APPLIED}
    ranks = scene.lists.suppression.memberships.current().order_by("contact").values_list("rank", flat=True)
    assert list(ranks) == sorted(ranks)


def two_jobs_the_second_hangs(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> tuple[ListMaintenanceLog, Sequence[Contact]]:
    """A run whose first job has ended and is not read back yet: its second is under way, and hangs."""
    in_batches_of(2, monkeypatch)
    run, gone = a_suppression(scene, contacts=4)
    scene.control.fault(**BULK, delay_seconds=0, times=1)
    scene.control.fault(**BULK, job="hang", times=1)
    scene.go_on_while(run, lambda: scene.standin.jobs() < 2)
    first, second = run.batches.order_by("position")
    assert (first.status, second.status) == (BatchStatus.SUBMITTED, BatchStatus.SUBMITTED)
    assert (first.job_ended_at is not None, second.job_ended_at) == (True, None)
    return run, gone


def is_seen(run: ListMaintenanceLog) -> bool:
    first, second = run.batches.order_by("position")
    assert second.status == BatchStatus.SUBMITTED
    return bool(first.status == BatchStatus.APPLIED)


def test_what_a_job_did_is_seen_within_ten_minutes_whatever_else_is_under_way(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = two_jobs_the_second_hangs(scene, monkeypatch)
    ended = scene.clock()

    scene.go_on_while(run, lambda: not is_seen(run))

    took = scene.clock() - ended
    assert journal.SEEN_WITHIN - timedelta(seconds=10) < took < journal.SEEN_WITHIN + timedelta(minutes=3)


def test_what_a_job_did_is_seen_before_the_freeze(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = two_jobs_the_second_hangs(scene, monkeypatch)
    factories.a_campaign(
        list=scene.lists.campaign[0],
        status=RoundStatus.SCHEDULED,
        scheduled_at=scene.clock() + timedelta(hours=2, minutes=16),
    )
    frozen_at = scene.clock() + timedelta(minutes=16)

    scene.go_on_while(run, lambda: not is_seen(run))

    assert scene.clock() < frozen_at - timedelta(minutes=10)


def test_what_a_job_did_is_seen_at_once_where_one_of_its_contacts_has_opted_out(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, gone = two_jobs_the_second_hangs(scene, monkeypatch)
    another = factories.a_run(
        kind=RunKind.CONSENT, status=RunStatus.WAITING, next_at=scene.clock() + timedelta(days=1)
    )
    group = factories.a_group(decision=factories.a_decision(run=another))
    item = factories.an_item(group=group, contact=gone[0])
    factories.an_operation(
        batch=factories.a_batch(run=item.decision.run, kind=BatchKind.UNSUBSCRIBE), item=item
    )
    ended = scene.clock()

    scene.go_on_while(run, lambda: not is_seen(run))

    assert scene.clock() - ended < timedelta(minutes=3)


def test_what_follows_a_batch_waits_until_it_is_seen(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    in_batches_of(1, monkeypatch)
    planned = everything(scene, each=3)
    sent: list[tuple[str, int]] = []

    def note() -> bool:
        out = planned.run.batches.filter(status=BatchStatus.SUBMITTED, kind=BatchKind.MOVE_OUT)
        sent.extend((batch.after.status if batch.after else "", batch.pk) for batch in out)
        return True

    scene.go_on_while(planned.run, note, tries=200)

    assert {status for status, _ in sent} == {BatchStatus.APPLIED}
    assert len({pk for _, pk in sent}) == 3
    assert planned.run.status == RunStatus.SUCCEEDED
    assert {status for status, _ in ends(planned.run).values()} == {ItemStatus.EXECUTED}


# --- The same statements however many -----------------------------------------------------------------


def statements(scene: Scene, *, each: int) -> int:
    run = everything(scene, each=each).run
    with CaptureQueriesContext(connection) as captured:
        carry_out(scene, run)
        carry_out(scene, run, DecisionKind.REBALANCING)
    assert [batch.status for batch in run.batches.all()] == [BatchStatus.APPLIED] * 4
    return len(captured)


def test_more_contacts_take_no_more_statements(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeing, "pages", lambda _: 0)  # by lists, however few

    few = statements(scene, each=3)
    many = statements(anew(scene), each=23)

    assert many == few


# --- Lists in pages, or contacts one by one -----------------------------------------------------------


def paths(scene: Scene) -> set[str]:
    return {each["path"].rsplit("/", 1)[-1] for each in scene.control.requests()["last"]}


@pytest.mark.parametrize(("page", "asked"), [(2, "getcontactslists"), (1000, "listrecipient")])
def test_few_contacts_of_large_lists_are_asked_for_by_their_own_lists(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, page: int, asked: str
) -> None:
    monkeypatch.setattr(seeing, "PAGE", page)
    scenes.people(30, on=[scene.lists.master, scene.lists.campaign[0]])
    run, gone = a_suppression(scene, contacts=5)

    carry_out(scene, run)

    assert paths(scene) & {"getcontactslists", "listrecipient"} == {asked}
    assert {status for status, _ in ends(run).values()} == {ItemStatus.EXECUTED}
    assert set(scene.members(scene.lists.suppression)) == {contact.pk for contact in gone}


def test_who_is_taken_off_one_list_is_not_taken_off_another_in_the_same_request(scene: Scene) -> None:
    run = factories.a_run(kind=RunKind.RECONCILIATION, status=RunStatus.RUNNING)
    decision = factories.a_decision(run=run, kind=DecisionKind.RECONCILIATION, status=DecisionStatus.CLEAR)
    group = factories.a_group(decision=decision, action=ItemAction.TAKE_OFF, contacts=2)
    one, two, _ = scene.lists.campaign
    for contact_list in (one, two):
        [contact] = scenes.people(1, on=[contact_list])
        factories.an_item(group=group, contact=contact, action=ItemAction.TAKE_OFF, source_list=contact_list)
    lease = leases.claim(run.pk)
    assert lease is not None

    journal.intend(Hand(run, lease, scene.outside, scene.clock), [decision])

    taken = {
        (change.list_id, operation.item.source_list_id)
        for batch in run.batches.all()
        for change in batch.changes.all()
        for operation in batch.operations.all()
    }
    assert taken == {(one.pk, one.pk), (two.pk, two.pk)}
