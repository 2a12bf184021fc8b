"""An account at the stand-ins, and in an empty database, whose latest campaign is still to be maintained.

Three campaign lists, which are not even, got one message each in the last days; of the list that got it
last so many could not be reached, at as many domains that no outage explains it. The next cycle is planned.
The mirror is twenty minutes old, as the worker's own timetable keeps it. Observing is long over; everything
is reviewed.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

import httpx
from django.contrib.auth.models import User
from django.db import connection, transaction

from agents import by_rules
from integrations.dns import Dns
from integrations.mailjet import Budget, Mailjet
from integrations.sandbox import Serving, serve
from integrations.sandbox.control import Control
from integrations.slack import SlackBot
from listmanagement import outside as outsides
from listmanagement.management.benchmarks import model
from listmanagement.management.benchmarks.counting import Counted
from listmanagement.models import (
    CampaignSchedule,
    ContactList,
    ListMaintenanceLog,
    MailjetRequest,
    Role,
    RolloutState,
    RunKind,
    RunStage,
    RunStatus,
    Trigger,
)
from listmanagement.outside import Outside
from listmanagement.workflows import campaigns, evidence, mirror
from listmanagement.workflows.demo import rows

MASTER, CAMPAIGN, SUPPRESSION = 5001, (5002, 5003, 5004), 5005
SENT_DAYS_AGO = {5003: 7.0, 5004: 4.0, 5002: 1.1}
"""By list; the last one is maintained."""
NEXT_IN_DAYS = {5002: 14.0, 5003: 7.0, 5004: 10.0}
MIRROR_IS_OLD = timedelta(minutes=20)
SHARES = (1000, 942, 1177)
"""Members of the campaign lists, of 3,529 contacts."""
CONTACTS_A_DOMAIN = 8
MAILBOXES = 22 * ["dead"] + ["inactive", "no_domain", "blocked_elsewhere"]
"""What is wrong with those who could not be reached, in turn."""


@dataclass(frozen=True)
class Order:
    """So many contacts, of whom so many cannot be reached on the list that was sent to last."""

    contacts: int
    failures: int

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Members of each campaign list; who is on none is in the backlog, or suppressed."""
        first, second, third = (self.contacts * share // 3529 for share in SHARES)
        return first, second, third

    @property
    def suppressed(self) -> int:
        """Found on the suppression list on the first day."""
        return self.contacts * 90 // 3529


@dataclass
class Scene:
    """The account, about to be maintained."""

    order: Order
    serving: Serving
    control: Control
    outside: Outside
    sent: Counter[str]
    """Requests to Mailjet since it was cleared, by what they are."""
    campaign: CampaignSchedule
    reviewer: User

    def now(self) -> datetime:
        """The stand-in's time, for us too."""
        return datetime.fromtimestamp(self.serving.world.clock.now(), tz=UTC)

    def passes(self, time: timedelta) -> None:
        """Let it be later, without waiting."""
        self.serving.world.advance(max(time.total_seconds(), 0.0))


@contextmanager
def standing(
    order: Order,
    *,
    budget: Callable[[Serving], Budget],
    before: Callable[[Serving], None] = lambda _: None,
    before_write: Callable[[Serving], None] = lambda _: None,
) -> Iterator[Scene]:
    """The stand-ins and the account. `before` each request, and each that writes, something may happen.

    Whatever the database holds is forgotten first: only inside a `scratch.database`.
    """
    sent: Counter[str] = Counter()
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        judge = lambda question: by_rules.reply(question.text)  # noqa: E731
        serving = stack.enter_context(serve(Path(directory) / "stand-in", judge=judge))
        control = stack.enter_context(Control(serving.url))
        with transaction.atomic():
            rows.empty()  # of the scratch database
        transport = Counted(sent, before=lambda: before(serving), before_write=lambda: before_write(serving))
        mailjet = stack.enter_context(_mailjet(serving, budget=budget(serving), transport=transport))
        ask = stack.enter_context(model.asked(serving))
        host, _, port = serving.resolver.rpartition(":")
        outside = Outside(
            mailjet=mailjet,
            slack=SlackBot(
                token=serving.slack_token, channel="C0SANDBOX", base_url=f"{serving.url}/slack/api/"
            ),
            ask=ask,
            configuration=_configuration(serving),
            dns=Dns(resolver=(host, int(port))),
        )
        reviewer, _ = User.objects.get_or_create(username="reviewer", is_superuser=True)
        scene = Scene(order, serving, control, outside, sent, CampaignSchedule(), reviewer)
        _set_up(scene)
        sent.clear()
        yield scene


def _mailjet(serving: Serving, *, budget: Budget, transport: httpx.BaseTransport) -> Mailjet:
    return Mailjet(
        base_url=serving.url,
        api_key=serving.api_key,
        api_secret=serving.api_secret,
        budget=budget,
        master_list_id=MASTER,
        transport=transport,
    )


def _configuration(serving: Serving) -> outsides.Configuration:
    return replace(
        outsides.configuration(),
        enabled=True,  # nothing but a stand-in is changed
        mailjet_is_stand_in=True,
        master_list_id=MASTER,
        campaign_list_ids=CAMPAIGN,
        suppression_list_id=SUPPRESSION,
    )


# --- What has happened so far ----------------------------------------------------------------------------


def _set_up(scene: Scene) -> None:
    order, mailjet = scene.order, scene.outside.mailjet
    scene.control.settings(
        dead_share=0.0, full_share=0.0, fading_share=0.0, blocked_elsewhere_share=0.0, unreachable_share=0.0
    )
    scene.control.settings(greylisting_share=0.0, complaint_share=0.0, unsubscription_share=0.0)
    domains = max(order.contacts // CONTACTS_A_DOMAIN, 1)
    scene.control.populate(contacts=order.contacts, lists=_lists(order), domains=domains)
    _break_mailboxes(scene)
    _name_lists()
    mirror.refresh_all(mailjet=mailjet, now=scene.now())
    _send(scene)
    campaigns.sync(mailjet=mailjet, now=scene.now())
    *earlier, scene.campaign = CampaignSchedule.objects.filter(started_at__isnull=False).order_by(
        "started_at"
    )
    for each in earlier:
        evidence.fetch(each, mailjet=mailjet, now=scene.now())
    _observed_before(scene, earlier[0])
    mirror.refresh_all(mailjet=mailjet, now=scene.now())
    scene.passes(MIRROR_IS_OLD)
    MailjetRequest.objects.all().delete()  # long ago by the account's clock, lately by the wall's
    with connection.cursor() as cursor:
        cursor.execute("analyze")


def _lists(order: Order) -> list[dict[str, Any]]:
    starts = accumulate(order.sizes, initial=0)
    campaign = [
        {"id": key, "name": f"List {n}", "members": size, "first": first}
        for n, (key, size, first) in enumerate(zip(CAMPAIGN, order.sizes, starts, strict=False), 1)
    ]
    first = order.contacts - order.suppressed
    return [
        {"id": MASTER, "name": "Master", "members": order.contacts},
        *campaign,
        {"id": SUPPRESSION, "name": "Suppressed", "members": order.suppressed, "first": first},
    ]


def _break_mailboxes(scene: Scene) -> None:
    """As many as ordered of the maintained list's members, spread over it, each in its way."""
    values = {"failures": scene.order.failures, "size": scene.order.sizes[0]}
    with scene.serving.world.transaction() as db:
        db.execute(
            "CREATE TEMP TABLE broken AS SELECT id, n * :failures / :size AS number FROM"
            " (SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM contacts ORDER BY id LIMIT :size)"
            " WHERE n * :failures / :size < (n + 1) * :failures / :size",
            values,
        )
        for turn, mailbox in enumerate(MAILBOXES):
            db.execute(
                "UPDATE contacts SET mailbox = ? WHERE id IN (SELECT id FROM broken WHERE number % ? = ?)",
                (mailbox, len(MAILBOXES), turn),
            )
        db.execute("DROP TABLE broken")


def _name_lists() -> None:
    places = [(MASTER, Role.MASTER, None), (SUPPRESSION, Role.SUPPRESSION, None)]
    for key, role, position in [*places, *((key, Role.CAMPAIGN, n) for n, key in enumerate(CAMPAIGN, 1))]:
        ContactList.objects.create(mailjet_id=key, name=f"List {key}", role=role, position=position)


def _send(scene: Scene) -> None:
    """The cycle that was sent, and the one that is planned."""
    scene.passes(timedelta(minutes=1))  # what people ask counts towards the minute that we have used
    first, *_ = days = sorted(SENT_DAYS_AGO.values(), reverse=True)
    began = scene.now()
    with httpx.Client(
        base_url=f"{scene.serving.url}/v3/REST/",
        auth=(scene.serving.api_key, scene.serving.api_secret),
        trust_env=False,
        timeout=600.0,
    ) as people:
        for key, ago in SENT_DAYS_AGO.items():
            _plan(people, key, "March", at=began + timedelta(minutes=1) + timedelta(days=first - ago))
        scene.passes(timedelta(days=days[0], minutes=1))
        for key, days_on in NEXT_IN_DAYS.items():
            _plan(people, key, "April", at=scene.now() + timedelta(days=days_on))


def _plan(people: httpx.Client, list_id: int, subject: str, *, at: datetime) -> None:
    made = people.post(
        "campaigndraft",
        json={
            "Locale": "en_US",
            "SenderName": "News",
            "SenderEmail": "news@sender.example.com",
            "Subject": subject,
            "Title": f"{subject} to {list_id}",
            "ContactsListID": list_id,
        },
    )
    key = made.raise_for_status().json()["Data"][0]["ID"]
    filled = people.post(f"campaigndraft/{key}/detailcontent", json={"Html-part": "<p>Hello</p>"})
    filled.raise_for_status()
    people.post(f"campaigndraft/{key}/schedule", json={"Date": at.isoformat()}).raise_for_status()


def _observed_before(scene: Scene, campaign: CampaignSchedule) -> None:
    """Observing began a month ago, and the run of the cycle's first campaign was observed to its end."""
    assert campaign.ended_at is not None
    then = campaign.ended_at + scene.outside.configuration.maintenance_delay
    RolloutState.objects.create(observing_since=scene.now() - timedelta(days=30))
    ListMaintenanceLog.objects.create(
        kind=RunKind.POST_CAMPAIGN,
        stage=RunStage.OBSERVE,
        trigger=Trigger.SCHEDULE,
        status=RunStatus.SUCCEEDED,
        campaign=campaign,
        idempotency_key=f"{RunKind.POST_CAMPAIGN}:{campaign.pk}:{RunStage.OBSERVE}",
        created_at=then,
        finished_at=then,
    )
