"""What a model is told: versioned, shorter each time, with examples that its own checks accept."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from agents import list_health, optimization, prompts, prose, rebalancing, reporting, weekly_report
from agents.asking import Source
from agents.list_health import HealthFacts
from agents.optimization import CohortFact
from agents.prompts import BadPrompt, parse
from agents.rebalancing import RebalancingFacts
from tests.agents.scripted import ScriptedAsk

AGENTS = (list_health, optimization, rebalancing, reporting, weekly_report)
FOLDER = Path(prompts.__file__).parent
DOCUMENT = FOLDER.parent.parent / "docs" / "prompts.md"
JUDGE = {
    "list_health": lambda told, ask: list_health.judge(HealthFacts(**told), ask=ask),
    "optimization": lambda told, ask: optimization.judge(
        [CohortFact(**each) for each in told["cohorts"]], ask=ask
    ),
    "rebalancing": lambda told, ask: rebalancing.judge(RebalancingFacts(**told), ask=ask),
}

TEXT = "version: v-1\n\n# Task\nJudge.\n\n# Background\nBe kind.\n\n# Example\none\n\n# Example\ntwo\n"


def file_of(agent):
    """The prompt's file has the module's name."""
    return FOLDER / f"{agent.__name__.removeprefix('agents.')}.md"


def examples(agent):
    """The example questions and answers of an agent's file."""
    found = re.findall(r"^facts: (.+)\nanswer: (.+)$", file_of(agent).read_text(), flags=re.MULTILINE)
    return [(json.loads(facts), json.loads(answer)) for facts, answer in found]


def test_a_prompt_is_its_sections_and_each_wording_leaves_more_out():
    read = parse(TEXT, name="x.md")

    assert read.version == "v-1"
    assert read.wordings == (
        "Judge.\n\nBe kind.\n\nExample:\none\n\nExample:\ntwo",
        "Judge.\n\nBe kind.\n\nExample:\none",
        "Judge.\n\nBe kind.",
        "Judge.",
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("# Task\nJudge.", "x.md does not begin with 'version: '"),
        (TEXT.replace("# Background", "# Hints"), "needs the sections Task, Background"),
        (TEXT.partition("# Example")[0], "at least one Example"),
        (TEXT + "\n# Rules\nmore\n", r"sections nobody reads: \['Rules'\]"),
    ],
)
def test_a_file_that_is_no_prompt_is_refused_by_name(text, why):
    with pytest.raises(BadPrompt, match=why):
        parse(text, name="x.md")


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: file_of(agent).stem)
def test_every_agent_has_four_wordings_each_shorter_than_the_one_before(agent):
    lengths = [len(wording) for wording in agent.INSTRUCTIONS.wordings]

    assert len(lengths) == 4
    assert lengths == sorted(set(lengths), reverse=True)


@pytest.mark.parametrize(
    "agent", [list_health, optimization, rebalancing], ids=lambda agent: file_of(agent).stem
)
def test_the_shortest_wording_still_names_every_placeholder_and_no_other(agent):
    shortest = agent.INSTRUCTIONS.wordings[-1]

    assert prose.placeholders(shortest) == set(agent.PLACEHOLDERS)


@pytest.mark.parametrize(
    ("agent", "told", "answer"),
    [(agent.AGENT, *one) for agent in (list_health, optimization, rebalancing) for one in examples(agent)],
)
def test_each_example_is_an_answer_that_would_be_accepted(agent, told, answer):
    judged = JUDGE[agent](told, ScriptedAsk(**{agent: answer}))

    assert judged.refused == ()
    assert judged.source is Source.MODEL


@pytest.mark.parametrize(
    ("agent", "told", "answer"),
    [(agent, *one) for agent in (reporting, weekly_report) for one in examples(agent)],
)
def test_each_example_of_a_report_would_be_accepted_and_can_be_rendered(agent, told, answer):
    report = reporting.Report(**answer)

    reporting.check_report(report, numbers=told["numbers"], must_name=agent._MUST_NAME)
    assert "{" not in str(reporting.render(report, told["numbers"]))


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: file_of(agent).stem)
def test_the_document_knows_each_prompt_as_it_is(agent):
    """A prompt that was changed needs a new version, and a line that says why."""
    digest = hashlib.sha256(file_of(agent).read_bytes()).hexdigest()[:12]
    line = f"| {agent.INSTRUCTIONS.version} | {digest} |"

    assert line in DOCUMENT.read_text(), f"docs/prompts.md has no line beginning with {line!r}"


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: file_of(agent).stem)
def test_a_prompt_costs_little_beside_its_facts(agent):
    assert len(agent.INSTRUCTIONS.wordings[0]) < 6000, "some 1,500 tokens"
