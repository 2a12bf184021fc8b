"""One request to Mailjet: its parts, what its answer means, how it is logged, when it is tried again."""

import json
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from integrations.mailjet.errors import (
    MailjetError,
    MailjetRejected,
    MailjetUnauthorized,
    MailjetUnavailable,
    MailjetUncertain,
)
from integrations.privacy import without_addresses
from integrations.retry_after import seconds_asked

log = logging.getLogger("evenkeel.mailjet")

TRIES = 3
"""How often a read is tried in all. A plain 500 may be our own fault and is tried twice."""

LONGEST_PAUSE = 60.0
"""Seconds. No pause between two tries is longer, whatever Mailjet asks for."""

_dice = random.SystemRandom()

# Nothing of the request has reached Mailjet when these are raised.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of Mailjet."""

    method: str
    path: str
    resource: str
    """Stands for the path in logs and errors: it holds ids, never an address."""
    params: dict[str, Any] | None = None
    body: dict[str, Any] | None = None
    carries: Sequence[str] = ()
    """The addresses and secrets it carries, which Mailjet may quote in a refusal."""
    find_out: str = "look the job up"
    """How to learn what became of it when its answer is lost; of a write."""
    before_send: Callable[[], None] | None = None
    """Called when the budget has let it through, which may take a minute. What it raises keeps it unsent."""

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing, and so may be repeated."""
        return self.method == "GET"

    def __str__(self) -> str:
        return f"{self.method} {self.resource}"


def read(
    resource: str,
    *,
    path: str | None = None,
    params: dict[str, Any] | None = None,
    carries: Sequence[str] = (),
) -> Request:
    """A request that reads. `resource` is its path unless that holds an address: then `path` is given too."""
    path = f"REST/{resource}" if path is None else path
    return Request(method="GET", path=path, resource=resource, params=params, carries=carries)


def _words(response: httpx.Response, *, request: Request) -> str:
    """Mailjet's own explanation, without addresses and not longer than a log line should be."""
    try:
        body = json.loads(response.content)
    except ValueError:
        return "no explanation"
    if not isinstance(body, dict):
        return "no explanation"
    said = [body.get(key) for key in ("ErrorMessage", "ErrorInfo", "ErrorIdentifier")]
    texts = [text if isinstance(text, str) else json.dumps(text, ensure_ascii=False) for text in said if text]
    return without_addresses("; ".join(texts), known=request.carries)[:500] or "no explanation"


def retry_after(response: httpx.Response) -> float | None:
    """The seconds Mailjet asks us to wait, None where it does not."""
    return seconds_asked(response.headers.get("Retry-After", ""))


def refusal(request: Request, response: httpx.Response) -> MailjetError | None:
    """The error this answer means, or None when it is a success."""
    status = response.status_code
    if response.is_success or status == httpx.codes.NOT_MODIFIED:
        return None
    if status == httpx.codes.UNAUTHORIZED and not response.content.strip():
        return MailjetUnauthorized(f"{request}: Mailjet does not know the API key and secret; check both")
    words = f"{request}: {status}, {_words(response, request=request)}"
    if response.is_server_error and not request.is_read:
        return uncertain(request, words)
    if response.is_server_error or status == httpx.codes.TOO_MANY_REQUESTS:
        return MailjetUnavailable(words, status=status, retry_after=retry_after(response))
    return MailjetRejected(words, status=status)


def failure(request: Request, error: httpx.RequestError) -> MailjetError:
    """The error that no answer at all means."""
    words = f"{request}: {type(error).__name__}"
    if request.is_read or isinstance(error, _NOT_SENT):
        return MailjetUnavailable(words)
    return uncertain(request, f"{words} after it was sent")


def uncertain(request: Request, words: str) -> MailjetUncertain:
    """The error of a write that may or may not have been accepted."""
    return MailjetUncertain(f"{words}; {request.find_out} before sending again")


def note(request: Request, *, outcome: int | str, began: float, guid: str | None = None) -> None:
    """A log line of ids and numbers: what was asked, how it ended, how long it took."""
    params = request.params or {}
    fields = {
        "method": request.method,
        "resource": request.resource,
        "status": outcome,
        "ms": round((time.monotonic() - began) * 1000),
        "list_id": params.get("ContactsList"),
        "campaign_id": params.get("Campaign"),
        "contact_id": params.get("Contact"),
        "offset": params.get("Offset"),
        "request_guid": guid,
    }
    told = {name: value for name, value in fields.items() if value is not None}
    log.info(" ".join(f"{name}=%({name})s" for name in told), told, extra=told)


def pause(attempt: int, *, asked: float | None) -> float:
    """Seconds to wait after this failed attempt (1, 2, …): 1-2 s, doubling, with jitter, at most 60."""
    jittered: float = _dice.uniform(1, 2) * 2 ** (attempt - 1)
    return min(max(jittered, asked or 0.0), LONGEST_PAUSE)


def tries(error: MailjetUnavailable) -> int:
    """How often a read that failed like this is tried in all."""
    return 2 if error.status == httpx.codes.INTERNAL_SERVER_ERROR else TRIES
