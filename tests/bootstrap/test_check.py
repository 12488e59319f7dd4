"""`check` where the secrets are not, and for what reads its answers: CI, editors, hooks."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from evidence_courier.bootstrap.cli.app import app

ROOT = Path(__file__).parents[2]
BLOCK = """\
integrations:
  compliance:
    provider: sprinto
    api_key: {key}
    workflow_check: {target}
    {more}
"""


@pytest.fixture
def tenants(tmp_path: Path) -> Path:
    folder = tmp_path / "tenants"
    folder.mkdir()
    return folder


def write(folder: Path, name: str, key: str = "${KEY}", target: str = "c", more: str = "") -> None:
    (folder / name).write_text(BLOCK.format(key=key, target=target, more=more))


def check(*args: object, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, ["check", *map(str, args)], env={"KEY": None, **(env or {})})


def test_references_need_not_be_known(tenants: Path) -> None:
    write(tenants, "acme.yaml")
    write(tenants, "globex.yaml", "${file:/nowhere/key}", "${TARGET}", "pace: ${PACE}")
    assert check(tenants).exit_code == 2
    result = check(tenants, "--without-secrets", "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [(row["tenant_id"], row["provider"]) for row in rows] == [
        ("acme", "sprinto"),
        ("globex", "sprinto"),
    ]


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ({"key": "sk-literal"}, "api_key: is not a reference"),
        ({"key": "x-${KEY}"}, "api_key: holds ${ but is not a reference"),
        ({"target": "${KEY}"}, "workflow_check: is ${KEY}, a secret of this block"),
        ({"target": "${file:/run/secrets/c}"}, "workflow_check: is ${file:/run/secrets/c}, and"),
        ({"more": "regoin: eu"}, "regoin: is not a known key (did you mean region?)"),
        ({"more": "retry: {max_attempts: '${MOST}'}"}, "which is all that a reference can give"),
        ({"more": "pace: soon"}, "pace: must be a pace such as 2/s"),
    ],
)
def test_all_else_is_checked_without_secrets(
    tenants: Path, written: dict[str, str], problem: str
) -> None:
    write(tenants, "acme.yaml", **written)
    result = check(tenants, "--without-secrets")
    assert result.exit_code == 2
    assert problem in result.stderr


def test_problems_are_objects_in_json(tenants: Path) -> None:
    write(tenants, "acme.yaml", more="regoin: eu")
    (tenants / "globex.yaml").write_text("tenant: [")
    result = check(tenants, "--without-secrets", "--json")
    acme, globex = json.loads(result.stdout)
    assert acme["problems"] == [
        {
            "message": "is not a known key",
            "path": "integrations.compliance.regoin",
            "file": f"{tenants}/acme.yaml",
            "line": 6,
            "suggestion": "region",
        }
    ]
    assert [one["line"] for one in globex["problems"]] == [1]
    assert check(tenants, "--without-secrets", "--format", "json").stdout == result.stdout


def test_no_problem_is_left_out_of_the_json(tenants: Path) -> None:
    """This one is of a file whose tenant has another, valid one."""
    write(tenants, "acme.yaml")
    (tenants / "other.yaml").write_text("tenant: acme\n: [")
    rows = json.loads(check(tenants, "--without-secrets", "--json", "--effective").stdout)
    files = [one["file"] for row in rows for one in row["problems"]]
    assert files == [f"{tenants}/other.yaml"]


def test_warnings_are_objects_in_json(tenants: Path) -> None:
    write(tenants, "acme.yaml")
    with (tenants / "acme.yaml").open("a") as file:
        file.write("tenant_id: globex\n")
    write(tenants, "GLOBEX.YAML")
    result = check(tenants, "--without-secrets", "--json")
    assert result.exit_code == 0
    acme, others = json.loads(result.stdout)
    assert [(one["file"], one["line"]) for one in acme["warnings"]] == [(f"{tenants}/acme.yaml", 7)]
    assert (others["tenant_id"], others["problems"]) == (None, [])
    assert others["warnings"] == [
        {
            "message": "is not read, as its name does not end in .yaml/.yml/.json: rename it",
            "path": "",
            "file": f"{tenants}/GLOBEX.YAML",
            "line": None,
            "suggestion": None,
        }
    ]


PROBLEMS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "message": {"type": "string"},
            "path": {"type": "string"},
            "file": {"type": ["string", "null"]},
            "line": {"type": ["integer", "null"]},
            "suggestion": {"type": ["string", "null"]},
        },
        "required": ["message", "path", "file", "line", "suggestion"],
        "additionalProperties": False,
    },
}
TEXT = {"type": ["string", "null"]}
TEXTS = {"type": "array", "items": {"type": "string"}}
ROW: dict[str, Any] = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("tenant_id", "name", "provider", "target", "schedule"), TEXT),
        **dict.fromkeys(("outcomes", "advice"), TEXTS),
        **dict.fromkeys(("problems", "warnings"), PROBLEMS),
        "settings": {"type": "array", "items": {"type": "object"}},
    },
    "additionalProperties": False,
}


@pytest.mark.parametrize("more", [(), ("--effective",)])
def test_each_row_of_the_json_has_the_same_keys(tenants: Path, more: tuple[str, ...]) -> None:
    """Valid, invalid, without an integration, not read, and as the page says."""
    write(tenants, "acme.yaml")
    write(tenants, "globex.yaml", more="regoin: eu")
    (tenants / "initech.yaml").write_text("name: Initech\n")
    (tenants / "other.yaml").write_text("tenant: acme\n: [")
    write(tenants, "UPPER.YAML")
    rows = json.loads(check(tenants, "--without-secrets", "--json", *more).stdout)
    assert [row["tenant_id"] for row in rows] == ["acme", "globex", "initech", None]
    keys = [key for key in ROW["properties"] if key != "settings" or more]
    for row in rows:
        Draft202012Validator({**ROW, "required": keys}).validate(row)
        assert sorted(row) == sorted(keys)
    page = (ROOT / "docs" / "command-line.md").read_text()
    (line,) = (one for one in page.splitlines() if one.startswith("| `check` | each tenant"))
    assert set(ROW["properties"]) <= set(re.findall(r"`(\w+)`", line))


def test_annotations_name_the_file_in_the_checkout(tenants: Path) -> None:
    write(tenants, "acme, inc.yaml", more="regoin: eu")
    (tenants / "old.yml.bak").write_text("tenant: old")
    (tenants / "_draft.yaml").write_text("tenant: old")
    env = {"GITHUB_WORKSPACE": str(tenants.parent)}
    result = check(tenants, "--without-secrets", "--format", "github", env=env)
    assert result.exit_code == 2
    assert result.stderr == ""
    error, warning = result.stdout.splitlines()
    assert error == (
        "::error file=tenants/acme%2C inc.yaml,line=6,title=integrations.compliance.regoin::"
        "is not a known key (did you mean region?)"
    )
    assert warning.startswith("::warning file=tenants/_draft.yaml::is not read, as its name begins")


def test_a_note_is_an_annotation_at_the_integration_of_its_tenant(tenants: Path) -> None:
    write(tenants, "acme.yaml", target="not-a-uuid")
    env = {"GITHUB_WORKSPACE": str(tenants.parent)}
    result = check(tenants, "--without-secrets", "--format", "github", env=env)
    assert result.exit_code == 0
    assert result.stdout.startswith(
        "::notice file=tenants/acme.yaml,line=3,title=tenant acme::workflow_check 'not-a-uuid' is"
    )


def test_no_text_ends_an_annotation_or_begins_another(tenants: Path) -> None:
    write(tenants, "100%\n::error::x:,.yaml", more="regoin: eu")
    result = check(tenants, "--without-secrets", "--format", "github")
    of_the_id, line = result.stdout.splitlines()
    assert of_the_id.startswith("::error file=")
    properties, _, message = line.removeprefix("::error ").partition("::")
    assert message.startswith("is not a known key")
    assert properties.count(":") == 0
    assert "100%25\\n%3A%3Aerror%3A%3Ax%3A%2C.yaml,line=6," in properties


def test_the_hook_of_pre_commit_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [hook] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    program, command, *options = shlex.split(hook["entry"])
    assert (program, command, hook["language"]) == ("evidence-courier", "check", "python")
    write(tmp_path, "acme.yaml")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tenants").mkdir()
    write(tmp_path / "tenants", "acme.yaml")
    assert check(*options, *hook["args"]).exit_code == 0
    write(tmp_path / "tenants", "acme.yaml", more="regoin: eu")
    assert check(*options, *hook["args"]).exit_code == 2


@pytest.mark.parametrize("command", ["check", "doctor", "run --db c.db --config"])
def test_a_problem_outside_any_file_is_reported_by_the_program(tenants: Path, command: str) -> None:
    gone = CliRunner().invoke(app, [*command.split(), f"{tenants}-gone"])
    assert (gone.exit_code, gone.stderr.count("\n")) == (2, 1)
    assert gone.stderr.startswith(f"evidence-courier: {tenants}-gone: there is no such folder")
    (tenants / "acme.yaml").write_text("integrations: [")
    if command == "check":
        assert check(tenants).stderr.startswith(f"{tenants}/acme.yaml:1: is not valid YAML")


@pytest.mark.parametrize("passed_over", ["X.YAML", "x.yaml"])
def test_that_no_file_is_for_a_tenant_is_a_problem(tenants: Path, passed_over: str) -> None:
    """One whose name is not read as a tenant's, or a folder of such a name, is a warning only."""
    if passed_over == "X.YAML":
        (tenants / passed_over).write_text("integrations: {}")
    else:
        (tenants / passed_over).mkdir()
    printed, in_json, on_github = (
        check(tenants, *form) for form in ([], ["--json"], ["--format", "github"])
    )
    assert {one.exit_code for one in (printed, in_json, on_github)} == {2}
    assert f"\n{tenants}: holds no tenant file\n" in printed.stderr
    (row,) = json.loads(in_json.stdout)
    assert [one["message"] for one in row["problems"]] == ["holds no tenant file"]
    assert [one["file"] for one in row["warnings"]] == [str(tenants / passed_over)]
    assert "::error file=" in on_github.stdout
    assert "::holds no tenant file" in on_github.stdout
