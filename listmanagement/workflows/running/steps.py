"""What a step of a run gets and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from listmanagement.models import ListMaintenanceLog, RunStatus
from listmanagement.outside import Outside
from listmanagement.workflows.running.lease import Lease


@dataclass(frozen=True)
class Done:
    """The step is done; the next one follows."""


@dataclass(frozen=True)
class Wait:
    """The step goes on at this time. Nobody works on the run until then."""

    until: datetime
    for_: str


@dataclass(frozen=True)
class Pause(Wait):
    """A wait because nobody asks Mailjet at all: neither a failure of the step nor a step further."""


@dataclass(frozen=True)
class AwaitReview:
    """The step goes on when no decision of the run is open any more."""


@dataclass(frozen=True)
class Finish:
    """The run ends here."""

    status: RunStatus
    why: str


Next = Done | Wait | AwaitReview | Finish


@dataclass(frozen=True)
class Hand:
    """What a step has in hand: its run as it stood when the step began, the lease, the outside, the time."""

    run: ListMaintenanceLog
    lease: Lease
    outside: Outside
    clock: Callable[[], datetime]

    @property
    def now(self) -> datetime:
        """The time as the door's clock says."""
        return self.clock()


StepFunction = Callable[[Hand], Next]
