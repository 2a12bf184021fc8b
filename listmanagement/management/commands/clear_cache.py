"""Forgets what pages remember of lists: the next one counts anew. Nothing else is touched."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from listmanagement import outside
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.glance import list_cache


class Command(BaseCommand):
    """Forget all lists, or one."""

    help = "Forget what pages remember of all lists, or of one; the next page counts anew."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """LIST and --json."""
        parser.add_argument("list", nargs="?", metavar="LIST", help="a list's Mailjet id or its name")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Forget, and say how much that was."""
        try:
            cleared = list_cache.clear(options["list"], cache=outside.cache())
        except NotAllowed as refusal:
            raise CommandError(f"{refusal}.") from refusal
        if options["json"]:
            self.stdout.write(json.dumps(asdict(cleared)))
            return
        of = "all lists" if cleared.name is None else f"{cleared.name}, and of all lists together"
        entries = "1 entry" if cleared.entries == 1 else f"{cleared.entries:,} entries"
        self.stdout.write(f"Cleared: {entries} of {of}. The next page counts anew.")
