"""Sends are looked at before they go out, by themselves and on request, and what is found is told once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from listmanagement.domain.cycle import RoundStatus
from listmanagement.domain.validation import Check, Instant, Severity, Verdict
from listmanagement.models import (
    BatchKind,
    BatchStatus,
    CampaignKind,
    CampaignSchedule,
    CampaignValidation,
    Change,
    Contact,
    Notification,
    NotificationKind,
    Recurring,
    Role,
    RunKind,
    RunStatus,
)
from listmanagement.outside import Outside
from listmanagement.workflows import campaigns, mirror, timetable
from listmanagement.workflows.before_sends import pre_campaign, watching
from listmanagement.workflows.before_sends.pre_campaign import Looked
from listmanagement.workflows.by_people.refusals import NotAllowed
from tests import factories
from tests.workflows import marketing as people
from tests.workflows import scene as scenes
from tests.workflows.marketing import Marketing
from tests.workflows.scene import Scene, StandIn

pytestmark = pytest.mark.django_db


@pytest.fixture
def members(scene: Scene) -> list[Contact]:
    """Twelve members on each campaign list; those of the first are the test's."""
    found = [list(scenes.people(12, on=[scene.lists.master, each])) for each in scene.lists.campaign]
    return found[0]


@pytest.fixture
def marketing(standin: StandIn, scene: Scene, members: list[Contact]) -> Iterator[Marketing]:
    """Somebody at Mailjet's pages."""
    scene.publish()
    with people.at_work(standin, scene.clock) as marketing:
        yield marketing


def planned(scene: Scene, marketing: Marketing, *, hours: float = 30.0, **fields: Any) -> CampaignSchedule:
    """A send to the first list that is scheduled at Mailjet and known here."""
    draft = marketing.plans(scene.lists.campaign[0], "Spring", days=hours / 24, **fields)
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    return CampaignSchedule.objects.get(mailjet_draft_id=draft)


def look(scene: Scene, campaign: CampaignSchedule, *, outside: Outside | None = None) -> Looked:
    return pre_campaign.validate(campaign.pk, outside=outside or scene.outside, by=None, now=scene.clock())


def kinds(looked: Looked, *severities: str) -> list[str]:
    wanted = severities or ("warning", "blocking")
    return [each.check.value for each in looked.findings if each.severity.value in wanted]


def watch(scene: Scene, *, outside: Outside | None = None) -> str:
    return watching.keep_watch(outside=outside or scene.outside, clock=scene.clock)


# --- What is found ---------------------------------------------------------------------------------------


def test_a_send_with_nothing_against_it_passes_and_the_look_is_kept(
    scene: Scene, marketing: Marketing
) -> None:
    campaign = planned(scene, marketing)

    looked = look(scene, campaign)

    assert (looked.look.verdict, looked.look.size, kinds(looked)) == (Verdict.PASS, 12, [])
    kept = CampaignValidation.objects.get()
    assert [(each.kind, each.severity) for each in kept.findings.all()] == [
        (Check.AGENTS, Severity.NOTE)  # no key is set: rules judge
    ]
    assert not Notification.objects.exists()


def test_what_changed_at_mailjet_since_the_last_reading_is_found(scene: Scene, marketing: Marketing) -> None:
    one, two, _ = scene.lists.campaign
    campaign = planned(scene, marketing)
    assert look(scene, campaign).look.verdict == Verdict.PASS
    on_two, suppressed = one.memberships.order_by("rank")[:2]
    factories.an_imported_suppression(contact=suppressed.contact)
    scene.a_person("addnoforce", on_two.contact, two)
    scene.clock.passes(timedelta(minutes=11))  # what was just read is fresh for ten minutes

    looked = look(scene, campaign)

    assert looked.look.verdict == Verdict.BLOCK
    found = {each.check: each.contacts for each in looked.findings if each.severity is Severity.BLOCKING}
    assert found == {
        Check.SUPPRESSED: (suppressed.contact_id,),
        Check.SEVERAL_LISTS: (on_two.contact_id,),
    }


def test_whoever_said_no_and_is_subscribed_still_blocks_the_list_where_they_are(
    scene: Scene, marketing: Marketing, members: list[Contact]
) -> None:
    campaign = planned(scene, marketing)
    said_no = {"opted_out_at": scene.clock(), "opted_out_by": "an event"}
    Contact.objects.filter(pk=members[0].pk).update(**said_no)
    elsewhere = scene.lists.campaign[1].memberships.first()
    assert elsewhere is not None
    Contact.objects.filter(pk=elsewhere.contact_id).update(**said_no)

    looked = look(scene, campaign)

    [found] = [each for each in looked.findings if each.check is Check.SAID_NO]
    assert (found.severity, found.contacts) == (Severity.BLOCKING, (members[0].pk,))


