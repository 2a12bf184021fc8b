"""Turns what was judged into decisions: groups that a person reads, and one item per contact.

A draft is written when the agents have judged, and settled by the autonomy rule: what is clear becomes
a decision of its own that executes, the rest one open decision, or everything is only observed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from agents import optimization, orchestrate
from agents.optimization import CohortFact, CohortVerdict, Verdict
from listmanagement.domain import autonomy, cycle, guards
from listmanagement.domain.balance import Move, Placement
from listmanagement.domain.bounces import History
from listmanagement.domain.cohorts import Cohort
from listmanagement.domain.holds import ENDED_BY_SUPPRESSION
from listmanagement.domain.suppression import POLICY, Region
from listmanagement.domain.telling import people
from listmanagement.models import (
    FINISHED,
    AgentCall,
    AgentVerdict,
    Bounce,
    CampaignSchedule,
    ContactList,
    ContactListMembership,
    Decision,
    DecisionGroup,
    DecisionItem,
    DecisionKind,
    DecisionStatus,
    Hold,
    HoldKind,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    OperationStatus,
    Role,
    RolloutState,
    RunKind,
    RunStage,
    RunStatus,
)
from listmanagement.workflows import rotation
from listmanagement.workflows.maintenance import guarding, rebalancing
from listmanagement.workflows.maintenance.judgement import Findings
from listmanagement.workflows.permission import rounds_of
from listmanagement.workflows.running.steps import Hand

JUDGED = (RunKind.POST_CAMPAIGN, RunKind.LATE_EVIDENCE)
"""Runs that change lists by judgement, no others: the first of them are reviewed."""

MOST_GROUPS = 8  # what a person reads; the smallest of a kind are put together beyond it

HISTORIES = {
    History.NEVER_DELIVERED: "nothing was ever delivered",
    History.DELIVERED_BEFORE: "delivered before, but not since",
    History.LATELY_ALIVE: "a person clicked not long before",
    History.PROTECTED: "protected by people",
}


@dataclass(frozen=True)
class Judged:
    """One cohort with its facts and the verdict that stands."""

    cohort: Cohort
    fact: CohortFact
    verdict: CohortVerdict
    domains: frozenset[str]
    """Where its contacts are."""
    is_outage: bool
    """Held because their domains are."""
    disagreement: bool
    contradiction: bool

    @property
    def action(self) -> ItemAction | None:
        """What it asks for; None to keep."""
        return {Verdict.SUPPRESS: ItemAction.SUPPRESS, Verdict.HOLD: ItemAction.HOLD}.get(
            self.verdict.verdict
        )

    @property
    def kind(self) -> tuple[str, ...]:
        """What a group never mixes, however many there are."""
        return (str(self.action), self.cohort.region, str(self.cohort.review), str(self.is_outage))

    @property
    def shown_domain(self) -> str:
        """The domain, where it is what people decide about; empty where it is not, or there are several."""
        decides = self.is_outage or (self.cohort.review and self.action is ItemAction.SUPPRESS)
        return (self.cohort.domain or "") if decides else ""

    @property
    def alike(self) -> tuple[str, ...]:
        """What people see as one group: an outage by its domain, anything else by class and history."""
        if self.is_outage:
            return (*self.kind, self.shown_domain)
        return (*self.kind, self.cohort.bounce, self.cohort.history, self.shown_domain)


# --- Drafting ----------------------------------------------------------------------------------------


def draft_suppression(
    run: ListMaintenanceLog,
    campaign: CampaignSchedule,
    findings: Findings,
    analysis: orchestrate.Analysis,
    *,
    facts: Sequence[CohortFact],
    now: datetime,
) -> None:
    """Write the holds and the draft of the suppression decision. Inside the caller's transaction."""
    _write_holds(run, findings, now=now)
    judged = _judged(findings, analysis, facts=facts)
    groups = _groups([each for each in judged if each.action is not None])
    if not groups:
        return
    decision = Decision.objects.create(
        run=run,
        kind=DecisionKind.SUPPRESSION,
        status=DecisionStatus.DRAFT,
        title=_title(groups, campaign),
        source=analysis.optimization.source.value,
        confidence=analysis.optimization.confidence,
        created_at=now,
    )
    evidence = _evidence(findings)
    call = run.agent_calls.get(agent=optimization.AGENT)
    verdicts = {verdict.subject: verdict for verdict in call.verdicts.all()}
    position = 0
    for n, members in enumerate(groups, 1):
        group = _write_group(decision, members, position=n, call=call)
        position = _write_items(
            group, members, campaign=campaign, evidence=evidence, verdicts=verdicts, after=position
        )


