"""The page that asks before a run is undone: what it would take back, whom it leaves alone, who must wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.http import HttpResponse
from django.utils.text import capfirst

from listmanagement.admin import files, show
from listmanagement.domain import spelling
from listmanagement.models import Contact, ContactList, ListMaintenanceLog
from listmanagement.workflows import permission
from listmanagement.workflows.undoing import undo, undoable
from listmanagement.workflows.undoing.undoable import Part, Scope

SHOWN = 10
"""Contacts that the page names for each reason. All are counted."""


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """Contacts to whom nothing is done, and why."""

    why: str
    number: str
    contacts: Sequence[tuple[str, str]]
    """The first few: address and page."""


@dataclass(frozen=True, slots=True)
class UndoPage:
    """Everything the template needs."""

    run: ListMaintenanceLog
    scope: Scope
    why_not: str
    """Why this person cannot; empty where they can."""
    off: str
    """The switch that only a stated override passes; empty where nothing is off."""
    tally: Sequence[tuple[str, str]]
    left_alone: Sequence[LeftAlone]
    in_hand: str
    nothing: str
    as_of: str


def scope_of(posted: Mapping[str, str]) -> Scope:
    """The scope that a form names; all of the run without one."""
    only = posted.get("only", "")
    return Scope(
        only=Part(only) if only in list(Part) else None,
        domain=spelling.known_as(posted.get("domain", "").strip()),
    )


def read(run: ListMaintenanceLog, *, by: User, scope: Scope, enabled: bool, now: datetime) -> UndoPage:
    """What undoing this much of the run would do now."""
    plan = undo.preview(run, scope=scope, now=now)
    why_not = undo.why_not(run, by=by, enabled=enabled, override="asked for on the page")
    return UndoPage(
        run=run,
        scope=scope,
        why_not=why_not or "",
        off=permission.why_off(enabled=enabled) or "",
        tally=[(capfirst(words), f"{number:,}") for words, number in undo.planned(plan) if number],
        left_alone=_left_alone(plan.left_alone),
        in_hand=show.counted(len(plan.under_way), "contact") if plan.under_way else "",
        nothing="" if plan.deeds else undo.nothing_words(plan),
        as_of=show.age(ContactList.objects.as_of()),
    )


def _left_alone(found: Mapping[str, Sequence[int]]) -> list[LeftAlone]:
    return [
        LeftAlone(why=why, number=f"{number:,}", contacts=_named(found[why][:SHOWN]))
        for why, number in undoable.counted(found).items()
    ]


def _named(contacts: Sequence[int]) -> list[tuple[str, str]]:
    rows = Contact.objects.filter(pk__in=contacts).order_by("pk")
    return [(row.email or f"contact {row.pk}", show.page_of(row)) for row in rows]


def blocked_file(run: ListMaintenanceLog) -> HttpResponse:
    """Addresses that the run put back and Mailjet probably still blocks, as CSV for its support."""
    return files.csv(
        f"blocked-after-run-{run.pk}.csv",
        columns=("contact_id", "email", "blocked_since"),
        rows=(
            (contact.pk, contact.email, contact.blocked_since and contact.blocked_since.isoformat())
            for contact in undo.still_blocked(run).order_by("pk")
        ),
    )
