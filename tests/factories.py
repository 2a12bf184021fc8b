"""Rows that are valid as they are. A test names only what it is about.

Each function makes one row and what it stands on; a state brings the columns that it asks for (a sent
campaign its times, an approved decision its reviewer). Any other column can be named as well. Times
are around NOON, ids and addresses count up.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from django.contrib.auth.models import Group, User
from django.db.models import Max

from integrations.dns import Route
from integrations.mailjet import Action
from listmanagement.apps import REVIEWERS, VIEWERS
from listmanagement.domain.bounces import BounceClass, History, Outcome
from listmanagement.domain.cycle import RoundStatus
from listmanagement.domain.suppression import Region
from listmanagement.domain.validation import Check, HeldTreatment, Instant, Severity, Verdict
from listmanagement.models import (
    FINISHED,
    REVIEWED,
    SETTLED,
    Agent,
    AgentCall,
    AgentVerdict,
    AnswerSource,
    AuditEntry,
    BatchChange,
    BatchKind,
    BatchStatus,
    Bounce,
    CampaignClearance,
    CampaignKind,
    CampaignRecipient,
    CampaignSchedule,
    CampaignSync,
    CampaignValidation,
    Change,
    Contact,
    ContactList,
    ContactListMembership,
    ContactSuppressionHistory,
    Cycle,
    Decision,
    DecisionGroup,
    DecisionItem,
    DecisionKind,
    DecisionStatus,
    DomainLookup,
    DraftChange,
    DraftOperation,
    DraftStatusHere,
    EventStatus,
    GeminiBackOff,
    GeminiRequest,
    HeldChoice,
    Hold,
    HoldKind,
    ItemAction,
    ItemStatus,
    ListHealth,
    ListHealthCheck,
    ListMaintenanceLog,
    ListOperation,
    MailjetBreaker,
    MailjetOutage,
    MailjetRequest,
    MirrorScan,
    Notification,
    NotificationKind,
    NotificationStatus,
    OperationBatch,
    OperationStatus,
    Protection,
    ProtectionKind,
    Recurring,
    RecurringJob,
    Role,
    RolloutState,
    RunKind,
    RunStage,
    RunStatus,
    ScanOf,
    SuppressionKind,
    ToldKind,
    Trigger,
    ValidationFinding,
    WebhookEvent,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
MASTER, CAMPAIGNS, SUPPRESSION = 5776, (10503497, 10503498, 10503499), 10503500  # as in tests/conftest.py

_numbers = count(1)


# --- People ------------------------------------------------------------------------------------------


def a_user(name: str | None = None, **columns: Any) -> User:
    """Somebody who may sign in, and see nothing."""
    return User.objects.create_user(
        username=name or f"user-{next(_numbers)}", **{"is_staff": True, **columns}
    )


def a_viewer(name: str | None = None, **columns: Any) -> User:
    """Somebody who looks."""
    return _in_group(a_user(name, **columns), VIEWERS)


def a_reviewer(name: str | None = None, **columns: Any) -> User:
    """Somebody who decides."""
    return _in_group(a_user(name, **columns), REVIEWERS)


def _in_group(user: User, name: str) -> User:
    user.groups.add(Group.objects.get(name=name))
    return user


# --- Lists and contacts ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rotation:
    """The lists of the test settings."""

    master: ContactList
    campaign: tuple[ContactList, ContactList, ContactList]
    suppression: ContactList


def a_list(*, role: Role = Role.CAMPAIGN, **columns: Any) -> ContactList:
    """A list; a campaign list takes the next place in the rotation."""
    number = next(_numbers)
    if role is Role.CAMPAIGN and "position" not in columns:
        columns["position"] = (ContactList.objects.aggregate(last=Max("position"))["last"] or 0) + 1
    return ContactList.objects.create(
        role=role, **{"mailjet_id": number, "name": f"{role} {number}", **columns}
    )


def the_rotation() -> Rotation:
    """Master list, three campaign lists, suppression list, with the ids that the test settings name."""
    first, second, third = [
        a_list(mailjet_id=mailjet_id, name=f"List {n}", position=n)
        for n, mailjet_id in enumerate(CAMPAIGNS, 1)
    ]
    return Rotation(
        master=a_list(role=Role.MASTER, mailjet_id=MASTER, name="Master"),
        campaign=(first, second, third),
        suppression=a_list(role=Role.SUPPRESSION, mailjet_id=SUPPRESSION, name="Suppressed"),
    )


def _a_campaign_list() -> ContactList:
    return ContactList.objects.rotation().first() or a_list()


def a_contact(*, email: str | None = "", **columns: Any) -> Contact:
    """A mailable contact. `email=None` is a retired one."""
    number = columns.pop("id", None) or next(_numbers)
    if email is None:
        columns.setdefault("retired_at", NOON)
    if columns.get("complained_at"):
        columns.setdefault("complained_by", "an event")
    address = f"contact-{number}@example.com" if email == "" else email
    registered = NOON - timedelta(days=365)
    return Contact.objects.create(id=number, email=address, **{"registered_at": registered, **columns})


def a_membership(
    *, contact: Contact | None = None, list: ContactList | None = None, **columns: Any
) -> ContactListMembership:
    """A current membership at the list's tail. With `until`, one that a person ended."""
    list = list or _a_campaign_list()
    last = list.memberships.aggregate(last=Max("rank"))["last"] or 0
    if columns.get("until") is not None:
        columns.setdefault("ended_by", Change.PERSON)
    return ContactListMembership.objects.create(
        contact=contact or a_contact(),
        list=list,
        **{"since": NOON - timedelta(days=300), "rank": last + 1, **columns},
    )


