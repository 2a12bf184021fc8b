"""Post-campaign maintenance: nine steps from a campaign's failures to a proven, reported clean-up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction

from listmanagement.domain import mail_hosts
from listmanagement.domain.cycle import RoundStatus
from listmanagement.domain.suppression import Region
from listmanagement.models import (
    CampaignSchedule,
    ContactList,
    DecisionKind,
    DecisionStatus,
    ListMaintenanceLog,
    Role,
    RunKind,
    RunStage,
    RunStatus,
    Step,
    Trigger,
)
from listmanagement.outside import Configuration
from listmanagement.workflows import (
    campaigns,
    continuing,
    domains,
    evidence,
    lists,
    mirror,
    notify,
    permission,
    rotation,
)
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.changes import execution, presence
from listmanagement.workflows.domains import Looked
from listmanagement.workflows.maintenance import (
    analysis,
    drafts,
    judgement,
    losses,
    outage_over,
    rebalancing,
    reporting,
)
from listmanagement.workflows.record import watching
from listmanagement.workflows.running import starting
from listmanagement.workflows.running.steps import Done, Finish, Hand, Next, StepFunction

RELAY_DENIED = 6  # Mailjet's state that only the server's text can tell
READ_BEFORE = timedelta(days=30)  # as long as a cycle of three rounds takes, and some
MOST_TEXTS = 50  # a run; one request each

# --- Starting ----------------------------------------------------------------------------------------


def start(
    campaign_id: int,
    *,
    trigger: Trigger,
    by: User | None,
    configuration: Configuration,
    now: datetime,
) -> ListMaintenanceLog:
    """The campaign's run: a new one, or the one there is. Two starts at once make one run.

    One that failed goes on from its step when a person starts it: what was wrong may be mended. Raises
    NotAllowed when the campaign does not exist, is not sent, was sent too recently or stands on a deleted
    list, when a later send of its list was judged already, and when list management is off. Nothing is sent
    to Mailjet here.
    """
    campaign = _due_campaign(campaign_id, configuration=configuration, now=now)
    watches = drafts.only_watches(enabled=configuration.enabled, at=now)
    stage = RunStage.OBSERVE if watches else RunStage.ACT
    key = f"{RunKind.POST_CAMPAIGN}:{campaign.pk}:{stage}"
    known = ListMaintenanceLog.objects.filter(idempotency_key=key).first()
    if known is not None and (known.status != RunStatus.FAILED or trigger != Trigger.PERSON):
        return known
    permission.check_enabled(enabled=configuration.enabled)
    if known is not None:
        return _continue(known, by=by, now=now)
    if (too_old := starting.judged_later(campaign, stage=stage)) is not None:
        raise NotAllowed(too_old)
    run = starting.create(
        key, kind=RunKind.POST_CAMPAIGN, stage=stage, trigger=trigger, by=by, now=now, campaign=campaign
    )
    return run or ListMaintenanceLog.objects.get(idempotency_key=key)


@transaction.atomic
def _continue(run: ListMaintenanceLog, *, by: User | None, now: datetime) -> ListMaintenanceLog:
    """Let a failed run go on. Of two who ask at once, one does."""
    failed = ListMaintenanceLog.objects.select_for_update().get(pk=run.pk)
    if failed.status == RunStatus.FAILED:
        continuing.reopen(failed, by=by, now=now)
    return failed


def _due_campaign(campaign_id: int, *, configuration: Configuration, now: datetime) -> CampaignSchedule:
    campaign = CampaignSchedule.objects.select_related("list").filter(pk=campaign_id).first()
    if campaign is None:
        latest = CampaignSchedule.objects.filter(status=RoundStatus.SENT).order_by("-ended_at").first()
        hint = f"; the campaign sent last is {latest.pk}" if latest else ""
        raise NotAllowed(f"campaign {campaign_id} does not exist{hint}")
    if campaign.status != RoundStatus.SENT or campaign.ended_at is None:
        when = (
            f", it is scheduled for {campaign.scheduled_at:%d %B %Y %H:%M} UTC"
            if campaign.scheduled_at
            else ""
        )
        raise NotAllowed(
            f"campaign {campaign.pk} is {campaign.status}, not sent{when}: maintain it after its send"
        )
    due_at = campaign.ended_at + configuration.maintenance_delay
    if now < due_at:
        hours = configuration.maintenance_delay / timedelta(hours=1)
        raise NotAllowed(
            f"campaign {campaign.pk} was sent too recently: outcomes are judged {hours:g} h after its end, "
            f"from {due_at:%d %B %Y %H:%M} UTC (LIST_MAINTENANCE_DELAY_HOURS)"
        )
    if campaign.list.is_deleted:
        raise NotAllowed(
            f"campaign {campaign.pk} went to list {campaign.list.mailjet_id}, which is deleted at Mailjet: "
            "restore it"
        )
    if campaign.list.role != Role.CAMPAIGN:
        raise NotAllowed(
            f"campaign {campaign.pk} went to list {campaign.list.mailjet_id}, which is no campaign list: "
            "nothing to do"
        )
    return campaign


# --- The nine steps ----------------------------------------------------------------------------------


def capture_before(hand: Hand) -> Next:
    """1. Read campaigns and lists, and write down how they stand."""
    problem = lists.problem(hand.outside.configuration, mailjet=hand.outside.mailjet)
    if problem is not None:
        return Finish(RunStatus.FAILED, problem)
    campaigns.sync(mailjet=hand.outside.mailjet, now=hand.now)
    own = ContactList.objects.exclude(role=Role.MASTER)
    mirror.refresh_stale(own, mailjet=hand.outside.mailjet, now=hand.now, contacts=presence.KNOWN_FOR)
    with hand.lease.writing() as run:
        run.state_before = rotation.state()
        run.save(update_fields=["state_before"])
    return Done()


def fetch_outcomes(hand: Hand) -> Next:
    """2. Fetch what became of each message; of the campaigns around it, too, what nobody has read yet.

    A delivery in the weeks before says that a domain, or a contact, can be reached.
    """
    campaign = _campaign(hand)
    fetched = evidence.fetch(campaign, mailjet=hand.outside.mailjet, now=hand.now)
    assert campaign.started_at is not None
    since = campaign.started_at - READ_BEFORE
    evidence.fetch_unseen(since=since, mailjet=hand.outside.mailjet, now=hand.now)
    if not fetched and not campaign.recipients.exists():
        return Finish(
            RunStatus.FAILED,
            f"Mailjet has no messages of campaign {campaign.pk} (its id {campaign.mailjet_campaign_id}): "
            "its retention may be over. Nothing was changed.",
        )
    return Done()


def judge(hand: Hand) -> Next:
    """3. List health and optimization judge the cohorts; what they say is kept as a draft."""
    if hand.run.agent_calls.exists():
        return Done()
    campaign, salt = _campaign(hand), hand.outside.configuration.salt
    looked = _ask_dns(hand, campaign)
    findings = _find_with_texts(hand, campaign)
    cohorts = analysis.cohort_facts(campaign, findings, salt=salt)
    health = analysis.health_facts(campaign, findings, salt=salt)
    answers = analysis.ask(hand, campaign, cohorts=cohorts, health=health)
    with hand.lease.writing() as run:
        analysis.keep(run, answers, cohorts=cohorts, health=health, now=hand.now)
        drafts.draft_suppression(run, campaign, findings, answers, facts=cohorts, now=hand.now)
        judged = reporting.judged_counts(campaign, findings)
        run.counts = {**run.counts, **judged, "dns": looked.as_counts()}
        run.save(update_fields=["counts"])
        _offer_tickets(hand, run, findings)
    return Done()


def _offer_tickets(hand: Hand, run: ListMaintenanceLog, findings: judgement.Findings) -> None:
    """Say of each outage that is over whom Mailjet probably refuses still."""
    for hold, refused in outage_over.to_be_offered(findings.ended):
        page = f"{hand.outside.configuration.site_url}{hold.get_absolute_url()}"
        notify.outage_over(run, hold_id=hold.pk, refused=refused, page=page, now=hand.now)


def _ask_dns(hand: Hand, campaign: CampaignSchedule) -> Looked:
    """Where the domains that matter take their mail; those of the others, where a mail host is suspected."""
    dns, now = hand.outside.dns, hand.now
    looked = domains.look_up(domains.that_matter(campaign), dns=dns, now=now)
    failed = {domain: bounced for domain, (bounced, _) in judgement.domains_tried(campaign).items()}
    names = list(failed)
    if not mail_hosts.suspected(failed, host_of=domains.mail_hosts(names, at=now)):
        return looked
    return looked.and_(domains.look_up(names, dns=dns, now=now, fresh=domains.HOST_IS_FRESH))


def _find_with_texts(hand: Hand, campaign: CampaignSchedule) -> judgement.Findings:
    """Judge; read the servers' own words where they decide or could contradict; judge again if they did."""
    mailjet, salt = hand.outside.mailjet, hand.outside.configuration.salt
    ambiguous = evidence.without_text(campaign, state=RELAY_DENIED)[:MOST_TEXTS]
    evidence.fetch_texts(ambiguous, mailjet=mailjet)
    findings = judgement.find(campaign, now=hand.now, salt=salt)
    certain = [r.evidence_message_id for r in findings.rulings if r.region is Region.MUST][:MOST_TEXTS]
    if evidence.fetch_texts(certain, mailjet=mailjet):
        findings = judgement.find(campaign, now=hand.now, salt=salt)
    return findings


