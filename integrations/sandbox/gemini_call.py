"""What Gemini takes: the request's fields, the models, the schema's keywords. Everything else is refused.

A field may be written in camelCase or in snake_case: Google's JSON parser takes both, and the SDK sends both.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from integrations.sandbox.protocol import read_json

VERSIONS = ("v1", "v1beta")
MODELS = ("gemini-3.5-flash-lite", "gemini-3.7-flash", "gemini-3.8-flash", "gemini-2.5-flash-lite")
ALIASES = ("gemini-flash-latest", "gemini-flash-lite-latest", "gemini-pro-latest")
"""Only on v1beta."""

MOST_OUTPUT = 65_536
_DEEPEST = 32
_CATEGORIES = tuple(
    f"HARM_CATEGORY_{name}"
    for name in ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT", "CIVIC_INTEGRITY")
)
_THRESHOLDS = (
    "OFF",
    "BLOCK_NONE",
    "BLOCK_ONLY_HIGH",
    "BLOCK_MEDIUM_AND_ABOVE",
    "BLOCK_LOW_AND_ABOVE",
)
_LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH")
_KEYWORDS = frozenset(
    "$id $defs $ref $anchor type format title description enum items prefixItems minItems maxItems minimum "
    "maximum anyOf oneOf properties additionalProperties required propertyOrdering".split()
)
"""What the API documents of JSON Schema, and nothing else."""


class Refusal(Exception):
    """Gemini does not take this; the message is what it says."""

    def __init__(self, code: int, words: str, *, status: str = "") -> None:
        super().__init__(words)
        self.code, self.status = int(code), status


@dataclass(frozen=True)
class Question:
    """A request that was taken."""

    version: str
    model: str
    system: str
    text: str
    schema: Mapping[str, Any] | None
    temperature: float | None
    max_output_tokens: int
    store: bool | None
    safety: Mapping[str, str]


def read(body: bytes, *, version: str, model: str) -> Question:
    """The question in a request's body. Raises Refusal."""
    _check_model(version, model)
    given = _fields(_object(body), _TOP, where="")
    config = _fields(given.get("generationConfig", {}), _CONFIG, where="generation_config")
    _check_together(config, model=model)
    return Question(
        version=version,
        model=model,
        system=_joined(given.get("systemInstruction"), where="system_instruction"),
        text=_contents(given.get("contents")),
        schema=config.get("responseJsonSchema"),
        temperature=config.get("temperature"),
        max_output_tokens=config.get("maxOutputTokens", MOST_OUTPUT),
        store=given.get("store"),
        safety=_safety(given.get("safetySettings", [])),
    )


def _check_model(version: str, model: str) -> None:
    if version in VERSIONS and (model in MODELS or (model in ALIASES and version == "v1beta")):
        return
    words = f"models/{model} is not found for API version {version}, or is not supported for generateContent."
    raise Refusal(HTTPStatus.NOT_FOUND, words)


def _object(body: bytes) -> Any:
    try:
        return read_json(body)
    except ValueError as error:
        raise _invalid("Invalid JSON payload received. Expected a value.") from error


def _invalid(words: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, words)


