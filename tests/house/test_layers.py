"""The import contracts hold, and each of them bites: a copy of the package is made to sin, and
must be caught."""

import os
import shutil
import subprocess
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest
from attrs import frozen

HOUSE = Path(__file__).parents[2]

ARROWS = "Arrows point inwards only"
FACE = "The face is for hosts, no room of the house looks at it"
PURE = "Domain, ports and delivery know no clock, no dice and no I/O"
AIOHTTP = "aiohttp is imported in its transport and nowhere else in the delivery path"
HTTPCORE = "httpcore is imported in its transport and nowhere else"
TESTING = "Production imports no stand-in but for the commands sandbox and demo"
PROVIDERS = "Providers do not know one another"


@frozen
class Sin:
    """A line of code written where it must not stand."""

    contract: str
    file: str
    line: str


SINS = [
    Sin(ARROWS, "domain/__init__.py", "import evidence_courier.ports"),
    Sin(ARROWS, "ports/__init__.py", "import evidence_courier.delivery"),
    Sin(ARROWS, "delivery/__init__.py", "import evidence_courier.adapters"),
    Sin(ARROWS, "delivery/dialogues/lists.py", "import evidence_courier.adapters.providers.vanta"),
    Sin(ARROWS, "adapters/__init__.py", "import evidence_courier.testing"),
    Sin(ARROWS, "testing/__init__.py", "import evidence_courier.bootstrap"),
    Sin(ARROWS, "attic/__init__.py", "# a room that is not in the plan"),
    Sin(FACE, "adapters/__init__.py", "from evidence_courier import Courier"),
    Sin(PURE, "domain/__init__.py", "import time"),
    Sin(PURE, "domain/__init__.py", "from os.path import join"),
    Sin(
        PURE,
        "domain/__init__.py",
        "def dice() -> float:\n    import random\n    return random.random()",
    ),
    Sin(PURE, "ports/__init__.py", "import asyncio"),
    Sin(PURE, "ports/__init__.py", "import sqlite3"),
    Sin(PURE, "delivery/__init__.py", "import threading"),
    Sin(PURE, "delivery/dialogues/multipart.py", "from urllib.parse import urlsplit"),
    Sin(AIOHTTP, "adapters/engines/__init__.py", "import aiohttp"),
    Sin(AIOHTTP, "adapters/providers/another.py", "from aiohttp import FormData"),
    Sin(HTTPCORE, "adapters/engines/__init__.py", "import httpcore"),
    Sin(HTTPCORE, "adapters/transports/outgoing.py", "from httpcore import URL"),
    Sin(HTTPCORE, "bootstrap/blocking_courier.py", "def late() -> None:\n    import httpcore"),
    Sin(TESTING, "bootstrap/doctor.py", "from ..testing.memory_store import MemoryStore"),
    Sin(TESTING, "bootstrap/cli/check.py", "from ...testing.sandboxes import Sandbox"),
    Sin(PROVIDERS, "adapters/providers/vanta/provider.py", "from ..sprinto import SprintoProvider"),
    Sin(PROVIDERS, "adapters/providers/drata/another.py", "from ..sprinto.reply import read_reply"),
]


def lint_imports(house: Path) -> subprocess.CompletedProcess[str]:
    shutil.copy(HOUSE / ".importlinter", house)
    command = [str(Path(sysconfig.get_path("scripts"), "lint-imports")), "--no-logo", "--no-cache"]
    wide = os.environ | {"COLUMNS": "200"}
    return subprocess.run(command, cwd=house, env=wide, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return the folder of a copy of the package."""
    found = find_spec("evidence_courier")
    assert found is not None
    assert found.submodule_search_locations
    package = tmp_path / "evidence_courier"
    without_caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(found.submodule_search_locations[0], package, ignore=without_caches)
    return package


def test_the_house_keeps_its_contracts(copy: Path) -> None:
    verdict = lint_imports(copy.parent)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    assert "0 broken" in verdict.stdout


@pytest.mark.parametrize("sin", SINS, ids=lambda sin: f"{sin.file}: {sin.line.splitlines()[0]}")
def test_a_sin_is_caught(copy: Path, sin: Sin) -> None:
    file = copy / sin.file
    file.parent.mkdir(exist_ok=True)
    with file.open("a", encoding="utf-8") as page:
        page.write(f"\n{sin.line}\n")
    verdict = lint_imports(copy.parent)
    assert verdict.returncode == 1, verdict.stdout + verdict.stderr
    assert f"{sin.contract} BROKEN" in verdict.stdout
