"""Jobs go by address: however it is spelled, and whoever has it by the time the job is done."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F

from integrations.mailjet import Budget
from listmanagement.models import (
    BatchStatus,
    Change,
    Contact,
    ContactListMembership,
    ContactSuppressionHistory,
    ItemStatus,
    ListOperation,
    OperationBatch,
    RunStatus,
    SuppressionKind,
)
from listmanagement.workflows import addresses, consent_due, promises
from listmanagement.workflows.changes import seeing
from listmanagement.workflows.mirror import refreshing
from listmanagement.workflows.undoing import undo
from listmanagement.workflows.undoing.undoable import Scope
from tests import factories
from tests.workflows import scene as scenes
from tests.workflows.executing import a_placement, a_run, a_suppression, ends
from tests.workflows.scene import Scene
from tests.workflows.test_journal_consent import comes_back_under_a_new_id

pytestmark = pytest.mark.django_db(transaction=True)

BULK = {"path": "managemanycontacts$", "method": "POST"}
NEW = 9_000_000


# --- Spelled in another way ---------------------------------------------------------------------------


def test_an_address_is_found_however_it_is_spelled() -> None:
    kim = factories.a_contact(email="Kim.Doe@Example.COM")
    quoted = factories.a_contact(email='"kim doe"@example.com')

    found = addresses.holders_of(
        ["kim.doe@example.com", '"Kim Doe"@EXAMPLE.com', "nobody@example.com", "KIM.DOE@EXAMPLE.COM"]
    )

    assert found == [kim.pk, quoted.pk, None, kim.pk]


def test_an_error_file_names_contacts_by_addresses_in_any_case_and_quoted(scene: Scene) -> None:
    one = scene.lists.campaign[0]
    awkward = ["First@Example.com", "Kim.Doe@Example.COM", "third@example.com", '"kim doe"@example.com']
    gone = []
    for n, address in enumerate(awkward, 1):
        contact = factories.a_contact(email=address)
        ContactListMembership.objects.create(
            contact=contact, list=one, since=scene.clock() - timedelta(days=9), rank=n
        )
        gone.append(contact)
    run = a_run(scene)
    scenes.to_suppress(run, gone, source=one)
    scene.publish()
    scene.control.fault(**BULK, job="partial", times=1)

    scene.go_on(run)

    found = ends(run)
    assert [found[contact.pk] for contact in gone] == [
        (ItemStatus.EXECUTED, ""),
        (ItemStatus.FAILED, "Mailjet: Internal error"),
        (ItemStatus.EXECUTED, ""),
        (ItemStatus.FAILED, "Mailjet: Internal error"),
    ]


# --- Somebody else's by now ---------------------------------------------------------------------------


def test_a_contact_made_anew_while_the_job_runs_is_known_by_the_address(scene: Scene) -> None:
    run, gone = a_suppression(scene)
    scene.control.settings(job_seconds=30.0)
    scene.go_on_while(run, lambda: not run.batches.filter(status=BatchStatus.SUBMITTED).exists())
    comes_back_under_a_new_id(scene, gone[1])

    scene.go_on(run)

    old, new = Contact.objects.get(pk=gone[1].pk), Contact.objects.get(pk=gone[1].pk + NEW)
    assert run.status == RunStatus.SUCCEEDED
    assert ends(run)[old.pk] == (ItemStatus.EXECUTED, "")
    assert len(scene.standin.writes()) == 1
    assert (old.email, new.email) == (None, gone[1].email)
    suppressed = ContactSuppressionHistory.objects.filter(contact__in=[old, new])
    assert set(suppressed.values_list("contact", "kind")) == {
        (old.pk, SuppressionKind.OURS),
        (new.pk, SuppressionKind.IMPORTED),
    }
    operation = ListOperation.objects.get(contact=old)
    listed = ContactListMembership.objects.get(contact=new, list=scene.lists.suppression)
    assert (listed.began_by, listed.began_with, listed.until) == (Change.OPERATION, operation, None)
    left = ContactListMembership.objects.get(contact=old, list=scene.lists.campaign[0])
    assert (left.ended_by, left.ended_with) == (Change.OPERATION, operation)
    verified = promises.verify(mailjet=scene.outside.mailjet, now=scene.clock())
    [evidence] = [each for each in verified.promises if each.name == promises.Name.EVIDENCE]
    assert not {old.pk, new.pk} & {contact for each in evidence.broken for contact in each.contacts}


def test_a_contact_made_anew_and_read_before_the_job_is_looked_at_is_known_all_the_same(scene: Scene) -> None:
    run, gone = a_suppression(scene)
    scene.control.settings(job_seconds=30.0)
    scene.go_on_while(run, lambda: not run.batches.filter(status=BatchStatus.SUBMITTED).exists())
    comes_back_under_a_new_id(scene, gone[1])
    for _ in range(2):
        refreshing.refresh(scene.lists.campaign[0], mailjet=scene.outside.mailjet, now=scene.clock())
    old, new = gone[1].pk, gone[1].pk + NEW
    assert set(Contact.objects.filter(pk__in=[old, new]).values_list("pk", "email", "heir")) == {
        (old, None, new),
        (new, gone[1].email, None),
    }

    scene.go_on(run)

    assert ends(run)[old] == (ItemStatus.EXECUTED, "")
    assert len(scene.standin.writes()) == 1
    listed = ContactListMembership.objects.current().get(contact=new)
    assert (listed.list, listed.began_by) == (scene.lists.suppression, Change.OPERATION)
    assert ContactSuppressionHistory.objects.standing().get(contact=new).kind == SuppressionKind.IMPORTED


def test_a_contact_made_anew_twice_and_read_in_between_is_known_by_the_address(scene: Scene) -> None:
    run, gone = a_suppression(scene)
    scene.control.settings(job_seconds=30.0)
    scene.go_on_while(run, lambda: not run.batches.filter(status=BatchStatus.SUBMITTED).exists())
    comes_back_under_a_new_id(scene, gone[1])
    refreshing.refresh(scene.lists.campaign[0], mailjet=scene.outside.mailjet, now=scene.clock())
    comes_back_under_a_new_id(scene, Contact.objects.get(pk=gone[1].pk + NEW))

    scene.go_on(run)

    last = gone[1].pk + 2 * NEW
    assert last in scene.members(scene.lists.suppression)
    assert ends(run)[gone[1].pk] == (ItemStatus.EXECUTED, "")
    assert ContactSuppressionHistory.objects.standing().filter(contact=last).exists()


def test_a_placed_contact_made_anew_is_placed_all_the_same(scene: Scene) -> None:
    run, placed = a_placement(scene)
    scene.control.settings(job_seconds=30.0)
    scene.go_on_while(run, lambda: not run.batches.filter(status=BatchStatus.SUBMITTED).exists())
    comes_back_under_a_new_id(scene, placed[1])

    scene.go_on(run)

    assert {status for status, _ in ends(run).values()} == {ItemStatus.EXECUTED}
    assert set(scene.members(scene.lists.campaign[0])) == {placed[0].pk, placed[1].pk + NEW, placed[2].pk}
    listed = ContactListMembership.objects.current().get(contact=placed[1].pk + NEW, list__position=1)
    assert listed.began_by == Change.OPERATION


def test_a_contact_made_anew_while_a_suppression_is_lifted_is_suppressed_no_more(scene: Scene) -> None:
    run, gone = a_suppression(scene)
    scene.go_on(run)
    undoing = undo.start(
        run.pk,
        scope=Scope(),
        by=factories.a_reviewer(),
        reason="too early",
        override="",
        configuration=scene.outside.configuration,
        now=scene.clock(),
    )
    scene.control.settings(job_seconds=30.0)
    scene.go_on_while(undoing, lambda: not undoing.batches.filter(status=BatchStatus.SUBMITTED).exists())
    comes_back_under_a_new_id(scene, gone[1])

    scene.go_on(undoing)

    old, new = gone[1].pk, gone[1].pk + NEW
    assert new in scene.members(scene.lists.campaign[0])
    assert not ContactSuppressionHistory.objects.standing().filter(contact__in=[old, new]).exists()


# --- Opted out between the look and the effect --------------------------------------------------------


class Meanwhile(Budget):
    """While the write request waits for its turn, an event tells of an opt-out."""

    def __init__(self, contact: Contact) -> None:
        self.contact = contact

    def acquire(self, *, background: bool) -> None:
        if OperationBatch.objects.filter(status=BatchStatus.SENDING, attempt=1).exists():
            Contact.objects.filter(pk=self.contact.pk).update(
                opted_out_at=F("registered_at"), opted_out_by="an event"
            )


def test_an_opt_out_told_while_the_request_waits_for_its_turn_keeps_the_contact_out(scene: Scene) -> None:
    run, placed = a_placement(scene)

    with scenes.connect(scene.standin, budget=Meanwhile(placed[1])) as mailjet:
        scene.outside = scene.with_mailjet(mailjet)
        scene.go_on(run)

    assert ends(run)[placed[1].pk] == (ItemStatus.DROPPED, "opted out")
    assert set(scene.members(scene.lists.campaign[0])) == {placed[0].pk, placed[2].pk}
    assert len(scene.standin.writes()) == 1


def test_an_opt_out_on_the_master_list_during_a_placement_is_noted_and_due(scene: Scene) -> None:
    run, placed = a_placement(scene)
    scene.control.settings(job_seconds=30.0)
    scene.go_on_while(run, lambda: not run.batches.filter(status=BatchStatus.SUBMITTED).exists())
    scene.a_person("unsub", placed[1], scene.lists.master)

    scene.go_on_while(run, lambda: run.batches.unsettled().exists())

    contact = Contact.objects.get(pk=placed[1].pk)
    assert contact.opted_out_by == f"list {scene.lists.master.mailjet_id}"
    due = consent_due.unsubscriptions().values_list("contact", "list")
    assert set(due) == {(contact.pk, scene.lists.campaign[0].pk)}


def test_an_opt_out_of_anybody_that_a_reading_back_shows_is_noted(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeing, "pages", lambda _: 1)
    [other] = scenes.people(1, on=[scene.lists.master, scene.lists.campaign[0]])
    run, _ = a_suppression(scene, contacts=5)
    scene.control.settings(job_seconds=30.0)
    scene.go_on_while(run, lambda: not run.batches.filter(status=BatchStatus.SUBMITTED).exists())
    scene.a_person("unsub", other, scene.lists.campaign[0])

    scene.go_on_while(run, lambda: run.batches.unsettled().exists())

    assert Contact.objects.get(pk=other.pk).opted_out_at is not None
