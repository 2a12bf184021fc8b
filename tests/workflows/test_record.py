"""What became of verdicts: each rule of a label, what the record makes of them, and what follows from it."""

import json
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents import prompts
from agents.asking import UNPROVEN, confidence_of_rules
from listmanagement.domain.bounces import BounceClass, Outcome
from listmanagement.domain.holds import HoldEnd
from listmanagement.domain.record import Source
from listmanagement.domain.suppression import Region
from listmanagement.models import (
    Agent,
    AgentCall,
    AgentVerdict,
    AnswerSource,
    CampaignSchedule,
    DecisionItem,
    DecisionKind,
    DecisionStatus,
    ItemAction,
    ItemStatus,
    Notification,
    OperationStatus,
    RunStage,
)
from listmanagement.workflows import record
from listmanagement.workflows.record import Judge, gathering, watching
from listmanagement.workflows.record.gathering import Outcomes
from listmanagement.workflows.record.standing import JUDGED_BY_PEOPLE
from tests import factories
from tests.factories import NOON

pytestmark = pytest.mark.django_db

LATER = NOON + timedelta(days=3)
SHARE = {"sampled_share": 0.05}


def proposed(
    action: ItemAction = ItemAction.SUPPRESS,
    *,
    decided: DecisionStatus = DecisionStatus.OBSERVED,
    reviewer: User | None = None,
    status: ItemStatus = ItemStatus.PROPOSED,
    group: dict[str, Any] | None = None,
    **said: Any,
) -> DecisionItem:
    """One contact of a cohort that the policy leaves open."""
    by = {"reviewed_by": reviewer} if reviewer else {}
    decision = factories.a_decision(status=decided, **by)
    verdict = factories.a_verdict(
        call=factories.an_agent_call(run=decision.run), **{"verdict": action.value, **said}
    )
    of = factories.a_group(decision=decision, action=action, **{"region": Region.MAY, **(group or {})})
    return factories.an_item(group=of, status=status, verdict=verdict)


def later(
    item: DecisionItem,
    outcome: Outcome,
    *,
    permanent: bool = True,
    bounce_class: BounceClass = BounceClass.RECIPIENT_GONE,
) -> CampaignSchedule:
    campaign = factories.a_campaign(started_at=LATER, ended_at=LATER)
    failed = {"bounce_class": bounce_class} if outcome is Outcome.BOUNCED else {}
    message = factories.a_recipient(
        campaign=campaign, contact=item.contact, outcome=outcome, sent_at=LATER, outcome_at=LATER, **failed
    )
    if outcome is Outcome.BOUNCED:
        factories.a_bounce(recipient=message, permanent=permanent)
    return campaign


def suppressed(item: DecisionItem, **columns: Any) -> None:
    """Carried out by another decision's item for the same contact, or by this one."""
    operation = factories.an_operation(item=item, status=OperationStatus.APPLIED)
    factories.a_suppression(operation=operation, **columns)


def told() -> list[tuple[bool | None, Source, int, float]]:
    return [(each.dead, each.source, each.times, each.weight) for each in gathering.of_contacts()]


# --- The rules of a label ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decided", "status", "dead"),
    [
        (DecisionStatus.APPROVED, ItemStatus.EXECUTED, True),
        (DecisionStatus.APPROVED, ItemStatus.FAILED, True),
        (DecisionStatus.APPROVED, ItemStatus.TAKEN_OUT, False),
        (DecisionStatus.REJECTED, ItemStatus.PROPOSED, False),
    ],
)
def test_a_review_is_a_label(decided: DecisionStatus, status: ItemStatus, dead: bool) -> None:
    proposed(decided=decided, status=status)

    assert told() == [(dead, Source.REVIEW, 1, 1.0)]


