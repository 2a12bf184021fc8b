"""Undo: what a run did is turned around, newest first, through the same journal, as a person wants it.

It restores membership, rank and history, not deliverability: it says whom Mailjet probably still blocks.
Whoever has since said no, was deleted or is somewhere else stays, and the report says who and why. What
would break P5 waits for the end of the cycle. A run of its own: killed at any instant, it is resumed.
Lifting single suppressions is the same deed, of no run.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from listmanagement.domain.cycle import LONGEST_CYCLE
from listmanagement.domain.telling import people as contacts_in_words
from listmanagement.models import (
    FINISHED,
    AnswerSource,
    Contact,
    ContactList,
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
    Trigger,
)
from listmanagement.outside import Configuration
from listmanagement.workflows import notify, permission, rotation
from listmanagement.workflows.by_people import audit, people
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.changes import execution, journal
from listmanagement.workflows.maintenance import rebalancing
from listmanagement.workflows.running import starting
from listmanagement.workflows.running.steps import Done, Hand, Next, StepFunction, Wait
from listmanagement.workflows.undoing import undoable
from listmanagement.workflows.undoing.undoable import Deed, Plan, Scope

ASKED_AGAIN_AFTER = timedelta(minutes=15)
"""How often an undo that waits for the end of a cycle looks whether it has come."""

WAITS_AT_MOST = 2 * LONGEST_CYCLE
"""Then whoever still waits is left where they are, and the report says so."""

CYCLE = "the cycle under way to end: what is left would send somebody its message twice, or never"
NO_GAP = "no two cycles had a gap for it in six weeks: stays; undo the run again where it matters"


class NothingToUndo(NotAllowed):
    """Everything that can be taken back is, or is left alone for a reason. Nothing was changed."""

    def __init__(self, words: str, plan: Plan) -> None:
        super().__init__(words)
        self.plan = plan


# --- Whether ---------------------------------------------------------------------------------------------

_NOT_UNDONE = {
    RunKind.UNDO: (
        "is itself an undo: the next maintenance judges afresh whom it put back, and a decision suppresses "
        "whom you approve"
    ),
    RunKind.LIFT: (
        "lifted suppressions: the next maintenance judges these contacts afresh, and a decision suppresses "
        "whom you approve"
    ),
    RunKind.WAY_BACK: (
        "put people back whose mailboxes were full: the next maintenance judges them afresh, and a decision "
        "suppresses whom you approve"
    ),
    RunKind.CONSENT: (
        "applied what contacts said themselves: only their own later opt-in takes that back, accepted in "
        "review"
    ),
    RunKind.RECONCILIATION: (
        "did what people decided about changes at Mailjet: change it there, and the next reconciliation asks"
    ),
    RunKind.WEEKLY_HEALTH: "changes no lists: there is nothing to undo",
    RunKind.PRE_CAMPAIGN: "took contacts of held domains off a send: it puts them back after it, by itself",
}


def why_not(run: ListMaintenanceLog, *, by: User, enabled: bool, override: str = "") -> str | None:
    """Why this person cannot undo this run now; None when they can. Buttons show exactly then."""
    if (why := people.why_not_reviewing(by)) is not None:
        return why
    if (kind := _NOT_UNDONE.get(RunKind(run.kind))) is not None:
        return f"run {run.pk} {kind}"
    if run.status not in FINISHED:
        return (
            f"run {run.pk} has not ended, it stands at {run.step.replace('_', ' ')}: decide or reject what "
            "it asks, let it end, then undo it"
        )
    if undoable.nothing_done(run):
        return f"run {run.pk} changed no list: there is nothing to undo"
    off = permission.why_off(enabled=enabled)
    if off is not None and not override.strip():
        return f"{off}. To undo all the same, say why (--override WHY): it is logged, and by whom"
    return None


def preview(run: ListMaintenanceLog, *, scope: Scope, now: datetime) -> Plan:
    """What undoing the run would do now. Changes nothing."""
    return undoable.of_run(run, scope=scope, at=now)


def planned(plan: Plan) -> list[tuple[str, int]]:
    """What it would do, counted, in words that go on after a number of contacts."""
    return [
        *((words, plan.counted(_ACTIONS[name])) for name, words in _DEEDS.items()),
        ("of them not before the cycle under way has ended", plan.waiting),
        ("of them probably still blocked by Mailjet itself", plan.still_blocked),
    ]


def preview_words(plan: Plan) -> str:
    """What it would do, for people; without addresses."""
    if not plan.deeds:
        return f"{nothing_words(plan)}."
    left_alone = undoable.counted(plan.left_alone)
    return "\n".join(
        [
            "It would leave:",
            *(f"- {contacts_in_words(number)} {words}" for words, number in planned(plan) if number),
            *(f"- left alone, {why}: {number:,}" for why, number in left_alone.items()),
        ]
    )


# --- Starting --------------------------------------------------------------------------------------------


@transaction.atomic
def start(
    run_id: int,
    *,
    scope: Scope,
    by: User,
    reason: str,
    override: str,
    configuration: Configuration,
    now: datetime,
) -> ListMaintenanceLog:
    """A run that takes back what this one did; or the one that has all of it in hand already (P11).

    Nothing is sent to Mailjet here. Raises NotAllowed, with what to do; NothingToUndo where nothing is left.
    """
    undone = ListMaintenanceLog.objects.select_for_update().filter(pk=run_id).first()
    if undone is None:
        raise NotAllowed(f"there is no run {run_id}")
    if (why := why_not(undone, by=by, enabled=configuration.enabled, override=override)) is not None:
        raise NotAllowed(why)
    override = override.strip()
    if permission.why_off(enabled=configuration.enabled) is None:
        override = ""  # nothing is overridden by it, so it passes no later pause either
    plan = preview(undone, scope=scope, now=now)
    if not plan.deeds:
        in_hand = _in_hand(undone, plan, scope=scope)
        if override:
            _override(in_hand, override, plan=plan, by=by, now=now)
        return in_hand
    earlier = ListMaintenanceLog.objects.filter(undoes=undone).count()
    run = starting.create(
        f"{RunKind.UNDO}:{undone.pk}:{earlier}",
        kind=RunKind.UNDO,
        stage=RunStage.ACT,
        trigger=Trigger.PERSON,
        by=by,
        now=now,
        step=Step.TAKE_BACK,
        undoes=undone,
        override=override,
        overridden_at=now if override else None,
        state_before=rotation.state(),
        counts={"left_alone": undoable.counted(plan.left_alone)},
    )
    assert run is not None  # the row of the run that is undone is held
    _decide(run, plan, title=_title(undone, scope, plan), by=by, reason=reason, now=now)
    audit.note(
        undone,
        "undo started",
        by=by,
        now=now,
        run=run.pk,
        reason=reason,
        override=override,
        only=scope.only or "",
        one_domain=bool(scope.domain),
        contacts=len(plan.deeds),
    )
    return run


def _override(run: ListMaintenanceLog, why: str, *, plan: Plan, by: User, now: datetime) -> None:
    """Have the undo that is under way pass the switch that holds it now: with all of it, or not at all.

    Raises NotAllowed where it would take along what nobody spoke of.
    """
    meant = DecisionItem.objects.filter(undoes__in=plan.under_way, status=ItemStatus.PROPOSED)
    others = DecisionItem.objects.filter(decision__run=run, status=ItemStatus.PROPOSED)
    elsewhere = meant.exclude(decision__run=run)
    if run.kind != RunKind.UNDO or elsewhere.exists() or others.exclude(pk__in=meant.values("pk")).exists():
        raise NotAllowed(
            f"run {run.pk} has it in hand, and does more than that, or not all of it: only an undo as a "
            "whole can pass what holds it. Ask for all that it takes back, or wait until it may go on"
        )
    ListMaintenanceLog.objects.filter(pk=run.pk).update(override=why, overridden_at=now)
    audit.note(run, "overridden", by=by, now=now, override=why)


def _in_hand(undone: ListMaintenanceLog, plan: Plan, *, scope: Scope) -> ListMaintenanceLog:
    """The undo that is under way. Raises NothingToUndo where there is none, and nothing to do."""
    if plan.under_way:
        item = DecisionItem.objects.filter(undoes__in=plan.under_way, status=ItemStatus.PROPOSED)
        found = item.select_related("decision__run").order_by("-pk").first()
        assert found is not None
        return found.decision.run
    raise NothingToUndo(f"run {undone.pk}{scope.words}: {nothing_words(plan)}", plan)


def nothing_words(plan: Plan) -> str:
    """Why there is nothing to do."""
    if not plan.left_alone:
        return "nothing is left to undo"
    counts = undoable.counted(plan.left_alone)
    reasons = "; ".join(f"{contacts_in_words(number)}: {why}" for why, number in counts.items())
    return f"nothing is left to undo. Left alone: {reasons}"


@transaction.atomic
def lift(
    contacts: Collection[int], *, by: User, reason: str, configuration: Configuration, now: datetime
) -> ListMaintenanceLog:
    """A run that lifts the suppressions of these contacts: each goes back to where it was, or to the backlog.

    Nothing is sent to Mailjet here. Raises NotAllowed, with what to do; NothingToUndo where nobody is left.
    """
    if (why := why_not_lift(by=by, enabled=configuration.enabled)) is not None:
        raise NotAllowed(why)
    if not reason.strip():
        raise NotAllowed("lifting a suppression needs a reason: it stays in the contact's history")
    chosen = Contact.objects.filter(pk__in=contacts)
    list(chosen.select_for_update().order_by("pk"))
    if unknown := sorted(set(contacts) - set(chosen.values_list("pk", flat=True))):
        raise NotAllowed(f"there is no contact {', '.join(map(str, unknown))}")
    plan = undoable.of_contacts(chosen)
    if not plan.deeds:
        words = "already being lifted" if plan.under_way else nothing_words(plan)
        raise NothingToUndo(words.replace("nothing is left to undo", "nothing to lift"), plan)
    run = starting.create(
        f"{RunKind.LIFT}:{DecisionItem.objects.order_by('-pk').values_list('pk', flat=True).first() or 0}",
        kind=RunKind.LIFT,
        stage=RunStage.ACT,
        trigger=Trigger.PERSON,
        by=by,
        now=now,
        step=Step.TAKE_BACK,
        state_before=rotation.state(),
        counts={"left_alone": undoable.counted(plan.left_alone)},
    )
    if run is None:
        raise NotAllowed("somebody else lifts suppressions at this moment: try again")
    title = f"Lift the suppression of {contacts_in_words(len(plan.deeds))}"
    _decide(run, plan, title=title, by=by, reason=reason, now=now)
    return run


def why_not_lift(*, by: User, enabled: bool) -> str | None:
    """Why this person cannot lift suppressions now; None when they can."""
    return people.why_not_reviewing(by) or permission.why_off(enabled=enabled)


# --- The decision ----------------------------------------------------------------------------------------


def _decide(run: ListMaintenanceLog, plan: Plan, *, title: str, by: User, reason: str, now: datetime) -> None:
    """One decision, approved by asking for it: a group for what is done alike, an item a contact."""
    decision = Decision.objects.create(
        run=run,
        kind=DecisionKind.UNDO,
        status=DecisionStatus.APPROVED,
        title=title,
        rationale="A person takes it back. Whoever has said no meanwhile, or is somewhere else, stays.",
        source=AnswerSource.RULES,
        confidence=1.0,
        reasons=[f"{by.get_username()} asked for it."],
        created_at=now,
        deadline=now,
        reviewed_at=now,
        reviewed_by=by,
        note=reason.strip() or title,
    )
    alike: dict[tuple[ItemAction, int | None, int | None], list[Deed]] = defaultdict(list)
    for deed in plan.deeds:
        alike[deed.action, deed.source, deed.target].append(deed)
    names = dict(ContactList.objects.values_list("pk", "name"))
    total = sum(rotation.sizes().values())
    position = 0
    for n, (key, deeds) in enumerate(alike.items(), 1):
        group = DecisionGroup.objects.create(
            decision=decision,
            position=n,
            key=":".join(str(part or "") for part in key),
            action=key[0],
            title=_group_title(key, len(deeds), names=names),
            contacts=len(deeds),
            share=min(1.0, len(deeds) / total) if total else 0.0,
            confidence=1.0,
        )
        position = group.fill([_item(deed) for deed in deeds], after=position)
    decision.what_if = rebalancing.what_if(decision)
    decision.save(update_fields=["what_if"])


def _item(deed: Deed) -> DecisionItem:
    return DecisionItem(
        contact_id=deed.contact,
        source_list_id=deed.source,
        target_list_id=deed.target,
        undoes_id=deed.undoes,
    )


def _title(undone: ListMaintenanceLog, scope: Scope, plan: Plan) -> str:
    return f"Undo run {undone.pk}{scope.words}: {contacts_in_words(len(plan.deeds))}"


def _group_title(
    key: tuple[ItemAction, int | None, int | None], number: int, *, names: Mapping[int, str]
) -> str:
    action, source, target = key
    who = contacts_in_words(number)
    match action:
        case ItemAction.RESTORE if target is not None:
            return f"{who}: suppression lifted, and back on {names[target]}"
        case ItemAction.RESTORE:
            return f"{who}: suppression lifted, and into the backlog, since there is no list to go back to"
        case ItemAction.RELEASE:
            return f"{who}: placement undone, off {names[source or 0]} and into the backlog again"
        case ItemAction.MOVE:
            return f"{who}: moved back from {names[source or 0]} to {names[target or 0]}, to their old place"
        case _:
            return f"{who}: a move that never got to its end, off {names[source or 0]} again"


# --- The two steps ---------------------------------------------------------------------------------------


def take_back(hand: Hand) -> Next:
    """1. Carry it out."""
    return carry_out(hand, hand.run.decisions.get(kind=DecisionKind.UNDO))


def carry_out(hand: Hand, decision: Decision) -> Next:
    """Do what an approved decision takes back; what would break P5 waits for the end of the cycle."""
    left = decision.items.filter(status=ItemStatus.PROPOSED, operations=None)
    waiting = undoable.must_wait(undoable.deeds_left(left), at=hand.now)
    later = list(left.filter(contact__in=waiting).values_list("pk", flat=True))
    journal.intend(hand, [decision], but=later)
    if (not_done := execution.drive(hand)) is not None:
        return not_done
    if later and hand.now < hand.run.created_at + WAITS_AT_MOST:
        return Wait(until=hand.now + ASKED_AGAIN_AFTER, for_=CYCLE)
    if later:
        with hand.lease.writing():
            DecisionItem.objects.filter(pk__in=later).update(status=ItemStatus.DROPPED, why=NO_GAP)
    return Done()


def report(hand: Hand) -> Next:
    """2. Say what was taken back, who was left alone and why, and whom Mailjet probably still blocks."""
    with hand.lease.writing() as run:
        run.state_after = rotation.state()
        run.counts = {**run.counts, **_counts(run)}
        run.report = text(run)
        run.save(update_fields=["state_after", "counts", "report"])
        audit.note(run.undoes or run, "undo ended", by=run.triggered_by, now=hand.now, **run.counts)
        notify.run_done(run, site_url=hand.outside.configuration.site_url, now=hand.now)
    return Done()


STEPS: Mapping[Step, StepFunction] = {Step.TAKE_BACK: take_back, Step.REPORT: report}


# --- Telling ---------------------------------------------------------------------------------------------


def _counts(run: ListMaintenanceLog) -> dict[str, object]:
    """What was executed, in contacts; and who was left alone, at the start and by the checks, by reason."""
    items = DecisionItem.objects.filter(decision__run=run)
    done = Counter(items.filter(status=ItemStatus.EXECUTED).values_list("action", flat=True))
    dropped = Counter(items.filter(status=ItemStatus.DROPPED).values_list("why", flat=True))
    left_alone = Counter(run.counts.get("left_alone", {})) + dropped
    return {
        "restored": done[ItemAction.RESTORE],
        "released": done[ItemAction.RELEASE],
        "moved_back": done[ItemAction.MOVE],
        "taken_off": done[ItemAction.TAKE_OFF],
        "dropped": sum(dropped.values()),
        "failed": items.filter(status=ItemStatus.FAILED).count(),
        "still_blocked": still_blocked(run).count(),
        "left_alone": dict(left_alone.most_common()),
    }


def still_blocked(run: ListMaintenanceLog) -> QuerySet[Contact]:
    """Contacts that the run put back and Mailjet probably still blocks."""
    restored = DecisionItem.objects.filter(
        decision__run=run, action=ItemAction.RESTORE, status=ItemStatus.EXECUTED
    )
    return undoable.probably_blocked(restored.values_list("contact", flat=True))


def text(run: ListMaintenanceLog) -> str:
    """What was taken back, for people; without addresses."""
    counts = run.counts
    done = [f"{contacts_in_words(counts[name])} {words}" for name, words in _DEEDS.items() if counts[name]]
    what = f"Undo of run {run.undoes_id}" if run.undoes_id is not None else "Suppressions lifted"
    lines = [f"{what}, by {run.triggered_by}: {', '.join(done) or 'nobody was changed'}."]
    lines += [f"- left alone, {why}: {number:,}" for why, number in counts["left_alone"].items()]
    if counts["failed"]:
        lines.append(f"- could not be changed at Mailjet: {counts['failed']:,}; undo the run again")
    if counts["still_blocked"]:
        lines.append(
            f"- probably still blocked by Mailjet itself: {counts['still_blocked']:,}. Being on a list again "
            "does not change that; the run's page has the list for Mailjet's support."
        )
    if run.override:
        lines.append(f"- done although list management was off or paused, because: {run.override}")
    return "\n".join(lines)


_DEEDS = {
    "restored": "no longer suppressed",
    "released": "off the list they were placed on",
    "moved_back": "moved back",
    "taken_off": "off the list of a move that never got to its end",
}
_ACTIONS = {
    "restored": ItemAction.RESTORE,
    "released": ItemAction.RELEASE,
    "moved_back": ItemAction.MOVE,
    "taken_off": ItemAction.TAKE_OFF,
}
