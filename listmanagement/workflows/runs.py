"""Advances runs, step by step: claim, act, record. PostgreSQL knows where each stands."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial

from integrations.correlation import correlated
from integrations.mailjet import Mailjet, MailjetError, MailjetPaused, MailjetUnauthorized
from listmanagement.domain import limits
from listmanagement.models import (
    EXECUTABLE,
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
from listmanagement.workflows import consent, left, notify, outages, reconcile
from listmanagement.workflows.before_sends import retests
from listmanagement.workflows.changes import journal
from listmanagement.workflows.maintenance import late_evidence, post_campaign
from listmanagement.workflows.running import lease as leases
from listmanagement.workflows.running.lease import Lease, LeaseLost
from listmanagement.workflows.running.steps import (
    AwaitReview,
    Done,
    Finish,
    Hand,
    Next,
    Pause,
    StepFunction,
    Wait,
)
from listmanagement.workflows.undoing import undo, way_back
from listmanagement.workflows.weekly import weekly_health

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
        work = Work(outside.mailjet)
        outcome = _try_step(hand, work)
        _record(hand, outcome, work)
        if not isinstance(outcome, Done):
            return


class Work:
    """What a step has cost since this was made. Having to wait for Mailjet is no work."""

    def __init__(self, mailjet: Mailjet) -> None:
        self._mailjet = mailjet
        self._began, self._sent, self._waited = time.monotonic(), mailjet.requests, mailjet.waited

    @property
    def seconds(self) -> float:
        """Without those that the request budget, or a pause between two tries, took."""
        return max(time.monotonic() - self._began - (self._mailjet.waited - self._waited), 0.0)

    @property
    def requests(self) -> int:
        """Sent to Mailjet, every try counted."""
        return self._mailjet.requests - self._sent


def _try_step(hand: Hand, work: Work) -> Next:
    """The step in hand; what goes wrong becomes a wait or an end, and is written down."""
    run = hand.run
    log.info("step", extra={"run": run.pk, "step": run.step})
    try:
        if (why := _why_over(run, hand)) is not None:
            return _stop(hand, why)
        with hand.outside.mailjet.interrupted_by(partial(_check_time, hand, work)):
            return WORKFLOWS[RunKind(run.kind)][Step(run.step)](hand)
    except TimeIsUp:
        return Wait(until=hand.now, for_="its time limit: it ends, and says what is left")
    except MailjetPaused as pause:
        return Pause(until=max(pause.until, hand.now), for_=str(pause))
    except MailjetError as error:
        return _after_mailjets(error, hand)
    except LeaseLost:
        raise
    except Exception as error:
        _note_error(hand, error, breaks_down=True)
        _record(hand, Wait(until=hand.now + _pause(run.retries), for_="an unexpected error"), work)
        raise


def _after_mailjets(error: MailjetError, hand: Hand) -> Next:
    """Mailjet away, or our keys wrong: a wait. Refused before anything was intended: the end, else after
    some tries."""
    intended = hand.run.batches.unsettled().exists()
    is_away = error.retryable or (intended and isinstance(error, MailjetUnauthorized))
    _note_error(hand, error, breaks_down=not is_away)
    if is_away or intended:
        return Wait(until=hand.now + _pause(hand.run.retries), for_=str(error))
    return Finish(_how_it_stops(hand.run), str(error))


# --- The end before the last step ------------------------------------------------------------------------

ENDLESS = (RunKind.CONSENT, RunKind.PRE_CAMPAIGN)
"""These go on until they are done: what people said of themselves, and who comes back after a send."""


class TimeIsUp(Exception):
    """The step has worked for as long as it may, and is at a place where it can be left."""


def _why_over(run: ListMaintenanceLog, hand: Hand, *, more: float = 0.0) -> str | None:
    """Why the run must not work any more, so many seconds from what is written down; None while it may."""
    if run.kind in ENDLESS:
        return None
    return limits.passed(
        hand.outside.configuration.limits, worked=run.worked + more, on_step=run.worked_on_step + more
    ) or limits.broke_down(run.breakdowns)


def _check_time(hand: Hand, work: Work) -> None:
    hand.lease.check_fresh()
    if _why_over(hand.run, hand, more=work.seconds) is not None:
        raise TimeIsUp


def _stop(hand: Hand, why: str) -> Next:
    """End the run, once nothing of it is under way at Mailjet and nobody is on both lists of a move."""
    ending = journal.wind_up(hand)
    if not isinstance(ending, Done):
        return ending
    broke_down = limits.broke_down(hand.run.breakdowns) is not None
    return Finish(_how_it_stops(hand.run) if broke_down else RunStatus.PARTIAL, why)


def _how_it_stops(run: ListMaintenanceLog) -> RunStatus:
    """Failed where it has changed and decided nothing; else partial, with what is left."""
    decided = run.decisions.filter(status__in=[*EXECUTABLE, DecisionStatus.OPEN])
    return RunStatus.PARTIAL if decided.exists() else RunStatus.FAILED


# --- Written down ----------------------------------------------------------------------------------------


def _pause(retries: int) -> timedelta:
    """10 s, doubled at each failure in a row, up to a quarter of an hour."""
    pause: timedelta = FIRST_RETRY * 2 ** min(retries, 10)
    return min(pause, LONGEST_RETRY)


def _note_error(hand: Hand, error: Exception, *, breaks_down: bool) -> None:
    words = str(error) if isinstance(error, MailjetError) else type(error).__name__
    log.warning("step failed", extra={"run": hand.run.pk, "step": hand.run.step, "why": words})
    with hand.lease.writing() as run:
        run.errors = [*run.errors, {"at": hand.now.isoformat(), "step": run.step, "what": words}][-50:]
        run.retries += 1
        run.breakdowns += breaks_down
        run.save(update_fields=["errors", "retries", "breakdowns"])
        if run.retries == TOLD_AFTER:
            notify.run_stuck(run, why=words, now=hand.now)


def _record(hand: Hand, outcome: Next, work: Work) -> None:
    """Write down where the run stands now, under its lease."""
    with hand.lease.writing() as run:
        _count(run, work)
        went_well = run.retries == hand.run.retries and not isinstance(outcome, Pause)
        if went_well:  # failures count in a row
            run.retries = 0
            run.breakdowns = 0 if limits.broke_down(run.breakdowns) is None else run.breakdowns
        match outcome:
            case Done():
                _to_next_step(run, hand=hand)
            case Wait(until, for_):
                run.status, run.next_at, run.waits_for = RunStatus.WAITING, until, for_
                run.holds_rotation = run.holds_rotation and journal.is_halfway(run)
            case AwaitReview():
                run.status, run.next_at, run.waits_for = RunStatus.WAITING_FOR_REVIEW, None, "a review"
                run.holds_rotation = False
            case Finish(status, why):
                journal.leave(hand, why=f"left when the run stopped: {why}")
                _finish(run, status, why=why, hand=hand)
        run.save()
    log.info("run", extra={"run": run.pk, "status": run.status, "step": run.step, "requests": run.requests})


def _count(run: ListMaintenanceLog, work: Work) -> None:
    seconds = work.seconds
    run.seconds = {**run.seconds, run.step: round(run.seconds.get(run.step, 0) + seconds, 3)}
    run.worked += seconds
    run.worked_on_step += seconds
    run.requests += work.requests


def _to_next_step(run: ListMaintenanceLog, *, hand: Hand) -> None:
    steps = list(WORKFLOWS[RunKind(run.kind)])
    following = steps[steps.index(Step(run.step)) + 1 :]
    run.retries, run.next_at, run.waits_for = 0, None, ""
    if following:
        run.status, run.step, run.worked_on_step = RunStatus.RUNNING, following[0], 0.0
    else:
        _finish(run, _how_it_ended(run), why="", hand=hand)


def _how_it_ended(run: ListMaintenanceLog) -> RunStatus:
    failed = run.decisions.filter(items__status=ItemStatus.FAILED).exists()
    return RunStatus.PARTIAL if failed else RunStatus.SUCCEEDED


def _finish(run: ListMaintenanceLog, status: RunStatus, *, why: str, hand: Hand) -> None:
    now = hand.now
    run.status, run.finished_at, run.next_at, run.holds_rotation = status, now, None, False
    run.waits_for, run.stopped = "", why
    if why:
        run.errors = [*run.errors, {"at": now.isoformat(), "step": run.step, "what": why}]
        run.report = run.report or why
        words = left.sentences(left.of(run))
        notify.run_failed(run, why=why, left=words, site_url=hand.outside.configuration.site_url, now=now)
