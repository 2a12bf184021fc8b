"""Starts what a campaign asks for when its time has come: its maintenance, and the late-evidence run."""

from __future__ import annotations

import logging
from datetime import datetime

from integrations.mailjet import MailjetError
from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import CampaignKind, CampaignSchedule, ContactList, ListMaintenanceLog, Trigger
from listmanagement.outside import Outside
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.maintenance import late_evidence, post_campaign

log = logging.getLogger("evenkeel.schedule")


def start_due(outside: Outside, now: datetime) -> str:
    """Start the runs that are due, one campaign's trouble keeping no other's, and say which.

    Of each campaign list its latest send counts: what failed before that one is judged with it. Raises the
    last MailjetError when all campaigns have had their turn.
    """
    started: list[ListMaintenanceLog] = []
    refused: MailjetError | None = None
    for campaign in latest_sends(ended_before=now - outside.configuration.maintenance_delay):
        try:
            started += _start(campaign, outside=outside, now=now)
        except NotAllowed as refusal:
            log.info("not started", extra={"campaign": campaign.pk, "why": str(refusal)})
        except MailjetError as error:
            log.warning("not started", extra={"campaign": campaign.pk, "why": str(error)})
            refused = error
    if refused is not None:
        raise refused
    if not started:
        return "no run was due"
    return ", ".join(f"run {run.pk} started ({run.kind} of campaign {run.campaign_id})" for run in started)


def latest_sends(*, ended_before: datetime) -> list[CampaignSchedule]:
    """The last send of each campaign list that is over for so long. Tests are not judged: few are sent to."""
    sent = CampaignSchedule.objects.filter(status=RoundStatus.SENT, ended_at__lte=ended_before)
    sends = sent.exclude(kind=CampaignKind.TEST).select_related("list")
    latest = (
        sends.filter(list=each).order_by("-started_at", "-pk").first()
        for each in ContactList.objects.rotation()
    )
    return [campaign for campaign in latest if campaign is not None]


def _start(campaign: CampaignSchedule, *, outside: Outside, now: datetime) -> list[ListMaintenanceLog]:
    known = set(campaign.runs.values_list("pk", flat=True))
    run = post_campaign.start(
        campaign.pk, trigger=Trigger.SCHEDULE, by=None, configuration=outside.configuration, now=now
    )
    late = late_evidence.start_if_needed(campaign, mailjet=outside.mailjet, now=now)
    return [each for each in (run, late) if each is not None and each.pk not in known]
