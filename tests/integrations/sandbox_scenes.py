"""Small worlds for the stand-ins, and a caller that speaks to them as anybody would: over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from integrations import tls
from integrations.sandbox import Serving, serve
from integrations.sandbox.control import Control

LONG_AGO = "2026-01-31T08:00:00Z"
BIG = 2**53 + 1


def contact(key: int, **fields: Any) -> dict[str, Any]:
    return {"id": key, "email": f"c{key}@example.com", "created_at": LONG_AGO, **fields}


def member(contact_id: int, list_id: int, **fields: Any) -> dict[str, Any]:
    key = list_id * 1_000_000 + contact_id
    return {
        "id": key,
        "contact_id": contact_id,
        "list_id": list_id,
        "subscribed_at": LONG_AGO,
        **fields,
    }


def small_world() -> dict[str, Any]:
    """Three contacts; two lists and a deleted one; 1 and 2 on list 11, 2 unsubscribed there; one campaign."""
    return {
        "contacts": [contact(1), contact(2), contact(3, email="Cap.Tal+x@example.com", excluded=True)],
        "lists": [
            {"id": 11, "name": "first"},
            {"id": 12, "name": "second"},
            {"id": 13, "name": "gone", "is_deleted": True},
        ],
        "memberships": [member(1, 11), member(2, 11, unsubscribed=True, unsubscribed_at=LONG_AGO)],
        "campaigns": [
            {"id": 52_001, "draft_id": 9001, "list_id": 11, "subject": "Hello", "send_start_at": LONG_AGO}
        ],
        "messages": [
            {
                "id": BIG,
                "campaign_id": 52_001,
                "contact_id": 1,
                "status": "hardbounced",
                "state_id": 1,
                "state_permanent": True,
                "arrived_at": LONG_AGO,
                "comment": "550 5.1.1 no such user",
            },
            {
                "id": BIG + 1,
                "campaign_id": 52_001,
                "contact_id": 2,
                "status": "sent",
                "arrived_at": LONG_AGO,
            },
        ],
    }


@dataclass(frozen=True)
class Scene:
    """Stand-ins with a small world, a control client and an HTTP client that knows the keys."""

    serving: Serving
    control: Control
    http: httpx.Client

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.http.get(f"/v3/REST/{path}", params=params)

    def rows(self, path: str, **params: Any) -> list[dict[str, Any]]:
        response = self.get(path, **params)
        assert response.status_code == 200, response.text
        rows: list[dict[str, Any]] = response.json()["Data"]
        return rows

    def row(self, path: str, **params: Any) -> dict[str, Any]:
        [row] = self.rows(path, **params)
        return row

    def send(self, method: str, path: str, body: Any) -> httpx.Response:
        return self.http.request(method, f"/v3/REST/{path}", json=body)

    def job_on(self, list_id: int, action: str, *emails: str) -> int:
        body = {"Action": action, "Contacts": [{"Email": email} for email in emails]}
        return job_id(self.send("POST", f"contactslist/{list_id}/managemanycontacts", body))

    def finish_jobs(self) -> None:
        self.control.advance(self.control.settings()["job_seconds"])


def job_id(response: httpx.Response) -> int:
    assert response.status_code == 201, response.text
    key = response.json()["Data"][0]["JobID"]
    assert isinstance(key, int)
    return key


def signed_in(serving: Serving, *, path: str = "") -> httpx.Client:
    """Requests with the account's keys, as Mailjet's own pages make them. To be closed."""
    return httpx.Client(
        base_url=f"{serving.url}{path}",
        auth=(serving.api_key, serving.api_secret),
        trust_env=False,  # a proxy of the environment is never meant for a server on this machine
        verify=tls.trusted(),
        timeout=10,
    )


@contextmanager
def small_scene(state_dir: Path) -> Iterator[Scene]:
    with serve(state_dir) as serving, Control(serving.url) as control:
        control.load(small_world())
        with signed_in(serving) as http:
            yield Scene(serving, control, http)
