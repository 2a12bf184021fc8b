"""What a plan may not do, whoever proposed it.

A guard looks at the whole plan and names the contacts it objects to. Guards repeat on purpose what
rules, solver and agents already respect: they are held against every plan, a model's or our own,
and again on fresh facts before execution. A finding is never averaged away: it stands in the queue.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from listmanagement.domain.balance import Move, Placement
from listmanagement.domain.suppression import SUPPRESSES
from listmanagement.domain.telling import people


class Code(StrEnum):
    """What is wrong. Each member's guard stands in the table below."""

    UNKNOWN_CONTACT = "unknown_contact"
    PLANNED_TWICE = "planned_twice"
    ADDED_WITHOUT_CONSENT = "added_without_consent"
    ADDED_THOUGH_SUPPRESSED = "added_though_suppressed"
    MASTER_LIST_TARGETED = "master_list_targeted"
    NOT_A_CAMPAIGN_LIST = "not_a_campaign_list"
    ALREADY_ON_A_LIST = "already_on_a_list"
    NOT_ON_A_LIST = "not_on_a_list"
    ON_TWO_LISTS = "on_two_lists"
    NOT_ON_SOURCE = "not_on_source"
    MOVED_TO_SAME_LIST = "moved_to_same_list"
    HELD_CONTACT_MOVED = "held_contact_moved"
    MOVED_AGAIN_TOO_SOON = "moved_again_too_soon"
    MOVED_IN_MID_CYCLE = "moved_in_mid_cycle"
    OUTSIDE_POLICY = "outside_policy"
    PROTECTED = "protected"
    LIST_FROZEN = "list_frozen"


@dataclass(frozen=True)
class Finding:
    """One objection: what is wrong, in words a reviewer reads, and with whom."""

    code: Code
    words: str
    contacts: tuple[int, ...]


@dataclass(frozen=True)
class ContactFacts:
    """One contact as it stands now."""

    contact_id: int
    lists: frozenset[int]
    """Campaign lists where the contact is active."""
    opted_out: bool = False
    excluded: bool = False
    complained: bool = False
    suppressed: bool = False
    """On the suppression list."""
    held: bool = False
    """As a contact, or with its domain or mail host."""
    protected: bool = False
    moved_recently: bool = False

    @property
    def consents(self) -> bool:
        """Whether adding the contact anywhere respects what it said."""
        return not (self.opted_out or self.excluded or self.complained)


@dataclass(frozen=True)
class Rotation:
    """The lists a plan is about, and whether they may change."""

    master_list: int
    campaign_lists: frozenset[int]
    between_cycles: bool
    frozen: frozenset[int] = frozenset()
    """Campaign lists that are frozen now, or would be before the plan could be carried out."""


@dataclass(frozen=True)
class Suppression:
    """A contact proposed for the suppression list, and the region the policy gave."""

    contact_id: int
    region: str


@dataclass(frozen=True)
class Proposed:
    """A suppression plan, a rebalancing plan, or both."""

    suppressions: tuple[Suppression, ...] = ()
    placements: tuple[Placement, ...] = ()
    moves: tuple[Move, ...] = ()


@dataclass(frozen=True)
class _Case:
    """A plan beside the facts it is held against."""

    plan: Proposed
    contacts: Mapping[int, ContactFacts]
    rotation: Rotation

    def suppressed(self) -> Iterator[ContactFacts]:
        return self._known(self.plan.suppressions)

    def placed(self) -> Iterator[ContactFacts]:
        return self._known(self.plan.placements)

    def moved(self) -> Iterator[ContactFacts]:
        return self._known(self.plan.moves)

    def added(self) -> Iterator[ContactFacts]:
        """Everybody who would join a campaign list: a move adds before it removes."""
        yield from self.placed()
        yield from self.moved()

    def targets(self) -> Iterator[tuple[int, int]]:
        """Each added contact with the list it would join."""
        yield from ((placement.contact_id, placement.list_id) for placement in self.plan.placements)
        yield from ((move.contact_id, move.target_id) for move in self.plan.moves)

    def everybody(self) -> Iterator[int]:
        for part in (self.plan.suppressions, self.plan.placements, self.plan.moves):
            yield from (each.contact_id for each in part)

    def _known(self, part: Iterable[Suppression | Placement | Move]) -> Iterator[ContactFacts]:
        return (self.contacts[each.contact_id] for each in part if each.contact_id in self.contacts)


def check_plan(
    plan: Proposed, *, contacts: Mapping[int, ContactFacts], rotation: Rotation
) -> tuple[Finding, ...]:
    """Every objection to a plan, the gravest first; none where it may be carried out.

    `contacts` holds the facts by contact id; a contact missing there is a finding of its own.
    """
    case = _Case(plan, contacts, rotation)
    objections = ((guard, tuple(sorted(set(guard.objects_to(case))))) for guard in _GUARDS)
    return tuple(Finding(guard.code, guard.says(who), who) for guard, who in objections if who)


