"""Contacts: found by id or address, and one page each with everything that ever happened."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from listmanagement import outside, tasks
from listmanagement.admin import contact_page, files, finding, show
from listmanagement.admin.readonly import PageAdmin, person
from listmanagement.models import (
    Contact,
    ContactListMembership,
    ContactSuppressionHistory,
    ProtectionKind,
)
from listmanagement.workflows import corrections
from listmanagement.workflows.by_people import people, protections
from listmanagement.workflows.undoing import undo


@admin.register(Contact)
class ContactAdmin(PageAdmin):
    """Everybody whom Mailjet knows."""

    list_display = ("id", "email", "standing", "on_lists", "blocked", "registered_at")
    list_display_links = ("id", "email")
    list_filter = (
        "excluded",
        ("opted_out_at", admin.EmptyFieldListFilter),
        ("blocked_since", admin.EmptyFieldListFilter),
    )
    ordering = ("-id",)
    change_list_template = "admin/listmanagement/contact/list.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Contact]:
        """With what the list shows of each."""
        return with_standing(Contact.objects.order_by("-pk"))

    @admin.display(description="mailable")
    def standing(self, contact: Contact) -> SafeString:
        """Whether it may be mailed, or why not."""
        return contact_page.standing(contact).html

    @admin.display(description="lists")
    def on_lists(self, contact: Any) -> str:
        """Where it is now."""
        return ", ".join(membership.list.name for membership in contact.current) or show.NOTHING

    @admin.display(description="blocked at Mailjet since", ordering="blocked_since")
    def blocked(self, contact: Contact) -> str:
        """Since when Mailjet itself refuses to try it."""
        return show.when(contact.blocked_since)

    page_template = "admin/listmanagement/contact/page.html"

    def rows(self) -> QuerySet[Contact]:
        """As in the list."""
        return with_standing(Contact.objects.all())

    def page(self, row: Contact, *, request: HttpRequest) -> contact_page.ContactPage:
        """The contact and its timeline."""
        return contact_page.read(row, by=person(request))

    def get_urls(self) -> list[URLPattern]:
        """A door for each verb, before Django's own addresses."""
        doors = {"protect": protect, "unprotect": unprotect, "lift": lift}
        return [
            path("find/", self.door(find), name="listmanagement_contact_find"),
            path(
                "corrections.csv",
                self.admin_site.admin_view(self.corrections),
                name="listmanagement_contact_corrections",
            ),
            *(
                path(f"<int:contact_id>/{verb}/", self.door(act), name=f"listmanagement_contact_{verb}")
                for verb, act in doors.items()
            ),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list; reviewers find the corrections export on it."""
        offered = request.user.is_authenticated and people.why_not_reviewing(person(request)) is None
        return super().changelist_view(request, {"offers_corrections": offered, **(extra_context or {})})

    @method_decorator(require_safe)
    def corrections(self, request: HttpRequest) -> HttpResponse:
        """Whose domain Mailjet calls mistyped, with addresses: for reviewers, and audited."""
        if not self.has_view_permission(request) or people.why_not_reviewing(person(request)) is not None:
            raise PermissionDenied
        found = corrections.export(by=person(request), now=timezone.now())
        return files.csv(
            "corrections.csv",
            columns=("contact", "address", "mistyped domain", "suggestion", "campaign", "when"),
            rows=[
                (each.contact, each.address, each.domain, each.suggestion, each.campaign, each.at.isoformat())
                for each in found
            ],
        )


def with_standing(contacts: QuerySet[Contact]) -> QuerySet[Contact]:
    """Contacts with the lists each is on, and what stands against mailing."""
    current = ContactListMembership.objects.current().select_related("list").order_by("list__position")
    return contacts.prefetch_related(
        Prefetch("memberships", queryset=current, to_attr="current"),
        Prefetch("suppressions", queryset=ContactSuppressionHistory.objects.standing(), to_attr="standing"),
    )


def find(request: HttpRequest) -> HttpResponse:
    """The page of the one contact that matches, or the list of those that do."""
    found = finding.find(request.POST.get("text", ""), among=Contact.objects.all())
    if len(found) == 1:
        return redirect("admin:listmanagement_contact_change", found[0])
    if not found:
        messages.warning(request, "No contact has that in its address, or that id.")
        return redirect("admin:listmanagement_contact_changelist")
    return redirect(show.list_of(Contact, id__in=",".join(str(pk) for pk in found)))


def protect(request: HttpRequest, contact_id: int) -> HttpResponse:
    """Let the contact, or everybody at its domain, wait for a second sign."""
    kind, why = request.POST.get("kind", ""), request.POST.get("why", "")
    if kind not in [*ProtectionKind]:
        raise BadRequest("kind is none that the page offers")
    protections.protect(
        contact_id, kind=ProtectionKind(kind), by=person(request), why=why, now=timezone.now()
    )
    messages.success(request, "Protected: a hard bounce waits for a second sign and a review.")
    return redirect("admin:listmanagement_contact_change", contact_id)


def lift(request: HttpRequest, contact_id: int) -> HttpResponse:
    """Lift the suppression that stands: back to the list they were taken off, or into the backlog."""
    run = undo.lift(
        [contact_id],
        by=person(request),
        reason=request.POST.get("why", ""),
        configuration=outside.configuration(),
        now=timezone.now(),
    )
    tasks.nudge_on_commit(run.pk)
    messages.success(request, "Being lifted: this page tells how far it is.")
    return redirect(run)


def unprotect(request: HttpRequest, contact_id: int) -> HttpResponse:
    """Protect no more."""
    number = request.POST.get("protection", "")
    if not number.isdecimal():
        raise BadRequest("protection is none that the page offers")
    protections.give_up(int(number), by=person(request), why=request.POST.get("why", ""), now=timezone.now())
    messages.success(request, "No longer protected.")
    return redirect("admin:listmanagement_contact_change", contact_id)
