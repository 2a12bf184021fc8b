"""The solver: who of the backlog joins which list, and who moves so that the lists are even.

Placements come first, moves second. Every comparison is made in whole numbers or fractions,
so the same facts give the same plan everywhere and nothing is decided by rounding.

The plan is exact: no other placing of as many contacts within the limits, with whatever moves, ends
at a smaller deviation that is above the target, and none that ends as well needs fewer moves. Without
moves that is what "one by one into the smallest list" gives by itself. With them it does, too, as long
as nobody is placed where the plan's end could no longer be reached, because too few of that list's
members may leave again (`_room`); docs/adr/0014 has the proof. Work grows with the contacts placed or
moved times the lists; members who stay cost nothing.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import partial
from math import ceil, floor

FIRST_SENDS_NEEDED = 100
"""Final first messages before the seen first-send rate is believed."""

ASSUMED_FIRST_SEND_RATE = 0.10
"""The first-send rate until then, as a fraction."""


class Choice(StrEnum):
    """What the rebalancing agent chooses between."""

    NOW = "now"
    DEFER = "defer"
    BACKFILL_ONLY = "backfill_only"


class ImpossibleFacts(ValueError):
    """The facts contradict themselves, so no plan is made; the message says which and where."""


@dataclass(frozen=True)
class ListFacts:
    """A campaign list as the solver sees it."""

    list_id: int
    size: int
    """Mailable members."""
    movable: tuple[int, ...]
    """Contacts the list may give, newest rank first; the held and the recently moved are not among them."""
    unmailed: int = 0
    """Members whom earlier runs placed and nobody has mailed since: what they bring is not known yet."""


@dataclass(frozen=True)
class Placement:
    """A backlog contact's add to a campaign list."""

    contact_id: int
    list_id: int


@dataclass(frozen=True)
class Move:
    """A contact's change from one campaign list to another."""

    contact_id: int
    source_id: int
    target_id: int


@dataclass(frozen=True)
class Plan:
    """What would be done, and what the lists would look like then.

    Placements and moves stand in the order in which their contacts join the tail of a list:
    oldest registration first, and members of one list in the order they had there.
    """

    placements: tuple[Placement, ...]
    moves: tuple[Move, ...]
    sizes_before: Mapping[int, int]
    sizes_after: Mapping[int, int]
    deviation_before: float
    """Percent, before placements and moves."""
    deviation_after: float
    """Percent, after both."""
    waiting: int
    """How many of the backlog are left."""
    notes: tuple[str, ...]
    """Why anything was not done, a sentence each."""


def deviation(sizes: Collection[int]) -> float:
    """The largest distance from the mean size, in percent of the mean; 0 where nobody is on any list."""
    return float(_percent_off(sizes))


def is_balanced(sizes: Collection[int], *, threshold: float) -> bool:
    """Whether the deviation is at most `threshold` percent."""
    return _percent_off(sizes) <= _exact(threshold)


def first_send_rate(hard: int, final: int) -> float:
    """The share of contacts whose first message on a campaign list bounced hard.

    `final` counts the first messages delivered or bounced. Below 100 of them a tenth is assumed:
    too few have been seen to call the backlog clean.
    """
    if not 0 <= hard <= final:
        raise ImpossibleFacts(f"{hard} hard bounces among {final} final first messages; correct the counts.")
    if final < FIRST_SENDS_NEEDED:
        return ASSUMED_FIRST_SEND_RATE
    return hard / final


