"""The list health agent: how healthy each list is, and why its last campaign failed where it failed.

A grade speaks about the list itself. Failures with a cause outside it (an outage, a provider's incident,
our own sending) are set aside first; they never make a list look dead, but they are always said.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import Annotated

from pydantic import Field, model_validator

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
    check_answered,
    check_unique,
    confidence_of_rules,
    counted,
    judged,
    lower_bound,
)
from agents.optimization import CohortFact

AGENT = "list_health"
INSTRUCTIONS = prompts.read(AGENT)

HARD_WATCH, HARD_POOR, HARD_CRITICAL = 0.02, 0.05, 0.08
"""Hard bounces ÷ (delivered + bounced), causes outside the list set aside, from which a list is no longer
good, is poor, is critical. Providers throttle a sender above the first two; at the last one Mailjet may stop
the account."""

SOFT_WATCH = 0.10
"""Soft bounces ÷ (delivered + bounced), likewise: one in ten is more than full mailboxes explain."""

SENDER_WATCH = 0.02
"""Messages refused for reasons on our side ÷ all messages, from which sending itself wants attention."""

OUTAGE_WATCH = 0.01
"""What bounced in outages ÷ (delivered + bounced), from which they matter to the list as a whole."""

RISING_FROM, RISING_BY = 0.01, 2.0
"""A hard rate from the first on that grew by more than the second since the list's previous campaign."""

NO_LIST_DECAYS_SO_FAST = 0.50
"""A hard rate above this, on a list that was fine one campaign earlier, is our sending, not its addresses."""

NAMED_OUTAGES = 10
"""So many outages of a list are told one by one, the largest …"""

MOST_OUTAGES = NAMED_OUTAGES + 2
"""… and the others as one of domains and one of providers."""

FEW = 100
"""Below so many final outcomes one address weighs too much: the rate's lower 90 % bound is graded instead,
and a plain rate over a line is only watched."""

CONFIDENCE_UNSEEN = 0.50
"""Confidence about a list of which no outcome is known."""

PLACEHOLDERS = frozenset(
    {"size", "sent", "delivered", "bounced", "hard", "soft", "outage", "incident", "sender_side", "remaining"}
    | {"not_attempted", "outages", "rate", "own_rate", "previous_rate"}
)
"""What prose about a list may leave to code, see `numbers`."""


class Grade(StrEnum):
    """How healthy a list is."""

    GOOD = "good"
    WATCH = "watch"
    POOR = "poor"
    CRITICAL = "critical"


class Cause(StrEnum):
    """What explains most of what failed."""

    NONE = "none"
    DECAY = "decay"
    OUTAGE = "outage"
    SENDER_SIDE = "sender_side"
    PROVIDER_INCIDENT = "provider_incident"


class OutageFact(Fact):
    """One domain on hold, or whose failures look like an outage; or the smallest of them together."""

    domain_token: Word
    domains: int = Field(default=1, ge=1)
    """How many it stands for, see `few`."""
    contacts: int = Field(ge=1)
    """Bounced there, hard and soft."""
    hard: int = Field(ge=0)
    well_known: bool
    """A large mailbox provider rather than one company's domain."""

    @model_validator(mode="after")
    def _adds_up(self) -> "OutageFact":
        if self.hard > self.contacts:
            raise ValueError(f"{self.domain_token}: more hard bounces than bounces")
        return self


def few(outages: Iterable[OutageFact]) -> tuple[OutageFact, ...]:
    """The largest outages as they are, and the others together, providers apart: a prompt keeps its size."""
    largest_first = sorted(outages, key=lambda outage: (-outage.contacts, outage.domain_token))
    if len(largest_first) <= MOST_OUTAGES:
        return tuple(largest_first)
    others = largest_first[NAMED_OUTAGES:]
    together = (
        _together([outage for outage in others if outage.well_known is large], token=token)
        for token, large in (("other-domains", False), ("other-providers", True))
    )
    return (*largest_first[:NAMED_OUTAGES], *(one for one in together if one is not None))


