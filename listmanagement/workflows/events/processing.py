"""Makes evidence of stored events, in batches: each is claimed, read and marked in one transaction.

Two workers take different events; a batch that breaks off is taken again. What events say becomes the same
observations that pages of messages become, so what was told twice, late or in disorder changes nothing.
Opt-outs and complaints count whatever the message, and at once: also while its campaign is not known here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db import DataError, IntegrityError, connection, transaction

from integrations.mailjet import Event, EventKind, EventOfTheConsole, EventUnusable, read_event
from listmanagement.domain.bounces import Outcome
from listmanagement.domain.standing import Observation
from listmanagement.models import CampaignSchedule, EventStatus, ToldKind, WebhookEvent
from listmanagement.models.events import EventQuerySet
from listmanagement.workflows import addresses, evidence
from listmanagement.workflows.evidence import Observed

log = logging.getLogger("evenkeel.events")

BATCH = 1000

OUTCOMES = {
    EventKind.SENT: Outcome.DELIVERED,
    EventKind.BOUNCE: Outcome.BOUNCED,
    EventKind.BLOCKED: Outcome.NOT_ATTEMPTED,
    EventKind.SPAM: Outcome.COMPLAINED,
}
"""How a message stands after an event of this kind; after any other as before."""

UNREAD = {
    ToldKind.UNREADABLE: "this is not the JSON of an event",
    ToldKind.TOO_LARGE: "the request was too large and was not read to its end: what it told is read from "
    "Mailjet's messages",
}
UNCLASSIFIED = "its error is none of Mailjet's table: the failure is unclassified"
NO_MESSAGE = "it does not say which message it is about"
NOBODY = "it names nobody who is known here"
REFUSED = "the database refused what it says"


def process(*, now: datetime) -> int:
    """Process all that is stored and not processed yet. Returns how many events that were."""
    _let_go_on()
    count = 0
    while taken := _process_batch(BATCH, now=now):
        count += taken
    return count


def _let_go_on() -> None:
    """What waited for a campaign that is known by now need not wait any more."""
    known = CampaignSchedule.objects.filter(mailjet_campaign_id__isnull=False)
    waiting = WebhookEvent.objects.waiting()
    waiting.filter(mailjet_campaign_id__in=known.values("mailjet_campaign_id")).update(status=EventStatus.NEW)


def _process_batch(size: int, *, now: datetime) -> int:
    """Take so many events. What PostgreSQL refuses is sought by halves, and set aside for a person."""
    taken: Sequence[WebhookEvent] = ()
    try:
        with transaction.atomic():
            taken = _claim(WebhookEvent.objects.unprocessed()[:size])
            _take(taken, now=now)
    except (DataError, IntegrityError) as refused:
        if len(taken) > 1:
            return _process_batch(len(taken) // 2, now=now)
        _set_aside(taken, refused, now=now)
    return len(taken)


def _claim(rows: EventQuerySet) -> Sequence[WebhookEvent]:
    """Those of them that nobody else has in hand."""
    return list(rows.select_for_update(skip_locked=True))


def _set_aside(refused: Sequence[WebhookEvent], why: Exception, *, now: datetime) -> None:
    with transaction.atomic():
        still = _claim(WebhookEvent.objects.unprocessed().filter(pk__in=[row.pk for row in refused]))
        _mark([_Read(row, EventStatus.REVIEW, REFUSED) for row in still], now=now)
    told = {"events": [row.pk for row in still], "why": type(why).__name__}
    log.warning("an event was set aside for review", extra=told)


# --- What a batch says -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Read:
    """A stored event, what became of it, and what it says."""

    row: WebhookEvent
    status: EventStatus
    problem: str = ""
    event: Event | None = None
    observed: Observed | None = field(default=None, repr=False)


def _take(rows: Sequence[WebhookEvent], *, now: datetime) -> None:
    if not rows:
        return
    events = {row.pk: _read(row) for row in rows}
    known = _known_campaigns([event for event in events.values() if isinstance(event, Event)])
    read = [_understood(row, events[row.pk], campaigns=known) for row in rows]
    read = _with_people(read)
    _mark(read, now=now)
    evidence.keep([each.observed for each in read if each.observed is not None], now=now)
    _note_campaigns(known.values(), now=now)


def _read(row: WebhookEvent) -> Event | EventUnusable:
    if row.kind in UNREAD:
        return EventUnusable(UNREAD[ToldKind(row.kind)])
    try:
        return read_event(json.loads(row.body))
    except EventUnusable as why:
        return why


def _known_campaigns(events: Sequence[Event]) -> Mapping[int, int]:
    """Our campaigns by Mailjet's ids, of those that these events are about."""
    ids = {event.campaign_id for event in events if event.campaign_id is not None}
    rows = CampaignSchedule.objects.filter(mailjet_campaign_id__in=ids)
    return {mailjet_id: pk for pk, mailjet_id in rows.values_list("pk", "mailjet_campaign_id") if mailjet_id}


