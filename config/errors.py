"""Unexpected errors go to Sentry, without personal data (P8)."""

from __future__ import annotations

import json
from typing import Any

import sentry_sdk

from integrations.correlation import correlation_id
from integrations.privacy import without_addresses


def report_to(dsn: str) -> None:
    """Report unexpected errors to this Sentry project; no local variables, no request bodies, no users."""
    sentry_sdk.init(
        dsn=dsn,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        before_send=_scrubbed,
        before_breadcrumb=lambda crumb, hint: None,
    )


def _scrubbed(event: Any, hint: dict[str, Any]) -> Any:
    """The event with every address in it replaced, and the run's correlation id on it."""
    clean = json.loads(without_addresses(json.dumps(event, default=str)))
    clean.setdefault("tags", {})["correlation_id"] = correlation_id.get()
    return clean
