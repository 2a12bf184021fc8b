"""What Mailjet told through webhooks: to look at, and to see what nobody could make sense of."""

from __future__ import annotations

import json

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from listmanagement.admin import show
from listmanagement.admin.readonly import ReadOnlyAdmin
from listmanagement.models import EventStatus, ToldKind, WebhookEvent

NO_JSON = (ToldKind.UNREADABLE, ToldKind.TOO_LARGE)


@admin.register(WebhookEvent)
class EventAdmin(ReadOnlyAdmin):
    """Events, as they came and what became of them."""

    list_display = ("id", "kind", "state", "received_at", "happened_at", "message_id", "problem")
    list_filter = ("status", "kind")
    ordering = ("-pk",)
    exclude = ("body",)
    readonly_fields = ("as_it_came",)

    @admin.display(description="status", ordering="status")
    def state(self, event: WebhookEvent) -> SafeString:
        """Where it stands."""
        tones = {EventStatus.DONE: show.Tone.GOOD, EventStatus.REVIEW: show.Tone.WAITING}
        tone = tones.get(EventStatus(event.status), show.Tone.CALM)
        return show.Chip(event.get_status_display(), tone).html

    @admin.display(description="as it came")
    def as_it_came(self, event: WebhookEvent) -> SafeString:
        """Its JSON, or what came instead of it."""
        if event.kind in NO_JSON:
            return format_html('<pre class="ek-verbatim">{}</pre>', event.body)
        return show.json_of(json.loads(event.body))
