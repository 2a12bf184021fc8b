"""What pages remember of lists: forgotten as soon as anything changes; without it slower, never wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from integrations.cache import Cache
from integrations.mailjet import Mailjet
from listmanagement.domain.holds import HoldEnd
from listmanagement.models import (
    ChangeOf,
    Contact,
    ContactList,
    ContactListMembership,
    ContactSuppressionHistory,
    Hold,
    ListChange,
)
from listmanagement.workflows import mirror
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.glance import list_cache, overview
from listmanagement.workflows.glance.overview import AtMailjet, Overview
from tests import factories
from tests.factories import NOON
from tests.own_redis import OwnRedis, own_redis
from tests.workflows import scene as scenes
from tests.workflows.executing import a_suppression
from tests.workflows.scene import Scene

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    with own_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def cache(server: OwnRedis) -> Cache:
    """On an empty Redis, which it never leaves alone."""
    with server.client() as client:
        client.flushall()
    return Cache(server.url, prefix="ours:", seconds=3600, rests=0)


def at_a_glance(cache: Cache) -> Overview:
    return list_cache.of_lists(states=ListChange.objects.states(), cache=cache, now=NOON)


def is_remembered(cache: Cache) -> bool:
    """Whether looking needs no count."""
    with CaptureQueriesContext(connection) as queries:
        found = at_a_glance(cache)
    assert found == overview.count(now=NOON), "what is shown is what is so"
    return len(queries) == 1


def counts(cache: Cache, scene: Scene, lists: Sequence[ContactList] | None = None) -> dict[int, AtMailjet]:
    return list_cache.at_mailjet(
        lists or list(ContactList.objects.all()),
        states=ListChange.objects.states(),
        cache=cache,
        connect=connecting(scene),
        now=scene.clock(),
    )


def connecting(scene: Scene) -> Callable[[], Mailjet]:
    def connect() -> Mailjet:
        serving = scene.standin.serving
        return Mailjet(
            base_url=serving.url,
            api_key=serving.api_key,
            api_secret=serving.api_secret,
            budget=outside_budget(),
            master_list_id=scene.lists.master.mailjet_id,
            sleep=scenes.no_sleep,
        )

    return connect


def outside_budget() -> scenes.SharedBudget:
    return scenes.SharedBudget(per_minute=300, sleep=scenes.no_wait)


def asked(scene: Scene) -> int:
    return int(scene.control.requests()["by_service"].get("mailjet", 0))


# --- The lists at a glance -------------------------------------------------------------------------------


def test_what_was_counted_is_not_counted_again(cache: Cache) -> None:
    rotation = factories.the_rotation()
    factories.members(3, list=rotation.campaign[0])

    assert not is_remembered(cache)
    assert is_remembered(cache)


def test_it_says_what_is_on_each_list_and_how_even_they_are(cache: Cache) -> None:
    rotation = factories.the_rotation()
    one, two, three = rotation.campaign
    for number, each in zip((2, 3, 4), (one, two, three), strict=True):
        factories.members(number, list=each)
    ContactListMembership.objects.filter(list=three, rank=1).update(unsubscribed=True)

    found = at_a_glance(cache)

    assert [found.lists[each.pk].size for each in (one, two, three)] == [2, 3, 3]
    assert (found.lists[three.pk].members, found.lists[three.pk].unsubscribed) == (4, 1)
    assert found.lists[rotation.master.pk].members == 0
    assert found.deviation == 25.0


CHANGES: dict[str, Callable[[], object]] = {
    "a contact opts out": lambda: Contact.objects.update(opted_out_at=NOON, opted_out_by="an event"),
    "somebody is taken off": lambda: ContactListMembership.objects.update(until=NOON, ended_by="person"),
    "somebody joins": lambda: factories.a_membership(list=ContactList.objects.rotation()[1]),
    "a suppression is lifted": lambda: factories.an_imported_suppression(),
    "a hold begins": lambda: factories.a_hold(),
    "plain SQL": lambda: rows_of("update listmanagement_contact set excluded_since = now()"),
    "rows are deleted": lambda: ContactListMembership.objects.all().delete(),
}


def rows_of(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_lists_is_seen_by_the_next_reader(cache: Cache, change: str) -> None:
    rotation = factories.the_rotation()
    factories.members(3, list=rotation.campaign[0])
    at_a_glance(cache)

    CHANGES[change]()

    assert not is_remembered(cache)
    assert is_remembered(cache)


@pytest.mark.parametrize(
    "nothing",
    [
        lambda: Contact.objects.filter(pk=0).update(excluded_since=NOON),
        lambda: ContactListMembership.objects.filter(pk=0).update(unsubscribed=True),
        lambda: Hold.objects.filter(pk=0).update(ended_how=HoldEnd.OUTAGE_OVER),
        lambda: ContactSuppressionHistory.objects.filter(pk=0).delete(),
        lambda: factories.a_webhook_event(),
    ],
    ids=["contacts", "memberships", "holds", "suppressions", "an event that is only stored"],
)
def test_a_statement_that_changes_nobody_leaves_it_remembered(
    cache: Cache, nothing: Callable[[], object]
) -> None:
    factories.members(3, list=factories.the_rotation().campaign[0])
    at_a_glance(cache)

    nothing()

    assert is_remembered(cache)


def test_what_was_taken_back_was_never_there(cache: Cache) -> None:
    factories.members(3, list=factories.the_rotation().campaign[0])
    before = at_a_glance(cache)

    with transaction.atomic():
        Contact.objects.update(opted_out_at=NOON, opted_out_by="an event")
        assert at_a_glance(cache) != before
        transaction.set_rollback(True)

    assert at_a_glance(cache) == before
    assert is_remembered(cache)


def test_changes_of_long_ago_are_forgotten_but_never_the_last(cache: Cache) -> None:
    rotation = factories.the_rotation()
    for each in rotation.campaign:
        factories.members(2, list=each)
        factories.members(1, list=each)
    factories.a_hold()
    ListChange.objects.update(at=NOON - timedelta(hours=7))
    at_a_glance(cache)

    list_cache.forget_changes(now=NOON)

    left = sorted(ListChange.objects.values_list("what", flat=True))
    assert left.count(ChangeOf.MEMBERSHIPS) == ContactListMembership.objects.values("list").distinct().count()
    assert (left.count(ChangeOf.CONTACTS), left.count(ChangeOf.HOLDS)) == (1, 1)
    assert not is_remembered(cache)


def test_what_another_release_wrote_is_counted_anew(cache: Cache, server: OwnRedis) -> None:
    factories.members(3, list=factories.the_rotation().campaign[0])
    at_a_glance(cache)
    with server.client() as client:
        [key] = client.keys("ours:list:state:*")
        client.set(key, '{"lists": {"1": {"size": "many"}}}')

    assert not is_remembered(cache)
    assert is_remembered(cache)


# --- Redis away ------------------------------------------------------------------------------------------


def test_without_redis_everything_is_counted_and_right(cache: Cache, server: OwnRedis) -> None:
    rotation = factories.the_rotation()
    factories.members(3, list=rotation.campaign[0])
    at_a_glance(cache)
    server.stop()
    try:
        assert not is_remembered(cache)
        factories.members(1, list=rotation.campaign[0])
        assert not is_remembered(cache)
    finally:
        server.start()
    assert not is_remembered(cache), "it came back empty"
    assert is_remembered(cache)


def test_what_changed_while_redis_was_out_of_reach_is_seen_though_it_kept_everything(
    cache: Cache, server: OwnRedis
) -> None:
    """An entry that nobody could delete is never asked for again."""
    rotation = factories.the_rotation()
    factories.members(3, list=rotation.campaign[0])
    at_a_glance(cache)

    out_of_reach = Cache("redis://127.0.0.1:1/0", prefix="ours:", seconds=3600)
    Contact.objects.update(opted_out_at=NOON, opted_out_by="an event")
    assert at_a_glance(out_of_reach).lists[rotation.campaign[0].pk].size == 0

    assert at_a_glance(cache).lists[rotation.campaign[0].pk].size == 0


# --- The race that cache-aside is known for --------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_reader_that_is_overtaken_leaves_nothing_old_behind(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read, somebody changes and commits, and only then it stores what it read."""
    rotation = factories.the_rotation()
    factories.members(3, list=rotation.campaign[0])
    count = overview.count

    def overtaken(*, now) -> Overview:
        found = count(now=now)
        scenes.together(1, lambda: Contact.objects.update(opted_out_at=NOON, opted_out_by="an event"))
        return found

    monkeypatch.setattr(overview, "count", overtaken)
    assert at_a_glance(cache).lists[rotation.campaign[0].pk].size == 3, "as it was when it was read"
    monkeypatch.undo()

    assert at_a_glance(cache).lists[rotation.campaign[0].pk].size == 0


