"""How Mailjet is asked, as people see it: the budget, the breaker, the banner, and how old figures are."""

from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from listmanagement.domain.breaker import BreakerState
from listmanagement.models import Contact, ContactList, MailjetBreaker
from tests import factories

pytestmark = pytest.mark.django_db

PAGE = "/admin/listmanagement/mailjetoutage/"


@pytest.fixture
def lists() -> None:
    factories.the_rotation()
    ContactList.objects.update(read_at=timezone.now() - timedelta(days=2))


def the_breaker_opened(*, until: datetime, state: BreakerState = BreakerState.OPEN) -> MailjetBreaker:
    now = timezone.now()
    return factories.the_breaker(
        state=state, since=now - timedelta(minutes=3), until=until, failed_at=[now], why="GET contact/7: 503"
    )


def notices(client: Client, path: str) -> list[str]:
    return [notice.words for notice in client.get(path).context["notices"]]


def test_every_page_says_until_when_mailjet_is_not_asked_and_how_old_figures_are(
    looking: Client, lists: None
) -> None:
    until = timezone.now() + timedelta(minutes=4)
    the_breaker_opened(until=until)
    read_at = ContactList.objects.as_of()
    assert read_at is not None

    for path in ("/admin/", reverse("admin:listmanagement_contact_changelist"), PAGE):
        banner = notices(looking, path)[0]
        assert f"{until:%H:%M} UTC; figures are as of" in banner
        assert f"{read_at:%d %b %Y, %H:%M} UTC".lstrip("0") in banner


def test_while_one_request_finds_out_the_banner_says_so(looking: Client, lists: None) -> None:
    the_breaker_opened(until=timezone.now() + timedelta(minutes=2), state=BreakerState.PROBING)

    assert "is being asked again" in notices(looking, "/admin/")[0]


def test_an_open_breaker_whose_pause_is_over_is_about_to_ask(looking: Client, lists: None) -> None:
    the_breaker_opened(until=timezone.now() - timedelta(minutes=2))

    assert "is being asked again" in notices(looking, "/admin/")[0]


def test_while_mailjet_answers_there_is_no_banner(looking: Client, lists: None) -> None:
    factories.the_breaker(failed_at=[timezone.now()], why="GET contact/7: 503")

    assert not any("Mailjet is not asked" in words or "answered" in words for words in notices(looking, PAGE))


def test_before_the_lists_were_read_figures_are_incomplete(looking: Client) -> None:
    factories.the_rotation()
    the_breaker_opened(until=timezone.now() + timedelta(minutes=4))

    assert "figures are incomplete" in notices(looking, "/admin/")[0]


def test_the_page_shows_budget_breaker_and_the_last_hour(looking: Client, lists: None, settings) -> None:
    settings.MAILJET_REQUESTS_PER_MINUTE = 240
    the_breaker_opened(until=timezone.now() + timedelta(minutes=4))
    factories.an_outage(began_at=timezone.now() - timedelta(minutes=3), ended_at=None, closed_at=None)
    now = timezone.now()
    for seconds, background in (
        (5, False),
        (6, True),
        (7, True),
        (25 * 60, False),
        (3000, True),
        (4000, True),
    ):
        factories.a_request(at=now - timedelta(seconds=seconds), background=background)

    response = looking.get(PAGE)

    standing = response.context["standing"]
    facts = dict(standing.facts)
    assert facts["Requests in the last minute"] == "3 of 240 allowed"
    assert facts["Of them in the background"] == "2 of 120"
    assert facts["Last failure"] == "GET contact/7: 503"
    assert standing.state.words == "open: Mailjet is not asked"
    assert sum(line.requests for line in standing.last_hour) == 5
    assert sum(line.background for line in standing.last_hour) == 3
    assert max(line.busiest_minute for line in standing.last_hour) >= 2
    text = response.content.decode()
    assert "Requests in the last hour" in text
    assert "Lists were last read whole" in text


def test_the_page_shows_a_common_wait_only_while_it_lasts(looking: Client) -> None:
    breaker = factories.the_breaker(backed_off=2, back_off_until=timezone.now() + timedelta(seconds=50))
    waiting = dict(looking.get(PAGE).context["standing"].facts)["Too many requests: all wait until"]
    assert waiting.endswith("UTC")

    breaker.back_off_until = timezone.now() - timedelta(seconds=1)
    breaker.save()
    over = dict(looking.get(PAGE).context["standing"].facts)["Too many requests: all wait until"]
    assert over == "–"


def test_who_may_not_look_sees_nothing_of_it(client: Client) -> None:
    client.force_login(User.objects.create_user("otto", is_staff=True))

    assert client.get(PAGE).status_code == 403


def test_a_contacts_page_says_how_old_its_lists_are(looking: Client, lists: None) -> None:
    contact: Contact = factories.a_membership(list=ContactList.objects.rotation()[0]).contact
    read_at = ContactList.objects.as_of()

    text = looking.get(f"/admin/listmanagement/contact/{contact.pk}/change/").content.decode()

    assert f"As of {read_at:%d %b %Y, %H:%M} UTC".replace("of 0", "of ") in text
