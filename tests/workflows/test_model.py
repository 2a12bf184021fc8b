"""A model judges a whole run: what it is told, what stands of what it says, and that a run never needs it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from django.conf import settings
from django.test import Client
from pydantic import BaseModel

from agents.asking import Ask, NoAnswer, Prompt, UnusableAnswer
from integrations.gemini import Gemini
from listmanagement import asking, outside
from listmanagement.asking import Limits
from listmanagement.models import (
    FINISHED,
    AgentCall,
    Bounce,
    CampaignSchedule,
    Contact,
    DecisionStatus,
    GeminiRequest,
    ListMaintenanceLog,
    RunStatus,
    Step,
    Trigger,
)
from listmanagement.workflows.by_people import review
from listmanagement.workflows.demo.world import JUDGED
from listmanagement.workflows.maintenance import post_campaign
from tests import factories
from tests.agents.detector import CORPUS, HOSTILE, check_private, telling_words
from tests.workflows import scene as scenes
from tests.workflows.scene import Scene

pytestmark = pytest.mark.django_db(transaction=True)

A = TypeVar("A", bound=BaseModel)

MODEL = "gemini-3.5-flash-lite"
LIMITS = Limits(requests_per_minute=1000, tokens_per_run=1_000_000, tokens_per_day=1_000_000)
AGENTS = {"list_health", "optimization", "rebalancing", "reporting"}


@contextmanager
def judged_by_a_model(scene: Scene, *, limits: Limits = LIMITS, timeout: float = 5.0) -> Iterator[Scene]:
    """The scene, with the stand-in as the model."""
    gemini = Gemini(
        api_key=scene.standin.serving.gemini_key,
        model=MODEL,
        base_url=scene.standin.serving.gemini_url,
        api_version="v1",
        allowance=asking.SharedAllowance(limits),
        timeout=timeout,
        patience=2 * timeout,
        sleep=scenes.no_sleep,
    )
    afresh = asking.GeminiAsk(gemini, temperatures=settings.GEMINI_TEMPERATURES)
    ask = asking.Reusing(afresh, model=MODEL, within=timedelta(hours=24), clock=scene.clock)
    in_turn = ListHealthFirst(asking.OnAnyThread(ask))
    yield replace(scene, outside=replace(scene.outside, ask=in_turn))
    gemini.close()


class ListHealthFirst:
    """Keeps optimization waiting until list health was answered: what is scripted reaches whom it is for."""

    def __init__(self, ask: Ask) -> None:
        self._ask, self._answered = ask, threading.Event()

    def __call__(self, prompt: Prompt, *, answer: type[A]) -> A:
        is_first = prompt.agent == "list_health"
        if prompt.agent == "optimization":
            self._answered.wait(timeout=20)
        try:
            found = self._ask(prompt, answer=answer)
        except NoAnswer:
            self._answered.set()
            raise
        except UnusableAnswer:
            if is_first and prompt.repeat == len(prompt.wordings) - 1:
                self._answered.set()
            raise
        self._answered.set()
        return found


def a_run(scene: Scene) -> ListMaintenanceLog:
    """A run at its first step: one bounced, somebody waits in the backlog, so that all four are asked."""
    one, two, three = scene.lists.campaign
    contacts = scenes.people(7, on=[scene.lists.master, one])
    for other in (two, three):
        scenes.people(7, on=[scene.lists.master, other])
    scenes.people(1, on=[scene.lists.master])
    campaign = factories.a_campaign(list=one)
    scene.publish_with(campaign, bounced=contacts[:1])
    factories.the_rollout()
    return factories.a_run(campaign=campaign)


def go_on_to_the_end(scene: Scene, run: ListMaintenanceLog) -> ListMaintenanceLog:
    """Let it go on, a reviewer approving whatever waits."""
    reviewer = factories.a_reviewer()
    while run.status not in FINISHED:
        scene.go_on(run)
        for decision in run.decisions.filter(status=DecisionStatus.OPEN):
            review.approve(decision.pk, by=reviewer, now=scene.clock())
    return run


def calls(run: ListMaintenanceLog) -> dict[str, AgentCall]:
    return {call.agent: call for call in run.agent_calls.all()}


# --- The whole of it ---------------------------------------------------------------------------------


def test_a_model_judges_the_demo_and_its_page_says_so(scene_of_demo: Scene, client: Client) -> None:
    with judged_by_a_model(scene_of_demo) as scene:
        run = post_campaign.start(
            JUDGED,
            trigger=Trigger.SCHEDULE,
            by=None,
            configuration=scene.outside.configuration,
            now=scene.clock(),
        )
        scene.go_on(run)
        client.force_login(factories.a_reviewer("ana"))
        page = client.get(run.decisions.get(status=DecisionStatus.OPEN).get_absolute_url()).content.decode()
        go_on_to_the_end(scene, run)

    assert f"the model {MODEL}" in page
    assert "rules (no Gemini key" not in page
    assert run.status == RunStatus.SUCCEEDED
    counted = {name: run.counts[name] for name in ("suppressed", "held", "placed", "moved")}
    assert counted == {"suppressed": 110, "held": 126, "placed": 300, "moved": 52}
    judges = {agent: (call.source, call.model, call.valid) for agent, call in calls(run).items()}
    assert judges == dict.fromkeys(AGENTS, ("model", MODEL, True))
    assert {agent: call.temperature for agent, call in calls(run).items()} == {
        "list_health": 0.7,
        "optimization": 0.3,
        "rebalancing": 0.5,
        "reporting": 0.6,
    }
    assert all(call.tokens_in and call.tokens_out and call.latency_ms for call in calls(run).values())
    spent = sum((call.tokens_in or 0) + (call.tokens_out or 0) for call in calls(run).values())
    requests = GeminiRequest.objects.filter(correlation=run.correlation_id.hex, settled=True)
    assert sum(requests.values_list("tokens", flat=True)) == spent
    check_private(scene.control.gemini_asked())


def test_where_the_model_sees_it_otherwise_the_rules_opinion_stands_beside_it(
    scene: Scene, client: Client
) -> None:
    with judged_by_a_model(scene) as scene:
        run = a_run(scene)
        health = {
            "list": "list-1",
            "rationale": "All is well.",
            "grade": "good",
            "cause": "none",
            "domains": [],
            "confidence": 0.9,
        }
        others = [{**health, "list": f"list-{n}"} for n in (2, 3)]
        scene.control.gemini_says({"assessments": [health, *others]})
        scene.go_on(run)

    call = calls(run)["list_health"]
    assert (call.source, call.raw_confidence, call.confidence) == ("model", 0.9, 0.69)
    assert call.stated["assessments"][0]["grade"] == "good"


# --- What goes wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "times", "why"),
    [
        ({"gemini": "not_json"}, 4, "not_json: the answer is not JSON"),
        ({"gemini": "invented"}, 4, "missed: "),
        ({"gemini": "cut"}, 4, "cut_off: "),
        ({"gemini": "no_room"}, 4, "no_room: "),
        ({"gemini": "blocked"}, 4, "answer_blocked: "),
        ({"gemini": "html"}, 4, "unreadable: "),
        ({"status": 503}, 1, "overloaded: "),
        ({"status": 429}, 1, "backed_off: "),  # list health was told, and everybody knows
        ({"status": 404}, 1, "unknown_model: "),
        ({"drop": True}, 1, "connection_broke: "),
        ({"gemini": "trickle"}, 1, "timed_out: "),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_without_a_usable_answer_rules_judge_and_the_call_says_why(
    scene: Scene, fault: dict[str, Any], times: int, why: str
) -> None:
    with judged_by_a_model(scene, timeout=0.3 if why == "timed_out: " else 5.0) as scene:
        run = a_run(scene)
        scene.control.fault(path="^/gemini/", **fault)
        scene.go_on_while(run, lambda: not run.agent_calls.exists())

    call = calls(run)["optimization"]
    assert (call.source, call.model, call.valid, call.stated) == ("rules", "", False, None)
    assert len(call.refused) == times
    assert all(each.startswith(f"{MODEL}: {why}") for each in call.refused)


def test_a_model_that_recovers_is_heard_and_its_first_answer_is_remembered(scene: Scene) -> None:
    with judged_by_a_model(scene) as scene:
        run = a_run(scene)
        scene.control.fault(path="^/gemini/", gemini="fenced", times=2)
        scene.go_on_while(run, lambda: not run.agent_calls.exists())

    health, plan = calls(run)["list_health"], calls(run)["optimization"]
    assert (health.source, health.valid, len(health.refused)) == ("model", False, 2)
    assert (plan.source, plan.valid, plan.refused) == ("model", True, [])
    systems = [asked["question"]["system"] for asked in scene.control.gemini_asked()]
    assert [len(system) for system in systems[:3]] == sorted(map(len, systems[:3]), reverse=True)


def test_when_the_allowance_is_spent_rules_judge_and_the_call_says_so(scene: Scene) -> None:
    with judged_by_a_model(scene, limits=replace(LIMITS, tokens_per_run=18_600)) as scene:
        run = go_on_to_the_end(scene, a_run(scene))

    assert run.status == RunStatus.SUCCEEDED
    assert "A model judged list health; rules judged optimization and rebalancing." in run.report
    sources = {agent: call.source for agent, call in calls(run).items()}
    assert sources == {**dict.fromkeys(AGENTS, "rules"), "list_health": "model"}
    [why] = calls(run)["reporting"].refused
    assert why.startswith(f"{MODEL}: run_spent: what one run may spend is spent: see GEMINI_TOKENS_PER_RUN")
    assert calls(run)["reporting"].tokens_in is None


def test_the_same_evidence_judged_again_is_answered_from_before(scene: Scene) -> None:
    with judged_by_a_model(scene) as scene:
        run = a_run(scene)
        scene.go_on_while(run, lambda: not run.agent_calls.exists())
        again = factories.a_run(campaign=run.campaign, step=Step.JUDGE, state_before=run.state_before)
        ListMaintenanceLog.objects.filter(pk=run.pk).update(
            status=RunStatus.FAILED,
            finished_at=scene.clock(),
            lease_owner="",
            lease_token=None,
            lease_until=None,
        )
        scene.go_on_while(again, lambda: not again.agent_calls.exists())

    first = calls(again)["optimization"]
    assert (first.source, first.model, first.tokens_in) == ("reused", MODEL, None)
    assert first.stated == calls(run)["optimization"].stated
    about_cohorts = [each for each in scene.control.gemini_asked() if "cohorts" in each["question"]["text"]]
    assert len(about_cohorts) == 1


# --- What it is told ---------------------------------------------------------------------------------


def test_nothing_from_outside_reaches_the_model(scene: Scene) -> None:
    """Each text of the corpus stands where it would come from, at Mailjet and here, before a whole run."""
    comments, subjects = CORPUS["server_comments"], CORPUS["subjects"]
    with judged_by_a_model(scene) as scene:
        one, two, three = scene.lists.campaign
        tried = scenes.people(3 * len(comments), on=[scene.lists.master, one])
        for other in (two, three):
            scenes.people(60, on=[scene.lists.master, other])
        scenes.people(5, on=[scene.lists.master])
        for n, contact in enumerate(tried):  # each at a firm of its own, so that no outage is seen
            Contact.objects.filter(pk=contact.pk).update(email=f"someone@firm-{n}.example.com")
        for contact, address in zip(tried[1:], CORPUS["addresses"], strict=False):
            Contact.objects.filter(pk=contact.pk).update(email=address)
        campaign = factories.a_campaign(list=one)
        scene.publish_with(campaign, bounced=tried[: len(comments)])
        _say_at_mailjet(scene, "messages", "comment", comments)
        _say_at_mailjet(scene, "lists", "name", CORPUS["list_names"])
        _say_at_mailjet(scene, "contacts", "name", CORPUS["names"])
        scene.at_mailjet("UPDATE campaigns SET subject = ?", subjects[0])
        for contact_list, name in zip(scene.lists.campaign, CORPUS["list_names"], strict=False):
            type(contact_list).objects.filter(pk=contact_list.pk).update(name=name)
        CampaignSchedule.objects.update(subject=subjects[1], title=subjects[2])
        factories.the_rollout()
        run = go_on_to_the_end(scene, factories.a_run(campaign=campaign))

    assert {call.source for call in calls(run).values()} == {"model"}
    assert set(calls(run)) == AGENTS
    came_in = set(Bounce.objects.exclude(server_text="").values_list("server_text", flat=True))
    assert len(came_in) > len(comments) / 2, "the server's texts were read and stored"
    asked = scene.control.gemini_asked()
    check_private(asked)
    told = " ".join(each["question"]["system"] + each["question"]["text"] for each in asked).lower()
    sent = " ".join(each["body"] for each in asked).lower()
    assert {word for word in telling_words(HOSTILE) if word in told} == set()
    assert [text for text in HOSTILE if text.lower() in sent or json.dumps(text)[1:-1].lower() in sent] == []


def _say_at_mailjet(scene: Scene, table: str, column: str, texts: Sequence[str]) -> None:
    """Each row of a table at Mailjet gets one of the texts, in turn."""
    for n, text in enumerate(texts):
        scene.at_mailjet(f"UPDATE {table} SET {column} = ? WHERE id % ? = ?", text, len(texts), n)


# --- From the settings -------------------------------------------------------------------------------


def test_without_a_key_nobody_is_asked() -> None:
    assert outside.ask() is None


def test_with_a_key_the_settings_say_who_is_asked(
    scene: Scene, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.GEMINI_API_KEY = scene.standin.serving.gemini_key
    settings.GEMINI_BASE_URL = scene.standin.serving.gemini_url
    settings.GEMINI_API_VERSION = "v1beta"
    settings.GEMINI_MODEL = "gemini-3.8-flash"
    settings.GEMINI_TEMPERATURES = {**settings.GEMINI_TEMPERATURES, "optimization": 0.1}
    with outside.real() as real:
        ask = real.ask
    assert isinstance(ask, asking.OnAnyThread)
    assert isinstance(ask.ask, asking.Reusing)
    afresh = ask.ask.ask
    assert isinstance(afresh, asking.GeminiAsk)
    scene.outside = replace(scene.outside, ask=ask)
    run = a_run(scene)

    scene.go_on_while(run, lambda: not run.agent_calls.exists())

    call = calls(run)["optimization"]
    assert (call.source, call.model, call.temperature) == ("model", "gemini-3.8-flash", 0.1)
    [asked] = [each for each in scene.control.gemini_asked() if "cohorts" in each["question"]["text"]]
    assert (asked["version"], asked["question"]["temperature"]) == ("v1beta", 0.1)
    asking.connected.cache_clear()
    afresh.gemini.close()
