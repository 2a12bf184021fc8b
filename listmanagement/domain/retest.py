"""Whom of held domains a send reaches: all of them, five of each (the real re-test), or nobody."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from listmanagement.domain.validation import HeldTreatment

SAMPLE = 5
"""Contacts of each held domain that a re-test mails: enough for each way in which a hold ends."""


@dataclass(frozen=True, slots=True)
class Held:
    """A member of the list whose domain, or mail host, is on hold."""

    contact_id: int
    host: str
    rank: int
    is_blocked: bool
    """Mailjet itself refuses the address: a message to it would tell nothing of the domain."""


def taken_off(members: Iterable[Held], *, treatment: HeldTreatment) -> tuple[int, ...]:
    """Who is not mailed this time, in the list's order.

    Mailed of each domain are those whose answer tells most: not blocked at Mailjet, then the longest on the
    list. Deterministic, so that asking again chooses the same.
    """
    if treatment is HeldTreatment.ALL:
        return ()
    by_host: dict[str, list[Held]] = defaultdict(list)
    for each in members:
        by_host[each.host].append(each)
    most = SAMPLE if treatment is HeldTreatment.FIVE else 0
    leaving = [
        each
        for there in by_host.values()
        for each in sorted(there, key=lambda each: (each.is_blocked, each.rank))[most:]
    ]
    return tuple(each.contact_id for each in sorted(leaving, key=lambda each: each.rank))
