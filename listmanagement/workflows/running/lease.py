"""Who advances a run holds its lease. Every write of a run is conditional on it.

A worker that was paused past its lease and wakes up changes nothing: its token is no longer the run's.
The database's clock decides, so that workers' clocks need not agree.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import Error, connection, transaction
from django.db.models import F
from django.db.models.expressions import RawSQL

from listmanagement.models import FINISHED, ListMaintenanceLog

log = logging.getLogger("evenkeel.runs")

LASTS_SECONDS = 20
RENEWED_EVERY_SECONDS = 5
JOINED_SECONDS = 2


class LeaseLost(Exception):
    """Somebody else advances this run now. Whoever sees this stops at once and writes nothing."""


def _until() -> RawSQL:
    return RawSQL("clock_timestamp() + make_interval(secs => %s)", [LASTS_SECONDS])


@dataclass
class Lease:
    """A claim on one run."""

    run_id: int
    token: uuid.UUID
    _renewed: float = field(default_factory=time.monotonic)

    @contextmanager
    def writing(self) -> Iterator[ListMaintenanceLog]:
        """A transaction that holds the run's row and commits only under this lease."""
        with transaction.atomic():
            run = ListMaintenanceLog.objects.select_for_update().get(pk=self.run_id)
            if run.lease_token != self.token:
                raise LeaseLost(f"run {self.run_id} was taken over")
            yield run

    def check_fresh(self) -> None:
        """Raise LeaseLost when this process has not renewed in time, as after a pause, or could not."""
        if time.monotonic() - self._renewed > LASTS_SECONDS:
            raise LeaseLost(f"run {self.run_id}: the lease ran out while this worker was paused")

    def renew(self) -> bool:
        """Extend the lease. False when it is somebody else's: from then on it is not fresh any more."""
        before = time.monotonic()
        held = ListMaintenanceLog.objects.filter(pk=self.run_id, lease_token=self.token)
        is_ours = bool(held.update(lease_until=_until()))
        self._renewed = before if is_ours else -math.inf
        return is_ours

    def give_back(self) -> None:
        """End the lease, if it is still ours."""
        ListMaintenanceLog.objects.filter(pk=self.run_id, lease_token=self.token).update(
            lease_owner="", lease_token=None, lease_until=None
        )


def claim(run_id: int) -> Lease | None:
    """Take an unfinished run's lease, where it is free or ran out. One winner; None for everybody else.

    One that ran out counts as a breakdown: its worker ended in the middle of the step.
    """
    lease = Lease(run_id=run_id, token=uuid.uuid4())
    ours: dict[str, Any] = {
        "lease_owner": f"{socket.gethostname()}:{os.getpid()}",
        "lease_token": lease.token,
        "lease_until": _until(),
    }
    unfinished = ListMaintenanceLog.objects.filter(pk=run_id).exclude(status__in=FINISHED)
    ran_out = unfinished.filter(lease_until__lte=RawSQL("clock_timestamp()", []))
    won = unfinished.filter(lease_until=None).update(**ours) or ran_out.update(
        **ours, breakdowns=F("breakdowns") + 1
    )
    return lease if won else None


def _renew(lease: Lease) -> bool:
    """Renew; a database that is away for a moment is asked again, on a new connection."""
    try:
        return lease.renew()
    except Error as away:
        log.warning("lease not renewed", extra={"run": lease.run_id, "why": type(away).__name__})
        connection.close()
        return True


@contextmanager
def kept(lease: Lease) -> Iterator[None]:
    """Renew the lease from a thread of its own while the block works; give it back at the end."""
    done = threading.Event()

    def renew_until_done() -> None:
        try:
            while not done.wait(RENEWED_EVERY_SECONDS):
                if not _renew(lease):
                    return
        finally:
            connection.close()

    renewing = threading.Thread(target=renew_until_done, name=f"lease-of-run-{lease.run_id}", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        done.set()
        renewing.join(timeout=JOINED_SECONDS)  # it may be waiting for the row: never for ever
        lease.give_back()
