"""Agents' questions to Gemini: within what may be asked and spent, and not twice where they are the same."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import TypeVar

from django.db import connection
from django.db.backends.utils import CursorWrapper
from pydantic import BaseModel, ValidationError

from agents.asking import Ask, NoAnswer, Prompt, Source, UnusableAnswer, key_of
from integrations.correlation import correlation_id
from integrations.gemini import (
    Allowance,
    Gemini,
    GeminiError,
    GeminiSpent,
    GeminiUnusable,
    Generated,
    Reason,
    Usage,
)
from listmanagement import turns
from listmanagement.domain import breaker
from listmanagement.domain.breaker import Breaker, BreakerRules
from listmanagement.models import AgentCall, AnswerSource

log = logging.getLogger("evenkeel.asking")

A = TypeVar("A", bound=BaseModel)

_LOCK = 0x67656D69  # "gemi": one number for all processes
_REQUESTS = "listmanagement_geminirequest"
_RULES = BreakerRules(longest_back_off=timedelta(hours=1))
"""Of these Gemini has only the back-off: without an answer rules judge, so nobody needs a circuit breaker."""


@dataclass(frozen=True)
class Limits:
    """What may be asked of Gemini, over all processes."""

    requests_per_minute: int
    tokens_per_run: int
    """Of one run, with all its agents and repeats. A run's requests are those under its correlation id."""
    tokens_per_day: int
    """In any 24 hours."""


