"""Reads what became of a campaign's messages and keeps it as outcomes and evidence."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import F, Q

from integrations.mailjet import Mailjet, Message, MessageStatus
from listmanagement.domain.bounces import BounceClass, Outcome, classify
from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import Bounce, CampaignRecipient, CampaignSchedule, Contact
from listmanagement.workflows import addresses

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
    _refresh_statistics()
    return count


def _refresh_statistics() -> None:
    """Tell PostgreSQL's planner of the new rows: on what it knew before, judging them can take for ever."""
    with connection.cursor() as cursor:
        for model in (CampaignRecipient, Bounce, Contact):
            cursor.execute(f"analyze {connection.ops.quote_name(model._meta.db_table)}")


def fetch_unseen(*, since: datetime, mailjet: Mailjet, now: datetime) -> None:
    """Fetch every campaign sent after this time whose outcomes were not read since it ended.

    A delivery that nobody has read yet takes an older failure back all the same.
    """
    sent = CampaignSchedule.objects.filter(status=RoundStatus.SENT, started_at__gt=since, settled_at=None)
    unseen = Q(recipients_fetched_at=None) | Q(recipients_fetched_at__lt=F("ended_at"))
    for campaign in sent.filter(unseen).order_by("started_at"):
        fetch(campaign, mailjet=mailjet, now=now)


def _keep_page(campaign: CampaignSchedule, page: Sequence[Message], *, now: datetime) -> None:
    _keep_unknown_contacts(page, now=now)
    rows = CampaignRecipient.objects.filter(message_id__in=[m.id for m in page]).select_related("bounce")
    known = {row.message_id: row for row in rows}
    news = [m for m in page if m.id not in known or _is_news(m, known[m.id])]
    CampaignRecipient.objects.bulk_create(
        [_recipient(campaign, message, known=known.get(message.id), now=now) for message in news],
        update_conflicts=True,
        unique_fields=["message_id"],
        update_fields=["outcome", "bounce_class", "outcome_at"],
    )
    failed = {m.id: m for m in news if OUTCOMES[m.status] in FAILED}
    ids = dict(CampaignRecipient.objects.filter(message_id__in=list(failed)).values_list("message_id", "pk"))
    _keep_evidence({ids[key]: message for key, message in failed.items()}, now=now)
    _keep_consent(page, now=now)


def _is_news(message: Message, known: CampaignRecipient) -> bool:
    """Whether it changes what is known: a failure gives way to one as grave or graver, or to a delivery."""
    outcome, bounce = OUTCOMES[message.status], _bounce_of(known)
    if outcome is Outcome.OPEN or known.outcome not in FAILED or bounce is None:
        return outcome is not Outcome.OPEN and outcome != known.outcome
    if outcome not in FAILED:
        return known.outcome != Outcome.COMPLAINED
    if _gravity(outcome, message.permanent) < _gravity(Outcome(known.outcome), bounce.permanent):
        return False
    return (outcome, message.state_id, message.permanent) != (known.outcome, bounce.state, bounce.permanent)


def _gravity(outcome: Outcome, permanent: bool) -> tuple[int, bool]:
    """A complaint is graver than what was tried and failed, and that than what Mailjet did not try."""
    return (Outcome.NOT_ATTEMPTED, Outcome.BOUNCED, Outcome.COMPLAINED).index(outcome), permanent


def _bounce_of(row: CampaignRecipient | None) -> Bounce | None:
    return getattr(row, "bounce", None)


def _recipient(
    campaign: CampaignSchedule, message: Message, *, known: CampaignRecipient | None, now: datetime
) -> CampaignRecipient:
    """The message's row. What the server was heard to say by an earlier run still counts."""
    sent_at = message.arrived_at or campaign.started_at or now
    bounce = _bounce_of(known)
    return CampaignRecipient(
        campaign=campaign,
        contact_id=message.contact_id,
        message_id=message.id,
        outcome=OUTCOMES[message.status],
        bounce_class=_class(message, text=bounce.server_text if bounce else "") or "",
        sent_at=sent_at,
        outcome_at=sent_at,
    )


