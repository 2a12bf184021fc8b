"""Gemini's ``generateContent``, below ``/gemini/``: strict about what it takes, and wrong on demand.

What it answers is written down before (``POST /_sandbox/gemini``) or comes from a judge, a callable given at
the start; without either it says so. Shapes of requests, replies and errors are those that google-genai 3.4
sends and reads; where Google's documents are silent on wording, the words are its API's usual ones.
"""

import hmac
import json
import math
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from itertools import count
from typing import Any

from integrations.sandbox import gemini_call
from integrations.sandbox.gemini_call import Question, Refusal
from integrations.sandbox.protocol import JSON_TYPE, Reply, Request, as_json, html

Judge = Callable[[Question], Any]
"""Answers a question with a JSON value, or with text as it stands."""

KEPT_QUESTIONS = 500
_PATH = re.compile(r"^/gemini/(?P<version>[^/]+)/models/(?P<model>[^/:]+):generateContent$")
_CHARACTERS_A_TOKEN = 4
_LEGACY_UNTIL = "2027-05-07T00:00:00Z"


class Mishap(StrEnum):
    """What goes wrong with an answer. Each is a 200."""

    NOT_JSON = "not_json"
    FENCED = "fenced"
    """The right answer, between three backticks."""
    WRONG_SHAPE = "wrong_shape"
    """JSON of another form than the schema asks for."""
    INVENTED = "invented"
    """The right form, about something that was never asked."""
    CUT = "cut"
    """MAX_TOKENS in the middle of the answer."""
    NO_ROOM = "no_room"
    """MAX_TOKENS without an answer: thinking took all of it."""
    BLOCKED = "blocked"
    RECITED = "recited"
    PROMPT_BLOCKED = "prompt_blocked"
    UNHEARD_OF = "unheard_of"
    """A finish reason that no client knows yet."""
    UNFINISHED = "unfinished"
    """CONTINUATION with a token to go on with."""
    NO_CANDIDATES = "no_candidates"
    EMPTY_OBJECT = "empty_object"
    EMPTY_LIST = "empty_list"
    EMPTY_BODY = "empty_body"
    HTML = "html"
    """A gateway's page, as a 200."""
    WRONG_TYPE = "wrong_type"
    """A field of the reply itself is of a type it never has."""
    TRICKLE = "trickle"
    """The right answer, a few bytes at a time."""
    THOUGHTS = "thoughts"
    """The right answer, after a part that only thinks aloud. Nothing is wrong with it."""
    LEGACY = "legacy"
    """The right answer, of a model about to be retired."""


@dataclass(frozen=True)
class Asked:
    """One request that came in, whatever became of it."""

    at: float
    version: str
    model: str
    question: Question | None
    """None where it was refused."""
    body: str
    """As it came, for detectors."""
    said: str
    """The answer's text, or why there was none."""


class GeminiStandIn:
    """The model's place. Lives as long as the process; safe to use from several threads."""

    def __init__(self, *, api_key: str, judge: Judge | None) -> None:
        self._api_key, self._judge = api_key, judge
        self._lock = threading.Lock()
        self._scripted: deque[Any] = deque()
        self._asked: deque[Asked] = deque(maxlen=KEPT_QUESTIONS)
        self._numbers = count(1)

    def script(self, answers: Sequence[Any]) -> None:
        """Answer the next questions with these, in turn; a string is the text as it stands."""
        with self._lock:
            self._scripted.extend(answers)

    def forget(self) -> None:
        """Drop what was scripted and what was asked."""
        with self._lock:
            self._scripted.clear()
            self._asked.clear()

    def asked(self) -> list[Asked]:
        """What came in, oldest first."""
        with self._lock:
            return list(self._asked)

    def answer(self, request: Request, *, mishap: Mishap | None, now: float) -> Reply:
        """What Gemini would answer below ``/gemini/``, or what goes wrong with it."""
        target = _PATH.match(request.path)
        if target is None or request.method != "POST":
            return html(HTTPStatus.NOT_FOUND, title="Error 404 (Not Found)!!1")
        version, model = target["version"], target["model"]
        question: Question | None = None
        try:
            self._check_key(request)
            question = gemini_call.read(request.body, version=version, model=model)
            said = self._say(question)
        except Refusal as refusal:
            said, reply = str(refusal), error(refusal.code, str(refusal), status=refusal.status)
        else:
            reply = _reply(question, said, mishap=mishap, number=next(self._numbers))
        body = request.body.decode("utf-8", errors="replace")
        with self._lock:
            self._asked.append(Asked(now, version, model, question, body, said))
        return reply

    def _check_key(self, request: Request) -> None:
        given = request.headers.get("x-goog-api-key", "")
        if not given:
            words = "Method doesn't allow unregistered callers (callers without established identity)."
            raise Refusal(HTTPStatus.FORBIDDEN, words)
        if not hmac.compare_digest(given.encode(), self._api_key.encode()):
            raise Refusal(HTTPStatus.BAD_REQUEST, "API key not valid. Please pass a valid API key.")

    def _say(self, question: Question) -> str:
        with self._lock:
            scripted = self._scripted.popleft() if self._scripted else None
        if scripted is None and self._judge is None:
            words = "The stand-in has no judge and nothing is scripted: POST /_sandbox/gemini."
            raise Refusal(HTTPStatus.NOT_IMPLEMENTED, words)
        value = scripted if self._judge is None or scripted is not None else self._judge(question)
        return value if isinstance(value, str) else json.dumps(value)


