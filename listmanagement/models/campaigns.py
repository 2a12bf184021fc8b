"""Campaigns, what became of their messages, and what waits because of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.urls import reverse

from integrations.mailjet import DraftStatus
from listmanagement.domain.bounces import BounceClass, Outcome
from listmanagement.domain.cycle import RoundStatus
from listmanagement.domain.holds import HoldEnd
from listmanagement.domain.recognition import CampaignKind, CycleEnd
from listmanagement.models.fields import choices, one_of, one_of_or_nothing
from listmanagement.models.lists import Contact, ContactList


class Cycle(models.Model):
    """One message to every campaign list once.

    Numbers are given in the order in which cycles are found, and stay. Which came first is told by
    `started_at`: looking back can find one between two others.
    """

    number = models.PositiveIntegerField(unique=True)
    name = models.TextField(blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_how = models.CharField(max_length=12, blank=True, choices=choices(CycleEnd))
    doubt = models.TextField(
        blank=True, help_text="why it is not over though every list had a send, and what to do"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True)
                | Q(started_at__isnull=False, ended_at__gte=F("started_at")),
                name="a_cycle_ends_after_it_began",
            ),
            one_of_or_nothing("ended_how", CycleEnd, name="a_cycle_ended_in_a_known_way"),
            models.CheckConstraint(
                condition=Q(ended_how="") | Q(ended_at__isnull=False), name="only_an_ended_cycle_says_how"
            ),
        ]

    def __str__(self) -> str:
        return f"cycle {self.number}"


COUNTERS: Mapping[str, str] = {
    "processed": "messages that Mailjet took over for sending",
    "delivered": "messages that arrived",
    "hard_bounced": "messages that failed for good",
    "soft_bounced": "messages that failed for now",
    "blocked": "messages that Mailjet did not try",
    "complained": "messages that were called spam",
    "unsubscribed": "messages from which somebody unsubscribed",
    "opened": "messages that were opened",
    "clicked": "messages in which a link was followed",
    "deferred": "messages that are tried again",
    "queued": "messages that still wait",
}
"""Mailjet's totals of a campaign, in its own counting, which lags by hours; and what each means."""


def _counter(means: str) -> models.PositiveIntegerField[int | None, int | None]:
    return models.PositiveIntegerField(null=True, blank=True, help_text=f"{means}, by Mailjet's count")


class CampaignQuerySet(models.QuerySet["CampaignSchedule"]):
    """Phrases about sends."""

    def to_come(self, *, at: datetime) -> CampaignQuerySet:
        """Scheduled, and not due yet at that time; in no order."""
        return self.filter(status=RoundStatus.SCHEDULED, scheduled_at__gt=at)


