"""What is known of a send before it goes out: gathered from the mirror, the journal and earlier campaigns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from django.db.models import Exists, Max, OuterRef, Q, QuerySet, Sum

from listmanagement.domain import balance, cycle
from listmanagement.domain.bounces import Outcome
from listmanagement.domain.retest import Held
from listmanagement.domain.validation import (
    Agent,
    BeforeDue,
    Check,
    Cleared,
    Facts,
    HeldHost,
    HeldTreatment,
    OtherSend,
    Outcomes,
    Severity,
)
from listmanagement.models import (
    CONSENT,
    AgentCall,
    AnswerSource,
    BatchKind,
    BatchStatus,
    CampaignKind,
    CampaignSchedule,
    CampaignSync,
    Change,
    ContactList,
    ContactListMembership,
    ContactSuppressionHistory,
    DecisionItem,
    DecisionKind,
    DecisionStatus,
    GeminiRequest,
    HeldChoice,
    Hold,
    HoldKind,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    ListOperation,
    OperationBatch,
    OperationStatus,
    Role,
    ValidationFinding,
)
from listmanagement.models import Agent as AgentName
from listmanagement.models.lists import MembershipQuerySet
from listmanagement.outside import Configuration
from listmanagement.workflows import permission, rotation
from listmanagement.workflows.changes import moves

TAKEN_OFF_BEFORE = timedelta(hours=cycle.FREEZE_HOURS) + permission.A_BATCH_TAKES
"""So long before a send a choice about held domains can still be carried out."""

USUAL_GAP = timedelta(days=7)
"""Between two rounds of a cycle, where no earlier cycle tells."""

GRACE = timedelta(days=1)
"""How much later than usual a round may be scheduled before somebody is told."""


def read(
    campaign: CampaignSchedule,
    *,
    configuration: Configuration,
    has_model: bool,
    members_at_mailjet: int | None,
    not_asked: str,
    now: datetime,
) -> Facts:
    """Everything that `validation.find` asks about a scheduled send, as it stands here now."""
    assert campaign.scheduled_at is not None
    to, sizes = campaign.list, rotation.sizes()
    choice = HeldChoice.objects.filter(campaign=campaign).first()
    unsettled = list(OperationBatch.objects.unsettled().select_related("after"))
    touching = [each for each in unsettled if to in permission.touched(each)]
    in_hand = _in_hand([each for each in unsettled if _is_unverified(each) and _concerns(each, to)])
    return Facts(
        sends_at=campaign.scheduled_at,
        list_name=to.name,
        list_role=to.role,
        is_deleted=to.is_deleted,
        is_repeat=campaign.kind == CampaignKind.REPEAT,
        overtakes=_overtaken(campaign, at=now),
        said_by_person=campaign.labelled_by_id is not None,
        segment=campaign.segmentation_id,
        size=sizes.get(to.pk, 0),
        expected_size=_expected_size(to),
        members_here=to.memberships.current().count(),
        members_at_mailjet=members_at_mailjet,
        deviation=balance.deviation(list(sizes.values())),
        threshold=configuration.balance_threshold,
        last_send=_last_send(to),
        earlier_rounds=_earlier_rounds(campaign),
        suppressed=_contacts(_suppressed(to).exclude(contact__in=in_hand)),
        said_no=_contacts(_said_no(to)),
        several_lists=_contacts(_on_several(to).exclude(contact__in=in_hand)),
        unverified=[each.pk for each in touching if each.kind not in CONSENT and _is_unverified(each)],
        consent_under_way=[each.pk for each in touching if each.kind in CONSENT],
        deferred=_deferred([each for each in touching if not _is_unverified(each)]),
        lists_read_at=_lists_read_at(),
        campaigns_read_at=CampaignSync.objects.values_list("read_at", flat=True).first(),
        not_asked=not_asked,
        held=held_hosts(to),
        treatment=HeldTreatment(choice.treatment) if choice is not None else None,
        skipped=_skipped(choice),
        choose_before=campaign.scheduled_at - TAKEN_OFF_BEFORE,
        undecided=_undecided(to),
        agents=_agents() if has_model else (),
        has_model=has_model,
        spent=_spent(now=now) / configuration.gemini_tokens_per_day,
        others=_others(campaign),
        due_rounds=[each for each in due_rounds(at=now) if each.list_name != to.name],
        cleared=_cleared(campaign, to=to),
    )


# --- The cycle -------------------------------------------------------------------------------------------


def _overtaken(campaign: CampaignSchedule, *, at: datetime) -> Sequence[str]:
    """Lists whose round of the cycle under way is to come after this send, which is of another cycle."""
    under_way = rotation.cycle_under_way(at=at)
    if under_way is None or campaign.kind != CampaignKind.ROUND or campaign.cycle_id == under_way.pk:
        return ()
    before = under_way.campaigns.filter(
        kind=CampaignKind.ROUND,
        status__in=[cycle.RoundStatus.SCHEDULED, cycle.RoundStatus.SENDING],
        scheduled_at__lt=campaign.scheduled_at,
    )
    waiting = rotation.awaited(at=at) - set(before.values_list("list_id", flat=True))
    return tuple(ContactList.objects.rotation().filter(pk__in=waiting).values_list("name", flat=True))


def due_rounds(*, at: datetime) -> Sequence[BeforeDue]:
    """Lists whose round of the cycle under way is not scheduled, a day after it usually would be sent."""
    under_way = rotation.cycle_under_way(at=at)
    if under_way is None:
        return ()
    rounds = under_way.campaigns.filter(kind=CampaignKind.ROUND)
    last: datetime | None = rounds.filter(started_at__lte=at).aggregate(at=Max("started_at"))["at"]
    planned = rounds.filter(status__in=[cycle.RoundStatus.SCHEDULED, cycle.RoundStatus.SENDING])
    if last is None or planned.exists():
        return ()
    due = last + _usual_gap(before=under_way.pk, at=at)
    if at < due + GRACE:
        return ()
    without = ContactList.objects.rotation().filter(pk__in=rotation.awaited(at=at))
    return [BeforeDue(list_name=each.name, since=due) for each in without]


def _usual_gap(*, before: int, at: datetime) -> timedelta:
    """The longest time between two rounds of the last cycle that had more than one."""
    for earlier in reversed([each for each in rotation.cycles_begun(at=at) if each.pk != before]):
        rounds = earlier.campaigns.filter(kind=CampaignKind.ROUND, started_at__isnull=False)
        starts = [each for each in rounds.order_by("started_at").values_list("started_at", flat=True) if each]
        if len(starts) > 1:
            return max(later - first for first, later in pairwise(starts))
    return USUAL_GAP


def _others(campaign: CampaignSchedule) -> Sequence[OtherSend]:
    scheduled = CampaignSchedule.objects.filter(status=cycle.RoundStatus.SCHEDULED).exclude(pk=campaign.pk)
    if campaign.ab_test_id is not None:  # versions of one A/B test go out together
        scheduled = scheduled.exclude(ab_test_id=campaign.ab_test_id)
    return [
        OtherSend(each.pk, each.list.name, each.scheduled_at, is_same_list=each.list_id == campaign.list_id)
        for each in scheduled.select_related("list").order_by("scheduled_at")
        if each.scheduled_at is not None
    ]


# --- What was sent before --------------------------------------------------------------------------------


def _last_send(to: ContactList) -> Outcomes | None:
    sent = to.campaigns.filter(status=cycle.RoundStatus.SENT).exclude(kind=CampaignKind.TEST)
    last = sent.select_related("list").order_by("-started_at").first()
    return _outcomes(last) if last is not None else None


def _earlier_rounds(campaign: CampaignSchedule) -> Sequence[Outcomes]:
    """Of the same cycle, those that have begun."""
    if campaign.cycle is None:
        return ()
    rounds = campaign.cycle.campaigns.filter(kind=CampaignKind.ROUND, started_at__isnull=False)
    return [_outcomes(each) for each in rounds.exclude(pk=campaign.pk).select_related("list")]


def _outcomes(campaign: CampaignSchedule) -> Outcomes:
    """By the messages stored and by Mailjet's counters, whichever is worse: both lag."""
    told = [_stored(campaign)]
    if campaign.counted_at is not None:
        hard, soft = campaign.hard_bounced or 0, campaign.soft_bounced or 0
        attempted = (campaign.delivered or 0) + hard + soft
        told.append(Outcomes(campaign.pk, campaign.list.name, hard, attempted))
    return max(told, key=lambda each: each.rate)


