"""What Mailjet may do to a request or a job, and the one defined end of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection

from integrations.mailjet import Action, MasterListProtected
from listmanagement.models import (
    BatchKind,
    BatchStatus,
    ContactSuppressionHistory,
    ItemStatus,
    ListMaintenanceLog,
    OperationBatch,
    RunStatus,
)
from listmanagement.workflows import left, runs
from listmanagement.workflows.changes import journal
from tests import factories
from tests.workflows.executing import a_move, a_placement, a_suppression, anew, ends, outcome
from tests.workflows.scene import Scene

pytestmark = pytest.mark.django_db(transaction=True)

BULK = {"path": "managemanycontacts$", "method": "POST"}


@pytest.fixture
def hung_jobs_are_looked_at_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look is a whole sweep, and there would be sixty of them until a job counts as hung."""
    monkeypatch.setattr(journal, "LONGEST_POLL", 40 * 60)


# --- A request that goes wrong and a job that does not do it: done in the end, once ------------------


FAULTS: Sequence[tuple[Mapping[str, Any], int]] = [  # and how often the request is made
    ({"timeout_after_acceptance": 0}, 1),  # its job is found and followed
    ({"drop": True}, 2),
    ({"status": 429}, 2),
    ({"status": 500}, 2),
    ({"status": 502}, 2),
    ({"job": "error"}, 2),
    ({"job": "lie"}, 2),
    ({"job": "hang"}, 2),
]


@pytest.mark.usefixtures("hung_jobs_are_looked_at_seldom")
@pytest.mark.parametrize(
    ("about_to", "before"), [(a_suppression, 0), (a_move, 1)], ids=["suppress", "move out"]
)
def test_one_fault_changes_nothing_about_the_end(
    scene: Scene, about_to: Callable[[Scene], tuple[ListMaintenanceLog, object]], before: int
) -> None:
    run, _ = about_to(scene)
    undisturbed = outcome(scene, scene.go_on(run))

    for fault, requests in FAULTS:
        scene = anew(scene)
        (run, _), began = about_to(scene), scene.clock()
        if before:
            scene.control.fault(**BULK, delay_seconds=0, times=before)
        scene.control.fault(**BULK, **fault, times=1)

        scene.go_on(run)

        assert {**outcome(scene, run), "jobs": 0} == {**undisturbed, "jobs": 0}, fault
        assert len(scene.standin.writes(since=began)) == before + requests, fault


def test_a_request_that_was_refused_as_too_many_was_no_attempt(scene: Scene) -> None:
    run, _ = a_suppression(scene)
    scene.control.fault(**BULK, status=429, times=6)

    scene.go_on(run)

    batch = run.batches.get()
    assert (run.status, batch.status, batch.attempt) == (RunStatus.SUCCEEDED, BatchStatus.APPLIED, 1)
    assert len(run.errors) == 6


# --- What stays wrong: given up, with words, and the lists as they were ------------------------------


@pytest.mark.usefixtures("hung_jobs_are_looked_at_seldom")
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"job": "error"}, "An error occurred while processing the job, 3 times"),
        ({"job": "lie"}, "the job ended without effect, 3 times"),
        ({"job": "hang"}, "the job ended without effect, 3 times"),
        ({"drop": True}, "Mailjet never started the job, 3 times"),
        ({"status": 503}, "Mailjet never started the job, 3 times"),
        ({"status": 400}, "POST contact/managemanycontacts: 400"),
    ],
    ids=lambda value: str(value),
)
def test_a_fault_that_stays_fails_the_batch_and_says_why(
    scene: Scene, fault: Mapping[str, Any], words: str
) -> None:
    run, gone = a_suppression(scene)
    scene.control.fault(**BULK, **fault)

    scene.go_on(run)

    assert run.status == RunStatus.PARTIAL
    assert scene.standin.effects() == []
    assert set(scene.members(scene.lists.campaign[0])) == {contact.pk for contact in gone}
    for status, why in ends(run).values():
        assert status == ItemStatus.FAILED
        assert words in why
    assert not ContactSuppressionHistory.objects.exists()
    assert run.batches.get().status == BatchStatus.FAILED


def test_addresses_that_a_job_could_not_do_fail_by_name_and_the_others_are_done(scene: Scene) -> None:
    run, gone = a_suppression(scene, contacts=4)
    scene.control.fault(**BULK, job="partial", times=1)

    scene.go_on(run)

    done, failed = {gone[0].pk, gone[2].pk}, {gone[1].pk, gone[3].pk}
    found = ends(run)
    assert {pk for pk, (status, _) in found.items() if status == ItemStatus.EXECUTED} == done
    assert {
        pk for pk, end in found.items() if end == (ItemStatus.FAILED, "Mailjet: Internal error")
    } == failed
    assert set(scene.members(scene.lists.suppression)) == done
    assert set(scene.members(scene.lists.campaign[0])) == failed
    assert run.status == RunStatus.PARTIAL
    assert len(scene.standin.writes()) == 1


