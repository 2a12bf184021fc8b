"""A maintenance run as long as it takes: 3,529 contacts, 250 failures, services that take their time.

Time is real. Mailjet's and Slack's stand-ins answer after 150 ms, each bulk job takes 3 to 8 s, the model's
stand-in takes 3 s for each answer; 300 requests to Mailjet in any minute are enforced here and there.
Nothing came in by webhook, so servers' texts are asked for. The run suppresses, places and moves, and
everything waits for a review first; that takes an hour, on the stand-in's clock alone.

Active time is all of the wall's clock from the run's first step to its end, its waits for Mailjet's jobs
and for the budget included, and the messages that it sends; only the time between the question to a
reviewer and the yes is left out. `worked` leaves out the waits for Mailjet's jobs, too, as the run's own
page does.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

from django.core.management.base import CommandParser

from integrations.sandbox import Serving
from listmanagement.management.benchmarks import account, driving, fewest, scratch
from listmanagement.management.benchmarks.account import Order, Scene
from listmanagement.management.benchmarks.counting import PER_MINUTE
from listmanagement.management.benchmarks.driving import Driven
from listmanagement.management.benchmarks.report import Benchmark, Bound, Figures, postgresql
from listmanagement.models import RunStatus
from listmanagement.outside import GuardedBudget

REQUEST_SECONDS = 0.15
JOB_SECONDS = (3.0, 8.0)


def add_arguments(parser: CommandParser) -> None:
    """--contacts, --failures, --runs, --pace, --seed."""
    parser.add_argument("--contacts", type=int, default=3_529, help="of the account")
    parser.add_argument("--failures", type=int, default=250, help="of the campaign that is maintained")
    parser.add_argument("--runs", type=int, default=20, help="how often, each with an account of its own")
    add_pace(parser)
    parser.add_argument("--seed", type=int, default=1, help="of how long each job takes")


def add_pace(parser: CommandParser) -> None:
    """--pace."""
    parser.add_argument(
        "--pace",
        type=float,
        default=1.0,
        help="0.1 lets requests, jobs and answers take a tenth",
    )


def run(options: Mapping[str, Any]) -> Figures:
    """Maintain the campaign so often, in a scratch database."""
    with scratch.database():
        return measured(**{name: options[name] for name in ("contacts", "failures", "runs", "pace", "seed")})


def measured(*, contacts: int, failures: int, runs: int, pace: float, seed: int) -> Figures:
    """The same in this database, which is emptied: one run after the other."""
    dice, order = random.Random(seed), Order(contacts, failures)  # noqa: S311  (how long jobs take)
    each = [_maintained(order, dice=dice, pace=pace) for _ in range(runs)]
    slowest = max(each, key=lambda one: one["active_seconds"])
    ratios = [one["requests_over_fewest"] for one in each]
    figures = {
        "contacts": order.contacts,
        "failures": order.failures,
        "runs": len(each),
        "pace": pace,
        "slowest_active_seconds": slowest["active_seconds"],
        "median_active_seconds": sorted(one["active_seconds"] for one in each)[len(each) // 2],
        "slowest_worked_seconds": max(one["worked_seconds"] for one in each),
        "most_requests": max(one["requests"] for one in each),
        "each": each,
    }
    bounds = [
        Bound(figure="slowest_active_seconds", value=slowest["active_seconds"], below=60),
        Bound(figure="requests_over_fewest", value=max(ratios), at_most=1.2),
    ]
    return Figures(figures=figures, bounds=bounds, postgresql=postgresql())


def _maintained(order: Order, *, dice: random.Random, pace: float) -> dict[str, Any]:
    begin_job = partial(_set_job, dice=dice, pace=pace)
    with account.standing(order, budget=real_budget, before_write=begin_job) as scene:
        slow_down(scene, pace=pace)
        started = driving.begin(scene)
        driven = driving.drive(started, scene, sleep=driving.really)
        return {**told(driven, scene), **_against_the_fewest(driven, scene)}


def real_budget(serving: Serving) -> GuardedBudget:
    """The one that production has, counted in PostgreSQL by the clock on the wall."""
    del serving
    return GuardedBudget(per_minute=PER_MINUTE)


def _set_job(serving: Serving, *, dice: random.Random, pace: float) -> None:
    serving.world.change_settings({"job_seconds": pace * dice.uniform(*JOB_SECONDS)})


def slow_down(scene: Scene, *, pace: float, answer_seconds: float = 3.0) -> None:
    """Let the stand-ins take their time, from now on."""
    scene.control.fault(path="^/gemini/", delay_seconds=pace * answer_seconds)
    scene.control.fault(path="^/(v3|v4|slack)/", delay_seconds=pace * REQUEST_SECONDS)


def told(driven: Driven, scene: Scene) -> dict[str, Any]:
    """What a run that has ended took."""
    run = driven.run
    assert run.status == RunStatus.SUCCEEDED, f"the run ended {run.status}: {run.errors}"
    return {
        "active_seconds": round(driven.active, 3),
        "worked_seconds": round(driven.active - driven.waited, 3),
        "cpu_seconds": round(driven.cpu, 3),
        "load_average": driving.load(),
        "seconds_by_step": run.seconds,
        "answered_by_the_model": run.agent_calls.filter(source="model").count(),
        "requests": run.requests,
        "requests_by_kind": dict(sorted(scene.sent.items())),
    }


def _against_the_fewest(driven: Driven, scene: Scene) -> dict[str, Any]:
    terms = fewest.terms(driven.run, scene)
    done = Counter({name: driven.run.counts[name] for name in ("suppressed", "placed", "moved")})
    return {
        **done,
        "fewest_requests": sum(terms.values()),
        "fewest_requests_by_term": terms,
        "requests_over_fewest": driven.run.requests / sum(terms.values()),
    }


BENCHMARK = Benchmark(
    name="maintenance",
    help="Maintain a campaign with 250 failures, 20 times, at services that take their time.",
    add_arguments=add_arguments,
    run=run,
)
