"""Observations become rows, in the same few statements however many there are.

The batch's campaigns are locked first, so that of two who write about one campaign the second sees what
the first wrote. Then what is known of the messages is read, domain/standing.py says how each stands now,
and only those that changed are written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import connection

from listmanagement.domain.bounces import Outcome
from listmanagement.domain.standing import FAILED, Failure, Standing, Told, stands
from listmanagement.workflows.evidence import blocks, consent, life, memory, people
from listmanagement.workflows.evidence.observing import Observed


def keep(observed: Sequence[Observed], *, now: datetime) -> None:
    """Keep what was observed. Inside the caller's transaction; doing it again changes nothing."""
    of_campaigns = [each for each in observed if each.campaign_id is not None and each.message_id is not None]
    campaigns = _lock_campaigns({each.campaign_id for each in of_campaigns if each.campaign_id is not None})
    people.keep_unknown(observed, now=now)
    known = _read([each.message_id for each in of_campaigns if each.message_id is not None])
    changed = _changed(of_campaigns, known=known, campaigns=campaigns, now=now)
    _write_messages(changed)
    _write_evidence(changed)
    _note_blocks(changed)
    consent.keep(observed, now=now)
    clicked = [each.message_id for each in of_campaigns if each.clicks and each.message_id is not None]
    life.judge_clicks({*clicked, *(row.message_id for row in changed)})


def _lock_campaigns(campaign_ids: Iterable[int]) -> Mapping[int, datetime | None]:
    """Who writes about a campaign's messages does it alone. Returns when each campaign began.

    Always in the same order, so that nobody waits for somebody who waits for them.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "select id, started_at from listmanagement_campaignschedule"
            " where id = any(%s) order by id for no key update",
            [sorted(campaign_ids)],
        )
        return dict(cursor.fetchall())


# --- A message's row -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    """A message as it is kept."""

    message_id: int
    campaign_id: int
    contact_id: int
    sent_at: datetime
    told: Told
    standing: Standing

    @property
    def failed_at(self) -> datetime:
        """When the failure came about; where no event said so, when the message was sent."""
        assert self.standing.evidence is not None
        return self.standing.evidence.at or self.sent_at

    @property
    def outcome_at(self) -> datetime:
        """When its outcome came about, likewise."""
        if self.standing.outcome in FAILED:
            return self.failed_at
        return (self.standing.outcome is Outcome.DELIVERED and self.told.delivered_at) or self.sent_at


_READ = """
select message.message_id, message.campaign_id, message.contact_id, message.sent_at, message.outcome,
       message.outcome_at, message.delivered_at, campaign.recipients_fetched_at, bounce.told, bounce.state,
       bounce.permanent, bounce.attempted, bounce.at, bounce.server_text, bounce.earlier
  from listmanagement_campaignrecipient message
  join listmanagement_campaignschedule campaign on campaign.id = message.campaign_id
  left join listmanagement_bounce bounce on bounce.recipient_id = message.id
 where message.message_id = any(%s)
"""


def _read(message_ids: list[int]) -> dict[int, _Row]:
    with connection.cursor() as cursor:
        cursor.execute(_READ, [message_ids])
        names = [column.name for column in cursor.description or ()]
        return {row[0]: _row(dict(zip(names, row, strict=True))) for row in cursor.fetchall()}


def _row(kept: Mapping[str, Any]) -> _Row:
    """With the last reading of the whole campaign, which found it as it stands."""
    told, fetched_at = memory.read(kept), kept["recipients_fetched_at"]
    told = told if fetched_at is None else told.confirmed(as_of=fetched_at)
    return _Row(
        message_id=kept["message_id"],
        campaign_id=kept["campaign_id"],
        contact_id=kept["contact_id"],
        sent_at=kept["sent_at"],
        told=told,
        standing=stands(told),
    )


def _changed(
    observed: Iterable[Observed],
    *,
    known: Mapping[int, _Row],
    campaigns: Mapping[int, datetime | None],
    now: datetime,
) -> list[_Row]:
    """The rows as they are after this, those that are new or differ. Always in the same order."""
    rows: dict[int, _Row] = {}
    for each in observed:
        assert each.message_id is not None
        assert each.campaign_id is not None
        row = rows.get(each.message_id) or _before(each, known=known, campaigns=campaigns, now=now)
        rows[each.message_id] = _after(row, each)
    return [row for key, row in sorted(rows.items()) if key not in known or row is not known[key]]


def _before(
    observed: Observed, *, known: Mapping[int, _Row], campaigns: Mapping[int, datetime | None], now: datetime
) -> _Row:
    """The message's row as it was, or a new one."""
    assert observed.message_id is not None
    assert observed.campaign_id is not None
    assert observed.contact_id is not None, "of whose message it is, the caller made sure"
    return known.get(observed.message_id) or _Row(
        message_id=observed.message_id,
        campaign_id=observed.campaign_id,
        contact_id=observed.contact_id,
        sent_at=campaigns[observed.campaign_id] or now,
        told=Told(),
        standing=stands(Told()),
    )


