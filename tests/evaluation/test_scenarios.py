"""The scenarios that come with the code: enough, readable, and judged well enough by the rules."""

from __future__ import annotations

import json
import tomllib
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from agents import by_rules, evaluate
from agents.evaluate import Case
from integrations.sandbox import serve
from integrations.sandbox.control import Control
from listmanagement import asking, outside
from listmanagement.domain.bounces import BounceClass
from listmanagement.evaluation import blind, document, facts, reading
from listmanagement.evaluation.reading import UnreadableScenario
from listmanagement.management.commands import evaluate_agents

SCENARIOS = reading.read()

SMALL = """
title = "A secret title"
about = "Mail goes out every two weeks."
size = 100
delivered = 90
groups = [
  ["a", "4 at many domains", "28 delivered, 14 delivered", "hard 1", "suppress", "a secret reason"],
  ["b", "6 at many domains", "28 delivered", "soft 10", "keep", "a secret reason"],
]
lists = [["list-1", "", "watch none", "a secret reason"]]
[rebalancing]
sizes = [96, 100]
backlog = 4
between_cycles = true
label = "backfill_only"
why = "a secret reason"
"""

REPORT = """why = "a secret reason"
[report]
stage = "finished"
figures = "sent 93, delivered 90, bounced 3, hard 2"
sizes_before = [96, 100]
label = ["sent"]
why = "a secret reason"
"""


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [facts.case(scenario) for scenario in SCENARIOS]


@pytest.fixture(scope="module")
def told(cases: list[Case]) -> dict[str, Any]:
    evaluation = evaluate.evaluate(cases, agents=evaluate.AGENTS, ask=None)
    return document.written([evaluation], scenarios=SCENARIOS, cases=cases)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "01-small.toml").write_text(SMALL)
    return tmp_path


def test_there_are_sixty_scenarios_and_three_hundred_labelled_cohorts(cases: list[Case]):
    labelled = {(case.scenario, key) for case in cases for group in case.groups for key in group.cohorts}

    assert len(SCENARIOS) >= 60
    assert len(labelled) >= 300


def test_every_kind_of_failure_occurs(cases: list[Case]):
    known = {cohort.bounce for case in cases for cohort in case.cohorts}

    assert known == {kind.value for kind in BounceClass}


def test_rules_reach_every_limit(told: dict[str, Any]):
    missed = [limit for limit in told["limits"] if not limit["held"]]

    assert len(told["limits"]) == 12
    assert missed == []


def test_moves_are_few_and_lists_even_wherever_the_lists_allow_it(told: dict[str, Any]):
    beyond = {each["scenario"] for each in told["rebalancings"] if not each["within"]}

    assert len(told["rebalancings"]) >= 8
    assert beyond == {"19-empty-list", "65-many-just-moved", "80-one-list-much-too-large"}


