"""The door that Mailjet tells events at: who may enter, what is kept, and that it is always answered."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from listmanagement.models import EventStatus, ToldKind, WebhookEvent
from listmanagement.workflows import events

PATH = "/webhooks/mailjet/"
USER, PASSWORD = "mailjet", "grüße an 16 Zeichen"

Tell = Callable[..., int]


@pytest.fixture(autouse=True)
def door(settings: Settings) -> None:
    """It is open to whoever knows these."""
    settings.MAILJET_WEBHOOK_USER, settings.MAILJET_WEBHOOK_PASSWORD = USER, PASSWORD


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def post(body: bytes | str, *, key: str | None = basic(USER, PASSWORD), client: Client | None = None) -> Any:
    headers = {"Authorization": key} if key is not None else {}
    client = client or Client(enforce_csrf_checks=True)
    return client.post(PATH, body, content_type="application/json", headers=headers)


def tell(*told: Any) -> int:
    """Tell these events as a group; the answer's status."""
    return int(post(json.dumps(told)).status_code)


def an_event(n: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "event": "sent",
        "time": 1772452800 + n,
        "MessageID": 2**60 + n,
        "email": f"contact-{n}@example.com",
        "mj_campaign_id": 7,
        "mj_contact_id": n,
        **fields,
    }


# --- Who may enter -----------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        "Basic",
        "Basic ====",
        "Basic grüße",
        "Bearer " + basic(USER, PASSWORD)[6:],
        basic(USER, ""),
        basic("", PASSWORD),
        basic(USER, PASSWORD + "x"),
        basic(USER, PASSWORD[:-1]),
        basic(USER + "x", PASSWORD),
        basic(PASSWORD, USER),
        basic(USER, ":" + PASSWORD),
        "Basic " + base64.b64encode(USER.encode()).decode(),
    ],
)
def test_without_the_name_and_the_password_nothing_is_taken(key: str | None) -> None:
    answer = post(json.dumps(an_event()), key=key)

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Basic realm=")
    assert not WebhookEvent.objects.exists()


@pytest.mark.django_db
def test_with_them_it_is_taken_though_the_word_is_in_capitals() -> None:
    assert (
        post(json.dumps(an_event()), key=basic(USER, PASSWORD).replace("Basic", "BASIC")).status_code == 200
    )
    assert WebhookEvent.objects.count() == 1