def _judged(
    findings: Findings, analysis: orchestrate.Analysis, *, facts: Sequence[CohortFact]
) -> list[Judged]:
    verdicts = {verdict.cohort: verdict for verdict in analysis.optimization.answer.verdicts}
    contradicted = {contradiction.cohort for contradiction in analysis.contradictions}
    disagreed = set(analysis.optimization.disagreed)
    by_key = {fact.key: fact for fact in facts}
    domain_of = {ruling.contact_id: ruling.domain for ruling in findings.rulings}
    found = []
    for cohort in findings.cohorts:
        domains = frozenset(domain_of[contact_id] for contact_id in cohort.contact_ids)
        found.append(
            Judged(
                cohort=cohort,
                fact=by_key[cohort.key],
                verdict=verdicts[cohort.key],
                domains=domains,
                is_outage=cohort.region is Region.HOLD and domains <= findings.held_domains,
                disagreement=cohort.key in disagreed,
                contradiction=cohort.key in contradicted,
            )
        )
    return found


def _write_holds(run: ListMaintenanceLog, findings: Findings, *, now: datetime) -> None:
    for hold_id, end in findings.ended.items():
        if end in ENDED_BY_SUPPRESSION:  # ends with it, when it is done
            continue
        Hold.objects.standing().filter(pk=hold_id).update(ended_at=now, ended_how=end.value)
    _hold(HoldKind.MAIL_HOST, {each.domain: (each.why, None) for each in findings.host_outages}, run, now=now)
    own = {outage.domain: (outage.why, None) for outage in findings.outages}
    _hold(HoldKind.DOMAIN, {**_held_with_host(findings), **own}, run, now=now)
    waiting = set(Hold.objects.standing().filter(kind=HoldKind.CONTACT).values_list("contact_id", flat=True))
    Hold.objects.bulk_create(
        Hold(kind=HoldKind.CONTACT, contact_id=ruling.contact_id, why=ruling.why, since=now, run=run)
        for ruling in findings.rulings
        if ruling.region is Region.HOLD
        and ruling.domain not in findings.held_domains
        and ruling.contact_id not in waiting
    )


def _held_with_host(findings: Findings) -> dict[str, tuple[str, Hold | None]]:
    standing = Hold.objects.standing().filter(kind=HoldKind.MAIL_HOST)
    hosts = {hold.host: hold for hold in standing}
    return {
        domain: (f"Its mail host, {host}, looks like in an outage: {hosts[host].why}", hosts[host])
        for domain, host in findings.held_with.items()
    }


def _hold(
    kind: HoldKind, found: Mapping[str, tuple[str, Hold | None]], run: ListMaintenanceLog, *, now: datetime
) -> None:
    """Open a hold of each, with why and what it is part of, where none of its kind stands."""
    standing = Hold.objects.standing().filter(kind=kind, host__in=list(found))
    known = set(standing.values_list("host", flat=True))
    Hold.objects.bulk_create(
        Hold(kind=kind, host=host, why=why, since=now, run=run, part_of=whole)
        for host, (why, whole) in found.items()
        if host not in known
    )


