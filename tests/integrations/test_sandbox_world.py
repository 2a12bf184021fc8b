"""What the stand-ins remember: the document, the four actions, and what survives."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.sandbox.control import Control, ControlRefused
from integrations.sandbox.document import BadDocument
from integrations.sandbox.effects import Action, Standing, is_address, outcome
from integrations.sandbox.settings import BadSetting
from integrations.sandbox.world import World
from tests.integrations.sandbox_scenes import LONG_AGO, contact, member, small_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


standings, actions, switches = st.sampled_from(Standing), st.sampled_from(Action), st.booleans()


@given(standings, actions, switches)
def test_an_action_done_twice_ends_as_done_once(before: Standing, action: Action, switch: bool) -> None:
    once = outcome(before, action, unsub_adds_nonmember=switch)

    assert outcome(once, action, unsub_adds_nonmember=switch) is once


@given(st.lists(st.sampled_from([Action.ADD_NO_FORCE, Action.UNSUB])), switches)
def test_adding_without_force_never_lifts_an_unsubscription(steps: list[Action], switch: bool) -> None:
    now = Standing.UNSUBSCRIBED
    for action in steps:
        now = outcome(now, action, unsub_adds_nonmember=switch)

    assert now is Standing.UNSUBSCRIBED


@given(switches)
def test_a_removal_forgets_the_unsubscription(switch: bool) -> None:
    gone = outcome(Standing.UNSUBSCRIBED, Action.REMOVE, unsub_adds_nonmember=switch)
    back = outcome(gone, Action.ADD_NO_FORCE, unsub_adds_nonmember=switch)

    assert (gone, back) == (Standing.ABSENT, Standing.SUBSCRIBED)


def test_force_resubscribes_and_unsub_of_a_stranger_is_a_switch() -> None:
    force = outcome(Standing.UNSUBSCRIBED, Action.ADD_FORCE, unsub_adds_nonmember=False)
    ignored = outcome(Standing.ABSENT, Action.UNSUB, unsub_adds_nonmember=False)
    added = outcome(Standing.ABSENT, Action.UNSUB, unsub_adds_nonmember=True)

    assert (force, ignored, added) == (Standing.SUBSCRIBED, Standing.ABSENT, Standing.UNSUBSCRIBED)


@pytest.mark.parametrize(
    "address",
    [
        "a@example.com",
        "A.B+c@sub.example.com",
        "o'neil@example.test",
        "jörg@exämple.com",
        '"a b"@example.com',
    ],
)
def test_unusual_addresses_are_addresses(address: str) -> None:
    assert is_address(address)


@pytest.mark.parametrize(
    "address", ["", "a", "a@", "@example.com", "a b@example.com", "a@b@example.com", "a@example", "a@x..com"]
)
def test_malformed_addresses_are_not(address: str) -> None:
    assert not is_address(address)


def test_a_dump_loaded_again_is_the_same_world(world: World, tmp_path: Path) -> None:
    world.load(small_world())
    dumped = world.dump()

    other = World(tmp_path / "other")
    try:
        other.load(dumped)
        again = other.dump()
    finally:
        other.close()

    assert again == dumped
    assert dumped["contacts"][2]["email"] == "Cap.Tal+x@example.com"
    assert dumped["memberships"][1]["unsubscribed_at"] == LONG_AGO
    assert [{name: draft[name] for name in list(draft)[:9]} for draft in dumped["drafts"]] == [
        {
            "id": 9001,
            "title": "",
            "subject": "Hello",
            "list_id": 11,
            "status": 2,
            "created_at": LONG_AGO,
            "modified_at": None,
            "scheduled_at": None,
            "delivered_at": LONG_AGO,
        }
    ]


def _with(section: str, row: dict[str, Any]) -> dict[str, Any]:
    document = small_world()
    document[section] = [*document[section], row]
    return document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"people": []}, "unknown sections"),
        ({"contacts": {}}, "contacts must be an array"),
        (_with("contacts", {"id": 9}), r"contacts\[3\].email is missing"),
        (_with("contacts", contact(9, mail="x")), r"contacts\[3\] has unknown fields \['mail'\]"),
        (_with("contacts", contact(9, excluded="no")), r"contacts\[3\].excluded must be true or false"),
        (_with("contacts", contact(9, created_at="soon")), r"contacts\[3\].created_at"),
        (_with("contacts", contact(9, email="C1@EXAMPLE.com")), "contacts: UNIQUE"),
        (_with("contacts", contact(2**63)), "contacts: "),
        (_with("memberships", member(9, 11)), "memberships: the row with id"),
        (_with("memberships", member(1, 11, id=5)), "memberships: UNIQUE"),
        (_with("messages", {**small_world()["messages"][0], "id": 7, "status": "lost"}), "must be one of"),
        *[
            (
                _with(
                    "campaigns", {**small_world()["campaigns"][0], "id": 7, "draft_id": 7, "forgotten": given}
                ),
                message,
            )
            for given, message in (
                ('{"lost": 1}', "forgotten must be one of"),
                ('{"sent": "3"}', "forgotten must be a whole number"),
                ("[]", "forgotten must be a JSON object"),
            )
        ],
    ],
)
def test_a_document_that_is_no_world_is_refused_and_changes_nothing(
    world: World, document: dict[str, Any], message: str
) -> None:
    world.load(small_world())
    before = world.dump()

    with pytest.raises(BadDocument, match=message):
        world.load(document)

    assert world.dump() == before


def test_a_new_world_gives_out_ids_that_need_64_bits(world: World) -> None:
    with world.transaction() as db:
        cursor = db.execute("INSERT INTO contacts (email, created_at) VALUES ('n@example.com', 0)")

    assert cursor.lastrowid is not None
    assert cursor.lastrowid > 2**32


def test_settings_clock_and_rows_survive_a_reopening(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.load(small_world())
    world.change_settings({"job_seconds": 7, "rate": 12})
    world.advance(3600)
    dumped = world.dump()
    world.close()

    reopened = World(tmp_path)
    try:
        assert (reopened.settings.job_seconds, reopened.settings.rate) == (7, 12)
        assert reopened.clock.offset == 3600
        assert reopened.dump() == dumped
    finally:
        reopened.close()


def test_a_world_kept_by_an_earlier_release_goes_on(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "sandbox.sqlite3")
    old.executescript("""
        CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
        CREATE TABLE contacts (
            id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT NOT NULL UNIQUE COLLATE NOCASE,
            name TEXT NOT NULL DEFAULT '', created_at REAL NOT NULL, excluded INTEGER NOT NULL DEFAULT 0,
            excluded_at REAL, complained INTEGER NOT NULL DEFAULT 0, unsubscribed INTEGER NOT NULL DEFAULT 0,
            unsubscribed_at REAL, last_activity_at REAL, last_update_at REAL
        );
        CREATE TABLE drafts (
            id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL DEFAULT '',
            subject TEXT NOT NULL DEFAULT '', list_id INTEGER, status INTEGER NOT NULL DEFAULT 0,
            created_at REAL NOT NULL, modified_at REAL, scheduled_at REAL, delivered_at REAL
        );
        INSERT INTO contacts (id, email, created_at) VALUES (7, 'c7@example.com', 0);
        INSERT INTO drafts (id, created_at) VALUES (9001, 0);
    """)
    old.close()

    world = World(tmp_path)
    dumped = world.dump()
    world.close()

    assert [(row["id"], row["mailbox"]) for row in dumped["contacts"]] == [(7, "")]
    assert [(row["id"], row["sender_email"]) for row in dumped["drafts"]] == [
        (9001, "news@sender.example.com")
    ]


@pytest.mark.parametrize(
    "values",
    [
        {"speed": 1},
        {"open_share": 1.5},
        {"rate": "many"},
        {"rate": -1},
        {"rate": True},
        {"rate": 1.5},
        {"unknown_address_creates": 1},
    ],
)
def test_a_setting_that_does_not_exist_or_fit_is_refused(world: World, values: dict[str, Any]) -> None:
    before = world.settings

    with pytest.raises(BadSetting):
        world.change_settings(values)

    assert world.settings == before


def test_the_clock_only_moves_forward(world: World) -> None:
    with pytest.raises(BadSetting):
        world.advance(-1)


def _start(state: Path, *more: str) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "integrations.sandbox", "--port", "0", "--state", str(state), *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = dict(line.strip().rsplit(" ", 1) for line in (process.stdout.readline() for _ in range(2)) if line)
    return process, told.get("Sandbox listening on", "")


def _end(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    return process.returncode, errors


def test_a_killed_process_loses_nothing_and_finishes_its_jobs_after_a_restart(tmp_path: Path) -> None:
    process, url = _start(tmp_path)
    body = {"Action": "addnoforce", "Contacts": [{"Email": "c3@example.com"}]}
    with Control(url) as control:
        control.load({**small_world(), "contacts": [contact(1), contact(2), contact(3)]})
        control.settings(job_seconds=1000)
        path = f"{url}/v3/REST/contactslist/12/managemanycontacts"
        accepted = httpx.post(path, json=body, auth=("sandbox", "sandbox"), trust_env=False)
    _end(process, signal.SIGKILL)

    process, url = _start(tmp_path)
    with Control(url) as control:
        before = (control.members(12), control.state()["jobs_under_way"])
        control.advance(1000)
        after = (control.members(12), control.state()["jobs_under_way"])
    ended = _end(process, signal.SIGTERM)

    assert accepted.status_code == 201
    assert before == ({}, 1)
    assert after == ({3: False}, 0)
    assert ended == (0, "")


def test_the_process_refuses_to_listen_beyond_this_machine(tmp_path: Path) -> None:
    process, line = _start(tmp_path, "--host", "0.0.0.0")
    _, errors = process.communicate(timeout=20)

    assert (process.returncode, line) == (1, "")
    assert "loopback only, not on 0.0.0.0" in errors


def test_a_control_request_that_makes_no_sense_is_explained(tmp_path: Path) -> None:
    process, url = _start(tmp_path)
    with Control(url) as control:
        with pytest.raises(ControlRefused, match="a path and exactly one of"):
            control.fault(path="x", status=500, drop=True)
        with pytest.raises(ControlRefused, match="unknown setting 'speed'"):
            control.settings(speed=1)
        with pytest.raises(ControlRefused, match="no row 5 in contacts"):
            control.act(contact_id=5, list_id=1, action="unsub")
        with pytest.raises(ControlRefused, match="unknown sections"):
            control.load({"x": []})
    assert _end(process, signal.SIGINT) == (0, "")
