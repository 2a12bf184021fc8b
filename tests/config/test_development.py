"""A `.env` for development: written once, for one's own eyes, never over what there is."""

import stat
from pathlib import Path

from config import children, development, terminal


def test_the_file_is_private_and_has_a_key_of_its_own(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"

    assert development.write_dotenv(path=first)
    assert development.write_dotenv(path=second)

    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    keys = {_variables(path)["SECRET_KEY"] for path in (first, second)}
    assert len(keys) == 2
    assert min(map(len, keys)) >= 32
    assert _variables(first)["DEBUG"] == "true"


def _variables(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_everything_but_the_key_is_as_in_the_example(tmp_path: Path) -> None:
    path = tmp_path / ".env"

    development.write_dotenv(path=path)

    assert {**_variables(path), "SECRET_KEY": ""} == _variables(development.EXAMPLE)


def test_what_there_is_stays(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("DEBUG=false\n")

    assert not development.write_dotenv(path=path)

    assert path.read_text() == "DEBUG=false\n"
    assert [*tmp_path.iterdir()] == [path]


def test_anything_that_is_configured_is_no_first_look() -> None:
    assert development.is_unconfigured({"PATH": "/bin", "DEBUG": ""})
    assert not development.is_unconfigured({"DATABASE_URL": "postgres://db.invalid/evenkeel"})
    assert not development.is_unconfigured({"DEBUG": "false"})
    assert not development.is_unconfigured({"ENV_FILE": "/etc/evenkeel"})


def test_the_procfile_names_what_make_run_and_make_demo_start() -> None:
    lines = children.procfile()

    assert [*lines] == ["release", "web", "worker", "beat"]
    assert lines["web"].startswith("gunicorn config.wsgi")
    assert "--pool threads" in lines["worker"]


def test_there_are_no_colours_where_there_is_no_terminal() -> None:
    assert terminal.bold("here") == terminal.red("here") == terminal.dim("here") == "here"
