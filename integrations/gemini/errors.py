"""Why Gemini gave no usable answer. The words hold nothing of what was asked or answered."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Each way in which a question ends without an answer."""

    # An answer came and cannot be used.
    NOT_JSON = "not_json"
    FENCED = "fenced"
    WRONG_SHAPE = "wrong_shape"
    CUT_OFF = "cut_off"
    NO_ROOM = "no_room"
    ANSWER_BLOCKED = "answer_blocked"
    PROMPT_BLOCKED = "prompt_blocked"
    MALFORMED = "malformed"
    UNFINISHED = "unfinished"
    STOPPED = "stopped"
    EMPTY = "empty"
    UNREADABLE = "unreadable"
    WRONG_TYPE = "wrong_type"
    # None came; later it may.
    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"
    CONNECTION_BROKE = "connection_broke"
    SERVER_ERROR = "server_error"
    OVERLOADED = "overloaded"
    RATE_LIMITED = "rate_limited"
    # None will come before a person mends something.
    INVALID_REQUEST = "invalid_request"
    PRECONDITION = "precondition"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    UNKNOWN_MODEL = "unknown_model"
    QUOTA = "quota"
    UNEXPECTED_STATUS = "unexpected_status"
    # It was not asked.
    NO_TURN = "no_turn"
    BACKED_OFF = "backed_off"
    RUN_SPENT = "run_spent"
    DAY_SPENT = "day_spent"


WORDS = {
    Reason.NOT_JSON: "the answer is not JSON",
    Reason.FENCED: "the answer is not JSON alone, it stands between backticks",
    Reason.WRONG_SHAPE: "the answer is JSON of another form than was asked for",
    Reason.CUT_OFF: "the answer was cut off at its longest",
    Reason.NO_ROOM: "thinking left no room for an answer",
    Reason.ANSWER_BLOCKED: "Gemini's filters held the answer back",
    Reason.PROMPT_BLOCKED: "Gemini's filters refused the question",
    Reason.MALFORMED: "Gemini says that its own answer is malformed",
    Reason.UNFINISHED: "Gemini stopped in the middle and offers to go on",
    Reason.STOPPED: "Gemini stopped for a reason of its own",
    Reason.EMPTY: "the reply holds no answer",
    Reason.UNREADABLE: "the reply is not Gemini's: it is not JSON",
    Reason.WRONG_TYPE: "the reply is not what Gemini documents",
    Reason.TIMED_OUT: "no whole reply came in time",
    Reason.UNREACHABLE: "Gemini cannot be reached",
    Reason.CONNECTION_BROKE: "the connection broke before the reply was whole",
    Reason.SERVER_ERROR: "Gemini failed on its own side",
    Reason.OVERLOADED: "Gemini has no time",
    Reason.RATE_LIMITED: "Gemini was asked too often",
    Reason.INVALID_REQUEST: "Gemini does not take the request",
    Reason.PRECONDITION: "the Google project may not use Gemini as it stands (billing, region)",
    Reason.UNAUTHENTICATED: "Gemini does not know GEMINI_API_KEY",
    Reason.FORBIDDEN: "GEMINI_API_KEY may not use this",
    Reason.UNKNOWN_MODEL: "Gemini has no such model, or no longer: see GEMINI_MODEL and GEMINI_API_VERSION",
    Reason.QUOTA: "the Google project's quota is used up for the day, or is none",
    Reason.UNEXPECTED_STATUS: "something other than Gemini answered: see GEMINI_BASE_URL",
    Reason.NO_TURN: "too many questions in a minute: see GEMINI_REQUESTS_PER_MINUTE",
    Reason.BACKED_OFF: "Gemini was asked too often, by any of us, and is left alone for now",
    Reason.RUN_SPENT: "what one run may spend is spent: see GEMINI_TOKENS_PER_RUN",
    Reason.DAY_SPENT: "what a day may cost is spent: see GEMINI_TOKENS_PER_DAY",
}
"""What each means to a person."""


@dataclass(frozen=True)
class Usage:
    """What one request cost, in tokens."""

    tokens_in: int
    tokens_out: int
    tokens_thought: int

    @property
    def total(self) -> int:
        """Everything that is paid for."""
        return self.tokens_in + self.tokens_out + self.tokens_thought


class GeminiError(Exception):
    """A question ended without an answer: `reason` says which way, the words say it to a person."""

    def __init__(
        self,
        reason: Reason,
        detail: str = "",
        *,
        usage: Usage | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{reason}: {WORDS[reason]}{f' ({detail})' if detail else ''}")
        self.reason = reason
        self.usage = usage
        """What it cost, as far as Gemini said."""
        self.retry_after = retry_after
        """Seconds that Gemini asked us to wait, or None."""

    @property
    def in_our_words(self) -> str:
        """The same without what Gemini said itself, for log lines: nobody knows what stands in that."""
        return f"{self.reason}: {WORDS[self.reason]}"


class GeminiUnusable(GeminiError):
    """An answer came and cannot be used. Asked in other words, the model may do better."""


class GeminiUnavailable(GeminiError):
    """Gemini could not be reached or had no time, also when asked again. Later it may."""


class GeminiRejected(GeminiError):
    """Gemini refuses, and will again until a person mends what the words name."""


class GeminiSpent(GeminiError):
    """Gemini was not asked: our own allowance is used up, or it wants to be left alone."""
