"""The page of a weekly health check: each list's figures, what changed in a week, trends, what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from agents import weekly_report
from agents.list_health import Cause, Grade
from agents.rebalancing import Choice
from agents.weekly_report import Outcomes, WeekFacts, WeekOfList
from listmanagement.models import Agent, ContactList, ListHealth, ListHealthCheck, RunKind
from tests import factories
from tests.factories import NOON

WEEK = timedelta(days=7)
CHECKS = "/admin/listmanagement/listhealthcheck/"
SAID = {"grade": "good", "cause": "none"}
COUNTED = {
    "size": 980,
    "members": 1000,
    "blocked": 49,
    "suppressed": 250,
    "joined": 12,
    "left": 3,
    "recent_delivered": 900,
    "recent_bounced": 100,
    "recent_hard": 80,
    "recent_not_attempted": 25,
    "recent_complained": 9,
    "recent_opted_out": 18,
}


def a_check(
    lists: Sequence[ContactList],
    *,
    at: datetime,
    first: Mapping[str, Any] = MappingProxyType({}),
    **each: Any,
) -> ListHealthCheck:
    """A weekly check with a row a list, alike but for the first, and its report by the rules."""
    run = factories.a_run(kind=RunKind.WEEKLY_HEALTH)
    call = factories.an_agent_call(run=run, agent=Agent.LIST_HEALTH)
    factories.an_agent_call(run=run, agent=Agent.REBALANCING)
    check = factories.a_health_check(
        call=call, at=at, deviation=1.5, registered=3529, suppressed=340, held=7, backlog=20
    )
    rows = [
        factories.a_list_health(
            check=check, list=one, **{**COUNTED, **SAID, **each, **(first if one == lists[0] else {})}
        )
        for one in lists
    ]
    facts = told(rows)
    factories.an_agent_call(
        run=run,
        agent=Agent.REPORTING,
        asked={**facts.model_dump(mode="json"), "numbers": weekly_report.numbers(facts)},
        answer=weekly_report.by_rules(facts).model_dump(mode="json"),
    )
    return check


def told(rows: Sequence[ListHealth]) -> WeekFacts:
    """What the reporting agent was told of such a check."""
    lists = tuple(
        WeekOfList(
            key=f"list-{row.list.position}",
            size=row.size,
            size_before=None,
            grade=Grade(row.grade),
            grade_before=None,
            cause=Cause(row.cause),
            outcomes=Outcomes(
                **{name: getattr(row, f"recent_{name}") for name in Outcomes.model_fields},
            ),
        )
        for row in rows
    )
    return WeekFacts(
        lists=lists,
        before=None,
        registered=3529,
        suppressed=340,
        held=7,
        backlog=20,
        waiting=0,
        deviation=1.5,
        deviation_before=None,
        threshold=5.0,
        choice=Choice.NOW,
        moves=0,
        placements=0,
        rules_judged=True,
        went_without=(),
    )


def page_of(check: ListHealthCheck) -> str:
    return reverse("admin:listmanagement_listhealthcheck_change", args=[check.pk])


@pytest.fixture
def lists(db: None) -> Sequence[ContactList]:
    return factories.the_rotation().campaign


def lines_of(looking: Client, check: ListHealthCheck) -> dict[str, tuple[str, str]]:
    """Of the first list: each figure's name with its value and its change, as text."""
    page = looking.get(page_of(check)).context["page"]
    return {each.name: (spaced(each.now), str(each.change)) for each in page.assessments[0].lines}


def spaced(words: str) -> str:
    """A figure with plain spaces."""
    return words.replace("\N{NO-BREAK SPACE}", " ")


# --- Figures -----------------------------------------------------------------------------------------


def test_a_list_shows_its_rates_its_growth_and_who_is_suppressed(
    looking: Client, lists: Sequence[ContactList]
) -> None:
    found = lines_of(looking, a_check(lists, at=NOON))

    assert {name: now for name, (now, _) in found.items()} == {
        "Reachable people": "980",
        "Joined in the week": "12",
        "Left in the week": "3",
        "Delivered": "87.91 %",
        "Bounced": "10 %",
        "Bounced hard": "8 %",
        "Blocked: not tried by Mailjet": "2.42 %",
        "Complained": "0.99 %",
        "Opted out": "1.98 %",
        "Reachable, but blocked at Mailjet": "5 %",
        "Suppressed, of all who were on it": "20 %",
    }


def test_each_figure_stands_beside_that_of_the_week_before_and_words_say_what_is_worse(
    looking: Client, lists: Sequence[ContactList]
) -> None:
    a_check(lists, at=NOON - WEEK, size=1000, recent_bounced=200, joined=12)

    found = lines_of(looking, a_check(lists, at=NOON))

    assert re.sub("<[^>]*>", "", found["Reachable people"][1]) == "−20, worse"
    assert re.sub("<[^>]*>", "", found["Bounced"][1]) == "−8.18 points, better"
    assert found["Joined in the week"][1] == "same"


