"""What the policy says about one contact whose message failed: must, may, never, hold or consent.

The policy is data: one `Rule` per class and the thresholds, in `SuppressionPolicy`. The code below
reads it in one order, from the strongest reason to the weakest: consent, evidence already spent,
failures that are not the recipient's, a delivery since, a domain on hold, then the rules, and last
the shield of those who were lately alive, are protected, or already wait.

Two habits keep it fair. What happens after the judged message is judged with its own campaign; only
a delivery reaches back. And every ruling names the message that is its evidence.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from listmanagement.domain.bounces import (
    NEVER_TRIED,
    RECIPIENT_FAILURES,
    BounceClass,
    ContactRecord,
    Event,
    History,
    Outcome,
)


class Region(StrEnum):
    """What the policy leaves open: nothing (must, never, consent), a choice (may), or a wait (hold)."""

    MUST = "must"
    MAY = "may"
    NEVER = "never"
    HOLD = "hold"
    CONSENT = "consent"


SUPPRESSES = frozenset({Region.MUST, Region.MAY})
"""The regions that can end on the suppression list by judgement. Consent is not judgement."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The policy's row for one class: the region it reaches, and what it takes to reach it.

    All conditions must hold, except that `again_after` reaches the region by another way: one hard
    failure of the class and another this long after it. No strikes means that the class never
    strikes. `cycles` counts cycles; a send outside any cycle is in none.
    """

    bounce: BounceClass
    meaning: str
    region: Region = Region.NEVER
    strikes: int = 0
    cycles: int = 0
    span: timedelta = timedelta()
    """At least this long from the first strike to the last."""
    undelivered: timedelta = timedelta()
    """No delivery for at least this long. Who was never delivered to meets it."""
    again_after: timedelta | None = None
    only_where_domain_is_gone: bool = False
    review: bool = False


RULES = (
    Rule(BounceClass.RECIPIENT_GONE, "the server says the address does not exist", Region.MUST, strikes=1),
    Rule(
        BounceClass.RECIPIENT_GONE_SOFT,
        "the server says, but not for good, that the address does not exist",
        Region.MAY,
        strikes=3,
        cycles=3,
    ),
    Rule(BounceClass.RECIPIENT_REJECTED, "the server turned this recipient away", Region.MAY, strikes=1),
    Rule(
        BounceClass.INACTIVE,
        "the mailbox is not in use",
        Region.MAY,
        strikes=2,
        again_after=timedelta(days=14),
    ),
    Rule(BounceClass.MAILBOX_FULL, "the mailbox is full", Region.MAY, strikes=3, span=timedelta(days=30)),
    Rule(
        BounceClass.DOMAIN_GONE,
        "the domain takes no mail",
        Region.MAY,
        strikes=1,
        only_where_domain_is_gone=True,
        review=True,
    ),
    Rule(BounceClass.SENDER_SIDE, "the refusal is about our sending, not about the recipient"),
    Rule(
        BounceClass.TEMPORARY,
        "the failure calls itself temporary",
        Region.MAY,
        strikes=3,
        cycles=3,
        undelivered=timedelta(days=28),
    ),
    Rule(BounceClass.GREYLISTED, "the server only asked to be tried again later"),
    Rule(BounceClass.NOT_ATTEMPTED, "Mailjet did not try"),
    Rule(BounceClass.DUPLICATE, "Mailjet left out a second copy in one campaign"),
    Rule(BounceClass.MISTYPED, "Mailjet says the domain is mistyped", Region.MAY, strikes=1),
    Rule(BounceClass.REFUSED, "Mailjet refuses this address for the account", Region.MUST, strikes=1),
    Rule(BounceClass.COMPLAINT, "the recipient complained of spam", Region.CONSENT, strikes=1),
    Rule(
        BounceClass.CONFLICTING,
        "the server's text contradicts the reported state",
        Region.MAY,
        strikes=3,
        review=True,
    ),
    Rule(BounceClass.UNKNOWN, "the failure is hard, its reason unknown", Region.MAY, strikes=3, review=True),
)


@dataclass(frozen=True, slots=True)
class SuppressionPolicy:
    """The policy as a value: the rules, and every threshold that judging uses. Shares are fractions.

    Raises ValueError unless each class has exactly one rule, or where a rule counts strikes for a
    class that says nothing about the recipient.
    """

    rules: tuple[Rule, ...] = RULES
    strike_spacing: timedelta = timedelta(days=7)
    lately_alive: timedelta = timedelta(days=90)

    preblocked_after_hard: timedelta = timedelta(days=14)
    preblocked_after_delivery: timedelta = timedelta(days=60)
    preblocked_after_delivery_cycles: int = 3
    preblocked_never_attempted_cycles: int = 2

    contact_hold_refused: timedelta = timedelta(days=60)
    contact_hold_refused_cycles: int = 2

    silent_hard: int = 2
    """Hard failures of a contact once delivered to, where one campaign reached nobody at the domain."""
    silent_refused: timedelta = timedelta(days=120)
    """How long Mailjet must have refused to try whoever failed so, until a person decides."""

    outage_chance: float = 0.001
    """Chance of one false outage in a whole campaign; divided by the domains tried in it."""
    outage_failed: int = 5
    outage_rate_floor: float = 0.01
    outage_prior_messages: int = 20
    """How many messages at the account's rate a domain's own past is mixed with."""
    outage_past: timedelta = timedelta(days=180)
    """How far back whoever counts a domain's past, and the account's rate, has to look."""

    outage_over_deliveries: int = 2
    gone_contacts: int = 3
    gone_send_days: int = 2
    closed_checks_apart: timedelta = timedelta(days=7)
    """Between two answers of DNS that only together close a domain; for whoever asks it."""
    domain_hold_stale: timedelta = timedelta(days=120)

    def __post_init__(self) -> None:
        if sorted(rule.bounce for rule in self.rules) != sorted(BounceClass):
            raise ValueError("the policy needs exactly one rule for each class of failure")
        never = (
            BounceClass.SENDER_SIDE,
            BounceClass.GREYLISTED,
            BounceClass.NOT_ATTEMPTED,
            BounceClass.DUPLICATE,
        )
        for bounce in never:
            if self.row(bounce).strikes or self.row(bounce).region is not Region.NEVER:
                raise ValueError(
                    f"the policy must not let {bounce} strike: it says nothing about the recipient"
                )

    def row(self, bounce: BounceClass) -> Rule:
        """The rule for a class."""
        return next(rule for rule in self.rules if rule.bounce is bounce)


POLICY = SuppressionPolicy()


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the policy says about one contact's failure in one campaign, with its evidence.

    `bounce` is the class that decides: for a preblock judged by what came before it, that class.
    `evidence_message_id` is the message whose stored bounce proves it; `counted` are the messages
    that are strikes. `review` means that the policy itself wants a person to look. `why` is one
    sentence for reviewers: no address, no domain.
    """

    contact_id: int
    domain: str
    bounce: BounceClass
    region: Region
    strikes: int
    history: History
    evidence_message_id: int
    review: bool
    why: str
    counted: tuple[int, ...]


