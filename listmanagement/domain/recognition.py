"""Cycles are found, not declared: from all sends, past and scheduled, to what each one was.

`recognise` looks at the whole history each time and remembers nothing, so that a later send may put an
earlier one in another light. Only what a person labelled stands. The rules, in this order:

1.  *Test*: named one (see `is_named_test`), or gone to at most 10 people and 5 % of its list.
2.  *Message*: two sends carry the same one when they share the subject or the title, both normalised (see
    `words_of`), or the A/B test, and the later one comes at most 21 days after the message's first. When
    every list had it and it comes again to a second list, it is another message from the first of those
    sends on (people give each issue the same subject).
3.  A message that goes to two lists or more makes a *cycle*. Its first send to each list is the list's
    *round*; one that was called off before another took its place is a round that was called off. A further
    one is a *part* of the round where it went to somebody else (another segment, another version of the A/B
    test), else a *repeat*.
4.  A message that goes to one list only is a round *by order* where nothing speaks against it: people vary
    subjects. It joins the oldest cycle begun that has nothing for this list, if both fit into 21 days and no
    cycle began between them (more than `OVERLAP` before it). Otherwise such messages make a cycle among
    themselves, until one comes to a list that had its round, or another cycle begins. One that stays alone
    is the first round of the cycle that follows, where that has nothing for this list.
5.  Against it speak: a segment (it was not for the list); a cycle under way that had its round to this list
    and goes on for more than `OVERLAP` after it; and, for one that stayed alone, that another cycle begins
    after it. Then it is a *one-off*.
6.  A cycle begins with its first send. It ends *complete* when every list's round was sent, or called off by
    a person; *cut short* when the next one has begun and nothing of it is scheduled any more; *overdue* 21
    days after it began. Where most rounds share a message and one joined by order, being complete counts
    only then: the list's own round may still come, and contacts who were moved meanwhile would miss it.

What a person labelled is set aside from the rules, but for rounds: such a one carries the message of the send
it was said to go with, whatever its own names and however late, or begins a message of its own. Should two of
them claim one list of one cycle, the first is the round and the other its repeat.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property, lru_cache

from listmanagement.domain.cycle import LONGEST_CYCLE, RoundStatus

OVERLAP = timedelta(hours=36)
"""How long the last rounds of a cycle may still go out after the next one began: a day or so."""

HANDFUL = 10
"""Recipients up to which a send can have been a test for its size alone."""

HANDFUL_SHARE = 0.05
"""The share of its list up to which it was."""


class CampaignKind(StrEnum):
    """What a send was."""

    ROUND = "round"
    PART = "part"  # of a round: a further segment, or another version of an A/B test
    REPEAT = "repeat"
    ONE_OFF = "one_off"
    TEST = "test"


class CycleEnd(StrEnum):
    """How a cycle ended."""

    COMPLETE = "complete"  # every list's round was sent, or called off by a person
    CUT_SHORT = "cut_short"  # the next one began; the lists without a round were skipped
    OVERDUE = "overdue"  # after 21 days; somebody was told


class ImpossibleLabel(ValueError):
    """A person's label lacks what its kind needs."""


@dataclass(frozen=True)
class Send:
    """One send to one list, as far as it is known. Raises ImpossibleLabel."""

    key: int
    list_id: int
    status: RoundStatus
    at: datetime
    """When it began, else when it is or was scheduled to."""
    has_begun: bool = False
    """Whether somebody may have been addressed."""
    ended_at: datetime | None = None
    subject: str = ""
    title: str = ""
    """For people only, at Mailjet."""
    ab_test: int | None = None
    segment: int | None = None
    recipients: int | None = None
    """How many were addressed; None while that is not known for sure."""
    list_size: int | None = None
    """Mailable members of its list then."""
    by_person: CampaignKind | None = None
    """What a person said that it was."""
    goes_with: int | None = None
    """Which other send's cycle a person's round is of; None for a cycle of its own."""

    def __post_init__(self) -> None:
        if self.goes_with is not None and self.by_person is not CampaignKind.ROUND:
            raise ImpossibleLabel(f"Send {self.key} goes with another, but no person called it a round.")

    @property
    def is_live(self) -> bool:
        """Sent, being sent, or still to be."""
        return self.status in _LIVE

    @cached_property
    def tokens(self) -> frozenset[tuple[str, object]]:
        """By what its message is known: any one in common makes two sends carry the same."""
        found = {("subject", words_of(self.subject)), ("title", words_of(self.title)), ("a/b", self.ab_test)}
        return frozenset(token for token in found if token[1])

    @cached_property
    def firm_tokens(self) -> frozenset[int]:
        """The same by a person's word: a send goes with itself, and with what it was said to go with."""
        return frozenset({self.key} if self.goes_with is None else {self.key, self.goes_with})


