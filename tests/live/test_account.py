"""What the workflows count on, at the stand-in and, with keys, at Mailjet itself."""

from datetime import UTC, datetime, timedelta

import pytest

from integrations.mailjet import (
    Action,
    JobStatus,
    ListChange,
    Mailjet,
    MailjetRejected,
    MailjetUnauthorized,
    MasterListProtected,
    Place,
)
from tests.live.conftest import NO_LIST, Account, Paced

UNKNOWN = 2**40
"""An id that no contact and no list has."""


def add(account: Account, list_id: int, *emails: str) -> None:
    job = account.mailjet.submit(list_id=list_id, action=Action.ADD, emails=emails)
    assert account.done(job, list_id=list_id).status is JobStatus.COMPLETED


def test_a_deleted_list_is_still_found_and_says_so(account: Account) -> None:
    list_id = account.making.make_list()
    fresh = account.mailjet.find_list(list_id)
    assert fresh is not None
    assert not fresh.is_deleted

    account.making.delete_list(list_id)

    gone = account.mailjet.find_list(list_id)
    assert gone is not None
    assert gone.is_deleted
    assert account.mailjet.find_list(UNKNOWN) is None


def test_added_contacts_are_on_the_list_and_found_by_id_and_address(account: Account) -> None:
    list_id, address = account.making.make_list(), account.making.address
    emails = [address("plain"), address("plus+tag"), address("Capitals")]

    add(account, list_id, *emails)

    assert account.unsubscribed(list_id) == {email.lower(): False for email in emails}
    for email in emails:
        found = account.mailjet.contact(email)
        assert found is not None
        assert found.email.lower() == email.lower()
        assert account.mailjet.contact(found.id) == found
        lists = account.mailjet.lists_of_contact(found.id)
        assert lists is not None
        assert [(each.list_id, each.unsubscribed) for each in lists] == [(list_id, False)]


def test_adding_twice_makes_no_second_membership(account: Account) -> None:
    list_id, email = account.making.make_list(), account.making.address("twice")

    add(account, list_id, email, email)
    add(account, list_id, email)

    assert account.unsubscribed(list_id) == {email: False}
    assert account.mailjet.member_count(list_id) == 1


def test_adding_does_not_undo_an_unsubscription(account: Account) -> None:
    list_id, email = account.making.make_list(), account.making.address("left")
    add(account, list_id, email)
    job = account.mailjet.submit(list_id=list_id, action=Action.UNSUBSCRIBE, emails=[email])
    account.done(job, list_id=list_id)

    add(account, list_id, email)

    assert account.unsubscribed(list_id) == {email: True}
    [[unsubscribed]] = account.mailjet.unsubscribed_members(list_id)
    [[member]] = account.mailjet.members(list_id)
    assert unsubscribed == member


def test_one_call_changes_several_lists(account: Account) -> None:
    source, target = account.making.make_list(), account.making.make_list()
    stays, goes = account.making.address("stays"), account.making.address("goes")
    add(account, source, stays, goes)

    changes = [
        ListChange(list_id=source, action=Action.REMOVE),
        ListChange(list_id=target, action=Action.ADD),
    ]
    job = account.mailjet.submit_changes(changes=changes, emails=[goes])

    assert account.done(job, list_id=None).status is JobStatus.COMPLETED
    assert account.unsubscribed(source) == {stays: False}
    assert account.unsubscribed(target) == {goes: False}


def test_removing_somebody_who_is_not_there_is_done_at_once(account: Account) -> None:
    list_id, other = account.making.make_list(), account.making.make_list()
    email = account.making.address("elsewhere")
    add(account, other, email)

    job = account.mailjet.submit(list_id=list_id, action=Action.REMOVE, emails=[email])

    assert account.done(job, list_id=list_id).status is JobStatus.COMPLETED
    assert account.unsubscribed(list_id) == {}
    assert account.unsubscribed(other) == {email: False}


