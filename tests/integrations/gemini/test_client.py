"""Each way in which Gemini answers, or does not: a reason, a cost, and no word of question or answer."""

from __future__ import annotations

import json
import logging
import re
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from integrations.gemini import (
    GeminiError,
    GeminiRejected,
    GeminiUnavailable,
    GeminiUnusable,
    Reason,
    client,
)
from integrations.gemini.client import LONGEST_PAUSE, TRIES
from integrations.gemini.errors import WORDS
from integrations.gemini.wire import schema_of
from integrations.sandbox import Serving
from integrations.sandbox.control import Control
from tests.integrations.gemini.conftest import MODEL, RIGHT, Ledger, Scene, Verdicts, connected
from tests.integrations.scripted import DROPPED, SILENT, Said, Server, answer
from tests.integrations.scripted import serving as saying


def test_an_answer_has_its_type_its_model_its_cost_and_its_time(scene: Scene) -> None:
    generated = scene.ask('{"cohorts":["a"]}')

    assert generated.answer == Verdicts(**RIGHT)
    assert json.loads(generated.text) == RIGHT
    assert (generated.model, generated.finish) == (MODEL, "STOP")
    assert generated.usage.tokens_in > 0
    assert generated.usage.tokens_out > 0
    assert generated.usage.total == scene.ledger.settled[1]
    assert 0 <= generated.latency_ms < 5000


def test_what_is_asked_is_what_arrives_and_nothing_is_left_to_a_default(scene: Scene) -> None:
    scene.ask('{"cohorts":["a"]}')

    [asked] = scene.control.gemini_asked()
    assert asked["question"] == {
        "version": "v1",
        "model": MODEL,
        "system": "Judge the cohorts.",
        "text": '{"cohorts":["a"]}',
        "schema": schema_of(Verdicts),
        "temperature": 0.3,
        "max_output_tokens": 16_384,
        "store": False,
        "safety": {
            f"HARM_CATEGORY_{name}": "BLOCK_ONLY_HIGH"
            for name in ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
        },
    }


def test_the_environment_does_not_lead_elsewhere(
    monkeypatch: pytest.MonkeyPatch, serving: Serving, control: Control
) -> None:
    monkeypatch.setenv("GOOGLE_GENAI_USE_ENTERPRISE", "true")
    monkeypatch.setenv("GOOGLE_API_KEY", "another")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    gemini = connected(serving, ledger=Ledger(), pauses=[])

    generated = gemini.generate("{}", instructions="Judge.", answer=Verdicts, temperature=0.3)

    assert generated.answer == Verdicts(**RIGHT)
    assert [asked["said"] for asked in control.gemini_asked()] == [json.dumps(RIGHT)]
    gemini.close()


