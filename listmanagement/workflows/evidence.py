"""Reads what became of a campaign's messages and keeps it as outcomes and evidence."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
    texts = _known_texts(page)
    rows = [_recipient(campaign, message, text=texts.get(message.id), now=now) for message in page]
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


def _known_texts(page: Sequence[Message]) -> Mapping[int, str]:
    """The servers' texts that an earlier run asked for: what they said still counts."""
    known = Bounce.objects.filter(recipient__message_id__in=[m.id for m in page]).exclude(server_text="")
    return dict(known.values_list("recipient__message_id", "server_text"))


def _recipient(
    campaign: CampaignSchedule, message: Message, *, text: str | None, now: datetime
) -> CampaignRecipient:
    sent_at = message.arrived_at or campaign.started_at or now
    return CampaignRecipient(
        campaign=campaign,
        contact_id=message.contact_id,
        message_id=message.id,
        outcome=OUTCOMES[message.status],
        bounce_class=_class(message, text=text) or "",
        sent_at=sent_at,
        outcome_at=sent_at,
    )


def _class(message: Message, *, text: str | None) -> BounceClass | None:
    outcome = OUTCOMES[message.status]
    if outcome is Outcome.COMPLAINED:
        return BounceClass.COMPLAINT
    if outcome not in FAILED:
        return None
    tried = outcome is not Outcome.NOT_ATTEMPTED
    return classify(message.state_id, permanent=message.permanent, server_text=text, attempted=tried)


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


# --- The server's own words ----------------------------------------------------------------------------


def fetch_texts(messages: Collection[int], *, mailjet: Mailjet) -> bool:
    """Ask Mailjet for the server's text of these messages, where we have none. One request each.

    A text can change the class: it may contradict the state that Mailjet made of it. Returns whether
    any class changed.
    """
    changed = False
    rows = Bounce.objects.filter(recipient__message_id__in=messages, server_text="").select_related(
        "recipient"
    )
    for bounce in rows:
        said = [event.comment for event in mailjet.history(bounce.recipient.message_id) if event.comment]
        if said:
            changed |= _keep_text(bounce, said[-1])
    return changed


def _keep_text(bounce: Bounce, text: str) -> bool:
    recipient = bounce.recipient
    known = recipient.bounce_class
    read = classify(bounce.state, permanent=bounce.permanent, server_text=text, attempted=bounce.attempted)
    with transaction.atomic():
        bounce.server_text = text
        bounce.save(update_fields=["server_text"])
        CampaignRecipient.objects.filter(pk=recipient.pk).update(bounce_class=read)
    return read != known


def without_text(campaign: CampaignSchedule, *, state: int) -> list[int]:
    """Messages of a campaign that failed in this state and whose server's text is not known."""
    rows = Bounce.objects.filter(recipient__campaign=campaign, state=state, attempted=True, server_text="")
    return list(rows.order_by("recipient__message_id").values_list("recipient__message_id", flat=True))
