"""How Mailjet is asked: the budget of requests, the circuit breaker, the lists' ages, and past outages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Count, Q
from django.db.models.functions import TruncMinute
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from integrations import cache as cached
from listmanagement.admin import show
from listmanagement.admin.readonly import ReadOnlyAdmin
from listmanagement.domain.breaker import BreakerState
from listmanagement.models import ContactList, MailjetBreaker, MailjetOutage, MailjetRequest
from listmanagement.outside import cache

SHOWN = timedelta(hours=1)  # as long as requests are kept
A_ROW = timedelta(minutes=10)
TONES = {
    BreakerState.CLOSED: show.Tone.GOOD,
    BreakerState.OPEN: show.Tone.BAD,
    BreakerState.PROBING: show.Tone.WAITING,
}
WORDS = {
    BreakerState.CLOSED: "closed: Mailjet is asked",
    BreakerState.OPEN: "open: Mailjet is not asked",
    BreakerState.PROBING: "probing: one request finds out whether Mailjet is back",
}


CACHE = show.Chip("Redis answers", show.Tone.GOOD)
NO_CACHE = show.Chip("Redis does not answer: pages count everything themselves", show.Tone.WAITING)


@dataclass(frozen=True, slots=True)
class Line:
    """Ten minutes of requests."""

    when: str
    requests: int
    background: int
    busiest_minute: int


@dataclass(frozen=True, slots=True)
class Tally:
    """A day of what pages asked the cache for."""

    day: str
    found: str
    hits: int
    misses: int
    failures: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How Mailjet is asked now, and was during the last hour."""

    state: show.Chip
    facts: Sequence[tuple[str, str]]
    last_hour: Sequence[Line]
    lists: Sequence[tuple[str, str]]
    cache: show.Chip
    """Whether pages have one."""
    found_there: Sequence[Tally]
    """How often they found in it what they asked for, day by day."""


def banner(*, now: datetime) -> str | None:
    """What every page says while the breaker is not closed; None while it is."""
    breaker = MailjetBreaker.objects.exclude(state=BreakerState.CLOSED).first()
    if breaker is None:
        return None
    assert breaker.since is not None
    assert breaker.until is not None
    if breaker.state == BreakerState.OPEN and breaker.until > now:
        words = f"Mailjet is not asked before {_time(breaker.until, now=now)}"
    else:
        words = f"Mailjet has not answered since {_time(breaker.since, now=now)} and is being asked again"
    read_at = ContactList.objects.as_of()
    age = f"are as of {_time(read_at, now=now)}" if read_at is not None else "are incomplete"
    return f"{words}; figures {age}. Changes wait in the journal."


def _time(at: datetime, *, now: datetime) -> str:
    """Today's times by the clock alone."""
    return f"{at:%H:%M} UTC" if at.date() == now.date() else show.when(at)


def standing(*, now: datetime) -> Standing:
    """The budget and the breaker as they are."""
    breaker = MailjetBreaker.objects.first() or MailjetBreaker()
    state = BreakerState(breaker.state)
    tallies = cache().tallies()
    return Standing(
        state=show.Chip(WORDS[state], TONES[state]),
        facts=[*_budget(now=now), *_facts(breaker, now=now)],
        last_hour=_last_hour(now=now),
        lists=[
            (each.name, show.when(each.read_at) if each.read_at is not None else "never read whole")
            for each in ContactList.objects.order_by("role", "position")
        ],
        cache=NO_CACHE if tallies is None else CACHE,
        found_there=[_tally(each) for each in tallies or ()],
    )


def _tally(each: cached.Tally) -> Tally:
    rate = show.percent(each.rate) if each.rate is not None else show.NOTHING
    return Tally(f"{each.day:%d %b}".lstrip("0"), rate, each.hits, each.misses, each.failures)


def _budget(*, now: datetime) -> list[tuple[str, str]]:
    allowed = settings.MAILJET_REQUESTS_PER_MINUTE
    counted = MailjetRequest.objects.filter(at__gt=now - timedelta(minutes=1)).aggregate(
        all=Count("pk"), background=Count("pk", filter=Q(background=True))
    )
    return [
        ("Requests in the last minute", f"{counted['all']:,} of {allowed:,} allowed"),
        ("Of them in the background", f"{counted['background']:,} of {max(allowed // 2, 1):,}"),
    ]


def _facts(breaker: MailjetBreaker, *, now: datetime) -> list[tuple[str, str]]:
    until = breaker.back_off_until
    waits_until = until if until is not None and until > now else None
    return [
        ("Not answering since", _exactly(breaker.since)),
        ("Asked again at", _exactly(breaker.until)),
        ("Last failure", breaker.why or show.NOTHING),
        ("Failures in a row", f"{len(breaker.failed_at)}"),
        ("Too many requests: all wait until", _exactly(waits_until)),
    ]


def _exactly(at: datetime | None) -> str:
    """To the second: pauses are half a minute."""
    return f"{at:%d %b, %H:%M:%S} UTC".lstrip("0") if at is not None else show.NOTHING


def _last_hour(*, now: datetime) -> list[Line]:
    end = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    minutes = (
        MailjetRequest.objects.filter(at__gte=end - SHOWN)
        .annotate(minute=TruncMinute("at"))
        .values("minute")
        .annotate(all=Count("pk"), behind=Count("pk", filter=Q(background=True)))
        .order_by("minute")
    )
    found = list(minutes)
    starts = [end - A_ROW * n for n in range(1, SHOWN // A_ROW + 1)]
    return [
        _line(start, [each for each in found if start <= each["minute"] < start + A_ROW]) for start in starts
    ]


def _line(start: datetime, minutes: Iterable[Mapping[str, Any]]) -> Line:
    counted = [(each["all"], each["behind"]) for each in minutes]
    return Line(
        when=f"{start:%H:%M} to {start + A_ROW:%H:%M} UTC",
        requests=sum(number for number, _ in counted),
        background=sum(behind for _, behind in counted),
        busiest_minute=max((number for number, _ in counted), default=0),
    )


@admin.register(MailjetOutage)
class OutageAdmin(ReadOnlyAdmin):
    """How Mailjet is asked now; below it, when it was not there."""

    change_list_template = "admin/listmanagement/mailjetoutage/list.html"
    list_display = ("began_at", "ended_at", "lasted", "why", "told_at")
    date_hierarchy = "began_at"
    ordering = ("-began_at",)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """With the budget and the breaker above."""
        now = {"standing": standing(now=timezone.now())}
        return super().changelist_view(request, {**now, **(extra_context or {})})

    @admin.display(description="lasted")
    def lasted(self, outage: MailjetOutage) -> SafeString | str:
        """For how long Mailjet was not asked."""
        if outage.ended_at is None:
            return show.chip("open").html
        seconds = (outage.ended_at - outage.began_at).total_seconds()
        return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
