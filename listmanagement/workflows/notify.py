"""What people are told: messages are decided on with the deed, and sent afterwards from the outbox."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from integrations.slack import Message, Posted, Slack, SlackRejected, SlackUnavailable, message
from listmanagement.domain.telling import people
from listmanagement.domain.validation import Finding, Severity, Verdict
from listmanagement.models import (
    CampaignValidation,
    Decision,
    DecisionGroup,
    DecisionStatus,
    DraftOperation,
    ListMaintenanceLog,
    Notification,
    NotificationKind,
    NotificationStatus,
    RunKind,
)

log = logging.getLogger("evenkeel.notify")

GIVEN_UP_AFTER = timedelta(days=7)
LONGEST_PAUSE = timedelta(minutes=15)
MOST_TOLD = 8  # findings in one message; the page shows all
LOST_AFTER = timedelta(minutes=5)  # in *sending* for so long: the process that sent it is gone


# --- Deciding what to tell (inside the caller's transaction) ---------------------------------------------


def decision_needed(decision: Decision, *, site_url: str, now: datetime) -> None:
    """Somebody has to decide. The link opens the decision's page."""
    groups = list(decision.groups.all())
    assert decision.deadline is not None
    told = message(
        text=f"A decision is needed: {decision.title}.",
        header=decision.title,
        sections=[f"• {_without_domain(group)}" for group in groups],
        fields={
            "Confidence": f"{decision.confidence:.2f}, judged by {decision.source}",
            "Decide before": f"{decision.deadline:%d %B %Y %H:%M} UTC",
        },
        context=f"Why a person is asked: {' '.join(decision.reasons)}",
        link_label="Open the decision",
        link_url=f"{site_url}{decision.get_absolute_url()}",
    )
    _put(
        f"decision:{decision.pk}",
        NotificationKind.DECISION_NEEDED,
        decision.run,
        told,
        decision=decision,
        now=now,
    )


def _without_domain(group: DecisionGroup) -> str:
    """A group's line. Slack sees no addresses and no names; a company's domain can be one."""
    return group.title.replace(group.domain, "one domain") if group.domain else group.title


def run_done(run: ListMaintenanceLog, *, site_url: str, now: datetime) -> None:
    """A run ended: its report, without addresses."""
    told = message(
        text=run.report.splitlines()[0],
        header=_about(run),
        sections=[run.report],
        link_label="Open the run",
        link_url=f"{site_url}{run.get_absolute_url()}",
    )
    _put(_report_key(run), NotificationKind.MAINTENANCE_DONE, run, told, now=now)


def is_reported(run: ListMaintenanceLog) -> bool:
    """Whether the run's report was told already, since a person had it continue."""
    return Notification.objects.filter(key=_report_key(run)).exists()


def _report_key(run: ListMaintenanceLog) -> str:
    return f"run:{run.pk}:done" + (f":{run.continued}" if run.continued else "")


def week_told(run: ListMaintenanceLog, *, url: str, now: datetime) -> None:
    """The weekly health check's report."""
    told = message(
        text=run.report.splitlines()[0],
        header="Weekly list health",
        sections=run.report.split("\n\n"),
        link_label="Open the health check",
        link_url=url,
    )
    _put(_report_key(run), NotificationKind.WEEKLY_REPORT, run, told, now=now)


def lists_critical(run: ListMaintenanceLog, *, names: Sequence[str], url: str, now: datetime) -> None:
    """Lists are in a critical state: Mailjet may stop the account at the next send."""
    words = f"In a critical state: {', '.join(names)}. Look before anything is sent to them."
    told = message(
        text=f"Alert: {words}",
        header="A list is in a critical state",
        sections=[words],
        link_label="Open the health check",
        link_url=url,
    )
    _put(f"run:{run.pk}:critical", NotificationKind.ALERT, run, told, now=now)


def does_not_match(run: ListMaintenanceLog, *, words: Sequence[str], now: datetime) -> None:
    """Promises are broken, or counts here and at Mailjet differ."""
    told = message(
        text=f"Alert: Mailjet and Evenkeel do not match: {'; '.join(words)}.",
        header="Mailjet and Evenkeel do not match",
        sections=[f"• {each}" for each in words],
    )
    _put(f"run:{run.pk}:does not match", NotificationKind.ALERT, run, told, now=now)


