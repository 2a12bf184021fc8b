"""People decide what waits: approve, reject, take contacts out."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q

from listmanagement.models import FINISHED, Decision, DecisionKind, DecisionStatus, ItemStatus
from listmanagement.workflows.by_people import audit
from listmanagement.workflows.by_people.refusals import NotAllowed

PERMISSION = "listmanagement.review_decision"


@transaction.atomic
def approve(decision_id: int, *, by: User, now: datetime, note: str = "") -> Decision:
    """Say yes to what is still proposed. Executing follows; this changes nothing at Mailjet.

    Raises NotAllowed when somebody was faster, it expired, or `by` may not decide it.
    """
    decision = _open(decision_id, by=by, now=now)
    _close(decision, DecisionStatus.APPROVED, by=by, note=note, now=now)
    audit.note(decision, "approved", by=by, now=now, note=note)
    return decision


@transaction.atomic
def reject(decision_id: int, *, by: User, now: datetime, why: str) -> Decision:
    """Say no, with a reason. Nothing is executed; holds go on. Raises NotAllowed as `approve` does."""
    if not why.strip():
        raise NotAllowed("a rejection needs a reason: the judgement learns from it")
    decision = _open(decision_id, by=by, now=now)
    _close(decision, DecisionStatus.REJECTED, by=by, note=why.strip(), now=now)
    audit.note(decision, "rejected", by=by, now=now, note=why.strip())
    return decision


@transaction.atomic
def take_out(decision_id: int, *, contacts: Collection[int], by: User, now: datetime) -> int:
    """Leave these contacts out of an open decision. Returns how many were in it.

    Raises NotAllowed as `approve` does, and when nobody would be left.
    """
    decision = _open(decision_id, by=by, now=now)
    proposed = decision.items.filter(status=ItemStatus.PROPOSED)
    leaving = proposed.filter(contact__in=contacts)
    if not leaving.exists():
        raise NotAllowed("none of these contacts is still proposed in this decision")
    if not proposed.exclude(contact__in=contacts).exists():
        raise NotAllowed("nobody would be left: reject the decision instead, with a reason")
    ids = list(leaving.values_list("contact_id", flat=True))
    leaving.update(status=ItemStatus.TAKEN_OUT, why=f"taken out by {by.get_username()}")
    audit.note(decision, "contacts taken out", by=by, now=now, contacts=ids)
    return len(ids)


@transaction.atomic
def put_back(decision_id: int, *, contacts: Collection[int], by: User, now: datetime) -> int:
    """Propose contacts again that a reviewer had taken out. Returns how many.

    Raises NotAllowed as `approve` does, and when none of them was taken out.
    """
    decision = _open(decision_id, by=by, now=now)
    back = decision.items.filter(status=ItemStatus.TAKEN_OUT, contact__in=contacts)
    ids = list(back.values_list("contact_id", flat=True))
    if not ids:
        raise NotAllowed("none of these contacts was taken out of this decision")
    back.update(status=ItemStatus.PROPOSED, why="")
    audit.note(decision, "contacts put back", by=by, now=now, contacts=ids)
    return len(ids)


def why_no_reviewer(by: User, *, wants_to: str = "decide") -> str | None:
    """Why this person may not do what only reviewers do; None for a reviewer."""
    if by.is_active and by.has_perm(PERMISSION):
        return None
    return f"{by.get_username()} may look, but not {wants_to}: ask an administrator for the role Reviewers"


def why_not(decision: Decision, *, by: User, now: datetime) -> str | None:
    """Why this person cannot decide this now; None when they can. Buttons show exactly then."""
    if (no := why_no_reviewer(by)) is not None:
        return no
    if decision.status != DecisionStatus.OPEN:
        return _closed_words(decision)
    if decision.deadline is not None and decision.deadline <= now:
        return f"it expired at {decision.deadline:%d %B %Y %H:%M} UTC and is judged afresh by the next run"
    if decision.run.status in FINISHED:
        return f"run {decision.run_id} has ended without it: have the run continue, on its page, then decide"
    if decision.run.triggered_by_id == by.pk and _other_reviewers(by):
        return f"{by.get_username()} started this run, so another reviewer decides"
    return None


def check_can_decide(decision: Decision, *, by: User, now: datetime) -> None:
    """Raise NotAllowed unless this person can decide this now."""
    if (why := why_not(decision, by=by, now=now)) is not None:
        raise NotAllowed(f"decision {decision.pk}: {why}")


def _open(decision_id: int, *, by: User, now: datetime) -> Decision:
    decision = (
        Decision.objects.select_for_update(of=("self",)).select_related("run").filter(pk=decision_id).first()
    )
    if decision is None:
        raise NotAllowed(f"decision {decision_id} does not exist")
    check_can_decide(decision, by=by, now=now)
    return decision


def _closed_words(decision: Decision) -> str:
    if decision.reviewed_by is not None and decision.reviewed_at is not None:
        return (
            f"{decision.reviewed_by.get_username()} {decision.status} it already, "
            f"on {decision.reviewed_at:%d %B %Y at %H:%M} UTC; nothing was done twice"
        )
    if decision.kind == DecisionKind.CONSENT:
        return "the consent rule made it: what people say of themselves is applied without a review"
    return {
        DecisionStatus.EXPIRED: decision.note
        or "nobody decided in time, it expired and is judged afresh by the next run",
        DecisionStatus.OBSERVED: "it is only observed: nothing executes yet",
        DecisionStatus.CLEAR: "the autonomy rule let it execute by itself",
        DecisionStatus.DRAFT: "it is still being prepared",
    }[DecisionStatus(decision.status)]


def _other_reviewers(by: User) -> bool:
    """Whether anybody else could decide."""
    codename = PERMISSION.split(".")[1]
    may = (
        Q(is_superuser=True)
        | Q(groups__permissions__codename=codename)
        | Q(user_permissions__codename=codename)
    )
    return User.objects.filter(may, is_active=True).exclude(pk=by.pk).exists()


def _close(decision: Decision, status: DecisionStatus, *, by: User, note: str, now: datetime) -> None:
    decision.status, decision.reviewed_by, decision.reviewed_at, decision.note = status, by, now, note
    decision.save(update_fields=["status", "reviewed_by", "reviewed_at", "note"])
