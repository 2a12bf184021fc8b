"""Campaigns are read from Mailjet, whoever sent them, and what they were is recognised."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.core.management import call_command
from django.test import override_settings

from integrations.mailjet import Mailjet, MailjetCampaign, MailjetUnavailable
from listmanagement.domain import cycle
from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import (
    AuditEntry,
    CampaignKind,
    CampaignSchedule,
    CampaignSync,
    Cycle,
    CycleEnd,
    Notification,
    Recurring,
    RecurringJob,
    Trigger,
)
from listmanagement.outside import Outside, SharedBudget
from listmanagement.workflows import campaigns, permission, rotation, timetable
from listmanagement.workflows.campaigns import Synced, labels
from listmanagement.workflows.maintenance import post_campaign
from tests import factories
from tests.factories import NOON, a_reviewer
from tests.planted import ENDS, PLANTED, How
from tests.workflows import marketing as people
from tests.workflows import scene as scenes
from tests.workflows.marketing import Marketing
from tests.workflows.scene import Scene, StandIn, no_wait


@pytest.fixture
def marketing(standin: StandIn, scene: Scene) -> Iterator[Marketing]:
    """Somebody at Mailjet's pages, and twelve members on each list."""
    for contact_list in scene.lists.campaign:
        scenes.people(12, on=[scene.lists.master, contact_list])
    scene.publish()
    with people.at_work(standin, scene.clock) as marketing:
        yield marketing


def patch_now(moment: datetime) -> AbstractContextManager[Any]:
    """The doors' clock tells the stand-in's time."""
    return patch("django.utils.timezone.now", return_value=moment)


def sync(scene: Scene) -> Synced:
    return campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())


# --- Twenty planted campaigns ------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("daily", [False, True], ids=["in one go at the end", "day by day"])
def test_twenty_planted_campaigns_are_recognised(
    scene: Scene, standin: StandIn, marketing: Marketing, daily: bool
) -> None:
    with scenes.connect(standin, budget=SharedBudget(per_minute=5000, sleep=no_wait)) as mailjet:
        found: list[Synced] = []

        def look() -> None:
            found.append(campaigns.sync(mailjet=mailjet, now=scene.clock()))

        drafts = people.play(PLANTED, scene, marketing, each_day=look if daily else lambda: None)
        scene.clock.passes(timedelta(hours=1))
        look()

    numbers: dict[int | None, int] = {draft: number for number, draft in drafts.items()}
    stored = {numbers[row.mailjet_draft_id]: row for row in CampaignSchedule.objects.all()}
    # Who never looked while it was scheduled cannot know of one that was called off.
    planted = [row for row in PLANTED if daily or row.how is not How.CALLED_OFF]
    ends = list(ENDS) if daily else ["complete", "cut short", *ENDS[2:]]
    assert {number: people.words(row, numbers) for number, row in stored.items()} == {
        row.number: row.label for row in planted
    }
    assert [end.replace("_", " ") or "under way" for end in cycle_ends()] == ends
    assert len(PLANTED) == 20


def cycle_ends() -> list[str]:
    return list(Cycle.objects.order_by("number").values_list("ended_how", flat=True))


# --- One send, one row -------------------------------------------------------------------------------


def the_campaign() -> CampaignSchedule:
    return CampaignSchedule.objects.get()


@pytest.mark.django_db
def test_a_draft_becomes_the_row_of_its_campaign(scene: Scene, marketing: Marketing) -> None:
    draft = marketing.plans(scene.lists.campaign[0], "Spring", days=2, Title="Spring, list 1")
    sync(scene)
    planned = the_campaign()
    scene.clock.passes(timedelta(days=2, minutes=1))

    assert sync(scene).new == 0

    sent = the_campaign()
    assert (planned.status, planned.mailjet_campaign_id, planned.mailjet_draft_id) == (
        "scheduled",
        None,
        draft,
    )
    assert (sent.pk, sent.status, sent.mailjet_draft_id) == (planned.pk, RoundStatus.SENT, draft)
    assert sent.mailjet_campaign_id not in (None, draft)
    assert (sent.started_at, sent.title, sent.subject) == (planned.scheduled_at, "Spring, list 1", "Spring")
    assert sent.ended_at is not None


