"""What is remembered of lists, under which key, and what makes it forgotten.

| key                   | what                           | counted or asked anew when                       |
| --------------------- | ------------------------------ | ------------------------------------------------ |
| list:state:STATE      | the lists at a glance          | contacts, memberships, suppressions, holds change |
| list:ID:members:STATE | members as Mailjet counts them | the list's memberships here change               |

and each after `CACHE_TTL_SECONDS`. STATE names the state that those tables are in (`ListChange.states`). It
is read first, so figures are never older than the name they are kept under; whatever commits meanwhile gives
the next reader another name. So nothing has to be deleted, no writer has to think of it, and none can come
too late.

Pages alone read this. Whatever decides reads PostgreSQL and Mailjet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from django.db.models import Q
from pydantic import TypeAdapter, ValidationError

from integrations.cache import Cache
from integrations.mailjet import Mailjet
from listmanagement.models import ContactList, ListChange
from listmanagement.models.changes import States
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.glance import overview
from listmanagement.workflows.glance.overview import AtMailjet, Overview

Value = TypeVar("Value")

STATE = "list:state"
EVERYTHING = "list:*"

FAILED_FOR = 60
"""Seconds for which a page does not ask Mailjet again after it could not be asked."""

CHANGES_KEPT = timedelta(hours=6)
"""How long it is kept that something changed: for longer than any transaction lasts."""

_STATES = TypeAdapter(Overview)
_COUNTS = TypeAdapter(AtMailjet)


def of_lists(*, states: States, cache: Cache, now: datetime) -> Overview:
    """The lists at a glance, as counted at most an hour ago and not changed since."""
    [found] = _aside(
        {0: f"{STATE}:{states.everything()}"},
        lambda missing: {each: overview.count(now=now) for each in missing},
        cache=cache,
        of=_STATES,
    ).values()
    return found


def at_mailjet(
    lists: Sequence[ContactList],
    *,
    states: States,
    cache: Cache,
    connect: Callable[[], Mailjet],
    now: datetime,
) -> dict[int, AtMailjet]:
    """Members of each list as Mailjet counted them at most an hour ago, by our id. Asks about the others."""
    known = {each.pk: each for each in lists}

    def ask(missing: Sequence[int]) -> dict[int, AtMailjet]:
        with connect() as mailjet:
            return overview.ask([known[pk] for pk in missing], mailjet=mailjet, now=now)

    return _aside(
        {pk: f"{_of(each)}:members:{states.members(pk)}" for pk, each in known.items()},
        ask,
        cache=cache,
        of=_COUNTS,
        seconds=lambda count: FAILED_FOR if count.why else None,
    )


def _of(contact_list: ContactList) -> str:
    return f"list:{contact_list.mailjet_id}"


# --- Cache-aside -----------------------------------------------------------------------------------------


def _for_long(value: object) -> None:
    """As long as everything."""


def _aside(
    keys: Mapping[int, str],
    load: Callable[[Sequence[int]], Mapping[int, Value]],
    *,
    cache: Cache,
    of: TypeAdapter[Value],
    seconds: Callable[[Value], int | None] = _for_long,
) -> dict[int, Value]:
    """What is remembered under these keys; the rest is loaded, and remembered for the next reader."""
    found = dict(_readable(keys, cache.get(*keys.values()), of=of))
    missing = [name for name in keys if name not in found]
    if missing:
        loaded = load(missing)
        for name, value in loaded.items():
            cache.set({keys[name]: of.dump_python(value, mode="json")}, seconds=seconds(value))
        found.update(loaded)
    return found


def _readable(
    keys: Mapping[int, str], known: Mapping[str, object], *, of: TypeAdapter[Value]
) -> Iterator[tuple[int, Value]]:
    """What has the shape that this release knows: anybody may have written it, an earlier release too."""
    for name, key in keys.items():
        if key in known:
            with suppress(ValidationError):
                yield name, of.validate_python(known[key])


# --- Forgetting ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cleared:
    """What was forgotten, and of which list; of all where it names none."""

    entries: int
    list_id: int | None
    name: str | None


def clear(named: str | None, *, cache: Cache) -> Cleared:
    """Forget all, or what shows the list of this Mailjet id or name. Raises NotAllowed where it cannot."""
    contact_list = None if named is None else _named(named)
    patterns = [EVERYTHING] if contact_list is None else [f"{_of(contact_list)}:*", f"{STATE}:*"]
    entries = cache.delete(*patterns)
    if entries is None:
        raise NotAllowed(
            "Redis does not answer, so nothing was cleared. What it remembers ends by itself "
            "(CACHE_TTL_SECONDS), and nothing is decided by it: try again when Redis is back"
        )
    if contact_list is None:
        return Cleared(entries, None, None)
    return Cleared(entries, contact_list.mailjet_id, contact_list.name)


def _named(named: str) -> ContactList:
    by_id = Q(mailjet_id=int(named)) if named.isdecimal() else Q(pk__in=())
    found = list(ContactList.objects.filter(by_id | Q(name__iexact=named)))
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{each.mailjet_id} ({each.name})" for each in ContactList.objects.order_by("pk"))
    which = "several lists are" if found else "no list here is"
    raise NotAllowed(f"{which} called {named!r}; known are {known or 'none yet'}. Nothing was cleared")


def forget_changes(*, now: datetime) -> None:
    """Forget what changed long ago. What is remembered under a name with it is counted once more."""
    ListChange.objects.filter(at__lt=now - CHANGES_KEPT).forget()
