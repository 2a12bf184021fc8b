"""`python -m config.demo`, as `make demo` calls it."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack

import django
from django.core.exceptions import ImproperlyConfigured

from config import development, embedded, processes
from config import logging as structured_logging
from config.children import ChildEnded, Children, NoPage
from config.demo import asked as asking
from config.demo.asked import Asked, NotPossible
from config.embedded import EmbeddedServiceFailed
from config.environment import load_dotenv
from config.processes import AlreadyRuns, NoPort
from config.terminal import dim, doing, red, say

INTERRUPTED = 130  # as shells say it


def main() -> int:
    """Run the demo; returns the process's exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # also where a shell had it ignored
        signal.signal(number, signal.default_int_handler)
    try:
        asked = asking.read(os.environ)
        _take_environment(asked)
        return _run(asked)
    except (NotPossible, NoPort, EmbeddedServiceFailed, ChildEnded, NoPage, ImproperlyConfigured) as why:
        say(red(str(why)))
        return 1
    except AlreadyRuns:
        say(red("The demo of this checkout runs already, elsewhere. Stop it there with Ctrl-C first."))
        return 1


def _take_environment(asked: Asked) -> None:
    if not os.environ.get("ENV_FILE") and development.write_dotenv():
        say("Wrote .env for development.")
    load_dotenv()
    if others := asking.take_over(os.environ, asked):
        say(dim(f"{', '.join(others)}: left alone; the demo has services of its own."))


def _run(asked: Asked) -> int:
    where = embedded.directory()
    where.mkdir(parents=True, exist_ok=True)
    children = Children(where)
    with processes.alone(where, "demo"), ExitStack() as at_the_end:
        try:
            with doing("Starting PostgreSQL, Redis and the stand-ins for Mailjet, Slack and Gemini"):
                embedded.provide()
            if asked.gemini:
                os.environ.update(asking.as_model(os.environ["MAILJET_BASE_URL"]))
            at_the_end.callback(_stop, children)
            children.stop()  # what a demo that was killed has left
            if not asked.once:
                processes.check_port(asked.port, command="make demo")
            return _show(asked, children)
        except KeyboardInterrupt:
            return INTERRUPTED if asked.once else 0


def _show(asked: Asked, children: Children) -> int:
    import config.celery  # noqa: F401  (a nudge needs the app)

    django.setup()
    structured_logging.configure(level="ERROR")  # the terminal is for people; the children log in full
    from config.demo import showing

    return showing.once(asked, children) if asked.once else showing.served(asked, children)


def _stop(children: Children) -> None:
    """Nothing interrupts this: it ends by itself, soon."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if children.any_running():
        say("\nStopping …")
    children.stop()


if __name__ == "__main__":
    sys.exit(main())
