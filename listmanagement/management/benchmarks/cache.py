"""What remembering lists saves: one scripted hour of console and jobs, with it and without.

**The hour.** The lists' page is loaded every 18 seconds (200 times) by a viewer, over HTTP through the
whole application. A send is looked at every five minutes (12 times), as `manage.py validate_campaign` does.
Everything is refreshed twice and the week's check is run once, as the worker does. Meanwhile people at
Mailjet unsubscribe somebody every five minutes and take somebody off a list every ten.

**With** is the product: Redis remembers list states for pages; the mirror in PostgreSQL remembers who
is on which list, and looks and checks believe it for ten minutes.

**Without** is the same code with neither. Redis is away, so each load of the page counts its figures and
asks Mailjet how many members each list has; and before each look and check the mirror's ages are forgotten,
so that each reads its lists from Mailjet, as a tool that remembers nothing has to.

**Without Redis** stands between them: the mirror is believed as ever. What `with` saves of that is Redis's
part alone. Looks, refreshes and the weekly check decide, or read for what decides: they use no Redis in any
of the three hours, and each kind is told apart.

Statements to PostgreSQL and requests to Mailjet are counted: those of sessions, permissions and the request
budget included.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management import CommandError
from django.core.management.base import CommandParser
from django.db import connection
from django.test import Client
from django.test.utils import override_settings
from django.urls import reverse

from integrations.cache import Tally
from integrations.sandbox import Serving, serve
from integrations.sandbox.control import Control
from listmanagement import outside as outsides
from listmanagement.apps import VIEWERS
from listmanagement.domain.cycle import RoundStatus
from listmanagement.management.benchmarks import scratch
from listmanagement.management.benchmarks.counting import Queries
from listmanagement.management.benchmarks.report import Benchmark, Bound, Figures, postgresql
from listmanagement.models import (
    CampaignSchedule,
    CampaignSync,
    Contact,
    ContactList,
    ContactListMembership,
    MailjetRequest,
    Recurring,
    Role,
    RunStatus,
    Trigger,
)
from listmanagement.workflows import runs, timetable
from listmanagement.workflows.before_sends import pre_campaign
from listmanagement.workflows.demo import seeding
from listmanagement.workflows.demo.world import Scenario, build
from listmanagement.workflows.weekly import weekly_health

HOUR = timedelta(hours=1)
NOBODY = "redis://127.0.0.1:1/0"
"""An address at which no Redis answers."""

LISTS = {
    "MAILJET_MASTER_LIST_ID": 5776,
    "MAILJET_CAMPAIGN_LIST_IDS": (10503497, 10503498, 10503499),
    "MAILJET_SUPPRESSION_LIST_ID": 10503500,
}
NO_LIMIT = 1_000_000
"""Requests a minute: an hour passes here in a minute or two, and none of them is to be refused for that."""


def add_arguments(parser: CommandParser) -> None:
    """--overviews, --validations."""
    parser.add_argument("--overviews", type=int, default=200, help="loads of the lists' page in the hour")
    parser.add_argument("--validations", type=int, default=12, help="looks at a send in the hour")


def run(options: Mapping[str, Any]) -> Figures:
    """The same hour three times, each in a database and beside a stand-in of its own."""
    hour = _hour(overviews=options["overviews"], validations=options["validations"])
    without = _passed(hour, redis=NOBODY, forgets=True)
    without_redis = _passed(hour, redis=NOBODY)
    product = _passed(hour, redis=settings.REDIS_URL)
    if product.tally is None:
        raise CommandError("Redis does not answer at REDIS_URL: without it there is nothing to measure.")
    saved = product.saved(of=without)
    return Figures(
        figures={
            "hour": dict(Counter(kind for _, kind in hour)),
            "contacts": product.contacts,
            "lists": product.lists,
            "without": without.figures(),
            "without_redis": without_redis.figures(),
            "with": product.figures(),
            "saved": saved,
            "saved_by_redis_alone": product.saved(of=without_redis),
            "hits": product.tally.hits,
            "misses": product.tally.misses,
        },
        bounds=[
            Bound(figure="saved_queries", value=saved["queries"]["all"], at_least=0.6),
            Bound(figure="saved_requests", value=saved["requests"]["all"], at_least=0.8),
            Bound(figure="hit_rate", value=product.tally.rate or 0.0, at_least=0.6),
        ],
        postgresql=product.server,
    )


# --- The script ------------------------------------------------------------------------------------------

OVERVIEW, VALIDATION, REFRESH, WEEKLY = "overviews", "validations", "refreshes", "weekly_checks"
OPT_OUT, TAKEN_OFF = "opt_outs_at_mailjet", "taken_off_at_mailjet"

Script = Sequence[tuple[timedelta, str]]


def _hour(*, overviews: int, validations: int) -> Script:
    """What happens when, in order."""
    evenly = {
        OVERVIEW: overviews,
        VALIDATION: validations,
        REFRESH: 2,
        WEEKLY: 1,
        OPT_OUT: 12,
        TAKEN_OFF: 6,
    }
    happens = [
        (HOUR * (n + share) / number, kind)
        for (kind, number), share in zip(evenly.items(), (0.2, 0.5, 0.6, 0.55, 0.4, 0.7), strict=True)
        for n in range(number)
    ]
    return sorted(happens)


# --- One hour --------------------------------------------------------------------------------------------


@dataclass
class Hour:
    """What it took, by kind."""

    contacts: int
    lists: int
    server: Mapping[str, str]
    queries: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    tally: Tally | None = None

    def figures(self) -> dict[str, dict[str, int]]:
        """By kind, and of all."""
        return {
            "queries": {**self.queries, "all": self.queries.total()},
            "requests": {**self.requests, "all": self.requests.total()},
        }

    def saved(self, *, of: Hour) -> dict[str, dict[str, float]]:
        """As shares of what the other hour took."""
        mine, theirs = self.figures(), of.figures()
        return {
            what: {kind: 1 - number / max(theirs[what][kind], 1) for kind, number in counted.items()}
            for what, counted in mine.items()
        }


@dataclass(frozen=True)
class Scene:
    """An account in the middle of its weeks, and somebody who looks at its lists."""

    serving: Serving
    control: Control
    viewer: Client
    campaign: int
    forgets: bool
    dice: random.Random

    def now(self) -> datetime:
        """The stand-in's time."""
        return datetime.fromtimestamp(self.serving.world.clock.now(), tz=UTC)


