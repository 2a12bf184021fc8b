"""Notes, once the inverse of an operation is seen at Mailjet, that the operation is undone."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Exists, OuterRef

from listmanagement.models import (
    BatchKind,
    BatchStatus,
    DecisionItem,
    ListOperation,
    OperationBatch,
    OperationStatus,
)


def note_undone(operations: Collection[int]) -> None:
    """What these operations took back is undone; so is a batch of which nothing is left.

    Inside the caller's transaction. An opt-out that was carried over is not taken back by anything.
    """
    taken_back = DecisionItem.objects.filter(undone_by__operations__in=operations)
    theirs = ListOperation.objects.filter(item__in=taken_back.values("pk")).exclude(
        kind=BatchKind.CARRY_OPT_OUT
    )
    batches = list(theirs.values_list("batch", flat=True).distinct())
    theirs.filter(status=OperationStatus.APPLIED).update(status=OperationStatus.UNDONE)
    left = ListOperation.objects.filter(batch=OuterRef("pk"), status=OperationStatus.APPLIED)
    emptied = OperationBatch.objects.filter(pk__in=batches, status=BatchStatus.APPLIED)
    emptied.filter(~Exists(left)).update(status=BatchStatus.UNDONE)
