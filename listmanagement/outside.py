"""The clients a workflow gets, and what the settings say: the real set is made at the doors."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from agents.asking import Ask
from integrations.cache import Cache
from integrations.dns import Dns
from integrations.mailjet import Budget, Mailjet, MailjetPaused
from integrations.slack import Slack, connect
from listmanagement import turns
from listmanagement.domain import breaker
from listmanagement.domain.breaker import Breaker, BreakerRules, BreakerState
from listmanagement.domain.limits import Limits

if TYPE_CHECKING:
    from integrations.gemini import Gemini

log = logging.getLogger("evenkeel.outside")

_BUDGET_LOCK = 0x6D61696C  # "mail": one number for all processes
_REQUESTS = "listmanagement_mailjetrequest"
_RULES = BreakerRules()
_A_PAGE_WAITS = 2.0
_KEPT_SECONDS = 3600  # the last hour's requests are shown on the console
_SPENDING_KEPT_SECONDS = 40 * 86_400  # a run's limit counts for as long as a run may wait, and then some


@dataclass(frozen=True)
class Configuration:
    """What the settings say about list management."""

    enabled: bool
    site_url: str
    master_list_id: int
    campaign_list_ids: tuple[int, ...]
    suppression_list_id: int
    balance_threshold: float
    between_mails: timedelta
    """A change of list brings a person no two mails closer together than this."""
    first_send_share: float
    """How many of a list's members may bounce hard because the backlog joins it, 0 to 1."""
    agents_within: float
    """Seconds that an analysis waits for all of its agents together."""
    maintenance_delay: timedelta
    limits: Limits
    """How long a step and a run may work."""
    weekly_check_day: int
    """Counts as cron does: 1 is Monday, 0 and 7 are Sunday."""
    weekly_check_hour: int
    """UTC."""
    pre_campaign_enforce: bool
    """Whether a draft is unscheduled where the look before its send says block."""
    gemini_tokens_per_day: int
    mailjet_is_stand_in: bool
    salt: str
    webhook_user: str
    webhook_password: str = field(repr=False)
    """Empty: nobody may tell us events."""

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
    dns: Dns | None = None
    """None: a setting says that DNS is not asked."""


