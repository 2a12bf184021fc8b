"""Complaints and opt-outs that messages and events show: remembered at once and never cleared (P2)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import connection

from listmanagement.workflows import addresses
from listmanagement.workflows.evidence.observing import Observed

_NOTE = """
update listmanagement_contact contact set ({at}, {by}) = (%s, told.by)
  from unnest(%s::bigint[], %s::text[]) as told (id, by)
 where contact.id = told.id and contact.{at} is null
"""


def keep(observed: Sequence[Observed], *, now: datetime) -> None:
    """Note who complained and who opted out, and what told us. What was said first stays."""
    _note("complained", [each for each in observed if each.complains], now=now)
    _note("opted_out", [each for each in observed if each.opts_out], now=now)


def _note(what: str, observed: Sequence[Observed], *, now: datetime) -> None:
    whom = _whom(observed)
    if whom:
        with connection.cursor() as cursor:
            statement = _NOTE.format(at=f"{what}_at", by=f"{what}_by")
            cursor.execute(statement, [now, list(whom), list(whom.values())])


def _whom(observed: Sequence[Observed]) -> dict[int, str]:
    """Whom it concerns, and what says so: the contacts, and who has the address under another id now."""
    if not observed:
        return {}
    said = {each.contact_id: _by(each) for each in observed if each.contact_id is not None}
    numbered = dict(enumerate(observed))
    sent_to = addresses.owners({n: each.email for n, each in numbered.items()})
    holders = addresses.holders(sent_to)
    return said | {pk: _by(numbered[sent_to[key]]) for key, pk in holders.items()}


def _by(observed: Observed) -> str:
    return f"message {observed.message_id}" if observed.message_id else "an event without a message"
