"""P9 to P11, as far as rows show them: off is off, nothing is left lying, and each effect was had once."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from django.db.models import Count, Q, QuerySet

from listmanagement.models import (
    ContactSuppressionHistory,
    DecisionItem,
    DraftOperation,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    ListOperation,
    Notification,
    OperationBatch,
    OperationStatus,
    RolloutState,
    RunStatus,
)
from listmanagement.workflows.promises.journal import about_batches
from listmanagement.workflows.promises.verdicts import (
    Name,
    Objection,
    Promise,
    Violation,
    first_ids,
    violation,
    violations,
)

LEFT_AFTER = timedelta(hours=1)


def check_off() -> Promise:
    """Nothing was sent since a person paused everything (P9). What Mailjet held by then may end.

    An undo that a person started in this pause, with a stated override, goes on, as `permission` lets it.
    """
    state = RolloutState.objects.filter(paused_at__isnull=False).first()
    if state is None:
        return Promise(Name.OFF, checked=0)
    since = state.paused_at
    sent = OperationBatch.objects.filter(sending_at__gt=since)
    sent = sent.filter(Q(run__override="") | Q(run__overridden_at__lt=since))
    broken = [
        *about_batches(sent, "sent although everything was paused", "Undo their runs, and report it."),
        *_drafts_changed(DraftOperation.objects.filter(sending_at__gt=since)),
    ]
    checked = OperationBatch.objects.count() + DraftOperation.objects.count()
    return Promise(Name.OFF, checked=checked, broken=tuple(broken))


def _drafts_changed(operations: QuerySet[DraftOperation]) -> Iterator[Violation]:
    ids = list(operations.values_list("pk", flat=True))
    if ids:
        words = f"schedules of drafts changed although everything was paused: {first_ids(ids)}"
        yield violation((), Objection(words, "See their campaigns' pages, set them right, and report it."))


def check_alone(*, now: datetime) -> Promise:
    """Every unfinished run is advanced by somebody, and messages leave the house (P10)."""
    unfinished = ListMaintenanceLog.objects.unfinished()
    late = now - LEFT_AFTER
    lying = ListMaintenanceLog.objects.due(at=late).filter(created_at__lte=late)
    lying = lying.exclude(status=RunStatus.WAITING_FOR_REVIEW)  # when it was decided is not its own to say
    unsent = Notification.objects.due(at=late).count()
    return Promise(
        Name.ALONE,
        checked=unfinished.count(),
        broken=tuple(_left(lying.filter(lease_until=None).values_list("pk", flat=True))),
        noted=(f"{unsent:,} messages wait for Slack for more than an hour",) if unsent else (),
    )


def _left(ids: Collection[int]) -> Iterator[Violation]:
    if ids:
        yield violation(
            (),
            Objection(
                f"runs that nobody has advanced for more than an hour: {first_ids(ids)}",
                "See that a worker runs; manage.py sweep advances what is due once, by hand.",
            ),
        )


def check_once() -> Promise:
    """Nobody was suppressed twice (P11). One run for each key: PostgreSQL sees to it."""
    applied = ListOperation.objects.filter(status=OperationStatus.APPLIED)
    return Promise(Name.ONE_EFFECT, checked=applied.count(), broken=_suppressed_twice())


def _suppressed_twice() -> tuple[Violation, ...]:
    standing = ContactSuppressionHistory.objects.standing().order_by().values("contact")
    twice = standing.annotate(n=Count("pk")).filter(n__gt=1).values_list("contact", flat=True)
    done = DecisionItem.objects.filter(action=ItemAction.SUPPRESS, status=ItemStatus.EXECUTED)
    again = done.order_by().values("contact", "evidence").annotate(n=Count("pk")).filter(n__gt=1)
    report = "Report it; lift one of the two if the contact is to be mailed again."
    return violations(
        [
            *((pk, Objection("suppressed twice at the same time", report)) for pk in twice),
            *(
                (pk, Objection("suppressed twice on the same evidence", report))
                for pk in again.values_list("contact", flat=True)
            ),
        ]
    )
