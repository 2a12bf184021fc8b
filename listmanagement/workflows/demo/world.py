"""The demo's world as a description: people, memberships, campaigns and what became of their messages.

A pure function of seed, time and scenario. Everything is whole seconds, as at Mailjet.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from integrations.mailjet import MessageStatus
from listmanagement.domain.cycle import RoundStatus
from listmanagement.workflows.demo.people import MASTER, SUPPRESSION, Part, Person, invent

CAMPAIGN_LISTS = (1, 2, 3)
OBSERVING_FOR = timedelta(days=3)
SUPPRESSIONS_FOUND = timedelta(days=28)
"""How long ago the suppression list was first read: before the first campaign."""
OUTCOMES_READ_AFTER = timedelta(hours=24)
SETTLED_AFTER = timedelta(days=5)
JUDGED = 123
"""The campaign that the demo maintains. Only Mailjet knows yet what became of it."""
FIRST = 118
"""The first campaign to list 1."""


class Scenario(StrEnum):
    """Which moment the demo shows."""

    BETWEEN_CYCLES = "between-cycles"
    MID_CYCLE = "mid-cycle"
    """List 3 still waits for its round, so nobody may move."""


@dataclass(frozen=True, slots=True)
class Send:
    """One campaign. `ends_at` and `mailjet_id` are None while it is only scheduled."""

    id: int
    cycle: int
    round: int
    list: int
    subject: str
    drafted_at: datetime
    starts_at: datetime
    ends_at: datetime | None
    draft_id: int
    mailjet_id: int | None

    @property
    def status(self) -> RoundStatus:
        """Sent or scheduled."""
        return RoundStatus.SCHEDULED if self.ends_at is None else RoundStatus.SENT


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a sent campaign, as Mailjet shows it. `clicked_at` is a person's click."""

    id: int
    campaign: int
    person: Person
    sent_at: datetime
    ended_at: datetime
    status: MessageStatus
    state: int | None = None
    permanent: bool = False
    text: str = ""
    clicked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """A contact on a list. `rank` is the order of `since` on that list, from 1."""

    id: int
    list: int
    person: Person
    since: datetime
    rank: int
    unsubscribed: bool


@dataclass(frozen=True)
class World:
    """All of it. `observed` is the campaign whose maintenance was observed, `run_id` correlates that run."""

    seed: int
    now: datetime
    scenario: Scenario
    people: Sequence[Person]
    memberships: Sequence[Membership]
    sends: Sequence[Send]
    messages: Sequence[Message]
    observed: int
    run_id: uuid.UUID

    def size(self, number: int) -> int:
        """Mailable members of a campaign list."""
        return sum(m.list == number and m.person.is_mailable for m in self.memberships)


def build(*, seed: int, now: datetime, scenario: Scenario) -> World:
    """The world as it stands at `now` (aware). The same arguments give the same world."""
    rng = random.Random(seed)  # noqa: S311  (invents a demo, guards nothing)
    now = now.replace(microsecond=0)
    people = invent(rng, now=now)
    memberships = tuple(_memberships(people))
    sends = tuple(_sends(rng, now=now, scenario=scenario))
    return World(
        seed=seed,
        now=now,
        scenario=scenario,
        people=people,
        memberships=memberships,
        sends=sends,
        messages=tuple(_messages(rng, sends, memberships)),
        observed=_OBSERVED[scenario],
        run_id=uuid.UUID(int=rng.getrandbits(128), version=4),
    )


def _memberships(people: Sequence[Person]) -> Iterator[Membership]:
    joined = [(MASTER, person.registered_at, person) for person in people]
    joined += [
        (person.list, person.joined_at, person)
        for person in people
        if person.list is not None and person.joined_at is not None
    ]
    last = dict.fromkeys((*CAMPAIGN_LISTS, MASTER, SUPPRESSION), 0)
    for key, (number, since, person) in enumerate(
        sorted(joined, key=lambda row: (row[0], row[1], row[2].id)), start=1
    ):
        last[number] += 1
        unsubscribed = person.part is Part.OPTED_OUT and number == (person.list or MASTER)
        yield Membership(key, number, person, since, last[number], unsubscribed)


# --- Campaigns ---------------------------------------------------------------------------------------

_SUBJECTS = {1: "Notes from the workshop", 2: "Three small stories", 3: "What comes next"}
_SENDING = timedelta(minutes=30)
_ROUNDS = {  # campaign: cycle, round, list, when it starts
    118: (1, 1, 1, timedelta(days=-26)),
    119: (1, 2, 2, timedelta(days=-24)),
    120: (1, 3, 3, timedelta(days=-22)),
    121: (2, 1, 2, timedelta(days=-7)),
    122: (2, 2, 3, timedelta(days=-3.5)),
    123: (2, 3, 1, timedelta(hours=-30) - _SENDING),
    124: (3, 1, 1, timedelta(days=10)),
    125: (3, 2, 2, timedelta(days=12)),
    126: (3, 3, 3, timedelta(days=14)),
}
_OTHERWISE: Mapping[Scenario, Mapping[int, timedelta]] = {
    Scenario.BETWEEN_CYCLES: {},
    # 122 was put off, so the round before it came later and is the one that was observed.
    Scenario.MID_CYCLE: {121: timedelta(days=-3.5), 122: timedelta(days=3)},
}
_OBSERVED = {Scenario.BETWEEN_CYCLES: 122, Scenario.MID_CYCLE: 121}
_FIRST_DRAFT_ID = 4_000
_FIRST_CAMPAIGN_ID = 4_600_000_000
_FIRST_MESSAGE_ID = 58_000_000_000_000_000