@pytest.mark.parametrize(
    ("decided", "status"),
    [
        (DecisionStatus.EXPIRED, ItemStatus.PROPOSED),
        (DecisionStatus.OBSERVED, ItemStatus.PROPOSED),
        (DecisionStatus.OPEN, ItemStatus.PROPOSED),
        (DecisionStatus.OPEN, ItemStatus.TAKEN_OUT),
        (DecisionStatus.CLEAR, ItemStatus.EXECUTED),
        (DecisionStatus.APPROVED, ItemStatus.DROPPED),
    ],
)
def test_what_nobody_decided_or_dropped_out_after_it_is_no_label(
    decided: DecisionStatus, status: ItemStatus
) -> None:
    proposed(decided=decided, status=status)

    assert told() == []


def test_a_reviewer_says_nothing_of_holds_since_they_go_on_anyway() -> None:
    proposed(ItemAction.HOLD, decided=DecisionStatus.APPROVED, status=ItemStatus.EXECUTED)
    proposed(ItemAction.HOLD, decided=DecisionStatus.REJECTED)

    assert told() == []


@pytest.mark.parametrize(
    "decided", [DecisionStatus.EXPIRED, DecisionStatus.OBSERVED, DecisionStatus.REJECTED]
)
def test_who_was_proposed_and_is_delivered_to_later_was_alive(decided: DecisionStatus) -> None:
    later(proposed(decided=decided), Outcome.DELIVERED)

    assert told() == [(False, Source.DELIVERY, 1, 1.0)]


def test_a_delivery_before_the_decision_proves_nothing() -> None:
    item = proposed()
    before = factories.a_campaign()
    factories.a_recipient(campaign=before, contact=item.contact)

    assert told() == []


def test_proof_beats_a_reviewers_opinion() -> None:
    later(proposed(decided=DecisionStatus.APPROVED, status=ItemStatus.DROPPED), Outcome.DELIVERED)

    assert told() == [(False, Source.DELIVERY, 1, 1.0)]


def test_a_lifted_suppression_was_wrong_whoever_approved_it() -> None:
    lifted = {"lifted_at": NOON, "lifted_by": factories.a_user(), "lifted_why": "they called"}
    suppressed(proposed(decided=DecisionStatus.APPROVED, status=ItemStatus.EXECUTED), **lifted)
    suppressed(proposed(decided=DecisionStatus.CLEAR, status=ItemStatus.EXECUTED), **lifted)

    assert told() == [(False, Source.REVERSAL, 1, 1.0)] * 2


def test_who_was_not_suppressed_and_bounced_for_good_again_was_dead() -> None:
    later(proposed(decided=DecisionStatus.EXPIRED), Outcome.BOUNCED)
    later(proposed(decided=DecisionStatus.EXPIRED), Outcome.BOUNCED, permanent=False)

    assert told() == [(True, Source.BOUNCED_AGAIN, 1, 1.0)]


@pytest.mark.parametrize(
    "reason",
    [
        BounceClass.SENDER_SIDE,
        BounceClass.NOT_ATTEMPTED,
        BounceClass.CONFLICTING,
        BounceClass.DOMAIN_GONE,
        BounceClass.MAILBOX_FULL,
        BounceClass.UNKNOWN,
    ],
)
def test_a_failure_for_another_reason_than_the_mailbox_proves_nobody_dead(reason: BounceClass) -> None:
    later(proposed(decided=DecisionStatus.EXPIRED), Outcome.BOUNCED, bounce_class=reason)

    assert told() == []


@pytest.mark.parametrize(
    ("since", "ended", "counts"),
    [
        (LATER - timedelta(days=1), None, False),
        (LATER - timedelta(days=1), LATER + timedelta(days=1), False),
        (LATER - timedelta(days=2), LATER - timedelta(days=1), True),
        (LATER + timedelta(days=1), None, True),
    ],
    ids=["on hold since", "on hold until later", "held and over before", "held only later"],
)
def test_a_failure_while_the_domain_is_on_hold_proves_nobody_dead(
    since: datetime, ended: datetime | None, counts: bool
) -> None:
    item = proposed(decided=DecisionStatus.EXPIRED)
    later(item, Outcome.BOUNCED)
    how = {"ended_at": ended, "ended_how": HoldEnd.OUTAGE_OVER} if ended else {}
    run = factories.a_run(campaign=factories.a_campaign(started_at=since, ended_at=since))
    factories.a_hold(host=item.contact.domain, since=since, run=run, **how)

    assert told() == ([(True, Source.BOUNCED_AGAIN, 1, 1.0)] if counts else [])


