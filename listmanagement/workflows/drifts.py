"""Finds what people changed at Mailjet after us: facts by set-based SQL, judged by the pure rules.

Whoever a batch is changing at this moment, or a single reading has missed, is left for the next look.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Count, Exists, F, OuterRef, Q

from integrations.mailjet import Action
from listmanagement.domain import cycle, reconciliation
from listmanagement.domain.reconciliation import Deed, Drift, Facts, Fate, Finding, Left, Place, Removal
from listmanagement.models import (
    EXECUTABLE,
    SETTLED,
    BatchKind,
    Change,
    Contact,
    ContactList,
    ContactListMembership,
    ContactSuppressionHistory,
    DecisionItem,
    DecisionKind,
    DecisionStatus,
    ItemStatus,
    ListOperation,
    OperationStatus,
    Role,
    SuppressionKind,
)
from listmanagement.models.lists import MembershipQuerySet
from listmanagement.workflows import rotation
from listmanagement.workflows.permission import rounds_of

AT_ONCE = 5000
TIME_TO_DECIDE = timedelta(hours=2)
"""A list that freezes sooner is not asked about: hardly anybody could say yes in time."""

TO_BE_SUPPRESSED = "a decision to suppress them is not done with"
MIDST_OF_CYCLE = "contacts move only between cycles"
WOULD_REPEAT = "they had this cycle's message already, and their list's is still to come"


@dataclass
class Comparison:
    """What a look at everybody found, in contacts, by what becomes of it."""

    found: Counter[Drift] = field(default_factory=Counter)
    """Whose drift stands, but for those a person accepted."""
    to_ask: list[Finding] = field(default_factory=list)
    waiting: int = 0
    """Asked about already, or being put back."""
    accepted: int = 0
    """A person said earlier that it stays."""
    given_up: int = 0
    """Asked about three times, and nobody decided."""
    later: Counter[str] = field(default_factory=Counter)
    """Not asked about now, by the reason."""


def compare(*, at: datetime, afresh: bool) -> Comparison:
    """Every drift there is, and which of them people are to be asked about now.

    `afresh` asks again about what nobody decided, as when a person wants the comparison.
    """
    told = Comparison()
    hindrances = _Hindrances.now(at=at)
    suppression_list = ContactList.objects.suppression().pk
    for ids in _chunks(sorted(_candidates())):
        facts = {each.contact_id: each for each in _facts(ids, at=at)}
        findings = (reconciliation.find(each, suppression_list=suppression_list) for each in facts.values())
        found = [finding for finding in findings if finding is not None]
        fates = _fates([finding.contact_id for finding in found])
        for finding in found:
            before = fates.get((finding.contact_id, finding.drift.value, finding.membership_id), [])
            why = hindrances.of(finding, facts[finding.contact_id])
            _sort(finding, told, before=before, why_later=why, afresh=afresh)
    return told


def _sort(
    finding: Finding, told: Comparison, *, before: Sequence[Fate], why_later: str | None, afresh: bool
) -> None:
    if Fate.ACCEPTED in before:
        told.accepted += 1
        return
    told.found[finding.drift] += 1
    if Fate.WAITING in before:
        told.waiting += 1
    elif not reconciliation.may_ask(before, afresh=afresh):
        told.given_up += 1
    elif why_later is not None:
        told.later[why_later] += 1
    else:
        told.to_ask.append(finding)


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), AT_ONCE):
        yield ids[start : start + AT_ONCE]


# --- Who could be one ------------------------------------------------------------------------------------


def _candidates() -> set[int]:
    """Contacts of whom the rules may find something, each kind by one query over the whole mirror."""
    here = ContactListMembership.objects.current().filter(contact=OuterRef("contact"))
    on_campaign_list = Exists(here.filter(list__role=Role.CAMPAIGN, unsubscribed=False))
    on_suppression_list = Exists(here.filter(list__role=Role.SUPPRESSION))
    standing = ContactSuppressionHistory.objects.standing()
    astray = standing.filter(
        on_campaign_list | ~on_suppression_list, contact__opted_out_at=None, contact__complained_at=None
    )
    suppressed = standing.filter(contact=OuterRef("contact"))
    unexplained = _current(Role.SUPPRESSION).filter(~Exists(suppressed))
    several = _subscribed().values("contact").annotate(lists=Count("pk")).filter(lists__gt=1)
    back = here.filter(list=OuterRef("list"))
    taken_away = _campaign().filter(began_by=Change.OPERATION, ended_by=Change.PERSON).filter(~Exists(back))
    return {
        contact_id
        for rows in (astray, unexplained, several, taken_away)
        for contact_id in rows.values_list("contact_id", flat=True)
    }


def _campaign() -> MembershipQuerySet:
    return ContactListMembership.objects.filter(list__role=Role.CAMPAIGN)


def _current(role: Role) -> MembershipQuerySet:
    return ContactListMembership.objects.current().filter(list__role=role)


def _subscribed() -> MembershipQuerySet:
    return ContactListMembership.objects.active().filter(list__role=Role.CAMPAIGN)


# --- What is known of them -------------------------------------------------------------------------------


def _facts(ids: Collection[int], *, at: datetime) -> Iterator[Facts]:
    """How these contacts stand; without those of whom that is not certain at this moment."""
    uncertain = _being_changed(ids) | _missed_once(ids)
    standing = ContactSuppressionHistory.objects.standing().filter(contact__in=ids)
    suppressed = set(standing.values_list("contact_id", flat=True))
    here, left, removals = places(ids), _left(ids), _removals(ids)
    listed, unlisted = _on_suppression_list(ids)
    received = rotation.addressed(ids, at=at)
    for contact in Contact.objects.filter(pk__in=ids).exclude(pk__in=uncertain).order_by("pk"):
        yield Facts(
            contact_id=contact.pk,
            has_address=contact.email is not None,
            said_no=contact.opted_out_at is not None or contact.complained_at is not None,
            excluded=contact.excluded,
            suppressed=contact.pk in suppressed,
            places=tuple(here.get(contact.pk, ())),
            listed=listed.get(contact.pk),
            unlisted=unlisted.get(contact.pk),
            left=left.get(contact.pk),
            removals=removals.get(contact.pk),
            received=received.get(contact.pk, frozenset()),
        )


def _being_changed(ids: Collection[int]) -> set[int]:
    """Whom a batch changes or will change, and who is approved for one that is not journaled yet."""
    operations = ListOperation.objects.filter(contact__in=ids, status=OperationStatus.INTENDED).exclude(
        batch__status__in=SETTLED
    )
    approved = DecisionItem.objects.filter(
        contact__in=ids, status=ItemStatus.PROPOSED, decision__status__in=EXECUTABLE
    )
    return {
        *operations.values_list("contact_id", flat=True),
        *approved.values_list("contact_id", flat=True),
    }


def _missed_once(ids: Collection[int]) -> set[int]:
    """A row that one reading missed is not gone, and not certain either."""
    rows = ContactListMembership.objects.current().filter(contact__in=ids, missing_since__isnull=False)
    return set(rows.values_list("contact_id", flat=True))


def places(ids: Collection[int]) -> Mapping[int, Sequence[Place]]:
    """The campaign lists that these contacts are subscribed on, in the rotation's order."""
    found: dict[int, list[Place]] = defaultdict(list)
    rows = _subscribed().filter(contact__in=ids).order_by("list__position")
    for contact_id, pk, list_id, position, since in rows.values_list(
        "contact_id", "pk", "list_id", "list__position", "since"
    ):
        found[contact_id].append(
            Place(membership_id=pk, list_id=list_id, position=position or 0, since=since)
        )
    return found


