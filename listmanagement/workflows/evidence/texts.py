"""The receiving servers' own words, where no event brought them: one request each, a few side by side."""

from __future__ import annotations

from collections.abc import Collection

from django.db import transaction

from integrations.mailjet import Mailjet, MessageEvent
from listmanagement.domain.bounces import Outcome
from listmanagement.domain.standing import FAILED, Observation
from listmanagement.models import Bounce, CampaignRecipient, CampaignSchedule
from listmanagement.workflows.evidence.keeping import keep
from listmanagement.workflows.evidence.observing import Observed
from listmanagement.workflows.side_by_side import AT_ONCE, side_by_side


def fetch_texts(messages: Collection[int], *, mailjet: Mailjet) -> bool:
    """Ask Mailjet for the server's text of these messages, where we have none. One request each.

    A text can change the class: it may contradict the state that Mailjet made of it. Returns whether
    any class changed.
    """
    changed = False
    rows = Bounce.objects.filter(
        recipient__message_id__in=messages, recipient__outcome__in=FAILED, server_text=""
    )
    bounces = list(rows.select_related("recipient").order_by("pk"))
    for start in range(0, len(bounces), AT_ONCE):  # what some brought is kept before the next are asked about
        few = bounces[start : start + AT_ONCE]
        histories = side_by_side(mailjet.history, [bounce.recipient.message_id for bounce in few])
        for bounce, told in zip(few, histories, strict=True):
            said = [event for event in told if event.comment]
            if said:
                changed |= _keep_text(bounce, said[-1])
    return changed


def _keep_text(bounce: Bounce, said: MessageEvent) -> bool:
    recipient = bounce.recipient
    heard = Observation(
        outcome=Outcome(recipient.outcome),
        as_of=said.at,
        state=bounce.state,
        permanent=bounce.permanent,
        text=said.comment,
    )
    with transaction.atomic():
        keep([_observed(recipient, heard)], now=said.at)
    was = recipient.bounce_class
    recipient.refresh_from_db(fields=["bounce_class"])
    return was != recipient.bounce_class


def _observed(recipient: CampaignRecipient, seen: Observation) -> Observed:
    return Observed(
        message_id=recipient.message_id,
        campaign_id=recipient.campaign_id,
        contact_id=recipient.contact_id,
        email="",
        seen=seen,
    )


def without_text(campaign: CampaignSchedule, *, state: int) -> list[int]:
    """Messages of a campaign that failed in this state and whose server's text is not known."""
    rows = Bounce.objects.filter(recipient__campaign=campaign, state=state, attempted=True, server_text="")
    return list(rows.order_by("recipient__message_id").values_list("recipient__message_id", flat=True))