def test_the_failures_that_opened_a_hold_prove_nobody_dead() -> None:
    item = proposed(decided=DecisionStatus.EXPIRED)
    campaign = later(item, Outcome.BOUNCED)
    run = factories.a_run(campaign=campaign)
    factories.a_hold(host=item.contact.domain, since=LATER + timedelta(days=1), run=run)

    assert told() == []


def test_a_hold_that_ended_in_a_suppression_was_of_somebody_dead() -> None:
    held = proposed(ItemAction.HOLD, decided=DecisionStatus.CLEAR, status=ItemStatus.EXECUTED)
    group = factories.a_group(decision=factories.a_decision(created_at=LATER))
    suppressed(factories.an_item(group=group, contact=held.contact), at=LATER)

    assert told() == [(True, Source.SUPPRESSED_LATER, 1, 1.0)]


def test_whoever_was_drawn_at_random_stands_for_twenty() -> None:
    proposed(decided=DecisionStatus.APPROVED, status=ItemStatus.EXECUTED, group=SHARE)
    later(proposed(decided=DecisionStatus.REJECTED, group=SHARE), Outcome.DELIVERED)

    assert sorted(told(), key=str) == [
        (False, Source.DELIVERY, 1, pytest.approx(20)),
        (True, Source.SAMPLE, 1, pytest.approx(20)),
    ]


def test_alike_is_counted_in_one_query() -> None:
    first = proposed(decided=DecisionStatus.APPROVED, status=ItemStatus.EXECUTED)
    for _ in range(4):
        factories.an_item(group=first.group, status=ItemStatus.EXECUTED, verdict=first.verdict)

    with CaptureQueriesContext(connection) as asked:
        assert told() == [(True, Source.REVIEW, 5, 1.0)]
    assert len(asked) == 1


def test_who_was_kept_is_labelled_by_what_became_of_them() -> None:
    run = factories.a_run(stage=RunStage.ACT)
    factories.an_agent_call(run=run)
    failed = [factories.a_recipient(campaign=run.campaign, outcome=Outcome.BOUNCED) for _ in range(4)]
    campaign = factories.a_campaign(started_at=LATER, ended_at=LATER)
    for message in failed[:2]:
        factories.a_recipient(campaign=campaign, contact=message.contact, sent_at=LATER, outcome_at=LATER)
    group = factories.a_group(decision=factories.a_decision(created_at=LATER))
    suppressed(factories.an_item(group=group, contact=failed[2].contact), at=LATER)

    found = gathering.of_the_kept()

    assert [(label.right, label.source, label.times, label.suppresses) for label in found] == [
        (True, Source.DELIVERY, 2, False),
        (False, Source.SUPPRESSED_LATER, 1, False),
    ]


# --- Who was right -----------------------------------------------------------------------------------


def test_of_two_opinions_about_somebody_one_was_right() -> None:
    """The model held whom the rules would have suppressed, and mail arrived later."""
    item = proposed(
        ItemAction.HOLD, stated="hold", raw_confidence=0.9, confidence=0.69, rules_verdict="suppress"
    )
    later(item, Outcome.DELIVERED)

    [found] = [each for each in record.read().agents if each.agent is Agent.OPTIMIZATION]

    model, rules, stood = (found.judges[each] for each in (Judge.MODEL, Judge.RULES, Judge.STOOD))
    assert (model.right.share, rules.right.share, stood.right.share) == (1.0, 0.0, 1.0)
    assert (model.confidence, stood.confidence, rules.confidence) == (0.9, 0.69, 0.8)
    assert (rules.false_positives.part, rules.false_positives.of) == (1, 1)
    assert model.false_positives.share is None
    assert model.brier == pytest.approx(0.01)


