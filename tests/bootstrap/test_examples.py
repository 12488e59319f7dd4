"""Each command's help ends with lines that can be typed; `render` and `version`."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from evidence_courier.adapters.records import load_record
from evidence_courier.adapters.renderers.typst_renderer import TypstRenderer
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.bootstrap.cli.examples import EXAMPLES, GROUPS
from evidence_courier.domain.evidence.evidence import Document
from evidence_courier.testing.sandboxes import DrataSandbox, sandbox_in_thread

SHIPPED = Path(__file__).parents[2] / "examples"
RECORDS = SHIPPED / "records"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def commands(group: click.Group, *path: str) -> Iterator[list[str]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield [*path, name]


@pytest.mark.parametrize("path", [*commands(app)], ids=" ".join)
def test_every_help_ends_with_lines_that_can_be_typed(path: list[str]) -> None:
    shown = run(*path, "--help").stdout
    after = shown.split("For example:\n")[1]
    assert all(len(line) <= 80 for line in after.splitlines())
    joined = re.sub(r" \\\n +--", " --", after)
    for line in EXAMPLES[path[-1]]:
        assert f"  evidence-courier {line}\n" in joined
        words = shlex.split(line.partition(" > ")[0])
        assert words[: len(path)] == path
        group: click.Command = app
        for word in path:
            assert isinstance(group, click.Group)
            group = group.commands[word]
        group.make_context(path[-1], words[len(path) :])  # or it raises what is wrong


def test_help_lists_every_command_once_by_what_it_is_for() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(app.commands)
    shown = run("--help").stdout
    ends = [
        "For example",
        "A shell completes commands, options, choices and tenants after this line",
    ]
    headings = [line[:-1].strip() for line in shown.splitlines() if line.endswith(":")]
    assert headings == ["Options", *GROUPS, *ends]
    assert "..." not in shown.split("Options:")[1] and all(
        len(line) <= 80 for line in shown.splitlines()
    )


def test_a_record_is_rendered_as_it_would_be_sent(tmp_path: Path) -> None:
    (source, *_) = sorted(RECORDS.glob("*.json"))
    record = tmp_path / "record.json"
    record.write_bytes(source.read_bytes())
    result = run("render", record)
    assert (result.exit_code, result.stdout.strip()) == (0, str(tmp_path / "record.pdf"))
    elsewhere = tmp_path / "x.pdf"
    assert run("render", record, "-o", elsewhere).exit_code == 0
    document = TypstRenderer().render(load_record(source.read_bytes(), where="record"))
    digests = {sha256(one.read_bytes()).hexdigest() for one in tmp_path.glob("*.pdf")}
    assert isinstance(document, Document)
    assert digests == {sha256(document.content or b"").hexdigest()}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("missing.json", "missing.json: No such file or directory: look at the path"),
        ("broken.json", "broken.json"),
    ],
)
def test_what_cannot_be_rendered_is_reported(tmp_path: Path, given: str, says: str) -> None:
    (tmp_path / "broken.json").write_text('{"tenant_id": 7}')
    result = run("render", tmp_path / given)
    assert (result.exit_code, says in result.stderr) == (2, True)
    assert list(tmp_path.glob("*.pdf")) == []


def test_versions_are_printed_for_people_and_programs() -> None:
    found = json.loads(run("version", "--json").stdout)
    assert set(found) == {"version", "python", "platform", "sqlite", "libraries", "providers"}
    assert found["providers"]["sprinto"] == "ready" and found["libraries"]["attrs"]
    shown = run("version")
    assert shown.exit_code == 0
    assert f"version\t{found['version']}" in shown.stdout


def test_the_tenant_of_the_examples_reaches_the_sandbox_of_drata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = (SHIPPED / "sandbox.env").read_text().splitlines()
    for name, _, value in (line.partition("=") for line in said if not line.startswith("#")):
        monkeypatch.setenv(name, value)
    with sandbox_in_thread(DrataSandbox()) as sandbox:
        monkeypatch.setenv("UMBRELLA_DRATA_ENDPOINT", sandbox.url)
        record, tenants = RECORDS / "umbrella-02.json", SHIPPED / "tenants"
        sent = run("submit", "--config", tenants, "--db", tmp_path / "c.db", record)
        assert (sent.exit_code, len(sandbox.received)) == (0, 1), sent.output
