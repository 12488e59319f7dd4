"""Files that are named to a command."""

from __future__ import annotations

import os
from pathlib import Path

from click.testing import CliRunner, Result

from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.bootstrap.cli.app import app


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_what_is_a_pipe_or_a_device_is_refused_as_a_file(tmp_path: Path) -> None:
    """It may have no end, or nobody may write to it."""
    tenants, old = tmp_path / "tenants", tmp_path / "old"
    tenants.mkdir()
    (tenants / "acme.yaml").write_text("name: ACME\n")
    old.mkdir()
    for name in ("pipe.json", "pipe.jsonl", "pipe.csv"):
        os.mkfifo(old / name)
    db = ("--config", tenants, "--db", tmp_path / "courier.db")
    SqliteStore(str(tmp_path / "courier.db")).close()
    for command in (
        ("render", old / "pipe.json"),
        ("render", "/dev/zero", "-o", tmp_path / "x.pdf"),
        ("submit", *db, old / "pipe.json"),
        ("import", *db, old),
        ("verify", "--db", tmp_path / "courier.db", "--head", old / "pipe.json"),
    ):
        refused = run(*command)
        assert (refused.exit_code, refused.stdout) == (2, ""), command
        assert "it is a pipe or a device, and no file" in refused.stderr
    assert "no file and no folder" in run("import", *db, old / "pipe.jsonl").stderr
    assert "give the folder that holds" in run("check", old / "pipe.json").stderr


def test_a_text_in_another_encoding_is_refused_before_it_is_written(tmp_path: Path) -> None:
    database = tmp_path / "courier.db"
    SqliteStore(str(database)).close()
    of_latin_1 = os.fsdecode("J\xfcrgen".encode("latin-1"))
    given = {"--by": "me", "--reason": "why", "--tenant": "acme"}
    for option in given:
        typed = [word for pair in {**given, option: of_latin_1}.items() for word in pair]
        for command in (["pause", "--yes"], ["resume"], ["retry"]):
            refused = run(*command, "--db", database, *typed)
            assert refused.exit_code == 2, refused.output
            assert f"{option} holds letters that the locale cannot read" in refused.stderr
