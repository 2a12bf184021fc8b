"""Whom of held domains a send reaches, as a reviewer chose: the others are off its list while it goes out.

A run for each send: they are taken off by a journaled batch before the freeze, and put back, with their rank,
when the send has ended. For P5 they count as skipped by that person. Nothing chosen: all are mailed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction

from listmanagement.domain import consent, retest
from listmanagement.domain.cycle import RoundStatus
from listmanagement.domain.telling import people
from listmanagement.domain.validation import HeldTreatment
from listmanagement.models import (
    AnswerSource,
    BatchKind,
    CampaignSchedule,
    ContactList,
    Decision,
    DecisionGroup,
    DecisionItem,
    DecisionKind,
    DecisionStatus,
    HeldChoice,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    ListOperation,
    OperationBatch,
    OperationStatus,
    RunKind,
    RunStage,
    RunStatus,
    Step,
    Trigger,
)
from listmanagement.outside import Configuration
from listmanagement.workflows import notify, permission
from listmanagement.workflows.before_sends import send_facts
from listmanagement.workflows.before_sends.send_facts import TAKEN_OFF_BEFORE
from listmanagement.workflows.by_people import audit, review
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.changes import batches, execution
from listmanagement.workflows.maintenance import drafts
from listmanagement.workflows.running import starting
from listmanagement.workflows.running.steps import Done, Hand, Next, StepFunction, Wait

CARRIED_OUT_FROM = timedelta(hours=6)
"""Before the send: a hold may end until then, and the choice be changed."""

CHANGED_BEFORE = TAKEN_OFF_BEFORE + 3 * permission.A_BATCH_TAKES
"""The same where a run is at work for the time that the send had before: it puts them back first."""

ASKED_AGAIN_AFTER = timedelta(minutes=5)
LOOKED_UP_EVERY = timedelta(minutes=15)  # as campaigns are read: until then people may have postponed it

WORDS = {
    HeldTreatment.ALL: "all contacts of held domains are mailed",
    HeldTreatment.FIVE: f"{retest.SAMPLE} contacts of each held domain are mailed, the re-test",
    HeldTreatment.NONE: "no contact of a held domain is mailed",
}


# --- Choosing --------------------------------------------------------------------------------------------


def why_not(
    campaign: CampaignSchedule, *, by: User, configuration: Configuration, now: datetime
) -> str | None:
    """Why this person cannot choose for this send; None when they can. The buttons show exactly then."""
    if (no := review.why_no_reviewer(by)) is not None:
        return no
    if campaign.status != RoundStatus.SCHEDULED or campaign.scheduled_at is None:
        return f"campaign {campaign.pk} is {campaign.status}: there is nothing to choose"
    if now >= campaign.scheduled_at - TAKEN_OFF_BEFORE:
        return "it is too late to take anybody off the list: all of them are mailed"
    if (run := _run_of(campaign)) is not None:
        return f"run {run.pk} carries it out already"
    if (run := _at_work(campaign)) is not None and now >= campaign.scheduled_at - CHANGED_BEFORE:
        return (
            f"run {run.pk} has carried out what was chosen for the time that the send had before, and no "
            "time is left to put them back and take others off"
        )
    if drafts.only_watches(enabled=configuration.enabled, at=now):
        return "only observing: nothing is changed yet, so all of them are mailed"
    return permission.why_off(enabled=configuration.enabled)


@transaction.atomic
def choose(
    campaign_id: int, treatment: HeldTreatment, *, by: User, configuration: Configuration, now: datetime
) -> HeldChoice:
    """Say whom of held domains this send reaches. The last word before it is carried out counts.

    Raises NotAllowed.
    """
    campaign = CampaignSchedule.objects.select_for_update(of=("self",)).filter(pk=campaign_id).first()
    if campaign is None:
        raise NotAllowed(f"campaign {campaign_id} does not exist")
    if (refusal := why_not(campaign, by=by, configuration=configuration, now=now)) is not None:
        raise NotAllowed(refusal)
    run = _at_work(campaign)
    if run is not None and HeldChoice.objects.filter(run=run, treatment=treatment).exists():
        return HeldChoice.objects.get(run=run)  # as it is carried out already
    choice, _ = HeldChoice.objects.update_or_create(
        campaign=campaign, defaults={"treatment": treatment, "at": now, "by": by}
    )
    ListMaintenanceLog.objects.filter(
        campaign=campaign, kind=RunKind.PRE_CAMPAIGN, status=RunStatus.WAITING, step=Step.AWAIT_SEND
    ).update(next_at=now)
    audit.note(campaign, "chosen for held domains", by=by, now=now, treatment=treatment.value)
    return choice


def start_due(*, configuration: Configuration, now: datetime) -> int:
    """Start a run for each choice whose time has come. Returns how many were started."""
    if permission.why_off(enabled=configuration.enabled) is not None:
        return 0
    due = HeldChoice.objects.exclude(treatment=HeldTreatment.ALL).filter(
        campaign__status=RoundStatus.SCHEDULED,
        campaign__scheduled_at__lte=now + CARRIED_OUT_FROM,
        campaign__scheduled_at__gt=now + TAKEN_OFF_BEFORE,
    )
    return sum(_start(each, now=now) is not None for each in due.select_related("campaign", "by"))


@transaction.atomic
def _start(choice: HeldChoice, *, now: datetime) -> ListMaintenanceLog | None:
    """The run of this choice and this time of the send; None where there is one, or one still at work."""
    CampaignSchedule.objects.select_for_update(of=("self",)).get(pk=choice.campaign_id)  # as `choose` does
    choice.refresh_from_db(fields=["treatment", "run"])
    if choice.treatment == HeldTreatment.ALL or _run_of(choice.campaign) is not None:
        return None
    if choice.run is not None and choice.run.finished_at is None:
        return None
    run = starting.create(
        _key(choice.campaign),
        kind=RunKind.PRE_CAMPAIGN,
        stage=RunStage.ACT,
        trigger=Trigger.PERSON,
        by=choice.by,
        now=now,
        campaign=choice.campaign,
        step=Step.TAKE_OFF_HELD,
    )
    if run is not None:
        choice.run = run
        choice.save(update_fields=["run"])
    return run


def _at_work(campaign: CampaignSchedule) -> ListMaintenanceLog | None:
    """The run that carries out a choice about this campaign, for whatever time it was to be sent."""
    theirs = ListMaintenanceLog.objects.unfinished().filter(campaign=campaign, kind=RunKind.PRE_CAMPAIGN)
    return theirs.order_by("-pk").first()


def _run_of(campaign: CampaignSchedule) -> ListMaintenanceLog | None:
    return ListMaintenanceLog.objects.filter(idempotency_key=_key(campaign)).first()


def _key(campaign: CampaignSchedule) -> str:
    """A send that was moved to another time is another one: who was put back is taken off again."""
    assert campaign.scheduled_at is not None
    return f"{RunKind.PRE_CAMPAIGN}:{campaign.pk}:{campaign.scheduled_at.isoformat()}"


# --- The three steps -------------------------------------------------------------------------------------


def take_off(hand: Hand) -> Next:
    """1. Take off the list whom the send is not to reach, before the freeze; once it has begun, nobody."""
    with hand.lease.writing() as run:
        if not run.decisions.exists():
            _decide_taking_off(run, now=hand.now)
    return execution.carry_out(hand, DecisionKind.HELD)


def await_send(hand: Hand) -> Next:
    """2. Wait until the send has ended, or will not be.

    One that is postponed to later than choices are carried out for is another send: until its time comes,
    whom it skips gets what else is sent to the list. So is one whose reviewer has chosen anew since.
    """
    campaign = _campaign(hand.run)
    goes_there = campaign.list == _list_of(hand.run)  # people may have had it go to another list since
    if not goes_there or campaign.status not in (RoundStatus.SCHEDULED, RoundStatus.SENDING):
        return Done()
    later = hand.now + ASKED_AGAIN_AFTER
    if campaign.status == RoundStatus.SCHEDULED and campaign.scheduled_at is not None:
        if campaign.scheduled_at > hand.now + CARRIED_OUT_FROM or _is_chosen_anew(hand.run):
            return Done()
        later = max(later, min(campaign.scheduled_at, hand.now + LOOKED_UP_EVERY) + ASKED_AGAIN_AFTER)
    return Wait(until=later, for_=f"campaign {campaign.pk} to end")


def put_back(hand: Hand) -> Next:
    """3. Put back whom the run has taken off, in their old places, until all are back; say what was done."""
    with hand.lease.writing() as run:
        _decide_putting_back(run, now=hand.now)
    outcome = execution.carry_out(hand, DecisionKind.HELD)
    if not isinstance(outcome, Done):
        return outcome
    with hand.lease.writing() as run:
        if (later := _try_again(run, now=hand.now)) is not None:
            return later
        run.counts = _counts(run)
        run.report = _report(run)
        run.save(update_fields=["counts", "report"])
    return outcome


def _is_chosen_anew(run: ListMaintenanceLog) -> bool:
    return HeldChoice.objects.filter(campaign=run.campaign_id, at__gt=run.created_at).exists()


STEPS: Mapping[Step, StepFunction] = {
    Step.TAKE_OFF_HELD: take_off,
    Step.AWAIT_SEND: await_send,
    Step.PUT_HELD_BACK: put_back,
}


def _campaign(run: ListMaintenanceLog) -> CampaignSchedule:
    assert run.campaign_id is not None
    return CampaignSchedule.objects.select_related("list").get(pk=run.campaign_id)


def _list_of(run: ListMaintenanceLog) -> ContactList:
    """The list that the run takes contacts off, and puts them back on."""
    taken = DecisionItem.objects.filter(decision__run=run, action=ItemAction.TAKE_OFF)
    first = taken.select_related("source_list").first()
    return _campaign(run).list if first is None or first.source_list is None else first.source_list


def _decide_taking_off(run: ListMaintenanceLog, *, now: datetime) -> None:
    """The reviewer's choice, contact by contact, as the list stands now."""
    campaign, choice = _campaign(run), HeldChoice.objects.select_related("by").get(run=run)
    members = send_facts.held_members(campaign.list)
    leaving = retest.taken_off(members, treatment=HeldTreatment(choice.treatment))
    if not leaving:
        return
    assert campaign.scheduled_at is not None
    decision = Decision.objects.create(
        run=run,
        kind=DecisionKind.HELD,
        status=DecisionStatus.APPROVED,
        title=f"{people(len(leaving))} of held domains off {campaign.list} for campaign {campaign.pk}",
        rationale=f"Chosen: {WORDS[HeldTreatment(choice.treatment)]}.",
        source=AnswerSource.RULES,
        confidence=1.0,
        created_at=now,
        deadline=campaign.scheduled_at - TAKEN_OFF_BEFORE,
        reviewed_at=choice.at,
        reviewed_by=choice.by,
    )
    _write(decision, ItemAction.TAKE_OFF, leaving, source_list=campaign.list)


