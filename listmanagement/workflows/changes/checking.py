"""What a batch may still do, contact by contact.

Presence and consent are read first, at most ten minutes ago; whoever was delivered to, opted out, was held or
is gone since drops out, and the row says so. A kind of batch has its objections in one table, asked in one
query for all of its contacts: the first that holds is the reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Case, Exists, Min, OuterRef, Q, TextField, Value, When
from django.db.models.functions import Lower

from integrations.mailjet import Action
from listmanagement.domain.bounces import Outcome
from listmanagement.domain.cycle import RoundStatus
from listmanagement.domain.reconciliation import which_stays
from listmanagement.models import (
    BatchKind,
    CampaignRecipient,
    Contact,
    ContactList,
    ContactListMembership,
    ContactSuppressionHistory,
    DecisionItem,
    Hold,
    ListOperation,
    OperationBatch,
    OperationStatus,
    Protection,
    Role,
    RunKind,
)
from listmanagement.models.lists import MembershipQuerySet
from listmanagement.workflows import consent_due, drifts, evidence, rotation
from listmanagement.workflows.changes import effects, moves, presence, whereabouts
from listmanagement.workflows.changes.presence import Needs
from listmanagement.workflows.running.steps import Hand


@dataclass(frozen=True)
class Objection:
    """A reason to leave operations out, in words for people, and which of a batch's it is about."""

    words: str
    about: Q


EVERYBODY = Q(pk__isnull=False)
MOVED_AWAY = "the address moved to a new contact at Mailjet: that one is looked at by itself"

Objections = Callable[[Hand, OperationBatch], Iterable[Objection]]


def check_each(hand: Hand, batch: OperationBatch) -> None:
    """Read what is stale, then drop every operation that must not be done any more, with the reason."""
    _READ[BatchKind(batch.kind)](hand, batch)
    found = objections(hand, batch)
    if found:
        with hand.lease.writing():
            for why, operations in found.items():
                effects.drop(batch, operations, why=why)


def objections(hand: Hand, batch: OperationBatch) -> Mapping[str, Sequence[int]]:
    """The batch's operations that must not be done any more, by reason, as the database stands now."""
    asked = [
        When(each.about, then=Value(each.words)) for each in _OBJECTIONS[BatchKind(batch.kind)](hand, batch)
    ]
    rows = batch.operations.filter(status=OperationStatus.INTENDED).annotate(
        objection=Case(*asked, default=None, output_field=TextField())
    )
    found: dict[str, list[int]] = defaultdict(list)
    for words, key in rows.exclude(objection=None).order_by("position").values_list("objection", "pk"):
        found[words].append(key)
    return found


def _read_later_outcomes(hand: Hand, batch: OperationBatch) -> None:
    """Fetch what was sent since the evidence: a delivery that nobody has read yet counts, too."""
    evidence_at = batch.operations.aggregate(at=Min("item__evidence__at"))["at"]
    evidence.fetch_unseen(since=evidence_at, mailjet=hand.outside.mailjet, now=hand.now)


# --- What is read first ------------------------------------------------------------------------------

LOOKED_AT_FOR = timedelta(minutes=2)
"""How long what the consent run saw of its contacts counts as fresh."""


def _before_a_suppression(hand: Hand, batch: OperationBatch) -> None:
    """Presence and opt-outs, on the lists that its contacts are on and the one they join; and deliveries."""
    theirs = list(ContactList.objects.rotation().filter(memberships__in=_memberships_of(batch)).distinct())
    needs = Needs(members=[*theirs, ContactList.objects.suppression()], leaves=theirs)
    presence.read(hand, batch, needs=needs)
    _read_later_outcomes(hand, batch)


def _before_a_placement(hand: Hand, batch: OperationBatch) -> None:
    """Exclusions and complaints, of contacts who all stand on the master list, and may on no other."""
    needs = Needs(members=_campaign_and_suppression(), contacts=[ContactList.objects.master()])
    presence.read(hand, batch, needs=needs)


def _before_a_move(hand: Hand, batch: OperationBatch) -> None:
    """The same of whoever leaves a list."""
    sources = ContactList.objects.filter(items_from__operations__batch=batch).distinct()
    others = [each for each in _campaign_and_suppression() if each not in sources]
    presence.read(hand, batch, needs=Needs(members=others, contacts=list(sources)))


