"""Whether Mailjet is asked at all, for all processes together."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

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
