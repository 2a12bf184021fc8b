"""The demo's world in the form that the stand-in for Mailjet takes."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from listmanagement.workflows.demo.people import MASTER, SUPPRESSION, Part, Person
from listmanagement.workflows.demo.world import CAMPAIGN_LISTS, JUDGED, Membership, Message, Send, World

LIST_NAMES = {
    MASTER: "Everybody",
    **{number: f"Campaign list {number}" for number in CAMPAIGN_LISTS},
    SUPPRESSION: "Suppressed",
}
_FIRST_MEMBERSHIP_ID = 2_100_000_000
_DRAFT_SCHEDULED, _DRAFT_SENT = 1, 2


def document(world: World, *, mailjet_ids: Mapping[int, int]) -> dict[str, Any]:
    """The document. `mailjet_ids` gives Mailjet's id of each of our lists.

    Of the messages only those of the campaign to be maintained are still there: Mailjet keeps them for
    some weeks, and the others have been fetched. It counts them for ever.
    """
    forgotten: dict[int, Counter[str]] = defaultdict(Counter)
    for message in world.messages:
        if message.campaign != JUDGED:
            forgotten[message.campaign][message.status.value] += 1
    oldest = min(person.registered_at for person in world.people)
    return {
        "contacts": [_contact(person) for person in world.people],
        "lists": [
            {"id": mailjet_ids[number], "name": name, "created_at": _wire(oldest)}
            for number, name in LIST_NAMES.items()
        ],
        "memberships": [_membership(each, mailjet_ids=mailjet_ids) for each in world.memberships],
        "drafts": [_draft(send, mailjet_ids=mailjet_ids) for send in world.sends],
        "campaigns": [
            _campaign(send, mailjet_ids=mailjet_ids, forgotten=forgotten[send.id])
            for send in world.sends
            if send.ends_at
        ],
        "messages": _messages(world),
    }


def _wire(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _contact(person: Person) -> dict[str, Any]:
    return {
        "id": person.id,
        "email": person.email,
        "name": person.name,
        "created_at": _wire(person.registered_at),
        "excluded": person.part is Part.EXCLUDED,
        "excluded_at": _wire(person.barred_at) if person.part is Part.EXCLUDED else None,
        "complained": person.part is Part.COMPLAINED,
    }


def _membership(membership: Membership, *, mailjet_ids: Mapping[int, int]) -> dict[str, Any]:
    return {
        "id": _FIRST_MEMBERSHIP_ID + membership.id,
        "contact_id": membership.person.id,
        "list_id": mailjet_ids[membership.list],
        "subscribed_at": _wire(membership.since),
        "unsubscribed": membership.unsubscribed,
        "unsubscribed_at": _wire(membership.person.barred_at) if membership.unsubscribed else None,
    }


def _draft(send: Send, *, mailjet_ids: Mapping[int, int]) -> dict[str, Any]:
    is_sent = send.ends_at is not None
    return {
        "id": send.draft_id,
        "title": f"{send.subject}, round {send.round}",
        "subject": send.subject,
        "list_id": mailjet_ids[send.list],
        "status": _DRAFT_SENT if is_sent else _DRAFT_SCHEDULED,
        "created_at": _wire(send.drafted_at),
        "scheduled_at": _wire(send.starts_at),
        "delivered_at": _wire(send.starts_at) if is_sent else None,
    }


def _campaign(send: Send, *, mailjet_ids: Mapping[int, int], forgotten: Counter[str]) -> dict[str, Any]:
    return {
        "id": send.mailjet_id,
        "draft_id": send.draft_id,
        "list_id": mailjet_ids[send.list],
        "subject": send.subject,
        "send_start_at": _wire(send.starts_at),
        "send_end_at": _wire(send.ends_at),
        "forgotten": json.dumps(forgotten),
    }


def _messages(world: World) -> list[dict[str, Any]]:
    campaigns = {send.id: send.mailjet_id for send in world.sends}
    return [_message(each, campaigns[each.campaign]) for each in world.messages if each.campaign == JUDGED]


def _message(message: Message, campaign_id: int | None) -> dict[str, Any]:
    return {
        "id": message.id,
        "campaign_id": campaign_id,
        "contact_id": message.person.id,
        "status": message.status.value,
        "state_id": message.state,
        "state_permanent": message.permanent,
        "arrived_at": _wire(message.sent_at),
        "comment": message.text,
    }
