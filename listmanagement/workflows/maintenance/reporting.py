"""What a run did, counted from its rows, and told by the reporting agent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.db.models import Count, Q

from agents import orchestrate
from agents import reporting as agent
from agents.asking import Judged
from agents.reporting import Held, HeldBecause, Report, ReportFacts, SenderProblem, Stage
from listmanagement.domain.bounces import BounceClass, History
from listmanagement.domain.suppression import Region
from listmanagement.models import (
    EXECUTABLE,
    AnswerSource,
    CampaignSchedule,
    Contact,
    DecisionItem,
    DecisionKind,
    DecisionStatus,
    Hold,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    RunStage,
)
from listmanagement.workflows import left
from listmanagement.workflows.domains import Looked
from listmanagement.workflows.maintenance import analysis
from listmanagement.workflows.maintenance.judgement import Findings
from listmanagement.workflows.running.steps import Hand

PROBLEM_OF_STATE = {
    7: SenderProblem.SENDER_BLOCKED,
    8: SenderProblem.CONTENT_BLOCKED,
    9: SenderProblem.POLICY,
    16: SenderProblem.SPAM_PREBLOCKED,
    17: SenderProblem.TEMPLATE,
    18: SenderProblem.TEMPLATE,
}


def judged_counts(campaign: CampaignSchedule, findings: Findings) -> dict[str, Any]:
    """What was found, in contacts."""
    kept = [ruling for ruling in findings.rulings if ruling.region is Region.NEVER]
    return {**analysis.figures_of(campaign), "kept": len(kept), "classes": analysis.classes_of(campaign)}


def done_counts(run: ListMaintenanceLog) -> dict[str, int]:
    """What was done, in contacts, counted from the items; and who is in the backlog now."""
    items = DecisionItem.objects.filter(decision__run=run)
    done = Q(status=ItemStatus.EXECUTED)
    counted: dict[str, int] = items.aggregate(
        suppressed=Count("pk", filter=done & Q(action=ItemAction.SUPPRESS)),
        placed=Count("pk", filter=done & Q(action=ItemAction.PLACE)),
        moved=Count("pk", filter=done & Q(action=ItemAction.MOVE, undoes=None)),
        held=Count("pk", filter=Q(action=ItemAction.HOLD) & ~Q(status=ItemStatus.TAKEN_OUT)),
        taken_out=Count("pk", filter=Q(status=ItemStatus.TAKEN_OUT)),
        dropped=Count("pk", filter=Q(status=ItemStatus.DROPPED)),
        failed=Count("pk", filter=Q(status=ItemStatus.FAILED)),
    )
    return {**counted, "backlog": Contact.objects.backlog().count()}


def compose(hand: Hand) -> tuple[Judged[Report], str]:
    """The report as the agent wrote it, and as text with its numbers."""
    facts = _facts(hand.run)
    within = hand.outside.configuration.agents_within
    judged = orchestrate.in_time(agent.judge, facts, ask=hand.outside.ask, within=within)
    told = agent.render(judged.answer, agent.numbers(facts))
    lines = [told.headline, "", *told.summary, *analysis.who_judged(hand.run)]
    lines += [*_rebalancing_not_done(hand.run), *_without(hand.run)]
    lines += left.sentences(left.of(hand.run))
    if told.actions:
        lines += ["", "What to do:", *(f"- {action}" for action in told.actions)]
    return judged, "\n".join(lines)


def continued(run: ListMaintenanceLog) -> str:
    """What has become of a run that a person had continue, ahead of what was told of it before."""
    counts = run.counts
    done = f"suppressed {counts['suppressed']:,}, placed {counts['placed']:,}, moved {counts['moved']:,}"
    still = left.sentences(left.of(run))
    ended = f"{len(still)} things are left still" if still else "nothing is left"
    return "\n".join([f"Continued by a person: {done} in all; {ended}.", *still])


def _rebalancing_not_done(run: ListMaintenanceLog) -> Iterator[str]:
    """The agent's figures are of suppressions: that placements and moves were not decided on is said here."""
    undone = {
        DecisionStatus.REJECTED: "a reviewer declined the placements and moves of decision {}",
        DecisionStatus.EXPIRED: "the placements and moves of decision {} were not decided in time",
    }
    for decision in run.decisions.filter(kind=DecisionKind.REBALANCING, status__in=undone):
        if decision.status == DecisionStatus.EXPIRED and decision.note:
            yield f"{decision.note}."
            continue
        words = undone[DecisionStatus(decision.status)].format(decision.pk)
        yield f"{words[0].upper()}{words[1:]}; they are planned anew by the next run."