def contacts(size: int, *, emails: Sequence[str] = ()) -> Sequence[Contact]:
    """So many mailable contacts, made at once; with these addresses, where they are given."""
    numbers = [next(_numbers) for _ in range(size)]
    addresses = emails or [f"contact-{number}@example.com" for number in numbers]
    return Contact.objects.bulk_create(
        Contact(id=number, email=address, registered_at=NOON - timedelta(days=365))
        for number, address in zip(numbers, addresses, strict=True)
    )


def join(list: ContactList, contacts: Iterable[Contact]) -> None:
    """Have them be members at the list's tail, in order."""
    last = list.memberships.aggregate(last=Max("rank"))["last"] or 0
    ContactListMembership.objects.bulk_create(
        ContactListMembership(contact=contact, list=list, since=NOON - timedelta(days=300), rank=last + n)
        for n, contact in enumerate(contacts, 1)
    )


def members(size: int, *, list: ContactList) -> Sequence[Contact]:
    """This many mailable contacts at the list's tail, in order."""
    found = contacts(size)
    join(list, found)
    return found


def a_protection(*, kind: ProtectionKind = ProtectionKind.DOMAIN, **columns: Any) -> Protection:
    """A domain that people want held."""
    number = next(_numbers)
    value = f"protected-{number}.example" if kind is ProtectionKind.DOMAIN else f"vip-{number}@example.com"
    given = {"value": value, "why": "our largest customer", "at": NOON, **columns}
    return Protection.objects.create(kind=kind, by=given.pop("by", None) or a_user(), **given)


def an_imported_suppression(*, contact: Contact | None = None, **columns: Any) -> ContactSuppressionHistory:
    """What was found on the suppression list on the first day."""
    return ContactSuppressionHistory.objects.create(
        contact=contact or a_contact(),
        kind=SuppressionKind.IMPORTED,
        **{"at": NOON, "reason": "found on the suppression list", **columns},
    )


def a_suppression(*, operation: ListOperation | None = None, **columns: Any) -> ContactSuppressionHistory:
    """A suppression of ours, with its evidence, decision and operation."""
    operation = operation or an_operation(status=OperationStatus.APPLIED)
    return ContactSuppressionHistory.objects.create(
        contact=operation.contact,
        item=operation.item,
        evidence=operation.item.evidence,
        operation=operation,
        **{"kind": SuppressionKind.OURS, "at": NOON, "reason": "the address does not exist", **columns},
    )


# --- Campaigns and what became of them ---------------------------------------------------------------


def a_cycle(**columns: Any) -> Cycle:
    """A cycle that began two days ago."""
    return Cycle.objects.create(
        **{"number": next(_numbers), "started_at": NOON - timedelta(days=2), **columns}
    )