def test_what_the_policy_settles_has_no_confidence_but_counts_among_the_false_positives() -> None:
    item = proposed(
        decided=DecisionStatus.REJECTED, group={"region": Region.MUST}, region=Region.MUST, confidence=1.0
    )
    assert item.verdict is not None

    [found] = [each for each in record.read().agents if each.agent is Agent.OPTIMIZATION]

    stood = found.judges[Judge.STOOD]
    assert (stood.brier, stood.labels, stood.false_positives.part) == (None, 1, 1)


def test_how_often_reviewers_said_otherwise() -> None:
    for status in (ItemStatus.EXECUTED, ItemStatus.EXECUTED, ItemStatus.EXECUTED, ItemStatus.TAKEN_OUT):
        proposed(decided=DecisionStatus.APPROVED, status=status)

    [found] = [each for each in record.read().agents if each.agent is Agent.OPTIMIZATION]

    assert (found.override.part, found.override.of) == (1, 4)


def test_a_mark_tells_of_the_one_who_said_so_and_of_the_other_only_where_it_was_right() -> None:
    said = {"region": "", "bounce_class": "", "contacts": None, "stated": "watch/decay"}
    for is_right in (True, False):
        call = factories.an_agent_call(agent=Agent.LIST_HEALTH, source=AnswerSource.MODEL)
        verdict = factories.a_verdict(
            call=call, subject="list-1", verdict="watch/decay", rules_verdict="poor/decay", **said
        )
        why = {} if is_right else {"marked_why": "it is worse"}
        factories.a_list_health(
            check=factories.a_health_check(call=call),
            verdict=verdict,
            is_right=is_right,
            marked_at=NOON,
            marked_by=factories.a_user(),
            **why,
        )

    [found] = [each for each in record.read().agents if each.agent is Agent.LIST_HEALTH]

    assert (found.judges[Judge.STOOD].right.part, found.judges[Judge.STOOD].labels) == (1, 2)
    assert (found.judges[Judge.RULES].right.part, found.judges[Judge.RULES].labels) == (0, 1)
    assert {grade.value: (r.upheld, r.labels) for grade, r in record.by_grade().items()} == {"poor": (0, 1)}


def a_plan(status: DecisionStatus, *, undone: bool = False, became: ItemStatus = ItemStatus.EXECUTED) -> None:
    run = factories.a_run()
    call = factories.an_agent_call(run=run, agent=Agent.REBALANCING)
    of = {"region": "", "bounce_class": "", "contacts": None}
    factories.a_verdict(call=call, subject="plan", verdict="now", rules_verdict="now", **of)
    decision = factories.a_decision(run=run, kind=DecisionKind.REBALANCING, status=status)
    item = factories.an_item(
        group=factories.a_group(decision=decision, action=ItemAction.PLACE), status=became
    )
    if undone:
        factories.an_operation(item=item, status=OperationStatus.UNDONE)


def test_a_rebalancing_is_right_when_approved_and_carried_out_and_wrong_when_rejected_or_undone() -> None:
    a_plan(DecisionStatus.APPROVED)
    a_plan(DecisionStatus.APPROVED, became=ItemStatus.DROPPED)
    a_plan(DecisionStatus.APPROVED, became=ItemStatus.PROPOSED)
    a_plan(DecisionStatus.REJECTED, became=ItemStatus.PROPOSED)
    a_plan(DecisionStatus.APPROVED, undone=True)
    a_plan(DecisionStatus.CLEAR, undone=True)
    a_plan(DecisionStatus.CLEAR)
    a_plan(DecisionStatus.EXPIRED)

    assert sorted((each.right, each.source) for each in gathering.of_plans()) == [
        (False, Source.REVERSAL),
        (False, Source.REVERSAL),
        (False, Source.REVIEW),
        (True, Source.REVIEW),
    ]


# --- What follows ------------------------------------------------------------------------------------