def _groups(judged: Iterable[Judged]) -> list[list[Judged]]:
    """Cohorts put together as people see them, the largest first, at most eight."""
    found: dict[tuple[str, ...], list[Judged]] = {}
    for each in judged:
        found.setdefault(each.alike, []).append(each)
    groups = _largest_first(found.values())
    while len(groups) > MOST_GROUPS and _merge_smallest(groups):
        groups = _largest_first(groups)
    return groups


def _largest_first(groups: Iterable[list[Judged]]) -> list[list[Judged]]:
    return sorted(groups, key=lambda group: (-_count(group), group[0].cohort.key))


def _merge_smallest(groups: list[list[Judged]]) -> bool:
    """Put the smallest group that has another of its kind together with the smallest such."""
    for smallest in reversed(groups):
        for other in reversed(groups):
            if other is not smallest and other[0].kind == smallest[0].kind:
                groups.remove(smallest)
                other.extend(smallest)
                return True
    return False


def _count(group: Sequence[Judged]) -> int:
    return sum(len(each.cohort.contact_ids) for each in group)


def _title(groups: Sequence[Sequence[Judged]], campaign: CampaignSchedule) -> str:
    counted = Counter[str]()
    for group in groups:
        counted[str(group[0].action)] += _count(group)
    return f"{_deeds(counted)} of {campaign.list.name} after campaign {campaign.pk}"


def _deeds(counted: Mapping[str, int]) -> str:
    """Such as "Suppress 110 and hold 126"."""
    parts = [f"{action} {counted[action]:,}" for action in ItemAction if counted.get(action)]
    return " and ".join(parts).capitalize()


def _write_group(
    decision: Decision, members: Sequence[Judged], *, position: int, call: AgentCall
) -> DecisionGroup:
    lead = max(members, key=lambda each: len(each.cohort.contact_ids))
    contacts, cohort = _count(members), lead.cohort
    assert lead.action is not None
    shown = {each.shown_domain for each in members}
    domain = shown.pop() if len(shown) == 1 else ""
    return DecisionGroup.objects.create(
        decision=decision,
        position=position,
        key=cohort.key if len(members) == 1 else f"{cohort.key}+{len(members) - 1}",
        action=lead.action,
        title=_group_title(members, lead=lead, contacts=contacts, domain=domain),
        why=cohort.why,
        region=cohort.region,
        bounce_class=cohort.bounce,
        strikes=cohort.strikes_bucket if len(members) == 1 else "",
        history=cohort.history,
        domain=domain,
        contacts=contacts,
        share=min(1.0, round(sum(each.fact.share_of_list for each in members), 6)),
        confidence=min(each.verdict.confidence for each in members),
        rationale=optimization.explain(
            lead.verdict, cohort=lead.fact, contacts=contacts, domain=domain or None
        ),
        policy_review=any(each.cohort.review for each in members),
        disagreement=any(each.disagreement for each in members),
        contradiction=any(each.contradiction for each in members),
        call=call,
    )


def _group_title(members: Sequence[Judged], *, lead: Judged, contacts: int, domain: str) -> str:
    """One line a reviewer reads. Where the members differ, it does not let one stand for all."""
    one = contacts == 1
    who = people(contacts)
    histories = {each.cohort.history for each in members}
    past = HISTORIES[lead.cohort.history] if len(histories) == 1 else "their histories differ"
    if lead.is_outage:
        where = domain or f"{len(frozenset().union(*(each.domains for each in members))):,} domains"
        return f"{who} at {where} look{'s' if one else ''} like an outage"
    if lead.action is ItemAction.HOLD:
        return f"{who} wait{'s' if one else ''} for another sign: {past}"
    where = f" at {domain}" if domain else ""
    alike = len({each.cohort.bounce for each in members}) == 1
    meaning = POLICY.row(lead.cohort.bounce).meaning if alike else "several kinds of failure"
    return f"{who}{where}: {meaning}; {past}"


