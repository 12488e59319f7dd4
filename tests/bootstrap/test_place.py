"""Where a command finds its tenants and records: what is typed, what the environment says, and the
courier of a host's own code."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from evidence_courier.bootstrap.cli.app import app
from evidence_courier.bootstrap.cli.declaring import OF_A_PLACE
from evidence_courier.bootstrap.cli.place import Files
from evidence_courier.testing.sandboxes import SprintoSandbox, sandbox_in_thread

CHECK = "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77"
DOCUMENT = ("--session", "s", "--subject", "p", "--outcome", "passed")
AT = ("--recorded-at", "2026-02-21T10:00:00Z")
SHOP = """
from evidence_courier import AsyncCourier, BlockingCourier, Courier
from evidence_courier.domain.secrets.secret import Secret

class Vault:
    def resolve(self, name):
        return Secret("a-key-from-a-vault")

block = {{
    "provider": "sprinto", "api_key": "${{KEY}}", "workflow_check": "{check}", "endpoint": "{url}"
}}
tenants = {{"acme": {{"name": "ACME", "integrations": {{"compliance": block}}}}}}

def make(kind=Courier):
    return kind.from_mapping(tenants, "shop.db", secrets=Vault())

courier = make(AsyncCourier)
blocking = make(BlockingCourier)
broken = lambda: AsyncCourier.from_mapping({{"acme": {{"integrations": {{"compliance": 1}}}}}}, "x")
number = 7

async def later():
    return make(AsyncCourier)
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A host with its couriers in shop.py, its tenants in code, and a secret in a vault."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with sandbox_in_thread(SprintoSandbox(key="a-key-from-a-vault")) as box:
        Path("shop.py").write_text(SHOP.format(check=CHECK, url=box.url))
        Path("ev-1.pdf").write_bytes(b"%PDF-1.7 evidence")
        yield tmp_path
    sys.modules.pop("shop", None)


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, arguments, env=env)


def submitted(*place: str, **more: Any) -> Result:
    return run("submit", *place, "--tenant", "acme", *DOCUMENT, *AT, "ev-1.pdf", **more)


@pytest.mark.parametrize("attribute", ["make", "courier"])
def test_commands_use_the_hosts_own_courier(shop: Path, attribute: str) -> None:
    place = ("--app", f"shop:{attribute}")
    done = submitted(*place)
    assert done.exit_code == 0, done.output
    sys.modules.pop("shop", None)  # each command is a process of its own
    [listed] = json.loads(run("status", "--json", *place).stdout)
    assert (listed["tenant_id"], listed["status"]) == ("acme", "succeeded")
    assert run("show", "acme", "ev-1", *place).exit_code == 0
    assert run("invariants", *place).exit_code == 0
    [checked] = json.loads(run("check", "--json", *place).stdout)
    assert (checked["tenant_id"], checked["provider"]) == ("acme", "sprinto")
    [examined] = json.loads(run("doctor", "--json", *place).stdout)
    assert examined["verdict"] == "ready"
    why = ("--by", "asha", "--reason", "seen")
    refused = run("retry", "acme", "ev-1", *why, *place)
    assert "it is succeeded, and retry is for what is failed or skipped" in refused.stderr


def test_reading_commands_use_a_couriers_for_task_queues_too(shop: Path) -> None:
    assert submitted("--app", "shop:courier").exit_code == 0
    listed = run("status", "--app", "shop:blocking")
    assert (listed.exit_code, "succeeded" in listed.stdout) == (0, True)
    refused = submitted("--app", "shop:blocking")
    assert "shop:blocking gives a BlockingCourier, which works only while" in refused.stderr


