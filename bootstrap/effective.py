"""A tenant's whole configuration as it is in force: with defaults, and without secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from attrs import fields, frozen

from ..adapters.config import Loaded
from ..adapters.plugins import BrokenProvider
from ..domain.integration import Integration, Pace
from ..domain.retention import KeepPeriod
from ..domain.secrets.redaction import Redactor
from ..domain.written import shown_duration, shown_size
from ..ports.provider import Provider, Selecting
from .tenants import Providers

_LONGEST = 2_000
"""The most characters of a value that are shown."""


@frozen
class Setting:
    """One key of a block: its value as text, and where that comes from: `file` (at `line`, if that
    is known), `default`, or `provider`, which has a value of its own for it."""

    key: str
    value: str | None
    source: str
    line: int | None = None


def settings_of(tenant_id: str, loaded: Loaded, providers: Providers) -> list[Setting]:
    """Every key of a tenant's block; nothing without a valid integration."""
    integration = loaded.integrations.get(tenant_id)
    provider = None if integration is None else providers[integration.provider]
    if integration is None or provider is None or isinstance(provider, BrokenProvider):
        return []
    written, redactor = loaded.lines(tenant_id), Redactor(integration.secrets)
    return [
        Setting(
            key,
            None if value is None else redactor.text(_shown(value), _LONGEST),
            "file" if key in written else source,
            written.get(key),
        )
        for key, value, source in _values(integration, provider)
    ]


def _values(integration: Integration, provider: Provider) -> Iterator[tuple[str, object, str]]:
    """Each key with its value, and where that comes from if the file does not have it."""
    yield "provider", integration.provider, "file"
    yield "enabled", True, "default"
    for key, stored in integration.stored.items():
        yield key, stored, "default"
    sections: Mapping[str, Any] = {
        "retry": integration.retry,
        "timeout": integration.route.timeouts,
        "retention": integration.retention,
    }
    for section, values in sections.items():
        for one in fields(type(values)):
            yield f"{section}.{one.name}", getattr(values, one.name), "default"
    yield "on_unclear", integration.on_unclear.value, "default"
    chooses = "provider" if isinstance(provider, Selecting) else "default"
    yield "outcomes", [one.value for one in integration.outcomes], chooses
    yield "park_limit", integration.park_limit, "default"
    yield "pace", integration.pace or provider.pace, "provider"
    most = integration.max_bytes or provider.limits.max_bytes
    yield "max_bytes", None if most is None else shown_size(most), "provider"
    proxy = integration.route.proxy
    yield "proxy", None if proxy is None else _without_user(proxy), "default"
    yield "ca_bundle", integration.route.ca_bundle, "default"


def _shown(value: object) -> str:
    match value:
        case timedelta():
            return shown_duration(value)
        case list() | tuple():
            return ", ".join(map(_shown, value)) or "none"
        case bool():
            return "true" if value else "false"
        case Pace() | KeepPeriod() | str() | int() | float():
            return str(value)
        case Mapping():
            return ", ".join(f"{key}: {_shown(member)}" for key, member in value.items()) or "none"
    return "none" if value is None else repr(value)


def _without_user(url: str) -> str:
    scheme, _, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    return f"{scheme}://{'***' if user else ''}{at}{host}"
