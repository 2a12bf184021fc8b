"""List health: what was said of each list, and the doors by which a reviewer says whether it was right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone

from listmanagement.admin import finding, opinions, show
from listmanagement.admin.opinions import Pair
from listmanagement.admin.readonly import PageAdmin, person
from listmanagement.models import ListHealth, ListHealthCheck
from listmanagement.workflows.record import marks

GRADES = {
    "good": show.Tone.GOOD,
    "watch": show.Tone.WAITING,
    "poor": show.Tone.BAD,
    "critical": show.Tone.BAD,
}


@dataclass(frozen=True, slots=True)
class Assessment:
    """What was said of one list, and what a reviewer said of that."""

    pk: int
    name: str
    grade: show.Chip
    cause: str
    rationale: str
    facts: Sequence[tuple[str, str]]
    opinion: Pair | None
    mark: show.Chip | None
    marked: str


@dataclass(frozen=True, slots=True)
class HealthPage:
    """Everything the template needs."""

    check: ListHealthCheck
    facts: Sequence[tuple[str, object]]
    assessments: Sequence[Assessment]
    why_not: str | None


def read(check: ListHealthCheck, *, by: User) -> HealthPage:
    """The page of a health check for this person."""
    call = check.call
    judge = show.judge(call.source, model=call.model, has_key=bool(settings.GEMINI_API_KEY))
    return HealthPage(
        check=check,
        facts=[
            ("Judged by", judge),
            ("Confidence", f"{call.confidence:.2f}"),
            ("Run", show.link(check.run)),
            ("At", show.when(check.at)),
            ("Deviation", f"{check.deviation:.2f} %"),
        ],
        assessments=[_assessment(row) for row in check.lists.all()],
        why_not=marks.why_not(by),
    )


def _assessment(row: ListHealth) -> Assessment:
    said = opinions.of_verdict(row.verdict) if row.verdict is not None and row.verdict.stated else None
    return Assessment(
        pk=row.pk,
        name=str(row.list),
        grade=show.Chip(row.grade, GRADES[row.grade]),
        cause="" if row.cause == "none" else show.words(row.cause),
        rationale=row.rationale,
        facts=[
            ("Size", f"{row.size:,}"),
            ("Delivered", f"{row.delivered:,}"),
            ("Bounced", f"{row.bounced:,}"),
            ("Not attempted", f"{row.not_attempted:,}"),
            ("Confidence", f"{row.verdict.confidence:.2f}" if row.verdict is not None else show.NOTHING),
        ],
        opinion=said,
        mark=_mark(row),
        marked=_marked(row),
    )


def _mark(row: ListHealth) -> show.Chip | None:
    if row.is_right is None:
        return None
    return show.Chip("right", show.Tone.GOOD) if row.is_right else show.Chip("wrong", show.Tone.BAD)


def _marked(row: ListHealth) -> str:
    if row.is_right is None:
        return ""
    why = f": {row.marked_why}" if row.marked_why else ""
    return f"Marked by {row.marked_by} on {show.when(row.marked_at)}{why}"


@admin.register(ListHealthCheck)
class HealthAdmin(PageAdmin):
    """What list health said, and when."""

    list_display = ("at", "grades", "marks", "spread", "run")
    list_select_related = ("run",)
    search_fields = ("=run__id",)
    search_help_text = "A run's number."
    date_hierarchy = "at"
    ordering = ("-at",)
    page_template = "admin/listmanagement/listhealthcheck/page.html"

    def get_queryset(self, request: HttpRequest) -> Any:
        """With its lists."""
        return super().get_queryset(request).prefetch_related("lists__list")

    def rows(self) -> QuerySet[ListHealthCheck]:
        """With the call, the run, and each list's assessment."""
        found = ListHealthCheck.objects.select_related("run", "call")
        return found.prefetch_related("lists__list", "lists__marked_by", "lists__verdict__call")

    def page(self, row: ListHealthCheck, *, request: HttpRequest) -> HealthPage:
        """The health check for this person."""
        return read(row, by=person(request))

    def get_urls(self) -> list[URLPattern]:
        """One door for each verb, before Django's own addresses."""
        ours = [
            path(f"<int:check_id>/{verb}/", self.door(act), name=f"listmanagement_health_{verb}")
            for verb, act in (("right", right), ("wrong", wrong))
        ]
        return [*ours, *super().get_urls()]

    @admin.display(description="grades")
    def grades(self, check: ListHealthCheck) -> str:
        """Each list's grade."""
        return ", ".join(f"{row.list}: {row.grade}" for row in check.lists.all())

    @admin.display(description="marked")
    def marks(self, check: ListHealthCheck) -> str:
        """How many of its assessments a reviewer has looked at."""
        rows = list(check.lists.all())
        return f"{sum(row.is_right is not None for row in rows)} of {len(rows)}"

    @admin.display(description="deviation", ordering="deviation")
    def spread(self, check: ListHealthCheck) -> str:
        """The largest distance from the mean size."""
        return f"{check.deviation:.2f} %"


# --- What each door does ---------------------------------------------------------------------------------


def right(request: HttpRequest, check_id: int) -> HttpResponse:
    """The assessment was right."""
    row = marks.mark_right(_named(request, check_id), by=person(request), now=timezone.now())
    messages.success(request, f"{row.list}: marked right.")
    return redirect(show.page_of(row.check_of))


def wrong(request: HttpRequest, check_id: int) -> HttpResponse:
    """The assessment was wrong."""
    why = request.POST.get("why", "")
    row = marks.mark_wrong(_named(request, check_id), by=person(request), why=why, now=timezone.now())
    messages.success(request, f"{row.list}: marked wrong.")
    return redirect(show.page_of(row.check_of))


def _named(request: HttpRequest, check_id: int) -> int:
    """The assessment a form is about. Raises BadRequest where it names none; 0 is nobody's id."""
    asked = finding.ids([request.POST.get("assessment", "")])
    rows = ListHealth.objects.filter(check_of=check_id, pk__in=asked)
    return rows.values_list("pk", flat=True).first() or 0
