"""Lists, the contacts on them, and who is never touched."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, Func, OuterRef, Q
from django.db.models.functions import Coalesce, Lower

from listmanagement.models.fields import choices, one_of

if TYPE_CHECKING:
    from listmanagement.models.operations import ListOperation


class Role(StrEnum):
    """What a list is for."""

    MASTER = "master"
    CAMPAIGN = "campaign"
    SUPPRESSION = "suppression"


class Change(StrEnum):
    """How a membership began or ended."""

    FIRST_SIGHT = "first_sight"
    OPERATION = "operation"
    PERSON = "person"


class ContactListQuerySet(models.QuerySet["ContactList"]):
    """Phrases about lists."""

    def rotation(self) -> ContactListQuerySet:
        """The campaign lists, in their order."""
        return self.filter(role=Role.CAMPAIGN).order_by("position")

    def master(self) -> ContactList:
        """The master list."""
        return self.get(role=Role.MASTER)

    def suppression(self) -> ContactList:
        """The suppression list."""
        return self.get(role=Role.SUPPRESSION)

    def as_of(self) -> datetime | None:
        """When the list that waits longest was last read whole: the mirror's age. None if one never was."""
        oldest = self.order_by(F("read_at").asc(nulls_first=True)).values_list("read_at", flat=True)
        return oldest.first()


class ContactList(models.Model):
    """A Mailjet list that the settings name, and its place in the rotation."""

    mailjet_id = models.BigIntegerField(unique=True)
    name = models.TextField()
    role = models.CharField(max_length=16, choices=choices(Role))
    position = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="place in the rotation, from 1"
    )
    is_deleted = models.BooleanField(default=False, help_text="Mailjet says the list is deleted")
    read_at = models.DateTimeField(null=True, blank=True, help_text="when its members were last read whole")
    contacts_read_at = models.DateTimeField(
        null=True, blank=True, help_text="when its members' addresses and exclusions were last read"
    )

    objects = ContactListQuerySet.as_manager()

    class Meta:
        verbose_name = "list"
        constraints = [
            one_of("role", Role, name="a_list_has_a_known_role"),
            models.CheckConstraint(
                condition=Q(role=Role.CAMPAIGN, position__isnull=False, position__gte=1)
                | (~Q(role=Role.CAMPAIGN) & Q(position__isnull=True)),
                name="campaign_lists_and_only_they_have_a_position",
            ),
            models.UniqueConstraint(fields=["position"], name="one_list_per_position"),
            models.UniqueConstraint(
                fields=["role"],
                condition=Q(role__in=[Role.MASTER, Role.SUPPRESSION]),
                name="one_master_and_one_suppression_list",
            ),
            models.CheckConstraint(condition=Q(mailjet_id__gte=1), name="a_list_has_mailjets_id"),
        ]

    def __str__(self) -> str:
        return self.name


def _domain() -> models.Case:
    """An address's domain by one name, whatever way it is written: in ASCII, small, no dot at the end."""
    written = Lower(Func(F("email"), models.Value("@"), models.Value(-1), function="split_part"))
    ascii_alone = Func(written, models.Value("."), function="rtrim")
    return models.Case(
        models.When(email=None, then=None),
        default=Coalesce("domain_in_ascii", ascii_alone),
        output_field=models.TextField(null=True),
    )


