"""Once per cycle (P5): cycles that the stand-in really sends, while we suppress, place, move and take back.

Whoever is mailable when a cycle begins, and still at its end, gets its message exactly once; whoever is newly
placed at most once. What was sent is read off the stand-in's own messages.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User

from integrations.mailjet import MailjetCampaign
from integrations.sandbox.outcomes import Mailbox
from listmanagement.models import (
    FINISHED,
    BatchKind,
    CampaignKind,
    Decision,
    DecisionItem,
    DecisionKind,
    DecisionStatus,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    ListOperation,
    Recurring,
    RunKind,
    RunStage,
    RunStatus,
)
from listmanagement.workflows import promises, runs, timetable
from listmanagement.workflows.by_people import review
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.demo import rows
from listmanagement.workflows.undoing import undo
from listmanagement.workflows.undoing.undoable import Scope
from tests import factories
from tests.factories import CAMPAIGNS, MASTER, NOON, SUPPRESSION
from tests.workflows import marketing as people
from tests.workflows import scene as scenes
from tests.workflows import town as towns
from tests.workflows.addressed import truth
from tests.workflows.marketing import Marketing
from tests.workflows.scene import StandIn
from tests.workflows.town import Town, a_town, address

pytestmark = pytest.mark.django_db(transaction=True)

CHAOS = bool(os.environ.get("EVENKEEL_CHAOS"))
ON = {CAMPAIGNS[0]: range(1, 21), CAMPAIGNS[1]: range(21, 32), CAMPAIGNS[2]: range(32, 43)}
WAITING = range(43, 51)
DEAD = (2, 19, 25, 36)
Asked = Callable[[httpx.Request], bool]
RECURRING = (Recurring.SYNC_CAMPAIGNS, Recurring.LATE_OUTCOMES, Recurring.START_RUNS)


def the_world() -> dict[str, object]:
    """Uneven lists, and a backlog."""
    long_ago = (NOON - timedelta(days=300)).isoformat()
    everybody = [*range(1, 43), *WAITING]
    places = [(contact, MASTER) for contact in everybody]
    places += [(contact, key) for key, members in ON.items() for contact in members]
    return {
        "contacts": [
            {"id": contact, "email": address(contact), "created_at": long_ago} for contact in everybody
        ],
        "lists": [{"id": key, "name": f"list {key}"} for key in (MASTER, *CAMPAIGNS, SUPPRESSION)],
        "memberships": [
            {"id": n, "contact_id": contact, "list_id": key, "subscribed_at": long_ago}
            for n, (contact, key) in enumerate(places, 1)
        ],
    }


@dataclass
class Life:
    """Everything that goes on: people send, our workers work by the timetable, a reviewer decides."""

    town: Town
    marketing: Marketing
    lists: factories.Rotation
    ana: User
    cycles: dict[str, list[int]] = field(default_factory=dict)
    """Drafts of each cycle's rounds, by the subject of its message."""

    def sends(self, number: int, subject: str) -> None:
        """Somebody sends the message to a list, by its place in the rotation, at once."""
        draft = self.marketing.sends(self.lists.campaign[number], subject)
        self.cycles.setdefault(subject, []).append(draft)

    def plans(self, number: int, subject: str, *, days: float) -> None:
        """Somebody has it sent in so many days."""
        draft = self.marketing.plans(self.lists.campaign[number], subject, days=days)
        self.cycles.setdefault(subject, []).append(draft)

    def work(self) -> None:
        """What is due is done, and every run goes as far as it goes without a person."""
        with self.town.our_process():
            for job in RECURRING:
                timetable.do(job, outside=self.town.outside, clock=self.town.clock)
        self.runs_go_on()

    def runs_go_on(self) -> None:
        """Sweep after sweep, a wait of minutes after the other."""
        town = self.town
        while True:
            with town.our_process():
                runs.sweep(outside=town.outside, clock=town.clock)
            soon = town.now + timedelta(minutes=5)
            soonest = (
                ListMaintenanceLog.objects.unfinished().filter(next_at__lte=soon).order_by("next_at").first()
            )
            if soonest is None or soonest.next_at is None:
                return
            town.clock.passes(soonest.next_at - town.now)

    def lives(self, *, days: float) -> None:
        """So many days pass; once a day our workers look."""
        until = self.town.now + timedelta(days=days)
        while self.town.now < until:
            self.town.clock.passes(min(timedelta(days=1), until - self.town.now))
            self.work()

    def takes_back(self, run: ListMaintenanceLog) -> None:
        """Ana has a run undone."""
        undo.start(
            run.pk,
            scope=Scope(),
            by=self.ana,
            reason="too early",
            override="",
            configuration=self.town.outside.configuration,
            now=self.town.now,
        )
        self.runs_go_on()

    def members(self, place: int) -> list[int]:
        """Who is on a list at Mailjet, by its place in the rotation."""
        return sorted(self.town.members(CAMPAIGNS[place]))

    def waiting(self) -> list[Decision]:
        return list(Decision.objects.awaiting_review().order_by("pk"))

    def approve(self, *kinds: DecisionKind) -> None:
        """Ana approves all that waits, or what is of these kinds, until nothing does any more."""
        while waiting := [each for each in self.waiting() if not kinds or each.kind in kinds]:
            for decision in waiting:
                review.approve(decision.pk, by=self.ana, now=self.town.now)
            self.runs_go_on()

    def broken(self) -> list[str]:
        """Which promises do not hold, by our own check, and why."""
        found = promises.verify(mailjet=self.town.outside.mailjet, now=self.town.now)
        return [f"{each.name}: {each.broken}" for each in found.promises if each.broken]

    def wrongs(self) -> list[str]:
        """What is wrong about any cycle, by what was sent."""
        found = truth(self.town.standin, lists=towns.LISTS)
        by_draft = self._campaigns()
        return [
            f"{subject}: {words}"
            for subject, drafts in self.cycles.items()
            for words in found.wrongs([by_draft[draft] for draft in drafts])
        ]

    def _campaigns(self) -> dict[int, int]:
        with self.town.standin.serving.world.transaction() as db:
            return dict(db.execute("SELECT draft_id, id FROM campaigns").fetchall())


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    with scenes.stand_in(tmp_path / "cycles") as standin:
        yield from a_life(standin)


