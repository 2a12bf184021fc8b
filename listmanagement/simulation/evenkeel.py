"""Evenkeel's own policy, by the code that runs in production: the pure rules, the agents' rules, autonomy.

Only what a workflow loads from rows is kept in memory here, and a reviewer answers instead of a person.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from agents import orchestrate
from agents.asking import Record
from agents.list_health import HealthFacts, ListFact, OutageFact, few
from agents.optimization import CohortFact, Verdict
from listmanagement.domain import autonomy, holds
from listmanagement.domain.bounces import (
    NOT_ABOUT_THE_DOMAIN,
    BounceClass,
    ContactRecord,
    Event,
    Outcome,
    classify,
)
from listmanagement.domain.cohorts import Cohort
from listmanagement.domain.findings import CampaignFacts, Judgement, judge
from listmanagement.domain.holds import ENDED_BY_SUPPRESSION, DomainRecord, DomainTry, HoldEnd
from listmanagement.domain.suppression import POLICY, Region
from listmanagement.simulation.mail import Report
from listmanagement.simulation.world import PROVIDERS, Assumptions
from listmanagement.told import cohort_fact

_EPOCH = datetime(2024, 1, 1, 9, tzinfo=UTC)
_ALL_LISTS = "list-{}"


def _at(day: float) -> datetime:
    return _EPOCH + timedelta(days=day)


@dataclass(frozen=True)
class Group:
    """Contacts a reviewer is asked to suppress, as a page would show them: by reason, not one by one."""

    bounce: BounceClass
    region: Region
    contacts: tuple[int, ...]
    domains: frozenset[str]


Reviewer = Callable[[Sequence[Group], float], Sequence[bool]]
"""Which of the groups may be suppressed, asked on a day."""


@dataclass
class _Hold:
    since: float
    ended: float | None
    campaign: int | None
    began: float
    """The send of the campaign that showed it."""

    def covers(self, report: Report) -> bool:
        """Whether a message failed in it; what opened it is part of it."""
        return self._explains(report.campaign, report.at)

    def covers_send(self, campaign: _Campaign) -> bool:
        """Whether a campaign went out in it."""
        return self._explains(campaign.number, campaign.sent_at)

    def _explains(self, campaign: int, at: float) -> bool:
        if self.campaign == campaign:
            return True
        return self.began <= at and (self.ended is None or at < self.ended)


@dataclass
class _Campaign:
    number: int
    sent_at: float
    reports: dict[int, Report] = field(default_factory=dict)
    judged: int = 0
    tally: Counter[tuple[str, bool]] = field(default_factory=Counter)
    """Attempted messages by domain and whether they bounced, our own side's trouble apart."""
    failed: int = 0
    """How many of these bounced."""


@dataclass
class _Asked:
    groups: list[Group]
    campaign: int
    answered_at: float


