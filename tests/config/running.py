"""Starts a process that uses the embedded services of a home, and tells where they are."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
USER = """
import json, os, sys
from config import embedded, processes
embedded.provide()
for name in sys.argv[1:]:
    processes.start(embedded.directory(), name, ["sleep", "600"])
names = ("DATABASE_URL", "REDIS_URL", "MAILJET_BASE_URL", "SLACK_API_BASE_URL")
print(json.dumps({name: os.environ.get(name) for name in names}), flush=True)
sys.stdin.read()
"""


def bare(**variables: str) -> dict[str, str]:
    """An environment with nothing in it but these."""
    return {"PATH": os.environ["PATH"], "ENV_FILE": os.devnull, **variables}


@dataclass
class User:
    """A process that uses embedded services."""

    process: subprocess.Popen[str]
    addresses: dict[str, str | None]

    def end(self) -> None:
        """Let it end by itself."""
        self.process.communicate(timeout=60)

    def kill(self) -> None:
        """End it without a chance to clean up."""
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


@contextmanager
def user(home: Path, *beside: str, **variables: str) -> Iterator[User]:
    """A user of `home`, that also starts processes of these names beside the services."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER, *beside],
        cwd=ROOT,
        env=bare(DEBUG="true", EVENKEEL_HOME=str(home), **variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the user of embedded services did not start"
    found: dict[str, Any] = json.loads(line)
    using = User(process, found)
    try:
        yield using
    finally:
        if process.poll() is None:
            using.end()
