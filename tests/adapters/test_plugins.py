"""Providers that are installed, and those that only nearly are."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from tenant_files import ArchiveProvider, block, load, told

from evidence_courier.adapters.plugins import GROUP, BrokenProvider, discover_providers
from evidence_courier.ports.provider import Provider


class Named(ArchiveProvider):
    """The archive once more, as a ready instance under another name."""

    name = "named"


class Closed(ArchiveProvider):
    """Cannot be made."""

    def __init__(self) -> None:
        raise RuntimeError("closed on Sundays")


class Bare:
    """No provider at all."""

    name = "bare"
    schema: dict[str, object] = {}  # noqa: RUF012


class Unlimited(ArchiveProvider):
    """Says nothing useful of its limits."""

    name = "unlimited"
    limits = None  # type: ignore[assignment]


named = Named()
HERE = "providers_of_this_test"


@pytest.fixture(autouse=True)
def importable() -> None:
    sys.modules[HERE] = sys.modules[__name__]


def point(name: str, what: str, module: str = HERE) -> EntryPoint:
    return EntryPoint(name, f"{module}:{what}", GROUP)


def broken(entry_point: EntryPoint) -> str:
    found = discover_providers([entry_point])[entry_point.name]
    assert isinstance(found, BrokenProvider) and found.name == entry_point.name
    return found.reason


def test_a_class_is_made_and_an_instance_is_taken() -> None:
    found = discover_providers([point("named", "named"), point("archive", "ArchiveProvider")])
    assert list(found) == ["archive", "named"]
    assert isinstance(found["archive"], ArchiveProvider) and found["named"] is named


def test_one_that_is_broken_takes_no_other_with_it() -> None:
    found = discover_providers(
        [point("archive", "ArchiveProvider"), point("bare", "Bare"), point("gone", "x", "no_such")]
    )
    assert [isinstance(found[name], Provider) for name in ("archive", "bare", "gone")] == [True, False, False]


@pytest.mark.parametrize(
    ("entry_point", "reason"),
    [
        (point("gone", "X", "no_such_module"), "no_such_module:X of an unknown package could not be loaded (ModuleNotFoundError: No module named 'no_such_module')"),
        (point("gone", "X"), f"{HERE}:X of an unknown package could not be loaded (AttributeError: module "),
        (point("closed", "Closed"), f"{HERE}:Closed of an unknown package could not be loaded (RuntimeError: closed on Sundays)"),
        (point("bare", "Bare"), f"{HERE}:Bare of an unknown package is not a provider: it has no settings_class, no limits, no pace,"),
        (point("unlimited", "Unlimited"), f"{HERE}:Unlimited of an unknown package is not a provider: its limits are not Limits"),
        (point("other", "ArchiveProvider"), f"{HERE}:ArchiveProvider of an unknown package calls itself 'archive', not 'other'"),
    ],
)  # fmt: skip
def test_one_that_cannot_be_used_says_why(entry_point: EntryPoint, reason: str) -> None:
    assert broken(entry_point).startswith(reason)


def test_two_of_one_name_are_both_out_and_the_same_one_listed_twice_is_one() -> None:
    found = discover_providers([point("archive", "ArchiveProvider"), point("archive", "Named")])
    assert isinstance(found["archive"], BrokenProvider)
    assert "several installed packages offer one of that name" in found["archive"].reason
    again = discover_providers([point("archive", "ArchiveProvider"), point("archive", "ArchiveProvider")])
    assert isinstance(again["archive"], ArchiveProvider)


def test_a_broken_provider_fails_only_its_own_tenants_and_by_name(tmp_path: Path) -> None:
    providers: dict[str, Provider | BrokenProvider] = {
        "archive": ArchiveProvider(),
        "gone": BrokenProvider("gone", "it is broken"),
    }
    files = {"a.yaml": block(), "b.yaml": "integrations: {compliance: {provider: gone, x: y, pace: z}}"}
    loaded = load(tmp_path, files, providers=providers)
    assert list(loaded.integrations) == ["a"]
    assert told(loaded, tmp_path) == [
        "b.yaml:1: integrations.compliance.provider: the provider gone cannot be used: it is broken",
        "b.yaml:1: integrations.compliance.pace: must be a pace such as 2/s, 10/min or 100/h",
    ]
