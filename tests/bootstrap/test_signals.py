"""Signals that come before a command listens to them, or while it works."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from evidence_courier import Courier

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")

CALL = [sys.executable, "-m", "evidence_courier"]
APP = """\
import sys
print("importing", flush=True)
sys.stdin.readline()
from evidence_courier import AsyncCourier
courier = AsyncCourier.from_mapping({"acme": {"name": "x"}}, "shop.db")
print("imported", flush=True)
"""


@pytest.fixture
def told(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """The exit code and the words of a command that gets a signal while it imports its app."""
    (tmp_path / "shop.py").write_text(APP)
    with Courier.from_mapping({"acme": {"name": "x"}}, tmp_path / "shop.db", background=False):
        pass

    def tell(
        number: signal.Signals, *command: str, ignored: bool = False, imported: bool = False
    ) -> tuple[int, str]:
        process = subprocess.Popen(
            [*CALL, *command, "--app", "shop:courier"],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=(lambda: signal.signal(number, signal.SIG_IGN)) if ignored else None,  # noqa: PLW1509
        )
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "importing\n"
        if imported:
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "imported\n"
        process.send_signal(number)
        _, said = process.communicate("\n", timeout=60)
        return process.returncode, said

    return tell


def test_a_reload_while_the_app_is_imported_is_not_lost(
    told: Callable[..., tuple[int, str]],
) -> None:
    code, said = told(signal.SIGHUP, "run", "--drain")
    assert (code, "Traceback" in said) == (0, False), said
    assert "SIGHUP: reading the tenants anew" in said


def test_run_ends_as_it_always_does_while_its_app_is_imported(
    told: Callable[..., tuple[int, str]],
) -> None:
    stopped = "evidence-courier: stopped before it had started\n"
    assert told(signal.SIGTERM, "run") == (0, stopped)


@pytest.mark.parametrize("command", [("prune", "--by", "asha"), ("import", "records")])
def test_the_end_while_the_app_is_imported_is_one_in_order(
    told: Callable[..., tuple[int, str]], command: tuple[str, ...]
) -> None:
    """Not the default, which the first process of a container ignores."""
    assert told(signal.SIGTERM, *command) == (128 + signal.SIGTERM, "")


def test_a_terminal_that_goes_and_ctrl_c_end_it_in_order_too(
    told: Callable[..., tuple[int, str]],
) -> None:
    assert told(signal.SIGHUP, "export") == (128 + signal.SIGHUP, "")
    interrupted = "evidence-courier: interrupted\n"
    assert told(signal.SIGINT, "export") == (128 + signal.SIGINT, interrupted)


def test_what_nohup_ignores_stays_ignored(told: Callable[..., tuple[int, str]]) -> None:
    code, said = told(signal.SIGHUP, "export", ignored=True)
    assert (code, said) == (0, "no uploads match\n")


def test_a_signal_of_the_users_own_is_left_to_the_host(
    told: Callable[..., tuple[int, str]],
) -> None:
    assert told(signal.SIGUSR1, "export", ignored=True)[0] == 0
    assert told(signal.SIGUSR1, "export")[0] == -signal.SIGUSR1


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 0), (signal.SIGHUP, 128 + signal.SIGHUP)],
)
def test_a_command_that_looks_on_ends_in_order(
    told: Callable[..., tuple[int, str]], number: signal.Signals, code: int
) -> None:
    assert told(number, "watch", "--every", "0.1", imported=True) == (code, "")


def test_systemd_is_notified_of_the_start_and_of_the_stop(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.settimeout(60)
        process = subprocess.Popen(
            [*CALL, "run", "--app", "shop:courier"],
            cwd=tmp_path,
            env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert supervisor.recv(100) == b"READY=1\n"
        process.terminate()
        assert supervisor.recv(100) == b"STOPPING=1\n"
        process.communicate(timeout=60)
    assert process.returncode == 0
