"""Where some contacts are at Mailjet now: asked for one by one, or by their lists where that is cheaper.

What a contact's own lists say is certain, unlike a page of a list: whoever is not on a list there is not.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Max

from integrations.mailjet import ContactMembership, Mailjet, MailjetAnswerInvalid
from listmanagement.models import Change, Contact, ContactList, ContactListMembership, ListOperation, Role
from listmanagement.workflows import mirror
from listmanagement.workflows.changes import seeing

log = logging.getLogger("evenkeel.whereabouts")

Reading = Mapping[int, ContactMembership]
"""A contact's memberships by Mailjet's list id."""

FEW = 20
"""Contacts that are looked up one by one, a request each. For more, their lists are read where that takes
fewer requests."""

MOST_DOUBTS = 200
"""Contacts that no reading of lists shows, and that are asked for one by one after it."""

A_DAY = timedelta(days=1)
"""How old addresses may be: at Mailjet they cannot change."""


def look(contacts: Sequence[int], *, mailjet: Mailjet, now: datetime) -> None:
    """Bring the mirror in line with where these contacts are, on campaign and suppression lists.

    Lists are read that were not since one of these contacts last said something: somebody may have moved
    them meanwhile. Raises MailjetError. Lists that are deleted at Mailjet are left out. Who is seen on none
    of them may be gone from Mailjet altogether, and is asked for by themselves. A list that makes no sense
    shows nobody, and keeps nobody on the others waiting.
    """
    roles = [Role.CAMPAIGN, Role.SUPPRESSION]
    alive = ContactList.objects.filter(role__in=roles, is_deleted=False)
    if len(contacts) <= max(FEW, sum(map(seeing.pages, alive))):
        refresh(contacts, mailjet=mailjet, now=now)
        return
    age = min(mirror.FRESH_FOR, now - _last_said(contacts, now=now))
    readable = [each for each in alive if _is_readable(each, age=age, mailjet=mailjet, now=now)]
    seen = ContactListMembership.objects.current().filter(list__in=readable, missing_since=None)
    doubtful = sorted({*contacts} - {*seen.filter(contact__in=contacts).values_list("contact", flat=True)})
    refresh(doubtful[:MOST_DOUBTS], mailjet=mailjet, now=now)
    Contact.objects.filter(pk__in=contacts).update(looked_up_at=now)


def _last_said(contacts: Sequence[int], *, now: datetime) -> datetime:
    """When one of them last opted out or complained, as far as is known here; at most now."""
    told = Contact.objects.filter(pk__in=contacts)
    said = told.aggregate(out=Max("opted_out_at"), complained=Max("complained_at")).values()
    return max((min(moment, now) for moment in said if moment is not None), default=now)


def _is_readable(contact_list: ContactList, *, age: timedelta, mailjet: Mailjet, now: datetime) -> bool:
    """Read the list, where its last reading is older. Whether what Mailjet said of it makes sense."""
    try:
        mirror.refresh_stale([contact_list], mailjet=mailjet, now=now, members=age, contacts=A_DAY)
    except MailjetAnswerInvalid as invalid:
        log.warning("list not read", extra={"list": contact_list.mailjet_id, "why": str(invalid)})
        return False
    return True


def refresh(contacts: Iterable[int], *, mailjet: Mailjet, now: datetime) -> None:
    """Read the lists that each of these contacts is on. Raises MailjetError; each is whole by itself.

    A reading during which an operation of ours took effect on the contact may be older than that: it is
    made again. An opt-out seen here is remembered as any other (P2).
    """
    for contact_id in contacts:
        while not _refreshed(contact_id, mailjet=mailjet, now=now):
            pass


def _refreshed(contact_id: int, *, mailjet: Mailjet, now: datetime) -> bool:
    before = _effects_on(contact_id)
    found = mailjet.lists_of_contact(contact_id) or []  # None: Mailjet does not know the contact any more
    reading = {membership.list_id: membership for membership in found}
    with transaction.atomic():
        lists = list(ContactList.objects.select_for_update(no_key=True).order_by("pk"))
        if _effects_on(contact_id) != before:
            return False
        _keep(contact_id, reading, lists=lists, now=now)
    return True


def _effects_on(contact_id: int) -> int:
    return ListOperation.objects.filter(contact=contact_id, applied_at__isnull=False).count()


def _keep(contact_id: int, reading: Reading, *, lists: Sequence[ContactList], now: datetime) -> None:
    rows = {row.list_id: row for row in ContactListMembership.objects.current().filter(contact_id=contact_id)}
    looked_up_at = Contact.objects.get(pk=contact_id).looked_up_at
    for contact_list in lists:
        row, seen = rows.get(contact_list.pk), reading.get(contact_list.mailjet_id)
        if seen is not None and seen.unsubscribed:
            seeing.note_opt_outs(contact_list, [contact_id], now=now)
        if row is None and seen is not None:
            _begin(contact_id, contact_list, seen, now=now)
        elif row is not None and seen is None:
            row.until, row.ended_by = max(now, row.since), Change.PERSON
            if row.missing_since is None:
                row.last_seen_at = max(filter(None, (row.since, contact_list.read_at, looked_up_at)))
            row.save(update_fields=["until", "ended_by", "last_seen_at"])
        elif row is not None and seen is not None:
            _correct(row, seen)
    Contact.objects.filter(pk=contact_id).update(looked_up_at=now)


def _begin(contact_id: int, contact_list: ContactList, seen: ContactMembership, *, now: datetime) -> None:
    """Seen here for the first time: the contact joins the list's tail."""
    ContactListMembership.objects.create(
        contact_id=contact_id,
        list=contact_list,
        since=seen.subscribed_at or now,
        began_by=Change.FIRST_SIGHT if contact_list.read_at is None else Change.PERSON,
        unsubscribed=seen.unsubscribed,
        rank=mirror.next_rank(contact_list),
    )


def _correct(row: ContactListMembership, seen: ContactMembership) -> None:
    if (row.unsubscribed, row.missing_since) != (seen.unsubscribed, None):
        row.unsubscribed, row.missing_since = seen.unsubscribed, None
        row.save(update_fields=["unsubscribed", "missing_since"])
