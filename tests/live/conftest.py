"""An account to test with: the stand-in's, or a real one."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytest_socket import socket_allow_hosts

from integrations.mailjet import Budget, Job, JobId, JobStatus, Mailjet
from integrations.sandbox import serve
from integrations.sandbox.control import Control
from tests.live.throwaway import Throwaway, throwaway

NO_LIST = 2**53
"""A master list that is not there: these tests protect none."""

LONGEST_JOB = 300.0
"""Seconds. Mailjet's jobs take seconds to minutes."""


class Paced(Budget):
    """At most four requests a second, 240 a minute."""

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds

    def acquire(self, *, background: bool) -> None:
        time.sleep(self._seconds)


@dataclass
class Account:
    """One account, what may be done to it, and how time passes there."""

    mailjet: Mailjet
    making: Throwaway
    pass_time: Callable[[float], None]
    base_url: str

    def done(self, job: JobId, *, list_id: int | None) -> Job:
        """The job, once Mailjet says that it has ended."""
        wait, waited = 1.0, 0.0
        while waited < LONGEST_JOB:
            found = self.mailjet.job(job, list_id=list_id)
            if found.status is not JobStatus.RUNNING:
                return found
            self.pass_time(wait)
            waited, wait = waited + wait, min(wait * 2, 30)
        raise AssertionError(f"job {job} still runs after {waited:.0f} s")

    def unsubscribed(self, list_id: int) -> dict[str, bool]:
        """Who is on the list, by address, and whether unsubscribed there."""
        emails = {contact.id: contact.email for rows in self.mailjet.contacts(list_id) for contact in rows}
        members = [member for rows in self.mailjet.members(list_id) for member in rows]
        return {emails[member.contact_id].lower(): member.unsubscribed for member in members}


@pytest.fixture(autouse=True)
def only_this_machine(request: pytest.FixtureRequest) -> None:
    """In place of the suite's: a live test may reach Mailjet."""
    if request.node.get_closest_marker("live") is None:
        socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.fixture(params=["stand-in", pytest.param("live", marks=pytest.mark.live)])
def account(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Account]:
    """An account without any of the test's lists yet; what the test makes is taken away."""
    with _live() if request.param == "live" else _standin(tmp_path) as account:
        yield account


@contextmanager
def _standin(directory: Path) -> Iterator[Account]:
    with serve(directory, rate=100_000) as standin, Control(standin.url) as control:
        control.load({})

        def passes(seconds: float) -> None:
            control.advance(seconds)

        with _account(
            base_url=standin.url,
            api_key=standin.api_key,
            api_secret=standin.api_secret,
            pass_time=passes,
            pace=0,
        ) as account:
            yield account


@contextmanager
def _live() -> Iterator[Account]:
    key, secret = os.environ.get("MAILJET_LIVE_API_KEY"), os.environ.get("MAILJET_LIVE_API_SECRET")
    if not key or not secret:
        pytest.skip("MAILJET_LIVE_API_KEY and MAILJET_LIVE_API_SECRET are not set")
    with _account(
        base_url=os.environ.get("MAILJET_LIVE_BASE_URL", "https://api.mailjet.com"),
        api_key=key,
        api_secret=secret,
        pass_time=time.sleep,
        pace=0.25,
    ) as account:
        yield account


@contextmanager
def _account(
    *, base_url: str, api_key: str, api_secret: str, pass_time: Callable[[float], None], pace: float
) -> Iterator[Account]:
    with (
        Mailjet(
            base_url=base_url,
            api_key=api_key,
            api_secret=api_secret,
            budget=Paced(seconds=pace),
            master_list_id=NO_LIST,
        ) as mailjet,
        throwaway(
            mailjet,
            base_url=base_url,
            api_key=api_key,
            api_secret=api_secret,
            configured=configured_lists(),
        ) as making,
    ):
        yield Account(mailjet=mailjet, making=making, pass_time=pass_time, base_url=base_url)


def configured_lists() -> frozenset[int]:
    """The lists that the environment named when the tests began, and those of a .env file."""
    named = os.environ.get("MAILJET_LIVE_CONFIGURED_LISTS", "")
    return frozenset(int(list_id) for list_id in named.split(",") if list_id)
