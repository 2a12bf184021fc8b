"""A run that ended early goes on, once a person wants it: exactly what it left is done, checked afresh."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from integrations.mailjet import Action
from listmanagement.models import (
    FINISHED,
    BatchKind,
    ContactList,
    DecisionKind,
    DecisionStatus,
    ItemStatus,
    ListMaintenanceLog,
    ListOperation,
    OperationBatch,
    RunKind,
    RunStatus,
    Step,
)
from listmanagement.outside import Configuration
from listmanagement.workflows import left, permission
from listmanagement.workflows.by_people import audit, people
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.changes import batches
from listmanagement.workflows.running import starting

_NOT_CONTINUED = {
    RunKind.CONSENT: "what contacts said is found anew and applied within minutes, by itself",
    RunKind.RECONCILIATION: "the next reconciliation finds what is left (manage.py reconcile)",
    RunKind.PRE_CAMPAIGN: "it goes on by itself until whom a send skips is back",
    RunKind.UNDO: "undo the run again: that takes back what is left",
    RunKind.LIFT: "lift what is left again (manage.py lift_suppression)",
    RunKind.WAY_BACK: "the next one asks anew, next week",
}


def why_not(run: ListMaintenanceLog, *, by: User, enabled: bool) -> str | None:
    """Why this person cannot have the run continue now; None when they can. Buttons show exactly then."""
    if (why := people.why_not_reviewing(by)) is not None:
        return why
    if run.status not in FINISHED:
        return f"run {run.pk} has not ended: it goes on by itself"
    if run.status == RunStatus.SUCCEEDED:
        return f"run {run.pk} has left nothing to be done"
    if (kind := _NOT_CONTINUED.get(RunKind(run.kind))) is not None:
        return f"run {run.pk} is not continued: {kind}"
    remains = left.of(run)
    if not remains:
        return f"run {run.pk} has left nothing to be done"
    if run.undone_by.unfinished().exists():
        return f"run {run.pk} is being undone"
    if run.undone_by.exists() and not remains.astray:  # nobody stays on both lists for that
        return f"run {run.pk} was undone: the next maintenance asks anew about what it left"
    if (newer := _judged_later(run)) is not None:
        return newer
    return permission.why_off(enabled=enabled)


def _judged_later(run: ListMaintenanceLog) -> str | None:
    """That a later send was judged: this one, alone, would be judged wrongly. Decided before, it stands."""
    if run.kind != RunKind.POST_CAMPAIGN or run.campaign is None or run.agent_calls.exists():
        return None
    return starting.judged_later(run.campaign, stage=run.stage)


@transaction.atomic
def go_on(run_id: int, *, by: User, configuration: Configuration, now: datetime) -> ListMaintenanceLog:
    """Let it finish what it left. Nothing is sent to Mailjet here. Asked twice, it goes on once (P11).

    Raises NotAllowed, with what to do.
    """
    run = ListMaintenanceLog.objects.select_for_update().filter(pk=run_id).first()
    if run is None:
        raise NotAllowed(f"there is no run {run_id}")
    if run.continued and run.status not in FINISHED:
        return run
    if (why := why_not(run, by=by, enabled=configuration.enabled)) is not None:
        raise NotAllowed(why)
    reopen(run, by=by, now=now)
    return run


def reopen(run: ListMaintenanceLog, *, by: User | None, now: datetime) -> None:
    """Let an ended run go on from the first step that left something. Inside the caller's transaction."""
    words = left.sentences(left.of(run))
    run.step = _first_step(run)
    _try_again(run)
    run.status, run.finished_at, run.stopped = RunStatus.PENDING, None, ""
    run.retries = run.breakdowns = 0
    run.worked = run.worked_on_step = 0.0
    run.continued += 1
    if not run.agent_calls.filter(agent="reporting").exists():
        run.report = ""  # it said only why the run had stopped; the log keeps that
    run.save()
    audit.note(run, "continued", by=by, now=now, left=words)


_CARRIED_OUT_AT = {
    DecisionKind.SUPPRESSION: Step.SUPPRESS,
    DecisionKind.REBALANCING: Step.REBALANCE,
    DecisionKind.RETURN: Step.REBALANCE,
}


def _first_step(run: ListMaintenanceLog) -> Step:
    """Where it stopped, or where the first of what was not done is carried out."""
    undone = run.decisions.filter(items__in=left.undone_items(run))
    waiting = run.decisions.filter(status=DecisionStatus.OPEN)
    kinds = {*undone.values_list("kind", flat=True), *waiting.values_list("kind", flat=True)}
    steps = [Step(run.step), *(_CARRIED_OUT_AT[DecisionKind(kind)] for kind in kinds)]
    return min(steps, key=list(Step).index)


# --- What failed is intended anew ------------------------------------------------------------------------


def _try_again(run: ListMaintenanceLog) -> None:
    """Move what was given up into new batches: with attempts of their own, and every check before them."""
    left.never_begun(run).update(status=ItemStatus.PROPOSED, why="")
    failed = left.failed_operations(run)
    for batch in run.batches.filter(operations__in=failed).distinct().order_by("position"):
        given_up = failed.filter(batch=batch)
        if batch.kind == BatchKind.MOVE_IN:
            _move_again(batch, given_up)
        elif batch.kind != BatchKind.MOVE_OUT:
            _intend_anew(batch, given_up)
        else:
            _intend_anew(batch, given_up.filter(item__operations__in=ListOperation.objects.arrived()))


def _move_again(batch: OperationBatch, given_up: QuerySet[ListOperation]) -> None:
    """A move's way out, which was left out because nobody came in, follows its way in again."""
    items = list(given_up.values_list("item", flat=True))
    incoming = _intend_anew(batch, given_up)
    ways_out = ListOperation.objects.filter(item__in=items, kind=BatchKind.MOVE_OUT)
    for outgoing in OperationBatch.objects.filter(operations__in=ways_out).distinct().order_by("position"):
        _intend_anew(outgoing, ways_out.filter(batch=outgoing), after=incoming)


def _intend_anew(
    batch: OperationBatch, operations: QuerySet[ListOperation], *, after: OperationBatch | None = None
) -> OperationBatch | None:
    keys = list(operations.values_list("pk", flat=True))
    if not keys:
        return None
    return batches.again(batch, keys, _changes(batch, keys), after=after)


def _changes(batch: OperationBatch, keys: Sequence[int]) -> list[tuple[ContactList, Action]]:
    """As before; a way out leads off the source again, also where the way back was tried last."""
    if batch.kind != BatchKind.MOVE_OUT:
        return batches.changes_of(batch)
    source = ContactList.objects.filter(items_from__operations__in=keys).distinct().get()
    return [(source, Action.REMOVE)]
