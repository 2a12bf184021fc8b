"""From a scenario to what the agents are asked, by the very rules that lead there in production."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from agents.asking import NO_RECORD
from agents.evaluate import Case, ChoiceLabel, GroupLabel, ListLabel, ReportLabel
from agents.list_health import HealthFacts, ListFact, OutageFact, few
from agents.rebalancing import Choice, PlanFigures, RebalancingFacts
from agents.reporting import Held, ReportFacts
from listmanagement.domain import balance, holds
from listmanagement.domain.balance import Plan
from listmanagement.domain.bounces import (
    NOT_ABOUT_THE_DOMAIN,
    BounceClass,
    ContactRecord,
    Event,
    Outcome,
    classify,
)
from listmanagement.domain.cohorts import Cohort
from listmanagement.domain.findings import CampaignFacts, Judgement, judge
from listmanagement.domain.holds import DomainRecord, DomainTry, HoldEnd
from listmanagement.evaluation.plans import THRESHOLD, plans
from listmanagement.evaluation.reading import (
    Domain,
    Figures,
    Group,
    MailingList,
    Rebalancing,
    Report,
    Scenario,
    Told,
    UnreadableScenario,
    faults,
)
from listmanagement.told import cohort_fact

SENT_AT = datetime(2026, 5, 4, 9, tzinfo=UTC)
"""When the judged message was sent. Any day does."""

NOW = SENT_AT + timedelta(hours=24)

_ENDED_AFTER = timedelta(hours=1)
_ACCOUNT_RATE = 0.01
_CAMPAIGN = 100_000
_COLLEAGUES = 9
"""Others reached at the domain of a contact who has one of its own."""
_COLLEAGUES_PAST = 100, 1
"""Tried and bounced there in the 180 days before."""


@dataclass(frozen=True)
class _Member:
    """One contact of a group."""

    group: Group
    record: ContactRecord

    @property
    def now(self) -> Event:
        return self.record.events[-1]


def case(scenario: Scenario) -> Case:
    """What the agents are asked about a scenario, and what they should answer.

    Raises `UnreadableScenario` where its figures contradict each other.
    """
    try:
        return _case(scenario)
    except ValueError as error:
        raise UnreadableScenario(f"{scenario.path.name}: {faults(error)}") from error


def _case(scenario: Scenario) -> Case:
    members = list(_members(scenario))
    domains = _domain_records(scenario, members)
    held = frozenset(_held_before(scenario, members))
    judgement = _judged(members, domains, held)
    return Case(
        scenario=scenario.name,
        cohorts=tuple(
            cohort_fact(cohort, size=scenario.size, known=NO_RECORD, token=_token)
            for cohort in judgement.cohorts
        ),
        groups=tuple(_group_label(group, members, judgement.cohorts) for group in scenario.groups),
        health=_health(scenario, members, judgement),
        lists=tuple(ListLabel(each.name, each.grade, each.cause, each.why) for each in scenario.lists),
        rebalancing=_rebalancing(scenario.rebalancing),
        choice=_choice(scenario.rebalancing),
        report=_report(scenario.report),
        told=ReportLabel(scenario.report.label, scenario.report.why) if scenario.report else None,
    )


# Contacts --------------------------------------------------------------------------------------------


def _members(scenario: Scenario) -> Iterator[_Member]:
    silent = {domain.name for domain in scenario.domains if domain.delivered == 0}
    contact_id = 0
    for group in scenario.groups:
        for _ in range(group.contacts):
            contact_id += 1
            yield _Member(group, _record(group, contact_id, silent=group.domain in silent))


def _record(group: Group, contact_id: int, *, silent: bool) -> ContactRecord:
    """A contact; `silent` where the judged campaign reached nobody at its domain. Of earlier ones that is not
    told: they reached somebody."""
    now = _event(group.now, contact_id)
    is_hard = now.outcome is Outcome.BOUNCED and now.permanent
    return ContactRecord(
        contact_id=contact_id,
        domain=group.domain or f"own-{contact_id}.example",
        events=(
            *(_event(told, contact_id) for told in group.before),
            replace(now, silent_domain=silent and is_hard),
        ),
        protected=group.protected,
        held_since=None if group.held_days is None else _held_since(group.held_days),
    )


def _held_since(days: int) -> datetime:
    """A hold begins with the judgement of the campaign that failed."""
    return NOW - timedelta(days=days)


def _event(told: Told, contact_id: int) -> Event:
    sent_at = SENT_AT - timedelta(days=told.days)
    at = sent_at + _ENDED_AFTER
    return Event(
        message_id=contact_id * 1000 + told.days,
        campaign_id=_CAMPAIGN - told.days,
        cycle_id=_CAMPAIGN if told.same_cycle else _CAMPAIGN - told.days,
        sent_at=sent_at,
        at=at,
        outcome=told.outcome,
        bounce=_class(told),
        permanent=told.permanent,
        human_click_at=at + timedelta(hours=2) if told.click else None,
        spent=told.spent,
        domain_held=told.in_hold,
    )


def _class(told: Told) -> BounceClass | None:
    if told.outcome not in (Outcome.BOUNCED, Outcome.NOT_ATTEMPTED):
        return None
    attempted = told.outcome is Outcome.BOUNCED
    return classify(told.state, permanent=told.permanent, server_text=told.text, attempted=attempted)


# Domains ---------------------------------------------------------------------------------------------


def _domain_records(scenario: Scenario, members: Sequence[_Member]) -> list[DomainRecord]:
    """Every domain tried in the campaign: those told of, those of single contacts, and others that work."""
    named = [_domain_record(domain, members) for domain in scenario.domains]
    own = [_own_domain(member) for member in members if member.group.domain is None]
    others = max(0, scenario.tried_domains - len(named) - len(own))
    return named + own + [DomainRecord(f"fine-{n}.example", 0, 1, 0, 0) for n in range(others)]


def _domain_record(domain: Domain, members: Sequence[_Member]) -> DomainRecord:
    failed = sum(_counts_there(member.now) for member in members if member.record.domain == domain.name)
    return DomainRecord(
        domain=domain.name,
        failed=failed,
        attempted=failed + domain.delivered,
        past_failed=domain.bounced_before,
        past_attempted=domain.tried_before,
        recent=tuple(_tries(domain, members)),
        closed_by_dns=domain.closed,
    )


def _own_domain(member: _Member) -> DomainRecord:
    failed = int(_counts_there(member.now))
    tried, bounced = _COLLEAGUES_PAST
    return DomainRecord(member.record.domain, failed, _COLLEAGUES + failed, bounced, tried)


def _counts_there(event: Event) -> bool:
    return event.outcome is Outcome.BOUNCED and event.bounce not in NOT_ABOUT_THE_DOMAIN


def _tries(domain: Domain, members: Iterable[_Member]) -> Iterator[DomainTry]:
    """What was tried at a domain and how it ended; those reached now have no row of their own."""
    for n in range(domain.delivered):
        yield DomainTry(-1 - n, SENT_AT.date(), delivered=True)
    for member in members:
        if member.record.domain != domain.name:
            continue
        for event in member.record.events:
            if event.outcome is not Outcome.OPEN and event.bounce not in NOT_ABOUT_THE_DOMAIN:
                yield DomainTry(
                    member.record.contact_id,
                    event.sent_at.date(),
                    delivered=event.is_delivery,
                    blocked=event.outcome is Outcome.NOT_ATTEMPTED,
                )


def _held_before(scenario: Scenario, members: Sequence[_Member]) -> Iterator[str]:
    """On hold since before, and not ended by what this campaign shows."""
    for domain in scenario.domains:
        if domain.held_days is None:
            continue
        end = holds.domain_hold_end(
            _tries(domain, members),
            held_since=_held_since(domain.held_days),
            now=NOW,
            closed_by_dns=domain.closed,
        )
        if end in (None, HoldEnd.STALE):
            yield domain.name


def _judged(members: Sequence[_Member], domains: Sequence[DomainRecord], held: frozenset[str]) -> Judgement:
    facts = CampaignFacts(
        campaign_id=_CAMPAIGN,
        domains=domains,
        account_rate=_ACCOUNT_RATE,
        held_domains=held,
        records=[member.record for member in members],
    )
    return judge(facts, token=_token, now=NOW)


def _token(domain: str) -> str:
    """As production tells a domain, but for the salt: the scenarios' domains are nobody's."""
    return "domain-" + hashlib.sha256(domain.encode()).hexdigest()[:12]


# Optimization ----------------------------------------------------------------------------------------


def _group_label(group: Group, members: Iterable[_Member], cohorts: Iterable[Cohort]) -> GroupLabel:
    own = {member.record.contact_id for member in members if member.group is group}
    found = tuple(cohort.key for cohort in cohorts if own.intersection(cohort.contact_ids))
    return GroupLabel(group.name, found, group.label, group.why)


# List health -----------------------------------------------------------------------------------------


def _health(scenario: Scenario, members: Sequence[_Member], judgement: Judgement) -> HealthFacts | None:
    if not scenario.lists:
        return None
    return HealthFacts(
        lists=tuple(
            _told_list(each, each.figures) if each.figures else _judged_list(scenario, members, judgement)
            for each in scenario.lists
        )
    )


def _told_list(each: MailingList, told: Figures) -> ListFact:
    return ListFact(
        key=each.name,
        size=told.size,
        delivered=told.delivered,
        bounced=told.hard + told.soft,
        hard=told.hard,
        not_attempted=told.blocked,
        by_class=_without_zeros(
            {
                BounceClass.RECIPIENT_GONE: told.hard - told.ours_hard,
                BounceClass.TEMPORARY: told.soft - told.ours_soft,
                BounceClass.SENDER_SIDE: told.ours_hard + told.ours_soft + told.ours_blocked,
                BounceClass.NOT_ATTEMPTED: told.blocked - told.ours_blocked,
            }
        ),
        outages=tuple(
            OutageFact(
                domain_token=_token(outage.domain),
                contacts=outage.hard + outage.soft,
                hard=outage.hard,
                well_known=outage.well_known,
            )
            for outage in told.outages
        ),
        sender_side=told.ours_hard + told.ours_soft + told.ours_blocked,
        sender_side_bounced=told.ours_hard + told.ours_soft,
        sender_side_hard=told.ours_hard,
        previous_rate=None if told.previous is None else told.previous / 100,
    )


def _judged_list(scenario: Scenario, members: Sequence[_Member], judgement: Judgement) -> ListFact:
    events = [member.now for member in members]
    bounced = [event for event in events if event.outcome is Outcome.BOUNCED]
    ours = [event for event in events if event.bounce is BounceClass.SENDER_SIDE]
    ours_bounced = [event for event in ours if event.outcome is Outcome.BOUNCED]
    classes = [event.bounce for event in events if event.bounce is not None]
    return ListFact(
        key=next(each.name for each in scenario.lists if each.figures is None),
        size=scenario.size,
        delivered=scenario.delivered,
        bounced=len(bounced),
        hard=sum(event.permanent for event in bounced),
        not_attempted=sum(event.outcome is Outcome.NOT_ATTEMPTED for event in events),
        by_class={kind.value: classes.count(kind) for kind in sorted(set(classes))},
        outages=few(_outages(scenario, members, judgement)),
        sender_side=len(ours),
        sender_side_bounced=len(ours_bounced),
        sender_side_hard=sum(event.permanent for event in ours_bounced),
        previous_rate=None if scenario.previous is None else scenario.previous / 100,
    )


def _outages(scenario: Scenario, members: Sequence[_Member], judgement: Judgement) -> Iterator[OutageFact]:
    """Domains on hold at which something bounced in this campaign, our own side's refusals apart."""
    well_known = {domain.name: domain.well_known for domain in scenario.domains}
    for name in sorted(judgement.held_domains):
        failed = [
            member.now
            for member in members
            if member.record.domain == name
            and member.now.outcome is Outcome.BOUNCED
            and member.now.bounce is not BounceClass.SENDER_SIDE
        ]
        if failed:
            yield OutageFact(
                domain_token=_token(name),
                contacts=len(failed),
                hard=sum(event.permanent for event in failed),
                well_known=well_known.get(name, False),
            )


