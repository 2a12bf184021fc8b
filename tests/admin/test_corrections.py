"""The corrections export: addresses with a mistyped domain, for reviewers, and noted."""

from __future__ import annotations

import csv
import logging
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from listmanagement.domain.bounces import BounceClass, Outcome
from listmanagement.models import AuditEntry, Contact
from listmanagement.workflows import corrections
from tests import factories
from tests.factories import NOON

pytestmark = pytest.mark.django_db

EXPORT = "/admin/listmanagement/contact/corrections.csv"


def mistyped(address: str, **columns: object) -> Contact:
    """Somebody whose message Mailjet did not try, since it knows the domain as a misspelling."""
    contact = factories.a_contact(email=address, **columns)
    factories.a_bounce(
        recipient=factories.a_recipient(
            contact=contact, outcome=Outcome.NOT_ATTEMPTED, bounce_class=BounceClass.MISTYPED
        ),
        state=19,
    )
    return contact


def test_a_reviewer_gets_each_once_and_not_who_said_no_or_was_reached(
    reviewing: Client, ana: User, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corrections, "WELL_KNOWN", {"post.test"})
    caplog.set_level(logging.DEBUG)
    near = mistyped("somebody@pots.test")
    far = mistyped("=cmd@no-idea.test")
    mistyped("no@pots.test", opted_out_at=NOON, opted_out_by="a list")
    reached = mistyped("fixed@pots.test")
    factories.a_recipient(contact=reached, outcome_at=NOON + timedelta(days=9), outcome=Outcome.DELIVERED)

    response = reviewing.get(EXPORT)

    assert response["Content-Type"] == "text/csv; charset=utf-8"
    head, *rows = csv.reader(response.content.decode().splitlines())
    assert head == ["contact", "address", "mistyped domain", "suggestion", "campaign", "when"]
    assert [row[:4] for row in rows] == [
        [str(near.pk), "somebody@pots.test", "pots.test", "post.test"],
        [str(far.pk), "'=cmd@no-idea.test", "no-idea.test", ""],
    ]
    entry = AuditEntry.objects.get(action="corrections exported")
    assert (entry.actor, entry.subject_id, entry.details) == ("ana", ana.pk, {"contacts": 2})
    assert "pots.test" not in caplog.text
    assert "somebody@" not in str(entry.details)


def test_only_reviewers_may_and_only_they_see_the_link(reviewing: Client, looking: Client) -> None:
    contacts = reverse("admin:listmanagement_contact_changelist")

    assert EXPORT in reviewing.get(contacts).content.decode()
    assert EXPORT not in looking.get(contacts).content.decode()
    assert looking.get(EXPORT).status_code == 403
    assert Client().get(EXPORT).status_code == 302
    assert not AuditEntry.objects.filter(action="corrections exported").exists()