def _before_leaving(hand: Hand, batch: OperationBatch) -> None:
    """Both lists of a move were looked at a moment ago (`moves.not_ready`)."""


def _before_carrying(hand: Hand, batch: OperationBatch) -> None:
    """Presence on the lists that it changes."""
    lists = list(ContactList.objects.filter(changes__batch=batch))
    presence.read(hand, batch, needs=Needs(members=lists))


def _before_consent(hand: Hand, batch: OperationBatch) -> None:
    """The consent run has just looked where its contacts are: again only where that was some time ago."""
    contacts = batch.operations.filter(status=OperationStatus.INTENDED).values_list("contact", flat=True)
    decided = DecisionItem.objects.filter(operations__batch=batch).aggregate(at=Min("decision__created_at"))
    if batch.attempt or decided["at"] is None or hand.now - decided["at"] >= LOOKED_AT_FOR:
        whereabouts.look(list(contacts), mailjet=hand.outside.mailjet, now=hand.now)


def _before_taking_off(hand: Hand, batch: OperationBatch) -> None:
    """Presence on any list that they may stay on."""
    leaves = list(ContactList.objects.filter(changes__batch=batch))
    presence.read(hand, batch, needs=Needs(members=_campaign_and_suppression(), leaves=leaves))


def _before_putting_back(hand: Hand, batch: OperationBatch) -> None:
    """The same; and exclusions and complaints, of contacts who may be on no list but the master list."""
    needs = Needs(members=_campaign_and_suppression(), contacts=[ContactList.objects.master()])
    presence.read(hand, batch, needs=needs)


def _campaign_and_suppression() -> list[ContactList]:
    return list(ContactList.objects.filter(role__in=[Role.CAMPAIGN, Role.SUPPRESSION]))


def _memberships_of(batch: OperationBatch) -> Iterable[ContactListMembership]:
    contacts = batch.operations.filter(status=OperationStatus.INTENDED).values("contact")
    return ContactListMembership.objects.current().filter(contact__in=contacts)


_READ: Mapping[BatchKind, Callable[[Hand, OperationBatch], None]] = {
    BatchKind.SUPPRESS: _before_a_suppression,
    BatchKind.PLACE: _before_a_placement,
    BatchKind.MOVE_IN: _before_a_move,
    BatchKind.MOVE_OUT: _before_leaving,
    BatchKind.CARRY_OPT_OUT: _before_carrying,
    BatchKind.UNSUBSCRIBE: _before_consent,
    BatchKind.COMPLAINT: _before_consent,
    BatchKind.TAKE_OFF: _before_taking_off,
    BatchKind.PUT_BACK: _before_putting_back,
    BatchKind.RESTORE: _before_putting_back,
    BatchKind.RELEASE: _before_taking_off,
}


# --- What speaks against it --------------------------------------------------------------------------


def _against_a_suppression(hand: Hand, batch: OperationBatch) -> Iterable[Objection]:
    del hand
    yield Objection(
        "the address moved to a new contact at Mailjet: that one is judged by itself", Q(contact__email=None)
    )
    yield Objection("already suppressed", _suppressed())
    yield Objection(
        "opted out meanwhile: taking them off the list would lose that at Mailjet",
        Q(contact__opted_out_at__isnull=False),
    )
    yield Objection(
        "the suppression on this evidence was lifted meanwhile", Q(item__evidence__spent_at__isnull=False)
    )
    yield Objection("was delivered to meanwhile", _delivered_since_the_evidence())
    if not batch.attempt:  # after a try of ours, that may be our own doing
        yield Objection("no longer on a campaign list at Mailjet", ~_present(list__role=Role.CAMPAIGN))
    decided = OuterRef("item__decision__created_at")
    yield Objection("held meanwhile", _held(since__gt=decided))
    protections = Protection.objects.filter(
        Q(value=OuterRef("contact__domain")) | Q(value=Lower(OuterRef("contact__email"))), at__gt=decided
    )
    yield Objection("protected meanwhile", Q(Exists(protections)))