_LIVE = frozenset({RoundStatus.SENT, RoundStatus.SENDING, RoundStatus.SCHEDULED})
_RANK = {RoundStatus.SENT: 0, RoundStatus.SENDING: 0, RoundStatus.SCHEDULED: 1, RoundStatus.CANCELLED: 3}


@dataclass(frozen=True)
class Label:
    """What a send was. `cycle` counts in `Recognition.cycles`; `of` is whose repeat or part it is."""

    kind: CampaignKind
    cycle: int | None = None
    round: int | None = None
    of: int | None = None


@dataclass(frozen=True)
class FoundCycle:
    """One cycle. `began_at` is None while its first send is only scheduled."""

    rounds: tuple[int, ...]
    """The sends that are its rounds, called off or not."""
    began_at: datetime | None
    ended_at: datetime | None
    ended_how: CycleEnd | None
    in_doubt: tuple[int, ...] = ()
    """Rounds that joined by order, while most share a message: each list's own may still come."""


@dataclass(frozen=True)
class Recognition:
    """A label for every send, and the cycles in the order of their first sends."""

    labels: Mapping[int, Label]
    cycles: tuple[FoundCycle, ...]


def recognise(sends: Iterable[Send], *, lists: Sequence[int], at: datetime) -> Recognition:
    """What each send was, and which cycles they make. `lists` are the campaign lists in their order.

    Sends to other lists are one-offs. The order of the sends does not matter.
    """
    place = {list_id: n for n, list_id in enumerate(lists)}
    ordered = sorted(sends, key=lambda s: (s.at, place.get(s.list_id, len(place)), s.key))
    labels = {send.key: label for send in ordered if (label := _aside(send, lists=place)) is not None}
    messages = _messages([send for send in ordered if send.key not in labels], lists=place)
    cycles, alone = _cycles(messages)
    for message in alone:
        labels |= _labels_alone(message)
    for number, each in enumerate(cycles):
        labels |= each.labels(number)
    ended = (_found(each, cycles, lists=place, at=at) for each in cycles)
    return Recognition(labels=labels, cycles=tuple(ended))


def _aside(send: Send, *, lists: Collection[int]) -> Label | None:
    """The label of what plays no part in cycles; None for what may."""
    if send.by_person is not None:
        return None if send.by_person is CampaignKind.ROUND else Label(send.by_person)
    if send.list_id not in lists:
        return Label(CampaignKind.ONE_OFF)
    return Label(CampaignKind.TEST) if _is_test(send) else None


# --- Names -------------------------------------------------------------------------------------------

_PLACE = re.compile(
    r"\b(?:campaign )?(?:round|list|part|group|segment|wave|runde|liste|teil|gruppe) ?\d+"
    r"(?: (?:of|von|/) ?\d+)?\b"
)
_AGAIN = re.compile(r"\b(?:copy of|copy|kopie von|kopie|resend|re send|version [a-z0-9]|variant [a-z0-9])\b")
_BETWEEN = re.compile(r"[^\w\[\]:]+|_+")
_TEST_NAME = re.compile(r"\[test\]|test ?:|test(?: \d+)?$|(?:.* )?\(test\)")
_TEST_TITLE = re.compile(r"test\b|.*\btest(?: \d+)?$")
_AB_TEST = re.compile(r"\b(?:a/?b|split)[- ]?test\b")


