"""A reviewer says whether list health's assessment of a list was right."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from listmanagement.models import ListHealth
from listmanagement.workflows.by_people import audit, review
from listmanagement.workflows.by_people.refusals import NotAllowed


@transaction.atomic
def mark_right(health_id: int, *, by: User, now: datetime) -> ListHealth:
    """The assessment was right. Raises NotAllowed when `by` may not say so, or there is no such one."""
    return _mark(health_id, is_right=True, by=by, why="", now=now)


@transaction.atomic
def mark_wrong(health_id: int, *, by: User, why: str, now: datetime) -> ListHealth:
    """The assessment was wrong. Raises NotAllowed as `mark_right` does, and without a reason."""
    if not why.strip():
        raise NotAllowed("a wrong assessment needs a reason: the judgement learns from it")
    return _mark(health_id, is_right=False, by=by, why=why.strip(), now=now)


def why_not(by: User) -> str | None:
    """Why this person may not mark; None where they may."""
    return review.why_no_reviewer(by, wants_to="mark")


def _mark(health_id: int, *, is_right: bool, by: User, why: str, now: datetime) -> ListHealth:
    """The last word counts; who said what before stays in the audit trail."""
    if (refusal := why_not(by)) is not None:
        raise NotAllowed(refusal)
    row = ListHealth.objects.select_for_update().filter(pk=health_id).first()
    if row is None:
        raise NotAllowed(f"there is no assessment {health_id}")
    row.is_right, row.marked_by, row.marked_at, row.marked_why = is_right, by, now, why
    row.save(update_fields=["is_right", "marked_by", "marked_at", "marked_why"])
    audit.note(row, "marked right" if is_right else "marked wrong", by=by, now=now, why=why)
    return row
