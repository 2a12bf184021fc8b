"""What a model would say that agrees with the rules: for a stand-in that is to answer sensibly."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from agents import list_health, optimization, rebalancing, reporting, weekly_report
from agents.list_health import HealthFacts
from agents.optimization import CohortFact
from agents.rebalancing import RebalancingFacts
from agents.reporting import ReportFacts
from agents.weekly_report import WeekFacts


def answer(told: Mapping[str, Any]) -> BaseModel:
    """The rules' answer to an agent's question, from the facts as they are sent; whose it is they show.

    Raises `ValidationError` for what no agent asks.
    """
    if "cohorts" in told:
        return optimization.by_rules([CohortFact.model_validate(cohort) for cohort in told["cohorts"]])
    if "registered" in told:
        return weekly_report.by_rules(WeekFacts.model_validate(_without_numbers(told)))
    if "lists" in told:
        return list_health.by_rules(HealthFacts.model_validate(told))
    if "numbers" in told:
        return reporting.by_rules(ReportFacts.model_validate(_without_numbers(told)))
    return rebalancing.by_rules(RebalancingFacts.model_validate(told))


def _without_numbers(told: Mapping[str, Any]) -> dict[str, Any]:
    """A report's facts as they are checked: its numbers are made of the others."""
    return {name: value for name, value in told.items() if name != "numbers"}


def reply(text: str) -> dict[str, Any]:
    """The same from the question's text, as JSON."""
    return answer(json.loads(text)).model_dump(mode="json")
