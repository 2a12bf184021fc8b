"""Writes a batch into the journal: some contacts, and what is to happen to them on which lists."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.db.models import Max

from integrations.mailjet import Action
from listmanagement.models import (
    BatchChange,
    BatchKind,
    ContactList,
    DecisionItem,
    ItemStatus,
    ListMaintenanceLog,
    ListOperation,
    OperationBatch,
    OperationStatus,
)


def add(
    run: ListMaintenanceLog,
    kind: BatchKind,
    items: Sequence[DecisionItem],
    changes: Sequence[tuple[ContactList, Action]],
    *,
    after: OperationBatch | None = None,
) -> OperationBatch:
    """A new batch at the end of the run's journal, not sent before `after` ended. Under the run's lease."""
    last = run.batches.aggregate(last=Max("position"))["last"] or 0
    batch = OperationBatch.objects.create(run=run, position=last + 1, kind=kind, after=after)
    BatchChange.objects.bulk_create(
        BatchChange(batch=batch, list=contact_list, action=action) for contact_list, action in changes
    )
    ListOperation.objects.bulk_create(
        ListOperation(batch=batch, kind=kind, contact_id=item.contact_id, item=item, position=n)
        for n, item in enumerate(items, 1)
    )
    return batch


def again(
    batch: OperationBatch,
    operations: Collection[int],
    changes: Sequence[tuple[ContactList, Action]],
    *,
    after: OperationBatch | None = None,
) -> OperationBatch:
    """What was given up, in a batch of its own with attempts of its own. Under the run's lease."""
    anew = add(batch.run, BatchKind(batch.kind), (), changes, after=after)
    DecisionItem.objects.filter(operations__in=operations).update(status=ItemStatus.PROPOSED, why="")
    ListOperation.objects.filter(pk__in=operations).update(
        batch=anew, status=OperationStatus.INTENDED, why=""
    )
    return anew


def changes_of(batch: OperationBatch) -> list[tuple[ContactList, Action]]:
    """What the batch does on which lists."""
    return [(each.list, Action(each.action)) for each in batch.changes.select_related("list").order_by("pk")]


def add_move(run: ListMaintenanceLog, items: Sequence[DecisionItem]) -> None:
    """In first, out when it is seen to be in: a move is never one request. All items have the same lists."""
    source, target = items[0].source_list, items[0].target_list
    assert source is not None
    assert target is not None
    incoming = add(run, BatchKind.MOVE_IN, items, [(target, Action.ADD)])
    add(run, BatchKind.MOVE_OUT, items, [(source, Action.REMOVE)], after=incoming)
