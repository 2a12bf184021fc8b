"""Advances runs, step by step: claim, act, record. PostgreSQL knows where each stands."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta

from integrations.correlation import correlated
from integrations.mailjet import MailjetError, MailjetPaused
from listmanagement.models import (
    FINISHED,
    Decision,
    DecisionStatus,
    ItemStatus,
    ListMaintenanceLog,
    RunKind,
    RunStatus,
    Step,
)
from listmanagement.models.runs import RunQuerySet
from listmanagement.outside import Outside, forget_old_requests
from listmanagement.workflows import (
    consent,
    late_evidence,
    notify,
    outages,
    post_campaign,
    reconcile,
    retests,
    undo,
    way_back,
    weekly_health,
)
from listmanagement.workflows import lease as leases
from listmanagement.workflows.lease import Lease, LeaseLost
from listmanagement.workflows.steps import AwaitReview, Done, Finish, Hand, Next, Pause, StepFunction, Wait

log = logging.getLogger("evenkeel.runs")

WORKFLOWS: Mapping[RunKind, Mapping[Step, StepFunction]] = {
    RunKind.POST_CAMPAIGN: post_campaign.STEPS,
    RunKind.LATE_EVIDENCE: late_evidence.STEPS,
    RunKind.CONSENT: consent.STEPS,
    RunKind.RECONCILIATION: reconcile.STEPS,
    RunKind.WEEKLY_HEALTH: weekly_health.STEPS,
    RunKind.PRE_CAMPAIGN: retests.STEPS,
    RunKind.UNDO: undo.STEPS,
    RunKind.LIFT: undo.STEPS,
    RunKind.WAY_BACK: way_back.STEPS,
}

FIRST_RETRY = timedelta(seconds=10)
TOLD_AFTER = 5  # failures in a row; then somebody should look
LONGEST_RETRY = timedelta(minutes=15)


def advance(run_id: int, *, outside: Outside, clock: Callable[[], datetime]) -> ListMaintenanceLog:
    """Take a run as far as it goes now. Does nothing where somebody else works on it."""
    lease = leases.claim(run_id)
    if lease is not None:
        run = ListMaintenanceLog.objects.get(pk=run_id)
        with correlated(run.correlation_id.hex), leases.kept(lease):
            try:
                _go_on(lease, outside=outside, clock=clock)
            except LeaseLost as lost:
                log.warning("lease lost", extra={"run": run_id, "why": str(lost)})
    return ListMaintenanceLog.objects.get(pk=run_id)


def sweep(*, outside: Outside, clock: Callable[[], datetime]) -> list[int]:
    """Advance whatever is due: expired leases, waits that are over, decided reviews. Returns their ids.

    What contacts said comes first.
    """
    heard = hear(outside=outside, clock=clock)
    _expire_decisions(now=clock())
    forget_old_requests()
    outages.tell(now=clock())
    due = ListMaintenanceLog.objects.due(at=clock()).exclude(pk__in=heard)
    return [*heard, *_advance_each(due, outside=outside, clock=clock)]


def hear(*, outside: Outside, clock: Callable[[], datetime]) -> list[int]:
    """Start a consent run where contacts said something lately, and advance those there are."""
    consent.start_if_needed(
        configuration=outside.configuration, now=clock(), told_since=clock() - consent.LATELY
    )
    return _advance_each(
        ListMaintenanceLog.objects.due(at=clock()).filter(kind=RunKind.CONSENT), outside=outside, clock=clock
    )


def hear_all(*, outside: Outside, clock: Callable[[], datetime]) -> list[int]:
    """The same for whatever was said, ever, and is not so at Mailjet: opt-outs and complaints heal."""
    consent.start_if_needed(configuration=outside.configuration, now=clock())
    return hear(outside=outside, clock=clock)


def _advance_each(runs_due: RunQuerySet, *, outside: Outside, clock: Callable[[], datetime]) -> list[int]:
    due = list(runs_due.values_list("pk", flat=True))
    with ExitStack() as runs:  # each gets its turn, also when another one's error ends the sweep
        for run_id in reversed(due):
            runs.callback(advance, run_id, outside=outside, clock=clock)
    return due


def _expire_decisions(*, now: datetime) -> None:
    """An undecided decision expires at its deadline: no label, no evidence spent, judged afresh later."""
    for decision in Decision.objects.expiring(at=now):
        won = Decision.objects.awaiting_review().filter(pk=decision.pk).update(status=DecisionStatus.EXPIRED)
        if won:
            log.info("decision expired", extra={"decision": decision.pk, "run": decision.run_id})


def _go_on(lease: Lease, *, outside: Outside, clock: Callable[[], datetime]) -> None:
    while True:
        run = ListMaintenanceLog.objects.get(pk=lease.run_id)
        if run.status in FINISHED:
            return
        hand = Hand(run=run, lease=lease, outside=outside, clock=clock)
        sent, started = outside.mailjet.requests, time.monotonic()
        outcome = _try_step(hand)
        _record(hand, outcome, seconds=time.monotonic() - started, requests=outside.mailjet.requests - sent)
        if not isinstance(outcome, Done):
            return


def _try_step(hand: Hand) -> Next:
    """The step in hand; what goes wrong at Mailjet becomes a wait or an end, and is written down."""
    run = hand.run
    log.info("step", extra={"run": run.pk, "step": run.step})
    try:
        return WORKFLOWS[RunKind(run.kind)][Step(run.step)](hand)
    except MailjetPaused as pause:
        return Pause(until=max(pause.until, hand.now), for_=str(pause))
    except MailjetError as error:
        _note_error(hand, error)
        if error.retryable or run.batches.unsettled().exists():
            return Wait(until=hand.now + _pause(run.retries), for_=str(error))
        return Finish(RunStatus.FAILED, str(error))
    except LeaseLost:
        raise
    except Exception as error:
        _note_error(hand, error)
        _record(
            hand,
            Wait(until=hand.now + _pause(run.retries), for_="an unexpected error"),
            seconds=0,
            requests=0,
        )
        raise


def _pause(retries: int) -> timedelta:
    """10 s, doubled at each failure in a row, up to a quarter of an hour."""
    pause: timedelta = FIRST_RETRY * 2 ** min(retries, 10)
    return min(pause, LONGEST_RETRY)


def _note_error(hand: Hand, error: Exception) -> None:
    words = str(error) if isinstance(error, MailjetError) else type(error).__name__
    log.warning("step failed", extra={"run": hand.run.pk, "step": hand.run.step, "why": words})
    with hand.lease.writing() as run:
        run.errors = [*run.errors, {"at": hand.now.isoformat(), "step": run.step, "what": words}][-50:]
        run.retries += 1
        run.save(update_fields=["errors", "retries"])
        if run.retries == TOLD_AFTER:
            notify.run_stuck(run, why=words, now=hand.now)


def _record(hand: Hand, outcome: Next, *, seconds: float, requests: int) -> None:
    """Write down where the run stands now, under its lease."""
    with hand.lease.writing() as run:
        run.seconds = {**run.seconds, run.step: round(run.seconds.get(run.step, 0) + seconds, 3)}
        run.requests += requests
        went_well = run.retries == hand.run.retries and not isinstance(outcome, Pause)
        if went_well:  # failures count in a row
            run.retries = 0
        match outcome:
            case Done():
                _to_next_step(run, now=hand.now)
            case Wait(until, for_):
                run.status, run.next_at, run.waits_for = RunStatus.WAITING, until, for_
            case AwaitReview():
                run.status, run.next_at, run.waits_for = RunStatus.WAITING_FOR_REVIEW, None, "a review"
                run.holds_rotation = False
            case Finish(status, why):
                _finish(run, status, why=why, now=hand.now)
        run.save()
    log.info("run", extra={"run": run.pk, "status": run.status, "step": run.step, "requests": run.requests})


def _to_next_step(run: ListMaintenanceLog, *, now: datetime) -> None:
    steps = list(WORKFLOWS[RunKind(run.kind)])
    following = steps[steps.index(Step(run.step)) + 1 :]
    run.retries, run.next_at, run.waits_for = 0, None, ""
    if following:
        run.status, run.step = RunStatus.RUNNING, following[0]
    else:
        _finish(run, _how_it_ended(run), why="", now=now)


def _how_it_ended(run: ListMaintenanceLog) -> RunStatus:
    failed = run.decisions.filter(items__status=ItemStatus.FAILED).exists()
    return RunStatus.PARTIAL if failed else RunStatus.SUCCEEDED


def _finish(run: ListMaintenanceLog, status: RunStatus, *, why: str, now: datetime) -> None:
    run.status, run.finished_at, run.next_at, run.holds_rotation = status, now, None, False
    run.waits_for = ""
    if why:
        run.errors = [*run.errors, {"at": now.isoformat(), "step": run.step, "what": why}]
        run.report = run.report or why
        notify.run_failed(run, why=why, now=now)
