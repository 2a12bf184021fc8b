"""Mailjet's own client for Python drives the stand-in, as its README says, and finds what it expects."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mailjet_rest import (
    ApiRateLimitError,
    Client,
    CriticalApiError,
    DoesNotExistError,
    MailjetAuthError,
    ValidationError,
)
from mailjet_rest import TimeoutError as MailjetTimeoutError

from tests.integrations.sandbox_scenes import Scene, contact, small_scene

DRAFT = {
    "Locale": "en_US",
    "Sender": "MisterMailjet",
    "SenderName": "Mister Mailjet",
    "SenderEmail": "mister@sender.example.com",
    "Subject": "Greetings from Mailjet",
    "Title": "Friday newsletter",
}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with small_scene(tmp_path) as scene:
        scene.control.settings(job_seconds=0, campaign_lookup_seconds=5)
        yield scene


@pytest.fixture
def mailjet(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("NO_PROXY", "*")
    serving = scene.serving
    with Client(auth=(serving.api_key, serving.api_secret), api_url=serving.url, timeout=10) as mailjet:
        yield mailjet


def data(result: Any) -> list[dict[str, Any]]:
    body = result.json()
    assert body["Count"] == len(body["Data"])
    rows: list[dict[str, Any]] = body["Data"]
    return rows


def one(result: Any) -> dict[str, Any]:
    [row] = data(result)
    return row


# Contacts


def test_a_contact_is_created_read_and_updated(mailjet: Client) -> None:
    created = mailjet.contact.create(data={"Email": "Mister@example.com"})
    key = one(created)["ID"]
    updated = mailjet.contact.update(id=key, data={"Name": "Mister"})
    unchanged = mailjet.contact.update(id=key, data={"Name": "Mister"})

    assert (created.status_code, updated.status_code, unchanged.status_code) == (201, 200, 304)
    assert one(mailjet.contact.get(id=key))["Name"] == "Mister"
    assert one(mailjet.contact.get(id="mister@example.com"))["ID"] == key


def test_contacts_are_filtered_sorted_and_paged(mailjet: Client) -> None:
    filters = {"limit": 2, "offset": 1, "sort": "Email desc"}
    page = data(mailjet.contact.get(filters=filters))

    assert [row["Email"] for row in page] == ["c2@example.com", "c1@example.com"]
    excluded = data(mailjet.contact.get(filters={"IsExcludedFromCampaigns": "true"}))
    assert [row["ID"] for row in excluded] == [3]


def test_its_stream_reads_every_page_although_total_is_not_the_total(scene: Scene, mailjet: Client) -> None:
    scene.control.load({"contacts": [contact(key) for key in range(1, 251)]})

    streamed = [row["ID"] for row in mailjet.contact.stream(chunk_size=100)]

    assert streamed == list(range(1, 251))
    assert mailjet.contact.get(filters={"countOnly": 1}).json() == {"Count": 250, "Data": [], "Total": 250}


def test_properties_are_set_on_a_contact(mailjet: Client) -> None:
    mailjet.contactmetadata.create(data={"Datatype": "str", "Name": "first_name", "NameSpace": "static"})
    values = {"Data": [{"Name": "first_name", "value": "John"}]}
    updated = mailjet.contactdata.update(id=1, data=values)

    assert updated.status_code == 200
    assert one(mailjet.contactdata.get(id=1))["Data"] == [{"Name": "first_name", "Value": "John"}]


# Lists and their members


def test_a_list_is_created_renamed_and_softly_deleted(mailjet: Client) -> None:
    key = one(mailjet.contactslist.create(data={"Name": "my_contactslist"}))["ID"]
    mailjet.contactslist.update(id=key, data={"Name": "renamed"})
    deleted = mailjet.contactslist.delete(id=key)

    assert (deleted.status_code, deleted.content) == (204, b"")
    row = one(mailjet.contactslist.get(id=key))
    assert (row["Name"], row["IsDeleted"]) == ("renamed", True)


def test_a_member_is_added_unsubscribed_and_removed(scene: Scene, mailjet: Client) -> None:
    added = mailjet.listrecipient.create(data={"ContactID": 1, "ListID": 12, "IsUnsubscribed": False})
    key = one(added)["ID"]
    mailjet.listrecipient.update(id=key, data={"IsUnsubscribed": True})
    unsubscribed = scene.control.members(12)
    mailjet.listrecipient.delete(id=key)

    assert added.status_code == 201
    assert unsubscribed == {1: True}
    assert scene.control.members(12) == {}


def test_one_contact_is_managed_on_one_list_and_on_several(scene: Scene, mailjet: Client) -> None:
    managed = mailjet.contactslist_managecontact.create(
        id=12, data={"Email": "passenger@example.com", "Name": "Passenger", "Action": "addnoforce"}
    )
    several = {"ContactsLists": [{"ListID": 11, "Action": "addnoforce"}, {"ListID": 12, "Action": "unsub"}]}
    mailjet.contact_managecontactslists.create(id="passenger@example.com", data=several)
    key = one(managed)["ContactID"]
    lists = data(mailjet.contact_getcontactslists.get(id=key))

    assert managed.status_code == 201
    assert {row["ListID"]: row["IsUnsub"] for row in lists} == {11: False, 12: True}
    assert scene.control.members(12)[key] is True


# Bulk


def test_a_bulk_job_on_one_list_is_polled_to_its_end(scene: Scene, mailjet: Client) -> None:
    scene.control.settings(job_seconds=100)
    people = [{"Email": f"n{key}@example.com"} for key in range(5)]
    queued = mailjet.contactslist_managemanycontacts.create(
        id=12, data={"Action": "addnoforce", "Contacts": people}
    )
    job = one(queued)["JobID"]
    running = one(mailjet.contactslist_managemanycontacts.get(id=12, action_id=job))
    scene.control.advance(100)
    ended = one(mailjet.contactslist_managemanycontacts.get(id=12, action_id=job))

    assert queued.status_code == 201
    assert (running["Status"], running["JobEnd"]) == ("Allocated", "")
    assert (ended["Status"], ended["Count"], ended["ErrorFile"]) == ("Completed", 5, "")
    assert len(data(mailjet.listrecipient.get(filters={"ContactsList": 12}))) == 5


def test_one_bulk_job_acts_on_several_lists(scene: Scene, mailjet: Client) -> None:
    body = {
        "Contacts": [{"Email": "c1@example.com"}],
        "ContactsLists": [{"ListID": 11, "Action": "remove"}, {"ListID": 12, "Action": "addnoforce"}],
    }
    job = one(mailjet.contact_managemanycontacts.create(data=body))["JobID"]
    ended = one(mailjet.contact_managemanycontacts.get(id=job))

    assert ended["Status"] == "Completed"
    assert (scene.control.members(11), scene.control.members(12)) == ({2: True}, {1: False})
    assert one(mailjet.batchjob.get(id=job))["Status"] == "Completed"


def test_a_csv_file_is_uploaded_and_imported(scene: Scene, mailjet: Client) -> None:
    uploaded = mailjet.contactslist_csvdata.create(id=12, data="email\nn1@example.com\nnonsense\n")
    body = {
        "ErrTreshold": "1",
        "ImportOptions": "",
        "Method": "addnoforce",
        "ContactsListID": 12,
        "DataID": uploaded.json()["ID"],
    }
    key = one(mailjet.csvimport.create(data=body))["ID"]
    errors = mailjet.batchjob_csverror.get(id=key)

    assert uploaded.status_code == 200
    assert one(mailjet.csvimport.get(id=key))["Status"] == "Completed"
    assert len(scene.control.members(12)) == 1
    assert "nonsense" in errors.text


# Campaigns and messages


def test_a_draft_is_filled_scheduled_sent_and_found_as_a_campaign(scene: Scene, mailjet: Client) -> None:
    scene.control.set_mailbox(1, "opening")
    key = one(mailjet.campaigndraft.create(data={**DRAFT, "ContactsListID": 11}))["ID"]
    content = {"Html-part": "Hello <strong>world</strong>!", "Text-part": "Hello world!"}
    mailjet.campaigndraft_detailcontent.create(id=key, data=content)
    tested = mailjet.campaigndraft_test.create(
        id=key, data={"Recipients": [{"Email": "passenger@example.com", "Name": "Passenger 1"}]}
    )
    now = datetime.fromtimestamp(scene.control.advance(0), tz=UTC)
    date = (now + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    planned = one(mailjet.campaigndraft_schedule.create(id=key, data={"Date": date}))
    cancelled = mailjet.campaigndraft_schedule.delete(id=key)
    sent = mailjet.campaigndraft_send.create(id=key)
    with pytest.raises(DoesNotExistError):
        mailjet.campaign.get(id=f"mj.nl={key}")
    scene.control.advance(2 * 3600)
    campaign = one(mailjet.campaign.get(id=f"mj.nl={key}"))
    messages = data(mailjet.message.get(filters={"Campaign": campaign["ID"], "ShowContactAlt": "true"}))

    assert (tested.status_code, cancelled.status_code, sent.status_code) == (201, 204, 201)
    assert planned == {"Date": date, "Status": "Programmed"}
    assert one(mailjet.campaigndraft_status.get(id=key)) == {"Status": "Sent"}
    assert (campaign["NewsLetterID"], campaign["Subject"]) == (key, DRAFT["Subject"])
    assert [(row["ContactAlt"], row["Status"]) for row in messages] == [("c1@example.com", "opened")]
    history = data(mailjet.messagehistory.get(id=messages[0]["ID"]))
    assert [event["EventType"] for event in history] == ["sent", "open"]
    counted = one(
        mailjet.statcounters.get(
            filters={
                "SourceID": campaign["ID"],
                "CounterSource": "Campaign",
                "CounterTiming": "Message",
                "CounterResolution": "Lifetime",
            }
        )
    )
    assert (counted["MessageSentCount"], counted["MessageOpenedCount"]) == (1, 1)


def test_bounces_are_read_with_and_without_a_window(mailjet: Client) -> None:
    assert data(mailjet.bouncestatistics.get()) == []
    bounce = one(mailjet.bouncestatistics.get(filters={"CampaignID": 52_001, "FromTS": 0}))

    assert (bounce["ContactID"], bounce["StateID"], bounce["IsStatePermanent"]) == (1, 1, True)
    assert one(mailjet.messagestate.get(id=1))["State"] == "user unknown"


def test_a_segment_is_made(mailjet: Client) -> None:
    body = {
        "Description": "Will send only to contacts under 35 years of age.",
        "Expression": "(age<35)",
        "Name": "Customers under 35",
    }

    assert one(mailjet.contactfilter.create(data=body))["Expression"] == "(age<35)"


# Event callbacks


def test_an_event_callback_is_made_changed_and_deleted(mailjet: Client) -> None:
    body = {"EventType": "open", "Url": "https://www.example.com/webhook", "Status": "alive"}
    key = one(mailjet.eventcallbackurl.create(data=body))["ID"]
    with pytest.raises(ValidationError, match="MJ18"):
        mailjet.eventcallbackurl.create(data=body)
    mailjet.eventcallbackurl.update(id=key, data={"Version": 2})
    changed = one(mailjet.eventcallbackurl.get(id=key))
    deleted = mailjet.eventcallbackurl.delete(id=key)

    assert (changed["Version"], changed["Status"], changed["IsBackup"]) == (2, "alive", False)
    assert deleted.status_code == 204
    assert data(mailjet.eventcallbackurl.get()) == []


# Errors


def test_what_mailjet_refuses_arrives_as_the_clients_own_errors(scene: Scene, mailjet: Client) -> None:
    with pytest.raises(DoesNotExistError, match="Object not found"):
        mailjet.contact.get(id=999)
    with pytest.raises(ValidationError, match="MJ18"):
        mailjet.contact.create(data={"Email": "C1@example.com"})
    with pytest.raises(ValidationError, match="has no property"):
        mailjet.contact.create(data={"Email": "n@example.com", "Shoe": 44})
    with pytest.raises(MailjetAuthError, match="MJ19"):
        mailjet.contact.update(id=1, data={"Email": "other@example.com"})
    scene.control.settings(rate=0)
    with pytest.raises(ApiRateLimitError, match="429 Too Many Requests"):
        mailjet.contact.get()


def test_wrong_keys_are_refused_with_an_empty_page(scene: Scene) -> None:
    with (
        Client(auth=("wrong", "keys"), api_url=scene.serving.url) as mailjet,
        pytest.raises(MailjetAuthError),
    ):
        mailjet.contact.get()


def test_a_lost_answer_and_a_cut_connection_are_network_errors(scene: Scene, mailjet: Client) -> None:
    scene.control.fault(path="contactslist/12$", timeout_after_acceptance=True, times=1)
    with pytest.raises(MailjetTimeoutError):
        mailjet.contactslist.update(id=12, data={"Name": "renamed"}, timeout=0.3)
    scene.control.fault(path="contact$", drop=True, times=1)
    with pytest.raises(CriticalApiError):
        mailjet.contact.get()

    assert one(mailjet.contactslist.get(id=12))["Name"] == "renamed", "it had been accepted"
