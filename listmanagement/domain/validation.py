"""Whether a send may go out: what is found before it, how grave that is, and what to do.

Facts about one send come in, findings and a verdict come out. A blocking finding that a person cleared, with
name and reason, counts as a warning for as long as it is about nobody and nothing else, and no more, than it
was then.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from itertools import takewhile

from listmanagement.domain.telling import people


class Severity(StrEnum):
    """How grave a finding is."""

    NOTE = "note"
    WARNING = "warning"
    BLOCKING = "blocking"


class Verdict(StrEnum):
    """What is said of a send."""

    PASS = "pass"  # noqa: S105  (no password)
    WARN = "warn"
    BLOCK = "block"


class Check(StrEnum):
    """What is looked at. Each member's rule stands in the table below."""

    WRONG_LIST = "wrong_list"
    LIST_DELETED = "list_deleted"
    NOBODY = "nobody"
    SIZE = "size"
    BALANCE = "balance"
    SENT_BEFORE = "sent_before"
    EARLIER_ROUND = "earlier_round"
    BOUNCE_RATE = "bounce_rate"
    SUPPRESSED = "suppressed"
    SAID_NO = "said_no"
    SEVERAL_LISTS = "several_lists"
    UNVERIFIED = "unverified"
    DEFERRED = "deferred"
    FRESHNESS = "freshness"
    NOT_ASKED = "not_asked"
    HELD = "held"
    UNDECIDED = "undecided"
    AGENTS = "agents"
    AT_ONCE = "at_once"
    SEGMENT = "segment"
    NOT_SCHEDULED = "not_scheduled"


HEALS_ALONE = frozenset({Check.SAID_NO, Check.UNVERIFIED, Check.FRESHNESS, Check.NOT_ASKED})
"""What Evenkeel itself is about to put right: looked at again before a draft is unscheduled for it."""


class HeldTreatment(StrEnum):
    """To whom of held domains a send goes. Nothing chosen is the same as all: the held stay on their list."""

    ALL = "all"
    FIVE = "five"  # of each held domain: the real re-test
    NONE = "none"


class Instant(StrEnum):
    """When a send is looked at."""

    DAY_BEFORE = "day_before"
    TWO_HOURS_BEFORE = "two_hours_before"
    HALF_AN_HOUR_BEFORE = "half_an_hour_before"
    BEFORE_UNSCHEDULING = "before_unscheduling"
    ASKED = "asked"


BEFORE: Mapping[Instant, timedelta] = {
    Instant.DAY_BEFORE: timedelta(hours=24),
    Instant.TWO_HOURS_BEFORE: timedelta(hours=2),
    Instant.HALF_AN_HOUR_BEFORE: timedelta(minutes=30),
}
"""How long before a send it is looked at by itself."""

LAST_UNSCHEDULING = timedelta(minutes=15)
"""Later than so long before a send its draft is left alone."""

HEALS_WITHIN = timedelta(minutes=10)
"""How long what heals alone is given before a draft is unscheduled for it."""

NO_LATER = timedelta(minutes=5)
"""So long before the last moment for an unscheduling nothing more is waited for. The watch comes by each
minute, and may be held up."""


@dataclass(frozen=True)
class Limits:
    """From where on something is worth a word. Shares are fractions."""

    size_warning: float = 0.05
    size_block: float = 0.25
    hard_warning: float = 0.05
    hard_block: float = 0.08
    """Of an earlier round of the cycle: the next ones wait for a person."""
    lists_warning: timedelta = timedelta(hours=1)
    lists_block: timedelta = timedelta(hours=24)
    campaigns_warning: timedelta = timedelta(hours=1)
    at_once: timedelta = timedelta(hours=6)
    """Sends to two campaign lists closer together than this: nothing is learnt from the first in between."""
    spent_warning: float = 0.9


LIMITS = Limits()


@dataclass(frozen=True)
class Outcomes:
    """How a campaign ended so far."""

    campaign_id: int
    list_name: str
    hard: int
    attempted: int
    """Delivered and bounced."""

    @property
    def rate(self) -> Fraction:
        """The hard bounces' share; nobody attempted is none."""
        return Fraction(self.hard, self.attempted) if self.attempted else Fraction(0)


@dataclass(frozen=True)
class HeldHost:
    """A held domain or mail host, and who of it is on the list now."""

    hold_id: int
    contacts: tuple[int, ...]


