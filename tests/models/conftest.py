"""Rows that many tests only look at, or change and take back."""

from collections.abc import Iterator

import pytest
from django.db import transaction
from pytest_django import DjangoDbBlocker

from tests import factories


@pytest.fixture(scope="module")
def two_of_each(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Two valid rows in every table, for the whole module; taken back at its end."""
    with django_db_blocker.unblock(), transaction.atomic():
        factories.the_rotation()
        factories.one_of_each()
        factories.one_of_each()
        yield
        transaction.set_rollback(True)