def _together(outages: Sequence[OutageFact], *, token: str) -> OutageFact | None:
    if not outages:
        return None
    return OutageFact(
        domain_token=token,
        domains=sum(outage.domains for outage in outages),
        contacts=sum(outage.contacts for outage in outages),
        hard=sum(outage.hard for outage in outages),
        well_known=outages[0].well_known,
    )


class ListFact(Fact):
    """One list and the outcomes of its last campaign."""

    key: Word
    size: int = Field(ge=0)
    """Mailable members."""
    delivered: int = Field(ge=0)
    bounced: int = Field(ge=0)
    """Hard and soft, without what was not attempted."""
    hard: int = Field(ge=0)
    not_attempted: int = Field(ge=0)
    by_class: dict[Word, int]
    """Failures by class, attempted or not; for the model, the rules do not read it."""
    outages: Annotated[tuple[OutageFact, ...], Field(max_length=MOST_OUTAGES)]
    sender_side: int = Field(ge=0)
    """Not reached for reasons on our side, whether bounced or not attempted."""
    sender_side_bounced: int = Field(ge=0)
    """Those of them that count among the bounced."""
    sender_side_hard: int = Field(ge=0)
    """Those of them that count among the hard."""
    previous_rate: float | None = Field(ge=0, le=1)
    """Hard ÷ (delivered + bounced) of the campaign before, 0 to 1; None where there was none."""

    @model_validator(mode="after")
    def _adds_up(self) -> "ListFact":
        if self.hard > self.bounced or self.sender_side_hard > self.sender_side_bounced:
            raise ValueError(f"{self.key}: more hard bounces than bounces")
        if _own_hard(self) < 0 or _own_soft(self) < 0:
            raise ValueError(f"{self.key}: outages and our own side explain more failures than there were")
        if self.sender_side - self.sender_side_bounced not in range(self.not_attempted + 1):
            raise ValueError(f"{self.key}: sender-side refusals are neither bounced nor not attempted")
        return self


class HealthFacts(Fact):
    """All lists, and how often reviewers agreed with each grade the rules gave."""

    lists: tuple[ListFact, ...]
    records: dict[Grade, Record] = {}
    """A grade that is not in it was never judged by anyone."""


class Assessment(Answer):
    """One list's health; the rationale stands first so that a model reasons before it decides."""

    list: Word
    rationale: Annotated[str, Field(min_length=1, max_length=1200)]
    """For the reviewer: prose with placeholders, see `PLACEHOLDERS`."""
    grade: Grade
    cause: Cause
    domains: tuple[Word, ...]
    """Tokens of the domains whose failures are believed to be an outage or incident, whatever the cause."""
    confidence: Confidence


class Assessments(Answer):
    """One assessment for every list asked about."""

    assessments: tuple[Assessment, ...]


# What a sender's trouble does not explain: these are statements about the address or its domain.
_NOT_OUR_DOING = frozenset({"mistyped", "domain_gone", "mailbox_full"})

_WORSE = {Grade.GOOD: 0, Grade.WATCH: 1, Grade.POOR: 2, Grade.CRITICAL: 3}


def judge(
    facts: HealthFacts, *, ask: Ask | None, calibrations: OfModels = NO_MODEL_KNOWN
) -> Judged[Assessments]:
    """The assessments that stand: a model's where it is asked and usable, else the rules', and which it was.

    `calibrations` are of models' statements, of each once they are known. Raises `ValueError` when a key
    stands for two lists.
    """
    check_unique([fact.key for fact in facts.lists])
    question = Question(
        prompt=INSTRUCTIONS.about(
            {"lists": [fact.model_dump(mode="json") for fact in facts.lists]}, agent=AGENT
        ),
        answer=Assessments,
        by_rules=partial(by_rules, facts),
        check=partial(_check, facts=facts),
        settle=_settle,
        confidence=_least_confidence,
        calibrations=calibrations,
    )
    return judged(question, ask=ask if facts.lists else None)


