"""Plain SQL, and what PostgreSQL says to it."""

from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.db import IntegrityError, connection, models, transaction
from psycopg import errors

MODELS: Sequence[type[models.Model]] = list(apps.get_app_config("listmanagement").get_models())


def refused_by(*statements: str) -> str:
    """The name of the constraint by which PostgreSQL refuses one of the statements. All are taken back."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            transaction.set_rollback(True)
    except IntegrityError as error:
        return _name(error)
    return "nothing"


def _name(error: IntegrityError) -> str:
    cause = error.__cause__
    assert isinstance(cause, errors.IntegrityError)
    return cause.diag.constraint_name or f"something without a name: {cause}"


def rows(query: str, *parameters: str) -> Sequence[tuple[Any, ...]]:
    """What a query finds."""
    with connection.cursor() as cursor:
        cursor.execute(query, parameters or None)
        return list(cursor.fetchall())
