"""What Mailjet shows of the lists now: read once, page by page, and kept as little as the checks need."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from integrations.mailjet import Mailjet
from listmanagement.models import Contact, ContactList, ContactListMembership, Role


class NotChecked(Exception):
    """The promises cannot be held against live data now. The words say what is missing and what to do."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How somebody stands on a list at Mailjet. `since` restarts at each add; None where not told."""

    unsubscribed: bool
    since: datetime | None


Members = Mapping[int, Standing]
"""A list's members by contact id."""


@dataclass(frozen=True)
class Shown:
    """Every list that the settings name, as Mailjet shows it. Members are found by our list id."""

    master: ContactList
    campaign: tuple[ContactList, ...]
    suppression: ContactList
    members: Mapping[int, Members]

    def of(self, contact_list: ContactList) -> Members:
        """A list's members."""
        return self.members[contact_list.pk]

    def subscribed(self) -> dict[int, list[int]]:
        """Everybody who is subscribed on a campaign list, with our ids of these lists."""
        found: dict[int, list[int]] = {}
        for contact_list in self.campaign:
            for contact_id, standing in self.of(contact_list).items():
                if not standing.unsubscribed:
                    found.setdefault(contact_id, []).append(contact_list.pk)
        return found

    def opted_out(self) -> set[int]:
        """Everybody who is unsubscribed on any of the lists."""
        return {
            contact_id
            for members in self.members.values()
            for contact_id, standing in members.items()
            if standing.unsubscribed
        }


def read(mailjet: Mailjet) -> Shown:
    """Read all lists, each once. Writes nothing.

    Raises NotChecked where a list is not known here or not alive at Mailjet, MailjetError where
    Mailjet does not answer.
    """
    lists = list(ContactList.objects.order_by("position", "pk"))
    by_role = {role: [each for each in lists if each.role == role] for role in Role}
    if not all(by_role.values()):
        raise NotChecked(
            "the database does not know a master, a suppression and a campaign list yet: run maintenance "
            "once, or seed the demo"
        )
    _check_alive(lists, mailjet)
    erased = set(Contact.objects.filter(erased_at__isnull=False).values_list("pk", flat=True))
    return Shown(
        master=by_role[Role.MASTER][0],
        campaign=tuple(by_role[Role.CAMPAIGN]),
        suppression=by_role[Role.SUPPRESSION][0],
        members={each.pk: _read(each, mailjet, without=erased) for each in lists},
    )


def _check_alive(lists: list[ContactList], mailjet: Mailjet) -> None:
    """A list that Mailjet does not know, or has deleted, would read as an empty one."""
    alive = {each.id for each in mailjet.lists() if not each.is_deleted}
    missing = [each.mailjet_id for each in lists if each.mailjet_id not in alive]
    if missing:
        raise NotChecked(
            f"Mailjet does not know these lists, or has deleted them: {missing}. Correct MAILJET_…_LIST_ID "
            "in the settings, or restore them"
        )


def _read(contact_list: ContactList, mailjet: Mailjet, *, without: Collection[int]) -> Members:
    """The members; read a second time where somebody expected is missing.

    A change by others between two pages can shift a row out of both: missing once is not gone.
    """
    seen = _members(contact_list, mailjet, without=without)
    known = ContactListMembership.objects.current().filter(list=contact_list, missing_since=None)
    if any(contact_id not in seen for contact_id in known.values_list("contact_id", flat=True)):
        return {**seen, **_members(contact_list, mailjet, without=without)}
    return seen


def _members(contact_list: ContactList, mailjet: Mailjet, *, without: Collection[int]) -> Members:
    """Mailjet goes on showing memberships of whom it has erased; nobody can be mailed through them."""
    return {
        member.contact_id: Standing(unsubscribed=member.unsubscribed, since=member.subscribed_at)
        for page in mailjet.members(contact_list.mailjet_id)
        for member in page
        if member.contact_id not in without
    }
