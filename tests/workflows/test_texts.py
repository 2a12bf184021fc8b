"""The servers' own words: asked for where they decide, and never forgotten by a later fetch."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest

from integrations.mailjet import Mailjet, MessageEvent
from listmanagement.domain.bounces import BounceClass
from listmanagement.models import Bounce, CampaignRecipient, CampaignSchedule, Contact
from listmanagement.workflows import evidence
from tests import factories
from tests.factories import NOON
from tests.workflows import scene as scenes
from tests.workflows.scene import Scene

BLOCKLISTED = "550 5.7.1 Service unavailable; client host listed on a blocklist"
REJECTED = "550 5.1.1 Recipient address rejected: user unknown"


def sent(scene: Scene, *contacts: Contact, state: int, comment: str) -> CampaignSchedule:
    """A campaign of a message each that failed hard, at Mailjet alone."""
    campaign = factories.a_campaign(list=scene.lists.campaign[0])
    assert campaign.started_at is not None
    document: dict[str, Any] = scenes.document()
    document["campaigns"] = [
        {
            "id": campaign.mailjet_campaign_id,
            "draft_id": 1,
            "list_id": campaign.list.mailjet_id,
            "subject": "",
            "send_start_at": campaign.started_at.isoformat(),
            "send_end_at": NOON.isoformat(),
        }
    ]
    document["messages"] = [
        {
            "id": 2**60 + n,
            "campaign_id": campaign.mailjet_campaign_id,
            "contact_id": contact.pk,
            "status": "hardbounced",
            "arrived_at": (campaign.started_at + timedelta(minutes=1)).isoformat(),
            "state_id": state,
            "state_permanent": True,
            "comment": comment,
        }
        for n, contact in enumerate(contacts, 1)
    ]
    scene.control.load(document)
    return campaign


def class_of(campaign: CampaignSchedule) -> str:
    return CampaignRecipient.objects.get(campaign=campaign).bounce_class


@pytest.mark.django_db(transaction=True)
def test_a_text_that_blames_the_sender_makes_user_unknown_conflicting_and_stays_known(scene: Scene) -> None:
    [contact] = scenes.people(1, on=[scene.lists.campaign[0]])
    campaign = sent(scene, contact, state=1, comment=BLOCKLISTED)
    mailjet = scene.outside.mailjet

    evidence.fetch(campaign, mailjet=mailjet, now=NOON)
    assert class_of(campaign) == BounceClass.RECIPIENT_GONE
    message_id = CampaignRecipient.objects.get(campaign=campaign).message_id

    assert evidence.fetch_texts([message_id], mailjet=mailjet)
    assert class_of(campaign) == BounceClass.CONFLICTING

    evidence.fetch(campaign, mailjet=mailjet, now=NOON)
    assert class_of(campaign) == BounceClass.CONFLICTING


@pytest.mark.django_db(transaction=True)
def test_relay_denied_is_temporary_until_the_server_names_the_recipient(scene: Scene) -> None:
    [contact] = scenes.people(1, on=[scene.lists.campaign[0]])
    campaign = sent(scene, contact, state=6, comment=REJECTED)
    mailjet = scene.outside.mailjet

    evidence.fetch(campaign, mailjet=mailjet, now=NOON)
    assert class_of(campaign) == BounceClass.TEMPORARY

    unread = evidence.without_text(campaign, state=6)
    assert evidence.fetch_texts(unread, mailjet=mailjet)

    assert class_of(campaign) == BounceClass.RECIPIENT_REJECTED
    assert Bounce.objects.get().server_text == REJECTED
    assert evidence.without_text(campaign, state=6) == []


@pytest.mark.django_db(transaction=True)
def test_a_text_is_asked_for_once(scene: Scene) -> None:
    [contact] = scenes.people(1, on=[scene.lists.campaign[0]])
    campaign = sent(scene, contact, state=1, comment=REJECTED)
    mailjet = scene.outside.mailjet
    evidence.fetch(campaign, mailjet=mailjet, now=NOON)
    messages = list(CampaignRecipient.objects.values_list("message_id", flat=True))

    assert not evidence.fetch_texts(messages, mailjet=mailjet)
    asked = mailjet.requests
    assert not evidence.fetch_texts(messages, mailjet=mailjet)

    assert mailjet.requests == asked


class Meeting(Mailjet):
    """A client whose questions about messages only get on when two are on their way at once."""

    asked_of: threading.Barrier

    def history(self, message_id: int) -> list[MessageEvent]:
        self.asked_of.wait(timeout=10)
        return super().history(message_id)


@pytest.mark.django_db(transaction=True)
def test_texts_are_asked_for_side_by_side_and_all_are_kept(scene: Scene) -> None:
    contacts = scenes.people(6, on=[scene.lists.campaign[0]])
    campaign = sent(scene, *contacts, state=1, comment=REJECTED)
    evidence.fetch(campaign, mailjet=scene.outside.mailjet, now=NOON)
    messages = list(CampaignRecipient.objects.values_list("message_id", flat=True))

    with scenes.connect_as(Meeting, scene.standin) as mailjet:
        mailjet.asked_of = threading.Barrier(2)
        evidence.fetch_texts(messages, mailjet=mailjet)

        assert mailjet.requests == 6
    assert [bounce.server_text for bounce in Bounce.objects.all()] == [REJECTED] * 6
