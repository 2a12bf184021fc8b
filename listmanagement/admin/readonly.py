"""What all pages of ours have in common: rows are looked at, never edited."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.text import capfirst
from django.views.decorators.http import require_POST, require_safe

from listmanagement.workflows.by_people.refusals import NotAllowed

if TYPE_CHECKING:
    Admin = admin.ModelAdmin[Any]
    Inline = admin.TabularInline[Any, Any]
else:  # Django's own classes take no type at run time
    Admin, Inline = admin.ModelAdmin, admin.TabularInline


class NobodyEdits:
    """Nobody adds, changes or deletes a row by hand, superusers neither: workflows do, with a journal."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows come from workflows."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are changed by workflows."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What is remembered is kept."""
        return False


class ReadOnlyAdmin(NobodyEdits, Admin):
    """A model that people look at."""

    actions = None
    view_on_site = False
    show_full_result_count = False
    list_per_page = 50
    empty_value_display = "–"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, under its own name."""
        title = capfirst(str(self.opts.verbose_name_plural))
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def door(self, act: Callable[..., HttpResponse]) -> Callable[..., HttpResponseBase]:
        """Post only. Who is not signed in, signs in and lands on the page; a refusal is told there.

        `act` is called with the request and the row's id, where the address has one.
        """

        @require_POST
        def door(request: HttpRequest, **row: int) -> HttpResponseBase:
            page = "change" if row else "changelist"
            here = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}", args=[*row.values()])
            if not self.admin_site.has_permission(request):
                return redirect_to_login(here, login_url=reverse("admin:login"))
            if not self.has_view_permission(request):
                raise PermissionDenied
            try:
                return act(request, **row)
            except NotAllowed as refusal:
                messages.error(request, f"{refusal}.")
                return redirect(here)

        return door


class PageAdmin(ReadOnlyAdmin):
    """A model whose rows have a page of their own instead of Django's form."""

    page_template: str

    def rows(self) -> QuerySet[Any]:
        """The rows, with what their page needs of them."""
        raise NotImplementedError

    def page(self, row: Any, *, request: HttpRequest) -> object:
        """What the template shows, computed."""
        raise NotImplementedError

    @method_decorator(require_safe)
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The row's page; without such a row, the list, with a word about it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.rows().filter(pk=int(object_id)).first() if object_id.isdecimal() else None
        if row is None:
            messages.warning(request, f"There is no {self.opts.verbose_name} {object_id}.")
            return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "page": self.page(row, request=request),
        }
        return TemplateResponse(request, self.page_template, context)


def person(request: HttpRequest) -> User:
    """Who is signed in. The pages are closed to anybody else."""
    assert isinstance(request.user, User)
    return request.user


class ReadOnlyInline(NobodyEdits, Inline):
    """Rows shown on the page of what they belong to."""

    extra = 0
    can_delete = False
    show_change_link = True
