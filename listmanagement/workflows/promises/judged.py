"""P7 and P8, as far as rows show them: what was executed was allowed, and nothing personal left the house."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import F, Q, QuerySet, TextField
from django.db.models.functions import Cast

from listmanagement.domain.autonomy import LIMITS
from listmanagement.domain.suppression import Region
from listmanagement.models import (
    EXECUTABLE,
    AgentCall,
    DecisionGroup,
    DecisionItem,
    DecisionKind,
    DecisionStatus,
    ItemAction,
    ItemStatus,
    Notification,
    OperationStatus,
)
from listmanagement.workflows.promises.verdicts import (
    Name,
    Objection,
    Promise,
    Violation,
    first_ids,
    violation,
)

JUDGED = (DecisionKind.SUPPRESSION, DecisionKind.REBALANCING)
"""Decisions that agents propose. The others are made by people, or by what contacts said."""

ADDRESS = r"[[:alnum:]._%+-]+@[[:alnum:]-]+(\.[[:alnum:]-]+)*\.[[:alpha:]]{2,}"
"""An e-mail address, as PostgreSQL's regular expressions find one."""


def check_bounded() -> Promise:
    """Hold what was executed against what the policy and the autonomy rule leave open (P7)."""
    groups = DecisionGroup.objects.filter(decision__kind__in=JUDGED)
    return Promise(Name.BOUNDED, checked=groups.count(), broken=tuple(_unbounded(groups)))


def _unbounded(groups: QuerySet[DecisionGroup]) -> Iterator[Violation]:
    done = [OperationStatus.APPLIED, OperationStatus.UNDONE]
    changed = DecisionItem.objects.filter(  # of suppressions P1 asks the same, and more
        decision__kind=DecisionKind.REBALANCING, operations__status__in=done
    )
    yield from _items(
        changed.exclude(decision__status__in=EXECUTABLE),
        "changed although nobody approved it and the autonomy rule did not let it",
        "Undo the run, and look at what changed these contacts.",
    )
    yield from _items(
        changed.filter(status=ItemStatus.TAKEN_OUT),
        "changed although a reviewer took them out",
        "Undo the run for these contacts.",
    )
    proposed = [ItemAction.SUPPRESS, ItemAction.PLACE, ItemAction.MOVE]
    alone = groups.filter(decision__status=DecisionStatus.CLEAR, action__in=proposed)
    unsure = Q(confidence__lte=LIMITS.execute_above) & ~Q(region=Region.MUST)
    doubted = Q(disagreement=True) & ~Q(region=Region.MUST) | Q(contradiction=True) | Q(policy_review=True)
    yield from _groups(
        alone.filter(unsure | doubted | ~Q(reasons=[])),
        "executed alone although something spoke for a review",
        "Look at the decision, and undo the run where it was wrong.",
    )
    yield from _groups(
        groups.filter(region=Region.MUST).exclude(action__in=[ItemAction.SUPPRESS, ItemAction.HOLD]),
        "must be suppressed by the policy, and something else was proposed",
        "Report it: a model chose outside of what the policy leaves open.",
    )


def _items(items: QuerySet[DecisionItem], words: str, what_to_do: str) -> Iterator[Violation]:
    contacts = set(items.values_list("contact_id", flat=True))
    if contacts:
        yield violation(contacts, Objection(words, what_to_do))


def _groups(groups: QuerySet[DecisionGroup], words: str, what_to_do: str) -> Iterator[Violation]:
    ids = set(groups.values_list("decision", flat=True))
    if ids:
        shown = f"{words}: decisions {first_ids(ids)}"
        contacts = set(groups.filter(items__isnull=False).values_list("items__contact", flat=True))
        yield violation(contacts, Objection(shown, what_to_do))


def check_private() -> Promise:
    """Look for addresses in what agents were asked and answered, and in what Slack was told (P8)."""
    calls, messages = AgentCall.objects.all(), Notification.objects.all()
    broken = (
        *_with_addresses(calls, "agent calls", "asked", "answer", "stated", "refused"),
        *_with_addresses(messages, "notifications", "text", "blocks"),
    )
    return Promise(Name.PRIVATE, checked=calls.count() + messages.count(), broken=broken)


def _with_addresses(rows: QuerySet[Any], what: str, *columns: str) -> Iterator[Violation]:
    found: set[int] = set()
    for column in columns:
        told = rows.annotate(told=Cast(F(column), TextField()))
        found.update(told.filter(told__regex=ADDRESS).values_list("pk", flat=True))
    if found:
        yield violation(
            (),
            Objection(
                f"{len(found):,} {what} with an e-mail address in them: {first_ids(found)}",
                "Report it, and tell whoever is responsible for personal data.",
            ),
        )
