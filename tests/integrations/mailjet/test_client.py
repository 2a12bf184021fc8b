"""The client against a server that says what it is told: traps, refusals, faults."""

import json
import logging
import socket
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from integrations import mailjet as m
from integrations.privacy import without_addresses
from tests.integrations.mailjet.saying import (
    AWKWARD,
    HTML,
    LIST,
    MASTER,
    NOON,
    OTHER,
    Counted,
    campaign_row,
    connected,
    contact_row,
    counters_row,
    draft_row,
    event_row,
    event_url_row,
    first,
    job_row,
    list_row,
    listed_row,
    member_row,
    message_row,
    no_sleep,
    page,
    submit,
    summary_row,
)
from tests.integrations.scripted import DROPPED, SILENT, Said, Server, answer

READS: dict[str, tuple[Callable[[m.Mailjet], Any], Callable[..., dict[str, Any]], str]] = {
    "lists": (lambda c: c.lists()[0], list_row, "contactslist"),
    "find_list": (lambda c: c.find_list(LIST), list_row, f"contactslist/{LIST}"),
    "members": (lambda c: first(c.members(LIST)), member_row, "listrecipient"),
    "contacts": (lambda c: first(c.contacts(LIST)), contact_row, "contact"),
    "contact": (lambda c: c.contact("kim@example.com"), contact_row, "contact/{address}"),
    "campaign": (lambda c: c.campaign(52001), campaign_row, "campaign/52001"),
    "messages": (lambda c: first(c.messages(52001, since=NOON)), message_row, "message"),
    "history": (lambda c: c.history(5)[0], event_row, "messagehistory/5"),
    "job": (
        lambda c: c.job(m.JobId(90210), list_id=LIST),
        job_row,
        f"contactslist/{LIST}/managemanycontacts/90210",
    ),
    "recent_jobs": (lambda c: c.recent_jobs(since=NOON)[0], summary_row, "batchjob"),
    "scan_members": (lambda c: next(c.scan_members(LIST)).columns, member_row, "listrecipient"),
    "scan_contacts": (lambda c: next(c.scan_contacts(LIST)).columns, contact_row, "contact"),
    "lists_of_contact": (lambda c: c.lists_of_contact(7), listed_row, "contact/7/getcontactslists"),
    "drafts": (lambda c: first(c.drafts()), draft_row, "campaigndraft"),
    "draft": (lambda c: c.draft(9001), draft_row, "campaigndraft/9001"),
    "campaigns": (lambda c: first(c.campaigns(since=NOON)), campaign_row, "campaign"),
    "counters": (lambda c: c.counters(52001), counters_row, "statcounters"),
    "messages_to": (lambda c: first(c.messages_to(7, since=NOON)), message_row, "message"),
    "event_urls": (lambda c: c.event_urls()[0], event_url_row, "eventcallbackurl"),
}
NEEDED = {
    "lists": ["ID", "Name", "IsDeleted", "SubscriberCount"],
    "find_list": ["ID", "Name", "IsDeleted", "SubscriberCount"],
    "members": ["ID", "ContactID", "IsUnsubscribed", "IsActive", "SubscribedAt"],
    "contacts": ["ID", "Email", "CreatedAt", "IsExcludedFromCampaigns", "IsSpamComplaining"],
    "contact": ["ID", "Email", "CreatedAt", "IsExcludedFromCampaigns", "IsSpamComplaining"],
    "campaign": ["ID", "Subject", "SendStartAt", "SendEndAt", "Status"],
    "messages": ["ID", "ContactID", "ContactAlt", "Status", "StatePermanent", "ArrivedAt"],
    "history": ["EventType", "EventAt", "State", "Comment"],
    "job": ["Status", "Count", "Error", "ErrorFile"],
    "recent_jobs": ["ID", "Method", "Status", "Count", "RequestAt"],
    "scan_members": ["ID", "ContactID", "IsUnsubscribed", "SubscribedAt"],
    "scan_contacts": ["ID", "Email", "CreatedAt", "IsExcludedFromCampaigns", "IsSpamComplaining"],
    "lists_of_contact": ["ListID", "IsActive", "IsUnsub", "SubscribedAt"],
    "drafts": ["ID", "Title", "Subject", "Status", "CreatedAt", "ModifiedAt", "DeliveredAt"],
    "counters": [name for name in counters_row() if name.endswith(("Count", "Total"))],
    "event_urls": ["ID", "EventType", "Url", "IsBackup", "Status", "Version"],
}
FIELDS = [(read, name) for read, names in NEEDED.items() for name in names]