@pytest.mark.django_db
def test_what_mailjets_own_pages_sent_is_found_with_its_title_and_counters(
    scene: Scene, marketing: Marketing
) -> None:
    draft = marketing.sends(scene.lists.campaign[1], "Open day", Title="For friends")
    scene.clock.passes(timedelta(hours=1))

    found = sync(scene)

    row = the_campaign()
    assert (found.seen, found.new, found.changed) == (1, 1, 0)
    assert (row.status, row.list, row.title) == (RoundStatus.SENT, scene.lists.campaign[1], "For friends")
    assert (row.mailjet_draft_id, row.draft_status, row.list_size) == (draft, 2, 12)
    assert (row.processed, row.queued) == (12, 0)
    assert row.counted_at is not None


class Lagging(Mailjet):
    """Mailjet in the seconds after a send: its list of campaigns does not show it yet."""

    def campaigns(self, **window: Any) -> Iterator[list[MailjetCampaign]]:
        yield []


@pytest.mark.django_db
def test_a_draft_that_was_sent_just_now_waits_for_its_campaign(
    scene: Scene, standin: StandIn, marketing: Marketing
) -> None:
    """Mailjet answers 404 for some seconds; what is past its time counts as being sent until then."""
    marketing.plans(scene.lists.campaign[0], "Spring", days=1)
    sync(scene)
    scene.clock.passes(timedelta(days=1, seconds=1))
    with scenes.connect_as(Lagging, standin) as lagging:
        campaigns.sync(mailjet=lagging, now=scene.clock())
        assert (the_campaign().status, the_campaign().mailjet_campaign_id) == (RoundStatus.SCHEDULED, None)

        scene.clock.passes(timedelta(seconds=10))
        campaigns.sync(mailjet=lagging, now=scene.clock())  # now asked for by its draft

    assert the_campaign().status == RoundStatus.SENT


@pytest.mark.django_db
def test_reading_again_without_news_writes_nothing(scene: Scene, marketing: Marketing) -> None:
    marketing.sends(scene.lists.campaign[0], "Spring")
    marketing.plans(scene.lists.campaign[1], "Spring", days=2)
    sync(scene)
    before = list(CampaignSchedule.objects.order_by("pk").values())

    found = sync(scene)

    assert (found.new, found.changed, found.relabelled) == (0, 1, 0)  # its counters were read again
    for row in before + (after := list(CampaignSchedule.objects.order_by("pk").values())):
        del row["counted_at"]
    assert after == before


@pytest.mark.django_db
def test_two_rows_of_one_send_become_one(scene: Scene, marketing: Marketing) -> None:
    draft = marketing.sends(scene.lists.campaign[0], "Spring")
    sync(scene)
    CampaignSchedule.objects.update(mailjet_draft_id=None)
    factories.a_campaign(
        list=scene.lists.campaign[0],
        kind=CampaignKind.ONE_OFF,
        status=RoundStatus.SCHEDULED,
        mailjet_campaign_id=None,
        mailjet_draft_id=draft,
    )

    sync(scene)

    assert (the_campaign().mailjet_draft_id, the_campaign().status) == (draft, RoundStatus.SENT)


@pytest.mark.django_db(transaction=True)
def test_two_readings_at_once_make_one_row(scene: Scene, standin: StandIn, marketing: Marketing) -> None:
    marketing.sends(scene.lists.campaign[0], "Spring")
    marketing.plans(scene.lists.campaign[1], "Spring", days=2)

    def read() -> Synced:
        with scenes.connect(standin) as mailjet:
            return campaigns.sync(mailjet=mailjet, now=scene.clock())

    found = scenes.together(4, read)

    assert CampaignSchedule.objects.count() == 2
    assert Cycle.objects.count() == 1
    assert sum(each.new for each in found) == 2


