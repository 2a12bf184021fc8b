"""Routes."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from listmanagement import webhooks

admin.site.site_header = "Evenkeel"
admin.site.site_title = "Evenkeel"
admin.site.index_title = "List maintenance"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("webhooks/mailjet/", webhooks.mailjet, name="mailjet-webhook"),
]
