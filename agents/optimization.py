"""The optimization agent: which cohorts of failures are suppressed, held or kept.

The policy has drawn the region of every cohort before; only *may* is open. An answer wider than its
region is refused whole, one narrower than a *must* or a *hold* gives way to the policy and is recorded.
"""

from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from agents import prompts, prose
from agents.asking import (
    NO_MODEL_KNOWN,
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
)

AGENT = "optimization"
INSTRUCTIONS = prompts.read(AGENT)

PLACEHOLDERS = frozenset({"contacts", "share", "bounce", "strikes", "history", "domain"})
"""What prose about a cohort may leave to code."""


class CohortFact(Fact):
    """One cohort as the agent sees it: outcomes alike in class, strikes and history, without contacts."""

    key: Word
    bounce: Word
    """Class of the last outcome."""
    strikes: Word
    """0 where the class never strikes, 1, 2, 3+, or mixed in a merged cohort."""
    history: Word
    """Never delivered, delivered before, lately alive, protected."""
    domain_token: Word | None
    """Salted token of the domain, or a well-known provider's name; None where it is not named."""
    contacts: int = Field(ge=0)
    share_of_list: float = Field(ge=0, le=1)
    """Contacts as a share of the list's mailable members, 0 to 1."""
    region: Literal["must", "may", "never", "hold", "consent"]
    review: bool
    """The policy wants a person to decide, whatever the agent says."""
    upheld: int = Field(ge=0)
    """How often reviewers upheld the rules' verdict on this class."""
    labels: int = Field(ge=0)
    """How often reviewers decided about it at all."""

    @model_validator(mode="after")
    def _record_is_possible(self) -> "CohortFact":
        Record(upheld=self.upheld, labels=self.labels)
        return self


class Verdict(StrEnum):
    """What becomes of a cohort."""

    SUPPRESS = "suppress"
    HOLD = "hold"
    KEEP = "keep"


class CohortVerdict(Answer):
    """One cohort's verdict; the rationale stands first so that a model reasons before it decides."""

    cohort: Word
    rationale: Annotated[str, Field(min_length=1, max_length=800)]
    """For the reviewer: prose with placeholders, see `PLACEHOLDERS`."""
    verdict: Verdict
    confidence: Confidence


class SuppressionPlan(Answer):
    """One verdict for every cohort asked about."""

    verdicts: list[CohortVerdict]


REGION_VERDICT = {
    "must": Verdict.SUPPRESS,
    "never": Verdict.KEEP,
    "consent": Verdict.KEEP,
    "hold": Verdict.HOLD,
}
"""What the policy leaves standing; *may* is the agent's."""

_COUNTED = (
    "{contacts} {contacts|contact|contacts} ({share} of the list), {bounce}, strikes: {strikes}, {history}."
)

_WORDS = {
    "recipient_gone_soft": "recipient reported gone, though not for good",
    "recipient_rejected": "recipient rejected",
    "sender_side": "refused for a reason on our side",
    "refused": "refused for this account",
    "conflicting": "reason and server's text contradict each other",
    "unknown": "reason unknown",
}
"""Classes whose name does not read well in a sentence."""

_WHY_SETTLED = {
    "must": "The failure is final for this account, and the policy leaves no choice.",
    "never": "Nothing here says that {contacts|this address is|these addresses are} dead, "
    "so the policy does not allow a suppression.",
    "consent": "This is a matter of consent, not of judgement: a run of its own carries it out.",
    "hold": "The failures at {domain} look like an outage, not like "
    "{contacts|a dead address|dead addresses}: wait for fresh evidence, on the list and mailable.",
}

_WHY_HELD_AS_CONTACT = {
    "lately_alive": "Somebody clicked here shortly before the failure, which a dead address does not do: "
    "wait for one more send.",
    "protected": "People put {contacts|this contact|these contacts} under protection: "
    "wait for one more send.",
}

_NO_WORD_ON_THE_MAILBOX = frozenset({"temporary", "mailbox_full", "unknown", "mistyped"})
"""Classes that do not say that nobody is there. Of the living the policy makes only hard bounces wait once;
with these the choice is open."""

_WHY_NEVER = {
    "sender_side": "It is our sending that was refused, not the {contacts|address|addresses}: "
    "mend that instead.",
    "greylisted": "The server asked to be tried again later, which says nothing about the "
    "{contacts|address|addresses}.",
    "domain_gone": "A domain that seems to be gone may be back: it must be seen closed more than once first.",
}

_WHY_MAY = {
    "recipient_gone": "The {contacts|address was|addresses were} refused as unknown, "
    "which leaves little doubt.",
    "recipient_gone_soft": "Refused as unknown again and again, and nothing arrived in between.",
    "recipient_rejected": "The server names the recipient, not us, as what it does not want.",
    "inactive": "Nobody uses the {contacts|mailbox|mailboxes}, as the server said more than once.",
    "mailbox_full": "Full for so long that nobody seems to empty the {contacts|mailbox|mailboxes}.",
    "domain_gone": "The domain takes no mail, and nothing was delivered there meanwhile.",
    "temporary": "A failure called temporary has lasted too long to be one.",
    "not_attempted": "Mailjet itself no longer tries, after failures that it or we have seen.",
    "mistyped": "The domain is a known misspelling: no mail can arrive there.",
}


