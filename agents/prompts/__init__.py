"""What each agent tells a model, one file an agent, read once. `docs/prompts.md` says why each reads so.

A file begins with its version and has sections: one Task, which alone is enough; one Background, which a
careful judge would know anyway; and Examples, the most telling first. Where an answer cannot be used the
question is asked again, each time in fewer words: with the first example only, with none, without the
background. What is asked about, the facts, stays whole every time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import JsonValue

from agents.asking import Prompt

_TASK, _BACKGROUND, _EXAMPLE = "Task", "Background", "Example"
_HEADING, _VERSION = "\n# ", "version: "


@dataclass(frozen=True)
class Instructions:
    """One agent's system prompt."""

    version: str
    wordings: tuple[str, ...]
    """In full, then for each time an answer could not be used, each shorter than the one before."""

    def about(self, facts: Mapping[str, JsonValue], *, agent: str) -> Prompt:
        """The agent's question about these facts."""
        return Prompt(agent=agent, version=self.version, wordings=self.wordings, facts=facts)


class BadPrompt(ValueError):
    """A prompt's file is not what this module reads; the message names the file and what is wrong."""


@cache
def read(agent: str) -> Instructions:
    """The agent's instructions, from its file beside this one. Raises `BadPrompt`."""
    return parse((Path(__file__).parent / f"{agent}.md").read_text(encoding="utf-8"), name=f"{agent}.md")


def parse(text: str, *, name: str) -> Instructions:
    """Instructions from a file's text. Raises `BadPrompt`."""
    head, *parts = text.split(_HEADING)
    sections = [
        (heading.strip(), body.strip()) for heading, _, body in (part.partition("\n") for part in parts)
    ]
    if not head.startswith(_VERSION):
        raise BadPrompt(f"{name} does not begin with '{_VERSION}'")
    if [heading for heading, _ in sections[:2]] != [_TASK, _BACKGROUND] or not sections[2:]:
        raise BadPrompt(f"{name} needs the sections {_TASK}, {_BACKGROUND} and at least one {_EXAMPLE}")
    if other := sorted({heading for heading, _ in sections[2:]} - {_EXAMPLE}):
        raise BadPrompt(f"{name} has sections nobody reads: {other}")
    (_, task), (_, background), *examples = sections
    shown = [f"Example:\n{body}" for _, body in examples]
    ladder = ([task, background, *shown], [task, background, *shown[:1]], [task, background], [task])
    wordings = tuple(dict.fromkeys("\n\n".join(parts) for parts in ladder))
    return Instructions(version=head.removeprefix(_VERSION).strip(), wordings=wordings)