_TIMES: dict[RoundStatus, dict[str, datetime]] = {
    RoundStatus.SCHEDULED: {"scheduled_at": NOON + timedelta(days=3)},
    RoundStatus.SENDING: {"started_at": NOON},
    RoundStatus.SENT: {
        "started_at": NOON - timedelta(hours=31),
        "ended_at": NOON - timedelta(hours=30),
    },
}


def a_campaign(
    *,
    list: ContactList | None = None,
    status: RoundStatus = RoundStatus.SENT,
    kind: CampaignKind = CampaignKind.ROUND,
    **columns: Any,
) -> CampaignSchedule:
    """A send to the first campaign list that ended 30 hours ago: the only round of its cycle."""
    if kind is CampaignKind.ROUND:
        columns = {"cycle": columns.pop("cycle", None) or a_cycle(), "round": 1, **columns}
    if status is RoundStatus.FAILED:
        columns.setdefault("cause", "Mailjet refused it")
    given = {"mailjet_campaign_id": next(_numbers), **_TIMES.get(status, {}), **columns}
    return CampaignSchedule.objects.create(list=list or _a_campaign_list(), status=status, kind=kind, **given)


_FAILED_AS = {
    Outcome.BOUNCED: BounceClass.RECIPIENT_GONE,
    Outcome.COMPLAINED: BounceClass.COMPLAINT,
    Outcome.NOT_ATTEMPTED: BounceClass.NOT_ATTEMPTED,
}


def a_recipient(
    *,
    campaign: CampaignSchedule | None = None,
    contact: Contact | None = None,
    outcome: Outcome = Outcome.DELIVERED,
    **columns: Any,
) -> CampaignRecipient:
    """A message of a campaign to a contact, and how it ended."""
    campaign = campaign or a_campaign()
    sent_at = campaign.started_at or NOON
    given = {
        "message_id": next(_numbers),
        "bounce_class": _FAILED_AS.get(outcome, ""),
        "sent_at": sent_at,
        "outcome_at": sent_at,
        **columns,
    }
    return CampaignRecipient.objects.create(
        campaign=campaign, contact=contact or a_contact(), outcome=outcome, **given
    )


def a_bounce(*, recipient: CampaignRecipient | None = None, **columns: Any) -> Bounce:
    """The evidence of a hard "user unknown"."""
    recipient = recipient or a_recipient(outcome=Outcome.BOUNCED)
    given = {"state": 1, "permanent": True, "attempted": True, "at": recipient.outcome_at, **columns}
    return Bounce.objects.create(recipient=recipient, **given)


def a_hold(*, kind: HoldKind = HoldKind.DOMAIN, **columns: Any) -> Hold:
    """A standing hold, of a domain or of a contact."""
    if kind is HoldKind.CONTACT:
        columns["contact"] = columns.get("contact") or a_contact()
    else:
        columns.setdefault("host", f"held-{next(_numbers)}.example")
    if columns.get("ended_at") is not None:
        columns.setdefault("ended_how", "outage_over")
    given = {"why": "looks like an outage", "since": NOON, **columns}
    return Hold.objects.create(kind=kind, run=given.pop("run", None) or a_run(), **given)


def a_lookup(*, route: Route = Route.HOSTS, **columns: Any) -> DomainLookup:
    """What DNS said of a domain at NOON: that its mail goes to a host of its own."""
    domain = columns.pop("domain", None) or f"domain-{next(_numbers)}.example"
    if route in (Route.HOSTS, Route.ADDRESS):
        columns.setdefault("mail_host", f"mx.{domain}")
    if route is Route.UNKNOWN:
        columns.setdefault("why", "the resolver did not answer in time")
    return DomainLookup.objects.create(domain=domain, route=route, **{"at": NOON, **columns})


