"""One look at a send before it goes out, and a reviewer's word to send it anyway.

Mailjet is asked first; where it does not answer, what is known here is judged, and said to be old.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from integrations.mailjet import Mailjet, MailjetError
from listmanagement.domain import validation
from listmanagement.domain.cycle import RoundStatus
from listmanagement.domain.validation import Check, Finding, Instant, Severity, Verdict
from listmanagement.models import (
    CampaignClearance,
    CampaignSchedule,
    CampaignSync,
    CampaignValidation,
    ContactList,
    ContactListMembership,
    Role,
    ValidationFinding,
)
from listmanagement.outside import Configuration, Outside
from listmanagement.workflows import campaigns, lists, mirror, notify, permission
from listmanagement.workflows.before_sends import send_facts
from listmanagement.workflows.by_people import audit, review
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.campaigns import unscheduling
from listmanagement.workflows.changes import seeing, whereabouts

SHOWN = 20
"""Contact ids shown of a finding. Of what blocks all are kept: a person clears these and no others."""

CAMPAIGNS_KNOWN_FOR = timedelta(minutes=5)
CONTACTS_KNOWN_FOR = timedelta(days=1)  # addresses decide nothing here: presence and opt-outs do


@dataclass(frozen=True)
class Looked:
    """A look at a send, and everything that was found."""

    look: CampaignValidation
    findings: Sequence[Finding]


# --- One look --------------------------------------------------------------------------------------------


def validate(
    campaign_id: int, *, outside: Outside, by: User | None, now: datetime, instant: Instant = Instant.ASKED
) -> Looked:
    """Look at a send now, keep what was found, and tell it where it is a look by itself.

    Raises NotAllowed where the campaign is not one that is still to be sent.
    """
    _to_be_sent(campaign_id, now=now)
    not_asked, members = _refresh(campaign_id, mailjet=outside.mailjet, now=now)
    campaign = _to_be_sent(campaign_id, now=now)
    facts = send_facts.read(
        campaign,
        configuration=outside.configuration,
        has_model=outside.ask is not None,
        members_at_mailjet=members,
        not_asked=not_asked,
        now=now,
    )
    findings = validation.find(facts, at=now)
    with transaction.atomic():
        look = _keep(campaign, findings, size=facts.size, instant=instant, by=by, now=now)
        if instant in validation.BEFORE and look.verdict != Verdict.PASS:
            notify.looked_at(look, findings=findings, site_url=outside.configuration.site_url, now=now)
    return Looked(look, findings)


def _to_be_sent(campaign_id: int, *, now: datetime) -> CampaignSchedule:
    """The campaign, if it is scheduled, or was until it was blocked, for a time to come."""
    campaign = CampaignSchedule.objects.select_related("list", "cycle").filter(pk=campaign_id).first()
    if campaign is None:
        raise NotAllowed(f"campaign {campaign_id} does not exist: `manage.py sync_campaigns` reads new ones")
    if campaign.status not in (RoundStatus.SCHEDULED, RoundStatus.FAILED) or campaign.started_at is not None:
        raise NotAllowed(f"campaign {campaign_id} is {campaign.status}: only what is to be sent is looked at")
    if campaign.scheduled_at is None or campaign.scheduled_at <= now:
        raise NotAllowed(f"campaign {campaign_id} has no time to come: schedule it at Mailjet first")
    return campaign


def _refresh(campaign_id: int, *, mailjet: Mailjet, now: datetime) -> tuple[str, int | None]:
    """Read what is stale. Why Mailjet could not be asked, and how many members it counts on the list."""
    try:
        read_at = CampaignSync.objects.values_list("read_at", flat=True).first()
        if read_at is None or read_at < now - CAMPAIGNS_KNOWN_FOR:
            campaigns.sync(mailjet=mailjet, now=now)
        lists.note_deleted(mailjet=mailjet)
        to = CampaignSchedule.objects.select_related("list").get(pk=campaign_id).list
        known = ContactList.objects.filter(role__in=[Role.CAMPAIGN, Role.SUPPRESSION], is_deleted=False)
        mirror.refresh_stale(known, mailjet=mailjet, now=now, contacts=CONTACTS_KNOWN_FOR)
        _ask_for_blocked(campaign_id, mailjet=mailjet, now=now)
        members = None if to.is_deleted else mailjet.member_count(to.mailjet_id)
    except MailjetError as error:
        return str(error), None
    return "", members


def _ask_for_blocked(campaign_id: int, *, mailjet: Mailjet, now: datetime) -> None:
    """Whom the last look found to block are looked for anew: people mend at Mailjet, and look again."""
    campaign = CampaignSchedule.objects.select_related("list").get(pk=campaign_id)
    last = latest(campaign)
    contacts = {pk for each in (blocking(last) if last is not None else ()) for pk in each.contacts}
    if len(contacts) <= max(whereabouts.FEW, seeing.pages(campaign.list)):
        whereabouts.refresh(sorted(contacts), mailjet=mailjet, now=now)
    else:
        roles = [Role.CAMPAIGN, Role.SUPPRESSION]
        theirs = ContactListMembership.objects.current().filter(contact__in=contacts, list__is_deleted=False)
        on = ContactList.objects.filter(role__in=roles, pk__in=theirs.values("list"))
        mirror.refresh_members({campaign.list, *on}, mailjet=mailjet, now=now)


def _keep(
    campaign: CampaignSchedule,
    findings: Sequence[Finding],
    *,
    size: int,
    instant: Instant,
    by: User | None,
    now: datetime,
) -> CampaignValidation:
    assert campaign.scheduled_at is not None
    look = CampaignValidation.objects.create(
        campaign=campaign,
        list=campaign.list,
        instant=instant,
        sends_at=campaign.scheduled_at,
        at=now,
        verdict=validation.verdict(findings),
        size=size,
        asked_by=by,
    )
    ValidationFinding.objects.bulk_create(
        ValidationFinding(
            validation=look,
            position=n,
            kind=each.check,
            severity=each.severity,
            words=each.words,
            what_to_do=each.what_to_do,
            number=each.number,
            contacts=list(each.contacts if each.severity is Severity.BLOCKING else each.contacts[:SHOWN]),
            subjects=sorted(each.subjects),
            cleared=each.is_cleared,
        )
        for n, each in enumerate(findings, 1)
    )
    return look


def found(row: ValidationFinding) -> Finding:
    """A finding as it was found."""
    return Finding(
        Check(row.kind),
        Severity(row.severity),
        row.words,
        row.what_to_do,
        contacts=tuple(row.contacts),
        number=row.number,
        subjects=frozenset(row.subjects or ()),
        is_cleared=row.cleared,
    )


def latest(campaign: CampaignSchedule) -> CampaignValidation | None:
    """What was found last, of the time that it is scheduled for now and the list that it goes to now."""
    return CampaignValidation.objects.of(campaign).first()


def blocking(look: CampaignValidation) -> list[ValidationFinding]:
    """What the look found to block the send, and nobody had cleared."""
    return [each for each in look.findings.all() if each.severity == Severity.BLOCKING and not each.cleared]


def upcoming(*, now: datetime) -> QuerySet[CampaignSchedule]:
    """Scheduled sends to come, the soonest first."""
    scheduled = CampaignSchedule.objects.to_come(at=now)
    return scheduled.select_related("list", "cycle").order_by("scheduled_at", "pk")


# --- Send anyway -----------------------------------------------------------------------------------------


def why_not_anyway(campaign: CampaignSchedule, *, by: User, now: datetime) -> str | None:
    """Why this person cannot say to send it anyway; None when they can. The button shows exactly then."""
    if (no := review.why_no_reviewer(by)) is not None:
        return no
    if campaign.status not in (RoundStatus.SCHEDULED, RoundStatus.FAILED) or campaign.started_at is not None:
        return f"campaign {campaign.pk} is {campaign.status}: there is nothing to send"
    look = latest(campaign)
    if look is None or look.verdict != Verdict.BLOCK:
        return f"nothing blocks campaign {campaign.pk}, as far as it was looked at"
    if (cleared := CampaignClearance.objects.filter(validation=look).first()) is not None:
        return f"{cleared.by.get_username()} said so already: {cleared.why}"
    return None


def _has_read(campaign: CampaignSchedule, look_id: int, *, of: CampaignValidation) -> bool:
    """Whether the look that was read shows everything that blocks at the last one."""
    read = CampaignValidation.objects.of(campaign).filter(pk=look_id).first()
    if read is None:
        return False
    shown = send_facts.cleared(read.findings.filter(severity=Severity.BLOCKING))
    return all(validation.covers(shown, found(each)) for each in blocking(of))


@transaction.atomic
def send_anyway(
    campaign_id: int, *, look_id: int, by: User, why: str, configuration: Configuration, now: datetime
) -> str:
    """Clear what blocked at this look; have the draft scheduled again where it was unscheduled for that.

    Says in words what follows. What was not known at that look blocks anew. Raises NotAllowed, also where a
    later look found more: nobody clears what they have not read.
    """
    why = why.strip()
    if not why:
        raise NotAllowed("sending it anyway needs a reason: others read it when they wonder")
    campaign = (
        CampaignSchedule.objects.select_for_update(of=("self",))
        .select_related("list")
        .filter(pk=campaign_id)
        .first()
    )
    if campaign is None:
        raise NotAllowed(f"campaign {campaign_id} does not exist")
    if (refusal := why_not_anyway(campaign, by=by, now=now)) is not None:
        raise NotAllowed(refusal)
    look = latest(campaign)
    assert look is not None
    if not campaign.validations.filter(pk=look_id).exists():
        raise NotAllowed(f"there is no look {look_id} at campaign {campaign_id}: the last is look {look.pk}")
    if not _has_read(campaign, look_id, of=look):
        raise NotAllowed(
            f"campaign {campaign_id} was looked at again at {look.at:%H:%M} UTC (look {look.pk}): read what "
            "was found, and say it of that"
        )
    if not unscheduling.give_up_intended(
        campaign, why=f"{by.get_username()} said to send it anyway", now=now
    ):
        raise NotAllowed(f"campaign {campaign_id} is being unscheduled at this moment: try again in a minute")
    unscheduled = unscheduling.unscheduled(campaign)
    can_schedule = unscheduled is not None and unscheduled.sends_at > now + 2 * unscheduling.SOON
    if can_schedule:
        permission.check_enabled(enabled=configuration.enabled)
    clearance = CampaignClearance.objects.create(validation=look, campaign=campaign, at=now, by=by, why=why)
    audit.note(campaign, "send anyway", by=by, now=now, why=why, look=look.pk)
    if unscheduled is None:
        return f"Campaign {campaign_id} goes out as scheduled; what blocked it is cleared."
    if not can_schedule:
        return (
            f"What blocked campaign {campaign_id} is cleared, but its time has passed: schedule its draft at "
            "Mailjet for another."
        )
    unscheduling.intend_scheduling(clearance, sends_at=unscheduled.sends_at, now=now)
    return (
        f"Campaign {campaign_id} is scheduled again for {unscheduled.sends_at:%d %B %Y %H:%M} UTC within a "
        "few minutes."
    )
