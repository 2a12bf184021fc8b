"""Sets up Mailjet's event URLs. One that leads to somebody else is theirs, and stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from urllib.parse import urlsplit

from django.db.models import Max

from integrations.mailjet import EventKind, EventUrl, EventUrlStatus, Mailjet
from listmanagement.models import AuditEntry
from listmanagement.outside import Configuration
from listmanagement.workflows import permission
from listmanagement.workflows.by_people import audit
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.events.urls import Door, is_public

GROUPED = 2
CONNECTED, SUBJECT = "connected events", "event url"


class Change(StrEnum):
    """What is to be done about a kind of event."""

    NOTHING = "nothing"
    CREATE = "create"
    UPDATE = "update"
    """It is ours, with another password, port or version."""
    REVIVE = "revive"
    """It is ours, and Mailjet gave it up."""
    FOREIGN = "foreign"
    """It is somebody else's. Polling goes on instead."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done about one kind of event, and the event URL there is."""

    kind: EventKind
    change: Change
    known: EventUrl | None = None

    @property
    def host(self) -> str:
        """Where the URL there is leads. The rest of it may hold a password."""
        return (urlsplit(self.known.url).hostname or "") if self.known is not None else ""


def plan(*, mailjet: Mailjet, configuration: Configuration) -> list[Plan]:
    """What connecting would do, for each kind of event. Reads alone.

    Raises NotAllowed where Mailjet could not reach the address of the settings, or would have no password.
    """
    check_reachable(configuration)
    door = Door.of(configuration)
    primary = {url.event: url for url in mailjet.event_urls() if not url.is_backup}
    return [Plan(kind, _change(primary.get(kind), door=door), primary.get(kind)) for kind in EventKind]


def _change(known: EventUrl | None, *, door: Door) -> Change:
    if known is None:
        return Change.CREATE
    if not door.is_ours(known.url):
        return Change.FOREIGN
    if known.status is EventUrlStatus.DEAD:
        return Change.REVIVE
    is_right = door.is_current(known.url) and known.version == GROUPED
    return Change.NOTHING if is_right else Change.UPDATE


def check_reachable(configuration: Configuration) -> None:
    """Raise NotAllowed, with what to do, where Mailjet could not tell us anything."""
    if not configuration.webhook_password:
        raise NotAllowed(
            "MAILJET_WEBHOOK_PASSWORD is not set, so the door is closed: set one of 16 characters or more, "
            "restart, and connect again"
        )
    if configuration.mailjet_is_stand_in:
        return
    if not is_public(configuration.site_url):
        raise NotAllowed(
            f"SITE_URL is {configuration.site_url}, which Mailjet cannot reach: it must be the public "
            "https:// address of this installation. Until then outcomes are read from Mailjet's messages"
        )
    if not configuration.site_url.startswith("https://"):
        raise NotAllowed(
            f"SITE_URL is {configuration.site_url}: the password would travel in the open. Serve it by "
            "https://, and connect again"
        )


def connect(
    plans: Sequence[Plan], *, mailjet: Mailjet, configuration: Configuration, now: datetime
) -> Sequence[Plan]:
    """Do what is planned; returns what was done. Nothing is done twice, and nothing to a foreign URL.

    Raises NotAllowed, before anything is done, where list management is off or paused, and MailjetError.
    """
    wanted = [each for each in plans if each.change not in (Change.NOTHING, Change.FOREIGN)]
    if wanted:
        permission.check_enabled(enabled=configuration.enabled)
    door = Door.of(configuration)
    for each in wanted:
        url_id = _do(each, mailjet=mailjet, door=door, now=now)
        _note(url_id, each, now=now)
    return wanted


def last_connected_at() -> datetime | None:
    """When an event URL was last set up by us; None where that was never."""
    entries = AuditEntry.objects.filter(subject_kind=SUBJECT, action=CONNECTED)
    last: datetime | None = entries.aggregate(at=Max("at"))["at"]
    return last


def _note(url_id: int, plan: Plan, *, now: datetime) -> None:
    AuditEntry.objects.create(
        at=now,
        actor=audit.SYSTEM,
        action=CONNECTED,
        subject_kind=SUBJECT,
        subject_id=url_id,
        details={"event": plan.kind, "change": plan.change},
    )


def _do(plan: Plan, *, mailjet: Mailjet, door: Door, now: datetime) -> int:
    """Returns the event URL's id."""
    if plan.known is None:
        return mailjet.create_event_url(event=plan.kind, url=door.url()).id
    revived = f"{now:%Y%m%dT%H%M%S}" if plan.change is Change.REVIVE else ""
    mailjet.update_event_url(plan.known.id, url=door.url(revived=revived))
    return plan.known.id
