"""How long something takes: by the clock, and of processors, which tells more where others work, too."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.db import connection


@dataclass(frozen=True)
class Taken:
    """What something took."""

    seconds: float
    own_cpu_seconds: float
    """Of this process."""
    postgresql_cpu_seconds: float
    """Of PostgreSQL's process for this connection, where it runs on this machine; else 0."""

    @property
    def cpu_seconds(self) -> float:
        """Of both."""
        return self.own_cpu_seconds + self.postgresql_cpu_seconds

    def figures(self, name: str) -> dict[str, float]:
        """As a report shows it."""
        return {
            f"{name}_seconds": self.seconds,
            f"{name}_cpu_seconds": self.own_cpu_seconds,
            f"{name}_postgresql_cpu_seconds": self.postgresql_cpu_seconds,
        }


@contextmanager
def timed() -> Iterator[list[Taken]]:
    """The list holds what the block took, once it has ended."""
    taken: list[Taken] = []
    wall, own, theirs = time.perf_counter(), time.process_time(), _postgresql_cpu_seconds()
    yield taken
    taken.append(
        Taken(
            seconds=time.perf_counter() - wall,
            own_cpu_seconds=time.process_time() - own,
            postgresql_cpu_seconds=_postgresql_cpu_seconds() - theirs,
        )
    )


def _postgresql_cpu_seconds() -> float:
    with connection.cursor() as cursor:
        cursor.execute("select pg_backend_pid(), inet_server_addr() is null")
        pid, is_here = cursor.fetchone()
    process = Path(f"/proc/{pid}")
    if not is_here or not (process / "stat").exists():
        return 0.0
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])
    return (user + system) / os.sysconf("SC_CLK_TCK")
