"""Carries out what a run decided: journals what may be executed, drives it, waits for the review."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q

from listmanagement.models import EXECUTABLE, DecisionItem, DecisionKind, DecisionStatus, ItemStatus
from listmanagement.models.decisions import DecisionQuerySet
from listmanagement.workflows import rotation
from listmanagement.workflows.changes import journal
from listmanagement.workflows.running.steps import AwaitReview, Done, Hand, Next


def carry_out(hand: Hand, kind: DecisionKind) -> Next:
    """Drive what may be executed; wait for what is not decided yet, without holding the rotation.

    What is decided while something else is being driven is not missed: the step ends only when one look
    finds nothing open and nothing left to journal.
    """
    decisions = hand.run.decisions.filter(kind=kind)
    while True:
        journal.intend(hand, decisions.filter(status__in=EXECUTABLE))
        if (waiting := drive(hand)) is not None:
            return waiting
        match _stands(decisions):
            case DecisionStatus.OPEN:
                return AwaitReview()
            case None:
                return Done()


def drive(hand: Hand) -> Next | None:
    """Take the journal as far as it goes; None when everything in it has ended."""
    if not hand.run.batches.unsettled().exists():
        return None
    if (busy := rotation.take_rotation(hand)) is not None:
        return busy
    outcome = journal.drive(hand)
    if isinstance(outcome, Done) or not journal.is_halfway(hand.run):
        rotation.give_rotation_back(hand)  # a wait for a freeze must not keep other runs from their lists
    return None if isinstance(outcome, Done) else outcome


def _stands(decisions: DecisionQuerySet) -> DecisionStatus | None:
    """What one look at the decisions leaves to do: a review, something to journal, or nothing."""
    undone = DecisionItem.objects.filter(decision=OuterRef("pk"), status=ItemStatus.PROPOSED, operations=None)
    left = decisions.filter(
        Q(status=DecisionStatus.OPEN) | (Q(status__in=EXECUTABLE) & Exists(undone))
    ).values_list("status", flat=True)
    found = set(left)
    if found & set(EXECUTABLE):
        return DecisionStatus.APPROVED
    return DecisionStatus.OPEN if found else None
