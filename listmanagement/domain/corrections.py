"""What was meant where a mailbox provider's domain is mistyped: one slip, and one way to read it."""

from collections.abc import Collection


def suggestion(domain: str, *, known: Collection[str]) -> str | None:
    """The one known domain that is one slip away; None where there is none, or more than one."""
    near = [each for each in known if _is_one_slip(domain.lower(), each)]
    return near[0] if len(near) == 1 else None


def _is_one_slip(typed: str, meant: str) -> bool:
    """One letter too many, missing or wrong, or two neighbours swapped."""
    shorter, longer = sorted((typed, meant), key=len)
    if len(shorter) == len(longer):
        wrong = [n for n, (one, other) in enumerate(zip(typed, meant, strict=True)) if one != other]
        return len(wrong) == 1 or (len(wrong) == 2 and _swapped(typed, meant, *wrong))
    return len(longer) - len(shorter) == 1 and any(
        longer[:n] + longer[n + 1 :] == shorter for n in range(len(longer))
    )


def _swapped(typed: str, meant: str, first: int, second: int) -> bool:
    return second == first + 1 and typed[first : second + 1] == meant[second] + meant[first]
