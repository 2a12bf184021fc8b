"""The lists at a glance, for people: counted here, and as Mailjet counts them. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count

from agents.weekly_report import Outcomes
from integrations.mailjet import Mailjet, MailjetError
from listmanagement.domain import balance
from listmanagement.models import ContactList, ContactListMembership, Role
from listmanagement.models.lists import MembershipQuerySet
from listmanagement.workflows.weekly import week


@dataclass(frozen=True)
class ListState:
    """One list as the mirror has it."""

    size: int
    """Mailable members."""
    members: int
    unsubscribed: int
    blocked: int = 0
    """Mailable members whom Mailjet itself refuses; of campaign lists, as what follows."""
    suppressed: int = 0
    """Who was on it when they were suppressed, and still is."""
    joined: int = 0
    """In the last seven days."""
    left: int = 0
    recent: Outcomes = week.NOTHING
    """What became of four weeks' messages."""


@dataclass(frozen=True)
class Overview:
    """All lists, by our id, and everybody."""

    counted_at: datetime
    lists: dict[int, ListState]
    deviation: float
    """The largest distance of a campaign list from their mean size, percent."""
    registered: int
    suppressed: int
    held: int
    backlog: int


def count(*, now: datetime) -> Overview:
    """Count it all: a fixed number of statements, some of which look at everybody."""
    known = {each.pk: each for each in ContactList.objects.order_by("role", "position")}
    sizes = _by_list(ContactListMembership.objects.sized())
    members = _by_list(ContactListMembership.objects.current())
    unsubscribed = _by_list(ContactListMembership.objects.current().filter(unsubscribed=True))
    more = week.of_lists(at=now)
    return Overview(
        counted_at=now,
        lists={
            pk: _state(
                more.get(pk),
                size=sizes.get(pk, 0),
                members=members.get(pk, 0),
                unsubscribed=unsubscribed.get(pk, 0),
            )
            for pk in known
        },
        deviation=balance.deviation(
            [sizes.get(pk, 0) for pk, each in known.items() if each.role == Role.CAMPAIGN]
        ),
        **week.of_everybody(),
    )


def _by_list(rows: MembershipQuerySet) -> dict[int, int]:
    return dict(rows.order_by().values_list("list").annotate(Count("pk")))


def _state(more: week.ListCounts | None, *, size: int, members: int, unsubscribed: int) -> ListState:
    if more is None:
        return ListState(size=size, members=members, unsubscribed=unsubscribed)
    return ListState(
        size=size,
        members=members,
        unsubscribed=unsubscribed,
        blocked=more.blocked,
        suppressed=more.suppressed,
        joined=more.joined,
        left=more.left,
        recent=more.recent,
    )


# --- At Mailjet ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AtMailjet:
    """How many members Mailjet counts on a list, and when it was asked."""

    members: int | None
    """None: it could not be asked, or does not know the list."""
    asked_at: datetime
    why: str = ""
    """Why it could not, in words."""


def ask(lists: Iterable[ContactList], *, mailjet: Mailjet, now: datetime) -> dict[int, AtMailjet]:
    """Ask about each list, a request each, by our id. After the first that fails nobody waits for another."""
    found: dict[int, AtMailjet] = {}
    why = ""
    for each in lists:
        try:
            members = None if why else mailjet.member_count(each.mailjet_id)
        except MailjetError as error:
            members, why = None, str(error)
        found[each.pk] = AtMailjet(members=members, asked_at=now, why=why)
    return found
