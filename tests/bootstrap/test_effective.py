"""`check --effective`: a tenant's whole configuration, masked, with defaults and their origin."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evidence_courier.adapters.config.schema import CORE
from evidence_courier.adapters.plugins import discover_providers
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.ports.provider import Provider

KEY, PASSWORD = "a-key-that-nobody-may-see", "a-password-of-a-proxy"
SAMPLES = {
    "sprinto": {"workflow_check": "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77"},
    "vanta": {"client_id": "vci_1", "client_secret": "${KEY}", "document": "iso-1"},
    "drata": {},
    "secureframe": {"api_secret": "${KEY}"},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEY", KEY)
    monkeypatch.setenv("PROXY", f"http://user:{PASSWORD}@proxy.example:3128")
    for provider, own in SAMPLES.items():
        block: dict[str, object] = {
            "provider": provider,
            **own,
            "proxy": "${PROXY}",
            "retry": {"max_attempts": 3},
        }
        if provider != "vanta":
            block["api_key"] = "${KEY}"
        if provider == "sprinto":
            block["retention"] = {"personal": "90d after success"}
        tenant = {"integrations": {"compliance": block}}
        (tmp_path / f"{provider}.json").write_text(json.dumps(tenant, indent=1))
    (tmp_path / "none.yaml").write_text("name: without an integration\n")
    return tmp_path


def check(folder: Path, *options: str) -> Result:
    result = CliRunner().invoke(app, ["check", str(folder), "--effective", *options])
    assert result.exit_code == 0, result.output
    return result


def test_it_shows_every_key_that_a_block_may_have(folder: Path) -> None:
    rows = {row["tenant_id"]: row for row in json.loads(check(folder, "--json").stdout)}
    assert rows["none"]["settings"] == []
    for name, provider in discover_providers().items():
        assert isinstance(provider, Provider)
        keys = [one["key"] for one in rows[name]["settings"]]
        assert len(keys) == len({*keys})
        assert {key.partition(".")[0] for key in keys} == {*CORE, *provider.schema}


def test_it_says_where_each_value_comes_from(folder: Path) -> None:
    rows = {row["tenant_id"]: row for row in json.loads(check(folder, "--json").stdout)}
    drata = {one["key"]: one for one in rows["drata"]["settings"]}
    assert drata["api_key"] == {"key": "api_key", "value": "${KEY}", "source": "file", "line": 9}
    assert (drata["retry.max_attempts"]["value"], drata["retry.max_attempts"]["line"]) == ("3", 7)
    for key, value, source in (
        ("retry.max_delay", "5m", "default"),
        ("region", "us", "default"),
        ("pace", "500/min", "provider"),
        ("max_bytes", "25MB", "provider"),
        ("outcomes", "passed", "provider"),
        ("proxy", "http://***@proxy.example:3128", "file"),
        ("ca_bundle", None, "default"),
    ):
        assert (drata[key]["value"], drata[key]["source"]) == (value, source), key
    sprinto = {one["key"]: one for one in rows["sprinto"]["settings"]}
    kept = sprinto["retention.personal"]
    assert (kept["value"], kept["source"]) == ("90d after success", "file")
    assert sprinto["retention.attempts"]["value"] is None
    assert sprinto["outcomes"]["source"] == "default"
    assert sprinto["outcomes"]["value"] == "passed, exhausted"


def test_it_shows_no_secret_in_either_form(folder: Path) -> None:
    for options in ((), ("--json",)):
        output = check(folder, *options).output
        assert KEY not in output
        assert PASSWORD not in output
        assert "user:" not in output


@pytest.mark.parametrize("width", [80, 160])
def test_a_terminal_shows_a_table_that_fits(
    folder: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("check", "output"):
        monkeypatch.setattr(f"evidence_courier.bootstrap.cli.{module}.is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    lines = check(folder).stdout.splitlines()
    assert max(map(len, lines)) <= width
    assert "drata" in lines
    assert any(line.split() == ["retry.max_attempts", "line", "7", "3"] for line in lines)


def test_in_a_pipe_each_row_begins_with_its_tenant(folder: Path) -> None:
    lines = check(folder).stdout.splitlines()
    assert "vanta\tretry.max_delay\tdefault\t5m" in lines
    assert "drata\tretry.max_attempts\tline 7\t3" in lines