def a_life(standin: StandIn) -> Iterator[Life]:
    rows.empty()
    with (
        a_town(standin, seed=1, world=the_world(), **scenes.ALL_WELL) as town,
        people.at_work(standin, town.clock) as marketing,
    ):
        for contact in DEAD:
            standin.control.set_mailbox(contact, Mailbox.DEAD)
        lists = factories.the_rotation()
        has_observed(lists)
        life = Life(town, marketing, lists, factories.a_reviewer("ana"))
        life.work()
        yield life


def has_observed(lists: factories.Rotation) -> None:
    """Maintenance was observed to its end long ago, of a send that was no round."""
    past = NOON - timedelta(days=59)
    one_off = factories.a_campaign(
        list=lists.campaign[0], kind=CampaignKind.ONE_OFF, started_at=past, settled_at=past
    )
    factories.the_rollout(observing_since=NOON - timedelta(days=60))
    factories.a_run(
        campaign=one_off,
        stage=RunStage.OBSERVE,
        status=RunStatus.SUCCEEDED,
        finished_at=past,
        counts=scenes.COUNTS | {"complained": 0},
    )


# --- The instants of a move ------------------------------------------------------------------------------


def asks_to(action: str) -> Asked:
    """A request that has Mailjet do this to contacts."""
    return lambda request: request.method == "POST" and f'"{action}"'.encode() in request.content


def follows_a_job(request: httpx.Request) -> bool:
    return request.method == "GET" and "managemanycontacts/" in request.url.path


def reads_lists(request: httpx.Request) -> bool:
    path = request.url.path
    return request.method == "GET" and ("listrecipient" in path or "getcontactslists" in path)


