"""Scans: whoever is there throughout is seen, whatever others change between two pages."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations import mailjet as m
from integrations.mailjet.paging import START, Place, step
from tests.integrations.mailjet.saying import LIST, contact_row, member_row
from tests.integrations.scripted import Said, Server, answer


def counted(*rows: dict[str, Any], total: int) -> Said:
    return answer({"Count": len(rows), "Data": list(rows), "Total": total})


def members(*ids: int) -> list[dict[str, Any]]:
    return [member_row(ID=id, ContactID=id) for id in ids]


def offsets(server: Server) -> list[int]:
    return [int(heard.params["Offset"]) for heard in server.heard]


# --- The rule --------------------------------------------------------------------------------------------

ROWS = 30
changes = st.lists(st.tuples(st.sampled_from(["add", "remove"]), st.integers(0, 2 * ROWS)), max_size=12)


@settings(max_examples=400)
@given(
    there=st.sets(st.integers(1, ROWS), max_size=ROWS),
    between=st.lists(changes, max_size=20),
    limit=st.integers(2, 7),
    is_counted=st.booleans(),
)
def test_whoever_is_there_throughout_is_seen_once_and_who_never_was_is_not(
    there: set[int], between: list[list[tuple[str, int]]], limit: int, is_counted: bool
) -> None:
    rows, throughout, ever = set(there), set(there), set(there)
    seen: list[int] = []
    place: Place | None = START
    pending = list(between)
    for _ in range(1000):
        assert place is not None
        window = sorted(rows)[place.offset : place.offset + limit]
        taken = step(place, window, limit=limit, total=len(rows) if is_counted else None)
        seen += window[taken.fresh_from :]
        place = taken.next
        if place is None:
            break
        for change, id in pending.pop(0) if pending else []:
            rows = rows | {id + 1} if change == "add" else rows - {id + 1}
            throughout, ever = throughout & rows, ever | rows
    else:
        pytest.fail("the scan did not end")

    assert seen == sorted(set(seen))
    assert throughout <= set(seen) <= ever


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 19, 20, 28, 100, 1000])
def test_a_scan_that_nobody_disturbs_takes_hardly_more_pages_than_there_are(size: int) -> None:
    limit, pages, place = 10, 0, START
    while place is not None:
        window = list(range(1, size + 1))[place.offset : place.offset + limit]
        place, pages = step(place, window, limit=limit, total=size).next, pages + 1

    first_full, rest = size >= limit, max(size - limit, 0)
    assert pages == 1 + (max(-(-rest // (limit - 1)), 1) if first_full else 0)


# --- The client ------------------------------------------------------------------------------------------


@pytest.fixture
def small(client: m.Mailjet, monkeypatch: pytest.MonkeyPatch) -> m.Mailjet:
    """A client that asks for three rows at once."""
    monkeypatch.setattr(client, "_page_rows", 3)
    return client


def seen(pages: Sequence[m.ScanPage[m.MemberColumns]]) -> list[int]:
    return [id for page in pages for id in page.columns.membership_id]


def test_pages_overlap_by_a_row_that_is_given_once(small: m.Mailjet, server: Server) -> None:
    server.says = [
        counted(*members(1, 2, 3), total=5),
        counted(*members(3, 4, 5), total=5),
    ]

    pages = list(small.scan_members(LIST))

    assert seen(pages) == [1, 2, 3, 4, 5]
    assert offsets(server) == [0, 2]
    assert [page.next for page in pages] == [Place(offset=2, highest=3), None]
    assert [heard.params["countRecords"] for heard in server.heard] == ["1", "1"]


def test_a_page_that_begins_behind_the_last_row_seen_is_read_again_further_back(
    small: m.Mailjet, server: Server
) -> None:
    server.says = [
        counted(*members(1, 2, 3), total=6),
        counted(*members(5, 6), total=4),  # 1 and 2 were deleted meanwhile: 4 is on no page
        counted(*members(3, 4, 5), total=4),
        counted(*members(5, 6), total=4),
    ]

    assert seen(list(small.scan_members(LIST))) == [1, 2, 3, 4, 5, 6]
    assert offsets(server) == [0, 2, 0, 2]


def test_an_empty_page_after_a_great_deletion_sends_the_scan_to_what_is_left(
    small: m.Mailjet, server: Server
) -> None:
    server.says = [
        counted(total=5),
        counted(*members(41, 42, 43), total=5),
    ]

    pages = list(small.scan_members(LIST, at=Place(offset=20, highest=41)))

    assert seen(pages) == [42, 43]
    assert offsets(server) == [20, 2]


@pytest.mark.parametrize("behind", [[], members(7, 8, 9)], ids=["nothing", "a gap"])
def test_a_page_that_never_goes_on_where_the_one_before_ended_is_refused(
    small: m.Mailjet, server: Server, behind: list[dict[str, Any]]
) -> None:
    """A run that asked for ever would keep the lists, and consent that reads them, waiting."""
    server.says = [counted(*members(1, 2, 3), total=9), counted(*behind, total=9)] * 50

    with pytest.raises(m.MailjetAnswerInvalid, match="listrecipient: rows between two pages are on neither"):
        list(small.scan_members(LIST))

    assert len(server.heard) < 20


def test_a_full_first_page_whose_total_is_its_own_count_is_not_believed(
    small: m.Mailjet, server: Server
) -> None:
    server.says = [counted(*members(1, 2, 3), total=3), counted(*members(3, 4), total=4)]

    assert seen(list(small.scan_members(LIST))) == [1, 2, 3, 4]


def test_a_last_page_that_is_full_needs_no_empty_one_after_it(small: m.Mailjet, server: Server) -> None:
    server.says = [counted(*members(1, 2, 3), total=5), counted(*members(3, 4, 5), total=5)]

    list(small.scan_members(LIST))

    assert len(server.heard) == 2


def test_a_total_that_is_only_the_pages_count_is_refused(small: m.Mailjet, server: Server) -> None:
    server.says = [counted(*members(1, 2, 3), total=3), counted(*members(3, 4), total=2)]

    with pytest.raises(m.MailjetAnswerInvalid, match="listrecipient: field Total: 2 as on this page"):
        list(small.scan_members(LIST))


def test_an_answer_without_a_total_is_refused(client: m.Mailjet, server: Server) -> None:
    server.says = [answer({"Count": 0, "Data": []})]

    with pytest.raises(m.MailjetAnswerInvalid, match="field Total"):
        list(client.scan_members(LIST))


def test_an_empty_list_is_one_page_that_says_so(client: m.Mailjet, server: Server) -> None:
    server.says = [counted(total=0)]

    [only] = client.scan_members(LIST)

    assert (len(only.columns), only.total, only.next) == (0, 0, None)


def test_rows_added_in_front_by_chance_as_many_as_a_page_are_no_repetition(
    small: m.Mailjet, server: Server
) -> None:
    server.says = [
        counted(*members(11, 12, 13), total=4),
        counted(*members(11, 12, 13), total=6),
        counted(*members(13, 14), total=6),
    ]

    assert seen(list(small.scan_members(LIST))) == [11, 12, 13, 14]


def test_erased_contacts_are_in_a_scan_and_named(client: m.Mailjet, server: Server) -> None:
    gone = contact_row(ID=8, Name="Anonymized", Email="8@domain.invalid")
    server.says = [counted(contact_row(ID=7), gone, total=2)]

    [only] = client.scan_contacts(None)

    assert (only.columns.id, only.columns.erased) == ([7, 8], [False, True])
    assert "ContactsList" not in server.heard[0].params


@pytest.mark.parametrize("time", ["2026-13-01T08:00:00Z", "yesterday, about noon", "2026-01-31 08:00:00Z\n"])
def test_a_time_that_is_none_is_refused_in_the_words_of_its_row(
    client: m.Mailjet, server: Server, time: str
) -> None:
    server.says = [counted(member_row(), member_row(ID=32, SubscribedAt=time), total=2)]

    with pytest.raises(m.MailjetAnswerInvalid, match="row 1, field SubscribedAt"):
        list(client.scan_members(LIST))


def test_a_page_of_one_row_cannot_overlap_and_is_refused() -> None:
    with pytest.raises(ValueError, match="two"):
        m.Mailjet(
            base_url="http://127.0.0.1:1",
            api_key="key",
            api_secret="secret",
            budget=m.Budget.__new__(m.Budget),
            master_list_id=1,
            page_rows=1,
        )


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(excluded=st.lists(st.booleans(), max_size=5))
def test_columns_say_what_rows_say(client: m.Mailjet, server: Server, excluded: list[bool]) -> None:
    rows = [
        contact_row(ID=n, Email=f"p{n}@example.com", IsExcludedFromCampaigns=each)
        for n, each in enumerate(excluded, 1)
    ]
    server.says = [counted(*rows, total=len(rows))]

    [scanned] = client.scan_contacts(LIST)
    read = [contact for page in client.contacts(LIST) for contact in page]

    assert list(scanned.columns.id) == [contact.id for contact in read]
    assert list(scanned.columns.email) == [contact.email for contact in read]
    assert list(scanned.columns.excluded) == [contact.excluded for contact in read]


def test_a_page_that_was_read_is_not_held_until_python_looks_for_cycles(
    client: m.Mailjet, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.says = [counted(*members(1, 2), total=2)]
    answers: list[weakref.ref[httpx.Response]] = []
    ask = client._ask

    def remembering(request: Any) -> httpx.Response:
        response = ask(request)
        answers.append(weakref.ref(response))
        return response

    monkeypatch.setattr(client, "_ask", remembering)
    gc.disable()
    try:
        list(client.scan_members(LIST))
        assert [answer() for answer in answers] == [None]
    finally:
        gc.enable()
