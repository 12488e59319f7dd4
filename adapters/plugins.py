"""Finding the installed providers through the entry point group ``evidence_courier.providers``.

An entry point names a provider's class, or an instance, under the name that tenant files use. One
that cannot be used becomes a `BrokenProvider`: only the tenants that name it get an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from importlib import metadata
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any

from attrs import field, frozen

from ..delivery.destinations import offers
from ..domain.evidence.evidence import Outcome
from ..domain.integration import Pace
from ..domain.secrets.redaction import words_of
from ..ports.provider import Limits, Provider, Selecting

GROUP = "evidence_courier.providers"
_PARTS = "name settings_class schema limits pace cost exclusive_credential upload target".split()
_DIALOGUES = ("look_up", "check", "upload_together")
"""The dialogues that only some providers have."""


@frozen
class BrokenProvider:
    """An installed provider that cannot be used; `reason` completes "the provider {name} cannot be
    used: "."""

    name: str
    reason: str


def discover_providers(
    entry_points: Iterable[metadata.EntryPoint] | None = None,
) -> Mapping[str, Provider | BrokenProvider]:
    """Every installed provider by its name, or those of `entry_points`; each is loaded when it is
    asked for."""
    points = metadata.entry_points(group=GROUP) if entry_points is None else entry_points
    by_name: dict[str, list[metadata.EntryPoint]] = {}
    for point in points:
        alike = by_name.setdefault(point.name, [])
        if all((point.value, _home(point)) != (other.value, _home(other)) for other in alike):
            alike.append(point)
    return _Installed(dict(sorted(by_name.items())))


@frozen
class _Installed(Mapping[str, Provider | BrokenProvider]):
    _points: Mapping[str, list[metadata.EntryPoint]]
    _loaded: dict[str, Provider | BrokenProvider] = field(factory=dict, init=False)

    def __getitem__(self, name: str) -> Provider | BrokenProvider:
        if name not in self._loaded:
            self._loaded[name] = _provider(name, self._points[name])
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._points)

    def __len__(self) -> int:
        return len(self._points)


def _provider(name: str, points: list[metadata.EntryPoint]) -> Provider | BrokenProvider:
    if len(points) > 1:
        homes = " and ".join(sorted(f"{_home(point)} ({point.value})" for point in points))
        reason = f"several installed packages offer one of that name, {homes}"
        return BrokenProvider(name, f"{reason}; uninstall all but one")
    point = points[0]
    place = f"{point.value} of {_home(point)}"
    try:
        found = point.load()
        provider: Provider = found() if isinstance(found, type) else found
        fault = fault_of(provider, name)
        if fault is None:
            return provider
    except Exception as error:  # a plug-in may fail in any way, which concerns its own tenants
        fault = f"could not be loaded ({words_of(error)})"
    return BrokenProvider(name, f"{place} {fault}; ask its authors for a version that works here")


def fault_of(provider: object, name: str) -> str | None:
    """Why an object cannot be the provider of that name; None if it can. Its schema is checked when
    it is used."""
    missing = [part for part in _PARTS if not hasattr(provider, part)]
    if missing:
        return f"is not a provider: it has no {', no '.join(missing)}"
    wrong = _wrong_value(provider) or _wrong_function(provider)
    if wrong is not None:
        return f"is not a provider: its {wrong}"
    called = getattr(provider, "name", None)
    return None if called == name else f"calls itself {called!r}, not {name!r}"


def default_outcomes(provider: Provider, settings: object) -> tuple[Outcome, ...]:
    """The outcomes that a provider chooses for these settings, else all. ValueError if they are
    none."""
    if not offers(provider, Selecting):
        return tuple(Outcome)
    chosen: object = provider.default_outcomes(settings)
    if not chosen or not isinstance(chosen, tuple) or not {*chosen} <= {*Outcome}:
        raise ValueError("its default_outcomes are not a tuple of one outcome or more")
    return chosen


def _wrong_value(provider: object) -> str | None:
    """A value that no upload could work with."""
    part: Any = provider
    pace, limits = part.pace, part.limits
    if not isinstance(part.settings_class, type):
        return "settings_class is not a class"
    if not isinstance(limits, Limits) or not isinstance(limits.media_types, Mapping):
        return "limits are not Limits with a mapping of media types"
    if not (limits.max_bytes is None or _is_count(limits.max_bytes)):
        return "limits.max_bytes is neither a number of bytes nor None"
    if not isinstance(pace, Pace | None):
        return "pace is neither a Pace nor None"
    if pace and not (_is_count(pace.limit) and _is_duration(pace.period) and pace.period):
        return "pace allows no request in no time"
    if not _is_count(part.cost):
        return "cost is not a number of requests, 1 or more"
    if not isinstance(part.exclusive_credential, bool):
        return "exclusive_credential is neither True nor False"
    delays = getattr(provider, "look_up_delays", None)
    is_known = isinstance(delays, tuple) and delays and all(map(_is_duration, delays))
    if hasattr(provider, "look_up") and not is_known:
        return "look_up needs look_up_delays, a tuple of one timedelta or more"
    return None


def _wrong_function(provider: object) -> str | None:
    for name in ("upload", *(name for name in _DIALOGUES if hasattr(provider, name))):
        function = getattr(provider, name)
        if not callable(function) or iscoroutinefunction(function) or isasyncgenfunction(function):
            return f"{name} is not a plain function that gives a dialogue"
    return None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_duration(value: object) -> bool:
    return isinstance(value, timedelta) and value >= timedelta(0)


def _home(point: metadata.EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unknown package"