@dataclass(frozen=True)
class Agent:
    """An agent's last answer."""

    name: str
    is_valid: bool
    by_rules: bool
    why: str = ""
    """Why the first answer was refused, where it was."""


@dataclass(frozen=True)
class OtherSend:
    """Another send that is scheduled."""

    campaign_id: int
    list_name: str
    at: datetime
    is_same_list: bool


@dataclass(frozen=True)
class BeforeDue:
    """A list whose round of the cycle under way should have been scheduled by now."""

    list_name: str
    since: datetime


@dataclass(frozen=True)
class Cleared:
    """A finding that a person cleared: of how many, of which contacts, and of what else."""

    number: int
    contacts: frozenset[int] = frozenset()
    subjects: frozenset[str] | None = frozenset()
    """None of a finding that was kept before these were, and with the first of its contacts only."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a send and its list. Contacts are ids; times are aware."""

    sends_at: datetime
    list_name: str
    list_role: str
    """As people call it: "campaign", "master", "suppression"."""
    is_deleted: bool = False
    is_repeat: bool = False
    """Of a round that its list had, as the rules see it."""
    overtakes: Sequence[str] = ()
    """Lists that still wait for their round of the cycle under way, while this begins another one."""
    said_by_person: bool = False
    """A person labelled it: what it is was meant."""
    segment: int | None = None

    size: int
    expected_size: int | None = None
    """By the last count and the journal; None where it was never counted."""
    members_here: int = 0
    members_at_mailjet: int | None = None
    deviation: float = 0.0
    """The largest distance from the mean size, percent."""
    threshold: float = 5.0

    last_send: Outcomes | None = None
    earlier_rounds: Sequence[Outcomes] = ()

    suppressed: Collection[int] = ()
    said_no: Collection[int] = ()
    several_lists: Collection[int] = ()
    unverified: Collection[int] = ()
    """Batches that Mailjet has, or may have, and that are not seen to be done."""
    consent_under_way: Collection[int] = ()
    """The same of what contacts themselves said."""
    deferred: int = 0
    """Contacts of batches that wait until after the send."""

    lists_read_at: datetime | None = None
    campaigns_read_at: datetime | None = None
    not_asked: str = ""
    """Why Mailjet could not be asked, in words; empty where it was."""

    held: Sequence[HeldHost] = ()
    treatment: HeldTreatment | None = None
    skipped: int = 0
    """Contacts taken off the list for this send, by the reviewer's choice."""
    choose_before: datetime | None = None

    undecided: Collection[int] = ()

    agents: Sequence[Agent] = ()
    has_model: bool = False
    spent: float = 0.0
    """The share of the day's tokens that is used."""

    others: Sequence[OtherSend] = ()
    due_rounds: Sequence[BeforeDue] = ()

    cleared: Mapping[Check, Sequence[Cleared]] = field(default_factory=dict)
    """What a person knew of when they said to send it anyway, to this list."""


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing before a send."""

    check: Check
    severity: Severity
    words: str
    what_to_do: str
    contacts: tuple[int, ...] = ()
    number: int = 0
    subjects: frozenset[str] = frozenset()
    """What it is about besides contacts, by name: "round 12", "batch 5"."""
    is_cleared: bool = False
    """A person knows of it, and said to send all the same."""


Rule = Callable[[Facts, datetime, Limits], Iterator[Finding]]


def find(facts: Facts, *, at: datetime, limits: Limits = LIMITS) -> tuple[Finding, ...]:
    """Everything worth knowing about a send, the gravest first."""
    found = [_cleared(each, facts) for rule in _RULES for each in rule(facts, at, limits)]
    order = [Severity.BLOCKING, Severity.WARNING, Severity.NOTE]
    return tuple(sorted(found, key=lambda each: (each.is_cleared, order.index(each.severity))))


def verdict(findings: Collection[Finding]) -> Verdict:
    """Block where something blocks that nobody cleared; warn where anything is wrong."""
    if blocking(findings):
        return Verdict.BLOCK
    return Verdict.WARN if any(each.severity is not Severity.NOTE for each in findings) else Verdict.PASS


def blocking(findings: Collection[Finding]) -> tuple[Finding, ...]:
    """What keeps the send from going out."""
    return tuple(each for each in findings if each.severity is Severity.BLOCKING and not each.is_cleared)


def heals_alone(checks: Collection[Check]) -> bool:
    """Whether everything that blocks is about to be put right without a person."""
    return bool(checks) and all(check in HEALS_ALONE for check in checks)


def due_instant(sends_at: datetime, *, done: Collection[Instant], at: datetime) -> Instant | None:
    """When a send should have been looked at by now and was not; None where nothing is due.

    Only the latest counts: of a send that was scheduled an hour before, two hours before is looked at once.
    """
    passed = [each for each, before in BEFORE.items() if sends_at - before <= at < sends_at]
    latest = min(passed, key=lambda each: BEFORE[each], default=None)
    return None if latest in done else latest


def may_unschedule(sends_at: datetime, *, at: datetime) -> bool:
    """Whether it is time to take a draft's schedule away: neither days ahead nor too late."""
    return sends_at - BEFORE[Instant.DAY_BEFORE] <= at <= sends_at - LAST_UNSCHEDULING


