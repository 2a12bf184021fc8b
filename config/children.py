"""Web, worker and beat as children of one command: started from the Procfile's lines, watched, stopped."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from config import embedded, processes
from config.environment import BASE_DIR

ANSWERS_WITHIN_SECONDS = 60.0


class ChildEnded(RuntimeError):
    """A process that should run has ended. The message names it and shows the end of its log."""


class NoPage(RuntimeError):
    """The web process runs and shows no page. The message names its log."""


class Children:
    """The processes that one command started, by name."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, variables: Mapping[str, str]) -> None:
        """Start a line of the Procfile with these variables beside our own."""
        command = ["/bin/sh", "-c", f"exec {procfile()[name]}"]
        self._running[name] = processes.start(self._directory, name, command, env=environment(variables))

    def check(self) -> None:
        """Raise ChildEnded when one has ended."""
        for name, process in self._running.items():
            if (code := process.poll()) is not None:
                log = self.log_of(name)
                raise ChildEnded(
                    f"The {name} process ended (exit code {code}). Its log, {log}, ends:\n"
                    f"{processes.tail(log)}"
                )

    def wait_for_page(self, url: str) -> None:
        """Until the web process shows a page. Raises ChildEnded when one ended, and NoPage."""
        deadline = time.monotonic() + ANSWERS_WITHIN_SECONDS
        while (status := _status(url)) is None and time.monotonic() < deadline:
            self.check()
            time.sleep(0.1)
        if status != httpx.codes.OK:
            said = "does not answer" if status is None else f"answers with {status}"
            raise NoPage(f"The web process {said} at {url}. Its log: {self.log_of('web')}")

    def log_of(self, name: str) -> Path:
        """Where a child's output goes."""
        return processes.log_of(self._directory, name)

    def any_running(self) -> bool:
        """Whether there is anything to stop."""
        return any(processes.holder(self._directory, name) is not None for name in embedded.BESIDE)

    def stop(self) -> None:
        """End all of them, and whatever an earlier command that was killed has left."""
        for name in embedded.BESIDE:
            processes.stop(self._directory, name)
        self._running.clear()


def _status(url: str) -> int | None:
    """What it answers; None while it does not."""
    try:
        return httpx.get(url, timeout=10.0, trust_env=False).status_code
    except httpx.TransportError:
        return None


def procfile() -> dict[str, str]:
    """The Procfile's lines by name."""
    lines = (BASE_DIR / "Procfile").read_text().splitlines()
    return {name: command.strip() for name, command in (line.split(":", 1) for line in lines if line)}


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """What the Procfile's lines run with: our own commands first, and no file shared with other checkouts."""
    return {
        **os.environ,
        **variables,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONUNBUFFERED": "1",
        "GUNICORN_CMD_ARGS": f"{os.environ.get('GUNICORN_CMD_ARGS', '')} --no-control-socket",
    }
