"""The journal: operations out to Mailjet, followed to their end, seen by reading back.

intended → *sending* (claimed and committed before the request) → submitted (job id) → applied, seen by
reading the lists | failed. What a crash leaves in *sending* is looked up at Mailjet, never resent blindly.
Jobs on the same lists follow one another; the lists are read back once, after the last of a run's.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from itertools import groupby

from django.db import connection
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from integrations.mailjet import (
    MOST_BYTES,
    Action,
    Job,
    JobId,
    JobStatus,
    JobSummary,
    ListChange,
    MailjetError,
    MailjetRejected,
    MailjetUncertain,
    batch_size,
    bytes_of,
)
from listmanagement.models import (
    CONSENT,
    EXECUTABLE,
    BatchChange,
    BatchKind,
    BatchStatus,
    ContactList,
    Decision,
    DecisionItem,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    ListOperation,
    OperationBatch,
    OperationStatus,
    Role,
)
from listmanagement.models.operations import BatchQuerySet
from listmanagement.workflows import addresses, campaigns, consent_due, permission
from listmanagement.workflows.changes import batches, checking, effects, moves
from listmanagement.workflows.permission import NotYet
from listmanagement.workflows.running.steps import Done, Hand, Next, Wait
from listmanagement.workflows.side_by_side import side_by_side

log = logging.getLogger("evenkeel.journal")

MOST_ATTEMPTS = 3
SURE_AFTER = timedelta(seconds=15)  # a job that Mailjet accepted shows in its list of jobs by then
HUNG_AFTER = timedelta(hours=2)  # then the lists are read, whatever the job says
LONGEST_POLL = 120  # seconds; a job is looked at when it is 1, 2, 4, 8 … seconds old
SEEN_WITHIN = timedelta(minutes=10)  # of its job's end, whatever else of the run is still under way
A_MOMENT = timedelta(seconds=1)
SIDE_BY_SIDE = (BatchKind.PLACE, BatchKind.MOVE_IN, BatchKind.MOVE_OUT)
MOST_SIDE_BY_SIDE = 3  # jobs of a run on one list at once
_CLAIMS = 0x636C61696D  # "claim": one number for all processes

# Contacts that are on two lists, or subscribed after an opt-out, are not left there after three attempts.
HALFWAY = (BatchKind.MOVE_OUT, BatchKind.CARRY_OPT_OUT)
HALFWAY_ATTEMPTS = 8
MINDS_SENDS = (
    BatchKind.PLACE,
    BatchKind.MOVE_IN,
    BatchKind.TAKE_OFF,
    BatchKind.PUT_BACK,
    BatchKind.RESTORE,
    BatchKind.RELEASE,
)
"""Before these it is asked whether a send has begun that nobody told us of."""
HALFWAY_PAUSE = timedelta(seconds=10)  # doubled with each attempt


# --- Intending ---------------------------------------------------------------------------------------


def intend(hand: Hand, decisions: Iterable[Decision], *, but: Collection[int] = ()) -> None:
    """Journal what approved and clear decisions ask for, once; `but` these items, later. Nothing is sent."""
    for decision in decisions:
        if decision.status not in EXECUTABLE:
            continue
        left = decision.items.filter(status=ItemStatus.PROPOSED, operations=None).exclude(pk__in=but)
        if not left.exists():
            continue
        with hand.lease.writing() as run:
            _intend_items(run, left.exclude(action=ItemAction.HOLD), at=hand.now)
            left.filter(action=ItemAction.HOLD).update(status=ItemStatus.EXECUTED)


def _intend_items(run: ListMaintenanceLog, items: QuerySet[DecisionItem], *, at: datetime) -> None:
    """Batches of items with the same action on the same lists, in order. Never more than one is in memory."""
    for action, sources, target, number in _legs(items, at=at):
        alike = items.filter(action=action, target_list=target).filter(_from(sources))
        rows = alike.select_related("contact", "source_list", "target_list").order_by("position")
        for group in _requests(rows.iterator(chunk_size=1000), most=batch_size(number)):
            _INTEND[action](run, group)


_ON_EVERY_LIST = (ItemAction.SUPPRESS, ItemAction.COMPLAINT, ItemAction.UNSUBSCRIBE)
"""Done wherever the contacts are: their item's source is where they were found."""

