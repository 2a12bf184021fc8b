"""What becomes of a message: drawn from a seeded world, the same for the same seed, contact and campaign.

A mailbox keeps its nature from campaign to campaign (a dead one stays dead); weather and what the reader
does differ with every message. Which StateID goes with what follows Mailjet's table of message states.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from integrations.sandbox.settings import Settings

HOUR = 3_600.0


class Mailbox(StrEnum):
    """The nature of a mailbox. Empty: drawn by the shares in the settings."""

    DRAWN = ""
    GOOD = "good"
    """Takes everything, and its reader does nothing."""
    OPENING = "opening"
    CLICKING = "clicking"
    UNSUBSCRIBING = "unsubscribing"
    COMPLAINING = "complaining"
    DEAD = "dead"
    """User unknown, for good."""
    INACTIVE = "inactive"
    NO_DOMAIN = "no_domain"
    FULL = "full"
    """Deferred for as long as Mailjet tries, then a soft bounce: quota exceeded."""
    UNREACHABLE = "unreachable"
    """Deferred for as long as Mailjet tries, then a soft bounce: connection issue."""
    GREYLISTING = "greylisting"
    """Deferred first, then delivered."""
    FADING = "fading"
    """A soft bounce first, a permanent one some hours later, for the same message."""
    BLOCKED_ELSEWHERE = "blocked_elsewhere"
    """Preblocked because of what other customers sent there."""


@dataclass(frozen=True)
class Step:
    """One thing that happens to a message."""

    kind: str
    """Mailjet's word for the event; ``deferred`` is none that it reports."""
    status: str
    """The message's status from then on."""
    after: float = 0.0
    """Seconds since the message was sent; negative stands for the retry time in the settings."""
    state_id: int | None = None
    permanent: bool = False
    blocked: bool = False
    comment: str = ""


FULL_RETRY = -1.0
_SENT = Step("sent", "sent")
_OPENED = Step("open", "opened", HOUR)

PLANS: Mapping[Mailbox, Sequence[Step]] = {
    Mailbox.GOOD: (_SENT,),
    Mailbox.OPENING: (_SENT, _OPENED),
    Mailbox.CLICKING: (_SENT, _OPENED, Step("click", "clicked", 1.1 * HOUR)),
    Mailbox.UNSUBSCRIBING: (_SENT, _OPENED, Step("unsub", "unsub", 1.2 * HOUR)),
    Mailbox.COMPLAINING: (_SENT, Step("spam", "spam", 2 * HOUR, 21)),
    Mailbox.DEAD: (
        Step("bounce", "hardbounced", 0, 1, permanent=True, blocked=True, comment="550 5.1.1 no such user"),
    ),
    Mailbox.INACTIVE: (
        Step("bounce", "hardbounced", 0, 2, permanent=True, blocked=True, comment="550 5.2.1 disabled"),
    ),
    Mailbox.NO_DOMAIN: (
        Step("bounce", "hardbounced", 0, 4, permanent=True, blocked=True, comment="domain not found"),
    ),
    Mailbox.FULL: (
        Step("deferred", "deferred", 0, 3, comment="452 4.2.2 mailbox full"),
        Step("bounce", "softbounced", FULL_RETRY, 3, comment="452 4.2.2 mailbox full"),
    ),
    Mailbox.UNREACHABLE: (
        Step("deferred", "deferred", 0, 12, comment="connection timed out"),
        Step("bounce", "softbounced", FULL_RETRY, 12, comment="connection timed out"),
    ),
    Mailbox.GREYLISTING: (
        Step("bounce", "deferred", 0, 13, comment="451 4.7.1 greylisted, try again later"),
        Step("sent", "sent", 0.5 * HOUR),
    ),
    Mailbox.FADING: (
        Step("bounce", "deferred", 0, 10, comment="451 4.3.0 try again later"),
        Step("bounce", "hardbounced", 6 * HOUR, 2, True, True, "550 5.2.1 disabled"),
    ),
    Mailbox.BLOCKED_ELSEWHERE: (Step("blocked", "blocked", 0, 14),),
}


def draw(contact_id: int, campaign_id: int, *, settings: Settings) -> Mailbox:
    """How a contact without a nature of its own takes one campaign's message."""
    nature = _pick(_chance(settings.seed, contact_id), _natures(settings))
    if nature is not Mailbox.GOOD:
        return nature
    return _pick(_chance(settings.seed, contact_id, campaign_id), _moods(settings))


def _natures(settings: Settings) -> Sequence[tuple[Mailbox, float]]:
    dead = settings.dead_share
    return (
        (Mailbox.DEAD, dead * 0.7),
        (Mailbox.INACTIVE, dead * 0.2),
        (Mailbox.NO_DOMAIN, dead * 0.1),
        (Mailbox.FULL, settings.full_share),
        (Mailbox.FADING, settings.fading_share),
        (Mailbox.BLOCKED_ELSEWHERE, settings.blocked_elsewhere_share),
    )


def _moods(settings: Settings) -> Sequence[tuple[Mailbox, float]]:
    return (
        (Mailbox.UNREACHABLE, settings.unreachable_share),
        (Mailbox.GREYLISTING, settings.greylisting_share),
        (Mailbox.COMPLAINING, settings.complaint_share),
        (Mailbox.UNSUBSCRIBING, settings.unsubscription_share),
        (Mailbox.CLICKING, settings.click_share),
        (Mailbox.OPENING, settings.open_share),
    )


def _pick(chance: float, shares: Sequence[tuple[Mailbox, float]]) -> Mailbox:
    for mailbox, share in shares:
        if chance < share:
            return mailbox
        chance -= share
    return Mailbox.GOOD


def _chance(*parts: int) -> float:
    """A number in [0, 1) that depends on the parts alone."""
    digest = hashlib.blake2b(":".join(map(str, parts)).encode(), digest_size=7).digest()
    return int.from_bytes(digest) / 2**56
