"""Finding the providers that are installed, ours and other people's, through the entry point group ``evidence_courier.providers``.

An entry point names a provider's class, or a ready instance, under the name that tenant files use. One that cannot be used takes
nothing else down with it: it becomes a `BrokenProvider`, and only the tenants that name it are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import metadata
from inspect import isasyncgenfunction, iscoroutinefunction

from attrs import frozen

from ..domain.integration import Pace
from ..ports.provider import Limits, Provider

GROUP = "evidence_courier.providers"
_PARTS = (
    *("name", "settings_class", "schema", "limits", "pace", "cost", "exclusive_credential"),
    *("upload", "target"),
)


@frozen
class BrokenProvider:
    """A provider that is installed and cannot be used; `reason` goes on from "the provider {name} cannot be used: "."""

    name: str
    reason: str


def discover_providers(
    entry_points: Iterable[metadata.EntryPoint] | None = None,
) -> Mapping[str, Provider | BrokenProvider]:
    """Every installed provider by its name; `entry_points` stands in for those that are installed."""
    points = metadata.entry_points(group=GROUP) if entry_points is None else entry_points
    by_name: dict[str, list[metadata.EntryPoint]] = {}
    for point in points:
        alike = by_name.setdefault(point.name, [])
        if all((point.value, _home(point)) != (other.value, _home(other)) for other in alike):
            alike.append(point)
    return {name: _provider(name, alike) for name, alike in sorted(by_name.items())}


def _provider(name: str, points: list[metadata.EntryPoint]) -> Provider | BrokenProvider:
    if len(points) > 1:
        homes = " and ".join(sorted(f"{_home(point)} ({point.value})" for point in points))
        return BrokenProvider(
            name, f"several installed packages offer one of that name, {homes}; uninstall all but one"
        )
    point = points[0]
    place = f"{point.value} of {_home(point)}"
    try:
        found = point.load()
        provider = found() if isinstance(found, type) else found
        fault = fault_of(provider, name)
    except Exception as error:  # a plug-in may fail in any way, and that is nobody else's trouble
        return BrokenProvider(name, f"{place} could not be loaded ({type(error).__name__}: {error})")
    return provider if fault is None else BrokenProvider(name, f"{place} {fault}")


def fault_of(provider: object, name: str) -> str | None:
    """Why an object does not do as the provider of that name; None if it does. Whether its schema holds is seen when it is used."""
    missing = [part for part in _PARTS if not hasattr(provider, part)]
    if missing:
        return f"is not a provider: it has no {', no '.join(missing)}"
    if not isinstance(getattr(provider, "settings_class", None), type):
        return "is not a provider: its settings_class is not a class"
    limits = getattr(provider, "limits", None)
    if not isinstance(limits, Limits) or not isinstance(limits.media_types, Mapping):
        return "is not a provider: its limits are not Limits with a mapping of media types"
    if not isinstance(getattr(provider, "pace", None), Pace | None):
        return "is not a provider: its pace is neither a Pace nor None"
    upload = getattr(provider, "upload", None)
    if not callable(upload) or iscoroutinefunction(upload) or isasyncgenfunction(upload):
        return "is not a provider: its upload is not a plain function that gives a dialogue"
    called = getattr(provider, "name", None)
    return None if called == name else f"calls itself {called!r}, not {name!r}"


def _home(point: metadata.EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unknown package"