def _stored(campaign: CampaignSchedule) -> Outcomes:
    attempted = campaign.recipients.filter(outcome__in=[Outcome.DELIVERED, Outcome.BOUNCED])
    hard = attempted.filter(outcome=Outcome.BOUNCED, bounce__permanent=True)
    return Outcomes(campaign.pk, campaign.list.name, hard.count(), attempted.count())


# --- The list --------------------------------------------------------------------------------------------


def _expected_size(to: ContactList) -> int | None:
    """The size when a run last counted it, with what the journal, opt-outs and complaints changed since."""
    counted = ListMaintenanceLog.objects.filter(state_after__isnull=False, finished_at__isnull=False)
    last = counted.order_by("-finished_at").first()
    if last is None or last.finished_at is None or last.state_after is None:
        return None
    before = {row["id"]: row["size"] for row in last.state_after["lists"]}
    if to.pk not in before:
        return None
    since = last.finished_at
    joined = to.memberships.filter(began_by=Change.OPERATION, since__gt=since)
    left = to.memberships.filter(ended_by=Change.OPERATION, until__gt=since)
    said_no = Q(contact__opted_out_at__gt=since) | Q(contact__complained_at__gt=since)
    silent = to.memberships.current().filter(said_no)
    return int(before[to.pk]) + joined.count() - left.count() - silent.count()


