"""A stand-in for Gemini, the real SDK on it, and an allowance that remembers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from integrations.gemini import Allowance, Gemini
from integrations.sandbox import Serving, serve
from integrations.sandbox.control import Control

MODEL = "gemini-3.5-flash-lite"


class Verdict(BaseModel):
    """One of many."""

    model_config = ConfigDict(extra="forbid")

    cohort: Annotated[str, Field(pattern="^[a-z]+$")]
    confidence: Annotated[float, Field(ge=0, le=1)]


class Verdicts(BaseModel):
    """What the tests ask for."""

    model_config = ConfigDict(extra="forbid")

    verdicts: list[Verdict]
    note: Annotated[str, Field(min_length=1, max_length=80)] | None


RIGHT = {"verdicts": [{"cohort": "a", "confidence": 0.5}], "note": "fine"}


@dataclass
class Ledger(Allowance):
    """Allows everything, and remembers each claim and what became of it."""

    claims: list[int] = field(default_factory=list)
    settled: dict[int, int] = field(default_factory=dict)
    backed_off: list[tuple[float | None, str]] = field(default_factory=list)
    answers: int = 0

    def claim(self, *, tokens: int, patience: float) -> int:
        self.claims.append(tokens)
        return len(self.claims)

    def settle(self, claim: int, *, tokens: int) -> None:
        self.settled[claim] = tokens

    def back_off(self, *, asked: float | None, why: str) -> None:
        self.backed_off.append((asked, why))

    def answered(self) -> None:
        self.answers += 1


@dataclass
class Scene:
    """A model, its stand-in's controls, and what was claimed and waited for."""

    gemini: Gemini
    control: Control
    ledger: Ledger
    pauses: list[float]

    def ask(self, question: str = "{}") -> Any:
        return self.gemini.generate(
            question, instructions="Judge the cohorts.", answer=Verdicts, temperature=0.3
        )

    def wrong(self, **fault: Any) -> None:
        """Something goes wrong with each question from now on."""
        self.control.fault(path="^/gemini/", **fault)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serve(tmp_path_factory.mktemp("gemini"), judge=lambda question: RIGHT) as serving:
        yield serving


def connected(serving: Serving, *, ledger: Ledger, pauses: list[float], **given: Any) -> Gemini:
    """The client on its stand-in."""
    values = {"api_key": serving.gemini_key, "model": MODEL, "api_version": "v1", "timeout": 5.0, **given}
    return Gemini(base_url=serving.gemini_url, allowance=ledger, sleep=pauses.append, **values)


@pytest.fixture
def control(serving: Serving) -> Iterator[Control]:
    with Control(serving.url) as control:
        control.gemini_forgets()
        yield control
        control.clear_faults()


@pytest.fixture
def scene(serving: Serving, control: Control) -> Iterator[Scene]:
    ledger, pauses = Ledger(), list[float]()
    gemini = connected(serving, ledger=ledger, pauses=pauses)
    yield Scene(gemini, control, ledger, pauses)
    gemini.close()
