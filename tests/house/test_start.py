"""What a start costs the processor, as multiples of what is not ours, in the same run.

The bounds are wide: they notice a loss of a third to a half, and no machine that does much else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evidence_courier.adapters.config import ReportCache, load_folder
from evidence_courier.adapters.plugins import discover_providers
from evidence_courier.adapters.secrets.environ import EnvironSecrets

IMPORTS = {"import evidence_courier": 0.3, "from evidence_courier import AsyncCourier": 2.6}
"""At most so many times as much as `import aiohttp`, which a courier needs in any case."""

TENANT = """\
tenant: t{0}
integrations:
  compliance:
    provider: sprinto
    api_key: ${{KEY}}
    workflow_check: 3f2504e0-4f89-11d3-9a0c-0305e82c{0:04d}
    region: eu
    retry: {{max_attempts: 3}}
"""
TENANTS = 300


@pytest.mark.parametrize("statement", IMPORTS)
def test_an_import_costs_what_it_did(statement: str, tmp_path: Path) -> None:
    """The best of some attempts counts: a neighbour on the same core can double a figure."""

    def within() -> bool:
        own, theirs, nothing = (
            min(_cpu(f"{code}\n", tmp_path) for _ in range(5))
            for code in (statement, "import aiohttp", "pass")
        )
        return own - nothing < IMPORTS[statement] * (theirs - nothing)

    assert any(within() for _ in range(ATTEMPTS))


def test_a_load_costs_what_it_did_and_a_reload_reads_nothing(tmp_path: Path) -> None:
    """In a process of its own: what the tests have loaded makes collections of garbage dear."""
    for number in range(TENANTS):
        (tmp_path / f"t{number}.yaml").write_text(TENANT.format(number))

    def within() -> bool:
        parsed, loaded, again = _loaded(tmp_path)
        return loaded < MOST_OF_PARSING * parsed and again < loaded / 4

    assert any(within() for _ in range(ATTEMPTS))


START = """
import asyncio, sys
from evidence_courier import AsyncCourier
async def main():
    async with AsyncCourier.from_mapping({"t": {"name": "none"}}, sys.argv[1]):
        print(*sorted({"aiohttp", "sqlite_utils", "typst", "rich"} & {*sys.modules}))
asyncio.run(main())
"""


def test_a_start_imports_no_more_than_it_needs(tmp_path: Path) -> None:
    """The HTTP client is imported once the courier has started."""
    run = [sys.executable, "-c", START, str(tmp_path / "courier.db")]
    imported = [
        subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
        for _ in ("a new database", "one that is there")
    ]
    assert imported == [[], []]


ATTEMPTS = 4
MOST_OF_PARSING = 5.0
"""A load costs so many times as much as libyaml's parser and PyYAML's plain objects at most."""


def _loaded(folder: Path) -> tuple[float, float, float]:
    """What parsing, loading and loading again took in a fresh process, in CPU seconds."""
    run = subprocess.run(
        [sys.executable, __file__, folder], capture_output=True, text=True, check=True
    )
    parsed, loaded, again = map(float, run.stdout.split())
    return parsed, loaded, again


def _cpu(code: str, compiled: Path) -> float:
    """The seconds of processor time that a fresh process takes, once its modules are compiled."""
    timed = f"{code}import time; print(time.process_time())"
    run = subprocess.run(
        [sys.executable, "-c", timed],
        env={**os.environ, "PYTHONPYCACHEPREFIX": str(compiled), "PYTHONDONTWRITEBYTECODE": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(run.stdout)


def _measure(folder: Path) -> None:
    import time

    import yaml

    from evidence_courier.adapters.config import stamps

    # As if the files had been written long ago.
    stamps._SETTLED_AFTER = -(10**15)  # pyright: ignore[reportPrivateUsage]
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    providers, secrets, files = discover_providers(), EnvironSecrets({"KEY": "k"}), ReportCache()

    def parse() -> None:
        for file in folder.iterdir():
            yaml.load(file.read_bytes(), loader)

    def load() -> None:
        assert not load_folder(folder, providers=providers, secrets=secrets).problems

    def again() -> None:
        load_folder(folder, providers=providers, secrets=secrets, cache=files)

    again()
    taken: dict[object, list[float]] = {parse: [], load: [], again: []}
    for _ in range(4):
        for what in (parse, load, again):
            began = time.process_time()
            what()
            taken[what].append(time.process_time() - began)
    sys.stdout.write("\n".join(str(min(times)) for times in taken.values()))


if __name__ == "__main__":
    _measure(Path(sys.argv[1]))
