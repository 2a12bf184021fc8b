"""Lifts suppressions: who, when and why stays in the history, and the evidence they rested on is spent."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.contrib.auth.models import User

from listmanagement.models import Bounce, ContactSuppressionHistory, SuppressionKind


def lift(
    contacts: Collection[int], *, decided_since: datetime, by: User, why: str, now: datetime
) -> list[int]:
    """Lift what stood against these contacts when a person was asked. Returns whose suppression it lifted.

    Inside the caller's transaction. A complaint's suppression is not lifted: no decision of this kind is
    about it. Nothing changes at Mailjet here, and Mailjet may go on refusing the address.
    """
    standing = ContactSuppressionHistory.objects.standing().filter(
        contact__in=contacts, at__lte=decided_since
    )
    lifted = standing.exclude(kind=SuppressionKind.CONSENT)
    ids = sorted(lifted.values_list("contact_id", flat=True))
    lifted.update(lifted_at=now, lifted_by=by, lifted_why=why)
    evidence = Bounce.objects.filter(recipient__contact__in=ids, spent_at=None, at__lte=now)
    evidence.update(spent_at=now)
    return ids
