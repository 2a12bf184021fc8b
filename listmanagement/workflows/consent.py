"""The consent run: what contacts said of themselves is applied where they are now, within minutes.

Consent is not judgement: no model, cap, observation, review or expiry. It takes no rotation lease, knows no
freeze, and waits only for changes under way to the same contacts. What cannot be applied is tried again
after pauses that grow, and told. Only P9 keeps it, visibly; before "Start observing" nothing starts at all.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice, takewhile

from listmanagement.domain.bounces import BounceClass
from listmanagement.domain.consent import LATE_AFTER, TOLD_AFTER, pause_after
from listmanagement.domain.suppression import Region
from listmanagement.domain.telling import people
from listmanagement.models import (
    AnswerSource,
    Bounce,
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
    RolloutState,
    RunKind,
    RunStage,
    RunStatus,
    Step,
    Trigger,
)
from listmanagement.outside import Configuration
from listmanagement.workflows import consent_due, lists, notify, permission
from listmanagement.workflows.changes import journal, whereabouts
from listmanagement.workflows.consent_due import Due
from listmanagement.workflows.running import starting
from listmanagement.workflows.running.steps import Done, Hand, Next, StepFunction, Wait

MOST_AT_ONCE = 5000
"""Contacts that one run takes in hand. The rest is the next one's."""

LATELY = timedelta(hours=1)
"""What was told within it is looked for at every sweep, which costs a millisecond; else every two minutes."""

SPACED = timedelta(minutes=1)
"""A run that waits for Mailjet keeps nobody else waiting: so much later the next one may start."""

SHOWN = 20
"""Contact ids that a message names."""

SETTLED_SOON = timedelta(seconds=5)

RULE = (
    "Made by the consent rule: what people say of themselves is applied where they are now, without "
    "judgement, cap or review. No machine takes it back."
)


# --- Starting ----------------------------------------------------------------------------------------


def start_if_needed(
    *, configuration: Configuration, now: datetime, told_since: datetime | None = None
) -> ListMaintenanceLog | None:
    """A new run where something is due that no run has in hand; None where none is needed.

    With `told_since` only what was told since then is looked at, which costs next to nothing. Two who ask at
    once make one run (P11). Tells people when a run has not been able to do its work for five minutes.
    """
    if not _has_begun() or not consent_due.is_any(told_since=told_since):
        return None
    runs = ListMaintenanceLog.objects.filter(kind=RunKind.CONSENT)
    _tell_late(runs.unfinished().order_by("pk").first(), configuration=configuration, now=now)
    last = runs.order_by("-pk").first()
    if last is not None and not _may_follow(last, now=now):
        return None
    if not consent_due.ready(now=now) and not consent_due.unlocated(told_since=told_since).exists():
        return None
    return starting.create(
        f"{RunKind.CONSENT}:{last.pk if last else 0}",
        kind=RunKind.CONSENT,
        stage=RunStage.ACT,
        trigger=Trigger.SCHEDULE,
        by=None,
        now=now,
        step=Step.FIND_CONSENT,
    )


def _has_begun() -> bool:
    """Whether somebody started observing: before that nothing is executed at all."""
    return RolloutState.objects.filter(observing_since__isnull=False).exists()


def _may_follow(last: ListMaintenanceLog, *, now: datetime) -> bool:
    """Whether another run may start after the one before: not while that looks around, nor in a hot loop."""
    if last.status == RunStatus.FAILED:
        return _has_rested(now=now)
    if last.finished_at is not None:
        return True
    return last.step == Step.APPLY_CONSENT and last.created_at <= now - SPACED


def _has_rested(*, now: datetime) -> bool:
    """Whether the runs that failed in a row, the last one included, failed long enough ago."""
    latest = ListMaintenanceLog.objects.filter(kind=RunKind.CONSENT).order_by("-pk")
    failed = list(takewhile(lambda run: run.status == RunStatus.FAILED, islice(latest.iterator(), 20)))
    ended_at = failed[0].finished_at
    assert ended_at is not None
    return now >= ended_at + pause_after(len(failed))


def _tell_late(run: ListMaintenanceLog | None, *, configuration: Configuration, now: datetime) -> None:
    """Somebody should know when what people said is not applied within five minutes, once a run."""
    if run is None or run.created_at > now - LATE_AFTER:
        return
    why = permission.why_off(enabled=configuration.enabled) or run.waits_for or "it is still at work"
    notify.alert(
        f"consent:{run.pk}:late",
        header="Opt-outs and complaints wait",
        words=(
            f"consent run {run.pk} has not been able to apply what contacts said since "
            f"{run.created_at:%d %B %H:%M} UTC: {why}"
        ),
        now=now,
    )


