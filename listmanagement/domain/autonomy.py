"""The rule that says whether something executes, waits for review, or is only observed.

It collects every reason against executing alone and never weighs one against another: a reason to
observe beats a reason to review, and nothing executes while any reason stands.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum
from fractions import Fraction

from listmanagement.domain.suppression import SUPPRESSES, Region


class Verdict(StrEnum):
    """What happens with a proposal."""

    EXECUTE = "execute"
    REVIEW = "review"
    OBSERVE = "observe"


class Stage(StrEnum):
    """How far the rollout has come."""

    NOT_STARTED = "not_started"
    OBSERVING = "observing"
    REVIEWING_EVERYTHING = "reviewing_everything"
    ON_ITS_OWN = "on_its_own"


class Kind(StrEnum):
    """What is proposed for a group of contacts."""

    SUPPRESSION = "suppression"
    HOLD = "hold"
    PLACEMENT = "placement"
    MOVE = "move"


class Source(StrEnum):
    """Who judged."""

    RULES = "rules"
    MODEL = "model"
    REUSED = "reused"


class Undecidable(ValueError):
    """The facts do not allow a ruling; the message says which fact is missing or wrong."""


@dataclass(frozen=True)
class Limits:
    """The thresholds of autonomy. Shares and confidences are fractions from 0 to 1."""

    observe_for: timedelta = timedelta(hours=24)
    review_everything_for: timedelta = timedelta(days=14)
    reviewed_changing_runs: int = 5
    execute_above: float = 0.85
    default_choice_from: float = 0.70
    suppressed_share: float = 0.10
    moved_share: float = 0.10
    decide_within: timedelta = timedelta(days=7)
    sampled_share: float = 0.05
    """Of what is open and would be suppressed without a review, drawn for one all the same."""


LIMITS = Limits()


@dataclass(frozen=True)
class Rollout:
    """What people switched, and how much has been seen."""

    observing_since: datetime | None
    first_observed_run_at: datetime | None
    """When a maintenance run was first observed to its end."""
    changing_runs: int
    """Runs that changed anything."""
    manual: bool
    paused: bool
    enabled: bool
    """LIST_MANAGEMENT_ENABLED."""


@dataclass(frozen=True)
class Proposal:
    """One group of contacts, and what speaks for and against doing this to it alone.

    Raises Undecidable where a word is not one of the enum's, or a share or confidence is no fraction.
    """

    key: str
    kind: str
    """A Kind."""
    contacts: int
    share: float
    """Of the mailable members of its list; for placements and moves, of all campaign lists."""
    region: str | None
    """A Region for suppressions and holds; None for placements and moves."""
    confidence: float
    """Calibrated."""
    source: str
    """A Source."""
    disagreement: bool
    """Model and rules came to different verdicts."""
    policy_review: bool
    """The policy wants a person to look, however sure anybody is."""
    findings: tuple[str, ...]
    """What the guards object to, in words."""
    contradiction: bool = False
    """List health's cause covers this group, and optimization would suppress it nevertheless."""

    def __post_init__(self) -> None:
        for word, words in ((self.kind, Kind), (self.source, Source), (self.region, Region)):
            if word is not None and word not in list(words):
                raise Undecidable(f"Proposal {self.key}: {word!r} is not one of {', '.join(words)}.")
        for name, share in (("share", self.share), ("confidence", self.confidence)):
            if not 0 <= share <= 1:
                raise Undecidable(f"Proposal {self.key}: {name} {share} is not a fraction from 0 to 1.")


@dataclass(frozen=True)
class Part:
    """So many contacts of so many."""

    contacts: int
    of: int

    def exceeds(self, share: float) -> bool:
        """Whether it is more than that share of the whole; exactly the share is not."""
        return self.contacts > Fraction(str(share)) * self.of


@dataclass(frozen=True)
class Caps:
    """How much the whole plan changes; a cap that is exceeded holds back all of its kind."""

    suppressed: Mapping[str, Part]
    """By list, each by a name of its own: all this campaign suppresses, earlier runs included, of its
    mailable members before."""
    moved: Part
    """Contacts moved, of all mailable members on campaign lists. Placements are not moves."""


@dataclass(frozen=True)
class Autonomy:
    """The ruling on one proposal."""

    verdict: Verdict
    reasons: tuple[str, ...]
    """Every reason why it does not execute alone, a sentence each, as a reviewer reads it."""
    default_choice: bool
    """False: too unsure to be preselected; the reviewer decides afresh."""


