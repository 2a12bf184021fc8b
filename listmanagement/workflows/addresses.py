"""Whose an address is. A contact made anew at Mailjet takes it over; what was said under it stays.

Addresses are compared as PostgreSQL's unique index compares them: Python's lower case is another one
for some letters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from django.db import connection
from django.db.models.functions import Lower

from listmanagement.models import Contact, ContactSuppressionHistory, SuppressionKind

ERASED = "@domain.invalid"
"""How the address ends that Mailjet leaves of an erased contact for 30 days (DELETE /v4/contacts)."""


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


def retire(wanted: Mapping[str, int], *, now: datetime) -> dict[int, int]:
    """Take each address from any other contact that has it. Returns who lost one, and to whom."""
    moved = {pk: wanted[key] for key, pk in holders(wanted).items() if wanted[key] != pk}
    Contact.objects.filter(pk__in=list(moved)).update(email=None, retired_at=now)
    return moved


def carry_over(moved: Mapping[int, int], *, now: datetime) -> None:
    """What somebody said, or was decided, about an address holds for its new contact (P1, P2).

    A suppression is carried over as found: it asks for no new evidence, and the promises show that the
    new contact is not on the suppression list at Mailjet.
    """
    if not moved:
        return
    known = Contact.objects.in_bulk([*moved, *moved.values()])
    for old, new in moved.items():
        _carry_consent(known[old], known[new])
    Contact.objects.bulk_update(
        [known[new] for new in moved.values()],
        ["opted_out_at", "opted_out_by", "complained_at", "complained_by"],
    )
    standing = ContactSuppressionHistory.objects.standing()
    suppressed = set(standing.filter(contact__in=list(moved.values())).values_list("contact_id", flat=True))
    ContactSuppressionHistory.objects.bulk_create(
        ContactSuppressionHistory(
            contact_id=moved[each.contact_id],
            kind=SuppressionKind.IMPORTED,
            at=now,
            reason=f"suppressed as contact {each.contact_id}, whose address it is: {each.reason}",
        )
        for each in standing.filter(contact__in=list(moved))
        if moved[each.contact_id] not in suppressed
    )


def _carry_consent(old: Contact, new: Contact) -> None:
    if new.opted_out_at is None and old.opted_out_at is not None:
        new.opted_out_at = old.opted_out_at
        new.opted_out_by = f"contact {old.pk}, whose address it is"
    if new.complained_at is None and old.complained_at is not None:
        new.complained_at = old.complained_at
        new.complained_by = f"contact {old.pk}, whose address it is"
