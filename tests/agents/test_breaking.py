"""No broken answer is believed, whichever agent it is given to and however it is broken."""

from __future__ import annotations

from typing import TypeVar

import pytest
from pydantic import BaseModel

from agents import breaking, by_rules, evaluate
from agents.asking import Prompt, Source, UnusableAnswer, canonical, parsed
from listmanagement.evaluation import facts, reading

A = TypeVar("A", bound=BaseModel)

NAMED = ("04", "16", "22", "24", "59")
"""Scenarios that together have something to break in every way, for every agent."""

CASES = [facts.case(scenario) for scenario in reading.read() if scenario.name[:2] in NAMED]


class Breaking:
    """Answers as the rules do, broken in one way wherever it can be; otherwise gives no answer at all."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.broken = 0

    def __call__(self, prompt: Prompt, *, answer: type[A]) -> A:
        right = by_rules.answer(prompt.facts).model_dump(mode="json")
        text = breaking.broken(self.kind, prompt.facts, right)
        if text is None:
            raise UnusableAnswer("nothing to break")
        self.broken += 1
        return parsed(answer, text)


@pytest.mark.parametrize("kind", breaking.BREAKAGES)
def test_a_broken_answer_is_refused_each_time_and_rules_judge(kind):
    ask = Breaking(kind)

    evaluation = evaluate.evaluate(CASES, agents=evaluate.AGENTS, ask=ask)

    asked = [call for call in evaluation.calls if call.refused]
    assert ask.broken > 0
    assert {call.source for call in evaluation.calls} == {Source.RULES}
    assert all(len(call.refused) == 4 for call in asked)


def test_an_unbroken_answer_is_believed():
    class Whole:
        def __call__(self, prompt: Prompt, *, answer: type[A]) -> A:
            return parsed(answer, canonical(by_rules.answer(prompt.facts).model_dump(mode="json")))

    evaluation = evaluate.evaluate(CASES, agents=evaluate.AGENTS, ask=Whole())

    assert {call.source for call in evaluation.calls} == {Source.MODEL}
    assert all(call.usable and not call.refused for call in evaluation.calls)
