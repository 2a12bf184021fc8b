"""The client: one question to a model, within a time, an allowance and a type.

google-genai makes the requests, over a connection of ours: the SDK bounds each wait for bytes but not the
call, follows redirects, and repeats without regard to what the server asks for. Repeating is safe: a question
changes nothing. Neither questions nor answers are logged, and Google is told not to keep them (`store`).
"""

import contextlib
import ipaddress
import json
import logging
import math
import random
import re
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import httpx2
from google import genai
from google.genai import errors, types
from pydantic import BaseModel, ValidationError

from integrations import tls
from integrations.gemini import wire
from integrations.gemini.allowance import Allowance
from integrations.gemini.errors import (
    GeminiError,
    GeminiRejected,
    GeminiUnavailable,
    GeminiUnusable,
    Reason,
    Usage,
)

log = logging.getLogger("evenkeel.gemini")

# The SDK prints each word of a reply that it does not know, whatever stands there.
warnings.filterwarnings("ignore", message="(?s).* is not a valid ", module=r"google\.genai\._common")

MAX_OUTPUT_TOKENS = 16_384
"""The longest answer, thinking included: forty cohorts with their rationales take about six thousand."""

TRIES = 3
"""How often one question is sent at most while Gemini has no time or cannot be reached."""

LONGEST_PAUSE = 20.0
"""Seconds between two tries at most. Where the server asks for more, there is no other try."""

_BYTES_A_TOKEN = 3
"""Fewer than any tokenizer makes of English or JSON: claims are set aside on the high side."""

_MOST_COUNTED = 10_000_000
"""Tokens of a kind in one reply. The largest models read two million: a count beyond is none."""

_READS_PAUSE = 5.0
"""Seconds without a byte, once the reply has begun, after which it is given up."""

_TOO_MANY = {Reason.RATE_LIMITED: None, Reason.QUOTA: 600.0}
"""Of what everybody takes notice, and for how many seconds where Gemini does not say: a day's quota is not
back in a minute."""

_BEWILDERED = (ValueError, TypeError, AttributeError, KeyError, RecursionError)
"""What the SDK raises where a reply is not what it expects: it reads bodies without looking at them first."""

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+/-]{0,119}")

_BLOCKS = frozenset(
    "SAFETY RECITATION LANGUAGE BLOCKLIST PROHIBITED_CONTENT SPII IMAGE_SAFETY MODEL_ARMOR".split()
)

A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True)
class Generated(Generic[A]):
    """One answer."""

    answer: A
    text: str
    """The same as it came."""
    model: str
    """The version that answered, as Gemini names it."""
    usage: Usage
    latency_ms: int
    """From the question to its answer, all tries and pauses together."""
    finish: str
    """Why the model stopped: always STOP, or there would be no answer."""


