"""P2: no path can ask Mailjet to subscribe somebody again. Not the type, not a text, not a request.

PostgreSQL's own refusal is in test_journal_faults; every request of every workflow test is held against the
same rule by the `standin` fixture.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from integrations.mailjet import Action
from tests.conftest import ROOT
from tests.workflows import scene as scenes
from tests.workflows.executing import everything
from tests.workflows.scene import Scene, StandIn

FORBIDDEN = ("addforce", "duplicate-override")
PACKAGES = ("agents", "config", "integrations", "listmanagement")


def test_the_type_of_actions_has_no_such_member() -> None:
    assert set(Action) == {"addnoforce", "remove", "unsub"}


def sources() -> Iterator[Path]:
    """Everything that runs, without the stand-ins, which understand what Mailjet does."""
    yield ROOT / "manage.py"
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if "sandbox" not in path.relative_to(ROOT).parts:
                yield path


def texts(source: str) -> Iterator[str]:
    """Every text and every name in a source that is no docstring."""
    tree = ast.parse(source)
    said = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
        and ast.get_docstring(node) is not None
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node not in said:
            yield str(node.value)
        elif isinstance(node, ast.Name | ast.Attribute):
            yield node.id if isinstance(node, ast.Name) else node.attr


def forbidden(source: str) -> list[str]:
    """The words in it that would subscribe somebody again, however they are written."""
    return [text for text in texts(source) if any(word in text.lower() for word in FORBIDDEN)]


@pytest.mark.parametrize(
    "source",
    [
        'action = "addforce"',
        "x = {'Action': 'AddForce'}",
        'f"add{1}" + "ADDFORCE"',
        "Action.ADDFORCE",
        "b'addforce'",
    ],
)
def test_the_scan_finds_the_word_wherever_it_stands(source: str) -> None:
    assert forbidden(source)


def test_the_scan_lets_explanations_pass() -> None:
    assert not forbidden('"""Mailjet\'s `addforce` is left out."""\n# addforce\nx = "addnoforce"')


def test_no_source_holds_the_word() -> None:
    found = {str(path.relative_to(ROOT)): forbidden(path.read_text()) for path in sources()}

    assert len(found) > 100
    assert {path: words for path, words in found.items() if words} == {}


@pytest.mark.django_db(transaction=True)
def test_everything_a_run_does_asks_for_what_is_allowed_alone(scene: Scene) -> None:
    run = everything(scene).run

    scene.go_on(run)

    assert scene.standin.actions() == {"addnoforce", "remove"}


def test_the_fixture_of_every_workflow_test_would_see_it(tmp_path: Path) -> None:
    with scenes.stand_in(tmp_path) as standin:
        standin.control.load({"lists": [{"id": 11, "name": "first"}]})
        ask_for_it(standin)

        with pytest.raises(AssertionError, match="addforce"):
            scenes.assert_nobody_was_resubscribed(standin)


def ask_for_it(standin: StandIn) -> None:
    body = {"Action": "addforce", "Contacts": [{"Email": "a@example.com"}]}
    path = "/v3/REST/contactslist/11/managemanycontacts"
    auth = (standin.serving.api_key, standin.serving.api_secret)
    httpx.post(f"{standin.url}{path}", json=body, auth=auth, trust_env=False).raise_for_status()
