"""The maintenance log: runs, and what the agents said in them."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from listmanagement.admin import run_page, show
from listmanagement.admin.readonly import PageAdmin, ReadOnlyAdmin
from listmanagement.models import (
    AgentCall,
    CampaignSchedule,
    ListMaintenanceLog,
)


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
        return ListMaintenanceLog.objects.select_related("campaign__list", "triggered_by")

    def page(self, row: ListMaintenanceLog, *, request: HttpRequest) -> run_page.RunPage:
        """The run, now."""
        return run_page.read(row, now=timezone.now())


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
