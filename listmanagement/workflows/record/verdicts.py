"""Keeps what an agent said of each thing it was asked about, beside what its own rules say of the same."""

from __future__ import annotations

from collections.abc import Sequence

from agents import list_health, optimization, rebalancing
from agents.asking import Judged
from agents.list_health import Assessment, Assessments, HealthFacts
from agents.optimization import CohortFact, CohortVerdict, SuppressionPlan
from agents.rebalancing import RebalancingFacts, Recommendation
from listmanagement.models import AgentCall, AgentVerdict

PLAN = "plan"
"""What a rebalancing's verdict is about."""


def of_cohorts(call: AgentCall, judged: Judged[SuppressionPlan], *, facts: Sequence[CohortFact]) -> None:
    """One row a cohort: suppress, hold or keep. Inside the caller's transaction, as are the others."""
    stands, second = _by_cohort(judged.answer), _by_cohort(judged.second)
    stated = _by_cohort(judged.stated) if judged.stated is not None else {}
    AgentVerdict.objects.bulk_create(
        AgentVerdict(
            call=call,
            subject=fact.key,
            region=fact.region,
            bounce_class=fact.bounce,
            contacts=fact.contacts,
            verdict=stands[fact.key].verdict.value,
            confidence=stands[fact.key].confidence,
            stated=said.verdict.value if said else "",
            raw_confidence=(said or second[fact.key]).confidence,
            calibrated=judged.calibrated,
            rationale=_of_cohort(said, fact) if said else "",
            rules_verdict=second[fact.key].verdict.value,
            rules_confidence=second[fact.key].confidence,
            rules_rationale=_of_cohort(second[fact.key], fact),
        )
        for fact in facts
        for said in [stated.get(fact.key)]
    )


def _by_cohort(plan: SuppressionPlan) -> dict[str, CohortVerdict]:
    return {verdict.cohort: verdict for verdict in plan.verdicts}


def _of_cohort(verdict: CohortVerdict, fact: CohortFact) -> str:
    return optimization.explain(verdict, cohort=fact, contacts=fact.contacts, domain=fact.domain_token)


def of_lists(call: AgentCall, judged: Judged[Assessments], *, facts: HealthFacts) -> None:
    """One row a list: its grade and cause."""
    stands, second = _by_list(judged.answer), _by_list(judged.second)
    stated = _by_list(judged.stated) if judged.stated is not None else {}
    AgentVerdict.objects.bulk_create(
        AgentVerdict(
            call=call,
            subject=fact.key,
            verdict=graded(stands[fact.key]),
            confidence=stands[fact.key].confidence,
            stated=graded(said) if said else "",
            raw_confidence=(said or second[fact.key]).confidence,
            calibrated=judged.calibrated,
            rationale=list_health.explain(said, fact=fact) if said else "",
            rules_verdict=graded(second[fact.key]),
            rules_confidence=second[fact.key].confidence,
            rules_rationale=list_health.explain(second[fact.key], fact=fact),
        )
        for fact in facts.lists
        for said in [stated.get(fact.key)]
    )


def _by_list(said: Assessments) -> dict[str, Assessment]:
    return {assessment.list: assessment for assessment in said.assessments}


def graded(assessment: Assessment) -> str:
    """Grade and cause in one word, such as "poor/decay": whoever names another cause disagrees."""
    return f"{assessment.grade.value}/{assessment.cause.value}"


def of_plan(call: AgentCall, judged: Judged[Recommendation], *, facts: RebalancingFacts) -> None:
    """One row: the choice between the plan's forms."""
    said, second = judged.stated, judged.second
    AgentVerdict.objects.create(
        call=call,
        subject=PLAN,
        verdict=judged.answer.choice.value,
        confidence=judged.answer.confidence,
        stated=said.choice.value if said else "",
        raw_confidence=(said or second).confidence,
        calibrated=judged.calibrated,
        rationale=rebalancing.explain(said, facts=facts) if said else "",
        rules_verdict=second.choice.value,
        rules_confidence=second.confidence,
        rules_rationale=rebalancing.explain(second, facts=facts),
    )
