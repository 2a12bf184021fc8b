"""Undoing a run from its page: first what it would do, then the deed, for reviewers."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from listmanagement.models import (
    Change,
    ContactList,
    ContactSuppressionHistory,
    DecisionKind,
    DecisionStatus,
    ItemStatus,
    ListMaintenanceLog,
    OperationStatus,
    RunKind,
    RunStatus,
)
from tests import factories
from tests.workflows import scene as scenes

pytestmark = pytest.mark.django_db


@pytest.fixture
def run() -> ListMaintenanceLog:
    """A run that suppressed two contacts of the first list; one has complained since."""
    lists = factories.the_rotation()
    one = lists.campaign[0]
    run = factories.a_run(status=RunStatus.SUCCEEDED)
    people = scenes.people(2, on=[lists.master])
    scenes.to_suppress(run, people, source=one)
    batch = factories.a_batch(run=run, status="applied")
    for item in run.decisions.get().items.all():
        operation = factories.an_operation(batch=batch, item=item, status=OperationStatus.APPLIED)
        factories.a_suppression(operation=operation, removed_from=one)
        factories.a_membership(
            contact=item.contact,
            list=one,
            until=factories.NOON,
            ended_by=Change.OPERATION,
            ended_with=operation,
        )
        factories.a_membership(contact=item.contact, list=lists.suppression)
    run.decisions.get().items.update(status=ItemStatus.EXECUTED)
    second = people[1]
    second.complained_at, second.complained_by = factories.NOON, "an event"
    second.save()
    return run


def ask(run: ListMaintenanceLog) -> str:
    return reverse("admin:listmanagement_run_undo", args=[run.pk])


def do(run: ListMaintenanceLog) -> str:
    return reverse("admin:listmanagement_run_undo_start", args=[run.pk])


def undos() -> int:
    return ListMaintenanceLog.objects.filter(kind=RunKind.UNDO).count()


def test_the_page_says_what_it_would_do_and_whom_it_would_leave_alone(
    run: ListMaintenanceLog, reviewing: Client
) -> None:
    page = reviewing.get(ask(run)).content.decode()

    assert "No longer suppressed</dt><dd>1" in page
    assert "Of them probably still blocked by Mailjet itself</dt><dd>1" in page
    assert "<strong>1</strong> complained:" in page
    assert undos() == 0


def test_a_get_changes_nothing_and_neither_does_asking_for_a_part(
    run: ListMaintenanceLog, reviewing: Client
) -> None:
    assert reviewing.get(do(run)).status_code == 405
    page = reviewing.post(ask(run), {"only": "rebalancing", "domain": ""}).content.decode()

    assert "There is nothing to do" in page
    assert undos() == 0
    assert ContactSuppressionHistory.objects.standing().count() == 2


def test_a_reviewer_starts_it_with_a_reason_and_lands_on_its_page(
    run: ListMaintenanceLog, reviewing: Client, ana: User
) -> None:
    answer = reviewing.post(
        do(run), {"only": "", "domain": "", "reason": "their server was down"}, follow=True
    )

    undo = ListMaintenanceLog.objects.get(kind=RunKind.UNDO)
    decision = undo.decisions.get(kind=DecisionKind.UNDO)
    assert (undo.undoes, undo.triggered_by) == (run, ana)
    assert (decision.status, decision.reviewed_by) == (DecisionStatus.APPROVED, ana)
    assert decision.items.get().target_list == ContactList.objects.rotation()[0]
    assert answer.redirect_chain[-1][0] == undo.get_absolute_url()
    assert "It takes back" in answer.content.decode()
    assert reviewing.get(decision.get_absolute_url()).status_code == 200
    assert "Undone by" in reviewing.get(run.get_absolute_url()).content.decode()


def test_a_viewer_sees_no_way_to_undo_and_finds_none(run: ListMaintenanceLog, looking: Client) -> None:
    assert "Undo this run" not in looking.get(run.get_absolute_url()).content.decode()

    looking.post(do(run), {"reason": "because"})

    assert undos() == 0


def test_the_blocked_are_a_file_for_reviewers_alone(
    run: ListMaintenanceLog, reviewing: Client, looking: Client
) -> None:
    reviewing.post(do(run), {"reason": "their server was down"})
    undo = ListMaintenanceLog.objects.get(kind=RunKind.UNDO)
    undo.decisions.get().items.update(status=ItemStatus.EXECUTED)
    url = reverse("admin:listmanagement_run_still_blocked", args=[undo.pk])

    file = reviewing.get(url)

    contact = undo.decisions.get().items.get().contact
    assert file["Content-Type"].startswith("text/csv")
    assert file.content.decode().splitlines() == [
        "contact_id,email,blocked_since",
        f"{contact.pk},{contact.email},",
    ]
    assert looking.get(url).status_code == 403


def test_while_off_it_asks_for_an_override(
    run: ListMaintenanceLog, reviewing: Client, settings: object
) -> None:
    settings.LIST_MANAGEMENT_ENABLED = False  # type: ignore[attr-defined]

    assert 'name="override"' in reviewing.get(ask(run)).content.decode()
    reviewing.post(do(run), {"reason": "their server was down"})
    assert undos() == 0
    reviewing.post(do(run), {"reason": "their server was down", "override": "cannot wait"})
    assert ListMaintenanceLog.objects.get(kind=RunKind.UNDO).override == "cannot wait"


def test_a_reviewer_lifts_one_suppression_on_the_contacts_page(
    run: ListMaintenanceLog, reviewing: Client, looking: Client
) -> None:
    first, second = run.decisions.get().items.order_by("pk")
    page = reverse("admin:listmanagement_contact_change", args=[first.contact_id])
    assert "Lift it" in reviewing.get(page).content.decode()
    assert "Lift it" not in looking.get(page).content.decode()
    complained = reverse("admin:listmanagement_contact_change", args=[second.contact_id])
    assert "Lift it" not in reviewing.get(complained).content.decode()

    reviewing.post(
        reverse("admin:listmanagement_contact_lift", args=[first.contact_id]), {"why": "they asked"}
    )

    lift = ListMaintenanceLog.objects.get(kind=RunKind.LIFT)
    assert lift.decisions.get().items.get().undoes == first
