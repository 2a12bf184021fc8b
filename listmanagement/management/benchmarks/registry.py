"""Every benchmark, by name. A new one is added here."""

from __future__ import annotations

from listmanagement.management.benchmarks import answers, mirror, suppress, webhooks
from listmanagement.management.benchmarks.report import Benchmark

BENCHMARKS: dict[str, Benchmark] = {
    each.name: each for each in (answers.BENCHMARK, mirror.BENCHMARK, suppress.BENCHMARK, webhooks.BENCHMARK)
}
