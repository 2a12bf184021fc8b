"""`manage.py benchmark`: what it reports, where it works, and that it leaves nothing behind."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import DjangoDbBlocker

from listmanagement.management.benchmarks import scratch
from listmanagement.management.benchmarks.registry import BENCHMARKS
from listmanagement.management.benchmarks.report import Bound
from listmanagement.models import ContactList
from tests import factories

pytestmark = pytest.mark.xdist_group("benchmark")  # the benchmark is run once

CONTACTS = 200


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results") / "mirror.json"


@pytest.fixture(scope="module")
def printed(django_db_setup: None, django_db_blocker: DjangoDbBlocker, out: Path) -> str:
    """The mirror's benchmark in a small form, once for all tests."""
    printed = StringIO()
    with django_db_blocker.unblock():
        call_command(
            "benchmark", "mirror", f"--contacts={CONTACTS}", "--json", f"--out={out}", stdout=printed
        )
    return printed.getvalue()


@pytest.fixture
def report(printed: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(printed)
    return found


def test_the_report_says_on_what_it_was_measured_and_by_which_command(report: dict[str, Any]) -> None:
    assert report["benchmark"] == "mirror"
    assert report["command"] == f"manage.py benchmark mirror --contacts={CONTACTS}"
    assert report["cores"] >= 1
    assert report["python"].startswith("3.")
    assert {"server_version", "fsync", "synchronous_commit"} <= report["postgresql"].keys()


def test_what_is_printed_is_what_is_written(printed: str, out: Path) -> None:
    assert json.loads(out.read_text()) == json.loads(printed)


def test_the_mirror_is_filled_and_an_unchanged_refresh_writes_nothing(report: dict[str, Any]) -> None:
    figures = report["figures"]

    assert (figures["contacts"], figures["memberships"]) == (CONTACTS, 2 * CONTACTS)
    assert figures["rows"] == 3 * CONTACTS
    assert figures["rows_written_unchanged"] == 0


def test_every_bound_is_judged(report: dict[str, Any]) -> None:
    judged = {bound["figure"]: bound["held"] for bound in report["bounds"]}

    assert judged.keys() == {
        "requests_over_fewest",
        "first_fill_over_copy",
        "unchanged_over_copy",
        "peak_memory_mebibytes",
        "written_share_unchanged",
    }
    assert judged["written_share_unchanged"] is True


@pytest.mark.parametrize(
    ("bound", "held"),
    [
        (Bound(figure="f", value=3, at_most=3), True),
        (Bound(figure="f", value=3.01, at_most=3), False),
        (Bound(figure="f", value=300, below=300), False),
        (Bound(figure="f", value=299, below=300), True),
        (Bound(figure="f", value=0.1, at_least=0.1), True),
        (Bound(figure="f", value=0.09, at_least=0.1), False),
    ],
)
def test_a_bound_knows_whether_it_is_held_and_says_so(bound: Bound, held: bool) -> None:
    assert bound.is_held is held
    assert ("MISSED" in str(bound)) is not held


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(CommandError, match="invalid choice: 'nothing'") as refused:
        call_command("benchmark", "nothing")
    assert all(name in str(refused.value) for name in BENCHMARKS)


@pytest.fixture
def a_list_here(db: None) -> ContactList:
    return factories.a_list()


def test_the_scratch_database_is_empty_and_gone_afterwards(a_list_here: ContactList) -> None:
    usual = connection.settings_dict["NAME"]

    with scratch.database():
        name = connection.settings_dict["NAME"]
        assert name.startswith(scratch.PREFIX)
        assert not ContactList.objects.exists()
        ContactList.objects.create(mailjet_id=1, name="Scratch", role="master")

    assert connection.settings_dict["NAME"] == usual
    assert list(ContactList.objects.all()) == [a_list_here]
    with connection.cursor() as cursor:
        cursor.execute("select 1 from pg_database where datname = %s", [name])
        assert cursor.fetchone() is None


def test_suppressing_takes_hardly_more_requests_than_the_fewest(db: None) -> None:
    printed = StringIO()

    call_command("benchmark", "suppress", "--contacts=100", "--json", stdout=printed)

    report = json.loads(printed.getvalue())
    assert [bound["held"] for bound in report["bounds"]] == [True, True]
    assert report["figures"]["few"]["bulk_requests"] == 1
    assert report["figures"]["few_contact_by_contact"]["requests"] == 1000
    assert not ContactList.objects.exists()
