"""Celery's door, and the worker's own sweep."""

from __future__ import annotations

import logging
import threading
import time
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
    threading.Thread(target=_listen_forever, name="events", daemon=True).start()
    threading.Thread(target=_hear_forever, name="consent", daemon=True).start()
    threading.Thread(target=_keep_time_forever, name="timetable", daemon=True).start()
    thread = threading.Thread(target=_sweep_forever, name="sweep", daemon=True)
    thread.start()
    return thread


def _keep_time_forever() -> None:
    pause = threading.Event()
    while not pause.wait(TIMETABLE_EVERY_SECONDS):
        close_old_connections()
        try:
            with outside.real(background=True) as connected:
                for job in timetable.due(now=timezone.now()):
                    timetable.do(job, outside=connected, clock=timezone.now)
        except Exception:  # the timer must outlive whatever one job meets; the error is logged whole
            log.exception("a recurring job failed")
        finally:
            close_old_connections()


def _listen_forever() -> None:
    pause = threading.Event()
    while not pause.wait(SWEEP_EVERY_SECONDS):
        close_old_connections()
        try:
            listen_once()
        except Exception:  # the timer must outlive whatever one event meets; the error is logged whole
            log.exception("events could not be processed")
        finally:
            close_old_connections()


def _hear_forever() -> None:
    pause, heard_all = threading.Event(), -HEAR_ALL_EVERY_SECONDS
    while not pause.wait(SWEEP_EVERY_SECONDS):
        close_old_connections()
        is_time = time.monotonic() >= heard_all + HEAR_ALL_EVERY_SECONDS
        try:
            hear_all_once() if is_time else hear_once()
        except Exception:  # the timer must outlive whatever one run meets; the error is logged whole
            log.exception("consent could not be heard")
        else:
            heard_all = time.monotonic() if is_time else heard_all
        finally:
            close_old_connections()


def _sweep_forever() -> None:
    pause = threading.Event()
    seconds = FIRST_SWEEP_SECONDS
    while not pause.wait(seconds):
        close_old_connections()
        try:
            sweep_once()
            seconds = _until_next_sweep(now=timezone.now())
        except Exception:  # the timer must outlive whatever one sweep meets; the error is logged whole
            log.exception("a sweep failed")
            seconds = SWEEP_EVERY_SECONDS
        finally:
            close_old_connections()


def _until_next_sweep(*, now: datetime) -> float:
    """Ten seconds, or less where a wait ends sooner: a run goes on as swiftly without the broker."""
    waiting = ListMaintenanceLog.objects.filter(status=RunStatus.WAITING, next_at__gt=now)
    soonest: datetime | None = waiting.aggregate(at=Min("next_at"))["at"]
    if soonest is None:
        return SWEEP_EVERY_SECONDS
    return min(max((soonest - now).total_seconds(), 1.0), SWEEP_EVERY_SECONDS)
