"""Whether the lists that the settings name are those stored here, and stand at Mailjet."""

from __future__ import annotations

from collections.abc import Mapping

from integrations.mailjet import Mailjet, MailjetList
from listmanagement.models import ContactList, Role
from listmanagement.outside import Configuration

Place = tuple[Role, int | None]  # what a list is for, and its place in the rotation


def problem(configuration: Configuration, *, mailjet: Mailjet) -> str | None:
    """What is wrong with a list that the settings name, and what to do; None where all is well.

    Notes which lists are deleted at Mailjet. Raises MailjetError.
    """
    named, stored = _named(configuration), _stored()
    known = {each.id: each for each in mailjet.lists()}
    for variable, list_id in configuration.list_ids().items():
        words = _missing(list_id, known) or _elsewhere(list_id, named=named, stored=stored)
        if words is not None:
            return f"{variable} is {list_id}, {words}. Nothing was changed."
    if left := sorted(stored.keys() - named.keys()):
        return (
            f"Mailjet's list {left[0]} is {_words(stored[left[0]])} here, but no setting names it: name it "
            "again (MAILJET_CAMPAIGN_LIST_n_ID). Nothing was changed."
        )
    return None


def note_deleted(*, mailjet: Mailjet) -> None:
    """Note which of the lists stored here are deleted at Mailjet. Raises MailjetError."""
    known = {each.id: each.is_deleted for each in mailjet.lists()}
    for contact_list in ContactList.objects.all():
        is_deleted = known.get(contact_list.mailjet_id, True)
        ContactList.objects.filter(pk=contact_list.pk).exclude(is_deleted=is_deleted).update(
            is_deleted=is_deleted
        )


def _named(configuration: Configuration) -> dict[int, Place]:
    return {
        configuration.master_list_id: (Role.MASTER, None),
        configuration.suppression_list_id: (Role.SUPPRESSION, None),
        **{list_id: (Role.CAMPAIGN, n) for n, list_id in enumerate(configuration.campaign_list_ids, 1)},
    }


def _stored() -> dict[int, Place]:
    rows = ContactList.objects.values_list("mailjet_id", "role", "position")
    return {list_id: (Role(role), position) for list_id, role, position in rows}


def _missing(list_id: int, known: Mapping[int, MailjetList]) -> str | None:
    if list_id not in known:
        return "which Mailjet does not know: correct it"
    deleted = known[list_id].is_deleted
    ContactList.objects.filter(mailjet_id=list_id).exclude(is_deleted=deleted).update(is_deleted=deleted)
    return "which is deleted at Mailjet: restore it" if deleted else None


def _elsewhere(list_id: int, *, named: Mapping[int, Place], stored: Mapping[int, Place]) -> str | None:
    """The database keeps memberships and history by list: a list does not change its place unseen."""
    if stored.get(list_id) == named[list_id]:
        return None
    here = f"is {_words(stored[list_id])} here" if list_id in stored else "is not known here"
    return f"which {here}, not {_words(named[list_id])}: correct the settings"


def _words(place: Place) -> str:
    role, position = place
    return f"the {role} list" if position is None else f"campaign list {position}"
