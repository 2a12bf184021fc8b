"""Processes on this machine that are known by a lock instead of by their pid.

Each holds an `flock` on a file of its own from before its first instruction to its last moment, and its
children inherit it. The kernel lets go of it however they end, so that neither a stale pid, nor one that
something else got since, nor a zombie is ever taken for a process of ours.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

BASE_DIR = Path(__file__).resolve().parent.parent
TAIL_LINES = 15
SIGNED_WITHIN_SECONDS = 5.0
_children: dict[int, subprocess.Popen[bytes]] = {}  # kept until they ended, so that none becomes a zombie


class AlreadyRuns(RuntimeError):
    """A process with this name runs already. The message names its lock."""


class NoPort(RuntimeError):
    """The port cannot be listened on. The message says what to do."""


class WouldNotEnd(RuntimeError):
    """A process did not even end when it was killed. The message names it and its pid."""


def start(
    directory: Path,
    name: str,
    command: Sequence[str],
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own; what it prints goes to `NAME.log`, the log before to `.old`.

    `options` are Popen's. Raises AlreadyRuns, and OSError where the command cannot be started.
    """
    lock = os.open(directory / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(lock, name)
        with _new_log(directory, name).open("wb") as output:
            process = subprocess.Popen(  # noqa: S603  (our own commands)
                list(command),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=[lock],
                preexec_fn=partial(_sign, lock),
                **{"stdout": output, "stderr": subprocess.STDOUT, "cwd": BASE_DIR, **options},
            )
    finally:
        os.close(lock)
    _children[process.pid] = process
    return process


def _take(lock: int, name: str) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as held:
        raise AlreadyRuns(f"{name} runs already: its lock is held") from held
    os.ftruncate(lock, 0)  # whoever held it before is gone


def _sign(lock: int) -> None:
    """Write this process's pid into the lock that it holds."""
    os.pwrite(lock, str(os.getpid()).encode(), 0)


def _new_log(directory: Path, name: str) -> Path:
    log = log_of(directory, name)
    with suppress(FileNotFoundError):
        log.replace(log.with_suffix(".log.old"))
    return log


def log_of(directory: Path, name: str) -> Path:
    """Where a process's output goes."""
    return directory / f"{name}.log"


def tail(log: Path) -> str:
    """The last lines of a log, indented; empty where there is none."""
    if not log.exists():
        return ""
    lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
    return "\n".join(f"  {line}" for line in lines)


def holder(directory: Path, name: str) -> int | None:
    """The pid of the process with this name; None when none runs."""
    path = directory / f"{name}.lock"
    deadline = time.monotonic() + SIGNED_WITHIN_SECONDS
    while (signed := _signature(path)) == "":  # it is just being started
        if time.monotonic() > deadline:
            raise WouldNotEnd(f"somebody holds {path} who did not sign it: find out who, and end it")
        time.sleep(0.01)
    return None if signed is None else int(signed)


def _signature(path: Path) -> str | None:
    """What stands in a lock that is held; None when it is free."""
    if not path.exists():
        return None
    with path.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return lock.read()
    return None


def stop(directory: Path, name: str, *, by: signal.Signals = signal.SIGTERM, patience: float = 10.0) -> None:
    """End a process, if it runs: with the signal, and after so many seconds with SIGKILL.

    Returns when it and every child that shared its lock have ended. Raises WouldNotEnd.
    """
    pid = holder(directory, name)
    if pid is None:
        return
    _signal(os.kill, pid, by)
    if not _ended(directory, name, within=patience):
        _signal(os.killpg, pid, signal.SIGKILL)
        if not _ended(directory, name, within=patience):
            raise WouldNotEnd(f"{name} (pid {pid}) does not end, not even when killed")
    if pid in _children:
        _children.pop(pid).wait()


def let_live() -> None:
    """Let go of what was started here and lives on: somebody else will end it."""
    for process in _children.values():
        process.poll()
        process.returncode = process.returncode or 0  # or its object would complain that it still runs
    _children.clear()


def _signal(send: Callable[[int, int], None], pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it ended by itself a moment ago
        send(pid, number)


def _ended(directory: Path, name: str, *, within: float) -> bool:
    deadline = time.monotonic() + within
    while holder(directory, name) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def alone(directory: Path, name: str) -> Iterator[None]:
    """Only one process does this at a time. Raises AlreadyRuns."""
    lock = os.open(directory / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(lock, name)
        _sign(lock)
        yield
    finally:
        os.close(lock)


def port_of(variables: Mapping[str, str]) -> int:
    """PORT, or 8000. Raises NoPort where it is no port."""
    given = variables.get("PORT", "").strip() or "8000"
    if not given.isdecimal() or not 1 <= int(given) <= 65535:
        raise NoPort(f"PORT is {given!r}: it must be a number from 1 to 65535")
    return int(given)


def check_port(port: int, *, command: str) -> None:
    """Raise NoPort where something listens on this port of 127.0.0.1."""
    if not _is_free(port):
        other = next(each for each in (*range(port + 1, 65536), *range(1024, port)) if _is_free(each))
        raise NoPort(f"Port {port} of 127.0.0.1 is in use. Take another one: PORT={other} {command}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
