"""Real sends of the stand-in, told to the real door by a real server: in groups, twice, late, in disorder."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from integrations.mailjet import EventUrlStatus
from integrations.sandbox.outcomes import Mailbox
from listmanagement.models import (
    Bounce,
    CampaignRecipient,
    CampaignSchedule,
    Contact,
    ContactListMembership,
    EventStatus,
    Notification,
    WebhookEvent,
)
from listmanagement.outside import Configuration, Outside
from listmanagement.workflows import events, evidence
from listmanagement.workflows.events import connecting
from listmanagement.workflows.events.connecting import Change
from tests import factories
from tests.workflows import hearing, mailing
from tests.workflows import scene as scenes
from tests.workflows.scene import Scene

DAY = timedelta(days=1)
EVERY_NATURE = [nature for nature in Mailbox if nature is not Mailbox.DRAWN]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def configuration(live_server: LiveServer, settings: Settings) -> Configuration:
    """The door is open at a server of its own."""
    settings.MAILJET_WEBHOOK_PASSWORD = "p@ss:w/rd of the tests"
    settings.DEBUG = False
    return scenes.configuration(site_url=live_server.url)


def connect(scene: Scene, configuration: Configuration) -> list[Change]:
    """Mailjet tells events to that server, as it is asked to; what had to be done for it."""
    scene.control.settings(webhooks_held=True)
    mailjet = scene.outside.mailjet
    plans = connecting.plan(mailjet=mailjet, configuration=configuration)
    done = connecting.connect(plans, mailjet=mailjet, configuration=configuration, now=scene.clock())
    return [plan.change for plan in done]


def a_told_send(scene: Scene, configuration: Configuration, *natures: Mailbox) -> CampaignSchedule:
    """A send to contacts of these natures, whose events are told."""
    mailing.readers(scene, *natures)
    connect(scene, configuration)
    scene.clock.passes(timedelta(minutes=1))
    return mailing.a_send(scene)


def rows() -> list[dict[str, Any]]:
    """What polling knows of messages and people."""
    messages = CampaignRecipient.objects.order_by("message_id").values(
        "message_id",
        "contact_id",
        "outcome",
        "bounce_class",
        "bounce__state",
        "bounce__permanent",
        "bounce__attempted",
        "contact__opted_out_by",
        "contact__complained_by",
    )
    return list(messages)


def polled(scene: Scene, campaign: CampaignSchedule) -> list[dict[str, Any]]:
    """The rows that Mailjet's pages alone make, instead of those there were."""
    Bounce.objects.all().delete()
    CampaignRecipient.objects.all().delete()
    Contact.objects.update(opted_out_at=None, opted_out_by="", complained_at=None, complained_by="")
    CampaignSchedule.objects.update(recipients_fetched_at=None)
    evidence.fetch(campaign, mailjet=scene.outside.mailjet, now=scene.clock())
    return rows()


@pytest.mark.parametrize("is_untidy", [False, True], ids=["in order", "twice, late and in disorder"])
def test_events_make_the_evidence_that_polling_makes(
    scene: Scene, configuration: Configuration, is_untidy: bool
) -> None:
    scene.control.settings(
        webhook_shuffled=is_untidy,
        webhook_duplicate_share=0.4 if is_untidy else 0.0,
        webhook_lag_seconds=5400.0 if is_untidy else 0.0,
        webhook_group=7 if is_untidy else 100,
    )
    campaign = a_told_send(scene, configuration, *EVERY_NATURE * 2)
    for day in range(6):
        scene.clock.passes(DAY)
        told = scene.control.deliver()
        assert (told["failed"], told["lost"]) == (0, 0)
        if is_untidy and day % 3 == 2:
            scene.control.replay()
        events.process(now=scene.clock())

    assert CampaignRecipient.objects.filter(first_life_at__isnull=False).count() == 2
    assert Bounce.objects.filter(server_text="550 5.1.1 no such user").count() == 2
    assert len(rows()) == 2 * len(EVERY_NATURE)
    assert rows() == polled(scene, campaign)
    assert set(WebhookEvent.objects.values_list("status", flat=True)) == {EventStatus.DONE}


def test_pages_between_the_events_change_nothing(scene: Scene, configuration: Configuration) -> None:
    campaign = a_told_send(scene, configuration, *EVERY_NATURE)
    for day in range(6):
        scene.clock.passes(DAY)
        if day % 2:
            evidence.fetch(campaign, mailjet=scene.outside.mailjet, now=scene.clock())
        scene.control.deliver()
        events.process(now=scene.clock())

    assert rows() == polled(scene, campaign)


def test_a_door_that_was_closed_for_a_while_misses_nothing(
    scene: Scene, configuration: Configuration, settings: Settings
) -> None:
    campaign = a_told_send(scene, configuration, Mailbox.DEAD, Mailbox.GOOD)
    password, settings.MAILJET_WEBHOOK_PASSWORD = settings.MAILJET_WEBHOOK_PASSWORD, ""
    assert scene.control.deliver()["failed"] == 2
    settings.MAILJET_WEBHOOK_PASSWORD = password
    assert scene.control.deliver()["told"] == 0, "Mailjet tries again after 30 seconds"

    scene.clock.passes(timedelta(seconds=31))
    assert scene.control.deliver()["told"] == 2
    events.process(now=scene.clock())
    assert rows() == polled(scene, campaign)


