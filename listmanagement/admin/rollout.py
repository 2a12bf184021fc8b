"""How far the rollout is, and the switches that people have: each with a reason. A GET switches nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from listmanagement.admin import show
from listmanagement.admin.readonly import ReadOnlyAdmin, person
from listmanagement.domain.autonomy import Stage
from listmanagement.models import AuditEntry, RolloutState
from listmanagement.workflows import rollout
from listmanagement.workflows.rollout import Change, Said

TONES = {
    Stage.NOT_STARTED: show.Tone.WAITING,
    Stage.OBSERVING: show.Tone.INFO,
    Stage.REVIEWING_EVERYTHING: show.Tone.WAITING,
    Stage.ON_ITS_OWN: show.Tone.GOOD,
}
BUTTONS = {
    Change.OBSERVE: ("Start observing", "Runs judge and show what they would do. Nothing of it executes."),
    Change.PAUSE: ("Pause", "No change starts at Mailjet any more, for whatever reason."),
    Change.RESUME: ("Resume", "Changes start again, from where they stand."),
    Change.MANUAL: ("Have everything reviewed", "Manual mode: nothing executes without a reviewer's yes."),
    Change.AUTOMATIC: ("End manual mode", "What is sure executes alone again, as far as the rollout is."),
}
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Button:
    """A switch that this person may use now."""

    label: str
    meaning: str
    url: str
    field: str
    """The id of its reason's field."""


@dataclass(frozen=True, slots=True)
class RolloutPage:
    """Everything the template needs."""

    stage: show.Chip
    off: str
    alone: str
    reasons: Sequence[str]
    facts: Sequence[tuple[str, str]]
    buttons: Sequence[Button]
    history: Sequence[tuple[str, str, str]]
    """When, who and what, why; the newest first."""


def read(*, by: User) -> RolloutPage:
    """The rollout now, for this person."""
    state = rollout.current()
    standing = rollout.standing(state, enabled=settings.LIST_MANAGEMENT_ENABLED, now=timezone.now())
    return RolloutPage(
        stage=show.Chip(show.words(standing.stage), TONES[standing.stage]),
        off=standing.off,
        alone=standing.alone,
        reasons=standing.reasons,
        facts=[
            ("Observing since", _said(standing.observing)),
            ("Everything reviewed until", show.when(standing.reviewed_until)),
            (
                "Runs that changed anything",
                f"{standing.changing_runs:,}; the first {standing.changing_runs_needed} are reviewed",
            ),
            ("Manual mode since", _said(standing.manual)),
            ("Paused since", _said(standing.paused)),
        ],
        buttons=[
            Button(
                *BUTTONS[each],
                url=reverse(f"admin:listmanagement_rollout_{each.name.lower()}"),
                field=f"why-{each.name.lower()}",
            )
            for each in Change
            if rollout.why_not(each, state, by=by) is None
        ],
        history=_history(),
    )


def _said(said: Said | None) -> str:
    if said is None:
        return show.NOTHING
    return (
        f"{show.when(said.since)}{f', by {said.by}' if said.by else ''}{f': {said.why}' if said.why else ''}"
    )


def _history() -> list[tuple[str, str, str]]:
    entries = AuditEntry.objects.filter(subject_kind=RolloutState._meta.model_name).order_by("-pk")[:SHOWN]
    return [
        (show.when(each.at), f"{each.actor}: {each.action}", each.details.get("why", "")) for each in entries
    ]


@admin.register(RolloutState)
class RolloutAdmin(ReadOnlyAdmin):
    """How far the rollout is, with its switches."""

    change_list_template = "admin/listmanagement/rolloutstate/list.html"
    list_display = ("id", "observing_since", "manual_since", "paused_at", "changed_by", "why")
    list_display_links = None
    list_select_related = ("changed_by",)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """With how it stands, and the switches."""
        told = {"title": "Rollout", "page": read(by=person(request))} if request.user.is_authenticated else {}
        return super().changelist_view(request, {**told, **(extra_context or {})})

    def get_urls(self) -> list[URLPattern]:
        """One door for each switch, before Django's own addresses."""
        ours = [
            path(
                f"{each.name.lower()}/",
                self.door(partial(switch, wanted=each)),
                name=f"listmanagement_rollout_{each.name.lower()}",
            )
            for each in Change
        ]
        return [*ours, *super().get_urls()]


def switch(request: HttpRequest, *, wanted: Change) -> HttpResponse:
    """Switch it, with the reason that the form gives."""
    rollout.change(wanted, by=person(request), why=request.POST.get("why", ""), now=timezone.now())
    messages.success(request, f"{wanted.value.capitalize()}.")
    return redirect("admin:listmanagement_rolloutstate_changelist")