def _sends(rng: random.Random, *, now: datetime, scenario: Scenario) -> Iterator[Send]:
    draft_id, mailjet_id = _FIRST_DRAFT_ID, _FIRST_CAMPAIGN_ID
    for key, (cycle, number, contact_list, usually) in _ROUNDS.items():
        starts_at = now + _OTHERWISE[scenario].get(key, usually)
        draft_id += rng.randint(1, 300)
        mailjet_id += rng.randint(1, 9_000_000)
        is_sent = starts_at < now
        yield Send(
            id=key,
            cycle=cycle,
            round=number,
            list=contact_list,
            subject=_SUBJECTS[cycle],
            drafted_at=min(starts_at, now) - timedelta(days=2),
            starts_at=starts_at,
            ends_at=starts_at + _SENDING if is_sent else None,
            draft_id=draft_id,
            mailjet_id=mailjet_id if is_sent else None,
        )


# --- Messages ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Failure:
    """How a message fails at Mailjet. The texts, in turn, are what the other server said."""

    status: MessageStatus
    state: int
    permanent: bool
    texts: tuple[str, ...]
    after: timedelta = timedelta(seconds=4)


_HARD, _SOFT, _BLOCKED = MessageStatus.HARD_BOUNCED, MessageStatus.SOFT_BOUNCED, MessageStatus.BLOCKED
_RETRIED_FOR = timedelta(days=3)
_UNKNOWN = (
    "550 5.1.1 <{email}> user unknown",
    "550 5.1.1 The email account that you tried to reach does not exist",
    "550 5.1.1 <{email}>: Recipient address rejected: User unknown in virtual mailbox table",
    "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient {email} not found by SMTP address lookup",
    "550 5.1.1 No such user here",
)
_NO_HOST = "Host or domain name not found. Name service error for name={domain} type=A: Host not found"

_JUDGED_FAILURES = {
    Part.OUTAGE: _Failure(
        _HARD,
        1,
        True,
        ("550 5.1.1 <{email}>: Recipient address rejected: User unknown in local recipient table",),
    ),
    Part.GONE: _Failure(_HARD, 1, True, _UNKNOWN),
    Part.ALIVE: _Failure(_HARD, 1, True, _UNKNOWN),
    Part.NO_HOST: _Failure(_HARD, 5, True, (_NO_HOST,)),
    Part.HOST_LOST: _Failure(_HARD, 5, True, (_NO_HOST,)),
    Part.FULL: _Failure(
        _SOFT, 3, False, ("452 4.2.2 <{email}> The email account that you tried to reach is over quota",)
    ),
    Part.POLICY: _Failure(_BLOCKED, 9, False, ("blocked before sending: policy issue",)),
    Part.PREBLOCKED: _Failure(
        _BLOCKED, 14, False, ("blocked before sending: the address bounced for another sender",)
    ),
}
_FIRST_FAILURES = {
    Part.NO_HOST: _Failure(
        _SOFT,
        5,
        False,
        ("Host or domain name not found. Name service error for name={domain} type=MX: try again",),
        after=_RETRIED_FOR,
    )
}
_MAY_CLICK = frozenset({Part.DELIVERED, Part.MEMBER})
_READERS = {MessageStatus.SENT: 62, MessageStatus.OPENED: 30, MessageStatus.CLICKED: 8}


def _messages(
    rng: random.Random, sends: Sequence[Send], memberships: Sequence[Membership]
) -> Iterator[Message]:
    key = _FIRST_MESSAGE_ID
    for send in sorted((s for s in sends if s.ends_at), key=lambda s: s.starts_at):
        members = [m.person for m in memberships if m.list == send.list and m.person.is_mailable]
        for n, person in enumerate(members):
            key += rng.randint(1, 50_000_000)
            sent_at = send.starts_at + _SENDING * n // len(members)
            yield _message(rng, send, person, key=key, sent_at=sent_at.replace(microsecond=0))


def _message(rng: random.Random, send: Send, person: Person, *, key: int, sent_at: datetime) -> Message:
    failures = {JUDGED: _JUDGED_FAILURES, FIRST: _FIRST_FAILURES}.get(send.id, {})
    if (failure := failures.get(person.part)) is None:
        return _delivered(rng, send, person, key=key, sent_at=sent_at)
    return Message(
        id=key,
        campaign=send.id,
        person=person,
        sent_at=sent_at,
        ended_at=sent_at + failure.after,
        status=failure.status,
        state=failure.state,
        permanent=failure.permanent,
        text=rng.choice(failure.texts).format(email=person.email, domain=person.domain),
    )


def _delivered(rng: random.Random, send: Send, person: Person, *, key: int, sent_at: datetime) -> Message:
    (status,) = rng.choices(list(_READERS), list(_READERS.values()))
    if person.part is Part.ALIVE:
        status = MessageStatus.CLICKED
    elif status is MessageStatus.CLICKED and person.part not in _MAY_CLICK:
        status = MessageStatus.OPENED
    ended_at = sent_at + timedelta(seconds=rng.randint(1, 20))
    clicked = ended_at + timedelta(seconds=rng.randint(90, 86_400))
    return Message(
        id=key,
        campaign=send.id,
        person=person,
        sent_at=sent_at,
        ended_at=ended_at,
        status=status,
        clicked_at=clicked if status is MessageStatus.CLICKED else None,
    )
