"""A maintenance run of accounts of any size: minutes of Mailjet's quota, requests, memory, rows.

Time is the stand-in's: a request takes 150 ms of its clock, a job 8 s, a minute holds 300 requests, and
nobody waits for any of it. What our own work takes passes on that clock, too. A list's share of the
account, and the failures' of the list, are those of `benchmark maintenance`. Memory is this process's
highest, the stand-ins' in it included.
"""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser

from integrations.sandbox import Serving
from listmanagement.management.benchmarks import account, counting, driving, fewest, maintenance, scratch
from listmanagement.management.benchmarks.account import Order
from listmanagement.management.benchmarks.counting import PER_MINUTE
from listmanagement.management.benchmarks.report import Benchmark, Bound, Figures, postgresql

JOB_SECONDS = 8.0
DONE = ("sent", "bounced", "suppressed", "placed", "moved")


class Quota(counting.Quota):
    """The same for threads: one request at a time is let through."""

    def __init__(self, serving: Serving) -> None:
        super().__init__(serving)
        self._alone = threading.Lock()

    def acquire(self, *, background: bool) -> None:
        """Let the clock go on until one more is allowed, and count it."""
        with self._alone:
            super().acquire(background=background)


def add_arguments(parser: CommandParser) -> None:
    """--sizes."""
    parser.add_argument(
        "--sizes", default="10000,100000,1000000", help="contacts of each account, with commas between"
    )


def run(options: Mapping[str, Any]) -> Figures:
    """Maintain one campaign of each account, in a scratch database."""
    with scratch.database():
        return measured(sorted(int(size) for size in options["sizes"].split(",")))


def measured(sizes: Sequence[int]) -> Figures:
    """The same in this database, which is emptied. Memory is the highest so far: the smallest come first."""
    each = [_maintained(Order(contacts, contacts * 250 // 3529)) for contacts in sizes]
    ratios = [one["requests_over_fewest"] for one in each]
    return Figures(
        figures={str(one["contacts"]): one for one in each},
        bounds=[Bound(figure="requests_over_fewest", value=max(ratios), at_most=1.2)],
        postgresql=postgresql(),
    )


def _maintained(order: Order) -> dict[str, Any]:
    with account.standing(order, budget=Quota, before=_takes_a_while) as scene:
        scene.control.settings(job_seconds=JOB_SECONDS)
        before = _peak_mebibytes()
        began_at, began, written = scene.now(), time.perf_counter(), counting.rows_written()
        started = driving.begin(scene)
        driven = driving.drive(started, scene, sleep=driving.on_its_clock)
        taken = scene.now() - began_at - driven.reviewed
        terms = fewest.terms(driven.run, scene)
        done = {name: driven.run.counts[name] for name in DONE}
        return {
            "contacts": order.contacts,
            **done,
            "minutes_on_mailjets_clock": taken / timedelta(minutes=1),
            "minutes_of_quota": driven.run.requests / PER_MINUTE,
            "requests": driven.run.requests,
            "fewest_requests": sum(terms.values()),
            "fewest_requests_by_term": terms,
            "requests_over_fewest": driven.run.requests / sum(terms.values()),
            "rows_written": counting.rows_written() - written,
            "peak_memory_mebibytes": _peak_mebibytes(),
            "peak_memory_mebibytes_before_the_run": before,
            **_own(driven, seconds=time.perf_counter() - began),
        }


def _own(driven: driving.Driven, *, seconds: float) -> dict[str, Any]:
    return {
        "seconds": seconds,
        "cpu_seconds": driven.cpu,
        "load_average": driving.load(),
        "seconds_by_step": driven.run.seconds,
    }


def _takes_a_while(serving: Serving) -> None:
    serving.world.advance(maintenance.REQUEST_SECONDS)


def _peak_mebibytes() -> float:
    """The most memory this process ever held."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB here
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


BENCHMARK = Benchmark(
    name="scale",
    help="Maintain a campaign of accounts of 10,000 to 1,000,000 contacts, on the stand-in's clock.",
    add_arguments=add_arguments,
    run=run,
)
