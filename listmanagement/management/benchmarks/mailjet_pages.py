"""Mailjet's pages of a large account, recorded once as bytes and replayed without a network.

Rows lie in a file one after the other as Mailjet spells them; a page of any offset is a slice of it. The
same order always makes the same account. Addresses are at example.com and example.test.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

import httpx

FIRST_CONTACT = 6_000_000_001
FIRST_MEMBERSHIP = 2_200_000_001
_SECONDS_APART = 23


@dataclass(frozen=True)
class ListOrder:
    """A list, and which contacts, counted from 0, are on it."""

    id: int
    name: str
    first: int
    members: int
    membership: int
    """The id of its first membership."""


@dataclass(frozen=True)
class Account:
    """How many contacts, on which lists."""

    contacts: int
    lists: tuple[ListOrder, ...]

    @property
    def memberships(self) -> int:
        """On all lists together."""
        return sum(each.members for each in self.lists)


def account(contacts: int, *, lists: dict[int, str]) -> Account:
    """A master list with everybody, three campaign lists with three tenths each, a tenth suppressed.

    `lists` are their Mailjet ids with names, in this order.
    """
    tenth = contacts // 10
    sizes = [
        (0, contacts),
        (0, 3 * tenth),
        (3 * tenth, 3 * tenth),
        (6 * tenth, 3 * tenth),
        (9 * tenth, tenth),
    ]
    orders, membership = [], FIRST_MEMBERSHIP
    for (list_id, name), (first, members) in zip(lists.items(), sizes, strict=True):
        orders.append(ListOrder(list_id, name, first=first, members=members, membership=membership))
        membership += members
    return Account(contacts, tuple(orders))


# --- What is true of contact n and of member n --------------------------------------------------------------


def email(n: int) -> str:
    """Contact n's address: as many domains as a real list has, a few of them large."""
    if n % 3:
        return f"p{n:07d}@example.com"
    return f"p{n:07d}@d{n % 4001:04d}.example.test"


def time(n: int) -> str:
    """When contact n registered, as Mailjet spells it."""
    day, second = divmod(n * _SECONDS_APART, 86_400)
    year, day = divmod(day, 336)
    month, day = divmod(day, 28)
    clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    return f"{2024 + year}-{month + 1:02d}-{day + 1:02d}T{clock}Z"


def is_unsubscribed(n: int) -> bool:
    """Seven of a thousand."""
    return n % 1000 < 7


def is_excluded(n: int) -> bool:
    """One of a thousand."""
    return n % 1000 == 500


def _contact(n: int) -> bytes:
    excluded = "true" if is_excluded(n) else "false"
    return (
        f'{{"CreatedAt": "{time(n)}", "DeliveredCount": 0, "Email": "{email(n)}", '
        f'"ExclusionFromCampaignsUpdatedAt": "", "ID": {FIRST_CONTACT + n}, '
        f'"IsExcludedFromCampaigns": {excluded}, "IsOptInPending": false, "IsSpamComplaining": false, '
        f'"LastActivityAt": "{time(n)}", "LastUpdateAt": "{time(n)}", "Name": "", "UnsubscribedAt": "", '
        f'"UnsubscribedBy": ""}}'
    ).encode()


def _member(n: int, order: ListOrder) -> bytes:
    unsubscribed = "true" if is_unsubscribed(n) else "false"
    return (
        f'{{"ContactID": {FIRST_CONTACT + n}, "ID": {order.membership + n - order.first}, "IsActive": true, '
        f'"IsUnsubscribed": {unsubscribed}, "ListID": {order.id}, "ListName": "{order.name}", '
        f'"SubscribedAt": "{time(n)}", "UnsubscribedAt": ""}}'
    ).encode()


# --- Recorded -----------------------------------------------------------------------------------------------


class Recording:
    """Rows in a file, and where each begins."""

    def __init__(self, path: Path, rows: Iterable[bytes]) -> None:
        self._path = path
        self._begins = array("Q")
        place = 0
        with path.open("wb") as file:
            for row in rows:
                self._begins.append(place)
                place += file.write(row) + file.write(b",")
        self._begins.append(place)
        self._file = path.open("rb")

    def __len__(self) -> int:
        return len(self._begins) - 1

    def page(self, offset: int, limit: int, *, counted: bool, of: range) -> bytes:
        """The answer for a window of these rows, which a filter leaves."""
        window = of[offset : offset + limit]
        total = len(of) if counted else len(window)
        return b'{"Count": %d, "Data": [%b], "Total": %d}' % (
            len(window),
            self._slice(window.start, window.stop),
            total,
        )

    def _slice(self, first: int, last: int) -> bytes:
        if last <= first:
            return b""
        self._file.seek(self._begins[first])
        return self._file.read(self._begins[last] - self._begins[first] - 1)

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


class Replay(httpx.BaseTransport):
    """Answers reads of contacts, memberships and lists from what was recorded."""

    def __init__(self, account: Account, directory: Path) -> None:
        self._lists = _envelope(
            {"ID": each.id, "Name": each.name, "IsDeleted": False, "SubscriberCount": each.members}
            for each in account.lists
        )
        everybody = range(account.contacts)
        self._contacts = Recording(directory / "contacts", map(_contact, everybody))
        self._members = {
            each.id: Recording(directory / f"{each.id}", _rows(each, _member)) for each in account.lists
        }
        self._orders = {each.id: each for each in account.lists}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One answer, at once."""
        resource = request.url.path.rpartition("/")[2]
        params = {name: values[0] for name, values in parse_qs(request.url.query.decode()).items()}
        if resource == "contactslist":
            return httpx.Response(200, content=self._lists)
        offset, limit = int(params["Offset"]), int(params["Limit"])
        counted = params.get("countRecords") == "1"
        recording, of = self._recorded(resource, int(params.get("ContactsList", 0)))
        return httpx.Response(200, content=recording.page(offset, limit, counted=counted, of=of))

    def _recorded(self, resource: str, list_id: int) -> tuple[Recording, range]:
        if resource == "listrecipient":
            return self._members[list_id], range(len(self._members[list_id]))
        if resource == "contact":
            order = self._orders.get(list_id)
            everybody = range(len(self._contacts))
            return self._contacts, everybody[order.first :][: order.members] if order else everybody
        raise AssertionError(f"nothing was recorded of {resource}")

    def close(self) -> None:
        """Give the files back."""
        for recording in (self._contacts, *self._members.values()):
            recording.close()


def _rows(order: ListOrder, row: Callable[[int, ListOrder], bytes]) -> Iterator[bytes]:
    return (row(n, order) for n in range(order.first, order.first + order.members))


def _envelope(rows: Iterable[dict[str, object]]) -> bytes:
    data = list(rows)
    return json.dumps({"Count": len(data), "Data": data, "Total": len(data)}).encode()
