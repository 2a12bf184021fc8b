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
    campaign_lookup_seconds: float = 3.0
    """How long after its start a campaign is not yet found as ``mj.nl=<draft id>``."""
    late_unsub_recreates: bool = False
    """Whether an unsubscription from the mail of a list that the contact has left puts him back on it as
    unsubscribed (not documented by Mailjet); the event is told either way."""
    subscriber_count_lag_seconds: float = 0.0
    """How old the SubscriberCount of a list is."""
    stat_lag_seconds: float = 0.0
    """How old the figures of ``/statcounters`` and ``/campaignoverview`` are."""

    seed: int = 1
    """Which world it is: mailboxes and readers are drawn from it."""
    send_seconds: float = 0.0
    """How long a send takes from its first message to its last."""
    soft_retry_seconds: float = 259_200.0
    """How long Mailjet tries a deferred message before it is a soft bounce (about three days)."""
    dead_share: float = 0.01
    full_share: float = 0.003
    fading_share: float = 0.001
    blocked_elsewhere_share: float = 0.001
    unreachable_share: float = 0.002
    greylisting_share: float = 0.005
    complaint_share: float = 0.0003
    unsubscription_share: float = 0.002
    click_share: float = 0.02
    open_share: float = 0.2
    """Shares of 1: how many mailboxes, or how many messages to the good ones, fare like that."""
    preblock_seconds: float = 7_776_000.0
    """How long Mailjet refuses an address after a permanent bounce (90 days, unverified)."""
    preblock_for_ever: bool = False
    """Whether it refuses it for ever instead. After a complaint it always does."""

    webhook_group: int = 100
    """Events in one body of a grouped (version 2) webhook, at most."""
    webhook_lag_seconds: float = 0.0
    """How long after the fact an event is told."""
    webhook_shuffled: bool = False
    """Whether events are told in disorder."""
    webhook_duplicate_share: float = 0.0
    """Share of the events that are told a second time."""
    webhook_timeout_seconds: float = 10.0
    """How long the receiver may take to answer."""
    webhooks_held: bool = False
    """Whether nothing is delivered but on request (``POST /_sandbox/deliveries``)."""

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
    if fits and name.endswith("_share") and value > 1:
        raise BadSetting(f"{name} must be a share from 0 to 1, not {value!r}")
    if not fits:
        raise BadSetting(f"{name} must be a non-negative {kind.__name__}, not {value!r}")
