"""A way back: who is suppressed for a full mailbox may have room again, and is offered to a person.

Mailbox full only, as a soft failure, and nothing else: after the other failures nobody comes back by itself.
Not before 60 days, since a mailbox that is full for good is full for months; not after 180, since by then
nobody remembers what they signed up for. At most a hundredth of a list at a time, so that a wrong guess
costs no more than that. A protection changes nothing here: it is about whom to spare, not whom to mail.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from listmanagement.domain.bounces import BounceClass

EARLIEST = timedelta(days=60)
LATEST = timedelta(days=180)

MOST_PERCENT = 1
"""Of a list's size, rounded down, each time."""

BOX_FULL = frozenset({BounceClass.MAILBOX_FULL})


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A contact whose suppression stands."""

    contact_id: int
    suppressed_at: datetime
    by_us: bool
    """By our own judgement: neither imported, nor what the contact said itself."""
    failures: frozenset[BounceClass]
    """What the suppression rests on, and what the last message that was tried failed as."""
    permanent: bool
    """Whether one of these was reported as permanent."""
    said_no: bool
    """Complained, opted out, or excluded from campaigns."""
    refused: bool
    """Mailjet itself probably goes on refusing the address: a message to it would not be tried."""
    rejected: bool
    """A reviewer once left this contact suppressed when asked the same: it is not asked again."""
    back_to: int | None
    """The campaign list that the suppression took it off; None where that is gone."""


def may_be_offered(contact: Suppressed, *, now: datetime) -> bool:
    """Whether a person may be asked to put this contact back."""
    against = (
        not contact.by_us,
        contact.failures != BOX_FULL,
        contact.permanent,
        contact.said_no,
        contact.refused,
        contact.rejected,
        contact.back_to is None,
    )
    return not any(against) and EARLIEST <= now - contact.suppressed_at <= LATEST


def offered(
    contacts: Iterable[Suppressed], *, sizes: Mapping[int, int], now: datetime
) -> Mapping[int, Sequence[Suppressed]]:
    """Who is offered now, by the list they go back to: the longest suppressed first, few of each list.

    `sizes` are the mailable members of each list of the rotation; to any other list nobody goes back.
    """
    by_list: dict[int, list[Suppressed]] = defaultdict(list)
    for contact in sorted(contacts, key=lambda each: (each.suppressed_at, each.contact_id)):
        if contact.back_to is not None and may_be_offered(contact, now=now):
            by_list[contact.back_to].append(contact)
    chosen = {each: by_list[each][: size * MOST_PERCENT // 100] for each, size in sizes.items()}
    return {each: found for each, found in chosen.items() if found}
