"""The client of one Mailjet account."""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from integrations.mailjet import answers, wire
from integrations.mailjet.answers import (
    Action,
    ContactMembership,
    Counters,
    Draft,
    DraftStatus,
    EventUrl,
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
    Schedule,
)
from integrations.mailjet.columns import ContactColumns, MemberColumns
from integrations.mailjet.connection import PAGE, Budget, Connection, ScanPage, accepted
from integrations.mailjet.errors import (
    MailjetAnswerInvalid,
    MasterListProtected,
)
from integrations.mailjet.paging import START, Place

BATCH = 1000
"""Addresses a bulk call should carry. Mailjet documents no maximum; 10,000 worked, 50,000 were cut off."""

MOST_ADDRESSES = 5000
"""Addresses a bulk call may carry. More is refused here rather than cut off half sent."""

MOST_BYTES = 1_000_000
"""The largest body of a bulk call. Mailjet documents no maximum; others were cut off above a few of these."""

GROUPED = 2
"""The version of event deliveries that brings those of one second together."""

PROGRAMMED = "programmed"
"""Mailjet's word, in lower case, for a draft that will be sent at its time."""


def batch_size(contacts: int) -> int:
    """How many addresses each bulk call for so many should carry: 1,000, or 5,000 for more than 5,000."""
    return BATCH if contacts <= MOST_ADDRESSES else MOST_ADDRESSES


_AROUND_AN_ADDRESS = len('{"Email":},')


def bytes_of(emails: Sequence[str]) -> int:
    """How long a bulk call with these addresses is, the little around them apart. See `MOST_BYTES`."""
    return sum(len(json.dumps(email, ensure_ascii=False).encode()) + _AROUND_AN_ADDRESS for email in emails)


def _contacts(emails: Sequence[str]) -> list[dict[str, str]]:
    """The addresses as a bulk call takes them. Any field but Email would overwrite Mailjet's."""
    if not 0 < len(emails) <= MOST_ADDRESSES:
        raise ValueError(f"A bulk call takes 1 to {MOST_ADDRESSES} addresses, not {len(emails)}.")
    size = bytes_of(emails)
    if size > MOST_BYTES:
        raise ValueError(f"A bulk call takes {MOST_BYTES:,} bytes, not {size:,}: send fewer addresses each.")
    return [{"Email": email} for email in emails]


