"""The journal of drafts: a send that must not go out is unscheduled at Mailjet, and scheduled again.

intended → *sending* (claimed and committed before the request) → applied, seen by reading the schedule back |
failed. What a crash leaves in *sending* is looked up; nothing is sent twice blindly. An unscheduling never
starts later than a quarter of an hour before the send, nor while list management is off or paused (P9).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import F, QuerySet

from integrations.mailjet import DraftStatus, MailjetError, MailjetRejected, MailjetUncertain
from listmanagement.domain import validation
from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import (
    CampaignClearance,
    CampaignSchedule,
    CampaignValidation,
    DraftChange,
    DraftOperation,
    DraftStatusHere,
)
from listmanagement.outside import Outside
from listmanagement.workflows import notify, permission
from listmanagement.workflows.by_people import audit

log = logging.getLogger("evenkeel.drafts")

MOST_ATTEMPTS = 3
_DROPPED = (DraftStatus.DELETED, DraftStatus.ARCHIVED, DraftStatus.AX_CANCELLED)
_SENT = (DraftStatus.SENT, DraftStatus.AX_TESTED, DraftStatus.AX_SELECTED)
SURE_AFTER = timedelta(seconds=15)  # what was asked has reached the draft by then, or never will
LOOKED_AT_FOR = timedelta(minutes=5)
"""How long a look lets a draft be unscheduled."""

MENDED = "what blocked it is mended, as a later look found"
HEALS = "what blocks it now may be put right by itself: it is looked at again"
SWITCHED_OFF = "PRE_CAMPAIGN_ENFORCE is false by now"
GIVEN_UP = (MENDED, HEALS, SWITCHED_OFF)
"""Why we left a draft alone that may have to be unscheduled all the same later."""
SOON = timedelta(minutes=1)  # a draft is not scheduled for a time nearer than this


class CameUp(Exception):
    """Something keeps the request from being made now that did not a minute ago."""


@dataclass(frozen=True)
class _At:
    """What making a change needs."""

    outside: Outside
    clock: Callable[[], datetime]
    just_looked: Collection[int] = ()
    """Operations for which the send was looked at a moment ago, however long that look took."""

    @property
    def now(self) -> datetime:
        return self.clock()


def intend_unscheduling(look: CampaignValidation, *, now: datetime) -> DraftOperation:
    """Journal that the draft is to lose its schedule. Inside the caller's transaction."""
    campaign = look.campaign
    assert campaign.mailjet_draft_id is not None
    operation = DraftOperation.objects.create(
        campaign=campaign,
        change=DraftChange.UNSCHEDULE,
        draft_id=campaign.mailjet_draft_id,
        sends_at=look.sends_at,
        created_at=now,
        validation=look,
    )
    audit.note(campaign, "to be unscheduled", by=None, now=now, look=look.pk, operation=operation.pk)
    return operation


def found_again(operation: DraftOperation, look: CampaignValidation) -> None:
    """What blocks was looked at once more, and does still: its cause is what this look found."""
    intended = DraftOperation.objects.filter(pk=operation.pk, status=DraftStatusHere.INTENDED)
    intended.update(validation=look)


def leave(operation: DraftOperation, *, why: str, outside: Outside, now: datetime) -> None:
    """It need not be, or not yet: leave the draft as it is, where nothing is being asked of Mailjet."""
    if DraftOperation.objects.filter(pk=operation.pk, status=DraftStatusHere.INTENDED).exists():
        _fail(operation, _At(outside, lambda: now), why=why)


def intend_scheduling(clearance: CampaignClearance, *, sends_at: datetime, now: datetime) -> DraftOperation:
    """Journal that the draft is to have its old time again. Inside the caller's transaction."""
    campaign = clearance.campaign
    assert campaign.mailjet_draft_id is not None
    return DraftOperation.objects.create(
        campaign=campaign,
        change=DraftChange.SCHEDULE,
        draft_id=campaign.mailjet_draft_id,
        sends_at=sends_at,
        created_at=now,
        clearance=clearance,
    )


def drive(
    *, outside: Outside, clock: Callable[[], datetime], just_looked: Collection[int | None] = ()
) -> int:
    """Take every unsettled change as far as it goes now. Returns how many there were.

    `just_looked` are those for which somebody who keeps watch has looked a moment ago.
    What Mailjet does not answer is tried again at the next call; one draft's trouble keeps no other waiting.
    """
    at = _At(outside, clock, [pk for pk in just_looked if pk is not None])
    unsettled = list(DraftOperation.objects.unsettled().select_related("campaign", "campaign__list"))
    for operation in unsettled:
        try:
            _advance(operation, at)
        except CameUp as came_up:
            _take_back(operation)
            log.warning("draft left alone", extra={"operation": operation.pk, "why": str(came_up)})
        except MailjetError as error:
            log.warning("draft not changed yet", extra={"operation": operation.pk, "why": str(error)})
    return len(unsettled)