def rule(
    record: ContactRecord,
    *,
    campaign_id: int,
    held_domains: Container[str],
    gone_domains: Container[str],
    now: datetime,
    closed_domains: Container[str] = (),
    stale_domains: Container[str] = (),
    policy: SuppressionPolicy = POLICY,
) -> Ruling | None:
    """Judge one contact's failure in one campaign; None where nothing (finally) failed for them there.

    `held_domains` are on hold now, those just found among them; `gone_domains` are those whose
    stored outcomes show that nobody there can be reached (`holds.is_gone`); of these `closed_domains` are so
    by DNS, and `stale_domains` because their hold has lasted so long that a person decides. Names are
    compared as they are: lower case on both sides.
    """
    failure = failure_in(record, campaign_id=campaign_id)
    if failure is None:
        return None
    case = _Case(
        record=_as_known_at(record, failure),
        failure=failure,
        on_hold=record.domain in held_domains,
        gone=_why_gone(record.domain, gone=gone_domains, closed=closed_domains, stale=stale_domains),
        now=now,
        policy=policy,
    )
    return _ruling(case, _judge(case))


def _why_gone(
    domain: str, *, gone: Container[str], closed: Container[str], stale: Container[str]
) -> str | None:
    if domain not in gone:
        return None
    if domain in closed:
        return "asked twice, a week apart or more, DNS said that the domain takes no mail"
    if domain in stale:
        return "its domain has been on hold for long, and nothing told either way, so a person decides"
    return "of several contacts tried at the domain on different days, none was reached"


def failure_in(record: ContactRecord, *, campaign_id: int) -> Event | None:
    """The final failure a campaign is judged by: a complaint, else what was tried, else the latest."""
    failures = [e for e in record.events if e.campaign_id == campaign_id and e.failed_as is not None]

    def weight(event: Event) -> tuple[bool, bool, datetime, int]:
        complained = event.failed_as is BounceClass.COMPLAINT
        return complained, event.outcome is Outcome.BOUNCED, event.at, event.message_id

    return max(failures, key=weight, default=None)


