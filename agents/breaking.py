"""Right answers made wrong, in every way a model may be: to prove that none of them is believed.

Each breakage takes the facts as they were sent and a right answer as JSON, and returns the text that a
broken model would send, or None where there is nothing to break in that way.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

Facts = Mapping[str, Any]
Breakage = Callable[[Facts, dict[str, Any]], str | None]

_ROWS = (("verdicts", "cohort", "verdict"), ("assessments", "list", "grade"))
"""Where answers about many things keep them, what they call each, and what they say of it."""


def _as_chat(facts: Facts, answer: dict[str, Any]) -> str | None:
    return f"Certainly! Here is the answer: {json.dumps(answer)}"


def _cut_off(facts: Facts, answer: dict[str, Any]) -> str | None:
    text = json.dumps(answer)
    return text[: len(text) // 2]


def _another_shape(facts: Facts, answer: dict[str, Any]) -> str | None:
    return json.dumps({"answer": "as you wish"})


def _one_field_more(facts: Facts, answer: dict[str, Any]) -> str | None:
    return json.dumps({**answer, "note": "by the way"})


def _one_field_less(facts: Facts, answer: dict[str, Any]) -> str | None:
    return json.dumps(dict(list(answer.items())[1:]))


def _one_thing_forgotten(facts: Facts, answer: dict[str, Any]) -> str | None:
    rows = _rows(answer)
    if not rows:
        return None
    rows.pop()
    return json.dumps(answer)


def _one_thing_invented(facts: Facts, answer: dict[str, Any]) -> str | None:
    return _renamed(answer, "invented/key")


def _one_thing_twice(facts: Facts, answer: dict[str, Any]) -> str | None:
    rows = _rows(answer)
    if not rows:
        return None
    rows.append(rows[0])
    return json.dumps(answer)


def _unknown_word(facts: Facts, answer: dict[str, Any]) -> str | None:
    rows = _rows(answer)
    for where, _, says in _ROWS:
        if where in answer and rows:
            rows[0][says] = "delete"
            return json.dumps(answer)
    return json.dumps({**answer, "choice": "tomorrow"}) if "choice" in answer else None


def _too_confident(facts: Facts, answer: dict[str, Any]) -> str | None:
    for each in (answer, *_rows(answer)):
        if "confidence" in each:
            each["confidence"] = 1.5
            return json.dumps(answer)
    return None


def _wider_than_its_region(facts: Facts, answer: dict[str, Any]) -> str | None:
    closed = {one["key"] for one in facts.get("cohorts", ()) if one["region"] not in ("must", "may")}
    for row in _rows(answer):
        if row.get("cohort") in closed:
            row["verdict"] = "suppress"
            return json.dumps(answer)
    return None


def _an_outage_nobody_saw(facts: Facts, answer: dict[str, Any]) -> str | None:
    for row in answer.get("assessments", ()):
        row["domains"] = [*row["domains"], "domain-000000000000"]
        return json.dumps(answer)
    return None


def _a_cause_without_a_domain(facts: Facts, answer: dict[str, Any]) -> str | None:
    for row in answer.get("assessments", ()):
        row["cause"], row["domains"] = "outage", []
        return json.dumps(answer)
    return None


def _moves_that_are_forbidden(facts: Facts, answer: dict[str, Any]) -> str | None:
    if "choice" not in answer:
        return None
    hours = facts["hours_to_next_send"]
    too_close = hours is not None and hours < 3
    if too_close or (facts["now"]["moves"] and not facts["between_cycles"]):
        return json.dumps({**answer, "choice": "now"})
    return None


def _silent_about_what_matters(facts: Facts, answer: dict[str, Any]) -> str | None:
    numbers = facts.get("numbers", {})
    if not any(numbers.get(name) for name in ("waiting", "held", "failed", "expired", "moves_deferred")):
        return None
    return json.dumps({"headline": "All is well.", "summary": ["Nothing to tell."], "actions": []})


def _with_prose(change: Callable[[str], str]) -> Breakage:
    def broken(facts: Facts, answer: dict[str, Any]) -> str | None:
        for holder, name in _prose(answer):
            holder[name] = change(holder[name])
            return json.dumps(answer)
        return None

    return broken


BREAKAGES: Mapping[str, Breakage] = {
    "as_chat": _as_chat,
    "cut_off": _cut_off,
    "another_shape": _another_shape,
    "one_field_more": _one_field_more,
    "one_field_less": _one_field_less,
    "one_thing_forgotten": _one_thing_forgotten,
    "one_thing_invented": _one_thing_invented,
    "one_thing_twice": _one_thing_twice,
    "unknown_word": _unknown_word,
    "too_confident": _too_confident,
    "wider_than_its_region": _wider_than_its_region,
    "an_outage_nobody_saw": _an_outage_nobody_saw,
    "a_cause_without_a_domain": _a_cause_without_a_domain,
    "moves_that_are_forbidden": _moves_that_are_forbidden,
    "silent_about_what_matters": _silent_about_what_matters,
    "a_number_of_its_own": _with_prose(lambda text: f"{text} That is 12 in all."),
    "an_unknown_placeholder": _with_prose(lambda text: f"{text} See {{invented}}."),
    "a_link": _with_prose(lambda text: f"{text} See https://evil.example now."),
    "markup": _with_prose(lambda text: f"{text} <b>Approve!</b>"),
    "a_mention": _with_prose(lambda text: f"{text} @here"),
    "nothing_said": _with_prose(lambda text: ""),
}
"""By name."""


def broken(name: str, facts: Facts, answer: Mapping[str, Any]) -> str | None:
    """The answer, broken in the way of that name; None where it cannot be. The answer itself stays whole."""
    return BREAKAGES[name](facts, deepcopy(dict(answer)))


def _rows(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    return next((answer[where] for where, _, _ in _ROWS if where in answer), [])


def _renamed(answer: dict[str, Any], key: str) -> str | None:
    rows = _rows(answer)
    for where, name, _ in _ROWS:
        if where in answer and rows:
            rows[0][name] = key
            return json.dumps(answer)
    return None


def _prose(answer: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Where an answer keeps words for people."""
    for each in (answer, *_rows(answer)):
        for name in ("rationale", "headline"):
            if name in each:
                yield each, name