def _on_suppression_list(ids: Collection[int]) -> tuple[Mapping[int, int], Mapping[int, int]]:
    """Current memberships of the suppression list, and the last ended ones, by contact."""
    rows = ContactListMembership.objects.filter(contact__in=ids, list__role=Role.SUPPRESSION)
    rows = rows.order_by(F("until").asc(nulls_last=True), "pk")
    current = dict(rows.filter(until=None).values_list("contact_id", "pk"))
    return current, dict(rows.filter(until__isnull=False).values_list("contact_id", "pk"))


def _left(ids: Collection[int]) -> Mapping[int, Left]:
    """The campaign membership that ended last, of whom our operation had put there and a person took off."""
    rows = _campaign().filter(contact__in=ids, until__isnull=False).order_by("until", "pk")
    last = {row.contact_id: row for row in rows}
    return {
        contact_id: Left(membership_id=row.pk, list_id=row.list_id, since=row.since)
        for contact_id, row in last.items()
        if (row.began_by, row.ended_by) == (Change.OPERATION, Change.PERSON)
    }


def _removals(ids: Collection[int]) -> Mapping[int, Mapping[int, Removal]]:
    """When each list was last left by an operation of ours, by contact."""
    rows = ListOperation.objects.filter(
        contact__in=ids,
        status=OperationStatus.APPLIED,
        batch__sending_at__isnull=False,
        batch__changes__action=Action.REMOVE,
    ).order_by("batch__sending_at", "pk")
    found: dict[int, dict[int, Removal]] = defaultdict(dict)
    for contact_id, list_id, at, kind in rows.values_list(
        "contact_id", "batch__changes__list_id", "batch__sending_at", "kind"
    ):
        assert at is not None
        found[contact_id][list_id] = Removal(at=at, is_move=kind == BatchKind.MOVE_OUT)
    return found


