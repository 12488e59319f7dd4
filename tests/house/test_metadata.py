"""What a package index is told of the package, and shows of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import evidence_courier

HOUSE = Path(__file__).parents[2]
FOR_USERS = {
    *("all", "cli", "fonts", "pdf", "postgres", "procrastinate", "sandbox", "structlog"),
    *("sync", "testing", "prometheus", "opentelemetry"),
}
LINK = re.compile(r"\]\(([^)]+)\)")


def setup() -> ConfigParser:
    config = ConfigParser()
    config.read(HOUSE / "setup.cfg", encoding="utf-8")
    return config


def urls() -> dict[str, str]:
    lines = setup()["metadata"]["project_urls"].strip().splitlines()
    return dict(line.split(" = ") for line in lines)


def test_the_licence_is_an_expression_and_the_project_has_its_addresses() -> None:
    assert setup()["metadata"]["license_expression"] == "Apache-2.0"
    assert set(urls()) == {"Source", "Documentation", "Changelog", "Issues"}


def test_only_extras_for_users_are_published() -> None:
    assert set(setup()["options.extras_require"]) == FOR_USERS


def test_the_readme_names_each_extra() -> None:
    readme = (HOUSE / "README.md").read_text("utf-8")
    named = {*re.findall(r"`(\w+)`", readme), *re.findall(r"'\.\[(.*)\]'", readme)[0].split(",")}
    assert named >= FOR_USERS


def test_no_release_of_pyyaml_is_taken_that_cannot_be_built() -> None:
    assert "PyYAML >= 6.0.2" in setup()["options"]["install_requires"].splitlines()


def test_links_of_the_readme_work_on_an_index_page_and_lead_to_files() -> None:
    base = urls()["Source"] + "/main/"
    for target in LINK.findall((HOUSE / "README.md").read_text("utf-8")):
        assert target.startswith(base), f"README.md links to {target}"
        assert (HOUSE / target.removeprefix(base)).is_file(), target


def test_no_address_of_the_project_is_one_that_a_stranger_can_have() -> None:
    """There is no public repository yet; `.example` is reserved."""
    assert all(url.startswith("https://evidence-courier.example") for url in urls().values())


def test_the_readme_does_not_promise_a_release_that_does_not_exist() -> None:
    readme = (HOUSE / "README.md").read_text("utf-8")
    assert "Nothing is released to a package index yet" in readme
    assert not re.search(r"pip install \"?'?evidence-courier", readme)


def test_the_package_is_run_as_a_module() -> None:
    above = str(Path(evidence_courier.__file__).parents[1])
    path = os.pathsep.join([above, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "evidence_courier", "--version"]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert "evidence-courier" in ran.stdout