def test_a_malformed_address_does_not_keep_the_others_off(account: Account) -> None:
    list_id, good = account.making.make_list(), account.making.address("good")

    job = account.mailjet.submit(list_id=list_id, action=Action.ADD, emails=[good, "no address"])
    account.done(job, list_id=list_id)

    assert account.unsubscribed(list_id) == {good: False}
    assert "no address" in [error.email for error in account.mailjet.job_errors(job)]


def test_counts_say_how_many_there_are_in_all(account: Account) -> None:
    list_id = account.making.make_list()
    emails = [account.making.address(f"n{n}") for n in range(12)]
    add(account, list_id, *emails)

    [members] = account.mailjet.scan_members(list_id)
    [contacts] = account.mailjet.scan_contacts(list_id)

    assert members.total == contacts.total == len(members.columns) == len(contacts.columns) == 12
    assert account.mailjet.member_count(list_id) == 12
    eleventh = Place(offset=10, highest=members.columns.membership_id[10])
    [rest] = account.mailjet.scan_members(list_id, at=eleventh)
    assert (rest.total, rest.columns.membership_id) == (12, members.columns.membership_id[11:])


def test_a_job_is_found_in_the_list_of_jobs(account: Account) -> None:
    list_id, email = account.making.make_list(), account.making.address("job")
    before = datetime.now(tz=UTC) - timedelta(days=1)

    job = account.mailjet.submit(list_id=list_id, action=Action.ADD, emails=[email])
    account.done(job, list_id=list_id)

    [found] = [each for each in account.mailjet.recent_jobs(since=before) if each.id == job]
    assert found.ref_id == list_id


def test_a_deleted_or_unknown_list_takes_no_job(account: Account) -> None:
    list_id, email = account.making.make_list(), account.making.address("nobody")
    account.making.delete_list(list_id)

    for each in (list_id, UNKNOWN):
        with pytest.raises(MailjetRejected):
            account.mailjet.submit(list_id=each, action=Action.ADD, emails=[email])


def test_whoever_is_unknown_is_none_and_an_address_that_is_none_is_rejected(account: Account) -> None:
    assert account.mailjet.contact(account.making.address("stranger")) is None
    assert account.mailjet.contact(UNKNOWN) is None
    assert account.mailjet.lists_of_contact(UNKNOWN) is None
    with pytest.raises(MailjetRejected) as refusal:
        account.mailjet.contact("@")
    assert refusal.value.status == 400


def test_campaigns_drafts_and_event_urls_can_be_read(account: Account) -> None:
    long_ago = datetime.now(tz=UTC) - timedelta(days=365)

    for rows in account.mailjet.campaigns(since=long_ago):
        assert all(row.send_start_at is None or row.send_start_at >= long_ago for row in rows)
    for drafts in account.mailjet.drafts():
        assert drafts
    for url in account.mailjet.event_urls():
        assert url.version in (1, 2)
    assert account.mailjet.campaign(UNKNOWN) is None
    assert account.mailjet.draft(UNKNOWN) is None
    assert account.mailjet.campaign_of_draft(UNKNOWN) is None
    assert account.mailjet.history(UNKNOWN) == []


def test_wrong_keys_are_told_apart_from_a_refusal(account: Account) -> None:
    with (
        Mailjet(
            base_url=account.base_url,
            api_key="wrong",
            api_secret="wrong",
            budget=Paced(seconds=0),
            master_list_id=NO_LIST,
        ) as stranger,
        pytest.raises(MailjetUnauthorized),
    ):
        stranger.lists()


def test_the_master_list_is_refused_before_anything_is_sent(account: Account) -> None:
    before = account.mailjet.requests

    with pytest.raises(MasterListProtected):
        account.mailjet.submit(list_id=NO_LIST, action=Action.ADD, emails=[account.making.address("nobody")])

    assert account.mailjet.requests == before