Leg = tuple[ItemAction, Sequence[int | None], int | None, int]
"""What is done, from which lists, to which, for how many."""


def _legs(items: QuerySet[DecisionItem], *, at: datetime) -> list[Leg]:
    """What goes together: by its lists. What is done on every list goes together from all of them.

    But whoever is on a list that is frozen, or soon will be, keeps nobody else waiting.
    """
    found: dict[tuple[int, int, int], list[tuple[int | None, int | None, int]]] = defaultdict(list)
    frozen = permission.frozen_lists(at=at)
    rows = items.order_by().values_list("action", "source_list", "target_list").annotate(n=Count("pk"))
    for action, source, target, number in rows:
        apart = action not in _ON_EVERY_LIST or source in frozen
        place = list(_INTEND).index(ItemAction(action)), (source or 0) if apart else 0, target or 0
        found[place].append((source, target, number))
    return [
        (list(_INTEND)[place], [source for source, _, _ in legs], legs[0][1], sum(n for _, _, n in legs))
        for (place, _, _), legs in sorted(found.items())
    ]


def _from(sources: Sequence[int | None]) -> Q:
    named = Q(source_list__in=[source for source in sources if source is not None])
    return named | Q(source_list=None) if None in sources else named


def _requests(items: Iterable[DecisionItem], *, most: int) -> Iterator[list[DecisionItem]]:
    """As many contacts a request as Mailjet should be sent at once, by number and by bytes."""
    group: list[DecisionItem] = []
    size = 0
    for item in items:
        length = bytes_of([item.contact.email or ""])
        if group and (len(group) == most or size + length > MOST_BYTES):
            yield group
            group, size = [], 0
        group.append(item)
        size += length
    if group:
        yield group


def _intend_suppression(run: ListMaintenanceLog, items: Sequence[DecisionItem]) -> None:
    """Off every campaign list and onto the suppression list, in one request."""
    changes = [(campaign_list, Action.REMOVE) for campaign_list in ContactList.objects.rotation()]
    batches.add(run, BatchKind.SUPPRESS, items, [*changes, (ContactList.objects.suppression(), Action.ADD)])


def _intend_placement(run: ListMaintenanceLog, items: Sequence[DecisionItem]) -> None:
    assert items[0].target_list is not None
    batches.add(run, BatchKind.PLACE, items, [(items[0].target_list, Action.ADD)])


def _intend_unsubscription(run: ListMaintenanceLog, items: Sequence[DecisionItem]) -> None:
    """Unsubscribed wherever on a campaign list: one request for those who are on the same."""
    where = consent_due.subscribed_lists([item.contact_id for item in items])

    def lists(item: DecisionItem) -> list[int]:
        return where.get(item.contact_id, [item.source_list_id or 0])

    for keys, alike in groupby(sorted(items, key=lists), key=lists):
        changes = [(each, Action.UNSUBSCRIBE) for each in ContactList.objects.filter(pk__in=keys)]
        batches.add(run, BatchKind.UNSUBSCRIBE, list(alike), changes)


def _intend_complaint(run: ListMaintenanceLog, items: Sequence[DecisionItem]) -> None:
    """As a suppression, without the campaign lists that are deleted: Mailjet would refuse the request."""
    alive = ContactList.objects.rotation().filter(is_deleted=False)
    changes = [(campaign_list, Action.REMOVE) for campaign_list in alive]
    batches.add(run, BatchKind.COMPLAINT, items, [*changes, (ContactList.objects.suppression(), Action.ADD)])


def _intend_taking_off(run: ListMaintenanceLog, items: Sequence[DecisionItem]) -> None:
    assert items[0].source_list is not None
    batches.add(run, BatchKind.TAKE_OFF, items, [(items[0].source_list, Action.REMOVE)])


