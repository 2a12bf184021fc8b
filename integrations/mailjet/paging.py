"""How a resource sorted by id is read whole in pages while others change it.

Mailjet pages by offset, and offsets shift: a row that is deleted in front of the next page moves a row that
was not read yet onto the page before. So pages overlap by a row. A page that begins with an id already seen,
or with the first row, leaves no gap; any other is left aside, and the one before it is read again.

Why a row that is there during the whole scan is always seen: say every such row up to the highest id seen was
seen. A page whose first id is no higher holds, at its own instant, all rows from there to its last; so every
such row up to its last id is seen then, too. The scan ends with a page behind which nothing is left.
(Taken for granted: one answer shows one instant, and ids never change.)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Where a scan goes on: it may be kept, and resumed later."""

    offset: int = 0
    """The row to ask for next."""
    highest: int = 0
    """The highest id seen so far."""


START = Place()


@dataclass(frozen=True)
class Step:
    """What one page means for a scan."""

    fresh_from: int
    """Where in the page its new rows begin."""
    next: Place | None
    """Where to go on; None when nothing is left."""


def step(at: Place, ids: Sequence[int], *, limit: int, total: int | None = None) -> Step:
    """What the page asked for at this place means. `ids` ascend; `total` is Mailjet's count, where asked for.

    A full first page is never taken for all there is: its total would be the same had the count been ignored.
    """
    if at.offset and (not ids or ids[0] > at.highest):
        return Step(fresh_from=len(ids), next=Place(_further_back(at.offset, limit, total), at.highest))
    end = at.offset + len(ids)
    is_over = len(ids) < limit or (at.offset > 0 and end == total)
    highest = max(at.highest, ids[-1]) if ids else at.highest
    return Step(
        fresh_from=bisect_right(ids, at.highest),
        next=None if is_over else Place(end - 1, highest),
    )


def _further_back(offset: int, limit: int, total: int | None) -> int:
    """A page back, or to the last page that there is now."""
    back = offset - (limit - 1)
    return max(back if total is None else min(back, total - limit), 0)