def stage(rollout: Rollout, *, now: datetime, limits: Limits = LIMITS) -> Stage:
    """How far the rollout has come.

    Observing lasts until its time has passed and one run was observed to its end. From then on,
    everything is reviewed until that time has passed too and the first changing runs are behind
    us. Manual mode brings this back at any time, and shortens no observation.
    """
    if rollout.observing_since is None:
        return Stage.NOT_STARTED
    observed = _observed_at(rollout, limits)
    if observed is None or now < observed:
        return Stage.OBSERVING
    new = (
        now < observed + limits.review_everything_for or rollout.changing_runs < limits.reviewed_changing_runs
    )
    return Stage.REVIEWING_EVERYTHING if new or rollout.manual else Stage.ON_ITS_OWN


def decide(
    proposals: Sequence[Proposal],
    *,
    rollout: Rollout,
    caps: Caps,
    now: datetime,
    limits: Limits = LIMITS,
) -> dict[str, Autonomy]:
    """Rule on each proposal, by its key, with every reason.

    Raises Undecidable where two proposals share a key, or suppressions come without their lists' caps.
    """
    _check_decidable(proposals, caps)
    observed = tuple(_why_observed(rollout, now=now, limits=limits))
    reviewed = tuple(_why_everything_is_reviewed(rollout, now=now, limits=limits))
    return {
        proposal.key: _rule_on(
            proposal,
            observed=observed,
            reviewed=(
                *reviewed,
                *_why_too_many(proposal, caps, limits),
                *_why_proposal_is_reviewed(proposal, limits),
            ),
            limits=limits,
        )
        for proposal in proposals
    }


