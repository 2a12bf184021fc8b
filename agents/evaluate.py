"""Labelled scenarios in, precision and recall out: how well the agents judge, by rules or by a model.

Labels speak of what people care about: what becomes of these contacts, how this list is, which form of a plan
is right, what a manager must be told. Every answer is asked for through the agents' own `judge`, so what is
measured is what production does.

Confidence of rules is taken as in production from how often their verdicts were upheld, here by the labels of
all other scenarios.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from pydantic import BaseModel

from agents import list_health, optimization, prose, rebalancing, reporting
from agents.asking import ENOUGH_LABELS, Ask, Judged, Record, Source, UnusableAnswer
from agents.list_health import Assessment, Cause, Grade, HealthFacts, ListFact
from agents.optimization import CohortFact, CohortVerdict, Verdict
from agents.rebalancing import Choice, RebalancingFacts
from agents.reporting import Report, ReportFacts

A = TypeVar("A", bound=BaseModel)

NOT_RULED_ON = "no cohort"
"""Stands for a cohort's key where the policy has nothing to say of a failure, and so keeps the contacts."""


@dataclass(frozen=True)
class GroupLabel:
    """Contacts of one fate, the cohorts they are in, and what should become of them."""

    name: str
    cohorts: tuple[str, ...]
    """More than one where the policy tells them apart; none where it has nothing to say of them."""
    verdict: Verdict
    why: str


@dataclass(frozen=True)
class ListLabel:
    """How a list is, and what explains it."""

    list: str
    grade: Grade
    cause: Cause
    why: str


@dataclass(frozen=True)
class ChoiceLabel:
    """Which form of a plan is right."""

    choice: Choice
    same: frozenset[Choice]
    """The choices with the same effect, itself among them."""
    why: str


@dataclass(frozen=True)
class ReportLabel:
    """The figures a manager must be told of, by their names."""

    names: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Case:
    """What the agents are asked about one scenario, and what they should answer."""

    scenario: str
    cohorts: tuple[CohortFact, ...]
    groups: tuple[GroupLabel, ...]
    health: HealthFacts | None
    lists: tuple[ListLabel, ...]
    rebalancing: RebalancingFacts | None
    choice: ChoiceLabel | None
    report: ReportFacts | None
    told: ReportLabel | None


@dataclass(frozen=True)
class Mark:
    """One label beside its answer."""

    agent: str
    scenario: str
    subject: str
    """The group, the list, or the plan or report itself."""
    about: str
    """What was judged: cohorts' keys, a list's, or the agent's name again."""
    expected: str
    answered: str
    confidence: float
    open: bool
    """Whether the agent had a choice, or the policy had settled it."""
    why: str
    """The label's reason."""
    rationale: str
    """The answer's, with its numbers."""

    @property
    def is_right(self) -> bool:
        """Whether the answer is the label."""
        return self.answered == self.expected


@dataclass(frozen=True)
class Call:
    """One question to an agent, and what came of it."""

    agent: str
    scenario: str
    source: Source
    usable: bool
    """Whether who was asked gave an answer that passes the agent's checks, within the repeats."""
    refused: tuple[str, ...]
    """Why answers were refused, in the order of asking."""


@dataclass(frozen=True)
class Evaluation:
    """All marks and calls of one evaluation."""

    marks: tuple[Mark, ...]
    calls: tuple[Call, ...]


def evaluate(cases: Sequence[Case], *, agents: Collection[str], ask: Ask | None) -> Evaluation:
    """Ask each agent about each scenario that has something for it. None as `ask`: the rules judge."""
    labels = _labels(cases)
    marks: list[Mark] = []
    calls: list[Call] = []
    for case in cases:
        known = _Known(case.scenario, labels)
        for agent, examine in _EXAMINE.items():
            found = examine(case, known, ask) if agent in agents else None
            if found is not None:
                calls.append(found.call)
                marks.extend(found.marks)
    return Evaluation(tuple(marks), tuple(calls))


# What is known of the rules ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Label:
    """What one label says of one answer of the rules, and of what kind that was."""

    agent: str
    kind: str
    """The class of a cohort, the grade of a list, the choice of a form."""
    scenario: str
    upheld: bool


