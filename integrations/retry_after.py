"""How long a server asks to be left alone, by its Retry-After header."""

LONGEST_ASKED = 86_400.0
"""Seconds. What asks for more than a day asks for a day: no calendar holds every number a server can say."""


def seconds_asked(header: str) -> float | None:
    """The header's whole seconds, a day at most; None where it holds none. Dates, which none of ours send,
    are none."""
    if not header.isascii() or not header.isdigit():
        return None
    return min(float(header), LONGEST_ASKED)
