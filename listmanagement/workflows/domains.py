"""Recipient domains as DNS knows them: what is asked when, what is remembered, what follows.

Asked is about domains that matter: at which nobody was reached, that bounced as gone, or that are on hold;
about a campaign's others only where a mail host is suspected. Never inside a transaction, and never about
more than a run may ask for. Where nobody answers, the run goes on without and says so (P10).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db.models import Count, Max, Q

from integrations.dns import Dns, MailRoute, Route
from listmanagement.domain import closing
from listmanagement.domain.bounces import BounceClass, Outcome
from listmanagement.domain.closing import Told
from listmanagement.domain.suppression import POLICY
from listmanagement.domain.telling import domains as so_many
from listmanagement.models import (
    CLOSED,
    CampaignRecipient,
    CampaignSchedule,
    Contact,
    ContactListMembership,
    DomainLookup,
    Hold,
    HoldKind,
    Role,
)
from listmanagement.workflows.evidence import FAILED

MOST_AT_A_TIME = 500
"""Domains that one run, or one turn of the recurring job, asks about."""

IN_PARALLEL = 8
GIVEN_UP_AFTER = 24
"""So many failures in a row mean that DNS is away, rather than so many broken zones."""

FRESH = timedelta(hours=20)
"""A younger answer is not asked for again."""

HOST_IS_FRESH = timedelta(days=30)
"""A domain seldom moves to another mail host."""

OFF = "DNS_ENABLED is false"


@dataclass(frozen=True)
class Looked:
    """What became of asking: domains that were asked about, without an answer, and not asked about at all."""

    asked: int
    unanswered: int
    left: int
    why: str
    """Why some were not answered or not asked; the first reason of several."""

    @property
    def without(self) -> str:
        """What the run has to do without, in words; empty where it has all that it wanted."""
        missing = self.unanswered + self.left
        if not missing:
            return ""
        return f"DNS told nothing of {so_many(missing)} asked about in vain or not at all: {self.why}"

    def as_counts(self) -> dict[str, Any]:
        """For the run's counts."""
        return asdict(self)

    def and_(self, other: Looked) -> Looked:
        """Both together."""
        return Looked(
            self.asked + other.asked,
            self.unanswered + other.unanswered,
            self.left + other.left,
            self.why or other.why,
        )


NOTHING = Looked(asked=0, unanswered=0, left=0, why="")


# --- Asking ------------------------------------------------------------------------------------------


def look_up(
    domains: Sequence[str],
    *,
    dns: Dns | None,
    now: datetime,
    fresh: timedelta = FRESH,
    most: int = MOST_AT_A_TIME,
) -> Looked:
    """Ask where these domains take their mail, in their order, and keep what was told.

    Not what was told lately. Not inside a transaction: it asks others than PostgreSQL.
    """
    wanted = _not_told_since(domains, since=now - fresh)
    if dns is None or not wanted:
        return Looked(asked=0, unanswered=0, left=len(wanted), why=OFF if wanted else "")
    told = _ask(wanted[:most], dns=dns)
    DomainLookup.objects.bulk_create(_row(each, at=now) for each in told)
    unanswered = [each.why for each in told if each.route is Route.UNKNOWN]
    left = len(wanted) - len(told)
    why = unanswered[0] if unanswered else f"at most {most:,} are asked about at a time" if left else ""
    return Looked(asked=len(told), unanswered=len(unanswered), left=left, why=why)


def _not_told_since(domains: Iterable[str], *, since: datetime) -> list[str]:
    """Each domain once, but for those of which something was told since then."""
    wanted = list(dict.fromkeys(domains))
    told = DomainLookup.objects.filter(domain__in=wanted, at__gt=since).exclude(route=Route.UNKNOWN)
    known = set(told.values_list("domain", flat=True))
    return [domain for domain in wanted if domain and domain not in known]


def _ask(domains: Sequence[str], *, dns: Dns) -> list[MailRoute]:
    """A few at a time, up to where nobody answers any more."""
    found: list[MailRoute] = []
    rest = iter(domains)
    with ThreadPoolExecutor(IN_PARALLEL, thread_name_prefix="dns") as pool:
        while few := list(islice(rest, IN_PARALLEL)):
            found += pool.map(dns.mail_route, few)
            last = found[-GIVEN_UP_AFTER:]
            if len(last) == GIVEN_UP_AFTER and all(each.route is Route.UNKNOWN for each in last):
                break
    return found


def _row(told: MailRoute, *, at: datetime) -> DomainLookup:
    host = told.hosts[0] if told.hosts else ""
    return DomainLookup(domain=told.domain, at=at, route=told.route, mail_host=host, why=told.why)