def _intend_putting_back(run: ListMaintenanceLog, items: Sequence[DecisionItem]) -> None:
    """Back onto a list. Onto the suppression list is off every campaign list, too: one place for each."""
    target = items[0].target_list
    assert target is not None
    leaves = ContactList.objects.rotation() if target.role == Role.SUPPRESSION else []
    changes = [(each, Action.REMOVE) for each in leaves]
    batches.add(run, BatchKind.PUT_BACK, items, [*changes, (target, Action.ADD)])


def _intend_restoring(run: ListMaintenanceLog, items: Sequence[DecisionItem]) -> None:
    """Off the suppression list, and in the same request onto the list they were on, where there is one."""
    target = items[0].target_list
    joins = [] if target is None else [(target, Action.ADD)]
    batches.add(run, BatchKind.RESTORE, items, [(ContactList.objects.suppression(), Action.REMOVE), *joins])


def _intend_release(run: ListMaintenanceLog, items: Sequence[DecisionItem]) -> None:
    assert items[0].source_list is not None
    batches.add(run, BatchKind.RELEASE, items, [(items[0].source_list, Action.REMOVE)])


_INTEND = {  # in this order: what contacts said first; off before on; placements before moves
    ItemAction.UNSUBSCRIBE: _intend_unsubscription,
    ItemAction.COMPLAINT: _intend_complaint,
    ItemAction.SUPPRESS: _intend_suppression,
    ItemAction.TAKE_OFF: _intend_taking_off,
    ItemAction.RELEASE: _intend_release,
    ItemAction.RESTORE: _intend_restoring,
    ItemAction.PUT_BACK: _intend_putting_back,
    ItemAction.PLACE: _intend_placement,
    ItemAction.MOVE: batches.add_move,
}


def is_halfway(run: ListMaintenanceLog) -> bool:
    """Whether Mailjet has, or may have, something of the run, or contacts stand on both lists of a move."""
    return _halfway(run).exists()


def _halfway(run: ListMaintenanceLog) -> BatchQuerySet:
    """What has to come to an end before the run may."""
    intended = ListOperation.objects.filter(batch=OuterRef(OuterRef("pk")), status=OperationStatus.INTENDED)
    came_in = ListOperation.objects.arrived().filter(item__operations__in=intended)
    under_way = Q(status__in=[BatchStatus.SENDING, BatchStatus.SUBMITTED])
    return run.batches.unsettled().filter(under_way | Q(Exists(came_in), kind__in=HALFWAY))


def leave(hand: Hand, *, why: str) -> None:
    """Give up every batch that Mailjet never had: what it was for is left, until a person wants it done.

    So is what was decided and never journaled: nobody may take it for something that is about to happen.
    """
    for batch in hand.run.batches.unsettled():
        _fail(hand, batch, why=why)
    decided = DecisionItem.objects.filter(decision__run=hand.run, decision__status__in=EXECUTABLE)
    never_begun = decided.filter(status=ItemStatus.PROPOSED, operations=None)
    never_begun.update(status=ItemStatus.FAILED, why=why)


# --- Driving -----------------------------------------------------------------------------------------


def drive(hand: Hand) -> Next:
    """Take each unsettled batch of the run as far as it goes now. Done when all are settled."""
    return _drive(hand, hand.run.batches.unsettled())


def wind_up(hand: Hand) -> Next:
    """Begin nothing more; follow what Mailjet has, and end half moves. Done when that is so."""
    return _drive(hand, _halfway(hand.run))


def _drive(hand: Hand, batches: BatchQuerySet) -> Next:
    due = list(batches.filter(Q(next_at=None) | Q(next_at__lte=hand.now), job_ended_at=None))
    _look_at_jobs(hand, [batch for batch in due if batch.status == BatchStatus.SUBMITTED])
    for batch in due:
        if batch.status == BatchStatus.SENDING:
            _look_up(hand, batch)
        elif batch.status == BatchStatus.INTENDED:
            _submit(hand, batch)
    _read_back(hand)
    unsettled = list(batches.all())
    if not unsettled:
        return Done()
    timed = [batch for batch in unsettled if batch.next_at is not None and not _only_follows(batch)]
    if not timed:
        return Wait(until=hand.now + A_MOMENT, for_="the next batch")
    put_off = [batch.error for batch in timed if batch.status == BatchStatus.INTENDED and batch.error]
    times = [batch.next_at for batch in timed if batch.next_at is not None]
    return Wait(until=min(times), for_=put_off[0] if put_off else "Mailjet to finish a job")


