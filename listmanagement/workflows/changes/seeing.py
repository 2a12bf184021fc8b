"""Where some contacts stand at Mailjet: their lists read in pages, or their own lists one by one.

Whichever takes fewer requests: a page of a list holds 1,000 members, a contact's own lists are one request.
Pages are reduced at once to the contacts that matter: a list of any size takes no memory. An opt-out that
one of them shows, of anybody, is noted (P2).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from math import ceil

from integrations.mailjet import Mailjet, MailjetContact, MailjetRejected
from listmanagement.models import Contact, ContactList

PAGE = 1000

Sight = Mapping[int, Mapping[int, bool]]
"""By our list id: who of those asked about is on it, by contact id, and whether unsubscribed there."""


def pages(contact_list: ContactList) -> int:
    """Requests that reading the list's members takes, by what is known of its size here."""
    return max(ceil(contact_list.memberships.current().count() / PAGE), 1)


def look(contacts: Collection[int], *, on: Collection[ContactList], mailjet: Mailjet, now: datetime) -> Sight:
    """Where these contacts stand on these lists now. Raises MailjetError."""
    if len(contacts) < sum(map(pages, on)):
        return one_by_one(contacts, on=on, mailjet=mailjet, now=now)
    wanted = frozenset(contacts)
    return {each.pk: _from_pages(each, wanted, mailjet=mailjet, now=now) for each in on}


def one_by_one(
    contacts: Collection[int], *, on: Collection[ContactList], mailjet: Mailjet, now: datetime
) -> Sight:
    """The same with a request a contact. Whom Mailjet does not know is on no list. Raises MailjetError."""
    ours = {each.mailjet_id: each for each in on}
    seen: dict[int, dict[int, bool]] = {each.pk: {} for each in on}
    for contact in sorted(contacts):
        for found in mailjet.lists_of_contact(contact) or ():
            if (contact_list := ours.get(found.list_id)) is not None:
                seen[contact_list.pk][contact] = found.unsubscribed
    for each in on:
        note_opt_outs(each, [key for key, out in seen[each.pk].items() if out], now=now)
    return seen


def notice_opt_outs(contact_list: ContactList, *, mailjet: Mailjet, now: datetime) -> None:
    """Note who is unsubscribed on a list, without reading everybody else. Raises MailjetError."""
    for page in mailjet.unsubscribed_members(contact_list.mailjet_id):
        note_opt_outs(contact_list, [member.contact_id for member in page], now=now)


def by_address(
    addresses: Mapping[int, str], *, on: ContactList, mailjet: Mailjet
) -> Mapping[int, MailjetContact]:
    """Whose these addresses are at Mailjet now, by the contact that is asked about, where it is another one.

    On `on`, if anywhere: it is read whole where that takes fewer requests than the addresses one by one.
    """
    if len(addresses) <= pages(on):
        asked = {key: contact_at(address, mailjet=mailjet) for key, address in addresses.items()}
    else:
        keys = {address.lower(): key for key, address in addresses.items()}
        members = (contact for page in mailjet.contacts(on.mailjet_id) for contact in page)
        asked = {keys[each.email.lower()]: each for each in members if each.email.lower() in keys}
    return {key: found for key, found in asked.items() if found is not None and found.id != key}


def contact_at(address: str, *, mailjet: Mailjet) -> MailjetContact | None:
    """Whose this address is at Mailjet now; None where it is nobody's, or none to Mailjet."""
    try:
        return mailjet.contact(address)
    except MailjetRejected as refusal:
        if refusal.status == HTTPStatus.BAD_REQUEST:  # Mailjet has been seen to keep malformed addresses
            return None
        raise


def _from_pages(
    contact_list: ContactList, wanted: Collection[int], *, mailjet: Mailjet, now: datetime
) -> dict[int, bool]:
    seen: dict[int, bool] = {}
    for page in mailjet.scan_members(contact_list.mailjet_id):
        members = list(zip(page.columns.contact_id, page.columns.unsubscribed, strict=True))
        note_opt_outs(contact_list, [contact for contact, out in members if out], now=now)
        seen.update((contact, out) for contact, out in members if contact in wanted)
    return seen


def note_opt_outs(contact_list: ContactList, contacts: Sequence[int], *, now: datetime) -> None:
    """Remember that these contacts are unsubscribed on the list. What was known before stays as it was."""
    if contacts:
        Contact.objects.filter(pk__in=contacts, opted_out_at=None).update(
            opted_out_at=now, opted_out_by=f"list {contact_list.mailjet_id}"
        )