def strikes(
    record: ContactRecord, bounce: BounceClass, *, policy: SuppressionPolicy = POLICY
) -> tuple[Event, ...]:
    """The failures that count towards the limit of a class, oldest first.

    At most one per message, per cycle and per 7 days between sends; those before a delivery are
    taken back; spent ones and those that happened while the domain was on hold do not count.
    """
    standing = (e for e in _standing(record, policy) if e.failed_as is bounce and not e.failed_in_a_hold)
    return _spaced(standing, policy)


def history(record: ContactRecord, failure: Event, *, policy: SuppressionPolicy = POLICY) -> History:
    """What a contact's past says about a failure. A click after it counts as lately alive, too."""
    if record.protected:
        return History.PROTECTED
    if any(e.human_click_at and failure.at - e.human_click_at <= policy.lately_alive for e in record.events):
        return History.LATELY_ALIVE
    if any(e.is_delivery for e in record.events):
        return History.DELIVERED_BEFORE
    return History.NEVER_DELIVERED


# Counting ------------------------------------------------------------------------------------------


def _by_time(event: Event) -> tuple[datetime, int]:
    return event.at, event.message_id


def _as_known_at(record: ContactRecord, failure: Event) -> ContactRecord:
    """The record in order, without what failed after the judged message: its own campaign judges that."""
    known = (e for e in record.events if e.failed_as is None or _by_time(e) <= _by_time(failure))
    return replace(record, events=tuple(sorted(known, key=_by_time)))


def _since_delivery(record: ContactRecord) -> list[Event]:
    """Unspent failures after the last delivery, oldest first. A spent delivery is still one."""
    delivered = max((e.at for e in record.events if e.is_delivery), default=None)
    failures = [e for e in record.events if e.failed_as is not None and not e.spent]
    return sorted((e for e in failures if delivered is None or e.at > delivered), key=_by_time)


def _standing(record: ContactRecord, policy: SuppressionPolicy) -> list[Event]:
    """Failures since the last delivery whose class strikes, and that were tried where that matters."""
    return [e for e in _since_delivery(record) if _strikes_at_all(e, policy)]


def _strikes_at_all(event: Event, policy: SuppressionPolicy) -> bool:
    bounce = event.failed_as
    if bounce is None or not policy.row(bounce).strikes:
        return False
    return event.was_tried or bounce in NEVER_TRIED


def _spaced(events: Iterable[Event], policy: SuppressionPolicy) -> tuple[Event, ...]:
    """One per message, cycle and spacing. Takes them oldest first."""
    counted: list[Event] = []
    for event in events:
        if all(_apart(earlier, event, policy) for earlier in counted):
            counted.append(event)
    return tuple(counted)


def _apart(earlier: Event, later: Event, policy: SuppressionPolicy) -> bool:
    """Whether two failures are two findings. Sends are compared: a soft failure may end days later."""
    if earlier.message_id == later.message_id:
        return False
    if earlier.cycle_id is not None and earlier.cycle_id == later.cycle_id:
        return False
    return abs(later.sent_at - earlier.sent_at) >= policy.strike_spacing


def _cycles(events: Iterable[Event]) -> int:
    return len({e.cycle_id for e in events if e.cycle_id is not None})


# Judging -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Case:
    """One failure with all that is asked about it. The record holds nothing that failed later."""

    record: ContactRecord
    failure: Event
    on_hold: bool
    gone: str | None
    """Why nobody at its domain can be reached; None where somebody may be."""
    now: datetime
    policy: SuppressionPolicy

    @property
    def bounce(self) -> BounceClass:
        return _class_of(self.failure)

    @property
    def meaning(self) -> str:
        return self.policy.row(self.bounce).meaning


@dataclass(frozen=True, slots=True)
class _Finding:
    """A region with its reason. `counted` only where it differs from the strikes of the class."""

    region: Region
    why: str
    evidence: Event
    review: bool = False
    counted: tuple[Event, ...] | None = None


def _class_of(event: Event) -> BounceClass:
    """The class of an event known to have failed."""
    assert event.failed_as is not None
    return event.failed_as


