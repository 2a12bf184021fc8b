"""The judgement's own record; below it, what was judged of each thing, by a model and by the rules."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from listmanagement.admin import record_page
from listmanagement.admin.opinions import verdict_chip
from listmanagement.admin.readonly import ReadOnlyAdmin
from listmanagement.models import AgentVerdict


@admin.register(AgentVerdict)
class VerdictAdmin(ReadOnlyAdmin):
    """How good each agent is, and every verdict."""

    change_list_template = "admin/listmanagement/agentverdict/list.html"
    list_display = (
        "subject",
        "of_agent",
        "of_run",
        "region",
        "contacts",
        "stands",
        "confidence",
        "model_says",
        "raw_confidence",
        "calibrated",
        "rules_say",
        "rules_confidence",
    )
    list_filter = ("call__agent", "call__source", "region", "bounce_class", "calibrated")
    search_fields = ("=call__run__id", "subject")
    search_help_text = "A run's number, or words of a cohort's key."
    date_hierarchy = "call__at"
    list_select_related = ("call__run",)
    ordering = ("-pk",)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """With the record above."""
        return super().changelist_view(request, {"agents": record_page.read(), **(extra_context or {})})

    @admin.display(description="agent", ordering="call__agent")
    def of_agent(self, verdict: AgentVerdict) -> str:
        """Who was asked."""
        return verdict.call.get_agent_display()

    @admin.display(description="run", ordering="call__run")
    def of_run(self, verdict: AgentVerdict) -> str:
        """Where."""
        return str(verdict.call.run_id)

    @admin.display(description="stands", ordering="verdict")
    def stands(self, verdict: AgentVerdict) -> SafeString:
        """What stands."""
        return verdict_chip(verdict.verdict).html

    @admin.display(description="the model says", ordering="stated")
    def model_says(self, verdict: AgentVerdict) -> SafeString | str:
        """What a model stated; nothing where rules judged."""
        return verdict_chip(verdict.stated).html if verdict.stated else self.get_empty_value_display()

    @admin.display(description="the rules say", ordering="rules_verdict")
    def rules_say(self, verdict: AgentVerdict) -> SafeString:
        """What the rules say of the same."""
        return verdict_chip(verdict.rules_verdict).html
