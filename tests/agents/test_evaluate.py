"""Labels beside answers: who was asked, what was right and wrong, and how sure the rules may be."""

from __future__ import annotations

import pytest

from agents import evaluate, optimization, reporting, scores
from agents.asking import NoAnswer, Source
from agents.evaluate import (
    AGENTS,
    NOT_RULED_ON,
    Case,
    ChoiceLabel,
    Evaluation,
    GroupLabel,
    ListLabel,
    Mark,
    ReportLabel,
)
from agents.list_health import Cause, Grade, HealthFacts, ListFact
from agents.optimization import CohortFact, Verdict
from agents.rebalancing import Choice, RebalancingFacts
from agents.scores import Share
from tests.agents.scripted import ScriptedAsk


def a_cohort(key: str = "k", *, region: str = "may", bounce: str = "inactive") -> CohortFact:
    return CohortFact.model_validate(
        {
            "key": key,
            "bounce": bounce,
            "strikes": "2",
            "history": "delivered_before",
            "domain_token": None,
            "contacts": 4,
            "share_of_list": 0.01,
            "region": region,
            "review": False,
            "upheld": 0,
            "labels": 0,
        }
    )


def a_case(
    name: str = "one", *cohorts: CohortFact, groups: tuple[GroupLabel, ...] = (), **given: object
) -> Case:
    empty = dict.fromkeys(("health", "rebalancing", "choice", "report", "told"))
    return Case(**{"scenario": name, "cohorts": cohorts, "groups": groups, "lists": (), **empty, **given})


def labelled(verdict: Verdict, *cohorts: str, name: str = "a") -> GroupLabel:
    return GroupLabel(name, cohorts, verdict, why="because")


def open_cases(count: int, *, upheld: int, bounce: str = "inactive") -> list[Case]:
    """So many scenarios with one open cohort each, of which so many are labelled as the rules judge."""
    return [
        a_case(
            f"{bounce}-{n}",
            a_cohort(bounce=bounce),
            groups=(labelled(Verdict.SUPPRESS if n < upheld else Verdict.KEEP, "k"),),
        )
        for n in range(count)
    ]


def judged(*cases: Case, ask: ScriptedAsk | None = None) -> Evaluation:
    return evaluate.evaluate(cases, agents=AGENTS, ask=ask)


def test_a_group_is_right_when_its_cohort_is_judged_as_labelled():
    must = a_cohort("m", region="must")
    groups = (labelled(Verdict.SUPPRESS, "m"), labelled(Verdict.KEEP, "m", name="b"))

    right, wrong = judged(a_case("one", must, groups=groups)).marks

    assert (right.is_right, right.answered, right.open) == (True, "suppress", False)
    assert (wrong.is_right, wrong.expected, wrong.answered, wrong.why) == (
        False,
        "keep",
        "suppress",
        "because",
    )


def test_contacts_of_whom_the_policy_says_nothing_are_kept():
    [mark] = judged(a_case(groups=(labelled(Verdict.KEEP),))).marks

    assert (mark.about, mark.answered, mark.is_right) == (NOT_RULED_ON, "keep", True)


def test_a_group_that_is_judged_in_two_ways_is_wrong_and_counts_as_suppressed():
    kept, dropped = a_cohort("n", region="never"), a_cohort("m", region="must")
    evaluation = judged(a_case("one", kept, dropped, groups=(labelled(Verdict.KEEP, "n", "m"),)))

    assert evaluation.marks[0].answered == "keep and suppress"
    assert scores.score(evaluation, agent=optimization.AGENT).false_positives == Share(1, 1)


def test_rules_are_as_sure_as_the_labels_of_all_other_scenarios_let_them():
    all_upheld = judged(*open_cases(41, upheld=41)).marks
    last_is_not = judged(*open_cases(41, upheld=40)).marks

    assert {round(mark.confidence, 3) for mark in all_upheld} == {0.961}
    assert round(last_is_not[-1].confidence, 3) == 0.961, "its own label does not count"
    assert round(last_is_not[0].confidence, 3) == 0.92


def test_classes_with_few_labels_are_counted_together():
    few = open_cases(12, upheld=12) + open_cases(12, upheld=12, bounce="mailbox_full")
    many = open_cases(40, upheld=0, bounce="recipient_gone_soft")

    marks = judged(*few, *many).marks

    assert {round(mark.confidence, 3) for mark in marks[:24]} == {0.933}
    assert {mark.confidence for mark in marks[24:]} == {0.0}


def test_too_few_labels_in_all_leave_the_rules_unproven():
    assert {mark.confidence for mark in judged(*open_cases(5, upheld=5)).marks} == {0.80}


def test_an_agent_is_only_asked_where_a_scenario_has_something_for_it():
    case = a_case("one", a_cohort(), groups=(labelled(Verdict.SUPPRESS, "k"),))

    assert [call.agent for call in judged(case).calls] == [optimization.AGENT]
    assert evaluate.evaluate([case], agents=["reporting"], ask=None).calls == ()