def _delivered_since_the_evidence() -> Q:
    later = CampaignRecipient.objects.filter(
        contact=OuterRef("contact"),
        outcome=Outcome.DELIVERED,
        outcome_at__gt=OuterRef("item__evidence__at"),
    )
    return Q(Exists(later)) | Q(item__evidence__recipient__outcome=Outcome.DELIVERED)


def _against_a_placement(hand: Hand, batch: OperationBatch) -> Iterable[Objection]:
    yield from _against_mailing()
    yield Objection("no longer on the master list at Mailjet", ~_present(list__role=Role.MASTER))
    yield Objection(
        "already on another list", Q(Exists(_listed(list__role__in=[Role.CAMPAIGN, Role.SUPPRESSION])))
    )
    yield from _against_a_second_message(ContactList.objects.get(changes__batch=batch), batch, hand)


def _against_a_second_message(target: ContactList, batch: OperationBatch, hand: Hand) -> Iterable[Objection]:
    """Who had the message of the cycle under way joins no list that is still to get it."""
    if target.pk in rotation.awaited(at=hand.now):
        contacts = batch.operations.values_list("contact", flat=True)
        addressed = list(rotation.addressed(list(contacts), at=hand.now))
        words = f"had this cycle's message already, and that of {target.name} is still to come (P5)"
        yield Objection(words, Q(contact__in=addressed))


def _against_a_move(hand: Hand, batch: OperationBatch) -> Iterable[Objection]:
    if moves.is_return(batch):
        yield from _against_a_return()
        return
    if not rotation.moves_allowed(at=hand.now):
        yield Objection("a cycle is under way: contacts move only between cycles", EVERYBODY)
        return
    others = rotation.moved_in_this_cycle(at=hand.now).exclude(batch__run=batch.run)
    if batch.run.kind != RunKind.UNDO and others.exists():
        yield Objection("another run has evened out the lists since this was planned", EVERYBODY)
        return
    source = OuterRef("item__source_list")
    yield from _against_mailing()
    yield Objection("no longer on the list it would leave", ~_present(list=source))
    elsewhere = _listed(list__role__in=[Role.CAMPAIGN, Role.SUPPRESSION]).exclude(list=source)
    yield Objection("already on another list", Q(Exists(elsewhere)))
    pending = rotation.to_be_suppressed().filter(contact=OuterRef("contact"))
    yield Objection(
        "to be suppressed: whoever decides on that expects to find the contact where it is",
        Q(Exists(pending)),
    )
    yield Objection("held meanwhile", Q(contact__in=Contact.objects.held().values("pk")))
    moved = rotation.moved_lately(at=hand.now).filter(contact=OuterRef("contact"))
    yield Objection("moved less than two cycles ago", Q(Exists(moved), item__undoes=None))
    apart = hand.outside.configuration.between_mails
    joined = ContactList.objects.filter(changes__batch=batch)
    lately = rotation.mailed_too_lately_for(joined, at=hand.now, between_mails=apart)
    words = f"would get two mails within {apart.days} days, since a send to that list is planned meanwhile"
    yield Objection(words, Q(Exists(lately.filter(contact=OuterRef("contact")))))


def _against_a_return() -> Iterable[Objection]:
    """In the middle of a cycle, so that it sends them no second message."""
    source = OuterRef("item__source_list")
    yield from _against_mailing()
    yield Objection("no longer on the list it would leave", ~_present(list=source))
    elsewhere = _listed(list__role__in=[Role.CAMPAIGN, Role.SUPPRESSION]).exclude(list=source)
    yield Objection("already on another list", Q(Exists(elsewhere)))