def outage_over(run: ListMaintenanceLog, *, hold_id: int, refused: int, page: str, now: datetime) -> None:
    """A held domain takes mail again, but Mailjet may not even try: somebody should ask its support."""
    words = (
        f"An outage is over (hold {hold_id}): its contacts stay on their lists. {people(refused)} had a "
        "hard bounce in it, and Mailjet probably goes on refusing them by itself. The page has the list, and "
        "a text for Mailjet's support, which alone can lift that"
    )
    told = message(
        text=f"{words}.",
        header="An outage is over",
        sections=[f"{words}."],
        link_label="Open the hold",
        link_url=page,
    )
    _put(f"hold:{hold_id}:over", NotificationKind.ALERT, run, told, now=now)


def run_failed(
    run: ListMaintenanceLog, *, why: str, left: Sequence[str], site_url: str, now: datetime
) -> None:
    """A run could not go on: why, and what it leaves to be done."""
    about = _about(run)
    told = message(
        text=f"{about} stopped: {why}",
        header=f"{about} stopped",
        sections=[why, *(f"• {each}" for each in left)],
        link_label="Open the run",
        link_url=f"{site_url}{run.get_absolute_url()}",
    )
    _put(f"run:{run.pk}:failed:{now.isoformat()}", NotificationKind.MAINTENANCE_FAILED, run, told, now=now)


def _about(run: ListMaintenanceLog) -> str:
    """A run as a message names it."""
    if run.campaign_id is not None:
        when = "before" if run.kind == RunKind.PRE_CAMPAIGN else "after"
        return f"Maintenance {when} campaign {run.campaign_id}"
    if run.kind == RunKind.RECONCILIATION:
        return "Reconciliation with Mailjet"
    return f"{run.kind.replace('_', ' ').capitalize()} run {run.pk}"


def run_stuck(run: ListMaintenanceLog, *, why: str, now: datetime) -> None:
    """A run has failed at one step again and again. It goes on trying."""
    words = f"Run {run.pk} has not come further at {run.step} for several tries: {why}"
    told = message(text=words, header="A run does not come further", sections=[words])
    _put(f"run:{run.pk}:stuck:{run.step}", NotificationKind.ALERT, run, told, now=now)


def size_fell(run: ListMaintenanceLog, *, words: str, now: datetime) -> None:
    """A list lost more than the journal explains."""
    told = message(
        text=f"Alert: {words}.", header="A list is smaller than the journal explains", sections=[words]
    )
    key = hashlib.sha256(words.encode()).hexdigest()[:16]
    _put(f"run:{run.pk}:fell:{key}", NotificationKind.ALERT, run, told, now=now)


def alert(key: str, *, header: str, words: str, now: datetime) -> None:
    """Somebody should look at something that belongs to no run. One message a key; no addresses, no names."""
    told = message(text=f"Alert: {words}", header=header, sections=[words])
    _put(f"alert:{key}", NotificationKind.ALERT, None, told, now=now)


def looked_at(look: CampaignValidation, *, findings: Sequence[Finding], site_url: str, now: datetime) -> None:
    """What was found before a send, where anything is wrong: an alert where it blocks."""
    blocks = look.verdict == Verdict.BLOCK
    name = f"Campaign {look.campaign_id} to {look.campaign.list}, due {look.sends_at:%d %B %H:%M} UTC"
    said = "should not go out as it is" if blocks else "may go out, with warnings"
    grave = [each for each in findings if each.severity is not Severity.NOTE]
    told = message(
        text=f"{'Alert: ' if blocks else ''}{name}, {said}.",
        header=f"Before campaign {look.campaign_id}: {look.verdict}",
        sections=[f"{name}, {said}.", *(f"• {each.words} {each.what_to_do}" for each in grave[:MOST_TOLD])],
        link_label="Open the campaign",
        link_url=f"{site_url}{look.campaign.get_absolute_url()}",
    )
    kind = NotificationKind.ALERT if blocks else NotificationKind.PRE_CAMPAIGN
    _put(f"look:{look.pk}", kind, None, told, now=now)


