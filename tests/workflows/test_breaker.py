"""A Mailjet that fails is left alone by all processes, and found again by one.

Nobody waits here: whoever would sleep lets the breaker's times pass instead, which is the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from django.db import connection
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import Settings

from integrations.mailjet import (
    Action,
    Mailjet,
    MailjetPaused,
    MailjetRejected,
    MailjetUnavailable,
    MailjetUncertain,
)
from listmanagement import outside
from listmanagement.models import MailjetBreaker, MailjetRequest
from listmanagement.outside import GuardedBudget
from tests.integrations.scripted import Said, Server, answer, serving
from tests.workflows import scene as scenes

pytestmark = pytest.mark.django_db(transaction=True)

NOTHING = answer({"Count": 0, "Data": [], "Total": 0})
DOWN = Said(status=502, body=b"<html><h1>502 Bad Gateway</h1></html>")
TOO_MANY = Said(status=429, body=b"<html><h1>429 Too Many Requests</h1></html>")


def time_passes(seconds: float) -> None:
    """All the breaker's and the budget's times are so much earlier."""
    with connection.cursor() as cursor:
        cursor.execute(
            """update listmanagement_mailjetbreaker set
                 since = since - make_interval(secs => %(s)s), until = until - make_interval(secs => %(s)s),
                 back_off_until = back_off_until - make_interval(secs => %(s)s),
                 failed_at = array(select t - make_interval(secs => %(s)s) from unnest(failed_at) as t)""",
            {"s": seconds},
        )
        cursor.execute(
            "update listmanagement_mailjetrequest set at = at - make_interval(secs => %s)", [seconds]
        )


def no_wait(seconds: float) -> None:
    raise BlockingIOError(f"would wait {seconds:.1f} s")


def a_budget(*, sleep: Callable[[float], None] = no_wait) -> GuardedBudget:
    return GuardedBudget(per_minute=300, sleep=sleep)


def nothing_to_do(_: float) -> None:
    """A read's own pause between two tries."""


@contextmanager
def a_client(server: Server, *, sleep: Callable[[float], None] = no_wait) -> Iterator[Mailjet]:
    with Mailjet(
        base_url=server.url,
        api_key="key",
        api_secret="secret",
        budget=a_budget(sleep=sleep),
        master_list_id=1,
        timeout=5,
        sleep=nothing_to_do,
    ) as client:
        yield client


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        server.says = [NOTHING]
        yield server


def state() -> str:
    return str(MailjetBreaker.objects.get().state)


def the_breaker_opens(budget: GuardedBudget) -> None:
    for _ in range(5):
        budget.note_failure("GET contact/7: 503")


def test_while_nothing_goes_wrong_nothing_is_written(server: Server) -> None:
    with a_client(server) as client:
        client.lists()

    assert not MailjetBreaker.objects.exists()


def test_five_failures_in_a_row_of_reads_and_writes_stop_the_next_request(server: Server) -> None:
    server.says = [DOWN]
    with a_client(server) as client:
        with pytest.raises(MailjetUnavailable):
            client.lists()  # three tries
        for _ in range(2):
            with pytest.raises(MailjetUncertain, match="502"):
                client.submit(list_id=7, action=Action.REMOVE, emails=["a@example.com"])
        assert (client.requests, state()) == (5, "open")

        with pytest.raises(MailjetPaused, match="POST contactslist/7/managemanycontacts: 502") as refusal:
            client.submit(list_id=7, action=Action.REMOVE, emails=["a@example.com"])
        with pytest.raises(MailjetPaused):
            client.lists()

        assert client.requests == len(server.heard) == MailjetRequest.objects.count() == 5
    assert refusal.value.retryable
    assert refusal.value.until == MailjetBreaker.objects.get().until
    assert "@" not in str(refusal.value)


def test_a_read_stops_trying_once_the_breaker_opens(server: Server) -> None:
    server.says = [DOWN]
    for _ in range(4):
        a_budget().note_failure("GET contact/7: 503")

    with a_client(server) as client:
        with pytest.raises(MailjetPaused):
            client.lists()

        assert client.requests == 1


def test_the_row_says_since_when_why_and_until_when() -> None:
    the_breaker_opens(a_budget())

    row = MailjetBreaker.objects.get()
    assert row.why == "GET contact/7: 503"
    assert row.since is not None
    assert row.until is not None
    assert (row.until - row.since).total_seconds() == 30
    assert len(row.failed_at) == 5


def test_a_refusal_is_an_answer_and_opens_nothing(server: Server) -> None:
    server.says = [answer({"ErrorMessage": "Object not found", "StatusCode": 404}, status=404)]
    with a_client(server) as client:
        for _ in range(6):
            with pytest.raises(MailjetRejected):
                client.lists()

    assert not MailjetBreaker.objects.exists()


