"""The lists' page: sizes and deviation, what Mailjet counts, how old that is, and that it decides nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from listmanagement import outside
from listmanagement.domain.breaker import BreakerState
from listmanagement.models import Contact, ContactList, MailjetBreaker, MailjetRequest
from tests import factories
from tests.factories import NOON
from tests.own_redis import OwnRedis, own_redis
from tests.workflows import scene as scenes
from tests.workflows.scene import StandIn

pytestmark = pytest.mark.django_db

PAGE = "/admin/listmanagement/contactlist/"
MAILJET = "/admin/listmanagement/mailjetoutage/"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    with own_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis(server: OwnRedis) -> Iterator[OwnRedis]:
    """An empty one of the test's own, as the settings name it; up again afterwards."""
    server.stop()
    server.start()
    outside._cache.cache_clear()
    with override_settings(REDIS_URL=server.url):
        yield server
    outside._cache.cache_clear()


@pytest.fixture
def standin(tmp_path: Path, redis: OwnRedis) -> Iterator[StandIn]:
    """Three members on list 1, one on list 2; at Mailjet, too."""
    lists = factories.the_rotation()
    scenes.people(3, on=[lists.master, lists.campaign[0]])
    scenes.people(1, on=[lists.master, lists.campaign[1]])
    with ExitStack() as stack:
        standin = stack.enter_context(scenes.stand_in(tmp_path))
        stack.enter_context(override_settings(MAILJET_BASE_URL=standin.url))
        standin.control.load(scenes.document())
        yield standin


def rows(client: Client) -> dict[int, Any]:
    page = client.get(PAGE)
    assert page.status_code == 200
    return {each.position: each for each in page.context["cl"].result_list}


def text(client: Client, path: str = PAGE) -> str:
    """Without what is new in each answer."""
    said = client.get(path).content.decode().replace("\xa0", " ")
    return re.sub(r'value="\w{64}"', "", said)


def test_it_shows_each_list_as_it_is_here_and_at_mailjet(looking: Client, standin: StandIn) -> None:
    one = ContactList.objects.rotation()[0]
    gone = one.memberships.first()
    assert gone is not None
    standin.control.act(contact_id=gone.contact_id, list_id=one.mailjet_id, action="remove")

    found = rows(looking)

    assert (found[1].size_now, found[1].members_now, found[1].at_mailjet_now) == (3, 3, 2)
    assert (found[2].size_now, found[2].at_mailjet_now, found[3].at_mailjet_now) == (1, 1, 0)
    assert "2 (1 fewer)" in text(looking)
    assert "125.00 % (balanced below 5 %)" in text(looking)


def test_a_second_load_counts_nothing_and_asks_nobody(looking: Client, standin: StandIn) -> None:
    with CaptureQueriesContext(connection) as first:
        before = text(looking)
    asked = MailjetRequest.objects.count()

    with CaptureQueriesContext(connection) as second:
        after = text(looking)

    assert after == before
    assert asked == 5
    assert MailjetRequest.objects.count() == asked
    assert len(second) <= 15 < len(first) // 2


def test_it_says_when_that_was_counted_and_when_mailjet_was_asked(looking: Client, standin: StandIn) -> None:
    said = text(looking)

    assert "Counted " in said
    assert "after 60 minutes" in said
    assert "Mailjet was asked " in said


def test_an_opt_out_is_shown_by_the_next_load(looking: Client, standin: StandIn) -> None:
    assert rows(looking)[1].size_now == 3

    Contact.objects.filter(memberships__list__position=1).update(opted_out_at=NOON, opted_out_by="an event")

    assert rows(looking)[1].size_now == 0


def test_its_figures_can_be_sorted_by(looking: Client, standin: StandIn) -> None:
    size = looking.get(PAGE).context["cl"].list_display.index("size")

    page = looking.get(PAGE, {"o": f"-{size}"})

    assert [each.size_now for each in page.context["cl"].result_list] == [4, 3, 1, 0, 0]


@pytest.mark.parametrize("path", [PAGE, MAILJET])
def test_without_redis_pages_are_right_all_the_same(
    looking: Client, standin: StandIn, redis: OwnRedis, path: str
) -> None:
    text(looking, path)
    redis.stop()

    assert looking.get(path).status_code == 200
    assert rows(looking)[1].size_now == 3
    assert "Redis does not answer" in text(looking, MAILJET)


def test_without_mailjet_it_says_so_and_waits_for_nothing(looking: Client, standin: StandIn) -> None:
    standin.control.fault(path="listrecipient", status=503)

    said = text(looking)

    assert "Mailjet could not be asked for its counts" in said
    assert "not known" in said
    assert MailjetRequest.objects.count() == 1, "one try, about one list"
    assert not MailjetBreaker.objects.exclude(failed_at=[]).exists(), (
        "a page's time-out says nothing of Mailjet"
    )


def test_while_mailjet_is_away_a_page_is_not_what_finds_out(looking: Client, standin: StandIn) -> None:
    factories.the_breaker(
        state=BreakerState.OPEN, since=NOON, until=NOON, failed_at=[NOON] * 5, why="GET contact: 503"
    )

    said = text(looking)

    assert "Mailjet could not be asked for its counts" in said
    assert MailjetBreaker.objects.get().state == BreakerState.OPEN
    assert not MailjetRequest.objects.exists()


def test_a_page_does_not_wait_for_the_budget(looking: Client, standin: StandIn) -> None:
    with override_settings(MAILJET_REQUESTS_PER_MINUTE=4):
        said = text(looking)

    assert "this minute&#x27;s requests are used up" in said
    assert MailjetRequest.objects.count() == 2, "half of it is for what can wait"


def test_nothing_is_asked_in_a_transaction(looking: Client, standin: StandIn) -> None:
    one = ContactList.objects.rotation()[0]

    assert looking.post(f"{PAGE}{one.pk}/delete/", {"post": "yes"}).status_code == 403
    assert looking.post(f"{PAGE}{one.pk}/change/").status_code == 405
    assert not MailjetRequest.objects.exists()


def test_mailjets_page_says_how_often_pages_found_what_they_asked_for(
    looking: Client, standin: StandIn
) -> None:
    for _ in range(4):
        text(looking)

    standing = looking.get(MAILJET).context["standing"]

    assert standing.cache.words == "Redis answers"
    today = standing.found_there[0]
    assert (today.hits, today.misses, today.found) == (18, 6, "75 %")
