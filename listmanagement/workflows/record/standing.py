"""The record as it stands: what confidences were worth, by agent and judge; and what follows from that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agents.asking import Calibrations, Record
from agents.list_health import Grade
from agents.rebalancing import Choice
from listmanagement.domain import calibration
from listmanagement.domain.bounces import BounceClass
from listmanagement.domain.calibration import Curve
from listmanagement.domain.record import Figures, Label, Share, figures, interval, upheld
from listmanagement.models import Agent, AgentVerdict
from listmanagement.workflows.record import gathering
from listmanagement.workflows.record.gathering import Opinion, Outcomes, Overrides

JUDGED_BY_PEOPLE = (Agent.LIST_HEALTH, Agent.OPTIMIZATION, Agent.REBALANCING)
"""Agents that labels tell of. A report is checked by code, number by number, so its confidence is 1."""


class Judge(StrEnum):
    """Whose opinion is held against what became of it."""

    STOOD = "what stood"  # with the confidence that autonomy went by
    MODEL = "the model, as stated"
    RULES = "the rules"


@dataclass(frozen=True)
class AgentRecord:
    """One agent: how good each of its judges is, and how often people said otherwise."""

    agent: Agent
    judges: Mapping[Judge, Figures]
    override: Share
    """Of what reviewers were asked about."""
    curve: Curve | None
    """What the model's statements are worth; None until there are labels enough."""
    to_calibrate: int
    """Labels of the model's statements: 200 calibrate them."""


@dataclass(frozen=True)
class JudgementRecord:
    """All agents, from what was stored when it was read."""

    since: datetime | None
    agents: tuple[AgentRecord, ...]


def read(*, since: datetime | None = None) -> JudgementRecord:
    """The whole record, of judgements made since then; of all there are without it. Five queries."""
    kept = gathering.of_the_kept(since=since)
    contacts = gathering.overrides_of_contacts(since=since)
    agents = []
    for agent in JUDGED_BY_PEOPLE:
        own = gathering.of(agent, since=since)
        of_contacts = agent is Agent.OPTIMIZATION
        overrides = contacts if of_contacts else gathering.overrides(own, agent)
        agents.append(_agent(agent, own, kept=kept if of_contacts else [], overrides=overrides))
    return JudgementRecord(since=since, agents=tuple(agents))


def _agent(
    agent: Agent, outcomes: Sequence[Outcomes], *, kept: Sequence[Label], overrides: Overrides
) -> AgentRecord:
    stated = labels(outcomes, Judge.MODEL)
    return AgentRecord(
        agent=agent,
        judges={
            Judge.STOOD: figures([*labels(outcomes, Judge.STOOD), *kept]),
            Judge.MODEL: figures(stated),
            Judge.RULES: figures(labels(outcomes, Judge.RULES)),
        },
        override=_share(overrides),
        curve=calibration.curve(stated),
        to_calibrate=sum(label.times for label in stated if label.confidence is not None),
    )


def _share(overrides: Overrides) -> Share:
    of = overrides.reviewed
    low, high = interval(overrides.overridden / of, of=of) if of else (0.0, 1.0)
    return Share(part=overrides.overridden, of=of, labels=of, low=low, high=high)


def labels(outcomes: Iterable[Outcomes], judge: Judge) -> list[Label]:
    """What this judge's opinions turned out to be; none where it had none."""
    found = ((each, _opinion(each, judge)) for each in outcomes)
    given = (each.label(opinion) for each, opinion in found if opinion is not None)
    return [label for label in given if label is not None]


def _opinion(outcomes: Outcomes, judge: Judge) -> Opinion | None:
    return {Judge.STOOD: outcomes.stood, Judge.MODEL: outcomes.stated, Judge.RULES: outcomes.rules}[judge]


# --- What follows for the next judgement -------------------------------------------------------------


def calibrations(agents: Iterable[Agent] = JUDGED_BY_PEOPLE) -> Calibrations:
    """By agent, what its model's statements have been worth, for those of them with labels enough."""
    if not AgentVerdict.objects.exclude(stated="").exists():
        return {}
    curves = {agent.value: calibration.curve(labels(gathering.of(agent), Judge.MODEL)) for agent in agents}
    return {agent: curve for agent, curve in curves.items() if curve is not None}


def by_class() -> dict[BounceClass, Record]:
    """How often it was right where the rules would suppress, by class of failure. One query."""
    proposed = [each for each in gathering.of_contacts() if each.rules.verdict == gathering.SUPPRESS]
    return {BounceClass(name): record for name, record in _records(proposed).items()}


def by_grade() -> dict[Grade, Record]:
    """How often reviewers agreed with each grade that the rules gave. One query."""
    return {Grade(name): record for name, record in _records(gathering.of_lists()).items()}


def by_choice() -> dict[Choice, Record]:
    """How often reviewers approved what came of each choice of the rules. One query."""
    return {Choice(name): record for name, record in _records(gathering.of_plans()).items()}


def _records(outcomes: Iterable[Outcomes]) -> dict[str, Record]:
    """The rules' record, by what it is kept by. Labels that stand for many are not many labels."""
    found: dict[str, list[Label]] = defaultdict(list)
    for each in outcomes:
        label = each.label(each.rules)
        if label is not None:
            found[each.kept_by].append(label)
    records = {}
    for name, of_it in found.items():
        right, number = upheld(of_it)
        records[name] = Record(upheld=right, labels=number)
    return records
