"""Placements and moves: plans them on the lists as they stand, and drafts the decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby

from django.db.models import OuterRef, Q, QuerySet, Subquery

from agents import orchestrate
from agents import rebalancing as agent
from agents.asking import NO_MODEL_KNOWN
from agents.rebalancing import PlanFigures, RebalancingFacts
from listmanagement.domain import balance
from listmanagement.domain.balance import Choice, Move, Placement, Plan
from listmanagement.domain.bounces import Outcome
from listmanagement.domain.telling import people
from listmanagement.models import (
    Agent,
    CampaignKind,
    CampaignRecipient,
    CampaignSchedule,
    Contact,
    ContactList,
    ContactListMembership,
    Decision,
    DecisionGroup,
    DecisionItem,
    DecisionKind,
    DecisionStatus,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    Role,
    RunStage,
)
from listmanagement.workflows import record, rotation
from listmanagement.workflows.maintenance import analysis
from listmanagement.workflows.record import verdicts
from listmanagement.workflows.running.steps import Hand

TARGET = 2.0  # percent from the mean that a rebalancing reaches


def draft(hand: Hand) -> None:
    """Plan, ask the agent which form of the plan, and write the draft if there is anything to do."""
    allowed = rotation.moves_allowed(at=hand.now)
    plans = forms(hand)
    facts = told(hand, plans, moves_allowed=allowed)
    known = analysis.calibrations(hand, Agent.REBALANCING)
    judged = orchestrate.in_time(
        partial(agent.judge, calibrations=known.get(agent.AGENT, NO_MODEL_KNOWN)),
        facts,
        ask=hand.outside.ask,
        within=hand.outside.configuration.agents_within,
    )
    choice = Choice(judged.answer.choice.value)
    plan = plans[Choice.BACKFILL_ONLY] if choice is Choice.NOW and not allowed else plans[choice]
    deferred = len(plans[Choice.NOW].moves) - len(plan.moves)
    with hand.lease.writing() as run:
        call = analysis.keep_call(run, judged, now=hand.now)
        verdicts.of_plan(call, judged, facts=facts)
        run.counts = {
            **run.counts,
            "moves_deferred": deferred,
            "backlog": plan.waiting,
            "notes": list(plan.notes),
        }
        run.save(update_fields=["counts"])
        if plan.placements or plan.moves:
            _supersede(run)
            decision = Decision.objects.create(
                run=run,
                kind=DecisionKind.REBALANCING,
                status=DecisionStatus.DRAFT,
                title=_title(plan),
                rationale=agent.explain(judged.answer, facts=facts),
                source=judged.source.value,
                confidence=judged.confidence,
                created_at=hand.now,
            )
            _write_groups(decision, plan, confidence=judged.confidence, call_id=call.pk)


def _supersede(run: ListMaintenanceLog) -> None:
    """Another run's undecided plan is of lists as they were: a reviewer is asked about the newest alone."""
    if run.stage == RunStage.ACT:
        older = Decision.objects.awaiting_review().filter(kind=DecisionKind.REBALANCING).exclude(run=run)
        note = f"Run {run.pk} has planned placements and moves anew, in place of these"
        older.update(status=DecisionStatus.EXPIRED, note=note)


def forms(hand: Hand) -> Mapping[Choice, Plan]:
    """The forms of the plan; *now* with the moves it wants, also where they are not allowed yet.

    Without any where this cycle had its moves: they are not wanted before the next one's end.
    """
    return balance.choices(
        rotation.facts(at=hand.now, between_mails=hand.outside.configuration.between_mails),
        _backlog(at=hand.now),
        first_send_rate=first_send_rate(),
        moves_allowed=not rotation.moved_in_this_cycle(at=hand.now).exists(),
        threshold=hand.outside.configuration.balance_threshold,
        first_send_share=hand.outside.configuration.first_send_share,
    )


def _backlog(*, at: datetime) -> list[int]:
    """Who may be placed, in order; not whom the cycle under way addressed before their release (P5)."""
    waiting = list(Contact.objects.backlog().values_list("pk", flat=True))
    released = Contact.objects.released().values_list("pk", flat=True)
    addressed = rotation.addressed(list(released), at=at)
    return [contact for contact in waiting if contact not in addressed]


def first_send_rate() -> float:
    """Hard bounces among contacts' first messages on campaign lists."""
    rounds = CampaignRecipient.objects.filter(campaign__kind=CampaignKind.ROUND)
    earlier = rounds.filter(contact=OuterRef("contact")).order_by("sent_at", "message_id")
    first = rounds.filter(pk=Subquery(earlier.values("pk")[:1]))
    final = first.filter(outcome__in=[Outcome.DELIVERED, Outcome.BOUNCED])
    hard = final.filter(Q(outcome=Outcome.BOUNCED, bounce__permanent=True))
    return balance.first_send_rate(hard.count(), final.count())


