"""What the page of a run shows: its steps, what it found and did, and what it left behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count
from django.urls import reverse

from listmanagement.admin import show
from listmanagement.models import (
    FINISHED,
    AgentCall,
    Hold,
    ListMaintenanceLog,
    ListOperation,
    Notification,
    OperationStatus,
    RunKind,
    RunStatus,
    Step,
)
from listmanagement.workflows import continuing, left, runs
from listmanagement.workflows.by_people import people
from listmanagement.workflows.undoing import undo

FOUND = ("sent", "delivered", "bounced", "hard", "not_attempted", "open", "kept")
DONE = (
    "waiting",
    "unsubscribed",
    "suppressed",
    "held",
    "placed",
    "moved",
    "taken_out",
    "dropped",
    "failed",
    "moves_deferred",
    "backlog",
    "restored",
    "released",
    "moved_back",
    "taken_off",
    "still_blocked",
)
CHANGED = (
    "unsubscribed",
    "suppressed",
    "held",
    "placed",
    "moved",
    "restored",
    "released",
    "moved_back",
)


@dataclass(frozen=True, slots=True)
class StepLine:
    """One of the nine steps."""

    name: str
    state: str
    seconds: str
    is_here: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """One bulk request of the run."""

    url: str
    kind: str
    status: show.Chip
    contacts: str
    job: str
    error: str


@dataclass(frozen=True, slots=True)
class ListLine:
    """A list before and after the run."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class RunPage:
    """Everything the template needs."""

    run: ListMaintenanceLog
    status: show.Chip
    words: str
    facts: Sequence[tuple[str, str]]
    steps: Sequence[StepLine]
    found: Sequence[tuple[str, str]]
    done: Sequence[tuple[str, str]]
    lists: Sequence[ListLine]
    deviation: str
    decisions: Sequence[tuple[show.Chip, str, str]]
    batches: Sequence[Batch]
    errors: Sequence[Mapping[str, str]]
    elsewhere: Sequence[tuple[str, str]]
    left: Sequence[str]
    """What a run that ended early has left undone, in sentences."""
    continue_url: str
    """Where this person has the run continue; empty where they cannot."""
    undo_url: str
    """Where this person can undo the run; empty where they cannot."""
    undoes: tuple[str, str] | None
    undone_by: Sequence[tuple[str, str]]
    blocked_url: str
    """The list of those whom Mailjet probably still blocks; empty where this person may not have it."""


def read(run: ListMaintenanceLog, *, by: User, enabled: bool, now: datetime) -> RunPage:
    """The page of a run, now."""
    before, after = run.state_before or {}, run.state_after or {}
    return RunPage(
        run=run,
        status=show.chip(run.status),
        words=_words(run, now=now),
        facts=_facts(run),
        steps=_steps(run),
        found=_counts(run, FOUND),
        done=_counts(run, DONE),
        lists=_lists(before, after),
        deviation=" → ".join(
            f"{state['deviation']:.2f} %" for state in (before, after) if "deviation" in state
        ),
        decisions=[
            (show.chip(decision.status), decision.title, decision.get_absolute_url())
            for decision in run.decisions.order_by("pk")
        ],
        batches=_batches(run),
        errors=run.errors,
        elsewhere=[
            ("Operations", show.list_of(ListOperation, batch__run__id__exact=run.pk)),
            ("What the agents said", show.list_of(AgentCall, run__id__exact=run.pk)),
            ("Holds", show.list_of(Hold, run__id__exact=run.pk)),
            ("Messages to people", show.list_of(Notification, run__id__exact=run.pk)),
        ],
        left=left.sentences(left.of(run)) if run.status in FINISHED else (),
        continue_url=_continue_url(run, by=by, enabled=enabled),
        undo_url=_undo_url(run, by=by, enabled=enabled),
        undoes=_named(run.undoes) if run.undoes is not None else None,
        undone_by=[_named(each) for each in run.undone_by.order_by("pk")],
        blocked_url=_blocked_url(run, by=by),
    )


def _continue_url(run: ListMaintenanceLog, *, by: User, enabled: bool) -> str:
    if continuing.why_not(run, by=by, enabled=enabled) is not None:
        return ""
    return reverse("admin:listmanagement_run_continue", args=[run.pk])


def _undo_url(run: ListMaintenanceLog, *, by: User, enabled: bool) -> str:
    """The page that asks whether; also while everything is off, where it asks for an override."""
    why_not = undo.why_not(run, by=by, enabled=enabled, override="asked for on the page")
    return "" if why_not is not None else reverse("admin:listmanagement_run_undo", args=[run.pk])


