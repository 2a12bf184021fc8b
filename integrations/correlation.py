"""One id that every log line of a run or a request carries."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

correlation_id: ContextVar[str] = ContextVar("correlation_id", default="")


@contextmanager
def correlated(with_id: str) -> Iterator[None]:
    """Everything logged inside carries this id."""
    token = correlation_id.set(with_id)
    try:
        yield
    finally:
        correlation_id.reset(token)