# --- Replies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mishap", "reason", "has_usage"),
    [
        ("not_json", Reason.NOT_JSON, True),
        ("fenced", Reason.FENCED, True),
        ("wrong_shape", Reason.WRONG_SHAPE, True),
        ("cut", Reason.CUT_OFF, True),
        ("no_room", Reason.NO_ROOM, True),
        ("blocked", Reason.ANSWER_BLOCKED, True),
        ("recited", Reason.ANSWER_BLOCKED, True),
        ("prompt_blocked", Reason.PROMPT_BLOCKED, True),
        ("unfinished", Reason.UNFINISHED, True),
        ("no_candidates", Reason.EMPTY, True),
        ("empty_object", Reason.EMPTY, False),
        ("empty_list", Reason.EMPTY, False),
        ("empty_body", Reason.EMPTY, False),
        ("html", Reason.UNREADABLE, False),
        ("wrong_type", Reason.WRONG_TYPE, False),
    ],
)
def test_an_answer_that_cannot_be_used_has_its_reason_and_is_not_asked_for_again_here(
    scene: Scene, mishap: str, reason: Reason, has_usage: bool
) -> None:
    scene.wrong(gemini=mishap)

    with pytest.raises(GeminiUnusable) as refusal:
        scene.ask()

    assert refusal.value.reason is reason
    assert WORDS[reason] in str(refusal.value)
    assert (refusal.value.usage is not None) is has_usage
    assert scene.pauses == []
    assert set(scene.ledger.settled) == ({1} if has_usage else set()), "an unknown cost stays as claimed"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'\xff\xfe{"candidates": []}', Reason.UNREADABLE),
        (b"[" * 3000, Reason.UNREADABLE),
        (b"NaN", Reason.WRONG_TYPE),
        (b"5", Reason.WRONG_TYPE),
        (b'"candidates"', Reason.WRONG_TYPE),
        (b"null", Reason.EMPTY),
        (b'{"candidates": [null]}', Reason.STOPPED),
        (b'{"candidates": [{"finishReason": 5}]}', Reason.WRONG_TYPE),
        (b'{"promptFeedback": {"blockReason": 7}}', Reason.WRONG_TYPE),
        (b'{"error": {"code": 200}}', Reason.EMPTY),
        (b'{"candidates": [{"content": null, "finishReason": null}]}', Reason.STOPPED),
    ],
)
def test_a_reply_that_is_none_of_geminis_ends_no_run(body: bytes, reason: Reason) -> None:
    with pytest.raises(GeminiUnusable) as refusal:
        asked_of(
            Said(body=body, headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
        )

    assert refusal.value.reason is reason


@pytest.mark.filterwarnings("ignore:WEARINESS is not a valid FinishReason")
def test_a_finish_reason_that_nobody_knows_yet_is_no_answer(scene: Scene) -> None:
    scene.wrong(gemini="unheard_of")

    with pytest.raises(GeminiUnusable, match=r"stopped: .* \(WEARINESS\)"):
        scene.ask()


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("MALFORMED_RESPONSE", Reason.MALFORMED),
        ("OTHER", Reason.STOPPED),
        *((each, Reason.ANSWER_BLOCKED) for each in ("RECITATION", "LANGUAGE", "BLOCKLIST")),
        *((each, Reason.ANSWER_BLOCKED) for each in ("PROHIBITED_CONTENT", "SPII", "SAFETY")),
    ],
)
def test_other_finish_reasons_have_reasons_too(finish: str, reason: Reason) -> None:
    body = {"candidates": [{"finishReason": finish, "content": {"parts": [{"text": json.dumps(RIGHT)}]}}]}

    with pytest.raises(GeminiUnusable) as refusal:
        asked_of(answer(body))

    assert refusal.value.reason is reason


def test_the_wrong_field_is_named_without_what_stood_there(scene: Scene) -> None:
    secret = {"verdicts": [{"cohort": "jo@example.com", "confidence": 7, "ssn <b>": "123"}], "note": ""}
    scene.control.gemini_says(secret)

    with pytest.raises(GeminiUnusable) as refusal:
        scene.ask()

    assert str(refusal.value).endswith(
        "(verdicts.0.cohort: string_pattern_mismatch; verdicts.0.confidence: less_than_equal; "
        "verdicts.0.ssn??b?: extra_forbidden; note: string_too_short)"
    )


def test_what_a_model_thinks_aloud_is_no_part_of_its_answer_but_of_its_cost(scene: Scene) -> None:
    scene.wrong(gemini="thoughts")

    generated = scene.ask()

    assert generated.answer == Verdicts(**RIGHT)
    assert generated.usage.tokens_thought == 8


@pytest.mark.parametrize(
    "told",
    [
        {"promptTokenCount": -5},
        {"promptTokenCount": 10, "candidatesTokenCount": -100},
        {"promptTokenCount": 10, "thoughtsTokenCount": 3_000_000_000},
        {"promptTokenCount": 10**30},
    ],
)
def test_a_cost_that_cannot_be_is_not_known_and_the_answer_stands(told: dict[str, int]) -> None:
    ledger = Ledger()
    text = {"parts": [{"text": json.dumps(RIGHT)}]}
    reply = {"candidates": [{"finishReason": "STOP", "content": text}], "usageMetadata": told}

    generated = asked_of(answer(reply), allowance=ledger)

    assert generated.answer == Verdicts(**RIGHT)
    assert generated.usage.total == 0
    assert ledger.settled == {}, "what it cost is not known: it stays as claimed"


