"""P1: nobody is suppressed by us without stored evidence that the policy accepts, a decision and a history.

Each suppression of ours is judged again by the policy, on what was known when it was decided, and by the
cycles that its sends counted as then: what a send was may be recognised anew when others follow it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import Exists, F, OuterRef, Q

from listmanagement.domain.bounces import ContactRecord, Event, Outcome, classify
from listmanagement.domain.holds import is_gone
from listmanagement.domain.standing import FAILED, stands
from listmanagement.domain.suppression import SUPPRESSES, Region, Ruling, failure_in, rule
from listmanagement.models import (
    EXECUTABLE,
    BatchKind,
    Bounce,
    CampaignRecipient,
    CampaignSchedule,
    ContactSuppressionHistory,
    Decision,
    DecisionKind,
    DecisionStatus,
    Hold,
    HoldKind,
    ItemAction,
    ItemStatus,
    ListOperation,
    OperationStatus,
    Protection,
    SuppressionKind,
)
from listmanagement.models.lists import SuppressionQuerySet
from listmanagement.workflows import domains
from listmanagement.workflows.campaigns import labels
from listmanagement.workflows.evidence import memory
from listmanagement.workflows.maintenance import judgement
from listmanagement.workflows.promises.shown import Shown
from listmanagement.workflows.promises.verdicts import Name, Objection, Promise, notes, violations

ACCEPTED = SUPPRESSES | {Region.CONSENT}
AT_ONCE = 1000

LOOK = "Read the contact's timeline, then lift the suppression or have it decided anew."
IMPORTED_OVER_OURS = Objection(
    "remembered as found at Mailjet, although an operation of ours suppressed them",
    "Name evidence, decision and operation in the history: the journal has them.",
)
NOT_AT_MAILJET = Objection(
    "suppressed here, but not on the suppression list at Mailjet",
    "Find out who took them off: lift the suppression here, or put them back on the list at Mailjet.",
)
RELABELLED_SINCE = (
    "sends that count as fewer cycles today: some were labelled anew since; consider lifting them"
)
UNEXPLAINED = Objection(
    "on the suppression list at Mailjet without a suppression here that says why",
    "Where a person put them there, record it as found at Mailjet; else take them off the list.",
)


def check_evidence(shown: Shown, *, busy: Collection[int]) -> Promise:
    """Hold the standing suppressions against evidence, decisions, journal and Mailjet's suppression list."""
    standing = ContactSuppressionHistory.objects.standing()
    listed = shown.of(shown.suppression).keys()
    known = set(standing.values_list("contact_id", flat=True))
    ours = standing.filter(kind=SuppressionKind.OURS)
    expected = set(standing.filter(contact__retired_at=None).values_list("contact_id", flat=True))
    unproven, relabelled = _judged(ours)
    found = [
        *unproven,
        *_unsaid(standing.filter(kind=SuppressionKind.CONSENT)),
        *((contact_id, IMPORTED_OVER_OURS) for contact_id in _imported_over_ours(standing)),
        *((contact_id, NOT_AT_MAILJET) for contact_id in expected - listed - set(busy)),
        *((contact_id, UNEXPLAINED) for contact_id in listed - known - set(busy)),
    ]
    return Promise(
        Name.EVIDENCE,
        checked=len(known),
        broken=violations(found),
        noted=notes(
            (_delivered_since(standing), "delivered to after their evidence; consider lifting them"),
            (relabelled, RELABELLED_SINCE),
            (set(busy) & (listed | known), "being changed right now, so not judged"),
        ),
    )


def _imported_over_ours(standing: SuppressionQuerySet) -> Iterable[int]:
    ours = ListOperation.objects.filter(
        contact=OuterRef("contact"), kind=BatchKind.SUPPRESS, status=OperationStatus.APPLIED
    )
    found = standing.filter(Exists(ours), kind=SuppressionKind.IMPORTED)
    return found.values_list("contact_id", flat=True)


