"""How other systems stop mailing somebody, by their documented defaults. Each hears what Mailjet reports.

Where a system counts bounces of mailings, Mailjet's report stands for its bounce mail. Each counts a message
once, see `Once`, which is kinder to the others than their own mail handling: Mailjet repeats events.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from listmanagement.domain.bounces import Outcome
from listmanagement.simulation.mail import GREYLISTED, Report


class Policy(Protocol):
    """Somebody who hears of each message's end and says who is not to be mailed. Times are days."""

    suppressed: set[int]
    """Contacts that are not mailed now. Whoever complained is left out by everybody, and not in it."""

    def hear(self, report: Report) -> None:
        """One message has ended."""
        ...

    def wake(self, now: float) -> None:
        """A day has begun. Called once a day, after everything heard until then."""
        ...

    @property
    def asked(self) -> int:
        """How many things people were asked to decide."""
        ...

    @property
    def runs(self) -> int:
        """How often it looked at a campaign with people standing by; 0 for whoever never asks."""
        ...


_DOMAIN, _INVALID, _INACTIVE, _FULL = (4, 5), 1, 2, 3


def is_bounce(report: Report) -> bool:
    """Whether a server refused it. What Mailjet did not even try is no bounce to anybody."""
    return report.outcome is Outcome.BOUNCED


