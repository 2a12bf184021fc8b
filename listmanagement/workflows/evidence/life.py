"""Signs of life: clicks that people made, told from those of scanners by what events are stored."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from integrations.mailjet import EventUnusable, read_event
from listmanagement.domain.standing import Click, first_human_click

_READ = """
select event.message_id, event.body, coalesce(message.delivered_at, message.sent_at), message.first_life_at
  from listmanagement_webhookevent event
  join listmanagement_campaignrecipient message using (message_id)
 where event.kind = 'click' and event.message_id = any(%s)
"""
_WRITE = """
update listmanagement_campaignrecipient message set first_life_at = told.at
  from unnest(%s::bigint[], %s::timestamptz[]) as told (message_id, at)
 where message.message_id = told.message_id and message.first_life_at is distinct from told.at
"""


@dataclass(frozen=True, slots=True)
class _Message:
    delivered_at: datetime
    first_life_at: datetime | None


def judge_clicks(message_ids: Collection[int]) -> None:
    """Say anew since when somebody is known to read these messages, from all their clicks together.

    A click that looked human alone may be one of a burst. What was said by clicks that are no longer
    stored stays.
    """
    clicks: dict[int, list[Click]] = defaultdict(list)
    messages: dict[int, _Message] = {}
    with connection.cursor() as cursor:
        cursor.execute(_READ, [list(message_ids)])
        for message_id, body, delivered_at, first_life_at in cursor.fetchall():
            messages[message_id] = _Message(delivered_at, first_life_at)
            clicks[message_id] += _click(body)
        lives = {key: _life(messages[key], clicks[key]) for key in sorted(messages)}
        if lives:
            cursor.execute(_WRITE, [list(lives), list(lives.values())])


def _click(body: str) -> Sequence[Click]:
    try:
        event = read_event(json.loads(body))
    except EventUnusable:
        return ()
    return [Click(event.at, event.url)]


def _life(message: _Message, clicks: Sequence[Click]) -> datetime | None:
    known = message.first_life_at
    if known is not None and all(known < click.at for click in clicks):
        return known
    return first_human_click(clicks, delivered_at=message.delivered_at)