def by_rules(facts: HealthFacts) -> Assessments:
    """Each list graded by its numbers. Raises `ValueError` when a key stands for two lists."""
    check_unique([fact.key for fact in facts.lists])
    return Assessments(assessments=tuple(_assessed(one, records=facts.records) for one in facts.lists))


def contradicts(assessment: Assessment, cohort: CohortFact) -> bool:
    """Whether suppressing this cohort would take the cause of the failures for dead addresses.

    Only a *may* cohort can be contradicted: the rest is the policy's. An outage covers its domains, a
    sender-side cause everything that a server may also say to a sender it does not want.
    """
    if cohort.region != "may":
        return False
    if cohort.domain_token is not None and cohort.domain_token in assessment.domains:
        return True
    return assessment.cause is Cause.SENDER_SIDE and cohort.bounce not in _NOT_OUR_DOING


def explain(assessment: Assessment, *, fact: ListFact) -> str:
    """The rationale with the list's numbers."""
    return prose.fill(assessment.rationale, numbers(fact))


def numbers(fact: ListFact) -> dict[str, int | float | str]:
    """What code fills into prose about this list; rates as people read them."""
    previous = "unknown" if fact.previous_rate is None else prose.percent(fact.previous_rate)
    return {
        "size": fact.size,
        "sent": fact.delivered + fact.bounced + fact.not_attempted,
        "delivered": fact.delivered,
        "bounced": fact.bounced,
        "hard": fact.hard,
        "soft": fact.bounced - fact.hard,
        "not_attempted": fact.not_attempted,
        "outage": _failed_in_outages(fact, well_known=False),
        "incident": _failed_in_outages(fact, well_known=True),
        "outages": sum(outage.domains for outage in fact.outages if not outage.well_known),
        "sender_side": fact.sender_side,
        "remaining": _own_hard(fact),
        "rate": prose.percent(_share(fact.hard, of=fact.delivered + fact.bounced)),
        "own_rate": prose.percent(_own_rate(fact)),
        "previous_rate": previous,
    }


def _check(answer: Assessments, *, facts: HealthFacts) -> None:
    asked = {fact.key: fact for fact in facts.lists}
    check_answered([assessment.list for assessment in answer.assessments], asked=asked)
    for assessment in answer.assessments:
        _check_assessment(assessment, fact=asked[assessment.list])


def _check_assessment(assessment: Assessment, *, fact: ListFact) -> None:
    prose.check_prose(assessment.rationale, known=PLACEHOLDERS, where=f"rationale of {assessment.list}")
    well_known = {outage.domain_token: outage.well_known for outage in fact.outages}
    if invented := sorted(set(assessment.domains) - set(well_known)):
        raise UnusableAnswer(f"{assessment.list}: invented outages of {invented}")
    for cause, large in ((Cause.OUTAGE, False), (Cause.PROVIDER_INCIDENT, True)):
        if assessment.cause is cause and large not in {well_known[token] for token in assessment.domains}:
            raise UnusableAnswer(f"{assessment.list}: cause {cause} without a domain it happened at")


def _settle(
    stated: Assessments, rules: Assessments, calibration: Calibration | None
) -> tuple[Assessments, tuple[str, ...]]:
    own = {assessment.list: assessment for assessment in rules.assessments}
    disagreed = {one.list for one in stated.assessments if not _agree(one, own[one.list])}
    settled = tuple(
        _counted(one, disputed=one.list in disagreed, calibration=calibration) for one in stated.assessments
    )
    return Assessments(assessments=settled), tuple(one.list for one in settled if one.list in disagreed)


def _counted(one: Assessment, *, disputed: bool, calibration: Calibration | None) -> Assessment:
    confidence = counted(one.confidence, disputed=disputed, calibration=calibration)
    return one.model_copy(update={"confidence": confidence})