def _evidence(findings: Findings) -> Mapping[int, int]:
    """The stored evidence's id for each ruled contact."""
    by_message = {ruling.evidence_message_id: ruling.contact_id for ruling in findings.rulings}
    rows = Bounce.objects.filter(recipient__message_id__in=list(by_message))
    return {by_message[message]: pk for pk, message in rows.values_list("pk", "recipient__message_id")}


def _write_items(
    group: DecisionGroup,
    members: Sequence[Judged],
    *,
    campaign: CampaignSchedule,
    evidence: Mapping[int, int],
    verdicts: Mapping[str, AgentVerdict],
    after: int,
) -> int:
    """One item a contact, in the order of the list. Returns the last position used."""
    wanted = {
        contact_id: verdicts[each.cohort.key] for each in members for contact_id in each.cohort.contact_ids
    }
    ranks = ContactListMembership.objects.current().filter(contact__in=wanted, list__role=Role.CAMPAIGN)
    where = dict(ranks.values_list("contact_id", "list_id"))
    where |= dict(ranks.filter(list=campaign.list).values_list("contact_id", "list_id"))
    ranked = dict(ranks.values_list("contact_id", "rank"))
    ordered = sorted(wanted, key=lambda contact_id: (ranked.get(contact_id, 0), contact_id))
    items = [
        DecisionItem(
            contact_id=contact_id,
            source_list_id=where.get(contact_id, campaign.list_id),
            evidence_id=evidence.get(contact_id),
            verdict=wanted[contact_id],
        )
        for contact_id in ordered
    ]
    return group.fill(items, after=after)


# --- Settling ----------------------------------------------------------------------------------------


def settle(hand: Hand, run: ListMaintenanceLog, draft: Decision) -> Decision | None:
    """Apply guards and autonomy to a draft. Returns the decision that waits for review, if one does.

    Inside the caller's transaction. A run that observes executes nothing, whatever the rule says now. In
    a run that acts, what must not execute now, as during a pause, waits for a person: nothing is lost.
    Of what is clear and the policy leaves open, a few drawn at random wait for a person as well.
    """
    groups = list(draft.groups.all())
    found = _findings(draft, at=hand.now)
    enabled = hand.outside.configuration.enabled
    proposals = {group.pk: _proposal(group, draft, found) for group in groups}
    rulings = autonomy.decide(
        list(proposals.values()),
        rollout=rollout(enabled=enabled),
        caps=_caps(run, draft),
        now=hand.now,
    )
    verdicts = {group.pk: rulings[str(group.pk)] for group in groups}
    for group in groups:
        group.reasons = list(verdicts[group.pk].reasons)
        group.save(update_fields=["reasons"])
    clear = [group for group in groups if verdicts[group.pk].verdict is autonomy.Verdict.EXECUTE]
    watches = run.stage == RunStage.OBSERVE or only_watches(enabled=enabled, at=hand.now)
    if not watches:
        clear = [group for group in clear if not _is_all_drawn(group, proposals[group.pk], run)]
        groups = list(draft.groups.all())
    draft.reasons = list(dict.fromkeys(reason for group in groups for reason in group.reasons))
    draft.default_choice = all(verdict.default_choice for verdict in verdicts.values())
    if watches:
        draft.status = DecisionStatus.OBSERVED
    elif len(clear) == len(groups):
        draft.status = DecisionStatus.CLEAR
    else:
        draft.status = DecisionStatus.OPEN
        if clear:
            _split_off(draft, clear)
    draft.what_if = rebalancing.what_if(draft)
    draft.deadline = _deadline(draft, at=hand.now)
    draft.save()
    return draft if draft.status == DecisionStatus.OPEN else None


def only_watches(*, enabled: bool, at: datetime) -> bool:
    """Whether the rollout has not come further than observing."""
    stage = autonomy.stage(rollout(enabled=enabled), now=at)
    return stage in (autonomy.Stage.NOT_STARTED, autonomy.Stage.OBSERVING)


