"""The journal: every change once, whatever happens in between; and whoever must not be changed drops out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from integrations.mailjet import Job, JobId, Mailjet
from listmanagement.models import (
    Agent,
    BatchStatus,
    Contact,
    ContactList,
    ContactListMembership,
    ContactSuppressionHistory,
    Cycle,
    DecisionItem,
    ListMaintenanceLog,
    ListOperation,
    MailjetRequest,
    OperationBatch,
    RunStatus,
    Step,
)
from listmanagement.workflows import lease as leases
from listmanagement.workflows.demo import rows
from tests import factories
from tests.workflows import scene as scenes
from tests.workflows.scene import Scene

pytestmark = pytest.mark.django_db(transaction=True)


# --- A run with all that a run may change ------------------------------------------------------------


@dataclass(frozen=True)
class Everything:
    """Three lists after a cycle's last round, and a run about to suppress, to place and to move."""

    run: ListMaintenanceLog
    gone: Sequence[Contact]
    placed: Sequence[Contact]
    moved: Sequence[Contact]


def after_a_cycle(scene: Scene) -> Cycle:
    """Every list had its round: contacts may move."""
    cycle = factories.a_cycle()
    for n, contact_list in enumerate(scene.lists.campaign, 1):
        factories.a_campaign(cycle=cycle, round=n, list=contact_list)
    return cycle


def a_run(scene: Scene) -> ListMaintenanceLog:
    """A run whose analysis and planning are done."""
    campaign = after_a_cycle(scene).campaigns.get(round=1)
    run = scenes.a_run_to_execute(campaign=campaign)
    factories.an_agent_call(run=run, agent=Agent.REBALANCING)
    return run


def everything(scene: Scene) -> Everything:
    one, two, three = scene.lists.campaign
    master = scene.lists.master
    gone, _ = scenes.people(2, on=[master, one]), scenes.people(2, on=[master, two])
    moved = scenes.people(3, on=[master, three])[1:]
    placed = scenes.people(2, on=[master])
    run = a_run(scene)
    scenes.to_suppress(run, gone, source=one)
    scenes.to_place(run, placed, target=two)
    scenes.to_move(run, moved, source=three, target=one)
    scene.publish()
    return Everything(run, gone, placed, moved)


def outcome(scene: Scene, run: ListMaintenanceLog) -> Mapping[str, Any]:
    """How it ended, at Mailjet and here, with contacts by their order and lists by name."""
    place = {pk: n for n, pk in enumerate(Contact.objects.order_by("pk").values_list("pk", flat=True))}
    lists = {each.mailjet_id: each.name for each in ContactList.objects.all()}
    operations = ListOperation.objects.filter(batch__run=run)
    memberships = ContactListMembership.objects.order_by("list", "contact", "since")
    return {
        "at Mailjet": {
            name: {place[pk]: out for pk, out in scene.control.members(key).items()}
            for key, name in lists.items()
        },
        "effects": sorted(
            (place[pk], lists[key], before, after) for pk, key, before, after in scene.standin.effects()
        ),
        "jobs": scene.standin.jobs(),
        "here": [
            (
                m.list.name,
                place[m.contact_id],
                m.until is None,
                m.began_by,
                m.ended_by,
                m.unsubscribed,
                m.rank,
            )
            for m in memberships.select_related("list")
        ],
        "operations": sorted((o.kind, place[o.contact_id], o.status, o.why) for o in operations),
        "batches": list(run.batches.order_by("position").values_list("kind", "status", "error")),
        "items": sorted(
            (i.action, place[i.contact_id], i.status, i.why)
            for i in DecisionItem.objects.filter(decision__run=run)
        ),
        "suppressed": sorted(
            (place[h.contact_id], h.kind, h.removed_from and h.removed_from.name)
            for h in ContactSuppressionHistory.objects.select_related("removed_from")
        ),
        "run": (run.status, run.counts["suppressed"], run.counts["placed"], run.counts["moved"]),
    }


def names(found: Mapping[int, bool]) -> set[int]:
    return set(found)


