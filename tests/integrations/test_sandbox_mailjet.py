"""Mailjet's stand-in: envelope, paging, errors, and what each resource shows and accepts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integrations.sandbox_scenes import BIG, LONG_AGO, Scene, contact, member, small_scene, small_world


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with small_scene(tmp_path) as scene:
        yield scene


@pytest.fixture
def crowded(scene: Scene) -> Scene:
    """2,300 contacts on one list."""
    keys = range(1, 2301)
    scene.control.load(
        {
            "contacts": [contact(key) for key in keys],
            "lists": [{"id": 11, "name": "first"}],
            "memberships": [member(key, 11) for key in keys],
        }
    )
    return scene


# Keys and shapes of refusal


@pytest.mark.parametrize("keys", [("sandbox", "wrong"), ("wrong", "sandbox"), None])
def test_wrong_keys_get_an_empty_page_and_no_json(scene: Scene, keys: tuple[str, str] | None) -> None:
    response = httpx.get(f"{scene.serving.url}/v3/REST/contact", auth=keys, trust_env=False)

    assert (response.status_code, response.content) == (401, b"")
    assert response.headers["content-type"] == "text/html"
    assert response.headers["www-authenticate"] == 'Basic realm="Provide an apiKey and secretKey"'


def test_wrong_keys_get_json_from_version_4(scene: Scene) -> None:
    response = httpx.delete(f"{scene.serving.url}/v4/contacts/1", auth=("no", "body"), trust_env=False)

    assert response.status_code == 401
    assert response.json()["StatusCode"] == 401


@pytest.mark.parametrize(
    "path", ["contact/999", "contact/nobody@example.com", "contact/1/dance", "contactslist/x"]
)
def test_what_does_not_exist_is_a_json_404(scene: Scene, path: str) -> None:
    response = scene.get(path)

    assert response.status_code == 404
    assert response.reason_phrase == "Object not found"
    assert response.json() == {"ErrorInfo": "", "ErrorMessage": "Object not found", "StatusCode": 404}


def test_an_unknown_resource_is_a_500_with_an_identifier(scene: Scene) -> None:
    response = scene.get("messageeventlist")

    assert response.status_code == 500
    assert response.json()["ErrorMessage"] == "An Unexpected Error occurred during API request"
    assert len(response.json()["ErrorIdentifier"]) == 36


@pytest.mark.parametrize("path", ["/v3.1/REST/contact", "/v3/SEND/contact", "/elsewhere"])
def test_a_wrong_prefix_is_an_html_404(scene: Scene, path: str) -> None:
    response = scene.http.get(path)

    assert response.status_code == 404
    assert response.headers["content-type"] == "text/html"


def test_a_verb_that_is_not_supported_is_a_405(scene: Scene) -> None:
    assert scene.http.delete("/v3/REST/campaign/52001").status_code == 405


def test_a_malformed_address_in_a_path_is_a_400(scene: Scene) -> None:
    response = scene.get("contact/not an address")

    assert response.status_code == 400
    assert response.json()["ErrorMessage"] == 'Invalid email address "not an address"'


def test_bad_json_is_a_400_and_a_body_of_another_shape_a_500(scene: Scene) -> None:
    bad = [b"{", b"", b"\xff", b'{"Name": "\\ud800"}', b"[" * 100_000]
    other = scene.http.post("/v3/REST/contact", content=b"[1]")

    codes = [scene.http.post("/v3/REST/contact", content=body).status_code for body in bad]
    assert codes == [400] * len(bad)
    assert other.status_code == 500


# Envelope, paging, sorting


def test_total_repeats_count_unless_the_overall_number_is_asked_for(crowded: Scene) -> None:
    plain = crowded.get("contact", Limit=7).json()
    counted = crowded.get("contact", Limit=7, countRecords=1).json()
    only = crowded.get("contact", Limit=7, COUNTONLY=1).json()

    assert (plain["Count"], plain["Total"], len(plain["Data"])) == (7, 7, 7)
    assert (counted["Count"], counted["Total"], len(counted["Data"])) == (7, 2300, 7)
    assert only == {"Count": 2300, "Data": [], "Total": 2300}


def test_limits_are_10_by_default_1000_at_most_and_0_means_1000_from_the_start(crowded: Scene) -> None:
    def ids(**params: Any) -> list[int]:
        return [row["ID"] for row in crowded.rows("contact", **params)]

    assert ids() == [*range(1, 11)]
    assert ids(Limit=5000) == [*range(1, 1001)]
    assert ids(Limit=1000, Offset=2000) == [*range(2001, 2301)]
    assert ids(Limit=0, Offset=2000) == [*range(1, 1001)]


def test_pages_of_a_list_hold_everybody_once(crowded: Scene) -> None:
    pages = [
        crowded.rows("listrecipient", ContactsList=11, Limit=1000, Offset=offset, Sort="ID")
        for offset in (0, 1000, 2000)
    ]

    assert [len(page) for page in pages] == [1000, 1000, 300]
    assert sorted(row["ContactID"] for page in pages for row in page) == [*range(1, 2301)]


@pytest.mark.parametrize(
    "params",
    [{"Limit": "-1"}, {"Limit": "x"}, {"Offset": "1.5"}, {"ContactsList": "first"}, {"Limit": "9" * 30}],
)
def test_a_parameter_that_cannot_be_read_is_a_400(scene: Scene, params: dict[str, str]) -> None:
    assert scene.get("contact", **params).status_code == 400


def test_sorting_takes_a_space_not_a_plus_and_only_some_fields(scene: Scene) -> None:
    by_name = [row["Name"] for row in scene.rows("contactslist", Sort="Name DESC")]
    plus = scene.get("contactslist", Sort="ID+DESC")

    assert by_name == ["second", "gone", "first"]
    assert plus.json()["ErrorMessage"] == "Invalid sort specification: Cannot sort on field id+desc"
    assert scene.get("contact", Sort="ID DESC").status_code == 400
    assert scene.get("contact", Sort="Name").status_code == 400
    assert [row["ID"] for row in scene.rows("contact", Sort="Email DESC")] == [3, 2, 1]


def test_names_of_resources_actions_and_parameters_have_no_case(scene: Scene) -> None:
    assert [row["ContactID"] for row in scene.rows("ListRecipient", CONTACTSLIST=11, unsub="TRUE")] == [2]
    assert scene.rows("Contact/1/GetContactsLists")[0]["ListID"] == 11


def test_unknown_parameters_are_ignored_without_a_word(scene: Scene) -> None:
    assert len(scene.rows("contact", ContactList=11, State="x", Email="c1@example.com")) == 3


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        ("contact", "Status"),
        ("listrecipient", "Blocked"),
        ("listrecipient", "LastActivityAt"),
        ("campaign", "FromType"),
        ("message", "CustomID"),
    ],
)
def test_a_filter_of_mailjets_that_the_stand_in_lacks_is_refused_and_not_ignored(
    scene: Scene, resource: str, name: str
) -> None:
    refused = scene.get(resource, **{name: "1"})

    assert refused.status_code == 400
    assert "stand-in cannot filter" in refused.json()["ErrorMessage"]


# Lists


def test_a_list_is_created_renamed_deleted_and_restored(scene: Scene) -> None:
    made = scene.send("POST", "contactslist", {"Name": "third"})
    key = made.json()["Data"][0]["ID"]

    assert made.status_code == 201
    assert len(made.json()["Data"][0]["Address"]) in (8, 9)
    assert scene.send("PUT", f"contactslist/{key}", {"Name": "third"}).status_code == 304
    assert scene.send("PUT", f"contactslist/{key}", {"Name": "fourth"}).json()["Data"][0]["Name"] == "fourth"
    deleted = scene.http.delete(f"/v3/REST/contactslist/{key}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert scene.row(f"contactslist/{key}")["IsDeleted"] is True
    assert scene.send("PUT", f"contactslist/{key}", {"IsDeleted": False}).status_code == 200
    assert scene.row(f"contactslist/{key}")["IsDeleted"] is False


def test_a_list_name_is_taken_only_by_a_list_that_lives(scene: Scene) -> None:
    taken = scene.send("POST", "contactslist", {"Name": "first"})
    free = scene.send("POST", "contactslist", {"Name": "gone"})

    assert taken.status_code == 400
    assert taken.json()["ErrorMessage"].startswith('MJ18 A ContactsList resource with value "first" for Name')
    assert free.status_code == 201


def test_subscriber_count_includes_the_unsubscribed(scene: Scene) -> None:
    assert scene.row("contactslist/11")["SubscriberCount"] == 2


def test_deleted_lists_are_listed_and_can_be_filtered_out(scene: Scene) -> None:
    assert [row["ID"] for row in scene.rows("contactslist")] == [11, 12, 13]
    assert [row["ID"] for row in scene.rows("contactslist", IsDeleted="false")] == [11, 12]


# Contacts


def test_a_contact_is_found_by_id_and_by_address_whatever_its_case(scene: Scene) -> None:
    by_id = scene.row("contact/3")
    by_address = scene.http.get("/v3/REST/contact/cap.tal%2BX@EXAMPLE.com").json()["Data"][0]

    assert by_id == by_address
    assert by_id == {
        "ID": 3,
        "Email": "Cap.Tal+x@example.com",
        "Name": "",
        "CreatedAt": LONG_AGO,
        "DeliveredCount": 0,
        "IsExcludedFromCampaigns": True,
        "ExclusionFromCampaignsUpdatedAt": "",
        "IsOptInPending": False,
        "IsSpamComplaining": False,
        "LastActivityAt": "",
        "LastUpdateAt": "",
        "UnsubscribedAt": "",
        "UnsubscribedBy": "",
    }


def test_contacts_are_filtered_by_list_campaign_and_exclusion(scene: Scene) -> None:
    def ids(**params: Any) -> list[int]:
        return [row["ID"] for row in scene.rows("contact", **params)]

    assert ids(ContactsList=11) == [1, 2]
    assert ids(Campaign=52001, ContactsList=11) == [1, 2]
    assert ids(IsExcludedFromCampaigns="true") == [3]
    assert ids(IsUnsubscribed="true") == []


def test_creating_a_contact_that_exists_is_mj18(scene: Scene) -> None:
    made = scene.send("POST", "contact", {"Email": "new@example.com", "Name": "N"})
    again = scene.send("POST", "contact", {"email": "NEW@example.com"})

    assert (made.status_code, made.json()["Data"][0]["Name"]) == (201, "N")
    assert again.status_code == 400
    message = 'MJ18 A Contact resource with value "NEW@example.com" for Email already exists.'
    assert again.json()["ErrorMessage"] == message


def test_only_name_and_exclusion_of_a_contact_can_change(scene: Scene) -> None:
    whole = scene.row("contact/1")

    assert scene.send("PUT", "contact/1", {"Name": "New"}).json()["Data"][0]["Name"] == "New"
    unchanged = scene.send("PUT", "contact/1", {"Name": "New"})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert scene.send("PUT", "contact/1", whole).status_code == 401
    assert scene.send("PUT", "contact/1", {"Email": "other@example.com"}).status_code == 401
    assert scene.send("PUT", "contact/1", {"Shoe": 44}).status_code == 400
    assert scene.http.delete("/v3/REST/contact/1").status_code == 401
    assert scene.row("contact/1")["Email"] == "c1@example.com"


def test_erasure_anonymises_at_once_and_frees_the_address(scene: Scene) -> None:
    erased = scene.http.delete("/v4/contacts/1")
    unknown = scene.http.delete("/v4/contacts/999")

    assert (erased.status_code, erased.content, unknown.status_code) == (200, b"", 200)
    assert scene.row("contact/1")["Name"] == "Anonymized"
    assert scene.row("contact/1")["Email"].endswith("@domain.invalid")
    back = scene.send("POST", "contact", {"Email": "c1@example.com"})
    assert back.json()["Data"][0]["ID"] != 1


# Memberships


def test_a_membership_shows_no_address_and_an_id_of_its_own(scene: Scene) -> None:
    assert scene.row("listrecipient", Contact=2) == {
        "ID": 11_000_002,
        "ContactID": 2,
        "ListID": 11,
        "ListName": "first",
        "IsActive": True,
        "IsUnsubscribed": True,
        "SubscribedAt": LONG_AGO,
        "UnsubscribedAt": LONG_AGO,
    }


def test_memberships_are_filtered(scene: Scene) -> None:
    def contacts(**params: Any) -> list[int]:
        return [row["ContactID"] for row in scene.rows("listrecipient", **params)]

    assert contacts(ContactsList=11) == [1, 2]
    assert contacts(ContactsList=12) == []
    assert contacts(Unsub="false") == [1]
    assert contacts(ContactEmail="C2@example.com") == [2]
    assert contacts(ListName="first", Active="true") == [1, 2]


def test_one_membership_is_made_changed_and_ended(scene: Scene) -> None:
    made = scene.send("POST", "listrecipient", {"ContactID": 3, "ListID": 12})
    key = made.json()["Data"][0]["ID"]
    again = scene.send("POST", "listrecipient", {"ContactAlt": "cap.tal+x@example.com", "ListID": 12})
    unsubscribed = scene.send("PUT", f"listrecipient/{key}", {"IsUnsubscribed": True})
    unchanged = scene.send("PUT", f"listrecipient/{key}", {"IsUnsubscribed": True})

    assert (made.status_code, again.status_code) == (201, 400)
    assert (unsubscribed.status_code, unchanged.status_code) == (200, 304)
    assert scene.control.members(12) == {3: True}
    assert scene.http.delete(f"/v3/REST/listrecipient/{key}").status_code == 204
    assert scene.control.members(12) == {}
    assert [(row["before"], row["after"]) for row in scene.control.changes()] == [
        ("absent", "subscribed"),
        ("subscribed", "unsubscribed"),
        ("unsubscribed", "absent"),
    ]


def test_one_contact_is_put_on_several_lists_at_once(scene: Scene) -> None:
    body = {"ContactsLists": [{"ListID": 11, "Action": "unsub"}, {"ListID": 12, "Action": "addforce"}]}
    response = scene.send("POST", "contact/c1@example.com/managecontactslists", body)

    assert (response.status_code, response.json()["Data"]) == (201, [body])
    assert scene.rows("contact/1/getcontactslists")[0]["IsUnsub"] is True
    assert scene.control.members(12) == {1: False}


@pytest.mark.parametrize("list_id", [13, 999])
def test_a_list_that_is_deleted_or_unknown_refuses_the_whole_call(scene: Scene, list_id: int) -> None:
    body = {
        "ContactsLists": [{"ListID": 12, "Action": "addforce"}, {"ListID": list_id, "Action": "addforce"}]
    }
    response = scene.send("POST", "contact/1/managecontactslists", body)

    assert response.status_code == 400
    [problem] = response.json()["ErrorInfo"]["ContactsLists"]
    assert problem["Error"] == f"List ID {list_id} is invalid or deleted"
    assert scene.control.members(12) == {}


def test_managing_a_contact_on_a_list_creates_him_where_he_is_missing(scene: Scene) -> None:
    body = {"Email": "new@example.com", "Action": "addnoforce", "Name": "N"}
    response = scene.send("POST", "contactslist/12/managecontact", body)

    row = response.json()["Data"][0]
    assert response.status_code == 201
    assert row == {**body, "ContactID": row["ContactID"], "Properties": {}}
    assert scene.control.members(12) == {row["ContactID"]: False}
    missing = scene.send("POST", "contact/nobody@example.com/managecontactslists", {"ContactsLists": []})
    assert missing.status_code == 404


# Campaigns and messages


def test_campaigns_without_a_window_are_those_of_today(scene: Scene) -> None:
    now = scene.control.advance(0)
    today = {"id": 6, "draft_id": 7, "list_id": 11, "subject": "Now", "send_start_at": now}
    scene.control.load({**scene.control.dump(), "campaigns": [*scene.control.dump()["campaigns"], today]})

    def ids(**params: Any) -> list[int]:
        return [row["ID"] for row in scene.rows("campaign", **params)]

    assert ids() == [6]
    assert ids(FromTS="2020-01-01T00:00:00Z") == [6, 52001]
    assert ids(FromTS=LONG_AGO) == [6], "FromTS is exclusive"
    assert ids(FromTS=0, ContactsListID=11, Sort="ID DESC") == [52001, 6]
    assert ids(Period="Day") == [6]


def test_a_campaign_is_found_by_its_draft_only_after_a_while(scene: Scene) -> None:
    found = scene.row("campaign/mj.nl=9001")
    scene.control.settings(campaign_lookup_seconds=10**9)

    assert (found["ID"], found["NewsLetterID"], found["CustomValue"]) == (52001, 9001, "mj.nl=9001")
    assert found["SendEndAt"] == ""
    assert scene.get("campaign/mj.nl=9001").status_code == 404
    assert scene.row("campaign/52001")["ID"] == 52001


def test_a_draft_names_its_campaign_once_sent(scene: Scene) -> None:
    unsent = {"id": 9002, "created_at": LONG_AGO, "list_id": 12, "status": 1}
    scene.control.load({**scene.control.dump(), "drafts": [*scene.control.dump()["drafts"], unsent]})

    assert scene.row("campaigndraft/9001")["CampaignID"] == 52001
    assert "CampaignID" not in scene.row("campaigndraft/9002")
    assert scene.rows("campaigndraft/9002/status") == [{"Status": "Programmed"}]


def test_messages_keep_their_64_bits_and_omit_a_state_that_is_not_set(scene: Scene) -> None:
    bounced, sent = scene.rows("message", Campaign=52001)

    assert (bounced["ID"], sent["ID"]) == (BIG, BIG + 1)
    assert (bounced["StateID"], bounced["StatePermanent"], bounced["Status"]) == (1, True, "hardbounced")
    assert "StateID" not in sent
    assert (bounced["ContactAlt"], bounced["Subject"]) == ("", "")


def test_a_message_shows_address_and_subject_on_demand(scene: Scene) -> None:
    [bounced] = scene.rows(
        "message", Campaign=52001, ShowContactAlt="true", ShowSubject="true", MessageStatus=10
    )

    assert (bounced["ContactAlt"], bounced["Subject"]) == ("c1@example.com", "Hello")


def test_message_status_takes_a_number_and_status_is_ignored(scene: Scene) -> None:
    assert len(scene.rows("message", Status="hardbounced")) == 2
    assert [row["ID"] for row in scene.rows("message", MessageStatus=2)] == [BIG + 1]
    assert len(scene.rows("message", MessageStatus=0)) == 2
    assert scene.get("message", MessageStatus="hardbounced").status_code == 400


def test_the_history_of_a_message_carries_the_servers_text(scene: Scene) -> None:
    [event] = scene.rows(f"messagehistory/{BIG}")

    assert (event["EventType"], event["State"]) == ("bounce", "user unknown")
    assert event["Comment"] == "550 5.1.1 no such user"
    assert isinstance(event["EventAt"], int)
    assert scene.rows("messagehistory/12345") == []


def test_every_message_state_has_its_words(scene: Scene) -> None:
    rows = scene.rows("messagestate", Limit=0)

    assert [row["ID"] for row in rows] == [*range(1, 22)]
    assert scene.row("messagestate/14") == {"ID": 14, "RelatedTo": "mailjet", "State": "preblocked"}


NAMES = (
    "Email Action Contacts ContactsLists ListID Name x Properties Data Value Method DataID ContactsListID"
    " Expression Datatype Locale Subject SenderEmail SegmentationID AXFraction Date Recipients Html-part"
    " IsStarred EventType Url Version Status"
).split()
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=8,
)
WRITES = [
    ("POST", "contact"),
    ("PUT", "contact/1"),
    ("POST", "contactslist"),
    ("PUT", "contactslist/11"),
    ("POST", "contactslist/11/managecontact"),
    ("POST", "contactslist/11/managemanycontacts"),
    ("POST", "contact/managemanycontacts"),
    ("POST", "contact/1/managecontactslists"),
    ("POST", "listrecipient"),
    ("PUT", "listrecipient/11000001"),
    ("POST", "contactslist/12/importlist"),
    ("POST", "csvimport"),
    ("POST", "contactmetadata"),
    ("PUT", "contactdata/1"),
    ("POST", "contactfilter"),
    ("POST", "campaigndraft"),
    ("PUT", "campaigndraft/9001"),
    ("PUT", "campaigndraft/9002"),
    ("POST", "campaigndraft/9002/detailcontent"),
    ("POST", "campaigndraft/9002/schedule"),
    ("POST", "campaigndraft/9002/test"),
    ("PUT", "campaign/52001"),
    ("POST", "eventcallbackurl"),
]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(WRITES), json_values)
def test_no_body_goes_without_an_answer(scene: Scene, write: tuple[str, str], body: Any) -> None:
    scene.control.settings(rate=10**6)
    document = small_world()
    scene.control.load({**document, "drafts": [{"id": 9002, "created_at": LONG_AGO, "list_id": 11}]})

    response = scene.send(*write, body)

    assert response.status_code in (200, 201, 304, 400, 401, 404, 500)
    if response.status_code >= 400:
        assert response.json()["StatusCode"] == response.status_code


READS = (
    "contact contactslist listrecipient batchjob campaign campaigndraft campaignoverview message"
    " bouncestatistics statcounters csvimport contactmetadata contactfilter eventcallbackurl messagestate"
).split()
PARAMETERS = (
    "Limit Offset Sort countOnly countRecords ContactsList Contact ContactEmail Campaign CampaignID FromTS"
    " ToTS EventFromTs Period MessageStatus Unsub IsDeleted EventType SourceID CounterSource CounterTiming"
    " CounterResolution RefID MinRequestAt"
).split()
words = (
    st.text(max_size=6)
    | st.integers(-(2**70), 2**70).map(str)
    | st.sampled_from(
        ["true", "0", "ID DESC", "Lifetime", "Message", "Campaign", "Day", LONG_AGO, "nan", "inf", "1e400"]
    )
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(READS), st.dictionaries(st.sampled_from(PARAMETERS), words, max_size=5))
def test_no_question_goes_without_an_answer(scene: Scene, resource: str, params: dict[str, str]) -> None:
    scene.control.settings(rate=10**6)

    response = scene.get(resource, **params)

    assert response.status_code in (200, 400, 404)
    body = response.json()
    assert (
        body["StatusCode"] == response.status_code
        if response.status_code >= 400
        else body["Data"] is not None
    )
