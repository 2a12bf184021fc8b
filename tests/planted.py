"""Twenty campaigns as people send them, and what each one was. The labels were written before the rules.

Three lists and a master list; days are counted from the first send, which goes out at noon.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MASTER = 0
"""In the column of lists: the master list; campaign lists are 1, 2 and 3."""


class How(StrEnum):
    """How a send came about."""

    SCHEDULED = "scheduled"  # drafted two days before, scheduled a day before
    AT_ONCE = "at once"  # on Mailjet's own pages: drafted and sent in the same minute
    CALLED_OFF = "called off"  # scheduled like the others; the schedule is taken away half a day before


@dataclass(frozen=True)
class Planted:
    """One campaign. `label` is kind, cycle, round, and whose repeat or part it is, by the row's number."""

    number: int
    day: float
    list: int
    title: str
    subject: str
    how: How
    label: str
    segment: int | None = None
    ab_test: int | None = None


_S, _NOW, _OFF = How.SCHEDULED, How.AT_ONCE, How.CALLED_OFF
# fmt: off
PLANTED = (
    #        day  list  title              subject                 how   what it was
    # A cycle as it should be, its second round sent from Mailjet's pages, and the message once more to list 1
    Planted(1,   0.0, 1, "January, list 1",   "A new year",         _S,   "round 1 of cycle 1"),
    Planted(2,   2.0, 2, "January, list 2",   "A new year",         _NOW, "round 2 of cycle 1"),
    Planted(3,   4.0, 3, "January, list 3",   "A new year for you", _S,   "round 3 of cycle 1"),
    Planted(4,   6.0, 1, "January again",     "A NEW YEAR!",        _NOW, "repeat of 1, cycle 1"),
    # Between two cycles, to one list
    Planted(5,   9.0, 2, "Open day",          "You are invited",    _S,   "one-off"),
    # Every subject another one, and the last round called off
    Planted(6,  12.0, 2, "",                  "Three ideas",        _S,   "round 1 of cycle 2"),
    Planted(7,  14.0, 1, "",                  "Ideas and coffee",   _S,   "round 2 of cycle 2"),
    Planted(8,  16.0, 3, "",                  "What we tried",      _OFF, "round 3 of cycle 2, cancelled"),
    # A look at the next one
    Planted(9,  17.0, 1, "Test: spring",      "Spring is near",     _NOW, "test"),
    # Two cycles that overlap by a day; one round goes to a segment, and something else comes between
    Planted(10, 20.0, 3, "Spring",            "Spring is near",     _S,   "round 1 of cycle 3"),
    Planted(11, 22.0, 1, "Spring",            "Spring is near",     _S,   "round 2 of cycle 3"),
    Planted(12, 25.0, 3, "Seeds",             "What to sow now",    _S,   "round 1 of cycle 4"),
    Planted(13, 26.0, 2, "Spring",            "Spring is near",     _S,   "round 3 of cycle 3"),
    Planted(14, 28.0, 1, "Seeds",             "What to sow now",    _S,   "round 2 of cycle 4", segment=1),
    Planted(15, 30.0, 3, "Street closed",     "On your way to us",  _NOW, "one-off"),
    Planted(16, 32.0, 2, "Seeds",             "What to sow now",    _S,   "round 3 of cycle 4"),
    # To everybody at once, which should not be
    Planted(17, 35.0, 0, "Terms",             "Our new terms",      _S,   "one-off"),
    # The first list gets two versions of it
    Planted(18, 38.0, 1, "Summer, version A", "Long evenings",      _S,   "round 1 of cycle 5", ab_test=77),
    Planted(19, 38.1, 1, "Summer, version B", "Stay out late",      _S,   "part of 18, cycle 5", ab_test=77),
    Planted(20, 40.0, 2, "Summer",            "Long evenings",      _NOW, "round 2 of cycle 5"),
)
# fmt: on
ENDS = ("complete", "complete", "complete", "complete", "under way")
"""How the five cycles ended, an hour after the last send."""
