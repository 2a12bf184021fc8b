"""A way back: people are asked once a week about full mailboxes, and what they say is done, no more."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from listmanagement.domain.bounces import BounceClass
from listmanagement.domain.record import Source
from listmanagement.models import (
    CampaignRecipient,
    Contact,
    ContactSuppressionHistory,
    Decision,
    DecisionKind,
    DecisionStatus,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    Notification,
    NotificationKind,
    RolloutState,
    RunKind,
    RunStage,
    RunStatus,
)
from listmanagement.workflows import promises
from listmanagement.workflows.by_people import review
from listmanagement.workflows.record import gathering
from listmanagement.workflows.undoing import undo, way_back
from tests import factories
from tests.workflows import scene as scenes
from tests.workflows.executing import a_suppression, ends
from tests.workflows.scene import Scene

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ana(scene: Scene) -> User:
    """A reviewer."""
    del scene
    return factories.a_reviewer("ana")


@pytest.fixture
def full(scene: Scene) -> list[Contact]:
    """Two of the first list's 202 contacts, suppressed for a full mailbox 90 days ago; one more since."""
    factories.the_rollout()
    factories.a_run(stage=RunStage.OBSERVE, status=RunStatus.SUCCEEDED)
    scenes.people(202, on=[scene.lists.master, scene.lists.campaign[0]])
    run, gone = a_suppression(scene)
    scene.go_on(run)
    CampaignRecipient.objects.filter(contact__in=gone).update(bounce_class=BounceClass.MAILBOX_FULL)
    for row in ContactSuppressionHistory.objects.select_related("evidence"):
        assert row.evidence is not None
        row.evidence.permanent = False
        row.evidence.save()
    rows = ContactSuppressionHistory.objects
    for n, contact in enumerate(gone):
        rows.filter(contact=contact).update(at=scene.clock() - timedelta(days=[90, 80, 30][n]))
    return list(gone)


def offer(scene: Scene, **columns: Any) -> str:
    return way_back.offer(scene.outside, scene.clock(), **columns)


def asked() -> Decision:
    return Decision.objects.get(kind=DecisionKind.WAY_BACK)


def runs() -> int:
    return ListMaintenanceLog.objects.filter(kind=RunKind.WAY_BACK).count()


def test_approved_they_are_back_on_their_list_and_history_says_by_whom(
    scene: Scene, ana: User, full: list[Contact]
) -> None:
    offer(scene)
    decision = asked()
    assert scene.go_on(decision.run).status == RunStatus.WAITING_FOR_REVIEW
    assert (decision.status, decision.default_choice) == (DecisionStatus.OPEN, False)
    assert decision.deadline == decision.created_at + timedelta(days=7)
    assert [(item.contact_id, item.action) for item in decision.items.all()] == [
        (contact.pk, ItemAction.RESTORE) for contact in full[:2]
    ]
    assert Notification.objects.filter(kind=NotificationKind.DECISION_NEEDED, decision=decision).exists()

    review.approve(decision.pk, by=ana, now=scene.clock())
    run = scene.go_on(decision.run)

    assert run.status == RunStatus.SUCCEEDED
    assert ends(run) == {contact.pk: (ItemStatus.EXECUTED, "") for contact in full[:2]}
    members = scene.members(scene.lists.campaign[0])
    assert [members.get(contact.pk) for contact in full] == [False, False, None]
    assert list(scene.members(scene.lists.suppression)) == [full[2].pk]
    lifted = ContactSuppressionHistory.objects.filter(lifted_at__isnull=False)
    assert [(row.lifted_by, row.lifted_why) for row in lifted] == [
        (ana, f"approved in decision {decision.pk}")
    ] * 2
    assert run.report.startswith("A way back: 2 contacts no longer suppressed")
    broken = promises.broken(mailjet=scene.outside.mailjet, now=scene.clock())
    assert set(broken) <= {"P1"}  # one failure each is all the evidence that the fixture stores
    # the suppression was right when it was made: months later a way back is no verdict on it
    assert not [each for each in gathering.of_contacts() if each.source is Source.REVERSAL]


def test_rejected_all_stay_and_nobody_is_asked_about_them_again(
    scene: Scene, ana: User, full: list[Contact]
) -> None:
    offer(scene)
    assert offer(scene) == f"nobody is asked: decision {asked().pk} is still open"
    writes = len(scene.standin.writes())
    review.reject(asked().pk, by=ana, now=scene.clock(), why="they never read it")
    run = scene.go_on(asked().run)
    scene.clock.passes(timedelta(days=7))

    assert offer(scene) == "nobody to offer a way back"
    assert run.report == "A way back: 2 contacts stay suppressed, as ana decided."
    assert len(scene.standin.writes()) == writes
    assert ContactSuppressionHistory.objects.standing().count() == len(full)


def test_unanswered_it_expires_and_they_are_asked_about_again_and_can_be_lifted_by_hand(
    scene: Scene, ana: User, full: list[Contact]
) -> None:
    offer(scene)
    first = asked()
    scene.clock.passes(timedelta(days=7, seconds=1))
    run = scene.go_on(first.run)

    assert run.report.startswith("A way back: nobody decided in time")
    offer(scene)
    assert runs() == 2
    lifted = undo.lift(
        [full[0].pk],
        by=ana,
        reason="they called",
        configuration=scene.outside.configuration,
        now=scene.clock(),
    )
    assert ends(scene.go_on(lifted)) == {full[0].pk: (ItemStatus.EXECUTED, "")}
    second = Decision.objects.filter(kind=DecisionKind.WAY_BACK).latest("pk")
    review.approve(second.pk, by=ana, now=scene.clock())
    assert ends(scene.go_on(second.run)) == {
        full[0].pk: (ItemStatus.DROPPED, "the suppression was lifted already"),
        full[1].pk: (ItemStatus.EXECUTED, ""),
    }


@pytest.mark.usefixtures("full")
def test_while_paused_off_or_observing_nobody_is_asked(scene: Scene, ana: User) -> None:
    off = replace(scene.outside, configuration=scenes.configuration(enabled=False))
    assert "LIST_MANAGEMENT_ENABLED" in way_back.offer(off, scene.clock())
    RolloutState.objects.update(paused_at=scene.clock(), changed_by=ana, why="holiday")
    assert "paused by ana" in offer(scene)
    RolloutState.objects.update(paused_at=None, changed_by=None, why="", observing_since=scene.clock())
    assert offer(scene) == "nobody is asked: only observing"

    assert runs() == 0
