"""The review queue and the logs, in the admin site."""

from django.contrib import admin

from listmanagement.models import Decision, ListMaintenanceLog

admin.site.register([Decision, ListMaintenanceLog])