def _decide_putting_back(run: ListMaintenanceLog, *, now: datetime) -> None:
    """Everybody who was taken off comes back, once."""
    if run.decisions.filter(status=DecisionStatus.CLEAR).exists():
        return
    taken = DecisionItem.objects.filter(
        decision__run=run, action=ItemAction.TAKE_OFF, status=ItemStatus.EXECUTED
    )
    contacts = list(taken.order_by("position").values_list("contact_id", flat=True))
    if not contacts:
        return
    campaign, back_on = _campaign(run), _list_of(run)
    decision = Decision.objects.create(
        run=run,
        kind=DecisionKind.HELD,
        status=DecisionStatus.CLEAR,
        title=f"{people(len(contacts))} of held domains back on {back_on}",
        rationale=f"Campaign {campaign.pk} is {campaign.status}: whom it skipped has the old place again.",
        source=AnswerSource.RULES,
        confidence=1.0,
        created_at=now,
    )
    _write(decision, ItemAction.PUT_BACK, contacts, target_list=back_on)


def _try_again(run: ListMaintenanceLog, *, now: datetime) -> Wait | None:
    """Whoever could not be put back is on no list: tried until they are, less and less often; soon told.

    None where nobody is left, or their list is deleted. Under the run's lease.
    """
    failed = ListOperation.objects.filter(
        batch__run=run, kind=BatchKind.PUT_BACK, status=OperationStatus.FAILED
    )
    number, back_on = failed.count(), _list_of(run)
    if not number or back_on.is_deleted:
        return None
    tries = run.batches.filter(kind=BatchKind.PUT_BACK).count()
    until = now + consent.pause_after(tries)
    for batch in run.batches.filter(operations__in=failed).distinct().order_by("position"):
        keys = list(failed.filter(batch=batch).values_list("pk", flat=True))
        anew = batches.again(batch, keys, batches.changes_of(batch))
        OperationBatch.objects.filter(pk=anew.pk).update(next_at=until)
    if tries >= consent.TOLD_AFTER:
        _tell_not_back(run, back_on, number=number, now=now)
    return Wait(until=until, for_=f"another try to put {people(number)} back on {back_on}")


