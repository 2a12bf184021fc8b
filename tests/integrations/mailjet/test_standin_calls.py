"""The client's other calls against the stand-in: scans, drafts, campaigns, figures, event URLs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations import mailjet as m
from integrations.sandbox.control import Control
from tests.integrations.mailjet.saying import LIST, OTHER
from tests.integrations.mailjet.world import PEOPLE, document

SENT = datetime(2026, 5, 31, 8, tzinfo=UTC)
CAMPAIGN = 2**33
MEANT_FOR = datetime(2026, 7, 1, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def drafts(control: Control) -> None:
    """Beside the sent campaign: one draft that is scheduled, one that is not, one for another list."""
    made = {"created_at": "2026-05-30T08:00:00Z", "subject": "June", "html": "<p>June</p>"}
    world: dict[str, Any] = document()
    world["drafts"] = [
        {"id": 9001, "list_id": LIST, "status": 2, "delivered_at": "2026-05-31T08:10:00Z", **made},
        {"id": 9002, "list_id": LIST, "status": 1, "scheduled_at": "2026-07-01T09:00:00Z", **made},
        {"id": 9003, "list_id": LIST, **made},
        {"id": 9004, "list_id": OTHER, **made},
    ]
    control.load(world)


def test_a_whole_scan_has_as_many_ids_as_mailjet_counts(mailjet: m.Mailjet) -> None:
    [members] = mailjet.scan_members(LIST)
    [contacts] = mailjet.scan_contacts(LIST)
    [everybody] = mailjet.scan_contacts(None)

    assert {page.total for page in (members, contacts, everybody)} == {len(PEOPLE)}
    assert sorted(members.columns.contact_id) == contacts.columns.id == everybody.columns.id
    assert len(members.columns) == len(PEOPLE)
    assert mailjet.member_count(LIST) == len(PEOPLE)
    assert mailjet.member_count(OTHER) == 0


def test_a_scan_that_is_resumed_brings_the_rest(mailjet: m.Mailjet, control: Control) -> None:
    at = "2026-01-01T00:00:00Z"
    control.load(
        {
            "lists": [{"id": LIST, "name": "One"}],
            "contacts": [{"id": n, "email": f"p{n}@mail.test", "created_at": at} for n in range(1, 2101)],
            "memberships": [
                {"id": n, "contact_id": n, "list_id": LIST, "subscribed_at": at} for n in range(1, 2101)
            ],
        }
    )

    first = next(mailjet.scan_members(LIST))
    assert first.next is not None
    rest = list(mailjet.scan_members(LIST, at=first.next))

    seen = [id for page in (first, *rest) for id in page.columns.membership_id]
    assert seen == list(range(1, 2101))
    assert [page.next is None for page in rest] == [False, True]
    assert {page.total for page in rest} == {2100}


def test_unsubscribed_and_excluded_are_found(mailjet: m.Mailjet, control: Control) -> None:
    job = mailjet.submit(list_id=LIST, action=m.Action.UNSUBSCRIBE, emails=[PEOPLE[0]])
    control.advance(2)
    assert mailjet.job(job, list_id=LIST).status is m.JobStatus.COMPLETED

    found = [member.contact_id for rows in mailjet.unsubscribed_members(LIST) for member in rows]

    assert sorted(found) == [1, 6]
    assert list(mailjet.excluded_contacts()) == []


def test_a_contacts_own_lists(mailjet: m.Mailjet) -> None:
    found = mailjet.lists_of_contact(6)

    assert found is not None
    assert [(each.list_id, each.unsubscribed) for each in found] == [(LIST, True)]
    assert mailjet.lists_of_contact(999) is None


def test_drafts_are_found_by_list_and_state(mailjet: m.Mailjet) -> None:
    def ids(**asked: Any) -> list[int]:
        return [draft.id for rows in mailjet.drafts(**asked) for draft in rows]

    assert ids() == [9001, 9002, 9003, 9004]
    assert ids(list_id=OTHER) == [9004]
    assert ids(list_id=LIST, status=m.DraftStatus.PROGRAMMED) == [9002]
    sent = mailjet.draft(9001)
    assert sent is not None
    assert (sent.status, sent.campaign_id) == (m.DraftStatus.SENT, CAMPAIGN)
    assert mailjet.draft(999) is None


def test_a_schedule_is_read_and_taken_away_once(mailjet: m.Mailjet) -> None:
    assert mailjet.scheduled_at(9002) == MEANT_FOR
    assert mailjet.scheduled_at(9003) is None

    mailjet.unschedule(9002)

    assert mailjet.scheduled_at(9002) is None
    draft = mailjet.draft(9002)
    assert draft is not None
    assert draft.status is m.DraftStatus.DRAFT
    with pytest.raises(m.MailjetRejected):
        mailjet.unschedule(9002)


def test_a_draft_whose_schedule_was_taken_away_is_scheduled_again(mailjet: m.Mailjet) -> None:
    mailjet.unschedule(9002)

    with pytest.raises(m.MailjetRejected, match="past"):
        mailjet.schedule(9002, at=SENT - timedelta(days=1))
    later = datetime(2100, 6, 2, 9, tzinfo=UTC)
    mailjet.schedule(9002, at=later)

    assert mailjet.scheduled_at(9002) == later


def test_campaigns_of_other_days_are_found_by_a_window(mailjet: m.Mailjet) -> None:
    def ids(**asked: Any) -> list[int]:
        return [campaign.id for rows in mailjet.campaigns(**asked) for campaign in rows]

    assert ids(since=SENT) == [CAMPAIGN]
    assert ids(since=SENT + timedelta(seconds=1)) == []
    assert ids(since=SENT - timedelta(days=1), until=SENT - timedelta(seconds=1)) == []
    assert ids(since=SENT, list_id=OTHER) == []


def test_a_draft_leads_to_its_campaign_some_seconds_after_it_was_sent(
    mailjet: m.Mailjet, control: Control
) -> None:
    control.settings(campaign_lookup_seconds=10**9)
    try:
        assert mailjet.campaign_of_draft(9001) is None
    finally:
        control.settings(campaign_lookup_seconds=0)
    found = mailjet.campaign_of_draft(9001)

    assert found is not None
    assert (found.id, found.kind, found.custom_value) == (CAMPAIGN, m.CampaignType.MARKETING, "mj.nl=9001")
    assert mailjet.campaign_of_draft(9002) is None


def test_a_campaigns_figures_fit_its_messages(mailjet: m.Mailjet) -> None:
    found = mailjet.counters(CAMPAIGN)

    assert found is not None
    assert (found.processed, found.delivered) == (4, 1)
    assert (found.hard_bounced, found.soft_bounced, found.blocked) == (1, 1, 1)


def test_a_contacts_messages_are_found_by_the_contact(mailjet: m.Mailjet) -> None:
    [[message]] = mailjet.messages_to(2, since=SENT)

    assert (message.campaign_id, message.contact_id) == (CAMPAIGN, 2)
    assert message.status is m.MessageStatus.HARD_BOUNCED
    assert list(mailjet.messages_to(99, since=SENT)) == []


def test_an_event_url_is_made_once_and_moved(mailjet: m.Mailjet) -> None:
    assert mailjet.event_urls() == []
    first, second = "https://user:word@a.example.com/hook/", "https://user:word@b.example.com/hook/"

    made = mailjet.create_event_url(event="bounce", url=first)
    with pytest.raises(m.MailjetRejected) as refusal:
        mailjet.create_event_url(event="bounce", url=second)
    mailjet.update_event_url(made.id, url=first)  # 304
    mailjet.update_event_url(made.id, url=second)

    assert refusal.value.is_duplicate
    [kept] = mailjet.event_urls()
    assert (kept.id, kept.url, kept.version, kept.status) == (made.id, second, 2, m.EventUrlStatus.ALIVE)
