"""The reporting agent on a week: how the lists are, what changed since the week before, what wants doing.

As in a run's report (`agents.reporting`) its author never writes a number, and what is bad or waits must not
be left out. Actions stand in the order of their urgency.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated

from pydantic import Field, model_validator

from agents import prompts, prose, reporting
from agents.asking import Ask, Fact, Judged, Question, Word, check_unique, judged
from agents.list_health import Cause, Grade
from agents.rebalancing import Choice
from agents.reporting import Report

INSTRUCTIONS = prompts.read("weekly_report")

_WORST_FIRST = (Grade.CRITICAL, Grade.POOR, Grade.WATCH, Grade.GOOD)

Count = Annotated[int, Field(ge=0)]


class Outcomes(Fact):
    """How the messages of a time ended, and what people said; opt-outs and complaints are contacts."""

    delivered: Count
    bounced: Count
    """Hard and soft, without what was not attempted."""
    hard: Count
    not_attempted: Count
    complained: Count
    opted_out: Count

    @model_validator(mode="after")
    def _adds_up(self) -> "Outcomes":
        if self.hard > self.bounced:
            raise ValueError(f"{self.hard} hard of {self.bounced} bounces")
        return self

    @property
    def arrived(self) -> int:
        """Messages that got there: who complains has got one, too."""
        return self.delivered + self.complained


class WeekOfList(Fact):
    """One campaign list now and a week ago."""

    key: Word
    size: Count
    """Mailable members."""
    size_before: Count | None
    """A week ago; None where nobody counted then."""
    grade: Grade
    grade_before: Grade | None
    cause: Cause
    outcomes: Outcomes
    """Of its campaigns in the time that is reported on."""


class WeekFacts(Fact):
    """All lists in figures; contacts unless said otherwise."""

    lists: tuple[WeekOfList, ...]
    """In the rotation's order."""
    before: Outcomes | None
    """Of all lists together in the time before; None where there was no campaign."""
    registered: Count
    """Everybody on the master list."""
    suppressed: Count
    held: Count
    backlog: Count
    waiting: Count
    """Concerned by decisions that stand in the queue now."""
    deviation: float = Field(ge=0)
    """Largest distance of a list from the mean size, in percent."""
    deviation_before: float | None = Field(ge=0)
    threshold: float = Field(ge=0)
    """The deviation above which lists are evened out, in percent."""
    choice: Choice
    """What is proposed about evening them out."""
    moves: Count
    placements: Count
    rules_judged: bool
    """No model took part in any judgement of this check."""
    went_without: tuple[Word, ...]
    """Services that were away meanwhile."""


def judge(facts: WeekFacts, *, ask: Ask | None) -> Judged[Report]:
    """The report that stands, not yet rendered. Its confidence is 1: an unchecked number is refused.

    Raises `ValueError` when a key stands for two lists.
    """
    check_unique([one.key for one in facts.lists])
    question = Question(
        prompt=INSTRUCTIONS.about(reporting.told(facts, numbers(facts)), agent=reporting.AGENT),
        answer=Report,
        by_rules=partial(by_rules, facts),
        check=partial(reporting.check_report, numbers=numbers(facts), must_name=_MUST_NAME),
        settle=lambda stated, rules, calibration: (stated, ()),
        confidence=lambda report: 1.0,
    )
    return judged(question, ask=ask)


def by_rules(facts: WeekFacts) -> Report:
    """The report in fixed sentences: only those for which the week gives a reason."""
    return Report(
        headline=_headline(facts),
        summary=tuple(
            " ".join(sentences)
            for paragraph in (_health, _outcomes, _people, _balance, _effort)
            if (sentences := list(paragraph(facts)))
        ),
        actions=tuple(_actions(facts)),
    )


def is_critical(facts: WeekFacts) -> bool:
    """Whether somebody has to be told at once, not only by the report."""
    return any(one.grade is Grade.CRITICAL for one in facts.lists)


