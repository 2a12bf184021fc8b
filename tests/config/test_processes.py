"""Processes known by a lock: never mistaken, never signalled twice, never left."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from config import processes
from config.processes import AlreadyRuns, NoPort

STUBBORN = ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.05; done"]


def wait_for_line(log: Path, line: str) -> None:
    deadline = time.monotonic() + 10
    while not log.exists() or line not in log.read_text():
        assert time.monotonic() < deadline, f"{log} never said {line!r}"
        time.sleep(0.01)


def test_a_process_is_known_by_its_name_until_it_is_stopped(tmp_path: Path) -> None:
    process = processes.start(tmp_path, "sleeper", ["sleep", "600"])
    assert processes.holder(tmp_path, "sleeper") == process.pid

    processes.stop(tmp_path, "sleeper")

    assert processes.holder(tmp_path, "sleeper") is None
    assert process.returncode == -signal.SIGTERM


def test_a_second_process_of_the_same_name_is_refused(tmp_path: Path) -> None:
    first = processes.start(tmp_path, "sleeper", ["sleep", "600"])

    with pytest.raises(AlreadyRuns, match="sleeper runs already"):
        processes.start(tmp_path, "sleeper", ["sleep", "600"])

    assert processes.holder(tmp_path, "sleeper") == first.pid
    processes.stop(tmp_path, "sleeper")


def test_whoever_got_the_pid_of_a_dead_process_is_not_signalled(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as stranger:
        (tmp_path / "worker.lock").write_text(str(stranger.pid))

        assert processes.holder(tmp_path, "worker") is None
        processes.stop(tmp_path, "worker")

        assert stranger.poll() is None
        stranger.kill()


def test_a_process_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    deaf = processes.start(tmp_path, "deaf", STUBBORN)
    wait_for_line(processes.log_of(tmp_path, "deaf"), "deaf")

    processes.stop(tmp_path, "deaf", patience=0.3)

    assert deaf.returncode == -signal.SIGKILL


def test_a_process_whose_children_live_on_still_runs(tmp_path: Path) -> None:
    parent = processes.start(tmp_path, "parent", ["sh", "-c", "sleep 600 & echo started"])
    wait_for_line(processes.log_of(tmp_path, "parent"), "started")
    parent.wait()
    assert processes.holder(tmp_path, "parent") == parent.pid

    processes.stop(tmp_path, "parent", patience=0.3)

    assert processes.holder(tmp_path, "parent") is None


def test_the_log_of_the_process_before_is_kept(tmp_path: Path) -> None:
    for word in ("first", "second"):
        processes.start(tmp_path, "echo", ["echo", word]).wait()

    assert processes.tail(processes.log_of(tmp_path, "echo")) == "  second"
    assert processes.tail(tmp_path / "echo.log.old") == "  first"
    assert processes.tail(tmp_path / "never.log") == ""


def test_only_one_at_a_time_is_alone(tmp_path: Path) -> None:
    with processes.alone(tmp_path, "demo"), pytest.raises(AlreadyRuns), processes.alone(tmp_path, "demo"):
        pytest.fail("two were alone")
    with processes.alone(tmp_path, "demo"):
        assert processes.holder(tmp_path, "demo") == os.getpid()


def test_a_port_in_use_is_refused_with_a_port_that_is_free() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]

        with pytest.raises(NoPort, match=rf"Port {port} of 127.0.0.1 is in use. .*PORT=\d+ make demo") as no:
            processes.check_port(port, command="make demo")

    offered = int(str(no.value).split("PORT=")[1].split()[0])
    assert offered != port
    processes.check_port(offered, command="make demo")


@pytest.mark.parametrize("given", ["x", "0", "65536", "-1", "80.5"])
def test_what_is_no_port_is_refused_by_name(given: str) -> None:
    with pytest.raises(NoPort, match=r"PORT is .* it must be a number from 1 to 65535"):
        processes.port_of({"PORT": given})


def test_the_port_is_8000_unless_given() -> None:
    assert processes.port_of({}) == 8000
    assert processes.port_of({"PORT": " 8123 "}) == 8123


def test_a_process_holds_no_lock_but_its_own(tmp_path: Path) -> None:
    first = processes.start(tmp_path, "first", ["sleep", "600"])
    processes.start(tmp_path, "second", ["sleep", "600"])

    os.kill(first.pid, signal.SIGKILL)
    first.wait()

    assert processes.holder(tmp_path, "first") is None
    processes.stop(tmp_path, "second")