@lru_cache(maxsize=4096)
def words_of(text: str) -> str:
    """A subject or title as it is compared: case, accents' forms, punctuation and spaces do not matter, nor
    which list, round or copy it names."""
    plain = _BETWEEN.sub(" ", unicodedata.normalize("NFKC", text).casefold())
    plain = plain.replace("[", " ").replace("]", " ").replace(":", " ")
    plain = _AGAIN.sub(" ", _PLACE.sub(" ", " ".join(plain.split())))
    return " ".join(plain.split())


def is_named_test(*, subject: str, title: str) -> bool:
    """Whether its name says that it is a test.

    A title does with "test" as its first or last word (an A/B test is none); a subject, which readers see,
    only with "[test]", "(test)" or "test:", or where it is nothing else.
    """
    said = unicodedata.normalize("NFKC", subject).casefold().strip()
    called = _AB_TEST.sub("", unicodedata.normalize("NFKC", title).casefold()).strip()
    return bool(_TEST_NAME.match(said) or _TEST_NAME.match(called) or _TEST_TITLE.match(called))


def _is_test(send: Send) -> bool:
    if is_named_test(subject=send.subject, title=send.title):
        return True
    if not send.recipients or not send.list_size or send.ab_test is not None:
        return False
    return send.recipients <= HANDFUL and send.recipients <= HANDFUL_SHARE * send.list_size


# --- Messages ----------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Message:
    """The sends that carry one message, in their order."""

    sends: list[Send] = field(default_factory=list)
    tokens: set[tuple[str, object]] = field(default_factory=set)
    firm_tokens: set[int] = field(default_factory=set)

    def add(self, send: Send) -> None:
        self.sends.append(send)
        self.tokens |= send.tokens
        self.firm_tokens |= send.firm_tokens

    @property
    def is_firm(self) -> bool:
        """Whether a person called one of them a round."""
        return any(send.by_person is not None for send in self.sends)

    @property
    def live(self) -> list[Send]:
        return [send for send in self.sends if send.is_live]

    @property
    def lists(self) -> set[int]:
        return {send.list_id for send in self.sends}

    @property
    def first(self) -> datetime:
        return min(send.at for send in self.sends)

    @property
    def begins(self) -> datetime:
        """Its first send that was not called off, where there is one."""
        return min(send.at for send in self.live or self.sends)

    def fits(self, send: Send) -> bool:
        """Whether the send carries this message by its names."""
        return abs(send.at - self.first) <= LONGEST_CYCLE and bool(self.tokens & send.tokens)


def _messages(ordered: Sequence[Send], *, lists: Collection[int]) -> list[_Message]:
    found: list[_Message] = []
    for send in ordered:
        home = _home(send, found)
        home.add(send)
        if (issue := _next_issue(home, lists=lists)) is not None:
            found.append(issue)
    return _joined_by_people(found)


def _home(send: Send, found: list[_Message]) -> _Message:
    """The latest message that the send carries by its names, else a new one."""
    fitting = [message for message in found if message.fits(send)] if send.by_person is None else []
    if fitting:
        return max(fitting, key=lambda m: m.first)
    found.append(_Message())
    return found[-1]


def _joined_by_people(found: Sequence[_Message]) -> list[_Message]:
    """The same, with those made one that people said go together."""
    joined: list[_Message] = []
    for message in found:
        akin = [other for other in joined if other.firm_tokens & message.firm_tokens]
        joined = [other for other in joined if other not in akin]
        whole = _Message()
        for send in sorted((s for m in (*akin, message) for s in m.sends), key=_when):
            whole.add(send)
        joined.append(whole)
    return joined


def _when(send: Send) -> tuple[datetime, int]:
    return send.at, send.key


def _next_issue(message: _Message, *, lists: Collection[int]) -> _Message | None:
    """Take off a message what came to a second list again after every list had had it: another issue."""
    had: set[int] = set()
    again: list[int] = []
    for n, send in enumerate(message.sends):
        if not send.is_live:
            continue
        to_same = [s for s in message.sends[:n] if s.list_id == send.list_id and s.is_live]
        if had >= set(lists) and send.by_person is None and not _is_part(send, to_same):
            again.append(n)
        had.add(send.list_id)
    if len({message.sends[n].list_id for n in again}) < 2:
        return None
    issue = _Message()
    for send in [s for s in message.sends[again[0] :] if s.by_person is None]:
        message.sends.remove(send)
        issue.add(send)
    return issue