class Evenkeel:
    """Listens, judges each campaign a day after its send and again when its outcomes are settled."""

    def __init__(self, assumptions: Assumptions, *, reviewer: Reviewer) -> None:
        self.suppressed: set[int] = set()
        self._assumptions = assumptions
        self._reviewer = reviewer
        self._campaigns: dict[int, _Campaign] = {}
        self._by_contact: defaultdict[int, list[Report]] = defaultdict(list)
        """In the order in which the messages ended."""
        self._classes: dict[int, BounceClass | None] = {}
        self._events: dict[int, Event] = {}
        self._tries: defaultdict[str, list[Report]] = defaultdict(list)
        self._holds: defaultdict[str, list[_Hold]] = defaultdict(list)
        self._contact_holds: dict[int, float] = {}
        self._reached: defaultdict[str, set[int]] = defaultdict(set)
        """Campaigns that reached somebody, by domain."""
        self._open: list[_Asked] = []
        self._said_no: set[tuple[int, int]] = set()
        """Campaigns and contacts of whom a person saw the evidence and would not suppress for it."""
        self._labels: Counter[BounceClass] = Counter()
        self._upheld: Counter[BounceClass] = Counter()
        self._changing_runs = 0
        self.asked = 0
        self.runs = 0

    # --- What is heard --------------------------------------------------------------------------------

    def hear(self, report: Report) -> None:
        """Keep one message's end; the same told again changes nothing."""
        if report.message_id in self._classes:
            return
        bounce = _class(report)
        self._classes[report.message_id] = bounce
        insort(self._by_contact[report.contact_id], report, key=_by_end)
        campaign = self._campaigns.setdefault(report.campaign, _Campaign(report.campaign, report.sent_at))
        campaign.reports[report.message_id] = report
        if report.outcome is Outcome.DELIVERED:
            self._reached[report.domain].add(report.campaign)
        if bounce in NOT_ABOUT_THE_DOMAIN:
            return
        if report.outcome is not Outcome.NOT_ATTEMPTED:
            campaign.tally[report.domain, report.outcome is Outcome.BOUNCED] += 1
            campaign.failed += report.outcome is Outcome.BOUNCED
        self._tries[report.domain].append(report)

    def wake(self, now: float) -> None:
        """Carry out what was decided; judge what is due."""
        for asked in [each for each in self._open if each.answered_at <= now]:
            self._open.remove(asked)
            self._decided(asked, now)
        sending = self._assumptions.sending
        for campaign in list(self._campaigns.values()):
            for stage, after in enumerate((sending.maintenance_hours / 24, sending.settled_days), 1):
                if campaign.judged < stage and now >= campaign.sent_at + after:
                    campaign.judged = stage
                    self._maintain(campaign, now)

    # --- One run --------------------------------------------------------------------------------------

    def _maintain(self, campaign: _Campaign, now: float) -> None:
        self.runs += 1
        judgement = judge(self._facts(campaign, now), token=str, now=_at(now))
        self._keep_holds(judgement, campaign, now)
        analysis = orchestrate.post_campaign(
            self._health(campaign, judgement),
            facts := self._cohort_facts(campaign, judgement),
            ask=None,
            campaign_list=_key(campaign, self._assumptions),
        )
        verdicts = {each.cohort: each for each in analysis.optimization.answer.verdicts}
        contradicted = {each.cohort for each in analysis.contradictions}
        wanted = [c for c in judgement.cohorts if verdicts[c.key].verdict is Verdict.SUPPRESS]
        if not wanted:
            return
        proposals = [
            _proposal(
                c,
                confidence=verdicts[c.key].confidence,
                contradiction=c.key in contradicted,
                share=next(fact.share_of_list for fact in facts if fact.key == c.key),
            )
            for c in wanted
        ]
        rulings = autonomy.decide(
            proposals, rollout=self._rollout(), caps=self._caps(campaign, wanted), now=_at(now)
        )
        clear = [c for c in wanted if rulings[c.key].verdict is autonomy.Verdict.EXECUTE]
        self._suppress([contact for c in clear for contact in c.contact_ids], campaign)
        self._ask([c for c in wanted if c not in clear], judgement, campaign, now)

    def _ask(self, left: Sequence[Cohort], judgement: Judgement, campaign: _Campaign, now: float) -> None:
        """A decision of at most eight groups; the same contacts are not asked about twice at once."""
        waiting = {contact for each in self._open for group in each.groups for contact in group.contacts}
        domain_of = {ruling.contact_id: ruling.domain for ruling in judgement.rulings}
        merged: dict[tuple[object, ...], list[int]] = defaultdict(list)
        for cohort in left:
            own = [contact for contact in cohort.contact_ids if contact not in waiting]
            merged[(cohort.bounce, cohort.region, cohort.domain if cohort.review else None)].extend(own)
        groups = [
            Group(bounce, region, tuple(contacts), frozenset(domain_of[each] for each in contacts))  # type: ignore[arg-type]
            for (bounce, region, _), contacts in merged.items()
            if contacts
        ]
        groups.sort(key=lambda group: (-len(group.contacts), group.bounce))
        groups = groups[: self._assumptions.reviewer.groups]
        if groups:
            self.asked += len(groups)
            self._open.append(
                _Asked(groups, campaign.number, now + self._assumptions.reviewer.answers_after_days)
            )

    def _decided(self, asked: _Asked, now: float) -> None:
        for group, approved in zip(asked.groups, self._reviewer(asked.groups, now), strict=True):
            self._labels[group.bounce] += len(group.contacts)
            if approved:
                self._upheld[group.bounce] += len(group.contacts)
                self._suppress(group.contacts, self._campaigns[asked.campaign])
            else:
                self._said_no.update((asked.campaign, contact) for contact in group.contacts)

    def _suppress(self, contacts: Iterable[int], campaign: _Campaign) -> None:
        """As the check at execution: whoever was delivered to since drops out."""
        due = [
            each for each in contacts if each not in self.suppressed and not self._answered(each, campaign)
        ]
        self.suppressed.update(due)
        for contact in due:
            self._contact_holds.pop(contact, None)
        self._changing_runs += bool(due)

    def _answered(self, contact: int, campaign: _Campaign) -> bool:
        return any(
            report.outcome is Outcome.DELIVERED and report.at > campaign.sent_at
            for report in self._by_contact[contact]
        )

    # --- The facts ------------------------------------------------------------------------------------

    def _facts(self, campaign: _Campaign, now: float) -> CampaignFacts:
        past = self._past(campaign)
        return CampaignFacts(
            campaign_id=campaign.number,
            domains=self._domains(campaign, past),
            account_rate=self._account_rate(past),
            held_domains=self._held(now),
            records=self._records(campaign),
            explained=self._explained(campaign),
        )

    def _account_rate(self, past: Sequence[_Campaign]) -> float:
        """Of what was not sent into a hold."""
        failed = sum(each.failed for each in past)
        tried = sum(each.tally.total() for each in past)
        for domain in self._holds:
            for each in self._in_holds(domain, past):
                failed -= each.tally[domain, True]
                tried -= each.tally[domain, True] + each.tally[domain, False]
        return failed / tried if tried else 0.0

    def _in_holds(self, domain: str, past: Sequence[_Campaign]) -> list[_Campaign]:
        spans = self._holds.get(domain, ())
        return [each for each in past if any(hold.covers_send(each) for hold in spans)]

    def _outside_holds(self, domain: str, past: Sequence[_Campaign]) -> Sequence[_Campaign]:
        held = {each.number for each in self._in_holds(domain, past)}
        return [each for each in past if each.number not in held] if held else past

    def _explained(self, campaign: _Campaign) -> set[str]:
        return {
            domain
            for domain, spans in self._holds.items()
            if any(hold.ended is not None and hold.covers_send(campaign) for hold in spans)
        }

    def _past(self, campaign: _Campaign) -> list[_Campaign]:
        since = campaign.sent_at - POLICY.outage_past / timedelta(days=1)
        return [other for other in self._campaigns.values() if since <= other.sent_at < campaign.sent_at]

    def _domains(self, campaign: _Campaign, past: Sequence[_Campaign]) -> list[DomainRecord]:
        """The past of a domain is counted where something failed: nothing else is compared with it."""
        found = []
        for domain in dict.fromkeys(domain for domain, _ in campaign.tally):
            failed, delivered = campaign.tally[domain, True], campaign.tally[domain, False]
            compared = self._outside_holds(domain, past) if failed else ()
            past_failed = sum(each.tally[domain, True] for each in compared)
            found.append(
                DomainRecord(
                    domain=domain,
                    failed=failed,
                    attempted=failed + delivered,
                    past_failed=past_failed,
                    past_attempted=past_failed + sum(each.tally[domain, False] for each in compared),
                    recent=() if delivered else tuple(map(_try, self._tries[domain])),
                )
            )
        return found

    def _records(self, campaign: _Campaign) -> list[ContactRecord]:
        return [
            self._record(report.contact_id, report.domain)
            for report in campaign.reports.values()
            if report.outcome in (Outcome.BOUNCED, Outcome.NOT_ATTEMPTED)
            and report.contact_id not in self.suppressed
            and (campaign.number, report.contact_id) not in self._said_no
        ]

    def _record(self, contact: int, domain: str) -> ContactRecord:
        held = self._contact_holds.get(contact)
        return ContactRecord(
            contact_id=contact,
            domain=domain,
            events=tuple(map(self._as_known, self._by_contact[contact])),
            held_since=None if held is None else _at(held),
        )

    def _as_known(self, report: Report) -> Event:
        event = self._events.get(report.message_id)
        if event is None:
            event = self._events[report.message_id] = _event(report, self._classes[report.message_id])
        silent = report.permanent and report.campaign not in self._reached[report.domain]
        if silent and report.outcome is Outcome.BOUNCED:
            event = replace(event, silent_domain=True)
        if (spans := self._holds.get(report.domain)) and any(hold.covers(report) for hold in spans):
            return replace(event, domain_held=True)
        return event

    # --- Holds ----------------------------------------------------------------------------------------

    def _held(self, now: float) -> set[str]:
        """Domains on hold. Those that fresh evidence has released are noted on the way."""
        held = set()
        for domain, spans in self._holds.items():
            for hold in spans:
                if hold.ended is not None:
                    continue
                later = [_try(each) for each in self._tries[domain] if each.sent_at > hold.since]
                end = holds.domain_hold_end(later, held_since=_at(hold.since), now=_at(now))
                if end is None or end is HoldEnd.STALE:
                    held.add(domain)
                else:
                    hold.ended = now
        return held

    def _keep_holds(self, judgement: Judgement, campaign: _Campaign, now: float) -> None:
        for outage in judgement.outages:
            if not any(hold.ended is None for hold in self._holds[outage.domain]):
                self._holds[outage.domain].append(_Hold(now, None, campaign.number, campaign.sent_at))
        for contact in list(self._contact_holds):
            self._end_contact_hold(contact, judgement, now)
        for ruling in judgement.rulings:
            if ruling.region is Region.HOLD and ruling.domain not in judgement.held_domains:
                self._contact_holds.setdefault(ruling.contact_id, now)

    def _end_contact_hold(self, contact: int, judgement: Judgement, now: float) -> None:
        last = self._by_contact[contact][-1]
        end = holds.contact_hold_end(
            self._record(contact, last.domain),
            held_domains=judgement.held_domains,
            gone_domains=judgement.gone_domains,
            now=_at(now),
        )
        if end is not None and end not in ENDED_BY_SUPPRESSION:
            del self._contact_holds[contact]

    # --- What agents and autonomy are told --------------------------------------------------------------

    def _cohort_facts(self, campaign: _Campaign, judgement: Judgement) -> list[CohortFact]:
        return [
            cohort_fact(cohort, size=len(campaign.reports), known=self._known(cohort.bounce), token=str)
            for cohort in judgement.cohorts
        ]

    def _known(self, bounce: BounceClass) -> Record:
        return Record(upheld=self._upheld[bounce], labels=self._labels[bounce])

    def _health(self, campaign: _Campaign, judgement: Judgement) -> HealthFacts:
        reports = list(campaign.reports.values())
        bounced = [r for r in reports if r.outcome is Outcome.BOUNCED]
        ours = [r for r in reports if self._classes[r.message_id] is BounceClass.SENDER_SIDE]
        ours_bounced = [r for r in ours if r.outcome is Outcome.BOUNCED]
        return HealthFacts(
            lists=(
                ListFact(
                    key=_key(campaign, self._assumptions),
                    size=len(reports),
                    delivered=sum(r.outcome is Outcome.DELIVERED for r in reports),
                    bounced=len(bounced),
                    hard=sum(r.permanent for r in bounced),
                    not_attempted=sum(r.outcome is Outcome.NOT_ATTEMPTED for r in reports),
                    by_class={},
                    outages=few(self._outage_facts(bounced, judgement)),
                    sender_side=len(ours),
                    sender_side_bounced=len(ours_bounced),
                    sender_side_hard=sum(r.permanent for r in ours_bounced),
                    previous_rate=self._previous_rate(campaign),
                ),
            )
        )

    def _outage_facts(self, bounced: Sequence[Report], judgement: Judgement) -> list[OutageFact]:
        at: defaultdict[str, list[Report]] = defaultdict(list)
        for report in bounced:
            if report.domain in judgement.held_domains and (
                self._classes[report.message_id] is not BounceClass.SENDER_SIDE
            ):
                at[report.domain].append(report)
        return [
            OutageFact(
                domain_token=domain,
                contacts=len(own),
                hard=sum(report.permanent for report in own),
                well_known=domain in PROVIDERS,
            )
            for domain, own in sorted(at.items())
        ]

    def _previous_rate(self, campaign: _Campaign) -> float | None:
        before = self._campaigns.get(campaign.number - self._assumptions.sending.lists)
        if before is None:
            return None
        tried = [r for r in before.reports.values() if r.outcome is not Outcome.NOT_ATTEMPTED]
        hard = sum(r.outcome is Outcome.BOUNCED and r.permanent for r in tried)
        return hard / len(tried) if tried else None

    def _rollout(self) -> autonomy.Rollout:
        """Observing is over when the first campaign is judged; the weeks of review are not."""
        return autonomy.Rollout(
            observing_since=_at(-2),
            first_observed_run_at=_at(-1),
            changing_runs=self._changing_runs,
            manual=False,
            paused=False,
            enabled=True,
        )

    def _caps(self, campaign: _Campaign, wanted: Sequence[Cohort]) -> autonomy.Caps:
        part = autonomy.Part(
            contacts=sum(len(cohort.contact_ids) for cohort in wanted), of=max(len(campaign.reports), 1)
        )
        return autonomy.Caps(suppressed={"the list": part}, moved=autonomy.Part(contacts=0, of=1))


