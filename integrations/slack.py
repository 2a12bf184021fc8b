"""Slack: a message built within its limits, and two ways to post it.

A bot token is the full way: it answers in threads and changes what it posted. An incoming webhook is the
lesser: it posts to its own channel and never learns under which number.

Slack has no idempotency key, so nothing is repeated here: whoever keeps the message decides, and
`SlackUnavailable.uncertain` says when it may stand in the channel already.

Addresses never leave: `message` replaces what looks like one, and escapes everything, so that no text from
outside can mention people or hide a link. Names it cannot recognise; leave them out.
"""

import json
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Protocol
from urllib.error import URLError
from urllib.parse import quote

from slack_sdk import WebClient, WebhookClient
from slack_sdk.errors import SlackApiError
from slack_sdk.models.blocks import (
    Block,
    ContextBlock,
    HeaderBlock,
    MarkdownTextObject,
    PlainTextObject,
    SectionBlock,
)

from integrations.privacy import without_addresses
from integrations.retry_after import seconds_asked

# The SDK's own lines carry bodies and the webhook's URL, which is a secret. What fails is raised instead.
_sdk_log = logging.getLogger("evenkeel.slack.sdk")
_sdk_log.setLevel(logging.CRITICAL)

BLOCKS = 50
"""Blocks a message may have."""

WEIGHT = 12_000
"""Characters all blocks together may have as JSON. Slack refuses above about 13,000."""

_TEXT, _HEADER, _SECTION, _FIELD = 3900, 150, 3000, 2000
_FIELDS_A_BLOCK = 10
_HALF_A_TOKEN = re.compile(r"(?:&(?:amp|am|a|lt|l|gt|g)?|<(?:https?:|[@#!])[^<>]*)$")

_BROKEN = (OSError, HTTPException, UnicodeDecodeError)
_NOT_HANDLED = {429, 503}
"""By HTTP's own words (RFC 9110, RFC 6585) the request was not handled: nothing was posted."""
_PASSING = {"ratelimited", "rate_limited", "service_unavailable"}
_PASSING_BUT_PERHAPS_POSTED = {"internal_error", "fatal_error", "request_timeout"}


class SlackError(Exception):
    """Slack did not take a message as hoped."""


class SlackUnavailable(SlackError):
    """Slack could not be reached or had no time: trying again can help."""

    def __init__(self, words: str, *, retry_after: float | None = None, uncertain: bool = False) -> None:
        super().__init__(words)
        self.retry_after = retry_after
        """Seconds Slack asked us to wait, or None."""
        self.uncertain = uncertain
        """Whether the message may have been posted: sending it again may show it twice."""


class SlackRejected(SlackError):
    """Slack refused the message and will refuse it again, until a setting or the message changes."""

    def __init__(self, words: str, *, code: str) -> None:
        super().__init__(f"{words}: {code}")
        self.code = code
        """Slack's word, such as channel_not_found."""


@dataclass(frozen=True)
class Message:
    """What Slack shows (`blocks`), and the sentence that stands for it in a notification (`text`)."""

    text: str
    blocks: list[dict[str, Any]]


@dataclass(frozen=True)
class Posted:
    """Where a message stands: a channel's id and the message's number in it. A webhook tells neither."""

    channel: str | None
    ts: str | None


# --- Building a message


def clip(text: str, limit: int) -> str:
    """At most `limit` characters of the text. Clip after escaping: no entity or link is cut in half."""
    if len(text) <= limit:
        return text
    return _HALF_A_TOKEN.sub("", text[: limit - 1]) + "…"


def escape(text: str) -> str:
    """The text with mentions, links and entities made harmless. Escaping twice changes nothing more."""
    text = re.sub(r"&(?!(?:amp|lt|gt);)", "&amp;", text)
    return text.replace("<", "&lt;").replace(">", "&gt;")


