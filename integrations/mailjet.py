"""Mailjet's REST API v3, as far as Evenkeel needs it: reads, and two bulk writes.

What a caller has to know:

* Reads are repeated a few times by the client. Writes never are: whether a write whose answer was lost
  took effect is found out by looking it up (`recent_jobs`), not by sending it again.
* Every try passes the budget first. The budget is the caller's, so that all processes share one.
* Bulk writes are queued by Mailjet. A job that completed may still have done nothing: read back.
* Pages are streamed. A row that is missing from one scan may have been shifted out of it by a change
  made meanwhile: it is not gone.
* Addresses leave this module as values only, never in an error's words or a log line.
"""

import json
import logging
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from itertools import count, pairwise
from types import TracebackType
from typing import Annotated, Any, NewType, Protocol, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import (
    AliasChoices,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from integrations.privacy import without_addresses

log = logging.getLogger("evenkeel.mailjet")

PAGE = 1000
"""Rows a page: the most Mailjet gives."""

BATCH = 1000
"""Addresses a bulk call should carry. Mailjet documents no maximum; 10,000 worked, 50,000 were cut off."""

MOST_ADDRESSES = 5000
"""Addresses a bulk call may carry. More is refused here rather than cut off half sent."""

TRIES = 3
"""How often a read is tried in all. A plain 500 may be our own fault and is tried twice."""

LONGEST_PAUSE = 60.0
"""Seconds. No pause between two tries is longer, whatever Mailjet asks for."""

JobId = NewType("JobId", int)
"""Mailjet's number of a bulk job."""

_dice = random.SystemRandom()

# Nothing of the request has reached Mailjet when these are raised.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


# --- What can go wrong


class MailjetError(Exception):
    """A request to Mailjet did not end as hoped. Its words carry ids, never addresses."""

    retryable = False
    """Whether the same call may be made again, later, without looking anything up first."""


class MailjetUnavailable(MailjetError):
    """Mailjet could not be reached or had no time. Nothing was changed: trying again can help."""

    retryable = True

    def __init__(self, words: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(words)
        self.status = status
        """The HTTP status, or None when there was no answer."""
        self.retry_after = retry_after
        """Seconds Mailjet asked us to wait. It has not been seen to ask."""


class MailjetUncertain(MailjetError):
    """A write was sent and its answer lost: it may or may not take effect.

    Never send it again at once. Look for its job (`recent_jobs`), else read the lists and send
    what is missing.
    """


class MailjetRejected(MailjetError):
    """Mailjet understood the request and refused it. The same request will be refused again."""

    def __init__(self, words: str, *, status: int) -> None:
        super().__init__(words)
        self.status = status
        """The HTTP status."""


class MailjetUnauthorized(MailjetError):
    """Mailjet does not know the API key and secret. Stop all work until they are put right."""


class MailjetAnswerInvalid(MailjetError):
    """An answer is not what Mailjet documents. Refused whole: the words name the resource and the field."""


class MasterListProtected(MailjetError):
    """A write named the master list. It is read only; nothing was sent."""


# --- What comes back


def _whole(value: object) -> object:
    # Message ids are beyond 2^53, so a float has already lost digits; True is not one.
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("not a whole number")


def _unset(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("neither a number nor a time")
    return None if value in ("", 0, "0") else value


def _job_status(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("not a word")
    return _JOB_STATES.get(value.strip().lower(), JobStatus.RUNNING)


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _scrubbed(value: object) -> object:
    return without_addresses(value) if isinstance(value, str) else value


_Number = Annotated[int, BeforeValidator(_whole)]
_Id = Annotated[_Number, Field(gt=0)]
_Reference = Annotated[_Id | None, BeforeValidator(_unset)]
_Time = Annotated[AwareDatetime | None, BeforeValidator(_unset)]
_Address = Annotated[str, Field(min_length=1, repr=False)]


class Action(StrEnum):
    """What a bulk write does with its addresses on one list.

    Mailjet's `addforce`, which re-subscribes who opted out, is left out on purpose.
    """

    ADD = "addnoforce"
    """Add; who unsubscribed from this list stays unsubscribed."""
    REMOVE = "remove"
    """Delete the membership, and with it the memory of an unsubscription."""
    UNSUBSCRIBE = "unsub"
    """Keep the membership, marked unsubscribed."""


class JobStatus(StrEnum):
    """Where a job stands at Mailjet. A word we do not know counts as running."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


_JOB_STATES = {
    "completed": JobStatus.COMPLETED,
    "error": JobStatus.FAILED,
    "abort": JobStatus.FAILED,
}


class MessageStatus(StrEnum):
    """Mailjet's word for how a message stands."""

    UNKNOWN = "unknown"
    QUEUED = "queued"
    SENT = "sent"
    OPENED = "opened"
    CLICKED = "clicked"
    BOUNCE = "bounce"
    SPAM = "spam"
    UNSUB = "unsub"
    BLOCKED = "blocked"
    HARD_BOUNCED = "hardbounced"
    SOFT_BOUNCED = "softbounced"
    DEFERRED = "deferred"


class _Answer(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


class MailjetList(_Answer):
    """A contact list."""

    id: _Id = Field(validation_alias="ID")
    name: str = Field(validation_alias="Name")
    is_deleted: bool = Field(validation_alias="IsDeleted")
    """A deleted list is still found by its id. Check this before trusting one."""
    subscriber_count: _Number = Field(validation_alias="SubscriberCount")
    """Mailjet's count: it includes unsubscribed and excluded members, and lags."""


class Member(_Answer):
    """A contact's membership of one list. Mailjet does not say the address here."""

    membership_id: _Id = Field(validation_alias="ID")
    contact_id: _Id = Field(validation_alias="ContactID")
    unsubscribed: bool = Field(validation_alias="IsUnsubscribed")
    active: bool = Field(validation_alias="IsActive")
    subscribed_at: _Time = Field(validation_alias="SubscribedAt")
    """Restarts at each add."""


class MailjetContact(_Answer):
    """A person's address. Names are not kept."""

    id: _Id = Field(validation_alias="ID")
    email: _Address = Field(validation_alias="Email")
    """As Mailjet spells it; compare on lower case."""
    created_at: _Time = Field(validation_alias="CreatedAt")
    excluded: bool = Field(validation_alias="IsExcludedFromCampaigns")
    """Excluded from all marketing campaigns of the account."""
    complained: bool = Field(validation_alias="IsSpamComplaining")


class MailjetCampaign(_Answer):
    """A campaign that was sent. Its id is not its draft's."""

    id: _Id = Field(validation_alias="ID")
    draft_id: _Reference = Field(default=None, validation_alias="NewsLetterID")
    """None for a campaign that has no draft. Mailjet leaves an unset reference out."""
    list_id: _Reference = Field(default=None, validation_alias="ListID")
    subject: str = Field(validation_alias="Subject")
    send_start_at: _Time = Field(validation_alias="SendStartAt")
    send_end_at: _Time = Field(validation_alias="SendEndAt")
    """None while it is being sent."""
    status: int = Field(validation_alias="Status")
    """Mailjet's number; 2 is sent."""


class Message(_Answer):
    """One message of a campaign to one contact, with how it stands."""

    id: _Id = Field(validation_alias="ID")
    """Beyond 2^53."""
    contact_id: _Id = Field(validation_alias="ContactID")
    email: str = Field(validation_alias="ContactAlt", repr=False)
    """The address it went to; empty when Mailjet no longer knows it."""
    status: Annotated[MessageStatus, BeforeValidator(_lower)] = Field(validation_alias="Status")
    state_id: _Reference = Field(default=None, validation_alias="StateID")
    """Mailjet's reason (its table `messagestate`). None when there is none."""
    permanent: bool = Field(validation_alias="StatePermanent")
    arrived_at: _Time = Field(validation_alias="ArrivedAt")
    """When Mailjet took it over for sending."""


class MessageEvent(_Answer):
    """One event in a message's life."""

    event_type: str = Field(validation_alias="EventType")
    at: AwareDatetime = Field(validation_alias="EventAt")
    state: str = Field(validation_alias="State")
    comment: str = Field(validation_alias="Comment", repr=False)
    """The other server's own words. They can hold addresses."""


class ListChange(_Answer):
    """What one bulk write does on one of its lists."""

    list_id: int
    action: Action


class Job(_Answer):
    """A bulk job we started."""

    id: _Id = Field(validation_alias="JobID")
    status: Annotated[JobStatus, BeforeValidator(_job_status)] = Field(validation_alias="Status")
    processed: _Number = Field(validation_alias="Count")
    """Addresses done so far, as Mailjet counts. A completed job may still have missed some."""
    error: Annotated[str, BeforeValidator(_scrubbed)] = Field(validation_alias="Error")
    """Mailjet's words without addresses; empty when there are none."""
    error_file: str = Field(validation_alias="ErrorFile")
    """Where the errors are, empty when there are none. `job_errors` reads them."""


class JobError(_Answer):
    """What Mailjet did not do for one address of a job."""

    email: str = Field(validation_alias="Email", repr=False)
    message: str = Field(validation_alias="Error")
    """Mailjet's words, without addresses."""

    @field_validator("message")
    @classmethod
    def _scrub(cls, message: str, info: ValidationInfo) -> str:
        return without_addresses(message, known=[email for email in [info.data.get("email")] if email])


class JobSummary(_Answer):
    """A job in Mailjet's list of all jobs, ours and others'."""

    id: _Id = Field(validation_alias="ID")
    method: str = Field(validation_alias="Method")
    status: Annotated[JobStatus, BeforeValidator(_job_status)] = Field(validation_alias="Status")
    ref_id: _Reference = Field(default=None, validation_alias=AliasChoices("RefId", "RefID"))
    """The list of a job on one list, None for one on several."""
    count: _Number = Field(validation_alias="Count")
    requested_at: AwareDatetime = Field(validation_alias="RequestAt")
    """In whole seconds."""


class _Envelope(_Answer):
    Count: _Number
    Data: list[dict[str, Any]]


class _Row(_Answer):
    id: _Id = Field(validation_alias="ID")


class _Accepted(_Answer):
    job_id: _Id = Field(validation_alias="JobID")


_Model = TypeVar("_Model", bound=_Answer)


@cache
def _rows_of(model: type[_Model]) -> TypeAdapter[list[_Model]]:
    return TypeAdapter(list[model])  # type: ignore[valid-type]  # a type made at run time


def _named(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = [f"row {part}" if isinstance(part, int) else f"field {part}" for part in first["loc"]]
    return ", ".join([*place, first["msg"]])


def _parse(model: type[_Model], rows: Sequence[dict[str, Any]], *, resource: str) -> list[_Model]:
    try:
        return _rows_of(model).validate_python(rows, by_alias=True, by_name=False)
    except ValidationError as error:
        raise MailjetAnswerInvalid(f"{resource}: {_named(error)}") from None  # its own words quote input


def _one(model: type[_Model], rows: Sequence[dict[str, Any]], *, resource: str) -> _Model:
    if len(rows) != 1:
        raise MailjetAnswerInvalid(f"{resource}: field Data: {len(rows)} rows instead of one")
    return _parse(model, rows, resource=resource)[0]


def _data(response: httpx.Response, *, resource: str) -> list[dict[str, Any]]:
    if response.status_code in (httpx.codes.NO_CONTENT, httpx.codes.NOT_MODIFIED):
        return []
    try:
        envelope = _Envelope.model_validate_json(response.content)
    except ValidationError as error:
        raise MailjetAnswerInvalid(f"{resource}: {_named(error)}") from None
    if envelope.Count != len(envelope.Data):  # a page cut short would look like the last one
        raise MailjetAnswerInvalid(
            f"{resource}: field Count: {envelope.Count}, but {len(envelope.Data)} rows"
        )
    return envelope.Data


def _ascending_ids(rows: Sequence[dict[str, Any]], *, resource: str) -> list[int]:
    ids = [row.id for row in _parse(_Row, rows, resource=resource)]
    if any(after <= before for before, after in pairwise(ids)):
        raise MailjetAnswerInvalid(f"{resource}: field ID: rows are not sorted by it")
    return ids


def _repeated(resource: str) -> MailjetAnswerInvalid:
    """A full page without anything new: whoever ignores Offset would be asked for ever."""
    return MailjetAnswerInvalid(f"{resource}: the same page again, Offset was ignored")


def _check_belongs(rows: Sequence[dict[str, Any]], *, field: str, value: int, resource: str) -> None:
    # Mailjet ignores a filter it does not know and then answers with everything.
    for row in rows:
        if field in row and str(row[field]) != str(value):
            raise MailjetAnswerInvalid(f"{resource}: field {field}: rows that were not asked for")


def _is_erased(row: dict[str, Any]) -> bool:
    """Whether this row is what Mailjet leaves of a deleted contact for 30 days."""
    return row.get("Name") == "Anonymized" and str(row.get("Email")).lower().endswith("@domain.invalid")


# --- One request and its answer


@dataclass(frozen=True, kw_only=True)
class _Request:
    method: str
    path: str
    resource: str
    """Stands for the path in logs and errors: it holds ids, never an address."""
    params: dict[str, Any] | None = None
    body: dict[str, Any] | None = None
    carries: Sequence[str] = ()
    """The addresses it carries, which Mailjet may quote in a refusal."""

    @property
    def is_read(self) -> bool:
        return self.method == "GET"

    def __str__(self) -> str:
        return f"{self.method} {self.resource}"


def _read(
    resource: str,
    *,
    path: str | None = None,
    params: dict[str, Any] | None = None,
    carries: Sequence[str] = (),
) -> _Request:
    path = f"REST/{resource}" if path is None else path
    return _Request(method="GET", path=path, resource=resource, params=params, carries=carries)


def _words(response: httpx.Response, *, request: _Request) -> str:
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


def _retry_after(response: httpx.Response) -> float | None:
    seconds = response.headers.get("Retry-After", "")
    return float(seconds) if seconds.isdigit() else None


def _refusal(request: _Request, response: httpx.Response) -> MailjetError | None:
    """The error this answer means, or None when it is a success."""
    status = response.status_code
    if response.is_success or status == httpx.codes.NOT_MODIFIED:
        return None
    if status == httpx.codes.UNAUTHORIZED and not response.content.strip():
        return MailjetUnauthorized(f"{request}: Mailjet does not know the API key and secret; check both")
    words = f"{request}: {status}, {_words(response, request=request)}"
    if response.is_server_error and not request.is_read:
        return MailjetUncertain(f"{words}; look the job up before sending again")
    if response.is_server_error or status == httpx.codes.TOO_MANY_REQUESTS:
        return MailjetUnavailable(words, status=status, retry_after=_retry_after(response))
    return MailjetRejected(words, status=status)


def _failure(request: _Request, error: httpx.RequestError) -> MailjetError:
    """The error that no answer at all means."""
    words = f"{request}: {type(error).__name__}"
    if request.is_read or isinstance(error, _NOT_SENT):
        return MailjetUnavailable(words)
    return MailjetUncertain(f"{words} after it was sent; look the job up before sending again")


def _note(request: _Request, *, outcome: int | str, began: float, guid: str | None = None) -> None:
    params = request.params or {}
    fields = {
        "method": request.method,
        "resource": request.resource,
        "status": outcome,
        "ms": round((time.monotonic() - began) * 1000),
        "list_id": params.get("ContactsList"),
        "campaign_id": params.get("Campaign"),
        "offset": params.get("Offset"),
        "request_guid": guid,
    }
    told = {name: value for name, value in fields.items() if value is not None}
    log.info(" ".join(f"{name}=%({name})s" for name in told), told, extra=told)


def _contacts(emails: Sequence[str]) -> list[dict[str, str]]:
    """The addresses as a bulk call takes them. Any field but Email would overwrite Mailjet's."""
    if not 0 < len(emails) <= MOST_ADDRESSES:
        raise ValueError(f"A bulk call takes 1 to {MOST_ADDRESSES} addresses, not {len(emails)}.")
    return [{"Email": email} for email in emails]


def _pause(attempt: int, *, asked: float | None) -> float:
    """Seconds to wait after this failed attempt (1, 2, …): 1-2 s, doubling, with jitter, at most 60."""
    jittered: float = _dice.uniform(1, 2) * 2 ** (attempt - 1)
    return min(max(jittered, asked or 0.0), LONGEST_PAUSE)


def _tries(error: MailjetUnavailable) -> int:
    return 2 if error.status == httpx.codes.INTERNAL_SERVER_ERROR else TRIES


# --- The client


class Budget(Protocol):
    """How many requests may still be made, counted for all processes together."""

    def acquire(self, *, background: bool) -> None:
        """Wait until one more request is allowed. Background work may be given a smaller share."""


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
        return self._find(_read(f"contactslist/{list_id}"), MailjetList)

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
            return self._find(_read(f"contact/{key}"), MailjetContact)
        if "@" not in key:
            raise ValueError("A contact is looked up by id (a number) or by address (with an @).")
        path = f"REST/contact/{quote(key, safe='@')}"
        return self._find(_read("contact/{address}", path=path, carries=[key]), MailjetContact)

    # Campaigns and messages

    def campaign(self, campaign_id: int) -> MailjetCampaign | None:
        """This campaign, or None when Mailjet does not know it."""
        return self._find(_read(f"campaign/{campaign_id}"), MailjetCampaign)

    def messages(self, campaign_id: int, *, since: datetime) -> Iterator[list[Message]]:
        """The campaign's messages from `since` on, in pages, by ascending id. Choose a time before its send.

        Mailjet keeps messages for some weeks only.
        """
        after = int(since.timestamp()) - 1  # Mailjet's bound is exclusive
        params = {"Campaign": campaign_id, "FromTS": after, "ShowContactAlt": "true"}
        return self._pages("message", Message, params=params, belongs=("CampaignID", campaign_id))

    def history(self, message_id: int) -> list[MessageEvent]:
        """What happened to one message. Empty when Mailjet does not, or no longer, know it."""
        request = _read(f"messagehistory/{message_id}")
        return _parse(MessageEvent, self._rows(request), resource=request.resource)

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
        request = _read(f"{owner}/managemanycontacts/{job_id}")
        rows = [{**row, "JobID": job_id} for row in self._rows(request)]
        return _one(Job, rows, resource=request.resource)

    def job_errors(self, job_id: JobId) -> list[JobError]:
        """The addresses the job could not do, with Mailjet's reasons; empty when there are none."""
        resource = f"batchjob/{job_id}/JSONError"
        response = self._get_known(_read(resource, path=f"DATA/{resource}/application:json/LAST"))
        if response is None:
            return []
        try:
            return _rows_of(JobError).validate_json(response.content, by_alias=True, by_name=False)
        except ValidationError as error:
            raise MailjetAnswerInvalid(f"{resource}: {_named(error)}") from None

    def recent_jobs(self, *, since: datetime) -> list[JobSummary]:
        """All jobs of the account requested at or after `since`, newest first. Here a lost job id is found.

        Mailjet tells whole seconds, so a job of the same second as `since` is included.
        """
        found: dict[int, JobSummary] = {}
        earliest, lowest = since.replace(microsecond=0), math.inf
        for offset in count(0, PAGE):
            window = {"Sort": "ID DESC", "Limit": PAGE, "Offset": offset}
            jobs = _parse(JobSummary, self._rows(_read("batchjob", params=window)), resource="batchjob")
            found.update((job.id, job) for job in jobs if job.requested_at >= earliest)
            if len(jobs) < PAGE or jobs[-1].requested_at < earliest:
                break
            if jobs[-1].id >= lowest:
                raise _repeated("batchjob")
            lowest = jobs[-1].id
        return sorted(found.values(), key=lambda job: job.id, reverse=True)

    # Below: one request, or one read with its tries

    def _check_writable(self, list_ids: Sequence[int]) -> None:
        if self._master_list_id in list_ids:
            raise MasterListProtected(
                f"List {self._master_list_id} is the master list, which is never written to."
            )

    def _queue(self, resource: str, *, body: dict[str, Any], emails: Sequence[str]) -> JobId:
        request = _Request(
            method="POST", path=f"REST/{resource}", resource=resource, body=body, carries=emails
        )
        response = self._send(request)
        try:
            accepted = _one(_Accepted, _data(response, resource=resource), resource=resource)
        except MailjetAnswerInvalid as unreadable:
            raise MailjetUncertain(f"POST {unreadable}; look the job up before sending again") from None
        return JobId(accepted.job_id)

    def _pages(
        self,
        resource: str,
        model: type[_Model],
        *,
        params: dict[str, Any] | None = None,
        belongs: tuple[str, int] | None = None,
    ) -> Iterator[list[_Model]]:
        """Pages without the rows that a shift between two requests repeats, or that Mailjet has erased."""
        highest = 0
        for offset in count(0, PAGE):
            window = {"Sort": "ID", "Limit": PAGE, "Offset": offset}
            rows = self._rows(_read(resource, params={**(params or {}), **window}))
            if belongs:
                _check_belongs(rows, field=belongs[0], value=belongs[1], resource=resource)
            ids = _ascending_ids(rows, resource=resource)
            fresh = [row for id, row in zip(ids, rows, strict=True) if id > highest and not _is_erased(row)]
            if fresh:
                yield _parse(model, fresh, resource=resource)
            if len(rows) < PAGE:
                return
            if ids[-1] <= highest:
                raise _repeated(resource)
            highest = ids[-1]

    def _find(self, request: _Request, model: type[_Model]) -> _Model | None:
        response = self._get_known(request)
        if response is None:
            return None
        rows = _data(response, resource=request.resource)
        known = [row for row in rows if not _is_erased(row)]
        return None if rows and not known else _one(model, known, resource=request.resource)

    def _rows(self, request: _Request) -> list[dict[str, Any]]:
        return _data(self._get(request), resource=request.resource)

    def _get_known(self, request: _Request) -> httpx.Response | None:
        """The answer, or None when Mailjet does not know what was asked for."""
        try:
            return self._get(request)
        except MailjetRejected as refusal:
            if refusal.status == httpx.codes.NOT_FOUND:
                return None
            raise

    def _get(self, request: _Request) -> httpx.Response:
        attempt = 1
        while True:
            try:
                return self._send(request)
            except MailjetUnavailable as error:
                if attempt >= _tries(error):
                    raise
                self._sleep(_pause(attempt, asked=error.retry_after))
            attempt += 1

    def _send(self, request: _Request) -> httpx.Response:
        """One try. It passes the budget, is counted and logged, and raises what its answer means."""
        self._budget.acquire(background=self._background)
        self.requests += 1
        began = time.monotonic()
        try:
            response = self._http.request(
                request.method, request.path, params=request.params, json=request.body
            )
        except (httpx.TransportError, httpx.DecodingError) as error:
            _note(request, outcome=type(error).__name__, began=began)
            raise _failure(request, error) from None  # the original holds the URL, and the URL an address
        guid = response.headers.get("X-Mj-Request-Guid")
        _note(request, outcome=response.status_code, began=began, guid=guid)
        refusal = _refusal(request, response)
        if refusal is not None:
            raise refusal
        return response
