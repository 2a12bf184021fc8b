"""Each agent asks its question once: of the stand-in, and of the real Gemini where a key is set."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from agents import by_rules, list_health, optimization, rebalancing, reporting, weekly_report
from agents.asking import Ask, Judged, Source
from integrations.gemini import Gemini, Unlimited
from integrations.sandbox import serve
from listmanagement.asking import GeminiAsk
from tests.agents import (
    test_list_health,
    test_optimization,
    test_rebalancing,
    test_reporting,
    test_weekly_report,
)

COHORTS = [
    test_optimization.cohort("must/recipient_gone/1/never_delivered", region="must"),
    test_optimization.cohort("may/mailbox_full/3+/delivered_before", bounce="mailbox_full", strikes="3+"),
    test_optimization.cohort("never/sender_side/0/delivered_before", region="never", bounce="sender_side"),
]

QUESTIONS: dict[str, Callable[[Ask], Judged[Any]]] = {
    "list_health": lambda ask: list_health.judge(test_list_health.FACTS, ask=ask),
    "optimization": lambda ask: optimization.judge(COHORTS, ask=ask),
    "rebalancing": lambda ask: rebalancing.judge(test_rebalancing.facts(), ask=ask),
    "reporting": lambda ask: reporting.judge(test_reporting.facts(), ask=ask),
    "weekly_report": lambda ask: weekly_report.judge(test_weekly_report.facts(), ask=ask),
}


@pytest.fixture(params=["stand-in", pytest.param("live", marks=pytest.mark.live)])
def gemini(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gemini]:
    """The model that is asked."""
    model = os.environ.get("GEMINI_LIVE_MODEL") or settings.GEMINI_MODEL
    given = {"model": model, "api_version": settings.GEMINI_API_VERSION, "allowance": Unlimited()}
    if request.param == "live":
        key = os.environ.get("GEMINI_LIVE_API_KEY")
        if not key:
            pytest.skip("GEMINI_LIVE_API_KEY is not set")
        gemini = Gemini(api_key=key, base_url=settings.GEMINI_BASE_URL, **given)
        yield gemini
        gemini.close()
        return
    with serve(tmp_path, judge=lambda question: by_rules.reply(question.text)) as standin:
        gemini = Gemini(api_key=standin.gemini_key, base_url=standin.gemini_url, **given)
        yield gemini
        gemini.close()


@pytest.mark.parametrize("agent", QUESTIONS)
def test_an_agents_question_is_answered_so_that_it_stands(agent: str, gemini: Gemini) -> None:
    judged = QUESTIONS[agent](GeminiAsk(gemini, temperatures=settings.GEMINI_TEMPERATURES))

    assert judged.source is Source.MODEL, judged.refused
    assert (judged.model or "").startswith(gemini.model)
    assert judged.tokens_in
    assert judged.tokens_out
    assert judged.latency_ms is not None