@pytest.mark.django_db
def test_a_door_without_a_password_is_closed_and_says_so_in_the_log(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.MAILJET_WEBHOOK_PASSWORD = ""

    assert post(json.dumps(an_event()), key=basic(USER, "")).status_code == 404
    assert "MAILJET_WEBHOOK_PASSWORD is not set" in caplog.text
    assert not WebhookEvent.objects.exists()


@pytest.mark.django_db
def test_a_door_is_no_page() -> None:
    assert Client().get(PATH).status_code == 405


# --- What is kept ------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_object_and_an_array_are_kept_event_by_event_as_they_came() -> None:
    one, two, three = (
        an_event(1),
        an_event(2, event="bounce"),
        an_event(3, event="UNSUB", odd={"x": [1, None]}),
    )

    assert post(json.dumps(one)).status_code == 200
    assert tell(two, three) == 200

    kept = WebhookEvent.objects.order_by("kind")
    assert [json.loads(each.body) for each in kept] == [two, one, three]
    assert [each.kind for each in kept] == [ToldKind.BOUNCE, ToldKind.SENT, ToldKind.UNSUB]
    assert {each.status for each in kept} == {EventStatus.NEW}


@pytest.mark.django_db
def test_the_same_event_is_kept_once_however_it_comes() -> None:
    group = [an_event(n) for n in range(50)]

    assert tell(*group, *group[:5]) == 200
    assert tell(*reversed(group)) == 200
    assert post(json.dumps({**group[0], "MessageID": str(group[0]["MessageID"])})).status_code == 200
    assert (
        tell(an_event(0, time=5), an_event(0, event="open"), an_event(0, url="https://example.com/")) == 200
    )

    assert WebhookEvent.objects.count() == 53


@pytest.mark.django_db(transaction=True)
def test_two_deliveries_at_once_in_disorder_keep_each_event_once() -> None:
    group = [an_event(n) for n in range(300)]
    orders = [group, group[::-1], group[150:] + group[:150], group[::2] + group[1::2]]
    answers: list[int] = []

    def deliver(order: list[dict[str, Any]]) -> None:
        try:
            answers.append(tell(*order))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=deliver, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [200] * 4
    assert WebhookEvent.objects.count() == 300


@pytest.mark.django_db
def test_a_request_is_stored_by_one_statement() -> None:
    with CaptureQueriesContext(connection) as asked:
        assert tell(*[an_event(n) for n in range(100)]) == 200

    assert [query["sql"].split()[0] for query in asked] == ["insert"]


@pytest.mark.django_db
def test_no_events_are_nothing_to_keep() -> None:
    assert post("[]").status_code == 200
    assert not WebhookEvent.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\x00",
        b"\xff\xfe",
        b"<html>429</html>",
        b'{"event": "sent"',
        b"[" * 100_000,
        b"event=sent&email=contact-1%40example.com",
    ],
)
def test_what_is_no_json_is_kept_for_a_person_and_answered(body: bytes) -> None:
    assert post(body).status_code == 200
    assert post(body).status_code == 200

    kept = WebhookEvent.objects.get()
    assert (kept.kind, len(kept.body) <= 65_536) == (ToldKind.UNREADABLE, True)
    events.process(now=kept.received_at)
    kept.refresh_from_db()
    assert (kept.status, kept.problem) == (EventStatus.REVIEW, "this is not the JSON of an event")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (7, ToldKind.UNREADABLE),
        ("sent", ToldKind.UNREADABLE),
        (None, ToldKind.UNREADABLE),
        ([], ToldKind.UNREADABLE),
        ({}, ToldKind.OTHER),
        ({"event": None}, ToldKind.OTHER),
        ({"event": "workflow_exited", "time": 1772452800, "MessageID": 5}, ToldKind.OTHER),
        ({"event": "too_large"}, ToldKind.OTHER),
        (an_event(MessageID=1.5e18), ToldKind.SENT),
        (an_event(MessageID=2**70), ToldKind.SENT),
        (an_event(MessageID=-1), ToldKind.SENT),
        (an_event(time="yesterday"), ToldKind.SENT),
        (an_event(time=0), ToldKind.SENT),
        (an_event(time=10**15), ToldKind.SENT),
        (an_event(mj_contact_id=["x"]), ToldKind.SENT),
        (an_event(event="bounce", mj_campaign_id=True), ToldKind.BOUNCE),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_kept_for_a_person_beside_what_can(told: Any, kind: ToldKind) -> None:
    assert tell(an_event(9), told) == 200
    assert tell(told) == 200

    assert WebhookEvent.objects.count() == 2
    kept = WebhookEvent.objects.get(
        kind=kind, body=json.dumps(told, separators=(",", ":"), ensure_ascii=False)
    )
    events.process(now=kept.received_at)
    kept.refresh_from_db()
    assert (kept.status, kept.processed_at) == (EventStatus.REVIEW, kept.received_at)
    assert kept.problem
    assert "@" not in kept.problem


@pytest.mark.django_db
def test_letters_that_are_none_harm_nobody() -> None:
    body = '[{"event": "sent", "email": "\\ud800\\u0000", "time": 1, "MessageID": 4}]'

    assert post(body).status_code == 200
    assert events.process(now=WebhookEvent.objects.get().received_at) == 1


@pytest.mark.django_db
def test_of_a_request_that_is_too_large_the_beginning_is_kept() -> None:
    body = json.dumps([an_event(comment="x" * events.LARGEST)])

    assert post(body).status_code == 200

    kept = WebhookEvent.objects.get()
    assert (kept.kind, kept.body) == (ToldKind.TOO_LARGE, body[:65_536])
    events.process(now=kept.received_at)
    kept.refresh_from_db()
    assert kept.status == EventStatus.REVIEW
    assert "too large" in kept.problem


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["sent", "open", "click", "bounce", "blocked", "spam", "unsub"])
def test_the_consoles_test_events_are_nothing_to_look_at(kind: str) -> None:
    nothing = dict.fromkeys(
        ["email", "blocked", "hard_bounce", "mj_list_id", "error", "error_related_to"], ""
    )
    test = {
        "event": kind,
        "time": 1772452800,
        "MessageID": 0,
        "mj_campaign_id": 0,
        "mj_contact_id": 0,
        **nothing,
    }

    assert tell(test, {**test, "time": 1772452801}) == 200

    assert events.process(now=WebhookEvent.objects.earliest("pk").received_at) == 2
    assert set(WebhookEvent.objects.values_list("status", flat=True)) == {EventStatus.DONE}


@pytest.mark.django_db
def test_no_address_and_nothing_told_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    told = an_event(comment="550 contact-1@example.com unknown", event="party")

    tell(told, an_event(2, MessageID=-5), "contact-3@example.com")
    post(b"contact-4@example.com")
    post(json.dumps(told), key=basic("contact-5@example.com", "x"))
    events.process(now=WebhookEvent.objects.earliest("pk").received_at)

    assert "@" not in caplog.text
    assert "party" not in caplog.text
