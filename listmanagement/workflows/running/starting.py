"""Makes runs: one for each key, whoever asks."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from listmanagement.models import (
    CampaignSchedule,
    ListMaintenanceLog,
    RunKind,
    RunStage,
    RunStatus,
    Trigger,
)
from listmanagement.workflows.by_people import audit


def judged_later(campaign: CampaignSchedule, *, stage: str) -> str | None:
    """Which later send of its list was judged already, in words; None where none was.

    An old campaign by itself, as if nothing had come after it, would be judged wrongly: it is too late.
    """
    judged = ListMaintenanceLog.objects.filter(
        kind=RunKind.POST_CAMPAIGN,
        stage=stage,
        campaign__list=campaign.list,
        campaign__started_at__gt=campaign.started_at,
    ).exclude(status=RunStatus.FAILED)
    newer = judged.exclude(status=RunStatus.PARTIAL, agent_calls=None)
    found = newer.order_by("-campaign__started_at").first()
    if found is None:
        return None
    return (
        f"campaign {campaign.pk} is too old: campaign {found.campaign_id}, a later send of "
        f"list {campaign.list.mailjet_id}, was judged already (run {found.pk}), with all that had failed "
        "before it"
    )


def create(
    key: str,
    *,
    kind: RunKind,
    stage: RunStage,
    trigger: Trigger,
    by: User | None,
    now: datetime,
    **columns: Any,
) -> ListMaintenanceLog | None:
    """A new run, noted in the audit trail; None where somebody else has made this key's (P11)."""
    try:
        with transaction.atomic():
            run = ListMaintenanceLog.objects.create(
                kind=kind,
                stage=stage,
                trigger=trigger,
                triggered_by=by,
                idempotency_key=key,
                created_at=now,
                **columns,
            )
            audit.note(run, "started", by=by, now=now)
    except IntegrityError:
        return None
    return run


def create_for(
    period: date, *, kind: RunKind, trigger: Trigger, now: datetime, **columns: Any
) -> ListMaintenanceLog:
    """The run of its kind that the schedule makes once a period, whoever asks (P11); a person gets more."""
    runs = ListMaintenanceLog.objects.filter(kind=kind)
    key = f"{kind}:{period:%Y-%m-%d}"
    if trigger == Trigger.PERSON:
        key = f"{key}:by hand after {runs.count()}"
    run = create(key, kind=kind, trigger=trigger, now=now, **columns)
    return run or runs.get(idempotency_key=key)
