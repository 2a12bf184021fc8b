"""A small town of readers at the stand-in, for properties: time stands still unless somebody moves it.

People change things at Mailjet, between our requests or in the middle of them; requests go wrong; our
process dies. Everything is decided by whoever asks for it, so that the same acts end in the same town.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest.mock import patch

import httpx
from django.conf import settings
from django.db import connection

from integrations import tls
from integrations.mailjet import Budget, Mailjet
from integrations.sandbox.clock import Clock as Ticking
from integrations.sandbox.mailjet_hooks import EVENT_TYPES
from integrations.sandbox.outcomes import Mailbox
from listmanagement.models import ListMaintenanceLog, MirrorScan
from listmanagement.outside import Outside
from listmanagement.workflows import side_by_side as beside
from tests.factories import CAMPAIGNS, MASTER, NOON, SUPPRESSION
from tests.integrations.sandbox_scenes import signed_in
from tests.integrations.scripted import Server, serving
from tests.workflows import scene as scenes
from tests.workflows.ledger import Change, Ledger, Lists
from tests.workflows.scene import Clock, StandIn

LISTS = Lists(MASTER, CAMPAIGNS, SUPPRESSION)
READERS = range(1, 43)
ON = {CAMPAIGNS[0]: range(1, 15), CAMPAIGNS[1]: range(15, 24), CAMPAIGNS[2]: range(24, 34)}
WAITING = range(34, 40)  # on the master list alone
SUPPRESSED = range(40, 43)
OPTED_OUT, EXCLUDED = 3, 16


class Still(Ticking):
    """Time that only moves when it is moved."""

    def __init__(self, at: datetime) -> None:
        super().__init__(offset=0.0)
        self._start = at.timestamp()

    def now(self) -> float:
        return self._start + self.offset

    def monotonic(self) -> float:
        return self.offset


class Unlimited(Budget):
    """Hours pass in a moment here: no real minute bounds the requests."""

    def acquire(self, *, background: bool) -> None:
        del background


class Killed(BaseException):
    """The process is gone: nothing in it runs any more."""


@dataclass
class Wire(httpx.BaseTransport):
    """The way to Mailjet: people act while a request is on it, and our process may die there."""

    inner: httpx.BaseTransport = field(
        default_factory=lambda: httpx.HTTPTransport(trust_env=False, verify=tls.trusted())
    )
    requests: int = 0
    meanwhile: dict[int, Callable[[], None]] = field(default_factory=dict)
    """What happens before the request with this number gets there."""
    expected: list[tuple[Callable[[httpx.Request], bool], Callable[[], None]]] = field(default_factory=list)
    """What happens before the first request that answers to a description, once."""
    dies_before: int | None = None
    dies_after: int | None = None
    is_dead: bool = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.is_dead:
            raise Killed
        self.requests += 1
        if (act := self.meanwhile.pop(self.requests, None)) is not None:
            act()
        for awaited in [each for each in self.expected if each[0](request)]:
            self.expected.remove(awaited)
            awaited[1]()
        self._die(self.dies_before)
        response = self.inner.handle_request(request)
        response.read()
        self._die(self.dies_after)
        return response

    def _die(self, at: int | None) -> None:
        if self.requests == at:
            self.is_dead = True
            raise Killed

    def live_again(self) -> None:
        """Another process takes over; what was to happen meanwhile is over."""
        self.dies_before = self.dies_after = None
        self.is_dead = False
        self.meanwhile.clear()
        self.expected.clear()

    def close(self) -> None:
        self.inner.close()

    def statement(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        """Around each statement of the process: a dead one sends none."""
        if self.is_dead:
            raise Killed
        return execute(sql, params, many, context)


@dataclass
class Town:
    """The stand-in, our clients of it, and the account that is kept of both."""

    standin: StandIn
    clock: Clock
    wire: Wire
    outside: Outside
    people: httpx.Client
    ledger: Ledger
    mailbox: Server
    """Where Mailjet's events arrive, until we are told of them."""
    seen: int = 0
    once_excluded: set[int] = field(default_factory=set)
    """Whom people excluded from campaigns, or let in again, ever: Mailjet shows only who is so now."""

    @property
    def now(self) -> datetime:
        return self.clock()

    def passes(self, **time: float) -> None:
        self.clock.passes(timedelta(**time))

    # --- People at Mailjet ---------------------------------------------------------------------------

    def act(self, action: str, contact: int, list_id: int) -> None:
        """Somebody changes a membership on Mailjet's own pages."""
        self.standin.control.act(contact_id=contact, list_id=list_id, action=action)

    def exclude(self, contact: int, *, excluded: bool) -> None:
        """Somebody excludes a contact from all campaigns, or takes that back."""
        self.once_excluded.add(contact)
        self._ask("PUT", f"REST/contact/{contact}", IsExcludedFromCampaigns=excluded)

    def erase(self, contact: int) -> None:
        """Somebody has a contact deleted for good, as the law wants it."""
        self.people.delete(f"/v4/contacts/{contact}").raise_for_status()

    def registers(self, email: str) -> int:
        """Somebody signs up: a contact on the master list. Its id, or 0 where the address is known."""
        made = self.people.post("/v3/REST/contact", json={"Email": email})
        if "already exists" in made.text:  # an old message's link has made it anew
            return 0
        made.raise_for_status()
        contact = int(made.json()["Data"][0]["ID"])
        self.act("addnoforce", contact, MASTER)
        return contact

    def reads_mail_as(self, mailbox: Mailbox, contact: int) -> bool:
        """The contact's last message fares so now; False where there was none."""
        with self.standin.serving.world.transaction() as db:
            row = db.execute("SELECT max(id) FROM messages WHERE contact_id = ?", (contact,)).fetchone()
        if row[0] is None:
            return False
        self.standin.control.happen(row[0], mailbox)
        return True

    def send(self, list_id: int, *, subject: str = "Hello") -> int:
        """Somebody sends a campaign to a list, now. Its id, or 0 where nobody is there to read it."""
        draft = self._ask(
            "POST",
            "REST/campaigndraft",
            Locale="en_US",
            SenderName="News",
            SenderEmail="news@sender.example.com",
            Subject=subject,
            ContactsListID=list_id,
            Title=f"news {self.now:%d.%m. %H:%M:%S}",  # two of one name would carry one message
        )["ID"]
        self._ask("POST", f"REST/campaigndraft/{draft}/detailcontent", **{"Html-part": "<p>Hello</p>"})
        sent = self.people.post(f"/v3/REST/campaigndraft/{draft}/send")
        if sent.status_code == httpx.codes.BAD_REQUEST:  # no active subscriber
            return 0
        sent.raise_for_status()
        self.passes(seconds=5)
        found = self.people.get(f"/v3/REST/campaign/mj.nl={draft}")
        found.raise_for_status()
        return int(found.json()["Data"][0]["ID"])

    def _ask(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        response = self.people.request(method, f"/v3/{path}", json=body)
        if response.status_code == httpx.codes.NOT_MODIFIED:
            return {}
        response.raise_for_status()
        return dict(response.json()["Data"][0])

    def wants(self, event: str) -> None:
        """Mailjet is to tell of a kind of event, grouped."""
        self._ask("POST", "REST/eventcallbackurl", EventType=event, Url=self.mailbox.url, Version=2)

    def tells(self, *, again: bool = False) -> list[bytes]:
        """What Mailjet tells now of what happened, in bodies as they come; `again`: all that it ever told."""
        if again:
            self.standin.control.replay()
        self.standin.control.deliver()
        told = [heard.body for heard in self.mailbox.heard]
        self.mailbox.heard.clear()
        return told

    # --- What Mailjet shows --------------------------------------------------------------------------

    def keep_account(self) -> None:
        """Bring the ledger up to date."""
        with self.standin.serving.world.transaction() as db:
            rows = db.execute(
                "SELECT changes.*, requested_at FROM changes LEFT JOIN jobs ON jobs.id = job_id"
                " WHERE changes.id > ? ORDER BY changes.id",
                (self.seen,),
            ).fetchall()
            contacts = db.execute("SELECT * FROM contacts WHERE excluded OR complained").fetchall()
            spam = dict(
                db.execute(
                    "SELECT contact_id, min(at) FROM events JOIN messages ON messages.id = message_id"
                    " WHERE kind = 'spam' AND done GROUP BY contact_id"
                ).fetchall()
            )
            erased = db.execute("SELECT id FROM contacts WHERE email LIKE '%@domain.invalid'").fetchall()
        changes = [
            Change(
                contact=row["contact_id"],
                list=row["list_id"],
                before=row["before"],
                after=row["after"],
                at=row["at"],
                asked_at=row["requested_at"],
            )
            for row in rows
        ]
        self.ledger.excluded = {row["id"]: row["excluded_at"] for row in contacts if row["excluded"]}
        self.ledger.complained = {
            row["id"]: spam.get(row["id"], NOON.timestamp()) for row in contacts if row["complained"]
        }
        self.ledger.erased = {row["id"] for row in erased}
        self.ledger.enter(changes)
        self.seen = rows[-1]["id"] if rows else self.seen

    def members(self, list_id: int) -> dict[int, bool]:
        return self.standin.control.members(list_id)

    def forced(self) -> list[str]:
        """Requests for a job that would subscribe again whoever opted out. There must be none."""
        with self.standin.serving.world.transaction() as db:
            found = db.execute("SELECT work, ref_id FROM jobs").fetchall()
        return [row["work"] for row in found if "addforce" in row["work"]]

    def touched(self, list_id: int) -> bool:
        """Whether any job of ours named a list, whatever it did."""
        with self.standin.serving.world.transaction() as db:
            found = db.execute("SELECT work, ref_id FROM jobs").fetchall()
        return any(row["ref_id"] == list_id or f'"list_id": {list_id}' in row["work"] for row in found)

    # --- Our process ---------------------------------------------------------------------------------

    @contextmanager
    def our_process(self) -> Iterator[None]:
        """What we do in here is one process's work. It may be killed; then another one takes over."""
        try:
            with connection.execute_wrapper(self.wire.statement):
                yield
        except Killed:
            self.wire.live_again()
            past = datetime.now(tz=UTC) - timedelta(seconds=1)  # the town's clock does not move PostgreSQL's
            ListMaintenanceLog.objects.exclude(lease_until=None).update(lease_until=past)
            MirrorScan.objects.filter(busy_until__gt=past).update(busy_until=past)
            self.passes(seconds=20)

    def dies(self, *, after_requests: int, is_answered: bool) -> None:
        """Our process is killed around its n-th request from now, before it gets there or after it did."""
        at = self.wire.requests + after_requests
        self.wire.dies_before, self.wire.dies_after = (None, at) if is_answered else (at, None)

    def while_we_ask(self, *, after_requests: int, act: Callable[[], None]) -> None:
        """Before our n-th request from now gets to Mailjet, something happens there."""
        self.wire.meanwhile[self.wire.requests + after_requests] = act

    def at_the_last_of(
        self, asked: Sequence[Callable[[httpx.Request], bool]], act: Callable[[], None]
    ) -> None:
        """Something happens before the last of these requests, made one after the other, gets to Mailjet."""
        first, *later = asked
        then = partial(self.at_the_last_of, later, act) if later else act
        self.wire.expected.append((first, then))


@contextmanager
def a_town(
    standin: StandIn, *, seed: int, world: Mapping[str, Any] | None = None, **values: Any
) -> Iterator[Town]:
    """Everybody at home: three lists, a backlog, the suppressed, one opted out, one excluded; or another."""
    clock = Clock(standin.serving)
    still = Still(NOON)
    standin.serving.world.clock = still
    control = standin.control
    control.clear_faults()
    control.load(world or document())
    control.settings(**{**_SETTINGS, "seed": seed, **values})
    wire = Wire()
    with (
        Mailjet(
            base_url=standin.url,
            api_key=standin.serving.api_key,
            api_secret=standin.serving.api_secret,
            budget=Unlimited(),
            master_list_id=settings.MAILJET_MASTER_LIST_ID,
            timeout=10,
            sleep=scenes.no_sleep,
            transport=wire,
        ) as mailjet,
        signed_in(standin.serving) as people,
        serving() as mailbox,
        # A town's story is told by the numbers of its requests: side by side, each telling would be another.
        patch.object(beside, "AT_ONCE", 1),
    ):
        outside = Outside(mailjet=mailjet, slack=None, ask=None, configuration=scenes.configuration())
        members = {each: control.members(each) for each in (MASTER, *CAMPAIGNS, SUPPRESSION)}
        town = Town(standin, clock, wire, outside, people, Ledger.opened(LISTS, members), mailbox)
        for event in EVENT_TYPES:
            town.wants(event)
        yield town


_SETTINGS: dict[str, Any] = {
    "rate": 1_000_000,
    "job_seconds": 3.0,
    "campaign_lookup_seconds": 0.0,
    "dead_share": 0.2,
    "full_share": 0.05,
    "fading_share": 0.04,
    "blocked_elsewhere_share": 0.03,
    "unreachable_share": 0.03,
    "greylisting_share": 0.05,
    "complaint_share": 0.03,
    "unsubscription_share": 0.06,
    "click_share": 0.1,
    "unsub_adds_nonmember": False,
    "late_unsub_recreates": False,
    "unknown_address_creates": True,
    "webhooks_held": True,
}


def address(contact: int) -> str:
    return f"reader-{contact}@home-{contact % 7}.test"


def document() -> dict[str, Any]:
    """The town on the first day."""
    long_ago = (NOON - timedelta(days=300)).isoformat()
    memberships = [(contact, MASTER) for contact in READERS]
    memberships += [(contact, key) for key, members in ON.items() for contact in members]
    memberships += [(contact, SUPPRESSION) for contact in SUPPRESSED]
    return {
        "contacts": [
            {
                "id": contact,
                "email": address(contact),
                "created_at": long_ago,
                "excluded": contact == EXCLUDED,
                "excluded_at": long_ago if contact == EXCLUDED else None,
            }
            for contact in READERS
        ],
        "lists": [{"id": key, "name": f"list {key}"} for key in (MASTER, *CAMPAIGNS, SUPPRESSION)],
        "memberships": [
            {
                "id": n,
                "contact_id": contact,
                "list_id": key,
                "subscribed_at": long_ago,
                "unsubscribed": contact == OPTED_OUT and key != MASTER,
            }
            for n, (contact, key) in enumerate(memberships, 1)
        ],
    }
