"""What became of one message to one contact: Mailjet's states, read as the few classes the policy knows.

Mailjet reports a number (`StateID`), whether it calls the failure permanent, sometimes the
server's own text, and whether it tried at all. The number alone misleads: "relay denied" may mean
that the recipient is unknown, "user unknown" that our reputation is poor. `classify` reads all
four. The meaning of the numbers is Mailjet's table of message states.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Outcome(StrEnum):
    """How one message to one contact ended, or that it has not ended yet."""

    DELIVERED = "delivered"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    NOT_ATTEMPTED = "not_attempted"
    """Mailjet reports `blocked`, whatever the state: outside every rate."""
    OPEN = "open"
    """Queued or deferred: neither strike nor delivery."""


class BounceClass(StrEnum):
    """Why a message was not delivered, as far as the policy tells reasons apart."""

    RECIPIENT_GONE = "recipient_gone"
    RECIPIENT_GONE_SOFT = "recipient_gone_soft"
    RECIPIENT_REJECTED = "recipient_rejected"
    """Relay denied, while the server's text says that it is the recipient it does not want."""
    INACTIVE = "inactive"
    MAILBOX_FULL = "mailbox_full"
    DOMAIN_GONE = "domain_gone"
    SENDER_SIDE = "sender_side"
    TEMPORARY = "temporary"
    GREYLISTED = "greylisted"
    NOT_ATTEMPTED = "not_attempted"
    """Preblocked: means what the last attempted outcome meant."""
    DUPLICATE = "duplicate"
    MISTYPED = "mistyped"
    REFUSED = "refused"
    COMPLAINT = "complaint"
    CONFLICTING = "conflicting"
    """The server's text contradicts the state Mailjet made of it."""
    UNKNOWN = "unknown"


class History(StrEnum):
    """What a contact's past says, the most careful reading first come, first served."""

    NEVER_DELIVERED = "never_delivered"
    DELIVERED_BEFORE = "delivered_before"
    LATELY_ALIVE = "lately_alive"
    PROTECTED = "protected"


RECIPIENT_FAILURES = frozenset(
    {BounceClass.RECIPIENT_GONE, BounceClass.RECIPIENT_REJECTED, BounceClass.INACTIVE}
)
"""Classes in which the failure is the mailbox itself. A hard one explains a later preblock."""

NOT_ABOUT_THE_DOMAIN = (BounceClass.SENDER_SIDE, BounceClass.GREYLISTED)
"""Classes that say nothing of the receiving server: left out where a domain is compared with its past."""

NEVER_TRIED = frozenset({BounceClass.MISTYPED, BounceClass.REFUSED, BounceClass.COMPLAINT})
"""Classes in which Mailjet's refusal to try is itself the statement about the address."""


@dataclass(frozen=True, slots=True)
class Event:
    """One final or open message to one contact, as stored.

    `at` is when the outcome came about, `sent_at` when the message was sent; both are aware.
    `human_click_at` is a click already judged human (times known, 60 s or more after delivery, not
    every link within 10 s). `spent` is evidence that a lift or undo used up. `domain_held` says
    that it happened while its domain was on hold; the failures that opened a hold are part of it.
    `silent_domain` marks a hard failure in a campaign that, as far as is known, reached nobody at that
    domain: the server may have failed, and not the mailbox.

    Raises ValueError where a failure carries no class.
    """

    message_id: int
    campaign_id: int
    cycle_id: int | None
    sent_at: datetime
    at: datetime
    outcome: Outcome
    bounce: BounceClass | None
    permanent: bool = False
    human_click_at: datetime | None = None
    spent: bool = False
    domain_held: bool = False
    silent_domain: bool = False
    failed_as: BounceClass | None = field(init=False, repr=False, compare=False)
    """The class of this failure; None where nothing failed (delivered) or not yet (open)."""

    def __post_init__(self) -> None:
        if self.outcome in (Outcome.BOUNCED, Outcome.NOT_ATTEMPTED) and self.bounce is None:
            raise ValueError(
                f"message {self.message_id} is {self.outcome} without a class: classify it first"
            )
        object.__setattr__(self, "failed_as", _failed_as(self.outcome, self.bounce))

    @property
    def is_delivery(self) -> bool:
        """Whether the receiving server took the message."""
        return self.outcome is Outcome.DELIVERED

    @property
    def was_tried(self) -> bool:
        """Whether Mailjet spoke, or still speaks, to the receiving server; a preblocked bounce it did not."""
        return self.outcome is not Outcome.NOT_ATTEMPTED and self.failed_as is not BounceClass.NOT_ATTEMPTED

    @property
    def is_hard(self) -> bool:
        """Whether it was tried and Mailjet calls the failure permanent."""
        return self.outcome is Outcome.BOUNCED and self.was_tried and self.permanent

    @property
    def failed_in_a_hold(self) -> bool:
        """Whether the domain's trouble explains the failure. What was never tried it cannot explain."""
        return self.outcome is Outcome.BOUNCED and self.domain_held


def _failed_as(outcome: Outcome, bounce: BounceClass | None) -> BounceClass | None:
    if outcome is Outcome.COMPLAINED:
        return BounceClass.COMPLAINT
    return bounce if outcome in (Outcome.BOUNCED, Outcome.NOT_ATTEMPTED) else None


@dataclass(frozen=True, slots=True)
class ContactRecord:
    """All we remember about one contact that the policy asks for.

    `events` are oldest first, the judged campaign's among them, and complete: "never attempted by
    us" is read from what is missing. `held_since` is the start of an open hold of the contact.
    """

    contact_id: int
    domain: str
    events: tuple[Event, ...]
    protected: bool = False
    held_since: datetime | None = None


