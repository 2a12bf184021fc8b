"""People's own list of addresses and domains whose hard bounces wait for a second sign and a review."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Lower

from listmanagement.models import Contact, Protection, ProtectionKind
from listmanagement.workflows.by_people import audit, review
from listmanagement.workflows.by_people.refusals import NotAllowed


def of(contact: Contact) -> QuerySet[Protection]:
    """What protects a contact: its address, its domain."""
    address = Q(kind=ProtectionKind.ADDRESS, value=(contact.email or "").lower())
    return Protection.objects.filter(address | Q(kind=ProtectionKind.DOMAIN, value=contact.domain or ""))


def why_not(by: User) -> str | None:
    """Why this person may not protect, in words; None who may."""
    return review.why_no_reviewer(by, wants_to="protect")


@transaction.atomic
def protect(contact_id: int, *, kind: ProtectionKind, by: User, why: str, now: datetime) -> Protection:
    """Protect a contact's address, or everybody at its domain. What is protected already stays as it is.

    Raises NotAllowed without the role, without a reason, and where the contact has no address any more.
    """
    _check(by=by, why=why)
    column = {ProtectionKind.ADDRESS: Lower("email"), ProtectionKind.DOMAIN: Lower("domain")}[kind]
    value = Contact.objects.filter(pk=contact_id).values_list(column, flat=True).first()
    if not value:
        raise NotAllowed(f"contact {contact_id} has no address any more: protect the one that has it now")
    protection, is_new = Protection.objects.get_or_create(
        kind=kind, value=value, defaults={"by": by, "why": why.strip(), "at": now}
    )
    if is_new:
        audit.note(protection, "protected", by=by, now=now, contact=contact_id, kind=kind.value)
    return protection


@transaction.atomic
def give_up(protection_id: int, *, by: User, why: str, now: datetime) -> None:
    """Protect no more, from now on. Raises NotAllowed as `protect` does; done twice, it is done once."""
    _check(by=by, why=why)
    protection = Protection.objects.select_for_update().filter(pk=protection_id).first()
    if protection is not None:
        audit.note(protection, "protection given up", by=by, now=now, why=why.strip())
        protection.delete()


def _check(*, by: User, why: str) -> None:
    if (refusal := why_not(by)) is not None:
        raise NotAllowed(refusal)
    if not why.strip():
        raise NotAllowed("say why: others read it when they wonder")
