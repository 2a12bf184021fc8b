"""Never more requests to Mailjet in any minute than allowed, over all threads and processes together.

Nobody waits here: whoever would sleep makes the counted requests older instead, which is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection, transaction
from django.utils import timezone

from listmanagement.models import MailjetRequest
from listmanagement.outside import SharedBudget, forget_old_requests
from tests import factories
from tests.workflows import scene as scenes
from tests.workflows.scene import StandIn

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = timedelta(seconds=60)


def grow_older(seconds: float) -> None:
    """Every request was counted so much earlier. The budget's own lock keeps counting out meanwhile."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("lock table listmanagement_mailjetrequest in exclusive mode")
        cursor.execute(
            "update listmanagement_mailjetrequest set at = at - make_interval(secs => %s)", [seconds]
        )


def a_budget(per_minute: int, *, sleep: Callable[[float], None] = grow_older) -> SharedBudget:
    return SharedBudget(per_minute=per_minute, sleep=sleep)


def acquire(budget: SharedBudget, *, background: Sequence[bool]) -> None:
    """One request after the other, each in the background or not."""
    for each in background:
        budget.acquire(background=each)


def no_more(seconds: float) -> None:
    raise BlockingIOError(f"would wait {seconds:.0f} s")


def most_in_a_minute(*, background: Sequence[bool] = (True, False)) -> int:
    """The most requests that any 60 seconds hold."""
    counted = MailjetRequest.objects.filter(background__in=background).order_by("at")
    times = list(counted.values_list("at", flat=True))
    return max(sum(at <= other < at + MINUTE for other in times) for at in times)


def test_a_full_minute_makes_the_next_request_wait_until_the_first_is_over() -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        grow_older(seconds)

    budget = a_budget(3, sleep=wait)

    for _ in range(4):
        budget.acquire(background=False)

    assert len(waits) == 1
    assert 60 < waits[0] <= 62.5
    first, *_, last = MailjetRequest.objects.order_by("at").values_list("at", flat=True)
    assert last - first > MINUTE


def test_threads_together_never_get_more_than_the_account_allows() -> None:
    budget = a_budget(5)

    scenes.together(6, partial(acquire, budget, background=[False] * 4))

    assert MailjetRequest.objects.count() == 24
    assert most_in_a_minute() == 5


def test_background_reads_use_at_most_half() -> None:
    budget = a_budget(6)

    scenes.together(4, partial(acquire, budget, background=[True] * 3))

    assert most_in_a_minute(background=[True]) == 3


def test_background_reads_wait_while_the_rest_is_in_use() -> None:
    for _ in range(6):
        a_budget(6, sleep=no_more).acquire(background=False)

    with pytest.raises(BlockingIOError):
        a_budget(6, sleep=no_more).acquire(background=True)


def test_both_kinds_together_never_get_more_than_the_account_allows() -> None:
    budget = a_budget(6)

    scenes.together(6, partial(acquire, budget, background=[True, False, True, False]))

    assert MailjetRequest.objects.count() == 24
    assert most_in_a_minute() <= 6
    assert most_in_a_minute(background=[True]) <= 3


def test_other_work_goes_on_while_background_reads_have_used_their_half() -> None:
    budget = a_budget(6, sleep=no_more)
    for _ in range(3):
        budget.acquire(background=True)
    with pytest.raises(BlockingIOError):
        budget.acquire(background=True)

    for _ in range(3):
        budget.acquire(background=False)

    assert MailjetRequest.objects.count() == 6


def test_one_request_a_minute_leaves_one_for_background_reads() -> None:
    budget = a_budget(1)

    budget.acquire(background=True)
    budget.acquire(background=True)

    first, second = MailjetRequest.objects.order_by("at").values_list("at", flat=True)
    assert second - first > MINUTE


def test_a_request_is_not_counted_inside_a_transaction_that_could_take_it_back() -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        a_budget(5).acquire(background=False)


def test_under_the_budget_mailjet_never_answers_too_many(standin: StandIn) -> None:
    standin.control.load({"lists": [{"id": 11, "name": "first"}]})
    standin.control.settings(rate=4)

    def later(seconds: float) -> None:
        standin.serving.world.advance(seconds)
        grow_older(seconds)

    with scenes.connect(standin, budget=a_budget(4, sleep=later)) as mailjet:
        for _ in range(11):
            mailjet.lists()

    assert standin.control.requests()["by_status"] == {"mailjet 200": 11}


def test_requests_are_forgotten_when_no_page_shows_them_any_more() -> None:
    now = timezone.now()
    factories.a_request(at=now - timedelta(hours=2))
    kept = factories.a_request(at=now - timedelta(minutes=5))

    forget_old_requests()

    assert list(MailjetRequest.objects.all()) == [kept]
