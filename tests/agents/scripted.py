"""A model that answers what a test wrote down.

No model is reachable in tests, and a real one would not err on demand. What the tests need from it is the
edge every model shares: text comes back, and it may be anything.
"""

import json
from typing import Any, TypeVar

from pydantic import BaseModel

from agents.asking import Prompt, parsed

A = TypeVar("A", bound=BaseModel)


class ScriptedAsk:
    """Answers each agent with its text, or raises what stands there instead; remembers the questions."""

    def __init__(self, **replies: Any) -> None:
        self._replies = replies
        self.asked: list[Prompt] = []

    def __call__(self, prompt: Prompt, *, answer: type[A]) -> A:
        self.asked.append(prompt)
        prompt.receipt.model, prompt.receipt.temperature = "scripted-model", 0.3
        prompt.receipt.add(tokens_in=100, tokens_out=20, tokens_thought=5, latency_ms=7)
        reply = self._replies[prompt.agent]
        if isinstance(reply, Exception):
            raise reply
        return parsed(answer, reply if isinstance(reply, str) else json.dumps(reply))