def a_webhook_event(
    *, kind: ToldKind = ToldKind.BOUNCE, status: EventStatus = EventStatus.NEW, **columns: Any
) -> WebhookEvent:
    """An event as it came in, of a message that nobody knows."""
    if status in (EventStatus.DONE, EventStatus.REVIEW):
        columns.setdefault("processed_at", NOON)
    if status is EventStatus.REVIEW:
        columns.setdefault("problem", "this is not the JSON of an event")
    if status is EventStatus.WAITING:
        columns.setdefault("mailjet_campaign_id", next(_numbers))
    given = {
        "identity": uuid.UUID(int=next(_numbers)),
        "body": f'{{"event": "{kind}", "time": 1772452800, "MessageID": {next(_numbers)}}}',
        "received_at": NOON,
        **columns,
    }
    return WebhookEvent.objects.create(kind=kind, status=status, **given)


# --- Runs --------------------------------------------------------------------------------------------


def a_run(
    *,
    kind: RunKind = RunKind.POST_CAMPAIGN,
    status: RunStatus = RunStatus.RUNNING,
    stage: RunStage = RunStage.ACT,
    trigger: Trigger = Trigger.SCHEDULE,
    **columns: Any,
) -> ListMaintenanceLog:
    """A run at its first step, without a lease."""
    if kind is RunKind.POST_CAMPAIGN:
        columns["campaign"] = columns.get("campaign") or a_campaign()
    if status in FINISHED:
        columns.setdefault("finished_at", NOON)
    if columns.get("override"):
        columns.setdefault("overridden_at", NOON)
    if status is RunStatus.WAITING:
        columns = {"next_at": NOON, "waits_for": "Mailjet to finish a job", **columns}
    given = {"idempotency_key": f"run {next(_numbers)}", "created_at": NOON, **columns}
    return ListMaintenanceLog.objects.create(kind=kind, status=status, stage=stage, trigger=trigger, **given)


def an_agent_call(
    *,
    run: ListMaintenanceLog | None = None,
    agent: Agent = Agent.OPTIMIZATION,
    source: AnswerSource = AnswerSource.RULES,
    **columns: Any,
) -> AgentCall:
    """What an agent answered by rules."""
    if source is not AnswerSource.RULES:
        columns = {"model": "gemini-under-test", "prompt_version": "1", **columns}
    given = {
        "valid": True,
        "raw_confidence": 0.8,
        "confidence": 0.8,
        "asked": {},
        "answer": {},
        "at": NOON,
        **columns,
    }
    return AgentCall.objects.create(run=run or a_run(), agent=agent, source=source, **given)


def a_verdict(*, call: AgentCall | None = None, **columns: Any) -> AgentVerdict:
    """A cohort that the rules would suppress, and that the policy leaves open."""
    given = {
        "subject": f"cohort-{next(_numbers)}",
        "region": Region.MAY,
        "bounce_class": BounceClass.MAILBOX_FULL,
        "contacts": 1,
        "verdict": "suppress",
        "confidence": 0.8,
        "raw_confidence": 0.8,
        "rules_verdict": "suppress",
        "rules_confidence": 0.8,
        "rules_rationale": "Full for so long that nobody seems to empty it.",
        **columns,
    }
    return AgentVerdict.objects.create(call=call or an_agent_call(), **given)


def a_health_check(*, call: AgentCall | None = None, **columns: Any) -> ListHealthCheck:
    """What list health said in a run, without its lists."""
    call = call or an_agent_call(agent=Agent.LIST_HEALTH)
    return ListHealthCheck.objects.create(
        run=call.run, call=call, **{"at": NOON, "deviation": 1.5, **columns}
    )


def a_list_health(
    *, check: ListHealthCheck | None = None, list: ContactList | None = None, **columns: Any
) -> ListHealth:
    """One healthy list in a health check."""
    given = {
        "size": 100,
        "delivered": 98,
        "bounced": 2,
        "not_attempted": 0,
        "grade": "good",
        "cause": "none",
        "rationale": "few failures",
        **columns,
    }
    return ListHealth.objects.create(
        check_of=check or a_health_check(), list=list or _a_campaign_list(), **given
    )


def the_rollout(**columns: Any) -> RolloutState:
    """Observing began 30 days ago; nothing is paused."""
    if columns.get("paused_at") or columns.get("manual_since"):
        columns = {"changed_by": columns.pop("changed_by", None) or a_user(), "why": "a holiday", **columns}
    return RolloutState.objects.create(**{"observing_since": NOON - timedelta(days=30), **columns})


# --- Decisions ---------------------------------------------------------------------------------------


