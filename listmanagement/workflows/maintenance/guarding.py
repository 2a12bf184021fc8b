"""Holds a plan against the guards, on the facts as they are stored now."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from listmanagement.domain import guards
from listmanagement.models import Contact, ContactList, ContactListMembership, Protection, Role
from listmanagement.workflows import permission, rotation


def findings(plan: guards.Proposed, *, at: datetime) -> tuple[guards.Finding, ...]:
    """Every objection to the plan; lists are named by our ids."""
    ids = {each.contact_id for part in (plan.suppressions, plan.placements, plan.moves) for each in part}
    return guards.check_plan(plan, contacts=_contacts(ids, at=at), rotation=_rotation(at=at))


def _rotation(*, at: datetime) -> guards.Rotation:
    return guards.Rotation(
        master_list=ContactList.objects.master().pk,
        campaign_lists=frozenset(ContactList.objects.rotation().values_list("pk", flat=True)),
        between_cycles=rotation.moves_allowed(at=at),
        frozen=frozenset(permission.frozen_lists(at=at)),
    )


def _contacts(ids: Collection[int], *, at: datetime) -> Mapping[int, guards.ContactFacts]:
    lists = _active_lists(ids)
    suppressed = set(_on(Role.SUPPRESSION, ids))
    held = set(Contact.objects.held().filter(pk__in=ids).values_list("pk", flat=True))
    protected = set(Protection.objects.values_list("value", flat=True))
    lately = set(rotation.moved_lately(at=at).filter(contact__in=ids))
    return {
        contact.pk: guards.ContactFacts(
            contact_id=contact.pk,
            lists=frozenset(lists.get(contact.pk, ())),
            opted_out=contact.opted_out_at is not None,
            excluded=contact.excluded,
            complained=contact.complained_at is not None,
            suppressed=contact.pk in suppressed,
            held=contact.pk in held,
            protected=contact.domain in protected or (contact.email or "").lower() in protected,
            moved_recently=contact.pk in lately,
        )
        for contact in Contact.objects.filter(pk__in=ids)
    }


def _active_lists(ids: Collection[int]) -> Mapping[int, list[int]]:
    found: dict[int, list[int]] = {}
    rows = ContactListMembership.objects.active().filter(contact__in=ids, list__role=Role.CAMPAIGN)
    for contact_id, list_id in rows.values_list("contact_id", "list_id"):
        found.setdefault(contact_id, []).append(list_id)
    return found


def _on(role: Role, ids: Collection[int]) -> list[int]:
    rows = ContactListMembership.objects.current().filter(contact__in=ids, list__role=role)
    return list(rows.values_list("contact_id", flat=True))
