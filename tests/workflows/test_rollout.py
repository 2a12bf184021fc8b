"""The rollout's switches: each once, by a reviewer, with a reason; and what is executed alone meanwhile."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from listmanagement.domain.autonomy import Stage
from listmanagement.models import AuditEntry, RolloutState
from listmanagement.workflows import permission, rollout
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.rollout import Change, Said
from tests import factories
from tests.factories import NOON

pytestmark = pytest.mark.django_db


@pytest.fixture
def ana() -> User:
    """A reviewer."""
    return factories.a_reviewer("ana")


def switched(wanted: Change, *, by: User, hours: float = 0, why: str = "as agreed") -> RolloutState:
    return rollout.change(wanted, by=by, why=why, now=NOON + timedelta(hours=hours))


def standing() -> rollout.Standing:
    return rollout.standing(rollout.current(), enabled=True, now=NOON + timedelta(hours=9))


def test_observing_starts_once_and_from_then_on_nothing_executes(ana: User) -> None:
    assert standing().stage is Stage.NOT_STARTED
    switched(Change.OBSERVE, by=ana)

    found = standing()

    assert (found.stage, found.observing) == (Stage.OBSERVING, Said(NOON, "ana", "as agreed"))
    assert "none of it executes" in found.alone
    with pytest.raises(NotAllowed, match="already"):
        switched(Change.OBSERVE, by=ana)


def test_each_switch_keeps_its_own_who_when_and_why(ana: User) -> None:
    ben = factories.a_reviewer("ben")
    switched(Change.OBSERVE, by=ana)
    switched(Change.PAUSE, by=ana, hours=1, why="a fire")
    switched(Change.MANUAL, by=ben, hours=2, why="to be sure")

    found = standing()

    assert found.paused == Said(NOON + timedelta(hours=1), "ana", "a fire")
    assert found.manual == Said(NOON + timedelta(hours=2), "ben", "to be sure")
    assert found.off == "paused by ana since 02 March 13:00 UTC: a fire"
    assert found.alone == rollout.OFF

    switched(Change.RESUME, by=ben, hours=3)
    assert permission.why_off(enabled=True) is None
    assert standing().manual == found.manual
    switched(Change.AUTOMATIC, by=ben, hours=4)
    assert standing().manual is None
    assert [each.action for each in AuditEntry.objects.order_by("pk")] == [
        "observing started", "paused", "manual mode on", "resumed", "manual mode off",
    ]  # fmt: skip


def test_the_reasons_say_until_when_everything_is_reviewed(ana: User) -> None:
    factories.the_rollout(observing_since=NOON - timedelta(days=3))
    factories.a_run(stage="observe", status="succeeded", finished_at=NOON - timedelta(days=1))

    found = standing()

    assert found.stage is Stage.REVIEWING_EVERYTHING
    assert found.reviewed_until == NOON + timedelta(days=13)
    assert found.reasons[0] == "Everything is reviewed until 15 Mar 2026, 12:00 UTC."
    assert (found.changing_runs, found.changing_runs_needed) == (0, 5)


@pytest.mark.parametrize("why", ["", "  "])
def test_without_a_reason_nothing_is_switched(ana: User, why: str) -> None:
    with pytest.raises(NotAllowed, match="say why"):
        switched(Change.PAUSE, by=ana, why=why)
    assert standing().paused is None


def test_a_viewer_switches_nothing() -> None:
    with pytest.raises(NotAllowed, match="may look, but not decide"):
        switched(Change.PAUSE, by=factories.a_viewer())


def test_the_command_switches_and_shows(ana: User) -> None:
    told = StringIO()
    call_command("rollout", "pause", reason="a fire", by="ana", stdout=told)
    assert "paused by ana" in told.getvalue()

    shown = StringIO()
    call_command("rollout", json=True, stdout=shown)
    assert json.loads(shown.getvalue())["paused"]["why"] == "a fire"
    with pytest.raises(CommandError, match="already"):
        call_command("rollout", "pause", reason="again")


def test_the_page_has_a_button_for_what_may_be_switched_and_a_get_switches_nothing(
    client: Client, ana: User
) -> None:
    client.force_login(ana)
    url, pause = (
        reverse("admin:listmanagement_rolloutstate_changelist"),
        reverse("admin:listmanagement_rollout_pause"),
    )
    page = client.get(url).content.decode()
    assert [label in page for label in ("Start observing", ">Pause<", ">Resume<")] == [True, True, False]
    assert client.get(pause).status_code == 405

    page = client.post(pause, {"why": "a fire"}, follow=True).content.decode()

    assert RolloutState.objects.get().paused_at is not None
    assert ">Resume<" in page
    assert "a fire" in page


def test_a_viewers_page_has_no_button(client: Client) -> None:
    client.force_login(factories.a_viewer())
    page = client.get(reverse("admin:listmanagement_rolloutstate_changelist")).content.decode()
    assert "Reviewers can pause" in page
    client.post(reverse("admin:listmanagement_rollout_pause"), {"why": "because"})
    assert not RolloutState.objects.filter(paused_at__isnull=False).exists()
