"""A day's decisions: what was judged, by whom and how surely, and what became of it since."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db.models import Count, Exists, OuterRef
from django.urls import reverse

from listmanagement.admin import queue, show
from listmanagement.domain.autonomy import LIMITS
from listmanagement.domain.bounces import Outcome
from listmanagement.models import (
    CampaignRecipient,
    ContactSuppressionHistory,
    Decision,
    DecisionGroup,
    DecisionItem,
    DecisionStatus,
    ItemAction,
    ItemStatus,
)
from listmanagement.workflows.record import watching

DELIVERED, LIFTED = "delivered to since", "lifted"


@dataclass(frozen=True, slots=True)
class GroupLine:
    """A group, and what became of its contacts."""

    title: str
    action: show.Chip
    confidence: str
    remarks: Sequence[show.Chip]
    became: str


@dataclass(frozen=True, slots=True)
class DecisionCard:
    """A decision of the day."""

    title: str
    url: str
    chips: Sequence[show.Chip]
    facts: Sequence[tuple[str, str]]
    groups: Sequence[GroupLine]


@dataclass(frozen=True, slots=True)
class DayPage:
    """Everything the template needs."""

    title: str
    mean: show.Chip
    sureness: Sequence[tuple[str, str]]
    """How many open verdicts of the day were how sure."""
    decisions: Sequence[DecisionCard]
    before: str
    after: str
    """Empty where that is still to come."""


def url_of(day: date) -> str:
    """The page of a day."""
    return reverse("admin:listmanagement_decision_day", args=[day.year, day.month, day.day])


def read(day: date, *, today: date) -> DayPage:
    """The day's decisions, in a number of queries that does not grow. Days are UTC."""
    decisions = list(
        queue.with_figures(Decision.objects.filter(created_at__date=day))
        .select_related("reviewed_by")
        .prefetch_related("groups")
        .order_by("created_at", "pk")
    )
    became = _became(day)
    return DayPage(
        title=f"Decisions of {day:%d %B %Y}".replace(" 0", " "),
        mean=_mean(day),
        sureness=_sureness(day),
        decisions=[_card(decision, became) for decision in decisions],
        before=url_of(day - timedelta(days=1)),
        after=url_of(day + timedelta(days=1)) if day < today else "",
    )


def _became(day: date) -> Mapping[int, Counter[str]]:
    """By group: how many contacts became what. Who was lifted or delivered to counts as that alone."""
    delivered = CampaignRecipient.objects.filter(
        contact=OuterRef("contact"),
        outcome=Outcome.DELIVERED,
        outcome_at__gt=OuterRef("decision__created_at"),
    )
    lifted = ContactSuppressionHistory.objects.filter(item=OuterRef("pk"), lifted_at__isnull=False)
    items = DecisionItem.objects.filter(decision__created_at__date=day).order_by()
    rows = (
        items.annotate(delivered=Exists(delivered), lifted=Exists(lifted))
        .values("group", "status", "delivered", "lifted")
        .annotate(n=Count("pk"))
    )
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for row in rows:
        found[row["group"]][_fate(row)] += row["n"]
    return found


def _fate(row: Mapping[str, Any]) -> str:
    if row["delivered"]:
        return DELIVERED
    return LIFTED if row["lifted"] else show.words(ItemStatus(row["status"]))


def _mean(day: date) -> show.Chip:
    found = watching.sureness_of(day)
    if found is None:
        return show.Chip("nothing was left to judge")
    words = f"mean confidence {found.mean:.2f} of {show.counted(found.verdicts, 'open verdict')}"
    return show.Chip(words, show.Tone.GOOD if found.is_enough else show.Tone.BAD)


def _sureness(day: date) -> Sequence[tuple[str, str]]:
    """By the lines that autonomy draws."""
    found = watching.judged_on(day).values_list("confidence", flat=True)
    low, high = LIMITS.default_choice_from, LIMITS.execute_above
    counted = Counter("low" if sure < low else "high" if sure > high else "middle" for sure in found)
    if not counted:
        return []
    return [
        (f"Below {low:.2f}: decide afresh", f"{counted['low']:,}"),
        (f"{low:.2f} to {high:.2f}: reviewed", f"{counted['middle']:,}"),
        (f"Above {high:.2f}: sure enough to execute alone", f"{counted['high']:,}"),
    ]


def _card(decision: Decision, became: Mapping[int, Counter[str]]) -> DecisionCard:
    facts = [("Judged by", queue.judge_of(decision)), ("Confidence", f"{decision.confidence:.2f}")]
    if decision.reviewed_at is not None:
        facts.append(("Decided", f"by {decision.reviewed_by} on {show.when(decision.reviewed_at)}"))
    elif decision.status == DecisionStatus.OPEN:
        facts.append(("Decide before", show.when(decision.deadline)))
    if decision.note:
        facts.append(("Note", decision.note))
    return DecisionCard(
        title=decision.title,
        url=decision.get_absolute_url(),
        chips=[show.chip(decision.status), show.chip(decision.kind)],
        facts=facts,
        groups=[_line(group, became.get(group.pk, Counter())) for group in decision.groups.all()],
    )


def _line(group: DecisionGroup, became: Mapping[str, int]) -> GroupLine:
    remarks = (
        (group.disagreement, show.Chip("model and rules disagree", show.Tone.WAITING)),
        (group.contradiction, show.Chip("list health contradicts", show.Tone.WAITING)),
        (group.sampled_share is not None, show.Chip("random sample", show.Tone.INFO)),
        (DELIVERED in became, show.Chip("some were alive", _tone_of_life(group))),
    )
    return GroupLine(
        title=group.title,
        action=show.chip(group.action),
        confidence=f"{group.confidence:.2f}",
        remarks=[chip for is_so, chip in remarks if is_so],
        became=", ".join(f"{number:,} {fate}" for fate, number in sorted(became.items())) or show.NOTHING,
    )


def _tone_of_life(group: DecisionGroup) -> show.Tone:
    """Bad news of a suppression, good of a hold, which it proves right; of a move it says nothing."""
    tones = {ItemAction.SUPPRESS: show.Tone.BAD, ItemAction.HOLD: show.Tone.GOOD}
    return tones.get(ItemAction(group.action), show.Tone.CALM)