def test_a_list_needs_both_its_grade_and_its_cause():
    fact = ListFact(
        key="list-1",
        size=1000,
        delivered=900,
        bounced=100,
        hard=100,
        not_attempted=0,
        by_class={},
        outages=(),
        sender_side=0,
        sender_side_bounced=0,
        sender_side_hard=0,
        previous_rate=None,
    )
    labels = (
        ListLabel("list-1", Grade.CRITICAL, Cause.DECAY, "a tenth"),
        ListLabel("list-1", Grade.CRITICAL, Cause.NONE, "a tenth"),
    )

    marks = judged(a_case(health=HealthFacts(lists=(fact,)), lists=labels)).marks

    assert [mark.is_right for mark in marks] == [True, False]


def a_run(**given: object) -> reporting.ReportFacts:
    counts = dict.fromkeys(
        "sent delivered bounced hard not_attempted open proposed approved rejected expired waiting dropped "
        "suppressed kept placed moved moves_deferred backlog failed deviation_before deviation_after "
        "active_seconds requests".split(),
        0,
    )
    return reporting.ReportFacts.model_validate(
        {
            "stage": "finished",
            "rules_judged": True,
            "held": (),
            "sender_problems": {},
            "sizes_before": {"list-1": 10},
            "sizes_after": {"list-1": 10},
            "went_without": (),
            **counts,
            **given,
        }
    )


def test_a_report_must_name_what_a_manager_has_to_be_told():
    facts = a_run(sent=10, delivered=8, bounced=2, hard=2, suppressed=2, proposed=2, approved=2)
    told = a_case(report=facts, told=ReportLabel(("suppressed",), "two are gone"))
    silent = a_case(report=facts, told=ReportLabel(("suppressed", "went_without"), "what was away"))

    assert [mark.answered for mark in judged(told, silent).marks] == ["complete", "silent about went_without"]


@pytest.mark.parametrize(
    ("label", "same", "answered", "right"),
    [
        (Choice.BACKFILL_ONLY, {Choice.NOW, Choice.BACKFILL_ONLY}, "backfill_only", True),
        (Choice.DEFER, {Choice.DEFER}, "now", False),
    ],
)
def test_choices_with_the_same_effect_are_one(label, same, answered, right):
    plan = {"moves": 0, "placements": 4, "sizes": {"list-1": 14}, "deviation": 0.0}
    facts = RebalancingFacts.model_validate(
        {
            "sizes": {"list-1": 10},
            "deviation": 0.0,
            "threshold": 5.0,
            "now": plan,
            "backfill_only": plan,
            "waiting": 0,
            "between_cycles": True,
            "hours_to_next_send": None,
        }
    )
    choice = ChoiceLabel(label, frozenset(same), "nobody moves")

    [mark] = judged(a_case(rebalancing=facts, choice=choice)).marks

    assert (mark.answered, mark.is_right) == (answered, right)


def test_a_models_answer_is_judged_and_what_could_not_be_used_is_told():
    case = a_case("one", a_cohort(), groups=(labelled(Verdict.KEEP, "k"),))
    said = {"verdicts": [{"cohort": "k", "rationale": "wait", "verdict": "keep", "confidence": 0.9}]}

    usable = judged(case, ask=ScriptedAsk(optimization=said))
    broken = judged(case, ask=ScriptedAsk(optimization="no json"))
    away = judged(case, ask=ScriptedAsk(optimization=NoAnswer("away")))

    assert [(call.source, call.usable) for call in usable.calls] == [(Source.MODEL, True)]
    assert usable.marks[0].is_right
    assert [(call.source, call.usable, len(call.refused)) for call in broken.calls] == [
        (Source.RULES, False, 4)
    ]
    assert [len(call.refused) for call in away.calls] == [1]


def a_mark(expected: str, answered: str, *, scenario: str = "s", agent: str = "optimization") -> Mark:
    return Mark(agent, scenario, "a", "k", expected, answered, 0.5, open=True, why="w", rationale="r")


def test_precision_and_recall_are_of_each_answer():
    marks = (
        a_mark("suppress", "suppress"),
        a_mark("suppress", "keep"),
        a_mark("keep", "suppress"),
        a_mark("hold", "hold"),
    )
    score = scores.score(Evaluation(marks, ()), agent="optimization")

    assert score.by_answer["suppress"].precision == Share(1, 2)
    assert score.by_answer["suppress"].recall == Share(1, 2)
    assert score.by_answer["hold"].recall == Share(1, 1)
    assert score.false_positives == Share(1, 2)
    assert score.accuracy == Share(2, 4)


def test_repeats_agree_where_every_answer_is_the_same():
    once = Evaluation((a_mark("keep", "keep"), a_mark("keep", "keep", scenario="t")), ())
    again = Evaluation((a_mark("keep", "keep"), a_mark("keep", "hold", scenario="t")), ())

    assert scores.same_each_time([once, again]) == Share(1, 2)


@pytest.mark.parametrize(
    ("pairs", "same", "kappa"),
    [
        ([("a", "a"), ("b", "b")], 2, 1.0),
        ([("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")], 2, 0.0),
        ([("a", "b"), ("b", "a")], 0, -1.0),
        ([("a", "a"), ("a", "a")], 2, None),
        ([("a", "a")] * 20 + [("a", "b")] * 5 + [("b", "a")] * 10 + [("b", "b")] * 15, 35, 0.4),
    ],
)
def test_kappa_is_what_agreement_is_beyond_chance(pairs, same, kappa):
    found = scores.agreement(pairs)

    assert found.same == Share(same, len(pairs))
    assert found.kappa == (None if kappa is None else pytest.approx(kappa))