class ContactQuerySet(models.QuerySet["Contact"]):
    """Phrases about contacts."""

    def mailable(self) -> ContactQuerySet:
        """Not opted out, not excluded, not complained, not suppressed, known to Mailjet."""
        return self.filter(opted_out_at=None, excluded=False, complained_at=None, email__isnull=False).filter(
            ~Exists(ContactSuppressionHistory.objects.standing().filter(contact=OuterRef("pk"))),
        )

    def backlog(self) -> ContactQuerySet:
        """Mailable on the master list, never on a campaign list or released; oldest registration first."""
        ever = ContactListMembership.objects.filter(contact=OuterRef("pk"), list__role=Role.CAMPAIGN)
        current = ContactListMembership.objects.current().filter(contact=OuterRef("pk"))
        known, taken_off = current.filter(list__role=Role.MASTER), current.filter(list__role=Role.SUPPRESSION)
        never_or_released = ~Exists(ever) | Q(pk__in=Contact.objects.released().values("pk"))
        waiting = self.mailable().filter(never_or_released, Exists(known), ~Exists(taken_off))
        return waiting.order_by("registered_at", "pk")

    def held(self) -> ContactQuerySet:
        """On hold, they or their domain; or judged to wait for one more send, which has not come yet."""
        from listmanagement.models.campaigns import CampaignRecipient, Hold
        from listmanagement.models.decisions import (
            EXECUTABLE,
            DecisionItem,
            DecisionStatus,
            ItemAction,
            ItemStatus,
        )

        standing = Hold.objects.standing()
        later = CampaignRecipient.objects.filter(
            contact=OuterRef("contact"), sent_at__gt=OuterRef("decision__created_at")
        )
        undecided = Q(status=ItemStatus.PROPOSED, decision__status__in=[DecisionStatus.OPEN, *EXECUTABLE])
        wait = DecisionItem.objects.filter(undecided | Q(status=ItemStatus.EXECUTED), action=ItemAction.HOLD)
        return self.filter(
            Q(pk__in=standing.filter(contact__isnull=False).values("contact"))
            | Q(domain__in=standing.exclude(host="").values("host"))
            | Q(pk__in=wait.exclude(Exists(later)).values("contact"))
        )

    def released(self) -> ContactQuerySet:
        """Left the campaign lists, the last time, by a placement undone or a suppression lifted since."""
        from listmanagement.models.operations import BatchKind

        of_campaign_lists = ContactListMembership.objects.filter(list__role=Role.CAMPAIGN)
        lifted = ContactSuppressionHistory.objects.filter(
            contact=OuterRef("contact"), lifted_at__gte=OuterRef("until")
        )
        suppressing = Q(ended_with__kind__in=[BatchKind.SUPPRESS, BatchKind.COMPLAINT, BatchKind.PUT_BACK])
        later = of_campaign_lists.filter(contact=OuterRef("contact")).filter(
            Q(until=None) | Q(until__gt=OuterRef("until"))
        )
        left = of_campaign_lists.filter(
            Q(ended_with__kind=BatchKind.RELEASE) | suppressing & Q(Exists(lifted)), until__isnull=False
        )
        return self.filter(pk__in=left.filter(~Exists(later)).values("contact"))


class Contact(models.Model):
    """A person's address as Mailjet knows it. The key is Mailjet's contact id.

    `opted_out_at` is sticky: no sync, move or undo clears it (P2). A contact that was made anew
    at Mailjet takes the address over; the older id keeps its history and loses the address.
    """

    id = models.BigIntegerField(primary_key=True)
    email = models.TextField(null=True, blank=True)  # noqa: DJ001  (null: retired or erased, never "")
    domain_in_ascii = models.TextField(  # noqa: DJ001  (null: the address is in ASCII as it is)
        null=True,
        blank=True,
        editable=False,
        help_text="the domain as DNS knows it, where the address writes it in other letters",
    )
    domain = models.GeneratedField(
        expression=_domain(), output_field=models.TextField(null=True), db_persist=True
    )
    registered_at = models.DateTimeField(null=True, blank=True)
    excluded_since = models.DateTimeField(
        null=True, blank=True, help_text="when Mailjet was first seen to exclude them from campaigns"
    )
    excluded = models.GeneratedField(
        expression=models.ExpressionWrapper(
            Q(excluded_since__isnull=False), output_field=models.BooleanField()
        ),
        output_field=models.BooleanField(),
        db_persist=True,
    )
    complained_at = models.DateTimeField(null=True, blank=True)
    complained_by = models.TextField(blank=True, help_text="what told us: the contact at Mailjet, an event")
    opted_out_at = models.DateTimeField(null=True, blank=True)
    opted_out_by = models.TextField(blank=True, help_text="what told us: a list, an event")
    looked_up_at = models.DateTimeField(
        null=True, blank=True, help_text="when Mailjet was last asked which lists they are on, all at once"
    )
    blocked_since = models.DateTimeField(null=True, blank=True, help_text="refused by Mailjet itself since")
    retired_at = models.DateTimeField(null=True, blank=True, help_text="its address moved to a new id")
    heir = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="predecessors",
        help_text="who has its address now",
    )
    erased_at = models.DateTimeField(null=True, blank=True, help_text="Mailjet has erased who this was")

    objects = ContactQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("email"), name="one_contact_per_address"),
            models.CheckConstraint(condition=Q(id__gt=0), name="a_contact_has_mailjets_id"),
            models.CheckConstraint(
                condition=Q(email__isnull=True) | Q(email__contains="@"), name="an_address_has_an_at_sign"
            ),
            models.CheckConstraint(
                condition=Q(email__isnull=False, retired_at__isnull=True)
                | Q(email__isnull=True, retired_at__isnull=False),
                name="retired_contacts_and_only_they_have_no_address",
            ),
            models.CheckConstraint(
                condition=Q(heir__isnull=True) | Q(email__isnull=True), name="only_the_retired_have_an_heir"
            ),
            models.CheckConstraint(
                condition=Q(opted_out_at__isnull=True, opted_out_by="")
                | (Q(opted_out_at__isnull=False) & ~Q(opted_out_by="")),
                name="an_opt_out_says_when_and_by_what",
            ),
            models.CheckConstraint(
                condition=Q(complained_at__isnull=True, complained_by="")
                | (Q(complained_at__isnull=False) & ~Q(complained_by="")),
                name="a_complaint_says_when_and_by_what",
            ),
            models.CheckConstraint(
                condition=Q(erased_at__isnull=True) | Q(email__isnull=True),
                name="of_the_erased_no_address_is_kept",
            ),
        ]
        indexes = [
            models.Index(fields=["domain"], name="contact_by_domain"),
            models.Index(fields=["id"], condition=Q(erased_at__isnull=False), name="contact_erased"),
            models.Index(
                fields=["opted_out_at"],
                condition=Q(opted_out_at__isnull=False, complained_at=None, email__isnull=False),
                name="contact_opted_out",
            ),
            models.Index(
                fields=["complained_at"],
                condition=Q(complained_at__isnull=False, email__isnull=False),
                name="contact_complained",
            ),
        ]

    def __str__(self) -> str:
        return f"contact {self.pk}"