def _contacts(rows: QuerySet[ContactListMembership]) -> Sequence[int]:
    return list(rows.order_by("contact").values_list("contact_id", flat=True))


def _active(to: ContactList) -> MembershipQuerySet:
    return ContactListMembership.objects.active().filter(list=to, contact__email__isnull=False)


def _suppressed(to: ContactList) -> MembershipQuerySet:
    standing = ContactSuppressionHistory.objects.standing().filter(contact=OuterRef("contact"))
    listed = ContactListMembership.objects.current().filter(
        contact=OuterRef("contact"), list__role=Role.SUPPRESSION
    )
    return _active(to).filter(Q(Exists(standing)) | Q(Exists(listed)))


def _said_no(to: ContactList) -> MembershipQuerySet:
    return _active(to).filter(
        Q(contact__opted_out_at__isnull=False) | Q(contact__complained_at__isnull=False)
    )


def _on_several(to: ContactList) -> MembershipQuerySet:
    others = ContactListMembership.objects.active().filter(
        contact=OuterRef("contact"), list__role=Role.CAMPAIGN, list__is_deleted=False
    )
    sized = ContactListMembership.objects.sized().filter(list=to)
    return sized.filter(Exists(others.exclude(list=to))) if to.role == Role.CAMPAIGN else sized.none()


def _lists_read_at() -> datetime | None:
    """When the list that waits longest was read, of those that a send is compared with."""
    lists = ContactList.objects.filter(role__in=[Role.CAMPAIGN, Role.SUPPRESSION], is_deleted=False)
    times = list(lists.values_list("read_at", flat=True))
    known = [each for each in times if each is not None]
    return min(known) if known and len(known) == len(times) else None


def _undecided(to: ContactList) -> Sequence[int]:
    """Members whose latest proposed suppression waits for a person, or waited in vain."""
    items = DecisionItem.objects.filter(
        action=ItemAction.SUPPRESS,
        decision__kind=DecisionKind.SUPPRESSION,
        contact__in=ContactListMembership.objects.sized().filter(list=to).values("contact"),
    )
    latest = items.order_by("contact", "-pk").distinct("contact")
    rows = latest.values_list("contact_id", "status", "decision__status")
    waiting = (DecisionStatus.OPEN, DecisionStatus.EXPIRED)
    return [contact for contact, item, of in rows if item == ItemStatus.PROPOSED and of in waiting]


# --- The journal -----------------------------------------------------------------------------------------


def _is_unverified(batch: OperationBatch) -> bool:
    """Whether Mailjet has it, or may have it; or its contacts stand on both lists of a move."""
    if batch.status != BatchStatus.INTENDED:
        return True
    is_of_a_move = batch.kind in (BatchKind.MOVE_OUT, BatchKind.CARRY_OPT_OUT)
    return is_of_a_move and moves.way_in(batch).status == BatchStatus.APPLIED