def _only_follows(batch: OperationBatch) -> bool:
    """Whether its time does not count: it goes on when another batch has ended."""
    return batch.status == BatchStatus.INTENDED and _must_follow(batch)


def _submit(hand: Hand, batch: OperationBatch) -> None:
    """Send an intended batch, unless something says: not now. One job at a time per list."""
    if _must_follow(batch):
        return
    if (later := _not_yet(hand, batch)) is not None:
        _put_off(hand, batch, later)
        return
    checking.check_each(hand, batch)
    left = batch.operations.filter(status=OperationStatus.INTENDED).order_by("position")
    emails = [email for email in left.values_list("contact__email", flat=True) if email is not None]
    if emails:
        _send(hand, batch, emails=emails)
    else:
        _settle(hand, batch)


def _not_yet(hand: Hand, batch: OperationBatch) -> NotYet | None:
    """Why it may not be sent now. To most batches it matters who had the cycle's message (P5)."""
    if batch.kind == BatchKind.MOVE_OUT:
        return _not_yet_out(hand, batch)
    later = permission.not_yet(hand, batch)
    if later is not None or batch.kind not in MINDS_SENDS:
        return later
    campaigns.notice_begun(mailjet=hand.outside.mailjet, now=hand.now)
    return permission.not_yet(hand, batch)


def _not_yet_out(hand: Hand, batch: OperationBatch) -> NotYet | None:
    campaigns.notice_begun(mailjet=hand.outside.mailjet, now=hand.now)
    turning = moves.turn_if_addressed(hand, batch)
    return turning or permission.not_yet(hand, batch) or moves.not_ready(hand, batch)


def _put_off(hand: Hand, batch: OperationBatch, later: NotYet) -> None:
    with hand.lease.writing():
        OperationBatch.objects.filter(pk=batch.pk).update(next_at=later.until, error=later.why)


def _must_follow(batch: OperationBatch) -> bool:
    """Whether another batch has to end first: one it comes after, one with its contacts, one on its lists.

    A job of the same run that has ended does not hold the next one up: its effect is seen together with the
    others'. One that has to be made again goes first: ranks are given in order. What contacts themselves said
    does not wait for their lists.
    """
    if OperationBatch.objects.filter(followers=batch).unsettled().exists():
        return True
    if OperationBatch.objects.unresolved_for(batch).exists():
        return True
    if batch.kind in CONSENT:
        return False
    busy = OperationBatch.objects.under_way().exclude(run=batch.run_id, job_ended_at__isnull=False)
    busy = busy.exclude(pk__in=_beside(batch))
    again = batch.run.batches.to_be_sent_again().filter(position__lt=batch.position)
    return any(others.sharing_lists_with(batch).exists() for others in (busy, again))


def _beside(batch: OperationBatch) -> list[int]:
    """Jobs of its run on its lists that it need not wait for, where they are few: each has its own contacts.

    Of a job whose answer was lost nobody knows which of several it is: that one is waited for.
    """
    if batch.kind not in SIDE_BY_SIDE:
        return []
    known = OperationBatch.objects.filter(run=batch.run_id, kind__in=SIDE_BY_SIDE)
    known = known.filter(status=BatchStatus.SUBMITTED, job_ended_at=None).sharing_lists_with(batch)
    found = list(known.values_list("pk", flat=True))
    return found if len(found) < MOST_SIDE_BY_SIDE else []