def decide(hand: Hand) -> Next:
    """4. Guards and autonomy: what is clear goes on, the rest becomes one decision."""
    return _settle_draft(hand, DecisionKind.SUPPRESSION)


def suppress(hand: Hand) -> Next:
    """5. Execute what is clear, wait for the review, execute what was approved."""
    return execution.carry_out(hand, DecisionKind.SUPPRESSION)


def plan_rebalancing(hand: Hand) -> Next:
    """6. Plan placements and moves on the sizes that result; guards, autonomy."""
    if not hand.run.agent_calls.filter(agent="rebalancing").exists():
        mirror.refresh_stale(
            ContactList.objects.all(),
            mailjet=hand.outside.mailjet,
            now=hand.now,
            contacts=presence.KNOWN_FOR,  # whoever joins a list is looked at afresh before
        )
        rebalancing.draft(hand)
    return _settle_draft(hand, DecisionKind.REBALANCING)


def rebalance(hand: Hand) -> Next:
    """7. Wait for the review if needed; execute placements, then moves."""
    return execution.carry_out(hand, DecisionKind.REBALANCING)


def capture_after(hand: Hand) -> Next:
    """8. Read who is on the lists, as Mailjet shows them now, and write down how they stand."""
    own = ContactList.objects.exclude(role=Role.MASTER)
    mirror.refresh_members(own, mailjet=hand.outside.mailjet, now=hand.now)
    with hand.lease.writing() as run:
        run.state_after = rotation.state()
        run.counts = {**run.counts, **reporting.done_counts(run)}
        run.save(update_fields=["state_after", "counts"])
        for words in losses.alarming(run) if not run.continued else ():  # else it began too long ago
            notify.size_fell(run, words=words, now=hand.now)
    return Done()