def test_a_scenario_is_read_as_it_is_written():
    [group] = [
        group
        for scenario in SCENARIOS
        if scenario.name.startswith("46-")
        for group in scenario.groups
        if group.name == "a"
    ]

    assert (group.contacts, group.domain, group.held_days) == (3, None, 70)
    assert [(told.days, told.outcome.value, told.state) for told in group.before] == [
        (84, "delivered", None),
        (70, "bounced", 1),
        (42, "not_attempted", 14),
        (14, "not_attempted", 14),
    ]
    assert group.before[0].click
    assert group.before[1].permanent


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('"hard 1"', '"hardly"', "no outcome"),
        ('"4 at many domains"', '"some"', "not like"),
        ('"4 at many domains"', '"4 at acme.example"', "no row under domains"),
        ('"suppress"', '"drop"', "groups.0.4"),
        ('["b", "6', '["a", "6', "two rows"),
        ('"watch none"', '"grim none"', "grim"),
        ('"a secret reason"]]', '""]]', "lists.0.3"),
        ("size = 100", "sise = 100", "sise"),
        ("size = 100", "size = -5", "size is -5: Input should be greater than or equal to 0$"),
        ("size = 100", "size = 3", "size is 3: the groups have 10 contacts"),
        ("size = 100", "size = 100\nprevious = nan", "previous is nan"),
        ('"4 at many domains"', '"0 at many domains"', "groups, a: contacts is '0': .* from 1 to 20000"),
        ('"4 at many domains"', '"4000000 at many domains"', "groups, a: contacts is '4000000'"),
        ('"hard 1"', '"hard 77"', "groups, a: 'hard 77': Mailjet's states are 1 to 21"),
        ('"28 delivered, 14', '"soon delivered, 14', "groups, a: days in 'soon delivered' is 'soon'"),
        ('"list-1", ""', '"list-1", "size 3, hard 10"', "lists, list-1: size is 3: .* the 10 messages"),
        ('"list-1", ""', '"list-1", "size 30, hard ten"', "lists, list-1: hard is 'ten'"),
        ("[96, 100]", "[]", "rebalancing.sizes: .* at least 2 items"),
        ("[96, 100]", "[5]", "rebalancing.sizes: .* at least 2 items"),
        ("[96, 100]", "[-5, 3]", "rebalancing.sizes.0 is -5"),
        ("backlog = 4", "backlog = 4\nfixed = [97, 0]", "rebalancing.fixed: .* larger than its size"),
        ("backlog = 4", 'backlog = 4\nfirst_sends = "5 of 3"', "rebalancing.first_sends is '5 of 3'"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_its_name(folder: Path, old: str, new: str, why: str):
    (folder / "01-small.toml").write_text(SMALL.replace(old, new, 1))

    with pytest.raises(UnreadableScenario, match=rf"01-small\.toml.*{why}") as refusal:
        reading.read(folder)

    assert "https:" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (
            '"list-1", ""',
            '"list-1", "size 90, hard 3, ours_hard 5"',
            "more hard bounces than bounces|explain more",
        ),
        (
            'why = "a secret reason"\n',
            REPORT.replace("delivered", "arrived"),
            "report.figures: unknown .*arrived",
        ),
        ('why = "a secret reason"\n', REPORT.replace(" 90", " many"), "report.figures is .* must be like"),
        ('why = "a secret reason"\n', REPORT.replace("bounced 3", "bounced 1"), "2 hard of 1 bounces"),
    ],
)
def test_figures_that_contradict_each_other_are_refused_with_the_files_name(
    folder: Path, old: str, new: str, why: str
):
    (folder / "01-small.toml").write_text(SMALL.replace(old, new, 1))

    with pytest.raises(CommandError, match=rf"01-small\.toml: .*({why})"):
        call_command("evaluate_agents", scenarios=folder)


def test_copies_for_a_second_labeller_hold_no_label_and_no_reason(folder: Path, tmp_path: Path):
    copies = tmp_path / "copies"
    call_command("evaluate_agents", scenarios=folder, blind=copies, stdout=StringIO())

    written = (copies / "s01.toml").read_text()
    told = tomllib.loads(written)

    assert "secret" not in written
    assert [len(row) for row in told["groups"]] == [4, 4]
    assert "label" not in told["rebalancing"]
    assert tomllib.loads((copies / blind.ANSWERS).read_text()) == {
        "s01": {"a": "", "b": "", "list-1": "", "rebalancing": ""}
    }


def test_a_sheet_that_may_be_filled_in_is_not_written_over(folder: Path):
    (folder / blind.ANSWERS).write_text("[s01]\n")

    with pytest.raises(CommandError, match="already"):
        call_command("evaluate_agents", scenarios=folder, blind=folder)

    assert (folder / blind.ANSWERS).read_text() == "[s01]\n"


def test_a_second_labelling_is_held_against_the_first(folder: Path):
    (folder / blind.ANSWERS).write_text(
        '[s01]\na = "hold"\nb = "keep"\nlist-1 = "watch none"\nrebalancing = "now"\n'
    )
    scenarios = reading.read(folder)
    second = blind.second_labels(folder, scenarios)
    assert second is not None

    told = document.labellers(scenarios, second, agents=evaluate.AGENTS)

    assert told["groups"]["share"] == 0.5
    assert told["lists"]["share"] == 1.0
    assert told["rebalancing"]["share"] == 1.0, "nobody moves in either form"
    assert told["differences"] == [
        {"scenario": "01-small", "what": "a", "first": "suppress", "second": "hold"}
    ]


