"""Somebody signed in, for the pages that are asked for without a browser."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests import factories
from tests.admin import scenes
from tests.admin.scenes import Scene


@pytest.fixture
def scene(db: None) -> Scene:
    """A small decision that waits for review."""
    return scenes.after_a_campaign(gone=4, held=5, no_host=1, alive=2)


@pytest.fixture
def ana(db: None) -> User:
    """A reviewer."""
    return factories.a_reviewer("ana")


@pytest.fixture
def vic(db: None) -> User:
    """A viewer."""
    return factories.a_viewer("vic")


@pytest.fixture
def reviewing(client: Client, ana: User) -> Client:
    """The reviewer, signed in."""
    client.force_login(ana)
    return client


@pytest.fixture
def looking(vic: User) -> Client:
    """The viewer, signed in."""
    client = Client()
    client.force_login(vic)
    return client
