"""Watches that events come in where they should: polling goes on without them, but more slowly."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256

from integrations.mailjet import EventKind, EventUrl, EventUrlStatus
from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import CampaignSchedule
from listmanagement.outside import Outside
from listmanagement.workflows import notify
from listmanagement.workflows.events import connecting
from listmanagement.workflows.events.urls import LOST, Door

SILENT_FOR = timedelta(hours=2)
LOOKED_BACK = timedelta(days=2)  # what was silent before that is known from Mailjet's messages by now


def watch(outside: Outside, now: datetime) -> str:
    """Alert, once each, about event URLs that Mailjet gave up and sends that bring no events.

    Says what it saw. Where nothing of ours is set up nothing is missing.
    """
    if not outside.configuration.webhook_password:
        return "webhooks are not set up"
    door = Door.of(outside.configuration)
    ours = [url for url in outside.mailjet.event_urls() if door.is_ours(url.url)]
    dead = [url for url in ours if url.status is EventUrlStatus.DEAD]
    for url in dead:
        _tell_dead(url, now=now)
    silent = _silent(now=now) if _should_tell_of_sends(ours) else ()
    for campaign in silent:
        _tell_silent(campaign, door=door, now=now)
    return f"{len(ours)} event URLs of ours, {len(dead)} dead, {len(silent)} silent sends"


def _should_tell_of_sends(ours: Sequence[EventUrl]) -> bool:
    """Every send has deliveries: where these are told to us, silence means something."""
    alive = [url for url in ours if url.status is EventUrlStatus.ALIVE and not url.is_backup]
    return any(url.event == EventKind.SENT for url in alive)


def _silent(*, now: datetime) -> Sequence[CampaignSchedule]:
    """Sends that began since the event URLs stand, two hours ago or more, and of which nothing was told."""
    since = max(now - LOOKED_BACK, connecting.last_connected_at() or now - LOOKED_BACK)
    began = CampaignSchedule.objects.filter(
        status__in=[RoundStatus.SENDING, RoundStatus.SENT],
        started_at__gt=since,
        started_at__lte=now - SILENT_FOR,
        mailjet_campaign_id__isnull=False,
    )
    return list(began.filter(first_event_at=None).order_by("started_at"))


def _tell_dead(url: EventUrl, *, now: datetime) -> None:
    """One alert for each URL that died; one that was revived and died again has another URL."""
    lost = LOST[EventKind(url.event)] if url.event in LOST else "what it told is not known"
    notify.alert(
        f"event-url:{url.id}:{sha256(url.url.encode()).hexdigest()[:16]}",
        header="Mailjet does not tell events any more",
        words=f'Mailjet has given up telling us events of the kind "{url.event}": a day of tries failed. '
        f"Until it tells them again, {lost}. See that the web process can be reached, then run "
        "manage.py connect_webhooks. Outcomes are read from Mailjet's messages meanwhile.",
        now=now,
    )


def _tell_silent(campaign: CampaignSchedule, *, door: Door, now: datetime) -> None:
    notify.alert(
        f"silent-send:{campaign.pk}",
        header=f"Campaign {campaign.pk} brings no events",
        words=f"Campaign {campaign.pk} was sent more than two hours ago and Mailjet has told nothing of it, "
        f"though its event URLs lead to {door.shown}. See that this can be reached and that "
        "manage.py connect_webhooks finds nothing to change. Outcomes are read from Mailjet's messages "
        "meanwhile.",
        now=now,
    )
