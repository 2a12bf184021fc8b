"""PostgreSQL, Redis and the stand-ins from wheels, where none is configured.

For the demo, the tests and a first look; never in production. Whoever needs them calls `provide()`: the
first one starts what is missing, the last one to end stops it. Users are counted with a shared file lock,
which the kernel releases however a process ends. Where the last one is killed, an undertaker, a process
that only waits for that, stops the services in its place, and whatever else was started beside them.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from config import processes, services
from config.environment import BASE_DIR, load_dotenv
from config.services import POSTGRES, REDIS, STAND_INS, EmbeddedServiceFailed, Service

__all__ = ["EmbeddedServiceFailed", "directory", "provide"]

HONCHO = "honcho"
BESIDE = (HONCHO, "web", "beat", "worker")
"""What `make run` and `make demo` start beside the services, under locks too; stopped before them."""

_UNDERTAKER = "undertaker"
_held: list[IO[str]] = []


def provide() -> None:
    """Set DATABASE_URL, REDIS_URL and, without Mailjet keys, the stand-ins' addresses, where missing.

    Does nothing unless DEBUG is true: production names its own services. Raises EmbeddedServiceFailed.
    """
    load_dotenv()
    if os.environ.get("DEBUG", "").strip().lower() != "true":
        return
    missing = [name for name in _PROVIDED if not os.environ.get(name)]
    if "MAILJET_BASE_URL" in missing and os.environ.get("MAILJET_API_KEY"):
        missing.remove("MAILJET_BASE_URL")
    if missing and not _held:
        _hold(directory())
    for name in missing:
        service, as_variables = _PROVIDED[name]
        os.environ.update(as_variables(services.running(directory(), service)))


def directory() -> Path:
    """Where the services keep their files, locks and logs."""
    return Path(os.environ.get("EVENKEEL_HOME") or BASE_DIR / ".evenkeel").absolute() / "services"


def _stand_in_variables(address: Mapping[str, str]) -> dict[str, str]:
    base = address["url"]
    found = {"MAILJET_BASE_URL": base, "MAILJET_API_KEY": "sandbox", "MAILJET_API_SECRET": "sandbox"}
    if not os.environ.get("DNS_RESOLVER"):
        found["DNS_RESOLVER"] = address["resolver"]
    if not os.environ.get("SLACK_WEBHOOK_URL") and not os.environ.get("SLACK_BOT_TOKEN"):
        found |= {
            "SLACK_BOT_TOKEN": "xoxb-sandbox",
            "SLACK_CHANNEL": "C0SANDBOX",
            "SLACK_API_BASE_URL": f"{base}/slack/api/",
        }
    return found


_PROVIDED: dict[str, tuple[Service, Callable[[Mapping[str, str]], dict[str, str]]]] = {
    "DATABASE_URL": (POSTGRES, lambda address: {"DATABASE_URL": services.database_url(address)}),
    "REDIS_URL": (REDIS, lambda address: {"REDIS_URL": address["url"]}),
    "MAILJET_BASE_URL": (STAND_INS, _stand_in_variables),
}


# --- Who uses them -----------------------------------------------------------------------------------


def _hold(where: Path) -> None:
    """Count this process among the users, until it ends. Waits while the last user before it cleans up."""
    where.mkdir(parents=True, exist_ok=True)
    users = (where / "users.lock").open("w")
    fcntl.flock(users, fcntl.LOCK_SH)
    _held.append(users)
    atexit.register(_release, where, os.getpid())
    try:
        processes.start(where, _UNDERTAKER, [sys.executable, "-m", "config.embedded", str(where)])
    except processes.AlreadyRuns:
        return


def _release(where: Path, pid: int) -> None:
    """Stop the services, when nobody else uses them."""
    if os.getpid() != pid:  # a forked child inherits the handler, not the duty
        return
    users = _held.pop()
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        users.close()
        processes.let_live()
        return
    _stop_all(where)
    processes.stop(where, _UNDERTAKER)  # last: should this process be killed here, the undertaker goes on
    users.close()


def _stop_all(where: Path) -> None:
    for name in BESIDE:
        processes.stop(where, name)
    for service in (STAND_INS, REDIS, POSTGRES):
        services.stop(where, service)


def _outlive_users(where: Path) -> None:
    """The undertaker: wait until no user is left, then stop everything."""
    with (where / "users.lock").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_EX)
        _stop_all(where)
        os.closerange(3, users.fileno())  # its own lock first: whoever comes next starts another undertaker


if __name__ == "__main__":
    _outlive_users(Path(sys.argv[1]))
