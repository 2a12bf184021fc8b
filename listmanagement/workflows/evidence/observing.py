"""What a page of messages says, as observations."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from integrations.mailjet import Message, MessageStatus
from listmanagement.domain.bounces import BounceClass, Outcome
from listmanagement.domain.standing import FAILED, Observation, failure

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


@dataclass(frozen=True, slots=True)
class Observed:
    """Something told of one message: whose it is, and how it stood.

    `campaign_id` is our campaign's, None for a message of none (transactional mail): that counts for
    consent alone. `sent_at` is when Mailjet took the message over, which only pages tell. `repeats` says
    that it was told before with every reading, so that it is news only where it differs from what stands.
    """

    message_id: int | None
    campaign_id: int | None
    contact_id: int | None
    email: str = field(repr=False)
    seen: Observation
    sent_at: datetime | None = None
    opts_out: bool = False
    clicks: bool = False
    repeats: bool = False

    @property
    def complains(self) -> bool:
        """Whether it shows that the contact complained, about this message or an earlier one."""
        return self.seen.outcome in FAILED and failure(self.seen).bounce_class is BounceClass.COMPLAINT


def of_message(message: Message, *, campaign_id: int, now: datetime) -> Observed:
    """A row of a page that was read at this moment."""
    outcome = OUTCOMES[message.status]
    failed = outcome in FAILED
    return Observed(
        message_id=message.id,
        campaign_id=campaign_id,
        contact_id=message.contact_id,
        email=message.email,
        seen=Observation(
            outcome=outcome,
            as_of=now,
            state=message.state_id if failed else None,
            permanent=message.permanent and failed,
        ),
        sent_at=message.arrived_at,
        opts_out=message.status is MessageStatus.UNSUB,
        repeats=True,
    )