def _send(hand: Hand, batch: OperationBatch, *, emails: Sequence[str]) -> None:
    claimed = _claim(hand, batch)
    if claimed is None:
        return
    try:
        job = _request(hand, claimed, emails=emails)
    except CameUp as came_up:
        _take_back(hand, claimed)
        _put_off(hand, claimed, came_up.later)
    except MailjetUncertain as lost:
        log.warning("answer lost", extra={"batch": batch.pk, "why": str(lost)})
        _look_again(hand, claimed, at=hand.now + SURE_AFTER)
    except MailjetRejected as refusal:
        _refused(hand, claimed, why=str(refusal))
    except MailjetError:
        _take_back(hand, claimed)
        raise
    else:
        _note_job(hand, claimed, job)


def _claim(hand: Hand, batch: OperationBatch) -> OperationBatch | None:
    """Mark it *sending*; None where something came up while the lists were read, or somebody was first.

    One claim at a time, over all runs: of two batches that must not be under way together, one is.
    """
    with hand.lease.writing():
        with connection.cursor() as cursor:
            cursor.execute("select pg_advisory_xact_lock(%s)", [_CLAIMS])
        if _must_follow(batch) or _speaks_against(hand, batch) is not None:
            return None
        claimed = OperationBatch.objects.claim_for_sending(batch.pk, at=hand.now)
        OperationBatch.objects.filter(pk=batch.pk).update(error="", next_at=None)
    return claimed


def _speaks_against(hand: Hand, batch: OperationBatch) -> NotYet | None:
    """What has come up since its contacts were checked; nothing is read from Mailjet for it."""
    if (later := permission.not_yet(hand, batch)) is not None:
        return later
    if checking.objections(hand, batch):
        return NotYet(hand.now, "its contacts are checked once more")
    return None


def _request(hand: Hand, batch: OperationBatch, *, emails: Sequence[str]) -> JobId:
    """Ask Mailjet. Raises CameUp, LeaseLost, with nothing sent, and what the client raises."""
    mailjet, check = hand.outside.mailjet, partial(_check_still_may, hand, batch)
    asked = [ListChange(list_id=c.list.mailjet_id, action=Action(c.action)) for c in _changes(batch)]
    if len(asked) == 1:
        [only] = asked
        return mailjet.submit(list_id=only.list_id, action=only.action, emails=emails, before_send=check)
    return mailjet.submit_changes(changes=asked, emails=emails, before_send=check)


class CameUp(Exception):
    """Something keeps the request from being made now that did not a minute ago."""

    def __init__(self, later: NotYet) -> None:
        super().__init__(later.why)
        self.later = later


def _check_still_may(hand: Hand, batch: OperationBatch) -> None:
    """The budget may have had the request wait. Raise LeaseLost, or CameUp, where it must not go any more."""
    hand.lease.check_fresh()
    if (later := _speaks_against(hand, batch)) is not None:
        raise CameUp(later)


def _take_back(hand: Hand, batch: OperationBatch) -> None:
    """Mailjet has not taken the request, so this was no attempt: it is made again when the run goes on."""
    with hand.lease.writing():
        OperationBatch.objects.filter(pk=batch.pk, status=BatchStatus.SENDING).update(
            status=BatchStatus.INTENDED, attempt=F("attempt") - 1
        )


def _refused(hand: Hand, batch: OperationBatch, *, why: str) -> None:
    if batch.kind in HALFWAY:
        _again_or_settle(hand, batch, why=why)
    else:
        _fail(hand, batch, why=why)


def _changes(batch: OperationBatch) -> Sequence[BatchChange]:
    return list(batch.changes.select_related("list").order_by("pk"))


def _note_job(hand: Hand, batch: OperationBatch, job: JobId) -> None:
    with hand.lease.writing():
        OperationBatch.objects.filter(pk=batch.pk, status=BatchStatus.SENDING).update(
            status=BatchStatus.SUBMITTED, job_id=job, polls=0, next_at=hand.now + timedelta(seconds=1)
        )


