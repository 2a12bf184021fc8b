"""Runs the weekly health check now, in this process, without Celery and Redis."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from listmanagement import outside
from listmanagement.management import advancing
from listmanagement.models import (
    FINISHED,
    ListHealth,
    ListHealthCheck,
    ListMaintenanceLog,
    RunStatus,
    Trigger,
)
from listmanagement.models.runs import WEEKLY, WHOLE
from listmanagement.workflows import notify
from listmanagement.workflows.weekly import weekly_health


class Command(BaseCommand):
    """Exit code 0: checked and told. 1: it failed, or waits for Mailjet."""

    help = "Check the health of every list and report it. Changes nothing at Mailjet; works while paused."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--json."""
        parser.add_argument("--json", action="store_true", help="print one JSON object on one line")

    def handle(self, *args: Any, **options: Any) -> None:
        """Advance until the check is done, or its wait is long."""
        with outside.real() as connected:
            run = weekly_health.start(
                trigger=Trigger.PERSON, by=None, configuration=connected.configuration, now=timezone.now()
            )
            run = advancing.until_it_waits(run, outside=connected, tell=self.stderr)
            notify.deliver_due(slack=connected.slack, now=timezone.now())
        self.stdout.write(json.dumps(summary(run)) if options["json"] else words(run))
        if run.status != RunStatus.SUCCEEDED:
            raise SystemExit(1)


def summary(run: ListMaintenanceLog) -> dict[str, Any]:
    """The check as other programs read it."""
    rows = ListHealth.objects.filter(check_of__run=run).select_related("list").order_by("list__position")
    return {
        "run": run.pk,
        "status": run.status,
        "step": run.step,
        "waits_for": run.waits_for,
        **_everybody(run),
        "lists": [
            {
                "list": row.list.mailjet_id,
                "grade": row.grade,
                "cause": row.cause,
                "size": row.size,
                **{name: getattr(row, name) for name in WEEKLY},
            }
            for row in rows
        ],
        "report": run.report,
        "seconds": round(sum(run.seconds.values()), 3),
        "mailjet_requests": run.requests,
        "errors": run.errors,
    }


def _everybody(run: ListMaintenanceLog) -> dict[str, Any]:
    check = ListHealthCheck.objects.filter(run=run).values("id", "deviation", *WHOLE).first()
    return {"health_check": check.pop("id"), **check} if check is not None else {"health_check": None}


def words(run: ListMaintenanceLog) -> str:
    """The check as a person reads it, and what to do next where it is not done."""
    if run.status in FINISHED:
        return f"Run {run.pk} {run.status}.\n\n{run.report}"
    return (
        f"Run {run.pk} stands at {run.step} and waits for {run.waits_for or 'another worker'}. "
        "The worker goes on with it, and so does calling this again."
    )
