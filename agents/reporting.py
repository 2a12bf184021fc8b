"""The reporting agent: what a run did, in words a manager reads in a minute.

Its author never writes a number: prose carries named placeholders that `render` fills from the run's own
figures. A report that leaves out what waits, what was held or what failed is refused like a wrong one.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import Annotated

from pydantic import Field, JsonValue, model_validator

from agents import prompts, prose
from agents.asking import Answer, Ask, Fact, Judged, Question, UnusableAnswer, Word, judged

AGENT = "reporting"
INSTRUCTIONS = prompts.read(AGENT)


class Stage(StrEnum):
    """How far the run came."""

    OBSERVED = "observed"
    """Nothing may be executed yet: the run only shows what it would do."""
    WAITING = "waiting"
    """A decision stands in the queue."""
    FINISHED = "finished"
    PARTIAL = "partial"
    """It ended with something left to do and can be continued."""


class HeldBecause(StrEnum):
    """Why contacts were held instead of suppressed."""

    DOMAIN_OUTAGE = "domain_outage"
    MAIL_HOST_OUTAGE = "mail_host_outage"
    LATELY_ALIVE = "lately_alive"
    PROTECTED = "protected"


class SenderProblem(StrEnum):
    """What is wrong with our own sending, in the order in which it should be mended."""

    SENDER_BLOCKED = "sender_blocked"
    POLICY = "policy"
    CONTENT_BLOCKED = "content_blocked"
    SPAM_PREBLOCKED = "spam_preblocked"
    TEMPLATE = "template"


class Held(Fact):
    """What was held for one reason."""

    because: HeldBecause
    items: int = Field(ge=1)
    """Domains or mail hosts; where contacts are held one by one, the contacts."""
    contacts: int = Field(ge=1)


class ReportFacts(Fact):
    """One run in figures; all are contacts unless said otherwise."""

    stage: Stage
    rules_judged: bool
    """No model took part in any judgement of this run."""
    sent: int = Field(ge=0)
    delivered: int = Field(ge=0)
    bounced: int = Field(ge=0)
    hard: int = Field(ge=0)
    not_attempted: int = Field(ge=0)
    open: int = Field(ge=0)
    """Messages that have not ended yet."""
    proposed: int = Field(ge=0)
    """Suppressions proposed."""
    approved: int = Field(ge=0)
    """Suppressions that went on, approved by a person or clear by themselves."""
    rejected: int = Field(ge=0)
    """Suppressions a reviewer declined, whole or by taking contacts out."""
    expired: int = Field(ge=0)
    """Suppressions nobody decided in time."""
    waiting: int = Field(ge=0)
    """Contacts concerned by decisions that stand in the queue now."""
    dropped: int = Field(ge=0)
    """Approved, but no longer right at execution: delivered to, opted out or lifted since."""
    suppressed: int = Field(ge=0)
    held: tuple[Held, ...]
    kept: int = Field(ge=0)
    """Failed, and left alone because nothing says that they are dead."""
    placed: int = Field(ge=0)
    moved: int = Field(ge=0)
    moves_deferred: int = Field(ge=0)
    """Moves that must wait for the end of the cycle or for the next send to pass."""
    backlog: int = Field(ge=0)
    """Still in the backlog afterwards."""
    failed: int = Field(ge=0)
    """Changes Mailjet did not make."""
    sender_problems: dict[SenderProblem, int]
    """Messages refused for a reason on our side, by what is wrong."""
    sizes_before: dict[Word, int]
    """Mailable members by list, in the rotation's order."""
    sizes_after: dict[Word, int]
    deviation_before: float = Field(ge=0)
    """Largest distance from the mean size, in percent."""
    deviation_after: float = Field(ge=0)
    active_seconds: float = Field(ge=0)
    """Time the run worked; waiting for people and for Mailjet's jobs apart."""
    requests: int = Field(ge=0)
    """Requests made to Mailjet."""
    went_without: tuple[Word, ...]
    """Services that were away while the run went on."""

    @model_validator(mode="after")
    def _is_possible(self) -> "ReportFacts":
        if self.hard > self.bounced:
            raise ValueError(f"{self.hard} hard of {self.bounced} bounces")
        if len({held.because for held in self.held}) < len(self.held):
            raise ValueError("one reason to hold is given twice")
        return self


