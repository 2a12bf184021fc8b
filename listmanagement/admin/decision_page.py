"""What the page of a decision shows, computed whole, in a number of queries that does not grow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.paginator import Page as PageOfRows
from django.core.paginator import Paginator
from django.db.models import Count, F, Max, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.http import QueryDict
from django.urls import reverse

from listmanagement.admin import finding, opinions, show
from listmanagement.admin.opinions import NO_PAIRS, OfGroup, Opinions
from listmanagement.domain import balance, reconciliation
from listmanagement.domain.bounces import BounceClass, History, Outcome
from listmanagement.domain.reconciliation import MOST_ASKED, Drift
from listmanagement.domain.suppression import POLICY, Region
from listmanagement.models import (
    REVIEWED,
    Bounce,
    Decision,
    DecisionGroup,
    DecisionItem,
    DecisionKind,
    DecisionStatus,
    ItemAction,
    ItemStatus,
)
from listmanagement.workflows.by_people import review

EXAMPLES = 3
CONTACTS_PER_PAGE = 50

VERBS = {
    ItemAction.SUPPRESS: ("will be suppressed", "will be suppressed"),
    ItemAction.HOLD: ("stays held", "stay held"),
    ItemAction.PLACE: ("will be placed", "will be placed"),
    ItemAction.MOVE: ("will be moved", "will be moved"),
    ItemAction.UNSUBSCRIBE: ("will be unsubscribed", "will be unsubscribed"),
    ItemAction.COMPLAINT: ("will be suppressed", "will be suppressed"),
    ItemAction.TAKE_OFF: ("will be taken off a list", "will be taken off a list"),
    ItemAction.PUT_BACK: ("will be put back", "will be put back"),
    ItemAction.RESTORE: ("will be suppressed no more", "will be suppressed no more"),
    ItemAction.RELEASE: ("will be off its list again", "will be off their lists again"),
}

OF_ONE_LIST = (ItemAction.SUPPRESS, ItemAction.HOLD, ItemAction.UNSUBSCRIBE)

REGIONS = {
    Region.MUST: "the policy requires it",
    Region.MAY: "the policy leaves it open",
    Region.HOLD: "the policy asks to wait",
    Region.CONSENT: "their own wish",
}


# --- Which contacts are shown ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filter:
    """Which of a decision's contacts the page shows, as its URL says."""

    group: int | None = None
    contacts: tuple[int, ...] = ()
    taken_out: bool = False
    page: str = "1"

    @classmethod
    def read(cls, query: QueryDict) -> Filter:
        """From a URL. Raises BadRequest where an id is none."""
        given = [value for value in query.get("contacts", "").split(",") if value]
        group = [value for value in [query.get("group", "")] if value]
        return cls(
            group=next(iter(finding.ids(group)), None),
            contacts=tuple(finding.ids(given)),
            taken_out="taken_out" in query,
            page=query.get("page", "1"),
        )

    def rows(self, items: QuerySet[DecisionItem]) -> QuerySet[DecisionItem]:
        """The items it lets through."""
        if self.group is not None:
            items = items.filter(group=self.group)
        if self.contacts:
            items = items.filter(contact__in=self.contacts)
        if self.taken_out:
            items = items.filter(status=ItemStatus.TAKEN_OUT)
        return items

    def query(self, *, page: str = "1") -> dict[str, str]:
        """The URL's query that brings it back, on this page."""
        found = {}
        if self.group is not None:
            found["group"] = str(self.group)
        if self.contacts:
            found["contacts"] = ",".join(str(pk) for pk in self.contacts)
        if self.taken_out:
            found["taken_out"] = "1"
        if page != "1":
            found["page"] = page
        return found


def url_of(decision_id: int, *, filter: Filter | None = None, page: str = "1", fragment: str = "") -> str:
    """The decision's page, showing these contacts."""
    return reverse(
        "admin:listmanagement_decision_change",
        args=[decision_id],
        query=(filter.query(page=page) if filter else None) or None,
        fragment=fragment or None,
    )


# --- What the verbs are called ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verbs:
    """What approving, rejecting and taking out are called on a decision's page."""

    approve: str = "Approve"
    reject: str = "Reject"
    why_not: str = "Why not"
    why_not_hint: str = "the judgement learns from it"
    take_group_out: str = "Take the group out"
    take_out: str = "Take out"
    put_back: str = "Put back"
    taken_out: str = "taken out"
    unsure: str = "Nobody is sure enough of this to suggest an answer: decide afresh."
    examples: str = "Whom it would hurt most"