def judge(
    cohorts: Sequence[CohortFact], *, ask: Ask | None, calibrations: OfModels = NO_MODEL_KNOWN
) -> Judged[SuppressionPlan]:
    """The verdicts that stand: a model's where it is asked and usable, else the rules', and which it was.

    `calibrations` are of models' statements, of each once they are known. Raises `ValueError` when a key
    stands for two cohorts.
    """
    check_unique([cohort.key for cohort in cohorts])
    question = Question(
        prompt=INSTRUCTIONS.about({"cohorts": [_told(cohort) for cohort in cohorts]}, agent=AGENT),
        answer=SuppressionPlan,
        by_rules=partial(by_rules, cohorts),
        check=partial(_check, cohorts=cohorts),
        settle=partial(_settle, cohorts=cohorts),
        confidence=_least_confidence,
        calibrations=calibrations,
    )
    return judged(question, ask=ask if cohorts else None)


def by_rules(cohorts: Sequence[CohortFact]) -> SuppressionPlan:
    """The policy's own reading: what it settles, and for *may* the suppression that it proposes, or a wait.

    Raises `ValueError` when a key stands for two cohorts.
    """
    check_unique([cohort.key for cohort in cohorts])
    return SuppressionPlan(verdicts=[_verdict_by_rules(cohort) for cohort in cohorts])


def explain(verdict: CohortVerdict, *, cohort: CohortFact, contacts: int, domain: str | None) -> str:
    """The rationale with its numbers, for `contacts` of the cohort (a reviewer may have taken some out).

    `domain` is what the reader may see: its name on a page, its token elsewhere; None where none is named.
    """
    share = cohort.share_of_list * contacts / cohort.contacts if cohort.contacts else 0.0
    values: dict[str, int | float | str] = {
        "contacts": contacts,
        "share": prose.percent(share),
        "bounce": _words(cohort.bounce),
        "strikes": cohort.strikes,
        "history": _words(cohort.history),
        "domain": domain or "several domains",
    }
    return prose.fill(verdict.rationale, values)


def _told(cohort: CohortFact) -> dict[str, JsonValue]:
    """The cohort as a model is told of it: a share of sixteen digits would only cost tokens."""
    return {**cohort.model_dump(mode="json"), "share_of_list": round(cohort.share_of_list, 6)}


def _check(plan: SuppressionPlan, *, cohorts: Sequence[CohortFact]) -> None:
    regions = {cohort.key: cohort.region for cohort in cohorts}
    check_answered([verdict.cohort for verdict in plan.verdicts], asked=regions)
    for verdict in plan.verdicts:
        region = regions[verdict.cohort]
        if verdict.verdict is Verdict.SUPPRESS and region not in ("must", "may"):
            raise UnusableAnswer(f"too wide: suppresses {verdict.cohort}, which is {region}")
        prose.check_prose(verdict.rationale, known=PLACEHOLDERS, where=f"rationale of {verdict.cohort}")


def _settle(
    stated: SuppressionPlan,
    rules: SuppressionPlan,
    calibration: Calibration | None,
    *,
    cohorts: Sequence[CohortFact],
) -> tuple[SuppressionPlan, tuple[str, ...]]:
    by_key = {verdict.cohort: verdict for verdict in stated.verdicts}
    settled = [
        _settled(by_key[own.cohort], own, cohort, calibration=calibration)
        for own, cohort in zip(rules.verdicts, cohorts, strict=True)
    ]
    disagreed = tuple(own.cohort for own in rules.verdicts if by_key[own.cohort].verdict is not own.verdict)
    return SuppressionPlan(verdicts=settled), disagreed


def _settled(
    stated: CohortVerdict, own: CohortVerdict, cohort: CohortFact, *, calibration: Calibration | None
) -> CohortVerdict:
    disputed = stated.verdict is not own.verdict
    if cohort.region != "may":
        return own if disputed else stated
    confidence = counted(stated.confidence, disputed=disputed, calibration=calibration)
    return stated.model_copy(update={"confidence": confidence})


def _verdict_by_rules(cohort: CohortFact) -> CohortVerdict:
    settled = REGION_VERDICT.get(cohort.region)
    return CohortVerdict(
        cohort=cohort.key,
        rationale=f"{_COUNTED} {_why_settled(cohort) if settled else _why_may(cohort)}",
        verdict=settled or (Verdict.HOLD if _life_outweighs(cohort) else Verdict.SUPPRESS),
        confidence=1.0
        if settled
        else confidence_of_rules(Record(upheld=cohort.upheld, labels=cohort.labels)),
    )


def _life_outweighs(cohort: CohortFact) -> bool:
    """Whether a sign of life, or somebody's word, weighs more than what is no word on the mailbox."""
    return cohort.history in _WHY_HELD_AS_CONTACT and cohort.bounce in _NO_WORD_ON_THE_MAILBOX


def _why_settled(cohort: CohortFact) -> str:
    if cohort.region == "hold" and cohort.history in _WHY_HELD_AS_CONTACT:
        return _WHY_HELD_AS_CONTACT[cohort.history]
    if cohort.region == "never" and cohort.bounce in _WHY_NEVER:
        return _WHY_NEVER[cohort.bounce]
    return _WHY_SETTLED[cohort.region]


def _why_may(cohort: CohortFact) -> str:
    if _life_outweighs(cohort):
        return (
            f"The policy's limit is reached, but the choice is open. {_WHY_HELD_AS_CONTACT[cohort.history]}"
        )
    # The class itself always stands in front of this; only what it means may have no sentence of its own.
    meaning = _WHY_MAY.get(cohort.bounce, "It has come back as often as the policy asks for.")
    where = " All at {domain}." if cohort.domain_token else ""
    return f"{meaning}{where} The policy's limit is reached, so it proposes to suppress; the choice is open."


def _words(name: str) -> str:
    return _WORDS.get(name, name.replace("_", " "))


def _least_confidence(plan: SuppressionPlan) -> float:
    return min((verdict.confidence for verdict in plan.verdicts), default=1.0)