def plan(
    lists: Sequence[ListFacts],
    backlog: Sequence[int],
    *,
    first_send_rate: float,
    moves_allowed: bool,
    threshold: float = 5.0,
    target: float = 2.0,
    placement_share: float = 0.10,
    first_send_share: float = 0.02,
) -> Plan:
    """Place the backlog, then even out the lists.

    `lists` stand in rotation order, which breaks ties; `backlog` has the oldest registration first.
    Placements together stay within `placement_share` of all members, rounded down. On one list
    their expected hard bounces, `first_send_rate` each, stay below `first_send_share` of its members.
    Whom earlier runs placed since the last send counts with these, and not as a member.
    Only where moves are allowed and the deviation would exceed `threshold` percent do contacts move,
    until every list is less than `target` percent from the mean, or as near as it can come.

    Raises ImpossibleFacts when a list or a contact appears twice, or a number makes no sense.
    """
    _check_possible(lists, backlog, shares=(first_send_rate, placement_share, first_send_share))
    before = {facts.list_id: facts.size for facts in lists}
    waiting = sum(facts.unmailed for facts in lists)
    cap = max(0, floor(_exact(placement_share) * (sum(before.values()) - waiting)) - waiting)
    limits = {
        facts.list_id: _limit(facts, first_send_rate=first_send_rate, share=first_send_share, most=cap)
        for facts in lists
    }
    placements = _place(backlog[:cap], before, room=_Room(limits, limits, shared=0))
    placed = _sizes(before, placements=placements)
    # no other placing is less uneven, so where this one needs no moves none is needed
    uneven = not is_balanced(placed.values(), threshold=threshold)
    moves: tuple[Move, ...] = ()
    if moves_allowed and uneven:
        placed_contacts = backlog[: len(placements)]
        placements, moves = _placed_and_moved(lists, placed_contacts, placed, limits=limits, target=target)
    after = _sizes(before, placements=placements, moves=moves)
    return Plan(
        placements=placements,
        moves=moves,
        sizes_before=before,
        sizes_after=after,
        deviation_before=deviation(before.values()),
        deviation_after=deviation(after.values()),
        waiting=len(backlog) - len(placements),
        notes=(
            *_why_waiting(
                len(backlog),
                len(placements),
                cap=cap,
                members=sum(before.values()),
                unmailed=waiting,
                limits=limits,
            ),
            *_why_uneven(
                after, moves_allowed=moves_allowed, uneven=uneven, threshold=threshold, target=target
            ),
        ),
    )


def choices(
    lists: Sequence[ListFacts],
    backlog: Sequence[int],
    *,
    first_send_rate: float,
    moves_allowed: bool,
    threshold: float = 5.0,
    first_send_share: float = 0.02,
) -> dict[Choice, Plan]:
    """The plans the rebalancing agent chooses between; in the middle of a cycle, now is backfill only."""
    sizes = {facts.list_id: facts.size for facts in lists}
    off = deviation(sizes.values())
    deferred = "Deferred: nothing is placed or moved, and all of it is planned again by the next run."
    planned = partial(
        plan,
        lists,
        backlog,
        first_send_rate=first_send_rate,
        threshold=threshold,
        first_send_share=first_send_share,
    )
    return {
        Choice.NOW: planned(moves_allowed=moves_allowed),
        Choice.BACKFILL_ONLY: planned(moves_allowed=False),
        Choice.DEFER: Plan((), (), sizes, dict(sizes), off, off, len(backlog), (deferred,)),
    }


def placement_limit(size: int, *, first_send_rate: float, share: float = 0.02, most: int) -> int:
    """How many placements one list of `size` members takes; `most` where the rate sets no limit.

    Their expected hard bounces must stay below the share: placements × rate < share × size.
    """
    bearable = _exact(share) * size
    rate = _exact(first_send_rate)
    if rate == 0:
        return most if bearable > 0 else 0
    return max(0, ceil(bearable / rate) - 1)


def _limit(facts: ListFacts, *, first_send_rate: float, share: float, most: int) -> int:
    known, waiting = facts.size - facts.unmailed, facts.unmailed
    limit = placement_limit(known, first_send_rate=first_send_rate, share=share, most=most + waiting)
    return max(0, limit - waiting)


@dataclass(frozen=True)
class _End:
    """The sizes that every list may have at the end, all placements and moves done."""

    members: int
    """On all lists together, then."""
    lowest: int
    highest: int


@dataclass(frozen=True)
class _Room:
    """How many each list takes from the backlog, such that the end can still be reached."""

    most: Mapping[int, int]
    freely: Mapping[int, int]
    """Of these, as many as cost no other list's place."""
    shared: int
    """More than freely, on all lists together."""

    def takes(self, contacts: int) -> bool:
        """Whether there is room for so many."""
        further = sum(self.most[list_id] - freely for list_id, freely in self.freely.items())
        return sum(self.freely.values()) + min(self.shared, further) >= contacts


