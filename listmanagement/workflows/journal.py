"""The journal: operations out to Mailjet, followed to their end, seen by reading back.

intended → *sending* (claimed and committed before the request) → submitted (job id) → applied, seen by
reading the lists | failed. What a crash leaves in *sending* is looked up at Mailjet, never resent blindly.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from django.db.models import Max

from integrations.mailjet import (
    Action,
    JobId,
    JobStatus,
    JobSummary,
    ListChange,
    MailjetRejected,
    MailjetUncertain,
)
from listmanagement.models import (
    EXECUTABLE,
    BatchChange,
    BatchKind,
    BatchStatus,
    ContactList,
    Decision,
    DecisionItem,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    ListOperation,
    OperationBatch,
    OperationStatus,
)
from listmanagement.workflows import effects, permission
from listmanagement.workflows.steps import Done, Hand, Next, Wait

log = logging.getLogger("evenkeel.journal")

BATCH_SIZE = 1000
MOST_ATTEMPTS = 3
SURE_AFTER = timedelta(seconds=15)  # a job that Mailjet accepted shows in its list of jobs by then
HUNG_AFTER = timedelta(hours=2)  # then the lists are read, whatever the job says
LONGEST_POLL = 30  # seconds


# --- Intending ---------------------------------------------------------------------------------------


def intend(hand: Hand, decisions: Iterable[Decision]) -> None:
    """Journal what approved and clear decisions ask for, once. Nothing is sent yet."""
    for decision in decisions:
        if decision.status not in EXECUTABLE:
            continue
        with hand.lease.writing() as run:
            items = decision.items.filter(status=ItemStatus.PROPOSED, operations=None).exclude(
                action=ItemAction.HOLD
            )
            _intend_items(run, list(items.select_related("contact")))
            decision.items.filter(status=ItemStatus.PROPOSED, action=ItemAction.HOLD).update(
                status=ItemStatus.EXECUTED
            )


def _intend_items(run: ListMaintenanceLog, items: Sequence[DecisionItem]) -> None:
    def legs(item: DecisionItem) -> tuple[int, int, int]:
        return (_ORDER.index(ItemAction(item.action)), item.source_list_id or 0, item.target_list_id or 0)

    for (place, _, _), alike in groupby(sorted(items, key=lambda i: (*legs(i), i.position)), key=legs):
        group = list(alike)
        for start in range(0, len(group), BATCH_SIZE):
            _INTEND[_ORDER[place]](run, group[start : start + BATCH_SIZE])


def _intend_suppression(run: ListMaintenanceLog, items: Sequence[DecisionItem]) -> None:
    """Off every campaign list and onto the suppression list, in one request."""
    changes = [(campaign_list, Action.REMOVE) for campaign_list in ContactList.objects.rotation()]
    _add_batch(run, BatchKind.SUPPRESS, items, [*changes, (ContactList.objects.suppression(), Action.ADD)])


def _intend_placement(run: ListMaintenanceLog, items: Sequence[DecisionItem]) -> None:
    assert items[0].target_list is not None
    _add_batch(run, BatchKind.PLACE, items, [(items[0].target_list, Action.ADD)])


def _intend_move(run: ListMaintenanceLog, items: Sequence[DecisionItem]) -> None:
    """In first, out when it is seen to be in: a move is never one request."""
    assert items[0].target_list is not None
    assert items[0].source_list is not None
    incoming = _add_batch(run, BatchKind.MOVE_IN, items, [(items[0].target_list, Action.ADD)])
    _add_batch(run, BatchKind.MOVE_OUT, items, [(items[0].source_list, Action.REMOVE)], after=incoming)


_ORDER = [ItemAction.SUPPRESS, ItemAction.PLACE, ItemAction.MOVE]  # placements before moves

_INTEND = {
    ItemAction.SUPPRESS: _intend_suppression,
    ItemAction.PLACE: _intend_placement,
    ItemAction.MOVE: _intend_move,
}


def _add_batch(
    run: ListMaintenanceLog,
    kind: BatchKind,
    items: Sequence[DecisionItem],
    changes: Sequence[tuple[ContactList, Action]],
    *,
    after: OperationBatch | None = None,
) -> OperationBatch:
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


# --- Driving -----------------------------------------------------------------------------------------


def drive(hand: Hand) -> Next:
    """Take each unsettled batch of the run as far as it goes now. Done when all are settled."""
    for batch in hand.run.batches.unsettled():
        if batch.next_at is None or batch.next_at <= hand.now:
            _ADVANCE[BatchStatus(batch.status)](hand, batch)
    unsettled = hand.run.batches.unsettled()
    times = [batch.next_at for batch in unsettled if batch.next_at is not None]
    if not unsettled:
        return Done()
    if not times:
        return Wait(until=hand.now, for_="the next batch")
    return Wait(until=min(times), for_="Mailjet to finish a job")


def _submit(hand: Hand, batch: OperationBatch) -> None:
    """Send an intended batch, unless something says: not now. One job at a time per list."""
    if _must_follow(batch):
        return
    if (later := permission.not_before(hand, batch)) is not None:
        _look_again(hand, batch, at=later)
        return
    effects.check_each(hand, batch)
    operations = list(batch.operations.filter(status=OperationStatus.INTENDED).select_related("contact"))
    if not operations:
        _settle(hand, batch)
        return
    _send(hand, batch, emails=[_email(operation) for operation in operations])


def _email(operation: ListOperation) -> str:
    assert operation.contact.email is not None  # checked a moment ago, in effects
    return operation.contact.email


def _must_follow(batch: OperationBatch) -> bool:
    """Whether another batch has to end first: the one it comes after, or one on the same lists."""
    before = OperationBatch.objects.filter(followers=batch).unsettled()
    lists = batch.changes.values("list")
    busy = OperationBatch.objects.under_way().filter(changes__list__in=lists).exclude(pk=batch.pk)
    return before.exists() or busy.exists()


def _send(hand: Hand, batch: OperationBatch, *, emails: Sequence[str]) -> None:
    with hand.lease.writing():
        claimed = OperationBatch.objects.claim_for_sending(batch.pk, at=hand.now)
    if claimed is None:
        return
    changes = [ListChange(list_id=c.list.mailjet_id, action=Action(c.action)) for c in _changes(claimed)]
    hand.lease.check_fresh()
    try:
        if len(changes) == 1:
            [change] = changes
            job = hand.outside.mailjet.submit(list_id=change.list_id, action=change.action, emails=emails)
        else:
            job = hand.outside.mailjet.submit_changes(changes=changes, emails=emails)
    except MailjetUncertain as lost:
        log.warning("answer lost", extra={"batch": batch.pk, "why": str(lost)})
        _look_again(hand, claimed, at=hand.now + SURE_AFTER)
    except MailjetRejected as refusal:
        _fail(hand, claimed, why=str(refusal))
    else:
        _note_job(hand, claimed, job)


def _changes(batch: OperationBatch) -> Sequence[BatchChange]:
    return list(batch.changes.select_related("list").order_by("pk"))


def _note_job(hand: Hand, batch: OperationBatch, job: JobId) -> None:
    with hand.lease.writing():
        OperationBatch.objects.filter(pk=batch.pk, status=BatchStatus.SENDING).update(
            status=BatchStatus.SUBMITTED, job_id=job, polls=0, next_at=hand.now + timedelta(seconds=1)
        )


def _look_up(hand: Hand, batch: OperationBatch) -> None:
    """A batch in *sending* is one whose request may or may not have reached Mailjet. Find its job.

    Unknown jobs that could be it are waited for. Without one, what the lists do not show is sent again.
    """
    assert batch.sending_at is not None
    if hand.now < batch.sending_at + SURE_AFTER:
        _look_again(hand, batch, at=batch.sending_at + SURE_AFTER)
        return
    candidates = _candidates(hand, batch)
    running = [job for job in candidates if job.status is JobStatus.RUNNING]
    if len(candidates) == 1:
        _note_job(hand, batch, JobId(candidates[0].id))
    elif running:
        _look_again(hand, batch, at=hand.now + timedelta(seconds=5))
    else:
        _send_what_is_missing(hand, batch)


def _candidates(hand: Hand, batch: OperationBatch) -> list[JobSummary]:
    """Jobs at Mailjet, not known to be another batch's, that this batch's request could have started."""
    assert batch.sending_at is not None
    since = batch.sending_at.replace(microsecond=0)
    jobs = hand.outside.mailjet.recent_jobs(since=since - timedelta(seconds=2))
    ours = set(
        OperationBatch.objects.filter(job_id__in=[job.id for job in jobs]).values_list("job_id", flat=True)
    )
    lists = {change.list.mailjet_id for change in _changes(batch)}
    return [
        job
        for job in jobs
        if job.id not in ours and (job.ref_id in lists if len(lists) == 1 else not job.ref_id)
    ]


def _send_what_is_missing(hand: Hand, batch: OperationBatch) -> None:
    effects.verify(hand, batch)
    _again_or_settle(hand, batch, why="Mailjet never started the job")


def _poll(hand: Hand, batch: OperationBatch) -> None:
    assert batch.job_id is not None
    [first, *others] = _changes(batch)
    job = hand.outside.mailjet.job(JobId(batch.job_id), list_id=None if others else first.list.mailjet_id)
    if job.status is JobStatus.RUNNING and not _hangs(hand, batch):
        wait = min(2 ** (batch.polls + 1), LONGEST_POLL)
        _look_again(hand, batch, at=hand.now + timedelta(seconds=wait))
        return
    effects.verify(hand, batch)
    if job.error_file:
        _fail_named(hand, batch, JobId(batch.job_id))
    _again_or_settle(hand, batch, why=job.error or "the job ended without effect")


def _hangs(hand: Hand, batch: OperationBatch) -> bool:
    return batch.sending_at is not None and hand.now > batch.sending_at + HUNG_AFTER


def _fail_named(hand: Hand, batch: OperationBatch, job: JobId) -> None:
    """Mailjet's error file names the addresses that it did not change, and why."""
    told = {error.email.lower(): error.message for error in hand.outside.mailjet.job_errors(job)}
    with hand.lease.writing():
        for operation in batch.operations.filter(status=OperationStatus.INTENDED).select_related("contact"):
            if words := told.get((operation.contact.email or "").lower()):
                effects.fail(operation, why=f"Mailjet: {words}")