def notice(*, now: datetime) -> str | None:
    """What people should know on every page: how many wait since when, and for whom it fails. Cheap.

    None where all is well: a run that began less than a minute ago is nothing to look at.
    """
    if not _has_begun():
        return _before_observing()
    said = []
    runs = ListMaintenanceLog.objects.unfinished().filter(kind=RunKind.CONSENT)
    if (oldest := runs.filter(created_at__lte=now - SPACED).order_by("pk").first()) is not None:
        number = consent_due.in_hand().count() or oldest.counts.get("waiting", 0)
        since = f"{oldest.created_at:%d %B %H:%M} UTC"
        said.append(
            f"{people(number)} opted out or complained, which is not applied yet: run {oldest.pk} waits "
            f"since {since} for {oldest.waits_for or 'a worker'}."
        )
    if failing := consent_due.failing(now=now):
        shown = ", ".join(map(str, failing[:SHOWN]))
        said.append(
            f"What {people(len(failing))} asked for could not be applied in {TOLD_AFTER} tries or more "
            f"({shown}): Evenkeel goes on trying."
        )
    return " ".join(said) or None


def _before_observing() -> str | None:
    waiting = consent_due.waiting()
    if waiting is None:
        return None
    return (
        f"Opted out or complained, and still on a campaign list: {people(waiting.contacts)}. Nothing is "
        "changed before observing is started."
    )


# --- The two steps -----------------------------------------------------------------------------------


def find(hand: Hand) -> Next:
    """1. Who opted out or complained, and where are they now? What is to be done becomes a decision.

    Asked for at Mailjet are also those of whom nothing is due by what is known here: they may be elsewhere.
    """
    if (why := why_kept(enabled=hand.outside.configuration.enabled)) is not None:
        return _wait_kept(hand, why)
    if hand.run.decisions.exists():
        return Done()
    lists.note_deleted(mailjet=hand.outside.mailjet)
    sought = {*consent_due.ready(now=hand.now), *consent_due.unlocated().values_list("pk", flat=True)}
    free = sorted(sought - consent_due.busy(sought))[:MOST_AT_ONCE]
    if sought and not free:
        return Wait(until=hand.now + SETTLED_SOON, for_="a change of the same contacts to end")
    whereabouts.look(free, mailjet=hand.outside.mailjet, now=hand.now)
    with hand.lease.writing() as run:
        _decide(run, consent_due.ready(now=hand.now, among=free).values(), now=hand.now)
        run.counts = {}
        run.save(update_fields=["counts"])
    return Done()


def apply(hand: Hand) -> Next:
    """2. Apply it, see it applied, and say what was done."""
    journal.intend(hand, hand.run.decisions.filter(status=DecisionStatus.CLEAR))
    outcome = journal.drive(hand)
    if not isinstance(outcome, Done):
        return outcome
    with hand.lease.writing() as run:
        _conclude(run, now=hand.now)
    return Done()


STEPS: Mapping[Step, StepFunction] = {Step.FIND_CONSENT: find, Step.APPLY_CONSENT: apply}


def why_kept(*, enabled: bool) -> str | None:
    """What keeps everything that contacts said from being applied now, in words; None when nothing does."""
    if not _has_begun():
        return "observing has not been started: nothing is changed before"
    return permission.why_off(enabled=enabled)


def _wait_kept(hand: Hand, why: str) -> Wait:
    """Say how many wait meanwhile, where people look."""
    with hand.lease.writing() as run:
        run.counts = {**run.counts, "waiting": len(consent_due.everything())}
        run.save(update_fields=["counts"])
    return Wait(until=hand.now + permission.ASKED_AGAIN_AFTER, for_=why)


# --- The decision ------------------------------------------------------------------------------------


def _decide(run: ListMaintenanceLog, due: Iterable[Due], *, now: datetime) -> None:
    """One decision, clear from the start: a group for what is done alike, an item a contact."""
    alike: dict[tuple[ItemAction, tuple[int, ...]], list[Due]] = defaultdict(list)
    for each in due:
        alike[each.action, each.lists if each.action is ItemAction.UNSUBSCRIBE else ()].append(each)
    if not alike:
        return
    names = dict(ContactList.objects.values_list("pk", "name"))
    titles = {key: _title(key, len(members), names=names) for key, members in alike.items()}
    decision = Decision.objects.create(
        run=run,
        kind=DecisionKind.CONSENT,
        status=DecisionStatus.CLEAR,
        title=titles.popitem()[1] if len(titles) == 1 else _summary(alike),
        rationale=RULE,
        source=AnswerSource.RULES,
        confidence=1.0,
        created_at=now,
    )
    position = 0
    for n, (key, members) in enumerate(sorted(alike.items()), 1):
        group = _write_group(decision, key, members, names=names, position=n)
        position = _write_items(group, members, after=position)


def _title(key: tuple[ItemAction, tuple[int, ...]], number: int, *, names: Mapping[int, str]) -> str:
    action, on = key
    if action is ItemAction.COMPLAINT:
        return f"{people(number)} complained: off the campaign lists, onto the suppression list"
    return f"{people(number)} opted out: unsubscribed on {' and '.join(names[each] for each in on)}"


def _summary(alike: Mapping[tuple[ItemAction, tuple[int, ...]], Sequence[Due]]) -> str:
    counted = {
        action: sum(len(members) for (of, _), members in alike.items() if of is action)
        for action in (ItemAction.UNSUBSCRIBE, ItemAction.COMPLAINT)
    }
    parts = [
        f"{people(number)} {verb}"
        for number, verb in zip(counted.values(), ("opted out", "complained"), strict=True)
        if number
    ]
    return f"{' and '.join(parts)}: applied where they are"