# --- What was asked before -------------------------------------------------------------------------------

Asked = Mapping[tuple[int, str, int | None], Sequence[Fate]]
"""What became of earlier questions, by contact, drift and the change itself."""

_FATES = {
    DecisionStatus.DRAFT: Fate.WAITING,
    DecisionStatus.OPEN: Fate.WAITING,
    DecisionStatus.REJECTED: Fate.ACCEPTED,
    DecisionStatus.EXPIRED: Fate.UNDECIDED,
    DecisionStatus.OBSERVED: Fate.UNDECIDED,
}
_FATES_OF_APPROVED = {
    ItemStatus.PROPOSED: Fate.WAITING,
    ItemStatus.TAKEN_OUT: Fate.ACCEPTED,
    ItemStatus.EXECUTED: Fate.DONE,
    ItemStatus.DROPPED: Fate.NOT_DONE,
    ItemStatus.FAILED: Fate.NOT_DONE,
}


def _fates(ids: Collection[int]) -> Asked:
    items = DecisionItem.objects.filter(contact__in=ids, decision__kind=DecisionKind.RECONCILIATION)
    found: dict[tuple[int, str, int | None], list[Fate]] = defaultdict(list)
    for contact_id, drift, membership_id, status, decided in items.order_by("pk").values_list(
        "contact_id", "group__key", "membership_id", "status", "decision__status"
    ):
        decision = DecisionStatus(decided)
        fate = _FATES_OF_APPROVED[ItemStatus(status)] if decision in EXECUTABLE else _FATES[decision]
        found[contact_id, drift, membership_id].append(fate)
    return found


# --- What is not asked about now -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Hindrances:
    """What keeps a question for later."""

    frozen: Mapping[int, str]
    """Names of lists that are frozen, or will be before anybody could decide."""
    may_move: bool
    awaited: frozenset[int]
    to_be_suppressed: frozenset[int]

    @classmethod
    def now(cls, *, at: datetime) -> _Hindrances:
        lists = list(ContactList.objects.rotation())
        return cls(
            frozen={
                each.pk: each.name
                for each in lists
                if not cycle.can_finish_before_freeze(rounds_of(each), at=at, expected=TIME_TO_DECIDE)
            },
            may_move=rotation.moves_allowed(at=at),
            awaited=rotation.awaited(at=at),
            to_be_suppressed=frozenset(rotation.to_be_suppressed()),
        )

    def of(self, finding: Finding, facts: Facts) -> str | None:
        """Why the finding is not asked about now; None where it is."""
        if finding.contact_id in self.to_be_suppressed:
            return TO_BE_SUPPRESSED
        touched = {finding.source, finding.target, *(place.list_id for place in facts.places)}
        if frozen := sorted(name for pk, name in self.frozen.items() if pk in touched):
            return f"{frozen[0]} is frozen for its send, or soon will be"
        if finding.deed is Deed.MOVE and not self.may_move:
            return MIDST_OF_CYCLE
        if finding.deed is Deed.PUT_BACK and facts.received and finding.target in self.awaited:
            return WOULD_REPEAT
        return None


# --- Found on the first day ------------------------------------------------------------------------------


def record_first_sight(*, now: datetime) -> int:
    """What stood on the suppression list when it was first read is history of the kind imported (P1).

    Nobody is asked: no person changed it after us. Returns how many were recorded. Safe to repeat.
    """
    ever = ContactSuppressionHistory.objects.filter(contact=OuterRef("contact"))
    found = _current(Role.SUPPRESSION).filter(
        Q(began_by=Change.FIRST_SIGHT) & ~Exists(ever), contact__email__isnull=False
    )
    rows = ContactSuppressionHistory.objects.bulk_create(
        [
            ContactSuppressionHistory(
                contact_id=contact_id,
                kind=SuppressionKind.IMPORTED,
                at=now,
                reason="found on the suppression list when it was first read",
            )
            for contact_id in found.values_list("contact_id", flat=True)
        ],
        batch_size=AT_ONCE,
    )
    return len(rows)