def test_a_move_that_failed_on_its_way_in_stays_failed_and_where_it_was(scene: Scene) -> None:
    run, moved = a_move(scene, contacts=2)
    scene.control.fault(**BULK, job="partial", times=1)

    scene.go_on(run)

    one, two, _ = scene.lists.campaign
    assert ends(run) == {
        moved[0].pk: (ItemStatus.EXECUTED, ""),
        moved[1].pk: (ItemStatus.FAILED, "Mailjet: Internal error"),
    }
    assert (set(scene.members(one)), set(scene.members(two))) == ({moved[1].pk}, {moved[0].pk})
    assert run.status == RunStatus.PARTIAL


@pytest.mark.parametrize("fate", ["error", "lie", "partial"])
def test_nobody_is_left_on_two_lists_because_a_job_failed_a_few_times(scene: Scene, fate: str) -> None:
    run, _ = a_move(scene, contacts=2)
    scene.control.fault(**BULK, delay_seconds=0, times=1)  # the way in
    scene.control.fault(**BULK, job=fate, times=5)

    scene.go_on(run)

    assert run.status == RunStatus.SUCCEEDED
    assert scene.members(scene.lists.campaign[0]) == {}
    assert len(scene.members(scene.lists.campaign[1])) == 2
    assert {status for status, _ in ends(run).values()} == {ItemStatus.EXECUTED}


def a_way_out_that_fails(scene: Scene, *, times: int | None = None, **fault: object) -> ListMaintenanceLog:
    """A move of two whose way in works, and whose way out goes wrong so often."""
    run, _ = a_move(scene, contacts=2)
    scene.control.fault(**BULK, delay_seconds=0, times=1)
    scene.control.fault(**BULK, **(fault or {"job": "error"}), times=times)
    return run


@pytest.mark.parametrize("fault", [{"job": "error"}, {"status": 400}], ids=str)
def test_whoever_cannot_be_taken_off_the_source_is_taken_back_off_the_target(
    scene: Scene, fault: Mapping[str, Any]
) -> None:
    run = a_way_out_that_fails(scene, **fault, times=journal.HALFWAY_ATTEMPTS)
    moved = set(scene.members(scene.lists.campaign[0]))

    scene.go_on(run, tries=200)

    one, two, _ = scene.lists.campaign
    here, there = set(scene.members(one)), set(scene.members(two))
    assert here | there == moved
    assert not here & there
    for contact, (status, why) in ends(run).items():
        back = (ItemStatus.DROPPED, f"could not be taken off {one.name}")
        assert (status, why.partition(" (")[0]) == (back if contact in here else (ItemStatus.EXECUTED, ""))
    assert here
    assert run.status == RunStatus.SUCCEEDED


def test_whoever_was_addressed_through_the_target_is_not_taken_back(scene: Scene) -> None:
    run = a_way_out_that_fails(scene)
    scene.go_on_while(run, lambda: not run.batches.filter(kind=BatchKind.MOVE_OUT, attempt__gte=1).exists())
    factories.a_campaign(list=scene.lists.campaign[1], started_at=scene.clock(), ended_at=scene.clock())

    scene.go_on(run, tries=200)

    assert run.batches.filter(kind=BatchKind.MOVE_OUT).count() == 1
    assert len(scene.members(scene.lists.campaign[1])) == 2
    assert {status for status, _ in ends(run).values()} == {ItemStatus.FAILED}


def test_a_move_that_goes_neither_on_nor_back_ends_with_the_contacts_named_as_failed(scene: Scene) -> None:
    run = a_way_out_that_fails(scene)

    scene.go_on(run, tries=200)

    assert run.status == RunStatus.PARTIAL
    assert {status for status, _ in ends(run).values()} == {ItemStatus.FAILED}
    ways_out = run.batches.filter(kind=BatchKind.MOVE_OUT).values_list("attempt", flat=True)
    assert set(ways_out) == {journal.HALFWAY_ATTEMPTS}
    assert left.of(run).astray == 2
    assert "On both lists of their move: 2 contacts" in run.report


# --- Found at Mailjet --------------------------------------------------------------------------------


def a_lost_answer(scene: Scene) -> ListMaintenanceLog:
    """A run whose batch is in *sending*: its job stands at Mailjet, its id is not known."""
    run, _ = a_suppression(scene)
    scene.control.fault(**BULK, timeout_after_acceptance=0, times=1)
    scene.go_on_while(run, lambda: not run.batches.filter(status=BatchStatus.SENDING).exists())
    assert scene.standin.jobs() == 1
    return run


def test_somebody_elses_jobs_do_not_confuse_the_search_for_a_lost_one(scene: Scene) -> None:
    run = a_lost_answer(scene)
    other = factories.a_contact()
    scene.outside.mailjet.submit(
        list_id=scene.lists.campaign[1].mailjet_id, action=Action.ADD, emails=[other.email or ""]
    )

    scene.go_on(run)

    assert run.status == RunStatus.SUCCEEDED
    assert scene.standin.jobs() == 2
    assert run.batches.get().attempt == 1


