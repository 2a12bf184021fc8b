"""A send that blocks, since somebody suppressed is on its list."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from listmanagement.models import (
    CampaignSchedule,
    Contact,
)
from listmanagement.workflows import campaigns
from tests import factories
from tests.workflows import marketing as people
from tests.workflows import scene as scenes
from tests.workflows.marketing import Marketing
from tests.workflows.scene import Scene, StandIn


@pytest.fixture
def members(scene: Scene) -> list[Contact]:
    """Six members of the first list; the first of them is suppressed, which nobody but people put right."""
    found = list(scenes.people(6, on=[scene.lists.master, scene.lists.campaign[0]]))
    factories.an_imported_suppression(contact=found[0])
    return found


@pytest.fixture
def marketing(standin: StandIn, scene: Scene, members: list[Contact]) -> Iterator[Marketing]:
    """Somebody at Mailjet's pages."""
    scene.publish()
    scene.control.settings(campaign_lookup_seconds=0)
    with people.at_work(standin, scene.clock) as marketing:
        yield marketing


@pytest.fixture
def campaign(scene: Scene, marketing: Marketing) -> CampaignSchedule:
    """A send to the first list in 20 hours, which blocks."""
    draft = marketing.plans(scene.lists.campaign[0], "Spring", days=20 / 24)
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    return CampaignSchedule.objects.get(mailjet_draft_id=draft)