def test_one_approval_of_many_contacts_is_one_label_of_the_rules() -> None:
    """Twenty contacts in two cohorts of one class, decided by one click."""
    decision = factories.a_decision(status=DecisionStatus.APPROVED)
    call = factories.an_agent_call(run=decision.run)
    for _ in range(2):
        verdict = factories.a_verdict(call=call)
        group = factories.a_group(decision=decision, region=Region.MAY)
        for _ in range(10):
            factories.an_item(group=group, status=ItemStatus.EXECUTED, verdict=verdict)

    [found] = record.by_class().values()

    assert (found.upheld, found.labels) == (1, 1)
    assert confidence_of_rules(found) == UNPROVEN
    [agent] = [each for each in record.read().agents if each.agent is Agent.OPTIMIZATION]
    assert (agent.judges[Judge.STOOD].labels, agent.judges[Judge.STOOD].judgements) == (20, 1)


def test_the_rules_record_is_kept_by_class_and_a_sample_is_not_many_labels() -> None:
    for _ in range(3):
        proposed(decided=DecisionStatus.APPROVED, status=ItemStatus.EXECUTED)
    proposed(decided=DecisionStatus.REJECTED, bounce_class=BounceClass.INACTIVE)
    proposed(decided=DecisionStatus.APPROVED, status=ItemStatus.EXECUTED, group=SHARE)

    found = {each.value: (r.upheld, r.labels) for each, r in record.by_class().items()}

    assert found == {"mailbox_full": (1, 1), "inactive": (0, 1)}


def test_two_hundred_judgements_of_one_model_with_one_prompt_calibrate_it() -> None:
    def stated(model: str = "one-model", *, prompt_version: str = "") -> None:
        version = prompt_version or prompts.read("optimization").version
        AgentCall.objects.update(source=AnswerSource.MODEL, model=model, prompt_version=version)

    def models() -> list[tuple[str, int, bool]]:
        [agent] = [each for each in record.read().agents if each.agent is Agent.OPTIMIZATION]
        return [(each.model, each.labels, each.is_asked) for each in agent.models]

    approved = {"decided": DecisionStatus.APPROVED, "reviewer": factories.a_user()}
    for _ in range(199):
        last = proposed(status=ItemStatus.EXECUTED, stated="suppress", raw_confidence=0.9, **approved)
    factories.an_item(group=last.group, status=ItemStatus.EXECUTED, verdict=last.verdict)  # no judgement more
    stated()
    assert (record.calibrations(), models()) == ({}, [("one-model", 199, True)])

    proposed(status=ItemStatus.EXECUTED, stated="suppress", raw_confidence=0.9, **approved)
    stated()
    [(model, curve)] = record.calibrations()["optimization"].items()
    assert (model, curve(0.9), curve(0.5)) == ("one-model", 1.0, 0.5)

    stated("another-model", prompt_version="optimization-0")
    assert (record.calibrations(), models()) == ({}, [("another-model", 200, False)])
    stated()
    AgentCall.objects.filter(run=last.decision.run).update(model="another-model")
    assert record.calibrations() == {}
    assert models() == [("one-model", 199, True), ("another-model", 1, True)]


def test_rules_alone_are_never_calibrated() -> None:
    proposed(decided=DecisionStatus.APPROVED, status=ItemStatus.EXECUTED)

    with CaptureQueriesContext(connection) as asked:
        assert record.calibrations() == {}
    assert len(asked) == 1
    assert AgentVerdict.objects.count() == 1


def test_only_what_was_judged_since_then_counts() -> None:
    proposed(decided=DecisionStatus.APPROVED, status=ItemStatus.EXECUTED)

    def judged(since: datetime) -> list[Outcomes]:
        return [each for agent in JUDGED_BY_PEOPLE for each in gathering.of(agent, since=since)]

    assert len(judged(NOON)) == 1
    assert judged(NOON + timedelta(seconds=1)) == []


def test_the_whole_record_takes_five_queries() -> None:
    proposed(decided=DecisionStatus.APPROVED, status=ItemStatus.EXECUTED)
    a_plan(DecisionStatus.APPROVED)

    with CaptureQueriesContext(connection) as asked:
        record.read()
    assert len(asked) == 5


# --- Telling people ----------------------------------------------------------------------------------


