"""What was found before a send, what people said about it, and what became of its draft."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from listmanagement.domain.validation import BEFORE, Check, HeldTreatment, Instant, Severity, Verdict
from listmanagement.models.campaigns import CampaignSchedule
from listmanagement.models.fields import choices, one_of
from listmanagement.models.lists import ContactList
from listmanagement.models.runs import ListMaintenanceLog


class ValidationQuerySet(models.QuerySet["CampaignValidation"]):
    """Phrases about looks."""

    def of(self, campaign: CampaignSchedule) -> ValidationQuerySet:
        """Looks at this send as it stands now: of its time, to its list. The newest first."""
        if campaign.scheduled_at is None:
            return self.none()
        stands = self.filter(campaign=campaign, sends_at=campaign.scheduled_at, list=campaign.list_id)
        return stands.order_by("-at", "-pk")


class CampaignValidation(models.Model):
    """One look at a send before it goes out: the facts' verdict, and its findings."""

    campaign = models.ForeignKey(
        CampaignSchedule,
        on_delete=models.PROTECT,
        related_name="validations",
        db_index=False,  # validation_newest_first begins with it
    )
    list = models.ForeignKey(
        ContactList,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="to which it was to be sent, as this look saw it",
    )
    instant = models.CharField(max_length=24, choices=choices(Instant))
    sends_at = models.DateTimeField(help_text="when it was to be sent, as this look saw it")
    at = models.DateTimeField()
    verdict = models.CharField(max_length=8, choices=choices(Verdict))
    size = models.PositiveIntegerField(help_text="mailable members of its list")
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    objects = ValidationQuerySet.as_manager()

    class Meta:
        verbose_name = "look before a send"
        verbose_name_plural = "looks before sends"
        constraints = [
            one_of("instant", Instant, name="a_send_is_looked_at_at_a_known_instant"),
            one_of("verdict", Verdict, name="a_look_has_a_known_verdict"),
            models.UniqueConstraint(
                fields=["campaign", "list", "sends_at", "instant"],
                condition=Q(instant__in=list(BEFORE)),
                name="one_look_per_instant_and_send",
            ),
        ]
        indexes = [models.Index(fields=["campaign", "-at"], name="validation_newest_first")]

    def __str__(self) -> str:
        return f"look {self.pk}: {self.verdict}"


class ValidationFinding(models.Model):
    """One thing worth knowing before a send. Contacts stand here as ids."""

    validation = models.ForeignKey(CampaignValidation, on_delete=models.PROTECT, related_name="findings")
    position = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=16, choices=choices(Check))
    severity = models.CharField(max_length=8, choices=choices(Severity))
    words = models.TextField()
    what_to_do = models.TextField()
    number = models.PositiveIntegerField(default=0, help_text="how many it is about, where it counts")
    contacts = models.JSONField(default=list, blank=True, help_text="ids: of what blocks, all of them")
    subjects = models.JSONField(
        default=list,
        null=True,
        blank=True,
        help_text="what else it is about, by name; null of findings older than this, of whose contacts only "
        "the first were kept",
    )
    cleared = models.BooleanField(default=False, help_text="a person knew of it and said to send")

    class Meta:
        ordering = ["position"]
        verbose_name = "finding"
        constraints = [
            one_of("kind", Check, name="a_finding_is_of_a_known_kind"),
            one_of("severity", Severity, name="a_finding_has_a_known_severity"),
            models.UniqueConstraint(fields=["validation", "position"], name="one_finding_per_position"),
            models.CheckConstraint(
                condition=~Q(words="") & ~Q(what_to_do=""), name="a_finding_says_what_is_and_what_to_do"
            ),
            models.CheckConstraint(
                condition=Q(cleared=False) | Q(severity=Severity.BLOCKING),
                name="only_what_blocks_is_cleared",
            ),
        ]

    def __str__(self) -> str:
        return self.words


class CampaignClearance(models.Model):
    """A reviewer said to send it anyway: what blocked at that look does not keep this send any more."""

    validation = models.OneToOneField(
        CampaignValidation,
        on_delete=models.PROTECT,
        related_name="clearance",
        help_text="whose findings were known",
    )
    campaign = models.ForeignKey(CampaignSchedule, on_delete=models.PROTECT, related_name="clearances")
    at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    why = models.TextField()

    class Meta:
        verbose_name = "clearance"
        constraints = [models.CheckConstraint(condition=~Q(why=""), name="a_clearance_says_why")]

    def __str__(self) -> str:
        return f"clearance {self.pk}"


