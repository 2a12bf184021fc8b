"""What the stand-ins remember, in one SQLite file, and what may be done to all of it at once.

One connection behind one lock: a request is one transaction, so that whoever kills the process finds
afterwards either all of a request's effect or none of it.
"""

import json
import re
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from integrations.sandbox import agenda, sending
from integrations.sandbox import document as documents
from integrations.sandbox import population as populations
from integrations.sandbox.clock import Clock
from integrations.sandbox.places import Database
from integrations.sandbox.population import Population
from integrations.sandbox.schema import EMPTIED_BY_A_LOAD, FIRST_IDS, bring_up_to_date
from integrations.sandbox.settings import BadSetting, Settings


class World:
    """The stand-ins' state. Safe to use from several threads."""

    def __init__(self, directory: Path | str) -> None:
        """Open the world kept in a directory, creating both where they do not exist."""
        self._directory = Path(directory)
        self._directory.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(
            self._directory / "sandbox.sqlite3",
            isolation_level=None,
            check_same_thread=False,
            factory=Database,
        )
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        bring_up_to_date(self._db)
        sending.prepare(self._db)
        self._db.create_function("counted_until", 0, self._counted_until)
        if self._db.execute("SELECT 1 FROM sqlite_sequence").fetchone() is None:
            _start_ids(self._db)
        self.settings = Settings().changed(self._remembered("settings", {}))
        self.clock = Clock(offset=self._remembered("clock_offset", 0.0))

    def close(self) -> None:
        """Let go of the file. The world must not be used afterwards."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing, alone; what has become due happens first."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                agenda.advance(self._db, now=self.clock.now(), settings=self.settings)
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                self._db.forget_places()
                raise
            self._db.execute("COMMIT")

    def load(self, document: Mapping[str, Any]) -> None:
        """Replace the whole world, its jobs, change log and Slack messages by a document.

        Settings and clock stay. Raises BadDocument and leaves everything as it was.
        """
        with self.transaction() as db:
            empty(db)
            documents.write(db, document)
            sending.leave_overdue(db, now=self.clock.now())
            if "preblocks" not in document:
                sending.remember_blocks(db, now=self.clock.now(), settings=self.settings)

    def populate(self, population: Population) -> None:
        """Replace the whole world by a generated one. Settings and clock stay."""
        with self.transaction() as db:
            empty(db)
            populations.write(db, population, now=self.clock.now())

    def save(self, name: str) -> Path:
        """Keep everything, clock and settings included, under a name; returns the file."""
        file = self._snapshot(name)
        with self.transaction():
            pass  # what is due belongs in it
        with self._lock, closing(sqlite3.connect(file)) as target:
            self._db.backup(target)
        return file

    def restore(self, name: str) -> None:
        """Bring back everything that was kept under a name. Raises BadSetting where nothing was."""
        file = self._snapshot(name)
        if not file.exists():
            raise BadSetting(f"nothing is saved as {name!r}")
        with self._lock:
            with closing(sqlite3.connect(file)) as source:
                source.backup(self._db)
            self._db.forget_places()
            bring_up_to_date(self._db)
            self.settings = Settings().changed(self._remembered("settings", {}))
            self.clock.offset = self._remembered("clock_offset", 0.0)

    def _snapshot(self, name: str) -> Path:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name):
            raise BadSetting(f"a name of small letters, digits, - and _ is expected, not {name!r}")
        return self._directory / f"{name}.saved.sqlite3"

    def dump(self) -> dict[str, list[dict[str, Any]]]:
        """The whole world as a document that :meth:`load` accepts; times in whole seconds."""
        with self.transaction() as db:
            return documents.read(db)

    def summary(self) -> dict[str, Any]:
        """Rows per table, jobs under way, settings, and the clock."""
        with self.transaction() as db:
            counts = {table: _count(db, table) for table in EMPTIED_BY_A_LOAD}
            running = db.execute("SELECT count(*) FROM jobs WHERE ended_at IS NULL").fetchone()[0]
        return {
            "counts": counts,
            "jobs_under_way": running,
            "settings": asdict(self.settings),
            "now": self.clock.now(),
            "clock_offset": self.clock.offset,
        }

    def members(self, list_id: int) -> dict[int, bool]:
        """Who is on a list, by contact id, and whether unsubscribed there."""
        with self.transaction() as db:
            rows = db.execute(
                "SELECT contact_id, unsubscribed FROM memberships WHERE list_id = ? ORDER BY contact_id",
                (list_id,),
            )
            return {row["contact_id"]: bool(row["unsubscribed"]) for row in rows}

    def changes(self, *, since: int = 0) -> list[dict[str, Any]]:
        """Every membership change with an id above ``since``, oldest first. A no-op is not in it."""
        with self.transaction() as db:
            rows = db.execute("SELECT * FROM changes WHERE id > ? ORDER BY id", (since,))
            return [dict(row) for row in rows]

    def change_settings(self, values: Mapping[str, Any]) -> Settings:
        """Replace some settings, for good. Raises BadSetting."""
        with self.transaction() as db:
            changed = self.settings.changed(values)
            _remember(db, "settings", asdict(changed))
            self.settings = changed
        return changed

    def advance(self, seconds: float) -> float:
        """Move the clock forward, for good; returns the new now. Raises BadSetting for a negative step."""
        if seconds < 0:
            raise BadSetting(f"the clock only moves forward, not by {seconds}")
        with self.transaction() as db:
            _remember(db, "clock_offset", self.clock.offset + seconds)
            self.clock.offset += seconds
        return self.clock.now()

    def has_callbacks(self) -> bool:
        """Whether anybody wants to be told of events."""
        with self._lock:
            return self._db.execute("SELECT 1 FROM callbacks LIMIT 1").fetchone() is not None

    def _counted_until(self) -> float:
        """The moment that SubscriberCount stands at, for SQL."""
        return self.clock.now() - self.settings.subscriber_count_lag_seconds

    def _remembered(self, name: str, unset: Any) -> Any:
        row = self._db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return json.loads(row["value"]) if row else unset


def empty(db: sqlite3.Connection) -> None:
    """Take every row out and start the ids anew."""
    for table in EMPTIED_BY_A_LOAD:
        db.execute(" ".join(["DELETE FROM", table]))
    _start_ids(db)


def _start_ids(db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM sqlite_sequence")
    db.executemany("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", FIRST_IDS.items())


def _remember(db: sqlite3.Connection, name: str, value: Any) -> None:
    db.execute("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", (name, json.dumps(value)))


def _count(db: sqlite3.Connection, table: str) -> int:
    return int(db.execute(" ".join(["SELECT count(*) FROM", table])).fetchone()[0])