@dataclass(frozen=True)
class Look:
    """What one look at a send found to block it."""

    sends_at: datetime
    at: datetime
    checks: frozenset[Check]
    about: frozenset[tuple[str, int | str]]
    """Each check with each contact, or whatever else, that it is about."""


def heals_until(looks: Iterable[Look]) -> datetime:
    """Until when what the newest look found may still be put right by itself; the newest come first.

    Counted from the first look that found any of it, with no look in between that did not: who looks again
    puts nothing off. Where something needs a person nothing is waited for.
    """
    looks = iter(looks)
    newest = next(looks)
    if not heals_alone(newest.checks):
        return newest.at
    since = newest.at
    for earlier in takewhile(lambda each: each.about & newest.about, looks):
        since = earlier.at
    return min(since + HEALS_WITHIN, newest.sends_at - LAST_UNSCHEDULING - NO_LATER)


def _cleared(finding: Finding, facts: Facts) -> Finding:
    is_known = covers(facts.cleared, finding)
    return replace(finding, is_cleared=finding.severity is Severity.BLOCKING and is_known)


def covers(known: Mapping[Check, Collection[Cleared]], finding: Finding) -> bool:
    """Whether a person knew all of this when they said to send it anyway."""
    return any(_covers(each, finding) for each in known.get(finding.check, ()))


def _covers(known: Cleared, finding: Finding) -> bool:
    """Whether it is about nobody and nothing else, and no more, than what a person cleared."""
    if finding.number > known.number:
        return False
    if known.subjects is None and len(known.contacts) < known.number:  # nothing more is known of it
        return bool(finding.contacts) is bool(known.contacts)
    is_same = known.subjects is None or known.subjects >= finding.subjects
    return is_same and known.contacts.issuperset(finding.contacts)


# --- The list --------------------------------------------------------------------------------------------


def _list(facts: Facts, at: datetime, limits: Limits) -> Iterator[Finding]:
    del at, limits
    name = facts.list_name
    if facts.list_role != "campaign":
        yield Finding(
            Check.WRONG_LIST,
            Severity.BLOCKING,
            f"It goes to the {facts.list_role} list, which is never mailed.",
            "Choose a campaign list in the draft at Mailjet, or delete the draft.",
        )
    if facts.is_deleted:
        yield Finding(
            Check.LIST_DELETED,
            Severity.BLOCKING,
            f"{name} does not exist at Mailjet any more, or is deleted there.",
            "Restore the list at Mailjet, or choose another one in the draft.",
        )
    elif not facts.size and facts.list_role == "campaign":
        yield Finding(
            Check.NOBODY,
            Severity.BLOCKING,
            f"{name} has no mailable contact.",
            "Look at Mailjet who emptied it; bring it back before the send.",
        )


def _size(facts: Facts, at: datetime, limits: Limits) -> Iterator[Finding]:
    del at
    if facts.expected_size:
        off = facts.size - facts.expected_size
        share = Fraction(abs(off), facts.expected_size)
        if share > Fraction(str(limits.size_warning)):
            grave = share > Fraction(str(limits.size_block))
            yield Finding(
                Check.SIZE,
                Severity.BLOCKING if grave else Severity.WARNING,
                f"{facts.list_name} has {facts.size:,} mailable contacts, {abs(off):,} "
                f"{'more' if off > 0 else 'fewer'} than the journal explains ({facts.expected_size:,}).",
                f"Look at Mailjet who {'added' if off > 0 else 'removed'} them, and whether that was meant.",
                number=abs(off),
                subjects=frozenset({"more" if off > 0 else "fewer"}),
            )
    here, there = facts.members_here, facts.members_at_mailjet
    if there is not None and there != here:
        yield Finding(
            Check.SIZE,
            Severity.WARNING,
            f"{facts.list_name} has {there:,} members at Mailjet and {here:,} here.",
            "It is read again within half an hour; `manage.py refresh_cache` does it now.",
            number=abs(there - here),
        )