def _tell_not_back(run: ListMaintenanceLog, back_on: ContactList, *, number: int, now: datetime) -> None:
    """Somebody should know of people who are on no list, once a run."""
    notify.alert(
        f"held:{run.pk}:not back",
        header="Contacts that a send skipped are not back on their list",
        words=(
            f"{people(number)} of held domains were taken off {back_on} for campaign {run.campaign_id} and "
            f"could not be put back in several tries. Run {run.pk} goes on trying; its batches say why"
        ),
        now=now,
    )


def _write(decision: Decision, action: ItemAction, contacts: Sequence[int], **legs: object) -> None:
    group = DecisionGroup.objects.create(
        decision=decision,
        position=1,
        key=action.value,
        action=action,
        title=decision.title,
        contacts=len(contacts),
        share=0.0,
        confidence=1.0,
    )
    group.fill([DecisionItem(contact_id=contact, **legs) for contact in contacts])


def _counts(run: ListMaintenanceLog) -> dict[str, int]:
    items = DecisionItem.objects.filter(decision__run=run)
    done = items.filter(status=ItemStatus.EXECUTED)
    return {
        "taken_off": done.filter(action=ItemAction.TAKE_OFF).count(),
        "put_back": done.filter(action=ItemAction.PUT_BACK).count(),
        "dropped": items.filter(status=ItemStatus.DROPPED).count(),
        "failed": items.filter(status=ItemStatus.FAILED).count(),
    }


def _report(run: ListMaintenanceLog) -> str:
    counts, campaign, back_on = run.counts, _campaign(run), _list_of(run)
    went_out = campaign.started_at is not None
    when = f"while campaign {campaign.pk} went out" if went_out else f"for campaign {campaign.pk}"
    said = f"{people(counts['taken_off'])} of held domains were off {back_on} {when}, "
    said += f"{people(counts['put_back'])} of them are back."
    if not went_out and campaign.scheduled_at is not None:
        said += f" It did not go out then: {campaign.status} for {campaign.scheduled_at:%d %B %H:%M} UTC."
    if counts["dropped"] or counts["failed"]:
        said += f" Left alone: {counts['dropped']:,}, failed: {counts['failed']:,}; each item says why."
    return said