# --- What is read


def test_a_list_is_read_with_its_count_and_whether_it_is_deleted(client: m.Mailjet, server: Server) -> None:
    server.says = [page(list_row(), list_row(ID=12, IsDeleted=True))]

    one, two = client.lists()

    assert one == m.MailjetList(id=LIST, name="One", is_deleted=False, subscriber_count=3)
    assert two.is_deleted


def test_a_member_is_a_contact_id_without_an_address(client: m.Mailjet, server: Server) -> None:
    server.says = [page(member_row(IsUnsubscribed=True, IsActive=False))]

    [[member]] = client.members(LIST)

    assert member == m.Member(
        membership_id=31,
        contact_id=7,
        unsubscribed=True,
        active=False,
        subscribed_at=datetime(2026, 1, 31, 8, tzinfo=UTC),
    )
    assert server.heard[0].params == {"ContactsList": "11", "Sort": "ID", "Limit": "1000", "Offset": "0"}


def test_a_contact_keeps_its_address_and_loses_its_name(client: m.Mailjet, server: Server) -> None:
    server.says = [page(contact_row(IsExcludedFromCampaigns=True, IsSpamComplaining=True))]

    [[contact]] = client.contacts(LIST)

    assert contact == m.MailjetContact(
        id=7,
        email="kim@example.com",
        created_at=datetime(2025, 3, 1, 8, tzinfo=UTC),
        excluded=True,
        complained=True,
    )
    assert "Kim" not in contact.model_dump_json()
    assert "kim@" not in repr(contact)


def test_a_message_is_read_with_its_reason_and_all_digits_of_its_id(
    client: m.Mailjet, server: Server
) -> None:
    server.says = [page(message_row(ID=2**53 + 1))]

    [[message]] = client.messages(52001, since=NOON)

    assert message.id == 9007199254740993
    assert (message.status, message.state_id, message.permanent) == (m.MessageStatus.HARD_BOUNCED, 1, True)
    assert (message.contact_id, message.email) == (7, "kim@example.com")
    assert server.heard[0].params["ShowContactAlt"] == "true"
    assert server.heard[0].params["Campaign"] == "52001"


def test_messages_are_asked_for_so_that_one_at_the_very_start_is_included(
    client: m.Mailjet, server: Server
) -> None:
    server.says = [page()]

    list(client.messages(52001, since=NOON))

    assert int(server.heard[0].params["FromTS"]) == int(NOON.timestamp()) - 1  # Mailjet excludes the bound


def test_a_history_is_read_with_the_other_servers_words(client: m.Mailjet, server: Server) -> None:
    server.says = [page(event_row())]

    [event] = client.history(2**60)

    assert server.heard[0].path == f"/v3/REST/messagehistory/{2**60}"
    assert event.at == datetime(2026, 6, 1, 8, tzinfo=UTC)
    assert (event.event_type, event.state, event.comment) == (
        "bounce",
        "user unknown",
        "550 5.1.1 no such user",
    )
    assert "550" not in repr(event)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("Completed", m.JobStatus.COMPLETED),
        ("COMPLETED", m.JobStatus.COMPLETED),
        ("Error", m.JobStatus.FAILED),
        ("Abort", m.JobStatus.FAILED),
        ("Allocated", m.JobStatus.RUNNING),
        ("In Progress", m.JobStatus.RUNNING),
        ("a word of tomorrow", m.JobStatus.RUNNING),
    ],
)
def test_a_job_ends_only_by_a_word_that_says_so(
    client: m.Mailjet, server: Server, word: str, status: m.JobStatus
) -> None:
    server.says = [page(job_row(Status=word))]

    assert client.job(m.JobId(1), list_id=LIST).status is status


