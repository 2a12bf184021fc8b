"""Contacts that a message was sent to and that the mirror does not know yet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import connection

from listmanagement.domain import spelling
from listmanagement.models import Contact
from listmanagement.workflows import addresses
from listmanagement.workflows.evidence.observing import Observed

_WITH_ADDRESS = """
insert into listmanagement_contact (id, email, domain_in_ascii, complained_by, opted_out_by)
select id, email, name, '', ''
  from unnest(%s::bigint[], %s::text[], %s::text[]) as unknown (id, email, name) order by id
    on conflict do nothing
"""
_WITHOUT = """
insert into listmanagement_contact (id, retired_at, complained_by, opted_out_by)
select id, %s, '', '' from unnest(%s::bigint[]) as unknown (id) order by id
    on conflict do nothing
"""


def keep_unknown(observed: Sequence[Observed], *, now: datetime) -> None:
    """Make their rows; without an address where another contact has it now, or it is none.

    Who comes between, the mirror say, was first: nothing is overwritten.
    """
    told = {each.contact_id: each.email for each in observed if each.contact_id is not None}
    known = set(Contact.objects.filter(pk__in=list(told)).values_list("pk", flat=True))
    fresh = {pk: email for pk, email in told.items() if pk not in known}
    if not fresh:
        return
    owners = addresses.owners(fresh)
    taken = addresses.holders(owners)
    emails = {pk: fresh[pk] for key, pk in owners.items() if key not in taken}
    with connection.cursor() as cursor:
        names = [spelling.in_ascii(email.rpartition("@")[2]) for email in emails.values()]
        cursor.execute(_WITH_ADDRESS, [list(emails), list(emails.values()), names])
        cursor.execute(_WITHOUT, [now, list(fresh)])