@pytest.mark.django_db(transaction=True)
def test_a_change_that_began_first_and_commits_last_is_seen(cache: Cache) -> None:
    """Its row has the lower number: the highest number alone would say that nothing changed."""
    rotation = factories.the_rotation()
    factories.members(3, list=rotation.campaign[0])
    factories.members(2, list=rotation.campaign[1])
    with transaction.atomic():
        Contact.objects.filter(memberships__list=rotation.campaign[0]).update(excluded_since=NOON)
        scenes.together(
            1,
            lambda: Contact.objects.filter(memberships__list=rotation.campaign[1]).update(
                excluded_since=NOON
            ),
        )
        scenes.together(1, lambda: at_a_glance(cache))

    found = at_a_glance(cache)

    assert [found.lists[each.pk].size for each in rotation.campaign[:2]] == [0, 0]


# --- As Mailjet counts them ------------------------------------------------------------------------------


def test_mailjet_is_asked_once_about_each_list(cache: Cache, scene: Scene) -> None:
    scenes.people(3, on=[scene.lists.master, scene.lists.campaign[0]])
    scene.publish()

    found = counts(cache, scene)
    before = asked(scene)
    again = counts(cache, scene)

    assert again == found
    assert asked(scene) == before
    assert found[scene.lists.campaign[0].pk].members == 3
    assert found[scene.lists.campaign[1].pk].members == 0


