"""The review: the queue, a decision's page, and one door for each verb. A GET never decides anything."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Case, F, QuerySet, Value, When
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from listmanagement import tasks
from listmanagement.admin import day_page, decision_page, finding, queue, show
from listmanagement.admin.decision_page import Filter
from listmanagement.admin.readonly import PageAdmin, person
from listmanagement.models import (
    CampaignSchedule,
    Contact,
    Decision,
    DecisionKind,
    DecisionStatus,
    ListMaintenanceLog,
)
from listmanagement.workflows import permission
from listmanagement.workflows.by_people import review
from listmanagement.workflows.by_people.refusals import NotAllowed

OPEN_FIRST = Case(When(status=DecisionStatus.OPEN, then=Value(0)), default=Value(1))
MOST_URGENT = Case(When(status=DecisionStatus.OPEN, then=F("deadline")))


@admin.register(Decision)
class DecisionAdmin(PageAdmin):
    """The queue, and what became of earlier decisions."""

    list_display = (
        "title",
        "state",
        "decide_before",
        "about",
        "sure",
        "judged_by",
        "kind",
        "of_run",
        "of_campaign",
    )
    list_filter = ("status", "kind", "source")
    search_fields = ("=run__id", "=run__campaign__id", "title")
    search_help_text = "A run's or a campaign's number, or words of the title."
    list_select_related = ("run__campaign",)
    ordering = (OPEN_FIRST, MOST_URGENT, "-created_at", "-pk")
    change_list_template = "admin/listmanagement/decision/queue.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Decision]:
        """With what the queue shows of each."""
        return queue.with_figures(Decision.objects.all()).order_by(*self.ordering)

    @admin.display(description="status")
    def state(self, decision: Decision) -> SafeString:
        """Its status."""
        return show.chip(decision.status).html

    @admin.display(description="decide before", ordering="deadline")
    def decide_before(self, decision: Decision) -> str:
        """How long there is; nothing once it is decided."""
        if decision.status != DecisionStatus.OPEN or decision.deadline is None:
            return show.NOTHING
        return f"{show.left(decision.deadline, now=timezone.now())} ({show.when(decision.deadline)})"

    @admin.display(description="contacts")
    def about(self, decision: Any) -> str:
        """How many contacts it is about."""
        return f"{decision.contacts or 0:,}"

    @admin.display(description="confidence", ordering="confidence")
    def sure(self, decision: Decision) -> str:
        """From 0 to 1."""
        return f"{decision.confidence:.2f}"

    @admin.display(description="judged by", ordering="source")
    def judged_by(self, decision: Decision) -> str:
        """The model's name, or rules."""
        return queue.judge_of(decision)

    @admin.display(description="run", ordering="run")
    def of_run(self, decision: Decision) -> SafeString | str:
        """The run that asks."""
        return show.link_to(ListMaintenanceLog, decision.run_id, decision.run_id)

    @admin.display(description="campaign", ordering="run__campaign")
    def of_campaign(self, decision: Decision) -> SafeString | str:
        """The campaign it is about."""
        return show.link_to(CampaignSchedule, decision.run.campaign_id, decision.run.campaign_id)

    # --- The page, and its doors ---

    page_template = "admin/listmanagement/decision/page.html"

    def rows(self) -> QuerySet[Decision]:
        """With the run, its campaign, and who decided."""
        return Decision.objects.select_related("run__campaign__list", "reviewed_by")

    def page(self, row: Decision, *, request: HttpRequest) -> decision_page.DecisionPage:
        """The decision for this person, now."""
        shown = Filter.read(request.GET)
        return decision_page.read(row, by=person(request), filter=shown, now=timezone.now())

    def get_urls(self) -> list[URLPattern]:
        """One door for each verb, before Django's own addresses."""
        doors = {
            "approve": approve,
            "reject": reject,
            "take_out": take_out,
            "put_back": put_back,
            "find": find,
        }
        ours = [
            path(f"<int:decision_id>/{verb}/", self.door(act), name=f"listmanagement_decision_{verb}")
            for verb, act in doors.items()
        ]
        by_day = [
            path("day/", self.admin_site.admin_view(today), name="listmanagement_decision_today"),
            path(
                "day/<int:year>-<int:month>-<int:day>/",
                self.admin_site.admin_view(self.day_view),
                name="listmanagement_decision_day",
            ),
        ]
        return [*ours, *by_day, *super().get_urls()]

    @method_decorator(require_safe)
    def day_view(self, request: HttpRequest, *, year: int, month: int, day: int) -> HttpResponse:
        """A day's decisions, and what became of them. Raises Http404 where there is no such day."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            asked = date(year, month, day)
        except ValueError as error:
            raise Http404(f"{year}-{month}-{day} is no day") from error
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "page": day_page.read(asked, today=timezone.now().date()),
        }
        return TemplateResponse(request, "admin/listmanagement/decision/day.html", context)


def today(request: HttpRequest) -> HttpResponse:
    """To this day's page."""
    return redirect(day_page.url_of(timezone.now().date()))