def test_the_environment_says_it_and_what_is_typed_counts_more(shop: Path) -> None:
    assert submitted(env={"EVIDENCE_COURIER_APP": "shop:courier"}).exit_code == 0
    both = {"EVIDENCE_COURIER_APP": "nowhere:x", "EVIDENCE_COURIER_DB": "missing.db"}
    assert run("status", "--db", "shop.db", env=both).exit_code == 0
    assert run("status", "--app", "shop:courier", env=both).exit_code == 0
    assert run("status", env={"EVIDENCE_COURIER_DB": "shop.db"}).exit_code == 0
    Path("tenants").mkdir()
    Path("tenants/globex.yaml").write_text("name: Globex\n")
    checked = run("check", env={"EVIDENCE_COURIER_CONFIG": "tenants"})
    assert "globex\tGlobex" in checked.stdout


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        ((), {}, "say where the records are: give --db DATABASE, or --app MODULE:ATTRIBUTE; or"),
        (("--app", "shop"), {}, "--app is MODULE:ATTRIBUTE, as shop.evidence:courier, not 'shop'"),
        (("--app", "shpo:make"), {}, "--app shpo:make: there is no module 'shpo' here"),
        (("--app", "shop:meke"), {}, "shop has no 'meke'; did you mean 'make'?"),
        (
            ("--app", "shop:number"),
            {},
            "--app shop:number gives a int, not a courier: name an AsyncCourier, a Courier or a "
            "BlockingCourier, or a function without arguments that returns one",
        ),
        (("--app", "os:nope"), {}, "os has no 'nope'; did you mean 'open'?\n"),
        (("--app", "json:dumps"), {}, "--app json:dumps needs arguments: name a courier, or a"),
        (("--app", "shop:later"), {}, "--app shop:later is an async function: name one that"),
        (("--app", "shop:broken"), {}, "integrations.compliance: "),
        (("--app", "shop:make", "--db", "x"), {}, "--app and --db are both given"),
        (
            (),
            {"EVIDENCE_COURIER_APP": "shop:make", "EVIDENCE_COURIER_DB": "x"},
            "EVIDENCE_COURIER_APP and EVIDENCE_COURIER_DB are both given",
        ),
    ],
)
def test_options_that_cannot_be_right_are_reported(
    shop: Path, arguments: tuple[str, ...], env: dict[str, str], said: str
) -> None:
    done = run("status", *arguments, env=env)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "variable", "value", "option"),
    [
        (("prune", "--db", "shop.db"), "RETENTION", "attempts: soon", "--retention"),
        (("status",), "DB", "no-such.db", "--db"),
        (("status",), "DB", "postgresql://u:a-password@127.0.0.1:1/x", "--db"),
        (("status",), "APP", "no_such:thing", "--app"),
        (("check",), "CONFIG", "no-such-folder", "DIR"),
        (("prune", "--db", "shop.db"), "CONFIG", "no-such-folder", "--config"),
    ],
)
def test_an_error_about_a_value_that_is_not_typed_names_its_variable(
    shop: Path, command: tuple[str, ...], variable: str, value: str, option: str
) -> None:
    submitted("--app", "shop:courier")
    name = f"EVIDENCE_COURIER_{variable}"
    done = run(*command, env={name: value})
    assert done.exit_code in (2, 3)
    assert done.stderr.endswith(f"note: {option} is set by {name}\n"), done.stderr
    assert "a-password" not in done.stderr


@pytest.mark.parametrize(
    ("option", "value"), [("--retention", "attempts: 400d"), ("--block", "courier")]
)
def test_what_an_app_says_itself_is_not_typed_beside_it(
    shop: Path, option: str, value: str
) -> None:
    app = {"EVIDENCE_COURIER_APP": "shop:courier"}
    refused = run("prune", option, value, env=app)
    assert refused.exit_code == 2
    assert f"EVIDENCE_COURIER_APP and {option} are both given" in refused.stderr
    both = run("prune", env={**app, "EVIDENCE_COURIER_RETENTION": "attempts: 400d"})
    assert "EVIDENCE_COURIER_APP and EVIDENCE_COURIER_RETENTION are both given" in both.stderr
    submitted("--app", "shop:courier")
    assert run("prune", "--retention", "attempts: 400d", "--db", "shop.db", env=app).exit_code == 0


DEEP = """
from helper import key

def make():
    return json.loads(key())
import json
"""


