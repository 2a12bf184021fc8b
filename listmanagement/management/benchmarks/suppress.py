"""Suppressing many contacts: requests to Mailjet against the fewest there can be, and contact by contact.

Contacts of three campaign lists are suppressed by the real journal, at the stand-in, over HTTP. Time is the
stand-in's: waits for jobs and for the budget of 300 requests a minute pass on its clock, so nobody waits.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Any

import httpx
from django.core.management.base import CommandParser
from django.db import connection

from integrations.mailjet import Mailjet, batch_size
from integrations.sandbox import Serving, serve
from integrations.sandbox.control import Control
from listmanagement import outside as outsides
from listmanagement.domain.bounces import BounceClass, History, Outcome
from listmanagement.domain.cycle import RoundStatus
from listmanagement.domain.suppression import Region
from listmanagement.management.benchmarks import counting, scratch
from listmanagement.management.benchmarks.counting import PER_MINUTE, Counted, Queries, Quota, rows_written
from listmanagement.management.benchmarks.report import Benchmark, Bound, Figures, postgresql
from listmanagement.models import (
    AnswerSource,
    Bounce,
    CampaignKind,
    CampaignRecipient,
    CampaignSchedule,
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
    RunKind,
    RunStage,
    RunStatus,
    Step,
    Trigger,
)
from listmanagement.outside import Outside
from listmanagement.workflows import mirror
from listmanagement.workflows.changes import execution
from listmanagement.workflows.running import lease as leases
from listmanagement.workflows.running.steps import Done, Hand, Wait

MASTER, CAMPAIGN, SUPPRESSION = 5001, (5002, 5003, 5004), 5005
PAGE = 1000
CALLS_ALONE = 4
"""Of the way contact by contact: off three lists, onto one."""


@dataclass(frozen=True)
class Case:
    """So many contacts off three lists of an account, and how long Mailjet's jobs take."""

    contacts: int
    account: int
    list_size: int
    suppressed: int
    job_seconds: float


FEW = Case(contacts=250, account=3_529, list_size=1_150, suppressed=240, job_seconds=5)


def _many(contacts: int) -> Case:
    """A quarter of an account."""
    return Case(
        contacts=contacts,
        account=contacts * 4,
        list_size=contacts * 33 // 25,
        suppressed=contacts * 9 // 250,
        job_seconds=40,
    )


def add_arguments(parser: CommandParser) -> None:
    """--contacts."""
    parser.add_argument("--contacts", type=int, default=25_000, help="how many the large case suppresses")


def run(options: Mapping[str, Any]) -> Figures:
    """Suppress 250 contacts, also the other way, then 25,000."""
    many = _many(options["contacts"])
    with _scene(FEW) as scene:
        few_done = _suppressed(scene)
        alone = _one_by_one(scene)
    with _scene(many) as scene:
        many_done = _suppressed(scene)
        server = postgresql()
    calls = many.contacts * CALLS_ALONE
    return Figures(
        figures={
            "few": few_done,
            "few_contact_by_contact": {"computed": False, **alone},
            "many": many_done,
            "many_contact_by_contact": {
                "computed": True,
                "requests": calls,
                "minutes_on_mailjets_clock": calls / PER_MINUTE,
            },
        },
        bounds=[
            Bound(figure="requests_over_fewest_few", value=few_done["requests_over_fewest"], at_most=1.1),
            Bound(figure="requests_over_fewest_many", value=many_done["requests_over_fewest"], at_most=1.1),
        ],
        postgresql=server,
    )


# --- An account at the stand-in and in an empty database ---------------------------------------------------


@dataclass
class Scene:
    """One case, about to begin."""

    case: Case
    serving: Serving
    control: Control
    mailjet: Mailjet
    sent: Counter[str]
    run: ListMaintenanceLog

    def now(self) -> datetime:
        """The stand-in's time."""
        return datetime.fromtimestamp(self.serving.world.clock.now(), tz=UTC)


@contextmanager
def _scene(case: Case) -> Iterator[Scene]:
    sent: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory() as directory,
        serve(Path(directory) / "stand-in") as serving,
        Control(serving.url) as control,
        Mailjet(
            base_url=serving.url,
            api_key=serving.api_key,
            api_secret=serving.api_secret,
            budget=Quota(serving),
            master_list_id=MASTER,
            transport=Counted(sent),
        ) as mailjet,
        scratch.database(),
    ):
        control.settings(job_seconds=case.job_seconds)
        control.populate(contacts=case.account, lists=_lists(case))
        run = _fill(case, mailjet, now=_now(serving))
        serving.world.advance((mirror.FRESH_FOR + timedelta(minutes=1)).total_seconds())
        yield Scene(case, serving, control, mailjet, sent, run)


