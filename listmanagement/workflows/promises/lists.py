"""P2, P3 and P4: consent, the master list, and one place for everybody, as Mailjet shows them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from django.db.models import F, Q

from listmanagement.domain.consent import BROKEN_AFTER
from listmanagement.models import (
    Change,
    Contact,
    ContactList,
    ContactListMembership,
    ListOperation,
    OperationBatch,
    OperationStatus,
    Role,
)
from listmanagement.workflows import consent_due
from listmanagement.workflows.consent_due import Due
from listmanagement.workflows.promises.journal import about_batches
from listmanagement.workflows.promises.shown import Shown
from listmanagement.workflows.promises.verdicts import (
    Name,
    Objection,
    Promise,
    notes,
    violations,
)

AT_ONCE = 5000
LONG_AGO = datetime.min.replace(tzinfo=UTC)
BUSY = "being changed right now, so not judged"

Places = Mapping[tuple[int, int], ContactListMembership]
"""Current rows of the mirror by contact and list."""


def _places(contacts: Collection[int]) -> Places:
    ids = sorted(contacts)
    return {
        (row.contact_id, row.list_id): row
        for start in range(0, len(ids), AT_ONCE)
        for row in ContactListMembership.objects.current()
        .filter(contact__in=ids[start : start + AT_ONCE])
        .select_related("contact")
    }


# --- P2 Consent --------------------------------------------------------------------------------------

NOT_OURS = (
    "complained or excluded, and subscribed where nothing of ours put them since; they count in no size"
)
NOT_APPLIED = Objection(
    "opted out or complained more than a quarter of an hour ago, which is not applied",
    "Read what the consent run says of them, and take them off their campaign lists at Mailjet by hand.",
)
UNSUBSCRIBE = (
    "Unsubscribe them on that list at Mailjet before its next send, and find out who subscribed them."
)


def check_consent(shown: Shown, *, busy: Collection[int], kept: str | None, now: datetime) -> Promise:
    """Nobody who opted out is subscribed on a campaign list; nobody barred is where we put them.

    What was said lately is about to be applied: it is noted, for a quarter of an hour, or while something
    keeps it (`kept`, in words).
    """
    barred = _barred(shown)
    subscribed = shown.subscribed()
    meant = {key: lists for key, lists in subscribed.items() if key in barred and key not in busy}
    rows = _places(meant)
    due = {key: each for key, each in consent_due.everything().items() if key not in busy}
    pending = consent_due.known_since(due.keys() - _subscribed_by_us_since(due), due=due)
    late = {key for key, since in pending.items() if kept is None and since <= now - BROKEN_AFTER}
    found = {
        key: _resubscribed(key, lists, barred[key], rows=rows)
        for key, lists in meant.items()
        if key not in pending
    }
    broken = {key: objection for key, objection in found.items() if objection is not None}
    return Promise(
        Name.CONSENT,
        checked=len(barred),
        broken=violations([*broken.items(), *((key, NOT_APPLIED) for key in late)]),
        noted=notes(
            (found.keys() - broken.keys(), NOT_OURS),
            ({key for key in subscribed if key in barred and key in busy}, BUSY),
            (pending.keys() - late, _not_applied_yet(pending, kept=kept)),
        ),
    )


def _subscribed_by_us_since(due: Mapping[int, Due]) -> set[int]:
    """Whom an operation of ours subscribed after they had opted out or complained: no wait excuses that."""
    rows = ContactListMembership.objects.active().filter(
        contact__in=list(due), list__role=Role.CAMPAIGN, began_by=Change.OPERATION
    )
    said = Q(since__gt=F("contact__opted_out_at")) | Q(since__gt=F("contact__complained_at"))
    return set(rows.filter(said).values_list("contact_id", flat=True))


def _not_applied_yet(pending: Mapping[int, datetime], *, kept: str | None) -> str:
    oldest = f", the oldest since {min(pending.values()):%d %B %H:%M} UTC" if pending else ""
    return f"opted out or complained, not applied yet{oldest}{f': {kept}' if kept else ''}"


OPTED_OUT, COMPLAINED, EXCLUDED = "opted out", "complained", "excluded from campaigns"


def _barred(shown: Shown) -> dict[int, str]:
    """Everybody who may not be mailed for consent's sake, and why: as remembered and as Mailjet shows."""
    excluded = Contact.objects.filter(excluded=True).values_list("pk", flat=True)
    complained = Contact.objects.filter(complained_at__isnull=False).values_list("pk", flat=True)
    opted_out = Contact.objects.filter(opted_out_at__isnull=False).values_list("pk", flat=True)
    unsubscribed = ContactListMembership.objects.current().filter(unsubscribed=True)
    return {
        **dict.fromkeys(excluded, EXCLUDED),
        **dict.fromkeys(complained, COMPLAINED),
        **dict.fromkeys(unsubscribed.values_list("contact_id", flat=True), OPTED_OUT),
        **dict.fromkeys(shown.opted_out(), OPTED_OUT),
        **dict.fromkeys(opted_out, OPTED_OUT),
    }


