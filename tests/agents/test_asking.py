"""Who judged, on what, and how sure: the frame all four agents share."""

import ast
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import agents
from agents.asking import (
    NO_RECORD,
    Record,
    UnusableAnswer,
    confidence_of_rules,
    lower_bound,
    parsed,
)
from agents.optimization import SuppressionPlan


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