@dataclass(frozen=True)
class _Known:
    """The record that the rules have when a scenario is judged: the labels of all others."""

    scenario: str
    labels: Sequence[_Label]

    def of(self, agent: str, kind: str) -> Record:
        """How often answers of this kind were upheld; kinds with few labels are counted together."""
        others = [each for each in self.labels if each.agent == agent and each.scenario != self.scenario]
        counts = Counter(each.kind for each in others)
        if counts[kind] < ENOUGH_LABELS:
            counted = [each for each in others if counts[each.kind] < ENOUGH_LABELS]
        else:
            counted = [each for each in others if each.kind == kind]
        return Record(upheld=sum(each.upheld for each in counted), labels=len(counted))


def _labels(cases: Iterable[Case]) -> list[_Label]:
    """The rules' answers beside the labels, where the rules had a choice."""
    return [label for case in cases for judged in _JUDGED_BY_RULES for label in judged(case)]


def _cohort_labels(case: Case) -> Iterator[_Label]:
    """One a class, as in production: what failed alike in one campaign is one label, right as a whole."""
    cohorts = {cohort.key: cohort for cohort in case.cohorts}
    said = {one.cohort: one.verdict for one in optimization.by_rules(case.cohorts).verdicts}
    upheld: dict[str, bool] = {}
    for group in case.groups:
        for key in group.cohorts:
            if cohorts[key].region == "may":
                kind = cohorts[key].bounce
                upheld[kind] = upheld.get(kind, True) and said[key] is group.verdict
    for kind, was in upheld.items():
        yield _Label(optimization.AGENT, kind, case.scenario, was)


def _list_labels(case: Case) -> Iterator[_Label]:
    if case.health is None:
        return
    said = {one.list: one for one in list_health.by_rules(case.health).assessments}
    for label in case.lists:
        one = said[label.list]
        upheld = (one.grade, one.cause) == (label.grade, label.cause)
        yield _Label(list_health.AGENT, one.grade, case.scenario, upheld)


def _choice_labels(case: Case) -> Iterator[_Label]:
    if case.rebalancing is not None and case.choice is not None:
        choice = rebalancing.by_rules(case.rebalancing).choice
        yield _Label(rebalancing.AGENT, choice, case.scenario, choice in case.choice.same)


_JUDGED_BY_RULES = (_cohort_labels, _list_labels, _choice_labels)


# One agent, one scenario ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Examined:
    call: Call
    marks: Sequence[Mark]


def _call(case: Case, judged: Judged[A], *, asked: bool, is_sound: bool) -> Call:
    answered = judged.source is not Source.RULES if asked else is_sound
    return Call(judged.agent, case.scenario, judged.source, usable=answered, refused=judged.refused)


def _optimization(case: Case, known: _Known, ask: Ask | None) -> _Examined | None:
    if not case.groups:
        return None
    cohorts = [_with_record(cohort, known) for cohort in case.cohorts]
    judged = optimization.judge(cohorts, ask=ask)
    facts = {cohort.key: cohort for cohort in cohorts}
    said = {verdict.cohort: verdict for verdict in judged.answer.verdicts}
    sound = _is_sound(partial(_explained, one, facts[key]) for key, one in said.items())
    marks = [_group_mark(case, group, facts=facts, said=said) for group in case.groups]
    return _Examined(_call(case, judged, asked=ask is not None and bool(cohorts), is_sound=sound), marks)


def _with_record(cohort: CohortFact, known: _Known) -> CohortFact:
    record = known.of(optimization.AGENT, cohort.bounce)
    return cohort.model_copy(update={"upheld": record.upheld, "labels": record.labels})


def _explained(verdict: CohortVerdict, cohort: CohortFact) -> str:
    return optimization.explain(verdict, cohort=cohort, contacts=cohort.contacts, domain=cohort.domain_token)


def _group_mark(
    case: Case, group: GroupLabel, *, facts: Mapping[str, CohortFact], said: Mapping[str, CohortVerdict]
) -> Mark:
    verdicts = [said[key] for key in group.cohorts]
    answers = sorted({one.verdict.value for one in verdicts}) or [Verdict.KEEP.value]
    return Mark(
        agent=optimization.AGENT,
        scenario=case.scenario,
        subject=group.name,
        about=" and ".join(group.cohorts) or NOT_RULED_ON,
        expected=group.verdict.value,
        answered=" and ".join(answers),
        confidence=min((one.confidence for one in verdicts), default=1.0),
        open=any(facts[key].region == "may" for key in group.cohorts),
        why=group.why,
        rationale=" ".join(
            _filled(partial(_explained, one, facts[one.cohort]), one.rationale) for one in verdicts
        ),
    )


