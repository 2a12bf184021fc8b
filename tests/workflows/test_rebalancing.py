"""Placements and moves: who may move, how the backlog behaves, and that what is shown is what is done."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from listmanagement.domain.balance import ASSUMED_FIRST_SEND_RATE
from listmanagement.domain.bounces import Outcome
from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import (
    Agent,
    BatchKind,
    BatchStatus,
    CampaignKind,
    CampaignSchedule,
    Change,
    Contact,
    ContactList,
    Decision,
    DecisionKind,
    DecisionStatus,
    HoldKind,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    ListOperation,
    OperationStatus,
    Role,
    RunStatus,
    Step,
    Trigger,
)
from listmanagement.outside import Outside
from listmanagement.workflows import continuing, record, rotation
from listmanagement.workflows.by_people import review
from listmanagement.workflows.changes import moves
from listmanagement.workflows.demo import seeding
from listmanagement.workflows.demo.world import Scenario, build
from listmanagement.workflows.maintenance import post_campaign, rebalancing
from tests import factories
from tests.factories import NOON, Rotation
from tests.workflows import scene as scenes
from tests.workflows.scene import Clock, Scene, StandIn
from tests.workflows.sends import (
    FULL,
    PREBLOCKED,
    UNKNOWN_USER,
    a_last_round,
    a_rotation,
    days_ago,
    has_changed_lists,
    has_observed,
    people,
    sent,
)


@pytest.fixture
def lists(db: None) -> Rotation:
    return factories.the_rotation()


def start(campaign_id: int, outside: Outside, clock: Clock) -> ListMaintenanceLog:
    return post_campaign.start(
        campaign_id, trigger=Trigger.SCHEDULE, by=None, configuration=outside.configuration, now=clock()
    )


def approved_to_its_end(scene: Scene, run: ListMaintenanceLog) -> ListMaintenanceLog:
    """Whatever waits is approved until the run has ended."""
    reviewer = factories.a_reviewer()
    while (run := scene.go_on(run)).status == RunStatus.WAITING_FOR_REVIEW:
        waiting = run.decisions.get(status=DecisionStatus.OPEN)
        review.approve(waiting.pk, by=reviewer, now=scene.clock())
    return run


# --- The first-send rate -----------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_first_send_rate_is_assumed_until_a_hundred_first_messages_are_final(lists: Rotation) -> None:
    first = lists.campaign[0]
    many = people(101, on=first)
    sent(first, at=days_ago(20), only=many[:100], failed={UNKNOWN_USER: many[:2], PREBLOCKED: many[2:3]})
    assert rebalancing.first_send_rate() == ASSUMED_FIRST_SEND_RATE

    sent(first, at=days_ago(9), only=many[100:])
    assert rebalancing.first_send_rate() == 0.02


@pytest.mark.django_db
def test_only_a_contacts_first_message_on_a_campaign_list_counts(lists: Rotation) -> None:
    first, second, _ = lists.campaign
    many = people(100, on=first)
    sent(first, at=days_ago(30), only=many[:90], failed={UNKNOWN_USER: many[:1], FULL: many[1:5]})
    sent(first, at=days_ago(20), only=many[:95], failed={UNKNOWN_USER: many[5:10]})
    sent(second, at=days_ago(10), only=many, failed={UNKNOWN_USER: many[:2]})

    assert rebalancing.first_send_rate() == 1 / 100


@pytest.mark.django_db
def test_tests_and_one_offs_are_no_first_messages(lists: Rotation) -> None:
    first = lists.campaign[0]
    many = people(100, on=first)
    test = factories.a_campaign(list=first, kind=CampaignKind.TEST, started_at=days_ago(30))
    for contact in many[:3]:
        recipient = factories.a_recipient(campaign=test, contact=contact, outcome=Outcome.BOUNCED)
        factories.a_bounce(recipient=recipient)
    sent(first, at=days_ago(9), failed={UNKNOWN_USER: many[50:54]})

    assert rebalancing.first_send_rate() == 0.04


# --- Who may move ------------------------------------------------------------------------------------


def movable(contact_list: ContactList) -> tuple[int, ...]:
    [found] = [
        each.movable
        for each in rotation.facts(at=NOON, between_mails=timedelta(days=7))
        if each.list_id == contact_list.pk
    ]
    return found


def newest_first(contacts: list[Contact]) -> tuple[int, ...]:
    return tuple(contact.pk for contact in reversed(contacts))


@pytest.mark.django_db
def test_members_leave_the_newest_first_and_who_may_not_be_mailed_never(lists: Rotation) -> None:
    first = lists.campaign[0]
    a, b, c, d, e = people(5, on=first)
    Contact.objects.filter(pk=b.pk).update(opted_out_at=NOON, opted_out_by="a list")
    Contact.objects.filter(pk=c.pk).update(excluded_since=NOON)
    first.memberships.filter(contact=d).update(unsubscribed=True)

    assert movable(first) == newest_first([a, e])


@pytest.mark.django_db
def test_the_held_are_not_moved_alone_or_with_their_domain(lists: Rotation) -> None:
    first = lists.campaign[0]
    a, b = people(2, on=first)
    firm = people(2, on=first, domain="Firm.test")
    ended = people(1, on=first, domain="back.test")
    factories.a_hold(kind=HoldKind.CONTACT, contact=a, run=factories.a_run(campaign=a_round(first)))
    run = factories.a_run(campaign=CampaignSchedule.objects.get())
    factories.a_hold(host="firm.test", run=run)
    factories.a_hold(host="back.test", run=run, since=days_ago(2), ended_at=days_ago(1))

    assert movable(first) == newest_first([b, *ended])
    assert len(firm) == 2


def a_round(contact_list: ContactList) -> CampaignSchedule:
    return factories.a_campaign(list=contact_list)


@pytest.mark.django_db
def test_who_was_moved_stays_for_two_cycles(lists: Rotation) -> None:
    first = lists.campaign[0]
    before, after = people(2, on=first)
    for number, days in ((1, 40), (2, 25), (3, 10)):
        cycle = factories.a_cycle(number=number)
        factories.a_campaign(
            list=first, cycle=cycle, started_at=days_ago(days), ended_at=days_ago(days - 0.1)
        )
    run = factories.a_run(campaign=CampaignSchedule.objects.first())
    for contact, days in ((before, 39), (after, 24)):
        moved_ago(contact, days=days, run=run)

    assert list(rotation.moved_lately(at=NOON)) == [after.pk]
    assert movable(first) == (before.pk,)


def moved_ago(contact: Contact, *, days: float, run: ListMaintenanceLog) -> None:
    known = run.decisions.filter(kind=DecisionKind.REBALANCING).first()
    decision = known or factories.a_decision(
        run=run, kind=DecisionKind.REBALANCING, status=DecisionStatus.APPROVED
    )
    group = factories.a_group(decision=decision, action=ItemAction.MOVE)
    item = factories.an_item(group=group, contact=contact)
    batch = factories.a_batch(run=run, kind=BatchKind.MOVE_IN)
    factories.an_operation(batch=batch, item=item, status=OperationStatus.APPLIED, applied_at=days_ago(days))


@pytest.mark.django_db
@pytest.mark.parametrize(("hours", "may_move"), [(-1, False), (1, True)])
def test_seven_days_lie_between_two_mails_to_one_person(
    lists: Rotation, hours: float, may_move: bool
) -> None:
    first, second, third = lists.campaign
    [reader] = people(1, on=first)
    sent(first, at=days_ago(3))
    seven_days_after = days_ago(3) + timedelta(days=7)
    cycle = factories.a_cycle(started_at=None)
    at = {
        first: seven_days_after - timedelta(days=1),  # its own list's next send does not count
        second: seven_days_after + timedelta(hours=hours),
        third: seven_days_after + timedelta(days=2),
    }
    for n, (contact_list, when) in enumerate(at.items(), 1):
        factories.a_campaign(
            list=contact_list, status=RoundStatus.SCHEDULED, scheduled_at=when, cycle=cycle, round=n
        )

    assert movable(first) == ((reader.pk,) if may_move else ())


# --- What is shown is what is done -------------------------------------------------------------------


@pytest.mark.django_db
def test_groups_and_what_if_are_exactly_what_is_executed(scene: Scene) -> None:
    a_rotation(scene, sizes=[50, 60, 90], backlog=4)
    has_observed()
    campaign = a_last_round(scene, failed={})

    run = scene.go_on(start(campaign.pk, scene.outside, scene.clock))
    decision = run.decisions.get()
    shown = {group.title for group in decision.groups.all()}
    run = approved_to_its_end(scene, run)

    assert run.status == RunStatus.SUCCEEDED
    names = dict(ContactList.objects.values_list("pk", "name"))
    done = Counter(
        (item.source_list_id, item.target_list_id)
        for item in decision.items.filter(status=ItemStatus.EXECUTED)
    )
    assert shown == {
        f"{n} contact{'s' if n > 1 else ''} from the backlog {'join' if n > 1 else 'joins'} {names[target]}"
        if source is None
        else f"{n} contact{'s' if n > 1 else ''} {'move' if n > 1 else 'moves'} from {names[source]} "
        f"to {names[target]}"
        for (source, target), n in done.items()
        if target is not None
    }
    assert sum(done.values()) == decision.items.count() > 4
    assert run.state_after is not None
    assert [row["after"] for row in decision.what_if["lists"]] == [
        row["size"] for row in run.state_after["lists"]
    ]
    assert decision.what_if["deviation_after"] == run.state_after["deviation"] < 2
    for contact_list in scene.lists.campaign:
        assert len(scene.members(contact_list)) == rotation.sizes()[contact_list.pk]
    assert (run.counts["placed"], run.counts["backlog"]) == (4, 0)


@pytest.mark.django_db
def test_what_if_counts_only_who_counts(lists: Rotation) -> None:
    """Who is proposed for suppression and no longer mailable leaves no gap; who was taken out stays."""
    first = lists.campaign[0]
    gone, complained, kept, *_ = people(10, on=first)
    Contact.objects.filter(pk=complained.pk).update(complained_at=NOON, complained_by="an event")
    campaign = a_round(first)
    decision = factories.a_decision(run=factories.a_run(campaign=campaign))
    group = factories.a_group(decision=decision, contacts=3)
    factories.an_item(group=group, contact=gone, source_list=first)
    factories.an_item(group=group, contact=complained, source_list=first)
    factories.an_item(group=group, contact=kept, source_list=first, status=ItemStatus.TAKEN_OUT)

    assert rebalancing.what_if(decision)["lists"] == [
        {"name": "List 1", "before": 9, "after": 8},
        {"name": "List 2", "before": 0, "after": 0},
        {"name": "List 3", "before": 0, "after": 0},
    ]


@pytest.mark.django_db
def test_even_lists_without_a_backlog_ask_nobody_anything(scene: Scene) -> None:
    a_rotation(scene)
    has_observed()
    campaign = a_last_round(scene, failed={})

    run = scene.go_on(start(campaign.pk, scene.outside, scene.clock))

    assert (run.status, run.decisions.count(), scene.standin.writes()) == (RunStatus.SUCCEEDED, 0, [])
    assert "The lists stand as before: 60 / 60 / 60" in run.report


@pytest.mark.django_db
def test_shortly_before_a_send_nobody_is_placed(scene: Scene) -> None:
    a_rotation(scene, sizes=[50, 60, 90], backlog=4)
    has_observed()
    campaign = a_last_round(scene, failed={})
    factories.a_campaign(
        list=scene.lists.campaign[0],
        status=RoundStatus.SCHEDULED,
        scheduled_at=scene.clock() + timedelta(hours=2.9),
        cycle=factories.a_cycle(started_at=None),
    )

    run = scene.go_on(start(campaign.pk, scene.outside, scene.clock))

    assert (run.status, run.decisions.count(), scene.standin.writes()) == (RunStatus.SUCCEEDED, 0, [])
    assert run.counts["backlog"] == 4
    said = run.agent_calls.get(agent="rebalancing").answer
    assert said["choice"] == "defer"


@pytest.mark.django_db
def test_a_cycle_under_way_lets_the_backlog_in_and_nobody_move(scene: Scene) -> None:
    a_rotation(scene, sizes=[50, 60, 90], backlog=4)
    has_observed()
    campaign = a_last_round(scene, failed={})
    CampaignSchedule.objects.filter(list=scene.lists.campaign[2], cycle=campaign.cycle).update(
        status=RoundStatus.SCHEDULED,
        scheduled_at=NOON + timedelta(days=3),
        started_at=None,
        ended_at=None,
        recipients_fetched_at=None,
    )

    run = approved_to_its_end(scene, start(campaign.pk, scene.outside, scene.clock))

    assert run.status == RunStatus.SUCCEEDED
    assert (run.counts["placed"], run.counts["moved"]) == (4, 0)
    assert run.counts["moves_deferred"] > 0
    assert set(run.batches.values_list("kind", flat=True)) == {BatchKind.PLACE}


@pytest.mark.django_db
def test_a_cycle_has_its_moves_once_and_the_next_one_its_own(scene: Scene) -> None:
    a_rotation(scene, sizes=[50, 60, 90], backlog=4)
    has_observed()
    campaign = a_last_round(scene, failed={})
    [other] = people(1, on=scene.lists.campaign[2])
    past = factories.a_run(campaign=CampaignSchedule.objects.first(), status=RunStatus.SUCCEEDED)
    moved_ago(other, days=0, run=past)

    run = approved_to_its_end(scene, start(campaign.pk, scene.outside, scene.clock))

    assert (run.counts["placed"], run.counts["moved"], run.counts["moves_deferred"]) == (4, 0, 0)
    assert any(
        note.endswith("contacts move only between two cycles, and once.") for note in run.counts["notes"]
    )


@pytest.mark.django_db
def test_a_newer_plan_takes_the_place_of_one_that_nobody_has_decided(scene: Scene) -> None:
    a_rotation(scene, sizes=[50, 60, 90], backlog=4)
    has_observed()
    campaign = a_last_round(scene, failed={})
    before = factories.a_run(campaign=CampaignSchedule.objects.first(), status=RunStatus.WAITING_FOR_REVIEW)
    older = factories.a_decision(run=before, kind=DecisionKind.REBALANCING)
    assert older in Decision.objects.awaiting_review()

    run = start(campaign.pk, scene.outside, scene.clock)
    scene.go_on(run)

    assert [each.run for each in Decision.objects.awaiting_review()] == [run]
    older.refresh_from_db()
    assert older.status == DecisionStatus.EXPIRED
    assert older.note == f"Run {run.pk} has planned placements and moves anew, in place of these"


@pytest.mark.django_db
def test_whom_we_placed_and_nobody_has_mailed_yet_counts_as_placed(lists: Rotation) -> None:
    first = lists.campaign[0]
    [placed, mailed] = people(2, on=first)
    people(1, on=first)
    campaign = a_round(first)
    decision = factories.a_decision(run=factories.a_run(campaign=campaign))
    group = factories.a_group(decision=decision, action=ItemAction.PLACE)
    batch = factories.a_batch(run=decision.run, kind=BatchKind.PLACE)
    for each in (placed, mailed):
        item = factories.an_item(group=group, contact=each, target_list=first)
        placing = factories.an_operation(batch=batch, item=item)
        first.memberships.filter(contact=each).update(
            began_with=placing, began_by=Change.OPERATION, since=days_ago(2)
        )
    factories.a_recipient(campaign=campaign, contact=mailed, sent_at=days_ago(1))

    facts = rotation.facts(at=NOON, between_mails=timedelta(0))

    assert [each.unmailed for each in facts] == [1, 0, 0]


@pytest.mark.django_db
def test_contacts_of_two_ways_out_go_back_by_one_decision_beside_one_that_executed_alone(
    lists: Rotation,
) -> None:
    first, second, third = lists.campaign
    decision = factories.a_decision(kind=DecisionKind.REBALANCING, status=DecisionStatus.CLEAR)
    for source in (first, third):
        [contact] = people(1, on=source)
        group = factories.a_group(decision=decision, action=ItemAction.MOVE)
        item = factories.an_item(group=group, contact=contact, source_list=source, target_list=second)
        with transaction.atomic():
            found = moves.Legs(leaves=source, stays=second, is_turned=False)
            moves._journal_return(decision.run, [item], found, now=NOON)

    back = decision.run.decisions.get(kind=DecisionKind.RETURN)
    assert back.status == DecisionStatus.CLEAR
    assert [(each.source_list, each.target_list, each.position) for each in back.items.all()] == [
        (second, first, 1),
        (second, third, 2),
    ]
    kinds = decision.run.batches.order_by("position").values_list("kind", flat=True)
    assert list(kinds) == [BatchKind.MOVE_IN, BatchKind.MOVE_OUT] * 2

    run = decision.run
    ListOperation.objects.filter(batch__run=run).update(status=OperationStatus.FAILED, why="refused")
    back.items.update(status=ItemStatus.FAILED, why="refused")
    run.step = Step.REPORT
    assert continuing._first_step(run) == Step.REBALANCE  # a person can have them go back after all


# --- On its own --------------------------------------------------------------------------------------


def has_decided(status: DecisionStatus, *, choice: str, times: int) -> None:
    """So often reviewers decided about a rebalancing of this choice."""
    past = CampaignSchedule.objects.order_by("started_at").first()
    for _ in range(times):
        run = factories.a_run(campaign=past, status=RunStatus.SUCCEEDED)
        call = factories.an_agent_call(run=run, agent=Agent.REBALANCING, answer={"choice": choice})
        of = {"region": "", "bounce_class": "", "contacts": None}
        factories.a_verdict(call=call, subject="plan", verdict=choice, rules_verdict=choice, **of)
        decision = factories.a_decision(run=run, kind=DecisionKind.REBALANCING, status=status)
        became = ItemStatus.EXECUTED if status is DecisionStatus.APPROVED else ItemStatus.PROPOSED
        for _ in range(2):
            group = factories.a_group(decision=decision, action=ItemAction.PLACE, call=call)
            factories.an_item(group=group, status=became)


@pytest.mark.django_db
def test_the_record_of_a_choice_counts_decisions_not_groups(lists: Rotation) -> None:
    factories.a_campaign(list=lists.campaign[0])
    has_decided(DecisionStatus.APPROVED, choice="now", times=3)
    has_decided(DecisionStatus.REJECTED, choice="now", times=1)
    has_decided(DecisionStatus.EXPIRED, choice="now", times=1)
    has_decided(DecisionStatus.APPROVED, choice="backfill_only", times=1)

    assert {choice.value: (r.upheld, r.labels) for choice, r in record.by_choice().items()} == {
        "now": (3, 4),
        "backfill_only": (1, 1),
    }


@pytest.mark.django_db
@pytest.mark.parametrize(("approved", "status"), [(19, "waiting_for_review"), (20, "succeeded")])
def test_placements_go_alone_once_people_have_approved_twenty_of_them(
    scene: Scene, approved: int, status: str
) -> None:
    a_rotation(scene, backlog=4)
    has_observed()
    has_changed_lists()
    has_decided(DecisionStatus.APPROVED, choice="now", times=approved)

    run = scene.go_on(start(a_last_round(scene, failed={}).pk, scene.outside, scene.clock))

    assert run.status == status
    if run.status == RunStatus.SUCCEEDED:
        assert (run.decisions.get().status, run.counts["placed"]) == (DecisionStatus.CLEAR, 4)


# --- The demo in the middle of a cycle ---------------------------------------------------------------


def the_lists() -> Rotation:
    first, second, third = ContactList.objects.rotation()
    return Rotation(
        master=ContactList.objects.master(),
        campaign=(first, second, third),
        suppression=ContactList.objects.suppression(),
    )


def test_the_demo_in_mid_cycle_suppresses_and_places_while_moves_wait_and_says_so(
    db: None, standin: StandIn, clock: Clock, outside: Outside
) -> None:
    world = build(seed=1, now=clock(), scenario=Scenario.MID_CYCLE)
    seeding.seed(world, configuration=scenes.configuration(), control=standin.control, reset=True)
    scene = Scene(standin, clock, outside, lists=the_lists())
    master = scene.members(scene.lists.master)

    run = approved_to_its_end(scene, start(123, outside, clock))

    assert run.status == RunStatus.SUCCEEDED
    assert {key: run.counts[key] for key in ("suppressed", "held", "placed", "moved", "failed")} == {
        "suppressed": 110,
        "held": 126,
        "placed": 300,
        "moved": 0,
        "failed": 0,
    }
    assert run.counts["moves_deferred"] == 52
    assert "52 moves wait" in run.report
    assert len(scene.members(scene.lists.suppression)) == 40 + 12 + 110
    assert scene.members(scene.lists.master) == master
    moving = run.decisions.get(kind=DecisionKind.REBALANCING)
    assert moving.title.startswith("Place 300 from the backlog; the lists are then ")
    assert not moving.items.filter(action=ItemAction.MOVE).exists()
    assert rotation.sizes() == {
        each.pk: len([1 for unsubscribed in scene.members(each).values() if not unsubscribed])
        - unmailable(each)
        for each in ContactList.objects.rotation()
    }


def unmailable(contact_list: ContactList) -> int:
    """Members that are not unsubscribed there and may not be mailed all the same."""
    active = contact_list.memberships.active()
    return int(active.exclude(contact__in=Contact.objects.mailable()).count())


def test_planning_the_demo_costs_a_bounded_number_of_queries(
    demo: object, standin: StandIn, clock: Clock, outside: Outside
) -> None:
    plain = replace(outside.configuration)

    with CaptureQueriesContext(connection) as asked:
        facts = rotation.facts(at=clock(), between_mails=plain.between_mails)
        rate = rebalancing.first_send_rate()

    assert (len(facts), rate, plain.balance_threshold) == (3, 0.0, 5.0)
    assert len(asked) <= 35
    assert Contact.objects.backlog().count() == 320
    assert ContactList.objects.filter(role=Role.CAMPAIGN).count() == 3


@pytest.mark.django_db
def test_all_of_the_fifth_changing_run_is_reviewed(scene: Scene) -> None:
    first, *_ = a_rotation(scene, backlog=4)
    has_observed()
    has_changed_lists(4)
    has_decided(DecisionStatus.APPROVED, choice="now", times=20)
    run = scene.go_on(
        start(a_last_round(scene, failed={UNKNOWN_USER: first[:2]}).pk, scene.outside, scene.clock)
    )
    assert run.status == RunStatus.WAITING_FOR_REVIEW
    [suppressing] = run.decisions.filter(status=DecisionStatus.OPEN)
    assert suppressing.kind == DecisionKind.SUPPRESSION
    review.approve(suppressing.pk, by=factories.a_reviewer(), now=scene.clock())

    scene.go_on(run)

    plan = run.decisions.get(kind=DecisionKind.REBALANCING)
    assert run.batches.get(kind=BatchKind.SUPPRESS).status == BatchStatus.APPLIED
    assert plan.status == DecisionStatus.OPEN, plan.reasons
