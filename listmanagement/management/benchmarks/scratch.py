"""A database of a benchmark's own: made, migrated and dropped again. Configured data is never touched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.core.management import CommandError, call_command
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg import sql

PREFIX = "evenkeel_benchmark_"


@contextmanager
def database() -> Iterator[None]:
    """For this thread, and for those it starts, the default database is an empty, migrated one.

    It is made beside the configured one, on the same server, and dropped at the end. Raises CommandError
    where the configured user may not make databases.
    """
    configured = connections[DEFAULT_DB_ALIAS]
    server = {**configured.get_connection_params(), "autocommit": True}
    name = f"{PREFIX}{os.getpid()}"
    try:
        _on_server(server, "create database {}", name)
    except psycopg.errors.InsufficientPrivilege as refused:
        raise CommandError(
            "A benchmark works in a database of its own, and this PostgreSQL user may not make one: give it "
            "CREATEDB, or set DATABASE_URL to a server where it may."
        ) from refused
    try:
        with _instead_of(configured.settings_dict, name):
            call_command("migrate", verbosity=0)
            yield
    finally:
        _on_server(server, "drop database {} with (force)", name)


@contextmanager
def _instead_of(configured: dict[str, Any], name: str) -> Iterator[None]:
    usual = connections[DEFAULT_DB_ALIAS]
    connections.databases[DEFAULT_DB_ALIAS] = {**configured, "NAME": name}
    connections[DEFAULT_DB_ALIAS] = connections.create_connection(DEFAULT_DB_ALIAS)
    try:
        yield
    finally:
        connections[DEFAULT_DB_ALIAS].close()
        connections.databases[DEFAULT_DB_ALIAS] = configured
        connections[DEFAULT_DB_ALIAS] = usual


def _on_server(server: dict[str, Any], statement: str, name: str) -> None:
    with psycopg.connect(**{**server, "dbname": "postgres"}) as session:
        session.execute(sql.SQL(statement).format(sql.Identifier(name)))
