"""The weekly health check: how each list is, what changed since the week before, and what wants doing.

It reads and tells; it changes nothing at Mailjet, so it goes on while everything is paused or only observed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from django.contrib.auth.models import User
from django.urls import reverse

from agents import orchestrate, prose, reporting, weekly_report
from agents.asking import Judged, Source
from agents.list_health import Assessments, Cause, Grade, HealthFacts
from agents.rebalancing import RebalancingFacts, Recommendation
from agents.reporting import Report
from agents.weekly_report import Outcomes, WeekFacts, WeekOfList
from listmanagement.domain import weekly
from listmanagement.domain.balance import Choice
from listmanagement.models import (
    Agent,
    ContactList,
    ListHealth,
    ListHealthCheck,
    ListMaintenanceLog,
    Notification,
    NotificationStatus,
    RunKind,
    RunStage,
    RunStatus,
    Step,
    Trigger,
)
from listmanagement.outside import Configuration
from listmanagement.workflows import campaigns, lists, mirror, notify, rotation
from listmanagement.workflows.maintenance import analysis, rebalancing
from listmanagement.workflows.record import verdicts
from listmanagement.workflows.running import starting
from listmanagement.workflows.running.steps import Done, Finish, Hand, Next, StepFunction
from listmanagement.workflows.weekly import week

# --- Starting ----------------------------------------------------------------------------------------


def last_due(configuration: Configuration, *, at: datetime) -> datetime:
    """The latest instant at which the week's check was due, by the settings."""
    return weekly.last_due(at=at, day=configuration.weekly_check_day, hour=configuration.weekly_check_hour)


def start(
    *, trigger: Trigger, by: User | None, configuration: Configuration, now: datetime
) -> ListMaintenanceLog:
    """A run; or the one that is under way. The schedule makes one a week, whoever asks (P11).

    Nothing is sent to Mailjet here.
    """
    runs = ListMaintenanceLog.objects.filter(kind=RunKind.WEEKLY_HEALTH)
    under_way = runs.unfinished().order_by("pk").first()
    if under_way is not None:
        return under_way
    return starting.create_for(
        last_due(configuration, at=now),
        kind=RunKind.WEEKLY_HEALTH,
        stage=RunStage.OBSERVE,
        trigger=trigger,
        by=by,
        now=now,
        step=Step.SYNCHRONISE,
    )


# --- The three steps ---------------------------------------------------------------------------------


def synchronise(hand: Hand) -> Next:
    """1. Read campaigns, and the lists whose last reading is older than ten minutes, in the background."""
    mailjet = hand.outside.mailjet
    with mailjet.in_background():
        problem = lists.problem(hand.outside.configuration, mailjet=mailjet)
        if problem is not None:
            return Finish(RunStatus.FAILED, problem)
        campaigns.sync(mailjet=mailjet, now=hand.now)
        mirror.refresh_stale(ContactList.objects.all(), mailjet=mailjet, now=hand.now)
    with hand.lease.writing() as run:
        run.state_before = rotation.state()
        run.save(update_fields=["state_before"])
    return Done()


def assess(hand: Hand) -> Next:
    """2. Count what is stored, let the agents judge it, keep both."""
    if ListHealthCheck.objects.filter(run=hand.run).exists():
        return Done()
    health = analysis.standing_facts(salt=hand.outside.configuration.salt)
    allowed = rotation.moves_allowed(at=hand.now)
    plan = rebalancing.told(hand, rebalancing.forms(hand), moves_allowed=allowed)
    counts, everybody = week.of_lists(at=hand.now), week.of_everybody()
    told: list[WeekFacts] = []

    def tell(health_said: Judged[Assessments], choice_said: Judged[Recommendation]) -> WeekFacts:
        told.append(_told(hand, health, plan, health_said, choice_said, counts=counts, everybody=everybody))
        return told[-1]

    said = orchestrate.weekly(
        health,
        plan,
        tell,
        ask=hand.outside.ask,
        calibrations=analysis.calibrations(hand, Agent.LIST_HEALTH, Agent.REBALANCING),
        within=hand.outside.configuration.agents_within,
    )
    columns = {pk: each.columns() for pk, each in counts.items()}
    with hand.lease.writing() as run:
        check = analysis.keep_health(
            run, said.list_health, health=health, now=hand.now, whole=everybody, of_list=columns
        )
        verdicts.of_plan(
            analysis.keep_call(run, said.rebalancing, now=hand.now), said.rebalancing, facts=plan
        )
        analysis.keep_call(run, said.report, now=hand.now)
        run.report = text(said.report, told[-1], judges=analysis.who_judged(run))
        run.counts = {"health_check": check.pk}
        run.save(update_fields=["report", "counts"])
    return Done()


def report(hand: Hand) -> Next:
    """3. Tell people: the week's report, and at once what is critical."""
    with hand.lease.writing() as run:
        check = ListHealthCheck.objects.get(run=run)
        path = reverse("admin:listmanagement_listhealthcheck_change", args=[check.pk])
        url = f"{hand.outside.configuration.site_url}{path}"
        critical = check.lists.filter(grade=Grade.CRITICAL).order_by("list__position")
        names = list(critical.values_list("list__name", flat=True))
        if names:
            notify.lists_critical(run, names=names, url=url, now=hand.now)
        notify.week_told(run, url=url, now=hand.now)
    return Done()