INSTANTS: Mapping[str, Sequence[Asked]] = {
    "before the add": [asks_to("addnoforce")],
    "while the add is done": [asks_to("addnoforce"), follows_a_job],
    "between add and verification": [asks_to("addnoforce"), follows_a_job, reads_lists],
    "between verification and removal": [asks_to("addnoforce"), asks_to("remove")],
    "while the removal is done": [asks_to("addnoforce"), asks_to("remove"), follows_a_job],
    "between removal and verification": [
        asks_to("addnoforce"),
        asks_to("remove"),
        follows_a_job,
        reads_lists,
    ],
}
"""Our requests after which a send begins: just before the last of them gets to Mailjet."""


class Part(StrEnum):
    """What the list that is sent to is in the move."""

    SOURCE = "source"
    TARGET = "target"
    ANOTHER = "another"


def planned_move() -> Mapping[Part, int]:
    """The lists of the first move that waits for a review, by their places in the rotation from 0."""
    item = (
        DecisionItem.objects.filter(
            action=ItemAction.MOVE, decision__status=DecisionStatus.OPEN, status=ItemStatus.PROPOSED
        )
        .order_by("source_list__position", "target_list__position")
        .select_related("source_list", "target_list")
        .first()
    )
    assert item is not None, "nobody is to be moved"
    assert item.source_list is not None
    assert item.target_list is not None
    places = [item.source_list.position, item.target_list.position]
    source, target = (place - 1 for place in places if place is not None)
    return {Part.SOURCE: source, Part.TARGET: target, Part.ANOTHER: 3 - source - target}


def during_the_move(life: Life, instant: str, part: Part, subject: str) -> list[int]:
    """Approve the move; in the middle of it somebody sends. Returns the lists still to be sent to."""
    life.approve(DecisionKind.SUPPRESSION)
    place = planned_move()[part]
    sent: list[int] = []

    def send() -> None:
        life.sends(place, subject)
        sent.append(place)

    life.town.at_the_last_of(INSTANTS[instant], send)
    life.approve()
    assert sent, f"nothing was asked {instant}"
    return [other for other in range(3) if other != place]


def a_whole_cycle(life: Life, subject: str) -> None:
    """All three rounds in one day; then the maintenance of each."""
    for place in range(3):
        life.sends(place, subject)
    life.lives(days=2.1)


SAMPLED = [
    ("while the add is done", Part.TARGET),
    ("while the removal is done", Part.SOURCE),
]
ALL = [(instant, part) for instant in INSTANTS for part in Part]


@pytest.mark.parametrize(("instant", "part"), ALL if CHAOS else SAMPLED)
def test_a_send_at_any_instant_of_a_move_reaches_everybody_once(life: Life, instant: str, part: Part) -> None:
    a_whole_cycle(life, "June")
    for place in during_the_move(life, instant, part, "July"):
        life.lives(days=1.1)
        life.approve()
        life.sends(place, "July")
    life.lives(days=1.1)

    assert life.wrongs() == []
    assert life.broken() == []