def _passed(script: Script, *, redis: str, forgets: bool = False) -> Hour:
    """Let the hour pass, and count."""
    with _scene(redis=redis, forgets=forgets) as scene:
        hour = Hour(Contact.objects.count(), ContactList.objects.count(), postgresql())
        began = scene.now()
        for at, kind in script:
            scene.serving.world.advance(max((began + at - scene.now()).total_seconds(), 0.0))
            _counted(scene, kind, hour)
        tallies = outsides.cache().tallies()
        hour.tally = tallies[0] if tallies else None
        outsides.cache().delete("*")
        return hour


def _counted(scene: Scene, kind: str, hour: Hour) -> None:
    asked, queries = MailjetRequest.objects.count(), Queries()
    if scene.forgets and kind in (VALIDATION, WEEKLY):
        _forget(now=scene.now())
    with connection.execute_wrapper(queries):
        HAPPENS[kind](scene)
    if kind in (OVERVIEW, VALIDATION, REFRESH, WEEKLY):
        hour.queries[kind] += queries.number
        hour.requests[kind] += MailjetRequest.objects.count() - asked


def _forget(*, now: datetime) -> None:
    """What was read is known no more, as far as anybody asks how old it is."""
    long_ago = now - timedelta(days=2)
    ContactList.objects.update(read_at=long_ago, contacts_read_at=long_ago)
    CampaignSync.objects.update(read_at=long_ago)


@contextmanager
def _scene(*, redis: str, forgets: bool) -> Iterator[Scene]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        serving = stack.enter_context(serve(directory / "stand-in"))
        control = stack.enter_context(Control(serving.url))
        stack.enter_context(scratch.database())
        stack.enter_context(override_settings(**_settings(serving, redis=redis)))
        campaign = _fill(serving, control)
        yield Scene(serving, control, _a_viewer(), campaign, forgets, random.Random(1))  # noqa: S311  (repeatable)


