"""What people see of consent: whose decision it was, what waits, and what fails."""

from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from listmanagement.models import (
    Decision,
    DecisionKind,
    DecisionStatus,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    RolloutState,
    RunKind,
    RunStatus,
    Step,
)
from listmanagement.workflows.by_people import review
from tests import factories
from tests.factories import Rotation

OPTED_OUT = "2 contacts opted out: unsubscribed on List 2"
COMPLAINED = "1 contact complained: off the campaign lists, onto the suppression list"


@pytest.fixture
def lists(db: None) -> Rotation:
    factories.the_rollout()
    return factories.the_rotation()


def a_consent_run(*, at: datetime, **columns: object) -> ListMaintenanceLog:
    return factories.a_run(kind=RunKind.CONSENT, created_at=at, step=Step.APPLY_CONSENT, **columns)


def a_decision_of_consent(lists: Rotation, *, status: ItemStatus, at: datetime) -> Decision:
    """Two who opted out and one who complained, in a run that has ended."""
    run = a_consent_run(at=at, status=RunStatus.SUCCEEDED, counts={"unsubscribed": 2, "suppressed": 1})
    decision = factories.a_decision(
        run=run,
        kind=DecisionKind.CONSENT,
        status=DecisionStatus.CLEAR,
        title="2 contacts opted out and 1 contact complained: applied where they are",
        rationale="Made by the consent rule.",
        confidence=1.0,
        created_at=at,
    )
    own = {"decision": decision, "region": "consent", "confidence": 1.0}
    unsubscribed = factories.a_group(action=ItemAction.UNSUBSCRIBE, title=OPTED_OUT, contacts=2, **own)
    suppressed = factories.a_group(action=ItemAction.COMPLAINT, title=COMPLAINED, **own)
    for group in (unsubscribed, unsubscribed, suppressed):
        contact = factories.a_contact(opted_out_at=at, opted_out_by="an unsub event")
        factories.a_membership(contact=contact, list=lists.campaign[1])
        factories.an_item(group=group, contact=contact, source_list=lists.campaign[1], status=status)
    return decision


def test_a_decision_of_consent_names_its_rule_and_asks_nobody(
    reviewing: Client, ana: User, lists: Rotation
) -> None:
    decision = a_decision_of_consent(lists, status=ItemStatus.EXECUTED, at=timezone.now())

    response = reviewing.get(decision.get_absolute_url())
    text = response.content.decode()

    for words in (OPTED_OUT, COMPLAINED, "the consent rule", "none: it is their own wish", "their own wish"):
        assert words in text
    assert "Made by the consent rule: it executes without a review" in text
    assert "Whom it would hurt most" not in text
    assert "autonomy rule" not in text
    assert "Approve" not in text
    assert "Gemini" not in response.context["page"].judge
    assert "consent rule" in (review.why_not(decision, by=ana, now=timezone.now()) or "")


def test_the_runs_page_says_what_was_done_and_shows_its_own_steps(looking: Client, lists: Rotation) -> None:
    decision = a_decision_of_consent(lists, status=ItemStatus.EXECUTED, at=timezone.now())

    response = looking.get(decision.run.get_absolute_url())

    page = response.context["page"]
    assert [step.name for step in page.steps] == ["Find consent", "Apply consent"]
    assert ("Unsubscribed", "2") in page.done
    assert decision.title in response.content.decode()


def test_the_list_of_decisions_names_the_rule(looking: Client, lists: Rotation) -> None:
    a_decision_of_consent(lists, status=ItemStatus.EXECUTED, at=timezone.now())

    text = looking.get("/admin/listmanagement/decision/").content.decode()

    assert "the consent rule" in text


def test_every_page_says_how_many_wait_since_when_and_for_what(looking: Client, lists: Rotation) -> None:
    run = a_consent_run(
        at=timezone.now() - timedelta(minutes=9),
        status=RunStatus.WAITING,
        waits_for="paused by kim",
        counts={"waiting": 3},
    )

    text = looking.get("/admin/").content.decode()

    assert f"3 contacts opted out or complained, which is not applied yet: run {run.pk} waits since" in text
    assert "for paused by kim" in text


def test_a_run_that_has_only_begun_is_nothing_to_notice(looking: Client, lists: Rotation) -> None:
    a_consent_run(at=timezone.now())

    assert "not applied yet" not in looking.get("/admin/").content.decode()


def test_every_page_names_whom_it_fails_for_again_and_again(looking: Client, lists: Rotation) -> None:
    at = timezone.now() - timedelta(hours=1)
    contact = factories.a_contact(opted_out_at=at, opted_out_by="an unsub event")
    factories.a_membership(contact=contact, list=lists.campaign[0])
    for n in range(3):
        decision = factories.a_decision(
            run=a_consent_run(at=at, status=RunStatus.PARTIAL),
            kind=DecisionKind.CONSENT,
            status=DecisionStatus.CLEAR,
            created_at=at,
        )
        group = factories.a_group(decision=decision, action=ItemAction.UNSUBSCRIBE)
        assert "or more" not in looking.get("/admin/").content.decode(), f"after {n}"
        factories.an_item(group=group, contact=contact, status=ItemStatus.FAILED, why="Mailjet: no")

    text = looking.get("/admin/").content.decode()

    assert f"could not be applied in 3 tries or more ({contact.pk})" in text


def test_before_observing_every_page_says_who_is_left_on_a_list(looking: Client, lists: Rotation) -> None:
    RolloutState.objects.update(observing_since=None)
    contact = factories.a_contact(opted_out_at=timezone.now(), opted_out_by="an unsub event")
    factories.a_membership(contact=contact, list=lists.campaign[0])

    text = looking.get("/admin/").content.decode()

    assert "still on a campaign list: 1 contact. Nothing is changed before observing is started" in text