def test_undisturbed_every_change_is_made_once(scene: Scene) -> None:
    planned = everything(scene)
    one, two, three = scene.lists.campaign

    scene.go_on(planned.run)

    gone, placed, moved = (
        {contact.pk for contact in group} for group in (planned.gone, planned.placed, planned.moved)
    )
    assert planned.run.status == RunStatus.SUCCEEDED
    assert names(scene.members(scene.lists.suppression)) == gone
    assert not names(scene.members(one)) & gone
    assert names(scene.members(two)) > placed
    assert names(scene.members(one)) == moved
    assert not names(scene.members(three)) & moved
    assert len(scene.standin.effects()) == 4 + 2 + 4
    assert len(scene.standin.writes()) == 4
    assert {each.status for each in OperationBatch.objects.all()} == {BatchStatus.APPLIED}
    assert ContactSuppressionHistory.objects.filter(evidence__isnull=False, item__isnull=False).count() == 2


# --- Killed at any instant ---------------------------------------------------------------------------


class Killed(BaseException):
    """The process is gone: nothing in it runs any more."""


@dataclass
class Death:
    """A worker that is killed at its n-th instant.

    An instant is before each of its transactions, in the middle of those that conclude operations, and
    before and after each bulk request and each poll.
    """

    at: int
    instants: int = 0
    is_dead: bool = False

    def instant(self) -> None:
        self.instants += 1
        if self.instants == self.at:
            self.is_dead = True
            raise Killed

    def statement(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        """Around each statement of this thread. A dead process sends none."""
        if self.is_dead:
            raise Killed
        if "FOR UPDATE" in sql or sql.startswith('UPDATE "listmanagement_decisionitem"'):
            self.instant()
        return execute(sql, params, many, context)


class Mortal(Mailjet):
    """The client of a worker that will be killed."""

    death: Death

    def submit(self, **request: Any) -> JobId:
        self.death.instant()
        job = super().submit(**request)
        self.death.instant()
        return job

    def submit_changes(self, **request: Any) -> JobId:
        self.death.instant()
        job = super().submit_changes(**request)
        self.death.instant()
        return job

    def job(self, job_id: JobId, *, list_id: int | None) -> Job:
        self.death.instant()
        return super().job(job_id, list_id=list_id)


def killed_at(instant: int, run: ListMaintenanceLog, scene: Scene) -> bool:
    """A worker takes the run on until it is killed. False when it lived to the run's end."""
    death = Death(at=instant)
    with scenes.connect_as(Mortal, scene.standin) as mailjet, connection.execute_wrapper(death.statement):
        mailjet.death = death
        try:
            replace(scene, outside=scene.with_mailjet(mailjet)).go_on(run)
        except Killed:
            return True
    return False


def another_worker_goes_on(run: ListMaintenanceLog, scene: Scene) -> None:
    """The lease of the one before runs out."""
    ListMaintenanceLog.objects.filter(pk=run.pk).exclude(lease_until=None).update(
        lease_until=timezone.now() - timedelta(seconds=1)
    )
    scene.clock.passes(timedelta(seconds=leases.LASTS_SECONDS))
    scene.go_on(run)


def anew(scene: Scene) -> Scene:
    """The same scene before anything happened."""
    rows.empty()
    MailjetRequest.objects.all().delete()
    return replace(scene, lists=factories.the_rotation())


@pytest.mark.parametrize("first", [1, 2])
def test_killed_at_any_instant_it_ends_as_undisturbed(scene: Scene, first: int) -> None:
    run = everything(scene).run
    undisturbed = outcome(scene, scene.go_on(run))

    for instant in range(first, 200, 2):
        scene = anew(scene)
        run = everything(scene).run
        if not killed_at(instant, run, scene) or run.step == Step.CAPTURE_AFTER:
            break
        another_worker_goes_on(run, scene)
        assert outcome(scene, run) == undisturbed, f"killed at instant {instant}"
    assert instant > 40


@pytest.mark.parametrize("instant", [9, 17])
def test_killed_again_and_again_it_still_ends_as_undisturbed(scene: Scene, instant: int) -> None:
    run = everything(scene).run
    undisturbed = outcome(scene, scene.go_on(run))
    scene = anew(scene)
    run = everything(scene).run

    deaths = 0
    while killed_at(instant, run, scene):
        deaths += 1
        ListMaintenanceLog.objects.exclude(lease_until=None).update(
            lease_until=timezone.now() - timedelta(seconds=1)
        )
        scene.clock.passes(timedelta(seconds=leases.LASTS_SECONDS))

    assert deaths >= 3
    assert outcome(scene, run) == undisturbed
