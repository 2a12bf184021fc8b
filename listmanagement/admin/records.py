"""Who did what, and what people were told."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from listmanagement.admin import show
from listmanagement.admin.readonly import ReadOnlyAdmin
from listmanagement.models import AuditEntry, Notification, RecurringJob


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    """The outbox."""

    list_display = ("created_at", "kind", "text", "state", "attempts", "run", "decision", "sent_at", "error")
    list_filter = ("status", "kind")
    search_fields = ("=run__id", "=decision__id", "text")
    search_help_text = "The number of a run or a decision, or words of the message."
    date_hierarchy = "created_at"
    list_select_related = ("run", "decision")
    ordering = ("-created_at", "-pk")
    exclude = ("blocks",)
    readonly_fields = ("message",)

    @admin.display(description="status", ordering="status")
    def state(self, notification: Notification) -> SafeString:
        """Its status."""
        return show.chip(notification.status).html

    @admin.display(description="blocks")
    def message(self, notification: Notification) -> SafeString:
        """What Slack was given."""
        return show.json_of(notification.blocks)


@admin.register(AuditEntry)
class AuditAdmin(ReadOnlyAdmin):
    """Who did what to what."""

    list_display = ("at", "actor", "action", "subject")
    list_filter = ("subject_kind", "action")
    search_fields = ("actor", "=subject_id")
    search_help_text = "A user's name, or the number of what it was done to."
    date_hierarchy = "at"
    ordering = ("-at", "-pk")
    exclude = ("details",)
    readonly_fields = ("what_it_was",)

    @admin.display(description="subject")
    def subject(self, entry: AuditEntry) -> str:
        """What it was done to."""
        return f"{entry.subject_kind} {entry.subject_id}"

    @admin.display(description="details")
    def what_it_was(self, entry: AuditEntry) -> SafeString:
        """The details, as they were noted."""
        return show.json_of(entry.details)


@admin.register(RecurringJob)
class RecurringJobAdmin(ReadOnlyAdmin):
    """What recurs: when it was last done, and why not."""

    list_display = ("job", "done_at", "outcome", "tried_at", "busy_until", "error")
    ordering = ("job",)
