"""The one module that authors of providers import from: what it offers, and what it does not
drag in."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from evidence_courier.adapters import providers

HOUSE = Path(__file__).parents[2]
PAGE = HOUSE / "docs" / "write-a-provider.md"
EXAMPLE = HOUSE / "examples" / "provider_package" / "evidence_courier_ledgerly" / "__init__.py"


def named_as_stable() -> list[str]:
    _, section = PAGE.read_text(encoding="utf-8").split("## What is stable", 1)
    table = re.findall(r"^\|[^|]+\|([^|]+)\|$", section.split("\n## ")[0], re.MULTILINE)
    return [name for cell in table for name in re.findall(r"`(\w+)`", cell)]


def test_what_is_offered_is_what_the_documents_call_stable() -> None:
    named = named_as_stable()
    assert sorted(named) == sorted(set(named)), "named twice"
    assert sorted(providers.__all__) == sorted(named)


def test_every_name_exists_and_is_in_order() -> None:
    assert [name for name in providers.__all__ if not hasattr(providers, name)] == []
    assert list(providers.__all__) == sorted(providers.__all__)


def test_what_the_ports_and_verdicts_say_is_offered_whole() -> None:
    """Whoever adds to the port adds it here, or says why not."""
    from evidence_courier.domain.upload import verdict
    from evidence_courier.ports import dialogue, provider

    # What runners need, what only an engine says of an attempt, and type variables.
    engines = {"Recovered", "Withdrawn", "AttemptVerdict", "VERDICTS", "verdict_of", "word_of"}
    kept_back = {"REPLY_LIMIT", "Step", "S", "T", *engines}
    for module in (dialogue, provider, verdict):
        own = {
            name
            for name, value in vars(module).items()
            if name.isidentifier()
            and not name.startswith("_")
            and getattr(value, "__module__", module.__name__) == module.__name__
        }
        assert sorted(own - kept_back - set(providers.__all__) - _FOREIGN) == [], module.__name__


_FOREIGN = {"annotations"}


def test_it_brings_in_neither_a_network_nor_a_loop() -> None:
    """The package's own face aside, for a host has that anyway."""
    spec = find_spec("evidence_courier")
    assert spec is not None and spec.submodule_search_locations
    code = f"""
import sys, types
bare = types.ModuleType("evidence_courier")
bare.__path__ = {list(spec.submodule_search_locations)!r}
sys.modules["evidence_courier"] = bare
import evidence_courier.adapters.providers
heavy = {{"aiohttp", "asyncio", "cerberus", "cattrs", "yaml", "sqlite3", "sqlite_utils", "typst", "click", "logging"}}
print(sorted(heavy & set(sys.modules)))
"""
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (child.returncode, child.stdout) == (0, "[]\n"), child.stderr


def test_the_example_imports_from_the_face_for_authors_only() -> None:
    imported = re.findall(
        r"^from (evidence_courier\S*) import", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert imported == ["evidence_courier.adapters.providers"]
