"""The pytest plugin, as a host meets it: in a pytest of its own, in a folder of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

USES_EVERYTHING = """
import asyncio
import urllib.request
from datetime import datetime, UTC
from evidence_courier import AsyncCourier, Document, Evidence
from evidence_courier.testing import until_settled, tenant

EVIDENCE = Evidence(
    tenant_id="acme", evidence_id="ev-1", session_id="s-1", subject="emp-7", outcome="passed",
    recorded_at=datetime(2026, 2, 21, 10, 0, tzinfo=UTC), document=Document(content=b"%PDF", media_type="application/pdf"),
)

def test_fakes(fakes, fake_clock, memory_store, recording_logger, scripted_provider):
    async def story():
        async with AsyncCourier.from_mapping({"acme": tenant()}, **fakes.ports()) as courier:
            [upload] = await until_settled(courier, fake_clock, courier.submit(EVIDENCE))
            assert upload.status == "succeeded"
    asyncio.run(story())
    assert scripted_provider.attempts == 1
    assert recording_logger.events
    assert memory_store.unsettled() == []

def test_a_new_store_for_each_test(memory_store):
    assert sum(memory_store.counts().values()) == 0

def test_sandbox(sprinto_sandbox):
    with urllib.request.urlopen(sprinto_sandbox.control_url + "/health") as reply:
        assert reply.status == 200
    assert sprinto_sandbox.received == ()
"""
USES_NOTHING = "def test_nothing(): pass\n"


def run(
    folder: Path, test: str, *options: str, before: str = ""
) -> subprocess.CompletedProcess[str]:
    """pytest over one file, with warnings as errors; `before` is code that runs ahead of it."""
    (folder / "test_host.py").write_text(test)
    arguments = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "-W",
        "error",
        *options,
        str(folder),
    ]
    program = f"import sys; {before}\nimport pytest; sys.exit(pytest.main({arguments!r}))"
    return subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_host_has_the_fixtures_without_asking_for_the_plugin(tmp_path: Path) -> None:
    done = run(tmp_path, USES_EVERYTHING)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_each_fixture_says_what_it_is_for(tmp_path: Path) -> None:
    done = run(tmp_path, USES_NOTHING, "--fixtures")
    for words in (
        "fake_clock",
        "memory_store",
        "recording_logger",
        "sprinto_sandbox",
        "point a tenant's",
    ):
        assert words in done.stdout, words
    ours = done.stdout.partition("fixtures defined from evidence_courier")[2].partition(
        "fixtures defined from"
    )[0]
    assert "sprinto_sandbox" in ours
    assert "no docstring available" not in ours


def test_without_the_extra_a_sandbox_is_skipped_and_names_it(tmp_path: Path) -> None:
    done = run(tmp_path, USES_EVERYTHING, "-rs", before="sys.modules['graphql'] = None")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed, 1 skipped" in done.stdout
    assert 'pip install "evidence-courier[sandbox]"' in done.stdout


def test_a_run_that_uses_no_fixture_imports_next_to_nothing(tmp_path: Path) -> None:
    told = tmp_path / "imported.txt"
    probe = (
        "def test_nothing():\n"
        "    import pathlib, sys\n"
        "    ours = sorted(name for name in sys.modules if name.startswith('evidence_courier'))\n"
        "    heavy = {'aiohttp', 'graphql', 'sqlite_utils', 'cattrs', 'cerberus', 'yaml', "
        "'attrs'} & set(sys.modules)\n"
        f"    pathlib.Path({str(told)!r}).write_text(repr((ours, heavy)))\n"
    )
    done = run(tmp_path, probe)
    assert done.returncode == 0, done.stdout + done.stderr
    ours, heavy = eval(told.read_text())
    assert ours == [
        "evidence_courier",
        "evidence_courier.testing",
        "evidence_courier.testing.pytest_plugin",
    ]
    assert heavy == set()


def test_what_the_package_offers_for_tests_needs_no_test_runner() -> None:
    program = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['pytest', '_pytest', 'hypothesis', 'graphql']))\n"
        "import evidence_courier.testing as testing\n"
        "for name in testing.__all__:\n"
        "    if name != 'Simulation': getattr(testing, name)\n"
        "import evidence_courier.testing.contracts\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_plugin_of_this_very_run_is_the_packages(pytestconfig: pytest.Config) -> None:
    plugin = pytestconfig.pluginmanager.get_plugin("evidence_courier")
    assert plugin is not None
    assert plugin.__name__ == "evidence_courier.testing.pytest_plugin"
