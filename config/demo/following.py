"""Starts the demo's run through Celery, follows it, and decides as the demo's reviewer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.utils import timezone

from config.demo.asked import NotPossible
from config.demo.memory import REVIEWER
from listmanagement import outside, tasks
from listmanagement.models import FINISHED, Decision, ListMaintenanceLog, RunStatus, Step, Trigger
from listmanagement.workflows.by_people import review
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.demo.world import JUDGED
from listmanagement.workflows.maintenance import post_campaign

LOOK_EVERY_SECONDS = 0.2
PATIENCE_SECONDS = 180.0  # a worker's lease, a sweep and several retries fit into it
ORDER = [*post_campaign.STEPS]


class NothingMoves(RuntimeError):
    """The run stands where it stood for too long. The message says where, and what it waits for."""


def start() -> ListMaintenanceLog:
    """The run of the demo's campaign, as the schedule would start it; or the one there is, nudged on.

    Raises NotPossible where starting is refused.
    """
    try:
        run = post_campaign.start(
            JUDGED,
            trigger=Trigger.SCHEDULE,
            by=None,
            configuration=outside.configuration(),
            now=timezone.now(),
        )
    except NotAllowed as refusal:
        raise NotPossible(str(refusal)) from refusal
    tasks.nudge(run.pk)
    return run


def until_people_are_needed(
    run: ListMaintenanceLog,
    *,
    check: Callable[[], None],
    passed: Callable[[ListMaintenanceLog, Step], None],
    told: int = 0,
    patience: float = PATIENCE_SECONDS,
) -> ListMaintenanceLog:
    """Wait until the run waits for a review, or has ended. `passed` hears of each step done after `told`.

    `check` raises when waiting makes no sense any more. Raises NothingMoves.
    """
    for now in _moments(run.pk, check=check, patience=patience):
        for step in ORDER[told : steps_done(now)]:
            passed(now, step)
        told = max(told, steps_done(now))
        if now.status in FINISHED or needs_people(now):
            return now
    raise AssertionError("moments never end")


def _moments(run_id: int, *, check: Callable[[], None], patience: float) -> Iterator[ListMaintenanceLog]:
    """The run, again and again. Raises NothingMoves when it stays the same for too long."""
    seen: tuple[object, ...] = ()
    since = time.monotonic()
    while True:
        check()
        run = ListMaintenanceLog.objects.get(pk=run_id)
        now = (run.status, run.step, *run.batches.order_by("pk").values_list("pk", "status"))
        if now != seen:
            seen, since = now, time.monotonic()
        yield run
        if time.monotonic() - since > patience:
            raise NothingMoves(_stuck(run, seconds=patience))
        time.sleep(LOOK_EVERY_SECONDS)


def steps_done(run: ListMaintenanceLog) -> int:
    """How many of the nine steps are behind it."""
    return len(ORDER) if run.status == RunStatus.SUCCEEDED else ORDER.index(Step(run.step))


def needs_people(run: ListMaintenanceLog) -> bool:
    """Whether it waits for a decision that is still open."""
    return run.status == RunStatus.WAITING_FOR_REVIEW and open_decisions(run).exists()


def open_decisions(run: ListMaintenanceLog) -> QuerySet[Decision]:
    """What waits for a reviewer."""
    return Decision.objects.awaiting_review().filter(run=run).order_by("pk")


def approve_all(run: ListMaintenanceLog) -> list[Decision]:
    """Decide as the demo's reviewer would with one click each, then have a worker go on."""
    reviewer = User.objects.get(username=REVIEWER)
    decided = [
        review.approve(decision.pk, by=reviewer, now=timezone.now(), note="approved by the demo")
        for decision in open_decisions(run)
    ]
    tasks.nudge(run.pk)
    return decided


def _stuck(run: ListMaintenanceLog, *, seconds: float) -> str:
    last = f" Last error: {run.errors[-1]['what']}." if run.errors else ""
    return (
        f"Nothing has moved for {seconds:.0f} s: run {run.pk} is {run.status} at step {run.step}"
        f"{f', waiting for {run.waits_for}' if run.waits_for else ''}.{last}"
    )
