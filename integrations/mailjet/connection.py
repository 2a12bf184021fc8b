"""The connection to one Mailjet account: the gate before each request, tries, pages."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

import httpx

from integrations import tls
from integrations.mailjet import answers, wire
from integrations.mailjet.answers import Model
from integrations.mailjet.errors import (
    MailjetAnswerInvalid,
    MailjetPaused,
    MailjetRejected,
    MailjetUnavailable,
)
from integrations.mailjet.paging import START, Place, step

PAGE = 1000
"""Rows a page: the most Mailjet gives."""

TOO_OFTEN = 2
"""So many windows in a row that show what the one before showed: Offset is ignored."""

MOST_RETURNS = 5
"""So often the same window is asked for without anything new since: rows before it are on no page."""

Columns = TypeVar("Columns")


class Budget(Protocol):
    """What every request passes: how many may be made, and whether Mailjet is well enough to be asked.

    Counted for all processes together. Who inherits without more makes nothing of how requests end.
    """

    per_minute: int = 300
    """How many requests it lets through in a minute; Mailjet's own limit where nothing else is said."""

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
class ScanPage(Generic[Columns]):
    """A page of a scan, with what Mailjet counted when it gave it."""

    columns: Columns
    """The rows that are new in this scan."""
    total: int
    """How many rows there were in all at that moment, erased contacts included."""
    next: Place | None
    """Where the scan goes on, now or later; None when it is over."""


