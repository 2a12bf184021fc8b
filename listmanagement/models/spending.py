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
