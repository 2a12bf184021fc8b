"""What a run that ended early left stands on its page; a reviewer has it continue there, or by a command."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from listmanagement.management.commands import continue_run, run_maintenance
from listmanagement.models import (
    AuditEntry,
    BatchStatus,
    ItemStatus,
    ListMaintenanceLog,
    OperationStatus,
    RunStatus,
    Step,
)
from tests import factories
from tests.workflows import scene as scenes

pytestmark = pytest.mark.django_db

LEFT = ["It stopped at the step suppress; this and what follows is left.", "Not suppressed: 2 contacts."]


@pytest.fixture
def run() -> ListMaintenanceLog:
    """A run whose time was up before it suppressed two contacts of the first list."""
    lists = factories.the_rotation()
    run = factories.a_run(
        status=RunStatus.PARTIAL, step=Step.SUPPRESS, stopped="its time was up", report="its time was up"
    )
    scenes.to_suppress(run, scenes.people(2, on=[lists.master]), source=lists.campaign[0])
    batch = factories.a_batch(run=run, status=BatchStatus.FAILED, error="left")
    for item in run.decisions.get().items.all():
        factories.an_operation(batch=batch, item=item, status=OperationStatus.FAILED, why="left")
    run.decisions.get().items.update(status=ItemStatus.FAILED, why="left")
    return run


def door(run: ListMaintenanceLog) -> str:
    return reverse("admin:listmanagement_run_continue", args=[run.pk])


def test_its_page_says_what_is_left_and_a_reviewer_has_it_continue(
    run: ListMaintenanceLog, reviewing: Client, ana: User
) -> None:
    page = reviewing.get(run.get_absolute_url()).content.decode()
    assert "its time was up" in page
    assert all(words in page for words in LEFT)
    assert "Continue this run" in page

    answer = reviewing.post(door(run), follow=True)

    run.refresh_from_db()
    assert (run.status, run.continued) == (RunStatus.PENDING, 1)
    assert f"Run {run.pk} goes on" in answer.content.decode()
    assert "Continue this run" not in answer.content.decode()
    assert AuditEntry.objects.get(action="continued").actor == ana.get_username()


def test_a_get_continues_nothing_and_a_viewer_finds_no_way_to(
    run: ListMaintenanceLog, reviewing: Client, looking: Client
) -> None:
    assert reviewing.get(door(run)).status_code == 405
    page = looking.get(run.get_absolute_url()).content.decode()
    assert LEFT[1] in page
    assert "Continue this run" not in page

    assert "may look, but not" in looking.post(door(run), follow=True).content.decode()

    run.refresh_from_db()
    assert run.continued == 0


def test_the_commands_say_what_is_left_and_how_to_continue(run: ListMaintenanceLog) -> None:
    assert run_maintenance.summary(run)["left"] == LEFT
    assert continue_run.summary(run)["left"] == LEFT
    assert f"manage.py continue_run {run.pk}" in run_maintenance.words(run, already=True)
    with pytest.raises(CommandError, match="there is no run 0"):
        call_command("continue_run", 0)
