"""From stored outcomes to rulings and cohorts: loads the facts, and lets the pure rules decide."""

from __future__ import annotations

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from listmanagement.domain import holds
from listmanagement.domain.bounces import NOT_ABOUT_THE_DOMAIN, BounceClass, ContactRecord, Event, Outcome
from listmanagement.domain.cohorts import Cohort
from listmanagement.domain.findings import CampaignFacts, Judgement, judge
from listmanagement.domain.holds import DomainRecord, DomainTry, HoldEnd, Outage
from listmanagement.domain.suppression import POLICY, Ruling
from listmanagement.models import (
    REVIEWED,
    Bounce,
    CampaignRecipient,
    CampaignSchedule,
    ContactSuppressionHistory,
    DecisionItem,
    DecisionStatus,
    Hold,
    HoldKind,
    ItemAction,
    ItemStatus,
    Protection,
)
from listmanagement.models.campaigns import HoldQuerySet
from listmanagement.workflows import domains
from listmanagement.workflows.evidence import FAILED

WELL_KNOWN = frozenset(
    "gmail.com googlemail.com outlook.com hotmail.com live.com msn.com yahoo.com ymail.com aol.com "
    "icloud.com me.com gmx.de gmx.net gmx.com web.de t-online.de freenet.de orange.fr wanadoo.fr free.fr "
    "laposte.net libero.it mail.ru yandex.ru proton.me protonmail.com zoho.com comcast.net".split()
)
ATTEMPTED = (Outcome.DELIVERED, Outcome.BOUNCED)

Reached = frozenset[tuple[int, str | None]]
"""Campaigns and the domains at which each reached somebody; None for whoever was erased since."""


@dataclass(frozen=True)
class Findings:
    """What the policy says of a campaign's failures."""

    rulings: tuple[Ruling, ...]
    cohorts: tuple[Cohort, ...]
    outages: tuple[Outage, ...]
    held_domains: frozenset[str]
    ended: Mapping[int, HoldEnd]
    """Standing holds that have ended by now, by their id."""
    host_outages: tuple[Outage, ...] = ()
    """Mail hosts whose failures look like an outage."""
    held_with: Mapping[str, str] = field(default_factory=dict)
    """Held domains that only their mail host explains, with it."""


def token_of(domain: str, *, salt: str) -> str:
    """A domain as models and metrics may see it: a salted token, or a well-known provider's name (P8)."""
    if domain in WELL_KNOWN:
        return domain
    return "domain-" + hmac.new(salt.encode(), domain.encode(), hashlib.sha256).hexdigest()[:12]


def find(campaign: CampaignSchedule, *, now: datetime, salt: str) -> Findings:
    """Judge every failure of a campaign. Reads the database, writes nothing."""
    standing = Hold.objects.standing()
    ended = _ended_holds(standing, now=now)
    records = _contact_records(campaign, standing=standing)
    tried = domain_records(campaign, now=now)
    stale = stale_domains(at=now) - {hold.host for hold in standing if hold.pk in ended}
    judged = judge(
        CampaignFacts(
            campaign_id=campaign.pk,
            domains=tried,
            account_rate=_account_rate(campaign),
            held_domains=_still_held(HoldKind.DOMAIN, standing, ended) - stale,
            explained=_explained(campaign),
            records=records,
            stale_domains=stale,
            mail_hosts=domains.mail_hosts([record.domain for record in tried], at=now),
            held_hosts=_still_held(HoldKind.MAIL_HOST, standing, ended),
        ),
        token=lambda domain: token_of(domain, salt=salt),
        now=now,
    )
    return Findings(
        rulings=judged.rulings,
        cohorts=judged.cohorts,
        outages=judged.outages,
        held_domains=judged.held_domains,
        ended=ended | _ended_contact_holds(records, standing, judged, now=now),
        host_outages=judged.host_outages,
        held_with=judged.held_with,
    )


