"""`python -m config.serve`, as `make run` calls it: web, worker and beat with honcho, and what they need."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from subprocess import CalledProcessError

from config import children, development, embedded, processes
from config.embedded import EmbeddedServiceFailed
from config.environment import BASE_DIR, load_dotenv
from config.processes import AlreadyRuns, NoPort
from config.terminal import doing, red, say

PROCESSES = ("web", "worker", "beat")
MAKE_A_USER = ".venv/bin/python manage.py createsuperuser"


def main() -> int:
    """Serve until interrupted; returns the exit code."""
    if development.is_unconfigured(os.environ) and development.write_dotenv():
        say("Wrote .env for development.")
    load_dotenv()
    try:
        port = processes.port_of(os.environ)
        processes.check_port(port, command="make run")
        if os.environ.get("DEBUG", "").strip().lower() != "true":
            os.execve(sys.executable, _honcho(port), children.environment({}))  # noqa: S606  (our own command)
        return _serve_development(port)
    except (NoPort, EmbeddedServiceFailed, CalledProcessError) as why:
        say(red(str(why)))
    except AlreadyRuns:
        say(red("`make demo` or `make run` of this checkout runs already. Stop it there with Ctrl-C first."))
    return 1


def _serve_development(port: int) -> int:
    where = embedded.directory()
    where.mkdir(parents=True, exist_ok=True)
    address = {"HOST": "127.0.0.1", "SITE_URL": f"http://127.0.0.1:{port}"}
    with processes.alone(where, "demo"):
        with doing("Starting what no variable names: PostgreSQL, Redis, stand-ins"):
            embedded.provide()
        with doing("Migrating the database"):
            subprocess.run([sys.executable, "manage.py", "migrate", "--noinput"], cwd=BASE_DIR, check=True)
        say(f"Serving at {address['SITE_URL']}. Make a user: {MAKE_A_USER}")
        return _until_interrupted(where, _honcho(port), children.environment(address))


def _until_interrupted(where: Path, command: list[str], environment: dict[str, str]) -> int:
    """Run honcho; each way of asking us to end asks it to end what it started."""
    honcho = processes.start(where, embedded.HONCHO, command, stdout=None, stderr=None, env=environment)
    interrupted = threading.Event()

    def stop(*_: object) -> None:
        interrupted.set()
        honcho.terminate()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    code = honcho.wait()
    return 0 if interrupted.is_set() else code


def _honcho(port: int) -> list[str]:
    """Without the Procfile's release line, and without a `.env` of its own: ours is read already."""
    return [sys.executable, "-m", "honcho", "-e", os.devnull, "start", "-p", str(port), *PROCESSES]


if __name__ == "__main__":
    sys.exit(main())
