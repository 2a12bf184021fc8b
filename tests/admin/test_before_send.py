"""What the pages of campaigns show before a send, and what a reviewer may say there."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from listmanagement.domain.cycle import RoundStatus
from listmanagement.domain.validation import Check, Severity, Verdict
from listmanagement.models import CampaignClearance, CampaignKind, CampaignSchedule, HeldChoice
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign() -> CampaignSchedule:
    """A send in 20 hours that was found to block, and reaches held domains."""
    factories.the_rotation()
    sends_at = timezone.now() + timedelta(hours=20)
    campaign = factories.a_campaign(
        status=RoundStatus.SCHEDULED, kind=CampaignKind.ONE_OFF, scheduled_at=sends_at, mailjet_draft_id=7
    )
    look = factories.a_validation(campaign=campaign, at=timezone.now())
    factories.a_finding(validation=look, contacts=[4], number=3)
    held = {"kind": Check.HELD, "severity": Severity.WARNING, "words": "It reaches 4 contacts.", "number": 4}
    factories.a_finding(validation=look, **held)
    return campaign


def page_of(campaign: CampaignSchedule) -> str:
    return reverse("admin:listmanagement_campaignschedule_change", args=[campaign.pk])


def door(campaign: CampaignSchedule, verb: str) -> str:
    return reverse(f"admin:listmanagement_campaign_{verb}", args=[campaign.pk])


def test_the_page_shows_the_verdict_each_finding_and_what_to_do(
    looking: Client, reviewing: Client, campaign: CampaignSchedule
) -> None:
    seen, offered = (each.get(page_of(campaign)).content.decode() for each in (looking, reviewing))

    for words in ("ek-tone-bad", "suppressed, and on List 1", "Take them off the list.", "and 2 more"):
        assert words in seen
    assert "/admin/listmanagement/contact/4/change/" in seen
    assert "vic may look, but not decide" in seen
    assert door(campaign, "anyway") not in seen
    assert door(campaign, "anyway") in offered


def test_the_list_shows_what_is_to_be_sent_with_verdicts(looking: Client, campaign: CampaignSchedule) -> None:
    other = factories.a_campaign(
        status=RoundStatus.SCHEDULED,
        kind=CampaignKind.ONE_OFF,
        scheduled_at=timezone.now() + timedelta(days=3),
    )

    text = looking.get(reverse("admin:listmanagement_campaignschedule_changelist")).content.decode()

    above = text[text.index("To be sent") : text.index("</table>")]
    assert above.index(f"Campaign {campaign.pk}") < above.index(f"Campaign {other.pk}")
    assert "block" in above
    assert "not looked at yet" in above


def test_a_reviewer_sends_it_anyway_with_a_reason(reviewing: Client, campaign: CampaignSchedule) -> None:
    look = campaign.validations.get().pk
    assert f'name="look" value="{look}"' in reviewing.get(page_of(campaign)).content.decode()

    def says(**form: object) -> str:
        return reviewing.post(door(campaign, "anyway"), form, follow=True).content.decode()

    assert "needs a reason" in says(why=" ", look=look)
    assert "here is no look" in says(why="they wait", look=look + 1)
    assert "here is no look 0" in says(why="they wait")

    text = says(why="they wait", look=look)

    clearance = CampaignClearance.objects.get()
    assert (clearance.by.get_username(), clearance.why) == ("ana", "they wait")
    assert "goes out as scheduled" in text
    assert "ana said to send it anyway" in text
    assert "cleared by a person" in text
    assert door(campaign, "anyway") not in text


def test_a_viewer_and_a_get_change_nothing(
    looking: Client, reviewing: Client, campaign: CampaignSchedule
) -> None:
    assert "may look, but not decide" in (
        looking.post(door(campaign, "anyway"), {"why": "x"}, follow=True).content.decode()
    )
    for verb in ("look", "held", "anyway"):
        assert reviewing.get(door(campaign, verb)).status_code == 405
        assert Client().post(door(campaign, verb)).status_code == 302
    assert not CampaignClearance.objects.exists()


def test_a_reviewer_chooses_whom_of_held_domains_to_mail(
    reviewing: Client, campaign: CampaignSchedule
) -> None:
    observed = factories.a_campaign(kind=CampaignKind.ONE_OFF)
    factories.the_rollout(observing_since=timezone.now() - timedelta(days=30))
    factories.a_run(campaign=observed, stage="observe", status="succeeded")
    assert reviewing.post(door(campaign, "held"), {"treatment": "some"}).status_code == 400

    text = reviewing.post(door(campaign, "held"), {"treatment": "five"}, follow=True).content.decode()

    assert HeldChoice.objects.get().treatment == "five"
    assert "5 contacts of each held domain are mailed" in text
    assert "ana chose on" in text


def test_a_send_that_nobody_looked_at_says_when_that_happens(
    looking: Client, campaign: CampaignSchedule
) -> None:
    other = factories.a_campaign(
        status=RoundStatus.SCHEDULED,
        kind=CampaignKind.ONE_OFF,
        scheduled_at=timezone.now() + timedelta(days=3),
    )
    sent = factories.a_campaign(kind=CampaignKind.ONE_OFF)

    assert "Not looked at yet" in looking.get(page_of(other)).content.decode()
    assert "Before it is sent" not in looking.get(page_of(sent)).content.decode()
    assert campaign.validations.get().verdict == Verdict.BLOCK
