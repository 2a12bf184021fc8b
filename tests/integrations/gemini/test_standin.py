"""The stand-in takes what Gemini documents and nothing else, and says so as Google does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from integrations.sandbox import Serving, serve
from integrations.sandbox.control import Control, ControlRefused

MODEL = "gemini-3.5-flash-lite"
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serve(tmp_path_factory.mktemp("gemini")) as serving:
        yield serving


@pytest.fixture
def control(serving: Serving) -> Iterator[Control]:
    with Control(serving.url) as control:
        control.gemini_forgets()
        yield control
        control.clear_faults()


def ask(
    serving: Serving, body: Any, *, model: str = MODEL, version: str = "v1", key: str = ""
) -> httpx.Response:
    return httpx.post(
        f"{serving.gemini_url}/{version}/models/{model}:generateContent",
        json=body,
        headers={"x-goog-api-key": key or serving.gemini_key},
        trust_env=False,
    )


def a_body(*, config: Any = None, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "{}"}]}], **more}
    return found if config is None else {**found, "generationConfig": config}


def with_schema(schema: Any) -> dict[str, Any]:
    return a_body(config={"responseMimeType": "application/json", "responseJsonSchema": schema})


def test_what_is_scripted_is_answered_in_turn(serving: Serving, control: Control) -> None:
    control.gemini_says({"a": "b"}, "as it stands")

    texts = [ask(serving, a_body()).json()["candidates"][0]["content"]["parts"][0]["text"] for _ in range(2)]

    assert texts == ['{"a": "b"}', "as it stands"]


def test_with_nothing_to_say_it_says_so(serving: Serving, control: Control) -> None:
    answered = ask(serving, a_body())

    assert (answered.status_code, answered.json()["error"]["status"]) == (501, "UNIMPLEMENTED")


@pytest.mark.parametrize(
    "config",
    [
        {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA},
        {"response_mime_type": "application/json", "response_json_schema": SCHEMA},
        {"thinkingConfig": {"include_thoughts": False, "thinking_level": "LOW"}},
        {"temperature": 0.0, "candidateCount": 1, "maxOutputTokens": 512, "seed": 7},
    ],
)
def test_fields_may_be_written_in_camel_case_and_in_snake_case(
    serving: Serving, control: Control, config: Any
) -> None:
    control.gemini_says({"a": "b"})

    assert ask(serving, a_body(config=config)).status_code == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], "an object is expected"),
        (a_body(sytemInstruction={}), 'Unknown name "sytemInstruction"'),
        (a_body(SystemInstruction={}), 'Unknown name "SystemInstruction"'),
        (a_body(labels={"a": "b"}), 'Unknown name "labels"'),
        (a_body(store="no"), "Invalid value at 'store'"),
        (a_body(store=False, config={"temperature": 3}), "Invalid value at 'generation_config.temperature'"),
        (a_body(config={"temprature": 1}), "Unknown name \"temprature\" at 'generation_config'"),
        (a_body(config={"topK": 1, "top_k": 1}), "top_k is set twice"),
        (a_body(config={"candidateCount": 2}), "generation_config.candidate_count"),
        (a_body(config={"maxOutputTokens": 0}), "generation_config.max_output_tokens"),
        (a_body(config={"presencePenalty": 1}), "Penalty is not enabled"),
        (a_body(config={"responseLogprobs": True}), "Logprobs is not enabled"),
        (a_body(config={"thinkingConfig": {"thinkingLevel": "ALL"}}), "thinking_config.thinking_level"),
        (a_body(config={"responseJsonSchema": SCHEMA}), "needs the response mime type"),
        ({}, "contents is not specified"),
        ({"contents": [{"role": "system", "parts": [{"text": "x"}]}]}, "contents.role"),
        ({"contents": [{"role": "user", "parts": []}]}, "must not be empty"),
        ({"contents": [{"role": "user", "parts": [{"text": ""}]}]}, "must not be empty"),
        ({"contents": [{"role": "user", "parts": [{"tekst": "x"}]}]}, 'Unknown name "tekst"'),
        (
            {"contents": [{"parts": [{"text": "x"}]}, {"role": "model", "parts": [{"text": "{"}]}]},
            "last turn is a user turn",
        ),
        (a_body(safetySettings=[{"category": "HARM", "threshold": "OFF"}]), "safety_settings.category"),
        (a_body(safetySettings=[{"threshold": "OFF"}]), "each category once"),
    ],
)
def test_a_request_that_gemini_would_not_take_is_refused_by_name(
    serving: Serving, control: Control, body: Any, words: str
) -> None:
    answered = ask(serving, body)

    assert answered.status_code == 400
    assert answered.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert words in answered.json()["error"]["message"]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({**SCHEMA, "maxLength": 3}, "maxLength"),
        ({**SCHEMA, "allOf": []}, "allOf"),
        ({**SCHEMA, "properties": {"a": {"type": "string", "pattern": "^a"}}}, "pattern"),
        ({**SCHEMA, "properties": {"a": {"const": 1}}}, "const"),
        ({"type": "array", "items": {"type": "string", "uniqueItems": True}}, "uniqueItems"),
        ({"anyOf": [{"minLength": 1}]}, "minLength"),
        ({"$ref": "#/$defs/X", "$defs": {"X": SCHEMA}, "title": "x"}, "takes no other keywords"),
        ({"$ref": "#/$defs/Y", "$defs": {"X": SCHEMA}}, "is not defined"),
        ({"type": "object", "properties": {}, "required": ["a"]}, "is not defined"),
        ({"type": "object", "properties": {"a": "string"}}, "not a schema"),
    ],
)
def test_a_schema_with_what_gemini_does_not_document_is_refused(
    serving: Serving, control: Control, schema: Any, words: str
) -> None:
    answered = ask(serving, with_schema(schema))

    assert answered.status_code == 400
    assert words in answered.json()["error"]["message"]


@pytest.mark.parametrize(
    ("model", "version", "status"),
    [
        (MODEL, "v1", 501),
        ("gemini-3.8-flash", "v1beta", 501),
        ("gemini-flash-latest", "v1beta", 501),
        ("gemini-flash-latest", "v1", 404),
        ("gemini-2.0-flash", "v1", 404),
        (MODEL, "v2", 404),
    ],
)
def test_models_that_are_gone_or_of_another_version_are_not_found(
    serving: Serving, control: Control, model: str, version: str, status: int
) -> None:
    answered = ask(serving, a_body(), model=model, version=version)

    assert answered.status_code == status


def test_the_larger_model_refuses_what_it_does_not_do(serving: Serving, control: Control) -> None:
    config = {"thinkingConfig": {"thinking_level": "MINIMAL"}}

    assert ask(serving, a_body(config=config), model="gemini-3.8-flash").status_code == 400


def test_keys_are_asked_for(serving: Serving, control: Control) -> None:
    url = f"{serving.gemini_url}/v1/models/{MODEL}:generateContent"

    assert httpx.post(url, json=a_body(), trust_env=False).status_code == 403
    assert ask(serving, a_body(), key="wrong").json()["error"]["message"].startswith("API key not valid")


def test_other_paths_are_a_page_of_google(serving: Serving, control: Control) -> None:
    answered = httpx.get(f"{serving.gemini_url}/v1/models", trust_env=False)

    assert (answered.status_code, answered.headers["content-type"]) == (404, "text/html")


def test_an_answer_longer_than_allowed_is_cut(serving: Serving, control: Control) -> None:
    control.gemini_says("x" * 100)

    [candidate] = ask(serving, a_body(config={"maxOutputTokens": 5})).json()["candidates"]

    assert (candidate["finishReason"], len(candidate["content"]["parts"][0]["text"])) == ("MAX_TOKENS", 20)


@pytest.mark.parametrize(
    ("said", "invented"),
    [
        ({"verdicts": [{"cohort": "a"}]}, {"verdicts": [{"cohort": "invented/key"}]}),
        ({"assessments": [{"list": "a"}]}, {"assessments": [{"list": "invented/key"}]}),
        ({"rationale": "x", "choice": "now"}, {"rationale": "{invented}", "choice": "now"}),
    ],
)
def test_it_invents_on_demand(serving: Serving, control: Control, said: Any, invented: Any) -> None:
    control.gemini_says(said)
    control.fault(path="^/gemini/", gemini="invented")

    [candidate] = ask(serving, a_body()).json()["candidates"]

    assert httpx.Response(200, text=candidate["content"]["parts"][0]["text"]).json() == invented


def test_a_quota_has_a_time_to_wait_or_is_the_days(serving: Serving, control: Control) -> None:
    control.fault(path="^/gemini/", status=429, retry_after=37, times=1)
    control.fault(path="^/gemini/", status=429)

    minute, day = (ask(serving, a_body()).json()["error"]["details"] for _ in range(2))

    assert minute[1] == {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"}
    assert "PerDay" in day[0]["violations"][0]["quotaId"]
    assert len(day) == 1


def test_what_was_asked_is_kept_also_where_it_was_refused(serving: Serving, control: Control) -> None:
    control.gemini_says({"a": 1})
    ask(serving, a_body())
    ask(serving, {"contents": "x"})

    taken, refused = control.gemini_asked()
    assert (taken["question"]["text"], taken["said"]) == ("{}", '{"a": 1}')
    assert (refused["question"], refused["body"]) == (None, '{"contents":"x"}')


def test_a_script_that_is_no_list_is_refused(control: Control) -> None:
    with pytest.raises(ControlRefused, match="answers must be a list"):
        control._ask("POST", "gemini", json={"answers": "x"})
