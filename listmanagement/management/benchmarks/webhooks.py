"""Events a second through the real door, beside PostgreSQL's own speed.

Groups as Mailjet sends them go through the whole application, middleware and password included, in one
process and one thread, each stored and committed before it is answered. The rows that result are then
copied bare, read from a file, into an empty table with the same keys and indexes, in the same run.
"""

from __future__ import annotations

import base64
import io
import json
import random
import tempfile
import time
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.management.base import CommandParser
from django.db import connection, transaction
from django.test.utils import override_settings

from listmanagement.management.benchmarks import scratch
from listmanagement.management.benchmarks.report import Benchmark, Bound, Figures, postgresql
from listmanagement.models import WebhookEvent

GROUP = 100
REPEATED = 0.1
FIRST_MESSAGE, FIRST_CONTACT, SENT_AT = 2**60, 6_000_000_000, 1_772_452_800
KINDS = ("sent", "sent", "sent", "open", "open", "sent", "click", "bounce", "sent", "sent")
PASSWORD = "of this benchmark alone"  # noqa: S105  (nobody else can come in: nothing listens)
BLOCK = 1 << 18


def add_arguments(parser: CommandParser) -> None:
    """--events."""
    parser.add_argument(
        "--events",
        type=_groups_of,
        default=200_000,
        help="events told; a multiple of 100, a tenth of them twice",
    )


def _groups_of(words: str) -> int:
    """So many events, in whole groups."""
    events = int(words)
    if events < GROUP or events % GROUP:
        raise ArgumentTypeError(f"{words} is no multiple of {GROUP}, from {GROUP} on")
    return events


def run(options: Mapping[str, Any]) -> Figures:
    """Tell so many events to the door, then copy the rows it kept."""
    with (
        tempfile.TemporaryDirectory() as directory,
        scratch.database(),
        override_settings(MAILJET_WEBHOOK_PASSWORD=PASSWORD),
    ):
        return _measured(options["events"], Path(directory))


def _measured(told: int, directory: Path) -> Figures:
    bodies = list(groups(told))
    _tell(bodies[:1])  # the first request loads what later ones find loaded
    WebhookEvent.objects.all().delete()
    seconds = _tell(bodies)
    kept = WebhookEvent.objects.count()
    copying = _copy(directory / "events.copy")
    rate, bare = kept / seconds, kept / copying
    figures = {
        "events_told": told,
        "requests": len(bodies),
        "group": GROUP,
        "bytes_told": sum(map(len, bodies)),
        "rows_kept": kept,
        "repeated_share": 1 - kept / told,
        "seconds": seconds,
        "milliseconds_a_request": 1000 * seconds / len(bodies),
        "events_a_second": told / seconds,
        "rows_a_second": rate,
        "bare_copy_seconds": copying,
        "bare_copy_rows_a_second": bare,
    }
    bounds = [Bound(figure="rows_over_bare_copy", value=rate / bare, at_least=0.1)]
    return Figures(figures=figures, bounds=bounds, postgresql=postgresql())


# --- What is told ------------------------------------------------------------------------------------------


def groups(told: int) -> Iterator[bytes]:
    """Requests of a hundred events, ten of which were told before, in any order."""
    dice = random.Random(1)  # noqa: S311  (repeatable chance, no secret)
    fresh, before = 0, [_event(0)]
    for _ in range(told // GROUP):
        repeated = dice.sample(before, min(len(before), round(GROUP * REPEATED)))
        news = [_event(fresh + n) for n in range(GROUP - len(repeated))]
        fresh += len(news)
        group = [*news, *repeated]
        dice.shuffle(group)
        before = news
        yield json.dumps(group).encode()


def _event(n: int) -> dict[str, Any]:
    """The n-th event, as Mailjet words one of its kind."""
    kind = KINDS[n % len(KINDS)]
    reader = {"ip": "192.0.2.7", "geo": "FR", "agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"}
    details: Mapping[str, Mapping[str, Any]] = {
        "sent": {"mj_message_id": str(FIRST_MESSAGE + n), "smtp_reply": "250 2.0.0 OK 1772452800 queued"},
        "open": reader,
        "click": {**reader, "url": f"https://www.example.com/article?n={n}"},
        "bounce": {
            "blocked": False,
            "hard_bounce": True,
            "error_related_to": "recipient",
            "error": "user unknown",
            "comment": "550 5.1.1 The email account that you tried to reach does not exist",
        },
    }
    return {
        "event": kind,
        "time": SENT_AT + n // 50,
        "MessageID": FIRST_MESSAGE + n,
        "Message_GUID": f"00000000-0000-4000-8000-{n:012x}",
        "email": f"contact-{n}@example.com",
        "mj_campaign_id": 5_200_000_001,
        "mj_contact_id": FIRST_CONTACT + n,
        "customcampaign": "mj.nl=9001",
        "CustomID": "",
        "Payload": "",
        **details[kind],
    }


# --- Telling it --------------------------------------------------------------------------------------------


def _tell(bodies: Sequence[bytes]) -> float:
    """The seconds it takes until each of these requests was answered."""
    application = WSGIHandler()
    began = time.perf_counter()
    for body in bodies:
        _post(application, body)
    return time.perf_counter() - began


def _post(application: WSGIHandler, body: bytes) -> None:
    answers: list[str] = []

    def start(status: str, headers: Any, error: Any = None, /) -> Callable[[bytes], object]:
        answers.append(status)
        return bytes

    answer: Any = application(_request(body), start)
    answer.close()
    assert answers == ["200 OK"], answers


def _request(body: bytes) -> dict[str, Any]:
    key = f"{settings.MAILJET_WEBHOOK_USER}:{PASSWORD}".encode()
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/webhooks/mailjet/",
        "SERVER_NAME": settings.ALLOWED_HOSTS[0],
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_AUTHORIZATION": f"Basic {base64.b64encode(key).decode()}",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(body),
    }


# --- The bare COPY -----------------------------------------------------------------------------------------


def _copy(path: Path) -> float:
    """How long PostgreSQL takes to copy the rows that were kept. Nothing stays of it."""
    table = WebhookEvent._meta.db_table
    with transaction.atomic(), connection.cursor() as cursor:
        with path.open("wb") as file, cursor.copy(f"copy {table} to stdout") as copy:
            file.writelines(copy)
        cursor.execute(f"create table bare_event (like {table} including all)")
        began = time.perf_counter()
        with transaction.atomic(), cursor.copy("copy bare_event from stdin") as copy:
            for block in _blocks(path):
                copy.write(block)
        seconds = time.perf_counter() - began
        transaction.set_rollback(True)
    return seconds


def _blocks(path: Path) -> Iterable[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


BENCHMARK = Benchmark(
    name="webhooks",
    help="Tell events through the real door, in groups, a tenth of them twice, beside a bare COPY.",
    add_arguments=add_arguments,
    run=run,
)
