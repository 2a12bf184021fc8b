"""Undo: what a run did is taken back, through the same journal, and nobody is mailed who said no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from listmanagement.domain.cycle import RoundStatus
from listmanagement.domain.limits import MOST_BREAKDOWNS
from listmanagement.models import (
    AuditEntry,
    BatchStatus,
    Contact,
    ContactList,
    ContactListMembership,
    ContactSuppressionHistory,
    DecisionItem,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    OperationBatch,
    OperationStatus,
    RunKind,
    RunStatus,
)
from listmanagement.workflows import continuing, promises, rollout, runs
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.undoing import undo
from listmanagement.workflows.undoing.undo import NothingToUndo
from listmanagement.workflows.undoing.undoable import Part, Scope
from tests import factories
from tests.workflows import scene as scenes
from tests.workflows.executing import Everything, a_placement, a_run, a_suppression, ends, everything
from tests.workflows.scene import Scene

pytestmark = pytest.mark.django_db(transaction=True)

ALL = Scope()


@pytest.fixture
def ana(scene: Scene) -> User:
    """A reviewer."""
    del scene
    return factories.a_reviewer("ana")


def undo_of(run: ListMaintenanceLog, *, by: User, scene: Scene, scope: Scope = ALL, **columns: Any) -> Any:
    """The undo, started."""
    given = {"reason": "sent by mistake", "override": "", **columns}
    given.setdefault("configuration", scene.outside.configuration)
    return undo.start(run.pk, scope=scope, by=by, now=scene.clock(), **given)


def undone(run: ListMaintenanceLog, *, by: User, scene: Scene, **columns: Any) -> ListMaintenanceLog:
    """The undo, as it ended."""
    return scene.go_on(undo_of(run, by=by, scene=scene, **columns))


def places() -> Sequence[tuple[str, int, int, bool]]:
    """Who is on which list, at which rank, and whether unsubscribed, as the mirror has it."""
    rows = ContactListMembership.objects.current().select_related("list")
    return sorted((each.list.name, each.contact_id, each.rank, each.unsubscribed) for each in rows)


def at_mailjet(scene: Scene) -> Mapping[str, Mapping[int, bool]]:
    """Who is on which list, and whether unsubscribed, as Mailjet has it."""
    return {each.name: scene.members(each) for each in ContactList.objects.all()}


def test_afterwards_everything_is_as_before_the_run(scene: Scene, ana: User) -> None:
    planned = everything(scene)
    before, there = places(), at_mailjet(scene)
    scene.go_on(planned.run)
    assert places() != before

    run = undone(planned.run, by=ana, scene=scene)

    assert (run.status, run.kind, run.undoes) == (RunStatus.SUCCEEDED, RunKind.UNDO, planned.run)
    assert {status for status, _ in ends(run).values()} == {ItemStatus.EXECUTED}, ends(run)
    assert places() == before
    assert at_mailjet(scene) == there
    assert {batch.status for batch in planned.run.batches.all()} == {BatchStatus.UNDONE}
    statuses = {o.status for batch in planned.run.batches.all() for o in batch.operations.all()}
    assert statuses == {OperationStatus.UNDONE}
    assert (run.counts["restored"], run.counts["released"], run.counts["moved_back"]) == (2, 2, 2)


def test_history_says_who_lifted_it_when_and_why_and_the_evidence_is_spent(scene: Scene, ana: User) -> None:
    run, gone = a_suppression(scene)
    scene.go_on(run)

    undone(run, by=ana, scene=scene, reason="their server was down")

    rows = ContactSuppressionHistory.objects.select_related("evidence")
    assert [row.lifted_by for row in rows] == [ana] * 3
    assert {row.lifted_why for row in rows} == {"their server was down"}
    assert all(row.evidence and row.evidence.spent_at == row.lifted_at for row in rows)
    assert set(Contact.objects.mailable().values_list("pk", flat=True)) == {contact.pk for contact in gone}
    entry = AuditEntry.objects.get(action="undo started")
    assert (entry.actor, entry.subject_id, entry.details["reason"]) == (
        "ana",
        run.pk,
        "their server was down",
    )


def test_the_promises_hold_afterwards(scene: Scene, ana: User) -> None:
    planned = everything(scene)
    scene.go_on(planned.run)
    undone(planned.run, by=ana, scene=scene)

    assert promises.broken(mailjet=scene.outside.mailjet, now=scene.clock()) == []


def test_twice_does_nothing(scene: Scene, ana: User) -> None:
    planned = everything(scene)
    scene.go_on(planned.run)
    undone(planned.run, by=ana, scene=scene)
    writes = len(scene.standin.writes())

    with pytest.raises(NothingToUndo, match="nothing is left to undo"):
        undo_of(planned.run, by=ana, scene=scene)

    assert len(scene.standin.writes()) == writes
    assert ListMaintenanceLog.objects.filter(kind=RunKind.UNDO).count() == 1


def test_asked_for_twice_at_once_it_is_one_run(scene: Scene, ana: User) -> None:
    run, _ = a_suppression(scene)
    scene.go_on(run)

    found = scenes.together(4, lambda: undo_of(run, by=ana, scene=scene).pk)

    assert len(set(found)) == 1
    assert DecisionItem.objects.filter(action=ItemAction.RESTORE).count() == 3


def test_parts_and_domains_can_be_undone_alone(scene: Scene, ana: User) -> None:
    planned = everything(scene)
    Contact.objects.filter(pk=planned.gone[0].pk).update(email="somebody@one.test")
    scene.publish()
    scene.go_on(planned.run)

    undone(planned.run, by=ana, scene=scene, scope=Scope(only=Part.REBALANCING))
    assert len(scene.members(scene.lists.suppression)) == 2
    undone(planned.run, by=ana, scene=scene, scope=Scope(domain="ONE.test"))

    assert list(scene.members(scene.lists.suppression)) == [planned.gone[1].pk]
    [batch] = planned.run.batches.filter(kind="suppress")
    assert batch.status == BatchStatus.APPLIED
    assert sorted(batch.operations.values_list("status", flat=True)) == ["applied", "undone"]


def test_what_an_undo_that_stopped_had_not_begun_is_taken_back_by_the_next(scene: Scene, ana: User) -> None:
    run, gone = a_suppression(scene)
    scene.go_on(run)
    first = stopped(undo_of(run, by=ana, scene=scene), scene)
    assert ends(first) == {contact.pk: (ItemStatus.FAILED, left_by(first)) for contact in gone}

    second = undone(run, by=ana, scene=scene)

    assert (second.status, second.counts["restored"]) == (RunStatus.SUCCEEDED, 3)
    assert scene.members(scene.lists.suppression) == {}


def test_whom_a_lift_that_stopped_had_not_begun_with_can_be_lifted_still(scene: Scene, ana: User) -> None:
    run, (first, *_) = a_suppression(scene)
    scene.go_on(run)
    stopped(lift_of([first], by=ana, scene=scene), scene)

    lift([first], by=ana, scene=scene)

    assert first.pk in scene.members(scene.lists.campaign[0])


def stopped(run: ListMaintenanceLog, scene: Scene) -> ListMaintenanceLog:
    """The run, ended before it journaled anything."""
    ListMaintenanceLog.objects.filter(pk=run.pk).update(breakdowns=MOST_BREAKDOWNS)
    scene.go_on(run)
    assert run.status == RunStatus.PARTIAL
    return run


def left_by(run: ListMaintenanceLog) -> str:
    return f"left when the run stopped: {run.stopped}"


# --- Who is left alone -----------------------------------------------------------------------------------


def opts_out(contact: Contact, scene: Scene) -> None:
    scene.a_person("unsub", contact, scene.lists.suppression)


def complains(contact: Contact, scene: Scene) -> None:
    scene.at_mailjet("update contacts set complained = 1 where id = ?", contact.pk)


def is_excluded(contact: Contact, scene: Scene) -> None:
    scene.at_mailjet("update contacts set excluded = 1 where id = ?", contact.pk)


def is_deleted(contact: Contact, scene: Scene) -> None:
    for each in (scene.lists.suppression, scene.lists.master):
        scene.a_person("remove", contact, each)


@pytest.mark.parametrize(
    ("happens", "why"),
    [
        (opts_out, "opted out"),
        (is_excluded, "excluded from campaigns at Mailjet"),
        (is_deleted, "on no list at Mailjet any more, maybe deleted there"),
    ],
)
def test_whoever_said_no_or_was_deleted_since_is_left_alone_and_named(
    scene: Scene, ana: User, happens: Any, why: str
) -> None:
    run, (first, *others) = a_suppression(scene)
    scene.go_on(run)
    scene.clock.passes(timedelta(minutes=15))
    happens(first, scene)

    taken_back = undone(run, by=ana, scene=scene)

    assert ends(taken_back) == {
        first.pk: (ItemStatus.DROPPED, why),
        **{contact.pk: (ItemStatus.EXECUTED, "") for contact in others},
    }
    assert taken_back.counts["left_alone"] == {why: 1}
    assert set(scene.members(scene.lists.campaign[0])) == {contact.pk for contact in others}
    assert f"left alone, {why}: 1" in taken_back.report


def test_whoever_complained_is_known_before_and_left_alone(scene: Scene, ana: User) -> None:
    run, (first, *_) = a_suppression(scene)
    scene.go_on(run)
    Contact.objects.filter(pk=first.pk).update(complained_at=scene.clock(), complained_by="an event")

    plan = undo.preview(run, scope=ALL, now=scene.clock())
    taken_back = undone(run, by=ana, scene=scene)

    assert plan.left_alone == {"complained": [first.pk]}
    assert taken_back.counts["left_alone"] == {"complained": 1}
    assert first.pk in scene.members(scene.lists.suppression)
    assert ContactSuppressionHistory.objects.standing().get().contact == first


def test_whom_a_later_run_suppressed_anew_stays(scene: Scene, ana: User) -> None:
    run, gone = a_suppression(scene, contacts=1)
    scene.go_on(run)
    undone(run, by=ana, scene=scene)
    again = scenes.a_run_to_execute(campaign=run.campaign)
    scenes.to_suppress(again, gone, source=scene.lists.campaign[0])
    scene.go_on(again)

    with pytest.raises(NothingToUndo):
        undo_of(run, by=ana, scene=scene)

    assert ContactSuppressionHistory.objects.standing().get().item in again.decisions.get().items.all()


# --- The cycle -------------------------------------------------------------------------------------------


def a_cycle_under_way(scene: Scene) -> Sequence[Any]:
    """The first list has its round of a new cycle; the others are to follow."""
    cycle, now = factories.a_cycle(started_at=scene.clock()), scene.clock()
    one, two, three = scene.lists.campaign
    sent = factories.a_campaign(
        cycle=cycle, list=one, started_at=now - timedelta(hours=5), ended_at=now - timedelta(hours=4)
    )
    return [
        sent,
        *(
            factories.a_campaign(
                cycle=cycle,
                round=n,
                list=each,
                status=RoundStatus.SCHEDULED,
                scheduled_at=now + timedelta(days=2),
            )
            for n, each in ((2, two), (3, three))
        ),
    ]


def test_a_move_waits_visibly_for_the_end_of_the_cycle_and_nobody_else_does(scene: Scene, ana: User) -> None:
    planned = everything(scene)
    before = places()
    scene.go_on(planned.run)
    scene.clock.passes(timedelta(hours=6))
    rounds = a_cycle_under_way(scene)

    run = undo_of(planned.run, by=ana, scene=scene)
    scene.go_on_while(run, lambda: not run.waits_for.startswith("the cycle under way"))

    assert (run.status, run.waits_for) == (RunStatus.WAITING, undo.CYCLE)
    assert not run.holds_rotation
    assert not run.batches.unsettled().exists()
    assert scene.members(scene.lists.suppression) == {}
    assert {contact.pk for contact in planned.moved} < set(scene.members(scene.lists.campaign[0]))

    for each in rounds:
        each.status, each.started_at, each.ended_at = "sent", scene.clock(), scene.clock()
        each.save()
    scene.go_on(run)

    assert run.status == RunStatus.SUCCEEDED
    assert places() == before


def test_a_placed_contact_who_awaits_the_cycles_message_gets_it_first(scene: Scene, ana: User) -> None:
    run, placed = a_placement(scene)
    scene.go_on(run)
    scene.clock.passes(timedelta(days=1))
    cycle = factories.a_cycle(started_at=scene.clock())
    factories.a_campaign(
        cycle=cycle, list=scene.lists.campaign[1], started_at=scene.clock(), ended_at=scene.clock()
    )

    plan = undo.preview(run, scope=ALL, now=scene.clock())

    assert plan.counted(ItemAction.RELEASE) == len(placed)
    assert plan.waiting == len(placed)


def test_so_does_one_whose_placement_was_under_way_when_the_cycle_began(scene: Scene, ana: User) -> None:
    """Mailjet may have put them on the list at any time between our request and its reading back."""
    run, placed = a_placement(scene)
    scene.go_on(run)
    sent_at = run.batches.get().sending_at
    assert sent_at is not None
    began_at, seen_at = sent_at + timedelta(seconds=10), sent_at + timedelta(seconds=20)
    target = scene.lists.campaign[0]
    target.memberships.filter(contact__in=placed).update(since=seen_at)
    cycle = factories.a_cycle(started_at=began_at)
    factories.a_campaign(cycle=cycle, list=scene.lists.campaign[1], started_at=began_at, ended_at=began_at)
    scene.clock.passes(timedelta(days=1))

    plan = undo.preview(run, scope=ALL, now=scene.clock())

    assert plan.waiting == plan.counted(ItemAction.RELEASE) == len(placed)


def test_whose_placement_is_undone_waits_in_the_backlog_again(scene: Scene, ana: User) -> None:
    run, placed = a_placement(scene)
    scene.go_on(run)
    assert not Contact.objects.backlog().exists()

    undone(run, by=ana, scene=scene)

    assert list(Contact.objects.backlog()) == list(placed)


# --- Off, and refusals -----------------------------------------------------------------------------------


def test_while_paused_it_is_refused_but_for_a_stated_override_which_is_logged(
    scene: Scene, ana: User
) -> None:
    run, gone = a_suppression(scene)
    scene.go_on(run)
    factories.the_rollout(paused_at=scene.clock(), changed_by=ana)

    with pytest.raises(NotAllowed, match="--override"):
        undo_of(run, by=ana, scene=scene)
    taken_back = undone(run, by=ana, scene=scene, override="customers are waiting")

    assert taken_back.status == RunStatus.SUCCEEDED
    assert set(scene.members(scene.lists.campaign[0])) == {contact.pk for contact in gone}
    assert AuditEntry.objects.get(action="undo started").details["override"] == "customers are waiting"
    assert "customers are waiting" in taken_back.report


def test_what_cannot_be_undone_is_refused_with_what_to_do(scene: Scene, ana: User) -> None:
    run, _ = a_suppression(scene)
    with pytest.raises(NotAllowed, match="has not ended"):
        undo_of(run, by=ana, scene=scene)
    scene.go_on(run)
    taken_back = undone(run, by=ana, scene=scene)

    refused = {
        "is itself an undo": taken_back,
        "contacts said themselves": factories.a_run(kind=RunKind.CONSENT, status=RunStatus.SUCCEEDED),
        "people decided": factories.a_run(kind=RunKind.RECONCILIATION, status=RunStatus.SUCCEEDED),
        "changed no list": factories.a_run(status=RunStatus.SUCCEEDED),
    }
    for words, each in refused.items():
        with pytest.raises(NotAllowed, match=words):
            undo_of(each, by=ana, scene=scene)


def test_what_an_undone_run_had_left_is_not_finished_any_more(scene: Scene, ana: User) -> None:
    run = everything(scene).run
    scene.control.fault(path="managemanycontacts$", method="POST", job="error", times=3)
    scene.go_on(run, tries=300)
    assert run.status == RunStatus.PARTIAL
    assert continuing.why_not(run, by=ana, enabled=True) is None
    undone(run, by=ana, scene=scene)

    with pytest.raises(NotAllowed, match="was undone: the next maintenance asks anew"):
        continuing.go_on(run.pk, by=ana, configuration=scene.outside.configuration, now=scene.clock())


def test_a_viewer_cannot_undo(scene: Scene, ana: User) -> None:
    run, _ = a_suppression(scene)
    scene.go_on(run)

    with pytest.raises(NotAllowed, match="may look, but not decide"):
        undo_of(run, by=factories.a_viewer("vic"), scene=scene)


# --- Deliverability --------------------------------------------------------------------------------------


def test_it_says_how_many_mailjet_probably_still_blocks(scene: Scene, ana: User) -> None:
    run, (_, delivered_since, _) = a_suppression(scene)
    scene.go_on(run)
    factories.a_recipient(contact=delivered_since, outcome_at=scene.clock())

    taken_back = undone(run, by=ana, scene=scene)

    assert taken_back.counts["still_blocked"] == 2
    assert not undo.still_blocked(taken_back).filter(pk=delivered_since.pk).exists()
    assert "probably still blocked by Mailjet itself: 2" in taken_back.report


def test_no_message_to_people_holds_an_address(scene: Scene, ana: User) -> None:
    planned: Everything = everything(scene)
    scene.go_on(planned.run)

    taken_back = undone(planned.run, by=ana, scene=scene)

    told = taken_back.notifications.get()
    assert "@" not in told.text + str(told.blocks)
    assert OperationBatch.objects.filter(run=taken_back).count() == 4


# --- Single suppressions ---------------------------------------------------------------------------------


def lift(contacts: Sequence[Contact], *, by: User, scene: Scene) -> ListMaintenanceLog:
    """The lift, as it ended."""
    return scene.go_on(lift_of(contacts, by=by, scene=scene))


def lift_of(contacts: Sequence[Contact], *, by: User, scene: Scene) -> ListMaintenanceLog:
    """The lift, started."""
    return undo.lift(
        [contact.pk for contact in contacts],
        by=by,
        reason="their support asked",
        configuration=scene.outside.configuration,
        now=scene.clock(),
    )


def test_one_suppression_can_be_lifted_alone(scene: Scene, ana: User) -> None:
    run, (first, *others) = a_suppression(scene)
    before = [row for row in places() if row[1] == first.pk]
    scene.go_on(run)

    lifted = lift([first], by=ana, scene=scene)

    assert (lifted.kind, lifted.status) == (RunKind.LIFT, RunStatus.SUCCEEDED)
    assert [row for row in places() if row[1] == first.pk] == before
    assert set(scene.members(scene.lists.suppression)) == {contact.pk for contact in others}
    [history] = ContactSuppressionHistory.objects.filter(contact=first)
    assert (history.lifted_by, history.lifted_why) == (ana, "their support asked")
    with pytest.raises(NothingToUndo, match="not suppressed"):
        lift([first], by=ana, scene=scene)


def test_whoever_was_found_suppressed_waits_in_the_backlog_once_lifted(scene: Scene, ana: User) -> None:
    [found] = scenes.people(1, on=[scene.lists.master, scene.lists.suppression])
    factories.an_imported_suppression(contact=found, at=scene.clock() - timedelta(days=1))
    scene.publish()

    lift([found], by=ana, scene=scene)

    assert scene.members(scene.lists.suppression) == {}
    assert list(Contact.objects.backlog()) == [found]


def test_an_override_stated_while_nothing_was_off_is_none_for_a_later_pause(scene: Scene, ana: Any) -> None:
    run, _ = a_suppression(scene)
    scene.go_on(run)
    undo = undo_of(run, by=ana, scene=scene, override="to be sure")
    writes = len(scene.standin.writes())
    factories.the_rollout(paused_at=scene.clock(), changed_by=factories.a_user(), why="everything stops")

    scene.go_on_while(undo, lambda: undo.status not in (RunStatus.WAITING,), tries=3)

    assert len(scene.standin.writes()) == writes


def test_an_override_passes_the_pause_that_it_was_stated_in_and_no_later_one(scene: Scene, ana: Any) -> None:
    run, _ = a_suppression(scene)
    scene.go_on(run)
    state = factories.the_rollout(
        paused_at=scene.clock(), changed_by=factories.a_user(), why="everything stops"
    )
    undo = undo_of(run, by=ana, scene=scene, override="customers are waiting")
    writes = len(scene.standin.writes())
    scene.clock.passes(timedelta(minutes=1))
    state.paused_at = scene.clock()
    state.save()

    scene.go_on_while(undo, lambda: undo.status not in (RunStatus.WAITING,), tries=3)

    assert undo.override == "customers are waiting"
    assert len(scene.standin.writes()) == writes
    assert "paused by" in undo.waits_for


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "first", ["", "customers are waiting"], ids=["none was stated", "in an earlier pause"]
)
def test_an_override_stated_for_an_undo_that_a_later_pause_holds_has_it_go_on(
    scene: Scene, first: str
) -> None:
    ana = factories.a_reviewer("ana")
    run, _ = a_suppression(scene)
    scene.go_on(run)

    def undone(override: str) -> Any:
        return undo.start(
            run.pk,
            scope=Scope(),
            by=ana,
            reason="by mistake",
            override=override,
            configuration=scene.outside.configuration,
            now=scene.clock(),
        )

    state = factories.the_rollout()
    if first:
        rollout.change(rollout.Change.PAUSE, by=ana, why="stop", now=scene.clock())
    undoing = undone(first)
    scene.clock.passes(timedelta(minutes=1))
    if first:
        rollout.change(rollout.Change.RESUME, by=ana, why="go on", now=scene.clock())
    rollout.change(rollout.Change.PAUSE, by=ana, why="stop again", now=scene.clock())
    del state
    scene.clock.passes(timedelta(minutes=1))
    writes = len(scene.standin.writes())

    again = undone("customers wait for their mail: this undo must go on in this pause, too")
    assert again == undoing  # not refused: who asked believes that it goes on
    for _ in range(5):
        runs.sweep(outside=scene.outside, clock=scene.clock)
        scene.clock.passes(timedelta(minutes=2))

    undoing.refresh_from_db()
    assert len(scene.standin.writes()) > writes, undoing.waits_for


def test_an_override_stated_while_a_lift_has_all_of_it_in_hand_is_answered_in_words(scene: Scene) -> None:
    ana = factories.a_reviewer("ana")
    run, suppressed = a_suppression(scene)
    scene.go_on(run)
    factories.the_rollout()
    undo.lift(
        [each.pk for each in suppressed],
        by=ana,
        reason="by mistake",
        configuration=scene.outside.configuration,
        now=scene.clock(),
    )
    rollout.change(rollout.Change.PAUSE, by=ana, why="stop", now=scene.clock())

    with pytest.raises(NotAllowed, match="only an undo as a whole"):
        undo.start(
            run.pk,
            scope=Scope(),
            by=ana,
            reason="by mistake",
            override="customers wait",
            configuration=scene.outside.configuration,
            now=scene.clock(),
        )


def test_an_override_stated_for_one_domain_of_an_undo_has_not_the_rest_of_it_pass_the_pause(
    scene: Scene,
) -> None:
    ana = factories.a_reviewer("ana")
    one = scene.lists.campaign[0]
    suppressed = list(scenes.people(3, on=[scene.lists.master, one]))
    Contact.objects.filter(pk=suppressed[0].pk).update(email="a@one.test", domain="one.test")
    run = a_run(scene)
    scenes.to_suppress(run, suppressed, source=one)
    scene.publish()
    scene.go_on(run)
    factories.the_rollout()

    def undone(scope: Scope, override: str) -> ListMaintenanceLog:
        return undo.start(
            run.pk,
            scope=scope,
            by=ana,
            reason="by mistake",
            override=override,
            configuration=scene.outside.configuration,
            now=scene.clock(),
        )

    undone(Scope(), "")
    scene.clock.passes(timedelta(minutes=1))
    rollout.change(rollout.Change.PAUSE, by=ana, why="stop", now=scene.clock())
    scene.clock.passes(timedelta(minutes=1))
    with pytest.raises(NotAllowed, match="does more than that"):
        undone(Scope(domain="one.test"), "this one customer waits")
    for _ in range(5):
        runs.sweep(outside=scene.outside, clock=scene.clock)
        scene.clock.passes(timedelta(minutes=2))

    back = set(scene.members(scene.lists.campaign[0]))
    assert not back & {each.pk for each in suppressed[1:]}