def _against_leaving(hand: Hand, batch: OperationBatch) -> Iterable[Objection]:
    """Off one list only who is seen on the other, and whose opt-out, if any, is repeated there."""
    del hand
    legs = moves.legs(batch)
    arrived = ListOperation.objects.arrived().filter(item=OuterRef("item"))
    yield Objection("did not arrive on the other list, so stays on this one", ~Q(Exists(arrived)))
    yield Objection(
        "the address moved to a new contact at Mailjet: that one is where people put it",
        Q(contact__email=None),
    )
    yield Objection(
        f"no longer on {legs.stays.name} at Mailjet, so stays on {legs.leaves.name}",
        ~_present(list=legs.stays),
    )
    if not batch.attempt:
        yield Objection(f"somebody else took the contact off {legs.leaves.name}", ~_present(list=legs.leaves))
    yield Objection(
        f"opted out, which could not be repeated on {legs.stays.name}: stays on {legs.leaves.name}",
        Q(contact__opted_out_at__isnull=False) & _present(list=legs.stays, unsubscribed=False),
    )


def _against_carrying(hand: Hand, batch: OperationBatch) -> Iterable[Objection]:
    del hand
    [contact_list] = ContactList.objects.filter(changes__batch=batch)
    yield Objection("the address moved to a new contact at Mailjet", Q(contact__email=None))
    yield Objection(f"no longer on {contact_list.name} at Mailjet", ~_present(list=contact_list))


def _against_unsubscribing(hand: Hand, batch: OperationBatch) -> Iterable[Objection]:
    """An `unsub` where somebody is no member might make one: it is sent for exactly the lists they are on."""
    del hand
    lists = list(ContactList.objects.filter(changes__batch=batch))
    yield Objection(MOVED_AWAY, Q(contact__email=None))
    yield Objection("complained meanwhile: suppressed instead", Q(contact__complained_at__isnull=False))
    for each in lists:
        words = f"no longer on {each.name} at Mailjet: looked at where they are now"
        yield Objection(words, ~_present(list=each))
    yield Objection("unsubscribed there already", ~Q(Exists(_listed(list__in=lists, unsubscribed=False))))


def _against_a_complaint(hand: Hand, batch: OperationBatch) -> Iterable[Objection]:
    del hand, batch
    yield Objection(MOVED_AWAY, Q(contact__email=None))
    due = consent_due.complaints().filter(pk=OuterRef("contact"))
    yield Objection("off the campaign lists and suppressed already", ~Q(Exists(due)))


def _against_taking_off(hand: Hand, batch: OperationBatch) -> Iterable[Objection]:
    """Off a campaign list goes only who stays on another, by the rule that the question rested on.

    But whom a send skips, as a reviewer chose, comes back after it.
    """
    source = ContactList.objects.get(changes__batch=batch)
    if batch.run.kind == RunKind.PRE_CAMPAIGN:
        yield from _against_skipping(hand, batch, source)
        return
    yield Objection(MOVED_AWAY, Q(contact__email=None))
    yield Objection("suppressed meanwhile", _suppressed())
    if not batch.attempt:
        yield Objection(f"no longer on {source.name} at Mailjet", ~_present(list=source))
    if source.role == Role.SUPPRESSION:
        return
    yield Objection(
        "said no meanwhile: taking them off the list would lose that at Mailjet",
        Q(contact__opted_out_at__isnull=False) | Q(contact__complained_at__isnull=False),
    )
    stays = _present(list__in=ContactList.objects.rotation().exclude(pk=source.pk), unsubscribed=False)
    yield Objection(f"on no other campaign list any more, so stays on {source.name}", ~stays)
    yield Objection(
        f"was sent this cycle's message through {source.name} meanwhile, so stays there",
        Q(contact__in=_staying_on(source, batch, hand)),
    )


def _against_skipping(hand: Hand, batch: OperationBatch, source: ContactList) -> Iterable[Objection]:
    """Off the list for one send goes who is on hold still, before that send."""
    campaign = batch.run.campaign
    assert campaign is not None
    if campaign.status != RoundStatus.SCHEDULED or (campaign.scheduled_at or hand.now) <= hand.now:
        yield Objection(
            f"campaign {campaign.pk} is sent, or called off: nobody is skipped any more", EVERYBODY
        )
        return
    yield Objection(MOVED_AWAY, Q(contact__email=None))
    yield Objection("suppressed meanwhile", _suppressed())
    if not batch.attempt:
        yield Objection(f"no longer on {source.name} at Mailjet", ~_present(list=source))
    yield Objection(
        "said no meanwhile: taking them off the list would lose that at Mailjet",
        Q(contact__opted_out_at__isnull=False) | Q(contact__complained_at__isnull=False),
    )
    yield Objection("the hold has ended: mailed with everybody", ~_held())


