"""The two commands that the README promises a newcomer."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2]


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    # The variables of the make that runs the tests are not for the make that is tested.
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(
        command, cwd=HOUSE, env=outside, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("target", ["demo", "test"])
def test_the_readme_names_a_command_that_make_knows(target: str) -> None:
    readme = (HOUSE / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"\bmake {target}\b", readme), f"README.md does not show `make {target}`"
    dry_run = make("--dry-run", target)
    assert dry_run.returncode == 0, dry_run.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_alone_lists_every_target() -> None:
    makefile = (HOUSE / "Makefile").read_text(encoding="utf-8")
    public = set(re.findall(r"^\.PHONY: (\S+)$", makefile, flags=re.MULTILINE)) - {"FORCE"}
    listed = set(re.findall(r"^ +make (\S+) ", make().stdout, flags=re.MULTILINE))
    assert listed == public


def test_the_build_server_runs_what_the_readme_and_the_developers_run() -> None:
    script = (HOUSE / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert {"make test", "make lint"} <= set(script)


def test_the_build_server_also_draws_new_examples() -> None:
    script = (HOUSE / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert "make test-fresh" in script
