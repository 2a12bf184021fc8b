"""`manage.py connect_webhooks`: what it sets up, what it leaves alone, what it says and never prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from pytest_django import Settings

from integrations.mailjet import EventKind, EventUrl
from listmanagement.models import AuditEntry
from listmanagement.workflows.events.urls import LOST, Door, is_public
from tests import factories
from tests.workflows import scene as scenes
from tests.workflows.scene import StandIn

PASSWORD = "s3cret/with:every@thing"
OURS = "http://mailjet:s3cret%2Fwith%3Aevery%40thing@127.0.0.1:8000/webhooks/mailjet/"
THEIRS = "https://user:their-secret@crm.example.com/mailjet"

pytestmark = pytest.mark.django_db


@pytest.fixture
def standin(db: None, tmp_path: Path) -> Iterator[StandIn]:
    """Mailjet as the settings name it."""
    with (
        scenes.stand_in(tmp_path) as standin,
        override_settings(MAILJET_BASE_URL=standin.url, MAILJET_WEBHOOK_PASSWORD=PASSWORD),
    ):
        yield standin


def urls(standin: StandIn) -> dict[str, EventUrl]:
    with scenes.connect(standin) as mailjet:
        return {url.event: url for url in mailjet.event_urls() if not url.is_backup}


def there_is(standin: StandIn, url: str, *kinds: str, **columns: Any) -> None:
    """Somebody set this up."""
    with standin.serving.world.transaction() as db:
        for kind in kinds:
            db.execute(
                "INSERT INTO callbacks (event_type, url, version, status) VALUES (?, ?, ?, ?)",
                (kind, url, columns.get("version", 2), columns.get("status", "alive")),
            )


def connect(*options: str) -> str:
    told, errors = StringIO(), StringIO()
    call_command("connect_webhooks", *options, stdout=told, stderr=errors)
    for words in (told.getvalue(), errors.getvalue()):
        assert "s3cret" not in words
        assert "their-secret" not in words
    return told.getvalue().strip()


def refused(*options: str) -> str:
    with pytest.raises(CommandError) as refusal:
        connect(*options)
    assert "s3cret" not in str(refusal.value)
    return str(refusal.value)


def test_every_kind_of_event_is_asked_for_in_groups_and_noted(standin: StandIn) -> None:
    told = connect()

    found = urls(standin)
    assert set(found) == {kind.value for kind in EventKind}
    assert {(url.url, url.version) for url in found.values()} == {(OURS, 2)}
    assert told.splitlines()[:2] == [
        "Events for http://127.0.0.1:8000/webhooks/mailjet/",
        "  sent: set up",
    ]
    assert AuditEntry.objects.filter(subject_kind="event url").count() == 7


def test_repeated_it_does_nothing(standin: StandIn) -> None:
    connect()
    before, asked = urls(standin), len(standin.writes())

    assert connect().splitlines()[1:] == [f"  {kind.value}: stands" for kind in EventKind]
    assert (urls(standin), len(standin.writes())) == (before, asked)


def test_a_dry_run_changes_nothing_and_says_what_would_be(standin: StandIn) -> None:
    there_is(standin, THEIRS, "open")
    there_is(standin, OURS, "click", status="dead")

    told = json.loads(connect("--dry-run", "--json"))

    assert set(urls(standin)) == {"open", "click"}
    assert told["dry_run"] is True
    assert (told["events"]["sent"], told["events"]["open"], told["events"]["click"]) == (
        "create",
        "foreign",
        "revive",
    )
    assert standin.writes() == []
    assert not AuditEntry.objects.exists()


def test_a_url_of_somebody_else_stays_and_what_is_lost_is_said(standin: StandIn) -> None:
    there_is(standin, THEIRS, "bounce", "spam")

    told = connect()

    found = urls(standin)
    assert {kind for kind, url in found.items() if url.url == THEIRS} == {"bounce", "spam"}
    assert len(found) == 7
    for kind in (EventKind.BOUNCE, EventKind.SPAM):
        assert f"  {kind.value}: leads to crm.example.com and stays as it is" in told
        assert f"  {kind.value}: {LOST[kind]}" in told
    assert "are read from Mailjet regularly all the same" in told
    assert json.loads(connect("--json"))["foreign"] == [
        {"event": kind.value, "host": "crm.example.com", "lost": LOST[kind]}
        for kind in (EventKind.BOUNCE, EventKind.SPAM)
    ]


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:8000.example.com/webhooks/mailjet/",
        "https://127.0.0.1.example.com/webhooks/mailjet/",
        "http://127.0.0.1:8000/webhooks/other/",
        "http://127.0.0.1:8000/",
        "http://other.example.com/webhooks/mailjet/",
        "http://evil.example.com/?x=http://127.0.0.1:8000/webhooks/mailjet/",
    ],
)
def test_what_only_looks_like_ours_is_not(standin: StandIn, url: str) -> None:
    there_is(standin, url, "bounce")

    assert json.loads(connect("--json"))["events"]["bounce"] == "foreign"
    assert urls(standin)["bounce"].url == url


@pytest.mark.parametrize(
    ("url", "version"),
    [
        ("http://mailjet:older@127.0.0.1:8000/webhooks/mailjet/", 2),
        ("http://127.0.0.1:8000/webhooks/mailjet", 2),
        ("https://somebody:x@127.0.0.1/webhooks/mailjet/", 2),
        (OURS, 1),
    ],
)
def test_what_is_ours_but_out_of_date_is_updated(standin: StandIn, url: str, version: int) -> None:
    there_is(standin, url, "bounce", version=version)

    assert json.loads(connect("--json"))["events"]["bounce"] == "update"
    assert (urls(standin)["bounce"].url, urls(standin)["bounce"].version) == (OURS, 2)


def test_what_mailjet_gave_up_is_told_anew_once(standin: StandIn) -> None:
    there_is(standin, OURS, "bounce", status="dead")

    assert json.loads(connect("--json"))["events"]["bounce"] == "revive"
    revived = urls(standin)["bounce"]
    assert (revived.status.value, revived.url.startswith(f"{OURS}?revived=")) == ("alive", True)
    assert json.loads(connect("--json"))["events"]["bounce"] == "nothing"
    assert urls(standin)["bounce"] == revived


# --- Refusals ----------------------------------------------------------------------------------------


def test_without_a_password_it_says_what_to_do(standin: StandIn, settings: Settings) -> None:
    settings.MAILJET_WEBHOOK_PASSWORD = ""

    assert "MAILJET_WEBHOOK_PASSWORD is not set" in refused()


@pytest.mark.parametrize(
    ("site", "words"),
    [
        ("http://127.0.0.1:8000", "Mailjet cannot reach"),
        ("https://localhost", "Mailjet cannot reach"),
        ("https://10.0.0.7", "Mailjet cannot reach"),
        ("https://evenkeel", "Mailjet cannot reach"),
        ("http://lists.example.com", "in the open"),
    ],
)
def test_where_a_real_mailjet_could_not_tell_us_anything_it_is_refused(
    standin: StandIn, settings: Settings, site: str, words: str
) -> None:
    settings.MAILJET_IS_STAND_IN, settings.SITE_URL = False, site

    said = refused()

    assert site in said
    assert words in said
    assert urls(standin) == {}


def test_a_public_address_is_told_to_a_real_mailjet(standin: StandIn, settings: Settings) -> None:
    settings.MAILJET_IS_STAND_IN, settings.SITE_URL = False, "https://lists.example.com"

    connect()

    assert {url.url.split("@")[1] for url in urls(standin).values()} == {
        "lists.example.com/webhooks/mailjet/"
    }


def test_paused_nothing_is_written_at_mailjet_but_it_is_still_looked_at(standin: StandIn) -> None:
    factories.the_rollout(paused_at=factories.NOON)

    assert "paused by" in refused()
    assert "would be set up" in connect("--dry-run")
    assert urls(standin) == {}


def test_mailjet_being_away_is_said_without_a_traceback(standin: StandIn) -> None:
    standin.control.fault(path="eventcallbackurl", method="POST", status=503)

    assert "Run this again" in refused()


# --- Addresses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://lists.example.com", True),
        ("https://8.8.8.8", True),
        ("https://localhost", False),
        ("https://app.localhost", False),
        ("https://printer.local", False),
        ("https://[::1]", False),
        ("https://192.168.1.9", False),
    ],
)
def test_only_what_somebody_elsewhere_reaches_is_public(url: str, public: bool) -> None:
    assert is_public(url) == public


def test_the_password_never_shows() -> None:
    door = Door("https://lists.example.com", "mailjet", PASSWORD)

    assert PASSWORD not in repr(door)
    assert door.shown == "https://lists.example.com/webhooks/mailjet/"
