"""Lists with their sizes, messages, holds, protections, suppressions: to look at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from listmanagement.admin import files, lists_page, show
from listmanagement.admin.lists_page import ListsPage
from listmanagement.admin.readonly import ReadOnlyAdmin
from listmanagement.domain.holds import HoldEnd
from listmanagement.domain.telling import people
from listmanagement.models import (
    Bounce,
    CampaignRecipient,
    CampaignSchedule,
    Contact,
    ContactList,
    ContactSuppressionHistory,
    Decision,
    DomainLookup,
    Hold,
    Protection,
    Role,
)
from listmanagement.workflows.maintenance import outage_over

CONTACT_SEARCH = "A contact's number. To search by address, start from the contacts."


@admin.register(ContactList)
class ListAdmin(ReadOnlyAdmin):
    """Master list, rotation and suppression list, as `lists_page` reads them: from the cache, if it can."""

    change_list_template = "admin/listmanagement/contactlist/list.html"
    list_display = (
        "name",
        "role",
        "position",
        "size",
        "members",
        "at_mailjet",
        "unsubscribed",
        "blocked",
        "joined",
        "left",
        "bounced",
        "read_at",
    )
    ordering = ("role", "position")
    exclude = ("is_deleted",)
    readonly_fields = ("deleted", "size", "members", "at_mailjet", "unsubscribed", "blocked", "counted")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ContactList]:
        """With what is known of each."""
        return lists_page.with_figures(self._page(request))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """With all lists together above."""
        return super().changelist_view(request, {"page": self._page(request), **(extra_context or {})})

    @method_decorator(require_safe)
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """To look at: Django would open a transaction for anything else, in which Mailjet is never asked."""
        return super().change_view(request, object_id, form_url, extra_context)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Refused before Django opens a transaction."""
        raise PermissionDenied

    def _page(self, request: HttpRequest) -> ListsPage:
        """Read once a request."""
        if not hasattr(request, "lists_page"):
            setattr(request, "lists_page", lists_page.read(now=timezone.now()))  # noqa: B010
        found: ListsPage = getattr(request, "lists_page")  # noqa: B009
        return found

    @admin.display(description="size (mailable)", ordering="size_now")
    def size(self, each: Any) -> str:
        """Mailable members: what every share counts."""
        return f"{each.size_now:,}"

    @admin.display(description="members", ordering="members_now")
    def members(self, each: Any) -> str:
        """Everybody on it at Mailjet."""
        return f"{each.members_now:,}"

    @admin.display(description="members at Mailjet", ordering="at_mailjet_now")
    def at_mailjet(self, each: Any) -> str:
        """As Mailjet counts them, and by how many it has more or fewer."""
        if each.at_mailjet_now is None:
            return "not known"
        off = each.at_mailjet_now - each.members_now
        more = f" ({abs(off):,} {'more' if off > 0 else 'fewer'})" if off else ""
        return f"{each.at_mailjet_now:,}{more}"

    @admin.display(description="deleted at Mailjet", ordering="is_deleted")
    def deleted(self, each: ContactList) -> str:
        """Whether Mailjet says that it is gone."""
        return "yes" if each.is_deleted else "no"

    @admin.display(description="unsubscribed", ordering="unsubscribed_now")
    def unsubscribed(self, each: Any) -> str:
        """On it, but unsubscribed there."""
        return f"{each.unsubscribed_now:,}"

    @admin.display(description="blocked by Mailjet", ordering="blocked_now")
    def blocked(self, each: Any) -> str:
        """Mailable, but refused by Mailjet itself."""
        return f"{each.blocked_now:,}" if each.role == Role.CAMPAIGN else show.NOTHING

    @admin.display(description="joined in 7 days", ordering="joined_now")
    def joined(self, each: Any) -> str:
        """Who came."""
        return f"{each.joined_now:,}" if each.role == Role.CAMPAIGN else show.NOTHING

    @admin.display(description="left in 7 days", ordering="left_now")
    def left(self, each: Any) -> str:
        """Who went."""
        return f"{each.left_now:,}" if each.role == Role.CAMPAIGN else show.NOTHING

    @admin.display(description="bounced in 4 weeks", ordering="bounced_now")
    def bounced(self, each: Any) -> str:
        """Of what was attempted."""
        return show.percent(each.bounced_now) if each.bounced_now is not None else show.NOTHING

    @admin.display(description="counted")
    def counted(self, each: Any) -> str:
        """When these figures were counted."""
        return show.when(each.counted_now)


