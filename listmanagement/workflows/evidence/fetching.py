"""Reads what became of a campaign's messages, page by page."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q

from integrations.mailjet import Mailjet
from listmanagement.domain.bounces import Outcome
from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import Bounce, CampaignRecipient, CampaignSchedule, Contact
from listmanagement.workflows.evidence.keeping import keep
from listmanagement.workflows.evidence.observing import of_message

BEFORE_SENDING = timedelta(days=1)  # an early FromTS: Mailjet's default window is today
AGAIN_AFTER = timedelta(days=1)  # what was open then may have ended since


def fetch(campaign: CampaignSchedule, *, mailjet: Mailjet, now: datetime) -> int:
    """Keep the outcome of each of a campaign's messages. Returns how many Mailjet gave."""
    assert campaign.mailjet_campaign_id is not None
    assert campaign.started_at is not None
    count = 0
    for page in mailjet.messages(campaign.mailjet_campaign_id, since=campaign.started_at - BEFORE_SENDING):
        observed = [of_message(message, campaign_id=campaign.pk, now=now) for message in page]
        with transaction.atomic():
            keep(observed, now=now)
        count += len(page)
    older = Q(recipients_fetched_at=None) | Q(recipients_fetched_at__lt=now)
    CampaignSchedule.objects.filter(older, pk=campaign.pk).update(recipients_fetched_at=now)
    _refresh_statistics()
    return count


def _refresh_statistics() -> None:
    """Tell PostgreSQL's planner of the new rows: on what it knew before, judging them can take for ever."""
    with connection.cursor() as cursor:
        for model in (CampaignRecipient, Bounce, Contact):
            cursor.execute(f"analyze {connection.ops.quote_name(model._meta.db_table)}")


def fetch_unseen(*, since: datetime, mailjet: Mailjet, now: datetime) -> None:
    """Fetch every campaign sent after this time whose outcomes were not read since they may have changed.

    That is: not since it ended, or more than a day ago while messages were open. A delivery that nobody
    has read yet takes an older failure back all the same.
    """
    sent = CampaignSchedule.objects.filter(status=RoundStatus.SENT, started_at__gt=since, settled_at=None)
    unseen = Q(recipients_fetched_at=None) | Q(recipients_fetched_at__lt=F("ended_at"))
    still_open = CampaignRecipient.objects.filter(campaign=OuterRef("pk"), outcome=Outcome.OPEN)
    changed_since = Q(recipients_fetched_at__lte=now - AGAIN_AFTER) & Exists(still_open)
    for campaign in sent.filter(unseen | changed_since).order_by("started_at"):
        fetch(campaign, mailjet=mailjet, now=now)
