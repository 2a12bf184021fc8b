"""What a check of a promise says: held or broken, by whom it was broken, and what a person does about it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from listmanagement.domain.telling import people

SHOWN = 20
"""Ids that a violation or a note lists; all are counted."""


class Name(StrEnum):
    """The promises that live data can be held against."""

    EVIDENCE = "P1"
    CONSENT = "P2"
    MASTER = "P3"
    ONE_PLACE = "P4"
    ONCE_PER_CYCLE = "P5"
    JOURNAL = "P6"
    BOUNDED = "P7"
    PRIVATE = "P8"
    OFF = "P9"
    ALONE = "P10"
    ONE_EFFECT = "P11"


TITLES = {
    Name.EVIDENCE: "Evidence: suppressions with evidence, decision and operation",
    Name.CONSENT: "Consent: people who said no, or may not be mailed",
    Name.MASTER: "Master: members of the master list",
    Name.ONE_PLACE: "One place: contacts on campaign lists",
    Name.ONCE_PER_CYCLE: "Once per cycle: contacts active when a cycle began",
    Name.JOURNAL: "Journal: batches",
    Name.BOUNDED: "Bounded AI: groups of contacts that agents judged",
    Name.PRIVATE: "Private: agents' questions and answers, and messages",
    Name.OFF: "Off is off: batches, while everything is paused",
    Name.ALONE: "Alone it stands: runs under way",
    Name.ONE_EFFECT: "One effect: operations applied",
}
"""Each promise, and what `checked` counts."""


@dataclass(frozen=True)
class Objection:
    """What is wrong about one contact, and what to do. Alike objections become one violation."""

    words: str
    what_to_do: str


@dataclass(frozen=True)
class Violation:
    """One way in which a promise is broken. `contacts` are the first twenty ids, `count` is all of them."""

    contacts: tuple[int, ...]
    count: int
    words: str
    what_to_do: str


@dataclass(frozen=True)
class Promise:
    """One promise held against live data.

    `noted` is what a person should know although nothing of ours broke the promise: what people did at
    Mailjet, and what could not be judged yet.
    """

    name: Name
    checked: int
    broken: tuple[Violation, ...] = ()
    noted: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What is promised and what was counted."""
        return TITLES[self.name]

    @property
    def held(self) -> bool:
        """Whether nothing of ours broke it."""
        return not self.broken


def violation(contacts: Collection[int], objection: Objection) -> Violation:
    """One objection to some contacts, or to none by name."""
    shown = tuple(sorted(contacts)[:SHOWN])
    return Violation(
        contacts=shown, count=len(contacts), words=objection.words, what_to_do=objection.what_to_do
    )


def violations(found: Iterable[tuple[int, Objection]]) -> tuple[Violation, ...]:
    """Objections to single contacts (by id), put together where they are alike; the most frequent first."""
    alike: dict[Objection, set[int]] = {}
    for contact_id, objection in found:
        alike.setdefault(objection, set()).add(contact_id)
    ordered = sorted(alike.items(), key=lambda each: (-len(each[1]), each[0].words))
    return tuple(violation(contacts, objection) for objection, contacts in ordered)


def first_ids(ids: Iterable[int]) -> str:
    """The first twenty ids, in order, as a violation that is not about contacts names its rows: "4, 7, 9"."""
    return ", ".join(map(str, sorted(ids)[:SHOWN]))


def named(contacts: Collection[int]) -> str:
    """Contacts as a note names them: "3 contacts (4, 7, 9)", at most twenty ids."""
    ids = [str(contact_id) for contact_id in sorted(contacts)]
    more = f" and {len(ids) - SHOWN:,} more" if len(ids) > SHOWN else ""
    return f"{people(len(ids))} ({', '.join(ids[:SHOWN])}{more})"


def notes(*found: tuple[Collection[int], str]) -> tuple[str, ...]:
    """A note for each of these that concerns anybody: contacts, and what is the matter with them."""
    return tuple(f"{named(contacts)}: {words}" for contacts, words in found if contacts)