def _agree(one: Assessment, other: Assessment) -> bool:
    return (one.grade, one.cause) == (other.grade, other.cause)


def _assessed(fact: ListFact, *, records: Mapping[Grade, Record]) -> Assessment:
    own, cause = _own_grade(fact), _cause(fact)
    grade = _worst(own, Grade.GOOD if cause is Cause.NONE else Grade.WATCH)
    confidence = confidence_of_rules(records.get(grade, NO_RECORD))
    return Assessment(
        list=fact.key,
        rationale=" ".join(_sentences(fact, cause=cause)),
        grade=grade,
        cause=cause,
        domains=tuple(outage.domain_token for outage in fact.outages),
        confidence=confidence if _seen(fact) or _is_empty(fact) else min(confidence, CONFIDENCE_UNSEEN),
    )


def _own_grade(fact: ListFact) -> Grade:
    """The grade of what remains when causes outside the list are set aside."""
    outcomes = _own_outcomes(fact)
    if _is_empty(fact):
        return Grade.GOOD
    if outcomes == 0:
        return Grade.WATCH
    rate = _own_rate(fact)
    watched = Grade.WATCH if rate >= HARD_WATCH or _is_rising(fact) or _is_soft(fact) else Grade.GOOD
    return _worst(watched, _line(rate if outcomes >= FEW else lower_bound(_own_hard(fact), of=outcomes)))


def _line(rate: float) -> Grade:
    if rate >= HARD_CRITICAL:
        return Grade.CRITICAL
    if rate >= HARD_POOR:
        return Grade.POOR
    return Grade.WATCH if rate >= HARD_WATCH else Grade.GOOD


def _cause(fact: ListFact) -> Cause:
    """What explains the grade: decay where what remains is bad by itself, else the largest part set aside."""
    if _is_too_fast_for_decay(fact):
        return Cause.SENDER_SIDE
    if _own_grade(fact) in (Grade.POOR, Grade.CRITICAL):
        return Cause.DECAY
    outside = {cause: _failed(fact, cause=cause) for cause in _OUTSIDE if _matters(fact, cause=cause)}
    return max(outside, key=lambda cause: outside[cause]) if outside else Cause.NONE


_OUTSIDE = (Cause.OUTAGE, Cause.PROVIDER_INCIDENT, Cause.SENDER_SIDE)


def _matters(fact: ListFact, *, cause: Cause) -> bool:
    failed = _failed(fact, cause=cause)
    if cause is Cause.SENDER_SIDE:
        return _share(failed, of=fact.delivered + fact.bounced + fact.not_attempted) >= SENDER_WATCH
    return _share(failed, of=fact.delivered + fact.bounced) >= OUTAGE_WATCH


def _failed(fact: ListFact, *, cause: Cause) -> int:
    if cause is Cause.SENDER_SIDE:
        return fact.sender_side
    return _failed_in_outages(fact, well_known=cause is Cause.PROVIDER_INCIDENT)


def _is_rising(fact: ListFact) -> bool:
    rate = _own_rate(fact)
    return fact.previous_rate is not None and rate >= RISING_FROM and rate > RISING_BY * fact.previous_rate


def _is_soft(fact: ListFact) -> bool:
    return _own_outcomes(fact) > 0 and _own_soft(fact) / _own_outcomes(fact) >= SOFT_WATCH


def _is_too_fast_for_decay(fact: ListFact) -> bool:
    was_fine = fact.previous_rate is not None and fact.previous_rate < HARD_POOR
    return was_fine and _own_outcomes(fact) >= FEW and _own_rate(fact) > NO_LIST_DECAYS_SO_FAST


