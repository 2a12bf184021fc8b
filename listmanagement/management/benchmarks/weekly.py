"""The weekly health check as long as it takes, at services that take their time.

The account, the pace of the stand-ins and what counts as active are those of `benchmark maintenance`. The
check asks three agents, the first two side by side, and reads what is older than ten minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from listmanagement.management.benchmarks import account, driving, maintenance, scratch
from listmanagement.management.benchmarks.account import Order
from listmanagement.management.benchmarks.report import Benchmark, Bound, Figures, postgresql
from listmanagement.models import ListHealth, Trigger
from listmanagement.workflows.weekly import weekly_health


def add_arguments(parser: CommandParser) -> None:
    """--contacts, --failures, --runs, --pace."""
    parser.add_argument("--contacts", type=int, default=3_529, help="of the account")
    parser.add_argument("--failures", type=int, default=250, help="of the latest campaign")
    parser.add_argument("--runs", type=int, default=5, help="how often, each with an account of its own")
    maintenance.add_pace(parser)


def run(options: Mapping[str, Any]) -> Figures:
    """Check so often, in a scratch database."""
    with scratch.database():
        return measured(**{name: options[name] for name in ("contacts", "failures", "runs", "pace")})


def measured(*, contacts: int, failures: int, runs: int, pace: float) -> Figures:
    """The same in this database, which is emptied: one run after the other."""
    order = Order(contacts, failures)
    each = [_checked(order, pace=pace) for _ in range(runs)]
    slowest = max(one["active_seconds"] for one in each)
    figures = {
        "contacts": order.contacts,
        "runs": len(each),
        "pace": pace,
        "slowest_active_seconds": slowest,
        "each": each,
    }
    bounds = [Bound(figure="slowest_active_seconds", value=slowest, below=30)]
    return Figures(figures=figures, bounds=bounds, postgresql=postgresql())


def _checked(order: Order, *, pace: float) -> dict[str, Any]:
    with account.standing(order, budget=maintenance.real_budget) as scene:
        maintenance.slow_down(scene, pace=pace)
        started = weekly_health.start(
            trigger=Trigger.SCHEDULE, by=None, configuration=scene.outside.configuration, now=scene.now()
        )
        driven = driving.drive(started, scene, sleep=driving.really)
        return {**maintenance.told(driven, scene), "lists": ListHealth.objects.count()}


BENCHMARK = Benchmark(
    name="weekly",
    help="Check the lists' health once, at services that take their time.",
    add_arguments=add_arguments,
    run=run,
)
