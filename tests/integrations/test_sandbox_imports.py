"""Whole lists, CSV files, properties, and figures that lag, at the Mailjet stand-in."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integrations.sandbox_scenes import LONG_AGO, Scene, contact, job_id, member, small_scene
from tests.integrations.test_sandbox_sending import DAY, outcomes, send, world_of


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with small_scene(tmp_path) as scene:
        scene.control.settings(campaign_lookup_seconds=0, job_seconds=100)
        yield scene


def two_lists() -> dict[str, Any]:
    """1 and 2 (unsubscribed) on list 11; on list 12: 1 unsubscribed, 3 subscribed."""
    return {
        "contacts": [contact(key) for key in (1, 2, 3)],
        "lists": [{"id": 11, "name": "first"}, {"id": 12, "name": "second"}],
        "memberships": [
            member(1, 11),
            member(2, 11, unsubscribed=True, unsubscribed_at=LONG_AGO),
            member(1, 12, unsubscribed=True, unsubscribed_at=LONG_AGO),
            member(3, 12),
        ],
    }


@pytest.mark.parametrize(
    ("action", "members"),
    [
        ("addforce", {1: False, 2: False, 3: False}),
        ("addnoforce", {1: True, 2: False, 3: False}),
        ("unsub", {1: True, 2: True, 3: False}),
        ("duplicate-override", {1: False, 2: True, 3: False}),
        ("duplicate-no-override", {1: True, 2: True, 3: False}),
    ],
)
def test_a_list_goes_into_another(scene: Scene, action: str, members: dict[int, bool]) -> None:
    scene.control.load(two_lists())
    job = job_id(scene.send("POST", "contactslist/12/importlist", {"ListID": 11, "Action": action}))
    before = scene.control.members(12)
    scene.finish_jobs()
    status = scene.row(f"contactslist/12/importlist/{job}")

    assert before == {1: True, 3: False}
    assert scene.control.members(12) == members
    assert (status["Status"], status["Count"]) == ("Completed", 2)
    assert scene.row("batchjob", RefID=12)["Method"] == action
    changed = {change["contact_id"] for change in scene.control.changes()}
    assert changed == {key for key in (1, 2) if before.get(key) != members[key]}
    assert scene.control.members(11) == {1: False, 2: True}


@pytest.mark.parametrize(
    "body", [{"ListID": 999, "Action": "addforce"}, {"ListID": 11, "Action": "remove"}, {"ListID": 12}]
)
def test_a_list_that_cannot_go_into_another_is_refused(scene: Scene, body: dict[str, Any]) -> None:
    scene.control.load(two_lists())

    assert scene.send("POST", "contactslist/12/importlist", body).status_code == 400
    assert scene.rows("batchjob") == []


@pytest.mark.parametrize(
    ("fate", "status", "members", "errors"),
    [
        ("error", "Error", [], 0),
        ("lie", "Completed", [], 0),
        ("partial", "Completed", [2, 4], 2),
        ("abort", "Abort", [1, 2], 0),
    ],
)
def test_a_list_that_goes_into_another_can_go_wrong(
    scene: Scene, fate: str, status: str, members: list[int], errors: int
) -> None:
    scene.control.load(world_of("good", "good", "good", "good"))
    scene.control.fault(path="importlist$", job=fate)
    job = job_id(scene.send("POST", "contactslist/12/importlist", {"ListID": 11, "Action": "addnoforce"}))
    scene.finish_jobs()

    assert scene.row(f"contactslist/12/importlist/{job}")["Status"] == status
    assert list(scene.control.members(12)) == members
    assert scene.row(f"batchjob/{job}")["Errcount"] == errors


# CSV


def upload(scene: Scene, list_id: int, text: str) -> httpx.Response:
    path = f"/v3/DATA/contactslist/{list_id}/CSVData/text:plain"
    return scene.http.post(path, content=text.encode(), headers={"Content-Type": "text/plain"})


def csv_job(scene: Scene, text: str, method: str, **more: Any) -> httpx.Response:
    uploaded = upload(scene, 11, text)
    assert uploaded.status_code == 200
    body = {"DataID": uploaded.json()["ID"], "Method": method, "ErrTreshold": 1, **more}
    return scene.send("POST", "csvimport", body)


def test_a_csv_file_takes_members_away_and_names_its_bad_rows(scene: Scene) -> None:
    made = csv_job(scene, "email\nc1@example.com\nno address\n", "remove", ContactsListID=11)
    key = made.json()["Data"][0]["ID"]
    started = scene.row(f"csvimport/{key}")
    scene.finish_jobs()
    ended = scene.row(f"csvimport/{key}")
    errors = scene.http.get(f"/v3/DATA/BatchJob/{key}/CSVError/text:csv")

    assert (made.status_code, started["Status"], started["JobEnd"]) == (201, "Allocated", "")
    assert (ended["Status"], ended["Count"], ended["Current"], ended["Errcount"]) == ("Completed", 2, 1, 1)
    assert scene.control.members(11) == {2: True}
    [bad] = csv.DictReader(io.StringIO(errors.text))
    assert bad["email"] == "no address"
    assert "Invalid email address" in bad["###message###field"]


def test_a_csv_file_may_be_larger_than_any_other_body(scene: Scene) -> None:
    scene.control.settings(max_body=1000)
    text = "email\n" + "".join(f"n{key}@example.com\n" for key in range(500))
    made = csv_job(scene, text, "addnoforce", ContactsListID=12)
    scene.finish_jobs()

    assert made.status_code == 201
    assert len(scene.control.members(12)) == 500


def test_a_csv_file_excludes_and_its_columns_become_properties(scene: Scene) -> None:
    made = csv_job(scene, "email,Town\nc1@example.com,Graz\n", "excludemarketing")
    scene.finish_jobs()

    assert made.status_code == 201
    assert scene.row("contact/1")["IsExcludedFromCampaigns"] is True
    assert scene.row("contactdata/1")["Data"] == [{"Name": "town", "Value": "Graz"}]
    assert [row["Name"] for row in scene.rows("contactmetadata")] == ["town"]


def test_a_csv_import_is_aborted_while_it_runs(scene: Scene) -> None:
    key = csv_job(scene, "email\nc1@example.com\n", "remove", ContactsListID=11).json()["Data"][0]["ID"]
    aborted = scene.send("PUT", f"csvimport/{key}", {"Status": "Abort"})
    scene.finish_jobs()

    assert aborted.json()["Data"][0]["Status"] == "Abort"
    assert scene.send("PUT", f"csvimport/{key}", {"Status": "Abort"}).status_code == 304
    assert scene.control.members(11) == {1: False, 2: True}


def test_csv_imports_that_make_no_sense_are_refused(scene: Scene) -> None:
    text = "email\nc1@example.com\n"
    refused = [
        csv_job(scene, text, "excludemarketing", ContactsListID=11),
        csv_job(scene, text, "remove"),
        csv_job(scene, text, "remove", ContactsListID=13),
        csv_job(scene, text, "explode", ContactsListID=11),
        csv_job(scene, "name\nx\n", "remove", ContactsListID=11),
        scene.send("POST", "csvimport", {"DataID": 999, "Method": "remove", "ContactsListID": 11}),
    ]
    unknown = upload(scene, 999, text)

    assert [response.status_code for response in refused] == [400] * 6
    assert "MJ08" in refused[0].json()["ErrorMessage"]
    assert (unknown.status_code, unknown.headers["content-type"]) == (404, "text/plain")
    assert unknown.json()["ErrorMessage"] == "Object not found"
    assert scene.rows("csvimport") == []


# Fates of jobs


def test_an_aborted_job_has_done_its_first_half(scene: Scene) -> None:
    scene.control.fault(path="managemanycontacts$", method="POST", job="abort", times=1)
    job = scene.job_on(12, "addnoforce", *[f"n{key}@example.com" for key in range(6)])
    scene.finish_jobs()
    status = scene.row(f"contactslist/12/managemanycontacts/{job}")

    assert (status["Status"], status["Count"]) == ("Abort", 3)
    assert len(scene.control.members(12)) == 3


# Properties


def test_properties_are_defined_set_cleared_and_forgotten(scene: Scene) -> None:
    made = scene.send("POST", "contactmetadata", {"Name": "Age", "Datatype": "int"})
    again = scene.send("POST", "contactmetadata", {"Name": "AGE", "Datatype": "str"})
    scene.send("PUT", "contactdata/c1@example.com", {"Data": [{"Name": "Age", "Value": 44}]})
    stored = scene.row("contactdata/1")
    wrong = scene.send("PUT", "contactdata/1", {"Data": [{"Name": "Age", "Value": "old"}]})
    unknown = scene.send("PUT", "contactdata/1", {"Data": [{"Name": "foo", "Value": "x"}]})
    person = {"Email": "c1@example.com", "Properties": {"age": None}}
    job_id(scene.send("POST", "contact/managemanycontacts", {"Contacts": [person]}))
    scene.finish_jobs()

    row = made.json()["Data"][0]
    assert (row["Name"], row["Datatype"], row["NameSpace"]) == ("age", "int", "static")
    assert (again.status_code, "MJ18" in again.json()["ErrorMessage"]) == (400, True)
    assert stored["Data"] == [{"Name": "age", "Value": "44"}]
    assert (wrong.status_code, unknown.status_code) == (400, 400)
    assert unknown.json()["ErrorMessage"] == 'Invalid key name: "foo"'
    assert scene.row("contactdata/1")["Data"] == []
    assert scene.http.delete(f"/v3/REST/contactmetadata/{row['ID']}").status_code == 204
    assert scene.rows("contactmetadata") == []


def test_one_contact_is_managed_with_known_properties_only(scene: Scene) -> None:
    scene.send("POST", "contactmetadata", {"Name": "town", "Datatype": "str"})
    body = {"Email": "c1@example.com", "Action": "addnoforce", "Properties": {"town": "Graz"}}

    assert scene.send("POST", "contactslist/12/managecontact", body).status_code == 201
    assert scene.row("contactdata/1")["Data"] == [{"Name": "town", "Value": "Graz"}]
    refused = scene.send("POST", "contactslist/12/managecontact", {**body, "Properties": {"shoe": 44}})
    assert refused.status_code == 400


# Figures


def test_the_count_of_a_list_lags_behind_its_members(scene: Scene) -> None:
    scene.control.settings(subscriber_count_lag_seconds=600, job_seconds=0)
    scene.job_on(11, "remove", "c1@example.com", "c2@example.com")
    scene.job_on(11, "addnoforce", "c3@example.com")
    at_once = scene.row("contactslist/11")["SubscriberCount"]
    scene.control.advance(601)

    assert (at_once, scene.row("contactslist/11")["SubscriberCount"]) == (2, 1)


def counters(scene: Scene, campaign: int) -> dict[str, Any]:
    return scene.row(
        "statcounters",
        SourceID=campaign,
        CounterSource="Campaign",
        CounterTiming="Message",
        CounterResolution="Lifetime",
    )


def test_messages_that_are_kept_no_more_are_counted_all_the_same(scene: Scene) -> None:
    told = {"id": 52, "draft_id": 9, "list_id": 11, "subject": "Spring", "send_start_at": LONG_AGO}
    scene.control.load({**two_lists(), "campaigns": [{**told, "forgotten": '{"sent": 3, "hardbounced": 1}'}]})

    row = counters(scene, 52)

    assert (row["Total"], row["MessageSentCount"], row["MessageHardBouncedCount"]) == (4, 3, 1)
    assert scene.rows("message", Campaign=52) == []


def test_counters_agree_with_the_messages_once_their_lag_is_over(scene: Scene) -> None:
    scene.control.load(
        world_of("good", "opening", "clicking", "unsubscribing", "complaining", "dead", "full")
    )
    scene.control.settings(stat_lag_seconds=3600)
    campaign = send(scene)
    at_once = counters(scene, campaign)["Total"]
    scene.control.advance(DAY)
    later = counters(scene, campaign)
    scene.control.advance(3 * DAY)
    lagging = counters(scene, campaign)
    scene.control.settings(stat_lag_seconds=0)
    final = counters(scene, campaign)
    listed = scene.row(
        "statcounters",
        SourceID=11,
        CounterSource="List",
        CounterTiming="Message",
        CounterResolution="Lifetime",
    )

    assert at_once == 0
    assert {name: later[name] for name in later if name.startswith("Message") and later[name]} == {
        "MessageSentCount": 5,
        "MessageOpenedCount": 3,
        "MessageClickedCount": 1,
        "MessageSpamCount": 1,
        "MessageUnsubscribedCount": 1,
        "MessageHardBouncedCount": 1,
        "MessageDeferredCount": 1,
    }
    assert "MessageDeliveredCount" not in later
    assert (later["EventOpenedCount"], later["EventClickedCount"], later["Total"]) == (3, 1, 7)
    assert lagging["MessageSoftBouncedCount"] == final["MessageSoftBouncedCount"] == 1
    assert listed["Total"] == 7


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"CounterSource": "Planet"},
        {"SourceID": "x"},
        {"CounterTiming": "Never"},
        {"CounterSource": "List", "CounterResolution": "Day"},
        {"FromTS": 0},
    ],
)
def test_counters_that_make_no_sense_are_refused(scene: Scene, params: dict[str, Any]) -> None:
    complete = {
        "SourceID": 52_001,
        "CounterSource": "Campaign",
        "CounterTiming": "Message",
        "CounterResolution": "Lifetime",
    }
    asked = {**complete, **params} if params else {}

    assert scene.get("statcounters", **asked).status_code == 400


def test_counters_by_the_day_are_those_of_today_unless_told_otherwise(scene: Scene) -> None:
    asked = {"CounterSource": "APIKey", "CounterTiming": "Message", "CounterResolution": "Day"}

    assert scene.rows("statcounters", **asked) == []
    [row] = scene.rows("statcounters", FromTS=0, **asked)
    assert (row["Timeslice"], row["MessageHardBouncedCount"], row["Total"]) == ("2026-01-31T00:00:00Z", 1, 2)


# Bounces


def test_bounces_without_a_window_are_those_of_todays_campaigns(scene: Scene) -> None:
    scene.control.set_mailbox(1, "dead")
    campaign = send(scene)

    def campaigns(**params: Any) -> list[int]:
        return sorted(row["CampaignID"] for row in scene.rows("bouncestatistics", **params))

    assert campaigns() == [campaign]
    assert campaigns(CampaignID=52_001) == []
    assert campaigns(FromTS=0) == [52_001, campaign]
    assert campaigns(FromTS=0, CampaignID=52_001) == [52_001]
    assert campaigns(Period="Day") == [campaign]
    assert campaigns(EventFromTs=LONG_AGO) == [campaign]
    assert campaigns(EventToTs=LONG_AGO) == [52_001]


def test_what_mailjet_did_not_even_try_to_deliver_is_no_bounce(scene: Scene) -> None:
    scene.control.block(1)
    campaign = send(scene)

    assert outcomes(scene, campaign) == {1: ("blocked", 14, False)}
    assert scene.rows("bouncestatistics", FromTS=0, CampaignID=campaign) == []


def test_the_window_counts_from_the_campaigns_start_and_not_from_the_bounce(scene: Scene) -> None:
    scene.control.load(world_of("full"))
    campaign = send(scene)
    start = scene.row(f"campaign/{campaign}")["SendStartAt"]
    scene.control.advance(4 * DAY)
    [bounce] = scene.rows("bouncestatistics", CampaignID=campaign, FromTS=0)

    assert scene.rows("bouncestatistics") == []
    assert scene.rows("bouncestatistics", FromTS=start) == [], "FromTS is exclusive, and about the campaign"
    assert scene.rows("bouncestatistics", EventFromTs=start) == [bounce]
    assert set(bounce) == {
        "BouncedAt", "CampaignID", "ContactID", "ID", "IsBlocked", "IsStatePermanent", "StateID"
    }  # fmt: skip
    assert bounce["BouncedAt"] > start
    assert scene.row(f"bouncestatistics/{bounce['ID']}") == bounce


def test_one_contact_may_bounce_twice_with_different_states(scene: Scene) -> None:
    scene.control.load(world_of("fading"))
    campaign = send(scene)
    scene.control.advance(DAY)
    rows = scene.rows("bouncestatistics", CampaignID=campaign, FromTS=0)

    assert [(row["StateID"], row["IsStatePermanent"]) for row in rows] == [(10, False), (2, True)]
    assert rows[0]["ID"] == rows[1]["ID"]
    assert scene.get("bouncestatistics", Sort="ID DESC").status_code == 400


# Overview


def test_the_overview_shows_drafts_and_campaigns_in_one_list(scene: Scene) -> None:
    campaign = send(scene)
    draft = scene.send(
        "POST",
        "campaigndraft",
        {"Locale": "en_US", "Subject": "S", "SenderEmail": "n@sender.example.com", "ContactsListID": 11},
    ).json()["Data"][0]["ID"]
    rows = {row["ID"]: row for row in scene.rows("campaignoverview")}

    assert {key: row["IDType"] for key, row in rows.items()} == {
        52_001: "Campaign",
        campaign: "Campaign",
        draft: "NL",
    }
    assert isinstance(rows[campaign]["SendTimeStart"], int)
    assert rows[campaign]["ProcessedCount"] == 1
    assert rows[52_001]["DeliveredCount"] == 1


def test_a_campaign_is_starred_and_deleted_and_nothing_else(scene: Scene) -> None:
    starred = scene.send("PUT", "campaign/52001", {"IsStarred": True})
    again = scene.send("PUT", "campaign/52001", {"IsStarred": True})

    assert (starred.status_code, again.status_code) == (200, 304)
    assert [row["ID"] for row in scene.rows("campaign", IsStarred="true", FromTS=0)] == [52_001]
    assert scene.send("PUT", "campaign/52001", {"Subject": "Other"}).status_code == 401
