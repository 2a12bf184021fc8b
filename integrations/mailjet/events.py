"""What Mailjet's Event API tells, read leniently: its console sends test events that are nearly empty,
booleans come as words, fields are left out. What cannot be used is refused by what is wrong with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from integrations.mailjet.answers import reply, storable

_LARGEST_ID = 2**63 - 1
_LATEST = 253_402_300_799  # the last second of the year 9999


class EventKind(StrEnum):
    """Mailjet's word for what happened."""

    SENT = "sent"
    OPEN = "open"
    CLICK = "click"
    BOUNCE = "bounce"
    BLOCKED = "blocked"
    SPAM = "spam"
    UNSUB = "unsub"


STATES: Mapping[str, int] = {
    "user unknown": 1,
    "mailbox inactive": 2,
    "quota exceeded": 3,
    "invalid domain": 4,
    "no mail host": 5,
    "relay/access denied": 6,
    "sender blocked": 7,
    "content blocked": 8,
    "policy issue": 9,
    "system issue": 10,
    "protocol issue": 11,
    "connection issue": 12,
    "greylisted": 13,
    "preblocked": 14,
    "duplicate in campaign": 15,
    "spam preblocked": 16,
    "bad or empty template": 17,
    "error in template language": 18,
    "typofix": 19,
    "blacklisted": 20,
    "spam reporter": 21,
}
"""An event's `error`, and the StateID that messages have for it: Mailjet's table `messagestate`."""

GREYLISTED, SPAM_REPORTER = 13, 21


class EventUnusable(Exception):
    """Nothing can be made of an event. The message says why, without anything of the event."""


class EventOfTheConsole(EventUnusable):
    """Somebody tried the URL on Mailjet's own pages: it is about no message and nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a message, as Mailjet told it."""

    kind: EventKind
    at: datetime
    message_id: int | None
    campaign_id: int | None
    """None for transactional mail."""
    contact_id: int | None
    email: str = field(repr=False)
    url: str = field(default="", repr=False)
    """The link that was followed; of clicks."""
    permanent: bool = False
    """Of bounces. Where Mailjet leaves it out, it is not."""
    state_id: int | None = None
    """Mailjet's reason; None where it gave none, or one that is not in its table."""
    has_unknown_error: bool = False
    comment: str = field(default="", repr=False)
    """The receiving server's own words."""

    @property
    def is_deferred(self) -> bool:
        """A greylisting server was asked too soon: Mailjet tries again, whatever else the event says."""
        return self.kind is EventKind.BOUNCE and self.state_id == GREYLISTED and not self.permanent


def read_event(told: object) -> Event:
    """The event. Raises EventUnusable."""
    if not isinstance(told, Mapping):
        raise EventUnusable("it is no object")
    kind = _kind(told)
    message_id, contact_id, email = _id(told, "MessageID"), _id(told, "mj_contact_id"), _text(told, "email")
    if not (message_id or contact_id or email):
        raise EventOfTheConsole("a test of Mailjet's console: it is about no message and nobody")
    error = _text(told, "error").lower()
    return Event(
        kind=kind,
        at=_time(told),
        message_id=message_id,
        campaign_id=_id(told, "mj_campaign_id"),
        contact_id=contact_id,
        email=email,
        url=_text(told, "url"),
        permanent=kind is EventKind.BOUNCE and _flag(told, "hard_bounce"),
        state_id=SPAM_REPORTER if kind is EventKind.SPAM else STATES.get(error),
        has_unknown_error=bool(error) and error not in STATES,
        comment=reply(_text(told, "comment")),
    )


def _kind(told: Mapping[Any, Any]) -> EventKind:
    word = _text(told, "event").lower()
    if not word:
        raise EventUnusable("it does not say what happened (event)")
    try:
        return EventKind(word)
    except ValueError:
        raise EventUnusable("it tells of something that is not known here (event)") from None


def _time(told: Mapping[Any, Any]) -> datetime:
    seconds = _number(told, "time")
    if not seconds or not 0 < seconds <= _LATEST:
        raise EventUnusable("it does not say when it happened (time)")
    return datetime.fromtimestamp(seconds, tz=UTC)


def _id(told: Mapping[Any, Any], name: str) -> int | None:
    """An id; None where it is 0, empty or left out."""
    number = _number(told, name)
    if number is not None and not 0 <= number <= _LARGEST_ID:
        raise EventUnusable(f"its {name} is no id")
    return number or None


def _number(told: Mapping[Any, Any], name: str) -> int | None:
    value = told.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:20])
    if not isinstance(value, int) or isinstance(value, bool):  # beyond 2^53 a float has lost digits
        raise EventUnusable(f"its {name} is no whole number")
    return value


def _text(told: Mapping[Any, Any], name: str) -> str:
    value = told.get(name)
    return storable(value).strip() if isinstance(value, str) else ""


def _flag(told: Mapping[Any, Any], name: str) -> bool:
    value = told.get(name)
    return value.strip().lower() in ("true", "1") if isinstance(value, str) else value in (True, 1)
