"""Who got which message of a cycle, by what the stand-in itself sent and logged (P5).

Nothing of our own tables is looked at. A cycle is given by Mailjet's ids of its rounds. Whom a person moved,
added or took off at Mailjet is nobody's fault; neither is whoever said no, or was suppressed, before the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.workflows.ledger import ABSENT, SUBSCRIBED, UNSUBSCRIBED, Lists
from tests.workflows.scene import StandIn

Place = tuple[int, int]
"""A contact on a list."""


@dataclass(frozen=True)
class Send:
    """A campaign as the stand-in sent it."""

    campaign: int
    list: int
    at: float
    to: Sequence[int]
    """Contacts, one for each message."""


@dataclass(frozen=True)
class Line:
    """A line of the stand-in's log of changes."""

    place: Place
    before: str
    after: str
    at: float
    by_person: bool


@dataclass(frozen=True)
class Truth:
    """Everything that was sent and changed, and how everybody stands now."""

    lists: Lists
    sends: Mapping[int, Send]
    lines: Sequence[Line]
    now: Mapping[Place, str]
    silent: Collection[int]
    """Excluded or erased, or have complained."""

    def standings(self, *, at: float) -> Mapping[Place, str]:
        """How everybody stood then: today's standings, with all that changed since taken back."""
        found = dict(self.now)
        for line in reversed(self.lines):
            if line.at > at:
                found[line.place] = line.before
        return found

    def wrongs(self, rounds: Collection[int]) -> Iterator[str]:
        """What is wrong about the cycle that these campaigns made."""
        sends = sorted((self.sends[key] for key in rounds), key=lambda send: send.at)
        began, ended = sends[0].at, sends[-1].at
        got = Counter(contact for send in sends for contact in send.to)
        theirs = {line.place[0] for line in self.lines if line.by_person and line.at <= ended}
        for contact, times in sorted(got.items()):
            if times > 1 and contact not in theirs:
                through = self._through(contact, sends)
                yield f"P5: contact {contact} got {times} messages, of {through}: {self._path(contact)}"
        for contact in sorted(self._owed(sends, began=began, ended=ended) - theirs):
            if not got[contact]:
                yield f"P5: contact {contact} got no message: {self._path(contact)}"

    def _owed(self, sends: Sequence[Send], *, began: float, ended: float) -> set[int]:
        """Who was mailable through a list of the cycle when it began, and at every instant until its end."""
        reached = {send.list for send in sends}
        start = self.standings(at=began)
        active = {who for (who, where), how in start.items() if how == SUBSCRIBED and where in reached}
        return active - self._not_mailable(start, began=began, ended=ended) - set(self.silent)

    def _not_mailable(self, start: Mapping[Place, str], *, began: float, ended: float) -> set[int]:
        """Who was suppressed or had opted out at some time of the cycle."""
        meanwhile = [(line.place, line.after) for line in self.lines if began < line.at <= ended]
        return {
            who
            for (who, where), how in [*start.items(), *meanwhile]
            if how == UNSUBSCRIBED or (where == self.lists.suppression and how != ABSENT)
        }

    def _through(self, contact: int, sends: Sequence[Send]) -> str:
        return ", ".join(str(send.list) for send in sends if contact in send.to)

    def _path(self, contact: int) -> str:
        lines = [line for line in self.lines if line.place[0] == contact]
        return "; ".join(f"{line.place[1]} {line.before} → {line.after} at {line.at:.0f}" for line in lines)


def truth(standin: StandIn, *, lists: Lists) -> Truth:
    """What the stand-in knows now."""
    with standin.serving.world.transaction() as db:
        campaigns = db.execute("SELECT id, list_id, send_start_at FROM campaigns").fetchall()
        messages = db.execute("SELECT campaign_id, contact_id FROM messages").fetchall()
        changes = db.execute("SELECT * FROM changes ORDER BY id").fetchall()
        members = db.execute("SELECT contact_id, list_id, unsubscribed FROM memberships").fetchall()
        silent = db.execute(
            "SELECT id FROM contacts WHERE excluded OR complained OR email LIKE '%@domain.invalid'"
        ).fetchall()
    return Truth(
        lists=lists,
        sends={
            row["id"]: Send(
                campaign=row["id"],
                list=row["list_id"],
                at=row["send_start_at"],
                to=[each["contact_id"] for each in messages if each["campaign_id"] == row["id"]],
            )
            for row in campaigns
        },
        lines=[
            Line(
                place=(row["contact_id"], row["list_id"]),
                before=row["before"],
                after=row["after"],
                at=row["at"],
                by_person=row["job_id"] is None and row["list_id"] != lists.master,
            )
            for row in changes
        ],
        now={
            (row["contact_id"], row["list_id"]): UNSUBSCRIBED if row["unsubscribed"] else SUBSCRIBED
            for row in members
        },
        silent={row["id"] for row in silent},
    )
