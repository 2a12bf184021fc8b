"""Gemini: a question in, an answer of a stated type out, or one of the known reasons why there is none."""

from integrations.gemini.allowance import Allowance, Unlimited
from integrations.gemini.client import MAX_OUTPUT_TOKENS, Gemini, Generated
from integrations.gemini.errors import (
    GeminiError,
    GeminiRejected,
    GeminiSpent,
    GeminiUnavailable,
    GeminiUnusable,
    Reason,
    Usage,
)

__all__ = [
    "MAX_OUTPUT_TOKENS",
    "Allowance",
    "Gemini",
    "GeminiError",
    "GeminiRejected",
    "GeminiSpent",
    "GeminiUnavailable",
    "GeminiUnusable",
    "Generated",
    "Reason",
    "Unlimited",
    "Usage",
]