# --- Errors ------------------------------------------------------------------------------------------


def error(code: int, message: str, *, status: str = "", details: Sequence[Mapping[str, Any]] = ()) -> Reply:
    """Google's JSON error."""
    given: dict[str, Any] = {"code": int(code), "message": message, "status": status or _STATUS[int(code)]}
    return as_json({"error": {**given, "details": list(details)} if details else given}, status=int(code))


def planted(code: int, *, retry_after: float | None) -> Reply:
    """The answer to a request that a fault gives this status, in the shape it has at Google."""
    if code == HTTPStatus.TOO_MANY_REQUESTS:
        return _quota(retry_after)
    if int(code) not in _STATUS:
        return html(code, title=f"{int(code)} {HTTPStatus(code).phrase}")
    return error(code, f"{HTTPStatus(code).phrase}, on demand.")


def _quota(retry_after: float | None) -> Reply:
    """Without a time to wait it is the day's quota, which no waiting brings back soon."""
    per = "Day" if retry_after is None else "Minute"
    quota = f"GenerateRequestsPer{per}PerProjectPerModel-FreeTier"
    failure: dict[str, Any] = {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaMetric": "generativelanguage.googleapis.com/requests", "quotaId": quota}],
    }
    info: dict[str, Any] = {
        "@type": "type.googleapis.com/google.rpc.RetryInfo",
        "retryDelay": f"{retry_after}s",
    }
    words = "You exceeded your current quota, please check your plan and billing details."
    if retry_after is not None:
        words += f" Please retry in {retry_after}s."
    details = [failure] if retry_after is None else [failure, info]
    return error(HTTPStatus.TOO_MANY_REQUESTS, words, details=details)


_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""What Google's API answers itself; other statuses come from a gateway before it, as HTML."""


# --- Replies -----------------------------------------------------------------------------------------


def _reply(question: Question, said: str, *, mishap: Mishap | None, number: int) -> Reply:
    raw = _RAW.get(mishap) if mishap else None
    if raw is not None:
        return raw
    body = _body(question, said, mishap=mishap, number=number)
    reply = as_json(body)
    return Reply(**{**vars(reply), "drip_seconds": 0.1}) if mishap is Mishap.TRICKLE else reply


_RAW = {
    Mishap.EMPTY_OBJECT: as_json({}),
    Mishap.EMPTY_LIST: as_json([]),
    Mishap.EMPTY_BODY: Reply(HTTPStatus.OK, b"", JSON_TYPE),
    Mishap.HTML: html(HTTPStatus.OK, title="Sign in"),
}


