"""What reaches `evidence-courier run` while it starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")

TOLD = """\
import os, signal
from evidence_courier.bootstrap.cli.place import Files
from evidence_courier.bootstrap.cli.run import run

class Told(Files):
    def courier(self, **options):
        made = super().courier(**options)
        with open("tenants/globex.yaml", "w") as file:
            file.write("name: Globex")
        os.kill(os.getpid(), signal.SIGHUP)
        return made

place = Told({"folder": "tenants", "database": "courier.db"})
run(place=place, drain=False, watch=False, listen=None, grace=0, as_json=False)
"""

DRAINED = """\
import gc
from evidence_courier.bootstrap.cli.place import Files
from evidence_courier.bootstrap.cli.run import run

place = Files({"folder": "tenants", "database": "courier.db"})
try:
    run(place=place, drain=True, watch=False, listen=None, grace=0, as_json=False)
finally:
    print("frozen", gc.get_freeze_count())
"""


def test_a_reload_asked_for_while_the_tenants_are_read_is_done(tmp_path: Path) -> None:
    (tmp_path / "tenants").mkdir()
    (tmp_path / "tenants/acme.yaml").write_text("name: ACME\n")
    process = subprocess.Popen(
        [sys.executable, "-c", TOLD], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    lines: list[str] = []
    try:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            if "without: acme, globex" in line or ("started on" in line and not told(lines)):
                break
    finally:
        process.terminate()
        process.communicate()
    assert told(lines) and "without: acme, globex" in lines[-1], lines
    assert process.returncode == 0


def test_what_was_read_at_the_start_is_collected_no_more(tmp_path: Path) -> None:
    (tmp_path / "tenants").mkdir()
    (tmp_path / "tenants/acme.yaml").write_text("name: ACME\n")
    told = subprocess.check_output([sys.executable, "-c", DRAINED], cwd=tmp_path, text=True)
    assert int(told.removeprefix("frozen ")) > 10_000


ENDING = """\
import atexit, os, signal
from evidence_courier.bootstrap.cli.signals import take_from_the_start

take_from_the_start("export")
for number in (signal.SIGHUP, signal.SIGTERM):
    atexit.register(os.kill, os.getpid(), number)
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_a_second_signal_while_a_command_ends_changes_nothing() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ENDING], check=False, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (143, "")


def told(lines: list[str]) -> bool:
    return any("SIGHUP: reading the tenants anew" in line for line in lines)
