"""Keeps who did what to what."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Model

from listmanagement.models import AuditEntry

SYSTEM = "evenkeel"


def note(subject: Model, action: str, *, by: User | None, now: datetime, **details: Any) -> None:
    """Add an entry. Inside the caller's transaction, so that it stands exactly when the deed does."""
    AuditEntry.objects.create(
        at=now,
        actor=by.get_username() if by is not None else SYSTEM,
        action=action,
        subject_kind=subject._meta.model_name or "",
        subject_id=subject.pk,
        details=details,
    )