def test_another_process_is_refused_as_well(server: Server) -> None:
    the_breaker_opens(a_budget())

    with a_client(server) as client, pytest.raises(MailjetPaused):
        client.lists()

    assert server.heard == []


def test_after_the_pause_exactly_one_of_all_processes_asks() -> None:
    the_breaker_opens(a_budget())
    time_passes(31)
    passed: list[str] = []

    def ask() -> None:
        try:
            a_budget().acquire(background=False)
        except MailjetPaused:
            passed.append("refused")
        else:
            passed.append("asks")

    scenes.together(6, ask)

    assert sorted(passed) == ["asks", *["refused"] * 5]
    assert (state(), MailjetRequest.objects.count()) == ("probing", 1)


def test_a_probe_that_is_answered_lets_all_in_again(server: Server) -> None:
    the_breaker_opens(a_budget())
    time_passes(31)

    with a_client(server) as client:
        client.lists()
        client.lists()

    assert len(server.heard) == 2
    row = MailjetBreaker.objects.get()
    assert (row.state, row.failed_at, row.why, row.since) == ("closed", [], "", None)


def test_a_probe_that_fails_shuts_all_out_for_longer(server: Server) -> None:
    the_breaker_opens(a_budget())
    time_passes(31)
    server.says = [DOWN]

    with a_client(server) as client, pytest.raises(MailjetPaused):
        client.lists()

    assert len(server.heard) == 1
    time_passes(31)
    with pytest.raises(MailjetPaused):
        a_budget().acquire(background=False)
    time_passes(30)
    a_budget().acquire(background=False)
    assert state() == "probing"


def test_a_probe_lost_with_its_process_is_replaced() -> None:
    the_breaker_opens(a_budget())
    time_passes(31)
    a_budget().acquire(background=False)
    with pytest.raises(MailjetPaused):
        a_budget().acquire(background=False)

    time_passes(121)

    a_budget().acquire(background=False)
    assert MailjetRequest.objects.count() == 2


def test_too_many_requests_make_every_process_wait(server: Server) -> None:
    server.says = [TOO_MANY]
    with a_client(server) as client, pytest.raises(MailjetUnavailable) as refusal:
        client.submit(list_id=7, action=Action.REMOVE, emails=["a@example.com"])
    assert refusal.value.status == 429

    with pytest.raises(BlockingIOError, match=r"would wait [12]\.\d s"):
        a_budget().acquire(background=False)


def test_the_common_wait_grows_and_ends_with_an_answer(server: Server) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        time_passes(seconds)

    server.says = [TOO_MANY, TOO_MANY, NOTHING]
    with a_client(server, sleep=wait) as client:
        client.lists()

    assert len(waits) == 2
    assert 1 <= waits[0] <= 2.3
    assert 2 <= waits[1] <= 4.3
    row = MailjetBreaker.objects.get()
    assert (row.backed_off, row.back_off_until) == (0, None)


def test_many_refused_at_once_wait_as_long_as_one() -> None:
    scenes.together(6, partial(a_budget().note_rate_limited, asked=None))

    assert MailjetBreaker.objects.get().backed_off == 1


def test_one_success_closes_it_whatever_happened_before() -> None:
    budget = a_budget()
    the_breaker_opens(budget)

    budget.note_success()

    budget.acquire(background=False)
    assert state() == "closed"


@hypothesis_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(min_value=0, max_value=10_000))
def test_while_mailjet_is_away_it_is_asked_at_most_once_a_pause(seed: int) -> None:
    """However many processes try, and whenever: between two requests that fail lies the whole pause."""
    MailjetBreaker.objects.all().delete()
    MailjetRequest.objects.all().delete()
    dice = random.Random(seed)
    the_breaker_opens(a_budget())
    elapsed, asked = 0.0, list[float]()
    for _ in range(30):
        try:
            a_budget().acquire(background=dice.random() < 0.5)
        except MailjetPaused:
            step = dice.uniform(1, 40)
            elapsed += step
            time_passes(step)
        else:
            asked.append(elapsed)
            a_budget().note_failure("GET contact/7: 503")

    gaps = [later - earlier for earlier, later in zip([0.0, *asked], asked, strict=False)]
    for n, gap in enumerate(gaps):
        assert gap >= min(30 * 2**n, 300) - 1


def test_what_the_settings_give_has_the_breaker(settings: Settings, server: Server) -> None:
    settings.MAILJET_BASE_URL = server.url
    the_breaker_opens(a_budget())

    for make in (outside.mailjet, outside.background_mailjet):
        with make() as client, pytest.raises(MailjetPaused):
            client.lists()
    with outside.real() as real, pytest.raises(MailjetPaused):
        real.mailjet.lists()

    assert server.heard == []
