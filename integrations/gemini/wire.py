"""What goes to Gemini and what its refusals mean."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
from google.genai import errors, types
from pydantic import BaseModel

from integrations.gemini.errors import GeminiError, GeminiRejected, GeminiUnavailable, Reason
from integrations.privacy import without_addresses
from integrations.retry_after import LONGEST_ASKED

SAFETY = [
    types.SafetySetting(category=category, threshold=types.HarmBlockThreshold.BLOCK_ONLY_HIGH)
    for category in (
        types.HarmCategory.HARM_CATEGORY_HARASSMENT,
        types.HarmCategory.HARM_CATEGORY_HATE_SPEECH,
        types.HarmCategory.HARM_CATEGORY_SEXUALLY_EXPLICIT,
        types.HarmCategory.HARM_CATEGORY_DANGEROUS_CONTENT,
    )
]
"""Stated, because the defaults differ by model: counts of dead addresses must not look like a threat."""

_SENT = frozenset(
    "$defs type format enum items prefixItems minItems maxItems minimum maximum anyOf oneOf properties "
    "additionalProperties required".split()
)
"""Keywords of JSON Schema that Gemini documents, but for those that only describe."""
_CHECKED_BY_US = frozenset(
    "title description default maxLength minLength pattern uniqueItems exclusiveMinimum exclusiveMaximum "
    "multipleOf".split()
)
"""What it does not know, or what only costs tokens. The answer's type holds all of it anyway."""


def schema_of(answer: type[BaseModel]) -> dict[str, Any]:
    """The type's form as far as Gemini can be told. Raises ValueError where that would be too little."""
    return _told(answer.model_json_schema(), of=answer.__name__)


def _told(node: Mapping[str, Any], *, of: str) -> dict[str, Any]:
    if "$ref" in node:
        return {"$ref": node["$ref"]}  # it takes nothing beside it
    if unknown := sorted(set(node) - _SENT - _CHECKED_BY_US):
        raise ValueError(f"{of}: Gemini cannot be told {unknown} of a JSON schema")
    return {name: _value(name, node[name], of=of) for name in node if name in _SENT}


def _value(name: str, value: Any, *, of: str) -> Any:
    if name in ("$defs", "properties"):
        return {key: _told(child, of=of) for key, child in value.items()}
    if name in ("anyOf", "oneOf", "prefixItems"):
        return [_told(child, of=of) for child in value]
    return _told(value, of=of) if isinstance(value, Mapping) else value


# --- Refusals ----------------------------------------------------------------------------------------

_LATER = {408: Reason.TIMED_OUT, 500: Reason.SERVER_ERROR}
_LATER |= dict.fromkeys((502, 503, 504), Reason.OVERLOADED)
_NEVER = {401: Reason.UNAUTHENTICATED, 403: Reason.FORBIDDEN, 404: Reason.UNKNOWN_MODEL}

BILLED_FOR_CERTAIN_NOTHING = (errors.APIError, httpx2.ConnectError, httpx2.ConnectTimeout)
"""Whatever raises one of these was never answered by a model."""


def refusal(error: errors.APIError) -> GeminiError:
    """What an answer other than 200 means."""
    code = error.code
    if code == httpx2.codes.TOO_MANY_REQUESTS:
        return _too_many(error)
    if code in _LATER:
        return GeminiUnavailable(_LATER[code], _said(error), retry_after=_retry_delay(error))
    if code == httpx2.codes.BAD_REQUEST:
        return GeminiRejected(_bad_request(error), _said(error))
    if code in _NEVER:
        return GeminiRejected(_NEVER[code], _said(error))
    is_client_error = 400 <= code < 500
    reason = Reason.INVALID_REQUEST if is_client_error else Reason.UNEXPECTED_STATUS
    return GeminiRejected(reason, _said(error))


def failure(error: httpx2.RequestError) -> GeminiUnavailable:
    """What no answer at all means."""
    kind = type(error).__name__
    if isinstance(error, httpx2.TimeoutException):
        return GeminiUnavailable(Reason.TIMED_OUT, kind)
    if isinstance(error, httpx2.ConnectError):
        return GeminiUnavailable(Reason.UNREACHABLE, kind)
    return GeminiUnavailable(Reason.CONNECTION_BROKE, kind)


def _too_many(error: errors.APIError) -> GeminiError:
    """A minute's limit passes by itself; a day's, or one of none at all, is somebody's to raise."""
    quotas = " ".join(str(each.get("quotaId", "")) for each in _violations(error))
    asked = _retry_delay(error)
    if "PerDay" in quotas or "limit: 0" in str(error.message):
        return GeminiRejected(Reason.QUOTA, _said(error), retry_after=asked)
    return GeminiUnavailable(Reason.RATE_LIMITED, _said(error), retry_after=asked)


def _bad_request(error: errors.APIError) -> Reason:
    if any(each.get("reason") == "API_KEY_INVALID" for each in _details(error)) or (
        "API key not valid" in str(error.message)
    ):
        return Reason.UNAUTHENTICATED
    return Reason.PRECONDITION if error.status == "FAILED_PRECONDITION" else Reason.INVALID_REQUEST


def _retry_delay(error: errors.APIError) -> float | None:
    """Google's RetryInfo, in seconds, a day at most: `"37s"`, `"0.5s"`."""
    for each in _details(error):
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)s", str(each.get("retryDelay", "")))
        if str(each.get("@type", "")).endswith("RetryInfo") and found:
            return min(float(found[1]), LONGEST_ASKED)
    return None


def _violations(error: errors.APIError) -> Iterator[Mapping[str, Any]]:
    for each in _details(error):
        found = each.get("violations", [])
        yield from (one for one in found if isinstance(one, Mapping)) if isinstance(found, list) else ()


def _details(error: errors.APIError) -> list[Mapping[str, Any]]:
    """Google's list of details; a gateway's error has none."""
    body = error.details if isinstance(error.details, Mapping) else {}
    inner = body.get("error", {})
    found = inner.get("details", []) if isinstance(inner, Mapping) else []
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def _said(error: errors.APIError) -> str:
    """Status and Google's own words, in one line; of a gateway's page the status alone."""
    body = error.details if isinstance(error.details, Mapping) else {}
    is_googles = isinstance(body.get("error"), Mapping)
    words = " ".join(str(error.message or "").split()) if is_googles else ""
    return without_addresses(f"{error.code} {error.status or ''} {words}".strip())[:300]