def test_a_list_that_was_deleted_at_mailjet_blocks(scene: Scene, marketing: Marketing) -> None:
    campaign = planned(scene, marketing)
    scene.at_mailjet("UPDATE lists SET is_deleted = 1 WHERE id = ?", scene.lists.campaign[0].mailjet_id)

    assert kinds(look(scene, campaign), "blocking") == [Check.LIST_DELETED]


def test_a_send_to_the_master_list_blocks(scene: Scene, marketing: Marketing) -> None:
    draft = marketing.plans(scene.lists.master, "Spring", days=1)
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    campaign = CampaignSchedule.objects.get(mailjet_draft_id=draft)

    assert campaign.list.role == Role.MASTER
    assert Check.WRONG_LIST in kinds(look(scene, campaign), "blocking")


def test_a_list_that_got_larger_than_the_journal_explains_is_told(scene: Scene, marketing: Marketing) -> None:
    one = scene.lists.campaign[0]
    past = factories.a_run(
        status=RunStatus.SUCCEEDED,
        finished_at=scene.clock() - timedelta(days=2),
        state_after={"lists": [{"id": one.pk, "size": 10}], "deviation": 0.0, "suppressed": 0},
    )
    joined = one.memberships.first()
    assert joined is not None
    one.memberships.filter(pk=joined.pk).update(
        since=scene.clock() - timedelta(days=1),
        began_by=Change.OPERATION,
        began_with=factories.an_operation(batch=factories.a_batch(run=past), item=factories.an_item()),
    )
    campaign = planned(scene, marketing)

    [found] = [each for each in look(scene, campaign).findings if each.check is Check.SIZE]

    assert found.severity is Severity.WARNING  # 12 instead of 11
    assert "1 more than the journal explains (11)" in found.words


def test_an_earlier_round_of_the_cycle_that_bounced_blocks_the_next(
    scene: Scene, marketing: Marketing
) -> None:
    cycle = factories.a_cycle(started_at=scene.clock() - timedelta(days=3))
    began = scene.clock() - timedelta(days=3)
    first = factories.a_campaign(
        list=scene.lists.campaign[1], cycle=cycle, started_at=began, ended_at=began + timedelta(hours=1)
    )
    for n in range(10):
        bounced = factories.a_recipient(campaign=first, **({"outcome": "bounced"} if n == 0 else {}))
        if n == 0:
            factories.a_bounce(recipient=bounced)
    campaign = planned(scene, marketing)
    CampaignSchedule.objects.filter(pk=campaign.pk).update(cycle=cycle, kind=CampaignKind.ROUND, round=2)

    [found] = [each for each in look(scene, campaign).findings if each.check is Check.EARLIER_ROUND]

    assert found.severity is Severity.BLOCKING
    assert f"Campaign {first.pk} to List 2" in found.words
    assert "10.0% of 10" in found.words


def test_a_repeat_a_segment_and_another_send_about_the_same_time_are_noticed(
    scene: Scene, marketing: Marketing
) -> None:
    one, two, _ = scene.lists.campaign
    marketing.sends(one, "Spring")
    scene.clock.passes(timedelta(hours=1))
    marketing.sends(two, "Spring")
    scene.clock.passes(timedelta(hours=1))
    marketing.plans(two, "Summer", days=1.1)
    campaign = planned(scene, marketing, hours=26, SegmentationID=None)
    CampaignSchedule.objects.filter(pk=campaign.pk).update(segmentation_id=7)

    looked = look(scene, campaign)

    assert campaign.kind == CampaignKind.REPEAT
    assert kinds(looked, "blocking") == [Check.SENT_BEFORE]
    assert {Check.AT_ONCE.value, Check.SEGMENT.value} <= set(kinds(looked, "warning"))


def test_a_round_that_is_due_and_not_scheduled_is_told_once(scene: Scene, marketing: Marketing) -> None:
    marketing.sends(scene.lists.campaign[0], "Spring")
    marketing.sends(scene.lists.campaign[1], "Spring")
    scene.clock.passes(timedelta(days=8, hours=1))
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())

    watch(scene)
    watch(scene)

    [told] = Notification.objects.filter(text__contains="no draft is scheduled")
    assert "the round to List 3" in told.text


def test_with_mailjet_away_what_is_known_is_judged_and_said_to_be_old(
    scene: Scene, marketing: Marketing
) -> None:
    campaign = planned(scene, marketing)
    mirror.refresh_all(mailjet=scene.outside.mailjet, now=scene.clock())
    scene.clock.passes(timedelta(hours=2))
    scene.control.fault(path=".*", status=503, times=100)

    looked = look(scene, campaign)

    assert looked.look.verdict == Verdict.WARN
    assert {Check.NOT_ASKED.value, Check.FRESHNESS.value} <= set(kinds(looked, "warning"))