@pytest.mark.django_db
def test_an_older_reading_changes_nothing_that_a_younger_one_stored(
    scene: Scene, marketing: Marketing
) -> None:
    began = scene.clock()
    sync(scene)
    marketing.sends(scene.lists.campaign[0], "Spring")

    late = campaigns.sync(mailjet=scene.outside.mailjet, now=began)

    assert late.is_superseded
    assert not CampaignSchedule.objects.exists()


# --- Plans change ------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_postponed_send_moves(scene: Scene, marketing: Marketing) -> None:
    draft = marketing.plans(scene.lists.campaign[0], "Spring", days=2)
    sync(scene)
    marketing.postpone(draft, to=scene.clock.in_days(5).replace(microsecond=0))

    sync(scene)

    assert the_campaign().scheduled_at == scene.clock.in_days(5).replace(microsecond=0)


@pytest.mark.django_db
def test_what_is_called_off_is_cancelled_with_its_cause_and_may_be_scheduled_again(
    scene: Scene, marketing: Marketing
) -> None:
    draft = marketing.plans(scene.lists.campaign[0], "Spring", days=2)
    sync(scene)
    marketing.call_off(draft)
    sync(scene)
    called_off = the_campaign()

    marketing.schedule(draft, at=scene.clock.in_days(3))
    sync(scene)

    assert (called_off.status, called_off.cause) == (
        RoundStatus.CANCELLED,
        "its schedule was taken away at Mailjet",
    )
    assert (the_campaign().pk, the_campaign().status, the_campaign().cause) == (
        called_off.pk,
        RoundStatus.SCHEDULED,
        "",
    )


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("sql", "cause"),
    [
        ("UPDATE drafts SET status = -2", "its draft was deleted at Mailjet"),
        ("UPDATE drafts SET status = -1", "its draft was archived at Mailjet"),
        ("UPDATE drafts SET status = -3", "its A/B test was cancelled at Mailjet"),
        ("DELETE FROM drafts", "Mailjet does not know its draft any more"),
        ("UPDATE drafts SET list_id = 77", "its draft goes to another list now"),
    ],
)
def test_a_cancelled_send_says_why(scene: Scene, marketing: Marketing, sql: str, cause: str) -> None:
    scene.at_mailjet("INSERT INTO lists (id, name, address, created_at) VALUES (77, 'other', 'x', 0)")
    marketing.plans(scene.lists.campaign[0], "Spring", days=2)
    sync(scene)

    scene.at_mailjet(sql)
    sync(scene)

    assert (the_campaign().status, the_campaign().cause) == (RoundStatus.CANCELLED, cause)


@pytest.mark.django_db
def test_what_is_past_its_time_without_a_campaign_says_so_after_an_hour(
    scene: Scene, marketing: Marketing
) -> None:
    marketing.plans(scene.lists.campaign[0], "Spring", days=1)
    scene.at_mailjet("UPDATE drafts SET overdue = 1")  # Mailjet does not get round to it
    scene.clock.passes(timedelta(days=1, minutes=50))
    sync(scene)
    assert the_campaign().cause == ""

    scene.clock.passes(timedelta(minutes=20))
    sync(scene)

    assert the_campaign().status == RoundStatus.SCHEDULED
    assert "Mailjet shows no campaign of it" in the_campaign().cause
    assert cycle.is_frozen(permission.rounds_of(scene.lists.campaign[0]), at=scene.clock())


@pytest.mark.django_db
def test_what_was_sent_stays_sent(scene: Scene, marketing: Marketing) -> None:
    marketing.sends(scene.lists.campaign[0], "Spring")
    sync(scene)
    before = the_campaign()
    scene.at_mailjet("UPDATE campaigns SET send_end_at = NULL, status = 3")
    scene.at_mailjet("UPDATE drafts SET status = -2")

    sync(scene)

    assert (the_campaign().status, the_campaign().ended_at) == (RoundStatus.SENT, before.ended_at)