@dataclass(frozen=True)
class _Guard:
    code: Code
    words: str
    """Continues "3 contacts ..."."""
    objects_to: Callable[[_Case], Iterable[int]]

    def says(self, who: tuple[int, ...]) -> str:
        return f"{people(len(who))}: {self.words}."


def _ids(facts: Iterable[ContactFacts], objection: Callable[[ContactFacts], bool]) -> Iterator[int]:
    return (contact.contact_id for contact in facts if objection(contact))


def _planned_twice(case: _Case) -> Iterator[int]:
    return (contact_id for contact_id, times in Counter(case.everybody()).items() if times > 1)


def _off_the_rotation(case: _Case) -> Iterator[int]:
    allowed = case.rotation.campaign_lists | {case.rotation.master_list}  # the master has its own guard
    yield from (contact_id for contact_id, target in case.targets() if target not in allowed)
    yield from (move.contact_id for move in case.plan.moves if move.source_id not in allowed)


def _master_touched(case: _Case) -> Iterator[int]:
    master = case.rotation.master_list
    yield from (contact_id for contact_id, target in case.targets() if target == master)
    yield from (move.contact_id for move in case.plan.moves if move.source_id == master)


def _elsewhere(case: _Case) -> Iterator[int]:
    for move in case.plan.moves:
        contact = case.contacts.get(move.contact_id)
        if contact is not None and contact.lists and move.source_id not in contact.lists:
            yield move.contact_id


def _on_frozen_lists(case: _Case) -> Iterator[int]:
    frozen = case.rotation.frozen
    yield from (contact_id for contact_id, target in case.targets() if target in frozen)
    yield from (move.contact_id for move in case.plan.moves if move.source_id in frozen)
    yield from _ids(case.suppressed(), lambda contact: bool(contact.lists & frozen))


_GUARDS = (
    _Guard(
        Code.ADDED_WITHOUT_CONSENT,
        "opted out, excluded or complained, and may not be added to any list",
        lambda case: _ids(case.added(), lambda contact: not contact.consents),
    ),
    _Guard(
        Code.MASTER_LIST_TARGETED,
        "the master list would be changed, which is only read",
        _master_touched,
    ),
    _Guard(
        Code.OUTSIDE_POLICY,
        "proposed for suppression where the policy allows none",
        lambda case: (
            proposed.contact_id for proposed in case.plan.suppressions if proposed.region not in SUPPRESSES
        ),
    ),
    _Guard(
        Code.ADDED_THOUGH_SUPPRESSED,
        "on the suppression list, and may join a campaign list only once that is lifted",
        lambda case: _ids(case.added(), lambda contact: contact.suppressed),
    ),
    _Guard(
        Code.PLANNED_TWICE,
        "named twice in this plan; each may be suppressed, placed or moved once",
        _planned_twice,
    ),
    _Guard(
        Code.UNKNOWN_CONTACT,
        "not known here (any more); fetch the lists again",
        lambda case: (contact_id for contact_id in case.everybody() if contact_id not in case.contacts),
    ),
    _Guard(
        Code.NOT_A_CAMPAIGN_LIST,
        "would be added to or taken from a list outside the rotation",
        _off_the_rotation,
    ),
    _Guard(
        Code.ALREADY_ON_A_LIST,
        "to be placed, but already active on a campaign list",
        lambda case: _ids(case.placed(), lambda contact: bool(contact.lists)),
    ),
    _Guard(
        Code.NOT_ON_A_LIST,
        "to be suppressed or moved, but active on no campaign list",
        lambda case: _ids((*case.suppressed(), *case.moved()), lambda contact: not contact.lists),
    ),
    _Guard(
        Code.ON_TWO_LISTS,
        "to be moved, but active on two campaign lists; a person decides first where they belong",
        lambda case: _ids(case.moved(), lambda contact: len(contact.lists) > 1),
    ),
    _Guard(
        Code.NOT_ON_SOURCE,
        "to be moved from a list where they are not",
        _elsewhere,
    ),
    _Guard(
        Code.MOVED_TO_SAME_LIST,
        "to be moved to the list they are on",
        lambda case: (move.contact_id for move in case.plan.moves if move.source_id == move.target_id),
    ),
    _Guard(
        Code.HELD_CONTACT_MOVED,
        "on hold, and stay on their list while they wait",
        lambda case: _ids(case.moved(), lambda contact: contact.held),
    ),
    _Guard(
        Code.MOVED_AGAIN_TOO_SOON,
        "moved within the last two cycles, and stay where they are",
        lambda case: _ids(case.moved(), lambda contact: contact.moved_recently),
    ),
    _Guard(
        Code.MOVED_IN_MID_CYCLE,
        "would move in the middle of a cycle, and be mailed twice in it or not at all",
        lambda case: () if case.rotation.between_cycles else (move.contact_id for move in case.plan.moves),
    ),
    _Guard(
        Code.PROTECTED,
        "protected by a person, and suppressed only by a person",
        lambda case: _ids(case.suppressed(), lambda contact: contact.protected),
    ),
    _Guard(
        Code.LIST_FROZEN,
        "on or bound for a list that is frozen for its next send",
        _on_frozen_lists,
    ),
)