def test_the_consoles_test_events_come_in(scene: Scene, configuration: Configuration) -> None:
    connect(scene, configuration)
    for kind in ("sent", "open", "click", "bounce", "spam", "blocked", "unsub"):
        scene.control.test_event(kind)

    assert scene.control.deliver() == {"told": 7, "failed": 0, "lost": 0}
    assert events.process(now=scene.clock()) == 7
    assert not WebhookEvent.objects.for_review().exists()


def test_an_opt_out_and_a_complaint_reach_the_contact_on_whatever_list_it_is_now(
    scene: Scene, configuration: Configuration
) -> None:
    factories.the_rollout()
    one, two, _ = scene.lists.campaign
    a_told_send(scene, configuration, Mailbox.UNSUBSCRIBING, Mailbox.COMPLAINING, Mailbox.GOOD)
    opting_out, complaining, other = Contact.objects.order_by("pk")
    for contact in (opting_out, complaining, other):
        scene.a_person("remove", contact, one)
        scene.a_person("addnoforce", contact, two)
    ContactListMembership.objects.update(list=two)
    scene.clock.passes(DAY)

    scene.control.deliver()
    events.process(now=scene.clock())
    hearing.heard(scene)

    assert scene.members(two) == {opting_out.pk: True, other.pk: False}
    assert set(scene.members(scene.lists.suppression)) == {complaining.pk}


# --- Setting it up -----------------------------------------------------------------------------------


def test_connecting_again_does_nothing(scene: Scene, configuration: Configuration) -> None:
    assert connect(scene, configuration) == [Change.CREATE] * 7
    assert connect(scene, configuration) == []
    assert len(scene.standin.writes()) == 7


def test_a_url_that_died_is_revived_and_told_of_once(scene: Scene, configuration: Configuration) -> None:
    connect(scene, configuration)
    scene.at_mailjet("UPDATE callbacks SET status = 'dead' WHERE event_type = 'bounce'")
    outside = outside_of(scene, configuration)
    for _ in range(2):
        said = events.watch(outside, scene.clock())
    assert said == "7 event URLs of ours, 1 dead, 0 silent sends"
    [alert] = Notification.objects.all()
    assert '"bounce"' in alert.text
    assert "connect_webhooks" in alert.text
    assert "p@ss" not in alert.text

    assert connect(scene, configuration) == [Change.REVIVE]
    assert connect(scene, configuration) == []
    statuses = {url.status for url in scene.outside.mailjet.event_urls()}
    assert statuses == {EventUrlStatus.ALIVE}

    scene.at_mailjet("UPDATE callbacks SET status = 'dead' WHERE event_type = 'bounce'")
    events.watch(outside, scene.clock())
    assert Notification.objects.count() == 2, "another death"


def outside_of(scene: Scene, configuration: Configuration) -> Outside:
    return replace(scene.outside, configuration=configuration)


def test_a_send_that_brings_no_events_in_two_hours_is_told_of_once(
    scene: Scene, configuration: Configuration
) -> None:
    campaign = a_told_send(scene, configuration, Mailbox.GOOD, Mailbox.DEAD)
    outside = outside_of(scene, configuration)
    scene.clock.passes(timedelta(minutes=119))
    events.watch(outside, scene.clock())
    assert not Notification.objects.exists()

    scene.clock.passes(timedelta(minutes=2))
    for _ in range(2):
        assert events.watch(outside, scene.clock()).endswith("1 silent sends")
    [alert] = Notification.objects.all()
    assert f"Campaign {campaign.pk} " in alert.text
    assert "p@ss" not in alert.text


def test_a_send_that_brings_events_or_began_before_they_were_asked_for_is_no_alert(
    scene: Scene, configuration: Configuration
) -> None:
    mailing.readers(scene, Mailbox.GOOD)
    mailing.a_send(scene)
    outside = outside_of(scene, configuration)
    scene.clock.passes(timedelta(hours=3))
    assert events.watch(outside, scene.clock()) == "0 event URLs of ours, 0 dead, 0 silent sends"

    connect(scene, configuration)
    assert events.watch(outside, scene.clock()) == "7 event URLs of ours, 0 dead, 0 silent sends"

    scene.clock.passes(timedelta(minutes=1))
    mailing.a_send(scene)
    scene.control.deliver()
    events.process(now=scene.clock())
    scene.clock.passes(timedelta(hours=3))
    assert events.watch(outside, scene.clock()) == "7 event URLs of ours, 0 dead, 0 silent sends"
    assert not Notification.objects.exists()


def test_where_webhooks_are_not_set_up_nothing_is_asked_and_nothing_missed(scene: Scene) -> None:
    asked = scene.outside.mailjet.requests

    assert events.watch(scene.outside, scene.clock()) == "webhooks are not set up"
    assert scene.outside.mailjet.requests == asked
