"""What falls due by the clock: jobs, sends, and what happens to messages, each at its own moment.

Nothing runs in the background: whoever next looks at the world first lets happen what has become due, in
the order of its time, so the same requests at the same times always end in the same world.
"""

import sqlite3

from integrations.sandbox import jobs, sending
from integrations.sandbox.settings import Settings

_DUE = """
SELECT due_at AS at, 0 AS is_draft, id FROM jobs WHERE ended_at IS NULL AND fate <> 'hang' AND due_at <= :now
UNION ALL SELECT scheduled_at, 1, id FROM drafts WHERE status = 1 AND NOT overdue AND scheduled_at <= :now
ORDER BY 1, 2, 3
"""


def advance(db: sqlite3.Connection, *, now: float, settings: Settings) -> None:
    """Bring the whole world to where it stands at ``now``."""
    for due in db.execute(_DUE, {"now": now}).fetchall():
        sending.let_happen(db, until=due["at"], settings=settings)
        if due["is_draft"]:
            sending.send(db, due["id"], at=due["at"], settings=settings)
        else:
            jobs.finish(db, due["id"], settings=settings)
    sending.let_happen(db, until=now, settings=settings)
    sending.finish_sends(db, now=now, settings=settings)
    jobs.show_progress(db, now=now)