def ask_again(*, dns: Dns | None, now: datetime) -> str:
    """Ask once more, a week after, about domains on hold and those that DNS called closed the last time.

    So that the second answer is there when their next campaign is judged. Says what it did.
    """
    looked = look_up([*_held(), *_closed_once(now=now)], dns=dns, now=now, fresh=POLICY.closed_checks_apart)
    return f"{so_many(looked.asked)} asked about" + (f"; {looked.without}" if looked.without else "")


def _held() -> list[str]:
    held = Hold.objects.standing().filter(kind=HoldKind.DOMAIN).order_by("-since")
    return list(held.values_list("host", flat=True))


def _closed_once(*, now: datetime) -> list[str]:
    """Domains whose last answer was that they take no mail, and at which somebody is mailed still."""
    lately = DomainLookup.objects.filter(at__gt=now - closing.FRESH).exclude(route=Route.UNKNOWN)
    last = lately.order_by("domain", "-at").distinct("domain").values_list("domain", "route")
    closed = [domain for domain, route in last if route in CLOSED]
    mailed = ContactListMembership.objects.active().filter(list__role=Role.CAMPAIGN)
    here = Contact.objects.filter(domain__in=closed, pk__in=mailed.values("contact"))
    return sorted(set(here.values_list("domain", flat=True)))


# --- What a campaign asks for ------------------------------------------------------------------------


def that_matter(campaign: CampaignSchedule) -> list[str]:
    """Domains at which somebody failed and nobody was reached, that bounced as gone, or are on hold.

    The most failures first.
    """
    counted_by_domain = (
        campaign.recipients.filter(contact__domain__isnull=False)
        .values("contact__domain")
        .annotate(
            failed=Count("pk", filter=Q(outcome__in=FAILED)),
            reached=Count("pk", filter=Q(outcome=Outcome.DELIVERED)),
            gone=Count("pk", filter=Q(bounce_class=BounceClass.DOMAIN_GONE)),
        )
        .filter(failed__gt=0)
        .order_by("-failed", "contact__domain")
    )
    held = set(_held())
    return [
        row["contact__domain"]
        for row in counted_by_domain
        if not row["reached"] or row["gone"] or row["contact__domain"] in held
    ]


# --- What follows ------------------------------------------------------------------------------------


def closed(domains: Collection[str], *, at: datetime) -> frozenset[str]:
    """Those of the domains that DNS had closed at this time."""
    answers: dict[str, list[Told]] = defaultdict(list)
    rows = DomainLookup.objects.filter(domain__in=domains, at__lte=at).exclude(route=Route.UNKNOWN)
    for domain, when, route in rows.values_list("domain", "at", "route"):
        answers[domain].append(Told(when, closed=route in CLOSED))
    delivered = _delivered(answers, at=at)
    return frozenset(
        domain
        for domain, told in answers.items()
        if closing.is_closed(told, at=at, delivered_at=delivered.get(domain))
    )


def _delivered(domains: Collection[str], *, at: datetime) -> Mapping[str, datetime]:
    """When somebody at each domain was delivered to last."""
    reached = CampaignRecipient.objects.filter(
        contact__domain__in=domains, outcome=Outcome.DELIVERED, outcome_at__lte=at
    )
    return dict(
        reached.values("contact__domain")
        .annotate(last=Max("outcome_at"))
        .values_list("contact__domain", "last")
    )


def behind(hosts: Collection[str], *, at: datetime) -> dict[str, list[str]]:
    """The domains that each of these mail hosts served at this time, as told last."""
    ever = DomainLookup.objects.filter(mail_host__in=hosts, at__lte=at).values("domain")
    rows = DomainLookup.objects.filter(domain__in=ever, at__lte=at).exclude(route=Route.UNKNOWN)
    found: dict[str, list[str]] = defaultdict(list)
    for domain, host in rows.order_by("domain", "-at").distinct("domain").values_list("domain", "mail_host"):
        if host in hosts:
            found[host].append(domain)
    return found


def mail_hosts(domains: Collection[str], *, at: datetime) -> dict[str, str]:
    """The mail host of each domain of which it was known at this time, as told last."""
    rows = DomainLookup.objects.filter(domain__in=domains, at__lte=at, at__gt=at - HOST_IS_FRESH)
    told = rows.exclude(route=Route.UNKNOWN).order_by("domain", "-at").distinct("domain")
    return {domain: host for domain, host in told.values_list("domain", "mail_host") if host}
