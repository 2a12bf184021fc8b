"""Migrations, in a database of their own: down and up again with rows, and in place of former ones."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, models
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.test import override_settings
from psycopg import sql
from pytest_django import DjangoDbBlocker, Settings

from listmanagement.models import CampaignValidation
from tests import factories
from tests.models.raw import MODELS

pytestmark = pytest.mark.xdist_group("migrations")  # the database that they copy is filled once

SCRATCH = "scratch"


class EverythingIsScratch:
    """A database router: all models live in the scratch database."""

    def db_for_read(self, model: type[models.Model], **hints: object) -> str:
        return SCRATCH

    def db_for_write(self, model: type[models.Model], **hints: object) -> str:
        return SCRATCH


@pytest.fixture(scope="module")
def filled(django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The name of a database of its own, migrated and filled."""
    name = f"filled_{os.getpid()}"
    with django_db_blocker.unblock(), a_database(name):
        with at(name), override_settings(DATABASE_ROUTERS=[EverythingIsScratch()]):
            call_command("migrate", database=SCRATCH, verbosity=0)
            fill()
        yield name


@pytest.fixture
def scratch(filled: str, django_db_blocker: DjangoDbBlocker, settings: Settings) -> Iterator[None]:
    """A copy of it."""
    name = f"scratch_{os.getpid()}"
    settings.DATABASE_ROUTERS = [EverythingIsScratch()]
    with django_db_blocker.unblock(), a_database(name, like=filled), at(name):
        yield


@contextmanager
def a_database(name: str, *, like: str = "template1") -> Iterator[None]:
    """Made as a copy of another one, and dropped at the end."""
    server = {**connection.get_connection_params(), "dbname": "postgres", "autocommit": True}
    made, copied = sql.Identifier(name), sql.Identifier(like)
    with psycopg.connect(**server) as session:
        session.execute(sql.SQL("create database {} template {}").format(made, copied))
    try:
        yield
    finally:
        with psycopg.connect(**server) as session:
            session.execute(sql.SQL("drop database {}").format(made))


@contextmanager
def at(name: str) -> Iterator[None]:
    """The scratch database is the one of this name, meanwhile."""
    connections.databases[SCRATCH] = {**connection.settings_dict, "NAME": name}
    try:
        yield
    finally:
        connections[SCRATCH].close()
        del connections[SCRATCH], connections.databases[SCRATCH]


def fill() -> None:
    factories.the_rotation()
    factories.one_of_each()
    factories.one_of_each()


def counted() -> dict[str, int]:
    """How many rows each of our tables has, of those that are there."""
    with connections[SCRATCH].cursor() as cursor:
        there = set(connections[SCRATCH].introspection.table_names(cursor))
    return {
        model._meta.db_table: model._default_manager.count()
        for model in MODELS
        if model._meta.db_table in there
    }


def migrate(to: str | None) -> None:
    MigrationExecutor(connections[SCRATCH]).migrate([("listmanagement", to)])


def names() -> list[str]:
    """Our migrations, first to last."""
    graph = MigrationExecutor(connections[SCRATCH]).loader.graph
    [leaf] = graph.leaf_nodes("listmanagement")
    return [name for app, name in graph.forwards_plan(leaf) if app == "listmanagement"]


def forget(*migrations: str) -> None:
    for name in migrations:
        MigrationRecorder(connections[SCRATCH]).record_unapplied("listmanagement", name)


def recorded() -> set[str]:
    """Our migrations that the database says it has."""
    applied = MigrationRecorder(connections[SCRATCH]).applied_migrations()
    return {name for app, name in applied if app == "listmanagement"}


def down_and_up_again(below: str, above: str) -> None:
    """Down to `below`, up to `above` and down again: what `below` has tables for keeps its rows."""
    rows = counted()
    migrate(below)
    stayed = counted()
    assert stayed == {table: rows[table] for table in stayed}
    migrate(above)
    again = counted()
    assert {table: again[table] for table in stayed} == stayed
    migrate(below)


@pytest.mark.usefixtures("scratch")
def test_every_migration_goes_down_and_up_again_with_rows_in_every_table() -> None:
    rows = counted()
    assert set(rows) == {model._meta.db_table for model in MODELS}
    assert min(rows.values()) > 0

    ours = names()
    for below, above in reversed(list(pairwise(ours))):
        down_and_up_again(below, above)
    migrate(None)
    assert counted() == {}

    migrate(ours[-1])
    assert set(counted().values()) == {0}
    fill()
    assert counted() == rows


@pytest.mark.usefixtures("scratch")
def test_a_database_with_all_of_the_former_migrations_has_only_later_ones_to_do() -> None:
    ours = names()
    migrate("0002_triggers")
    forget("0001_models", "0002_triggers")

    call_command("migrate", database=SCRATCH, verbosity=0)  # the tables are there: made again, it would fail

    assert set(ours) <= recorded()


@pytest.mark.usefixtures("scratch")
@pytest.mark.parametrize("lacking", [("0028_domain_spelling", "0029_returns"), ("0029_returns",)])
def test_a_database_with_some_of_the_former_migrations_is_refused(lacking: tuple[str, ...]) -> None:
    migrate("0002_triggers")
    forget("0001_models", "0002_triggers", *lacking)

    with pytest.raises(CommandError, match="only some of the migrations"):
        call_command("migrate", database=SCRATCH, verbosity=0)

    assert not {"0001_models", "0002_triggers", *lacking} & recorded()


@pytest.mark.usefixtures("scratch")
def test_a_database_with_the_first_of_the_former_migrations_alone_is_refused() -> None:
    migrate(None)
    MigrationRecorder(connections[SCRATCH]).record_applied("listmanagement", "0001_initial")

    with pytest.raises(CommandError, match="only some of the migrations"):
        call_command("migrate", database=SCRATCH, verbosity=0)

    assert recorded() == {"0001_initial"}


@pytest.mark.usefixtures("scratch")
def test_0004_goes_down_with_a_send_that_was_looked_at_for_two_lists() -> None:
    one = factories.a_validation()
    other = factories.a_list()
    assert other != one.list
    CampaignValidation.objects.create(
        campaign=one.campaign,
        list=other,
        sends_at=one.sends_at,
        instant=one.instant,
        at=one.at,
        size=1,
        verdict=one.verdict,
    )
    migrate("0003_excluded_since")
