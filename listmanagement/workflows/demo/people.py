"""Who is in the demo, on which list, and what part each plays in it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from listmanagement.workflows.demo import words

MASTER, SUPPRESSION = 4, 5
"""Numbers of the two lists beside the campaign lists 1, 2 and 3; also the primary keys of their rows."""


class Part(StrEnum):
    """What becomes of a contact. Of those on list 1, what campaign 123 meets them with."""

    DELIVERED = "delivered"
    OUTAGE = "outage"  # user unknown, like all their colleagues: an outage
    GONE = "gone"  # user unknown
    NO_HOST = "no_host"  # no mail host, for the second time, and never anything else
    HOST_LOST = "host_lost"  # no mail host, for the first time, though a colleague was reached
    ALIVE = "alive"  # user unknown, but a person clicked in campaign 118
    FULL = "full"
    POLICY = "policy"  # blocked for policy: our side
    PREBLOCKED = "preblocked"
    MEMBER = "member"  # of list 2 or 3: always delivered
    OPTED_OUT = "opted_out"
    EXCLUDED = "excluded"
    COMPLAINED = "complained"
    SUPPRESSED = "suppressed"
    BACKLOG = "backlog"


UNMAILABLE = frozenset({Part.OPTED_OUT, Part.EXCLUDED, Part.COMPLAINED, Part.SUPPRESSED})


@dataclass(frozen=True, slots=True)
class Group:
    """So many contacts with one part. `list` is the list they are on beside the master list."""

    part: Part
    list: int | None
    size: int


GROUPS = (
    Group(Part.DELIVERED, 1, 731),
    Group(Part.OUTAGE, 1, 120),
    Group(Part.GONE, 1, 104),
    Group(Part.NO_HOST, 1, 6),
    Group(Part.HOST_LOST, 1, 4),
    Group(Part.FULL, 1, 2),
    Group(Part.ALIVE, 1, 6),
    Group(Part.POLICY, 1, 15),
    Group(Part.PREBLOCKED, 1, 12),
    Group(Part.MEMBER, 2, 942),
    Group(Part.MEMBER, 3, 1177),
    *(
        Group(part, SUPPRESSION if part is Part.COMPLAINED else number, 4)
        for number in (1, 2, 3)
        for part in (Part.OPTED_OUT, Part.EXCLUDED, Part.COMPLAINED)
    ),
    Group(Part.SUPPRESSED, SUPPRESSION, 40),
    Group(Part.OPTED_OUT, None, 5),
    Group(Part.EXCLUDED, None, 5),
    Group(Part.COMPLAINED, None, 4),
    Group(Part.BACKLOG, None, 320),
)
"""The figures of the demo: 3,529 contacts in all."""

_OWN_DOMAIN = {
    Part.OUTAGE: words.OUTAGE_DOMAIN,
    Part.NO_HOST: words.NO_HOST_DOMAIN,
    Part.HOST_LOST: words.HOST_LOST_DOMAIN,
}
_BOUNCED_AT_MOST = {Part.GONE: 4, Part.FULL: 4, Part.ALIVE: 1}
"""How many bounced contacts an ordinary domain may have with this one. Five could be an outage."""

_WHERE_SOMEBODY_IS_REACHED = frozenset({Part.GONE, Part.ALIVE})
"""Their server answers: the same campaign is delivered to a colleague."""

_WITH_AWKWARD_ADDRESSES = frozenset({Part.DELIVERED, Part.GONE, Part.MEMBER, Part.BACKLOG})

_SETTLED = (timedelta(days=1500), timedelta(days=130))
_NEWCOMERS = (timedelta(days=120), timedelta(days=2))
_FIRST_ID = 4_700_000_000  # beyond 32 bits, as Mailjet's are
_ID_GAP = 200_000


@dataclass(frozen=True, slots=True)
class Person:
    """One contact. `id` is Mailjet's; a later registration has a larger one.

    `joined_at` is when they came onto their campaign or suppression list, None where they are on
    neither. `barred_at` is when they opted out, were excluded or complained.
    """

    id: int
    name: str
    email: str
    part: Part
    list: int | None
    registered_at: datetime
    joined_at: datetime | None
    barred_at: datetime | None

    @property
    def is_mailable(self) -> bool:
        """Whether a campaign may reach them."""
        return self.part not in UNMAILABLE

    @property
    def domain(self) -> str:
        """Their domain in lower case."""
        return self.email.rpartition("@")[2].lower()


@dataclass(frozen=True, slots=True)
class _Slot:
    group: Group
    domain: str
    awkward: int | None
    """The number of the awkward address they get."""


def invent(rng: random.Random, *, now: datetime) -> tuple[Person, ...]:
    """Everybody, the oldest registration first."""
    slots = list(_slots(rng))
    settled = [slot for slot in slots if slot.group.part is not Part.BACKLOG]
    newcomers = [slot for slot in slots if slot.group.part is Part.BACKLOG]
    rng.shuffle(settled)
    rng.shuffle(newcomers)
    times = [
        *_registrations(rng, len(settled), between=_SETTLED, now=now),
        *_registrations(rng, len(newcomers), between=_NEWCOMERS, now=now),
    ]
    ids, taken = _ids(rng), set[str]()
    return tuple(
        _person(rng, slot, key=next(ids), registered_at=at, taken=taken)
        for slot, at in zip([*settled, *newcomers], times, strict=True)
    )


def _slots(rng: random.Random) -> Iterator[_Slot]:
    shares, bounced, reached = words.domains(rng), Counter[str](), set[str]()
    for group in GROUPS:
        for n in range(group.size):
            odd = group.part in _WITH_AWKWARD_ADDRESSES and n < len(words.AWKWARD)
            domain = _domain(rng, group.part, shares=shares, bounced=bounced, reached=reached)
            if group.part is Part.DELIVERED:  # the first group; its last is the colleague of the host lost
                domain = words.HOST_LOST_DOMAIN if n == group.size - 1 else domain
                reached.add(domain)
            yield _Slot(group, domain, awkward=n if odd else None)


def _domain(
    rng: random.Random,
    part: Part,
    *,
    shares: Mapping[str, float],
    bounced: Counter[str],
    reached: Collection[str],
) -> str:
    """A domain by its share; for who bounces one where not too many have bounced yet."""
    if part in _OWN_DOMAIN:
        return _OWN_DOMAIN[part]
    at_most = _BOUNCED_AT_MOST.get(part)
    names, weights = list(shares), list(shares.values())
    while True:
        (domain,) = rng.choices(names, weights)
        if at_most is None:
            return domain
        if part in _WHERE_SOMEBODY_IS_REACHED and domain not in reached:
            continue
        if bounced[domain] < at_most:
            bounced[domain] += 1
            return domain


def _registrations(
    rng: random.Random, count: int, *, between: tuple[timedelta, timedelta], now: datetime
) -> Sequence[datetime]:
    oldest, newest = (int(ago.total_seconds()) for ago in between)
    return sorted(now - timedelta(seconds=rng.randint(newest, oldest)) for _ in range(count))


def _ids(rng: random.Random) -> Iterator[int]:
    key = _FIRST_ID
    while True:
        key += rng.randint(1, _ID_GAP)
        yield key


def _person(rng: random.Random, slot: _Slot, *, key: int, registered_at: datetime, taken: set[str]) -> Person:
    name, email = _identity(rng, slot, taken=taken)
    part = slot.group.part
    joined_after = timedelta(days=30) if slot.group.list == SUPPRESSION else timedelta(hours=1)
    barred_after = timedelta(days=20, seconds=rng.randint(0, 40 * 86_400))
    joined_after += timedelta(seconds=rng.randint(0, 2 * 86_400))
    return Person(
        id=key,
        name=name,
        email=email,
        part=part,
        list=slot.group.list,
        registered_at=registered_at,
        joined_at=registered_at + joined_after if slot.group.list else None,
        barred_at=registered_at + barred_after if part in UNMAILABLE - {Part.SUPPRESSED} else None,
    )


def _identity(rng: random.Random, slot: _Slot, *, taken: set[str]) -> tuple[str, str]:
    """A name and an address that nobody has yet; addresses are compared on lower case."""
    while True:
        given, family = rng.choice(words.GIVEN), rng.choice(words.FAMILY)
        if slot.awkward is None:
            email = words.plain_address(rng, given=given, family=family, domain=slot.domain)
        else:
            email = words.awkward_address(slot.awkward, given=given, family=family, domain=slot.domain)
        if email.lower() not in taken:
            taken.add(email.lower())
            return f"{given} {family}", email
