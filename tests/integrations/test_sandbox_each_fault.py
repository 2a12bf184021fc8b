"""Each fault in turn: what the stand-in has done when a caller gets a refusal, silence, or a bad job.

The caller here is as plain as can be and as careful as one must be: whatever it hears, it looks up what was
accepted, waits, reads the members back, and sends again what is missing.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integrations.sandbox_scenes import Scene, contact, member, small_scene

PEOPLE = range(1, 8)
FINAL = ("completed", "error", "abort")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with small_scene(tmp_path) as scene:
        scene.control.load(
            {
                "contacts": [contact(key) for key in PEOPLE],
                "lists": [{"id": 11, "name": "first"}, {"id": 12, "name": "second"}],
                "memberships": [member(key, 11) for key in PEOPLE],
            }
        )
        scene.control.settings(job_seconds=10, rate=10**6)
        yield scene


POST = {"method": "POST", "path": "managemanycontacts$", "times": 1}
JOBS = POST
ANY = {"path": "/v3/", "probability": 0.4}

FAULTS: dict[str, dict[str, Any]] = {
    **{f"status {status}": {**POST, "status": status} for status in (429, 500, 502, 503, 504)},
    "429 with a hint": {**POST, "status": 429, "retry_after": 3},
    "delay": {**POST, "delay_seconds": 0.05},
    "dropped connection": {**POST, "drop": True},
    "accepted, then cut": {**POST, "timeout_after_acceptance": 0},
    "accepted, then silence": {**POST, "timeout_after_acceptance": True},
    **{f"job that {fate}s": {**JOBS, "job": fate} for fate in ("error", "lie", "partial", "abort", "hang")},
    "every other request refused": {**ANY, "status": 503},
    "every other connection cut": {**ANY, "drop": True},
    "every other answer lost": {**ANY, "timeout_after_acceptance": 0},
}
REFUSES_ALL = [name for name, fault in FAULTS.items() if "status" in fault or "drop" in fault]


def ask(scene: Scene, method: str, path: str, **more: Any) -> httpx.Response | None:
    """One request; None where the answer is missing or asks for another try."""
    try:
        response = scene.http.request(method, f"/v3/REST/{path}", timeout=0.5, **more)
    except httpx.TransportError:
        return None
    return None if response.status_code in (429, 500, 502, 503, 504) else response


def insist(scene: Scene, path: str, **params: Any) -> list[dict[str, Any]]:
    """A read, which may be repeated at will."""
    for _ in range(60):
        response = ask(scene, "GET", path, params={"Limit": 0, **params})
        if response is not None:
            rows: list[dict[str, Any]] = response.json()["Data"]
            return rows
    raise AssertionError(f"no answer from {path}")


def missing(scene: Scene) -> list[int]:
    there = {row["ContactID"] for row in insist(scene, "listrecipient", ContactsList=12)}
    return [key for key in PEOPLE if key not in there]


def add_everybody(scene: Scene) -> int:
    """Put everybody on list 12; returns how many rounds that took."""
    for rounds in range(1, 30):
        wanted = missing(scene)
        if not wanted:
            return rounds
        body = {"Action": "addnoforce", "Contacts": [{"Email": f"c{key}@example.com"} for key in wanted]}
        ask(scene, "POST", "contactslist/12/managemanycontacts", json=body)
        for _ in range(5):  # a job that hangs is given up
            scene.control.advance(11)
            if all(job["Status"].lower() in FINAL for job in insist(scene, "batchjob", RefID=12)):
                break
    raise AssertionError("the members never came")


@pytest.mark.parametrize("name", FAULTS)
def test_a_careful_caller_gets_everybody_onto_the_list_once(scene: Scene, name: str) -> None:
    scene.control.fault(**FAULTS[name])
    add_everybody(scene)
    scene.control.clear_faults()

    assert scene.control.members(12) == dict.fromkeys(PEOPLE, False)
    assert scene.control.members(11) == dict.fromkeys(PEOPLE, False)
    added = [change for change in scene.control.changes() if change["list_id"] == 12]
    assert sorted(change["contact_id"] for change in added) == list(PEOPLE), "nobody twice"


@pytest.mark.parametrize("name", [name for name in REFUSES_ALL if "other" not in name])
def test_what_is_refused_or_dropped_was_not_accepted(scene: Scene, name: str) -> None:
    scene.control.fault(**FAULTS[name])

    assert ask(scene, "POST", "contactslist/12/managemanycontacts", json=ADD_ONE) is None
    assert scene.rows("batchjob") == []


@pytest.mark.parametrize("name", ["accepted, then cut", "accepted, then silence"])
def test_what_was_accepted_before_the_silence_is_done(scene: Scene, name: str) -> None:
    scene.control.fault(**FAULTS[name])

    assert ask(scene, "POST", "contactslist/12/managemanycontacts", json=ADD_ONE) is None
    scene.control.advance(11)
    assert [job["Status"] for job in scene.rows("batchjob", RefID=12)] == ["Completed"]
    assert scene.control.members(12) == {1: False}


@pytest.mark.parametrize(
    ("fate", "status", "count", "errors", "added"),
    [
        ("normal", "Completed", 7, 0, 7),
        ("error", "Error", 0, 0, 0),
        ("lie", "Completed", 7, 0, 0),
        ("partial", "Completed", 4, 3, 4),
        ("abort", "Abort", 3, 0, 3),
        ("hang", "In Progress", 6, 0, 0),
    ],
)
def test_each_fate_of_a_job_shows_what_it_shows_and_does_what_it_does(
    scene: Scene, fate: str, status: str, count: int, errors: int, added: int
) -> None:
    scene.control.fault(**JOBS, job=fate)
    emails = [f"c{key}@example.com" for key in PEOPLE]
    job = scene.job_on(12, "addnoforce", *emails)
    scene.control.advance(1000)
    polled = scene.row(f"contactslist/12/managemanycontacts/{job}")
    listed = scene.row(f"batchjob/{job}")

    assert (polled["Status"], polled["Count"], bool(polled["ErrorFile"])) == (status, count, bool(errors))
    assert (listed["Status"], listed["Current"], listed["Errcount"]) == (status, count, errors)
    assert len(scene.control.members(12)) == added


ADD_ONE = {"Action": "addnoforce", "Contacts": [{"Email": "c1@example.com"}]}
