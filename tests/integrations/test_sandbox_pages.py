"""Pages of long lists: what stands there at that moment, and the last as quick as the first."""

import json
import random
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.sandbox import effects, listing
from integrations.sandbox.effects import Action
from integrations.sandbox.listing import Listing
from integrations.sandbox.mailjet_reads import CONTACTS, CONTACTS_OF_A_LIST, MEMBERSHIPS
from integrations.sandbox.population import ListOrder, Population
from integrations.sandbox.world import World

LISTS = (ListOrder(11, "first", 900), ListOrder(12, "second", 400, first=300))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    world.populate(Population(contacts=1000, lists=LISTS, unsubscribed_thousandths=100))
    yield world
    world.close()


def page(db: sqlite3.Connection, of: Listing, **params: object) -> dict[str, Any]:
    """A page as the stand-in answers it."""
    asked = {name.lower(): str(value) for name, value in params.items()}
    return dict(json.loads(listing.answer(db, of, asked).body))


def walked(db: sqlite3.Connection, of: Listing, **params: object) -> dict[str, Any]:
    """The same page by walking to it, whatever is remembered."""
    return page(db, Listing(**{**vars(of), "is_long": False}), **params)


ASKED = st.sampled_from(
    [
        (MEMBERSHIPS, {"contactslist": 11}),
        (MEMBERSHIPS, {"contactslist": 12, "unsub": "true"}),
        (MEMBERSHIPS, {}),
        (CONTACTS, {}),
        (CONTACTS_OF_A_LIST, {"contactslist": 12}),
        (CONTACTS_OF_A_LIST, {"contactslist": 11, "isexcludedfromcampaigns": "false"}),
    ]
)


@hypothesis.settings(max_examples=40)
@given(st.data())
def test_a_page_shows_what_is_there_at_that_moment_whatever_was_asked_before(
    world: World, data: st.DataObject
) -> None:
    for _ in range(data.draw(st.integers(2, 12))):
        if data.draw(st.integers(0, 3)) == 0:
            change(world, data.draw(st.randoms(use_true_random=False)))
        of, asked = data.draw(ASKED)
        window: Mapping[str, object] = {
            "limit": data.draw(st.sampled_from([1, 7, 100, 1000, 0])),
            "offset": data.draw(st.integers(0, 1000)),
            "sort": data.draw(st.sampled_from(["", "ID", "ID ASC"])),
            "countrecords": data.draw(st.booleans()),
        }
        with world.transaction() as db:
            assert page(db, of, **asked, **window) == walked(db, of, **asked, **window)


def change(world: World, dice: random.Random) -> None:
    """Somebody joins or leaves a list, or is about to and does not."""
    who, fails = dice.randrange(1000), dice.random() < 0.3
    with suppress(TimeoutError), world.transaction() as db:
        [contact] = db.execute("SELECT id FROM contacts ORDER BY id LIMIT 1 OFFSET ?", (who,))
        effects.apply(
            db,
            contact_id=contact["id"],
            list_id=dice.choice([11, 12]),
            action=dice.choice([Action.REMOVE, Action.ADD_NO_FORCE, Action.UNSUB]),
            at=1.0,
            job_id=None,
            unsub_adds_nonmember=False,
        )
        page(db, MEMBERSHIPS, contactslist=11, limit=10, offset=500, countrecords=1)
        if fails:
            raise TimeoutError


@pytest.mark.parametrize("of", [MEMBERSHIPS, CONTACTS_OF_A_LIST], ids=["memberships", "contacts"])
def test_the_last_page_costs_no_more_than_the_first(tmp_path: Path, of: Listing) -> None:
    world = World(tmp_path)
    world.populate(Population(contacts=30_000, lists=[ListOrder(11, "first", 30_000)]))
    steps = []
    with world.transaction() as db:
        for offset in range(0, 30_000, 500):
            done = [0]
            db.set_progress_handler(lambda done=done: done.__setitem__(0, done[0] + 1), 100)
            found = page(db, of, contactslist=11, limit=500, offset=offset, countrecords=1)
            db.set_progress_handler(None, 0)
            steps.append(done[0])
            assert (found["Count"], found["Total"]) == (500, 30_000)
    world.close()

    _, second, *later = steps  # the first one counts them all
    assert max(later) < second * 1.5


def test_what_was_saved_and_comes_back_is_read_afresh(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.populate(Population(contacts=30, lists=[ListOrder(11, "first", 30)]))
    world.save("before")
    change_all(world)
    with world.transaction() as db:
        assert page(db, MEMBERSHIPS, contactslist=11, countrecords=1, limit=5, offset=5)["Total"] == 0
    world.restore("before")

    with world.transaction() as db:
        found = page(db, MEMBERSHIPS, contactslist=11, countrecords=1, limit=5, offset=5)
    world.close()

    assert (found["Count"], found["Total"]) == (5, 30)


def change_all(world: World) -> None:
    with world.transaction() as db:
        db.execute("DELETE FROM memberships")
