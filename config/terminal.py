"""What commands say to a person: plain lines; colours and running clocks on a terminal only."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

WORTH_TELLING_SECONDS = 2.0
_BOLD, _DIM, _RED, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[0m"


def say(text: str = "") -> None:
    """One or more lines."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def bold(text: str) -> str:
    """Stronger, on a terminal."""
    return _coloured(text, _BOLD)


def dim(text: str) -> str:
    """Weaker, on a terminal."""
    return _coloured(text, _DIM)


def red(text: str) -> str:
    """Something went wrong, on a terminal."""
    return _coloured(text, _RED)


def _coloured(text: str, colour: str) -> str:
    return f"{colour}{text}{_PLAIN}" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Say what is done before it is done, and how long it took where that was long."""
    say(f"{what} …")
    started = time.monotonic()
    yield
    seconds = time.monotonic() - started
    if seconds > WORTH_TELLING_SECONDS:
        say(dim(f"  {seconds:.0f} s"))
