"""Providers that are installed, and those that only nearly are."""

from __future__ import annotations

import sys
from datetime import timedelta
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from tenant_files import ArchiveProvider, block, load, problem_lines

from evidence_courier.adapters.plugins import GROUP, BrokenProvider, discover_providers, fault_of
from evidence_courier.domain.integration import Pace
from evidence_courier.ports.provider import Limits, Provider


class Named(ArchiveProvider):
    """The archive once more, as a ready instance under another name."""

    name = "named"


class Closed(ArchiveProvider):
    """Cannot be made."""

    def __init__(self) -> None:
        raise RuntimeError("closed on Sundays")


class Offline:
    """Needs a server of its own."""

    def __init__(self) -> None:
        raise OSError("no answer from postgresql://app:hunter2@db/licences")


class Bare:
    """No provider at all."""

    name = "bare"
    schema: dict[str, object] = {}  # noqa: RUF012


class Unlimited(ArchiveProvider):
    """Says nothing useful of its limits."""

    name = "unlimited"
    limits = None  # type: ignore[assignment]


async def coroutine(*arguments: object) -> None:
    """Not a dialogue."""


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
    assert [isinstance(found[name], Provider) for name in ("archive", "bare", "gone")] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("entry_point", "reason"),
    [
        (point("gone", "X", "no_such_module"),
        "no_such_module:X of an unknown package could not be loaded (ModuleNotFoundError: No "
         "module named 'no_such_module')"),
        (point("gone", "X"),
        f"{HERE}:X of an unknown package could not be loaded (AttributeError: module "),
        (point("closed", "Closed"),
        f"{HERE}:Closed of an unknown package could not be loaded (RuntimeError: closed on "
         "Sundays)"),
        (point("offline", "Offline"),
        f"{HERE}:Offline of an unknown package could not be loaded (OSError: no answer from "
         "postgresql://***@db/licences)"),
        (point("bare", "Bare"),
        f"{HERE}:Bare of an unknown package is not a provider: it has no settings_class, no "
         "limits, no pace,"),
        (point("unlimited", "Unlimited"),
        f"{HERE}:Unlimited of an unknown package is not a provider: its limits are not Limits"),
        (point("other", "ArchiveProvider"),
        f"{HERE}:ArchiveProvider of an unknown package calls itself 'archive', not 'other'"),
    ],
)  # fmt: skip
def test_one_that_cannot_be_used_says_why(entry_point: EntryPoint, reason: str) -> None:
    assert broken(entry_point).startswith(reason)


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("settings_class", {}, "settings_class is not a class"),
        ("limits", Limits("25MB", {}), "limits.max_bytes is neither a number of bytes nor None"),  # type: ignore[arg-type]
        ("limits", Limits(0, {}), "limits.max_bytes is neither a number of bytes nor None"),
        ("pace", "10/min", "pace is neither a Pace nor None"),
        ("pace", Pace(0, timedelta(minutes=1)), "pace allows no request in no time"),
        ("pace", Pace(10, timedelta(0)), "pace allows no request in no time"),
        ("pace", Pace(10, 60), "pace allows no request in no time"),  # type: ignore[arg-type]
        ("cost", 0, "cost is not a number of requests, 1 or more"),
        ("cost", True, "cost is not a number of requests, 1 or more"),
        ("cost", "2", "cost is not a number of requests, 1 or more"),
        ("exclusive_credential", None, "exclusive_credential is neither True nor False"),
        ("look_up", lambda *arguments: None,
        "look_up needs look_up_delays, a tuple of one timedelta or more"),
        ("check", 7, "check is not a plain function that gives a dialogue"),
        ("upload_together", coroutine,
        "upload_together is not a plain function that gives a dialogue"),
        ("upload", coroutine, "upload is not a plain function that gives a dialogue"),
    ],
)  # fmt: skip
def test_a_part_that_no_courier_could_work_with_is_named(
    part: str, value: object, words: str
) -> None:
    provider = ArchiveProvider()
    setattr(provider, part, value)
    assert fault_of(provider, "archive") == f"is not a provider: its {words}"


@pytest.mark.parametrize("delays", [(), None, [timedelta(1)], (1.0,), (timedelta(-1),)])
def test_look_ups_need_moments_to_be_made_at(delays: object) -> None:
    class Reading(ArchiveProvider):
        look_up_delays = delays

        def look_up(self, parcel: object, settings: object, progress: object) -> None:
            """Whether it is there."""

    fault = "is not a provider: its look_up needs look_up_delays, a tuple of one timedelta or more"
    assert fault_of(Reading(), "archive") == fault
    Reading.look_up_delays = (timedelta(0),)
    assert fault_of(Reading(), "archive") is None


def test_two_of_one_name_are_both_out_and_the_same_one_listed_twice_is_one() -> None:
    found = discover_providers([point("archive", "ArchiveProvider"), point("archive", "Named")])
    assert isinstance(found["archive"], BrokenProvider)
    assert "several installed packages offer one of that name" in found["archive"].reason
    again = discover_providers(
        [point("archive", "ArchiveProvider"), point("archive", "ArchiveProvider")]
    )
    assert isinstance(again["archive"], ArchiveProvider)


def test_a_broken_provider_fails_only_its_own_tenants_and_by_name(tmp_path: Path) -> None:
    providers: dict[str, Provider | BrokenProvider] = {
        "archive": ArchiveProvider(),
        "gone": BrokenProvider("gone", "it is broken"),
    }
    files = {
        "a.yaml": block(),
        "b.yaml": "integrations: {compliance: {provider: gone, x: y, pace: z}}",
    }
    loaded = load(tmp_path, files, providers=providers)
    assert list(loaded.integrations) == ["a"]
    assert problem_lines(loaded, tmp_path) == [
        "b.yaml:1: integrations.compliance.provider: the provider gone cannot be used: it is "
        "broken",
        "b.yaml:1: integrations.compliance.pace: must be a pace such as 2/s, 10/min or 100/h",
    ]


def test_only_what_is_asked_for_is_loaded() -> None:
    """A courier does not pay for the providers that none of its tenants names."""
    made: list[str] = []

    class Counted(ArchiveProvider):
        def __init__(self) -> None:
            made.append(self.name)

    vars(sys.modules[HERE])["Counted"] = Counted
    found = discover_providers([point("archive", "Counted"), point("gone", "x", "no_such")])
    assert (list(found), len(found), made) == (["archive", "gone"], 2, [])
    assert found["archive"] is found.get("archive") and made == ["archive"]