def _fields(given: Any, known: Mapping[str, Callable[[Any], bool]], *, where: str) -> dict[str, Any]:
    """The fields by their camelCase names, each of its type and none twice."""
    at = f" at '{where}'" if where else ""
    if not isinstance(given, Mapping):
        raise _invalid(f"Invalid value{at}, an object is expected.")
    names = {_snake(name): name for name in known} | {name: name for name in known}
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name not in names:
            raise _invalid(f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.')
        if names[name] in found:
            raise _invalid(f"Invalid value{at}: {name} is set twice.")
        if not known[names[name]](value):
            raise _invalid(f"Invalid value at '{f'{where}.' if where else ''}{_snake(name)}'.")
        found[names[name]] = value
    return found


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


# --- Fields and their types --------------------------------------------------------------------------


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_TOP = {
    "contents": _is_list,
    "systemInstruction": _is_object,
    "safetySettings": _is_list,
    "generationConfig": _is_object,
    "store": _is_flag,
}
_CONFIG = {
    "temperature": lambda value: _is_number(value) and 0 <= value <= 2,
    "topP": _is_number,
    "topK": _is_number,
    "candidateCount": lambda value: value == 1,
    "maxOutputTokens": lambda value: _is_whole(value) and 1 <= value <= MOST_OUTPUT,
    "seed": _is_whole,
    "stopSequences": _is_list,
    "presencePenalty": _is_number,
    "frequencyPenalty": _is_number,
    "responseMimeType": lambda value: value in ("text/plain", "application/json"),
    "responseJsonSchema": _is_object,
    "responseLogprobs": _is_flag,
    "logprobs": _is_whole,
    "thinkingConfig": _is_object,
}
_THINKING = {
    "includeThoughts": _is_flag,
    "thinkingLevel": lambda value: value in _LEVELS,
    "thinkingBudget": _is_whole,
}
_CONTENT = {"role": lambda value: value in ("user", "model"), "parts": _is_list}
_PART = {"text": _is_text}
_SAFETY = {"category": lambda value: value in _CATEGORIES, "threshold": lambda value: value in _THRESHOLDS}


def _check_together(config: Mapping[str, Any], *, model: str) -> None:
    """What is refused only beside something else."""
    thinking = _fields(config.get("thinkingConfig", {}), _THINKING, where="generation_config.thinking_config")
    if thinking.get("thinkingLevel") == "MINIMAL" and model == "gemini-3.8-flash":
        raise _invalid("Thinking level MINIMAL is not supported by this model.")
    if config.get("responseLogprobs"):
        raise _invalid(f"Logprobs is not enabled for models/{model}")
    if model == "gemini-3.5-flash-lite" and {"presencePenalty", "frequencyPenalty"} & set(config):
        raise _invalid("Penalty is not enabled for this model.")
    if (schema := config.get("responseJsonSchema")) is not None:
        if config.get("responseMimeType") != "application/json":
            raise _invalid("Response schema needs the response mime type application/json.")
        _check_schema(schema, root=schema, where="response_json_schema", depth=0)


def _contents(given: Any) -> str:
    turns = [_fields(turn, _CONTENT, where="contents") for turn in given or []]
    if not turns:
        raise _invalid("GenerateContentRequest.contents: contents is not specified")
    if turns[-1].get("role", "user") == "model":
        raise _invalid("Please ensure that the last turn is a user turn.")
    return "\n".join(_joined(turn, where="contents") for turn in turns)


def _joined(given: Any, *, where: str) -> str:
    if given is None:
        return ""
    parts = [_fields(part, _PART, where=f"{where}.parts") for part in given.get("parts", [])]
    if not parts or not all(part.get("text") for part in parts):
        raise _invalid(f"* GenerateContentRequest.{where}.parts: must not be empty.")
    return "\n".join(part["text"] for part in parts)


def _safety(given: list[Any]) -> dict[str, str]:
    rows = [_fields(row, _SAFETY, where="safety_settings") for row in given]
    found = {row.get("category"): row.get("threshold") for row in rows}
    if len(found) < len(rows) or None in found or None in found.values():
        raise _invalid("safety_settings: each category once, with its threshold.")
    return {str(category): str(threshold) for category, threshold in found.items()}


# --- The schema --------------------------------------------------------------------------------------


def _check_schema(node: Any, *, root: Mapping[str, Any], where: str, depth: int) -> None:
    if isinstance(node, bool) and where.endswith("additionalProperties"):
        return
    if not isinstance(node, Mapping) or depth > _DEEPEST:
        raise _invalid(f"{where}: not a schema, or nested too deeply.")
    if unknown := sorted(set(node) - _KEYWORDS):
        raise _invalid(f"Unknown name \"{unknown[0]}\" at '{where}': Cannot find field.")
    _check_reference(node, root=root, where=where)
    for name, child in _children(node):
        _check_schema(child, root=root, where=f"{where}.{name}", depth=depth + 1)
    if missing := set(node.get("required", [])) - set(node.get("properties", {})):
        raise _invalid(f"{where}.required: {json.dumps(sorted(missing))} is not defined")


def _children(node: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in ("$defs", "properties"):
        yield from ((f"{name}.{key}", child) for key, child in node.get(name, {}).items())
    for name in ("anyOf", "oneOf", "prefixItems"):
        yield from ((name, child) for child in node.get(name, []))
    yield from ((name, node[name]) for name in ("items", "additionalProperties") if name in node)


def _check_reference(node: Mapping[str, Any], *, root: Mapping[str, Any], where: str) -> None:
    reference = node.get("$ref")
    if reference is None:
        return
    if any(not name.startswith("$") for name in node):
        raise _invalid(f"{where}: a $ref takes no other keywords beside it.")
    if reference.removeprefix("#/$defs/") not in root.get("$defs", {}):
        raise _invalid(f"{where}: {reference} is not defined")
