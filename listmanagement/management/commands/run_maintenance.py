"""Runs post-campaign maintenance for one campaign, in this process, without Celery and Redis."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from listmanagement import outside
from listmanagement.management import advancing
from listmanagement.models import FINISHED, ContactList, Decision, ListMaintenanceLog, RunStatus, Trigger
from listmanagement.workflows import left, notify, outages
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.maintenance import post_campaign


class Command(BaseCommand):
    """Start the campaign's run, or go on with it, as far as it goes without a person."""

    help = "Run post-campaign maintenance for a campaign, as far as it goes without a person."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """CAMPAIGN_ID and --json."""
        parser.add_argument("campaign_id", type=int, metavar="CAMPAIGN_ID")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Advance until a person is needed, the wait is long, or the run has ended."""
        with outside.real() as connected:
            run = self._start(options["campaign_id"], connected)
            already = run.status in FINISHED
            if not already:
                run = advancing.until_it_waits(run, outside=connected, tell=self.stderr)
                notify.deliver_due(slack=connected.slack, now=timezone.now())
        self.stdout.write(json.dumps(summary(run)) if options["json"] else words(run, already=already))
        if run.status == RunStatus.FAILED:
            raise SystemExit(1)

    def _start(self, campaign_id: int, connected: outside.Outside) -> ListMaintenanceLog:
        try:
            return post_campaign.start(
                campaign_id,
                trigger=Trigger.PERSON,
                by=None,
                configuration=connected.configuration,
                now=timezone.now(),
            )
        except NotAllowed as refusal:
            raise CommandError(str(refusal)) from refusal


def summary(run: ListMaintenanceLog) -> dict[str, Any]:
    """The run as other programs read it."""
    waiting = Decision.objects.awaiting_review().filter(run=run)
    return {
        "run": run.pk,
        "campaign": run.campaign_id,
        "status": run.status,
        "step": run.step,
        "waits_for": run.waits_for,
        "decisions_waiting": list(waiting.values_list("pk", flat=True)),
        "suppressed": run.counts.get("suppressed", 0),
        "held": run.counts.get("held", 0),
        "placed": run.counts.get("placed", 0),
        "moved": run.counts.get("moved", 0),
        "lists_as_of": read_at.isoformat() if (read_at := ContactList.objects.as_of()) is not None else None,
        "mailjet_requests": run.requests,
        "stopped": run.stopped,
        "left": left.sentences(left.of(run)) if run.status in FINISHED else [],
        "errors": run.errors,
    }


def _undone(run: ListMaintenanceLog) -> str:
    undos = ", ".join(f"run {undo.pk} ({undo.status})" for undo in run.undone_by.order_by("pk"))
    if not undos:
        return ". Nothing to do"
    return f" and undone by {undos}. It is not done again: the next maintenance judges what fails then"


def words(run: ListMaintenanceLog, *, already: bool) -> str:
    """The run as a person reads it, and what to do next."""
    still = left.sentences(left.of(run)) if run.status == RunStatus.PARTIAL else []
    what_is_left = ["What is left:", *(f"- {each}" for each in still), f"  manage.py continue_run {run.pk}"]
    if already and not still:
        return f"Campaign {run.campaign_id} was maintained by run {run.pk} ({run.status}){_undone(run)}."
    if run.status in FINISHED:
        told = f"Run {run.pk} {run.status}.\n\n{run.report}"
        return "\n".join([told, "", *what_is_left]) if still else told
    decisions = Decision.objects.awaiting_review().filter(run=run)
    lines = [f"Run {run.pk} stands at {run.step} and waits for {run.waits_for or 'another worker'}."]
    lines += [f"  decision {d.pk}: {d.title}\n  manage.py decide {d.pk} approve --by USER" for d in decisions]
    lines.append(f"What is known here of the lists is as of {outages.as_of()}.")
    return "\n".join(lines)
