"""The keys of `--json` that the page on the command line promises."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from store_fixtures import evidence

from evidence_courier import BlockingCourier, Records
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.domain.notices import News, notice_of
from evidence_courier.testing.contracts.stored import AT
from evidence_courier.testing.sandboxes import SprintoSandbox, sandbox_in_thread

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"
ROW = re.compile(
    r"^\| `([^`]+)` \| (each|the whole)(?: of `(\w+)`| \w+|) \| (.+) \|$", re.MULTILINE
)


def promised() -> Iterator[tuple[str, str | None, list[str]]]:
    page = PAGE.read_text().split("## JSON for programs")[1].split("\n## ")[0]
    for command, _, within, keys in ROW.findall(page):
        yield command, within or None, re.findall(r"`(\w+)`", re.sub(r" \([^)]*\)", "", keys))


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("json") / "courier.db"
    with sandbox_in_thread(SprintoSandbox(key="the key")) as sandbox:
        block = {
            "provider": "sprinto",
            "api_key": "${KEY}",
            "workflow_check": "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77",
            "endpoint": sandbox.url,
        }
        tenants = {"acme": {"integrations": {"compliance": block}}}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KEY", "another key")
            with BlockingCourier.from_mapping(tenants, path) as courier:
                courier.deliver(evidence("ev-1"))
    with Records.open(path) as records:
        records.pause("globex", by="asha", reason="an audit")
    with closing(SqliteStore(str(path))) as store:
        store.note(AT, ["webhook"], News([notice_of("late", AT, "text")], {}), {})
    return path


def test_each_row_of_the_page_is_read() -> None:
    assert len(list(promised())) == 9


@pytest.mark.parametrize(("command", "within", "keys"), list(promised()))
def test_the_keys_are_those_that_the_page_promises(
    database: Path, command: str, within: str | None, keys: list[str]
) -> None:
    place = [] if command == "version" else ["--db", str(database)]
    result = CliRunner().invoke(app, [*command.split(), "--json", *place])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    found = found[within] if within else found
    for one in found if isinstance(found, list) else [found]:
        assert sorted(one) == sorted(keys)
    assert found


def test_an_export_has_flat_keys_in_both_forms(database: Path) -> None:
    columns = []
    for kind in ("csv", "jsonl"):
        args = ["export", "--format", kind, "--db", str(database)]
        first = CliRunner().invoke(app, args).stdout.splitlines()[0]
        columns.append(
            list(json.loads(first)) if kind == "jsonl" else first.strip('"').split('","')
        )
    assert columns[0] == columns[1]
    page = PAGE.read_text()
    flat = [one for one in columns[0] if one.startswith(("error_", "receipt_"))]
    assert flat and all(f"`{one}`" in page for one in flat)
