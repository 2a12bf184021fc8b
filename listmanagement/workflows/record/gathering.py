"""What became of verdicts: labels, each by a stated rule, counted where they are alike.

Whoever was proposed for suppression or a hold, in the order in which a rule counts (proof before opinion):

1. A message arrived after the decision: alive.
2. A person lifted the suppression: alive; but a way back offered after months says nothing of it.
3. A reviewer decided about a suppression: dead where it was approved, alive where it was rejected or the
   contact taken out. Whoever dropped out after the approval has no label of it: something had come to light
   that the reviewer did not know. Holds go on whatever a reviewer says, so that is no label of one.
4. Not suppressed, and a later message bounced for good, for a reason that lies in the mailbox, outside any
   hold of the domain: dead. What is refused for our own sake, or fails with a whole server, says nothing.
5. Held, and suppressed by a later decision that stands: dead.

Whoever was neither proposed nor held is alive when a message arrived after the judgement, and dead when a
later suppression stands. Anything else is unknown and no label: an expired decision by itself says nothing.

A reviewer's mark is the label of a list's assessment. A rebalancing is right when it was approved and carried
out, for some at least, and wrong when it was rejected or undone. Approved, of which nothing could be done any
more, it came to nothing, and nothing says whether it was right.

A contact drawn at random for a review stands for all who were suppressed without one, whatever label it got:
it weighs the inverse of the rate at which it was drawn. Those who were not drawn have a label only where
something showed that they lived; it counts once, so that the record errs against us.

Contacts are not independent of each other: failures of one class in one campaign, which the policy treats
alike, were judged at once and decided in one look, and are one judgement together, in however many cohorts
and runs (`domain/record.py`). That cohorts of several classes may be decided by one click, and rounds of one
cycle may share a cause, is left: a decision has few classes, and a cycle few rounds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import (
    BooleanField,
    Case,
    CharField,
    Count,
    Exists,
    F,
    FloatField,
    OuterRef,
    Q,
    QuerySet,
    TextField,
    Value,
    When,
)
from django.db.models.functions import Coalesce, NullIf

from listmanagement.domain.bounces import RECIPIENT_FAILURES, Outcome
from listmanagement.domain.record import Label, Source
from listmanagement.domain.suppression import Region
from listmanagement.models import (
    REVIEWED,
    Agent,
    AgentVerdict,
    CampaignRecipient,
    ContactSuppressionHistory,
    DecisionItem,
    DecisionKind,
    DecisionStatus,
    Hold,
    HoldKind,
    ItemAction,
    ItemStatus,
    ListHealth,
    ListOperation,
    OperationStatus,
    SuppressionKind,
)
from listmanagement.workflows.record.verdicts import PLAN

SUPPRESS = ItemAction.SUPPRESS.value


@dataclass(frozen=True)
class Opinion:
    """What somebody said, and how sure they were."""

    verdict: str
    confidence: float


@dataclass(frozen=True)
class Outcomes:
    """So many verdicts alike, what was said by whom, and what became of them."""

    agent: Agent
    kept_by: str
    """What the rules' own record is kept by: a class of failure, a grade, a choice."""
    is_open: bool
    """Whether the policy left anything to judge."""
    stood: Opinion
    stated: Opinion | None
    """By the model; None where rules judged."""
    rules: Opinion
    dead: bool | None
    """Of contacts: whether nobody is reached there; None for lists and plans."""
    right: bool | None
    """Of lists and plans: whether what stood was right; None for contacts."""
    source: Source
    times: int
    weight: float
    together: Hashable = None
    """What was judged at once."""
    among: int = 1
    """How many contacts that was."""
    model: str = ""
    prompt_version: str = ""
    """Who stated it when asked how; empty where rules judged."""

    def is_right(self, opinion: Opinion) -> bool | None:
        """Whether this opinion turned out right; None where that is not known."""
        if self.dead is not None:
            return (opinion.verdict == SUPPRESS) == self.dead
        if opinion.verdict == self.stood.verdict:
            return self.right
        return False if self.right else None  # one was wrong: whether the other was right, nobody knows

    def label(self, opinion: Opinion) -> Label | None:
        """The label that this opinion gets; its confidence counts only where there was something to judge."""
        right = self.is_right(opinion)
        if right is None:
            return None
        return Label(
            right=right,
            source=self.source,
            confidence=opinion.confidence if self.is_open else None,
            suppresses=opinion.verdict == SUPPRESS if self.dead is not None else None,
            times=self.times,
            weight=self.weight,
            together=self.together,
            among=self.among,
        )


