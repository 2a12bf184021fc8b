"""What asking Gemini costs, for all processes together."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class GeminiRequest(models.Model):
    """One request to Gemini that was allowed, and its tokens.

    The last minute's rows are the request budget, the tokens of the last 24 hours and of one run what they
    may still spend.
    """

    at = models.DateTimeField(db_default=Now())
    correlation = models.TextField(
        blank=True, help_text="the run's correlation id; empty where somebody asked outside of a run"
    )
    tokens = models.PositiveIntegerField(help_text="what it cost; set aside for it until that is known")
    settled = models.BooleanField(default=False, help_text="the cost is known")

    class Meta:
        indexes = [
            models.Index(fields=["at"], name="asked_by_time"),
            models.Index(fields=["correlation"], condition=~Q(correlation=""), name="asked_by_run"),
        ]

    def __str__(self) -> str:
        return f"request {self.pk} to Gemini"


class GeminiBackOff(models.Model):
    """The common pause after Gemini said "too many": one row, gone when it answers again."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    times = models.PositiveSmallIntegerField(help_text="how often in a row Gemini said: too many requests")
    until = models.DateTimeField(help_text="before this nobody asks")
    why = models.TextField(help_text="the reason's code: a minute's rate, or a quota")

    class Meta:
        verbose_name = "Gemini's back-off"
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="one_back_off_from_gemini"),
            models.CheckConstraint(condition=Q(times__gte=1), name="gemini_was_refused_at_least_once"),
            models.CheckConstraint(condition=~Q(why=""), name="a_back_off_from_gemini_says_why"),
        ]

    def __str__(self) -> str:
        return f"Gemini's back-off: {self.why}"
