"""Whom a send reached, by its messages: where contacts are changed while it begins, nothing else tells."""

from __future__ import annotations

from datetime import datetime

from django.db.models import F, QuerySet

from integrations.mailjet import Mailjet
from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import CampaignRecipient, CampaignSchedule
from listmanagement.workflows import evidence
from listmanagement.workflows.permission import ASKED_AGAIN_AFTER, NotYet


def reached(
    campaigns: QuerySet[CampaignSchedule], *, mailjet: Mailjet, now: datetime
) -> QuerySet[CampaignRecipient] | NotYet:
    """The messages of these sends; or that one has not ended, so nobody knows yet. Raises MailjetError."""
    under_way = campaigns.filter(status__in=[RoundStatus.SCHEDULED, RoundStatus.SENDING]).first()
    if under_way is not None:
        why = f"{under_way.list.name} is being sent to: whom that reaches is seen when it has ended"
        return NotYet(now + ASKED_AGAIN_AFTER, why)
    sent = campaigns.filter(status=RoundStatus.SENT)
    for campaign in sent.exclude(recipients_fetched_at__gte=F("ended_at")):
        evidence.fetch(campaign, mailjet=mailjet, now=now)
    return CampaignRecipient.objects.filter(campaign__in=campaigns)
