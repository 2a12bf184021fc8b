"""What tests of workflows stand on: a stand-in of their own, one clock, the clients, a small world."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from listmanagement.models import ContactList
from listmanagement.outside import Outside
from listmanagement.workflows.demo import seeding
from listmanagement.workflows.demo.world import Scenario, World, build
from tests import factories
from tests.workflows import scene as scenes
from tests.workflows.scene import Clock, Scene, StandIn


@pytest.fixture
def standin(tmp_path: Path) -> Iterator[StandIn]:
    """Mailjet on this machine: empty, at NOON, its jobs done at once.

    Whatever a test is about: nobody was asked to be subscribed again, by any process (P2).
    """
    with scenes.stand_in(tmp_path / "stand-in") as standin:
        yield standin
        scenes.assert_nobody_was_resubscribed(standin)


@pytest.fixture
def clock(standin: StandIn) -> Clock:
    """The stand-in's time, for workflows too."""
    return Clock(standin.serving)


@pytest.fixture
def outside(standin: StandIn) -> Iterator[Outside]:
    """The clients: Mailjet and DNS are the stand-ins, Slack is not set up, rules judge."""
    with scenes.connect(standin) as mailjet:
        yield Outside(
            mailjet=mailjet,
            slack=None,
            ask=None,
            configuration=scenes.configuration(),
            dns=scenes.resolver(standin),
        )


@pytest.fixture
def scene(request: pytest.FixtureRequest, standin: StandIn, clock: Clock, outside: Outside) -> Scene:
    """The five lists of the test settings, empty. Fill them with factories, then `scene.publish()`."""
    request.getfixturevalue("transactional_db" if _wants_transactions(request) else "db")
    return Scene(standin, clock, outside, lists=factories.the_rotation())


def _wants_transactions(request: pytest.FixtureRequest) -> bool:
    marker = request.node.get_closest_marker("django_db")
    return marker is not None and bool(marker.kwargs.get("transaction"))


@pytest.fixture
def demo(request: pytest.FixtureRequest, standin: StandIn, clock: Clock) -> World:
    """The demo's whole world, between two cycles, in the database and at the stand-in. Takes a second."""
    request.getfixturevalue("transactional_db" if _wants_transactions(request) else "db")
    world = build(seed=1, now=clock(), scenario=Scenario.BETWEEN_CYCLES)
    seeding.seed(world, configuration=scenes.configuration(), control=standin.control, reset=True)
    return world


@pytest.fixture
def scene_of_demo(demo: World, standin: StandIn, clock: Clock, outside: Outside) -> Scene:
    """The demo's world as a scene."""
    del demo
    one, two, three = ContactList.objects.rotation()
    lists = factories.Rotation(
        master=ContactList.objects.master(),
        campaign=(one, two, three),
        suppression=ContactList.objects.suppression(),
    )
    return Scene(standin, clock, outside, lists=lists)