class SharedAllowance(Allowance):
    """The limits, kept in PostgreSQL; never passed: what a request can cost at most is set aside before it.

    The lock is held for the count alone, never over a request.
    """

    def __init__(self, limits: Limits, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._limits, self._sleep = limits, sleep

    def claim(self, *, tokens: int, patience: float) -> int:
        """Set tokens aside for one request. Waits for a turn within the minute, never for what is spent.

        Raises GeminiSpent.
        """
        waited = 0.0
        while True:
            with turns.alone(_LOCK) as cursor:
                allowed = self._limits.requests_per_minute
                pause = _pause(cursor)
                wait = max(pause, turns.seconds_until_one(cursor, _REQUESTS, allowed=allowed))
                if not wait:
                    self._check_spending(cursor, tokens=tokens)
                    return _count(cursor, tokens=tokens)
            if waited + pause > patience:
                raise GeminiSpent(Reason.BACKED_OFF, f"for {math.ceil(pause)} more seconds")
            if waited + wait > patience:
                raise GeminiSpent(Reason.NO_TURN, f"{allowed} a minute")
            self._sleep(wait + random.uniform(0, 0.2))  # noqa: S311  (spreads waiters, decides nothing)
            waited += wait

    def settle(self, claim: int, *, tokens: int) -> None:
        """What the request cost, in the place of what was set aside for it."""
        with connection.cursor() as cursor:
            cursor.execute(
                "update listmanagement_geminirequest set tokens = %s, settled = true where id = %s",
                [tokens, claim],
            )

    def back_off(self, *, asked: float | None, why: str) -> None:
        """Let all processes leave Gemini alone: longer each time, or as it `asked`; an hour at most."""
        jitter = random.uniform(1, 2)  # noqa: S311  (spreads waiters, decides nothing)
        with turns.alone(_LOCK) as cursor:
            shared, now = _back_off(cursor)
            noted = breaker.rate_limited(shared, at=now, asked=asked, jitter=jitter, rules=_RULES)
            cursor.execute(
                "insert into listmanagement_geminibackoff (id, times, until, why) values (1, %s, %s, %s)"
                " on conflict (id) do update set (times, until, why) ="
                " (excluded.times, excluded.until, excluded.why)",
                [noted.backed_off, noted.back_off_until, why],
            )
        told = {"why": why, "until": noted.back_off_until, "times": noted.backed_off}
        log.warning("gemini is left alone until %(until)s: %(why)s", told, extra=told)

    def answered(self) -> None:
        """Forget a back-off that has passed: Gemini answers again."""
        with connection.cursor() as cursor:
            cursor.execute("delete from listmanagement_geminibackoff where until <= clock_timestamp()")

    def _check_spending(self, cursor: CursorWrapper, *, tokens: int) -> None:
        limits = self._limits
        cursor.execute(
            "select coalesce(sum(tokens), 0) from listmanagement_geminirequest"
            " where at > clock_timestamp() - interval '24 hours'"
        )
        _check_left(cursor, tokens=tokens, limit=limits.tokens_per_day, reason=Reason.DAY_SPENT)
        if run := correlation_id.get():
            cursor.execute(
                "select coalesce(sum(tokens), 0) from listmanagement_geminirequest"
                " where correlation = %s and correlation <> ''",
                [run],
            )
            _check_left(cursor, tokens=tokens, limit=limits.tokens_per_run, reason=Reason.RUN_SPENT)


def _pause(cursor: CursorWrapper) -> float:
    """Seconds for which Gemini is still left alone."""
    shared, now = _back_off(cursor)
    return breaker.back_off(shared, at=now).total_seconds()


def _back_off(cursor: CursorWrapper) -> tuple[Breaker, datetime]:
    """The common back-off, and PostgreSQL's clock. No row: Gemini answers."""
    cursor.execute(
        "select clock_timestamp(), times, until from (values (1)) as one(id)"
        " left join listmanagement_geminibackoff using (id)"
    )
    now, times, until = cursor.fetchone()
    return Breaker(backed_off=times or 0, back_off_until=until), now


def _check_left(cursor: CursorWrapper, *, tokens: int, limit: int, reason: Reason) -> None:
    """Refuse what might go beyond the limit. Raises GeminiSpent."""
    [spent] = cursor.fetchone()
    if spent + tokens > limit:
        left = max(limit - spent, 0)
        raise GeminiSpent(reason, f"{left:,} of {limit:,} tokens are left, a question may take {tokens:,}")


def _count(cursor: CursorWrapper, *, tokens: int) -> int:
    cursor.execute(
        "insert into listmanagement_geminirequest (at, correlation, tokens, settled)"
        " values (clock_timestamp(), %s, %s, false) returning id",
        [correlation_id.get(), tokens],
    )
    return int(cursor.fetchone()[0])


@cache
def connected(
    *, api_key: str, model: str, base_url: str, api_version: str, timeout: float, limits: Limits
) -> Gemini:
    """The process's one client of these settings: its threads share it."""
    return Gemini(
        api_key=api_key,
        model=model,
        base_url=base_url,
        api_version=api_version,
        allowance=SharedAllowance(limits),
        timeout=timeout,
        patience=2 * timeout,
    )


# --- Asking ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GeminiAsk:
    """Puts each question to Gemini. This is what a second opinion asks: it never gets an earlier answer."""

    gemini: Gemini
    temperatures: Mapping[str, float]
    """By agent."""

    def __call__(self, prompt: Prompt, *, answer: type[A]) -> A:
        """The model's answer. Raises UnusableAnswer, and NoAnswer where asking again would not help."""
        temperature, receipt = self.temperatures[prompt.agent], prompt.receipt
        receipt.model, receipt.temperature = self.gemini.model, temperature
        began = time.monotonic()
        try:
            generated = self.gemini.generate(
                prompt.question, instructions=prompt.system, answer=answer, temperature=temperature
            )
        except GeminiError as error:
            if not isinstance(error, GeminiSpent):
                _note(prompt, error.usage, began=began)
            raise (UnusableAnswer if isinstance(error, GeminiUnusable) else NoAnswer)(str(error)) from error
        return _kept(prompt, generated, began=began)


def _kept(prompt: Prompt, generated: Generated[A], *, began: float) -> A:
    _note(prompt, generated.usage, began=began)
    prompt.receipt.model = generated.model
    return generated.answer


def _note(prompt: Prompt, usage: Usage | None, *, began: float) -> None:
    prompt.receipt.add(
        tokens_in=usage.tokens_in if usage else None,
        tokens_out=usage.tokens_out if usage else None,
        tokens_thought=usage.tokens_thought if usage else None,
        latency_ms=round((time.monotonic() - began) * 1000),
    )


@dataclass(frozen=True)
class Reusing:
    """Answers an identical question from the answer that was accepted for it within a time, else asks."""

    ask: Ask
    model: str
    """As it is asked for: another one's answers are not reused."""
    within: timedelta
    clock: Callable[[], datetime]

    def __call__(self, prompt: Prompt, *, answer: type[A]) -> A:
        """The earlier answer, marked as reused, or a new one. A question asked again is never answered so."""
        key = key_of(prompt, model=self.model)
        known = self._known(key) if prompt.repeat == 0 else None
        found = _read(known, answer) if known is not None else None
        if known is not None and found is not None:
            receipt = prompt.receipt
            receipt.source, receipt.model, receipt.temperature = Source.REUSED, known.model, known.temperature
            receipt.question = key
            return found
        given = self.ask(prompt, answer=answer)
        prompt.receipt.question = key
        return given

    def _known(self, key: str) -> AgentCall | None:
        """The latest answer to this very question that a model gave and its agent accepted."""
        calls = AgentCall.objects.filter(question=key, source=AnswerSource.MODEL, stated__isnull=False)
        return calls.filter(at__gt=self.clock() - self.within).order_by("-at").first()


@dataclass(frozen=True)
class OnAnyThread:
    """Lets agents ask on threads of their own: no connection to PostgreSQL is left open there."""

    ask: Ask

    def __call__(self, prompt: Prompt, *, answer: type[A]) -> A:
        """The same answer."""
        is_the_callers = connection.connection is not None
        try:
            return self.ask(prompt, answer=answer)
        finally:
            if not is_the_callers:
                connection.close()


def _read(call: AgentCall, answer: type[A]) -> A | None:
    """What was stated then, if it still has the type that is asked for."""
    try:
        return answer.model_validate(call.stated)
    except ValidationError:
        log.warning("an earlier answer no longer fits its type", extra={"agent_call": call.pk})
        return None
