"""A model judges within what it may cost, says so where it may not, and is not asked twice the same."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from agents import optimization
from agents.asking import NoAnswer, Prompt, Source, UnusableAnswer
from agents.optimization import SuppressionPlan
from integrations.correlation import correlated
from integrations.gemini import GeminiSpent, Reason
from listmanagement.asking import Limits, OnAnyThread, Reusing, SharedAllowance
from listmanagement.models import AgentCall, AnswerSource, GeminiBackOff, GeminiRequest
from listmanagement.outside import forget_old_requests
from tests import factories
from tests.agents.test_optimization import cohort, verdict
from tests.factories import NOON
from tests.workflows import scene as scenes

DAY = 24 * 3600
LIMITS = Limits(requests_per_minute=100, tokens_per_run=1000, tokens_per_day=3000)


def an_allowance(**limits: int) -> SharedAllowance:
    """One for which nobody waits in earnest: whoever would sleep lets the counted requests grow older."""
    return SharedAllowance(Limits(**{**vars(LIMITS), **limits}), sleep=grow_older)


def grow_older(seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "update listmanagement_geminirequest set at = at - make_interval(secs => %s)", [seconds]
        )


# --- What may be spent -------------------------------------------------------------------------------


@pytest.mark.django_db
def test_what_a_request_can_cost_is_set_aside_until_its_cost_is_known() -> None:
    allowance = an_allowance()

    with correlated("a run"):
        claim = allowance.claim(tokens=900, patience=0)
        with pytest.raises(GeminiSpent, match=r"100 of 1,000 tokens are left, a question may take 900"):
            allowance.claim(tokens=900, patience=0)
        allowance.settle(claim, tokens=100)
        allowance.claim(tokens=900, patience=0)

    assert list(GeminiRequest.objects.order_by("pk").values_list("correlation", "tokens", "settled")) == [
        ("a run", 100, True),
        ("a run", 900, False),
    ]


@pytest.mark.django_db
def test_a_run_spends_its_own_and_the_day_what_all_may() -> None:
    allowance = an_allowance()
    for run in ("one", "two", "three"):
        with correlated(run):
            allowance.claim(tokens=1000, patience=0)

    with correlated("one"), pytest.raises(GeminiSpent) as day:
        allowance.claim(tokens=1, patience=0)
    grow_older(DAY)
    with correlated("one"), pytest.raises(GeminiSpent) as run_:
        allowance.claim(tokens=1, patience=0)
    with correlated("four"):
        allowance.claim(tokens=1000, patience=0)

    assert (day.value.reason, run_.value.reason) == (Reason.DAY_SPENT, Reason.RUN_SPENT)


@pytest.mark.django_db
def test_outside_of_a_run_only_the_day_counts() -> None:
    allowance = an_allowance()

    allowance.claim(tokens=1500, patience=0)
    allowance.claim(tokens=1500, patience=0)

    with pytest.raises(GeminiSpent, match="day_spent"):
        allowance.claim(tokens=1, patience=0)


@pytest.mark.django_db
def test_a_minute_has_so_many_turns_and_who_has_patience_gets_the_next() -> None:
    allowance = an_allowance(requests_per_minute=2)
    allowance.claim(tokens=1, patience=0)
    grow_older(30)
    allowance.claim(tokens=1, patience=0)

    with pytest.raises(GeminiSpent, match=r"no_turn: .*2 a minute"):
        allowance.claim(tokens=1, patience=30)
    allowance.claim(tokens=1, patience=40)

    assert GeminiRequest.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_many_at_once_never_spend_more_than_there_is() -> None:
    def claim() -> bool:
        with correlated("a run"):
            try:
                SharedAllowance(LIMITS).claim(tokens=300, patience=0)
            except GeminiSpent:
                return False
        return True

    assert sum(scenes.together(8, claim)) == 3


# --- What all processes know -------------------------------------------------------------------------


@pytest.mark.django_db
def test_after_too_many_requests_all_processes_leave_gemini_alone_for_as_long_as_it_asks() -> None:
    an_allowance().back_off(asked=37.0, why="rate_limited")

    with pytest.raises(GeminiSpent, match=r"backed_off: .*for 3[67] more seconds") as refusal:
        an_allowance().claim(tokens=1, patience=30)

    assert refusal.value.reason is Reason.BACKED_OFF
    assert not GeminiRequest.objects.exists()


@pytest.mark.django_db
def test_who_has_patience_waits_for_the_end_of_the_back_off() -> None:
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        GeminiBackOff.objects.update(until=F("until") - timedelta(seconds=seconds))

    an_allowance().back_off(asked=20.0, why="rate_limited")
    SharedAllowance(LIMITS, sleep=sleep).claim(tokens=1, patience=30)

    assert 19 < sum(waited) < 21
    assert GeminiRequest.objects.count() == 1


@pytest.mark.django_db
def test_each_time_in_a_row_the_back_off_is_longer_an_hour_at_most_until_gemini_answers() -> None:
    seconds = []
    for _ in range(14):
        an_allowance().back_off(asked=None, why="rate_limited")
        left = GeminiBackOff.objects.values_list(F("until") - Now(), flat=True).get()
        seconds.append(round(left.total_seconds(), 1))
        GeminiBackOff.objects.update(until=Now())
    first = seconds[0]
    an_allowance().answered()
    an_allowance().back_off(asked=90_000.0, why="quota")

    assert seconds == sorted(seconds)
    assert 0.9 < first < 3
    assert 3590 < seconds[-1] < 3660
    again = GeminiBackOff.objects.get()
    assert (again.times, again.why) == (1, "quota")


@pytest.mark.django_db
def test_an_answer_to_an_earlier_question_does_not_end_a_back_off() -> None:
    an_allowance().back_off(asked=37.0, why="rate_limited")
    an_allowance().answered()

    assert GeminiBackOff.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_thread_that_asks_leaves_no_connection_open_and_the_callers_stays() -> None:
    left_open = []

    def ask(prompt: Prompt, *, answer: type[Any]) -> Any:
        del prompt
        assert GeminiRequest.objects.count() == 0
        return answer(verdicts=[])

    def on_a_thread() -> None:
        OnAnyThread(ask)(
            optimization.INSTRUCTIONS.about({}, agent=optimization.AGENT), answer=SuppressionPlan
        )
        left_open.append(connection.connection is not None)

    thread = threading.Thread(target=on_a_thread)
    thread.start()
    thread.join()
    GeminiRequest.objects.count()
    OnAnyThread(ask)(optimization.INSTRUCTIONS.about({}, agent=optimization.AGENT), answer=SuppressionPlan)

    assert left_open == [False]
    assert connection.connection is not None


@pytest.mark.django_db
def test_what_no_limit_looks_at_any_more_is_forgotten() -> None:
    an_allowance().claim(tokens=1, patience=0)
    grow_older(39 * DAY)
    forget_old_requests()
    assert GeminiRequest.objects.count() == 1

    grow_older(1 * DAY)
    forget_old_requests()
    assert not GeminiRequest.objects.exists()


# --- Answered before ---------------------------------------------------------------------------------


class Model:
    """Answers each question, and counts."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, prompt: Prompt, *, answer: type[Any]) -> Any:
        self.asked += 1
        prompt.receipt.model, prompt.receipt.temperature = "gemini-9-001", 0.3
        return answer.model_validate({"verdicts": [verdict(says="keep", confidence=0.6)]})


