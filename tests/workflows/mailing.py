"""Sends that the stand-in really makes: it resolves the list, writes messages, and things happen to them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx

from integrations.sandbox.outcomes import Mailbox
from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import CampaignKind, CampaignSchedule
from tests.integrations.sandbox_scenes import signed_in
from tests.workflows import scene as scenes
from tests.workflows.scene import Scene

DRAFT = {
    "Locale": "en_US",
    "Sender": "News",
    "SenderName": "News",
    "SenderEmail": "news@sender.example.com",
    "Subject": "Hello",
    "Title": "June",
}
CONTENT = {"Html-part": "<p>Hello</p>", "Text-part": "Hello"}


def readers(scene: Scene, *mailboxes: Mailbox) -> None:
    """The first list has one contact of each nature. The stand-in's world begins anew."""
    contacts = scenes.people(len(mailboxes), on=[scene.lists.campaign[0]])
    scene.publish()
    scene.control.settings(campaign_lookup_seconds=0)
    for contact, mailbox in zip(contacts, mailboxes, strict=True):
        scene.control.set_mailbox(contact.pk, mailbox.value)


def a_send(scene: Scene) -> CampaignSchedule:
    """A message to the first list, sent now; our row of it."""
    target = scene.lists.campaign[0]
    with signed_in(scene.standin.serving, path="/v3/REST/") as http:
        draft = _row(http.post("campaigndraft", json={**DRAFT, "ContactsListID": target.mailjet_id}))["ID"]
        http.post(f"campaigndraft/{draft}/detailcontent", json=CONTENT).raise_for_status()
        http.post(f"campaigndraft/{draft}/send").raise_for_status()
        return _known_here(scene, int(_row(http.get(f"campaign/mj.nl={draft}"))["ID"]))


def _row(response: httpx.Response) -> dict[str, Any]:
    response.raise_for_status()
    [row] = response.json()["Data"]
    return dict(row)


def _known_here(scene: Scene, mailjet_campaign_id: int) -> CampaignSchedule:
    found = scene.outside.mailjet.campaign(mailjet_campaign_id)
    assert found is not None
    assert found.send_start_at is not None
    return CampaignSchedule.objects.create(
        list=scene.lists.campaign[0],
        kind=CampaignKind.ONE_OFF,
        status=RoundStatus.SENT,
        mailjet_campaign_id=found.id,
        mailjet_draft_id=found.draft_id,
        started_at=found.send_start_at,
        ended_at=found.send_end_at or datetime.now(tz=UTC),
    )
