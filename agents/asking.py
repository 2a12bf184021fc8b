"""One question to a model, and what a judgement is once the answer was held against its facts.

An agent builds a `Prompt`, asks, checks what came back, and falls back on its own rules where nothing
usable came. Who or what answers is the caller's choice: an `Ask` is passed in, or None for rules alone.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import sqrt
from typing import Annotated, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

UNPROVEN = 0.80
"""Confidence of rules whose verdicts people have not judged often enough to know."""

ENOUGH_LABELS = 20
"""Labels from which the record of the rules, not `UNPROVEN`, is their confidence."""

CONFIDENCE_IN_DISPUTE = 0.69
"""The most a model's confidence counts where its rules judge otherwise, until it is calibrated."""

_ONE_SIDED_90_PERCENT = 1.2815515655446004
"""Standard deviations below which a tenth of a normal distribution lies."""

Word = Annotated[str, Field(min_length=1, pattern=r"^[^@]+$")]
"""A key, a class, a token: never something with an at sign, so never an address (promise P8)."""


class Source(StrEnum):
    """Who judged. Always shown: rules never pose as a model."""

    MODEL = "model"
    RULES = "rules"
    REUSED = "reused"


class UnusableAnswer(Exception):
    """A model's answer that cannot be used, or none at all; the message says why, in words safe to store.

    Raised by the agents' checks, and by an `Ask` that gets no answer in time or none of the wanted type.
    """


class Fact(BaseModel):
    """Base of everything an agent is told: frozen, no unknown fields, no input echoed in errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Answer(BaseModel):
    """Base of everything a model may answer: no unknown fields, no input echoed in errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


A = TypeVar("A", bound=BaseModel)

Confidence = Annotated[float, Field(ge=0, le=1)]
"""How sure a judgement is, 0 to 1."""


class Record(Fact):
    """How often reviewers upheld the rules where they said the same thing before."""

    upheld: int = Field(ge=0)
    labels: int = Field(ge=0)

    @model_validator(mode="after")
    def _is_possible(self) -> "Record":
        if self.upheld > self.labels:
            raise ValueError(f"upheld {self.upheld} of only {self.labels} labels")
        return self


NO_RECORD = Record(upheld=0, labels=0)
"""Nobody has judged these verdicts yet."""


@dataclass
class Receipt:
    """What one question cost and who answered it, written by the `Ask`; counts for refused answers too."""

    source: Source = Source.MODEL
    model: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    latency_ms: int | None = None


@dataclass(frozen=True)
class Prompt:
    """One question: whose it is, its fixed instructions, and the facts, as JSON without personal data."""

    agent: str
    version: str
    system: str
    facts: Mapping[str, JsonValue]
    temperature: float
    receipt: Receipt = field(default_factory=Receipt, compare=False)


class Ask(Protocol):
    """Puts one question to a model and returns its answer as the type asked for, or raises `UnusableAnswer`.

    What the question cost it writes on `prompt.receipt`.
    """

    def __call__(self, prompt: Prompt, *, answer: type[A]) -> A:
        """The model's answer, parsed but not yet held against the facts."""
        ...


@dataclass(frozen=True)
class Judged(Generic[A]):
    """A checked judgement and where it comes from: what an `AgentCall` row remembers."""

    agent: str
    answer: A
    """What stands, after the policy had its word."""
    source: Source
    confidence: float
    """Of what stands: as sure as its least sure part, 0 to 1."""
    raw_confidence: float
    """Of what was answered, before policy and caps."""
    model: str | None
    """Who answered; None when rules judged, also when a model's answer was refused before."""
    prompt_version: str
    temperature: float | None
    """None when no model was asked."""
    tokens_in: int | None
    tokens_out: int | None
    latency_ms: int | None
    valid: bool
    """False when a model was asked and its answer refused."""
    facts: Mapping[str, JsonValue]
    """What was asked about, as JSON without personal data."""
    refused: tuple[str, ...] = ()
    """Why the model's answers were refused."""
    stated: A | None = None
    """What the model itself said, before policy and caps; None when rules judged."""
    disagreed: tuple[str, ...] = ()
    """Keys of what model and rules judge differently."""


@dataclass(frozen=True)
class Question(Generic[A]):
    """Everything an agent needs to come to a judgement, with a model or without."""

    prompt: Prompt
    answer: type[A]
    by_rules: Callable[[], A]
    check: Callable[[A], None]
    """Holds an answer against the facts; raises `UnusableAnswer`."""
    settle: Callable[[A, A], tuple[A, tuple[str, ...]]]
    """The model's and the rules' answer in; what stands and the keys they differ on out."""
    confidence: Callable[[A], float]