class Mailjet(Connection):
    """One Mailjet account. Threads may share a client; close it, or use it in a `with`.

    `base_url` is the host alone, such as https://api.mailjet.com; `timeout` is in seconds, for connecting and
    for every wait on the wire; `sleep` is called between the tries of a read; the requests of a `background`
    client use at most half of the budget; `transport` takes the network's place, to replay what was recorded;
    `page_rows` are asked for at once.
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
        transport: httpx.BaseTransport | None = None,
        page_rows: int = PAGE,
    ) -> None:
        super().__init__(
            base_url=base_url,
            api_key=api_key,
            api_secret=api_secret,
            budget=budget,
            timeout=timeout,
            background=background,
            sleep=sleep,
            transport=transport,
            page_rows=page_rows,
        )
        self._master_list_id = master_list_id

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
        return self._pages("listrecipient", Member, params=params, belongs={"ListID": list_id})

    def scan_members(self, list_id: int, *, at: Place = START) -> Iterator[ScanPage[MemberColumns]]:
        """The list's memberships from a place on, in columns, each page with the list's whole count.

        Whoever is on the list during the whole scan is seen, whatever others change meanwhile, and also when
        the scan is resumed. Erased contacts' memberships are seen and count, too.
        """
        params = {"ContactsList": list_id}
        belongs = {"ListID": list_id}
        return self._scan("listrecipient", MemberColumns.of, params=params, belongs=belongs, at=at)

    def unsubscribed_members(self, list_id: int) -> Iterator[list[Member]]:
        """Only those who unsubscribed from the list. (The filter on contacts finds nobody at Mailjet.)"""
        params = {"ContactsList": list_id, "Unsub": "true"}
        belongs = {"ListID": list_id, "IsUnsubscribed": True}
        return self._pages("listrecipient", Member, params=params, belongs=belongs)

    def member_count(self, list_id: int) -> int:
        """The list's members now, unsubscribed and excluded ones included; it does not lag."""
        request = wire.read("listrecipient", params={"ContactsList": list_id, "countOnly": 1})
        return answers.count_only(self._get(request), resource=request.resource)

    def scan_contacts(self, list_id: int | None, *, at: Place = START) -> Iterator[ScanPage[ContactColumns]]:
        """The contacts of a list, or with None all of the account, as `scan_members` scans memberships.

        Erased contacts are among them, and named as such.
        """
        params = {} if list_id is None else {"ContactsList": list_id}
        return self._scan("contact", ContactColumns.of, params=params, belongs={}, at=at)

    def excluded_contacts(self) -> Iterator[list[MailjetContact]]:
        """All contacts of the account that are excluded from its campaigns."""
        params = {"IsExcludedFromCampaigns": "true"}
        return self._pages("contact", MailjetContact, params=params, belongs=params)

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

    def lists_of_contact(self, contact_id: int) -> list[ContactMembership] | None:
        """The lists the contact is on, unsubscribed or not; None when Mailjet does not know the contact."""
        found: dict[int, ContactMembership] = {}
        for offset in count(0, PAGE):
            request = wire.read(
                f"contact/{contact_id}/getcontactslists", params={"Limit": PAGE, "Offset": offset}
            )
            response = self._get_known(request)
            if response is None:
                return None
            rows = answers.data(response, resource=request.resource)
            known = len(found)
            memberships = answers.parse(ContactMembership, rows, resource=request.resource)
            found.update((membership.list_id, membership) for membership in memberships)
            if len(rows) < PAGE:
                return list(found.values())
            if len(found) == known:
                raise answers.repeated(request.resource)
        raise AssertionError("pages are counted without an end")

    # Drafts

    def drafts(
        self, *, list_id: int | None = None, status: DraftStatus | None = None
    ) -> Iterator[list[Draft]]:
        """Drafts in pages, by ascending id: all, or those for a list, or those that stand like this."""
        asked = {
            ("ContactsList", "ContactsListID"): list_id,
            ("Status", "Status"): None if status is None else int(status),
        }
        params = {parameter: value for (parameter, _), value in asked.items() if value is not None}
        belongs = {field: value for (_, field), value in asked.items() if value is not None}
        return self._pages("campaigndraft", Draft, params=params, belongs=belongs)

    def draft(self, draft_id: int) -> Draft | None:
        """This draft, or None when Mailjet does not know it."""
        return self._find(wire.read(f"campaigndraft/{draft_id}"), Draft)

    def scheduled_at(self, draft_id: int) -> datetime | None:
        """When the draft will be sent; None when it is not scheduled, or Mailjet does not know it."""
        schedule = self._find_one_or_none(wire.read(f"campaigndraft/{draft_id}/schedule"), Schedule)
        return None if schedule is None or schedule.status.lower() != PROGRAMMED else schedule.at

    def unschedule(self, draft_id: int, *, before_send: Callable[[], None] | None = None) -> None:
        """Take the draft's schedule away: it is not sent, and becomes an ordinary draft again.

        Raises MailjetRejected where it was not scheduled, or is being sent; MailjetUncertain when the answer
        was lost. Calls `before_send` as `submit` does.
        """
        self._send(_schedule_write("DELETE", draft_id, body=None, before_send=before_send))

    def schedule(self, draft_id: int, *, at: datetime, before_send: Callable[[], None] | None = None) -> None:
        """Have the draft sent at this time, to the second, whether or not it was scheduled before.

        Raises MailjetRejected where the time is past or the draft cannot be sent, and MailjetUncertain. Calls
        `before_send` as `submit` does.
        """
        if at.tzinfo is None:
            raise ValueError("A send is scheduled for a time with a time zone.")
        body = {"Date": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        self._send(_schedule_write("POST", draft_id, body=body, before_send=before_send))

    # Campaigns and messages

    def campaign(self, campaign_id: int) -> MailjetCampaign | None:
        """This campaign, or None when Mailjet does not know it."""
        return self._find(wire.read(f"campaign/{campaign_id}"), MailjetCampaign)

    def campaign_of_draft(self, draft_id: int) -> MailjetCampaign | None:
        """The campaign that sent this draft, or None: not sent yet, or only some seconds ago."""
        request = wire.read(f"campaign/mj.nl={draft_id}")
        campaign = self._find(request, MailjetCampaign)
        if campaign is not None and campaign.draft_id != draft_id:
            raise MailjetAnswerInvalid(f"{request.resource}: field NewsLetterID: another draft's campaign")
        return campaign

    def campaigns(
        self, *, since: datetime, until: datetime | None = None, list_id: int | None = None
    ) -> Iterator[list[MailjetCampaign]]:
        """Campaigns whose sending began from `since` on, up to `until`, in pages, by ascending id."""
        asked = {
            "FromTS": _since(since),  # without it Mailjet gives today's only
            "ToTS": None if until is None else int(until.timestamp()),
            "ContactsListID": list_id,
        }
        params = {name: value for name, value in asked.items() if value is not None}
        belongs = {} if list_id is None else {"ListID": list_id}
        return self._pages("campaign", MailjetCampaign, params=params, belongs=belongs)

    def counters(self, campaign_id: int) -> Counters | None:
        """The campaign's totals, or None while Mailjet has none."""
        params = {
            "SourceID": campaign_id,
            "CounterSource": "Campaign",
            "CounterTiming": "Message",
            "CounterResolution": "Lifetime",
        }
        return self._find_one_or_none(wire.read("statcounters", params=params), Counters)

    def messages(self, campaign_id: int, *, since: datetime) -> Iterator[list[Message]]:
        """The campaign's messages from `since` on, in pages, by ascending id. Choose a time before its send.

        Mailjet keeps messages for some weeks only.
        """
        params = {"Campaign": campaign_id, "FromTS": _since(since), "ShowContactAlt": "true"}
        return self._pages("message", Message, params=params, belongs={"CampaignID": campaign_id})

    def messages_to(self, contact_id: int, *, since: datetime) -> Iterator[list[Message]]:
        """One contact's messages of all campaigns from `since` on, in pages, by ascending id."""
        params = {"Contact": contact_id, "FromTS": _since(since), "ShowContactAlt": "true"}
        return self._pages("message", Message, params=params, belongs={"ContactID": contact_id})

    def history(self, message_id: int) -> list[MessageEvent]:
        """What happened to one message. Empty when Mailjet does not, or no longer, know it."""
        request = wire.read(f"messagehistory/{message_id}")
        return answers.parse(MessageEvent, self._rows(request), resource=request.resource)

    # Bulk writes and their jobs

    def submit(
        self,
        *,
        list_id: int,
        action: Action,
        emails: Sequence[str],
        before_send: Callable[[], None] | None = None,
    ) -> JobId:
        """Queue one action for these addresses on one list. Queued is not done: follow the job, read back.

        Raises MasterListProtected, before anything is sent, and MailjetUncertain when the answer was lost.
        The budget may have it wait a minute: `before_send` is called after that, and what it raises is
        raised here, with nothing sent.
        """
        self._check_writable([list_id])
        body = {"Action": action.value, "Contacts": _contacts(emails)}
        resource = f"contactslist/{list_id}/managemanycontacts"
        return self._queue(resource, body=body, emails=emails, before_send=before_send)

    def submit_changes(
        self,
        *,
        changes: Sequence[ListChange],
        emails: Sequence[str],
        before_send: Callable[[], None] | None = None,
    ) -> JobId:
        """Queue an action per list for the same addresses. In which order Mailjet takes the lists is unknown.

        Calls `before_send`, and raises, as `submit` does.
        """
        lists = [change.list_id for change in changes]
        if not lists or len(lists) != len(set(lists)):
            raise ValueError(f"Each list must be named once, and at least one; named were {lists}.")
        self._check_writable(lists)
        actions = [{"ListID": change.list_id, "Action": change.action.value} for change in changes]
        body = {"Contacts": _contacts(emails), "ContactsLists": actions}
        resource = "contact/managemanycontacts"
        return self._queue(resource, body=body, emails=emails, before_send=before_send)

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

    # Where Mailjet sends events

    def event_urls(self) -> list[EventUrl]:
        """Every URL that Mailjet delivers events to, whoever set it up."""
        return [url for page in self._pages("eventcallbackurl", EventUrl) for url in page]

    def create_event_url(self, *, event: str, url: str, is_backup: bool = False) -> EventUrl:
        """Have this kind of event delivered, those of a second together.

        Raises MailjetRejected, with `is_duplicate`, where a URL is set already, and MailjetUncertain.
        """
        body = {"EventType": event, "Url": url, "IsBackup": is_backup, "Version": GROUPED}
        request = _event_url_write("POST", "eventcallbackurl", body=body)
        return accepted(self._send(request), request=request, model=EventUrl)

    def update_event_url(self, event_url_id: int, *, url: str) -> None:
        """Deliver to another URL from now on; one that Mailjet gave up is tried again. Safe to repeat."""
        body = {"Url": url, "Version": GROUPED}
        self._send(_event_url_write("PUT", f"eventcallbackurl/{event_url_id}", body=body))

    # Below: what the writes share

    def _check_writable(self, list_ids: Sequence[int]) -> None:
        if self._master_list_id in list_ids:
            raise MasterListProtected(
                f"List {self._master_list_id} is the master list, which is never written to."
            )

    def _queue(
        self,
        resource: str,
        *,
        body: dict[str, Any],
        emails: Sequence[str],
        before_send: Callable[[], None] | None,
    ) -> JobId:
        request = wire.Request(
            method="POST",
            path=f"REST/{resource}",
            resource=resource,
            body=body,
            carries=emails,
            before_send=before_send,
        )
        return JobId(accepted(self._send(request), request=request, model=answers.Accepted).job_id)


def _since(moment: datetime) -> int:
    return int(moment.timestamp()) - 1  # Mailjet's bound is exclusive


def _schedule_write(
    method: str, draft_id: int, *, body: dict[str, Any] | None, before_send: Callable[[], None] | None
) -> wire.Request:
    resource = f"campaigndraft/{draft_id}/schedule"
    return wire.Request(
        method=method,
        path=f"REST/{resource}",
        resource=resource,
        body=body,
        find_out="read the draft's status",
        before_send=before_send,
    )


def _event_url_write(method: str, resource: str, *, body: dict[str, Any]) -> wire.Request:
    return wire.Request(
        method=method,
        path=f"REST/{resource}",
        resource=resource,
        body=body,
        carries=[body["Url"]],
        find_out="list the event URLs",
    )
