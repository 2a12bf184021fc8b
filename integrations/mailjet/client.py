"""The client of one Mailjet account."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import count
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from integrations.mailjet import answers, wire
from integrations.mailjet.answers import (
    Action,
    Job,
    JobError,
    JobId,
    JobSummary,
    ListChange,
    MailjetCampaign,
    MailjetContact,
    MailjetList,
    Member,
    Message,
    MessageEvent,
)
from integrations.mailjet.errors import (
    MailjetAnswerInvalid,
    MailjetRejected,
    MailjetUnavailable,
    MailjetUncertain,
    MasterListProtected,
)

PAGE = 1000
"""Rows a page: the most Mailjet gives."""

BATCH = 1000
"""Addresses a bulk call should carry. Mailjet documents no maximum; 10,000 worked, 50,000 were cut off."""

MOST_ADDRESSES = 5000
"""Addresses a bulk call may carry. More is refused here rather than cut off half sent."""


class Budget(Protocol):
    """How many requests may still be made, counted for all processes together."""

    def acquire(self, *, background: bool) -> None:
        """Wait until one more request is allowed. Background work may be given a smaller share."""


def _contacts(emails: Sequence[str]) -> list[dict[str, str]]:
    """The addresses as a bulk call takes them. Any field but Email would overwrite Mailjet's."""
    if not 0 < len(emails) <= MOST_ADDRESSES:
        raise ValueError(f"A bulk call takes 1 to {MOST_ADDRESSES} addresses, not {len(emails)}.")
    return [{"Email": email} for email in emails]


