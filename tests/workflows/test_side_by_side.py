"""Several things are asked of Mailjet at once, and what goes wrong with one is not lost."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from integrations.correlation import correlated, correlation_id
from listmanagement.models import Contact
from listmanagement.workflows.side_by_side import AT_ONCE, side_by_side
from tests import factories


@pytest.mark.django_db(transaction=True)
def test_several_are_asked_about_at_once_and_the_answers_keep_their_order() -> None:
    all_are_asked = threading.Barrier(AT_ONCE)

    def ask(number: int) -> int:
        all_are_asked.wait(timeout=10)
        return -number

    assert side_by_side(ask, range(AT_ONCE)) == [-number for number in range(AT_ONCE)]


@pytest.mark.django_db(transaction=True)
def test_what_one_raises_is_raised_and_those_not_asked_yet_are_not() -> None:
    begun: list[int] = []

    def ask(number: int) -> None:
        begun.append(number)
        raise LookupError(number)

    with pytest.raises(LookupError, match="0"):
        side_by_side(ask, range(1000))
    assert len(begun) < 1000


@pytest.mark.django_db
def test_in_a_transaction_each_sees_what_it_has_written() -> None:
    contact = factories.a_contact()
    here = connection.connection

    def ask(_: int) -> bool:
        return connection.connection is here and Contact.objects.filter(pk=contact.pk).exists()

    assert side_by_side(ask, range(3)) == [True, True, True]


@pytest.mark.django_db(transaction=True)
def test_the_threads_work_in_the_runs_name_and_leave_no_connection_open() -> None:
    connections = set()

    def ask(_: int) -> str:
        Contact.objects.exists()
        connections.add(connection.connection)
        return correlation_id.get()

    with correlated("a run"):
        assert side_by_side(ask, range(3)) == ["a run"] * 3
    assert all(each.closed for each in connections)
