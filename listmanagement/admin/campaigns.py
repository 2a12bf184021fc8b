"""Campaigns and cycles: what was sent, what it was taken for, and the doors by which people say otherwise."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import BadRequest
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from listmanagement import outside
from listmanagement.admin import before_send, campaign_page, show
from listmanagement.admin.readonly import PageAdmin, ReadOnlyAdmin, person
from listmanagement.domain.validation import HeldTreatment
from listmanagement.models import CampaignKind, CampaignSchedule, Cycle
from listmanagement.workflows.before_sends import pre_campaign, retests
from listmanagement.workflows.campaigns import labels


@admin.register(Cycle)
class CycleAdmin(ReadOnlyAdmin):
    """Rounds that belong together."""

    list_display = ("number", "name", "rounds", "started_at", "ended_at", "how")
    ordering = ("-number",)
    search_fields = ("=number", "name")
    search_help_text = "A cycle's number, or words of its name."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Cycle]:
        """With its campaigns."""
        return Cycle.objects.prefetch_related("campaigns__list").order_by("-number")

    @admin.display(description="rounds")
    def rounds(self, cycle: Cycle) -> str:
        """To which lists it went, and how far each is."""
        rounds = [each for each in cycle.campaigns.all() if each.kind == CampaignKind.ROUND]
        rounds.sort(key=lambda each: (each.round or 0, each.pk))
        return ", ".join(f"{each.list}: {show.words(each.status)}" for each in rounds)

    @admin.display(description="ended how", ordering="ended_how")
    def how(self, cycle: Cycle) -> str:
        """How it ended, or why it has not."""
        return show.words(cycle.ended_how) or cycle.doubt or show.NOTHING


@admin.register(CampaignSchedule)
class CampaignAdmin(PageAdmin):
    """Sends, past and to come."""

    list_display = (
        "number",
        "subject",
        "list",
        "taken_for",
        "state",
        "sends_at",
        "ended",
        "went_out",
        "arrived",
        "bounced",
        "refused",
    )
    list_filter = ("status", "kind", "list", "cycle")
    search_fields = ("=id", "=mailjet_campaign_id", "=mailjet_draft_id", "subject", "title")
    search_help_text = "A campaign's number, here or at Mailjet, its draft's, or words of subject and title."
    date_hierarchy = "started_at"
    list_select_related = ("list", "cycle", "of")
    ordering = ("-pk",)

    @admin.display(description="campaign", ordering="pk")
    def number(self, campaign: CampaignSchedule) -> str:
        """Its id: what CAMPAIGN_ID means everywhere."""
        return f"Campaign {campaign.pk}"

    @admin.display(description="what it was", ordering="cycle__number")
    def taken_for(self, campaign: CampaignSchedule) -> str:
        """Round and cycle, or what else it was; "by a person" where one said so."""
        return campaign_page.label_of(campaign)

    @admin.display(description="status", ordering="status")
    def state(self, campaign: CampaignSchedule) -> SafeString:
        """Its status, and why where it is not as it should be."""
        return format_html("{} {}", show.chip(campaign.status).html, campaign.cause)

    @admin.display(description="sends at", ordering="scheduled_at")
    def sends_at(self, campaign: CampaignSchedule) -> str:
        """When it began, else when it is to."""
        return show.when(campaign.started_at or campaign.scheduled_at)

    @admin.display(description="ended", ordering="ended_at")
    def ended(self, campaign: CampaignSchedule) -> str:
        """When its last message went out."""
        return show.when(campaign.ended_at)

    @admin.display(description="processed", ordering="processed")
    def went_out(self, campaign: CampaignSchedule) -> str:
        """How many messages Mailjet took over, by its count."""
        return _number(campaign.processed)

    @admin.display(description="delivered", ordering="delivered")
    def arrived(self, campaign: CampaignSchedule) -> str:
        """How many arrived, by Mailjet's count."""
        return _number(campaign.delivered)

    @admin.display(description="blocked", ordering="blocked")
    def refused(self, campaign: CampaignSchedule) -> str:
        """How many Mailjet did not try, by its count."""
        return _number(campaign.blocked)

    @admin.display(description="bounced")
    def bounced(self, campaign: CampaignSchedule) -> str:
        """Hard and soft, by Mailjet's count."""
        if campaign.hard_bounced is None or campaign.soft_bounced is None:
            return show.NOTHING
        return f"{campaign.hard_bounced:,} hard, {campaign.soft_bounced:,} soft"

    # --- The page, and its doors ---

    page_template = "admin/listmanagement/campaignschedule/page.html"
    change_list_template = "admin/listmanagement/campaignschedule/list.html"

    def rows(self) -> QuerySet[CampaignSchedule]:
        """With list, cycle, what it goes with, and who labelled it."""
        return CampaignSchedule.objects.select_related("list", "cycle", "of", "labelled_by")

    def page(self, row: CampaignSchedule, *, request: HttpRequest) -> campaign_page.CampaignPage:
        """The campaign for this person."""
        return campaign_page.read(row, by=person(request), now=timezone.now())

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, and above it what is to be sent, with what was found."""
        sends = before_send.upcoming(now=timezone.now())
        return super().changelist_view(request, {"upcoming": sends, **(extra_context or {})})

    def get_urls(self) -> list[URLPattern]:
        """One door for each verb, before Django's own addresses."""
        doors = {"label": label, "unlabel": unlabel, "look": look, "held": held, "anyway": anyway}
        ours = [
            path(f"<int:campaign_id>/{verb}/", self.door(act), name=f"listmanagement_campaign_{verb}")
            for verb, act in doors.items()
        ]
        return [*ours, *super().get_urls()]


