"""List health: what was said of each list, and the doors by which a reviewer says whether it was right."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone

from listmanagement.admin import finding, health_page, show
from listmanagement.admin.health_page import HealthPage
from listmanagement.admin.readonly import PageAdmin, person
from listmanagement.models import AgentCall, ListHealth, ListHealthCheck
from listmanagement.workflows.record import marks


@admin.register(ListHealthCheck)
class HealthAdmin(PageAdmin):
    """What list health said, and when."""

    list_display = ("at", "grades", "marks", "spread", "run")
    list_select_related = ("run",)
    search_fields = ("=run__id",)
    search_help_text = "A run's number."
    date_hierarchy = "at"
    ordering = ("-at",)
    change_list_template = "admin/listmanagement/listhealthcheck/list.html"
    page_template = "admin/listmanagement/listhealthcheck/page.html"

    def get_queryset(self, request: HttpRequest) -> Any:
        """With its lists."""
        return super().get_queryset(request).prefetch_related("lists__list")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list; where it is empty, when the first check is due."""
        return super().changelist_view(request, {"due": health_page.due(), **(extra_context or {})})

    def rows(self) -> QuerySet[ListHealthCheck]:
        """With the run and its calls, and each list's assessment."""
        found = ListHealthCheck.objects.select_related("run", "call")
        calls = Prefetch("run__agent_calls", AgentCall.objects.order_by("pk"))
        return found.prefetch_related(calls, "lists__list", "lists__marked_by", "lists__verdict__call")

    def page(self, row: ListHealthCheck, *, request: HttpRequest) -> HealthPage:
        """The health check for this person."""
        return health_page.read(row, by=person(request))

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