def _balance(facts: Facts, at: datetime, limits: Limits) -> Iterator[Finding]:
    del at, limits
    if facts.deviation > facts.threshold:
        yield Finding(
            Check.BALANCE,
            Severity.WARNING,
            f"The campaign lists differ by {facts.deviation:.1f} % from their mean size "
            f"(the limit is {facts.threshold:g} %).",
            "Nothing for this send: contacts move between two cycles, as the next maintenance proposes.",
        )


# --- What was sent before --------------------------------------------------------------------------------


def _sent_before(facts: Facts, at: datetime, limits: Limits) -> Iterator[Finding]:
    del at, limits
    meant = "If it is meant, say on the campaign's page what it is, or send it anyway, with a reason."
    severity = Severity.WARNING if facts.said_by_person else Severity.BLOCKING
    if facts.is_repeat:
        yield Finding(
            Check.SENT_BEFORE,
            severity,
            f"{facts.list_name} had this cycle's message already: its contacts would get it twice.",
            f"Unschedule the draft at Mailjet, or choose the list whose turn it is. {meant}",
            subjects=frozenset({"again"}),
        )
    elif facts.overtakes:
        yield Finding(
            Check.SENT_BEFORE,
            severity,
            f"It begins a new cycle, while {_and(facts.overtakes)} still "
            f"{'waits' if len(facts.overtakes) == 1 else 'wait'} for the message of the one before.",
            f"Send the missing rounds first. {meant}",
            subjects=frozenset(f"before {name}" for name in facts.overtakes),
        )


def _bounces(facts: Facts, at: datetime, limits: Limits) -> Iterator[Finding]:
    del at
    for earlier in facts.earlier_rounds:
        if earlier.rate > Fraction(str(limits.hard_block)):
            yield Finding(
                Check.EARLIER_ROUND,
                Severity.BLOCKING,
                f"Campaign {earlier.campaign_id} to {earlier.list_name}, an earlier round of this cycle, "
                f"bounced hard for {float(earlier.rate):.1%} of {earlier.attempted:,} "
                f"(the limit is {limits.hard_block:.0%}).",
                "Look at that campaign's page for the cause. When the rest may go out, send it anyway.",
                number=earlier.hard,
                subjects=frozenset({f"round {earlier.campaign_id}"}),
            )
    last = facts.last_send
    if last is not None and last.rate > Fraction(str(limits.hard_warning)):
        yield Finding(
            Check.BOUNCE_RATE,
            Severity.WARNING,
            f"The last send to {facts.list_name}, campaign {last.campaign_id}, bounced hard for "
            f"{float(last.rate):.1%} of {last.attempted:,} (the line is {limits.hard_warning:.0%}).",
            "See that its maintenance has run and that its decisions are decided before this send.",
            number=last.hard,
        )


# --- Who is on it ----------------------------------------------------------------------------------------


def _contacts(facts: Facts, at: datetime, limits: Limits) -> Iterator[Finding]:
    del at, limits
    yield from _about(
        Check.SUPPRESSED,
        facts.suppressed,
        f"suppressed, and on {facts.list_name}",
        "Take them off the list at Mailjet, or lift the suppression: reconciliation asks which.",
    )
    yield from _about(
        Check.SAID_NO,
        facts.said_no,
        f"opted out or complained, and still subscribed on {facts.list_name}",
        "Applied within minutes by itself; while list management is off or paused, unsubscribe them there.",
    )
    if facts.consent_under_way:
        yield Finding(
            Check.SAID_NO,
            Severity.BLOCKING,
            f"What contacts said of themselves is being applied on {facts.list_name} "
            f"({_numbers('batch', facts.consent_under_way)}).",
            "It ends within minutes; what hinders it stands on its run's page.",
            number=len(facts.consent_under_way),
            subjects=_batches(facts.consent_under_way),
        )
    yield from _about(
        Check.SEVERAL_LISTS,
        facts.several_lists,
        f"on {facts.list_name} and on another campaign list: they would get the message twice",
        "Decide in the queue where they belong, or take them off one of the lists at Mailjet.",
    )