class CampaignSchedule(models.Model):
    """One send of a message to one list. `CAMPAIGN_ID` is always this row's id."""

    cycle = models.ForeignKey(
        Cycle, null=True, blank=True, on_delete=models.PROTECT, related_name="campaigns"
    )
    round = models.PositiveSmallIntegerField(null=True, blank=True)
    kind = models.CharField(max_length=8, choices=choices(CampaignKind), default=CampaignKind.ROUND)
    list = models.ForeignKey(
        ContactList,
        on_delete=models.PROTECT,
        related_name="campaigns",
        db_index=False,  # campaign_next_on_a_list begins with it
    )
    mailjet_campaign_id = models.BigIntegerField(null=True, blank=True, unique=True)
    mailjet_draft_id = models.BigIntegerField(null=True, blank=True, unique=True)
    subject = models.TextField(blank=True)
    title = models.TextField(blank=True, help_text="for people only, at Mailjet")
    segmentation_id = models.BigIntegerField(
        null=True, blank=True, help_text="the part of the list it goes to; empty for the whole list"
    )
    ab_test_id = models.BigIntegerField(
        null=True, blank=True, help_text="the test of several versions (A/B) it belongs to"
    )
    draft_status = models.SmallIntegerField(
        null=True,
        blank=True,
        choices=[(each.value, each.name.lower().replace("_", " ")) for each in DraftStatus],
        help_text="how its draft stood last",
    )
    list_size = models.PositiveIntegerField(
        null=True, blank=True, help_text="mailable members of its list when it was first seen sent"
    )
    status = models.CharField(max_length=12, choices=choices(RoundStatus))
    scheduled_at = models.DateTimeField(null=True, blank=True)
    postponed_from = models.DateTimeField(
        null=True, blank=True, help_text="the time it had, where people at Mailjet gave it another"
    )
    started_at = models.DateTimeField(null=True, blank=True, help_text="Mailjet's SendStartAt")
    ended_at = models.DateTimeField(null=True, blank=True, help_text="Mailjet's SendEndAt")
    recipients_fetched_at = models.DateTimeField(null=True, blank=True)
    first_event_at = models.DateTimeField(
        null=True, blank=True, help_text="when the first event of it was told"
    )
    settled_at = models.DateTimeField(null=True, blank=True, help_text="its outcomes are final")
    cause = models.TextField(blank=True, help_text="why it failed, was called off or is late")
    of = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="also",
        help_text="what a repeat repeats, what a part is of, what a person's round goes with",
    )
    labelled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    labelled_at = models.DateTimeField(null=True, blank=True)
    labelled_why = models.TextField(blank=True, help_text="why a person said what it was")
    counted_at = models.DateTimeField(null=True, blank=True, help_text="when Mailjet's counters were read")
    processed = _counter(COUNTERS["processed"])
    delivered = _counter(COUNTERS["delivered"])
    hard_bounced = _counter(COUNTERS["hard_bounced"])
    soft_bounced = _counter(COUNTERS["soft_bounced"])
    blocked = _counter(COUNTERS["blocked"])
    complained = _counter(COUNTERS["complained"])
    unsubscribed = _counter(COUNTERS["unsubscribed"])
    opened = _counter(COUNTERS["opened"])
    clicked = _counter(COUNTERS["clicked"])
    deferred = _counter(COUNTERS["deferred"])
    queued = _counter(COUNTERS["queued"])

    objects = CampaignQuerySet.as_manager()

    class Meta:
        verbose_name = "campaign"
        constraints = [
            one_of("kind", CampaignKind, name="a_campaign_has_a_known_kind"),
            one_of("status", RoundStatus, name="a_campaign_has_a_known_status"),
            models.CheckConstraint(
                condition=~Q(status=RoundStatus.SENT)
                | Q(mailjet_campaign_id__isnull=False, started_at__isnull=False, ended_at__isnull=False),
                name="a_sent_campaign_has_its_times_and_mailjets_id",
            ),
            models.CheckConstraint(
                condition=~Q(status=RoundStatus.SCHEDULED) | Q(scheduled_at__isnull=False),
                name="a_scheduled_campaign_has_a_time",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True)
                | Q(started_at__isnull=False, ended_at__gte=F("started_at")),
                name="a_send_ends_after_it_began",
            ),
            models.CheckConstraint(
                condition=Q(kind=CampaignKind.ROUND, cycle__isnull=False, round__isnull=False, round__gte=1)
                | (~Q(kind=CampaignKind.ROUND) & Q(round__isnull=True)),
                name="rounds_and_only_they_have_a_place_in_a_cycle",
            ),
            models.CheckConstraint(
                condition=~Q(status=RoundStatus.FAILED) | ~Q(cause=""), name="a_failed_campaign_says_why"
            ),
            models.CheckConstraint(
                condition=Q(settled_at__isnull=True) | Q(status=RoundStatus.SENT),
                name="only_a_sent_campaign_is_settled",
            ),
            models.UniqueConstraint(
                fields=["cycle", "list"],
                condition=Q(kind=CampaignKind.ROUND) & ~Q(status=RoundStatus.CANCELLED),
                name="one_round_per_list_and_cycle",
            ),
            models.CheckConstraint(
                condition=Q(of__isnull=True)
                | Q(kind__in=[CampaignKind.ROUND, CampaignKind.PART, CampaignKind.REPEAT]) & ~Q(of=F("id")),
                name="a_campaign_goes_with_another",
            ),
            models.CheckConstraint(
                condition=Q(labelled_by=None, labelled_at=None, labelled_why="")
                | (Q(labelled_by__isnull=False, labelled_at__isnull=False) & ~Q(labelled_why="")),
                name="a_persons_label_names_who_when_and_why",
            ),
            models.CheckConstraint(
                condition=Q(counted_at=None, **dict.fromkeys(COUNTERS))
                | Q(counted_at__isnull=False, **{f"{name}__isnull": False for name in COUNTERS}),
                name="counters_come_together",
            ),
            models.CheckConstraint(
                condition=Q(draft_status__isnull=True)
                | Q(draft_status__in=[each.value for each in DraftStatus]),
                name="a_draft_has_a_known_status",
            ),
        ]
        indexes = [
            models.Index(fields=["list", "scheduled_at"], name="campaign_next_on_a_list"),
            models.Index(fields=["status", "ended_at"], name="campaign_due_for_maintenance"),
            models.Index(
                fields=["ended_at"],
                condition=Q(status=RoundStatus.SENT, settled_at__isnull=True),
                name="campaign_unsettled",
            ),
        ]

    def __str__(self) -> str:
        return f"campaign {self.pk}"

    def get_absolute_url(self) -> str:
        """The campaign's page."""
        return reverse("admin:listmanagement_campaignschedule_change", args=[self.pk])


