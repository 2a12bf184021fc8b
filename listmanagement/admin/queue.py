"""What waits for a person, and what comes next when nothing does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Max, OuterRef, Subquery, Sum

from listmanagement.admin import show
from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import (
    CampaignSchedule,
    Decision,
    DecisionGroup,
    DecisionKind,
    ListMaintenanceLog,
    RunStatus,
)
from listmanagement.models.decisions import DecisionQuerySet


@dataclass(frozen=True, slots=True)
class Waiting:
    """An open decision, as the queue shows it."""

    title: str
    url: str
    deadline: str
    left: str
    confidence: str
    judge: str
    contacts: str


def with_figures(decisions: DecisionQuerySet) -> DecisionQuerySet:
    """Decisions with `contacts`, how many they are about, and `model`, the name of the one that judged."""
    groups = DecisionGroup.objects.filter(decision=OuterRef("pk")).order_by().values("decision")
    return decisions.annotate(
        contacts=Subquery(groups.annotate(n=Sum("contacts")).values("n")),
        model=Subquery(groups.annotate(name=Max("call__model")).values("name")),
    )


def waiting(*, now: datetime) -> Sequence[Waiting]:
    """What a reviewer has to decide, the most urgent first."""
    found = with_figures(Decision.objects.awaiting_review()).order_by("deadline", "pk")
    return [_waiting(decision, now=now) for decision in found]


def _waiting(decision: Any, *, now: datetime) -> Waiting:
    return Waiting(
        title=decision.title,
        url=decision.get_absolute_url(),
        deadline=show.when(decision.deadline),
        left=show.left(decision.deadline, now=now),
        confidence=f"{decision.confidence:.2f}",
        judge=judge_of(decision),
        contacts=show.counted(decision.contacts or 0, "contact"),
    )


def judge_of(decision: Decision) -> str:
    """Who judged a decision that `with_figures` has read."""
    if decision.kind == DecisionKind.CONSENT:
        return show.CONSENT_RULE
    model: str | None = getattr(decision, "model", None)
    return show.judge(decision.source, model=model or "", has_key=bool(settings.GEMINI_API_KEY))


def what_comes_next(*, now: datetime) -> str:
    """What an empty queue waits for, in a sentence."""
    run = ListMaintenanceLog.objects.unfinished().order_by("pk").first()
    if run is not None:
        waits = f", waiting for {run.waits_for}" if run.status == RunStatus.WAITING and run.waits_for else ""
        return f"Run {run.pk} is under way (step: {show.words(run.step)}{waits}); it asks when it needs you."
    delay = timedelta(hours=settings.LIST_MAINTENANCE_DELAY_HOURS)
    judged = ListMaintenanceLog.objects.filter(campaign__isnull=False).values("campaign")
    sent = CampaignSchedule.objects.filter(status=RoundStatus.SENT, ended_at__gt=now - delay)
    campaign = sent.exclude(pk__in=judged).select_related("list").order_by("ended_at").first()
    if campaign is not None and campaign.ended_at is not None:
        due = campaign.ended_at + delay
        soon = show.left(due, now=now)
        return f"Campaign {campaign.pk} to {campaign.list} is judged from {show.when(due)} on ({soon})."
    return _next_send(now=now)


def _next_send(*, now: datetime) -> str:
    sends = CampaignSchedule.objects.to_come(at=now)
    campaign = sends.select_related("list").order_by("scheduled_at").first()
    if campaign is None or campaign.scheduled_at is None:
        return "No campaign is scheduled. After the next one, what it shows is judged and comes here."
    return (
        f"The next campaign goes to {campaign.list} on {show.when(campaign.scheduled_at)}; "
        f"its failures are judged {settings.LIST_MAINTENANCE_DELAY_HOURS} hours after it has ended."
    )
