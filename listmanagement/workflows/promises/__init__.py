"""Holds the promises P1 to P11 against live data: the database and Mailjet. Changes neither.

*Broken* is what our journal did, or what nothing explains; *noted* is what people did, and what cannot
be judged yet. Contacts that a batch is changing at this moment are left out, and a note counts them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Q

from integrations.mailjet import Mailjet
from listmanagement.models import SETTLED, ListOperation, OperationStatus
from listmanagement.workflows import consent
from listmanagement.workflows.promises.cycles import check_once_per_cycle
from listmanagement.workflows.promises.evidence import check_evidence
from listmanagement.workflows.promises.journal import check_journal
from listmanagement.workflows.promises.judged import check_bounded, check_private
from listmanagement.workflows.promises.lists import check_consent, check_master, check_one_place
from listmanagement.workflows.promises.shown import NotChecked, read
from listmanagement.workflows.promises.verdicts import Name, Promise, Violation
from listmanagement.workflows.promises.working import check_alone, check_off, check_once

__all__ = ["Name", "NotChecked", "Promise", "Verification", "Violation", "broken", "verify"]


@dataclass(frozen=True)
class Verification:
    """All promises, held against live data at one time. `requests` went to Mailjet for it."""

    at: datetime
    promises: tuple[Promise, ...]
    requests: int

    @property
    def broken(self) -> list[str]:
        """The names of those that are broken."""
        return [promise.name.value for promise in self.promises if not promise.held]


def broken(*, mailjet: Mailjet, now: datetime, enabled: bool = True) -> list[str]:
    """The names of the broken promises, such as ["P2"]; empty where all are held. Raises as `verify` does."""
    return verify(mailjet=mailjet, now=now, enabled=enabled).broken


def verify(*, mailjet: Mailjet, now: datetime, enabled: bool = True) -> Verification:
    """Hold every promise against what the database and Mailjet say. Not inside a transaction.

    `enabled` is LIST_MANAGEMENT_ENABLED: while it is false nobody expects what contacts said to be applied.

    Raises MailjetError where Mailjet does not answer, NotChecked where lists are missing.
    """
    before = mailjet.requests
    seen = read(mailjet)
    with _snapshot():
        busy = _being_changed(since=now)
        promises = (
            check_evidence(seen, busy=busy),
            check_consent(seen, busy=busy, kept=consent.why_kept(enabled=enabled), now=now),
            check_master(seen),
            check_one_place(seen, busy=busy),
            check_once_per_cycle(now=now),
            check_journal(now=now),
            check_bounded(),
            check_private(),
            check_off(),
            check_alone(now=now),
            check_once(),
        )
    return Verification(at=now, promises=promises, requests=mailjet.requests - before)


@contextmanager
def _snapshot() -> Iterator[None]:
    """One view of the database for all checks, in which PostgreSQL itself refuses every write."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("set transaction isolation level repeatable read, read only")
        yield


def _being_changed(*, since: datetime) -> frozenset[int]:
    """Contacts of batches under way, and of those settled since the reading of Mailjet began."""
    under_way = Q(status=OperationStatus.INTENDED) & ~Q(batch__status__in=SETTLED)
    changed = ListOperation.objects.filter(under_way | Q(applied_at__gt=since))
    return frozenset(changed.values_list("contact_id", flat=True))