def message(
    *,
    text: str,
    header: str = "",
    sections: Sequence[str] = (),
    fields: Mapping[str, str] | None = None,
    context: str = "",
    link_label: str = "",
    link_url: str = "",
) -> Message:
    """A message within Slack's limits.

    `text` is a full sentence. `header` is plain; `sections` and `context` may use Slack's *bold* and
    _italic_, links and mentions in them are escaped; `fields` are labels and values; the link closes the
    message. What does not fit is left out from the end of fields and sections, and a line says so. Raises
    ValueError for a link that is not http(s), or that holds an address.
    """
    top: list[Block] = [HeaderBlock(text=PlainTextObject(text=_plain(header)))] if header else []
    body = [*_field_blocks(fields or {}), *_section_blocks(sections)]
    end = [*_link_blocks(link_label, link_url), *_context_blocks(context)]
    blocks = _fitting(_dicts(top), _dicts(body), _dicts(end))
    return Message(text=_marked(text, _TEXT), blocks=blocks)


def _plain(text: str) -> str:
    return clip(without_addresses(text), _HEADER)


def _marked(text: str, limit: int) -> str:
    return clip(escape(without_addresses(text)), limit)


def _field_blocks(fields: Mapping[str, str]) -> list[Block]:
    texts = [_marked(f"*{label}*\n{value}", _FIELD) for label, value in fields.items()]
    starts = range(0, len(texts), _FIELDS_A_BLOCK)
    return [SectionBlock(fields=_markdown(texts[start : start + _FIELDS_A_BLOCK])) for start in starts]


def _section_blocks(sections: Sequence[str]) -> list[Block]:
    texts = [_marked(section, _SECTION) for section in sections if section.strip()]
    return [SectionBlock(text=text) for text in _markdown(texts)]


def _link_blocks(label: str, url: str) -> list[Block]:
    if not url:
        return []
    if not url.startswith(("https://", "http://")) or "@" in url:
        raise ValueError("The link of a message must be http(s) and carry ids, not addresses.")
    target = escape(quote(url, safe=":/?#[]!$&'()*+,;=%-._~"))
    shown = _marked(label or "Open", _HEADER).replace("|", "/")
    return [SectionBlock(text=MarkdownTextObject(text=f"<{target}|{shown}>"))]


def _context_blocks(context: str) -> list[Block]:
    texts = [_marked(context, _FIELD)] if context.strip() else []
    return [ContextBlock(elements=_markdown([text])) for text in texts]


def _markdown(texts: Iterable[str]) -> list[MarkdownTextObject]:
    return [MarkdownTextObject(text=text) for text in texts]


def _dicts(blocks: Iterable[Block]) -> list[dict[str, Any]]:
    return [block.to_dict() for block in blocks]


