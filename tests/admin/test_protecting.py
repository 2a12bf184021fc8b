"""People protect an address or a domain, with a reason, on a contact's page; and give it up there."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from listmanagement.models import AuditEntry, Contact, Protection, ProtectionKind
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def contact() -> Contact:
    return factories.a_contact(email="Vera.Vip@Firm.test")


@pytest.fixture
def deciding(client: Client) -> Client:
    client.force_login(factories.a_reviewer("rita"))
    return client


def page(contact: Contact) -> str:
    return reverse("admin:listmanagement_contact_change", args=[contact.pk])


def post(client: Client, contact: Contact, verb: str, **values: object) -> str:
    """What the page says after it."""
    url = reverse(f"admin:listmanagement_contact_{verb}", args=[contact.pk])
    return client.post(url, values, follow=True).content.decode()


@pytest.mark.parametrize(
    ("kind", "value"), [(ProtectionKind.ADDRESS, "vera.vip@firm.test"), (ProtectionKind.DOMAIN, "firm.test")]
)
def test_an_address_or_its_domain_is_protected_once_with_who_and_why(
    deciding: Client, contact: Contact, kind: ProtectionKind, value: str
) -> None:
    post(deciding, contact, "protect", kind=kind, why="our largest customer")
    shown = post(deciding, contact, "protect", kind=kind, why="again")

    kept = Protection.objects.get()
    assert (kept.kind, kept.value, kept.by.username, kept.why) == (
        kind,
        value,
        "rita",
        "our largest customer",
    )
    assert "our largest customer" in shown
    assert list(AuditEntry.objects.values_list("action", "actor")) == [("protected", "rita")]


def test_what_is_given_up_is_gone_and_stays_in_the_audit_trail(deciding: Client, contact: Contact) -> None:
    post(deciding, contact, "protect", kind="domain", why="our largest customer")

    post(deciding, contact, "unprotect", protection=Protection.objects.get().pk, why="no customer any more")

    assert not Protection.objects.exists()
    last = AuditEntry.objects.order_by("pk").last()
    assert last is not None
    assert (last.action, last.details) == ("protection given up", {"why": "no customer any more"})


def test_without_a_reason_nothing_is_protected(deciding: Client, contact: Contact) -> None:
    assert "Say why: others" in post(deciding, contact, "protect", kind="domain", why="  ")
    assert not Protection.objects.exists()


def test_a_viewer_sees_why_the_form_is_missing_and_cannot_go_round_it(
    client: Client, contact: Contact
) -> None:
    client.force_login(factories.a_viewer("vic"))

    shown = client.get(page(contact)).content.decode()
    said = post(client, contact, "protect", kind="domain", why="please")

    assert "vic may look, but not protect" in shown
    assert reverse("admin:listmanagement_contact_protect", args=[contact.pk]) not in shown
    assert "vic may look, but not protect" in said
    assert not Protection.objects.exists()


def test_of_a_retired_contact_nothing_is_protected(deciding: Client) -> None:
    retired = factories.a_contact(email=None)

    assert "has no address any more" in post(deciding, retired, "protect", kind="address", why="a friend")