@pytest.mark.django_db
def test_a_send_that_was_stopped_half_way_is_cancelled_after_it_began(
    scene: Scene, marketing: Marketing
) -> None:
    scene.control.settings(send_seconds=86_400.0)
    marketing.sends(scene.lists.campaign[0], "Spring")
    scene.clock.passes(timedelta(minutes=5))
    sync(scene)
    assert the_campaign().status == RoundStatus.SENDING

    scene.at_mailjet("UPDATE drafts SET status = -1")
    scene.clock.passes(timedelta(hours=2))
    sync(scene)
    stopped = the_campaign()
    scene.clock.passes(timedelta(days=1))
    sync(scene)

    assert stopped.status == RoundStatus.CANCELLED
    assert stopped.cause == "stopped after it had begun: its draft was archived at Mailjet"
    assert stopped.started_at is not None
    assert the_campaign().status == RoundStatus.SENT  # it came to its end after all


# --- How much is asked -------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_reading_takes_two_requests_and_one_for_each_plan_and_each_late_send(
    scene: Scene, marketing: Marketing
) -> None:
    for number in range(6):
        marketing.sends(scene.lists.campaign[number % 3], f"Issue {number // 3}")
        scene.clock.passes(timedelta(days=2))
    for contact_list in scene.lists.campaign:
        marketing.plans(contact_list, "Issue 3", days=3)

    first = sync(scene)
    again = sync(scene)
    scene.clock.passes(timedelta(days=1))
    next_day = sync(scene)

    assert first.requests == 2 + 3 + 2 * 6  # once: each campaign's draft and counters
    assert again.requests == 2 + 3
    assert next_day.requests == 2 + 3 + 2  # the counters of those that ended less than five days ago
    assert next_day.seen == 3 + 2


@pytest.mark.django_db
def test_counters_are_read_until_five_days_after_the_end(scene: Scene, marketing: Marketing) -> None:
    scene.control.settings(stat_lag_seconds=7200.0)
    marketing.sends(scene.lists.campaign[0], "Spring")
    scene.clock.passes(timedelta(minutes=30))
    sync(scene)
    at_first = the_campaign().processed
    for _ in range(12):
        scene.clock.passes(timedelta(hours=12))
        sync(scene)
    settled = the_campaign()
    scene.clock.passes(timedelta(days=1))

    assert sync(scene).requests == 2
    assert (at_first, settled.processed) == (0, 12)
    assert settled.counted_at is not None
    assert settled.ended_at is not None
    assert timedelta(days=5) <= settled.counted_at - settled.ended_at <= timedelta(days=5, hours=12)


@pytest.mark.django_db
def test_the_first_reading_looks_back_half_a_year(scene: Scene) -> None:
    world = scenes.document()
    world["campaigns"] = [
        {
            "id": key,
            "draft_id": key,
            "list_id": scene.lists.campaign[0].mailjet_id,
            "subject": f"Issue {key}",
            "send_start_at": scene.clock.in_days(-days).isoformat(),
            "send_end_at": scene.clock.in_days(-days).isoformat(),
        }
        for key, days in ((1, 179), (2, 181))
    ]
    scene.control.load(world)

    sync(scene)

    assert the_campaign().mailjet_campaign_id == 1


@pytest.mark.django_db
def test_without_mailjet_nothing_is_stored(scene: Scene, marketing: Marketing) -> None:
    marketing.sends(scene.lists.campaign[0], "Spring")
    scene.control.fault(path="statcounters", status=502)

    with pytest.raises(MailjetUnavailable):
        sync(scene)

    assert not CampaignSchedule.objects.exists()
    assert not CampaignSync.objects.exists()


@pytest.mark.django_db
def test_before_the_lists_are_known_mailjet_is_not_asked(outside: Outside) -> None:
    assert campaigns.sync(mailjet=outside.mailjet, now=NOON) == Synced()
    assert outside.mailjet.requests == 0


# --- To whom it should not go ------------------------------------------------------------------------


def alerts() -> list[str]:
    return list(Notification.objects.order_by("pk").values_list("text", flat=True))


