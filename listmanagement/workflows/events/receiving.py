"""Stores what a webhook was told: everything, as it came, once, in one statement.

Whatever it is, it is kept: nothing that Mailjet sends again and again would become better by an error.
What it means is found out afterwards (`processing`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any

from django.db import connection
from pydantic_core import from_json, to_json

from listmanagement.models import ToldKind

LARGEST = 5_000_000
"""Bytes. A group is one second's events; a larger body is none of Mailjet's."""
KEPT_OF_NONSENSE = 65_536
"""Bytes of a body that is no JSON, or too large."""

_IDENTITY = ("MessageID", "event", "time", "email", "url")  # a delivery that is repeated repeats these
_WORDS = {kind.value: kind.value for kind in ToldKind} | {
    kind.value: ToldKind.OTHER.value for kind in (ToldKind.OTHER, ToldKind.UNREADABLE, ToldKind.TOO_LARGE)
}

_BETWEEN = chr(30)
"""Stands between events on their way to PostgreSQL: quoting an array's elements one by one would take longer
than all the rest. JSON escapes it, so that no event has one."""

_STORE = """
insert into listmanagement_webhookevent (identity, kind, body, received_at, status)
select identity::uuid, kind, coalesce(body, ''), %s, 'new'  -- of one empty text an empty array is made
  from unnest(string_to_array(%s, chr(30)), string_to_array(%s, chr(30)), string_to_array(%s, chr(30)))
       as told (identity, kind, body)
    on conflict (identity) do nothing
"""

_Told = tuple[str, str, str]
"""An event's identity, kind and text. Sorted, so that nobody waits for somebody who waits for them."""


def store(body: bytes, *, now: datetime) -> None:
    """Keep the events of a request's body. One that is longer than LARGEST may be cut off after that."""
    told = sorted(_too_large(body) if len(body) > LARGEST else _events(body))
    if told:
        columns = [_BETWEEN.join(column) for column in zip(*told, strict=True)]
        with connection.cursor() as cursor:
            cursor.execute(_STORE, [now, *columns])


def _events(body: bytes) -> Iterator[_Told]:
    try:
        told = _parsed(body)
    except (ValueError, RecursionError):
        yield _nonsense(ToldKind.UNREADABLE, body)
        return
    for each in told if isinstance(told, list) else [told]:
        yield _event(each)


def _parsed(body: bytes) -> Any:
    """The quick parser refuses a few things that the other one takes: half of a surrogate pair, say."""
    try:
        return from_json(body)
    except ValueError:
        return json.loads(body)


def _event(told: object) -> _Told:
    text = _text(told)
    if not isinstance(told, Mapping):
        return _digest("whole", text), ToldKind.UNREADABLE.value, text
    word = told.get("event")
    kind = _WORDS.get(word.lower(), ToldKind.OTHER.value) if isinstance(word, str) else ToldKind.OTHER.value
    parts = [str(told.get(name, "")) for name in _IDENTITY]
    if not {"", "0", "None"}.isdisjoint(parts[:3]):  # no message, event or time: all of it makes it the same
        return _digest("whole", text), kind, text
    return _digest("event", *parts), kind, text


def _text(told: object) -> str:
    try:
        return to_json(told).decode().replace("\x00", "")
    except ValueError:  # half of a surrogate pair
        return json.dumps(told)


def _too_large(body: bytes) -> Iterator[_Told]:
    yield _nonsense(ToldKind.TOO_LARGE, body)


_UNSTORABLE = {0: "\N{REPLACEMENT CHARACTER}", ord(_BETWEEN): "\N{REPLACEMENT CHARACTER}"}


def _nonsense(kind: ToldKind, body: bytes) -> _Told:
    text = body[:KEPT_OF_NONSENSE].decode(errors="replace").translate(_UNSTORABLE)
    return _digest("whole", text), kind.value, text


def _digest(*parts: str) -> str:
    joined = "\x1f".join(parts).encode(errors="surrogatepass")
    return blake2b(joined, digest_size=16).hexdigest()