OF_RECONCILIATION = Verbs(
    approve="Put it back",
    reject="Accept what people changed",
    why_not="Why it stays",
    why_not_hint="kept with any suppression that is lifted",
    take_group_out="Accept this group as it is",
    take_out="Accept as it is",
    put_back="Ask again",
    taken_out="accepted as it is",
    unsure="Whoever changed it may have had a reason: nobody suggests an answer.",
    examples="Some of them",
)


OF_A_WAY_BACK = Verbs(
    approve="Put them back",
    reject="Leave them suppressed",
    why_not="Why they stay",
    why_not_hint="nobody is asked about them again",
    take_group_out="Leave this group suppressed",
    take_out="Leave suppressed",
    put_back="Ask again",
    taken_out="left suppressed",
    unsure="Only a message shows whether a mailbox has room again: nobody suggests an answer.",
    examples="Some of them",
)


def _verbs(decision: Decision) -> Verbs:
    kinds = {DecisionKind.RECONCILIATION: OF_RECONCILIATION, DecisionKind.WAY_BACK: OF_A_WAY_BACK}
    return kinds.get(DecisionKind(decision.kind), Verbs())


# --- What is shown ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Example:
    """A contact who would be hurt if the group were wrong."""

    url: str
    address: str
    past: str
    server_text: str


@dataclass(frozen=True, slots=True)
class Group:
    """Contacts that stand or fall together."""

    pk: int
    title: str
    action: show.Chip
    region: str
    contacts: int
    number: str
    share: str
    of: str
    confidence: str
    risk: show.Chip
    why: str
    rationale: str
    judge: str
    opinions: OfGroup
    reasons: Sequence[str]
    examples: Sequence[Example]
    meanings: Sequence[tuple[str, str]]
    proposed: int
    taken_out: int
    is_everything: bool
    url: str


@dataclass(frozen=True, slots=True)
class Line:
    """One contact of the decision."""

    contact: int
    url: str
    address: str
    action: show.Chip
    lists: str
    failure: str
    failed_at: str
    server_text: str
    evidence_url: str
    change: str
    status: show.Chip
    why: str
    can_tick: bool
    is_out: bool


@dataclass(frozen=True, slots=True)
class Size:
    """A list before and after."""

    name: str
    before: int
    after: int

    @property
    def was(self) -> str:
        """Before, as pages show it."""
        return f"{self.before:,}"

    @property
    def then(self) -> str:
        """After, as pages show it."""
        return f"{self.after:,}"

    @property
    def change(self) -> str:
        """With its sign."""
        return f"{self.after - self.before:+,}".replace("-", "−") if self.after != self.before else "±0"


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The lists, should everything that is still proposed be done."""

    sizes: Sequence[Size]
    deviation_before: str
    deviation_after: str


@dataclass(frozen=True, slots=True)
class DecisionPage:
    """Everything the template needs."""

    decision: Decision
    verbs: Verbs
    status: show.Chip
    kind: str
    judge: str
    confidence: str
    asked: str
    undecided: str
    outcome: str
    note: str
    done: Sequence[str]
    why_not: str | None
    approving: str
    opinions: Opinions
    groups: Sequence[Group]
    what_if: WhatIf | None
    lines: Sequence[Line]
    rows: PageOfRows[DecisionItem]
    pages: Sequence[tuple[str, str]]
    filter: Filter
    shown: str
    taken_out: int
    back: str
    everybody: str
    only_taken_out: str

    @property
    def can_decide(self) -> bool:
        """Exactly when the workflow would let this person."""
        return self.why_not is None


def read(decision: Decision, *, by: User, filter: Filter, now: datetime) -> DecisionPage:
    """The page of a decision for this person, now."""
    why_not = review.why_not(decision, by=by, now=now)
    tally = count(decision)
    said = opinions.read(decision)
    groups = _groups(decision, tally, said)
    items = decision.items.select_related(
        "contact", "source_list", "target_list", "evidence__recipient", "membership__list"
    ).order_by("position")
    paginator = Paginator(filter.rows(items), CONTACTS_PER_PAGE)
    rows = paginator.get_page(filter.page)
    return DecisionPage(
        decision=decision,
        verbs=_verbs(decision),
        status=show.chip(decision.status),
        kind=show.words(decision.kind),
        judge=_judge(decision, groups),
        confidence=f"{decision.confidence:.2f}",
        asked=show.when(decision.created_at),
        undecided=_undecided(decision, now=now),
        outcome=_outcome(decision),
        note=decision.note,
        done=_done(tally),
        why_not=why_not,
        approving=proposed_words(tally),
        opinions=said,
        groups=groups,
        what_if=_what_if(decision),
        lines=[_line(item, can_tick=why_not is None) for item in rows],
        rows=rows,
        pages=_pages(decision, filter, rows),
        filter=filter,
        shown=_shown(filter, groups, paginator.count),
        taken_out=_total(tally, status=ItemStatus.TAKEN_OUT),
        back=url_of(decision.pk, filter=filter, page=str(rows.number)).partition("?")[2],
        everybody=url_of(decision.pk, fragment="contacts"),
        only_taken_out=url_of(decision.pk, filter=Filter(taken_out=True), fragment="contacts"),
    )


# --- Counting --------------------------------------------------------------------------------------------

Tally = Mapping[tuple[int, str, str], int]
"""Contacts by group, action and status."""


def count(decision: Decision) -> Tally:
    """The decision's contacts, counted."""
    rows = decision.items.order_by().values("group", "action", "status").annotate(n=Count("pk"))
    return {(row["group"], row["action"], row["status"]): row["n"] for row in rows}


