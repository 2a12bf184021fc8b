"""Whose an address is. A contact made anew at Mailjet takes it over; what was said under it stays.

Addresses are compared as PostgreSQL's unique index compares them: Python's lower case is another one
for some letters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models.functions import Lower

from listmanagement.models import Contact

ERASED = "@domain.invalid"
"""How the address ends that Mailjet leaves of an erased contact for 30 days (DELETE /v4/contacts)."""

IS_USABLE = f"(strpos({{email}}, '@') > 0 and right(lower({{email}}), {len(ERASED)}) <> '{ERASED}')"
"""The same as `_is_usable`, in SQL."""


def owners(addresses: Mapping[int, str]) -> dict[str, int]:
    """Each usable address as it is compared, and whose it is: of several contacts the one made last.

    Texts that are no address, which Mailjet has been seen to keep, and what it leaves of an erased
    contact belong to nobody.
    """
    usable = {pk: address for pk, address in sorted(addresses.items()) if _is_usable(address)}
    return dict(zip(_keys(list(usable.values())), usable, strict=True))


def _is_usable(address: str) -> bool:
    return "@" in address and not address.lower().endswith(ERASED)


def _keys(addresses: Sequence[str]) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "select lower(address) from unnest(%s::text[]) with ordinality as given (address, n) order by n",
            [list(addresses)],
        )
        return [key for (key,) in cursor.fetchall()]


def holders(keys: Iterable[str]) -> dict[str, int]:
    """Which contact here has each of these addresses, where one has."""
    known = Contact.objects.annotate(key=Lower("email")).filter(key__in=list(keys))
    return dict(known.values_list("key", "pk"))


def holders_of(texts: Sequence[str]) -> list[int | None]:
    """Which contact here has each of these addresses, however spelled; None where nobody has."""
    keys = _keys(texts)
    found = holders(keys)
    return [found.get(key) for key in keys]


_CARRY_CONSENT = """
update listmanagement_contact new
   set opted_out_at = coalesce(new.opted_out_at, old.opted_out_at),
       opted_out_by = case when new.opted_out_at is null and old.opted_out_at is not null
                           then 'contact ' || old.id || ', whose address it is' else new.opted_out_by end,
       complained_at = coalesce(new.complained_at, old.complained_at),
       complained_by = case when new.complained_at is null and old.complained_at is not null
                            then 'contact ' || old.id || ', whose address it is' else new.complained_by end
  from unnest(%(old)s::bigint[], %(new)s::bigint[]) as moved (old, new)
  join listmanagement_contact old on old.id = moved.old
 where new.id = moved.new
   and (new.opted_out_at is null and old.opted_out_at is not null
        or new.complained_at is null and old.complained_at is not null)
"""
_CARRY_SUPPRESSIONS = """
insert into listmanagement_contactsuppressionhistory (contact_id, kind, at, reason, lifted_why)
select moved.new, 'imported', %(now)s,
       'suppressed as contact ' || moved.old || ', whose address it is: ' || theirs.reason, ''
  from unnest(%(old)s::bigint[], %(new)s::bigint[]) as moved (old, new)
  join listmanagement_contactsuppressionhistory theirs
    on theirs.contact_id = moved.old and theirs.lifted_at is null
 where not exists (select from listmanagement_contactsuppressionhistory own
                    where own.contact_id = moved.new and own.lifted_at is null)
"""


def carry_over(moved: Mapping[int, int], *, now: datetime) -> None:
    """What somebody said, or was decided, about an address holds for its new contact (P1, P2).

    `moved` says who lost an address, and who has it now. A suppression is carried over as found: it asks for
    no new evidence, and the promises show that the new contact is not on the suppression list at Mailjet.
    """
    if not moved:
        return
    given: dict[str, Any] = {"old": list(moved), "new": list(moved.values()), "now": now}
    with connection.cursor() as cursor:
        cursor.execute(_CARRY_CONSENT, given)
        cursor.execute(_CARRY_SUPPRESSIONS, given)