def _explained(campaign: CampaignSchedule) -> frozenset[str]:
    """Domains and mail hosts that were on hold when the campaign went out, and are not any more."""
    ended = Hold.objects.exclude(kind=HoldKind.CONTACT).exclude(ended_at=None)
    return frozenset(ended.covering(campaign, at=campaign.started_at).values_list("host", flat=True))


def _still_held(kind: HoldKind, standing: HoldQuerySet, ended: Mapping[int, HoldEnd]) -> frozenset[str]:
    return frozenset(hold.host for hold in standing.filter(kind=kind) if hold.pk not in ended)


# --- Contacts ----------------------------------------------------------------------------------------


def _contact_records(campaign: CampaignSchedule, *, standing: HoldQuerySet) -> list[ContactRecord]:
    """Everybody for whom something failed in this campaign, with all that was ever sent to them.

    Not who is suppressed already, nor whose address belongs to another contact now, nor whom a person would
    not suppress for it.
    """
    suppressed = ContactSuppressionHistory.objects.standing().values("contact")
    failed = campaign.recipients.filter(outcome__in=FAILED, contact__email__isnull=False)
    failed = failed.exclude(bounce__in=_refused_evidence(campaign))
    judged = failed.exclude(contact__in=suppressed).values("contact")
    rows = (
        CampaignRecipient.objects.filter(contact__in=judged)
        .select_related("contact", "campaign", "bounce")
        .order_by("contact_id", "outcome_at", "message_id")
    )
    held_since = dict(standing.filter(contact__isnull=False).values_list("contact_id", "since"))
    protected = _protected()
    spans = _domain_holds()
    by_contact: dict[int, list[CampaignRecipient]] = defaultdict(list)
    for row in rows:
        by_contact[row.contact_id].append(row)
    reached = domains_reached([row for own in by_contact.values() for row in own])
    return [
        contact_record(
            rows,
            held_since=held_since.get(contact_id),
            protected=protected,
            spans=spans,
            reached=reached,
        )
        for contact_id, rows in by_contact.items()
    ]


def _refused_evidence(campaign: CampaignSchedule) -> QuerySet[Bounce]:
    """What a person saw of this campaign and would not suppress for: a later run of it does not ask again."""
    said_no = Q(items__status=ItemStatus.TAKEN_OUT, items__decision__status__in=REVIEWED) | Q(
        items__decision__status=DecisionStatus.REJECTED
    )
    return Bounce.objects.filter(said_no, recipient__campaign=campaign, items__action=ItemAction.SUPPRESS)


def domains_reached(rows: Iterable[CampaignRecipient], *, unknown_is_any: bool = False) -> Reached:
    """Where, of all campaigns in which one of these failed hard, somebody at the same domain was reached.

    A delivery to somebody who was erased since names no domain any more. It is nobody's colleague while
    somebody is judged; `unknown_is_any` lets it be anybody's, who asks whether a suppression was right then.
    """
    hard = [row for row in rows if _is_hard(row)]
    domains = {row.contact.domain for row in hard if row.contact.domain}
    there = Q(contact__domain__in=domains)
    delivered = CampaignRecipient.objects.filter(
        there | Q(contact__domain=None) if unknown_is_any else there,
        campaign__in={row.campaign_id for row in hard},
        outcome=Outcome.DELIVERED,
    )
    return frozenset(delivered.values_list("campaign_id", "contact__domain").distinct())


def _is_hard(row: CampaignRecipient) -> bool:
    bounce = getattr(row, "bounce", None)
    return row.outcome == Outcome.BOUNCED and bounce is not None and bool(bounce.permanent)


def contact_record(
    rows: Sequence[CampaignRecipient],
    *,
    held_since: datetime | None,
    protected: frozenset[str],
    spans: Mapping[str, Sequence[Hold]],
    reached: Reached,
) -> ContactRecord:
    """What the policy is told of a contact: its messages, the oldest first, and what speaks for a wait."""
    contact = rows[0].contact
    domain = contact.domain or ""
    return ContactRecord(
        contact_id=contact.pk,
        domain=domain,
        events=tuple(_event(row, spans=spans.get(domain, ()), reached=reached) for row in rows),
        protected=domain in protected or (contact.email or "").lower() in protected,
        held_since=held_since,
    )


