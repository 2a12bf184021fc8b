"""A worker killed while it undoes a run: another one ends it, and nothing is taken back twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from listmanagement.models import (
    Contact,
    ContactListMembership,
    ContactSuppressionHistory,
    DecisionItem,
    ListMaintenanceLog,
    ListOperation,
    OperationBatch,
    RunStatus,
    Step,
)
from listmanagement.workflows.undoing import undo
from listmanagement.workflows.undoing.undoable import Scope
from tests import factories
from tests.workflows.executing import anew, everything, instants
from tests.workflows.scene import Scene
from tests.workflows.test_journal import another_worker_goes_on, killed_at

pytestmark = pytest.mark.django_db(transaction=True)


def an_undo(scene: Scene) -> ListMaintenanceLog:
    """A run that is about to take back a suppression, a placement and a move."""
    run = scene.go_on(everything(scene, each=1).run)
    return undo.start(
        run.pk,
        scope=Scope(),
        by=factories.a_reviewer(),
        reason="by mistake",
        override="",
        configuration=scene.outside.configuration,
        now=scene.clock(),
    )


def ended(scene: Scene, run: ListMaintenanceLog) -> Mapping[str, Any]:
    """How it ended, at Mailjet and here, with contacts by their order."""
    place = {pk: n for n, pk in enumerate(Contact.objects.order_by("pk").values_list("pk", flat=True))}
    rows = ContactListMembership.objects.order_by("list", "contact", "since").select_related("list")
    operations = ListOperation.objects.all()
    items = DecisionItem.objects.filter(decision__run=run)
    history = ContactSuppressionHistory.objects.all()
    return {
        "effects": sorted((place[pk], *change) for pk, *change in scene.standin.effects()),
        "jobs": scene.standin.jobs(),
        "here": [
            (m.list.name, place[m.contact_id], m.until is None, m.began_by, m.ended_by, m.rank) for m in rows
        ],
        "operations": sorted((o.kind, place[o.contact_id], o.status, o.why) for o in operations),
        "batches": sorted(OperationBatch.objects.values_list("kind", "status", "error")),
        "items": sorted((i.action, place[i.contact_id], i.status, i.why) for i in items),
        "lifted": [(place[h.contact_id], h.lifted_at is not None, h.lifted_why) for h in history],
        "run": (run.status, *(run.counts[name] for name in ("restored", "released", "moved_back"))),
    }


def test_killed_at_any_instant_it_ends_as_undisturbed(scene: Scene) -> None:
    undisturbed = ended(scene, scene.go_on(an_undo(scene)))
    assert undisturbed["run"] == (RunStatus.SUCCEEDED, 1, 1, 1)

    for instant in instants(1, of=1, sampled=24):
        scene = anew(scene)
        run = an_undo(scene)
        if not killed_at(instant, run, scene) or run.step == Step.REPORT:
            break
        another_worker_goes_on(run, scene)
        assert ended(scene, run) == undisturbed, f"killed at instant {instant}"
    assert instant > 30
