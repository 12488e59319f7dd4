"""`evidence-courier version`: what is installed here, for a report of a fault."""

from __future__ import annotations

import platform
import re
import sqlite3
from importlib.metadata import PackageNotFoundError, requires, version

from ...adapters.plugins import BrokenProvider, discover_providers
from .output import print_json, print_table

_PACKAGE = "evidence-courier"


def run(as_json: bool) -> None:
    """Print the version of this, of Python, of SQLite and of what it uses."""
    providers = {
        name: f"broken: {one.reason}" if isinstance(one, BrokenProvider) else "ready"
        for name, one in discover_providers().items()
    }
    libraries = {name: one for name in _libraries() if (one := _installed(name))}
    found = {
        "version": _installed(_PACKAGE),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "sqlite": sqlite3.sqlite_version,
        "libraries": libraries,
        "providers": providers,
    }
    if as_json:
        print_json(found)
        return
    facts = [(name, str(one)) for name, one in found.items() if not isinstance(one, dict)]
    named = ", ".join(f"{name} {one}" for name, one in libraries.items())
    more = [("libraries", named or "unknown: this is not installed, but imported from a folder")]
    print_table((), [*facts, *more, ("providers", ", ".join(providers))])


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:  # this one: imported from a checkout that is not installed
        return None


def _libraries() -> list[str]:
    """What this can use, by its extras."""
    try:
        required = requires(_PACKAGE) or ()
    except PackageNotFoundError:
        return []
    return sorted({re.split(r"[^\w.-]", one)[0] for one in required} - {_PACKAGE})
