"""What the workflows ask besides: whole scans, drafts, campaigns in a window, figures, event URLs."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations import mailjet as m
from integrations.mailjet.events import read_event
from tests.integrations.mailjet.saying import (
    LIST,
    NOON,
    Counted,
    campaign_row,
    connected,
    contact_row,
    counters_row,
    draft_row,
    event_url_row,
    listed_row,
    member_row,
    message_row,
    no_sleep,
    page,
)
from tests.integrations.scripted import DROPPED, Said, Server, answer

NOT_FOUND = answer({"ErrorInfo": "", "ErrorMessage": "Object not found", "StatusCode": 404}, status=404)


def counted(*rows: dict[str, Any], total: int) -> Said:
    return answer({"Count": len(rows), "Data": list(rows), "Total": total})


def members(*ids: int) -> list[dict[str, Any]]:
    return [member_row(ID=id, ContactID=id) for id in ids]


# --- Counts


def test_a_count_alone_fetches_no_rows(client: m.Mailjet, server: Server) -> None:
    server.says = [answer({"Count": 3529, "Data": [], "Total": 3529})]

    assert client.member_count(LIST) == 3529
    assert server.heard[0].params == {"ContactsList": str(LIST), "countOnly": "1"}


def test_a_count_that_came_with_rows_was_no_count(client: m.Mailjet, server: Server) -> None:
    server.says = [page(*members(1, 2))]

    with pytest.raises(m.MailjetAnswerInvalid, match="countOnly was ignored"):
        client.member_count(LIST)


# --- Filters


def test_the_unsubscribed_are_asked_for_by_the_filter_that_finds_them(
    client: m.Mailjet, server: Server
) -> None:
    server.says = [page(member_row(IsUnsubscribed=True, UnsubscribedAt="2026-05-01T08:00:00Z"))]

    [[member]] = client.unsubscribed_members(LIST)

    assert member.unsubscribed_at == datetime(2026, 5, 1, 8, tzinfo=UTC)
    assert server.heard[0].path.endswith("/listrecipient")
    assert server.heard[0].params["Unsub"] == "true"


@pytest.mark.parametrize("value", [True, "true", "True"])
def test_a_flag_in_any_spelling_shows_that_a_filter_was_kept(
    client: m.Mailjet, server: Server, value: Any
) -> None:
    server.says = [page(contact_row(IsExcludedFromCampaigns=value))]

    [[contact]] = client.excluded_contacts()

    assert contact.excluded


def test_a_filter_that_mailjet_ignored_is_noticed(client: m.Mailjet, server: Server) -> None:
    server.says = [page(member_row(IsUnsubscribed=False))]
    with pytest.raises(m.MailjetAnswerInvalid, match="field IsUnsubscribed: rows that were not asked for"):
        list(client.unsubscribed_members(LIST))

    server.says = [page(contact_row(IsExcludedFromCampaigns=False))]
    with pytest.raises(m.MailjetAnswerInvalid, match="field IsExcludedFromCampaigns"):
        list(client.excluded_contacts())

    server.says = [page(draft_row(Status=2))]
    with pytest.raises(m.MailjetAnswerInvalid, match="field Status"):
        list(client.drafts(status=m.DraftStatus.PROGRAMMED))

    server.says = [page(draft_row(ContactsListID=99))]
    with pytest.raises(m.MailjetAnswerInvalid, match="field ContactsListID"):
        list(client.drafts(list_id=LIST))

    server.says = [page(campaign_row(ListID=99))]
    with pytest.raises(m.MailjetAnswerInvalid, match="field ListID"):
        list(client.campaigns(since=NOON, list_id=LIST))

    server.says = [page(message_row(ContactID=99))]
    with pytest.raises(m.MailjetAnswerInvalid, match="field ContactID"):
        list(client.messages_to(7, since=NOON))


# --- One contact


def test_a_contacts_own_lists_are_read_by_id_and_all_at_once(client: m.Mailjet, server: Server) -> None:
    server.says = [page(listed_row(), listed_row(ListID=12, IsUnsub=True, SubscribedAt=""))]

    found = client.lists_of_contact(7)

    assert found is not None
    assert [(each.list_id, each.unsubscribed, each.subscribed_at is None) for each in found] == [
        (LIST, False, False),
        (12, True, True),
    ]
    assert server.heard[0].path.endswith("/contact/7/getcontactslists")
    assert server.heard[0].params == {"Limit": "1000", "Offset": "0"}


def test_more_lists_than_a_page_come_whole_and_once(client: m.Mailjet, server: Server) -> None:
    server.says = [
        page(*(listed_row(ListID=n) for n in range(1, 1001))),
        page(listed_row(ListID=1000), listed_row(ListID=1001)),
    ]

    found = client.lists_of_contact(7)

    assert found is not None
    assert [each.list_id for each in found] == list(range(1, 1002))


def test_a_contacts_lists_that_come_again_and_again_are_refused(client: m.Mailjet, server: Server) -> None:
    server.says = [page(*(listed_row(ListID=n) for n in range(1, 1001)))]

    with pytest.raises(m.MailjetAnswerInvalid, match="the same page again"):
        client.lists_of_contact(7)


def test_a_contacts_messages_name_their_campaigns(client: m.Mailjet, server: Server) -> None:
    server.says = [page(message_row(ID=1), message_row(ID=2, CampaignID=0))]

    [[first, second]] = client.messages_to(7, since=NOON)

    assert (first.campaign_id, second.campaign_id) == (52001, None)
    assert server.heard[0].params["Contact"] == "7"
    assert "CampaignID" not in server.heard[0].params


# --- Drafts and campaigns


def test_a_draft_is_read_with_what_tells_where_it_goes(client: m.Mailjet, server: Server) -> None:
    segmented = {"SegmentationID": 31, "AXTestingID": 4, "CampaignID": 2**33, "Status": "-3"}
    server.says = [page(draft_row()), page(draft_row(**segmented)), page(draft_row(ContactsListID=0))]

    plain, special, unfinished = (client.draft(9001) for _ in range(3))

    assert plain is not None
    assert (plain.list_id, plain.status, plain.segmentation_id) == (LIST, m.DraftStatus.PROGRAMMED, None)
    assert (plain.campaign_id, plain.delivered_at) == (None, None)
    assert special is not None
    assert (special.segmentation_id, special.ax_testing_id, special.campaign_id) == (31, 4, 2**33)
    assert special.status is m.DraftStatus.AX_CANCELLED
    assert unfinished is not None
    assert unfinished.list_id is None


def test_a_draft_in_a_state_that_mailjet_does_not_document_is_refused(
    client: m.Mailjet, server: Server
) -> None:
    server.says = [page(draft_row(Status=9))]

    with pytest.raises(m.MailjetAnswerInvalid, match="field Status"):
        client.draft(9001)


def test_drafts_are_asked_for_by_list_and_state(client: m.Mailjet, server: Server) -> None:
    server.says = [page()]

    list(client.drafts(list_id=LIST, status=m.DraftStatus.DRAFT))
    list(client.drafts())

    asked, all_of_them = (heard.params for heard in server.heard)
    assert (asked["ContactsList"], asked["Status"]) == (str(LIST), "0")
    assert {"ContactsList", "Status"}.isdisjoint(all_of_them)


@pytest.mark.parametrize(
    ("said", "at"),
    [
        (page({"Date": "2026-06-02T09:00:00Z", "Status": "Programmed"}), datetime(2026, 6, 2, 9, tzinfo=UTC)),
        (page({"Date": "2026-06-02T09:00:00Z", "Status": "Sent"}), None),
        (page({"Date": "", "Status": "Programmed"}), None),
        (page(), None),
        (NOT_FOUND, None),
    ],
)
def test_a_draft_is_scheduled_only_where_mailjet_says_so(
    client: m.Mailjet, server: Server, said: Said, at: datetime | None
) -> None:
    server.says = [said]

    assert client.scheduled_at(9001) == at


def test_a_schedule_is_taken_away_by_one_request(client: m.Mailjet, server: Server) -> None:
    server.says = [Said(status=204)]

    client.unschedule(9001)

    [heard] = server.heard
    assert (heard.method, heard.path) == ("DELETE", "/v3/REST/campaigndraft/9001/schedule")


def test_a_draft_is_scheduled_to_the_second_in_utc_once_the_budget_let_it_through(
    client: m.Mailjet, server: Server
) -> None:
    asked: list[int] = []
    row = {"Date": "2026-06-02T09:00:00Z", "Status": "Programmed"}
    server.says = [answer({"Count": 1, "Data": [row], "Total": 1}, status=201)]

    at = datetime(2026, 6, 2, 11, 0, 0, 500, tzinfo=timezone(timedelta(hours=2)))
    client.schedule(9001, at=at, before_send=lambda: asked.append(len(server.heard)))

    [heard] = server.heard
    assert (heard.method, heard.path) == ("POST", "/v3/REST/campaigndraft/9001/schedule")
    assert json.loads(heard.body) == {"Date": "2026-06-02T09:00:00Z"}
    assert asked == [0]


def test_a_schedule_whose_removal_went_unanswered_is_looked_at_not_removed_again(
    client: m.Mailjet, server: Server
) -> None:
    server.says = [DROPPED]

    with pytest.raises(m.MailjetUncertain, match="read the draft's status before sending again"):
        client.unschedule(9001)

    assert len(server.heard) == 1


def test_campaigns_are_never_asked_for_without_a_window(client: m.Mailjet, server: Server) -> None:
    server.says = [page(campaign_row())]

    list(client.campaigns(since=NOON))
    list(client.campaigns(since=NOON, until=NOON + timedelta(hours=1), list_id=LIST))

    open_end, both = (heard.params for heard in server.heard)
    noon = int(NOON.timestamp())
    assert (open_end["FromTS"], both["FromTS"]) == (
        str(noon - 1),
        str(noon - 1),
    )  # Mailjet excludes the bound
    assert (both["ToTS"], both["ContactsListID"]) == (str(noon + 3600), str(LIST))
    assert {"ToTS", "ContactsListID"}.isdisjoint(open_end)


def test_a_campaign_tells_its_kind_and_its_other_key(client: m.Mailjet, server: Server) -> None:
    more = {"CampaignType": 2, "CustomValue": "mj.nl=9001", "SegmentationID": 31, "IsDeleted": True}
    server.says = [page(campaign_row(**more))]

    [[campaign]] = client.campaigns(since=NOON)

    assert (campaign.kind, campaign.custom_value) == (m.CampaignType.MARKETING, "mj.nl=9001")
    assert (campaign.segmentation_id, campaign.is_deleted) == (31, True)


def test_a_drafts_campaign_is_found_by_its_key_and_none_at_first(client: m.Mailjet, server: Server) -> None:
    server.says = [NOT_FOUND, page(campaign_row())]

    assert client.campaign_of_draft(9001) is None
    found = client.campaign_of_draft(9001)

    assert found is not None
    assert found.id == 52001
    assert server.heard[0].path == "/v3/REST/campaign/mj.nl=9001"


def test_another_drafts_campaign_is_refused(client: m.Mailjet, server: Server) -> None:
    server.says = [page(campaign_row(NewsLetterID=9002))]

    with pytest.raises(m.MailjetAnswerInvalid, match="NewsLetterID: another draft's campaign"):
        client.campaign_of_draft(9001)


def test_a_campaigns_totals_call_the_sent_delivered(client: m.Mailjet, server: Server) -> None:
    server.says = [page(counters_row()), page()]

    found = client.counters(52001)

    assert found is not None
    assert (found.processed, found.delivered, found.hard_bounced) == (1000, 731, 240)
    assert (found.soft_bounced, found.blocked) == (2, 27)
    assert client.counters(52001) is None
    assert server.heard[0].params == {
        "SourceID": "52001",
        "CounterSource": "Campaign",
        "CounterTiming": "Message",
        "CounterResolution": "Lifetime",
    }


# --- Event URLs

SECRET = "https://evenkeel:hush@lists.example.com/webhooks/mailjet/"


def test_event_urls_are_listed_dead_ones_included(client: m.Mailjet, server: Server) -> None:
    server.says = [page(event_url_row(), event_url_row(ID=6, EventType="unsub", Status="Dead", Version="1"))]

    ours, dead = client.event_urls()

    assert (ours.event, ours.status, ours.is_backup) == ("bounce", m.EventUrlStatus.ALIVE, False)
    assert (dead.status, dead.version) == (m.EventUrlStatus.DEAD, 1)
    assert "secret" not in repr(ours)


def test_an_event_url_is_made_for_grouped_events(client: m.Mailjet, server: Server) -> None:
    server.says = [page(event_url_row(Url=SECRET), status=201)]

    made = client.create_event_url(event="bounce", url=SECRET)

    assert made.id == 5
    assert server.heard[0].json == {"EventType": "bounce", "Url": SECRET, "IsBackup": False, "Version": 2}


def test_a_second_url_for_a_kind_is_refused_as_a_duplicate_and_without_its_secret(
    client: m.Mailjet, server: Server
) -> None:
    words = f'MJ18 A EventCallbackUrl resource with value "{SECRET}" for EventType|Backup already exists.'
    server.says = [answer({"ErrorInfo": "", "ErrorMessage": words, "StatusCode": 400}, status=400)]

    with pytest.raises(m.MailjetRejected, match="MJ18") as refusal:
        client.create_event_url(event="bounce", url=SECRET)

    assert refusal.value.is_duplicate
    assert "hush" not in str(refusal.value)


def test_a_refusal_of_another_kind_is_no_duplicate(client: m.Mailjet, server: Server) -> None:
    server.says = [NOT_FOUND]

    with pytest.raises(m.MailjetRejected) as refusal:
        client.update_event_url(5, url=SECRET)

    assert not refusal.value.is_duplicate


@pytest.mark.parametrize("said", [Said(status=304), page(event_url_row())])
def test_an_event_url_that_stays_the_same_is_a_success(client: m.Mailjet, server: Server, said: Said) -> None:
    server.says = [said]

    client.update_event_url(5, url=SECRET)

    [heard] = server.heard
    assert (heard.method, heard.path) == ("PUT", "/v3/REST/eventcallbackurl/5")
    assert heard.json == {"Url": SECRET, "Version": 2}


def test_an_event_url_whose_making_went_unanswered_is_looked_for(client: m.Mailjet, server: Server) -> None:
    for lost in (DROPPED, Said(status=201, body=b"?")):
        server.says = [lost]
        with pytest.raises(m.MailjetUncertain, match="list the event URLs before sending again") as error:
            client.create_event_url(event="bounce", url=SECRET)
        assert "hush" not in str(error.value)


# --- Sizes of bulk calls


@pytest.mark.parametrize(("contacts", "size"), [(1, 1000), (5000, 1000), (5001, 5000), (25_000, 5000)])
def test_many_contacts_go_in_larger_batches(contacts: int, size: int) -> None:
    assert m.batch_size(contacts) == size


def test_a_call_that_would_be_too_long_is_not_sent(client: m.Mailjet, server: Server) -> None:
    long = [f"{'a' * 64}{n:05}@{'b' * 180}.example" for n in range(4000)]

    with pytest.raises(ValueError, match="1,000,000 bytes"):
        client.submit(list_id=LIST, action=m.Action.ADD, emails=long)

    assert server.heard == []


@given(emails=st.lists(st.emails(), min_size=1, max_size=40))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_length_that_is_checked_is_the_length_that_is_sent(
    client: m.Mailjet, server: Server, emails: list[str]
) -> None:
    server.heard.clear()
    server.says = [page({"JobID": 1}, status=201)]
    client.submit(list_id=LIST, action=m.Action.ADD, emails=emails)

    sent = server.heard[0].body
    array = len(sent) - len(b'{"Action":"addnoforce","Contacts":[]}') + 1  # the last has no comma

    assert array == m.bytes_of(emails)


# --- How requests end is told to the gate


class Told(Counted):
    """Remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def note_success(self) -> None:
        self.told.append("success")

    def note_failure(self, why: str) -> None:
        self.told.append(f"failure: {why}")

    def note_rate_limited(self, *, asked: float | None) -> None:
        self.told.append(f"too many, {asked}")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (page(), "success"),
        (Said(status=304), "success"),
        (NOT_FOUND, "success"),
        (Said(status=401), "success"),
        (Said(status=429, body=b"<h1>429 Too Many Requests</h1>"), "too many, None"),
        (Said(status=429, headers={"Retry-After": "7"}), "too many, 7.0"),
        (Said(status=429, headers={"Retry-After": "\u00b2"}), "too many, None"),
        (Said(status=429, headers={"Retry-After": "soon"}), "too many, None"),
        (Said(status=429, headers={"Retry-After": "9" * 400}), "too many, 86400.0"),
        (Said(status=503), "failure: GET campaigndraft/9001: 503, no explanation"),
        (Said(status=500), "failure: GET campaigndraft/9001: 500, no explanation"),
        (DROPPED, "failure: GET campaigndraft/9001: RemoteProtocolError"),
        (page({"ID": "?"}), "success"),
    ],
)
def test_every_end_of_a_request_is_told_once(server: Server, said: Said, told: str) -> None:
    budget = Told()
    server.says = [said, page(draft_row())]

    with connected(server.url, budget=budget, sleep=lambda _: None) as client, suppress(m.MailjetError):
        client.draft(9001)

    assert budget.told[0] == told
    assert len(budget.told) == client.requests