@pytest.mark.django_db
def test_a_send_to_the_master_list_is_a_one_off_and_alerts_when_planned_and_when_sent(
    scene: Scene, marketing: Marketing
) -> None:
    marketing.plans(scene.lists.master, "Our terms", days=1)
    sync(scene)
    sync(scene)
    planned = alerts()
    scene.clock.passes(timedelta(days=1, minutes=1))
    sync(scene)
    sync(scene)

    row = the_campaign()
    assert (row.kind, row.cycle, row.list) == (CampaignKind.ONE_OFF, None, scene.lists.master)
    [words] = planned
    assert words.startswith(f"Alert: Campaign {row.pk} to the master list is scheduled for 03 March 2026")
    assert len(alerts()) == 2
    assert "was sent" in alerts()[1]


@pytest.mark.django_db
def test_what_was_sent_to_everybody_long_ago_is_stored_without_an_alert(
    scene: Scene, marketing: Marketing
) -> None:
    marketing.sends(scene.lists.master, "Our terms")
    scene.clock.passes(timedelta(days=8))

    sync(scene)

    assert (the_campaign().kind, alerts()) == (CampaignKind.ONE_OFF, [])


@pytest.mark.django_db
def test_campaigns_to_unknown_lists_are_none_of_ours(scene: Scene, marketing: Marketing) -> None:
    scene.at_mailjet("INSERT INTO lists (id, name, address, created_at) VALUES (77, 'other', 'x', 0)")
    scene.at_mailjet("UPDATE memberships SET list_id = 77 WHERE list_id = ?", 10503499)
    other = factories.ContactList(mailjet_id=77)
    marketing.sends(other, "Elsewhere")
    marketing.plans(other, "Elsewhere", days=2)

    assert sync(scene).seen == 0
    assert not CampaignSchedule.objects.exists()


# --- Cycles ------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_cycle_that_came_to_no_end_alerts_once_after_21_days(scene: Scene, marketing: Marketing) -> None:
    for contact_list in scene.lists.campaign[:2]:
        marketing.sends(contact_list, "Spring")
    sync(scene)
    scene.clock.passes(timedelta(days=21))
    sync(scene)
    sync(scene)

    found = Cycle.objects.get()
    assert found.ended_how == CycleEnd.OVERDUE
    [words] = alerts()
    assert "Cycle 1 began 21 days ago" in words
    assert "No round was sent to campaign list 3." in words


@pytest.mark.django_db
def test_moves_wait_while_a_lists_own_round_may_still_come(scene: Scene, marketing: Marketing) -> None:
    one, two, three = scene.lists.campaign
    for contact_list, subject in ((one, "Spring"), (two, "Spring"), (three, "A spring of our own")):
        marketing.sends(contact_list, subject)
    scene.clock.passes(timedelta(minutes=1))
    sync(scene)
    odd = CampaignSchedule.objects.get(list=three)
    doubt = Cycle.objects.get().doubt
    allowed = rotation.moves_allowed(at=scene.clock())

    labels.say(odd.pk, kind=CampaignKind.ROUND, cycle=1, by=a_reviewer(), why="it is", now=scene.clock())

    assert f"campaign {odd.pk} to List 3" in doubt
    assert not allowed
    assert (Cycle.objects.get().doubt, Cycle.objects.get().ended_how) == ("", CycleEnd.COMPLETE)
    assert rotation.moves_allowed(at=scene.clock())


@pytest.mark.django_db
def test_no_moves_while_an_earlier_cycle_still_goes_out(scene: Scene, marketing: Marketing) -> None:
    one, two, three = scene.lists.campaign
    for contact_list in (one, two):
        marketing.sends(contact_list, "Spring")
    for contact_list in (one, two, three):
        marketing.sends(contact_list, "Seeds")
    late = marketing.plans(three, "Spring", days=1)
    scene.clock.passes(timedelta(minutes=1))
    sync(scene)
    before = rotation.moves_allowed(at=scene.clock())
    marketing.call_off(late)
    sync(scene)

    assert not before
    assert rotation.moves_allowed(at=scene.clock())