def test_all_lists_together_show_who_is_reachable_and_the_balance(
    looking: Client, lists: Sequence[ContactList]
) -> None:
    page = looking.get(page_of(a_check(lists, at=NOON))).context["page"]

    found = {each.name: spaced(each.now) for each in page.week.lines}
    assert found["Reachable people"] == "2,940"
    assert found["Suppressed, of all registered"] == "9.63 %"
    assert (found["Held"], found["In the backlog"]) == ("7", "20")
    assert found["Largest distance from the mean size"] == "1.5 %"


def test_a_trend_shows_the_last_twelve_checks_and_tells_its_figures_in_words(
    looking: Client, lists: Sequence[ContactList]
) -> None:
    for weeks in range(14, 0, -1):
        a_check(lists, at=NOON - weeks * WEEK, size=1000 - weeks)
    a_check(lists, at=NOON + WEEK, size=5)  # a later one is not looked at

    page = looking.get(page_of(a_check(lists, at=NOON, size=1000)))

    spark = page.context["page"].assessments[0].lines[0].spark
    assert len(spark.points.split()) == 12
    assert (
        spark.told == f"Reachable people, the last 12 checks: {', '.join(map(str, range(989, 1000)))}, 1,000"
    )
    assert spark.last == ("96.0", "0.0")
    assert f'aria-label="{spark.told}"' in page.content.decode()


# --- What to do --------------------------------------------------------------------------------------


def test_a_critical_list_is_said_first_with_what_to_do_now(
    looking: Client, lists: Sequence[ContactList]
) -> None:
    check = a_check(lists, at=NOON)
    before = a_check(lists, at=NOON - WEEK)
    check = a_check(lists, at=NOON + timedelta(hours=1), grade="critical", cause="decay")
    assert before.at < check.at

    page = looking.get(page_of(check))

    html, shown = page.content.decode(), page.context["page"]
    assert "Critical: List 1, List 2 and List 3" in html
    assert shown.assessments[0].was == "good"
    [action] = shown.week.actions
    assert action.urgency.words == "now"
    assert action.words.startswith("Let maintenance suppress the dead addresses of List 1, List 2 and List 3")


def test_a_healthy_week_says_that_nothing_is_to_be_done_and_who_judged(
    looking: Client, lists: Sequence[ContactList]
) -> None:
    html = looking.get(page_of(a_check(lists, at=NOON))).content.decode()

    assert "Nothing: no list needs anybody" in html
    assert "The lists are well" in html
    for agent in ("List health by", "Rebalancing by", "Reporting by"):
        assert agent in html
    assert "Critical" not in html


# --- Where there is little to show -------------------------------------------------------------------


def test_before_the_first_check_the_list_says_when_it_is_due(looking: Client, db: None) -> None:
    html = looking.get(CHECKS).content.decode()

    assert "No check yet" in html
    assert "Monday at 10:00 UTC" in html


def test_the_first_weekly_check_says_that_there_is_nothing_to_compare_it_with(
    looking: Client, lists: Sequence[ContactList]
) -> None:
    page = looking.get(page_of(a_check(lists, at=NOON)))

    html = page.content.decode()
    assert "there is nothing to compare it with yet" in html
    assert "Trends show from the second one on" in html
    assert '<svg class="ek-spark"' not in html
    assert all(each.change == "–" for each in page.context["page"].week.lines)


def test_a_list_to_which_nothing_was_sent_has_no_rates(looking: Client, lists: Sequence[ContactList]) -> None:
    nothing = {name: 0 for name in COUNTED if name.startswith("recent")}

    found = lines_of(looking, a_check(lists, at=NOON, **nothing))

    assert {found[name][0] for name in ("Delivered", "Bounced", "Complained")} == {"–"}


def test_a_check_after_a_campaign_says_where_rates_and_trends_are(
    looking: Client, lists: Sequence[ContactList]
) -> None:
    other = factories.a_list_health(list=lists[0]).check_of

    before = looking.get(page_of(other)).content.decode()
    weekly = a_check(lists, at=NOON)
    after = looking.get(page_of(other)).content.decode()

    assert "there was no weekly check yet" in before
    assert page_of(weekly) in after


def test_more_lists_and_more_checks_need_no_more_queries(
    looking: Client, lists: Sequence[ContactList], django_assert_max_num_queries: Any
) -> None:
    a_check(lists[:1], at=NOON - WEEK)
    small = a_check(lists[:1], at=NOON)
    with django_assert_max_num_queries(30) as few:
        looking.get(page_of(small))
    for weeks in range(2, 9):
        a_check(lists, at=NOON + weeks * WEEK)
    large = a_check(lists, at=NOON + 9 * WEEK)

    with django_assert_max_num_queries(30) as many:
        looking.get(page_of(large))

    assert len(many) == len(few), [query["sql"][:150] for query in many.captured_queries]
