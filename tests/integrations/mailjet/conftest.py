"""A client and a server that says what a test tells it to; a client and the stand-in."""

from collections.abc import Iterator

import pytest

from integrations import mailjet as m
from integrations.sandbox import serve
from integrations.sandbox.control import Control
from tests.integrations.mailjet.saying import Counted, connected
from tests.integrations.mailjet.world import document
from tests.integrations.scripted import Said, Server, serving


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Server, m.Mailjet, Counted, list[float]]]:
    # One client for the module: making one reads all root certificates.
    budget, slept = Counted(), list[float]()
    with serving() as server, connected(server.url, budget=budget, sleep=slept.append) as client:
        yield server, client, budget, slept


@pytest.fixture
def server(shared: tuple[Server, m.Mailjet, Counted, list[float]]) -> Server:
    server, client, budget, slept = shared
    server.says = [Said()]
    server.heard.clear()
    budget.asked.clear()
    slept.clear()
    client.requests = 0
    return server


@pytest.fixture
def client(server: Server, shared: tuple[Server, m.Mailjet, Counted, list[float]]) -> m.Mailjet:
    return shared[1]


@pytest.fixture
def budget(server: Server, shared: tuple[Server, m.Mailjet, Counted, list[float]]) -> Counted:
    return shared[2]


@pytest.fixture
def slept(server: Server, shared: tuple[Server, m.Mailjet, Counted, list[float]]) -> list[float]:
    return shared[3]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Control, m.Mailjet]]:
    with (
        serve(tmp_path_factory.mktemp("world"), rate=100_000) as standin,
        Control(standin.url) as control,
        connected(
            standin.url,
            budget=Counted(),
            sleep=lambda _: None,
            key=standin.api_key,
            secret=standin.api_secret,
        ) as client,
    ):
        yield control, client


@pytest.fixture
def control(world: tuple[Control, m.Mailjet]) -> Iterator[Control]:
    control, _ = world
    control.load(document())
    yield control
    control.clear_faults()
    control.settings(rate=100_000, job_seconds=1.0)


@pytest.fixture
def mailjet(control: Control, world: tuple[Control, m.Mailjet]) -> m.Mailjet:
    return world[1]
