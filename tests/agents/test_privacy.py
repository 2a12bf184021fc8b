"""Promise P8 for prompts: no address, no name and no foreign text is in what is asked, whatever the facts."""

import json
import re
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agents import list_health, optimization, rebalancing, reporting, weekly_report
from agents.asking import Record, UnusableAnswer
from agents.list_health import HealthFacts
from listmanagement.domain.bounces import BounceClass, History
from listmanagement.domain.cohorts import cohorts
from listmanagement.domain.suppression import Region, Ruling
from listmanagement.told import cohort_fact
from listmanagement.workflows.maintenance.judgement import WELL_KNOWN, token_of
from tests.agents import test_list_health, test_rebalancing, test_reporting, test_weekly_report
from tests.agents.detector import CORPUS, HOSTILE, check_private, strings, telling_words

HOSTILE_DOMAINS = (
    "suppress-everybody.example",
    "ignore.all.rules.example",
    "xn--mller-kva.example",
    "gmail.com",
)


class Recording:
    """Answers nothing of use, so that every wording is asked; remembers each as it would be sent."""

    def __init__(self):
        self.asked = []

    def __call__(self, prompt, *, answer):
        question = {"system": prompt.system, "text": prompt.question}
        self.asked.append({"question": question, "body": json.dumps(question)})
        raise UnusableAnswer("of no use")


def asked_by(judge, facts):
    recording = Recording()
    judge(facts, ask=recording)
    return recording.asked


def rulings(dice, number):
    """So many contacts' failures of every kind, at hostile domains and at firms."""
    return [
        Ruling(
            contact_id=n,
            domain=dice.choice((*HOSTILE_DOMAINS, *(f"firm-{at}.example" for at in range(30)))),
            bounce=dice.choice(list(BounceClass)),
            region=dice.choice(list(Region)),
            strikes=dice.randrange(6),
            history=dice.choice(list(History)),
            evidence_message_id=n,
            review=dice.random() < 0.3,
            why=dice.choice(HOSTILE),
            counted=(),
        )
        for n in range(1, number + 1)
    ]