def draft_changed(operation: DraftOperation, *, words: str, site_url: str, now: datetime) -> None:
    """A draft was unscheduled or scheduled again at Mailjet, or could not be."""
    about = f"Campaign {operation.campaign_id}"
    told = message(
        text=f"Alert: {about} {words}",
        header=f"{about}: its draft at Mailjet",
        sections=[f"{about} {words}"],
        link_label="Open the campaign",
        link_url=f"{site_url}{operation.campaign.get_absolute_url()}",
    )
    key = f"draft operation:{operation.pk}:{operation.status}"
    _put(key, NotificationKind.ALERT, None, told, now=now)


def _put(
    key: str,
    kind: NotificationKind,
    run: ListMaintenanceLog | None,
    told: Message,
    *,
    now: datetime,
    decision: Decision | None = None,
) -> None:
    """One message a key: a step that is repeated tells nothing twice."""
    Notification.objects.get_or_create(
        key=key,
        defaults={
            "kind": kind,
            "run": run,
            "decision": decision,
            "text": told.text,
            "blocks": told.blocks,
            "created_at": now,
            "next_at": now,
        },
    )


# --- Sending ---------------------------------------------------------------------------------------------


def deliver_due(*, slack: Slack | None, now: datetime) -> int:
    """Send what waits. Returns how many messages went out. Slack being away, or not set up, loses nothing."""
    if slack is None:
        return 0
    _give_up_lost(now=now)
    sent = 0
    for pk in list(Notification.objects.due(at=now).values_list("pk", flat=True)):
        sent += _deliver(pk, slack=slack, now=now)
    return sent


def _deliver(pk: int, *, slack: Slack, now: datetime) -> bool:
    claimed = Notification.objects.due(at=now).filter(pk=pk)
    if not claimed.update(status=NotificationStatus.SENDING, next_at=now):
        return False
    told = Notification.objects.select_related("run", "decision").get(pk=pk)
    if told.decision is not None and told.decision.status != DecisionStatus.OPEN:
        _give_up(told, why="decided before it could be sent")
        return False
    told.attempts += 1
    try:
        posted = slack.post(
            Message(text=told.text, blocks=told.blocks),
            thread_ts=(told.run.slack_thread or None) if told.run else None,
        )
    except SlackUnavailable as away:
        _try_later(told, away, now=now)
        return False
    except SlackRejected as refusal:
        _give_up(told, why=str(refusal))
        return False
    _note_sent(told, posted, now=now)
    return True


def _note_sent(told: Notification, posted: Posted, *, now: datetime) -> None:
    """The first message of a run is the parent of its thread."""
    told.status, told.sent_at = NotificationStatus.SENT, now
    told.channel, told.ts, told.error = posted.channel or "", posted.ts or "", ""
    told.save(update_fields=["status", "sent_at", "attempts", "channel", "ts", "error"])
    if posted.ts and told.run_id is not None:
        ListMaintenanceLog.objects.filter(pk=told.run_id, slack_thread="").update(
            slack_thread=posted.ts, slack_channel=posted.channel or ""
        )


def _try_later(told: Notification, away: SlackUnavailable, *, now: datetime) -> None:
    """Again after a pause that doubles, for a week. What may have been posted is not posted again,
    but for a question: asked twice is better than never."""
    doubled = away.uncertain and told.kind != NotificationKind.DECISION_NEEDED
    if doubled or now - told.created_at > GIVEN_UP_AFTER:
        _give_up(told, why=str(away))
        return
    pause = min(timedelta(seconds=10) * 2 ** min(told.attempts, 10), LONGEST_PAUSE)
    if away.retry_after is not None:
        pause = max(pause, timedelta(seconds=away.retry_after + 1))
    told.status, told.next_at, told.error = NotificationStatus.PENDING, now + pause, str(away)
    told.save(update_fields=["status", "attempts", "next_at", "error"])


def _give_up(told: Notification, *, why: str) -> None:
    told.status, told.error = NotificationStatus.FAILED, why
    told.save(update_fields=["status", "attempts", "error"])
    log.warning("message not delivered", extra={"notification": told.pk, "why": why})


def _give_up_lost(*, now: datetime) -> None:
    """A message whose sender died may have been posted: a question is asked again, nothing else is."""
    lost = Notification.objects.filter(status=NotificationStatus.SENDING, next_at__lte=now - LOST_AFTER)
    lost.filter(kind=NotificationKind.DECISION_NEEDED).update(status=NotificationStatus.PENDING)
    lost.update(
        status=NotificationStatus.FAILED, error="the process that sent it ended; it may have been posted"
    )