def test_a_model_that_names_itself_in_free_text_is_unknown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    text = {"parts": [{"text": json.dumps(RIGHT)}]}
    reply = {"candidates": [{"finishReason": "STOP", "content": text}]}
    named = {**reply, "modelVersion": "<b>Jane Doe</b> of ACME, 030 12345"}

    assert asked_of(answer(named)).model == "unknown"
    assert asked_of(answer(reply)).model == MODEL
    assert "Jane" not in "".join(str(vars(record)) for record in caplog.records)


@pytest.mark.filterwarnings("ignore:Jane Doe.* is not a valid FinishReason")
def test_a_reason_to_stop_in_free_text_is_not_repeated() -> None:
    with pytest.raises(GeminiUnusable, match=r"stopped: .*\(unknown\)$"):
        asked_of(answer({"candidates": [{"finishReason": "Jane Doe, 030 12345"}]}))


def test_a_model_about_to_be_retired_answers_and_is_warned_of(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.wrong(gemini="legacy")

    assert scene.ask().answer == Verdicts(**RIGHT)

    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert f"{MODEL} is LEGACY until 2027-05-07" in warning.getMessage()


def test_the_operators_page_says_of_each_reason_what_to_do() -> None:
    page = (Path(__file__).parents[3] / "docs" / "operating.md").read_text()
    table = [line for line in page.splitlines() if line.startswith("| `")]

    told = {word for line in table for word in re.findall(r"`([a-z_]+)`", line.split("|")[1])}
    assert {reason.value for reason in Reason} <= told
    assert set(WORDS) == set(Reason)


# --- Errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, Reason.INVALID_REQUEST),
        (401, Reason.UNAUTHENTICATED),
        (403, Reason.FORBIDDEN),
        (404, Reason.UNKNOWN_MODEL),
        (429, Reason.QUOTA),
        (413, Reason.INVALID_REQUEST),
        (201, Reason.UNEXPECTED_STATUS),
        (302, Reason.UNEXPECTED_STATUS),
    ],
)
def test_a_refusal_is_not_repeated_costs_nothing_and_is_told_as_an_error(
    scene: Scene, caplog: pytest.LogCaptureFixture, status: int, reason: Reason
) -> None:
    scene.wrong(status=status)

    with pytest.raises(GeminiRejected) as refusal:
        scene.ask()

    assert refusal.value.reason is reason
    assert (scene.pauses, scene.ledger.settled) == ([], {1: 0})
    assert [record.levelno for record in caplog.records if record.name == "evenkeel.gemini"] == [
        logging.ERROR
    ]


def test_what_gemini_says_of_an_error_is_for_our_pages_and_not_for_log_lines(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = GeminiRejected(Reason.FORBIDDEN, "Jane Doe's project is suspended")

    client._note_failure(error, model="a-model", began=0.0)

    assert "Jane" in str(error)
    assert "Jane" not in "".join(str(vars(record)) for record in caplog.records)
    assert "GEMINI_API_KEY may not use this" in caplog.text


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"error": {"code": 400, "status": "FAILED_PRECONDITION", "message": "no"}}, Reason.PRECONDITION),
        (
            {
                "error": {
                    "code": 400,
                    "status": "INVALID_ARGUMENT",
                    "details": [{"reason": "API_KEY_INVALID"}],
                }
            },
            Reason.UNAUTHENTICATED,
        ),
        ({"error": {"code": 400, "details": "none"}}, Reason.INVALID_REQUEST),
        ({"error": "no"}, Reason.INVALID_REQUEST),
        ([], Reason.INVALID_REQUEST),
    ],
)
def test_a_400_is_told_apart_by_its_details_where_it_has_any(body: Any, reason: Reason) -> None:
    with pytest.raises(GeminiRejected) as refusal:
        asked_of(answer(body, status=400))

    assert refusal.value.reason is reason


def test_a_wrong_key_is_named_and_shown_to_nobody(
    serving: Serving, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    gemini = connected(serving, ledger=Ledger(), pauses=[], api_key="a-key-that-nobody-may-see")

    with pytest.raises(GeminiRejected, match="does not know GEMINI_API_KEY") as refusal:
        gemini.generate("{}", instructions="Judge.", answer=Verdicts, temperature=0.3)

    assert refusal.value.reason is Reason.UNAUTHENTICATED
    assert "nobody-may-see" not in caplog.text + str(refusal.value)
    gemini.close()


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (408, Reason.TIMED_OUT),
        (500, Reason.SERVER_ERROR),
        (502, Reason.OVERLOADED),
        (503, Reason.OVERLOADED),
        (504, Reason.OVERLOADED),
    ],
)
def test_a_gemini_without_time_is_asked_again_and_then_given_up(
    scene: Scene, status: int, reason: Reason
) -> None:
    scene.wrong(status=status)

    with pytest.raises(GeminiUnavailable) as refusal:
        scene.ask()

    assert refusal.value.reason is reason
    assert len(scene.ledger.claims) == TRIES == 3
    first, second = scene.pauses
    assert 1 <= first <= 1.5
    assert 2 <= second <= 3


