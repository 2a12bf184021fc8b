"""What contacts said and is not applied yet, from the state alone: whatever told us, it heals.

An opt-out is applied by `unsub` on every campaign list where the contact is subscribed; a complaint, which
beats an opt-out, by taking the contact off the campaign lists and putting it on the suppression list.
Contacts without an address here, whose address moved or who were erased, are nobody that could be mailed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce, Greatest

from listmanagement.domain import consent
from listmanagement.models import (
    CampaignRecipient,
    Contact,
    ContactListMembership,
    ContactSuppressionHistory,
    DecisionItem,
    DecisionKind,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    ListOperation,
    OperationBatch,
    OperationStatus,
    Role,
    RunKind,
)
from listmanagement.models.lists import ContactQuerySet, MembershipQuerySet


@dataclass(frozen=True, slots=True)
class Due:
    """What one contact said and is not applied."""

    contact_id: int
    action: ItemAction
    """UNSUBSCRIBE or COMPLAINT."""
    lists: tuple[int, ...]
    """Our ids of the campaign lists concerned, in the rotation's order. None for a complaint elsewhere."""
    said_at: datetime
    """When it was said, or when the contact came to the list later: how long it is due at most."""


# --- What is due -----------------------------------------------------------------------------------------


def unsubscriptions() -> MembershipQuerySet:
    """Subscriptions to campaign lists of contacts who opted out. Nobody is mailed through a deleted list."""
    return ContactListMembership.objects.active().filter(
        list__role=Role.CAMPAIGN,
        list__is_deleted=False,
        contact__opted_out_at__isnull=False,
        contact__complained_at=None,
        contact__email__isnull=False,
    )


def complaints() -> ContactQuerySet:
    """Contacts who complained, and are on a campaign list or not suppressed.

    Who was never on a campaign list and never mailed by us is nobody to suppress, nor is who is on no list of
    ours any more: Mailjet would make an address anew that it does not know. Whom a person lifted since the
    complaint is left off the suppression list, as that person decided.
    """
    of_contact = ContactListMembership.objects.filter(contact=OuterRef("pk"))
    listed = of_contact.filter(until=None)
    on_campaign_list = of_contact.filter(until=None, list__role=Role.CAMPAIGN, list__is_deleted=False)
    ever_on_one = of_contact.filter(list__role=Role.CAMPAIGN)
    on_suppression_list = of_contact.filter(until=None, list__role=Role.SUPPRESSION)
    history = ContactSuppressionHistory.objects.filter(contact=OuterRef("pk"))
    standing = history.filter(lifted_at=None)
    mailed = CampaignRecipient.objects.filter(contact=OuterRef("pk"))
    not_suppressed = ~Exists(on_suppression_list) | ~Exists(standing)
    ours = Exists(ever_on_one) | Exists(standing) | Exists(mailed)
    lifted = Exists(history.filter(lifted_at__gte=OuterRef("complained_at")))
    return Contact.objects.filter(complained_at__isnull=False, email__isnull=False).filter(
        Q(Exists(on_campaign_list)) | (Q(not_suppressed) & Q(ours) & Q(Exists(listed)) & ~Q(lifted))
    )


def who_spoke(*, since: datetime) -> ContactQuerySet:
    """Who opted out or complained, as we were told since then."""
    opted_out = Q(opted_out_at__gte=since, complained_at=None)  # as the index has it
    return Contact.objects.filter(opted_out | Q(complained_at__gte=since), email__isnull=False)


def unlocated(*, told_since: datetime | None = None) -> ContactQuerySet:
    """Whom Mailjet was not asked for since they opted out or complained; with `told_since`, since then alone.

    A person may have put them on a list since our last reading of it. What a list itself told is not
    concerned: the others are read with it.
    """
    opted_out = _unheard("opted_out", told_since) & Q(complained_at=None)  # as the index has it
    complained = _unheard("complained", told_since)
    return Contact.objects.filter(opted_out | complained, email__isnull=False)


def _unheard(what: str, told_since: datetime | None) -> Q:
    later = Q(looked_up_at=None) | Q(looked_up_at__lt=F(f"{what}_at"))
    since = Q(**{f"{what}_at__gte": told_since}) if told_since else Q(**{f"{what}_at__isnull": False})
    return since & later & ~Q(**{f"{what}_by__startswith": "list "})


def is_any(*, told_since: datetime | None = None) -> bool:
    """Whether anything is or may be due; with `told_since`, of what was told since then alone.

    At a million contacts, 100,000 of them opted out, everything takes a third of a second, and what was told
    in the last hour a millisecond: the indexes on when it was said.
    """
    opted_out, complained = unsubscriptions(), complaints()
    if told_since is not None:
        if not who_spoke(since=told_since).exists():  # every sweep asks, and seldom has anybody said anything
            return False
        opted_out = opted_out.filter(contact__opted_out_at__gte=told_since)
        complained = complained.filter(complained_at__gte=told_since)
    return opted_out.exists() or complained.exists() or unlocated(told_since=told_since).exists()


def everything(*, among: Collection[int] | None = None) -> dict[int, Due]:
    """What is due, by contact; with `among`, of these contacts alone."""
    opted_out, complained = unsubscriptions(), complaints()
    if among is not None:
        opted_out, complained = opted_out.filter(contact__in=among), complained.filter(pk__in=among)
    return _unsubscribing(opted_out) | _complaining(complained)


def _unsubscribing(rows: MembershipQuerySet) -> dict[int, Due]:
    told = rows.annotate(said_at=Greatest("contact__opted_out_at", "since"))
    lists: dict[int, list[int]] = defaultdict(list)
    said: dict[int, datetime] = {}
    for contact, list_id, at in told.order_by("contact", "list__position").values_list(
        "contact", "list", "said_at"
    ):
        lists[contact].append(list_id)
        said[contact] = min(at, said.get(contact, at))
    return {
        contact: Due(contact, ItemAction.UNSUBSCRIBE, tuple(lists[contact]), said[contact])
        for contact in lists
    }