def _without(run: ListMaintenanceLog) -> Iterator[str]:
    """What the run had to do without. The agents know nothing of DNS."""
    told = run.counts.get("dns")  # missing where a release judged that had no DNS yet
    if told and (words := Looked(**told).without):
        yield f"{words}. What only DNS could tell of them, such as that a domain has closed, stays open."


def _facts(run: ListMaintenanceLog) -> ReportFacts:
    counts, before, after = run.counts, run.state_before or {}, run.state_after or {}
    suppressions = DecisionItem.objects.filter(decision__run=run, action=ItemAction.SUPPRESS)
    return ReportFacts(
        stage=_stage(run),
        rules_judged=not run.agent_calls.exclude(source=AnswerSource.RULES).exists(),
        sent=counts["sent"],
        delivered=counts["delivered"],
        bounced=counts["bounced"],
        hard=counts["hard"],
        not_attempted=counts["not_attempted"],
        open=counts["open"],
        proposed=suppressions.count(),
        approved=suppressions.filter(decision__status__in=EXECUTABLE)
        .exclude(status=ItemStatus.TAKEN_OUT)
        .count(),
        rejected=suppressions.filter(
            Q(decision__status=DecisionStatus.REJECTED) | Q(status=ItemStatus.TAKEN_OUT)
        ).count(),
        expired=suppressions.filter(decision__status=DecisionStatus.EXPIRED).count(),
        waiting=DecisionItem.objects.filter(decision__run=run, decision__status=DecisionStatus.OPEN).count(),
        dropped=counts["dropped"],
        suppressed=counts["suppressed"],
        held=_held(run),
        kept=counts["kept"],
        placed=counts["placed"],
        moved=counts["moved"],
        moves_deferred=counts["moves_deferred"],
        backlog=counts["backlog"],
        failed=counts["failed"],
        sender_problems=_sender_problems(run),
        sizes_before=_sizes(before),
        sizes_after=_sizes(after),
        deviation_before=before["deviation"],
        deviation_after=after["deviation"],
        active_seconds=sum(run.seconds.values()),
        requests=run.requests,
        went_without=(),
    )


def _stage(run: ListMaintenanceLog) -> Stage:
    if run.stage == RunStage.OBSERVE:
        return Stage.OBSERVED
    failed = DecisionItem.objects.filter(decision__run=run, status=ItemStatus.FAILED)
    return Stage.PARTIAL if failed.exists() else Stage.FINISHED


def _sizes(state: Mapping[str, Any]) -> dict[str, int]:
    return {f"list-{n}": row["size"] for n, row in enumerate(state["lists"], 1)}


def _held(run: ListMaintenanceLog) -> tuple[Held, ...]:
    """What is held for each reason. A hold of a domain is one item, a hold of a contact one each."""
    items = DecisionItem.objects.filter(decision__run=run, action=ItemAction.HOLD).exclude(
        status=ItemStatus.TAKEN_OUT
    )
    stood = Hold.objects.filter(Q(ended_at=None) | Q(ended_at__gt=run.created_at)).exclude(host="")
    domains = items.filter(contact__domain__in=stood.values("host"))
    one_by_one = items.exclude(pk__in=domains.values("pk"))
    protected = one_by_one.filter(group__history=History.PROTECTED).count()
    alive = one_by_one.count() - protected
    at_domains = domains.aggregate(items=Count("contact__domain", distinct=True), contacts=Count("pk"))
    found = (
        (HeldBecause.DOMAIN_OUTAGE, at_domains["items"], at_domains["contacts"]),
        (HeldBecause.LATELY_ALIVE, alive, alive),
        (HeldBecause.PROTECTED, protected, protected),
    )
    return tuple(Held(because=why, items=n, contacts=contacts) for why, n, contacts in found if contacts)


def _sender_problems(run: ListMaintenanceLog) -> dict[SenderProblem, int]:
    assert run.campaign is not None
    ours = run.campaign.recipients.filter(bounce_class=BounceClass.SENDER_SIDE)
    counted: dict[SenderProblem, int] = {}
    for row in ours.filter(bounce__isnull=False).values("bounce__state").annotate(n=Count("pk")):
        problem = PROBLEM_OF_STATE[row["bounce__state"] or 0]
        counted[problem] = counted.get(problem, 0) + row["n"]
    return counted
