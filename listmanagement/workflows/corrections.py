"""The corrections export: addresses whose domain Mailjet calls mistyped, for who keeps the registrations.

Mailjet does not try such addresses, and Evenkeel does not correct them: whoever typed one is asked, or the
registration is put right where it was made. It holds addresses, so it is for reviewers, and noted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from listmanagement.domain import corrections
from listmanagement.domain.bounces import BounceClass, Outcome
from listmanagement.models import CampaignRecipient
from listmanagement.workflows.by_people import audit, people
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.maintenance.judgement import WELL_KNOWN


@dataclass(frozen=True, slots=True)
class Correction:
    """A mistyped address, and where it was last seen to be one."""

    contact: int
    address: str
    domain: str
    suggestion: str
    """The mailbox provider that was probably meant; empty where none, or several, are near."""
    campaign: int
    at: datetime


@transaction.atomic
def export(*, by: User, now: datetime) -> Sequence[Correction]:
    """Everybody whose last word from Mailjet is a mistyped domain. Raises NotAllowed for who is no reviewer.

    Left out are who said no, and who was reached since.
    """
    if (why := people.why_not_reviewing(by)) is not None:
        raise NotAllowed(why)
    found = [
        Correction(
            contact=message.contact_id,
            address=message.contact.email or "",
            domain=message.contact.domain,
            suggestion=corrections.suggestion(message.contact.domain, known=WELL_KNOWN) or "",
            campaign=message.campaign_id,
            at=message.outcome_at,
        )
        for message in _mistyped().select_related("contact")
    ]
    audit.note(by, "corrections exported", by=by, now=now, contacts=len(found))
    return found


def _mistyped() -> QuerySet[CampaignRecipient]:
    """The last such message of each contact."""
    reached = CampaignRecipient.objects.filter(
        contact=OuterRef("contact"), outcome=Outcome.DELIVERED, outcome_at__gt=OuterRef("outcome_at")
    )
    return (
        CampaignRecipient.objects.filter(
            ~Exists(reached),
            bounce_class=BounceClass.MISTYPED,
            contact__email__isnull=False,
            contact__opted_out_at=None,
            contact__complained_at=None,
        )
        .order_by("contact", "-outcome_at", "-pk")
        .distinct("contact")
    )
