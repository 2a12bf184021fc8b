"""How long the four agents take at a model that takes its time.

Gemini's stand-in answers each question after so many seconds; the real client asks it, under the allowance
that is kept in PostgreSQL, as a maintenance run does: list health and optimization side by side, rebalancing
and reporting each on what came before.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandParser

from agents import by_rules, orchestrate, rebalancing, reporting
from agents.asking import Ask, Judged, Source
from integrations.sandbox import serve
from integrations.sandbox.control import Control
from listmanagement.management.benchmarks import model, questions, scratch
from listmanagement.management.benchmarks.report import Benchmark, Bound, Figures, postgresql


def add_arguments(parser: CommandParser) -> None:
    """--seconds, --failures."""
    parser.add_argument("--seconds", type=float, default=3.0, help="that the model takes for an answer")
    parser.add_argument("--failures", type=int, default=250, help="in the campaign that is judged")


def run(options: Mapping[str, Any]) -> Figures:
    """Ask all four, once."""
    with scratch.database(), _asking(seconds=options["seconds"]) as ask:
        return _measured(ask, failures=options["failures"], seconds=options["seconds"])


@contextmanager
def _asking(*, seconds: float) -> Iterator[Ask]:
    """Gemini's stand-in, late by so much, and the client on it."""
    with (
        tempfile.TemporaryDirectory() as directory,
        serve(directory, judge=lambda question: by_rules.reply(question.text)) as serving,
        Control(serving.url) as control,
    ):
        control.fault(path="^/gemini/", delay_seconds=seconds)
        with model.asked(serving) as ask:
            yield ask


def _measured(ask: Ask, *, failures: int, seconds: float) -> Figures:
    told = questions.of(failures)
    began = time.perf_counter()
    analysis = orchestrate.post_campaign(told.health, told.cohorts, ask=ask, campaign_list="list-1")
    analysed = time.perf_counter() - began
    choice = orchestrate.in_time(rebalancing.judge, told.plan, ask=ask)
    report = orchestrate.in_time(reporting.judge, told.report, ask=ask)
    together = time.perf_counter() - began
    judged: list[Judged[Any]] = [analysis.list_health, analysis.optimization, choice, report]
    each = {one.agent: (one.latency_ms or 0) / 1000 for one in judged}
    figures = {
        "seconds_a_model_takes": seconds,
        "failures": failures,
        "cohorts": len(told.cohorts),
        "answered_by_the_model": sum(one.source is Source.MODEL for one in judged),
        "analysis_seconds": analysed,
        **{f"{agent}_seconds": took for agent, took in each.items()},
        "together_seconds": together,
    }
    bounds = [
        Bound(figure="answered_by_the_model", value=figures["answered_by_the_model"], at_least=4),
        Bound(figure="together_seconds", value=together, below=20),
        Bound(figure="slowest_agent_seconds", value=max(each.values()), below=5),
    ]
    return Figures(figures=figures, bounds=bounds, postgresql=postgresql())


BENCHMARK = Benchmark(
    name="agents",
    help="Ask the four agents at a stand-in for Gemini that takes its time.",
    add_arguments=add_arguments,
    run=run,
)
