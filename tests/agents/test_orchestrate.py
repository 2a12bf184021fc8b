"""Which agents are asked, side by side and in time, and where two judgements contradict each other."""

import threading
from contextvars import ContextVar

import pytest

from agents import by_rules, list_health, optimization, orchestrate, rebalancing, weekly_report
from agents.asking import NoAnswer, Source, UnusableAnswer
from agents.list_health import Cause, HealthFacts
from agents.orchestrate import Contradiction
from tests.agents.scripted import ScriptedAsk
from tests.agents.test_list_health import FIRST_CAMPAIGN, a_list
from tests.agents.test_optimization import cohort, verdict
from tests.agents.test_rebalancing import facts as a_plan
from tests.agents.test_weekly_report import facts as a_week

FACTS = HealthFacts(lists=(FIRST_CAMPAIGN, a_list(key="list-2", delivered=900)))
COHORTS = [cohort("gone", region="must"), cohort("closed", bounce="domain_gone", domain_token="d-closed")]

HEALTH = list_health.by_rules(FACTS).model_dump(mode="json")
PLAN = {"verdicts": [verdict("gone"), verdict("closed")]}


def test_without_a_model_both_agents_judge_by_rules():
    analysis = orchestrate.post_campaign(FACTS, COHORTS, ask=None)

    assert (analysis.list_health.source, analysis.optimization.source) == (Source.RULES, Source.RULES)
    assert analysis.list_health.answer == list_health.by_rules(FACTS)
    assert analysis.optimization.answer == optimization.by_rules(COHORTS)
    assert analysis.contradictions == ()


@pytest.mark.parametrize(
    ("replies", "sources"),
    [
        ({"list_health": HEALTH, "optimization": PLAN}, ("model", "model")),
        ({"list_health": NoAnswer("too late"), "optimization": PLAN}, ("rules", "model")),
        ({"list_health": HEALTH, "optimization": "no JSON"}, ("model", "rules")),
        ({"list_health": {}, "optimization": {}}, ("rules", "rules")),
        ({"list_health": HEALTH, "optimization": OverflowError("odd")}, ("model", "rules")),
    ],
)
def test_an_agent_whose_model_fails_is_judged_by_rules_alone_of_its_own(replies, sources):
    analysis = orchestrate.post_campaign(FACTS, COHORTS, ask=ScriptedAsk(**replies))

    assert (analysis.list_health.source, analysis.optimization.source) == sources
    assert [bool(one.refused) for one in (analysis.list_health, analysis.optimization)] == [
        source == "rules" for source in sources
    ]


def test_suppressing_at_a_domain_in_outage_is_a_contradiction():
    at_the_firm = cohort("firm", domain_token="d-firm")

    analysis = orchestrate.post_campaign(FACTS, [*COHORTS, at_the_firm], ask=None)

    assert analysis.contradictions == (Contradiction(cohort="firm", list="list-1", cause=Cause.DECAY),)


def test_keeping_there_is_none():
    at_the_firm = cohort("firm", domain_token="d-firm")
    ask = ScriptedAsk(list_health=HEALTH, optimization={"verdicts": [verdict("firm", says="keep")]})

    assert orchestrate.post_campaign(FACTS, [at_the_firm], ask=ask).contradictions == ()


def test_only_the_list_that_the_cohorts_come_from_can_contradict_them():
    troubled = a_list(key="list-2", delivered=600, not_attempted=400, sender_side=400)
    facts = HealthFacts(lists=(a_list(delivered=1000), troubled))
    asked = [cohort("odd", bounce="unknown")]

    def found(campaign_list):
        return orchestrate.post_campaign(facts, asked, ask=None, campaign_list=campaign_list).contradictions

    assert found("list-1") == ()
    assert found("list-2") == (Contradiction(cohort="odd", list="list-2", cause=Cause.SENDER_SIDE),)
    assert found(None) == found("list-2")
    with pytest.raises(ValueError, match="no facts about list list-7"):
        found("list-7")


# --- Side by side, and in time -----------------------------------------------------------------------


