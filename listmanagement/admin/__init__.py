"""The review queue and the logs, in the admin site. People look and decide here; nobody edits rows."""

import importlib
import importlib.util

from django.contrib import admin

# Temporary while the pages are being written: register those that exist.
_PAGES = "campaigns contacts decisions events health journal judgement lists mailjet records rollout runs"
for _name in _PAGES.split():
    if importlib.util.find_spec(f"listmanagement.admin.{_name}"):
        importlib.import_module(f"listmanagement.admin.{_name}")

from listmanagement.models import Decision, ListMaintenanceLog  # noqa: E402

for _model in (Decision, ListMaintenanceLog):
    if not admin.site.is_registered(_model):
        admin.site.register(_model)

admin.site.enable_nav_sidebar = False  # the bar at the top leads everywhere, without JavaScript
