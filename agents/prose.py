"""What an author, model or rules, may write: words with named placeholders that code fills with numbers.

Prose never carries a figure of its own, so no figure in it can be wrong. Two forms are known:
`{contacts}` becomes the number, `{contacts|contact is|contacts are}` becomes the first wording when that
number is one and the second otherwise.

It goes into Slack, mail and pages, so what either wording reads as is plain English: letters, blanks and
plain punctuation, nothing that anybody shows as a link, and each placeholder a word of its own, with nothing
beside it that would make another figure of its number.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial

from agents.asking import UnusableAnswer

_PLACEHOLDER = re.compile(r"\{([a-z_]+)(?:\|([^{}|]*)\|([^{}|]*))?\}")

# Stand for a filled number and for a chosen wording. Nobody else may write them: they are for private use.
_FIGURE, _WORDING = "\ue000", "\ue001"

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""What is not seen: controls, format characters (soft hyphens, directions, tags), the unknown."""
_PLAIN = re.compile(rf"[A-Za-z .,;:!?'\"()/&_\-–—‘’“”{_FIGURE}]*")
_LINK = re.compile(r"//|\w:\S|\w\.\w\w")
"""A scheme's colon, or a name with a dot in it. One letter after the dot is an abbreviation: `e.g.`"""

_NUMBERS = re.compile(
    r"""\b(?: zero | percent | per\ cent | pct | hal(?:f|ves) | dozens?
        | (?: two | three | four | five | six | seven | eight | nine | ten | eleven | twelve
            | (?: thir | four | fif | six | seven | eigh | nine ) teen
            | (?: twen | thir | for | fif | six | seven | eigh | nine ) ty
              (?: one | two | three | four | five | six | seven | eight | nine )?
            | hundred | thousand | [mbtr]{1,2}illion
            ) (?: s | ths? | fold )?
        | thirds? | quarters? | (?: fif | eigh | nin | twelf | (?: twen | thir | for | fif | six | seven
            | eigh | nine ) tie ) ths?
        )\b""",
    re.VERBOSE | re.IGNORECASE,
)
"""Numbers in words. Not `one`, `once` and `twice`, `first` and `second`: plain English needs them."""

_TOUCHING = re.compile(
    rf"\w[{_FIGURE}{_WORDING}] | [{_FIGURE}{_WORDING}]\w | [{_FIGURE}{_WORDING}]\S*[{_FIGURE}{_WORDING}]",
    re.VERBOSE,
)
_CHANGED = re.compile(
    rf"""[^\s("'“‘—]{_FIGURE} | (?<!\w)—{_FIGURE} | (?:^|[:;,.(])\s*[-–—]\s*{_FIGURE}  # a sign, a fraction
    | \b(?: minus | negative | plus | times | twice | thrice | double | triple | point )\s+{_FIGURE}
    | {_FIGURE}(?!['’]s\b)(?!—\w)[^\s\w]*\w  # another sign that goes on with it
    | {_FIGURE}\s+(?: k | m | mn | bn | mio | x | fold | squared | cubed | point )\b
    | {_FIGURE}\s+times\s+(?: as | more | fewer | less | the )\b""",
    re.VERBOSE | re.IGNORECASE,
)
"""What makes another figure of the number that is filled in."""


def check_prose(text: str, *, known: Collection[str], where: str) -> None:
    """Refuse prose that says a number itself, uses a placeholder nobody fills, or is more than plain words.

    Either wording is held against this as it reads once filled. `where` names the passage in the refusal.
    Raises `UnusableAnswer`.
    """
    if not text.strip():
        raise UnusableAnswer(f"{where}: there is no text")
    invented = sorted(placeholders(text) - set(known))
    if invented:
        raise UnusableAnswer(f"{where}: unknown placeholders {invented}; known are {sorted(known)}")
    readings = tuple(_readings(text))
    for reading in readings:
        if any(letter.isnumeric() for letter in reading) or _NUMBERS.search(_base(reading)):
            raise UnusableAnswer(f"{where}: a number of its own; numbers come from placeholders only")
    if any(unicodedata.category(letter) in _HIDDEN for letter in text) or not all(map(_is_plain, readings)):
        raise UnusableAnswer(f"{where}: markup, a link, a mention or a broken placeholder")
    if _TOUCHING.search(_skeleton(text)) or any(map(_CHANGED.search, readings)):
        raise UnusableAnswer(f"{where}: what stands beside a placeholder changes its number")


def _readings(text: str) -> Iterator[str]:
    """What the text reads as for one and for many, a sign in the place of each number."""
    for wording in (2, 3):
        read = _PLACEHOLDER.sub(partial(_read, wording=wording), text)
        yield unicodedata.normalize("NFKC", read)


def _read(found: re.Match[str], *, wording: int) -> str:
    return _FIGURE if found[2] is None else found[wording]


def _skeleton(text: str) -> str:
    """The text with a sign in the place of each placeholder, whatever it will read as."""
    return _PLACEHOLDER.sub(lambda found: _FIGURE if found[2] is None else _WORDING, text)


def _is_plain(reading: str) -> bool:
    is_marked = any(unicodedata.category(letter).startswith("M") for letter in reading)
    return not is_marked and _PLAIN.fullmatch(_base(reading)) is not None and not _LINK.search(reading)


def _base(reading: str) -> str:
    """The letters without their accents: what looks like a word is held against it."""
    letters = unicodedata.normalize("NFKD", reading)
    return "".join(letter for letter in letters if unicodedata.category(letter) != "Mn")


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