def test_a_correction_does_not_make_labellers_agree_nor_the_answers_right_at_first(
    folder: Path, tmp_path: Path
):
    corrected = SMALL.replace("size = 100\n", 'size = 100\ncorrected = [["a", "keep", "misread"]]\n', 1)
    (folder / "01-small.toml").write_text(corrected)
    (folder / blind.ANSWERS).write_text(
        '[s01]\na = "suppress"\nb = "keep"\nlist-1 = "good none"\nrebalancing = "now"\n'
    )

    call_command("evaluate_agents", scenarios=folder, out=tmp_path / "o.json", stdout=StringIO())

    told = json.loads((tmp_path / "o.json").read_text())
    assert told["corrected"] == {"01-small": {"a": "keep"}}
    assert told["labellers"]["groups"]["share"] == 0.5
    assert told["agents"]["optimization"]["accuracy"]["share"] == 1.0
    assert told["right_by_first_labels"]["optimization"]["share"] == 0.5
    assert told["right_by_second_labels"] == {
        "list_health": {"count": 0, "of": 1, "share": 0.0},
        "optimization": {"count": 2, "of": 2, "share": 1.0},
        "rebalancing": {"count": 1, "of": 1, "share": 1.0},
    }


def test_all_scenarios_are_labelled_a_second_time_and_both_labellers_mostly_agree():
    second = blind.second_labels(reading.DEFAULT, SCENARIOS)
    assert second is not None

    told = document.labellers(SCENARIOS, second, agents=evaluate.AGENTS)

    kinds = ("groups", "lists", "rebalancing")
    assert min(told[kind]["share"] for kind in kinds) > 0.9
    assert min(told[kind]["kappa"] for kind in kinds) > 0.8


def test_a_second_labelling_with_a_gap_is_refused(folder: Path):
    (folder / blind.ANSWERS).write_text('[s01]\na = "hold"\n')

    with pytest.raises(UnreadableScenario, match="rebalancing"):
        blind.second_labels(folder, reading.read(folder))


def test_the_command_prints_stores_and_compares(folder: Path, tmp_path: Path):
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    printed, compared = StringIO(), StringIO()

    call_command("evaluate_agents", scenarios=folder, out=one, repeat=2, stdout=printed)
    (folder / "01-small.toml").write_text(SMALL.replace('"hard 1"', '"soft 10"'))
    call_command("evaluate_agents", scenarios=folder, out=other, stdout=StringIO())
    call_command("evaluate_agents", compare=[one, other], json=True, stdout=compared)

    assert "the same in all 2 repeats: 100.0% (4 of 4)" in printed.getvalue()
    assert json.loads(one.read_text())["agents"]["optimization"]["accuracy"]["share"] == 1.0
    assert json.loads(compared.getvalue())["differing"] == {"optimization/01-small/a": ["suppress", "keep"]}


def test_a_miss_is_named_with_its_reason(folder: Path, tmp_path: Path):
    (folder / "01-small.toml").write_text(SMALL.replace('"suppress"', '"keep"'))
    printed = StringIO()

    call_command("evaluate_agents", scenarios=folder, out=tmp_path / "o.json", stdout=printed)

    assert (
        "optimization, 01-small, a: must/recipient_gone/1/delivered_before (suppressed against the label)"
        in (printed.getvalue())
    )
    assert "expected keep: a secret reason" in printed.getvalue()
    assert "1 scenario, 4 labels, judged by rules" in printed.getvalue()
    assert "\n1 miss\n" in printed.getvalue()
    assert "4 contacts (4 % of the list), recipient gone, strikes: 1, delivered before." in printed.getvalue()
    assert "{" not in printed.getvalue()
    assert "  keep: precision 100.0% (1 of 1), recall 50.0% (1 of 2)" in printed.getvalue()
    assert "  suppress: precision 0.0% (0 of 1), never labelled" in printed.getvalue()