Sentence = Annotated[str, Field(min_length=1, max_length=1200)]


class Report(Answer):
    """A report: prose with placeholders as its author wrote it, or with numbers once rendered."""

    headline: Annotated[str, Field(min_length=1, max_length=240)]
    summary: Annotated[tuple[Sentence, ...], Field(min_length=1, max_length=8)]
    """Paragraphs."""
    actions: Annotated[tuple[Sentence, ...], Field(max_length=12)]
    """What a person has to do now, most urgent first."""


def judge(facts: ReportFacts, *, ask: Ask | None) -> Judged[Report]:
    """The report that stands, not yet rendered. Its confidence is 1: an unchecked number is refused."""
    question = Question(
        prompt=INSTRUCTIONS.about(told(facts, numbers(facts)), agent=AGENT),
        answer=Report,
        by_rules=partial(by_rules, facts),
        check=partial(check_report, numbers=numbers(facts), must_name=_MUST_NAME),
        settle=lambda stated, rules, calibration: (stated, ()),
        confidence=lambda report: 1.0,
    )
    return judged(question, ask=ask)


def by_rules(facts: ReportFacts) -> Report:
    """The report in fixed sentences: only those for which this run gives a reason."""
    return Report(
        headline=_headline(facts),
        summary=tuple(
            " ".join(sentences)
            for paragraph in (_campaign, _decisions, _holds, _lists, _effort)
            if (sentences := list(paragraph(facts)))
        ),
        actions=tuple(_actions(facts)),
    )


def render(report: Report, numbers: Mapping[str, int | float | str]) -> Report:
    """The report with its numbers in place.

    Raises `UnusableAnswer` where its prose has a number of its own or a placeholder without a value.
    """
    _check_passages(report, known=numbers)
    return Report(
        headline=prose.fill(report.headline, numbers),
        summary=tuple(prose.fill(paragraph, numbers) for paragraph in report.summary),
        actions=tuple(prose.fill(action, numbers) for action in report.actions),
    )


def numbers(facts: ReportFacts) -> dict[str, int | float | str]:
    """Every figure a report may name; the names are the placeholders."""
    held = {because: _held(facts, because=because) for because in HeldBecause}
    return {
        **{name: getattr(facts, name) for name in _COUNTS},
        "attempted": facts.delivered + facts.bounced,
        "bounce_rate": prose.percent(_bounce_rate(facts)),
        "held": sum(one.contacts for one in facts.held),
        "outage_domains": held[HeldBecause.DOMAIN_OUTAGE][0],
        "outage_domain_contacts": held[HeldBecause.DOMAIN_OUTAGE][1],
        "outage_hosts": held[HeldBecause.MAIL_HOST_OUTAGE][0],
        "outage_host_contacts": held[HeldBecause.MAIL_HOST_OUTAGE][1],
        "lately_alive": held[HeldBecause.LATELY_ALIVE][1],
        "protected": held[HeldBecause.PROTECTED][1],
        "sender_side": sum(facts.sender_problems.values()),
        **{problem.value: facts.sender_problems.get(problem, 0) for problem in SenderProblem},
        "lists": len(facts.sizes_after),
        "sizes_before": prose.sizes(facts.sizes_before.values()),
        "sizes_after": prose.sizes(facts.sizes_after.values()),
        "deviation_before": prose.percent(facts.deviation_before / 100),
        "deviation_after": prose.percent(facts.deviation_after / 100),
        "went_without": listed(facts.went_without),
        "seconds": round(facts.active_seconds, 1),
    }


_COUNTS = (
    *("sent", "delivered", "bounced", "hard", "not_attempted", "open", "proposed", "approved", "rejected"),
    *("expired", "waiting", "dropped", "suppressed", "kept", "placed", "moved", "moves_deferred", "backlog"),
    *("failed", "requests"),
)

PARTS_OF_HELD = frozenset({"outage_domain_contacts", "outage_host_contacts", "lately_alive", "protected"})
"""Names of figures each of which is a part of what was held, and tells of it."""