def _without_zeros(counts: Mapping[BounceClass, int]) -> dict[str, int]:
    return {kind.value: count for kind, count in counts.items() if count > 0}


# Rebalancing -----------------------------------------------------------------------------------------


def _rebalancing(told: Rebalancing | None) -> RebalancingFacts | None:
    if told is None:
        return None
    made = plans(told)
    now = made[balance.Choice.NOW]
    return RebalancingFacts(
        sizes=_by_list(now.sizes_before),
        deviation=now.deviation_before,
        threshold=THRESHOLD,
        now=_figures(now),
        backfill_only=_figures(made[balance.Choice.BACKFILL_ONLY]),
        waiting=now.waiting,
        between_cycles=told.between_cycles,
        hours_to_next_send=told.hours_to_next_send,
    )


def _figures(plan: Plan) -> PlanFigures:
    return PlanFigures(
        moves=len(plan.moves),
        placements=len(plan.placements),
        sizes=_by_list(plan.sizes_after),
        deviation=plan.deviation_after,
    )


def _by_list(sizes: Mapping[int, int]) -> dict[str, int]:
    return {f"list-{place}": size for place, size in sizes.items()}


def _choice(told: Rebalancing | None) -> ChoiceLabel | None:
    if told is None:
        return None
    return ChoiceLabel(told.label, same_effect(told, told.label), told.why)


