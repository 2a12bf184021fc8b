"""What people are told, and what is kept of who did what."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from django.db import models
from django.db.models import Q

from listmanagement.models.decisions import Decision
from listmanagement.models.fields import choices, one_of
from listmanagement.models.runs import ListMaintenanceLog


class NotificationKind(StrEnum):
    """What a message is about."""

    DECISION_NEEDED = "decision_needed"
    MAINTENANCE_DONE = "maintenance_done"
    MAINTENANCE_FAILED = "maintenance_failed"
    ALERT = "alert"
    PRE_CAMPAIGN = "pre_campaign"
    WEEKLY_REPORT = "weekly_report"


class NotificationStatus(StrEnum):
    """pending → sending → sent | failed; *sending* that never ended is not sent twice."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"


class NotificationQuerySet(models.QuerySet["Notification"]):
    """Phrases about the outbox."""

    def due(self, *, at: datetime) -> NotificationQuerySet:
        """To be sent now, the oldest first."""
        return self.filter(status=NotificationStatus.PENDING, next_at__lte=at).order_by("pk")


class Notification(models.Model):
    """A message that was decided on with what it tells, and is sent afterwards."""

    key = models.TextField(unique=True, help_text="one message per key, whoever asks for it")
    kind = models.CharField(max_length=20, choices=choices(NotificationKind))
    run = models.ForeignKey(
        ListMaintenanceLog,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="notifications",
        help_text="empty for an alert that belongs to no run",
    )
    decision = models.ForeignKey(
        Decision, null=True, blank=True, on_delete=models.PROTECT, related_name="notifications"
    )
    text = models.TextField(help_text="the whole message in plain text")
    blocks = models.JSONField(help_text="Block Kit")
    status = models.CharField(
        max_length=8, choices=choices(NotificationStatus), default=NotificationStatus.PENDING
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    next_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    channel = models.TextField(blank=True)
    ts = models.TextField(blank=True, help_text="Slack's name of the message; never a number")
    error = models.TextField(blank=True)

    objects = NotificationQuerySet.as_manager()

    class Meta:
        constraints = [
            one_of("kind", NotificationKind, name="a_notification_has_a_known_kind"),
            one_of("status", NotificationStatus, name="a_notification_has_a_known_status"),
            models.CheckConstraint(
                condition=Q(status=NotificationStatus.SENT, sent_at__isnull=False)
                | (~Q(status=NotificationStatus.SENT) & Q(sent_at__isnull=True)),
                name="a_sent_notification_says_when",
            ),
            models.CheckConstraint(
                condition=~Q(status=NotificationStatus.FAILED) | ~Q(error=""),
                name="a_failed_notification_says_why",
            ),
            models.CheckConstraint(
                condition=~Q(kind=NotificationKind.DECISION_NEEDED) | Q(decision__isnull=False),
                name="a_question_names_its_decision",
            ),
            models.CheckConstraint(
                condition=Q(run__isnull=False)
                | Q(kind__in=[NotificationKind.ALERT, NotificationKind.PRE_CAMPAIGN]),
                name="only_alerts_belong_to_no_run",
            ),
            models.CheckConstraint(condition=~Q(text=""), name="a_notification_says_something"),
        ]
        indexes = [
            models.Index(
                fields=["next_at"], condition=Q(status=NotificationStatus.PENDING), name="outbox_pending"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class AuditEntry(models.Model):
    """Who did what to what. A trigger in PostgreSQL refuses to change or delete one.

    It names its subject by kind and id, without foreign keys that could block or vanish.
    """

    at = models.DateTimeField()
    actor = models.TextField(help_text="a user name, or the part of the system that acted")
    action = models.TextField()
    subject_kind = models.TextField()
    subject_id = models.BigIntegerField()
    details = models.JSONField(default=dict)

    class Meta:
        verbose_name_plural = "audit entries"
        constraints = [
            models.CheckConstraint(
                condition=~Q(actor="") & ~Q(action="") & ~Q(subject_kind=""),
                name="an_audit_entry_names_who_and_what",
            )
        ]
        indexes = [models.Index(fields=["subject_kind", "subject_id"], name="audit_of_a_subject")]

    def __str__(self) -> str:
        return f"{self.actor}: {self.action}"