def a_decision(
    *,
    run: ListMaintenanceLog | None = None,
    kind: DecisionKind = DecisionKind.SUPPRESSION,
    status: DecisionStatus = DecisionStatus.OPEN,
    **columns: Any,
) -> Decision:
    """A decision by rules that waits for a reviewer until tomorrow, without groups."""
    if status not in (DecisionStatus.DRAFT, DecisionStatus.CLEAR, DecisionStatus.OBSERVED):
        columns.setdefault("deadline", NOON + timedelta(days=1))
        columns.setdefault("reasons", ["everything is reviewed at first"])
    if status in REVIEWED:
        columns["reviewed_by"] = columns.get("reviewed_by") or a_user()
        columns = {"reviewed_at": NOON, "note": "seen", **columns}
    given = {
        "title": "Suppress who cannot be reached",
        "source": AnswerSource.RULES,
        "confidence": 0.8,
        "created_at": NOON,
        **columns,
    }
    return Decision.objects.create(run=run or a_run(), kind=kind, status=status, **given)


def a_group(
    *, decision: Decision | None = None, action: ItemAction = ItemAction.SUPPRESS, **columns: Any
) -> DecisionGroup:
    """A cohort of one, or one leg of a rebalancing, at the end of its decision."""
    decision = decision or a_decision()
    if action is ItemAction.SUPPRESS:
        columns = {
            "region": Region.MUST,
            "bounce_class": BounceClass.RECIPIENT_GONE,
            "strikes": "1",
            "history": History.NEVER_DELIVERED,
            **columns,
        }
    position = (decision.groups.aggregate(last=Max("position"))["last"] or 0) + 1
    given = {
        "position": position,
        "key": f"group {position}",
        "title": "one contact",
        "contacts": 1,
        "share": 0.01,
        "confidence": 0.8,
        **columns,
    }
    return DecisionGroup.objects.create(decision=decision, action=action, **given)


def an_item(
    *,
    group: DecisionGroup | None = None,
    contact: Contact | None = None,
    status: ItemStatus = ItemStatus.PROPOSED,
    **columns: Any,
) -> DecisionItem:
    """One contact of a group, at the end of its decision; a suppression brings evidence of that contact."""
    group = group or a_group()
    evidence = columns.pop("evidence", None)
    if group.action == ItemAction.SUPPRESS and evidence is None:
        evidence = a_bounce(
            recipient=a_recipient(
                campaign=group.decision.run.campaign, contact=contact, outcome=Outcome.BOUNCED
            )
        )
    if status in (ItemStatus.TAKEN_OUT, ItemStatus.DROPPED, ItemStatus.FAILED):
        columns.setdefault("why", "was delivered to meanwhile")
    position = (group.decision.items.aggregate(last=Max("position"))["last"] or 0) + 1
    given = {"action": group.action, "position": position, **_legs(ItemAction(group.action)), **columns}
    contact = contact or (evidence.recipient.contact if evidence else a_contact())
    return DecisionItem.objects.create(
        decision=group.decision, group=group, contact=contact, evidence=evidence, status=status, **given
    )


def _legs(action: ItemAction) -> dict[str, ContactList]:
    match action:
        case ItemAction.PLACE | ItemAction.PUT_BACK | ItemAction.RESTORE:
            return {"target_list": _a_campaign_list()}
        case ItemAction.TAKE_OFF | ItemAction.UNSUBSCRIBE | ItemAction.RELEASE:
            return {"source_list": _a_campaign_list()}
        case ItemAction.MOVE:
            source = _a_campaign_list()
            other = ContactList.objects.rotation().exclude(pk=source.pk).first()
            return {"source_list": source, "target_list": other or a_list()}
        case ItemAction.SUPPRESS | ItemAction.HOLD | ItemAction.COMPLAINT:
            return {"source_list": _a_campaign_list()}


# --- The journal -------------------------------------------------------------------------------------