class MembershipQuerySet(models.QuerySet["ContactListMembership"]):
    """Phrases about memberships."""

    def current(self) -> MembershipQuerySet:
        """Rows that mirror Mailjet now."""
        return self.filter(until=None)

    def active(self) -> MembershipQuerySet:
        """Current and not unsubscribed on that list."""
        return self.current().filter(unsubscribed=False)

    def sized(self) -> MembershipQuerySet:
        """The rows that a list's size counts: active memberships of mailable contacts."""
        return self.active().filter(contact__in=Contact.objects.mailable().values("pk"))


class ContactListMembership(models.Model):
    """A contact on a list, from when until when, and in which order."""

    contact = models.ForeignKey(Contact, on_delete=models.PROTECT, related_name="memberships")
    list = models.ForeignKey(ContactList, on_delete=models.PROTECT, related_name="memberships")
    since = models.DateTimeField()
    until = models.DateTimeField(null=True, blank=True)
    began_by = models.CharField(max_length=16, choices=choices(Change), default=Change.FIRST_SIGHT)
    ended_by = models.CharField(max_length=16, choices=choices(Change), blank=True)
    began_with: models.ForeignKey[ListOperation | None, ListOperation | None] = models.ForeignKey(
        "ListOperation", null=True, blank=True, on_delete=models.PROTECT, related_name="begun"
    )
    ended_with: models.ForeignKey[ListOperation | None, ListOperation | None] = models.ForeignKey(
        "ListOperation", null=True, blank=True, on_delete=models.PROTECT, related_name="ended"
    )
    unsubscribed = models.BooleanField(default=False)
    rank = models.BigIntegerField(help_text="order in this list; who has the highest came last")
    missing_since = models.DateTimeField(null=True, blank=True, help_text="not seen by the last reading")
    last_seen_at = models.DateTimeField(
        null=True, blank=True, help_text="of whoever a reading missed: when they were last seen here"
    )

    objects = MembershipQuerySet.as_manager()

    class Meta:
        verbose_name = "membership"
        constraints = [
            models.UniqueConstraint(
                fields=["contact", "list"], condition=Q(until=None), name="one_current_membership_per_list"
            ),
            models.UniqueConstraint(
                fields=["list", "rank"], condition=Q(until=None), name="one_current_member_per_rank"
            ),
            one_of("began_by", Change, name="a_membership_began_in_a_known_way"),
            models.CheckConstraint(
                condition=Q(until__isnull=True, ended_by="")
                | Q(until__isnull=False, ended_by__in=[Change.OPERATION, Change.PERSON]),
                name="an_ended_membership_says_how",
            ),
            models.CheckConstraint(
                condition=Q(until__isnull=True) | Q(until__gte=F("since")),
                name="a_membership_ends_after_it_began",
            ),
            models.CheckConstraint(
                condition=(Q(began_with__isnull=True) & ~Q(began_by=Change.OPERATION))
                | Q(began_with__isnull=False, began_by=Change.OPERATION),
                name="what_an_operation_began_names_it",
            ),
            models.CheckConstraint(
                condition=(Q(ended_with__isnull=True) & ~Q(ended_by=Change.OPERATION))
                | Q(ended_with__isnull=False, ended_by=Change.OPERATION),
                name="what_an_operation_ended_names_it",
            ),
        ]

    def __str__(self) -> str:
        return f"contact {self.contact_id} on list {self.list_id}"


