"""The page on the API names what there is, and nothing else; its code runs, and delivers."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import attrs
import pytest

import evidence_courier
from evidence_courier import (
    ActionResult,
    AsyncCourier,
    BlockingCourier,
    BlockingOptions,
    Courier,
    CourierOptions,
    Delivery,
    Document,
    DueDelivery,
    Evidence,
    Filter,
    SyncTicket,
    Ticket,
    UploadStatus,
)
from evidence_courier.bootstrap.face import Health
from evidence_courier.delivery.actions import Skipped
from evidence_courier.domain.errors import Problem
from evidence_courier.domain.upload.failure import Failure
from evidence_courier.domain.upload.find import Page
from evidence_courier.domain.upload.status import (
    ActionRow,
    AttemptRow,
    LookUpRow,
    StatusError,
    UploadDetails,
)
from evidence_courier.domain.upload.verdict import Receipt
from evidence_courier.testing.sandboxes import SprintoSandbox, sandbox_in_thread

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
CODE = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
PROSE = re.sub(r"^```.*?^```", "", TEXT, flags=re.MULTILINE | re.DOTALL)
SECTIONS = dict(re.findall(r"^##+ (.*?)\n(.*?)(?=^##+ |\Z)", PROSE, re.MULTILINE | re.DOTALL))

FIELDS: dict[str, set[str]] = {
    found.__name__: {one.name for one in attrs.fields(found)}
    for found in (
        Document,
        UploadStatus,
        StatusError,
        Receipt,
        AttemptRow,
        ActionRow,
        LookUpRow,
        Page,
        Delivery,
        DueDelivery,
        Filter,
        ActionResult,
        Health,
    )
}
FIELDS["Evidence"] = {one.name for one in attrs.fields(Evidence)} | {"evidence_date"}
FIELDS["UploadDetails"] = {one.name for one in attrs.fields(UploadDetails)} - FIELDS["UploadStatus"]
FIELDS["Options"] = set(get_type_hints(CourierOptions))


def rows(title: str) -> list[str]:
    """What stands in the first column of a section's table, as code."""
    lines = re.findall(r"^\| (`.*?`) \|", SECTIONS[title], re.MULTILINE)
    return [one for line in lines for one in re.findall(r"`(.*?)`", line)]


@pytest.mark.parametrize("title", FIELDS)
def test_every_field_is_listed_once_and_no_other(title: str) -> None:
    assert sorted(rows(title)) == sorted(FIELDS[title])


@pytest.mark.parametrize(
    ("title", "face"),
    [
        ("`AsyncCourier` and `Courier`", AsyncCourier),
        ("`AsyncCourier` and `Courier`", Courier),
        ("`BlockingCourier`", BlockingCourier),
        ("`Ticket` and `SyncTicket`", SyncTicket),
    ],
)
def test_every_verb_is_listed_with_its_arguments_and_no_other(title: str, face: type) -> None:
    told = {one.partition("(")[0]: one for one in rows(title)}
    there = {
        name: called(name, getattr(face, name)) for name in dir(face) if not name.startswith("_")
    }
    assert told == there


def called(name: str, verb: object) -> str:
    """A verb as the page writes it."""
    if not callable(verb):
        return name
    words: list[str] = []
    for one in inspect.signature(verb).parameters.values():
        if one.name == "self":
            continue
        if one.kind is one.KEYWORD_ONLY and "*" not in words:
            words.append("*")
        words.append(f"**{one.name}" if one.kind is one.VAR_KEYWORD else one.name)
    return f"{name}({', '.join(words)})"


def test_a_ticket_that_is_awaited_has_what_one_that_blocks_has() -> None:
    of_the_engine = {
        "find",
        "for_threads",
        "is_among",
        "is_elsewhere",
        "is_left_alone",
        "loop",
        "loosely",
        "mark_delayed",
        "mark_recorded",
        "mark_settled",
        "mark_lost",
        "not_settled",
        "promise",
    }
    assert {name for name in dir(Ticket) if name[0] != "_"} - of_the_engine == {
        name for name in dir(SyncTicket) if name[0] != "_"
    }


def test_the_options_of_the_blocking_courier_are_listed() -> None:
    [told] = re.findall(r"^Its options are (.*?)$", SECTIONS["`BlockingCourier`"], re.MULTILINE)
    named = set(re.findall(r"`([a-z_]+)`", told))
    assert named == set(get_type_hints(BlockingOptions))


def test_every_name_of_the_package_is_listed() -> None:
    opening = PROSE.partition("\n## ")[0]
    [told] = re.findall(
        r"What is imported from `evidence_courier` is (.*?)\.\sAll", opening, re.DOTALL
    )
    assert sorted(re.findall(r"`(\w+)`", told)) == sorted(evidence_courier.__all__)


def test_the_fields_of_values_inside_of_values_are_named() -> None:
    acted = SECTIONS["ActionResult"]
    for text, value in (
        (acted, Skipped),
        (SECTIONS["`Ready` and `NotReady`"], Failure),
        (SECTIONS["What is raised"], Problem),
    ):
        for one in attrs.fields(value):
            assert f"`{one.name}`" in text, one.name


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SprintoSandbox]:
    """A folder with a tenant whose endpoint is a sandbox."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACME_SPRINTO_API_KEY", "sandbox-key")
    with sandbox_in_thread(SprintoSandbox()) as running:
        (tmp_path / "tenants").mkdir()
        (tmp_path / "tenants" / "acme.yaml").write_text(
            "integrations:\n"
            "  compliance:\n"
            "    provider: sprinto\n"
            "    api_key: ${ACME_SPRINTO_API_KEY}\n"
            "    workflow_check: 3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77\n"
            f"    endpoint: {running.url}\n"
        )
        yield running


def test_the_code_without_asyncio_delivers(
    sandbox: SprintoSandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {}
    exec(compile(CODE[0], "api.md", "exec"), names)
    assert names["upload"].status == "succeeded"
    assert sandbox.copies(names["upload"].digest) == 1
    assert capsys.readouterr().out.startswith("succeeded 1 None\n1 delivered ")


def test_the_code_without_asyncio_shows_how_to_retry(
    sandbox: SprintoSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_SPRINTO_API_KEY", "another")
    names: dict[str, Any] = {}
    exec(compile(CODE[0], "api.md", "exec"), names)
    assert names["upload"].status == "failed"
    assert [done.evidence_id for done in names["acted"].done] == ["ev-1"]
    assert sandbox.received == ()


def test_the_code_with_tenants_of_the_hosts_own_delivers(sandbox: SprintoSandbox) -> None:
    made, _, _ = CODE[0].partition("with Courier")
    names: dict[str, Any] = {}
    exec(compile(made, "api.md", "exec"), names)
    region = '"region": "us",'
    assert region in CODE[1]
    code = compile(
        CODE[1].replace(region, f'"endpoint": "{sandbox.url}",'),
        "api.md",
        "exec",
        flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
    )

    async def run() -> None:
        await eval(code, names)

    asyncio.run(run())
    assert names["upload"].status == "succeeded"
    assert sandbox.copies(names["upload"].digest) == 1
    assert len(CODE) == 2
