"""Structured log lines, one JSON object each, with one correlation id from start to end of a run.

No personal data: addresses in a message are masked, and libraries that log URLs are silenced,
because an address can be part of one (P8).
"""

from __future__ import annotations

import json
import logging
import logging.config
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from django.http import HttpRequest, HttpResponse

from integrations.correlation import correlated, correlation_id
from integrations.privacy import without_addresses

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, correlation id, and the extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, scrubbed."""
        extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **extra,
        }
        if found := correlation_id.get():
            line["correlation_id"] = found
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return without_addresses(json.dumps(line, default=str))


def configure(*, level: str) -> None:
    """Log to standard error at this level."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": JsonLines}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {
                name: {"level": "WARNING"}
                for name in (
                    "httpx",
                    "httpcore",
                    "httpx2",
                    "httpcore2",
                    "google_genai",
                    "slack_sdk",
                    "urllib3",
                    "amqp",
                    "kombu",
                    "django.request",
                )
            },
        }
    )


def correlate_requests(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: each request has an id, which its log lines and its answer carry."""

    def middleware(request: HttpRequest) -> HttpResponse:
        with correlated(uuid.uuid4().hex):
            response = get_response(request)
            response["X-Request-Id"] = correlation_id.get()
            return response

    return middleware
