"""The command line with terminals, pipes and disks that do not take everything, and its signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evidence_courier.testing.sandboxes import FaultPlan, SprintoSandbox, sandbox_in_thread

KEY = "the-key-of-the-sandbox"
NAME = "Łódź 👍"
"""Letters that an encoding lacks, one of them beyond U+FFFF."""
CALL = [sys.executable, "-c", "from evidence_courier.bootstrap.cli import main; main()"]
DOCUMENT = ("--session", "s", "--subject", "p", "--outcome", "passed")
AT = ("--recorded-at", "2026-02-21T10:00:00Z")


@pytest.fixture
def sandbox() -> Iterator[SprintoSandbox]:
    with sandbox_in_thread(SprintoSandbox(key=KEY)) as box:
        yield box


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a tenant with one upload, which the tests only look at."""
    with sandbox_in_thread(SprintoSandbox(key=KEY)) as box:
        home = _home(tmp_path_factory.mktemp("seen"), box)
        ended = _run(_submit(home, home / "Łódź-0.pdf"))
        assert ended.returncode == 0, ended.stderr
    return home


def _home(folder: Path, sandbox: SprintoSandbox) -> Path:
    (folder / "tenants").mkdir()
    block = {
        "provider": "sprinto",
        "api_key": "${ACME_KEY}",
        "workflow_check": "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77",
        "endpoint": sandbox.url,
    }
    tenant = {"name": NAME, "integrations": {"compliance": block}}
    (folder / "tenants" / "acme.json").write_text(json.dumps(tenant))
    for number in range(3):
        (folder / f"Łódź-{number}.pdf").write_bytes(b"%PDF-1.7 " + str(number).encode())
    return folder


def _run(command: list[str], **more: Any) -> subprocess.CompletedProcess[bytes]:
    more = {"env": _environment(), "stderr": subprocess.PIPE, "stdout": subprocess.PIPE, **more}
    return subprocess.run(command, check=False, **more)


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "ACME_KEY": KEY, "PYTHONUTF8": "0", **more}


def _submit(home: Path, *files: Path) -> list[str]:
    config, db = str(home / "tenants"), str(home / "courier.db")
    options = ["--config", config, "--db", db, "--tenant", "acme", *DOCUMENT, *AT]
    return [*CALL, "submit", *options, *map(str, files)]


def _commands(home: Path) -> list[list[str]]:
    db = str(home / "courier.db")
    return [
        ["check", str(home / "tenants")],
        ["status", "--db", db],
        ["show", "--db", db, "acme", "Łódź-0"],
        ["invariants", "--db", db],
    ]


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-16"])
def test_a_letter_that_an_encoding_lacks_is_an_escape(seen: Path, encoding: str) -> None:
    environment = _environment(PYTHONIOENCODING=encoding)
    for command in _commands(seen)[: None if encoding == "cp1252" else 2]:
        ended = _run([*CALL, *command], env=environment)
        assert ended.returncode == 0, (command, ended.stderr)
        # click writes UTF-8 if the encoding is ASCII.
        shown = ended.stdout.decode("utf-8" if encoding == "ascii" else encoding)
        assert shown.strip() or command[0] == "invariants"
        as_json = _run([*CALL, *command, "--json"], env=environment)
        assert as_json.returncode == 0, (command, as_json.stderr)
        value = json.loads(as_json.stdout.decode(encoding))
        if command[0] == "show":
            assert value["evidence_id"] == "Łódź-0"


def test_a_full_output_is_reported_with_exit_code_4(seen: Path) -> None:
    for command in ["--help"], ["--version"], *_commands(seen):
        with Path("/dev/full").open("wb") as full:
            ended = _run([*CALL, *command], stdout=full)
        if command[0] == "invariants":
            continue  # writes to standard error only, if all holds
        assert ended.returncode == 4, (command, ended.stderr)
        assert b"cannot be written" in ended.stderr
        assert b"what the command has changed, if anything, is not undone" in ended.stderr
        assert b"Traceback" not in ended.stderr and b"Exception ignored" not in ended.stderr


def test_a_reader_that_has_gone_is_exit_code_4_without_a_word(seen: Path) -> None:
    for command in ["--help"], *_commands(seen)[:2]:
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "wb") as pipe:
            ended = _run([*CALL, *command], stdout=pipe)
        assert (ended.returncode, ended.stderr) == (4, b""), command


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_closed_streams_change_no_exit_code(seen: Path, closed: tuple[int, ...]) -> None:
    redirections = " ".join(f"{stream}>&-" if stream else "<&-" for stream in closed)
    for command in _commands(seen)[0], [*_commands(seen)[1], "--json"]:
        ended = _run(
            ["sh", "-c", f'exec "$@" {redirections}', "sh", *CALL, *command],
        )
        assert ended.returncode == 0, (command, ended.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_answered_at_once_and_leaves_nothing_in_flight(
    tmp_path: Path, sandbox: SprintoSandbox, number: signal.Signals
) -> None:
    home = _home(tmp_path, sandbox)
    sandbox.use_faults(FaultPlan.script([None, "silence", "silence"]))
    files = [home / f"Łódź-{each}.pdf" for each in range(3)]
    process = subprocess.Popen(
        _submit(home, *files), env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 20
    while sandbox.requests < 3:  # two are left without a reply
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    assert process.stderr is not None
    line = process.stderr.readline() + process.stderr.readline()
    assert b"of 3 uploads are settled" in line and b"the same command again" in line
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert b"Traceback" not in said, said
    assert process.returncode == 128 + number
    db = str(home / "courier.db")
    ended = _run([*CALL, "invariants", "--db", db])
    assert ended.returncode == 0
    assert _run(_submit(home, *files)).returncode == 0
    assert len(sandbox.received) == 3
