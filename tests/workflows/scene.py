"""A small world in the database and at the stand-in, the time both tell, and a way to let runs go on.

The stand-in's clock is the only one: it starts at NOON and moves on by itself and by `passes`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.db import connection

from agents import by_rules
from integrations.dns import Dns
from integrations.mailjet import Action, Budget, Mailjet
from integrations.sandbox import Serving, serve
from integrations.sandbox.control import Control
from listmanagement import outside as outsides
from listmanagement.models import (
    FINISHED,
    CampaignSchedule,
    Contact,
    ContactList,
    ContactListMembership,
    DecisionKind,
    DecisionStatus,
    ItemAction,
    ListMaintenanceLog,
    RunStatus,
    Step,
)
from listmanagement.outside import Configuration, Outside, SharedBudget
from listmanagement.workflows import rotation, runs
from tests import factories
from tests.factories import NOON, Rotation

Answer = TypeVar("Answer")
Client = TypeVar("Client", bound=Mailjet)

COUNTS = {"sent": 9, "delivered": 5, "bounced": 4, "hard": 4, "not_attempted": 0, "open": 0, "kept": 0}


@dataclass(frozen=True)
class StandIn:
    """Mailjet on this machine."""

    serving: Serving
    control: Control

    @property
    def url(self) -> str:
        return self.serving.url

    def writes(self, *, since: datetime = NOON) -> list[str]:
        """The paths of all write requests to Mailjet that came in since, answered or not."""
        report, start = self.control.requests(), since.timestamp()
        is_whole = sum(report["by_service"].values()) == len(report["last"])
        assert is_whole or report["last"][0]["at"] < start, "too many requests to be kept one by one"
        return [each["path"] for each in report["last"] if each["method"] != "GET" and each["at"] > start]

    def actions(self) -> set[str]:
        """What the writes so far asked to be done, in Mailjet's words."""
        return set(self.control.requests()["actions"])

    def jobs(self) -> int:
        """How many jobs it accepted since its world was loaded."""
        return int(self.control.state()["counts"]["jobs"])

    def effects(self, since: int = 0) -> list[tuple[int, int, str, str]]:
        """Every change that a job made: contact, list, before, after."""
        rows = self.control.changes(since)
        return sorted(
            (row["contact_id"], row["list_id"], row["before"], row["after"]) for row in rows if row["job_id"]
        )


ALL_WELL = dict.fromkeys(
    (
        *("dead_share", "full_share", "fading_share", "blocked_elsewhere_share", "unreachable_share"),
        *("greylisting_share", "complaint_share", "unsubscription_share", "click_share", "open_share"),
    ),
    0.0,
)
"""Everybody takes their mail and does nothing, but whom a test names."""


@contextmanager
def stand_in(directory: Path) -> Iterator[StandIn]:
    """A stand-in at NOON whose jobs are done at once; our own rules answer in Gemini's place."""
    judge = lambda question: by_rules.reply(question.text)  # noqa: E731
    with serve(directory, judge=judge) as serving, Control(serving.url) as control:
        serving.world.clock.offset = NOON.timestamp() - datetime.now(tz=UTC).timestamp()
        control.settings(job_seconds=0.0, **ALL_WELL)
        yield StandIn(serving, control)


def assert_nobody_was_resubscribed(standin: StandIn) -> None:
    """Every write so far asked for nothing but what our own type allows."""
    assert standin.actions() <= set(Action), standin.actions()


@dataclass(frozen=True)
class Clock:
    """The stand-in's time, for us too."""

    serving: Serving

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(self.serving.world.clock.now(), tz=UTC)

    def in_days(self, days: float) -> datetime:
        """So many days from now."""
        return self() + timedelta(days=days)

    def passes(self, time: timedelta) -> None:
        """Let it be later, for everybody."""
        self.serving.world.advance(max(time.total_seconds(), 0.0))


def configuration(**values: Any) -> Configuration:
    """What the test settings say; a test names what differs."""
    return replace(outsides.configuration(), **{"mailjet_is_stand_in": True, **values})


def no_sleep(seconds: float) -> None:
    """A client's pause between two tries of a read, without the time it takes."""


def no_wait(seconds: float) -> None:
    """A test makes fewer requests than a minute allows."""
    raise AssertionError(f"the budget of requests is used up, for {seconds:.0f} s")


