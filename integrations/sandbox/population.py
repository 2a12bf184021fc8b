"""Large worlds made inside SQLite: as many contacts as asked for on lists of a given size, in seconds.

The same order always makes the same world. Addresses are ``p0000001@example.com`` and so on, or at as many
domains as asked for: ``p0000001@d000000.example.com``.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from integrations.sandbox.document import list_address

FIRST_CONTACT = 6_000_000_001
MOST_CONTACTS = 5_000_000
_DROPPED = ("memberships_of_a_list", "memberships_of_a_contact")


class BadPopulation(ValueError):
    """The population asked for does not make sense; the message says why."""


@dataclass(frozen=True)
class ListOrder:
    """A list and which contacts, counted from 0, are on it."""

    id: int
    name: str
    members: int
    first: int = 0


@dataclass(frozen=True)
class Population:
    """How many contacts, on which lists, and how many of a thousand of them differ."""

    contacts: int
    lists: Sequence[ListOrder]
    unsubscribed_thousandths: int = 0
    """Memberships that are unsubscribed."""
    excluded_thousandths: int = 0
    """Contacts excluded from campaigns."""
    domains: int = 0
    """Over so many domains contacts are spread, in turn; 0: all are at one."""


def parse(given: Mapping[str, Any]) -> Population:
    """A population from its JSON. Raises BadPopulation."""
    try:
        lists = tuple(ListOrder(**each) for each in given.get("lists", ()))
        population = Population(**{**given, "lists": lists})
    except TypeError as error:
        raise BadPopulation(
            f"a population needs contacts and lists of id, name, members, first: {error}"
        ) from error
    _check(population)
    return population


def _check(population: Population) -> None:
    numbers = [population.contacts, population.unsubscribed_thousandths, population.excluded_thousandths]
    numbers += [population.domains]
    numbers += [number for each in population.lists for number in (each.id, each.members, each.first)]
    if any(isinstance(each, bool) or not isinstance(each, int) or each < 0 for each in numbers):
        raise BadPopulation("numbers of a population must be whole and not negative")
    if population.contacts > MOST_CONTACTS:
        raise BadPopulation(f"at most {MOST_CONTACTS} contacts, not {population.contacts}")
    for each in population.lists:
        if each.first + each.members > population.contacts:
            raise BadPopulation(f"list {each.id} reaches beyond the {population.contacts} contacts")
    if len({each.id for each in population.lists}) != len(population.lists):
        raise BadPopulation("two lists have the same id")


def write(db: sqlite3.Connection, population: Population, *, now: float) -> None:
    """Fill empty tables."""
    indexes = _drop_indexes(db)
    _write_contacts(db, population, now=now)
    for order in population.lists:
        _write_list(db, order, population, now=now)
    for sql in indexes:
        db.execute(sql)


def _drop_indexes(db: sqlite3.Connection) -> list[str]:
    """Take away what is quicker made again afterwards; returns how."""
    found = [
        db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()["sql"]
        for name in _DROPPED
    ]
    for name in _DROPPED:
        db.execute(f"DROP INDEX {name}")
    return found


def _write_contacts(db: sqlite3.Connection, population: Population, *, now: float) -> None:
    db.execute(
        "WITH RECURSIVE counted (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n + 1 < :contacts)"
        " INSERT INTO contacts (id, email, created_at, excluded, excluded_at)"
        " SELECT :first + n, printf('p%07d@', n + 1)"
        " || CASE WHEN :domains THEN printf('d%06d.', n % :domains) ELSE '' END || 'example.com',"
        " :created_at, (n * 7919) % 1000 < :excluded,"
        " CASE WHEN (n * 7919) % 1000 < :excluded THEN :created_at END FROM counted WHERE :contacts > 0",
        {
            "contacts": population.contacts,
            "first": FIRST_CONTACT,
            "created_at": now - 90 * 86_400,
            "excluded": population.excluded_thousandths,
            "domains": population.domains,
        },
    )


def _write_list(db: sqlite3.Connection, order: ListOrder, population: Population, *, now: float) -> None:
    values = {
        "list_id": order.id,
        "first": FIRST_CONTACT + order.first,
        "end": FIRST_CONTACT + order.first + order.members,
        "at": now - 60 * 86_400,
        "unsubscribed": population.unsubscribed_thousandths,
    }
    db.execute(
        "INSERT INTO lists (id, name, address, created_at) VALUES (?, ?, ?, ?)",
        (order.id, order.name, list_address(order.id), now - 90 * 86_400),
    )
    db.execute(
        "INSERT INTO memberships (contact_id, list_id, subscribed_at, unsubscribed, unsubscribed_at)"
        " SELECT id, :list_id, :at, (id * 104729) % 1000 < :unsubscribed,"
        " CASE WHEN (id * 104729) % 1000 < :unsubscribed THEN :at END"
        " FROM contacts WHERE id >= :first AND id < :end ORDER BY id",
        values,
    )