def _advance(operation: DraftOperation, at: _At) -> None:
    if operation.status == DraftStatusHere.SENDING:
        assert operation.sending_at is not None
        if at.now >= operation.sending_at + SURE_AFTER:
            _see(operation, at, why="Mailjet did not do what was asked")
        return
    if (too_late := _too_late(operation, now=at.now)) is not None:
        _fail(operation, at, why=too_late)
        return
    if (needless := _needless(operation, at)) is not None:
        _fail(operation, at, why=needless)
        return
    if _is_outdated(operation, at):
        return  # whoever keeps watch looks again
    if permission.why_off(enabled=at.outside.configuration.enabled) is not None:
        return  # asked again until it is too late, which is told
    if (otherwise := _not_as_known(operation, at)) is not None:
        _fail(operation, at, why=otherwise)
        return
    if DraftOperation.objects.claim_for_sending(operation.pk, at=at.now):
        operation.refresh_from_db(fields=["status", "attempt", "sending_at"])
        _make(operation, at)


def _too_late(operation: DraftOperation, *, now: datetime) -> str | None:
    if operation.change == DraftChange.SCHEDULE:
        return "its time has passed: schedule it at Mailjet for another" if now > _latest(operation) else None
    if now <= _latest(operation):
        return None
    return "less than a quarter of an hour is left before the send: unschedule it at Mailjet by hand"


def _needless(operation: DraftOperation, at: _At) -> str | None:
    """Why it is not to be unscheduled any more; None where it is."""
    if operation.change == DraftChange.SCHEDULE:
        return None
    campaign = operation.campaign
    if campaign.scheduled_at is not None and campaign.scheduled_at != operation.sends_at:
        return f"somebody moved it to {campaign.scheduled_at:%d %B %H:%M} UTC before we did anything"
    if not at.outside.configuration.pre_campaign_enforce:
        return SWITCHED_OFF
    last = CampaignValidation.objects.of(operation.campaign).first()
    return MENDED if last is not None and last.verdict != validation.Verdict.BLOCK else None


def _is_outdated(operation: DraftOperation, at: _At) -> bool:
    """Whether what blocks may be mended meanwhile: nobody has looked for some minutes."""
    last = CampaignValidation.objects.of(operation.campaign).first()
    is_old = last is not None and last.at < at.now - LOOKED_AT_FOR and operation.pk not in at.just_looked
    return operation.change == DraftChange.UNSCHEDULE and is_old


def _latest(operation: DraftOperation) -> datetime:
    if operation.change == DraftChange.SCHEDULE:
        return operation.sends_at - SOON
    return operation.sends_at - validation.LAST_UNSCHEDULING


def _not_as_known(operation: DraftOperation, at: _At) -> str | None:
    """Why the draft is not what the change was meant for any more; None where it is. Raises MailjetError."""
    stands_for = at.outside.mailjet.scheduled_at(operation.draft_id)
    if operation.change == DraftChange.UNSCHEDULE:
        if stands_for is None:
            return "somebody had taken its schedule away at Mailjet, or it was sent, before we did"
        if stands_for != operation.sends_at:
            return f"somebody moved it to {stands_for:%d %B %H:%M} UTC before we did anything"
    elif stands_for not in (None, operation.sends_at):
        assert stands_for is not None
        return f"somebody has scheduled it for {stands_for:%d %B %H:%M} UTC, which stands"
    return None


def _make(operation: DraftOperation, at: _At) -> None:
    """Ask Mailjet, then see. Raises CameUp, with nothing sent, and MailjetError where it did not answer."""
    mailjet, check = at.outside.mailjet, partial(_check_still_may, operation, at)
    try:
        if operation.change == DraftChange.UNSCHEDULE:
            mailjet.unschedule(operation.draft_id, before_send=check)
        else:
            mailjet.schedule(operation.draft_id, at=operation.sends_at, before_send=check)
    except MailjetUncertain as lost:
        log.warning("answer lost", extra={"operation": operation.pk, "why": str(lost)})
    except MailjetRejected as refusal:
        _see(operation, at, why=str(refusal))
    except MailjetError:
        _take_back(operation)
        raise
    else:
        _see(operation, at, why="Mailjet did not do what was asked")


def _check_still_may(operation: DraftOperation, at: _At) -> None:
    """The budget, or a pause of this process, may have had it wait. Raise CameUp where it must not go.

    Somebody else may have looked it up meanwhile, and a person decided on what they found.
    """
    if not _ours(operation).exists():
        raise CameUp("it was gone on with elsewhere")
    off = permission.why_off(enabled=at.outside.configuration.enabled)
    why = _too_late(operation, now=at.now) or off or _needless(operation, at)
    if why is not None:
        raise CameUp(why)
    if _is_outdated(operation, at):
        raise CameUp("it was looked at some time ago")


def _take_back(operation: DraftOperation) -> None:
    """Mailjet has not had the request, so this was no attempt."""
    never = {"status": DraftStatusHere.INTENDED, "attempt": F("attempt") - 1, "sending_at": None}
    _ours(operation).update(**never)