def _delivered_since(standing: SuppressionQuerySet) -> Collection[int]:
    """Another message reached them since, or the very one that they were suppressed for did."""
    later = Q(contact__received__outcome=Outcome.DELIVERED) & Q(
        contact__received__outcome_at__gt=F("evidence__at")
    )
    the_very_one = Q(evidence__recipient__outcome=Outcome.DELIVERED)
    return set(
        standing.filter(later | the_very_one, kind=SuppressionKind.OURS).values_list("contact_id", flat=True)
    )


# --- Consent -----------------------------------------------------------------------------------------


def _unsaid(suppressions: SuppressionQuerySet) -> Iterator[tuple[int, Objection]]:
    """Suppressions on a contact's own word that no complaint or no decision of the consent rule explains."""
    rows = suppressions.select_related("contact", "item__decision", "operation")
    for suppression in rows.order_by("pk").iterator(chunk_size=AT_ONCE):
        if (words := _what_was_not_said(suppression)) is not None:
            yield suppression.contact_id, Objection(words, LOOK)


def _what_was_not_said(suppression: ContactSuppressionHistory) -> str | None:
    item, operation = suppression.item, suppression.operation
    assert item is not None  # PostgreSQL asks for both, and that evidence, if any, is of this contact
    assert operation is not None
    if suppression.contact.complained_at is None:
        return "suppressed for a complaint that nobody remembers"
    if item.contact_id != suppression.contact_id or operation.item_id != item.pk:
        return "decision and operation do not name each other"
    if (item.decision.kind, item.decision.status) != (DecisionKind.CONSENT, DecisionStatus.CLEAR):
        return f"its decision, of {_words(item.decision.kind)}, is not one of the consent rule"
    if item.action != ItemAction.COMPLAINT or item.status != ItemStatus.EXECUTED:
        return f"in its decision the contact's item, to {_words(item.action)}, is {_words(item.status)}"
    if operation.kind != BatchKind.COMPLAINT or operation.status != OperationStatus.APPLIED:
        return f"its operation, to {_words(operation.kind)}, is {operation.status}, not applied"
    return None


# --- Decision and journal ----------------------------------------------------------------------------


def _judged(ours: SuppressionQuerySet) -> tuple[Sequence[tuple[int, Objection]], Collection[int]]:
    """Who is not proven and why; and who was, by cycles that their sends do not count as any more."""
    unproven: list[tuple[int, Objection]] = []
    relabelled: set[int] = set()
    decisions = Decision.objects.filter(pk__in=ours.values("item__decision"))
    for decision in decisions.select_related("run__campaign").order_by("pk"):
        then = _then(decision)
        rows = ours.filter(item__decision=decision).select_related(
            "item__group", "evidence__recipient__campaign", "operation"
        )
        for chunk in _chunks(list(rows.order_by("pk"))):
            rulings = _rulings(chunk, then=then)
            unproven += _unproven(chunk, decision, rulings)
            relabelled |= _relabelled_since(chunk, rulings, then=then)
    return unproven, relabelled


def _unproven(
    chunk: Sequence[ContactSuppressionHistory], decision: Decision, rulings: Mapping[int, Ruling | None]
) -> Iterator[tuple[int, Objection]]:
    for suppression in chunk:
        words = _objection(suppression, decision, rulings.get(suppression.contact_id))
        if words is not None:
            yield suppression.contact_id, Objection(words, LOOK)


def _relabelled_since(
    chunk: Sequence[ContactSuppressionHistory], rulings: Mapping[int, Ruling | None], *, then: _Then
) -> set[int]:
    """Whose suppression the policy accepted by the cycles of then, and would not by those of today."""
    today = _rulings(_concerned(chunk, then.cycles), then=replace(then, cycles={}))
    return {key for key, ruling in today.items() if _accepts(rulings[key]) and not _accepts(ruling)}


def _concerned(
    chunk: Sequence[ContactSuppressionHistory], relabelled: Mapping[int, int | None]
) -> Sequence[ContactSuppressionHistory]:
    """Those who were sent something that was labelled anew."""
    if not relabelled:
        return ()
    sent = CampaignRecipient.objects.filter(
        campaign__in=relabelled, contact__in=[each.contact_id for each in chunk]
    )
    contacts = set(sent.values_list("contact_id", flat=True))
    return [each for each in chunk if each.contact_id in contacts]