class Mailjet:
    """One Mailjet account. Threads may share a client; close it, or use it in a `with`.

    `base_url` is the host alone, such as https://api.mailjet.com; `timeout` is in seconds, for connecting and
    for every wait on the wire; `sleep` is called between the tries of a read.
    """

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        api_secret: str,
        budget: Budget,
        master_list_id: int,
        timeout: float = 30.0,
        background: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = httpx.Client(
            base_url=f"{base_url.rstrip('/')}/v3/",
            auth=httpx.BasicAuth(api_key, api_secret),
            timeout=timeout,
            headers={"User-Agent": "evenkeel"},
        )
        self._budget = budget
        self._master_list_id = master_list_id
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

    # Lists and their members

    def lists(self) -> list[MailjetList]:
        """All lists of the account, deleted ones included."""
        return [row for page in self._pages("contactslist", MailjetList) for row in page]

    def find_list(self, list_id: int) -> MailjetList | None:
        """This list, or None when Mailjet does not know it. A deleted one is found, and says so."""
        return self._find(wire.read(f"contactslist/{list_id}"), MailjetList)

    def members(self, list_id: int) -> Iterator[list[Member]]:
        """The list's memberships, in pages, by ascending id; unsubscribed ones included."""
        params = {"ContactsList": list_id}
        return self._pages("listrecipient", Member, params=params, belongs=("ListID", list_id))

    def contacts(self, list_id: int) -> Iterator[list[MailjetContact]]:
        """The list's contacts with addresses, in pages, by ascending id. Erased contacts are left out."""
        return self._pages("contact", MailjetContact, params={"ContactsList": list_id})

    def contact(self, key: int | str) -> MailjetContact | None:
        """The contact with this id or address, or None when Mailjet does not know it or has erased it.

        Raises ValueError for a text that is no address, MailjetRejected for one that Mailjet finds malformed.
        """
        if isinstance(key, int):
            return self._find(wire.read(f"contact/{key}"), MailjetContact)
        if "@" not in key:
            raise ValueError("A contact is looked up by id (a number) or by address (with an @).")
        path = f"REST/contact/{quote(key, safe='@')}"
        return self._find(wire.read("contact/{address}", path=path, carries=[key]), MailjetContact)

    # Campaigns and messages

    def campaign(self, campaign_id: int) -> MailjetCampaign | None:
        """This campaign, or None when Mailjet does not know it."""
        return self._find(wire.read(f"campaign/{campaign_id}"), MailjetCampaign)

    def messages(self, campaign_id: int, *, since: datetime) -> Iterator[list[Message]]:
        """The campaign's messages from `since` on, in pages, by ascending id. Choose a time before its send.

        Mailjet keeps messages for some weeks only.
        """
        after = int(since.timestamp()) - 1  # Mailjet's bound is exclusive
        params = {"Campaign": campaign_id, "FromTS": after, "ShowContactAlt": "true"}
        return self._pages("message", Message, params=params, belongs=("CampaignID", campaign_id))

    def history(self, message_id: int) -> list[MessageEvent]:
        """What happened to one message. Empty when Mailjet does not, or no longer, know it."""
        request = wire.read(f"messagehistory/{message_id}")
        return answers.parse(MessageEvent, self._rows(request), resource=request.resource)

    # Bulk writes and their jobs

    def submit(self, *, list_id: int, action: Action, emails: Sequence[str]) -> JobId:
        """Queue one action for these addresses on one list. Queued is not done: follow the job, read back.

        Raises MasterListProtected, before anything is sent, and MailjetUncertain when the answer was lost.
        """
        self._check_writable([list_id])
        body = {"Action": action.value, "Contacts": _contacts(emails)}
        return self._queue(f"contactslist/{list_id}/managemanycontacts", body=body, emails=emails)

    def submit_changes(self, *, changes: Sequence[ListChange], emails: Sequence[str]) -> JobId:
        """Queue an action per list for the same addresses. In which order Mailjet takes the lists is unknown.

        Raises as `submit` does.
        """
        lists = [change.list_id for change in changes]
        if not lists or len(lists) != len(set(lists)):
            raise ValueError(f"Each list must be named once, and at least one; named were {lists}.")
        self._check_writable(lists)
        actions = [{"ListID": change.list_id, "Action": change.action.value} for change in changes]
        body = {"Contacts": _contacts(emails), "ContactsLists": actions}
        return self._queue("contact/managemanycontacts", body=body, emails=emails)

    def job(self, job_id: JobId, *, list_id: int | None) -> Job:
        """How a job stands: of `submit` with its list, of `submit_changes` with `list_id=None`."""
        owner = "contact" if list_id is None else f"contactslist/{list_id}"
        request = wire.read(f"{owner}/managemanycontacts/{job_id}")
        rows = [{**row, "JobID": job_id} for row in self._rows(request)]
        return answers.one(Job, rows, resource=request.resource)

    def job_errors(self, job_id: JobId) -> list[JobError]:
        """The addresses the job could not do, with Mailjet's reasons; empty when there are none."""
        resource = f"batchjob/{job_id}/JSONError"
        response = self._get_known(wire.read(resource, path=f"DATA/{resource}/application:json/LAST"))
        if response is None:
            return []
        try:
            return answers.rows_of(JobError).validate_json(response.content, by_alias=True, by_name=False)
        except ValidationError as error:
            raise MailjetAnswerInvalid(f"{resource}: {answers.named(error)}") from None

    def recent_jobs(self, *, since: datetime) -> list[JobSummary]:
        """All jobs of the account requested at or after `since`, newest first. Here a lost job id is found.

        Mailjet tells whole seconds, so a job of the same second as `since` is included.
        """
        found: dict[int, JobSummary] = {}
        earliest, lowest = since.replace(microsecond=0), math.inf
        for offset in count(0, PAGE):
            window = {"Sort": "ID DESC", "Limit": PAGE, "Offset": offset}
            jobs = answers.parse(
                JobSummary, self._rows(wire.read("batchjob", params=window)), resource="batchjob"
            )
            found.update((job.id, job) for job in jobs if job.requested_at >= earliest)
            if len(jobs) < PAGE or jobs[-1].requested_at < earliest:
                break
            if jobs[-1].id >= lowest:
                raise answers.repeated("batchjob")
            lowest = jobs[-1].id
        return sorted(found.values(), key=lambda job: job.id, reverse=True)

    # Below: one request, or one read with its tries

    def _check_writable(self, list_ids: Sequence[int]) -> None:
        if self._master_list_id in list_ids:
            raise MasterListProtected(
                f"List {self._master_list_id} is the master list, which is never written to."
            )

    def _queue(self, resource: str, *, body: dict[str, Any], emails: Sequence[str]) -> JobId:
        request = wire.Request(
            method="POST", path=f"REST/{resource}", resource=resource, body=body, carries=emails
        )
        response = self._send(request)
        try:
            accepted = answers.one(
                answers.Accepted, answers.data(response, resource=resource), resource=resource
            )
        except MailjetAnswerInvalid as unreadable:
            raise MailjetUncertain(f"POST {unreadable}; look the job up before sending again") from None
        return JobId(accepted.job_id)

    def _pages(
        self,
        resource: str,
        model: type[answers.Model],
        *,
        params: dict[str, Any] | None = None,
        belongs: tuple[str, int] | None = None,
    ) -> Iterator[list[answers.Model]]:
        """Pages without the rows that a shift between two requests repeats, or that Mailjet has erased."""
        highest = 0
        for offset in count(0, PAGE):
            window = {"Sort": "ID", "Limit": PAGE, "Offset": offset}
            rows = self._rows(wire.read(resource, params={**(params or {}), **window}))
            if belongs:
                answers.check_belongs(rows, field=belongs[0], value=belongs[1], resource=resource)
            ids = answers.ascending_ids(rows, resource=resource)
            fresh = [
                row for id, row in zip(ids, rows, strict=True) if id > highest and not answers.is_erased(row)
            ]
            if fresh:
                yield answers.parse(model, fresh, resource=resource)
            if len(rows) < PAGE:
                return
            if ids[-1] <= highest:
                raise answers.repeated(resource)
            highest = ids[-1]

    def _find(self, request: wire.Request, model: type[answers.Model]) -> answers.Model | None:
        response = self._get_known(request)
        if response is None:
            return None
        rows = answers.data(response, resource=request.resource)
        known = [row for row in rows if not answers.is_erased(row)]
        return None if rows and not known else answers.one(model, known, resource=request.resource)

    def _rows(self, request: wire.Request) -> list[dict[str, Any]]:
        return answers.data(self._get(request), resource=request.resource)

    def _get_known(self, request: wire.Request) -> httpx.Response | None:
        """The answer, or None when Mailjet does not know what was asked for."""
        try:
            return self._get(request)
        except MailjetRejected as refusal:
            if refusal.status == httpx.codes.NOT_FOUND:
                return None
            raise

    def _get(self, request: wire.Request) -> httpx.Response:
        attempt = 1
        while True:
            try:
                return self._send(request)
            except MailjetUnavailable as error:
                if attempt >= wire.tries(error):
                    raise
                self._sleep(wire.pause(attempt, asked=error.retry_after))
            attempt += 1

    def _send(self, request: wire.Request) -> httpx.Response:
        """One try. It passes the budget, is counted and logged, and raises what its answer means."""
        self._budget.acquire(background=self._background)
        self.requests += 1
        began = time.monotonic()
        try:
            response = self._http.request(
                request.method, request.path, params=request.params, json=request.body
            )
        except (httpx.TransportError, httpx.DecodingError) as error:
            wire.note(request, outcome=type(error).__name__, began=began)
            raise wire.failure(request, error) from None  # the original holds the URL, and the URL an address
        guid = response.headers.get("X-Mj-Request-Guid")
        wire.note(request, outcome=response.status_code, began=began, guid=guid)
        refusal = wire.refusal(request, response)
        if refusal is not None:
            raise refusal
        return response
