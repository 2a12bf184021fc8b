"""P6, as far as rows show it: no batch is stuck, none was left behind, nothing applied unsent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Q

from listmanagement.models import (
    FINISHED,
    SETTLED,
    BatchStatus,
    ListOperation,
    OperationBatch,
    OperationStatus,
)
from listmanagement.models.operations import BatchQuerySet
from listmanagement.workflows.promises.verdicts import (
    Name,
    Objection,
    Promise,
    Violation,
    first_ids,
    violation,
)

STUCK_AFTER = timedelta(hours=1)


def check_journal(*, now: datetime) -> Promise:
    """Hold the journal's rows against its own rules."""
    return Promise(Name.JOURNAL, checked=OperationBatch.objects.count(), broken=tuple(_broken(now=now)))


def _broken(*, now: datetime) -> Iterator[Violation]:
    batches, since = OperationBatch.objects, now - STUCK_AFTER
    unsettled = batches.unsettled()
    overdue = Q(sending_at__lt=since) & ~Q(status=BatchStatus.INTENDED) | Q(next_at__lt=since)
    yield from about_batches(
        unsettled.filter(overdue).exclude(run__status__in=FINISHED),
        "unsettled for more than an hour",
        "See that the worker sweeps (manage.py sweep does one by hand) and that Mailjet ends its jobs.",
    )
    yield from about_batches(
        unsettled.filter(run__status__in=FINISHED),
        "unsettled although the run has ended",
        "Look the job up at Mailjet, and compare the contacts there by hand.",
    )
    yield from about_batches(
        batches.filter(status__in=SETTLED, operations__status=OperationStatus.INTENDED).distinct(),
        "settled with operations whose end is not known",
        "Compare their contacts with the lists at Mailjet by hand.",
    )
    yield from about_batches(
        batches.filter(sending_at=None, operations__status=OperationStatus.APPLIED).distinct(),
        "with applied operations but never sent",
        "Find out what changed these contacts at Mailjet past the journal.",
    )


def about_batches(batches: BatchQuerySet, words: str, what_to_do: str) -> Iterator[Violation]:
    """One violation for these batches, with the contacts in them; none where there are none."""
    ids = set(batches.values_list("pk", flat=True))
    if ids:
        contacts = ListOperation.objects.filter(batch__in=ids).values_list("contact_id", flat=True)
        shown = f"batches {words}: {first_ids(ids)}"
        yield violation(set(contacts), Objection(shown, what_to_do))
