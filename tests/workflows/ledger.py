"""Keeps account of every change at the stand-in, and says which promise one of ours has broken.

It judges by what Mailjet itself shows and logs: which job of ours changed what, and what Mailjet knew when
that job was asked for. Nothing of our own tables is looked at. Who was changed by a person less than ten
minutes before our request is nobody's fault: no reading can be younger than itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

SUBSCRIBED, UNSUBSCRIBED, ABSENT = "subscribed", "unsubscribed", "absent"
KNOWN_AFTER = 600.0
"""Seconds: what Mailjet has shown for so long, whoever changes lists must know."""
LONG_AGO = float("-inf")


@dataclass(frozen=True)
class Change:
    """A line of the stand-in's log. `asked_at`: when we asked for it; None where a person did it."""

    contact: int
    list: int
    before: str
    after: str
    at: float
    asked_at: float | None

    @property
    def is_ours(self) -> bool:
        return self.asked_at is not None


@dataclass(frozen=True)
class Standing:
    """How a contact stands on a list, since when, and whether we brought it about, asked when."""

    how: str
    since: float
    asked_at: float | None = None


@dataclass(frozen=True)
class Lists:
    """What each list is for."""

    master: int
    campaign: Sequence[int]
    suppression: int


@dataclass
class Ledger:
    """Who stands where, and what we did wrong."""

    lists: Lists
    standings: dict[tuple[int, int], Standing] = field(default_factory=dict)
    excluded: dict[int, float] = field(default_factory=dict)
    complained: dict[int, float] = field(default_factory=dict)
    erased: set[int] = field(default_factory=set)
    broken: list[str] = field(default_factory=list)

    @classmethod
    def opened(cls, lists: Lists, members: Mapping[int, Mapping[int, bool]]) -> Ledger:
        """With what every list shows at the beginning: its members, and whether unsubscribed."""
        ledger = cls(lists)
        for list_id, found in members.items():
            for contact, unsubscribed in found.items():
                how = UNSUBSCRIBED if unsubscribed else SUBSCRIBED
                ledger.standings[contact, list_id] = Standing(how, LONG_AGO)
        return ledger

    def enter(self, changes: Iterable[Change]) -> None:
        """Take in changes in the order in which they happened; what breaks a promise is noted."""
        for change in changes:
            if change.asked_at is not None:
                self.broken += [f"{words}: {change}" for words in self._wrongs(change, change.asked_at)]
            self.standings[change.contact, change.list] = Standing(change.after, change.at, change.asked_at)

    def _wrongs(self, change: Change, asked_at: float) -> Iterator[str]:
        known = asked_at - KNOWN_AFTER
        if change.list == self.lists.master:
            yield "P3: we changed the master list"
        if (change.before, change.after) == (UNSUBSCRIBED, SUBSCRIBED):
            yield "P2: we subscribed somebody again"
        if change.after == SUBSCRIBED and change.list in self.lists.campaign:
            yield from (
                f"P2: we added {who}" for who in self._must_not_be_added(change.contact, before=known)
            )
        if change.before == UNSUBSCRIBED and change.after == ABSENT and not self._is_remembered(change):
            yield "P2: we took away the last trace of an opt-out"

    def _must_not_be_added(self, contact: int, *, before: float) -> Iterator[str]:
        if self.excluded.get(contact, float("inf")) <= before:
            yield "somebody excluded"
        if self.complained.get(contact, float("inf")) <= before:
            yield "somebody who complained"
        if self._where(contact, UNSUBSCRIBED, before=before):
            yield "somebody who had opted out"
        if not self.active(contact) and self._stood(contact, self.lists.master, UNSUBSCRIBED, before=before):
            yield "somebody who had opted out where new contacts come from"
        if (contact, self.lists.suppression) in self._where(contact, SUBSCRIBED, before=before):
            yield "somebody suppressed (P4)"

    def _is_remembered(self, change: Change) -> bool:
        """Whether another list still says so, or nobody could have known."""
        if change.contact in self.complained:  # goes onto the suppression list, by the same request
            return True
        here = self.standings[change.contact, change.list]
        if change.asked_at is not None and here.since > change.asked_at - KNOWN_AFTER:
            return True
        elsewhere = self._where(change.contact, UNSUBSCRIBED, before=change.at)
        return bool(elsewhere - {(change.contact, change.list)})

    def _where(self, contact: int, how: str, *, before: float) -> set[tuple[int, int]]:
        """Where else than on the master list a contact stands so, and has for long enough.

        The master list's own opt-outs are read before a placement, and else every half hour.
        """
        return {
            (contact, each)
            for each in (*self.lists.campaign, self.lists.suppression)
            if self._stood(contact, each, how, before=before)
        }

    def _stood(self, contact: int, list_id: int, how: str, *, before: float) -> bool:
        found = self.standings.get((contact, list_id))
        return found is not None and found.how == how and found.since <= before

    # --- At rest -------------------------------------------------------------------------------------

    def at_rest(self) -> list[str]:
        """What we left behind that must not be, once everything of ours has ended."""
        contacts = sorted({contact for contact, _ in self.standings} - self.erased)
        return [words for contact in contacts for words in (*self._left(contact), *self._ignored(contact))]

    def active(self, contact: int) -> dict[int, Standing]:
        """The campaign lists whose sends reach a contact."""
        return {
            each: found
            for each in self.lists.campaign
            if (found := self.standings.get((contact, each))) and found.how == SUBSCRIBED
        }

    def opted_out(self, contact: int) -> bool:
        """Whether Mailjet shows an opt-out of the contact, on any list."""
        return any(who == contact and each.how == UNSUBSCRIBED for (who, _), each in self.standings.items())

    def _ignored(self, contact: int) -> Iterator[str]:
        """What a contact said and is not so."""
        if self.opted_out(contact) and self.active(contact):
            yield f"P2: contact {contact} opted out and is mailed through {sorted(self.active(contact))}"
        here = [each for each in self.lists.campaign if self._is_on(contact, each)]
        if contact in self.complained and here:
            yield f"P2: contact {contact} complained and is on {here}"

    def _is_on(self, contact: int, list_id: int) -> bool:
        found = self.standings.get((contact, list_id))
        return found is not None and found.how != ABSENT

    def _left(self, contact: int) -> Iterator[str]:
        places = dict(self.active(contact))
        suppressed = self.standings.get((contact, self.lists.suppression))
        if suppressed is not None and suppressed.how != ABSENT:
            places[self.lists.suppression] = suppressed
        for mine, ours in places.items():
            if ours.asked_at is None:
                continue
            for other, there in places.items():
                if other != mine and there.since <= ours.asked_at - KNOWN_AFTER:
                    yield f"P4: contact {contact} is on {other}, and we put them on {mine}"
