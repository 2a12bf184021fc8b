"""Rows of large scans, column by column: a million rows are checked as strictly as one, and much faster."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from integrations.mailjet import answers
from integrations.mailjet.answers import MailjetContact, Member

Row = dict[str, Any]

_TIMES = re.compile(r"(?:(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)?\n)*", re.ASCII)
_AS_TIMES = TypeAdapter(list[AwareDatetime])


@dataclass(frozen=True)
class MemberColumns:
    """Memberships. What stands at one place in each column belongs together."""

    membership_id: Sequence[int]
    contact_id: Sequence[int]
    unsubscribed: Sequence[bool]
    subscribed_at: Sequence[str]
    """RFC 3339; empty where Mailjet does not say. Restarts at each add."""

    @classmethod
    def of(cls, rows: Sequence[Row], *, resource: str) -> Self:
        """The columns of these rows. Raises MailjetAnswerInvalid as `answers.parse` does."""
        plain = _plain(rows, {"ID": int, "ContactID": int, "IsUnsubscribed": bool, "SubscribedAt": str})
        if plain and _are_ids(plain["ContactID"]) and _are_times(plain["SubscribedAt"]):
            return cls(plain["ID"], plain["ContactID"], plain["IsUnsubscribed"], plain["SubscribedAt"])
        members = answers.parse(Member, rows, resource=resource)
        return cls(
            [member.membership_id for member in members],
            [member.contact_id for member in members],
            [member.unsubscribed for member in members],
            [_text(member.subscribed_at) for member in members],
        )

    def __len__(self) -> int:
        return len(self.membership_id)


@dataclass(frozen=True)
class ContactColumns:
    """Contacts. What stands at one place in each column belongs together."""

    id: Sequence[int]
    email: Sequence[str]
    created_at: Sequence[str]
    """RFC 3339; empty where Mailjet does not say."""
    excluded: Sequence[bool]
    complained: Sequence[bool]
    erased: Sequence[bool]
    """Mailjet has erased the contact; what it leaves of it for 30 days is no address."""

    @classmethod
    def of(cls, rows: Sequence[Row], *, resource: str) -> Self:
        """The columns of these rows. Raises MailjetAnswerInvalid as `answers.parse` does."""
        erased = [answers.is_erased(row) for row in rows]
        plain = _plain(rows, _CONTACT_FIELDS)
        if plain and all(plain["Email"]) and _are_times(plain["CreatedAt"]):
            flags = plain["IsExcludedFromCampaigns"], plain["IsSpamComplaining"], erased
            return cls(plain["ID"], plain["Email"], plain["CreatedAt"], *flags)
        contacts = answers.parse(MailjetContact, rows, resource=resource)
        return cls(
            [contact.id for contact in contacts],
            [contact.email for contact in contacts],
            [_text(contact.created_at) for contact in contacts],
            [contact.excluded for contact in contacts],
            [contact.complained for contact in contacts],
            erased,
        )

    def __len__(self) -> int:
        return len(self.id)


_CONTACT_FIELDS = {
    "ID": int,
    "Email": str,
    "CreatedAt": str,
    "IsExcludedFromCampaigns": bool,
    "IsSpamComplaining": bool,
}


def _plain(rows: Sequence[Row], fields: Mapping[str, type]) -> dict[str, list[Any]] | None:
    """The fields as columns, where every value is of its plain type. None: they have to be looked at singly.

    (Mailjet's documentation quotes numbers and flags; its real answers do not.)
    """
    try:
        columns = {name: [row[name] for row in rows] for name in fields}
    except KeyError:
        return None
    are_plain = all(set(map(type, columns[name])) <= {kind} for name, kind in fields.items())
    return columns if are_plain and _are_ids(columns["ID"]) else None


def _are_ids(column: Sequence[int]) -> bool:
    return not column or min(column) > 0


def _are_times(column: Sequence[str]) -> bool:
    """Whether each is a time as Mailjet spells them, or empty."""
    if _TIMES.fullmatch("".join(f"{time}\n" for time in column)) is None:
        return False
    try:
        _AS_TIMES.validate_python([time for time in column if time])
    except ValidationError:
        return False  # such as the 13th month: said in the words of the row it stands in
    return True


def _text(time: datetime | None) -> str:
    return "" if time is None else time.isoformat().replace("+00:00", "Z")