def _key(campaign: _Campaign, assumptions: Assumptions) -> str:
    return _ALL_LISTS.format(campaign.number % assumptions.sending.lists + 1)


def _proposal(cohort: Cohort, *, confidence: float, contradiction: bool, share: float) -> autonomy.Proposal:
    return autonomy.Proposal(
        key=cohort.key,
        kind=autonomy.Kind.SUPPRESSION,
        contacts=len(cohort.contact_ids),
        share=share,
        region=cohort.region,
        confidence=confidence,
        source=autonomy.Source.RULES,
        disagreement=False,
        policy_review=cohort.review,
        findings=(),
        contradiction=contradiction,
    )


def _by_end(report: Report) -> tuple[float, int]:
    return report.at, report.message_id


def _try(report: Report) -> DomainTry:
    return DomainTry(
        contact_id=report.contact_id,
        day=_at(report.sent_at).date(),
        delivered=report.outcome is Outcome.DELIVERED,
        blocked=report.outcome is Outcome.NOT_ATTEMPTED,
    )


def _event(report: Report, bounce: BounceClass | None) -> Event:
    return Event(
        message_id=report.message_id,
        campaign_id=report.campaign,
        cycle_id=report.cycle,
        sent_at=_at(report.sent_at),
        at=_at(report.at),
        outcome=report.outcome,
        bounce=bounce,
        permanent=report.permanent,
        human_click_at=None if report.clicked_at is None else _at(report.clicked_at),
    )


def _class(report: Report) -> BounceClass | None:
    if report.outcome not in (Outcome.BOUNCED, Outcome.NOT_ATTEMPTED):
        return None
    return classify(
        report.state,
        permanent=report.permanent,
        server_text=report.text,
        attempted=report.outcome is Outcome.BOUNCED,
    )
