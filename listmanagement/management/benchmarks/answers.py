"""How usable a model is that breaks every fifth answer, and whether a broken one is ever believed.

The questions are those of the labelled scenarios, put to Gemini's stand-in over HTTP by the client that
production uses. What is broken, and how, is drawn from a seed: replies that a protocol can bring, and answers
that only their agent can tell to be wrong.
"""

from __future__ import annotations

import json
import random
import tempfile
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.conf import settings
from pydantic import BaseModel

from agents import breaking, by_rules, evaluate, scores
from agents.asking import Ask, Prompt, Source
from agents.evaluate import Case
from integrations.gemini import Gemini
from integrations.gemini.allowance import Unlimited
from integrations.sandbox import serve
from integrations.sandbox.control import Control
from integrations.sandbox.gemini_call import Question
from listmanagement.evaluation import facts, reading
from listmanagement.management.benchmarks.report import Benchmark, Bound, Figures

A = TypeVar("A", bound=BaseModel)

MISHAPS = (
    *("not_json", "fenced", "wrong_shape", "invented", "cut", "no_room", "blocked", "recited"),
    *("prompt_blocked", "unfinished", "no_candidates", "empty_object", "empty_list", "empty_body"),
    *("html", "wrong_type"),
)
"""What goes wrong with a reply, whatever it says."""


def add_arguments(parser: ArgumentParser) -> None:
    """--broken, --seed and --rounds."""
    parser.add_argument("--broken", type=float, default=0.2, help="share of answers that are broken (0.2)")
    parser.add_argument("--seed", type=int, default=1, help="what is drawn (1)")
    parser.add_argument("--rounds", type=int, default=5, help="how often all scenarios are asked about (5)")


@dataclass
class _Broken:
    """What becomes of each request, drawn before it is made."""

    share: float
    random: random.Random
    control: Control | None = None
    wanted: str = ""
    """How the judge is to break its next answer; empty: not at all."""
    requests: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    is_broken: bool = False
    """Whether the last reply was."""

    def draw(self) -> None:
        """Before a request: let its reply be broken, or not."""
        self.requests += 1
        self.wanted, self.is_broken = "", False
        if self.random.random() >= self.share:
            return
        kind = self.random.choice((*MISHAPS, *breaking.BREAKAGES))
        if kind in MISHAPS:
            assert self.control is not None
            self.control.fault(path="^/gemini/", gemini=kind, times=1)
            self._note(kind)
        else:
            self.wanted = kind

    def judge(self, question: Question) -> Any:
        """The rules' answer, broken where it was drawn; in another way where that one does not fit."""
        told, answer = json.loads(question.text), by_rules.reply(question.text)
        if not self.wanted:
            return answer
        others = self.random.sample(list(breaking.BREAKAGES), len(breaking.BREAKAGES))
        for kind in (self.wanted, *others):
            text = breaking.broken(kind, told, answer)
            if text is not None:
                self._note(kind)
                return text
        raise AssertionError("an answer can always be cut off")

    def _note(self, kind: str) -> None:
        self.kinds[kind] += 1
        self.is_broken = True


@dataclass(frozen=True)
class _Drawing:
    """Asks as production does, and draws before each request what becomes of it."""

    ask: Ask
    broken: _Broken
    accepted: list[bool]
    """Of each reply that was parsed into its type: whether it was broken."""

    def __call__(self, prompt: Prompt, *, answer: type[A]) -> A:
        """The answer, parsed but not yet held against the facts."""
        self.broken.draw()
        given = self.ask(prompt, answer=answer)
        self.accepted.append(self.broken.is_broken)
        return given


def run(options: Mapping[str, Any]) -> Figures:
    """Ask about all scenarios, round after round."""
    cases = [facts.case(scenario) for scenario in reading.read()]
    broken = _Broken(options["broken"], random.Random(options["seed"]))  # noqa: S311  (repeatable chance)
    calls: list[evaluate.Call] = []
    believed = 0
    with _asking(broken) as ask:
        for case in cases * options["rounds"]:
            for agent in evaluate.AGENTS:
                found, wrong = _asked(case, agent, ask=ask)
                calls += found
                believed += wrong
    return _figures(calls, broken=broken, believed=believed)


def _asked(case: Case, agent: str, *, ask: _Drawing) -> tuple[Sequence[evaluate.Call], int]:
    """The calls, and how many broken answers stood in the end."""
    ask.accepted.clear()
    calls = evaluate.evaluate([case], agents=[agent], ask=ask).calls
    from_model = sum(call.source is Source.MODEL for call in calls)
    return calls, int(bool(from_model and ask.accepted[-1]))


@contextmanager
def _asking(broken: _Broken) -> Iterator[_Drawing]:
    """Production's way to Gemini, with the stand-in at its end."""
    from listmanagement import asking  # the SDK takes a second to load

    with (
        tempfile.TemporaryDirectory() as state,
        serve(state, judge=broken.judge) as serving,
        Control(serving.url) as control,
    ):
        broken.control = control
        gemini = Gemini(
            api_key=serving.gemini_key,
            model=settings.GEMINI_MODEL,
            base_url=serving.gemini_url,
            api_version=settings.GEMINI_API_VERSION,
            allowance=Unlimited(),
            timeout=20.0,
        )
        try:
            ask = asking.GeminiAsk(gemini, temperatures=settings.GEMINI_TEMPERATURES)
            yield _Drawing(ask, broken, accepted=[])
        finally:
            gemini.close()


def _figures(calls: Sequence[evaluate.Call], *, broken: _Broken, believed: int) -> Figures:
    asked = [call for call in calls if call.source is not Source.RULES or call.refused]
    score = {agent: _share(asked, agent=agent) for agent in evaluate.AGENTS}
    refused = sum(len(call.refused) for call in asked)
    of = sum(broken.kinds.values())
    valid = sum(call.usable for call in asked) / len(asked)
    return Figures(
        figures={
            "questions": len(asked),
            "requests": broken.requests,
            "broken_answers": of,
            "refused": refused,
            "believed_though_broken": believed,
            "valid_at_once": sum(not call.refused for call in asked) / len(asked),
            "valid_within_the_retries": valid,
            **{f"valid_within_the_retries_{agent}": one.share for agent, one in score.items()},
            "broken_by_kind": dict(sorted(broken.kinds.items())),
        },
        bounds=[
            Bound(figure="refused ÷ broken answers", value=refused / of if of else 1.0, at_least=1.0),
            Bound(figure="believed though broken", value=believed, at_most=0),
            Bound(figure="valid within the retries", value=valid, at_least=0.99),
        ],
    )


def _share(calls: Sequence[evaluate.Call], *, agent: str) -> scores.Share:
    own = [call for call in calls if call.agent == agent]
    return scores.Share(sum(call.usable for call in own), len(own))


BENCHMARK = Benchmark(
    name="answers",
    help="ask a model that breaks every fifth answer: none may be believed, nearly all questions be answered",
    add_arguments=add_arguments,
    run=run,
)