def _judge(case: _Case) -> _Finding:
    for settles in (_spent, _consent, _not_about_them, _delivered_since):
        if (settled := settles(case)) is not None:
            return settled
    preblocked = case.bounce is BounceClass.NOT_ATTEMPTED
    finding = _preblocked(case) if preblocked else _tried(case)
    if case.on_hold:
        return _held_with_domain(case, finding)
    return _unless_server_failed(case, _shielded(case, finding))


def _ruling(case: _Case, finding: _Finding) -> Ruling:
    bounce = _class_of(finding.evidence)
    counted = finding.counted
    if counted is None:
        counted = strikes(case.record, bounce, policy=case.policy)
    return Ruling(
        contact_id=case.record.contact_id,
        domain=case.record.domain,
        bounce=bounce,
        region=finding.region,
        strikes=len(counted),
        history=history(case.record, finding.evidence, policy=case.policy),
        evidence_message_id=finding.evidence.message_id,
        review=finding.review,
        why=finding.why,
        counted=tuple(event.message_id for event in counted),
    )


def _because(case: _Case, reason: str) -> str:
    meaning = case.meaning
    return f"{meaning[0].upper()}{meaning[1:]}: {reason}."


def _keep(case: _Case, reason: str) -> _Finding:
    return _Finding(Region.NEVER, _because(case, reason), case.failure)


def _spent(case: _Case) -> _Finding | None:
    if not case.failure.spent:
        return None
    return _keep(case, "a suppression on this evidence was lifted, so it no longer counts")


def _consent(case: _Case) -> _Finding | None:
    if case.bounce is not BounceClass.COMPLAINT:
        return None
    why = _because(case, "this is consent, applied without judgement and not lifted by any machine")
    return _Finding(Region.CONSENT, why, case.failure)


def _not_about_them(case: _Case) -> _Finding | None:
    """Sender side, greylisted, duplicate: never a reason, on hold or not."""
    if case.bounce is BounceClass.NOT_ATTEMPTED or case.policy.row(case.bounce).strikes:
        return None
    return _keep(case, "this never counts against a contact")


def _delivered_since(case: _Case) -> _Finding | None:
    if not any(e.is_delivery and e.at >= case.failure.at for e in case.record.events):
        return None
    return _keep(case, "a later message was delivered, which takes the failure back")


def _tried(case: _Case) -> _Finding:
    """A failure that stands for itself: by its domain's trouble, else by its class's rule."""
    if case.failure.failed_in_a_hold and not case.gone:
        return _keep(case, "it failed while its domain was on hold, which is no evidence about the contact")
    row = case.policy.row(case.bounce)
    if case.gone and (case.failure.failed_in_a_hold or row.only_where_domain_is_gone):
        return _domain_gone(case, case.failure)
    if row.only_where_domain_is_gone and _took_mail_before(case):
        why = _because(case, "nobody there was reached by this campaign, and mail was taken before")
        return _Finding(Region.MAY, why, case.failure, review=True)
    if row.only_where_domain_is_gone:
        return _keep(case, "that alone is no evidence about the contact; others there may still be reached")
    counted = strikes(case.record, case.bounce, policy=case.policy)
    if not _reaches(row, counted, case) and not _failed_again(row, case):
        return _keep(case, f"{_strikes_of(counted)} so far, where the policy asks for {_asked(row)}")
    why = _because(case, f"{_strikes_of(counted)}, {_past(case, case.failure)}")
    return _Finding(row.region, why, case.failure, review=row.review)


def _took_mail_before(case: _Case) -> bool:
    """Whether a domain that fails whole now is known to have taken mail: by what this contact got."""
    return case.failure.silent_domain and any(e.is_delivery for e in case.record.events)


def _domain_gone(case: _Case, evidence: Event) -> _Finding:
    """By review: DNS or outcomes, also those during a hold, show that nobody at the domain is reached."""
    assert case.gone is not None
    bounce = _class_of(evidence)
    failures = (e for e in _standing(case.record, case.policy) if e.failed_as is bounce)
    return _Finding(
        Region.MAY, _because(case, case.gone), evidence, review=True, counted=_spaced(failures, case.policy)
    )


def _reaches(row: Rule, counted: tuple[Event, ...], case: _Case) -> bool:
    if len(counted) < row.strikes or _cycles(counted) < row.cycles:
        return False
    if counted[-1].sent_at - counted[0].sent_at < row.span:
        return False
    delivered = max((e.at for e in case.record.events if e.is_delivery), default=None)
    return delivered is None or case.now - delivered >= row.undelivered


