"""`manage.py validate_campaign`: what it prints, and what its exit code tells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import (
    CampaignKind,
    CampaignSchedule,
    CampaignValidation,
    DraftOperation,
    HeldChoice,
)
from listmanagement.outside import Outside
from listmanagement.workflows import campaigns
from listmanagement.workflows.before_sends import watching
from tests import factories
from tests.workflows import marketing as people
from tests.workflows import scene as scenes
from tests.workflows.scene import Clock, Scene

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene(db: None, tmp_path: Path) -> Iterator[Scene]:
    """Six members on each list, and a stand-in as the settings name it, in our time."""
    lists = factories.the_rotation()
    for each in lists.campaign:
        scenes.people(6, on=[lists.master, each])
    with ExitStack() as stack:
        standin = stack.enter_context(scenes.stand_in(tmp_path))
        standin.serving.world.clock.offset = 0.0
        stack.enter_context(override_settings(MAILJET_BASE_URL=standin.url, MAILJET_IS_STAND_IN=True))
        mailjet = stack.enter_context(scenes.connect(standin))
        outside = Outside(mailjet=mailjet, slack=None, ask=None, configuration=scenes.configuration())
        scene = Scene(standin, Clock(standin.serving), outside, lists=lists)
        scene.publish()
        yield scene


@pytest.fixture
def campaign(scene: Scene) -> CampaignSchedule:
    """A send to the first list in 20 hours."""
    with people.at_work(scene.standin, scene.clock) as marketing:
        draft = marketing.plans(scene.lists.campaign[0], "Spring", days=20 / 24)
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    return CampaignSchedule.objects.get(mailjet_draft_id=draft)


def asked(*command: Any) -> tuple[str, int]:
    """What it said, and its exit code."""
    told = StringIO()
    try:
        call_command("validate_campaign", *command, stdout=told)
    except SystemExit as end:
        return told.getvalue().strip(), int(str(end.code))
    return told.getvalue().strip(), 0


def refused(*command: Any) -> str:
    with pytest.raises(CommandError) as refusal:
        asked(*command)
    assert refusal.value.returncode == 2
    return str(refusal.value)


def block(campaign: CampaignSchedule) -> int:
    member = campaign.list.memberships.order_by("rank").first()
    assert member is not None
    factories.an_imported_suppression(contact=member.contact)
    return member.contact_id


def test_a_send_that_may_go_out_exits_0_and_says_so(campaign: CampaignSchedule) -> None:
    told, code = asked(campaign.pk)

    assert code == 0
    assert told.startswith(f"Campaign {campaign.pk} to List 1, 6 contacts, due ")
    assert told.splitlines()[0].endswith(f": pass (look {CampaignValidation.objects.get().pk})")


def test_a_send_that_should_not_exits_1_and_json_is_one_line_of_ids(campaign: CampaignSchedule) -> None:
    suppressed = block(campaign)

    told, code = asked(campaign.pk, "--json")

    assert code == 1
    assert "\n" not in told
    assert "@" not in told
    found = json.loads(told)
    assert (found["campaign"], found["verdict"], found["size"]) == (campaign.pk, "block", 5)
    gravest = found["findings"][0]
    assert (gravest["check"], gravest["severity"]) == ("suppressed", "blocking")
    assert gravest["contacts"] == [suppressed]
    assert gravest["what_to_do"]


def test_what_cannot_be_looked_at_exits_2(scene: Scene, campaign: CampaignSchedule) -> None:
    sent = factories.a_campaign(list=scene.lists.campaign[1])

    assert "does not exist" in refused(10**9)
    assert "is sent: only what is to be sent" in refused(sent.pk)
    assert "there is no user 'nobody'" in refused(campaign.pk, "--by", "nobody")
    assert "name the reviewer" in refused(campaign.pk, "--send-anyway", "--reason", "why not")
    assert "nothing to choose" in refused(sent.pk, "--held", "none", "--by", factories.a_reviewer().username)


def test_a_reviewer_sends_it_anyway_and_the_draft_has_its_time_again(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    block(campaign)
    with override_settings(PRE_CAMPAIGN_ENFORCE=True):
        outside = Outside(
            mailjet=scene.outside.mailjet, slack=None, ask=None, configuration=scenes.configuration()
        )
        watching.keep_watch(outside=outside, clock=scene.clock)
    assert campaign.mailjet_draft_id is not None
    assert scene.outside.mailjet.scheduled_at(campaign.mailjet_draft_id) is None
    ana = factories.a_reviewer("ana")
    saying = [campaign.pk, "--send-anyway", "--by", "ana"]
    seen = ["--look", CampaignValidation.objects.get().pk]
    assert "name the look" in refused(*saying, "--reason", "they wait for it")
    assert "there is no look 999999" in refused(*saying, "--look", 999999, "--reason", "they wait for it")
    assert "are said with --send-anyway" in refused(campaign.pk, "--reason", "they wait for it")
    assert "needs a reason" in refused(*saying, *seen)

    observed = factories.a_campaign(kind=CampaignKind.ONE_OFF)
    factories.the_rollout(observing_since=scene.clock() - timedelta(days=30))
    factories.a_run(campaign=observed, stage="observe", status="succeeded")
    CampaignSchedule.objects.filter(pk=campaign.pk).update(status=RoundStatus.SCHEDULED)
    assert "name the look" in refused(*saying, "--held", "none")
    assert not HeldChoice.objects.exists()  # all of it, or nothing
    CampaignSchedule.objects.filter(pk=campaign.pk).update(status=RoundStatus.FAILED)

    told, code = asked(*saying, *seen, "--reason", "they wait for it")

    assert code == 0
    assert "is scheduled again for" in told
    assert "blocking (cleared by a reviewer)" in told
    assert scene.outside.mailjet.scheduled_at(campaign.mailjet_draft_id) == campaign.scheduled_at
    assert [each.change for each in DraftOperation.objects.order_by("pk")] == ["unschedule", "schedule"]
    assert CampaignValidation.objects.latest("pk").asked_by == ana
