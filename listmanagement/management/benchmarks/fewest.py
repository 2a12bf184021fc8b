"""The fewest requests that a maintenance run can do with, term by term.

What the policy asks for is taken as given: the server's text of at most 50 who must be suppressed; who is
on a list is known for ten minutes, so it is read again after a review; what was changed is seen by reading
it back. A page holds 1,000 rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from integrations.mailjet import batch_size
from listmanagement.management.benchmarks import counting
from listmanagement.management.benchmarks.account import NEXT_IN_DAYS, Scene
from listmanagement.models import BatchKind, DecisionItem, ItemAction, ListMaintenanceLog
from listmanagement.workflows.maintenance.post_campaign import MOST_TEXTS

PAGE = 1000


def terms(run: ListMaintenanceLog, scene: Scene) -> dict[str, int]:
    """Each term of the sum, for a run that has ended. Sizes are those before and after its changes."""
    order, counts = scene.order, run.counts
    first, *others = order.sizes
    between = [first - counts["suppressed"], *others]
    after = [row["members"] for row in (run.state_after or {})["lists"]]
    suppressed = order.suppressed + counts["suppressed"]
    master, sources = pages(order.contacts), _sources(run)
    both_legs = [size for n, size in enumerate(between, 1) if n in sources]
    return {
        "the account's lists": 1,
        "campaigns, drafts, and the time of each planned": 2 + len(NEXT_IN_DAYS),
        "members before: campaign and suppression lists": _pages([*order.sizes, order.suppressed]),
        "messages of the campaign": pages(counts["sent"]),
        "servers' texts": min(MOST_TEXTS, counts["suppressed"]),
        "members before suppressing: the list, the suppression list": _pages([first, order.suppressed]),
        "bulk requests to suppress": ceil(counts["suppressed"] / batch_size(counts["suppressed"])),
        "members after suppressing: the same two": _pages([between[0], suppressed]),
        "members before planning: the master list and what was not read since": master + _pages(others),
        "members before rebalancing: all lists": master + _pages([*between, suppressed]),
        "contacts before rebalancing: the master list and whom a list gives": master + _pages(both_legs),
        "bulk requests to place, and to move in and out": _bulk(run),
        "sends begun meanwhile: before each of these, and after each way out": _bulk(run) + _ways_out(run),
        "opt-outs on the master list after placing": 1 if counts["placed"] else 0,
        "members before leaving: lists that give and take": _pages(after) if counts["moved"] else 0,
        "members after rebalancing: campaign lists": _pages(after) if counts["placed"] else 0,
        "members at the end: campaign and suppression lists": _pages([*after, suppressed]),
        "looks at jobs 1, 2, 4, 8 … s old": _looks(scene),
    }


def pages(rows: int) -> int:
    """At least one, to see that there is nothing."""
    return max(ceil(rows / PAGE), 1)


def _pages(sizes: Sequence[int]) -> int:
    return sum(map(pages, sizes))


def _sources(run: ListMaintenanceLog) -> set[int | None]:
    moves = DecisionItem.objects.filter(decision__run=run, action=ItemAction.MOVE)
    return set(moves.values_list("source_list__position", flat=True))


def _bulk(run: ListMaintenanceLog) -> int:
    """One for each list that is joined by placements, or by moves, and one for each list that is left."""
    batches = run.batches.filter(kind__in=[BatchKind.PLACE, BatchKind.MOVE_IN, BatchKind.MOVE_OUT])
    rows = batches.values_list("kind", "changes__list").distinct()
    return len(rows)


def _ways_out(run: ListMaintenanceLog) -> int:
    return run.batches.filter(kind=BatchKind.MOVE_OUT).values("changes__list").distinct().count()


def _looks(scene: Scene) -> int:
    with scene.serving.world.transaction() as db:
        jobs = db.execute("SELECT ended_at - requested_at FROM jobs").fetchall()
    return sum(counting.looks(seconds) for (seconds,) in jobs)