def _failed_again(row: Rule, case: _Case) -> bool:
    """One hard failure of the class, and this one long enough after it, be it in the same cycle."""
    if row.again_after is None:
        return False
    return any(
        e.is_hard and not e.failed_in_a_hold and case.failure.at - e.at >= row.again_after
        for e in _standing(case.record, case.policy)
        if e.failed_as is row.bounce
    )


def _strikes_of(counted: tuple[Event, ...]) -> str:
    return "1 strike" if len(counted) == 1 else f"{len(counted)} strikes"


def _asked(row: Rule) -> str:
    """A rule's conditions, for a reader."""
    asked = f"{row.strikes}"
    if row.cycles:
        asked += f" in {row.cycles} cycles"
    if row.span:
        asked += f" over {row.span.days} days"
    if row.undelivered:
        asked += f" and {row.undelivered.days} days without a delivery"
    if row.again_after is not None:
        asked += f", or a hard one and another {row.again_after.days} days later"
    return asked


_PAST = {
    History.NEVER_DELIVERED: "nothing was ever delivered",
    History.DELIVERED_BEFORE: "delivered before but not since",
    History.LATELY_ALIVE: "although a person clicked not long before",
    History.PROTECTED: "although the contact is protected",
}


def _past(case: _Case, failure: Event) -> str:
    return _PAST[history(case.record, failure, policy=case.policy)]


# Preblocked ----------------------------------------------------------------------------------------


def _preblocked(case: _Case) -> _Finding:
    """Mailjet did not try: it means what the last attempted outcome meant."""
    last = _last_attempt(case)
    if last is None:
        return _never_attempted(case)
    if last.is_delivery:
        return _preblocked_after_delivery(case, last)
    if last.spent:
        return _keep(case, "the failure before it was spent by a lift")
    if _waits(case.record) and _hard_before_hold(case, last) is None:
        return _preblocked_in_contact_hold(case)
    if case.gone and (last.failed_in_a_hold or last.failed_as is BounceClass.DOMAIN_GONE):
        return _domain_gone(case, last)
    if case.on_hold and _strikes_at_all(last, case.policy):
        return _Finding(Region.HOLD, _because(case, "the hold of its domain stays"), case.failure)
    return _preblocked_after_failure(case, last)


def _last_attempt(case: _Case) -> Event | None:
    """The last message before this one that Mailjet tried, delivered, failed or still open."""
    tried = [e for e in case.record.events if e.was_tried and e.at <= case.failure.at]
    return tried[-1] if tried else None


def _preblocks(case: _Case, *, after: datetime | None = None) -> list[Event]:
    return [
        e
        for e in case.record.events
        if e.failed_as is BounceClass.NOT_ATTEMPTED and not e.spent and (after is None or e.at > after)
    ]


def _never_attempted(case: _Case) -> _Finding:
    cycles, needed = _cycles(_preblocks(case)), case.policy.preblocked_never_attempted_cycles
    if cycles < needed:
        return _keep(case, f"never attempted by us, in {cycles} of {needed} cycles so far")
    return _Finding(Region.MAY, _because(case, f"never attempted by us, in {cycles} cycles"), case.failure)


def _preblocked_after_delivery(case: _Case, delivery: Event) -> _Finding:
    blocks, policy = _preblocks(case, after=delivery.at), case.policy
    cycles, lasted = _cycles(blocks), case.failure.at - blocks[0].at
    if cycles >= policy.preblocked_after_delivery_cycles and lasted >= policy.preblocked_after_delivery:
        why = _because(case, f"delivered before, then blocked in {cycles} cycles over {lasted.days} days")
        return _Finding(Region.MAY, why, case.failure)
    return _keep(case, "the last message that was tried was delivered")


def _preblocked_after_failure(case: _Case, last: Event) -> _Finding:
    hard = last.is_hard and last.failed_as in RECIPIENT_FAILURES and not last.failed_in_a_hold
    if not hard:
        return _keep(case, "what was tried last does not count against the contact")
    if case.failure.at - last.at < case.policy.preblocked_after_hard:
        return _keep(case, "the hard failure before it is too recent to tell")
    if not _waits(case.record) and _is_shielded(case, last):
        why = _because(case, f"what was tried last failed hard, but {_reason_to_wait(case, last)}")
        return _Finding(Region.HOLD, why, last, review=True)
    why = _because(case, f"what was tried last failed hard; {_past(case, last)}")
    return _Finding(Region.MAY, why, last)


# Holding -------------------------------------------------------------------------------------------