def _place(contacts: Sequence[int], sizes: Mapping[int, int], *, room: _Room) -> tuple[Placement, ...]:
    """Each contact in turn into the list then smallest that has room; ties go to the earlier."""
    joined, shared = dict.fromkeys(sizes, 0), room.shared
    placements: list[Placement] = []
    for contact_id in contacts:
        limits = room.most if shared else room.freely
        below_limit = [list_id for list_id in sizes if joined[list_id] < limits[list_id]]
        if not below_limit:
            break
        smallest = min(below_limit, key=lambda list_id: sizes[list_id] + joined[list_id])
        placements.append(Placement(contact_id, smallest))
        shared -= joined[smallest] >= room.freely[smallest]
        joined[smallest] += 1
    return tuple(placements)


def _placed_and_moved(
    lists: Sequence[ListFacts],
    contacts: Sequence[int],
    sizes: Mapping[int, int],
    *,
    limits: Mapping[int, int],
    target: float,
) -> tuple[tuple[Placement, ...], tuple[Move, ...]]:
    """The contacts' places and the moves after them; `sizes` are those after some placing of them all."""
    end = _nearest_end(lists, sizes, limits=limits, placed=len(contacts), target=target)
    before = {facts.list_id: facts.size for facts in lists}
    placements = _place(contacts, before, room=_room(lists, limits=limits, end=end))
    return placements, _even_out(lists, _sizes(before, placements=placements), end=end)


def _even_out(lists: Sequence[ListFacts], sizes: Mapping[int, int], *, end: _End) -> tuple[Move, ...]:
    """One contact at a time from the largest list that can give to the smallest; ties go to the earlier.

    The newest leave first, so who was first in is last moved. Turned around at the end, because
    of two who left one list the older joins the other's tail first.
    """
    now = dict(sizes)
    given = Counter[int]()
    moves: list[Move] = []
    while min(now.values()) < end.lowest or max(now.values()) > end.highest:
        givers = [facts for facts in lists if given[facts.list_id] < len(facts.movable)]
        source = max(givers, key=lambda facts: now[facts.list_id])
        smallest = min(now, key=now.__getitem__)
        newest = source.movable[given[source.list_id]]
        moves.append(Move(newest, source.list_id, smallest))
        given[source.list_id] += 1
        now[source.list_id] -= 1
        now[smallest] += 1
    return tuple(reversed(moves))


def _nearest_end(
    lists: Sequence[ListFacts],
    sizes: Mapping[int, int],
    *,
    limits: Mapping[int, int],
    placed: int,
    target: float,
) -> _End:
    """Where moving stops: just under the target, or the nearest to the mean that can be reached.

    With it fixed beforehand no move is made that gains nothing, for instance when the list that
    is furthest off has nobody who may leave. `sizes` are those after some placing of `placed`
    contacts: without a single move that is an end, too.
    """
    members = sum(sizes.values())
    under_target = ceil(_exact(target) * members / 100) - 1

    def can_be_reached(distance: int) -> bool:
        return _can_reach(_end(members, len(lists), distance=distance), lists, limits=limits, placed=placed)

    least = bisect_left(range(_distance(sizes.values()) + 1), True, key=can_be_reached)
    return _end(members, len(lists), distance=max(under_target, least))


def _end(members: int, lists: int, *, distance: int) -> _End:
    """Every list at most so far from the mean, see `_distance`."""
    return _End(
        members, lowest=ceil(Fraction(members - distance, lists)), highest=(members + distance) // lists
    )


def _can_reach(end: _End, lists: Sequence[ListFacts], *, limits: Mapping[int, int], placed: int) -> bool:
    """Whether so many placements within the limits, and then moves, can bring every list there.

    They can when whole numbers from the lowest to the highest size add up to all members, no list has to
    give more than it may, and enough contacts can be placed under these conditions.
    """
    room = _room(lists, limits=limits, end=end)
    is_possible = min(room.most.values()) >= 0 and room.shared >= 0
    return is_possible and end.members <= len(lists) * end.highest and room.takes(placed)


