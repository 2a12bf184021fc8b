"""A typed client for the stand-ins' control requests, for tests, the seed and the demo."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from integrations import tls

TIMEOUT_SECONDS = 60.0


class ControlRefused(Exception):
    """The stand-ins would not do it; the message is their explanation."""


class Control:
    """Sets up, disturbs and reads the stand-ins at a base URL. Not one of its calls counts as traffic.

    Raises ControlRefused where a request makes no sense, httpx.TransportError where nothing listens.
    """

    def __init__(self, base_url: str) -> None:
        # trust_env: a proxy of the environment is never meant for a server on this machine
        self._http = httpx.Client(
            base_url=f"{base_url.rstrip('/')}/_sandbox",
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
            verify=tls.trusted(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def load(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Replace the whole world (form: docstring of :mod:`integrations.sandbox`); returns the new state."""
        return dict(self._ask("PUT", "state", json=document))

    def state(self) -> dict[str, Any]:
        """Rows per table, jobs under way, settings, clock."""
        return dict(self._ask("GET", "state"))

    def dump(self) -> dict[str, Any]:
        """The whole world as a document that :meth:`load` takes."""
        return dict(self._ask("GET", "world"))

    def populate(self, *, contacts: int, lists: Sequence[Mapping[str, Any]], **more: int) -> dict[str, Any]:
        """Replace the whole world by a generated one (:mod:`integrations.sandbox.population`)."""
        body = {"contacts": contacts, "lists": list(lists), **more}
        return dict(self._ask("POST", "population", json=body))

    def save(self, name: str) -> None:
        """Keep everything, clock, settings and what is yet to happen included, under a name."""
        self._ask("POST", "snapshots", json={"name": name})

    def restore(self, name: str) -> None:
        """Bring back everything that was kept under a name."""
        self._ask("PUT", "snapshots", json={"name": name})

    def set_mailbox(self, contact_id: int, mailbox: str) -> None:
        """From the next send on, a contact's mailbox is like that (:class:`outcomes.Mailbox`)."""
        self._ask("POST", "mailboxes", json={"contact_id": contact_id, "mailbox": mailbox})

    def happen(self, message_id: int, mailbox: str) -> None:
        """Let a message that was sent fare now as it would at such a mailbox: a late complaint, say."""
        self._ask("POST", "mail", json={"message_id": message_id, "mailbox": mailbox})

    def blocks(self) -> dict[int, int]:
        """Whose address Mailjet refuses, by contact id, and the StateID it gives."""
        return {row["contact_id"]: row["state_id"] for row in self._ask("GET", "blocks")}

    def block(self, contact_id: int, *, state_id: int = 14, seconds: float | None = None) -> None:
        """Let Mailjet refuse an address as other customers' bounces make it do; None is for ever."""
        body = {"contact_id": contact_id, "state_id": state_id, "seconds": seconds}
        self._ask("POST", "blocks", json=body)

    def lift(self, contact_id: int) -> bool:
        """Let Mailjet's support take an address off its blocks; whether it was on them."""
        return bool(self._ask("DELETE", "blocks", json={"contact_id": contact_id})["lifted"])

    def deliver(self) -> dict[str, int]:
        """Tell webhooks what is due, now; how many events were told, failed and lost."""
        return dict(self._ask("POST", "deliveries"))

    def deliveries(self) -> list[dict[str, Any]]:
        """What is or was to be told: id, kind, at, due_at, tries, state (waiting, told, lost)."""
        return list(self._ask("GET", "deliveries"))

    def test_event(self, event: str) -> None:
        """Let Mailjet's console try a webhook with an empty event of a kind."""
        self._ask("POST", "test-events", json={"event": event})

    def replay(self) -> int:
        """Have everything that was told be told once more; how many events that is."""
        return int(self._ask("POST", "replays")["again"])

    def members(self, list_id: int) -> dict[int, bool]:
        """Who is on a list, by contact id, and whether unsubscribed there."""
        rows = self._ask("GET", "members", params={"list": list_id})
        return {row["contact_id"]: row["unsubscribed"] for row in rows}

    def changes(self, since: int = 0) -> list[dict[str, Any]]:
        """Membership changes with an id above ``since``, oldest first.

        Each: id, contact_id, list_id, action, before, after, job_id (None: not by a job), at.
        """
        return list(self._ask("GET", "changes", params={"since": since}))

    def requests(self) -> dict[str, Any]:
        """What came in so far: by_service, by_status, actions by their word, last, under_way (unanswered)."""
        return dict(self._ask("GET", "requests"))

    def settings(self, **values: Any) -> dict[str, Any]:
        """Change settings (:class:`integrations.sandbox.world.Settings`); returns all of them."""
        return dict(self._ask("POST", "settings", json=values))

    def advance(self, seconds: float) -> float:
        """Move the clock forward; returns the new now in unix seconds."""
        return float(self._ask("POST", "clock", json={"seconds": seconds})["now"])

    def fault(self, **values: Any) -> None:
        """Plant a fault (:class:`integrations.sandbox.faults.Fault`)."""
        self._ask("POST", "faults", json=values)

    def clear_faults(self) -> None:
        """Take all faults away."""
        self._ask("DELETE", "faults")

    def act(self, *, contact_id: int, list_id: int, action: str) -> str:
        """Change a membership as a person on Mailjet's pages does; returns the standing after it."""
        body = {"contact_id": contact_id, "list_id": list_id, "action": action}
        return str(self._ask("POST", "people", json=body)["after"])

    def slack_messages(self) -> list[dict[str, Any]]:
        """Messages as they stand: ts, via, channel, thread_ts, text, blocks, metadata, posted_at, edits."""
        return list(self._ask("GET", "slack"))

    def gemini_says(self, *answers: Any) -> None:
        """The model's next answers, in turn: JSON values, or strings for text as it stands."""
        self._ask("POST", "gemini", json={"answers": list(answers)})

    def gemini_asked(self) -> list[dict[str, Any]]:
        """What the model was asked (:class:`integrations.sandbox.gemini.Asked`), oldest first."""
        return list(self._ask("GET", "gemini"))

    def gemini_forgets(self) -> None:
        """Drop what was scripted and what was asked."""
        self._ask("DELETE", "gemini")

    def dns_says(self, domain: str, says: str, *hosts: tuple[int, str]) -> None:
        """What a name ("*": any other) says of its mail (:class:`integrations.sandbox.dns.Says`)."""
        self._ask("POST", "dns", json={"domain": domain, "says": says, "hosts": hosts})

    def dns_asked(self) -> list[tuple[str, str]]:
        """Which names were asked about, and for which kind of record, oldest first."""
        return [(name, kind) for name, kind in self._ask("GET", "dns")]

    def dns_forgets(self) -> None:
        """Let every name say again where it takes its mail, and drop what was asked."""
        self._ask("DELETE", "dns")

    def _ask(self, method: str, path: str, **kwargs: Any) -> Any:
        response = self._http.request(method, path, **kwargs)
        if response.is_error:
            raise ControlRefused(f"{method} {path}: {response.status_code} {response.text}")
        return response.json()
