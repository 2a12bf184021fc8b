"""What an evaluation comes to: accuracy, precision, recall, false positives, confidence, agreement."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from agents import optimization
from agents.asking import Source
from agents.evaluate import Call, Evaluation, Mark
from agents.optimization import Verdict


@dataclass(frozen=True)
class Share:
    """So many of so many."""

    count: int
    of: int

    @property
    def share(self) -> float | None:
        """0 to 1; None of none."""
        return self.count / self.of if self.of else None


@dataclass(frozen=True)
class Agreement:
    """How far two labellers, who did not see each other's labels, agree."""

    same: Share
    kappa: float | None
    """Cohen's: 1 is full agreement, 0 what chance alone brings; None where there is only one label."""


@dataclass(frozen=True)
class ByAnswer:
    """How well one answer was given."""

    precision: Share
    """Right ÷ given."""
    recall: Share
    """Right ÷ wanted."""


@dataclass(frozen=True)
class Score:
    """One agent's."""

    accuracy: Share
    accuracy_where_open: Share
    """Of what the policy had not settled."""
    by_answer: Mapping[str, ByAnswer]
    false_positives: Share | None
    """Suppressed ÷ labelled hold or keep; None for agents that suppress nobody."""
    confidence: float | None
    """On average over the answers."""
    valid: Share
    """Questions to which a usable answer came, within the repeats."""
    valid_at_once: Share
    by_rules: int
    """Questions that rules answered."""


def score(evaluation: Evaluation, *, agent: str) -> Score:
    """What one agent achieved."""
    marks = [mark for mark in evaluation.marks if mark.agent == agent]
    calls = [call for call in evaluation.calls if call.agent == agent]
    return Score(
        accuracy=_right(marks),
        accuracy_where_open=_right([mark for mark in marks if mark.open]),
        by_answer=_by_answer(marks),
        false_positives=_false_positives(marks) if agent == optimization.AGENT else None,
        confidence=sum(mark.confidence for mark in marks) / len(marks) if marks else None,
        valid=_share(calls, lambda call: call.usable),
        valid_at_once=_share(calls, lambda call: call.usable and not call.refused),
        by_rules=sum(call.source is Source.RULES for call in calls),
    )


def misses(evaluation: Evaluation) -> list[Mark]:
    """Every answer that is not the label."""
    return [mark for mark in evaluation.marks if not mark.is_right]


def same_each_time(evaluations: Sequence[Evaluation]) -> Share:
    """Of the things judged, how many were answered alike in all repeats."""
    answers: dict[tuple[str, str, str], set[str]] = {}
    for evaluation in evaluations:
        for mark in evaluation.marks:
            answers.setdefault((mark.agent, mark.scenario, mark.subject), set()).add(mark.answered)
    return Share(sum(len(given) == 1 for given in answers.values()), len(answers))


def agreement(pairs: Sequence[tuple[str, str]]) -> Agreement:
    """Of two labellers' labels for the same things, in pairs."""
    same = sum(first == second for first, second in pairs)
    share = Share(same, len(pairs))
    firsts, seconds = Counter(first for first, _ in pairs), Counter(second for _, second in pairs)
    by_chance = sum(firsts[label] * seconds[label] for label in firsts)
    everything = len(pairs) ** 2
    if by_chance == everything:
        return Agreement(share, None)
    return Agreement(share, (same * len(pairs) - by_chance) / (everything - by_chance))


def _right(marks: Sequence[Mark]) -> Share:
    return Share(sum(mark.is_right for mark in marks), len(marks))


def _by_answer(marks: Sequence[Mark]) -> dict[str, ByAnswer]:
    given, wanted = Counter(mark.answered for mark in marks), Counter(mark.expected for mark in marks)
    right = Counter(mark.answered for mark in marks if mark.is_right)
    return {
        answer: ByAnswer(Share(right[answer], given[answer]), Share(right[answer], wanted[answer]))
        for answer in sorted(set(given) | set(wanted))
    }


def _false_positives(marks: Iterable[Mark]) -> Share:
    """Where contacts of one group were answered differently, one suppression among them is enough."""
    spared = [mark for mark in marks if mark.expected != Verdict.SUPPRESS]
    return Share(sum(Verdict.SUPPRESS in mark.answered.split(" and ") for mark in spared), len(spared))


def _share(calls: Sequence[Call], is_met: Callable[[Call], bool]) -> Share:
    return Share(sum(is_met(call) for call in calls), len(calls))