def _body(question: Question, said: str, *, mishap: Mishap | None, number: int) -> dict[str, Any]:
    if mishap is Mishap.PROMPT_BLOCKED:
        prompt = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
        return {**prompt, **_about(question, "", mishap=mishap, number=number)}
    text, finish = _text(question, said, mishap=mishap)
    candidate: dict[str, Any] = {"index": 0, "finishReason": finish}
    if text is not None:
        candidate["content"] = {"role": "model", "parts": _parts(text, mishap=mishap)}
    if mishap is Mishap.BLOCKED:
        rating = {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True}
        candidate["safetyRatings"] = [rating]
    if mishap is Mishap.UNFINISHED:
        candidate["continuationToken"] = "Z28gb24="
    candidates: Any = [] if mishap is Mishap.NO_CANDIDATES else [candidate]
    about = _about(question, text or "", mishap=mishap, number=number)
    if mishap is Mishap.WRONG_TYPE:
        about["usageMetadata"]["promptTokenCount"] = "many"
    return {"candidates": candidates, **about}


def _text(question: Question, said: str, *, mishap: Mishap | None) -> tuple[str | None, str]:
    """The answer's text, None where there is none, and how it finished."""
    changed = _WORDS[mishap](said) if mishap in _WORDS else said
    finish = _FINISH.get(mishap, "STOP") if mishap else "STOP"
    if mishap in _WITHOUT_CONTENT:
        return None, finish
    most = question.max_output_tokens * _CHARACTERS_A_TOKEN
    return (changed[:most], "MAX_TOKENS") if len(changed) > most else (changed, finish)


_WITHOUT_CONTENT = frozenset({Mishap.NO_ROOM, Mishap.BLOCKED, Mishap.RECITED, Mishap.UNHEARD_OF})
_FINISH = {
    Mishap.CUT: "MAX_TOKENS",
    Mishap.NO_ROOM: "MAX_TOKENS",
    Mishap.BLOCKED: "SAFETY",
    Mishap.RECITED: "RECITATION",
    Mishap.UNHEARD_OF: "WEARINESS",
    Mishap.UNFINISHED: "CONTINUATION",
}
_WORDS: Mapping[Mishap | None, Callable[[str], str]] = {
    Mishap.NOT_JSON: lambda text: f"Certainly! Here is the answer: {text}",
    Mishap.FENCED: lambda text: f"```json\n{text}\n```",
    Mishap.WRONG_SHAPE: lambda text: json.dumps({"answer": "as you wish"}),
    Mishap.CUT: lambda text: text[: len(text) // 2],
    Mishap.INVENTED: lambda text: json.dumps(_invented(json.loads(text))),
}


def _parts(text: str, *, mishap: Mishap | None) -> list[dict[str, Any]]:
    thought = [{"text": "Let me see, who is this about?", "thought": True}]
    return [*(thought if mishap is Mishap.THOUGHTS else []), {"text": text}]


def _about(question: Question, text: str, *, mishap: Mishap | None, number: int) -> dict[str, Any]:
    prompted = _tokens(question.system + question.text + json.dumps(question.schema))
    thought = {Mishap.THOUGHTS: 8, Mishap.NO_ROOM: question.max_output_tokens}.get(mishap or Mishap.CUT, 0)
    answered = _tokens(text)
    usage = {"promptTokenCount": prompted, "totalTokenCount": prompted + thought + answered}
    usage |= {"candidatesTokenCount": answered} if text else {}
    usage |= {"thoughtsTokenCount": thought} if thought else {}
    legacy = {"modelStage": "LEGACY", "retirementTime": _LEGACY_UNTIL}
    return {
        "usageMetadata": usage,
        "modelVersion": question.model,
        "responseId": f"stand-in-{number}",
        "modelStatus": legacy if mishap is Mishap.LEGACY else {"modelStage": "STABLE"},
    }


def _tokens(text: str) -> int:
    return math.ceil(len(text) / _CHARACTERS_A_TOKEN)


def _invented(value: Any) -> Any:
    """The same form, about something else: a key nobody asked about, else a placeholder nobody fills."""
    for rows in value.values() if isinstance(value, dict) else ():
        for row in rows if isinstance(rows, list) else ():
            for name in ("cohort", "list"):
                if isinstance(row, dict) and name in row:
                    row[name] = "invented/key"
                    return value
    first = next((name for name, text in value.items() if isinstance(text, str)), None)
    return {**value, first: "{invented}"} if first else {**value, "invented": True}