@dataclass(frozen=True)
class _Page:
    rows: list[dict[str, Any]]
    total: int | None
    next: Place | None


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
        page_rows: int = PAGE,
    ) -> None:
        if page_rows < 2:
            raise ValueError("Pages overlap by a row: one must hold two.")
        self._page_rows = page_rows
        self._http = httpx.Client(
            base_url=f"{base_url.rstrip('/')}/v3/",
            auth=httpx.BasicAuth(api_key, api_secret),
            timeout=timeout,
            headers={"User-Agent": "evenkeel"},
            transport=transport,
            verify=tls.trusted(),
        )
        self._budget = budget
        self._background = background
        self._sleep = sleep
        self.requests = 0
        """Requests sent by this client so far, every try counted."""
        self.waited = 0.0
        """Seconds so far that the gate, or a pause between two tries, had this client wait; where several of
        its threads waited at once, each second counts once."""
        self._waiting_threads = 0
        self._waits_since = 0.0
        self._counting = threading.Lock()
        self._check: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back. The client cannot be used afterwards."""
        self._http.close()

    def time_for(self, requests: int) -> timedelta:
        """How long so many requests take at least, by what the budget lets through and nothing else."""
        return timedelta(minutes=requests / self._budget.per_minute)

    @contextmanager
    def in_background(self) -> Iterator[None]:
        """What is asked meanwhile can wait: it uses at most half of the budget."""
        before, self._background = self._background, True
        try:
            yield
        finally:
            self._background = before

    @contextmanager
    def interrupted_by(self, check: Callable[[], None]) -> Iterator[None]:
        """Call `check` before each read: what it raises ends the work. Nothing comes between a write and
        what is written down about it."""
        before, self._check = self._check, check
        try:
            yield
        finally:
            self._check = before

    # Reads of several rows

    def _pages(
        self,
        resource: str,
        model: type[Model],
        *,
        params: Mapping[str, Any] | None = None,
        belongs: Mapping[str, object] | None = None,
    ) -> Iterator[list[Model]]:
        """Every row that is there throughout, once, in pages; without those that Mailjet has erased."""
        for page in self._walk(resource, params=params or {}, belongs=belongs or {}, at=START):
            if known := [row for row in page.rows if not answers.is_erased(row)]:
                yield answers.parse(model, known, resource=resource)

    def _scan(
        self,
        resource: str,
        columns: Callable[..., Columns],
        *,
        params: Mapping[str, Any],
        belongs: Mapping[str, object],
        at: Place,
    ) -> Iterator[ScanPage[Columns]]:
        """The same in columns from a place on, with Mailjet's count; one page at least, be it empty."""
        counted = {**params, "countRecords": 1}
        for page in self._walk(resource, params=counted, belongs=belongs, at=at):
            assert page.total is not None
            yield ScanPage(columns=columns(page.rows, resource=resource), total=page.total, next=page.next)

    def _walk(
        self, resource: str, *, params: Mapping[str, Any], belongs: Mapping[str, object], at: Place
    ) -> Iterator[_Page]:
        place: Place | None = at
        before: tuple[Place, list[int]] | None = None
        again = 0
        fruitless: Counter[Place] = Counter()
        while place is not None:
            rows, total = self._window(resource, params=params, offset=place.offset)
            answers.check_belongs(rows, belongs=belongs, resource=resource)
            ids = answers.ascending_ids(rows, resource=resource)
            again = again + 1 if before is not None and _is_again(before, place, ids) else 0
            if again == TOO_OFTEN:
                raise answers.repeated(resource)
            before = place, ids
            taken = step(place, ids, limit=self._page_rows, total=total)
            if taken.fresh_from < len(rows):
                fruitless.clear()
            fruitless[place] += 1
            if fruitless[place] > MOST_RETURNS:
                raise answers.withheld(resource)
            if taken.next is None or taken.fresh_from < len(rows):
                yield _Page(rows[taken.fresh_from :], total=total, next=taken.next)
            place = taken.next

    def _window(
        self, resource: str, *, params: Mapping[str, Any], offset: int
    ) -> tuple[list[dict[str, Any]], int | None]:
        """The rows from `offset` on, and how many there are in all, where that was asked for."""
        window = {"Sort": "ID", "Limit": self._page_rows, "Offset": offset}
        response = self._get(wire.read(resource, params={**params, **window}))
        if "countRecords" in params:
            return answers.counted(response, offset=offset, resource=resource)
        return answers.data(response, resource=resource), None

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
        if self._check is not None:
            self._check()
        attempt = 1
        while True:
            try:
                return self._send(request)
            except MailjetPaused:
                raise
            except MailjetUnavailable as error:
                if attempt >= wire.tries(error):
                    raise
                with self._waiting():
                    self._sleep(wire.pause(attempt, asked=error.retry_after))
            attempt += 1

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        with self._counting:
            if self._waiting_threads == 0:
                self._waits_since = time.monotonic()
            self._waiting_threads += 1
        try:
            yield
        finally:
            with self._counting:
                self._waiting_threads -= 1
                if self._waiting_threads == 0:
                    self.waited += time.monotonic() - self._waits_since

    def _send(self, request: wire.Request) -> httpx.Response:
        """One try. It passes the budget, is counted and logged, and raises what its answer means."""
        with self._waiting():
            self._budget.acquire(background=self._background)
        if request.before_send is not None:
            request.before_send()
        with self._counting:
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
        response.stream = httpx.ByteStream(b"")  # it is read; else a cycle holds each page until Python looks
        guid = response.headers.get("X-Mj-Request-Guid")
        wire.note(request, outcome=response.status_code, began=began, guid=guid)
        return response


def _is_again(before: tuple[Place, list[int]], place: Place, ids: list[int]) -> bool:
    """Whether another window shows the same rows: by chance once, when as many were added in front."""
    asked, seen = before
    return bool(ids) and seen == ids and asked.offset != place.offset


def accepted(response: httpx.Response, *, request: wire.Request, model: type[Model]) -> Model:
    """What a write was answered with. An unreadable answer leaves open what became of it."""
    try:
        return answers.one(
            model, answers.data(response, resource=request.resource), resource=request.resource
        )
    except MailjetAnswerInvalid as unreadable:
        raise wire.uncertain(request, f"{request.method} {unreadable}") from None
