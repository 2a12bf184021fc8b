"""The rebalancing agent: whether the solver's plan runs now, waits, or runs without its moves.

The plan itself is exact and made elsewhere. The agent only chooses between its forms and says why.
"""

from enum import StrEnum
from functools import partial
from typing import Annotated

from pydantic import Field

from agents import prompts, prose
from agents.asking import (
    NO_MODEL_KNOWN,
    NO_RECORD,
    Answer,
    Ask,
    Calibration,
    Confidence,
    Fact,
    Judged,
    OfModels,
    Question,
    Record,
    UnusableAnswer,
    Word,
    confidence_of_rules,
    counted,
    judged,
)

AGENT = "rebalancing"
INSTRUCTIONS = prompts.read(AGENT)

TOO_CLOSE_HOURS = 3.0
"""Before the next send nothing is started any more: two hours of freeze, and one for Mailjet's jobs."""

PLACEHOLDERS = frozenset(
    {"moves", "placements", "waiting", "deviation", "threshold", "deviation_now", "deviation_backfill"}
    | {"hours", "sizes", "sizes_now", "sizes_backfill"}
)
"""What prose about the plan may leave to code, see `numbers`."""


class Choice(StrEnum):
    """The forms of the plan."""

    NOW = "now"
    DEFER = "defer"
    BACKFILL_ONLY = "backfill_only"


class PlanFigures(Fact):
    """What one form of the plan leads to."""

    moves: int = Field(ge=0)
    placements: int = Field(ge=0)
    sizes: dict[Word, int]
    """Mailable members by list afterwards."""
    deviation: float = Field(ge=0)
    """Largest distance from the mean size afterwards, in percent."""


class RebalancingFacts(Fact):
    """The lists as they are, and what the plan would make of them."""

    sizes: dict[Word, int]
    """Mailable members by list, in the rotation's order."""
    deviation: float = Field(ge=0)
    """Largest distance from the mean size, in percent."""
    threshold: float = Field(ge=0)
    """The deviation above which lists are evened out, in percent."""
    now: PlanFigures
    """With the moves it wants, also where they are not allowed yet."""
    backfill_only: PlanFigures
    waiting: int = Field(ge=0)
    """Backlog that the plan leaves for another time."""
    between_cycles: bool
    """After a cycle's last round and before the next one's first: the only time for moves."""
    hours_to_next_send: float | None
    """Until the earliest send of a list concerned; None where none is scheduled."""
    records: dict[Choice, Record] = {}
    """How often people agreed with each choice of the rules; one that is not in it was never judged."""


class Recommendation(Answer):
    """The form chosen; the rationale stands first so that a model reasons before it decides."""

    rationale: Annotated[str, Field(min_length=1, max_length=800)]
    """For the reviewer: prose with placeholders, see `PLACEHOLDERS`."""
    choice: Choice
    confidence: Confidence


def judge(
    facts: RebalancingFacts, *, ask: Ask | None, calibrations: OfModels = NO_MODEL_KNOWN
) -> Judged[Recommendation]:
    """The choice that stands: a model's where it is asked and usable, else the rules', and which it was.

    A model is not asked where the plan is empty. `calibrations` are of models'
    statements, of each once they are known.
    """
    question = Question(
        prompt=INSTRUCTIONS.about(facts.model_dump(mode="json"), agent=AGENT),
        answer=Recommendation,
        by_rules=partial(by_rules, facts),
        check=partial(_check, facts=facts),
        settle=_settle,
        confidence=lambda answer: answer.confidence,
        calibrations=calibrations,
    )
    return judged(question, ask=None if _is_empty(facts.now) else ask)


def by_rules(facts: RebalancingFacts) -> Recommendation:
    """The most the cycle and the next send allow, without moves that placements make needless."""
    choice, why = _choice(facts)
    return Recommendation(
        rationale=why,
        choice=choice,
        confidence=confidence_of_rules(facts.records.get(choice, NO_RECORD)),
    )


def explain(recommendation: Recommendation, *, facts: RebalancingFacts) -> str:
    """The rationale with the plan's numbers."""
    return prose.fill(recommendation.rationale, numbers(facts))


