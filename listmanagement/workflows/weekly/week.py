"""What a weekly check counts: each list and everybody, set by set, from what is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from typing import Any

from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery

from agents.weekly_report import Outcomes
from listmanagement.domain import weekly
from listmanagement.domain.bounces import Outcome
from listmanagement.models import (
    CampaignKind,
    CampaignRecipient,
    Change,
    Contact,
    ContactList,
    ContactListMembership,
    ContactSuppressionHistory,
    DecisionItem,
    DecisionStatus,
    Hold,
    Role,
)

RATES_OVER = timedelta(days=28)
"""The campaigns that rates count: of three lists each was sent to about once or twice in that time."""

NOTHING = Outcomes(delivered=0, bounced=0, hard=0, not_attempted=0, complained=0, opted_out=0)

ByList = Mapping[int, int]


@dataclass(frozen=True)
class ListCounts:
    """One list in figures, contacts unless said otherwise."""

    members: int
    blocked: int
    suppressed: int
    joined: int
    left: int
    recent: Outcomes

    def columns(self) -> dict[str, int]:
        """As they are stored."""
        counts = {
            name: getattr(self, name) for name in ("members", "blocked", "suppressed", "joined", "left")
        }
        return {**counts, **{f"recent_{name}": count for name, count in self.recent.model_dump().items()}}


def of_lists(*, at: datetime) -> dict[int, ListCounts]:
    """Each campaign list, by our id, in the rotation's order."""
    on_lists = ContactListMembership.objects.filter(list__role=Role.CAMPAIGN)
    sized = ContactListMembership.objects.sized().filter(list__role=Role.CAMPAIGN)
    came_from = ContactSuppressionHistory.objects.standing().filter(removed_from__role=Role.CAMPAIGN)
    since = at - weekly.A_WEEK
    members = _by(on_lists.current(), "list")
    blocked = _by(sized.filter(contact__blocked_since__isnull=False), "list")
    suppressed = _by(came_from, "removed_from")
    joined = _by(on_lists.filter(since__gt=since).exclude(began_by=Change.FIRST_SIGHT), "list")
    left = _by(on_lists.filter(until__gt=since), "list")
    recent = outcomes(after=at - RATES_OVER, until=at)
    return {
        pk: ListCounts(
            members=members.get(pk, 0),
            blocked=blocked.get(pk, 0),
            suppressed=suppressed.get(pk, 0),
            joined=joined.get(pk, 0),
            left=left.get(pk, 0),
            recent=recent.get(pk, NOTHING),
        )
        for pk in ContactList.objects.rotation().values_list("pk", flat=True)
    }


def outcomes(*, after: datetime, until: datetime) -> dict[int, Outcomes]:
    """By our list id, how the messages of the campaigns of that time ended. Tests are not counted.

    A complaint counts once a contact; an opt-out belongs to the list whose message of that time came last
    before it. Who answered an older message is in no rate: the others to whom it went are not, either.
    """
    sent = _sent(after=after, until=until)
    bounced = Q(outcome=Outcome.BOUNCED)
    counted: dict[str, Any] = {
        "delivered": Count("pk", filter=Q(outcome=Outcome.DELIVERED)),
        "bounced": Count("pk", filter=bounced),
        "hard": Count("pk", filter=bounced & Q(bounce__permanent=True)),
        "not_attempted": Count("pk", filter=Q(outcome=Outcome.NOT_ATTEMPTED)),
        "complained": Count("contact", filter=Q(outcome=Outcome.COMPLAINED), distinct=True),
    }
    opted_out = _opted_out(sent, after=after, until=until)
    rows: Iterable[Mapping[str, Any]] = sent.values("campaign__list").annotate(**counted)
    return {
        row["campaign__list"]: Outcomes(
            **{name: row[name] for name in counted}, opted_out=opted_out.get(row["campaign__list"], 0)
        )
        for row in rows
    }


def _sent(*, after: datetime, until: datetime) -> QuerySet[CampaignRecipient]:
    return CampaignRecipient.objects.filter(
        campaign__list__role=Role.CAMPAIGN, campaign__started_at__gt=after, campaign__started_at__lte=until
    ).exclude(campaign__kind=CampaignKind.TEST)


def _opted_out(sent: QuerySet[CampaignRecipient], *, after: datetime, until: datetime) -> ByList:
    theirs = sent.filter(contact=OuterRef("pk"), sent_at__lte=OuterRef("opted_out_at"))
    latest = Subquery(theirs.order_by("-sent_at", "-pk").values("campaign__list")[:1])
    said = Contact.objects.filter(opted_out_at__gt=after, opted_out_at__lte=until).annotate(told_by=latest)
    return _by(said.filter(told_by__isnull=False), "told_by")


def together(each: Iterable[Outcomes]) -> Outcomes | None:
    """All lists' outcomes; None where there was no campaign."""
    found = list(each)
    return reduce(_added, found) if found else None


def _added(one: Outcomes, other: Outcomes) -> Outcomes:
    second = other.model_dump()
    return Outcomes(**{name: count + second[name] for name, count in one.model_dump().items()})


def of_everybody() -> dict[str, int]:
    """Who is registered, suppressed, held and in the backlog; as the check stores them."""
    holds = Hold.objects.standing()
    held = Q(contact__in=holds.filter(contact__isnull=False).values("contact"))
    held |= Q(contact__domain__in=holds.exclude(host="").values("host"))
    registered = ContactListMembership.objects.current().filter(list__role=Role.MASTER)
    return {
        "registered": registered.count(),
        "suppressed": ContactSuppressionHistory.objects.standing().count(),
        "held": ContactListMembership.objects.sized()
        .filter(held, list__role=Role.CAMPAIGN)
        .values("contact")
        .distinct()
        .count(),
        "backlog": Contact.objects.backlog().count(),
    }


def waiting() -> int:
    """Contacts concerned by decisions that stand in the queue."""
    items = DecisionItem.objects.filter(decision__status=DecisionStatus.OPEN)
    return items.values("contact").distinct().count()


def _by(rows: QuerySet[Any], column: str) -> ByList:
    counted = rows.order_by().values(key=F(column)).annotate(n=Count("pk"))
    return {row["key"]: row["n"] for row in counted}