def numbers(facts: WeekFacts) -> dict[str, int | float | str]:
    """Every figure a report may name; the names are the placeholders."""
    now, before = _together(facts), facts.before
    reachable = sum(one.size for one in facts.lists)
    known = [one.size_before for one in facts.lists if one.size_before is not None]
    change = reachable - sum(known) if len(known) == len(facts.lists) else None
    return {
        **now.model_dump(),
        "lists": len(facts.lists),
        "reachable": reachable,
        "gained": "unknown" if change is None else max(change, 0),
        "lost": "unknown" if change is None else max(-change, 0),
        "bounce_rate": prose.percent(_rate(now)),
        "bounce_rate_before": prose.percent(_rate(before)) if before else "unknown",
        "complaint_rate": prose.percent(_share(now.complained, of=now.arrived)),
        "opt_out_rate": prose.percent(_share(now.opted_out, of=now.arrived)),
        "suppressed_share": prose.percent(_share(facts.suppressed, of=facts.registered)),
        **{name: getattr(facts, name) for name in _COUNTS},
        "deviation": prose.percent(facts.deviation / 100),
        "deviation_before": "unknown"
        if facts.deviation_before is None
        else prose.percent(facts.deviation_before / 100),
        "threshold": prose.percent(facts.threshold / 100),
        **{grade.value: len(_graded(facts, grade)) for grade in Grade},
        **{f"{grade.value}_lists": reporting.listed(_graded(facts, grade)) for grade in Grade},
        "worse": len(_changed(facts, by=1)),
        "worse_lists": reporting.listed(_changed(facts, by=1)),
        "better": len(_changed(facts, by=-1)),
        "better_lists": reporting.listed(_changed(facts, by=-1)),
        "sizes": prose.sizes(one.size for one in facts.lists),
        "went_without": reporting.listed(facts.went_without),
    }


_COUNTS = ("registered", "suppressed", "held", "backlog", "waiting", "moves", "placements")

_MUST_NAME = {
    "critical": frozenset({"critical_lists"}),
    "poor": frozenset({"poor_lists"}),
    "worse": frozenset({"worse_lists"}),
    "waiting": frozenset[str](),
    "held": frozenset[str](),
}
"""What an honest report names wherever it is not zero, and what may stand for it."""


def _headline(facts: WeekFacts) -> str:
    if is_critical(facts):
        return "{critical_lists} {critical|is|are} in a critical state"
    if _graded(facts, Grade.POOR):
        return "{poor_lists} {poor|is|are} in a poor state"
    if _changed(facts, by=1):
        return "{worse_lists} {worse|is|are} worse than a week ago"
    return (
        "The lists are well" if len(_graded(facts, Grade.GOOD)) == len(facts.lists) else "Nothing got worse"
    )


def _health(facts: WeekFacts) -> Iterator[str]:
    for grade in _WORST_FIRST:
        if _graded(facts, grade):
            yield f"{{{grade.value}_lists}} {{{grade.value}|is|are}} {_WORDS[grade]}."
    if _changed(facts, by=1):
        yield "Worse than a week ago: {worse_lists}."
    if _changed(facts, by=-1):
        yield "Better than a week ago: {better_lists}."


def _outcomes(facts: WeekFacts) -> Iterator[str]:
    now = _together(facts)
    if now.arrived + now.bounced + now.not_attempted == 0:
        yield "No campaign ended in this time."
        return
    yield "{delivered} {delivered|message|messages} arrived and {bounced} bounced ({bounce_rate})."
    if facts.before is not None:
        yield "In the time before it was {bounce_rate_before}."
    if now.not_attempted:
        yield "Mailjet did not try {not_attempted}."
    yield (
        "{opted_out} {opted_out|person|people} opted out ({opt_out_rate} of what arrived) and {complained} "
        "complained ({complaint_rate})."
    )


