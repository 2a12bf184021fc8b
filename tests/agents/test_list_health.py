"""A list's grade speaks about the list; what is not its fault is set aside, and said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agents import list_health
from agents.asking import Record, Source, UnusableAnswer
from agents.list_health import Cause, Grade, HealthFacts, ListFact, OutageFact
from agents.optimization import CohortFact
from agents.prose import check_prose
from tests.agents.scripted import ScriptedAsk
from tests.agents.test_optimization import cohort


def outage(contacts, *, hard=None, token="d-firm", well_known=False):
    return OutageFact(
        domain_token=token, contacts=contacts, hard=contacts if hard is None else hard, well_known=well_known
    )


def a_list(*, delivered, hard=0, soft=0, **facts):
    given = {
        "key": "list-1",
        "size": 1000,
        "not_attempted": 0,
        "by_class": {},
        "outages": (),
        "sender_side": 0,
        "sender_side_bounced": 0,
        "sender_side_hard": 0,
        "previous_rate": None,
    }
    return ListFact(delivered=delivered, bounced=hard + soft, hard=hard, **(given | facts))


def assessed(fact, **records):
    [assessment] = list_health.by_rules(HealthFacts(lists=(fact,), records=records)).assessments
    return assessment


def judged_as(fact):
    assessment = assessed(fact)
    return assessment.grade.value, assessment.cause.value


FIRST_CAMPAIGN = a_list(
    delivered=731,
    hard=240,
    soft=2,
    not_attempted=27,
    by_class={
        "recipient_gone": 230,
        "domain_gone": 10,
        "mailbox_full": 2,
        "sender_side": 15,
        "not_attempted": 12,
    },
    outages=(outage(120),),
    sender_side=15,
    previous_rate=0.0,
)


def test_a_campaign_half_of_whose_failures_are_one_companys_outage_is_graded_by_the_other_half():
    assessment = assessed(FIRST_CAMPAIGN)

    read = list_health.explain(assessment, fact=FIRST_CAMPAIGN)

    assert (assessment.grade, assessment.cause) == (Grade.CRITICAL, Cause.DECAY)
    assert assessment.domains == ("d-firm",)
    assert "120 of 242 failures came from one domain that failed as a whole" in read
    assert "looks like an outage, not like dead addresses" in read
    assert "15 messages were refused for a reason on our side" in read
    assert "120 hard bounces remain, 14.07 % of what was delivered or bounced (24.67 % with them)" in read
    assert "sharp rise from 0 %" in read


@pytest.mark.parametrize(
    ("hard", "grade", "cause"),
    [
        (0, "good", "none"),
        (19, "good", "none"),
        (20, "watch", "none"),
        (49, "watch", "none"),
        (50, "poor", "decay"),
        (79, "poor", "decay"),
        (80, "critical", "decay"),
        (500, "critical", "decay"),
        (1000, "critical", "decay"),
    ],
)
def test_hard_bounces_cross_the_lines_at_two_five_and_eight_percent(hard, grade, cause):
    assert judged_as(a_list(delivered=1000 - hard, hard=hard)) == (grade, cause)


@pytest.mark.parametrize(
    ("what", "fact", "expected"),
    [
        (
            "an outage alone leaves the list good, but watched",
            a_list(delivered=795, hard=205, outages=(outage(200),)),
            ("watch", "outage"),
        ),
        (
            "at a large provider it is an incident",
            a_list(delivered=795, hard=205, outages=(outage(200, token="gmail.com", well_known=True),)),
            ("watch", "provider_incident"),
        ),
        (
            "of two, the larger names the cause",
            a_list(
                delivered=700,
                hard=300,
                outages=(outage(100), outage(200, token="gmail.com", well_known=True)),
            ),
            ("watch", "provider_incident"),
        ),
        (
            "an outage of everything leaves nothing to grade",
            a_list(delivered=0, hard=30, outages=(outage(30),)),
            ("watch", "outage"),
        ),
        (
            "an outage of a handful does not matter to a list of a thousand",
            a_list(delivered=960, hard=40, outages=(outage(5),)),
            ("watch", "none"),
        ),
        (
            "one that is noticed is the cause, beside more that is not yet poor",
            a_list(delivered=945, hard=55, outages=(outage(15),)),
            ("watch", "outage"),
        ),
        (
            "a few refusals on our side are no matter",
            a_list(delivered=985, not_attempted=15, sender_side=15),
            ("good", "none"),
        ),
        (
            "some are to be watched",
            a_list(delivered=970, not_attempted=30, sender_side=30),
            ("watch", "sender_side"),
        ),
        (
            "many, bounced or blocked, still say nothing against the list",
            a_list(
                delivered=800,
                hard=100,
                not_attempted=100,
                sender_side=200,
                sender_side_bounced=100,
                sender_side_hard=100,
            ),
            ("watch", "sender_side"),
        ),
        (
            "our own refusals beside a decayed list do not excuse it",
            a_list(delivered=700, hard=150, not_attempted=150, sender_side=150),
            ("critical", "decay"),
        ),
        (
            "a greylisting storm is watched, not blamed on the list",
            a_list(delivered=850, soft=150),
            ("watch", "none"),
        ),
        ("usual soft failures are no matter", a_list(delivered=950, soft=50), ("good", "none")),
        (
            "soft failures in an outage are part of it",
            a_list(delivered=800, soft=200, outages=(outage(200, hard=0),)),
            ("watch", "outage"),
        ),
        (
            "a rate that more than doubles is watched before it crosses a line",
            a_list(delivered=985, hard=15, previous_rate=0.005),
            ("watch", "none"),
        ),
        (
            "the same rate as ever is not",
            a_list(delivered=985, hard=15, previous_rate=0.014),
            ("good", "none"),
        ),
        (
            "a rise that stays tiny is not",
            a_list(delivered=995, hard=5, previous_rate=0.0),
            ("good", "none"),
        ),
        (
            "no list that was fine loses most of its addresses at once",
            a_list(delivered=300, hard=700, previous_rate=0.01),
            ("critical", "sender_side"),
        ),
        (
            "the first send to an old list may",
            a_list(delivered=300, hard=700, previous_rate=None),
            ("critical", "decay"),
        ),
        ("one address in ten is not yet a poor list", a_list(delivered=9, hard=1), ("watch", "none")),
        ("eight in ten are", a_list(delivered=2, hard=8), ("critical", "decay")),
        ("nothing sent is nothing known", a_list(delivered=0), ("watch", "none")),
        ("of an empty list there is nothing to know", a_list(delivered=0, size=0), ("good", "none")),
        (
            "nothing but preblocks is nothing known",
            a_list(delivered=0, not_attempted=40),
            ("watch", "none"),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_expert_would_say_that(what, fact, expected):
    assert judged_as(fact) == expected, what


def test_a_list_of_which_nothing_is_known_is_judged_with_little_confidence():
    assert assessed(a_list(delivered=0)).confidence == 0.5
    assert "nothing can be said about the addresses" in assessed(a_list(delivered=0)).rationale


def test_each_grade_has_the_record_people_gave_it():
    upheld = {Grade.GOOD: Record(upheld=50, labels=50)}

    assert assessed(a_list(delivered=1000), **upheld).confidence > 0.95
    assert assessed(a_list(delivered=900, hard=100), **upheld).confidence == 0.80


@st.composite
def lists(draw):
    numbers = st.integers(0, 400)
    outages = tuple(
        outage(contacts + 1, hard=min(hard, contacts), token=f"d-{at}", well_known=known)
        for at, (contacts, hard, known) in enumerate(
            draw(st.lists(st.tuples(numbers, numbers, st.booleans()), max_size=3))
        )
    )
    ours_hard, ours_soft, ours_blocked = draw(numbers), draw(numbers), draw(numbers)
    return a_list(
        delivered=draw(numbers),
        hard=draw(numbers) + sum(one.hard for one in outages) + ours_hard,
        soft=draw(numbers) + sum(one.contacts - one.hard for one in outages) + ours_soft,
        not_attempted=draw(numbers) + ours_blocked,
        outages=outages,
        sender_side=ours_hard + ours_soft + ours_blocked,
        sender_side_bounced=ours_hard + ours_soft,
        sender_side_hard=ours_hard,
        previous_rate=draw(st.none() | st.floats(0, 1)),
    )


@given(lists())
def test_rules_judge_every_list_by_their_own_measure_and_in_prose_that_can_be_filled(fact):
    facts = HealthFacts(lists=(fact,))
    answer = list_health.by_rules(facts)
    [assessment] = answer.assessments

    check_prose(assessment.rationale, known=list_health.PLACEHOLDERS, where=fact.key)
    # What a model may not say, the rules do not say either.
    said = ScriptedAsk(list_health=answer.model_dump(mode="json"))
    assert list_health.judge(facts, ask=said).refused == ()
    assert list_health.explain(assessment, fact=fact)
    assert set(list_health.numbers(fact)) == list_health.PLACEHOLDERS


@given(lists(), st.integers(1, 300))
def test_an_outage_more_never_makes_what_remains_look_worse_than_watched(fact, contacts):
    more = fact.model_copy(
        update={
            "outages": (*fact.outages, outage(contacts, token="d-more")),
            "bounced": fact.bounced + contacts,
            "hard": fact.hard + contacts,
        }
    )

    worse = {Grade.POOR, Grade.CRITICAL}
    assert (assessed(more).grade in worse) <= (assessed(fact).grade in worse)


def assessment(**says):
    given = {
        "list": "list-1",
        "rationale": "{hard} hard {hard|bounce|bounces}.",
        "grade": "critical",
        "cause": "decay",
        "domains": ["d-firm"],
        "confidence": 0.9,
    }
    return given | says


def answering(*assessments):
    return ScriptedAsk(list_health={"assessments": list(assessments)})


FACTS = HealthFacts(lists=(FIRST_CAMPAIGN,))


def test_a_usable_answer_stands_as_the_models():
    judged = list_health.judge(FACTS, ask=answering(assessment()))

    assert (judged.source, judged.model, judged.confidence) == (Source.MODEL, "scripted-model", 0.9)
    assert judged.disagreed == ()


def test_where_rules_see_it_otherwise_the_model_is_believed_less():
    judged = list_health.judge(FACTS, ask=answering(assessment(cause="outage")))

    assert judged.answer.assessments[0].cause is Cause.OUTAGE
    assert (judged.confidence, judged.raw_confidence, judged.disagreed) == (0.69, 0.9, ("list-1",))


@pytest.mark.parametrize(
    ("assessments", "why"),
    [
        ([], r"missed: \['list-1'\]"),
        ([assessment(), assessment(list="list-9")], r"invented: \['list-9'\]"),
        ([assessment(), assessment()], r"answered more than once: \['list-1'\]"),
        ([assessment(domains=["d-other"])], r"list-1: invented outages of \['d-other'\]"),
        ([assessment(cause="outage", domains=[])], "cause outage without a domain"),
        ([assessment(cause="provider_incident")], "cause provider_incident without a domain"),
        ([assessment(rationale="24.4 % bounced")], "a number of its own"),
        ([assessment(rationale="{bounces} bounced")], "unknown placeholders"),
        ([assessment(grade="fine")], r"assessments\.0\.grade: enum"),
        ([assessment(confidence=-1)], r"assessments\.0\.confidence"),
    ],
)
def test_a_bad_answer_is_refused_by_name_and_rules_judge_instead(assessments, why):
    judged = list_health.judge(FACTS, ask=answering(*assessments))

    assert judged.source is Source.RULES
    assert judged.answer == list_health.by_rules(FACTS)
    with pytest.raises(UnusableAnswer, match=why):
        raise UnusableAnswer(*judged.refused)


def test_two_lists_are_judged_each_by_its_own_numbers():
    facts = HealthFacts(lists=(FIRST_CAMPAIGN, a_list(key="list-2", delivered=940)))

    judged = list_health.judge(facts, ask=None)

    assert [(one.list, one.grade.value) for one in judged.answer.assessments] == [
        ("list-1", "critical"),
        ("list-2", "good"),
    ]


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"hard": 5, "delivered": 5, "outages": (outage(6),)}, "explain more failures than there were"),
        ({"delivered": 5, "sender_side": 3}, "neither bounced nor not attempted"),
        ({"delivered": 5, "soft": 3, "sender_side": 2, "sender_side_bounced": 3}, "neither bounced nor"),
        ({"delivered": 5, "hard": 1, "sender_side_hard": 1}, "more hard bounces than bounces"),
    ],
)
def test_figures_that_cannot_be_are_refused(facts, why):
    with pytest.raises(ValidationError, match=why):
        a_list(**facts)


def test_one_key_for_two_lists_is_refused():
    with pytest.raises(ValueError, match="more than one thing"):
        list_health.judge(HealthFacts(lists=(FIRST_CAMPAIGN, FIRST_CAMPAIGN)), ask=None)


AT_THE_FIRM: CohortFact = cohort(domain_token="d-firm", region="may")


def test_an_outage_contradicts_a_suppression_at_its_domain_and_nowhere_else():
    seen = assessed(FIRST_CAMPAIGN)

    assert list_health.contradicts(seen, AT_THE_FIRM)
    assert not list_health.contradicts(seen, cohort(domain_token="d-other"))
    assert not list_health.contradicts(seen, cohort(domain_token=None))


@pytest.mark.parametrize("region", ["must", "never", "hold", "consent"])
def test_what_the_policy_decides_is_not_contradicted(region):
    assert not list_health.contradicts(
        assessed(FIRST_CAMPAIGN), AT_THE_FIRM.model_copy(update={"region": region})
    )


def test_trouble_on_our_side_contradicts_what_a_server_also_says_to_an_unwelcome_sender():
    seen = assessed(a_list(delivered=700, not_attempted=300, sender_side=300))

    assert list_health.contradicts(seen, cohort(bounce="unknown"))
    assert list_health.contradicts(seen, cohort(bounce="temporary"))
    assert not list_health.contradicts(seen, cohort(bounce="mistyped"))
    assert not list_health.contradicts(seen, cohort(bounce="mailbox_full"))


def test_decay_contradicts_nothing():
    seen = assessed(a_list(delivered=900, hard=100))

    assert not list_health.contradicts(seen, AT_THE_FIRM)


@given(st.lists(st.tuples(st.integers(1, 400), st.booleans()), max_size=60))
def test_of_many_outages_the_largest_are_told_and_the_others_together_and_nothing_is_lost(drawn):
    many = [outage(n, hard=n // 2, token=f"d-{at}", well_known=known) for at, (n, known) in enumerate(drawn)]

    told = list_health.few(many)

    assert len(told) <= list_health.MOST_OUTAGES
    for large in (True, False):
        before = [each for each in many if each.well_known is large]
        after = [each for each in told if each.well_known is large]
        assert sum(each.domains for each in after) == len(before)
        assert sum(each.contacts for each in after) == sum(each.contacts for each in before)
        assert sum(each.hard for each in after) == sum(each.hard for each in before)
    named = [each for each in told if each.domains == 1 and each.domain_token.startswith("d-")]
    left_out = {each.domain_token for each in many} - {each.domain_token for each in named}
    assert all(
        each.contacts <= min(one.contacts for one in named) for each in many if each.domain_token in left_out
    )


def test_prose_counts_each_domain_of_those_told_together():
    fact = a_list(
        delivered=900, hard=130, outages=list_health.few(outage(5, token=f"d-{n}") for n in range(26))
    )

    assert [each.domain_token for each in fact.outages][-1] == "other-domains"
    assert list_health.numbers(fact)["outages"] == 26


def test_a_list_with_more_outages_than_a_prompt_tells_of_is_refused():
    with pytest.raises(ValidationError, match="at most 12 items"):
        a_list(delivered=900, hard=130, outages=tuple(outage(5, token=f"d-{n}") for n in range(13)))
