"""What the demo was asked for, and the environment that it gives itself."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from config import processes
from listmanagement.workflows.demo.world import Scenario

SET_ASIDE = (
    "DATABASE_URL",
    "REDIS_URL",
    "MAILJET_API_KEY",
    "MAILJET_API_SECRET",
    "MAILJET_BASE_URL",
    "SLACK_BOT_TOKEN",
    "SLACK_CHANNEL",
    "SLACK_WEBHOOK_URL",
    "SLACK_API_BASE_URL",
    "GEMINI_API_KEY",
    "GEMINI_BASE_URL",
    "DNS_RESOLVER",
    "SENTRY_DSN",
    "ALLOWED_HOSTS",
)
"""Where these lead, the demo has something of its own: it never touches anybody's database or account."""

_WORTH_SAYING = ("DATABASE_URL", "REDIS_URL", "MAILJET_API_KEY", "SLACK_BOT_TOKEN", "SLACK_WEBHOOK_URL")
_YES, _NO = ("1", "true", "yes"), ("", "0", "false", "no")


class NotPossible(Exception):
    """The demo cannot do this. The message says what to do."""


@dataclass(frozen=True)
class Asked:
    """`make demo ONCE=… RESET=… SCENARIO=… GEMINI=… PORT=…`."""

    once: bool
    reset: bool
    scenario: Scenario
    fresh: bool
    """Start from a new seed, whatever there is."""
    gemini: bool
    """A model judges, for which a stand-in answers; else rules do."""
    port: int

    @property
    def address(self) -> str:
        """Where the console is served."""
        return f"http://127.0.0.1:{self.port}"


def read(variables: Mapping[str, str]) -> Asked:
    """What was asked for. Raises NotPossible or NoPort, naming the variable and what is allowed."""
    once, reset = _flag(variables, "ONCE"), _flag(variables, "RESET")
    scenario = variables.get("SCENARIO", "").strip()
    return Asked(
        once=once,
        reset=reset,
        scenario=_scenario(scenario),
        fresh=once or reset or bool(scenario),
        gemini=_flag(variables, "GEMINI"),
        port=processes.port_of(variables),
    )


def as_model(stand_ins: str) -> dict[str, str]:
    """The variables that let the stand-in for Gemini judge, by the stand-ins' address."""
    return {"GEMINI_BASE_URL": f"{stand_ins}/gemini", "GEMINI_API_KEY": "sandbox"}


def _flag(variables: Mapping[str, str], name: str) -> bool:
    given = variables.get(name, "").strip().lower()
    if given not in _YES + _NO:
        raise NotPossible(f"{name} is {given!r}: it must be 1, or not given")
    return given in _YES


def _scenario(given: str) -> Scenario:
    if given and given not in [*Scenario]:
        raise NotPossible(f"SCENARIO is {given!r}: it must be one of {', '.join(Scenario)}")
    return Scenario(given) if given else Scenario.BETWEEN_CYCLES


def take_over(environment: MutableMapping[str, str], asked: Asked) -> list[str]:
    """Lead the environment to the demo's own services. Returns the variables of others that were set aside.

    Raises NotPossible where it is set up for production.
    """
    if environment.get("DEBUG", "").strip().lower() != "true":
        raise NotPossible(
            f"DEBUG is {environment.get('DEBUG', '')!r}: the demo runs in development only. Use a checkout "
            "that serves nobody, and there DEBUG=true in .env, or no .env: then one is written"
        )
    others = [name for name in _WORTH_SAYING if environment.get(name)]
    environment.update(dict.fromkeys(SET_ASIDE, ""))
    environment.update({"SITE_URL": asked.address, "PYTHONUNBUFFERED": "1"})
    return others
