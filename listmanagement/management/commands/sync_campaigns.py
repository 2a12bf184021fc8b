"""Reads campaigns from Mailjet by hand."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet
from django.utils import timezone

from integrations.mailjet import MailjetError
from listmanagement import outside
from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import CampaignSchedule, Cycle
from listmanagement.workflows import campaigns, notify


class Command(BaseCommand):
    """What the worker does every 15 minutes, once."""

    help = "Read drafts and campaigns from Mailjet, and recognise rounds and cycles. Changes nothing there."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--json."""
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, store, recognise; say what was found."""
        with outside.real() as connected:
            try:
                synced = campaigns.sync(mailjet=connected.mailjet, now=timezone.now())
            except MailjetError as error:
                raise CommandError(f"nothing was stored: {error}") from error
            notify.deliver_due(slack=connected.slack, now=timezone.now())
        last = Cycle.objects.filter(started_at__isnull=False).order_by("-started_at").first()
        if options["json"]:
            ids = list(_scheduled().values_list("pk", flat=True))
            told = {**asdict(synced), "cycle": last.number if last else None, "scheduled": ids}
            self.stdout.write(json.dumps(told))
            return
        cycle = "no cycle has begun yet" if last is None else _words(last)
        self.stdout.write(f"{str(synced).capitalize()} ({synced.requests} requests); {cycle}.")
        for campaign in _scheduled():
            self.stdout.write(
                f"Campaign {campaign.pk}, {campaign.subject or campaign.title or 'without a subject'}, to "
                f"{campaign.list}: scheduled for {campaign.scheduled_at:%d %B %Y %H:%M} UTC."
            )


def _scheduled() -> QuerySet[CampaignSchedule]:
    """What is to be sent, the next one first."""
    waiting = CampaignSchedule.objects.filter(status=RoundStatus.SCHEDULED)
    return waiting.select_related("list").order_by("scheduled_at", "pk")


def _words(cycle: Cycle) -> str:
    if cycle.ended_at is None:
        return f"cycle {cycle.number} is under way"
    return f"cycle {cycle.number} has ended ({cycle.ended_how.replace('_', ' ') or 'complete'})"
