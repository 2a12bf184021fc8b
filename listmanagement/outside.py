"""The clients a workflow gets, and what the settings say: the real set is made at the doors."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from agents.asking import Ask
from integrations.mailjet import Budget, Mailjet
from integrations.slack import Slack, connect

_BUDGET_LOCK = 0x6D61696C  # "mail": one number for all processes
_WINDOW_SECONDS = 62  # Mailjet counts arrivals; two seconds cover what a request spends on its way
_KEPT_SECONDS = 3600  # the last hour's requests are shown on the console


@dataclass(frozen=True)
class Configuration:
    """What the settings say about list management."""

    enabled: bool
    site_url: str
    master_list_id: int
    campaign_list_ids: tuple[int, ...]
    suppression_list_id: int
    balance_threshold: float
    maintenance_delay: timedelta
    mailjet_is_stand_in: bool
    salt: str

    def list_ids(self) -> dict[str, int]:
        """Each configured list's Mailjet id, by the variable that names it."""
        campaign = {
            f"MAILJET_CAMPAIGN_LIST_{n}_ID": list_id for n, list_id in enumerate(self.campaign_list_ids, 1)
        }
        return {
            "MAILJET_MASTER_LIST_ID": self.master_list_id,
            **campaign,
            "MAILJET_SUPPRESSION_LIST_ID": self.suppression_list_id,
        }


@dataclass(frozen=True)
class Outside:
    """Everything outside this process that a workflow may touch."""

    mailjet: Mailjet
    slack: Slack | None
    ask: Ask | None
    configuration: Configuration


class SharedBudget(Budget):
    """At most so many requests to Mailjet in any minute, over all processes, counted in PostgreSQL.

    Background reads use at most half. The lock is held for the count alone, never over a request.
    """

    def __init__(self, *, per_minute: int, sleep: Callable[[float], None] = time.sleep) -> None:
        self._per_minute = per_minute
        self._sleep = sleep

    def acquire(self, *, background: bool) -> None:
        """Wait until one more request is allowed, and count it."""
        while wait := self._claim(background=background):
            self._sleep(wait + random.uniform(0, 0.2))  # noqa: S311  (spreads waiters, decides nothing)

    def _claim(self, *, background: bool) -> float:
        """0 when a request was allowed and counted, else the seconds until one may be."""
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute("select pg_advisory_xact_lock(%s)", [_BUDGET_LOCK])
            wait = _seconds_until(cursor, allowed=self._per_minute, kinds=[True, False])
            if background:
                half = max(self._per_minute // 2, 1)
                wait = max(wait, _seconds_until(cursor, allowed=half, kinds=[True]))
            if not wait:
                cursor.execute(
                    "insert into listmanagement_mailjetrequest (at, background)"
                    " values (clock_timestamp(), %s)",
                    [background],
                )
            return wait


def _seconds_until(cursor: CursorWrapper, *, allowed: int, kinds: Sequence[bool]) -> float:
    """How long until the window holds fewer requests of these kinds (background or not) than allowed."""
    cursor.execute(
        """
        select count(*), %(window)s - extract(epoch from clock_timestamp() - min(at))
          from (select at from listmanagement_mailjetrequest
                 where at > clock_timestamp() - make_interval(secs => %(window)s)
                   and background = any(%(kinds)s)
                 order by at desc limit %(allowed)s) as latest
        """,
        {"window": _WINDOW_SECONDS, "kinds": list(kinds), "allowed": allowed},
    )
    counted, wait = cursor.fetchone()
    return max(float(wait), 0.01) if counted >= allowed else 0.0


def forget_old_requests() -> None:
    """Delete counted requests that no window needs any more."""
    with connection.cursor() as cursor:
        cursor.execute(
            "delete from listmanagement_mailjetrequest"
            " where at < clock_timestamp() - make_interval(secs => %s)",
            [_KEPT_SECONDS],
        )


def configuration() -> Configuration:
    """What the settings say."""
    return Configuration(
        enabled=settings.LIST_MANAGEMENT_ENABLED,
        site_url=settings.SITE_URL.rstrip("/"),
        master_list_id=settings.MAILJET_MASTER_LIST_ID,
        campaign_list_ids=settings.MAILJET_CAMPAIGN_LIST_IDS,
        suppression_list_id=settings.MAILJET_SUPPRESSION_LIST_ID,
        balance_threshold=float(settings.LIST_BALANCE_THRESHOLD),
        maintenance_delay=timedelta(hours=settings.LIST_MAINTENANCE_DELAY_HOURS),
        mailjet_is_stand_in=settings.MAILJET_IS_STAND_IN,
        salt=settings.SECRET_KEY,
    )


def mailjet() -> Mailjet:
    """Mailjet, as the settings name it, under the shared budget."""
    return Mailjet(
        base_url=settings.MAILJET_BASE_URL,
        api_key=settings.MAILJET_API_KEY,
        api_secret=settings.MAILJET_API_SECRET,
        budget=SharedBudget(per_minute=settings.MAILJET_REQUESTS_PER_MINUTE),
        master_list_id=settings.MAILJET_MASTER_LIST_ID,
    )


def slack() -> Slack | None:
    """Slack by bot token, else by incoming webhook; None where neither is set: messages wait."""
    return connect(
        bot_token=settings.SLACK_BOT_TOKEN,
        channel=settings.SLACK_CHANNEL,
        base_url=settings.SLACK_API_BASE_URL,
        webhook_url=settings.SLACK_WEBHOOK_URL,
    )


@contextmanager
def real() -> Iterator[Outside]:
    """The real set, from the settings. Without a Gemini key nobody is asked: rules judge."""
    with mailjet() as connected:
        yield Outside(mailjet=connected, slack=slack(), ask=None, configuration=configuration())