_MUST_NAME = {
    **dict.fromkeys(("waiting", "failed", "expired", "moves_deferred"), frozenset[str]()),
    "held": PARTS_OF_HELD,
}
"""What an honest report names wherever it is not zero, and what may stand for it."""


def told(facts: Fact, numbers: Mapping[str, int | float | str]) -> dict[str, JsonValue]:
    """A report's facts as a model is told of them: with every figure that it may name."""
    return {**facts.model_dump(mode="json"), "numbers": dict(numbers)}


def check_report(
    report: Report,
    *,
    numbers: Mapping[str, int | float | str],
    must_name: Mapping[str, frozenset[str]],
) -> None:
    """Refuse a report with a number of its own, or one that leaves out what it must name.

    `must_name` is what to name wherever it is not zero, with what may stand for it. Raises `UnusableAnswer`.
    """
    _check_passages(report, known=numbers)
    named = {name for _, text in _passages(report) for name in prose.placeholders(text)}
    hidden = [name for name, parts in must_name.items() if numbers[name] and not named & {name, *parts}]
    if hidden:
        raise UnusableAnswer(f"leaves out {hidden}")
    if numbers["waiting"] and not report.actions:
        raise UnusableAnswer("asks nobody for the decision that waits")


def _check_passages(report: Report, *, known: Mapping[str, int | float | str]) -> None:
    for where, text in _passages(report):
        prose.check_prose(text, known=known, where=where)


def _passages(report: Report) -> Iterator[tuple[str, str]]:
    yield "headline", report.headline
    yield from ((f"summary {at}", text) for at, text in enumerate(report.summary, start=1))
    yield from ((f"action {at}", text) for at, text in enumerate(report.actions, start=1))


def _headline(facts: ReportFacts) -> str:
    if facts.stage is Stage.OBSERVED:
        return (
            "Observed only: {proposed} {proposed|contact|contacts} would be suppressed, nothing was changed"
        )
    done = listed(_changes(facts)) or "No contact needed a change"
    waits = "; {waiting} {waiting|waits|wait} for a decision" if facts.waiting else ""
    return f"{done}{waits}{'; not everything is finished' if facts.stage is Stage.PARTIAL else ''}"


def _changes(facts: ReportFacts) -> list[str]:
    counts = {
        "suppressed": facts.suppressed,
        "held back": facts.held,
        "placed": facts.placed,
        "moved": facts.moved,
    }
    names = {"held back": "held"}
    return [f"{{{names.get(word, word)}}} {word}" for word, count in counts.items() if count]


def _campaign(facts: ReportFacts) -> Iterator[str]:
    yield "Of {sent} {sent|message|messages}, {delivered} arrived and {bounced} bounced ({bounce_rate})."
    if facts.not_attempted:
        yield "Mailjet did not try {not_attempted} of them."
    if facts.open:
        yield "{open} {open|has|have} not ended yet and {open|is|are} judged later."
    if facts.sender_problems:
        yield (
            "{sender_side} {sender_side|was|were} refused because of our own sending, not because of the "
            "{sender_side|address|addresses}."
        )


def _decisions(facts: ReportFacts) -> Iterator[str]:
    if facts.proposed:
        yield "{proposed} {proposed|contact was|contacts were} proposed for suppression."
    else:
        yield "Nobody was proposed for suppression."
    if facts.approved:
        everyone = facts.approved == facts.proposed
        yield (
            "{approved|It was|All were} approved." if everyone else "{approved} {approved|was|were} approved."
        )
    if facts.suppressed:
        yield "{suppressed} {suppressed|is|are} now on the suppression list."
    if facts.rejected:
        yield "{rejected} {rejected|was|were} declined by a reviewer and {rejected|stays|stay}."
    if facts.expired:
        yield "{expired} {expired|was|were} not decided in time and will be judged afresh."
    if facts.dropped:
        yield "{dropped} {dropped|was|were} left out at the last check, because something new was known."
    if facts.waiting:
        yield "{waiting} {waiting|contact waits|contacts wait} for a person's decision."
    if facts.failed:
        yield "{failed} {failed|change was|changes were} not made by Mailjet."


def _holds(facts: ReportFacts) -> Iterator[str]:
    if facts.held:
        yield (
            "{held} {held|contact was|contacts were} held back and {held|stays|stay} on "
            "{held|its list|their lists}."
        )
    yield from (_WHY_HELD[one.because] for one in facts.held)
    if facts.kept:
        yield "{kept} more failed in ways that say nothing final about {kept|the address|the addresses}."


