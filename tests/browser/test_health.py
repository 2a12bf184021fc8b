"""The weekly check's page in a real browser: it fits a phone and a desk, in light and in dark."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from listmanagement.models import ListHealthCheck
from tests import factories
from tests.admin import scenes
from tests.admin.test_health_page import WEEK, a_check, page_of
from tests.browser.test_review import sign_in
from tests.factories import NOON

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("browser"),
]


def quarter() -> ListHealthCheck:
    """Nine weekly checks, the last one of a critical list."""
    lists = factories.the_rotation().campaign
    for n, weeks in enumerate(range(8, 0, -1)):
        a_check(
            lists,
            at=NOON - weeks * WEEK,
            size=1000 + 17 * n - 5 * (n % 3),
            recent_bounced=40 + 9 * n,
            recent_hard=20 + 7 * n,
            grade="watch",
        )
    gone = {"recent_bounced": 340, "recent_hard": 290, "grade": "critical", "cause": "decay"}
    why = "Every fourth message bounced hard, and most of it for good."
    return a_check(lists, at=NOON, size=1121, first={**gone, "rationale": why})


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_weekly_checks_page_fits(open_page: Callable[..., Page], width: int, scheme: str) -> None:
    check = quarter()
    page = open_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    scenes.a_reviewer("ana")

    sign_in(page, "ana", at=page_of(check))

    expect(page.get_by_role("heading", level=1)).to_contain_text("The lists in the week to")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.get_by_role("img", name="Bounced, the last 9 checks").count() == 4