def _chunks(rows: Sequence[ContactSuppressionHistory]) -> Iterator[Sequence[ContactSuppressionHistory]]:
    for start in range(0, len(rows), AT_ONCE):
        yield rows[start : start + AT_ONCE]


def _objection(
    suppression: ContactSuppressionHistory, decision: Decision, ruling: Ruling | None
) -> str | None:
    """What a suppression of ours lacks, the plainest lack first; None where it is proven."""
    evidence, item, operation = suppression.evidence, suppression.item, suppression.operation
    assert evidence is not None  # PostgreSQL asks for all three
    assert item is not None
    assert operation is not None
    if evidence.recipient.contact_id != suppression.contact_id:
        return "its evidence is about somebody else"
    if item.evidence_id != evidence.pk or operation.item_id != item.pk:
        return "evidence, decision and operation do not name each other"
    if decision.status not in EXECUTABLE:
        return f"its decision is {decision.status}, neither approved nor clear"
    if item.action != ItemAction.SUPPRESS or item.status != ItemStatus.EXECUTED:
        return f"in its decision the contact's item, to {item.action}, is {_words(item.status)}"
    if operation.kind != BatchKind.SUPPRESS or operation.status != OperationStatus.APPLIED:
        return f"its operation, to {_words(operation.kind)}, is {operation.status}, not applied"
    if evidence.spent_at is not None:
        return "its evidence was spent when an earlier suppression was lifted"
    return None if _is_reached_since(evidence, decision) else _refused(ruling, evidence)


def _is_reached_since(evidence: Bounce, decision: Decision) -> bool:
    """Whether the very message is seen delivered since it was decided: that is noted, and was not known.

    An event says when. Mailjet's listing shows a delivery as of the message's arrival, whenever it was told
    of: there it counts how the message stood when it was decided, by what had been told by then.
    """
    message = evidence.recipient
    if message.outcome != Outcome.DELIVERED:
        return False
    if message.outcome_at is not None and message.outcome_at > decision.created_at:
        return True
    return stands(memory.of(evidence).by(decision.created_at)).outcome in FAILED


def _words(member: str) -> str:
    return member.replace("_", " ")


def _refused(ruling: Ruling | None, evidence: Bounce) -> str | None:
    if ruling is None:
        return "nothing failed for them in the campaign that was judged"
    if not _says_what_was_judged(evidence):
        return f"its evidence, state {evidence.state}, does not say what the message was judged as"
    if not _accepts(ruling):
        return f"the policy does not accept its evidence ({ruling.region}): {ruling.why}"
    if ruling.evidence_message_id != evidence.recipient.message_id:
        return "the policy rests on another message than the one named as evidence"
    return None


def _accepts(ruling: Ruling | None) -> bool:
    return ruling is not None and ruling.region in ACCEPTED


def _says_what_was_judged(evidence: Bounce) -> bool:
    """Whether the stored state, read anew, gives the stored class. A complaint needs no state."""
    if evidence.recipient.outcome == Outcome.COMPLAINED:
        return True
    read = classify(
        evidence.state,
        permanent=evidence.permanent,
        server_text=evidence.server_text,
        attempted=evidence.attempted,
    )
    return read == evidence.recipient.bounce_class


# --- The policy, asked again -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Then:
    """What stood when a decision was made: holds, protections, and the cycles that sends counted as."""

    at: datetime
    campaign: CampaignSchedule | None
    """What its run judged; None where that judged several, each contact by the send of its evidence."""
    cycles: Mapping[int, int | None]
    """By campaign, where a send is of another cycle today."""
    held_hosts: frozenset[str]
    stale: frozenset[str]
    """Domains on hold for so long that a person decided."""
    held_since: Mapping[int, datetime]
    spans: Mapping[str, Sequence[Hold]]
    protected: frozenset[str]