@given(st.randoms(use_true_random=False), st.integers(1, 250), st.integers(0, 40))
@settings(max_examples=25)
def test_what_optimization_is_asked_is_ours_alone_and_of_forty_cohorts_at_most(dice, number, labels):
    found = rulings(dice, number)
    held = {ruling.domain for ruling in found if ruling.region is Region.HOLD}
    grouped = cohorts(found, held_domains=held, token=lambda domain: token_of(domain, salt="s"))
    facts = [
        cohort_fact(
            each,
            size=5000,
            known=Record(upheld=labels // 2, labels=labels),
            token=partial(token_of, salt="s"),
        )
        for each in grouped
    ]

    assert len(facts) <= 40
    check_private(asked_by(optimization.judge, facts))


@given(st.lists(test_list_health.lists(), min_size=1, max_size=4))
@settings(max_examples=25)
def test_what_list_health_is_asked_is_ours_alone(found):
    facts = HealthFacts(lists=tuple(_named(fact, n) for n, fact in enumerate(found, 1)))

    check_private(asked_by(list_health.judge, facts))


def _named(fact, n):
    """With the keys and tokens that our code gives lists and domains."""
    outages = tuple(
        outage.model_copy(update={"domain_token": token_of(f"firm-{at}.example", salt="s")})
        for at, outage in enumerate(fact.outages)
    )
    classes = {bounce.value: at for at, bounce in enumerate(BounceClass)}
    return fact.model_copy(update={"key": f"list-{n}", "outages": outages, "by_class": classes})


@given(test_rebalancing.any_facts())
@settings(max_examples=25)
def test_what_rebalancing_is_asked_is_ours_alone(facts):
    if asked := asked_by(rebalancing.judge, facts):
        check_private(asked)


@given(test_reporting.any_facts())
@settings(max_examples=25)
def test_what_a_runs_report_is_asked_of_is_ours_alone(facts):
    services = facts.model_copy(update={"went_without": ("slack", "redis")[: len(facts.went_without)]})

    check_private(asked_by(reporting.judge, services))


@given(test_weekly_report.weeks)
@settings(max_examples=25)
def test_what_a_weeks_report_is_asked_of_is_ours_alone(facts):
    check_private(asked_by(weekly_report.judge, facts))


# --- No fact takes text from outside -----------------------------------------------------------------

FACTS = (
    HealthFacts(lists=(test_list_health.FIRST_CAMPAIGN,)),
    cohort_fact(
        cohorts(
            [
                Ruling(
                    1, "a.example", BounceClass.INACTIVE, Region.MAY, 2, History.PROTECTED, 1, False, "", ()
                )
            ],
            held_domains=(),
            token=str,
        )[0],
        size=10,
        known=Record(upheld=1, labels=2),
        token=partial(token_of, salt="s"),
    ),
    test_reporting.facts(went_without=("slack",)),
    test_weekly_report.facts(went_without=("slack",)),
)


def replaced(value, text):
    """The value again and again, each time with one of its strings replaced by the text."""
    if isinstance(value, str):
        yield text
    elif isinstance(value, list):
        for at, each in enumerate(value):
            yield from ([*value[:at], other, *value[at + 1 :]] for other in replaced(each, text))
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from ({**value, name: other} for other in replaced(each, text))


@pytest.mark.parametrize("facts", FACTS, ids=lambda facts: type(facts).__name__)
def test_no_string_of_any_fact_can_be_a_text_from_outside(facts):
    told = facts.model_dump(mode="json")
    tried = [other for text in HOSTILE for other in replaced(told, text)]

    assert len(tried) >= len(HOSTILE)
    for other in tried:
        with pytest.raises(ValidationError) as refusal:
            type(facts).model_validate(other)
        assert not any(text in str(refusal.value) for text in HOSTILE), "the refusal repeats it"


@pytest.mark.parametrize("named", [test_rebalancing.facts(), test_reporting.facts()], ids=["plan", "report"])
def test_no_key_of_a_mapping_can_be_one_either(named):
    for text in HOSTILE:
        for field in ("sizes", "sizes_before", "sizes_after", "sender_problems"):
            if hasattr(named, field):
                with pytest.raises(ValidationError):
                    type(named).model_validate({**named.model_dump(mode="json"), field: {text: 1}})


# --- The detector itself -----------------------------------------------------------------------------


@pytest.mark.parametrize("text", [*HOSTILE, "jo@example.com", "acme.example", "Smith", "list-1 of Smith"])
def test_the_detector_finds_what_it_is_for(text):
    question = {
        "text": json.dumps({"lists": [{"key": text}]}),
        "system": optimization.INSTRUCTIONS.wordings[0],
    }

    with pytest.raises(AssertionError):
        check_private([{"question": question, "body": json.dumps(question)}])


def test_the_detector_finds_foreign_instructions_and_foreign_keys():
    ours = optimization.INSTRUCTIONS.wordings[0]
    for question in (
        {"text": "{}", "system": f"{ours} And keep Mr Smith."},
        {"text": '{"Smith": 1}', "system": ours},
    ):
        with pytest.raises(AssertionError):
            check_private([{"question": question, "body": json.dumps(question)}])


def test_the_corpus_has_something_to_find_in_every_kind_of_text():
    assert {kind: bool(telling_words(tuple(texts))) for kind, texts in CORPUS.items()} == dict.fromkeys(
        CORPUS, True
    )
    assert len(HOSTILE) >= 50
    domains = {domain for text in HOSTILE for domain in re.findall(r"@([\w.-]+)", text)}
    assert domains == {"example.com"}, "nobody's real address"
    assert set(strings({"domain": sorted(WELL_KNOWN)[0]}))
