"""The pages of campaigns: what each was taken for, and a reviewer's word against it."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import AuditEntry, CampaignKind, CampaignSchedule, Cycle
from tests import factories
from tests.factories import NOON

pytestmark = pytest.mark.django_db


@pytest.fixture
def sends(db: None) -> list[CampaignSchedule]:
    """A cycle's three rounds, and two days later something to list 2."""
    lists = factories.the_rotation().campaign
    cycle = factories.a_cycle(number=4, name="Spring", started_at=NOON - timedelta(days=9))
    found = []
    for number, contact_list in enumerate((*lists, lists[1]), 1):
        at = NOON - timedelta(days=11 - 2 * number)
        label = {"kind": CampaignKind.ONE_OFF} if number == 4 else {"cycle": cycle, "round": number}
        subject = "Open day" if number == 4 else "Spring"
        found.append(
            factories.a_campaign(
                list=contact_list, subject=subject, started_at=at, ended_at=at + timedelta(hours=1), **label
            )
        )
    return found


def page_of(row: CampaignSchedule) -> str:
    return reverse("admin:listmanagement_campaignschedule_change", args=[row.pk])


def label(client: Client, row: CampaignSchedule, **fields: object) -> str:
    """Label it by the page's form; what the next page says."""
    address = reverse("admin:listmanagement_campaign_label", args=[row.pk])
    response = client.post(address, {"why": "I sent it", "cycle": "", **fields}, follow=True)
    assert response.redirect_chain == [(page_of(row), 302)]
    return response.content.decode()


def as_labelled(row: CampaignSchedule) -> tuple[str, int | None]:
    row.refresh_from_db()
    return row.kind, row.cycle.number if row.cycle else None


def test_the_list_says_what_each_send_was(looking: Client, sends: list[CampaignSchedule]) -> None:
    CampaignSchedule.objects.filter(pk=sends[2].pk).update(
        status=RoundStatus.CANCELLED, started_at=None, ended_at=None, cause="its schedule was taken away"
    )

    text = looking.get(reverse("admin:listmanagement_campaignschedule_changelist")).content.decode()

    for words in ("round 1 of cycle 4", "round 3 of cycle 4", "one off", "its schedule was taken away"):
        assert words in text


def test_the_page_shows_counters_and_who_may_label(
    looking: Client, reviewing: Client, sends: list[CampaignSchedule]
) -> None:
    counted = dict.fromkeys(("soft_bounced", "blocked", "complained", "unsubscribed", "opened"), 0)
    counted |= dict.fromkeys(("clicked", "deferred", "queued"), 0)
    CampaignSchedule.objects.filter(pk=sends[0].pk).update(
        counted_at=NOON, processed=1234, delivered=1200, hard_bounced=34, **counted
    )

    seen, offered = (each.get(page_of(sends[0])).content.decode() for each in (looking, reviewing))

    assert "1,234" in seen
    assert "vic may look, but not label" in seen
    assert (
        '<form method="post" action="/' + f"admin/listmanagement/campaignschedule/{sends[0].pk}/label/"
        not in seen
    )
    assert f"/listmanagement/campaignschedule/{sends[0].pk}/label/" in offered


def test_a_reviewer_labels_with_a_reason_which_is_kept(
    reviewing: Client, sends: list[CampaignSchedule]
) -> None:
    text = label(reviewing, sends[3], kind="test")

    entry = AuditEntry.objects.get(action="labelled")
    assert as_labelled(sends[3]) == (CampaignKind.TEST, None)
    assert "is test (by a person)" in text
    assert "ana said so on" in text
    assert (entry.actor, entry.subject_id, entry.details["why"]) == ("ana", sends[3].pk, "I sent it")


def test_a_repeat_names_what_it_repeats(reviewing: Client, sends: list[CampaignSchedule]) -> None:
    label(reviewing, sends[3], kind="repeat")

    assert as_labelled(sends[3]) == (CampaignKind.REPEAT, 4)
    assert sends[3].of == sends[1]


def test_a_round_of_another_cycle_takes_the_place_of_the_one_the_rules_found(
    reviewing: Client, sends: list[CampaignSchedule]
) -> None:
    label(reviewing, sends[3], kind="round", cycle="4")

    assert as_labelled(sends[3]) == (CampaignKind.ROUND, 4)
    assert as_labelled(sends[1]) == (CampaignKind.REPEAT, 4)


def test_a_round_may_begin_a_cycle_of_its_own(reviewing: Client, sends: list[CampaignSchedule]) -> None:
    label(reviewing, sends[3], kind="round")

    assert as_labelled(sends[3]) == (CampaignKind.ROUND, 5)
    assert Cycle.objects.get(number=5).name == "Open day"


def test_a_label_taken_back_leaves_it_to_the_rules(reviewing: Client, sends: list[CampaignSchedule]) -> None:
    label(reviewing, sends[2], kind="one_off")
    assert as_labelled(sends[2]) == (CampaignKind.ONE_OFF, None)

    address = reverse("admin:listmanagement_campaign_unlabel", args=[sends[2].pk])
    reviewing.post(address, {"why": "I was wrong"})

    assert as_labelled(sends[2]) == (CampaignKind.ROUND, 4)
    assert sends[2].labelled_by is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "test", "why": " "}, "label needs a reason"),
        ({"kind": "round", "cycle": "9"}, "9 has no other round"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    reviewing: Client, sends: list[CampaignSchedule], fields: dict[str, str], words: str
) -> None:
    before = as_labelled(sends[3])

    assert words in label(reviewing, sends[3], **fields)
    assert as_labelled(sends[3]) == before


def test_two_people_cannot_give_one_list_two_rounds(reviewing: Client, sends: list[CampaignSchedule]) -> None:
    label(reviewing, sends[1], kind="round", cycle="4")
    before = as_labelled(sends[3])

    text = label(reviewing, sends[3], kind="round", cycle="4")

    assert f"said that campaign {sends[1].pk} is cycle 4" in text
    assert as_labelled(sends[3]) == before


def test_a_send_to_no_campaign_list_is_not_labelled(reviewing: Client, sends: list[CampaignSchedule]) -> None:
    master = factories.ContactList.objects.master()
    row = factories.a_campaign(list=master, kind=CampaignKind.ONE_OFF)

    assert "which is no campaign list" in label(reviewing, row, kind="test")
    assert "You cannot label it" in reviewing.get(page_of(row)).content.decode()


def test_nothing_was_sent_that_it_could_repeat(reviewing: Client, sends: list[CampaignSchedule]) -> None:
    assert "was sent to List 1 before" in label(reviewing, sends[0], kind="repeat")


def test_a_viewer_and_a_get_label_nothing(
    looking: Client, reviewing: Client, sends: list[CampaignSchedule]
) -> None:
    address = reverse("admin:listmanagement_campaign_label", args=[sends[3].pk])

    assert "vic may look, but not label" in label(looking, sends[3], kind="test")
    assert reviewing.get(address).status_code == 405
    assert reviewing.post(address, {"kind": "nonsense", "why": "x"}).status_code == 400
    assert Client().post(address, {"kind": "test", "why": "x"}).status_code == 302
    assert as_labelled(sends[3]) == (CampaignKind.ONE_OFF, None)