def _concerns(batch: OperationBatch, to: ContactList) -> bool:
    """Whether the batch, or the move that it is the end of, changes this list."""
    if batch.kind == BatchKind.MOVE_OUT:
        return to in permission.touched(moves.way_in(batch)) or to in permission.touched(batch)
    return to in permission.touched(batch)


def _in_hand(unverified: Collection[OperationBatch]) -> QuerySet[ListOperation, int]:
    """Contacts whom Evenkeel itself is changing now: where they stand is its doing, and the batch speaks."""
    operations = ListOperation.objects.filter(batch__in=unverified, status=OperationStatus.INTENDED)
    return operations.values_list("contact", flat=True)


def _deferred(batches: Collection[OperationBatch]) -> int:
    operations = ListOperation.objects.filter(
        batch__in=[each for each in batches if each.kind not in CONSENT], status=OperationStatus.INTENDED
    )
    return operations.values("contact").distinct().count()


# --- Held domains ----------------------------------------------------------------------------------------


def held_members(to: ContactList) -> Sequence[Held]:
    """Who of held domains is on the list and would be mailed."""
    members = ContactListMembership.objects.sized().filter(list=to, contact__domain__in=_held_hosts())
    rows = members.order_by("rank").values_list(
        "contact_id", "contact__domain", "rank", "contact__blocked_since"
    )
    return [
        Held(contact_id, domain, rank, is_blocked=blocked is not None)
        for contact_id, domain, rank, blocked in rows
        if domain is not None
    ]


def held_hosts(to: ContactList) -> Sequence[HeldHost]:
    """Each held domain that the list has somebody of."""
    holds = dict(Hold.objects.standing().filter(kind=HoldKind.DOMAIN).values_list("host", "pk"))
    found: dict[str, list[int]] = defaultdict(list)
    for member in held_members(to):
        found[member.host].append(member.contact_id)
    return [HeldHost(hold_id=holds[host], contacts=tuple(there)) for host, there in sorted(found.items())]


def _held_hosts() -> QuerySet[Hold, str]:
    """Domains on hold, by themselves or with their mail host."""
    return Hold.objects.standing().filter(kind=HoldKind.DOMAIN).values_list("host", flat=True)


def _skipped(choice: HeldChoice | None) -> int:
    """Contacts that the run of this choice has taken off and not put back."""
    if choice is None or choice.run is None or choice.run.finished_at is not None:
        return 0
    items = DecisionItem.objects.filter(decision__run=choice.run, status=ItemStatus.EXECUTED)
    off = items.filter(action=ItemAction.TAKE_OFF).count()
    return off - items.filter(action=ItemAction.PUT_BACK).count()


# --- The agents, and what people cleared -----------------------------------------------------------------


def _agents() -> Sequence[Agent]:
    latest = AgentCall.objects.order_by("agent", "-at").distinct("agent")
    calls = {call.agent: call for call in latest}
    return [
        Agent(name, is_valid=calls[name].valid, by_rules=calls[name].source == AnswerSource.RULES)
        for name in AgentName
        if name in calls
    ]


def _spent(*, now: datetime) -> int:
    """Tokens of the last 24 hours."""
    lately = GeminiRequest.objects.filter(at__gt=now - timedelta(hours=24))
    return int(lately.aggregate(n=Sum("tokens"))["n"] or 0)


def _cleared(campaign: CampaignSchedule, *, to: ContactList) -> Mapping[Check, Sequence[Cleared]]:
    """What a person knew of when they said to send it anyway, to this list."""
    said = {"validation__clearance__campaign": campaign, "validation__list": to}
    return cleared(ValidationFinding.objects.filter(**said, severity=Severity.BLOCKING))


def cleared(known: QuerySet[ValidationFinding]) -> Mapping[Check, Sequence[Cleared]]:
    """What whoever clears these findings has cleared."""
    found: dict[Check, list[Cleared]] = defaultdict(list)
    for kind, *what in known.values_list("kind", "number", "contacts", "subjects"):
        number, contacts, subjects = what
        about = None if subjects is None else frozenset(subjects)
        found[Check(kind)].append(Cleared(number, frozenset(contacts), about))
    return found