def _lists(facts: ReportFacts) -> Iterator[str]:
    if facts.sizes_after == facts.sizes_before:
        yield "The lists stand as before: {sizes_before}, at most {deviation_before} from their mean."
    else:
        yield "The lists went from {sizes_before} to {sizes_after} mailable contacts."
        yield "They are at most {deviation_after} from their mean (before: {deviation_before})."
    if facts.placed:
        yield "{placed} {placed|contact|contacts} from the backlog joined."
    if facts.backlog:
        yield "{backlog} {backlog|contact waits|contacts wait} in the backlog."
    if facts.moved:
        yield "{moved} {moved|contact|contacts} changed list to even them out."
    if facts.moves_deferred:
        yield (
            "{moves_deferred} {moves_deferred|move waits|moves wait}, because a cycle is under way or a send "
            "is too close."
        )


def _effort(facts: ReportFacts) -> Iterator[str]:
    yield (
        "The run worked for {seconds} {seconds|second|seconds} and made {requests} "
        "{requests|request|requests} to Mailjet."
    )
    if facts.rules_judged:
        yield "Rules judged; no model took part."
    if facts.went_without:
        yield "It went on without {went_without}."


def _actions(facts: ReportFacts) -> Iterator[str]:
    if facts.waiting:
        yield "Decide about the {waiting} {waiting|contact|contacts} in the review queue."
    if facts.failed or facts.stage is Stage.PARTIAL:
        yield "Look at what the run left undone, and continue it."
    yield from (_MEND[problem] for problem in SenderProblem if facts.sender_problems.get(problem))
    if any(one.because in _OUTAGES for one in facts.held):
        yield (
            "Suppress nobody of the held domains by hand: the next send shows whether they are back. "
            "Ask the company concerned if you know it."
        )


_OUTAGES = (HeldBecause.DOMAIN_OUTAGE, HeldBecause.MAIL_HOST_OUTAGE)

_WHY_HELD = {
    HeldBecause.DOMAIN_OUTAGE: "{outage_domain_contacts} because of an outage of "
    "{outage_domains|one domain|several domains}, not because of dead addresses.",
    HeldBecause.MAIL_HOST_OUTAGE: "{outage_host_contacts} because of an outage of "
    "{outage_hosts|one mail host|several mail hosts}, not because of dead addresses.",
    HeldBecause.LATELY_ALIVE: "{lately_alive} because {lately_alive|the person|they} clicked "
    "in a mail not long ago: one more failure is awaited.",
    HeldBecause.PROTECTED: "{protected} because {protected|it is|they are} on our own list of "
    "protected contacts.",
}

_MEND = {
    SenderProblem.SENDER_BLOCKED: "Our sender is blocked for {sender_blocked} "
    "{sender_blocked|recipient|recipients}: ask Mailjet's support and the providers concerned why.",
    SenderProblem.POLICY: "{policy} {policy|message was|messages were} refused by policy: check SPF, DKIM "
    "and DMARC of the sending domain, and its reputation.",
    SenderProblem.CONTENT_BLOCKED: "{content_blocked} {content_blocked|message was|messages were} refused "
    "for {content_blocked|its|their} content: review wording, links and images.",
    SenderProblem.SPAM_PREBLOCKED: "Mailjet's own scan stopped {spam_preblocked} "
    "{spam_preblocked|message|messages} as spam: review the content before the next send.",
    SenderProblem.TEMPLATE: "{template} {template|message|messages} could not be made from the template: "
    "correct it before the next send.",
}


def listed(parts: Sequence[str]) -> str:
    """Names side by side: `a, b and c`."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def _held(facts: ReportFacts, *, because: HeldBecause) -> tuple[int, int]:
    """Items and contacts held for one reason."""
    matching = [one for one in facts.held if one.because is because]
    return sum(one.items for one in matching), sum(one.contacts for one in matching)


def _bounce_rate(facts: ReportFacts) -> float:
    attempted = facts.delivered + facts.bounced
    return facts.bounced / attempted if attempted else 0.0
