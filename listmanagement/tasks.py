"""Celery's door, and the worker's own sweep."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial

from celery import shared_task
from django.db import close_old_connections, transaction
from django.db.models import Min
from django.utils import timezone
from kombu.exceptions import OperationalError

from listmanagement import outside
from listmanagement.models import ListMaintenanceLog, Recurring, RunStatus
from listmanagement.workflows import events, notify, runs, timetable

log = logging.getLogger("evenkeel.tasks")

SWEEP_EVERY_SECONDS = 10.0
FIRST_SWEEP_SECONDS = 2.0  # what a worker that died left behind is looked for at once
AT_ONCE_OR_NOT = {"max_retries": 0, "socket_connect_timeout": 1, "socket_timeout": 1}  # a person waits
TIMETABLE_EVERY_SECONDS = 180.0  # what the beat did not ask for by then is done all the same
HEAR_ALL_EVERY_SECONDS = 120.0  # a third of a second at a million contacts
SOON_SECONDS = 60  # a wait that ends sooner gets a nudge of its own, instead of waiting for the sweep


@shared_task
def advance(run_id: int) -> None:
    """Take a run as far as it goes, and come back when its wait is over."""
    with outside.real() as connected:
        run = runs.advance(run_id, outside=connected, clock=timezone.now)
        notify.deliver_due(slack=connected.slack, now=timezone.now())
    _nudge_again(run, now=timezone.now())


@shared_task
def deliver() -> None:
    """Send what waits in the outbox."""
    notify.deliver_due(slack=outside.slack(), now=timezone.now())


def nudge(run_id: int, *, seconds: float = 0.0) -> None:
    """Ask a worker to advance a run. Never fails its caller: the sweep sees what a lost nudge missed."""
    try:
        with advance.app.connection_for_write(transport_options=AT_ONCE_OR_NOT) as broker:
            advance.apply_async((run_id,), countdown=seconds, retry=False, connection=broker)
    except OperationalError as away:
        log.warning("broker away; the sweep will see it", extra={"run": run_id, "why": type(away).__name__})


def nudge_on_commit(run_id: int) -> None:
    """The same, once what was decided is committed."""
    transaction.on_commit(partial(nudge, run_id))


def _nudge_again(run: ListMaintenanceLog, *, now: datetime) -> None:
    if run.status == RunStatus.WAITING and run.next_at is not None:
        seconds = (run.next_at - now).total_seconds()
        if seconds < SOON_SECONDS:
            nudge(run.pk, seconds=max(seconds, 0.0))


@shared_task
def keep_the_timetable() -> None:
    """Have done what recurs and is due, each job as a task of its own."""
    for job in timetable.due(now=timezone.now()):
        do_job.delay(job.value)


@shared_task
def do_job(name: str) -> None:
    """Do one recurring job, if it is still due."""
    with outside.real(background=True) as connected:
        timetable.do(Recurring(name), outside=connected, clock=timezone.now)


# --- The sweep -------------------------------------------------------------------------------------------


def sweep_once() -> list[int]:
    """Advance whatever is due and send what waits. Returns the runs' ids."""
    with outside.real() as connected:
        swept = runs.sweep(outside=connected, clock=timezone.now)
        notify.deliver_due(slack=connected.slack, now=timezone.now())
    return swept


def listen_once() -> int:
    """Make evidence of what webhooks were told. Returns how many events that was."""
    return events.process(now=timezone.now())


def hear_once() -> list[int]:
    """Apply what contacts said lately. Returns the ids of the runs that were advanced."""
    with outside.real() as connected:
        return runs.hear(outside=connected, clock=timezone.now)


def hear_all_once() -> list[int]:
    """Apply whatever contacts said and is not so at Mailjet. Returns the runs' ids."""
    with outside.real() as connected:
        return runs.hear_all(outside=connected, clock=timezone.now)


def start_sweeping() -> threading.Thread:
    """Sweep at least every ten seconds in a thread of this process, with or without the broker.

    What recurs has a thread of its own: a mirror of a million contacts keeps no run waiting. So has what
    webhooks were told, and what contacts said: no run keeps that waiting.
    """
    _start_timer("events", _listen, every=SWEEP_EVERY_SECONDS, failed="events could not be processed")
    _start_timer("consent", _Hearing(), every=SWEEP_EVERY_SECONDS, failed="consent could not be heard")
    _start_timer("timetable", _keep_time, every=TIMETABLE_EVERY_SECONDS, failed="a recurring job failed")
    return _start_timer(
        "sweep", _sweep, every=SWEEP_EVERY_SECONDS, failed="a sweep failed", first=FIRST_SWEEP_SECONDS
    )


def _start_timer(
    name: str, work: Callable[[], float | None], *, every: float, failed: str, first: float | None = None
) -> threading.Thread:
    """Do the work again and again: after `every` seconds, or after those that it asks for."""

    def go_on() -> None:
        pause, seconds = threading.Event(), every if first is None else first
        while not pause.wait(seconds):
            close_old_connections()
            try:
                seconds = work() or every
            except Exception:  # the timer must outlive whatever the work meets; the error is logged whole
                log.exception(failed)
                seconds = every
            finally:
                close_old_connections()

    thread = threading.Thread(target=go_on, name=name, daemon=True)
    thread.start()
    return thread


def _keep_time() -> None:
    with outside.real(background=True) as connected:
        for job in timetable.due(now=timezone.now()):
            timetable.do(job, outside=connected, clock=timezone.now)


def _listen() -> None:
    listen_once()


class _Hearing:
    """What contacts said lately, and now and then all of it."""

    def __init__(self) -> None:
        self._heard_all = -HEAR_ALL_EVERY_SECONDS

    def __call__(self) -> None:
        if time.monotonic() < self._heard_all + HEAR_ALL_EVERY_SECONDS:
            hear_once()
            return
        hear_all_once()
        self._heard_all = time.monotonic()


def _sweep() -> float:
    sweep_once()
    return _until_next_sweep(now=timezone.now())


def _until_next_sweep(*, now: datetime) -> float:
    """Ten seconds, or less where a wait ends sooner: a run goes on as swiftly without the broker."""
    waiting = ListMaintenanceLog.objects.filter(status=RunStatus.WAITING, next_at__gt=now)
    soonest: datetime | None = waiting.aggregate(at=Min("next_at"))["at"]
    if soonest is None:
        return SWEEP_EVERY_SECONDS
    return min(max((soonest - now).total_seconds(), 1.0), SWEEP_EVERY_SECONDS)
