"""People at work on Mailjet's own pages: they draft, schedule, call off and send."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from listmanagement.models import CampaignSchedule, ContactList
from tests.integrations.sandbox_scenes import signed_in
from tests.planted import How, Planted
from tests.workflows.scene import Clock, Scene, StandIn

CONTENT = {"Html-part": "<p>Hello</p>", "Text-part": "Hello"}


@dataclass
class Marketing:
    """Somebody with a browser. Every request is one that Mailjet's pages make."""

    http: httpx.Client
    clock: Clock
    segments: dict[int, int] = field(default_factory=dict)

    def draft(self, to: ContactList, subject: str, **fields: Any) -> int:
        """A draft that is ready to be sent; its id."""
        body = {
            "Locale": "en_US",
            "SenderName": "News",
            "SenderEmail": "news@sender.example.com",
            "Subject": subject,
            "ContactsListID": to.mailjet_id,
            **{name: value for name, value in fields.items() if value is not None},
        }
        key = int(self._ask("POST", "campaigndraft", body)[0]["ID"])
        self._ask("POST", f"campaigndraft/{key}/detailcontent", CONTENT)
        return key

    def segment(self, number: int) -> int:
        """Mailjet's id of a segment that people know by this number."""
        if number not in self.segments:
            body = {"Name": f"Segment {number}", "Expression": "age > 30", "Description": ""}
            self.segments[number] = int(self._ask("POST", "contactfilter", body)[0]["ID"])
        return self.segments[number]

    def schedule(self, draft: int, *, at: datetime) -> None:
        """Have it sent then."""
        self._ask("POST", f"campaigndraft/{draft}/schedule", {"Date": at.strftime("%Y-%m-%dT%H:%M:%SZ")})

    def postpone(self, draft: int, *, to: datetime) -> None:
        """Have it sent at another time."""
        self._ask("PUT", f"campaigndraft/{draft}/schedule", {"Date": to.strftime("%Y-%m-%dT%H:%M:%SZ")})

    def goes_to(self, draft: int, to: ContactList) -> None:
        """Have it go to another list."""
        self._ask("PUT", f"campaigndraft/{draft}", {"ContactsListID": to.mailjet_id})

    def call_off(self, draft: int) -> None:
        """Take its schedule away."""
        self._ask("DELETE", f"campaigndraft/{draft}/schedule", None)

    def delete(self, draft: int) -> None:
        """Delete the draft."""
        self._ask("DELETE", f"campaigndraft/{draft}", None)

    def send(self, draft: int) -> None:
        """Send it now."""
        self._ask("POST", f"campaigndraft/{draft}/send", None)

    def sends(self, to: ContactList, subject: str, **fields: Any) -> int:
        """Draft it and send it at once; the draft's id."""
        key = self.draft(to, subject, **fields)
        self.send(key)
        return key

    def plans(self, to: ContactList, subject: str, *, days: float, **fields: Any) -> int:
        """Draft it and have it sent in so many days; the draft's id."""
        key = self.draft(to, subject, **fields)
        self.schedule(key, at=self.clock.in_days(days))
        return key

    def _ask(self, method: str, path: str, body: Any) -> list[dict[str, Any]]:
        response = self.http.request(method, f"/v3/REST/{path}", json=body)
        assert response.is_success, f"{method} {path}: {response.text}"
        rows: list[dict[str, Any]] = response.json()["Data"] if response.content else []
        return rows


@contextmanager
def at_work(standin: StandIn, clock: Clock) -> Iterator[Marketing]:
    """Somebody signed in at Mailjet."""
    with signed_in(standin.serving) as http:
        yield Marketing(http, clock)


# --- The planted world -------------------------------------------------------------------------------


def play(
    rows: Sequence[Planted], scene: Scene, marketing: Marketing, *, each_day: Callable[[], object]
) -> Mapping[int, int]:
    """Let all of it happen, hour by hour; the draft of each row. `each_day` is called at 13 o'clock."""
    lists = (scene.lists.master, *scene.lists.campaign)
    drafts: dict[int, int] = {}
    start = scene.clock() + timedelta(days=2)
    deeds: list[tuple[float, int, Callable[[], object]]] = []
    for row in rows:
        deeds += _deeds(row, lists[row.list], marketing, drafts, start=start)
    last = int(max(row.day for row in rows)) + 1
    deeds += [(number + 0.05, 0, each_day) for number in range(-1, last)]
    for day, _, deed in sorted(deeds, key=lambda each: each[:2]):
        scene.clock.passes(start + timedelta(days=day) - scene.clock())
        deed()
    return drafts


def _deeds(
    row: Planted, to: ContactList, marketing: Marketing, drafts: dict[int, int], *, start: datetime
) -> list[tuple[float, int, Callable[[], object]]]:
    """What people do about one send, and when: day, order, deed."""

    def draft() -> None:
        drafts[row.number] = marketing.draft(
            to,
            row.subject,
            Title=row.title,
            SegmentationID=None if row.segment is None else marketing.segment(row.segment),
            AXTestingID=row.ab_test,
            AXFraction=None if row.ab_test is None else 50,
        )

    def schedule() -> None:
        draft()
        marketing.schedule(drafts[row.number], at=start + timedelta(days=row.day))

    def send() -> None:
        draft()
        marketing.send(drafts[row.number])

    if row.how is How.AT_ONCE:
        return [(row.day, row.number, send)]
    deeds = [(row.day - 1, row.number, schedule)]
    if row.how is How.CALLED_OFF:
        deeds.append((row.day - 0.5, row.number, lambda: marketing.call_off(drafts[row.number])))
    return deeds


def words(row: CampaignSchedule, numbers: Mapping[int | None, int]) -> str:
    """A label as the planted ones are written; `numbers` are the planted rows' by draft."""
    kind = row.kind.replace("_", "-")
    cycle = "" if row.cycle is None else f", cycle {row.cycle.number}"
    if row.of is not None:
        return f"{kind} of {numbers[row.of.mailjet_draft_id]}{cycle}"
    if row.cycle is None:
        return kind
    return f"{kind} {row.round} of{cycle.removeprefix(',')}" + (
        ", cancelled" if row.status == "cancelled" else ""
    )