def _is_part(send: Send, others: Sequence[Send]) -> bool:
    """Whether it went to other people of the list than these did."""
    if send.ab_test is not None and any(other.ab_test == send.ab_test for other in others):
        return True
    segments = {other.segment for other in others}
    return send.segment is not None and None not in segments and send.segment not in segments


# --- Cycles ------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Cycle:
    """Messages that together address every list once."""

    messages: list[_Message]

    @property
    def sends(self) -> list[Send]:
        return [send for message in self.messages for send in message.sends]

    def to(self, list_id: int) -> list[Send]:
        """Its sends to a list, in their order."""
        return sorted((s for s in self.sends if s.list_id == list_id), key=lambda s: (s.at, s.key))

    def mains(self) -> dict[int, Send]:
        """The round of each list."""
        return {list_id: _main(self.to(list_id)) for list_id in {s.list_id for s in self.sends}}

    @property
    def begins(self) -> datetime:
        return min(message.begins for message in self.messages)

    @property
    def lasts(self) -> datetime:
        """When its last round begins."""
        return max((s.at for s in self.mains().values() if s.is_live), default=self.begins)

    def lacks(self, list_id: int) -> bool:
        """Whether nothing of it goes, or was to go, to the list."""
        return not self.to(list_id)

    def spans(self, at: datetime) -> bool:
        """Whether it would still fit into the longest cycle with a send then."""
        return max(self.lasts, at) - min(self.begins, at) <= LONGEST_CYCLE

    @property
    def joined(self) -> tuple[int, ...]:
        """What joined by order alone, where the rest shares a message."""
        shared = any(len({s.list_id for s in m.live}) > 1 for m in self.messages)
        others = [m for m in self.messages if len(m.lists) == 1 and not m.is_firm] if shared else []
        return tuple(sorted(send.key for message in others for send in message.sends))

    def labels(self, number: int) -> dict[int, Label]:
        mains = self.mains()
        places = {main.list_id: n for n, main in enumerate(sorted(mains.values(), key=_when), 1)}
        return {
            send.key: _label(send, mains[send.list_id], self.to(send.list_id), number, places[send.list_id])
            for send in self.sends
        }


def _main(to_list: Sequence[Send]) -> Send:
    """Which of a cycle's sends to a list is its round: what a person called one, what was sent, the first."""
    return min(
        to_list,
        key=lambda s: (_is_called_off(s), s.by_person is None, _RANK.get(s.status, 2), s.at, s.key),
    )


def _is_called_off(send: Send) -> bool:
    return not send.is_live and (send.by_person is None or send.status is RoundStatus.CANCELLED)


def _label(send: Send, main: Send, to_list: Sequence[Send], cycle: int | None, place: int | None) -> Label:
    kind = CampaignKind.ONE_OFF if cycle is None else CampaignKind.ROUND
    was_replaced = send.status is RoundStatus.CANCELLED and (not main.is_live or send.at <= main.at)
    called_off_by_person = send.status is RoundStatus.CANCELLED and send.by_person is not None
    if send is main or was_replaced or called_off_by_person:
        return Label(kind, cycle, place)
    earlier = [other for other in to_list if other.is_live and _when(other) < _when(send)]
    if send.is_live and earlier and _is_part(send, earlier):
        return Label(CampaignKind.PART, cycle, of=main.key)
    return Label(CampaignKind.REPEAT, cycle, of=main.key)


def _labels_alone(message: _Message) -> dict[int, Label]:
    """A message that is no part of a cycle: one-offs, and the repeats and parts of them."""
    by_list = {list_id: [s for s in message.sends if s.list_id == list_id] for list_id in message.lists}
    return {
        send.key: _label(send, _main(to_list), to_list, None, None)
        for to_list in by_list.values()
        for send in to_list
    }