def test_only_the_list_that_changed_here_is_asked_about_again(cache: Cache, scene: Scene) -> None:
    one, two, _ = scene.lists.campaign
    gone, _ = scenes.people(2, on=[scene.lists.master, one])
    scenes.people(2, on=[scene.lists.master, two])
    scene.publish()
    counts(cache, scene)
    scene.a_person("remove", gone, one)
    mirror.refresh(one, mailjet=scene.outside.mailjet, now=scene.clock())
    before = asked(scene)

    found = counts(cache, scene)

    assert asked(scene) == before + 1
    assert (found[one.pk].members, found[two.pk].members) == (1, 2)


def test_our_own_changes_are_seen_by_pages_at_once(cache: Cache, scene: Scene) -> None:
    run, gone = a_suppression(scene)
    one = run.decisions.get().items.first().source_list
    before = counts(cache, scene)[one.pk].members
    at_a_glance(cache)

    scene.go_on(run)

    assert counts(cache, scene)[one.pk].members == before - len(gone)
    assert not is_remembered(cache)


def test_while_mailjet_does_not_answer_it_is_said_and_not_asked_at_each_load(
    cache: Cache, server: OwnRedis, scene: Scene
) -> None:
    scene.publish()
    scene.control.fault(path="listrecipient", status=503)

    found = counts(cache, scene)
    before = asked(scene)
    counts(cache, scene)

    assert {each.members for each in found.values()} == {None}
    assert all("503" in each.why for each in found.values())
    assert asked(scene) == before
    with server.client() as client:
        assert all(0 < client.ttl(key) <= 60 for key in client.keys("ours:list:*:members:*"))


# --- Clearing --------------------------------------------------------------------------------------------


def test_a_list_is_cleared_with_what_shows_it(cache: Cache, scene: Scene) -> None:
    one = scene.lists.campaign[0]
    scene.publish()
    counts(cache, scene)
    at_a_glance(cache)
    before = asked(scene)

    cleared = list_cache.clear(one.name.upper(), cache=cache)

    assert (cleared.entries, cleared.list_id, cleared.name) == (2, one.mailjet_id, one.name)
    assert not is_remembered(cache)
    counts(cache, scene)
    assert asked(scene) == before + 1


def test_everything_is_cleared_at_once(cache: Cache, scene: Scene) -> None:
    scene.publish()
    counts(cache, scene)
    at_a_glance(cache)

    assert list_cache.clear(None, cache=cache).entries == 6
    assert list_cache.clear(None, cache=cache).entries == 0


def test_a_list_that_nobody_knows_is_refused_by_name(cache: Cache) -> None:
    one = factories.the_rotation().campaign[0]

    with pytest.raises(NotAllowed, match=rf"called 'Spring'; known are .*{one.mailjet_id} \({one.name}\)"):
        list_cache.clear("Spring", cache=cache)


def test_without_redis_a_clearing_says_that_it_did_nothing() -> None:
    away = Cache("redis://127.0.0.1:1/0", prefix="ours:", seconds=3600)

    with pytest.raises(NotAllowed, match="nothing was cleared"):
        list_cache.clear(None, cache=away)