def _proposal(group: DecisionGroup, draft: Decision, found: Sequence[guards.Finding]) -> autonomy.Proposal:
    contacts = set(group.items.values_list("contact_id", flat=True))
    kinds = {
        ItemAction.SUPPRESS: autonomy.Kind.SUPPRESSION,
        ItemAction.HOLD: autonomy.Kind.HOLD,
        ItemAction.PLACE: autonomy.Kind.PLACEMENT,
        ItemAction.MOVE: autonomy.Kind.MOVE,
    }
    return autonomy.Proposal(
        key=str(group.pk),
        kind=kinds[ItemAction(group.action)],
        contacts=group.contacts,
        share=group.share,
        region=group.region or None,
        confidence=group.confidence,
        source=draft.source,
        disagreement=group.disagreement,
        policy_review=group.policy_review,
        findings=tuple(finding.words for finding in found if contacts & set(finding.contacts)),
        contradiction=group.contradiction,
    )


def _is_all_drawn(group: DecisionGroup, proposal: autonomy.Proposal, run: ListMaintenanceLog) -> bool:
    """Draw the random sample of a clear group: it becomes a group of its own. Whether nobody is left."""
    if not autonomy.is_sampled_from(proposal):
        return False
    contacts = group.items.values_list("contact_id", flat=True)
    seed = run.correlation_id.hex
    drawn = [contact_id for contact_id in contacts if autonomy.is_sampled(contact_id, seed=seed)]
    if not drawn:
        return False
    everybody = len(drawn) == group.contacts
    _make_sample(group if everybody else _part_of(group, drawn))
    return everybody


def _make_sample(group: DecisionGroup) -> None:
    """A person looks at this group though nothing speaks against it."""
    group.sampled_share = autonomy.LIMITS.sampled_share
    group.reasons = [autonomy.why_sampled()]
    group.title = f"Random sample: {group.title}"
    group.save(update_fields=["sampled_share", "reasons", "title"])


def _part_of(group: DecisionGroup, contacts: Collection[int]) -> DecisionGroup:
    """These contacts as a group of their own, at the end of the decision; both say how many they are now."""
    part = DecisionGroup.objects.get(pk=group.pk)
    part.pk, part._state.adding = None, True
    part.key = f"{group.key}~sample"
    part.position = group.decision.groups.count() + 1
    _recount(part, len(contacts))
    part.save(force_insert=True)
    _recount(group, group.contacts - len(contacts))
    group.save(update_fields=["contacts", "share", "title"])
    group.items.filter(contact__in=contacts).update(group=part)
    return part


def _recount(group: DecisionGroup, contacts: int) -> None:
    group.title = group.title.replace(people(group.contacts), people(contacts), 1)
    group.share = round(group.share * contacts / group.contacts, 6)
    group.contacts = contacts


def _findings(draft: Decision, *, at: datetime) -> tuple[guards.Finding, ...]:
    items = list(draft.items.select_related("group"))
    plan = guards.Proposed(
        suppressions=tuple(
            guards.Suppression(item.contact_id, item.group.region)
            for item in items
            if item.action == ItemAction.SUPPRESS
        ),
        placements=tuple(
            Placement(item.contact_id, item.target_list_id)
            for item in items
            if item.target_list_id and not item.source_list_id
        ),
        moves=tuple(
            Move(item.contact_id, item.source_list_id, item.target_list_id)
            for item in items
            if item.target_list_id and item.source_list_id
        ),
    )
    return guarding.findings(plan, at=at)


def rollout(*, enabled: bool) -> autonomy.Rollout:
    """How far the rollout is, from what is stored and whether the settings allow list management.

    A run counts once it has finished: what it goes on to propose is reviewed as its beginning was.
    """
    state = RolloutState.objects.first() or RolloutState()
    maintenance = ListMaintenanceLog.objects.filter(kind__in=JUDGED)
    observed = maintenance.filter(
        kind=RunKind.POST_CAMPAIGN, stage=RunStage.OBSERVE, status=RunStatus.SUCCEEDED
    )
    done = [OperationStatus.APPLIED, OperationStatus.UNDONE]  # what was undone was done
    changing = maintenance.filter(status__in=FINISHED, batches__operations__status__in=done).distinct()
    return autonomy.Rollout(
        observing_since=state.observing_since,
        first_observed_run_at=observed.order_by("finished_at").values_list("finished_at", flat=True).first(),
        changing_runs=changing.count(),
        manual=state.manual_since is not None,
        paused=state.paused_at is not None,
        enabled=enabled,
    )