@admin.register(CampaignRecipient)
class MessageAdmin(ReadOnlyAdmin):
    """What became of each message."""

    list_display = (
        "message_id",
        "to",
        "of_campaign",
        "state",
        "failure",
        "sent_at",
        "outcome_at",
        "first_life_at",
    )
    list_filter = ("outcome", "bounce_class")
    search_fields = ("=contact__id", "=campaign__id", "=message_id")
    search_help_text = "The number of a contact, a campaign or a message."
    ordering = ("-pk",)

    @admin.display(description="contact", ordering="contact")
    def to(self, message: CampaignRecipient) -> SafeString | str:
        """Who got it."""
        return show.link_to(Contact, message.contact_id, message.contact_id)

    @admin.display(description="campaign", ordering="campaign")
    def of_campaign(self, message: CampaignRecipient) -> SafeString | str:
        """What it was part of."""
        return show.link_to(CampaignSchedule, message.campaign_id, message.campaign_id)

    @admin.display(description="outcome", ordering="outcome")
    def state(self, message: CampaignRecipient) -> SafeString:
        """How it ended."""
        return show.chip(message.outcome).html

    @admin.display(description="failed as", ordering="bounce_class")
    def failure(self, message: CampaignRecipient) -> str:
        """Its class."""
        return show.words(message.bounce_class) or show.NOTHING