def test_a_gemini_that_has_time_again_answers(scene: Scene) -> None:
    scene.wrong(status=503, times=2)

    assert scene.ask().answer == Verdicts(**RIGHT)
    assert len(scene.pauses) == 2


def test_the_pause_that_the_server_asks_for_is_kept(scene: Scene) -> None:
    scene.wrong(status=429, retry_after=7, times=1)

    assert scene.ask().answer == Verdicts(**RIGHT)
    assert scene.pauses == [7.0]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"status": 429, "retry_after": 37}, (37.0, "rate_limited")),
        ({"status": 429}, (600.0, "quota")),
    ],
)
def test_too_many_requests_are_told_to_everybody_with_how_long_to_wait(
    scene: Scene, fault: dict[str, Any], told: tuple[float, str]
) -> None:
    scene.wrong(**fault)

    with pytest.raises((GeminiUnavailable, GeminiRejected)):
        scene.ask()

    assert scene.ledger.backed_off == [told]
    assert scene.ledger.answers == 0


@pytest.mark.parametrize("delay", ["99999999999999s", "9" * 400 + "s"])
def test_a_pause_that_no_calendar_holds_is_a_day(delay: str) -> None:
    ledger = Ledger()

    with pytest.raises(GeminiUnavailable) as refusal:
        asked_of(busy(retry_delay=delay), allowance=ledger)

    assert refusal.value.retry_after == 86_400
    assert ledger.backed_off == [(86_400.0, "rate_limited")]


@pytest.mark.parametrize("delay", ["-5s", "²s", "٣s", "soon", "1e9s", "nans"])
def test_a_pause_that_is_no_number_of_seconds_is_none(delay: str) -> None:
    with pytest.raises(GeminiUnavailable) as refusal:
        asked_of(busy(retry_delay=delay))

    assert refusal.value.retry_after is None