def _staying_on(source: ContactList, batch: OperationBatch, hand: Hand) -> list[int]:
    contacts = list(batch.operations.values_list("contact", flat=True))
    received = rotation.addressed(contacts, at=hand.now)
    return [
        contact
        for contact, places in drifts.places(contacts).items()
        if which_stays(places, received.get(contact, ())).list_id == source.pk
    ]


def _against_putting_back(hand: Hand, batch: OperationBatch) -> Iterable[Objection]:
    target = ContactList.objects.get(changes__batch=batch, changes__action=Action.ADD)
    words = "on no list at Mailjet any more, maybe deleted there: putting them back could make them anew"
    yield Objection(words, _has_left_everything())
    if target.role == Role.SUPPRESSION:
        yield from _against_keeping_suppressed(batch)
        return
    yield from _against_mailing()
    elsewhere = _listed(list__role__in=[Role.CAMPAIGN, Role.SUPPRESSION])
    if batch.attempt:  # after a try of ours, that may be our own doing
        elsewhere = elsewhere.exclude(list=target)
    yield Objection("on a list again already", Q(Exists(elsewhere)))
    yield from _against_a_second_message(target, batch, hand)
    if batch.run.kind != RunKind.PRE_CAMPAIGN:  # that send is over: the held wait on their list
        yield Objection("held meanwhile", _held(since__gt=OuterRef("item__decision__created_at")))


def _against_keeping_suppressed(batch: OperationBatch) -> Iterable[Objection]:
    """Onto the suppression list and off the campaign lists goes again who is suppressed still."""
    yield Objection(MOVED_AWAY, Q(contact__email=None))
    yield Objection(
        "opted out meanwhile: taking them off the lists would lose that at Mailjet",
        Q(contact__opted_out_at__isnull=False),
    )
    yield Objection("the suppression was lifted meanwhile", ~_suppressed())
    if not batch.attempt:
        where_meant = _present(list__role=Role.SUPPRESSION) & ~_present(list__role=Role.CAMPAIGN)
        yield Objection("put back by somebody else meanwhile", where_meant)


# --- Taking back -------------------------------------------------------------------------------------


def against_lifting() -> Iterable[Objection]:
    """Whose suppression stays, whoever lifts it: what they said themselves, or became of them, is stronger.

    Asked of rows that have a contact. A suppression that does not stand any more is not looked at here.
    """
    yield Objection("erased at Mailjet", Q(contact__erased_at__isnull=False))
    yield Objection(MOVED_AWAY, Q(contact__email=None))
    yield Objection("complained", Q(contact__complained_at__isnull=False))
    yield Objection("opted out", Q(contact__opted_out_at__isnull=False))
    yield Objection("excluded from campaigns at Mailjet", Q(contact__excluded=True))
    yield Objection("on no list at Mailjet any more, maybe deleted there", _has_left_everything())


def against_releasing() -> Iterable[Objection]:
    """Whose placement stays. Asked of rows that have a contact."""
    yield Objection("erased at Mailjet", Q(contact__erased_at__isnull=False))
    yield Objection(MOVED_AWAY, Q(contact__email=None))
    said_no = Q(contact__opted_out_at__isnull=False) | Q(contact__complained_at__isnull=False)
    yield Objection("opted out or complained: the list they are on is where that is remembered", said_no)
    yield Objection("suppressed since", _suppressed())


def against_moving_back() -> Iterable[Objection]:
    """Whose move stays. Asked of rows that have a contact."""
    yield Objection("erased at Mailjet", Q(contact__erased_at__isnull=False))
    yield from _against_mailing()


def not_only_on(column: str) -> Q:
    """Whether the contact is on another campaign list than the one that the column names, or not on that."""
    on = _listed(list__role=Role.CAMPAIGN)
    here = OuterRef(column)
    return Q(Exists(on.exclude(list=here))) | ~Q(Exists(on.filter(list=here)))


def on_a_campaign_list() -> Q:
    """Whether the contact is on one."""
    return Q(Exists(_listed(list__role=Role.CAMPAIGN)))


