"""What is done with a send that blocks: it is watched, and a reviewer sends it anyway."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from integrations.mailjet import DraftStatus
from listmanagement.models import (
    CampaignSchedule,
    CampaignValidation,
    Contact,
    ContactList,
    DraftOperation,
    DraftStatusHere,
)
from listmanagement.outside import Outside
from listmanagement.workflows import campaigns
from listmanagement.workflows.before_sends import pre_campaign, watching
from tests import factories
from tests.workflows import marketing as people
from tests.workflows.scene import Scene, StandIn

SCHEDULE = r"/v3/REST/campaigndraft/\d+/schedule"


def enforcing(scene: Scene, **values: Any) -> Outside:
    configuration = replace(scene.outside.configuration, **{"pre_campaign_enforce": True, **values})
    return replace(scene.outside, configuration=configuration)


def watch(scene: Scene, **values: Any) -> None:
    watching.keep_watch(outside=enforcing(scene, **values), clock=scene.clock)


def writes(scene: Scene) -> list[str]:
    """The paths of the write requests about schedules since people scheduled it."""
    return [path for path in scene.standin.writes() if path.endswith("/schedule")][1:]


def draft_of(scene: Scene, campaign: CampaignSchedule) -> DraftStatus:
    assert campaign.mailjet_draft_id is not None
    draft = scene.outside.mailjet.draft(campaign.mailjet_draft_id)
    assert draft is not None
    return draft.status


def passes_to(scene: Scene, campaign: CampaignSchedule, *, minutes_before: float) -> None:
    assert campaign.scheduled_at is not None
    scene.clock.passes(campaign.scheduled_at - timedelta(minutes=minutes_before) - scene.clock())


def anyway(
    scene: Scene,
    campaign: CampaignSchedule,
    *,
    look: CampaignValidation | None = None,
    by: Any = None,
    why: str = "they wait for it",
) -> str:
    look = look or CampaignValidation.objects.order_by("pk").last()
    return pre_campaign.send_anyway(
        campaign.pk,
        look_id=look.pk if look is not None else 0,
        by=by or factories.a_reviewer(),
        why=why,
        configuration=enforcing(scene).configuration,
        now=scene.clock(),
    )


def look(scene: Scene, campaign: CampaignSchedule, *, by: Any = None) -> CampaignValidation:
    """Somebody looks at it."""
    return pre_campaign.validate(campaign.pk, outside=scene.outside, by=by, now=scene.clock()).look


def opts_out(scene: Scene, contact: Contact) -> None:
    """As a webhook tells it: the consent run has not unsubscribed them yet."""
    Contact.objects.filter(pk=contact.pk).update(opted_out_at=scene.clock(), opted_out_by="an event")


def waits(scene: Scene) -> DraftOperation:
    """Mailjet does not tell of the draft for a while: its unscheduling is journaled, and nothing more."""
    scene.control.fault(path=SCHEDULE, method="GET", status=503, times=100)
    watch(scene)
    scene.control.clear_faults()
    operation = DraftOperation.objects.get()
    assert operation.status == DraftStatusHere.INTENDED
    return operation


def planned(scene: Scene, standin: StandIn, *, to: ContactList) -> CampaignSchedule:
    """Of a scene to be published: somebody at Mailjet's pages has a send go to the list in 20 hours."""
    scene.publish()
    scene.control.settings(campaign_lookup_seconds=0)
    with people.at_work(standin, scene.clock) as somebody:
        draft = somebody.plans(to, "Spring", days=20 / 24)
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    return CampaignSchedule.objects.get(mailjet_draft_id=draft)
