"""Says whether the cache is there and how often what pages asked for was in it."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from integrations.cache import Tally
from listmanagement import outside


class Command(BaseCommand):
    """The hit rate of the last seven days."""

    help = "Whether Redis answers, and how often pages found what they asked the cache for, day by day."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--json."""
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read the tallies and print them."""
        found = outside.cache().tallies()
        if options["json"]:
            days = [_as_json(each) for each in found or ()]
            self.stdout.write(json.dumps({"is_there": found is not None, "days": days}))
        elif found is None:
            self.stdout.write("Redis does not answer: pages count everything themselves, which is slower.")
        else:
            self.stdout.write("\n".join(["Redis answers. Asked for, by day (UTC):", *map(_line, found)]))


def _as_json(tally: Tally) -> dict[str, Any]:
    counts = {"hits": tally.hits, "misses": tally.misses, "failures": tally.failures}
    return {"day": tally.day.isoformat(), **counts, "hit_rate": tally.rate}


def _line(tally: Tally) -> str:
    if tally.rate is None and not tally.failures:
        return f"  {tally.day}: nothing"
    rate = "–" if tally.rate is None else f"{tally.rate:.1%}"
    return (
        f"  {tally.day}: {rate} found ({tally.hits:,} hits, {tally.misses:,} misses), "
        f"Redis did not answer {tally.failures:,} times"
    )