def _held_with_domain(case: _Case, finding: _Finding) -> _Finding:
    """A hold takes precedence over the rules. What would be kept anyway and was not tried needs none."""
    if finding.region is Region.HOLD or (finding.region is Region.NEVER and not case.failure.was_tried):
        return finding
    return _Finding(Region.HOLD, _because(case, "its domain is on hold, as in an outage"), case.failure)


def _shielded(case: _Case, finding: _Finding) -> _Finding:
    """Hold once, instead of suppressing, who was lately alive, is protected or already waits.

    The hold is for bounces. What Mailjet refuses to try is suppressed all the same, after a look.
    """
    first = _hard_before_hold(case, case.failure)
    if first is not None:
        return _second_hard(case, finding, first)
    if finding.region not in SUPPRESSES or not _is_shielded(case, finding.evidence):
        return finding
    if case.failure.is_hard or (_waits(case.record) and case.failure.was_tried):
        why = _because(case, f"{_reason_to_wait(case, case.failure)}, so it waits for another sign")
        return _Finding(Region.HOLD, why, case.failure, review=True)
    return replace(finding, review=True)


def _unless_server_failed(case: _Case, finding: _Finding) -> _Finding:
    """One hard failure counts only where the same campaign reached a colleague; else the next one decides.

    Whoever was never delivered to is likelier dead than met by an outage on the very first message.
    """
    evidence, policy = finding.evidence, case.policy
    if finding.region not in SUPPRESSES or not evidence.silent_domain or evidence.failed_in_a_hold:
        return finding
    if policy.row(_class_of(evidence)).only_where_domain_is_gone:
        return finding
    delivered = any(e.is_delivery for e in case.record.events)
    hard = [e for e in _standing(case.record, policy) if e.is_hard and not e.failed_in_a_hold]
    if not delivered or len(_spaced(hard, policy)) >= policy.silent_hard:
        return finding
    if case.failure.at - evidence.at >= policy.silent_refused:
        return replace(finding, review=True)
    reason = "nobody at its domain was reached by that campaign, so it may be the server; one more decides"
    return _keep(case, reason)


def _waits(record: ContactRecord) -> bool:
    return record.held_since is not None


def _is_shielded(case: _Case, failure: Event) -> bool:
    past = history(case.record, failure, policy=case.policy)
    return _waits(case.record) or past in (History.PROTECTED, History.LATELY_ALIVE)


def _reason_to_wait(case: _Case, failure: Event) -> str:
    if _waits(case.record):
        return "the contact is on hold already"
    if case.record.protected:
        return "the contact is protected"
    return "a person clicked not long before"


def _hard_before_hold(case: _Case, later: Event) -> Event | None:
    """The hard failure that an open hold of the contact rests on, if `later` is a second one after it.

    A delivery between them takes the first back, and with it the second's being one.
    """
    since, policy = case.record.held_since, case.policy
    if since is None or later.sent_at <= since:
        return None
    hard = [e for e in _standing(case.record, policy) if e.is_hard and not e.failed_in_a_hold]
    if later not in hard:
        return None
    firsts = [e for e in hard if e.at <= since and _apart(e, later, policy)]
    return firsts[-1] if firsts else None


def _second_hard(case: _Case, finding: _Finding, first: Event) -> _Finding:
    """The hold is used up: must where one of the two says user unknown, else as without a hold, by review."""
    says_gone = BounceClass.RECIPIENT_GONE in (case.bounce, first.failed_as)
    if says_gone and case.bounce in RECIPIENT_FAILURES:
        why = _because(case, "held once already, and hard again in a later cycle")
        both = (first, case.failure)
        return _Finding(Region.MUST, why, case.failure, review=case.record.protected, counted=both)
    return replace(finding, review=True) if finding.region in SUPPRESSES else finding


def _preblocked_in_contact_hold(case: _Case) -> _Finding:
    """The hold stays, until Mailjet has refused the contact for long enough that a person should decide."""
    since, policy = case.record.held_since, case.policy
    assert since is not None
    hard = [e for e in _standing(case.record, policy) if e.is_hard and not e.failed_in_a_hold]
    cycles = _cycles(_preblocks(case, after=since))
    refused_long = (
        cycles >= policy.contact_hold_refused_cycles and case.now - since >= policy.contact_hold_refused
    )
    if hard and refused_long:
        why = _because(case, f"on hold since a hard failure, and refused in {cycles} cycles since")
        return _Finding(Region.MAY, why, hard[-1], review=True)
    return _Finding(Region.HOLD, _because(case, "the hold of the contact stays"), case.failure, review=True)