_BY_STATE = {
    2: BounceClass.INACTIVE,
    3: BounceClass.MAILBOX_FULL,
    4: BounceClass.DOMAIN_GONE,
    5: BounceClass.DOMAIN_GONE,
    7: BounceClass.SENDER_SIDE,
    8: BounceClass.SENDER_SIDE,
    9: BounceClass.SENDER_SIDE,
    10: BounceClass.TEMPORARY,
    11: BounceClass.TEMPORARY,
    12: BounceClass.TEMPORARY,
    13: BounceClass.GREYLISTED,
    14: BounceClass.NOT_ATTEMPTED,
    15: BounceClass.DUPLICATE,
    16: BounceClass.SENDER_SIDE,
    17: BounceClass.SENDER_SIDE,
    18: BounceClass.SENDER_SIDE,
    19: BounceClass.MISTYPED,
    20: BounceClass.REFUSED,
    21: BounceClass.COMPLAINT,
}
"""States with one meaning. 1 depends on permanence, 6 on the server's text, the rest is unknown."""

_USER_UNKNOWN, _MAILBOX_INACTIVE, _QUOTA_EXCEEDED, _RELAY_DENIED = 1, 2, 3, 6

_MEANT_UNTRIED = NEVER_TRIED | {BounceClass.SENDER_SIDE, BounceClass.DUPLICATE}
"""What a blocked message still says for itself; any other state of one is a preblock."""


def classify(
    state: int | None, *, permanent: bool, server_text: str | None = None, attempted: bool = True
) -> BounceClass:
    """Read one failure. `attempted=False` is a message that Mailjet reports as blocked.

    Without the server's text nothing is conflicting and "relay denied" is temporary.
    """
    if not attempted:
        untried = BounceClass.NOT_ATTEMPTED if state is None else _BY_STATE.get(state)
        return untried if untried in _MEANT_UNTRIED else BounceClass.NOT_ATTEMPTED
    text = _ServerText.read(server_text)
    if text is not None and text.contradicts(state, permanent=permanent):
        return BounceClass.CONFLICTING
    if state == _USER_UNKNOWN:
        return BounceClass.RECIPIENT_GONE if permanent else BounceClass.RECIPIENT_GONE_SOFT
    if state == _RELAY_DENIED:
        rejected = text is not None and text.rejects_the_recipient
        return BounceClass.RECIPIENT_REJECTED if rejected else BounceClass.TEMPORARY
    if state in _BY_STATE:
        return _BY_STATE[state]
    return BounceClass.UNKNOWN if permanent else BounceClass.TEMPORARY


LONGEST_TEXT = 4096
"""Characters of a server's text that are read: eight lines as long as RFC 5321 (4.5.3.1.5) lets a reply's be.
The code stands at the beginning; what comes after so much is somebody's page."""

_PIECE = re.compile(r"[^\s<>\[\]()]+")

# RFC 3463's class.subject.detail. Not part of a longer dotted number: servers like to quote IP addresses.
_ENHANCED_CODE = re.compile(r"(?<![\d.])([245])\.([0-7])\.(\d{1,3})(?!\.?\d)")

_RECIPIENT_REJECTED = re.compile(r"recipient(?: address)? rejected", re.IGNORECASE)

# Gateways such as Mimecast and Proofpoint are left out: they sign ordinary "user unknown" replies too.
_BLOCKLIST = re.compile(
    r"\b(?:spamhaus|spamcop|sorbs|barracudacentral|uceprotect|invaluement|abusix|surbl|uribl|senderscore"
    r"|cloudmark|dnsbl|rbl|black[- ]?list(?:ed)?|block[- ]?list(?:ed)?)\b",
    re.IGNORECASE,
)


def _without_address(piece: re.Match[str]) -> str:
    """Nothing in the place of an address. Each piece is looked at once, however long it is."""
    return " " if "@" in piece[0][1:-1] else piece[0]


_MAILBOX_STATES = frozenset({_USER_UNKNOWN, _MAILBOX_INACTIVE, _QUOTA_EXCEEDED})


@dataclass(frozen=True, slots=True)
class _ServerText:
    """What the receiving server said: its words without addresses, its code (RFC 3463) if it gave one."""

    words: str
    code: tuple[int, int, int] | None

    @classmethod
    def read(cls, raw: str | None) -> "_ServerText | None":
        if raw is None or not raw.strip():
            return None
        words = _PIECE.sub(_without_address, raw[:LONGEST_TEXT])
        found = _ENHANCED_CODE.search(words)
        return cls(words, (int(found[1]), int(found[2]), int(found[3])) if found else None)

    @property
    def is_about_the_sender(self) -> bool:
        """Policy (x.7.x), the sender's own address (x.1.7, x.1.8), or a blocklist by name."""
        listed = _BLOCKLIST.search(self.words) is not None
        if self.code is None:
            return listed
        _, subject, detail = self.code
        return listed or subject == 7 or (subject == 1 and detail in (7, 8))

    @property
    def rejects_the_recipient(self) -> bool:
        """5.1.x, or Microsoft's 5.4.1 "Recipient address rejected"."""
        if self.code is None or self.is_about_the_sender:
            return False
        kind, *subject = self.code
        rejected = subject[0] == 1 or (
            subject == [4, 1] and _RECIPIENT_REJECTED.search(self.words) is not None
        )
        return kind == 5 and rejected

    def contradicts(self, state: int | None, *, permanent: bool) -> bool:
        """Whether a statement about the mailbox was made of a text that is about something else."""
        if state not in _MAILBOX_STATES:
            return False
        says_full = self.code is not None and self.code[1:] == (2, 2)
        says_later = self.code is not None and self.code[0] == 4
        return (
            self.is_about_the_sender
            or (state == _USER_UNKNOWN and says_full)
            or (state == _USER_UNKNOWN and permanent and says_later)
        )
