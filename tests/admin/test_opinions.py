"""Model and rules side by side on a decision's page."""

import pytest
from django.conf import settings
from django.test import Client

from listmanagement.admin import opinions
from listmanagement.models import Agent, AgentCall, AnswerSource, DecisionGroup, DecisionKind
from listmanagement.workflows.maintenance.judgement import token_of
from tests import factories
from tests.admin import scenes
from tests.admin.scenes import Scene

MODEL = "gemini-3.5-flash-lite"


def judged_by_a_model(scene: Scene) -> AgentCall:
    """Whom the model would hold, agrees on, is overruled on, and keeps."""
    call = AgentCall.objects.get(run=scene.decision.run, agent=Agent.OPTIMIZATION)
    AgentCall.objects.filter(pk=call.pk).update(source=AnswerSource.MODEL, model=MODEL)
    say(scene.gone, call, stated="suppress", region="must", raw_confidence=0.97, confidence=0.97)
    say(scene.no_host, call, stated="suppress", raw_confidence=0.97, confidence=0.91, calibrated=True)
    say(
        scene.alive,
        call,
        verdict="hold",
        stated="hold",
        raw_confidence=0.9,
        confidence=0.69,
        rationale="Somebody read a message in March: wait for one more send.",
    )
    say(scene.held, call, verdict="hold", rules_verdict="hold", stated="keep", region="hold", confidence=1)
    factories.a_verdict(
        call=call, subject="full-3+", verdict="keep", stated="keep", contacts=7, confidence=0.6
    )
    return call


def say(group: DecisionGroup, call: AgentCall, **said: object) -> None:
    verdict = factories.a_verdict(call=call, subject=f"cohort-of-{group.bounce_class}-{group.pk}", **said)
    group.items.update(verdict=verdict)


def test_each_groups_cohorts_show_both_opinions_what_they_count_for_and_whose_they_are(
    reviewing: Client, scene: Scene
) -> None:
    judged_by_a_model(scene)

    page = reviewing.get(scene.decision.get_absolute_url())

    said = page.context["page"].opinions
    [gone], [no_host], [alive], [held] = (
        said.of_groups[each.pk].shown for each in (scene.gone, scene.no_host, scene.alive, scene.held)
    )
    assert (gone.disagree, gone.contacts, gone.outcome) == (False, "4 contacts", "")
    assert gone.model.who == f"the model {MODEL}"
    assert gone.model.confidence == "0.97 stated"
    assert no_host.model.confidence == "0.97 stated, worth 0.91 by what people decided before"
    assert alive.model.confidence == "0.90 stated, counts as 0.69: in dispute and not calibrated yet"
    assert (alive.model.verdict.words, alive.rules.verdict.words) == ("hold", "suppress")
    assert (
        alive.outcome == "They disagree: what the model says is put forward, and a person has the last word."
    )
    assert held.model.confidence.endswith("it does not count")
    assert held.outcome.endswith("the policy leaves no choice here, so what the rules say stands.")
    [kept] = said.kept
    assert (kept.contacts, kept.disagree) == ("7 contacts", True)
    html = page.content.decode()
    assert html.count("they disagree") == 3
    assert "Somebody read a message in March: wait for one more send." in html


def test_of_many_cohorts_the_largest_and_where_they_disagree_are_shown_and_domains_by_name(
    reviewing: Client, scene: Scene
) -> None:
    call = judged_by_a_model(scene)
    token = token_of("northwind.example", salt=settings.SECRET_KEY)
    about = {"verdict": "hold", "stated": "hold", "region": "hold"}
    agreed = {**about, "rules_verdict": "hold", "rationale": f"All at {token} failed."}
    verdicts = [
        factories.a_verdict(call=call, subject=f"hold/recipient_gone/1/at:{token}", **agreed),
        factories.a_verdict(call=call, subject="hold/recipient_gone/2", **agreed),
        factories.a_verdict(call=call, subject="hold/recipient_gone/3+", rules_verdict="suppress", **about),
    ]
    for verdict, (first, last) in zip(verdicts, ((0, 3), (3, 4), (4, 5)), strict=True):
        items = scene.held.items.values_list("pk", flat=True)[first:last]
        scene.held.items.filter(pk__in=list(items)).update(verdict=verdict)

    said = opinions.read(scene.decision).of_groups[scene.held.pk]

    assert [(pair.about, pair.contacts) for pair in said.shown] == [
        ("recipient gone, 1, at northwind.example", "3 contacts"),
        ("recipient gone, 3+", "1 contact"),
    ]
    assert said.shown[0].model.rationale == "All at northwind.example failed."
    assert [pair.about for pair in said.folded] == ["recipient gone, 2"]
    assert "1 more, on which they agree" in reviewing.get(scene.decision.get_absolute_url()).content.decode()


def test_where_rules_alone_judged_there_is_nothing_to_compare(reviewing: Client, scene: Scene) -> None:
    factories.a_verdict(call=AgentCall.objects.get(run=scene.decision.run))

    page = reviewing.get(scene.decision.get_absolute_url())

    assert page.context["page"].opinions == opinions.NOBODY
    assert "side by side" not in page.content.decode()


def test_a_rebalancing_shows_both_choices(reviewing: Client, scene: Scene) -> None:
    decision = scenes.a_rebalancing(scene)
    call = factories.an_agent_call(run=decision.run, agent=Agent.REBALANCING, source=AnswerSource.REUSED)
    of = {"region": "", "bounce_class": "", "contacts": None}
    factories.a_verdict(
        call=call, subject="plan", verdict="backfill_only", stated="backfill_only", rules_verdict="now", **of
    )
    assert decision.kind == DecisionKind.REBALANCING

    page = reviewing.get(decision.get_absolute_url())

    [pair] = page.context["page"].opinions.of_all
    assert (pair.model.verdict.words, pair.rules.verdict.words) == ("backfill only", "now")
    assert pair.model.who == "an earlier answer of the model gemini-under-test"


@pytest.mark.parametrize("agent", [Agent.LIST_HEALTH, Agent.REBALANCING])
def test_another_agents_verdicts_are_not_a_suppressions(
    scene: Scene, reviewing: Client, agent: Agent
) -> None:
    call = factories.an_agent_call(run=scene.decision.run, agent=agent, source=AnswerSource.MODEL)
    factories.a_verdict(call=call, stated="suppress")

    assert opinions.read(scene.decision) == opinions.NOBODY