def _sentences(fact: ListFact, *, cause: Cause) -> Iterator[str]:
    """What was set aside, what remains, and what that means, in that order."""
    if _is_empty(fact):
        yield "Nobody is on this list."
    elif not _seen(fact):
        yield "No message is known to have arrived or bounced, so nothing can be said about the addresses."
    if fact.outages:
        yield from _about_outages(fact)
    if fact.sender_side:
        yield _SENDER_SIDE
    if _own_outcomes(fact):
        yield _REMAINS_SET_ASIDE if fact.outages or fact.sender_side_bounced else _REMAINS
    if _is_rising(fact):
        yield "That is a sharp rise from {previous_rate} in the campaign before."
    if _is_soft(fact):
        yield "So many soft failures ({soft}) are more than full mailboxes explain; watch the next send."
    if 0 < _own_outcomes(fact) < FEW:
        yield "So few outcomes say little: one address weighs heavily."
    yield _meaning(fact, cause=cause)


def _meaning(fact: ListFact, *, cause: Cause) -> str:
    if _is_too_fast_for_decay(fact):
        return _TOO_FAST
    if cause is Cause.NONE and _own_grade(fact) is not Grade.GOOD:
        return "Watch the next send."
    return _MEANS[cause]


def _about_outages(fact: ListFact) -> Iterator[str]:
    if _failed_in_outages(fact, well_known=False):
        yield (
            "{outage} of {bounced} {bounced|failure|failures} came from {outages|one domain|domains} that "
            "failed as a whole: that looks like an outage, not like dead addresses."
        )
    if _failed_in_outages(fact, well_known=True):
        yield (
            "{incident} of {bounced} {bounced|failure|failures} came from a large mailbox provider that "
            "otherwise accepts our mail: that looks like an incident there."
        )


_SENDER_SIDE = (
    "{sender_side} {sender_side|message was|messages were} refused for a reason on our side; "
    "that says nothing about the {sender_side|address|addresses}."
)
_REMAINS = "{remaining} hard {remaining|bounce is|bounces are} {own_rate} of what was delivered or bounced."
_REMAINS_SET_ASIDE = (
    "Without these, {remaining} hard {remaining|bounce remains|bounces remain}, {own_rate} of what was "
    "delivered or bounced ({rate} with them)."
)
_TOO_FAST = (
    "No list decays so fast from one campaign to the next: look at the sending before blaming its addresses."
)
_MEANS = {
    Cause.NONE: "Nothing calls for action.",
    Cause.DECAY: "Addresses on this list have gone out of use.",
    Cause.OUTAGE: "Keep the addresses and wait for the next send.",
    Cause.PROVIDER_INCIDENT: "Keep the addresses and wait for the next send.",
    Cause.SENDER_SIDE: "Mend the sending first, then judge the list again.",
}


def _is_empty(fact: ListFact) -> bool:
    """Nobody on it, and nobody was when it was last sent to: there is nothing to be in doubt about."""
    return fact.size == 0 and fact.delivered + fact.bounced + fact.not_attempted == 0


def _seen(fact: ListFact) -> bool:
    return fact.delivered + fact.bounced > 0


def _own_outcomes(fact: ListFact) -> int:
    return fact.delivered + _own_hard(fact) + _own_soft(fact)


def _own_hard(fact: ListFact) -> int:
    return fact.hard - sum(outage.hard for outage in fact.outages) - fact.sender_side_hard


def _own_soft(fact: ListFact) -> int:
    outages = sum(outage.contacts - outage.hard for outage in fact.outages)
    return fact.bounced - fact.hard - outages - (fact.sender_side_bounced - fact.sender_side_hard)


def _own_rate(fact: ListFact) -> float:
    return _share(_own_hard(fact), of=_own_outcomes(fact))


def _failed_in_outages(fact: ListFact, *, well_known: bool) -> int:
    return sum(outage.contacts for outage in fact.outages if outage.well_known is well_known)


def _share(count: int, *, of: int) -> float:
    return count / of if of else 0.0


def _worst(*grades: Grade) -> Grade:
    return max(grades, key=lambda grade: _WORSE[grade])


def _least_confidence(answer: Assessments) -> float:
    return min((assessment.confidence for assessment in answer.assessments), default=1.0)
