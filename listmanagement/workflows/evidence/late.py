"""Outcomes that come late: a campaign is read again daily, and a last time five days after its end."""

from __future__ import annotations

import logging
from datetime import datetime

from integrations.mailjet import Mailjet, MailjetError
from listmanagement.domain.cycle import RoundStatus
from listmanagement.domain.standing import is_final, read_again_at
from listmanagement.models import CampaignSchedule
from listmanagement.workflows.evidence.fetching import fetch

log = logging.getLogger("evenkeel.evidence")

MOST_MESSAGES = 1_000_000
"""At one go. Years of campaigns that are first seen today are read over some hours: the budget is shared."""


def fetch_late(*, mailjet: Mailjet, now: datetime) -> str:
    """Read every unsettled campaign whose next reading is due, and settle those whose outcomes are final.

    Says what it did. What Mailjet refuses of one campaign keeps the others from nothing; it is raised at
    the end.
    """
    read, settled, messages = 0, 0, 0
    refused: MailjetError | None = None
    for campaign in _unsettled():
        try:
            if _is_due(campaign, now=now) and messages < MOST_MESSAGES:
                messages += fetch(campaign, mailjet=mailjet, now=now)
                campaign.refresh_from_db(fields=["recipients_fetched_at"])
                read += 1
        except MailjetError as error:
            if error.retryable:
                raise
            log.warning("campaign not read", extra={"campaign": campaign.pk, "why": str(error)})
            refused = error
        else:
            settled += _settle_if_final(campaign, now=now)
    if refused is not None:
        raise refused
    return f"{read} campaigns read, {settled} settled"


def _unsettled() -> list[CampaignSchedule]:
    """The latest first: what they tell is needed soonest, and Mailjet keeps it for some weeks only."""
    sent = CampaignSchedule.objects.filter(status=RoundStatus.SENT, settled_at=None)
    return list(sent.order_by("-ended_at"))


def _is_due(campaign: CampaignSchedule, *, now: datetime) -> bool:
    assert campaign.ended_at is not None
    ended_at, read_at = campaign.ended_at, campaign.recipients_fetched_at
    return read_again_at(ended_at=ended_at, read_at=read_at) <= now and not is_final(
        ended_at=ended_at, read_at=read_at
    )


def _settle_if_final(campaign: CampaignSchedule, *, now: datetime) -> bool:
    assert campaign.ended_at is not None
    if not is_final(ended_at=campaign.ended_at, read_at=campaign.recipients_fetched_at):
        return False
    still = CampaignSchedule.objects.filter(pk=campaign.pk, status=RoundStatus.SENT, settled_at=None)
    return bool(still.update(settled_at=now))
