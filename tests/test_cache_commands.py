"""`manage.py clear_cache` and `manage.py cache_status`: what they print and refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from listmanagement import outside
from listmanagement.models import ListChange
from listmanagement.workflows.glance import list_cache
from tests import factories
from tests.factories import NOON
from tests.own_redis import own_redis

pytestmark = pytest.mark.django_db

AWAY = override_settings(REDIS_URL="redis://127.0.0.1:1/0")


@pytest.fixture
def remembered(tmp_path: Path) -> Iterator[None]:
    """The lists at a glance, looked at twice."""
    factories.members(2, list=factories.the_rotation().campaign[0])
    outside._cache.cache_clear()
    with own_redis(tmp_path) as server, override_settings(REDIS_URL=server.url):
        for _ in range(2):
            list_cache.of_lists(states=ListChange.objects.states(), cache=outside.cache(), now=NOON)
        yield
    outside._cache.cache_clear()


def said(*command: Any) -> str:
    told = StringIO()
    call_command(*command, stdout=told)
    return told.getvalue().strip()


def refused(*command: Any) -> str:
    with pytest.raises(CommandError) as refusal:
        said(*command)
    return str(refusal.value)


def test_everything_is_cleared(remembered: None) -> None:
    assert said("clear_cache") == "Cleared: 1 entry of all lists. The next page counts anew."
    assert said("clear_cache") == "Cleared: 0 entries of all lists. The next page counts anew."


def test_one_list_is_cleared_by_name_or_id(remembered: None) -> None:
    assert said("clear_cache", "list 1").startswith("Cleared: 1 entry of List 1, and of all lists together.")
    [one, *_] = factories.CAMPAIGNS
    assert json.loads(said("clear_cache", str(one), "--json")) == {
        "entries": 0,
        "list_id": one,
        "name": "List 1",
    }


def test_an_unknown_list_is_refused_with_those_that_are_known(remembered: None) -> None:
    words = refused("clear_cache", "Spring")

    assert words.startswith("no list here is called 'Spring'; known are ")
    assert words.endswith("(Suppressed). Nothing was cleared.") or "List 1" in words


@AWAY
def test_without_redis_nothing_is_said_to_be_cleared() -> None:
    assert refused("clear_cache").startswith("Redis does not answer, so nothing was cleared.")


def test_the_hit_rate_is_told_by_day(remembered: None) -> None:
    first, today, *_ = said("cache_status").splitlines()
    [told, *before] = json.loads(said("cache_status", "--json"))["days"]

    assert first == "Redis answers. Asked for, by day (UTC):"
    assert "50.0% found (1 hits, 1 misses), Redis did not answer 0 times" in today
    assert (told["hits"], told["misses"], told["hit_rate"]) == (1, 1, 0.5)
    assert {each["hit_rate"] for each in before} == {None}


@AWAY
def test_without_redis_the_status_says_so() -> None:
    assert said("cache_status").startswith("Redis does not answer")
    assert json.loads(said("cache_status", "--json")) == {"is_there": False, "days": []}