def _cycles(messages: Sequence[_Message]) -> tuple[list[_Cycle], list[_Message]]:
    """The cycles in the order of their first sends, and what is no part of any."""
    wide, narrow, called_off = _sorted_out(messages)
    cycles = [_Cycle([message]) for message in wide]
    alone = [message for message in narrow if all(send.segment is not None for send in message.live)]
    rest = _joining(cycles, [message for message in narrow if message not in alone])
    going_on = [message for message in rest if _goes_on_beyond(cycles, message)]
    groups = _among_themselves([m for m in rest if m not in going_on], cycles)
    single = [group.messages[0] for group in groups if len(group.messages) == 1]
    lone = _leading(cycles, single)
    groups = [group for group in groups if len(group.messages) > 1]
    if lone and lone[-1].begins >= max((c.begins for c in (*cycles, *groups)), default=lone[-1].begins):
        groups.append(_Cycle([lone.pop()]))
    cycles = _oldest_first([*cycles, *groups])
    fallen = [message for message in called_off if not _fall_in(cycles, message)]
    return cycles, [*alone, *going_on, *lone, *fallen]


def _sorted_out(
    messages: Iterable[_Message],
) -> tuple[list[_Message], list[_Message], list[_Message]]:
    """Messages to two lists or more, those to one, and those of which everything was called off."""
    wide, narrow, called_off = list[_Message](), list[_Message](), list[_Message]()
    for message in sorted((m for m in messages if m.sends), key=lambda m: (m.begins, m.sends[0].key)):
        if not message.is_firm and not message.live:
            called_off += _one_by_one(message)
        elif message.is_firm or len(message.lists) > 1:
            wide.append(message)
        else:
            narrow.append(message)
    return wide, narrow, called_off


def _one_by_one(message: _Message) -> list[_Message]:
    return [_Message([send]) for send in message.sends]


def _oldest_first(cycles: Iterable[_Cycle]) -> list[_Cycle]:
    return sorted(cycles, key=lambda c: (c.begins, min(s.key for s in c.sends)))


def _joining(cycles: Sequence[_Cycle], narrow: Sequence[_Message]) -> list[_Message]:
    """Let messages to one list join cycles begun that have nothing for it. Returns those that found none."""
    rest = []
    for message in narrow:
        home = next((c for c in _oldest_first(cycles) if _may_join(message, c, cycles)), None)
        if home is None:
            rest.append(message)
        else:
            home.messages.append(message)
    return rest


def _may_join(message: _Message, home: _Cycle, cycles: Iterable[_Cycle]) -> bool:
    at, [list_id] = message.begins, message.lists
    if home.begins > at or not home.lacks(list_id) or not home.spans(at):
        return False
    return not any(home.begins < each.begins <= at - OVERLAP for each in cycles)


def _leading(cycles: Sequence[_Cycle], single: Sequence[_Message]) -> list[_Message]:
    """Let messages that stayed alone be the first round of the cycle that follows, if that has none for their
    list. Returns the others. The latest before a cycle goes first."""
    rest = []
    for message in reversed(single):
        [list_id] = message.lists
        following = [each for each in _oldest_first(cycles) if each.begins > message.begins]
        if following and following[0].lacks(list_id) and following[0].spans(message.begins):
            following[0].messages.append(message)
        else:
            rest.append(message)
    return rest[::-1]


def _goes_on_beyond(cycles: Iterable[_Cycle], message: _Message) -> bool:
    """Whether a cycle that was under way then went on, and more than a day or so longer."""
    at = message.begins
    return any(each.begins < at and each.lasts > at + OVERLAP for each in cycles)


def _among_themselves(narrow: Sequence[_Message], cycles: Sequence[_Cycle]) -> list[_Cycle]:
    """Messages to one list each, grouped in their order."""
    groups: list[_Cycle] = []
    for message in narrow:
        if groups and _continues(groups[-1], message, cycles):
            groups[-1].messages.append(message)
        else:
            groups.append(_Cycle([message]))
    return groups


