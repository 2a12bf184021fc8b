"""Two judgements of one campaign, and where they contradict each other."""

import pytest

from agents import list_health, optimization, orchestrate
from agents.asking import NoAnswer, Source
from agents.list_health import Cause, HealthFacts
from agents.orchestrate import Contradiction
from tests.agents.scripted import ScriptedAsk
from tests.agents.test_list_health import FIRST_CAMPAIGN, a_list
from tests.agents.test_optimization import cohort, verdict

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
