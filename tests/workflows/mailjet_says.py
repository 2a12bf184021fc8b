"""Answers of Mailjet that no honest stand-in gives, and a client that gets them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from integrations.mailjet import Budget, Mailjet
from tests.factories import MASTER
from tests.integrations.scripted import Said, Server, answer, serving
from tests.workflows.scene import no_sleep

LONG_AGO = "2025-03-01T08:00:00Z"


class NoLimit(Budget):
    """A budget without end."""

    def acquire(self, *, background: bool) -> None:
        del background


@contextmanager
def saying(*said: Said) -> Iterator[Mailjet]:
    """A client of a Mailjet that gives these answers in turn, the last one for ever."""
    with serving() as server:
        server.says = list(said)
        with client(server) as mailjet:
            yield mailjet


def client(server: Server) -> Mailjet:
    """A client of that server. Close it."""
    return Mailjet(
        base_url=server.url,
        api_key="key",
        api_secret="secret",
        budget=NoLimit(),
        master_list_id=MASTER,
        timeout=5.0,
        sleep=no_sleep,
    )


def page(*rows: dict[str, Any]) -> Said:
    """One page, its rows by ascending id."""
    data = sorted(rows, key=lambda row: int(row["ID"]))
    return answer({"Count": len(data), "Data": data, "Total": len(data)})


def a_member(contact_id: int, *, list_id: int, **fields: Any) -> dict[str, Any]:
    """A membership."""
    row = {
        "ID": 1_000_000 + contact_id,
        "ContactID": contact_id,
        "ListID": list_id,
        "ListName": "One",
        "IsActive": True,
        "IsUnsubscribed": False,
        "SubscribedAt": LONG_AGO,
        "UnsubscribedAt": "",
    }
    return {**row, **fields}


def a_contact(contact_id: int, email: str, **fields: Any) -> dict[str, Any]:
    """A contact."""
    row = {
        "ID": contact_id,
        "Email": email,
        "Name": "",
        "CreatedAt": LONG_AGO,
        "IsExcludedFromCampaigns": False,
        "IsSpamComplaining": False,
    }
    return {**row, **fields}


def a_message(message_id: int, contact_id: int, *, campaign_id: int, **fields: Any) -> dict[str, Any]:
    """A message that was delivered."""
    row = {
        "ID": message_id,
        "CampaignID": campaign_id,
        "ContactID": contact_id,
        "ContactAlt": f"contact-{contact_id}@example.com",
        "Status": "sent",
        "StatePermanent": False,
        "ArrivedAt": "2026-03-01T05:00:00Z",
    }
    return {**row, **fields}