@dataclass(frozen=True)
class Overrides:
    """How often reviewers said otherwise, of how often they were asked."""

    overridden: int
    reviewed: int


def of(agent: Agent, *, since: datetime | None = None) -> list[Outcomes]:
    """All that is known of an agent's verdicts since then: one query. KeyError for one nobody judges."""
    return _OF[agent](since=since)


# --- Contacts ----------------------------------------------------------------------------------------


def of_contacts(*, since: datetime | None = None) -> list[Outcomes]:
    """What became of everybody proposed for a suppression or a hold, where that is known. One query."""
    items = _with_truth(_proposed(since))
    said = ("stood", "sure", "stated", "raw", "rules", "rules_sure", "model", "prompt_version")
    became = ("dead", "source", "weight")
    rows = list(items.values(*_AT_ONCE, *said, *became).annotate(times=Count("pk")).order_by())
    judged = Counter[Hashable]()
    for row in rows:
        judged[_at_once(row)] += row["times"]
    return [_of_contact(row, among=judged[_at_once(row)]) for row in rows if row["source"] is not None]


_AT_ONCE = ("campaign", "bounce", "region")
"""What contacts judged at once have in common."""


def _at_once(row: Mapping[str, Any]) -> Hashable:
    return tuple(row[name] for name in _AT_ONCE)


def _proposed(since: datetime | None) -> QuerySet[DecisionItem]:
    items = DecisionItem.objects.filter(
        decision__kind=DecisionKind.SUPPRESSION, action__in=[ItemAction.SUPPRESS, ItemAction.HOLD]
    ).exclude(decision__status=DecisionStatus.DRAFT)
    return items if since is None else items.filter(decision__created_at__gte=since)


def _with_truth(items: QuerySet[DecisionItem]) -> QuerySet[Any]:
    """With what was said of each, what became of it, and on what that rests (see the module's rules)."""
    after = CampaignRecipient.objects.filter(contact=OuterRef("contact"))
    decided_at = OuterRef("decision__created_at")
    arrived = Exists(after.filter(outcome=Outcome.DELIVERED, outcome_at__gt=decided_at))
    gone = after.filter(bounce_class__in=RECIPIENT_FAILURES, bounce__permanent=True)
    bounced = Exists(gone.filter(~_failed_in_a_hold(), outcome=Outcome.BOUNCED, sent_at__gt=decided_at))
    lifted = Exists(ContactSuppressionHistory.objects.filter(item=OuterRef("pk"), lifted_at__isnull=False))
    way_back = Exists(
        DecisionItem.objects.filter(
            undoes=OuterRef("pk"), decision__kind=DecisionKind.WAY_BACK, status=ItemStatus.EXECUTED
        )
    )
    suppressed = Exists(
        ContactSuppressionHistory.objects.standing().filter(
            contact=OuterRef("contact"), kind=SuppressionKind.OURS, at__gt=decided_at
        )
    )
    proposed = Q(action=ItemAction.SUPPRESS)
    reviewed = proposed & Q(decision__status__in=REVIEWED) & ~Q(status=ItemStatus.DROPPED)
    rules: list[tuple[Any, bool | Any, Source]] = [
        (Q(arrived), False, Source.DELIVERY),
        (Q(lifted) & ~Q(way_back), False, Source.REVERSAL),
        (reviewed & Q(group__sampled_share__isnull=False), _upheld(), Source.SAMPLE),
        (reviewed, _upheld(), Source.REVIEW),
        (proposed & ~Q(status=ItemStatus.EXECUTED) & Q(bounced), True, Source.BOUNCED_AGAIN),
        (Q(action=ItemAction.HOLD) & Q(suppressed), True, Source.SUPPRESSED_LATER),
    ]
    return items.annotate(
        campaign=F("decision__run__campaign"),
        bounce=Coalesce(NullIf("verdict__bounce_class", Value("")), "group__bounce_class"),
        region=Coalesce(NullIf("verdict__region", Value("")), "group__region"),
        stood=F("action"),
        sure=Coalesce("verdict__confidence", "group__confidence"),
        stated=F("verdict__stated"),
        raw=Coalesce("verdict__raw_confidence", "group__confidence"),
        model=Coalesce("verdict__call__model", Value(""), output_field=TextField()),
        prompt_version=Coalesce("verdict__call__prompt_version", Value(""), output_field=TextField()),
        rules=Coalesce("verdict__rules_verdict", "action", output_field=CharField()),
        rules_sure=Coalesce("verdict__rules_confidence", "group__confidence"),
        dead=Case(*(When(when, then=dead) for when, dead, _ in rules), output_field=BooleanField()),
        source=Case(
            *(When(when, then=Value(source.value)) for when, _, source in rules), output_field=CharField()
        ),
        weight=Coalesce(1.0 / F("group__sampled_share"), Value(1.0), output_field=FloatField()),
    )


