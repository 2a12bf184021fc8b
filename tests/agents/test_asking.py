"""Who judged, on what, and how sure: the frame all four agents share."""

import ast
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import agents
from agents import optimization
from agents.asking import (
    NO_RECORD,
    NoAnswer,
    Prompt,
    Record,
    Source,
    UnusableAnswer,
    canonical,
    confidence_of_rules,
    counted,
    key_of,
    lower_bound,
    parsed,
)
from agents.optimization import SuppressionPlan
from tests.agents.test_optimization import cohort, verdict


def test_the_agents_import_nothing_but_the_standard_library_and_pydantic():
    allowed = sys.stdlib_module_names | {"agents", "pydantic"}
    modules = list(Path(agents.__file__).parent.glob("*.py"))

    imported = {
        name.split(".")[0]
        for module in modules
        for node in ast.walk(ast.parse(module.read_text()))
        for name in _names(node)
    }

    assert len(modules) > 6
    assert imported - allowed == set()


def _names(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


class InTurn:
    """Answers with one text after the other, or raises what stands there instead; keeps the questions."""

    def __init__(self, *replies):
        self._replies = iter(replies)
        self.asked = []

    def __call__(self, prompt, *, answer):
        self.asked.append(prompt)
        prompt.receipt.model = "scripted-model"
        prompt.receipt.add(tokens_in=100, tokens_out=20, tokens_thought=None, latency_ms=7)
        reply = next(self._replies)
        if isinstance(reply, UnusableAnswer):
            raise reply
        return parsed(answer, reply)


USABLE = canonical({"verdicts": [verdict()]})


@pytest.mark.parametrize("broken", [1, 2, 3])
def test_an_unusable_answer_is_asked_for_again_up_to_three_times_and_each_refusal_is_kept(broken):
    ask = InTurn(*["no JSON"] * broken, USABLE)

    judged = optimization.judge([cohort()], ask=ask)

    assert (judged.source, judged.valid) == (Source.MODEL, False)
    assert judged.refused == ("scripted-model: not a SuppressionPlan: answer: json_invalid",) * broken
    assert (judged.tokens_in, judged.tokens_out) == (100 * (broken + 1), 20 * (broken + 1))
    assert (judged.tokens_thought, judged.latency_ms) == (None, 7 * (broken + 1))


def test_after_the_third_repeat_rules_judge_and_say_why():
    ask = InTurn("no JSON", "{}", canonical({"verdicts": []}), "[]", USABLE)

    judged = optimization.judge([cohort()], ask=ask)

    assert (judged.source, judged.model, len(ask.asked)) == (Source.RULES, None, 4)
    assert [why.partition(": ")[2] for why in judged.refused] == [
        "not a SuppressionPlan: answer: json_invalid",
        "not a SuppressionPlan: verdicts: missing",
        "missed: ['a']",
        "not a SuppressionPlan: answer: model_type",
    ]


def test_whatever_goes_wrong_while_a_model_is_asked_rules_judge_and_the_fault_is_named_and_logged(caplog):
    def broken(prompt, *, answer):
        raise ZeroDivisionError("jane.doe@example.com, and her name")

    judged = optimization.judge([cohort()], ask=broken)

    assert (judged.source, judged.valid) == (Source.RULES, False)
    assert judged.refused == ("model: an unexpected error, ZeroDivisionError: the log says where",)
    [line] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert (line.agent, line.error) == ("optimization", "ZeroDivisionError")
    assert "test_asking.py" in line.where
    assert " in broken" in line.where
    assert "jane" not in str(vars(line)), "an error's words may hold anything"


def test_a_fault_in_settling_an_answer_leaves_the_rules_too():
    def calibrated(confidence):
        raise KeyError(confidence)

    known = {"scripted-model": calibrated}
    judged = optimization.judge([cohort()], ask=InTurn(USABLE), calibrations=known)

    assert judged.source is Source.RULES
    assert judged.refused == ("scripted-model: an unexpected error, KeyError: the log says where",)


def test_each_repeat_is_shorter_and_asks_about_the_same():
    ask = InTurn(*["no JSON"] * 4)

    optimization.judge([cohort("a"), cohort("b")], ask=ask)

    lengths = [len(prompt.system) for prompt in ask.asked]
    assert lengths == sorted(set(lengths), reverse=True)
    assert len({prompt.question for prompt in ask.asked}) == 1
    assert [prompt.repeat for prompt in ask.asked] == [0, 1, 2, 3]


def test_a_repeat_that_nobody_answers_is_the_last():
    ask = InTurn("no JSON", NoAnswer("the day's tokens are spent"), USABLE)

    judged = optimization.judge([cohort()], ask=ask)

    assert (judged.source, len(ask.asked)) == (Source.RULES, 2)
    assert judged.refused[1] == "scripted-model: the day's tokens are spent"


def a_prompt(**changed):
    given = {"agent": "optimization", "version": "1", "wordings": ("long", "s"), "facts": {"a": 1, "b": [2]}}
    return Prompt(**(given | changed))


def test_identical_questions_share_a_key_however_their_facts_are_ordered_and_worded():
    same = a_prompt(facts={"b": [2], "a": 1})
    [_, shorter] = a_prompt().each_time()

    assert {key_of(each, model="m") for each in (a_prompt(), same, shorter)} == {
        key_of(a_prompt(), model="m")
    }


@pytest.mark.parametrize(
    "changed", [{"agent": "reporting"}, {"version": "2"}, {"facts": {"a": 1}}, {"facts": {"a": 1, "b": [3]}}]
)
def test_questions_that_differ_have_other_keys(changed):
    assert key_of(a_prompt(**changed), model="m") != key_of(a_prompt(), model="m")
    assert key_of(a_prompt(), model="other") != key_of(a_prompt(), model="m")


@pytest.mark.parametrize(
    "text",
    [
        "jo@example.com",
        "Jo Smith",
        "Müller",
        "550 5.1.1 <jo@example.com>",
        "",
        "ignore\nthis",
        "=1+1",
        "a" * 121,
    ],
)
def test_what_is_no_plain_word_of_ours_is_no_key(text):
    with pytest.raises(ValidationError, match="key"):
        cohort(text)


def test_rules_that_nobody_judged_yet_are_believed_to_four_fifths():
    assert confidence_of_rules(NO_RECORD) == 0.80
    assert confidence_of_rules(Record(upheld=0, labels=19)) == 0.80


def test_from_twenty_labels_the_record_speaks():
    # Wilson's score, one-sided, worked out by hand: for all of twenty, 20 ÷ (20 + 1.28155²).
    assert confidence_of_rules(Record(upheld=20, labels=20)) == pytest.approx(0.92412, abs=1e-5)
    assert confidence_of_rules(Record(upheld=10, labels=20)) == pytest.approx(0.36226, abs=1e-5)


@given(st.integers(0, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_lower_bound_is_never_above_what_was_seen(seen):
    count, of = seen

    assert 0 <= lower_bound(count, of=of) <= (count / of if of else 0)


def test_more_labels_of_the_same_quality_give_more_confidence():
    bounds = [lower_bound(9 * k, of=10 * k) for k in (1, 2, 10, 100)]

    assert bounds == sorted(bounds)
    assert bounds[-1] < 0.9


@given(labels=st.integers(20, 500), upheld=st.integers(0, 500))
def test_rules_learn_from_each_verdict(labels, upheld):
    upheld = min(upheld, labels)
    before = confidence_of_rules(Record(upheld=upheld, labels=labels))

    assert confidence_of_rules(Record(upheld=upheld + 1, labels=labels + 1)) > before
    assert confidence_of_rules(Record(upheld=upheld, labels=labels + 1)) <= before


def test_where_rules_judge_otherwise_a_stated_confidence_counts_for_069_at_most():
    assert counted(0.99, disputed=True, calibration=None) == 0.69
    assert counted(0.50, disputed=True, calibration=None) == 0.50
    assert counted(0.99, disputed=False, calibration=None) == 0.99


def test_a_calibrated_confidence_counts_as_often_as_it_was_right_in_dispute_as_well():
    assert counted(0.99, disputed=True, calibration=lambda stated: stated - 0.09) == pytest.approx(0.9)
    assert counted(0.50, disputed=False, calibration=lambda stated: 0.2) == 0.2


def test_a_record_cannot_be_upheld_more_often_than_judged():
    with pytest.raises(ValidationError, match="upheld 3 of only 2 labels"):
        Record(upheld=3, labels=2)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "answer: json_invalid"),
        ("```json\n{}\n```", "answer: json_invalid"),
        ('{"verdicts": [', "answer: json_invalid"),
        ("[]", "answer: model_type"),
        ("{}", "verdicts: missing"),
        ('{"verdicts": [{"cohort": "a"}]}', r"verdicts\.0\.rationale: missing"),
        ('{"verdicts": [], "note": "x"}', "note: extra_forbidden"),
    ],
)
def test_text_that_is_not_the_type_asked_for_is_refused_with_the_field_named(text, named):
    with pytest.raises(UnusableAnswer, match=named):
        parsed(SuppressionPlan, text)


def test_a_refusal_never_repeats_what_the_model_wrote():
    text = (
        '{"verdicts": [{"cohort": "jo@example.com", "rationale": "x", "verdict": "kill", "confidence": 2}]}'
    )

    with pytest.raises(UnusableAnswer) as refusal:
        parsed(SuppressionPlan, text)

    assert str(refusal.value) == (
        "not a SuppressionPlan: verdicts.0.cohort: string_pattern_mismatch; "
        "verdicts.0.verdict: enum; verdicts.0.confidence: less_than_equal"
    )
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize("confidence", ["NaN", "Infinity", "-0.1", "1.01", '"high"'])
def test_a_confidence_outside_zero_to_one_is_refused(confidence):
    text = (
        '{"verdicts": [{"cohort": "a", "rationale": "x", "verdict": "keep", "confidence": '
        + confidence
        + "}]}"
    )

    with pytest.raises(UnusableAnswer, match=r"verdicts\.0\.confidence"):
        parsed(SuppressionPlan, text)
