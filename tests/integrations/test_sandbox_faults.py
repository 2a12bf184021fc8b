"""The rate limit, cut connections and everything else that goes wrong on demand."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.sandbox.dns import DnsStandIn
from integrations.sandbox.faults import BadFault, parse
from integrations.sandbox.gemini import GeminiStandIn
from integrations.sandbox.server import NotLoopback, Sandbox
from integrations.sandbox.traffic import RateLimit
from integrations.sandbox.world import World
from tests.integrations.sandbox_scenes import Scene, small_scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with small_scene(tmp_path) as scene:
        yield scene


@given(st.lists(st.integers(0, 150), max_size=60).map(sorted), st.integers(0, 8))
def test_no_window_of_60_seconds_admits_more_than_the_rate_nor_refuses_below_it(
    times: list[int], rate: int
) -> None:
    limit = RateLimit()
    admitted: list[int] = []
    for now in times:
        in_window = sum(now - 60 < each for each in admitted)
        if limit.admits(now=now, rate=rate):
            admitted.append(now)
            assert in_window < rate
        else:
            assert in_window >= rate


def test_one_request_too_many_gets_a_page_and_no_hint_when_to_come_back(scene: Scene) -> None:
    scene.control.settings(rate=3)
    codes = [scene.get("contact").status_code for _ in range(3)]
    refused = scene.get("contact")
    scene.control.advance(61)

    assert codes == [200, 200, 200]
    assert refused.status_code == 429
    assert "<h1>429 Too Many Requests</h1>" in refused.text
    assert refused.headers["content-type"] == "text/html"
    assert "retry-after" not in refused.headers
    assert scene.get("contact").status_code == 200


def test_control_requests_and_slack_do_not_use_up_mailjets_rate(scene: Scene) -> None:
    scene.control.settings(rate=1)
    for _ in range(5):
        scene.control.members(11)
        scene.http.post("/slack/services/T0/B0/x", json={"text": "hello"})

    assert scene.get("contact").status_code == 200


def test_a_body_above_the_limit_cuts_the_connection_and_does_nothing(scene: Scene) -> None:
    scene.control.settings(max_body=500)
    people = [{"Email": f"c{key}@example.com"} for key in range(50)]

    with pytest.raises(httpx.TransportError):
        scene.send("POST", "contactslist/11/managemanycontacts", {"Action": "remove", "Contacts": people})

    assert scene.rows("batchjob") == []


def test_a_lost_reply_leaves_a_job_behind(scene: Scene) -> None:
    scene.control.fault(method="POST", path="managemanycontacts$", timeout_after_acceptance=0, times=1)

    with pytest.raises(httpx.RemoteProtocolError):
        scene.job_on(11, "remove", "c1@example.com")

    [job] = scene.rows("batchjob", RefID=11)
    scene.finish_jobs()
    assert job["Method"] == "remove"
    assert scene.control.members(11) == {2: True}


def test_a_reply_that_never_comes_runs_into_the_callers_own_timeout(scene: Scene) -> None:
    scene.control.fault(path="contactslist/12$", timeout_after_acceptance=True)

    with pytest.raises(httpx.ReadTimeout):
        scene.http.put("/v3/REST/contactslist/12", json={"Name": "renamed"}, timeout=0.2)

    scene.control.clear_faults()
    assert scene.row("contactslist/12")["Name"] == "renamed"


def test_a_dropped_request_was_never_received(scene: Scene) -> None:
    scene.control.settings(rate=1)
    scene.control.fault(path="managemanycontacts", drop=True, times=1)

    with pytest.raises(httpx.RemoteProtocolError):
        scene.job_on(11, "remove", "c1@example.com")

    assert scene.rows("batchjob") == []


def test_a_delayed_request_is_served_afterwards(scene: Scene) -> None:
    scene.control.fault(path="/contact$", delay_seconds=0.05, times=1)
    started = time.monotonic()

    assert len(scene.rows("contact")) == 3
    assert time.monotonic() - started >= 0.05


@pytest.mark.parametrize(
    ("status", "content_type", "words"),
    [
        (500, "application/json", "ErrorIdentifier"),
        (502, "text/html", "502 Bad Gateway"),
        (503, "text/html", "503 Service Unavailable"),
        (429, "text/html", "<h1>429 Too Many Requests</h1>"),
        (403, "application/json", "Forbidden"),
        (401, "text/html", ""),
    ],
)
def test_a_planted_status_has_the_shape_it_has_at_mailjet(
    scene: Scene, status: int, content_type: str, words: str
) -> None:
    scene.control.fault(path="/v3/", status=status, times=1)
    response = scene.get("contact")

    assert response.status_code == status
    assert response.headers["content-type"].startswith(content_type)
    assert words in response.text
    assert scene.get("contact").status_code == 200, "a fault for one request strikes once"


def test_a_fault_strikes_only_its_method_and_path_until_cleared(scene: Scene) -> None:
    scene.control.fault(method="POST", path="contactslist", status=503)

    assert scene.get("contactslist").status_code == 200
    assert scene.send("POST", "contact", {"Email": "n@example.com"}).status_code == 201
    assert [scene.send("POST", "contactslist", {"Name": "n"}).status_code for _ in range(2)] == [503, 503]
    scene.control.clear_faults()
    assert scene.send("POST", "contactslist", {"Name": "n"}).status_code == 201


def test_a_fault_strikes_one_page_of_a_list(scene: Scene) -> None:
    scene.control.fault(path="/contact$", query="offset=1&", status=502)
    codes = [scene.get("contact", Offset=offset, Limit=1).status_code for offset in range(3)]

    assert codes == [200, 502, 200]


def test_a_fault_of_some_probability_strikes_sometimes(scene: Scene) -> None:
    scene.control.fault(path="contact", status=503, probability=0.5)
    codes = {scene.get("contact").status_code for _ in range(40)}

    assert codes == {200, 503}


@pytest.mark.parametrize(
    "given_fault",
    [
        {"path": "x"},
        {"status": 500},
        {"path": "(", "status": 500},
        {"path": "x", "status": 500, "drop": True},
        {"path": "x", "job": "explode"},
        {"path": "x", "status": 500, "often": True},
        {"path": "x", "status": 42},
        {"path": "x", "status": 500, "times": "two"},
        {"path": "x", "status": 500, "probability": 2},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(given_fault: dict[str, Any]) -> None:
    with pytest.raises(BadFault):
        parse(given_fault)


def test_traffic_is_counted_by_service_and_status_with_cut_connections_as_0(scene: Scene) -> None:
    scene.get("contact")
    scene.get("contact/999")
    scene.control.fault(path="contact", drop=True, times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        scene.get("contact")
    report = scene.control.requests()

    assert report["by_service"] == {"mailjet": 3}
    assert report["by_status"] == {"mailjet 200": 1, "mailjet 404": 1, "mailjet 0": 1}
    assert [(each["method"], each["path"], each["status"]) for each in report["last"]] == [
        ("GET", "/v3/REST/contact", 200),
        ("GET", "/v3/REST/contact/999", 404),
        ("GET", "/v3/REST/contact", 0),
    ]


def test_many_callers_at_once_lose_nothing(scene: Scene) -> None:
    scene.control.settings(job_seconds=0)

    def add(number: int) -> None:
        for each in range(5):
            scene.job_on(12, "addnoforce", f"w{number}-{each}@example.com")

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(scene.control.members(12)) == 40
    assert scene.control.requests()["by_status"] == {"mailjet 201": 40}


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])
def test_the_stand_ins_do_not_listen_beyond_this_machine(tmp_path: Path, host: str) -> None:
    world = World(tmp_path)
    try:
        with pytest.raises(NotLoopback):
            Sandbox(
                world,
                host=host,
                port=0,
                api_key="k",
                api_secret="s",
                slack_token="t",
                model=GeminiStandIn(api_key="g", judge=None),
                names=DnsStandIn(),
            )
    finally:
        world.close()


def test_when_the_stand_ins_stop_their_open_connections_end(tmp_path: Path) -> None:
    with small_scene(tmp_path) as scene:
        url = f"{scene.serving.url}/v3/REST/contact"
        http = httpx.Client(auth=("sandbox", "sandbox"), trust_env=False)
        assert http.get(url).status_code == 200

    with pytest.raises(httpx.TransportError):
        http.get(url)
    http.close()