def _understood(row: WebhookEvent, event: Event | EventUnusable, *, campaigns: Mapping[int, int]) -> _Read:
    if isinstance(event, EventOfTheConsole):
        return _Read(row, EventStatus.DONE)
    if isinstance(event, EventUnusable):
        return _Read(row, EventStatus.REVIEW, str(event))
    campaign_id = campaigns.get(event.campaign_id or 0)
    observed = _observed(event, campaign_id=campaign_id)
    if event.campaign_id is not None and campaign_id is None:
        return _Read(row, EventStatus.WAITING, event=event, observed=observed)
    if event.message_id is None and event.campaign_id is not None:
        return _Read(row, EventStatus.REVIEW, NO_MESSAGE, event, observed)
    if event.has_unknown_error:
        return _Read(row, EventStatus.REVIEW, UNCLASSIFIED, event, observed)
    return _Read(row, EventStatus.DONE, event=event, observed=observed)


def _observed(event: Event, *, campaign_id: int | None) -> Observed | None:
    """What an event tells of a message, or of its reader; None where that is nothing that counts.

    An opening is stored only: programs open mail, too.
    """
    found = Observed(
        message_id=event.message_id,
        campaign_id=campaign_id if event.message_id is not None else None,
        contact_id=event.contact_id,
        email=event.email,
        seen=_seen(event),
        opts_out=event.kind is EventKind.UNSUB,
        clicks=event.kind is EventKind.CLICK,
    )
    is_about_a_message = found.campaign_id is not None and event.kind is not EventKind.OPEN
    return found if is_about_a_message or found.opts_out or found.complains else None


def _seen(event: Event) -> Observation:
    outcome = Outcome.OPEN if event.is_deferred else OUTCOMES.get(event.kind, Outcome.OPEN)
    if outcome is Outcome.OPEN:
        return Observation(outcome, as_of=event.at)
    if outcome is Outcome.DELIVERED:
        return Observation(outcome, as_of=event.at, at=event.at)
    return Observation(
        outcome,
        as_of=event.at,
        at=event.at,
        state=event.state_id,
        permanent=event.permanent,
        text=event.comment,
    )


def _with_people(read: Sequence[_Read]) -> list[_Read]:
    """Events without a contact's id are of whoever has their address here; of nobody, a person's to see."""
    unnamed = {
        each.observed.email.lower()
        for each in read
        if each.observed is not None and each.observed.contact_id is None
    }
    if not unnamed:
        return list(read)
    numbered = dict(enumerate(sorted(unnamed)))
    keys = addresses.owners(numbered)
    people = {numbered[keys[key]]: contact_id for key, contact_id in addresses.holders(keys).items()}
    return [_of_somebody(each, people) for each in read]


def _of_somebody(read: _Read, people: Mapping[str, int]) -> _Read:
    if read.observed is None or read.observed.contact_id is not None:
        return read
    contact_id = people.get(read.observed.email.lower())
    if contact_id is None:
        return replace(read, status=EventStatus.REVIEW, problem=NOBODY, observed=None)
    return replace(read, observed=replace(read.observed, contact_id=contact_id))


# --- What became of it -----------------------------------------------------------------------------------

_MARK = """
update listmanagement_webhookevent event
   set (status, problem, processed_at, message_id, mailjet_campaign_id, happened_at) = (
       told.status, told.problem, case when told.status = 'waiting' then null else %s end,
       told.message_id, told.mailjet_campaign_id, told.happened_at)
  from json_to_recordset(%s::json) as told (
       id bigint, status text, problem text, message_id bigint, mailjet_campaign_id bigint,
       happened_at timestamptz)
 where event.id = told.id
"""


def _mark(read: Sequence[_Read], *, now: datetime) -> None:
    told = [
        {
            "id": each.row.pk,
            "status": each.status,
            "problem": each.problem,
            "message_id": each.event.message_id if each.event else None,
            "mailjet_campaign_id": each.event.campaign_id if each.event else None,
            "happened_at": each.event.at if each.event else None,
        }
        for each in read
    ]
    with connection.cursor() as cursor:
        cursor.execute(_MARK, [now, json.dumps(told, default=str)])


def _note_campaigns(campaign_ids: Collection[int], *, now: datetime) -> None:
    """A campaign that tells nothing is looked into (`watching`); these do."""
    silent = CampaignSchedule.objects.filter(pk__in=campaign_ids, first_event_at=None)
    silent.update(first_event_at=now)