def _now(serving: Serving) -> datetime:
    return datetime.fromtimestamp(serving.world.clock.now(), tz=UTC)


def _lists(case: Case) -> list[dict[str, Any]]:
    campaign = [
        {"id": key, "name": f"List {n}", "members": case.list_size, "first": n * case.list_size}
        for n, key in enumerate(CAMPAIGN)
    ]
    others = case.account - case.suppressed
    return [
        {"id": MASTER, "name": "Master", "members": case.account},
        *campaign,
        {"id": SUPPRESSION, "name": "Suppressed", "members": case.suppressed, "first": others},
    ]


def _fill(case: Case, mailjet: Mailjet, *, now: datetime) -> ListMaintenanceLog:
    """The account as the mirror sees it, and a run about to suppress: decided, and not journaled yet."""
    for key, role, position in (
        (MASTER, Role.MASTER, None),
        *((key, Role.CAMPAIGN, n) for n, key in enumerate(CAMPAIGN, 1)),
        (SUPPRESSION, Role.SUPPRESSION, None),
    ):
        ContactList.objects.create(mailjet_id=key, name=f"List {key}", role=role, position=position)
    mirror.refresh_all(mailjet=mailjet, now=now)
    campaign = _a_campaign(now=now)
    run = ListMaintenanceLog.objects.create(
        kind=RunKind.POST_CAMPAIGN,
        status=RunStatus.RUNNING,
        stage=RunStage.ACT,
        trigger=Trigger.PERSON,
        step=Step.SUPPRESS,
        campaign=campaign,
        idempotency_key=str(uuid.uuid4()),
        created_at=now,
    )
    _decide(run, _members(case), evidence=_evidence(campaign, case), now=now)
    _analyze()
    return run


def _a_campaign(*, now: datetime) -> CampaignSchedule:
    return CampaignSchedule.objects.create(
        list=ContactList.objects.rotation()[0],
        status=RoundStatus.SENT,
        kind=CampaignKind.ONE_OFF,
        mailjet_campaign_id=1,
        started_at=now - timedelta(days=2),
        ended_at=now - timedelta(days=2),
        settled_at=now,
    )


def _members(case: Case) -> list[ContactListMembership]:
    """Whom it is about: as many of each campaign list, spread over it."""
    each, rest = divmod(case.contacts, len(CAMPAIGN))
    found: list[ContactListMembership] = []
    for n, contact_list in enumerate(ContactList.objects.rotation()):
        number = each + (n < rest)
        members = list(contact_list.memberships.current().order_by("contact").only("contact_id", "list_id"))
        step = len(members) // number
        found += members[::step][:number]
    return found


def _evidence(campaign: CampaignSchedule, case: Case) -> dict[int, int]:
    """A hard bounce of each, by contact."""
    at = campaign.started_at
    assert at is not None
    received = CampaignRecipient.objects.bulk_create(
        CampaignRecipient(
            campaign=campaign,
            contact_id=member.contact_id,
            message_id=n,
            outcome=Outcome.BOUNCED,
            bounce_class=BounceClass.RECIPIENT_GONE,
            sent_at=at,
            outcome_at=at,
        )
        for n, member in enumerate(_members(case), 1)
    )
    bounces = Bounce.objects.bulk_create(
        Bounce(recipient=each, state=1, permanent=True, attempted=True, at=at) for each in received
    )
    return {each.recipient.contact_id: each.pk for each in bounces}


def _decide(
    run: ListMaintenanceLog,
    members: Sequence[ContactListMembership],
    *,
    evidence: Mapping[int, int],
    now: datetime,
) -> None:
    decision = Decision.objects.create(
        run=run,
        kind=DecisionKind.SUPPRESSION,
        status=DecisionStatus.CLEAR,
        title="Suppress who cannot be reached",
        source=AnswerSource.RULES,
        confidence=1.0,
        created_at=now,
    )
    group = DecisionGroup.objects.create(
        decision=decision,
        position=1,
        key="gone",
        action=ItemAction.SUPPRESS,
        title="the mailbox does not exist",
        region=Region.MUST,
        bounce_class=BounceClass.RECIPIENT_GONE,
        strikes="1",
        history=History.NEVER_DELIVERED,
        contacts=len(members),
        share=0.1,
        confidence=1.0,
    )
    group.fill(
        [
            DecisionItem(
                contact_id=each.contact_id,
                source_list_id=each.list_id,
                evidence_id=evidence[each.contact_id],
            )
            for each in members
        ]
    )