def _against_restoring(hand: Hand, batch: OperationBatch) -> Iterable[Objection]:
    """Off the suppression list goes whose suppression this is, and onto a list who is on none."""
    yield from against_lifting()
    standing = ContactSuppressionHistory.objects.standing()
    this = Exists(standing.filter(contact=OuterRef("contact"), item=OuterRef("item__undoes")))
    yield Objection("the suppression was lifted already", ~_suppressed())
    yield Objection(
        "suppressed anew meanwhile: that is not what is taken back", Q(item__undoes__isnull=False) & ~Q(this)
    )
    target = ContactList.objects.filter(changes__batch=batch, changes__action=Action.ADD).first()
    elsewhere = _listed(list__role=Role.CAMPAIGN)
    if batch.attempt and target is not None:  # after a try of ours, that may be our own doing
        elsewhere = elsewhere.exclude(list=target)
    yield Objection(
        "on a campaign list already: reconciliation asks what becomes of that", Q(Exists(elsewhere))
    )
    if target is not None:
        yield from _against_a_second_message(target, batch, hand)


def _against_release(hand: Hand, batch: OperationBatch) -> Iterable[Objection]:
    """Into the backlog again goes who is on the one list where the placement put them."""
    source = ContactList.objects.get(changes__batch=batch)
    yield from against_releasing()
    if not batch.attempt:
        yield Objection(f"no longer on {source.name} at Mailjet", ~_present(list=source))
    elsewhere = _listed(list__role=Role.CAMPAIGN).exclude(list=source)
    yield Objection("on another campaign list, too: reconciliation asks about that", Q(Exists(elsewhere)))
    awaiting = rotation.awaiting_its_message(source, at=hand.now).filter(contact=OuterRef("contact"))
    words = f"was on {source.name} when the cycle under way began, and has its message still to come (P5)"
    yield Objection(words, Q(Exists(awaiting)))


def _against_mailing() -> Iterable[Objection]:
    """Who is not mailable is put on no list."""
    yield Objection("the address moved to a new contact at Mailjet", Q(contact__email=None))
    yield Objection("opted out", Q(contact__opted_out_at__isnull=False))
    yield Objection("complained", Q(contact__complained_at__isnull=False))
    yield Objection("excluded from campaigns at Mailjet", Q(contact__excluded=True))
    yield Objection("suppressed", _suppressed())


def _suppressed() -> Q:
    return Q(Exists(ContactSuppressionHistory.objects.standing().filter(contact=OuterRef("contact"))))


def _listed(**where: object) -> MembershipQuerySet:
    """The contact's current memberships, also those that the last reading missed."""
    return ContactListMembership.objects.current().filter(contact=OuterRef("contact"), **where)


def _present(**where: object) -> Q:
    """Whether the contact was seen there by the last reading."""
    return Q(Exists(_listed(missing_since=None, **where)))


def _has_left_everything() -> Q:
    """Whether the contact was on lists and is on none now: of such Mailjet may know nothing any more."""
    ever = ContactListMembership.objects.filter(contact=OuterRef("contact"))
    return Q(Exists(ever)) & ~Q(Exists(ever.current()))


def _held(**where: object) -> Q:
    holds = Hold.objects.standing().filter(**where)
    return Q(Exists(holds.filter(Q(contact=OuterRef("contact")) | Q(host=OuterRef("contact__domain")))))


_OBJECTIONS: Mapping[BatchKind, Objections] = {
    BatchKind.SUPPRESS: _against_a_suppression,
    BatchKind.PLACE: _against_a_placement,
    BatchKind.MOVE_IN: _against_a_move,
    BatchKind.MOVE_OUT: _against_leaving,
    BatchKind.CARRY_OPT_OUT: _against_carrying,
    BatchKind.UNSUBSCRIBE: _against_unsubscribing,
    BatchKind.COMPLAINT: _against_a_complaint,
    BatchKind.TAKE_OFF: _against_taking_off,
    BatchKind.PUT_BACK: _against_putting_back,
    BatchKind.RESTORE: _against_restoring,
    BatchKind.RELEASE: _against_release,
}