class ProtectionKind(StrEnum):
    """What a protection covers."""

    ADDRESS = "address"
    DOMAIN = "domain"


class Protection(models.Model):
    """An address or a domain that people want held, never suppressed without a review."""

    kind = models.CharField(max_length=8, choices=choices(ProtectionKind))
    value = models.TextField(help_text="lower case")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    why = models.TextField()
    at = models.DateTimeField()

    class Meta:
        constraints = [
            one_of("kind", ProtectionKind, name="a_protection_has_a_known_kind"),
            models.UniqueConstraint(fields=["kind", "value"], name="protected_once"),
            models.CheckConstraint(condition=Q(value=Lower("value")), name="protections_are_lower_case"),
            models.CheckConstraint(condition=~Q(why=""), name="a_protection_says_why"),
            models.CheckConstraint(
                condition=(~Q(kind=ProtectionKind.ADDRESS) | Q(value__contains="@"))
                & (~Q(kind=ProtectionKind.DOMAIN) | ~Q(value="") & ~Q(value__contains="@")),
                name="a_protection_covers_what_its_kind_says",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} protection {self.pk}"


class SuppressionKind(StrEnum):
    """Whose suppression it is."""

    OURS = "ours"
    CONSENT = "consent"  # the contact complained: no judgement, and no machine lifts it
    IMPORTED = "imported"


class SuppressionQuerySet(models.QuerySet["ContactSuppressionHistory"]):
    """Phrases about suppressions."""

    def standing(self) -> SuppressionQuerySet:
        """Not lifted."""
        return self.filter(lifted_at=None)


class ContactSuppressionHistory(models.Model):
    """Why a contact is not mailed any more, on what evidence and by whose decision (P1)."""

    contact = models.ForeignKey(Contact, on_delete=models.PROTECT, related_name="suppressions")
    kind = models.CharField(max_length=8, choices=choices(SuppressionKind))
    at = models.DateTimeField()
    reason = models.TextField()
    evidence = models.ForeignKey("Bounce", null=True, blank=True, on_delete=models.PROTECT)
    item = models.OneToOneField("DecisionItem", null=True, blank=True, on_delete=models.PROTECT)
    operation = models.OneToOneField("ListOperation", null=True, blank=True, on_delete=models.PROTECT)
    removed_from = models.ForeignKey(
        ContactList, null=True, blank=True, on_delete=models.PROTECT, related_name="removals"
    )
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    lifted_why = models.TextField(blank=True)

    objects = SuppressionQuerySet.as_manager()

    class Meta:
        verbose_name = "suppression"
        verbose_name_plural = "suppression history"
        constraints = [
            one_of("kind", SuppressionKind, name="a_suppression_has_a_known_kind"),
            models.CheckConstraint(
                condition=Q(kind=SuppressionKind.IMPORTED, evidence=None, item=None, operation=None)
                | Q(
                    kind=SuppressionKind.OURS,
                    evidence__isnull=False,
                    item__isnull=False,
                    operation__isnull=False,
                )
                | Q(kind=SuppressionKind.CONSENT, item__isnull=False, operation__isnull=False),
                name="our_suppressions_name_evidence_and_decision",
            ),
            models.UniqueConstraint(
                fields=["contact"], condition=Q(lifted_at=None), name="one_standing_suppression_per_contact"
            ),
            models.CheckConstraint(
                condition=Q(lifted_at=None, lifted_by=None, lifted_why="")
                | (
                    Q(lifted_at__isnull=False, lifted_at__gte=F("at"), lifted_by__isnull=False)
                    & ~Q(lifted_why="")
                ),
                name="a_lift_names_who_when_and_why",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="a_suppression_says_why"),
        ]
        indexes = [models.Index(fields=["-at"], name="suppression_newest_first")]

    def __str__(self) -> str:
        return f"suppression of contact {self.contact_id}"
