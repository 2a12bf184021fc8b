"""Empties the database after a test that commits, in the time that what it wrote takes.

Django truncates all tables, and makes all permissions anew: a sixth of a second, about as long as most of
these tests take themselves. Few of them write to more than a dozen tables, and none to those of permissions.
"""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.test import TransactionTestCase

KEPT = (
    "django_migrations",
    "django_content_type",
    "auth_permission",
    "auth_group",
    "auth_group_permissions",
)
"""What migrations made, and no test changes."""

LARGE = 4 * 1024 * 1024
"""Bytes of a table that is better truncated: deleted rows stay in it, to be passed over by every query."""

_djangos_own = TransactionTestCase._fixture_teardown


def empty_what_was_written(case: Any) -> None:
    """Delete all rows, in no order and past the triggers that refuse it: for that one must be a superuser."""
    if not _may_delete():
        _djangos_own(case)
        return
    names = [name for name in connection.introspection.table_names() if name not in KEPT]
    tables = [connection.ops.quote_name(name) for name in names]
    with connection.cursor() as cursor:
        cursor.execute(" union all ".join(f"(select '{each}' from {each} limit 1)" for each in tables))
        written = [name for (name,) in cursor.fetchall()]
        deletions = [f"delete from {each}" for each in written]
        statements = ["begin", "set local session_replication_role = replica", *deletions, "commit"]
        cursor.execute("; ".join(statements))


def _may_delete() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "select rolsuper and not exists ("
            "  select from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
            "     and pg_relation_size(oid) > %s"
            ") from pg_roles where rolname = current_user",
            [LARGE],
        )
        (may,) = cursor.fetchone()
    return bool(may)
