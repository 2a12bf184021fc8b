"""The journal: what is to change at Mailjet, before it changes."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from integrations.mailjet import Action
from listmanagement.models.decisions import DecisionItem
from listmanagement.models.fields import choices, one_of
from listmanagement.models.lists import Contact, ContactList
from listmanagement.models.runs import ListMaintenanceLog


class BatchKind(StrEnum):
    """What a batch is for. A move is two batches: in, then out."""

    SUPPRESS = "suppress"
    PLACE = "place"
    MOVE_IN = "move_in"
    MOVE_OUT = "move_out"
    CARRY_OPT_OUT = "carry_opt_out"  # an opt-out seen on the source while a move was under way
    UNSUBSCRIBE = "unsubscribe"  # consent: an opt-out, wherever it was seen, on the list the contact is on
    COMPLAINT = "complaint"  # consent: off the campaign lists, onto the suppression list
    TAKE_OFF = "take_off"  # off one list, as a person decided of what somebody changed at Mailjet
    PUT_BACK = "put_back"  # back onto a list, likewise
    RESTORE = "restore"  # a suppression is lifted: off the suppression list, onto the list they were on
    RELEASE = "release"  # a placement is undone: off the list it was placed on, into the backlog again


CONSENT = (BatchKind.UNSUBSCRIBE, BatchKind.COMPLAINT, BatchKind.CARRY_OPT_OUT)
"""What contacts themselves said: it knows no freeze and waits for no list, only for their own changes."""


class BatchStatus(StrEnum):
    """intended → sending → submitted → applied | failed | undone."""

    INTENDED = "intended"
    SENDING = "sending"
    SUBMITTED = "submitted"
    APPLIED = "applied"
    FAILED = "failed"
    UNDONE = "undone"


SETTLED = (BatchStatus.APPLIED, BatchStatus.FAILED, BatchStatus.UNDONE)


class BatchQuerySet(models.QuerySet["OperationBatch"]):
    """Phrases about batches."""

    def unsettled(self) -> BatchQuerySet:
        """Intended, sending or submitted, in their order."""
        return self.exclude(status__in=SETTLED).order_by("position")

    def under_way(self) -> BatchQuerySet:
        """Mailjet has them, or may have them."""
        return self.filter(status__in=[BatchStatus.SENDING, BatchStatus.SUBMITTED])

    def unresolved_for(self, batch: OperationBatch) -> BatchQuerySet:
        """Others under way that hold one of the batch's contacts: what becomes of them is not known yet."""
        contacts = batch.operations.filter(status=OperationStatus.INTENDED).values("contact")
        theirs = ListOperation.objects.filter(
            batch=models.OuterRef("pk"), status=OperationStatus.INTENDED, contact__in=contacts
        )
        return self.under_way().filter(models.Exists(theirs)).exclude(pk=batch.pk)

    def to_be_sent_again(self) -> BatchQuerySet:
        """Sent before without the whole effect, and due."""
        return self.filter(status=BatchStatus.INTENDED, attempt__gte=1, next_at=None)

    def sharing_lists_with(self, batch: OperationBatch) -> BatchQuerySet:
        """Those that change one of its lists; itself is one of them."""
        lists = BatchChange.objects.filter(batch=batch).values("list")
        theirs = BatchChange.objects.filter(batch=models.OuterRef("pk"), list__in=lists)
        return self.filter(models.Exists(theirs))

    def consent_waiting_for(self, batch: OperationBatch) -> BatchQuerySet:
        """What its contacts said themselves, and has to wait until it is seen what this batch did."""
        contacts = batch.operations.filter(status=OperationStatus.INTENDED).values("contact")
        theirs = ListOperation.objects.filter(batch=models.OuterRef("pk"), contact__in=contacts)
        waiting = self.filter(kind__in=CONSENT, status=BatchStatus.INTENDED)
        return waiting.filter(models.Exists(theirs)).exclude(run=batch.run_id)

    def claim_for_sending(self, batch_id: int, *, at: datetime) -> OperationBatch | None:
        """Mark it *sending* and count the attempt. One winner; None where somebody else was first."""
        won = self.filter(pk=batch_id, status=BatchStatus.INTENDED).update(
            status=BatchStatus.SENDING, attempt=F("attempt") + 1, sending_at=at
        )
        return self.get(pk=batch_id) if won else None


