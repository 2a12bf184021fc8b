"""Writes a batch into the journal: some contacts, and what is to happen to them on which lists."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Max

from integrations.mailjet import Action
from listmanagement.models import (
    BatchChange,
    BatchKind,
    ContactList,
    DecisionItem,
    ListMaintenanceLog,
    ListOperation,
    OperationBatch,
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


def add_move(run: ListMaintenanceLog, items: Sequence[DecisionItem]) -> None:
    """In first, out when it is seen to be in: a move is never one request. All items have the same lists."""
    source, target = items[0].source_list, items[0].target_list
    assert source is not None
    assert target is not None
    incoming = add(run, BatchKind.MOVE_IN, items, [(target, Action.ADD)])
    add(run, BatchKind.MOVE_OUT, items, [(source, Action.REMOVE)], after=incoming)
