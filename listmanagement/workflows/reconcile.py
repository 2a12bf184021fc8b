"""Reconciliation: once a day the mirror, the promises and the counts are held against Mailjet.

Opt-outs and complaints heal alone, by the consent run. What people changed at Mailjet after an operation of
ours is theirs to decide, and asked once: approving puts it back, rejecting (or taking contacts out) accepts
it. We never change it back by ourselves.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User

from listmanagement.domain import autonomy, cycle, reconciliation
from listmanagement.domain.reconciliation import LIFTED, Drift, Finding
from listmanagement.domain.telling import people
from listmanagement.models import (
    REVIEWED,
    AnswerSource,
    ContactList,
    ContactListMembership,
    ContactSuppressionHistory,
    Decision,
    DecisionGroup,
    DecisionItem,
    DecisionKind,
    DecisionStatus,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    Role,
    RunKind,
    RunStage,
    RunStatus,
    Step,
    SuppressionKind,
    Trigger,
)
from listmanagement.outside import Configuration
from listmanagement.workflows import (
    consent,
    consent_due,
    counting,
    drifts,
    lists,
    mirror,
    notify,
    permission,
    promises,
    rotation,
)
from listmanagement.workflows.by_people import audit
from listmanagement.workflows.changes import execution, lifts
from listmanagement.workflows.drifts import Comparison
from listmanagement.workflows.maintenance import drafts, rebalancing
from listmanagement.workflows.permission import rounds_of
from listmanagement.workflows.running import starting
from listmanagement.workflows.running.steps import Done, Finish, Hand, Next, StepFunction, Wait

RELEASED, OFF_THE_LISTS = "released", "off_the_lists"
"""Groups of what follows from accepting: off the suppression list; off the campaign lists."""

AGAIN_AFTER = timedelta(minutes=1)
"""When the mirror is looked at again that another process is refreshing."""

WHY_ASKED = "people changed this at Mailjet after us, so people decide whether it stays"


# --- Starting ----------------------------------------------------------------------------------------


def start(
    *, trigger: Trigger, by: User | None, configuration: Configuration, now: datetime
) -> ListMaintenanceLog:
    """A run; or the one that is comparing at this moment. The schedule makes one a day, whoever asks (P11).

    It compares and reports also while everything is off: then, and while only observing, nobody is asked and
    nothing executes. Nothing is sent to Mailjet here.
    """
    runs = ListMaintenanceLog.objects.filter(kind=RunKind.RECONCILIATION)
    comparing = runs.unfinished().filter(step__in=[Step.READ_MAILJET, Step.COMPARE]).order_by("pk").first()
    if comparing is not None:
        return comparing
    watches = drafts.only_watches(enabled=configuration.enabled, at=now)
    return starting.create_for(
        now,
        kind=RunKind.RECONCILIATION,
        stage=RunStage.OBSERVE if watches else RunStage.ACT,
        trigger=trigger,
        by=by,
        now=now,
        step=Step.READ_MAILJET,
    )


# --- The four steps ----------------------------------------------------------------------------------


def read_mailjet(hand: Hand) -> Next:
    """1. Read every list whole, in the background. What one reading missed is read once more."""
    mailjet = hand.outside.mailjet
    with mailjet.in_background():
        problem = lists.problem(hand.outside.configuration, mailjet=mailjet)
        if problem is not None:
            return Finish(RunStatus.FAILED, problem)
        try:
            mirror.refresh_all(mailjet=mailjet, now=hand.now)
        except mirror.RefreshUnderWay as another:
            return Wait(until=hand.now + AGAIN_AFTER, for_=str(another))
        missed = ContactListMembership.objects.current().filter(missing_since__isnull=False)
        for contact_list in ContactList.objects.filter(pk__in=missed.values("list")):
            mirror.refresh(contact_list, mailjet=mailjet, now=hand.now)
    with hand.lease.writing() as run:
        run.state_before = rotation.state()
        run.save(update_fields=["state_before"])
    return Done()


def compare(hand: Hand) -> Next:
    """2. What differs, by name; what people are asked about becomes one decision."""
    if "drifts" in hand.run.counts:
        return Done()
    consent.start_if_needed(configuration=hand.outside.configuration, now=hand.now)
    with hand.lease.writing():
        recorded = drifts.record_first_sight(now=hand.now)
    with hand.outside.mailjet.in_background():
        shown = counting.of_lists(mailjet=hand.outside.mailjet, now=hand.now)
        campaigns = counting.of_campaigns(mailjet=hand.outside.mailjet, now=hand.now)
        broken = promises.broken(mailjet=hand.outside.mailjet, now=hand.now)
    with hand.lease.writing() as run:
        told = drifts.compare(at=hand.now, afresh=run.trigger == Trigger.PERSON)
        asked = _ask(hand, run, told)
        run.counts = {
            "lists": [{**asdict(each), "difference": each.difference} for each in shown],
            "counts_match": not campaigns and all(each.matches for each in shown),
            "campaigns": [asdict(each) for each in campaigns],
            "promises_broken": broken,
            "drifts": {drift.value: told.found[drift] for drift in Drift},
            "asked": asked,
            "waiting": told.waiting,
            "accepted": told.accepted,
            "given_up": told.given_up,
            "later": dict(told.later),
            "recorded": recorded,
            "healing": len(consent_due.everything()),
        }
        run.save(update_fields=["counts"])
        _alert(run, now=hand.now)
    return Done()


def settle(hand: Hand) -> Next:
    """3. Wait for the review; execute what was approved; do what follows from what was accepted."""
    outcome = execution.carry_out(hand, DecisionKind.RECONCILIATION)
    if not isinstance(outcome, Done):
        return outcome
    with hand.lease.writing() as run:
        follows = _accept(run, now=hand.now)
    return execution.carry_out(hand, DecisionKind.RECONCILIATION) if follows else Done()


def report(hand: Hand) -> Next:
    """4. Say what was found and what became of it."""
    with hand.lease.writing() as run:
        run.state_after = rotation.state()
        run.counts = {**run.counts, **_done_counts(run)}
        run.report = text(run)
        run.save(update_fields=["state_after", "counts", "report"])
        if run.decisions.exists():
            notify.run_done(run, site_url=hand.outside.configuration.site_url, now=hand.now)
    return Done()


STEPS: Mapping[Step, StepFunction] = {
    Step.READ_MAILJET: read_mailjet,
    Step.COMPARE: compare,
    Step.SETTLE: settle,
    Step.REPORT: report,
}


# --- Asking ------------------------------------------------------------------------------------------


def _ask(hand: Hand, run: ListMaintenanceLog, told: Comparison) -> int:
    """One decision, where anything is to be asked and could be executed. Returns how many contacts it has."""
    off = permission.why_off(enabled=hand.outside.configuration.enabled)
    if run.stage == RunStage.OBSERVE or off is not None:
        why = off or "only observing: nobody is asked yet"
        told.later[why] += len(told.to_ask)
        told.to_ask.clear()
    by_drift: dict[Drift, list[Finding]] = defaultdict(list)
    for finding in told.to_ask:
        by_drift[finding.drift].append(finding)
    groups = [(drift, by_drift[drift]) for drift in Drift if by_drift[drift]]
    for _, put_off in groups[drafts.MOST_GROUPS :]:
        told.later["asked about when the more urgent is decided"] += len(put_off)
    if not (asked := groups[: drafts.MOST_GROUPS]):
        return 0
    decision = _write_decision(run, asked, now=hand.now)
    notify.decision_needed(decision, site_url=hand.outside.configuration.site_url, now=hand.now)
    return sum(len(members) for _, members in asked)


def _write_decision(
    run: ListMaintenanceLog, groups: Sequence[tuple[Drift, Sequence[Finding]]], *, now: datetime
) -> Decision:
    number = sum(len(members) for _, members in groups)
    decision = Decision.objects.create(
        run=run,
        kind=DecisionKind.RECONCILIATION,
        status=DecisionStatus.OPEN,
        title=f"{people(number)} changed at Mailjet by people: put back, or accept",
        source=AnswerSource.RULES,
        confidence=1.0,
        reasons=[WHY_ASKED],
        default_choice=False,
        created_at=now,
        deadline=_deadline(groups, at=now),
    )
    members_of_all = sum(rotation.sizes().values())
    position = 0
    for n, (drift, members) in enumerate(groups, 1):
        words = reconciliation.WORDS[drift]
        group = DecisionGroup.objects.create(
            decision=decision,
            position=n,
            key=drift.value,
            action=ItemAction(members[0].deed.value),
            title=f"{people(len(members))} {words.title}",
            why=words.happened,
            contacts=len(members),
            share=min(len(members) / members_of_all, 1.0) if members_of_all else 0.0,
            confidence=1.0,
            reasons=[WHY_ASKED],
        )
        position = group.fill([_item(finding) for finding in members], after=position)
    decision.what_if = rebalancing.what_if(decision)
    decision.save(update_fields=["what_if"])
    return decision


def _item(finding: Finding) -> DecisionItem:
    return DecisionItem(
        contact_id=finding.contact_id,
        source_list_id=finding.source,
        target_list_id=finding.target,
        membership_id=finding.membership_id,
    )


def _deadline(groups: Sequence[tuple[Drift, Sequence[Finding]]], *, at: datetime) -> datetime:
    """The next freeze of a list that a contact concerned is on, or would be; seven days at the latest."""
    findings = [finding for _, members in groups for finding in members]
    touched = {pk for finding in findings for pk in (finding.source, finding.target) if pk is not None}
    contacts = [finding.contact_id for finding in findings]
    here = ContactListMembership.objects.active().filter(contact__in=contacts)
    touched |= set(here.values_list("list_id", flat=True).distinct())
    concerned = ContactList.objects.rotation().filter(pk__in=touched)
    return autonomy.deadline([cycle.next_freeze(rounds_of(each), at=at) for each in concerned], now=at)


# --- Accepting ---------------------------------------------------------------------------------------


def _accept(run: ListMaintenanceLog, *, now: datetime) -> bool:
    """Do what follows from accepting what people changed, once. Whether anything at Mailjet follows.

    A suppression is lifted, with who and why; who stays on the suppression list is recorded as found. Both
    leave the contact in one place (P4), which is journaled as a decision of its own.
    """
    decision = run.decisions.filter(kind=DecisionKind.RECONCILIATION, status__in=REVIEWED).first()
    if decision is None or "lifted" in run.counts:
        return False
    assert decision.reviewed_by is not None
    items = decision.items.filter(status__in=_accepted(decision))
    by_drift: dict[str, list[int]] = defaultdict(list)
    for drift, contact_id in items.values_list("group__key", "contact_id"):
        by_drift[drift].append(contact_id)
    freed = [contact_id for drift in LIFTED for contact_id in by_drift[drift]]
    lifted = lifts.lift(
        freed,
        decided_since=decision.created_at,
        by=decision.reviewed_by,
        why=decision.note or f"accepted in decision {decision.pk}",
        now=now,
    )
    recorded = _record(by_drift[Drift.LISTED], decision, now=now)
    if lifted or recorded:
        audit.note(decision, "accepted", by=decision.reviewed_by, now=now, lifted=lifted, recorded=recorded)
    run.counts = {**run.counts, "lifted": len(lifted), "recorded": run.counts["recorded"] + len(recorded)}
    run.save(update_fields=["counts"])
    return _follow_up(decision, lifted=lifted, recorded=recorded, now=now)


def _accepted(decision: Decision) -> Collection[ItemStatus]:
    """Rejecting accepts everything; approving accepts whom the reviewer took out."""
    if decision.status == DecisionStatus.REJECTED:
        return (ItemStatus.PROPOSED, ItemStatus.TAKEN_OUT)
    return (ItemStatus.TAKEN_OUT,)


def _record(contacts: Collection[int], decision: Decision, *, now: datetime) -> list[int]:
    """Write down as found who is on the suppression list and stays there. Returns who was recorded."""
    here = ContactListMembership.objects.current().filter(contact__in=contacts, list__role=Role.SUPPRESSION)
    standing = ContactSuppressionHistory.objects.standing().filter(contact__in=contacts)
    found = set(here.values_list("contact_id", flat=True)) - set(
        standing.values_list("contact_id", flat=True)
    )
    ContactSuppressionHistory.objects.bulk_create(
        ContactSuppressionHistory(
            contact_id=contact_id,
            kind=SuppressionKind.IMPORTED,
            at=now,
            reason=f"put on the suppression list at Mailjet by people; accepted in decision {decision.pk}",
        )
        for contact_id in sorted(found)
    )
    return sorted(found)


def _follow_up(
    decision: Decision, *, lifted: Collection[int], recorded: Collection[int], now: datetime
) -> bool:
    """Journal what accepting leaves to do at Mailjet; whether anything is."""
    suppression_list = ContactList.objects.suppression()
    current = ContactListMembership.objects.current()
    still_listed = current.filter(contact__in=lifted, list=suppression_list)
    still_mailed = current.filter(contact__in=recorded, list__role=Role.CAMPAIGN)
    released = sorted(still_listed.values_list("contact_id", flat=True))
    leaving = sorted(set(still_mailed.values_list("contact_id", flat=True)))
    if not released and not leaving:
        return False
    own = Decision.objects.create(
        run=decision.run,
        kind=DecisionKind.RECONCILIATION,
        status=DecisionStatus.CLEAR,
        title=f"{people(len(released) + len(leaving))} in two places: accepted in decision {decision.pk}",
        source=AnswerSource.RULES,
        confidence=1.0,
        rationale=f"{decision.reviewed_by} accepted what people changed; nobody stays in two places.",
        created_at=now,
    )
    off, on = {"source_list": suppression_list}, {"target_list": suppression_list}
    _write_group(own, RELEASED, ItemAction.TAKE_OFF, released, title="off the suppression list", legs=off)
    _write_group(own, OFF_THE_LISTS, ItemAction.PUT_BACK, leaving, title="off the campaign lists", legs=on)
    return True


def _write_group(
    decision: Decision,
    key: str,
    action: ItemAction,
    contacts: Sequence[int],
    *,
    title: str,
    legs: Mapping[str, ContactList],
) -> None:
    if not contacts:
        return
    before = decision.items.count()
    group = DecisionGroup.objects.create(
        decision=decision,
        position=decision.groups.count() + 1,
        key=key,
        action=action,
        title=f"{people(len(contacts))} {title}",
        contacts=len(contacts),
        share=0.0,
        confidence=1.0,
    )
    group.fill([DecisionItem(contact_id=contact_id, **legs) for contact_id in contacts], after=before)


# --- Telling -----------------------------------------------------------------------------------------


def _done_counts(run: ListMaintenanceLog) -> dict[str, int]:
    """What was executed, in contacts."""
    items = DecisionItem.objects.filter(decision__run=run)
    done = Counter(items.filter(status=ItemStatus.EXECUTED).values_list("action", flat=True))
    return {
        "put_back": done[ItemAction.PUT_BACK],
        "taken_off": done[ItemAction.TAKE_OFF],
        "moved": done[ItemAction.MOVE],
        "dropped": items.filter(status=ItemStatus.DROPPED).count(),
        "failed": items.filter(status=ItemStatus.FAILED).count(),
        "lifted": run.counts.get("lifted", 0),
    }


def problems(run: ListMaintenanceLog) -> list[str]:
    """What somebody should look at, in sentences without addresses; empty where nothing is."""
    found = []
    if broken := run.counts["promises_broken"]:
        found.append(
            f"promises broken: {', '.join(broken)}; manage.py verify_promises names contacts and what to do"
        )
    found += [
        f"{row['name']} has {row['mailjet']:,} members at Mailjet and {row['members']:,} here"
        for row in run.counts["lists"]
        if row["difference"] and not row["being_changed"]
    ]
    for campaign in run.counts["campaigns"]:
        differs = ", ".join(
            f"{name.replace('_', ' ')} {ours:,} here and {theirs:,} at Mailjet"
            for name, (ours, theirs) in campaign["differs"].items()
        )
        found.append(f"campaign {campaign['campaign_id']}: {differs}")
    return found


def _alert(run: ListMaintenanceLog, *, now: datetime) -> None:
    if found := problems(run):
        notify.does_not_match(run, words=found, now=now)


def text(run: ListMaintenanceLog) -> str:
    """What was found and done, for people; without addresses."""
    counts = run.counts
    found = {name: number for name, number in counts["drifts"].items() if number}
    lines = [_headline(run, found=sum(found.values()))]
    lines += [
        f"- {people(number)} {reconciliation.WORDS[Drift(name)].title}" for name, number in found.items()
    ]
    lines += [f"- not asked yet, {why}: {number:,}" for why, number in counts["later"].items()]
    if counts["healing"]:
        lines.append(f"- {people(counts['healing'])} who said no: the consent run sees to them")
    if counts["given_up"]:
        lines.append(
            f"- {people(counts['given_up'])} nobody decided on, asked {reconciliation.MOST_ASKED} times: "
            "manage.py reconcile asks again"
        )
    lines += [f"- {words}" for words in problems(run)]
    if "put_back" in counts and (done := _deeds(counts)):  # counted when everything is done
        lines.append(f"Done: {done}.")
    return "\n".join(lines)


def _headline(run: ListMaintenanceLog, *, found: int) -> str:
    if not found and not problems(run):
        return "Reconciliation: Mailjet shows what it should; nothing to decide."
    asked = run.counts["asked"]
    return f"Reconciliation: {people(found)} changed at Mailjet by people, {asked:,} of them asked about."


_DEEDS = {
    "put_back": "put back",
    "taken_off": "taken off a list",
    "moved": "moved back",
    "lifted": "suppressions lifted",
    "recorded": "recorded as found",
    "dropped": "left alone by the check before execution",
    "failed": "failed",
}


def _deeds(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{counts[name]:,} {words}" for name, words in _DEEDS.items() if counts[name])
