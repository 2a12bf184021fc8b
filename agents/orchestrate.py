"""Which agents a run needs, in what order.

List health and optimization judge the same outcomes independently; where they contradict each other a
person decides. Rebalancing and reporting are asked on their own, later in the run, on what came of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agents import list_health, optimization
from agents.asking import NOT_CALIBRATED, Ask, Calibrations, Judged
from agents.list_health import Assessments, Cause, HealthFacts
from agents.optimization import CohortFact, SuppressionPlan, Verdict


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


def post_campaign(
    health_facts: HealthFacts,
    cohorts: Sequence[CohortFact],
    *,
    ask: Ask | None,
    campaign_list: str | None = None,
    calibrations: Calibrations = NOT_CALIBRATED,
) -> Analysis:
    """Both judgements of a campaign's failures; an agent whose model fails is judged by its own rules alone.

    `campaign_list` is the list the cohorts come from, the only one whose causes can contradict them; None
    when they come from all of `health_facts`. Raises `ValueError` when it is none of them, or a key repeats.
    """
    if campaign_list is not None and campaign_list not in {fact.key for fact in health_facts.lists}:
        raise ValueError(f"no facts about list {campaign_list}")
    health = list_health.judge(health_facts, ask=ask, calibration=calibrations.get(list_health.AGENT))
    plan = optimization.judge(cohorts, ask=ask, calibration=calibrations.get(optimization.AGENT))
    found = _contradictions(health.answer, plan.answer, cohorts=cohorts)
    return Analysis(
        list_health=health,
        optimization=plan,
        contradictions=tuple(one for one in found if campaign_list in (None, one.list)),
    )


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