@admin.register(Bounce)
class EvidenceAdmin(ReadOnlyAdmin):
    """The evidence of each failure."""

    list_display = (
        "id",
        "about",
        "failure",
        "state",
        "permanent",
        "attempted",
        "at",
        "server_text",
        "spent_at",
    )
    list_filter = ("recipient__bounce_class", "permanent", "attempted", "state")
    search_fields = ("=recipient__contact__id", "=recipient__campaign__id", "server_text")
    search_help_text = "The number of a contact or a campaign, or words of the server's text."
    date_hierarchy = "at"
    list_select_related = ("recipient",)
    ordering = ("-at", "-pk")
    exclude = ("told",)
    readonly_fields = ("all_that_was_told",)

    @admin.display(description="all that was told")
    def all_that_was_told(self, evidence: Bounce) -> SafeString:
        """By pages and events, whatever the order: what stands was made of it."""
        return show.json_of(evidence.told)

    @admin.display(description="contact")
    def about(self, evidence: Bounce) -> SafeString | str:
        """Whom it is about."""
        return show.link_to(Contact, evidence.recipient.contact_id, evidence.recipient.contact_id)

    @admin.display(description="failed as")
    def failure(self, evidence: Bounce) -> str:
        """Its class."""
        return show.words(evidence.recipient.bounce_class) or show.NOTHING


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    """What waits instead of being suppressed."""

    list_display = ("id", "kind", "what", "why", "since", "run", "ended_at", "how")
    list_filter = ("kind", ("ended_at", admin.EmptyFieldListFilter))
    search_fields = ("host", "=contact__id", "=run__id")
    search_help_text = "A domain, or the number of a contact or a run."
    date_hierarchy = "since"
    list_select_related = ("run",)
    ordering = ("-since", "-pk")
    readonly_fields = ("still_refused", "ticket")

    @admin.display(description="probably still refused by Mailjet")
    def still_refused(self, hold: Hold) -> SafeString | str:
        """Once the outage is over: how many, and the list of them."""
        if hold.ended_how != HoldEnd.OUTAGE_OVER:
            return show.NOTHING
        number = outage_over.still_refused(hold).count()
        href = reverse("admin:listmanagement_hold_refused", args=[hold.pk])
        return format_html('{}, <a href="{}">as CSV</a>', people(number), href) if number else people(0)

    @admin.display(description="for Mailjet's support")
    def ticket(self, hold: Hold) -> SafeString | str:
        """A text to send them: they alone lift what Mailjet blocks."""
        text = outage_over.ticket(hold) if hold.ended_how == HoldEnd.OUTAGE_OVER else ""
        return format_html("<pre>{}</pre>", text) if text else show.NOTHING

    def get_urls(self) -> list[URLPattern]:
        """The list of the refused is a file."""
        export = self.admin_site.admin_view(self.refused)
        return [
            path("<int:pk>/refused.csv", export, name="listmanagement_hold_refused"),
            *super().get_urls(),
        ]

    def refused(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Whom Mailjet probably still refuses, with addresses: for who may see contacts."""
        if not self.has_view_permission(request) or not request.user.has_perm("listmanagement.view_contact"):
            raise PermissionDenied
        hold = get_object_or_404(Hold.objects.select_related("run__campaign"), pk=pk)
        return files.csv(
            f"hold-{pk}-refused.csv",
            columns=("contact", "address"),
            rows=outage_over.still_refused(hold).values_list("pk", "email"),
        )

    @admin.display(description="held")
    def what(self, hold: Hold) -> SafeString | str:
        """The domain, the mail host, or the contact."""
        return hold.host or show.link_to(Contact, hold.contact_id, f"contact {hold.contact_id}")

    @admin.display(description="ended", ordering="ended_how")
    def how(self, hold: Hold) -> str:
        """How it ended."""
        return show.words(hold.ended_how) or show.NOTHING


@admin.register(DomainLookup)
class LookupAdmin(ReadOnlyAdmin):
    """What DNS told of recipient domains: two answers, a week apart, may close one."""

    list_display = ("at", "domain", "route", "mail_host", "why")
    list_filter = ("route",)
    search_fields = ("domain", "mail_host")
    search_help_text = "A domain or a mail host."
    date_hierarchy = "at"
    ordering = ("-at", "-pk")


@admin.register(Protection)
class ProtectionAdmin(ReadOnlyAdmin):
    """Addresses and domains that people want held."""

    list_display = ("value", "kind", "why", "by", "at")
    list_filter = ("kind",)
    search_fields = ("value", "why")
    list_select_related = ("by",)
    ordering = ("value",)


@admin.register(ContactSuppressionHistory)
class SuppressionAdmin(ReadOnlyAdmin):
    """Why each contact is not mailed any more."""

    list_display = (
        "at",
        "who",
        "kind",
        "reason",
        "proof",
        "decided_in",
        "removed_from",
        "lifted_at",
        "lifted_by",
    )
    list_filter = ("kind", ("lifted_at", admin.EmptyFieldListFilter), "removed_from")
    search_fields = ("=contact__id", "=item__decision__id", "=item__decision__run__id")
    search_help_text = f"{CONTACT_SEARCH} Or the number of a decision or a run."
    date_hierarchy = "at"
    list_select_related = ("evidence", "item__decision", "removed_from", "lifted_by")
    ordering = ("-at", "-pk")

    @admin.display(description="contact", ordering="contact")
    def who(self, row: ContactSuppressionHistory) -> SafeString | str:
        """Who is suppressed."""
        return show.link_to(Contact, row.contact_id, row.contact_id)

    @admin.display(description="evidence")
    def proof(self, row: ContactSuppressionHistory) -> SafeString | str:
        """What proves it."""
        return show.link_to(Bounce, row.evidence_id, f"evidence {row.evidence_id}")

    @admin.display(description="decision")
    def decided_in(self, row: ContactSuppressionHistory) -> SafeString | str:
        """Who or what decided it."""
        decision = row.item.decision_id if row.item is not None else None
        return show.link_to(Decision, decision, f"decision {decision}")