def _event(row: CampaignRecipient, *, spans: Sequence[Hold], reached: Reached) -> Event:
    bounce = getattr(row, "bounce", None)
    return Event(
        message_id=row.message_id,
        campaign_id=row.campaign_id,
        cycle_id=row.campaign.cycle_id,
        sent_at=row.sent_at,
        at=row.outcome_at,
        outcome=Outcome(row.outcome),
        bounce=BounceClass(row.bounce_class) if row.bounce_class else None,
        permanent=bounce is not None and bounce.permanent,
        human_click_at=row.first_life_at,
        spent=bounce is not None and bounce.spent_at is not None,
        domain_held=any(hold.explains(row.campaign_id, at=row.outcome_at) for hold in spans),
        silent_domain=_is_hard(row) and reached.isdisjoint(_reaching(row)),
    )


def _reaching(row: CampaignRecipient) -> tuple[tuple[int, str | None], ...]:
    return (row.campaign_id, row.contact.domain), (row.campaign_id, None)


def _domain_holds() -> Mapping[str, Sequence[Hold]]:
    spans: dict[str, list[Hold]] = defaultdict(list)
    for hold in Hold.objects.filter(kind=HoldKind.DOMAIN).select_related("run__campaign"):
        spans[hold.host].append(hold)
    return spans


def _protected() -> frozenset[str]:
    """Protected addresses and domains, in lower case; an address has an at sign, a domain has none."""
    return frozenset(Protection.objects.values_list("value", flat=True))


# --- Domains -----------------------------------------------------------------------------------------


def domain_records(campaign: CampaignSchedule, *, now: datetime) -> list[DomainRecord]:
    """Each domain mailed in the campaign, beside its own past: contacts now, messages before."""
    tried = domains_tried(campaign)
    past = _past(campaign)
    silent = [domain for domain, (failed, attempted) in tried.items() if failed == attempted]
    recent = domain_tries(silent, until=campaign)
    closed = domains.closed(silent, at=now)
    return [
        DomainRecord(
            domain=domain,
            failed=failed,
            attempted=attempted,
            past_failed=past.get(domain, (0, 0))[0],
            past_attempted=past.get(domain, (0, 0))[1],
            recent=tuple(recent.get(domain, ())),
            closed_by_dns=domain in closed,
        )
        for domain, (failed, attempted) in tried.items()
    ]


def domains_tried(campaign: CampaignSchedule) -> dict[str, tuple[int, int]]:
    """How many contacts of each domain mailed in the campaign bounced, and how many were attempted.

    Also where Mailjet tried nobody: that nobody there is reached may be known from before, or from DNS.
    """
    return dict.fromkeys(_only_blocked(campaign), (0, 0)) | _tried(campaign.recipients.all(), of="contact")


def _only_blocked(campaign: CampaignSchedule) -> list[str]:
    """Domains at which Mailjet refused to try somebody, and maybe everybody."""
    blocked = campaign.recipients.filter(outcome=Outcome.NOT_ATTEMPTED, contact__domain__isnull=False)
    return list(blocked.order_by().values_list("contact__domain", flat=True).distinct())


def _before(campaign: CampaignSchedule) -> QuerySet[CampaignRecipient]:
    assert campaign.started_at is not None
    since = campaign.started_at - POLICY.outage_past
    return CampaignRecipient.objects.filter(sent_at__gte=since, sent_at__lt=campaign.started_at)