class SharedBudget(Budget):
    """At most so many requests to Mailjet in any minute, over all processes, counted in PostgreSQL.

    Background reads use at most half. The lock is held for the count alone, never over a request. How
    requests end changes nothing here.
    """

    def __init__(self, *, per_minute: int, sleep: Callable[[float], None] = time.sleep) -> None:
        self.per_minute = per_minute
        self._sleep = sleep

    def acquire(self, *, background: bool) -> None:
        """Wait until one more request is allowed, and count it."""
        while wait := self._claim(background=background):
            self._sleep(wait + random.uniform(0, 0.2))  # noqa: S311  (spreads waiters, decides nothing)

    def _claim(self, *, background: bool) -> float:
        """0 when a request was allowed and counted, else the seconds until one may be."""
        with turns.alone(_BUDGET_LOCK) as cursor:
            wait = self._wait(cursor, background=background)
            if not wait:
                _count(cursor, background=background)
            return wait

    def _wait(self, cursor: CursorWrapper, *, background: bool) -> float:
        wait = turns.seconds_until_one(cursor, _REQUESTS, allowed=self.per_minute)
        if background:
            half = max(self.per_minute // 2, 1)
            wait = max(wait, turns.seconds_until_one(cursor, _REQUESTS, allowed=half, kinds=[True]))
        return wait


class GuardedBudget(SharedBudget):
    """The shared budget behind a circuit breaker and a common back-off, both for all processes.

    While the breaker is open every call raises MailjetPaused at once, until one request may find out
    whether Mailjet is back. After "too many requests" all wait together.
    """

    def __init__(
        self,
        *,
        per_minute: int,
        sleep: Callable[[float], None] = time.sleep,
        rules: BreakerRules = _RULES,
    ) -> None:
        super().__init__(per_minute=per_minute, sleep=sleep)
        self._rules = rules

    def _claim(self, *, background: bool) -> float:
        with turns.alone(_BUDGET_LOCK) as cursor:
            shared, now = _breaker(cursor)
            if until := breaker.refused_until(shared, at=now):
                raise MailjetPaused(_refusal(shared, until=until), until=until)
            backing_off = breaker.back_off(shared, at=now).total_seconds()
            wait = max(backing_off, self._wait(cursor, background=background))
            if not wait:
                _count(cursor, background=background)
                _keep(cursor, breaker.admitted(shared, at=now, rules=self._rules), instead_of=shared)
            return wait

    def note_success(self) -> None:
        """Mailjet answered: close the breaker, forget failures. Writes only where there is something to."""
        with connection.cursor() as cursor:
            cursor.execute(
                "select 1 from listmanagement_mailjetbreaker"
                " where state <> 'closed' or failed_at <> '{}' or backed_off > 0"
            )
            if cursor.fetchone() is None:
                return
        self._note(breaker.answered)

    def note_failure(self, why: str) -> None:
        """Mailjet did not answer: open the breaker where that is one failure too many."""
        self._note(partial(breaker.failed, why=why, rules=self._rules))

    def note_rate_limited(self, *, asked: float | None) -> None:
        """Mailjet said "too many": let everybody wait."""
        jitter = random.uniform(1, 2)  # noqa: S311  (spreads waiters, decides nothing)
        self._note(partial(breaker.rate_limited, asked=asked, jitter=jitter, rules=self._rules))

    def _note(self, change: Callable[..., Breaker]) -> None:
        with turns.alone(_BUDGET_LOCK) as cursor:
            shared, now = _breaker(cursor)
            _keep(cursor, change(shared, at=now), instead_of=shared)


class ImpatientBudget(GuardedBudget):
    """The same for a page that somebody waits for: where it would have to wait, it raises MailjetPaused.

    It takes part in nothing else: a page gives up sooner than a run, so what it could not wait for tells
    nothing of Mailjet, and the one request that finds out whether Mailjet is back is not a page's.
    """

    def acquire(self, *, background: bool) -> None:
        """Count one more request, or raise."""
        with turns.alone(_BUDGET_LOCK) as cursor:
            shared, now = _breaker(cursor)
            if shared.state is not BreakerState.CLOSED:
                raise MailjetPaused("Mailjet is not asked by pages while it does not answer", until=now)
            wait = self._wait(cursor, background=True)
            wait = max(breaker.back_off(shared, at=now).total_seconds(), wait)
            if wait:
                raise MailjetPaused("this minute's requests are used up", until=now + timedelta(seconds=wait))
            _count(cursor, background=True)

    def note_failure(self, why: str) -> None:
        """A page's time-out says nothing of Mailjet."""


def _count(cursor: CursorWrapper, *, background: bool) -> None:
    cursor.execute(
        "insert into listmanagement_mailjetrequest (at, background) values (clock_timestamp(), %s)",
        [background],
    )


_COLUMNS = [field.name for field in fields(Breaker)]


def _breaker(cursor: CursorWrapper) -> tuple[Breaker, datetime]:
    """The breaker's row, and PostgreSQL's clock. No row: nothing has gone wrong yet."""
    cursor.execute(
        f"select clock_timestamp(), {', '.join(_COLUMNS)} from (values (1)) as one(id)"  # noqa: S608  (fixed)
        " left join listmanagement_mailjetbreaker using (id)"
    )
    now, *columns = cursor.fetchone()
    values = dict(zip(_COLUMNS, columns, strict=True))
    if values["state"] is None:
        return breaker.WELL, now
    state, failed_at = BreakerState(values["state"]), tuple(values["failed_at"])
    return Breaker(**{**values, "state": state, "failed_at": failed_at}), now


def _keep(cursor: CursorWrapper, now: Breaker, *, instead_of: Breaker) -> None:
    if now == instead_of:
        return
    if now.state is not instead_of.state:
        told = {"state": now.state.value, "until": now.until, "why": now.why}
        log.warning("mailjet's breaker is %(state)s until %(until)s: %(why)s", told, extra=told)
        _keep_outage(cursor, now, instead_of=instead_of)
    values = [*(getattr(now, name) for name in _COLUMNS)]
    values = [list(value) if isinstance(value, tuple) else value for value in values]
    cursor.execute(
        f"insert into listmanagement_mailjetbreaker (id, {', '.join(_COLUMNS)})"  # noqa: S608  (fixed)
        f" values (1{', %s' * len(_COLUMNS)}) on conflict (id) do update"
        f" set ({', '.join(_COLUMNS)}) = ({', '.join(f'excluded.{name}' for name in _COLUMNS)})",
        values,
    )


def _keep_outage(cursor: CursorWrapper, now: Breaker, *, instead_of: Breaker) -> None:
    """An outage begins and ends in the transaction that opens and closes the breaker.

    Who tells people about it finds it here, however short it was: this layer knows no messages.
    """
    opens = instead_of.state is BreakerState.CLOSED
    if opens or now.state is BreakerState.CLOSED:
        cursor.execute(
            "update listmanagement_mailjetoutage set ended_at = greatest(clock_timestamp(), began_at)"
            " where ended_at is null"
        )
    if opens:
        cursor.execute(
            "insert into listmanagement_mailjetoutage (began_at, why) values (%s, %s)", [now.since, now.why]
        )


def _refusal(shared: Breaker, *, until: datetime) -> str:
    again = until.astimezone(UTC).strftime("%H:%M:%S UTC")
    return (
        f"Mailjet is not asked before {again}: {len(shared.failed_at)} failures in a row, "
        f"the last was {shared.why}"
    )


def forget_old_requests() -> None:
    """Delete counted requests, to Mailjet and to Gemini, that no limit looks at any more."""
    kept = {"mailjetrequest": _KEPT_SECONDS, "geminirequest": _SPENDING_KEPT_SECONDS}
    with connection.cursor() as cursor:
        for table, seconds in kept.items():
            cursor.execute(
                f"delete from listmanagement_{table}"  # noqa: S608  (fixed)
                " where at < clock_timestamp() - make_interval(secs => %s)",
                [seconds],
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
        between_mails=timedelta(days=settings.LIST_DAYS_BETWEEN_MAILS),
        first_send_share=float(settings.LIST_FIRST_SEND_BOUNCE_PERCENT) / 100,
        agents_within=float(settings.GEMINI_ANALYSIS_SECONDS),
        maintenance_delay=timedelta(hours=settings.LIST_MAINTENANCE_DELAY_HOURS),
        limits=Limits(
            step=timedelta(minutes=settings.LIST_STEP_LIMIT_MINUTES),
            run=timedelta(minutes=settings.LIST_RUN_LIMIT_MINUTES),
        ),
        weekly_check_day=settings.WEEKLY_HEALTH_CHECK_DAY,
        weekly_check_hour=settings.WEEKLY_HEALTH_CHECK_HOUR,
        pre_campaign_enforce=settings.PRE_CAMPAIGN_ENFORCE,
        gemini_tokens_per_day=settings.GEMINI_TOKENS_PER_DAY,
        mailjet_is_stand_in=settings.MAILJET_IS_STAND_IN,
        salt=settings.SECRET_KEY,
        webhook_user=settings.MAILJET_WEBHOOK_USER,
        webhook_password=settings.MAILJET_WEBHOOK_PASSWORD,
    )


def ask(*, clock: Callable[[], datetime] = timezone.now) -> Ask | None:
    """Gemini, as the settings name it, under the shared allowance. None without a key: rules judge.

    Identical questions are answered from what was answered lately, as far as the settings let them.
    """
    afresh = ask_afresh()
    if afresh is None:
        return None
    from listmanagement import asking

    within = timedelta(hours=settings.GEMINI_REUSE_HOURS)
    reusing = asking.Reusing(afresh, model=settings.GEMINI_MODEL, within=within, clock=clock)
    return asking.OnAnyThread(reusing)


def ask_afresh() -> Ask | None:
    """The same without the answers of before: each question is put to Gemini. None without a key."""
    if not settings.GEMINI_API_KEY:
        return None
    from listmanagement import (
        asking,  # the SDK takes a second to load, which nobody without a key should wait
    )

    return asking.GeminiAsk(_gemini(), temperatures=settings.GEMINI_TEMPERATURES)


def _gemini() -> Gemini:
    from listmanagement import asking

    return asking.connected(
        api_key=settings.GEMINI_API_KEY,
        model=settings.GEMINI_MODEL,
        base_url=settings.GEMINI_BASE_URL,
        api_version=settings.GEMINI_API_VERSION,
        timeout=float(settings.GEMINI_TIMEOUT_SECONDS),
        limits=asking.Limits(
            requests_per_minute=settings.GEMINI_REQUESTS_PER_MINUTE,
            tokens_per_run=settings.GEMINI_TOKENS_PER_RUN,
            tokens_per_day=settings.GEMINI_TOKENS_PER_DAY,
        ),
    )


def mailjet() -> Mailjet:
    """Mailjet, as the settings name it, under the shared budget and its breaker."""
    return _mailjet(background=False)


def background_mailjet() -> Mailjet:
    """The same for reads that can wait: they use at most half of the budget."""
    return _mailjet(background=True)


def impatient_mailjet() -> Mailjet:
    """The same for a page: two seconds a request, one try, and no wait for the budget."""
    return Mailjet(
        **_account(),
        budget=ImpatientBudget(per_minute=settings.MAILJET_REQUESTS_PER_MINUTE),
        background=True,
        timeout=_A_PAGE_WAITS,
        sleep=_no_second_try,
    )


def _no_second_try(seconds: float) -> None:
    raise MailjetPaused("Mailjet did not answer", until=timezone.now())


def _mailjet(*, background: bool) -> Mailjet:
    budget = GuardedBudget(per_minute=settings.MAILJET_REQUESTS_PER_MINUTE)
    return Mailjet(**_account(), budget=budget, background=background)


def _account() -> dict[str, Any]:
    return {
        "base_url": settings.MAILJET_BASE_URL,
        "api_key": settings.MAILJET_API_KEY,
        "api_secret": settings.MAILJET_API_SECRET,
        "master_list_id": settings.MAILJET_MASTER_LIST_ID,
    }


def cache() -> Cache:
    """What pages remember of lists: in the broker's Redis, under this database's own name."""
    return _cache(settings.REDIS_URL, connection.settings_dict["NAME"], settings.CACHE_TTL_SECONDS)


@lru_cache(maxsize=4)
def _cache(url: str, database: str, seconds: int) -> Cache:
    """One for all threads of the process: whether Redis answers is one thing for all."""
    return Cache(url, prefix=f"evenkeel:{database}:", seconds=seconds)


def dns() -> Dns | None:
    """The resolver that the settings name, or this machine's; None where they turn it off."""
    return Dns(resolver=settings.DNS_RESOLVER) if settings.DNS_ENABLED else None


def slack() -> Slack | None:
    """Slack by bot token, else by incoming webhook; None where neither is set: messages wait."""
    return connect(
        bot_token=settings.SLACK_BOT_TOKEN,
        channel=settings.SLACK_CHANNEL,
        base_url=settings.SLACK_API_BASE_URL,
        webhook_url=settings.SLACK_WEBHOOK_URL,
    )


@contextmanager
def real(*, background: bool = False) -> Iterator[Outside]:
    """The real set, from the settings. Without a Gemini key nobody is asked: rules judge.

    In the background Mailjet is asked with at most half of the budget.
    """
    with _mailjet(background=background) as connected:
        yield Outside(mailjet=connected, slack=slack(), ask=ask(), configuration=configuration(), dns=dns())