def _number(count: int | None) -> str:
    return show.NOTHING if count is None else f"{count:,}"


def label(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """Say what a send was."""
    posted: Any = request.POST
    kind, number = posted.get("kind", ""), posted.get("cycle", "")
    if kind not in labels.SAID or not (number == "" or number.isdecimal()):
        raise BadRequest("kind or cycle is none that the page offers")
    row = labels.say(
        campaign_id,
        kind=CampaignKind(kind),
        cycle=int(number) if number else None,
        by=person(request),
        why=posted.get("why", ""),
        now=timezone.now(),
    )
    return _back(request, row, "Labelled")


def unlabel(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """Let the rules say it again."""
    row = labels.let_rules_decide(
        campaign_id, by=person(request), why=request.POST.get("why", ""), now=timezone.now()
    )
    return _back(request, row, "Label taken back")


def look(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """Look at a send now, as it is looked at before it goes out."""
    with outside.real() as connected:
        looked = pre_campaign.validate(campaign_id, outside=connected, by=person(request), now=timezone.now())
    messages.success(request, f"Looked at campaign {campaign_id}: {looked.look.verdict}.")
    return redirect(looked.look.campaign)


def held(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """Choose whom of held domains a send reaches."""
    treatment = request.POST.get("treatment", "")
    if treatment not in list(HeldTreatment):
        raise BadRequest("treatment is none that the page offers")
    choice = retests.choose(
        campaign_id,
        HeldTreatment(treatment),
        by=person(request),
        configuration=outside.configuration(),
        now=timezone.now(),
    )
    messages.success(request, f"Chosen: {retests.WORDS[HeldTreatment(choice.treatment)]}.")
    return redirect(choice.campaign)


def anyway(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """Send it though it was found, at the look that the page shows, that it should not go out."""
    look = request.POST.get("look", "")
    done = pre_campaign.send_anyway(
        campaign_id,
        look_id=int(look) if look.isdecimal() else 0,
        by=person(request),
        why=request.POST.get("why", ""),
        configuration=outside.configuration(),
        now=timezone.now(),
    )
    messages.success(request, done)
    return redirect("admin:listmanagement_campaignschedule_change", campaign_id)


def _back(request: HttpRequest, row: CampaignSchedule, done: str) -> HttpResponse:
    row.refresh_from_db()
    messages.success(request, f"{done}: campaign {row.pk} is {campaign_page.label_of(row)}.")
    return redirect(show.page_of(row))