@pytest.mark.django_db
def test_hindsight_is_written_down_with_the_runs_that_judged_otherwise(
    scene: Scene, marketing: Marketing, caplog: pytest.LogCaptureFixture
) -> None:
    one, two, three = scene.lists.campaign
    marketing.sends(one, "Invitation")
    scene.clock.passes(timedelta(days=1))
    sync(scene)
    invitation = the_campaign()
    run = factories.a_run(campaign=invitation, created_at=scene.clock())
    factories.an_agent_call(run=run)
    scene.clock.passes(timedelta(days=3))
    for contact_list in (one, two, three):
        marketing.sends(contact_list, "Spring")
    sync(scene)

    entry = AuditEntry.objects.get(action="labelled anew")
    assert (invitation.kind, CampaignSchedule.objects.get(pk=invitation.pk).kind) == ("round", "one_off")
    assert (entry.subject_id, entry.details["judged_by_runs"]) == (invitation.pk, [run.pk])
    assert (entry.details["was"]["kind"], entry.details["is_now"]["kind"]) == ("round", "one_off")
    assert "judged under another label" in caplog.text


# --- The doors ---------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_timetable_reads_campaigns_every_quarter_of_an_hour(scene: Scene, marketing: Marketing) -> None:
    marketing.sends(scene.lists.campaign[0], "Spring")
    job = Recurring.SYNC_CAMPAIGNS

    assert timetable.do(job, outside=scene.outside, clock=scene.clock)
    assert not timetable.do(job, outside=scene.outside, clock=scene.clock)
    scene.clock.passes(timedelta(minutes=15))
    assert timetable.do(job, outside=scene.outside, clock=scene.clock)

    assert RecurringJob.objects.get(job=job).outcome.startswith("1 campaigns and drafts seen, 0 of them new")


@pytest.mark.django_db
def test_the_command_says_what_was_found(
    scene: Scene, standin: StandIn, marketing: Marketing, capsys: pytest.CaptureFixture[str]
) -> None:
    now = scene.clock()
    for contact_list in scene.lists.campaign:
        marketing.sends(contact_list, "Spring")
    with override_settings(MAILJET_BASE_URL=standin.url), patch_now(now + timedelta(minutes=1)):
        call_command("sync_campaigns", "--json")
        told = json.loads(capsys.readouterr().out)
        call_command("sync_campaigns")

    assert (told["seen"], told["new"], told["cycle"], told["scheduled"]) == (3, 3, 1, [])
    assert "cycle 1 has ended (complete)" in capsys.readouterr().out


@pytest.mark.django_db
def test_the_command_names_what_is_to_be_sent(
    scene: Scene, standin: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    coming = factories.a_campaign(
        list=scene.lists.campaign[1],
        subject="Summer",
        status=RoundStatus.SCHEDULED,
        started_at=None,
        ended_at=None,
        scheduled_at=scene.clock() + timedelta(days=3),
        mailjet_campaign_id=None,
    )
    with override_settings(MAILJET_BASE_URL=standin.url), patch_now(scene.clock()):
        call_command("sync_campaigns", "--json")
        told = json.loads(capsys.readouterr().out)
        call_command("sync_campaigns")

    assert told["scheduled"] == [coming.pk]
    said = capsys.readouterr().out
    assert f"Campaign {coming.pk}, Summer, to {coming.list}: scheduled for" in said


@pytest.mark.django_db
def test_a_run_reads_campaigns_first(scene: Scene, marketing: Marketing) -> None:
    marketing.sends(scene.lists.campaign[0], "Spring")
    scene.clock.passes(timedelta(hours=25))
    sync(scene)
    marketing.sends(scene.lists.campaign[1], "Spring")
    run = post_campaign.start(
        the_campaign().pk,
        trigger=Trigger.SCHEDULE,
        by=None,
        configuration=scene.outside.configuration,
        now=scene.clock(),
    )

    scene.go_on(run)

    assert CampaignSchedule.objects.count() == 2