@pytest.mark.parametrize(
    ("code", "attribute", "said"),
    [
        (
            "import no_such_library\n",
            "make",
            "ModuleNotFoundError: No module named 'no_such_library', at shop.py:1;",
        ),
        ("x = 1\nx y\n", "make", "SyntaxError: invalid syntax (shop.py, line 2), at shop.py:2;"),
        (
            "def make():\n    return {}['KEY']\n",
            "make",
            "KeyError: 'KEY', at shop.py:2;",
        ),
        ("raise SystemExit(3)\n", "make", "SystemExit: 3, at shop.py:1;"),
        ("def make():\n    assert 0\n", "make", "AssertionError, at shop.py:2;"),
        (DEEP, "make", "at shop.py:5;"),
        (
            "class Lazy:\n    @property\n    def made(self):\n        1 / 0\nlazy = Lazy()\n",
            "lazy.made",
            "ZeroDivisionError: division by zero, at shop.py:4;",
        ),
    ],
)
def test_what_the_hosts_own_code_raises_is_reported_with_its_line(
    shop: Path, code: str, attribute: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("shop.py").write_text(code)
    Path("helper.py").write_text("def key():\n    return 'no JSON'\n")
    monkeypatch.delitem(sys.modules, "helper", raising=False)
    done = run("status", "--app", f"shop:{attribute}")
    assert (done.exit_code, "Traceback" in done.stderr) == (2, False)
    assert f"--app shop:{attribute}: its own code raised " in done.stderr
    assert said in done.stderr
    sys.modules.pop("shop", None)
    asked = run("status", "--app", f"shop:{attribute}", env={"EVIDENCE_COURIER_TRACEBACK": "1"})
    assert (asked.exit_code, said in asked.stderr) == (2, True)
    assert "Traceback (most recent call last)" in asked.stderr


def test_what_the_hosts_own_code_raises_shows_no_secret_of_it(shop: Path) -> None:
    Path("shop.py").write_text(
        "def connect(dsn, password):\n"
        "    raise ValueError(f'cannot parse {dsn}, {password=}')\n"
        "def make():\n"
        "    connect('postgresql://app:hunter2@db/evidence', password='hunter3'); 'hunter4'\n"
    )
    done = run("status", "--app", "shop:make")
    assert "cannot parse postgresql://***@db/evidence, password=***, at shop.py:2;" in done.stderr
    Path("shop.py").write_text("def make():\n    return {}[1], 'postgresql://app:hunter2@db/'\n")
    sys.modules.pop("shop", None)
    done = run("status", "--app", "shop:make")
    assert "KeyError: 1, at shop.py:2;" in done.stderr
    assert "hunter" not in done.output


def test_an_app_with_a_store_of_its_own_can_be_examined(shop: Path) -> None:
    with Path("shop.py").open("a") as code:
        code.write(
            "\nfrom evidence_courier.testing import MemoryStore\n"
            "mine = AsyncCourier.from_mapping(tenants, store=MemoryStore(), secrets=Vault())\n"
        )
    [examined] = json.loads(run("doctor", "--json", "--app", "shop:mine").stdout)
    assert examined["verdict"] == "ready"


def every_command(group: click.Group) -> list[click.Command]:
    found: list[click.Command] = []
    for command in group.commands.values():
        found += every_command(command) if isinstance(command, click.Group) else [command]
    return found


def test_every_command_about_couriers_takes_an_app_and_shows_the_variables() -> None:
    sandboxes = app.commands["sandbox"]
    assert isinstance(sandboxes, click.Group)
    alone = {"copy", "demo", "schema", "render", "version", *sandboxes.commands}
    for command in every_command(app):
        names = {param.name for param in command.params}
        assert ("app" in names) == (command.name not in alone), command.name
        shown = run(*_path(command), "--help").stdout
        for name in names & {*OF_A_PLACE} - {"block", "secret_folders"}:
            variables = {"app": "APP", "folder": "CONFIG", "database": "DB"}
            variable = variables.get(name or "", f"{name}".upper())
            assert f"EVIDENCE_COURIER_{variable}" in shown, (command.name, name)


def _path(command: click.Command) -> list[str]:
    sandboxes = app.commands["sandbox"]
    inside = isinstance(sandboxes, click.Group) and command in sandboxes.commands.values()
    return [*(["sandbox"] if inside else []), command.name or ""]


def test_the_rules_of_retention_go_to_the_courier(tmp_path: Path) -> None:
    folder = tmp_path / "tenants"
    folder.mkdir()
    (folder / "acme.yaml").write_text("name: without an integration\n")
    given = {"folder": str(folder), "database": str(tmp_path / "courier.db")}
    place = Files({**given, "retention": "attempts: 400d"})
    assert str(place.retention) == "attempts 400d"
    assert place.courier()._wiring.retention == place.retention
    assert not Files(given).retention.removes