def _about(check: Check, contacts: Collection[int], words: str, what_to_do: str) -> Iterator[Finding]:
    if contacts:
        yield Finding(
            check,
            Severity.BLOCKING,
            f"{people(len(contacts))}: {words}.",
            what_to_do,
            contacts=tuple(sorted(contacts)),
            number=len(contacts),
        )


def _undecided(facts: Facts, at: datetime, limits: Limits) -> Iterator[Finding]:
    del at, limits
    if facts.undecided:
        yield Finding(
            Check.UNDECIDED,
            Severity.WARNING,
            f"{people(len(facts.undecided))} proposed for suppression and not decided: they will be mailed.",
            "Decide in the queue before the list is frozen, two hours before the send.",
            contacts=tuple(sorted(facts.undecided)),
            number=len(facts.undecided),
        )


# --- What is under way -----------------------------------------------------------------------------------


def _journal(facts: Facts, at: datetime, limits: Limits) -> Iterator[Finding]:
    del limits
    if facts.unverified:
        is_frozen = at >= facts.sends_at - BEFORE[Instant.TWO_HOURS_BEFORE]
        yield Finding(
            Check.UNVERIFIED,
            Severity.BLOCKING if is_frozen else Severity.WARNING,
            f"Changes of {facts.list_name} are not seen to be done "
            f"({_numbers('batch', facts.unverified)}){', and it is frozen' if is_frozen else ''}.",
            "They are followed to their end; each batch's page says what it waits for.",
            number=len(facts.unverified),
            subjects=_batches(facts.unverified),
        )
    if facts.deferred:
        yield Finding(
            Check.DEFERRED,
            Severity.NOTE,
            f"Changes of {people(facts.deferred)} on {facts.list_name} wait until after this send.",
            "Nothing: no change starts that might not be done before the freeze.",
            number=facts.deferred,
        )


def _freshness(facts: Facts, at: datetime, limits: Limits) -> Iterator[Finding]:
    if facts.not_asked:
        yield Finding(
            Check.NOT_ASKED,
            Severity.WARNING,
            f"Mailjet could not be asked: {facts.not_asked}. What is said here may be outdated.",
            "Look again when Mailjet answers: `manage.py validate_campaign`.",
        )
    read_at = facts.lists_read_at
    if read_at is None or at - read_at > limits.lists_block:
        when = "never been" if read_at is None else f"not been since {read_at:%d %B %H:%M} UTC"
        yield Finding(
            Check.FRESHNESS,
            Severity.BLOCKING,
            f"{facts.list_name}, or a list that it is compared with, has {when} read whole.",
            "See on the Mailjet page why; `manage.py refresh_cache` reads it now.",
        )
    elif at - read_at > limits.lists_warning:
        yield Finding(
            Check.FRESHNESS,
            Severity.WARNING,
            f"What is known of {facts.list_name} is as of {read_at:%d %B %H:%M} UTC.",
            "`manage.py refresh_cache` reads it now.",
        )
    campaigns = facts.campaigns_read_at
    if campaigns is None or at - campaigns > limits.campaigns_warning:
        when = "never" if campaigns is None else f"last at {campaigns:%d %B %H:%M} UTC"
        yield Finding(
            Check.FRESHNESS,
            Severity.WARNING,
            f"Campaigns were {when} read from Mailjet: what else is scheduled may be unknown.",
            "`manage.py sync_campaigns` reads them now.",
        )


# --- Held domains ----------------------------------------------------------------------------------------


def _held(facts: Facts, at: datetime, limits: Limits) -> Iterator[Finding]:
    del limits
    contacts = tuple(sorted({contact for host in facts.held for contact in host.contacts}))
    if facts.skipped:
        yield Finding(
            Check.HELD,
            Severity.NOTE,
            f"{people(facts.skipped)} of held domains were taken off {facts.list_name} for this send, "
            f"{people(len(contacts))} of them are mailed.",
            "Nothing: they are put back, with their place, when the send has ended.",
            contacts=contacts,
            number=len(contacts),
        )
    elif contacts:
        yield _reached(facts, contacts, at=at)


