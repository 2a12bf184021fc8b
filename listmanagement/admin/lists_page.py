"""The lists' page: what is known of each and of all together, how old that is, and what Mailjet counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import (
    BigIntegerField,
    Case,
    DateTimeField,
    Field,
    FloatField,
    QuerySet,
    Value,
    When,
)

from listmanagement import outside
from listmanagement.admin import show
from listmanagement.models import ContactList, ListChange
from listmanagement.workflows.glance import list_cache
from listmanagement.workflows.glance.overview import AtMailjet, ListState, Overview


@dataclass(frozen=True, slots=True)
class ListsPage:
    """Everything the page shows."""

    overview: Overview
    at_mailjet: Mapping[int, AtMailjet]
    facts: Sequence[tuple[str, str]]
    age: str


def read(*, now: datetime) -> ListsPage:
    """The page, from what is remembered; the rest is counted, and asked of Mailjet if that is quick."""
    cache, states = outside.cache(), ListChange.objects.states()
    overview = list_cache.of_lists(states=states, cache=cache, now=now)
    lists = list(ContactList.objects.filter(is_deleted=False).order_by("role", "position"))
    connect = outside.impatient_mailjet
    at_mailjet = list_cache.at_mailjet(lists, states=states, cache=cache, connect=connect, now=now)
    return ListsPage(overview, at_mailjet, facts=_facts(overview), age=_age(overview, at_mailjet))


def _facts(overview: Overview) -> list[tuple[str, str]]:
    threshold = settings.LIST_BALANCE_THRESHOLD
    return [
        ("Deviation from the mean size", f"{overview.deviation:.2f} % (balanced below {threshold} %)"),
        ("Registered", f"{overview.registered:,}"),
        ("Backlog", f"{overview.backlog:,}"),
        ("Held", f"{overview.held:,}"),
        ("Suppressed", f"{overview.suppressed:,}"),
    ]


def _age(overview: Overview, at_mailjet: Mapping[int, AtMailjet]) -> str:
    """How old what is shown is. Who decides counts anew."""
    minutes = settings.CACHE_TTL_SECONDS // 60
    counted = (
        f"Counted {show.when(overview.counted_at)}; counted again when contacts, memberships, suppressions "
        f"or holds change, and after {minutes} minutes."
    )
    failures = [each.why for each in at_mailjet.values() if each.why]
    if failures:
        return f"{counted} Mailjet could not be asked for its counts: {failures[0]}."
    if not at_mailjet:
        return counted
    return f"{counted} Mailjet was asked {show.when(min(each.asked_at for each in at_mailjet.values()))}."


# --- Rows ------------------------------------------------------------------------------------------------


def with_figures(page: ListsPage) -> QuerySet[ContactList]:
    """The lists with their figures as columns, so that they can be sorted by."""
    figures: dict[str, tuple[Field[Any, Any], Mapping[int, object]]] = {
        name: (BigIntegerField(), {pk: getattr(each, name) for pk, each in page.overview.lists.items()})
        for name in ("size", "members", "unsubscribed", "blocked", "joined", "left")
    }
    figures["bounced"] = FloatField(), {pk: _bounced(each) for pk, each in page.overview.lists.items()}
    figures["at_mailjet"] = BigIntegerField(), {pk: each.members for pk, each in page.at_mailjet.items()}
    columns = {f"{name}_now": _column(kind, values) for name, (kind, values) in figures.items()}
    counted = Value(page.overview.counted_at, output_field=DateTimeField())
    return ContactList.objects.annotate(**columns, counted_now=counted).order_by("role", "position")


def _column(kind: Field[Any, Any], values: Mapping[int, object]) -> Case:
    """A figure by list; nothing for a list that came after it was counted."""
    known = [When(pk=pk, then=Value(value)) for pk, value in values.items() if value is not None]
    return Case(*known, default=None, output_field=kind)


def _bounced(each: ListState) -> float | None:
    attempted = each.recent.delivered + each.recent.bounced
    return each.recent.bounced / attempted if attempted else None
