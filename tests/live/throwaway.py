"""Lists and contacts that a test makes and takes away again, and nothing else."""

import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import httpx

from integrations.mailjet import Mailjet

PREFIX = "evenkeel-test-"
"""What the names of these lists begin with."""


class NotThrowaway(Exception):
    """A test wanted to delete a list that it did not make, or that the configuration names."""


class Throwaway:
    """Makes lists, and deletes those alone. The client itself can do neither."""

    def __init__(self, *, base_url: str, api_key: str, api_secret: str, configured: Collection[int]) -> None:
        self._http = httpx.Client(base_url=base_url, auth=(api_key, api_secret), timeout=30)
        self._configured = frozenset(configured)
        self._made: set[int] = set()
        self._token = uuid.uuid4().hex[:12]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def make_list(self) -> int:
        """An empty list under a name of its own. Raises NotThrowaway where Mailjet gives a configured one."""
        name = f"{PREFIX}{self._token}-{len(self._made)}"
        list_id = int(self._ask("POST", "/v3/REST/contactslist", json={"Name": name})["Data"][0]["ID"])
        if list_id in self._configured:
            raise NotThrowaway(f"List {list_id} is named in the configuration.")
        self._made.add(list_id)
        return list_id

    def delete_list(self, list_id: int) -> None:
        """Delete a list that `make_list` made. Raises NotThrowaway for any other."""
        if list_id in self._configured:
            raise NotThrowaway(f"List {list_id} is named in the configuration.")
        if list_id not in self._made:
            raise NotThrowaway(f"List {list_id} was not made here.")
        self._http.delete(f"/v3/REST/contactslist/{list_id}").raise_for_status()
        self._made.remove(list_id)

    def address(self, local: str) -> str:
        """An address that nobody has."""
        return f"{local}-{self._token}@example.com"

    def clear(self, mailjet: Mailjet) -> None:
        """Erase the contacts with these addresses, and delete the lists that are left."""
        for list_id in sorted(self._made):
            for rows in mailjet.contacts(list_id):
                for contact in rows:
                    if contact.email.lower().endswith(f"-{self._token}@example.com"):
                        self._http.delete(f"/v4/contacts/{contact.id}").raise_for_status()
            self.delete_list(list_id)

    def _ask(self, method: str, path: str, *, json: dict[str, Any]) -> dict[str, Any]:
        answer = self._http.request(method, path, json=json).raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


@contextmanager
def throwaway(
    mailjet: Mailjet, *, base_url: str, api_key: str, api_secret: str, configured: Collection[int]
) -> Iterator[Throwaway]:
    """Lists for one test; nothing is left of them, whatever happens."""
    with Throwaway(
        base_url=base_url, api_key=api_key, api_secret=api_secret, configured=configured
    ) as making:
        try:
            yield making
        finally:
            making.clear(mailjet)