def test_a_job_on_several_lists_is_asked_for_without_a_list(client: m.Mailjet, server: Server) -> None:
    server.says = [page(job_row(Error='no such contact "kim@example.com"', ErrorFile="https://api.test/f"))]

    job = client.job(m.JobId(90210), list_id=None)

    assert server.heard[0].path == "/v3/REST/contact/managemanycontacts/90210"
    assert (job.id, job.processed, job.error_file) == (90210, 2, "https://api.test/f")
    assert job.error == 'no such contact "[address]"'


def test_a_jobs_errors_name_the_address_and_give_the_reason_without_it(
    client: m.Mailjet, server: Server
) -> None:
    server.says = [answer([{"Email": "not one", "Error": 'Invalid email address "not one"'}])]

    [error] = client.job_errors(m.JobId(5))

    assert server.heard[0].target == "/v3/DATA/batchjob/5/JSONError/application:json/LAST"
    assert error.email == "not one"
    assert error.message == 'Invalid email address "[address]"'
    assert "not one" not in repr(error)


def test_a_job_without_an_error_file_has_no_errors(client: m.Mailjet, server: Server) -> None:
    server.says = [
        answer({"ErrorInfo": "", "ErrorMessage": "Source object not found", "StatusCode": 404}, status=404)
    ]

    assert client.job_errors(m.JobId(5)) == []


@pytest.mark.parametrize("body", [b"", b"{}", b'[{"Email": "a@b.test"}]', b"<html>"])
def test_an_error_file_that_cannot_be_read_is_refused(client: m.Mailjet, server: Server, body: bytes) -> None:
    server.says = [Said(body=body)]

    with pytest.raises(m.MailjetAnswerInvalid, match="batchjob/5/JSONError"):
        client.job_errors(m.JobId(5))


