"""Mailjet's bulk jobs at the stand-in: queued at once, effective at the end, and wrong on demand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.sandbox_scenes import Scene, contact, job_id, member, small_scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with small_scene(tmp_path) as scene:
        scene.control.settings(job_seconds=100)
        yield scene


def _poll(scene: Scene, list_id: int, job: int) -> dict[str, Any]:
    return scene.row(f"contactslist/{list_id}/managemanycontacts/{job}")


def test_a_job_is_queued_runs_by_the_clock_and_takes_effect_at_its_end(scene: Scene) -> None:
    job = scene.job_on(11, "remove", "c1@example.com", "c2@example.com")
    seen = []
    for _ in range(4):
        seen.append((_poll(scene, 11, job)["Status"], len(scene.control.members(11))))
        scene.control.advance(26)
    end = _poll(scene, 11, job)

    assert seen == [("Allocated", 2), ("Upload", 2), ("Prepare", 2), ("In Progress", 2)]
    assert (end["Status"], end["Count"], end["Error"], end["ErrorFile"]) == ("Completed", 2, "", "")
    assert end["JobStart"] < end["JobEnd"]
    assert end["ContactsLists"] == [{"ListID": 11, "Action": "remove"}]
    assert scene.control.members(11) == {}


def test_a_running_job_has_no_end(scene: Scene) -> None:
    job = scene.job_on(11, "remove", "c1@example.com")

    assert _poll(scene, 11, job)["JobEnd"] == ""


def test_a_job_is_polled_under_the_call_that_made_it(scene: Scene) -> None:
    one = scene.job_on(11, "remove", "c1@example.com")
    many = job_id(
        scene.send("POST", "contact/managemanycontacts", {"Contacts": [{"Email": "c1@example.com"}]})
    )

    assert scene.get(f"contactslist/12/managemanycontacts/{one}").status_code == 404
    assert scene.get(f"contact/managemanycontacts/{one}").status_code == 404
    assert scene.get(f"contactslist/11/managemanycontacts/{many}").status_code == 404
    assert scene.get(f"contact/managemanycontacts/{many}").status_code == 200


@pytest.mark.parametrize(
    ("action", "members"),
    [
        ("addnoforce", {1: False, 2: True, 3: False}),
        ("addforce", {1: False, 2: False, 3: False}),
        ("remove", {}),
        ("unsub", {1: True, 2: True}),
    ],
)
def test_each_action_on_a_member_an_unsubscribed_one_and_an_excluded_stranger(
    scene: Scene, action: str, members: dict[int, bool]
) -> None:
    scene.job_on(11, action, "c1@example.com", "C2@Example.com", "cap.tal+x@example.com")
    scene.finish_jobs()

    assert scene.control.members(11) == members
    assert scene.row("contact/3")["IsExcludedFromCampaigns"] is True


def test_addnoforce_leaves_what_a_member_has_and_a_new_add_starts_anew(scene: Scene) -> None:
    before = scene.row("listrecipient", Contact=2)
    scene.job_on(11, "addnoforce", "c2@example.com")
    scene.finish_jobs()
    after = scene.row("listrecipient", Contact=2)
    scene.job_on(11, "remove", "c2@example.com")
    scene.finish_jobs()
    scene.job_on(11, "addnoforce", "c2@example.com")
    scene.finish_jobs()
    readded = scene.row("listrecipient", Contact=2)

    assert after == before
    assert readded["ID"] != before["ID"]
    assert readded["IsUnsubscribed"] is False
    assert readded["SubscribedAt"] > before["SubscribedAt"]


def test_force_lifts_an_unsubscription_and_starts_the_subscription_anew(scene: Scene) -> None:
    before = scene.row("listrecipient", Contact=2)
    scene.job_on(11, "addforce", "c1@example.com", "c2@example.com")
    scene.finish_jobs()
    after = scene.row("listrecipient", Contact=2)

    assert (after["ID"], after["IsUnsubscribed"], after["UnsubscribedAt"]) == (before["ID"], False, "")
    assert after["SubscribedAt"] > before["SubscribedAt"]
    assert [change["contact_id"] for change in scene.control.changes()] == [2]


def test_one_call_gives_each_list_its_own_action(scene: Scene) -> None:
    body = {
        "Contacts": [{"Email": "c1@example.com"}],
        "ContactsLists": [{"ListID": 11, "Action": "remove"}, {"listid": 12, "action": "AddNoForce"}],
    }
    job = job_id(scene.send("POST", "contact/managemanycontacts", body))
    scene.finish_jobs()

    assert scene.row(f"contact/managemanycontacts/{job}")["Status"] == "Completed"
    assert (scene.control.members(11), scene.control.members(12)) == ({2: True}, {1: False})


def test_a_bulk_call_overwrites_name_and_exclusion_only_where_they_are_given(scene: Scene) -> None:
    people = [
        {"Email": "c1@example.com", "IsExcludedFromCampaigns": True},
        {"Email": "cap.tal+x@example.com"},
    ]
    scene.send("POST", "contact/managemanycontacts", {"Contacts": people})
    scene.finish_jobs()

    assert [row["ID"] for row in scene.rows("contact", IsExcludedFromCampaigns="true")] == [1, 3]


def test_repeating_an_address_or_a_job_changes_nothing_more(scene: Scene) -> None:
    for _ in range(2):
        scene.job_on(12, "addnoforce", "new@example.com", "NEW@example.com", "c1@example.com")
        scene.finish_jobs()

    assert len(scene.control.members(12)) == 2
    assert len(scene.rows("contact")) == 4
    assert len(scene.control.changes()) == 2


def test_an_invalid_address_stands_in_the_error_file_and_the_rest_goes_on(scene: Scene) -> None:
    job = scene.job_on(12, "addnoforce", "broken@", "c1@example.com", "")
    clean = scene.job_on(12, "addnoforce", "c2@example.com")
    scene.finish_jobs()
    polled = _poll(scene, 12, job)
    rows = scene.http.get(polled["ErrorFile"]).json()
    missing = scene.http.get(f"/v3/DATA/batchjob/{clean}/JSONError/application:json/LAST")

    assert (polled["Status"], polled["Count"]) == ("Completed", 1)
    assert [row["Email"] for row in rows] == ["broken@", ""]
    assert scene.control.members(12) == {1: False, 2: False}
    assert (missing.status_code, missing.json()["ErrorMessage"]) == (404, "Source object not found")


@pytest.mark.parametrize("action", ["remove", "unsub"])
@pytest.mark.parametrize("creates", [True, False])
def test_taking_an_unknown_address_off_a_list_may_create_the_contact(
    scene: Scene, action: str, creates: bool
) -> None:
    scene.control.settings(unknown_address_creates=creates)
    scene.job_on(11, action, "stranger@example.com")
    scene.finish_jobs()

    assert scene.get("contact/stranger@example.com").status_code == (200 if creates else 404)
    assert scene.control.members(11) == {1: False, 2: True}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            {"Action": "remove", "Contacts": [{"ContactID": 1}]},
            'object ""->"TContact" has no property "ContactID"',
        ),
        ({"Action": "delete", "Contacts": [{"Email": "c1@example.com"}]}, "MJ08 Property Action is invalid"),
        ({"Contacts": [{"Email": "c1@example.com"}]}, "MJ08 Property Action is invalid"),
        ({"Action": "remove", "Contacts": []}, "MJ08 Property Contacts is invalid"),
        ({"Action": "remove", "Contacts": {}}, "MJ08 Property Contacts is invalid"),
        ({"Action": "remove", "People": []}, 'object ""->"TManageManyContacts" has no property "People"'),
        ({"Action": "remove", "Contacts": [{"Email": 5}]}, "MJ08 Property Email is invalid"),
    ],
)
def test_a_body_mailjet_does_not_know_is_refused_and_no_job_made(
    scene: Scene, body: dict[str, Any], words: str
) -> None:
    response = scene.send("POST", "contactslist/11/managemanycontacts", body)

    assert response.status_code == 400
    assert words in response.json()["ErrorMessage"]
    assert scene.rows("batchjob") == []


def test_a_deleted_or_unknown_list_takes_no_job(scene: Scene) -> None:
    body = {"Action": "remove", "Contacts": [{"Email": "c1@example.com"}]}

    assert scene.send("POST", "contactslist/13/managemanycontacts", body).status_code == 400
    assert scene.send("POST", "contactslist/99/managemanycontacts", body).status_code == 404
    assert scene.rows("batchjob") == []


def test_a_lost_job_is_found_in_the_list_of_jobs(scene: Scene) -> None:
    first = scene.job_on(11, "remove", "c1@example.com")
    scene.finish_jobs()
    asked_at = int(scene.control.advance(10))
    second = scene.job_on(12, "unsub", "c1@example.com", "c2@example.com")

    newest, oldest = scene.rows("batchjob", Sort="ID DESC")
    assert (newest["ID"], newest["RefId"], newest["Method"], newest["Count"]) == (second, 12, "unsub", 2)
    assert (newest["Status"], newest["JobEnd"]) == ("Allocated", 0)
    assert (oldest["ID"], oldest["Status"], oldest["Current"], oldest["Errcount"]) == (
        first,
        "Completed",
        1,
        0,
    )
    assert isinstance(oldest["JobEnd"], int)
    assert [row["ID"] for row in scene.rows("batchjob", RefID=11)] == [first]
    assert [row["ID"] for row in scene.rows("batchjob", MinRequestAt=asked_at)] == [second]
    assert [row["ID"] for row in scene.rows("batchjob", Status="completed", Method="REMOVE")] == [first]


def test_the_change_log_says_who_where_what_and_by_which_job(scene: Scene) -> None:
    job = scene.job_on(11, "unsub", "c1@example.com", "c2@example.com")
    scene.finish_jobs()
    [change] = scene.control.changes()
    scene.control.act(contact_id=1, list_id=11, action="addforce")
    [later] = scene.control.changes(since=change["id"])

    assert {**change, "at": None} == {
        "id": change["id"],
        "contact_id": 1,
        "list_id": 11,
        "action": "unsub",
        "before": "subscribed",
        "after": "unsubscribed",
        "job_id": job,
        "at": None,
    }
    assert (later["action"], later["after"], later["job_id"]) == ("addforce", "subscribed", None)


# Jobs that misbehave


def test_a_job_told_to_fail_ends_in_error_without_effect(scene: Scene) -> None:
    scene.control.fault(path="managemanycontacts", job="error", times=1)
    job = scene.job_on(11, "remove", "c1@example.com")
    scene.finish_jobs()
    polled = _poll(scene, 11, job)

    assert (polled["Status"], polled["Count"]) == ("Error", 0)
    assert polled["Error"] != ""
    assert scene.control.members(11) == {1: False, 2: True}


def test_a_job_told_to_lie_says_completed_and_does_nothing(scene: Scene) -> None:
    scene.control.fault(path="managemanycontacts", job="lie", times=1)
    job = scene.job_on(11, "remove", "c1@example.com")
    scene.finish_jobs()
    polled = _poll(scene, 11, job)

    assert (polled["Status"], polled["Count"], polled["ErrorFile"]) == ("Completed", 1, "")
    assert scene.control.members(11) == {1: False, 2: True}


def test_a_job_told_to_hang_never_ends_and_holds_up_no_other(scene: Scene) -> None:
    scene.control.fault(path="managemanycontacts", method="POST", job="hang", times=1)
    hanging = scene.job_on(11, "remove", "c1@example.com")
    other = scene.job_on(11, "remove", "c2@example.com")
    scene.control.advance(10**7)

    assert _poll(scene, 11, hanging)["Status"] == "In Progress"
    assert _poll(scene, 11, other)["Status"] == "Completed"
    assert scene.control.members(11) == {1: False}
    assert scene.control.state()["jobs_under_way"] == 1


def test_a_job_told_to_work_in_part_names_every_second_contact_as_failed(scene: Scene) -> None:
    scene.control.fault(path="managemanycontacts", job="partial", times=1)
    job = scene.job_on(12, "addnoforce", "c1@example.com", "c2@example.com", "cap.tal+x@example.com")
    scene.finish_jobs()
    polled = _poll(scene, 12, job)

    assert (polled["Status"], polled["Count"]) == ("Completed", 2)
    assert [row["Email"] for row in scene.http.get(polled["ErrorFile"]).json()] == ["c2@example.com"]
    assert scene.control.members(12) == {1: False, 3: False}


def test_jobs_take_effect_in_the_order_in_which_they_fall_due(scene: Scene) -> None:
    slow = scene.job_on(12, "addnoforce", "c1@example.com")
    scene.control.settings(job_seconds=1)
    quick = scene.job_on(12, "remove", "c1@example.com")
    scene.control.advance(100)

    assert scene.control.members(12) == {1: False}
    assert [change["job_id"] for change in scene.control.changes()] == [slow]
    assert quick > slow


def test_a_job_of_a_thousand_contacts_over_three_lists_moves_them_all(scene: Scene) -> None:
    keys = range(1, 1001)
    lists = [{"id": key, "name": f"list {key}"} for key in (11, 12, 14)]
    members = [member(key, 11) for key in keys]
    scene.control.load({"contacts": [contact(key) for key in keys], "lists": lists, "memberships": members})
    body = {
        "Contacts": [{"Email": f"c{key}@example.com"} for key in keys],
        "ContactsLists": [
            {"ListID": 11, "Action": "remove"},
            {"ListID": 12, "Action": "addnoforce"},
            {"ListID": 14, "Action": "unsub"},
        ],
    }
    scene.send("POST", "contact/managemanycontacts", body)
    scene.finish_jobs()

    assert [len(scene.control.members(key)) for key in (11, 12, 14)] == [0, 1000, 0]
    assert len(scene.control.changes()) == 2000
