"""What the policy says of one campaign: the outages among its failures, a ruling each, and their cohorts."""

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from listmanagement.domain import holds, mail_hosts
from listmanagement.domain.bounces import ContactRecord
from listmanagement.domain.cohorts import Cohort, cohorts
from listmanagement.domain.holds import DomainRecord, Outage
from listmanagement.domain.suppression import POLICY, Ruling, SuppressionPolicy, rule


@dataclass(frozen=True)
class CampaignFacts:
    """Everything that judging one campaign's failures asks for, as it is known now."""

    campaign_id: int
    domains: Sequence[DomainRecord]
    """Every domain tried in the campaign."""
    account_rate: float
    """Bounced ÷ (delivered + bounced) over the policy's past, a fraction."""
    held_domains: Collection[str]
    """On hold since before, and not ended by now."""
    records: Sequence[ContactRecord]
    """Everybody for whom something failed in the campaign, with all that was ever sent to them."""
    stale_domains: Collection[str] = ()
    """On hold for so long that a person decides; not among the held."""
    mail_hosts: Mapping[str, str] = field(default_factory=dict)
    """The mail host of each domain, where it is known."""
    held_hosts: Collection[str] = ()
    """Mail hosts on hold since before, and not ended by now."""
    explained: Container[str] = ()
    """Domains and mail hosts of which an ended hold explains this campaign's failures: no other opens."""


@dataclass(frozen=True)
class Judgement:
    """What the policy says of one campaign's failures."""

    rulings: tuple[Ruling, ...]
    cohorts: tuple[Cohort, ...]
    outages: tuple[Outage, ...]
    held_domains: frozenset[str]
    """On hold now, the outages just found among them."""
    gone_domains: frozenset[str]
    host_outages: tuple[Outage, ...] = ()
    """Mail hosts whose failures look like an outage, the host in place of the domain."""
    held_with: Mapping[str, str] = field(default_factory=dict)
    """Of the held domains those that only their mail host explains, with it."""


def judge(
    facts: CampaignFacts,
    *,
    token: Callable[[str], str],
    now: datetime,
    policy: SuppressionPolicy = POLICY,
) -> Judgement:
    """Judge a campaign. `token` turns a domain's name into what an agent may see, see `cohorts`."""
    found = _new(holds.outages(facts.domains, account_rate=facts.account_rate, policy=policy), facts)
    own = frozenset(facts.held_domains) | {outage.domain for outage in found}
    gone = _gone(facts, policy=policy) - own
    host_found = _host_outages(facts, policy=policy)
    held_with = _held_with(facts, {outage.domain for outage in host_found}, without=own | gone)
    held = own | held_with.keys()
    stale = frozenset(facts.stale_domains) - held
    rulings = tuple(_rulings(facts, held=held, gone=gone | stale, stale=stale, now=now, policy=policy))
    return Judgement(
        rulings=rulings,
        cohorts=cohorts(rulings, held_domains=held, token=token),
        outages=found,
        held_domains=held,
        gone_domains=gone | stale,
        host_outages=host_found,
        held_with=held_with,
    )


def _gone(facts: CampaignFacts, *, policy: SuppressionPolicy) -> frozenset[str]:
    return frozenset(
        record.domain
        for record in facts.domains
        if holds.is_gone(record.recent, closed_by_dns=record.closed_by_dns, policy=policy)
    )


def _host_outages(facts: CampaignFacts, *, policy: SuppressionPolicy) -> tuple[Outage, ...]:
    """Mail hosts, judged as domains are; none where too few are known."""
    if not mail_hosts.is_known(facts.domains, host_of=facts.mail_hosts):
        return ()
    pooled = mail_hosts.pooled(facts.domains, host_of=facts.mail_hosts)
    return _new(holds.outages(pooled, account_rate=facts.account_rate, policy=policy), facts)


def _new(found: Iterable[Outage], facts: CampaignFacts) -> tuple[Outage, ...]:
    return tuple(outage for outage in found if outage.domain not in facts.explained)


def _held_with(facts: CampaignFacts, found: Collection[str], *, without: Container[str]) -> dict[str, str]:
    """Domains at which something failed while their mail host is on hold, and that nothing else explains."""
    hosts = {*facts.held_hosts, *found}
    behind = ((record, facts.mail_hosts.get(record.domain)) for record in facts.domains if record.failed)
    return {
        record.domain: host
        for record, host in behind
        if host is not None and host in hosts and record.domain not in without
    }


def _rulings(
    facts: CampaignFacts,
    *,
    held: Container[str],
    gone: Container[str],
    stale: Container[str],
    now: datetime,
    policy: SuppressionPolicy,
) -> Iterator[Ruling]:
    closed = {record.domain for record in facts.domains if record.closed_by_dns}
    for record in facts.records:
        ruling = rule(
            record,
            campaign_id=facts.campaign_id,
            held_domains=held,
            gone_domains=gone,
            closed_domains=closed,
            stale_domains=stale,
            now=now,
            policy=policy,
        )
        if ruling is not None:
            yield ruling
