"""Asks list health and optimization, and keeps what they said."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any

from django.db.models import Count, Q, QuerySet

from agents import list_health, orchestrate
from agents.asking import NO_RECORD, NOT_CALIBRATED, Calibrations, Judged
from agents.list_health import Assessments, HealthFacts, ListFact, OutageFact
from agents.optimization import CohortFact
from agents.reporting import listed
from listmanagement.domain import balance
from listmanagement.domain.bounces import BounceClass, Outcome
from listmanagement.domain.holds import HoldEnd
from listmanagement.models import (
    Agent,
    AgentCall,
    AnswerSource,
    CampaignSchedule,
    ContactList,
    Hold,
    HoldKind,
    ListHealth,
    ListHealthCheck,
    ListMaintenanceLog,
)
from listmanagement.told import cohort_fact
from listmanagement.workflows import record, rotation
from listmanagement.workflows.maintenance.judgement import WELL_KNOWN, Findings, token_of
from listmanagement.workflows.record import verdicts
from listmanagement.workflows.running.steps import Hand


def ask(
    hand: Hand, campaign: CampaignSchedule, *, cohorts: Sequence[CohortFact], health: HealthFacts
) -> orchestrate.Analysis:
    """What the agents make of the campaign's cohorts. Touches no row."""
    return orchestrate.post_campaign(
        health,
        cohorts,
        ask=hand.outside.ask,
        campaign_list=key_of(campaign.list),
        calibrations=calibrations(hand, Agent.LIST_HEALTH, Agent.OPTIMIZATION),
        within=hand.outside.configuration.agents_within,
    )


def calibrations(hand: Hand, *agents: Agent) -> Calibrations:
    """What these agents' models' statements have been worth; nothing where no model is asked."""
    return record.calibrations(agents) if hand.outside.ask is not None else NOT_CALIBRATED


def cohort_facts(campaign: CampaignSchedule, findings: Findings, *, salt: str) -> list[CohortFact]:
    """The cohorts as an agent sees them: counts and shares, no contact, the domain as a token."""
    size, known = rotation.sizes()[campaign.list_id], record.by_class()
    token = partial(token_of, salt=salt)
    return [
        cohort_fact(cohort, size=size, known=known.get(cohort.bounce, NO_RECORD), token=token)
        for cohort in findings.cohorts
    ]


# --- List health -------------------------------------------------------------------------------------


def key_of(contact_list: ContactList) -> str:
    """A list as an agent sees it: its place in the rotation. Its name is text from outside."""
    return f"list-{contact_list.position}"


def health_facts(campaign: CampaignSchedule, findings: Findings, *, salt: str) -> HealthFacts:
    """What list health is asked about."""
    lists = tuple(_list_facts(campaign, findings, salt=salt))
    return HealthFacts(lists=lists, records=record.by_grade())


def _list_facts(campaign: CampaignSchedule, findings: Findings, *, salt: str) -> list[ListFact]:
    """Each campaign list with the outcomes of its last campaign, this one for its own list."""
    sizes = rotation.sizes()
    facts = []
    for contact_list in ContactList.objects.rotation():
        last, previous = _last_two(contact_list, campaign)
        own = contact_list.pk == campaign.list_id
        facts.append(
            _list_fact(
                contact_list,
                size=sizes[contact_list.pk],
                last=last,
                previous=previous,
                outages=list_health.few(_outage_facts(campaign, findings.held_domains, salt=salt))
                if own
                else (),
            )
        )
    return facts


def _last_two(
    contact_list: ContactList, campaign: CampaignSchedule
) -> tuple[CampaignSchedule | None, CampaignSchedule | None]:
    """The judged campaign, or the list's latest, and the one before it."""
    known = _known_campaigns(contact_list)
    if contact_list.pk == campaign.list_id:
        known = known.filter(started_at__lte=campaign.started_at)
    return _latest_two(known)


def _known_campaigns(contact_list: ContactList) -> QuerySet[CampaignSchedule]:
    """A list's sends of which it is known what became of the messages."""
    return contact_list.campaigns.filter(recipients_fetched_at__isnull=False, started_at__isnull=False)