def busy(*, retry_delay: str) -> Said:
    """A minute's limit is passed, says Gemini, and how long to wait."""
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": retry_delay}
    error = {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Too many.", "details": [info]}
    return answer({"error": error}, status=429)


def test_another_failure_keeps_nobody_else_waiting_and_an_answer_is_told(scene: Scene) -> None:
    scene.wrong(status=503, times=1)

    scene.ask()

    assert (scene.ledger.backed_off, scene.ledger.answers) == ([], 1)


def test_who_is_to_wait_too_long_does_without(scene: Scene) -> None:
    scene.wrong(status=429, retry_after=round(LONGEST_PAUSE) + 1)

    with pytest.raises(GeminiUnavailable, match=r"rate_limited: .*Please retry in 21s") as refusal:
        scene.ask()

    assert (scene.pauses, refusal.value.retry_after) == ([], 21.0)


def test_a_pause_that_ends_after_the_patience_is_not_made(serving: Serving, scene: Scene) -> None:
    pauses: list[float] = []
    hasty = connected(serving, ledger=Ledger(), pauses=pauses, patience=6.0)
    scene.wrong(status=429, retry_after=7)

    with pytest.raises(GeminiUnavailable):
        hasty.generate("{}", instructions="Judge.", answer=Verdicts, temperature=0.3)

    assert pauses == []
    hasty.close()


# --- Time, and connections ---------------------------------------------------------------------------


def asked_of(*says: Said, **given: Any) -> Any:
    """What the client makes of a server that says this."""
    with saying() as server:
        server.says = list(says)
        return _generated(server, **given)


def _generated(server: Server, **given: Any) -> Any:
    from integrations.gemini import Gemini, Unlimited

    values: dict[str, Any] = {
        "allowance": Unlimited(),
        "timeout": 0.4,
        "patience": 30.0,
        "sleep": lambda seconds: None,
        **given,
    }
    gemini = Gemini(api_key="k", model=MODEL, base_url=server.url, api_version="v1", **values)
    try:
        return gemini.generate("{}", instructions="Judge.", answer=Verdicts, temperature=0.3)
    finally:
        gemini.close()


@pytest.mark.parametrize(("said", "reason"), [(DROPPED, Reason.CONNECTION_BROKE), (SILENT, Reason.TIMED_OUT)])
def test_no_answer_at_all_is_tried_again_and_has_its_reason(said: Said, reason: Reason) -> None:
    with pytest.raises(GeminiUnavailable) as refusal:
        asked_of(said)

    assert refusal.value.reason is reason


def test_where_nothing_listens_gemini_cannot_be_reached() -> None:
    with saying() as server:
        pass  # its port is free again

    with pytest.raises(GeminiUnavailable) as refusal:
        _generated(server)

    assert refusal.value.reason is Reason.UNREACHABLE


def test_a_body_that_breaks_off_is_tried_again() -> None:
    right = {"candidates": [{"finishReason": "STOP", "content": {"parts": [{"text": json.dumps(RIGHT)}]}}]}
    half = Said(body=b"", headers={"Content-Type": "application/json", "Transfer-Encoding": "chunked"})

    assert asked_of(half, answer(right)).answer == Verdicts(**RIGHT)


def test_a_reply_that_trickles_ends_with_the_time_out(serving: Serving, scene: Scene) -> None:
    scene.wrong(gemini="trickle")
    hasty = connected(serving, ledger=scene.ledger, pauses=[], timeout=0.5, patience=1.6)
    began = time.monotonic()

    with pytest.raises(GeminiUnavailable) as refusal:
        hasty.generate("{}", instructions="Judge.", answer=Verdicts, temperature=0.3)

    assert refusal.value.reason is Reason.TIMED_OUT
    assert time.monotonic() - began < 3
    assert scene.ledger.settled == {}, "what it cost is not known"
    hasty.close()


def test_a_late_reply_ends_with_the_time_out(serving: Serving, scene: Scene) -> None:
    scene.wrong(delay_seconds=2.0)
    hasty = connected(serving, ledger=scene.ledger, pauses=[], timeout=0.3, patience=1.0)

    with pytest.raises(GeminiUnavailable, match="timed_out"):
        hasty.generate("{}", instructions="Judge.", answer=Verdicts, temperature=0.3)

    hasty.close()


# --- The schema --------------------------------------------------------------------------------------


def test_gemini_is_told_of_a_type_what_it_knows_and_no_more() -> None:
    assert schema_of(Verdicts) == {
        "$defs": {
            "Verdict": {
                "additionalProperties": False,
                "properties": {
                    "cohort": {"type": "string"},
                    "confidence": {"maximum": 1, "minimum": 0, "type": "number"},
                },
                "required": ["cohort", "confidence"],
                "type": "object",
            }
        },
        "additionalProperties": False,
        "properties": {
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "verdicts": {"items": {"$ref": "#/$defs/Verdict"}, "type": "array"},
        },
        "required": ["verdicts", "note"],
        "type": "object",
    }


def test_a_type_of_which_gemini_would_be_told_too_little_is_refused() -> None:
    class Two(BaseModel):
        both: dict[str, int]
        model_config = {"json_schema_extra": {"allOf": [{"type": "object"}]}}

    with pytest.raises(ValueError, match="Two: Gemini cannot be told \\['allOf'\\]"):
        schema_of(Two)


def test_every_reason_has_words() -> None:
    assert set(WORDS) == set(Reason)
    assert str(GeminiError(Reason.EMPTY, "no text")) == "empty: the reply holds no answer (no text)"


def test_neither_questions_nor_answers_are_logged(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    scene.control.gemini_says({"verdicts": [], "note": "an-answer-to-find"}, "an-answer-to-find")

    scene.ask("a-question-to-find")
    with pytest.raises(GeminiUnusable):
        scene.ask("a-question-to-find")

    ours = [record for record in caplog.records if record.name.startswith("evenkeel")]
    assert len(ours) == 2
    assert "to-find" not in "".join(str(vars(record)) for record in ours)