def _write_group(
    decision: Decision,
    key: tuple[ItemAction, tuple[int, ...]],
    members: Sequence[Due],
    *,
    names: Mapping[int, str],
    position: int,
) -> DecisionGroup:
    action, on = key
    of = ContactListMembership.objects.current().filter(list__role=Role.CAMPAIGN)
    size = (of.filter(list__in=on) if on else of).count()
    return DecisionGroup.objects.create(
        decision=decision,
        position=position,
        key=":".join([action, *map(str, on)]),
        action=action,
        title=_title(key, len(members), names=names),
        region=Region.CONSENT,
        contacts=len(members),
        share=min(1.0, len(members) / size) if size else 1.0,
        confidence=1.0,
        rationale=_told_by(members),
    )


def _write_items(group: DecisionGroup, members: Sequence[Due], *, after: int) -> int:
    proof = _complaints_seen([each.contact_id for each in members])
    return group.fill(
        [
            DecisionItem(
                contact_id=each.contact_id,
                source_list_id=each.lists[0] if each.lists else None,
                evidence_id=proof.get(each.contact_id) if group.action == ItemAction.COMPLAINT else None,
            )
            for each in sorted(members, key=lambda each: each.contact_id)
        ],
        after=after,
    )


def _told_by(members: Sequence[Due]) -> str:
    """What told us, counted: "Told by: list 2, message 1"."""
    said = Contact.objects.filter(pk__in=[each.contact_id for each in members])
    complained = members[0].action is ItemAction.COMPLAINT
    words = said.values_list("complained_by" if complained else "opted_out_by", flat=True)
    counted = Counter(re.sub(r"\s*\d.*", "", each) for each in words)
    return "Told by: " + ", ".join(f"{who} {number:,}" for who, number in counted.most_common()) + "."


def _complaints_seen(contacts: Sequence[int]) -> dict[int, int]:
    """The evidence of each contact's latest complaint, where a message is known."""
    seen = Bounce.objects.filter(
        recipient__contact__in=contacts, recipient__bounce_class=BounceClass.COMPLAINT
    )
    return dict(seen.order_by("at", "pk").values_list("recipient__contact", "pk"))


# --- The end -----------------------------------------------------------------------------------------


def _conclude(run: ListMaintenanceLog, *, now: datetime) -> None:
    """Write down what was done, and tell of whom it could not be done for. Under the run's lease."""
    items = DecisionItem.objects.filter(decision__run=run)
    done = items.filter(status=ItemStatus.EXECUTED)
    failed = items.filter(status=ItemStatus.FAILED)
    counts = {
        "unsubscribed": done.filter(action=ItemAction.UNSUBSCRIBE).count(),
        "suppressed": done.filter(action=ItemAction.COMPLAINT).count(),
        "dropped": items.filter(status=ItemStatus.DROPPED).count(),
        "failed": failed.count(),
    }
    run.counts = counts
    run.report = _report(counts)
    why = Counter(failed.values_list("why", flat=True))
    run.errors = [
        *run.errors,
        *(
            {
                "at": now.isoformat(),
                "step": run.step,
                "what": f"{people(number)}: {words}; tried again later",
            }
            for words, number in why.most_common(10)
        ),
    ]
    run.save(update_fields=["counts", "report", "errors"])
    _tell_failing(run, failed.values_list("contact", "action"), now=now)


def _report(counts: Mapping[str, int]) -> str:
    """What the run did, in sentences."""
    said = [
        (counts["unsubscribed"], "opted out and {is_are} unsubscribed on the campaign lists they were on"),
        (counts["suppressed"], "complained and {is_are} off the campaign lists and suppressed"),
        (counts["dropped"], "needed nothing any more; each item says why"),
        (counts["failed"], "could not be changed at Mailjet, and {is_are} tried again later"),
    ]
    sentences = [
        f"{people(number)} {words.format(is_are='is' if number == 1 else 'are')}."
        for number, words in said
        if number
    ]
    return " ".join(sentences) or "Everybody who said something stands as they said: nothing was to be done."


def _tell_failing(run: ListMaintenanceLog, failed: Iterable[tuple[int, str]], *, now: datetime) -> None:
    """Somebody should look at contacts whose wish has failed three times: told once, with that try."""
    known = consent_due.tries([contact for contact, _ in failed])
    third = sorted(contact for (contact, _), each in known.items() if each.failures == TOLD_AFTER)
    if third:
        shown = ", ".join(map(str, third[:SHOWN])) + (" and more" if len(third) > SHOWN else "")
        notify.alert(
            f"consent:{run.pk}:failing",
            header="Opt-outs or complaints cannot be applied",
            words=(
                f"{people(len(third))} ({shown}) opted out or complained, and {TOLD_AFTER} tries to apply "
                f"it failed. Run {run.pk} says why; Evenkeel goes on trying, less and less often. Until then "
                "take them off their campaign lists by hand"
            ),
            now=now,
        )
