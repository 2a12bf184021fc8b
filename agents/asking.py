"""One question to a model, and what a judgement is once the answer was held against its facts.

An agent builds a `Prompt`, asks, checks what came back, asks again in fewer words where it cannot be used,
and falls back on its own rules where nothing usable came. Who or what answers is the caller's choice: an
`Ask` is passed in, or None for rules alone.
"""

import hashlib
import json
import logging
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import sqrt
from typing import Annotated, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

log = logging.getLogger("evenkeel.agents")

UNPROVEN = 0.80
"""Confidence of rules whose verdicts people have not judged often enough to know."""

ENOUGH_LABELS = 20
"""Labels from which the record of the rules, not `UNPROVEN`, is their confidence."""

CONFIDENCE_IN_DISPUTE = 0.69
"""The most a model's confidence counts where its rules judge otherwise, until it is calibrated."""

_ONE_SIDED_90_PERCENT = 1.2815515655446004
"""Standard deviations below which a tenth of a normal distribution lies."""

Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:+/-]{0,119}$")]
"""A key, a class, a token: one plain word of ours. No blank, no at sign and no letter beyond ASCII fits, so
no address, subject line, server's text or full name does (promise P8)."""


class Source(StrEnum):
    """Who judged. Always shown: rules never pose as a model."""

    MODEL = "model"
    RULES = "rules"
    REUSED = "reused"


class UnusableAnswer(Exception):
    """A model's answer that cannot be used, or none at all; the message says why, in words safe to store.

    Raised by the agents' checks, and by an `Ask` whose answer is none of the wanted type.
    """


class NoAnswer(UnusableAnswer):
    """Nobody answers now, and asking in other words would not change that: rules judge."""


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

Calibration = Callable[[float], float]
"""How often an agent's model was right when it stated such a confidence; both 0 to 1, never decreasing."""

OfModels = Mapping[str, Calibration]
"""By model, as it names itself: what its answers to an agent's prompt as it now is were worth. A model that
is not in it was judged by people too seldom to know: what another's word was worth, or its own when it was
asked otherwise, says nothing of this one's."""

NO_MODEL_KNOWN: OfModels = {}

Calibrations = Mapping[str, OfModels]
"""By agent."""

NOT_CALIBRATED: Calibrations = {}


@dataclass
class Receipt:
    """What one question cost and who answered it, written by the `Ask`; refused answers cost as well."""

    source: Source = Source.MODEL
    model: str | None = None
    temperature: float | None = None
    question: str = ""
    """`key_of` the question, where identical ones may be answered from this answer."""
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_thought: int | None = None
    latency_ms: int | None = None

    def add(
        self, *, tokens_in: int | None, tokens_out: int | None, tokens_thought: int | None, latency_ms: int
    ) -> None:
        """Count one more request. None where it is not known what it cost."""
        self.tokens_in = _sum(self.tokens_in, tokens_in)
        self.tokens_out = _sum(self.tokens_out, tokens_out)
        self.tokens_thought = _sum(self.tokens_thought, tokens_thought)
        self.latency_ms = _sum(self.latency_ms, latency_ms)


@dataclass(frozen=True)
class Prompt:
    """One question: whose it is, its fixed instructions, and the facts, as JSON without personal data."""

    agent: str
    version: str
    wordings: tuple[str, ...]
    """The instructions, and the shorter ones for each time the question is asked again."""
    facts: Mapping[str, JsonValue]
    repeat: int = 0
    """How often it was asked before."""
    receipt: Receipt = field(default_factory=Receipt, compare=False)

    @property
    def system(self) -> str:
        """The instructions this time."""
        return self.wordings[self.repeat]

    @property
    def question(self) -> str:
        """The facts as they are sent: the same text for the same facts, whatever order they came in."""
        return canonical(self.facts)

    def each_time(self) -> Iterator["Prompt"]:
        """The question, then again with each shorter wording. Never with fewer facts."""
        for repeat in range(self.repeat, len(self.wordings)):
            yield replace(self, repeat=repeat)


def canonical(value: JsonValue | Mapping[str, JsonValue]) -> str:
    """JSON that is the same for the same value: keys sorted, no blanks, plain ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def key_of(prompt: Prompt, *, model: str) -> str:
    """What identical questions share: agent, prompt version, model and facts, as a hash."""
    same: dict[str, JsonValue] = {
        "agent": prompt.agent,
        "version": prompt.version,
        "model": model,
        "facts": dict(prompt.facts),
    }
    return hashlib.sha256(canonical(same).encode()).hexdigest()


class Ask(Protocol):
    """Puts one question to a model and returns its answer as the type asked for, or raises `UnusableAnswer`.

    Raises `NoAnswer` where asking again would not help. What the question cost it adds to `prompt.receipt`.
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
    tokens_thought: int | None
    latency_ms: int | None
    """All requests together."""
    valid: bool
    """False when a model was to be asked and its first answer could not be used, or never came."""
    facts: Mapping[str, JsonValue]
    """What was asked about, as JSON without personal data."""
    second: A
    """What the agent's own rules say of the same facts."""
    refused: tuple[str, ...] = ()
    """Why the model's answers were refused, or why there was none, in the order of asking."""
    question: str = ""
    """`key_of` the question, where identical ones may be answered from this answer."""
    stated: A | None = None
    """What the model itself said, before policy and caps; None when rules judged."""
    calibrated: bool = False
    """Whether a model's confidence was held against what people had decided before."""
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
    settle: Callable[[A, A, Calibration | None], tuple[A, tuple[str, ...]]]
    """The model's and the rules' answer in, and what the model's confidence was worth, None where that is not
    known; what stands and the keys they differ on out."""
    confidence: Callable[[A], float]
    calibrations: OfModels = field(default_factory=dict)
    """Of the models that people have judged often enough."""


