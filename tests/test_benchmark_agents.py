"""`manage.py benchmark agents` and `benchmark prompts`, in a small form."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command


def measured(*command: str) -> dict[str, Any]:
    printed = StringIO()
    call_command("benchmark", *command, "--json", stdout=printed)
    report: dict[str, Any] = json.loads(printed.getvalue())
    return report


@pytest.mark.django_db(transaction=True)
def test_the_model_answers_all_four_and_each_takes_at_least_its_time() -> None:
    report = measured("agents", "--seconds=0.2", "--failures=60")

    figures = report["figures"]
    assert figures["answered_by_the_model"] == 4
    each = [
        figures[f"{agent}_seconds"] for agent in ("list_health", "optimization", "rebalancing", "reporting")
    ]
    assert min(each) >= 0.2
    assert figures["together_seconds"] >= figures["analysis_seconds"] + figures["reporting_seconds"]
    assert {bound["figure"] for bound in report["bounds"]} == {
        "answered_by_the_model",
        "together_seconds",
        "slowest_agent_seconds",
    }


def test_a_prompt_hardly_grows_with_the_failures() -> None:
    report = measured("prompts", "--few=200", "--many=20000")

    assert all(bound["held"] for bound in report["bounds"]), report["bounds"]
    assert report["figures"]["tokens_of_few"] < report["figures"]["tokens_of_many"]
    assert report["figures"]["cohorts_of_many"] == report["figures"]["cohorts_of_few"] > 30
