"""The client against the stand-in."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from integrations import mailjet as m
from integrations.sandbox import serve
from integrations.sandbox.control import Control
from tests.integrations.mailjet.saying import LIST, MASTER, OTHER, Counted, connected, no_sleep
from tests.integrations.mailjet.world import PEOPLE


def done(mailjet: m.Mailjet, control: Control, job: m.JobId, *, list_id: int | None) -> m.Job:
    control.advance(2)
    return mailjet.job(job, list_id=list_id)


def test_the_standins_lists_are_found_deleted_ones_included(mailjet: m.Mailjet) -> None:
    lists = {found.id: found for found in mailjet.lists()}

    assert set(lists) == {MASTER, LIST, OTHER, 13}
    assert (lists[LIST].name, lists[LIST].subscriber_count) == ("One", len(PEOPLE))
    old = mailjet.find_list(13)
    assert old is not None
    assert old.is_deleted
    assert mailjet.find_list(999) is None


def test_members_and_contacts_of_a_list_join_on_the_contacts_id(mailjet: m.Mailjet) -> None:
    members = {member.contact_id: member for rows in mailjet.members(LIST) for member in rows}
    contacts = {contact.id: contact for rows in mailjet.contacts(LIST) for contact in rows}

    assert [contacts[n].email for n in sorted(contacts)] == PEOPLE
    assert set(members) == set(contacts)
    assert [n for n, member in members.items() if member.unsubscribed] == [6]
    assert list(mailjet.members(OTHER)) == []


def test_a_long_list_comes_whole_and_in_pages(mailjet: m.Mailjet, control: Control) -> None:
    at = "2026-01-01T00:00:00Z"
    everybody = range(1, 2501)
    control.load(
        {
            "lists": [{"id": LIST, "name": "One"}],
            "contacts": [{"id": n, "email": f"p{n}@mail.test", "created_at": at} for n in everybody],
            "memberships": [
                {"id": 9000 - n, "contact_id": n, "list_id": LIST, "subscribed_at": at} for n in everybody
            ],
        }
    )
    before = mailjet.requests

    contacts = [[contact.id for contact in rows] for rows in mailjet.contacts(LIST)]
    members = [[member.contact_id for member in rows] for rows in mailjet.members(LIST)]

    assert [len(rows) for rows in contacts] == [len(rows) for rows in members] == [1000, 999, 501]
    assert sorted(n for rows in contacts for n in rows) == sorted(n for rows in members for n in rows)
    assert mailjet.requests - before == 6


@pytest.mark.parametrize("number", range(1, len(PEOPLE) + 1))
def test_a_contact_is_found_by_id_and_by_address_however_spelled(mailjet: m.Mailjet, number: int) -> None:
    email = PEOPLE[number - 1]

    by_id, by_address = (
        mailjet.contact(number),
        mailjet.contact(email.swapcase() if email.isascii() else email),
    )

    assert by_id is not None
    assert by_id == by_address
    assert (by_id.id, by_id.email) == (number, email)


def test_somebody_unknown_or_erased_is_none(mailjet: m.Mailjet, control: Control) -> None:
    control.load({"contacts": [erased()], "lists": [], "memberships": []})

    assert mailjet.contact("nobody@mail.example.com") is None
    assert mailjet.contact(999) is None
    assert mailjet.contact(5) is None


def erased() -> dict[str, Any]:
    return {"id": 5, "email": "5@domain.invalid", "name": "Anonymized", "created_at": "2026-01-01T00:00:00Z"}


def test_a_campaign_and_its_draft_have_ids_of_their_own(mailjet: m.Mailjet) -> None:
    campaign = mailjet.campaign(2**33)

    assert campaign is not None
    assert (campaign.id, campaign.draft_id, campaign.list_id, campaign.status) == (2**33, 9001, LIST, 2)
    assert campaign.send_end_at == datetime(2026, 5, 31, 8, 10, tzinfo=UTC)
    assert mailjet.campaign(1) is None


def test_a_campaigns_messages_come_with_outcome_reason_and_permanence(mailjet: m.Mailjet) -> None:
    since = datetime(2026, 5, 31, 8, tzinfo=UTC)

    [messages] = mailjet.messages(2**33, since=since)

    assert [(msg.id - 2**53, msg.status, msg.state_id, msg.permanent) for msg in messages] == [
        (1, m.MessageStatus.SENT, None, False),
        (2, m.MessageStatus.HARD_BOUNCED, 1, True),
        (3, m.MessageStatus.SOFT_BOUNCED, 3, False),
        (4, m.MessageStatus.BLOCKED, 14, True),
    ]
    assert [msg.email for msg in messages] == PEOPLE[:4]
    assert {msg.arrived_at for msg in messages} == {since}
    assert list(mailjet.messages(1, since=since)) == []


def test_a_messages_history_ends_with_the_other_servers_words(mailjet: m.Mailjet) -> None:
    assert mailjet.history(2**53 + 2)[-1].comment == f"<{PEOPLE[1]}>: said no"
    assert mailjet.history(1) == []


def test_a_submitted_job_takes_effect_later_and_says_so(mailjet: m.Mailjet, control: Control) -> None:
    control.settings(job_seconds=60.0)

    job = mailjet.submit(list_id=LIST, action=m.Action.REMOVE, emails=PEOPLE[:5])

    assert mailjet.job(job, list_id=LIST).status is m.JobStatus.RUNNING
    assert len(control.members(LIST)) == 6
    control.advance(61)
    assert mailjet.job(job, list_id=LIST).status is m.JobStatus.COMPLETED
    assert mailjet.job(job, list_id=LIST).processed == 5
    assert control.members(LIST) == {6: True}
    assert mailjet.job_errors(job) == []


def test_adding_again_does_not_undo_an_unsubscription(mailjet: m.Mailjet, control: Control) -> None:
    job = mailjet.submit(list_id=LIST, action=m.Action.ADD, emails=PEOPLE)

    assert done(mailjet, control, job, list_id=LIST).status is m.JobStatus.COMPLETED
    assert control.members(LIST)[6] is True


def test_one_job_changes_several_lists(mailjet: m.Mailjet, control: Control) -> None:
    changes = [
        m.ListChange(list_id=LIST, action=m.Action.UNSUBSCRIBE),
        m.ListChange(list_id=OTHER, action=m.Action.ADD),
    ]

    job = mailjet.submit_changes(changes=changes, emails=PEOPLE[:2])

    assert done(mailjet, control, job, list_id=None).status is m.JobStatus.COMPLETED
    assert {n for n, unsubscribed in control.members(LIST).items() if unsubscribed} == {1, 2, 6}
    assert control.members(OTHER) == {1: False, 2: False}


@pytest.mark.parametrize(
    ("fate", "status", "failed"),
    [
        ("error", m.JobStatus.FAILED, 0),
        ("hang", m.JobStatus.RUNNING, 0),
        ("lie", m.JobStatus.COMPLETED, 0),
        ("partial", m.JobStatus.COMPLETED, 2),
    ],
)
def test_a_job_that_goes_wrong_is_told_as_mailjet_tells_it(
    mailjet: m.Mailjet, control: Control, fate: str, status: m.JobStatus, failed: int
) -> None:
    control.fault(path="managemanycontacts", method="POST", job=fate, times=1)
    submitted = mailjet.submit(list_id=OTHER, action=m.Action.ADD, emails=PEOPLE[:4])

    job = done(mailjet, control, submitted, list_id=OTHER)

    assert job.status is status
    assert bool(job.error) is (fate == "error")
    assert bool(job.error_file) is bool(failed)
    assert len(mailjet.job_errors(submitted)) == failed


def test_a_malformed_address_stands_in_the_error_file_and_the_rest_goes_on(
    mailjet: m.Mailjet, control: Control
) -> None:
    submitted = mailjet.submit(list_id=OTHER, action=m.Action.ADD, emails=["not an address", PEOPLE[0]])

    job = done(mailjet, control, submitted, list_id=OTHER)
    [error] = mailjet.job_errors(submitted)

    assert (job.status, job.processed) == (m.JobStatus.COMPLETED, 1)
    assert error.email == "not an address"
    assert "not an address" not in error.message
    assert control.members(OTHER) == {1: False}


@pytest.mark.parametrize("cut_after", [0, 0.05])
def test_a_job_whose_answer_was_lost_is_found_in_the_list_of_jobs(
    mailjet: m.Mailjet, control: Control, cut_after: float
) -> None:
    asked_at = datetime.fromtimestamp(control.advance(0), UTC)
    control.fault(path="managemanycontacts", method="POST", timeout_after_acceptance=cut_after, times=1)

    with pytest.raises(m.MailjetUncertain):
        mailjet.submit(list_id=OTHER, action=m.Action.ADD, emails=PEOPLE[:3])

    [job] = mailjet.recent_jobs(since=asked_at)
    assert (job.method, job.ref_id, job.count) == (m.Action.ADD, OTHER, 3)
    assert done(mailjet, control, m.JobId(job.id), list_id=OTHER).status is m.JobStatus.COMPLETED
    assert set(control.members(OTHER)) == {1, 2, 3}


def test_a_job_that_was_cut_off_before_it_arrived_is_not_there(mailjet: m.Mailjet, control: Control) -> None:
    asked_at = datetime.fromtimestamp(control.advance(0), UTC)
    control.fault(path="managemanycontacts", method="POST", drop=True, times=1)

    with pytest.raises(m.MailjetUncertain):
        mailjet.submit(list_id=OTHER, action=m.Action.ADD, emails=PEOPLE[:3])

    assert mailjet.recent_jobs(since=asked_at) == []


def test_recent_jobs_are_newest_first(mailjet: m.Mailjet, control: Control) -> None:
    early = mailjet.submit(list_id=OTHER, action=m.Action.ADD, emails=PEOPLE[:3])
    since = datetime.fromtimestamp(control.advance(100), UTC)
    late = [mailjet.submit(list_id=OTHER, action=m.Action.REMOVE, emails=PEOPLE[:n]) for n in (1, 2)]

    jobs = mailjet.recent_jobs(since=since)

    assert [job.id for job in jobs] == [late[1], late[0]]
    assert early not in [job.id for job in jobs]


@pytest.mark.parametrize("list_id", [13, 999])
def test_a_write_to_a_deleted_or_unknown_list_is_rejected(mailjet: m.Mailjet, list_id: int) -> None:
    with pytest.raises(m.MailjetRejected, match=str(list_id)):
        mailjet.submit(list_id=list_id, action=m.Action.ADD, emails=PEOPLE)


def test_reads_above_the_rate_are_given_up_after_three_tries(mailjet: m.Mailjet, control: Control) -> None:
    control.settings(rate=0)
    before = mailjet.requests

    with pytest.raises(m.MailjetUnavailable, match="429"):
        mailjet.lists()

    assert mailjet.requests - before == 3


@pytest.mark.parametrize("trouble", [{"status": 500}, {"status": 502}, {"status": 429}, {"drop": True}])
def test_a_read_outlives_one_fault(mailjet: m.Mailjet, control: Control, trouble: dict[str, Any]) -> None:
    control.fault(path="contactslist", times=1, **trouble)

    assert len(mailjet.lists()) == 4


def test_the_standin_knows_wrong_keys(control: Control, tmp_path: Path) -> None:
    with (
        serve(tmp_path) as standin,
        connected(standin.url, budget=Counted(), sleep=no_sleep, secret="wrong") as client,
        pytest.raises(m.MailjetUnauthorized),
    ):
        client.lists()
