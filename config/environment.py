"""Reads the environment: each variable with its name, its type and what is allowed.

Problems are collected, so that a start that fails names all of them at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import environ

T = TypeVar("T")
BASE_DIR = Path(__file__).resolve().parent.parent
_CAMPAIGN_LIST = re.compile(r"MAILJET_CAMPAIGN_LIST_(\d+)_ID")


def load_dotenv() -> None:
    """Fill what the environment does not set from `.env`, or the file that ENV_FILE names, if it exists."""
    path = Path(os.environ.get("ENV_FILE", BASE_DIR / ".env"))
    if path.is_file():
        environ.Env.read_env(path)


def _is_url(value: str, schemes: tuple[str, ...]) -> bool:
    """Whether it has one of the schemes, and a host and a port that make sense."""
    try:
        parts = urlsplit(value)
        return parts.scheme in schemes and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number, an address with an open bracket
        return False


def _as_socket(value: str) -> tuple[str, int]:
    """An IP address with a port, as in 127.0.0.1:53 or [::1]:53. Raises ValueError."""
    parts = urlsplit(f"//{value}")
    if not parts.port or not parts.hostname or parts.netloc != value or "@" in value:
        raise ValueError(value)
    return str(ip_address(parts.hostname)), parts.port


def is_this_machine(url: str) -> bool:
    """Whether a URL leads to this machine, as a stand-in's does."""
    host = urlsplit(url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_unspecified


class Environment:
    """The environment's variables, read one by one; `problems` holds what was wrong."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.problems: list[str] = []

    def text(self, name: str, *, default: str | None = None, allowed: str = "a text") -> str:
        """A variable as it stands. Without a default it must be set."""
        value = self._variables.get(name, "").strip()
        if value:
            return value
        if default is None:
            self.problems.append(f"{name} is not set: it must be {allowed}")
            return ""
        return default

    def secret(self, name: str) -> str:
        """A secret, empty when unset. It is never printed."""
        return self._variables.get(name, "").strip()

    def flag(self, name: str, *, default: bool) -> bool:
        """`true` or `false`; anything else is a problem, never a silent false."""
        words = {"true": True, "false": False}
        return self._parse(name, words.__getitem__, default=default, allowed="true or false", lower=True)

    def whole_number(
        self, name: str, *, default: int | None = None, at_least: int = 1, at_most: int = 2**63 - 1
    ) -> int:
        """A whole number between two bounds, both allowed."""
        allowed = f"a whole number from {at_least}" + (f" to {at_most}" if at_most < 2**63 - 1 else "")

        def parse(value: str) -> int:
            number = int(value)
            if not at_least <= number <= at_most:
                raise ValueError(value)
            return number

        return self._parse(name, parse, default=default, allowed=allowed, missing=0)

    def number(self, name: str, *, default: float, at_least: float, at_most: float) -> float:
        """A number between two bounds, both allowed."""

        def parse(value: str) -> float:
            number = float(value)
            if not at_least <= number <= at_most:  # also not a number
                raise ValueError(value)
            return number

        allowed = f"a number from {at_least:g} to {at_most:g}"
        return self._parse(name, parse, default=default, allowed=allowed)

    def word(self, name: str, *, default: str, pattern: str, allowed: str) -> str:
        """A word of a stated form."""

        def parse(value: str) -> str:
            if not re.fullmatch(pattern, value):
                raise ValueError(value)
            return value

        return self._parse(name, parse, default=default, allowed=allowed)

    def url(self, name: str, *, default: str | None = None, schemes: tuple[str, ...]) -> str:
        """A URL with one of these schemes. Its value may hold a password, so it is not printed."""
        allowed = "a URL beginning with " + " or ".join(f"{scheme}://" for scheme in schemes)
        value = self.text(name, default=default, allowed=allowed)
        if value and not _is_url(value, schemes):
            self.problems.append(f"{name} is not usable (value not shown): it must be {allowed}")
            return ""
        return value

    def socket(self, name: str) -> tuple[str, int] | None:
        """An IP address with a port; None when unset."""
        allowed = "an IP address with a port, such as 127.0.0.1:53 or [::1]:53"
        if not self._variables.get(name, "").strip():
            return None
        return self._parse(name, _as_socket, default=("127.0.0.1", 53), allowed=allowed)

    def words(self, name: str) -> list[str]:
        """A list separated by commas."""
        return [word.strip() for word in self._variables.get(name, "").split(",") if word.strip()]

    def campaign_lists(self) -> tuple[int, ...]:
        """MAILJET_CAMPAIGN_LIST_1_ID … _n_ID: at least two, without a gap."""
        numbers = sorted(
            int(found[1]) for name in self._variables if (found := _CAMPAIGN_LIST.fullmatch(name))
        )
        wanted = list(range(1, max(2, len(numbers)) + 1))
        if numbers and numbers != wanted:
            missing = ", ".join(f"MAILJET_CAMPAIGN_LIST_{n}_ID" for n in sorted(set(wanted) - set(numbers)))
            self.problems.append(
                f"the campaign lists must be numbered 1, 2, 3 … without a gap: {missing} is missing"
            )
        return tuple(self.whole_number(f"MAILJET_CAMPAIGN_LIST_{n}_ID") for n in numbers or wanted)

    def _parse(
        self,
        name: str,
        parse: Callable[[str], T],
        *,
        allowed: str,
        default: T | None,
        missing: T | None = None,
        lower: bool = False,
    ) -> T:
        value = self._variables.get(name, "").strip()
        fallback = missing if default is None else default
        assert fallback is not None
        if not value:
            if default is None:
                self.problems.append(f"{name} is not set: it must be {allowed}")
            return fallback
        try:
            return parse(value.lower() if lower else value)
        except (ValueError, KeyError):
            self.problems.append(f"{name} is {value!r}: it must be {allowed}")
            return fallback
