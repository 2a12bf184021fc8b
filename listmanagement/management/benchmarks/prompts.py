"""How large the agents' questions are for few failures and for many of the same kinds.

No tokenizer of Gemini's is public, so tokens are counted on the high side: each digit, each sign and every
four letters of a word are one. A number of six digits then costs more than one of three.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from django.core.management.base import CommandParser
from pydantic import BaseModel

from agents import list_health, optimization, rebalancing, reporting
from agents.asking import Ask, NoAnswer, Prompt
from listmanagement.management.benchmarks import questions
from listmanagement.management.benchmarks.questions import Questions
from listmanagement.management.benchmarks.report import Benchmark, Bound, Figures

A = TypeVar("A", bound=BaseModel)

MOST_COHORTS = 40
_PIECES = re.compile(r"[A-Za-z]+|\s+|.", re.DOTALL)


def add_arguments(parser: CommandParser) -> None:
    """--few, --many."""
    parser.add_argument("--few", type=int, default=200, help="failures of the small campaign")
    parser.add_argument("--many", type=int, default=200_000, help="failures of the large one")


def run(options: Mapping[str, Any]) -> Figures:
    """Make both campaigns' questions and compare them."""
    few, many = questions.of(options["few"]), questions.of(options["many"])
    prompts = {name: (asked(few, name), asked(many, name)) for name in _ASK}
    figures: dict[str, Any] = {
        "few": options["few"],
        "many": options["many"],
        "cohorts_of_few": len(few.cohorts),
        "cohorts_of_many": len(many.cohorts),
        "same_cohorts": {one.key for one in few.cohorts} == {one.key for one in many.cohorts},
    }
    for name, (small, large) in prompts.items():
        figures |= {f"{name}_tokens_of_few": tokens(small), f"{name}_tokens_of_many": tokens(large)}
        figures |= {f"{name}_characters_of_few": _length(small), f"{name}_characters_of_many": _length(large)}
    of_few, of_many = (sum(tokens(pair[at]) for pair in prompts.values()) for at in (0, 1))
    return Figures(
        figures={**figures, "tokens_of_few": of_few, "tokens_of_many": of_many},
        bounds=[
            Bound(figure="cohorts_of_many", value=len(many.cohorts), at_most=MOST_COHORTS),
            Bound(figure="same_cohorts", value=int(figures["same_cohorts"]), at_least=1),
            *(
                Bound(figure=f"{name}_tokens", value=tokens(large) / tokens(small), at_most=1.1)
                for name, (small, large) in prompts.items()
            ),
            Bound(figure="tokens_together", value=of_many / of_few, at_most=1.1),
        ],
    )


class _Keeping:
    """Answers nobody, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[Prompt] = []

    def __call__(self, prompt: Prompt, *, answer: type[A]) -> A:
        del answer
        self.asked.append(prompt)
        raise NoAnswer("only the question is wanted")


def asked(facts: Questions, agent: str) -> Prompt:
    """What the agent asks a model about these facts."""
    keeping = _Keeping()
    _ASK[agent](facts, keeping)
    if not keeping.asked:
        raise AssertionError(f"{agent} asks nothing about facts that leave it a choice")
    return keeping.asked[0]


_ASK: Mapping[str, Callable[[Questions, Ask], object]] = {
    list_health.AGENT: lambda facts, ask: list_health.judge(facts.health, ask=ask),
    optimization.AGENT: lambda facts, ask: optimization.judge(facts.cohorts, ask=ask),
    rebalancing.AGENT: lambda facts, ask: rebalancing.judge(facts.plan, ask=ask),
    reporting.AGENT: lambda facts, ask: reporting.judge(facts.report, ask=ask),
}


def tokens(prompt: Prompt) -> int:
    """Of instructions and facts, counted on the high side."""
    pieces = _PIECES.findall(prompt.system + prompt.question)
    return sum(math.ceil(len(piece) / 4) if piece.isalpha() else 1 for piece in pieces)


def _length(prompt: Prompt) -> int:
    return len(prompt.system) + len(prompt.question)


BENCHMARK = Benchmark(
    name="prompts",
    help="Compare the agents' questions about few failures with those about many of the same kinds.",
    add_arguments=add_arguments,
    run=run,
)