def numbers(facts: RebalancingFacts) -> dict[str, int | float | str]:
    """What code fills into prose about this plan; deviations in percent, sizes in the rotation's order."""
    hours = facts.hours_to_next_send
    return {
        "moves": facts.now.moves,
        "placements": facts.now.placements,
        "waiting": facts.waiting,
        "deviation": prose.percent(facts.deviation / 100),
        "threshold": prose.percent(facts.threshold / 100),
        "deviation_now": prose.percent(facts.now.deviation / 100),
        "deviation_backfill": prose.percent(facts.backfill_only.deviation / 100),
        "hours": "unknown" if hours is None else round(max(hours, 0.0), 1),
        "sizes": prose.sizes(facts.sizes.values()),
        "sizes_now": prose.sizes(facts.now.sizes.values()),
        "sizes_backfill": prose.sizes(facts.backfill_only.sizes.values()),
    }


def _check(answer: Recommendation, *, facts: RebalancingFacts) -> None:
    prose.check_prose(answer.rationale, known=PLACEHOLDERS, where="rationale")
    if answer.choice is not Choice.DEFER and _is_too_close(facts):
        raise UnusableAnswer(f"too wide: {answer.choice} so shortly before a send")
    if answer.choice is Choice.NOW and facts.now.moves and not facts.between_cycles:
        raise UnusableAnswer("too wide: moves in the middle of a cycle")
    if answer.choice is Choice.BACKFILL_ONLY and _is_empty(facts.backfill_only):
        raise UnusableAnswer("no such plan: backfill_only without a placement")


def _settle(
    stated: Recommendation, rules: Recommendation, calibration: Calibration | None
) -> tuple[Recommendation, tuple[str, ...]]:
    disputed = stated.choice is not rules.choice
    confidence = counted(stated.confidence, disputed=disputed, calibration=calibration)
    return stated.model_copy(update={"confidence": confidence}), ("choice",) if disputed else ()


def _choice(facts: RebalancingFacts) -> tuple[Choice, str]:
    if _is_empty(facts.now):
        return Choice.NOW, _NOTHING_TO_DO
    if _is_too_close(facts):
        return Choice.DEFER, _TOO_CLOSE
    if facts.now.moves and not facts.between_cycles:
        return _without_moves(facts, why=_MID_CYCLE)
    if facts.now.moves and facts.backfill_only.deviation <= facts.threshold:
        return _without_moves(facts, why=_MOVES_NEEDLESS)
    return Choice.NOW, _now(facts)


def _without_moves(facts: RebalancingFacts, *, why: str) -> tuple[Choice, str]:
    if _is_empty(facts.backfill_only):
        return Choice.DEFER, f"{why} There is nothing to place meanwhile."
    return (
        Choice.BACKFILL_ONLY,
        f"{why} {_PLACED} {_THEN_WITHOUT_MOVES}",
    )


def _now(facts: RebalancingFacts) -> str:
    placed = f"{_PLACED} " if facts.now.placements else ""
    moved = f"{_MOVED} " if facts.now.moves else ""
    waits = f" {_WAITING}" if facts.waiting else ""
    return f"{placed}{moved}{_THEN}{waits}"


_NOTHING_TO_DO = (
    "Nobody waits to be placed and nobody needs to move: the lists stand at {sizes}, at most {deviation} "
    "from their mean, where up to {threshold} is accepted."
)
_TOO_CLOSE = (
    "The next send is so close ({hours} {hours|hour|hours}) that changes might not be finished before it. "
    "Everything is planned again afterwards."
)
_MID_CYCLE = (
    "A cycle is under way, and whoever moves now could get its message twice or not at all: "
    "{moves} {moves|move waits|moves wait} for its end."
)
_MOVES_NEEDLESS = "Placements alone bring the lists within {threshold} of their mean, so nobody has to move."
_PLACED = (
    "{placements} {placements|contact|contacts} from the backlog {placements|fills|fill} the smaller lists."
)
_MOVED = "{moves} {moves|contact moves|contacts move}, the fewest that even the lists out."
_THEN = "The lists then stand at {sizes_now}, at most {deviation_now} from their mean."
_THEN_WITHOUT_MOVES = "They then stand at {sizes_backfill}, at most {deviation_backfill} from their mean."
_WAITING = "{waiting} more {waiting|waits|wait} in the backlog."


def _is_too_close(facts: RebalancingFacts) -> bool:
    return facts.hours_to_next_send is not None and facts.hours_to_next_send < TOO_CLOSE_HOURS


def _is_empty(plan: PlanFigures) -> bool:
    return plan.moves == 0 and plan.placements == 0
