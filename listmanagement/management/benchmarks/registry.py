"""Every benchmark, by name. A new one is added here."""

from __future__ import annotations

from listmanagement.management.benchmarks import (
    agents,
    answers,
    cache,
    maintenance,
    mirror,
    prompts,
    scale,
    suppress,
    webhooks,
    weekly,
)
from listmanagement.management.benchmarks.report import Benchmark

_ALL = (agents, answers, cache, maintenance, mirror, prompts, scale, suppress, webhooks, weekly)

BENCHMARKS: dict[str, Benchmark] = {each.BENCHMARK.name: each.BENCHMARK for each in _ALL}