class OperationBatch(models.Model):
    """One bulk request to Mailjet: some contacts, and what happens to them on which lists."""

    run = models.ForeignKey(ListMaintenanceLog, on_delete=models.PROTECT, related_name="batches")
    position = models.PositiveIntegerField(help_text="order inside the run, from 1")
    kind = models.CharField(max_length=16, choices=choices(BatchKind))
    after = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="followers",
        help_text="must be settled before this one is sent",
    )
    status = models.CharField(max_length=10, choices=choices(BatchStatus), default=BatchStatus.INTENDED)
    attempt = models.PositiveSmallIntegerField(default=0)
    sending_at = models.DateTimeField(null=True, blank=True)
    job_id = models.BigIntegerField(null=True, blank=True)
    polls = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(null=True, blank=True, help_text="when to look at it next")
    job_ended_at = models.DateTimeField(
        null=True, blank=True, help_text="Mailjet says its job has ended; the effect is still to be seen"
    )
    settled_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)

    objects = BatchQuerySet.as_manager()

    class Meta:
        verbose_name = "batch"
        verbose_name_plural = "batches"
        constraints = [
            one_of("kind", BatchKind, name="a_batch_has_a_known_kind"),
            one_of("status", BatchStatus, name="a_batch_has_a_known_status"),
            models.UniqueConstraint(fields=["run", "position"], name="one_batch_per_position"),
            models.CheckConstraint(
                condition=Q(status=BatchStatus.INTENDED) | Q(attempt__gte=1) | Q(status=BatchStatus.FAILED),
                name="a_sent_batch_counts_its_attempts",
            ),
            models.CheckConstraint(
                condition=~Q(status=BatchStatus.SUBMITTED) | Q(job_id__isnull=False),
                name="a_submitted_batch_knows_its_job",
            ),
            models.CheckConstraint(
                condition=Q(job_ended_at__isnull=True)
                | Q(job_id__isnull=False, status__in=[BatchStatus.SUBMITTED, *SETTLED]),
                name="only_a_job_that_was_started_ends",
            ),
            models.CheckConstraint(
                condition=Q(status__in=SETTLED, settled_at__isnull=False)
                | (~Q(status__in=SETTLED) & Q(settled_at__isnull=True)),
                name="settled_batches_and_only_they_have_an_end",
            ),
            models.CheckConstraint(
                condition=~Q(status=BatchStatus.FAILED) | ~Q(error=""), name="a_failed_batch_says_why"
            ),
            models.CheckConstraint(
                condition=~Q(status=BatchStatus.SENDING) | Q(sending_at__isnull=False),
                name="a_batch_in_sending_says_since_when",
            ),
            models.UniqueConstraint(fields=["job_id"], name="one_batch_per_job"),
            models.CheckConstraint(
                condition=Q(after__isnull=True) | ~Q(after=F("id")), name="no_batch_waits_for_itself"
            ),
            models.CheckConstraint(condition=Q(position__gte=1), name="batches_count_from_1"),
        ]
        indexes = [
            models.Index(fields=["run", "position"], condition=~Q(status__in=SETTLED), name="batch_unsettled")
        ]

    def __str__(self) -> str:
        return f"batch {self.pk}"


class BatchChange(models.Model):
    """What a batch does on one list. A trigger in PostgreSQL refuses the master list (P3).

    Mailjet's `addforce`, which re-subscribes, is not among the actions (P2).
    """

    batch = models.ForeignKey(OperationBatch, on_delete=models.PROTECT, related_name="changes")
    list = models.ForeignKey(ContactList, on_delete=models.PROTECT, related_name="changes")
    action = models.CharField(max_length=10, choices=choices(Action))

    class Meta:
        constraints = [
            one_of("action", Action, name="no_change_can_resubscribe"),
            models.UniqueConstraint(fields=["batch", "list"], name="one_change_per_list_and_batch"),
        ]

    def __str__(self) -> str:
        return f"{self.action} on list {self.list_id}"


class OperationStatus(StrEnum):
    """What became of one contact's operation."""

    INTENDED = "intended"
    DROPPED = "dropped"
    APPLIED = "applied"
    FAILED = "failed"
    UNDONE = "undone"


class OperationQuerySet(models.QuerySet["ListOperation"]):
    """Phrases about operations."""

    def arrived(self) -> OperationQuerySet:
        """First legs of moves that are seen at Mailjet: their contacts are on the list they are to join."""
        return self.filter(kind=BatchKind.MOVE_IN, status=OperationStatus.APPLIED)


class ListOperation(models.Model):
    """One contact in a batch."""

    batch = models.ForeignKey(OperationBatch, on_delete=models.PROTECT, related_name="operations")
    kind = models.CharField(max_length=16, choices=choices(BatchKind))
    contact = models.ForeignKey(Contact, on_delete=models.PROTECT, related_name="operations")
    item = models.ForeignKey(DecisionItem, on_delete=models.PROTECT, related_name="operations")
    position = models.PositiveIntegerField(help_text="order inside the batch: the order of new ranks")
    status = models.CharField(
        max_length=10, choices=choices(OperationStatus), default=OperationStatus.INTENDED
    )
    why = models.TextField(blank=True, help_text="why it was dropped or failed")
    applied_at = models.DateTimeField(null=True, blank=True)

    objects = OperationQuerySet.as_manager()

    class Meta:
        verbose_name = "operation"
        constraints = [
            one_of("kind", BatchKind, name="an_operation_has_a_known_kind"),
            one_of("status", OperationStatus, name="an_operation_has_a_known_status"),
            models.UniqueConstraint(fields=["item", "kind"], name="one_operation_of_a_kind_per_item"),
            models.UniqueConstraint(fields=["batch", "contact"], name="one_operation_per_contact_and_batch"),
            models.CheckConstraint(
                condition=Q(status=OperationStatus.INTENDED, applied_at__isnull=True)
                | Q(status__in=[OperationStatus.DROPPED, OperationStatus.FAILED], applied_at__isnull=True)
                & ~Q(why="")
                | Q(status__in=[OperationStatus.APPLIED, OperationStatus.UNDONE], applied_at__isnull=False),
                name="an_operation_says_when_it_applied_or_why_not",
            ),
            models.CheckConstraint(condition=Q(position__gte=1), name="operations_count_from_1"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} contact {self.contact_id}"


class MailjetRequest(models.Model):
    """A request to Mailjet that was allowed. Counting the last minute's rows is the shared budget."""

    at = models.DateTimeField(db_default=Now())
    background = models.BooleanField(default=False)

    class Meta:
        indexes = [models.Index(fields=["at"], name="request_by_time")]

    def __str__(self) -> str:
        return f"request {self.pk}"
