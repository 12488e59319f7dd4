"""A disk that gives errors of its own (EIO), of writing, of syncing and of reading, in the
database, its log and the documents' files: nothing is acknowledged that is not kept, and each
evidence is delivered once the disk works."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import evidence_courier
from evidence_courier.adapters.stores.sqlite import open_for_reading
from evidence_courier.adapters.stores.sqlite.inspection import inspect
from evidence_courier.delivery.chain import faults_of

SUPPORT = Path(__file__).parents[1] / "support"
FILES = ["courier.db-wal", "courier.db", "courier.db-documents"]
KINDS = {"write": 1, "sync": 2, "read": 4}
COMPILER = shutil.which("cc")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if COMPILER is None or sys.platform != "linux":
        pytest.skip("a C compiler on Linux makes the disk fail")
    made = tmp_path_factory.mktemp("eio") / "eio.so"
    command = [COMPILER, "-shared", "-fPIC", "-o", str(made), str(SUPPORT / "eio.c"), "-ldl"]
    subprocess.run(command, check=True)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_or_sent_twice_while_a_disk_gives_errors(
    library: Path, tmp_path: Path, kind: str
) -> None:
    """What was sent, and whose outcome the disk did not take, may be sent again, with its mark."""
    worlds = delivered(library, tmp_path, str(KINDS[kind]))
    assert len(worlds) == 3 * len(FILES)
    for world in worlds:
        held = Counter(world["held"])
        for name, (status, is_marked) in zip(["small", "large"], world["ends"], strict=True):
            assert status == "succeeded"
            assert held[name] == 1 or (is_marked and held[name] == 2)
        assert all("look at the system's log" in text for text in world["told"])
        database = f"{world['folder']}/courier.db"
        assert inspect(database).breaches == ()
        with open_for_reading(database) as reader:
            assert list(faults_of(reader, "acme")) == []
    assert any(world["told"] for world in worlds)


def delivered(library: Path, folder: Path, kind: str) -> list[dict[str, Any]]:
    """What a worker says of one that fails in each of the files."""
    control = folder / "control"
    control.write_bytes(bytes(4096))
    package = Path(evidence_courier.__path__[0]).parent
    around = {
        "LD_PRELOAD": str(library),
        "EIO_CONTROL": str(control),
        "PYTHONPATH": os.pathsep.join([str(package), str(SUPPORT)]),
    }
    host = [sys.executable, str(SUPPORT / "eio_host.py"), str(folder), kind, *FILES]
    done = subprocess.run(
        host, env={**os.environ, **around}, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
