"""What the documents show is true: their code runs, their tenant files load, their links and
tests exist."""

from __future__ import annotations

import ast
import asyncio
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from evidence_courier import AsyncCourier, Evidence, UploadStatus, load_record
from evidence_courier.adapters.config import load_mapping
from evidence_courier.adapters.config.schema import CORE
from evidence_courier.adapters.plugins import discover_providers
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.ports.provider import Provider
from evidence_courier.testing.sandboxes import DrataSandbox, SprintoSandbox, sandbox_in_thread

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SECTION = re.compile(r"^## (.*?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
REQUIREMENTS = ROOT / "docs" / "requirements.md"
RELIABILITY = ROOT / "docs" / "reliability.md"


class AnySecret:
    def resolve(self, name: str) -> Secret | None:
        return Secret("a-secret-of-the-documents")


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (document.name, text)
        for document in DOCUMENTS
        for found, text in BLOCK.findall(document.read_text(encoding="utf-8"))
        if found == language
    ]


@pytest.mark.parametrize(("name", "text"), blocks("yaml"))
def test_a_tenant_file_that_is_shown_holds(name: str, text: str) -> None:
    loaded = load_mapping(
        {"shown": yaml.safe_load(text)}, providers=discover_providers(), secrets=AnySecret()
    )
    assert loaded.problems == ()
    [integration] = loaded.integrations.values()
    assert integration.provider in text


@pytest.mark.parametrize(("name", "text"), blocks("json"))
def test_a_training_record_that_is_shown_holds(name: str, text: str) -> None:
    assert Evidence.from_record(load_record(json.dumps(json.loads(text)))).evidence_id == "ev-1"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_what_a_document_links_to_exists(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8"))
    for target in targets:
        assert "://" in target or (document.parent / target).exists(), (
            f"{document.name} links to {target}"
        )


def test_every_key_of_the_block_is_described() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    described = dict(SECTION.findall(text))
    for key in _keys(CORE):
        assert f"`{key}`" in text, f"docs/configuration.md does not describe {key}"
    for name, provider in discover_providers().items():
        assert isinstance(provider, Provider)
        for key in provider.schema:
            section = described[name.capitalize()]
            assert f"`{key}`" in section, f"docs/configuration.md does not describe {name}'s {key}"


def _keys(schema: object, above: str = "") -> set[str]:
    found: set[str] = set()
    assert isinstance(schema, Mapping)
    for name, rules in schema.items():
        nests = isinstance(rules, Mapping) and rules.get("type") == "dict"
        inner = rules.get("schema") if nests else None
        found |= _keys(inner, f"{above}{name}.") if inner else {f"{above}{name}"}
    return found


def test_every_test_that_the_documents_name_exists() -> None:
    pages = REQUIREMENTS.read_text(encoding="utf-8") + RELIABILITY.read_text(encoding="utf-8")
    named = re.findall(r"`((?:tests|testing)/[\w/]+\.py)::(\w+)`", pages)
    assert len(named) > 90
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file} has no {test}"


def test_every_requirement_names_a_test_or_says_that_it_is_open() -> None:
    sections = re.split(r"^### ", REQUIREMENTS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    names = {section.split(maxsplit=1)[0].rstrip(":") for section in sections}
    assert {f"FR-{n:03}" for n in range(1, 13)} | {f"SC-{n:03}" for n in range(1, 6)} <= names
    for section in sections:
        assert "::test_" in section or "**Open:**" in section, section.splitlines()[0]


PYTHON = [text for name, text in blocks("python") if name == "README.md"]


def test_the_readmes_code_delivers_an_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its blocks are run as they stand, in a folder with the README's own tenant file, against a
    sandbox."""
    embed, make_evidence = PYTHON
    [tenant] = [text for name, text in blocks("yaml") if name == "README.md"]
    names: dict[str, object] = {"AsyncCourier": AsyncCourier}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACME_SPRINTO_API_KEY", "the-key-of-the-sandbox")
    (tmp_path / "tenants").mkdir()
    exec(compile(make_evidence, "README.md", "exec"), names)
    with sandbox_in_thread(SprintoSandbox(key="the-key-of-the-sandbox")) as sandbox:
        pointed = tenant.replace(
            "provider: sprinto", f"provider: sprinto\n    endpoint: {sandbox.url}"
        )
        (tmp_path / "tenants" / "acme.yaml").write_text(pointed)
        code = compile(embed, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

        async def run() -> None:
            await eval(code, names)

        asyncio.run(run())
        upload = names["upload"]
        assert isinstance(upload, UploadStatus)
        assert upload.status == "succeeded"
        assert sandbox.copies(upload.digest) == 1


def test_the_commands_that_the_readme_has_tried_deliver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they stand, but for the ports of the sandboxes and the place of the database."""
    [text] = [text for _, text in blocks("console") if "examples/sandbox.env" in text]
    sandboxes, environment, *commands = [line.removeprefix("$ ") for line in text.splitlines()]
    names = (shlex.split(one)[:3] for one in sandboxes.split("&") if one.strip())
    assert [*names] == [["evidence-courier", "sandbox", one] for one in ("sprinto", "drata")]
    assert ". examples/sandbox.env;" in environment
    for line in (ROOT / "examples" / "sandbox.env").read_text().splitlines():
        name, _, value = line.partition("=")
        if not name.startswith("#"):
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(ROOT)
    with sandbox_in_thread(SprintoSandbox()) as sprinto, sandbox_in_thread(DrataSandbox()) as drata:
        for tenant in ("ACME", "GLOBEX"):
            monkeypatch.setenv(f"{tenant}_SPRINTO_ENDPOINT", sprinto.url)
        monkeypatch.setenv("UMBRELLA_DRATA_ENDPOINT", drata.url)
        verbs, printed = list[str](), ""
        for command in commands:
            _, *given = command.replace("courier.db", str(tmp_path / "courier.db")).split()
            done = CliRunner().invoke(app, given)
            assert done.exit_code == 0, done.output
            verbs.append(given[0])
            printed = done.stdout
        assert verbs == ["doctor", "submit", "status"]
        assert "succeeded" in printed
        assert len(sprinto.received) == 1


@pytest.mark.parametrize("page", ["embedding.md", "task-queues.md"])
def test_what_cron_calls_is_named_where_a_courier_is_chosen(page: str) -> None:
    begin = (ROOT / "docs" / page).read_text(encoding="utf-8")[:3_000]
    assert re.search(r"\bcron\b[^\n]*`[\w.]*deliver_due\b", begin)


def test_the_vault_that_is_shown_resolves_references() -> None:
    [shown] = [text for name, text in blocks("python") if name == "configuration.md"]
    names: dict[str, Any] = {}
    exec(compile(shown, "configuration.md", "exec"), names)
    [block, *_] = [text for name, text in blocks("yaml") if name == "configuration.md"]
    known = {"ACME_SPRINTO_API_KEY": "the-key-in-the-vault"}
    tenants = {"acme": yaml.safe_load(block)}
    loaded = load_mapping(
        tenants, providers=discover_providers(), secrets=names["Vault"](known.get)
    )
    assert loaded.problems == ()
    assert loaded.integrations["acme"].secrets == (Secret("the-key-in-the-vault"),)
    [problem] = load_mapping(
        tenants, providers=discover_providers(), secrets=names["Vault"]({}.get)
    ).problems
    assert "ACME_SPRINTO_API_KEY" in str(problem)