class Gemini:
    """One model of the Gemini Developer API. Threads may share it."""

    def __init__(
        self,
        *,
        api_key: str,
        model: str,
        base_url: str,
        api_version: str,
        allowance: Allowance,
        timeout: float = 30.0,
        patience: float = 60.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`timeout` bounds one request as a whole, `patience` a question with all its tries, in seconds."""
        self.model = model
        self._allowance, self._timeout, self._patience, self._sleep = allowance, timeout, patience, sleep
        self._http = httpx2.Client(
            event_hooks={"request": [_set_an_end], "response": [_keep_to_its_end]},
            trust_env=not _is_loopback(base_url),
            follow_redirects=False,
            verify=tls.trusted(),
        )
        self._client = genai.Client(
            api_key=api_key,
            enterprise=False,
            http_options=types.HttpOptions(
                base_url=base_url, api_version=api_version, httpx_client=self._http
            ),
        )

    def close(self) -> None:
        """Give the connections back. The client cannot be used afterwards."""
        self._client.close()
        self._http.close()

    def generate(
        self, question: str, *, instructions: str, answer: type[A], temperature: float
    ) -> Generated[A]:
        """The model's answer, of the type asked for.

        Raises GeminiUnusable, GeminiUnavailable, GeminiRejected or GeminiSpent: each has its `reason`.
        """
        began = time.monotonic()
        try:
            response, text = self._persist(
                question, instructions=instructions, answer=answer, temperature=temperature
            )
            found = _parsed(answer, text, usage=_usage(response))
        except GeminiError as error:
            _note_failure(error, model=self.model, began=began)
            raise
        generated = Generated(
            answer=found,
            text=text,
            model=_word(response.model_version or self.model),
            usage=_usage(response) or Usage(0, 0, 0),
            latency_ms=round((time.monotonic() - began) * 1000),
            finish="STOP",
        )
        _note(generated, response)
        return generated

    def _persist(
        self, question: str, *, instructions: str, answer: type[BaseModel], temperature: float
    ) -> tuple[types.GenerateContentResponse, str]:
        """Ask, and again where that may help, until the patience ends."""
        until, tried = time.monotonic() + self._patience, 1
        schema = wire.schema_of(answer)
        while True:
            left = until - time.monotonic()
            config = _config(
                instructions, schema=schema, temperature=temperature, seconds=min(self._timeout, left)
            )
            try:
                response = self._ask(question, config, patience=left)
                return response, _text(response)
            except GeminiUnavailable as error:
                pause = _pause(tried, asked=error.retry_after)
                # what is left must be worth another try
                is_too_long = pause > LONGEST_PAUSE or time.monotonic() + pause + 1.0 > until
                if tried >= TRIES or is_too_long:
                    raise
                log.info(
                    "gemini is asked again", extra={"reason": error.reason, "in_seconds": round(pause, 1)}
                )
            self._sleep(pause)
            tried += 1

    def _ask(
        self, question: str, config: types.GenerateContentConfig, *, patience: float
    ) -> types.GenerateContentResponse:
        """One request: claimed before, settled after, and its failure by its reason."""
        claim = self._allowance.claim(tokens=_most(question, config), patience=patience)
        try:
            response = self._client.models.generate_content(
                model=self.model, contents=question, config=config
            )
        except (errors.APIError, httpx2.RequestError, *_BEWILDERED) as error:
            if isinstance(error, wire.BILLED_FOR_CERTAIN_NOTHING):
                self._allowance.settle(claim, tokens=0)
            failure = _failure(error)
            if failure.reason in _TOO_MANY:
                asked = failure.retry_after or _TOO_MANY[failure.reason]
                self._allowance.back_off(asked=asked, why=failure.reason.value)
            raise failure from None  # the original may hold the whole reply
        self._allowance.answered()
        if (usage := _usage(response)) is not None:
            self._allowance.settle(claim, tokens=usage.total)
        return response


def _config(
    instructions: str, *, schema: dict[str, Any], temperature: float, seconds: float
) -> types.GenerateContentConfig:
    return types.GenerateContentConfig(
        system_instruction=instructions,
        temperature=temperature,
        max_output_tokens=MAX_OUTPUT_TOKENS,
        response_mime_type="application/json",
        response_json_schema=schema,
        safety_settings=wire.SAFETY,
        store=False,
        automatic_continuation=False,
        http_options=types.HttpOptions(timeout=max(1, round(seconds * 1000))),
    )


def _most(question: str, config: types.GenerateContentConfig) -> int:
    """The most tokens that a request can cost."""
    sent = question + str(config.system_instruction) + json.dumps(config.response_json_schema)
    return math.ceil(len(sent.encode()) / _BYTES_A_TOKEN) + MAX_OUTPUT_TOKENS


def _pause(tried: int, *, asked: float | None) -> float:
    """1, 2 s and a little more; longer where the server asks for it."""
    own: float = 2 ** (tried - 1) * random.uniform(1.0, 1.5)  # noqa: S311  (spreads callers, decides nothing)
    return max(own, asked or 0.0)


# --- Time --------------------------------------------------------------------------------------------

_END = "evenkeel.end"


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _set_an_end(request: httpx2.Request) -> None:
    """When the request must be over: the SDK's time-out, which bounds each wait alone, for all of it."""
    request.extensions[_END] = time.monotonic() + request.extensions["timeout"]["read"]


def _keep_to_its_end(response: httpx2.Response) -> None:
    """Let the body end in time, also where it trickles: called when its head is there."""
    end, timeout = response.request.extensions[_END], response.request.extensions["timeout"]
    timeout["read"] = max(0.001, min(_READS_PAUSE, end - time.monotonic()))
    assert isinstance(response.stream, httpx2.SyncByteStream)
    response.stream = _Ending(response.stream, end=end, request=response.request)


class _Ending(httpx2.SyncByteStream):
    """A body that must have arrived by its end."""

    def __init__(self, stream: httpx2.SyncByteStream, *, end: float, request: httpx2.Request) -> None:
        self._stream, self._end, self._request = stream, end, request

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:
            yield piece
            if time.monotonic() > self._end:
                raise httpx2.ReadTimeout("the reply trickles", request=self._request)

    def close(self) -> None:
        self._stream.close()


# --- What came back ----------------------------------------------------------------------------------


def _failure(error: Exception) -> GeminiError:
    match error:
        case errors.APIError():
            return wire.refusal(error)
        case httpx2.RequestError():
            return wire.failure(error)
        case json.JSONDecodeError() | UnicodeDecodeError() | RecursionError():
            return GeminiUnusable(Reason.UNREADABLE)
        case _:
            return GeminiUnusable(Reason.WRONG_TYPE, type(error).__name__)


def _usage(response: types.GenerateContentResponse) -> Usage | None:
    """What Gemini says it cost; None where it does not say, or what cannot be."""
    told = response.usage_metadata
    if told is None or told.prompt_token_count is None:
        return None
    counts = (told.prompt_token_count, told.candidates_token_count or 0, told.thoughts_token_count or 0)
    if not all(0 <= count <= _MOST_COUNTED for count in counts):
        log.warning("gemini counts tokens as they cannot be: the cost stays as set aside")
        return None
    return Usage(*counts)


def _text(response: types.GenerateContentResponse) -> str:
    """The text of a reply that is whole. Raises GeminiUnusable with the first reason that applies."""
    usage = _usage(response)
    feedback = response.prompt_feedback
    if feedback is not None and feedback.block_reason is not None:
        raise GeminiUnusable(Reason.PROMPT_BLOCKED, _word(feedback.block_reason.value), usage=usage)
    if not response.candidates:
        raise GeminiUnusable(Reason.EMPTY, "no candidate", usage=usage)
    finish = response.candidates[0].finish_reason
    ended, text = finish.value if finish else "", response.text or ""
    if ended != "STOP":
        raise GeminiUnusable(_why_stopped(ended, text), _word(ended), usage=usage)
    if not text.strip():
        raise GeminiUnusable(Reason.EMPTY, "no text", usage=usage)
    return text


def _word(told: str) -> str:
    """One plain word of Gemini's, to keep and to log; free text is not repeated. Empty stays empty."""
    return told if not told or _WORD.fullmatch(told) else "unknown"


def _why_stopped(ended: str, text: str) -> Reason:
    if ended == "MAX_TOKENS":
        return Reason.CUT_OFF if text else Reason.NO_ROOM
    if ended in _BLOCKS:
        return Reason.ANSWER_BLOCKED
    return {"MALFORMED_RESPONSE": Reason.MALFORMED, "CONTINUATION": Reason.UNFINISHED}.get(
        ended, Reason.STOPPED
    )


def _parsed(answer: type[A], text: str, *, usage: Usage | None) -> A:
    if text.lstrip().startswith("```"):
        raise GeminiUnusable(Reason.FENCED, usage=usage)
    try:
        return answer.model_validate_json(text)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
    if faults[0]["type"] == "json_invalid":
        raise GeminiUnusable(Reason.NOT_JSON, usage=usage)
    raise GeminiUnusable(Reason.WRONG_SHAPE, "; ".join(map(_fault, faults))[:300], usage=usage)


def _fault(fault: Any) -> str:
    """Where and what, never what stood there: a field's name may be the model's own invention."""
    where = ".".join(str(part) for part in fault["loc"]) or "answer"
    return f"{re.sub(r'[^A-Za-z0-9_.]', '?', where)}: {fault['type']}"


# --- The log -----------------------------------------------------------------------------------------


def _note(generated: Generated[Any], response: types.GenerateContentResponse) -> None:
    usage = generated.usage
    told = {"model": generated.model, "latency_ms": generated.latency_ms, **vars(usage)}
    log.info("gemini answered", extra=told)
    status = response.model_status
    stage = status.model_stage.value if status and status.model_stage else "STABLE"
    if status is not None and stage in ("LEGACY", "DEPRECATED", "RETIRED"):
        log.warning(
            "the model %(model)s is %(stage)s until %(until)s: choose another GEMINI_MODEL",
            {"model": generated.model, "stage": stage, "until": status.retirement_time},
        )


def _note_failure(error: GeminiError, *, model: str, began: float) -> None:
    seconds = round(time.monotonic() - began, 1)
    level = logging.ERROR if isinstance(error, GeminiRejected) else logging.WARNING
    told = {"reason": error.reason.value, "model": model, "why": error.in_our_words, "seconds": seconds}
    log.log(level, "gemini gave no answer: %(why)s", told, extra=told)
