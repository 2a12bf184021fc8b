"""A way back: once a week people are asked whether a few whose mailboxes were full are mailed again.

The question is a run and a decision of its own; no rule ever answers it. Approved, it is carried out as an
undo is, through the same journal with the same checks; otherwise nobody is touched. While everything is off,
paused or only observed nobody is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import BooleanField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet, Subquery

from listmanagement.domain import way_back
from listmanagement.domain.bounces import BounceClass, Outcome
from listmanagement.domain.telling import people
from listmanagement.domain.way_back import Suppressed
from listmanagement.models import (
    EXECUTABLE,
    AnswerSource,
    CampaignRecipient,
    Contact,
    ContactList,
    ContactSuppressionHistory,
    Decision,
    DecisionGroup,
    DecisionItem,
    DecisionKind,
    DecisionStatus,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    RunKind,
    RunStage,
    Step,
    SuppressionKind,
    Trigger,
)
from listmanagement.models.lists import SuppressionQuerySet
from listmanagement.outside import Configuration, Outside
from listmanagement.workflows import notify, permission, rotation
from listmanagement.workflows.maintenance import drafts, rebalancing
from listmanagement.workflows.running import starting
from listmanagement.workflows.running.steps import AwaitReview, Done, Hand, Next, StepFunction
from listmanagement.workflows.undoing import undo, undoable

ASKED_FOR = timedelta(days=7)
"""How long people can answer: until the next question."""

WHY_ASKED = "whether a mailbox has room again is seen only by mailing it, so people decide"


# --- Asking ----------------------------------------------------------------------------------------------


def offer(outside: Outside, now: datetime) -> str:
    """Ask, where anybody may come back and something could follow. Returns what was done, for people.

    Nothing is sent to Mailjet here.
    """
    if (why := why_not(outside.configuration, at=now)) is not None:
        return f"nobody is asked: {why}"
    run = _start(site_url=outside.configuration.site_url, now=now)
    return f"run {run.pk} started" if run is not None else "nobody to offer a way back"


def why_not(configuration: Configuration, *, at: datetime) -> str | None:
    """Why people are not asked now; None where they are."""
    if (off := permission.why_off(enabled=configuration.enabled)) is not None:
        return off
    if drafts.only_watches(enabled=configuration.enabled, at=at):
        return "only observing"
    asked = Decision.objects.awaiting_review().filter(kind=DecisionKind.WAY_BACK, deadline__gt=at).first()
    return f"decision {asked.pk} is still open" if asked is not None else None


@transaction.atomic
def _start(*, site_url: str, now: datetime) -> ListMaintenanceLog | None:
    """This week's run and its question; None where there is nobody, or somebody else was faster (P11)."""
    chosen = way_back.offered(_suppressed(at=now), sizes=rotation.sizes(), now=now)
    if not chosen:
        return None
    run = starting.create(
        f"{RunKind.WAY_BACK}:{now:%G-W%V}",
        kind=RunKind.WAY_BACK,
        stage=RunStage.ACT,
        trigger=Trigger.SCHEDULE,
        by=None,
        now=now,
        step=Step.TAKE_BACK,
        state_before=rotation.state(),
    )
    if run is not None:
        decision = _ask(run, chosen, now=now)
        notify.decision_needed(decision, site_url=site_url, now=now)
    return run