STEPS: Mapping[Step, StepFunction] = {
    Step.SYNCHRONISE: synchronise,
    Step.ASSESS: assess,
    Step.REPORT: report,
}


# --- The week in figures -----------------------------------------------------------------------------


def before(*, at: datetime) -> ListHealthCheck | None:
    """The weekly check of about a week before; None where there was none."""
    checks = ListHealthCheck.objects.filter(run__kind=RunKind.WEEKLY_HEALTH, at__gte=at - weekly.FARTHEST)
    found = weekly.a_week_before(checks.values_list("at", "pk"), at=at)
    return ListHealthCheck.objects.get(pk=found) if found is not None else None


def _told(
    hand: Hand,
    health: HealthFacts,
    plan: RebalancingFacts,
    health_said: Judged[Assessments],
    choice_said: Judged[Recommendation],
    *,
    counts: Mapping[int, week.ListCounts],
    everybody: Mapping[str, int],
) -> WeekFacts:
    """What the report is about, once the other two have spoken."""
    earlier = before(at=hand.now)
    then = {row.list_id: row for row in earlier.lists.all()} if earlier is not None else {}
    graded = {one.list: one for one in health_said.answer.assessments}
    sizes = {fact.key: fact.size for fact in health.lists}
    since = hand.now - week.RATES_OVER
    past = week.outcomes(after=since - week.RATES_OVER, until=since)
    choice = choice_said.answer.choice
    figures = plan.backfill_only if choice.value == Choice.BACKFILL_ONLY.value else plan.now
    return WeekFacts(
        lists=tuple(
            _week_of(
                key=analysis.key_of(each),
                size=sizes[analysis.key_of(each)],
                then=then.get(each.pk),
                grade=graded[analysis.key_of(each)].grade,
                cause=graded[analysis.key_of(each)].cause,
                outcomes=counts[each.pk].recent,
            )
            for each in ContactList.objects.rotation()
        ),
        before=week.together(past.values()),
        **everybody,
        waiting=week.waiting(),
        deviation=plan.deviation,
        deviation_before=earlier.deviation if earlier is not None else None,
        threshold=plan.threshold,
        choice=choice,
        moves=plan.now.moves,
        placements=figures.placements,
        rules_judged=all(one.source is Source.RULES for one in (health_said, choice_said)),
        went_without=tuple(_away(hand, health_said, choice_said)),
    )


def _week_of(
    *, key: str, size: int, then: ListHealth | None, grade: Grade, cause: Cause, outcomes: Outcomes
) -> WeekOfList:
    return WeekOfList(
        key=key,
        size=size,
        size_before=then.size if then is not None else None,
        grade=grade,
        grade_before=Grade(then.grade) if then is not None else None,
        cause=cause,
        outcomes=outcomes,
    )


def _away(hand: Hand, *judged: Judged[Assessments] | Judged[Recommendation]) -> Iterator[str]:
    """Services that did not answer: a model that was asked, a chat that lately took no message."""
    if hand.outside.ask is not None and any(one.source is Source.RULES and one.refused for one in judged):
        yield "Gemini"
    untold = Notification.objects.filter(status=NotificationStatus.PENDING, attempts__gt=0)
    if untold.exclude(error="").exists():
        yield "Slack"


# --- In words ----------------------------------------------------------------------------------------


def text(report: Judged[Report], facts: WeekFacts, *, judges: Iterable[str]) -> str:
    """The report as people read it: its prose with numbers and lists' names, who judged, rates, actions."""
    told = reporting.render(report.answer, weekly_report.numbers(facts))
    parts = [told.headline, *told.summary, *judges, "\n".join(_rates(facts.lists))]
    if told.actions:
        parts.append(
            "\n".join(["What to do, the most urgent first:", *(f"- {each}" for each in told.actions)])
        )
    return _with_names("\n\n".join(parts))


def _rates(each: Iterable[WeekOfList]) -> Iterator[str]:
    yield "Rates over the last four weeks:"
    for one in each:
        said = ", ".join(f"{name} {prose.percent(rate)}" for name, rate in rates(one.outcomes).items())
        yield f"- {one.key}: {said or 'nothing was sent'}"


def rates(outcomes: Outcomes) -> dict[str, float]:
    """Shares, 0 to 1, of what was tried, sent or arrived; none where there was nothing to be a share of."""
    tried = outcomes.delivered + outcomes.bounced
    sent = outcomes.arrived + outcomes.bounced + outcomes.not_attempted
    shares = {
        "delivered": (outcomes.arrived, sent),
        "bounced": (outcomes.bounced, tried),
        "hard": (outcomes.hard, tried),
        "blocked": (outcomes.not_attempted, sent),
        "complained": (outcomes.complained, outcomes.arrived),
        "opted out": (outcomes.opted_out, outcomes.arrived),
    }
    return {name: count / of for name, (count, of) in shares.items() if of}


def _with_names(words: str) -> str:
    """Agents know a list by its place; people by its name."""
    return named(words, {analysis.key_of(each): each.name for each in ContactList.objects.rotation()})


def named(words: str, names: Mapping[str, str]) -> str:
    """The words with each list's name in the place of its key."""
    return re.sub(r"\blist-\d+\b", lambda key: names.get(key[0], key[0]), words)
