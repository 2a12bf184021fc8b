"""A week in words: the worst first, nothing bad left out, and no number of its author's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agents import reporting, weekly_report
from agents.asking import Source
from agents.list_health import Cause, Grade
from agents.rebalancing import Choice
from agents.weekly_report import Outcomes, WeekFacts, WeekOfList
from tests.agents.scripted import ScriptedAsk

QUIET = Outcomes(delivered=990, bounced=10, hard=5, not_attempted=3, complained=1, opted_out=4)


def a_list(key="list-1", **changed):
    given = {
        "size": 1092,
        "size_before": 1100,
        "grade": Grade.GOOD,
        "grade_before": Grade.GOOD,
        "cause": Cause.NONE,
        "outcomes": QUIET,
    }
    return WeekOfList(key=key, **(given | changed))


def facts(**changed):
    given = {
        "lists": (a_list("list-1"), a_list("list-2"), a_list("list-3")),
        "before": QUIET,
        "registered": 3529,
        "suppressed": 110,
        "held": 0,
        "backlog": 20,
        "waiting": 0,
        "deviation": 1.99,
        "deviation_before": 2.5,
        "threshold": 5.0,
        "choice": Choice.NOW,
        "moves": 0,
        "placements": 0,
        "rules_judged": True,
        "went_without": (),
    }
    return WeekFacts(**(given | changed))


def written(**changed):
    given = facts(**changed)
    return reporting.render(weekly_report.by_rules(given), weekly_report.numbers(given))


def text(**changed):
    report = written(**changed)
    return "\n".join((report.headline, *report.summary, *report.actions))


CRITICAL = a_list("list-2", grade=Grade.CRITICAL, grade_before=Grade.WATCH, cause=Cause.DECAY)


def test_a_quiet_week_is_told_in_a_few_sentences_and_asks_nobody_for_anything():
    report = written()

    assert report.headline == "The lists are well"
    assert report.actions == ()
    assert report.summary == (
        "list-1, list-2 and list-3 are good.",
        (
            "2,970 messages arrived and 30 bounced (1 %). In the time before it was 1 %. "
            "Mailjet did not try 9. 12 people opted out (0.4 % of what arrived) and 3 complained (0.1 %)."
        ),
        (
            "3,276 people are reachable on the lists (1,092 / 1,092 / 1,092). "
            "That is 0 more and 24 fewer than a week ago. 110 of 3,529 are suppressed (3.12 %). "
            "20 contacts wait in the backlog."
        ),
        "The lists are at most 1.99 % from their mean, where up to 5 % is accepted. A week ago it was 2.5 %.",
        "Rules judged; no model took part.",
    )


def test_the_worst_stands_first_and_the_most_urgent_is_asked_for_first():
    poor = a_list("list-1", grade=Grade.POOR, grade_before=Grade.CRITICAL, cause=Cause.SENDER_SIDE)

    report = written(lists=(poor, CRITICAL, a_list("list-3")), waiting=31)

    assert report.headline == "list-2 is in a critical state"
    assert report.summary[0] == (
        "list-2 is critical. list-1 is poor. list-3 is good. Worse than a week ago: list-2. "
        "Better than a week ago: list-1."
    )
    assert report.actions == (
        "Let maintenance suppress the dead addresses of list-2 before it is sent to again.",
        "Mend the sending before anything else goes to list-1.",
        "Decide about the 31 contacts in the review queue.",
    )


@pytest.mark.parametrize(("lists", "critical"), [((CRITICAL,), True), ((a_list(grade=Grade.POOR),), False)])
def test_only_a_critical_list_is_told_at_once(lists, critical):
    assert weekly_report.is_critical(facts(lists=lists)) is critical


def test_the_first_week_compares_with_nothing_and_says_nothing_of_a_week_before():
    first = a_list(size_before=None, grade_before=None)

    said = text(lists=(first,), before=None, deviation_before=None)

    assert "week ago" not in said
    assert "time before" not in said


def test_who_complained_has_got_a_message_so_that_no_rate_is_above_the_whole():
    angry = Outcomes(delivered=1, bounced=0, hard=0, not_attempted=0, complained=3, opted_out=2)
    only = Outcomes(delivered=0, bounced=0, hard=0, not_attempted=0, complained=3, opted_out=0)

    figures = weekly_report.numbers(facts(lists=(a_list(outcomes=angry),)))

    assert (figures["complaint_rate"], figures["opt_out_rate"]) == ("75 %", "50 %")
    assert "3 complained (100 %)" in text(lists=(a_list(outcomes=only),))


def test_a_week_without_a_campaign_says_so():
    nothing = Outcomes(delivered=0, bounced=0, hard=0, not_attempted=0, complained=0, opted_out=0)

    assert "No campaign ended in this time." in text(lists=(a_list(outcomes=nothing),))


def test_lists_that_cannot_be_evened_out_now_ask_for_time_between_two_cycles():
    report = written(deviation=9.0, choice=Choice.DEFER, moves=71)

    assert "0 placements and 71 moves wait for a better time." in report.summary[3]
    assert report.actions == (
        "Leave time between one cycle and the next, so that the lists can be evened out.",
    )


@pytest.mark.parametrize(
    ("changed", "hidden"),
    [
        ({"lists": (CRITICAL,)}, "leaves out ['critical', 'worse']"),
        ({"lists": (a_list(grade=Grade.POOR, grade_before=None),)}, "leaves out ['poor']"),
        ({"held": 3}, "leaves out ['held']"),
        ({"waiting": 3}, "leaves out ['waiting']"),
    ],
)
def test_a_model_that_leaves_out_what_is_bad_or_waits_is_not_heard(changed, hidden):
    silent = {"headline": "All is well", "summary": ["{reachable} people are reachable."], "actions": []}

    judged = weekly_report.judge(facts(**changed), ask=ScriptedAsk(reporting=silent))

    assert judged.source is Source.RULES
    assert judged.refused[0].endswith(hidden)


def test_a_model_that_names_it_is_heard():
    said = {
        "headline": "{critical_lists} {critical|is|are} in trouble",
        "summary": ["{worse_lists} got worse."],
        "actions": ["Look at {critical_lists}."],
    }

    judged = weekly_report.judge(facts(lists=(CRITICAL,)), ask=ScriptedAsk(reporting=said))

    assert (judged.source, judged.refused) == (Source.MODEL, ())
    rendered = reporting.render(judged.answer, weekly_report.numbers(facts(lists=(CRITICAL,))))
    assert rendered.headline == "list-2 is in trouble"


def test_what_cannot_be_is_refused():
    with pytest.raises(ValidationError, match="6 hard of 5 bounces"):
        Outcomes(delivered=1, bounced=5, hard=6, not_attempted=0, complained=0, opted_out=0)
    with pytest.raises(ValueError, match="stand for more than one thing"):
        weekly_report.judge(facts(lists=(a_list(), a_list())), ask=None)


counts = st.integers(0, 10**6)
outcomes = st.builds(
    lambda bounced, **given: Outcomes(bounced=bounced, hard=bounced // 2, **given),
    delivered=counts,
    bounced=counts,
    not_attempted=counts,
    complained=counts,
    opted_out=counts,
)
lists = st.lists(
    st.builds(
        a_list,
        size=counts,
        size_before=st.none() | counts,
        grade=st.sampled_from(Grade),
        grade_before=st.none() | st.sampled_from(Grade),
        cause=st.sampled_from(Cause),
        outcomes=outcomes,
    ),
    min_size=2,
    max_size=4,
).map(lambda found: tuple(one.model_copy(update={"key": f"list-{n}"}) for n, one in enumerate(found, 1)))
weeks = st.builds(
    facts,
    lists=lists,
    before=st.none() | outcomes,
    registered=counts,
    suppressed=counts,
    held=counts,
    backlog=counts,
    waiting=counts,
    deviation=st.floats(0, 400),
    deviation_before=st.none() | st.floats(0, 400),
    choice=st.sampled_from(Choice),
    moves=counts,
    placements=counts,
    rules_judged=st.booleans(),
    went_without=st.sampled_from([(), ("slack",), ("slack", "redis")]),
)


@given(weeks)
def test_whatever_the_week_was_the_rules_report_would_be_accepted_from_a_model(week):
    said = weekly_report.by_rules(week).model_dump(mode="json")

    judged = weekly_report.judge(week, ask=ScriptedAsk(reporting=said))

    assert (judged.source, judged.refused) == (Source.MODEL, ())
    assert "{" not in str(reporting.render(judged.answer, weekly_report.numbers(week)))