def _suppressed(*, at: datetime) -> list[Suppressed]:
    """Whom we suppressed for a full mailbox so long ago, with what the rule asks of each.

    Left out are those who are being lifted already, or whom no lift would touch.
    """
    rows = _with_facts(
        ContactSuppressionHistory.objects.standing().filter(
            kind=SuppressionKind.OURS,
            evidence__recipient__bounce_class=BounceClass.MAILBOX_FULL,
            at__range=(at - way_back.LATEST, at - way_back.EARLIEST),
        )
    )
    plan = undoable.of_contacts(Contact.objects.filter(pk__in=rows.values("contact")))
    places = {deed.contact: deed.target for deed in plan.deeds}
    refused = set(undoable.probably_blocked(list(places)).values_list("pk", flat=True))
    return [
        Suppressed(
            contact_id=row.contact_id,
            suppressed_at=row.at,
            by_us=row.kind == SuppressionKind.OURS,
            failures=frozenset(map(BounceClass, filter(None, [row.rests_on, row.failed_as]))),
            permanent=row.evidence.permanent or bool(row.failed_for_good),
            said_no=row.said_no,
            refused=row.contact_id in refused,
            rejected=row.rejected,
            back_to=places[row.contact_id],
        )
        for row in rows
        if row.contact_id in places
    ]


def _with_facts(standing: SuppressionQuerySet) -> QuerySet[Any]:
    """With what the last message that was tried failed as, and whether anybody said no."""
    tried = CampaignRecipient.objects.filter(contact=OuterRef("contact")).exclude(
        outcome__in=[Outcome.OPEN, Outcome.NOT_ATTEMPTED]
    )
    last = tried.order_by("-sent_at", "-pk")
    rejections = DecisionItem.objects.filter(
        Q(decision__status=DecisionStatus.REJECTED) | Q(status=ItemStatus.TAKEN_OUT),
        decision__kind=DecisionKind.WAY_BACK,
        contact=OuterRef("contact"),
    )
    said_no = (
        Q(contact__opted_out_at__isnull=False)
        | Q(contact__complained_at__isnull=False)
        | Q(contact__excluded=True)
    )
    return standing.select_related("evidence").annotate(
        rests_on=F("evidence__recipient__bounce_class"),
        failed_as=Subquery(last.values("bounce_class")[:1]),
        failed_for_good=Subquery(last.values("bounce__permanent")[:1]),
        rejected=Exists(rejections),
        said_no=ExpressionWrapper(said_no, output_field=BooleanField()),
    )


# --- The question ----------------------------------------------------------------------------------------


def _ask(run: ListMaintenanceLog, chosen: Mapping[int, Sequence[Suppressed]], *, now: datetime) -> Decision:
    """One open decision with a group for each list."""
    number = sum(len(members) for members in chosen.values())
    decision = Decision.objects.create(
        run=run,
        kind=DecisionKind.WAY_BACK,
        status=DecisionStatus.OPEN,
        title=f"{people(number)} whose mailboxes were full: back to their lists, or not",
        rationale=(
            "Each failed for a full mailbox only, never for good, and was suppressed "
            f"{way_back.EARLIEST.days} to {way_back.LATEST.days} days ago. Who fails again is judged afresh."
        ),
        source=AnswerSource.RULES,
        confidence=1.0,
        reasons=[WHY_ASKED],
        default_choice=False,
        created_at=now,
        deadline=now + ASKED_FOR,
    )
    sizes, lists = rotation.sizes(), ContactList.objects.in_bulk(list(chosen))
    position = 0
    for n, (pk, members) in enumerate(chosen.items(), 1):
        group = DecisionGroup.objects.create(
            decision=decision,
            position=n,
            key=str(pk),
            action=ItemAction.RESTORE,
            title=f"{people(len(members))}: suppression lifted, and back on {lists[pk].name}",
            bounce_class=BounceClass.MAILBOX_FULL,
            contacts=len(members),
            share=len(members) / sizes[pk],
            confidence=1.0,
            reasons=[WHY_ASKED],
        )
        position = group.fill(_items(members), after=position)
    decision.what_if = rebalancing.what_if(decision)
    decision.save(update_fields=["what_if"])
    return decision


