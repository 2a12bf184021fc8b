"""`make demo`: what it can be asked for, what it leaves alone, whom it knows, and how it ends."""

import json
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client

from config import development, processes
from config.demo import asked, following, memory, telling
from config.demo.asked import NotPossible
from config.demo.following import NothingMoves
from listmanagement.models import ListMaintenanceLog, RunStatus, Step
from listmanagement.workflows.demo.world import Scenario
from tests import factories
from tests.config.running import ROOT, bare


def test_without_wishes_it_goes_on_where_it_stopped() -> None:
    found = asked.read({})

    assert found == asked.Asked(
        once=False, reset=False, scenario=Scenario.BETWEEN_CYCLES, fresh=False, gemini=False, port=8000
    )
    assert found.address == "http://127.0.0.1:8000"


@pytest.mark.parametrize("wish", [{"ONCE": "1"}, {"RESET": "1"}, {"SCENARIO": "mid-cycle"}])
def test_once_reset_and_a_scenario_start_from_a_fresh_seed(wish: dict[str, str]) -> None:
    assert asked.read(wish).fresh


def test_a_stand_in_may_judge_in_geminis_place() -> None:
    assert asked.read({"GEMINI": "1"}).gemini
    assert asked.as_model("http://127.0.0.1:4000") == {
        "GEMINI_BASE_URL": "http://127.0.0.1:4000/gemini",
        "GEMINI_API_KEY": "sandbox",
    }


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"ONCE": "maybe"}, "ONCE is 'maybe': it must be 1, or not given"),
        ({"GEMINI": "key"}, "GEMINI is 'key': it must be 1, or not given"),
        ({"RESET": "2"}, "RESET is '2': it must be 1, or not given"),
        ({"SCENARIO": "none"}, "SCENARIO is 'none': it must be one of between-cycles, mid-cycle"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused_with_what_is_allowed(wish: dict[str, str], told: str) -> None:
    with pytest.raises(NotPossible, match=f"^{told}$"):
        asked.read(wish)


def test_databases_and_accounts_of_others_are_set_aside_and_named() -> None:
    environment = {
        "DEBUG": "true",
        "DATABASE_URL": "postgres://db.invalid/evenkeel",
        "MAILJET_API_KEY": "key",
        "SLACK_WEBHOOK_URL": "https://hooks.slack.invalid",
        "GEMINI_API_KEY": "key",
        "MAILJET_MASTER_LIST_ID": "7",
    }

    others = asked.take_over(environment, asked.read({"PORT": "8123"}))

    assert others == ["DATABASE_URL", "MAILJET_API_KEY", "SLACK_WEBHOOK_URL"]
    assert {name: value for name, value in environment.items() if value} == {
        "DEBUG": "true",
        "MAILJET_MASTER_LIST_ID": "7",
        "SITE_URL": "http://127.0.0.1:8123",
        "PYTHONUNBUFFERED": "1",
    }


def test_a_checkout_of_production_shows_no_demo() -> None:
    environment = {"DEBUG": "false", "DATABASE_URL": "postgres://db.invalid/evenkeel"}

    with pytest.raises(NotPossible, match="the demo runs in development only"):
        asked.take_over(environment, asked.read({}))

    assert environment["DATABASE_URL"]


@pytest.mark.django_db
def test_users_keep_the_passwords_that_were_printed(tmp_path: Path) -> None:
    path = tmp_path / "demo.json"
    memory.make_users(memory.recall(path))
    printed = memory.recall(path).passwords

    memory.make_users(memory.recall(path))

    assert memory.recall(path).passwords == printed
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [*printed] == ["reviewer", "viewer", "admin"]
    assert len(set(printed.values())) == 3
    assert all(Client().login(username=name, password=password) for name, password in printed.items())


@pytest.mark.django_db
def test_the_reviewer_decides_and_the_viewer_only_looks(tmp_path: Path) -> None:
    memory.make_users(memory.recall(tmp_path / "demo.json"))

    may = {user.username: user.has_perm("listmanagement.review_decision") for user in User.objects.all()}

    assert may == {"reviewer": True, "viewer": False, "admin": True}


def test_a_demo_that_never_was_is_not_seeded(tmp_path: Path) -> None:
    remembered = memory.recall(tmp_path / "demo.json")
    assert not remembered.seeded

    remembered.seeded = True
    remembered.save()

    assert memory.recall(tmp_path / "demo.json").seeded


def test_the_figures_are_one_line_of_json() -> None:
    run = ListMaintenanceLog(
        pk=7,
        status=RunStatus.SUCCEEDED,
        requests=93,
        counts={"suppressed": 110, "held": 126, "placed": 300, "moved": 52, "sent": 1000},
        state_after={"lists": [], "deviation": 1.9873},
    )

    told = telling.figures(run, broken=["P2"])

    assert told == (
        '{"run": 7, "status": "succeeded", "suppressed": 110, "held": 126, "placed": 300, "moved": 52, '
        '"deviation_after": 1.99, "mailjet_requests": 93, "promises_broken": ["P2"]}'
    )


def test_a_run_that_failed_early_has_figures_too() -> None:
    told = json.loads(telling.figures(ListMaintenanceLog(pk=7, status=RunStatus.FAILED), broken=[]))

    assert (told["status"], told["suppressed"], told["deviation_after"]) == ("failed", 0, None)


@pytest.mark.django_db
def test_each_step_is_told_once_until_people_are_needed() -> None:
    run = factories.a_run(status=RunStatus.WAITING_FOR_REVIEW, step=Step.SUPPRESS)
    factories.a_decision(run=run)
    passed: list[Step] = []

    found = following.until_people_are_needed(
        run, check=lambda: None, passed=lambda _, step: passed.append(step), told=1
    )

    assert found == run
    assert passed == [Step.FETCH_OUTCOMES, Step.JUDGE, Step.DECIDE]


@pytest.mark.django_db
def test_a_run_that_does_not_move_is_given_up_with_where_it_stands() -> None:
    run = factories.a_run(status=RunStatus.PENDING, step=Step.JUDGE)

    with pytest.raises(NothingMoves, match=rf"run {run.pk} is pending at step judge"):
        following.until_people_are_needed(run, check=lambda: None, passed=lambda *_: None, patience=0.1)


# --- The whole of it -------------------------------------------------------------------------------------


def start_demo(home: Path, **wishes: str) -> subprocess.Popen[str]:
    home.mkdir()
    development.write_dotenv(path=home / "env")
    variables = bare(EVENKEEL_HOME=str(home), **wishes) | {"ENV_FILE": str(home / "env")}
    return subprocess.Popen(
        [sys.executable, "-m", "config.demo"],
        cwd=ROOT,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def running(home: Path) -> list[str]:
    locks = (home / "services").glob("*.lock")
    kept = {"users", "starting"}
    names = sorted(lock.stem for lock in locks if lock.stem not in kept)
    return [name for name in names if processes.holder(home / "services", name) is not None]


@pytest.mark.processes
def test_once_ends_with_the_promised_figures_and_leaves_no_process(tmp_path: Path) -> None:
    home = tmp_path / "home"

    told, _ = start_demo(home, ONCE="1").communicate(timeout=300)

    figures = json.loads(told.splitlines()[-1])
    assert figures == {
        "run": figures["run"],
        "status": "succeeded",
        "suppressed": 110,
        "held": 126,
        "placed": 300,
        "moved": 52,
        "deviation_after": 1.99,
        "mailjet_requests": figures["mailjet_requests"],
        "promises_broken": [],
    }
    assert "rules judged (no GEMINI_API_KEY)" in told
    assert "\x1b" not in told
    assert running(home) == []


@pytest.mark.processes
def test_interrupted_it_stops_whatever_it_started(tmp_path: Path) -> None:
    home = tmp_path / "home"
    demo = start_demo(home, ONCE="1")
    deadline = time.monotonic() + 120
    while "worker" not in running_if_any(home):
        assert demo.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)

    demo.send_signal(signal.SIGINT)
    told, _ = demo.communicate(timeout=60)

    assert demo.returncode == 130
    assert told.splitlines()[-1] == "Stopping …"
    assert running(home) == []


def running_if_any(home: Path) -> list[str]:
    return running(home) if (home / "services").exists() else []
