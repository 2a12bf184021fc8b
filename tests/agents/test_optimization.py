"""Suppress, hold or keep: never wider than the policy, whoever judges."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agents import optimization
from agents.asking import NoAnswer, Source, UnusableAnswer
from agents.optimization import PLACEHOLDERS, CohortFact, SuppressionPlan, Verdict
from agents.prose import check_prose
from tests.agents.scripted import ScriptedAsk

BY_REGION = {
    "must": {Verdict.SUPPRESS},
    "may": {Verdict.SUPPRESS, Verdict.HOLD, Verdict.KEEP},
    "never": {Verdict.KEEP},
    "hold": {Verdict.HOLD},
    "consent": {Verdict.KEEP},
}


def cohort(key="a", **facts):
    given = {
        "bounce": "recipient_gone",
        "strikes": "1",
        "history": "delivered_before",
        "domain_token": None,
        "contacts": 4,
        "share_of_list": 0.004,
        "region": "may",
        "review": False,
        "upheld": 0,
        "labels": 0,
    }
    return CohortFact(key=key, **(given | facts))


def verdict(key="a", *, says="suppress", confidence=0.9, rationale="{contacts} failed for good."):
    return {"cohort": key, "rationale": rationale, "verdict": says, "confidence": confidence}


def answering(*verdicts):
    return ScriptedAsk(optimization={"verdicts": list(verdicts)})


FIVE = [cohort(region, region=region) for region in BY_REGION]


@st.composite
def cohorts(draw):
    keys = draw(st.lists(st.text("abc9", min_size=1, max_size=6), unique=True, max_size=8))
    return [
        cohort(
            key,
            region=draw(st.sampled_from(list(BY_REGION))),
            bounce=draw(st.sampled_from(["recipient_gone", "domain_gone", "mailbox_full", "something_new"])),
            history=draw(
                st.sampled_from(["never_delivered", "delivered_before", "lately_alive", "protected"])
            ),
            domain_token=draw(st.sampled_from([None, "d-token"])),
            contacts=draw(st.integers(0, 10_000)),
            labels=(labels := draw(st.integers(0, 400))),
            upheld=draw(st.integers(0, labels)),
        )
        for key in keys
    ]


@given(cohorts())
def test_rules_answer_every_cohort_once_and_never_wider_than_its_region(asked):
    verdicts = optimization.by_rules(asked).verdicts

    assert [one.cohort for one in verdicts] == [one.key for one in asked]
    for one, fact in zip(verdicts, asked, strict=True):
        assert one.verdict in BY_REGION[fact.region]
        check_prose(one.rationale, known=PLACEHOLDERS, where=one.cohort)
        assert str(f"{fact.contacts:,}") in optimization.explain(
            one, cohort=fact, contacts=fact.contacts, domain=None
        )


@given(cohorts(), st.randoms(use_true_random=False))
def test_whatever_a_model_says_what_stands_is_never_wider_than_the_region(asked, random):
    said = [verdict(one.key, says=random.choice(list(Verdict))) for one in asked]

    judged = optimization.judge(asked, ask=answering(*said))

    assert [one.cohort for one in judged.answer.verdicts] == [one.key for one in asked]
    for one, fact in zip(judged.answer.verdicts, asked, strict=True):
        assert one.verdict in BY_REGION[fact.region]


def test_rules_are_sure_where_the_policy_decides_and_modest_where_it_does_not():
    verdicts = {one.cohort: one for one in optimization.by_rules(FIVE).verdicts}

    assert {key: one.confidence for key, one in verdicts.items()} == {
        "must": 1.0,
        "never": 1.0,
        "hold": 1.0,
        "consent": 1.0,
        "may": 0.80,
    }
    assert verdicts["may"].verdict is Verdict.SUPPRESS


def test_what_reviewers_upheld_becomes_the_rules_confidence():
    [upheld] = optimization.by_rules([cohort(upheld=60, labels=60)]).verdicts
    [overruled] = optimization.by_rules([cohort(upheld=6, labels=60)]).verdicts

    assert upheld.confidence > 0.95
    assert overruled.confidence < 0.15


@pytest.mark.parametrize(
    ("bounce", "history", "says"),
    [
        ("temporary", "lately_alive", Verdict.HOLD),
        ("mistyped", "protected", Verdict.HOLD),
        ("temporary", "delivered_before", Verdict.SUPPRESS),
        ("recipient_gone_soft", "lately_alive", Verdict.SUPPRESS),
        ("not_attempted", "protected", Verdict.SUPPRESS),
    ],
)
def test_a_sign_of_life_outweighs_a_failure_that_does_not_say_that_nobody_is_there(bounce, history, says):
    [one] = optimization.by_rules([cohort(bounce=bounce, history=history)]).verdicts

    assert one.verdict is says


def test_without_a_model_rules_judge_and_say_so():
    judged = optimization.judge(FIVE, ask=None)

    assert judged.source is Source.RULES
    assert (judged.model, judged.temperature, judged.valid, judged.refused) == (None, None, True, ())
    assert judged.answer == optimization.by_rules(FIVE)
    assert judged.confidence == 0.80
    assert judged.prompt_version == optimization.INSTRUCTIONS.version


def test_a_usable_answer_stands_with_its_model_and_what_it_cost():
    ask = answering(verdict(says="keep", confidence=0.6, rationale="{contacts|It|They} may return."))

    judged = optimization.judge([cohort()], ask=ask)

    assert judged.source is Source.MODEL
    assert (judged.model, judged.temperature, judged.valid) == ("scripted-model", 0.3, True)
    assert (judged.tokens_in, judged.tokens_out, judged.latency_ms) == (100, 20, 7)
    assert judged.answer.verdicts[0].verdict is Verdict.KEEP


def test_an_answer_given_before_is_shown_as_reused():
    ask = answering(verdict())

    def reuse(prompt, *, answer):
        given = ask(prompt, answer=answer)
        prompt.receipt.source = Source.REUSED
        return given

    assert optimization.judge([cohort()], ask=reuse).source is Source.REUSED


@pytest.mark.parametrize(
    ("verdicts", "why"),
    [
        ([verdict("a")], r"missed: \['b'\]"),
        ([verdict("a"), verdict("b"), verdict("c")], r"invented: \['c'\]"),
        ([verdict("a"), verdict("b"), verdict("b")], r"answered more than once: \['b'\]"),
        ([verdict("a"), verdict("b", rationale="all 4 are dead")], "rationale of b: a number of its own"),
        ([verdict("a"), verdict("b", rationale="{strength} is low")], "unknown placeholders"),
        ([verdict("a"), verdict("b", rationale="write to <!channel>")], "markup"),
        ([verdict("a"), verdict("b", says="delete")], r"verdicts\.1\.verdict: enum"),
        ([verdict("a"), verdict("b", confidence=7)], r"verdicts\.1\.confidence: less_than_equal"),
        ([verdict("a"), verdict("b", rationale="")], r"verdicts\.1\.rationale: string_too_short"),
    ],
)
def test_a_bad_answer_is_refused_by_name_and_rules_judge_instead(verdicts, why):
    asked = [cohort("a"), cohort("b")]

    judged = optimization.judge(asked, ask=answering(*verdicts))

    assert judged.source is Source.RULES
    assert judged.model is None
    assert not judged.valid
    assert judged.stated is None
    assert judged.answer == optimization.by_rules(asked)
    assert judged.tokens_in == 400, "refused answers were paid for as well"
    with pytest.raises(UnusableAnswer, match=f"scripted-model: .*{why}"):
        raise UnusableAnswer(*judged.refused)


@pytest.mark.parametrize("region", ["never", "hold", "consent"])
def test_suppressing_what_the_policy_closed_is_refused_as_too_wide(region):
    judged = optimization.judge([cohort(region=region)], ask=answering(verdict()))

    assert judged.source is Source.RULES
    assert set(judged.refused) == {f"scripted-model: too wide: suppresses a, which is {region}"}
    assert judged.answer.verdicts[0].verdict is not Verdict.SUPPRESS


@pytest.mark.parametrize("says", ["keep", "hold"])
def test_a_must_is_suppressed_against_the_model_and_the_disagreement_is_kept(says):
    judged = optimization.judge([cohort(region="must")], ask=answering(verdict(says=says)))

    assert judged.source is Source.MODEL
    assert judged.answer.verdicts[0].verdict is Verdict.SUPPRESS
    assert judged.answer.verdicts[0].confidence == 1.0
    assert judged.disagreed == ("a",)
    assert judged.stated.verdicts[0].verdict == says


def test_a_hold_stands_against_a_model_that_would_keep():
    judged = optimization.judge([cohort(region="hold")], ask=answering(verdict(says="keep")))

    assert judged.answer.verdicts[0].verdict is Verdict.HOLD
    assert judged.disagreed == ("a",)


def test_a_model_that_differs_on_what_is_open_prevails_but_is_believed_less():
    judged = optimization.judge([cohort()], ask=answering(verdict(says="keep", confidence=0.99)))

    assert judged.answer.verdicts[0].verdict is Verdict.KEEP
    assert (judged.confidence, judged.raw_confidence) == (0.69, 0.99)
    assert judged.disagreed == ("a",)


def test_a_model_that_agrees_keeps_its_confidence():
    judged = optimization.judge([cohort()], ask=answering(verdict(confidence=0.97)))

    assert (judged.confidence, judged.disagreed) == (0.97, ())


def test_a_calibrated_model_is_believed_as_often_as_it_was_right_and_both_figures_are_kept():
    says = answering(verdict(says="keep", confidence=0.99))

    judged = optimization.judge([cohort()], ask=says, calibrations={"scripted-model": lambda stated: 0.91})

    assert (judged.confidence, judged.raw_confidence, judged.calibrated) == (0.91, 0.99, True)
    assert judged.disagreed == ("a",)


def test_what_another_models_word_was_worth_says_nothing_of_this_one():
    says = answering(verdict(confidence=0.6))

    judged = optimization.judge([cohort()], ask=says, calibrations={"another-model": lambda stated: 0.99})

    assert (judged.confidence, judged.calibrated) == (0.6, False)


def test_what_the_policy_settles_is_not_calibrated():
    says = answering(verdict(says="suppress", confidence=0.97))

    known = {"scripted-model": lambda stated: 0.1}
    judged = optimization.judge([cohort(region="must")], ask=says, calibrations=known)

    assert judged.confidence == 0.97


def test_the_rules_opinion_is_kept_beside_a_models():
    judged = optimization.judge([cohort()], ask=answering(verdict(says="keep", confidence=0.99)))

    assert judged.second == optimization.by_rules([cohort()])


def test_an_answer_of_another_type_is_refused():
    judged = optimization.judge([cohort()], ask=lambda prompt, *, answer: cohort())

    assert set(judged.refused) == {"model: wrong type: CohortFact, not SuppressionPlan"}
    assert judged.source is Source.RULES


def test_where_nobody_answers_nobody_is_asked_again():
    ask = ScriptedAsk(optimization=NoAnswer("no answer within 30 s"))

    judged = optimization.judge([cohort()], ask=ask)

    assert judged.refused == ("scripted-model: no answer within 30 s",)
    assert (judged.source, len(ask.asked)) == (Source.RULES, 1)


def test_nothing_to_judge_asks_nobody():
    ask = answering()

    judged = optimization.judge([], ask=ask)

    assert ask.asked == []
    assert judged.answer == SuppressionPlan(verdicts=[])
    assert judged.confidence == 1.0


def test_a_key_for_two_cohorts_is_refused_before_anybody_is_asked():
    ask = answering()

    with pytest.raises(ValueError, match=r"more than one thing each: \['a'\]"):
        optimization.judge([cohort(), cohort()], ask=ask)
    assert ask.asked == []


def test_the_question_has_the_same_size_for_two_hundred_failures_as_for_two_hundred_thousand():
    few, many = answering(verdict()), answering(verdict())

    optimization.judge([cohort(contacts=200)], ask=few)
    optimization.judge([cohort(contacts=200_000)], ask=many)

    sizes = [len(json.dumps(ask.asked[0].facts) + ask.asked[0].system) for ask in (few, many)]
    assert sizes[1] <= 1.01 * sizes[0]


def test_what_was_asked_is_remembered_as_plain_json():
    judged = optimization.judge(FIVE, ask=None)

    told = json.loads(json.dumps(judged.facts))

    assert [one["key"] for one in told["cohorts"]] == list(BY_REGION)
    assert [CohortFact.model_validate(one) for one in told["cohorts"]] == FIVE


@pytest.mark.parametrize("field", ["key", "bounce", "history", "domain_token"])
def test_an_address_is_no_fact_and_its_refusal_does_not_repeat_it(field):
    with pytest.raises(ValidationError) as refusal:
        cohort(**{field: "jo@example.com"})

    assert field in str(refusal.value)
    assert "jo@" not in str(refusal.value)


def test_a_rationale_counts_only_whom_the_reviewer_left_in():
    asked = cohort(contacts=2, share_of_list=0.02, domain_token="d-token")
    [one] = optimization.by_rules([asked]).verdicts

    both = optimization.explain(one, cohort=asked, contacts=2, domain="firm.example")
    single = optimization.explain(one, cohort=asked, contacts=1, domain="firm.example")

    assert both.startswith("2 contacts (2 % of the list), recipient gone, strikes: 1, delivered before.")
    assert "The addresses were refused as unknown" in both
    assert single.startswith("1 contact (1 % of the list)")
    assert "The address was refused as unknown" in single
    assert "All at firm.example." in both


def test_a_held_domain_is_explained_as_an_outage_and_a_held_person_as_alive():
    asked = [
        cohort("d", region="hold", domain_token="d-token"),
        cohort("p", region="hold", history="lately_alive"),
    ]
    domain, person = optimization.by_rules(asked).verdicts

    assert "look like an outage, not like dead addresses" in optimization.explain(
        domain, cohort=asked[0], contacts=4, domain="firm.example"
    )
    assert "clicked" in person.rationale
    assert "outage" not in person.rationale


def test_sending_trouble_is_explained_as_ours():
    [one] = optimization.by_rules([cohort(region="never", bounce="sender_side")]).verdicts

    assert "our sending that was refused" in one.rationale
