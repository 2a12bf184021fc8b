"""What contacts say, and the worker that hears it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from listmanagement.models import (
    FINISHED,
    Contact,
    ContactList,
    ContactSuppressionHistory,
    DecisionItem,
    ListMaintenanceLog,
    RunKind,
)
from listmanagement.workflows import runs
from tests.workflows.scene import Scene


def opts_out(scene: Scene, *contacts: Contact) -> None:
    """We are told now that they opted out; at Mailjet nothing changes by that."""
    Contact.objects.filter(pk__in=[each.pk for each in contacts]).update(
        opted_out_at=scene.clock(), opted_out_by="an unsub event"
    )


def complains(scene: Scene, *contacts: Contact) -> None:
    """We are told now that they complained."""
    Contact.objects.filter(pk__in=[each.pk for each in contacts]).update(
        complained_at=scene.clock(), complained_by="a spam event"
    )


def consent_runs() -> Sequence[ListMaintenanceLog]:
    """All of them, the first one first."""
    return list(ListMaintenanceLog.objects.filter(kind=RunKind.CONSENT).order_by("pk"))


def hear(scene: Scene) -> list[int]:
    """One look of the worker at everything that was said."""
    return runs.hear_all(outside=scene.outside, clock=scene.clock)


def heard(scene: Scene, *, minutes: float = 5) -> ListMaintenanceLog:
    """The worker hears for so long, by the clock, until nothing is left to apply. Returns the last run."""
    until = scene.clock() + timedelta(minutes=minutes)
    while True:
        hear(scene)
        unfinished = ListMaintenanceLog.objects.unfinished().filter(kind=RunKind.CONSENT)
        if not unfinished.exists():
            break
        soonest = min(run.next_at for run in unfinished if run.next_at is not None)
        assert soonest < until, f"not applied within {minutes} minutes: {[r.waits_for for r in unfinished]}"
        scene.clock.passes(soonest - scene.clock())
    last = consent_runs()[-1]
    assert last.status in FINISHED
    return last


def subscribed(scene: Scene, contact: Contact) -> list[ContactList]:
    """The campaign lists on which the contact is subscribed at Mailjet, in their order."""
    return [each for each in scene.lists.campaign if scene.members(each).get(contact.pk) is False]


def said_of(contact: Contact) -> list[tuple[str, str, str]]:
    """What became of the contact's items in consent runs: action, status, why."""
    items = DecisionItem.objects.filter(contact=contact, decision__run__kind=RunKind.CONSENT)
    return list(items.order_by("pk").values_list("action", "status", "why"))


def suppression_of(contact: Contact) -> ContactSuppressionHistory:
    """The one that stands."""
    return contact.suppressions.standing().get()