def _analyze() -> None:
    with connection.cursor() as cursor:
        cursor.execute("analyze")


# --- The journal's way --------------------------------------------------------------------------------------


def _suppressed(scene: Scene) -> dict[str, Any]:
    """Drive the run's journal to its end, and count."""
    pages = _pages(scene)
    scene.sent.clear()
    written, began_at, began = rows_written(), scene.now(), time.perf_counter()
    queries = Queries()
    with connection.execute_wrapper(queries):
        _drive(scene)
    seconds = time.perf_counter() - began
    done = DecisionItem.objects.filter(status=ItemStatus.EXECUTED).count()
    assert done == scene.case.contacts, f"{done} of {scene.case.contacts} are done"
    batches = ceil(scene.case.contacts / batch_size(scene.case.contacts))
    polls = _polls(scene)
    fewest = pages + batches + polls + pages
    return {
        "contacts": scene.case.contacts,
        "list_sizes": [scene.case.list_size] * len(CAMPAIGN) + [scene.case.suppressed],
        "requests": sum(scene.sent.values()),
        **{name.replace(" ", "_"): number for name, number in sorted(scene.sent.items())},
        "fewest_requests": fewest,
        "requests_over_fewest": sum(scene.sent.values()) / fewest,
        "fewest_pages_before_and_after": 2 * pages,
        "fewest_bulk_requests": batches,
        "fewest_job_statuses": polls,
        "minutes_on_mailjets_clock": (scene.now() - began_at) / timedelta(minutes=1),
        "rows_written": rows_written() - written,
        "queries": queries.number,
        "seconds": seconds,
    }


def _drive(scene: Scene) -> None:
    lease = leases.claim(scene.run.pk)
    assert lease is not None
    configuration = replace(outsides.configuration(), enabled=True)  # nothing but a stand-in is changed
    outside = Outside(mailjet=scene.mailjet, slack=None, ask=None, configuration=configuration)
    with leases.kept(lease):
        while True:
            run = ListMaintenanceLog.objects.get(pk=scene.run.pk)
            outcome = execution.carry_out(
                Hand(run=run, lease=lease, outside=outside, clock=scene.now), DecisionKind.SUPPRESSION
            )
            if isinstance(outcome, Done):
                return
            assert isinstance(outcome, Wait), outcome
            scene.serving.world.advance(max((outcome.until - scene.now()).total_seconds(), 0.0))


def _pages(scene: Scene) -> int:
    """Pages of the lists that the contacts are on and of the one they join."""
    sizes = [len(scene.control.members(key)) for key in (*CAMPAIGN, SUPPRESSION)]
    return sum(ceil(size / PAGE) for size in sizes)


def _polls(scene: Scene) -> int:
    """Looks at 1, 2, 4, 8 … s after its acceptance that each job, as long as it was, takes."""
    with scene.serving.world.transaction() as db:
        jobs = db.execute("SELECT ended_at - requested_at FROM jobs").fetchall()
    return sum(counting.looks(seconds) for (seconds,) in jobs)


# --- The other way ------------------------------------------------------------------------------------------


def _one_by_one(scene: Scene) -> dict[str, Any]:
    """The same contacts with four calls each, the account loaded anew: no journal, no reading back."""
    case = scene.case
    addresses = list(DecisionItem.objects.order_by("position").values_list("contact__email", flat=True))
    scene.control.populate(contacts=case.account, lists=_lists(case))
    scene.serving.world.advance(60.0)  # the account's quota is whole again
    quota, requests, began_at, began = Quota(scene.serving), 0, scene.now(), time.perf_counter()
    changes = [*((key, "remove") for key in CAMPAIGN), (SUPPRESSION, "addnoforce")]
    with httpx.Client(
        base_url=f"{scene.serving.url}/v3/REST/",
        auth=(scene.serving.api_key, scene.serving.api_secret),
        trust_env=False,
    ) as http:
        for email in addresses:
            for key, action in changes:
                quota.acquire(background=False)
                http.post(
                    f"contactslist/{key}/managecontact", json={"Email": email, "Action": action}
                ).raise_for_status()
                requests += 1
    return {
        "requests": requests,
        "minutes_on_mailjets_clock": (scene.now() - began_at) / timedelta(minutes=1),
        "seconds": time.perf_counter() - began,
    }


BENCHMARK = Benchmark(
    name="suppress",
    help="Suppress 250 and 25,000 contacts: requests against the fewest, and against the way one by one.",
    add_arguments=add_arguments,
    run=run,
)
