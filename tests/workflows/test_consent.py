"""What contacts said of themselves is applied where they are now, within minutes, whatever told us."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from listmanagement.domain.bounces import Outcome
from listmanagement.models import (
    BatchKind,
    BatchStatus,
    CampaignSchedule,
    Contact,
    ContactList,
    ContactListMembership,
    DecisionKind,
    DecisionStatus,
    HoldKind,
    ItemStatus,
    ListMaintenanceLog,
    Notification,
    RunKind,
    RunStatus,
    SuppressionKind,
)
from listmanagement.workflows import consent, consent_due, events, mirror, rotation, runs
from listmanagement.workflows.changes import whereabouts
from listmanagement.workflows.maintenance import drafts, losses
from tests import factories
from tests.workflows import scene as scenes
from tests.workflows.executing import a_move, a_suppression
from tests.workflows.hearing import (
    complains,
    consent_runs,
    hear,
    heard,
    opts_out,
    said_of,
    subscribed,
    suppression_of,
)
from tests.workflows.liar import at, lying
from tests.workflows.scene import Scene
from tests.workflows.test_journal_consent import comes_back_under_a_new_id, vanishes

pytestmark = pytest.mark.django_db(transaction=True)

BULK = {"path": "managemanycontacts$", "method": "POST"}


@pytest.fixture(autouse=True)
def _observing_has_begun(scene: Scene) -> None:
    factories.the_rollout()


# --- An opt-out ----------------------------------------------------------------------------------------


def test_who_opted_out_is_unsubscribed_on_every_campaign_list(scene: Scene) -> None:
    one, two, three = scene.lists.campaign
    [said, other] = scenes.people(2, on=[scene.lists.master, one, three])
    scene.publish()
    opts_out(scene, said)

    run = heard(scene)

    assert subscribed(scene, said) == []
    assert subscribed(scene, other) == [one, three]
    assert scene.standin.effects() == [
        (said.pk, each.mailjet_id, "subscribed", "unsubscribed") for each in (one, three)
    ]
    assert scene.members(scene.lists.master) == {said.pk: False, other.pk: False}
    assert said_of(said) == [("unsubscribe", ItemStatus.EXECUTED, "")]
    assert (run.status, run.counts["unsubscribed"]) == (RunStatus.SUCCEEDED, 1)
    assert two.memberships.count() == 0


def test_the_decision_says_whose_it_is_and_nobody_is_written_to(scene: Scene) -> None:
    [said, *_] = scenes.people(3, on=[scene.lists.master, scene.lists.campaign[1]])
    scene.publish()
    opts_out(scene, said)

    run = heard(scene)

    decision = run.decisions.get()
    assert (decision.kind, decision.status) == (DecisionKind.CONSENT, DecisionStatus.CLEAR)
    assert (decision.source, decision.confidence) == ("rules", 1.0)
    assert decision.title == "1 contact opted out: unsubscribed on List 2"
    assert "consent rule" in decision.rationale
    assert decision.groups.get().rationale == "Told by: an unsub event 1."
    assert run.report == "1 contact opted out and is unsubscribed on the campaign lists they were on."
    assert not Notification.objects.exists()
    assert run.agent_calls.count() == 0


def test_an_opt_out_costs_a_handful_of_requests(scene: Scene) -> None:
    [said, *_] = scenes.people(30, on=[scene.lists.master, scene.lists.campaign[1]])
    scene.publish()
    opts_out(scene, said)

    assert heard(scene).requests <= 8


def test_events_of_mailjet_reach_the_contact_on_whatever_list_it_is_now(scene: Scene) -> None:
    one, two, _ = scene.lists.campaign
    said, spam, _ = scenes.people(3, on=[scene.lists.master, two])
    scene.publish()
    told = {"time": int(scene.clock().timestamp()), "MessageID": 0, "mj_campaign_id": 0}
    unsub = {**told, "event": "unsub", "email": said.email, "mj_contact_id": said.pk}
    complaint = {**told, "event": "spam", "email": spam.email, "mj_contact_id": spam.pk, "source": "JMRPP"}
    events.store(json.dumps([{**unsub, "mj_list_id": one.mailjet_id}, complaint]).encode(), now=scene.clock())
    events.process(now=scene.clock())

    runs.hear(outside=scene.outside, clock=scene.clock)  # what was told lately is found without a look at all
    heard(scene)

    assert subscribed(scene, said) == []
    assert set(scene.members(scene.lists.suppression)) == {spam.pk}
    assert suppression_of(spam).kind == SuppressionKind.CONSENT


def test_who_opts_out_is_found_on_a_list_to_which_a_person_moved_them_since_it_was_read(scene: Scene) -> None:
    _, two, _ = scene.lists.campaign
    said, spam, other = scenes.people(3, on=[scene.lists.master])
    scene.publish()
    for each in (said, spam, other):
        scene.a_person("addforce", each, two)
    opts_out(scene, said)
    complains(scene, spam)

    heard(scene)

    assert subscribed(scene, said) == []
    assert (subscribed(scene, spam), subscribed(scene, other)) == ([], [two])
    assert set(scene.members(scene.lists.suppression)) == {spam.pk}
    assert scene.members(scene.lists.master)[said.pk] is False


def test_many_who_opt_out_are_found_where_a_person_moved_them_minutes_ago(scene: Scene) -> None:
    one, two, _ = scene.lists.campaign
    moved = scenes.people(whereabouts.FEW + 5, on=[scene.lists.master, one])
    scene.publish()
    for each in ContactList.objects.all():
        mirror.refresh(each, mailjet=scene.outside.mailjet, now=scene.clock())
    scene.clock.passes(timedelta(minutes=5))
    for contact in moved:
        scene.a_person("remove", contact, one)
        scene.a_person("addforce", contact, two)
    opts_out(scene, *moved)

    run = heard(scene)

    assert [subscribed(scene, contact) for contact in moved] == [[]] * len(moved)
    assert set(scene.members(two).values()) == {True}
    assert run.requests < whereabouts.FEW, "their lists are read, not each of them"


def test_where_somebody_is_is_asked_for_once_when_nothing_is_to_be_done(scene: Scene) -> None:
    [said] = scenes.people(1, on=[scene.lists.master])
    scene.publish()
    opts_out(scene, said)

    run = heard(scene)
    requests = scene.outside.mailjet.requests
    hear(scene)

    assert (run.status, run.decisions.count(), scene.standin.writes()) == (RunStatus.SUCCEEDED, 0, [])
    assert run.report == "Everybody who said something stands as they said: nothing was to be done."
    assert (consent_runs(), scene.outside.mailjet.requests) == ([run], requests)


def test_who_is_on_the_master_list_alone_or_has_no_address_is_left_alone(scene: Scene) -> None:
    [registered] = scenes.people(1, on=[scene.lists.master])
    [retired] = scenes.people(1, on=[scene.lists.campaign[0]])
    scene.publish()
    opts_out(scene, registered, retired)
    complains(scene, registered)
    Contact.objects.filter(pk=retired.pk).update(email=None, retired_at=scene.clock())

    run = heard(scene)

    assert (run.decisions.count(), scene.standin.writes()) == (0, [])
    assert said_of(registered) == said_of(retired) == []


def test_whom_a_person_subscribes_again_is_unsubscribed_again(scene: Scene) -> None:
    one = scene.lists.campaign[0]
    [said] = scenes.people(1, on=[scene.lists.master, one])
    scene.publish()
    opts_out(scene, said)
    heard(scene)

    scene.a_person("addforce", said, one)
    ContactListMembership.objects.filter(contact=said, list=one).update(unsubscribed=False)  # as a reading
    heard(scene)

    assert subscribed(scene, said) == []
    assert said_of(said) == [("unsubscribe", ItemStatus.EXECUTED, "")] * 2


def test_many_are_looked_up_by_their_lists_and_changed_in_one_request_a_list(scene: Scene) -> None:
    one, two, _ = scene.lists.campaign
    some, others = scenes.people(15, on=[one]), scenes.people(15, on=[two])
    scene.publish()
    opts_out(scene, *some, *others)

    run = heard(scene)

    assert set(scene.members(one).values()) == set(scene.members(two).values()) == {True}
    assert len(scene.standin.writes()) == 2
    assert run.decisions.get().title == "30 contacts opted out: applied where they are"
    assert run.requests < 30


# --- A complaint ---------------------------------------------------------------------------------------


def test_who_complained_leaves_the_campaign_lists_for_the_suppression_list(scene: Scene) -> None:
    one, two, _ = scene.lists.campaign
    [said, other] = scenes.people(2, on=[scene.lists.master, one, two])
    proof = factories.a_bounce(
        recipient=factories.a_recipient(contact=said, outcome=Outcome.COMPLAINED), state=21
    )
    scene.publish()
    complains(scene, said)

    run = heard(scene)

    assert [said.pk in scene.members(each) for each in (one, two)] == [False, False]
    assert set(scene.members(scene.lists.suppression)) == {said.pk}
    assert scene.members(scene.lists.master) == {said.pk: False, other.pk: False}
    found = suppression_of(said)
    assert (found.kind, found.evidence, found.removed_from) == (SuppressionKind.CONSENT, proof, one)
    assert found.item is not None
    assert found.item.decision.run == run
    assert found.operation is not None
    assert found.operation.kind == BatchKind.COMPLAINT
    assert found.reason == "complained of spam; told by a spam event"
    assert len(scene.standin.effects()) == 3


def test_a_complaint_beats_an_opt_out(scene: Scene) -> None:
    one = scene.lists.campaign[0]
    [said] = scenes.people(1, on=[one])
    scene.publish()
    opts_out(scene, said)
    complains(scene, said)

    run = heard(scene)

    assert said_of(said) == [("complaint", ItemStatus.EXECUTED, "")]
    assert run.decisions.get().title == (
        "1 contact complained: off the campaign lists, onto the suppression list"
    )
    said.refresh_from_db()
    assert said.opted_out_at is not None


def test_who_complained_and_was_mailed_is_suppressed_though_on_no_campaign_list(scene: Scene) -> None:
    [mailed, stranger] = scenes.people(2, on=[scene.lists.master])
    factories.a_recipient(contact=mailed)
    scene.publish()
    complains(scene, mailed, stranger)

    heard(scene)

    assert set(scene.members(scene.lists.suppression)) == {mailed.pk}
    assert suppression_of(mailed).removed_from is None
    assert not stranger.suppressions.exists()


@pytest.mark.parametrize("others", [0, 25], ids=["few", "many"])
def test_a_complainer_whom_mailjet_does_not_know_any_more_is_not_made_anew_there(
    scene: Scene, others: int
) -> None:
    [said, *rest] = scenes.people(1 + others, on=[scene.lists.master, scene.lists.campaign[0]])
    scene.publish()
    complains(scene, said, *rest)
    vanishes(scene, said)

    heard(scene)

    assert len(scene.standin.writes()) == bool(others)
    assert hear(scene) == []
    assert set(scene.members(scene.lists.suppression)) == {each.pk for each in rest}


def test_a_hold_ends_with_a_complaint(scene: Scene) -> None:
    [said] = scenes.people(1, on=[scene.lists.campaign[0]])
    hold = factories.a_hold(kind=HoldKind.CONTACT, contact=said, since=factories.NOON)
    scene.publish()
    complains(scene, said)

    heard(scene)

    hold.refresh_from_db()
    assert hold.ended_how == "complained"


def test_a_complainer_whom_a_person_puts_back_on_a_campaign_list_leaves_it_again(scene: Scene) -> None:
    one = scene.lists.campaign[0]
    [said] = scenes.people(1, on=[one])
    scene.publish()
    complains(scene, said)
    heard(scene)
    before = suppression_of(said)

    scene.a_person("addnoforce", said, one)
    factories.a_membership(contact=said, list=one, since=scene.clock())
    heard(scene)

    assert said.pk not in scene.members(one)
    assert suppression_of(said) == before
    assert len(said_of(said)) == 2


def test_whom_a_person_lifted_since_the_complaint_is_not_suppressed_again(scene: Scene) -> None:
    [said] = scenes.people(1, on=[scene.lists.campaign[0]])
    scene.publish()
    complains(scene, said)
    heard(scene)
    kim, at = factories.a_user("kim"), scene.clock()
    said.suppressions.update(lifted_at=at, lifted_by=kim, lifted_why="their mistake, they say")
    scene.a_person("remove", said, scene.lists.suppression)
    said.memberships.current().update(until=at, ended_by="person", ended_with=None)

    assert hear(scene) == []


def test_a_suppression_that_moved_to_a_new_contact_id_is_made_good_at_mailjet(scene: Scene) -> None:
    [new] = scenes.people(1, on=[scene.lists.master, scene.lists.campaign[2]])
    factories.an_imported_suppression(contact=new, reason="suppressed as contact 1, whose address it is")
    scene.publish()
    complains(scene, new)

    heard(scene)

    assert set(scene.members(scene.lists.suppression)) == {new.pk}
    assert new.pk not in scene.members(scene.lists.campaign[2])
    assert suppression_of(new).kind == SuppressionKind.IMPORTED


# --- Only P9 keeps it, and shows that ------------------------------------------------------------------


def test_before_observing_is_started_nothing_is_executed_and_then_it_heals(scene: Scene) -> None:
    rollout = factories.RolloutState.objects.get()
    rollout.observing_since = None
    rollout.save()
    [said] = scenes.people(1, on=[scene.lists.campaign[0]])
    scene.publish()
    opts_out(scene, said)

    assert hear(scene) == []
    assert consent_runs() == []

    rollout.observing_since = scene.clock()
    rollout.save()
    heard(scene)
    assert subscribed(scene, said) == []


def test_switched_off_it_waits_and_says_for_what_and_how_many(scene: Scene) -> None:
    said = scenes.people(2, on=[scene.lists.campaign[0]])
    scene.publish()
    opts_out(scene, *said)
    switched_on = scene.outside
    scene.outside = replace(switched_on, configuration=scenes.configuration(enabled=False))

    hear(scene)

    [run] = consent_runs()
    assert run.status == RunStatus.WAITING
    assert "LIST_MANAGEMENT_ENABLED" in run.waits_for
    assert run.counts == {"waiting": 2}
    assert scene.standin.writes() == []
    scene.outside = switched_on
    heard(scene)
    assert set(scene.members(scene.lists.campaign[0]).values()) == {True}
    assert run.pk == consent_runs()[-1].pk


def test_a_pause_that_begins_after_the_decision_keeps_the_request(scene: Scene) -> None:
    [said] = scenes.people(1, on=[scene.lists.campaign[0]])
    scene.publish()
    opts_out(scene, said)
    run = consent.start_if_needed(configuration=scene.outside.configuration, now=scene.clock())
    assert run is not None
    pausing = replace(scene, outside=scene.outside)
    scene.control.fault(path="getcontactslists$", status=503, times=100)
    hear(pausing)
    factories.RolloutState.objects.update(
        paused_at=scene.clock(), changed_by=factories.a_user("kim"), why="a holiday"
    )
    scene.control.clear_faults()
    scene.clock.passes(timedelta(minutes=2))
    hear(scene)

    run.refresh_from_db()
    assert "paused by kim" in run.waits_for
    assert scene.standin.writes() == []


def test_people_are_told_once_when_it_has_waited_for_five_minutes(scene: Scene) -> None:
    [said] = scenes.people(1, on=[scene.lists.campaign[0]])
    scene.publish()
    opts_out(scene, said)
    scene.outside = replace(scene.outside, configuration=scenes.configuration(enabled=False))
    hear(scene)
    scene.clock.passes(timedelta(minutes=4))
    hear(scene)
    assert not Notification.objects.exists()

    for _ in range(3):
        scene.clock.passes(timedelta(minutes=2))
        hear(scene)

    told = Notification.objects.get()
    assert "LIST_MANAGEMENT_ENABLED" in told.text
    assert f"consent run {consent_runs()[0].pk}" in told.text


# --- It waits for nobody else --------------------------------------------------------------------------


def test_two_who_look_at_once_start_one_run(scene: Scene) -> None:
    [said] = scenes.people(1, on=[scene.lists.campaign[0]])
    scene.publish()
    opts_out(scene, said)
    at = scene.clock()

    found = scenes.together(
        4, lambda: consent.start_if_needed(configuration=scene.outside.configuration, now=at)
    )

    assert len([run for run in found if run is not None]) == 1
    assert len(consent_runs()) == 1


def test_a_run_that_waits_for_review_or_holds_the_rotation_keeps_nobody_waiting(scene: Scene) -> None:
    one = scene.lists.campaign[0]
    [said] = scenes.people(1, on=[one])
    scene.publish()
    factories.a_run(status=RunStatus.WAITING_FOR_REVIEW)
    factories.a_run(status=RunStatus.WAITING, next_at=scene.clock() + timedelta(hours=5), holds_rotation=True)
    opts_out(scene, said)

    run = heard(scene)

    assert subscribed(scene, said) == []
    assert not run.holds_rotation


def test_a_list_that_is_frozen_is_no_obstacle(scene: Scene) -> None:
    one = scene.lists.campaign[0]
    said, spam = scenes.people(2, on=[one])
    scene.publish()
    factories.a_campaign(
        list=one, status=factories.RoundStatus.SCHEDULED, scheduled_at=scene.clock() + timedelta(minutes=30)
    )
    opts_out(scene, said)
    complains(scene, spam)

    heard(scene)

    assert scene.members(one) == {said.pk: True}


def test_a_suppression_under_way_is_awaited_and_then_nothing_is_left_to_do(scene: Scene) -> None:
    run, [said, *_] = a_suppression(scene)
    scene.control.settings(job_seconds=60)
    runs.sweep(outside=scene.outside, clock=scene.clock)
    opts_out(scene, said)

    hear(scene)

    [waiting] = consent_runs()
    assert waiting.waits_for == "a change of the same contacts to end"
    scene.clock.passes(timedelta(seconds=61))
    scene.go_on(run)
    heard(scene)
    assert set(scene.members(scene.lists.suppression)) >= {said.pk}
    said.refresh_from_db()
    assert said.opted_out_at is not None
    assert ListMaintenanceLog.objects.filter(kind=RunKind.CONSENT).count() == 1
    assert said_of(said) == []


def test_a_run_that_mailjet_keeps_waiting_keeps_nobody_else_waiting(scene: Scene) -> None:
    one = scene.lists.campaign[0]
    first, second = scenes.people(2, on=[one])
    scene.publish()
    scene.control.fault(**BULK, job="hang", times=1)
    opts_out(scene, first)
    hear(scene)
    scene.clock.passes(timedelta(minutes=1))
    opts_out(scene, second)

    hear(scene)
    scene.clock.passes(timedelta(seconds=10))
    hear(scene)

    assert scene.members(one) == {first.pk: False, second.pk: True}
    assert len(consent_runs()) == 2


def half_moved(scene: Scene) -> tuple[ListMaintenanceLog, Contact]:
    """Somebody has come to the second list and cannot leave the first one: a freeze has begun."""
    one, two, _ = scene.lists.campaign
    run, [moved] = a_move(scene, contacts=1)
    way_in = run.batches.filter(kind=BatchKind.MOVE_IN)
    scene.go_on_while(run, lambda: not way_in.filter(status=BatchStatus.SUBMITTED).exists())
    factories.a_campaign(
        list=one, status=factories.RoundStatus.SCHEDULED, scheduled_at=scene.clock() + timedelta(minutes=40)
    )
    scene.go_on_while(run, lambda: not way_in.filter(status=BatchStatus.APPLIED).exists())
    assert subscribed(scene, moved) == [one, two]
    return run, moved


def test_who_opts_out_half_way_of_a_move_is_unsubscribed_on_both_lists_and_then_leaves_one(
    scene: Scene,
) -> None:
    run, moved = half_moved(scene)
    one, two, _ = scene.lists.campaign
    opts_out(scene, moved)

    heard(scene)

    assert subscribed(scene, moved) == []
    scene.clock.passes(timedelta(minutes=40))
    CampaignSchedule.objects.filter(status=factories.RoundStatus.SCHEDULED).update(
        status=factories.RoundStatus.CANCELLED
    )
    scene.go_on(run)
    assert scene.members(one) == {}
    assert scene.members(two) == {moved.pk: True}
    assert len(scene.standin.effects()) == 4  # in, unsubscribed twice, out


def test_an_opt_out_follows_an_address_to_its_new_contact(scene: Scene) -> None:
    one = scene.lists.campaign[0]
    [said] = scenes.people(1, on=[one])
    scene.publish()
    opts_out(scene, said)
    comes_back_under_a_new_id(scene, said)

    heard(scene)
    mirror.refresh(one, mailjet=scene.outside.mailjet, now=scene.clock())
    heard(scene)

    assert scene.members(one) == {said.pk + 9_000_000: True}
    assert consent_due.waiting() is None


# --- What cannot be applied ----------------------------------------------------------------------------


def test_what_fails_is_tried_again_after_pauses_that_grow_and_told_once(scene: Scene) -> None:
    [said] = scenes.people(1, on=[scene.lists.campaign[0]])
    scene.publish()
    scene.control.fault(**BULK, status=400)
    opts_out(scene, said)
    began, tried = scene.clock(), []

    for _ in range(6 * 20):
        if hear(scene) and len(consent_runs()) > len(tried):
            tried.append(round((scene.clock() - began) / timedelta(minutes=1)))
        scene.clock.passes(timedelta(seconds=10))

    assert tried == [0, 1, 3, 7, 15]
    assert said_of(said)[0] == ("unsubscribe", ItemStatus.FAILED, said_of(said)[0][2])
    assert "400" in said_of(said)[0][2]
    assert consent_runs()[0].status == RunStatus.PARTIAL
    [told] = Notification.objects.all()
    assert f"1 contact ({said.pk})" in told.text
    waiting = consent_due.waiting()
    assert waiting is not None
    assert waiting.failing == (said.pk,)
    assert began <= waiting.oldest <= began + timedelta(seconds=20)

    scene.control.clear_faults()
    scene.clock.passes(timedelta(minutes=16))
    heard(scene)
    assert subscribed(scene, said) == []
    assert consent_due.waiting() is None


def test_an_address_that_mailjet_refuses_keeps_nobody_else(scene: Scene) -> None:
    one = scene.lists.campaign[0]
    contacts = scenes.people(2, on=[one])
    scene.publish()
    scene.control.fault(**BULK, job="partial", times=1)
    opts_out(scene, *contacts)

    run = heard(scene)

    assert run.status == RunStatus.PARTIAL
    assert sorted(scene.members(one).values()) == [False, True]
    assert run.errors[-1]["what"] == "1 contact: Mailjet: Internal error; tried again later"


def test_a_deleted_list_is_left_out_and_the_others_are_done(scene: Scene) -> None:
    one, two, _ = scene.lists.campaign
    [said] = scenes.people(1, on=[one, two])
    [spam] = scenes.people(1, on=[one, two])
    scene.publish()
    scene.at_mailjet("UPDATE lists SET is_deleted = 1 WHERE id = ?", two.mailjet_id)
    opts_out(scene, said)
    complains(scene, spam)

    heard(scene)

    assert scene.members(one) == {said.pk: True}
    assert set(scene.members(scene.lists.suppression)) == {spam.pk}
    assert ContactList.objects.get(pk=two.pk).is_deleted
    assert hear(scene) == []


# --- What other runs make of it ------------------------------------------------------------------------


def test_it_counts_for_no_list_that_fell_and_for_no_run_that_changed_anything(scene: Scene) -> None:
    one = scene.lists.campaign[0]
    said, spam, *_ = scenes.people(10, on=[one])
    scene.publish()
    maintenance = scenes.a_run_to_execute(created_at=scene.clock())
    opts_out(scene, said)
    complains(scene, spam)

    heard(scene)

    assert rotation.sizes()[one.pk] == 8
    assert losses.alarming(maintenance) == []
    assert drafts.rollout(enabled=True).changing_runs == 0


def test_many_opt_outs_are_applied_though_another_list_makes_no_sense(scene: Scene) -> None:
    """Where the lists cannot be read the contacts are asked for one by one."""
    first, second = scene.lists.campaign[:2]
    scenes.people(1, on=[scene.lists.master, first])
    them = scenes.people(whereabouts.FEW + 1, on=[scene.lists.master, second])
    scene.publish()
    opts_out(scene, *them)

    def lie(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "ListID": 1} if row["ListID"] == first.mailjet_id else row

    with (
        lying(scene.standin, about="listrecipient", lie=lie) as url,
        scenes.connect(at(scene.standin, url)) as mailjet,
    ):
        scene.outside = scene.with_mailjet(mailjet)
        heard(scene)

    assert not any(subscribed(scene, each) for each in them)


def test_a_membership_that_began_by_mailjets_clock_later_than_ours_tells_ends_all_the_same(
    scene: Scene,
) -> None:
    one = scene.lists.campaign[0]
    [contact] = scenes.people(1, on=[scene.lists.master, one])
    scene.publish()
    contact.memberships.filter(list=one).update(since=scene.clock() + timedelta(minutes=30))
    complains(scene, contact)

    heard(scene)

    assert said_of(contact) == [("complaint", ItemStatus.EXECUTED, "")]
    ended = contact.memberships.get(list=one)
    assert ended.until == ended.since