def is_sampled(contact_id: int, *, seed: str, limits: Limits = LIMITS) -> bool:
    """Whether this contact, about to be suppressed without a review, is drawn for one.

    By chance, so that what people decide about tells of everybody, not only of doubtful cases; and the same
    contact of the same plan (`seed`) always the same, so that a step that is repeated draws nobody else.
    """
    digest = hashlib.sha256(f"{seed}:{contact_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < limits.sampled_share * 2**64


def is_sampled_from(proposal: Proposal) -> bool:
    """Whether a random sample is taken of such a group: a suppression that the policy leaves open.

    What the policy requires is nobody's judgement, and waits for nobody.
    """
    return proposal.kind == Kind.SUPPRESSION and proposal.region == Region.MAY


def why_sampled(*, limits: Limits = LIMITS) -> str:
    """Why a person is asked about what nothing speaks against, a sentence."""
    return (
        f"Random sample: {100 * limits.sampled_share:g} % of what would be suppressed without a review is "
        "looked at, so that the judgement's record is not one-sided."
    )


def reasons_of_the_rollout(rollout: Rollout, *, now: datetime, limits: Limits = LIMITS) -> tuple[str, ...]:
    """Every reason why nothing executes alone now, whatever is proposed; empty where what is sure does."""
    return (
        *_why_observed(rollout, now=now, limits=limits),
        *_why_everything_is_reviewed(rollout, now=now, limits=limits),
    )


def reviewed_until(rollout: Rollout, *, limits: Limits = LIMITS) -> datetime | None:
    """When the weeks end in which everything is reviewed; None while no run was observed to its end."""
    observed = _observed_at(rollout, limits)
    return observed + limits.review_everything_for if observed is not None else None


def deadline(next_freezes: Iterable[datetime | None], *, now: datetime, limits: Limits = LIMITS) -> datetime:
    """When an undecided decision expires: at the next freeze of a list it would change, at the latest
    after 7 days. None stands for a list where nothing is scheduled."""
    return min([freeze for freeze in next_freezes if freeze is not None] + [now + limits.decide_within])


def _observed_at(rollout: Rollout, limits: Limits) -> datetime | None:
    """When observing was, or will be, long enough; None while no run was observed to its end."""
    if rollout.observing_since is None or rollout.first_observed_run_at is None:
        return None
    return max(rollout.observing_since + limits.observe_for, rollout.first_observed_run_at)


def _rule_on(
    proposal: Proposal, *, observed: tuple[str, ...], reviewed: tuple[str, ...], limits: Limits
) -> Autonomy:
    verdict = Verdict.OBSERVE if observed else Verdict.REVIEW if reviewed else Verdict.EXECUTE
    sure_enough = proposal.confidence >= limits.default_choice_from
    return Autonomy(verdict, (*observed, *reviewed), default_choice=sure_enough)


def _why_observed(rollout: Rollout, *, now: datetime, limits: Limits) -> Iterator[str]:
    if not rollout.enabled:
        yield "List management is switched off (LIST_MANAGEMENT_ENABLED=false), so nothing may change."
    if rollout.paused:
        yield "List management is paused, so nothing may change until a person resumes it."
    if rollout.observing_since is None:
        yield "Observing has not been started, so nothing may change yet."
    elif stage(rollout, now=now, limits=limits) is Stage.OBSERVING:
        until = _when(rollout.observing_since + limits.observe_for)
        yield f"Nothing changes while observing: until {until} and until one run was observed to its end."


def _why_everything_is_reviewed(rollout: Rollout, *, now: datetime, limits: Limits) -> Iterator[str]:
    if rollout.manual:
        yield "Manual mode is on, so everything is reviewed."
    observed = _observed_at(rollout, limits)
    if observed is None or now < observed:
        return  # observing says it all
    until = observed + limits.review_everything_for
    if now < until:
        yield f"Everything is reviewed until {_when(until)}."
    if rollout.changing_runs < limits.reviewed_changing_runs:
        yield (
            f"Everything is reviewed in the first {limits.reviewed_changing_runs} runs that change anything; "
            f"so far {rollout.changing_runs} did."
        )


def _why_too_many(proposal: Proposal, caps: Caps, limits: Limits) -> Iterator[str]:
    if proposal.kind == Kind.SUPPRESSION:
        for name, part in caps.suppressed.items():
            if part.exceeds(limits.suppressed_share):
                yield f"Suppressed on {name}: {_above(part, limits.suppressed_share)}."
        yield from _why_group_is_too_large(proposal, limits.suppressed_share)
    if proposal.kind == Kind.MOVE:
        if caps.moved.exceeds(limits.moved_share):
            yield f"Moved between lists: {_above(caps.moved, limits.moved_share)}."
        yield from _why_group_is_too_large(proposal, limits.moved_share)


def _why_group_is_too_large(proposal: Proposal, cap: float) -> Iterator[str]:
    if proposal.share > cap:
        yield f"This group alone is {100 * proposal.share:.1f} %, above the {100 * cap:g} % cap."


def _why_proposal_is_reviewed(proposal: Proposal, limits: Limits) -> Iterator[str]:
    yield from proposal.findings
    if proposal.kind == Kind.SUPPRESSION and proposal.region not in SUPPRESSES:
        yield f"The policy says {proposal.region or 'nothing'} here, which is no ground to suppress."
    if proposal.policy_review:
        yield "The policy wants a person to look at this group."
    if proposal.disagreement and proposal.region != Region.MUST:
        yield "Model and rules disagree about this group."
    if proposal.contradiction and proposal.region != Region.MUST:
        yield "List health sees a cause behind these failures that speaks against suppressing."
    yield from _why_unsure(proposal.confidence, limits)


def _why_unsure(confidence: float, limits: Limits) -> Iterator[str]:
    if confidence < limits.default_choice_from:
        yield f"Confidence {_two(confidence)} is below {_two(limits.default_choice_from)}: decide afresh."
    elif confidence <= limits.execute_above:
        yield f"Confidence {_two(confidence)} is not above {_two(limits.execute_above)}."


def _check_decidable(proposals: Sequence[Proposal], caps: Caps) -> None:
    keys = [proposal.key for proposal in proposals]
    if len(set(keys)) < len(keys):
        raise Undecidable(f"Two proposals share a key among {sorted(keys)}; give each its own.")
    if not caps.suppressed and any(proposal.kind == Kind.SUPPRESSION for proposal in proposals):
        raise Undecidable("A plan that suppresses comes without its share of each list; count them first.")


def _above(part: Part, share: float) -> str:
    percent = f" ({100 * part.contacts / part.of:.1f} %)" if part.of else ""
    return f"{part.contacts:,} of {part.of:,}{percent} is above the {100 * share:g} % cap"


def _two(fraction: float) -> Decimal:
    """Two decimals, cut off: 0.849 is not shown as the 0.85 it does not reach."""
    return Decimal(str(fraction)).quantize(Decimal("0.01"), rounding=ROUND_DOWN)


def _when(moment: datetime) -> str:
    """As pages write it."""
    return f"{moment:%d %b %Y, %H:%M %Z}".lstrip("0").rstrip()