def _reached(facts: Facts, contacts: tuple[int, ...], *, at: datetime) -> Finding:
    domains = f"{len(facts.held):,} held domain{'' if len(facts.held) == 1 else 's'}"
    words = f"It reaches {people(len(contacts))} of {domains}."
    is_late = facts.choose_before is None or at >= facts.choose_before
    if facts.treatment is HeldTreatment.ALL:
        words = f"{words} All are mailed, as chosen."
        return Finding(Check.HELD, Severity.NOTE, words, "Nothing.", contacts, len(contacts))
    if facts.treatment is None:
        what = (
            "It is too late to take anybody off: all of them are mailed."
            if is_late
            else f"Choose before {facts.choose_before:%d %B %H:%M} UTC whom to mail: all of them, five of "
            "each domain (the re-test), or none this time. Without a choice all are mailed."
        )
        return Finding(Check.HELD, Severity.WARNING, words, what, contacts, len(contacts))
    chosen = "five of each domain" if facts.treatment is HeldTreatment.FIVE else "none of them"
    if is_late:
        return Finding(
            Check.HELD,
            Severity.WARNING,
            f"{words} Chosen was to mail {chosen}, but the others were not taken off in time.",
            "Unschedule the draft at Mailjet if they must not be mailed; else all of them are.",
            contacts,
            len(contacts),
        )
    return Finding(
        Check.HELD,
        Severity.NOTE,
        f"{words} To be mailed, as chosen: {chosen}; the others are taken off before the freeze.",
        "Nothing.",
        contacts,
        len(contacts),
    )


# --- The agents ------------------------------------------------------------------------------------------


def _agents(facts: Facts, at: datetime, limits: Limits) -> Iterator[Finding]:
    del at
    if not facts.has_model:
        yield Finding(
            Check.AGENTS, Severity.NOTE, "No Gemini key is set: rules judge.", "Nothing, if that is meant."
        )
        return
    for agent in facts.agents:
        if agent.by_rules or not agent.is_valid:
            what = "was given by rules" if agent.by_rules else "was not usable at first"
            yield Finding(
                Check.AGENTS,
                Severity.WARNING,
                f"The last answer of the agent {agent.name} {what}{f': {agent.why}' if agent.why else ''}.",
                "Nothing for this send: rules judge where the model does not. See the agent's call.",
            )
    if facts.spent >= limits.spent_warning:
        yield Finding(
            Check.AGENTS,
            Severity.WARNING,
            f"{facts.spent:.0%} of the day's tokens for Gemini are used: rules will judge what follows.",
            "Raise GEMINI_TOKENS_PER_DAY, or wait.",
        )


# --- What people commonly get wrong ----------------------------------------------------------------------


def _mistakes(facts: Facts, at: datetime, limits: Limits) -> Iterator[Finding]:
    del at
    for other in facts.others:
        if abs(other.at - facts.sends_at) < limits.at_once:
            what = "again to the same list" if other.is_same_list else f"to {other.list_name}"
            yield Finding(
                Check.AT_ONCE,
                Severity.WARNING,
                f"Campaign {other.campaign_id} goes {what} at {other.at:%d %B %H:%M} UTC, about then, too.",
                "Schedule rounds a day apart or more: what the first shows should be judged before the next.",
            )
    if facts.segment is not None:
        meant = facts.said_by_person
        yield Finding(
            Check.SEGMENT,
            Severity.NOTE if meant else Severity.WARNING,
            f"It goes to segment {facts.segment} of {facts.list_name} only.",
            "Take the segment out of the draft at Mailjet if the whole list is meant.",
        )
    for due in facts.due_rounds:
        yield Finding(
            Check.NOT_SCHEDULED,
            Severity.WARNING,
            f"The round to {due.list_name} has been due since {due.since:%d %B} and is not scheduled.",
            "Schedule its draft at Mailjet, or say on the cycle's campaigns that it is skipped.",
        )


def _and(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _batches(ids: Collection[int]) -> frozenset[str]:
    return frozenset(f"batch {each}" for each in ids)


def _numbers(noun: str, ids: Collection[int]) -> str:
    shown = ", ".join(map(str, sorted(ids)[:5]))
    return f"{noun} {shown}" + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")


_RULES: Sequence[Rule] = (
    _list,
    _sent_before,
    _contacts,
    _bounces,
    _journal,
    _size,
    _freshness,
    _held,
    _undecided,
    _mistakes,
    _agents,
    _balance,
)
