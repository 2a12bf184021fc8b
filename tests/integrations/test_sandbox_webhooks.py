"""Webhooks as Mailjet's Event API tells them: bodies, groups, retries, dead URLs and everything untidy."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from integrations.sandbox.control import ControlRefused
from tests.integrations.sandbox_scenes import Scene, small_scene
from tests.integrations.test_sandbox_sending import DAY, send, world_of


@dataclass
class Receiver:
    """Somebody's webhook: keeps what it was told, and answers as it is bid."""

    url: str = ""
    status: int = 200
    bodies: list[Any] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Everything that was told, groups opened."""
        return [event for body in self.bodies for event in (body if isinstance(body, list) else [body])]

    @property
    def kinds(self) -> list[str]:
        return [event["event"] for event in self.events]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.bodies.append(json.loads(body))
            receiver.keys.append(self.headers.get("Authorization", ""))
            self.send_response(receiver.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hooks"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with small_scene(tmp_path) as scene:
        scene.control.settings(campaign_lookup_seconds=0, webhooks_held=True)
        yield scene


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def connect(scene: Scene, url: str, *kinds: str, version: int = 1, **more: Any) -> list[int]:
    made = [
        scene.send("POST", "eventcallbackurl", {"EventType": kind, "Url": url, "Version": version, **more})
        for kind in kinds
    ]
    assert [response.status_code for response in made] == [201] * len(kinds), made[0].text
    return [response.json()["Data"][0]["ID"] for response in made]


# Setting them up


def test_there_is_one_url_for_a_kind_and_one_backup(scene: Scene) -> None:
    body = {"EventType": "open", "Url": "https://example.com/x"}
    first = scene.send("POST", "eventcallbackurl", body)
    second = scene.send("POST", "eventcallbackurl", body)
    backup = scene.send("POST", "eventcallbackurl", {**body, "IsBackup": True})

    row = first.json()["Data"][0]
    assert (row["Status"], row["Version"], row["IsBackup"], row["EventType"]) == ("alive", 1, False, "open")
    assert second.status_code == 400
    message = 'MJ18 A EventCallbackUrl resource with value "open|false" for EventType|Backup already exists.'
    assert second.json()["ErrorMessage"] == message
    assert backup.status_code == 201
    assert len(scene.rows("eventcallbackurl", EventType="open")) == 2


def test_a_url_is_changed_kept_and_taken_away(scene: Scene) -> None:
    [key] = connect(scene, "https://example.com/x", "spam")
    path = f"eventcallbackurl/{key}"
    changed = scene.send("PUT", path, {"Version": 2})
    unchanged = scene.send("PUT", path, {"Version": 2})
    gone = scene.http.delete(f"/v3/REST/{path}")

    assert (changed.status_code, changed.json()["Data"][0]["Version"]) == (200, 2)
    assert (unchanged.status_code, gone.status_code) == (304, 204)
    assert scene.get(path).status_code == 404


@pytest.mark.parametrize(
    "fields",
    [{"EventType": "party"}, {"Url": "ftp://x"}, {"Url": ""}, {"Version": 3}, {"Status": "tired"}, {"ID": 3}],
)
def test_a_url_that_makes_no_sense_is_refused(scene: Scene, fields: dict[str, Any]) -> None:
    body = {"EventType": "open", "Url": "https://example.com/x", **fields}

    assert scene.send("POST", "eventcallbackurl", body).status_code in (400, 401)
    assert scene.rows("eventcallbackurl") == []


# Telling


def test_each_kind_of_event_is_told_with_its_own_words(scene: Scene, receiver: Receiver) -> None:
    natures = ["clicking", "unsubscribing", "complaining", "dead", "greylisting", "blocked_elsewhere"]
    scene.control.load(world_of(*natures))
    connect(scene, receiver.url, "sent", "open", "click", "bounce", "spam", "blocked", "unsub")
    campaign = send(scene)
    scene.control.advance(DAY)
    scene.control.deliver()
    draft = scene.row(f"campaign/{campaign}")["NewsLetterID"]

    def told(contact_id: int, kind: str) -> dict[str, Any]:
        [event] = [
            each for each in receiver.events if (each["mj_contact_id"], each["event"]) == (contact_id, kind)
        ]
        return event

    message = scene.rows("message", Campaign=campaign)[3]
    assert all(isinstance(body, dict) for body in receiver.bodies)
    assert told(4, "bounce") | {"time": 0} == {
        "event": "bounce",
        "time": 0,
        "MessageID": message["ID"],
        "Message_GUID": message["UUID"],
        "email": "c4@example.com",
        "mj_campaign_id": campaign,
        "mj_contact_id": 4,
        "customcampaign": f"mj.nl={draft}",
        "CustomID": "",
        "Payload": "",
        "blocked": True,
        "hard_bounce": True,
        "error_related_to": "recipient",
        "error": "user unknown",
        "comment": "550 5.1.1 no such user",
    }
    grey = told(5, "bounce")
    assert (grey["hard_bounce"], grey["error"], grey["error_related_to"]) == (False, "greylisted", "domain")
    assert told(5, "sent")["mj_message_id"] == str(told(5, "sent")["MessageID"])
    assert told(6, "blocked")["error"] == "preblocked"
    assert "hard_bounce" not in told(6, "blocked")
    assert told(3, "spam")["source"] == "JMRPP"
    assert told(2, "unsub")["mj_list_id"] == 11
    assert told(1, "click")["url"].startswith("https://")
    assert told(1, "open")["ip"]
    assert told(1, "sent")["time"] < told(1, "open")["time"] < told(1, "click")["time"]


def test_only_what_somebody_listens_to_is_told_and_only_once(scene: Scene, receiver: Receiver) -> None:
    scene.control.load(world_of("dead", "good", "opening"))
    connect(scene, receiver.url, "bounce")
    send(scene)
    scene.control.advance(DAY)

    assert scene.control.deliver() == {"told": 1, "failed": 0, "lost": 0}
    assert scene.control.deliver() == {"told": 0, "failed": 0, "lost": 0}
    assert receiver.kinds == ["bounce"]


def test_a_grouped_webhook_gets_an_array_of_mixed_kinds(scene: Scene, receiver: Receiver) -> None:
    scene.control.settings(webhook_group=4)
    scene.control.load(world_of("dead", "good", "good", "blocked_elsewhere", "inactive", "good"))
    connect(scene, receiver.url, "bounce", "sent", "blocked", version=2)
    send(scene)
    scene.control.deliver()

    assert [len(body) for body in receiver.bodies] == [4, 2]
    assert sorted(receiver.kinds) == ["blocked", "bounce", "bounce", "sent", "sent", "sent"]
    assert len({event["event"] for event in receiver.bodies[0]}) > 1


def test_name_and_password_of_the_url_arrive_as_basic_authentication(
    scene: Scene, receiver: Receiver
) -> None:
    scene.control.load(world_of("dead"))
    connect(scene, receiver.url.replace("//", "//hook:s%40crt@"), "bounce")
    send(scene)
    scene.control.deliver()

    assert receiver.keys == ["Basic " + base64.b64encode(b"hook:s@crt").decode()]


def test_events_are_told_without_being_asked_for(scene: Scene, receiver: Receiver) -> None:
    scene.control.load(world_of("dead"))
    connect(scene, receiver.url, "bounce")
    scene.control.settings(webhooks_held=False)
    send(scene)

    waited = threading.Event()
    for _ in range(200):
        if receiver.bodies or waited.wait(0.05):
            break
    assert receiver.kinds == ["bounce"]


# What goes wrong


def test_any_answer_but_200_is_tried_again_every_30_seconds(scene: Scene, receiver: Receiver) -> None:
    scene.control.load(world_of("dead"))
    connect(scene, receiver.url, "bounce")
    receiver.status = 204
    send(scene)
    tries = [scene.control.deliver()["failed"]]
    for seconds in (20, 11, 31):
        scene.control.advance(seconds)
        tries.append(scene.control.deliver()["failed"])
    receiver.status = 200
    scene.control.advance(31)

    assert tries == [1, 0, 1, 1]
    assert scene.control.deliver()["told"] == 1
    assert len(receiver.bodies) == 4
    assert all(body == receiver.bodies[0] for body in receiver.bodies)


def test_after_a_day_of_failures_the_url_is_dead_until_it_gets_a_new_one(
    scene: Scene, receiver: Receiver
) -> None:
    scene.control.load(world_of("dead", "inactive"))
    [key] = connect(scene, receiver.url, "bounce")
    receiver.status = 500
    send(scene)
    scene.control.deliver()
    scene.control.advance(DAY - 60)
    scene.control.deliver()
    alive = scene.row(f"eventcallbackurl/{key}")["Status"]
    scene.control.advance(90)
    scene.control.deliver()
    dead = scene.row(f"eventcallbackurl/{key}")["Status"]
    scene.control.advance(60)
    lost = scene.control.deliver()
    scene.send("PUT", f"eventcallbackurl/{key}", {"Url": f"{receiver.url}/new"})

    assert (alive, dead) == ("alive", "dead")
    assert lost == {"told": 0, "failed": 0, "lost": 2}
    assert scene.row(f"eventcallbackurl/{key}")["Status"] == "alive"
    receiver.status, receiver.bodies = 200, []
    scene.control.happen(scene.rows("message", FromTS=0)[0]["ID"], "complaining")
    assert scene.control.deliver()["told"] == 0, "nobody listens to complaints"
    scene.control.happen(scene.rows("message", FromTS=0)[1]["ID"], "dead")
    assert scene.control.deliver()["told"] == 1


def test_a_backup_takes_over_for_a_dead_url(scene: Scene, receiver: Receiver) -> None:
    with receiving() as backup:
        scene.control.load(world_of("dead"))
        connect(scene, receiver.url, "bounce")
        connect(scene, backup.url, "bounce", IsBackup=True)
        receiver.status = 500
        send(scene)
        scene.control.deliver()
        scene.control.advance(DAY + 1)
        scene.control.deliver()
        scene.control.advance(31)
        scene.control.deliver()

        assert backup.kinds == ["bounce"]


def test_events_are_told_twice_and_in_disorder_on_demand(scene: Scene, receiver: Receiver) -> None:
    scene.control.settings(webhook_duplicate_share=1, webhook_shuffled=True)
    scene.control.load(world_of(*["clicking"] * 10))
    connect(scene, receiver.url, "sent", "open", "click")
    send(scene)
    scene.control.advance(DAY)
    scene.control.deliver()
    times = [event["time"] for event in receiver.events]

    assert sorted(receiver.kinds) == ["click"] * 20 + ["open"] * 20 + ["sent"] * 20
    assert times != sorted(times)
    assert scene.control.replay() == 60
    scene.control.deliver()
    assert len(receiver.events) == 120


def test_events_can_come_late(scene: Scene, receiver: Receiver) -> None:
    scene.control.settings(webhook_lag_seconds=3600)
    scene.control.load(world_of("dead"))
    connect(scene, receiver.url, "bounce")
    send(scene)

    assert scene.control.deliver()["told"] == 0
    scene.control.advance(3601)
    assert scene.control.deliver()["told"] == 1


def test_the_consoles_test_event_is_nearly_empty(scene: Scene, receiver: Receiver) -> None:
    connect(scene, receiver.url, "bounce", version=2)
    scene.control.test_event("bounce")
    scene.control.deliver()
    [event] = receiver.events

    assert (event["event"], event["MessageID"], event["email"], event["hard_bounce"]) == ("bounce", 0, "", "")
    with pytest.raises(ControlRefused, match="event must be one of"):
        scene.control.test_event("party")


def test_nothing_is_told_beyond_this_machine(scene: Scene) -> None:
    scene.control.load(world_of("dead"))
    connect(scene, "http://192.0.2.1/hooks", "bounce")
    send(scene)

    assert scene.control.deliver() == {"told": 0, "failed": 1, "lost": 0}
