"""A model that answers what a test wrote down.

No model is reachable in tests, and a real one would not err on demand. What the tests need from it is the
edge every model shares: text comes back, and it may be anything.
"""

import json
from typing import Any, TypeVar

from pydantic import BaseModel

from agents.asking import Prompt, UnusableAnswer, parsed

A = TypeVar("A", bound=BaseModel)


class ScriptedAsk:
    """Answers each agent with its text, or raises what stands there instead; remembers the questions."""

    def __init__(self, **replies: Any) -> None:
        self._replies = replies
        self.asked: list[Prompt] = []

    def __call__(self, prompt: Prompt, *, answer: type[A]) -> A:
        self.asked.append(prompt)
        prompt.receipt.model = "scripted-model"
        prompt.receipt.tokens_in, prompt.receipt.tokens_out, prompt.receipt.latency_ms = 100, 20, 7
        reply = self._replies[prompt.agent]
        if isinstance(reply, UnusableAnswer):
            raise reply
        return parsed(answer, reply if isinstance(reply, str) else json.dumps(reply))
