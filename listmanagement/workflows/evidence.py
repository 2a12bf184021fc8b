"""Reads what became of a campaign's messages and keeps it as outcomes and evidence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models.functions import Lower

from integrations.mailjet import Mailjet, Message, MessageStatus
from listmanagement.domain.bounces import BounceClass, Outcome, classify
from listmanagement.models import Bounce, CampaignRecipient, CampaignSchedule, Contact

OUTCOMES = {
    MessageStatus.SENT: Outcome.DELIVERED,
    MessageStatus.OPENED: Outcome.DELIVERED,
    MessageStatus.CLICKED: Outcome.DELIVERED,
    MessageStatus.UNSUB: Outcome.DELIVERED,
    MessageStatus.BOUNCE: Outcome.BOUNCED,
    MessageStatus.HARD_BOUNCED: Outcome.BOUNCED,
    MessageStatus.SOFT_BOUNCED: Outcome.BOUNCED,
    MessageStatus.SPAM: Outcome.COMPLAINED,
    MessageStatus.BLOCKED: Outcome.NOT_ATTEMPTED,
    MessageStatus.QUEUED: Outcome.OPEN,
    MessageStatus.DEFERRED: Outcome.OPEN,
    MessageStatus.UNKNOWN: Outcome.OPEN,
}
FAILED = (Outcome.BOUNCED, Outcome.COMPLAINED, Outcome.NOT_ATTEMPTED)
BEFORE_SENDING = timedelta(days=1)  # an early FromTS: Mailjet's default window is today


def fetch(campaign: CampaignSchedule, *, mailjet: Mailjet, now: datetime) -> int:
    """Keep the outcome of each of a campaign's messages. Returns how many Mailjet gave."""
    assert campaign.mailjet_campaign_id is not None
    assert campaign.started_at is not None
    count = 0
    for page in mailjet.messages(campaign.mailjet_campaign_id, since=campaign.started_at - BEFORE_SENDING):
        with transaction.atomic():
            _keep_page(campaign, page, now=now)
        count += len(page)
    CampaignSchedule.objects.filter(pk=campaign.pk).update(recipients_fetched_at=now)
    return count


def _keep_page(campaign: CampaignSchedule, page: Sequence[Message], *, now: datetime) -> None:
    _keep_unknown_contacts(page, now=now)
    rows = [_recipient(campaign, message, now=now) for message in page]
    CampaignRecipient.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["message_id"],
        update_fields=["outcome", "bounce_class", "outcome_at"],
    )
    failed = {m.id: m for m in page if OUTCOMES[m.status] in FAILED}
    ids = dict(CampaignRecipient.objects.filter(message_id__in=list(failed)).values_list("message_id", "pk"))
    _keep_evidence({ids[key]: message for key, message in failed.items()}, now=now)
    _keep_consent(page, now=now)


def _recipient(campaign: CampaignSchedule, message: Message, *, now: datetime) -> CampaignRecipient:
    sent_at = message.arrived_at or campaign.started_at or now
    return CampaignRecipient(
        campaign=campaign,
        contact_id=message.contact_id,
        message_id=message.id,
        outcome=OUTCOMES[message.status],
        bounce_class=_class(message) or "",
        sent_at=sent_at,
        outcome_at=sent_at,
    )


def _class(message: Message) -> BounceClass | None:
    outcome = OUTCOMES[message.status]
    if outcome is Outcome.COMPLAINED:
        return BounceClass.COMPLAINT
    if outcome not in FAILED:
        return None
    return classify(
        message.state_id, permanent=message.permanent, attempted=outcome is not Outcome.NOT_ATTEMPTED
    )


def _keep_evidence(failed: dict[int, Message], *, now: datetime) -> None:
    """One row a message. A state that differs replaces the older, which is kept beside it."""
    known = {bounce.recipient_id: bounce for bounce in Bounce.objects.filter(recipient__in=list(failed))}
    fresh = []
    for recipient_id, message in failed.items():
        if bounce := known.get(recipient_id):
            _replace(bounce, message, now=now)
        else:
            fresh.append(
                Bounce(
                    recipient_id=recipient_id,
                    state=message.state_id,
                    permanent=message.permanent,
                    attempted=OUTCOMES[message.status] is not Outcome.NOT_ATTEMPTED,
                    at=message.arrived_at or now,
                )
            )
    Bounce.objects.bulk_create(fresh)


def _replace(bounce: Bounce, message: Message, *, now: datetime) -> None:
    if (bounce.state, bounce.permanent) == (message.state_id, message.permanent):
        return
    bounce.earlier = [
        *bounce.earlier,
        {"state": bounce.state, "permanent": bounce.permanent, "until": now.isoformat()},
    ]
    bounce.state, bounce.permanent = message.state_id, message.permanent
    bounce.attempted = OUTCOMES[message.status] is not Outcome.NOT_ATTEMPTED
    bounce.save(update_fields=["state", "permanent", "attempted", "earlier"])


def _keep_unknown_contacts(page: Sequence[Message], *, now: datetime) -> None:
    """A recipient that the mirror does not know yet; without an address where another id has it now."""
    known = set(Contact.objects.filter(pk__in=[m.contact_id for m in page]).values_list("pk", flat=True))
    fresh = {m.contact_id: m.email for m in page if m.contact_id not in known}
    taken = set(
        Contact.objects.annotate(key=Lower("email"))
        .filter(key__in=[email.lower() for email in fresh.values()])
        .values_list("key", flat=True)
    )
    Contact.objects.bulk_create(
        Contact(pk=key, email=email)
        if email and email.lower() not in taken
        else Contact(pk=key, retired_at=now)
        for key, email in fresh.items()
    )


def _keep_consent(page: Sequence[Message], *, now: datetime) -> None:
    """A complaint or an opt-out that a message shows is remembered at once and never cleared (P2)."""
    complained = [m.contact_id for m in page if m.status is MessageStatus.SPAM]
    Contact.objects.filter(pk__in=complained, complained_at=None).update(complained_at=now)
    for message in page:
        if message.status is MessageStatus.UNSUB:
            Contact.objects.filter(pk=message.contact_id, opted_out_at=None).update(
                opted_out_at=now, opted_out_by=f"message {message.id}"
            )
