"""The code on the page for embedders is true: it stands like that in an example, or it runs."""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from textwrap import indent

import pytest

from evidence_courier import Courier, Document, Evidence, UploadStatus
from evidence_courier.testing.sandboxes import SprintoSandbox, sandbox_in_thread

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
QUOTED = re.compile(r"`(examples/[\w/]+\.py)`:\n\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)

QUOTATIONS = QUOTED.findall(PAGE)
PROGRAMS = [
    code for code in BLOCK.findall(PAGE) if code not in [quoted for _, quoted in QUOTATIONS]
]


def evidence_with(document: Document) -> Evidence:
    return Evidence(
        tenant_id="acme",
        evidence_id="ev-1",
        session_id="s-1",
        subject="emp-7",
        outcome="passed",
        recorded_at=datetime(2026, 2, 21, 10, 0, tzinfo=UTC),
        document=document,
    )


@pytest.mark.parametrize(("file", "code"), QUOTATIONS)
def test_what_is_quoted_from_an_example_is_in_that_example(file: str, code: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert any(indent(code, " " * depth) in text for depth in (0, 4, 8)), (
        f"{file} has no longer:\n{code}"
    )


@pytest.fixture
def in_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SprintoSandbox]:
    """A folder with a tenant whose endpoint is a sandbox, and a database."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACME_SPRINTO_API_KEY", "sandbox-key")
    with sandbox_in_thread(SprintoSandbox()) as sandbox:
        (tmp_path / "tenants").mkdir()
        (tmp_path / "tenants" / "acme.yaml").write_text(
            "integrations:\n"
            "  compliance:\n"
            "    provider: sprinto\n"
            "    api_key: ${ACME_SPRINTO_API_KEY}\n"
            "    workflow_check: 3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77\n"
            f"    endpoint: {sandbox.url}\n"
        )
        Courier.from_config("tenants", database="courier.db").__enter__().close()
        yield sandbox


@pytest.mark.parametrize("code", PROGRAMS)
def test_all_other_code_runs_and_delivers(code: str, in_a_service: SprintoSandbox) -> None:
    document = Document(content=b"%PDF-1.7 ...", media_type="application/pdf")
    names: dict[str, object] = {"evidence": evidence_with(document), "evidence_with": evidence_with}
    compiled = compile(code, "embedding.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if "await " in code or "async with" in code:

        async def run() -> None:
            await eval(compiled, names)

        asyncio.run(run())
    else:
        exec(compiled, names)
    delivers = "submit(" in code or "deliver(" in code
    assert len(in_a_service.received) == (1 if delivers else 0)
    if "upload" in names:
        upload = names["upload"]
        assert isinstance(upload, UploadStatus)
        assert upload.status == "succeeded"
        assert in_a_service.copies(upload.digest) == 1
    if "news" in names:
        assert names["news"] == ["acme ev-1 succeeded"]
    if "statuses" in names:
        assert names["statuses"] == {"ev-1": names["upload"]}


def test_the_page_has_code_of_both_kinds() -> None:
    examples = {file.split("/")[1] for file, _ in QUOTATIONS}
    assert examples == {
        "asyncio_script",
        *(folder.name for folder in (ROOT / "examples").glob("*_host")),
    }
    assert len(PROGRAMS) >= 7
