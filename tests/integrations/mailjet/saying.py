"""What Mailjet may say, row by row, and a client that hears it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from integrations import mailjet as m
from tests.integrations.scripted import Said, answer

MASTER, LIST, OTHER = 10, 11, 12
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HTML = Said(status=502, body=b"<html><h1>502 Bad Gateway</h1></html>", headers={"Content-Type": "text/html"})


class Counted(m.Budget):
    """A budget without end that remembers who asked."""

    def __init__(self) -> None:
        self.asked: list[bool] = []

    def acquire(self, *, background: bool) -> None:
        self.asked.append(background)


def connected(
    url: str,
    *,
    budget: Counted,
    sleep: Callable[[float], None],
    key: str = "key",
    secret: str = "secret",
    timeout: float = 30.0,
    background: bool = False,
) -> m.Mailjet:
    return m.Mailjet(
        base_url=url,
        api_key=key,
        api_secret=secret,
        budget=budget,
        master_list_id=MASTER,
        timeout=timeout,
        background=background,
        sleep=sleep,
    )


def page(*rows: dict[str, Any], status: int = 200) -> Said:
    return answer({"Count": len(rows), "Data": list(rows), "Total": len(rows)}, status=status)


def list_row(**changes: Any) -> dict[str, Any]:
    row = {
        "ID": LIST,
        "Name": "One",
        "IsDeleted": False,
        "SubscriberCount": 3,
        "Address": "abc",
        "CreatedAt": "",
    }
    return {**row, **changes}


def member_row(**changes: Any) -> dict[str, Any]:
    row = {
        "ID": 31,
        "ContactID": 7,
        "ListID": LIST,
        "ListName": "One",
        "IsActive": True,
        "IsUnsubscribed": False,
        "SubscribedAt": "2026-01-31T08:00:00Z",
        "UnsubscribedAt": "",
    }
    return {**row, **changes}


def contact_row(**changes: Any) -> dict[str, Any]:
    row = {
        "ID": 7,
        "Email": "kim@example.com",
        "Name": "Kim",
        "CreatedAt": "2025-03-01T08:00:00Z",
        "IsExcludedFromCampaigns": False,
        "IsSpamComplaining": False,
    }
    return {**row, **changes}


def campaign_row(**changes: Any) -> dict[str, Any]:
    row = {
        "ID": 52001,
        "NewsLetterID": 9001,
        "ListID": LIST,
        "Subject": "June",
        "SendStartAt": "2026-06-01T08:00:00Z",
        "SendEndAt": "",
        "Status": 2,
    }
    return {**row, **changes}


def message_row(**changes: Any) -> dict[str, Any]:
    row = {
        "ID": 2**53 + 1,
        "CampaignID": 52001,
        "ContactID": 7,
        "ContactAlt": "kim@example.com",
        "Status": "hardbounced",
        "StateID": 1,
        "StatePermanent": True,
        "ArrivedAt": "2026-06-01T08:00:00Z",
    }
    return {**row, **changes}


def event_row(**changes: Any) -> dict[str, Any]:
    row = {
        "EventType": "bounce",
        "EventAt": 1780300800,
        "State": "user unknown",
        "Comment": "550 5.1.1 no such user",
    }
    return {**row, **changes}


def job_row(**changes: Any) -> dict[str, Any]:
    row = {
        "ContactsLists": [{"ListID": LIST, "Action": "remove"}],
        "Count": 2,
        "Error": "",
        "ErrorFile": "",
        "JobStart": "2026-06-01T12:00:00Z",
        "JobEnd": "",
        "Status": "In Progress",
    }
    return {**row, **changes}


def summary_row(**changes: Any) -> dict[str, Any]:
    row = {"ID": 90210, "Method": "remove", "Status": "Completed", "RefId": LIST, "Count": 2}
    return {**row, "RequestAt": int(NOON.timestamp()), **changes}


def listed_row(**changes: Any) -> dict[str, Any]:
    row = {"ListID": LIST, "IsActive": True, "IsUnsub": False, "SubscribedAt": "2026-01-31T08:00:00Z"}
    return {**row, **changes}


def draft_row(**changes: Any) -> dict[str, Any]:
    row = {
        "ID": 9001,
        "Title": "June, first list",
        "Subject": "June",
        "ContactsListID": LIST,
        "Status": 1,
        "CreatedAt": "2026-05-30T08:00:00Z",
        "ModifiedAt": "",
        "DeliveredAt": "",
    }
    return {**row, **changes}


def counters_row(**changes: Any) -> dict[str, Any]:
    row = {
        "SourceID": 52001,
        "Timeslice": "",
        "Total": 1000,
        "MessageSentCount": 731,
        "MessageHardBouncedCount": 240,
        "MessageSoftBouncedCount": 2,
        "MessageBlockedCount": 27,
        "MessageSpamCount": 0,
        "MessageUnsubscribedCount": 3,
        "MessageOpenedCount": 400,
        "MessageClickedCount": 50,
        "MessageDeferredCount": 0,
        "MessageQueuedCount": 0,
    }
    return {**row, **changes}


def event_url_row(**changes: Any) -> dict[str, Any]:
    row = {
        "ID": 5,
        "APIKeyID": 77,
        "EventType": "bounce",
        "IsBackup": False,
        "Status": "alive",
        "Url": "https://evenkeel:secret@lists.example.com/webhooks/mailjet/",
        "Version": 2,
    }
    return {**row, **changes}


def first(pages: Iterator[list[Any]]) -> Any:
    return next(pages)[0]


AWKWARD = [
    "Kim.Doe@Example.COM",
    "kim+news@example.com",
    '"kim doe"@example.com',
    "zoë@exämple.test",
    "o'k@a.test",
]


def no_sleep(_: float) -> None:
    raise AssertionError("nothing to wait for")


def submit(client: m.Mailjet, *emails: str) -> m.JobId:
    return client.submit(list_id=LIST, action=m.Action.ADD, emails=emails or ("kim@example.com",))