def resolver(standin: StandIn) -> Dns:
    """A client of the stand-in's resolver that soon gives up."""
    host, _, port = standin.serving.resolver.rpartition(":")
    return Dns(resolver=(host, int(port)), try_seconds=0.2, question_seconds=0.5)


@contextmanager
def connect(standin: StandIn, *, budget: Budget | None = None, timeout: float = 10.0) -> Iterator[Mailjet]:
    """A client of the stand-in under the real shared budget."""
    with connect_as(Mailjet, standin, budget=budget, timeout=timeout) as mailjet:
        yield mailjet


@contextmanager
def connect_as(
    kind: type[Client], standin: StandIn, *, budget: Budget | None = None, timeout: float = 10.0
) -> Iterator[Client]:
    """A client of a kind of its own: one that something happens to."""
    with kind(
        base_url=standin.url,
        api_key=standin.serving.api_key,
        api_secret=standin.serving.api_secret,
        budget=budget or SharedBudget(per_minute=300, sleep=no_wait),
        master_list_id=settings.MAILJET_MASTER_LIST_ID,
        timeout=timeout,
        sleep=no_sleep,
    ) as mailjet:
        yield mailjet


# --- The world -------------------------------------------------------------------------------------------


@dataclass
class Scene:
    """Everything a workflow touches, small."""

    standin: StandIn
    clock: Clock
    outside: Outside
    lists: Rotation

    @property
    def control(self) -> Control:
        return self.standin.control

    def with_mailjet(self, mailjet: Mailjet) -> Outside:
        """The clients, with another one for Mailjet."""
        return replace(self.outside, mailjet=mailjet)

    def publish(self) -> None:
        """Make the stand-in's world what the database says. Its change log starts anew."""
        self.control.load(document())

    def publish_with(self, campaign: CampaignSchedule, *, bounced: Sequence[Contact]) -> None:
        """The same, with a sent campaign: every member of its list has a message, some bounced hard."""
        assert campaign.started_at is not None
        assert campaign.ended_at is not None
        recipients = campaign.list.memberships.current().values_list("contact_id", flat=True)
        sent = {
            "id": campaign.mailjet_campaign_id,
            "draft_id": 1,
            "list_id": campaign.list.mailjet_id,
            "subject": "Hello",
            "send_start_at": campaign.started_at.isoformat(),
            "send_end_at": campaign.ended_at.isoformat(),
        }
        failed = {contact.pk for contact in bounced}
        messages = [
            {
                "id": 2**53 + n,
                "campaign_id": campaign.mailjet_campaign_id,
                "contact_id": pk,
                "status": "hardbounced" if pk in failed else "sent",
                "state_id": 1 if pk in failed else None,
                "state_permanent": pk in failed,
                "arrived_at": campaign.started_at.isoformat(),
            }
            for n, pk in enumerate(recipients, 1)
        ]
        self.control.load({**document(), "campaigns": [sent], "messages": messages})

    def members(self, contact_list: ContactList) -> dict[int, bool]:
        """Who is on a list at Mailjet, and whether unsubscribed there."""
        return self.control.members(contact_list.mailjet_id)

    def a_person(self, action: str, contact: Contact, contact_list: ContactList) -> None:
        """Somebody changes a membership on Mailjet's own pages."""
        self.control.act(contact_id=contact.pk, list_id=contact_list.mailjet_id, action=action)

    def at_mailjet(self, sql: str, *values: object) -> None:
        """Something that no request does, in the stand-in's own tables."""
        with self.standin.serving.world.transaction() as db:
            db.execute(sql, values)

    def go_on(self, run: ListMaintenanceLog, *, tries: int = 60) -> ListMaintenanceLog:
        """Sweep, and let each wait pass, until the run has ended or waits for a person."""
        return self.go_on_while(run, lambda: True, tries=tries)

    def go_on_while(
        self, run: ListMaintenanceLog, more: Callable[[], bool], *, tries: int = 60
    ) -> ListMaintenanceLog:
        """The same, but only while there should be more."""
        for _ in range(tries):
            if not more():
                return run
            runs.sweep(outside=self.outside, clock=self.clock)
            run.refresh_from_db()
            if run.status in FINISHED or run.status == RunStatus.WAITING_FOR_REVIEW:
                return run
            if run.next_at is not None and more():
                self.clock.passes(run.next_at - self.clock())
        raise AssertionError(f"run {run.pk} still stands at {run.step}, {run.status}: {run.waits_for}")