def _room(lists: Sequence[ListFacts], *, limits: Mapping[int, int], end: _End) -> _Room:
    """What each list may take, so that no list keeps too many.

    Who may not leave, and whoever is placed, stays. What stays on one list beyond the lowest size takes
    the place of somebody whom another list needs.
    """
    staying = {facts.list_id: facts.size - len(facts.movable) for facts in lists}
    most = {list_id: min(limits[list_id], end.highest - stay) for list_id, stay in staying.items()}
    return _Room(
        most=most,
        freely={list_id: min(most[list_id], max(0, end.lowest - stay)) for list_id, stay in staying.items()},
        shared=end.members - sum(max(end.lowest, stay) for stay in staying.values()),
    )


def _distance(sizes: Collection[int]) -> int:
    """The largest distance from the mean, times the number of lists: that keeps it a whole number."""
    return max((abs(len(sizes) * size - sum(sizes)) for size in sizes), default=0)


def _percent_off(sizes: Collection[int]) -> Fraction:
    members = sum(sizes)
    return Fraction(100 * _distance(sizes), members) if members else Fraction(0)


def _sizes(
    sizes: Mapping[int, int], *, placements: Sequence[Placement] = (), moves: Sequence[Move] = ()
) -> dict[int, int]:
    joined = Counter([placement.list_id for placement in placements] + [move.target_id for move in moves])
    left = Counter(move.source_id for move in moves)
    return {list_id: size + joined[list_id] - left[list_id] for list_id, size in sizes.items()}


def _why_waiting(
    backlog: int, placed: int, *, cap: int, members: int, unmailed: int, limits: Mapping[int, int]
) -> tuple[str, ...]:
    if placed == backlog:
        return ()
    wait = f"{backlog - placed:,} of {backlog:,} in the backlog wait: "
    if placed == cap:
        earlier = f", as {unmailed:,} placed before have not been mailed yet" if unmailed else ""
        return (wait + f"one run places at most {cap:,} beside {members:,} members{earlier}.",)
    full = ", ".join(f"list {list_id} takes {limit:,}" for list_id, limit in limits.items())
    return (wait + f"more first sends could bounce too much ({full}).",)


def _why_uneven(
    sizes: Mapping[int, int], *, moves_allowed: bool, uneven: bool, threshold: float, target: float
) -> tuple[str, ...]:
    off = _percent_off(sizes.values())
    if off < _exact(target):
        return ()
    stays = f"The deviation stays at {float(off):.2f} %: "
    if not uneven:
        return (stays + f"contacts move only above {threshold:g} %.",)
    if not moves_allowed:
        return (stays + "contacts move only between two cycles, and once.",)
    if max(sizes.values()) - min(sizes.values()) <= 1:
        return (stays + "the lists differ by one contact at most.",)
    return (stays + "too few members of the larger lists may be moved.",)


def _check_possible(lists: Sequence[ListFacts], backlog: Sequence[int], *, shares: Sequence[float]) -> None:
    twice = [list_id for list_id, times in Counter(facts.list_id for facts in lists).items() if times > 1]
    if twice:
        raise ImpossibleFacts(f"Lists {twice} stand in the rotation twice; name each once.")
    for facts in lists:
        if len(facts.movable) > facts.size:
            raise ImpossibleFacts(
                f"List {facts.list_id} has {facts.size} members of whom {len(facts.movable)} may be moved; "
                "count both from the same members."
            )
    if len(set(backlog)) < len(backlog):
        again = [contact_id for contact_id, times in Counter(backlog).items() if times > 1]
        raise ImpossibleFacts(f"Contacts {again[:5]} stand in the backlog twice; name each once.")
    for share in shares:
        if not 0 <= share <= 1:
            raise ImpossibleFacts(f"{share} is not a share; give a fraction from 0 to 1.")


def _exact(number: float) -> Fraction:
    """The fraction that was meant: 1/10 for 0.1, 1/3 for one divided by three."""
    return Fraction(number).limit_denominator(10_000_000)