def test_only_what_is_to_be_sent_is_looked_at(scene: Scene) -> None:
    sent = factories.a_campaign(list=scene.lists.campaign[0])

    with pytest.raises(NotAllowed, match="is sent: only what is to be sent"):
        look(scene, sent)
    with pytest.raises(NotAllowed, match="does not exist"):
        pre_campaign.validate(10**9, outside=scene.outside, by=None, now=scene.clock())


# --- By itself -------------------------------------------------------------------------------------------


def test_each_send_is_looked_at_by_itself_once_at_each_instant_and_told_with_a_link(
    scene: Scene, marketing: Marketing, members: list[Contact]
) -> None:
    campaign = planned(scene, marketing, hours=25)
    factories.an_imported_suppression(contact=members[0])

    done = []
    for minutes in (0, 61, 10, 22 * 60, 10, 90, 5):
        scene.clock.passes(timedelta(minutes=minutes))
        watch(scene)
        done.append(CampaignValidation.objects.count())

    assert done == [0, 1, 1, 2, 2, 3, 3]
    instants = CampaignValidation.objects.order_by("pk").values_list("instant", flat=True)
    assert list(instants) == list(Instant)[:3]
    told = Notification.objects.order_by("pk")
    assert [each.kind for each in told] == [NotificationKind.ALERT] * 3
    assert f"/admin/listmanagement/campaignschedule/{campaign.pk}/change/" in json.dumps(told[0].blocks)
    assert "@" not in json.dumps([each.blocks for each in told])


def test_a_warning_is_told_and_a_pass_is_not(scene: Scene, marketing: Marketing) -> None:
    campaign = planned(scene, marketing, hours=23)
    CampaignSchedule.objects.filter(pk=campaign.pk).update(segmentation_id=7)
    watch(scene)
    [told] = Notification.objects.all()
    assert told.kind == NotificationKind.PRE_CAMPAIGN

    CampaignSchedule.objects.filter(pk=campaign.pk).update(segmentation_id=None)
    scene.clock.passes(timedelta(hours=21, minutes=30))
    watch(scene)

    assert CampaignValidation.objects.count() == 2
    assert Notification.objects.count() == 1


def test_a_send_that_was_moved_is_looked_at_again_for_its_new_time(
    scene: Scene, marketing: Marketing
) -> None:
    campaign = planned(scene, marketing, hours=23)
    watch(scene)
    assert campaign.mailjet_draft_id is not None
    was = campaign.scheduled_at
    marketing.postpone(campaign.mailjet_draft_id, to=scene.clock.in_days(0.9))

    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    watch(scene)
    watch(scene)

    campaign.refresh_from_db()
    assert campaign.postponed_from == was
    assert campaign.cause.startswith("moved at Mailjet, from")
    assert [each.sends_at for each in campaign.validations.order_by("pk")] == [was, campaign.scheduled_at]


def test_the_timetable_does_it_and_a_worker_that_died_keeps_it_for_minutes_only(
    scene: Scene, marketing: Marketing
) -> None:
    planned(scene, marketing, hours=23)

    assert timetable.do(Recurring.VALIDATE, outside=scene.outside, clock=scene.clock)

    assert CampaignValidation.objects.get().instant == Instant.DAY_BEFORE
    assert timetable.JOBS[Recurring.VALIDATE].dead_after <= timedelta(minutes=5)


# --- The freeze ------------------------------------------------------------------------------------------


def test_a_batch_not_seen_to_be_done_at_the_freeze_blocks_and_alerts(
    scene: Scene, marketing: Marketing, members: list[Contact]
) -> None:
    one, two, _ = scene.lists.campaign
    campaign = planned(scene, marketing, hours=3)
    run = factories.a_run(kind=RunKind.RECONCILIATION)
    batch = factories.a_batch(run=run, kind=BatchKind.TAKE_OFF, status=BatchStatus.SUBMITTED)
    factories.a_change(batch=batch, list=one)
    elsewhere = factories.a_batch(run=run, kind=BatchKind.TAKE_OFF, status=BatchStatus.SUBMITTED)
    factories.a_change(batch=elsewhere, list=two)
    assert kinds(look(scene, campaign)) == [Check.UNVERIFIED]  # a warning, an hour before the freeze

    scene.clock.passes(timedelta(hours=1))
    watch(scene)

    latest = CampaignValidation.objects.latest("pk")
    assert (latest.instant, latest.verdict) == (Instant.TWO_HOURS_BEFORE, Verdict.BLOCK)
    [finding] = latest.findings.filter(kind=Check.UNVERIFIED)
    assert f"(batch {batch.pk}), and it is frozen" in finding.words
    assert Notification.objects.get().kind == NotificationKind.ALERT
    campaign.refresh_from_db()
    assert campaign.status == RoundStatus.SCHEDULED  # unscheduled only where the settings say so