def test_a_day_of_unsure_judgements_is_told_once() -> None:
    factories.a_verdict(confidence=0.5)
    factories.a_verdict(confidence=0.88)
    factories.a_verdict(confidence=0.1, call=factories.an_agent_call(at=NOON - timedelta(days=1)))

    assert watching.tell_if_unsure(now=NOON)
    assert watching.tell_if_unsure(now=NOON + timedelta(hours=2))

    [told] = Notification.objects.all()
    assert (told.kind, told.run) == ("alert", None)
    assert (
        "the mean confidence of today's 2 verdicts that the policy left open is 0.69, below 0.70" in told.text
    )


@pytest.mark.parametrize("confidence", [0.7, 0.95])
def test_a_day_of_sure_judgements_and_a_day_without_any_alert_nobody(confidence: float) -> None:
    assert not watching.tell_if_unsure(now=NOON)
    factories.a_verdict(confidence=confidence)

    assert not watching.tell_if_unsure(now=NOON)
    assert not Notification.objects.exists()


def test_each_verdict_that_had_something_to_judge_counts_once() -> None:
    """However many an agent gave at once, and whatever the policy had settled or nobody had to judge."""
    of_no_cohort = {"region": "", "bounce_class": "", "contacts": None}
    cohorts = factories.an_agent_call(confidence=0.2)
    for sure in (0.2, 0.6, 0.7):
        factories.a_verdict(call=cohorts, confidence=sure)
    factories.a_verdict(call=cohorts, region=Region.MUST, confidence=1.0)
    factories.a_verdict(call=cohorts, region=Region.HOLD, confidence=1.0)
    factories.an_agent_call(confidence=1.0)  # asked about no cohort at all
    lists = factories.an_agent_call(agent=Agent.LIST_HEALTH)
    factories.a_verdict(call=lists, subject="list-1", verdict="good/none", confidence=0.9, **of_no_cohort)
    for moves, sure in ((3, 0.5), (0, 1.0)):
        asked = {"now": {"moves": moves, "placements": 0}}
        plan = factories.an_agent_call(agent=Agent.REBALANCING, asked=asked)
        factories.a_verdict(call=plan, subject="plan", verdict="now", confidence=sure, **of_no_cohort)

    found = watching.sureness_of(NOON.date())

    assert found is not None
    assert (found.verdicts, found.mean) == (5, pytest.approx((0.2 + 0.6 + 0.7 + 0.9 + 0.5) / 5))


# --- The command -------------------------------------------------------------------------------------


def printed(*arguments: str) -> str:
    told = StringIO()
    call_command("judgement_record", *arguments, stdout=told)
    return told.getvalue()


def test_the_command_tells_the_record() -> None:
    for status in (ItemStatus.EXECUTED, ItemStatus.EXECUTED, ItemStatus.EXECUTED, ItemStatus.TAKEN_OUT):
        proposed(decided=DecisionStatus.APPROVED, status=status)

    told = printed()
    assert "optimization: reviewers said otherwise: 25.0% (4.6% to 69.9%) of 4" in told
    assert told.count("no model is calibrated: 0 of 200 independent labels") == 3
    assert (
        "   what stood: 4 labels in 4 judgements (4 by review); right 75.0% (30.1% to 95.4%) of 4; "
        "of the 4 with a confidence: mean 0.80, calibration error 0.050, Brier score 0.190" in told
    )
    assert told.count("no label yet") == 2

    read = json.loads(printed("--json", "--since", "2026-01-01"))
    stood = read["agents"]["optimization"]["judges"]["what stood"]
    assert (stood["labels_by_source"], stood["brier_score"]) == ({"review": 4}, pytest.approx(0.19))
    assert read["agents"]["optimization"]["models"] == []
    assert json.loads(printed("--json", "--since", "2030-01-01"))["agents"]["optimization"]["judges"][
        "what stood"
    ]["right"] == {"share": None, "low": 0.0, "high": 1.0, "labels": 0}


def test_a_day_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(CommandError, match="'March' is no day such as 2026-03-01"):
        printed("--since", "March")