def _list_health(case: Case, known: _Known, ask: Ask | None) -> _Examined | None:
    if case.health is None:
        return None
    records = {grade: known.of(list_health.AGENT, grade) for grade in Grade}
    judged = list_health.judge(case.health.model_copy(update={"records": records}), ask=ask)
    facts = {fact.key: fact for fact in case.health.lists}
    said = {one.list: one for one in judged.answer.assessments}
    sound = _is_sound(partial(list_health.explain, one, fact=facts[key]) for key, one in said.items())
    marks = [_list_mark(case, label, said[label.list], fact=facts[label.list]) for label in case.lists]
    return _Examined(_call(case, judged, asked=ask is not None, is_sound=sound), marks)


def _list_mark(case: Case, label: ListLabel, one: Assessment, *, fact: ListFact) -> Mark:
    return Mark(
        agent=list_health.AGENT,
        scenario=case.scenario,
        subject=label.list,
        about=label.list,
        expected=f"{label.grade} {label.cause}",
        answered=f"{one.grade} {one.cause}",
        confidence=one.confidence,
        open=True,
        why=label.why,
        rationale=_filled(partial(list_health.explain, one, fact=fact), one.rationale),
    )


def _rebalancing(case: Case, known: _Known, ask: Ask | None) -> _Examined | None:
    if case.rebalancing is None or case.choice is None:
        return None
    records = {choice: known.of(rebalancing.AGENT, choice) for choice in Choice}
    facts = case.rebalancing.model_copy(update={"records": records})
    judged = rebalancing.judge(facts, ask=ask)
    said, label = judged.answer, case.choice
    nothing = not (facts.now.moves or facts.now.placements)
    mark = Mark(
        agent=rebalancing.AGENT,
        scenario=case.scenario,
        subject=rebalancing.AGENT,
        about=rebalancing.AGENT,
        expected=label.choice.value,
        answered=(label.choice if said.choice in label.same else said.choice).value,
        confidence=said.confidence,
        open=not nothing,
        why=label.why,
        rationale=_filled(partial(rebalancing.explain, said, facts=facts), said.rationale),
    )
    sound = _is_sound([partial(rebalancing.explain, said, facts=facts)])
    return _Examined(_call(case, judged, asked=ask is not None and not nothing, is_sound=sound), [mark])


def _reporting(case: Case, known: _Known, ask: Ask | None) -> _Examined | None:
    if case.report is None or case.told is None:
        return None
    judged = reporting.judge(case.report, ask=ask)
    told, numbers = _named(judged.answer), reporting.numbers(case.report)
    missing = [name for name in case.told.names if name not in told]
    mark = Mark(
        agent=reporting.AGENT,
        scenario=case.scenario,
        subject=reporting.AGENT,
        about=reporting.AGENT,
        expected="complete",
        answered=f"silent about {', '.join(missing)}" if missing else "complete",
        confidence=judged.confidence,
        open=True,
        why=case.told.why,
        rationale=_filled(partial(prose.fill, judged.answer.headline, numbers), judged.answer.headline),
    )
    sound = _is_sound([partial(reporting.render, judged.answer, numbers)])
    return _Examined(_call(case, judged, asked=ask is not None, is_sound=sound), [mark])


def _named(report: Report) -> frozenset[str]:
    """The figures that a report names; parts of what was held stand for the held, too."""
    passages = (report.headline, *report.summary, *report.actions)
    named = {name for text in passages for name in prose.placeholders(text)}
    return frozenset(named | ({"held"} if named & reporting.PARTS_OF_HELD else set()))


def _filled(explanation: Callable[[], str], template: str) -> str:
    """The prose with its numbers; as it was written where it cannot be filled."""
    try:
        return explanation()
    except UnusableAnswer:
        return template


def _is_sound(explanations: Iterable[Callable[[], object]]) -> bool:
    """Whether all prose can be filled with the run's own numbers."""
    for explanation in explanations:
        try:
            explanation()
        except UnusableAnswer:
            return False
    return True


_EXAMINE: Mapping[str, Callable[[Case, _Known, Ask | None], _Examined | None]] = {
    list_health.AGENT: _list_health,
    optimization.AGENT: _optimization,
    rebalancing.AGENT: _rebalancing,
    reporting.AGENT: _reporting,
}

AGENTS = tuple(_EXAMINE)
