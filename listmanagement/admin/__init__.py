"""The review queue and the logs, in the admin site. People look and decide here; nobody edits rows."""

from django.contrib import admin

from listmanagement.admin import (
    campaigns,
    contacts,
    decisions,
    events,
    health,
    journal,
    judgement,
    lists,
    mailjet,
    records,
    rollout,
    runs,
)

__all__ = [
    "campaigns",
    "contacts",
    "decisions",
    "events",
    "health",
    "journal",
    "judgement",
    "lists",
    "mailjet",
    "records",
    "rollout",
    "runs",
]

admin.site.enable_nav_sidebar = False  # the bar at the top leads everywhere, without JavaScript