def _total(
    tally: Tally, *, status: ItemStatus, group: int | None = None, action: ItemAction | None = None
) -> int:
    return sum(
        number
        for (of_group, of_action, of_status), number in tally.items()
        if of_status == status and group in (None, of_group) and action in (None, of_action)
    )


def proposed_words(tally: Tally) -> str:
    """What saying yes does: "110 contacts will be suppressed, 126 stay held"."""
    counted = [(action, _total(tally, status=ItemStatus.PROPOSED, action=action)) for action in ItemAction]
    parts = [
        f"{show.counted(number, 'contact') if n == 0 else f'{number:,}'} {VERBS[action][number != 1]}"
        for n, (action, number) in enumerate((a, number) for a, number in counted if number)
    ]
    return ", ".join(parts) or "nothing is left to do"


def _done(tally: Tally) -> Sequence[str]:
    """What became of the contacts, where anything did."""
    became = (ItemStatus.EXECUTED, ItemStatus.TAKEN_OUT, ItemStatus.DROPPED, ItemStatus.FAILED)
    found = [(status, _total(tally, status=status)) for status in became]
    return [f"{number:,} {show.words(status)}" for status, number in found if number]


# --- Words about the decision ----------------------------------------------------------------------------


def _undecided(decision: Decision, *, now: datetime) -> str:
    """What happens if nobody decides."""
    if decision.status != DecisionStatus.OPEN or decision.deadline is None:
        return ""
    if decision.kind == DecisionKind.RECONCILIATION:
        then = f"what people changed stays, and is asked about {MOST_ASKED} times in all"
    elif decision.kind == DecisionKind.REBALANCING:
        then = "nobody is placed or moved, and the next run plans anew"
    elif decision.kind == DecisionKind.WAY_BACK:
        then = "they stay suppressed, and may be asked about again"
    else:
        then = "nobody is suppressed, holds go on, and the next run of the list judges afresh"
    return (
        f"If nobody decides before {show.when(decision.deadline)} ({show.left(decision.deadline, now=now)}), "
        f"it expires: {then}. The run goes on without it."
    )


def _outcome(decision: Decision) -> str:
    """What became of it, and who said so."""
    if decision.kind == DecisionKind.CONSENT:
        return "Made by the consent rule: it executes without a review, and no machine takes it back."
    if decision.status == DecisionStatus.REJECTED and decision.kind == DecisionKind.RECONCILIATION:
        said = f"Accepted by {decision.reviewed_by} on {show.when(decision.reviewed_at)}"
        return f"{said}: what people changed stays."
    if decision.status == DecisionStatus.CLEAR and decision.kind == DecisionKind.RECONCILIATION:
        return "It follows from what a person accepted: nobody stays in two places."
    if decision.status == DecisionStatus.EXPIRED and decision.kind == DecisionKind.WAY_BACK:
        return (
            "Nobody decided in time: it expired, and they stay suppressed until they are asked about again."
        )
    if decision.status == DecisionStatus.EXPIRED and decision.note:
        return f"{decision.note}."
    if decision.status in REVIEWED:
        verb, who = show.words(decision.status).capitalize(), decision.reviewed_by
        return f"{verb} by {who} on {show.when(decision.reviewed_at)}."
    return {
        DecisionStatus.EXPIRED: "Nobody decided in time: it expired, and the next run judges afresh.",
        DecisionStatus.OBSERVED: "Only observed: this is what would have been done. Nothing of it executes.",
        DecisionStatus.CLEAR: "Clear: the autonomy rule lets it execute by itself.",
        DecisionStatus.DRAFT: "Still being prepared: guards and autonomy rule have not looked at it yet.",
    }.get(DecisionStatus(decision.status), "")


