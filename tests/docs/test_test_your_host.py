"""The page for whoever tests a host is one project: its files are written down as they stand,
and pytest is run over them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from evidence_courier.testing import contracts

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "test-your-host.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_project_on_the_page_passes_its_tests(tmp_path: Path) -> None:
    for text in BLOCK.findall(PAGE):
        name = text.splitlines()[0].removeprefix("# ")
        assert re.fullmatch(r"[a-z_]+\.py", name), text
        (tmp_path / name).write_text(text)
    shelf = BLOCK.findall((DOCS / "write-a-provider.md").read_text(encoding="utf-8"))[0]
    (tmp_path / "shelf.py").write_text(shelf)
    options = [
        "-q",
        "-W",
        "error",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "--rootdir",
        str(tmp_path),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout, done.stdout


def test_every_kit_is_described() -> None:
    for name in contracts.__all__:
        if name.endswith("Contract"):
            assert f"`{name}`" in PAGE, f"docs/test-your-host.md does not describe {name}"
