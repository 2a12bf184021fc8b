"""Whether Mailjet is asked at all, for all processes together, and when it was away."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from listmanagement.domain.breaker import BreakerState
from listmanagement.models.fields import choices, one_of


class MailjetBreaker(models.Model):
    """The circuit breaker and the common back-off: one row, made when something first goes wrong."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    state = models.CharField(max_length=7, choices=choices(BreakerState), default=BreakerState.CLOSED)
    failed_at = ArrayField(
        models.DateTimeField(), default=list, blank=True, help_text="the latest failures without an answer"
    )
    why = models.TextField(blank=True, help_text="how the last request failed; never an address")
    since = models.DateTimeField(null=True, blank=True, help_text="when Mailjet was given up")
    until = models.DateTimeField(null=True, blank=True, help_text="when it is asked again")
    failed_probes = models.PositiveSmallIntegerField(default=0)
    backed_off = models.PositiveSmallIntegerField(
        default=0, help_text="how often in a row Mailjet said: too many requests"
    )
    back_off_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "circuit breaker"
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="one_breaker"),
            one_of("state", BreakerState, name="a_breaker_has_a_known_state"),
            models.CheckConstraint(
                condition=Q(
                    state=BreakerState.CLOSED, since__isnull=True, until__isnull=True, failed_probes=0
                )
                | (
                    ~Q(state=BreakerState.CLOSED)
                    & Q(since__isnull=False, until__isnull=False)
                    & ~Q(failed_at=[])
                ),
                name="an_open_breaker_says_since_when_and_until_when",
            ),
            models.CheckConstraint(
                condition=Q(failed_at=[], why="") | (~Q(failed_at=[]) & ~Q(why="")),
                name="failures_and_only_they_say_why",
            ),
            models.CheckConstraint(
                condition=Q(backed_off=0, back_off_until__isnull=True)
                | Q(backed_off__gte=1, back_off_until__isnull=False),
                name="a_back_off_says_until_when",
            ),
        ]

    def __str__(self) -> str:
        return f"circuit breaker: {self.state}"


class MailjetOutage(models.Model):
    """A time in which Mailjet was not asked, written with the breaker's own change of state."""

    began_at = models.DateTimeField(help_text="when the breaker opened")
    ended_at = models.DateTimeField(null=True, blank=True, help_text="when Mailjet answered again")
    why = models.TextField(help_text="how the request failed that opened it; never an address")
    told_at = models.DateTimeField(null=True, blank=True, help_text="when people were told that it began")
    closed_at = models.DateTimeField(
        null=True, blank=True, help_text="when it was over and there was nothing more to tell"
    )

    class Meta:
        verbose_name = "outage of Mailjet"
        verbose_name_plural = "Mailjet: budget and outages"
        constraints = [
            models.UniqueConstraint(
                fields=["ended_at"],
                condition=Q(ended_at=None),
                nulls_distinct=False,
                name="one_outage_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None) | Q(ended_at__gte=F("began_at")),
                name="an_outage_ends_after_it_began",
            ),
            models.CheckConstraint(condition=~Q(why=""), name="an_outage_says_why"),
            models.CheckConstraint(
                condition=Q(closed_at=None) | Q(ended_at__isnull=False, told_at__isnull=False),
                name="only_an_outage_that_is_over_and_told_is_closed",
            ),
        ]
        indexes = [
            models.Index(fields=["began_at"], condition=Q(closed_at=None), name="outage_to_tell"),
            models.Index(fields=["-began_at"], name="outage_newest_first"),
        ]

    def __str__(self) -> str:
        return f"outage of Mailjet {self.pk}"
