"""The late-evidence run: what became known of a campaign after its maintenance is judged once more.

Mailjet retries soft failures for about three days, so 24 hours after a send only what is final is judged.
Outcomes are read again daily; at day five, or before the list's next freeze, whatever came since gets a run
of its own. It judges and suppresses like the first one, and neither places nor moves anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from integrations.mailjet import Mailjet
from listmanagement.domain import cycle
from listmanagement.domain.standing import FINAL_AFTER
from listmanagement.models import (
    FINISHED,
    CampaignSchedule,
    ListMaintenanceLog,
    RunKind,
    RunStage,
    RunStatus,
    Step,
    Trigger,
)
from listmanagement.workflows import evidence, permission
from listmanagement.workflows.maintenance import analysis, post_campaign
from listmanagement.workflows.running import starting
from listmanagement.workflows.running.steps import Hand, Next, StepFunction

BEFORE_FREEZE = timedelta(hours=3)
"""So much before its list's next freeze a campaign is judged for the last time: the run has to be done then,
and somebody may have to decide."""

READ_AGAIN_AFTER = timedelta(hours=1)
"""Outcomes read longer ago than this are read once more before it is said that nothing came since."""


def start_if_needed(
    campaign: CampaignSchedule, *, mailjet: Mailjet, now: datetime
) -> ListMaintenanceLog | None:
    """The campaign's late-evidence run, made now; None where its time has not come or nothing came since.

    It follows the latest maintenance of the campaign, on the same stage, when that has ended, and is made
    once. Raises MailjetError: nothing was started then, and the next look tries again.
    """
    first = _maintenance(campaign)
    if first is None or now < due_at(campaign, at=now) or _later_run(first) is not None:
        return None
    if campaign.recipients_fetched_at is None or campaign.recipients_fetched_at < now - READ_AGAIN_AFTER:
        evidence.fetch(campaign, mailjet=mailjet, now=now)
    if not _failed_since(first, campaign):
        return None
    return starting.create(
        _key(first),
        kind=RunKind.LATE_EVIDENCE,
        stage=RunStage(first.stage),
        trigger=Trigger.SCHEDULE,
        by=None,
        now=now,
        campaign=campaign,
    )


def due_at(campaign: CampaignSchedule, *, at: datetime) -> datetime:
    """When what came late is judged: five days after the send, or before the list's next freeze."""
    assert campaign.ended_at is not None
    final_at: datetime = campaign.ended_at + FINAL_AFTER
    freezes_at = cycle.next_freeze(permission.rounds_of(campaign.list), at=at)
    return final_at if freezes_at is None else min(final_at, freezes_at - BEFORE_FREEZE)


def _maintenance(campaign: CampaignSchedule) -> ListMaintenanceLog | None:
    """The maintenance that judged the campaign last, if it has ended and judged anything."""
    runs = campaign.runs.filter(kind=RunKind.POST_CAMPAIGN).exclude(status=RunStatus.FAILED)
    runs = runs.exclude(status=RunStatus.PARTIAL, agent_calls=None)  # it ended before it judged anything
    latest = runs.order_by("-pk").first()
    return latest if latest is not None and latest.status in FINISHED else None


def _key(first: ListMaintenanceLog) -> str:
    return f"{RunKind.LATE_EVIDENCE}:{first.campaign_id}:{first.stage}"


def _later_run(first: ListMaintenanceLog) -> ListMaintenanceLog | None:
    return ListMaintenanceLog.objects.filter(idempotency_key=_key(first)).first()


def _failed_since(first: ListMaintenanceLog, campaign: CampaignSchedule) -> bool:
    """Whether more failed by now than that run has judged."""
    now = analysis.figures_of(campaign)
    return any(now[of] > first.counts[of] for of in ("bounced", "not_attempted", "complained"))


def judge(hand: Hand) -> Next:
    """3. As in maintenance; nobody is placed or moved afterwards."""
    with hand.lease.writing() as run:
        run.counts = {**run.counts, "moves_deferred": 0}
        run.save(update_fields=["counts"])
    return post_campaign.judge(hand)


STEPS: Mapping[Step, StepFunction] = {
    Step.CAPTURE_BEFORE: post_campaign.capture_before,
    Step.FETCH_OUTCOMES: post_campaign.fetch_outcomes,
    Step.JUDGE: judge,
    Step.DECIDE: post_campaign.decide,
    Step.SUPPRESS: post_campaign.suppress,
    Step.CAPTURE_AFTER: post_campaign.capture_after,
    Step.REPORT: post_campaign.report,
}