def test_a_lost_write_is_a_failure_told_without_addresses(server: Server) -> None:
    budget = Told()
    server.says = [DROPPED]

    with (
        connected(server.url, budget=budget, sleep=no_sleep) as client,
        pytest.raises(m.MailjetUncertain),
    ):
        client.submit(list_id=LIST, action=m.Action.ADD, emails=["kim@example.com"])

    assert len(budget.told) == 1
    assert budget.told[0].startswith("failure: POST contactslist/11/managemanycontacts: RemoteProtocolError")
    assert "@" not in budget.told[0]


def test_while_mailjet_is_not_asked_a_read_fails_at_once(server: Server) -> None:
    class Paused(Told):
        def acquire(self, *, background: bool) -> None:
            raise m.MailjetPaused("Mailjet is not asked before 12:00:30 UTC", until=NOON)

    budget = Paused()
    with (
        connected(server.url, budget=budget, sleep=no_sleep) as client,
        pytest.raises(m.MailjetPaused) as refusal,
    ):
        client.lists()

    assert (client.requests, budget.told, server.heard) == (0, [], [])
    assert refusal.value.retryable


def test_text_from_outside_comes_without_what_no_database_takes() -> None:
    said = {"EventType": "bounced", "EventAt": "2026-03-01T05:00:00Z", "State": ""}

    event = m.MessageEvent.model_validate({**said, "Comment": "550 5.1.1 \x00nul and half a pair \ud83d"})

    assert event.comment == "550 5.1.1  nul and half a pair ?"


def test_of_a_servers_words_as_much_is_taken_as_a_reply_can_have() -> None:
    page = "550 5.1.1 " + "x" * 1_000_000
    said = {"EventType": "bounce", "EventAt": "2026-03-01T05:00:00Z", "State": "", "Comment": page}
    told = {"event": "bounce", "time": 1_772_000_000, "mj_contact_id": 7, "comment": page}

    assert m.MessageEvent.model_validate(said).comment == page[:4096]
    assert read_event(told).comment == page[:4096]
