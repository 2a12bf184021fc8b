"""Requests and replies as values, and Mailjet's ways of refusing.

The error shapes are those of Mailjet's REST reference and of its recorded live traffic.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit

JSON_TYPE = "application/json; charset=UTF-8"
HTML_TYPE = "text/html"
REALM = 'Basic realm="Provide an apiKey and secretKey"'


@dataclass(frozen=True)
class Request:
    """One HTTP request, its body already read."""

    method: str
    path: str
    segments: tuple[str, ...]
    """The path's parts, decoded one by one: a quoted slash stays inside its part."""
    params: Mapping[str, str]
    """The query, names in lower case: Mailjet compares them without regard to case."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    query: str = ""
    """As it came, unquoted: for faults alone."""


@dataclass(frozen=True)
class Reply:
    """One HTTP answer."""

    status: int
    body: bytes = b""
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    drip_seconds: float = 0.0
    """Seconds between each few bytes of the body; 0 sends it at once."""


class Refused(Exception):
    """The request ends here with this answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def parse(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Request:
    """A request from its request line, headers and body."""
    parts = urlsplit(target)
    segments = tuple(unquote(each) for each in parts.path.strip("/").split("/"))
    params = {name.lower(): value for name, value in parse_qsl(parts.query, keep_blank_values=True)}
    lowered = {name.lower(): value for name, value in headers.items()}
    return Request(method, parts.path, segments, params, lowered, body, unquote_plus(parts.query))


def read_json(body: bytes) -> Any:
    """The body's value. Raises ValueError for what is not JSON, is nested too deeply or cannot be stored."""
    try:
        value = json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    return value


def as_json(value: Any, *, status: int = HTTPStatus.OK, reason: str = "") -> Reply:
    """Any value as a JSON answer."""
    return Reply(status, json.dumps(value, ensure_ascii=False).encode(), JSON_TYPE, {}, reason)


def envelope(
    rows: Sequence[Mapping[str, Any]], *, total: int | None = None, status: int = HTTPStatus.OK
) -> Reply:
    """Mailjet's envelope. Total repeats Count unless the caller asked for the overall number."""
    count = len(rows)
    return as_json(
        {"Count": count, "Data": list(rows), "Total": count if total is None else total}, status=status
    )


def created(row: Mapping[str, Any]) -> Reply:
    """201 with one row."""
    return envelope([row], status=HTTPStatus.CREATED)


def no_content() -> Reply:
    """204, the answer to a DELETE."""
    return Reply(HTTPStatus.NO_CONTENT)


def not_modified() -> Reply:
    """304, the answer to a PUT that changes nothing."""
    return Reply(HTTPStatus.NOT_MODIFIED)


def refusal(status: int, message: str, *, info: Any = "") -> Refused:
    """Mailjet's JSON error; the reason phrase repeats the message."""
    body: dict[str, Any] = {"ErrorInfo": info, "ErrorMessage": message, "StatusCode": int(status)}
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        body["ErrorIdentifier"] = str(uuid.uuid4())
    return Refused(as_json(body, status=status, reason=message))


def bad_request(message: str, *, info: Any = "") -> Refused:
    """400: an invalid value, a duplicate, bad JSON, a bad sort."""
    return refusal(HTTPStatus.BAD_REQUEST, message, info=info)


def invalid_property(name: str, why: str) -> Refused:
    """400 in the words of code MJ08."""
    return bad_request(f"MJ08 Property {name} is invalid: {why}")


def duplicate(resource: str, *, name: str, value: str) -> Refused:
    """400 in the words of code MJ18: a create of what exists."""
    return bad_request(f'MJ18 A {resource} resource with value "{value}" for {name} already exists.')


def read_only(name: str) -> Refused:
    """401 in the words of code MJ19: the property exists but is not the caller's to set."""
    return refusal(HTTPStatus.UNAUTHORIZED, f'MJ19 Setting a value for property "{name}" is not allowed')


def not_found(message: str = "Object not found") -> Refused:
    """404 for an unknown id or action."""
    return refusal(HTTPStatus.NOT_FOUND, message)


def unexpected() -> Refused:
    """500: what Mailjet says to a body of the wrong shape and to an unknown resource."""
    return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "An Unexpected Error occurred during API request")


def html(status: int, *, title: str) -> Reply:
    """The page a gateway answers with; not JSON, and without Retry-After."""
    head, body = f"<head><title>{title}</title></head>", f"<body><h1>{title}</h1></body>"
    page = f"<html>\r\n{head}\r\n{body}\r\n</html>\r\n"
    return Reply(status, page.encode(), HTML_TYPE)


def unauthorized() -> Reply:
    """401 for wrong keys: empty, and typed as HTML."""
    return Reply(HTTPStatus.UNAUTHORIZED, b"", HTML_TYPE, {"WWW-Authenticate": REALM})


def wrong_keys() -> Reply:
    """401 for wrong keys from version 4, which answers JSON."""
    return refusal(HTTPStatus.UNAUTHORIZED, "API key authentication/authorization failure").reply


def planted(status: int) -> Reply:
    """The answer to a request that a fault gives this status, in the shape the status has at Mailjet."""
    phrase = HTTPStatus(status).phrase
    if status == HTTPStatus.UNAUTHORIZED:
        return unauthorized()
    if status in (429, 502, 503, 504):
        return html(status, title=f"{status} {phrase}")
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return unexpected().reply
    return refusal(status, phrase).reply
