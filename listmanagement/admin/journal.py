"""The journal: what was to change at Mailjet, and what became of it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from listmanagement.admin import show
from listmanagement.admin.readonly import ReadOnlyAdmin, ReadOnlyInline
from listmanagement.models import BatchChange, Contact, Decision, ListOperation, OperationBatch


class ChangeInline(ReadOnlyInline):
    """What a batch does on which list."""

    model = BatchChange
    fields = ("list", "action")
    show_change_link = False


@admin.register(OperationBatch)
class BatchAdmin(ReadOnlyAdmin):
    """Bulk requests to Mailjet."""

    list_display = (
        "id",
        "run",
        "position",
        "kind",
        "lists",
        "contacts",
        "state",
        "attempt",
        "job_id",
        "settled_at",
        "error",
    )
    list_filter = ("status", "kind")
    search_fields = ("=run__id", "=job_id")
    search_help_text = "The number of a run, or of Mailjet's job."
    list_select_related = ("run",)
    ordering = ("-pk",)
    inlines = (ChangeInline,)
    readonly_fields = ("operations",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[OperationBatch]:
        """With what it does, and to how many."""
        rows = OperationBatch.objects.annotate(number=Count("operations")).prefetch_related("changes__list")
        return rows.order_by("-pk")

    @admin.display(description="status", ordering="status")
    def state(self, batch: OperationBatch) -> SafeString:
        """Its status."""
        return show.chip(batch.status).html

    @admin.display(description="contacts", ordering="number")
    def contacts(self, batch: Any) -> str:
        """How many it is about."""
        return f"{batch.number:,}"

    @admin.display(description="lists")
    def lists(self, batch: OperationBatch) -> str:
        """What it does on which list."""
        return ", ".join(f"{change.action} {change.list}" for change in batch.changes.all())

    @admin.display(description="operations")
    def operations(self, batch: OperationBatch) -> SafeString:
        """The way to its contacts' operations."""
        return show.way(show.list_of(ListOperation, batch__id__exact=batch.pk), "Show its operations")


@admin.register(ListOperation)
class OperationAdmin(ReadOnlyAdmin):
    """One contact's change."""

    list_display = ("id", "who", "kind", "state", "batch", "of_run", "decided_in", "applied_at", "why")
    list_filter = ("status", "kind")
    search_fields = ("=contact__id", "=batch__id", "=batch__run__id")
    search_help_text = "The number of a contact, a batch or a run."
    list_select_related = ("batch__run", "item")
    ordering = ("-pk",)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """The page of a run leads to its operations."""
        return lookup == "batch__run__id__exact" or super().lookup_allowed(lookup, value, request)

    @admin.display(description="contact", ordering="contact")
    def who(self, operation: ListOperation) -> SafeString | str:
        """Whom it changes."""
        return show.link_to(Contact, operation.contact_id, operation.contact_id)

    @admin.display(description="status", ordering="status")
    def state(self, operation: ListOperation) -> SafeString:
        """Its status."""
        return show.chip(operation.status).html

    @admin.display(description="run", ordering="batch__run")
    def of_run(self, operation: ListOperation) -> SafeString:
        """The run that did it."""
        return show.link(operation.batch.run, operation.batch.run_id)

    @admin.display(description="decision")
    def decided_in(self, operation: ListOperation) -> SafeString | str:
        """The decision behind it."""
        return show.link_to(Decision, operation.item.decision_id, f"decision {operation.item.decision_id}")