def _caps(run: ListMaintenanceLog, draft: Decision) -> autonomy.Caps:
    """What the whole plan changes, of the sizes before the run."""
    sizes = {row["id"]: row["size"] for row in (run.state_before or {})["lists"]}
    told = _told_apart(ContactList.objects.rotation())
    items = draft.items.all()
    suppressed = {
        told[each.pk]: autonomy.Part(
            contacts=items.filter(action=ItemAction.SUPPRESS, source_list=each).count()
            + _suppressed_before(run, each),
            of=sizes[each.pk],
        )
        for each in ContactList.objects.rotation()
    }
    total = sum(rotation.sizes().values())
    return autonomy.Caps(
        suppressed=suppressed,
        moved=autonomy.Part(contacts=items.filter(action=ItemAction.MOVE).count(), of=total),
    )


def _told_apart(lists: Iterable[ContactList]) -> dict[int, str]:
    """Names by id; with Mailjet's id where two are named alike, so that neither hides the other's cap."""
    often = Counter(each.name for each in lists)
    return {
        each.pk: each.name if often[each.name] == 1 else f"{each.name} ({each.mailjet_id})" for each in lists
    }


def _suppressed_before(run: ListMaintenanceLog, contact_list: ContactList) -> int:
    """Contacts that earlier runs of the same campaign took off this list."""
    items = DecisionItem.objects.filter(
        decision__run__campaign=run.campaign_id,
        action=ItemAction.SUPPRESS,
        status=ItemStatus.EXECUTED,
        source_list=contact_list,
    )
    return items.exclude(decision__run=run).count()


def _deadline(draft: Decision, *, at: datetime) -> datetime:
    """The next freeze of a list it would change; for a suppression, of the lists its contacts are on."""
    items = draft.items.exclude(action=ItemAction.HOLD)
    lists = set(items.values_list("source_list_id", flat=True)) | set(
        items.values_list("target_list_id", flat=True)
    )
    concerned = ContactList.objects.filter(pk__in=[pk for pk in lists if pk])
    if any(cycle.is_frozen(rounds_of(each), at=at) for each in concerned):
        return at  # its next send is near: judged afresh after it
    return autonomy.deadline([cycle.next_freeze(rounds_of(each), at=at) for each in concerned], now=at)


def _split_off(draft: Decision, clear: Sequence[DecisionGroup]) -> None:
    """What is clear goes on by itself, as a decision of its own; each says what it is about."""
    own = Decision.objects.create(
        run=draft.run,
        kind=draft.kind,
        status=DecisionStatus.CLEAR,
        title=f"{_deeds_of(clear)} after campaign {draft.run.campaign_id}: clear, so without a review",
        source=draft.source,
        rationale=draft.rationale,
        confidence=min(group.confidence for group in clear),
        created_at=draft.created_at,
    )
    groups = DecisionGroup.objects.filter(pk__in=[group.pk for group in clear])
    DecisionItem.objects.filter(group__in=groups).update(decision=own)
    groups.update(decision=own)
    own.what_if = rebalancing.what_if(own)
    own.save(update_fields=["what_if"])
    left = _deeds_of(draft.groups.all())
    draft.title = f"{left} after campaign {draft.run.campaign_id}: what is not clear"


def _deeds_of(groups: Iterable[DecisionGroup]) -> str:
    counted = Counter[str]()
    for group in groups:
        counted[group.action] += group.contacts
    return _deeds(counted)