def _ours(operation: DraftOperation) -> QuerySet[DraftOperation]:
    """The row, while it stands as this process has claimed it."""
    claimed = {"status": DraftStatusHere.SENDING, "attempt": operation.attempt}
    return DraftOperation.objects.filter(pk=operation.pk, **claimed)


def _see(operation: DraftOperation, at: _At, *, why: str) -> None:
    """Read it back, and settle by it: what was sent has no schedule either. Raises MailjetError."""
    mailjet = at.outside.mailjet
    stands_for, draft = mailjet.scheduled_at(operation.draft_id), mailjet.draft(operation.draft_id)
    stands_as = DraftStatus.DELETED if draft is None else draft.status
    if operation.change == DraftChange.UNSCHEDULE:
        is_done = stands_for is None and stands_as is DraftStatus.DRAFT
    else:
        is_done = stands_for == operation.sends_at or stands_as in _SENT
    if is_done:
        _apply(operation, at)
    elif stands_as in _SENT:
        _fail(operation, at, why="Mailjet sent it before")
    elif stands_as in _DROPPED:
        _fail(operation, at, why="somebody deleted or archived its draft at Mailjet before")
    elif operation.attempt >= MOST_ATTEMPTS:
        _fail(operation, at, why=f"{why}, {operation.attempt} times")
    else:
        DraftOperation.objects.filter(pk=operation.pk, status=DraftStatusHere.SENDING).update(
            status=DraftStatusHere.INTENDED, error=why
        )


@transaction.atomic
def _apply(operation: DraftOperation, at: _At) -> None:
    """It is seen to be so: note it on the campaign, unless it was sent since, with the cause, and tell."""
    if not _settle(operation, DraftStatusHere.APPLIED, error="", now=at.now):
        return
    campaign = CampaignSchedule.objects.select_for_update(of=("self",)).get(pk=operation.campaign_id)
    sends_at = campaign.scheduled_at
    if operation.change == DraftChange.UNSCHEDULE:
        status, why = RoundStatus.FAILED, cause(operation)
        words = f"was {why}"
    else:
        status, why, sends_at = RoundStatus.SCHEDULED, "", operation.sends_at
        words = f"is scheduled again for {operation.sends_at:%d %B %H:%M} UTC, as a reviewer said."
    if campaign.started_at is None:
        campaign.status, campaign.scheduled_at, campaign.cause = status, sends_at, why
        campaign.save(update_fields=["status", "scheduled_at", "cause"])
    audit.note(campaign, f"{operation.change}d", by=None, now=at.now, operation=operation.pk)
    notify.draft_changed(operation, words=words, site_url=at.outside.configuration.site_url, now=at.now)


def cause(operation: DraftOperation) -> str:
    """Why a send was blocked, as its page shows it."""
    assert operation.validation is not None
    findings = operation.validation.findings.filter(severity=validation.Severity.BLOCKING, cleared=False)
    found = " ".join(findings.values_list("words", flat=True))
    return (
        f"unscheduled by Evenkeel, from {operation.sends_at:%d %B %Y %H:%M} UTC: {found} "
        "A reviewer may send it anyway; else mend it and schedule it at Mailjet."
    )


@transaction.atomic
def _fail(operation: DraftOperation, at: _At, *, why: str) -> None:
    if _settle(operation, DraftStatusHere.FAILED, error=why, now=at.now):
        words = f"is not {operation.change}d: {why}."
        audit.note(operation.campaign, f"not {operation.change}d", by=None, now=at.now, why=why)
        notify.draft_changed(operation, words=words, site_url=at.outside.configuration.site_url, now=at.now)


def _settle(operation: DraftOperation, status: DraftStatusHere, *, error: str, now: datetime) -> bool:
    """Give it its end, once, where it stands as it was read: another process may have gone on with it."""
    as_read = {"status": operation.status, "attempt": operation.attempt}
    won = DraftOperation.objects.unsettled().filter(pk=operation.pk, **as_read)
    if not won.update(status=status, error=error, settled_at=now):
        return False
    operation.status = status
    return True


def give_up_intended(campaign: CampaignSchedule, *, why: str, now: datetime) -> bool:
    """Leave the draft as it is, where nothing was asked of Mailjet yet. Whether nothing is on its way now."""
    operations = DraftOperation.objects.unsettled().filter(campaign=campaign)
    intended = operations.order_by().filter(status=DraftStatusHere.INTENDED, attempt=0)
    intended.update(status=DraftStatusHere.FAILED, error=why, settled_at=now)
    return not operations.exists()


def unscheduled(campaign: CampaignSchedule) -> DraftOperation | None:
    """The unscheduling of ours by which this send stands still; None where there is none.

    One after which we scheduled it again is over: whoever takes that schedule away is somebody else.
    """
    if campaign.scheduled_at is None:
        return None
    made = campaign.draft_operations.filter(
        sends_at=campaign.scheduled_at, status__in=[DraftStatusHere.SENDING, DraftStatusHere.APPLIED]
    )
    last = made.order_by("-pk").first()
    return last if last is not None and last.change == DraftChange.UNSCHEDULE else None