@pytest.mark.parametrize("part", [Part.SOURCE, Part.TARGET] if CHAOS else [Part.TARGET])
def test_a_send_that_mailjet_shows_when_contacts_have_left_reaches_everybody_once(
    life: Life, part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_whole_cycle(life, "June")
    mailjet = life.town.outside.mailjet
    everything = mailjet.campaigns

    def shown_late(**asked: Any) -> Iterator[Sequence[MailjetCampaign]]:
        for page in everything(**asked):
            until = life.town.now - timedelta(seconds=5)
            yield [each for each in page if each.send_start_at is not None and each.send_start_at <= until]

    monkeypatch.setattr(mailjet, "campaigns", shown_late)

    for place in during_the_move(life, "while the add is done", part, "July"):
        life.lives(days=1.1)
        life.approve()
        life.sends(place, "July")
    life.lives(days=1.1)

    assert life.wrongs() == []
    assert life.broken() == []


# --- Three cycles ----------------------------------------------------------------------------------------


def test_in_three_cycles_whatever_we_change_everybody_mailable_gets_each_message_once(life: Life) -> None:
    # June: a run is taken back after the first round, a decision is approved after the last one
    life.sends(0, "June")
    life.lives(days=1.1)
    life.approve()
    life.takes_back(the_run_of("June", life))
    life.lives(days=1.1)
    life.approve()
    life.sends(1, "June")
    life.lives(days=1.1)
    [late] = life.waiting()
    life.sends(2, "June")
    review.approve(late.pk, by=life.ana, now=life.town.now)
    life.lives(days=1.1)

    # July begins in the middle of a move; its other rounds are scheduled
    rest = during_the_move(life, "between verification and removal", Part.SOURCE, "July")
    for days, place in zip((2, 4), rest, strict=True):
        life.plans(place, "July", days=days)
    for contact in life.members(rest[0])[-4:]:
        life.town.standin.control.set_mailbox(contact, Mailbox.DEAD)
    life.lives(days=3.1)
    life.approve()
    life.lives(days=2.1)

    # August begins in the middle of another
    for place in during_the_move(life, "while the removal is done", Part.SOURCE, "August"):
        life.lives(days=1.1)
        life.approve()
        life.sends(place, "August")
    life.lives(days=1.1)
    life.approve()

    assert life.wrongs() == []
    assert life.broken() == []
    assert kinds_done() >= {
        BatchKind.SUPPRESS,
        BatchKind.PLACE,
        BatchKind.MOVE_IN,
        BatchKind.MOVE_OUT,
        BatchKind.RESTORE,
        BatchKind.RELEASE,
    }


# --- Any three cycles ------------------------------------------------------------------------------------

NATURES = [Mailbox.GOOD] * 14 + [
    Mailbox.DEAD,
    Mailbox.DEAD,
    Mailbox.INACTIVE,
    Mailbox.FULL,
    Mailbox.FADING,
    Mailbox.CLICKING,
    Mailbox.UNSUBSCRIBING,
]


@pytest.mark.skipif(not CHAOS, reason="worlds take a quarter of a minute each: make chaos")
@pytest.mark.parametrize("seed", range(1, 13))
def test_in_any_world_everybody_mailable_gets_each_message_once(life: Life, seed: int) -> None:
    chance = Random(seed)
    for contact in (*range(1, 43), *WAITING):
        life.town.standin.control.set_mailbox(contact, chance.choice(NATURES))
    for subject in ("June", "July", "August"):
        for place in chance.sample(range(3), 3):
            somebody_sends(life, chance, place, subject)
            if chance.random() < 0.3:
                somebody_takes_a_run_back(life, chance)
            life.lives(days=chance.choice([1.1, 2.1, 3.1]))
            if chance.random() < 0.7:
                life.approve()
    life.lives(days=2.1)

    assert life.wrongs() == []
    assert life.broken() == []


def somebody_sends(life: Life, chance: Random, place: int, subject: str) -> None:
    """At once, while we are at work on whatever was decided; or as it was planned before."""
    if chance.random() < 0.3:
        life.plans(place, subject, days=0.5)
        life.lives(days=1)
        return
    sent: list[int] = []

    def send() -> None:
        life.sends(place, subject)
        sent.append(place)

    life.town.while_we_ask(after_requests=chance.randint(1, 80), act=send)
    life.approve()
    if not sent:
        life.town.wire.meanwhile.clear()
        send()


def somebody_takes_a_run_back(life: Life, chance: Random) -> None:
    """Any that has changed something, if that is still possible."""
    changed = ListMaintenanceLog.objects.filter(status__in=FINISHED, batches__isnull=False).distinct()
    found = list(changed.order_by("pk"))
    if found:
        with suppress(NotAllowed):
            life.takes_back(chance.choice(found))


# --- What they share -------------------------------------------------------------------------------------


def the_run_of(subject: str, life: Life) -> ListMaintenanceLog:
    """The maintenance of the cycle's latest round."""
    draft = life.cycles[subject][-1]
    return ListMaintenanceLog.objects.get(kind=RunKind.POST_CAMPAIGN, campaign__mailjet_draft_id=draft)


def kinds_done() -> set[str]:
    done = ListOperation.objects.filter(applied_at__isnull=False)
    return set(done.values_list("kind", flat=True))