def a_batch(
    *,
    run: ListMaintenanceLog | None = None,
    kind: BatchKind = BatchKind.SUPPRESS,
    status: BatchStatus = BatchStatus.INTENDED,
    **columns: Any,
) -> OperationBatch:
    """A batch at the end of its run's journal, without changes and operations."""
    run = run or a_run()
    if status is not BatchStatus.INTENDED:
        columns = {"attempt": 1, "sending_at": NOON, **columns}
    if status not in (BatchStatus.INTENDED, BatchStatus.SENDING, BatchStatus.FAILED):
        columns.setdefault("job_id", next(_numbers))
    if status in SETTLED:
        columns.setdefault("settled_at", NOON)
    if status is BatchStatus.FAILED:
        columns.setdefault("error", "the job ended without effect")
    position = (run.batches.aggregate(last=Max("position"))["last"] or 0) + 1
    return OperationBatch.objects.create(
        run=run, kind=kind, status=status, **{"position": position, **columns}
    )


def a_change(
    *,
    batch: OperationBatch | None = None,
    list: ContactList | None = None,
    action: Action = Action.REMOVE,
) -> BatchChange:
    """What a batch does on one list."""
    return BatchChange.objects.create(
        batch=batch or a_batch(), list=list or _a_campaign_list(), action=action
    )


def an_operation(
    *,
    batch: OperationBatch | None = None,
    item: DecisionItem | None = None,
    status: OperationStatus = OperationStatus.INTENDED,
    **columns: Any,
) -> ListOperation:
    """One item's contact in a batch of the same run."""
    item = item or an_item()
    batch = batch or a_batch(run=item.decision.run)
    if status in (OperationStatus.APPLIED, OperationStatus.UNDONE):
        columns.setdefault("applied_at", NOON)
    if status in (OperationStatus.DROPPED, OperationStatus.FAILED):
        columns.setdefault("why", "no longer on the list")
    position = (batch.operations.aggregate(last=Max("position"))["last"] or 0) + 1
    given = {"kind": batch.kind, "contact": item.contact, "position": position, **columns}
    return ListOperation.objects.create(batch=batch, item=item, status=status, **given)


def a_request(**columns: Any) -> MailjetRequest:
    """A request to Mailjet that was allowed."""
    return MailjetRequest.objects.create(**{"at": NOON, **columns})


def a_gemini_request(**columns: Any) -> GeminiRequest:
    """A request to Gemini that was allowed, and what it cost."""
    return GeminiRequest.objects.create(
        **{"at": NOON, "correlation": "a run", "tokens": 100, "settled": True, **columns}
    )


def the_back_off(**columns: Any) -> GeminiBackOff:
    """Gemini said "too many", once."""
    return GeminiBackOff.objects.create(**{"times": 1, "until": NOON, "why": "rate_limited", **columns})


def a_scan(**columns: Any) -> MirrorScan:
    """A list's memberships, half read."""
    given = {"of": ScanOf.MEMBERS, "list": columns.pop("list", None) or _a_campaign_list(), **columns}
    read = {"total": 2000, "staged": 1000, "offset": 999, "highest": 1000}
    return MirrorScan.objects.create(**{"started_at": NOON, "busy_until": NOON, **read, **given})


def the_breaker(**columns: Any) -> MailjetBreaker:
    """Nothing is wrong with Mailjet."""
    return MailjetBreaker.objects.create(**columns)


def an_outage(**columns: Any) -> MailjetOutage:
    """A minute in which Mailjet was not asked, over and told."""
    over = {
        "ended_at": NOON + timedelta(minutes=1),
        "told_at": NOON,
        "closed_at": NOON + timedelta(minutes=1),
    }
    return MailjetOutage.objects.create(**{"began_at": NOON, "why": "GET contact/7: 503", **over, **columns})


# --- Before a send -----------------------------------------------------------------------------------


def a_validation(
    *, campaign: CampaignSchedule | None = None, verdict: Verdict = Verdict.BLOCK, **columns: Any
) -> CampaignValidation:
    """A look at a scheduled send, a day before it."""
    campaign = campaign or a_campaign(status=RoundStatus.SCHEDULED)
    sends_at = columns.pop("sends_at", None) or campaign.scheduled_at or NOON + timedelta(days=1)
    given = {"instant": Instant.DAY_BEFORE, "at": sends_at - timedelta(days=1), "size": 1000, **columns}
    return CampaignValidation.objects.create(
        campaign=campaign, list=campaign.list, sends_at=sends_at, verdict=verdict, **given
    )