def _tried(rows: QuerySet[CampaignRecipient], *, of: str) -> dict[str, tuple[int, int]]:
    """How many of these bounced, and how many were attempted, by domain. `of` is what is counted."""
    counted = (
        rows.filter(outcome__in=ATTEMPTED, contact__domain__isnull=False)
        .exclude(bounce_class__in=NOT_ABOUT_THE_DOMAIN)
        .values("contact__domain")
        .annotate(
            failed=Count(of, distinct=True, filter=Q(outcome=Outcome.BOUNCED)), tried=Count(of, distinct=True)
        )
    )
    return {row["contact__domain"]: (row["failed"], row["tried"]) for row in counted}


def _past(campaign: CampaignSchedule) -> dict[str, tuple[int, int]]:
    """What was tried at each domain in the 180 days before, and how much of it bounced, outside of holds.

    An outage that was held would else be what the next one is expected to be.
    """
    past = _tried(_before(campaign), of="pk")
    for domain, (failed, tried) in _tried(_in_holds(_before(campaign)), of="pk").items():
        past[domain] = past[domain][0] - failed, past[domain][1] - tried
    return past


def _in_holds(rows: QuerySet[CampaignRecipient]) -> QuerySet[CampaignRecipient]:
    """Those that ended while their domain was on hold, the campaigns that showed an outage among them."""
    known = Hold.objects.filter(kind=HoldKind.DOMAIN)
    there = known.filter(host=OuterRef("contact__domain"))
    held = Exists(there.covering(OuterRef("campaign"), at=OuterRef("outcome_at")))
    return rows.filter(contact__domain__in=known.values("host")).filter(held)


def _account_rate(campaign: CampaignSchedule) -> float:
    """Bounced ÷ (delivered + bounced) of all messages in the 180 days before, those in holds apart."""
    failed, tried = _bounced(_before(campaign))
    held_failed, held_tried = _bounced(_in_holds(_before(campaign)))
    return (failed - held_failed) / (tried - held_tried) if tried > held_tried else 0.0


def _bounced(rows: QuerySet[CampaignRecipient]) -> tuple[int, int]:
    """How many of these bounced, and how many were attempted."""
    bounced = Count("pk", filter=Q(outcome=Outcome.BOUNCED))
    figures = rows.filter(outcome__in=ATTEMPTED).aggregate(failed=bounced, tried=Count("pk"))
    return figures["failed"], figures["tried"]


def domain_tries(
    domains: Iterable[str], *, until: CampaignSchedule | None = None, since: datetime | None = None
) -> dict[str, list[DomainTry]]:
    """What was tried at these domains and how it ended; our own side's failures tell nothing of them.

    The day is that on which the send began: one that crosses midnight is one sign, not two.
    """
    rows = CampaignRecipient.objects.filter(contact__domain__in=list(domains)).exclude(outcome=Outcome.OPEN)
    rows = rows.exclude(bounce_class__in=NOT_ABOUT_THE_DOMAIN)
    if until is not None and until.ended_at is not None:
        rows = rows.filter(sent_at__lte=until.ended_at)
    if since is not None:
        rows = rows.filter(sent_at__gt=since)
    found: dict[str, list[DomainTry]] = defaultdict(list)
    began = Coalesce("campaign__started_at", "sent_at")
    for contact_id, domain, began_at, outcome in rows.values_list(
        "contact_id", "contact__domain", began, "outcome"
    ):
        found[domain].append(
            DomainTry(
                contact_id=contact_id,
                day=began_at.date(),
                delivered=outcome == Outcome.DELIVERED,
                blocked=outcome == Outcome.NOT_ATTEMPTED,
            )
        )
    return found


# --- Holds that end ----------------------------------------------------------------------------------