class CampaignSync(models.Model):
    """When campaigns were last read from Mailjet: one row, made by the first who asks."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    read_at = models.DateTimeField(
        null=True, blank=True, help_text="how old what is stored can be: when its reading began"
    )

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="one_campaign_sync")]

    def __str__(self) -> str:
        return "sync of campaigns"


class CampaignRecipient(models.Model):
    """One message of a campaign to one contact: the denominator of every rate.

    Two messages to one contact in a campaign are both kept: P5 finds them.
    """

    campaign = models.ForeignKey(
        CampaignSchedule,
        on_delete=models.PROTECT,
        related_name="recipients",
        db_index=False,  # recipient_by_outcome begins with it
    )
    contact = models.ForeignKey(Contact, on_delete=models.PROTECT, related_name="received")
    message_id = models.BigIntegerField(unique=True)
    outcome = models.CharField(max_length=16, choices=choices(Outcome))
    bounce_class = models.CharField(max_length=24, choices=choices(BounceClass), blank=True)
    sent_at = models.DateTimeField()
    outcome_at = models.DateTimeField()
    delivered_at = models.DateTimeField(
        null=True, blank=True, help_text="when the receiving server took it, as an event said"
    )
    first_life_at = models.DateTimeField(
        null=True, blank=True, help_text="the first human click: a sign of life (opens never decide)"
    )

    class Meta:
        verbose_name = "message"
        constraints = [
            one_of("outcome", Outcome, name="a_message_has_a_known_outcome"),
            one_of_or_nothing("bounce_class", BounceClass, name="a_message_failed_in_a_known_way"),
            models.CheckConstraint(
                condition=Q(outcome__in=[Outcome.DELIVERED, Outcome.OPEN], bounce_class="")
                | Q(outcome__in=[Outcome.BOUNCED, Outcome.COMPLAINED, Outcome.NOT_ATTEMPTED])
                & ~Q(bounce_class=""),
                name="failures_and_only_they_have_a_class",
            ),
            models.CheckConstraint(
                condition=~Q(outcome=Outcome.COMPLAINED) | Q(bounce_class=BounceClass.COMPLAINT),
                name="a_complaint_is_nothing_else",
            ),
        ]
        indexes = [
            models.Index(fields=["campaign", "outcome"], name="recipient_by_outcome"),
        ]

    def __str__(self) -> str:
        return f"message {self.message_id}"


class Bounce(models.Model):
    """The stored evidence of one failed message. A worse state replaces; the older is kept."""

    recipient = models.OneToOneField(CampaignRecipient, on_delete=models.PROTECT, related_name="bounce")
    state = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Mailjet's StateID; empty where Mailjet gave none"
    )
    permanent = models.BooleanField()
    attempted = models.BooleanField(help_text="false: Mailjet reported it as blocked and did not try")
    at = models.DateTimeField()
    server_text = models.TextField(blank=True)
    earlier = models.JSONField(default=list, blank=True, help_text="states this one replaced, oldest first")
    told = models.JSONField(
        default=dict,
        db_default={},
        blank=True,
        help_text="all that was told of the message, whatever the order",
    )
    spent_at = models.DateTimeField(null=True, blank=True, help_text="its suppression was lifted")

    class Meta:
        verbose_name = "evidence"
        verbose_name_plural = "evidence"
        constraints = [
            models.CheckConstraint(
                condition=Q(state__isnull=True) | Q(state__gte=1), name="a_state_is_one_of_mailjets"
            )
        ]

    def __str__(self) -> str:
        return f"evidence {self.pk}"


class HoldKind(StrEnum):
    """What is held."""

    DOMAIN = "domain"
    MAIL_HOST = "mail_host"
    CONTACT = "contact"


class HoldQuerySet(models.QuerySet["Hold"]):
    """Phrases about holds."""

    def standing(self) -> HoldQuerySet:
        """Not ended."""
        return self.filter(ended_at=None)

    def covering(self, campaign: object, *, at: object) -> HoldQuerySet:
        """Those that explain what failed at this time of this campaign; either may be an `OuterRef`.

        The campaign that showed it is explained whole, others from then on (`Hold.begins`) to the hold's end.
        """
        began = Q(since__lte=at) | Q(run__campaign__started_at__lte=at)
        lasted = Q(ended_at=None) | Q(ended_at__gt=at)
        return self.filter(Q(run__campaign=campaign) | (began & lasted))


class Hold(models.Model):
    """A wait instead of a suppression. The contacts stay on their list and are not moved."""

    kind = models.CharField(max_length=10, choices=choices(HoldKind))
    host = models.TextField(blank=True, help_text="the domain or mail host, lower case")
    contact = models.ForeignKey(
        Contact, null=True, blank=True, on_delete=models.PROTECT, related_name="holds"
    )
    why = models.TextField()
    since = models.DateTimeField()
    run = models.ForeignKey("ListMaintenanceLog", on_delete=models.PROTECT, related_name="holds")
    part_of = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="parts",
        help_text="the hold of the mail host that its domain is behind: it ends with it, or before",
    )
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_how = models.CharField(max_length=24, blank=True, choices=choices(HoldEnd))

    objects = HoldQuerySet.as_manager()

    class Meta:
        constraints = [
            one_of_or_nothing("ended_how", HoldEnd, name="a_hold_ended_in_a_known_way"),
            one_of("kind", HoldKind, name="a_hold_has_a_known_kind"),
            models.CheckConstraint(
                condition=Q(kind=HoldKind.CONTACT, contact__isnull=False, host="")
                | (~Q(kind=HoldKind.CONTACT) & Q(contact__isnull=True) & ~Q(host="")),
                name="a_hold_names_what_it_holds",
            ),
            models.UniqueConstraint(
                fields=["kind", "host"],
                condition=Q(ended_at=None) & ~Q(kind=HoldKind.CONTACT),
                name="one_standing_hold_per_host",
            ),
            models.UniqueConstraint(
                fields=["contact"],
                condition=Q(ended_at=None, kind=HoldKind.CONTACT),
                name="one_standing_hold_per_contact",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, ended_how="")
                | Q(ended_at__isnull=False, ended_at__gte=F("since"), ended_how__gt=""),
                name="an_ended_hold_says_how",
            ),
            models.CheckConstraint(condition=Q(host=Lower("host")), name="a_held_host_is_lower_case"),
            models.CheckConstraint(
                condition=Q(part_of__isnull=True) | Q(kind=HoldKind.DOMAIN),
                name="only_a_domain_is_held_with_its_mail_host",
            ),
            models.CheckConstraint(condition=~Q(why=""), name="a_hold_says_why"),
        ]

    def __str__(self) -> str:
        return f"hold {self.pk}"

    def get_absolute_url(self) -> str:
        """The hold's page."""
        return reverse("admin:listmanagement_hold_change", args=[self.pk])

    @property
    def begins(self) -> datetime:
        """From when on failures are explained by it: the send that showed it, which is judged a day later."""
        started = self.run.campaign.started_at if self.run.campaign else None
        return min(self.since, started) if started else self.since

    def explains(self, campaign_id: int, *, at: datetime) -> bool:
        """The same of one hold as `HoldQuerySet.covering` asks of all."""
        if self.run.campaign_id == campaign_id:
            return True
        return self.begins <= at and (self.ended_at is None or at < self.ended_at)
