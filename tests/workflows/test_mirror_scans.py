"""Scans: what one may say that was not whole, going on after a crash, everything, changes meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.mailjet import MailjetAnswerInvalid, MailjetUnavailable
from listmanagement.models import (
    BatchKind,
    BatchStatus,
    Change,
    Contact,
    ContactList,
    ContactListMembership,
    MailjetRequest,
    MirrorScan,
    OperationStatus,
    ScanOf,
)
from listmanagement.workflows import mirror
from listmanagement.workflows.mirror import scan as scans
from tests import factories
from tests.factories import NOON
from tests.integrations.scripted import Said, answer
from tests.workflows import scene as scenes
from tests.workflows.liar import at, lying
from tests.workflows.mailjet_says import a_contact, a_member, saying
from tests.workflows.scene import Scene

pytestmark = pytest.mark.django_db

SOON, LATER, LATER_STILL = [NOON + timedelta(minutes=minutes) for minutes in (1, 20, 40)]
MANY = mirror.FEW + 1

Row = dict[str, Any]


@pytest.fixture
def first_list(db: None) -> ContactList:
    return factories.the_rotation().campaign[0]


def members_page(contact_list: ContactList, *ids: int, total: int | None = None, **fields: Any) -> Said:
    rows = [a_member(id, list_id=contact_list.mailjet_id, **fields) for id in sorted(ids)]
    return answer({"Count": len(rows), "Data": rows, "Total": len(rows) if total is None else total})


def contacts_page(*ids: int) -> Said:
    rows = [a_contact(id, f"c{id}@example.com") for id in sorted(ids)]
    return answer({"Count": len(rows), "Data": rows, "Total": len(rows)})


def on_lists(*list_ids: int, unsubscribed: bool = False) -> Said:
    rows = [
        {"ListID": each, "IsActive": True, "IsUnsub": unsubscribed, "SubscribedAt": ""} for each in list_ids
    ]
    return answer({"Count": len(rows), "Data": rows, "Total": len(rows)})


def read(contact_list: ContactList, ids: Sequence[int], *said: Said, now: datetime, **page: Any) -> None:
    """Refresh from a Mailjet that shows these members, then says this."""
    with saying(members_page(contact_list, *ids, **page), contacts_page(*ids), *said) as mailjet:
        mirror.refresh(contact_list, mailjet=mailjet, now=now)


def current(contact_list: ContactList) -> set[int]:
    return set(contact_list.memberships.current().values_list("contact_id", flat=True))


def missing(contact_list: ContactList) -> set[int]:
    rows = contact_list.memberships.current().filter(missing_since__isnull=False)
    return set(rows.values_list("contact_id", flat=True))


def staging_tables() -> int:
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from pg_tables where tablename like 'listmanagement_staged_%'")
        return int(cursor.fetchone()[0])


# --- A scan that was not whole -----------------------------------------------------------------------


def test_whom_one_scan_misses_that_was_not_whole_is_marked_and_the_next_one_ends_it(
    first_list: ContactList,
) -> None:
    everybody = range(1, MANY + 3)
    read(first_list, everybody, now=NOON)

    read(first_list, [1, 2], now=LATER, total=3)
    assert current(first_list) == set(everybody)
    assert missing(first_list) == set(everybody) - {1, 2}

    read(first_list, [1, 2], now=LATER_STILL, total=3)
    assert current(first_list) == {1, 2}
    ended = ContactListMembership.objects.filter(until=LATER_STILL, ended_by=Change.PERSON)
    assert ended.count() == MANY
    assert set(ended.values_list("last_seen_at", flat=True)) == {NOON}


def test_whom_mailjet_counts_and_does_not_show_stays_however_often_it_is_read(
    first_list: ContactList,
) -> None:
    """A page that breaks off ends nothing: Mailjet itself says that there are more."""
    everybody = range(1, MANY + 3)
    read(first_list, everybody, now=NOON)

    for now in (LATER, LATER_STILL):
        read(first_list, [1, 2], now=now, total=len(everybody))

    assert current(first_list) == set(everybody)
    read(first_list, [1, 2], now=LATER_STILL + timedelta(minutes=1))
    assert current(first_list) == {1, 2}


def test_the_same_scan_twice_at_one_instant_ends_nothing(first_list: ContactList) -> None:
    everybody = range(1, MANY + 3)
    read(first_list, everybody, now=NOON)

    for _ in range(2):
        read(first_list, [1, 2], now=LATER, total=3)

    assert current(first_list) == set(everybody)


def test_who_is_seen_again_was_never_gone(first_list: ContactList) -> None:
    everybody = range(1, MANY + 3)
    read(first_list, everybody, now=NOON)
    ranks = dict(first_list.memberships.values_list("contact_id", "rank"))
    read(first_list, [1, 2], now=LATER, total=3)

    read(first_list, everybody, now=LATER_STILL)

    assert (current(first_list), missing(first_list)) == (set(everybody), set())
    assert dict(first_list.memberships.values_list("contact_id", "rank")) == ranks


def test_a_few_whom_it_misses_are_asked_for_their_own_lists(first_list: ContactList) -> None:
    read(first_list, [1, 2, 3, 4], now=NOON)
    there, elsewhere = first_list.mailjet_id, first_list.mailjet_id + 1
    unknown = answer({"ErrorMessage": "Object not found"}, status=404)

    theirs = [on_lists(there, unsubscribed=True), on_lists(elsewhere), unknown]
    read(first_list, [1], *theirs, now=LATER, total=2)

    assert (current(first_list), missing(first_list)) == ({1, 2}, set())
    assert Contact.objects.get(pk=2).opted_out_at == LATER, "their own list said so"
    assert first_list.memberships.current().get(contact=2).unsubscribed is True


def test_a_reading_older_than_what_is_here_changes_nothing(first_list: ContactList) -> None:
    read(first_list, [1, 2], now=LATER)

    read(first_list, [1], now=SOON)

    assert current(first_list) == {1, 2}
    first_list.refresh_from_db()
    assert first_list.read_at == LATER


def test_an_opt_out_that_only_an_older_reading_saw_is_noted_all_the_same(first_list: ContactList) -> None:
    """Between the two somebody took the contact off the list, and Mailjet shows it no more (P2)."""
    read(first_list, [1, 2], now=NOON)
    read(first_list, [1], now=LATER)

    read(first_list, [1, 2], now=SOON, IsUnsubscribed=True)

    assert Contact.objects.get(pk=2).opted_out_at == SOON
    assert current(first_list) == {1}


# --- An empty reading ----------------------------------------------------------------------------------


def a_list(contact_list: ContactList, *, is_deleted: bool = False) -> Said:
    row = {"ID": contact_list.mailjet_id, "Name": "One", "IsDeleted": is_deleted, "SubscriberCount": 2}
    return answer({"Count": 1, "Data": [row], "Total": 1})


def count(number: int) -> Said:
    return answer({"Count": number, "Data": [], "Total": number})


def test_a_list_that_mailjet_counts_as_empty_twice_is_empty(first_list: ContactList) -> None:
    read(first_list, [1, 2], now=NOON)

    read(first_list, [], a_list(first_list), count(0), now=LATER)

    assert current(first_list) == set()


@pytest.mark.parametrize("why", ["counts 2 members", "deleted at Mailjet", "does not know it"])
def test_an_empty_reading_that_mailjet_does_not_confirm_ends_nothing(
    first_list: ContactList, why: str
) -> None:
    read(first_list, [1, 2], now=NOON)
    said = {
        "counts 2 members": [a_list(first_list), count(2)],
        "deleted at Mailjet": [a_list(first_list, is_deleted=True)],
        "does not know it": [answer({"ErrorMessage": "Object not found"}, status=404)],
    }

    with pytest.raises(MailjetAnswerInvalid, match=why):
        read(first_list, [], *said[why], now=LATER)

    assert (current(first_list), missing(first_list)) == ({1, 2}, set())
    assert (MirrorScan.objects.count(), staging_tables()) == (0, 0)


# --- The journal -----------------------------------------------------------------------------------------


def journaled(contact_list: ContactList, contact_id: int, *, status: BatchStatus, **operation: Any) -> None:
    """An operation of ours on this contact and list."""
    item = factories.an_item(contact=Contact.objects.get(pk=contact_id))
    batch = factories.a_batch(
        run=item.decision.run, kind=BatchKind.SUPPRESS, status=status, **operation.pop("batch", {})
    )
    factories.a_change(batch=batch, list=contact_list)
    if "applied_at" in operation:
        operation["status"] = OperationStatus.APPLIED
    factories.an_operation(batch=batch, item=item, **operation)


@pytest.mark.parametrize("status", [BatchStatus.SENDING, BatchStatus.SUBMITTED])
def test_whom_an_operation_under_way_concerns_stays_as_the_journal_says(
    first_list: ContactList, status: BatchStatus
) -> None:
    read(first_list, [1, 2, 3], now=NOON)
    journaled(first_list, 1, status=status)
    journaled(first_list, 2, status=status)

    read(first_list, [2], now=LATER, IsUnsubscribed=True)

    assert current(first_list) == {1, 2}, "1 may be on the way off, 3 was taken off by somebody else"
    assert first_list.memberships.current().get(contact=2).unsubscribed is False
    assert Contact.objects.get(pk=2).opted_out_at == LATER, "an opt-out is noted whoever else is at work"


@pytest.mark.parametrize(("applied_at", "stays"), [(LATER, True), (SOON, False)])
def test_what_was_applied_since_the_scan_began_is_newer_than_the_scan(
    first_list: ContactList, applied_at: datetime, stays: bool
) -> None:
    read(first_list, [1, 2], now=NOON)
    done = {"status": BatchStatus.APPLIED, "batch": {"settled_at": applied_at}}
    journaled(first_list, 1, **done, applied_at=applied_at)

    read(first_list, [2], now=LATER)

    assert (1 in current(first_list)) is stays


# --- Going on --------------------------------------------------------------------------------------------


class Small(scenes.Mailjet):
    """A client that asks for three rows at once, after something has happened."""

    def __init__(self, **given: Any) -> None:
        super().__init__(page_rows=3, **given)
        self.before_page: Callable[[], None] = lambda: None

    def _window(self, *given: Any, **named: Any) -> Any:
        self.before_page()
        return super()._window(*given, **named)


@contextmanager
def small(scene: Scene) -> Iterator[Small]:
    with scenes.connect_as(Small, scene.standin) as mailjet:
        yield mailjet


def fails_after(mailjet: Small, pages: int) -> None:
    """Mailjet is away after so many pages."""
    left = iter([None] * pages)

    def happens() -> None:
        if next(left, ...) is ...:
            raise MailjetUnavailable("Mailjet is away")

    mailjet.before_page = happens


def is_back(mailjet: Small) -> None:
    mailjet.before_page = lambda: None


def a_long_list(scene: Scene, people: int = 9) -> ContactList:
    first = scene.lists.campaign[0]
    factories.members(people, list=first)
    scene.publish()
    ContactListMembership.objects.all().delete()
    Contact.objects.all().delete()
    return first


def test_a_scan_that_failed_is_gone_on_with_from_its_last_page(scene: Scene) -> None:
    first = a_long_list(scene)
    with small(scene) as mailjet:
        fails_after(mailjet, 2)
        with pytest.raises(MailjetUnavailable):
            mirror.refresh(first, mailjet=mailjet, now=NOON)
        assert MirrorScan.objects.get().staged == 5
        is_back(mailjet)

        found = mirror.refresh(first, mailjet=mailjet, now=SOON)

    assert len(current(first)) == 9
    assert found.requests == 2 + 4, "the pages that were left, then the contacts"
    first.refresh_from_db()
    assert first.read_at == NOON, "what was read first is as old as that"
    assert (MirrorScan.objects.count(), staging_tables()) == (0, 0)


def test_a_scan_that_failed_long_ago_is_begun_anew(scene: Scene) -> None:
    first = a_long_list(scene)
    with small(scene) as mailjet:
        fails_after(mailjet, 2)
        with pytest.raises(MailjetUnavailable):
            mirror.refresh(first, mailjet=mailjet, now=NOON)
        is_back(mailjet)

        found = mirror.refresh(first, mailjet=mailjet, now=LATER)

    assert found.requests == 4 + 4
    first.refresh_from_db()
    assert first.read_at == LATER
    assert (MirrorScan.objects.count(), staging_tables()) == (0, 0)


def test_a_scan_whose_rows_postgresql_lost_is_begun_anew(scene: Scene) -> None:
    first = a_long_list(scene)
    with small(scene) as mailjet:
        fails_after(mailjet, 2)
        with pytest.raises(MailjetUnavailable):
            mirror.refresh(first, mailjet=mailjet, now=NOON)
        is_back(mailjet)
        with connection.cursor() as cursor:
            cursor.execute(f"truncate {MirrorScan.objects.get().table}")  # as after a crash of its own

        found = mirror.refresh(first, mailjet=mailjet, now=SOON)

    assert len(current(first)) == 9
    assert found.requests == 4 + 4


def test_a_scan_that_somebody_works_on_is_left_alone(scene: Scene) -> None:
    first = a_long_list(scene)
    with small(scene) as mailjet:
        fails_after(mailjet, 2)
        with pytest.raises(MailjetUnavailable):
            mirror.refresh(first, mailjet=mailjet, now=NOON)
        is_back(mailjet)
        MirrorScan.objects.update(busy_until=Now() + scans.HELD_FOR)

        mirror.refresh(first, mailjet=mailjet, now=SOON)

    assert len(current(first)) == 9
    assert MirrorScan.objects.get().staged == 5


def test_who_was_taken_over_writes_nothing_more(scene: Scene) -> None:
    first = a_long_list(scene)
    taken_over = iter([False, False, True])

    with small(scene) as mailjet:

        def happens() -> None:
            if next(taken_over, False):
                MirrorScan.objects.update(token="00000000-0000-0000-0000-000000000001")

        mailjet.before_page = happens
        with pytest.raises(scans.AnotherReads):
            mirror.refresh(first, mailjet=mailjet, now=NOON)

    assert current(first) == set()
    assert MirrorScan.objects.get().staged == 0


# --- Everything --------------------------------------------------------------------------------------------


def test_everything_costs_one_request_a_thousand_rows_and_one_for_the_lists(scene: Scene) -> None:
    everybody = scenes.people(4, on=[scene.lists.master, scene.lists.campaign[0]])
    nowhere = factories.a_contact()
    scene.publish()
    ContactListMembership.objects.all().delete()
    Contact.objects.all().delete()

    found = mirror.refresh_all(mailjet=scene.outside.mailjet, now=NOON)

    assert found.requests == scene.outside.mailjet.requests == 1 + 1 + 5
    assert (found.seen, found.contacts, found.begun, found.ended) == (5 + 8, 5, 8, 0)
    assert set(Contact.objects.values_list("pk", flat=True)) == {
        nowhere.pk,
        *(contact.pk for contact in everybody),
    }
    assert {(each.read_at, each.contacts_read_at) for each in ContactList.objects.all()} == {(NOON, NOON)}
    assert MirrorScan.objects.get().finished_at == NOON
    assert staging_tables() == 0


def test_everything_again_writes_nothing(scene: Scene) -> None:
    scenes.people(4, on=[scene.lists.master, scene.lists.campaign[0]])
    scene.publish()
    mirror.refresh_all(mailjet=scene.outside.mailjet, now=NOON)

    found = mirror.refresh_all(mailjet=scene.outside.mailjet, now=LATER)

    changed = (found.contacts, found.begun, found.ended, found.missing, found.opt_outs)
    assert (found.seen, changed) == (4 + 8, (0, 0, 0, 0, 0))


def test_a_list_that_makes_no_sense_keeps_the_others_from_nothing(scene: Scene) -> None:
    """An opt-out on a list that comes later is noted all the same, and the words say which list it is."""
    first, second = scene.lists.campaign[:2]
    factories.members(2, list=first)
    [contact] = scenes.people(1, on=[second])
    scene.publish()
    scene.a_person("unsub", contact, second)

    def lie(row: Row) -> Row:
        return {**row, "ListID": 1} if row["ListID"] == first.mailjet_id else row

    with (
        lying(scene.standin, about="listrecipient", lie=lie) as url,
        scenes.connect(at(scene.standin, url)) as mailjet,
        pytest.raises(MailjetAnswerInvalid, match="listrecipient: field ListID"),
    ):
        mirror.refresh_all(mailjet=mailjet, now=NOON)

    contact.refresh_from_db()
    assert contact.opted_out_at == NOON
    first.refresh_from_db()
    assert first.read_at is None


def test_a_deleted_list_and_one_that_is_not_there_are_left_as_they_are_and_named(scene: Scene) -> None:
    deleted, unknown = scene.lists.campaign[:2]
    for each in (deleted, unknown):
        factories.members(2, list=each)
    scene.publish()
    scene.at_mailjet("UPDATE lists SET is_deleted = 1 WHERE id = ?", deleted.mailjet_id)
    scene.at_mailjet(
        "DELETE FROM memberships WHERE list_id IN (?, ?)", deleted.mailjet_id, unknown.mailjet_id
    )
    scene.at_mailjet("DELETE FROM lists WHERE id = ?", unknown.mailjet_id)

    found = mirror.refresh_all(mailjet=scene.outside.mailjet, now=NOON)

    assert [words.partition(": ")[2] for words in found.left_out] == [
        "deleted at Mailjet",
        "Mailjet does not know it",
    ]
    assert (len(current(deleted)), len(current(unknown))) == (2, 2)
    deleted.refresh_from_db()
    assert (deleted.is_deleted, deleted.read_at) == (True, None)


def test_two_refreshes_of_everything_at_once_are_one(scene: Scene) -> None:
    mailjet = scene.outside.mailjet
    MirrorScan.objects.create(of=ScanOf.EVERYTHING, started_at=NOON, busy_until=Now() + scans.HELD_FOR)

    with pytest.raises(mirror.RefreshUnderWay, match="since 12:00:00 UTC"):
        mirror.refresh_all(mailjet=mailjet, now=SOON)

    assert mailjet.requests == 0


def test_a_refresh_of_everything_that_failed_goes_on_where_it_was(scene: Scene) -> None:
    lists = [scene.lists.master, scene.lists.campaign[0]]
    scenes.people(8, on=lists)
    scene.publish()
    with small(scene) as mailjet:
        fails_after(mailjet, 1 + 4 + 4 + 2)  # lists, contacts, the first list, half of the next
        with pytest.raises(MailjetUnavailable):
            mirror.refresh_all(mailjet=mailjet, now=NOON)
        is_back(mailjet)

        found = mirror.refresh_all(mailjet=mailjet, now=SOON)

    assert found.contacts == 0
    assert ContactList.objects.filter(read_at__gte=NOON).count() == 5
    assert mailjet.requests < 2 * (2 + 4 + 2 * 4 + 3), "not all over again"
    assert MirrorScan.objects.get().finished_at == SOON


def test_what_was_left_behind_is_swept_up_when_it_is_too_old(scene: Scene) -> None:
    first = a_long_list(scene)
    with small(scene) as mailjet:
        fails_after(mailjet, 2)
        with pytest.raises(MailjetUnavailable):
            mirror.refresh(first, mailjet=mailjet, now=NOON)
        assert staging_tables() == 1

    mirror.refresh_all(mailjet=scene.outside.mailjet, now=NOON + timedelta(hours=2))

    assert staging_tables() == 0
    assert [each.of for each in MirrorScan.objects.all()] == [ScanOf.EVERYTHING]


def test_contacts_that_a_list_told_since_are_not_overwritten_by_an_older_scan(scene: Scene) -> None:
    first = scene.lists.campaign[0]
    contact, other = scenes.people(2, on=[first])
    scene.publish()
    mirror.refresh_all(mailjet=scene.outside.mailjet, now=NOON)

    class Slow(scenes.Mailjet):
        def scan_contacts(self, list_id: int | None, **given: Any) -> Any:
            pages = list(super().scan_contacts(list_id, **given))
            if list_id is None:
                scene.at_mailjet("UPDATE contacts SET excluded = 1 WHERE id = ?", contact.pk)
                mirror.refresh(first, mailjet=scene.outside.mailjet, now=LATER_STILL)
            return iter(pages)

    with scenes.connect_as(Slow, scene.standin) as slow:
        mirror.refresh_all(mailjet=slow, now=LATER)

    excluded = dict(Contact.objects.values_list("pk", "excluded"))
    assert (excluded[contact.pk], excluded[other.pk]) == (True, False)


# --- Changes meanwhile -----------------------------------------------------------------------------------

PEOPLE = 12
change = st.tuples(
    st.integers(0, 10),  # before which page
    st.sampled_from(["addnoforce", "remove", "unsub", "erase"]),
    st.integers(1, PEOPLE),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    on_list=st.sets(st.integers(1, PEOPLE)),
    out=st.sets(st.integers(1, PEOPLE), max_size=3),
    changes=st.lists(change, max_size=10),
    dies_before=st.integers(1, 12),
)
def test_whatever_people_change_while_a_list_is_read(
    scene: Scene, on_list: set[int], out: set[int], changes: list[tuple[int, str, int]], dies_before: int
) -> None:
    """Nobody who was there throughout is ended or missing; who was gone throughout is gone after two scans at
    most; no opt-out is lost; also where the scan dies and is gone on with."""
    first = scene.lists.campaign[0]
    scene.control.advance(61)  # else many games in a minute are too many requests for the stand-in
    _anew(scene, first, on_list=on_list, out=out & on_list)
    was_on, throughout, pages = set(on_list), set(on_list), 0
    opted_out = out & on_list

    with small(scene) as mailjet:

        def happens() -> None:
            nonlocal pages, throughout
            pages += 1
            for _, action, who in [each for each in changes if each[0] == pages]:
                _change(scene, first, action, who)
                throughout &= _there(scene, first)
            if pages == dies_before:
                raise MailjetUnavailable("Mailjet is away")

        mailjet.before_page = happens
        throughout &= _there(scene, first)
        try:
            mirror.refresh(first, mailjet=mailjet, now=LATER)
        except MailjetUnavailable:
            mirror.refresh(first, mailjet=mailjet, now=LATER + timedelta(seconds=30))
        mailjet.before_page = lambda: None

        assert throughout <= current(first) - missing(first)
        assert opted_out & throughout <= _opted_out()

        noted = _opted_out()
        unsubscribed = {who for who, is_out in scene.control.members(first.mailjet_id).items() if is_out}
        for now in (LATER_STILL, LATER_STILL + timedelta(minutes=20)):
            mirror.refresh(first, mailjet=mailjet, now=now)
        there = _there(scene, first)
        assert current(first) == there
        assert (was_on - there).isdisjoint(current(first))
        assert noted | unsubscribed & there <= _opted_out()


def _anew(scene: Scene, first: ContactList, *, on_list: set[int], out: set[int]) -> None:
    """The list, as the mirror and Mailjet agree on it."""
    MailjetRequest.objects.all().delete()  # a budget of its own for each world
    MirrorScan.objects.all().delete()
    ContactListMembership.objects.all().delete()
    Contact.objects.all().delete()
    ContactList.objects.update(read_at=NOON, contacts_read_at=NOON)
    everybody = [factories.a_contact(id=n, email=f"p{n}@example.com") for n in range(1, PEOPLE + 1)]
    for contact in everybody:
        if contact.pk in on_list:
            factories.a_membership(contact=contact, list=first, unsubscribed=contact.pk in out)
    scene.publish()


def _change(scene: Scene, first: ContactList, action: str, who: int) -> None:
    if action == "erase":
        erased = "UPDATE contacts SET name = 'Anonymized', email = id || '@domain.invalid' WHERE id = ?"
        scene.at_mailjet(erased, who)
    else:
        scene.control.act(contact_id=who, list_id=first.mailjet_id, action=action)


def _there(scene: Scene, first: ContactList) -> set[int]:
    """Who is on the list and not erased."""
    with scene.standin.serving.world.transaction() as db:
        rows = db.execute(
            "SELECT contact_id FROM memberships JOIN contacts ON contacts.id = contact_id"
            " WHERE list_id = ? AND name <> 'Anonymized'",
            (first.mailjet_id,),
        ).fetchall()
    return {row[0] for row in rows}


def _opted_out() -> set[int]:
    return set(Contact.objects.filter(opted_out_at__isnull=False).values_list("pk", flat=True))
