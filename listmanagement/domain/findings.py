"""What the policy says of one campaign: the outages among its failures, a ruling each, and their cohorts."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from listmanagement.domain import holds
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


@dataclass(frozen=True)
class Judgement:
    """What the policy says of one campaign's failures."""

    rulings: tuple[Ruling, ...]
    cohorts: tuple[Cohort, ...]
    outages: tuple[Outage, ...]
    held_domains: frozenset[str]
    """On hold now, the outages just found among them."""
    gone_domains: frozenset[str]


def judge(
    facts: CampaignFacts,
    *,
    token: Callable[[str], str],
    now: datetime,
    policy: SuppressionPolicy = POLICY,
) -> Judgement:
    """Judge a campaign. `token` turns a domain's name into what an agent may see, see `cohorts`."""
    found = holds.outages(facts.domains, account_rate=facts.account_rate, policy=policy)
    held = frozenset(facts.held_domains) | {outage.domain for outage in found}
    gone = frozenset(
        record.domain
        for record in facts.domains
        if record.domain not in held
        and holds.is_gone(record.recent, closed_by_dns=record.closed_by_dns, policy=policy)
    )
    rulings = tuple(
        ruling
        for record in facts.records
        if (
            ruling := rule(
                record,
                campaign_id=facts.campaign_id,
                held_domains=held,
                gone_domains=gone,
                now=now,
                policy=policy,
            )
        )
    )
    return Judgement(
        rulings=rulings,
        cohorts=cohorts(rulings, held_domains=held, token=token),
        outages=found,
        held_domains=held,
        gone_domains=gone,
    )