class Once:
    """A policy that hears of each message once, however often Mailjet tells it."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._heard: set[int] = set()
        self.suppressed = policy.suppressed

    def hear(self, report: Report) -> None:
        """Pass on what is new."""
        if report.message_id not in self._heard:
            self._heard.add(report.message_id)
            self._policy.hear(report)

    def wake(self, now: float) -> None:
        """A day has begun."""
        self._policy.wake(now)

    @property
    def asked(self) -> int:
        """As many as the policy itself."""
        return self._policy.asked

    @property
    def runs(self) -> int:
        """As many as the policy itself."""
        return self._policy.runs


@dataclass
class _NobodyAsks:
    suppressed: set[int] = field(default_factory=set)

    @property
    def asked(self) -> int:
        """Nothing: it decides alone."""
        return 0

    @property
    def runs(self) -> int:
        """None with people."""
        return 0

    def wake(self, now: float) -> None:
        """Time alone changes nothing."""


class MailjetAlone(_NobodyAsks):
    """No list hygiene: what Mailjet blocks by itself is all that is spared."""

    def hear(self, report: Report) -> None:
        """Nothing is made of it."""


@dataclass
class Thresholds(_NobodyAsks):
    """Suppressed at so many bounces, each class of report with a number of its own; None never counts.

    `reset` says that a delivery begins the count anew.
    """

    at: Callable[[Report], int | None] = lambda report: None
    kind: Callable[[Report], str] = lambda report: "bounce"
    reset: bool = False
    counts: defaultdict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def hear(self, report: Report) -> None:
        """Count a bounce; suppress at its number."""
        if report.outcome is Outcome.DELIVERED and self.reset:
            self.counts.pop(report.contact_id, None)
        limit = self.at(report) if is_bounce(report) else None
        if limit is None:
            return
        kind = self.kind(report)
        self.counts[report.contact_id][kind] += 1
        if self.counts[report.contact_id][kind] >= limit:
            self.suppressed.add(report.contact_id)


def _hard_now_soft_three(report: Report) -> int | None:
    """Hard at once; full, inactive and domain errors at once, too; anything else soft at three."""
    at_once = report.permanent or report.state in (_FULL, _INACTIVE, *_DOMAIN)
    return 1 if at_once else 3


def _civicrm(report: Report) -> int | None:
    """Its bounce types: Invalid 1, Inactive 1, others 3; greylisting is its Away, which counts to 30."""
    if report.state == GREYLISTED:
        return 30
    return 1 if report.state in (_INVALID, _INACTIVE) else 3


def _mailgun(report: Report) -> int | None:
    """Permanent failures of the mailbox or its domain."""
    return 1 if report.permanent and report.state in (_INVALID, _INACTIVE, *_DOMAIN) else None


@dataclass
class InARow(_NobodyAsks):
    """phpList: so many messages in a row that bounced, of whatever kind."""

    limit: int = 5
    row: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))

    def hear(self, report: Report) -> None:
        """A delivery ends the row."""
        if is_bounce(report):
            self.row[report.contact_id] += 1
            if self.row[report.contact_id] >= self.limit:
                self.suppressed.add(report.contact_id)
        elif report.outcome is Outcome.DELIVERED:
            self.row[report.contact_id] = 0


@dataclass
class Mailman(_NobodyAsks):
    """Mailman 3: a point a day with a lasting bounce, stopped at 5; a score 7 days old starts anew."""

    threshold: float = 5.0
    stale_days: float = 7.0
    scores: dict[int, tuple[float, float]] = field(default_factory=dict)

    def hear(self, report: Report) -> None:
        """One point a day at most."""
        if not (is_bounce(report) and report.permanent):
            return
        score, last = self.scores.get(report.contact_id, (0.0, -self.stale_days))
        if report.at - last >= self.stale_days:
            score = 0.0
        elif int(report.at) == int(last):
            return
        self.scores[report.contact_id] = (score + 1, report.at)
        if score + 1 >= self.threshold:
            self.suppressed.add(report.contact_id)


@dataclass
class Sympa(_NobodyAsks):
    """Sympa: a score of 75 (share of messages that bounced, halved for soft), 10 bounces over 10 days."""

    bounces: defaultdict[int, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    sent: defaultdict[int, list[float]] = field(default_factory=lambda: defaultdict(list))

    def hear(self, report: Report) -> None:
        """The score is of the time from the first bounce on."""
        if report.outcome is Outcome.NOT_ATTEMPTED:
            return
        self.sent[report.contact_id].append(report.sent_at)
        if not is_bounce(report):
            return
        own = self.bounces[report.contact_id]
        own.append((report.sent_at, 1.0 if report.permanent else 0.5))
        first = own[0][0]
        sent = sum(at >= first for at in self.sent[report.contact_id])
        score = 100 * sum(weight for _, weight in own) / sent
        if len(own) >= 10 and report.sent_at - first >= 10 and score >= 75:
            self.suppressed.add(report.contact_id)


@dataclass
class Mailchimp(_NobodyAsks):
    """Mailchimp: hard at once; soft at 7 campaigns, at 15 for whoever was ever active."""

    soft: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    active: set[int] = field(default_factory=set)

    def hear(self, report: Report) -> None:
        """A click is activity."""
        if report.clicked_at is not None:
            self.active.add(report.contact_id)
        if not is_bounce(report):
            return
        self.soft[report.contact_id] += not report.permanent
        limit = 15 if report.contact_id in self.active else 7
        if report.permanent or self.soft[report.contact_id] >= limit:
            self.suppressed.add(report.contact_id)


@dataclass
class Keila(_NobodyAsks):
    """Keila: hard at once; soft when 3 of the last 5 messages bounced softly."""

    last: defaultdict[int, deque[bool]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=5)))

    def hear(self, report: Report) -> None:
        """The last five messages that were tried."""
        if report.outcome is Outcome.NOT_ATTEMPTED:
            return
        own = self.last[report.contact_id]
        own.append(is_bounce(report) and not report.permanent)
        if (is_bounce(report) and report.permanent) or sum(own) >= 3:
            self.suppressed.add(report.contact_id)


@dataclass
class Postal(_NobodyAsks):
    """Postal: hard at once, lifted after 30 days."""

    until: dict[int, float] = field(default_factory=dict)
    days: float = 30.0

    def hear(self, report: Report) -> None:
        """Onto its suppression list, with a date."""
        if is_bounce(report) and report.permanent:
            self.until[report.contact_id] = report.heard_at + self.days
            self.suppressed.add(report.contact_id)

    def wake(self, now: float) -> None:
        """Whose date has come is mailed again."""
        for contact_id in [each for each, until in self.until.items() if until <= now]:
            del self.until[contact_id]
            self.suppressed.discard(contact_id)


@dataclass
class Salesforce(_NobodyAsks):
    """Salesforce Marketing Cloud: held after 3 bounces with 15 days between; a delivery begins anew."""

    bounces: defaultdict[int, list[float]] = field(default_factory=lambda: defaultdict(list))

    def hear(self, report: Report) -> None:
        """Hard and soft alike."""
        own = self.bounces[report.contact_id]
        if report.outcome is Outcome.DELIVERED:
            own.clear()
        elif is_bounce(report):
            own.append(report.at)
            if len(own) >= 3 and own[-1] - own[0] >= 15:
                self.suppressed.add(report.contact_id)


@dataclass
class Discourse(_NobodyAsks):
    """Discourse: hard +2, soft +1, −0.1 a send; stopped at 4, until 30 days after the last bounce."""

    scores: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))
    until: dict[int, float] = field(default_factory=dict)

    def hear(self, report: Report) -> None:
        """Each send wears the score off a little."""
        contact_id = report.contact_id
        self.scores[contact_id] = max(self.scores[contact_id] - 0.1, 0.0)
        if is_bounce(report):
            self.scores[contact_id] += 2 if report.permanent else 1
            self.until[contact_id] = report.heard_at + 30
            if self.scores[contact_id] >= 4:
                self.suppressed.add(contact_id)

    def wake(self, now: float) -> None:
        """After 30 days without a bounce the score is forgotten."""
        for contact_id in [each for each, until in self.until.items() if until <= now]:
            del self.until[contact_id]
            self.scores[contact_id] = 0.0
            self.suppressed.discard(contact_id)


OTHERS: Mapping[str, Callable[[], Policy]] = {
    "mailjet-alone": MailjetAlone,
    "hard-now-soft-three": lambda: Thresholds(
        at=_hard_now_soft_three, kind=lambda r: "once" if _hard_now_soft_three(r) == 1 else "soft", reset=True
    ),
    "listmonk": lambda: Thresholds(at=lambda r: 1 if r.permanent else None),
    "listmonk-hard-2": lambda: Thresholds(at=lambda r: 2 if r.permanent else None),
    "mailman-3": Mailman,
    "phplist": InARow,
    "phplist-3": lambda: InARow(limit=3),
    "sympa": Sympa,
    "mailchimp": Mailchimp,
    "mailgun": lambda: Thresholds(at=_mailgun),
    "civicrm": lambda: Thresholds(at=_civicrm, kind=lambda r: str(r.state)),
    "keila": Keila,
    "postal": Postal,
    "salesforce": Salesforce,
    "discourse": Discourse,
}
"""By the name the command knows them by. Defaults are those of each system's documentation."""
