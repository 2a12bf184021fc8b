"""`manage.py benchmark webhooks`: real events through the real door, and the same rows copied bare."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import call_command

from integrations.mailjet import read_event
from listmanagement.management.benchmarks import webhooks


@pytest.mark.django_db
def test_a_tenth_is_told_twice_and_kept_once() -> None:
    printed = StringIO()
    call_command("benchmark", "webhooks", "--events=1000", "--json", stdout=printed)
    report = json.loads(printed.getvalue())

    assert report["command"] == "manage.py benchmark webhooks --events=1000"
    assert (report["figures"]["requests"], report["figures"]["group"]) == (10, 100)
    assert report["figures"]["rows_kept"] == 909, "the first group had one event only that was told before"
    assert [bound["figure"] for bound in report["bounds"]] == ["rows_over_bare_copy"]


def test_what_is_told_is_what_mailjet_tells() -> None:
    told = [event for body in webhooks.groups(300) for event in json.loads(body)]

    assert len(told) == 300
    assert {read_event(event).kind.value for event in told} == set(webhooks.KINDS)
