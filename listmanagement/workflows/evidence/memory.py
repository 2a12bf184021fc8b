"""Everything that was told of a message, as its evidence keeps it in `Bounce.told`, and back.

A message that never failed has no evidence, and needs none: it was delivered, or it is open.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from listmanagement.domain.bounces import Outcome
from listmanagement.domain.standing import FAILED, Failure, Standing, Told
from listmanagement.models import Bounce

_INSTANT = timedelta(microseconds=1)


def written(told: Told) -> dict[str, Any]:
    """As JSON."""
    return {
        "delivered_as_of": _moment(told.delivered_as_of),
        "deliveries": [_moment(each) for each in told.deliveries],
        "failures": [
            {
                "outcome": failed.outcome.value,
                "state": failed.state,
                "permanent": failed.permanent,
                "first": _moment(failed.first),
                "last": _moment(failed.last),
                "at": _moment(failed.at),
                "text": failed.text,
                "text_at": _moment(failed.text_at),
            }
            for failed in told.failures
        ],
    }


def earlier(standing: Standing) -> list[dict[str, Any]]:
    """What was replaced, as people read it."""
    return [
        {"state": failed.state, "permanent": failed.permanent, "until": _moment(until)}
        for failed, until in standing.earlier
    ]


def read(kept: Mapping[str, Any]) -> Told:
    """What was told of a message: a row of `campaignrecipient` and its evidence's columns, where it has one.

    Evidence from before what was told was kept has its columns alone.
    """
    outcome, delivered_at = Outcome(kept["outcome"]), kept["delivered_at"]
    told = json.loads(kept["told"] or "{}")
    failures, as_of = _failures(kept, told), _read(told.get("delivered_as_of"))
    if outcome is Outcome.DELIVERED and as_of is None:
        as_of = max((failed.last + _INSTANT for failed in failures), default=delivered_at or kept["sent_at"])
    as_of = as_of or delivered_at
    told_of = [datetime.fromisoformat(each) for each in told.get("deliveries", ())]
    if as_of is not None and not told_of:  # a message that never failed, or one of before they were kept
        told_of = [as_of]
    return Told(failures, delivered_as_of=as_of, delivered_at=delivered_at, deliveries=tuple(told_of))


def of(evidence: Bounce) -> Told:
    """The same of a piece of evidence that is here already, and its message."""
    message = evidence.recipient
    columns = ("state", "permanent", "attempted", "at", "server_text")
    return read(
        {
            **{name: getattr(message, name) for name in ("outcome", "outcome_at", "sent_at", "delivered_at")},
            **{name: getattr(evidence, name) for name in columns},
            **{name: json.dumps(getattr(evidence, name)) for name in ("told", "earlier")},
        }
    )


def _failures(kept: Mapping[str, Any], told: Mapping[str, Any]) -> tuple[Failure, ...]:
    if told:
        return tuple(_failure(each) for each in told["failures"])
    if kept["told"] is not None:
        return _from_columns(kept)
    outcome = Outcome(kept["outcome"])
    return (_plain(outcome, None, False, since=kept["outcome_at"]),) if outcome in FAILED else ()


def _from_columns(kept: Mapping[str, Any]) -> tuple[Failure, ...]:
    """What stood before, until it was replaced, and what stands since."""
    tried = Outcome.BOUNCED if kept["attempted"] else Outcome.NOT_ATTEMPTED
    since, found = kept["at"], []
    for each in json.loads(kept["earlier"]):
        found.append(_plain(tried, each["state"], each["permanent"], since=since))
        since = datetime.fromisoformat(each["until"])
    outcome = Outcome(kept["outcome"])
    last = _plain(outcome if outcome in FAILED else tried, kept["state"], kept["permanent"], since=since)
    text = kept["server_text"]
    return (*found, replace(last, at=kept["at"], text=text, text_at=since if text else None))


def _plain(outcome: Outcome, state: int | None, permanent: bool, *, since: datetime) -> Failure:
    return Failure(outcome, state, permanent, first=since, last=since)


def _failure(kept: Mapping[str, Any]) -> Failure:
    first, last = datetime.fromisoformat(kept["first"]), datetime.fromisoformat(kept["last"])
    return Failure(
        outcome=Outcome(kept["outcome"]),
        state=kept["state"],
        permanent=kept["permanent"],
        first=first,
        last=last,
        at=_read(kept["at"]),
        text=kept["text"],
        text_at=_read(kept["text_at"]),
    )


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _read(moment: str | None) -> datetime | None:
    return None if moment is None else datetime.fromisoformat(moment)
