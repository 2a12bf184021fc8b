"""Whatever people said, and whatever others change meanwhile: it ends as everybody said, and once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from listmanagement.models import Contact, ContactList, ContactListMembership, ListMaintenanceLog, RunKind
from listmanagement.workflows import consent_due, mirror
from tests import factories
from tests.workflows.executing import anew
from tests.workflows.hearing import complains, hear, opts_out
from tests.workflows.scene import Scene

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = range(5)
ROUNDS = 40  # looks of the worker, until all is applied


@dataclass(frozen=True)
class Somebody:
    """Which campaign lists they are on, where unsubscribed, whether suppressed, and what they said before."""

    on: frozenset[int]
    unsubscribed: frozenset[int]
    opted_out: bool
    complained: bool


@dataclass(frozen=True)
class Change:
    """What happens between two looks of the worker: a person at Mailjet, or an event that tells us."""

    who: int
    what: str
    where: int


lists = st.frozensets(st.integers(0, 2), max_size=3)
people = st.lists(
    st.builds(Somebody, on=lists, unsubscribed=lists, opted_out=st.booleans(), complained=st.booleans()),
    min_size=len(PEOPLE),
    max_size=len(PEOPLE),
)
changes = st.lists(
    st.builds(
        Change,
        who=st.sampled_from(PEOPLE),
        what=st.sampled_from(["addforce", "addnoforce", "unsub", "remove", "told opt-out", "told complaint"]),
        where=st.integers(0, 2),
    ),
    max_size=6,
)


def publish(scene: Scene, found: Sequence[Somebody]) -> Sequence[Contact]:
    factories.the_rollout()
    contacts = [factories.a_contact() for _ in found]
    for contact, each in zip(contacts, found, strict=True):
        factories.a_membership(contact=contact, list=scene.lists.master)
        for n in each.on:
            out = n in each.unsubscribed
            factories.a_membership(contact=contact, list=scene.lists.campaign[n], unsubscribed=out)
            if out:
                opts_out(scene, contact)
        if each.opted_out:
            opts_out(scene, contact)
    scene.publish()
    for contact, each in zip(contacts, found, strict=True):
        if each.complained:
            complains(scene, contact)
    return contacts


def happens(scene: Scene, change: Change, contact: Contact) -> None:
    match change.what:
        case "told opt-out":
            opts_out(scene, contact)
        case "told complaint":
            complains(scene, contact)
        case _:
            scene.a_person(change.what, contact, scene.lists.campaign[change.where])


def look(scene: Scene) -> None:
    """The worker looks, at the time when something may be due."""
    hear(scene)
    unfinished = ListMaintenanceLog.objects.unfinished().filter(kind=RunKind.CONSENT, next_at__isnull=False)
    soonest = unfinished.order_by("next_at").first()
    if soonest is not None and soonest.next_at is not None:
        scene.clock.passes(soonest.next_at - scene.clock())


def until_all_is_applied(scene: Scene) -> None:
    """Lists are read every half hour, twice until somebody is known to be gone."""
    for _ in range(ROUNDS):
        for contact_list in ContactList.objects.all():
            mirror.refresh(contact_list, mailjet=scene.outside.mailjet, now=scene.clock())
        unfinished = ListMaintenanceLog.objects.unfinished().filter(kind=RunKind.CONSENT)
        missed = ContactListMembership.objects.current().exclude(missing_since=None)
        if consent_due.waiting() is None and not unfinished.exists() and not missed.exists():
            return  # all of it, by a reading that no run of ours overlapped
        scene.clock.passes(timedelta(minutes=1))
        look(scene)
    raise AssertionError(f"still due: {consent_due.everything()}")


NOBODY = Somebody(on=frozenset(), unsubscribed=frozenset(), opted_out=False, complained=False)


@example(  # put back by a person while the run that takes them off is under way: the next reading tells
    found=[
        Somebody(on=frozenset({0}), unsubscribed=frozenset({0}), opted_out=False, complained=False),
        Somebody(on=frozenset({0, 1, 2}), unsubscribed=frozenset({0}), opted_out=False, complained=False),
        NOBODY,
        Somebody(on=frozenset({0, 1, 2}), unsubscribed=frozenset(), opted_out=True, complained=False),
        NOBODY,
    ],
    meanwhile=[
        Change(0, "remove", 0),
        Change(0, "told complaint", 0),
        Change(3, "addnoforce", 0),
        Change(0, "addforce", 0),
    ],
)
@given(found=people, meanwhile=changes)
@settings(
    max_examples=8,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_in_the_end_everybody_stands_as_they_said(
    scene: Scene, found: Sequence[Somebody], meanwhile: Sequence[Change]
) -> None:
    scene = anew(scene)
    contacts = publish(scene, found)
    before = {each.pk: scene.members(each) for each in (*scene.lists.campaign, scene.lists.suppression)}
    master = scene.members(scene.lists.master)

    for change in meanwhile:
        look(scene)
        happens(scene, change, contacts[change.who])
    until_all_is_applied(scene)

    after = {each.pk: scene.members(each) for each in (*scene.lists.campaign, scene.lists.suppression)}
    touched = {contacts[change.who].pk for change in meanwhile}
    campaign_lists = [each.pk for each in scene.lists.campaign]
    for contact in contacts:
        contact.refresh_from_db()
        standing = {key: members[contact.pk] for key, members in after.items() if contact.pk in members}
        if contact.complained_at is not None:
            ever = contact.memberships.filter(list__in=campaign_lists).exists()
            assert set(standing) == ({scene.lists.suppression.pk} if ever else set())
        elif contact.opted_out_at is not None:
            assert all(standing[key] for key in campaign_lists if key in standing)
            assert scene.lists.suppression.pk not in standing
        elif contact.pk not in touched:
            assert standing == {key: m[contact.pk] for key, m in before.items() if contact.pk in m}
    assert scene.members(scene.lists.master) == master
    ours = scene.standin.effects()
    said = set(Contact.objects.exclude(opted_out_at=None, complained_at=None).values_list("pk", flat=True))
    assert {pk for pk, *_ in ours} <= said
    again = Counter((pk, list_id, end) for pk, list_id, _, end in ours if pk not in touched)
    assert set(again.values()) <= {1}
    event(f"{len(ours)} effects")
