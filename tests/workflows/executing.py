"""Runs that have everything decided and are about to change the lists, and how they ended."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from listmanagement.models import (
    Agent,
    Contact,
    ContactList,
    ContactListMembership,
    ContactSuppressionHistory,
    Cycle,
    DecisionItem,
    ItemAction,
    ListMaintenanceLog,
    ListOperation,
    MailjetRequest,
)
from listmanagement.workflows.demo import rows
from tests import factories
from tests.workflows import scene as scenes
from tests.workflows.scene import Scene


@dataclass(frozen=True)
class Everything:
    """Three lists after a cycle's last round, and a run about to suppress, to place and to move."""

    run: ListMaintenanceLog
    gone: Sequence[Contact]
    placed: Sequence[Contact]
    moved: Sequence[Contact]


def instants(share: int, *, of: int, sampled: int = 12) -> range:
    """When this share of the deaths happens: at every twelfth instant, or at each under `make chaos`."""
    apart = 1 if os.environ.get("EVENKEEL_CHAOS") else sampled
    return range(1 + (share - 1) * apart, 200, of * apart)


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


def everything(scene: Scene, *, each: int = 2) -> Everything:
    """A run about to suppress, to place and to move so many contacts each."""
    one, two, three = scene.lists.campaign
    master = scene.lists.master
    gone, _ = scenes.people(each, on=[master, one]), scenes.people(2, on=[master, two])
    _, moved = scenes.people(1, on=[master, three]), scenes.people(each, on=[master, three])
    placed = scenes.people(each, on=[master])
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


def anew(scene: Scene) -> Scene:
    """The same scene before anything happened."""
    rows.empty()
    MailjetRequest.objects.all().delete()
    return replace(scene, lists=factories.the_rotation())


def a_suppression(scene: Scene, *, contacts: int = 3) -> tuple[ListMaintenanceLog, Sequence[Contact]]:
    """A run about to suppress so many members of the first list."""
    gone = scenes.people(contacts, on=[scene.lists.master, scene.lists.campaign[0]])
    run = a_run(scene)
    scenes.to_suppress(run, gone, source=scene.lists.campaign[0])
    scene.publish()
    return run, gone


def a_placement(scene: Scene, *, contacts: int = 3) -> tuple[ListMaintenanceLog, Sequence[Contact]]:
    """A run about to place so many contacts of the backlog on the first list."""
    placed = scenes.people(contacts, on=[scene.lists.master])
    run = a_run(scene)
    scenes.to_place(run, placed, target=scene.lists.campaign[0])
    scene.publish()
    return run, placed


def a_move(scene: Scene, *, contacts: int = 3) -> tuple[ListMaintenanceLog, Sequence[Contact]]:
    """A run about to move so many members of the first list to the second."""
    one, two, _ = scene.lists.campaign
    moved = scenes.people(contacts, on=[scene.lists.master, one])
    run = a_run(scene)
    scenes.to_move(run, moved, source=one, target=two)
    scene.publish()
    return run, moved


def ends(run: ListMaintenanceLog, *, action: ItemAction | None = None) -> Mapping[int, tuple[str, str]]:
    """What became of each contact's item, and why, by contact."""
    items = DecisionItem.objects.filter(decision__run=run)
    if action is not None:
        items = items.filter(action=action)
    return {item.contact_id: (item.status, item.why) for item in items}