def _complaining(contacts: ContactQuerySet) -> dict[int, Due]:
    on_campaign_lists = Q(memberships__until=None, memberships__list__role=Role.CAMPAIGN)
    came = Max("memberships__since", filter=on_campaign_lists)
    told = contacts.annotate(said_at=Greatest("complained_at", came))  # PostgreSQL's passes over null
    said = dict(told.order_by("pk").values_list("pk", "said_at"))
    lists: dict[int, list[int]] = defaultdict(list)
    rows = ContactListMembership.objects.current().filter(
        contact__in=list(said), list__role=Role.CAMPAIGN, list__is_deleted=False
    )
    for contact, list_id in rows.order_by("list__position").values_list("contact", "list"):
        lists[contact].append(list_id)
    return {
        contact: Due(contact, ItemAction.COMPLAINT, tuple(lists[contact]), at) for contact, at in said.items()
    }


def subscribed_lists(contacts: Collection[int]) -> dict[int, list[int]]:
    """Our ids of the campaign lists where each of these contacts is subscribed, in the rotation's order."""
    rows = ContactListMembership.objects.active().filter(
        contact__in=contacts, list__role=Role.CAMPAIGN, list__is_deleted=False
    )
    found: dict[int, list[int]] = defaultdict(list)
    for contact, list_id in rows.order_by("list__position").values_list("contact", "list"):
        found[contact].append(list_id)
    return found


# --- What may be tried now -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tries:
    """The failed tries of one contact's wish since it last succeeded."""

    failures: int
    first_at: datetime
    last_at: datetime


def tries(contacts: Collection[int]) -> dict[tuple[int, str], Tries]:
    """The failed tries in a row, by contact and action, where there are any."""
    items = DecisionItem.objects.filter(
        contact__in=contacts,
        decision__kind=DecisionKind.CONSENT,
        status__in=[ItemStatus.EXECUTED, ItemStatus.FAILED],
    ).annotate(ended_at=Coalesce(Max("operations__batch__settled_at"), F("decision__created_at")))
    found: dict[tuple[int, str], Tries] = {}
    for contact, action, status, began, ended in items.order_by("pk").values_list(
        "contact", "action", "status", "decision__created_at", "ended_at"
    ):
        before = found.pop((contact, action), None)
        if status == ItemStatus.FAILED:
            failures, first_at = (before.failures, before.first_at) if before else (0, began)
            found[contact, action] = Tries(failures + 1, first_at, ended)
    return found


def ready(*, now: datetime, among: Collection[int] | None = None) -> dict[int, Due]:
    """What may be tried now: nobody has it in hand, and its last try, if that failed, was long enough ago."""
    due = everything(among=among)
    taken = set(in_hand().filter(contact__in=list(due)).values_list("contact", flat=True))
    failed = tries(list(due))

    def rested(each: Due) -> bool:
        before = failed.get((each.contact_id, each.action))
        return before is None or now >= before.last_at + consent.pause_after(before.failures)

    return {key: each for key, each in due.items() if key not in taken and rested(each)}


def in_hand() -> QuerySet[DecisionItem]:
    """Items that an unfinished consent run is about to apply."""
    runs = ListMaintenanceLog.objects.unfinished().filter(kind=RunKind.CONSENT)
    return DecisionItem.objects.filter(
        decision__kind=DecisionKind.CONSENT, decision__run__in=runs, status=ItemStatus.PROPOSED
    )


def busy(contacts: Collection[int]) -> set[int]:
    """Contacts that a batch under way is changing: where they will be is not known yet."""
    operations = ListOperation.objects.filter(
        contact__in=contacts,
        status=OperationStatus.INTENDED,
        batch__in=OperationBatch.objects.under_way(),
    )
    return set(operations.values_list("contact", flat=True))


# --- What people are shown -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is not applied yet, for people to see."""

    contacts: int
    oldest: datetime
    failing: tuple[int, ...]
    """Contacts whose wish could not be applied in three tries or more."""


def waiting() -> Waiting | None:
    """What is due and since when; None where nothing is."""
    due = everything()
    if not due:
        return None
    return Waiting(len(due), min(known_since(due, due=due).values()), tuple(sorted(_failing(due))))


def failing(*, now: datetime) -> list[int]:
    """Contacts whose wish has failed three times or more and goes on failing. Cheap: it looks at a day."""
    lately = DecisionItem.objects.filter(
        decision__kind=DecisionKind.CONSENT,
        decision__created_at__gte=now - timedelta(days=1),
        status=ItemStatus.FAILED,
    )
    due = everything(among=set(lately.values_list("contact", flat=True)))
    return sorted(_failing(due))


def _failing(due: Mapping[int, Due]) -> set[int]:
    failed = tries(list(due)).items()
    return {
        contact
        for (contact, action), each in failed
        if each.failures >= consent.TOLD_AFTER and due[contact].action == action
    }


def known_since(contacts: Iterable[int], *, due: Mapping[int, Due]) -> dict[int, datetime]:
    """Since when each has been due, as far as is known: its first try that led to nothing, else its wish."""
    due = {key: due[key] for key in contacts}
    failed = tries(list(due))
    begun = dict(in_hand().filter(contact__in=list(due)).values_list("contact", "decision__created_at"))
    return {
        key: failed[key, each.action].first_at
        if (key, each.action) in failed
        else begun.get(key, each.said_at)
        for key, each in due.items()
    }