def _ended_holds(standing: HoldQuerySet, *, now: datetime) -> dict[int, HoldEnd]:
    """Standing holds of domains and mail hosts that fresh evidence has ended, or a person's decision.

    A stale one lasts until a person has decided about it. With a mail host's hold those end that are part
    of it, where they have not ended by themselves.
    """
    held = {hold.host: hold for hold in standing.filter(kind=HoldKind.DOMAIN)}
    closed, decided = domains.closed(held, at=now), _decided_since_stale(held.values())
    found: dict[int, HoldEnd] = {}
    for hold, end in _domain_ends(held, closed=closed, now=now):
        if end is not HoldEnd.STALE or hold.pk in decided:
            found[hold.pk] = end
    for hold, end in _host_ends(standing.filter(kind=HoldKind.MAIL_HOST), now=now):
        found[hold.pk] = end
        if end is HoldEnd.OUTAGE_OVER:
            parts = (each.pk for each in held.values() if each.part_of_id == hold.pk)
            found = dict.fromkeys(parts, end) | found
    return found


def _domain_ends(
    held: Mapping[str, Hold], *, closed: Container[str], now: datetime
) -> Iterator[tuple[Hold, HoldEnd]]:
    tries = _fresh_tries(held, held.values())
    for host, hold in held.items():
        end = holds.domain_hold_end(
            tries.get(host, ()), held_since=hold.since, now=now, closed_by_dns=host in closed
        )
        if end is not None:
            yield hold, end


def _host_ends(standing: HoldQuerySet, *, now: datetime) -> Iterator[tuple[Hold, HoldEnd]]:
    """A mail host is judged by everybody behind it, whoever of them is held."""
    behind = domains.behind([hold.host for hold in standing], at=now)
    tries = _fresh_tries([domain for served in behind.values() for domain in served], list(standing))
    for hold in standing:
        there = [each for domain in behind.get(hold.host, ()) for each in tries.get(domain, ())]
        end = holds.domain_hold_end(there, held_since=hold.since, now=now)
        if end is not None:
            yield hold, end


def _fresh_tries(names: Iterable[str], held: Collection[Hold]) -> Mapping[str, Sequence[DomainTry]]:
    if not held:
        return {}
    return domain_tries(names, since=min(hold.since for hold in held) - timedelta(days=1))


def stale_domains(*, at: datetime) -> frozenset[str]:
    """Domains on hold at this time for so long that a person decides, as nothing told either way."""
    old = Hold.objects.filter(kind=HoldKind.DOMAIN, since__lte=at - POLICY.domain_hold_stale)
    return frozenset(old.filter(Q(ended_at=None) | Q(ended_at__gt=at)).values_list("host", flat=True))


def _decided_since_stale(held: Collection[Hold]) -> frozenset[int]:
    """Holds about whose contacts a person has decided since they were stale."""
    reviewed = DecisionItem.objects.filter(
        action=ItemAction.SUPPRESS,
        decision__status__in=REVIEWED,
        contact__domain=OuterRef("host"),
        decision__created_at__gte=OuterRef("since") + POLICY.domain_hold_stale,
    )
    asked = Hold.objects.filter(pk__in=[hold.pk for hold in held]).filter(Exists(reviewed))
    return frozenset(asked.values_list("pk", flat=True))


def _ended_contact_holds(
    records: Iterable[ContactRecord],
    standing: HoldQuerySet,
    judged: Judgement,
    *,
    now: datetime,
) -> dict[int, HoldEnd]:
    """Standing holds of contacts that this campaign's outcomes, or a delivery anywhere, have ended."""
    by_contact = {hold.contact_id: hold for hold in standing.filter(kind=HoldKind.CONTACT)}
    ends = {
        by_contact[record.contact_id].pk: holds.contact_hold_end(
            record, held_domains=judged.held_domains, gone_domains=judged.gone_domains, now=now
        )
        for record in records
        if record.held_since is not None
    }
    delivered = standing.filter(  # one filter: the delivery itself must be the later one
        kind=HoldKind.CONTACT,
        contact__received__outcome=Outcome.DELIVERED,
        contact__received__outcome_at__gt=F("since"),
    )
    known = {pk: end for pk, end in ends.items() if end is not None}
    return known | dict.fromkeys(delivered.values_list("pk", flat=True), HoldEnd.DELIVERED)
