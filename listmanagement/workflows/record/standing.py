"""The record as it stands: what confidences were worth, by agent and judge; and what follows from that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agents import prompts
from agents.asking import Calibrations, OfModels, Record
from agents.list_health import Grade
from agents.rebalancing import Choice
from listmanagement.domain import calibration
from listmanagement.domain.bounces import BounceClass
from listmanagement.domain.calibration import Curve
from listmanagement.domain.record import (
    Figures,
    Label,
    Share,
    effective,
    figures,
    interval,
    judgements,
    upheld,
    whole,
)
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
class ModelRecord:
    """A model that was asked with one version of an agent's prompt: another's labels say nothing of it."""

    model: str
    prompt_version: str
    labels: int
    """Independent ones of its statements: 200 calibrate them."""
    curve: Curve | None
    """What its statements are worth; None until there are labels enough."""
    is_asked: bool
    """With the prompt as it now is."""

    @property
    def told(self) -> str:
        """Such as "gemini-x with optimization-2: not calibrated, 6 of 200 independent labels"."""
        state = "calibrated from" if self.curve else "not calibrated,"
        of = f"{self.labels:,}" if self.curve else f"{self.labels:,} of {calibration.ENOUGH_LABELS}"
        past = "" if self.is_asked else "; that prompt is no longer used"
        return f"{self.model} with {self.prompt_version}: {state} {of} independent labels{past}"


NO_MODEL = f"no model is calibrated: 0 of {calibration.ENOUGH_LABELS} independent labels"
"""What is told where no model's statement has a label."""


@dataclass(frozen=True)
class AgentRecord:
    """One agent: how good each of its judges is, and how often people said otherwise."""

    agent: Agent
    judges: Mapping[Judge, Figures]
    override: Share
    """Of what reviewers were asked about."""
    models: tuple[ModelRecord, ...]
    """Whose statements have labels, whom the next question goes to first, if it is known."""


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
    return AgentRecord(
        agent=agent,
        judges={
            Judge.STOOD: figures([*labels(outcomes, Judge.STOOD), *kept]),
            Judge.MODEL: figures(labels(outcomes, Judge.MODEL)),
            Judge.RULES: figures(labels(outcomes, Judge.RULES)),
        },
        override=_share(overrides),
        models=_models(agent, outcomes),
    )


def _models(agent: Agent, outcomes: Iterable[Outcomes]) -> tuple[ModelRecord, ...]:
    """By model and version of the prompt, those first whose prompt is the present one."""
    stated: dict[tuple[str, str], list[Label]] = defaultdict(list)
    for each in outcomes:
        found = labels([each], Judge.MODEL)
        stated[each.model, each.prompt_version] += [label for label in found if label.confidence is not None]
    now = prompts.read(agent.value).version
    models = [
        ModelRecord(
            model=model,
            prompt_version=version,
            labels=whole(effective(judgements(of_it))),
            curve=calibration.curve(of_it),
            is_asked=version == now,
        )
        for (model, version), of_it in stated.items()
        if of_it
    ]
    return tuple(sorted(models, key=lambda each: (not each.is_asked, -each.labels, each.model)))


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
    """By agent and model, what its statements have been worth, where there are labels enough.

    Of answers to the prompt as it now is: in other words the same model is another judge.
    """
    if not AgentVerdict.objects.exclude(stated="").exists():
        return {}
    return {agent.value: curves for agent in agents if (curves := _curves(agent))}


def _curves(agent: Agent) -> OfModels:
    models = _models(agent, gathering.of(agent))
    return {each.model: each.curve for each in models if each.is_asked and each.curve is not None}


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
    """The rules' record, by what it is kept by: of judgements, not of contacts."""
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
