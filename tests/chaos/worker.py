"""Our worker, in a process that kills itself at one instant: no cleaning up, no last word, as in a power cut.

Its own functions are wrapped here, which no other test does: the instant is inside of them, and the process
has to be a real one. `EVENKEEL_DIES_AT` names the instant, see `Death`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import django


def main() -> None:
    """Die as asked, otherwise work as the Procfile's worker does."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    _arrange(os.environ["EVENKEEL_DIES_AT"])
    from celery.__main__ import main as celery

    options = "-A config.celery worker --pool threads --concurrency 2 --loglevel warning"
    sys.argv = ["celery", *options.split()]
    celery()


def die() -> None:
    """At once."""
    os.kill(os.getpid(), signal.SIGKILL)


def _arrange(instant: str) -> None:
    """`step NAME before|during|after`, `write N before|after`, or `never`."""
    match instant.split():
        case ["never"]:
            return
        case ["step", name, when]:
            _die_in_step(name, when)
        case ["write", number, when]:
            _die_at_write(int(number), when)
        case other:
            raise SystemExit(f"EVENKEEL_DIES_AT: {other} is no instant")


STATEMENTS = 6
"""Of a step that it dies in the middle of, after so many; a step that asks fewer dies at its end."""


def _die_in_step(name: str, when: str) -> None:
    from django.db import connection

    from listmanagement.models import Step
    from listmanagement.workflows import runs
    from listmanagement.workflows.running.steps import Hand, Next, StepFunction

    def dying(step: StepFunction) -> StepFunction:
        def work(hand: Hand) -> Next:
            if when == "before":
                die()
            if when == "during":
                with connection.execute_wrapper(_after(STATEMENTS)):
                    step(hand)
                die()
            outcome = step(hand)
            die()
            return outcome

        return work

    runs.WORKFLOWS = {
        kind: {step: dying(work) if step == Step(name) else work for step, work in steps.items()}
        for kind, steps in runs.WORKFLOWS.items()
    }


def _after(statements: int) -> Callable[..., Any]:
    left = [statements]

    def count(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            die()
        return execute(sql, params, many, context)

    return count


def _die_at_write(number: int, when: str) -> None:
    from integrations.mailjet import Mailjet

    written = [0]

    def dying(submit: Callable[..., Any]) -> Callable[..., Any]:
        def work(self: Mailjet, **request: Any) -> Any:
            written[0] += 1
            dies_here = written[0] == number
            if dies_here and when == "before":
                die()
            job = submit(self, **request)
            if dies_here and when == "after":
                die()
            return job

        return work

    for name in ("submit", "submit_changes"):  # on one list, on several
        setattr(Mailjet, name, dying(getattr(Mailjet, name)))


if __name__ == "__main__":
    main()