def _again_or_settle(hand: Hand, batch: OperationBatch, *, why: str) -> None:
    """Send again what the lists do not show, a few times; then it has failed."""
    missing = batch.operations.filter(status=OperationStatus.INTENDED)
    if missing.exists() and batch.attempt < MOST_ATTEMPTS:
        with hand.lease.writing():
            OperationBatch.objects.filter(pk=batch.pk).update(
                status=BatchStatus.INTENDED, job_id=None, next_at=None, error=why
            )
        return
    if missing.exists():
        _fail(hand, batch, why=f"{why}, {batch.attempt} times")
        return
    _settle(hand, batch)


def _settle(hand: Hand, batch: OperationBatch) -> None:
    """Every operation has its end: seen, dropped or failed."""
    seen = batch.operations.filter(status=OperationStatus.APPLIED).exists()
    status = BatchStatus.APPLIED if seen else BatchStatus.FAILED
    why = "" if seen else "nobody was changed; each operation says why"
    with hand.lease.writing():
        OperationBatch.objects.filter(pk=batch.pk).update(
            status=status, error=why, settled_at=hand.now, next_at=None
        )
    log.info("batch settled", extra={"batch": batch.pk, "kind": batch.kind, "status": status.value})


def _fail(hand: Hand, batch: OperationBatch, *, why: str) -> None:
    with hand.lease.writing():
        for operation in batch.operations.filter(status=OperationStatus.INTENDED):
            effects.fail(operation, why=why)
    _settle(hand, batch)


def _look_again(hand: Hand, batch: OperationBatch, *, at: datetime) -> None:
    with hand.lease.writing():
        OperationBatch.objects.filter(pk=batch.pk).update(next_at=at, polls=batch.polls + 1)


_ADVANCE = {
    BatchStatus.INTENDED: _submit,
    BatchStatus.SENDING: _look_up,
    BatchStatus.SUBMITTED: _poll,
}