def same_effect(told: Rebalancing, choice: Choice) -> frozenset[Choice]:
    """The choices that come to the same: where nobody has to move, now is backfill only."""
    made = {Choice(form.value): (plan.placements, plan.moves) for form, plan in plans(told).items()}
    return frozenset(form for form, plan in made.items() if plan == made[choice])


# Reporting -------------------------------------------------------------------------------------------


def _report(told: Report | None) -> ReportFacts | None:
    if told is None:
        return None
    before = dict(enumerate(told.sizes_before, 1))
    after = dict(enumerate(told.sizes_after or told.sizes_before, 1))
    return ReportFacts(
        stage=told.stage,
        rules_judged=told.rules_judged,
        **{**dict.fromkeys(_COUNTS, 0), **_told_figures(told.figures)},
        held=tuple(
            Held(because=because, items=items, contacts=contacts) for because, items, contacts in told.held
        ),
        sender_problems=dict(told.sender_problems),
        sizes_before=_by_list(before),
        sizes_after=_by_list(after),
        deviation_before=balance.deviation(list(before.values())),
        deviation_after=balance.deviation(list(after.values())),
        active_seconds=12.0,
        requests=40,
        went_without=told.went_without,
    )


_COUNTS = (
    *("sent", "delivered", "bounced", "hard", "not_attempted", "open", "proposed", "approved", "rejected"),
    *("expired", "waiting", "dropped", "suppressed", "kept", "placed", "moved", "moves_deferred", "backlog"),
    "failed",
)


def _told_figures(written: str) -> dict[str, int]:
    """Raises `ValueError` for what is no figure of a run."""
    found = re.findall(r"([a-z_]+) ([0-9]{1,9})", written)
    if ", ".join(map(" ".join, found)) != written:
        raise ValueError(f"report.figures is {written!r}: it must be like 'sent 900, delivered 888'")
    if unknown := {name for name, _ in found} - set(_COUNTS):
        raise ValueError(f"report.figures: unknown are {sorted(unknown)}; known are {', '.join(_COUNTS)}")
    return {name: int(number) for name, number in found}
