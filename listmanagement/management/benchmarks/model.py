"""The real client of Gemini on its stand-in, under the allowance that is kept in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from agents.asking import Ask
from integrations.gemini import Gemini
from integrations.sandbox import Serving
from listmanagement import asking

LIMITS = asking.Limits(requests_per_minute=1000, tokens_per_run=10**7, tokens_per_day=10**7)


@contextmanager
def asked(serving: Serving) -> Iterator[Ask]:
    """How agents ask the model here, from any thread."""
    gemini = Gemini(
        api_key=serving.gemini_key,
        model=settings.GEMINI_MODEL,
        base_url=serving.gemini_url,
        api_version=settings.GEMINI_API_VERSION,
        allowance=asking.SharedAllowance(LIMITS),
    )
    afresh = asking.GeminiAsk(gemini, temperatures=settings.GEMINI_TEMPERATURES)
    within = timedelta(hours=settings.GEMINI_REUSE_HOURS)
    reusing = asking.Reusing(afresh, model=gemini.model, within=within, clock=timezone.now)
    yield asking.OnAnyThread(reusing)
    gemini.close()