def report(hand: Hand) -> Next:
    """9. Tell what was done: the reporting agent, the log, Slack; once more of what a person had continue."""
    if notify.is_reported(hand.run):
        return Done()
    if hand.run.agent_calls.filter(agent="reporting").exists():
        with hand.lease.writing() as run:
            _tell(run, f"{reporting.continued(run)}\n\n{run.report}", hand)
        return Done()
    judged, text = reporting.compose(hand)
    with hand.lease.writing() as run:
        analysis.keep_call(run, judged, now=hand.now)
        watching.tell_if_unsure(now=hand.now)
        _tell(run, text, hand)
    return Done()


def _tell(run: ListMaintenanceLog, text: str, hand: Hand) -> None:
    run.report = text
    run.save(update_fields=["report"])
    notify.run_done(run, site_url=hand.outside.configuration.site_url, now=hand.now)


STEPS: Mapping[Step, StepFunction] = {
    Step.CAPTURE_BEFORE: capture_before,
    Step.FETCH_OUTCOMES: fetch_outcomes,
    Step.JUDGE: judge,
    Step.DECIDE: decide,
    Step.SUPPRESS: suppress,
    Step.PLAN_REBALANCING: plan_rebalancing,
    Step.REBALANCE: rebalance,
    Step.CAPTURE_AFTER: capture_after,
    Step.REPORT: report,
}


# --- What steps share --------------------------------------------------------------------------------


def _campaign(hand: Hand) -> CampaignSchedule:
    return CampaignSchedule.objects.select_related("list").get(runs=hand.run)


def _settle_draft(hand: Hand, kind: DecisionKind) -> Next:
    with hand.lease.writing() as run:
        draft = run.decisions.filter(kind=kind, status=DecisionStatus.DRAFT).first()
        if draft is not None and (waiting := drafts.settle(hand, run, draft)) is not None:
            notify.decision_needed(waiting, site_url=hand.outside.configuration.site_url, now=hand.now)
    return Done()