def _then(decision: Decision) -> _Then:
    """A hold that the same judgement opened is in force, one that it ended still explains what it judged."""
    at = decision.created_at
    holds = Hold.objects.filter(since__lte=at)
    spans: dict[str, list[Hold]] = defaultdict(list)
    for hold in holds.filter(kind=HoldKind.DOMAIN).select_related("run__campaign"):
        spans[hold.host].append(hold)
    waiting = holds.filter(Q(ended_at=None) | Q(ended_at__gte=at), kind=HoldKind.CONTACT, since__lt=at)
    held = frozenset(
        host
        for host, known in spans.items()
        if any(hold.ended_at is None or hold.ended_at > at for hold in known)
    )
    stale = judgement.stale_domains(at=at)
    return _Then(
        at=at,
        campaign=decision.run.campaign,
        cycles=labels.cycles_as_of(at),
        held_hosts=held - stale,
        stale=stale,
        held_since=dict(waiting.values_list("contact_id", "since")),
        spans=spans,
        protected=frozenset(Protection.objects.filter(at__lte=at).values_list("value", flat=True)),
    )


def _rulings(chunk: Sequence[ContactSuppressionHistory], *, then: _Then) -> dict[int, Ruling | None]:
    """The policy's rulings by contact: of the campaign the run judged, else of the evidence's own."""
    by_campaign: dict[CampaignSchedule, list[int]] = defaultdict(list)
    for suppression in chunk:
        assert suppression.evidence is not None
        by_campaign[then.campaign or suppression.evidence.recipient.campaign].append(suppression.contact_id)
    found: dict[int, Ruling | None] = {}
    for campaign, contacts in by_campaign.items():
        found |= _ruled(contacts, campaign, then=then)
    return found


def _ruled(contacts: Collection[int], campaign: CampaignSchedule, *, then: _Then) -> dict[int, Ruling | None]:
    records = _records(contacts, campaign, then=then)
    first = [_rule(record, campaign, then=then, gone=frozenset()) for record in records]
    refused = {record.domain for record, ruling in zip(records, first, strict=True) if not _accepts(ruling)}
    unheld = refused - then.held_hosts
    tries, closed = judgement.domain_tries(unheld, until=campaign), domains.closed(unheld, at=then.at)
    silent = {d for d in unheld if is_gone(tries.get(d, ()), closed_by_dns=d in closed)}
    gone = frozenset(silent | (unheld & then.stale))
    return {record.contact_id: _rule(record, campaign, then=then, gone=gone) for record in records}


def _rule(
    record: ContactRecord, campaign: CampaignSchedule, *, then: _Then, gone: frozenset[str]
) -> Ruling | None:
    return rule(record, campaign_id=campaign.pk, held_domains=then.held_hosts, gone_domains=gone, now=then.at)


def _records(contacts: Collection[int], campaign: CampaignSchedule, *, then: _Then) -> list[ContactRecord]:
    rows = CampaignRecipient.objects.filter(contact__in=contacts).select_related(
        "contact", "campaign", "bounce"
    )
    by_contact: dict[int, list[CampaignRecipient]] = defaultdict(list)
    for row in rows.order_by("contact_id", "outcome_at", "message_id"):
        by_contact[row.contact_id].append(row)
    rows_of_all = [row for own in by_contact.values() for row in own]
    reached = judgement.domains_reached(rows_of_all, unknown_is_any=True)
    return [
        _as_judged(
            judgement.contact_record(
                rows,
                held_since=then.held_since.get(key),
                protected=then.protected,
                spans=then.spans,
                reached=reached,
            ),
            campaign,
            then=then,
        )
        for key, rows in by_contact.items()
    ]


def _as_judged(record: ContactRecord, campaign: CampaignSchedule, *, then: _Then) -> ContactRecord:
    """The record without what came after the judged message, and with clicks and cycles as they were then.

    A later delivery may have been fetched only after the decision: it is noted, and breaks nothing.
    """
    failure = failure_in(record, campaign_id=campaign.pk)
    if failure is None:
        return record
    events = (event for event in record.events if event.at <= failure.at)
    return replace(record, events=tuple(_as_it_was(event, then=then) for event in events))


def _as_it_was(event: Event, *, then: _Then) -> Event:
    clicked = event.human_click_at
    return replace(
        event,
        cycle_id=then.cycles.get(event.campaign_id, event.cycle_id),
        human_click_at=clicked if clicked is not None and clicked <= then.at else None,
    )
