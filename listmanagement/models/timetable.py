"""When each recurring job last ran: PostgreSQL knows, whoever asks for it."""

from __future__ import annotations

from enum import StrEnum

from django.db import models
from django.db.models import F, Q

from listmanagement.models.fields import choices, one_of


class Recurring(StrEnum):
    """What recurs."""

    REFRESH_CACHE = "refresh_cache"
    SYNC_CAMPAIGNS = "sync_campaigns"
    LATE_OUTCOMES = "late_outcomes"
    START_RUNS = "start_runs"
    WATCH_EVENTS = "watch_events"
    FORGET_EVENTS = "forget_events"
    RECONCILE = "reconcile"
    VALIDATE = "validate"
    ASK_DNS = "ask_dns"
    WEEKLY_HEALTH = "weekly_health"
    WAY_BACK = "way_back"


class RecurringJob(models.Model):
    """A job's last try and last success. No row: it never ran."""

    job = models.CharField(primary_key=True, max_length=24, choices=choices(Recurring))
    tried_at = models.DateTimeField(help_text="when the last try began")
    busy_until = models.DateTimeField(
        null=True, blank=True, help_text="somebody works on it; past this time it counts as dead"
    )
    done_at = models.DateTimeField(null=True, blank=True, help_text="when it last succeeded")
    outcome = models.TextField(blank=True, help_text="what the last success did")
    error = models.TextField(blank=True, help_text="why the last try failed; empty after a success")

    class Meta:
        verbose_name = "recurring job"
        constraints = [
            one_of("job", Recurring, name="a_recurring_job_is_known"),
            models.CheckConstraint(
                condition=Q(busy_until__isnull=True) | Q(busy_until__gt=F("tried_at")),
                name="a_job_is_busy_after_it_began",
            ),
            models.CheckConstraint(
                condition=Q(done_at__isnull=False) | Q(outcome=""), name="only_what_was_done_has_an_outcome"
            ),
        ]

    def __str__(self) -> str:
        return self.job
