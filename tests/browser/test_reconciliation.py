"""A decision of a reconciliation as people read and decide it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from listmanagement.domain.reconciliation import WORDS, Drift
from listmanagement.models import (
    Change,
    Decision,
    DecisionKind,
    DecisionStatus,
    ItemAction,
    ItemStatus,
    RunKind,
    RunStatus,
    Step,
)
from tests import factories
from tests.admin import scenes
from tests.browser.test_review import sign_in

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("browser"),
]


@pytest.fixture
def decision() -> Decision:
    """Suppressed contacts back on a list, and one taken off where we put them: three days to decide."""
    now = timezone.now()
    lists = factories.the_rotation()
    run = factories.a_run(
        kind=RunKind.RECONCILIATION,
        status=RunStatus.WAITING_FOR_REVIEW,
        step=Step.SETTLE,
        created_at=now - timedelta(hours=2),
    )
    decision = factories.a_decision(
        run=run,
        kind=DecisionKind.RECONCILIATION,
        title="4 contacts changed at Mailjet by people: put back, or accept",
        confidence=1.0,
        default_choice=False,
        reasons=["people changed this at Mailjet after us, so people decide whether it stays"],
        deadline=now + timedelta(days=3),
        created_at=now - timedelta(hours=2),
        what_if={
            "lists": [{"name": each.name, "before": 900, "after": 900} for each in lists.campaign],
            "deviation_before": 0.0,
            "deviation_after": 0.0,
        },
    )
    changed = {"began_by": Change.PERSON, "since": now - timedelta(days=1)}
    for drift, number, target in (
        (Drift.RELISTED, 3, lists.suppression),
        (Drift.TAKEN_AWAY, 1, lists.campaign[1]),
    ):
        group = factories.a_group(
            decision=decision,
            action=ItemAction.PUT_BACK,
            key=drift.value,
            title=f"{number} contact{'' if number == 1 else 's'} {WORDS[drift].title}",
            why=WORDS[drift].happened,
            contacts=number,
            share=number / 2700,
            confidence=1.0,
        )
        for _ in range(number):
            membership = factories.a_membership(list=lists.campaign[1], **changed)
            factories.an_item(
                group=group, contact=membership.contact, target_list=target, membership=membership
            )
    return decision


def test_a_reviewer_accepts_one_group_and_has_the_other_put_back(
    decision: Decision, open_page: Callable[..., Page]
) -> None:
    scenes.a_reviewer("ana")
    page = open_page()
    sign_in(page, "ana", at=decision.get_absolute_url())

    for drift in (Drift.RELISTED, Drift.TAKEN_AWAY):
        expect(page.get_by_text(WORDS[drift].put_back)).to_be_visible()
        expect(page.get_by_text(WORDS[drift].accept)).to_be_visible()
    expect(page.get_by_text("on List 2 since").first).to_be_visible()

    page.get_by_role("button", name="Accept this group as it is").last.click()
    expect(page.get_by_text("1 accepted as it is").first).to_be_visible()
    page.get_by_role("button", name="Put it back").click()
    expect(page.get_by_text("Approved: 3 contacts will be put back")).to_be_visible()

    decided = Decision.objects.get(pk=decision.pk)
    assert decided.status == DecisionStatus.APPROVED
    assert list(decided.items.order_by("position").values_list("status", flat=True)) == [
        *[ItemStatus.PROPOSED] * 3,
        ItemStatus.TAKEN_OUT,
    ]


def test_accepting_everything_asks_why_and_says_that_it_stays(
    decision: Decision, open_page: Callable[..., Page]
) -> None:
    scenes.a_reviewer("ana")
    page = open_page(viewport={"width": 390, "height": 844})
    sign_in(page, "ana", at=decision.get_absolute_url())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

    page.get_by_label("Why it stays").fill("they asked for it by phone")
    page.get_by_role("button", name="Accept what people changed").click()

    expect(page.get_by_text("what people changed stays").first).to_be_visible()
    assert Decision.objects.get(pk=decision.pk).status == DecisionStatus.REJECTED