def judged(question: Question[A], *, ask: Ask | None) -> Judged[A]:
    """The model's checked answer, or the rules' where there is no model or its answer is unusable."""
    if ask is None:
        return _by_rules(question, refused=(), temperature=None)
    try:
        stated = ask(question.prompt, answer=question.answer)
        if not isinstance(stated, question.answer):
            raise UnusableAnswer(f"wrong type: {type(stated).__name__}, not {question.answer.__name__}")
        question.check(stated)
    except UnusableAnswer as refusal:
        why = f"{question.prompt.receipt.model or 'model'}: {refusal}"
        return _by_rules(question, refused=(why,), temperature=question.prompt.temperature)
    return _by_model(question, stated)


def parsed(answer: type[A], text: str) -> A:
    """A model's JSON text as the type asked for.

    Raises `UnusableAnswer` naming the fields that are wrong, never repeating what stood in them.
    """
    try:
        return answer.model_validate_json(text)
    except ValidationError as error:
        faults = [f"{_path(fault['loc'])}: {fault['type']}" for fault in error.errors(include_input=False)]
        raise UnusableAnswer(f"not a {answer.__name__}: {'; '.join(faults)}") from None


def check_unique(keys: Sequence[str]) -> None:
    """Refuse facts in which one key stands for two things. Raises `ValueError`."""
    if twice := _repeated(keys):
        raise ValueError(f"these keys stand for more than one thing each: {twice}")


def check_answered(answered: Sequence[str], *, asked: Collection[str]) -> None:
    """Refuse an answer that misses, invents or repeats a key. Raises `UnusableAnswer`."""
    if missed := sorted(set(asked) - set(answered)):
        raise UnusableAnswer(f"missed: {missed}")
    if invented := sorted(set(answered) - set(asked)):
        raise UnusableAnswer(f"invented: {invented}")
    if twice := _repeated(answered):
        raise UnusableAnswer(f"answered more than once: {twice}")


def confidence_of_rules(record: Record) -> float:
    """The lower 90 % bound (Wilson, one-sided) of how often reviewers upheld these verdicts."""
    if record.labels < ENOUGH_LABELS:
        return UNPROVEN
    return lower_bound(record.upheld, of=record.labels)


def lower_bound(count: int, *, of: int) -> float:
    """The share that the seen one exceeds only by chance in one case of ten (Wilson's score, one-sided).

    Zero when nothing was seen.
    """
    if of == 0:
        return 0.0
    z = _ONE_SIDED_90_PERCENT
    share = count / of
    centre = share + z * z / (2 * of)
    margin = z * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    # Rounding may carry the bound of none or all past what was seen.
    return min(share, max(0.0, (centre - margin) / (1 + z * z / of)))


def in_dispute(confidence: float) -> float:
    """What a stated confidence counts for where rules judge otherwise."""
    return min(confidence, CONFIDENCE_IN_DISPUTE)


def _by_rules(question: Question[A], *, refused: tuple[str, ...], temperature: float | None) -> Judged[A]:
    answer, receipt = question.by_rules(), question.prompt.receipt
    return Judged(
        agent=question.prompt.agent,
        answer=answer,
        source=Source.RULES,
        confidence=question.confidence(answer),
        raw_confidence=question.confidence(answer),
        model=None,
        prompt_version=question.prompt.version,
        temperature=temperature,
        tokens_in=receipt.tokens_in,
        tokens_out=receipt.tokens_out,
        latency_ms=receipt.latency_ms,
        valid=not refused,
        facts=question.prompt.facts,
        refused=refused,
    )


def _by_model(question: Question[A], stated: A) -> Judged[A]:
    answer, disagreed = question.settle(stated, question.by_rules())
    receipt = question.prompt.receipt
    return Judged(
        agent=question.prompt.agent,
        answer=answer,
        source=receipt.source,
        confidence=question.confidence(answer),
        raw_confidence=question.confidence(stated),
        model=receipt.model,
        prompt_version=question.prompt.version,
        temperature=question.prompt.temperature,
        tokens_in=receipt.tokens_in,
        tokens_out=receipt.tokens_out,
        latency_ms=receipt.latency_ms,
        valid=True,
        facts=question.prompt.facts,
        stated=stated,
        disagreed=disagreed,
    )


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "answer"


def _repeated(keys: Sequence[str]) -> list[str]:
    return sorted(key for key, times in Counter(keys).items() if times > 1)
