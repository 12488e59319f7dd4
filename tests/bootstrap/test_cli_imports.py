"""What the command line imports, and that each command is wired to the function that does it."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from importlib import import_module
from pathlib import Path

import click
import pytest

from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.bootstrap.cli import app as declared
from evidence_courier.bootstrap.cli.declaring import OF_A_PLACE
from evidence_courier.domain.upload.actions import Action
from evidence_courier.domain.upload.upload import Status
from evidence_courier.testing.contracts.stored import entry

HEAVY = {"aiohttp", "asyncio", "attrs", "cerberus", "rich", "sqlite3", "sqlite_utils", "yaml"}
COMMANDS = (
    *("app", "declaring", "examples", "saying", "signals", "streams"),
    *(file.stem for file in Path(declared.__file__).parent.glob("*_commands.py")),
)
ITS_OWN = {"evidence_courier", *(f"evidence_courier.bootstrap{end}" for end in ("", ".cli"))}

PROGRAM = """
import atexit, sys
sys.modules.update(dict.fromkeys({absent!r}))
sys.argv = ["evidence-courier", *{arguments!r}]
atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))
from evidence_courier.bootstrap.cli import main
main()
"""


def run(
    *arguments: str, absent: tuple[str, ...] = (), environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, which names on its error channel all that it
    imported."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(absent=absent, arguments=arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )


def completion(line: str) -> dict[str, str]:
    words = str(len(line.split(" ")) - 1)
    return {
        "_EVIDENCE_COURIER_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": words,
    }


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("--version",), ("submit", "--help"), ("sandbox", "vanta", "--help")],
    ids=" ".join,
)
def test_help_imports_click_and_no_other_library(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 0
    assert_light(done.stderr)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("evidence-courier che", "plain,check"),
        ("evidence-courier sandbox va", "plain,vanta"),
        ("evidence-courier status --st", "plain,--status"),
        ("evidence-courier status --status he", "plain,held"),
    ],
)
def test_completion_imports_click_and_no_other_library(line: str, answer: str) -> None:
    done = run(environment=completion(line))
    assert done.stdout.splitlines() == [answer]
    assert_light(done.stderr)


@pytest.mark.parametrize(
    ("line", "answers"),
    [
        ("status --db {0}/courier.db --tenant ", ["acme", "globex"]),
        ("show --db {0}/courier.db ac", ["acme"]),
        ("submit --config {0} --tenant i", ["initech"]),
        ("import --config {0} --db {0}/courier.db --tenant ", ["acme", "globex", "initech"]),
        ("status --db {0}/none.db --tenant ", []),
        ("status --kind una", ["unauthorized"]),
        ("retry --db {0}/courier.db --tenant acme --kind target", ["target_not_found"]),
        ("pause --provider s", ["secureframe", "sprinto"]),
        ("status --db {0}/courier.db --provider led", ["ledgerly"]),
    ],
)
def test_tenants_providers_and_kinds_are_completed(
    tmp_path: Path, line: str, answers: list[str]
) -> None:
    with closing(SqliteStore(str(tmp_path / "courier.db"))) as store:
        store.add([entry(tenant_id="acme"), entry(tenant_id="globex", provider="ledgerly")])
    for name in ("initech.yaml", "_template.yaml", "notes.txt"):
        (tmp_path / name).touch()
    done = run(environment=completion(f"evidence-courier {line.format(tmp_path)}"))
    assert done.stdout.split() == [f"plain,{one}" for one in answers]


def assert_light(told: str) -> None:
    imported = set(told.splitlines()[-1].split())
    assert "click" in imported
    assert not HEAVY & imported
    own = {name for name in imported if name.startswith("evidence_courier")}
    assert own == {
        *ITS_OWN,
        *(f"evidence_courier.bootstrap.cli.{one}" for one in COMMANDS),
    }


def test_check_and_json_need_no_rich(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text("name: ACME Corp\n")
    in_a_pipe = run("check", str(tmp_path), absent=("rich",))
    assert in_a_pipe.stdout.splitlines()[1].split("\t") == ["acme", "ACME Corp", "none", "", ""]
    as_json = run("check", "--json", str(tmp_path), absent=("rich",))
    assert (as_json.returncode, '"tenant_id": "acme"' in as_json.stdout) == (0, True)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal")
def test_a_terminal_without_rich_shows_a_plain_table(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text("name: ACME Corp\n")
    parent, child = os.openpty()
    program = PROGRAM.format(absent=("rich",), arguments=("check", str(tmp_path)))
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=child, stderr=subprocess.DEVNULL, check=False
    )
    os.close(child)
    shown = os.read(parent, 10_000).decode().splitlines()
    os.close(parent)
    assert done.returncode == 0
    assert shown == ["tenant  name       provider  outcomes  target", "acme    ACME Corp  none"]


def test_without_click_the_command_names_the_extra() -> None:
    done = run("--help", absent=("click",))
    assert done.returncode == 2
    assert 'needs click: pip install "evidence-courier[cli]"' in done.stderr


def test_python_m_runs_the_command_line() -> None:
    command = [sys.executable, "-m", "evidence_courier", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.startswith("evidence-courier, version")) == (0, True)


def every_command(group: click.Group) -> list[click.Command]:
    found: list[click.Command] = []
    for command in group.commands.values():
        found += every_command(command) if isinstance(command, click.Group) else [command]
    return found


@pytest.mark.parametrize("command", every_command(declared.app), ids=lambda command: command.name)
def test_a_command_has_the_parameters_of_its_function(command: click.Command) -> None:
    assert isinstance(command.callback, partial)
    does, fixed = command.callback.args
    module, function = does.split(".")
    work = getattr(import_module(f"evidence_courier.bootstrap.cli.{module}"), function)
    given = dict.fromkeys([*fixed, *(param.name or "" for param in command.params)])
    if "app" in given:
        given = {name: None for name in given if name not in OF_A_PLACE}
        given["place"] = None
    inspect.signature(work).bind(**given)
    assert command.help


def test_the_declared_words_are_those_of_the_domain() -> None:
    assert declared.STATUSES == tuple(status.value for status in Status)
    for action in Action:
        shown = " ".join((declared.app.commands[action.value].help or "").split())
        [concerned] = re.findall(r"all of a tenant's that are ([a-z, ]+), which", shown)
        if action is Action.RELEASE:  # for more than its statuses say
            assert concerned == action.is_for
            continue
        assert re.split(r", | or ", concerned) == [status.value for status in action.concerned]