def _look_up(hand: Hand, batch: OperationBatch) -> None:
    """A batch in *sending* is one whose request may or may not have reached Mailjet. Find its job.

    Unknown jobs that could be it are waited for. Without one, what the lists do not show is sent again.
    """
    assert batch.sending_at is not None
    if hand.now < batch.sending_at + SURE_AFTER:
        _look_again(hand, batch, at=batch.sending_at + SURE_AFTER)
        return
    candidates = _candidates(hand, batch)
    running = any(job.status is JobStatus.RUNNING for job in candidates)
    if len(candidates) == 1:
        _note_job(hand, batch, JobId(candidates[0].id))
    elif running and not _hangs(hand, batch):
        _look_again(hand, batch, at=hand.now + timedelta(seconds=5))
    else:
        _send_what_is_missing(hand, batch)


def _candidates(hand: Hand, batch: OperationBatch) -> list[JobSummary]:
    """Jobs at Mailjet, not known to be another batch's, that this batch's request could have started."""
    assert batch.sending_at is not None
    since = batch.sending_at.replace(microsecond=0)
    try:
        jobs = hand.outside.mailjet.recent_jobs(since=since - timedelta(seconds=2))
    except MailjetRejected:
        if _hangs(hand, batch):  # it says for hours that it cannot tell: the lists will
            return []
        raise
    ours = set(
        OperationBatch.objects.filter(job_id__in=[job.id for job in jobs]).values_list("job_id", flat=True)
    )
    lists = {change.list.mailjet_id for change in _changes(batch)}
    return [
        job
        for job in jobs
        if job.id not in ours and (job.ref_id in lists if len(lists) == 1 else not job.ref_id)
    ]


def _send_what_is_missing(hand: Hand, batch: OperationBatch) -> None:
    effects.see(hand, [batch])
    _again_or_settle(hand, batch, why="Mailjet never started the job")


def _look_at_jobs(hand: Hand, submitted: Sequence[OperationBatch]) -> None:
    for batch, job in zip(submitted, side_by_side(partial(_job, hand), submitted), strict=True):
        _note_look(hand, batch, job)


def _note_look(hand: Hand, batch: OperationBatch, job: Job | None) -> None:
    if job is None:
        _note_end(hand, batch, why="Mailjet does not know the job any more")
    elif job.status is JobStatus.RUNNING and not _hangs(hand, batch):
        wait = min(2**batch.polls, LONGEST_POLL)
        _look_again(hand, batch, at=hand.now + timedelta(seconds=wait))
    else:
        _note_end(hand, batch, why=job.error)


def _note_end(hand: Hand, batch: OperationBatch, *, why: str) -> None:
    """Mailjet is done with it. What it did is still to be seen; `why` is for what it did not do."""
    with hand.lease.writing():
        OperationBatch.objects.filter(pk=batch.pk, status=BatchStatus.SUBMITTED).update(
            job_ended_at=hand.now, next_at=hand.now + SEEN_WITHIN, error=why
        )


def _job(hand: Hand, batch: OperationBatch) -> Job | None:
    """The batch's job; None where Mailjet has forgotten it, or says for hours that it cannot tell."""
    assert batch.job_id is not None
    [first, *others] = _changes(batch)
    try:
        return hand.outside.mailjet.job(
            JobId(batch.job_id), list_id=None if others else first.list.mailjet_id
        )
    except MailjetRejected as refusal:
        if refusal.status == HTTPStatus.NOT_FOUND or _hangs(hand, batch):
            return None
        raise


def _hangs(hand: Hand, batch: OperationBatch) -> bool:
    return batch.sending_at is not None and hand.now > batch.sending_at + HUNG_AFTER


# --- Reading back ------------------------------------------------------------------------------------


def _read_back(hand: Hand) -> None:
    """See what ended jobs did, all in one reading, once no other of the run is under way on their lists."""
    ended = [each for each in hand.run.batches.unsettled() if each.job_ended_at is not None]
    due = OperationBatch.objects.filter(
        pk__in=[each.pk for each in ended if not _waits_for_others(hand, each)]
    )
    together = [each for each in ended if due.sharing_lists_with(each).exists()]
    if together:
        effects.see(hand, together)
    for batch in together:
        _conclude(hand, batch)