def _after(row: _Row, observed: Observed) -> _Row:
    """The row with what was observed; the very same where that is no news."""
    sent_at = observed.sent_at or row.sent_at
    if observed.repeats and row.standing.is_as(observed.seen):
        return row if sent_at == row.sent_at else replace(row, sent_at=sent_at)
    told = row.told.and_(observed.seen)
    if told == row.told and sent_at == row.sent_at:
        return row
    return replace(row, sent_at=sent_at, told=told, standing=stands(told))


# --- Writing ---------------------------------------------------------------------------------------------

_WRITE_MESSAGES = """
insert into listmanagement_campaignrecipient
       (message_id, campaign_id, contact_id, outcome, bounce_class, sent_at, outcome_at, delivered_at)
select message_id, campaign_id, contact_id, outcome, bounce_class, sent_at, outcome_at, delivered_at
  from json_to_recordset(%s::json) as told (
       message_id bigint, campaign_id bigint, contact_id bigint, outcome text, bounce_class text,
       sent_at timestamptz, outcome_at timestamptz, delivered_at timestamptz)
    on conflict (message_id) do update
   set (outcome, bounce_class, sent_at, outcome_at, delivered_at) = (
       excluded.outcome, excluded.bounce_class, excluded.sent_at, excluded.outcome_at, excluded.delivered_at)
"""


def _write_messages(rows: Sequence[_Row]) -> None:
    _write(
        _WRITE_MESSAGES,
        [
            {
                "message_id": row.message_id,
                "campaign_id": row.campaign_id,
                "contact_id": row.contact_id,
                "outcome": row.standing.outcome,
                "bounce_class": row.standing.bounce_class or "",
                "sent_at": row.sent_at,
                "outcome_at": row.outcome_at,
                "delivered_at": row.told.delivered_at,
            }
            for row in rows
        ],
    )


def _note_blocks(rows: Sequence[_Row]) -> None:
    if rows:
        refused = {row.contact_id for row in rows if row.standing.outcome is Outcome.NOT_ATTEMPTED}
        blocks.note(refused=refused, told={row.contact_id for row in rows})


_WRITE_EVIDENCE = """
insert into listmanagement_bounce
       (recipient_id, state, permanent, attempted, at, server_text, earlier, told)
select message.id, told.state, told.permanent, told.attempted, told.at, told.server_text, told.earlier,
       told.told
  from json_to_recordset(%s::json) as told (
       message_id bigint, state smallint, permanent boolean, attempted boolean, at timestamptz,
       server_text text, earlier jsonb, told jsonb)
  join listmanagement_campaignrecipient message using (message_id)
    on conflict (recipient_id) do update
   set (state, permanent, attempted, at, server_text, earlier, told) = (
       excluded.state, excluded.permanent, excluded.attempted, excluded.at, excluded.server_text,
       excluded.earlier, excluded.told)
"""


def _write_evidence(rows: Sequence[_Row]) -> None:
    _write(_WRITE_EVIDENCE, [_evidence(row, failed) for row in rows if (failed := row.standing.evidence)])


def _evidence(row: _Row, failed: Failure) -> dict[str, Any]:
    return {
        "message_id": row.message_id,
        "state": failed.state,
        "permanent": failed.permanent,
        "attempted": failed.attempted,
        "at": row.failed_at,
        "server_text": failed.text,
        "earlier": memory.earlier(row.standing),
        "told": memory.written(row.told),
    }


def _write(statement: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(statement, [json.dumps(rows, default=str)])
