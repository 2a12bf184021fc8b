"""`manage.py benchmark cache`: the same hour with what is remembered and without, small."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command


@pytest.fixture(scope="module")
def figures(django_db_setup: None, django_db_blocker: Any) -> dict[str, Any]:
    printed = StringIO()
    with django_db_blocker.unblock():
        call_command("benchmark", "cache", "--overviews=6", "--validations=1", "--json", stdout=printed)
    report = json.loads(printed.getvalue())
    assert [bound["figure"] for bound in report["bounds"]] == ["saved_queries", "saved_requests", "hit_rate"]
    found: dict[str, Any] = report["figures"]
    return found


def test_each_kind_of_load_is_counted_in_each_hour(figures: dict[str, Any]) -> None:
    kinds = {"overviews", "validations", "refreshes", "weekly_checks", "all"}
    for hour in ("without", "without_redis", "with"):
        assert figures[hour]["queries"].keys() == figures[hour]["requests"].keys() == kinds
        counted = dict(figures[hour]["requests"])
        assert counted.pop("all") == sum(counted.values())
    assert figures["without"]["requests"]["overviews"] == 6 * figures["lists"]


def test_what_decides_asks_mailjet_as_often_with_redis_as_without(figures: dict[str, Any]) -> None:
    for kind in ("validations", "refreshes", "weekly_checks"):
        assert figures["with"]["requests"][kind] == figures["without_redis"]["requests"][kind]
    assert figures["without"]["requests"]["validations"] > figures["with"]["requests"]["validations"]
    assert figures["with"]["requests"]["overviews"] < figures["without"]["requests"]["overviews"]
    assert figures["hits"] > 0
