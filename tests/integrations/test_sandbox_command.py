"""``manage.py sandbox``: the stand-ins alone, with words that say how to use them."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import httpx
import pytest
from django.core.management import CommandError, call_command
from pydantic import BaseModel

from agents import rebalancing
from agents.asking import Ask, Prompt, Source
from integrations.gemini import Gemini, Unlimited
from integrations.sandbox.control import Control
from tests.agents.test_rebalancing import facts, plan

Answered = TypeVar("Answered", bound=BaseModel)

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def command(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command as a process, and what it says until it listens."""
    line = [sys.executable, str(ROOT / "manage.py"), "sandbox", "--port", "0", *arguments]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = ""
    try:
        for text in process.stdout:
            said += text
            if "Sandbox listening" in text:
                break
        yield process, said
    finally:
        process.kill()
        process.communicate()


NOTHING_NEEDED = facts(deviation=1.0, now=plan(placements=1))


def of_the_model(settings: dict[str, str]) -> Ask:
    """Asks the model that the command's words lead to."""
    gemini = Gemini(
        api_key=settings["GEMINI_API_KEY"],
        model="gemini-3.5-flash-lite",
        base_url=settings["GEMINI_BASE_URL"],
        api_version="v1",
        allowance=Unlimited(),
    )

    def ask(prompt: Prompt, *, answer: type[Answered]) -> Answered:
        given = gemini.generate(prompt.question, instructions=prompt.system, answer=answer, temperature=0.5)
        gemini.close()
        return given.answer

    return ask


def test_it_serves_says_how_to_point_at_it_and_ends_in_order(tmp_path: Path) -> None:
    with command("--state", str(tmp_path), "--rate", "2", "--api-key", "k", "--api-secret", "s") as (
        process,
        said,
    ):
        settings = dict(re.findall(r"^  ([A-Z_]+)=(.*)$", said, re.MULTILINE))
        keys = (settings["MAILJET_API_KEY"], settings["MAILJET_API_SECRET"])
        url = f"{settings['MAILJET_BASE_URL']}/v3/REST/contact"
        codes = [httpx.get(url, auth=keys, trust_env=False).status_code for _ in range(3)]
        with Control(settings["MAILJET_BASE_URL"]) as control:
            rate = control.state()["settings"]["rate"]
        judged = rebalancing.judge(NOTHING_NEEDED, ask=of_the_model(settings))
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)

    assert codes == [200, 200, 429]
    assert rate == 2
    assert (process.returncode, errors) == (0, "")
    assert "Slack's Web API" in said
    assert (judged.source, judged.answer) == (Source.MODEL, rebalancing.by_rules(NOTHING_NEEDED))
    assert (tmp_path / "sandbox.sqlite3").exists()


def test_it_does_not_listen_beyond_this_machine(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(CommandError, match=r"cannot listen on 0\.0\.0\.0:0: .* loopback only"):
            call_command("sandbox", "--host", "0.0.0.0", "--port", "0", "--state", str(tmp_path))
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])
