"""A reviewer sends it anyway: what they cleared, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from integrations.mailjet import DraftStatus
from listmanagement.domain.cycle import RoundStatus
from listmanagement.domain.validation import Check, Verdict
from listmanagement.models import (
    AuditEntry,
    CampaignClearance,
    CampaignKind,
    CampaignSchedule,
    CampaignValidation,
    Contact,
    ContactSuppressionHistory,
    DraftOperation,
    DraftStatusHere,
    Notification,
    ValidationFinding,
)
from listmanagement.workflows import campaigns
from listmanagement.workflows.before_sends import pre_campaign, send_facts, watching
from listmanagement.workflows.by_people.refusals import NotAllowed
from tests import factories
from tests.workflows import scene as scenes
from tests.workflows.before_sends.blocked import (
    SCHEDULE,
    anyway,
    draft_of,
    look,
    passes_to,
    planned,
    watch,
    writes,
)
from tests.workflows.marketing import Marketing
from tests.workflows.scene import Scene, StandIn

pytestmark = pytest.mark.django_db


def test_a_reviewer_sends_it_anyway_and_it_is_scheduled_again_for_its_old_time_and_sent(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    watch(scene)
    ana = factories.a_reviewer("ana")

    said = anyway(scene, campaign, by=ana)
    watch(scene)
    watch(scene)

    campaign.refresh_from_db()
    assert "is scheduled again for" in said
    assert (campaign.status, campaign.cause) == (RoundStatus.SCHEDULED, "")
    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED
    clearance = CampaignClearance.objects.get()
    assert (clearance.by, clearance.why) == (ana, "they wait for it")
    entry = AuditEntry.objects.get(action="send anyway")
    assert (entry.actor, entry.details["why"]) == ("ana", "they wait for it")
    assert len(writes(scene)) == 2

    passes_to(scene, campaign, minutes_before=120)
    watch(scene)
    scene.clock.passes(timedelta(hours=3))
    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())
    campaign.refresh_from_db()
    assert campaign.status == RoundStatus.SENT
    assert DraftOperation.objects.count() == 2


@pytest.mark.parametrize("healed", [False, True], ids=["one more", "another one"])
def test_what_was_not_known_then_blocks_anew(
    scene: Scene, members: list[Contact], campaign: CampaignSchedule, healed: bool
) -> None:
    watch(scene)
    anyway(scene, campaign)
    watch(scene)
    if healed:
        factories.ContactSuppressionHistory.objects.all().delete()
    factories.an_imported_suppression(contact=members[1])
    passes_to(scene, campaign, minutes_before=120)

    watch(scene)

    assert CampaignValidation.objects.latest("pk").verdict == Verdict.BLOCK
    assert draft_of(scene, campaign) is DraftStatus.DRAFT


def test_a_block_that_was_cleared_before_it_is_enforced_never_is(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    watching.keep_watch(outside=scene.outside, clock=scene.clock)

    assert "goes out as scheduled" in anyway(scene, campaign)
    watch(scene)

    assert writes(scene) == []
    assert not DraftOperation.objects.exists()


def test_a_time_that_has_passed_is_cleared_and_not_scheduled(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    watch(scene)
    scene.clock.passes(timedelta(days=1))

    assert "its time has passed" in anyway(scene, campaign)
    watch(scene)

    assert len(writes(scene)) == 1


def test_who_may_not_and_what_has_no_reason_is_refused_and_twice_is_once(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    with pytest.raises(NotAllowed, match="nothing blocks"):
        anyway(scene, campaign)
    watch(scene)
    with pytest.raises(NotAllowed, match="may look, but not decide"):
        anyway(scene, campaign, by=factories.a_viewer())
    with pytest.raises(NotAllowed, match="needs a reason"):
        anyway(scene, campaign, why=" ")

    anyway(scene, campaign)

    with pytest.raises(NotAllowed, match="said so already"):
        anyway(scene, campaign)
    assert CampaignClearance.objects.count() == 1


def test_while_off_nobody_schedules_anything(scene: Scene, campaign: CampaignSchedule) -> None:
    watch(scene)
    off = replace(scene.outside.configuration, enabled=False)

    with pytest.raises(NotAllowed, match="LIST_MANAGEMENT_ENABLED"):
        pre_campaign.send_anyway(
            campaign.pk,
            look_id=CampaignValidation.objects.get().pk,
            by=factories.a_reviewer(),
            why="now",
            configuration=off,
            now=scene.clock(),
        )
    assert not CampaignClearance.objects.exists()


def test_what_was_cleared_is_named_so(scene: Scene, campaign: CampaignSchedule) -> None:
    watch(scene)
    anyway(scene, campaign)
    watch(scene)

    looked = pre_campaign.validate(campaign.pk, outside=scene.outside, by=None, now=scene.clock())

    assert looked.look.verdict == Verdict.WARN
    assert [each.check for each in looked.findings if each.is_cleared] == [Check.SUPPRESSED]


def test_a_send_that_was_scheduled_again_and_went_out_is_not_said_to_need_scheduling(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    watch(scene)
    passes_to(scene, campaign, minutes_before=10)
    anyway(scene, campaign)
    scene.control.fault(path=SCHEDULE, method="POST", timeout_after_acceptance=0, times=1)
    watch(scene)
    assert DraftOperation.objects.latest("pk").status == DraftStatusHere.SENDING
    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED
    scene.clock.passes(timedelta(hours=1))  # the worker was away; the send went out

    watch(scene)
    watch(scene)

    assert draft_of(scene, campaign) is DraftStatus.SENT
    assert not Notification.objects.filter(text__contains="schedule it at Mailjet for another").exists()


def test_a_send_that_a_person_calls_off_after_all_is_called_off_by_that_person(
    scene: Scene, marketing: Marketing, campaign: CampaignSchedule
) -> None:
    watch(scene)
    anyway(scene, campaign)
    watch(scene)
    campaign.refresh_from_db()
    assert campaign.status == RoundStatus.SCHEDULED
    assert campaign.mailjet_draft_id is not None
    scene.clock.passes(timedelta(minutes=30))
    marketing.call_off(campaign.mailjet_draft_id)

    campaigns.sync(mailjet=scene.outside.mailjet, now=scene.clock())

    campaign.refresh_from_db()
    assert (campaign.status, campaign.cause) == (
        RoundStatus.CANCELLED,
        "its schedule was taken away at Mailjet",
    )


def test_anyway_clears_what_the_reviewer_saw(
    scene: Scene, members: list[Contact], campaign: CampaignSchedule
) -> None:
    page = pre_campaign.validate(campaign.pk, outside=scene.outside, by=None, now=scene.clock())
    for each in members[1:4]:
        factories.an_imported_suppression(contact=each)
    pre_campaign.validate(campaign.pk, outside=scene.outside, by=None, now=scene.clock())  # meanwhile

    with pytest.raises(NotAllowed, match="was looked at again"):
        anyway(scene, campaign, look=page.look)
    looked = pre_campaign.validate(campaign.pk, outside=scene.outside, by=None, now=scene.clock())
    assert looked.look.verdict == Verdict.BLOCK


def test_what_was_cleared_of_one_list_blocks_on_another(
    scene: Scene, marketing: Marketing, members: list[Contact], campaign: CampaignSchedule
) -> None:
    watch(scene)
    anyway(scene, campaign)
    factories.a_membership(contact=members[0], list=scene.lists.campaign[1])
    CampaignSchedule.objects.filter(pk=campaign.pk).update(
        list=scene.lists.campaign[1], status=RoundStatus.SCHEDULED
    )
    campaign.refresh_from_db()

    assert pre_campaign.latest(campaign) is None
    configuration = scene.outside.configuration
    facts = send_facts.read(
        campaign,
        configuration=configuration,
        has_model=False,
        members_at_mailjet=None,
        not_asked="",
        now=scene.clock(),
    )
    assert (list(facts.suppressed), facts.cleared) == ([members[0].pk], {})


def test_clearing_one_earlier_round_does_not_clear_a_later_one(
    scene: Scene, members: list[Contact], campaign: CampaignSchedule
) -> None:
    factories.ContactSuppressionHistory.objects.all().delete()
    cycle = factories.a_cycle(started_at=scene.clock() - timedelta(days=3))

    def bounced(to: Any, days: float, *, hard: int, of: int) -> None:
        began = scene.clock() - timedelta(days=days)
        sent = factories.a_campaign(
            list=to, cycle=cycle, started_at=began, ended_at=began + timedelta(hours=1)
        )
        for n in range(of):
            to_one = factories.a_recipient(campaign=sent, **({"outcome": "bounced"} if n < hard else {}))
            if n < hard:
                factories.a_bounce(recipient=to_one)

    bounced(scene.lists.campaign[1], 3, hard=2, of=20)
    CampaignSchedule.objects.filter(pk=campaign.pk).update(cycle=cycle, kind=CampaignKind.ROUND, round=3)
    pre_campaign.validate(campaign.pk, outside=scene.outside, by=None, now=scene.clock())
    anyway(scene, campaign)
    bounced(scene.lists.campaign[2], 0.5, hard=2, of=10)

    looked = pre_campaign.validate(campaign.pk, outside=scene.outside, by=None, now=scene.clock())

    rounds = [(e.words[:40], e.is_cleared) for e in looked.findings if e.check is Check.EARLIER_ROUND]
    assert sorted(cleared for _, cleared in rounds) == [False, True], rounds
    assert looked.look.verdict == Verdict.BLOCK


def test_what_a_reviewer_clears_while_a_worker_looks_once_more_goes_out_as_they_were_told(
    scene: Scene, campaign: CampaignSchedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching.keep_watch(outside=scene.outside, clock=scene.clock)  # not enforced yet
    read = CampaignValidation.objects.get()
    scene.clock.passes(timedelta(minutes=5))
    find, said = pre_campaign.validation.find, []

    def meanwhile(*args: Any, **kwargs: Any) -> Any:
        found = find(*args, **kwargs)
        if not said:  # the worker has read the facts; now the reviewer's page is posted
            said.append(anyway(scene, campaign, look=read))
        return found

    monkeypatch.setattr(pre_campaign.validation, "find", meanwhile)
    watch(scene)

    assert "goes out as scheduled" in said[0]
    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED


def test_what_a_reviewer_clears_just_before_the_unscheduling_is_journaled_goes_out(
    scene: Scene, campaign: CampaignSchedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, said = watching._Enforcing._journal, []

    def meanwhile(enforcing: Any, *args: Any) -> None:
        said.append(anyway(scene, campaign))
        journal(enforcing, *args)

    monkeypatch.setattr(watching._Enforcing, "_journal", meanwhile)
    watch(scene)

    assert "goes out as scheduled" in said[0]
    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED


def test_a_reviewer_who_reads_for_three_minutes_can_clear_what_has_not_changed_meanwhile(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    scene.control.fault(path=SCHEDULE, method="GET", status=503, times=1000)
    watch(scene)
    refused = []
    for _ in range(5):
        read = CampaignValidation.objects.latest("pk")
        scene.clock.passes(timedelta(minutes=3))
        watch(scene)  # the timetable goes on meanwhile
        try:
            anyway(scene, campaign, look=read)
        except NotAllowed as refusal:
            refused.append(str(refusal))

    found = {each.words for each in ValidationFinding.objects.filter(severity="blocking")}
    assert len(found) == 1
    assert len(refused) < 5, refused


def test_what_was_cleared_before_subjects_were_kept_stays_cleared(
    scene: Scene, campaign: CampaignSchedule
) -> None:
    ContactSuppressionHistory.objects.all().delete()
    cycle = factories.a_cycle(started_at=scene.clock() - timedelta(days=3))
    began = scene.clock() - timedelta(days=3)
    factories.a_campaign(
        list=scene.lists.campaign[0], cycle=cycle, started_at=began, ended_at=began + timedelta(hours=1)
    )
    CampaignSchedule.objects.filter(pk=campaign.pk).update(kind=CampaignKind.REPEAT, cycle=cycle, round=None)
    watching.keep_watch(outside=scene.outside, clock=scene.clock)
    read = CampaignValidation.objects.get()
    assert [each.kind for each in read.findings.filter(severity="blocking")] == [Check.SENT_BEFORE]
    anyway(scene, campaign, look=read)
    ValidationFinding.objects.update(subjects=None)  # as the release before kept them

    assert look(scene, campaign).verdict != Verdict.BLOCK


def test_more_than_twenty_contacts_that_were_cleared_before_all_were_kept_stay_cleared(
    scene: Scene, standin: StandIn
) -> None:
    found = list(scenes.people(30, on=[scene.lists.master, scene.lists.campaign[0]]))
    for each in found[:25]:
        factories.an_imported_suppression(contact=each)
    campaign = planned(scene, standin, to=scene.lists.campaign[0])
    watching.keep_watch(outside=scene.outside, clock=scene.clock)
    read = CampaignValidation.objects.get()
    anyway(scene, campaign, look=read)
    for finding in read.findings.all():  # as the release before kept them
        finding.contacts, finding.subjects = finding.contacts[:20], None
        finding.save()
    passes_to(scene, campaign, minutes_before=110)

    watch(scene)

    assert draft_of(scene, campaign) is DraftStatus.PROGRAMMED
