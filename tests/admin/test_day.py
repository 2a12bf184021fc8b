"""A day's decisions, and what became of them."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from listmanagement.models import DecisionStatus, ItemAction, ItemStatus, OperationStatus
from tests import factories
from tests.factories import NOON

DAY = "/admin/listmanagement/decision/day/2026-3-2/"


@pytest.fixture
def lists(db: None) -> None:
    factories.the_rotation()


def test_a_days_decisions_show_what_became_of_each_group(looking: Client, lists: None) -> None:
    decision = factories.a_decision(status=DecisionStatus.APPROVED, title="Suppress three")
    call = factories.an_agent_call(run=decision.run, confidence=0.6)
    factories.a_verdict(call=call, confidence=0.6)
    factories.a_verdict(call=call, confidence=0.9)
    group = factories.a_group(decision=decision, title="3 contacts: gone", disagreement=True)
    factories.an_item(group=group, status=ItemStatus.TAKEN_OUT)
    lifted = factories.an_item(group=group, status=ItemStatus.EXECUTED)
    factories.a_suppression(
        operation=factories.an_operation(item=lifted, status=OperationStatus.APPLIED),
        lifted_at=NOON,
        lifted_by=factories.a_user(),
        lifted_why="they called",
    )
    alive = factories.an_item(group=group, status=ItemStatus.DROPPED)
    later = NOON + timedelta(days=2)
    factories.a_recipient(contact=alive.contact, sent_at=later, outcome_at=later)
    factories.a_decision(title="Another day's", created_at=NOON + timedelta(days=1))

    page = looking.get(DAY)

    shown = page.context["page"]
    [card] = shown.decisions
    [line] = card.groups
    assert (card.title, line.became) == ("Suppress three", "1 delivered to since, 1 lifted, 1 taken out")
    assert [chip.words for chip in line.remarks] == ["model and rules disagree", "some were alive"]
    assert shown.mean.words == "mean confidence 0.75 of 2 open verdicts"
    assert [number for _, number in shown.sureness] == ["1", "0", "1"]
    assert shown.title == "Decisions of 2 March 2026"
    assert "Another day&#x27;s" not in page.content.decode()


@pytest.mark.parametrize(
    ("action", "tone"), [(ItemAction.SUPPRESS, "bad"), (ItemAction.HOLD, "good"), (ItemAction.PLACE, "calm")]
)
def test_life_proves_a_suppression_wrong_and_a_hold_right(
    looking: Client, lists: None, action: ItemAction, tone: str
) -> None:
    item = factories.an_item(group=factories.a_group(action=action))
    later = NOON + timedelta(days=2)
    factories.a_recipient(contact=item.contact, sent_at=later, outcome_at=later)

    [card] = looking.get(DAY).context["page"].decisions

    assert [(chip.words, chip.tone) for chip in card.groups[0].remarks] == [("some were alive", tone)]


def test_more_decisions_need_no_more_queries(
    looking: Client, lists: None, django_assert_max_num_queries
) -> None:  # type: ignore[no-untyped-def]
    factories.a_group()
    with django_assert_max_num_queries(30) as few:
        looking.get(DAY)
    for _ in range(3):
        factories.an_item(group=factories.a_group())
    with django_assert_max_num_queries(30) as many:
        looking.get(DAY)
    assert len(many) == len(few)


def test_days_lead_to_their_neighbours_but_not_into_the_future(looking: Client, lists: None) -> None:
    shown = looking.get(DAY).context["page"]
    assert (shown.before[-9:], shown.after[-9:]) == ("2026-3-1/", "2026-3-3/")

    today = looking.get("/admin/listmanagement/decision/day/", follow=True)
    assert today.context["page"].after == ""
    assert f"{timezone.now():%B %Y}" in today.content.decode()
    assert "Nothing was decided or asked on this day." in today.content.decode()


def test_a_day_that_is_none_is_not_found_and_strangers_sign_in(looking: Client, lists: None) -> None:
    assert looking.get("/admin/listmanagement/decision/day/2026-2-30/").status_code == 404
    assert looking.post(DAY).status_code == 405
    assert Client().get(DAY).status_code == 302
