"""A review as people do it: in a browser, two of them at once."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from listmanagement.models import AuditEntry, Decision, DecisionStatus, ItemStatus
from tests.admin import scenes
from tests.admin.scenes import Scene

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("browser"),
]


@pytest.fixture
def scene() -> Scene:
    return scenes.after_a_campaign(gone=4, held=5, no_host=1, alive=2)


def sign_in(page: Page, name: str, *, at: str) -> None:
    """Follow a link and sign in on the way."""
    page.goto(at)
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(scenes.PASSWORD)
    page.get_by_role("button", name="Log in").click()


def test_a_link_leads_through_signing_in_to_the_decision_and_two_reviewers_have_one_effect(
    scene: Scene, open_page: Callable[..., Page]
) -> None:
    scenes.a_reviewer("ana")
    scenes.a_reviewer("ben")
    link = scene.decision.get_absolute_url()
    left_out = scene.gone.items.first().contact

    first, second = open_page(), open_page(color_scheme="dark")
    for page, name in ((first, "ana"), (second, "ben")):
        sign_in(page, name, at=link)
        expect(page).to_have_url(re.compile(f"{link}$"))
        expect(page.get_by_role("heading", level=1)).to_have_text(scene.decision.title)

    first.get_by_label(left_out.email).check()
    first.get_by_role("button", name="Take out", exact=True).click()
    expect(first.get_by_text("1 contact taken out: nothing happens to them.")).to_be_visible()
    expect(first.get_by_text("If you approve, 4 contacts will be suppressed, 7 stay held.")).to_be_visible()

    first.get_by_label("Note").fill("looked at three of them")
    first.get_by_role("button", name="Approve").click()
    expect(
        first.get_by_text("Approved: 4 contacts will be suppressed, 7 stay held; the run goes on")
    ).to_be_visible()
    expect(first.get_by_role("button", name="Approve")).to_have_count(0)

    second.get_by_role("button", name="Approve").click()
    expect(second.get_by_text("ana approved it already")).to_be_visible()
    expect(second.get_by_role("button", name="Approve")).to_have_count(0)

    decision = Decision.objects.get(pk=scene.decision.pk)
    assert (decision.status, decision.reviewed_by.username) == (DecisionStatus.APPROVED, "ana")
    assert decision.note == "looked at three of them"
    assert list(AuditEntry.objects.filter(action="approved").values_list("actor", flat=True)) == ["ana"]
    out = decision.items.get(contact=left_out)
    assert (out.status, out.why) == (ItemStatus.TAKEN_OUT, "taken out by ana")


def test_a_rejection_without_a_reason_does_not_leave_the_page_and_one_with_a_reason_is_kept(
    scene: Scene, open_page: Callable[..., Page]
) -> None:
    scenes.a_reviewer("ana")
    page = open_page(viewport={"width": 390, "height": 844})
    sign_in(page, "ana", at=scene.decision.get_absolute_url())

    page.get_by_role("button", name="Reject").click()

    assert page.evaluate("document.querySelector('#why').validity.valueMissing")
    assert Decision.objects.get(pk=scene.decision.pk).status == DecisionStatus.OPEN

    page.get_by_label("Why not").fill("the company called: their server was down")
    page.get_by_role("button", name="Reject").click()

    expect(page.get_by_text("Rejected: nothing of it is done")).to_be_visible()
    decision = Decision.objects.get(pk=scene.decision.pk)
    assert (decision.status, decision.note) == (
        DecisionStatus.REJECTED,
        "the company called: their server was down",
    )


def test_without_scripts_everything_works_and_a_search_leaves_no_address_in_the_url(
    scene: Scene, open_page: Callable[..., Page]
) -> None:
    scenes.a_reviewer("ana")
    wanted = scene.held.items.last().contact
    page = open_page(java_script_enabled=False)
    sign_in(page, "ana", at=scene.decision.get_absolute_url())

    page.get_by_label("Find by address or number").fill(wanted.email.upper())
    page.get_by_role("button", name="Find").click()

    rows = page.locator("#contacts tbody tr")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text(wanted.email)
    assert "@" not in page.url
    assert wanted.email.split("@")[0] not in page.url

    page.get_by_label(wanted.email).check()
    page.get_by_role("button", name="Take out", exact=True).click()
    expect(rows).to_contain_text("taken out by ana")
    page.get_by_label(wanted.email).check()
    page.get_by_role("button", name="Put back", exact=True).click()
    expect(rows).to_contain_text("proposed")
    assert scene.decision.items.get(contact=wanted).status == ItemStatus.PROPOSED


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_no_page_is_wider_than_the_window(scene: Scene, open_page: Callable[..., Page], width: int) -> None:
    scenes.a_viewer("vic")
    page = open_page(viewport={"width": width, "height": 800})
    sign_in(page, "vic", at=scene.decision.get_absolute_url())
    contact = scene.alive.items.first().contact_id
    for path in (
        scene.decision.get_absolute_url(),
        "/admin/",
        scene.decision.run.get_absolute_url(),
        f"/admin/listmanagement/contact/{contact}/change/",
    ):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
