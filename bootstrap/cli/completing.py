"""What a shell that completes a line is told: tenants, providers, kinds of errors. It is told of no
error."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from ...adapters.config.passed_over import is_tenant_file
from ...adapters.plugins import discover_providers
from ...domain.errors import CourierError
from ...domain.health import Count
from ...domain.upload.failure import FailureKind
from ..records import Records


def tenants(given: Mapping[str, Any]) -> Iterable[str]:
    """The tenants of the folder and of the uploads, as far as the line names them so far."""
    found = {one.tenant_id for one in _counts(given)}
    if folder := given.get("folder"):
        with suppress(OSError):
            files = filter(is_tenant_file, os.listdir(folder))
            found |= {os.path.splitext(name)[0] for name in files}
    return found


def providers(given: Mapping[str, Any]) -> Iterable[str]:
    """The providers that are installed, and those of the uploads."""
    return {*discover_providers(), *(one.provider for one in _counts(given))}


def kinds(_: Mapping[str, Any]) -> Iterable[str]:
    """The kinds of errors."""
    return [one.value for one in FailureKind]


def _counts(given: Mapping[str, Any]) -> Iterable[Count]:
    if database := given.get("database"):
        with suppress(CourierError, OSError), Records.open(database) as records:
            return records.counted()
    return ()