def _continues(last: _Cycle, message: _Message, cycles: Iterable[_Cycle]) -> bool:
    [list_id] = message.lists
    if not last.lacks(list_id) or not last.spans(message.begins):
        return False
    return not any(last.begins < each.begins <= message.begins for each in cycles)


def _fall_in(cycles: Sequence[_Cycle], message: _Message) -> bool:
    """Whether a send that was called off was a round of a cycle under way at its time."""
    home = next((each for each in cycles if _may_join(message, each, cycles)), None)
    if home is not None:
        home.messages.append(message)
    return home is not None


# --- Beginning and end -------------------------------------------------------------------------------


def _found(cycle: _Cycle, cycles: Sequence[_Cycle], *, lists: Collection[int], at: datetime) -> FoundCycle:
    began_at = _began_at(cycle, at=at)
    ended_at, how = (None, None) if began_at is None else _end(cycle, began_at, cycles, lists=lists, at=at)
    rounds = [key for key, label in cycle.labels(0).items() if label.kind is CampaignKind.ROUND]
    return FoundCycle(
        rounds=tuple(sorted(rounds)),
        began_at=began_at,
        ended_at=ended_at,
        ended_how=how,
        in_doubt=() if ended_at is not None else cycle.joined,
    )


def _began_at(cycle: _Cycle, *, at: datetime) -> datetime | None:
    """Its first send; one that is past its time counts as sending until we know better."""
    begun = [s.at for s in cycle.sends if s.has_begun or (s.status is RoundStatus.SCHEDULED and s.at <= at)]
    return min(begun, default=None)


def _end(
    cycle: _Cycle, began_at: datetime, cycles: Iterable[_Cycle], *, lists: Collection[int], at: datetime
) -> tuple[datetime, CycleEnd] | tuple[None, None]:
    mains = cycle.mains()
    last = max((s.ended_at for s in cycle.sends if s.ended_at is not None), default=began_at)
    following = [b for c in cycles if c is not cycle and (b := _began_at(c, at=at)) and b > began_at]
    cut, limit = min(following, default=None), began_at + LONGEST_CYCLE
    is_over = at >= limit or (cut is not None and not _is_pending(cycle))
    if all(list_id in mains and _is_closed(mains[list_id], at=at) for list_id in lists):
        return (max(last, began_at), CycleEnd.COMPLETE) if is_over or not cycle.joined else (None, None)
    if cut is not None and cut < limit and not _is_pending(cycle):
        return max(cut, last), CycleEnd.CUT_SHORT
    return (limit, CycleEnd.OVERDUE) if at >= limit else (None, None)


def _is_pending(cycle: _Cycle) -> bool:
    return any(s.status in (RoundStatus.SCHEDULED, RoundStatus.SENDING) for s in cycle.mains().values())


def _is_closed(send: Send, *, at: datetime) -> bool:
    if send.status is RoundStatus.SENT:
        return send.ended_at is not None and send.ended_at <= at
    return send.status in (RoundStatus.CANCELLED, RoundStatus.SKIPPED)


# --- Which cycle is which ----------------------------------------------------------------------------


def keep(
    found: Sequence[FoundCycle], *, so_far: Mapping[int, int], firm: Collection[int] = ()
) -> list[int | None]:
    """For each found cycle the one it was so far; None for a new one.

    `so_far` is the cycle that each send was a round of, `firm` the sends of which a person said so. Each goes
    on as the one that most of its rounds had, what people said before all else, and no two as the same.
    """
    votes = [
        (-_votes(each, cycle, so_far, firm), -_votes(each, cycle, so_far, so_far), n, cycle)
        for n, each in enumerate(found)
        for cycle in sorted({so_far[key] for key in each.rounds if key in so_far})
    ]
    kept: dict[int, int] = {}
    for *_, n, cycle in sorted(votes):
        if n not in kept and cycle not in kept.values():
            kept[n] = cycle
    return [kept.get(n) for n in range(len(found))]


def _votes(each: FoundCycle, cycle: int, so_far: Mapping[int, int], voters: Collection[int]) -> int:
    return sum(key in voters and so_far.get(key) == cycle for key in each.rounds)