class Meeting:
    """Answers as the rules would, but nobody before all of these agents are being asked."""

    def __init__(self, *agents):
        self._all_there, self._agents = threading.Barrier(len(agents), timeout=20), agents
        self.names = []

    def __call__(self, prompt, *, answer):
        if prompt.agent in self._agents:
            self._all_there.wait()
        self.names.append(RUN.get())
        return answer.model_validate(by_rules.answer(prompt.facts).model_dump(mode="json"))


class Silent:
    """Never answers one agent, until it is let go; answers the others as the rules would."""

    def __init__(self, agent):
        self._agent, self.let_go = agent, threading.Event()

    def __call__(self, prompt, *, answer):
        if prompt.agent == self._agent:
            self.let_go.wait(timeout=20)
            raise NoAnswer("let go")
        return answer.model_validate(by_rules.answer(prompt.facts).model_dump(mode="json"))


RUN = ContextVar("RUN", default="")


def test_agents_that_do_not_need_each_other_are_asked_at_the_same_time_and_in_the_runs_name():
    ask = Meeting("list_health", "optimization")
    token = RUN.set("run 7")

    analysis = orchestrate.post_campaign(FACTS, COHORTS, ask=ask)

    RUN.reset(token)
    assert (analysis.list_health.source, analysis.optimization.source) == (Source.MODEL, Source.MODEL)
    assert ask.names == ["run 7", "run 7"]


def test_who_has_not_answered_in_time_is_judged_by_rules_and_the_other_by_the_model():
    ask = Silent("list_health")

    analysis = orchestrate.post_campaign(FACTS, COHORTS, ask=ask, within=0.5)

    ask.let_go.set()
    assert (analysis.list_health.source, analysis.optimization.source) == (Source.RULES, Source.MODEL)
    assert analysis.list_health.answer == list_health.by_rules(FACTS)
    assert analysis.list_health.refused == ("model: no answer within 0.5 seconds",)
    assert not analysis.list_health.valid


def test_for_whom_nobody_waits_any_more_nothing_further_is_asked():
    asked, answered = [], threading.Event()

    def unusable_and_late(prompt, *, answer):
        asked.append(prompt.agent)
        answered.wait(timeout=20)
        raise UnusableAnswer("of no use")

    judged = orchestrate.in_time(optimization.judge, COHORTS, ask=unusable_and_late, within=0.1)
    answered.set()
    for thread in [each for each in threading.enumerate() if each.name.startswith("agent")]:
        thread.join(timeout=20)

    assert judged.source is Source.RULES
    assert asked == ["optimization"], "its answer could not be used, and would have been asked for again"


def test_a_fault_of_the_facts_is_raised_where_the_judgement_is_waited_for():
    twice = [cohort("one"), cohort("one")]

    with pytest.raises(ValueError, match="stand for more than one thing"):
        orchestrate.post_campaign(FACTS, twice, ask=Meeting())


# --- Once a week -------------------------------------------------------------------------------------


def test_once_a_week_two_are_asked_side_by_side_and_the_report_tells_of_both():
    plan = a_plan()

    def tell(health, choice):
        assert (health.source, choice.source) == (Source.MODEL, Source.MODEL)
        return a_week(choice=choice.answer.choice)

    week = orchestrate.weekly(FACTS, plan, tell, ask=Meeting("list_health", "rebalancing"))

    assert (week.list_health.agent, week.rebalancing.agent, week.report.agent) == (
        "list_health",
        "rebalancing",
        "reporting",
    )
    assert week.rebalancing.answer == rebalancing.by_rules(plan)
    assert week.report.answer == weekly_report.by_rules(a_week(choice=week.rebalancing.answer.choice))
    assert week.report.source is Source.MODEL


def test_a_week_without_a_model_is_judged_and_told_by_rules():
    week = orchestrate.weekly(FACTS, a_plan(), lambda health, choice: a_week(), ask=None)

    assert {week.list_health.source, week.rebalancing.source, week.report.source} == {Source.RULES}
    assert week.report.answer == weekly_report.by_rules(a_week())


def test_the_report_of_a_week_has_only_what_time_the_others_left():
    ask = Silent("reporting")

    week = orchestrate.weekly(FACTS, a_plan(), lambda health, choice: a_week(), ask=ask, within=0.5)

    ask.let_go.set()
    assert (week.list_health.source, week.report.source) == (Source.MODEL, Source.RULES)
    assert week.report.refused == ("model: no answer within 0.5 seconds",)