def _people(facts: WeekFacts) -> Iterator[str]:
    yield "{reachable} {reachable|person is|people are} reachable on the lists ({sizes})."
    if all(one.size_before is not None for one in facts.lists):
        yield "That is {gained} more and {lost} fewer than a week ago."
    yield "{suppressed} of {registered} are suppressed ({suppressed_share})."
    if facts.held:
        yield "{held} {held|contact is|contacts are} held, on {held|its list|their lists} and mailable."
    if facts.backlog:
        yield "{backlog} {backlog|contact waits|contacts wait} in the backlog."


def _balance(facts: WeekFacts) -> Iterator[str]:
    yield "The lists are at most {deviation} from their mean, where up to {threshold} is accepted."
    if facts.deviation_before is not None:
        yield "A week ago it was {deviation_before}."
    if facts.moves or facts.placements:
        yield _PROPOSED[facts.choice]


def _effort(facts: WeekFacts) -> Iterator[str]:
    if facts.rules_judged:
        yield "Rules judged; no model took part."
    if facts.went_without:
        yield "The check went on without {went_without}."


def _actions(facts: WeekFacts) -> Iterator[str]:
    """The most urgent first: what may stop the account, what waits for somebody, what can be planned."""
    for grade in (Grade.CRITICAL, Grade.POOR):
        yield from (_ACT[cause].format(lists=f"{{{grade.value}_lists}}") for cause in _causes(facts, grade))
    if facts.waiting:
        yield "Decide about the {waiting} {waiting|contact|contacts} in the review queue."
    if facts.deviation > facts.threshold and facts.choice is not Choice.NOW:
        yield "Leave time between one cycle and the next, so that the lists can be evened out."


_WORDS = {
    Grade.CRITICAL: "critical",
    Grade.POOR: "poor",
    Grade.WATCH: "to be watched",
    Grade.GOOD: "good",
}

_PROPOSED = {
    Choice.NOW: "The next maintenance would place {placements} and move {moves}.",
    Choice.BACKFILL_ONLY: "The next maintenance would place {placements}; {moves} "
    "{moves|move waits|moves wait}.",
    Choice.DEFER: "{placements} {placements|placement|placements} and {moves} {moves|move|moves} wait for a "
    "better time.",
}

_ACT = {
    Cause.NONE: "Look at {lists} before the next send.",
    Cause.DECAY: "Let maintenance suppress the dead addresses of {lists} before it is sent to again.",
    Cause.OUTAGE: "Wait for the held domains of {lists}; suppress nobody of them by hand.",
    Cause.PROVIDER_INCIDENT: "Wait until the provider accepts mail for {lists} again; suppress nobody.",
    Cause.SENDER_SIDE: "Mend the sending before anything else goes to {lists}.",
}


def _causes(facts: WeekFacts, grade: Grade) -> list[Cause]:
    return list(dict.fromkeys(one.cause for one in facts.lists if one.grade is grade))


def _graded(facts: WeekFacts, grade: Grade) -> list[str]:
    return [one.key for one in facts.lists if one.grade is grade]


def _changed(facts: WeekFacts, *, by: int) -> list[str]:
    """The lists whose grade is worse (1) or better (-1) than a week ago."""
    return [
        one.key
        for one in facts.lists
        if one.grade_before is not None
        and (_WORST_FIRST.index(one.grade_before) - _WORST_FIRST.index(one.grade)) * by > 0
    ]


def _together(facts: WeekFacts) -> Outcomes:
    each: Sequence[dict[str, int]] = [one.outcomes.model_dump() for one in facts.lists]
    return Outcomes(**{name: sum(one[name] for one in each) for name in Outcomes.model_fields})


def _rate(outcomes: Outcomes) -> float:
    return _share(outcomes.bounced, of=outcomes.delivered + outcomes.bounced)


def _share(count: int, *, of: int) -> float:
    return count / of if of else 0.0
