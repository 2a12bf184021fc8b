"""Mailjet's answers: what each row means, and how one is read. Anything undocumented is refused whole."""

from collections.abc import Mapping, Sequence
from enum import IntEnum, StrEnum
from functools import cache
from itertools import islice
from operator import ge
from typing import Annotated, Any, NewType, TypeVar

import httpx
from pydantic import (
    AfterValidator,
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
from pydantic_core import from_json

from integrations.mailjet.errors import MailjetAnswerInvalid
from integrations.privacy import without_addresses

JobId = NewType("JobId", int)
"""Mailjet's number of a bulk job."""

# --- Values


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


def _draft_status(value: object) -> object:
    return int(value) if isinstance(value, str) and value.lstrip("-").isdigit() else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _scrubbed(value: object) -> object:
    return without_addresses(value) if isinstance(value, str) else value


def storable(text: str) -> str:
    """Text from outside without what no database takes: zeros, and halves of surrogate pairs."""
    return text.replace("\x00", " ").encode(errors="replace").decode()


LONGEST_REPLY = 4096
"""Characters of another server's words that are taken: eight lines as long as RFC 5321 (4.5.3.1.5) lets a
reply's be. Mailjet states no bound, and whoever is mailed writes them."""


def reply(text: str) -> str:
    """What another server said, as far as it is taken."""
    return storable(text[:LONGEST_REPLY])


Text = Annotated[str, AfterValidator(storable)]
"""What people and servers wrote."""

Reply = Annotated[str, AfterValidator(reply)]
"""What another server said to Mailjet."""

Number = Annotated[int, BeforeValidator(_whole)]
Id = Annotated[Number, Field(gt=0)]
Reference = Annotated[Id | None, BeforeValidator(_unset)]
Time = Annotated[AwareDatetime | None, BeforeValidator(_unset)]
Address = Annotated[str, Field(min_length=1, repr=False)]


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


class DraftStatus(IntEnum):
    """Mailjet's number for how a draft stands. The AX ones belong to tests of several versions (A/B)."""

    AX_CANCELLED = -3
    DELETED = -2
    ARCHIVED = -1
    DRAFT = 0
    PROGRAMMED = 1
    SENT = 2
    AX_TESTED = 3
    AX_SELECTED = 4


class CampaignType(IntEnum):
    """What a campaign is for."""

    TRANSACTIONAL = 1
    MARKETING = 2


class EventUrlStatus(StrEnum):
    """Whether Mailjet still delivers events to a URL."""

    ALIVE = "alive"
    DEAD = "dead"


class Answer(BaseModel):
    """A row of an answer. Fields that are not named here are ignored; those that are must be there."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


class MailjetList(Answer):
    """A contact list."""

    id: Id = Field(validation_alias="ID")
    name: Text = Field(validation_alias="Name")
    is_deleted: bool = Field(validation_alias="IsDeleted")
    """A deleted list is still found by its id. Check this before trusting one."""
    subscriber_count: Number = Field(validation_alias="SubscriberCount")
    """Mailjet's count: it includes unsubscribed and excluded members, and lags."""


class Member(Answer):
    """A contact's membership of one list. Mailjet does not say the address here."""

    membership_id: Id = Field(validation_alias="ID")
    contact_id: Id = Field(validation_alias="ContactID")
    unsubscribed: bool = Field(validation_alias="IsUnsubscribed")
    active: bool = Field(validation_alias="IsActive")
    subscribed_at: Time = Field(validation_alias="SubscribedAt")
    """Restarts at each add."""
    unsubscribed_at: Time = Field(default=None, validation_alias="UnsubscribedAt")
    """Often unknown, even of those who are unsubscribed."""


class ContactMembership(Answer):
    """One of the lists a contact is on, asked for by the contact."""

    list_id: Id = Field(validation_alias="ListID")
    active: bool = Field(validation_alias="IsActive")
    unsubscribed: bool = Field(validation_alias="IsUnsub")
    subscribed_at: Time = Field(validation_alias="SubscribedAt")


class MailjetContact(Answer):
    """A person's address. Names are not kept."""

    id: Id = Field(validation_alias="ID")
    email: Address = Field(validation_alias="Email")
    """As Mailjet spells it; compare on lower case."""
    created_at: Time = Field(validation_alias="CreatedAt")
    excluded: bool = Field(validation_alias="IsExcludedFromCampaigns")
    """Excluded from all marketing campaigns of the account."""
    complained: bool = Field(validation_alias="IsSpamComplaining")


class Draft(Answer):
    """A campaign as people edit it, before and after it is sent. Its id is not the sent campaign's."""

    id: Id = Field(validation_alias="ID")
    title: Text = Field(validation_alias="Title")
    """For people only."""
    subject: Text = Field(validation_alias="Subject")
    list_id: Reference = Field(default=None, validation_alias="ContactsListID")
    """None while nobody has chosen one."""
    segmentation_id: Reference = Field(default=None, validation_alias="SegmentationID")
    """The part of the list it goes to; None for the whole list."""
    ax_testing_id: Reference = Field(default=None, validation_alias="AXTestingID")
    """The test of several versions (A/B) it belongs to; None for most."""
    status: Annotated[DraftStatus, BeforeValidator(_draft_status)] = Field(validation_alias="Status")
    created_at: Time = Field(validation_alias="CreatedAt")
    modified_at: Time = Field(validation_alias="ModifiedAt")
    delivered_at: Time = Field(validation_alias="DeliveredAt")
    """None until it is sent."""
    campaign_id: Reference = Field(default=None, validation_alias="CampaignID")
    """The sent campaign; None before, and where Mailjet leaves it out: then ask `campaign_of_draft`."""


class Schedule(Answer):
    """When a draft will be sent."""

    at: Time = Field(validation_alias="Date")
    status: str = Field(validation_alias="Status")


class MailjetCampaign(Answer):
    """A campaign that was sent. Its id is not its draft's."""

    id: Id = Field(validation_alias="ID")
    draft_id: Reference = Field(default=None, validation_alias="NewsLetterID")
    """None for a campaign that has no draft. Mailjet leaves an unset reference out."""
    list_id: Reference = Field(default=None, validation_alias="ListID")
    subject: Text = Field(validation_alias="Subject")
    send_start_at: Time = Field(validation_alias="SendStartAt")
    send_end_at: Time = Field(validation_alias="SendEndAt")
    """None while it is being sent."""
    status: int = Field(validation_alias="Status")
    """Mailjet's number; 2 is sent."""
    kind: Annotated[CampaignType | None, BeforeValidator(_unset)] = Field(
        default=None, validation_alias="CampaignType"
    )
    """None where Mailjet leaves it out."""
    custom_value: str = Field(default="", validation_alias="CustomValue")
    """mj.nl= and the draft's id for marketing, else a name people gave; may be empty."""
    segmentation_id: Reference = Field(default=None, validation_alias="SegmentationID")
    """The part of the list it went to; None for the whole list."""
    is_deleted: bool = Field(default=False, validation_alias="IsDeleted")
    """Hidden from Mailjet's own pages; it was sent all the same."""


class Counters(Answer):
    """A campaign's totals as Mailjet counts them, sometimes hours late."""

    processed: Number = Field(validation_alias="Total")
    delivered: Number = Field(validation_alias="MessageSentCount")
    """Mailjet calls the delivered sent."""
    hard_bounced: Number = Field(validation_alias="MessageHardBouncedCount")
    soft_bounced: Number = Field(validation_alias="MessageSoftBouncedCount")
    blocked: Number = Field(validation_alias="MessageBlockedCount")
    complained: Number = Field(validation_alias="MessageSpamCount")
    unsubscribed: Number = Field(validation_alias="MessageUnsubscribedCount")
    opened: Number = Field(validation_alias="MessageOpenedCount")
    clicked: Number = Field(validation_alias="MessageClickedCount")
    deferred: Number = Field(validation_alias="MessageDeferredCount")
    queued: Number = Field(validation_alias="MessageQueuedCount")


class EventUrl(Answer):
    """A URL of ours, or of others, to which Mailjet delivers one kind of event."""

    id: Id = Field(validation_alias="ID")
    event: str = Field(validation_alias="EventType")
    """open, click, bounce, spam, blocked, unsub, sent; there may be others."""
    url: str = Field(validation_alias="Url", repr=False)
    """May hold a user name and a password."""
    is_backup: bool = Field(validation_alias="IsBackup")
    status: Annotated[EventUrlStatus, BeforeValidator(_lower)] = Field(validation_alias="Status")
    version: Number = Field(validation_alias="Version")
    """1: an event a request; 2: those of the last second together, as an array."""


class Message(Answer):
    """One message of a campaign to one contact, with how it stands."""

    id: Id = Field(validation_alias="ID")
    """Beyond 2^53."""
    campaign_id: Reference = Field(default=None, validation_alias="CampaignID")
    """None for a message outside any campaign."""
    contact_id: Id = Field(validation_alias="ContactID")
    email: str = Field(validation_alias="ContactAlt", repr=False)
    """The address it went to; empty when Mailjet no longer knows it."""
    status: Annotated[MessageStatus, BeforeValidator(_lower)] = Field(validation_alias="Status")
    state_id: Reference = Field(default=None, validation_alias="StateID")
    """Mailjet's reason (its table `messagestate`). None when there is none."""
    permanent: bool = Field(validation_alias="StatePermanent")
    arrived_at: Time = Field(validation_alias="ArrivedAt")
    """When Mailjet took it over for sending."""


class MessageEvent(Answer):
    """One event in a message's life."""

    event_type: str = Field(validation_alias="EventType")
    at: AwareDatetime = Field(validation_alias="EventAt")
    state: str = Field(validation_alias="State")
    comment: Reply = Field(validation_alias="Comment", repr=False)
    """The other server's own words. They can hold addresses."""


class ListChange(Answer):
    """What one bulk write does on one of its lists."""

    list_id: int
    action: Action


class Job(Answer):
    """A bulk job we started."""

    id: Id = Field(validation_alias="JobID")
    status: Annotated[JobStatus, BeforeValidator(_job_status)] = Field(validation_alias="Status")
    processed: Number = Field(validation_alias="Count")
    """Addresses done so far, as Mailjet counts. A completed job may still have missed some."""
    error: Annotated[str, BeforeValidator(_scrubbed)] = Field(validation_alias="Error")
    """Mailjet's words without addresses; empty when there are none."""
    error_file: str = Field(validation_alias="ErrorFile")
    """Where the errors are, empty when there are none. `job_errors` reads them."""


class JobError(Answer):
    """What Mailjet did not do for one address of a job."""

    email: str = Field(validation_alias="Email", repr=False)
    message: str = Field(validation_alias="Error")
    """Mailjet's words, without addresses."""

    @field_validator("message")
    @classmethod
    def _scrub(cls, message: str, info: ValidationInfo) -> str:
        return without_addresses(message, known=[email for email in [info.data.get("email")] if email])


class JobSummary(Answer):
    """A job in Mailjet's list of all jobs, ours and others'."""

    id: Id = Field(validation_alias="ID")
    method: str = Field(validation_alias="Method")
    status: Annotated[JobStatus, BeforeValidator(_job_status)] = Field(validation_alias="Status")
    ref_id: Reference = Field(default=None, validation_alias=AliasChoices("RefId", "RefID"))
    """The list of a job on one list, None for one on several."""
    count: Number = Field(validation_alias="Count")
    requested_at: AwareDatetime = Field(validation_alias="RequestAt")
    """In whole seconds."""


class Envelope(Answer):
    """What Mailjet wraps rows in. Its Total is not the total unless asked for, and else not read."""

    Count: Number
    Data: list[dict[str, Any]]


class CountedEnvelope(Envelope):
    """The same, where the overall number was asked for."""

    Total: Number


class Row(Answer):
    """The one field every listed row has."""

    id: Id = Field(validation_alias="ID")


class Accepted(Answer):
    """What a bulk write is answered with: queued, nothing more."""

    job_id: Id = Field(validation_alias="JobID")


Model = TypeVar("Model", bound=Answer)
_Wrapped = TypeVar("_Wrapped", bound=Envelope)


@cache
def rows_of(model: type[Model]) -> TypeAdapter[list[Model]]:
    """The reader of a list of such rows."""
    return TypeAdapter(list[model])  # type: ignore[valid-type]  # a type made at run time


def named(error: ValidationError) -> str:
    """The first thing wrong, by row and field, without the value."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = [f"row {part}" if isinstance(part, int) else f"field {part}" for part in first["loc"]]
    return ", ".join([*place, first["msg"]])


def parse(model: type[Model], rows: Sequence[dict[str, Any]], *, resource: str) -> list[Model]:
    """The rows as what they mean. Raises MailjetAnswerInvalid."""
    try:
        return rows_of(model).validate_python(rows, by_alias=True, by_name=False)
    except ValidationError as error:
        raise MailjetAnswerInvalid(f"{resource}: {named(error)}") from None  # its own words quote input


def one(model: type[Model], rows: Sequence[dict[str, Any]], *, resource: str) -> Model:
    """The only row. Raises MailjetAnswerInvalid where there are more, or none."""
    if len(rows) != 1:
        raise MailjetAnswerInvalid(f"{resource}: field Data: {len(rows)} rows instead of one")
    return parse(model, rows, resource=resource)[0]


def data(response: httpx.Response, *, resource: str) -> list[dict[str, Any]]:
    """The rows of an answer: none where nothing changed (304). Raises MailjetAnswerInvalid."""
    if response.status_code in (httpx.codes.NO_CONTENT, httpx.codes.NOT_MODIFIED):
        return []
    return _checked(_envelope(Envelope, response, resource=resource), resource=resource)


def counted(response: httpx.Response, *, offset: int, resource: str) -> tuple[list[dict[str, Any]], int]:
    """The rows of an answer to countRecords=1, and how many there are in all. Raises MailjetAnswerInvalid."""
    envelope = _envelope(CountedEnvelope, response, resource=resource)
    rows = _checked(envelope, resource=resource)
    if rows and offset and envelope.Total == len(rows):  # somewhat too low is a change made meanwhile
        raise MailjetAnswerInvalid(
            f"{resource}: field Total: {envelope.Total} as on this page, though it begins at row {offset};"
            " countRecords was ignored"
        )
    return rows, envelope.Total


def count_only(response: httpx.Response, *, resource: str) -> int:
    """The number in an answer to countOnly=1. Raises MailjetAnswerInvalid."""
    envelope = _envelope(CountedEnvelope, response, resource=resource)
    if envelope.Data or envelope.Count != envelope.Total:
        raise MailjetAnswerInvalid(f"{resource}: field Data: rows instead of a count; countOnly was ignored")
    return envelope.Total


def _envelope(kind: type[_Wrapped], response: httpx.Response, *, resource: str) -> _Wrapped:
    try:
        return _plain(kind, response.content) or kind.model_validate_json(response.content)
    except ValidationError as error:
        raise MailjetAnswerInvalid(f"{resource}: {named(error)}") from None


def _plain(kind: type[_Wrapped], body: bytes) -> _Wrapped | None:
    """The envelope where each field is of its plain type already; None where it has to be looked at."""
    try:
        found = from_json(body)
    except ValueError:
        return None
    if not isinstance(found, dict) or not isinstance(rows := found.get("Data"), list):
        return None
    numbers = [found.get(name) for name in kind.model_fields if name != "Data"]
    if set(map(type, numbers)) == {int} and set(map(type, rows)) <= {dict}:
        return kind.model_construct(**found)
    return None


def _checked(envelope: Envelope, *, resource: str) -> list[dict[str, Any]]:
    if envelope.Count != len(envelope.Data):  # a page cut short would look like the last one
        raise MailjetAnswerInvalid(
            f"{resource}: field Count: {envelope.Count}, but {len(envelope.Data)} rows"
        )
    return envelope.Data


def ascending_ids(rows: Sequence[dict[str, Any]], *, resource: str) -> list[int]:
    """The rows' ids. Raises MailjetAnswerInvalid where they are not in order: pages would have holes."""
    ids = [id for row in rows if type(id := row.get("ID")) is int and id > 0]
    if len(ids) != len(rows):  # text, or nonsense; a million rows are neither, and cost next to nothing
        ids = [row.id for row in parse(Row, rows, resource=resource)]
    if any(map(ge, ids, islice(ids, 1, None))):
        raise MailjetAnswerInvalid(f"{resource}: field ID: rows are not sorted by it")
    return ids


def repeated(resource: str) -> MailjetAnswerInvalid:
    """A full page without anything new: whoever ignores Offset would be asked for ever."""
    return MailjetAnswerInvalid(f"{resource}: the same page again, Offset was ignored")


def withheld(resource: str) -> MailjetAnswerInvalid:
    """Going back a page and on again finds the same gap each time: nobody changes rows as often as that."""
    return MailjetAnswerInvalid(f"{resource}: rows between two pages are on neither, however often read")


def check_belongs(rows: Sequence[dict[str, Any]], *, belongs: Mapping[str, object], resource: str) -> None:
    """Raise MailjetAnswerInvalid for a row of something else: Mailjet ignores a filter it does not know."""
    for field, value in belongs.items():
        found = {str(row[field]) for row in rows if field in row}
        if any(other.lower() != str(value).lower() for other in found):
            raise MailjetAnswerInvalid(f"{resource}: field {field}: rows that were not asked for")


def is_erased(row: dict[str, Any]) -> bool:
    """Whether this row is what Mailjet leaves of a deleted contact for 30 days."""
    return row.get("Name") == "Anonymized" and str(row.get("Email")).lower().endswith("@domain.invalid")