def _fitting(
    top: list[dict[str, Any]], body: list[dict[str, Any]], end: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """All blocks, or as many of the body's first as fit beside a line that tells how many are missing."""
    for kept in range(len(body), -1, -1):
        cut = len(body) - kept
        note = _section_blocks([f"_… and {cut} more, not shown here._"]) if cut else []
        blocks = [*top, *body[:kept], *_dicts(note), *end]
        if len(blocks) <= BLOCKS and len(json.dumps(blocks)) <= WEIGHT:
            break
    return blocks


# --- Posting it


class Slack(Protocol):
    """A way to post."""

    def post(self, message: Message, *, thread_ts: str | None = None) -> Posted:
        """Post, in the thread of a message where its ts is given. Raises SlackUnavailable, SlackRejected."""

    def update(self, posted: Posted, message: Message) -> Posted:
        """Replace what was posted, blocks and all. Raises SlackUnavailable, SlackRejected."""


class SlackBot:
    """Posts with a bot token (`xoxb-…`) to one channel, named by its id. `timeout` is in seconds."""

    def __init__(self, *, token: str, channel: str, base_url: str, timeout: int = 10) -> None:
        self._client = WebClient(
            token=token, base_url=base_url, timeout=timeout, retry_handlers=[], logger=_sdk_log
        )
        self._channel = channel

    def post(self, message: Message, *, thread_ts: str | None = None) -> Posted:
        """Post. `thread_ts` is the ts of the thread's first message, never of an answer in it."""
        return self._call(
            "chat.postMessage",
            channel=self._channel,
            thread_ts=thread_ts,
            text=message.text,
            blocks=message.blocks,
            unfurl_links=False,
            unfurl_media=False,
        )

    def update(self, posted: Posted, message: Message) -> Posted:
        """Replace a message of ours. Safe to repeat."""
        if posted.channel is None or posted.ts is None:
            raise SlackRejected("chat.update: it was posted by a webhook", code="cant_update_message")
        return self._call(
            "chat.update", channel=posted.channel, ts=posted.ts, text=message.text, blocks=message.blocks
        )

    def _call(self, method: str, **arguments: Any) -> Posted:
        body = {name: value for name, value in arguments.items() if value is not None}
        try:
            answer = self._client.api_call(method, json=body)
        except SlackApiError as error:
            raise _refusal(method, error) from None  # its words quote the answer, and the answer the message
        except _BROKEN as error:
            raise _unreachable(method, error) from error
        channel, ts = answer.get("channel"), answer.get("ts")
        if not isinstance(channel, str) or not isinstance(ts, str):
            raise SlackUnavailable(f"{method}: an answer without channel and ts", uncertain=True)
        return Posted(channel=channel, ts=ts)


class SlackHook:
    """Posts through an incoming webhook, whose URL is a secret. `timeout` is in seconds."""

    def __init__(self, *, url: str, timeout: int = 10) -> None:
        if not url.startswith(("https://", "http://")):
            raise ValueError("The Slack webhook's URL must start with https://.")
        self._client = WebhookClient(url, timeout=timeout, retry_handlers=[], logger=_sdk_log)

    def post(self, message: Message, *, thread_ts: str | None = None) -> Posted:
        """Post. A thread is possible for who knows its ts, but a webhook never tells one."""
        body = {
            "text": message.text,
            "blocks": message.blocks,
            "thread_ts": thread_ts,
            "unfurl_links": False,
            "unfurl_media": False,
        }
        try:
            answer = self._client.send_dict(
                {name: value for name, value in body.items() if value is not None}
            )
        except _BROKEN as error:
            raise _unreachable("webhook", error) from error
        if answer.status_code == 200 and answer.body.strip() == "ok":
            return Posted(channel=None, ts=None)
        raise _answered("webhook", status=answer.status_code, said=answer.body, headers=answer.headers)

    def update(self, posted: Posted, message: Message) -> Posted:
        """Refused: a webhook cannot change what it posted."""
        raise SlackRejected("webhook", code="cant_update_message")


def connect(*, bot_token: str, channel: str, base_url: str, webhook_url: str) -> Slack | None:
    """The best way that is configured: the bot, else the webhook, else None (Slack is off).

    Raises ValueError for a bot token without a channel.
    """
    if bot_token and not channel:
        raise ValueError("A Slack bot token needs the id of a channel (C…) to post to.")
    if bot_token:
        return SlackBot(token=bot_token, channel=channel, base_url=base_url)
    return SlackHook(url=webhook_url) if webhook_url else None


def _unreachable(call: str, error: Exception) -> SlackUnavailable:
    # urllib wraps what fails before the request is sent whole; everything else may have been posted.
    return SlackUnavailable(f"{call}: {type(error).__name__}", uncertain=not isinstance(error, URLError))


def _refusal(call: str, error: SlackApiError) -> SlackError:
    answer = error.response
    return _answered(call, status=answer.status_code, said=str(answer["error"]), headers=answer.headers)


def _answered(call: str, *, status: int, said: str, headers: Mapping[str, str]) -> SlackError:
    """The error that Slack's answer means: its status and, where it says one, its code."""
    said = said.strip()
    code = said if re.fullmatch(r"[a-z_]{3,60}", said) else f"http_{status}"
    perhaps_posted = code in _PASSING_BUT_PERHAPS_POSTED
    if not perhaps_posted and (status in _NOT_HANDLED or code in _PASSING):
        return SlackUnavailable(f"{call}: {code}", retry_after=_retry_after(headers))
    if perhaps_posted or status >= 500 or code == "http_200":
        return SlackUnavailable(f"{call}: {code}", retry_after=_retry_after(headers), uncertain=True)
    return SlackRejected(call, code=code)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    return seconds_asked({name.lower(): value for name, value in headers.items()}.get("retry-after", ""))
