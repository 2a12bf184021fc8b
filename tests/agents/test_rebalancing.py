"""When the plan runs: never moves inside a cycle, never anything shortly before a send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import rebalancing
from agents.asking import Record, Source, UnusableAnswer
from agents.prose import check_prose
from agents.rebalancing import Choice, PlanFigures, RebalancingFacts
from tests.agents.scripted import ScriptedAsk


def plan(*, moves=0, placements=0, sizes=(1092, 1092, 1125), deviation=1.99):
    named = {f"list-{at}": size for at, size in enumerate(sizes, start=1)}
    return PlanFigures(moves=moves, placements=placements, sizes=named, deviation=deviation)


def facts(**changed):
    given = {
        "sizes": {"list-1": 890, "list-2": 942, "list-3": 1177},
        "deviation": 17.35,
        "threshold": 5.0,
        "now": plan(moves=52, placements=300),
        "backfill_only": plan(placements=300, sizes=(1066, 1066, 1177), deviation=6.71),
        "waiting": 20,
        "between_cycles": True,
        "hours_to_next_send": 240.0,
    }
    return RebalancingFacts(**(given | changed))


def choice(**changed):
    return rebalancing.by_rules(facts(**changed)).choice


def read(**changed):
    given = facts(**changed)
    return rebalancing.explain(rebalancing.by_rules(given), facts=given)


def test_between_cycles_the_whole_plan_runs():
    assert choice() is Choice.NOW
    assert read() == (
        "300 contacts from the backlog fill the smaller lists. "
        "52 contacts move, the fewest that even the lists out. "
        "The lists then stand at 1,092 / 1,092 / 1,125, at most 1.99 % from their mean. "
        "20 more wait in the backlog."
    )


def test_in_the_middle_of_a_cycle_moves_wait_and_placements_do_not():
    assert choice(between_cycles=False) is Choice.BACKFILL_ONLY
    assert "52 moves wait for its end" in read(between_cycles=False)
    assert "1,066 / 1,066 / 1,177, at most 6.71 %" in read(between_cycles=False)


def test_in_the_middle_of_a_cycle_with_nobody_to_place_everything_waits():
    nobody = {"now": plan(moves=1), "backfill_only": plan(), "between_cycles": False}

    assert choice(**nobody) is Choice.DEFER
    assert "1 move waits for its end. There is nothing to place meanwhile." in read(**nobody)


@pytest.mark.parametrize(
    ("hours", "expected"), [(2.9, "defer"), (0, "defer"), (-1, "defer"), (3.0, "now"), (None, "now")]
)
def test_shortly_before_a_send_nothing_starts(hours, expected):
    assert choice(hours_to_next_send=hours) == expected


def test_moves_that_placements_make_needless_are_not_made():
    enough = plan(placements=300, deviation=4.9)

    assert choice(backfill_only=enough) is Choice.BACKFILL_ONLY
    assert "nobody has to move" in read(backfill_only=enough)


def test_an_empty_plan_is_done_at_once_and_asks_nobody():
    nothing = {
        "now": plan(),
        "backfill_only": plan(),
        "deviation": 1.2,
        "waiting": 0,
        "hours_to_next_send": 1,
    }
    ask = ScriptedAsk()

    judged = rebalancing.judge(facts(**nothing), ask=ask)

    assert judged.answer.choice is Choice.NOW
    assert ask.asked == []
    assert "at most 1.2 % from their mean, where up to 5 % is accepted" in read(**nothing)


def test_one_of_each_reads_right():
    assert "1 contact from the backlog fills" in read(now=plan(moves=1, placements=1), waiting=1)
    assert "1 contact moves" in read(now=plan(moves=1, placements=1), waiting=1)
    assert "1 more waits" in read(now=plan(moves=1, placements=1), waiting=1)


def test_each_choice_has_the_record_people_gave_it():
    given = facts(records={Choice.NOW: Record(upheld=40, labels=40)})

    assert rebalancing.by_rules(given).confidence > 0.95
    assert rebalancing.by_rules(facts()).confidence == 0.80


@st.composite
def any_facts(draw):
    figures = st.integers(0, 500)
    placements = draw(figures)
    return facts(
        now=plan(moves=draw(figures), placements=placements, deviation=draw(st.floats(0, 30))),
        backfill_only=plan(placements=placements, deviation=draw(st.floats(0, 30))),
        waiting=draw(figures),
        between_cycles=draw(st.booleans()),
        hours_to_next_send=draw(st.none() | st.floats(-10, 500)),
    )


def allows(given, chosen):
    if chosen is Choice.DEFER:
        return True
    close = given.hours_to_next_send is not None and given.hours_to_next_send < 3
    moves = chosen is Choice.NOW and given.now.moves > 0
    something = given.now.moves + given.now.placements > 0
    return not (close and something) and (given.between_cycles or not moves)


@given(any_facts())
def test_rules_never_choose_what_cycle_or_send_forbid(given):
    recommendation = rebalancing.by_rules(given)

    assert allows(given, recommendation.choice)
    check_prose(recommendation.rationale, known=rebalancing.PLACEHOLDERS, where="rationale")
    assert rebalancing.explain(recommendation, facts=given)
    assert set(rebalancing.numbers(given)) == rebalancing.PLACEHOLDERS


@given(any_facts(), st.sampled_from(list(Choice)))
def test_whatever_a_model_chooses_what_stands_is_allowed(given, said):
    ask = answering(choice=said)

    assert allows(given, rebalancing.judge(given, ask=ask).answer.choice)


def answering(**says):
    given = {"rationale": "{moves} {moves|move|moves}.", "choice": "now", "confidence": 0.9}
    return ScriptedAsk(rebalancing=given | says)


def test_a_usable_choice_stands_as_the_models():
    judged = rebalancing.judge(facts(), ask=answering())

    assert (judged.source, judged.confidence, judged.disagreed) == (Source.MODEL, 0.9, ())


def test_a_more_careful_choice_prevails_but_is_believed_less():
    judged = rebalancing.judge(facts(), ask=answering(choice="defer"))

    assert judged.answer.choice is Choice.DEFER
    assert (judged.confidence, judged.raw_confidence, judged.disagreed) == (0.69, 0.9, ("choice",))


@pytest.mark.parametrize(
    ("changed", "says", "why"),
    [
        ({"between_cycles": False}, {}, "too wide: moves in the middle of a cycle"),
        ({"hours_to_next_send": 1}, {}, "too wide: now so shortly before a send"),
        ({"hours_to_next_send": 1}, {"choice": "backfill_only"}, "too wide: backfill_only so shortly"),
        ({"backfill_only": plan()}, {"choice": "backfill_only"}, "no such plan"),
        ({}, {"choice": "later"}, "choice: enum"),
        ({}, {"rationale": "52 moves"}, "a number of its own"),
        ({}, {"rationale": "{people} move"}, "unknown placeholders"),
        ({}, {"confidence": 2}, "confidence: less_than_equal"),
        ({}, {"moves": []}, "moves: extra_forbidden"),
    ],
)
def test_a_bad_answer_is_refused_by_name_and_rules_judge_instead(changed, says, why):
    judged = rebalancing.judge(facts(**changed), ask=answering(**says))

    assert judged.source is Source.RULES
    assert judged.answer == rebalancing.by_rules(facts(**changed))
    with pytest.raises(UnusableAnswer, match=why):
        raise UnusableAnswer(*judged.refused)