def told(hand: Hand, plans: Mapping[Choice, Plan], *, moves_allowed: bool) -> RebalancingFacts:
    """What the agent is told of the plan's forms."""
    keys = {each.pk: analysis.key_of(each) for each in ContactList.objects.rotation()}

    def figures(plan: Plan) -> PlanFigures:
        return PlanFigures(
            moves=len(plan.moves),
            placements=len(plan.placements),
            sizes={keys[pk]: size for pk, size in plan.sizes_after.items()},
            deviation=plan.deviation_after,
        )

    now = plans[Choice.NOW]
    return RebalancingFacts(
        sizes={keys[pk]: size for pk, size in now.sizes_before.items()},
        deviation=now.deviation_before,
        threshold=hand.outside.configuration.balance_threshold,
        now=figures(now),
        backfill_only=figures(plans[Choice.BACKFILL_ONLY]),
        waiting=now.waiting,
        between_cycles=moves_allowed,
        hours_to_next_send=_hours_to_next_send(at=hand.now),
        records=record.by_choice(),
    )


def _hours_to_next_send(*, at: datetime) -> float | None:
    sends = CampaignSchedule.objects.to_come(at=at)
    following = sends.order_by("scheduled_at").values_list("scheduled_at", flat=True).first()
    return (following - at) / timedelta(hours=1) if following else None


# --- The draft ---------------------------------------------------------------------------------------


def _title(plan: Plan) -> str:
    parts = [f"{verb} {n:,}" for verb, n in (("place", len(plan.placements)), ("move", len(plan.moves))) if n]
    what = " and ".join(parts).capitalize()
    if not plan.moves:
        return f"{what} from the backlog; the lists are then {plan.deviation_after:.2f} % from the mean"
    return f"{what} so that the lists are even: {plan.deviation_after:.2f} % from the mean"


def _write_groups(decision: Decision, plan: Plan, *, confidence: float, call_id: int) -> None:
    """One group a target list, and one a pair of lists, in the solver's order."""
    names = dict(ContactList.objects.values_list("pk", "name"))
    total = sum(plan.sizes_before.values())
    groups: list[tuple[str, str, Sequence[Placement | Move]]] = []
    for target, alike in groupby(sorted(plan.placements, key=lambda p: p.list_id), key=lambda p: p.list_id):
        placed = list(alike)
        joins = "joins" if len(placed) == 1 else "join"
        groups.append(
            (f"place:{target}", f"{people(len(placed))} from the backlog {joins} {names[target]}", placed)
        )
    pairs = sorted(plan.moves, key=lambda m: (m.source_id, m.target_id))
    for (source, target), moves in groupby(pairs, key=lambda m: (m.source_id, m.target_id)):
        moved = list(moves)
        moves_on = "moves" if len(moved) == 1 else "move"
        title = f"{people(len(moved))} {moves_on} from {names[source]} to {names[target]}"
        groups.append((f"move:{source}:{target}", title, moved))
    position = 0
    for n, (key, title, members) in enumerate(groups, 1):
        group = DecisionGroup.objects.create(
            decision=decision,
            position=n,
            key=key,
            action=ItemAction.PLACE if key.startswith("place") else ItemAction.MOVE,
            title=title,
            contacts=len(members),
            share=round(len(members) / total, 6) if total else 0.0,
            confidence=confidence,
            call_id=call_id,
        )
        position = group.fill([_item(member) for member in members], after=position)


def _item(member: Placement | Move) -> DecisionItem:
    return DecisionItem(
        contact_id=member.contact_id,
        source_list_id=member.source_id if isinstance(member, Move) else None,
        target_list_id=member.target_id if isinstance(member, Move) else member.list_id,
    )


# --- What if -----------------------------------------------------------------------------------------


def what_if(decision: Decision) -> dict[str, object]:
    """Sizes and deviation before and after, should everything proposed be executed."""
    before = rotation.sizes()
    gained = _gained(decision.items.filter(status=ItemStatus.PROPOSED))
    after = {pk: size + gained[pk] for pk, size in before.items()}
    names = dict(ContactList.objects.values_list("pk", "name"))
    return {
        "lists": [{"name": names[pk], "before": before[pk], "after": after[pk]} for pk in before],
        "deviation_before": round(balance.deviation(list(before.values())), 2),
        "deviation_after": round(balance.deviation(list(after.values())), 2),
    }


def _gained(items: QuerySet[DecisionItem]) -> Counter[int]:
    """By list, who would join less who would leave. Only who counts in a list's size leaves a gap there."""
    gained = Counter[int]()
    off_all = Q(action=ItemAction.SUPPRESS) | Q(
        action=ItemAction.PUT_BACK, target_list__role=Role.SUPPRESSION
    )
    leaving = ContactListMembership.objects.sized().filter(
        contact__in=items.filter(off_all).values("contact")
    )
    for list_id in leaving.values_list("list_id", flat=True):
        gained[list_id] -= 1
    one_list = [
        ItemAction.PLACE,
        ItemAction.MOVE,
        ItemAction.TAKE_OFF,
        ItemAction.PUT_BACK,
        ItemAction.RESTORE,
        ItemAction.RELEASE,
    ]
    changes = items.filter(action__in=one_list).exclude(off_all)
    for source_id, target_id in changes.values_list("source_list_id", "target_list_id"):
        gained[source_id] -= 1
        gained[target_id] += 1
    return gained