@pytest.fixture
def model() -> Model:
    return Model()


def reusing(ask: Any, **changed: Any) -> Reusing:
    given = {"model": "gemini-9", "within": timedelta(hours=24), "clock": lambda: NOON, **changed}
    return Reusing(ask, **given)


@pytest.fixture
def kept(db: None, model: Model) -> AgentCall:
    """A model's accepted answer about one cohort, an hour old."""
    judged = optimization.judge([cohort()], ask=reusing(model))
    assert judged.stated is not None
    return factories.an_agent_call(
        source=AnswerSource.MODEL,
        model=judged.model,
        temperature=0.3,
        question=judged.question,
        stated=judged.stated.model_dump(mode="json"),
        at=NOON - timedelta(hours=1),
    )


def test_an_identical_question_gets_the_answer_that_was_accepted_before(
    kept: AgentCall, model: Model
) -> None:
    judged = optimization.judge([cohort()], ask=reusing(model))

    assert model.asked == 1
    assert (judged.source, judged.model, judged.temperature) == (Source.REUSED, "gemini-9-001", 0.3)
    assert (judged.tokens_in, judged.latency_ms, judged.refused) == (None, None, ())
    assert judged.stated == SuppressionPlan.model_validate(kept.stated)
    assert judged.answer.verdicts[0].verdict == "keep"
    assert judged.confidence == 0.6


@pytest.mark.parametrize(
    ("asked", "changed"),
    [
        (cohort(contacts=5), {}),
        (cohort(), {"model": "gemini-10"}),
        (cohort(), {"within": timedelta(minutes=59)}),
        (cohort(), {"within": timedelta(0)}),
    ],
    ids=["other facts", "another model", "too long ago", "never"],
)
def test_another_question_is_asked(
    kept: AgentCall, model: Model, asked: optimization.CohortFact, changed: dict[str, Any]
) -> None:
    judged = optimization.judge([asked], ask=reusing(model, **changed))

    assert (model.asked, judged.source) == (2, Source.MODEL)


def test_a_second_opinion_is_asked_afresh(kept: AgentCall, model: Model) -> None:
    judged = optimization.judge([cohort()], ask=reusing(model).ask)

    assert (model.asked, judged.source) == (2, Source.MODEL)


def test_an_answer_that_was_reused_itself_is_no_source(kept: AgentCall, model: Model) -> None:
    AgentCall.objects.update(source=AnswerSource.REUSED)

    assert optimization.judge([cohort()], ask=reusing(model)).source is Source.MODEL


def test_an_earlier_answer_of_another_form_is_left_alone(kept: AgentCall, model: Model) -> None:
    AgentCall.objects.update(stated={"plan": []})

    assert optimization.judge([cohort()], ask=reusing(model)).source is Source.MODEL


def test_a_question_asked_again_is_never_answered_from_before(kept: AgentCall, model: Model) -> None:
    first = True

    def broken_once(prompt: Prompt, *, answer: type[Any]) -> Any:
        nonlocal first
        if first:
            first = False
            raise UnusableAnswer("not_json")
        return model(prompt, answer=answer)

    AgentCall.objects.update(at=NOON - timedelta(days=2))
    judged = optimization.judge([cohort()], ask=reusing(broken_once))

    assert (judged.source, judged.refused) == (Source.MODEL, ("model: not_json",))


def test_where_nobody_answers_nothing_may_be_reused(db: None) -> None:
    def away(prompt: Prompt, *, answer: type[Any]) -> Any:
        raise NoAnswer("unreachable")

    judged = optimization.judge([cohort()], ask=reusing(away))

    assert (judged.source, judged.question, judged.stated) == (Source.RULES, "", None)