def _failed_in_a_hold() -> Exists:
    """Of a message: whether a hold of its domain explains its failure."""
    holds = Hold.objects.filter(kind=HoldKind.DOMAIN, host=OuterRef("contact__domain"))
    return Exists(holds.covering(OuterRef("campaign"), at=OuterRef("outcome_at")))


def _upheld() -> Case:
    """Whether the reviewer agreed: approved, with this contact left in."""
    overruled = Q(decision__status=DecisionStatus.REJECTED) | Q(status=ItemStatus.TAKEN_OUT)
    return Case(When(overruled, then=Value(False)), default=Value(True), output_field=BooleanField())


def _of_contact(row: Mapping[str, Any], *, among: int) -> Outcomes:
    return Outcomes(
        agent=Agent.OPTIMIZATION,
        kept_by=row["bounce"],
        is_open=row["region"] == Region.MAY,
        stood=Opinion(row["stood"], row["sure"]),
        stated=Opinion(row["stated"], row["raw"]) if row["stated"] else None,
        rules=Opinion(row["rules"], row["rules_sure"]),
        dead=row["dead"],
        right=None,
        source=Source(row["source"]),
        times=row["times"],
        weight=row["weight"],
        together=_at_once(row),
        among=among,
        model=row["model"],
        prompt_version=row["prompt_version"],
    )


def of_the_kept(*, since: datetime | None = None) -> list[Label]:
    """Who failed in a judged campaign and was neither proposed nor held, where it is known what came of it.

    Nothing is stored of each of them, so these labels have no confidence. One query.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select campaign, bounce, count(*) filter (where alive), count(*) filter (where dead and not alive)
            from (
              select
                message.campaign_id as campaign, message.bounce_class as bounce,
                exists (
                  select from listmanagement_campaignrecipient later
                  where later.contact_id = message.contact_id
                    and later.outcome = 'delivered' and later.outcome_at > call.at
                ) as alive,
                exists (
                  select from listmanagement_contactsuppressionhistory later
                  where later.contact_id = message.contact_id
                    and later.kind = 'ours' and later.lifted_at is null and later.at > call.at
                ) as dead
              from listmanagement_agentcall call
              join listmanagement_listmaintenancelog run on run.id = call.run_id and run.stage = 'act'
              join listmanagement_campaignrecipient message
                on message.campaign_id = run.campaign_id
                and message.outcome in ('bounced', 'not_attempted') and message.outcome_at <= call.at
              where call.agent = 'optimization' and (%(since)s::timestamptz is null or call.at >= %(since)s)
                and not exists (
                  select from listmanagement_decisionitem item
                  join listmanagement_decision decision on decision.id = item.decision_id
                  where decision.run_id = run.id and item.contact_id = message.contact_id
                    and item.action in ('suppress', 'hold')
                )
            ) kept
            group by campaign, bounce
            order by campaign, bounce
            """,
            {"since": since},
        )
        rows = cursor.fetchall()
    labels = [
        Label(right=right, source=source, suppresses=False, times=times, together=("kept", campaign, bounce))
        for campaign, bounce, alive, dead in rows
        for right, source, times in (
            (True, Source.DELIVERY, alive),
            (False, Source.SUPPRESSED_LATER, dead),
        )
    ]
    return [label for label in labels if label.times]


