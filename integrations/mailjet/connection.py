"""The connection to one Mailjet account: the gate before each request, tries, pages."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Any, Generic, Protocol, Self

import httpx

from integrations.mailjet import answers, wire
from integrations.mailjet.answers import Model
from integrations.mailjet.errors import (
    MailjetAnswerInvalid,
    MailjetPaused,
    MailjetRejected,
    MailjetUnavailable,
)

PAGE = 1000
"""Rows a page: the most Mailjet gives."""


class Budget(Protocol):
    """What every request passes: how many may be made, and whether Mailjet is well enough to be asked.

    Counted for all processes together. Who inherits without more makes nothing of how requests end.
    """

    def acquire(self, *, background: bool) -> None:
        """Wait until one more request is allowed. Background work may be given a smaller share.

        Raises MailjetPaused, at once, while Mailjet is not asked at all.
        """

    def note_success(self) -> None:
        """Mailjet answered a request, if only to refuse it."""
        return

    def note_failure(self, why: str) -> None:
        """Mailjet did not answer, or said that it could not. `why` holds no addresses."""
        return

    def note_rate_limited(self, *, asked: float | None) -> None:
        """Mailjet answered: too many requests. `asked` are the seconds it named; it was never seen to."""
        return


@dataclass(frozen=True, kw_only=True)
class CountedPage(Generic[Model]):
    """A page with what Mailjet counted when it gave it, to tell whether a scan was whole."""

    rows: list[Model]
    """Without those an earlier page of the scan had, and without erased contacts."""
    ids: list[int]
    """The ids new in this scan, of erased contacts too."""
    erased: list[int]
    """Those of the ids whose contact Mailjet has erased."""
    total: int
    """How many rows there were in all at that moment, erased contacts included."""
    offset: int
    """Where the page began. A scan may be resumed there."""
    is_last: bool


class Connection:
    """Sends requests, each through the gate, and reads what comes back."""

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        api_secret: str,
        budget: Budget,
        timeout: float = 30.0,
        background: bool = False,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(
            base_url=f"{base_url.rstrip('/')}/v3/",
            auth=httpx.BasicAuth(api_key, api_secret),
            timeout=timeout,
            headers={"User-Agent": "evenkeel"},
            transport=transport,
        )
        self._budget = budget
        self._background = background
        self._sleep = sleep
        self.requests = 0
        """Requests sent by this client so far, every try counted."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back. The client cannot be used afterwards."""
        self._http.close()

    # Reads of several rows

    def _pages(
        self,
        resource: str,
        model: type[Model],
        *,
        params: Mapping[str, Any] | None = None,
        belongs: Mapping[str, object] | None = None,
    ) -> Iterator[list[Model]]:
        """Pages without the rows that a shift between two requests repeats, or that Mailjet has erased."""
        highest = 0
        for offset in count(0, PAGE):
            rows = self._rows(_window(resource, params=params, offset=offset))
            ids = _checked_ids(rows, belongs=belongs, resource=resource)
            if fresh := _fresh(rows, ids=ids, highest=highest):
                yield answers.parse(model, fresh, resource=resource)
            if len(rows) < PAGE:
                return
            if ids[-1] <= highest:
                raise answers.repeated(resource)
            highest = ids[-1]

    def _counted_pages(
        self,
        resource: str,
        model: type[Model],
        *,
        params: Mapping[str, Any],
        belongs: Mapping[str, object] | None = None,
        start: int = 0,
    ) -> Iterator[CountedPage[Model]]:
        """The same from row `start` on, each page with Mailjet's count; one page at least, be it empty."""
        highest = 0
        for offset in count(start, PAGE):
            request = _window(resource, params={**params, "countRecords": 1}, offset=offset)
            rows, total = answers.counted(self._get(request), offset=offset, resource=resource)
            ids = _checked_ids(rows, belongs=belongs, resource=resource)
            yield CountedPage(
                rows=answers.parse(model, _fresh(rows, ids=ids, highest=highest), resource=resource),
                ids=[id for id in ids if id > highest],
                erased=[
                    id for id, row in zip(ids, rows, strict=True) if id > highest and answers.is_erased(row)
                ],
                total=total,
                offset=offset,
                is_last=len(rows) < PAGE,
            )
            if len(rows) < PAGE:
                return
            if ids[-1] <= highest:
                raise answers.repeated(resource)
            highest = ids[-1]

    def _parsed(self, request: wire.Request, model: type[Model]) -> list[Model]:
        return answers.parse(model, self._rows(request), resource=request.resource)

    def _rows(self, request: wire.Request) -> list[dict[str, Any]]:
        return answers.data(self._get(request), resource=request.resource)

    # Reads of one row

    def _find(self, request: wire.Request, model: type[Model]) -> Model | None:
        response = self._get_known(request)
        if response is None:
            return None
        rows = answers.data(response, resource=request.resource)
        known = [row for row in rows if not answers.is_erased(row)]
        return None if rows and not known else answers.one(model, known, resource=request.resource)

    def _find_one_or_none(self, request: wire.Request, model: type[Model]) -> Model | None:
        """The only row, or None where there is none, be it by a 404 or by an empty answer."""
        response = self._get_known(request)
        rows = [] if response is None else answers.data(response, resource=request.resource)
        return answers.one(model, rows, resource=request.resource) if rows else None

    def _get_known(self, request: wire.Request) -> httpx.Response | None:
        """The answer, or None when Mailjet does not know what was asked for."""
        try:
            return self._get(request)
        except MailjetRejected as refusal:
            if refusal.status == httpx.codes.NOT_FOUND:
                return None
            raise

    # One request

    def _get(self, request: wire.Request) -> httpx.Response:
        """A read, with its tries. None while Mailjet is not asked at all: that is for longer."""
        attempt = 1
        while True:
            try:
                return self._send(request)
            except MailjetPaused:
                raise
            except MailjetUnavailable as error:
                if attempt >= wire.tries(error):
                    raise
                self._sleep(wire.pause(attempt, asked=error.retry_after))
            attempt += 1

    def _send(self, request: wire.Request) -> httpx.Response:
        """One try. It passes the budget, is counted and logged, and raises what its answer means."""
        self._budget.acquire(background=self._background)
        if request.before_send is not None:
            request.before_send()
        self.requests += 1
        response = self._ask(request)
        refusal = wire.refusal(request, response)
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            self._budget.note_rate_limited(asked=wire.retry_after(response))
        elif response.is_server_error:
            self._budget.note_failure(str(refusal))
        else:
            self._budget.note_success()
        if refusal is not None:
            raise refusal
        return response

    def _ask(self, request: wire.Request) -> httpx.Response:
        began = time.monotonic()
        try:
            response = self._http.request(
                request.method, request.path, params=request.params, json=request.body
            )
        except (httpx.TransportError, httpx.DecodingError) as error:
            wire.note(request, outcome=type(error).__name__, began=began)
            failed = wire.failure(request, error)
            self._budget.note_failure(str(failed))
            raise failed from None  # the original holds the URL, and the URL an address
        guid = response.headers.get("X-Mj-Request-Guid")
        wire.note(request, outcome=response.status_code, began=began, guid=guid)
        return response


def _window(resource: str, *, params: Mapping[str, Any] | None, offset: int) -> wire.Request:
    window = {"Sort": "ID", "Limit": PAGE, "Offset": offset}
    return wire.read(resource, params={**(params or {}), **window})


def _checked_ids(
    rows: list[dict[str, Any]], *, belongs: Mapping[str, object] | None, resource: str
) -> list[int]:
    answers.check_belongs(rows, belongs=belongs or {}, resource=resource)
    return answers.ascending_ids(rows, resource=resource)


def _fresh(rows: list[dict[str, Any]], *, ids: list[int], highest: int) -> list[dict[str, Any]]:
    new = [row for id, row in zip(ids, rows, strict=True) if id > highest]
    return [row for row in new if not answers.is_erased(row)]


def accepted(response: httpx.Response, *, request: wire.Request, model: type[Model]) -> Model:
    """What a write was answered with. An unreadable answer leaves open what became of it."""
    try:
        return answers.one(
            model, answers.data(response, resource=request.resource), resource=request.resource
        )
    except MailjetAnswerInvalid as unreadable:
        raise wire.uncertain(request, f"{request.method} {unreadable}") from None
