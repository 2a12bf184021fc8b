"""The commands people type: what they print, how they end, and that they need neither Celery nor Redis."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now
from django.test import override_settings
from django.utils import timezone

from config.celery import app
from listmanagement.models import (
    CampaignKind,
    Contact,
    ContactList,
    ContactListMembership,
    Decision,
    DecisionStatus,
    ListMaintenanceLog,
    MirrorScan,
    Notification,
    NotificationStatus,
    RolloutState,
    RunKind,
    RunStage,
    RunStatus,
    ScanOf,
    Step,
    Trigger,
)
from listmanagement.outside import Outside
from listmanagement.workflows import outages
from tests import factories
from tests.factories import CAMPAIGNS, NOON
from tests.workflows import scene as scenes
from tests.workflows.scene import Clock, Scene
from tests.workflows.sends import UNKNOWN_USER, a_last_round, a_rotation, has_observed

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene(db: None, tmp_path: Path) -> Iterator[Scene]:
    """Lists in the database, and stand-ins for Mailjet and Slack as the settings name them, in our time."""
    with ExitStack() as stack:
        standin = stack.enter_context(scenes.stand_in(tmp_path))
        standin.serving.world.clock.offset = 0.0
        stack.enter_context(
            override_settings(
                MAILJET_BASE_URL=standin.url,
                MAILJET_IS_STAND_IN=True,
                SLACK_API_BASE_URL=f"{standin.url}/slack/api/",
            )
        )
        outside = Outside(
            mailjet=stack.enter_context(scenes.connect(standin)),
            slack=None,
            ask=None,
            configuration=scenes.configuration(),
        )
        yield Scene(standin, Clock(standin.serving), outside, lists=factories.the_rotation())


def a_campaign_to_maintain(scene: Scene) -> int:
    """One contact of sixty is gone; everything is reviewed still."""
    [gone, *_], _, _ = a_rotation(scene)
    has_observed()
    return a_last_round(scene, failed={UNKNOWN_USER: [gone]}).pk


def said(*command: Any) -> str:
    told = StringIO()
    call_command(*command, stdout=told, stderr=StringIO())
    return told.getvalue().strip()


def refused(*command: Any) -> str:
    with pytest.raises(CommandError) as refusal:
        said(*command)
    assert refusal.value.returncode == 1
    return str(refusal.value)


# --- run_maintenance ---------------------------------------------------------------------------------


def test_maintenance_goes_to_the_first_review_and_says_how_to_decide(scene: Scene) -> None:
    campaign = a_campaign_to_maintain(scene)

    told = said("run_maintenance", campaign)

    run, decision = ListMaintenanceLog.objects.get(campaign=campaign, trigger=Trigger.PERSON), the_open_one()
    assert told.splitlines() == [
        f"Run {run.pk} stands at suppress and waits for a review.",
        f"  decision {decision.pk}: Suppress 1 of List 1 after campaign {campaign}",
        f"  manage.py decide {decision.pk} approve --by USER",
        f"What is known here of the lists is as of {outages.as_of()}.",
    ]
    assert [posted["text"] for posted in scene.control.slack_messages()] == [
        f"A decision is needed: {decision.title}."
    ]


def the_open_one() -> Decision:
    return Decision.objects.get(status=DecisionStatus.OPEN)


def test_maintenance_as_json_is_one_line_that_programs_read(scene: Scene) -> None:
    campaign = a_campaign_to_maintain(scene)

    told = said("run_maintenance", campaign, "--json")

    assert "\n" not in told
    found = json.loads(told)
    assert found.pop("mailjet_requests") > 0
    assert found.pop("lists_as_of") is None  # the master list is first read when placements are planned
    assert found == {
        "run": ListMaintenanceLog.objects.get(campaign=campaign, trigger=Trigger.PERSON).pk,
        "campaign": campaign,
        "status": "waiting_for_review",
        "step": "suppress",
        "waits_for": "a review",
        "decisions_waiting": [the_open_one().pk],
        "suppressed": 0,
        "held": 0,
        "placed": 0,
        "moved": 0,
        "stopped": "",
        "left": [],
        "errors": [],
    }


def test_from_the_campaign_to_the_report_by_commands_alone(scene: Scene) -> None:
    campaign = a_campaign_to_maintain(scene)
    said("run_maintenance", campaign)
    decision, robin = the_open_one(), factories.a_reviewer("robin")

    decided = said("decide", decision.pk, "approve", "--by", "robin", "--note", "seen")
    swept = said("sweep")
    finished = said("run_maintenance", campaign)
    again = said("run_maintenance", campaign)

    run = decision.run
    assert decided == (
        f"Decision {decision.pk} is approved by robin. "
        f"A worker goes on with run {run.pk}; without one: manage.py sweep"
    )
    assert swept == f"advanced runs: {run.pk}"
    assert finished.startswith(f"Run {run.pk} succeeded.\n\n1 suppressed")
    assert again == f"Campaign {campaign} was maintained by run {run.pk} (succeeded). Nothing to do."
    undo = factories.a_run(kind=RunKind.UNDO, undoes=run, status=RunStatus.PARTIAL)
    assert f"and undone by run {undo.pk} (partial). It is not done again" in said("run_maintenance", campaign)
    decision.refresh_from_db()
    assert (decision.reviewed_by, decision.note) == (robin, "seen")
    assert len(scene.members(scene.lists.suppression)) == 1
    assert set(Notification.objects.values_list("status", flat=True)) == {NotificationStatus.SENT}
    question, report = scene.control.slack_messages()
    assert report["thread_ts"] == question["ts"]
    assert said("sweep") == "nothing was due"


def test_maintenance_that_nobody_has_to_review_prints_its_report(scene: Scene) -> None:
    a_rotation(scene)
    has_observed()
    campaign = a_last_round(scene, failed={}).pk

    told = said("run_maintenance", campaign)

    run = ListMaintenanceLog.objects.get(campaign=campaign, trigger=Trigger.PERSON)
    assert told == f"Run {run.pk} succeeded.\n\n{run.report}".strip()
    assert json.loads(said("run_maintenance", campaign, "--json"))["status"] == "succeeded"


def test_a_wait_for_mailjet_is_shown_and_sat_out(scene: Scene) -> None:
    campaign = a_campaign_to_maintain(scene)
    said("run_maintenance", campaign)
    said("decide", the_open_one().pk, "approve", "--by", factories.a_reviewer().username)
    scene.control.settings(job_seconds=0.5)
    told, shown = StringIO(), StringIO()

    call_command("run_maintenance", campaign, stdout=told, stderr=shown)

    assert "succeeded" in told.getvalue()
    assert "waits for Mailjet" in shown.getvalue()


def test_a_campaign_that_is_not_there_is_refused_in_words(scene: Scene) -> None:
    latest = a_campaign_to_maintain(scene)

    assert refused("run_maintenance", 999) == (
        f"campaign 999 does not exist; the campaign sent last is {latest}"
    )
    assert scene.control.requests()["last"] == []


def test_while_it_is_paused_maintenance_is_refused_and_the_switch_named(scene: Scene) -> None:
    campaign = a_campaign_to_maintain(scene)
    RolloutState.objects.update(paused_at=NOON, changed_by=factories.a_user("kim"), why="a holiday")

    assert refused("run_maintenance", campaign) == "paused by kim since 02 March 12:00 UTC: a holiday"
    with override_settings(LIST_MANAGEMENT_ENABLED=False):
        assert refused("run_maintenance", campaign).startswith("LIST_MANAGEMENT_ENABLED is false")


def test_a_failed_run_ends_with_one_and_goes_on_when_it_is_mended(scene: Scene) -> None:
    campaign = a_campaign_to_maintain(scene)
    told = StringIO()

    with (
        override_settings(MAILJET_CAMPAIGN_LIST_IDS=(*CAMPAIGNS[:2], 4711)),
        pytest.raises(SystemExit) as ended,
    ):
        call_command("run_maintenance", campaign, stdout=told, stderr=StringIO())

    assert ended.value.code == 1
    run = ListMaintenanceLog.objects.get(campaign=campaign, trigger=Trigger.PERSON)
    words = (
        "MAILJET_CAMPAIGN_LIST_3_ID is 4711, which Mailjet does not know: correct it. Nothing was changed."
    )
    assert told.getvalue().strip() == f"Run {run.pk} failed.\n\n{words}"

    assert json.loads(said("run_maintenance", campaign, "--json"))["status"] == "waiting_for_review"


def test_as_json_a_failed_run_tells_its_errors_and_ends_with_one(scene: Scene) -> None:
    a_rotation(scene)
    has_observed()
    campaign = factories.a_campaign(list=scene.lists.campaign[0]).pk
    scene.publish()
    told = StringIO()

    with pytest.raises(SystemExit) as ended:
        call_command("run_maintenance", campaign, "--json", stdout=told, stderr=StringIO())

    found = json.loads(told.getvalue())
    assert (ended.value.code, found["status"], found["step"]) == (1, "failed", Step.FETCH_OUTCOMES)
    assert "Mailjet has no messages of campaign" in found["errors"][0]["what"]


def test_a_run_that_another_worker_has_in_hand_is_left_to_it(scene: Scene) -> None:
    campaign = a_campaign_to_maintain(scene)
    run = factories.a_run(
        campaign_id=campaign,
        campaign=None,
        idempotency_key=f"post_campaign:{campaign}:act",
        lease_owner="elsewhere:1",
        lease_token="5d6c9b46-0d0f-4e52-8a43-0f3f6a1f9d11",
        lease_until=timezone.now() + timedelta(minutes=1),
    )

    told = said("run_maintenance", campaign)

    assert told == (
        f"Run {run.pk} stands at capture_before and waits for another worker.\n"
        "What is known here of the lists is as of a time before they were first read."
    )
    run.refresh_from_db()
    assert run.status == RunStatus.RUNNING


# --- decide ------------------------------------------------------------------------------------------


def an_open_decision() -> Decision:
    decision = factories.a_decision(deadline=datetime(2999, 1, 1, tzinfo=UTC))
    factories.an_item(group=factories.a_group(decision=decision))
    return decision


def test_a_decision_as_json_says_what_was_decided_by_whom() -> None:
    decision = an_open_decision()
    factories.a_reviewer("robin")

    told = said("decide", decision.pk, "reject", "--by", "robin", "--note", "a fair last week", "--json")

    assert json.loads(told) == {
        "decision": decision.pk,
        "status": "rejected",
        "by": "robin",
        "run": decision.run_id,
    }
    decision.refresh_from_db()
    assert (decision.status, decision.note) == (DecisionStatus.REJECTED, "a fair last week")


def test_what_may_not_be_decided_is_refused_in_words() -> None:
    decision = an_open_decision()
    factories.a_reviewer("robin")
    factories.a_viewer("sam")

    assert refused("decide", decision.pk, "approve", "--by", "nobody") == (
        "there is no user 'nobody': name a reviewer"
    )
    assert "sam may look, but not decide" in refused("decide", decision.pk, "approve", "--by", "sam")
    assert "a rejection needs a reason" in refused("decide", decision.pk, "reject", "--by", "robin")
    assert refused("decide", 4711, "approve", "--by", "robin") == "decision 4711 does not exist"
    with pytest.raises(CommandError, match="invalid choice: 'maybe'"):
        said("decide", decision.pk, "maybe", "--by", "robin")
    decision.refresh_from_db()
    assert decision.status == DecisionStatus.OPEN


def test_deciding_again_says_who_was_faster() -> None:
    decision = an_open_decision()
    factories.a_reviewer("robin")
    factories.a_reviewer("sam")
    said("decide", decision.pk, "approve", "--by", "robin")

    told = refused("decide", decision.pk, "reject", "--by", "sam", "--note", "no")

    assert "robin approved it already" in told
    assert "nothing was done twice" in told


@pytest.fixture
def silent_broker() -> Iterator[str]:
    """Something that takes connections and never answers."""
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"redis://127.0.0.1:{listening.getsockname()[1]}/0"


@pytest.mark.parametrize("broker", ["away", "silent"])
def test_a_broker_that_is_away_or_silent_neither_fails_nor_delays_a_decision(
    broker: str, silent_broker: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """P10: the sweep sees what the lost nudge missed."""
    url = silent_broker if broker == "silent" else "redis://127.0.0.1:1/0"
    monkeypatch.setattr(app.conf, "broker_url", url)
    monkeypatch.setattr(app.conf, "broker_write_url", url)
    decision = an_open_decision()
    factories.a_reviewer("robin")
    began = time.monotonic()

    told = said("decide", decision.pk, "approve", "--by", "robin")

    assert time.monotonic() - began < 3
    assert f"Decision {decision.pk} is approved by robin." in told
    assert [record.message for record in caplog.records] == ["broker away; the sweep will see it"]


# --- The mirror ------------------------------------------------------------------------------------------


def test_the_mirror_is_refreshed_and_says_what_had_changed(scene: Scene) -> None:
    scenes.people(3, on=[scene.lists.master])
    scene.publish()
    Contact.objects.update(excluded_since=NOON)

    first = json.loads(said("refresh_cache", "--json"))
    again = said("refresh_cache")

    assert (first["contacts"], first["seen"], first["requests"]) == (3, 3 + 3, 1 + 1 + 5)
    assert again == "6 rows read in 7 requests: nothing had changed"


@override_settings(LIST_MANAGEMENT_ENABLED=False)
def test_while_list_management_is_off_the_mirror_is_still_read(scene: Scene) -> None:
    scene.publish()

    said("refresh_cache")

    assert not ContactList.objects.filter(read_at=None).exists()


def test_a_refresh_beside_another_one_says_so_and_leaves(scene: Scene) -> None:
    held = Now() + timedelta(minutes=5)
    MirrorScan.objects.create(of=ScanOf.EVERYTHING, started_at=timezone.now(), busy_until=held)

    assert refused("refresh_cache").startswith("Another process refreshes everything since")
    assert scene.control.requests()["last"] == []


def test_while_mailjet_is_not_asked_a_refresh_says_until_when(scene: Scene) -> None:
    del scene
    now = timezone.now()
    open_ = {"state": "open", "since": now, "until": now + timedelta(minutes=1)}
    factories.the_breaker(**open_, failed_at=[now] * 5, why="GET contact: 503")

    words = refused("refresh_cache")

    assert words.startswith("Mailjet is not asked before")
    assert words.endswith("What was read is kept: try again then.")


# --- reconcile ---------------------------------------------------------------------------------------


def a_quiet_rotation(scene: Scene) -> ContactListMembership:
    """Three lists with members, one of whom we put there; everything as Mailjet shows it."""
    for each in scene.lists.campaign:
        scenes.people(2, on=[scene.lists.master, each])
    ListMaintenanceLog.objects.create(
        kind=RunKind.POST_CAMPAIGN,
        campaign=factories.a_campaign(kind=CampaignKind.ONE_OFF),
        stage=RunStage.OBSERVE,
        trigger=Trigger.SCHEDULE,
        status=RunStatus.SUCCEEDED,
        idempotency_key="observed",
        created_at=NOON,
        finished_at=NOON,
    )
    factories.the_rollout()
    ContactList.objects.update(read_at=NOON, contacts_read_at=NOON)
    scene.publish()
    return ContactListMembership.objects.filter(list=scene.lists.campaign[0])[0]


@pytest.mark.django_db(transaction=True)
def test_reconcile_says_in_one_line_that_all_matches(scene: Scene) -> None:
    a_quiet_rotation(scene)

    told = said("reconcile", "--json")

    assert "\n" not in told
    found = json.loads(told)
    assert (found["status"], found["decision"]) == ("succeeded", None)
    assert (found["counts_match"], found["promises_broken"]) == (True, [])
    assert {row["name"]: row["difference"] for row in found["lists"]} == dict.fromkeys(
        ["List 1", "List 2", "List 3", "Master", "Suppressed"], 0
    )
    assert not any(found["drifts"].values())


@pytest.mark.django_db(transaction=True)
def test_reconcile_names_the_decision_and_how_to_make_it(scene: Scene) -> None:
    membership = a_quiet_rotation(scene)
    scene.a_person("addforce", membership.contact, scene.lists.campaign[2])

    told = said("reconcile")

    decision = Decision.objects.get()
    assert f"Decision {decision.pk}: 1 contact changed at Mailjet by people" in told
    assert f"manage.py decide {decision.pk} approve --by USER   puts it back" in told
    assert membership.contact.email not in told


@pytest.mark.django_db(transaction=True)
def test_reconcile_ends_with_1_where_a_promise_is_broken(scene: Scene) -> None:
    """P1: on the suppression list, and nothing here says why."""
    membership = a_quiet_rotation(scene)
    scene.a_person("addforce", membership.contact, scene.lists.suppression)

    with pytest.raises(SystemExit) as ended:
        said("reconcile", "--json")

    assert ended.value.code == 1


@pytest.mark.django_db(transaction=True)
def test_reconcile_says_what_to_do_where_a_list_is_not_there(scene: Scene) -> None:
    a_quiet_rotation(scene)
    scene.at_mailjet("UPDATE lists SET is_deleted = 1 WHERE id = ?", CAMPAIGNS[1])

    with pytest.raises(CommandError, match="MAILJET_CAMPAIGN_LIST_2_ID") as refusal:
        said("reconcile")

    assert refusal.value.returncode == 2
