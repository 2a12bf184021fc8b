"""Brings the mirror of all contacts and lists in line with Mailjet. The timetable does it half-hourly."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from integrations.mailjet import MailjetError, MailjetPaused
from listmanagement import outside
from listmanagement.workflows import mirror


class Command(BaseCommand):
    """Read all contacts of the account and every list's memberships; write what differs."""

    help = "Read everything from Mailjet and bring the mirror in line, going on where an earlier try stopped."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--json."""
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Refresh, in half of the budget at most, and say what was found."""
        try:
            with outside.background_mailjet() as mailjet:
                found = mirror.refresh_all(mailjet=mailjet, now=timezone.now())
        except mirror.RefreshUnderWay as another:
            raise CommandError(str(another)) from another
        except MailjetPaused as paused:
            raise CommandError(f"{paused}. What was read is kept: try again then.") from paused
        except MailjetError as error:
            raise CommandError(
                f"{error}. What was read is kept for an hour: run this again to go on."
            ) from error
        self.stdout.write(json.dumps(asdict(found)) if options["json"] else found.words)
