"""What an author, model or rules, may write: words with named placeholders that code fills with numbers.

Prose never carries a figure of its own, so no figure in it can be wrong. Two forms are known:
`{contacts}` becomes the number, `{contacts|contact is|contacts are}` becomes the first wording when that
number is one and the second otherwise.
"""

import re
from collections.abc import Collection, Iterable, Mapping

from agents.asking import UnusableAnswer

_PLACEHOLDER = re.compile(r"\{([a-z_]+)(?:\|([^{}|]*)\|([^{}|]*))?\}")
# Prose goes into Slack, mail and pages: no links, mentions, markup or control characters.
_MARKUP = re.compile(r"[<>@{}\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]|://")


def check_prose(text: str, *, known: Collection[str], where: str) -> None:
    """Refuse prose that says a number itself, uses a placeholder nobody fills, or carries markup.

    `where` names the passage in the refusal. Raises `UnusableAnswer`.
    """
    if not text.strip():
        raise UnusableAnswer(f"{where}: there is no text")
    invented = sorted(placeholders(text) - set(known))
    if invented:
        raise UnusableAnswer(f"{where}: unknown placeholders {invented}; known are {sorted(known)}")
    words = _PLACEHOLDER.sub(lambda found: f"{found[2] or ''} {found[3] or ''}", text)
    if any(letter.isnumeric() for letter in words):
        raise UnusableAnswer(f"{where}: a number of its own; numbers come from placeholders only")
    if _MARKUP.search(words):
        raise UnusableAnswer(f"{where}: markup, a link, a mention or a broken placeholder")


def placeholders(text: str) -> set[str]:
    """The names the prose wants filled."""
    return {found[1] for found in _PLACEHOLDER.finditer(text)}


def fill(text: str, values: Mapping[str, int | float | str]) -> str:
    """The prose with its numbers: thousands separated, at most two decimals, singular at exactly one.

    Raises `UnusableAnswer` when a placeholder has no value.
    """
    missing = sorted(placeholders(text) - set(values))
    if missing:
        raise UnusableAnswer(f"no value for the placeholders {missing}")
    return _PLACEHOLDER.sub(lambda found: _filled(found, values[found[1]]), text)


def percent(share: float) -> str:
    """A share between 0 and 1 as people read it: `11 %`, `1.99 %`, and never a rounded `0 %` for some."""
    if 0 < share < 0.0001:
        return "under 0.01 %"
    return f"{_number(share * 100)} %"


def sizes(members: Iterable[int]) -> str:
    """List sizes side by side, in the order given: `1,092 / 1,092 / 1,125`."""
    return " / ".join(f"{size:,}" for size in members)


def _filled(found: re.Match[str], value: int | float | str) -> str:
    if found[2] is None:
        return value if isinstance(value, str) else _number(value)
    return found[2] if value == 1 else found[3]


def _number(value: float) -> str:
    written = f"{value:,.2f}"
    return written.rstrip("0").rstrip(".")