def test_recent_jobs_end_where_the_older_ones_begin(client: m.Mailjet, server: Server) -> None:
    at = int(NOON.timestamp())
    server.says = [page(*(summary_row(ID=9000 - n, RequestAt=at - n // 10) for n in range(1000)))]

    jobs = client.recent_jobs(since=NOON.replace(microsecond=900_000))

    assert [job.id for job in jobs] == list(range(9000, 8990, -1))
    assert len(server.heard) == 1
    assert server.heard[0].params["Sort"] == "ID DESC"


def test_recent_jobs_are_paged_until_they_are_older_and_told_once(client: m.Mailjet, server: Server) -> None:
    server.says = [
        page(*(summary_row(ID=5000 - n) for n in range(1000))),
        page(summary_row(ID=4001), summary_row(ID=4000), summary_row(ID=3999, RequestAt=1)),
    ]

    jobs = client.recent_jobs(since=NOON)

    assert [job.id for job in jobs] == list(range(5000, 3999, -1))


def test_a_job_on_several_lists_has_no_list_in_the_list_of_jobs(client: m.Mailjet, server: Server) -> None:
    server.says = [page(summary_row(RefId=0))]

    assert client.recent_jobs(since=NOON)[0].ref_id is None


@pytest.mark.parametrize(
    "read", ["find_list", "contact", "campaign", "draft", "lists_of_contact", "counters"]
)
def test_what_mailjet_does_not_know_is_none(client: m.Mailjet, server: Server, read: str) -> None:
    server.says = [
        answer({"ErrorInfo": "", "ErrorMessage": "Object not found", "StatusCode": 404}, status=404)
    ]

    assert READS[read][0](client) is None


def test_nothing_that_has_changed_is_a_success_without_rows(client: m.Mailjet, server: Server) -> None:
    server.says = [Said(status=304)]

    assert client.lists() == []


# --- What is tolerated, what is refused


@pytest.mark.parametrize("read", READS)
def test_numbers_and_flags_may_come_as_text_and_new_fields_are_ignored(
    client: m.Mailjet, server: Server, read: str
) -> None:
    ask, row, _ = READS[read]
    plain = row()
    quoted = {name: quoted_value(value) for name, value in plain.items()} | {"Novelty": {"deep": [1]}}
    server.says = [page(plain), page(quoted)]

    assert ask(client) == ask(client)


def quoted_value(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else value


@pytest.mark.parametrize(("read", "name"), FIELDS)
def test_a_missing_field_is_refused_by_name(client: m.Mailjet, server: Server, read: str, name: str) -> None:
    ask, row, resource = READS[read]
    server.says = [page({field: value for field, value in row().items() if field != name})]

    with pytest.raises(m.MailjetAnswerInvalid) as refusal:
        ask(client)

    assert resource in str(refusal.value)
    assert f"field {name}" in str(refusal.value)
    assert not refusal.value.retryable


@pytest.mark.parametrize(("read", "name"), FIELDS)
def test_a_field_of_a_wrong_kind_is_refused_by_name_and_without_its_value(
    client: m.Mailjet, server: Server, read: str, name: str
) -> None:
    ask, row, _ = READS[read]
    for value in [{"kim@example.com": 1}, ["kim@example.com"]]:
        server.says = [page(row(**{name: value}))]

        with pytest.raises(m.MailjetAnswerInvalid, match=f"field {name}") as refusal:
            ask(client)

        assert "kim@" not in str(refusal.value)
        assert refusal.value.__cause__ is None


@pytest.mark.parametrize("wrong", [0, -1, 1.0, 1e17, True, "1.0", "x", "", "٣"])
def test_an_id_is_a_whole_number_above_zero(client: m.Mailjet, server: Server, wrong: Any) -> None:
    server.says = [page(message_row(ContactID=wrong))]

    with pytest.raises(m.MailjetAnswerInvalid, match="field ContactID"):
        list(client.messages(52001, since=NOON))


@pytest.mark.parametrize("wrong", ["yesterday", "2026-01-31T08:00:00", True, {}])
def test_a_time_has_a_zone(client: m.Mailjet, server: Server, wrong: Any) -> None:
    server.says = [page(member_row(SubscribedAt=wrong))]

    with pytest.raises(m.MailjetAnswerInvalid, match="row 0, field SubscribedAt"):
        list(client.members(LIST))


def test_a_time_that_never_was_is_none(client: m.Mailjet, server: Server) -> None:
    server.says = [page(campaign_row(SendEndAt=""))]

    campaign = client.campaign(52001)

    assert campaign is not None
    assert campaign.send_end_at is None
    assert campaign.send_start_at == datetime(2026, 6, 1, 8, tzinfo=UTC)


def test_references_that_are_unset_may_be_left_out_or_zero(client: m.Mailjet, server: Server) -> None:
    without = {name: value for name, value in message_row(Status="sent").items() if name != "StateID"}
    server.says = [page(without, message_row(ID=2**60, StateID=0))]

    [[one, two]] = client.messages(52001, since=NOON)

    assert one.state_id is None
    assert two.state_id is None


def test_a_message_status_that_mailjet_does_not_document_is_refused(
    client: m.Mailjet, server: Server
) -> None:
    server.says = [page(message_row(Status="vanished"))]

    with pytest.raises(m.MailjetAnswerInvalid, match="message: row 0, field Status"):
        list(client.messages(52001, since=NOON))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'{"Count": 0}',
        b'{"Data": []}',
        b'{"Count": 1, "Data": {}}',
        b'{"Count": 0,',
    ],
)
def test_an_answer_that_is_no_envelope_is_refused(client: m.Mailjet, server: Server, body: bytes) -> None:
    server.says = [Said(body=body)]

    with pytest.raises(m.MailjetAnswerInvalid, match="listrecipient: "):
        list(client.members(LIST))


def test_a_page_that_was_cut_short_is_not_taken_for_the_last_one(client: m.Mailjet, server: Server) -> None:
    server.says = [answer({"Count": 1000, "Data": [member_row()], "Total": 1000})]

    with pytest.raises(m.MailjetAnswerInvalid, match="field Count: 1000, but 1 rows"):
        list(client.members(LIST))


def test_rows_of_another_list_show_that_the_filter_was_ignored(client: m.Mailjet, server: Server) -> None:
    server.says = [page(member_row(), member_row(ID=32, ListID=OTHER))]

    with pytest.raises(m.MailjetAnswerInvalid, match="listrecipient: field ListID"):
        list(client.members(LIST))


def test_messages_of_another_campaign_are_refused(client: m.Mailjet, server: Server) -> None:
    server.says = [page(message_row(CampaignID=1))]

    with pytest.raises(m.MailjetAnswerInvalid, match="message: field CampaignID"):
        list(client.messages(52001, since=NOON))


def test_rows_out_of_order_are_refused_because_pages_of_them_would_have_holes(
    client: m.Mailjet, server: Server
) -> None:
    server.says = [page(member_row(ID=32), member_row(ID=31))]

    with pytest.raises(m.MailjetAnswerInvalid, match="listrecipient: field ID"):
        list(client.members(LIST))


# --- Pages


def members(start: int, size: int) -> list[dict[str, Any]]:
    return [member_row(ID=n, ContactID=n) for n in range(start, start + size)]


def test_pages_end_with_a_short_one_and_total_is_not_believed(client: m.Mailjet, server: Server) -> None:
    server.says = [page(*members(1, 1000)), page(*members(1000, 1000)), page(*members(1999, 1))]

    pages = list(client.members(LIST))

    assert [len(rows) for rows in pages] == [1000, 999]
    assert [heard.params["Offset"] for heard in server.heard] == ["0", "999", "1998"]


def test_a_page_is_fetched_only_when_it_is_wanted(client: m.Mailjet, server: Server) -> None:
    server.says = [page(*members(1, 1000))]

    next(client.members(LIST))

    assert len(server.heard) == 1


@pytest.mark.parametrize("read", ["lists", "members", "contacts", "messages", "recent_jobs"])
def test_a_page_that_comes_again_and_again_is_refused(client: m.Mailjet, server: Server, read: str) -> None:
    row, resource = READS[read][1], READS[read][2]
    ids = range(2000, 1000, -1) if read == "recent_jobs" else range(1, 1001)
    server.says = [page(*(row(ID=n) for n in ids))]
    ask: dict[str, Callable[[], Any]] = {
        "lists": client.lists,
        "members": lambda: list(client.members(LIST)),
        "contacts": lambda: list(client.contacts(LIST)),
        "messages": lambda: list(client.messages(52001, since=NOON)),
        "recent_jobs": lambda: client.recent_jobs(since=NOON),
    }

    with pytest.raises(m.MailjetAnswerInvalid, match=f"{resource}: the same page again"):
        ask[read]()

    assert len(server.heard) <= 3


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shift=st.integers(min_value=0, max_value=998), tail=st.integers(min_value=0, max_value=20))
def test_a_row_that_a_shift_repeats_is_given_once(
    client: m.Mailjet, server: Server, shift: int, tail: int
) -> None:
    repeated = members(1000 - shift, min(1 + shift + tail, 999))
    server.says = [page(*members(1, 1000)), page(*repeated)]

    seen = [member.contact_id for rows in client.members(LIST) for member in rows]

    assert seen == list(range(1, max(1001, 1000 - shift + len(repeated))))


def test_erased_contacts_are_left_out_and_people_at_test_domains_are_not(
    client: m.Mailjet, server: Server
) -> None:
    server.says = [
        page(
            contact_row(ID=1, Name="Anonymized", Email="0a1b@domain.invalid"),
            contact_row(ID=2, Name="Kim", Email="kim@domain.invalid"),
            contact_row(ID=3, Name="Anonymized", Email="kim@domain.test"),
            contact_row(ID=4, Email="kim@some.example.com"),
        )
    ]

    [contacts] = client.contacts(LIST)

    assert [contact.id for contact in contacts] == [2, 3, 4]


def test_an_erased_contact_is_none(client: m.Mailjet, server: Server) -> None:
    server.says = [page(contact_row(Name="Anonymized", Email="0a1b@domain.invalid"))]

    assert client.contact(7) is None


# --- Tries of a read


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_read_is_tried_three_times_with_growing_pauses_then_reported(
    client: m.Mailjet, server: Server, budget: Counted, slept: list[float], status: int
) -> None:
    server.says = [Said(status=status, body=b"<html></html>")]

    with pytest.raises(m.MailjetUnavailable, match=f"GET contactslist: {status}") as error:
        client.lists()

    assert error.value.retryable
    assert error.value.status == status
    assert len(server.heard) == len(budget.asked) == client.requests == 3
    assert 1 <= slept[0] <= 2 <= slept[1] <= 4


def test_a_server_fault_is_tried_twice(client: m.Mailjet, server: Server, slept: list[float]) -> None:
    server.says = [
        answer({"ErrorIdentifier": "f00", "ErrorMessage": "Unexpected", "ErrorInfo": ""}, status=500)
    ]

    with pytest.raises(m.MailjetUnavailable, match="500, Unexpected; f00"):
        client.lists()

    assert len(server.heard) == 2
    assert len(slept) == 1


@pytest.mark.parametrize("trouble", [HTML, DROPPED, Said(status=429), Said(status=500)])
def test_a_read_that_recovers_is_as_if_nothing_had_been(
    client: m.Mailjet, server: Server, trouble: Said
) -> None:
    server.says = [trouble, page(list_row())]

    assert [found.id for found in client.lists()] == [LIST]
    assert client.requests == 2


def test_a_read_without_an_answer_is_tried_again(server: Server, budget: Counted, slept: list[float]) -> None:
    server.says = [SILENT, page(list_row())]

    with connected(server.url, budget=budget, sleep=slept.append, timeout=0.5) as client:
        assert len(client.lists()) == 1
    assert len(slept) == 1


def test_a_wait_that_mailjet_asks_for_is_kept_up_to_a_minute(
    client: m.Mailjet, server: Server, slept: list[float]
) -> None:
    busy = Said(status=429, headers={"Retry-After": "7"})
    busier = Said(status=429, headers={"Retry-After": "600"})
    server.says = [busy, busier, page()]

    client.lists()

    assert slept == [7, 60]


def test_nobody_there_is_unavailable(budget: Counted, slept: list[float]) -> None:
    with connected(closed_port(), budget=budget, sleep=slept.append) as client:
        with pytest.raises(m.MailjetUnavailable, match="GET contactslist: ConnectError"):
            client.lists()
        assert client.requests == 3


def closed_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("status", [400, 403, 404, 405])
def test_a_refused_read_is_not_repeated(client: m.Mailjet, server: Server, status: int) -> None:
    server.says = [answer({"ErrorMessage": "Cannot sort on field id", "ErrorInfo": ""}, status=status)]

    with pytest.raises(m.MailjetRejected, match=f"GET listrecipient: {status}, Cannot sort") as error:
        list(client.members(LIST))

    assert error.value.status == status
    assert not error.value.retryable
    assert client.requests == 1


def test_wrong_keys_stop_all_work(client: m.Mailjet, server: Server) -> None:
    server.says = [Said(status=401, headers={"Content-Type": "text/html"})]

    with pytest.raises(m.MailjetUnauthorized) as error:
        client.lists()

    assert not error.value.retryable
    assert client.requests == 1


def test_a_401_with_words_is_a_refused_write_and_not_a_wrong_key(client: m.Mailjet, server: Server) -> None:
    server.says = [answer({"ErrorMessage": "Operation not allowed", "ErrorInfo": ""}, status=401)]

    with pytest.raises(m.MailjetRejected, match="Operation not allowed"):
        submit(client)


def test_every_request_passes_the_budget_as_what_it_is(server: Server, budget: Counted) -> None:
    server.says = [page(*members(1, 1000)), page(*members(1000, 1))]

    with connected(server.url, budget=budget, sleep=no_sleep, background=True) as client:
        list(client.members(LIST))

    assert budget.asked == [True, True]


def test_a_budget_that_refuses_stops_the_request(server: Server) -> None:
    class Closed(Exception):
        pass

    class Refusing(Counted):
        def acquire(self, *, background: bool) -> None:
            raise Closed

    with connected(server.url, budget=Refusing(), sleep=no_sleep) as client:
        with pytest.raises(Closed):
            client.lists()
        assert client.requests == 0
    assert server.heard == []


# --- Writes


def test_a_bulk_write_carries_nothing_but_addresses_as_they_are(client: m.Mailjet, server: Server) -> None:
    server.says = [page({"JobID": 90210}, status=201)]

    job = submit(client, *AWKWARD)

    assert job == 90210
    assert server.heard[0].path == f"/v3/REST/contactslist/{LIST}/managemanycontacts"
    assert server.heard[0].json == {
        "Action": "addnoforce",
        "Contacts": [{"Email": email} for email in AWKWARD],
    }
    assert server.heard[0].headers["Authorization"].startswith("Basic ")


def test_changes_of_several_lists_are_one_request(client: m.Mailjet, server: Server) -> None:
    server.says = [page({"JobID": "5"}, status=201)]
    changes = [
        m.ListChange(list_id=LIST, action=m.Action.REMOVE),
        m.ListChange(list_id=OTHER, action=m.Action.UNSUBSCRIBE),
    ]

    job = client.submit_changes(changes=changes, emails=["kim@example.com"])

    assert job == 5
    assert server.heard[0].path == "/v3/REST/contact/managemanycontacts"
    assert server.heard[0].json == {
        "Contacts": [{"Email": "kim@example.com"}],
        "ContactsLists": [{"ListID": LIST, "Action": "remove"}, {"ListID": OTHER, "Action": "unsub"}],
    }


def test_no_action_overrides_an_opt_out() -> None:
    assert "addforce" not in [action.value for action in m.Action]


@pytest.mark.parametrize("action", m.Action)
def test_the_master_list_is_never_written_to(
    client: m.Mailjet, server: Server, budget: Counted, action: m.Action
) -> None:
    elsewhere = m.ListChange(list_id=LIST, action=action)
    master = m.ListChange(list_id=MASTER, action=action)

    with pytest.raises(m.MasterListProtected, match="10"):
        client.submit(list_id=MASTER, action=action, emails=["kim@example.com"])
    with pytest.raises(m.MasterListProtected):
        client.submit_changes(changes=[elsewhere, master], emails=["kim@example.com"])

    assert server.heard == []
    assert budget.asked == []


@pytest.mark.parametrize("trouble", [DROPPED, HTML, Said(status=500), Said(status=504)])
def test_a_write_whose_answer_is_lost_is_uncertain_and_sent_once(
    client: m.Mailjet, server: Server, trouble: Said, slept: list[float]
) -> None:
    server.says = [trouble, page({"JobID": 1}, status=201)]

    with pytest.raises(m.MailjetUncertain, match="look the job up") as error:
        submit(client)

    assert not error.value.retryable
    assert len(server.heard) == 1
    assert slept == []


def test_a_write_that_times_out_is_uncertain(server: Server, budget: Counted) -> None:
    server.says = [SILENT]

    with connected(server.url, budget=budget, sleep=no_sleep, timeout=0.5) as client:
        with pytest.raises(m.MailjetUncertain, match="ReadTimeout"):
            submit(client)
        assert client.requests == 1


@pytest.mark.parametrize(
    "said", [Said(status=201), page(status=201), page({"JobID": None}, status=201), Said(status=204), HTML]
)
def test_a_write_whose_answer_cannot_be_read_is_uncertain(
    client: m.Mailjet, server: Server, said: Said
) -> None:
    server.says = [said]

    with pytest.raises(m.MailjetUncertain):
        submit(client)


def test_a_write_that_never_left_may_be_sent_again(budget: Counted) -> None:
    with (
        connected(closed_port(), budget=budget, sleep=no_sleep) as client,
        pytest.raises(m.MailjetUnavailable, match="POST contactslist/11/managemanycontacts") as error,
    ):
        submit(client)

    assert error.value.retryable


def test_a_write_above_the_rate_was_not_accepted_and_is_left_to_the_caller(
    client: m.Mailjet, server: Server, slept: list[float]
) -> None:
    server.says = [Said(status=429, body=b"<h1>429 Too Many Requests</h1>")]

    with pytest.raises(m.MailjetUnavailable) as error:
        submit(client)

    assert error.value.retryable
    assert (client.requests, slept) == (1, [])


def test_mailjets_words_are_passed_on_without_addresses(client: m.Mailjet, server: Server) -> None:
    words = {
        "ErrorMessage": 'MJ18 A Contact resource with value "kim+1@example.com" for Email already exists.',
        "ErrorInfo": {"ContactsLists": [{"Error": 'List ID 11 is invalid for "Zoë Doe"@exämple.test'}]},
    }
    server.says = [answer(words, status=400)]

    with pytest.raises(m.MailjetRejected) as error:
        submit(client, "kim+1@example.com")

    assert 'MJ18 A Contact resource with value "[address]" for Email already exists.' in str(error.value)
    assert "List ID 11 is invalid" in str(error.value)
    assert "kim" not in str(error.value)
    assert "Doe" not in str(error.value)


@pytest.mark.parametrize("count", [0, 5001])
def test_a_batch_that_is_empty_or_too_large_is_not_sent(
    client: m.Mailjet, server: Server, count: int
) -> None:
    with pytest.raises(ValueError, match="1 to 5000"):
        client.submit(list_id=LIST, action=m.Action.ADD, emails=["kim@example.com"] * count)

    assert server.heard == []


def test_one_write_names_each_list_once(client: m.Mailjet, server: Server) -> None:
    twice = [m.ListChange(list_id=LIST, action=action) for action in (m.Action.ADD, m.Action.REMOVE)]

    for changes in ([], twice):
        with pytest.raises(ValueError, match="once"):
            client.submit_changes(changes=changes, emails=["kim@example.com"])

    assert server.heard == []


# --- Addresses


LOCAL = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(local=LOCAL)
@example(local="a+b")
@example(local='"kim / doe?x=1#y"')
@example(local="%2F..%41")
@example(local="zoë&é")
@example(local="../../contactslist/1")
def test_any_address_reaches_mailjet_as_it_is_and_no_log_line(
    client: m.Mailjet, server: Server, caplog: pytest.LogCaptureFixture, local: str
) -> None:
    address = f"{local}@example.com"
    server.heard.clear()
    server.says = [answer({"ErrorMessage": f"Invalid email address {address}"}, status=400)]
    caplog.clear()

    with caplog.at_level(logging.DEBUG, logger="evenkeel"), pytest.raises(m.MailjetRejected) as error:
        client.contact(address)

    assert server.heard[0].path == f"/v3/REST/contact/{address}"
    assert server.heard[0].params == {}
    assert str(error.value) == "GET contact/{address}: 400, Invalid email address [address]"
    assert "@" not in caplog.text
    [record] = [record for record in caplog.records if record.name == "evenkeel.mailjet"]
    assert record.__dict__["resource"] == "contact/{address}"


@given(before=st.text(), local=st.from_regex(r"[a-z0-9.+_-]{1,20}", fullmatch=True), after=st.text())
def test_no_address_survives_scrubbing(before: str, local: str, after: str) -> None:
    address = f"{local}@mail.example.com"

    for text in (f"{before} {address} {after}", f'{before}"{address}"{after}', f"{before}<{address}>{after}"):
        assert address not in without_addresses(text)


def test_an_error_does_not_drag_along_the_request_that_names_an_address(
    client: m.Mailjet, server: Server
) -> None:
    server.says = [DROPPED]

    with pytest.raises(m.MailjetUnavailable) as error:
        client.contact("kim@example.com")

    shown = "".join(traceback.format_exception(error.value))
    assert "RemoteProtocolError" in shown
    assert "The above exception" not in shown
    assert "During handling" not in shown


def test_text_that_is_no_address_is_not_looked_up(client: m.Mailjet, server: Server) -> None:
    with pytest.raises(ValueError, match="by address"):
        client.contact("managemanycontacts")

    assert server.heard == []


def test_a_log_line_says_what_was_asked_and_how_it_ended(
    client: m.Mailjet, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.says = [Said(status=502), page(*members(1, 2))]

    with caplog.at_level(logging.INFO, logger="evenkeel.mailjet"):
        list(client.members(LIST))

    told = [(r.__dict__["method"], r.__dict__["resource"], r.__dict__["status"]) for r in caplog.records]
    assert told == [("GET", "listrecipient", 502), ("GET", "listrecipient", 200)]
    assert all(r.__dict__["list_id"] == LIST and r.__dict__["ms"] >= 0 for r in caplog.records)
    assert "method=GET resource=listrecipient status=200 ms=" in caplog.messages[-1]


def test_a_failed_request_is_logged_by_its_kind(
    client: m.Mailjet, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.says = [DROPPED]

    with caplog.at_level(logging.INFO, logger="evenkeel.mailjet"), pytest.raises(m.MailjetUncertain):
        submit(client)

    assert caplog.records[0].__dict__["status"] == "RemoteProtocolError"
    assert "@" not in json.dumps(caplog.messages)