def _resubscribed(contact_id: int, lists: Sequence[int], reason: str, *, rows: Places) -> Objection | None:
    known = [row for each in lists if (row := rows.get((contact_id, each))) is not None]
    by_us = [row for row in known if row.began_by == Change.OPERATION]
    if any(reason != EXCLUDED or not _is_excluded_since(row) for row in by_us):
        return Objection(f"{reason}, yet subscribed on a list where our operation put them", UNSUBSCRIBE)
    if any(row.unsubscribed for row in known):
        return Objection(f"{reason}, and subscribed again on a list where they had unsubscribed", UNSUBSCRIBE)
    if reason == OPTED_OUT:
        return Objection("opted out, yet subscribed on a campaign list", UNSUBSCRIBE)
    return None


def _is_excluded_since(row: ContactListMembership) -> bool:
    """Whether they were first seen excluded after our operation had put them there, or was on its way."""
    excluded_since, operation = row.contact.excluded_since, row.began_with
    asked_at = operation.batch.sending_at if operation is not None else None
    return excluded_since is not None and (asked_at or row.since) < excluded_since


# --- P3 Master ---------------------------------------------------------------------------------------

TARGETED = "Stop list management (LIST_MANAGEMENT_ENABLED=false), compare these contacts at Mailjet by hand."
SPILLED = Objection(
    "changed on the master list after an operation of ours on them was sent",
    "Compare the operation's job at Mailjet with its journal, and repair the master list there by hand.",
)


def check_master(shown: Shown) -> Promise:
    """No operation targets the master list; where it differs from the mirror, people changed it."""
    members = shown.of(shown.master)
    rows = ContactListMembership.objects.current().filter(list=shown.master)
    mirror = dict(rows.values_list("contact_id", "unsubscribed"))
    gone, joined = mirror.keys() - members.keys(), members.keys() - mirror.keys()
    stayed = mirror.keys() & members.keys()
    left = {key for key in stayed if members[key].unsubscribed and not mirror[key]}
    returned = {key for key in stayed if mirror[key] and not members[key].unsubscribed}
    possible = _sent_since(shown.master)
    ours = (gone | joined | returned) & possible
    named = OperationBatch.objects.filter(changes__list=shown.master)
    targeted = about_batches(named, "of the journal name the master list", TARGETED)
    return Promise(
        Name.MASTER,
        checked=len(members),
        broken=(*targeted, *violations((key, SPILLED) for key in ours)),
        noted=notes(
            (gone - ours, "no longer on the master list: people took them off since it was last read"),
            (joined - ours, "new on the master list since it was last read"),
            (left, "unsubscribed on the master list since it was last read"),
            (returned - ours, "subscribed on the master list again since it was last read, by people"),
        ),
    )


def _sent_since(master: ContactList) -> set[int]:
    """Contacts that an operation of ours may have touched after the mirror last read the master list."""
    sent = ListOperation.objects.exclude(status=OperationStatus.DROPPED).filter(
        batch__sending_at__isnull=False
    )
    if master.read_at is not None:
        sent = sent.filter(Q(batch__settled_at=None) | Q(batch__settled_at__gte=master.read_at))
    return set(sent.values_list("contact_id", flat=True))


# --- P4 One place ------------------------------------------------------------------------------------

TWO_LISTS = Objection(
    "subscribed on more than one campaign list, the latest by our operation",
    "Take them off the list that the journal meant them to leave, before either sends.",
)
STILL_LISTED = Objection(
    "on the suppression list and still subscribed on a campaign list, the latest by our operation",
    "Take them off one of the two at Mailjet before the campaign list sends, and read the operation's job.",
)


def check_one_place(shown: Shown, *, busy: Collection[int]) -> Promise:
    """Nobody with two active campaign memberships, nor with one while suppressed, by our doing."""
    subscribed, suppressed = shown.subscribed(), shown.of(shown.suppression)
    doubled = {key for key, lists in subscribed.items() if len(lists) > 1 or key in suppressed}
    judged = doubled - set(busy)
    rows = _places(judged)
    ours = {key for key in judged if _is_latest_ours(key, shown, lists=subscribed[key], rows=rows)}
    found = [(key, STILL_LISTED if key in suppressed else TWO_LISTS) for key in ours]
    return Promise(
        Name.ONE_PLACE,
        checked=len(subscribed),
        broken=violations(found),
        noted=notes(
            (judged - ours, "two places at Mailjet that people gave them: an open item until decided"),
            (doubled & set(busy), BUSY),
        ),
    )


def _is_latest_ours(contact_id: int, shown: Shown, *, lists: Sequence[int], rows: Places) -> bool:
    """Whether the place they came to last, by Mailjet's times, is one where our operation put them."""
    since = {
        each: shown.members[each][contact_id].since or LONG_AGO
        for each in (*lists, shown.suppression.pk)
        if contact_id in shown.members[each]
    }
    latest = [each for each, at in since.items() if at == max(since.values())]
    known = [row for each in latest if (row := rows.get((contact_id, each))) is not None]
    return any(row.began_by == Change.OPERATION for row in known)