def _latest_two(
    campaigns: QuerySet[CampaignSchedule],
) -> tuple[CampaignSchedule | None, CampaignSchedule | None]:
    found = list(campaigns.order_by("-started_at")[:2])
    return (found[0] if found else None, found[1] if len(found) > 1 else None)


def _list_fact(
    contact_list: ContactList,
    *,
    size: int,
    last: CampaignSchedule | None,
    previous: CampaignSchedule | None,
    outages: tuple[OutageFact, ...],
) -> ListFact:
    figures = figures_of(last)
    before = figures_of(previous)
    attempted_before = before["delivered"] + before["bounced"]
    return ListFact(
        key=key_of(contact_list),
        size=size,
        delivered=figures["delivered"],
        bounced=figures["bounced"],
        hard=figures["hard"],
        not_attempted=figures["not_attempted"],
        by_class=classes_of(last),
        outages=outages,
        sender_side=figures["sender_side"],
        sender_side_bounced=figures["sender_side_bounced"],
        sender_side_hard=figures["sender_side_hard"],
        previous_rate=before["hard"] / attempted_before if attempted_before else None,
    )


def figures_of(campaign: CampaignSchedule | None) -> Mapping[str, int]:
    """A campaign's outcomes, counted. Zero where there is none."""
    bounced = Q(outcome=Outcome.BOUNCED)
    ours = Q(bounce_class=BounceClass.SENDER_SIDE)
    hard = Q(bounce__permanent=True)
    counted: dict[str, Any] = {
        "sent": Count("pk"),
        "delivered": Count("pk", filter=Q(outcome=Outcome.DELIVERED)),
        "bounced": Count("pk", filter=bounced),
        "hard": Count("pk", filter=bounced & hard),
        "not_attempted": Count("pk", filter=Q(outcome=Outcome.NOT_ATTEMPTED)),
        "complained": Count("pk", filter=Q(outcome=Outcome.COMPLAINED)),
        "open": Count("pk", filter=Q(outcome=Outcome.OPEN)),
        "sender_side": Count("pk", filter=ours),
        "sender_side_bounced": Count("pk", filter=ours & bounced),
        "sender_side_hard": Count("pk", filter=ours & bounced & hard),
    }
    if campaign is None:
        return dict.fromkeys(counted, 0)
    found: Mapping[str, int] = campaign.recipients.aggregate(**counted)
    return found


def classes_of(campaign: CampaignSchedule | None) -> dict[str, int]:
    """Failures by class."""
    if campaign is None:
        return {}
    failed = campaign.recipients.exclude(bounce_class="").values("bounce_class").annotate(n=Count("pk"))
    return {row["bounce_class"]: row["n"] for row in failed}


def standing_facts(*, salt: str) -> HealthFacts:
    """What list health is asked about between campaigns: each list with its last one, and what is held."""
    sizes = rotation.sizes()
    lists = []
    for contact_list in ContactList.objects.rotation():
        last, previous = _latest_two(_known_campaigns(contact_list))
        outages = _outage_facts(last, _held_since(last), salt=salt) if last is not None else []
        lists.append(
            _list_fact(
                contact_list,
                size=sizes[contact_list.pk],
                last=last,
                previous=previous,
                outages=list_health.few(outages),
            )
        )
    return HealthFacts(lists=tuple(lists), records=record.by_grade())


def _held_since(campaign: CampaignSchedule) -> set[str]:
    """Domains whose failures in this campaign were an outage: held still, or found to be back since."""
    over = Q(ended_how=HoldEnd.OUTAGE_OVER, ended_at__gte=campaign.started_at)
    holds = Hold.objects.filter(Q(ended_at=None) | over, kind=HoldKind.DOMAIN)
    return set(holds.values_list("host", flat=True))


