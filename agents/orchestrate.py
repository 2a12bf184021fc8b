"""Which agents an analysis needs, in what order, and within what time.

After a campaign list health and optimization judge the same outcomes; where they contradict each other a
person decides. Once a week list health and rebalancing look at the lists as they are, and reporting tells of
both. Whoever does not need another's answer is asked beside it, on a thread of its own. Who has not answered
when the time is over is judged by the agent's rules; the others are not.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from pydantic import BaseModel

from agents import list_health, optimization, rebalancing, weekly_report
from agents.asking import NO_MODEL_KNOWN, NOT_CALIBRATED, Ask, Calibrations, Judged, NoAnswer, Prompt
from agents.list_health import Assessments, Cause, HealthFacts
from agents.optimization import CohortFact, SuppressionPlan, Verdict
from agents.rebalancing import RebalancingFacts, Recommendation
from agents.reporting import Report
from agents.weekly_report import WeekFacts

A = TypeVar("A", bound=BaseModel)
F = TypeVar("F")
F_contra = TypeVar("F_contra", contravariant=True)

WITHIN_SECONDS = 120.0
"""How long an analysis waits for all of its agents together."""


class Agent(Protocol[F_contra, A]):
    """An agent's `judge`."""

    def __call__(self, facts: F_contra, /, *, ask: Ask | None) -> Judged[A]:
        """Its judgement of the facts."""
        ...


@dataclass(frozen=True)
class Contradiction:
    """A cohort that optimization would suppress while list health lays its failures to something else."""

    cohort: str
    list: str
    cause: Cause


@dataclass(frozen=True)
class Analysis:
    """What the agents make of a campaign, each with its own source."""

    list_health: Judged[Assessments]
    optimization: Judged[SuppressionPlan]
    contradictions: tuple[Contradiction, ...]


@dataclass(frozen=True)
class Week:
    """What the agents make of the lists once a week, each with its own source."""

    list_health: Judged[Assessments]
    rebalancing: Judged[Recommendation]
    """A proposal: nothing comes of it but words."""
    report: Judged[Report]
    """Not yet rendered: `weekly_report.numbers` has its figures."""


def post_campaign(
    health_facts: HealthFacts,
    cohorts: Sequence[CohortFact],
    *,
    ask: Ask | None,
    campaign_list: str | None = None,
    calibrations: Calibrations = NOT_CALIBRATED,
    within: float = WITHIN_SECONDS,
) -> Analysis:
    """Both judgements of a campaign's failures; an agent whose model fails is judged by its own rules alone.

    `campaign_list` is the list the cohorts come from, the only one whose causes can contradict them; None
    when they come from all of `health_facts`. `within` so many seconds a model has to have answered. Raises
    `ValueError` when the list is none of them, or a key repeats.
    """
    if campaign_list is not None and campaign_list not in {fact.key for fact in health_facts.lists}:
        raise ValueError(f"no facts about list {campaign_list}")
    with _side_by_side(ask, within=within) as begin:
        health_said = begin(
            partial(list_health.judge, calibrations=calibrations.get(list_health.AGENT, NO_MODEL_KNOWN)),
            health_facts,
        )
        plan_said = begin(
            partial(optimization.judge, calibrations=calibrations.get(optimization.AGENT, NO_MODEL_KNOWN)),
            cohorts,
        )
        health, plan = health_said(), plan_said()
    found = _contradictions(health.answer, plan.answer, cohorts=cohorts)
    return Analysis(
        list_health=health,
        optimization=plan,
        contradictions=tuple(one for one in found if campaign_list in (None, one.list)),
    )


def weekly(
    health_facts: HealthFacts,
    plan_facts: RebalancingFacts,
    tell: Callable[[Judged[Assessments], Judged[Recommendation]], WeekFacts],
    *,
    ask: Ask | None,
    calibrations: Calibrations = NOT_CALIBRATED,
    within: float = WITHIN_SECONDS,
) -> Week:
    """How the lists are, whether they should be evened out, and a report of both.

    `tell` makes the report's facts of what the two others said. All three have `within` seconds together.
    Raises `ValueError` when a key stands for two lists.
    """
    with _side_by_side(ask, within=within) as begin:
        health_said = begin(
            partial(list_health.judge, calibrations=calibrations.get(list_health.AGENT, NO_MODEL_KNOWN)),
            health_facts,
        )
        choice_said = begin(
            partial(rebalancing.judge, calibrations=calibrations.get(rebalancing.AGENT, NO_MODEL_KNOWN)),
            plan_facts,
        )
        health, choice = health_said(), choice_said()
        report = begin(weekly_report.judge, tell(health, choice))()
    return Week(list_health=health, rebalancing=choice, report=report)


def in_time(agent: Agent[F, A], facts: F, *, ask: Ask | None, within: float = WITHIN_SECONDS) -> Judged[A]:
    """One agent's judgement; by its rules where no model has answered within so many seconds."""
    with _side_by_side(ask, within=within) as begin:
        return begin(agent, facts)()


def _contradictions(
    health: Assessments, plan: SuppressionPlan, *, cohorts: Sequence[CohortFact]
) -> list[Contradiction]:
    suppressed = {verdict.cohort for verdict in plan.verdicts if verdict.verdict is Verdict.SUPPRESS}
    return [
        Contradiction(cohort=cohort.key, list=assessment.list, cause=assessment.cause)
        for cohort in cohorts
        if cohort.key in suppressed
        for assessment in health.assessments
        if list_health.contradicts(assessment, cohort)
    ]


# --- Side by side ------------------------------------------------------------------------------------


class _Begin(Protocol):
    """Starts one agent; what is returned gives its judgement, and waits for it while there is time."""

    def __call__(self, agent: Agent[F, A], facts: F, /) -> Callable[[], Judged[A]]: ...


@contextmanager
def _side_by_side(ask: Ask | None, *, within: float) -> Iterator[_Begin]:
    """Agents asked on threads of their own until one common time is over. Rules alone need none.

    Whoever is still being asked at the end is not waited for, and nothing further is asked in its name.
    """
    ends, is_over = time.monotonic() + within, threading.Event()
    pool = ThreadPoolExecutor(thread_name_prefix="agent")

    def too_late(prompt: Prompt, *, answer: type[A]) -> A:
        del prompt, answer
        raise NoAnswer(f"no answer within {within:g} seconds")

    def ask_in_time(prompt: Prompt, *, answer: type[A]) -> A:
        if ask is None or is_over.is_set():
            return too_late(prompt, answer=answer)
        return ask(prompt, answer=answer)

    def begin(agent: Agent[F, A], facts: F, /) -> Callable[[], Judged[A]]:
        if ask is None:
            return partial(agent, facts, ask=None)
        in_the_runs_name = copy_context().run
        answering = pool.submit(in_the_runs_name, partial(agent, facts, ask=ask_in_time))
        return partial(end, answering, partial(agent, facts, ask=too_late))

    def end(answering: Future[Judged[A]], by_rules: Callable[[], Judged[A]]) -> Judged[A]:
        try:
            return answering.result(timeout=max(0.0, ends - time.monotonic()))
        except TimeoutError:
            return by_rules()

    try:
        yield begin
    finally:
        is_over.set()
        pool.shutdown(wait=False)