def _judge(decision: Decision, groups: Sequence[Group]) -> str:
    found = list(dict.fromkeys(group.judge for group in groups if group.judge))
    return ", ".join(found) or _judged_by(decision, model="")


def _judged_by(decision: Decision, *, model: str) -> str:
    if decision.kind == DecisionKind.CONSENT:
        return show.CONSENT_RULE
    return show.judge(decision.source, model=model, has_key=bool(settings.GEMINI_API_KEY))


# --- Groups ----------------------------------------------------------------------------------------------


def _groups(decision: Decision, tally: Tally, said: Opinions) -> list[Group]:
    rows = list(decision.groups.select_related("call"))
    examples = {} if decision.kind == DecisionKind.CONSENT else _examples(decision)  # it hurts nobody
    everybody = _total(tally, status=ItemStatus.PROPOSED)
    shared = set.intersection(*(set(row.reasons) for row in rows)) if rows else set()
    return [
        Group(
            pk=row.pk,
            title=row.title,
            action=show.chip(row.action),
            region=REGIONS.get(Region(row.region), "") if row.region else "",
            contacts=row.contacts,
            number=f"{row.contacts:,}",
            share=show.percent(row.share),
            of="of its list" if row.action in OF_ONE_LIST else "of all members",
            confidence=f"{row.confidence:.2f}",
            risk=risk(row),
            why=row.why,
            rationale=row.rationale,
            judge=_judged_by(decision, model=row.call.model if row.call else ""),
            opinions=said.of_groups.get(row.pk, NO_PAIRS),
            reasons=[reason for reason in row.reasons if reason not in shared],
            examples=examples.get(row.pk, ()),
            meanings=_meanings(decision, row),
            proposed=_total(tally, status=ItemStatus.PROPOSED, group=row.pk),
            taken_out=_total(tally, status=ItemStatus.TAKEN_OUT, group=row.pk),
            is_everything=_total(tally, status=ItemStatus.PROPOSED, group=row.pk) == everybody,
            url=url_of(decision.pk, filter=Filter(group=row.pk), fragment="contacts"),
        )
        for row in rows
    ]


_RISKS = {
    History.NEVER_DELIVERED: show.Chip("low: nothing was ever delivered", show.Tone.GOOD),
    History.DELIVERED_BEFORE: show.Chip("medium: mail arrived before", show.Tone.WAITING),
    History.LATELY_ALIVE: show.Chip("high: a person clicked lately", show.Tone.BAD),
    History.PROTECTED: show.Chip("high: people protect them", show.Tone.BAD),
}


def risk(group: DecisionGroup) -> show.Chip:
    """How much it would hurt if the group were wrong. Who is held, placed or moved stays reachable."""
    if group.region == Region.CONSENT:
        return show.Chip("none: it is their own wish", show.Tone.GOOD)
    if group.action == ItemAction.HOLD:
        return show.Chip("low: nobody leaves a list", show.Tone.GOOD)
    if group.action == ItemAction.RESTORE:
        return show.Chip("low: who fails again is judged afresh", show.Tone.GOOD)
    if group.action in (ItemAction.PLACE, ItemAction.MOVE) or not group.history:
        return show.Chip("low: it can be undone", show.Tone.GOOD)
    return _RISKS[History(group.history)]


def _meanings(decision: Decision, group: DecisionGroup) -> Sequence[tuple[str, str]]:
    """What each answer means for a group of a reconciliation."""
    if decision.kind != DecisionKind.RECONCILIATION or group.key not in list(Drift):
        return ()
    words = reconciliation.WORDS[Drift(group.key)]
    return [("Put back, they are", words.put_back), ("Accepted, they are", words.accept)]


def _examples(decision: Decision) -> Mapping[int, Sequence[Example]]:
    """The contacts of each group who would be hurt most if it were wrong: clicked, or delivered to, last."""
    delivered = Q(contact__received__outcome=Outcome.DELIVERED)
    items = (
        decision.items.filter(status__in=[ItemStatus.PROPOSED, ItemStatus.EXECUTED])
        .order_by()
        .annotate(
            clicked=Max("contact__received__first_life_at"),
            delivered=Max("contact__received__outcome_at", filter=delivered),
            deliveries=Count("contact__received", filter=delivered),
        )
        .annotate(
            worst=Window(
                RowNumber(),
                partition_by=F("group"),
                order_by=[
                    F("clicked").desc(nulls_last=True),
                    F("delivered").desc(nulls_last=True),
                    F("deliveries").desc(),
                    F("position").asc(),
                ],
            )
        )
        .filter(worst__lte=EXAMPLES)
        .select_related("contact", "evidence", "membership__list")
        .order_by("group", "worst")
    )
    found: dict[int, list[Example]] = defaultdict(list)
    for item in items:
        found[item.group_id].append(
            Example(
                url=show.page_of(item.contact),
                address=item.contact.email or str(item.contact),
                past="; ".join(filter(None, [_change(item), _past(item)])),
                server_text=item.evidence.server_text if item.evidence else "",
            )
        )
    return found