def overrides_of_contacts(*, since: datetime | None = None) -> Overrides:
    """How many contacts reviewers left on their list, of those whose suppression they were asked about."""
    asked = _proposed(since).filter(action=ItemAction.SUPPRESS, decision__status__in=REVIEWED)
    found = asked.annotate(upheld=_upheld()).aggregate(
        overridden=Count("pk", filter=Q(upheld=False)), reviewed=Count("pk")
    )
    return Overrides(**found)


# --- Lists and plans ---------------------------------------------------------------------------------


def of_lists(*, since: datetime | None = None) -> list[Outcomes]:
    """Every assessment that a reviewer marked right or wrong. One query."""
    marked = ListHealth.objects.filter(is_right__isnull=False, verdict__isnull=False)
    if since is not None:
        marked = marked.filter(check_of__at__gte=since)
    return [
        _of_verdict(
            row.verdict,
            agent=Agent.LIST_HEALTH,
            kept_by=row.verdict.rules_verdict.partition("/")[0],
            right=bool(row.is_right),
            source=Source.MARK,
        )
        for row in marked.select_related("verdict__call")
        if row.verdict is not None
    ]


def of_plans(*, since: datetime | None = None) -> list[Outcomes]:
    """Every rebalancing that was approved and carried out, rejected, or undone by a person. One query."""
    undone = ListOperation.objects.filter(item__decision=OuterRef("decided"), status=OperationStatus.UNDONE)
    done = DecisionItem.objects.filter(decision=OuterRef("decided"), status=ItemStatus.EXECUTED)
    rows = (
        AgentVerdict.objects.filter(subject=PLAN, call__run__decisions__kind=DecisionKind.REBALANCING)
        .select_related("call")
        .annotate(decided=F("call__run__decisions"), status=F("call__run__decisions__status"))
        .annotate(undone=Exists(undone), done=Exists(done))
        .filter(
            Q(status=DecisionStatus.REJECTED) | Q(status=DecisionStatus.APPROVED, done=True) | Q(undone=True)
        )
    )
    if since is not None:
        rows = rows.filter(call__at__gte=since)
    return [
        _of_verdict(
            row,
            agent=Agent.REBALANCING,
            kept_by=row.rules_verdict,
            right=row.status == DecisionStatus.APPROVED and not row.undone,
            source=Source.REVERSAL if row.undone else Source.REVIEW,
        )
        for row in rows
    ]


_OF = {Agent.LIST_HEALTH: of_lists, Agent.OPTIMIZATION: of_contacts, Agent.REBALANCING: of_plans}


def _of_verdict(
    verdict: AgentVerdict, *, agent: Agent, kept_by: str, right: bool, source: Source
) -> Outcomes:
    return Outcomes(
        agent=agent,
        kept_by=kept_by,
        is_open=True,
        stood=Opinion(verdict.verdict, verdict.confidence),
        stated=Opinion(verdict.stated, verdict.raw_confidence) if verdict.stated else None,
        rules=Opinion(verdict.rules_verdict, verdict.rules_confidence),
        dead=None,
        right=right,
        source=source,
        times=1,
        weight=1.0,
        model=verdict.call.model,
        prompt_version=verdict.call.prompt_version,
    )


def overrides(outcomes: Sequence[Outcomes], agent: Agent) -> Overrides:
    """How often reviewers said otherwise of this agent's lists or plans."""
    asked = [each for each in outcomes if each.agent is agent and each.source in (Source.REVIEW, Source.MARK)]
    return Overrides(
        overridden=sum(each.times for each in asked if not each.right),
        reviewed=sum(each.times for each in asked),
    )