def document() -> dict[str, Any]:
    """The database's contacts, lists and current memberships in the stand-in's form."""
    memberships = ContactListMembership.objects.current().select_related("list").order_by("list", "rank")
    return {
        "contacts": [
            {
                "id": contact.pk,
                "email": contact.email,
                "created_at": (contact.registered_at or NOON).isoformat(),
                "excluded": contact.excluded,
                "complained": contact.complained_at is not None,
            }
            for contact in Contact.objects.filter(email__isnull=False)
        ],
        "lists": [
            {"id": each.mailjet_id, "name": each.name, "is_deleted": each.is_deleted}
            for each in ContactList.objects.all()
        ],
        "memberships": [
            {
                "id": 1_000_000 + each.pk,
                "contact_id": each.contact_id,
                "list_id": each.list.mailjet_id,
                "subscribed_at": each.since.isoformat(),
                "unsubscribed": each.unsubscribed,
            }
            for each in memberships
            if not each.list.is_deleted
        ],
    }


def people(number: int, *, on: Collection[ContactList]) -> Sequence[Contact]:
    """So many mailable contacts, each at the tail of each of these lists."""
    found = factories.contacts(number)
    for contact_list in on:
        factories.join(contact_list, found)
    return found


# --- Runs with something to execute ------------------------------------------------------------------------


def a_run_to_execute(step: Step = Step.SUPPRESS, **columns: Any) -> ListMaintenanceLog:
    """A run whose analysis is done: the step given is the next."""
    given = {
        "campaign": columns.pop("campaign", None) or factories.a_campaign(),
        "step": step,
        "state_before": rotation.state(),
        "counts": {**COUNTS, "classes": {}, "moves_deferred": 0, "backlog": 0},
        **columns,
    }
    return factories.a_run(**given)


def to_suppress(run: ListMaintenanceLog, contacts: Sequence[Contact], *, source: ContactList) -> None:
    """The run has a decision, approved, to suppress these members of a list."""
    decision = factories.a_decision(run=run, status=DecisionStatus.APPROVED)
    group = factories.a_group(decision=decision, contacts=len(contacts))
    for contact in contacts:
        factories.an_item(group=group, contact=contact, source_list=source)


def to_place(run: ListMaintenanceLog, contacts: Sequence[Contact], *, target: ContactList) -> None:
    """The run has a decision, approved, to place these contacts of the backlog."""
    group = _rebalancing(run, ItemAction.PLACE, contacts)
    for contact in contacts:
        factories.an_item(group=group, contact=contact, target_list=target)


def to_move(
    run: ListMaintenanceLog, contacts: Sequence[Contact], *, source: ContactList, target: ContactList
) -> None:
    """The run has a decision, approved, to move these contacts from one list to another."""
    group = _rebalancing(run, ItemAction.MOVE, contacts)
    for contact in contacts:
        factories.an_item(group=group, contact=contact, source_list=source, target_list=target)


def _rebalancing(run: ListMaintenanceLog, action: ItemAction, contacts: Sequence[Contact]) -> Any:
    decision = run.decisions.filter(kind=DecisionKind.REBALANCING).first() or factories.a_decision(
        run=run, kind=DecisionKind.REBALANCING, status=DecisionStatus.APPROVED
    )
    return factories.a_group(decision=decision, action=action, contacts=len(contacts))


# --- Threads ---------------------------------------------------------------------------------------------


def together(number: int, act: Callable[[], Answer]) -> list[Answer]:
    """What so many threads got that did the same at once, each on a connection of its own."""
    ready = threading.Barrier(number)

    def alone() -> Answer:
        ready.wait(timeout=10)
        try:
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(number) as threads:
        return [each.result(timeout=60) for each in [threads.submit(alone) for _ in range(number)]]


def in_the_background(act: Callable[[], Answer]) -> Future[Answer]:
    """What a thread of its own will have got."""
    found: Future[Answer] = Future()

    def alone() -> None:
        try:
            found.set_result(act())
        except BaseException as error:  # noqa: BLE001  (handed to whoever asks for the result)
            found.set_exception(error)
        finally:
            connection.close()

    threading.Thread(target=alone, daemon=True).start()
    return found


def wait_until(seen: Callable[[], bool], *, seconds: float = 10.0) -> None:
    """Look again and again until it is so; fail when it takes too long."""
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, f"not seen within {seconds:g} s"
        time.sleep(0.01)
