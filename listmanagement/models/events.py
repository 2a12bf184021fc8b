"""What Mailjet told through webhooks, as it told it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from django.db import models
from django.db.models import Q

from listmanagement.models.fields import choices, one_of


class ToldKind(StrEnum):
    """What an event says that it is about: Mailjet's words, and three of ours."""

    SENT = "sent"
    OPEN = "open"
    CLICK = "click"
    BOUNCE = "bounce"
    BLOCKED = "blocked"
    SPAM = "spam"
    UNSUB = "unsub"
    OTHER = "other"
    """A word that we do not know, or none."""
    UNREADABLE = "unreadable"
    """A request whose body is no JSON of ours, kept whole."""
    TOO_LARGE = "too_large"
    """A request that was not read to its end. Its beginning is kept."""


class EventStatus(StrEnum):
    """Where an event stands."""

    NEW = "new"
    WAITING = "waiting"
    """For its campaign to be known here."""
    DONE = "done"
    REVIEW = "review"
    """A person should look at it."""


PROCESSED = (EventStatus.DONE, EventStatus.REVIEW)


class EventQuerySet(models.QuerySet["WebhookEvent"]):
    """Phrases about events."""

    def unprocessed(self) -> EventQuerySet:
        """Stored, and nothing more yet. In the order in which they came."""
        return self.filter(status=EventStatus.NEW).order_by("pk")

    def for_review(self) -> EventQuerySet:
        """What a person should look at, the newest first."""
        return self.filter(status=EventStatus.REVIEW).order_by("-pk")

    def waiting(self) -> EventQuerySet:
        """Events of campaigns that are not known here yet."""
        return self.filter(status=EventStatus.WAITING)

    def processed_before(self, moment: datetime) -> EventQuerySet:
        """What has been dealt with for so long."""
        return self.filter(processed_at__lt=moment)


class WebhookEvent(models.Model):
    """One event as it came in, kept once however often it was told.

    `identity` is a digest of what makes it the same event: message, kind, time, address, link. Message,
    campaign and time are filled in as it is processed: until then the body alone is known.
    """

    identity = models.UUIDField(unique=True)
    kind = models.CharField(max_length=10, choices=choices(ToldKind))
    body = models.TextField(help_text="the event's JSON, as it came")
    received_at = models.DateTimeField()
    status = models.CharField(max_length=7, choices=choices(EventStatus), default=EventStatus.NEW)
    processed_at = models.DateTimeField(null=True, blank=True)
    problem = models.TextField(blank=True, db_default="", help_text="why a person should look at it")
    message_id = models.BigIntegerField(null=True, blank=True)
    mailjet_campaign_id = models.BigIntegerField(null=True, blank=True)
    happened_at = models.DateTimeField(null=True, blank=True)

    objects = EventQuerySet.as_manager()

    class Meta:
        verbose_name = "event"
        constraints = [
            one_of("kind", ToldKind, name="an_event_has_a_known_kind"),
            one_of("status", EventStatus, name="an_event_has_a_known_status"),
            models.CheckConstraint(
                condition=Q(status__in=PROCESSED, processed_at__isnull=False)
                | ~Q(status__in=PROCESSED) & Q(processed_at__isnull=True),
                name="processed_events_and_only_they_say_when",
            ),
            models.CheckConstraint(
                condition=Q(status=EventStatus.REVIEW) & ~Q(problem="")
                | ~Q(status=EventStatus.REVIEW) & Q(problem=""),
                name="events_for_review_and_only_they_say_why",
            ),
            models.CheckConstraint(
                condition=~Q(status=EventStatus.WAITING) | Q(mailjet_campaign_id__isnull=False),
                name="a_waiting_event_names_its_campaign",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(status=EventStatus.NEW), name="event_unprocessed"),
            models.Index(fields=["id"], condition=Q(status=EventStatus.REVIEW), name="event_for_review"),
            models.Index(
                fields=["mailjet_campaign_id"],
                condition=Q(status=EventStatus.WAITING),
                name="event_waiting_for_its_campaign",
            ),
            models.Index(
                fields=["processed_at"], condition=Q(processed_at__isnull=False), name="event_processed"
            ),
            models.Index(
                fields=["message_id"],
                condition=Q(kind=ToldKind.CLICK, message_id__isnull=False),
                name="event_clicks_of_a_message",
            ),
        ]

    def __str__(self) -> str:
        return f"event {self.pk}"
