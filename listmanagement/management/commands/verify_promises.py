"""`manage.py verify_promises`: holds the promises against the database and Mailjet, and changes neither."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from integrations.mailjet import MailjetError
from listmanagement import outside
from listmanagement.domain.telling import people
from listmanagement.workflows import outages, promises

BROKEN, NOT_CHECKED = 1, 2


class Command(BaseCommand):
    """Exit code 0: all are held. 1: one is broken. 2: they could not be checked."""

    help = (
        "Hold the promises P1 to P11 against the database and Mailjet. Changes nothing. Exit code 0 when "
        "all are held, 1 when one is broken, 2 when they could not be checked."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--json."""
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, print, and tell by the exit code."""
        try:
            with outside.background_mailjet() as mailjet:
                found = promises.verify(
                    mailjet=mailjet, now=timezone.now(), enabled=settings.LIST_MANAGEMENT_ENABLED
                )
        except MailjetError as error:
            raise CommandError(
                f"the promises were not checked, Mailjet did not answer as needed: {error}. "
                "Nothing was changed; try again when it does. "
                f"What is known here of the lists is as of {outages.as_of()}",
                returncode=NOT_CHECKED,
            ) from error
        except promises.NotChecked as error:
            raise CommandError(f"the promises were not checked: {error}", returncode=NOT_CHECKED) from error
        self.stdout.write(json.dumps(as_json(found)) if options["json"] else "\n".join(_lines(found)))
        if found.broken:
            raise SystemExit(BROKEN)


def as_json(found: promises.Verification) -> dict[str, Any]:
    """The verification as other programs read it. Contacts are ids."""
    return {
        "checked_at": found.at.isoformat(),
        "promises": [
            {
                "promise": promise.name.value,
                "title": promise.title,
                "held": promise.held,
                "checked": promise.checked,
                "violations": [asdict(violation) for violation in promise.broken],
                "noted": list(promise.noted),
            }
            for promise in found.promises
        ],
        "promises_broken": found.broken,
        "mailjet_requests": found.requests,
    }


def _lines(found: promises.Verification) -> Iterator[str]:
    for promise in found.promises:
        word = "held" if promise.held else "BROKEN"
        yield f"{promise.name.value} {word}  {promise.title}: {promise.checked:,}"
        for violation in promise.broken:
            yield f"   {_contacts(violation)}: {violation.words}. {violation.what_to_do}"
        yield from (f"   noted: {note}" for note in promise.noted)
    outcome = f"broken: {', '.join(found.broken)}" if found.broken else "all held"
    yield f"Promises {outcome}. Requests to Mailjet: {found.requests}. Nothing was changed."


def _contacts(violation: promises.Violation) -> str:
    """Whom it is about, such as "2 contacts (4, 7)"."""
    ids = ", ".join(map(str, violation.contacts))
    hidden = violation.count - len(violation.contacts)
    more = f" and {hidden:,} more" if hidden else ""
    return f"{people(violation.count)} ({ids}{more})"