@pytest.mark.usefixtures("hung_jobs_are_looked_at_seldom")
def test_a_lost_job_that_never_ends_is_waited_for_two_hours_and_then_sent_again(scene: Scene) -> None:
    run, gone = a_suppression(scene)
    scene.control.fault(**BULK, job="hang", times=1)
    began = scene.clock()

    scene.go_on(run, tries=100)

    assert scene.clock() - began > timedelta(hours=2)
    assert set(scene.members(scene.lists.suppression)) == {contact.pk for contact in gone}
    assert (run.status, run.batches.get().attempt) == (RunStatus.SUCCEEDED, 2)


def test_a_job_that_mailjet_has_forgotten_is_made_good_by_what_the_lists_show(scene: Scene) -> None:
    run, placed = a_placement(scene)
    scene.control.settings(job_seconds=30.0)
    scene.go_on_while(run, lambda: not run.batches.filter(status=BatchStatus.SUBMITTED).exists())
    scene.at_mailjet("DELETE FROM jobs")
    scene.control.settings(job_seconds=0.0)

    scene.go_on(run)

    assert set(scene.members(scene.lists.campaign[0])) == {contact.pk for contact in placed}
    assert (run.status, len(scene.standin.writes())) == (RunStatus.SUCCEEDED, 2)


@pytest.mark.usefixtures("hung_jobs_are_looked_at_seldom")
def test_a_job_that_mailjet_does_not_let_us_follow_keeps_no_run_from_its_end(scene: Scene) -> None:
    run, gone = a_suppression(scene)
    scene.control.fault(path="managemanycontacts/", method="GET", status=400)
    began = scene.clock()

    scene.go_on(run, tries=100)

    assert timedelta(hours=2) < scene.clock() - began < timedelta(hours=3)
    assert {status for status, _ in ends(run).values()} == {ItemStatus.EXECUTED}
    assert set(scene.members(scene.lists.suppression)) == {contact.pk for contact in gone}
    assert (run.status, run.holds_rotation, len(scene.standin.writes())) == (RunStatus.PARTIAL, False, 1)


def test_a_request_that_mailjet_does_not_let_us_look_up_keeps_no_run_from_its_end(scene: Scene) -> None:
    run, placed = a_placement(scene)
    scene.control.fault(**BULK, timeout_after_acceptance=0, times=1)
    scene.control.fault(path="batchjob", status=400)
    began = scene.clock()

    scene.go_on(run, tries=100)

    assert timedelta(hours=2) < scene.clock() - began < timedelta(hours=3)
    assert {status for status, _ in ends(run).values()} == {ItemStatus.EXECUTED}
    assert set(scene.members(scene.lists.campaign[0])) == {contact.pk for contact in placed}
    assert len(scene.standin.writes()) == 1


def test_only_what_is_missing_is_sent_again(scene: Scene) -> None:
    run, placed = a_placement(scene)
    scene.control.fault(**BULK, drop=True, times=1)
    scene.go_on_while(run, lambda: not run.batches.filter(status=BatchStatus.SENDING).exists())
    scene.a_person("addnoforce", placed[0], scene.lists.campaign[0])

    scene.go_on(run)

    assert [pk for pk, *_ in scene.standin.effects()] == [placed[1].pk, placed[2].pk]
    assert {status for status, _ in ends(run).values()} == {ItemStatus.EXECUTED}


def test_nothing_else_is_done_on_a_list_while_a_job_on_it_is_unresolved(scene: Scene) -> None:
    run, _ = a_placement(scene)
    earlier = factories.a_batch(run=factories.a_run(status=RunStatus.RUNNING), status=BatchStatus.SENDING)
    factories.a_change(batch=earlier, list=scene.lists.campaign[0])
    ListMaintenanceLog.objects.filter(pk=earlier.run_id).update(status=RunStatus.WAITING_FOR_REVIEW)
    factories.a_decision(run=earlier.run)

    for _ in range(3):
        runs.advance(run.pk, outside=scene.outside, clock=scene.clock)
        scene.clock.passes(timedelta(seconds=30))
    assert scene.standin.writes() == []

    OperationBatch.objects.filter(pk=earlier.pk).update(
        status=BatchStatus.FAILED, error="given up", settled_at=scene.clock()
    )
    scene.go_on(run)
    assert len(scene.standin.writes()) == 1


# --- Refused before anything is sent -----------------------------------------------------------------


def test_the_master_list_is_refused_by_the_client(scene: Scene) -> None:
    with pytest.raises(MasterListProtected):
        scene.outside.mailjet.submit(
            list_id=scene.lists.master.mailjet_id, action=Action.REMOVE, emails=["a@example.com"]
        )
    assert scene.standin.writes() == []


def test_the_master_list_is_refused_by_the_database(scene: Scene) -> None:
    with pytest.raises(IntegrityError, match="P3: no operation may target the master list"):
        factories.a_change(list=scene.lists.master)


def test_no_word_of_ours_subscribes_somebody_again(scene: Scene) -> None:
    assert "addforce" not in {action.value for action in Action}
    change = factories.a_change(list=scene.lists.campaign[0])

    with (
        pytest.raises(IntegrityError, match="no_change_can_resubscribe"),
        connection.cursor() as cursor,
    ):
        cursor.execute("update listmanagement_batchchange set action = 'addforce' where id = %s", [change.pk])