def test_where_the_result_is_stored_is_said(folder: Path, tmp_path: Path):
    told = StringIO()

    call_command("evaluate_agents", scenarios=folder, out=tmp_path / "o.json", stdout=StringIO(), stderr=told)

    assert told.getvalue() == f"stored in {tmp_path / 'o.json'}\n"


def test_what_is_said_is_about_the_agents_that_were_asked(tmp_path: Path):
    told = json_of("--agents", "rebalancing", "--out", str(tmp_path / "o.json"))

    assert set(told["agents"]) == {"rebalancing"}
    assert set(told["labellers"]) == {"rebalancing", "differences"}


def json_of(*arguments: str) -> dict[str, Any]:
    printed = StringIO()
    call_command("evaluate_agents", *arguments, "--json", stdout=printed, stderr=StringIO())
    found: dict[str, Any] = json.loads(printed.getvalue())
    return found


def test_a_share_is_rounded_once():
    assert evaluate_agents._share({"count": 348, "of": 351, "share": 0.9915}) == "99.1% (348 of 351)"


def test_a_folder_without_scenarios_and_a_file_that_is_no_result_are_refused(tmp_path: Path):
    with pytest.raises(CommandError, match="holds no scenario"):
        call_command("evaluate_agents", scenarios=tmp_path)
    with pytest.raises(CommandError, match="no stored evaluation"):
        call_command("evaluate_agents", compare=[tmp_path / "a", tmp_path / "b"])


@pytest.mark.parametrize("stored", ["[1, 2]", "3", '{"agents": [], "answers": {}}', '{"agents": {"a": {}}}'])
def test_a_document_of_another_kind_is_not_compared(tmp_path: Path, stored: str):
    (tmp_path / "x.json").write_text(stored)

    with pytest.raises(CommandError, match=r"x\.json is no stored evaluation"):
        call_command("evaluate_agents", compare=[tmp_path / "x.json", tmp_path / "x.json"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"compare": ["a", "b"], "agents": ["reporting"], "repeat": 3}, "does without --agents and --repeat"),
        ({"blind": "copies", "repeat": 2}, "--blind asks nobody and does without --repeat"),
        ({"repeat": 0}, "--repeat is 0"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused_by_name(options: dict[str, Any], words: str):
    with pytest.raises(CommandError, match=words):
        call_command("evaluate_agents", **options)


def test_a_place_that_cannot_be_written_to_is_refused_by_name(folder: Path):
    inside_a_file = folder / "01-small.toml" / "there"

    with pytest.raises(CommandError, match=r"--blind: .*there cannot be written \(Not a directory\)"):
        call_command("evaluate_agents", scenarios=folder, blind=inside_a_file)
    with pytest.raises(CommandError, match=r"--out: .*cannot be written"):
        call_command("evaluate_agents", scenarios=folder, out=inside_a_file / "o.json")


@pytest.mark.django_db(transaction=True)
def test_where_a_key_is_set_gemini_is_asked_afresh_each_time(folder: Path, tmp_path: Path, settings: Any):
    with (
        serve(tmp_path / "state", judge=lambda question: by_rules.reply(question.text)) as serving,
        Control(serving.url) as control,
    ):
        settings.GEMINI_API_KEY, settings.GEMINI_BASE_URL = serving.gemini_key, serving.gemini_url
        call_command(
            "evaluate_agents", scenarios=folder, out=tmp_path / "o.json", repeat=2, stdout=StringIO()
        )
        asked = len(control.gemini_asked())
        afresh = outside.ask_afresh()
        assert isinstance(afresh, asking.GeminiAsk)
        asking.connected.cache_clear()
        afresh.gemini.close()

    told = json.loads((tmp_path / "o.json").read_text())
    assert asked == 2 * 3
    assert told["judged_by"] == ["model"]
    assert told["model"] == settings.GEMINI_MODEL
    assert told["agents"]["optimization"]["answered_by_rules"] == 0
    assert told["agents"]["optimization"]["accuracy"]["share"] == 1.0