def a_finding(*, validation: CampaignValidation | None = None, **columns: Any) -> ValidationFinding:
    """Somebody suppressed is on the list: that blocks."""
    validation = validation or a_validation()
    words = {"words": "1 contact: suppressed, and on List 1.", "what_to_do": "Take them off the list."}
    given = {"kind": Check.SUPPRESSED, "severity": Severity.BLOCKING, "number": 1, **words, **columns}
    position = validation.findings.count() + 1
    return ValidationFinding.objects.create(validation=validation, **{"position": position, **given})


def a_clearance(*, validation: CampaignValidation | None = None, **columns: Any) -> CampaignClearance:
    """Somebody said to send it anyway."""
    validation = validation or a_validation()
    given = {"campaign": validation.campaign, "at": NOON, "why": "they asked for it", **columns}
    return CampaignClearance.objects.create(
        validation=validation, by=given.pop("by", None) or a_user(), **given
    )


def a_held_choice(**columns: Any) -> HeldChoice:
    """Five of each held domain are mailed, as somebody chose."""
    given = {"treatment": HeldTreatment.FIVE, "at": NOON, **columns}
    campaign = given.pop("campaign", None) or a_campaign(status=RoundStatus.SCHEDULED)
    return HeldChoice.objects.create(campaign=campaign, by=given.pop("by", None) or a_user(), **given)


def a_draft_operation(
    *, status: DraftStatusHere = DraftStatusHere.INTENDED, **columns: Any
) -> DraftOperation:
    """A draft is to be unscheduled, since its look blocked; with `clearance`, scheduled again."""
    if "clearance" not in columns and "validation" not in columns:
        columns["validation"] = a_validation()
    because = columns.get("validation") or columns["clearance"]
    if status is not DraftStatusHere.INTENDED:
        columns = {"attempt": 1, "sending_at": NOON, **columns}
    if status in (DraftStatusHere.APPLIED, DraftStatusHere.FAILED):
        columns.setdefault("settled_at", NOON)
    if status is DraftStatusHere.FAILED:
        columns.setdefault("error", "it was sent before")
    change = DraftChange.UNSCHEDULE if columns.get("validation") else DraftChange.SCHEDULE
    given = {"change": change, "draft_id": next(_numbers), "sends_at": NOON, "created_at": NOON, **columns}
    return DraftOperation.objects.create(campaign=because.campaign, status=status, **given)


# --- What people are told ----------------------------------------------------------------------------


def a_notification(
    *,
    run: ListMaintenanceLog | None = None,
    kind: NotificationKind = NotificationKind.MAINTENANCE_DONE,
    status: NotificationStatus = NotificationStatus.PENDING,
    **columns: Any,
) -> Notification:
    """A message that is due."""
    if kind is NotificationKind.DECISION_NEEDED:
        decision = columns.get("decision") or a_decision(run=run)
        columns["decision"], run = decision, decision.run
    if status is NotificationStatus.SENT:
        columns = {"sent_at": NOON, "channel": "C0SANDBOX", "ts": "1772452800.000100", **columns}
    if status is NotificationStatus.FAILED:
        columns.setdefault("error", "channel_not_found")
    given = {
        "key": f"message {next(_numbers)}",
        "text": "Lists are even again",
        "blocks": [],
        "created_at": NOON,
        "next_at": NOON,
        "attempts": 0 if status is NotificationStatus.PENDING else 1,
        **columns,
    }
    return Notification.objects.create(run=run or a_run(), kind=kind, status=status, **given)


def an_audit_entry(**columns: Any) -> AuditEntry:
    """Somebody did something to something."""
    given = {"actor": "pat", "action": "approved", "subject_kind": "decision", "subject_id": 1, **columns}
    return AuditEntry.objects.create(**{"at": NOON, **given})