def _outage_facts(
    campaign: CampaignSchedule, held_domains: Collection[str], *, salt: str
) -> list[OutageFact]:
    """Domains on hold at which something bounced in this campaign, our own side's refusals apart."""
    bounced = campaign.recipients.filter(outcome=Outcome.BOUNCED, contact__domain__in=held_domains)
    rows = (
        bounced.exclude(bounce_class=BounceClass.SENDER_SIDE)
        .values("contact__domain")
        .annotate(contacts=Count("pk"), hard=Count("pk", filter=Q(bounce__permanent=True)))
        .order_by("contact__domain")
    )
    return [
        OutageFact(
            domain_token=token_of(row["contact__domain"], salt=salt),
            contacts=row["contacts"],
            hard=row["hard"],
            well_known=row["contact__domain"] in WELL_KNOWN,
        )
        for row in rows
    ]


# --- Keeping what was said ---------------------------------------------------------------------------


def keep(
    run: ListMaintenanceLog,
    analysis: orchestrate.Analysis,
    *,
    cohorts: Sequence[CohortFact],
    health: HealthFacts,
    now: datetime,
) -> None:
    """Write the two calls with their verdicts, and the health check. Inside the caller's transaction."""
    keep_health(run, analysis.list_health, health=health, now=now)
    verdicts.of_cohorts(keep_call(run, analysis.optimization, now=now), analysis.optimization, facts=cohorts)


def keep_health(
    run: ListMaintenanceLog,
    health_said: Judged[Assessments],
    *,
    health: HealthFacts,
    now: datetime,
    whole: Mapping[str, int] = MappingProxyType({}),
    of_list: Mapping[int, Mapping[str, int]] = MappingProxyType({}),
) -> ListHealthCheck:
    """Write the call with its verdicts, the check, and a row a list. Inside the caller's transaction.

    `whole` are further columns of the check, `of_list` of its rows by our list id: a weekly check has them.
    """
    call = keep_call(run, health_said, now=now)
    verdicts.of_lists(call, health_said, facts=health)
    sizes = rotation.sizes()
    check = ListHealthCheck.objects.create(
        run=run, call=call, at=now, deviation=balance.deviation(list(sizes.values())), **whole
    )
    by_key = {fact.key: fact for fact in health.lists}
    lists = {key_of(each): each for each in ContactList.objects.rotation()}
    judged = {verdict.subject: verdict for verdict in call.verdicts.all()}
    ListHealth.objects.bulk_create(
        ListHealth(
            check_of=check,
            list=lists[said.list],
            size=by_key[said.list].size,
            delivered=by_key[said.list].delivered,
            bounced=by_key[said.list].bounced,
            not_attempted=by_key[said.list].not_attempted,
            grade=said.grade.value,
            cause=said.cause.value,
            rationale=list_health.explain(said, fact=by_key[said.list]),
            verdict=judged[said.list],
            **of_list.get(lists[said.list].pk, {}),
        )
        for said in health_said.answer.assessments
    )
    return check


def who_judged(run: ListMaintenanceLog) -> Iterator[str]:
    """A sentence for a report, where a model had a part: of rules alone the reporting agent tells itself."""
    judged = run.agent_calls.exclude(agent=Agent.REPORTING).order_by("pk").values_list("agent", "source")
    by_rules = [agent.replace("_", " ") for agent, source in judged if source == AnswerSource.RULES]
    by_model = [agent.replace("_", " ") for agent, source in judged if source != AnswerSource.RULES]
    if by_model:
        others = f"; rules judged {listed(by_rules)}" if by_rules else ""
        yield f"A model judged {listed(by_model)}{others}."


def keep_call(run: ListMaintenanceLog, judged: Judged[Any], *, now: datetime) -> AgentCall:
    """Remember one agent's answer, with its source."""
    return AgentCall.objects.create(
        run=run,
        agent=Agent(judged.agent),
        source=judged.source.value,
        model=judged.model or "",
        prompt_version=judged.prompt_version,
        temperature=judged.temperature,
        tokens_in=judged.tokens_in,
        tokens_out=judged.tokens_out,
        tokens_thought=judged.tokens_thought,
        latency_ms=judged.latency_ms,
        valid=judged.valid,
        refused=list(judged.refused),
        raw_confidence=judged.raw_confidence,
        confidence=judged.confidence,
        asked=judged.facts,
        answer=judged.answer.model_dump(mode="json"),
        stated=judged.stated.model_dump(mode="json") if judged.stated is not None else None,
        question=judged.question,
        at=now,
    )