def judged(question: Question[A], *, ask: Ask | None) -> Judged[A]:
    """The model's checked answer, or the rules' where there is no model or no answer of it is usable.

    An answer that is not usable is asked for again, each time in fewer words (`agents.prompts`). Whatever
    else goes wrong in asking, rules judge: what is a fault of the facts, they raise as well.
    """
    if ask is None:
        return _by_rules(question, refused=())
    refused: list[str] = []
    for prompt in question.prompt.each_time():
        try:
            return _by_model(question, _stated(question, prompt, ask=ask), refused=tuple(refused))
        except NoAnswer as refusal:
            refused.append(_refusal(prompt, refusal))
            break
        except UnusableAnswer as refusal:
            refused.append(_refusal(prompt, refusal))
        except Exception as error:  # noqa: BLE001  (no model may stop a run; it is logged, named and shown)
            _note_unexpected(prompt, error)
            name = type(error).__name__
            refused.append(_refusal(prompt, f"an unexpected error, {name}: the log says where"))
            break
    return _by_rules(question, refused=tuple(refused))


def _refusal(prompt: Prompt, why: UnusableAnswer | str) -> str:
    return f"{prompt.receipt.model or 'model'}: {why}"


def _note_unexpected(prompt: Prompt, error: Exception) -> None:
    """The kind of error and the lines it came through, never its words: they may hold facts or answers."""
    lines = traceback.extract_tb(error.__traceback__)
    told = {
        "agent": prompt.agent,
        "error": type(error).__name__,
        "where": "\n".join(f"{line.filename}:{line.lineno} in {line.name}" for line in lines),
    }
    log.error("asking a model for %(agent)s failed with %(error)s: rules judge", told, extra=told)


def _stated(question: Question[A], prompt: Prompt, *, ask: Ask) -> A:
    """One answer, held against the facts. Raises `UnusableAnswer`."""
    stated = ask(prompt, answer=question.answer)
    if not isinstance(stated, question.answer):
        raise UnusableAnswer(f"wrong type: {type(stated).__name__}, not {question.answer.__name__}")
    question.check(stated)
    return stated


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


def counted(confidence: float, *, disputed: bool, calibration: Calibration | None) -> float:
    """What a model's stated confidence counts for: as often as it was right before.

    While that is not known it counts as stated, capped where the rules judge otherwise.
    """
    if calibration is not None:
        return calibration(confidence)
    return min(confidence, CONFIDENCE_IN_DISPUTE) if disputed else confidence


def _by_rules(question: Question[A], *, refused: tuple[str, ...]) -> Judged[A]:
    answer = question.by_rules()
    return _judged(question, answer, stated=answer, second=answer, source=Source.RULES, refused=refused)


def _by_model(question: Question[A], stated: A, *, refused: tuple[str, ...]) -> Judged[A]:
    rules = question.by_rules()
    receipt = question.prompt.receipt
    calibration = question.calibrations.get(receipt.model) if receipt.model else None
    answer, disagreed = question.settle(stated, rules, calibration)
    judged = _judged(question, answer, stated=stated, second=rules, source=receipt.source, refused=refused)
    return replace(
        judged,
        model=receipt.model,
        stated=stated,
        calibrated=calibration is not None,
        disagreed=disagreed,
        question=receipt.question,
    )


def _judged(
    question: Question[A], answer: A, *, stated: A, second: A, source: Source, refused: tuple[str, ...]
) -> Judged[A]:
    receipt = question.prompt.receipt
    return Judged(
        agent=question.prompt.agent,
        answer=answer,
        source=source,
        confidence=question.confidence(answer),
        raw_confidence=question.confidence(stated),
        model=None,
        prompt_version=question.prompt.version,
        temperature=receipt.temperature,
        tokens_in=receipt.tokens_in,
        tokens_out=receipt.tokens_out,
        tokens_thought=receipt.tokens_thought,
        latency_ms=receipt.latency_ms,
        valid=not refused,
        facts=question.prompt.facts,
        second=second,
        refused=refused,
    )


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one + (other or 0)


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "answer"


def _repeated(keys: Sequence[str]) -> list[str]:
    return sorted(key for key, times in Counter(keys).items() if times > 1)
