"""What a run that ended early has left undone, and whether that can be finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from listmanagement.domain.telling import people
from listmanagement.models import (
    EXECUTABLE,
    BatchKind,
    DecisionItem,
    DecisionStatus,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    ListOperation,
    OperationStatus,
    RunStatus,
    Step,
)

TRIED_AGAIN = (BatchKind.SUPPRESS, BatchKind.PLACE, BatchKind.MOVE_IN, BatchKind.MOVE_OUT)
"""What a person can have tried once more, as maintenance intends it."""


@dataclass(frozen=True)
class Left:
    """What is still to be done."""

    at: Step | None
    """The step that the run stopped at; None where it came to its end."""
    contacts: Mapping[ItemAction, int]
    """Contacts whose change was decided and not made, by what it is."""
    undecided: Sequence[int]
    """Decisions that wait for a person still."""
    astray: int
    """Contacts on both lists of a move that could be neither ended nor taken back."""

    def __bool__(self) -> bool:
        return self.at is not None or bool(self.contacts) or bool(self.undecided)


def of(run: ListMaintenanceLog) -> Left:
    """What a run that has ended left; of one under way it means nothing."""
    rows = undone_items(run).order_by().values_list("action").annotate(n=Count("pk"))
    found = {ItemAction(action): number for action, number in rows}
    undecided = run.decisions.filter(status=DecisionStatus.OPEN).order_by("pk")
    return Left(
        at=Step(run.step) if run.stopped or run.status == RunStatus.FAILED else None,
        contacts={action: found[action] for action in _VERBS if action in found},
        undecided=list(undecided.values_list("pk", flat=True)),
        astray=_astray(run).count(),
    )


def undone_items(run: ListMaintenanceLog) -> QuerySet[DecisionItem]:
    """Items that failed and can be tried once more, and those that were decided and never begun."""
    failed = Q(Exists(failed_operations(run).filter(item=OuterRef("pk"))), status=ItemStatus.FAILED)
    waiting = Q(status=ItemStatus.PROPOSED, decision__status__in=EXECUTABLE)
    items = DecisionItem.objects.filter(decision__run=run)
    return items.filter(failed | waiting | Q(pk__in=never_begun(run).values("pk")))


def never_begun(run: ListMaintenanceLog) -> QuerySet[DecisionItem]:
    """Items that were given up before they were journaled, when the run stopped."""
    return DecisionItem.objects.filter(decision__run=run, status=ItemStatus.FAILED, operations=None)


def failed_operations(run: ListMaintenanceLog) -> QuerySet[ListOperation]:
    """Operations of the run that were given up."""
    return ListOperation.objects.filter(batch__run=run, kind__in=TRIED_AGAIN, status=OperationStatus.FAILED)


def _astray(run: ListMaintenanceLog) -> QuerySet[ListOperation]:
    return ListOperation.objects.arrived().filter(batch__run=run, item__status=ItemStatus.FAILED)


_VERBS: Mapping[ItemAction, str] = {
    ItemAction.SUPPRESS: "suppressed",
    ItemAction.HOLD: "held",
    ItemAction.PLACE: "placed",
    ItemAction.MOVE: "moved",
    ItemAction.TAKE_OFF: "taken off a list",
    ItemAction.PUT_BACK: "put back on a list",
    ItemAction.RESTORE: "lifted from suppression",
    ItemAction.RELEASE: "taken off the list they were placed on",
}


def sentences(left: Left) -> list[str]:
    """The same in words for people, without addresses; none where nothing is left."""
    words = []
    if left.at is not None:
        words.append(f"It stopped at the step {left.at.replace('_', ' ')}; this and what follows is left.")
    words += [f"Not {_VERBS[action]}: {people(number)}." for action, number in left.contacts.items()]
    words += [f"Decision {each} is not decided." for each in left.undecided]
    if left.astray:
        words.append(
            f"On both lists of their move: {people(left.astray)}. Have the run continue before the next "
            "send, or undo its rebalancing, which takes them off the list they came to."
        )
    return words