def _class(message: Message, *, text: str = "") -> BounceClass | None:
    outcome = OUTCOMES[message.status]
    if outcome is Outcome.COMPLAINED:
        return BounceClass.COMPLAINT
    if outcome not in FAILED:
        return None
    tried = outcome is not Outcome.NOT_ATTEMPTED
    return classify(message.state_id, permanent=message.permanent, server_text=text, attempted=tried)


def _keep_evidence(failed: dict[int, Message], *, now: datetime) -> None:
    """One row a message. A state that counts instead of an older one keeps that beside it."""
    known = Bounce.objects.filter(recipient__in=list(failed)).in_bulk(field_name="recipient_id")
    for recipient_id, bounce in known.items():
        _replace(bounce, failed[recipient_id], now=now)
    Bounce.objects.bulk_update(known.values(), ["state", "permanent", "attempted", "earlier"])
    Bounce.objects.bulk_create(
        Bounce(
            recipient_id=recipient_id,
            state=message.state_id,
            permanent=message.permanent,
            attempted=OUTCOMES[message.status] is not Outcome.NOT_ATTEMPTED,
            at=message.arrived_at or now,
        )
        for recipient_id, message in failed.items()
        if recipient_id not in known
    )


def _replace(bounce: Bounce, message: Message, *, now: datetime) -> None:
    if (bounce.state, bounce.permanent) != (message.state_id, message.permanent):
        older = {"state": bounce.state, "permanent": bounce.permanent, "until": now.isoformat()}
        bounce.earlier = [*bounce.earlier, older]
    bounce.state, bounce.permanent = message.state_id, message.permanent
    bounce.attempted = OUTCOMES[message.status] is not Outcome.NOT_ATTEMPTED


def _keep_unknown_contacts(page: Sequence[Message], *, now: datetime) -> None:
    """A recipient that the mirror does not know yet; without an address where another id has it now."""
    known = set(Contact.objects.filter(pk__in=[m.contact_id for m in page]).values_list("pk", flat=True))
    fresh = {m.contact_id: m.email for m in page if m.contact_id not in known}
    owners = addresses.owners(fresh)
    taken = addresses.holders(owners)
    emails = {pk: fresh[pk] for key, pk in owners.items() if key not in taken}
    Contact.objects.bulk_create(
        Contact(pk=pk, email=emails[pk]) if pk in emails else Contact(pk=pk, retired_at=now) for pk in fresh
    )


def _keep_consent(page: Sequence[Message], *, now: datetime) -> None:
    """A complaint or an opt-out that a message shows is remembered at once and never cleared (P2)."""
    spam = _whom([m for m in page if _class(m) is BounceClass.COMPLAINT])
    complained = list(Contact.objects.filter(pk__in=list(spam), complained_at=None))
    for contact in complained:
        contact.complained_at, contact.complained_by = now, f"message {spam[contact.pk].id}"
    Contact.objects.bulk_update(complained, ["complained_at", "complained_by"])
    told = _whom([m for m in page if m.status is MessageStatus.UNSUB])
    opted_out = list(Contact.objects.filter(pk__in=list(told), opted_out_at=None))
    for contact in opted_out:
        contact.opted_out_at, contact.opted_out_by = now, f"message {told[contact.pk].id}"
    Contact.objects.bulk_update(opted_out, ["opted_out_at", "opted_out_by"])


def _whom(messages: Sequence[Message]) -> dict[int, Message]:
    """Whom these messages concern: their contacts, and who has the address under another id now."""
    whom = {message.contact_id: message for message in messages}
    sent_to = addresses.owners({message.contact_id: message.email for message in messages})
    return whom | {pk: whom[sent_to[key]] for key, pk in addresses.holders(sent_to).items()}


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
