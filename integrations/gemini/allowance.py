"""What may be asked of Gemini, and what it may cost: kept by whoever owns the money."""

from typing import Protocol


class Allowance(Protocol):
    """What every request passes before it is sent."""

    def claim(self, *, tokens: int, patience: float) -> int:
        """Set so many tokens aside for one request, and return the claim's number.

        Waits at most `patience` seconds where only the request has to wait its turn. Raises GeminiSpent.
        """
        ...

    def settle(self, claim: int, *, tokens: int) -> None:
        """So many it were. One that is never settled stays as claimed: the request may have cost it."""
        ...

    def back_off(self, *, asked: float | None, why: str) -> None:
        """Gemini said "too many", and for how many seconds it wants to be left alone, or None: by everybody.

        `why` is the reason's code.
        """
        ...

    def answered(self) -> None:
        """Gemini answered a request: a back-off that has passed is forgotten."""
        ...


class Unlimited(Allowance):
    """Nobody counts: for trying things out by hand."""

    def claim(self, *, tokens: int, patience: float) -> int:
        """Everything is allowed."""
        return 0

    def settle(self, claim: int, *, tokens: int) -> None:
        """Nothing is kept."""

    def back_off(self, *, asked: float | None, why: str) -> None:
        """Whoever asks waits for itself."""

    def answered(self) -> None:
        """Nothing was kept."""