def _past(item: Any) -> str:
    """What speaks against the item. It carries what `_examples` annotated."""
    parts = []
    if item.deliveries:
        parts.append(
            f"{show.counted(item.deliveries, 'message')} delivered, the last on {_day(item.delivered)}"
        )
    else:
        parts.append("nothing ever delivered")
    if item.clicked:
        parts.append(f"clicked on {_day(item.clicked)}")
    return "; ".join(parts)


def _change(item: DecisionItem) -> str:
    """What people did, where the item is about that."""
    membership = item.membership
    if membership is None:
        return ""
    if membership.until is not None:
        return f"off {membership.list.name} since {_day(membership.until)}"
    return f"on {membership.list.name} since {_day(membership.since)}"


def _day(at: datetime) -> str:
    return f"{at:%d %b %Y}".lstrip("0")


# --- What if ---------------------------------------------------------------------------------------------


def _what_if(decision: Decision) -> WhatIf | None:
    """What was computed with the decision, less the contacts that reviewers took out since."""
    if not decision.what_if.get("lists"):
        return None
    back = _sizes_taken_out(decision)
    sizes = [
        Size(row["name"], row["before"], row["after"] - back.get(row["name"], 0))
        for row in decision.what_if["lists"]
    ]
    return WhatIf(
        sizes=sizes,
        deviation_before=f"{decision.what_if['deviation_before']:.2f} %",
        deviation_after=f"{balance.deviation([size.after for size in sizes]):.2f} %",
    )


def _sizes_taken_out(decision: Decision) -> Mapping[str, int]:
    """By how much the taken out would have changed each list."""
    items = decision.items.filter(status=ItemStatus.TAKEN_OUT).exclude(action=ItemAction.HOLD).order_by()
    changed: dict[str, int] = defaultdict(int)
    for source, target in items.values_list("source_list__name", "target_list__name"):
        changed[source] -= 1
        changed[target] += 1
    return changed


# --- Contacts --------------------------------------------------------------------------------------------


def _line(item: DecisionItem, *, can_tick: bool) -> Line:
    evidence = item.evidence
    return Line(
        contact=item.contact_id,
        url=show.page_of(item.contact),
        address=item.contact.email or "no address any more",
        action=show.chip(item.action),
        lists=" → ".join(each.name for each in (item.source_list, item.target_list) if each is not None),
        failure=meaning(evidence) if evidence else "",
        failed_at=show.when(evidence.at) if evidence else "",
        server_text=evidence.server_text if evidence else "",
        evidence_url=show.page_of(evidence) if evidence else "",
        change=_change(item),
        status=show.chip(item.status),
        why=item.why,
        can_tick=can_tick and item.status in (ItemStatus.PROPOSED, ItemStatus.TAKEN_OUT),
        is_out=item.status == ItemStatus.TAKEN_OUT,
    )


def meaning(evidence: Bounce) -> str:
    """What a failure means, in the policy's words."""
    found = evidence.recipient.bounce_class
    return POLICY.row(BounceClass(found)).meaning if found else ""


def _pages(decision: Decision, filter: Filter, rows: PageOfRows[DecisionItem]) -> Sequence[tuple[str, str]]:
    """Page numbers and their addresses; none where everything fits, no address for a gap or this page."""
    if rows.paginator.num_pages == 1:
        return []
    return [
        (
            str(number),
            url_of(decision.pk, filter=filter, page=str(number), fragment="contacts")
            if isinstance(number, int) and number != rows.number
            else "",
        )
        for number in rows.paginator.get_elided_page_range(rows.number, on_each_side=2, on_ends=1)
    ]


def _shown(filter: Filter, groups: Sequence[Group], number: int) -> str:
    """What the list is narrowed to; empty where it is whole."""
    parts = [f"group “{group.title}”" for group in groups if group.pk == filter.group]
    parts += ["what was found"] if filter.contacts else []
    parts += ["taken out"] if filter.taken_out else []
    return f"{show.counted(number, 'contact')}: {', '.join(parts)}" if parts else ""