def _settings(serving: Serving, *, redis: str) -> dict[str, Any]:
    """Of an installation with nothing but Mailjet, PostgreSQL and perhaps Redis."""
    return {
        **LISTS,
        "REDIS_URL": redis,
        "MAILJET_BASE_URL": serving.url,
        "MAILJET_IS_STAND_IN": True,
        "MAILJET_API_KEY": serving.api_key,
        "MAILJET_API_SECRET": serving.api_secret,
        "MAILJET_REQUESTS_PER_MINUTE": NO_LIMIT,
        "GEMINI_API_KEY": "",
        "SLACK_BOT_TOKEN": "",
        "SLACK_WEBHOOK_URL": "",
        "DNS_ENABLED": False,
        "LIST_MANAGEMENT_ENABLED": True,
    }


def _fill(serving: Serving, control: Control) -> int:
    """The demo's account, read once, a few minutes ago. The next send's id."""
    now = datetime.fromtimestamp(serving.world.clock.now(), tz=UTC)
    world = build(seed=1, now=now, scenario=Scenario.MID_CYCLE)
    configuration = replace(outsides.configuration(), mailjet_is_stand_in=True)
    seeding.seed(world, configuration=configuration, control=control, reset=True)
    with outsides.real() as outside:
        timetable.JOBS[Recurring.REFRESH_CACHE].do(outside, now)
        timetable.JOBS[Recurring.SYNC_CAMPAIGNS].do(outside, now)
    with connection.cursor() as cursor:
        cursor.execute("analyze")
    serving.world.advance(timedelta(minutes=5).total_seconds())
    to_come = CampaignSchedule.objects.filter(status=RoundStatus.SCHEDULED).order_by("scheduled_at")
    return int(to_come.values_list("pk", flat=True)[0])


def _a_viewer() -> Client:
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.groups.add(Group.objects.get(name=VIEWERS))
    client = Client(HTTP_HOST=settings.ALLOWED_HOSTS[0])
    client.force_login(viewer)
    return client


# --- What happens ----------------------------------------------------------------------------------------


def _overview(scene: Scene) -> None:
    page = scene.viewer.get(reverse("admin:listmanagement_contactlist_changelist"), secure=True)
    assert page.status_code == 200, page
    assert "not known" not in page.content.decode(), "Mailjet was not asked"


def _validation(scene: Scene) -> None:
    with outsides.real() as outside:
        pre_campaign.validate(scene.campaign, outside=outside, by=None, now=scene.now())


def _refresh(scene: Scene) -> None:
    with outsides.real(background=True) as outside:
        timetable.JOBS[Recurring.REFRESH_CACHE].do(outside, scene.now())


def _weekly(scene: Scene) -> None:
    with outsides.real() as outside:
        run = weekly_health.start(
            trigger=Trigger.SCHEDULE, by=None, configuration=outside.configuration, now=scene.now()
        )
        run = runs.advance(run.pk, outside=outside, clock=scene.now)
    assert run.status == RunStatus.SUCCEEDED, (run.status, run.errors)


def _opt_out(scene: Scene) -> None:
    """Somebody unsubscribes, on Mailjet's own page."""
    _act(scene, "unsub")


def _taken_off(scene: Scene) -> None:
    """A person at Mailjet takes somebody off their list."""
    _act(scene, "remove")


def _act(scene: Scene, action: str) -> None:
    there = ContactListMembership.objects.sized().filter(list__role=Role.CAMPAIGN).order_by("contact")
    rows = there.values_list("contact", "list__mailjet_id")
    contact_id, list_id = rows[scene.dice.randrange(len(rows))]
    scene.control.act(contact_id=contact_id, list_id=list_id, action=action)


HAPPENS: Mapping[str, Callable[[Scene], None]] = {
    OVERVIEW: _overview,
    VALIDATION: _validation,
    REFRESH: _refresh,
    WEEKLY: _weekly,
    OPT_OUT: _opt_out,
    TAKEN_OFF: _taken_off,
}

BENCHMARK = Benchmark(
    name="cache",
    help="Let one scripted hour pass with the cache and without: queries, requests to Mailjet, hits.",
    add_arguments=add_arguments,
    run=run,
)