def _named(run: ListMaintenanceLog) -> tuple[str, str]:
    return f"run {run.pk}, {show.words(run.status)}", run.get_absolute_url()


def _blocked_url(run: ListMaintenanceLog, *, by: User) -> str:
    if people.why_not_reviewing(by) is not None or not run.counts.get("still_blocked"):
        return ""
    return reverse("admin:listmanagement_run_still_blocked", args=[run.pk])


def did(run: ListMaintenanceLog) -> str:
    """What a run changed, in contacts: "suppressed 110, held 126"."""
    parts = [f"{name} {run.counts[name]:,}" for name in CHANGED if run.counts.get(name)]
    return ", ".join(parts) or show.NOTHING


def seconds(number: float) -> str:
    """A time of work, as precise as matters."""
    return f"{number:.1f} s" if number < 100 else f"{number / 60:.1f} min"


def _words(run: ListMaintenanceLog, *, now: datetime) -> str:
    """Where it stands, in a sentence."""
    match RunStatus(run.status):
        case RunStatus.WAITING if run.next_at is not None:
            return (
                f"It waits for {run.waits_for or 'its time'} and goes on {show.left(run.next_at, now=now)}."
            )
        case RunStatus.WAITING_FOR_REVIEW:
            return "It waits for a person to decide."
        case RunStatus.PARTIAL | RunStatus.FAILED:
            why = f": {run.stopped}" if run.stopped else ""
            return f"It ended on {show.when(run.finished_at)}, before everything was done{why}."
        case RunStatus.SUCCEEDED:
            return f"It ended on {show.when(run.finished_at)}."
        case _:
            return f"It is at the step {show.words(run.step)}."


def _facts(run: ListMaintenanceLog) -> list[tuple[str, str]]:
    by = f"{run.trigger}, by {run.triggered_by}" if run.triggered_by is not None else run.trigger
    return [
        ("Kind", show.words(run.kind)),
        ("Stage", "observes: nothing executes" if run.stage == "observe" else "acts"),
        ("Triggered by", by),
        ("Started", show.when(run.created_at)),
        ("Ended", show.when(run.finished_at)),
        ("Worked for", seconds(sum(run.seconds.values()))),
        ("Requests to Mailjet", f"{run.requests:,}"),
        ("Correlation id", str(run.correlation_id)),
    ]


def _steps(run: ListMaintenanceLog) -> list[StepLine]:
    order = list(runs.WORKFLOWS[RunKind(run.kind)])
    here = order.index(Step(run.step))
    ended = run.status == RunStatus.SUCCEEDED
    stuck = run.status in FINISHED and not ended

    def state(place: int) -> str:
        if place < here or ended:
            return "done"
        if place > here:
            return "to do"
        return "stopped here" if stuck else "in hand"

    return [
        StepLine(
            name=show.words(step).capitalize(),
            state=state(place),
            seconds=seconds(run.seconds[step]) if step in run.seconds else "",
            is_here=place == here and not ended,
        )
        for place, step in enumerate(order)
    ]


def _counts(run: ListMaintenanceLog, names: Sequence[str]) -> list[tuple[str, str]]:
    return [(show.words(name).capitalize(), f"{run.counts[name]:,}") for name in names if name in run.counts]


def _lists(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[ListLine]:
    sizes = {row["id"]: row["size"] for row in after.get("lists", ())}
    return [
        ListLine(
            name=row["name"],
            before=f"{row['size']:,}",
            after=f"{sizes[row['id']]:,}" if row["id"] in sizes else show.NOTHING,
        )
        for row in before.get("lists", ())
    ]


def _of(applied: int, contacts: int, *, settled: bool) -> str:
    """How many a batch changed, of those it was for."""
    return f"{applied:,} of {contacts:,}" if settled and applied != contacts else f"{contacts:,}"


def _batches(run: ListMaintenanceLog) -> list[Batch]:
    operations = ListOperation.objects.filter(batch__run=run).values_list("batch")
    contacts = dict(operations.annotate(Count("pk")))
    done = [OperationStatus.APPLIED, OperationStatus.UNDONE]
    applied = dict(operations.filter(status__in=done).annotate(Count("pk")))
    return [
        Batch(
            url=show.page_of(row),
            kind=show.words(row.kind),
            status=show.chip(row.status),
            contacts=_of(applied.get(row.pk, 0), contacts.get(row.pk, 0), settled=row.settled_at is not None),
            job=str(row.job_id) if row.job_id is not None else show.NOTHING,
            error=row.error,
        )
        for row in run.batches.order_by("position")
    ]
