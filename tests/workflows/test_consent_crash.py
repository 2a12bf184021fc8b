"""A worker killed while it applies what contacts said: another one ends it, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from listmanagement.domain.bounces import Outcome
from listmanagement.models import (
    BatchStatus,
    Contact,
    ContactListMembership,
    ContactSuppressionHistory,
    DecisionItem,
    ListMaintenanceLog,
    OperationBatch,
    RunKind,
    RunStatus,
)
from listmanagement.workflows.running import lease as leases
from tests import factories
from tests.workflows import scene as scenes
from tests.workflows.executing import anew, instants
from tests.workflows.hearing import complains, consent_runs, hear, heard, opts_out
from tests.workflows.processes import NO_BROKER, Start, in_the_present, real_time, start_worker
from tests.workflows.scene import Scene, StandIn
from tests.workflows.test_journal import Death, Killed, Mortal

__all__ = ["real_time", "start_worker"]

pytestmark = pytest.mark.django_db(transaction=True)


def three_who_said(scene: Scene) -> Sequence[Contact]:
    """Somebody on two lists opted out, somebody on one, and somebody complained."""
    one, two, _ = scene.lists.campaign
    factories.the_rollout()
    [both] = scenes.people(1, on=[scene.lists.master, one, two])
    said, spam, _ = scenes.people(3, on=[scene.lists.master, two])
    factories.a_bounce(recipient=factories.a_recipient(contact=spam, outcome=Outcome.COMPLAINED), state=21)
    scene.publish()
    opts_out(scene, both, said)
    complains(scene, spam)
    return [both, said, spam]


def ended(scene: Scene) -> Mapping[str, Any]:
    """How it ended, at Mailjet and here, with contacts by their order."""
    place = {pk: n for n, pk in enumerate(Contact.objects.order_by("pk").values_list("pk", flat=True))}
    rows = ContactListMembership.objects.order_by("list", "contact", "since").select_related("list")
    items = DecisionItem.objects.filter(decision__run__kind=RunKind.CONSENT)
    return {
        "effects": sorted(
            (place[pk], each, before, after) for pk, each, before, after in scene.standin.effects()
        ),
        "jobs": scene.standin.jobs(),
        "here": [(m.list.name, place[m.contact_id], m.until is None, m.unsubscribed, m.rank) for m in rows],
        "items": sorted((i.action, place[i.contact_id], i.status, i.why) for i in items),
        "suppressed": [(place[h.contact_id], h.kind) for h in ContactSuppressionHistory.objects.all()],
        "batches": list(OperationBatch.objects.order_by("pk").values_list("kind", "status")),
        "runs": [(run.status, run.counts, run.report) for run in consent_runs()],
        "decisions": sum(run.decisions.count() for run in consent_runs()),
    }


def killed_at(instant: int, scene: Scene) -> bool:
    """A worker hears until it is killed. False when it lived to the end."""
    death = Death(at=instant)
    with scenes.connect_as(Mortal, scene.standin) as mailjet, connection.execute_wrapper(death.statement):
        mailjet.death = death
        try:
            heard(replace(scene, outside=scene.with_mailjet(mailjet)))
        except Killed:
            return True
    return False


@pytest.mark.parametrize("share", [1, 2, 3])
def test_killed_at_any_instant_it_ends_as_undisturbed(scene: Scene, share: int) -> None:
    three_who_said(scene)
    heard(scene)
    undisturbed = ended(scene)
    assert len(undisturbed["effects"]) == 5

    for instant in instants(share, of=3, sampled=8):
        scene = anew(scene)
        three_who_said(scene)
        if not killed_at(instant, scene):
            break
        ListMaintenanceLog.objects.exclude(lease_until=None).update(
            lease_until=timezone.now() - timedelta(seconds=1)
        )
        scene.clock.passes(timedelta(seconds=leases.LASTS_SECONDS))
        heard(scene)
        assert ended(scene) == undisturbed, f"killed at instant {instant}"
    assert instant > 15


@pytest.mark.processes
@pytest.mark.xdist_group("processes")
def test_a_worker_starts_the_run_by_itself_and_another_one_ends_it(
    scene: Scene,
    real_time: StandIn,
    start_worker: Start,
) -> None:
    scene = in_the_present(scene, real_time)
    both, said, spam = three_who_said(scene)
    real_time.control.settings(job_seconds=3.0)
    worker = start_worker(NO_BROKER)
    scenes.wait_until(lambda: real_time.jobs() > 0, seconds=60)

    worker.kill()
    worker.wait(timeout=10)

    assert OperationBatch.objects.filter(status__in=[BatchStatus.SENDING, BatchStatus.SUBMITTED]).exists()
    start_worker(NO_BROKER)
    scenes.wait_until(
        lambda: ListMaintenanceLog.objects.filter(kind=RunKind.CONSENT, status=RunStatus.SUCCEEDED).exists(),
        seconds=90,
    )
    one, two, _ = scene.lists.campaign
    assert scene.members(one) == {both.pk: True}
    assert scene.members(two)[both.pk] is scene.members(two)[said.pk] is True
    assert set(scene.members(scene.lists.suppression)) == {spam.pk}
    assert len(scene.standin.effects()) == 5
    assert hear(scene) == []
