"""The judgement's own record; below it, what was judged of each thing, by a model and by the rules."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from listmanagement.admin import opinions, record_page, show
from listmanagement.admin.readonly import ReadOnlyAdmin
from listmanagement.models import AgentVerdict


@admin.register(AgentVerdict)
class VerdictAdmin(ReadOnlyAdmin):
    """How good each agent is, and every verdict."""

    change_list_template = "admin/listmanagement/agentverdict/list.html"
    list_display = ("about", "contacts", "stands", "model_says", "rules_say")
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

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Under what it is about, as people read it."""
        verdict = AgentVerdict.objects.filter(pk=object_id).first() if object_id.isdecimal() else None
        title = {"heading": opinions.heading(verdict)} if verdict else {}
        return super().change_view(request, object_id, form_url, {**title, **(extra_context or {})})

    @admin.display(description="about", ordering="subject")
    def about(self, verdict: AgentVerdict) -> SafeString:
        """What was judged, by whom and where."""
        region = f"{show.words(verdict.region)}, " if verdict.region else ""
        return format_html(
            '{} <span class="ek-quiet">{}{}, run {}</span>',
            opinions.about(verdict),
            region,
            show.words(verdict.call.agent),
            verdict.call.run_id,
        )

    @admin.display(description="stands", ordering="verdict")
    def stands(self, verdict: AgentVerdict) -> SafeString:
        """What stands, and how surely."""
        return _said(verdict.verdict, f"{verdict.confidence:.2f}")

    @admin.display(description="the model says", ordering="stated")
    def model_says(self, verdict: AgentVerdict) -> SafeString | str:
        """What a model stated, and what that counts for; nothing where rules judged."""
        if not verdict.stated:
            return self.get_empty_value_display()
        return _said(verdict.stated, opinions.worth(verdict))

    @admin.display(description="the rules say", ordering="rules_verdict")
    def rules_say(self, verdict: AgentVerdict) -> SafeString:
        """What the rules say of the same, and how surely."""
        return _said(verdict.rules_verdict, f"{verdict.rules_confidence:.2f}")


def _said(verdict: str, confidence: str) -> SafeString:
    return format_html('{} <span class="ek-quiet">{}</span>', opinions.verdict_chip(verdict).html, confidence)
