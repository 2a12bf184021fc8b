"""The maintenance log: runs, and what the agents said in them."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from listmanagement import outside, tasks
from listmanagement.admin import run_page, show, undo_page
from listmanagement.admin.readonly import PageAdmin, ReadOnlyAdmin, person
from listmanagement.models import (
    AgentCall,
    CampaignSchedule,
    ListMaintenanceLog,
)
from listmanagement.workflows import continuing
from listmanagement.workflows.by_people import people
from listmanagement.workflows.undoing import undo


@admin.register(ListMaintenanceLog)
class RunAdmin(PageAdmin):
    """Every execution of a workflow."""

    list_display = (
        "number",
        "kind",
        "state",
        "step_in_hand",
        "of_campaign",
        "did",
        "active",
        "created_at",
        "finished_at",
    )
    list_filter = ("status", "kind", "stage", "trigger", ("campaign__list", admin.RelatedOnlyFieldListFilter))
    search_fields = ("=id", "=campaign__id", "=correlation_id")
    search_help_text = "A run's or a campaign's number, or a correlation id from the log."
    date_hierarchy = "created_at"
    list_select_related = ("campaign__list",)
    ordering = ("-created_at", "-pk")

    @admin.display(description="run", ordering="pk")
    def number(self, run: ListMaintenanceLog) -> str:
        """Its id."""
        return f"Run {run.pk}"

    @admin.display(description="status", ordering="status")
    def state(self, run: ListMaintenanceLog) -> SafeString:
        """Its status."""
        return show.chip(run.status).html

    @admin.display(description="step", ordering="step")
    def step_in_hand(self, run: ListMaintenanceLog) -> str:
        """Where it stands."""
        return show.words(run.step)

    @admin.display(description="campaign", ordering="campaign")
    def of_campaign(self, run: ListMaintenanceLog) -> SafeString | str:
        """The campaign it follows."""
        return show.link_to(CampaignSchedule, run.campaign_id, run.campaign_id)

    @admin.display(description="did")
    def did(self, run: ListMaintenanceLog) -> str:
        """What it changed, in contacts."""
        return run_page.did(run)

    @admin.display(description="active for")
    def active(self, run: ListMaintenanceLog) -> str:
        """How long it worked, without waits."""
        return run_page.seconds(sum(run.seconds.values()))

    page_template = "admin/listmanagement/listmaintenancelog/page.html"

    def rows(self) -> QuerySet[ListMaintenanceLog]:
        """With its campaign and who started it."""
        return ListMaintenanceLog.objects.select_related("campaign__list", "triggered_by", "undoes")

    def page(self, row: ListMaintenanceLog, *, request: HttpRequest) -> run_page.RunPage:
        """The run, now."""
        enabled = settings.LIST_MANAGEMENT_ENABLED
        return run_page.read(row, by=person(request), enabled=enabled, now=timezone.now())

    def get_urls(self) -> list[URLPattern]:
        """Undo has a page that asks, and a door that does it; both before Django's own addresses."""
        return [
            path("<int:run_id>/undo/", self.asking, name="listmanagement_run_undo"),
            path("<int:run_id>/undo/start/", self.door(start_undo), name="listmanagement_run_undo_start"),
            path("<int:run_id>/continue/", self.door(continue_run), name="listmanagement_run_continue"),
            path("<int:run_id>/blocked/", self.blocked, name="listmanagement_run_still_blocked"),
            *super().get_urls(),
        ]

    def asking(self, request: HttpRequest, run_id: int) -> HttpResponseBase:
        """What undoing the run would do. Whatever the method, nothing is changed."""
        if (closed := self._closed(request, run_id)) is not None:
            return closed
        page = undo_page.read(
            get_object_or_404(self.rows(), pk=run_id),
            by=person(request),
            scope=undo_page.scope_of(request.POST),
            enabled=settings.LIST_MANAGEMENT_ENABLED,
            now=timezone.now(),
        )
        context = {**self.admin_site.each_context(request), "opts": self.opts, "page": page}
        return TemplateResponse(request, "admin/listmanagement/listmaintenancelog/undo.html", context)

    def blocked(self, request: HttpRequest, run_id: int) -> HttpResponseBase:
        """The addresses that Mailjet's support is to unblock, as a file. For reviewers."""
        if (closed := self._closed(request, run_id)) is not None:
            return closed
        if people.why_not_reviewing(person(request)) is not None:
            raise PermissionDenied
        return undo_page.blocked_file(get_object_or_404(self.rows(), pk=run_id))

    def _closed(self, request: HttpRequest, run_id: int) -> HttpResponseBase | None:
        """Who is not signed in, signs in and lands on the run's page."""
        if not self.admin_site.has_permission(request):
            here = reverse("admin:listmanagement_listmaintenancelog_change", args=[run_id])
            return redirect_to_login(here, login_url=reverse("admin:login"))
        if not self.has_view_permission(request):
            raise PermissionDenied
        return None


def continue_run(request: HttpRequest, run_id: int) -> HttpResponse:
    """Let a run that ended early finish what it left."""
    run = continuing.go_on(
        run_id, by=person(request), configuration=outside.configuration(), now=timezone.now()
    )
    tasks.nudge_on_commit(run.pk)
    messages.success(request, f"Run {run_id} goes on: this page tells how far it is.")
    return redirect(run)


def start_undo(request: HttpRequest, run_id: int) -> HttpResponse:
    """Start the undo that the page before has shown."""
    run = undo.start(
        run_id,
        scope=undo_page.scope_of(request.POST),
        by=person(request),
        reason=request.POST.get("reason", ""),
        override=request.POST.get("override", ""),
        configuration=outside.configuration(),
        now=timezone.now(),
    )
    tasks.nudge_on_commit(run.pk)
    messages.success(request, f"Undo of run {run_id} started: this page tells how far it is.")
    return redirect(run)


@admin.register(AgentCall)
class AgentCallAdmin(ReadOnlyAdmin):
    """What was asked of an agent, and what it said. No personal data is in either."""

    list_display = (
        "agent",
        "run",
        "source",
        "model",
        "confidence",
        "raw_confidence",
        "valid",
        "latency_ms",
        "at",
    )
    list_filter = ("agent", "source", "valid")
    search_fields = ("=run__id", "model")
    search_help_text = "A run's number, or a model's name."
    date_hierarchy = "at"
    list_select_related = ("run",)
    ordering = ("-at", "-pk")
    exclude = ("asked", "answer", "refused")
    readonly_fields = ("refusals", "question", "reply")

    @admin.display(description="refused answers")
    def refusals(self, call: AgentCall) -> SafeString | str:
        """Why earlier answers were not used."""
        return show.json_of(call.refused) if call.refused else show.NOTHING

    @admin.display(description="asked")
    def question(self, call: AgentCall) -> SafeString:
        """The facts it was given."""
        return show.json_of(call.asked)

    @admin.display(description="answer")
    def reply(self, call: AgentCall) -> SafeString:
        """What it answered, as stored."""
        return show.json_of(call.answer)