def one_of_each() -> None:
    """Rows in every table, every reference filled: a run that suppressed, held, placed and moved."""
    run = a_run(trigger=Trigger.PERSON, triggered_by=a_user())
    health = an_agent_call(run=run, agent=Agent.LIST_HEALTH)
    graded = {"verdict": "good/none", "rules_verdict": "good/none", "region": "", "bounce_class": ""}
    marked = {"is_right": True, "marked_at": NOON, "marked_by": a_user()}
    a_list_health(
        check=a_health_check(call=health),
        verdict=a_verdict(call=health, subject="list-1", contacts=None, **graded),
        **marked,
    )
    decision = a_decision(run=run, status=DecisionStatus.APPROVED)
    suppressed = an_executed(a_group(decision=decision, call=an_agent_call(run=run)), BatchKind.SUPPRESS)
    call = run.agent_calls.get(agent=Agent.OPTIMIZATION)
    DecisionItem.objects.filter(pk=suppressed.item_id).update(verdict=a_verdict(call=call))
    a_suppression(operation=suppressed, removed_from=suppressed.item.source_list)
    a_membership(contact=suppressed.contact, until=NOON, ended_by=Change.OPERATION, ended_with=suppressed)
    moving = a_decision(run=run, status=DecisionStatus.APPROVED, kind=DecisionKind.REBALANCING)
    incoming = an_executed(a_group(decision=moving, action=ItemAction.MOVE), BatchKind.MOVE_IN)
    taken_away = a_membership(
        contact=incoming.contact, until=NOON, began_by=Change.OPERATION, began_with=incoming
    )
    DecisionItem.objects.filter(pk=incoming.item_id).update(membership=taken_away)
    a_change(
        batch=a_batch(run=run, kind=BatchKind.MOVE_OUT, status=BatchStatus.APPLIED, after=incoming.batch)
    )
    undo = a_run(kind=RunKind.UNDO, undoes=run, trigger=Trigger.PERSON, triggered_by=a_user())
    taking_back = a_decision(run=undo, kind=DecisionKind.UNDO, status=DecisionStatus.APPROVED)
    back = a_group(decision=taking_back, action=ItemAction.RESTORE)
    an_item(group=back, contact=suppressed.contact, undoes=suppressed.item)
    asked = a_decision(run=a_run(kind=RunKind.WAY_BACK), kind=DecisionKind.WAY_BACK)
    an_item(group=a_group(decision=asked, action=ItemAction.RESTORE))
    an_imported_suppression(lifted_at=NOON, lifted_by=a_user(), lifted_why="their support asked")
    a_contact(email=None, heir=a_contact())
    a_hold(run=run, part_of=a_hold(run=run, kind=HoldKind.MAIL_HOST))
    a_hold(run=run, kind=HoldKind.CONTACT)
    a_lookup()
    a_lookup(route=Route.UNKNOWN)
    a_protection()
    a_request()
    a_gemini_request()
    if not GeminiBackOff.objects.exists():
        the_back_off()
    a_webhook_event(status=EventStatus.REVIEW)
    a_scan()
    an_outage()
    a_notification(kind=NotificationKind.DECISION_NEEDED, decision=decision)
    an_audit_entry()
    a_finding(validation=a_validation(asked_by=a_user()))
    a_draft_operation(status=DraftStatusHere.APPLIED)
    a_draft_operation(status=DraftStatusHere.APPLIED, clearance=a_clearance())
    a_held_choice(run=a_run())
    if not RecurringJob.objects.exists():
        RecurringJob.objects.create(
            job=Recurring.REFRESH_CACHE, tried_at=NOON, done_at=NOON, outcome="all read"
        )
    said = {"labelled_by": a_user(), "labelled_at": NOON, "labelled_why": "sent again by mistake"}
    a_campaign(kind=CampaignKind.REPEAT, list=run.campaign and run.campaign.list, of=run.campaign, **said)
    CampaignSync.objects.get_or_create(defaults={"read_at": NOON})
    if not MailjetBreaker.objects.exists():
        the_breaker()
    if not RolloutState.objects.exists():
        the_rollout(changed_by=a_user())


def an_executed(group: DecisionGroup, kind: BatchKind) -> ListOperation:
    """A group's one contact, done at Mailjet by a batch of its own."""
    batch = a_batch(run=group.decision.run, kind=kind, status=BatchStatus.APPLIED)
    a_change(batch=batch)
    item = an_item(group=group, status=ItemStatus.EXECUTED)
    return an_operation(batch=batch, item=item, status=OperationStatus.APPLIED)
