"""Where Mailjet tells events: which of its event URLs are ours, and what each kind of event is good for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import SplitResult, quote, urlencode, urlsplit, urlunsplit

from integrations.mailjet import EventKind
from listmanagement.outside import Configuration

PATH = "/webhooks/mailjet/"

LOST: Mapping[EventKind, str] = {
    EventKind.SENT: "when each message was delivered is not known to the minute",
    EventKind.OPEN: "openings are not stored (they decide nothing)",
    EventKind.CLICK: "nobody is known to be alive by their clicks",
    EventKind.BOUNCE: "failures are known a day later, and without the servers' own words where Mailjet "
    "keeps none",
    EventKind.SPAM: "complaints are known when contacts and messages are read, not within minutes",
    EventKind.BLOCKED: "what Mailjet did not even try is known a day later",
    EventKind.UNSUB: "opt-outs are known when lists and messages are read, not within minutes",
}
"""What is lost without each kind of event. Everything else is read from Mailjet's messages and lists."""


def is_public(url: str) -> bool:
    """Whether somebody elsewhere could reach this host, as far as its name tells."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith((".localhost", ".local", ".internal"))


def _same_path(one: SplitResult, other: SplitResult) -> bool:
    return one.path.rstrip("/") == other.path.rstrip("/")


@dataclass(frozen=True, slots=True)
class Door:
    """Our own address for events."""

    site_url: str
    user: str
    password: str = field(repr=False)

    @classmethod
    def of(cls, configuration: Configuration) -> Door:
        """As the settings name it."""
        return cls(configuration.site_url, configuration.webhook_user, configuration.webhook_password)

    @property
    def shown(self) -> str:
        """Without name and password."""
        return f"{self.site_url}{PATH}"

    def url(self, *, revived: str = "") -> str:
        """As Mailjet is told it. Mailjet tries one that it gave up again when it is told a new one."""
        parts = urlsplit(self.shown)
        who = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        query = urlencode({"revived": revived}) if revived else ""
        return urlunsplit((parts.scheme, f"{who}@{parts.netloc}", parts.path, query, ""))

    def is_ours(self, url: str) -> bool:
        """Whether a URL leads to our host and our path, whatever its password and port are."""
        ours = urlsplit(self.shown)
        try:
            given = urlsplit(url)
            return given.hostname == ours.hostname and _same_path(given, ours) and given.port != 0
        except ValueError:  # a port that is no number, a bracket that is not closed
            return False

    def is_current(self, url: str) -> bool:
        """Whether it is what Mailjet would be told today, a revival apart."""
        given = urlsplit(url)
        return urlunsplit((given.scheme, given.netloc, given.path, "", "")) == self.url()
