"""An evaluation as one JSON document, and what two of them differ in."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents import list_health, optimization, rebalancing, reporting, scores
from agents.evaluate import AGENTS, Case, Evaluation, Mark
from agents.rebalancing import Choice
from agents.scores import Agreement, Score, Share
from listmanagement.evaluation import blind
from listmanagement.evaluation.facts import same_effect
from listmanagement.evaluation.reading import Scenario

MOVED_AT_MOST, DEVIATION_BELOW = 0.10, 2.0
"""Of all members; percent from the mean: what a rebalancing keeps to where the lists allow it."""


@dataclass(frozen=True)
class Limit:
    """What a figure has to reach."""

    figure: str
    value: float | None
    above: float | None = None
    below: float | None = None

    @property
    def is_held(self) -> bool:
        """Whether it does. A figure of nothing does not."""
        if self.value is None:
            return False
        return (self.above is None or self.value > self.above) and (
            self.below is None or self.value < self.below
        )

    def as_json(self) -> dict[str, Any]:
        """As other programs read it."""
        sides = {"above": self.above, "below": self.below}
        given = {name: limit for name, limit in sides.items() if limit is not None}
        return {"figure": self.figure, "value": _rounded(self.value), **given, "held": self.is_held}


def written(
    repeats: Sequence[Evaluation], *, scenarios: Sequence[Scenario], cases: Sequence[Case]
) -> dict[str, Any]:
    """The figures of the first evaluation, its misses, and how far its repeats agree with it."""
    first = repeats[0]
    asked = {call.agent for call in first.calls}
    agents = [agent for agent in AGENTS if agent in asked]
    found = {agent: scores.score(first, agent=agent) for agent in agents}
    return {
        "judged_by": sorted({call.source.value for call in first.calls}),
        "scenarios": len(scenarios),
        "labels": len(first.marks),
        "corrected": {
            scenario.name: dict(scenario.corrected) for scenario in scenarios if scenario.corrected
        },
        "agents": {agent: _score(one) for agent, one in found.items()},
        "rebalancings": list(_rebalancings(cases)) if rebalancing.AGENT in agents else [],
        "repeats": {"times": len(repeats), "same_each_time": _share(scores.same_each_time(repeats))},
        "limits": [limit.as_json() for agent, one in found.items() for limit in _limits(agent, one)],
        "misses": [_miss(mark) for mark in scores.misses(first)],
        "refused": [
            {"agent": call.agent, "scenario": call.scenario, "why": list(call.refused)}
            for call in first.calls
            if call.refused
        ],
        "answers": {_key(mark): mark.answered for mark in first.marks},
    }


def labellers(
    scenarios: Sequence[Scenario], second: Mapping[str, Mapping[str, str]], *, agents: Collection[str]
) -> dict[str, Any]:
    """How far the first labelling, before any correction, and the blind second one agree.

    Only on what these agents are asked about.
    """
    pairs: dict[str, list[tuple[str, str]]] = {}
    differ: list[dict[str, str]] = []
    for scenario in scenarios:
        for key, label in blind.first_labels(scenario).items():
            if _LABELLED[_kind(scenario, key)] not in agents:
                continue
            other = second[scenario.number][key]
            if key == blind.REBALANCING and _same_choice(scenario, label, other):
                other = label
            pairs.setdefault(_kind(scenario, key), []).append((label, other))
            if label != other:
                differ.append({"scenario": scenario.name, "what": key, "first": label, "second": other})
    return {
        **{kind: _agreement(scores.agreement(found)) for kind, found in sorted(pairs.items())},
        "differences": differ,
    }


_LABELLED = {
    "groups": optimization.AGENT,
    "lists": list_health.AGENT,
    "rebalancing": rebalancing.AGENT,
}
"""Whose answers are held against which labels."""


def right_by(
    evaluation: Evaluation, scenarios: Sequence[Scenario], labels: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """By agent, how many answers are right by other labels: those first written, or the second ones."""
    by_name = {scenario.name: scenario for scenario in scenarios}
    right: dict[str, list[bool]] = {}
    for mark in evaluation.marks:
        scenario = by_name[mark.scenario]
        label = labels[scenario.number].get(mark.subject) if mark.agent != reporting.AGENT else None
        if label is not None:
            is_same = mark.subject == blind.REBALANCING and _same_choice(scenario, label, mark.answered)
            right.setdefault(mark.agent, []).append(is_same or mark.answered == label)
    return {agent: _share(Share(sum(found), len(found))) for agent, found in right.items()}


def is_one(stored: object) -> bool:
    """Whether it is an evaluation, as far as two of them are compared."""
    if not isinstance(stored, Mapping):
        return False
    agents, answers = stored.get("agents"), stored.get("answers")
    return (
        isinstance(agents, Mapping)
        and isinstance(answers, Mapping)
        and all(isinstance(each, Mapping) and each.keys() >= set(_COMPARED) for each in agents.values())
        and all(isinstance(answer, str) for answer in answers.values())
    )


def compared(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """What changed from one evaluation to another: figures by agent, and every answer that differs."""
    agents = [agent for agent in one["agents"] if agent in other["agents"]]
    both = sorted(set(one["answers"]) & set(other["answers"]))
    return {
        "agents": {
            agent: {name: [one["agents"][agent][name], other["agents"][agent][name]] for name in _COMPARED}
            for agent in agents
        },
        "answers_in_both": len(both),
        "only_in_one": sorted(set(one["answers"]) ^ set(other["answers"])),
        "differing": {
            key: [one["answers"][key], other["answers"][key]]
            for key in both
            if one["answers"][key] != other["answers"][key]
        },
    }


_COMPARED = ("accuracy", "accuracy_where_open", "false_positives", "confidence", "valid")


def _same_choice(scenario: Scenario, label: str, other: str) -> bool:
    assert scenario.rebalancing is not None
    return Choice(other) in same_effect(scenario.rebalancing, Choice(label))


def _kind(scenario: Scenario, key: str) -> str:
    if key == blind.REBALANCING:
        return "rebalancing"
    return "groups" if key in {group.name for group in scenario.groups} else "lists"


def _limits(agent: str, score: Score) -> Iterator[Limit]:
    if agent == list_health.AGENT:
        yield Limit("list_health accuracy", score.accuracy.share, above=0.90)
    if agent == optimization.AGENT and score.false_positives is not None:
        yield Limit("optimization accuracy", score.accuracy.share, above=0.95)
        yield Limit("optimization false positives", score.false_positives.share, below=0.05)
    if agent == reporting.AGENT:
        yield Limit("reporting accuracy", score.accuracy.share, above=0.95)
    yield Limit(f"{agent} average confidence", score.confidence, above=0.85)
    yield Limit(f"{agent} valid", score.valid.share, above=0.99)


def _rebalancings(cases: Iterable[Case]) -> Iterator[dict[str, Any]]:
    """What moving means where it is right to move: the fewest moves there are, and what they reach."""
    for case in cases:
        facts, label = case.rebalancing, case.choice
        if facts is None or label is None or label.choice is not Choice.NOW or not facts.now.moves:
            continue
        share = facts.now.moves / sum(facts.now.sizes.values())
        yield {
            "scenario": case.scenario,
            "moves": facts.now.moves,
            "of": sum(facts.now.sizes.values()),
            "share_moved": round(share, 4),
            "deviation_after": round(facts.now.deviation, 2),
            "within": share < MOVED_AT_MOST and facts.now.deviation < DEVIATION_BELOW,
        }


def _score(score: Score) -> dict[str, Any]:
    return {
        "accuracy": _share(score.accuracy),
        "accuracy_where_open": _share(score.accuracy_where_open),
        "false_positives": _share(score.false_positives) if score.false_positives else None,
        "confidence": _rounded(score.confidence),
        "valid": _share(score.valid),
        "valid_at_once": _share(score.valid_at_once),
        "answered_by_rules": score.by_rules,
        "by_answer": {
            answer: {"precision": _share(one.precision), "recall": _share(one.recall)}
            for answer, one in score.by_answer.items()
        },
    }


def _share(share: Share) -> dict[str, Any]:
    return {"count": share.count, "of": share.of, "share": _rounded(share.share)}


def _agreement(found: Agreement) -> dict[str, Any]:
    return {**_share(found.same), "kappa": _rounded(found.kappa)}


def _miss(mark: Mark) -> dict[str, Any]:
    return {
        "agent": mark.agent,
        "scenario": mark.scenario,
        "what": mark.subject,
        "about": mark.about,
        "expected": mark.expected,
        "answered": mark.answered,
        "false_positive": mark.agent == optimization.AGENT and "suppress" in mark.answered.split(" and "),
        "confidence": _rounded(mark.confidence),
        "labelled_because": mark.why,
        "answered_because": mark.rationale,
    }


def _key(mark: Mark) -> str:
    return f"{mark.agent}/{mark.scenario}/{mark.subject}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
