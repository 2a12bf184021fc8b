"""The queue: what is proposed, why, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse

from listmanagement.domain.bounces import BounceClass, History
from listmanagement.domain.cohorts import MIXED, bucket
from listmanagement.domain.suppression import Region
from listmanagement.models.campaigns import Bounce
from listmanagement.models.fields import a_share, choices, one_of, one_of_or_nothing
from listmanagement.models.lists import Contact, ContactList, ContactListMembership
from listmanagement.models.runs import AgentCall, AgentVerdict, ListMaintenanceLog


class DecisionKind(StrEnum):
    """What a decision would change."""

    SUPPRESSION = "suppression"
    REBALANCING = "rebalancing"
    CONSENT = "consent"  # what contacts themselves said; made by rule, never reviewed
    RECONCILIATION = "reconciliation"  # what people changed at Mailjet after us
    HELD = "held"  # whom of held domains a send skips, as a reviewer chose, and their way back
    UNDO = "undo"  # what a person takes back: it is approved by being asked for
    WAY_BACK = "way_back"  # whether people whose mailboxes were full are mailed again
    RETURN = "return"  # whom a send reached on the list that they were leaving; made by rule, never reviewed


class DecisionStatus(StrEnum):
    """What became of a decision."""

    DRAFT = "draft"  # judged, not yet held against the guards and the autonomy rule
    OPEN = "open"  # waits for a reviewer
    APPROVED = "approved"  # by a reviewer
    CLEAR = "clear"  # executed alone, as the autonomy rule allows
    REJECTED = "rejected"
    EXPIRED = "expired"
    OBSERVED = "observed"  # shown, never executed


EXECUTABLE = (DecisionStatus.APPROVED, DecisionStatus.CLEAR)
REVIEWED = (DecisionStatus.APPROVED, DecisionStatus.REJECTED)
QUEUED = (DecisionStatus.OPEN, *REVIEWED, DecisionStatus.EXPIRED)


class DecisionQuerySet(models.QuerySet["Decision"]):
    """Phrases about decisions."""

    def awaiting_review(self) -> DecisionQuerySet:
        """Open."""
        return self.filter(status=DecisionStatus.OPEN)

    def expiring(self, *, at: datetime) -> DecisionQuerySet:
        """Open past their deadline."""
        return self.awaiting_review().filter(deadline__lte=at)


class Decision(models.Model):
    """One thing a person can say yes or no to, with everything needed to say it."""

    run = models.ForeignKey(ListMaintenanceLog, on_delete=models.PROTECT, related_name="decisions")
    kind = models.CharField(max_length=16, choices=choices(DecisionKind))
    status = models.CharField(max_length=10, choices=choices(DecisionStatus))
    title = models.TextField(help_text="what is proposed, in one sentence")
    rationale = models.TextField(blank=True)
    source = models.CharField(max_length=8, help_text="model, rules or reused")
    confidence = models.FloatField()
    reasons = models.JSONField(default=list, help_text="every reason why it was not executed alone")
    default_choice = models.BooleanField(
        default=True, help_text="false: too unsure to be preselected; the reviewer decides afresh"
    )
    what_if = models.JSONField(default=dict, help_text="sizes before and after, deviation")
    created_at = models.DateTimeField()
    deadline = models.DateTimeField(null=True, blank=True)
    reviewed_at = models.DateTimeField(null=True, blank=True)
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="decisions"
    )
    note = models.TextField(blank=True)

    objects = DecisionQuerySet.as_manager()

    class Meta:
        constraints = [
            one_of("kind", DecisionKind, name="a_decision_has_a_known_kind"),
            one_of("status", DecisionStatus, name="a_decision_has_a_known_status"),
            models.CheckConstraint(
                condition=Q(source__in=["model", "rules", "reused"]), name="a_decision_names_its_source"
            ),
            models.CheckConstraint(
                condition=Q(confidence__gte=0, confidence__lte=1), name="a_decisions_confidence_is_a_share"
            ),
            models.CheckConstraint(
                condition=Q(status__in=REVIEWED, reviewed_at__isnull=False, reviewed_by__isnull=False)
                | (~Q(status__in=REVIEWED) & Q(reviewed_at__isnull=True, reviewed_by__isnull=True)),
                name="a_review_names_who_and_when",
            ),
            models.CheckConstraint(
                condition=~Q(status=DecisionStatus.REJECTED) | ~Q(note=""), name="a_rejection_says_why"
            ),
            models.CheckConstraint(
                condition=~Q(status__in=QUEUED) | Q(deadline__isnull=False),
                name="what_stands_or_stood_in_the_queue_has_a_deadline",
            ),
            models.CheckConstraint(
                condition=~Q(status=DecisionStatus.OPEN) | ~Q(reasons=[]),
                name="an_open_decision_says_why_it_waits",
            ),
            models.CheckConstraint(condition=~Q(title=""), name="a_decision_says_what"),
            models.UniqueConstraint(
                fields=["run", "kind"],
                condition=~Q(status=DecisionStatus.CLEAR),
                name="one_decision_of_a_kind_per_run",
            ),
            models.UniqueConstraint(
                fields=["run", "kind"],
                condition=Q(status=DecisionStatus.CLEAR),
                name="one_clear_decision_of_a_kind_per_run",
            ),
        ]
        indexes = [
            models.Index(fields=["deadline"], condition=Q(status=DecisionStatus.OPEN), name="decision_queue"),
            models.Index(fields=["-created_at"], name="decision_newest_first"),
        ]
        permissions = [("review_decision", "Can approve and reject decisions")]

    def __str__(self) -> str:
        return f"decision {self.pk}: {self.title}"

    def get_absolute_url(self) -> str:
        """The decision's page."""
        return reverse("admin:listmanagement_decision_change", args=[self.pk])