class HeldChoice(models.Model):
    """To whom of held domains a send goes, as a reviewer chose. Without one, to all."""

    campaign = models.OneToOneField(CampaignSchedule, on_delete=models.PROTECT, related_name="held_choice")
    treatment = models.CharField(max_length=4, choices=choices(HeldTreatment))
    at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    run = models.OneToOneField(
        ListMaintenanceLog,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="held_choice",
        help_text="the run that carries it out; then it is not changed any more",
    )

    class Meta:
        verbose_name = "choice about held domains"
        verbose_name_plural = "choices about held domains"
        constraints = [one_of("treatment", HeldTreatment, name="the_held_are_treated_in_a_known_way")]

    def __str__(self) -> str:
        return f"{self.treatment} of held domains"


class DraftChange(StrEnum):
    """What is done to a draft's schedule."""

    UNSCHEDULE = "unschedule"
    SCHEDULE = "schedule"  # again, for its old time


class DraftStatusHere(StrEnum):
    """intended → sending → applied | failed."""

    INTENDED = "intended"
    SENDING = "sending"
    APPLIED = "applied"
    FAILED = "failed"


DRAFT_SETTLED = (DraftStatusHere.APPLIED, DraftStatusHere.FAILED)


class DraftOperationQuerySet(models.QuerySet["DraftOperation"]):
    """Phrases about changes of drafts."""

    def unsettled(self) -> DraftOperationQuerySet:
        """Still to be made, or not known to be made. The oldest first."""
        return self.exclude(status__in=DRAFT_SETTLED).order_by("pk")

    def settled(self) -> DraftOperationQuerySet:
        """Made, or given up."""
        return self.filter(status__in=DRAFT_SETTLED)

    def claim_for_sending(self, pk: int, *, at: datetime) -> bool:
        """Mark it *sending* and count the attempt. One winner (P11)."""
        return bool(
            self.filter(pk=pk, status=DraftStatusHere.INTENDED).update(
                status=DraftStatusHere.SENDING, attempt=F("attempt") + 1, sending_at=at
            )
        )


class DraftOperation(models.Model):
    """A change of a draft's schedule at Mailjet, journaled before it is made, with the old time."""

    campaign = models.ForeignKey(CampaignSchedule, on_delete=models.PROTECT, related_name="draft_operations")
    change = models.CharField(max_length=12, choices=choices(DraftChange))
    draft_id = models.BigIntegerField(help_text="Mailjet's")
    sends_at = models.DateTimeField(help_text="the time it had, or is to have again")
    status = models.CharField(
        max_length=10, choices=choices(DraftStatusHere), default=DraftStatusHere.INTENDED
    )
    attempt = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    sending_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)
    validation = models.OneToOneField(
        CampaignValidation,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="draft_operation",
        help_text="what was found, of an unscheduling",
    )
    clearance = models.OneToOneField(
        CampaignClearance,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="draft_operation",
        help_text="who wanted it sent, of a scheduling",
    )

    objects = DraftOperationQuerySet.as_manager()

    class Meta:
        verbose_name = "change of a draft"
        verbose_name_plural = "changes of drafts"
        constraints = [
            one_of("change", DraftChange, name="a_draft_changes_in_a_known_way"),
            one_of("status", DraftStatusHere, name="a_change_of_a_draft_has_a_known_status"),
            models.CheckConstraint(
                condition=(~Q(change=DraftChange.UNSCHEDULE) | Q(validation__isnull=False, clearance=None))
                & (~Q(change=DraftChange.SCHEDULE) | Q(clearance__isnull=False, validation=None)),
                name="a_change_of_a_draft_says_because_of_what",
            ),
            models.CheckConstraint(
                condition=Q(status__in=DRAFT_SETTLED, settled_at__isnull=False)
                | (~Q(status__in=DRAFT_SETTLED) & Q(settled_at=None)),
                name="settled_changes_of_drafts_have_an_end",
            ),
            models.CheckConstraint(
                condition=~Q(status=DraftStatusHere.SENDING) | Q(sending_at__isnull=False, attempt__gte=1),
                name="a_draft_in_sending_says_since_when",
            ),
            models.CheckConstraint(
                condition=~Q(status=DraftStatusHere.FAILED) | ~Q(error=""),
                name="a_failed_change_of_a_draft_says_why",
            ),
            models.UniqueConstraint(
                fields=["campaign"],
                condition=~Q(status__in=DRAFT_SETTLED),
                name="one_change_of_a_draft_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.change} draft {self.draft_id}"
