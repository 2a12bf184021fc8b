"""The judgement's record in a real browser: every column of it fits a phone and a desk."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from listmanagement.models import AnswerSource
from tests import factories
from tests.admin import scenes
from tests.browser.test_review import sign_in

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("browser"),
]


@pytest.mark.parametrize("width", [390, 1280])
def test_whatever_is_said_of_a_cohort_is_seen_without_scrolling_sideways(
    open_page: Callable[..., Page], width: int
) -> None:
    call = factories.an_agent_call(source=AnswerSource.MODEL, model="a-model-with-a-long-name-and-a-date")
    key = "may/recipient_gone_soft/3+/delivered_before/at:domain-54667cc7be62/review"
    factories.a_verdict(call=call, subject=key, stated="suppress", raw_confidence=0.9, confidence=0.9)
    page = open_page(viewport={"width": width, "height": 900})
    scenes.a_reviewer("ana")

    sign_in(page, "ana", at="/admin/listmanagement/agentverdict/")

    expect(page.get_by_text("0.90 stated, counts as stated: not calibrated yet")).to_be_visible()
    for said in page.locator("#result_list tbody :is(th, td)").all():
        box = said.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    inside = "[...document.querySelectorAll('.results')].every(each => each.scrollWidth <= each.clientWidth)"
    assert page.evaluate(inside)
