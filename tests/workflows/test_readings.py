"""What a maintenance run reads of Mailjet's lists, and what it knows well enough."""

from __future__ import annotations

from datetime import timedelta

import pytest

from listmanagement.workflows import mirror
from listmanagement.workflows.maintenance import post_campaign
from listmanagement.workflows.running import lease as leases
from listmanagement.workflows.running.steps import Hand, StepFunction
from tests import factories
from tests.workflows import scene as scenes
from tests.workflows.scene import Scene

pytestmark = pytest.mark.django_db(transaction=True)


def asked_by(scene: Scene, step: StepFunction) -> set[str]:
    """The resources that a step of a run asks for, once the lists were read so long ago."""
    run = scenes.a_run_to_execute()
    lease = leases.claim(run.pk)
    assert lease is not None
    begun = len(scene.control.requests()["last"])
    step(Hand(run, lease, scene.outside, scene.clock))
    return {each["path"].split("/REST/")[1] for each in scene.control.requests()["last"][begun:]}


@pytest.mark.parametrize(("age", "contacts_too"), [(timedelta(hours=20), False), (timedelta(hours=25), True)])
@pytest.mark.parametrize("step", [post_campaign.capture_before, post_campaign.plan_rebalancing])
def test_who_is_on_the_lists_is_read_afresh_and_who_they_are_once_a_day(
    scene: Scene, step: StepFunction, age: timedelta, contacts_too: bool
) -> None:
    for contact_list in scene.lists.campaign:
        factories.members(2, list=contact_list)
    scene.publish()
    mirror.refresh_all(mailjet=scene.outside.mailjet, now=scene.clock())
    scene.clock.passes(age)

    asked = asked_by(scene, step)

    assert "listrecipient" in asked
    assert ("contact" in asked) is contacts_too


def test_at_the_end_of_a_run_it_is_read_who_is_on_the_lists_and_nothing_else(scene: Scene) -> None:
    factories.members(2, list=scene.lists.campaign[0])
    scene.publish()
    mirror.refresh_all(mailjet=scene.outside.mailjet, now=scene.clock())

    assert asked_by(scene, post_campaign.capture_after) == {"listrecipient"}
