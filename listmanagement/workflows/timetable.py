"""What recurs, how often, and what it calls. To add one: a member of `Recurring`, a line in `JOBS`.

Celery's beat asks for what is due every minute; the worker's own timer does too, for what is overdue while
the broker is away. Whoever asks, PostgreSQL lets one do it (P11). A job that fails is tried again after
five minutes; its row says why.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from integrations.correlation import correlated
from integrations.mailjet import MailjetError
from listmanagement.models import Recurring, RecurringJob, Trigger
from listmanagement.outside import Outside, configuration
from listmanagement.workflows import campaigns, domains, events, evidence, mirror, reconcile
from listmanagement.workflows.before_sends import watching
from listmanagement.workflows.glance import list_cache
from listmanagement.workflows.maintenance import schedule
from listmanagement.workflows.undoing import way_back
from listmanagement.workflows.weekly import weekly_health

log = logging.getLogger("evenkeel.timetable")

AGAIN_AFTER = timedelta(minutes=5)
DEAD_AFTER = timedelta(hours=1)  # a million contacts are read in a quarter of an hour


@dataclass(frozen=True)
class Entry:
    """How often a job is done, and by what: a function that says in a few words what it did.

    It is given clients whose requests use at most half of the budget. It may raise MailjetError.
    """

    every: timedelta
    do: Callable[[Outside, datetime], str]
    dead_after: timedelta = DEAD_AFTER
    """When whoever does it counts as dead, and another may: of what is safe to do twice at once, soon."""
    last_due: Callable[[datetime], datetime] | None = None
    """For what has a time of its own: the latest instant, not after the one given, at which it was due."""

    def stale(self, now: datetime) -> Q:
        """Last done so long ago that it is due now. Who was away at its time catches up."""
        if self.last_due is None:
            return Q(done_at__lte=now - self.every)
        return Q(done_at__lt=self.last_due(now))


def _refresh_cache(outside: Outside, now: datetime) -> str:
    found = mirror.refresh_all(mailjet=outside.mailjet, now=now)
    list_cache.forget_changes(now=now)
    return found.words


def _sync_campaigns(outside: Outside, now: datetime) -> str:
    return str(campaigns.sync(mailjet=outside.mailjet, now=now))


def _fetch_late(outside: Outside, now: datetime) -> str:
    return evidence.fetch_late(mailjet=outside.mailjet, now=now)


def _forget_events(outside: Outside, now: datetime) -> str:
    return f"{events.forget(now=now)} events forgotten"


def _reconcile(outside: Outside, now: datetime) -> str:
    """Starts the day's run; the sweep advances it."""
    run = reconcile.start(trigger=Trigger.SCHEDULE, by=None, configuration=outside.configuration, now=now)
    return f"run {run.pk}"


def _check_health(outside: Outside, now: datetime) -> str:
    """Starts the week's check; the sweep advances it."""
    run = weekly_health.start(trigger=Trigger.SCHEDULE, by=None, configuration=outside.configuration, now=now)
    return f"run {run.pk}"


def _health_check_due(at: datetime) -> datetime:
    return weekly_health.last_due(configuration(), at=at)


def _ask_dns(outside: Outside, now: datetime) -> str:
    return domains.ask_again(dns=outside.dns, now=now)


def _validate(outside: Outside, now: datetime) -> str:
    """Looks before sends. What it does last knows how long the rest took: it may be too late by then."""
    began = time.monotonic()
    return watching.keep_watch(
        outside=outside, clock=lambda: now + timedelta(seconds=time.monotonic() - began)
    )


JOBS: Mapping[Recurring, Entry] = {
    Recurring.REFRESH_CACHE: Entry(timedelta(minutes=30), _refresh_cache),
    Recurring.SYNC_CAMPAIGNS: Entry(timedelta(minutes=15), _sync_campaigns),
    Recurring.LATE_OUTCOMES: Entry(timedelta(hours=1), _fetch_late),
    Recurring.START_RUNS: Entry(timedelta(hours=1), schedule.start_due),
    Recurring.WATCH_EVENTS: Entry(timedelta(minutes=15), events.watch),
    Recurring.FORGET_EVENTS: Entry(timedelta(days=1), _forget_events),
    Recurring.RECONCILE: Entry(timedelta(days=1), _reconcile),
    Recurring.ASK_DNS: Entry(timedelta(days=1), _ask_dns),
    Recurring.WEEKLY_HEALTH: Entry(timedelta(days=7), _check_health, last_due=_health_check_due),
    Recurring.WAY_BACK: Entry(timedelta(days=7), way_back.offer),
    # each minute, as often as the beat asks: what is not unscheduled in time goes out
    Recurring.VALIDATE: Entry(timedelta(seconds=50), _validate, dead_after=timedelta(minutes=5)),
}


def due(*, now: datetime) -> list[Recurring]:
    """What should be done now and nobody is doing. In the timetable's order."""
    known = set(RecurringJob.objects.values_list("job", flat=True))
    return [job for job, entry in JOBS.items() if job not in known or _ready(job, entry, now=now).exists()]


def _ready(job: Recurring, entry: Entry, *, now: datetime) -> QuerySet[RecurringJob]:
    """The job's row, where it has one, if its time has come, it has rested and nobody does it."""
    return RecurringJob.objects.filter(
        Q(busy_until=None) | Q(busy_until__lte=now),
        Q(done_at=None) | entry.stale(now),
        Q(tried_at__lte=now - min(entry.every, AGAIN_AFTER)),
        job=job,
    )


def do(job: Recurring, *, outside: Outside, clock: Callable[[], datetime]) -> bool:
    """Do the job if it is due and nobody does it. Whether it was done."""
    now = clock()
    if not _claim(job, now=now):
        return False
    with correlated(f"{job}-{now:%Y%m%dT%H%M%S}"):
        try:
            outcome = JOBS[job].do(outside, now)
        except (MailjetError, mirror.RefreshUnderWay) as error:
            _end(job, error=str(error))
            log.warning("job failed", extra={"job": job.value, "why": str(error)})
            return False
        except Exception as error:
            _end(job, error=f"an unexpected error: {type(error).__name__}")
            raise
        _end(job, outcome=outcome, done_at=clock(), error="")
        log.info("job done", extra={"job": job.value, "outcome": outcome})
    return True


def _claim(job: Recurring, *, now: datetime) -> bool:
    """One winner of those who ask at once."""
    claim = {"tried_at": now, "busy_until": now + JOBS[job].dead_after}
    if _ready(job, JOBS[job], now=now).update(**claim):
        return True
    try:
        with transaction.atomic():
            return RecurringJob.objects.get_or_create(job=job, defaults=claim)[1]
    except IntegrityError:
        return False


def _end(job: Recurring, **columns: object) -> None:
    RecurringJob.objects.filter(job=job).update(busy_until=None, **columns)
