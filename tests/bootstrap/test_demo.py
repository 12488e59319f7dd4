"""The demo holds what it promises, and says so when it does not."""

from __future__ import annotations

import shutil
from pathlib import Path

from click.testing import CliRunner

from evidence_courier.bootstrap.cli.app import app

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_demo_delivers_every_record_and_leaves_its_pdfs(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["demo", "--examples", str(EXAMPLES), "--out", str(tmp_path / "out")]
    )
    assert result.exit_code == 0, result.output
    assert "All of it holds." in result.stdout
    lost = result.stdout.split("which was looked up and found:")[1]
    for said in ("connection_lost", "found", "umbrella\tumbrella-0"):
        assert said in lost
    copies = [line.split("\t")[3:] for line in lost.splitlines() if line.startswith("umbrella\tu")]
    assert copies == [["1", "yes"]] * 2
    assert len(list((tmp_path / "out" / "pdf").glob("*.pdf"))) >= 12


def test_the_demo_fails_when_a_record_cannot_be_delivered(tmp_path: Path) -> None:
    examples = tmp_path / "examples"
    shutil.copytree(EXAMPLES, examples)
    tenant = examples / "tenants" / "globex.yml"
    tenant.write_text(tenant.read_text().replace("3f1c2a9e", "00000000"))
    result = CliRunner().invoke(
        app, ["demo", "--examples", str(examples), "--out", str(tmp_path / "out")]
    )
    assert result.exit_code == 1
    assert "SOMETHING DOES NOT HOLD" in result.stdout