def _items(members: Sequence[Suppressed]) -> list[DecisionItem]:
    """An item a contact, the longest suppressed first.

    Which suppression it takes back is named when a person has said yes (`_name_what_is_taken_back`): a
    question that nobody answers must not keep anybody from undoing the same.
    """
    evidence = dict(
        ContactSuppressionHistory.objects.standing()
        .filter(contact__in=[each.contact_id for each in members])
        .values_list("contact_id", "evidence_id")
    )
    return [
        DecisionItem(
            contact_id=each.contact_id,
            target_list_id=each.back_to,
            evidence_id=evidence[each.contact_id],
        )
        for each in members
    ]


# --- The two steps ---------------------------------------------------------------------------------------


def take_back(hand: Hand) -> Next:
    """1. Wait for the answer; carry out what was approved, as an undo."""
    decision = hand.run.decisions.get(kind=DecisionKind.WAY_BACK)
    if decision.status == DecisionStatus.OPEN:
        return AwaitReview()
    if decision.status != DecisionStatus.APPROVED:
        return Done()
    with hand.lease.writing():
        _name_what_is_taken_back(decision)
    return undo.carry_out(hand, decision)


def _name_what_is_taken_back(decision: Decision) -> None:
    """Tie each item to the suppression that stood when people were asked; who has none any more drops out."""
    items = decision.items.filter(status=ItemStatus.PROPOSED, undoes=None, operations=None)
    others = DecisionItem.objects.filter(
        contact=OuterRef("contact"),
        action=ItemAction.RESTORE,
        status=ItemStatus.PROPOSED,
        decision__status__in=EXECUTABLE,
    ).exclude(decision=decision)
    items.filter(Exists(others)).update(status=ItemStatus.DROPPED, why="somebody else lifts it already")
    asked_about = ContactSuppressionHistory.objects.standing().filter(
        contact=OuterRef("contact"), at__lte=decision.created_at
    )
    gone = items.filter(~Exists(asked_about))
    gone.update(status=ItemStatus.DROPPED, why="the suppression was lifted already")
    items.update(undoes=Subquery(asked_about.values("item")[:1]))


def report(hand: Hand) -> Next:
    """2. Say what became of it; in Slack, where anybody was put back or could not be."""
    with hand.lease.writing() as run:
        decision = run.decisions.get(kind=DecisionKind.WAY_BACK)
        run.state_after = rotation.state()
        run.counts = _counts(decision)
        run.report = text(decision, counts=run.counts)
        run.save(update_fields=["state_after", "counts", "report"])
        if decision.status == DecisionStatus.APPROVED:
            notify.run_done(run, site_url=hand.outside.configuration.site_url, now=hand.now)
    return Done()


STEPS: Mapping[Step, StepFunction] = {Step.TAKE_BACK: take_back, Step.REPORT: report}


# --- Telling ---------------------------------------------------------------------------------------------


def _counts(decision: Decision) -> dict[str, int]:
    became = Counter(decision.items.values_list("status", flat=True))
    return {
        "asked": sum(became.values()),
        "restored": became[ItemStatus.EXECUTED],
        "dropped": became[ItemStatus.DROPPED],
        "failed": became[ItemStatus.FAILED],
    }


def text(decision: Decision, *, counts: Mapping[str, int]) -> str:
    """What became of the question, for people; without addresses."""
    if decision.status == DecisionStatus.REJECTED:
        return f"A way back: {people(counts['asked'])} stay suppressed, as {decision.reviewed_by} decided."
    if decision.status != DecisionStatus.APPROVED:
        return f"A way back: nobody decided in time, so {people(counts['asked'])} stay suppressed."
    lines = [
        f"A way back: {people(counts['restored'])} no longer suppressed, of {counts['asked']:,} asked about."
    ]
    dropped = Counter(decision.items.filter(status=ItemStatus.DROPPED).values_list("why", flat=True))
    lines += [f"- left alone, {why}: {number:,}" for why, number in dropped.most_common()]
    if counts["failed"]:
        lines.append(f"- could not be changed at Mailjet: {counts['failed']:,}; they stay suppressed")
    return "\n".join(lines)