def _waits_for_others(hand: Hand, batch: OperationBatch) -> bool:
    """Whether another job of the run on its lists is under way, and nothing asks for a reading before."""
    under_way = hand.run.batches.under_way().filter(job_ended_at=None).exclude(pk=batch.pk)
    if not under_way.sharing_lists_with(batch).exists():
        return False
    assert batch.job_ended_at is not None
    urgent = hand.now >= batch.job_ended_at + SEEN_WITHIN or permission.freezes_soon(hand, batch)
    return not urgent and not OperationBatch.objects.consent_waiting_for(batch).exists()


def _conclude(hand: Hand, batch: OperationBatch) -> None:
    """Name what the lists do not show as Mailjet names it, and send the rest again, or give it up."""
    gives_names = batch.kind not in HALFWAY or (
        batch.attempt >= HALFWAY_ATTEMPTS and not moves.may_turn_back(hand, batch)
    )
    missing = batch.operations.filter(status=OperationStatus.INTENDED)
    if gives_names and missing.exists():
        assert batch.job_id is not None
        _fail_named(hand, batch, JobId(batch.job_id))
    _again_or_settle(hand, batch, why=batch.error or "the job ended without effect")


def _fail_named(hand: Hand, batch: OperationBatch, job: JobId) -> None:
    """Mailjet's error file names the addresses that it did not change, and why."""
    errors = hand.outside.mailjet.job_errors(job)
    owners = addresses.holders_of([error.email for error in errors])
    by_words: dict[str, list[int]] = defaultdict(list)
    for error, owner in zip(errors, owners, strict=True):
        if owner is not None:
            by_words[error.message].append(owner)
    missing = batch.operations.filter(status=OperationStatus.INTENDED)
    with hand.lease.writing():
        for words, contacts in by_words.items():
            named = missing.filter(contact__in=contacts).values_list("pk", flat=True)
            effects.fail(batch, list(named), why=f"Mailjet: {words}")


def _again_or_settle(hand: Hand, batch: OperationBatch, *, why: str) -> None:
    """Send again what the lists do not show, a few times; then it has failed."""
    missing = batch.operations.filter(status=OperationStatus.INTENDED)
    halfway = batch.kind in HALFWAY
    if missing.exists() and batch.attempt < (HALFWAY_ATTEMPTS if halfway else MOST_ATTEMPTS):
        later = hand.now + HALFWAY_PAUSE * 2**batch.attempt if halfway else None
        with hand.lease.writing():  # the job's id is kept: it is not taken for the next attempt's
            OperationBatch.objects.filter(pk=batch.pk).update(
                status=BatchStatus.INTENDED, job_ended_at=None, next_at=later, error=why
            )
        return
    if missing.exists():
        _fail(hand, batch, why=f"{why}, {batch.attempt} times")
        return
    _settle(hand, batch)


def _settle(hand: Hand, batch: OperationBatch) -> None:
    """Every operation has its end: seen, dropped or failed."""
    if batch.kind == BatchKind.MOVE_OUT and (later := moves.bring_back(hand, batch)) is not None:
        _put_off(hand, batch, later)
        return
    seen = batch.operations.filter(status=OperationStatus.APPLIED).exists()
    status = BatchStatus.APPLIED if seen else BatchStatus.FAILED
    why = "" if seen else "nobody was changed; each operation says why"
    with hand.lease.writing():
        OperationBatch.objects.filter(pk=batch.pk).update(
            status=status, error=why, settled_at=hand.now, next_at=None
        )
    log.info("batch settled", extra={"batch": batch.pk, "kind": batch.kind, "status": status.value})


def _fail(hand: Hand, batch: OperationBatch, *, why: str) -> None:
    with hand.lease.writing():
        if moves.may_turn_back(hand, batch):
            moves.turn_back(batch, why=why)
        left = batch.operations.filter(status=OperationStatus.INTENDED).values_list("pk", flat=True)
        effects.fail(batch, list(left), why=why)
    _settle(hand, batch)


def _look_again(hand: Hand, batch: OperationBatch, *, at: datetime) -> None:
    with hand.lease.writing():
        OperationBatch.objects.filter(pk=batch.pk).update(next_at=at, polls=batch.polls + 1)
