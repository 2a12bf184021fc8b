"""What tests and the demo may turn on the stand-ins while they run."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any


class BadSetting(ValueError):
    """A setting that does not exist, or a value it cannot take."""


@dataclass(frozen=True)
class Settings:
    """The switches. They are kept over restarts and over a load."""

    job_seconds: float = 1.0
    """How long a bulk job takes from its acceptance to its effect, in seconds."""
    rate: int = 300
    """Requests to Mailjet answered in any 60 seconds; the next one gets a 429."""
    max_body: int = 1_048_576
    """Bytes; the connection of a larger request is cut, as Mailjet does somewhere above 10,000 contacts."""
    unknown_address_creates: bool = True
    """Whether remove and unsub of an unknown address create the contact (not documented by Mailjet)."""
    unsub_adds_nonmember: bool = False
    """Whether unsub of somebody who is not on the list leaves an unsubscribed membership behind."""
    campaign_lookup_seconds: float = 0.0
    """How long after its start a campaign is not yet found as ``mj.nl=<draft id>``."""

    def changed(self, values: Mapping[str, Any]) -> "Settings":
        """These settings with some replaced. Raises BadSetting."""
        known = {field.name: field.type for field in fields(self)}
        for name, value in values.items():
            if name not in known:
                raise BadSetting(f"unknown setting {name!r}; known are {sorted(known)}")
            _check_value(name, value, type(getattr(self, name)))
        return replace(self, **values)


def _check_value(name: str, value: Any, kind: type) -> None:
    is_flag = isinstance(value, bool)
    is_number = isinstance(value, int | float if kind is float else int) and not is_flag
    fits = is_flag if kind is bool else is_number and value >= 0
    if not fits:
        raise BadSetting(f"{name} must be a non-negative {kind.__name__}, not {value!r}")