# --- What each door does ---------------------------------------------------------------------------------


def approve(request: HttpRequest, decision_id: int) -> HttpResponse:
    """Say yes to what is still proposed."""
    decision = review.approve(
        decision_id, by=person(request), now=timezone.now(), note=request.POST.get("note", "").strip()
    )
    tasks.nudge_on_commit(decision.run_id)
    does = decision_page.proposed_words(decision_page.count(decision))
    messages.success(request, f"Approved: {does}; {_what_follows()}.")
    return redirect(decision)


def reject(request: HttpRequest, decision_id: int) -> HttpResponse:
    """Say no, with a reason."""
    decision = review.reject(
        decision_id, by=person(request), now=timezone.now(), why=request.POST.get("why", "").strip()
    )
    tasks.nudge_on_commit(decision.run_id)
    messages.success(request, _rejected(decision))
    return redirect(decision)


def take_out(request: HttpRequest, decision_id: int) -> HttpResponse:
    """Leave contacts out: those ticked, or a whole group."""
    number = review.take_out(
        decision_id, contacts=_named(request, decision_id), by=person(request), now=timezone.now()
    )
    messages.success(request, f"{show.counted(number, 'contact')} taken out: nothing happens to them.")
    return _back(request, decision_id)


def put_back(request: HttpRequest, decision_id: int) -> HttpResponse:
    """Propose contacts again: those ticked, or a whole group."""
    number = review.put_back(
        decision_id, contacts=_named(request, decision_id), by=person(request), now=timezone.now()
    )
    messages.success(request, f"{show.counted(number, 'contact')} put back.")
    return _back(request, decision_id)


def find(request: HttpRequest, decision_id: int) -> HttpResponse:
    """Find contacts of the decision by id or address. It changes nothing."""
    text = request.POST.get("text", "")
    found = finding.find(text, among=Contact.objects.filter(items__decision=decision_id))
    if text.strip() and not found:
        messages.warning(request, "No contact of this decision has that in its address, or that id.")
    if len(found) == finding.MOST:
        messages.warning(request, f"The first {finding.MOST} that match are shown: search for more of it.")
    return redirect(
        decision_page.url_of(decision_id, filter=Filter(contacts=tuple(found)), fragment="contacts")
    )


def _named(request: HttpRequest, decision_id: int) -> list[int]:
    """The contacts a form is about. Raises BadRequest where an id is none, NotAllowed where nobody is."""
    if group := request.POST.get("group"):
        rows = Contact.objects.filter(items__decision=decision_id, items__group__in=finding.ids([group]))
        return list(rows.values_list("pk", flat=True))
    named = finding.ids(request.POST.getlist("contact"))
    if not named:
        raise NotAllowed("nobody is ticked: tick the contacts first")
    return named


def _back(request: HttpRequest, decision_id: int) -> HttpResponse:
    """To the same contacts as before, wherever in the decision that was."""
    shown = Filter.read(QueryDict(request.POST.get("back", "")))
    return redirect(decision_page.url_of(decision_id, filter=shown, page=shown.page, fragment="contacts"))


def _rejected(decision: Decision) -> str:
    if decision.kind == DecisionKind.RECONCILIATION:
        return "Accepted: what people changed stays, and nobody is asked about it again."
    if decision.kind == DecisionKind.WAY_BACK:
        return "Rejected: they stay suppressed, and nobody is asked about them again."
    return "Rejected: nothing of it is done, and the run goes on without it."


def _what_follows() -> str:
    why = permission.why_off(enabled=settings.LIST_MANAGEMENT_ENABLED)
    return "the run goes on within seconds" if why is None else f"but nothing changes yet: {why}"