class ItemAction(StrEnum):
    """What is proposed for a contact."""

    SUPPRESS = "suppress"
    HOLD = "hold"
    PLACE = "place"
    MOVE = "move"
    UNSUBSCRIBE = "unsubscribe"
    COMPLAINT = "complaint"
    TAKE_OFF = "take_off"
    PUT_BACK = "put_back"
    RESTORE = "restore"
    RELEASE = "release"


TAKES_BACK = (ItemAction.RESTORE, ItemAction.RELEASE, ItemAction.MOVE, ItemAction.TAKE_OFF)
"""What an undo does: of a suppression, a placement, a move, and a move that never got to its end."""

WRITTEN_AT_ONCE = 5000
"""Items in one statement, so that a large decision's is not a huge one."""

STRIKES = (*(bucket(n) for n in range(4)), MIXED)


class DecisionGroup(models.Model):
    """Contacts that stand or fall together: a cohort, or one leg of a rebalancing."""

    decision = models.ForeignKey(Decision, on_delete=models.PROTECT, related_name="groups")
    position = models.PositiveSmallIntegerField()
    key = models.TextField()
    action = models.CharField(max_length=12, choices=choices(ItemAction))
    title = models.TextField(help_text="what, how many, why: one line a reviewer reads")
    why = models.TextField(blank=True)
    region = models.CharField(max_length=8, blank=True, choices=choices(Region))
    bounce_class = models.CharField(max_length=24, blank=True, choices=choices(BounceClass))
    strikes = models.CharField(max_length=5, blank=True)
    history = models.CharField(max_length=20, blank=True, choices=choices(History))
    domain = models.TextField(blank=True)
    contacts = models.PositiveIntegerField()
    share = models.FloatField(help_text="of its list's size, 0 to 1")
    confidence = models.FloatField()
    rationale = models.TextField(blank=True)
    policy_review = models.BooleanField(default=False, help_text="the policy itself wants a person to look")
    disagreement = models.BooleanField(default=False, help_text="model and rules judge it differently")
    contradiction = models.BooleanField(default=False, help_text="list health sees another cause")
    reasons = models.JSONField(default=list, help_text="every reason why it is not executed alone")
    call = models.ForeignKey(
        AgentCall, null=True, blank=True, on_delete=models.PROTECT, related_name="groups"
    )
    sampled_share = models.FloatField(
        null=True,
        blank=True,
        help_text="drawn at random for a review, at this rate, from what nothing spoke against",
    )

    class Meta:
        ordering = ["position"]
        constraints = [
            one_of("action", ItemAction, name="a_group_has_a_known_action"),
            one_of_or_nothing("region", Region, name="a_group_is_in_a_known_region"),
            one_of_or_nothing("bounce_class", BounceClass, name="a_group_failed_in_a_known_way"),
            one_of_or_nothing("history", History, name="a_group_has_a_known_history"),
            one_of_or_nothing("strikes", STRIKES, name="a_group_has_known_strikes"),
            models.UniqueConstraint(fields=["decision", "key"], name="one_group_per_key"),
            models.UniqueConstraint(fields=["decision", "position"], name="one_group_per_position"),
            models.CheckConstraint(
                condition=~Q(action=ItemAction.SUPPRESS)
                | Q(region__in=[Region.MUST, Region.MAY, Region.CONSENT]),
                name="only_what_the_policy_allows_is_suppressed",
            ),
            a_share("share", name="a_groups_share_is_a_share"),
            a_share("confidence", name="a_groups_confidence_is_a_share"),
            models.CheckConstraint(
                condition=Q(sampled_share=None) | Q(sampled_share__gt=0, sampled_share__lte=1),
                name="a_sample_says_how_likely_it_was",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def fill(self, items: Sequence[DecisionItem], *, after: int = 0) -> int:
        """Store its items in this order, after that position in the decision. Returns the last position."""
        for position, item in enumerate(items, after + 1):
            item.decision_id, item.group, item.action = self.decision_id, self, self.action
            item.position = position
        DecisionItem.objects.bulk_create(items, batch_size=WRITTEN_AT_ONCE)
        return after + len(items)


class ItemStatus(StrEnum):
    """What became of a contact's item."""

    PROPOSED = "proposed"
    TAKEN_OUT = "taken_out"  # by a reviewer
    DROPPED = "dropped"  # by the check at execution
    EXECUTED = "executed"
    FAILED = "failed"


class DecisionItem(models.Model):
    """One contact in a decision."""

    decision = models.ForeignKey(Decision, on_delete=models.PROTECT, related_name="items")
    group = models.ForeignKey(DecisionGroup, on_delete=models.PROTECT, related_name="items")
    contact = models.ForeignKey(Contact, on_delete=models.PROTECT, related_name="items")
    action = models.CharField(max_length=12, choices=choices(ItemAction))
    source_list = models.ForeignKey(
        ContactList, null=True, blank=True, on_delete=models.PROTECT, related_name="items_from"
    )
    target_list = models.ForeignKey(
        ContactList, null=True, blank=True, on_delete=models.PROTECT, related_name="items_to"
    )
    evidence = models.ForeignKey(
        Bounce, null=True, blank=True, on_delete=models.PROTECT, related_name="items"
    )
    membership = models.ForeignKey(
        ContactListMembership,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="items",
        help_text="of a reconciliation: the membership that people began or ended at Mailjet",
    )
    verdict = models.ForeignKey(
        AgentVerdict,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="items",
        help_text="what was judged of its cohort",
    )
    undoes: models.ForeignKey[DecisionItem | None, DecisionItem | None] = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="undone_by",
        help_text="of an undo: the item whose change it takes back",
    )
    position = models.PositiveIntegerField(help_text="order inside the decision, from 1")
    status = models.CharField(max_length=10, choices=choices(ItemStatus), default=ItemStatus.PROPOSED)
    why = models.TextField(blank=True, help_text="why it was taken out, dropped or failed")

    class Meta:
        ordering = ["position"]
        constraints = [
            one_of("action", ItemAction, name="an_item_has_a_known_action"),
            one_of("status", ItemStatus, name="an_item_has_a_known_status"),
            models.UniqueConstraint(fields=["decision", "contact"], name="one_item_per_contact_and_decision"),
            models.UniqueConstraint(fields=["decision", "position"], name="one_item_per_position"),
            models.CheckConstraint(
                condition=~Q(action=ItemAction.SUPPRESS) | Q(evidence__isnull=False),
                name="nobody_is_proposed_for_suppression_without_evidence",
            ),
            models.CheckConstraint(
                condition=(
                    Q(action__in=[ItemAction.PLACE, ItemAction.PUT_BACK])
                    & Q(target_list__isnull=False, source_list__isnull=True)
                )
                | (
                    Q(action=ItemAction.MOVE, target_list__isnull=False, source_list__isnull=False)
                    & ~Q(source_list=F("target_list"))
                )
                | Q(
                    action__in=[ItemAction.UNSUBSCRIBE, ItemAction.TAKE_OFF, ItemAction.RELEASE],
                    source_list__isnull=False,
                    target_list__isnull=True,
                )
                | Q(
                    action__in=[ItemAction.SUPPRESS, ItemAction.HOLD, ItemAction.COMPLAINT],
                    target_list__isnull=True,
                )
                | Q(action=ItemAction.RESTORE, source_list__isnull=True),
                name="placements_and_moves_name_their_lists",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=[ItemStatus.TAKEN_OUT, ItemStatus.DROPPED, ItemStatus.FAILED])
                | ~Q(why=""),
                name="what_is_not_executed_says_why",
            ),
            models.CheckConstraint(condition=Q(position__gte=1), name="items_count_from_1"),
            models.CheckConstraint(
                condition=Q(undoes__isnull=True) | Q(action__in=TAKES_BACK),
                name="what_undoes_takes_something_back",
            ),
            models.UniqueConstraint(
                fields=["undoes"],
                condition=Q(undoes__isnull=False, status__in=[ItemStatus.PROPOSED, ItemStatus.EXECUTED]),
                name="an_item_is_undone_once",
            ),
        ]
        indexes = [models.Index(fields=["group", "status"], name="item_by_group")]

    def __str__(self) -> str:
        return f"{self.action} contact {self.contact_id}"
