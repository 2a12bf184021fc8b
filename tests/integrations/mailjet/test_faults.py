"""Whatever goes wrong at Mailjet, who keeps to the client's rules ends where he would have without it.

The rules: a read may be repeated; a write that was lost is looked up, and else what is missing is sent; a
job that ended is believed only when the lists show it.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations import mailjet as m
from integrations.sandbox.control import Control
from tests.integrations.mailjet.saying import LIST, MASTER, OTHER
from tests.integrations.mailjet.world import PEOPLE, document

MOVED = {1: PEOPLE[0], 2: PEOPLE[1], 3: PEOPLE[2]}
"""Who is moved from one list to the other, by id."""

WRITES = "managemanycontacts$"
READS = "listrecipient|batchjob|/contact$|managemanycontacts/"
FAULTS: dict[str, dict[str, Any]] = {
    **{
        f"a write is answered {status}": {"path": WRITES, "method": "POST", "status": status}
        for status in (429, 500, 502, 503, 504)
    },
    "a write never arrives": {"path": WRITES, "method": "POST", "drop": True},
    "a write's answer is lost": {"path": WRITES, "method": "POST", "timeout_after_acceptance": 0},
    **{
        f"a job {what}": {"path": WRITES, "method": "POST", "job": fate}
        for what, fate in {"errs": "error", "lies": "lie", "does a part": "partial", "hangs": "hang"}.items()
    },
    **{
        f"a read is answered {status}": {"path": READS, "method": "GET", "status": status}
        for status in (429, 500, 502, 503, 504)
    },
    "a read is cut off": {"path": READS, "method": "GET", "drop": True},
    "a read's answer is lost": {"path": READS, "method": "GET", "timeout_after_acceptance": 0},
}


@pytest.fixture
def faulty(control: Control) -> Iterator[Control]:
    """The stand-in, without faults at the end."""
    yield control
    control.clear_faults()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("times", [1, 2])
def test_a_move_ends_the_same_with_each_fault(
    mailjet: m.Mailjet, faulty: Control, fault: str, times: int
) -> None:
    faulty.fault(**FAULTS[fault], times=times)

    move(mailjet, faulty)

    check_moved(faulty)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=st.lists(st.sampled_from(sorted(FAULTS)), max_size=4))
def test_a_move_ends_the_same_with_any_faults_together(
    mailjet: m.Mailjet, faulty: Control, faults: list[str]
) -> None:
    faulty.clear_faults()
    faulty.load(document())
    for fault in faults:
        faulty.fault(**FAULTS[fault], times=1)

    move(mailjet, faulty)

    check_moved(faulty)


def check_moved(control: Control) -> None:
    assert control.members(OTHER) == dict.fromkeys(MOVED, False)
    assert set(control.members(LIST)) == set(range(1, len(PEOPLE) + 1)) - set(MOVED)
    assert control.members(LIST)[6] is True
    assert control.members(MASTER) == {}


def move(mailjet: m.Mailjet, control: Control) -> None:
    """Onto the one list, seen there; then off the other."""
    bring_about(mailjet, control, list_id=OTHER, action=m.Action.ADD)
    bring_about(mailjet, control, list_id=LIST, action=m.Action.REMOVE)


def bring_about(mailjet: m.Mailjet, control: Control, *, list_id: int, action: m.Action) -> None:
    """Send what is missing until nothing is."""
    for _ in range(12):
        missing = still_missing(mailjet, list_id=list_id, action=action)
        if not missing:
            return
        since = datetime.fromtimestamp(control.advance(3), UTC)
        job = sent(mailjet, list_id=list_id, action=action, emails=missing, since=since)
        for _ in range(5 if job is not None else 0):
            control.advance(2)
            if status(mailjet, job, list_id=list_id) is not m.JobStatus.RUNNING:
                break
    raise AssertionError(f"{action} on list {list_id} was not done after twelve attempts")


def still_missing(mailjet: m.Mailjet, *, list_id: int, action: m.Action) -> list[str]:
    while True:
        try:
            there = {member.contact_id for rows in mailjet.members(list_id) for member in rows}
        except m.MailjetUnavailable:
            continue
        return [email for id, email in MOVED.items() if (id in there) is (action is m.Action.REMOVE)]


def sent(
    mailjet: m.Mailjet, *, list_id: int, action: m.Action, emails: Sequence[str], since: datetime
) -> m.JobId | None:
    """The job, be it found only afterwards; None where Mailjet has none."""
    try:
        return mailjet.submit(list_id=list_id, action=action, emails=emails)
    except m.MailjetUnavailable:
        return None
    except m.MailjetUncertain:
        return found(mailjet, list_id=list_id, since=since - timedelta(seconds=1))


def found(mailjet: m.Mailjet, *, list_id: int, since: datetime) -> m.JobId | None:
    while True:
        try:
            jobs = mailjet.recent_jobs(since=since)
        except m.MailjetUnavailable:
            continue
        return next((m.JobId(job.id) for job in jobs if job.ref_id == list_id), None)


def status(mailjet: m.Mailjet, job: m.JobId | None, *, list_id: int) -> m.JobStatus:
    assert job is not None
    try:
        return mailjet.job(job, list_id=list_id).status
    except m.MailjetUnavailable:
        return m.JobStatus.RUNNING
