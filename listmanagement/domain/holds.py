"""When to wait instead of suppressing, and when the wait is over.

Judged contact by contact, a company whose server fails for a day would be suppressed whole. So each
recipient domain is first compared with its own past: a number of failures that chance does not
explain is an outage, and its contacts are held. A hold ends on fresh evidence about the domain only.
Mail hosts, where DNS tells them, are judged by the same functions, in place of a domain's name.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from math import exp, fsum, inf, lgamma, log, log1p

from listmanagement.domain.bounces import NEVER_TRIED, ContactRecord
from listmanagement.domain.suppression import POLICY, SUPPRESSES, SuppressionPolicy, failure_in, rule


class HoldEnd(StrEnum):
    """Why a hold is over: the first four for a domain, the last four for a contact."""

    OUTAGE_OVER = "outage_over"
    """Colleagues are delivered to again; the held stay on their lists."""
    CLOSED = "closed"
    """DNS says that the domain takes no mail: suppress by review."""
    NONE_DELIVERED = "none_delivered"
    """Several were tried on different days, none was reached: suppress by review."""
    STALE = "stale"
    """Nothing told either way for too long: a person decides."""
    DELIVERED = "delivered"
    SECOND_HARD = "second_hard"
    REFUSED_LONG = "refused_long"
    """Mailjet has refused the contact for so long that a person should decide."""
    COMPLAINED = "complained"
    """The contact said not to be mailed, which no wait outweighs."""


ENDED_BY_SUPPRESSION = (HoldEnd.SECOND_HARD, HoldEnd.REFUSED_LONG)
"""A hold that ends so ends with the suppression that it leads to, when that is done."""


@dataclass(frozen=True, slots=True)
class DomainTry:
    """One message to one contact of a domain, on the day its send began, with a final outcome.

    `blocked` marks what Mailjet did not try: it tells nothing. A delivery is one in any case.
    """

    contact_id: int
    day: date
    delivered: bool
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class DomainRecord:
    """One recipient domain in one campaign, beside its own past.

    `failed` of `attempted` contacts bounced in the campaign, and `past_failed` of `past_attempted`
    messages in the 180 days before; attempted is delivered and bounced, sender side and greylisted
    left out of both. `recent` are its stored outcomes, held or not, the campaign's among them.

    Raises ValueError where more failed than were attempted.
    """

    domain: str
    failed: int
    attempted: int
    past_failed: int
    past_attempted: int
    recent: tuple[DomainTry, ...] = ()
    closed_by_dns: bool = False

    def __post_init__(self) -> None:
        for failed, tried in ((self.failed, self.attempted), (self.past_failed, self.past_attempted)):
            if not 0 <= failed <= tried:
                raise ValueError(f"a domain has {failed} failed of {tried} attempted: count it again")


@dataclass(frozen=True, slots=True)
class Outage:
    """A domain to hold: what failed, what its past let expect, and how probable so much failure was.

    Rates and probability are fractions; a probability too small for a float is 0.0.
    """

    domain: str
    failed: int
    attempted: int
    expected_rate: float
    probability: float
    why: str


def outages(
    records: Sequence[DomainRecord], *, account_rate: float, policy: SuppressionPolicy = POLICY
) -> tuple[Outage, ...]:
    """The domains whose failures in a campaign look like an outage, the largest first.

    `records` are all domains tried in the campaign, since their number divides the chance allowed;
    `account_rate` is the account's bounce rate over the same 180 days. A domain where nobody can be
    reached any more is not held anew; one that is on hold already is named again.

    Raises ValueError where the account's rate is no fraction.
    """
    if not 0 <= account_rate <= 1:
        raise ValueError(f"the account's bounce rate must be between 0 and 1, not {account_rate}")
    tried = sum(record.attempted > 0 for record in records)
    found = (
        _outage(record, account_rate=account_rate, domains=tried, policy=policy)
        for record in records
        if record.failed >= policy.outage_failed
        and not is_gone(record.recent, closed_by_dns=record.closed_by_dns, policy=policy)
    )
    return tuple(sorted((o for o in found if o is not None), key=lambda o: (-o.failed, o.domain)))


def expected_rate(record: DomainRecord, *, account_rate: float, policy: SuppressionPolicy = POLICY) -> float:
    """A domain's own past, mixed with some messages at the account's rate: little past tells little."""
    rate, prior = max(account_rate, policy.outage_rate_floor), policy.outage_prior_messages
    return (record.past_failed + prior * rate) / (record.past_attempted + prior)


def _outage(
    record: DomainRecord, *, account_rate: float, domains: int, policy: SuppressionPolicy
) -> Outage | None:
    expected = expected_rate(record, account_rate=account_rate, policy=policy)
    chance = log_binomial_tail(record.failed, record.attempted, expected)
    if chance >= log(policy.outage_chance / domains):
        return None
    return Outage(
        domain=record.domain,
        failed=record.failed,
        attempted=record.attempted,
        expected_rate=expected,
        probability=exp(chance),
        why=(
            f"{record.failed} of {record.attempted} contacts tried failed where its own past lets expect "
            f"{expected:.1%}, which chance does not explain."
        ),
    )


# The binomial tail ---------------------------------------------------------------------------------


def log_binomial_tail(k: int, n: int, p: float) -> float:
    """The natural logarithm of P(X ≥ k) for X ~ Binomial(n, p); -inf where that is impossible.

    Summed outwards from its largest term, so neither a huge n nor a tiny probability loses it.
    Raises ValueError where n is negative or p no probability.
    """
    if n < 0 or not 0 <= p <= 1:
        raise ValueError(f"there is no binomial distribution with n={n}, p={p}")
    if k <= 0:
        return 0.0
    if k > n or p == 0:
        return -inf
    if p == 1:
        return 0.0
    if k > n * p:
        return min(0.0, _log_sum_upwards(k, n, p))
    # The tail is the larger part: what lies below it, mirrored, is the smaller one and sums better.
    return log1p(-exp(_log_sum_upwards(n - k + 1, n, 1 - p)))


def _log_sum_upwards(k: int, n: int, p: float) -> float:
    """log of the terms k, k+1, … n, which fall from the first on because k lies above the mean."""
    terms, term = [], 1.0
    for i in range(k, n + 1):
        if term < 1e-18:
            break
        terms.append(term)
        term *= (n - i) / (i + 1) * p / (1 - p)
    return _log_term(k, n, p) + log(fsum(terms))


def _log_term(k: int, n: int, p: float) -> float:
    ways = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
    return ways + k * log(p) + (n - k) * log1p(-p)


# Ends ----------------------------------------------------------------------------------------------


def is_gone(tries: Iterable[DomainTry], *, closed_by_dns: bool, policy: SuppressionPolicy = POLICY) -> bool:
    """Whether nobody at a domain can be reached: DNS says so, or three tried on two send days say so.

    Counted since the last day on which anybody there was delivered to: a domain that worked once can
    close, too. Without evidence it is not gone.
    """
    if closed_by_dns:
        return True
    told = [t for t in tries if t.delivered or not t.blocked]
    last_delivery = max((t.day for t in told if t.delivered), default=date.min)
    silent = [t for t in told if t.day > last_delivery and not t.delivered]
    contacts, days = {t.contact_id for t in silent}, {t.day for t in silent}
    return len(contacts) >= policy.gone_contacts and len(days) >= policy.gone_send_days


def domain_hold_end(
    tries: Iterable[DomainTry],
    *,
    held_since: datetime,
    now: datetime,
    closed_by_dns: bool = False,
    policy: SuppressionPolicy = POLICY,
) -> HoldEnd | None:
    """How a domain's hold has ended by now, or None while it lasts.

    Only tries on days after the hold began are fresh evidence. Signs of life go first.
    """
    fresh = [t for t in tries if t.day > held_since.date() and (t.delivered or not t.blocked)]
    if _outage_is_over(fresh, policy):
        return HoldEnd.OUTAGE_OVER
    if closed_by_dns:
        return HoldEnd.CLOSED
    if is_gone(fresh, closed_by_dns=False, policy=policy):
        return HoldEnd.NONE_DELIVERED
    return HoldEnd.STALE if now - held_since >= policy.domain_hold_stale else None


def _outage_is_over(fresh: Sequence[DomainTry], policy: SuppressionPolicy) -> bool:
    """Two colleagues delivered to, or the only one who was tried."""
    tried = {t.contact_id for t in fresh}
    delivered = {t.contact_id for t in fresh if t.delivered}
    return len(delivered) >= policy.outage_over_deliveries or (len(tried) == 1 and delivered == tried)


def contact_hold_end(
    record: ContactRecord,
    *,
    held_domains: Container[str],
    gone_domains: Container[str],
    now: datetime,
    policy: SuppressionPolicy = POLICY,
) -> HoldEnd | None:
    """How an open hold of a contact has ended by now, or None while it lasts.

    The ends that suppress are those in which `rule` does: the two cannot disagree. Raises
    ValueError where the contact is not on hold.
    """
    since = record.held_since
    if since is None:
        raise ValueError(f"contact {record.contact_id} is not on hold: nothing can end")
    held_at = max((e.at for e in record.events if e.is_hard and e.at <= since), default=since)
    if any(event.is_delivery and event.at >= held_at for event in record.events):
        return HoldEnd.DELIVERED
    later = sorted((e.at, e.campaign_id) for e in record.events if e.sent_at > since)
    for _, campaign_id in later:
        ruling = rule(
            record,
            campaign_id=campaign_id,
            held_domains=held_domains,
            gone_domains=gone_domains,
            now=now,
            policy=policy,
        )
        if ruling is not None and ruling.region in SUPPRESSES and (end := _ended_by(record, campaign_id)):
            return end
    return None


def _ended_by(record: ContactRecord, campaign_id: int) -> HoldEnd | None:
    """Which end a suppressing rule means. What Mailjet refuses to try for good is not the hold's matter."""
    failure = failure_in(record, campaign_id=campaign_id)
    if failure is None or failure.failed_as in NEVER_TRIED:
        return None
    return HoldEnd.SECOND_HARD if failure.was_tried else HoldEnd.REFUSED_LONG
